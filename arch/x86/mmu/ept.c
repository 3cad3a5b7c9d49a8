// SPDX-License-Identifier: GPL-2.0
/*
 * The entry format of Intel's extended page tables (SDM, "The Extended Page Table
 * Mechanism (EPT)").
 */
#include <asm/vmx.h>

#include "tdp.h"

#define EPT_MT_WB	6ull

/*
 * All memory is write-back, whatever the guest's MTRRs and PAT say, since it is ordinary
 * memory of the host: with another type the guest could read past the host's caches.
 */
const struct tdp_format ept_format = {
	.levels = 4,
	.present = VMX_EPT_RWX_MASK,
	.table = VMX_EPT_RWX_MASK,
	.leaf = VMX_EPT_READABLE_MASK | VMX_EPT_EXECUTABLE_MASK |
		VMX_EPT_IPAT_BIT | EPT_MT_WB << VMX_EPT_MT_EPTE_SHIFT,
	.write = VMX_EPT_WRITABLE_MASK,
	.addr = GENMASK_ULL(51, 12),
};

/**
 * ept_pointer() - value of the EPT-pointer field
 * @vm: the VM
 *
 * SDM, "Extended-Page-Table Pointer (EPTP)": tables are walked with write-back accesses;
 * accessed and dirty flags are not used.
 */
u64 ept_pointer(struct mkvm *vm)
{
	return __pa(vm->arch.tdp_root) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4;
}
