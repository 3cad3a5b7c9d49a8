// SPDX-License-Identifier: GPL-2.0
/*
 * Writes of the guest to where no memory is, and to ports: what in the kernel takes them before userspace
 * gets to see them. Reads always go to userspace.
 */
#include <linux/srcu.h>

#include "minikvm.h"

/**
 * mkvm_bus_changed() - count again who takes writes
 * @vm: the VM; vm->slots_lock held
 *
 * Before the ioctl that adds one returns: a write that the guest makes after it is taken.
 */
void mkvm_bus_changed(struct mkvm *vm)
{
	lockdep_assert_held(&vm->slots_lock);
	WRITE_ONCE(vm->bus_users, vm->ioeventfd.count + mkvm_coalesced_zones(vm));
}

/** mkvm_bus_write_slow() - mkvm_bus_write() where somebody takes writes
 * @vm: the VM
 * @pio: a port; else guest-physical memory
 * @addr: port or address
 * @data: what is written
 * @len: bytes, at most 8
 * Return: whether it is done. */
bool mkvm_bus_write_slow(struct mkvm *vm, bool pio, u64 addr, const void *data, unsigned int len)
{
	int idx = srcu_read_lock(&vm->srcu);
	bool done;

	done = mkvm_ioeventfd_write(vm, pio, addr, data, len) ||
	       mkvm_coalesce(vm, pio, addr, data, len);
	srcu_read_unlock(&vm->srcu, idx);
	return done;
}
