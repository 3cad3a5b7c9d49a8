// SPDX-License-Identifier: GPL-2.0
/*
 * Services of the host kernel; see host.h.
 */
#include <linux/cpu.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mce.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/reboot.h>

#include "host.h"

/**
 * mkvm_host_kvm_present() - is KVM loaded (or built in), even if idle?
 *
 * An idle kvm_intel of 6.1 leaves CR4.VMXE clear, but owns the one slot of the
 * emergency callback; from 6.12 on it enters VMX operation when it is loaded. Two
 * owners are not possible. kvm.ko shows by a symbol that it exports.
 */
bool mkvm_host_kvm_present(void)
{
	if (!__symbol_get("kvm_init"))
		return false;
	__symbol_put("kvm_init");
	return true;
}

static void mkvm_check_vmxe(void *any)
{
	if (cr4_read_shadow() & X86_CR4_VMXE)
		*(bool *)any = true;
}

/** mkvm_host_vmxe_anywhere() - has somebody set CR4.VMXE on any CPU?
 * Context: may sleep (waits for the other CPUs). */
bool mkvm_host_vmxe_anywhere(void)
{
	bool any = false;

	on_each_cpu(mkvm_check_vmxe, &any, 1);
	return any;
}

static void mkvm_check_svme(void *any)
{
	u64 efer;

	if (!rdmsrl_safe(MSR_EFER, &efer) && efer & EFER_SVME)
		*(bool *)any = true;
}

/** mkvm_host_svme_anywhere() - has somebody set EFER.SVME on any CPU?
 * Context: may sleep (waits for the other CPUs). */
bool mkvm_host_svme_anywhere(void)
{
	bool any = false;

	on_each_cpu(mkvm_check_svme, &any, 1);
	return any;
}

/**
 * mkvm_host_set_vmxe() - set CR4.VMXE on this CPU, in the kernel's books too
 *
 * Stops Intel PT where it cannot trace in VMX operation: VMXON would fault.
 */
void mkvm_host_set_vmxe(void)
{
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
}

/** mkvm_host_clear_vmxe() - clear CR4.VMXE on this CPU */
void mkvm_host_clear_vmxe(void)
{
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

/**
 * mkvm_host_register_emergency() - be called when the machine goes down in a hurry
 * @callback: runs on each CPU, possibly in NMI context
 *
 * Panic, crash kernel, emergency restart. The slot is KVM's otherwise.
 */
void mkvm_host_register_emergency(void (*callback)(void))
{
	cpu_emergency_register_virt_callback(callback);
}

/** mkvm_host_unregister_emergency() - give the slot back; waits for users
 * @callback: as registered */
void mkvm_host_unregister_emergency(void (*callback)(void))
{
	cpu_emergency_unregister_virt_callback(callback);
}

/**
 * mkvm_host_save_segs() - remember the host's segment state
 * @segs: where
 *
 * Context: preemption off. The caller then loads the guest's KERNEL_GS_BASE.
 */
void mkvm_host_save_segs(struct mkvm_host_segs *segs)
{
	asm("sldt %0" : "=r" (segs->ldt));
	store_idt(&segs->idt);
	savesegment(ds, segs->ds);
	savesegment(es, segs->es);
	if (likely(boot_cpu_has(X86_FEATURE_FSGSBASE) && !test_thread_flag(TIF_ADDR32))) {
		/* Cheaper than the MSRs. Without FSGSBASE it does not know all bases. */
		current_save_fsgs();
		segs->fs = current->thread.fsindex;
		segs->gs = current->thread.gsindex;
		segs->fs_base = current->thread.fsbase;
		segs->kernel_gs_base = current->thread.gsbase;
	} else {
		savesegment(fs, segs->fs);
		savesegment(gs, segs->gs);
		rdmsrl(MSR_FS_BASE, segs->fs_base);
		rdmsrl(MSR_KERNEL_GS_BASE, segs->kernel_gs_base);
	}
	segs->loaded = true;
}

/**
 * mkvm_host_restore_segs() - undo what VM exits did to the segment state
 * @segs: what mkvm_host_save_segs() remembered
 *
 * VM exit loads FS, GS and their bases from the VMCS, which takes kernel selectors
 * only; clears DS, ES and LDTR when told so; sets the limits of GDTR and IDTR to 64 KiB
 * and of the TSS to 0x67 (SDM, "Loading Host Segment and Descriptor-Table Registers").
 *
 * Context: preemption off.
 */
void mkvm_host_restore_segs(struct mkvm_host_segs *segs)
{
	mkvm_host_note_ldt(segs);
	/* A selector of the LDT needs LDTR first; loading GS ruins its base. */
	if (segs->ldt || segs->gs & 7) {
		asm volatile("lldt %0" : : "r" (segs->ldt));
		load_gs_index(segs->gs);
	}
	if (segs->fs & 7) {
		/* The base need not be the selector's. */
		loadsegment(fs, segs->fs);
		wrmsrl(MSR_FS_BASE, segs->fs_base);
	}
	if (segs->ds | segs->es) {
		loadsegment(ds, segs->ds);
		loadsegment(es, segs->es);
	}
	/* LTR is dear; the kernel refreshes the limit when a task needs its I/O bitmap. */
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, segs->kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	load_idt(&segs->idt);
	segs->loaded = false;
}

/*
 * The kernel's function for the work below reports a signal in KVM's own vCPU structure, of
 * which it touches the run struct's exit reason and a counter. It gets one of which nobody
 * reads anything; run.c fills in the real run struct.
 */
static struct kvm_run mkvm_unused_run;
static struct kvm_vcpu mkvm_unused_vcpu = { .run = &mkvm_unused_run };

/**
 * mkvm_host_handle_work() - do what the thread has to do before it enters the guest again
 *
 * Rescheduling, task work, the freezer. Context: interrupts on; may sleep.
 * Return: 0, or EINTR when a signal is to be delivered.
 */
int mkvm_host_handle_work(void)
{
	return xfer_to_guest_mode_handle_work(&mkvm_unused_vcpu);
}

/**
 * mkvm_host_machine_check() - deliver the #MC that ended guest execution
 *
 * To the host it happened in the VMM's process: a memory error in the guest's memory is then
 * a signal for that process, not the end of the machine.
 */
void mkvm_host_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = {
		.cs = 3,	/* user mode */
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#endif
}

/** mkvm_host_fred() - does the kernel use FRED event delivery? See mkvm_host_nmi(). */
bool mkvm_host_fred(void)
{
#ifdef X86_FEATURE_FRED
	return cpu_feature_enabled(X86_FEATURE_FRED);
#else
	return false;
#endif
}
