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

/* The call itself; the instruction is still to be skipped. */
static __always_inline void mkvm_do_hypercall(struct mkvm_vcpu *vcpu)
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
}

/**
 * mkvm_handle_hypercall() - VMCALL on Intel, VMMCALL on AMD
 * @vcpu: the vCPU
 *
 * Return: %MKVM_RUN_GUEST.
 */
mkvm_run_t mkvm_handle_hypercall(struct mkvm_vcpu *vcpu)
{
	mkvm_do_hypercall(vcpu);
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/* --- The other vendor's instruction ---------------------------------------------------------- */

#define HYPERCALL_OPCODE_BYTES	3

/* Both end in three bytes of opcode; prefixes may come before. */
static int mkvm_patch_hypercall(struct mkvm_vcpu *vcpu, const struct x86_insn *insn, u64 linear)
{
	static const u8 vmcall[HYPERCALL_OPCODE_BYTES] = { 0x0f, 0x01, 0xc1 };
	static const u8 vmmcall[HYPERCALL_OPCODE_BYTES] = { 0x0f, 0x01, 0xd9 };
	struct x86_fault fault;

	return mkvm_write_gva(vcpu, linear + insn->len - HYPERCALL_OPCODE_BYTES,
			      mkvm_caps.amd ? vmmcall : vmcall, HYPERCALL_OPCODE_BYTES, &fault);
}

/**
 * mkvm_handle_ud() - #UD in the guest
 * @vcpu: the vCPU; vm->srcu held
 *
 * A guest that came from a machine of the other vendor, or does not look, executes that one's
 * hypercall instruction. It is replaced by ours, as KVM does, unless
 * userspace has turned KVM_X86_QUIRK_FIX_HYPERCALL_INSN off; where the guest itself may not
 * write, the call is made all the same.
 *
 * Return: %MKVM_RUN_GUEST.
 */
mkvm_run_t mkvm_handle_ud(struct mkvm_vcpu *vcpu)
{
	enum x86_op foreign = mkvm_caps.amd ? X86_OP_VMCALL : X86_OP_VMMCALL;
	u8 bytes[X86_INSN_MAX];
	struct x86_insn insn;
	struct x86_cpu cpu;
	unsigned int nr;
	u64 linear;

	if (!mkvm_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		return mkvm_inject_ud(vcpu);
	mkvm_x86_cpu(vcpu, &cpu);
	if (mkvm_fetch_insn(vcpu, &cpu, &insn, bytes, &nr) || insn.op != foreign ||
	    x86_fetch_linear(&cpu, &linear, &insn.fault) < 0)
		return mkvm_inject_ud(vcpu);

	if (mkvm_patch_hypercall(vcpu, &insn, linear)) {
		mkvm_do_hypercall(vcpu);
		mkvm_advance_rip(vcpu, x86_next_rip(insn.mode, cpu.rip, insn.len));
	}
	/* Patched: the guest executes it again. */
	return MKVM_RUN_GUEST;
}
