// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CHECK_EXTENSION: the one table of what is promised.
 *
 * A row says where the capability is implemented and which selftest holds it to that;
 * `make check` looks whether both exist. What has no row is 0.
 */
#include <linux/cpumask.h>

#include "x86.h"

/**
 * struct extension - a capability that is not 0
 * @cap: KVM_CAP_*
 * @value: the answer, unless @fn
 * @fn: computes the answer
 * @where: file that implements it
 * @test: file in selftests/ that tests it
 */
struct extension {
	unsigned int cap;
	int value;
	int (*fn)(void);
	const char *where;
	const char *test;
};

/* As in KVM: the recommended number of vCPUs is the number of CPUs. */
static int ext_nr_vcpus(void)
{
	return min_t(int, num_online_cpus(), MKVM_MAX_VCPUS);
}

static int ext_xcrs(void)
{
	return boot_cpu_has(X86_FEATURE_XSAVE);
}

static int ext_sync_regs(void)
{
	return mkvm_sync_fields();
}

/* Bytes of an image: never less than struct kvm_xsave. */
static int ext_xsave2(void)
{
	return max_t(u32, mkvm_xsave_size(mkvm_supported_xcr0), sizeof(struct kvm_xsave));
}

/* As in KVM, where they share it with interrupt controllers: the routes that a table may have. */
#define MKVM_MAX_IRQ_ROUTES	4096

static const struct extension extensions[] = {
	{ KVM_CAP_HLT, 1, NULL, "arch/x86/run.c", "abi_vcpu_test.c" },
	{ KVM_CAP_USER_MEMORY, 1, NULL, "virt/memslot.c", "abi_vm_test.c" },
	{ KVM_CAP_SET_TSS_ADDR, 1, NULL, "arch/x86/ioctl.c", "abi_vm_test.c" },
	{ KVM_CAP_EXT_CPUID, 1, NULL, "arch/x86/cpuid.c", "cpuid_test.c" },
	{ KVM_CAP_NR_VCPUS, 0, ext_nr_vcpus, "virt/vcpu.c", "abi_device_test.c" },
	{ KVM_CAP_NR_MEMSLOTS, MKVM_MAX_MEMSLOTS, NULL, "virt/memslot.c", "abi_vm_test.c" },
	{ KVM_CAP_USER_NMI, 1, NULL, "arch/x86/event.c", "event_test.c" },
	{ KVM_CAP_SET_GUEST_DEBUG, 1, NULL, "arch/x86/debug.c", "debug_test.c" },
	{ KVM_CAP_VCPU_EVENTS, 1, NULL, "arch/x86/event.c", "event_test.c" },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1, NULL, "arch/x86/debug.c", "debug_test.c" },
	{ KVM_CAP_SET_GUEST_DEBUG2, MKVM_GUESTDBG, NULL, "arch/x86/debug.c", "debug_test.c" },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, NULL, "arch/x86/event.c", "event_test.c" },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, NULL, "arch/x86/mmio.c", "mmio_test.c" },
	{ KVM_CAP_READONLY_MEM, 1, NULL, "virt/memslot.c", "mem_test.c" },
	{ KVM_CAP_COALESCED_MMIO, MKVM_COALESCED_PAGE_OFFSET, NULL, "virt/coalesced.c", "coalesced_test.c" },
	{ KVM_CAP_COALESCED_PIO, 1, NULL, "virt/coalesced.c", "coalesced_test.c" },
	{ KVM_CAP_IOEVENTFD, 1, NULL, "virt/ioeventfd.c", "ioeventfd_test.c" },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1, NULL, "virt/ioeventfd.c", "ioeventfd_test.c" },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1, NULL, "virt/ioeventfd.c", "ioeventfd_test.c" },
	{ KVM_CAP_MP_STATE, 1, NULL, "arch/x86/ioctl.c", "abi_vcpu_test.c" },
	{ KVM_CAP_SYNC_MMU, 1, NULL, "virt/notifier.c", "mem_test.c" },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1, NULL, "virt/memslot.c", "mem_test.c" },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1, NULL, "virt/memslot.c", "mem_test.c" },
	{ KVM_CAP_IRQ_ROUTING, MKVM_MAX_IRQ_ROUTES, NULL, "arch/x86/ioctl.c", "abi_vm_test.c" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1, NULL, "arch/x86/ioctl.c", "abi_vm_test.c" },
	{ KVM_CAP_DEBUGREGS, 1, NULL, "arch/x86/cr.c", "state_test.c" },
	{ KVM_CAP_MCE, MKVM_MCE_BANKS, NULL, "arch/x86/mce.c", "mce_test.c" },
	{ KVM_CAP_ENABLE_CAP, 1, NULL, "arch/x86/ioctl.c", "state_test.c" },
	{ KVM_CAP_XSAVE, 1, NULL, "arch/x86/fpu.c", "state_test.c" },
	{ KVM_CAP_XCRS, 0, ext_xcrs, "arch/x86/cr.c", "state_test.c" },
	{ KVM_CAP_SYNC_REGS, 0, ext_sync_regs, "arch/x86/sync.c", "sync_regs_test.c" },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1, NULL, "arch/x86/ioctl.c", "state_test.c" },
	{ KVM_CAP_EXT_EMUL_CPUID, 1, NULL, "arch/x86/cpuid.c", "state_test.c" },
	{ KVM_CAP_SREGS2, 1, NULL, "arch/x86/regs.c", "state_test.c" },
	{ KVM_CAP_XSAVE2, 0, ext_xsave2, "arch/x86/fpu.c", "state_test.c" },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1, NULL, "arch/x86/run.c", "mmio_test.c" },
	{ KVM_CAP_GET_TSC_KHZ, 1, NULL, "arch/x86/tsc.c", "tsc_test.c" },
	{ KVM_CAP_MAX_VCPUS, MKVM_MAX_VCPUS, NULL, "virt/vcpu.c", "abi_vm_test.c" },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1, NULL, "virt/vm.c", "abi_device_test.c" },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1, NULL, "arch/x86/tsc.c", "tsc_test.c" },
	{ KVM_CAP_MAX_VCPU_ID, MKVM_MAX_VCPUS, NULL, "virt/vcpu.c", "abi_vm_test.c" },
	{ KVM_CAP_ENABLE_CAP_VM, 1, NULL, "arch/x86/ioctl.c", "hypercall_test.c" },
	{ KVM_CAP_DISABLE_QUIRKS2, MKVM_QUIRKS, NULL, "arch/x86/ioctl.c", "quirk_test.c" },
	{ KVM_CAP_IMMEDIATE_EXIT, 1, NULL, "arch/x86/run.c", "abi_vcpu_test.c" },
	{ KVM_CAP_GET_MSR_FEATURES, 1, NULL, "arch/x86/msr_ioctl.c", "msr_policy_test.c" },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1, NULL, "arch/x86/msr_ioctl.c", "msr_policy_test.c" },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1, NULL, "arch/x86/msr.c", "msr_filter_test.c" },
	{ KVM_CAP_X86_MSR_FILTER, 1, NULL, "arch/x86/msr_filter.c", "msr_filter_test.c" },
};

/**
 * mkvm_extension() - what is promised about a capability
 * @cap: any number
 * Return: its value, 0 when nothing is.
 */
int mkvm_extension(unsigned long cap)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		if (extensions[i].cap == cap)
			return extensions[i].fn ? extensions[i].fn() : extensions[i].value;
	return 0;
}
