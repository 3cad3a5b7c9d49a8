// SPDX-License-Identifier: GPL-2.0
/*
 * Around enter.S: what is loaded before the guest runs, what is read after it.
 *
 * Three rates. Once for each time that the vCPU gets the CPU: TSC_AUX. For each row of entries:
 * VMSAVE of the host's state. For each entry: what has changed since the last one; VMRUN, VMLOAD
 * and VMSAVE do the rest.
 */
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>

#include "svm.h"

/* The kernel sets it once, when the CPU comes up. */
static DEFINE_PER_CPU(u64, svm_host_tsc_aux);

/** svm_save_host_msrs() - remember this CPU's TSC_AUX, which neither VMRUN nor VMLOAD switches */
void svm_save_host_msrs(void)
{
	if (mkvm_caps.rdtscp)
		rdmsrl(MSR_TSC_AUX, *this_cpu_ptr(&svm_host_tsc_aux));
}

/* --- On and off the CPU ----------------------------------------------------------------------- */

/** svm_vcpu_load() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @cpu: this CPU */
void svm_vcpu_load(struct mkvm_vcpu *vcpu, int cpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->cpu != cpu) {
		svm->cpu = cpu;
		/* Tags and what is cached of the VMCB belong to a CPU. */
		if (!mkvm_omit(asid_move))
			svm->asid_generation = 0;
		if (!mkvm_omit(clean_move))
			svm->vmcb->control.clean = 0;
	}
}

static void svm_switch_tsc_aux(u64 from, u64 to)
{
	if (mkvm_caps.rdtscp && from != to)
		wrmsrl(MSR_TSC_AUX, to);
}

/** svm_vcpu_put() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void svm_vcpu_put(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm->host_loaded)
		return;
	svm_switch_tsc_aux(svm->tsc_aux, this_cpu_read(svm_host_tsc_aux));
	svm->host_loaded = false;
}

/** svm_flush_tlb() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 *
 * Both kinds of translations carry the ASID: a new one has none (APM, "TLB Control"). */
void svm_flush_tlb(struct mkvm_vcpu *vcpu)
{
	to_svm(vcpu)->asid_generation = 0;
}

/** svm_prepare() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
bool svm_prepare(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	/* The machine goes down, or the CPU could not be enabled. */
	if (unlikely(!svm_cpu_prepare(svm)))
		return false;
	/*
	 * Every exit loads this back. Each time, because another thread may have given the process
	 * an LDT while interrupts were on, and freed the old one.
	 */
	svm_vmsave(svm->host_area_pa);
	/* perf may have changed it until interrupts went off. */
	svm->host_debugctl = get_debugctlmsr();

	if (!svm->host_loaded) {
		svm_switch_tsc_aux(this_cpu_read(svm_host_tsc_aux), svm->tsc_aux);
		svm->host_loaded = true;
	}
	return true;
}

/* --- Events ------------------------------------------------------------------------------------- */

/* APM, "Event Injection": the TYPE field of EVENTINJ. */
static const u32 svm_event_types[] = {
	[MKVM_EVENT_EXTINT]	= SVM_EVTINJ_TYPE_INTR,
	[MKVM_EVENT_NMI]	= SVM_EVTINJ_TYPE_NMI,
	[MKVM_EVENT_EXCEPTION]	= SVM_EVTINJ_TYPE_EXEPT,
	[MKVM_EVENT_SOFT_INT]	= SVM_EVTINJ_TYPE_SOFT,
	[MKVM_EVENT_ICEBP]	= SVM_EVTINJ_TYPE_EXEPT,
	[MKVM_EVENT_SOFT_EXC]	= SVM_EVTINJ_TYPE_EXEPT,
};

/*
 * The handler of #BP or #OF returns behind the instruction, which the CPU does not know the length
 * of: RIP is moved before, and back if the delivery does not come to its end.
 */
static void svm_inject_soft_exception(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->soft_len = vcpu->arch.event.insn_len;
	mkvm_reg_write(vcpu, MKVM_REG_RIP, mkvm_next_rip(vcpu, mkvm_rip(vcpu), svm->soft_len));
}

/** svm_inject() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void svm_inject(struct mkvm_vcpu *vcpu)
{
	const struct mkvm_event *event = &vcpu->arch.event;
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	to_svm(vcpu)->soft_len = 0;
	/* Its handler is in no shadow, whatever the CPU makes of both together. */
	mkvm_end_shadow(vcpu);
	if (event->type == MKVM_EVENT_SOFT_EXC)
		svm_inject_soft_exception(vcpu);
	else if (event->type == MKVM_EVENT_NMI)
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) | MKVM_BLOCKED_NMI);

	control->event_inj = SVM_EVTINJ_VALID | svm_event_types[event->type] | event->vector;
	if (event->has_error_code) {
		control->event_inj |= SVM_EVTINJ_VALID_ERR;
		control->event_inj_err = event->error_code;
	}
}

/* An INT3 or INTO that was injected is to be injected again, from where it was. */
static void svm_requeue_soft_exception(struct mkvm_vcpu *vcpu, u8 vector)
{
	u8 len = to_svm(vcpu)->soft_len;

	if (!len)
		return;
	mkvm_reg_write(vcpu, MKVM_REG_RIP, mkvm_rip(vcpu) - len);
	vcpu->arch.event = (struct mkvm_event){
		.type = MKVM_EVENT_SOFT_EXC, .vector = vector, .insn_len = len,
	};
}

/*
 * An exit during the delivery of an event (APM, "EXITINTINFO"): it must be delivered again. An
 * event that an instruction caused (INT n, INT3, INTO) is not kept: RIP is still at the
 * instruction, which runs again.
 */
static void svm_requeue_event(struct mkvm_vcpu *vcpu, u32 info)
{
	struct mkvm_event *event = &vcpu->arch.event;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	switch (info & SVM_EXITINTINFO_TYPE_MASK) {
	case SVM_EXITINTINFO_TYPE_INTR:
		event->type = MKVM_EVENT_EXTINT;
		break;
	case SVM_EXITINTINFO_TYPE_NMI:
		event->type = MKVM_EVENT_NMI;
		/* Its new delivery blocks NMIs. */
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) & ~MKVM_BLOCKED_NMI);
		break;
	case SVM_EXITINTINFO_TYPE_EXEPT:
		if (vector == X86_TRAP_BP || vector == X86_TRAP_OF) {
			svm_requeue_soft_exception(vcpu, vector);
			return;
		}
		event->type = MKVM_EVENT_EXCEPTION;
		break;
	default:
		return;
	}
	event->vector = vector;
	event->has_error_code = info & SVM_EXITINTINFO_VALID_ERR && mkvm_is_protmode(vcpu);
	event->error_code = to_svm(vcpu)->vmcb->control.exit_int_info_err;
	event->insn_len = 0;
}

/*
 * Whatever ended a step towards an NMI, the flags are the guest's again, and what comes next is
 * chosen anew. A complete IRET has loaded flags of its own.
 */
static void svm_end_nmi_step(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	bool complete = svm->vmcb->control.exit_code == SVM_EXIT_EXCP_BASE + X86_TRAP_DB;

	if (svm->nmi_step == SVM_NMI_STEP && !(complete && svm->nmi_iret_rip != ~0ull))
		vcpu->arch.regs[MKVM_REG_RFLAGS] &= ~(u64)X86_EFLAGS_TF;
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
}

/* The IRET that ends the handling of an NMI has been executed, unless the guest is still at it. */
static void svm_follow_iret(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->nmi_iret_rip == ~0ull || svm->nmi_iret_rip == vcpu->arch.regs[MKVM_REG_RIP])
		return;
	mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) & ~MKVM_BLOCKED_NMI);
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
}

/* --- Entry and exit ------------------------------------------------------------------------------ */

/* Nothing in here may be traced: to RCU the guest runs. */
static noinstr void svm_enter_exit(struct mkvm_vcpu *vcpu, struct svm_vcpu *svm)
{
	mkvm_host_guest_enter();
	svm_enter_asm(svm->vmcb_pa, vcpu->arch.regs, svm->host_area_pa);
	mkvm_host_guest_exit();
}

/** svm_enter() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
bool svm_enter(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmcb_save_area *save = &svm->vmcb->save;

	svm->fail = !svm_clgi();
	if (unlikely(svm->fail))
		return false;
	svm_write_dirty(vcpu);
	/* Otherwise svm_inject() has been called. */
	if (vcpu->arch.event.type == MKVM_EVENT_NONE) {
		control->event_inj = 0;
		svm->soft_len = 0;
	}
	if (save->cr2 != vcpu->arch.cr2) {
		save->cr2 = vcpu->arch.cr2;
		svm_mark_dirty(svm, SVM_CLEAN_CR2);
	}
	if (unlikely(svm->exit_at_once)) {
		/* An interrupt of the host is taken after the event, before an instruction. */
		mkvm_host_kick_self();
		mkvm_make_request(vcpu, MKVM_REQ_EVENT);
		svm->exit_at_once = false;
	}
	/* Without LBR virtualization the guest would run with the host's (APM, "DebugCtl"). */
	if (unlikely(svm->host_debugctl))
		update_debugctlmsr(0);

	svm_audit_entry(vcpu);
	svm_enter_exit(vcpu, svm);

	if (unlikely(svm->host_debugctl))
		update_debugctlmsr(svm->host_debugctl);
	/* An NMI that ended guest execution is delivered here. */
	svm_stgi();

	svm_audit_exit(vcpu);

	/* In memory like all else: cheaper now than through svm_cache_reg(). */
	vcpu->arch.regs[MKVM_REG_RAX] = save->rax;
	vcpu->arch.regs[MKVM_REG_RSP] = save->rsp;
	vcpu->arch.regs[MKVM_REG_RIP] = save->rip;
	vcpu->arch.regs[MKVM_REG_RFLAGS] = save->rflags;
	vcpu->arch.regs[MKVM_REG_CR3] = save->cr3;
	vcpu->arch.regs[MKVM_REG_BLOCKED] = (control->int_state & SVM_INTERRUPT_SHADOW_MASK) |
					    svm->nmi_blocked;
	vcpu->arch.cr2 = save->cr2;
	control->clean = SVM_CLEAN_ALL;

	svm_find_exit(svm);
	svm->insn_len = 0;
	vcpu->arch.regs_avail &= ~(BIT(MKVM_REG_CS_AR) | BIT(MKVM_REG_SS_AR));
	if (unlikely(control->exit_code == (u32)SVM_EXIT_ERR)) {
		/* The guest did not run: the event was not delivered, and nobody knows what is cached. */
		control->clean = 0;
		svm_requeue_soft_exception(vcpu, vcpu->arch.event.vector);
		return false;
	}

	if (unlikely(control->tlb_ctl != TLB_CONTROL_DO_NOTHING))
		svm_cpu_flushed(svm);
	vcpu->arch.event.type = MKVM_EVENT_NONE;
	if (unlikely(svm->nmi_step != SVM_NMI_NO_STEP))
		svm_end_nmi_step(vcpu);
	if (unlikely(svm->nmi_blocked))
		svm_follow_iret(vcpu);
	if (svm->exit->quick)
		return svm_length_quick(vcpu);
	if (control->exit_code == SVM_EXIT_IOIO)
		return !(control->exit_info_1 & SVM_IOIO_STR_MASK);
	if (unlikely(control->exit_int_info & SVM_EXITINTINFO_VALID))
		svm_requeue_event(vcpu, control->exit_int_info);
	if (control->exit_code == SVM_EXIT_EXCP_BASE + X86_TRAP_MC)
		mkvm_host_machine_check();
	return false;
}
