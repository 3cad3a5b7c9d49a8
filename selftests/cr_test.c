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

/*
 * The guest runs with CR4.MCE where the host does, and should not see it unless the bit is its own:
 * cr4_mce. In TCG it does: @seen as it would be, if @want was to be seen.
 */
static uint64_t without_mce(int cr, uint64_t seen, uint64_t want)
{
	return cr == 4 && test_cpu_is_tcg() ? (seen & ~CR4_MCE) | (want & CR4_MCE) : seen;
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
	TEST_EQ(want, without_mce(cr, seen, want), "CR%d as the guest reads it", cr);
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

	EXPECT_EQ(CR4_BASE, without_mce(4, read_cr(vcpu, 4), 0));
	for (i = 0; i < ARRAY_SIZE(flips); i++)
		good_write(vcpu, 4, CR4_BASE ^ flips[i], CR4_BASE ^ flips[i]);
}

TEST(cr4_mce)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	uint64_t seen = read_cr(vcpu, 4);

	SKIP_IF_TCG(seen & CR4_MCE, "reads of CR4 make no exit, and the host has MCE");
	EXPECT_EQ(CR4_BASE, seen);
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

/*
 * Every general register can be source and destination, RSP too: @value from
 * @reg to CR@cr, and back to a neighbour.
 */
static void check_gpr(struct test_vcpu *vcpu, int cr, int reg, uint64_t value)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 }, after;
	struct code_buf code = {};
	int to = reg ^ 1;

	code_mov_to_cr(&code, cr, reg);
	code_mov_from_cr(&code, to, cr);
	code_hlt(&code);
	code_load(&code, vcpu->vm);
	rand_fill(&regs, offsetof(struct kvm_regs, rip));
	*regs_gpr(&regs, reg) = value;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &after);
	*regs_gpr(&after, to) = without_mce(cr, *regs_gpr(&after, to), value);
	*regs_gpr(&regs, to) = value;
	TEST_EQ(value, *regs_gpr(&after, to), "CR%d by registers %d and %d", cr,
		reg, to);
	TEST_EQ(0, memcmp(&regs, &after, offsetof(struct kvm_regs, rip)),
		"other registers, CR%d by %d and %d", cr, reg, to);
	TEST_EQ(GUEST_CODE + code.size, after.rip, "RIP");
	TEST_EQ(value, without_mce(cr, read_cr(vcpu, cr), value), "CR%d by register %d", cr, reg);
}

TEST(every_gpr)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	int reg;

	for (reg = RAX; reg <= R15; reg++) {
		bool odd = reg & 1;

		check_gpr(vcpu, 0, reg, CR0_BASE | (odd ? CR0_AM : 0));
		check_gpr(vcpu, 2, reg, rand_u64());
		check_gpr(vcpu, 3, reg, GUEST_PML4 | (odd ? 0x18 : 0));
		check_gpr(vcpu, 4, reg, CR4_BASE | (odd ? CR4_DE : CR4_PGE));
		/* Upwards: userspace hears of a CR8 that goes down. */
		check_gpr(vcpu, 8, reg, reg);
	}
}

/* The same in 32-bit code; the upper halves of RAX and so on do not count. */
TEST(every_gpr_32bit)
{
	static const int crs[] = { 0, 2, 3, 4 };
	struct test_vcpu *vcpu = new_vcpu(MODE_PAE);
	unsigned int i;
	int reg;

	for (reg = RAX; reg <= RDI; reg++) {
		for (i = 0; i < ARRAY_SIZE(crs); i++) {
			const uint64_t values[] = {
				CR0_BASE ^ (reg & 1 ? CR0_NE : 0),
				0x80000000 | reg,
				GUEST_PDPT_PAE | (reg & 1 ? 0x18 : 0),
				CR4_BASE | (reg & 1 ? CR4_DE : CR4_TSD),
			};
			struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
			struct code_buf code = {};
			uint64_t seen;

			code_mov_to_cr(&code, crs[i], reg);
			code_mov_from_cr(&code, reg ^ 1, crs[i]);
			code_hlt(&code);
			code_load(&code, vcpu->vm);
			*regs_gpr(&regs, reg) = values[i] | 0x12345678ull << 32;
			vcpu_set_regs(vcpu, &regs);
			vcpu_run_to_hlt(vcpu);
			vcpu_get_regs(vcpu, &regs);
			TEST_EQ(0, vm_exception(vcpu->vm)->count, "exceptions");
			seen = *regs_gpr(&regs, reg ^ 1) & 0xffffffff;
			TEST_EQ(values[i], without_mce(crs[i], seen, values[i]),
				"CR%d by register %d", crs[i], reg);
		}
	}
}

/* Bits 7 and 6 of MOV's ModRM byte are ignored: no memory operand, ever. */
TEST(modrm_without_mod)
{
	static const enum test_mode modes[] = { MODE_REAL, MODE_PROT32, MODE_LONG };
	unsigned int m, mod, i;

	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		struct test_vcpu *vcpu = new_vcpu(modes[m]);

		for (mod = 0; mod < 4; mod++) {
			/* Registers 4 and 5 would have a SIB byte, or a displacement. */
			for (i = RSP; i <= RSI; i++) {
				const uint8_t code[] = {
					0x0f, 0x22, mod << 6 | 2 << 3 | i,
					0x0f, 0x20, mod << 6 | 2 << 3 | RAX, 0xf4,
				};
				struct kvm_regs regs = {
					.rip = GUEST_CODE, .rflags = 2,
				};

				*regs_gpr(&regs, i) = 0x6789 + mod;
				vm_load_bytes(vcpu->vm, code, sizeof(code));
				vcpu_set_regs(vcpu, &regs);
				vcpu_run_to_hlt(vcpu);
				vcpu_get_regs(vcpu, &regs);
				TEST_EQ(GUEST_CODE + sizeof(code), regs.rip,
					"mod %u, register %u, %s", mod, i,
					test_mode_name(modes[m]));
				TEST_EQ(0x6789 + mod, regs.rax,
					"mod %u, register %u, %s", mod, i,
					test_mode_name(modes[m]));
			}
		}
		vm_destroy(vcpu->vm);
	}
}

/* CD does not go away by what changes other bits, and nothing else does. */
TEST(cache_disabled)
{
	static const uint8_t clts[] = { 0x0f, 0x06 };
	static const uint8_t lmsw[] = { 0x0f, 0x01, 0xf3 };
	static const uint8_t smsw[] = { 0x0f, 0x01, 0xe0 };
	static const uint64_t cds[] = { CR0_CD, CR0_CD | CR0_NW };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cds); i++) {
		struct kvm_regs regs = { .rbx = CR0_TS | CR0_PE };
		uint64_t base = CR0_BASE | cds[i];
		struct kvm_sregs s;

		good_write(vcpu, 0, base | CR0_TS, base | CR0_TS);
		EXPECT_EQ(-1, vcpu_try(vcpu, clts, sizeof(clts), &regs, NULL));
		EXPECT_EQ(base, read_cr(vcpu, 0));
		EXPECT_EQ(-1, vcpu_try(vcpu, lmsw, sizeof(lmsw), &regs, NULL));
		EXPECT_EQ((base ^ CR0_MP) | CR0_TS, read_cr(vcpu, 0));
		EXPECT_EQ(-1, vcpu_try(vcpu, smsw, sizeof(smsw), &regs, NULL));
		EXPECT_EQ(((base ^ CR0_MP) | CR0_TS) & 0xffff, regs.rax & 0xffff);
		vcpu_get_sregs(vcpu, &s);
		EXPECT_EQ((base ^ CR0_MP) | CR0_TS, s.cr0);
		good_write(vcpu, 0, base, base);
		good_write(vcpu, 0, CR0_BASE, CR0_BASE);
		/* By userspace. */
		vcpu_get_sregs(vcpu, &s);
		s.cr0 = base;
		vcpu_set_sregs(vcpu, &s);
		EXPECT_EQ(base, read_cr(vcpu, 0));
		good_write(vcpu, 0, CR0_BASE, CR0_BASE);
	}
}

/* SMSW to registers: 16, 32 and 64 bits wide. */
TEST(smsw_registers)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	const uint64_t old = 0xa5a5a5a5a5a5a5a5;
	int reg, width;

	for (reg = RAX; reg <= R15; reg++) {
		for (width = 0; width < 3; width++) {
			uint8_t rex = 0x40 | (width == 2 ? 8 : 0) | reg >> 3;
			const uint8_t code[] = {
				width ? 0x2e : 0x66, rex, 0x0f, 0x01,
				0xe0 | (reg & 7), 0xf4,
			};
			struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
			uint64_t got;

			*regs_gpr(&regs, reg) = old;
			vm_load_bytes(vcpu->vm, code, sizeof(code));
			vcpu_set_regs(vcpu, &regs);
			vcpu_run_to_hlt(vcpu);
			vcpu_get_regs(vcpu, &regs);
			TEST_EQ(GUEST_CODE + sizeof(code), regs.rip, "RIP");
			got = *regs_gpr(&regs, reg);
			TEST_EQ(CR0_BASE & 0xffff, got & 0xffff,
				"register %d, width %d", reg, width);
			/* Bits 16 to 31 of the wide ones are undefined. */
			if (width == 0)
				TEST_EQ(old >> 16, got >> 16, "register %d", reg);
			else
				TEST_EQ(0, got >> 32, "register %d, width %d",
					reg, width);
		}
	}
}

/* An instruction with a memory operand, which is at MSW_AT in each form. */
#define MSW_AT		(GUEST_DATA + 0x3400)
#define FS_BASE		0x21000

struct mem_form {
	const char *name;
	enum test_mode mode;
	uint8_t prefixes[3];
	uint8_t nr_prefixes;
	uint8_t modrm[6];		/* with 0 in the register field */
	uint8_t size;
	uint64_t rax, rbx, rsi, rbp;	/* before */
};

#define PREFIX(...)	{ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })
#define MODRM(...)	{ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })
#define LE32(x)		(x) & 0xff, (x) >> 8 & 0xff, (x) >> 16 & 0xff, (x) >> 24 & 0xff
#define LE16(x)		(x) & 0xff, (x) >> 8 & 0xff
#define LOW_AT		0x9000		/* within reach of 16-bit code */

static const struct mem_form mem_forms[] = {
	{ "(%rbx)", MODE_LONG, PREFIX(), MODRM(0x03), .rbx = MSW_AT },
	{ "-8(%rbx)", MODE_LONG, PREFIX(), MODRM(0x43, 0xf8), .rbx = MSW_AT + 8 },
	{ "disp32(%rsi)", MODE_LONG, PREFIX(), MODRM(0x86, LE32(0x1000)),
	  .rsi = MSW_AT - 0x1000 },
	{ "(%rax,%rsi,4)", MODE_LONG, PREFIX(), MODRM(0x04, 0xb0),
	  .rax = MSW_AT - 0x400, .rsi = 0x100 },
	{ "disp32", MODE_LONG, PREFIX(), MODRM(0x04, 0x25, LE32(MSW_AT)) },
	{ "disp32(%rip)", MODE_LONG, PREFIX(),
	  MODRM(0x05, LE32(MSW_AT - GUEST_CODE - 7)) },
	{ "(%r11)", MODE_LONG, PREFIX(0x41), MODRM(0x03), .rbx = 0x1234 },
	{ "(%rbx), 66 and REX.W", MODE_LONG, PREFIX(0x66, 0x48), MODRM(0x03),
	  .rbx = MSW_AT },
	{ "%fs:(%rbx)", MODE_LONG, PREFIX(0x64), MODRM(0x03),
	  .rbx = MSW_AT - FS_BASE },
	{ "%ds:(%rbx), which is nothing", MODE_LONG, PREFIX(0x3e), MODRM(0x03),
	  .rbx = MSW_AT },
	{ "(%ebx)", MODE_LONG, PREFIX(0x67), MODRM(0x03),
	  .rbx = 0x1234567800000000 | MSW_AT },
	{ "disp8(%rbp,%rsi)", MODE_LONG, PREFIX(), MODRM(0x44, 0x35, 0x10),
	  .rbp = MSW_AT - 0x20, .rsi = 0x10 },
	{ "(%ebx)", MODE_PROT32, PREFIX(), MODRM(0x03), .rbx = MSW_AT },
	{ "disp32", MODE_PROT32, PREFIX(), MODRM(0x05, LE32(MSW_AT)) },
	{ "disp8(%ebp)", MODE_PROT32, PREFIX(), MODRM(0x45, 0xf0),
	  .rbp = MSW_AT + 0x10 },
	{ "%fs:(%eax,%esi)", MODE_PROT32, PREFIX(0x64), MODRM(0x04, 0x30),
	  .rax = MSW_AT - FS_BASE, .rsi = 0 },
	{ "(%bx)", MODE_PROT32, PREFIX(0x67), MODRM(0x07),
	  .rbx = 0x12340000 | LOW_AT },
	{ "(%eax)", MODE_COMPAT, PREFIX(), MODRM(0x00), .rax = MSW_AT },
	{ "disp32", MODE_COMPAT, PREFIX(), MODRM(0x05, LE32(MSW_AT)) },
	{ "(%ebx)", MODE_PAE, PREFIX(), MODRM(0x03), .rbx = MSW_AT },
	{ "(%ebx)", MODE_PAGING32, PREFIX(), MODRM(0x03), .rbx = MSW_AT },
	{ "(%bx,%si)", MODE_REAL, PREFIX(), MODRM(0x00), .rbx = LOW_AT - 0x10,
	  .rsi = 0x10 },
	{ "disp16", MODE_REAL, PREFIX(), MODRM(0x06, LE16(LOW_AT)) },
	{ "disp8(%bp,%si), and around 64 KiB", MODE_REAL, PREFIX(),
	  MODRM(0x42, 0x10), .rbp = 0xfff0, .rsi = LOW_AT },
	{ "%fs:(%bx)", MODE_REAL, PREFIX(0x64), MODRM(0x07),
	  .rbx = MSW_AT - 0x40000 },
	{ "(%ebx)", MODE_REAL, PREFIX(0x67), MODRM(0x03), .rbx = LOW_AT },
	{ "(%bx,%si)", MODE_PROT16, PREFIX(), MODRM(0x00), .rbx = LOW_AT,
	  .rsi = 0 },
};

/* 0F 01 with @reg in the register field of the form's ModRM byte, then HLT. */
static void start_form(struct test_vcpu *vcpu, const struct mem_form *f, int reg)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 2,
		.rax = f->rax, .rbx = f->rbx, .rsi = f->rsi, .rbp = f->rbp,
		.r11 = MSW_AT,
	};
	struct code_buf code = {};
	struct kvm_sregs s;

	vcpu_set_mode(vcpu, f->mode);
	vcpu_get_sregs(vcpu, &s);
	s.fs.base = f->mode == MODE_REAL ? 0x40000 : FS_BASE;
	if (f->mode == MODE_REAL)
		s.fs.selector = 0x4000;
	vcpu_set_sregs(vcpu, &s);
	code_bytes(&code, f->prefixes, f->nr_prefixes);
	CODE(&code, 0x0f, 0x01, f->modrm[0] | reg << 3);
	code_bytes(&code, f->modrm + 1, f->size - 1);
	code_hlt(&code);
	code_load(&code, vcpu->vm);
	vcpu_set_regs(vcpu, &regs);
}

static uint64_t form_address(const struct mem_form *f)
{
	bool low = f->mode == MODE_REAL || f->mode == MODE_PROT16 ||
		   (f->mode == MODE_PROT32 && f->prefixes[0] == 0x67);

	return low && f->prefixes[0] != 0x64 ? LOW_AT : MSW_AT;
}

/* The instruction has run, up to the HLT behind it. */
static void finish_form(struct test_vcpu *vcpu, const struct mem_form *f)
{
	struct kvm_regs regs;

	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(0, vm_exception(vcpu->vm)->count, "%s, %s", f->name,
		test_mode_name(f->mode));
	TEST_EQ(GUEST_CODE + f->nr_prefixes + 2 + f->size + 1, regs.rip,
		"RIP, %s, %s", f->name, test_mode_name(f->mode));
}

/* SMSW to memory is 16 bits wide, whatever the prefixes say. */
TEST(smsw_memory)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mem_forms); i++) {
		const struct mem_form *f = &mem_forms[i];
		uint8_t *p = vm_hva(vcpu->vm, form_address(f) - 8, 32);
		struct kvm_sregs s;
		unsigned int k;

		memset(p, 0xa5, 32);
		start_form(vcpu, f, 4);
		vcpu_get_sregs(vcpu, &s);
		finish_form(vcpu, f);
		TEST_EQ(s.cr0 & 0xffff, *(uint16_t *)(p + 8), "%s, %s", f->name,
			test_mode_name(f->mode));
		for (k = 0; k < 32; k++)
			TEST_CHECK(k == 8 || k == 9 || p[k] == 0xa5,
				   "byte %d of %s, %s", (int)k - 8, f->name,
				   test_mode_name(f->mode));
	}
}

TEST(lmsw_memory)
{
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(mem_forms); i++) {
		const struct mem_form *f = &mem_forms[i];
		uint16_t *p = vm_hva(vcpu->vm, form_address(f), 2);

		/* Nothing; MP; EM and TS; bits that do not count. */
		for (k = 0; k < 4; k++) {
			static const uint16_t values[] = { 0, 2, 0xc, 0xfff2 };
			struct kvm_sregs before, after;

			*p = values[k];
			start_form(vcpu, f, 6);
			vcpu_get_sregs(vcpu, &before);
			finish_form(vcpu, f);
			vcpu_get_sregs(vcpu, &after);
			TEST_EQ((before.cr0 & ~0xeull) | (values[k] & 0xe),
				after.cr0, "%s, %s", f->name,
				test_mode_name(f->mode));
		}
	}
}

/* The operand has a page fault, or two pages, or no address at all. */
TEST(lmsw_operand_faults)
{
	static const uint8_t lmsw[] = { 0x0f, 0x01, 0x37 };	/* (%rdi) */
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_regs regs = { .rdi = 0x7f123 };
	struct test_vm *vm = vcpu->vm;
	struct guest_exception exc;
	struct kvm_sregs s;
	int64_t error;

	*vm_pte(vm, 0x7f000) &= ~1ull;
	vm_load_bytes(vm, lmsw, sizeof(lmsw));
	regs.rip = GUEST_CODE;
	regs.rsp = GUEST_STACK_TOP;
	regs.rflags = 2;
	vcpu_set_regs(vcpu, &regs);
	exc = vcpu_run_to_exception(vcpu, VECTOR_PF, 0);
	EXPECT_EQ(0x7f123, exc.cr2);
	EXPECT_EQ(GUEST_CODE, exc.rip);
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(CR0_BASE, s.cr0);

	/* The second byte's page is missing. */
	regs.rdi = 0x7efff;
	vcpu_set_regs(vcpu, &regs);
	exc = vcpu_run_to_exception(vcpu, VECTOR_PF, 0);
	EXPECT_EQ(0x7f000, exc.cr2);
	EXPECT_EQ(GUEST_CODE, exc.rip);

	/* It is there, and somewhere else. */
	*vm_pte(vm, 0x7f000) = 0x60000 | 7;
	*(uint8_t *)vm_hva(vm, 0x7efff, 1) = CR0_TS | CR0_MP;
	*(uint8_t *)vm_hva(vm, 0x60000, 1) = 0;
	*(uint8_t *)vm_hva(vm, 0x7f000, 1) = 0xff;
	EXPECT_EQ(-1, vcpu_try(vcpu, lmsw, sizeof(lmsw), &regs, NULL));
	EXPECT_EQ(CR0_BASE | CR0_TS, read_cr(vcpu, 0));

	/* Not canonical. */
	regs.rdi = 0x800000000000;
	EXPECT_EQ(VECTOR_GP, vcpu_try(vcpu, lmsw, sizeof(lmsw), &regs, &error));
	EXPECT_EQ(0, error);
	EXPECT_EQ(CR0_BASE | CR0_TS, read_cr(vcpu, 0));
}

/* Ring 3 may read with SMSW, and nothing else. */
TEST(ring3)
{
	static const struct {
		const char *name;
		uint8_t code[4];
	} refused[] = {
		{ "lmsw %ax", { 0x0f, 0x01, 0xf0 } },
		{ "lmsw (%rdi), no page", { 0x0f, 0x01, 0x37 } },
		{ "clts", { 0x0f, 0x06 } },
		{ "mov %cr0, %rax", { 0x0f, 0x20, 0xc0 } },
		{ "mov %rax, %cr0", { 0x0f, 0x22, 0xc0 } },
		{ "mov %cr3, %rax", { 0x0f, 0x20, 0xd8 } },
		{ "mov %rax, %cr3", { 0x0f, 0x22, 0xd8 } },
		{ "mov %cr4, %rax", { 0x0f, 0x20, 0xe0 } },
		{ "mov %rax, %cr4", { 0x0f, 0x22, 0xe0 } },
		{ "mov %cr8, %rax", { 0x44, 0x0f, 0x20, 0xc0 } },
		{ "mov %rax, %cr8", { 0x44, 0x0f, 0x22, 0xc0 } },
	};
	static const uint8_t smsw[] = { 0x0f, 0x01, 0xe0, 0x0f, 0x0b };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct guest_exception exc;
	struct kvm_regs regs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		vcpu_set_mode(vcpu, MODE_LONG_R3);
		*vm_pte(vcpu->vm, 0x7f000) &= ~1ull;
		vm_load_bytes(vcpu->vm, refused[i].code, 4);
		vcpu_get_regs(vcpu, &regs);
		regs.rdi = 0x7f000;
		vcpu_set_regs(vcpu, &regs);
		exc = vcpu_run_to_exception(vcpu, VECTOR_GP, 0);
		TEST_EQ(GUEST_CODE, exc.rip, "%s", refused[i].name);
	}
	vcpu_set_mode(vcpu, MODE_LONG_R3);
	vm_load_bytes(vcpu->vm, smsw, sizeof(smsw));
	vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(CR0_BASE & 0xffff, regs.rax & 0xffff);
}

/*
 * LOCK MOV CR0 is MOV CR8 on CPUs of AMD that say so in CPUID 80000001 ECX bit
 * 4 (APM volume 3, "MOV CRn"), else #UD. An exit cannot be helped where a guest
 * is not shown the bit; CR0 it never is.
 */
TEST(lock_mov_cr0)
{
	static const uint8_t write[] = { 0xf0, 0x0f, 0x22, 0xc3 };
	static const uint8_t read[] = { 0xf0, 0x0f, 0x20, 0xc0 };
	struct test_vcpu *vcpu = new_vcpu(MODE_LONG);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 0x80000001, 0);
	struct kvm_regs regs = { .rbx = 9 };
	struct kvm_sregs s;
	int vector;

	vector = vcpu_try(vcpu, write, sizeof(write), &regs, NULL);
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(CR0_BASE, s.cr0);
	if (!test_vendor()->amd)
		EXPECT_EQ(VECTOR_UD, vector);
	if (e && e->ecx & 1 << 4) {
		SKIP_IF_STOCK(vector == VECTOR_UD,
			      "its emulator does not know LOCK MOV CR0");
		EXPECT_EQ(-1, vector);
	}
	if (vector == -1) {
		EXPECT_EQ(9, s.cr8);
		regs.rax = 0;
		EXPECT_EQ(-1, vcpu_try(vcpu, read, sizeof(read), &regs, NULL));
		EXPECT_EQ(9, regs.rax);
	} else {
		EXPECT_EQ(VECTOR_UD, vector);
		EXPECT_EQ(VECTOR_UD, vcpu_try(vcpu, read, sizeof(read), &regs,
					      NULL));
	}
	free(cpuid);
}

TEST_HARNESS_MAIN
