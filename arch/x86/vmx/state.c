// SPDX-License-Identifier: GPL-2.0
/*
 * Guest state between the VMCS and the structures of common code.
 */
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "vmx.h"

/* --- Registers ---------------------------------------------------------------------------- */

/** vmx_cache_reg() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @reg: RSP, RIP, RFLAGS or CR3 */
void vmx_cache_reg(struct mkvm_vcpu *vcpu, enum mkvm_reg reg)
{
	unsigned long field;

	switch (reg) {
	case MKVM_REG_RSP:
		field = GUEST_RSP;
		break;
	case MKVM_REG_RIP:
		field = GUEST_RIP;
		break;
	case MKVM_REG_RFLAGS:
		field = GUEST_RFLAGS;
		break;
	case MKVM_REG_CR3:
		field = GUEST_CR3;
		break;
	default:
		return;		/* the others are always up to date */
	}
	vcpu->arch.regs[reg] = vmcs_readl(field);
	vcpu->arch.regs_avail |= BIT(reg);
}

/** vmx_insn_len() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
unsigned int vmx_insn_len(struct mkvm_vcpu *vcpu)
{
	return vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
}

/** vmx_end_shadow() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_end_shadow(struct mkvm_vcpu *vcpu)
{
	const u32 shadows = GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS;
	u32 state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);

	if (unlikely(state & shadows))
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state & ~shadows);
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
};

/* Access rights: SDM, "Guest Register State". */
#define AR_UNUSABLE	BIT(16)

/** vmx_get_segment() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @seg: which
 * @out: result */
void vmx_get_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, struct kvm_segment *out)
{
	u32 ar = vmcs_read32(vmx_seg_fields[seg].ar);

	*out = (struct kvm_segment){
		.base = vmcs_readl(vmx_seg_fields[seg].base),
		.limit = vmcs_read32(vmx_seg_fields[seg].limit),
		.selector = vmcs_read16(vmx_seg_fields[seg].selector),
		.type = ar & 15,
		.s = (ar >> 4) & 1,
		.dpl = (ar >> 5) & 3,
		.avl = (ar >> 12) & 1,
		.l = (ar >> 13) & 1,
		.db = (ar >> 14) & 1,
		.g = (ar >> 15) & 1,
		/* VMMs look at either; a usable segment was present when it was loaded. */
		.unusable = !!(ar & AR_UNUSABLE),
		.present = !(ar & AR_UNUSABLE),
	};
}

static u32 vmx_access_rights(enum mkvm_seg seg, const struct kvm_segment *in)
{
	u32 type = in->type & 15;

	if (in->unusable || !in->present)
		return AR_UNUSABLE;
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
	vmcs_write16(vmx_seg_fields[seg].selector, in->selector);
	vmcs_writel(vmx_seg_fields[seg].base, in->base);
	vmcs_write32(vmx_seg_fields[seg].limit, in->limit);
	vmcs_write32(vmx_seg_fields[seg].ar, vmx_access_rights(seg, in));
}

/** vmx_get_table() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @idt: IDTR, not GDTR
 * @out: result */
void vmx_get_table(struct mkvm_vcpu *vcpu, bool idt, struct kvm_dtable *out)
{
	memset(out, 0, sizeof(*out));
	out->base = vmcs_readl(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE);
	out->limit = vmcs_read32(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT);
}

/** vmx_set_table() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @idt: IDTR, not GDTR
 * @in: new value */
void vmx_set_table(struct mkvm_vcpu *vcpu, bool idt, const struct kvm_dtable *in)
{
	vmcs_writel(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE, in->base);
	vmcs_write32(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT, in->limit);
}

/* --- Control registers ---------------------------------------------------------------------- */

/**
 * vmx_set_crs() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 *
 * The CPU runs with the guest's CR0 and CR4 plus the bits that VMX demands; the guest reads
 * its own value from the shadow. CD and NW are left out: the guest's memory is the host's, and
 * is cached. MCE is the host's: without it a machine check would shut the CPU down.
 */
void vmx_set_crs(struct mkvm_vcpu *vcpu)
{
	const struct mkvm_vcpu_arch *arch = &vcpu->arch;
	u32 entry = vmx_config.entry;

	vmcs_writel(GUEST_CR0, (arch->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) |
			       vmx_config.cr0_fixed);
	vmcs_writel(CR0_READ_SHADOW, arch->cr0);
	vmcs_writel(GUEST_CR4, (arch->cr4 & ~(u64)X86_CR4_MCE) |
			       (cr4_read_shadow() & X86_CR4_MCE) | vmx_config.cr4_fixed);
	vmcs_writel(CR4_READ_SHADOW, arch->cr4);
	vmcs_write64(GUEST_IA32_EFER, arch->efer);
	if (arch->efer & EFER_LMA)
		entry |= VM_ENTRY_IA32E_MODE;
	vmcs_write32(VM_ENTRY_CONTROLS, entry);
}

/** vmx_set_dr7() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_set_dr7(struct mkvm_vcpu *vcpu)
{
	vmcs_writel(GUEST_DR7, vcpu->arch.dr7);
}

/** vmx_set_tsc_offset() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_set_tsc_offset(struct mkvm_vcpu *vcpu)
{
	vmcs_write64(TSC_OFFSET, vcpu->arch.tsc_offset);
}

/** vmx_get_pdptrs() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @pdptrs: result */
void vmx_get_pdptrs(struct mkvm_vcpu *vcpu, u64 pdptrs[4])
{
	pdptrs[0] = vmcs_read64(GUEST_PDPTR0);
	pdptrs[1] = vmcs_read64(GUEST_PDPTR1);
	pdptrs[2] = vmcs_read64(GUEST_PDPTR2);
	pdptrs[3] = vmcs_read64(GUEST_PDPTR3);
}

/** vmx_set_pdptrs() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @pdptrs: new values */
void vmx_set_pdptrs(struct mkvm_vcpu *vcpu, const u64 pdptrs[4])
{
	vmcs_write64(GUEST_PDPTR0, pdptrs[0]);
	vmcs_write64(GUEST_PDPTR1, pdptrs[1]);
	vmcs_write64(GUEST_PDPTR2, pdptrs[2]);
	vmcs_write64(GUEST_PDPTR3, pdptrs[3]);
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
	if (vmx->host.loaded)
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
