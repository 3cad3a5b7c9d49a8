// SPDX-License-Identifier: GPL-2.0
/*
 * Coalesced MMIO and port I/O: writes to zones that userspace has named are put into a ring, which it
 * reads when it has another reason to. A device with many registers to write costs one exit to
 * userspace instead of many.
 *
 * The ring is a page shared with userspace. Its @last is ours to advance, its @first userspace's;
 * both are only believed after a check, since userspace can write anything anywhere in it.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "minikvm.h"

/* As in KVM: devices of a bus. */
#define MKVM_MAX_ZONES	1000

/**
 * struct mkvm_zones - the zones of a VM
 * @count:	number of zones
 * @zones:	in no order; may overlap
 *
 * Immutable once published, as struct mkvm_memslots.
 */
struct mkvm_zones {
	unsigned int count;
	struct kvm_coalesced_mmio_zone zones[];
};

/** mkvm_coalesced_init() - no zones, an empty ring
 * @vm: the VM, being created
 * Return: 0 or ENOMEM. */
int mkvm_coalesced_init(struct mkvm *vm)
{
	spin_lock_init(&vm->coalesced.lock);
	vm->coalesced.ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vm->coalesced.ring ? 0 : -ENOMEM;
}

/** mkvm_coalesced_free() - undo it
 * @vm: the VM, that nobody uses any more */
void mkvm_coalesced_free(struct mkvm *vm)
{
	kvfree(rcu_dereference_protected(vm->coalesced.zones, true));
	/* Not free_page(): a mapping of userspace may still hold it. */
	put_page(virt_to_page(vm->coalesced.ring));
}

/** mkvm_coalesced_zones() - how many zones there are
 * @vm: the VM; vm->slots_lock held */
unsigned int mkvm_coalesced_zones(struct mkvm *vm)
{
	const struct mkvm_zones *zones = rcu_dereference_protected(vm->coalesced.zones,
								   lockdep_is_held(&vm->slots_lock));

	return zones ? zones->count : 0;
}

static bool mkvm_zone_contains(const struct kvm_coalesced_mmio_zone *zone, bool pio, u64 addr,
			       u64 len)
{
	return zone->pio == pio && addr >= zone->addr && addr + len >= addr &&
	       addr + len <= zone->addr + zone->size;
}

/* Publish the zones without those that contain @remove, and with @add (NULL: none). */
static int mkvm_zones_replace(struct mkvm *vm, const struct kvm_coalesced_mmio_zone *remove,
			      const struct kvm_coalesced_mmio_zone *add)
{
	struct mkvm_zones *old = rcu_dereference_protected(vm->coalesced.zones,
							   lockdep_is_held(&vm->slots_lock));
	unsigned int i, count = old ? old->count : 0;
	struct mkvm_zones *new;

	if (add && count == MKVM_MAX_ZONES)
		return -ENOSPC;
	new = kvzalloc(struct_size(new, zones, count + 1), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		if (!remove || !mkvm_zone_contains(&old->zones[i], remove->pio, remove->addr,
						   remove->size))
			new->zones[new->count++] = old->zones[i];
	if (add)
		new->zones[new->count++] = *add;
	if (!new->count) {
		kvfree(new);
		new = NULL;
	}
	rcu_assign_pointer(vm->coalesced.zones, new);
	mkvm_bus_changed(vm);
	/* Not call_srcu(): a reader may take long, and userspace could make new ones meanwhile. */
	synchronize_srcu_expedited(&vm->srcu);
	kvfree(old);
	return 0;
}

/**
 * mkvm_ioctl_coalesced() - KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO
 * @vm: the VM
 * @arg: struct kvm_coalesced_mmio_zone
 * @add: register
 *
 * Unregistering removes every zone that contains the given one; none is no error.
 * Return: 0; EFAULT; EINVAL (@pio is neither 0 nor 1); ENOSPC (too many); ENOMEM.
 */
int mkvm_ioctl_coalesced(struct mkvm *vm, const struct kvm_coalesced_mmio_zone __user *arg,
			 bool add)
{
	struct kvm_coalesced_mmio_zone zone;
	int r;

	if (copy_from_user(&zone, arg, sizeof(zone)))
		return -EFAULT;
	if (zone.pio > 1)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	r = add ? mkvm_zones_replace(vm, NULL, &zone) : mkvm_zones_replace(vm, &zone, NULL);
	mutex_unlock(&vm->slots_lock);
	return r;
}

static bool mkvm_zones_have(struct mkvm *vm, bool pio, u64 addr, unsigned int len)
{
	const struct mkvm_zones *zones = srcu_dereference(vm->coalesced.zones, &vm->srcu);
	unsigned int i;

	for (i = 0; zones && i < zones->count; i++)
		if (mkvm_zone_contains(&zones->zones[i], pio, addr, len))
			return true;
	return false;
}

/* Return: false when the ring is full, or makes no sense. */
static bool mkvm_ring_add(struct mkvm *vm, const struct kvm_coalesced_mmio *entry)
{
	struct kvm_coalesced_mmio_ring *ring = vm->coalesced.ring;
	bool room;
	u32 last;

	spin_lock(&vm->coalesced.lock);
	last = READ_ONCE(ring->last);
	room = last < KVM_COALESCED_MMIO_MAX &&
	       (last + 1) % KVM_COALESCED_MMIO_MAX != READ_ONCE(ring->first);
	if (room) {
		ring->coalesced_mmio[array_index_nospec(last, KVM_COALESCED_MMIO_MAX)] = *entry;
		/* The entry first, then the index that shows it to userspace. */
		smp_store_release(&ring->last, (last + 1) % KVM_COALESCED_MMIO_MAX);
	}
	spin_unlock(&vm->coalesced.lock);
	return room;
}

/**
 * mkvm_coalesce() - put a write into the ring, if it belongs there
 * @vm: the VM; vm->srcu held
 * @pio: a port; else guest-physical memory
 * @addr: port or address
 * @data: what is written
 * @len: bytes, at most 8
 *
 * Context: also with interrupts off.
 * Return: whether it is done.
 */
bool mkvm_coalesce(struct mkvm *vm, bool pio, u64 addr, const void *data, unsigned int len)
{
	struct kvm_coalesced_mmio entry = { .phys_addr = addr, .len = len, .pio = pio };

	memcpy(entry.data, data, min_t(unsigned int, len, sizeof(entry.data)));
	return mkvm_zones_have(vm, pio, addr, len) && mkvm_ring_add(vm, &entry);
}
