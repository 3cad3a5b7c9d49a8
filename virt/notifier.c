// SPDX-License-Identifier: GPL-2.0
/*
 * Keeping the second-level tables honest: whenever the host changes its page tables
 * (swap, migration, KSM, madvise, munmap, fork ...), what we mapped must go first.
 *
 * A fault takes no lock while it asks the host for a page, so an invalidation may
 * come in between. The protocol:
 *
 *   fault                                  invalidation
 *   -----                                  ------------
 *   seq = vm->inval_seq; smp_rmb()         start: lock(mmu_lock)
 *   get the page (may sleep)                 inval_count++, remember the range
 *   lock(mmu_lock)                           unmap the range, flush the TLBs
 *     mkvm_inval_raced(seq)?               unlock
 *       yes: drop the page, try again      ... the host changes its tables ...
 *       no:  install                       end: lock(mmu_lock)
 *   unlock                                   inval_seq++, inval_count--
 *   drop the page's reference              unlock
 *
 * A page got before the host's change is refused: either the invalidation is still
 * in progress (inval_count) or it finished since seq was read. A page got after it is
 * the new one. So no page needs to stay pinned, and none is used after it was unmapped.
 *
 * Invalidations are counted even when no slot is in their range: the slots may change
 * between start and end, and the count must not. Only the removal looks at the slots.
 */
#include <linux/mm.h>
#include <linux/sched.h>

#include "minikvm.h"

static struct mkvm *mkvm_from_notifier(struct mmu_notifier *mn)
{
	return container_of(mn, struct mkvm, notifier);
}

/*
 * Call @fn on the guest frames of each slot that intersects [start, end).
 * Return: the OR of the results.
 */
static bool mkvm_for_hva_range(struct mkvm *vm, unsigned long start, unsigned long end,
			       bool (*fn)(struct mkvm *vm, gfn_t start, gfn_t end))
{
	const struct mkvm_memslots *slots;
	bool result = false;
	unsigned int i;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	slots = srcu_dereference(vm->memslots, &vm->srcu);
	for (i = 0; i < slots->count; i++) {
		const struct mkvm_memslot *s = &slots->slots[i];
		unsigned long lo = max(start, s->hva);
		unsigned long hi = min(end, s->hva + (s->npages << PAGE_SHIFT));

		if (lo >= hi)
			continue;
		/* A part of a page concerns the whole page. */
		result |= fn(vm, s->base_gfn + ((lo - s->hva) >> PAGE_SHIFT),
			     s->base_gfn + ((hi - s->hva + PAGE_SIZE - 1) >> PAGE_SHIFT));
	}
	srcu_read_unlock(&vm->srcu, idx);
	return result;
}

static int mkvm_inval_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct mkvm *vm = mkvm_from_notifier(mn);

	write_lock(&vm->mmu_lock);
	if (vm->inval_count++ == 0) {
		vm->inval_start = range->start;
		vm->inval_end = range->end;
	} else {
		vm->inval_start = min(vm->inval_start, range->start);
		vm->inval_end = max(vm->inval_end, range->end);
	}
	if (!mkvm_omit(notifier_unmap))
		mkvm_for_hva_range(vm, range->start, range->end, mkvm_arch_unmap);
	write_unlock(&vm->mmu_lock);
	return 0;
}

static void mkvm_inval_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct mkvm *vm = mkvm_from_notifier(mn);

	write_lock(&vm->mmu_lock);
	mkvm_audit(unmapped, !mkvm_for_hva_range(vm, range->start, range->end, mkvm_arch_is_mapped),
		   "%#lx to %#lx was taken away, and is mapped\n", range->start, range->end);
	/*
	 * The new sequence must be visible before the count drops to zero; both
	 * are read under mmu_lock, which orders them.
	 */
	vm->inval_seq++;
	vm->inval_count--;
	write_unlock(&vm->mmu_lock);
}

/*
 * Ageing, without accessed bits: a page that is mapped counts as used, and is
 * unmapped so that the next use shows as a fault. TLBs are flushed even where the host
 * would do without: a later invalidation finds nothing mapped, and would not flush what
 * is still cached.
 */
static int mkvm_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			    unsigned long start, unsigned long end)
{
	struct mkvm *vm = mkvm_from_notifier(mn);
	bool young;

	write_lock(&vm->mmu_lock);
	young = mkvm_for_hva_range(vm, start, end, mkvm_arch_unmap);
	write_unlock(&vm->mmu_lock);
	return young;
}

static int mkvm_test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long hva)
{
	struct mkvm *vm = mkvm_from_notifier(mn);
	bool young;

	read_lock(&vm->mmu_lock);
	young = mkvm_for_hva_range(vm, hva, hva + PAGE_SIZE, mkvm_arch_is_mapped);
	read_unlock(&vm->mmu_lock);
	return young;
}

/* The address space dies: all of its pages go, and no fault can come any more. */
static void mkvm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mkvm *vm = mkvm_from_notifier(mn);

	write_lock(&vm->mmu_lock);
	mkvm_for_hva_range(vm, 0, ULONG_MAX, mkvm_arch_unmap);
	write_unlock(&vm->mmu_lock);
}

static const struct mmu_notifier_ops mkvm_notifier_ops = {
	.invalidate_range_start	= mkvm_inval_start,
	.invalidate_range_end	= mkvm_inval_end,
	.clear_flush_young	= mkvm_clear_young,
	.clear_young		= mkvm_clear_young,
	.test_young		= mkvm_test_young,
	.release		= mkvm_release,
};

/** mkvm_notifier_register() - listen to the changes of the VM's mm
 * @vm: the VM, created by a thread of that mm
 * Return: 0, ENOMEM or EINTR. */
int mkvm_notifier_register(struct mkvm *vm)
{
	vm->notifier.ops = &mkvm_notifier_ops;
	return mmu_notifier_register(&vm->notifier, vm->mm);
}

/** mkvm_notifier_unregister() - stop listening; no callback runs after it
 * @vm: the VM */
void mkvm_notifier_unregister(struct mkvm *vm)
{
	mmu_notifier_unregister(&vm->notifier, vm->mm);
}

/**
 * mkvm_inval_raced() - must a fault drop the page that it got?
 * @vm: the VM
 * @seq: vm->inval_seq as read before the page was asked for
 * @hva: the page's address
 *
 * Context: vm->mmu_lock held.
 * Return: true when an invalidation is in progress around @hva or ended since.
 */
bool mkvm_inval_raced(struct mkvm *vm, unsigned long seq, unsigned long hva)
{
	if (mkvm_omit(fault_recheck))
		return false;
	if (vm->inval_count && hva >= vm->inval_start && hva < vm->inval_end)
		return true;
	return vm->inval_seq != seq;
}
