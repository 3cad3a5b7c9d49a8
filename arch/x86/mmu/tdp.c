// SPDX-License-Identifier: GPL-2.0
/*
 * Second-level paging structures: map, unmap, look. See tdp.h for the rules.
 */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>

#include "tdp.h"

static u64 *tdp_alloc_table(void)
{
	return (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

static bool tdp_present(u64 entry)
{
	return entry & mkvm_caps.tdp->present;
}

/** mkvm_tdp_init() - an empty tree for a new VM
 * @vm: the VM
 * Return: 0 or ENOMEM. */
int mkvm_tdp_init(struct mkvm *vm)
{
	vm->arch.tdp_root = tdp_alloc_table();
	return vm->arch.tdp_root ? 0 : -ENOMEM;
}

/* --- Map ------------------------------------------------------------------------------- */

/**
 * mkvm_tdp_prepare() - have enough spare tables for one mapping
 * @vcpu: the vCPU
 *
 * Before locks are taken: allocation may sleep. Return: 0 or ENOMEM.
 */
int mkvm_tdp_prepare(struct mkvm_vcpu *vcpu)
{
	struct mkvm_vcpu_arch *arch = &vcpu->arch;

	while (arch->nr_spare_tables < mkvm_caps.tdp->levels - 1) {
		u64 *table = tdp_alloc_table();

		if (!table)
			return -ENOMEM;
		arch->spare_tables[arch->nr_spare_tables++] = table;
	}
	return 0;
}

/** mkvm_tdp_release() - free the spare tables
 * @vcpu: the vCPU, being destroyed */
void mkvm_tdp_release(struct mkvm_vcpu *vcpu)
{
	while (vcpu->arch.nr_spare_tables)
		free_page((unsigned long)vcpu->arch.spare_tables[--vcpu->arch.nr_spare_tables]);
}

/* The table below @entry, a new one if there is none. */
static u64 *tdp_get_child(struct mkvm_vcpu *vcpu, u64 *entry)
{
	struct mkvm_vcpu_arch *arch = &vcpu->arch;
	u64 old = READ_ONCE(*entry), new;

	if (!tdp_present(old)) {
		new = __pa(arch->spare_tables[arch->nr_spare_tables - 1]) |
		      mkvm_caps.tdp->table;
		/* Another vCPU may have been quicker: then its table is in @old. */
		if (try_cmpxchg64(entry, &old, new)) {
			arch->nr_spare_tables--;
			old = new;
		}
	}
	return tdp_child(old);
}

/**
 * mkvm_tdp_map() - map one page
 * @vcpu: the vCPU that faulted; mkvm_tdp_prepare() has succeeded since the last call
 * @gfn: guest frame
 * @pfn: host frame, which the caller keeps from being freed
 * @writable: the guest may write
 *
 * Never takes rights away, so that no TLB needs a flush: a stale entry only costs another
 * fault. Context: vm->mmu_lock held for reading, and the frame found valid under it.
 */
void mkvm_tdp_map(struct mkvm_vcpu *vcpu, gfn_t gfn, kvm_pfn_t pfn, bool writable)
{
	const struct tdp_format *fmt = mkvm_caps.tdp;
	u64 *table = vcpu->vm->arch.tdp_root;
	unsigned int level;
	u64 *entry, old, new;

	for (level = fmt->levels; level > 1; level--)
		table = tdp_get_child(vcpu, &table[tdp_index(gfn, level)]);

	entry = &table[tdp_index(gfn, 1)];
	new = pfn << PAGE_SHIFT | fmt->leaf | (writable ? fmt->write : 0);
	old = READ_ONCE(*entry);
	do {
		/* Another vCPU may have mapped the same page, perhaps with more rights. */
		if (tdp_present(old) && (old & fmt->write || !writable))
			return;
	} while (!try_cmpxchg64(entry, &old, new));
}

/* --- Unmap ------------------------------------------------------------------------------ */

/*
 * Clear the entries of @table that cover [start, end), a table of @level whose first
 * entry covers @base. Tables that lie within the range as a whole go on @dead.
 * Return: whether a page was mapped.
 */
static bool tdp_clear(u64 *table, unsigned int level, gfn_t base, gfn_t start, gfn_t end,
		      struct list_head *dead)
{
	gfn_t span = tdp_span(level);
	unsigned int i = base < start ? (start - base) >> (TDP_ENTRIES_SHIFT * (level - 1)) : 0;
	bool any = false;

	for (; i < TDP_ENTRIES && base + i * span < end; i++) {
		gfn_t first = base + i * span;
		u64 entry = table[i];

		if (!tdp_present(entry))
			continue;
		if (level == 1) {
			WRITE_ONCE(table[i], 0);
			any = true;
			continue;
		}
		any |= tdp_clear(tdp_child(entry), level - 1, first, start, end, dead);
		if (first >= start && first + span <= end) {
			WRITE_ONCE(table[i], 0);
			list_add(&virt_to_page(tdp_child(entry))->lru, dead);
			/* A walk of the CPU may hold the pointer to the table. */
			any = true;
		}
	}
	return any;
}

static void tdp_free_dead(struct list_head *dead)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, dead, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

/* See virt/arch.h. */
bool mkvm_arch_unmap(struct mkvm *vm, gfn_t start, gfn_t end)
{
	LIST_HEAD(dead);
	bool any;

	lockdep_assert_held_write(&vm->mmu_lock);
	any = tdp_clear(vm->arch.tdp_root, mkvm_caps.tdp->levels, 0, start, end, &dead);
	if (any) {
		mkvm_audit_removed(vm);
		mkvm_delay(flush);
		if (!mkvm_omit(unmap_flush))
			mkvm_flush_remote_tlbs(vm);
		mkvm_audit_released(vm);
	}
	tdp_free_dead(&dead);
	return any;
}

/** mkvm_tdp_destroy() - free the whole tree; no vCPU can run any more
 * @vm: the VM */
void mkvm_tdp_destroy(struct mkvm *vm)
{
	unsigned int levels = mkvm_caps.tdp->levels;
	LIST_HEAD(dead);

	/* Not mkvm_arch_max_gfn(): a table that reaches beyond what the CPU can address goes, too. */
	tdp_clear(vm->arch.tdp_root, levels, 0, 0, tdp_span(levels + 1), &dead);
	tdp_free_dead(&dead);
	free_page((unsigned long)vm->arch.tdp_root);
}

/* --- Look ---------------------------------------------------------------------------------- */

/* See virt/arch.h. */
gfn_t mkvm_arch_max_gfn(void)
{
	unsigned int bits = min_t(unsigned int, mkvm_caps.tdp->levels * TDP_ENTRIES_SHIFT +
				  PAGE_SHIFT, boot_cpu_data.x86_phys_bits);

	return (gfn_t)1 << (bits - PAGE_SHIFT);
}

static bool tdp_any_leaf(const u64 *table, unsigned int level, gfn_t base, gfn_t start,
			 gfn_t end)
{
	gfn_t span = tdp_span(level);
	unsigned int i = base < start ? (start - base) >> (TDP_ENTRIES_SHIFT * (level - 1)) : 0;

	for (; i < TDP_ENTRIES && base + i * span < end; i++) {
		u64 entry = READ_ONCE(table[i]);

		if (!tdp_present(entry))
			continue;
		if (level == 1 ||
		    tdp_any_leaf(tdp_child(entry), level - 1, base + i * span, start, end))
			return true;
	}
	return false;
}

/* See virt/arch.h. */
bool mkvm_arch_is_mapped(struct mkvm *vm, gfn_t start, gfn_t end)
{
	return tdp_any_leaf(vm->arch.tdp_root, mkvm_caps.tdp->levels, 0, start, end);
}
