// SPDX-License-Identifier: GPL-2.0
/*
 * A guest-physical address that the second-level tables do not map, or not for this
 * access: memory that is mapped now, or a device.
 *
 * The host's page is held from get_user_pages() to the end of this function only; what
 * keeps the mapping right afterwards is virt/notifier.c.
 */
#include <linux/mm.h>

#include "../trace.h"
#include "../x86.h"
#include "tdp.h"

/*
 * Get the page behind @hva, for a read-only slot (@readonly) to read, else writable if possible.
 * Sleeps.
 * Return: 0, or EFAULT and the like when the process could not access it either.
 */
static int mkvm_get_page(unsigned long hva, bool write, bool readonly, struct page **page,
			 bool *writable)
{
	long r;

	/* Mostly the host has it writable already: then a write needs no second fault. */
	*writable = !readonly;
	if (get_user_pages_fast_only(hva, 1, readonly ? 0 : FOLL_WRITE, page) == 1)
		return 0;

	*writable = write;
	r = get_user_pages_unlocked(hva, 1, page, write ? FOLL_WRITE : 0);
	if (r == 1)
		return 0;
	return r < 0 ? r : -EFAULT;
}

/* Return: 0 mapped, EAGAIN an invalidation came in between, or an error. */
static int mkvm_map_fault(struct mkvm_vcpu *vcpu, const struct mkvm_memslot *slot, gfn_t gfn,
			  bool write)
{
	struct mkvm *vm = vcpu->vm;
	unsigned long hva = mkvm_slot_hva(slot, gfn);
	unsigned long seq;
	struct page *page;
	bool writable;
	int r;

	r = mkvm_tdp_prepare(vcpu);
	if (r)
		return r;

	seq = READ_ONCE(vm->inval_seq);
	/* The sequence first, then the page: see virt/notifier.c. */
	smp_rmb();
	r = mkvm_get_page(hva, write, slot->flags & KVM_MEM_READONLY, &page, &writable);
	if (r)
		return r;

	mkvm_delay(map);
	read_lock(&vm->mmu_lock);
	if (mkvm_inval_raced(vm, seq, hva))
		r = -EAGAIN;
	else
		mkvm_tdp_map(vcpu, gfn, page_to_pfn(page), writable);
	read_unlock(&vm->mmu_lock);

	/* The guest's writes go past the host's page tables: nobody else notes them. */
	if (!r && writable)
		set_page_dirty_lock(page);
	put_page(page);
	return r;
}

/* There is memory in the process, @slot; map it. Return: as mkvm_handle_page_fault(). */
static noinline mkvm_run_t mkvm_handle_memory(struct mkvm_vcpu *vcpu,
					      const struct mkvm_memslot *slot, gpa_t gpa, u32 fault)
{
	int r;

	if (slot->flags & MKVM_SLOT_INVALID)
		r = -EAGAIN;
	else
		r = mkvm_map_fault(vcpu, slot, gpa >> PAGE_SHIFT, fault & MKVM_FAULT_WRITE);
	trace_mkvm_page_fault(vcpu, gpa, fault, r);

	switch (r) {
	case 0:
		vcpu->stat.page_faults++;
		return MKVM_RUN_GUEST;
	case -EAGAIN:
		vcpu->stat.fault_retries++;
		return MKVM_RUN_GUEST;
	default:
		return mkvm_run_error(r);
	}
}

/*
 * Guests use the registers of a device in a row, most of them in one page: that there is no memory is looked
 * up once, and holds until the slots change.
 */
static bool mkvm_is_known_hole(const struct mkvm_vcpu *vcpu, gfn_t gfn)
{
	return vcpu->arch.mmio.hole == gfn &&
	       vcpu->arch.mmio.hole_generation == READ_ONCE(vcpu->vm->slots_generation);
}

/* As mkvm_handle_page_fault(), for any frame. Its own, so that a known hole saves no registers for it. */
static noinline mkvm_run_t mkvm_handle_frame(struct mkvm_vcpu *vcpu, gpa_t gpa, u32 fault)
{
	u64 generation = READ_ONCE(vcpu->vm->slots_generation);
	const struct mkvm_memslot *slot;

	/* The generation first, then the slots: a slot that is added meanwhile is noticed next time. */
	smp_rmb();
	slot = mkvm_gfn_to_slot(vcpu->vm, gpa >> PAGE_SHIFT);
	if (!slot) {
		vcpu->arch.mmio.hole = gpa >> PAGE_SHIFT;
		vcpu->arch.mmio.hole_generation = generation;
	}
	if (!slot || (fault & MKVM_FAULT_WRITE && slot->flags & KVM_MEM_READONLY))
		return mkvm_handle_mmio(vcpu, gpa, fault);
	return mkvm_handle_memory(vcpu, slot, gpa, fault);
}

/**
 * mkvm_handle_page_fault() - EPT violation or nested page fault
 * @vcpu: the vCPU; vm->srcu held
 * @gpa: the guest-physical address
 * @fault: MKVM_FAULT_* bits
 *
 * Return: %MKVM_RUN_GUEST (mapped, or to be tried again), what mkvm_handle_mmio() says for an
 * address without memory and for a write to a read-only slot, or an error: EFAULT when the memory is not there in the
 * process, or not writable.
 */
mkvm_run_t mkvm_handle_page_fault(struct mkvm_vcpu *vcpu, gpa_t gpa, u32 fault)
{
	if (mkvm_is_known_hole(vcpu, gpa >> PAGE_SHIFT))
		return mkvm_handle_mmio(vcpu, gpa, fault);
	return mkvm_handle_frame(vcpu, gpa, fault);
}
