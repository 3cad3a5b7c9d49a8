// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IOEVENTFD: a write of the guest signals an eventfd, and the guest goes on. A device's doorbell
 * wakes the thread that serves the device, and costs the vCPU's thread no exit to userspace.
 */
#include <linux/eventfd.h>
#include <linux/hash.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "compat.h"
#include "minikvm.h"

/* Of a VM. All may be in one list, which is searched with interrupts off. */
#define MKVM_MAX_IOEVENTFDS	4096

/* Where an address is. The third is s390's: KVM takes it everywhere, and no guest here can write to it. */
enum { BUS_MMIO, BUS_PIO, BUS_CCW };

/**
 * struct mkvm_ioeventfd - a write that signals
 * @link:	in vm->ioeventfd.hash, by @addr; added and removed under vm->slots_lock, read under vm->srcu
 * @ctx:	what is signalled; holds a reference
 * @addr:	guest-physical address, or port
 * @data:	value that has to be written, unless @any_data
 * @len:	bytes that have to be written: 1, 2, 4, 8, or 0 for any number
 * @bus:	BUS_*
 * @any_data:	the value does not matter
 */
struct mkvm_ioeventfd {
	struct hlist_node link;
	struct eventfd_ctx *ctx;
	u64 addr;
	u64 data;
	u32 len;
	u8 bus;
	bool any_data;
};

static struct hlist_head *mkvm_ioeventfd_list(struct mkvm *vm, u64 addr)
{
	return &vm->ioeventfd.hash[hash_64(addr, MKVM_IOEVENTFD_HASH_BITS)];
}

static void mkvm_ioeventfd_free(struct mkvm_ioeventfd *p)
{
	eventfd_ctx_put(p->ctx);
	kfree(p);
}

/** mkvm_ioeventfd_destroy() - drop those that are left
 * @vm: the VM, that nobody uses any more */
void mkvm_ioeventfd_destroy(struct mkvm *vm)
{
	struct mkvm_ioeventfd *p;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm->ioeventfd.hash); i++)
		hlist_for_each_entry_safe(p, next, &vm->ioeventfd.hash[i], link)
			mkvm_ioeventfd_free(p);
}

/* --- Adding and removing -------------------------------------------------------------------------- */

/* Could a write be meant for both? */
static bool mkvm_ioeventfds_collide(const struct mkvm_ioeventfd *a, const struct mkvm_ioeventfd *b)
{
	return a->bus == b->bus && a->addr == b->addr &&
	       (!a->len || !b->len ||
		(a->len == b->len && (a->any_data || b->any_data || a->data == b->data)));
}

static bool mkvm_ioeventfds_same(const struct mkvm_ioeventfd *a, const struct mkvm_ioeventfd *b)
{
	return a->bus == b->bus && a->addr == b->addr && a->len == b->len && a->ctx == b->ctx &&
	       a->any_data == b->any_data && (a->any_data || a->data == b->data);
}

/* @new becomes the VM's when the return is 0. */
static int mkvm_ioeventfd_add(struct mkvm *vm, struct mkvm_ioeventfd *new)
{
	struct hlist_head *list = mkvm_ioeventfd_list(vm, new->addr);
	const struct mkvm_ioeventfd *p;

	lockdep_assert_held(&vm->slots_lock);
	hlist_for_each_entry(p, list, link)
		if (mkvm_ioeventfds_collide(p, new))
			return -EEXIST;
	if (vm->ioeventfd.count == MKVM_MAX_IOEVENTFDS)
		return -ENOSPC;
	hlist_add_head_rcu(&new->link, list);
	vm->ioeventfd.count++;
	mkvm_bus_changed(vm);
	return 0;
}

static int mkvm_ioeventfd_remove(struct mkvm *vm, const struct mkvm_ioeventfd *like)
{
	struct mkvm_ioeventfd *p;

	lockdep_assert_held(&vm->slots_lock);
	hlist_for_each_entry(p, mkvm_ioeventfd_list(vm, like->addr), link) {
		if (!mkvm_ioeventfds_same(p, like))
			continue;
		hlist_del_rcu(&p->link);
		vm->ioeventfd.count--;
		mkvm_bus_changed(vm);
		synchronize_srcu_expedited(&vm->srcu);
		mkvm_ioeventfd_free(p);
		return 0;
	}
	return -ENOENT;
}

/* What KVM refuses, in its order; it refuses nothing when it is to remove. */
static bool mkvm_ioeventfd_valid(const struct kvm_ioeventfd *args)
{
	return (!args->len || (is_power_of_2(args->len) && args->len <= 8)) &&
	       args->addr + args->len >= args->addr &&
	       !(args->flags & ~KVM_IOEVENTFD_VALID_FLAG_MASK) &&
	       (args->len || !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH));
}

/**
 * mkvm_ioctl_ioeventfd() - KVM_IOEVENTFD
 * @vm: the VM
 * @arg: struct kvm_ioeventfd
 *
 * Return: 0; EFAULT; EINVAL (length, flags, or a range that wraps; not an eventfd); EBADF; EEXIST (a write
 * could be meant for another one, too); ENOENT (none to remove); ENOSPC (too many); ENOMEM.
 */
int mkvm_ioctl_ioeventfd(struct mkvm *vm, const struct kvm_ioeventfd __user *arg)
{
	struct mkvm_ioeventfd *p;
	struct kvm_ioeventfd args;
	bool remove;
	int r;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	remove = args.flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	if (!remove && !mkvm_ioeventfd_valid(&args))
		return -EINVAL;

	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	p->ctx = eventfd_ctx_fdget(args.fd);
	if (IS_ERR(p->ctx)) {
		r = PTR_ERR(p->ctx);
		kfree(p);
		return r;
	}
	p->addr = args.addr;
	p->data = args.datamatch;
	p->len = args.len;
	p->bus = args.flags & KVM_IOEVENTFD_FLAG_PIO ? BUS_PIO :
		 args.flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY ? BUS_CCW : BUS_MMIO;
	p->any_data = !(args.flags & KVM_IOEVENTFD_FLAG_DATAMATCH);

	mutex_lock(&vm->slots_lock);
	r = remove ? mkvm_ioeventfd_remove(vm, p) : mkvm_ioeventfd_add(vm, p);
	mutex_unlock(&vm->slots_lock);
	if (r || remove)
		mkvm_ioeventfd_free(p);
	return r;
}

/* --- Writes of the guest -------------------------------------------------------------------------- */

/**
 * mkvm_ioeventfd_write() - signal whom a write is meant for
 * @vm: the VM; vm->srcu held
 * @pio: a port; else guest-physical memory
 * @addr: port or address
 * @data: what is written
 * @len: bytes, at most 8
 *
 * Context: also with interrupts off.
 * Return: whether there is somebody.
 */
bool mkvm_ioeventfd_write(struct mkvm *vm, bool pio, u64 addr, const void *data, unsigned int len)
{
	const struct mkvm_ioeventfd *p;
	u64 value = 0;

	memcpy(&value, data, min_t(unsigned int, len, sizeof(value)));
	hlist_for_each_entry_srcu(p, mkvm_ioeventfd_list(vm, addr), link,
				  srcu_read_lock_held(&vm->srcu)) {
		if (p->bus != (pio ? BUS_PIO : BUS_MMIO) || p->addr != addr ||
		    (p->len && p->len != len) || !(p->any_data || p->data == value))
			continue;
		mkvm_eventfd_signal(p->ctx);
		return true;
	}
	return false;
}
