/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_OPS_H
#define MKVM_X86_OPS_H

/*
 * The cut between common x86 code and a vendor's extension (VMX or SVM).
 *
 * Vendor code decodes what the hardware says and carries out what common code has
 * decided. One object is chosen at load. A hook is added only when both
 * vendors need it.
 */

#include <linux/static_call.h>

#include "../../virt/minikvm.h"

/**
 * struct mkvm_x86_ops - what a vendor implements
 *
 * The module:
 * @name:	"vmx" or "svm"
 * @setup:	look at capabilities, compute the controls; refuse with one line.
 *		Once, at load, before any CPU is enabled. 0, ENODEV, EACCES, EBUSY, EOPNOTSUPP
 * @teardown:	undo @setup
 * @cpu_enable:	enter VMX operation or set EFER.SVME, on this CPU. 0, EBUSY, EIO
 * @cpu_disable: the opposite; does nothing when it is not on. Any context with this
 *		CPU held, NMI of a crashing machine included
 *
 * A vCPU:
 * @vcpu_create: allocate vcpu->arch.vmx or .svm and its control block. 0, ENOMEM
 * @vcpu_destroy: free them, wherever they are cached
 * @vcpu_reset:	write all that does not change while the VM lives, and the state
 *		that common code does not keep (segments, tables). Loaded, preemption on
 * @vcpu_load:	make the control block current on this CPU. Preemption off
 * @vcpu_put:	give the CPU back to the host: segments, MSRs. Preemption off
 *
 * Entry and exit:
 * @prepare:	before the first of a row of entries: take what the host may change while
 *		interrupts are on, switch host segments and MSRs if not done since
 *		@vcpu_load. Interrupts off. False: this CPU cannot run guests
 * @inject:	put vcpu->arch.event into the control block
 * @enter:	write what is dirty and run the guest until it exits. Interrupts off; returns
 *		with interrupts off, a host NMI or #MC that caused the exit delivered. Fills
 *		vcpu->arch.event (an event that must be delivered again). Returns whether
 *		@handle_exit may run with interrupts off
 * @handle_exit: decode the last exit and call common code
 * @exit_name:	name of an exit counter (vcpu->stat.exit_reason[]), NULL when there is none
 * @flush_tlb:	drop this vCPU's translations, second-level and combined. Preemption off
 *
 * State, loaded, preemption on:
 * @cache_reg:	bring vcpu->arch.regs[nr] (from RSP and RIP on) or .pdptrs up
 *		to date. What common code changes it marks dirty (regs.h), and @enter writes it
 * @get_segment: read a segment register, GDTR or IDTR
 * @set_segment: write one
 * @get_msr:	an MSR that the vendor owns (FS.base, SYSENTER ...). 0, or EINVAL
 * @set_msr:	likewise; the value has been checked
 * @skip_insn:	the instruction that exited is complete: RIP after it, mkvm_end_shadow(), and
 *		mkvm_step_trap() if RFLAGS.TF is set
 * @dump:	print everything, for a state nobody understands
 */
struct mkvm_x86_ops {
	const char *name;
	int (*setup)(void);
	void (*teardown)(void);
	int (*cpu_enable)(void);
	void (*cpu_disable)(void);

	int (*vcpu_create)(struct mkvm_vcpu *vcpu);
	void (*vcpu_destroy)(struct mkvm_vcpu *vcpu);
	void (*vcpu_reset)(struct mkvm_vcpu *vcpu);
	void (*vcpu_load)(struct mkvm_vcpu *vcpu, int cpu);
	void (*vcpu_put)(struct mkvm_vcpu *vcpu);

	bool (*prepare)(struct mkvm_vcpu *vcpu);
	void (*inject)(struct mkvm_vcpu *vcpu);
	bool (*enter)(struct mkvm_vcpu *vcpu);
	mkvm_run_t (*handle_exit)(struct mkvm_vcpu *vcpu);
	const char *(*exit_name)(unsigned int nr);
	void (*flush_tlb)(struct mkvm_vcpu *vcpu);

	void (*cache_reg)(struct mkvm_vcpu *vcpu, unsigned int nr);
	void (*get_segment)(struct mkvm_vcpu *vcpu, enum mkvm_seg seg,
			    struct kvm_segment *out);
	void (*set_segment)(struct mkvm_vcpu *vcpu, enum mkvm_seg seg,
			    const struct kvm_segment *in);
	int (*get_msr)(struct mkvm_vcpu *vcpu, u32 msr, u64 *data);
	int (*set_msr)(struct mkvm_vcpu *vcpu, u32 msr, u64 data);
	void (*skip_insn)(struct mkvm_vcpu *vcpu);
	void (*dump)(struct mkvm_vcpu *vcpu);
};

/**
 * struct mkvm_x86_caps - what the backend can do on this machine
 * @rdtscp:	the guest can execute RDTSCP
 * @invpcid:	the guest can execute INVPCID
 * @host_xcr0:	XCR0 of the host; 0 without XSAVE
 * @host_xss:	IA32_XSS of the host; 0 without XSAVES
 * @pku:	the host uses protection keys, so guests may
 * @pdptrs:	PAE paging loads four registers (Intel); else entries are read from memory (AMD)
 * @amd:	the page walk's and CPUID's small differences are AMD's
 * @tdp:	format of the second-level paging structures
 *
 * Written by the setup hook and mkvm_cpuid_init(), constant afterwards.
 */
struct mkvm_x86_caps {
	bool rdtscp;
	bool invpcid;
	u64 host_xcr0;
	u64 host_xss;
	bool pku;
	bool pdptrs;
	bool amd;
	const struct tdp_format *tdp;
};

/* arch.c: the chosen backend. Constant after load. */
extern const struct mkvm_x86_ops *mkvm_ops;
extern struct mkvm_x86_caps mkvm_caps;

/*
 * The operations of the shortest path from VM exit to VM entry are called directly: their calls
 * are patched at load (arch.c).
 */
DECLARE_STATIC_CALL(mkvm_enter, *(((struct mkvm_x86_ops *)0)->enter));
DECLARE_STATIC_CALL(mkvm_handle_exit, *(((struct mkvm_x86_ops *)0)->handle_exit));
DECLARE_STATIC_CALL(mkvm_skip_insn, *(((struct mkvm_x86_ops *)0)->skip_insn));
DECLARE_STATIC_CALL(mkvm_cache_reg, *(((struct mkvm_x86_ops *)0)->cache_reg));

/* Call operation @op of the backend. */
#define mkvm_direct(op)		static_call(mkvm_##op)

#endif
