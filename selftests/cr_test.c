// SPDX-License-Identifier: GPL-2.0
/*
 * Control registers: what the guest writes, reads, and what userspace sees of
 * it; what it may not write.
 */
#include <string.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define CR0_PE		(1ull << 0)
#define CR0_MP		(1ull << 1)
#define CR0_EM		(1ull << 2)
#define CR0_TS		(1ull << 3)
#define CR0_ET		(1ull << 4)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_AM		(1ull << 18)
#define CR0_NW		(1ull << 29)
#define CR0_CD		(1ull << 30)
#define CR0_PG		(1ull << 31)
#define CR4_TSD		(1ull << 2)
#define CR4_DE		(1ull << 3)
#define CR4_PSE		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_MCE		(1ull << 6)
#define CR4_PGE		(1ull << 7)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define CR4_FSGSBASE	(1ull << 16)
#define CR4_PCIDE	(1ull << 17)
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_SMEP	(1ull << 20)

static struct test_vcpu *new_vcpu(enum test_mode mode)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, mode);
	return vcpu;
}

/* mov %rbx, %crN; mov %crN, %rax: the vector it ends with, or -1. */
static int write_cr(struct test_vcpu *vcpu, int cr, uint64_t value,
		    uint64_t *read_back)
{
	struct kvm_regs regs = { .rbx = value, .rax = 0x5555 };
	struct code_buf code = {};
	struct kvm_sregs s;
	int64_t error = 0;
	int vector;

	code_mov_to_cr(&code, cr, RBX);
	code_mov_from_cr(&code, RAX, cr);
	vector = vcpu_try(vcpu, code.bytes, code.size, &regs, &error);
	vcpu_get_sregs(vcpu, &s);
	if (vector == VECTOR_GP)
		TEST_EQ(s.cr0 & CR0_PE ? 0 : EXC_NO_ERROR, error, "error code, CR%d = %#lx", cr, value);
	if (vector >= 0)
		TEST_EQ(0x5555, regs.rax, "RAX after a fault");
	*read_back = regs.rax;
	return vector;
}

static uint64_t read_cr(struct test_vcpu *vcpu, int cr)
{
	struct kvm_regs regs = {};
	struct code_buf code = {};

	code_mov_from_cr(&code, RAX, cr);
	TEST_EQ(-1, vcpu_try(vcpu, code.bytes, code.size, &regs, NULL),
		"vector of a read of CR%d", cr);
	return regs.rax;
}

/* A write that has to work: both sides see the value. */
static void good_write(struct test_vcpu *vcpu, int cr, uint64_t value,
		       uint64_t want)
{
	struct kvm_sregs s;
	uint64_t seen;
	int vector = write_cr(vcpu, cr, value, &seen);

	TEST_EQ(-1, vector, "vector, CR%d = %#lx", cr, value);
	TEST_EQ(want, seen, "CR%d as the guest reads it", cr);
	vcpu_get_sregs(vcpu, &s);
	TEST_EQ(want, cr == 0 ? s.cr0 : cr == 2 ? s.cr2 : cr == 3 ? s.cr3 :
		cr == 4 ? s.cr4 : s.cr8, "CR%d in KVM_GET_SREGS", cr);
}

/* A write that has to be refused, and changes nothing. */
static void bad_write(struct test_vcpu *vcpu, int cr, uint64_t value)
{
	struct kvm_sregs before, after;
	uint64_t seen;
	int vector;

	vcpu_get_sregs(vcpu, &before);
	vector = write_cr(vcpu, cr, value, &seen);
	TEST_EQ(VECTOR_GP, vector, "vector, CR%d = %#lx", cr, value);
	vcpu_get_sregs(vcpu, &after);
	TEST_EQ(before.cr0, after.cr0, "CR0 after CR%d = %#lx", cr, value);
	TEST_EQ(before.cr3, after.cr3, "CR3 after CR%d = %#lx", cr, value);
	TEST_EQ(before.cr4, after.cr4, "CR4 after CR%d = %#lx", cr, value);
	TEST_EQ(before.efer, after.efer, "EFER after CR%d = %#lx", cr, value);
}

#define CR0_BASE (CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE)

TEST(cr0_bits)
{
	static const uint64_t flips[] = {
		0, CR0_NE, CR0_WP, CR0_AM, CR0_CD, CR0_CD | CR0_NW, CR0_MP,
		CR0_TS, CR0_EM, CR0_NE | CR0_WP | CR0_MP,
	};
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	unsigned int i;

	EXPECT_EQ(CR0_BASE, read_cr(vcpu, 0));
	for (i = 0; i < ARRAY_SIZE(flips); i++)
		good_write(vcpu, 0, CR0_BASE ^ flips[i], CR0_BASE ^ flips[i]);
	/* ET is always there; reserved bits below 32 are dropped. */
	good_write(vcpu, 0, CR0_BASE ^ CR0_ET, CR0_BASE);
	good_write(vcpu, 0, CR0_BASE | 1 << 6 | 1 << 15 | 1 << 28, CR0_BASE);
}

TEST(cr0_refused)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);

	bad_write(vcpu, 0, CR0_BASE ^ CR0_PE);		/* PG without PE */
	bad_write(vcpu, 0, CR0_BASE | CR0_NW);		/* NW without CD */
	bad_write(vcpu, 0, CR0_BASE ^ CR0_PG);		/* in 64-bit code */
}

TEST(cr0_refused_upper_half)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	uint64_t seen;
	int bit;

	SKIP_IF_STOCK(write_cr(vcpu, 0, CR0_BASE | 1ull << 32, &seen) < 0,
		      "leaves MOV to CR0 to the CPU, and TCG drops the upper half");
	for (bit = 32; bit < 64; bit += 5)
		bad_write(vcpu, 0, CR0_BASE | 1ull << bit);
}

TEST(cr0_real_mode)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_REAL);

	EXPECT_EQ(CR0_ET, read_cr(vcpu, 0));
	bad_write(vcpu, 0, CR0_ET | CR0_PG);
	bad_write(vcpu, 0, CR0_ET | CR0_NW);
	good_write(vcpu, 0, CR0_ET | CR0_NE, CR0_ET | CR0_NE);
	good_write(vcpu, 0, CR0_CD | CR0_NW, CR0_CD | CR0_NW | CR0_ET);
}

/* WP off: ring 0 writes to read-only pages; on: it does not. */
TEST(cr0_write_protect)
{
	static const uint8_t code[] = { 0x89, 0x04, 0x25, 0, 0xf0, 0x07, 0 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_regs regs = { .rax = 0x77 };
	uint64_t seen;

	*vm_pte(vcpu->vm, 0x7f000) &= ~2ull;
	EXPECT_EQ(VECTOR_PF, vcpu_try(vcpu, code, sizeof(code), &regs, NULL));
	EXPECT_EQ(-1, write_cr(vcpu, 0, CR0_BASE ^ CR0_WP, &seen));
	regs.rax = 0x77;
	EXPECT_EQ(-1, vcpu_try(vcpu, code, sizeof(code), &regs, NULL));
	EXPECT_EQ(0x77, *(uint8_t *)vm_hva(vcpu->vm, 0x7f000, 1));
	EXPECT_EQ(-1, write_cr(vcpu, 0, CR0_BASE, &seen));
	EXPECT_EQ(VECTOR_PF, vcpu_try(vcpu, code, sizeof(code), &regs, NULL));
}

/* TS and EM decide what a floating-point instruction does. */
TEST(cr0_fpu_traps)
{
	static const uint8_t fnop[] = { 0xd9, 0xd0 };
	static const uint8_t movaps[] = { 0x0f, 0x28, 0xc1 };
	static const uint8_t clts[] = { 0x0f, 0x06 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_regs regs = {};
	struct kvm_sregs s;
	uint64_t seen;

	EXPECT_EQ(-1, vcpu_try(vcpu, fnop, 2, &regs, NULL));
	EXPECT_EQ(-1, vcpu_try(vcpu, movaps, 3, &regs, NULL));
	EXPECT_EQ(-1, write_cr(vcpu, 0, CR0_BASE | CR0_TS, &seen));
	EXPECT_EQ(VECTOR_NM, vcpu_try(vcpu, fnop, 2, &regs, NULL));
	EXPECT_EQ(VECTOR_NM, vcpu_try(vcpu, movaps, 3, &regs, NULL));
	EXPECT_EQ(-1, vcpu_try(vcpu, clts, 2, &regs, NULL));
	EXPECT_EQ(CR0_BASE, read_cr(vcpu, 0));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(CR0_BASE, s.cr0);
	EXPECT_EQ(-1, vcpu_try(vcpu, fnop, 2, &regs, NULL));
	EXPECT_EQ(-1, write_cr(vcpu, 0, CR0_BASE | CR0_EM, &seen));
	EXPECT_EQ(VECTOR_NM, vcpu_try(vcpu, fnop, 2, &regs, NULL));
	EXPECT_EQ(VECTOR_UD, vcpu_try(vcpu, movaps, 3, &regs, NULL));
}

/* LMSW writes four bits and cannot clear PE; SMSW reads. */
TEST(lmsw_smsw)
{
	static const uint8_t lmsw[] = { 0x0f, 0x01, 0xf3 };	/* %bx */
	static const uint8_t lmsw_mem[] = { 0x0f, 0x01, 0x37 };	/* (%rdi) */
	static const uint8_t smsw[] = { 0x48, 0x0f, 0x01, 0xe0 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_regs regs = { .rbx = 0xfff0 | CR0_TS | CR0_EM };
	uint16_t word = CR0_MP | CR0_PE;

	EXPECT_EQ(-1, vcpu_try(vcpu, lmsw, sizeof(lmsw), &regs, NULL));
	EXPECT_EQ((CR0_BASE ^ CR0_MP) | CR0_TS | CR0_EM, read_cr(vcpu, 0));
	EXPECT_EQ(-1, vcpu_try(vcpu, smsw, sizeof(smsw), &regs, NULL));
	EXPECT_EQ(((CR0_BASE ^ CR0_MP) | CR0_TS | CR0_EM) & 0xffff,
		  regs.rax & 0xffff);
	vm_write(vcpu->vm, GUEST_DATA, &word, 2);
	regs.rdi = GUEST_DATA;
	EXPECT_EQ(-1, vcpu_try(vcpu, lmsw_mem, sizeof(lmsw_mem), &regs, NULL));
	EXPECT_EQ(CR0_BASE, read_cr(vcpu, 0));
}

/* LMSW is the way into protected mode that the 286 had. */
TEST(lmsw_real_mode)
{
	static const uint8_t lmsw[] = { 0x0f, 0x01, 0xf3 };
	struct test_vcpu *vcpu = new_vcpu(MODE_REAL);
	struct kvm_regs regs = { .rbx = CR0_PE };
	struct kvm_sregs s;

	EXPECT_EQ(-1, vcpu_try(vcpu, lmsw, sizeof(lmsw), &regs, NULL));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(CR0_ET | CR0_PE, s.cr0);
	regs.rbx = 0;
	EXPECT_EQ(-1, vcpu_try(vcpu, lmsw, sizeof(lmsw), &regs, NULL));
	EXPECT_EQ(CR0_ET | CR0_PE, read_cr(vcpu, 0));
}

TEST(cr2)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	uint64_t value = rand_u64();
	struct kvm_sregs s;

	good_write(vcpu, 2, value, value);
	vcpu_get_sregs(vcpu, &s);
	s.cr2 = ~value;
	vcpu_set_sregs(vcpu, &s);
	EXPECT_EQ(~value, read_cr(vcpu, 2));
}

/* The guest's tables change with CR3, and what was cached goes. */
TEST(cr3)
{
	static const uint8_t load[] = { 0x8b, 0x04, 0x25, 0, 0xf0, 0x07, 0 };
	static const uint8_t invlpg[] = { 0x0f, 0x01, 0x3c, 0x25, 0, 0xf0, 7, 0,
					  0x8b, 0x04, 0x25, 0, 0xf0, 0x07, 0 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct test_vm *vm = vcpu->vm;
	struct kvm_regs regs = {};
	int i;

	good_write(vcpu, 3, GUEST_PML4, GUEST_PML4);
	good_write(vcpu, 3, GUEST_PML4 | 0x18, GUEST_PML4 | 0x18);

	/* A second set of tables, alike but for the page at 0x7f000. */
	for (i = 0; i < 3; i++)
		memcpy(vm_hva(vm, 0x50000 + i * 0x1000, 0x1000),
		       vm_hva(vm, GUEST_PML4 + i * 0x1000, 0x1000), 0x1000);
	memcpy(vm_hva(vm, 0x53000, 0x1000), vm_hva(vm, GUEST_PT, 0x1000),
	       0x1000);
	*(uint64_t *)vm_hva(vm, 0x50000, 8) = 0x51007;
	*(uint64_t *)vm_hva(vm, 0x51000, 8) = 0x52007;
	*(uint64_t *)vm_hva(vm, 0x52000, 8) = 0x53007;
	*(uint64_t *)vm_hva(vm, 0x53000 + 0x7f * 8, 8) = 0x60007;
	*(uint32_t *)vm_hva(vm, 0x7f000, 4) = 1;
	*(uint32_t *)vm_hva(vm, 0x60000, 4) = 2;
	*(uint32_t *)vm_hva(vm, 0x61000, 4) = 3;

	for (i = 0; i < 4; i++) {
		good_write(vcpu, 3, GUEST_PML4, GUEST_PML4);
		EXPECT_EQ(-1, vcpu_try(vcpu, load, sizeof(load), &regs, NULL));
		EXPECT_EQ(1, regs.rax);
		good_write(vcpu, 3, 0x50000, 0x50000);
		EXPECT_EQ(-1, vcpu_try(vcpu, load, sizeof(load), &regs, NULL));
		EXPECT_EQ(2, regs.rax);
	}
	*(uint64_t *)vm_hva(vm, 0x53000 + 0x7f * 8, 8) = 0x61007;
	EXPECT_EQ(-1, vcpu_try(vcpu, invlpg, sizeof(invlpg), &regs, NULL));
	EXPECT_EQ(3, regs.rax);
}

TEST(cr3_refused)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 0x80000008, 0);
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 2,
	};
	struct code_buf code = {};
	int width;

	ASSERT_NE(NULL, e);
	width = e->eax & 0xff;
	ASSERT_LE(32, width);
	regs.rbx = GUEST_PML4 | 1ull << width;
	code_mov_to_cr(&code, 3, RBX);
	code_hlt(&code);
	code_load(&code, vcpu->vm);
	vcpu_set_regs(vcpu, &regs);
	vcpu_run(vcpu);
	SKIP_IF_TCG(vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY,
		    "MOV to CR3 with reserved bits is VMEXIT_INVALID");
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	memset(vm_exception(vcpu->vm), 0, sizeof(struct guest_exception));
	bad_write(vcpu, 3, GUEST_PML4 | 1ull << width);
	bad_write(vcpu, 3, GUEST_PML4 | 1ull << 55);
	bad_write(vcpu, 3, GUEST_PML4 | 1ull << 63);	/* without PCIDE */
	free(cpuid);
}

#define CR4_BASE (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)

TEST(cr4_bits)
{
	static const uint64_t flips[] = {
		0, CR4_TSD, CR4_DE, CR4_PSE, CR4_MCE, CR4_PGE, CR4_OSFXSR,
		CR4_OSXMMEXCPT, CR4_PGE | CR4_PSE | CR4_DE,
	};
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	unsigned int i;

	EXPECT_EQ(CR4_BASE, read_cr(vcpu, 4));
	for (i = 0; i < ARRAY_SIZE(flips); i++)
		good_write(vcpu, 4, CR4_BASE ^ flips[i], CR4_BASE ^ flips[i]);
}

TEST(cr4_refused)
{
	static const int bits[] = { 15, 19, 26, 31 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++)
		bad_write(vcpu, 4, CR4_BASE | 1ull << bits[i]);
	bad_write(vcpu, 4, CR4_BASE ^ CR4_PAE);		/* in long mode */
	/* A guest of ours has no VMX to switch on. */
	if (test_device_is_minikvm() || !test_vendor()->has_vmxe)
		bad_write(vcpu, 4, CR4_BASE | 1ull << 13);
}

TEST(cr4_refused_upper_half)
{
	static const int bits[] = { 32, 47, 63 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	unsigned int i;
	uint64_t seen;

	SKIP_IF_STOCK(write_cr(vcpu, 4, CR4_BASE | 1ull << 32, &seen) < 0,
		      "its emulator looks at the lower half of CR4 only");
	for (i = 0; i < ARRAY_SIZE(bits); i++)
		bad_write(vcpu, 4, CR4_BASE | 1ull << bits[i]);
}

/* A bit of CR4 is there exactly when CPUID shows the guest its feature. */
static void feature_bit(bool there, uint64_t bit)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	int i;

	/* Pages for ring 0 only, or SMEP and SMAP end the guest. */
	for (i = 0; i < 512; i++)
		*vm_pte(vcpu->vm, i << 12) &= ~4ull;
	if (there)
		good_write(vcpu, 4, CR4_BASE | bit, CR4_BASE | bit);
	else
		bad_write(vcpu, 4, CR4_BASE | bit);
	good_write(vcpu, 4, CR4_BASE, CR4_BASE);
	vm_destroy(vcpu->vm);
}

TEST(cr4_follows_cpuid)
{
	int dev = test_open_device();
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(dev);
	struct kvm_cpuid_entry2 *e1 = test_cpuid_entry(cpuid, 1, 0);
	struct kvm_cpuid_entry2 *e7 = test_cpuid_entry(cpuid, 7, 0);

	ASSERT_NE(NULL, e1);
	feature_bit(e1->ecx & 1 << 26, CR4_OSXSAVE);
	feature_bit(e1->ecx & 1 << 17, CR4_PCIDE);
	feature_bit(e7 && e7->ebx & 1 << 0, CR4_FSGSBASE);
	feature_bit(e7 && e7->ebx & 1 << 7, CR4_SMEP);
	feature_bit(e7 && e7->ebx & 1 << 20, 1ull << 21);	/* SMAP */
	feature_bit(e7 && e7->ecx & 1 << 3, 1ull << 22);	/* PKE */
	free(cpuid);
	close(dev);
}

/* With PCIDE the low bits of CR3 are a tag and bit 63 says: do not flush. */
TEST(cr3_pcid)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 1, 0);

	if (!(e->ecx & 1 << 17))
		SKIP(return, "no PCID");
	good_write(vcpu, 4, CR4_BASE | CR4_PCIDE, CR4_BASE | CR4_PCIDE);
	good_write(vcpu, 3, GUEST_PML4 | 0x123, GUEST_PML4 | 0x123);
	good_write(vcpu, 3, GUEST_PML4 | 0x124 | 1ull << 63,
		   GUEST_PML4 | 0x124);
	/* PCIDE needs long mode, and CR3's low bits clear to be set. */
	good_write(vcpu, 4, CR4_BASE, CR4_BASE);
	good_write(vcpu, 3, GUEST_PML4 | 0x18, GUEST_PML4 | 0x18);
	bad_write(vcpu, 4, CR4_BASE | CR4_PCIDE);
	free(cpuid);
}

/* SMEP: ring 0 may not execute what ring 3 may. */
TEST(cr4_smep)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 7, 0);
	static const uint8_t code[] = { 0x0f, 0x22, 0xe3, 0xff, 0xe7 };
	struct kvm_regs regs = { .rbx = CR4_BASE | CR4_SMEP, .rdi = 0x7f000 };
	int64_t error;
	int i;

	if (!e || !(e->ebx & 1 << 7))
		SKIP(return, "no SMEP");
	/* All pages for ring 0, but 0x7f000. */
	for (i = 0; i < 512; i++)
		if (i != 0x7f)
			*vm_pte(vcpu->vm, i << 12) &= ~4ull;
	EXPECT_EQ(VECTOR_PF, vcpu_try(vcpu, code, sizeof(code), &regs, &error));
	EXPECT_EQ(0x11, error);
	free(cpuid);
}

/* CR4.OSXSAVE is what CPUID shows of it. */
TEST(cr4_osxsave_in_cpuid)
{
	static const uint8_t cpuid_insn[] = { 0x0f, 0xa2 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 1, 0);
	struct kvm_regs regs = {};
	int on;

	if (!(e->ecx & 1 << 26))
		SKIP(return, "no XSAVE");
	for (on = 0; on < 3; on++) {
		uint64_t value = CR4_BASE | (on & 1 ? CR4_OSXSAVE : 0);

		good_write(vcpu, 4, value, value);
		memset(&regs, 0, sizeof(regs));
		regs.rax = 1;
		EXPECT_EQ(-1, vcpu_try(vcpu, cpuid_insn, 2, &regs, NULL));
		EXPECT_EQ(on & 1, regs.rcx >> 27 & 1);
	}
	free(cpuid);
}

/*
 * CR8 without a local APIC in the kernel: userspace has to know when the guest
 * lowers its priority, and gives the value with every KVM_RUN.
 */
TEST(cr8)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
	struct code_buf code = {};
	struct kvm_sregs s;

	code_mov_to_cr(&code, 8, RBX);
	code_mov_from_cr(&code, RAX, 8);
	code_hlt(&code);
	code_load(&code, vcpu->vm);

	/* Up: no exit. */
	regs.rbx = 9;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(9, regs.rax);
	EXPECT_EQ(9, run->cr8);
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(9, s.cr8);

	/* Down: KVM_EXIT_SET_TPR. */
	regs.rip = GUEST_CODE;
	regs.rbx = 3;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_expect(vcpu, KVM_EXIT_SET_TPR);
	EXPECT_EQ(3, run->cr8);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(3, regs.rax);

	/* What userspace says counts. */
	run->cr8 = 12;
	regs.rip = GUEST_CODE + 4;		/* the read */
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(12, regs.rax);
}

TEST(cr8_refused)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);

	bad_write(vcpu, 8, 16);
	/* Stock KVM looks at the low byte only. */
	if (test_device_is_minikvm())
		bad_write(vcpu, 8, 1ull << 63);
}

/* CR1, CR5 to CR7 and CR9 do not exist. */
TEST(no_such_register)
{
	static const int none[] = { 1, 5, 6, 7, 9, 15 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_regs regs = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		struct code_buf to = {}, from = {};

		code_mov_to_cr(&to, none[i], RBX);
		code_mov_from_cr(&from, RAX, none[i]);
		TEST_EQ(VECTOR_UD, vcpu_try(vcpu, to.bytes, to.size, &regs,
					    NULL), "to CR%d", none[i]);
		TEST_EQ(VECTOR_UD, vcpu_try(vcpu, from.bytes, from.size, &regs,
					    NULL), "from CR%d", none[i]);
	}
}

/* Every general register can be source and destination; RSP too. */
TEST(every_gpr)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	int reg;

	for (reg = RAX; reg <= R15; reg++) {
		struct kvm_regs regs = { .rflags = 2 }, after;
		struct code_buf code = {};
		uint64_t old = CR0_BASE | CR0_AM;

		/* Read CR0 into it, flip AM by bit, write it back. */
		code_mov_from_cr(&code, reg, 0);
		CODE(&code, reg >= R8 ? 0x49 : 0x48, 0x0f, 0xba,
		     0xf8 | (reg & 7), 18);	/* btc $18, %reg */
		code_mov_to_cr(&code, 0, reg);
		code_hlt(&code);
		code_load(&code, vcpu->vm);
		rand_fill(&regs, offsetof(struct kvm_regs, rip));
		regs.rip = GUEST_CODE;
		vcpu_set_regs(vcpu, &regs);
		vcpu_run_to_hlt(vcpu);
		vcpu_get_regs(vcpu, &after);
		if (reg & 1)
			old = CR0_BASE;
		TEST_EQ(old, *regs_gpr(&after, reg), "register %d", reg);
		*regs_gpr(&regs, reg) = old;
		TEST_EQ(0, memcmp(&regs, &after,
				  offsetof(struct kvm_regs, rip)),
			"other registers around %d", reg);
		TEST_EQ(old, read_cr(vcpu, 0), "CR0 by register %d", reg);
	}
}

TEST_HARNESS_MAIN
