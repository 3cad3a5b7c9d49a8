// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction at RIP, read from the guest's memory and decoded.
 *
 * The read goes through the guest's page tables and can fault in the VMM's memory, so it cannot
 * be done where interrupts are off, and takes time. But guests execute the same few instructions
 * that need it again and again. So what was read is kept, with everything that led to it: the
 * page-table entries and where they are, the bytes and where they are. If all of these are still the
 * same, which a few loads without faults tell, so is the instruction. Nothing has to be invalidated.
 */
#include <linux/uaccess.h>

#include "mmu/gwalk.h"
#include "x86.h"

/* --- From what was read before ------------------------------------------------------------ */

static struct mkvm_fetch *mkvm_fetch_slot(struct mkvm_vcpu *vcpu, u64 rip)
{
	return &vcpu->arch.fetch[(rip ^ rip >> 4) % MKVM_NR_FETCHES];
}

static noinline u64 mkvm_fetch_cs_base(struct mkvm_vcpu *vcpu)
{
	struct kvm_segment cs;

	mkvm_ops->get_segment(vcpu, MKVM_SEG_CS, &cs);
	return cs.base;
}

static bool mkvm_fetch_same_cpu_state(struct mkvm_vcpu *vcpu, const struct mkvm_fetch *f, u64 rip)
{
	return f->insn.len && f->rip == rip && f->cr3 == mkvm_reg_read(vcpu, MKVM_REG_CR3) &&
	       f->cr0 == vcpu->arch.cr0 && f->cr4 == vcpu->arch.cr4 &&
	       f->efer == vcpu->arch.efer &&
	       f->cs_ar == mkvm_reg_read(vcpu, MKVM_REG_CS_AR) &&
	       f->slots_generation == READ_ONCE(vcpu->vm->slots_generation) &&
	       /* In 64-bit mode the base of CS counts as 0. */
	       (f->insn.mode == X86_MODE_64 || f->cs_base == mkvm_fetch_cs_base(vcpu));
}

/* Reads the VMM's memory; false also when a page is not there at the moment. */
static noinline bool mkvm_fetch_same_memory(const struct mkvm_fetch *f)
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
 * mkvm_fetch_kept() - the instruction at RIP, if it has been read before and is still the same
 * @vcpu: the vCPU, loaded
 *
 * Context: also with interrupts off.
 * Return: the instruction, valid until the next mkvm_fetch_insn(); NULL: it has to be read.
 */
const struct x86_insn *mkvm_fetch_kept(struct mkvm_vcpu *vcpu)
{
	u64 rip = mkvm_rip(vcpu);
	const struct mkvm_fetch *f = mkvm_fetch_slot(vcpu, rip);

	/* One address, instead of an index that is multiplied again for each member. */
	OPTIMIZER_HIDE_VAR(f);
	return mkvm_fetch_same_cpu_state(vcpu, f, rip) && mkvm_fetch_same_memory(f) ?
	       &f->insn : NULL;
}

/* --- From memory -------------------------------------------------------------------------- */

/* Can the way to the instruction be checked by the simple loads above? Then note it. */
static bool mkvm_fetch_note_way(struct mkvm_vcpu *vcpu, struct mkvm_fetch *f, u64 linear,
				const u8 *bytes, unsigned int len)
{
	struct gwalk_path path = {};
	struct gwalk_result res;
	unsigned int i, left;

	f->slots_generation = READ_ONCE(vcpu->vm->slots_generation);
	/* The generation first, then the slots: an address that changes is noticed. */
	smp_rmb();
	/* Entries of 8 bytes, all of them; the 16 bytes that are compared are in one page. */
	if ((mkvm_is_paging(vcpu) && !mkvm_is_long_mode(vcpu)) ||
	    offset_in_page(linear) > PAGE_SIZE - sizeof(f->bytes) ||
	    mkvm_translate_path(vcpu, linear, GWALK_FETCH, &res, &path))
		return false;
	for (i = 0; i < path.nr; i++) {
		f->entry[i] = mkvm_gpa_to_user(vcpu->vm, path.gpa[i], &left);
		f->value[i] = path.value[i];
		if (!f->entry[i])
			return false;
	}
	f->nr_entries = path.nr;
	f->code = mkvm_gpa_to_user(vcpu->vm, res.gpa, &left);
	return f->code && !copy_from_user(f->bytes, f->code, sizeof(f->bytes)) &&
	       !memcmp(f->bytes, bytes, len);
}

static void mkvm_fetch_keep(struct mkvm_vcpu *vcpu, const struct x86_cpu *cpu,
			    const struct x86_insn *insn, u64 linear, const u8 *bytes)
{
	struct mkvm_fetch *f = mkvm_fetch_slot(vcpu, cpu->rip);

	f->insn.len = 0;
	if (!mkvm_fetch_note_way(vcpu, f, linear, bytes, insn->len))
		return;
	f->rip = cpu->rip;
	f->cr3 = mkvm_reg_read(vcpu, MKVM_REG_CR3);
	f->cr0 = vcpu->arch.cr0;
	f->cr4 = vcpu->arch.cr4;
	f->efer = vcpu->arch.efer;
	f->cs_ar = mkvm_reg_read(vcpu, MKVM_REG_CS_AR);
	f->cs_base = mkvm_fetch_cs_base(vcpu);
	f->insn = *insn;
}

/**
 * mkvm_fetch_insn() - read and decode the instruction at RIP
 * @vcpu: the vCPU, loaded; vm->srcu held
 * @cpu: from mkvm_x86_cpu()
 * @insn: result
 * @bytes: what was read, for error reports
 * @nr: how much of it
 *
 * The rest of a page first: the next one is only touched when the instruction goes on
 * there, since the CPU would not fault on it otherwise.
 *
 * Return: 0; EINVAL (the guest gets insn->fault); EOPNOTSUPP (not in the decoder's table);
 * EFAULT (the code is not in memory); others as gwalk().
 */
int mkvm_fetch_insn(struct mkvm_vcpu *vcpu, const struct x86_cpu *cpu,
		    struct x86_insn *insn, u8 bytes[X86_INSN_MAX], unsigned int *nr)
{
	unsigned int first;
	int limit, r;
	u64 la;

	*nr = 0;
	limit = x86_fetch_linear(cpu, &la, &insn->fault);
	if (limit < 0)
		return limit;

	first = min_t(unsigned int, limit, PAGE_SIZE - offset_in_page(la));
	r = mkvm_read_gva(vcpu, la, GWALK_FETCH, bytes, first, &insn->fault);
	if (r)
		return r;
	*nr = first;
	r = x86_decode(bytes, first, cpu->mode, insn);

	if (r == -EAGAIN && first < limit) {
		r = mkvm_read_gva(vcpu, la + first, GWALK_FETCH, bytes + first, limit - first,
				  &insn->fault);
		if (r)
			return r;
		*nr = limit;
		r = x86_decode(bytes, limit, cpu->mode, insn);
	}
	if (r == -EAGAIN) {
		/* It goes on beyond the segment's limit. */
		insn->fault = (struct x86_fault){
			.vector = X86_VEC_GP,
			.has_error_code = cpu->prot,
		};
		r = -EINVAL;
	}
	if (!r)
		mkvm_fetch_keep(vcpu, cpu, insn, la, bytes);
	return r;
}
