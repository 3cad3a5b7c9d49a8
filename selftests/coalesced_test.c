// SPDX-License-Identifier: GPL-2.0
/*
 * Coalesced MMIO and port I/O: which writes go into the ring, what is in it, and a VMM
 * that scribbles over it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/rand.h"
#include "lib/vm.h"

#define ZONE		0x10000000ul	/* no memory there */
#define PAGE_DATA	4096
#define RING_MAX	((PAGE_DATA - sizeof(struct kvm_coalesced_mmio_ring)) / \
			 sizeof(struct kvm_coalesced_mmio))

/* mov %eax, (%rdi); add %ecx, %edi; dec %ebx; jnz; hlt */
static const uint8_t store_loop[] = {
	0x89, 0x07, 0x01, 0xcf, 0xff, 0xcb, 0x75, 0xf8, 0xf4,
};

/* out %al, $0x80; out %ax, $0x81; hlt */
static const uint8_t out_code[] = { 0xe6, 0x80, 0x66, 0xe7, 0x81, 0xf4 };

static long zone_ioctl(struct test_vm *vm, unsigned long request, uint64_t addr, uint32_t size,
		       uint32_t pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = addr, .size = size, .pio = pio };

	return ioctl(vm->fd, request, &zone) ? -errno : 0;
}

static long zone_add(struct test_vm *vm, uint64_t addr, uint32_t size, uint32_t pio)
{
	return zone_ioctl(vm, KVM_REGISTER_COALESCED_MMIO, addr, size, pio);
}

static long zone_remove(struct test_vm *vm, uint64_t addr, uint32_t size, uint32_t pio)
{
	return zone_ioctl(vm, KVM_UNREGISTER_COALESCED_MMIO, addr, size, pio);
}

static struct kvm_coalesced_mmio_ring *ring_of(struct test_vcpu *vcpu)
{
	int page = test_has_cap(vcpu->vm->dev, KVM_CAP_COALESCED_MMIO);

	TEST_CHECK(page > 0 && (size_t)(page + 1) * TEST_PAGE <= vcpu->run_size, "page %d", page);
	return (void *)((char *)vcpu->run + page * TEST_PAGE);
}

/* @n stores of @value from @gpa on, @step apart. */
static void start_stores(struct test_vcpu *vcpu, uint64_t gpa, uint32_t value, uint32_t step,
			 uint32_t n)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 2,
		.rax = value, .rbx = n, .rcx = step, .rdi = gpa,
	};

	vcpu_set_regs(vcpu, &regs);
}

static struct test_vcpu *store_guest(void)
{
	return vm_with_guest(MODE_LONG, (struct guest_code){ store_loop, sizeof(store_loop) });
}

TEST(arguments)
{
	struct test_vm *vm = vm_create();

	EXPECT_EQ(-EINVAL, zone_add(vm, ZONE, 8, 2));
	EXPECT_EQ(-EINVAL, zone_remove(vm, ZONE, 8, 2));
	EXPECT_EQ(-EINVAL, zone_add(vm, ZONE, 8, ~0u));
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, NULL));
	EXPECT_EQ(EFAULT, errno);
	/* What is not there can be removed. */
	EXPECT_EQ(0, zone_remove(vm, ZONE, 8, 0));
	EXPECT_EQ(0, zone_add(vm, ZONE, 8, 0));
	EXPECT_EQ(0, zone_add(vm, ZONE, 8, 0));
	EXPECT_EQ(0, zone_remove(vm, ZONE, 8, 0));
	EXPECT_EQ(0, zone_remove(vm, ZONE, 8, 0));
	vm_destroy(vm);
}

TEST(too_many)
{
	struct test_vm *vm = vm_create();
	unsigned int i;
	long r = 0;

	for (i = 0; i < 2000 && !r; i++)
		r = zone_add(vm, ZONE + i * 16, 16, 0);
	EXPECT_EQ(-ENOSPC, r);
	EXPECT_EQ(0, zone_remove(vm, ZONE, 16, 0));
	EXPECT_EQ(0, zone_add(vm, ZONE, 16, 0));
	vm_destroy(vm);
}

TEST(stores_are_collected)
{
	struct test_vcpu *vcpu = store_guest();
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpu);
	uint32_t i;

	ASSERT_EQ(0, zone_add(vcpu->vm, ZONE, 0x100, 0));
	start_stores(vcpu, ZONE + 0x10, 0x12345678, 8, 5);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, ring->first);
	ASSERT_EQ(5, ring->last);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(ZONE + 0x10 + i * 8, ring->coalesced_mmio[i].phys_addr);
		EXPECT_EQ(4, ring->coalesced_mmio[i].len);
		EXPECT_EQ(0, ring->coalesced_mmio[i].pio);
		EXPECT_EQ(0, memcmp(ring->coalesced_mmio[i].data, "\x78\x56\x34\x12", 4));
	}
	vm_destroy(vcpu->vm);
}

/* Before, across and behind the zone; after it is gone. */
TEST(only_the_zone)
{
	struct test_vcpu *vcpu = store_guest();
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpu);

	ASSERT_EQ(0, zone_add(vcpu->vm, ZONE, 0x10, 0));
	start_stores(vcpu, ZONE - 2, 1, 0, 1);
	vcpu_run_to_mmio(vcpu, true, ZONE - 2, 2);
	EXPECT_EQ(0, ring->last);

	start_stores(vcpu, ZONE + 0xe, 1, 0, 1);
	vcpu_run_to_mmio(vcpu, true, ZONE + 0xe, 4);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, ring->last);

	start_stores(vcpu, ZONE + 0xc, 1, 0, 1);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(1, ring->last);

	ASSERT_EQ(0, zone_remove(vcpu->vm, ZONE, 0x10, 0));
	start_stores(vcpu, ZONE, 1, 0, 1);
	vcpu_run_to_mmio(vcpu, true, ZONE, 4);
	vm_destroy(vcpu->vm);
}

TEST(full_ring_exits)
{
	struct test_vcpu *vcpu = store_guest();
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpu);

	ASSERT_EQ(0, zone_add(vcpu->vm, ZONE, 0x1000, 0));
	start_stores(vcpu, ZONE, 1, 0, RING_MAX + 2);
	vcpu_run_to_mmio(vcpu, true, ZONE, 4);
	/* One entry is always empty. */
	EXPECT_EQ(RING_MAX - 1, ring->last);
	/* Userspace has read all: it goes on. */
	ring->first = ring->last;
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(1, ring->last);
	vm_destroy(vcpu->vm);
}

TEST(ports)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
				(struct guest_code){ out_code, sizeof(out_code) });
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpu);

	if (test_has_cap(vcpu->vm->dev, KVM_CAP_COALESCED_PIO) <= 0)
		SKIP(return, "no KVM_CAP_COALESCED_PIO");
	/* A zone of memory is none of ports. */
	ASSERT_EQ(0, zone_add(vcpu->vm, 0x80, 8, 0));
	ASSERT_EQ(0, zone_add(vcpu->vm, 0x80, 1, 1));
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, 0x81, 2, 1);
	ASSERT_EQ(1, ring->last);
	EXPECT_EQ(0x80, ring->coalesced_mmio[0].phys_addr);
	EXPECT_EQ(1, ring->coalesced_mmio[0].len);
	EXPECT_EQ(1, ring->coalesced_mmio[0].pio);
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

struct scribbler {
	struct kvm_coalesced_mmio_ring *ring;
	volatile bool stop;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	uint64_t seed = 1;

	while (!s->stop) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		((volatile uint32_t *)s->ring)[(seed >> 33) % 1024] = seed >> 13;
		*(volatile uint32_t *)&s->ring->last = seed >> 60 ? seed >> 40 : ~0u >> (seed & 31);
	}
	return NULL;
}

/* Whatever is in the ring, the stores arrive in it or in userspace, and nothing else happens. */
TEST(scribbled_ring)
{
	struct test_vcpu *vcpu = store_guest();
	struct scribbler s = { .ring = ring_of(vcpu) };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, zone_add(vcpu->vm, ZONE, 0x1000, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &s));
	start_stores(vcpu, ZONE, 1, 4, 500);
	for (i = 0; i <= 500; i++) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_HLT)
			break;
		ASSERT_EQ(KVM_EXIT_MMIO, vcpu->run->exit_reason);
		ASSERT_EQ(4, vcpu->run->mmio.len);
	}
	EXPECT_EQ(KVM_EXIT_HLT, vcpu->run->exit_reason);
	s.stop = true;
	pthread_join(thread, NULL);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
