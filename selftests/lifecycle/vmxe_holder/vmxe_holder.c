// SPDX-License-Identifier: GPL-2.0
/*
 * For tests only: sets CR4.VMXE on one CPU as long as it is loaded, the way a
 * hypervisor does that is neither KVM nor minikvm.
 */
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/tlbflush.h>

static int cpu = 1;
module_param(cpu, int, 0444);
MODULE_PARM_DESC(cpu, "CPU whose CR4.VMXE is set");

static void vmxe_set(void *unused)
{
	cr4_set_bits(X86_CR4_VMXE);
}

static void vmxe_clear(void *unused)
{
	cr4_clear_bits(X86_CR4_VMXE);
}

static int __init vmxe_holder_init(void)
{
	return smp_call_function_single(cpu, vmxe_set, NULL, 1);
}

static void __exit vmxe_holder_exit(void)
{
	smp_call_function_single(cpu, vmxe_clear, NULL, 1);
}

module_init(vmxe_holder_init);
module_exit(vmxe_holder_exit);

MODULE_DESCRIPTION("Test module: holds CR4.VMXE on one CPU");
MODULE_LICENSE("GPL");
