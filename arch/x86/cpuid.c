// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: what a guest may be shown (KVM_GET_SUPPORTED_CPUID), what userspace chose
 * for a vCPU (KVM_SET_CPUID2), and the instruction.
 *
 * A feature is supported when its bit is in the table below, the host kernel uses it, and
 * the backend can give it to a guest. Nothing is passed through by default.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpuid.h>
#include <asm/tlbflush.h>
#include <uapi/asm/kvm_para.h>

#include "x86.h"

/* As in KVM: the most entries that either ioctl takes. */
#define MKVM_MAX_CPUID		256
#define MKVM_HV_LEAF		KVM_CPUID_SIGNATURE
#define F(name)			BIT(X86_FEATURE_##name & 31)

/*
 * The state components that the kernel's FPU code switches for us, and PKRU (switch.h). MPX and
 * AMX have MSRs of their own and would need more.
 */
#define MKVM_XCR0	(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512 |	\
			 XFEATURE_MASK_PKRU)

/* What minikvm virtualizes, by word of the kernel's feature table. */
static u32 mkvm_features[NCAPINTS] = {
	[CPUID_1_EDX] =
		F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) |
		F(CX8) | F(APIC) | F(SEP) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | F(PAT) | F(PSE36) |
		F(CLFLUSH) | F(MMX) | F(FXSR) | F(XMM) | F(XMM2),
	[CPUID_1_ECX] =
		F(XMM3) | F(PCLMULQDQ) | F(SSSE3) | F(FMA) | F(CX16) | F(PCID) |
		F(XMM4_1) | F(XMM4_2) | F(MOVBE) | F(POPCNT) | F(AES) | F(XSAVE) |
		F(AVX) | F(F16C) | F(RDRAND),
	[CPUID_7_0_EBX] =
		F(FSGSBASE) | F(TSC_ADJUST) | F(BMI1) | F(AVX2) | F(SMEP) | F(BMI2) |
		F(ERMS) | F(INVPCID) | F(AVX512F) | F(AVX512DQ) | F(RDSEED) | F(ADX) |
		F(SMAP) | F(AVX512IFMA) | F(CLFLUSHOPT) | F(CLWB) | F(AVX512CD) |
		F(SHA_NI) | F(AVX512BW) | F(AVX512VL),
	[CPUID_7_ECX] =
		F(AVX512VBMI) | F(UMIP) | F(AVX512_VBMI2) | F(GFNI) | F(VAES) |
		F(VPCLMULQDQ) | F(AVX512_VNNI) | F(AVX512_BITALG) | F(AVX512_VPOPCNTDQ) |
		F(LA57) | F(RDPID) | F(PKU),
	[CPUID_7_EDX] = F(FSRM),
	[CPUID_D_1_EAX] = F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1),
	[CPUID_8000_0001_EDX] =
		F(SYSCALL) | F(NX) | F(GBPAGES) | F(RDTSCP) | F(LM),
	[CPUID_8000_0001_ECX] = F(LAHF_LM) | F(ABM) | F(3DNOWPREFETCH) | F(OSVW),
};

/*
 * Bits of leaf 0x80000001 EDX that AMD repeats from leaf 1 are not in the kernel's
 * table. Guests on AMD expect them.
 */
#define MKVM_AMD_EDX_ALIASES	0x0183f3ffu

/* The legacy region and the header: what is always in an XSAVE area. */
#define MKVM_XSAVE_MIN_SIZE	(512 + 64)

/* The state components that guests may use on this machine. */
u64 mkvm_supported_xcr0 __ro_after_init;
/* Where each state component ends in an XSAVE area; CPUID 0xd, a slow instruction. */
static u32 mkvm_xsave_end[20] __ro_after_init;

static u32 mkvm_feature_word(enum cpuid_leafs word)
{
	return mkvm_features[word];
}

static u32 __init cpuid_xsave_end(unsigned int component)
{
	u32 eax, ebx, ecx, edx;

	cpuid_count(0xd, component, &eax, &ebx, &ecx, &edx);
	return eax + ebx;
}

/** mkvm_cpuid_init() - once, after the backend's setup: cut the table to this machine */
void __init mkvm_cpuid_init(void)
{
	unsigned int i;

	mkvm_caps.host_xcr0 = mkvm_host_xcr0();
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, mkvm_caps.host_xss);
	mkvm_supported_xcr0 = mkvm_caps.host_xcr0 & MKVM_XCR0;
	for (i = 2; i < ARRAY_SIZE(mkvm_xsave_end); i++)
		if (mkvm_supported_xcr0 & BIT_ULL(i))
			mkvm_xsave_end[i] = cpuid_xsave_end(i);

	for (i = 0; i < ARRAY_SIZE(mkvm_features); i++)
		mkvm_features[i] &= boot_cpu_data.x86_capability[i];
	/* MSRs that need nothing of the CPU. */
	mkvm_features[CPUID_7_0_EBX] |= F(TSC_ADJUST);
	mkvm_features[CPUID_7_EDX] |= F(ARCH_CAPABILITIES);

	/* PKRU is read and written by instructions that need the host's own CR4.PKE. */
	mkvm_caps.pku = boot_cpu_has(X86_FEATURE_OSPKE);
	if (!mkvm_caps.pku) {
		mkvm_features[CPUID_7_ECX] &= ~F(PKU);
		mkvm_supported_xcr0 &= ~(u64)XFEATURE_MASK_PKRU;
	}
	/* Loaded by MSRs or controls that the backend must have. */
	if (!mkvm_caps.rdtscp)
		mkvm_features[CPUID_8000_0001_EDX] &= ~F(RDTSCP);
	if (!mkvm_caps.rdtscp)
		mkvm_features[CPUID_7_ECX] &= ~F(RDPID);
	if (!mkvm_caps.invpcid)
		mkvm_features[CPUID_7_0_EBX] &= ~F(INVPCID);
	/* The host's kernel may have given up LA57 or UMIP although the CPU has them. */
	if (!(cr4_read_shadow() & X86_CR4_LA57))
		mkvm_features[CPUID_7_ECX] &= ~F(LA57);
}

/* --- KVM_GET_SUPPORTED_CPUID -------------------------------------------------------- */

/**
 * struct cpuid_list - entries being collected
 * @entries: array of @max
 * @nent: entries so far
 * @max: room
 * @overflow: there were more
 * @scrap: where they were written, so that nobody else needs to check
 */
struct cpuid_list {
	struct kvm_cpuid_entry2 *entries;
	unsigned int nent;
	unsigned int max;
	bool overflow;
	struct kvm_cpuid_entry2 scrap;
};

/* A new entry: of the host's leaf if @host, else of zeroes. */
static struct kvm_cpuid_entry2 *cpuid_add(struct cpuid_list *list, u32 function, u32 index,
					  u32 flags, bool host)
{
	struct kvm_cpuid_entry2 *e;

	if (list->nent == list->max) {
		list->overflow = true;
		e = &list->scrap;
	} else {
		e = &list->entries[list->nent++];
	}
	memset(e, 0, sizeof(*e));
	e->function = function;
	e->index = index;
	e->flags = flags;
	if (host)
		cpuid_count(function, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	return e;
}

#define INDEXED		KVM_CPUID_FLAG_SIGNIFCANT_INDEX
#define MKVM_MAX_BASIC	0xd

static void cpuid_add_cache_leaf(struct cpuid_list *list)
{
	u32 i;

	/* Deterministic cache parameters end with a subleaf of type 0. */
	for (i = 0; i < 32; i++) {
		struct kvm_cpuid_entry2 *e = cpuid_add(list, 4, i, INDEXED, true);

		/* Bits 31:14 say how CPUs share it; the topology is userspace's. */
		if (!(e->eax & 0x1f))
			break;
		e->eax &= 0x3ff;
	}
}

static void cpuid_add_xsave_leaf(struct cpuid_list *list)
{
	struct kvm_cpuid_entry2 *e, *main = cpuid_add(list, 0xd, 0, INDEXED, false);
	u32 size = MKVM_XSAVE_MIN_SIZE;
	unsigned int i;

	if (!(mkvm_feature_word(CPUID_1_ECX) & F(XSAVE)))
		return;

	e = cpuid_add(list, 0xd, 1, INDEXED, false);
	e->eax = mkvm_feature_word(CPUID_D_1_EAX);

	for (i = 2; i < 63; i++) {
		if (!(mkvm_supported_xcr0 & BIT_ULL(i)))
			continue;
		e = cpuid_add(list, 0xd, i, INDEXED, true);
		size = max(size, e->eax + e->ebx);
		e->edx = 0;
	}

	main->eax = mkvm_supported_xcr0;
	main->edx = mkvm_supported_xcr0 >> 32;
	main->ecx = size;
	/* For the XCR0 of reset; follows the vCPU's XCR0 once it is set. */
	main->ebx = MKVM_XSAVE_MIN_SIZE;
}

static void cpuid_add_basic(struct cpuid_list *list, u32 function)
{
	struct kvm_cpuid_entry2 *e;

	switch (function) {
	case 0:
		e = cpuid_add(list, 0, 0, 0, true);
		e->eax = min_t(u32, e->eax, MKVM_MAX_BASIC);
		break;
	case 1:
		e = cpuid_add(list, 1, 0, 0, true);
		/* CLFLUSH line size alone; APIC ID and count are userspace's. */
		e->ebx &= 0xff00;
		e->ecx = mkvm_feature_word(CPUID_1_ECX) | F(HYPERVISOR);
		e->edx = mkvm_feature_word(CPUID_1_EDX);
		break;
	case 2:
		cpuid_add(list, 2, 0, 0, true);
		break;
	case 4:
		cpuid_add_cache_leaf(list);
		break;
	case 6:
		/* ARAT: the guest's timers do not stop in its idle states. */
		cpuid_add(list, 6, 0, 0, false)->eax = BIT(2);
		break;
	case 7:
		e = cpuid_add(list, 7, 0, INDEXED, false);
		e->ebx = mkvm_feature_word(CPUID_7_0_EBX);
		e->ecx = mkvm_feature_word(CPUID_7_ECX);
		e->edx = mkvm_feature_word(CPUID_7_EDX);
		break;
	case 0xb:
		cpuid_add(list, 0xb, 0, INDEXED, false);
		break;
	case 0xd:
		cpuid_add_xsave_leaf(list);
		break;
	default:
		/* Thermal, performance counters ...: nothing of it exists. */
		cpuid_add(list, function, 0, 0, false);
	}
}

static void cpuid_add_hypervisor(struct cpuid_list *list)
{
	static const u32 signature[3] = {
		/* "KVMKVMKVM": the hypercall ABI is KVM's. */
		0x4b4d564b, 0x564b4d56, 0x0000004d,
	};
	struct kvm_cpuid_entry2 *e = cpuid_add(list, MKVM_HV_LEAF, 0, 0, false);

	e->eax = KVM_CPUID_FEATURES;
	e->ebx = signature[0];
	e->ecx = signature[1];
	e->edx = signature[2];
	/* No paravirtual feature yet. */
	cpuid_add(list, KVM_CPUID_FEATURES, 0, 0, false);
}

static void cpuid_add_extended(struct cpuid_list *list, u32 function)
{
	struct kvm_cpuid_entry2 *e;

	switch (function) {
	case 0x80000000:
		e = cpuid_add(list, function, 0, 0, true);
		e->eax = min_t(u32, e->eax, 0x80000008);
		break;
	case 0x80000001:
		e = cpuid_add(list, function, 0, 0, true);
		e->ebx = 0;
		e->ecx = mkvm_feature_word(CPUID_8000_0001_ECX);
		e->edx = mkvm_feature_word(CPUID_8000_0001_EDX);
		if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL)
			e->edx |= mkvm_feature_word(CPUID_1_EDX) & MKVM_AMD_EDX_ALIASES;
		break;
	case 0x80000002 ... 0x80000006:
		/* The brand string, caches. */
		cpuid_add(list, function, 0, 0, true);
		break;
	case 0x80000007:
		/* Invariant TSC only: the guest's is the host's with an offset. */
		e = cpuid_add(list, function, 0, 0, false);
		if (boot_cpu_has(X86_FEATURE_CONSTANT_TSC) && boot_cpu_has(X86_FEATURE_NONSTOP_TSC))
			e->edx = BIT(8);
		break;
	case 0x80000008:
		/* Address widths; the guest's physical ones are those of the tables. */
		e = cpuid_add(list, function, 0, 0, true);
		e->eax = (e->eax & 0xff00) | min_t(u32, e->eax & 0xff, ilog2(mkvm_arch_max_gfn()) +
						   PAGE_SHIFT);
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
		break;
	default:
		cpuid_add(list, function, 0, 0, false);
	}
}

static void cpuid_collect(struct cpuid_list *list)
{
	u32 function, max;

	max = min_t(u32, cpuid_eax(0), MKVM_MAX_BASIC);
	for (function = 0; function <= max; function++)
		cpuid_add_basic(list, function);
	cpuid_add_hypervisor(list);
	max = min_t(u32, cpuid_eax(0x80000000), 0x80000008);
	for (function = 0x80000000; function <= max; function++)
		cpuid_add_extended(list, function);
}

/**
 * mkvm_get_supported_cpuid() - KVM_GET_SUPPORTED_CPUID
 * @arg: header with the number of entries there is room for, then the entries
 *
 * Return: 0 with nent set to what was written; E2BIG when there is not enough room; EFAULT;
 * ENOMEM.
 */
int mkvm_get_supported_cpuid(struct kvm_cpuid2 __user *arg)
{
	struct cpuid_list list = {};
	struct kvm_cpuid2 head;
	int r = -E2BIG;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (!head.nent)
		return -E2BIG;

	list.max = min_t(u32, head.nent, MKVM_MAX_CPUID);
	list.entries = kcalloc(list.max, sizeof(*list.entries), GFP_KERNEL_ACCOUNT);
	if (!list.entries)
		return -ENOMEM;

	cpuid_collect(&list);
	if (list.overflow)
		goto out;

	r = -EFAULT;
	if (copy_to_user(arg->entries, list.entries, list.nent * sizeof(*list.entries)))
		goto out;
	head.nent = list.nent;
	if (copy_to_user(arg, &head, sizeof(head)))
		goto out;
	r = 0;
out:
	kfree(list.entries);
	return r;
}

/**
 * mkvm_get_emulated_cpuid() - KVM_GET_EMULATED_CPUID: what a guest may be shown although the CPU
 * lacks it, because it is emulated
 * @arg: header with the number of entries there is room for, then the entries, with zero padding
 *
 * No instruction that the CPU lacks is emulated: KVM's leaves, without a feature in them.
 *
 * Return: 0 with nent set to what was written; EINVAL: padding that is not 0, or not to be read;
 * E2BIG, EFAULT.
 */
int mkvm_get_emulated_cpuid(struct kvm_cpuid2 __user *arg)
{
	static const struct kvm_cpuid_entry2 entries[] = {
		{ .function = 0, .eax = 7 },
		{ .function = 1 },
		{ .function = 7, .flags = INDEXED },
	};
	struct kvm_cpuid2 head;
	u32 pad[3];
	u32 i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (!head.nent)
		return -E2BIG;

	head.nent = min_t(u32, head.nent, MKVM_MAX_CPUID);
	for (i = 0; i < head.nent; i++)
		if (copy_from_user(pad, arg->entries[i].padding, sizeof(pad)) ||
		    memchr_inv(pad, 0, sizeof(pad)))
			return -EINVAL;
	/* As in KVM, where room is left over although nothing follows. */
	if (head.nent <= ARRAY_SIZE(entries))
		return -E2BIG;

	head.nent = ARRAY_SIZE(entries);
	if (copy_to_user(arg->entries, entries, sizeof(entries)) ||
	    copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	return 0;
}

/* --- KVM_SET_CPUID, KVM_SET_CPUID2, KVM_GET_CPUID2 ---------------------------------------- */

static struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid_entry2 *entries, unsigned int nent,
					   u32 function, u32 index)
{
	unsigned int i;

	for (i = 0; i < nent; i++) {
		struct kvm_cpuid_entry2 *e = &entries[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

/**
 * mkvm_find_cpuid() - the vCPU's entry for a leaf
 * @vcpu: the vCPU
 * @function: EAX
 * @index: ECX; counts only for entries that say so
 * Return: the entry or NULL.
 */
const struct kvm_cpuid_entry2 *mkvm_find_cpuid(struct mkvm_vcpu *vcpu, u32 function,
					       u32 index)
{
	return cpuid_find(vcpu->arch.cpuid, vcpu->arch.cpuid_nent, function, index);
}

/* Where the kernel's feature words stand in CPUID: those that somebody asks about. */
static const struct {
	u32 function;
	u32 index;
	u32 reg;
} cpuid_words[] = {
#define WORD(word, function, index, reg)	\
	[word] = { function, index, offsetof(struct kvm_cpuid_entry2, reg) }
	WORD(CPUID_1_EDX, 1, 0, edx),
	WORD(CPUID_1_ECX, 1, 0, ecx),
	WORD(CPUID_7_0_EBX, 7, 0, ebx),
	WORD(CPUID_7_ECX, 7, 0, ecx),
	WORD(CPUID_7_EDX, 7, 0, edx),
	WORD(CPUID_D_1_EAX, 0xd, 1, eax),
	WORD(CPUID_8000_0001_EDX, 0x80000001, 0, edx),
	WORD(CPUID_8000_0001_ECX, 0x80000001, 0, ecx),
#undef WORD
};

/**
 * mkvm_guest_has() - does the vCPU's CPUID show a feature?
 * @vcpu: the vCPU
 * @feature: X86_FEATURE_*, of a word in cpuid_words[]
 * Context: also with interrupts off.
 */
bool mkvm_guest_has(struct mkvm_vcpu *vcpu, unsigned int feature)
{
	unsigned int word = feature / 32;
	const struct kvm_cpuid_entry2 *e;

	if (WARN_ON_ONCE(word >= ARRAY_SIZE(cpuid_words) || !cpuid_words[word].function))
		return false;
	e = mkvm_find_cpuid(vcpu, cpuid_words[word].function, cpuid_words[word].index);
	return e && *(const u32 *)((const char *)e + cpuid_words[word].reg) & BIT(feature & 31);
}

/* The vendor's name starts, in EBX of leaf 0, with these four letters. */
static bool cpuid_vendor_is(struct mkvm_vcpu *vcpu, u32 start)
{
	const struct kvm_cpuid_entry2 *e = mkvm_find_cpuid(vcpu, 0, 0);

	return e && e->ebx == start;
}

/** mkvm_guest_is_intel() - is the vCPU an Intel CPU, says its CPUID?
 * @vcpu: the vCPU */
bool mkvm_guest_is_intel(struct mkvm_vcpu *vcpu)
{
	return cpuid_vendor_is(vcpu, 0x756e6547 /* "Genu" */);
}

/** mkvm_guest_is_amd() - is the vCPU a CPU of AMD or Hygon, says its CPUID?
 * @vcpu: the vCPU */
bool mkvm_guest_is_amd(struct mkvm_vcpu *vcpu)
{
	return cpuid_vendor_is(vcpu, 0x68747541 /* "Auth" */) ||
	       cpuid_vendor_is(vcpu, 0x6f677948 /* "Hygo" */);
}

static void cpuid_set_bit(u32 *reg, u32 bit, bool on)
{
	*reg = on ? *reg | bit : *reg & ~bit;
}

/** mkvm_xsave_size() - size of an XSAVE area in the standard format
 * @xcr0: the state components in it */
u32 mkvm_xsave_size(u64 xcr0)
{
	u32 size = MKVM_XSAVE_MIN_SIZE;
	unsigned int i;

	for (i = 2; i < ARRAY_SIZE(mkvm_xsave_end); i++)
		if (xcr0 & BIT_ULL(i))
			size = max(size, mkvm_xsave_end[i]);
	return size;
}

/* The bits that mirror other registers of the vCPU. */
static void cpuid_update(struct mkvm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries,
			 unsigned int nent)
{
	struct kvm_cpuid_entry2 *e;

	e = cpuid_find(entries, nent, 1, 0);
	if (e) {
		cpuid_set_bit(&e->ecx, F(OSXSAVE), vcpu->arch.cr4 & X86_CR4_OSXSAVE);
		cpuid_set_bit(&e->edx, F(APIC),
			      vcpu->arch.apic_base & MSR_IA32_APICBASE_ENABLE);
		if (!mkvm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
			cpuid_set_bit(&e->ecx, F(MWAIT),
				      vcpu->arch.msr.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT);
	}
	e = cpuid_find(entries, nent, 7, 0);
	if (e)
		cpuid_set_bit(&e->ecx, F(OSPKE), vcpu->arch.cr4 & X86_CR4_PKE);
	e = cpuid_find(entries, nent, 0xd, 0);
	if (e)
		e->ebx = mkvm_xsave_size(vcpu->arch.xcr0);
}

/**
 * mkvm_cpuid_update() - bring the bits that mirror other registers up to date
 * @vcpu: the vCPU; its CR4, XCR0, APIC base or IA32_MISC_ENABLE has changed
 */
void mkvm_cpuid_update(struct mkvm_vcpu *vcpu)
{
	cpuid_update(vcpu, vcpu->arch.cpuid, vcpu->arch.cpuid_nent);
}

/* CR4 bits that every vCPU may set, whatever its CPUID says: as in KVM. */
#define MKVM_CR4_ALWAYS	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE |		\
			 X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE |	\
			 X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

/*
 * The features of a word that minikvm has and the vCPU's CPUID, too. A vCPU that never got any is not
 * restricted, as in KVM.
 */
static u32 cpuid_permitted(struct mkvm_vcpu *vcpu, u32 function, enum cpuid_leafs word)
{
	const struct kvm_cpuid_entry2 *e = mkvm_find_cpuid(vcpu, function, 0);
	u32 ours = mkvm_feature_word(word);

	if (!vcpu->arch.cpuid)
		return ours;
	if (!e)
		return 0;
	return ours & (word == CPUID_7_0_EBX ? e->ebx : e->ecx);
}

/**
 * mkvm_cpuid_apply() - which control-register bits the vCPU has
 * @vcpu: the vCPU
 *
 * The newer ones need its CPUID, and minikvm's support too: userspace may have invented
 * a bit.
 */
void mkvm_cpuid_apply(struct mkvm_vcpu *vcpu)
{
	struct mkvm_vcpu_arch *arch = &vcpu->arch;
	const struct kvm_cpuid_entry2 *e;
	u32 word;

	arch->cr4_allowed = MKVM_CR4_ALWAYS;
	word = cpuid_permitted(vcpu, 1, CPUID_1_ECX);
	if (word & F(PCID))
		arch->cr4_allowed |= X86_CR4_PCIDE;
	if (word & F(XSAVE))
		arch->cr4_allowed |= X86_CR4_OSXSAVE;

	word = cpuid_permitted(vcpu, 7, CPUID_7_0_EBX);
	if (word & F(FSGSBASE))
		arch->cr4_allowed |= X86_CR4_FSGSBASE;
	if (word & F(SMEP))
		arch->cr4_allowed |= X86_CR4_SMEP;
	if (word & F(SMAP))
		arch->cr4_allowed |= X86_CR4_SMAP;
	word = cpuid_permitted(vcpu, 7, CPUID_7_ECX);
	if (word & F(UMIP))
		arch->cr4_allowed |= X86_CR4_UMIP;
	if (word & F(LA57))
		arch->cr4_allowed |= X86_CR4_LA57;
	if (word & F(PKU))
		arch->cr4_allowed |= X86_CR4_PKE;

	e = mkvm_find_cpuid(vcpu, 0x80000001, 0);
	word = e ? e->edx : 0;
	arch->efer_allowed = EFER_SCE;
	if (word & F(LM))
		arch->efer_allowed |= EFER_LME;
	if (word & F(NX))
		arch->efer_allowed |= EFER_NX;

	e = mkvm_find_cpuid(vcpu, 0xd, 0);
	arch->xcr0_allowed = e ? (e->eax | (u64)e->edx << 32) & mkvm_supported_xcr0 : 0;

	/* 36 bits is what a CPU without the leaf has; KVM's default too. */
	e = mkvm_find_cpuid(vcpu, 0x80000008, 0);
	arch->maxphyaddr = e && (e->eax & 0xff) ? clamp_t(u32, e->eax & 0xff, 32, 52) : 36;
}

/* The linear-address width, if given, is one that exists. */
static bool cpuid_valid(struct kvm_cpuid_entry2 *entries, unsigned int nent)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(entries, nent, 0x80000008, 0);
	unsigned int width = e ? (e->eax >> 8) & 0xff : 0;

	return !width || width == 48 || width == 57;
}

static bool cpuid_same(const struct kvm_cpuid_entry2 *a, const struct kvm_cpuid_entry2 *b,
		       unsigned int nent)
{
	unsigned int i;

	for (i = 0; i < nent; i++)
		if (memcmp(&a[i], &b[i], offsetof(struct kvm_cpuid_entry2, padding)))
			return false;
	return true;
}

/* Give the vCPU the entries, which may be NULL for none; they are freed when they are refused. */
static int cpuid_replace(struct mkvm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries,
			 unsigned int nent)
{
	int r = -EINVAL;

	cpuid_update(vcpu, entries, nent);
	if (vcpu->arch.has_run) {
		/* What the guest has seen cannot change; saying it again can. */
		if (nent == vcpu->arch.cpuid_nent && cpuid_same(entries, vcpu->arch.cpuid, nent))
			r = 0;
		goto out;
	}
	if (!cpuid_valid(entries, nent))
		goto out;

	swap(vcpu->arch.cpuid, entries);
	vcpu->arch.cpuid_nent = nent;
	mkvm_cpuid_apply(vcpu);
	r = 0;
out:
	kvfree(entries);
	return r;
}

/**
 * mkvm_set_cpuid2() - KVM_SET_CPUID2
 * @vcpu: the vCPU
 * @arg: header with the number of entries, then the entries
 * Return: 0; E2BIG (too many entries); EFAULT; ENOMEM; EINVAL (impossible address width; or
 * the vCPU has run and the entries are not the same as before).
 */
int mkvm_set_cpuid2(struct mkvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > MKVM_MAX_CPUID)
		return -E2BIG;
	if (head.nent) {
		entries = mkvm_memdup_user(arg->entries,
					   array_size(sizeof(*entries), head.nent));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	return cpuid_replace(vcpu, entries, head.nent);
}

/**
 * mkvm_set_cpuid() - KVM_SET_CPUID: the old form, entries without an index
 * @vcpu: the vCPU
 * @arg: header with the number of entries, then the entries
 * Return: as mkvm_set_cpuid2().
 */
int mkvm_set_cpuid(struct mkvm_vcpu *vcpu, struct kvm_cpuid __user *arg)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid_entry *old = NULL;
	struct kvm_cpuid head;
	u32 i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > MKVM_MAX_CPUID)
		return -E2BIG;
	if (head.nent) {
		old = mkvm_memdup_user(arg->entries, array_size(sizeof(*old), head.nent));
		if (IS_ERR(old))
			return PTR_ERR(old);
		entries = kvcalloc(head.nent, sizeof(*entries), GFP_KERNEL_ACCOUNT);
		if (!entries) {
			kvfree(old);
			return -ENOMEM;
		}
	}
	for (i = 0; i < head.nent; i++) {
		entries[i].function = old[i].function;
		entries[i].eax = old[i].eax;
		entries[i].ebx = old[i].ebx;
		entries[i].ecx = old[i].ecx;
		entries[i].edx = old[i].edx;
	}
	kvfree(old);
	return cpuid_replace(vcpu, entries, head.nent);
}

/**
 * mkvm_get_cpuid2() - KVM_GET_CPUID2: the vCPU's entries as the guest sees them now
 * @vcpu: the vCPU
 * @arg: header with the number of entries there is room for, then the entries
 * Return: 0 with nent set to their number; E2BIG, when there are more, nothing written; EFAULT.
 */
int mkvm_get_cpuid2(struct mkvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < vcpu->arch.cpuid_nent)
		return -E2BIG;
	head.nent = vcpu->arch.cpuid_nent;
	if (copy_to_user(arg->entries, vcpu->arch.cpuid,
			 head.nent * sizeof(*vcpu->arch.cpuid)) ||
	    copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	return 0;
}

/* --- The instruction --------------------------------------------------------------------- */

/*
 * SDM, "CPUID - CPU Identification": a leaf above the highest of its range answers
 * like the highest basic leaf. AMD answers zeroes.
 */
static const struct kvm_cpuid_entry2 *cpuid_out_of_range(struct mkvm_vcpu *vcpu,
							 u32 function, u32 index)
{
	const struct kvm_cpuid_entry2 *basic = mkvm_find_cpuid(vcpu, 0, 0);
	const struct kvm_cpuid_entry2 *top;
	u32 range;

	if (!basic || !mkvm_guest_is_intel(vcpu))
		return NULL;

	if (function >= 0x40000000 && function <= 0x4fffffff)
		range = function & 0xffffff00;
	else if (function >= 0xc0000000)
		range = 0xc0000000;
	else
		range = function & 0x80000000;
	top = range ? mkvm_find_cpuid(vcpu, range, 0) : basic;
	/* Within its range: a hole, not out of range. */
	if (top && function <= top->eax)
		return NULL;
	return mkvm_find_cpuid(vcpu, basic->eax, index);
}

/**
 * mkvm_handle_cpuid() - CPUID
 * @vcpu: the vCPU
 *
 * Context: also with interrupts off.
 * Return: %MKVM_RUN_GUEST.
 */
mkvm_run_t mkvm_handle_cpuid(struct mkvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;
	u32 function = regs[MKVM_REG_RAX], index = regs[MKVM_REG_RCX];
	const struct kvm_cpuid_entry2 *e = mkvm_find_cpuid(vcpu, function, index);
	static const struct kvm_cpuid_entry2 none;

	/* MISC_FEATURES_ENABLES: CPUID faulting. */
	if (unlikely(vcpu->arch.msr.misc_features) && mkvm_cpl(vcpu))
		return mkvm_inject_gp(vcpu);
	if (unlikely(!e))
		e = cpuid_out_of_range(vcpu, function, index) ?: &none;
	regs[MKVM_REG_RAX] = e->eax;
	regs[MKVM_REG_RBX] = e->ebx;
	regs[MKVM_REG_RCX] = e->ecx;
	regs[MKVM_REG_RDX] = e->edx;
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}
