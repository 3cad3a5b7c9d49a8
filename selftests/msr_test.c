// SPDX-License-Identifier: GPL-2.0
/*
 * MSRs: from userspace, from the guest, and each side seeing what the other
 * wrote; what nobody may write; and the instructions that use them.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/msr.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define MSR_TSC			0x10
#define MSR_APIC_BASE		0x1b
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MISC_ENABLE		0x1a0
#define MSR_PAT			0x277
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SYSCALL_MASK	0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103
#define MSR_NONE		0x00012345	/* no CPU has it */

#define EFER_SCE		(1ull << 0)
#define EFER_LME		(1ull << 8)
#define EFER_LMA		(1ull << 10)
#define EFER_NX			(1ull << 11)

#define NOT_CANONICAL		0x8000000000000000ull
#define STATUS_FLAGS		0x8d5ull	/* OF, SF, ZF, AF, PF, CF */

GUEST_DECLARE(guest_swapgs);
GUEST_DECLARE(guest_syscall);
GUEST_DECLARE(guest_sysenter);
GUEST_DECLARE(guest_sysenter32);
extern const uint8_t syscall_entry[], sysenter_entry[], sysenter_entry32[];

static struct test_vcpu *new_vcpu(void)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, MODE_LONG);
	return vcpu;
}

/* RCX has 64 bits; RDMSR and WRMSR look at the lower 32. */
#define RCX_JUNK	0xabcd00000000ull

TEST(rcx_upper_half)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value;

	EXPECT_EQ(-1, guest_write_rcx(vcpu, RCX_JUNK | MSR_STAR, 0x1234));
	EXPECT_EQ(0x1234, vcpu_get_msr(vcpu, MSR_STAR));
	EXPECT_EQ(-1, guest_read_rcx(vcpu, RCX_JUNK | MSR_STAR, &value));
	EXPECT_EQ(0x1234, value);
	EXPECT_EQ(VECTOR_GP, guest_read_rcx(vcpu, RCX_JUNK | MSR_NONE, &value));
}

/* The same for MSRs below 0x2000. */
TEST(rcx_upper_half_low_msr)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value, pat = 0x0706050401000007;

	vcpu_set_msr(vcpu, MSR_PAT, pat);
	EXPECT_EQ(-1, guest_read_rcx(vcpu, RCX_JUNK | MSR_PAT, &value));
	SKIP_IF_TCG(value != pat,
		    "looks into the MSR permission map with all 64 bits of RCX");
	EXPECT_EQ(pat, value);
	pat = 0x0006000600060006;
	EXPECT_EQ(-1, guest_write_rcx(vcpu, RCX_JUNK | MSR_PAT, pat));
	EXPECT_EQ(pat, vcpu_get_msr(vcpu, MSR_PAT));
	EXPECT_EQ(VECTOR_GP, guest_write_rcx(vcpu, RCX_JUNK | MSR_PAT, 2));
}

/* A random address: canonical. */
static uint64_t address(void)
{
	return (int64_t)(rand_u64() << 17) >> 17;
}

/* Both directions for MSRs that hold what they are given. */
TEST(keep_values)
{
	const uint64_t sysenter = test_vendor()->sysenter_mask;
	const struct {
		uint32_t index;
		uint64_t mask;
	} msrs[] = {
		{ MSR_SYSENTER_CS, 0xfffc },
		{ MSR_SYSENTER_ESP, 0x7fffffffffff & sysenter },
		{ MSR_SYSENTER_EIP, 0x7fffffffffff & sysenter },
		{ MSR_STAR, ~0ull },
		{ MSR_LSTAR, 0x7fffffffffff },
		{ MSR_CSTAR, 0x7fffffffffff },
		{ MSR_SYSCALL_MASK, 0xffffffff },
		{ MSR_FS_BASE, 0x7fffffffffff },
		{ MSR_GS_BASE, 0x7fffffffffff },
		{ MSR_KERNEL_GS_BASE, 0x7fffffffffff },
	};
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t values[ARRAY_SIZE(msrs)];
	unsigned int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < ARRAY_SIZE(msrs); i++) {
			values[i] = rand_u64() & msrs[i].mask;
			vcpu_set_msr(vcpu, msrs[i].index, values[i]);
		}
		for (i = 0; i < ARRAY_SIZE(msrs); i++)
			TEST_EQ(values[i], guest_value(vcpu, msrs[i].index),
				"guest reads %#x", msrs[i].index);
		for (i = 0; i < ARRAY_SIZE(msrs); i++) {
			values[i] = rand_u64() & msrs[i].mask;
			TEST_EQ(-1, guest_write(vcpu, msrs[i].index, values[i]),
				"guest writes %#x", msrs[i].index);
		}
		for (i = 0; i < ARRAY_SIZE(msrs); i++) {
			TEST_EQ(values[i], vcpu_get_msr(vcpu, msrs[i].index),
				"userspace reads %#x", msrs[i].index);
			TEST_EQ(values[i], guest_value(vcpu, msrs[i].index),
				"guest reads again %#x", msrs[i].index);
		}
	}
}

/* Addresses with the sign in the upper half are canonical too. */
TEST(negative_addresses)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value = address() | 0xffff800000000000;

	EXPECT_EQ(-1, guest_write(vcpu, MSR_LSTAR, value));
	EXPECT_EQ(value, vcpu_get_msr(vcpu, MSR_LSTAR));
	vcpu_set_msr(vcpu, MSR_KERNEL_GS_BASE, value);
	EXPECT_EQ(value, guest_value(vcpu, MSR_KERNEL_GS_BASE));
}

TEST(not_canonical)
{
	static const uint32_t msrs[] = {
		MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE,
		MSR_KERNEL_GS_BASE,
	};
	struct test_vcpu *vcpu = new_vcpu();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		uint64_t value = rand_u64() & 0x7fffffff;

		vcpu_set_msr(vcpu, msrs[i], value);
		TEST_EQ(0, __vcpu_set_msr(vcpu, msrs[i], NOT_CANONICAL),
			"KVM_SET_MSRS %#x", msrs[i]);
		TEST_EQ(value, vcpu_get_msr(vcpu, msrs[i]), "%#x after",
			msrs[i]);
	}
}

TEST(not_canonical_wrmsr)
{
	static const uint32_t msrs[] = {
		MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE,
		MSR_KERNEL_GS_BASE,
	};
	struct test_vcpu *vcpu = new_vcpu();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		uint64_t value = rand_u64() & 0x7fffffff;
		int vector;

		vcpu_set_msr(vcpu, msrs[i], value);
		vector = guest_write(vcpu, msrs[i], NOT_CANONICAL);
		SKIP_IF_STOCK(vector < 0 && test_cpu_is_tcg(),
			      "leaves WRMSR to the CPU, and TCG takes any address");
		TEST_EQ(VECTOR_GP, vector, "WRMSR %#x", msrs[i]);
		TEST_EQ(VECTOR_GP, guest_write(vcpu, msrs[i], 1ull << 47),
			"WRMSR %#x", msrs[i]);
		TEST_EQ(value, vcpu_get_msr(vcpu, msrs[i]), "%#x after",
			msrs[i]);
	}
}

/* FS and GS base are the segments' bases. */
TEST(segment_bases)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t fs = address(), gs = address();
	struct kvm_sregs s;

	EXPECT_EQ(-1, guest_write(vcpu, MSR_FS_BASE, fs));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_GS_BASE, gs));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(fs, s.fs.base);
	EXPECT_EQ(gs, s.gs.base);
	s.fs.base = gs;
	s.gs.base = fs;
	vcpu_set_sregs(vcpu, &s);
	EXPECT_EQ(gs, guest_value(vcpu, MSR_FS_BASE));
	EXPECT_EQ(fs, vcpu_get_msr(vcpu, MSR_GS_BASE));
}

/* SWAPGS makes no exit; userspace has to see what it did all the same. */
TEST(swapgs)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_swapgs));
	uint64_t a = 0x1111, b = 0x2222;
	struct kvm_regs regs;
	struct kvm_sregs s;

	vm_write(vcpu->vm, GUEST_DATA, &a, 8);
	vm_write(vcpu->vm, GUEST_DATA + 0x100, &b, 8);
	vcpu_set_msr(vcpu, MSR_GS_BASE, GUEST_DATA);
	vcpu_set_msr(vcpu, MSR_KERNEL_GS_BASE, GUEST_DATA + 0x100);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(a, regs.r8);
	EXPECT_EQ(b, regs.r9);
	EXPECT_EQ(GUEST_DATA, regs.r10);
	EXPECT_EQ(GUEST_DATA, vcpu_get_msr(vcpu, MSR_KERNEL_GS_BASE));
	EXPECT_EQ(GUEST_DATA + 0x100, vcpu_get_msr(vcpu, MSR_GS_BASE));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(GUEST_DATA + 0x100, s.gs.base);
}

/* An MSR that does not exist: #GP, and userspace's list ends before it. */
TEST(unknown)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[3];
	} m = {
		.head.nmsrs = 3,
		.e = { { .index = MSR_STAR, .data = 1 },
		       { .index = MSR_NONE, .data = 2 },
		       { .index = MSR_LSTAR, .data = 3 } },
	};
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value;

	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_NONE, &value));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_NONE, 0));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, 0xffffffff, &value));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, 0xc0011fff, &value));
	EXPECT_EQ(0, __vcpu_get_msr(vcpu, MSR_NONE, &value));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_NONE, 0));

	vcpu_set_msr(vcpu, MSR_LSTAR, 77);
	EXPECT_EQ(1, ioctl(vcpu->fd, KVM_SET_MSRS, &m));
	EXPECT_EQ(1, vcpu_get_msr(vcpu, MSR_STAR));
	EXPECT_EQ(77, vcpu_get_msr(vcpu, MSR_LSTAR));
	EXPECT_EQ(1, ioctl(vcpu->fd, KVM_GET_MSRS, &m));
}

TEST(efer)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t base = EFER_LME | EFER_LMA;
	struct kvm_sregs s;

	EXPECT_EQ(base, guest_value(vcpu, MSR_EFER));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_EFER, base | EFER_SCE));
	EXPECT_EQ(base | EFER_SCE, guest_value(vcpu, MSR_EFER));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(base | EFER_SCE, s.efer);
	EXPECT_EQ(base | EFER_SCE, vcpu_get_msr(vcpu, MSR_EFER));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_EFER, base | EFER_NX));
	EXPECT_EQ(base | EFER_NX, guest_value(vcpu, MSR_EFER));

	/* LME cannot change with paging on; reserved bits never. */
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_EFER, EFER_LMA));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_EFER, base | 1 << 9));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_EFER, base | 1ull << 40));
	EXPECT_EQ(base | EFER_NX, guest_value(vcpu, MSR_EFER));
	s.efer = base | EFER_SCE | EFER_NX;
	vcpu_set_sregs(vcpu, &s);
	EXPECT_EQ(base | EFER_SCE | EFER_NX, guest_value(vcpu, MSR_EFER));
}

/* EFER.NX decides whether bit 63 of an entry means something. */
TEST(efer_nx)
{
	static const uint8_t jump[] = { 0xff, 0xe7 };	/* jmp *%rdi */
	static const uint8_t load[] = { 0x8b, 0x07 };
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_regs regs = { .rdi = 0x7f000 };
	int64_t error;

	*vm_pte(vcpu->vm, 0x7f000) |= 1ull << 63;
	EXPECT_EQ(VECTOR_PF, vcpu_try(vcpu, load, sizeof(load), &regs, &error));
	EXPECT_EQ(8, error & 8);	/* a reserved bit */
	EXPECT_EQ(-1, guest_write(vcpu, MSR_EFER,
				  EFER_LME | EFER_LMA | EFER_NX));
	EXPECT_EQ(-1, vcpu_try(vcpu, load, sizeof(load), &regs, &error));
	EXPECT_EQ(VECTOR_PF, vcpu_try(vcpu, jump, sizeof(jump), &regs, &error));
	EXPECT_EQ(0x11, error);		/* a fetch, present */
}

/* A page with a reserved bit set is a page that is present. */
TEST(efer_nx_error_code)
{
	static const uint8_t load[] = { 0x8b, 0x07 };
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_regs regs = { .rdi = 0x7f000 };
	int64_t error;

	*vm_pte(vcpu->vm, 0x7f000) |= 1ull << 63;
	EXPECT_EQ(VECTOR_PF, vcpu_try(vcpu, load, sizeof(load), &regs, &error));
	SKIP_IF_TCG(error == 8, "no P in the error code of reserved bits");
	EXPECT_EQ(9, error);
}

TEST(pat)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value = 0x0706050401000007;

	EXPECT_EQ(0x0007040600070406, guest_value(vcpu, MSR_PAT));
	EXPECT_EQ(0x0007040600070406, vcpu_get_msr(vcpu, MSR_PAT));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_PAT, value));
	EXPECT_EQ(value, guest_value(vcpu, MSR_PAT));
	EXPECT_EQ(value, vcpu_get_msr(vcpu, MSR_PAT));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_PAT, 2));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_PAT, 3ull << 40));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_PAT, 0xf0));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_PAT, 8));
	EXPECT_EQ(value, guest_value(vcpu, MSR_PAT));
}

/* RDTSC, the MSR, and what either side writes to it are one clock. */
TEST(tsc)
{
	static const uint8_t rdtsc[] = { 0x0f, 0x31 };
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_regs regs = {};
	uint64_t last = 0, now;
	int i;

	for (i = 0; i < 5; i++) {
		EXPECT_EQ(-1, vcpu_try(vcpu, rdtsc, 2, &regs, NULL));
		now = regs.rdx << 32 | regs.rax;
		EXPECT_LT(last, now);
		last = now;
		now = guest_value(vcpu, MSR_TSC);
		EXPECT_LT(last, now);
		last = now;
		now = vcpu_get_msr(vcpu, MSR_TSC);
		EXPECT_LT(last, now);
		last = now;
	}
	/* Far ahead, and back. */
	EXPECT_EQ(-1, guest_write(vcpu, MSR_TSC, 1ull << 50));
	now = vcpu_get_msr(vcpu, MSR_TSC);
	EXPECT_LE(1ull << 50, now);
	EXPECT_GT((1ull << 50) + (1ull << 40), now);
	EXPECT_EQ(-1, vcpu_try(vcpu, rdtsc, 2, &regs, NULL));
	EXPECT_LE(now, regs.rdx << 32 | regs.rax);
	vcpu_set_msr(vcpu, MSR_TSC, 1ull << 44);
	now = guest_value(vcpu, MSR_TSC);
	EXPECT_LE(1ull << 44, now);
	EXPECT_GT((1ull << 44) + (1ull << 40), now);
}

/* RDTSCP gives TSC_AUX, the guest's and not the host's. */
TEST(tsc_aux)
{
	static const uint8_t rdtscp[] = { 0x0f, 0x01, 0xf9 };
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 0x80000001, 0);
	uint32_t before, after, value = rand_u64() | 0x80000000;
	struct kvm_regs regs = {};

	if (!e || !(e->edx & 1 << 27)) {
		/* Then the instruction is not there either. */
		EXPECT_EQ(VECTOR_UD, vcpu_try(vcpu, rdtscp, 3, &regs, NULL));
		return;
	}
	asm volatile("rdtscp" : "=c" (before) : : "eax", "edx");
	EXPECT_EQ(-1, guest_write(vcpu, MSR_TSC_AUX, value));
	EXPECT_EQ(-1, vcpu_try(vcpu, rdtscp, 3, &regs, NULL));
	EXPECT_EQ(value, regs.rcx);
	EXPECT_EQ(value, vcpu_get_msr(vcpu, MSR_TSC_AUX));
	vcpu_set_msr(vcpu, MSR_TSC_AUX, value ^ 0xff);
	EXPECT_EQ(-1, vcpu_try(vcpu, rdtscp, 3, &regs, NULL));
	EXPECT_EQ(value ^ 0xff, regs.rcx);
	/* Linux keeps CPU and node there; this process sees them, or others. */
	asm volatile("rdtscp" : "=c" (after) : : "eax", "edx");
	EXPECT_EQ(before & ~0xfff, after & ~0xfff);
	EXPECT_NE(value ^ 0xff, after);
	free(cpuid);
}

TEST(apic_base)
{
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_sregs s;

	EXPECT_EQ(0xfee00900, guest_value(vcpu, MSR_APIC_BASE));
	EXPECT_EQ(0xfee00900, vcpu_get_msr(vcpu, MSR_APIC_BASE));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0xfee00900, s.apic_base);
	/* Reserved bits. */
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_APIC_BASE,
					 0xfee00900 | 1ull << 60));
	EXPECT_EQ(0xfee00900, guest_value(vcpu, MSR_APIC_BASE));
}

/* No BTS and no PEBS for a guest: the register says that they are missing. */
TEST(misc_enable)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value = guest_value(vcpu, MSR_MISC_ENABLE);

	EXPECT_EQ(0x1800, value & 0x1800);
	EXPECT_EQ(value, vcpu_get_msr(vcpu, MSR_MISC_ENABLE));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_MISC_ENABLE, value));
	EXPECT_EQ(value, guest_value(vcpu, MSR_MISC_ENABLE));
}

/* Every MSR that the list names can be read, and written with what it has. */
TEST(index_list)
{
	struct kvm_msr_list probe = { .nmsrs = 0 }, *list;
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value;
	uint32_t i;

	EXPECT_EQ(-1, ioctl(vcpu->vm->dev, KVM_GET_MSR_INDEX_LIST, &probe));
	EXPECT_EQ(E2BIG, errno);
	ASSERT_LT(0, probe.nmsrs);
	list = calloc(1, sizeof(*list) + probe.nmsrs * 4);
	ASSERT_NE(NULL, list);
	list->nmsrs = probe.nmsrs;
	ASSERT_EQ(0, ioctl(vcpu->vm->dev, KVM_GET_MSR_INDEX_LIST, list));
	for (i = 0; i < list->nmsrs; i++) {
		TEST_EQ(1, __vcpu_get_msr(vcpu, list->indices[i], &value),
			"KVM_GET_MSRS %#x", list->indices[i]);
		/* KVM's own clocks want what is not set up here. */
		if (list->indices[i] >> 8 == 0x4b564d)
			continue;
		TEST_EQ(1, __vcpu_set_msr(vcpu, list->indices[i], value),
			"KVM_SET_MSRS %#x to %#lx", list->indices[i], value);
	}
	free(list);
}

/* Ring 3 code that makes a SYSCALL with all status flags; run up to the HLT. */
static struct test_vcpu *run_syscall(struct kvm_regs *regs)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG_R3,
					       GUEST_OF(guest_syscall));

	vcpu_set_msr(vcpu, MSR_EFER, EFER_LME | EFER_LMA | EFER_SCE);
	vcpu_set_msr(vcpu, MSR_STAR, (uint64_t)SEL_CODE64 << 32);
	vcpu_set_msr(vcpu, MSR_LSTAR,
		     GUEST_CODE + (syscall_entry - guest_syscall));
	vcpu_set_msr(vcpu, MSR_SYSCALL_MASK, 0x4c1);
	vcpu_get_regs(vcpu, regs);
	regs->rflags = 0x3ed7;
	vcpu_set_regs(vcpu, regs);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, regs);
	return vcpu;
}

/* SYSCALL: where LSTAR says, with selectors from STAR and flags masked. */
TEST(syscall_entry_point)
{
	struct kvm_regs regs;
	struct test_vcpu *vcpu = run_syscall(&regs);

	EXPECT_EQ(SEL_CODE64, regs.rax);
	EXPECT_EQ(SEL_CODE64 + 8, regs.rbx);
	EXPECT_EQ((0x3ed7 & ~0x4c1) & ~STATUS_FLAGS, regs.rdx & ~STATUS_FLAGS);
	EXPECT_EQ(0x3ed7, regs.r11);
	EXPECT_EQ(GUEST_CODE + 2, regs.rcx);

	/* Without EFER.SCE it is not there. */
	vcpu_set_mode(vcpu, MODE_LONG_R3);
	vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
}

TEST(syscall_status_flags)
{
	struct kvm_regs regs;

	run_syscall(&regs);
	SKIP_IF_TCG(!(regs.rdx & STATUS_FLAGS), "SYSCALL clears the status flags");
	EXPECT_EQ((0x3ed7 & ~0x4c1) & STATUS_FLAGS, regs.rdx & STATUS_FLAGS);
}

/* Put 32-bit code into ring 3. */
static void set_ring3_32(struct test_vcpu *vcpu)
{
	struct kvm_sregs s;

	vcpu_get_sregs(vcpu, &s);
	s.cs.selector = SEL_CODE32_R3;
	s.ss.selector = SEL_DATA_R3;
	s.cs.dpl = s.ss.dpl = 3;
	s.ds = s.es = s.fs = s.gs = s.ss;
	vcpu_set_sregs(vcpu, &s);
}

/* Protected mode, where both vendors have SYSENTER. */
TEST(sysenter_protected_mode)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_PAE,
					       GUEST_OF(guest_sysenter32));
	const uint32_t entry = GUEST_CODE + (sysenter_entry32 - guest_sysenter32);
	struct kvm_regs regs;
	struct kvm_sregs s;

	/* Without a selector: #GP (asked for in ring 0, which may as well). */
	vcpu_run_to_exception(vcpu, VECTOR_GP, 0);
	vcpu_set_mode(vcpu, MODE_PAE);
	set_ring3_32(vcpu);
	vcpu_set_msr(vcpu, MSR_SYSENTER_CS, SEL_CODE32);
	vcpu_set_msr(vcpu, MSR_SYSENTER_ESP, GUEST_STACK0_TOP);
	vcpu_set_msr(vcpu, MSR_SYSENTER_EIP, entry);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(SEL_CODE32, regs.rax);
	EXPECT_EQ(SEL_CODE32 + 8, regs.rbx);
	EXPECT_EQ(GUEST_STACK0_TOP, regs.rsp);
	EXPECT_EQ(entry + 5, regs.rip);
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0, s.cs.dpl);
	EXPECT_EQ(1, s.cs.db);
	EXPECT_EQ(0, s.ss.dpl);
	EXPECT_EQ(0xffffffff, s.cs.limit);
}

TEST(sysenter_long_mode)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG_R3,
					       GUEST_OF(guest_sysenter));
	struct guest_exception exc;
	struct kvm_regs regs;

	if (!test_vendor()->sysenter_in_long_mode) {
		vcpu_set_msr(vcpu, MSR_SYSENTER_CS, SEL_CODE64);
		exc = vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
		EXPECT_EQ(GUEST_CODE, exc.rip);
		EXPECT_EQ(SEL_CODE64_R3, exc.cs);
		return;
	}
	/* Without a selector: #GP. */
	vcpu_run_to_exception(vcpu, VECTOR_GP, 0);
	vcpu_set_mode(vcpu, MODE_LONG_R3);
	vcpu_set_msr(vcpu, MSR_SYSENTER_CS, SEL_CODE64);
	vcpu_set_msr(vcpu, MSR_SYSENTER_ESP, GUEST_STACK0_TOP);
	vcpu_set_msr(vcpu, MSR_SYSENTER_EIP,
		     GUEST_CODE + (sysenter_entry - guest_sysenter));
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(SEL_CODE64, regs.rax);
	EXPECT_EQ(SEL_CODE64 + 8, regs.rbx);
	EXPECT_EQ(GUEST_STACK0_TOP, regs.rsp);
}

/*
 * The host's own system calls go on working with the guest's LSTAR and others
 * in place, and the guest's are there again after.
 */
TEST(host_keeps_its_own)
{
	struct test_vcpu *vcpu = new_vcpu();
	int i;

	for (i = 0; i < 20; i++) {
		uint64_t lstar = address(), mask = rand_u64() & 0x3ffff;

		EXPECT_EQ(-1, guest_write(vcpu, MSR_LSTAR, lstar));
		EXPECT_EQ(-1, guest_write(vcpu, MSR_SYSCALL_MASK, mask));
		EXPECT_LT(0, getpid());
		EXPECT_EQ(lstar, guest_value(vcpu, MSR_LSTAR));
		EXPECT_EQ(mask, guest_value(vcpu, MSR_SYSCALL_MASK));
	}
}

TEST(counted)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value;
	int i;

	if (!stats_available())
		SKIP(return, "only minikvm has these counters");
	for (i = 0; i < 7; i++)
		guest_read(vcpu, MSR_STAR, &value);
	for (i = 0; i < 5; i++)
		guest_write(vcpu, MSR_STAR, value);
	EXPECT_EQ(7 + 5, stats_exit_count(vcpu, STATS_MSR));
	/* AMD has one exit code for both. */
	if (test_vendor()->amd)
		return;
	EXPECT_EQ(7, stats_exit_count(vcpu, STATS_RDMSR));
	EXPECT_EQ(5, stats_exit_count(vcpu, STATS_WRMSR));
}

TEST_HARNESS_MAIN
