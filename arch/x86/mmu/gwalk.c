// SPDX-License-Identifier: GPL-2.0
/*
 * Guest page walk. Interface: gwalk.h.
 *
 * The four paging modes of the manual's chapter "Paging" differ in the number
 * of levels, in the size of an entry and in which bits are reserved; struct
 * paging_mode has the differences, the walk itself is one loop. Levels count
 * as distance from the page: 1 is the page table, whose entries map 4 KByte.
 */
#include <asm/processor-flags.h>

#include "gwalk.h"

/* IA32_EFER, as in <asm/msr-index.h>, which userspace does not have. */
#define EFER_BIT_LMA	(1ULL << 10)
#define EFER_BIT_NXE	(1ULL << 11)

/* Bits of an entry, the same in all paging modes. */
#define PTE_P		(1ULL << 0)
#define PTE_RW		(1ULL << 1)
#define PTE_US		(1ULL << 2)
#define PTE_A		(1ULL << 5)
#define PTE_D		(1ULL << 6)
#define PTE_PS		(1ULL << 7)
#define PTE_G		(1ULL << 8)
#define PTE_XD		(1ULL << 63)


/* Bits @hi to @lo, both included; none when @hi is below @lo. */
static u64 bits(unsigned int hi, unsigned int lo)
{
	return hi < lo ? 0 : (~0ULL >> (63 - hi)) & (~0ULL << lo);
}

/**
 * struct paging_mode - what distinguishes the paging modes
 * @root: guest-physical address of the first table
 * @levels: tables that are read from memory
 * @entry_size: bytes
 * @index_bits: linear-address bits per level
 */
struct paging_mode {
	u64 root;
	u8 levels;
	u8 entry_size;
	u8 index_bits;
};

struct walk {
	const struct gwalk_ctx *ctx;
	struct paging_mode mode;
	u64 gva;
	u32 access;
	bool is_user;		/* user-mode access, not user-mode address */

	/* Entries that were used, highest level first, to set A and D. */
	unsigned int nr;
	struct {
		u64 gpa;
		u64 val;
	} used[GWALK_MAX_LEVELS];

	/* Of all entries used. */
	bool writable;
	bool user;
	bool nx;

	unsigned int level;	/* of the entry that maps the page */
	u64 leaf;
};

static bool is_long(const struct gwalk_ctx *ctx)
{
	return ctx->efer & EFER_BIT_LMA;
}

static bool is_pae(const struct gwalk_ctx *ctx)
{
	return ctx->cr4 & X86_CR4_PAE;
}

/* "Page-Fault Exceptions": the bits that describe the access. */
static int page_fault(const struct walk *w, u32 error_code,
		      struct gwalk_result *res)
{
	const struct gwalk_ctx *ctx = w->ctx;
	bool nx_enabled = is_pae(ctx) && ctx->efer & EFER_BIT_NXE;

	if (w->access & GWALK_WRITE)
		error_code |= GWALK_PF_WR;
	if (w->is_user)
		error_code |= GWALK_PF_US;
	if (w->access & GWALK_FETCH && (nx_enabled || ctx->cr4 & X86_CR4_SMEP))
		error_code |= GWALK_PF_ID;

	res->fault = (struct x86_fault) {
		.vector = X86_VEC_PF,
		.has_error_code = true,
		.error_code = error_code,
		.address = w->gva,
	};
	return -EINVAL;
}

static int protection_fault(struct gwalk_result *res)
{
	res->fault = (struct x86_fault) {
		.vector = X86_VEC_GP,
		.has_error_code = true,
	};
	return -EINVAL;
}

/*
 * Does this entry map a page, not a table? PS decides from the page directory
 * upwards. 32-bit paging knows it with CR4.PSE only; without, it is ignored.
 * Where PS has no meaning at all (PML4E, PML5E, PDPTE without 1 GByte pages)
 * it is reserved, which reserved_bits() sees to.
 */
static bool is_leaf(const struct walk *w, unsigned int level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS))
		return false;
	if (level == 2)
		return is_pae(w->ctx) || w->ctx->cr4 & X86_CR4_PSE;
	return level == 3 && is_long(w->ctx) && w->ctx->gbpages;
}

/* "32-Bit Paging": only an entry that maps a 4 MByte page has any. */
static u64 reserved_bits_32(const struct walk *w, bool leaf,
			    unsigned int level)
{
	unsigned int width = w->ctx->maxphyaddr;

	if (!leaf || level == 1)
		return 0;
	if (!w->ctx->pse36)
		return bits(21, 13);
	/* Bits 20:13 are address bits 39:32, those that exist. */
	return bits(21, 13 + (width > 40 ? 40 : width) - 32);
}

/* "PAE Paging", "4-Level Paging and 5-Level Paging", the tables of entries. */
static u64 reserved_bits(const struct walk *w, bool leaf, unsigned int level)
{
	const struct gwalk_ctx *ctx = w->ctx;
	u64 reserved;

	if (!is_pae(ctx))
		return reserved_bits_32(w, leaf, level);

	/* Bits 62:52 are ignored in 4- and 5-level paging only. */
	reserved = bits(is_long(ctx) ? 51 : 62, ctx->maxphyaddr);
	if (!(ctx->efer & EFER_BIT_NXE))
		reserved |= PTE_XD;

	if (leaf) {
		/* Bit 12 of a large page is PAT, the address starts higher. */
		return reserved | bits(12 + 9 * (level - 1) - 1, 13);
	}
	if (level == 3 && !is_long(ctx)) {
		/*
		 * A PDPTE in memory: no R/W, U/S, A, D, PS, G and XD. Bits 5 and 6 some CPUs
		 * set in nested walks, which treat it like any entry; AMD's do not mind.
		 */
		return reserved | PTE_XD | bits(8, ctx->amd ? 7 : 5) | bits(2, 1);
	}
	if (level >= 3)
		reserved |= PTE_PS;
	if (level >= 4 && ctx->amd)
		reserved |= PTE_G;
	return reserved;
}

static u64 entry_address(const struct walk *w, u64 entry)
{
	return entry & (is_pae(w->ctx) ? bits(51, 12) : bits(31, 12));
}

/* Where the access ends up in the page that @entry of @level maps. */
static u64 page_address(const struct walk *w)
{
	unsigned int shift = 12 + w->mode.index_bits * (w->level - 1);
	u64 offset = bits(shift - 1, 0);
	u64 base = entry_address(w, w->leaf);

	if (!is_pae(w->ctx) && w->level == 2 && w->ctx->pse36)
		base |= (w->leaf & bits(20, 13)) << (32 - 13);
	return (base & ~offset) | (w->gva & offset);
}

/* PDPTE registers: no permissions, no accessed flag, checked when loaded. */
static int use_pdptr(struct walk *w, struct gwalk_result *res)
{
	u64 entry = w->ctx->pdptrs[(w->gva >> 30) & 3];

	if (!(entry & PTE_P))
		return page_fault(w, 0, res);
	w->mode.root = entry & bits(51, 12);
	w->mode.levels = 2;
	return 0;
}

/* "Hierarchical Paging Structures: an Overview". */
static int choose_mode(struct walk *w, struct gwalk_result *res)
{
	const struct gwalk_ctx *ctx = w->ctx;
	struct paging_mode *mode = &w->mode;

	mode->entry_size = 8;
	mode->index_bits = 9;

	if (is_long(ctx)) {
		unsigned int width;

		mode->levels = ctx->cr4 & X86_CR4_LA57 ? 5 : 4;
		mode->root = ctx->cr3 & bits(51, 12);

		width = 12 + 9 * mode->levels;
		if ((u64)((s64)(w->gva << (64 - width)) >> (64 - width)) !=
		    w->gva)
			return protection_fault(res);
		return 0;
	}

	w->gva = (u32)w->gva;
	if (is_pae(ctx)) {
		mode->levels = 3;
		mode->root = ctx->cr3 & bits(31, 5);
		return ctx->pdptrs ? use_pdptr(w, res) : 0;
	}

	mode->levels = 2;
	mode->entry_size = 4;
	mode->index_bits = 10;
	mode->root = ctx->cr3 & bits(31, 12);
	return 0;
}

/* From the root to the entry that maps the page. */
static int descend(struct walk *w, struct gwalk_result *res)
{
	const struct gwalk_ctx *ctx = w->ctx;
	const struct paging_mode *mode = &w->mode;
	u64 table = mode->root;
	unsigned int level;

	w->nr = 0;
	w->writable = true;
	w->user = true;
	w->nx = false;

	for (level = mode->levels; ; level--) {
		unsigned int shift = 12 + mode->index_bits * (level - 1);
		u64 index = (w->gva >> shift) & bits(mode->index_bits - 1, 0);
		bool is_pdpte_pae = is_pae(ctx) && !is_long(ctx) && level == 3;
		bool leaf;
		u64 gpa, entry;
		int ret;

		if (is_pdpte_pae)
			index &= 3;
		gpa = table + index * mode->entry_size;
		ret = ctx->ops->read(ctx->priv, gpa, mode->entry_size, &entry);
		if (ret)
			return ret;

		if (!(entry & PTE_P))
			return page_fault(w, 0, res);
		leaf = is_leaf(w, level, entry);
		if (entry & reserved_bits(w, leaf, level))
			return page_fault(w, GWALK_PF_P | GWALK_PF_RSVD, res);

		if (!is_pdpte_pae) {
			w->used[w->nr].gpa = gpa;
			w->used[w->nr].val = entry;
			w->nr++;
			w->writable &= !!(entry & PTE_RW);
			w->user &= !!(entry & PTE_US);
			w->nx |= is_pae(ctx) && entry & PTE_XD;
		}
		if (leaf) {
			w->level = level;
			w->leaf = entry;
			return 0;
		}
		table = entry_address(w, entry);
	}
}

static u8 protection_key(const struct walk *w)
{
	return is_long(w->ctx) ? (w->leaf >> 59) & 0xf : 0;
}

/* "Determination of Access Rights": without protection keys. */
static bool rights_permit(const struct walk *w)
{
	const struct gwalk_ctx *ctx = w->ctx;

	/* XD can be set only with NXE: else it is reserved. */
	if (w->access & GWALK_FETCH && w->nx)
		return false;

	if (w->is_user)
		return w->user && (w->writable || !(w->access & GWALK_WRITE));

	if (w->access & GWALK_FETCH)
		return !(w->user && ctx->cr4 & X86_CR4_SMEP);

	/* AC lifts SMAP, but only for accesses that software asked for. */
	if (w->user && ctx->cr4 & X86_CR4_SMAP &&
	    (w->access & GWALK_IMPLICIT || !ctx->ac))
		return false;
	return w->writable || !(w->access & GWALK_WRITE) ||
	       !(ctx->cr0 & X86_CR0_WP);
}

/* "Protection Keys": data accesses to user-mode addresses. */
static bool pkey_permits(const struct walk *w)
{
	const struct gwalk_ctx *ctx = w->ctx;
	u32 key_bits;

	if (!is_long(ctx) || !(ctx->cr4 & X86_CR4_PKE) || !w->user ||
	    w->access & GWALK_FETCH)
		return true;

	key_bits = ctx->pkru >> (2 * protection_key(w));
	if (key_bits & 1)	/* access disable */
		return false;
	if (!(key_bits & 2) || !(w->access & GWALK_WRITE))
		return true;
	/* Write disable: as R/W = 0. */
	return !w->is_user && !(ctx->cr0 & X86_CR0_WP);
}

/* "Accessed and Dirty Flags". */
static int set_flags(struct walk *w)
{
	const struct gwalk_ctx *ctx = w->ctx;
	unsigned int i;

	if (!ctx->ops->replace)
		return 0;

	for (i = 0; i < w->nr; i++) {
		u64 old = w->used[i].val;
		u64 new = old | PTE_A;
		int ret;

		if (i == w->nr - 1 && w->access & GWALK_WRITE)
			new |= PTE_D;
		if (new == old)
			continue;
		ret = ctx->ops->replace(ctx->priv, w->used[i].gpa,
					w->mode.entry_size, old, new);
		if (ret)
			return ret;
		w->used[i].val = new;
	}
	return 0;
}

static int walk_once(struct walk *w, struct gwalk_result *res)
{
	int ret;

	ret = descend(w, res);
	if (ret)
		return ret;

	if (!rights_permit(w) || !pkey_permits(w)) {
		u32 error_code = GWALK_PF_P;

		if (!pkey_permits(w))
			error_code |= GWALK_PF_PK;
		return page_fault(w, error_code, res);
	}
	return set_flags(w);
}

static void report_path(const struct walk *w, struct gwalk_path *path)
{
	path->nr = w->nr;
	for (unsigned int i = 0; i < w->nr; i++) {
		path->gpa[i] = w->used[i].gpa;
		path->value[i] = w->used[i].val;
	}
}

int gwalk(const struct gwalk_ctx *ctx, u64 gva, u32 access,
	  struct gwalk_result *res)
{
	struct walk w = {
		.ctx = ctx,
		.gva = gva,
		.access = access,
		.is_user = ctx->cpl == 3 && !(access & GWALK_IMPLICIT),
	};
	int ret;

	memset(res, 0, sizeof(*res));
	if (!(ctx->cr0 & X86_CR0_PG)) {
		res->gpa = (u32)gva;
		res->page_size = 4096;
		res->writable = true;
		res->user = true;
		return 0;
	}

	ret = choose_mode(&w, res);
	if (ret)
		return ret;
	ret = walk_once(&w, res);
	if (ret == -EAGAIN)
		ret = walk_once(&w, res);
	if (ret)
		return ret;

	if (ctx->path)
		report_path(&w, ctx->path);
	res->gpa = page_address(&w);
	res->page_size = 1ULL << (12 + w.mode.index_bits * (w.level - 1));
	res->writable = w.writable;
	res->user = w.user;
	res->nx = w.nx;
	res->pkey = protection_key(&w);
	return 0;
}
