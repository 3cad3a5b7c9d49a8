// SPDX-License-Identifier: GPL-2.0
/*
 * MSRs that userspace takes away from the guest (KVM_X86_SET_MSR_FILTER), and
 * accesses that it makes itself (KVM_CAP_X86_USER_SPACE_MSR).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/msr.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define MSR_PAT			0x277
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_POWER_CTL		0x1fc
#define MSR_X2APIC_ID		0x802
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_SYSCALL_MASK	0xc0000084
#define MSR_GS_BASE		0xc0000101
#define MSR_NONE		0x00012345	/* no CPU has it */

#define BAD_PAT			2ull

#define READ			KVM_MSR_FILTER_READ
#define WRITE			KVM_MSR_FILTER_WRITE
#define DENY			KVM_MSR_FILTER_DEFAULT_DENY
#define MAX_MSRS		(KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8)

#define INVAL			KVM_MSR_EXIT_REASON_INVAL
#define UNKNOWN			KVM_MSR_EXIT_REASON_UNKNOWN
#define FILTER			KVM_MSR_EXIT_REASON_FILTER

static const uint8_t rdmsr_insn[] = { 0x0f, 0x32, 0xf4 };
static const uint8_t wrmsr_insn[] = { 0x0f, 0x30, 0xf4 };

static struct test_vcpu *new_vcpu(void)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, MODE_LONG);
	return vcpu;
}

static int enable_reasons(struct test_vcpu *vcpu, uint64_t reasons)
{
	struct kvm_enable_cap c = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { reasons },
	};

	return ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &c) ? -errno : 0;
}

static int set_filter(struct test_vcpu *vcpu, const struct kvm_msr_filter *f)
{
	return ioctl(vcpu->vm->fd, KVM_X86_SET_MSR_FILTER, f) ? -errno : 0;
}

/* --- Accesses that userspace makes ------------------------------------------------ */

/* RDMSR or WRMSR up to userspace, which has to be asked like this. */
static void run_to_user(struct test_vcpu *vcpu, bool write, uint32_t index,
			uint64_t value, uint32_t reason)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 2,
		.rcx = index,
		.rax = 0x1100000000 | (uint32_t)value,
		.rdx = 0x2200000000 | value >> 32,
	};

	vm_load_bytes(vcpu->vm, write ? wrmsr_insn : rdmsr_insn, 3);
	vcpu_set_regs(vcpu, &regs);
	/* The file's page keeps nothing of the exit before. */
	memset(&run->msr, 0xee, sizeof(run->msr));
	vcpu_run_expect(vcpu, write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR);
	TEST_EQ(0, run->msr.error, "error");
	TEST_EQ(0, run->msr.pad[0] | run->msr.pad[3] | run->msr.pad[6], "pad");
	TEST_EQ(reason, run->msr.reason, "reason");
	TEST_EQ(index, run->msr.index, "index");
	TEST_EQ(write ? value : 0, run->msr.data, "data");
	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(GUEST_CODE, regs.rip, "RIP before the completion");
}

/* The same, and userspace's answer; returns the vector, or -1. */
static int by_user(struct test_vcpu *vcpu, bool write, uint32_t index,
		   uint64_t *value, uint32_t reason, uint8_t error)
{
	struct guest_exception *rec = vm_exception(vcpu->vm);
	uint64_t answer = *value;
	struct kvm_regs regs;

	run_to_user(vcpu, write, index, write ? *value : 0, reason);
	if (!write)
		vcpu->run->msr.data = answer;
	/* What is only for information. */
	vcpu->run->msr.index = 0x1b;
	vcpu->run->msr.reason = 0xffffffff;
	vcpu->run->msr.error = error;
	vcpu_run_expect(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &regs);
	if (rec->count) {
		int vector = rec->vector;

		TEST_EQ(0, rec->error, "error code");
		TEST_EQ(GUEST_CODE, rec->rip, "RIP of the exception");
		memset(rec, 0, sizeof(*rec));
		return vector;
	}
	TEST_EQ(GUEST_CODE + 3, regs.rip, "RIP at the HLT");
	if (!write) {
		TEST_EQ((uint32_t)answer, regs.rax, "RAX");
		TEST_EQ(answer >> 32, regs.rdx, "RDX");
	}
	return -1;
}

TEST(enable_cap)
{
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_enable_cap c = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .flags = 1, .args = { INVAL },
	};
	uint64_t value;

	EXPECT_EQ(1, test_has_cap(vcpu->vm->fd, KVM_CAP_X86_USER_SPACE_MSR));
	EXPECT_EQ(1, test_has_cap(vcpu->vm->fd, KVM_CAP_X86_MSR_FILTER));
	EXPECT_EQ(-1, ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &c));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-EINVAL, enable_reasons(vcpu, 8));
	EXPECT_EQ(-EINVAL, enable_reasons(vcpu, 1ull << 32 | UNKNOWN));
	/* Nothing has changed. */
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_NONE, &value));
	EXPECT_EQ(0, enable_reasons(vcpu, INVAL | UNKNOWN | FILTER));
	EXPECT_EQ(0, enable_reasons(vcpu, 0));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_NONE, &value));
}

TEST(unknown_msr)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value = 0xfedcba9876543210;

	ASSERT_EQ(0, enable_reasons(vcpu, UNKNOWN));
	EXPECT_EQ(-1, by_user(vcpu, false, MSR_NONE, &value, UNKNOWN, 0));
	EXPECT_EQ(-1, by_user(vcpu, true, MSR_NONE, &value, UNKNOWN, 0));
	EXPECT_EQ(VECTOR_GP, by_user(vcpu, false, MSR_NONE, &value, UNKNOWN, 1));
	EXPECT_EQ(VECTOR_GP, by_user(vcpu, true, 0xdeadbeef, &value, UNKNOWN, 0x80));
	EXPECT_EQ(-1, by_user(vcpu, false, 0xffffffff, &value, UNKNOWN, 0));
	/* What exists stays inside, and what it refuses too. */
	EXPECT_EQ(-1, guest_write(vcpu, MSR_STAR, 5));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_PAT, BAD_PAT));
}

TEST(refused_value)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t pat = BAD_PAT, value = 5, old;

	ASSERT_EQ(0, enable_reasons(vcpu, INVAL));
	old = guest_value(vcpu, MSR_PAT);
	EXPECT_EQ(-1, by_user(vcpu, true, MSR_PAT, &pat, INVAL, 0));
	EXPECT_EQ(VECTOR_GP, by_user(vcpu, true, MSR_PAT, &pat, INVAL, 1));
	EXPECT_EQ(old, guest_value(vcpu, MSR_PAT));
	value = 0x2ff;
	EXPECT_EQ(-1, by_user(vcpu, true, MSR_MTRR_DEF_TYPE, &value, INVAL, 0));
	/* Not what does not exist. */
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_NONE, &value));
	/* An access by userspace is not one of the guest. */
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_PAT, BAD_PAT));
}

/* KVM_RUN completes the access also when it must not enter the guest. */
TEST(completed_without_entry)
{
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_regs regs;

	ASSERT_EQ(0, enable_reasons(vcpu, UNKNOWN));
	run_to_user(vcpu, false, MSR_NONE, 0, UNKNOWN);
	vcpu->run->msr.data = 0x123400005678;
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EINTR, errno);
	vcpu->run->immediate_exit = 0;
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 2, regs.rip);
	EXPECT_EQ(0x5678, regs.rax);
	EXPECT_EQ(0x1234, regs.rdx);
	/* Once. */
	vcpu->run->msr.data = 9;
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0x5678, regs.rax);
}

/* A vCPU that userspace has put elsewhere does not see the answer. */
TEST(moved_meanwhile)
{
	struct test_vcpu *vcpu = new_vcpu();
	struct kvm_regs regs;

	SKIP_IF_STOCK(true, "completes whatever comes next");
	ASSERT_EQ(0, enable_reasons(vcpu, UNKNOWN));
	run_to_user(vcpu, false, MSR_NONE, 0, UNKNOWN);
	vcpu_get_regs(vcpu, &regs);
	regs.rip = GUEST_CODE + 2;
	vcpu_set_regs(vcpu, &regs);
	vcpu->run->msr.data = 0x999;
	vcpu->run->msr.error = 1;
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 3, regs.rip);
	EXPECT_EQ(0x1100000000, regs.rax);
}

/* --- Filters ------------------------------------------------------------------------- */

/* A bitmap in which all is allowed but these. */
static void deny_in(uint8_t *bitmap, size_t size, unsigned int nr)
{
	memset(bitmap, 0xff, size);
	bitmap[nr / 8] &= ~(1 << nr % 8);
}

TEST(deny_one)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint8_t bitmap[16];
	struct kvm_msr_filter f = {
		.ranges = {
			{ READ, 0x40, 0xc0000080, bitmap },
			{ WRITE, 1, MSR_POWER_CTL, (uint8_t *)"\0\0\0\0\0\0\0" },
		},
	};
	uint64_t value = 0x77;

	deny_in(bitmap, sizeof(bitmap), MSR_STAR & 0x3f);
	vcpu_set_msr(vcpu, MSR_POWER_CTL, 3);
	EXPECT_EQ(0, set_filter(vcpu, &f));
	memset(bitmap, 0, sizeof(bitmap));	/* it has been copied */
	EXPECT_EQ(-1, guest_write(vcpu, MSR_STAR, 5));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_STAR, &value));
	EXPECT_EQ(-1, guest_read(vcpu, MSR_LSTAR, &value));
	EXPECT_EQ(3, guest_value(vcpu, MSR_POWER_CTL));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_POWER_CTL, 5));
	/* Userspace is free. */
	EXPECT_EQ(5, vcpu_get_msr(vcpu, MSR_STAR));
	vcpu_set_msr(vcpu, MSR_POWER_CTL, 6);
	EXPECT_EQ(6, guest_value(vcpu, MSR_POWER_CTL));

	/* Others decide nothing about what is filtered. */
	ASSERT_EQ(0, enable_reasons(vcpu, INVAL | UNKNOWN));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_STAR, &value));
	ASSERT_EQ(0, enable_reasons(vcpu, FILTER));
	value = 0x123456789a;
	EXPECT_EQ(-1, by_user(vcpu, false, MSR_STAR, &value, FILTER, 0));
	EXPECT_EQ(-1, by_user(vcpu, true, MSR_POWER_CTL, &value, FILTER, 0));
	EXPECT_EQ(VECTOR_GP, by_user(vcpu, true, MSR_POWER_CTL, &value, FILTER, 1));
	EXPECT_EQ(6, vcpu_get_msr(vcpu, MSR_POWER_CTL));

	/* An empty filter takes nothing away. */
	f = (struct kvm_msr_filter){};
	EXPECT_EQ(0, set_filter(vcpu, &f));
	EXPECT_EQ(5, guest_value(vcpu, MSR_STAR));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_POWER_CTL, 7));
	EXPECT_EQ(7, vcpu_get_msr(vcpu, MSR_POWER_CTL));
}

/* Everything that is not said to be allowed; the APIC's are never filtered. */
TEST(deny_by_default)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint8_t ones[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct kvm_msr_filter f = {
		.flags = DENY,
		.ranges = { { READ, 2, MSR_STAR, ones } },
	};
	uint64_t value = 1;

	EXPECT_EQ(0, set_filter(vcpu, &f));
	EXPECT_EQ(-1, guest_read(vcpu, MSR_STAR, &value));
	EXPECT_EQ(-1, guest_read(vcpu, MSR_STAR + 1, &value));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_STAR + 2, &value));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_STAR - 1, &value));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_STAR, 1));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_GS_BASE, &value));

	ASSERT_EQ(0, enable_reasons(vcpu, FILTER | UNKNOWN));
	EXPECT_EQ(-1, by_user(vcpu, true, MSR_STAR, &value, FILTER, 0));
	/* The filter comes first: nobody looks whether it exists. */
	EXPECT_EQ(-1, by_user(vcpu, false, MSR_NONE, &value, FILTER, 0));
	EXPECT_EQ(-1, by_user(vcpu, false, MSR_GS_BASE, &value, FILTER, 0));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_X2APIC_ID, &value));
}

/* The first range with the MSR and the direction decides. */
TEST(order_of_ranges)
{
	struct test_vcpu *vcpu = new_vcpu();
	uint8_t ones[8] = { 0xff }, zeroes[8] = { 0 };
	struct kvm_msr_filter f = {
		.ranges = {
			[2] = { READ, 1, MSR_STAR, ones },
			[3] = { READ | WRITE, 2, MSR_STAR, zeroes },
			[15] = { WRITE, 2, MSR_STAR, ones },
		},
	};
	uint64_t value;

	EXPECT_EQ(0, set_filter(vcpu, &f));
	EXPECT_EQ(-1, guest_read(vcpu, MSR_STAR, &value));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_STAR, 0));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_LSTAR, &value));
	EXPECT_EQ(VECTOR_GP, guest_write(vcpu, MSR_LSTAR, 0));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_SYSCALL_MASK, 0));
}

/* Bit by bit, up to the last of the largest bitmap. */
TEST(bits)
{
	static const unsigned int bits[] = {
		0, 1, 7, 8, 63, 64, 65, MAX_MSRS - 2, MAX_MSRS - 1,
	};
	static uint8_t bitmap[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	struct test_vcpu *vcpu = new_vcpu();
	uint64_t value = 0x5566778899;
	unsigned int i, k;

	ASSERT_EQ(0, enable_reasons(vcpu, FILTER | UNKNOWN));
	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		struct kvm_msr_filter f = {
			.ranges[0] = { READ, MAX_MSRS, 0x50000000, bitmap },
		};

		deny_in(bitmap, sizeof(bitmap), bits[i]);
		EXPECT_EQ(0, set_filter(vcpu, &f));
		for (k = 0; k < ARRAY_SIZE(bits); k++)
			by_user(vcpu, false, 0x50000000 + bits[k], &value,
				i == k ? FILTER : UNKNOWN, 0);
		by_user(vcpu, false, 0x50000000 + MAX_MSRS, &value, UNKNOWN, 0);
		by_user(vcpu, false, 0x50000000 - 1, &value, UNKNOWN, 0);
	}
}

/* What is not a filter changes nothing. */
TEST(invalid_filters)
{
	static uint8_t ones[KVM_MSR_FILTER_MAX_BITMAP_SIZE + 8];
	struct test_vcpu *vcpu = new_vcpu();
	const struct {
		int want;
		struct kvm_msr_filter f;
	} rows[] = {
		{ -EINVAL, { .flags = 2 } },
		{ -EINVAL, { .flags = 0x80000000,
			     .ranges[0] = { READ, 1, 0, ones } } },
		/* To deny everything by no range at all. */
		{ -EINVAL, { .flags = DENY } },
		{ -EINVAL, { .flags = DENY, .ranges[0] = { READ, 0, 5, ones } } },
		{ -EINVAL, { .ranges[0] = { 0, 1, 0, ones } } },
		{ -EINVAL, { .ranges[0] = { 4, 1, 0, ones } } },
		{ -EINVAL, { .ranges[15] = { READ | 4, 1, 0, ones } } },
		{ -EINVAL, { .ranges[0] = { READ, MAX_MSRS + 1, 0, ones } } },
		{ -EINVAL, { .ranges[0] = { READ, -1u, 0, ones } } },
		{ -EINVAL, { .ranges[0] = { READ, 1u << 31, 0, ones } } },
		{ -EINVAL, { .ranges = { { READ, 1, 0, ones },
					 { READ, MAX_MSRS + 1, 0, ones } } } },
		{ -EFAULT, { .ranges[0] = { READ, 1, 0, NULL } } },
		{ -EFAULT, { .ranges = { { READ, 1, 0, ones },
					 { READ, 64, 0, (void *)-8ul } } } },
	};
	struct kvm_msr_filter f = {
		.ranges[0] = { READ, 1, MSR_STAR, (uint8_t *)"\0\0\0\0\0\0\0" },
	};
	uint64_t value;
	unsigned int i;

	EXPECT_EQ(0, set_filter(vcpu, &f));
	memset(ones, 0xff, sizeof(ones));
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		TEST_EQ(rows[i].want, set_filter(vcpu, &rows[i].f), "row %u", i);
		TEST_EQ(VECTOR_GP, guest_read(vcpu, MSR_STAR, &value),
			"RDMSR after row %u", i);
	}
	/* A range of nothing is no range, whatever else it says. */
	f.ranges[1] = (struct kvm_msr_filter_range){ ~0u, 0, 0, NULL };
	EXPECT_EQ(0, set_filter(vcpu, &f));
	EXPECT_EQ(-1, ioctl(vcpu->vm->fd, KVM_X86_SET_MSR_FILTER, NULL));
	EXPECT_EQ(EFAULT, errno);
}

/* --- While vCPUs run --------------------------------------------------------------------- */

/*
 * A guest that does nothing but RDMSR, and counts: RBX. Filters that deny and
 * allow come and go; with one that denies in force every RDMSR exits.
 */
static const uint8_t loop_insns[] = {
	0x0f, 0x32,			/* rdmsr */
	0x48, 0xff, 0xc3,		/* inc %rbx */
	0xeb, 0xf9,			/* jmp to the beginning */
};

struct runner {
	struct test_vcpu *vcpu;
	uint64_t exits;
	bool stop;
};

static void *run_thread(void *arg)
{
	struct runner *r = arg;
	struct test_vcpu *vcpu = r->vcpu;

	while (!__atomic_load_n(&r->stop, __ATOMIC_SEQ_CST)) {
		if (__vcpu_run(vcpu))
			continue;		/* a signal */
		vcpu_expect(vcpu, KVM_EXIT_X86_RDMSR);
		TEST_EQ(MSR_STAR, vcpu->run->msr.index, "index");
		TEST_EQ(FILTER, vcpu->run->msr.reason, "reason");
		vcpu->run->msr.data = 7;
		__atomic_add_fetch(&r->exits, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void nothing(int sig)
{
}

static uint64_t exits_of(struct runner *r)
{
	return __atomic_load_n(&r->exits, __ATOMIC_SEQ_CST);
}

TEST(filters_change_under_guest)
{
	struct kvm_msr_filter allow = {}, deny = {
		.ranges[0] = { READ, 1, MSR_STAR, (uint8_t *)"\0\0\0\0\0\0\0" },
	};
	struct test_vcpu *vcpu = new_vcpu();
	struct runner r = { .vcpu = vcpu };
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 0x202,
		.rcx = MSR_STAR,
	};
	uint64_t before;
	pthread_t thread;
	int i, k;

	signal(SIGUSR1, nothing);
	ASSERT_EQ(0, enable_reasons(vcpu, FILTER));
	vm_load_bytes(vcpu->vm, loop_insns, sizeof(loop_insns));
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, &r));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, set_filter(vcpu, &deny));
		/* In force for a guest that has not been told. */
		for (before = exits_of(&r); exits_of(&r) < before + 2;)
			usleep(100);
		ASSERT_EQ(0, set_filter(vcpu, &allow));
		/* One that was on its way may still arrive. */
		usleep(1000);
		for (k = 0, before = exits_of(&r); k < 5; k++)
			usleep(100);
		EXPECT_GE(before + 1, exits_of(&r));
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_SEQ_CST);
	while (pthread_kill(thread, SIGUSR1) == 0 && pthread_tryjoin_np(thread, NULL))
		usleep(1000);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_LT(exits_of(&r), regs.rbx);
}

/* --- 32-bit programs ------------------------------------------------------------------------ */

struct range32 {
	uint32_t flags, nmsrs, base, bitmap;
};

struct filter32 {
	uint32_t flags;
	struct range32 ranges[KVM_MSR_FILTER_MAX_RANGES];
};

#define SET_FILTER32		_IOW(KVMIO, 0xc6, struct filter32)

static long ioctl32(int fd, unsigned int request, unsigned int arg)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "a" (54), "b" (fd), "c" (request), "d" (arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

static void no_ia32(int sig)
{
	_exit(99);
}

TEST(compat)
{
	struct test_vcpu *vcpu = new_vcpu();
	struct filter32 *f;
	uint64_t value;
	int status;
	pid_t pid;

	/* Kernels without IA32 emulation answer by a signal. */
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, no_ia32);
		_exit(ioctl32(-1, 0, 0) == -EBADF ? 0 : 99);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		SKIP(return, "no IA32 emulation");

	f = mmap(NULL, 2 * TEST_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)f);
	f->ranges[15] = (struct range32){ READ, 2, MSR_STAR, (uintptr_t)(f + 1) };
	*(uint8_t *)(f + 1) = 2;
	EXPECT_EQ(0, ioctl32(vcpu->vm->fd, SET_FILTER32, (uintptr_t)f));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_STAR, &value));
	EXPECT_EQ(-1, guest_read(vcpu, MSR_LSTAR, &value));
	f->flags = 2;
	EXPECT_EQ(-EINVAL, ioctl32(vcpu->vm->fd, SET_FILTER32, (uintptr_t)f));
	EXPECT_EQ(-EFAULT, ioctl32(vcpu->vm->fd, SET_FILTER32, 0));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, MSR_STAR, &value));
	/* Not for programs with pointers of 64 bits. */
	f->flags = 0;
	EXPECT_EQ(-1, ioctl(vcpu->vm->fd, SET_FILTER32, f));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_HARNESS_MAIN
