// SPDX-License-Identifier: GPL-2.0
/*
 * The module's life: choose a backend, enable the CPUs, publish the device;
 * and the same backwards.
 */
#include <linux/module.h>

#include "minikvm.h"

static int __init mkvm_init(void)
{
	int r;

	r = mkvm_arch_init();
	if (r)
		return r;

	r = mkvm_hardware_init();
	if (r)
		goto out_arch;

	mkvm_debugfs_init();

	/* Last: from here on userspace can reach everything above. */
	r = mkvm_dev_register();
	if (r)
		goto out_debugfs;
	return 0;

out_debugfs:
	mkvm_debugfs_exit();
	mkvm_hardware_exit();
out_arch:
	mkvm_arch_exit();
	return r;
}

/*
 * Every open file of the device, of a VM and of a vCPU holds a reference of the
 * module, so nothing of theirs is left here.
 */
static void __exit mkvm_exit(void)
{
	mkvm_dev_unregister();
	mkvm_debugfs_exit();
	mkvm_hardware_exit();
	mkvm_arch_exit();
}

module_init(mkvm_init);
module_exit(mkvm_exit);

MODULE_DESCRIPTION("A small hypervisor that speaks the KVM ABI");
MODULE_LICENSE("GPL");
