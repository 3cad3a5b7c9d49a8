// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's time-stamp counter: its MSRs, its rate, and how the counters of
 * several vCPUs are kept together.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/msr.h"
#include "lib/vm.h"

#define MSR_TSC			0x10
#define MSR_TSC_ADJUST		0x3b

/* What code between two readings may take, and less than what is written. */
#define STEP			(1ull << 40)
#define NEAR(want, got)		TEST_CHECK((got) - (want) < STEP / 4,	\
					   "want %#lx and a bit, got %#lx",	\
					   (unsigned long)(want),		\
					   (unsigned long)(got))

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc; lfence" : "=a" (lo), "=d" (hi));
	return (uint64_t)hi << 32 | lo;
}

static struct test_vcpu *add_vcpu(struct test_vm *vm, int id)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm, id);

	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, MODE_LONG);
	return vcpu;
}

/* RDTSC in the guest. */
static uint64_t guest_tsc(struct test_vcpu *vcpu)
{
	static const uint8_t insn[] = { 0x0f, 0x31 };
	struct kvm_regs regs = {};

	TEST_EQ(-1, vcpu_try(vcpu, insn, sizeof(insn), &regs, NULL), "RDTSC");
	return regs.rdx << 32 | regs.rax;
}

/* --- KVM_VCPU_TSC_OFFSET --------------------------------------------------------- */

static int attr_ioctl(struct test_vcpu *vcpu, unsigned long request,
		      uint32_t group, uint64_t attr, void *addr)
{
	struct kvm_device_attr a = {
		.group = group, .attr = attr, .addr = (uintptr_t)addr,
	};

	return ioctl(vcpu->fd, request, &a) ? -errno : 0;
}

static uint64_t get_offset(struct test_vcpu *vcpu)
{
	uint64_t offset;

	TEST_EQ(0, attr_ioctl(vcpu, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL,
			      KVM_VCPU_TSC_OFFSET, &offset), "get the offset");
	return offset;
}

static void set_offset(struct test_vcpu *vcpu, uint64_t offset)
{
	TEST_EQ(0, attr_ioctl(vcpu, KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL,
			      KVM_VCPU_TSC_OFFSET, &offset), "set the offset");
}

TEST(attribute_errors)
{
	static const unsigned long requests[] = {
		KVM_HAS_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR,
	};
	struct test_vcpu *vcpu = add_vcpu(vm_create(), 0);
	uint64_t offset = 0;
	unsigned int i;

	EXPECT_EQ(1, test_has_cap(vcpu->vm->fd, KVM_CAP_VCPU_ATTRIBUTES));
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		EXPECT_EQ(0, attr_ioctl(vcpu, requests[i], KVM_VCPU_TSC_CTRL,
					KVM_VCPU_TSC_OFFSET, &offset));
		EXPECT_EQ(-ENXIO, attr_ioctl(vcpu, requests[i], KVM_VCPU_TSC_CTRL,
					     1, &offset));
		EXPECT_EQ(-ENXIO, attr_ioctl(vcpu, requests[i], 1,
					     KVM_VCPU_TSC_OFFSET, &offset));
		EXPECT_EQ(i ? -EFAULT : 0,
			  attr_ioctl(vcpu, requests[i], KVM_VCPU_TSC_CTRL,
				     KVM_VCPU_TSC_OFFSET, NULL));
		EXPECT_EQ(-1, ioctl(vcpu->fd, requests[i], NULL));
		EXPECT_EQ(EFAULT, errno);
	}
}

TEST(offset_is_seen)
{
	static const uint64_t offsets[] = { 0, 180000000000, -180000000000ull };
	struct test_vcpu *vcpu = add_vcpu(vm_create(), 0);
	uint64_t start, now, end;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		set_offset(vcpu, offsets[i]);
		EXPECT_EQ(offsets[i], get_offset(vcpu));
		start = rdtsc() + offsets[i];
		now = guest_tsc(vcpu);
		end = rdtsc() + offsets[i];
		TEST_CHECK(now - start <= end - start,
			   "offset %#lx: %#lx not in %#lx .. %#lx", offsets[i],
			   now, start, end);
		start = rdtsc() + offsets[i];
		now = vcpu_get_msr(vcpu, MSR_TSC);
		end = rdtsc() + offsets[i];
		TEST_CHECK(now - start <= end - start,
			   "offset %#lx: MSR %#lx not in %#lx .. %#lx",
			   offsets[i], now, start, end);
		EXPECT_EQ(0, vcpu_get_msr(vcpu, MSR_TSC_ADJUST));
	}
}

/* --- The MSRs ------------------------------------------------------------------------ */

/* What the guest writes moves both; what userspace writes moves one. */
TEST(tsc_and_tsc_adjust)
{
	struct test_vcpu *vcpu = add_vcpu(vm_create(), 0);
	uint64_t adjust;

	EXPECT_EQ(0, guest_value(vcpu, MSR_TSC_ADJUST));
	NEAR(0, guest_value(vcpu, MSR_TSC));

	EXPECT_EQ(-1, guest_write(vcpu, MSR_TSC, STEP));
	NEAR(STEP, guest_value(vcpu, MSR_TSC));
	adjust = guest_value(vcpu, MSR_TSC_ADJUST);
	TEST_CHECK(STEP - adjust < STEP / 4, "adjust %#lx", adjust);

	EXPECT_EQ(-1, guest_write(vcpu, MSR_TSC_ADJUST, adjust + STEP));
	NEAR(2 * STEP, guest_tsc(vcpu));
	EXPECT_EQ(adjust + STEP, vcpu_get_msr(vcpu, MSR_TSC_ADJUST));

	vcpu_set_msr(vcpu, MSR_TSC, 9 * STEP);
	NEAR(9 * STEP, guest_tsc(vcpu));
	EXPECT_EQ(adjust + STEP, guest_value(vcpu, MSR_TSC_ADJUST));
	vcpu_set_msr(vcpu, MSR_TSC_ADJUST, 123 * STEP);
	NEAR(9 * STEP, vcpu_get_msr(vcpu, MSR_TSC));
	EXPECT_EQ(123 * STEP, guest_value(vcpu, MSR_TSC_ADJUST));

	/* Userspace's offset stays when the guest adjusts. */
	EXPECT_EQ(-1, guest_write(vcpu, MSR_TSC_ADJUST, 124 * STEP));
	NEAR(10 * STEP, guest_tsc(vcpu));
}

/* Without the bit in CPUID the guest's write does nothing. */
TEST(tsc_adjust_without_cpuid)
{
	struct test_vcpu *vcpu;

	vcpu = vcpu_with_cpuid_bit(CPUID_BIT(7, 0, ebx, 1), false);
	EXPECT_EQ(0, guest_value(vcpu, MSR_TSC_ADJUST));
	EXPECT_EQ(-1, guest_write(vcpu, MSR_TSC_ADJUST, STEP));
	EXPECT_EQ(0, guest_value(vcpu, MSR_TSC_ADJUST));
	NEAR(0, guest_tsc(vcpu));
	vcpu_set_msr(vcpu, MSR_TSC_ADJUST, STEP);
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MSR_TSC_ADJUST));
}

/* --- Several vCPUs ---------------------------------------------------------------------- */

#define NR_VCPUS	3

/* All count alike from the start, whenever they were made. */
TEST(new_vcpus_agree)
{
	struct test_vm *vm = vm_create();
	uint64_t offset;
	int i;

	offset = get_offset(add_vcpu(vm, 0));
	for (i = 1; i < NR_VCPUS; i++)
		EXPECT_EQ(offset, get_offset(add_vcpu(vm, i)));
	NEAR(0, guest_tsc(vm->vcpus[0]));
}

/* A value for each, one after the other: meant to be the same time. */
TEST(writes_in_a_row)
{
	struct test_vm *vm = vm_create();
	uint64_t offset;
	int i, round;

	for (i = 0; i < NR_VCPUS; i++)
		add_vcpu(vm, i);
	for (round = 1; round < 4; round++) {
		for (i = 0; i < NR_VCPUS; i++)
			vcpu_set_msr(vm->vcpus[i], MSR_TSC, round * STEP);
		offset = get_offset(vm->vcpus[0]);
		NEAR(round * STEP, offset + rdtsc());
		for (i = 1; i < NR_VCPUS; i++)
			EXPECT_EQ(offset, get_offset(vm->vcpus[i]));
	}

	/* Far away: meant to differ. */
	vcpu_set_msr(vm->vcpus[1], MSR_TSC, 77 * STEP);
	NEAR(77 * STEP, guest_tsc(vm->vcpus[1]));
	EXPECT_EQ(offset, get_offset(vm->vcpus[0]));
	/* 0: what a new vCPU gets, the time of the one written last. */
	vcpu_set_msr(vm->vcpus[2], MSR_TSC, 0);
	EXPECT_EQ(get_offset(vm->vcpus[1]), get_offset(vm->vcpus[2]));
	NEAR(77 * STEP, guest_tsc(vm->vcpus[2]));
}

/* Offsets are exact: nothing is guessed, but later writes of values are. */
TEST(offsets_and_writes)
{
	struct test_vm *vm = vm_create();
	uint64_t offset;
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		add_vcpu(vm, i);
	offset = get_offset(vm->vcpus[0]) + 5 * STEP;
	set_offset(vm->vcpus[0], offset);
	set_offset(vm->vcpus[1], offset + 1);
	EXPECT_EQ(offset, get_offset(vm->vcpus[0]));
	EXPECT_EQ(offset + 1, get_offset(vm->vcpus[1]));
	vcpu_set_msr(vm->vcpus[2], MSR_TSC, rdtsc() + offset);
	EXPECT_EQ(offset + 1, get_offset(vm->vcpus[2]));
}

/* --- The rate ----------------------------------------------------------------------------- */

static long khz(int fd)
{
	long ret = ioctl(fd, KVM_GET_TSC_KHZ, 0);

	return ret < 0 ? -errno : ret;
}

static long set_khz(int fd, unsigned long value)
{
	long ret = ioctl(fd, KVM_SET_TSC_KHZ, value);

	return ret < 0 ? -errno : ret;
}

TEST(rate)
{
	struct test_vm *vm = vm_create();
	struct test_vcpu *vcpu = add_vcpu(vm, 0);
	long host = khz(vcpu->fd);
	bool scaling = test_has_cap(vm->fd, KVM_CAP_TSC_CONTROL);

	EXPECT_EQ(1, test_has_cap(vm->fd, KVM_CAP_GET_TSC_KHZ));
	EXPECT_EQ(scaling, test_has_cap(vm->fd, KVM_CAP_VM_TSC_CONTROL));
	ASSERT_LT(0, host);
	EXPECT_EQ(host, khz(vm->fd));

	EXPECT_EQ(0, set_khz(vcpu->fd, host));
	EXPECT_EQ(host, khz(vcpu->fd));
	/* 250 millionths make no difference. */
	EXPECT_EQ(0, set_khz(vcpu->fd, host + host / 5000));
	EXPECT_EQ(host + host / 5000, khz(vcpu->fd));
	EXPECT_EQ(0, set_khz(vcpu->fd, host - host / 5000));
	EXPECT_EQ(0, set_khz(vcpu->fd, 0));
	EXPECT_EQ(host, khz(vcpu->fd));
	/* The upper half is not looked at. */
	EXPECT_EQ(0, set_khz(vcpu->fd, 1ul << 32 | host));
	EXPECT_EQ(host, khz(vcpu->fd));

	if (scaling)
		SKIP(return, "the CPU scales the TSC");
	EXPECT_EQ(-EINVAL, set_khz(vcpu->fd, host / 2));
	EXPECT_EQ(-EINVAL, set_khz(vcpu->fd, host - host / 3000));
	if (!test_device_is_minikvm())
		return;
	/* Stock KVM lets the TSC jump ahead, and remembers what it refused. */
	EXPECT_EQ(-EINVAL, set_khz(vcpu->fd, host * 2));
	EXPECT_EQ(-EINVAL, set_khz(vcpu->fd, host + host / 3000));
	EXPECT_EQ(-EINVAL, set_khz(vcpu->fd, -1u));
	EXPECT_EQ(host, khz(vcpu->fd));
	EXPECT_EQ(-EINVAL, set_khz(vm->fd, host * 2));
	EXPECT_EQ(-EINVAL, set_khz(vm->fd, host / 2));
	EXPECT_EQ(host, khz(vm->fd));
}

/* The VM's rate is that of vCPUs to come. */
TEST(rate_of_new_vcpus)
{
	struct test_vm *vm = vm_create();
	struct test_vcpu *first = add_vcpu(vm, 0), *second;
	long host = khz(vm->fd);

	EXPECT_EQ(0, set_khz(vm->fd, host + 1));
	EXPECT_EQ(host + 1, khz(vm->fd));
	second = add_vcpu(vm, 1);
	EXPECT_EQ(host + 1, khz(second->fd));
	EXPECT_EQ(host, khz(first->fd));
	EXPECT_EQ(0, set_khz(vm->fd, 0));
	EXPECT_EQ(host, khz(vm->fd));
}

/* Counters of different rates do not belong together. */
TEST(rates_and_writes)
{
	struct test_vm *vm = vm_create();
	struct test_vcpu *a = add_vcpu(vm, 0), *b = add_vcpu(vm, 1);

	ASSERT_EQ(0, set_khz(b->fd, khz(b->fd) + 1));
	vcpu_set_msr(a, MSR_TSC, STEP);
	vcpu_set_msr(b, MSR_TSC, STEP);
	EXPECT_NE(get_offset(a), get_offset(b));
	NEAR(STEP, guest_tsc(b));
}

TEST_HARNESS_MAIN
