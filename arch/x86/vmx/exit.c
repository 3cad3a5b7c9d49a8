// SPDX-License-Identifier: GPL-2.0
/*
 * VM exits: one row for each basic exit reason of the manual (SDM, "VMX Basic Exit Reasons"),
 * and the handlers, which decode what the VMCS says and call common code.
 *
 * A row without a handler is an exit that the controls in caps.c do not permit to happen, or
 * one that is not supported; see vmx_exit_unexpected().
 */
#include <linux/nospec.h>
#include <asm/trapnr.h>

#include "../trace.h"
#include "vmx.h"

/*
 * Bits 11:8 of an exit qualification: a general register, in the order of enum mkvm_reg.
 */
static enum mkvm_reg vmx_qualification_reg(unsigned long qualification)
{
	return (qualification >> 8) & 15;
}

/* --- Handlers --------------------------------------------------------------------------------- */

/*
 * Exits that cannot happen with our controls, or are not supported. Everything is printed once,
 * and the VMM decides what becomes of the VM.
 */
static noinline mkvm_run_t vmx_exit_unexpected(struct mkvm_vcpu *vcpu)
{
	const u64 data[] = { to_vmx(vcpu)->exit_reason, vcpu->cpu };

	vmx_dump(vcpu);
	return mkvm_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
				   ARRAY_SIZE(data), data);
}

/* #DB; the qualification has the bits that DR6 would have got. */
static mkvm_run_t vmx_exit_debug(struct mkvm_vcpu *vcpu, u32 info)
{
	u64 dr6 = mkvm_db_causes(vcpu, vmcs_readl(EXIT_QUALIFICATION));

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION) {
		/* INT1 is a trap, but exits before RIP has moved. It is not stepped itself. */
		vmx_pass_insn(vcpu);
	} else if (mkvm_blocked(vcpu) & MKVM_BLOCKED_SHADOW) {
		/* A step over STI or MOV SS: see vmx_write_blocked(). */
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu));
	}
	return mkvm_handle_db(vcpu, dr6);
}

/* Exceptions in the exception bitmap. NMI and #MC were delivered to the host before. */
static mkvm_run_t vmx_exit_exception_nmi(struct mkvm_vcpu *vcpu)
{
	u32 info = vmcs_read32(VM_EXIT_INTR_INFO);
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR || vector == X86_TRAP_MC)
		return MKVM_RUN_GUEST;
	switch (vector) {
	case X86_TRAP_DB:
		return vmx_exit_debug(vcpu, info);
	case X86_TRAP_UD:
		return mkvm_handle_ud(vcpu);
	case X86_TRAP_AC:
		mkvm_queue_exception_e(vcpu, X86_TRAP_AC, vmcs_read32(VM_EXIT_INTR_ERROR_CODE));
		return MKVM_RUN_GUEST;
	case X86_TRAP_BP:
		return mkvm_handle_bp(vcpu, vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
	default:
		return vmx_exit_unexpected(vcpu);
	}
}

/* The host takes the interrupt when run.c turns interrupts on. */
static mkvm_run_t vmx_exit_external_interrupt(struct mkvm_vcpu *vcpu)
{
	return MKVM_RUN_GUEST;
}

/* SDM, "Exit Qualification for Control-Register Accesses". */
static mkvm_run_t vmx_exit_cr_access(struct mkvm_vcpu *vcpu)
{
	unsigned long qualification = vmcs_readl(EXIT_QUALIFICATION);
	enum mkvm_reg reg = vmx_qualification_reg(qualification);
	unsigned int cr = qualification & CONTROL_REG_ACCESS_NUM;

	/* Three bits and a hidden one: CR8. */
	cr |= qualification & 8;
	switch ((qualification & CONTROL_REG_ACCESS_TYPE) >> 4) {
	case 0:
		return mkvm_handle_mov_to_cr(vcpu, cr, reg);
	case 1:
		return mkvm_handle_mov_from_cr(vcpu, cr, reg);
	case 2:
		return mkvm_handle_clts(vcpu);
	default:
		return mkvm_handle_lmsw(vcpu, qualification >> LMSW_SOURCE_DATA_SHIFT);
	}
}

/* SDM, "Exit Qualification for MOV DR". */
static mkvm_run_t vmx_exit_dr_access(struct mkvm_vcpu *vcpu)
{
	unsigned long qualification = vmcs_readl(EXIT_QUALIFICATION);

	return mkvm_handle_mov_dr(vcpu, qualification & 7, vmx_qualification_reg(qualification),
				  !(qualification & BIT(4)));
}

/* SDM, "Exit Qualification for I/O Instructions" and the instruction information of INS, OUTS. */
static mkvm_run_t vmx_exit_io_instruction(struct mkvm_vcpu *vcpu)
{
	unsigned long qualification = vmcs_readl(EXIT_QUALIFICATION);
	struct mkvm_pio_exit pio = {
		.port = qualification >> 16,
		.size = (qualification & 7) + 1,
		.in = qualification & BIT(3),
		.string = qualification & BIT(4),
		.rep = qualification & BIT(5),
	};

	if (pio.string) {
		u32 info = vmcs_read32(VMX_INSTRUCTION_INFO);

		pio.addr_size = 2 << ((info >> 7) & 3);
		pio.seg = (info >> 15) & 7;
	}
	return mkvm_handle_pio(vcpu, &pio);
}

/* SDM, "Exit Qualification for EPT Violations": bits 2:0 are the access, 8: to the operand itself. */
static mkvm_run_t vmx_exit_ept_violation(struct mkvm_vcpu *vcpu)
{
	unsigned long qualification = vmcs_readl(EXIT_QUALIFICATION);
	/* Our bits are those of the CPU. */
	u32 fault = qualification & (MKVM_FAULT_READ | MKVM_FAULT_WRITE | MKVM_FAULT_FETCH);

	static_assert(MKVM_FAULT_READ == 0x1 && MKVM_FAULT_WRITE == 0x2 &&
		      MKVM_FAULT_FETCH == 0x4);
	if (qualification & BIT(8))
		fault |= MKVM_FAULT_FINAL;
	return mkvm_handle_page_fault(vcpu, vmcs_read64(GUEST_PHYSICAL_ADDRESS), fault);
}

/* The CPU says why, and so do we. */
static mkvm_run_t vmx_exit_failed_entry(struct mkvm_vcpu *vcpu)
{
	vmx_dump(vcpu);
	return mkvm_fail_entry(vcpu, to_vmx(vcpu)->exit_reason);
}

/* Our tables are wrong: nothing that they map can be trusted any more. */
static mkvm_run_t vmx_exit_ept_misconfig(struct mkvm_vcpu *vcpu)
{
	vmx_dump(vcpu);
	mkvm_vm_kill(vcpu->vm);
	return mkvm_run_error(-EIO);
}

/* --- The table ----------------------------------------------------------------------------------- */

#define QUICK(reason, fn)	[EXIT_REASON_##reason] = { #reason, fn, true }
#define ROW(reason, fn)		[EXIT_REASON_##reason] = { #reason, fn, false }
/* Not in the 6.1 kernel's header: by number. */
#define ROW_NR(nr, name, fn)	[nr] = { name, fn, false }

const struct vmx_exit_row vmx_exit_table[VMX_NR_EXITS] = {
	ROW(EXCEPTION_NMI,		vmx_exit_exception_nmi),
	ROW(EXTERNAL_INTERRUPT,		vmx_exit_external_interrupt),
	ROW(TRIPLE_FAULT,		mkvm_handle_shutdown),
	ROW(INIT_SIGNAL,		NULL),
	ROW(SIPI_SIGNAL,		NULL),
	ROW_NR(5, "IO_SMI",		NULL),
	ROW_NR(6, "OTHER_SMI",		NULL),
	ROW(INTERRUPT_WINDOW,		mkvm_handle_irq_window),
	ROW(NMI_WINDOW,			mkvm_handle_nmi_window),
	ROW(TASK_SWITCH,		mkvm_handle_task_switch),
	QUICK(CPUID,			mkvm_handle_cpuid),
	ROW_NR(11, "GETSEC",		mkvm_inject_ud),
	QUICK(HLT,			mkvm_handle_hlt),
	ROW(INVD,			mkvm_handle_skip),
	ROW(INVLPG,			NULL),	/* control off */
	ROW(RDPMC,			mkvm_inject_gp),	/* no counters */
	ROW(RDTSC,			NULL),	/* control off */
	ROW_NR(17, "RSM",		mkvm_inject_ud),
	QUICK(VMCALL,			mkvm_handle_hypercall),
	ROW(VMCLEAR,			mkvm_inject_ud),
	ROW(VMLAUNCH,			mkvm_inject_ud),
	ROW(VMPTRLD,			mkvm_inject_ud),
	ROW(VMPTRST,			mkvm_inject_ud),
	ROW(VMREAD,			mkvm_inject_ud),
	ROW(VMRESUME,			mkvm_inject_ud),
	ROW(VMWRITE,			mkvm_inject_ud),
	ROW(VMOFF,			mkvm_inject_ud),
	ROW(VMON,			mkvm_inject_ud),
	ROW(CR_ACCESS,			vmx_exit_cr_access),
	ROW(DR_ACCESS,			vmx_exit_dr_access),
	ROW(IO_INSTRUCTION,		vmx_exit_io_instruction),
	QUICK(MSR_READ,			mkvm_handle_rdmsr),
	QUICK(MSR_WRITE,		mkvm_handle_wrmsr),
	ROW(INVALID_STATE,		NULL),	/* with "failed entry" only */
	ROW(MSR_LOAD_FAIL,		NULL),	/* with "failed entry" only */
	ROW(MWAIT_INSTRUCTION,		mkvm_handle_mwait),
	ROW(MONITOR_TRAP_FLAG,		NULL),	/* control off */
	ROW(MONITOR_INSTRUCTION,	mkvm_handle_mwait),
	ROW(PAUSE_INSTRUCTION,		mkvm_handle_skip),
	ROW(MCE_DURING_VMENTRY,		NULL),	/* with "failed entry" only */
	ROW(TPR_BELOW_THRESHOLD,	NULL),	/* control off, like all about the APIC */
	ROW(APIC_ACCESS,		NULL),
	ROW(EOI_INDUCED,		NULL),
	ROW(GDTR_IDTR,			NULL),	/* control off */
	ROW(LDTR_TR,			NULL),	/* control off */
	ROW(EPT_VIOLATION,		vmx_exit_ept_violation),
	ROW(EPT_MISCONFIG,		vmx_exit_ept_misconfig),
	ROW(INVEPT,			mkvm_inject_ud),
	ROW(RDTSCP,			mkvm_inject_ud),
	ROW(PREEMPTION_TIMER,		NULL),	/* control off */
	ROW(INVVPID,			mkvm_inject_ud),
	ROW(WBINVD,			mkvm_handle_skip),
	ROW(XSETBV,			mkvm_handle_xsetbv),
	ROW(APIC_WRITE,			NULL),
	ROW(RDRAND,			NULL),	/* control off */
	ROW(INVPCID,			NULL),	/* control off */
	ROW(VMFUNC,			mkvm_inject_ud),
	ROW(ENCLS,			mkvm_inject_ud),
	ROW(RDSEED,			NULL),	/* control off */
	ROW(PML_FULL,			NULL),	/* control off */
	ROW(XSAVES,			NULL),	/* the guest gets #UD without an exit */
	ROW(XRSTORS,			NULL),
	ROW_NR(66, "SPP_EVENT",		NULL),	/* control off, like the rest */
	ROW(UMWAIT,			NULL),
	ROW(TPAUSE,			NULL),
	ROW_NR(69, "LOADIWKEY",		NULL),
	ROW_NR(70, "ENCLV",		NULL),
	ROW_NR(72, "ENQCMD_PASID",	NULL),
	ROW_NR(73, "ENQCMDS_PASID",	NULL),
	ROW(BUS_LOCK,			NULL),
	ROW(NOTIFY,			NULL),
};

static_assert(VMX_NR_EXITS <= MKVM_ARCH_NR_EXITS);

/** vmx_find_odd_exit() - the row of an exit whose reason has flags in its upper half, or is unknown
 * @vmx: the vCPU; the entry did take place */
void vmx_find_odd_exit(struct vmx_vcpu *vmx)
{
	static const struct vmx_exit_row unknown;
	u16 reason = vmx->exit_reason;

	if (reason >= VMX_NR_EXITS) {
		vmx->exit_index = MKVM_ARCH_NR_EXITS;
		vmx->exit = &unknown;
		return;
	}
	vmx->exit_index = array_index_nospec(reason, VMX_NR_EXITS);
	vmx->exit = &vmx_exit_table[vmx->exit_index];
}

/** vmx_find_failed_entry() - the row for VMfail, and exits that say that there was no entry
 * @vmx: the vCPU */
void vmx_find_failed_entry(struct vmx_vcpu *vmx)
{
	static const struct vmx_exit_row failed = { "failed entry", vmx_exit_failed_entry };

	vmx->exit_index = MKVM_ARCH_NR_EXITS;
	vmx->exit = &failed;
}

/** vmx_exit_name() - see struct mkvm_x86_ops
 * @index: number of a counter: basic exit reason */
const char *vmx_exit_name(unsigned int index)
{
	return index < ARRAY_SIZE(vmx_exit_table) ? vmx_exit_table[index].name : NULL;
}

/** vmx_handle_exit() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
mkvm_run_t vmx_handle_exit(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (trace_mkvm_exit_enabled() && !vmx->fail)
		trace_mkvm_exit(vcpu, vmx->exit_reason, vmcs_readl(EXIT_QUALIFICATION),
				vmcs_read64(GUEST_PHYSICAL_ADDRESS),
				vmcs_read32(VM_EXIT_INTR_INFO));
	vcpu->stat.exit_reason[vmx->exit_index]++;
	if (unlikely(!vmx->exit->handler))
		return vmx_exit_unexpected(vcpu);
	return vmx->exit->handler(vcpu);
}
