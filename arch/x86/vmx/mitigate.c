// SPDX-License-Identifier: GPL-2.0
/*
 * What Intel CPUs with known weaknesses need before a VM entry, by the kernel's own settings
 * (mitigations=, l1tf= on its command line). Documentation/security.rst has the whole list.
 */
#include <linux/jump_label.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "vmx.h"

/*
 * L1 Terminal Fault: a guest can read, by speculation, what is in the L1 data cache. The host's
 * secrets get there when the host runs, so the cache is flushed before the first entry of a row;
 * between quick exits only this module's few lines run, on the vCPU's own data.
 */
DEFINE_STATIC_KEY_FALSE(vmx_flushes_l1d);
/* "Full": before every entry. */
DEFINE_STATIC_KEY_FALSE(vmx_flushes_l1d_always);

/* CPUs without the flush command: reading this much replaces what is in the cache. */
#define VMX_L1D_ORDER	4
static void *vmx_l1d_pages;

static bool __init vmx_needs_l1d_flush(void)
{
	u64 caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return false;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	return !(caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

static int __init vmx_alloc_l1d_pages(void)
{
	unsigned int i;

	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	vmx_l1d_pages = (void *)__get_free_pages(GFP_KERNEL, VMX_L1D_ORDER);
	if (!vmx_l1d_pages)
		return -ENOMEM;
	/* Different contents: a hypervisor below us may merge pages that are alike. */
	for (i = 0; i < 1 << VMX_L1D_ORDER; i++)
		memset(vmx_l1d_pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	return 0;
}

/**
 * vmx_mitigate_setup() - decide what is needed, and say so in /sys/devices/system/cpu/vulnerabilities
 *
 * Return: 0 or ENOMEM.
 */
int __init vmx_mitigate_setup(void)
{
	bool full = l1tf_mitigation == L1TF_MITIGATION_FULL ||
		    l1tf_mitigation == L1TF_MITIGATION_FULL_FORCE;
	int r;

	/* Executable mappings have 4 KiB and no other size: nothing to hit twice in the iTLB. */
	itlb_multihit_kvm_mitigation = true;

	if (!vmx_needs_l1d_flush()) {
		l1tf_vmx_mitigation = boot_cpu_has_bug(X86_BUG_L1TF) &&
				      l1tf_mitigation == L1TF_MITIGATION_OFF ?
				      VMENTER_L1D_FLUSH_NEVER : VMENTER_L1D_FLUSH_NOT_REQUIRED;
		return 0;
	}
	r = vmx_alloc_l1d_pages();
	if (r)
		return r;
	l1tf_vmx_mitigation = full ? VMENTER_L1D_FLUSH_ALWAYS : VMENTER_L1D_FLUSH_COND;
	static_branch_enable(&vmx_flushes_l1d);
	if (full)
		static_branch_enable(&vmx_flushes_l1d_always);
	return 0;
}

/** vmx_mitigate_teardown() - undo vmx_mitigate_setup() */
void vmx_mitigate_teardown(void)
{
	l1tf_vmx_mitigation = VMENTER_L1D_FLUSH_AUTO;
	itlb_multihit_kvm_mitigation = false;
	free_pages((unsigned long)vmx_l1d_pages, VMX_L1D_ORDER);
}

/**
 * vmx_flush_l1d() - empty the L1 data cache
 *
 * By the command (SDM, "IA32_FLUSH_CMD"), or by reading 64 KiB: first every page, so that the TLB
 * has them, then, after a serializing instruction, every line.
 */
noinstr void vmx_flush_l1d(void)
{
	const u8 *bytes = vmx_l1d_pages;
	unsigned int i;

	if (static_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	for (i = 0; i < PAGE_SIZE << VMX_L1D_ORDER; i += PAGE_SIZE)
		READ_ONCE(bytes[i]);
	native_cpuid_eax(0);
	for (i = 0; i < PAGE_SIZE << VMX_L1D_ORDER; i += L1_CACHE_BYTES)
		READ_ONCE(bytes[i]);
	/* All of it before the VM entry. */
	rmb();
}
