// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: what userspace sets is what the guest sees, leaf by leaf, and the
 * rules for what nobody set.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vm.h"

static const uint8_t cpuid_insn[] = { 0x0f, 0xa2 };

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

/* CPUID in the guest, all other registers watched. */
static struct leaf guest_cpuid(struct test_vcpu *vcpu, uint32_t function,
			       uint32_t index)
{
	struct kvm_regs regs, before;
	int i;

	vcpu_get_regs(vcpu, &regs);
	rand_fill(&regs, offsetof(struct kvm_regs, rip));
	regs.rflags = 2;
	/* The upper halves count for nothing, and come back as zeros. */
	regs.rax = (regs.rax & ~0xffffffffull) | function;
	regs.rcx = (regs.rcx & ~0xffffffffull) | index;
	before = regs;
	TEST_EQ(-1, vcpu_try(vcpu, cpuid_insn, 2, &regs, NULL), "vector");
	for (i = RSI; i <= R15; i++)
		TEST_EQ(*regs_gpr(&before, i), *regs_gpr(&regs, i),
			"register %d", i);
	TEST_EQ(before.rbp, regs.rbp, "RBP");
	TEST_EQ(2, regs.rflags, "RFLAGS");
	TEST_EQ(0, (regs.rax | regs.rbx | regs.rcx | regs.rdx) >> 32,
		"upper halves of leaf %#x", function);
	return (struct leaf){ regs.rax, regs.rbx, regs.rcx, regs.rdx };
}

static void expect_leaf(struct test_vcpu *vcpu, uint32_t function,
			uint32_t index, const struct leaf *want)
{
	struct leaf got = guest_cpuid(vcpu, function, index);

	TEST_EQ(want->eax, got.eax, "leaf %#x.%#x EAX", function, index);
	TEST_EQ(want->ebx, got.ebx, "leaf %#x.%#x EBX", function, index);
	TEST_EQ(want->ecx, got.ecx, "leaf %#x.%#x ECX", function, index);
	TEST_EQ(want->edx, got.edx, "leaf %#x.%#x EDX", function, index);
}

static struct leaf leaf_of(const struct kvm_cpuid_entry2 *e)
{
	return (struct leaf){ e->eax, e->ebx, e->ecx, e->edx };
}

/* The guest sees the supported leaves as they were handed out and set. */
TEST(supported_is_seen)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	uint32_t i;

	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid));
	vcpu_set_mode(vcpu, MODE_LONG);
	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		struct leaf want = leaf_of(e), got;

		got = guest_cpuid(vcpu, e->function, e->index);
		/*
		 * What a vCPU's own state decides: the APIC's number, OSXSAVE,
		 * the APIC bit, OSPKE, and the size of the XSAVE area.
		 */
		if (e->function == 1) {
			want.ebx = got.ebx = 0;
			want.ecx &= ~(1u << 27);
			got.ecx &= ~(1u << 27);
			want.ecx &= ~(1u << 3);		/* MONITOR */
			got.ecx &= ~(1u << 3);
		}
		if (e->function == 7) {
			want.ecx &= ~(1u << 4);
			got.ecx &= ~(1u << 4);
		}
		if (e->function == 0xd || e->function == 0xb ||
		    e->function == 0x1f)
			continue;
		TEST_CHECK(!memcmp(&want, &got, sizeof(want)),
			   "leaf %#x.%#x: set %08x %08x %08x %08x, seen %08x %08x %08x %08x",
			   e->function, e->index, want.eax, want.ebx, want.ecx,
			   want.edx, got.eax, got.ebx, got.ecx, got.edx);
	}
	free(cpuid);
}

/* A CPU nobody built: random leaves, some with an index. */
TEST(random_leaves)
{
	static const struct {
		uint32_t function, index, flags;
	} shape[] = {
		{ 0x00000000 }, { 0x00000002 }, { 0x00000003 },
		{ 0x00000004, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ 0x00000004, 1, KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ 0x00000004, 7, KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ 0x00000006 }, { 0x40000000 }, { 0x40000001 },
		{ 0x40000100 }, { 0x40000101 },
		{ 0x80000000 }, { 0x80000002 }, { 0x80000003 }, { 0x80000004 },
	};
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[ARRAY_SIZE(shape)];
	} set = { .head.nent = ARRAY_SIZE(shape) };
	static const struct leaf zero;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shape); i++) {
		struct kvm_cpuid_entry2 *e = &set.e[i];

		e->function = shape[i].function;
		e->index = shape[i].index;
		e->flags = shape[i].flags;
		e->eax = rand_u64();
		e->ebx = rand_u64();
		e->ecx = rand_u64();
		e->edx = rand_u64();
	}
	set.e[0].eax = 6;			/* the last basic leaf */
	set.e[7].eax = 0x40000001;
	set.e[9].eax = 0x40000101;
	set.e[11].eax = 0x80000004;
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, &set));
	vcpu_set_mode(vcpu, MODE_LONG);
	for (i = 0; i < ARRAY_SIZE(shape); i++) {
		struct leaf want = leaf_of(&set.e[i]);

		/* KVM_FEATURE bits may follow the state of the VM. */
		if (shape[i].function == 0x40000001)
			continue;
		expect_leaf(vcpu, shape[i].function, shape[i].index, &want);
		/* Without the flag every index is the same leaf. */
		if (!shape[i].flags)
			expect_leaf(vcpu, shape[i].function, 0x1234, &want);
	}
	/* An index, and a leaf within the range, that were not set. */
	expect_leaf(vcpu, 4, 3, &zero);
	expect_leaf(vcpu, 5, 0, &zero);
}

/* One basic leaf table with this vendor, 7 the last leaf but one set. */
static void set_vendor(struct test_vcpu *vcpu, const char *vendor)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[3];
	} set = {
		.head.nent = 3,
		.e = { { .function = 0, .eax = 3 },
		       { .function = 3, .eax = 0x31, .ebx = 0x32, .ecx = 0x33,
			 .edx = 0x34 },
		       { .function = 0x80000000, .eax = 0x80000000 } },
	};

	memcpy(&set.e[0].ebx, vendor, 4);
	memcpy(&set.e[0].edx, vendor + 4, 4);
	memcpy(&set.e[0].ecx, vendor + 8, 4);
	TEST_CHECK(ioctl(vcpu->fd, KVM_SET_CPUID2, &set) == 0,
		   "KVM_SET_CPUID2");
}

/* Past the last leaf Intel repeats the last basic one, AMD shows zeros. */
TEST(beyond_last_leaf)
{
	static const struct leaf last = { 0x31, 0x32, 0x33, 0x34 }, zero;
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

	set_vendor(vcpu, "GenuineIntel");
	vcpu_set_mode(vcpu, MODE_LONG);
	expect_leaf(vcpu, 9, 0, &last);
	expect_leaf(vcpu, 0x80000009, 0, &last);
	expect_leaf(vcpu, 2, 0, &zero);
	vm_destroy(vcpu->vm);

	vcpu = vm_add_vcpu(vm_create(), 0);
	set_vendor(vcpu, "AuthenticAMD");
	vcpu_set_mode(vcpu, MODE_LONG);
	expect_leaf(vcpu, 9, 0, &zero);
	expect_leaf(vcpu, 0x80000009, 0, &zero);
}

/* Ring 3 and real mode may ask as well. */
TEST(other_modes)
{
	static const uint8_t ring3[] = { 0x0f, 0xa2, 0x0f, 0x0b };
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	struct kvm_regs regs;

	set_vendor(vcpu, "GenuineIntel");
	vcpu_set_mode(vcpu, MODE_LONG_R3);
	vm_load_bytes(vcpu->vm, ring3, sizeof(ring3));
	vcpu_get_regs(vcpu, &regs);
	regs.rax = 3;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0x31, regs.rax);
	EXPECT_EQ(0x34, regs.rdx);

	vcpu_set_mode(vcpu, MODE_REAL);
	memset(&regs, 0, sizeof(regs));
	regs.rax = 3;
	EXPECT_EQ(-1, vcpu_try(vcpu, cpuid_insn, 2, &regs, NULL));
	EXPECT_EQ(0x31, regs.rax);
	EXPECT_EQ(0x32, regs.rbx);
}

/* A leaf nobody is shown is not there: no VMX, no SVM in minikvm's table. */
TEST(no_nesting)
{
	int dev = test_open_device();
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(dev);
	struct kvm_cpuid_entry2 *e;

	if (!test_device_is_minikvm())
		SKIP(return, "stock KVM can nest");
	e = test_cpuid_entry(cpuid, 1, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(0, e->ecx & 1 << 5);
	e = test_cpuid_entry(cpuid, 0x80000001, 0);
	if (e)
		EXPECT_EQ(0, e->ecx & 1 << 2);
	free(cpuid);
}

TEST(counted)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	int i;

	if (!stats_available())
		SKIP(return, "only minikvm has these counters");
	vcpu_set_mode(vcpu, MODE_LONG);
	for (i = 0; i < 9; i++)
		guest_cpuid(vcpu, i, 0);
	EXPECT_EQ(9, stats_exit_count(vcpu, STATS_CPUID));
	EXPECT_EQ(9, stats_exit_count(vcpu, STATS_HLT));
}

TEST_HARNESS_MAIN
