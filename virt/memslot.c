// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: which guest-physical ranges exist, and where they are in the
 * address space of the VM's process.
 *
 * The slots of a VM are one sorted array, replaced as a whole: readers hold
 * vm->srcu and see the old or the new one. A slot goes in two steps:
 *
 *   1. publish an array in which it is marked MKVM_SLOT_INVALID: faults on it are
 *      put off, and the notifier still finds it, since its pages may be mapped;
 *   2. wait for the readers of the old array, remove its mappings, flush;
 *   3. publish the array without it (or with it at its new place).
 *
 * If step 1 took it out at once, the notifier would not know any more which guest
 * frames map a page of it that the host takes back before step 2 is done.
 */
#include <linux/slab.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "minikvm.h"

/* Frames unmapped between two chances for others to run. */
#define MKVM_UNMAP_BATCH	((gfn_t)1 << (30 - PAGE_SHIFT))

static struct mkvm_memslots *mkvm_memslots_locked(struct mkvm *vm)
{
	return rcu_dereference_protected(vm->memslots,
					 lockdep_is_held(&vm->slots_lock));
}

static struct mkvm_memslots *mkvm_memslots_alloc(unsigned int count)
{
	struct mkvm_memslots *slots;

	slots = kzalloc(struct_size(slots, slots, count), GFP_KERNEL_ACCOUNT);
	if (slots)
		slots->count = count;
	return slots;
}

/** mkvm_memslots_init() - a VM starts without memory
 * @vm: the VM
 * Return: 0 or ENOMEM. */
int mkvm_memslots_init(struct mkvm *vm)
{
	struct mkvm_memslots *slots = mkvm_memslots_alloc(0);

	if (!slots)
		return -ENOMEM;
	rcu_assign_pointer(vm->memslots, slots);
	return 0;
}

/** mkvm_memslots_free() - free the slots of a VM that nobody uses any more
 * @vm: the VM */
void mkvm_memslots_free(struct mkvm *vm)
{
	/* Arrays that were replaced and whose callback has not run yet. */
	srcu_barrier(&vm->srcu);
	kfree(rcu_dereference_protected(vm->memslots, true));
}

static void mkvm_memslots_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct mkvm_memslots, rcu));
}

/**
 * mkvm_gfn_to_slot() - the slot that holds a guest frame
 * @vm: the VM
 * @gfn: guest frame number
 *
 * Context: vm->srcu held for reading; the slot is valid as long as it is.
 * Return: the slot, possibly marked %MKVM_SLOT_INVALID, or NULL.
 */
const struct mkvm_memslot *mkvm_gfn_to_slot(struct mkvm *vm, gfn_t gfn)
{
	const struct mkvm_memslots *slots = srcu_dereference(vm->memslots, &vm->srcu);
	unsigned int lo = 0, hi = slots->count;

	/* The last slot that starts at or below gfn. */
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (slots->slots[mid].base_gfn <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo && gfn - slots->slots[lo - 1].base_gfn < slots->slots[lo - 1].npages)
		return &slots->slots[lo - 1];
	return NULL;
}

/* --- KVM_SET_USER_MEMORY_REGION --------------------------------------------- */

static int mkvm_slot_index(const struct mkvm_memslots *slots, u16 id)
{
	int i;

	for (i = 0; i < slots->count; i++)
		if (slots->slots[i].id == id)
			return i;
	return -1;
}

static bool mkvm_slot_overlaps(const struct mkvm_memslots *slots,
			       const struct mkvm_memslot *new)
{
	unsigned int i;

	for (i = 0; i < slots->count; i++) {
		const struct mkvm_memslot *s = &slots->slots[i];

		if (s->id != new->id &&
		    new->base_gfn < s->base_gfn + s->npages &&
		    s->base_gfn < new->base_gfn + new->npages)
			return true;
	}
	return false;
}

/*
 * A copy of @old without the slot at @skip (-1: with all) and with @add (NULL: none)
 * in its place by address.
 */
static struct mkvm_memslots *mkvm_memslots_copy(const struct mkvm_memslots *old, int skip,
						const struct mkvm_memslot *add)
{
	struct mkvm_memslots *new;
	unsigned int i, n = 0;

	new = mkvm_memslots_alloc(old->count - (skip >= 0) + !!add);
	if (!new)
		return NULL;

	for (i = 0; i < old->count; i++) {
		if (add && add->base_gfn < old->slots[i].base_gfn) {
			new->slots[n++] = *add;
			add = NULL;
		}
		if (i != skip)
			new->slots[n++] = old->slots[i];
	}
	if (add)
		new->slots[n++] = *add;
	return new;
}

static void mkvm_memslots_publish(struct mkvm *vm, struct mkvm_memslots *new)
{
	struct mkvm_memslots *old = mkvm_memslots_locked(vm);

	rcu_assign_pointer(vm->memslots, new);
	WRITE_ONCE(vm->slots_generation, vm->slots_generation + 1);
	call_srcu(&vm->srcu, &old->rcu, mkvm_memslots_free_rcu);
}

static void mkvm_unmap_slot(struct mkvm *vm, const struct mkvm_memslot *slot)
{
	gfn_t gfn = slot->base_gfn, end = gfn + slot->npages, next;

	for (; gfn < end; gfn = next) {
		next = min(end, (gfn | (MKVM_UNMAP_BATCH - 1)) + 1);
		write_lock(&vm->mmu_lock);
		mkvm_arch_unmap(vm, gfn, next);
		write_unlock(&vm->mmu_lock);
		cond_resched();
	}
}

/* Remove the slot at @index; put @add, if any, into the array in the same step. */
static int mkvm_slot_replace(struct mkvm *vm, int index, const struct mkvm_memslot *add)
{
	struct mkvm_memslots *old = mkvm_memslots_locked(vm);
	struct mkvm_memslot gone = old->slots[index];
	struct mkvm_memslots *interim, *final;

	/* Both before anything changes: an error must leave all as it was. */
	interim = mkvm_memslots_copy(old, -1, NULL);
	final = mkvm_memslots_copy(old, index, add);
	if (!interim || !final) {
		kfree(interim);
		kfree(final);
		return -ENOMEM;
	}

	interim->slots[index].flags |= MKVM_SLOT_INVALID;
	mkvm_memslots_publish(vm, interim);
	/* No fault that looked at the old array can install a mapping after this. */
	synchronize_srcu_expedited(&vm->srcu);
	mkvm_unmap_slot(vm, &gone);
	mkvm_memslots_publish(vm, final);
	return 0;
}

static int mkvm_slot_create(struct mkvm *vm, const struct mkvm_memslot *new)
{
	struct mkvm_memslots *slots;

	slots = mkvm_memslots_copy(mkvm_memslots_locked(vm), -1, new);
	if (!slots)
		return -ENOMEM;
	mkvm_memslots_publish(vm, slots);
	return 0;
}

/* The rules that need only the request itself. */
static int mkvm_check_region(const struct kvm_userspace_memory_region *region)
{
	u64 size = region->memory_size, gpa = region->guest_phys_addr;

	/* Dirty logging does not exist yet: see limits.rst. */
	if (region->flags & ~KVM_MEM_READONLY)
		return -EINVAL;
	if ((size | gpa | region->userspace_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (!access_ok((void __user *)(unsigned long)region->userspace_addr, size))
		return -EINVAL;
	if (region->slot >= MKVM_MAX_MEMSLOTS)
		return -EINVAL;
	if (gpa + size < gpa)
		return -EINVAL;
	if (size >> PAGE_SHIFT > MKVM_MAX_SLOT_PAGES)
		return -EINVAL;
	return 0;
}

static int mkvm_set_region_locked(struct mkvm *vm,
				  const struct kvm_userspace_memory_region *region)
{
	struct mkvm_memslots *slots = mkvm_memslots_locked(vm);
	int index = mkvm_slot_index(slots, region->slot);
	const struct mkvm_memslot *old = index < 0 ? NULL : &slots->slots[index];
	struct mkvm_memslot new = {
		.base_gfn = region->guest_phys_addr >> PAGE_SHIFT,
		.npages = region->memory_size >> PAGE_SHIFT,
		.hva = region->userspace_addr,
		.flags = region->flags,
		.id = region->slot,
	};

	if (!new.npages)
		return old ? mkvm_slot_replace(vm, index, NULL) : -EINVAL;

	if (new.base_gfn + new.npages > mkvm_arch_max_gfn())
		return -EINVAL;
	/* A slot may move in guest-physical space; anything else is delete and create. */
	if (old && (old->hva != new.hva || old->npages != new.npages || old->flags != new.flags))
		return -EINVAL;
	if (old && old->base_gfn == new.base_gfn)
		return 0;
	if (mkvm_slot_overlaps(slots, &new))
		return -EEXIST;
	return old ? mkvm_slot_replace(vm, index, &new) : mkvm_slot_create(vm, &new);
}

/**
 * mkvm_set_memory_region() - KVM_SET_USER_MEMORY_REGION
 * @vm: the VM
 * @region: the request, a copy in kernel memory
 *
 * Creates, moves or (size 0) deletes a slot; with KVM_MEM_READONLY the guest's writes to it are
 * MMIO. When it returns, no vCPU uses a
 * mapping of a slot that is gone.
 *
 * Return: 0; EINVAL (flags, alignment, size, range, slot number; resizing or other flags; deleting
 * what does not exist), EEXIST (overlap), ENOMEM. On error nothing has changed.
 */
int mkvm_set_memory_region(struct mkvm *vm,
			   const struct kvm_userspace_memory_region *region)
{
	int r;

	r = mkvm_check_region(region);
	if (r)
		return r;

	mutex_lock(&vm->slots_lock);
	r = mkvm_set_region_locked(vm, region);
	mutex_unlock(&vm->slots_lock);
	return r;
}

/* --- Access to guest memory from the kernel ---------------------------------- */

/**
 * mkvm_gpa_to_user() - where guest-physical memory is in the process
 * @vm: the VM
 * @gpa: guest-physical address
 * @left: how much is left of its page
 *
 * Context: vm->srcu held for reading; valid as long as it is.
 * Return: the user address, or NULL when there is no memory.
 */
void __user *mkvm_gpa_to_user(struct mkvm *vm, gpa_t gpa, unsigned int *left)
{
	const struct mkvm_memslot *slot = mkvm_gfn_to_slot(vm, gpa >> PAGE_SHIFT);

	if (!slot || slot->flags & MKVM_SLOT_INVALID)
		return NULL;
	*left = PAGE_SIZE - offset_in_page(gpa);
	return (void __user *)(mkvm_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
}

/**
 * mkvm_read_guest() - copy from guest-physical memory
 * @vm: the VM, in whose mm this runs
 * @gpa: first byte
 * @data: destination
 * @len: bytes; may cross pages and slots
 *
 * Context: vm->srcu held for reading; may sleep.
 * Return: 0, or EFAULT when a byte is not memory; @data may then hold a part.
 */
int mkvm_read_guest(struct mkvm *vm, gpa_t gpa, void *data, unsigned int len)
{
	while (len) {
		unsigned int n;
		void __user *from = mkvm_gpa_to_user(vm, gpa, &n);

		if (!from)
			return -EFAULT;
		n = min(n, len);
		if (copy_from_user(data, from, n))
			return -EFAULT;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

/*
 * The same for a write. Return: 0; EFAULT: no memory; EROFS: a read-only slot.
 */
static int mkvm_gpa_to_writable(struct mkvm *vm, gpa_t gpa, void __user **to, unsigned int *left)
{
	const struct mkvm_memslot *slot = mkvm_gfn_to_slot(vm, gpa >> PAGE_SHIFT);

	if (slot && slot->flags & KVM_MEM_READONLY)
		return -EROFS;
	*to = mkvm_gpa_to_user(vm, gpa, left);
	return *to ? 0 : -EFAULT;
}

/**
 * mkvm_write_guest() - copy to guest-physical memory
 * @vm: the VM, in whose mm this runs
 * @gpa: first byte
 * @data: source
 * @len: bytes; may cross pages and slots
 *
 * Context: vm->srcu held for reading; may sleep.
 * Return: 0; EFAULT when a byte is not writable memory, EROFS when it is in a read-only slot; a
 * part may be written.
 */
int mkvm_write_guest(struct mkvm *vm, gpa_t gpa, const void *data, unsigned int len)
{
	while (len) {
		unsigned int n;
		void __user *to;
		int r = mkvm_gpa_to_writable(vm, gpa, &to, &n);

		if (r)
			return r;
		n = min(n, len);
		if (copy_to_user(to, data, n))
			return -EFAULT;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

/**
 * mkvm_cmpxchg_guest() - compare and exchange in guest-physical memory
 * @vm: the VM, in whose mm this runs
 * @gpa: address, aligned to @size
 * @old: expected value
 * @new: value to store
 * @size: 4 or 8 bytes
 *
 * Atomic against the guest's own vCPUs, like a CPU that sets an accessed bit.
 * Context: vm->srcu held for reading; may sleep.
 * Return: 0 stored; EAGAIN when the value was another; EFAULT when it is not
 * writable memory; EROFS in a read-only slot.
 */
int mkvm_cmpxchg_guest(struct mkvm *vm, gpa_t gpa, u64 old, u64 new, unsigned int size)
{
	unsigned int left;
	u32 old32 = old;
	void __user *p;
	bool done;
	int r;

	r = mkvm_gpa_to_writable(vm, gpa, &p, &left);
	if (r)
		return r;
	if (gpa & (size - 1))
		return -EFAULT;
	if (!user_access_begin(p, size))
		return -EFAULT;
	if (size == sizeof(u64))
		done = unsafe_try_cmpxchg_user((u64 __user *)p, &old, new, fault);
	else
		done = unsafe_try_cmpxchg_user((u32 __user *)p, &old32, (u32)new, fault);
	user_access_end();
	return done ? 0 : -EAGAIN;

fault:
	user_access_end();
	return -EFAULT;
}
