// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_RUN: the loop around VM entry.
 *
 *   mkvm_arch_vcpu_run()	once per ioctl: completion of what userspace did, FPU
 *     mkvm_run_loop()		until somebody wants to leave; interrupts on
 *       mkvm_handle_requests()
 *       mkvm_enter_guest()	the inner loop; interrupts off
 *         ops->enter()		one entry and exit
 *         ops->handle_exit()	exits that need nothing but the vCPU ("quick")
 *       ops->handle_exit()	all others, with interrupts on
 *
 * Most exits are quick and stay in the inner loop: one test of the vCPU's requests and of
 * the thread's flags is all that lies between two entries.
 */
#include <linux/sched/signal.h>

#include "../../virt/compat.h"
#include "host.h"
#include "switch.h"
#include "trace.h"
#include "x86.h"

/* --- Ways out, for exit handlers ----------------------------------------------------- */

/**
 * mkvm_internal_error() - return to userspace with KVM_EXIT_INTERNAL_ERROR
 * @vcpu: the vCPU
 * @suberror: KVM_INTERNAL_ERROR_*
 * @ndata: words of @data, at most 16
 * @data: what may help
 */
mkvm_run_t mkvm_internal_error(struct mkvm_vcpu *vcpu, u32 suberror, unsigned int ndata,
			       const u64 *data)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = ndata;
	if (ndata)
		memcpy(run->internal.data, data, ndata * sizeof(*data));
	return MKVM_RUN_USER;
}

/**
 * mkvm_fail_entry() - the CPU refused to enter the guest
 * @vcpu: the vCPU
 * @reason: hardware's own number, for hardware_entry_failure_reason
 */
mkvm_run_t mkvm_fail_entry(struct mkvm_vcpu *vcpu, u64 reason)
{
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->run->fail_entry.hardware_entry_failure_reason = reason;
	vcpu->run->fail_entry.cpu = vcpu->cpu;
	return MKVM_RUN_USER;
}

/** mkvm_handle_shutdown() - triple fault
 * @vcpu: the vCPU */
mkvm_run_t mkvm_handle_shutdown(struct mkvm_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return MKVM_RUN_USER;
}

/** mkvm_handle_hlt() - HLT; without an APIC in the kernel it is userspace that waits
 * @vcpu: the vCPU */
mkvm_run_t mkvm_handle_hlt(struct mkvm_vcpu *vcpu)
{
	mkvm_skip_instruction(vcpu);
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return MKVM_RUN_USER;
}

/** mkvm_handle_skip() - an instruction that needs no action (WBINVD, PAUSE ...)
 * @vcpu: the vCPU */
mkvm_run_t mkvm_handle_skip(struct mkvm_vcpu *vcpu)
{
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/**
 * mkvm_handle_mwait() - MONITOR and MWAIT: they do not wait, as in KVM
 * @vcpu: the vCPU
 *
 * A guest whose CPUID has not got them sees them all the same, unless userspace has turned
 * KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS off.
 */
mkvm_run_t mkvm_handle_mwait(struct mkvm_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e;

	if (!mkvm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)) {
		e = mkvm_find_cpuid(vcpu, 1, 0);
		if (!e || !(e->ecx & BIT(X86_FEATURE_MWAIT & 31)))
			return mkvm_inject_ud(vcpu);
	}
	return mkvm_handle_skip(vcpu);
}

/**
 * mkvm_handle_task_switch() - a hardware task switch
 * @vcpu: the vCPU
 *
 * Not supported: no 64-bit CPU has it in long mode, and operating systems of the last decades use it for
 * double faults of 32-bit kernels at most. Userspace hears of it, the guest is as it was before.
 */
mkvm_run_t mkvm_handle_task_switch(struct mkvm_vcpu *vcpu)
{
	return mkvm_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
}

/* --- The loop --------------------------------------------------------------------------- */

static mkvm_run_t mkvm_handle_requests(struct mkvm_vcpu *vcpu)
{
	if (likely(!READ_ONCE(vcpu->requests)))
		return MKVM_RUN_GUEST;

	/* Not cleared: the VM stays dead. */
	if (test_bit(MKVM_REQ_VM_DEAD, &vcpu->requests))
		return mkvm_run_error(-EIO);

	if (test_and_clear_bit(MKVM_REQ_SHUTDOWN, &vcpu->requests))
		return mkvm_handle_shutdown(vcpu);

	if (test_and_clear_bit(MKVM_REQ_DEBUG_STEP, &vcpu->requests))
		return mkvm_report_step(vcpu);

	if (test_and_clear_bit(MKVM_REQ_TLB_FLUSH, &vcpu->requests)) {
		vcpu->stat.tlb_flushes++;
		preempt_disable();
		if (!mkvm_omit(flush))
			mkvm_ops->flush_tlb(vcpu);
		preempt_enable();
	}
	/* Last: the guest is entered now, or it is done again. */
	if (test_and_clear_bit(MKVM_REQ_EVENT, &vcpu->requests))
		mkvm_choose_event(vcpu);
	return MKVM_RUN_GUEST;
}

/*
 * One entry and exit. Interrupts off before and after; @what: see switch.h.
 * Return: whether the exit can be handled like that.
 */
static __always_inline bool mkvm_enter_once(struct mkvm_vcpu *vcpu, u32 what)
{
	bool quick;

	if (vcpu->arch.event.type != MKVM_EVENT_NONE)
		mkvm_ops->inject(vcpu);
	trace_mkvm_entry(vcpu);
	if (unlikely(what))
		mkvm_load_guest_state(vcpu, what);

	quick = mkvm_direct(enter)(vcpu);

	if (unlikely(what))
		mkvm_load_host_state(vcpu, what);
	vcpu->stat.exits++;
	return quick;
}

/* Is there a reason not to enter the guest? Interrupts off, mode set. */
static bool mkvm_must_leave(struct mkvm_vcpu *vcpu)
{
	return (READ_ONCE(vcpu->requests) && !mkvm_omit(entry_recheck)) || mkvm_host_work_pending();
}

/*
 * Quick exits in a row before the host gets a chance to take interrupts. A CPU ends guest
 * execution for an interrupt by itself; Bochs does not while the guest has RFLAGS.IF clear,
 * and a guest that makes nothing but quick exits would lock it up.
 */
#define MKVM_MAX_QUICK_EXITS	256

/*
 * Run the guest until an exit that needs interrupts on, or until there is work.
 * Return: whether the last exit still has to be handled.
 */
static bool mkvm_enter_guest(struct mkvm_vcpu *vcpu, mkvm_run_t *ret)
{
	unsigned int budget = MKVM_MAX_QUICK_EXITS;
	bool unhandled = false;
	u32 what;

	mkvm_delay(entry);
	preempt_disable();
	local_irq_disable();
	if (unlikely(!mkvm_ops->prepare(vcpu))) {
		local_irq_enable();
		preempt_enable();
		pr_err_ratelimited("vCPU thread on CPU %d, which cannot run guests\n", vcpu->cpu);
		*ret = mkvm_fail_entry(vcpu, 0);
		return false;
	}
	WRITE_ONCE(vcpu->mode, MKVM_IN_GUEST);
	/* Pairs with the smp_mb() in mkvm_make_all_request(). */
	smp_mb();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	vtime_account_guest_enter();

	what = mkvm_switched_state(vcpu);
	*ret = MKVM_RUN_GUEST;
	while (budget-- && !mkvm_must_leave(vcpu)) {
		if (!mkvm_enter_once(vcpu, what)) {
			unhandled = true;
			break;
		}
		*ret = mkvm_direct(handle_exit)(vcpu);
		if (!mkvm_run_is_guest(*ret))
			break;
		vcpu->stat.fast_reentries++;
	}

	WRITE_ONCE(vcpu->mode, MKVM_OUTSIDE_GUEST);
	mkvm_host_protect_userspace();
	/* VM exits have cleared DR7. */
	mkvm_host_restore_dr7();
	/*
	 * The interrupt that ended guest execution, if one did, is taken here; the tick in it
	 * must still find the thread marked as running a guest.
	 */
	local_irq_enable();
	/* STI takes effect after the instruction that follows it, which must not be CLI. */
	asm volatile("nop" : : : "memory");
	local_irq_disable();
	vtime_account_guest_exit();
	local_irq_enable();
	preempt_enable();
	return unhandled;
}

static mkvm_run_t mkvm_handle_exit(struct mkvm_vcpu *vcpu)
{
	mkvm_run_t ret;
	int idx;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = mkvm_direct(handle_exit)(vcpu);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* Signals and the like. A signal leaves KVM_RUN with EINTR and says so in the run struct. */
static mkvm_run_t mkvm_handle_thread_work(struct mkvm_vcpu *vcpu)
{
	int r;

	if (!mkvm_host_work_pending())
		return MKVM_RUN_GUEST;
	r = mkvm_host_handle_work();
	if (!r)
		return MKVM_RUN_GUEST;
	if (r == -EINTR) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stat.signal_exits++;
	}
	return mkvm_run_error(r);
}

static mkvm_run_t mkvm_run_loop(struct mkvm_vcpu *vcpu)
{
	mkvm_run_t ret;

	vcpu->arch.has_run = true;
	mkvm_prepare_step(vcpu);
	do {
		ret = mkvm_handle_requests(vcpu);
		if (!mkvm_run_is_guest(ret))
			break;
		if (mkvm_enter_guest(vcpu, &ret))
			ret = mkvm_handle_exit(vcpu);
		if (mkvm_run_is_guest(ret))
			ret = mkvm_handle_thread_work(vcpu);
		if (!mkvm_run_is_guest(ret))
			break;
		mkvm_host_note_guest();
	} while (true);
	return ret;
}

/* Finish the instruction for which KVM_RUN returned to userspace. */
static mkvm_run_t mkvm_complete_userspace(struct mkvm_vcpu *vcpu)
{
	mkvm_run_t (*complete)(struct mkvm_vcpu *vcpu) = vcpu->arch.complete;

	if (!complete)
		return MKVM_RUN_GUEST;
	vcpu->arch.complete = NULL;
	return complete(vcpu);
}

static mkvm_run_t mkvm_run_loaded(struct mkvm_vcpu *vcpu)
{
	mkvm_run_t ret;

	/* Completion may need the guest's vector registers. */
	mkvm_fpu_load_guest(vcpu);
	ret = mkvm_complete_userspace(vcpu);
	if (mkvm_run_is_guest(ret))
		ret = mkvm_immediate_exit(vcpu->run) ? mkvm_run_error(-EINTR) :
						       mkvm_run_loop(vcpu);
	mkvm_fpu_load_host(vcpu);
	return ret;
}

/* What userspace learns beside the exit reason. What it needs is up to date. */
static void mkvm_write_run_struct(struct mkvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->ready_for_interrupt_injection = mkvm_irq_ready(vcpu);
	run->if_flag = !!(vcpu->arch.regs[MKVM_REG_RFLAGS] & X86_EFLAGS_IF);
	run->cr8 = vcpu->arch.cr8;
	run->apic_base = vcpu->arch.apic_base;
}

/* What userspace asks for in the run struct beside the run itself. */
static int mkvm_read_run_struct(struct mkvm_vcpu *vcpu)
{
	u64 cr8 = READ_ONCE(vcpu->run->cr8);
	bool irq_window = READ_ONCE(vcpu->run->request_interrupt_window);

	/* Without an APIC in the kernel the task priority is userspace's. */
	if (cr8 & ~0xfull)
		return -EINVAL;
	mkvm_set_cr8(vcpu, cr8);
	if (irq_window || vcpu->arch.irq_window_wanted) {
		vcpu->arch.irq_window_wanted = irq_window;
		mkvm_make_request(vcpu, MKVM_REQ_EVENT);
	}
	return 0;
}

static int mkvm_run_vcpu(struct mkvm_vcpu *vcpu)
{
	mkvm_run_t ret;
	int r;

	r = mkvm_read_run_struct(vcpu);
	if (r)
		return r;

	/* Nothing to finish and nothing to run: the vCPU need not be loaded. */
	if (mkvm_immediate_exit(vcpu->run) && !vcpu->arch.complete) {
		mkvm_write_run_struct(vcpu);
		return -EINTR;
	}

	mkvm_vcpu_load(vcpu);
	ret = mkvm_run_loaded(vcpu);
	/* For the run struct; the others are read when somebody asks. */
	mkvm_rflags(vcpu);
	mkvm_blocked(vcpu);
	mkvm_vcpu_put(vcpu);

	mkvm_write_run_struct(vcpu);
	if (!ret.code)
		vcpu->stat.user_exits++;
	return ret.code;
}

/* With state that is handed over in the run struct. */
static noinline int mkvm_run_synced(struct mkvm_vcpu *vcpu, u64 valid, u64 dirty)
{
	int r;

	if ((valid | dirty) & ~(u64)mkvm_sync_fields())
		return -EINVAL;
	r = dirty ? mkvm_sync_load(vcpu, dirty) : 0;
	if (!r)
		r = mkvm_run_vcpu(vcpu);
	mkvm_sync_store(vcpu, valid);
	return r;
}

/* See virt/arch.h. */
int mkvm_arch_vcpu_run(struct mkvm_vcpu *vcpu)
{
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);

	vcpu->run->flags = 0;
	return likely(!(valid | dirty)) ? mkvm_run_vcpu(vcpu) : mkvm_run_synced(vcpu, valid, dirty);
}
