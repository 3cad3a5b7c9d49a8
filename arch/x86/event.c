// SPDX-License-Identifier: GPL-2.0
/*
 * The event that the guest receives at its next entry: exceptions raised by exit
 * handling, and events whose delivery an exit interrupted.
 */
#include <asm/trapnr.h>

#include "x86.h"

/* SDM, "Interrupt 8 - Double Fault Exception (#DF)": the classes of the table there. */
enum { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static int mkvm_exception_class(u8 vector)
{
	switch (vector) {
	case X86_TRAP_PF:
		return PAGE_FAULT;
	case X86_TRAP_DE:
	case X86_TRAP_TS:
	case X86_TRAP_NP:
	case X86_TRAP_SS:
	case X86_TRAP_GP:
		return CONTRIBUTORY;
	default:
		return BENIGN;
	}
}

/* Does an exception during the delivery of another one make a double fault? */
static bool mkvm_makes_double_fault(u8 first, u8 second)
{
	int a = mkvm_exception_class(first), b = mkvm_exception_class(second);

	return (a == CONTRIBUTORY && b == CONTRIBUTORY) || (a == PAGE_FAULT && b != BENIGN);
}

static void mkvm_queue(struct mkvm_vcpu *vcpu, u8 vector, bool has_error_code, u32 error_code)
{
	struct mkvm_event *event = &vcpu->arch.event;

	if (event->type == MKVM_EVENT_EXCEPTION) {
		if (event->vector == X86_TRAP_DF) {
			event->type = MKVM_EVENT_NONE;
			mkvm_make_request(vcpu, MKVM_REQ_SHUTDOWN);
			return;
		}
		if (mkvm_makes_double_fault(event->vector, vector)) {
			vector = X86_TRAP_DF;
			has_error_code = true;
			error_code = 0;
		}
	}

	/*
	 * The handler of a fault returns to the instruction, whose breakpoint must not hit again
	 * (SDM, "Instruction-Breakpoint Exception Condition"). #DB sets RF for its own
	 * faults only, #DF is an abort.
	 */
	if (vector != X86_TRAP_DB && vector != X86_TRAP_DF)
		mkvm_reg_write(vcpu, MKVM_REG_RFLAGS, mkvm_rflags(vcpu) | X86_EFLAGS_RF);

	event->type = MKVM_EVENT_EXCEPTION;
	event->vector = vector;
	/* Real mode pushes no error codes. */
	event->has_error_code = has_error_code && mkvm_is_protmode(vcpu);
	event->error_code = error_code;
	event->insn_len = 0;
}

/**
 * mkvm_queue_exception() - raise an exception without error code
 * @vcpu: the vCPU
 * @vector: X86_TRAP_*
 *
 * When an exception is being delivered already, the two combine to a double fault
 * or a shutdown as the manual says.
 */
void mkvm_queue_exception(struct mkvm_vcpu *vcpu, u8 vector)
{
	mkvm_queue(vcpu, vector, false, 0);
}

/**
 * mkvm_queue_exception_e() - raise an exception with an error code
 * @vcpu: the vCPU
 * @vector: X86_TRAP_*
 * @error_code: what the handler finds on its stack; not pushed in real mode
 */
void mkvm_queue_exception_e(struct mkvm_vcpu *vcpu, u8 vector, u32 error_code)
{
	mkvm_queue(vcpu, vector, true, error_code);
}

/**
 * mkvm_queue_fault() - raise what decoder, emulator or page walk found
 * @vcpu: the vCPU
 * @fault: the exception
 */
void mkvm_queue_fault(struct mkvm_vcpu *vcpu, const struct x86_fault *fault)
{
	if (fault->vector == X86_TRAP_PF)
		vcpu->arch.cr2 = fault->address;
	mkvm_queue(vcpu, fault->vector, fault->has_error_code, fault->error_code);
}

/** mkvm_inject_ud() - the instruction does not exist for the guest
 * @vcpu: the vCPU
 * Return: always %MKVM_RUN_GUEST. */
mkvm_run_t mkvm_inject_ud(struct mkvm_vcpu *vcpu)
{
	mkvm_queue_exception(vcpu, X86_TRAP_UD);
	return MKVM_RUN_GUEST;
}

/** mkvm_inject_gp() - raise #GP(0)
 * @vcpu: the vCPU
 * Return: always %MKVM_RUN_GUEST. */
mkvm_run_t mkvm_inject_gp(struct mkvm_vcpu *vcpu)
{
	mkvm_queue_exception_e(vcpu, X86_TRAP_GP, 0);
	return MKVM_RUN_GUEST;
}
