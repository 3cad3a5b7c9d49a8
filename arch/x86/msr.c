// SPDX-License-Identifier: GPL-2.0
/*
 * Model-specific registers: one table of all that exist for a guest. What is not in it
 * gives #GP to the guest and ends KVM_{GET,SET}_MSRS.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/mtrr.h>
#include <asm/msr-index.h>

#include "x86.h"

/* Who asks: the guest is bound by rules from which userspace is free. */
enum msr_origin { MSR_GUEST, MSR_HOST };

/**
 * struct msr_row - an MSR, or a range of them with the same rules
 * @first: first index
 * @last: last index
 * @flags: MSR_*
 * @get: read; data of MSR @msr. 0 or EINVAL
 * @set: write; the generic checks of @flags have passed. NULL: read-only. 0 or EINVAL
 */
struct msr_row {
	u32 first;
	u32 last;
	u32 flags;
	int (*get)(struct mkvm_vcpu *vcpu, u32 msr, u64 *data);
	int (*set)(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin);
};

#define MSR_SAVE	BIT(0)	/* in KVM_GET_MSR_INDEX_LIST: state to save and restore */
#define MSR_CANONICAL	BIT(1)	/* holds an address: must be canonical */
#define MSR_TRUNCATED	BIT(2)	/* holds an address: cut to canonical when userspace sets it */

/* --- Owned by the backend: in the control block or in the CPU --------------------------- */

static int vendor_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	return mkvm_ops->get_msr(vcpu, msr, data);
}

static int vendor_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	return mkvm_ops->set_msr(vcpu, msr, data);
}

/* --- Time stamp counter ------------------------------------------------------------------- */

static int tsc_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = rdtsc() + vcpu->arch.tsc_offset;
	return 0;
}

static void tsc_set_offset(struct mkvm_vcpu *vcpu, u64 offset)
{
	vcpu->arch.tsc_offset = offset;
	mkvm_mark_dirty(vcpu, MKVM_STATE_TSC_OFFSET);
}

/* A write by software shows in TSC_ADJUST; one by userspace is a new start. */
static int tsc_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	u64 offset = data - rdtsc();

	if (origin == MSR_GUEST)
		vcpu->arch.tsc_adjust += offset - vcpu->arch.tsc_offset;
	tsc_set_offset(vcpu, offset);
	return 0;
}

static int tsc_adjust_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = vcpu->arch.tsc_adjust;
	return 0;
}

static int tsc_adjust_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	/* Userspace restores the TSC itself, and the adjustment beside it. */
	if (origin == MSR_GUEST)
		tsc_set_offset(vcpu, vcpu->arch.tsc_offset + data - vcpu->arch.tsc_adjust);
	vcpu->arch.tsc_adjust = data;
	return 0;
}

/* --- Kept by common code -------------------------------------------------------------------- */

static int efer_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = vcpu->arch.efer;
	return 0;
}

static int efer_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	return mkvm_set_efer(vcpu, data);
}

static int apic_base_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = vcpu->arch.apic_base;
	return 0;
}

static int apic_base_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	if (!mkvm_apic_base_valid(vcpu, data))
		return -EINVAL;
	vcpu->arch.apic_base = data;
	mkvm_cpuid_update(vcpu);
	return 0;
}

static int misc_enable_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = vcpu->arch.misc_enable;
	return 0;
}

/*
 * Fast strings and the limit of CPUID leaves are hints; performance monitoring and
 * branch tracing are shown as missing and stay so.
 */
static int misc_enable_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	const u64 fixed = MSR_IA32_MISC_ENABLE_EMON | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL |
			  MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL;

	if (origin == MSR_GUEST && (data ^ vcpu->arch.misc_enable) & fixed)
		return -EINVAL;
	vcpu->arch.misc_enable = data;
	if (!mkvm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
		mkvm_cpuid_update(vcpu);
	return 0;
}

static int bios_sign_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = vcpu->arch.bios_sign;
	return 0;
}

/* The guest writes 0 before CPUID to have the revision loaded: it is there already. */
static int bios_sign_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	if (origin == MSR_HOST)
		vcpu->arch.bios_sign = data;
	return 0;
}

static int zero_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = 0;
	return 0;
}

/* Branch tracing and single-step on branches do nothing, as in KVM. */
static int debugctl_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	return data & ~(u64)(DEBUGCTLMSR_BTF | DEBUGCTLMSR_LBR) ? -EINVAL : 0;
}

static int ignore_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	return 0;
}

/* --- Memory types ------------------------------------------------------------------------------ */

#define MKVM_NR_VAR_MTRR	8

/* The memory types that exist in MTRRs: UC, WC, WT, WP, WB. */
static bool mtrr_type_valid(u8 type)
{
	return type < 8 && (BIT(type) & 0x73);
}

static int mtrr_cap_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	/* Write-combining, fixed ranges, eight variable ranges. */
	*data = BIT(10) | BIT(8) | MKVM_NR_VAR_MTRR;
	return 0;
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

static int mtrr_get(struct mkvm_vcpu *vcpu, u32 msr, u64 *data)
{
	*data = *mtrr_reg(vcpu, msr);
	return 0;
}

static int mtrr_fixed_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8)
		if (!mtrr_type_valid(data >> i))
			return -EINVAL;
	*mtrr_reg(vcpu, msr) = data;
	return 0;
}

static int mtrr_deftype_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	/* Bits 10 and 11 enable; the rest but the type is reserved. */
	if (data & ~0xcffull || !mtrr_type_valid(data))
		return -EINVAL;
	*mtrr_reg(vcpu, msr) = data;
	return 0;
}

static int mtrr_var_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	u64 reserved = GENMASK_ULL(63, vcpu->arch.maxphyaddr);

	if (msr & 1)
		reserved |= 0x7ff;	/* mask register: bit 11 is V */
	else
		reserved |= 0xf00;	/* base register: bits 7:0 are the type */
	if (data & reserved || (!(msr & 1) && !mtrr_type_valid(data)))
		return -EINVAL;
	*mtrr_reg(vcpu, msr) = data;
	return 0;
}

static int pat_set(struct mkvm_vcpu *vcpu, u32 msr, u64 data, enum msr_origin origin)
{
	unsigned int i;

	/* UC, WC, WT, WP, WB, UC-. */
	for (i = 0; i < 64; i += 8) {
		u8 type = data >> i;

		if (type > 7 || !(BIT(type) & 0xf3))
			return -EINVAL;
	}
	return mkvm_ops->set_msr(vcpu, msr, data);
}

/* --- The table --------------------------------------------------------------------------------- */

#define ROW(msr, flags, get, set)		{ msr, msr, flags, get, set }
#define RANGE(first, last, flags, get, set)	{ first, last, flags, get, set }

/* Ascending, not overlapping: it is searched by halving. */
static const struct msr_row msr_table[] = {
	ROW(MSR_IA32_TSC, MSR_SAVE, tsc_get, tsc_set),
	ROW(MSR_IA32_PLATFORM_ID, 0, zero_get, NULL),
	ROW(MSR_IA32_APICBASE, 0, apic_base_get, apic_base_set),
	ROW(MSR_IA32_TSC_ADJUST, MSR_SAVE, tsc_adjust_get, tsc_adjust_set),
	ROW(MSR_IA32_UCODE_WRITE, 0, zero_get, ignore_set),
	ROW(MSR_IA32_UCODE_REV, MSR_SAVE, bios_sign_get, bios_sign_set),
	ROW(MSR_MTRRcap, 0, mtrr_cap_get, NULL),
	ROW(MSR_IA32_SYSENTER_CS, MSR_SAVE, vendor_get, vendor_set),
	/* AMD keeps 32 bits of these; a state saved there must load here. */
	ROW(MSR_IA32_SYSENTER_ESP, MSR_SAVE | MSR_TRUNCATED, vendor_get, vendor_set),
	ROW(MSR_IA32_SYSENTER_EIP, MSR_SAVE | MSR_TRUNCATED, vendor_get, vendor_set),
	ROW(MSR_IA32_MISC_ENABLE, MSR_SAVE, misc_enable_get, misc_enable_set),
	/* No bit of it is virtualized. */
	ROW(MSR_IA32_DEBUGCTLMSR, 0, zero_get, debugctl_set),
	RANGE(0x200, 0x200 + 2 * MKVM_NR_VAR_MTRR - 1, MSR_SAVE, mtrr_get, mtrr_var_set),
	ROW(MSR_MTRRfix64K_00000, MSR_SAVE, mtrr_get, mtrr_fixed_set),
	RANGE(MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, MSR_SAVE, mtrr_get, mtrr_fixed_set),
	RANGE(MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_F8000, MSR_SAVE, mtrr_get, mtrr_fixed_set),
	ROW(MSR_IA32_CR_PAT, MSR_SAVE, vendor_get, pat_set),
	ROW(MSR_MTRRdefType, MSR_SAVE, mtrr_get, mtrr_deftype_set),
	ROW(MSR_EFER, 0, efer_get, efer_set),
	ROW(MSR_STAR, MSR_SAVE, vendor_get, vendor_set),
	ROW(MSR_LSTAR, MSR_SAVE | MSR_CANONICAL, vendor_get, vendor_set),
	ROW(MSR_CSTAR, MSR_SAVE | MSR_CANONICAL, vendor_get, vendor_set),
	ROW(MSR_SYSCALL_MASK, MSR_SAVE, vendor_get, vendor_set),
	ROW(MSR_FS_BASE, MSR_CANONICAL, vendor_get, vendor_set),
	ROW(MSR_GS_BASE, MSR_CANONICAL, vendor_get, vendor_set),
	ROW(MSR_KERNEL_GS_BASE, MSR_SAVE | MSR_CANONICAL, vendor_get, vendor_set),
	ROW(MSR_TSC_AUX, MSR_SAVE, vendor_get, vendor_set),
};

static const struct msr_row *msr_find(u32 msr)
{
	unsigned int lo = 0, hi = ARRAY_SIZE(msr_table);

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (msr_table[mid].last < msr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == ARRAY_SIZE(msr_table) || msr_table[lo].first > msr)
		return NULL;
	return &msr_table[lo];
}

static u64 msr_make_canonical(struct mkvm_vcpu *vcpu, u64 address)
{
	unsigned int shift = vcpu->arch.cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (s64)(address << shift) >> shift;
}

/**
 * mkvm_get_msr() - read an MSR of the vCPU
 * @vcpu: the vCPU, loaded
 * @msr: index
 * @data: result
 * @host: userspace asks, not the guest
 * Return: 0, or EINVAL: it does not exist.
 */
int mkvm_get_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	const struct msr_row *row = msr_find(msr);

	return row ? row->get(vcpu, msr, data) : -EINVAL;
}

/**
 * mkvm_set_msr() - write an MSR of the vCPU
 * @vcpu: the vCPU, loaded
 * @msr: index
 * @data: value
 * @host: userspace asks, not the guest
 * Return: 0, or EINVAL: it does not exist, is read-only, or cannot have the value.
 */
int mkvm_set_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	const struct msr_row *row = msr_find(msr);

	if (!row || !row->set)
		return -EINVAL;
	if ((row->flags & MSR_TRUNCATED) && host)
		data = msr_make_canonical(vcpu, data);
	if (row->flags & (MSR_CANONICAL | MSR_TRUNCATED) &&
	    msr_make_canonical(vcpu, data) != data)
		return -EINVAL;
	return row->set(vcpu, msr, data, host ? MSR_HOST : MSR_GUEST);
}

/** mkvm_msr_reset() - values after power-up
 * @vcpu: the vCPU, being created */
void mkvm_msr_reset(struct mkvm_vcpu *vcpu)
{
	/* What KVM shows: some guests look for a revision that is not 0. */
	vcpu->arch.bios_sign = 0x100000000ULL;
	vcpu->arch.misc_enable = MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL |
				 MSR_IA32_MISC_ENABLE_BTS_UNAVAIL;
	memset(&vcpu->arch.mtrr, 0, sizeof(vcpu->arch.mtrr));
	vcpu->arch.tsc_adjust = 0;
	vcpu->arch.tsc_offset = vcpu->vm->arch.tsc_offset;
}

/* --- The instructions --------------------------------------------------------------------------- */

/**
 * mkvm_handle_rdmsr() - RDMSR; its exit comes after the check of the CPL
 * @vcpu: the vCPU
 * Context: also with interrupts off.
 */
mkvm_run_t mkvm_handle_rdmsr(struct mkvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;
	u64 data;

	if (mkvm_get_msr(vcpu, regs[MKVM_REG_RCX], &data, false))
		return mkvm_inject_gp(vcpu);
	regs[MKVM_REG_RAX] = (u32)data;
	regs[MKVM_REG_RDX] = data >> 32;
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/**
 * mkvm_handle_wrmsr() - WRMSR
 * @vcpu: the vCPU
 * Context: also with interrupts off.
 */
mkvm_run_t mkvm_handle_wrmsr(struct mkvm_vcpu *vcpu)
{
	const unsigned long *regs = vcpu->arch.regs;
	u64 data = (u32)regs[MKVM_REG_RAX] | (u64)(u32)regs[MKVM_REG_RDX] << 32;

	if (mkvm_set_msr(vcpu, regs[MKVM_REG_RCX], data, false))
		return mkvm_inject_gp(vcpu);
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/* --- The ioctls ----------------------------------------------------------------------------------- */

/* State to save, on this machine. */
static bool msr_listed(const struct msr_row *row)
{
	return row->flags & MSR_SAVE && (row->first != MSR_TSC_AUX || mkvm_caps.rdtscp);
}

/**
 * mkvm_get_msr_index_list() - KVM_GET_MSR_INDEX_LIST
 * @arg: header with the number of indices there is room for, then the indices
 *
 * The header is always updated to the number that exists.
 * Return: 0, E2BIG or EFAULT.
 */
int mkvm_get_msr_index_list(struct kvm_msr_list __user *arg)
{
	struct kvm_msr_list head;
	u32 room, nr = 0, msr;
	unsigned int i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	room = head.nmsrs;

	for (i = 0; i < ARRAY_SIZE(msr_table); i++)
		if (msr_listed(&msr_table[i]))
			nr += msr_table[i].last - msr_table[i].first + 1;
	head.nmsrs = nr;
	if (copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;

	nr = 0;
	for (i = 0; i < ARRAY_SIZE(msr_table); i++) {
		if (!msr_listed(&msr_table[i]))
			continue;
		for (msr = msr_table[i].first; msr <= msr_table[i].last; msr++)
			if (put_user(msr, &arg->indices[nr++]))
				return -EFAULT;
	}
	return 0;
}

/* As in KVM: entries of one call. */
#define MKVM_MAX_IO_MSRS	256

/**
 * mkvm_ioctl_msrs() - KVM_GET_MSRS and KVM_SET_MSRS
 * @vcpu: the vCPU, loaded
 * @arg: header with the number of entries, then the entries
 * @set: direction
 *
 * Return: the number of entries done: the first that fails ends the work; E2BIG; EFAULT;
 * ENOMEM.
 */
long mkvm_ioctl_msrs(struct mkvm_vcpu *vcpu, struct kvm_msrs __user *arg, bool set)
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	unsigned int i;
	size_t size;
	long r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MKVM_MAX_IO_MSRS)
		return -E2BIG;

	size = array_size(sizeof(*entries), head.nmsrs);
	entries = memdup_user(arg->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);

	for (i = 0; i < head.nmsrs; i++) {
		if (set)
			r = mkvm_set_msr(vcpu, entries[i].index, entries[i].data, true);
		else
			r = mkvm_get_msr(vcpu, entries[i].index, &entries[i].data, true);
		if (r)
			break;
	}

	r = i;
	if (!set && copy_to_user(arg->entries, entries, size))
		r = -EFAULT;
	kfree(entries);
	return r;
}
