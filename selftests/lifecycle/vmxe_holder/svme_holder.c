// SPDX-License-Identifier: GPL-2.0
/*
 * For tests only: sets EFER.SVME on one CPU as long as it is loaded, the way a
 * hypervisor does that is neither KVM nor minikvm.
 */
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/msr.h>

static int cpu = 1;
module_param(cpu, int, 0444);
MODULE_PARM_DESC(cpu, "CPU whose EFER.SVME is set");

static void svme_set(void *unused)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer | EFER_SVME);
}

static void svme_clear(void *unused)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
}

static int __init svme_holder_init(void)
{
	return smp_call_function_single(cpu, svme_set, NULL, 1);
}

static void __exit svme_holder_exit(void)
{
	smp_call_function_single(cpu, svme_clear, NULL, 1);
}

module_init(svme_holder_init);
module_exit(svme_holder_exit);

MODULE_DESCRIPTION("Test module: holds EFER.SVME on one CPU");
MODULE_LICENSE("GPL");
