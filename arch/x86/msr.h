/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_MSR_H
#define MKVM_X86_MSR_H

/*
 * What the files about MSRs have in common: the row of an MSR (the table is in msr.c), and the
 * functions that read and write those with rules of their own, by file.
 */

#include "x86.h"

struct msr_row;

/**
 * struct msr_access - one access to an MSR
 * @row: the MSR's row
 * @index: the MSR
 * @host: userspace asks: it is free from rules that bind the guest
 * @data: value to write, or read
 */
struct msr_access {
	const struct msr_row *row;
	u32 index;
	bool host;
	u64 data;
};

/**
 * struct msr_row - an MSR, or a range of them with the same rules
 * @first: first index
 * @last: last index
 * @flags: MSR_*
 * @feature: the guest needs this in its CPUID (X86_FEATURE_*); 0: nothing
 * @offset: an MSR that is kept: where in struct mkvm_vcpu_arch
 * @value: an MSR that always reads the same: what
 * @reserved: bits that cannot be set
 * @get: read. NULL: to readers it does not exist. 0 or EINVAL
 * @set: write; the checks that the row asks for have passed. NULL: to writers it does not
 *	 exist. 0 or EINVAL
 * @offered: a feature MSR (KVM_GET_MSR_FEATURE_INDEX_LIST): what this machine can do
 */
struct msr_row {
	u32 first;
	u32 last;
	u16 flags;
	u16 feature;
	u32 offset;
	u64 value;
	u64 reserved;
	int (*get)(struct mkvm_vcpu *vcpu, struct msr_access *a);
	int (*set)(struct mkvm_vcpu *vcpu, struct msr_access *a);
	u64 (*offered)(void);
};

#define MSR_SAVE	BIT(0)	/* in KVM_GET_MSR_INDEX_LIST: state to save and restore */
#define MSR_CANONICAL	BIT(1)	/* holds an address: must be canonical */
#define MSR_TRUNCATED	BIT(2)	/* holds an address: cut to canonical when userspace sets it */
#define MSR_INTEL	BIT(3)	/* exists on Intel only */
#define MSR_AMD		BIT(4)	/* exists on AMD only */
#define MSR_HOST_READ	BIT(5)	/* the guest cannot read it, userspace can */
#define MSR_HOST_WRITE	BIT(6)	/* the guest cannot write it, userspace can */
#define MSR_STRICT	BIT(7)	/* userspace, too, needs the feature in the vCPU's CPUID */

/* msr.c */
const struct msr_row *mkvm_msr_rows(unsigned int *nr);
bool mkvm_msr_exists(const struct msr_row *row);
int mkvm_get_msr_feature(u32 msr, u64 *data);

/* msr_filter.c */
bool mkvm_msr_allowed(struct mkvm_vcpu *vcpu, u32 msr, u32 type);

/* tsc.c */
int mkvm_tsc_get(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_tsc_set(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_tsc_adjust_set(struct mkvm_vcpu *vcpu, struct msr_access *a);

/* mtrr.c */
#define MKVM_NR_VAR_MTRR	8
/* Write-combining, fixed ranges, and the number of variable ranges. */
#define MKVM_MTRR_CAP		(BIT(10) | BIT(8) | MKVM_NR_VAR_MTRR)
int mkvm_mtrr_get(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mtrr_fixed_set(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mtrr_deftype_set(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mtrr_var_set(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_pat_set(struct mkvm_vcpu *vcpu, struct msr_access *a);

/* mce.c */
int mkvm_mcg_ctl_get(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mcg_ctl_set(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mce_ctl2_get(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mce_ctl2_set(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mce_bank_get(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_mce_bank_set(struct mkvm_vcpu *vcpu, struct msr_access *a);
int mkvm_hwcr_set(struct mkvm_vcpu *vcpu, struct msr_access *a);

#endif
