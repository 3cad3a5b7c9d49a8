/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VMX_VMX_H
#define MKVM_VMX_VMX_H

/* What the files of the Intel backend share. */

#include "../host.h"
#include "../x86.h"
#include "insn.h"

/**
 * struct vmx_config - the controls that every VMCS starts with
 * @revision:	VMCS revision identifier
 * @pin:	pin-based VM-execution controls
 * @cpu:	primary processor-based controls
 * @cpu2:	secondary processor-based controls
 * @exit:	VM-exit controls
 * @entry:	VM-entry controls, less "IA-32e mode guest"
 * @cr0_fixed:	CR0 bits that must be 1 in a guest
 * @cr4_fixed:	CR4 bits that must be 1 in a guest
 * @invept:	INVEPT type to use for one VM: single-context or, where it is missing, global
 *
 * Computed from the capability MSRs at load (caps.c); constant afterwards.
 */
struct vmx_config {
	u32 revision;
	u32 pin;
	u32 cpu;
	u32 cpu2;
	u32 exit;
	u32 entry;
	u64 cr0_fixed;
	u64 cr4_fixed;
	unsigned long invept;
};

extern struct vmx_config vmx_config;

/*
 * MSRs that the kernel itself does not use between system calls. The guest's values stay in
 * the CPU until it is given back to the host. Those of SYSCALL are loaded only for a guest that
 * can execute it.
 */
enum vmx_lazy_msr {
	VMX_MSR_STAR,
	VMX_MSR_LSTAR,
	VMX_MSR_CSTAR,
	VMX_MSR_SYSCALL_MASK,
	VMX_NR_SYSCALL_MSRS,
	VMX_MSR_TSC_AUX = VMX_NR_SYSCALL_MSRS,
	VMX_NR_LAZY_MSRS
};

/**
 * struct vmx_vcpu - the Intel part of a vCPU
 * @host_rsp:	what the VMCS holds in HOST_RSP; first, because enter.S uses it
 * @vmcs:	its VMCS region
 * @vmcs_pa:	physical address of it
 * @cpu:	CPU on which the VMCS is active (may be cached), -1: none
 * @launched:	since it was cleared: use VMRESUME
 * @on_cpu:	link in the CPU's list of active VMCSs
 * @vpid:	tag of its translations, 0: none was free
 * @fail:	the last entry failed before it began (VMfail)
 * @exit_reason: exit-reason field of the last exit, or the VM-instruction error
 * @exit:	its row
 * @exit_index: its number among the counters
 * @around:	the entry needs what follows here
 * @host_debugctl: the host's, which VM exit clears
 * @perf_msrs:	what perf wants switched: its counters, and PEBS, stop in guests if asked
 * @nr_perf_msrs: how many
 * @l1d_flushed: in this row of entries
 * @host_cr3:	what the VMCS holds in HOST_CR3; likewise those that follow
 * @host_cr4:	likewise
 * @host_fs_base: likewise
 * @host_fs:	HOST_FS_SELECTOR
 * @host_gs:	HOST_GS_SELECTOR
 * @host:	the host's segment state
 * @syscall_msrs_loaded: the CPU has the guest's, not the host's
 * @kernel_gs_base: guest's KERNEL_GS_BASE while not loaded
 * @lazy_msr:	guest's values
 */
struct vmx_vcpu {
	unsigned long host_rsp;
	u32 *vmcs;
	u64 vmcs_pa;
	int cpu;
	bool launched;
	struct list_head on_cpu;
	u16 vpid;

	bool fail;
	u32 exit_reason;
	const struct vmx_exit_row *exit;
	unsigned int exit_index;

	bool around;
	bool l1d_flushed;
	unsigned long host_debugctl;
	struct perf_guest_switch_msr *perf_msrs;
	int nr_perf_msrs;
	unsigned long host_cr3;
	unsigned long host_cr4;
	unsigned long host_fs_base;
	u16 host_fs;
	u16 host_gs;
	struct mkvm_host_segs host;
	bool syscall_msrs_loaded;
	u64 kernel_gs_base;
	u64 lazy_msr[VMX_NR_LAZY_MSRS];
};

static_assert(offsetof(struct vmx_vcpu, host_rsp) == 0);

static inline struct vmx_vcpu *to_vmx(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.vmx;
}

/* caps.c */
int vmx_check_caps(void);

/* vmx.c */
DECLARE_PER_CPU(bool, vmx_on);

/** vmx_cpu_is_on() - is this CPU in VMX operation because of us? */
static inline bool vmx_cpu_is_on(void)
{
	return this_cpu_read(vmx_on);
}

/* vmcs.c */
int vmx_vmcs_setup(void);
void vmx_vmcs_teardown(void);
void vmx_clear_all_local(void);
int vmx_vcpu_create(struct mkvm_vcpu *vcpu);
void vmx_vcpu_destroy(struct mkvm_vcpu *vcpu);
void vmx_vcpu_reset(struct mkvm_vcpu *vcpu);
void vmx_vmcs_load(struct mkvm_vcpu *vcpu, int cpu);
void vmx_flush_tlb(struct mkvm_vcpu *vcpu);

/* run.c */
void vmx_vcpu_load(struct mkvm_vcpu *vcpu, int cpu);
void vmx_vcpu_put(struct mkvm_vcpu *vcpu);
bool vmx_prepare(struct mkvm_vcpu *vcpu);
void vmx_load_syscall_msrs(struct mkvm_vcpu *vcpu);
void vmx_inject(struct mkvm_vcpu *vcpu);
bool vmx_enter(struct mkvm_vcpu *vcpu);
void vmx_save_host_msrs(void);

/* mitigate.c */
DECLARE_STATIC_KEY_FALSE(vmx_flushes_l1d);
DECLARE_STATIC_KEY_FALSE(vmx_flushes_l1d_always);
int vmx_mitigate_setup(void);
void vmx_mitigate_teardown(void);
void vmx_flush_l1d(void);

/* enter.S */
bool vmx_enter_asm(struct vmx_vcpu *vmx, unsigned long *regs, bool launched);
void vmx_exit_point(void);

/* exit.c */

/**
 * struct vmx_exit_row - a basic exit reason
 * @name: the kernel's name for it (asm/vmx.h)
 * @handler: NULL: unexpected
 * @quick: the handler needs nothing but the vCPU and may run with interrupts off
 */
struct vmx_exit_row {
	const char *name;
	mkvm_run_t (*handler)(struct mkvm_vcpu *vcpu);
	bool quick;
};

/* Basic exit reasons: those below. */
#define VMX_NR_EXITS	(EXIT_REASON_NOTIFY + 1)

extern const struct vmx_exit_row vmx_exit_table[VMX_NR_EXITS];
void vmx_find_odd_exit(struct vmx_vcpu *vmx);
void vmx_find_failed_entry(struct vmx_vcpu *vmx);
mkvm_run_t vmx_handle_exit(struct mkvm_vcpu *vcpu);
const char *vmx_exit_name(unsigned int reason);

/* state.c */
void vmx_cache_reg(struct mkvm_vcpu *vcpu, unsigned int nr);
void vmx_write_dirty(struct mkvm_vcpu *vcpu, u32 dirty);
void vmx_get_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, struct kvm_segment *out);
void vmx_set_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, const struct kvm_segment *in);
int vmx_get_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 *data);
int vmx_set_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 data);
void vmx_pass_insn(struct mkvm_vcpu *vcpu);
void vmx_skip_insn(struct mkvm_vcpu *vcpu);

/* audit.c: the audit build's checks */
#ifdef MKVM_AUDIT
void vmx_audit_entry(struct mkvm_vcpu *vcpu);
#else
static inline void vmx_audit_entry(struct mkvm_vcpu *vcpu) { }
#endif

/* why.c */
const char *vmx_instruction_error(u32 error);
void vmx_dump(struct mkvm_vcpu *vcpu);

#endif
