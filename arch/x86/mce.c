// SPDX-License-Identifier: GPL-2.0
/*
 * Machine check: banks of registers in which nothing ever shows up, since the host takes its
 * machine checks itself. (SDM, "Machine-Check Architecture"; APM, "Machine Check Architecture".)
 */
#include <linux/nospec.h>
#include <asm/mce.h>
#include <asm/msr-index.h>

#include "msr.h"

/* APM, "HWCR Register". */
#define HWCR_TLB_CACHE_DIS		BIT_ULL(3)
#define HWCR_FFDIS			BIT_ULL(6)
#define HWCR_IGNNE_EM			BIT_ULL(8)
#define HWCR_MC_STATUS_WR_EN		BIT_ULL(18)

static u64 *mce_bank_reg(struct mkvm_vcpu *vcpu, u32 msr)
{
	u64 *bank = vcpu->arch.msr.mce_bank;

	return &bank[array_index_nospec(msr - MSR_IA32_MC0_CTL, 4 * MKVM_MCE_BANKS)];
}

/** mkvm_mce_bank_get() - read IA32_MCi_CTL, _STATUS, _ADDR or _MISC
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mce_bank_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	a->data = *mce_bank_reg(vcpu, a->index);
	return 0;
}

/* All errors or none; Linux on K8 leaves out bit 10 of bank 4, UnixWare bit 0 of bank 1. */
static bool mce_ctl_valid(u64 data)
{
	return !data || (data | BIT(10) | BIT(0)) == ~0ull;
}

/* Software clears the status; AMD has a bit with which it can write more than that. */
static bool mce_status_valid(struct mkvm_vcpu *vcpu, u64 data)
{
	return !data || (mkvm_guest_is_amd(vcpu) &&
			 vcpu->arch.msr.hwcr & HWCR_MC_STATUS_WR_EN);
}

/** mkvm_mce_bank_set() - write IA32_MCi_CTL, _STATUS, _ADDR or _MISC
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mce_bank_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	switch (a->index & 3) {
	case 0:
		if (!mce_ctl_valid(a->data))
			return -EINVAL;
		break;
	case 1:
		if (!a->host && !mce_status_valid(vcpu, a->data))
			return -EINVAL;
		break;
	}
	*mce_bank_reg(vcpu, a->index) = a->data;
	return 0;
}

/**
 * mkvm_hwcr_set() - write HWCR
 * @vcpu: the vCPU
 * @a: the access
 *
 * Three bits that firmware sets for old CPUs are swallowed; as in KVM a 0 is, too, so that
 * McStatusWrEn stays once it is set.
 */
int mkvm_hwcr_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	u64 data = a->data & ~(HWCR_TLB_CACHE_DIS | HWCR_FFDIS | HWCR_IGNNE_EM);

	if (data & ~HWCR_MC_STATUS_WR_EN)
		return -EINVAL;
	if (data)
		vcpu->arch.msr.hwcr = data;
	return 0;
}
