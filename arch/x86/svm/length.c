// SPDX-License-Identifier: GPL-2.0
/*
 * How long is the instruction that exited?
 *
 * CPUs with next-RIP save say it. For the others the instruction is read and decoded, which is
 * what this file is about: prefixes make CPUID, VMMCALL and HLT any length up to 15 bytes.
 *
 * The read goes through the guest's page tables and can fault in the VMM's memory, so it cannot
 * be done in the inner loop, where interrupts are off. But guests execute the same few such
 * instructions again and again. So what was read is kept, with everything that led to it: the page-table
 * entries and where they are, the bytes and where they are. If all of these are still the same, which a
 * few loads without faults tell, so is the instruction. Nothing has to be invalidated.
 */
#include <linux/uaccess.h>

#include "../mmu/gwalk.h"
#include "svm.h"

/* The instruction is one that exits with this code: nobody has changed it since it ran. */
static bool svm_op_fits(const struct svm_vcpu *svm, unsigned int op)
{
	return svm->exit->ops & BIT(op);
}

/* --- From what was read before ----------------------------------------------------------------- */

static struct svm_fetch *svm_fetch_slot(struct svm_vcpu *svm, u64 rip)
{
	return &svm->fetch[(rip ^ rip >> 4) % SVM_NR_FETCHES];
}

static bool svm_fetch_same_cpu_state(struct mkvm_vcpu *vcpu, const struct svm_fetch *f)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	return f->len && f->rip == save->rip && f->cr3 == save->cr3 &&
	       f->cr0 == vcpu->arch.cr0 && f->cr4 == vcpu->arch.cr4 &&
	       f->efer == vcpu->arch.efer && f->cs_base == save->cs.base &&
	       f->cs_attrib == save->cs.attrib &&
	       f->slots_generation == READ_ONCE(vcpu->vm->slots_generation);
}

/* Reads the VMM's memory; false also when a page is not there at the moment. */
static bool svm_fetch_same_memory(const struct svm_fetch *f)
{
	unsigned int i;
	u64 value;

	pagefault_disable();
	/* The addresses are of memory slots, which were checked when they were made. */
	__uaccess_begin_nospec();
	for (i = 0; i < f->nr_entries; i++) {
		unsafe_get_user(value, f->entry[i], differs);
		if (value != f->value[i])
			goto differs;
	}
	for (i = 0; i < ARRAY_SIZE(f->bytes); i++) {
		unsafe_get_user(value, &f->code[i], differs);
		if (value != f->bytes[i])
			goto differs;
	}
	__uaccess_end();
	pagefault_enable();
	return true;

differs:
	__uaccess_end();
	pagefault_enable();
	return false;
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
	const struct svm_fetch *f;

	if (svm_config.nrips) {
		svm->insn_len = svm->vmcb->control.next_rip - svm->vmcb->save.rip;
		return true;
	}
	f = svm_fetch_slot(svm, svm->vmcb->save.rip);
	if (!svm_fetch_same_cpu_state(vcpu, f) || !svm_op_fits(svm, f->op) ||
	    !svm_fetch_same_memory(f))
		return false;
	svm->insn_len = f->len;
	return true;
}

/* --- From memory -------------------------------------------------------------------------------- */

/* Keep the way to an instruction, if it can be checked by the simple loads above. */
static void svm_fetch_keep(struct mkvm_vcpu *vcpu, const struct x86_insn *insn, u64 linear,
			   const u8 *bytes)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;
	struct svm_fetch *f = svm_fetch_slot(to_svm(vcpu), save->rip);
	struct gwalk_path path = {};
	struct gwalk_result res;
	unsigned int i, left;

	f->len = 0;
	f->slots_generation = READ_ONCE(vcpu->vm->slots_generation);
	/* The generation first, then the slots: an address that changes is noticed. */
	smp_rmb();
	/* Entries of 8 bytes, all of them; the 16 bytes that are compared are in one page. */
	if ((mkvm_is_paging(vcpu) && !mkvm_is_long_mode(vcpu)) ||
	    offset_in_page(linear) > PAGE_SIZE - sizeof(f->bytes) ||
	    mkvm_translate_path(vcpu, linear, GWALK_FETCH, &res, &path))
		return;
	for (i = 0; i < path.nr; i++) {
		f->entry[i] = mkvm_gpa_to_user(vcpu->vm, path.gpa[i], &left);
		f->value[i] = path.value[i];
		if (!f->entry[i])
			return;
	}
	f->code = mkvm_gpa_to_user(vcpu->vm, res.gpa, &left);
	if (!f->code || copy_from_user(f->bytes, f->code, sizeof(f->bytes)) ||
	    memcmp(f->bytes, bytes, insn->len))
		return;

	f->nr_entries = path.nr;
	f->rip = save->rip;
	f->cr3 = save->cr3;
	f->cr0 = vcpu->arch.cr0;
	f->cr4 = vcpu->arch.cr4;
	f->efer = vcpu->arch.efer;
	f->cs_base = save->cs.base;
	f->cs_attrib = save->cs.attrib;
	f->op = insn->op;
	f->len = insn->len;
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
	u64 linear;

	if (!insn && svm_length_quick(vcpu))
		return true;
	insn = insn ?: &local;
	mkvm_x86_cpu(vcpu, &cpu);
	if (mkvm_fetch_insn(vcpu, &cpu, insn, bytes, &nr) || !svm_op_fits(svm, insn->op))
		return false;
	svm->insn_len = insn->len;
	if (svm->exit->quick && x86_fetch_linear(&cpu, &linear, &insn->fault) > 0)
		svm_fetch_keep(vcpu, insn, linear, bytes);
	return true;
}
