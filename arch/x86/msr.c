// SPDX-License-Identifier: GPL-2.0
/*
 * Model-specific registers: one table of all that exist for a guest, with what is allowed to whom;
 * RDMSR and WRMSR. What is not in the table does not exist: #GP for the guest, the end of
 * KVM_{GET,SET}_MSRS for userspace.
 *
 * As in KVM an MSR of the other vendor exists too, when guests are known to read it whatever the
 * CPU is, and reads as something harmless.
 */
#include <asm/kvm_para.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/mtrr.h>

#include "msr.h"

/* --- Ways to keep a value ------------------------------------------------------------------ */

static u64 *msr_kept(struct mkvm_vcpu *vcpu, const struct msr_row *row)
{
	return (u64 *)((char *)&vcpu->arch + row->offset);
}

static int kept_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	a->data = *msr_kept(vcpu, a->row);
	return 0;
}

static int kept_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	*msr_kept(vcpu, a->row) = a->data;
	return 0;
}

static int constant_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	a->data = a->row->value;
	return 0;
}

static int ignore_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	return 0;
}

/* It exists, but not now. */
static int refuse(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	return -EINVAL;
}

/* Owned by the backend: in the control block or in the CPU. */
static int vendor_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	return mkvm_ops->get_msr(vcpu, a->index, &a->data);
}

static int vendor_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	return mkvm_ops->set_msr(vcpu, a->index, a->data);
}

/* --- Those with rules of their own ------------------------------------------------------------ */

static int efer_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	return mkvm_set_efer(vcpu, a->data, a->host);
}

static int apic_base_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (!mkvm_apic_base_valid(vcpu, a->data))
		return -EINVAL;
	vcpu->arch.apic_base = a->data;
	mkvm_cpuid_update(vcpu);
	return 0;
}

/*
 * Fast strings and the limit of CPUID leaves are hints; branch tracing is shown as missing and
 * stays so; the guest's writes of the performance monitor's bit are ignored.
 */
static int misc_enable_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	const u64 fixed = MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL;
	u64 old = vcpu->arch.msr.misc_enable, data = a->data;

	if (!a->host) {
		if ((data ^ old) & fixed)
			return -EINVAL;
		data &= ~(u64)MSR_IA32_MISC_ENABLE_EMON;
		data |= old & MSR_IA32_MISC_ENABLE_EMON;
	}
	vcpu->arch.msr.misc_enable = data;
	if (!mkvm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
		mkvm_cpuid_update(vcpu);
	return 0;
}

/* The guest writes 0 before CPUID to have the revision loaded: it is there already. */
static int bios_sign_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (a->host)
		vcpu->arch.msr.bios_sign = a->data;
	return 0;
}

/* Branch tracing and single-step on branches do nothing, as in KVM; on AMD nothing is refused. */
static int debugctl_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (mkvm_caps.amd)
		return 0;
	return a->data & ~(u64)(DEBUGCTLMSR_BTF | DEBUGCTLMSR_LBR) ? -EINVAL : 0;
}

/* There is nothing to enable but the lock, after which the guest cannot write any more. */
static int feat_ctl_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (!a->host && vcpu->arch.msr.feat_ctl & FEAT_CTL_LOCKED)
		return -EINVAL;
	vcpu->arch.msr.feat_ctl = a->data;
	return 0;
}

static int platform_info_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (!a->host && READ_ONCE(vcpu->vm->arch.hide_platform_info))
		return -EINVAL;
	a->data = vcpu->arch.msr.platform_info;
	return 0;
}

/* CPUID faulting can be announced (PLATFORM_INFO), and used (MISC_FEATURES_ENABLES) only then. */
static int platform_info_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (vcpu->arch.msr.misc_features && !(a->data & MSR_PLATFORM_INFO_CPUID_FAULT))
		return -EINVAL;
	vcpu->arch.msr.platform_info = a->data;
	return 0;
}

static int misc_features_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (a->data && !(vcpu->arch.msr.platform_info & MSR_PLATFORM_INFO_CPUID_FAULT))
		return -EINVAL;
	vcpu->arch.msr.misc_features = a->data;
	return 0;
}

/* TSC_AUX comes with either of the instructions that read it. */
static int tsc_aux_check(struct mkvm_vcpu *vcpu, const struct msr_access *a)
{
	if (!mkvm_caps.rdtscp)
		return -EINVAL;
	if (!a->host && !mkvm_guest_has(vcpu, X86_FEATURE_RDTSCP) &&
	    !mkvm_guest_has(vcpu, X86_FEATURE_RDPID))
		return -EINVAL;
	return 0;
}

static int tsc_aux_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	return tsc_aux_check(vcpu, a) ?: vendor_get(vcpu, a);
}

/* The upper half is reserved on Intel; AMD's CPUs do not look at it. */
static int tsc_aux_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	int r = tsc_aux_check(vcpu, a);

	if (r)
		return r;
	if (a->data >> 32 && mkvm_guest_is_intel(vcpu))
		return -EINVAL;
	a->data = (u32)a->data;
	return vendor_set(vcpu, a);
}

/* CPUID 1 EAX: family and extended family, of family 15h. */
#define FAMILY_MASK	0x0ff00f00
#define FAMILY_15H	0x00600f00

/* AMD family 15h, models 2 to 1fh: the instruction cache's ways. */
static int f15h_ic_cfg_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	const struct kvm_cpuid_entry2 *e = mkvm_find_cpuid(vcpu, 1, 0);
	unsigned int model;

	if (!e)
		return -ENOENT;
	model = (e->eax >> 4 & 0xf) | (e->eax >> 12 & 0xf0);
	a->data = (e->eax & FAMILY_MASK) == FAMILY_15H && model >= 0x2 && model < 0x20 ? 0x1e : 0;
	return 0;
}

/* --- What this machine can do ----------------------------------------------------------------- */

/*
 * Bits that hold for a guest because they hold for the CPU. Those that announce an MSR are left
 * out: SPEC_CTRL (IBRS_ALL), TSX_CTRL and others do not exist here.
 */
#define ARCH_CAP_OF_CPU	(ARCH_CAP_RDCL_NO | ARCH_CAP_RSBA | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO |	\
			 ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO |		\
			 ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | ARCH_CAP_RRSBA |		\
			 ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO |		\
			 ARCH_CAP_RFDS_CLEAR | ARCH_CAP_BHI_NO | ARCH_CAP_ITS_NO)

/* Weaknesses that the kernel knows better than an old CPU does itself. */
static const struct {
	unsigned int bug;
	u64 without;
} arch_cap_bugs[] = {
	{ X86_BUG_CPU_MELTDOWN, ARCH_CAP_RDCL_NO },
	{ X86_BUG_SPEC_STORE_BYPASS, ARCH_CAP_SSB_NO },
	{ X86_BUG_MDS, ARCH_CAP_MDS_NO },
	{ X86_BUG_GDS, ARCH_CAP_GDS_NO },
	{ X86_BUG_RFDS, ARCH_CAP_RFDS_NO },
	{ X86_BUG_ITS, ARCH_CAP_ITS_NO },
};

static u64 offered_arch_capabilities(void)
{
	unsigned int i;
	u64 data = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES)) {
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, data);
		data &= ARCH_CAP_OF_CPU;
	}
	for (i = 0; i < ARRAY_SIZE(arch_cap_bugs); i++)
		if (!boot_cpu_has_bug(arch_cap_bugs[i].bug))
			data |= arch_cap_bugs[i].without;
	/* As in KVM: without TSX the weakness shows in RTM alone. */
	if (!boot_cpu_has(X86_FEATURE_RTM))
		data &= ~(u64)ARCH_CAP_TAA_NO;
	else if (!boot_cpu_has_bug(X86_BUG_TAA))
		data |= ARCH_CAP_TAA_NO;
	/* It matters to hypervisors, and no guest can be one. */
	return data | ARCH_CAP_PSCHANGE_MC_NO;
}

static u64 offered_ucode_rev(void)
{
	u64 data;

	return rdmsrl_safe(MSR_IA32_UCODE_REV, &data) ? 0 : data;
}

static u64 offered_de_cfg(void)
{
	return boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? MSR_AMD64_DE_CFG_LFENCE_SERIALIZE : 0;
}

/* There is no performance monitor. */
static u64 offered_perf_capabilities(void)
{
	return 0;
}

/* The guest cannot make LFENCE serializing, or not: it can only say that it is so. */
static int de_cfg_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	u64 offered = offered_de_cfg();

	if (a->data & ~offered || (!a->host && a->data != offered))
		return -EINVAL;
	vcpu->arch.msr.de_cfg = a->data;
	return 0;
}

/* --- The table ----------------------------------------------------------------------------------- */

#define MSR(nr, ...)		{ .first = (nr), .last = (nr), __VA_ARGS__ }
#define MSRS(from, to, ...)	{ .first = (from), .last = (to), __VA_ARGS__ }

/* Columns; what is not said is 0: it cannot be read, or not be written. */
#define F(names)		.flags = (names)
#define NEEDS(name)		.feature = X86_FEATURE_##name
#define RESERVED(bits)		.reserved = (bits)
#define GET(fn)			.get = (fn)
#define SET(fn)			.set = (fn)
#define KEPT_READ(member)	.offset = offsetof(struct mkvm_vcpu_arch, member), .get = kept_get
#define KEPT(member)		KEPT_READ(member), .set = kept_set
#define READS(constant)		.value = (constant), .get = constant_get
#define IGNORES			.set = ignore_set
#define VENDOR			.get = vendor_get, .set = vendor_set
#define OFFERED(fn)		.offered = (fn)
#define REFUSED			.get = refuse, .set = refuse

#define ALL			(~0ull)

/* Ascending, not overlapping: it is searched by halving. */
static const struct msr_row msr_table[] = {
	MSRS(MSR_IA32_P5_MC_ADDR, MSR_IA32_P5_MC_TYPE, READS(0)),
	MSR(MSR_IA32_TSC, F(MSR_SAVE), GET(mkvm_tsc_get), SET(mkvm_tsc_set)),
	/* There is no paravirtual clock: userspace can say that it is off, as QEMU 7.2 does. */
	MSRS(MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, F(MSR_HOST_READ | MSR_HOST_WRITE),
	     RESERVED(ALL), READS(0), IGNORES),
	MSR(MSR_IA32_PLATFORM_ID, READS(0)),
	MSR(MSR_IA32_APICBASE, KEPT_READ(apic_base), SET(apic_base_set)),
	MSR(MSR_IA32_EBL_CR_POWERON, READS(0)),
	/* Pentium 4: bus at 100 MHz, ratio 1, so that nobody divides by zero. */
	MSR(MSR_EBC_FREQUENCY_ID, READS(1 << 24)),
	/* There is no SMM: it stays what userspace says. */
	MSR(MSR_SMI_COUNT, F(MSR_SAVE | MSR_HOST_WRITE), KEPT(msr.smi_count)),
	MSR(MSR_IA32_FEAT_CTL, F(MSR_SAVE | MSR_INTEL), RESERVED(~(u64)FEAT_CTL_LOCKED),
	    KEPT_READ(msr.feat_ctl), SET(feat_ctl_set)),
	MSR(MSR_IA32_TSC_ADJUST, F(MSR_SAVE), KEPT_READ(tsc_adjust), SET(mkvm_tsc_adjust_set)),
	MSR(MSR_IA32_UCODE_WRITE, IGNORES),
	MSR(MSR_IA32_UCODE_REV, F(MSR_SAVE), KEPT_READ(msr.bios_sign), SET(bios_sign_set),
	    OFFERED(offered_ucode_rev)),
	MSRS(MSR_P6_PERFCTR0, MSR_P6_PERFCTR1, READS(0), IGNORES),
	/* MSR_FSB_FREQ: bus at 166 MHz. */
	MSR(MSR_FSB_FREQ, READS(3)),
	MSR(MSR_PLATFORM_INFO, F(MSR_SAVE | MSR_HOST_WRITE), GET(platform_info_get),
	    SET(platform_info_set)),
	MSR(MSR_MTRRcap, READS(MKVM_MTRR_CAP)),
	MSR(MSR_IA32_ARCH_CAPABILITIES, F(MSR_SAVE | MSR_HOST_WRITE), NEEDS(ARCH_CAPABILITIES),
	    KEPT(msr.arch_capabilities), OFFERED(offered_arch_capabilities)),
	/* Second-level cache: 64 GB, 256 KB, enabled; what old Windows looks for. */
	MSR(MSR_IA32_BBL_CR_CTL3, READS(0xbe702111), IGNORES),
	MSR(MSR_MISC_FEATURES_ENABLES, F(MSR_SAVE), KEPT_READ(msr.misc_features),
	    RESERVED(~MSR_MISC_FEATURES_ENABLES_CPUID_FAULT), SET(misc_features_set)),
	MSR(MSR_IA32_SYSENTER_CS, F(MSR_SAVE), VENDOR),
	/* AMD keeps 32 bits of these; a state saved there must load here. */
	MSR(MSR_IA32_SYSENTER_ESP, F(MSR_SAVE | MSR_TRUNCATED), VENDOR),
	MSR(MSR_IA32_SYSENTER_EIP, F(MSR_SAVE | MSR_TRUNCATED), VENDOR),
	MSR(MSR_IA32_MCG_CAP, KEPT_READ(msr.mcg_cap)),
	MSR(MSR_IA32_MCG_STATUS, F(MSR_SAVE), KEPT(msr.mcg_status)),
	MSR(MSR_IA32_MCG_CTL, F(MSR_SAVE), GET(mkvm_mcg_ctl_get), SET(mkvm_mcg_ctl_set)),
	MSRS(MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1, READS(0), IGNORES),
	/* TSC ticks 1000 for each of the bus, at four times its rate. */
	MSR(MSR_IA32_PERF_STATUS, READS(1000 | 4ull << 40)),
	MSR(MSR_IA32_PERF_CTL, READS(0)),
	MSR(MSR_IA32_MISC_ENABLE, F(MSR_SAVE), KEPT_READ(msr.misc_enable), SET(misc_enable_set)),
	/* No AMX. */
	MSRS(MSR_IA32_XFD, MSR_IA32_XFD_ERR, NEEDS(XFD), RESERVED(ALL), READS(0), IGNORES),
	/* No bit of it is virtualized. */
	MSR(MSR_IA32_DEBUGCTLMSR, READS(0), SET(debugctl_set)),
	MSRS(MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP, READS(0)),
	MSR(MSR_IA32_POWER_CTL, F(MSR_SAVE), KEPT(msr.power_ctl)),
	MSRS(0x200, 0x200 + 2 * MKVM_NR_VAR_MTRR - 1, F(MSR_SAVE), GET(mkvm_mtrr_get),
	     SET(mkvm_mtrr_var_set)),
	MSR(MSR_MTRRfix64K_00000, F(MSR_SAVE), GET(mkvm_mtrr_get), SET(mkvm_mtrr_fixed_set)),
	MSRS(MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, F(MSR_SAVE), GET(mkvm_mtrr_get),
	     SET(mkvm_mtrr_fixed_set)),
	MSRS(MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_F8000, F(MSR_SAVE), GET(mkvm_mtrr_get),
	     SET(mkvm_mtrr_fixed_set)),
	MSR(MSR_IA32_CR_PAT, F(MSR_SAVE), GET(vendor_get), SET(mkvm_pat_set)),
	/* CMCI is missing: userspace can write 0. */
	MSRS(MSR_IA32_MC0_CTL2, MSR_IA32_MCx_CTL2(MKVM_MCE_BANKS) - 1,
	     F(MSR_HOST_READ | MSR_HOST_WRITE), RESERVED(ALL), GET(mkvm_mce_ctl2_get),
	     SET(mkvm_mce_ctl2_set)),
	/* The type; FE and E. */
	MSR(MSR_MTRRdefType, F(MSR_SAVE), RESERVED(~0xcffull), GET(mkvm_mtrr_get),
	    SET(mkvm_mtrr_deftype_set)),
	MSR(MSR_IA32_PERF_CAPABILITIES, F(MSR_SAVE | MSR_HOST_WRITE), NEEDS(PDCM), RESERVED(ALL),
	    READS(0), IGNORES, OFFERED(offered_perf_capabilities)),
	MSRS(MSR_IA32_MC0_CTL, MSR_IA32_MCx_CTL(MKVM_MCE_BANKS) - 1, GET(mkvm_mce_bank_get),
	     SET(mkvm_mce_bank_set)),
	/* The guest has it with FEAT_CTL's LMCE_ENABLED, which cannot be set. */
	MSR(MSR_IA32_MCG_EXT_CTL, F(MSR_SAVE | MSR_INTEL | MSR_HOST_READ | MSR_HOST_WRITE),
	    RESERVED(~MCG_EXT_CTL_LMCE_EN), KEPT(msr.mcg_ext_ctl)),
	/* Sandy Bridge's energy meters. */
	MSR(MSR_RAPL_POWER_UNIT, READS(0)),
	MSR(MSR_PKG_ENERGY_STATUS, READS(0)),
	MSR(MSR_DRAM_ENERGY_STATUS, READS(0)),
	MSR(MSR_PP0_ENERGY_STATUS, READS(0)),
	MSR(MSR_PP1_ENERGY_STATUS, READS(0)),
	/* The APIC is userspace's, which has no such mode. */
	MSR(MSR_IA32_TSC_DEADLINE, F(MSR_SAVE), READS(0), IGNORES),
	MSRS(APIC_BASE_MSR, APIC_BASE_MSR + 0xff, REFUSED),
	MSR(MSR_IA32_XSS, NEEDS(XSAVES), RESERVED(ALL), READS(0), IGNORES),
	MSR(MSR_EFER, KEPT_READ(efer), SET(efer_set)),
	MSR(MSR_STAR, F(MSR_SAVE), VENDOR),
	MSR(MSR_LSTAR, F(MSR_SAVE | MSR_CANONICAL), VENDOR),
	MSR(MSR_CSTAR, F(MSR_SAVE | MSR_CANONICAL), VENDOR),
	MSR(MSR_SYSCALL_MASK, F(MSR_SAVE), VENDOR),
	MSR(MSR_FS_BASE, F(MSR_CANONICAL), VENDOR),
	MSR(MSR_GS_BASE, F(MSR_CANONICAL), VENDOR),
	MSR(MSR_KERNEL_GS_BASE, F(MSR_SAVE | MSR_CANONICAL), VENDOR),
	MSR(MSR_TSC_AUX, F(MSR_SAVE), GET(tsc_aux_get), SET(tsc_aux_set)),
	MSRS(MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, READS(0), IGNORES),
	MSR(MSR_AMD64_SYSCFG, READS(0)),
	MSR(MSR_K7_HWCR, F(MSR_SAVE), KEPT_READ(msr.hwcr), SET(mkvm_hwcr_set)),
	/* K7's ramp-up count. */
	MSR(MSR_K7_CLK_CTL, READS(0x20000000), IGNORES),
	MSR(MSR_AMD64_NB_CFG, READS(0), IGNORES),
	MSR(MSR_AMD64_PATCH_LOADER, IGNORES),
	MSR(MSR_K8_INT_PENDING_MSG, READS(0)),
	MSR(MSR_FAM10H_MMIO_CONF_BASE, RESERVED(ALL), READS(0), IGNORES),
	MSRS(MSR_K8_TSEG_ADDR, MSR_K8_TSEG_MASK, READS(0)),
	MSR(MSR_VM_HSAVE_PA, READS(0), IGNORES),
	MSR(MSR_AMD64_OSVW_ID_LENGTH, F(MSR_STRICT), NEEDS(OSVW), KEPT(msr.osvw_length)),
	MSR(MSR_AMD64_OSVW_STATUS, F(MSR_STRICT), NEEDS(OSVW), KEPT(msr.osvw_status)),
	MSR(MSR_F15H_IC_CFG, F(MSR_AMD), GET(f15h_ic_cfg_get)),
	MSR(MSR_AMD64_DC_CFG, READS(0), IGNORES),
	MSR(MSR_AMD64_TW_CFG, READS(0), IGNORES),
	MSR(MSR_AMD64_DE_CFG, F(MSR_AMD), KEPT_READ(msr.de_cfg), SET(de_cfg_set),
	    OFFERED(offered_de_cfg)),
	MSR(MSR_AMD64_BU_CFG2, READS(0), IGNORES),
	MSR(MSR_F15H_EX_CFG, READS(0), IGNORES),
};

#undef F

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

/** mkvm_msr_rows() - the table, for lists of MSRs
 * @nr: its length */
const struct msr_row *mkvm_msr_rows(unsigned int *nr)
{
	*nr = ARRAY_SIZE(msr_table);
	return msr_table;
}

/** mkvm_msr_exists() - on this machine?
 * @row: the MSR */
bool mkvm_msr_exists(const struct msr_row *row)
{
	if (row->first == MSR_TSC_AUX && !mkvm_caps.rdtscp)
		return false;
	return !(row->flags & (mkvm_caps.amd ? MSR_INTEL : MSR_AMD));
}

/**
 * mkvm_get_msr_feature() - what this machine offers in a feature MSR
 * @msr: index
 * @data: result
 * Return: 0; ENOENT: it is no feature MSR.
 */
int mkvm_get_msr_feature(u32 msr, u64 *data)
{
	const struct msr_row *row = msr_find(msr);

	if (!row || !row->offered || !mkvm_msr_exists(row))
		return -ENOENT;
	*data = row->offered();
	return 0;
}

/* --- One access ---------------------------------------------------------------------------------- */

static u64 msr_make_canonical(struct mkvm_vcpu *vcpu, u64 address)
{
	unsigned int shift = vcpu->arch.cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (s64)(address << shift) >> shift;
}

/* Most rows have none of these, and no feature either. */
#define MSR_RESTRICTED	(MSR_INTEL | MSR_AMD | MSR_HOST_READ | MSR_HOST_WRITE)

/* May whoever asks use the MSR at all? @host_only: the flag that keeps the guest away. */
static int msr_check(struct mkvm_vcpu *vcpu, const struct msr_row *row, bool host, u16 host_only)
{
	if (likely(!((row->flags & MSR_RESTRICTED) | row->feature)))
		return 0;
	if (row->flags & (MSR_INTEL | MSR_AMD) && !mkvm_msr_exists(row))
		return -ENOENT;
	if (!host && row->flags & host_only)
		return -EINVAL;
	if (row->feature && (!host || row->flags & MSR_STRICT) &&
	    !mkvm_guest_has(vcpu, row->feature))
		return -EINVAL;
	return 0;
}

/**
 * mkvm_get_msr() - read an MSR of the vCPU
 * @vcpu: the vCPU, loaded
 * @msr: index
 * @data: result
 * @host: userspace asks, not the guest
 * Context: also with interrupts off.
 * Return: 0; ENOENT: it does not exist; EINVAL: it cannot be read now, or by the guest.
 */
int mkvm_get_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	struct msr_access a = { .row = msr_find(msr), .index = msr, .host = host };
	int r;

	if (!a.row || !a.row->get)
		return -ENOENT;
	r = msr_check(vcpu, a.row, host, MSR_HOST_READ) ?: a.row->get(vcpu, &a);
	if (!r)
		*data = a.data;
	return r;
}

/**
 * mkvm_set_msr() - write an MSR of the vCPU
 * @vcpu: the vCPU, loaded
 * @msr: index
 * @data: value
 * @host: userspace asks, not the guest
 * Context: also with interrupts off.
 * Return: 0; ENOENT: it does not exist, or is read-only; EINVAL: it cannot have the value, or not
 * from the guest.
 */
int mkvm_set_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	struct msr_access a = { .row = msr_find(msr), .index = msr, .host = host, .data = data };
	int r;

	if (!a.row || !a.row->set)
		return -ENOENT;
	r = msr_check(vcpu, a.row, host, MSR_HOST_WRITE);
	if (r)
		return r;
	if (data & a.row->reserved)
		return -EINVAL;
	if (host && a.row->flags & MSR_TRUNCATED)
		a.data = msr_make_canonical(vcpu, data);
	if (a.row->flags & (MSR_CANONICAL | MSR_TRUNCATED) &&
	    msr_make_canonical(vcpu, a.data) != a.data)
		return -EINVAL;
	return a.row->set(vcpu, &a);
}

/* --- Power-up -------------------------------------------------------------------------------------- */

/*
 * AMD's list of errata: those from 3 on are what the host's CPU says; 0 has been seen, 1 and 2 do
 * not show in a guest, since HLT and port I/O exit.
 */
static void osvw_reset(struct mkvm_msrs *msr)
{
	u64 length = 0, status = 0;

	if (boot_cpu_has(X86_FEATURE_OSVW) &&
	    (rdmsrl_safe(MSR_AMD64_OSVW_ID_LENGTH, &length) ||
	     rdmsrl_safe(MSR_AMD64_OSVW_STATUS, &status)))
		length = 0;
	if (length < 64)
		status &= BIT_ULL(length) - 1;
	msr->osvw_length = max_t(u64, length, 3);
	msr->osvw_status = status & ~6ull;
	/* Nobody has said anything about 0: family 10h has it. */
	if (!length && boot_cpu_data.x86 == 0x10)
		msr->osvw_status |= 1;
}

/** mkvm_msr_reset() - values after power-up
 * @vcpu: the vCPU, being created */
void mkvm_msr_reset(struct mkvm_vcpu *vcpu)
{
	struct mkvm_msrs *msr = &vcpu->arch.msr;

	memset(msr, 0, sizeof(*msr));
	/* What KVM shows: some guests look for a revision that is not 0. */
	msr->bios_sign = mkvm_caps.amd ? 0x01000065 : 0x100000000ULL;
	msr->misc_enable = MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL;
	msr->platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
	msr->arch_capabilities = offered_arch_capabilities();
	msr->mcg_cap = MKVM_MCE_BANKS;
	osvw_reset(msr);
	memset(&vcpu->arch.mtrr, 0, sizeof(vcpu->arch.mtrr));
	mkvm_tsc_reset(vcpu);
}

/* --- The instructions ------------------------------------------------------------------------------ */

/* Without a filter it costs one test. */
static int msr_filtered(struct mkvm_vcpu *vcpu, u32 msr, u32 type)
{
	if (likely(!rcu_access_pointer(vcpu->vm->arch.msr_filter)))
		return 0;
	return mkvm_msr_allowed(vcpu, msr, type) ? 0 : -EPERM;
}

static u32 msr_reason(int err)
{
	switch (err) {
	case -ENOENT:
		return KVM_MSR_EXIT_REASON_UNKNOWN;
	case -EPERM:
		return KVM_MSR_EXIT_REASON_FILTER;
	default:
		return KVM_MSR_EXIT_REASON_INVAL;
	}
}

/* Userspace has made the access, or refuses it. */
static mkvm_run_t msr_complete(struct mkvm_vcpu *vcpu, bool read)
{
	const struct kvm_run *run = vcpu->run;
	u64 data;

	/* Put elsewhere meanwhile (a reset, say)? */
	if (mkvm_rip(vcpu) != vcpu->arch.msr_exit_rip)
		return MKVM_RUN_GUEST;
	if (READ_ONCE(run->msr.error))
		return mkvm_inject_gp(vcpu);
	if (read) {
		data = READ_ONCE(run->msr.data);
		vcpu->arch.regs[MKVM_REG_RAX] = (u32)data;
		vcpu->arch.regs[MKVM_REG_RDX] = data >> 32;
	}
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

static mkvm_run_t msr_complete_read(struct mkvm_vcpu *vcpu)
{
	return msr_complete(vcpu, true);
}

static mkvm_run_t msr_complete_write(struct mkvm_vcpu *vcpu)
{
	return msr_complete(vcpu, false);
}

/* #GP, unless userspace wants to know (KVM_CAP_X86_USER_SPACE_MSR). */
static noinline mkvm_run_t msr_failed(struct mkvm_vcpu *vcpu, bool read, u32 msr, u64 data, int err)
{
	struct kvm_run *run = vcpu->run;
	u32 reason = msr_reason(err);

	if (!(READ_ONCE(vcpu->vm->arch.user_space_msr) & reason))
		return mkvm_inject_gp(vcpu);

	run->exit_reason = read ? KVM_EXIT_X86_RDMSR : KVM_EXIT_X86_WRMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = msr;
	run->msr.data = data;
	vcpu->arch.msr_exit_rip = mkvm_rip(vcpu);
	vcpu->arch.complete = read ? msr_complete_read : msr_complete_write;
	return MKVM_RUN_USER;
}

/**
 * mkvm_handle_rdmsr() - RDMSR; its exit comes after the check of the CPL
 * @vcpu: the vCPU
 * Context: also with interrupts off.
 */
mkvm_run_t mkvm_handle_rdmsr(struct mkvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;
	u32 msr = regs[MKVM_REG_RCX];
	u64 data;
	int r;

	r = msr_filtered(vcpu, msr, KVM_MSR_FILTER_READ) ?: mkvm_get_msr(vcpu, msr, &data, false);
	if (unlikely(r))
		return msr_failed(vcpu, true, msr, 0, r);
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
	u32 msr = regs[MKVM_REG_RCX];
	int r;

	r = msr_filtered(vcpu, msr, KVM_MSR_FILTER_WRITE) ?: mkvm_set_msr(vcpu, msr, data, false);
	if (unlikely(r))
		return msr_failed(vcpu, false, msr, data, r);
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}
