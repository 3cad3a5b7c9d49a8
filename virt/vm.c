// SPDX-License-Identifier: GPL-2.0
/*
 * The VM file: its lifetime and its ioctls.
 *
 * A VM lives as long as its own file or the file of any of its vCPUs is open. vCPUs
 * are freed with the VM, not with their file, so that nobody needs a lock to walk them.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "minikvm.h"

static struct mkvm *mkvm_vm_create(unsigned long type)
{
	struct mkvm *vm;
	int r;

	vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);

	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	rwlock_init(&vm->mmu_lock);
	refcount_set(&vm->users, 1);
	vm->debugfs = ERR_PTR(-ENODEV);
	vm->mm = current->mm;
	mmgrab(vm->mm);

	r = init_srcu_struct(&vm->srcu);
	if (r)
		goto out_mm;
	r = mkvm_memslots_init(vm);
	if (r)
		goto out_srcu;
	r = mkvm_coalesced_init(vm);
	if (r)
		goto out_memslots;
	r = mkvm_arch_vm_init(vm, type);
	if (r)
		goto out_coalesced;
	/* Last: the callbacks use everything above. */
	r = mkvm_notifier_register(vm);
	if (r)
		goto out_arch;
	return vm;

out_arch:
	mkvm_arch_vm_destroy(vm);
out_coalesced:
	mkvm_coalesced_free(vm);
out_memslots:
	mkvm_memslots_free(vm);
out_srcu:
	cleanup_srcu_struct(&vm->srcu);
out_mm:
	mmdrop(vm->mm);
	kvfree(vm);
	return ERR_PTR(r);
}

static void mkvm_vm_destroy(struct mkvm *vm)
{
	unsigned int i;

	mkvm_debugfs_remove_vm(vm);
	/* No callback runs any more after this; the tables can go without locks. */
	mkvm_notifier_unregister(vm);
	mkvm_stats_vm_gone(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		mkvm_vcpu_destroy(vm->vcpus[i]);
	mkvm_arch_vm_destroy(vm);
	mkvm_ioeventfd_destroy(vm);
	mkvm_coalesced_free(vm);
	mkvm_memslots_free(vm);
	cleanup_srcu_struct(&vm->srcu);
	mmdrop(vm->mm);
	kvfree(vm);
}

/** mkvm_vm_get() - one more user of the VM
 * @vm: a VM on which the caller holds a reference */
void mkvm_vm_get(struct mkvm *vm)
{
	refcount_inc(&vm->users);
}

/** mkvm_vm_put() - drop a reference; the last one destroys the VM. May sleep.
 * @vm: the VM */
void mkvm_vm_put(struct mkvm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		mkvm_vm_destroy(vm);
}

/**
 * mkvm_vm_kill() - stop a VM whose state can no longer be trusted
 * @vm: the VM
 *
 * Every later ioctl on its files fails with EIO; vCPUs in the guest leave it.
 */
void mkvm_vm_kill(struct mkvm *vm)
{
	WRITE_ONCE(vm->dead, true);
	mkvm_make_all_request(vm, MKVM_REQ_VM_DEAD);
}

static int mkvm_vm_set_user_memory_region(struct mkvm *vm, void __user *argp)
{
	struct kvm_userspace_memory_region region;

	if (copy_from_user(&region, argp, sizeof(region)))
		return -EFAULT;
	return mkvm_set_memory_region(vm, &region);
}

static long mkvm_vm_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	struct mkvm *vm = file->private_data;

	/* Memory slots name addresses of the creator's mm: no other may use the VM. */
	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;

	switch (ioctl) {
	case KVM_CREATE_VCPU:
		return mkvm_vcpu_create_fd(vm, arg);
	case KVM_SET_USER_MEMORY_REGION:
		return mkvm_vm_set_user_memory_region(vm, (void __user *)arg);
	case KVM_REGISTER_COALESCED_MMIO:
		return mkvm_ioctl_coalesced(vm, (void __user *)arg, true);
	case KVM_UNREGISTER_COALESCED_MMIO:
		return mkvm_ioctl_coalesced(vm, (void __user *)arg, false);
	case KVM_IOEVENTFD:
		return mkvm_ioctl_ioeventfd(vm, (void __user *)arg);
	case KVM_CHECK_EXTENSION:
		return mkvm_arch_check_extension(vm, arg);
	default:
		return mkvm_arch_vm_ioctl(vm, ioctl, arg);
	}
}

static int mkvm_vm_release(struct inode *inode, struct file *file)
{
	mkvm_vm_put(file->private_data);
	return 0;
}

static const struct file_operations mkvm_vm_fops = {
	.owner		= THIS_MODULE,
	.release	= mkvm_vm_release,
	.unlocked_ioctl	= mkvm_vm_ioctl,
	/* Where 32 bits make another structure, the ioctl has a number of its own. */
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

/**
 * mkvm_vm_create_fd() - KVM_CREATE_VM
 * @type: machine type, 0 on x86
 *
 * Return: a file descriptor of a new VM; EINVAL for an unknown type, ENOMEM, EMFILE.
 */
int mkvm_vm_create_fd(unsigned long type)
{
	struct mkvm *vm;
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	vm = mkvm_vm_create(type);
	if (IS_ERR(vm)) {
		put_unused_fd(fd);
		return PTR_ERR(vm);
	}

	file = anon_inode_getfile("minikvm-vm", &mkvm_vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		mkvm_vm_put(vm);
		return PTR_ERR(file);
	}

	mkvm_debugfs_add_vm(vm, fd);
	/* Another thread may use the descriptor from here on. */
	fd_install(fd, file);
	return fd;
}
