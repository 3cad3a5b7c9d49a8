// SPDX-License-Identifier: GPL-2.0
/*
 * VMCS regions: one for each vCPU, built in the manual's order (controls, host state, guest
 * state), and where they are active.
 *
 * A VMCS that was loaded on a CPU may be cached in it until VMCLEAR is executed there. So each
 * CPU keeps a list of the VMCSs that are active on it: a vCPU that moves is cleared on its old
 * CPU first, and a CPU that leaves clears all of its list.
 *
 * Only the CPU itself changes its list, with interrupts off. An NMI (crash) may walk it at
 * any moment: list_add() and list_del() keep the forward links whole at each step.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/trapnr.h>

#include "../mmu/tdp.h"
#include "vmx.h"

static DEFINE_PER_CPU(struct list_head, vmx_active_list);
static DEFINE_PER_CPU(struct vmx_vcpu *, vmx_current);

/* Two pages for the I/O bitmaps, one for the MSR bitmap: all ones, everything exits. */
static void *vmx_io_bitmap;
static void *vmx_msr_bitmap;

/* Tags for translations; 0 means none. */
#define VMX_NR_VPIDS	(1 << 16)
static unsigned long *vmx_vpids;
static DEFINE_SPINLOCK(vmx_vpid_lock);

/** vmx_vmcs_setup() - what all VMCSs share
 * Return: 0 or ENOMEM. */
int __init vmx_vmcs_setup(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_LIST_HEAD(&per_cpu(vmx_active_list, cpu));

	vmx_io_bitmap = (void *)__get_free_pages(GFP_KERNEL, 1);
	vmx_msr_bitmap = (void *)__get_free_page(GFP_KERNEL);
	vmx_vpids = bitmap_zalloc(VMX_NR_VPIDS, GFP_KERNEL);
	if (!vmx_io_bitmap || !vmx_msr_bitmap || !vmx_vpids) {
		vmx_vmcs_teardown();
		return -ENOMEM;
	}
	memset(vmx_io_bitmap, 0xff, 2 * PAGE_SIZE);
	memset(vmx_msr_bitmap, 0xff, PAGE_SIZE);
	__set_bit(0, vmx_vpids);
	if (mkvm_audit_setup(VMX_NR_VPIDS)) {
		vmx_vmcs_teardown();
		return -ENOMEM;
	}
	return 0;
}

/** vmx_vmcs_teardown() - undo vmx_vmcs_setup() */
void vmx_vmcs_teardown(void)
{
	mkvm_audit_teardown();
	bitmap_free(vmx_vpids);
	free_page((unsigned long)vmx_msr_bitmap);
	free_pages((unsigned long)vmx_io_bitmap, 1);
}

static u16 vmx_alloc_vpid(void)
{
	unsigned long vpid;

	if (!(vmx_config.cpu2 & SECONDARY_EXEC_ENABLE_VPID))
		return 0;
	spin_lock(&vmx_vpid_lock);
	vpid = find_first_zero_bit(vmx_vpids, VMX_NR_VPIDS);
	if (vpid < VMX_NR_VPIDS)
		__set_bit(vpid, vmx_vpids);
	else
		vpid = 0;
	spin_unlock(&vmx_vpid_lock);
	return vpid;
}

static void vmx_free_vpid(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vmx_vpid_lock);
	__clear_bit(vpid, vmx_vpids);
	spin_unlock(&vmx_vpid_lock);
}

/* --- Active VMCSs ------------------------------------------------------------------------- */

/* VMCLEAR; then anybody who sees that the VMCS is not active may load it elsewhere. */
static void vmx_deactivate(struct vmx_vcpu *vmx)
{
	vmx_vmclear(vmx->vmcs_pa);
	vmx->launched = false;
	/* Pairs with the acquire in vmx_clear(). */
	smp_store_release(&vmx->cpu, -1);
}

/* Runs on the CPU where the VMCS is active, interrupts off. */
static void vmx_clear_local(void *arg)
{
	struct vmx_vcpu *vmx = arg;

	if (vmx->cpu != raw_smp_processor_id())
		return;		/* the CPU went down meanwhile, and cleared it */
	if (this_cpu_read(vmx_current) == vmx)
		this_cpu_write(vmx_current, NULL);
	list_del(&vmx->on_cpu);
	vmx_deactivate(vmx);
}

/* Make a VMCS inactive, wherever it is active. */
static void vmx_clear(struct vmx_vcpu *vmx)
{
	/* Pairs with the release in vmx_deactivate(). */
	int cpu = smp_load_acquire(&vmx->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, vmx_clear_local, vmx, 1);
}

/** vmx_clear_all_local() - this CPU leaves VMX operation
 * Context: any, NMI of a crash included. */
void vmx_clear_all_local(void)
{
	struct list_head *list = this_cpu_ptr(&vmx_active_list);
	struct vmx_vcpu *vmx, *next;
	unsigned long flags;

	local_irq_save(flags);
	list_for_each_entry_safe(vmx, next, list, on_cpu)
		vmx_deactivate(vmx);
	INIT_LIST_HEAD(list);
	this_cpu_write(vmx_current, NULL);
	local_irq_restore(flags);
}

/* Host state that differs between CPUs. */
static void vmx_write_cpu_state(int cpu)
{
	vmcs_writel(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_writel(HOST_GDTR_BASE, (unsigned long)get_cpu_gdt_ro(cpu));
	vmcs_writel(HOST_GS_BASE, cpu_kernelmode_gs_base(cpu));
	vmcs_writel(HOST_IA32_SYSENTER_ESP, (unsigned long)(cpu_entry_stack(cpu) + 1));
}

/* The vCPU comes from another CPU, or another vCPU was here. */
static noinline void vmx_vmcs_switch(struct mkvm_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool moved = vmx->cpu != cpu;

	if (moved) {
		vmx_clear(vmx);
		local_irq_disable();
		list_add(&vmx->on_cpu, this_cpu_ptr(&vmx_active_list));
		vmx->cpu = cpu;
		local_irq_enable();
	}
	if (this_cpu_read(vmx_current) != vmx) {
		this_cpu_write(vmx_current, vmx);
		vmx_vmptrld(vmx->vmcs_pa);
	}
	if (moved) {
		if (!mkvm_omit(cpu_state))
			vmx_write_cpu_state(cpu);
		/* This CPU may hold translations from when the vCPU was here before. */
		if (!mkvm_omit(move_flush))
			mkvm_make_request(vcpu, MKVM_REQ_TLB_FLUSH);
	}
}

/**
 * vmx_vmcs_load() - make a vCPU's VMCS current on this CPU
 * @vcpu: the vCPU
 * @cpu: this CPU
 * Context: preemption off.
 */
void vmx_vmcs_load(struct mkvm_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	/* The CPU could not be enabled, or the machine goes down: vmx_prepare() says so. */
	if (unlikely(!vmx_cpu_is_on()))
		return;
	if (vmx->cpu != cpu || this_cpu_read(vmx_current) != vmx)
		vmx_vmcs_switch(vcpu, cpu);
}

/**
 * vmx_flush_tlb() - drop the vCPU's translations on this CPU
 * @vcpu: the vCPU, loaded
 *
 * INVEPT drops guest-physical and combined mappings of the VM's tables, for all VPIDs and PCIDs.
 * Other mappings are not made while EPT is on, so there is nothing for INVVPID (SDM, "Creating and
 * Using Cached Translation Information"). Context: preemption off.
 */
void vmx_flush_tlb(struct mkvm_vcpu *vcpu)
{
	u64 removed = mkvm_audit_removals(vcpu->vm);

	if (mkvm_omit(invept))
		return;
	vmx_invept(vmx_config.invept, ept_pointer(vcpu->vm));
	mkvm_audit_flushed(vcpu, to_vmx(vcpu)->vpid, removed);
}

/* --- Lifetime ------------------------------------------------------------------------------ */

/** vmx_vcpu_create() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
int vmx_vcpu_create(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx;

	vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	if (!vmx)
		return -ENOMEM;
	vmx->vmcs = (u32 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs) {
		kfree(vmx);
		return -ENOMEM;
	}
	vmx->vmcs[0] = vmx_config.revision;
	vmx->vmcs_pa = __pa(vmx->vmcs);
	vmx->cpu = -1;
	vmx->vpid = vmx_alloc_vpid();
	vcpu->arch.vmx = vmx;
	/* The region's content is the CPU's to define: it must be cleared before its first use. */
	preempt_disable();
	vmx_vmclear(vmx->vmcs_pa);
	preempt_enable();
	return 0;
}

/** vmx_vcpu_destroy() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_vcpu_destroy(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_clear(vmx);
	vmx_free_vpid(vmx->vpid);
	free_page((unsigned long)vmx->vmcs);
	kfree(vmx);
}

/* --- Content ------------------------------------------------------------------------------ */

/* SDM, "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry Control Fields". */
static void vmx_write_controls(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 cpu2 = vmx_config.cpu2;

	if (!vmx->vpid)
		cpu2 &= ~SECONDARY_EXEC_ENABLE_VPID;

	vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, vmx_config.pin);
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, vmx_config.cpu);
	vmcs_write32(SECONDARY_VM_EXEC_CONTROL, cpu2);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write64(IO_BITMAP_A, __pa(vmx_io_bitmap));
	vmcs_write64(IO_BITMAP_B, __pa(vmx_io_bitmap) + PAGE_SIZE);
	vmcs_write64(MSR_BITMAP, __pa(vmx_msr_bitmap));
	vmcs_write32(CR3_TARGET_COUNT, 0);
	/* Every change of CR0 and CR4 exits; reads see the shadows. */
	vmcs_writel(CR0_GUEST_HOST_MASK, ~0ul);
	vmcs_writel(CR4_GUEST_HOST_MASK, ~0ul);
	vmcs_write64(EPT_POINTER, ept_pointer(vcpu->vm));
	if (vmx->vpid)
		vmcs_write16(VIRTUAL_PROCESSOR_ID, vmx->vpid);

	vmcs_write32(VM_EXIT_CONTROLS, vmx_config.exit);
	vmcs_write32(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, 0);

	vmcs_write32(VM_ENTRY_CONTROLS, vmx_config.entry);
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/*
 * SDM, "Host-State Area": what is the same on all CPUs and for all threads. The rest is in
 * vmx_write_cpu_state() and run.c.
 */
static void vmx_write_host_state(struct vmx_vcpu *vmx)
{
	struct desc_ptr idt;
	u64 msr;

	vmcs_writel(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmx->host_cr3 = __read_cr3();
	vmcs_writel(HOST_CR3, vmx->host_cr3);
	vmx->host_cr4 = cr4_read_shadow();
	vmcs_writel(HOST_CR4, vmx->host_cr4);

	vmcs_write16(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write16(HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write16(HOST_DS_SELECTOR, 0);
	vmcs_write16(HOST_ES_SELECTOR, 0);
	vmcs_write16(HOST_FS_SELECTOR, 0);
	vmcs_write16(HOST_GS_SELECTOR, 0);
	vmcs_write16(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmcs_writel(HOST_FS_BASE, 0);
	store_idt(&idt);
	vmcs_writel(HOST_IDTR_BASE, idt.address);

	rdmsrl(MSR_IA32_SYSENTER_CS, msr);
	vmcs_write32(HOST_IA32_SYSENTER_CS, msr);
	rdmsrl(MSR_IA32_SYSENTER_EIP, msr);
	vmcs_writel(HOST_IA32_SYSENTER_EIP, msr);
	rdmsrl(MSR_IA32_CR_PAT, msr);
	vmcs_write64(HOST_IA32_PAT, msr);
	rdmsrl(MSR_EFER, msr);
	vmcs_write64(HOST_IA32_EFER, msr);

	vmcs_writel(HOST_RIP, (unsigned long)vmx_exit_point);
}

/* Guest state that common code does not keep. */
static void vmx_write_guest_state(void)
{
	vmcs_write64(VMCS_LINK_POINTER, ~0ull);
	vmcs_write64(GUEST_IA32_DEBUGCTL, 0);
	/* Power-on value: WB, WT, UC-, UC, twice. */
	vmcs_write64(GUEST_IA32_PAT, 0x0007040600070406ull);
	vmcs_write32(GUEST_SYSENTER_CS, 0);
	vmcs_writel(GUEST_SYSENTER_ESP, 0);
	vmcs_writel(GUEST_SYSENTER_EIP, 0);
	vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, 0);
}

/** vmx_vcpu_reset() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_vcpu_reset(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_write_controls(vcpu);
	vmx_write_host_state(vmx);
	vmx_write_guest_state();
	vmx->kernel_gs_base = 0;
	memset(vmx->lazy_msr, 0, sizeof(vmx->lazy_msr));
}
