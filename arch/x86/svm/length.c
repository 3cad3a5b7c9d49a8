// SPDX-License-Identifier: GPL-2.0
/*
 * How long is the instruction that exited?
 *
 * CPUs with next-RIP save say it. For the others the instruction is read and decoded (fetch.c),
 * which is what this file is about: prefixes make CPUID, VMMCALL and HLT any length up to 15 bytes.
 */
#include "svm.h"

/* The instruction is one that exits with this code: nobody has changed it since it ran. */
static bool svm_op_fits(const struct svm_vcpu *svm, unsigned int op)
{
	return op < BITS_PER_TYPE(svm->exit->ops) && svm->exit->ops & BIT(op);
}

/**
 * svm_length_quick() - find the length with interrupts off
 * @vcpu: the vCPU, whose exit is one of an instruction
 *
 * Return: whether svm->insn_len is known; if not, svm_length() has to be called.
 */
bool svm_length_quick(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct x86_insn *insn;

	if (svm_config.nrips) {
		svm->insn_len = svm->vmcb->control.next_rip - svm->vmcb->save.rip;
		return true;
	}
	insn = mkvm_fetch_kept(vcpu);
	if (!insn || !svm_op_fits(svm, insn->op))
		return false;
	svm->insn_len = insn->len;
	return true;
}

/**
 * svm_length() - read and decode the instruction that exited
 * @vcpu: the vCPU; vm->srcu held
 * @insn: result; NULL: the length is enough
 *
 * Return: false when it cannot be read, or is another one now: somebody has changed it, or the
 * tables, since it exited. Then the guest has to execute what is there.
 */
bool svm_length(struct mkvm_vcpu *vcpu, struct x86_insn *insn)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct x86_insn local;
	u8 bytes[X86_INSN_MAX];
	unsigned int nr;
	struct x86_cpu cpu;

	if (!insn && svm_length_quick(vcpu))
		return true;
	insn = insn ?: &local;
	mkvm_x86_cpu(vcpu, &cpu);
	if (mkvm_fetch_insn(vcpu, &cpu, insn, bytes, &nr) || !svm_op_fits(svm, insn->op))
		return false;
	svm->insn_len = insn->len;
	return true;
}
