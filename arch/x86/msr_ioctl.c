// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls about MSRs: which there are, reading and writing those of a vCPU, what this machine
 * offers in feature MSRs, and the VM's settings. The filter is in msr_filter.c.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "msr.h"

/* --- Lists -------------------------------------------------------------------------------- */

typedef bool (*msr_wanted_t)(const struct msr_row *row);

static bool msr_is_saved(const struct msr_row *row)
{
	return row->flags & MSR_SAVE && mkvm_msr_exists(row);
}

static bool msr_is_feature(const struct msr_row *row)
{
	return row->offered && mkvm_msr_exists(row);
}

/* The header is always updated to the number that exists. Return: 0, E2BIG or EFAULT. */
static int msr_list(struct kvm_msr_list __user *arg, msr_wanted_t wanted)
{
	const struct msr_row *row, *rows;
	unsigned int nr_rows, nr = 0;
	struct kvm_msr_list head;
	u32 room, msr;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	room = head.nmsrs;

	rows = mkvm_msr_rows(&nr_rows);
	for (row = rows; row < rows + nr_rows; row++)
		if (wanted(row))
			nr += row->last - row->first + 1;
	head.nmsrs = nr;
	if (copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;

	nr = 0;
	for (row = rows; row < rows + nr_rows; row++) {
		if (!wanted(row))
			continue;
		for (msr = row->first; msr <= row->last; msr++)
			if (put_user(msr, &arg->indices[nr++]))
				return -EFAULT;
	}
	return 0;
}

/**
 * mkvm_get_msr_index_list() - KVM_GET_MSR_INDEX_LIST
 * @arg: header with the number of indices there is room for, then the indices
 * Return: 0, E2BIG or EFAULT.
 */
int mkvm_get_msr_index_list(struct kvm_msr_list __user *arg)
{
	return msr_list(arg, msr_is_saved);
}

/**
 * mkvm_get_msr_feature_index_list() - KVM_GET_MSR_FEATURE_INDEX_LIST
 * @arg: header with the number of indices there is room for, then the indices
 * Return: 0, E2BIG or EFAULT.
 */
int mkvm_get_msr_feature_index_list(struct kvm_msr_list __user *arg)
{
	return msr_list(arg, msr_is_feature);
}

/* --- Values ---------------------------------------------------------------------------------- */

/* As in KVM: entries of one call. */
#define MKVM_MAX_IO_MSRS	256

enum msr_direction { MSR_GET_FEATURES, MSR_GET, MSR_SET };

static int msr_one(struct mkvm_vcpu *vcpu, struct kvm_msr_entry *entry, enum msr_direction dir)
{
	switch (dir) {
	case MSR_GET:
		return mkvm_get_msr(vcpu, entry->index, &entry->data, true);
	case MSR_SET:
		return mkvm_set_msr(vcpu, entry->index, entry->data, true);
	default:
		return mkvm_get_msr_feature(entry->index, &entry->data);
	}
}

/* @vcpu: NULL for features. */
static long msr_io(struct mkvm_vcpu *vcpu, struct kvm_msrs __user *arg, enum msr_direction dir)
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	unsigned int i;
	size_t size;
	long r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MKVM_MAX_IO_MSRS)
		return -E2BIG;

	size = array_size(sizeof(*entries), head.nmsrs);
	entries = mkvm_memdup_user(arg->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);

	for (i = 0; i < head.nmsrs; i++)
		if (msr_one(vcpu, &entries[i], dir))
			break;

	r = i;
	if (dir != MSR_SET && copy_to_user(arg->entries, entries, size))
		r = -EFAULT;
	kvfree(entries);
	return r;
}

/**
 * mkvm_ioctl_msrs() - KVM_GET_MSRS and KVM_SET_MSRS of a vCPU
 * @vcpu: the vCPU, loaded
 * @arg: header with the number of entries, then the entries
 * @set: direction
 *
 * Return: the number of entries done: the first that fails ends the work; E2BIG; EFAULT;
 * ENOMEM.
 */
long mkvm_ioctl_msrs(struct mkvm_vcpu *vcpu, struct kvm_msrs __user *arg, bool set)
{
	return msr_io(vcpu, arg, set ? MSR_SET : MSR_GET);
}

/**
 * mkvm_get_msr_features() - KVM_GET_MSRS of the device
 * @arg: header with the number of entries, then the entries
 * Return: as mkvm_ioctl_msrs().
 */
long mkvm_get_msr_features(struct kvm_msrs __user *arg)
{
	return msr_io(NULL, arg, MSR_GET_FEATURES);
}

/* --- Settings of a VM ---------------------------------------------------------------------------- */

#define MKVM_MSR_EXIT_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |	\
				 KVM_MSR_EXIT_REASON_FILTER)

/**
 * mkvm_msr_enable_cap() - KVM_ENABLE_CAP of what concerns MSRs
 * @vm: the VM
 * @cap: KVM_CAP_X86_USER_SPACE_MSR or KVM_CAP_MSR_PLATFORM_INFO
 * Return: 0; EINVAL: an unknown reason for exits.
 */
int mkvm_msr_enable_cap(struct mkvm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->cap == KVM_CAP_MSR_PLATFORM_INFO) {
		WRITE_ONCE(vm->arch.hide_platform_info, !cap->args[0]);
		return 0;
	}
	if (cap->args[0] & ~(u64)MKVM_MSR_EXIT_REASONS)
		return -EINVAL;
	WRITE_ONCE(vm->arch.user_space_msr, cap->args[0]);
	return 0;
}
