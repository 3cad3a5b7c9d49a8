// SPDX-License-Identifier: GPL-2.0
/*
 * Events on their way to the guest.
 *
 * vcpu->arch.event is the one that the next entry delivers: an exception that exit handling has
 * raised, or an event whose delivery an exit interrupted. Behind it wait NMIs and an interrupt,
 * which userspace gives (KVM_NMI, KVM_INTERRUPT). They come forward in mkvm_choose_event(), in the
 * manual's order (SDM, "Priority Among Concurrent Events"), when nothing blocks them; until then the
 * hardware is asked to exit as soon as the guest could take one: a window.
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

	/*
	 * An exception during the delivery of an interrupt takes its place, as in a CPU: the handler
	 * learns from the error code that an external event is lost.
	 */
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
	 * faults only, #DF and #MC are aborts.
	 */
	if (vector != X86_TRAP_DB && vector != X86_TRAP_DF && vector != X86_TRAP_MC)
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

/* --- Interrupts and NMIs -------------------------------------------------------------------- */

/* Can the guest take an interrupt now, as far as the architecture goes? */
static bool mkvm_irq_open(struct mkvm_vcpu *vcpu)
{
	return (mkvm_rflags(vcpu) & X86_EFLAGS_IF) && !(mkvm_blocked(vcpu) & MKVM_BLOCKED_SHADOW);
}

static bool mkvm_nmi_open(struct mkvm_vcpu *vcpu)
{
	return !(mkvm_blocked(vcpu) & (MKVM_BLOCKED_SHADOW | MKVM_BLOCKED_NMI));
}

/**
 * mkvm_irq_ready() - would an interrupt that userspace gives now be the next thing to happen?
 * @vcpu: the vCPU, loaded, or with RFLAGS and MKVM_REG_BLOCKED cached
 */
bool mkvm_irq_ready(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.event.type == MKVM_EVENT_NONE && !vcpu->arch.irq_pending &&
	       mkvm_irq_open(vcpu);
}

/* An interrupt or NMI on its way waits again. An interrupt that userspace gave since has its place. */
static void mkvm_wait_again(struct mkvm_vcpu *vcpu)
{
	struct mkvm_event *event = &vcpu->arch.event;

	if (event->type == MKVM_EVENT_NMI)
		vcpu->arch.nmi_pending++;
	else if (event->type != MKVM_EVENT_EXTINT)
		return;
	else if (!vcpu->arch.irq_pending)
		mkvm_set_irq(vcpu, event->vector);
	event->type = MKVM_EVENT_NONE;
}

/*
 * An event that was to be delivered at once, and that userspace has made undeliverable since, waits
 * again: the CPU refuses to enter the guest with it.
 */
static void mkvm_put_back(struct mkvm_vcpu *vcpu)
{
	u8 type = vcpu->arch.event.type;

	/* Blocked by itself, as a saved state may say. */
	if (type == MKVM_EVENT_NMI)
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) & ~MKVM_BLOCKED_NMI);
	if ((type == MKVM_EVENT_NMI && !mkvm_nmi_open(vcpu)) ||
	    (type == MKVM_EVENT_EXTINT && !mkvm_irq_open(vcpu)))
		mkvm_wait_again(vcpu);
}

/**
 * mkvm_queue_machine_check() - raise #MC
 * @vcpu: the vCPU
 *
 * It belongs to no instruction: an interrupt or NMI whose delivery is not complete waits again.
 */
void mkvm_queue_machine_check(struct mkvm_vcpu *vcpu)
{
	mkvm_wait_again(vcpu);
	mkvm_queue(vcpu, X86_TRAP_MC, false, 0);
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
}

static void mkvm_queue_waiting(struct mkvm_vcpu *vcpu)
{
	struct mkvm_event *event = &vcpu->arch.event;

	if (event->type != MKVM_EVENT_NONE || vcpu->arch.debug.control & KVM_GUESTDBG_BLOCKIRQ)
		return;
	if (vcpu->arch.nmi_pending && mkvm_nmi_open(vcpu)) {
		vcpu->arch.nmi_pending--;
		*event = (struct mkvm_event){ .type = MKVM_EVENT_NMI, .vector = X86_TRAP_NMI };
	} else if (vcpu->arch.irq_pending && mkvm_irq_open(vcpu)) {
		vcpu->arch.irq_pending = false;
		*event = (struct mkvm_event){
			.type = MKVM_EVENT_EXTINT, .vector = vcpu->arch.irq_vector,
		};
	}
}

/**
 * mkvm_choose_event() - which event comes next, and which windows are needed for the others
 * @vcpu: the vCPU, loaded
 *
 * Carries out MKVM_REQ_EVENT, which whoever changes something about events makes.
 */
void mkvm_choose_event(struct mkvm_vcpu *vcpu)
{
	u8 windows = 0;

	mkvm_put_back(vcpu);
	mkvm_queue_waiting(vcpu);
	if (!(vcpu->arch.debug.control & KVM_GUESTDBG_BLOCKIRQ)) {
		if (vcpu->arch.nmi_pending)
			windows |= MKVM_WINDOW_NMI;
		if (vcpu->arch.irq_pending)
			windows |= MKVM_WINDOW_IRQ;
	}
	if (vcpu->arch.irq_window_wanted)
		windows |= MKVM_WINDOW_IRQ;
	/* A window for NMIs may depend on what else is delivered: said again each time. */
	if (windows != vcpu->arch.windows || windows & MKVM_WINDOW_NMI) {
		vcpu->arch.windows = windows;
		mkvm_mark_dirty(vcpu, MKVM_STATE_WINDOWS);
	}
}

/**
 * mkvm_handle_irq_window() - the guest can take an interrupt
 * @vcpu: the vCPU
 * Return: %MKVM_RUN_USER when it was userspace that asked, and nothing else comes first.
 */
mkvm_run_t mkvm_handle_irq_window(struct mkvm_vcpu *vcpu)
{
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
	if (!vcpu->arch.irq_window_wanted || !mkvm_irq_ready(vcpu))
		return MKVM_RUN_GUEST;
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return MKVM_RUN_USER;
}

/** mkvm_handle_nmi_window() - the guest may be able to take an NMI
 * @vcpu: the vCPU */
mkvm_run_t mkvm_handle_nmi_window(struct mkvm_vcpu *vcpu)
{
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
	return MKVM_RUN_GUEST;
}

/* --- The ioctls ----------------------------------------------------------------------------- */

/** mkvm_set_irq() - an interrupt waits for the guest
 * @vcpu: the vCPU
 * @vector: 0 to 255; replaces one that waits already, as in KVM */
void mkvm_set_irq(struct mkvm_vcpu *vcpu, u8 vector)
{
	vcpu->arch.irq_pending = true;
	vcpu->arch.irq_vector = vector;
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
}

/**
 * mkvm_pending_irq() - the interrupt that the guest is to receive, delivered in part or waiting
 * @vcpu: the vCPU
 * Return: its vector, -1 when there is none.
 */
int mkvm_pending_irq(struct mkvm_vcpu *vcpu)
{
	if (vcpu->arch.event.type == MKVM_EVENT_EXTINT)
		return vcpu->arch.event.vector;
	return vcpu->arch.irq_pending ? vcpu->arch.irq_vector : -1;
}

/**
 * mkvm_ioctl_interrupt() - KVM_INTERRUPT
 * @vcpu: the vCPU
 * @irq: the vector
 *
 * The interrupt waits until the guest can take it.
 * Return: 0, or EINVAL: no such vector.
 */
int mkvm_ioctl_interrupt(struct mkvm_vcpu *vcpu, const struct kvm_interrupt *irq)
{
	if (irq->irq > 255)
		return -EINVAL;
	mkvm_set_irq(vcpu, irq->irq);
	return 0;
}

/**
 * mkvm_ioctl_nmi() - KVM_NMI
 * @vcpu: the vCPU, loaded
 *
 * One NMI can be in progress and one can wait; more are lost (SDM, "Handling Multiple NMIs").
 * Return: 0.
 */
int mkvm_ioctl_nmi(struct mkvm_vcpu *vcpu)
{
	bool busy = vcpu->arch.event.type == MKVM_EVENT_NMI ||
		    mkvm_blocked(vcpu) & MKVM_BLOCKED_NMI;

	if (vcpu->arch.nmi_pending < (busy ? 1 : 2))
		vcpu->arch.nmi_pending++;
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
	return 0;
}

/* The numbers of the ABI: KVM_X86_SHADOW_INT_*. */
static u8 mkvm_shadow_to_user(unsigned long blocked)
{
	return (blocked & MKVM_BLOCKED_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0) |
	       (blocked & MKVM_BLOCKED_STI ? KVM_X86_SHADOW_INT_STI : 0);
}

static unsigned long mkvm_shadow_from_user(u8 shadow)
{
	/* Together they do not exist; VM entry would be refused. */
	if (shadow & KVM_X86_SHADOW_INT_MOV_SS)
		return MKVM_BLOCKED_MOV_SS;
	return shadow & KVM_X86_SHADOW_INT_STI ? MKVM_BLOCKED_STI : 0;
}

/**
 * mkvm_get_vcpu_events() - KVM_GET_VCPU_EVENTS
 * @vcpu: the vCPU, loaded
 * @events: result
 *
 * Events that an instruction caused (INT n, INT3, INTO) are not reported: the guest is still at
 * the instruction, which will cause them again.
 * Return: 0.
 */
int mkvm_get_vcpu_events(struct mkvm_vcpu *vcpu, struct kvm_vcpu_events *events)
{
	const struct mkvm_event *event = &vcpu->arch.event;
	unsigned long blocked = mkvm_blocked(vcpu);
	int irq = mkvm_pending_irq(vcpu);

	memset(events, 0, sizeof(*events));
	if (event->type == MKVM_EVENT_EXCEPTION) {
		events->exception.injected = 1;
		events->exception.nr = event->vector;
		events->exception.has_error_code = event->has_error_code;
		events->exception.error_code = event->error_code;
	}
	if (irq >= 0) {
		events->interrupt.injected = 1;
		events->interrupt.nr = irq;
	}
	events->interrupt.shadow = mkvm_shadow_to_user(blocked);
	events->nmi.injected = event->type == MKVM_EVENT_NMI;
	events->nmi.pending = vcpu->arch.nmi_pending != 0;
	events->nmi.masked = !!(blocked & MKVM_BLOCKED_NMI);

	/* There is no system management mode: its part is all zero. */
	events->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
			KVM_VCPUEVENT_VALID_SMM;
	if (vcpu->vm->arch.triple_fault_event) {
		events->triple_fault.pending = test_bit(MKVM_REQ_SHUTDOWN, &vcpu->requests);
		events->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
	return 0;
}

static bool mkvm_vcpu_events_valid(struct mkvm_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	const u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			  KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM |
			  KVM_VCPUEVENT_VALID_TRIPLE_FAULT;

	if (events->flags & ~known)
		return false;
	if (events->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT &&
	    !vcpu->vm->arch.triple_fault_event)
		return false;
	if (events->flags & KVM_VCPUEVENT_VALID_SMM && (events->smi.smm || events->smi.pending))
		return false;
	return !events->exception.injected ||
	       (events->exception.nr < 32 && events->exception.nr != X86_TRAP_NMI);
}

/**
 * mkvm_queue_soft_exception() - deliver #BP or #OF, whose handler returns behind the instruction
 * @vcpu: the vCPU, at an INT3 or INTO
 * @vector: 3 or 4
 */
void mkvm_queue_soft_exception(struct mkvm_vcpu *vcpu, u8 vector)
{
	vcpu->arch.event = (struct mkvm_event){
		.type = MKVM_EVENT_SOFT_EXC, .vector = vector,
		.insn_len = vector == X86_TRAP_BP ? vcpu->arch.debug.bp_len : 1,
	};
}

static void mkvm_set_event(struct mkvm_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	struct mkvm_event *event = &vcpu->arch.event;

	event->type = MKVM_EVENT_NONE;
	if (events->exception.injected && (events->exception.nr == X86_TRAP_BP ||
					   events->exception.nr == X86_TRAP_OF))
		mkvm_queue_soft_exception(vcpu, events->exception.nr);
	else if (events->exception.injected)
		*event = (struct mkvm_event){
			.type = MKVM_EVENT_EXCEPTION,
			.vector = events->exception.nr,
			.has_error_code = events->exception.has_error_code &&
					  mkvm_is_protmode(vcpu),
			.error_code = events->exception.error_code,
		};
	else if (events->nmi.injected)
		*event = (struct mkvm_event){ .type = MKVM_EVENT_NMI, .vector = X86_TRAP_NMI };
}

/**
 * mkvm_set_vcpu_events() - KVM_SET_VCPU_EVENTS
 * @vcpu: the vCPU, loaded
 * @events: new values
 *
 * Return: 0, or EINVAL: a flag that does not exist or is not enabled, an exception that is none,
 * system management mode; then nothing has changed.
 */
int mkvm_set_vcpu_events(struct mkvm_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	unsigned long blocked = mkvm_blocked(vcpu) & ~MKVM_BLOCKED_NMI;

	if (!mkvm_vcpu_events_valid(vcpu, events))
		return -EINVAL;

	mkvm_set_event(vcpu, events);
	/* An instruction of the guest causes a soft one again. */
	vcpu->arch.irq_pending = events->interrupt.injected && !events->interrupt.soft;
	vcpu->arch.irq_vector = events->interrupt.nr;
	if (events->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		vcpu->arch.nmi_pending = !!events->nmi.pending;

	if (events->flags & KVM_VCPUEVENT_VALID_SHADOW)
		blocked = mkvm_shadow_from_user(events->interrupt.shadow);
	if (events->nmi.masked)
		blocked |= MKVM_BLOCKED_NMI;
	mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, blocked);

	if (events->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		assign_bit(MKVM_REQ_SHUTDOWN, &vcpu->requests, events->triple_fault.pending);
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
	return 0;
}
