/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_SVM_SVM_H
#define MKVM_SVM_SVM_H

/* What the files of the AMD backend share. "APM" is volume 2 of AMD's manual. */

#include <asm/svm.h>

#include "../host.h"
#include "../x86.h"
#include "insn.h"

/**
 * struct svm_config - what this machine's SVM can do
 * @nrips:	#VMEXIT saves the address of the next instruction
 * @nr_asids:	address space identifiers, 0 (the host's) included
 *
 * Written at load (caps.c); constant afterwards.
 */
struct svm_config {
	bool nrips;
	u32 nr_asids;
};

extern struct svm_config svm_config;

/*
 * APM, "VMCB Clean Bits": a field group whose bit is set has not changed since the VMCB last
 * ran on this CPU, which may then use what it has cached.
 */
enum svm_clean_bit {
	SVM_CLEAN_INTERCEPTS,	/* intercepts, TSC offset */
	SVM_CLEAN_PERM_MAP,	/* addresses of the permission maps */
	SVM_CLEAN_ASID,
	SVM_CLEAN_INTR,		/* V_INTR fields */
	SVM_CLEAN_NPT,		/* nested CR3, guest PAT */
	SVM_CLEAN_CR,		/* CR0, CR3, CR4, EFER */
	SVM_CLEAN_DR,		/* DR6, DR7 */
	SVM_CLEAN_DT,		/* GDTR, IDTR */
	SVM_CLEAN_SEG,		/* CS, DS, SS, ES, CPL */
	SVM_CLEAN_CR2,
	SVM_CLEAN_LBR,		/* DEBUGCTL and branch records */
};

#define SVM_CLEAN_ALL	GENMASK(SVM_CLEAN_LBR, SVM_CLEAN_INTERCEPTS)

/* Reserved bits of a nested page fault's error code: EXITINFO1 (APM, "Nested Page Faults"). */
#define SVM_NPF_WRITE	BIT(1)
#define SVM_NPF_RSVD	BIT(3)
#define SVM_NPF_FETCH	BIT(4)
#define SVM_NPF_FINAL	BIT_ULL(32)	/* the operand itself, not a page table of the guest */

/*
 * How far the guest is towards its next NMI. Without hardware support it has to be followed: IRET
 * exits before it is executed, and a step tells when it is complete, or when something else that
 * holds the NMI back is over.
 */
enum svm_nmi_step {
	SVM_NMI_NO_STEP,
	SVM_NMI_STEP,		/* RFLAGS.TF is ours */
	SVM_NMI_STEP_GUEST_TF,	/* a step, but the guest has its own TF */
};

#ifdef MKVM_AUDIT
/**
 * struct svm_audit - of the audit build: the VMCB as the CPU may have it in its cache
 * @last:	at the end of the last #VMEXIT
 * @cpu:	where that was; meaningless, as is all else, until @ran
 * @ran:	there was one
 * @cr0:	what common code had then
 * @cr4:	likewise
 * @efer:	likewise
 * @dr7:	likewise
 */
struct svm_audit {
	struct vmcb last;
	int cpu;
	bool ran;
	u64 cr0;
	u64 cr4;
	u64 efer;
	u64 dr7;
};

void svm_audit_entry(struct mkvm_vcpu *vcpu);
void svm_audit_exit(struct mkvm_vcpu *vcpu);
#else
struct svm_audit { };

static inline void svm_audit_entry(struct mkvm_vcpu *vcpu) { }
static inline void svm_audit_exit(struct mkvm_vcpu *vcpu) { }
#endif

/**
 * struct svm_vcpu - the AMD part of a vCPU
 * @vmcb:	its virtual machine control block
 * @vmcb_pa:	physical address of it
 * @cpu:	CPU on which it ran last, -1: none
 * @asid_generation: of the CPU's when the ASID was given; 0: a new one is needed
 * @fail:	SVM was off: the guest did not run
 * @host_loaded: the guest's TSC_AUX is in the CPU
 * @host_debugctl: the host's
 * @tsc_aux:	the guest's
 * @host_area_pa: the CPU's page for the host's state, while loaded
 * @nmi_blocked: MKVM_BLOCKED_NMI while the guest handles an NMI, 0 otherwise
 * @nmi_step:	see enum svm_nmi_step
 * @step_faults: exceptions exit that the instruction of a step may raise
 * @nmi_iret_rip: the IRET that will end the blocking of NMIs
 * @soft_len:	length of the INT3 or INTO whose event is being injected, 0: none
 * @irq_window_for_nmi: interrupts can be taken when an NMI can
 * @exit_at_once: leave the guest as soon as the event is delivered
 * @exit:	row of the last exit
 * @exit_index: its number
 * @insn_len:	length of the instruction that exited, 0: not known
 * @audit:	see there
 */
struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	int cpu;
	u64 asid_generation;

	bool fail;
	bool host_loaded;
	unsigned long host_debugctl;
	u64 tsc_aux;

	u64 host_area_pa;

	u8 nmi_blocked;
	u8 nmi_step;
	u8 soft_len;
	bool step_faults;
	bool exit_at_once;
	bool irq_window_for_nmi;
	u64 nmi_iret_rip;

	const struct svm_exit_row *exit;
	unsigned int exit_index;
	unsigned int insn_len;
	struct svm_audit audit;
};

static inline struct svm_vcpu *to_svm(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.svm;
}

/* A field of this group is written: the CPU must not use what it has cached. */
static inline void svm_mark_dirty(struct svm_vcpu *svm, enum svm_clean_bit bit)
{
	if (mkvm_omit_nr(MKVM_OMIT_clean_intercepts + bit))
		return;
	svm->vmcb->control.clean &= ~BIT(bit);
}

static inline void svm_intercept(struct svm_vcpu *svm, unsigned int nr)
{
	svm->vmcb->control.intercepts[nr / 32] |= BIT(nr % 32);
	svm_mark_dirty(svm, SVM_CLEAN_INTERCEPTS);
}

static inline void svm_no_intercept(struct svm_vcpu *svm, unsigned int nr)
{
	svm->vmcb->control.intercepts[nr / 32] &= ~BIT(nr % 32);
	svm_mark_dirty(svm, SVM_CLEAN_INTERCEPTS);
}

/* caps.c */
int svm_check_caps(void);

/* svm.c */
bool svm_cpu_prepare(struct svm_vcpu *svm);
void svm_cpu_flushed(struct svm_vcpu *svm);

/* vmcb.c */
int svm_vmcb_setup(void);
void svm_vmcb_teardown(void);
int svm_vcpu_create(struct mkvm_vcpu *vcpu);
void svm_vcpu_destroy(struct mkvm_vcpu *vcpu);
void svm_vcpu_reset(struct mkvm_vcpu *vcpu);

/* run.c */
void svm_save_host_msrs(void);
void svm_vcpu_load(struct mkvm_vcpu *vcpu, int cpu);
void svm_vcpu_put(struct mkvm_vcpu *vcpu);
void svm_flush_tlb(struct mkvm_vcpu *vcpu);
bool svm_prepare(struct mkvm_vcpu *vcpu);
void svm_inject(struct mkvm_vcpu *vcpu);
bool svm_enter(struct mkvm_vcpu *vcpu);

/* enter.S */
void svm_enter_asm(u64 vmcb_pa, unsigned long *regs, u64 host_area_pa);

/* length.c */
bool svm_length_quick(struct mkvm_vcpu *vcpu);
bool svm_length(struct mkvm_vcpu *vcpu, struct x86_insn *insn);

/* exit.c */

/**
 * struct svm_exit_row - an exit code
 * @name: the kernel's name for it (asm/svm.h)
 * @handler: NULL: unexpected
 * @ops: the instructions that exit so, bits of enum x86_op
 * @skipped: the handler may skip the instruction: its length is found before
 * @quick: the handler needs nothing but the vCPU and may run with interrupts off
 */
struct svm_exit_row {
	const char *name;
	mkvm_run_t (*handler)(struct mkvm_vcpu *vcpu);
	u32 ops;
	bool skipped;
	bool quick;
};

void svm_find_exit(struct svm_vcpu *svm);
mkvm_run_t svm_handle_exit(struct mkvm_vcpu *vcpu);
const char *svm_exit_name(unsigned int index);

/* state.c */
void svm_cache_reg(struct mkvm_vcpu *vcpu, unsigned int nr);
void svm_write_dirty(struct mkvm_vcpu *vcpu);
void svm_get_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, struct kvm_segment *out);
void svm_set_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, const struct kvm_segment *in);
int svm_get_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 *data);
int svm_set_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 data);
void svm_block_nmis(struct svm_vcpu *svm, bool block);
void svm_pass_insn(struct mkvm_vcpu *vcpu);
void svm_skip_insn(struct mkvm_vcpu *vcpu);

/* why.c */
void svm_dump(struct mkvm_vcpu *vcpu);

#endif
