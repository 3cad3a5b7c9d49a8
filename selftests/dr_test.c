// SPDX-License-Identifier: GPL-2.0
/*
 * Debug registers: MOV in all its forms, what is fixed and what is refused, and
 * breakpoints of the guest.
 */
#include <string.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/vm.h"

#define CR4_DE		(1ull << 3)
/* What reads as 1; bits 11 and 16 are features of newer CPUs. */
#define DR6_FIXED	0xffff0ff0ull
#define DR6_FEATURES	0x00010800ull
#define DR6_BD		(1ull << 13)
#define DR6_BS		(1ull << 14)
#define DR7_FIXED	0x400ull
#define DR7_GD		(1ull << 13)

static struct test_vcpu *new_vcpu(enum test_mode mode)
{
	return vm_with_guest(mode, (struct guest_code){});
}

/* MOV to or from DRn; @mod is ignored by the CPU. */
static void mov_dr(struct code_buf *c, bool to, int dr, enum gpr reg, int mod)
{
	if (reg >= R8)
		CODE(c, 0x41);
	CODE(c, 0x0f, to ? 0x23 : 0x21, mod << 6 | dr << 3 | (reg & 7));
}

/* mov %rbx, %drN; mov %drN, %rax: the vector it ends with, or -1. */
static int write_dr(struct test_vcpu *vcpu, int dr, uint64_t value,
		    uint64_t *seen)
{
	struct kvm_regs regs = { .rbx = value, .rax = 0x5555 };
	struct code_buf code = {};
	int64_t error = 0;
	int vector;

	mov_dr(&code, true, dr, RBX, 3);
	mov_dr(&code, false, dr, RAX, 3);
	vector = vcpu_try(vcpu, code.bytes, code.size, &regs, &error);
	if (vector == VECTOR_GP)
		TEST_EQ(0, error, "error code, DR%d = %#lx", dr, value);
	if (seen)
		*seen = regs.rax;
	return vector;
}

static uint64_t read_dr(struct test_vcpu *vcpu, int dr)
{
	struct kvm_regs regs = {};
	struct code_buf code = {};

	mov_dr(&code, false, dr, RAX, 3);
	TEST_EQ(-1, vcpu_try(vcpu, code.bytes, code.size, &regs, NULL),
		"vector of a read of DR%d", dr);
	return regs.rax;
}

static void set_dr(struct test_vcpu *vcpu, int dr, uint64_t value)
{
	struct kvm_regs regs = { .rbx = value };
	struct code_buf code = {};

	mov_dr(&code, true, dr, RBX, 3);
	TEST_EQ(-1, vcpu_try(vcpu, code.bytes, code.size, &regs, NULL),
		"vector of DR%d = %#lx", dr, value);
}

TEST(after_reset)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	int dr;

	for (dr = 0; dr < 4; dr++)
		EXPECT_EQ(0, read_dr(vcpu, dr));
	EXPECT_EQ(DR6_FIXED, read_dr(vcpu, 6) | DR6_FEATURES);
	EXPECT_EQ(DR7_FIXED, read_dr(vcpu, 7));
	vm_destroy(vcpu->vm);
}

/* Every register, with every bit pattern of mod, to and from each of DR0 to 3. */
TEST(every_gpr)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	int dr, reg;

	for (dr = 0; dr < 4; dr++) {
		for (reg = RAX; reg <= R15; reg++) {
			struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
			struct code_buf code = {};
			struct kvm_regs after;
			int to = reg ^ 1;

			mov_dr(&code, true, dr, reg, (reg + dr) & 3);
			mov_dr(&code, false, dr, to, reg >> 2 & 3);
			code_hlt(&code);
			code_load(&code, vcpu->vm);
			rand_fill(&regs, offsetof(struct kvm_regs, rip));
			vcpu_set_regs(vcpu, &regs);
			vcpu_run_to_hlt(vcpu);
			vcpu_get_regs(vcpu, &after);
			*regs_gpr(&regs, to) = *regs_gpr(&regs, reg);
			TEST_EQ(0, memcmp(&regs, &after,
					  offsetof(struct kvm_regs, rip)),
				"DR%d by registers %d and %d", dr, reg, to);
			TEST_EQ(GUEST_CODE + code.size, after.rip, "RIP");
			TEST_EQ(*regs_gpr(&regs, reg), read_dr(vcpu, dr),
				"DR%d by register %d", dr, reg);
		}
	}
	vm_destroy(vcpu->vm);
}

/* In 32-bit code the lower half counts; DR0 to DR3 get zeros above. */
TEST(every_gpr_32bit)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_PAE);
	int dr, reg;

	for (dr = 0; dr < 4; dr++) {
		for (reg = RAX; reg <= RDI; reg++) {
			struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
			struct code_buf code = {};
			uint32_t value = rand_u64();

			mov_dr(&code, true, dr, reg, reg & 3);
			mov_dr(&code, false, dr, reg ^ 1, 3);
			code_hlt(&code);
			code_load(&code, vcpu->vm);
			*regs_gpr(&regs, reg) = value | 0x9876543200000000;
			vcpu_set_regs(vcpu, &regs);
			vcpu_run_to_hlt(vcpu);
			vcpu_get_regs(vcpu, &regs);
			TEST_EQ(value, (uint32_t)*regs_gpr(&regs, reg ^ 1),
				"DR%d by register %d", dr, reg);
		}
	}
	vm_destroy(vcpu->vm);
}

/* DR0 to DR3 hold anything, DR6 and DR7 have bits that are fixed. */
TEST(values)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	uint64_t seen;
	int dr;

	for (dr = 0; dr < 4; dr++) {
		EXPECT_EQ(-1, write_dr(vcpu, dr, 0x8000000000000000, &seen));
		EXPECT_EQ(0x8000000000000000, seen);
		EXPECT_EQ(-1, write_dr(vcpu, dr, ~0ull, &seen));
		EXPECT_EQ(~0ull, seen);
	}
	EXPECT_EQ(-1, write_dr(vcpu, 6, 0, &seen));
	EXPECT_EQ(DR6_FIXED, seen | DR6_FEATURES);
	EXPECT_EQ(-1, write_dr(vcpu, 6, 0xe00f | DR6_FIXED, &seen));
	EXPECT_EQ(0xe00f | DR6_FIXED, seen | DR6_FEATURES);
	EXPECT_EQ(-1, write_dr(vcpu, 7, 0, &seen));
	EXPECT_EQ(DR7_FIXED, seen);
	EXPECT_EQ(-1, write_dr(vcpu, 7, 0xffff0300, &seen));
	EXPECT_EQ(0xffff0300 | DR7_FIXED, seen);
	vm_destroy(vcpu->vm);
}

TEST(upper_half_refused)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	int bit;

	set_dr(vcpu, 7, 0x300);
	for (bit = 32; bit < 64; bit++) {
		EXPECT_EQ(VECTOR_GP, write_dr(vcpu, 6, DR6_FIXED | 1ull << bit, NULL));
		EXPECT_EQ(VECTOR_GP, write_dr(vcpu, 7, DR7_FIXED | 1ull << bit, NULL));
	}
	EXPECT_EQ(0x300 | DR7_FIXED, read_dr(vcpu, 7));
	vm_destroy(vcpu->vm);
}

/* DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE is set. */
TEST(dr4_dr5)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_sregs s;
	uint64_t seen;

	EXPECT_EQ(-1, write_dr(vcpu, 5, 0x300, &seen));
	EXPECT_EQ(0x300 | DR7_FIXED, seen);
	EXPECT_EQ(0x300 | DR7_FIXED, read_dr(vcpu, 7));
	EXPECT_EQ(-1, write_dr(vcpu, 4, 0xe, &seen));
	EXPECT_EQ(0xe | DR6_FIXED, seen | DR6_FEATURES);
	EXPECT_EQ(0xe | DR6_FIXED, read_dr(vcpu, 6) | DR6_FEATURES);
	vcpu_get_sregs(vcpu, &s);
	s.cr4 |= CR4_DE;
	vcpu_set_sregs(vcpu, &s);
	EXPECT_EQ(VECTOR_UD, write_dr(vcpu, 4, 0, NULL));
	EXPECT_EQ(VECTOR_UD, write_dr(vcpu, 5, 0, NULL));
	EXPECT_EQ(0x300 | DR7_FIXED, read_dr(vcpu, 7));
	vm_destroy(vcpu->vm);
}

TEST(ring3)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct guest_exception exc;
	int dr, to;

	for (dr = 0; dr < 8; dr++) {
		for (to = 0; to < 2; to++) {
			struct code_buf code = {};

			vcpu_set_mode(vcpu, MODE_LONG_R3);
			mov_dr(&code, to, dr, RAX, 3);
			code_load(&code, vcpu->vm);
			exc = vcpu_run_to_exception(vcpu, VECTOR_GP, 0);
			TEST_EQ(GUEST_CODE, exc.rip, "DR%d", dr);
		}
	}
	vm_destroy(vcpu->vm);
}

/* DR7.GD: the next MOV is a #DB before it, and GD is clear in its handler. */
TEST(general_detect)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct guest_exception exc;
	struct code_buf code = {};
	struct kvm_regs regs;

	mov_dr(&code, true, 7, RBX, 3);
	mov_dr(&code, false, 0, RAX, 3);
	code_hlt(&code);
	code_load(&code, vcpu->vm);
	vcpu_get_regs(vcpu, &regs);
	regs.rbx = DR7_GD | DR7_FIXED;
	vcpu_set_regs(vcpu, &regs);
	exc = vcpu_run_to_exception(vcpu, VECTOR_DB, EXC_NO_ERROR);
	EXPECT_EQ(GUEST_CODE + 3, exc.rip);
	EXPECT_EQ(DR6_BD, read_dr(vcpu, 6) & (DR6_BD | 0xf));
	EXPECT_EQ(DR7_FIXED, read_dr(vcpu, 7));
	vm_destroy(vcpu->vm);
}

/* Away from what reads and writes the registers. */
#define CODE_AT		0x4000

/* DR@dr is @addr, DR7 is @dr7; then @code up to the #DB. */
static struct guest_exception run_to_db(struct test_vcpu *vcpu, int dr,
					uint64_t addr, uint64_t dr7,
					const void *code, size_t size)
{
	struct kvm_regs regs;

	set_dr(vcpu, 6, 0);
	set_dr(vcpu, dr, addr);
	set_dr(vcpu, 7, dr7);
	vm_write(vcpu->vm, CODE_AT, code, size);
	vcpu_get_regs(vcpu, &regs);
	regs.rip = CODE_AT;
	regs.rsp = GUEST_STACK_TOP;
	vcpu_set_regs(vcpu, &regs);
	return vcpu_run_to_exception(vcpu, VECTOR_DB, EXC_NO_ERROR);
}

/* An instruction: #DB before it. */
TEST(breakpoint)
{
	static const uint8_t code[] = { 0x90, 0x90, 0x90, 0x90, 0xf4 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct guest_exception exc;
	int dr;

	for (dr = 0; dr < 4; dr++) {
		exc = run_to_db(vcpu, dr, CODE_AT + dr, DR7_FIXED | 2ull << dr * 2,
				code, sizeof(code));
		EXPECT_EQ(CODE_AT + dr, exc.rip);
		EXPECT_EQ(1ull << dr, read_dr(vcpu, 6) & (DR6_BD | DR6_BS | 0xf));
		set_dr(vcpu, 7, 0);
	}
	vm_destroy(vcpu->vm);
}

/* A write to memory: #DB behind it. */
TEST(watchpoint)
{
	static const uint8_t code[] = {
		0x8b, 0x04, 0x25, 0x10, 0x00, 0x04, 0x00,	/* mov 0x40010, %eax */
		0x89, 0x04, 0x25, 0x10, 0x00, 0x04, 0x00,	/* mov %eax, 0x40010 */
		0x90, 0xf4,
	};
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct guest_exception exc;
	int dr;

	for (dr = 0; dr < 4; dr++) {
		exc = run_to_db(vcpu, dr, GUEST_DATA + 0x10,
				DR7_FIXED | 2ull << dr * 2 | 0xdull << (16 + dr * 4),
				code, sizeof(code));
		EXPECT_EQ(CODE_AT + 14, exc.rip);
		EXPECT_EQ(1ull << dr, read_dr(vcpu, 6) & (DR6_BD | DR6_BS | 0xf));
		set_dr(vcpu, 7, 0);
	}
	vm_destroy(vcpu->vm);
}

/* Two vCPUs in turn on one thread, each with its own. */
TEST(two_vcpus)
{
	static const uint8_t code[] = { 0x90, 0x90, 0x90, 0x90, 0xf4 };
	struct test_vcpu *a = new_vcpu(MODE_LONG), *b = new_vcpu(MODE_LONG);
	struct guest_exception exc;
	int i;

	set_dr(b, 0, CODE_AT + 3);
	for (i = 0; i < 4; i++) {
		exc = run_to_db(a, 0, CODE_AT + 1, DR7_FIXED | 2, code,
				sizeof(code));
		EXPECT_EQ(CODE_AT + 1, exc.rip);
		EXPECT_EQ(CODE_AT + 3, read_dr(b, 0));
		EXPECT_EQ(DR7_FIXED, read_dr(b, 7));
		set_dr(a, 7, 0);
	}
	vm_destroy(a->vm);
	vm_destroy(b->vm);
}

TEST_HARNESS_MAIN
