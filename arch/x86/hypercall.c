// SPDX-License-Identifier: GPL-2.0
/*
 * Hypercalls: VMCALL (and VMMCALL) with KVM's register convention, described in the
 * kernel's Documentation/virt/kvm/x86/hypercalls.rst: number in RAX, arguments in
 * RBX, RCX, RDX and RSI, result in RAX.
 */
#include <uapi/linux/kvm_para.h>

#include "trace.h"
#include "x86.h"

/* None of the optional hypercalls exists yet; CPUID advertises none. */
static long mkvm_hypercall(struct mkvm_vcpu *vcpu, unsigned long nr)
{
	/* Only the guest's kernel may ask: its processes must not speak for it. */
	if (mkvm_cpl(vcpu))
		return -KVM_EPERM;

	switch (nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		/* Its whole purpose is the exit: interrupts are looked at before the entry. */
		return 0;
	default:
		return -KVM_ENOSYS;
	}
}

/**
 * mkvm_handle_hypercall() - VMCALL or VMMCALL
 * @vcpu: the vCPU
 *
 * Return: %MKVM_RUN_GUEST.
 */
mkvm_run_t mkvm_handle_hypercall(struct mkvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;
	/* Outside 64-bit mode only the lower halves of the registers exist. */
	unsigned long mask = mkvm_is_64bit(vcpu) ? ~0ul : (u32)~0;
	unsigned long nr = regs[MKVM_REG_RAX] & mask;
	long result;

	trace_mkvm_hypercall(vcpu, nr, regs[MKVM_REG_RBX] & mask, regs[MKVM_REG_RCX] & mask,
			     regs[MKVM_REG_RDX] & mask, regs[MKVM_REG_RSI] & mask);

	result = mkvm_hypercall(vcpu, nr);
	regs[MKVM_REG_RAX] = result & mask;
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}
