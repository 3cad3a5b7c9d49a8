/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest page walk: guest linear to guest physical address by the guest's own
 * page tables, with the guest's own access rules.
 *
 * Pure C, see pure.h.
 */
#ifndef MINIKVM_X86_MMU_GWALK_H
#define MINIKVM_X86_MMU_GWALK_H

#include "../pure.h"

/* Kind of access; 0 is an explicit data read. */
#define GWALK_WRITE	(1 << 0)
#define GWALK_FETCH	(1 << 1)
/*
 * Implicit supervisor-mode access: the processor's own reads and writes of
 * GDT, LDT, IDT and TSS. Supervisor whatever the CPL, and EFLAGS.AC does not
 * lift SMAP ("Access Rights").
 */
#define GWALK_IMPLICIT	(1 << 2)

/* #PF error code ("Page-Fault Exceptions"). */
#define GWALK_PF_P	(1 << 0)
#define GWALK_PF_WR	(1 << 1)
#define GWALK_PF_US	(1 << 2)
#define GWALK_PF_RSVD	(1 << 3)
#define GWALK_PF_ID	(1 << 4)
#define GWALK_PF_PK	(1 << 5)

/**
 * struct gwalk_ops - guest-physical memory that holds page tables
 * @read: read the naturally aligned entry of @size (4 or 8) bytes at @gpa as
 *	one access. 0, or -EFAULT when no memory is there.
 * @replace: put @new in the place of @old, as one locked access. 0, -EAGAIN when the
 *	entry is not @old any more, -EROFS when the memory is read-only,
 *	-EFAULT when none is there. NULL: accessed and dirty flags stay as
 *	they are (for looks from outside, such as KVM_TRANSLATE).
 */
struct gwalk_ops {
	int (*read)(void *priv, u64 gpa, unsigned int size, u64 *val);
	int (*replace)(void *priv, u64 gpa, unsigned int size, u64 old,
		       u64 new);
};

#define GWALK_MAX_LEVELS	5

/**
 * struct gwalk_path - the paging-structure entries of a walk, from the root
 * @gpa: where each is
 * @value: what it holds, flags set by the walk included
 * @nr: how many; PDPTEs of PAE paging are not among them
 */
struct gwalk_path {
	u64 gpa[GWALK_MAX_LEVELS];
	u64 value[GWALK_MAX_LEVELS];
	u8 nr;
};

/**
 * struct gwalk_ctx - everything a walk depends on
 * @ops: page-table memory
 * @priv: first argument of @ops
 * @cr0: PG and WP count
 * @cr3: as in the register
 * @cr4: PSE, PAE, LA57, SMEP, SMAP and PKE count
 * @efer: LMA and NXE count
 * @pdptrs: PAE paging: the four PDPTE registers (Intel). NULL: PDPTEs are read
 *	from memory like other entries and checked for reserved bits (AMD)
 * @pkru: PKRU, needed when CR4.PKE = 1
 * @cpl: current privilege level
 * @maxphyaddr: physical-address width, 32 to 52
 * @ac: EFLAGS.AC
 * @pse36: 4 MByte pages have physical addresses above 4 GByte (CPUID PSE-36)
 * @gbpages: 1 GByte pages exist (CPUID Page1GB)
 * @amd: as on AMD, bit 8 is reserved in PML4E and PML5E, bits 5 and 6 of a PDPTE are not
 * @path: filled when 0 is returned; NULL: not wanted
 */
struct gwalk_ctx {
	const struct gwalk_ops *ops;
	void *priv;
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	const u64 *pdptrs;
	u32 pkru;
	u8 cpl;
	u8 maxphyaddr;
	bool ac;
	bool pse36;
	bool gbpages;
	bool amd;
	struct gwalk_path *path;
};

/**
 * struct gwalk_result - where a linear address leads
 * @gpa: guest-physical address of the byte
 * @page_size: bytes; 4096 without paging, where nothing bounds the mapping
 * @writable: R/W = 1 at every level
 * @user: U/S = 1 at every level: a user-mode address
 * @nx: XD = 1 at some level
 * @pkey: protection key, 0 outside 4- and 5-level paging
 * @fault: filled for -EINVAL
 */
struct gwalk_result {
	u64 gpa;
	u64 page_size;
	bool writable;
	bool user;
	bool nx;
	u8 pkey;
	struct x86_fault fault;
};

/**
 * gwalk() - translate one linear address
 * @ctx: the vCPU's paging state
 * @gva: linear address; above 32 bits it counts in 4- and 5-level paging only
 * @access: GWALK_*
 * @res: result, filled when 0 or (only @fault) -EINVAL is returned
 *
 * Sets accessed flags, and the dirty flag for a write, once the access is
 * known to be permitted: a walk that faults changes nothing. An access that
 * crosses a page needs two walks, both before any byte is written.
 *
 * Return: 0, or
 * -EINVAL: the guest gets res->fault: #PF, or #GP(0) for a non-canonical
 * address,
 * -EFAULT: a page-table entry lies where no memory is,
 * -EROFS: an accessed or dirty flag must be set in read-only memory,
 * -EAGAIN: the tables changed under the walk, and again under the second one;
 * run the guest, it comes back.
 */
int gwalk(const struct gwalk_ctx *ctx, u64 gva, u32 access,
	  struct gwalk_result *res);

#endif /* MINIKVM_X86_MMU_GWALK_H */
