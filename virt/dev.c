// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/minikvm: the ioctls that ask about the module, and the one that creates a VM.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "compat.h"
#include "minikvm.h"

static long mkvm_dev_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	switch (ioctl) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return mkvm_vm_create_fd(arg);
	case KVM_CHECK_EXTENSION:
		return mkvm_arch_check_extension(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : MKVM_ARCH_VCPU_MMAP_PAGES * PAGE_SIZE;
	case KVM_TRACE_ENABLE:
	case KVM_TRACE_PAUSE:
	case KVM_TRACE_DISABLE:
		/* They were KVM's once; it answers like this since. */
		return -EOPNOTSUPP;
	default:
		return mkvm_arch_dev_ioctl(ioctl, arg);
	}
}

static const struct file_operations mkvm_dev_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= mkvm_dev_ioctl,
	/* No structure so far differs between 32 and 64 bits. */
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice mkvm_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= MINIKVM_DEVICE_NAME,
	.fops	= &mkvm_dev_fops,
	/* Who may open it controls CPUs. A udev rule can widen this (README). */
	.mode	= 0600,
};

/** mkvm_dev_register() - create /dev/minikvm
 * Return: 0 or an errno of misc_register(). */
int mkvm_dev_register(void)
{
	return misc_register(&mkvm_misc);
}

/** mkvm_dev_unregister() - remove /dev/minikvm */
void mkvm_dev_unregister(void)
{
	misc_deregister(&mkvm_misc);
}
