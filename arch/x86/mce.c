// SPDX-License-Identifier: GPL-2.0
/*
 * Machine check: the guest's banks of registers. The host takes its machine checks itself; what
 * shows up here userspace has put there, for instance because a page of the guest's memory has failed.
 * (SDM, "Machine-Check Architecture"; APM, "Machine Check Architecture".)
 */
#include <linux/nospec.h>
#include <linux/uaccess.h>
#include <asm/mce.h>
#include <asm/msr-index.h>

#include "msr.h"

/* APM, "HWCR Register". */
#define HWCR_TLB_CACHE_DIS		BIT_ULL(3)
#define HWCR_FFDIS			BIT_ULL(6)
#define HWCR_IGNNE_EM			BIT_ULL(8)
#define HWCR_MC_STATUS_WR_EN		BIT_ULL(18)

/* IA32_MCG_CAP: what can be set beside the number of banks, and of extended registers. */
#define MCE_CAP	(MCG_CTL_P | MCG_SER_P)

/* --- Registers -------------------------------------------------------------------------------- */

static unsigned int mce_banks(const struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.msr.mcg_cap & MCG_BANKCNT_MASK;
}

/* The four registers of a bank. */
static u64 *mce_bank(struct mkvm_vcpu *vcpu, unsigned int nr)
{
	return &vcpu->arch.msr.mce_bank[4 * array_index_nospec(nr, MKVM_MCE_BANKS)];
}

/* NULL: the vCPU has fewer banks. */
static u64 *mce_bank_reg(struct mkvm_vcpu *vcpu, u32 msr)
{
	unsigned int nr = (msr - MSR_IA32_MC0_CTL) / 4;

	return nr < mce_banks(vcpu) ? mce_bank(vcpu, nr) + (msr & 3) : NULL;
}

/** mkvm_mce_bank_get() - read IA32_MCi_CTL, _STATUS, _ADDR or _MISC
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mce_bank_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	const u64 *reg = mce_bank_reg(vcpu, a->index);

	if (!reg)
		return -EINVAL;
	a->data = *reg;
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
	u64 *reg = mce_bank_reg(vcpu, a->index);

	if (!reg)
		return -EINVAL;
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
	*reg = a->data;
	return 0;
}

/** mkvm_mcg_ctl_get() - read IA32_MCG_CTL
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mcg_ctl_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (!(vcpu->arch.msr.mcg_cap & MCG_CTL_P) && !a->host)
		return -EINVAL;
	a->data = vcpu->arch.msr.mcg_ctl;
	return 0;
}

/** mkvm_mcg_ctl_set() - write IA32_MCG_CTL: all errors or none
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mcg_ctl_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (!(vcpu->arch.msr.mcg_cap & MCG_CTL_P) && (a->data || !a->host))
		return -EINVAL;
	if (a->data && a->data != ~0ull)
		return -EINVAL;
	vcpu->arch.msr.mcg_ctl = a->data;
	return 0;
}

/** mkvm_mce_ctl2_get() - read IA32_MCi_CTL2: no interrupt for corrected errors (CMCI)
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mce_ctl2_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	a->data = 0;
	return a->index - MSR_IA32_MC0_CTL2 < mce_banks(vcpu) ? 0 : -EINVAL;
}

/** mkvm_mce_ctl2_set() - write it: only 0 gets here
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_mce_ctl2_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	return mkvm_mce_ctl2_get(vcpu, a);
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

/* --- From userspace ----------------------------------------------------------------------------- */

/** mkvm_get_mce_cap_supported() - KVM_X86_GET_MCE_CAP_SUPPORTED
 * @arg: for the bits of IA32_MCG_CAP that KVM_X86_SETUP_MCE accepts, without those that are numbers
 * Return: 0 or EFAULT. */
long mkvm_get_mce_cap_supported(u64 __user *arg)
{
	return put_user(MCE_CAP, arg) ? -EFAULT : 0;
}

/**
 * mkvm_setup_mce() - KVM_X86_SETUP_MCE: the vCPU's banks
 * @vcpu: the vCPU
 * @cap: IA32_MCG_CAP
 *
 * All errors are enabled then. Status and addresses stay.
 * Return: 0; EINVAL for no bank, more than 32, or bits that are not supported.
 */
long mkvm_setup_mce(struct mkvm_vcpu *vcpu, const u64 *cap)
{
	unsigned int nr = *cap & MCG_BANKCNT_MASK, i;

	if (!nr || nr > MKVM_MCE_BANKS)
		return -EINVAL;
	if (*cap & ~(MCE_CAP | MCG_BANKCNT_MASK | MCG_EXT_CNT_MASK))
		return -EINVAL;
	vcpu->arch.msr.mcg_cap = *cap;
	/* The others are reserved (APM, "MCG_CAP"). */
	if (mkvm_caps.amd)
		vcpu->arch.msr.mcg_cap &= MCG_BANKCNT_MASK | MCG_CTL_P;
	if (*cap & MCG_CTL_P)
		vcpu->arch.msr.mcg_ctl = ~0ull;
	for (i = 0; i < nr; i++)
		mce_bank(vcpu, i)[0] = ~0ull;
	return 0;
}

/* An uncorrected error that needs no action is only recorded (SDM, "Uncorrected Recoverable Errors"). */
static bool mce_no_action(const struct kvm_x86_mce *mce)
{
	return mce->status & MCI_STATUS_UC && !mce->mcg_status &&
	       !(mce->status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

static void mce_record(u64 *bank, const struct kvm_x86_mce *mce, u64 status)
{
	bank[1] = status;
	bank[2] = mce->addr;
	bank[3] = mce->misc;
}

/* Uncorrected: #MC, or the end if the guest cannot take one. */
static void mce_raise(struct mkvm_vcpu *vcpu, u64 *bank, const struct kvm_x86_mce *mce, u64 status)
{
	struct mkvm_msrs *msr = &vcpu->arch.msr;

	/* Not enabled: by the guest's IA32_MCG_CTL, or the bank's. */
	if ((msr->mcg_cap & MCG_CTL_P && msr->mcg_ctl != ~0ull) || bank[0] != ~0ull)
		return;
	if (msr->mcg_status & MCG_STATUS_MCIP || !(vcpu->arch.cr4 & X86_CR4_MCE)) {
		mkvm_make_request(vcpu, MKVM_REQ_SHUTDOWN);
		return;
	}
	mce_record(bank, mce, status);
	msr->mcg_status = mce->mcg_status;
	mkvm_queue_machine_check(vcpu);
}

/**
 * mkvm_set_mce() - KVM_X86_SET_MCE: an error in one of the guest's banks
 * @vcpu: the vCPU, loaded
 * @mce: the error
 *
 * Which of two errors a bank keeps: SDM, "Overwrite Rules for Machine-Check Overflow".
 * Return: 0; EINVAL for a bank that does not exist, or a status that is not valid.
 */
long mkvm_set_mce(struct mkvm_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	u64 *bank, status = mce->status;

	if (mce->bank >= mce_banks(vcpu) || !(status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = mce_bank(vcpu, mce->bank);
	if (mce_no_action(mce)) {
		mce_record(bank, mce, status);
		vcpu->arch.msr.mcg_status = mce->mcg_status;
		return 0;
	}
	if (bank[1] & MCI_STATUS_VAL)
		status |= MCI_STATUS_OVER;
	if (status & MCI_STATUS_UC)
		mce_raise(vcpu, bank, mce, status);
	else if (bank[1] & MCI_STATUS_VAL && bank[1] & MCI_STATUS_UC)
		bank[1] |= MCI_STATUS_OVER;
	else
		mce_record(bank, mce, status);
	return 0;
}
