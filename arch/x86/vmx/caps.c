// SPDX-License-Identifier: GPL-2.0
/*
 * What this CPU's VMX can do, and the controls that follow from it.
 *
 * SDM, "VMX Capability Reporting Facility". Nothing is hard-coded: a control word is what is
 * needed and what is wanted, cut to what is allowed, with what must be 1.
 */
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "../mmu/tdp.h"
#include "vmx.h"

struct vmx_config vmx_config __ro_after_init;

/* Set while an event waits only; see vmx_write_windows(). */
#define VMX_WINDOWS	(CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING)

/**
 * struct vmx_control_word - one of the five words of controls
 * @name: for messages
 * @msr: capability MSR: low half must be 1, high half may be 1
 * @true_msr: the one that tells the truth about bits that old software expects to be 1
 * @need: without these the module does not work
 * @want: used where allowed
 * @result: the control word
 */
struct vmx_control_word {
	const char *name;
	u32 msr;
	u32 true_msr;
	u32 need;
	u32 want;
	u32 *result;
};

static const struct vmx_control_word vmx_control_words[] __initconst = {
	{
		.name = "pin-based",
		.msr = MSR_IA32_VMX_PINBASED_CTLS,
		.true_msr = MSR_IA32_VMX_TRUE_PINBASED_CTLS,
		.need = PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING |
			PIN_BASED_VIRTUAL_NMIS,
		.result = &vmx_config.pin,
	}, {
		.name = "primary processor-based",
		.msr = MSR_IA32_VMX_PROCBASED_CTLS,
		.true_msr = MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		.need = CPU_BASED_HLT_EXITING | CPU_BASED_USE_TSC_OFFSETTING |
			CPU_BASED_MOV_DR_EXITING | CPU_BASED_USE_IO_BITMAPS |
			CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_CR8_LOAD_EXITING |
			CPU_BASED_CR8_STORE_EXITING | CPU_BASED_RDPMC_EXITING |
			CPU_BASED_MONITOR_EXITING | CPU_BASED_MWAIT_EXITING |
			VMX_WINDOWS | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
		.result = &vmx_config.cpu,
	}, {
		.name = "secondary processor-based",
		.msr = MSR_IA32_VMX_PROCBASED_CTLS2,
		.need = SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST,
		.want = SECONDARY_EXEC_ENABLE_VPID | SECONDARY_EXEC_ENABLE_RDTSCP |
			SECONDARY_EXEC_ENABLE_INVPCID | SECONDARY_EXEC_WBINVD_EXITING,
		.result = &vmx_config.cpu2,
	}, {
		.name = "VM-exit",
		.msr = MSR_IA32_VMX_EXIT_CTLS,
		.true_msr = MSR_IA32_VMX_TRUE_EXIT_CTLS,
		/* No "acknowledge interrupt on exit": the host's handler takes it itself. */
		.need = VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_EFER |
			VM_EXIT_LOAD_IA32_PAT | VM_EXIT_SAVE_DEBUG_CONTROLS,
		.result = &vmx_config.exit,
	}, {
		.name = "VM-entry",
		.msr = MSR_IA32_VMX_ENTRY_CTLS,
		.true_msr = MSR_IA32_VMX_TRUE_ENTRY_CTLS,
		.need = VM_ENTRY_LOAD_IA32_EFER | VM_ENTRY_LOAD_IA32_PAT |
			VM_ENTRY_LOAD_DEBUG_CONTROLS,
		.result = &vmx_config.entry,
	},
};

static int __init vmx_compute_controls(const struct vmx_control_word *w, bool have_true)
{
	u32 must, may, missing;

	rdmsr(have_true && w->true_msr ? w->true_msr : w->msr, must, may);
	*w->result = ((w->need | w->want) & may) | must;
	missing = w->need & ~*w->result;
	if (!missing)
		return 0;
	pr_err("this CPU lacks %s VMX controls 0x%08x that minikvm needs: use a newer CPU (or CPU model of an emulator)\n",
	       w->name, missing);
	return -EOPNOTSUPP;
}

/* The two everybody asks about, before the general check: with names. */
static int __init vmx_check_paging_modes(void)
{
	u64 may, may2 = 0;

	/* The high half of each MSR: what may be 1. */
	rdmsrl(MSR_IA32_VMX_PROCBASED_CTLS, may);
	if (may >> 32 & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
		rdmsrl(MSR_IA32_VMX_PROCBASED_CTLS2, may2);
	may2 >>= 32;

	if (!(may2 & SECONDARY_EXEC_ENABLE_EPT)) {
		pr_err("this CPU has VMX but no EPT (extended page tables), and minikvm has no shadow paging: use a CPU of 2010 or later\n");
		return -EOPNOTSUPP;
	}
	if (!(may2 & SECONDARY_EXEC_UNRESTRICTED_GUEST)) {
		pr_err("this CPU has EPT but no unrestricted guest mode, and minikvm has no real-mode emulator: use a CPU of 2010 or later\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* SDM, "VPID and EPT Capabilities". */
static int __init vmx_check_ept(void)
{
	u64 cap;
	u32 ept;

	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	/* The upper half is about INVVPID, which is not used: see vmx_flush_tlb(). */
	ept = cap;
	if (!(ept & VMX_EPT_PAGE_WALK_4_BIT) || !(ept & VMX_EPTP_WB_BIT) ||
	    !(ept & VMX_EPT_INVEPT_BIT) ||
	    !(ept & (VMX_EPT_EXTENT_CONTEXT_BIT | VMX_EPT_EXTENT_GLOBAL_BIT))) {
		pr_err("this CPU's EPT (capabilities 0x%08x) lacks 4-level walks, write-back tables or INVEPT: use a newer CPU\n",
		       ept);
		return -EOPNOTSUPP;
	}
	vmx_config.invept = ept & VMX_EPT_EXTENT_CONTEXT_BIT ?
			    VMX_EPT_EXTENT_CONTEXT : VMX_EPT_EXTENT_GLOBAL;
	return 0;
}

/*
 * SDM, "VMX-Fixed Bits in CR0 and CR4". Unrestricted guests are excused from PE and PG.
 */
static void __init vmx_read_fixed_bits(void)
{
	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, vmx_config.cr0_fixed);
	vmx_config.cr0_fixed &= ~(u64)(X86_CR0_PE | X86_CR0_PG);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, vmx_config.cr4_fixed);
}

/**
 * vmx_check_caps() - read the capability MSRs, compute the controls
 *
 * Return: 0, or EOPNOTSUPP with a line that says what is missing.
 */
int __init vmx_check_caps(void)
{
	unsigned int i;
	u64 basic;
	int r;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	vmx_config.revision = vmx_basic_vmcs_revision_id(basic);
	if (vmx_basic_vmcs_size(basic) > PAGE_SIZE) {
		pr_err("this CPU wants VMCS regions of %u bytes, more than a page: not supported\n",
		       vmx_basic_vmcs_size(basic));
		return -EOPNOTSUPP;
	}

	r = vmx_check_paging_modes();
	if (r)
		return r;
	/* The memory operand of INS and OUTS is taken from the exit information. */
	if (!(basic & VMX_BASIC_INOUT)) {
		pr_err("this CPU does not report the operands of INS and OUTS on VM exits: use a newer CPU\n");
		return -EOPNOTSUPP;
	}

	for (i = 0; i < ARRAY_SIZE(vmx_control_words); i++) {
		r = vmx_compute_controls(&vmx_control_words[i], basic & VMX_BASIC_TRUE_CTLS);
		if (r)
			return r;
	}
	vmx_config.cpu &= ~VMX_WINDOWS;
	r = vmx_check_ept();
	if (r)
		return r;
	vmx_read_fixed_bits();

	mkvm_caps.tdp = &ept_format;
	mkvm_caps.pdptrs = true;
	mkvm_caps.rdtscp = vmx_config.cpu2 & SECONDARY_EXEC_ENABLE_RDTSCP;
	mkvm_caps.invpcid = vmx_config.cpu2 & SECONDARY_EXEC_ENABLE_INVPCID;
	return 0;
}
