// SPDX-License-Identifier: GPL-2.0
/*
 * Loading a segment register from its descriptor, for instructions that are executed here.
 * (SDM, "MOV - Move", protected mode exceptions; "Segment Descriptors".)
 */
#include <asm/trapnr.h>

#include "mmu/gwalk.h"
#include "x86.h"

#define SELECTOR_RPL		3
#define SELECTOR_LDT		BIT(2)

/* Bits of a descriptor. */
#define DESC_TYPE_ACCESSED	BIT_ULL(40)
#define DESC_TYPE_WR		BIT_ULL(41)	/* data: writable; code: readable */
#define DESC_TYPE_CONFORMING	BIT_ULL(42)	/* code */
#define DESC_TYPE_CODE		BIT_ULL(43)
#define DESC_S			BIT_ULL(44)
#define DESC_DPL(d)		((d) >> 45 & 3)
#define DESC_P			BIT_ULL(47)

static int mkvm_selector_fault(struct x86_fault *fault, u8 vector, u16 selector)
{
	*fault = (struct x86_fault){
		.vector = vector, .has_error_code = true, .error_code = selector & ~SELECTOR_RPL,
	};
	return -EINVAL;
}

/* Real and virtual-8086 mode: the base is all that changes. */
static void mkvm_load_real_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, u16 selector)
{
	struct kvm_segment s;

	mkvm_ops->get_segment(vcpu, seg, &s);
	s.selector = selector;
	s.base = (u64)selector << 4;
	mkvm_ops->set_segment(vcpu, seg, &s);
}

static int mkvm_load_null_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, u16 selector,
				  struct x86_fault *fault)
{
	struct kvm_segment s = { .selector = selector, .unusable = 1 };
	unsigned int cpl = mkvm_cpl(vcpu);

	if (seg == MKVM_SEG_SS) {
		/* 64-bit code may have no stack segment, but in ring 3. */
		if (!mkvm_is_64bit(vcpu) || cpl == 3 || (selector & SELECTOR_RPL) != cpl)
			return mkvm_selector_fault(fault, X86_TRAP_GP, 0);
		s.dpl = cpl;
	}
	mkvm_ops->set_segment(vcpu, seg, &s);
	return 0;
}

/* Where the descriptor is. */
static int mkvm_find_descriptor(struct mkvm_vcpu *vcpu, u16 selector, u64 *la,
				struct x86_fault *fault)
{
	bool ldt = selector & SELECTOR_LDT;
	struct kvm_segment table;

	mkvm_ops->get_segment(vcpu, ldt ? MKVM_SEG_LDTR : MKVM_SEG_GDTR, &table);
	if ((ldt && table.unusable) || (selector | 7u) > table.limit)
		return mkvm_selector_fault(fault, X86_TRAP_GP, selector);
	*la = table.base + (selector & ~7u);
	return 0;
}

static int mkvm_check_descriptor(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, u16 selector, u64 desc,
				 struct x86_fault *fault)
{
	unsigned int cpl = mkvm_cpl(vcpu), rpl = selector & SELECTOR_RPL, dpl = DESC_DPL(desc);
	bool code = desc & DESC_TYPE_CODE, bad;

	if (seg == MKVM_SEG_SS)
		bad = code || !(desc & DESC_TYPE_WR) || rpl != cpl || dpl != cpl;
	else if (code && desc & DESC_TYPE_CONFORMING)
		bad = !(desc & DESC_TYPE_WR);
	else
		bad = (code && !(desc & DESC_TYPE_WR)) || rpl > dpl || cpl > dpl;
	if (bad || !(desc & DESC_S))
		return mkvm_selector_fault(fault, X86_TRAP_GP, selector);
	if (!(desc & DESC_P))
		return mkvm_selector_fault(fault, seg == MKVM_SEG_SS ? X86_TRAP_SS : X86_TRAP_NP,
					   selector);
	return 0;
}

/* The CPU notes that a segment is in use, in the descriptor's upper half. */
static int mkvm_set_accessed(struct mkvm_vcpu *vcpu, u64 la, u64 desc, struct x86_fault *fault)
{
	u32 old = desc >> 32;
	struct gwalk_result res;
	int r;

	if (desc & DESC_TYPE_ACCESSED)
		return 0;
	r = mkvm_translate(vcpu, la + 4, GWALK_WRITE | GWALK_IMPLICIT, &res);
	if (r == -EINVAL)
		*fault = res.fault;
	if (r)
		return r;
	return mkvm_cmpxchg_guest(vcpu->vm, res.gpa, old, old | DESC_TYPE_ACCESSED >> 32,
				  sizeof(old));
}

static void mkvm_segment_from_descriptor(u64 desc, u16 selector, struct kvm_segment *s)
{
	u32 limit = (desc & 0xffff) | (desc >> 32 & 0xf0000);

	*s = (struct kvm_segment){
		.base = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000),
		.limit = desc >> 55 & 1 ? limit << 12 | 0xfff : limit,
		.selector = selector,
		.type = (desc >> 40 & 15) | 1,
		.s = 1,
		.dpl = DESC_DPL(desc),
		.present = 1,
		.avl = desc >> 52 & 1,
		.l = desc >> 53 & 1,
		.db = desc >> 54 & 1,
		.g = desc >> 55 & 1,
	};
}

/**
 * mkvm_load_segment() - what MOV to a segment register and POP do
 * @vcpu: the vCPU; vm->srcu held
 * @seg: ES, SS, DS, FS or GS
 * @selector: what is loaded
 * @fault: filled for EINVAL
 *
 * Return: 0; EINVAL (the guest gets @fault; nothing has changed); others as gwalk().
 */
int mkvm_load_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, u16 selector,
		      struct x86_fault *fault)
{
	struct kvm_segment s;
	u64 la, desc;
	int r;

	if (!mkvm_is_protmode(vcpu) || mkvm_rflags(vcpu) & X86_EFLAGS_VM) {
		mkvm_load_real_segment(vcpu, seg, selector);
		return 0;
	}
	if (!(selector & ~SELECTOR_RPL))
		return mkvm_load_null_segment(vcpu, seg, selector, fault);
	r = mkvm_find_descriptor(vcpu, selector, &la, fault);
	if (!r)
		r = mkvm_read_gva(vcpu, la, GWALK_IMPLICIT, &desc, sizeof(desc), fault);
	if (!r)
		r = mkvm_check_descriptor(vcpu, seg, selector, desc, fault);
	if (!r)
		r = mkvm_set_accessed(vcpu, la, desc, fault);
	if (r)
		return r;
	mkvm_segment_from_descriptor(desc, selector, &s);
	mkvm_ops->set_segment(vcpu, seg, &s);
	return 0;
}
