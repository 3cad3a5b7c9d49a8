// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/minikvm: the ioctls that ask about the module, and the one that creates a VM.
 */
#include <linux/ctype.h>
#include <linux/dcache.h>
#include <linux/major.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/namei.h>

#include "compat.h"
#include "minikvm.h"

/* Long enough for a name, short enough for every place that shows it. */
#define MKVM_DEVICE_NAME_MAX	31

/*
 * Programs that know only /dev/kvm can use the module under that name, while KVM itself is
 * not loaded.
 */
static char *mkvm_device = MINIKVM_DEVICE_NAME;
module_param_named(device, mkvm_device, charp, 0444);
MODULE_PARM_DESC(device, "name of the device node in /dev (default " MINIKVM_DEVICE_NAME ")");

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
	.fops	= &mkvm_dev_fops,
	/* Who may open it controls CPUs. A udev rule can widen this (README). */
	.mode	= 0600,
};

static bool mkvm_dev_name_valid(const char *name)
{
	const char *c;

	for (c = name; *c; c++)
		if (!isascii(*c) || !(isalnum(*c) || *c == '-' || *c == '_'))
			return false;
	return c > name && c - name <= MKVM_DEVICE_NAME_MAX;
}

/*
 * Is there something else of that name? devtmpfs would leave it where it is without a word,
 * and sysfs dumps the stack for a name that it has.
 */
static bool mkvm_dev_name_taken(const char *name, dev_t self)
{
	char node[sizeof("/dev/") + MKVM_DEVICE_NAME_MAX];
	const struct inode *inode;
	struct path path;
	bool taken;

	snprintf(node, sizeof(node), "/dev/%s", name);
	if (kern_path(node, 0, &path))
		return false;
	inode = d_inode(path.dentry);
	taken = !S_ISCHR(inode->i_mode) || inode->i_rdev != self;
	path_put(&path);
	return taken;
}

/**
 * mkvm_dev_register() - create the device, /dev/minikvm unless the parameter says otherwise
 *
 * Return: 0; EINVAL for a name that is none, EEXIST for one that is taken, or an errno of
 * misc_register().
 */
int mkvm_dev_register(void)
{
	if (!mkvm_dev_name_valid(mkvm_device)) {
		pr_err("the device cannot be named \"%.*s\": give 1 to %d letters, digits, - and _\n",
		       MKVM_DEVICE_NAME_MAX, mkvm_device, MKVM_DEVICE_NAME_MAX);
		return -EINVAL;
	}

	mkvm_misc.name = mkvm_device;
	/*
	 * KVM's own number has a node on many machines before KVM is loaded: udev and its like
	 * make them, so that opening it loads KVM. That node has to be this device.
	 */
	mkvm_misc.minor = strcmp(mkvm_device, "kvm") ? MISC_DYNAMIC_MINOR : KVM_MINOR;
	if (mkvm_dev_name_taken(mkvm_device, MKDEV(MISC_MAJOR, mkvm_misc.minor))) {
		pr_err("/dev/%s exists already: give the device another name\n", mkvm_device);
		return -EEXIST;
	}
	return misc_register(&mkvm_misc);
}

/** mkvm_dev_unregister() - remove the device */
void mkvm_dev_unregister(void)
{
	misc_deregister(&mkvm_misc);
}
