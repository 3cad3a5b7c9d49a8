// SPDX-License-Identifier: GPL-2.0
/*
 * The first guests: hello, the adder, and guests of the same kind that are
 * made while the test runs. What a made guest has to do follows from the
 * numbers it was made from; nothing of it is executed on this side.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vm.h"

#define SERIAL	0x3f8

GUEST_DECLARE(guest_hello);
GUEST_DECLARE(guest_adder);

/* One 4 KiB slot at 0x1000, real mode, CS base 0, RIP 0x1000, RFLAGS 2. */
static struct test_vcpu *small_guest(const void *code, size_t size)
{
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct test_vm *vm = vm_create_bare();
	struct test_vcpu *vcpu;
	struct kvm_sregs sregs;

	memcpy(vm_add_memory(vm, 0, 0x1000, 0x1000), code, size);
	vcpu = vm_add_vcpu(vm, 0);
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_set_regs(vcpu, &regs);
	return vcpu;
}

/* The module's own counts, where the module is ours. */
static void expect_exits(struct test_vcpu *vcpu, enum stats_exit what,
			 uint64_t count)
{
	if (stats_available())
		TEST_EQ(count, stats_exit_count(vcpu, what),
			"exit counter %d", what);
}

TEST(hello)
{
	static const char text[] = "Hello, world!\n";
	struct test_vcpu *vcpu = small_guest(guest_hello,
					     GUEST_OF(guest_hello).size);
	char seen[sizeof(text)] = "";
	struct kvm_regs regs;
	int i;

	for (i = 0; i < 14; i++)
		seen[i] = *(char *)vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT,
						  SERIAL, 1, 1);
	vcpu_run_to_hlt(vcpu);
	EXPECT_STREQ(text, seen);

	/* HLT is behind RIP when userspace hears of it. */
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0x1000 + GUEST_OF(guest_hello).size, regs.rip);
	EXPECT_EQ(2, regs.rflags);
	EXPECT_EQ(SERIAL, regs.rdx);
	expect_exits(vcpu, STATS_IO, 14);
	expect_exits(vcpu, STATS_HLT, 1);
	expect_exits(vcpu, STATS_CPUID, 0);
	vm_destroy(vcpu->vm);
}

TEST(adder)
{
	struct test_vcpu *vcpu = small_guest(guest_adder,
					     GUEST_OF(guest_adder).size);
	struct kvm_regs regs;
	int a, b;

	vcpu_get_regs(vcpu, &regs);
	regs.rax = 2;
	regs.rbx = 2;
	vcpu_set_regs(vcpu, &regs);
	EXPECT_EQ('4', *(char *)vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, SERIAL,
					       1, 1));
	vcpu_run_to_hlt(vcpu);

	for (a = 0; a < 10; a += 3) {
		for (b = 0; a + b < 10; b += 2) {
			regs.rip = 0x1000;
			regs.rax = a;
			regs.rbx = b;
			vcpu_set_regs(vcpu, &regs);
			EXPECT_EQ('0' + a + b,
				  *(char *)vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT,
							  SERIAL, 1, 1));
			vcpu_run_to_hlt(vcpu);
		}
	}
	vm_destroy(vcpu->vm);
}

/* A real-mode guest that says a random nonce on a random port. */
TEST(made_real_mode)
{
	int round;

	for (round = 0; round < 8; round++) {
		int exits = rand_between(1, 100), cpuids = rand_below(10), i;
		uint16_t port = rand_below(0x10000);
		struct code_buf code = {};
		struct test_vcpu *vcpu;
		uint16_t pattern[8];
		struct kvm_regs regs;
		uint8_t nonce[100];

		rand_fill(nonce, sizeof(nonce));
		rand_fill(pattern, sizeof(pattern));
		for (i = 0; i < cpuids; i++)
			CODE(&code, 0x0f, 0xa2);
		for (i = RCX; i <= RDI; i++)
			code_mov_r16_imm(&code, i, pattern[i]);
		code_mov_r16_imm(&code, RDX, port);
		for (i = 0; i < exits; i++) {
			code_mov_r8_imm(&code, RAX, nonce[i]);
			code_out_dx_al(&code);
		}
		code_hlt(&code);

		vcpu = small_guest(code.bytes, code.size);
		for (i = 0; i < exits; i++)
			TEST_EQ(nonce[i],
				*(uint8_t *)vcpu_run_to_io(vcpu,
					KVM_EXIT_IO_OUT, port, 1, 1),
				"byte %d of %d", i, exits);
		vcpu_run_to_hlt(vcpu);

		vcpu_get_regs(vcpu, &regs);
		for (i = RCX; i <= RDI; i++)
			if (i != RDX)
				TEST_EQ(pattern[i],
					*regs_gpr(&regs, i) & 0xffff,
					"register %d", i);
		TEST_EQ(port, regs.rdx & 0xffff, "DX");
		TEST_EQ(0x1000 + code.size, regs.rip, "RIP");
		expect_exits(vcpu, STATS_IO, exits);
		expect_exits(vcpu, STATS_CPUID, cpuids);
		expect_exits(vcpu, STATS_HLT, 1);
		expect_exits(vcpu, STATS_HYPERCALL, 0);
		expect_exits(vcpu, STATS_MSR, 0);
		vm_destroy(vcpu->vm);
	}
}

/* The same in 64-bit mode: all registers, sizes 1, 2 and 4, 8-bit ports. */
TEST(made_long_mode)
{
	int round;

	for (round = 0; round < 8; round++) {
		int exits = rand_between(1, 200), size[200], i;
		uint64_t pattern[16], value[200];
		struct code_buf code = {};
		struct test_vcpu *vcpu;
		struct kvm_regs regs;
		uint8_t port[200];

		rand_fill(pattern, sizeof(pattern));
		rand_fill(value, sizeof(value));
		rand_fill(port, sizeof(port));
		for (i = RCX; i <= R15; i++)
			code_mov_r64_imm(&code, i, pattern[i]);
		for (i = 0; i < exits; i++) {
			size[i] = 1 << rand_below(3);
			code_mov_r64_imm(&code, RAX, value[i]);
			if (size[i] == 2)
				CODE(&code, 0x66);
			CODE(&code, size[i] == 1 ? 0xe6 : 0xe7, port[i]);
		}
		code_hlt(&code);

		vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
				     code.bytes, code.size });
		for (i = 0; i < exits; i++) {
			uint64_t got = 0, want = value[i] &
				((1ull << size[i] * 8) - 1);

			memcpy(&got, vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT,
						    port[i], size[i], 1),
			       size[i]);
			TEST_EQ(want, got, "exit %d of %d", i, exits);
		}
		vcpu_run_to_hlt(vcpu);

		vcpu_get_regs(vcpu, &regs);
		TEST_EQ(value[exits - 1], regs.rax, "RAX");
		for (i = RCX; i <= R15; i++)
			TEST_EQ(pattern[i], *regs_gpr(&regs, i),
				"register %d", i);
		TEST_EQ(0x1000 + code.size, regs.rip, "RIP");
		expect_exits(vcpu, STATS_IO, exits);
		expect_exits(vcpu, STATS_HLT, 1);
		expect_exits(vcpu, STATS_CPUID, 0);
		expect_exits(vcpu, STATS_CR, 0);
		vm_destroy(vcpu->vm);
	}
}

TEST_HARNESS_MAIN
