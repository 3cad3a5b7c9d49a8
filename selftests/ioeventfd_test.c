// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_IOEVENTFD: which writes of the guest signal an eventfd, and which return to userspace.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define BELL	0x10000100ul	/* no memory there */

#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define PIO	KVM_IOEVENTFD_FLAG_PIO
#define REMOVE	KVM_IOEVENTFD_FLAG_DEASSIGN
#define CCW	KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY

/* 1: mov %eax, (%rdi); dec %ebx; jnz 1b; hlt */
static const uint8_t store32[] = { 0x89, 0x07, 0xff, 0xcb, 0x75, 0xfa, 0xf4 };
static const uint8_t store8[] = { 0x88, 0x07, 0xf4 };
static const uint8_t store64[] = { 0x48, 0x89, 0x07, 0xf4 };
static const uint8_t load32[] = { 0x8b, 0x07, 0xf4 };
/* lock xadd %eax, (%rdi): a read and a write */
static const uint8_t xadd32[] = { 0xf0, 0x0f, 0xc1, 0x07, 0xf4 };
/* movups %xmm0, (%rdi): two writes of 8 bytes */
static const uint8_t store128[] = { 0x0f, 0x11, 0x07, 0xf4 };
/* out %al, (%dx); out %ax, (%dx); in (%dx), %al; hlt */
static const uint8_t ports[] = { 0xee, 0x66, 0xef, 0xec, 0xf4 };

#define CODE(c)	((struct guest_code){ c, sizeof(c) })

static long bell_ioctl(struct test_vm *vm, int fd, uint64_t addr, uint32_t len, uint32_t flags,
		       uint64_t match)
{
	struct kvm_ioeventfd args = {
		.fd = fd, .addr = addr, .len = len, .flags = flags, .datamatch = match,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &args) ? -errno : 0;
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	TEST_CHECK(fd >= 0, "eventfd");
	return fd;
}

/* How often it was signalled since it was asked last. */
static uint64_t signals(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) == sizeof(count))
		return count;
	TEST_CHECK(errno == EAGAIN, "eventfd");
	return 0;
}

/* The guest is at its start: @value to @addr, @n times. */
static void start(struct test_vcpu *vcpu, uint64_t addr, uint64_t value, uint64_t n)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 2,
		.rax = value, .rbx = n, .rdi = addr, .rdx = addr,
	};

	vcpu_set_regs(vcpu, &regs);
}

TEST(arguments)
{
	struct test_vm *vm = vm_create();
	int fd = new_eventfd(), file = dup(0);
	unsigned int len;

	ASSERT_GE(file, 0);
	for (len = 0; len <= 16; len++)
		EXPECT_EQ(len == 0 || len == 1 || len == 2 || len == 4 || len == 8 ? 0 : -EINVAL,
			  bell_ioctl(vm, fd, BELL + 0x100 * len, len, 0, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, fd, BELL, ~0u, 0, 0));
	/* Up to the last byte, and beyond. */
	EXPECT_EQ(0, bell_ioctl(vm, fd, -8ull, 4, 0, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, fd, -4ull, 4, 0, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, fd, -1ull, 2, 0, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, fd, BELL, 4, 1 << 5, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, fd, BELL, 4, 1u << 31, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, fd, BELL, 0, MATCH, 0));
	EXPECT_EQ(-EBADF, bell_ioctl(vm, -1, BELL + 1, 4, 0, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, file, BELL + 1, 4, 0, 0));
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, vm->fd, BELL + 1, 4, 0, 0));
	/* What is wrong is said before whether there is an eventfd. */
	EXPECT_EQ(-EINVAL, bell_ioctl(vm, -1, BELL, 3, 0, 0));
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_IOEVENTFD, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-EBADF, bell_ioctl(vm, -1, BELL, 4, REMOVE, 0));
	close(file);
	close(fd);
	vm_destroy(vm);
}

TEST(collisions)
{
	struct test_vm *vm = vm_create();
	int fd = new_eventfd(), other = new_eventfd();

	EXPECT_EQ(0, bell_ioctl(vm, fd, BELL, 4, MATCH, 1));
	EXPECT_EQ(0, bell_ioctl(vm, other, BELL, 4, MATCH, 2));
	EXPECT_EQ(-EEXIST, bell_ioctl(vm, other, BELL, 4, MATCH, 1));
	EXPECT_EQ(-EEXIST, bell_ioctl(vm, other, BELL, 4, 0, 0));
	EXPECT_EQ(-EEXIST, bell_ioctl(vm, other, BELL, 0, 0, 0));
	/* Another length, address or bus. */
	EXPECT_EQ(0, bell_ioctl(vm, other, BELL, 2, MATCH, 1));
	EXPECT_EQ(0, bell_ioctl(vm, other, BELL + 1, 4, MATCH, 1));
	EXPECT_EQ(0, bell_ioctl(vm, other, BELL, 4, PIO | MATCH, 1));

	/* Only what is the same in all can be removed. */
	EXPECT_EQ(-ENOENT, bell_ioctl(vm, other, BELL, 4, REMOVE | MATCH, 1));
	EXPECT_EQ(-ENOENT, bell_ioctl(vm, fd, BELL, 4, REMOVE | MATCH, 3));
	EXPECT_EQ(-ENOENT, bell_ioctl(vm, fd, BELL, 4, REMOVE, 1));
	EXPECT_EQ(-ENOENT, bell_ioctl(vm, fd, BELL, 8, REMOVE | MATCH, 1));
	EXPECT_EQ(-ENOENT, bell_ioctl(vm, fd, BELL, 4, REMOVE | PIO | MATCH, 1));
	EXPECT_EQ(0, bell_ioctl(vm, fd, BELL, 4, REMOVE | MATCH, 1));
	EXPECT_EQ(-ENOENT, bell_ioctl(vm, fd, BELL, 4, REMOVE | MATCH, 1));
	EXPECT_EQ(0, bell_ioctl(vm, other, BELL, 4, MATCH, 1));
	close(fd);
	close(other);
	vm_destroy(vm);
}

TEST(store_signals)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(store32));
	int fd = new_eventfd();

	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL + 8, 4, 0, 0));
	start(vcpu, BELL + 8, 5, 100);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(100, signals(fd));

	/* Beside it; then it is gone. */
	start(vcpu, BELL + 4, 5, 1);
	vcpu_run_to_mmio(vcpu, true, BELL + 4, 4);
	vcpu_run_to_hlt(vcpu);
	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL + 8, 4, REMOVE, 0));
	start(vcpu, BELL + 8, 5, 1);
	vcpu_run_to_mmio(vcpu, true, BELL + 8, 4);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, signals(fd));
	close(fd);
	vm_destroy(vcpu->vm);
}

TEST(data_match)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(store32));
	int one = new_eventfd(), two = new_eventfd(), never = new_eventfd();

	ASSERT_EQ(0, bell_ioctl(vcpu->vm, one, BELL, 4, MATCH, 0x80000001));
	ASSERT_EQ(0, bell_ioctl(vcpu->vm, two, BELL, 4, MATCH, 2));
	/* No value of 4 bytes. */
	ASSERT_EQ(0, bell_ioctl(vcpu->vm, never, BELL, 4, MATCH, 0x100000003));
	start(vcpu, BELL, 0x80000001, 3);
	vcpu_run_to_hlt(vcpu);
	start(vcpu, BELL, 2, 2);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(3, signals(one));
	EXPECT_EQ(2, signals(two));
	start(vcpu, BELL, 3, 1);
	vcpu_run_to_mmio(vcpu, true, BELL, 4);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, signals(one) + signals(two) + signals(never));
	close(one);
	close(two);
	close(never);
	vm_destroy(vcpu->vm);
}

/* Runs to HLT. Return: whether one write of @len bytes signalled. */
static bool rings(struct guest_code code, uint64_t addr, unsigned int bell_len, unsigned int len)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, code);
	int fd = new_eventfd();
	uint64_t count;

	TEST_CHECK(!bell_ioctl(vcpu->vm, fd, BELL, bell_len, 0, 0), "KVM_IOEVENTFD");
	start(vcpu, addr, 0x1122334455667788, 1);
	vcpu_run(vcpu);
	if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
		TEST_EQ(len, vcpu->run->mmio.len, "bytes");
		vcpu_run(vcpu);
	}
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	count = signals(fd);
	TEST_CHECK(count <= 1, "%lu signals", (unsigned long)count);
	close(fd);
	vm_destroy(vcpu->vm);
	return count;
}

TEST(length)
{
	EXPECT_TRUE(rings(CODE(store8), BELL, 1, 1));
	EXPECT_TRUE(rings(CODE(store32), BELL, 4, 4));
	EXPECT_TRUE(rings(CODE(store64), BELL, 8, 8));
	EXPECT_FALSE(rings(CODE(store8), BELL, 4, 1));
	EXPECT_FALSE(rings(CODE(store32), BELL, 1, 4));
	EXPECT_FALSE(rings(CODE(store64), BELL, 4, 8));
	EXPECT_FALSE(rings(CODE(store32), BELL, 8, 4));
	/* An access begins where it begins. */
	EXPECT_FALSE(rings(CODE(store32), BELL - 1, 1, 4));
}

TEST(any_length)
{
	EXPECT_TRUE(rings(CODE(store8), BELL, 0, 1));
	EXPECT_TRUE(rings(CODE(store32), BELL, 0, 4));
	EXPECT_TRUE(rings(CODE(store64), BELL, 0, 8));
	EXPECT_FALSE(rings(CODE(store32), BELL + 1, 0, 4));
}

TEST(two_writes_of_an_instruction)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(store128));
	struct kvm_sregs sregs;
	int fd = new_eventfd();

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr4 |= 3 << 9;			/* OSFXSR, OSXMMEXCPT */
	vcpu_set_sregs(vcpu, &sregs);
	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL, 8, 0, 0));
	start(vcpu, BELL, 0, 1);
	vcpu_run_to_mmio(vcpu, true, BELL + 8, 8);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(1, signals(fd));
	close(fd);
	vm_destroy(vcpu->vm);
}

/* A read is userspace's, by itself and as the first half of an instruction. */
TEST(reads_exit)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(load32));
	int fd = new_eventfd();

	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL, 4, 0, 0));
	start(vcpu, BELL, 0, 1);
	vcpu_run_to_mmio(vcpu, false, BELL, 4);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, signals(fd));

	vm_load(vcpu->vm, CODE(xadd32));
	start(vcpu, BELL, 1, 1);
	vcpu_run_to_mmio(vcpu, false, BELL, 4);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(1, signals(fd));
	close(fd);
	vm_destroy(vcpu->vm);
}

TEST(port)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(ports));
	int byte = new_eventfd(), word = new_eventfd(), memory = new_eventfd();

	ASSERT_EQ(0, bell_ioctl(vcpu->vm, byte, 0x1234, 1, PIO | MATCH, 0x88));
	ASSERT_EQ(0, bell_ioctl(vcpu->vm, memory, 0x1234, 1, 0, 0));
	start(vcpu, 0x1234, 0x7788, 1);
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, 0x1234, 2, 1);
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, 0x1234, 1, 1);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(1, signals(byte));

	ASSERT_EQ(0, bell_ioctl(vcpu->vm, word, 0x1234, 2, PIO, 0));
	start(vcpu, 0x1234, 0x7789, 1);
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, 0x1234, 1, 1);
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, 0x1234, 1, 1);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, signals(byte));
	EXPECT_EQ(1, signals(word));
	EXPECT_EQ(0, signals(memory));
	close(byte);
	close(word);
	close(memory);
	vm_destroy(vcpu->vm);
}

/* A bus that no x86 guest can write to is another one, all the same. */
TEST(bus_of_s390)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(store32));
	int fd = new_eventfd();

	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL, 4, CCW, 0));
	EXPECT_EQ(-EEXIST, bell_ioctl(vcpu->vm, fd, BELL, 4, CCW, 0));
	EXPECT_EQ(-ENOENT, bell_ioctl(vcpu->vm, fd, BELL, 4, REMOVE, 0));
	start(vcpu, BELL, 1, 1);
	vcpu_run_to_mmio(vcpu, true, BELL, 4);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, signals(fd));
	EXPECT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL, 4, REMOVE | CCW, 0));
	close(fd);
	vm_destroy(vcpu->vm);
}

/* Nobody can read it any more, but it is there until the VM goes. */
TEST(closed_eventfd)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(store32));
	int fd = new_eventfd();

	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL, 4, 0, 0));
	close(fd);
	start(vcpu, BELL, 1, 10);
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/* Documentation/api.rst: the eventfd comes first. In KVM it depends. */
TEST(before_a_ring)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(store32));
	struct kvm_coalesced_mmio_zone zone = { .addr = BELL - 8, .size = 64 };
	int fd = new_eventfd();

	if (!test_device_is_minikvm())
		SKIP(return, "stock KVM: who has the lower address");
	ASSERT_EQ(0, ioctl(vcpu->vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL, 4, 0, 0));
	start(vcpu, BELL, 1, 2);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(2, signals(fd));
	/* One of both is left. */
	ASSERT_EQ(0, ioctl(vcpu->vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone));
	start(vcpu, BELL, 1, 2);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(2, signals(fd));
	ASSERT_EQ(0, bell_ioctl(vcpu->vm, fd, BELL, 4, REMOVE, 0));
	start(vcpu, BELL, 1, 1);
	vcpu_run_to_mmio(vcpu, true, BELL, 4);
	close(fd);
	vm_destroy(vcpu->vm);
}

TEST(too_many)
{
	struct test_vm *vm = vm_create();
	int fd = new_eventfd();
	unsigned int i;
	long r = 0;

	if (!test_device_is_minikvm())
		SKIP(return, "stock KVM: no limit of its own");
	for (i = 0; i < 5000 && !r; i++)
		r = bell_ioctl(vm, fd, BELL + i * 4, 4, 0, 0);
	EXPECT_EQ(-ENOSPC, r);
	EXPECT_EQ(4097, i);
	EXPECT_EQ(0, bell_ioctl(vm, fd, BELL, 4, REMOVE, 0));
	EXPECT_EQ(0, bell_ioctl(vm, fd, BELL, 4, 0, 0));
	close(fd);
	vm_destroy(vm);
}

#define TURNS	300

struct ringer {
	struct test_vm *vm;
	int fd;
	volatile bool done;
};

static void *come_and_go(void *arg)
{
	struct ringer *r = arg;
	int i;

	for (i = 0; i < TURNS; i++) {
		TEST_CHECK(!bell_ioctl(r->vm, r->fd, BELL, 4, 0, 0), "add");
		TEST_CHECK(!bell_ioctl(r->vm, r->fd, BELL, 4, REMOVE, 0), "remove");
	}
	r->done = true;
	return NULL;
}

/* Each store is seen once: by the eventfd, or by userspace. */
TEST(added_and_removed_meanwhile)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, CODE(store32));
	struct ringer r = { .vm = vcpu->vm, .fd = new_eventfd() };
	uint64_t stores = 0, exits = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, come_and_go, &r));
	while (!r.done) {
		stores += 100;
		start(vcpu, BELL, 1, 100);
		for (vcpu_run(vcpu); vcpu->run->exit_reason == KVM_EXIT_MMIO; vcpu_run(vcpu))
			exits++;
		vcpu_expect(vcpu, KVM_EXIT_HLT);
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(stores, exits + signals(r.fd));
	close(r.fd);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
