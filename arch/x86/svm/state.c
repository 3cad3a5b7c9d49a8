// SPDX-License-Identifier: GPL-2.0
/*
 * Guest state between the VMCB and the structures of common code.
 */
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>

#include "svm.h"

/* --- Registers ---------------------------------------------------------------------------- */

/* The VMCB packs the access rights to 12 bits: the gap of four is left out. */
static u32 svm_attrib_to_ar(u16 attrib)
{
	return (attrib & 0xff) | (attrib & 0xf00) << 4;
}

/** svm_cache_reg() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @nr: CS_AR or SS_AR; the others are always up to date, or do not exist */
void svm_cache_reg(struct mkvm_vcpu *vcpu, unsigned int nr)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;
	unsigned long *reg = &vcpu->arch.regs[nr];

	switch (nr) {
	case MKVM_REG_CS_AR:
		*reg = svm_attrib_to_ar(save->cs.attrib);
		break;
	case MKVM_REG_SS_AR:
		/* The CPL is a field of its own; SS.DPL may differ after SYSRET. */
		*reg = (svm_attrib_to_ar(save->ss.attrib) & ~(3 << 5)) | save->cpl << 5;
		break;
	default:
		return;		/* the others are always up to date, or do not exist */
	}
	vcpu->arch.regs_avail |= BIT(nr);
}

/*
 * The guest runs with its own CR0, less CD and NW: its memory is the host's, and is cached. What
 * it reads must not differ. Where the host has CR4.MCE the guest has it too: without it a machine
 * check would shut the CPU down; reads of CR4 always exit. EFER.SVME must be set in a guest.
 */
static void svm_write_crs(struct mkvm_vcpu *vcpu)
{
	const struct mkvm_vcpu_arch *arch = &vcpu->arch;
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;

	save->cr0 = arch->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	if (save->cr0 == arch->cr0)
		svm_no_intercept(svm, INTERCEPT_CR0_READ);
	else
		svm_intercept(svm, INTERCEPT_CR0_READ);
	save->cr4 = arch->cr4 | (cr4_read_shadow() & X86_CR4_MCE);
	save->efer = arch->efer | EFER_SVME;
	svm_mark_dirty(svm, SVM_CLEAN_CR);
}

/* What an instruction can raise that NMIs wait for: see svm_exit_step_fault(). */
static void svm_intercept_step_faults(struct svm_vcpu *svm, bool on)
{
	static const u8 faults[] = {
		X86_TRAP_TS, X86_TRAP_NP, X86_TRAP_SS, X86_TRAP_GP, X86_TRAP_PF,
	};
	unsigned int i;

	if (svm->step_faults == on)
		return;
	svm->step_faults = on;
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (on)
			svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + faults[i]);
		else
			svm_no_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + faults[i]);
	}
}

/** svm_block_nmis() - the guest handles an NMI, or does no longer
 * @svm: the vCPU
 * @block: from the delivery to the end of IRET */
void svm_block_nmis(struct svm_vcpu *svm, bool block)
{
	svm->nmi_blocked = block ? MKVM_BLOCKED_NMI : 0;
	svm->nmi_iret_rip = ~0ull;
	if (block)
		svm_intercept(svm, INTERCEPT_IRET);
	else
		svm_no_intercept(svm, INTERCEPT_IRET);
}

/*
 * An interrupt that is never taken, of the highest priority, and that exits instead: so the exit comes
 * as soon as the guest could take one (APM, "Virtual Interrupts"). Reads of CR8 do not exit.
 */
static void svm_write_int_ctl(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u32 int_ctl = V_INTR_MASKING_MASK | vcpu->arch.cr8;

	if (vcpu->arch.windows & MKVM_WINDOW_IRQ || svm->irq_window_for_nmi)
		int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	svm->vmcb->control.int_ctl = int_ctl;
	svm_mark_dirty(svm, SVM_CLEAN_INTR);
}

/*
 * There is no window for NMIs. What holds one back:
 *   an event that is delivered first	leave the guest right after that
 *   the handler of the NMI before	its IRET exits
 *   that IRET, being executed		a step
 *   a shadow				interrupts, if they are on; else a step
 */
static void svm_write_windows(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	bool nmi = vcpu->arch.windows & MKVM_WINDOW_NMI;
	unsigned long rflags = vcpu->arch.regs[MKVM_REG_RFLAGS];

	svm->exit_at_once = nmi && vcpu->arch.event.type != MKVM_EVENT_NONE;
	svm->irq_window_for_nmi = false;
	svm->nmi_step = SVM_NMI_NO_STEP;
	if (nmi && !svm->exit_at_once) {
		if (svm->nmi_blocked ? svm->nmi_iret_rip != ~0ull :
				       !(rflags & X86_EFLAGS_IF)) {
			svm->nmi_step = rflags & X86_EFLAGS_TF ? SVM_NMI_STEP_GUEST_TF :
								 SVM_NMI_STEP;
			svm->vmcb->save.rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
		} else {
			svm->irq_window_for_nmi = !svm->nmi_blocked;
		}
	}
	svm_intercept_step_faults(svm, svm->nmi_step != SVM_NMI_NO_STEP);
	if (vcpu->arch.windows & MKVM_WINDOW_IRQ || svm->irq_window_for_nmi)
		svm_intercept(svm, INTERCEPT_VINTR);
	else
		svm_no_intercept(svm, INTERCEPT_VINTR);
}

/* #BP exits for a debugger outside the guest only. */
static void svm_write_exceptions(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (vcpu->arch.debug.control & KVM_GUESTDBG_USE_SW_BP)
		svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP);
	else
		svm_no_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP);
}

/** svm_write_dirty() - give the VMCB what has changed since the last entry
 * @vcpu: the vCPU */
void svm_write_dirty(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;
	const unsigned long *regs = vcpu->arch.regs;
	u32 dirty = vcpu->arch.regs_dirty;

	/* These are always up to date: copying costs less than asking. */
	save->rax = regs[MKVM_REG_RAX];
	save->rip = regs[MKVM_REG_RIP];
	save->rsp = regs[MKVM_REG_RSP];
	save->rflags = regs[MKVM_REG_RFLAGS];
	svm->vmcb->control.int_state = regs[MKVM_REG_BLOCKED] & MKVM_BLOCKED_SHADOW ?
				       SVM_INTERRUPT_SHADOW_MASK : 0;
	vcpu->arch.regs_dirty = 0;
	if (likely(!(dirty >> MKVM_REG_CR3)))
		return;

	if (dirty & BIT(MKVM_REG_CR3)) {
		save->cr3 = regs[MKVM_REG_CR3];
		svm_mark_dirty(svm, SVM_CLEAN_CR);
	}
	if (dirty & BIT(MKVM_STATE_CRS))
		svm_write_crs(vcpu);
	if (dirty & BIT(MKVM_STATE_DR7)) {
		save->dr7 = vcpu->arch.eff_dr7;
		svm_mark_dirty(svm, SVM_CLEAN_DR);
	}
	if (dirty & BIT(MKVM_REG_BLOCKED))
		svm_block_nmis(svm, regs[MKVM_REG_BLOCKED] & MKVM_BLOCKED_NMI);
	if (dirty & BIT(MKVM_STATE_WINDOWS))
		svm_write_windows(vcpu);
	if (dirty & (BIT(MKVM_STATE_CR8) | BIT(MKVM_STATE_WINDOWS)))
		svm_write_int_ctl(vcpu);
	if (dirty & BIT(MKVM_STATE_EXCEPTIONS))
		svm_write_exceptions(vcpu);
	if (dirty & BIT(MKVM_STATE_TSC_OFFSET)) {
		svm->vmcb->control.tsc_offset = vcpu->arch.tsc_offset;
		svm_mark_dirty(svm, SVM_CLEAN_INTERCEPTS);
	}
}

/** svm_pass_insn() - svm_skip_insn() without the single-step trap
 * @vcpu: the vCPU */
__always_inline void svm_pass_insn(struct mkvm_vcpu *vcpu)
{
	unsigned long rip = vcpu->arch.regs[MKVM_REG_RIP];

	mkvm_reg_write(vcpu, MKVM_REG_RIP, mkvm_next_rip(vcpu, rip, to_svm(vcpu)->insn_len));
	mkvm_end_shadow(vcpu);
}

/** svm_skip_insn() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void svm_skip_insn(struct mkvm_vcpu *vcpu)
{
	svm_pass_insn(vcpu);
	if (unlikely(vcpu->arch.regs[MKVM_REG_RFLAGS] & X86_EFLAGS_TF))
		mkvm_step_trap(vcpu);
}

/* --- Segments ----------------------------------------------------------------------------- */

static struct vmcb_seg *svm_seg(struct svm_vcpu *svm, enum mkvm_seg seg)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	switch (seg) {
	case MKVM_SEG_ES:
		return &save->es;
	case MKVM_SEG_CS:
		return &save->cs;
	case MKVM_SEG_SS:
		return &save->ss;
	case MKVM_SEG_DS:
		return &save->ds;
	case MKVM_SEG_FS:
		return &save->fs;
	case MKVM_SEG_GS:
		return &save->gs;
	case MKVM_SEG_LDTR:
		return &save->ldtr;
	case MKVM_SEG_TR:
		return &save->tr;
	case MKVM_SEG_GDTR:
		return &save->gdtr;
	default:
		return &save->idtr;
	}
}

/**
 * svm_get_segment() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @seg: which
 * @out: result; of GDTR and IDTR base and limit
 *
 * The CPU does not keep all attributes of all segments (APM, "Segment State in the VMCB"): what
 * it ignores is filled with what it behaves like, so that the state can be given to a CPU of
 * another kind.
 */
void svm_get_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, struct kvm_segment *out)
{
	const struct vmcb_seg *s = svm_seg(to_svm(vcpu), seg);
	u32 ar = svm_attrib_to_ar(s->attrib);

	*out = (struct kvm_segment){ .base = s->base, .limit = s->limit };
	if (seg >= MKVM_SEG_GDTR)
		return;

	out->selector = s->selector;
	out->type = ar & 15;
	out->s = (ar >> 4) & 1;
	out->dpl = MKVM_AR_DPL(ar);
	out->present = (ar >> 7) & 1;
	out->avl = (ar >> 12) & 1;
	out->l = (ar >> 13) & 1;
	out->db = (ar >> 14) & 1;
	/* Some CPUs do not keep it. */
	out->g = s->limit > 0xfffff;
	out->unusable = !out->present;

	switch (seg) {
	case MKVM_SEG_SS:
		out->dpl = to_svm(vcpu)->vmcb->save.cpl;
		if (out->unusable)
			out->db = 0;
		break;
	case MKVM_SEG_TR:
		out->type |= 2;		/* busy */
		break;
	case MKVM_SEG_ES:
	case MKVM_SEG_DS:
	case MKVM_SEG_FS:
	case MKVM_SEG_GS:
		if (!out->unusable)
			out->type |= 1;	/* accessed */
		break;
	default:
		break;
	}
}

/** svm_set_segment() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @seg: which
 * @in: new value */
void svm_set_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, const struct kvm_segment *in)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_seg *s = svm_seg(svm, seg);
	bool present = in->present && !in->unusable;

	s->base = in->base;
	s->limit = in->limit;
	if (seg >= MKVM_SEG_GDTR) {
		svm_mark_dirty(svm, SVM_CLEAN_DT);
		return;
	}

	vcpu->arch.regs_avail &= ~(BIT(MKVM_REG_CS_AR) | BIT(MKVM_REG_SS_AR));
	s->selector = in->selector;
	s->attrib = (in->type & 15) | (in->s & 1) << 4 | (in->dpl & 3) << 5 | present << 7 |
		    (in->avl & 1) << 8 | (in->l & 1) << 9 | (in->db & 1) << 10 | (in->g & 1) << 11;
	/* VMMs give the privilege as that of the stack, as on Intel. */
	if (seg == MKVM_SEG_SS)
		svm->vmcb->save.cpl = in->dpl & 3;
	svm_mark_dirty(svm, SVM_CLEAN_SEG);
}

/* --- MSRs ------------------------------------------------------------------------------------- */

/* The MSRs that have a field of 64 bits in the VMCB; exits keep it up to date. */
static u64 *svm_msr_field(struct svm_vcpu *svm, u32 msr)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	switch (msr) {
	case MSR_FS_BASE:
		return &save->fs.base;
	case MSR_GS_BASE:
		return &save->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_IA32_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &save->sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &save->g_pat;
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	default:
		return NULL;
	}
}

/** svm_get_msr() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @msr: index
 * @data: result */
int svm_get_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const u64 *field = svm_msr_field(svm, msr);

	if (field)
		*data = *field;
	else if (msr == MSR_TSC_AUX)
		*data = svm->tsc_aux;
	else
		return -EINVAL;
	return 0;
}

static int svm_set_tsc_aux(struct svm_vcpu *svm, u64 data)
{
	/* The upper half does not exist and would fault when the value is loaded. */
	if (!mkvm_caps.rdtscp || data >> 32)
		return -EINVAL;
	preempt_disable();
	svm->tsc_aux = data;
	if (svm->host_loaded)
		wrmsrl(MSR_TSC_AUX, data);
	preempt_enable();
	return 0;
}

/** svm_set_msr() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @msr: index
 * @data: value, canonical where it must be */
int svm_set_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 data)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *field = svm_msr_field(svm, msr);

	if (msr == MSR_TSC_AUX)
		return svm_set_tsc_aux(svm, data);
	if (!field)
		return -EINVAL;
	switch (msr) {
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		/* 32 bits (APM, "SYSENTER and SYSEXIT MSRs"). */
		data = (u32)data;
		break;
	case MSR_SYSCALL_MASK:
		if (data >> 32)
			return -EINVAL;
		break;
	case MSR_IA32_CR_PAT:
		svm_mark_dirty(svm, SVM_CLEAN_NPT);
		break;
	}
	*field = data;
	return 0;
}
