// SPDX-License-Identifier: GPL-2.0
/*
 * Guest state between the VMCS and the structures of common code.
 */
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>

#include "vmx.h"

/* --- Registers ---------------------------------------------------------------------------- */

/*
 * The CPU runs with the guest's CR0 and CR4 plus the bits that VMX demands; the guest reads
 * its own value from the shadow. CD and NW are left out: the guest's memory is the host's, and
 * is cached. Where the host has MCE the guest has it too: without it a machine check would shut the CPU
 * down.
 */
static void vmx_write_crs(struct mkvm_vcpu *vcpu)
{
	const struct mkvm_vcpu_arch *arch = &vcpu->arch;
	u32 entry = vmx_config.entry;

	vmcs_writel(GUEST_CR0, (arch->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) |
			       vmx_config.cr0_fixed);
	vmcs_writel(CR0_READ_SHADOW, arch->cr0);
	vmcs_writel(GUEST_CR4, arch->cr4 | (cr4_read_shadow() & X86_CR4_MCE) |
			       vmx_config.cr4_fixed);
	vmcs_writel(CR4_READ_SHADOW, arch->cr4);
	vmcs_write64(GUEST_IA32_EFER, arch->efer);
	if (arch->efer & EFER_LMA)
		entry |= VM_ENTRY_IA32E_MODE;
	vmcs_write32(VM_ENTRY_CONTROLS, entry);
}

static void vmx_read_pdptrs(u64 pdptrs[4])
{
	pdptrs[0] = vmcs_read64(GUEST_PDPTR0);
	pdptrs[1] = vmcs_read64(GUEST_PDPTR1);
	pdptrs[2] = vmcs_read64(GUEST_PDPTR2);
	pdptrs[3] = vmcs_read64(GUEST_PDPTR3);
}

static void vmx_write_pdptrs(const u64 pdptrs[4])
{
	vmcs_write64(GUEST_PDPTR0, pdptrs[0]);
	vmcs_write64(GUEST_PDPTR1, pdptrs[1]);
	vmcs_write64(GUEST_PDPTR2, pdptrs[2]);
	vmcs_write64(GUEST_PDPTR3, pdptrs[3]);
}

static const u16 vmx_reg_fields[MKVM_NR_REGS] = {
	[MKVM_REG_RSP]		= GUEST_RSP,
	[MKVM_REG_RIP]		= GUEST_RIP,
	[MKVM_REG_RFLAGS]	= GUEST_RFLAGS,
	[MKVM_REG_CR3]		= GUEST_CR3,
	[MKVM_REG_BLOCKED]	= GUEST_INTERRUPTIBILITY_INFO,
};

/* What is asked for sooner or later after nearly every exit: one call for three fields. */
#define VMX_COMMON_REGS		(BIT(MKVM_REG_RIP) | BIT(MKVM_REG_RFLAGS) | BIT(MKVM_REG_BLOCKED))

static void vmx_cache_common_regs(struct mkvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;

	regs[MKVM_REG_RIP] = vmcs_readl(GUEST_RIP);
	regs[MKVM_REG_RFLAGS] = vmcs_readl(GUEST_RFLAGS);
	regs[MKVM_REG_BLOCKED] = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);
	vcpu->arch.regs_avail |= VMX_COMMON_REGS;
}

/* Who asks for the mode asks for the privilege, too. */
static void vmx_cache_mode(struct mkvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;

	regs[MKVM_REG_CS_AR] = vmcs_read32(GUEST_CS_AR_BYTES);
	regs[MKVM_REG_SS_AR] = vmcs_read32(GUEST_SS_AR_BYTES);
	vcpu->arch.regs_avail |= BIT(MKVM_REG_CS_AR) | BIT(MKVM_REG_SS_AR);
}

/* And who asks for the page tables, for both: they are about to be walked. */
static void vmx_cache_cr3(struct mkvm_vcpu *vcpu)
{
	vcpu->arch.regs[MKVM_REG_CR3] = vmcs_readl(GUEST_CR3);
	vcpu->arch.regs_avail |= BIT(MKVM_REG_CR3);
	if (!(vcpu->arch.regs_avail & BIT(MKVM_REG_CS_AR)))
		vmx_cache_mode(vcpu);
}

static noinline void vmx_cache_one(struct mkvm_vcpu *vcpu, unsigned int nr)
{
	if (nr == MKVM_STATE_PDPTRS)
		vmx_read_pdptrs(vcpu->arch.pdptrs);
	else
		vcpu->arch.regs[nr] = vmcs_readl(vmx_reg_fields[nr]);
	vcpu->arch.regs_avail |= BIT(nr);
}

/** vmx_cache_reg() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @nr: enum mkvm_reg from RSP on (the others are always up to date), or MKVM_STATE_PDPTRS */
void vmx_cache_reg(struct mkvm_vcpu *vcpu, unsigned int nr)
{
	/* None of them has been changed since the exit, and this is one of them. */
	if (BIT(nr) & VMX_COMMON_REGS && !(vcpu->arch.regs_avail & VMX_COMMON_REGS))
		vmx_cache_common_regs(vcpu);
	else if (nr == MKVM_REG_CR3)
		vmx_cache_cr3(vcpu);
	else if (nr == MKVM_REG_CS_AR || nr == MKVM_REG_SS_AR)
		vmx_cache_mode(vcpu);
	else
		vmx_cache_one(vcpu, nr);
}

/*
 * VM entry insists that TF within a shadow comes with a pending step, and no TF with none (SDM,
 * "Checks on Guest Non-Register State"): the trap that waits for the end of the shadow.
 */
static void vmx_write_blocked(struct mkvm_vcpu *vcpu)
{
	unsigned long blocked = mkvm_blocked(vcpu);
	unsigned long pending = vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS);
	bool step = blocked & MKVM_BLOCKED_SHADOW && mkvm_rflags(vcpu) & X86_EFLAGS_TF;

	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, blocked);
	if (!!(pending & DR_STEP) != step && blocked & MKVM_BLOCKED_SHADOW)
		vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, pending ^ DR_STEP);
}

static void vmx_write_windows(struct mkvm_vcpu *vcpu)
{
	u32 cpu = vmx_config.cpu;

	if (vcpu->arch.windows & MKVM_WINDOW_IRQ)
		cpu |= CPU_BASED_INTR_WINDOW_EXITING;
	/* Some CPUs let STI's shadow block NMIs, too: then interrupts are allowed as well. */
	if (vcpu->arch.windows & MKVM_WINDOW_NMI)
		cpu |= mkvm_blocked(vcpu) & MKVM_BLOCKED_STI ? CPU_BASED_INTR_WINDOW_EXITING :
							       CPU_BASED_NMI_WINDOW_EXITING;
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, cpu);
}

/*
 * #MC belongs to the host. #DB and #AC can be raised again by their own delivery, without end and
 * with interrupts blocked, so they must exit. #UD: the hypercall of the other vendor. #BP: a
 * debugger outside the guest.
 */
static void vmx_write_exceptions(struct mkvm_vcpu *vcpu)
{
	u32 exceptions = BIT(X86_TRAP_MC) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_UD);

	if (vcpu->arch.debug.control & KVM_GUESTDBG_USE_SW_BP)
		exceptions |= BIT(X86_TRAP_BP);
	vmcs_write32(EXCEPTION_BITMAP, exceptions);
}

/* State that changes rarely; the registers are in vmx_write_dirty(). */
static void vmx_write_dirty_state(struct mkvm_vcpu *vcpu, u32 dirty)
{
	if (dirty & BIT(MKVM_STATE_PDPTRS))
		vmx_write_pdptrs(vcpu->arch.pdptrs);
	if (dirty & BIT(MKVM_STATE_CRS)) {
		vmx_write_crs(vcpu);
		vmx_load_syscall_msrs(vcpu);
	}
	if (dirty & BIT(MKVM_STATE_DR7))
		vmcs_writel(GUEST_DR7, vcpu->arch.eff_dr7);
	if (dirty & BIT(MKVM_STATE_TSC_OFFSET))
		vmcs_write64(TSC_OFFSET, vcpu->arch.tsc_offset);
	if (dirty & BIT(MKVM_STATE_WINDOWS))
		vmx_write_windows(vcpu);
	if (dirty & BIT(MKVM_STATE_EXCEPTIONS))
		vmx_write_exceptions(vcpu);
}

/** vmx_write_dirty() - give the VMCS what has changed since the last entry, but RIP
 * @vcpu: the vCPU
 * @dirty: vcpu->arch.regs_dirty */
void vmx_write_dirty(struct mkvm_vcpu *vcpu, u32 dirty)
{
	const unsigned long *regs = vcpu->arch.regs;

	if (dirty & BIT(MKVM_REG_RSP))
		vmcs_writel(GUEST_RSP, regs[MKVM_REG_RSP]);
	if (dirty & BIT(MKVM_REG_RFLAGS))
		vmcs_writel(GUEST_RFLAGS, regs[MKVM_REG_RFLAGS]);
	if (dirty & BIT(MKVM_REG_CR3))
		vmcs_writel(GUEST_CR3, regs[MKVM_REG_CR3]);
	if (dirty & (BIT(MKVM_REG_BLOCKED) | BIT(MKVM_REG_RFLAGS)))
		vmx_write_blocked(vcpu);
	if (unlikely(dirty >> MKVM_NR_REGS))
		vmx_write_dirty_state(vcpu, dirty);
}

/* mkvm_reg_read() without the call, for those who mostly are the first to ask. */
static inline unsigned long vmx_read_reg(struct mkvm_vcpu *vcpu, enum mkvm_reg reg,
					 unsigned long field)
{
	if (!(vcpu->arch.regs_avail & BIT(reg))) {
		vcpu->arch.regs[reg] = vmcs_readl(field);
		vcpu->arch.regs_avail |= BIT(reg);
	}
	return vcpu->arch.regs[reg];
}

static inline void vmx_read_blocked(struct mkvm_vcpu *vcpu)
{
	if (vcpu->arch.regs_avail & BIT(MKVM_REG_BLOCKED))
		return;
	vcpu->arch.regs[MKVM_REG_BLOCKED] = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);
	vcpu->arch.regs_avail |= BIT(MKVM_REG_BLOCKED);
}

/** vmx_pass_insn() - vmx_skip_insn() without the single-step trap
 * @vcpu: the vCPU */
__always_inline void vmx_pass_insn(struct mkvm_vcpu *vcpu)
{
	unsigned int len = vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
	unsigned long rip = vmx_read_reg(vcpu, MKVM_REG_RIP, GUEST_RIP);

	mkvm_reg_write(vcpu, MKVM_REG_RIP, mkvm_next_rip(vcpu, rip, len));
	vmx_read_blocked(vcpu);
	mkvm_end_shadow(vcpu);
}

/** vmx_skip_insn() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_skip_insn(struct mkvm_vcpu *vcpu)
{
	vmx_pass_insn(vcpu);
	if (unlikely(vmx_read_reg(vcpu, MKVM_REG_RFLAGS, GUEST_RFLAGS) & X86_EFLAGS_TF))
		mkvm_step_trap(vcpu);
}

/* --- Segments ----------------------------------------------------------------------------- */

static const struct {
	unsigned int selector, base, limit, ar;
} vmx_seg_fields[MKVM_NR_SEGS] = {
#define SEG(name)					\
	[MKVM_SEG_##name] = {				\
		.selector = GUEST_##name##_SELECTOR,	\
		.base = GUEST_##name##_BASE,		\
		.limit = GUEST_##name##_LIMIT,		\
		.ar = GUEST_##name##_AR_BYTES,		\
	}
	SEG(ES), SEG(CS), SEG(SS), SEG(DS), SEG(FS), SEG(GS), SEG(LDTR), SEG(TR),
#undef SEG
	[MKVM_SEG_GDTR] = { .base = GUEST_GDTR_BASE, .limit = GUEST_GDTR_LIMIT },
	[MKVM_SEG_IDTR] = { .base = GUEST_IDTR_BASE, .limit = GUEST_IDTR_LIMIT },
};

/** vmx_get_segment() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @seg: which
 * @out: result; of GDTR and IDTR base and limit */
void vmx_get_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, struct kvm_segment *out)
{
	u32 ar;

	*out = (struct kvm_segment){
		.base = vmcs_readl(vmx_seg_fields[seg].base),
		.limit = vmcs_read32(vmx_seg_fields[seg].limit),
	};
	if (!vmx_seg_fields[seg].ar)
		return;		/* GDTR, IDTR */

	ar = vmcs_read32(vmx_seg_fields[seg].ar);
	out->selector = vmcs_read16(vmx_seg_fields[seg].selector);
	out->type = ar & 15;
	out->s = (ar >> 4) & 1;
	out->dpl = MKVM_AR_DPL(ar);
	out->avl = (ar >> 12) & 1;
	out->l = (ar >> 13) & 1;
	out->db = (ar >> 14) & 1;
	out->g = (ar >> 15) & 1;
	/* VMMs look at either; a usable segment was present when it was loaded. */
	out->unusable = !!(ar & MKVM_AR_UNUSABLE);
	out->present = !(ar & MKVM_AR_UNUSABLE);
}

static u32 vmx_access_rights(enum mkvm_seg seg, const struct kvm_segment *in)
{
	u32 type = in->type & 15;

	if (in->unusable || !in->present)
		return MKVM_AR_UNUSABLE;
	/*
	 * The CPU sets "accessed" when it loads a segment, and VM entry insists on it; some
	 * VMMs forget it for real mode.
	 */
	if (seg != MKVM_SEG_LDTR)
		type |= 1;
	return type | (in->s & 1) << 4 | (in->dpl & 3) << 5 | 1 << 7 | (in->avl & 1) << 12 |
	       (in->l & 1) << 13 | (in->db & 1) << 14 | (in->g & 1) << 15;
}

/** vmx_set_segment() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @seg: which
 * @in: new value */
void vmx_set_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, const struct kvm_segment *in)
{
	vcpu->arch.regs_avail &= ~(BIT(MKVM_REG_CS_AR) | BIT(MKVM_REG_SS_AR));
	vmcs_writel(vmx_seg_fields[seg].base, in->base);
	vmcs_write32(vmx_seg_fields[seg].limit, in->limit);
	if (!vmx_seg_fields[seg].ar)
		return;		/* GDTR, IDTR */
	vmcs_write16(vmx_seg_fields[seg].selector, in->selector);
	vmcs_write32(vmx_seg_fields[seg].ar, vmx_access_rights(seg, in));
}

/* --- MSRs ------------------------------------------------------------------------------------- */

static int vmx_lazy_index(u32 msr)
{
	switch (msr) {
	case MSR_STAR:
		return VMX_MSR_STAR;
	case MSR_LSTAR:
		return VMX_MSR_LSTAR;
	case MSR_CSTAR:
		return VMX_MSR_CSTAR;
	case MSR_SYSCALL_MASK:
		return VMX_MSR_SYSCALL_MASK;
	case MSR_TSC_AUX:
		return VMX_MSR_TSC_AUX;
	default:
		return -1;
	}
}

/** vmx_get_msr() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @msr: index
 * @data: result */
int vmx_get_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int lazy;

	switch (msr) {
	case MSR_FS_BASE:
		*data = vmcs_readl(GUEST_FS_BASE);
		return 0;
	case MSR_GS_BASE:
		*data = vmcs_readl(GUEST_GS_BASE);
		return 0;
	case MSR_KERNEL_GS_BASE:
		preempt_disable();
		if (vmx->host.loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, *data);
		else
			*data = vmx->kernel_gs_base;
		preempt_enable();
		return 0;
	case MSR_IA32_SYSENTER_CS:
		*data = vmcs_read32(GUEST_SYSENTER_CS);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		*data = vmcs_readl(GUEST_SYSENTER_ESP);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		*data = vmcs_readl(GUEST_SYSENTER_EIP);
		return 0;
	case MSR_IA32_CR_PAT:
		*data = vmcs_read64(GUEST_IA32_PAT);
		return 0;
	}

	lazy = vmx_lazy_index(msr);
	if (lazy < 0)
		return -EINVAL;
	*data = vmx->lazy_msr[lazy];
	return 0;
}

static void vmx_set_kernel_gs_base(struct vmx_vcpu *vmx, u64 data)
{
	preempt_disable();
	if (vmx->host.loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	vmx->kernel_gs_base = data;
	preempt_enable();
}

static int vmx_set_lazy_msr(struct vmx_vcpu *vmx, u32 msr, u64 data)
{
	int lazy = vmx_lazy_index(msr);

	if (lazy < 0)
		return -EINVAL;
	/* Upper halves that the CPU does not have would fault when the value is loaded. */
	if ((msr == MSR_TSC_AUX || msr == MSR_SYSCALL_MASK) && data >> 32)
		return -EINVAL;
	if (msr == MSR_TSC_AUX && !mkvm_caps.rdtscp)
		return -EINVAL;

	preempt_disable();
	vmx->lazy_msr[lazy] = data;
	if (msr == MSR_TSC_AUX ? vmx->host.loaded : vmx->syscall_msrs_loaded)
		wrmsrl(msr, data);
	preempt_enable();
	return 0;
}

/** vmx_set_msr() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @msr: index
 * @data: value, canonical where it must be */
int vmx_set_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 data)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	switch (msr) {
	case MSR_FS_BASE:
		vmcs_writel(GUEST_FS_BASE, data);
		return 0;
	case MSR_GS_BASE:
		vmcs_writel(GUEST_GS_BASE, data);
		return 0;
	case MSR_KERNEL_GS_BASE:
		vmx_set_kernel_gs_base(vmx, data);
		return 0;
	case MSR_IA32_SYSENTER_CS:
		vmcs_write32(GUEST_SYSENTER_CS, data);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		vmcs_writel(GUEST_SYSENTER_ESP, data);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		vmcs_writel(GUEST_SYSENTER_EIP, data);
		return 0;
	case MSR_IA32_CR_PAT:
		vmcs_write64(GUEST_IA32_PAT, data);
		return 0;
	default:
		return vmx_set_lazy_msr(vmx, msr, data);
	}
}
