/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_HOST_H
#define MKVM_X86_HOST_H

/*
 * What is borrowed from the host kernel and differs between versions, or is about the host's
 * own state. With host.c the only place in arch/x86 that looks at the kernel's version.
 * Documentation/host-services.rst lists these and the others (FPU, page access), and why.
 */

#include <linux/context_tracking.h>
#include <linux/entry-kvm.h>
#include <linux/hw_breakpoint.h>
#include <linux/irqflags.h>
#include <linux/rcupdate.h>
#include <linux/version.h>
#include <linux/vtime.h>
#include <asm/desc_defs.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>

/**
 * struct mkvm_host_segs - the host's segment state while a guest's is loaded
 * @loaded:	the guest's is loaded
 * @ds: selectors; VM exit loads null selectors into DS and ES, and FS and GS
 *	cannot be given to it when they are not the kernel's
 * @es: likewise
 * @fs: likewise
 * @gs: likewise
 * @ldt: VM exit makes LDTR unusable
 * @idt:	IDTR; VM exit makes its limit 64 KiB
 * @fs_base:	user's FS base
 * @kernel_gs_base: user's GS base, kept in KERNEL_GS_BASE while in the kernel
 */
struct mkvm_host_segs {
	bool loaded;
	u16 ds, es, fs, gs, ldt;
	struct desc_ptr idt;
	unsigned long fs_base;
	unsigned long kernel_gs_base;
};

/* Shown in /sys/devices/system/cpu/vulnerabilities; no header of the kernel declares it. */
extern bool itlb_multihit_kvm_mitigation;

void mkvm_host_save_segs(struct mkvm_host_segs *segs);
void mkvm_host_restore_segs(struct mkvm_host_segs *segs);

/**
 * mkvm_host_note_ldt() - keep an LDT that came while the guest's state was loaded
 * @segs: what mkvm_host_save_segs() remembered
 *
 * The first LDT of a process, made by another thread, reaches this CPU by an interrupt between
 * two entries; the next VM exit clears LDTR. The selector is always the same, and the GDT has
 * what belongs to it.
 */
static inline void mkvm_host_note_ldt(struct mkvm_host_segs *segs)
{
	u16 ldt;

	asm volatile("sldt %0" : "=r" (ldt));
	segs->ldt |= ldt;
}

bool mkvm_host_kvm_present(void);
bool mkvm_host_vmxe_anywhere(void);
bool mkvm_host_svme_anywhere(void);
void mkvm_host_set_vmxe(void);
void mkvm_host_clear_vmxe(void);
void mkvm_host_register_emergency(void (*callback)(void));
void mkvm_host_unregister_emergency(void (*callback)(void));
int mkvm_host_handle_work(void);
void mkvm_host_machine_check(void);
bool mkvm_host_fred(void);

/* --- Around VM entry ---------------------------------------------------------- */

/**
 * mkvm_host_note_guest() - tell RCU that nothing of it is in use here
 *
 * RCU treats guest execution like userspace. Before each row of entries but the first of a
 * KVM_RUN is enough: a guest that stays away long is brought back by the tick, and that exit
 * ends the row.
 *
 * Both the question and the note are about this CPU, and RCU wants interrupts off for it.
 */
static inline void mkvm_host_note_guest(void)
{
	local_irq_disable();
	/* Where context tracking is on, it says so at each entry. */
	if (!context_tracking_enabled_this_cpu()) {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
		rcu_virt_note_context_switch();
#else
		rcu_virt_note_context_switch(smp_processor_id());
#endif
	}
	local_irq_enable();
}

/**
 * mkvm_host_guest_enter() - tell tracing and context tracking: the guest runs
 *
 * Interrupts are off but will, in effect, be enabled by the entry. Nothing between this and
 * mkvm_host_guest_exit() may be instrumented.
 */
static __always_inline void mkvm_host_guest_enter(void)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();

	context_tracking_guest_enter();
	lockdep_hardirqs_on(CALLER_ADDR0);
}

/**
 * mkvm_host_perf_msrs() - what perf wants to have other values while a guest runs
 * @nr: how many
 *
 * Intel only; AMD's counters know guests themselves. Interrupts off: it holds until they are on.
 * Return: an array of the CPU's, NULL when there are none.
 */
static inline struct perf_guest_switch_msr *mkvm_host_perf_msrs(int *nr)
{
	*nr = 0;
	return perf_guest_get_msrs(nr, NULL);
}

/** mkvm_host_protect_userspace() - a guest has run: clear the branch predictors on the way to user space
 *
 * VMSCAPE: the VMM's own branches must not be predicted from what the guest has trained. The
 * kernel does it where the CPU needs it and user space is really entered. Interrupts off. */
static inline void mkvm_host_protect_userspace(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/** mkvm_host_guest_exit() - the opposite of mkvm_host_guest_enter() */
static __always_inline void mkvm_host_guest_exit(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();

	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

/**
 * mkvm_host_nmi() - deliver the NMI that ended guest execution
 *
 * The NMI was consumed by the exit, and NMIs are blocked until the next IRET: raising
 * vector 2 by an instruction gives the host's handler the frame and the IRET that it
 * expects. Not possible with FRED, where a software interrupt does not look like the
 * event; mkvm_arch_init() refuses it.
 */
static __always_inline void mkvm_host_nmi(void)
{
	asm volatile("int $2" : : : "memory");
}

/** mkvm_host_kick_self() - an interrupt for this CPU that does nothing. Interrupts off */
static inline void mkvm_host_kick_self(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	arch_smp_send_reschedule(smp_processor_id());
#else
	smp_send_reschedule(smp_processor_id());
#endif
}

/**
 * mkvm_host_restore_dr7() - VM exit cleared DR7: arm the host's breakpoints again
 */
static inline void mkvm_host_restore_dr7(void)
{
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

/**
 * mkvm_host_work_pending() - must the thread leave the guest for its own sake?
 *
 * Signals, rescheduling, task work (freezer, livepatch). Interrupts off.
 */
static inline bool mkvm_host_work_pending(void)
{
	return __xfer_to_guest_mode_work_pending();
}

#endif
