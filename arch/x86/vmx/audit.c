// SPDX-License-Identifier: GPL-2.0
/*
 * The audit build: the VMCS before VM entry. Is its VPID flushed, does it hold what common code
 * believes, and will the exit bring back this thread and this CPU?
 */
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/trapnr.h>

#include "../mmu/tdp.h"
#include "vmx.h"

/* --- State of common code --------------------------------------------------------------------- */

/* Registers that are cached; those that are not up to date here are not compared. */
static u32 vmx_audit_wrong_regs(const struct mkvm_vcpu_arch *arch)
{
	static const struct {
		enum mkvm_reg reg;
		unsigned int field;
	} rows[] = {
		{ MKVM_REG_RSP, GUEST_RSP }, { MKVM_REG_RIP, GUEST_RIP },
		{ MKVM_REG_RFLAGS, GUEST_RFLAGS }, { MKVM_REG_CR3, GUEST_CR3 },
		{ MKVM_REG_BLOCKED, GUEST_INTERRUPTIBILITY_INFO },
	};
	u32 wrong = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (arch->regs_avail & BIT(rows[i].reg) &&
		    arch->regs[rows[i].reg] != vmcs_readl(rows[i].field))
			wrong |= BIT(rows[i].reg);
	if (arch->regs_avail & BIT(MKVM_STATE_PDPTRS) &&
	    (arch->pdptrs[0] != vmcs_read64(GUEST_PDPTR0) ||
	     arch->pdptrs[1] != vmcs_read64(GUEST_PDPTR1) ||
	     arch->pdptrs[2] != vmcs_read64(GUEST_PDPTR2) ||
	     arch->pdptrs[3] != vmcs_read64(GUEST_PDPTR3)))
		wrong |= BIT(MKVM_STATE_PDPTRS);
	return wrong;
}

static bool vmx_audit_crs(const struct mkvm_vcpu_arch *arch)
{
	bool long_mode = vmcs_read32(VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;

	return vmcs_readl(CR0_READ_SHADOW) == arch->cr0 &&
	       !((vmcs_readl(GUEST_CR0) ^ arch->cr0) & (X86_CR0_PE | X86_CR0_PG | X86_CR0_WP)) &&
	       vmcs_readl(CR4_READ_SHADOW) == arch->cr4 &&
	       !((vmcs_readl(GUEST_CR4) ^ arch->cr4) & ~(X86_CR4_MCE | X86_CR4_VMXE)) &&
	       vmcs_read64(GUEST_IA32_EFER) == arch->efer &&
	       long_mode == !!(arch->efer & EFER_LMA);
}

/* Both windows have a control of their own; either may stand for the other. */
static bool vmx_audit_windows(const struct mkvm_vcpu_arch *arch)
{
	u32 cpu = vmcs_read32(CPU_BASED_VM_EXEC_CONTROL);

	return !(cpu & (CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING)) ==
	       !arch->windows;
}

static bool vmx_audit_exceptions(const struct mkvm_vcpu_arch *arch)
{
	bool bp = vmcs_read32(EXCEPTION_BITMAP) & BIT(X86_TRAP_BP);

	return bp == !!(arch->debug.control & KVM_GUESTDBG_USE_SW_BP);
}

/* Which state is not in the VMCS as it should be: bits as in mkvm_vcpu_arch.regs_dirty. */
static u32 vmx_audit_wrong_state(const struct mkvm_vcpu_arch *arch)
{
	u32 wrong = vmx_audit_wrong_regs(arch);

	if (!vmx_audit_crs(arch))
		wrong |= BIT(MKVM_STATE_CRS);
	if (vmcs_readl(GUEST_DR7) != arch->eff_dr7)
		wrong |= BIT(MKVM_STATE_DR7);
	if (vmcs_read64(TSC_OFFSET) != arch->tsc_offset)
		wrong |= BIT(MKVM_STATE_TSC_OFFSET);
	if (!vmx_audit_windows(arch))
		wrong |= BIT(MKVM_STATE_WINDOWS);
	if (!vmx_audit_exceptions(arch))
		wrong |= BIT(MKVM_STATE_EXCEPTIONS);
	return wrong;
}

static void vmx_audit_state(struct mkvm_vcpu *vcpu)
{
	u32 wrong = vmx_audit_wrong_state(&vcpu->arch);

	mkvm_audit(state, !wrong, "vCPU %d: the VMCS does not hold %#x (enum mkvm_reg, mkvm_state)\n",
		   vcpu->id, wrong);
	if (!wrong)
		return;
	vmx_write_dirty(vcpu, wrong);
	if (wrong & BIT(MKVM_REG_RIP))
		vmcs_writel(GUEST_RIP, vcpu->arch.regs[MKVM_REG_RIP]);
}

/* --- State of the host -------------------------------------------------------------------------- */

/* A field of the host's state has to be @want; a wrong one would end the host. */
static void vmx_audit_field(const struct mkvm_vcpu *vcpu, const char *name, unsigned long field,
			    unsigned long want)
{
	unsigned long got = vmcs_readl(field);

	mkvm_audit(host, got == want, "vCPU %d: %s is %#lx in the VMCS, and not %#lx\n", vcpu->id,
		   name, got, want);
	if (got != want)
		vmcs_writel(field, want);
}

#define VMX_AUDIT_HOST(vcpu, field, want) vmx_audit_field(vcpu, #field, HOST_##field, want)

static void vmx_audit_host(const struct mkvm_vcpu *vcpu)
{
	int cpu = smp_processor_id();
	struct desc_ptr idt;
	u64 fs_base, gs_base;

	store_idt(&idt);
	rdmsrl(MSR_FS_BASE, fs_base);
	rdmsrl(MSR_GS_BASE, gs_base);
	VMX_AUDIT_HOST(vcpu, CR0, read_cr0() & ~X86_CR0_TS);
	VMX_AUDIT_HOST(vcpu, CR3, __read_cr3());
	VMX_AUDIT_HOST(vcpu, CR4, __read_cr4());
	VMX_AUDIT_HOST(vcpu, FS_BASE, fs_base);
	VMX_AUDIT_HOST(vcpu, GS_BASE, gs_base);
	VMX_AUDIT_HOST(vcpu, TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	VMX_AUDIT_HOST(vcpu, GDTR_BASE, (unsigned long)get_cpu_gdt_ro(cpu));
	VMX_AUDIT_HOST(vcpu, IDTR_BASE, idt.address);
	VMX_AUDIT_HOST(vcpu, IA32_SYSENTER_ESP, (unsigned long)(cpu_entry_stack(cpu) + 1));
}

/** vmx_audit_entry() - VM entry comes next
 * @vcpu: the vCPU, what is dirty written. Interrupts off */
void vmx_audit_entry(struct mkvm_vcpu *vcpu)
{
	vmx_audit_state(vcpu);
	vmx_audit_host(vcpu);
	/* Without a tag every entry drops what is cached of the guest's own translations. */
	if (to_vmx(vcpu)->vpid && !mkvm_audit_entry(vcpu, to_vmx(vcpu)->vpid))
		vmx_invept(VMX_EPT_EXTENT_GLOBAL, 0);
}
