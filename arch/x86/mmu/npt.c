// SPDX-License-Identifier: GPL-2.0
/*
 * The entry format of AMD's nested page tables: that of ordinary page tables (APM, "Nested
 * Paging").
 */
#include <asm/processor-flags.h>
#include <asm/pgtable_types.h>
#include <asm/tlbflush.h>

#include "tdp.h"

/*
 * Every access of a guest counts as one of user mode. Accessed and dirty are set beforehand, since
 * nobody looks at them. The memory type is that of PAT entry 0, write-back; the guest's own types
 * combine with it (APM, "Combining Memory Types, MTRRs"). There is nothing like EPT's "ignore
 * PAT" bit, and no need: uncached accesses of these CPUs look into the caches (as in KVM).
 */
struct tdp_format npt_format __ro_after_init = {
	.levels = 4,
	.present = _PAGE_PRESENT,
	.table = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED,
	.leaf = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY,
	.write = _PAGE_RW,
	.addr = GENMASK_ULL(51, 12),
};

/** npt_setup() - the number of levels: VMRUN takes the host's paging mode for the nested tables */
void __init npt_setup(void)
{
	if (cr4_read_shadow() & X86_CR4_LA57)
		npt_format.levels = 5;
}
