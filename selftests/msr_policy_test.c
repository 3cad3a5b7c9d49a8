// SPDX-License-Identifier: GPL-2.0
/*
 * Which MSRs there are, and who may do what to them: a row for each, which is
 * what KVM does. Those with a test of their own in msr_test.c, msr_filter_test.c
 * and tsc_test.c are left out.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/msr.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define MSR_TSC			0x10
#define MSR_FEAT_CTL		0x3a
#define MSR_UCODE_REV		0x8b
#define MSR_PLATFORM_INFO	0xce
#define MSR_ARCH_CAPABILITIES	0x10a
#define MSR_MISC_FEATURES	0x140
#define MSR_MISC_ENABLE		0x1a0
#define MSR_PERF_CAPABILITIES	0x345
#define MSR_XSS			0xda0
#define MSR_EFER		0xc0000080
#define MSR_TSC_AUX		0xc0000103
#define MSR_HWCR		0xc0010015
#define MSR_OSVW_ID_LENGTH	0xc0010140
#define MSR_OSVW_STATUS		0xc0010141
#define MSR_F15H_IC_CFG		0xc0011021
#define MSR_DE_CFG		0xc0011029
#define MSR_NONE		0x00012345	/* no CPU has it */

#define MC_STATUS(bank)		(0x401 + 4 * (bank))
#define HWCR_MC_STATUS_WR_EN	(1ull << 18)
#define PLATFORM_CPUID_FAULT	(1ull << 31)
#define EFER_NX			(1ull << 11)

static struct test_vcpu *new_vcpu(void)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, MODE_LONG);
	return vcpu;
}

/* --- The rows -------------------------------------------------------------- */

enum {
	GR	= 1 << 0,	/* the guest can read it */
	GW	= 1 << 1,	/* the guest can write @good */
	HR	= 1 << 2,	/* userspace can read it */
	HW	= 1 << 3,	/* userspace can write @good */
	KEEPS	= 1 << 4,	/* a value that was written stays */
	GBAD	= 1 << 5,	/* the guest cannot write @bad */
	HBAD	= 1 << 6,	/* userspace cannot write @bad */
	INTEL	= 1 << 7,	/* on Intel only; on AMD it does not exist */
	AMD	= 1 << 8,
	ANY	= 1 << 9,	/* the value differs between machines */
	NO_HOST	= 1 << 10,	/* nothing is said about userspace */

	R	= GR | HR,
	RW	= R | GW | HW,
	BAD	= GBAD | HBAD,
};

/* A fixed value; writes are refused. */
#define READ_ONLY(index, value)	{ index, R | BAD, value, 0, 0 }
/* A fixed value; writes are swallowed. */
#define DROPS(index, value)	{ index, RW, value, ~0ull, 0 }
/* What is written stays. */
#define HOLDS(index)		{ index, RW | KEEPS, 0, 0x123456789abcdef0, 0 }

static const struct policy {
	uint32_t index;
	unsigned int flags;
	uint64_t value;		/* after power-up */
	uint64_t good;
	uint64_t bad;
} policies[] = {
	READ_ONLY(0x0, 0),			/* P5_MC_ADDR */
	READ_ONLY(0x1, 0),			/* P5_MC_TYPE */
	READ_ONLY(0x17, 0),			/* PLATFORM_ID */
	READ_ONLY(0x2a, 0),			/* EBL_CR_POWERON */
	READ_ONLY(0x2c, 1 << 24),		/* EBC_FREQUENCY_ID */
	{ 0x34, R | HW | KEEPS | GBAD, 0, 5, 6 },	/* SMI_COUNT */
	{ MSR_FEAT_CTL, INTEL | RW | KEEPS | BAD, 0, 0, 1 << 5 },
	{ 0x79, GW | HW, 0, 0x1000, 0 },	/* BIOS_UPDT_TRIG */
	DROPS(0xc1, 0),				/* P6_PERFCTR0 */
	DROPS(0xc2, 0),
	READ_ONLY(0xcd, 3),			/* FSB_FREQ */
	READ_ONLY(0xfe, 0x508),			/* MTRRCAP */
	DROPS(0x11e, 0xbe702111),		/* BBL_CR_CTL3 */
	{ MSR_MISC_FEATURES, RW | KEEPS | BAD, 0, 1, 2 },
	READ_ONLY(0x179, 32),			/* MCG_CAP */
	HOLDS(0x17a),				/* MCG_STATUS */
	{ 0x17b, HR | HW | BAD, 0, 0, ~0ull },	/* MCG_CTL */
	DROPS(0x186, 0),			/* P6_EVNTSEL0 */
	DROPS(0x187, 0),
	READ_ONLY(0x198, 1000 | 4ull << 40),	/* PERF_STATUS */
	READ_ONLY(0x199, 0),			/* PERF_CTL */
	{ 0x1d9, INTEL | R | BAD, 0, 0, 1ull << 40 },	/* DEBUGCTL */
	READ_ONLY(0x1db, 0),			/* LASTBRANCHFROMIP */
	READ_ONLY(0x1de, 0),			/* LASTINTTOIP */
	HOLDS(0x1fc),				/* POWER_CTL */
	{ 0x200, RW | KEEPS | BAD, 0, 0x12345006, 0x12345002 },	/* PHYSBASE0 */
	{ 0x200, RW | KEEPS | BAD, 0, 0x12345000, 0x12345100 },
	{ 0x201, RW | KEEPS | BAD, 0, 0xfffff800, 0x400 },	/* PHYSMASK0 */
	{ 0x20f, RW | KEEPS | BAD, 0, 0x800, 1ull << 63 },
	{ 0x210, BAD, 0, 0, 0 },		/* there are eight */
	{ 0x250, RW | KEEPS | BAD, 0, 0x0606060606060606, 7 },	/* FIX64K */
	{ 0x258, RW | KEEPS | BAD, 0, 0x0605040100000000, 2ull << 56 },
	{ 0x25a, BAD, 0, 0, 0 },
	{ 0x268, RW | KEEPS | BAD, 0, 0x0101010101010101, 0xff },
	{ 0x26f, RW | KEEPS | BAD, 0, 0x0404040404040404, 3ull << 8 },
	{ 0x280, HR | HW | BAD, 0, 0, 1 },	/* MC0_CTL2 */
	{ 0x29f, HR | HW | BAD, 0, 0, 1 },	/* of bank 31 */
	{ 0x2ff, RW | KEEPS | BAD, 0, 0xc06, 0x1006 },	/* MTRR_DEF_TYPE */
	{ 0x2ff, RW | KEEPS | BAD, 0, 0x800, 0x802 },
	{ 0x400, RW | KEEPS | BAD, 0, ~0ull, 4 },	/* MC0_CTL */
	{ 0x400, RW | KEEPS | BAD, 0, ~0x401ull, 1 },
	{ 0x401, RW | GBAD, 0, 0, 1 },		/* MC0_STATUS */
	HOLDS(0x402),				/* MC0_ADDR */
	HOLDS(0x403),				/* MC0_MISC */
	HOLDS(0x47f),				/* of bank 31 */
	{ 0x4d0, INTEL | HR | HW | KEEPS | BAD, 0, 1, 2 },	/* MCG_EXT_CTL */
	READ_ONLY(0x606, 0),			/* RAPL_POWER_UNIT */
	READ_ONLY(0x611, 0),
	READ_ONLY(0x619, 0),
	READ_ONLY(0x639, 0),
	READ_ONLY(0x641, 0),
	DROPS(0x6e0, 0),			/* TSC_DEADLINE: no APIC */
	{ 0x800, BAD, 0, 0, 0 },		/* x2APIC */
	{ 0x8ff, BAD, 0, 0, 0 },
	DROPS(0xc0010000, 0),			/* K7 EVNTSEL0 */
	DROPS(0xc0010003, 0),
	DROPS(0xc0010004, 0),			/* K7 PERFCTR0 */
	DROPS(0xc0010007, 0),
	READ_ONLY(0xc0010010, 0),		/* SYSCFG */
	{ MSR_HWCR, RW | KEEPS | BAD, 0, HWCR_MC_STATUS_WR_EN, 1 },
	DROPS(0xc001001b, 0x20000000),		/* CLK_CTL */
	DROPS(0xc001001f, 0),			/* NB_CFG */
	{ 0xc0010020, GW | HW, 0, 0x1000, 0 },	/* PATCH_LOADER */
	READ_ONLY(0xc0010055, 0),		/* INT_PENDING_MSG */
	{ 0xc0010058, RW | BAD, 0, 0, 1 },	/* MMIO_CONF_BASE */
	READ_ONLY(0xc0010112, 0),		/* TSEG_ADDR */
	READ_ONLY(0xc0010113, 0),		/* TSEG_MASK */
	{ 0xc0010117, RW, 0, 0, 0 },		/* VM_HSAVE_PA */
	{ MSR_F15H_IC_CFG, AMD | R | BAD | ANY, 0, 0, 0 },
	DROPS(0xc0011022, 0),			/* DC_CFG */
	DROPS(0xc0011023, 0),			/* TW_CFG */
	{ MSR_DE_CFG, AMD | R | HW | BAD | ANY, 0, 0, 1 },
	DROPS(0xc001102a, 0),			/* BU_CFG2 */
	DROPS(0xc001102c, 0),			/* EX_CFG */
	{ MSR_NONE, BAD, 0, 0, 0 },
};

static void expect_value(struct test_vcpu *vcpu, const struct policy *p,
			 uint64_t want, const char *when)
{
	uint64_t value = ~want;
	int vector, done;

	vector = guest_read(vcpu, p->index, &value);
	TEST_EQ(p->flags & GR ? -1 : VECTOR_GP, vector, "RDMSR %#x %s",
		p->index, when);
	if (p->flags & GR && !(p->flags & ANY))
		TEST_EQ(want, value, "RDMSR %#x %s", p->index, when);
	if (p->flags & NO_HOST)
		return;
	value = ~want;
	done = __vcpu_get_msr(vcpu, p->index, &value);
	TEST_EQ(!!(p->flags & HR), done, "KVM_GET_MSRS %#x %s", p->index, when);
	if (p->flags & HR && !(p->flags & ANY))
		TEST_EQ(want, value, "KVM_GET_MSRS %#x %s", p->index, when);
}

static void try_policy(const struct policy *p)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t after = p->flags & KEEPS ? p->good : p->value;

	expect_value(vcpu, p, p->value, "at first");
	if (p->flags & (GW | HW)) {
		TEST_EQ(p->flags & GW ? -1 : VECTOR_GP,
			guest_write(vcpu, p->index, p->good),
			"WRMSR %#x to %#lx", p->index, p->good);
		expect_value(vcpu, p, p->flags & GW ? after : p->value,
			     "after WRMSR");
		vm_destroy(vcpu->vm);
		vcpu = new_vcpu();
		TEST_EQ(!!(p->flags & HW),
			__vcpu_set_msr(vcpu, p->index, p->good),
			"KVM_SET_MSRS %#x to %#lx", p->index, p->good);
		expect_value(vcpu, p, p->flags & HW ? after : p->value,
			     "after KVM_SET_MSRS");
	} else {
		after = p->value;
	}
	if (!(p->flags & HW))
		after = p->value;
	if (p->flags & GBAD)
		TEST_EQ(VECTOR_GP, guest_write(vcpu, p->index, p->bad),
			"WRMSR %#x to %#lx", p->index, p->bad);
	if (p->flags & HBAD)
		TEST_EQ(0, __vcpu_set_msr(vcpu, p->index, p->bad),
			"KVM_SET_MSRS %#x to %#lx", p->index, p->bad);
	expect_value(vcpu, p, after, "at last");
	vm_destroy(vcpu->vm);
}

TEST(rows)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		struct policy p = policies[i];

		if (p.flags & (test_vendor()->amd ? INTEL : AMD)) {
			/* DEBUGCTL exists there, too: not this row's affair. */
			if (p.index == 0x1d9)
				continue;
			/*
			 * Userspace may read 0 in stock KVM, when the CPU has
			 * the MSR and guests do not.
			 */
			p.flags = GBAD | NO_HOST;
		}
		try_policy(&p);
	}
}

/* --- MSRs that come with a bit in CPUID --------------------------------------- */

static const struct {
	uint32_t index;
	struct cpuid_bit bit;
	bool guest_writes;
	bool strict;		/* userspace needs the bit, too */
} featured[] = {
#define BIT_OF(function, index, reg, bit) \
	{ function, index, offsetof(struct kvm_cpuid_entry2, reg), bit }
	{ MSR_ARCH_CAPABILITIES, BIT_OF(7, 0, edx, 29) },
	{ MSR_PERF_CAPABILITIES, BIT_OF(1, 0, ecx, 15) },
	{ MSR_XSS, BIT_OF(0xd, 1, eax, 3), true },
	{ MSR_OSVW_ID_LENGTH, BIT_OF(0x80000001, 0, ecx, 9), true, true },
	{ MSR_OSVW_STATUS, BIT_OF(0x80000001, 0, ecx, 9), true, true },
};

TEST(features)
{
	unsigned int i;
	uint64_t value;

	for (i = 0; i < ARRAY_SIZE(featured); i++) {
		uint32_t index = featured[i].index;
		struct test_vcpu *vcpu;

		if (index == MSR_XSS && !__builtin_cpu_supports("avx"))
			continue;
		vcpu = vcpu_with_cpuid_bit(featured[i].bit, false);
		TEST_EQ(VECTOR_GP, guest_read(vcpu, index, &value),
			"RDMSR %#x without the bit", index);
		TEST_EQ(VECTOR_GP, guest_write(vcpu, index, 0),
			"WRMSR %#x without the bit", index);
		TEST_EQ(!featured[i].strict,
			__vcpu_get_msr(vcpu, index, &value),
			"KVM_GET_MSRS %#x without the bit", index);
		vm_destroy(vcpu->vm);

		vcpu = vcpu_with_cpuid_bit(featured[i].bit, true);
		TEST_EQ(-1, guest_read(vcpu, index, &value),
			"RDMSR %#x", index);
		TEST_EQ(value, vcpu_get_msr(vcpu, index), "value of %#x",
			index);
		TEST_EQ(featured[i].guest_writes ? -1 : VECTOR_GP,
			guest_write(vcpu, index, 0), "WRMSR %#x", index);
		vcpu_set_msr(vcpu, index, value);
		TEST_EQ(value, guest_value(vcpu, index),
			"%#x as userspace wrote it", index);
		vm_destroy(vcpu->vm);
	}
}

/* QEMU 7.2 turns the paravirtual clock off at each reset, whether CPUID has one or not. */
TEST(no_paravirtual_clock)
{
	static const uint32_t clock[] = { 0x11, 0x12 };
	uint64_t value;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clock); i++) {
		struct test_vcpu *vcpu = new_vcpu();

		TEST_EQ(0, vcpu_get_msr(vcpu, clock[i]), "%#x at first", clock[i]);
		TEST_EQ(1, __vcpu_set_msr(vcpu, clock[i], 0), "KVM_SET_MSRS %#x to 0", clock[i]);
		TEST_EQ(0, vcpu_get_msr(vcpu, clock[i]), "%#x after that", clock[i]);
		/* KVM has one. */
		if (test_device_is_minikvm()) {
			TEST_EQ(VECTOR_GP, guest_read(vcpu, clock[i], &value), "RDMSR %#x", clock[i]);
			TEST_EQ(VECTOR_GP, guest_write(vcpu, clock[i], 0), "WRMSR %#x", clock[i]);
			TEST_EQ(0, __vcpu_set_msr(vcpu, clock[i], 1), "KVM_SET_MSRS %#x to 1", clock[i]);
			TEST_EQ(0, vcpu_get_msr(vcpu, clock[i]), "%#x at last", clock[i]);
		}
		vm_destroy(vcpu->vm);
	}
}

/* No supervisor state, no PMU: nothing but 0. */
TEST(features_reserved_bits)
{
	struct test_vcpu *vcpu;

	vcpu = vcpu_with_cpuid_bit(CPUID_BIT(1, 0, ecx, 15), true);
	if (!vcpu_get_msr(vcpu, MSR_PERF_CAPABILITIES))
		EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_PERF_CAPABILITIES,
					    1ull << 50));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_XSS, 1ull << 50));
}

/* OSVW: at least the first three errata are answered, and not in a guest. */
TEST(osvw)
{
	struct test_vcpu *vcpu;

	vcpu = vcpu_with_cpuid_bit(CPUID_BIT(0x80000001, 0, ecx, 9), true);
	EXPECT_LE(3, guest_value(vcpu, MSR_OSVW_ID_LENGTH));
	EXPECT_EQ(0, guest_value(vcpu, MSR_OSVW_STATUS) & 6);
	vcpu_set_msr(vcpu, MSR_OSVW_STATUS, 5);
	EXPECT_EQ(5, guest_value(vcpu, MSR_OSVW_STATUS));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_OSVW_ID_LENGTH, 9));
	EXPECT_EQ(9, vcpu_get_msr(vcpu, MSR_OSVW_ID_LENGTH));
}

/* TSC_AUX comes with RDTSCP or with RDPID. */
TEST(tsc_aux_needs_cpuid)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *ext, *seven;
	uint64_t value;
	unsigned int i;

	ext = test_cpuid_entry(cpuid, 0x80000001, 0);
	seven = test_cpuid_entry(cpuid, 7, 0);
	ASSERT_TRUE(ext && seven);
	if (!(ext->edx & 1 << 27))
		SKIP(return, "no RDTSCP");
	for (i = 0; i < 4; i++) {
		vcpu = vm_add_vcpu(vm_create(), 0);
		ext->edx = (ext->edx & ~(1u << 27)) | (i & 1) << 27;
		seven->ecx = (seven->ecx & ~(1u << 22)) | (i >> 1) << 22;
		ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid));
		vcpu_set_mode(vcpu, MODE_LONG);
		EXPECT_EQ(i ? -1 : VECTOR_GP,
			  guest_read(vcpu, MSR_TSC_AUX, &value));
		EXPECT_EQ(i ? -1 : VECTOR_GP,
			  guest_write(vcpu, MSR_TSC_AUX, 7));
		EXPECT_EQ(i ? 7 : 0, vcpu_get_msr(vcpu, MSR_TSC_AUX));
		vcpu_set_msr(vcpu, MSR_TSC_AUX, 8);
		/* The upper half: reserved on Intel, not there on AMD. */
		if (i)
			EXPECT_EQ(test_vendor()->amd ? -1 : VECTOR_GP,
				  guest_write(vcpu, MSR_TSC_AUX, 1ull << 32 | 9));
		EXPECT_EQ(i && test_vendor()->amd ? 9 : 8,
			  vcpu_get_msr(vcpu, MSR_TSC_AUX));
		vm_destroy(vcpu->vm);
	}
	free(cpuid);
}

/* --- Those with rules of their own ---------------------------------------------- */

/* The guest cannot change bits that say what is missing; EMON it can try. */
TEST(misc_enable_bits)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value = guest_value(vcpu, MSR_MISC_ENABLE);

	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_MISC_ENABLE, value ^ 1 << 11));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_MISC_ENABLE, value ^ 1 << 12));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_MISC_ENABLE, value ^ 1 << 7));
	EXPECT_EQ(value, guest_value(vcpu, MSR_MISC_ENABLE));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_MISC_ENABLE, value ^ 1));
	EXPECT_EQ(value ^ 1, vcpu_get_msr(vcpu, MSR_MISC_ENABLE));
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, value ^ 1 << 7);
	EXPECT_EQ(value ^ 1 << 7, guest_value(vcpu, MSR_MISC_ENABLE));
}

/* The guest asks for an update of the microcode; userspace knows the revision. */
TEST(microcode_revision)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t first = test_vendor()->amd ? 0x01000065 : 0x100000000;

	EXPECT_EQ(first, guest_value(vcpu, MSR_UCODE_REV));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_UCODE_REV, 0));
	EXPECT_EQ(first, vcpu_get_msr(vcpu, MSR_UCODE_REV));
	vcpu_set_msr(vcpu, MSR_UCODE_REV, 0x77700000000);
	EXPECT_EQ(0x77700000000, guest_value(vcpu, MSR_UCODE_REV));
}

TEST(feature_control_lock)
{
	struct test_vcpu *vcpu = new_vcpu();

	if (test_vendor()->amd)
		SKIP(return, "Intel's");
	EXPECT_EQ(-1, guest_write(vcpu, MSR_FEAT_CTL, 1));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_FEAT_CTL, 1));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_FEAT_CTL, 0));
	EXPECT_EQ(1, guest_value(vcpu, MSR_FEAT_CTL));
	vcpu_set_msr(vcpu, MSR_FEAT_CTL, 0);
	EXPECT_EQ(-1, guest_write(vcpu, MSR_FEAT_CTL, 0));
}

/* AMD's way to test a machine-check handler. */
TEST(machine_check_status)
{
	struct test_vcpu *vcpu = new_vcpu();
	unsigned int bank = 4;

	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MC_STATUS(bank), 1));
	vcpu_set_msr(vcpu, MC_STATUS(bank), 0x99);
	EXPECT_EQ(0x99, guest_value(vcpu, MC_STATUS(bank)));
	EXPECT_EQ(-1, guest_write(vcpu, MC_STATUS(bank), 0));
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MC_STATUS(bank)));

	EXPECT_EQ(-1, guest_write(vcpu, MSR_HWCR, HWCR_MC_STATUS_WR_EN));
	EXPECT_EQ(test_vendor()->amd ? -1 : VECTOR_GP,
		  guest_write(vcpu, MC_STATUS(bank), 0x77));
	EXPECT_EQ(test_vendor()->amd ? 0x77 : 0,
		  vcpu_get_msr(vcpu, MC_STATUS(bank)));
	/* The neighbours are others. */
	EXPECT_EQ(0, guest_value(vcpu, MC_STATUS(bank) - 1));
	EXPECT_EQ(0, guest_value(vcpu, MC_STATUS(bank) + 1));
	EXPECT_EQ(0, guest_value(vcpu, MC_STATUS(bank + 1)));
}

/* Bits that firmware sets on old CPUs are swallowed. */
TEST(hwcr)
{
	struct test_vcpu *vcpu = new_vcpu();

	EXPECT_EQ(-1, guest_write(vcpu, MSR_HWCR, 0x40 | 0x100 | 0x8));
	EXPECT_EQ(0, guest_value(vcpu, MSR_HWCR));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_HWCR, 0x40 | HWCR_MC_STATUS_WR_EN));
	EXPECT_EQ(HWCR_MC_STATUS_WR_EN, vcpu_get_msr(vcpu, MSR_HWCR));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_HWCR, 1 << 24));
}

/* LFENCE is serializing, or not: the guest can only say so. */
TEST(de_cfg)
{
	struct test_vcpu *vcpu = new_vcpu();
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e.index = MSR_DE_CFG };

	if (!test_vendor()->amd) {
		EXPECT_EQ(0, ioctl(vcpu->vm->dev, KVM_GET_MSRS, &m));
		return;
	}
	ASSERT_EQ(1, ioctl(vcpu->vm->dev, KVM_GET_MSRS, &m));
	EXPECT_EQ(0, m.e.data & ~2ull);
	EXPECT_EQ(-1, guest_write(vcpu, MSR_DE_CFG, m.e.data));
	EXPECT_EQ(m.e.data, vcpu_get_msr(vcpu, MSR_DE_CFG));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_DE_CFG, m.e.data ^ 2));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_DE_CFG, 1));
	vcpu_set_msr(vcpu, MSR_DE_CFG, 0);
	EXPECT_EQ(0, guest_value(vcpu, MSR_DE_CFG));
}

/* Userspace may restore EFER before it sets CPUID; reserved bits stay so. */
TEST(efer_by_userspace)
{
	struct test_vcpu *vcpu;
	uint64_t efer;

	vcpu = vcpu_with_cpuid_bit(CPUID_BIT(0x80000001, 0, edx, 20), false);
	efer = guest_value(vcpu, MSR_EFER);
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_EFER, efer | EFER_NX));
	vcpu_set_msr(vcpu, MSR_EFER, efer | EFER_NX);
	EXPECT_EQ(efer | EFER_NX, guest_value(vcpu, MSR_EFER));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_EFER, efer | 1ull << 40));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_EFER, efer | 1 << 9));
}

/* --- PLATFORM_INFO and CPUID faulting ----------------------------------------------- */

static int enable_cap(struct test_vcpu *vcpu, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &c);
}

TEST(platform_info)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value, turbo = PLATFORM_CPUID_FAULT | 0xff00;

	EXPECT_EQ(1, test_has_cap(vcpu->vm->fd, KVM_CAP_MSR_PLATFORM_INFO));
	EXPECT_EQ(PLATFORM_CPUID_FAULT, guest_value(vcpu, MSR_PLATFORM_INFO));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_PLATFORM_INFO, turbo));
	vcpu_set_msr(vcpu, MSR_PLATFORM_INFO, turbo);
	EXPECT_EQ(turbo, guest_value(vcpu, MSR_PLATFORM_INFO));

	EXPECT_EQ(0, enable_cap(vcpu, KVM_CAP_MSR_PLATFORM_INFO, 0));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_PLATFORM_INFO, &value));
	EXPECT_EQ(turbo, vcpu_get_msr(vcpu, MSR_PLATFORM_INFO));
	EXPECT_EQ(0, enable_cap(vcpu, KVM_CAP_MSR_PLATFORM_INFO, 1));
	EXPECT_EQ(turbo, guest_value(vcpu, MSR_PLATFORM_INFO));
}

TEST(cpuid_faulting)
{
	static const uint8_t cpuid[] = { 0x0f, 0xa2 };
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_regs regs = {};
	int64_t error;

	EXPECT_EQ(-1, guest_write(vcpu, MSR_MISC_FEATURES, 1));
	/* Not in ring 0. */
	EXPECT_EQ(-1, vcpu_try(vcpu, cpuid, 2, &regs, NULL));
	vcpu_set_mode(vcpu, MODE_LONG_R3);
	EXPECT_EQ(VECTOR_GP, vcpu_try(vcpu, cpuid, 2, &regs, &error));
	EXPECT_EQ(0, error);

	/* It cannot be taken back from a guest that uses it. */
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_PLATFORM_INFO, 0));
	vcpu_set_msr(vcpu, MSR_MISC_FEATURES, 0);
	vcpu_set_msr(vcpu, MSR_PLATFORM_INFO, 0);
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_MISC_FEATURES, 1));
	vcpu_set_mode(vcpu, MODE_LONG);
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_MISC_FEATURES, 1));
}

/* --- Feature MSRs --------------------------------------------------------------------- */

TEST(feature_list)
{
	struct kvm_msr_list probe = { .nmsrs = 0 }, *list;
	struct test_vcpu *vcpu = new_vcpu();
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[2];
	} m = { .head.nmsrs = 1 };
	bool arch_cap = false, ucode = false, de_cfg = false;
	uint32_t i, k;

	ASSERT_EQ(1, test_has_cap(vcpu->vm->dev, KVM_CAP_GET_MSR_FEATURES));
	EXPECT_EQ(-1, ioctl(vcpu->vm->dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &probe));
	EXPECT_EQ(E2BIG, errno);
	ASSERT_LT(0, probe.nmsrs);
	list = calloc(1, sizeof(*list) + probe.nmsrs * 4);
	ASSERT_NE(NULL, list);
	list->nmsrs = probe.nmsrs;
	ASSERT_EQ(0, ioctl(vcpu->vm->dev, KVM_GET_MSR_FEATURE_INDEX_LIST, list));

	for (i = 0; i < list->nmsrs; i++) {
		for (k = 0; k < i; k++)
			EXPECT_NE(list->indices[k], list->indices[i]);
		arch_cap |= list->indices[i] == MSR_ARCH_CAPABILITIES;
		ucode |= list->indices[i] == MSR_UCODE_REV;
		de_cfg |= list->indices[i] == MSR_DE_CFG;
		m.e[0].index = list->indices[i];
		m.e[0].data = 0x5555555555555555;
		TEST_EQ(1, ioctl(vcpu->vm->dev, KVM_GET_MSRS, &m),
			"KVM_GET_MSRS of the device, %#x", list->indices[i]);
		TEST_CHECK(m.e[0].data != 0x5555555555555555, "%#x",
			   list->indices[i]);
		/* A vCPU starts with what is offered. */
		if (m.e[0].index == MSR_ARCH_CAPABILITIES)
			EXPECT_EQ(m.e[0].data, vcpu_get_msr(vcpu, m.e[0].index));
	}
	EXPECT_TRUE(arch_cap);
	EXPECT_TRUE(ucode);
	EXPECT_EQ(test_vendor()->amd, de_cfg);
	free(list);

	/* Other MSRs belong to vCPUs. */
	m.e[0].index = MSR_TSC;
	EXPECT_EQ(0, ioctl(vcpu->vm->dev, KVM_GET_MSRS, &m));
	m.head.nmsrs = 2;
	m.e[0].index = MSR_UCODE_REV;
	m.e[1].index = MSR_NONE;
	EXPECT_EQ(1, ioctl(vcpu->vm->dev, KVM_GET_MSRS, &m));
	m.head.nmsrs = 256;
	EXPECT_EQ(-1, ioctl(vcpu->vm->dev, KVM_GET_MSRS, &m));
	EXPECT_EQ(E2BIG, errno);
}

TEST_HARNESS_MAIN
