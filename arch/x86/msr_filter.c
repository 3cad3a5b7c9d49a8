// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_X86_SET_MSR_FILTER: userspace takes MSRs away from the guest. RDMSR and WRMSR of one that is
 * taken away give #GP, or go to userspace (KVM_MSR_EXIT_REASON_FILTER, msr.c).
 *
 * All RDMSR and WRMSR exit, so a filter is looked at there and nowhere else, mostly with interrupts
 * off: hence RCU. When the ioctl returns, every access that begins is one under the new filter.
 */
#include <linux/compat.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "msr.h"

/* As in KVM: MSRs that belong to the APIC cannot be filtered. */
#define X2APIC_FIRST	0x800
#define X2APIC_LAST	0x8ff

/**
 * struct mkvm_msr_range - MSRs with a bit each
 * @flags: KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE: what the bits are about
 * @base: first MSR
 * @nmsrs: how many
 * @bitmap: 1: the guest may
 */
struct mkvm_msr_range {
	u32 flags;
	u32 base;
	u32 nmsrs;
	unsigned long *bitmap;
};

/**
 * struct mkvm_msr_filter - a filter, constant once it is published
 * @default_allow: what is in no range is allowed
 * @nr: number of ranges
 * @ranges: the first one that fits decides
 */
struct mkvm_msr_filter {
	bool default_allow;
	unsigned int nr;
	struct mkvm_msr_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

static bool filter_allows(const struct mkvm_msr_filter *filter, u32 msr, u32 type)
{
	const struct mkvm_msr_range *r;
	u32 n;

	for (r = filter->ranges; r < filter->ranges + filter->nr; r++) {
		n = msr - r->base;
		if (msr >= r->base && n < r->nmsrs && r->flags & type)
			return test_bit(array_index_nospec(n, r->nmsrs), r->bitmap);
	}
	return filter->default_allow;
}

/**
 * mkvm_msr_allowed() - does the VM's filter let the guest use an MSR?
 * @vcpu: the vCPU
 * @msr: index
 * @type: KVM_MSR_FILTER_READ or KVM_MSR_FILTER_WRITE
 * Context: also with interrupts off.
 */
bool mkvm_msr_allowed(struct mkvm_vcpu *vcpu, u32 msr, u32 type)
{
	const struct mkvm_msr_filter *filter;
	bool allowed;

	if (msr >= X2APIC_FIRST && msr <= X2APIC_LAST)
		return true;
	rcu_read_lock();
	filter = rcu_dereference(vcpu->vm->arch.msr_filter);
	allowed = !filter || filter_allows(filter, msr, type);
	rcu_read_unlock();
	return allowed;
}

/* --- Setting one ------------------------------------------------------------------------------ */

static void filter_free(struct mkvm_msr_filter *filter)
{
	unsigned int i;

	if (!filter)
		return;
	for (i = 0; i < filter->nr; i++)
		kvfree(filter->ranges[i].bitmap);
	kfree(filter);
}

static int filter_add_range(struct mkvm_msr_filter *filter,
			    const struct kvm_msr_filter_range *range)
{
	unsigned long *bitmap;
	size_t size;

	/* A range that is not used. */
	if (!range->nmsrs)
		return 0;
	if (!range->flags || range->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE))
		return -EINVAL;
	size = BITS_TO_LONGS((size_t)range->nmsrs) * sizeof(*bitmap);
	if (size > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;

	bitmap = mkvm_memdup_user((void __user *)range->bitmap, size);
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);
	filter->ranges[filter->nr++] = (struct mkvm_msr_range){
		.flags = range->flags,
		.base = range->base,
		.nmsrs = range->nmsrs,
		.bitmap = bitmap,
	};
	return 0;
}

/* Return: the filter; NULL: it forbids nothing; EINVAL, EFAULT, ENOMEM. */
static struct mkvm_msr_filter *filter_create(const struct kvm_msr_filter *in)
{
	struct mkvm_msr_filter *filter;
	unsigned int i;
	int r;

	if (in->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return ERR_PTR(-EINVAL);
	filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->default_allow = !(in->flags & KVM_MSR_FILTER_DEFAULT_DENY);

	for (i = 0; i < ARRAY_SIZE(in->ranges); i++) {
		r = filter_add_range(filter, &in->ranges[i]);
		if (r)
			goto out;
	}
	if (filter->nr)
		return filter;
	/* No range at all: to forbid everything is not possible, to allow it needs no filter. */
	r = filter->default_allow ? 0 : -EINVAL;
out:
	filter_free(filter);
	return ERR_PTR(r);
}

static int filter_install(struct mkvm *vm, const struct kvm_msr_filter *in)
{
	struct mkvm_msr_filter *new, *old;

	new = filter_create(in);
	if (IS_ERR(new))
		return PTR_ERR(new);

	mutex_lock(&vm->lock);
	old = rcu_replace_pointer(vm->arch.msr_filter, new, lockdep_is_held(&vm->lock));
	mutex_unlock(&vm->lock);
	/* Also when there was none: nobody may go on as if that were so still. */
	synchronize_rcu();
	filter_free(old);
	return 0;
}

/**
 * mkvm_set_msr_filter() - KVM_X86_SET_MSR_FILTER
 * @vm: the VM
 * @arg: the filter; it replaces the one before
 * Return: 0; EFAULT, ENOMEM; EINVAL: unknown flags, a range with none or too large, a filter
 * without ranges that denies. The old filter stays then.
 */
int mkvm_set_msr_filter(struct mkvm *vm, const struct kvm_msr_filter __user *arg)
{
	struct kvm_msr_filter filter;

	if (copy_from_user(&filter, arg, sizeof(filter)))
		return -EFAULT;
	return filter_install(vm, &filter);
}

/**
 * mkvm_set_msr_filter_compat() - KVM_X86_SET_MSR_FILTER of a 32-bit program
 * @vm: the VM
 * @arg: the filter as such a program sees it
 * Return: as mkvm_set_msr_filter(); ENOTTY: the program has 64 bits.
 */
int mkvm_set_msr_filter_compat(struct mkvm *vm, const struct mkvm_compat_msr_filter __user *arg)
{
	struct mkvm_compat_msr_filter compat;
	struct kvm_msr_filter filter;
	unsigned int i;

	if (!in_compat_syscall())
		return -ENOTTY;
	if (copy_from_user(&compat, arg, sizeof(compat)))
		return -EFAULT;

	filter.flags = compat.flags;
	for (i = 0; i < ARRAY_SIZE(filter.ranges); i++)
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = compat.ranges[i].flags,
			.nmsrs = compat.ranges[i].nmsrs,
			.base = compat.ranges[i].base,
			.bitmap = (__u8 *)(unsigned long)compat.ranges[i].bitmap,
		};
	return filter_install(vm, &filter);
}

/** mkvm_msr_filter_destroy() - free the filter
 * @vm: the VM, which nobody uses any more */
void mkvm_msr_filter_destroy(struct mkvm *vm)
{
	filter_free(rcu_dereference_protected(vm->arch.msr_filter, true));
}
