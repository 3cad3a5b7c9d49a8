// SPDX-License-Identifier: GPL-2.0
/*
 * The vCPU file: its lifetime, its mapping and its ioctls; and the vCPU's place on
 * a CPU (load and put, with the scheduler's hooks).
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "minikvm.h"

/* --- On and off a CPU ------------------------------------------------------ */

static void mkvm_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct mkvm_vcpu *vcpu = container_of(pn, struct mkvm_vcpu, preempt);

	mkvm_arch_vcpu_load(vcpu, cpu);
	vcpu->cpu = cpu;
}

static void mkvm_sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct mkvm_vcpu *vcpu = container_of(pn, struct mkvm_vcpu, preempt);

	mkvm_arch_vcpu_put(vcpu);
}

static struct preempt_ops mkvm_preempt_ops = {
	.sched_in	= mkvm_sched_in,
	.sched_out	= mkvm_sched_out,
};

/**
 * mkvm_vcpu_load() - put the vCPU on this CPU and keep it with this thread
 * @vcpu: the vCPU, mutex held
 *
 * Until mkvm_vcpu_put() the scheduler's hooks move the vCPU with the thread. What
 * lives in the hardware (the VMCS) can be used in between with preemption on or off.
 */
void mkvm_vcpu_load(struct mkvm_vcpu *vcpu)
{
	int cpu = get_cpu();

	preempt_notifier_register(&vcpu->preempt);
	mkvm_arch_vcpu_load(vcpu, cpu);
	vcpu->cpu = cpu;
	put_cpu();
}

/** mkvm_vcpu_put() - undo mkvm_vcpu_load()
 * @vcpu: the vCPU */
void mkvm_vcpu_put(struct mkvm_vcpu *vcpu)
{
	preempt_disable();
	mkvm_arch_vcpu_put(vcpu);
	preempt_notifier_unregister(&vcpu->preempt);
	preempt_enable();
}

/* --- The file --------------------------------------------------------------- */

static vm_fault_t mkvm_vcpu_fault(struct vm_fault *vmf)
{
	struct mkvm_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff == 0)
		page = virt_to_page(vcpu->run);
	else if (vmf->pgoff == MKVM_COALESCED_PAGE_OFFSET)
		page = virt_to_page(vcpu->vm->coalesced.ring);
	else
		page = mkvm_arch_vcpu_mmap_page(vcpu, vmf->pgoff);
	if (!page)
		return VM_FAULT_SIGBUS;

	/* A mapping may outlive the file, and the page the vCPU. */
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct mkvm_vcpu_vm_ops = {
	.fault = mkvm_vcpu_fault,
};

static int mkvm_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &mkvm_vcpu_vm_ops;
	return 0;
}

/* KVM_SET_SIGNAL_MASK; @compat: the caller has 32 bits. */
static noinline long mkvm_set_signal_mask(struct mkvm_vcpu *vcpu,
					  struct kvm_signal_mask __user *arg, bool compat)
{
	struct kvm_signal_mask head;
	sigset_t set;

	if (!arg) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.len != (compat ? sizeof(compat_sigset_t) : sizeof(set)))
		return -EINVAL;
	if (IS_ENABLED(CONFIG_COMPAT) && compat ?
	    get_compat_sigset(&set, (compat_sigset_t __user *)arg->sigset) :
	    copy_from_user(&set, arg->sigset, sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = set;
	vcpu->sigset_active = true;
	return 0;
}

/*
 * KVM_RUN, under the vCPU's own signal mask if it has one. The thread's waits where pselect()
 * keeps it too: whoever looks at the thread from outside sees what it blocks otherwise.
 */
static long mkvm_vcpu_run(struct mkvm_vcpu *vcpu)
{
	long r;

	if (likely(!vcpu->sigset_active))
		return mkvm_arch_vcpu_run(vcpu);

	sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
	r = mkvm_arch_vcpu_run(vcpu);
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
	return r;
}

static long mkvm_vcpu_do_ioctl(struct mkvm_vcpu *vcpu, unsigned int ioctl, unsigned long arg,
			       bool compat)
{
	long r;

	if (vcpu->vm->mm != current->mm || READ_ONCE(vcpu->vm->dead))
		return -EIO;

	if (_IOC_TYPE(ioctl) != KVMIO)
		return -EINVAL;

	/* Killable: another thread may be in KVM_RUN for ever. */
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	switch (ioctl) {
	case KVM_RUN:
		r = arg ? -EINVAL : mkvm_vcpu_run(vcpu);
		break;
	case KVM_SET_SIGNAL_MASK:
		r = mkvm_set_signal_mask(vcpu, (void __user *)arg, compat);
		break;
	default:
		r = mkvm_arch_vcpu_ioctl(vcpu, ioctl, arg);
	}
	mutex_unlock(&vcpu->mutex);
	return r;
}

static long mkvm_vcpu_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	return mkvm_vcpu_do_ioctl(file->private_data, ioctl, arg, false);
}

#ifdef CONFIG_COMPAT
static long mkvm_vcpu_compat_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	return mkvm_vcpu_do_ioctl(file->private_data, ioctl, (unsigned long)compat_ptr(arg), true);
}
#else
#define mkvm_vcpu_compat_ioctl	NULL
#endif

static int mkvm_vcpu_release(struct inode *inode, struct file *file)
{
	struct mkvm_vcpu *vcpu = file->private_data;

	mkvm_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations mkvm_vcpu_fops = {
	.owner		= THIS_MODULE,
	.release	= mkvm_vcpu_release,
	.unlocked_ioctl	= mkvm_vcpu_ioctl,
	.compat_ioctl	= mkvm_vcpu_compat_ioctl,
	.mmap		= mkvm_vcpu_mmap,
	.llseek		= noop_llseek,
};

/* --- Lifetime --------------------------------------------------------------- */

static struct mkvm_vcpu *mkvm_vcpu_create(struct mkvm *vm, u32 id)
{
	struct mkvm_vcpu *vcpu;
	struct page *page;
	int r = -ENOMEM;

	vcpu = kvzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);

	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		goto out_free;
	vcpu->run = page_address(page);

	mutex_init(&vcpu->mutex);
	preempt_notifier_init(&vcpu->preempt, &mkvm_preempt_ops);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->idx = vm->nr_vcpus;
	vcpu->cpu = -1;
	vcpu->mode = MKVM_OUTSIDE_GUEST;

	r = mkvm_arch_vcpu_create(vcpu);
	if (r)
		goto out_run;
	return vcpu;

out_run:
	put_page(page);
out_free:
	kvfree(vcpu);
	return ERR_PTR(r);
}

/** mkvm_vcpu_destroy() - free a vCPU whose file is closed or was never made
 * @vcpu: the vCPU */
void mkvm_vcpu_destroy(struct mkvm_vcpu *vcpu)
{
	mkvm_arch_vcpu_destroy(vcpu);
	put_page(virt_to_page(vcpu->run));
	kvfree(vcpu);
}

static bool mkvm_vcpu_id_taken(struct mkvm *vm, u32 id)
{
	struct mkvm_vcpu *vcpu;
	unsigned int i;

	mkvm_for_each_vcpu(i, vcpu, vm)
		if (vcpu->id == id)
			return true;
	return false;
}

static int mkvm_vcpu_install(struct mkvm *vm, struct mkvm_vcpu *vcpu)
{
	char name[32];
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	snprintf(name, sizeof(name), "minikvm-vcpu:%d", vcpu->id);
	file = anon_inode_getfile(name, &mkvm_vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}

	mkvm_vm_get(vm);
	vm->vcpus[vcpu->idx] = vcpu;
	/* Pairs with the acquire in mkvm_for_each_vcpu(). */
	smp_store_release(&vm->nr_vcpus, vcpu->idx + 1);
	mkvm_debugfs_add_vcpu(vcpu);

	/* Nothing can fail any more: another thread may use the descriptor now. */
	fd_install(fd, file);
	return fd;
}

/**
 * mkvm_vcpu_create_fd() - KVM_CREATE_VCPU
 * @vm: the VM
 * @id: number of the vCPU, below %MKVM_MAX_VCPUS and what the architecture permits; KVM before
 *	Linux 6.11 looks at the lower half only
 *
 * Return: a file descriptor; EINVAL (id or number of vCPUs too large), EEXIST,
 * ENOMEM, EMFILE.
 */
int mkvm_vcpu_create_fd(struct mkvm *vm, unsigned long id)
{
	struct mkvm_vcpu *vcpu;
	int r;

	if (id >= MKVM_MAX_VCPUS)
		return -EINVAL;

	mutex_lock(&vm->lock);
	if (vm->nr_vcpus == MKVM_MAX_VCPUS) {
		r = -EINVAL;
		goto out;
	}
	r = mkvm_arch_vcpu_precreate(vm, id);
	if (r)
		goto out;
	if (mkvm_vcpu_id_taken(vm, id)) {
		r = -EEXIST;
		goto out;
	}
	vcpu = mkvm_vcpu_create(vm, id);
	if (IS_ERR(vcpu)) {
		r = PTR_ERR(vcpu);
		goto out;
	}
	r = mkvm_vcpu_install(vm, vcpu);
	if (r < 0)
		mkvm_vcpu_destroy(vcpu);
out:
	mutex_unlock(&vm->lock);
	return r;
}
