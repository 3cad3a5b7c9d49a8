// SPDX-License-Identifier: GPL-2.0
/*
 * Memory types: the MTRRs, which are checked and kept without effect, and IA32_PAT.
 * (SDM, "Memory Type Range Registers (MTRRs)"; "Page Attribute Table (PAT)".)
 */
#include <linux/nospec.h>
#include <asm/mtrr.h>
#include <asm/msr-index.h>

#include "msr.h"

/* The memory types that exist in MTRRs: UC, WC, WT, WP, WB. */
static bool mtrr_type_valid(u8 type)
{
	return type < 8 && (BIT(type) & 0x73);
}

static u64 *mtrr_reg(struct mkvm_vcpu *vcpu, u32 msr)
{
	switch (msr) {
	case MSR_MTRRfix64K_00000:
		return &vcpu->arch.mtrr.fixed[0];
	case MSR_MTRRfix16K_80000:
	case MSR_MTRRfix16K_A0000:
		return &vcpu->arch.mtrr.fixed[1 + array_index_nospec(msr - MSR_MTRRfix16K_80000, 2)];
	case MSR_MTRRfix4K_C0000 ... MSR_MTRRfix4K_F8000:
		return &vcpu->arch.mtrr.fixed[3 + array_index_nospec(msr - MSR_MTRRfix4K_C0000, 8)];
	case MSR_MTRRdefType:
		return &vcpu->arch.mtrr.deftype;
	default:
		return &vcpu->arch.mtrr.var[array_index_nospec(msr - 0x200,
						ARRAY_SIZE(vcpu->arch.mtrr.var))];
	}
}

/** mkvm_mtrr_get() - read any MTRR but MTRRcap
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mtrr_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	a->data = *mtrr_reg(vcpu, a->index);
	return 0;
}

/** mkvm_mtrr_fixed_set() - write an MTRR of eight fixed ranges
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mtrr_fixed_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8)
		if (!mtrr_type_valid(a->data >> i))
			return -EINVAL;
	*mtrr_reg(vcpu, a->index) = a->data;
	return 0;
}

/** mkvm_mtrr_deftype_set() - write IA32_MTRR_DEF_TYPE; its row knows the reserved bits
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mtrr_deftype_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (!mtrr_type_valid(a->data))
		return -EINVAL;
	*mtrr_reg(vcpu, a->index) = a->data;
	return 0;
}

/** mkvm_mtrr_var_set() - write base or mask of a variable range
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mtrr_var_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	u64 reserved = GENMASK_ULL(63, vcpu->arch.maxphyaddr);
	bool mask = a->index & 1;

	if (mask)
		reserved |= 0x7ff;	/* bit 11 is V */
	else
		reserved |= 0xf00;	/* bits 7:0 are the type */
	if (a->data & reserved || (!mask && !mtrr_type_valid(a->data)))
		return -EINVAL;
	*mtrr_reg(vcpu, a->index) = a->data;
	return 0;
}

/** mkvm_pat_set() - write IA32_PAT, which the backend keeps
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_pat_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	unsigned int i;

	/* UC, WC, WT, WP, WB, UC-. */
	for (i = 0; i < 64; i += 8) {
		u8 type = a->data >> i;

		if (type > 7 || !(BIT(type) & 0xf3))
			return -EINVAL;
	}
	return mkvm_ops->set_msr(vcpu, a->index, a->data);
}
