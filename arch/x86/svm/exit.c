// SPDX-License-Identifier: GPL-2.0
/*
 * #VMEXITs: one row for each exit code of the manual (APM, "SVM Intercept Exit Codes"), and the
 * handlers, which decode what the VMCB says and call common code.
 *
 * A row without a handler is an exit that the intercepts in vmcb.c do not permit to happen, or one
 * that is not supported; see svm_exit_unexpected().
 */
#include <linux/nospec.h>
#include <asm/trapnr.h>

#include "../trace.h"
#include "svm.h"

/* --- Handlers --------------------------------------------------------------------------------- */

/* The host has taken it by now: STGI and the end of the inner loop let it through. */
static mkvm_run_t svm_exit_host_event(struct mkvm_vcpu *vcpu)
{
	return MKVM_RUN_GUEST;
}

/*
 * #DB; DR6 in the VMCB has been updated. It is kept clear there, so that its bits are those of this
 * exception.
 */
static mkvm_run_t svm_exit_db(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 dr6 = mkvm_db_causes(vcpu, svm->vmcb->save.dr6);

	svm->vmcb->save.dr6 = DR6_RESERVED;
	svm_mark_dirty(svm, SVM_CLEAN_DR);
	/* The end of a step towards an NMI is not the guest's. */
	if (unlikely(svm->nmi_step == SVM_NMI_STEP && dr6 & DR_STEP)) {
		dr6 &= ~(u64)DR_STEP;
		if (!dr6)
			return MKVM_RUN_GUEST;
	}
	return mkvm_handle_db(vcpu, dr6);
}

/*
 * A step towards an NMI ends with a fault. What the handler finds on its stack is without our TF, and
 * the NMI comes next: the shadow is over, and IRET unblocks NMIs even if it faults (SDM, "Handling
 * Multiple NMIs").
 */
static mkvm_run_t svm_exit_step_fault(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_control_area *control = &svm->vmcb->control;
	u8 vector = control->exit_code - SVM_EXIT_EXCP_BASE;

	mkvm_end_shadow(vcpu);
	if (svm->nmi_iret_rip != ~0ull)
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) & ~MKVM_BLOCKED_NMI);
	if (vector == X86_TRAP_PF)
		vcpu->arch.cr2 = control->exit_info_2;
	mkvm_queue_exception_e(vcpu, vector, control->exit_info_1);
	return MKVM_RUN_GUEST;
}

/* INT1 is a trap, but exits before RIP has moved. It is not stepped itself. */
static mkvm_run_t svm_exit_icebp(struct mkvm_vcpu *vcpu)
{
	svm_pass_insn(vcpu);
	return mkvm_handle_db(vcpu, 0);
}

static mkvm_run_t svm_exit_ac(struct mkvm_vcpu *vcpu)
{
	mkvm_queue_exception_e(vcpu, X86_TRAP_AC, to_svm(vcpu)->vmcb->control.exit_info_1);
	return MKVM_RUN_GUEST;
}

/* #BP exits before RIP has moved. */
static mkvm_run_t svm_exit_bp(struct mkvm_vcpu *vcpu)
{
	return mkvm_handle_bp(vcpu, to_svm(vcpu)->insn_len);
}

/* The end of the handler of an NMI begins: see svm_write_windows(). */
static mkvm_run_t svm_exit_iret(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm_no_intercept(svm, INTERCEPT_IRET);
	svm->nmi_iret_rip = mkvm_rip(vcpu);
	return mkvm_handle_nmi_window(vcpu);
}

/*
 * MOV to and from a control register, CLTS, LMSW, SMSW. Without decode assists the instruction
 * has to be read to tell which; they are rare, and so it is everywhere.
 */
static mkvm_run_t svm_exit_cr_access(struct mkvm_vcpu *vcpu)
{
	struct x86_insn insn;

	if (!svm_length(vcpu, &insn))
		return MKVM_RUN_GUEST;
	switch (insn.op) {
	case X86_OP_MOV_CR:
		if (insn.opnd[0].kind == X86_OPND_CR)
			return mkvm_handle_mov_to_cr(vcpu, insn.opnd[0].reg, insn.opnd[1].reg);
		return mkvm_handle_mov_from_cr(vcpu, insn.opnd[1].reg, insn.opnd[0].reg);
	case X86_OP_CLTS:
		return mkvm_handle_clts(vcpu);
	case X86_OP_LMSW:
		return mkvm_handle_lmsw_insn(vcpu, &insn);
	default:
		return mkvm_handle_smsw_insn(vcpu, &insn);
	}
}

static mkvm_run_t svm_exit_dr_access(struct mkvm_vcpu *vcpu)
{
	struct x86_insn insn;

	if (!svm_length(vcpu, &insn))
		return MKVM_RUN_GUEST;
	if (insn.opnd[0].kind == X86_OPND_DR)
		return mkvm_handle_mov_dr(vcpu, insn.opnd[0].reg, insn.opnd[1].reg, true);
	return mkvm_handle_mov_dr(vcpu, insn.opnd[1].reg, insn.opnd[0].reg, false);
}

/* The segment of OUTS is reported by CPUs with decode assists only; so the instruction is read. */
static noinline mkvm_run_t svm_exit_string_io(struct mkvm_vcpu *vcpu, struct mkvm_pio_exit *pio)
{
	struct x86_insn insn;

	if (!svm_length(vcpu, &insn))
		return MKVM_RUN_GUEST;
	pio->rep = to_svm(vcpu)->vmcb->control.exit_info_1 & BIT(SVM_IOIO_REP_SHIFT);
	pio->addr_size = insn.addr_size;
	pio->seg = insn.mem.seg;
	return mkvm_handle_pio(vcpu, pio);
}

/* APM, "IOIO Intercept Information": EXITINFO2 is the address of the next instruction. */
static mkvm_run_t svm_exit_ioio(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_control_area *control = &svm->vmcb->control;
	u32 info = control->exit_info_1;
	struct mkvm_pio_exit pio = {
		.port = info >> 16,
		.size = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT,
		.in = info & SVM_IOIO_TYPE_MASK,
		.string = info & SVM_IOIO_STR_MASK,
	};

	svm->insn_len = control->exit_info_2 - mkvm_rip(vcpu);
	if (pio.string)
		return svm_exit_string_io(vcpu, &pio);
	return mkvm_handle_pio(vcpu, &pio);
}

static mkvm_run_t svm_exit_msr(struct mkvm_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->control.exit_info_1 ? mkvm_handle_wrmsr(vcpu) :
							  mkvm_handle_rdmsr(vcpu);
}

/*
 * APM, "Shutdown": what the VMCB holds is not defined, so the vCPU is reset. One that we find out
 * ourselves (MKVM_REQ_SHUTDOWN) leaves the state as it was.
 */
static mkvm_run_t svm_exit_shutdown(struct mkvm_vcpu *vcpu)
{
	mkvm_vcpu_reset(vcpu);
	return mkvm_handle_shutdown(vcpu);
}

/*
 * Exits that cannot happen with our intercepts, or are not supported. Everything is printed once,
 * and the VMM decides what becomes of the VM.
 */
static noinline mkvm_run_t svm_exit_unexpected(struct mkvm_vcpu *vcpu)
{
	const u64 data[] = { to_svm(vcpu)->vmcb->control.exit_code, vcpu->cpu };

	svm_dump(vcpu);
	return mkvm_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
				   ARRAY_SIZE(data), data);
}

/*
 * APM, "Nested Page Faults": EXITINFO1 is like the error code of a page fault. A fault of the guest's own
 * tables never gets here: it is the guest's #PF.
 */
static mkvm_run_t svm_exit_npf(struct mkvm_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	u64 info = control->exit_info_1;
	u32 fault = MKVM_FAULT_READ;

	if (unlikely(info & SVM_NPF_RSVD)) {
		/* Our tables are wrong: nothing that they map can be trusted any more. */
		svm_dump(vcpu);
		mkvm_vm_kill(vcpu->vm);
		return mkvm_run_error(-EIO);
	}
	if (info & SVM_NPF_WRITE)
		fault = MKVM_FAULT_WRITE;
	else if (info & SVM_NPF_FETCH)
		fault = MKVM_FAULT_FETCH;
	if (info & SVM_NPF_FINAL)
		fault |= MKVM_FAULT_FINAL;
	return mkvm_handle_page_fault(vcpu, control->exit_info_2, fault);
}

/* --- The table ----------------------------------------------------------------------------------- */

/* Codes from 0x400 on have their rows after the others. */
#define SVM_HIGH_CODES		0x400
#define SVM_HIGH_ROWS		0xa8

#define OP(op)				BIT(X86_OP_##op)
#define ROW(code, fn)			[SVM_EXIT_##code] = { #code, fn }
/* The instruction is skipped: its length is found first. */
#define INSN(code, fn, ops)		[SVM_EXIT_##code] = { #code, fn, ops, true, false }
#define QUICK(code, fn, ops)		[SVM_EXIT_##code] = { #code, fn, ops, true, true }
#define EXCEPTION(name, vector, fn)	[SVM_EXIT_EXCP_BASE + (vector)] = { name, fn }
#define HIGH(code, fn)			[SVM_EXIT_##code - SVM_HIGH_CODES + SVM_HIGH_ROWS] = { #code, fn }
/* Handlers that read the instruction themselves. */
#define CR(code)	[SVM_EXIT_##code] = { #code, svm_exit_cr_access,		\
					      OP(MOV_CR) | OP(CLTS) | OP(LMSW) | OP(SMSW) }
#define DR(code)	[SVM_EXIT_##code] = { #code, svm_exit_dr_access, OP(MOV_DR) }

static_assert(X86_OP_XSETBV < 32, "struct svm_exit_row: ops");

static const struct svm_exit_row svm_exit_table[] = {
	CR(READ_CR0), CR(READ_CR4), CR(WRITE_CR0), CR(WRITE_CR4), CR(WRITE_CR8),
	ROW(READ_CR3,		NULL),	/* not intercepted, like all rows without a handler */
	ROW(WRITE_CR3,		NULL),
	ROW(READ_CR8,		NULL),
	DR(READ_DR0), DR(READ_DR1), DR(READ_DR2), DR(READ_DR3),
	DR(READ_DR4), DR(READ_DR5), DR(READ_DR6), DR(READ_DR7),
	DR(WRITE_DR0), DR(WRITE_DR1), DR(WRITE_DR2), DR(WRITE_DR3),
	DR(WRITE_DR4), DR(WRITE_DR5), DR(WRITE_DR6), DR(WRITE_DR7),
	EXCEPTION("EXCP_DB", X86_TRAP_DB, svm_exit_db),
	[SVM_EXIT_EXCP_BASE + X86_TRAP_BP] = { "EXCP_BP", svm_exit_bp, OP(INT), true, false },
	EXCEPTION("EXCP_UD", X86_TRAP_UD, mkvm_handle_ud),
	EXCEPTION("EXCP_TS", X86_TRAP_TS, svm_exit_step_fault),
	EXCEPTION("EXCP_NP", X86_TRAP_NP, svm_exit_step_fault),
	EXCEPTION("EXCP_SS", X86_TRAP_SS, svm_exit_step_fault),
	EXCEPTION("EXCP_GP", X86_TRAP_GP, svm_exit_step_fault),
	EXCEPTION("EXCP_PF", X86_TRAP_PF, svm_exit_step_fault),
	EXCEPTION("EXCP_AC", X86_TRAP_AC, svm_exit_ac),
	EXCEPTION("EXCP_MC", X86_TRAP_MC, svm_exit_host_event),
	ROW(INTR,		svm_exit_host_event),
	ROW(NMI,		svm_exit_host_event),
	ROW(SMI,		svm_exit_host_event),
	ROW(INIT,		svm_exit_host_event),
	ROW(VINTR,		mkvm_handle_irq_window),
	ROW(CR0_SEL_WRITE,	NULL),
	ROW(IDTR_READ,		NULL),
	ROW(GDTR_READ,		NULL),
	ROW(LDTR_READ,		NULL),
	ROW(TR_READ,		NULL),
	ROW(IDTR_WRITE,		NULL),
	ROW(GDTR_WRITE,		NULL),
	ROW(LDTR_WRITE,		NULL),
	ROW(TR_WRITE,		NULL),
	ROW(RDTSC,		NULL),
	ROW(RDPMC,		mkvm_inject_gp),	/* no counters */
	ROW(PUSHF,		NULL),
	ROW(POPF,		NULL),
	QUICK(CPUID,		mkvm_handle_cpuid,	OP(CPUID)),
	ROW(RSM,		mkvm_inject_ud),
	ROW(IRET,		svm_exit_iret),
	ROW(SWINT,		NULL),
	INSN(INVD,		mkvm_handle_skip,	OP(INVD)),
	ROW(PAUSE,		NULL),
	QUICK(HLT,		mkvm_handle_hlt,	OP(HLT)),
	ROW(INVLPG,		NULL),
	ROW(INVLPGA,		mkvm_inject_ud),
	/* The string forms read the instruction, the others are told its length, and are quick. */
	[SVM_EXIT_IOIO] = { "IOIO", svm_exit_ioio, OP(INS) | OP(OUTS) },
	QUICK(MSR,		svm_exit_msr,		OP(RDMSR) | OP(WRMSR)),
	ROW(TASK_SWITCH,	mkvm_handle_task_switch),
	ROW(FERR_FREEZE,	NULL),
	ROW(SHUTDOWN,		svm_exit_shutdown),
	ROW(VMRUN,		mkvm_inject_ud),
	QUICK(VMMCALL,		mkvm_handle_hypercall,	OP(VMMCALL)),
	ROW(VMLOAD,		mkvm_inject_ud),
	ROW(VMSAVE,		mkvm_inject_ud),
	ROW(STGI,		mkvm_inject_ud),
	ROW(CLGI,		mkvm_inject_ud),
	ROW(SKINIT,		mkvm_inject_ud),
	ROW(RDTSCP,		NULL),
	INSN(ICEBP,		svm_exit_icebp,		OP(INT)),
	INSN(WBINVD,		mkvm_handle_skip,	OP(WBINVD)),
	INSN(MONITOR,		mkvm_handle_mwait,	OP(MONITOR)),
	INSN(MWAIT,		mkvm_handle_mwait,	OP(MWAIT)),
	ROW(MWAIT_COND,		NULL),
	INSN(XSETBV,		mkvm_handle_xsetbv,	OP(XSETBV)),
	ROW(RDPRU,		mkvm_inject_ud),
	ROW(INVPCID,		NULL),
	HIGH(NPF,		svm_exit_npf),
	HIGH(AVIC_INCOMPLETE_IPI, NULL),
	HIGH(AVIC_UNACCELERATED_ACCESS, NULL),
	HIGH(VMGEXIT,		NULL),
};

static_assert(ARRAY_SIZE(svm_exit_table) <= MKVM_ARCH_NR_EXITS);

/** svm_find_exit() - the row of the last exit's code, and its number among the counters
 * @svm: the vCPU */
void svm_find_exit(struct svm_vcpu *svm)
{
	static const struct svm_exit_row unknown;
	u32 code = svm->vmcb->control.exit_code;

	if (unlikely(code >= SVM_HIGH_ROWS)) {
		/* Between the two ranges there is nothing. */
		code -= SVM_HIGH_CODES;
		if (code < ARRAY_SIZE(svm_exit_table))
			code += SVM_HIGH_ROWS;
	}
	if (unlikely(code >= ARRAY_SIZE(svm_exit_table))) {
		svm->exit_index = MKVM_ARCH_NR_EXITS;
		svm->exit = &unknown;
		return;
	}
	svm->exit_index = array_index_nospec(code, ARRAY_SIZE(svm_exit_table));
	svm->exit = &svm_exit_table[svm->exit_index];
}

/** svm_exit_name() - see struct mkvm_x86_ops
 * @index: number of a counter */
const char *svm_exit_name(unsigned int index)
{
	return index < ARRAY_SIZE(svm_exit_table) ? svm_exit_table[index].name : NULL;
}

/** svm_handle_exit() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
mkvm_run_t svm_handle_exit(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_control_area *control = &svm->vmcb->control;
	const struct svm_exit_row *exit = svm->exit;

	if (unlikely(svm->fail))
		return mkvm_fail_entry(vcpu, 0);
	if (trace_mkvm_exit_enabled())
		trace_mkvm_exit(vcpu, control->exit_code, control->exit_info_1,
				control->exit_info_2, control->exit_int_info);
	if (unlikely(control->exit_code == (u32)SVM_EXIT_ERR)) {
		svm_dump(vcpu);
		return mkvm_fail_entry(vcpu, control->exit_code);
	}
	vcpu->stat.exit_reason[svm->exit_index]++;
	if (unlikely(!exit->handler))
		return svm_exit_unexpected(vcpu);
	if (exit->skipped && !svm->insn_len && !svm_length(vcpu, NULL))
		return MKVM_RUN_GUEST;
	return exit->handler(vcpu);
}
