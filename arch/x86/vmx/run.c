// SPDX-License-Identifier: GPL-2.0
/*
 * Around enter.S: what is loaded before the guest runs, what is read after it.
 *
 * Three rates. Once for each time that the vCPU gets the CPU: VMCS, host segments, MSRs that
 * only system calls use (vmx_vcpu_load(), vmx_prepare(), vmx_vcpu_put()). For each entry: what
 * has changed since the last one. In the assembly: the general registers.
 */
#include <linux/nospec.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>

#include "vmx.h"

static const u32 vmx_lazy_msrs[VMX_NR_LAZY_MSRS] = {
	[VMX_MSR_STAR]		= MSR_STAR,
	[VMX_MSR_LSTAR]		= MSR_LSTAR,
	[VMX_MSR_CSTAR]		= MSR_CSTAR,
	[VMX_MSR_SYSCALL_MASK]	= MSR_SYSCALL_MASK,
	[VMX_MSR_TSC_AUX]	= MSR_TSC_AUX,
};

/* The kernel sets them once, when the CPU comes up. */
static DEFINE_PER_CPU(u64[VMX_NR_LAZY_MSRS], vmx_host_msrs);

/** vmx_save_host_msrs() - remember this CPU's values of the lazily switched MSRs */
void vmx_save_host_msrs(void)
{
	u64 *host = this_cpu_ptr(vmx_host_msrs);
	unsigned int i;

	/* TSC_AUX does not exist on every CPU: 0, like the guest's, is never written. */
	for (i = 0; i < VMX_NR_LAZY_MSRS; i++)
		if (rdmsrl_safe(vmx_lazy_msrs[i], &host[i]))
			host[i] = 0;
}

/* --- On and off the CPU ----------------------------------------------------------------------- */

/** vmx_vcpu_load() - see struct mkvm_x86_ops
 * @vcpu: the vCPU
 * @cpu: this CPU */
void vmx_vcpu_load(struct mkvm_vcpu *vcpu, int cpu)
{
	vmx_vmcs_load(vcpu, cpu);
}

static void vmx_switch_lazy_msr(enum vmx_lazy_msr i, const u64 *from, const u64 *to)
{
	if (to[i] != from[i])
		wrmsrl(vmx_lazy_msrs[i], to[i]);
}

/* Replace one set of SYSCALL's MSRs by another; equal values are not written. */
static void vmx_switch_syscall_msrs(const u64 *from, const u64 *to)
{
	unsigned int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		vmx_switch_lazy_msr(i, from, to);
}

/** vmx_load_syscall_msrs() - give the CPU the guest's, if it needs them and has them not yet
 * @vcpu: the vCPU; called when EFER may have changed, too. Interrupts off */
void vmx_load_syscall_msrs(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	/* On Intel SYSCALL exists in 64-bit mode only. */
	if (vmx->syscall_msrs_loaded || !vmx->host.loaded || !(vcpu->arch.efer & EFER_SCE) ||
	    !mkvm_is_long_mode(vcpu))
		return;
	vmx_switch_syscall_msrs(this_cpu_ptr(vmx_host_msrs), vmx->lazy_msr);
	vmx->syscall_msrs_loaded = true;
}

static void vmx_load_host_segs(struct vmx_vcpu *vmx)
{
	const struct mkvm_host_segs *host = &vmx->host;
	/* VM exit can load kernel selectors only: others are loaded in vmx_vcpu_put(). */
	u16 fs = host->fs & 7 ? 0 : host->fs;
	u16 gs = host->gs & 7 ? 0 : host->gs;

	if (mkvm_omit(host_segs))
		return;
	if (fs != vmx->host_fs)
		vmcs_write16(HOST_FS_SELECTOR, vmx->host_fs = fs);
	if (gs != vmx->host_gs)
		vmcs_write16(HOST_GS_SELECTOR, vmx->host_gs = gs);
	if (host->fs_base != vmx->host_fs_base)
		vmcs_writel(HOST_FS_BASE, vmx->host_fs_base = host->fs_base);
}

/* CR3 and CR4 belong to the thread and the CPU: they must be the present ones. */
static void vmx_update_host_crs(struct vmx_vcpu *vmx)
{
	unsigned long cr3 = __get_current_cr3_fast();
	unsigned long cr4 = cr4_read_shadow();

	if (unlikely(cr3 != vmx->host_cr3) && !mkvm_omit(host_cr3))
		vmcs_writel(HOST_CR3, vmx->host_cr3 = cr3);
	if (unlikely(cr4 != vmx->host_cr4) && !mkvm_omit(host_cr4))
		vmcs_writel(HOST_CR4, vmx->host_cr4 = cr4);
}

/** vmx_prepare() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
bool vmx_prepare(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	/* The machine goes down, or the CPU could not be enabled. */
	if (unlikely(!vmx_cpu_is_on()))
		return false;
	vmx_update_host_crs(vmx);
	/* perf may have changed them until interrupts went off. */
	vmx->host_debugctl = get_debugctlmsr();
	vmx->perf_msrs = mkvm_host_perf_msrs(&vmx->nr_perf_msrs);
	vmx->around = vmx->host_debugctl || vmx->nr_perf_msrs;
	vmx->l1d_flushed = false;
	if (vmx->host.loaded) {
		mkvm_host_note_ldt(&vmx->host);
		return true;
	}

	mkvm_host_save_segs(&vmx->host);
	vmx_load_host_segs(vmx);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	vmx_switch_lazy_msr(VMX_MSR_TSC_AUX, this_cpu_ptr(vmx_host_msrs), vmx->lazy_msr);
	vmx_load_syscall_msrs(vcpu);
	return true;
}

/** vmx_vcpu_put() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_vcpu_put(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->host.loaded)
		return;

	/* SWAPGS does not exit: only the CPU knows the guest's value. */
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	vmx_switch_lazy_msr(VMX_MSR_TSC_AUX, vmx->lazy_msr, this_cpu_ptr(vmx_host_msrs));
	if (vmx->syscall_msrs_loaded) {
		vmx_switch_syscall_msrs(vmx->lazy_msr, this_cpu_ptr(vmx_host_msrs));
		vmx->syscall_msrs_loaded = false;
	}
	mkvm_host_restore_segs(&vmx->host);
}

/* --- Events ------------------------------------------------------------------------------------- */

/* SDM, "Exit Qualification for I/O Instructions". */
#define VMX_IO_STRING	BIT(4)

/* SDM, "Format of the VM-Entry Interruption-Information Field": bits 10:8. */
static const u32 vmx_event_types[] = {
	[MKVM_EVENT_EXTINT]	= INTR_TYPE_EXT_INTR,
	[MKVM_EVENT_NMI]	= INTR_TYPE_NMI_INTR,
	[MKVM_EVENT_EXCEPTION]	= INTR_TYPE_HARD_EXCEPTION,
	[MKVM_EVENT_SOFT_INT]	= INTR_TYPE_SOFT_INTR,
	[MKVM_EVENT_ICEBP]	= INTR_TYPE_PRIV_SW_EXCEPTION,
	[MKVM_EVENT_SOFT_EXC]	= INTR_TYPE_SOFT_EXCEPTION,
};

/** vmx_inject() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void vmx_inject(struct mkvm_vcpu *vcpu)
{
	const struct mkvm_event *event = &vcpu->arch.event;
	u32 info = INTR_INFO_VALID_MASK | vmx_event_types[event->type] | event->vector;

	if (event->has_error_code) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	}
	if (event->insn_len)
		vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, event->insn_len);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, info);
}

/*
 * An exit during the delivery of an event: the event must be delivered again (SDM,
 * "Information for VM Exits That Occur During Event Delivery").
 */
static void vmx_requeue_event(struct mkvm_vcpu *vcpu, u32 info)
{
	struct mkvm_event *event = &vcpu->arch.event;
	u32 type = info & VECTORING_INFO_TYPE_MASK;
	unsigned int i;

	for (i = MKVM_EVENT_EXTINT; i < ARRAY_SIZE(vmx_event_types); i++)
		if (vmx_event_types[i] == type)
			event->type = i;
	event->vector = info & VECTORING_INFO_VECTOR_MASK;
	/* Its new delivery blocks NMIs, and VM entry refuses it when they are blocked already. */
	if (event->type == MKVM_EVENT_NMI)
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) & ~MKVM_BLOCKED_NMI);
	/* Bochs says so in real mode too, where there is none to deliver. */
	event->has_error_code = info & VECTORING_INFO_DELIVER_CODE_MASK &&
				mkvm_is_protmode(vcpu);
	event->error_code = event->has_error_code ? vmcs_read32(IDT_VECTORING_ERROR_CODE) : 0;
	event->insn_len = event->type >= MKVM_EVENT_SOFT_INT ?
			  vmcs_read32(VM_EXIT_INSTRUCTION_LEN) : 0;
}

/* --- Entry and exit ------------------------------------------------------------------------------ */

/* Nothing in here may be traced: to RCU the guest runs. CR2 is not part of the VMCS. */
static noinstr void vmx_enter_exit(struct mkvm_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	mkvm_host_guest_enter();
	if (static_branch_unlikely(&vmx_flushes_l1d) &&
	    (!vmx->l1d_flushed || static_branch_unlikely(&vmx_flushes_l1d_always))) {
		vmx_flush_l1d();
		vmx->l1d_flushed = true;
	}
	if (vcpu->arch.cr2 != native_read_cr2())
		native_write_cr2(vcpu->arch.cr2);

	vmx->fail = vmx_enter_asm(vmx, vcpu->arch.regs, vmx->launched);

	vcpu->arch.cr2 = native_read_cr2();
	mkvm_host_guest_exit();
}

/* An NMI or machine check of the host ended guest execution: deliver it now. */
static void vmx_deliver_host_event(void)
{
	u32 info = vmcs_read32(VM_EXIT_INTR_INFO);

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		mkvm_host_nmi();
	else if ((info & INTR_INFO_VECTOR_MASK) == X86_TRAP_MC)
		mkvm_host_machine_check();
}

/*
 * Counters that leave guests out stop. PEBS stops always: its records would be written to the
 * host's buffer address, taken for one of the guest.
 */
static noinline void vmx_before_entry(struct vmx_vcpu *vmx)
{
	int i;

	for (i = 0; i < vmx->nr_perf_msrs; i++)
		if (vmx->perf_msrs[i].guest != vmx->perf_msrs[i].host)
			wrmsrl(vmx->perf_msrs[i].msr, vmx->perf_msrs[i].guest);
}

static noinline void vmx_after_exit(struct vmx_vcpu *vmx)
{
	int i;

	for (i = 0; i < vmx->nr_perf_msrs; i++)
		if (vmx->perf_msrs[i].guest != vmx->perf_msrs[i].host)
			wrmsrl(vmx->perf_msrs[i].msr, vmx->perf_msrs[i].host);
	/* VM exit has cleared it. */
	if (vmx->host_debugctl)
		update_debugctlmsr(vmx->host_debugctl);
}

/* The guest did not run: registers and event are what they were. */
static noinline bool vmx_failed_entry(struct vmx_vcpu *vmx)
{
	if (vmx->fail)
		vmx->exit_reason = vmcs_read32(VM_INSTRUCTION_ERROR);
	else if ((u16)vmx->exit_reason == EXIT_REASON_MCE_DURING_VMENTRY)
		mkvm_host_machine_check();
	/* Only a real exit clears the field: what was not delivered must not stay in it. */
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_find_failed_entry(vmx);
	return false;
}

/*
 * An IRET unblocks NMIs before it is complete: when it faults, they have to be blocked again (SDM,
 * "Information About NMI Unblocking Due to IRET"). Not said of exits during event delivery, nor of #DF.
 */
static void vmx_recover_nmi_blocking(struct mkvm_vcpu *vcpu)
{
	u32 reason = to_vmx(vcpu)->exit_reason, info;
	bool unblocked = false;

	if (reason == EXIT_REASON_EXCEPTION_NMI) {
		info = vmcs_read32(VM_EXIT_INTR_INFO);
		unblocked = info & INTR_INFO_UNBLOCK_NMI &&
			    (info & INTR_INFO_VECTOR_MASK) != X86_TRAP_DF;
	} else if (reason == EXIT_REASON_EPT_VIOLATION) {
		unblocked = vmcs_readl(EXIT_QUALIFICATION) & INTR_INFO_UNBLOCK_NMI;
	}
	if (unlikely(unblocked))
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) | MKVM_BLOCKED_NMI);
}

/* What exits of instructions never have: an event to deliver again, one of the host to deliver. */
static noinline void vmx_complete_events(struct mkvm_vcpu *vcpu)
{
	u32 vectoring = vmcs_read32(IDT_VECTORING_INFO_FIELD);

	if (unlikely(vectoring & VECTORING_INFO_VALID_MASK))
		vmx_requeue_event(vcpu, vectoring);
	else
		vmx_recover_nmi_blocking(vcpu);
	if (to_vmx(vcpu)->exit_reason == EXIT_REASON_EXCEPTION_NMI)
		vmx_deliver_host_event();
}

/** vmx_enter() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
bool vmx_enter(struct mkvm_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 dirty = vcpu->arch.regs_dirty;
	u32 reason;

	if (dirty & BIT(MKVM_REG_RIP))
		vmcs_writel(GUEST_RIP, vcpu->arch.regs[MKVM_REG_RIP]);
	if (unlikely(dirty & ~(GENMASK(MKVM_NR_GPRS - 1, 0) | BIT(MKVM_REG_RIP)) ||
		     dirty & BIT(MKVM_REG_RSP)))
		vmx_write_dirty(vcpu, dirty);
	vcpu->arch.regs_dirty = 0;

	if (unlikely(vmx->around))
		vmx_before_entry(vmx);
	vmx_audit_entry(vcpu);
	vmx_enter_exit(vcpu, vmx);
	mkvm_audit_exit(vcpu);
	if (unlikely(vmx->around))
		vmx_after_exit(vmx);

	if (unlikely(vmx->fail))
		return vmx_failed_entry(vmx);
	reason = vmcs_read32(VM_EXIT_REASON);
	vmx->exit_reason = reason;
	if (likely(reason < VMX_NR_EXITS)) {
		vmx->exit_index = array_index_nospec(reason, VMX_NR_EXITS);
		vmx->exit = &vmx_exit_table[vmx->exit_index];
	} else {
		if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY)
			return vmx_failed_entry(vmx);
		vmx_find_odd_exit(vmx);
	}

	vmx->launched = true;
	vcpu->arch.regs_avail &= ~MKVM_CACHED_REGS;
	vcpu->arch.event.type = MKVM_EVENT_NONE;
	if (vmx->exit->quick)
		return true;
	/* IN and OUT; a string form touches memory. */
	if (reason == EXIT_REASON_IO_INSTRUCTION)
		return !(vmcs_readl(EXIT_QUALIFICATION) & VMX_IO_STRING);
	vmx_complete_events(vcpu);
	return false;
}
