// SPDX-License-Identifier: GPL-2.0
/*
 * What to print when VMRUN refuses a guest or an exit is one that nobody understands.
 */
#include <linux/ratelimit.h>

#include "svm.h"

/* All bits that some CPU has. */
#define SVM_EFER_BITS	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_SVME | EFER_LMSLE |	\
			 EFER_FFXSR | BIT(15) /* TCE */ | BIT(17) /* MCOMMIT */ |		\
			 BIT(18) /* INTWB */ | BIT(20) /* UAIE */ | BIT(21) /* automatic IBRS */)

/* --- Why VMRUN said VMEXIT_INVALID ------------------------------------------------------------- */

/**
 * struct svm_check - one of the manual's checks
 * @text: what is wrong when it fails
 * @failed: is it?
 */
struct svm_check {
	const char *text;
	bool (*failed)(const struct vmcb *vmcb);
};

#define CHECK(name, expr)							\
static bool svm_bad_##name(const struct vmcb *vmcb)				\
{										\
	const struct vmcb_control_area *control __maybe_unused = &vmcb->control; \
	const struct vmcb_save_area *save __maybe_unused = &vmcb->save;		\
										\
	return expr;								\
}

static bool svm_long_mode_paging(const struct vmcb_save_area *save)
{
	return save->efer & EFER_LME && save->cr0 & X86_CR0_PG;
}

static bool svm_above_phys_bits(u64 address)
{
	return address >> boot_cpu_data.x86_phys_bits;
}

static bool svm_bad_event(u32 inj)
{
	u32 type = inj & SVM_EVTINJ_TYPE_MASK;
	u8 vector = inj & SVM_EVTINJ_VEC_MASK;

	if (!(inj & SVM_EVTINJ_VALID))
		return false;
	if (type == SVM_EVTINJ_TYPE_EXEPT)
		return vector > 31 || vector == 2;
	return type != SVM_EVTINJ_TYPE_INTR && type != SVM_EVTINJ_TYPE_NMI &&
	       type != SVM_EVTINJ_TYPE_SOFT;
}

CHECK(svme, !(save->efer & EFER_SVME))
CHECK(nw, !(save->cr0 & X86_CR0_CD) && save->cr0 & X86_CR0_NW)
CHECK(cr0_high, save->cr0 >> 32)
CHECK(cr3, svm_long_mode_paging(save) && svm_above_phys_bits(save->cr3))
CHECK(cr4_high, save->cr4 >> 32)
CHECK(dr6_high, save->dr6 >> 32)
CHECK(dr7_high, save->dr7 >> 32)
CHECK(efer_mbz, save->efer & ~(u64)SVM_EFER_BITS)
CHECK(pae, svm_long_mode_paging(save) && !(save->cr4 & X86_CR4_PAE))
CHECK(pe, svm_long_mode_paging(save) && !(save->cr0 & X86_CR0_PE))
CHECK(cs, svm_long_mode_paging(save) && save->cr4 & X86_CR4_PAE &&
	  save->cs.attrib & BIT(9) && save->cs.attrib & BIT(10))
CHECK(vmrun, !(control->intercepts[INTERCEPT_VMRUN / 32] & BIT(INTERCEPT_VMRUN % 32)))
CHECK(asid, !control->asid)
CHECK(ncr3, svm_above_phys_bits(control->nested_cr3))
CHECK(event_inj, svm_bad_event(control->event_inj))

/* APM, "Canonicalization and Consistency Checks", in its order. */
static const struct svm_check svm_checks[] = {
	{ "EFER.SVME is zero", svm_bad_svme },
	{ "CR0.CD is zero and CR0.NW is set", svm_bad_nw },
	{ "CR0[63:32] are not zero", svm_bad_cr0_high },
	{ "any MBZ bit of CR3 is set", svm_bad_cr3 },
	{ "any MBZ bit of CR4 is set", svm_bad_cr4_high },
	{ "DR6[63:32] are not zero", svm_bad_dr6_high },
	{ "DR7[63:32] are not zero", svm_bad_dr7_high },
	{ "any MBZ bit of EFER is set", svm_bad_efer_mbz },
	{ "EFER.LME and CR0.PG are both set and CR4.PAE is zero", svm_bad_pae },
	{ "EFER.LME and CR0.PG are both non-zero and CR0.PE is zero", svm_bad_pe },
	{ "EFER.LME, CR0.PG, CR4.PAE, CS.L, and CS.D are all non-zero", svm_bad_cs },
	{ "the VMRUN intercept bit is clear", svm_bad_vmrun },
	{ "ASID is equal to zero", svm_bad_asid },
	{ "any MBZ bit of the nested CR3 is set", svm_bad_ncr3 },
	{ "illegal event injection", svm_bad_event_inj },
};

static void svm_explain(const struct vmcb *vmcb)
{
	unsigned int i, found = 0;

	for (i = 0; i < ARRAY_SIZE(svm_checks); i++) {
		if (!svm_checks[i].failed(vmcb))
			continue;
		pr_err(" check failed: %s\n", svm_checks[i].text);
		found++;
	}
	if (!found)
		pr_err(" every check that is made here passes: a reserved bit that only the CPU knows, or an entry during a machine check\n");
}

/* --- The state --------------------------------------------------------------------------------- */

static void svm_dump_segment(struct mkvm_vcpu *vcpu, const char *name, enum mkvm_seg seg)
{
	struct kvm_segment s;

	svm_get_segment(vcpu, seg, &s);
	pr_err("  %-4s selector %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u db %u g %u\n",
	       name, s.selector, s.base, s.limit, s.type, s.s, s.dpl, s.present, s.l, s.db, s.g);
}

static void svm_dump_guest(struct mkvm_vcpu *vcpu)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	pr_err(" guest:\n");
	pr_err("  rip %016llx rsp %016llx rflags %08llx cpl %u\n", save->rip, save->rsp,
	       save->rflags, save->cpl);
	pr_err("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %llx\n", save->cr0, save->cr2,
	       save->cr3, save->cr4, save->efer);
	svm_dump_segment(vcpu, "cs", MKVM_SEG_CS);
	svm_dump_segment(vcpu, "ss", MKVM_SEG_SS);
	svm_dump_segment(vcpu, "ds", MKVM_SEG_DS);
	svm_dump_segment(vcpu, "es", MKVM_SEG_ES);
	svm_dump_segment(vcpu, "fs", MKVM_SEG_FS);
	svm_dump_segment(vcpu, "gs", MKVM_SEG_GS);
	svm_dump_segment(vcpu, "ldtr", MKVM_SEG_LDTR);
	svm_dump_segment(vcpu, "tr", MKVM_SEG_TR);
	pr_err("  gdtr base %016llx limit %04x idtr base %016llx limit %04x\n", save->gdtr.base,
	       save->gdtr.limit, save->idtr.base, save->idtr.limit);
	pr_err("  dr6 %llx dr7 %llx pat %llx debugctl %llx\n", save->dr6, save->dr7, save->g_pat,
	       save->dbgctl);
}

static void svm_dump_control(const struct vmcb_control_area *control)
{
	pr_err(" control: cr %08x dr %08x exceptions %08x intercepts %08x %08x %08x\n",
	       control->intercepts[INTERCEPT_CR], control->intercepts[INTERCEPT_DR],
	       control->intercepts[INTERCEPT_EXCEPTION], control->intercepts[INTERCEPT_WORD3],
	       control->intercepts[INTERCEPT_WORD4], control->intercepts[INTERCEPT_WORD5]);
	pr_err("  asid %u tlb %x int_ctl %08x int_state %x nested_ctl %llx nested_cr3 %llx clean %x event_inj %08x:%08x\n",
	       control->asid, control->tlb_ctl, control->int_ctl, control->int_state,
	       control->nested_ctl, control->nested_cr3, control->clean, control->event_inj,
	       control->event_inj_err);
}

/**
 * svm_dump() - print the state of a vCPU after an exit that nobody understands
 * @vcpu: the vCPU, loaded
 *
 * Once for each VM, and not more often than the log can bear: a guest may cause it.
 */
void svm_dump(struct mkvm_vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, 10 * HZ, 3);
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	const struct vmcb_control_area *control = &vmcb->control;

	if (test_and_set_bit(0, &vcpu->vm->arch.dumped) || !__ratelimit(&limit))
		return;

	if (control->exit_code == (u32)SVM_EXIT_ERR) {
		pr_err("vcpu %d: VM entry refused, VMEXIT_INVALID\n", vcpu->id);
		svm_explain(vmcb);
	} else {
		pr_err("vcpu %d: unexpected #VMEXIT, code 0x%x (%s), info %llx %llx, interruption %08x:%08x\n",
		       vcpu->id, control->exit_code, to_svm(vcpu)->exit->name ?: "unknown",
		       control->exit_info_1, control->exit_info_2, control->exit_int_info,
		       control->exit_int_info_err);
	}
	svm_dump_guest(vcpu);
	svm_dump_control(control);
}
