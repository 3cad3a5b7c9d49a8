/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_MMU_TDP_H
#define MKVM_X86_MMU_TDP_H

/*
 * Second-level ("two-dimensional") paging: guest-physical to host-physical.
 *
 * Intel's EPT and AMD's NPT are radix trees of 512-entry tables; they differ in the bits of
 * an entry and the number of levels. One walker serves both, over a description of these.
 *
 * Locking: entries are added with vm->mmu_lock held for reading, by cmpxchg, since several
 * vCPUs may fault at once; they are removed with it held for writing. So a table that a
 * reader has reached cannot be freed under it.
 *
 * Invariants:
 *   - an entry that is not present is 0;
 *   - a leaf maps 4 KiB, at level 1;
 *   - a table page hangs in one place only, and is freed after its entry was removed
 *     and all TLBs were flushed.
 */

#include "../ops.h"

#define TDP_ENTRIES_SHIFT	9
#define TDP_ENTRIES		(1 << TDP_ENTRIES_SHIFT)

/**
 * struct tdp_format - the bits of an entry
 * @levels:	of tables; an entry at level 1 maps a page
 * @present:	any of these set: the entry is in use
 * @table:	bits of an entry that points to a table
 * @leaf:	bits of every leaf: readable, executable, write-back
 * @write:	bit of a leaf that the guest may write
 * @addr:	bits of the host-physical address
 */
struct tdp_format {
	unsigned int levels;
	u64 present;
	u64 table;
	u64 leaf;
	u64 write;
	u64 addr;
};

/* The two formats; see ept.c and npt.c. */
extern const struct tdp_format ept_format;
u64 ept_pointer(struct mkvm *vm);
extern struct tdp_format npt_format;
void npt_setup(void);

int mkvm_tdp_init(struct mkvm *vm);
void mkvm_tdp_destroy(struct mkvm *vm);
int mkvm_tdp_prepare(struct mkvm_vcpu *vcpu);
void mkvm_tdp_release(struct mkvm_vcpu *vcpu);
void mkvm_tdp_map(struct mkvm_vcpu *vcpu, gfn_t gfn, kvm_pfn_t pfn, bool writable);

/* Index into a table of @level of the entry that covers @gfn. */
static inline unsigned int tdp_index(gfn_t gfn, unsigned int level)
{
	return (gfn >> (TDP_ENTRIES_SHIFT * (level - 1))) & (TDP_ENTRIES - 1);
}

/* Frames covered by one entry of a table of @level. */
static inline gfn_t tdp_span(unsigned int level)
{
	return (gfn_t)1 << (TDP_ENTRIES_SHIFT * (level - 1));
}

static inline u64 *tdp_child(u64 entry)
{
	return __va(entry & mkvm_caps.tdp->addr);
}

#endif
