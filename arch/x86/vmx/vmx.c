// SPDX-License-Identifier: GPL-2.0
/*
 * Intel VMX: may it be used, on and off on a CPU, and the table of the backend.
 */
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "vmx.h"

/* VMXON region of each CPU: the CPU owns it while in VMX operation. */
static DEFINE_PER_CPU(struct page *, vmxon_region);
DEFINE_PER_CPU(bool, vmx_on);

/* --- Load and unload ---------------------------------------------------------------------- */

static void vmx_free_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (per_cpu(vmxon_region, cpu))
			__free_page(per_cpu(vmxon_region, cpu));
		per_cpu(vmxon_region, cpu) = NULL;
	}
}

static int __init vmx_alloc_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct page *page = alloc_pages_node(cpu_to_node(cpu),
						     GFP_KERNEL | __GFP_ZERO, 0);

		if (!page) {
			vmx_free_regions();
			return -ENOMEM;
		}
		*(u32 *)page_address(page) = vmx_config.revision;
		per_cpu(vmxon_region, cpu) = page;
	}
	return 0;
}

/* SDM, "Enabling and Entering VMX Operation". */
static bool __init vmx_locked_out(void)
{
	u64 feat_ctl;

	return !rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat_ctl) && feat_ctl & FEAT_CTL_LOCKED &&
	       !(feat_ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
}

static int __init vmx_setup(void)
{
	int r;

	if (vmx_locked_out()) {
		pr_err("the firmware has locked VMX off (IA32_FEATURE_CONTROL): enable virtualization in the firmware's setup and switch the machine off and on\n");
		return -EACCES;
	}
	if (!boot_cpu_has(X86_FEATURE_VMX)) {
		pr_err("this CPU has VMX, but the kernel was told not to use it (clearcpuid=?): change its command line\n");
		return -ENODEV;
	}
	if (mkvm_host_vmxe_anywhere()) {
		pr_err("another hypervisor is using VMX (CR4.VMXE is set): unload it and load minikvm again\n");
		return -EBUSY;
	}
	r = vmx_check_caps();
	if (r)
		return r;
	r = vmx_alloc_regions();
	if (r)
		return r;
	r = vmx_vmcs_setup();
	if (r)
		goto out_regions;
	r = vmx_mitigate_setup();
	if (r)
		goto out_vmcs;
	return 0;

out_vmcs:
	vmx_vmcs_teardown();
out_regions:
	vmx_free_regions();
	return r;
}

static void vmx_teardown(void)
{
	vmx_mitigate_teardown();
	vmx_vmcs_teardown();
	vmx_free_regions();
}

/* --- On and off --------------------------------------------------------------------------- */

/* Firmware that left the MSR unlocked left it to us; the kernel usually did it already. */
static void vmx_unlock_feat_ctl(void)
{
	u64 feat_ctl;

	if (!rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat_ctl) && !(feat_ctl & FEAT_CTL_LOCKED))
		wrmsrl_safe(MSR_IA32_FEAT_CTL, feat_ctl | FEAT_CTL_LOCKED |
			    FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
}

static int vmx_cpu_enable(void)
{
	if (vmx_cpu_is_on())
		return 0;
	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;

	vmx_unlock_feat_ctl();
	mkvm_host_set_vmxe();
	/* The flag first: see vmx_cpu_disable(). */
	this_cpu_write(vmx_on, true);
	if (vmx_vmxon(page_to_phys(this_cpu_read(vmxon_region)))) {
		mkvm_host_clear_vmxe();
		this_cpu_write(vmx_on, false);
		return -EIO;
	}
	vmx_save_host_msrs();
	/* Translations may be left from whoever used VMX before. */
	vmx_invept(VMX_EPT_EXTENT_GLOBAL, 0);
	return 0;
}

/*
 * Also called from the NMI that stops the CPUs of a crashing machine: no locks. The write-back
 * of the VMCSs matters to a crash dump, VMXOFF to the INIT that the next kernel sends.
 */
static void vmx_cpu_disable(void)
{
	if (!vmx_cpu_is_on())
		return;
	vmx_clear_all_local();
	/* The flag last: an NMI that comes in between does the rest again, harmlessly. */
	vmx_vmxoff();
	mkvm_host_clear_vmxe();
	this_cpu_write(vmx_on, false);
}

/* The backend; contracts in ops.h. */
const struct mkvm_x86_ops vmx_ops = {
	.name		= "vmx",
	.setup		= vmx_setup,
	.teardown	= vmx_teardown,
	.cpu_enable	= vmx_cpu_enable,
	.cpu_disable	= vmx_cpu_disable,

	.vcpu_create	= vmx_vcpu_create,
	.vcpu_destroy	= vmx_vcpu_destroy,
	.vcpu_reset	= vmx_vcpu_reset,
	.vcpu_load	= vmx_vcpu_load,
	.vcpu_put	= vmx_vcpu_put,

	.prepare	= vmx_prepare,
	.inject		= vmx_inject,
	.enter		= vmx_enter,
	.handle_exit	= vmx_handle_exit,
	.exit_name	= vmx_exit_name,
	.flush_tlb	= vmx_flush_tlb,

	.cache_reg	= vmx_cache_reg,
	.get_segment	= vmx_get_segment,
	.set_segment	= vmx_set_segment,
	.get_msr	= vmx_get_msr,
	.set_msr	= vmx_set_msr,
	.skip_insn	= vmx_skip_insn,
	.dump		= vmx_dump,
};
