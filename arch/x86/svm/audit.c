// SPDX-License-Identifier: GPL-2.0
/*
 * The audit build: the VMCB before VMRUN. Is its ASID clean, does it hold what common code believes,
 * and has nothing changed that it calls clean?
 */
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/trapnr.h>

#include "svm.h"

/* --- Clean bits ----------------------------------------------------------------------------- */

/* APM, "VMCB Clean Bits Field": what belongs to which bit. */
static const struct {
	enum svm_clean_bit bit;
	u16 offset;
	u16 size;
} svm_groups[] = {
#define GROUP(bit, first, last)							\
	{ SVM_CLEAN_##bit, offsetof(struct vmcb, first),			\
	  offsetofend(struct vmcb, last) - offsetof(struct vmcb, first) }
	GROUP(INTERCEPTS, control.intercepts, control.pause_filter_count),
	GROUP(INTERCEPTS, control.tsc_offset, control.tsc_offset),
	GROUP(PERM_MAP, control.iopm_base_pa, control.msrpm_base_pa),
	GROUP(ASID, control.asid, control.asid),
	GROUP(INTR, control.int_ctl, control.int_vector),
	GROUP(NPT, control.nested_ctl, control.nested_ctl),
	GROUP(NPT, control.nested_cr3, control.nested_cr3),
	GROUP(NPT, save.g_pat, save.g_pat),
	GROUP(CR, save.efer, save.efer),
	GROUP(CR, save.cr4, save.cr0),
	GROUP(DR, save.dr7, save.dr6),
	GROUP(DT, save.gdtr, save.gdtr),
	GROUP(DT, save.idtr, save.idtr),
	GROUP(SEG, save.es, save.ds),
	GROUP(SEG, save.cpl, save.cpl),
	GROUP(CR2, save.cr2, save.cr2),
	GROUP(LBR, save.dbgctl, save.last_excp_to),
#undef GROUP
};

/* The bits that are set, and should not be. */
static u32 svm_audit_dirty_groups(const struct svm_vcpu *svm)
{
	const void *now = svm->vmcb, *then = &svm->audit.last;
	u32 wrong = 0;
	unsigned int i;

	/* Another CPU may have anything in its cache. */
	if (svm->audit.cpu != smp_processor_id())
		return svm->vmcb->control.clean;
	for (i = 0; i < ARRAY_SIZE(svm_groups); i++)
		if (memcmp(now + svm_groups[i].offset, then + svm_groups[i].offset,
			   svm_groups[i].size))
			wrong |= BIT(svm_groups[i].bit);
	return wrong & svm->vmcb->control.clean;
}

static void svm_audit_clean(struct mkvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	u32 wrong = svm_audit_dirty_groups(to_svm(vcpu));

	mkvm_audit(clean, !wrong, "vCPU %d: the VMCB's clean bits %#x, and %#x are not\n",
		   vcpu->id, control->clean, wrong);
	control->clean &= ~wrong;
}

/* --- State of common code --------------------------------------------------------------------- */

/*
 * #VMEXIT saves registers as the CPU has them, without reserved bits. What common code has not changed
 * since need not be what the VMCB holds, if that was not changed either.
 */
static bool svm_audit_crs_untouched(const struct mkvm_vcpu_arch *arch)
{
	const struct svm_audit *audit = &arch->svm->audit;
	const struct vmcb_save_area *save = &arch->svm->vmcb->save, *last = &audit->last.save;

	return audit->ran && arch->cr0 == audit->cr0 && arch->cr4 == audit->cr4 &&
	       arch->efer == audit->efer && save->cr0 == last->cr0 && save->cr4 == last->cr4 &&
	       save->efer == last->efer;
}

static bool svm_audit_dr7_untouched(const struct mkvm_vcpu_arch *arch)
{
	const struct svm_audit *audit = &arch->svm->audit;

	return audit->ran && arch->eff_dr7 == audit->dr7 &&
	       arch->svm->vmcb->save.dr7 == audit->last.save.dr7;
}

static bool svm_audit_crs(const struct mkvm_vcpu_arch *arch, const struct vmcb_save_area *save)
{
	return save->cr0 == (arch->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) &&
	       save->cr4 == (arch->cr4 | (cr4_read_shadow() & X86_CR4_MCE)) &&
	       save->efer == (arch->efer | EFER_SVME);
}

/* APM, "Virtual Interrupts": V_TPR, and an interrupt that exits while a window is wanted. */
static bool svm_audit_int_ctl(const struct mkvm_vcpu_arch *arch, const struct svm_vcpu *svm)
{
	u32 int_ctl = svm->vmcb->control.int_ctl;
	bool window = arch->windows & MKVM_WINDOW_IRQ || svm->irq_window_for_nmi;

	return (int_ctl & V_TPR_MASK) == arch->cr8 && !!(int_ctl & V_IRQ_MASK) == window;
}

static bool svm_intercepts(const struct svm_vcpu *svm, unsigned int nr)
{
	return svm->vmcb->control.intercepts[nr / 32] & BIT(nr % 32);
}

/* Which state is not in the VMCB as it should be: bits as in mkvm_vcpu_arch.regs_dirty. */
static u32 svm_audit_wrong_state(const struct mkvm_vcpu *vcpu)
{
	const struct mkvm_vcpu_arch *arch = &vcpu->arch;
	const struct svm_vcpu *svm = arch->svm;
	const struct vmcb_save_area *save = &svm->vmcb->save;
	u32 wrong = 0;

	if (save->cr3 != arch->regs[MKVM_REG_CR3])
		wrong |= BIT(MKVM_REG_CR3);
	if (svm->nmi_blocked != (arch->regs[MKVM_REG_BLOCKED] & MKVM_BLOCKED_NMI))
		wrong |= BIT(MKVM_REG_BLOCKED);
	if (!svm_audit_crs(arch, save) && !svm_audit_crs_untouched(arch))
		wrong |= BIT(MKVM_STATE_CRS);
	if (save->dr7 != arch->eff_dr7 && !svm_audit_dr7_untouched(arch))
		wrong |= BIT(MKVM_STATE_DR7);
	if (!svm_audit_int_ctl(arch, svm))
		wrong |= BIT(MKVM_STATE_CR8);
	if (svm->vmcb->control.tsc_offset != arch->tsc_offset)
		wrong |= BIT(MKVM_STATE_TSC_OFFSET);
	if (svm_intercepts(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP) !=
	    !!(arch->debug.control & KVM_GUESTDBG_USE_SW_BP))
		wrong |= BIT(MKVM_STATE_EXCEPTIONS);
	return wrong;
}

static void svm_audit_state(struct mkvm_vcpu *vcpu)
{
	u32 wrong = svm_audit_wrong_state(vcpu);

	mkvm_audit(state, !wrong, "vCPU %d: the VMCB does not hold %#x (enum mkvm_reg, mkvm_state)\n",
		   vcpu->id, wrong);
	if (wrong) {
		vcpu->arch.regs_dirty |= wrong;
		svm_write_dirty(vcpu);
	}
}

/* --- Around VMRUN ------------------------------------------------------------------------------ */

/** svm_audit_entry() - VMRUN is the next instruction
 * @vcpu: the vCPU. Interrupts off */
void svm_audit_entry(struct mkvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	svm_audit_state(vcpu);
	if (control->tlb_ctl == TLB_CONTROL_FLUSH_ALL_ASID)
		mkvm_audit_all_flushed();
	if (!mkvm_audit_entry(vcpu, control->asid))
		control->tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	svm_audit_clean(vcpu);
}

/** svm_audit_exit() - #VMEXIT, and nothing in the VMCB has been changed since
 * @vcpu: the vCPU. Interrupts off */
void svm_audit_exit(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	mkvm_audit_exit(vcpu);
	svm->audit.cpu = smp_processor_id();
	svm->audit.last = *svm->vmcb;
	svm->audit.ran = true;
	svm->audit.cr0 = vcpu->arch.cr0;
	svm->audit.cr4 = vcpu->arch.cr4;
	svm->audit.efer = vcpu->arch.efer;
	svm->audit.dr7 = vcpu->arch.eff_dr7;
}
