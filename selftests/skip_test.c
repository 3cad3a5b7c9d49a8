// SPDX-License-Identifier: GPL-2.0
/*
 * RIP after an exit. A CPU of Intel says how long the instruction was; one of
 * AMD may leave it to the hypervisor to read the instruction, which means the
 * guest's page tables, its mode and all the prefixes. So: instructions that
 * leave the guest, of every length from 1 to 15 bytes, in all modes, in all
 * places, and in the same place after something has changed.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/kvm_para.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define MAX_LENGTH	15
#define PORT		0x80
#define MSR_STAR	0xc0000081
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_LA57	(1ull << 12)

/*
 * Two pages, one after the other for the guest, within reach of real mode, and
 * where the second may be.
 */
#define PAGE_1		0x6000ul
#define PAGE_2		0x7000ul
#define ELSEWHERE	0x7a000ul
#define OTHER_SLOT	0x10000000ul

/* What an instruction does, and which prefixes leave it what it is. */
#define HALTS		1	/* KVM_EXIT_HLT is its own */
#define IS_IN		2
#define IS_OUT		4
#define SIZED		8	/* the operand has a size that prefixes change */
#define ONLY_BARE	16	/* with 66, F2 or F3 it is something else */
#define HAS_REG		32	/* REX.R and REX.B choose the registers */
#define XSAVE		64
#define NO_REP		128	/* with F2 or F3 it is something else */
#define NATIVE		256	/* may make no exit on Intel */

struct insn {
	const char *name;
	uint8_t code[3];
	uint8_t size;
	unsigned int flags;
	uint64_t rax, rcx, rdx;		/* before */
};

/* The first is filled in: with 66, F2 or F3 it may be none of Intel's. */
static struct insn insns[] = {
	{ "hypercall", { }, 3, 0, 0x12345678 },
	{ "cpuid", { 0x0f, 0xa2 }, 2, 0, 0 },
	{ "rdmsr", { 0x0f, 0x32 }, 2, 0, 0, MSR_STAR },
	{ "wrmsr", { 0x0f, 0x30 }, 2, 0, 0x1234567, MSR_STAR, 0x89abcdef },
	{ "hlt", { 0xf4 }, 1, HALTS },
	{ "in (%dx), %al", { 0xec }, 1, IS_IN, 0, 0, PORT },
	{ "in (%dx), %eax", { 0xed }, 1, IS_IN | SIZED, 0, 0, PORT },
	{ "in $0x80, %al", { 0xe4, PORT }, 2, IS_IN },
	{ "in $0x80, %eax", { 0xe5, PORT }, 2, IS_IN | SIZED },
	{ "out %al, (%dx)", { 0xee }, 1, IS_OUT, 0x55, 0, PORT },
	{ "out %eax, (%dx)", { 0xef }, 1, IS_OUT | SIZED, 0x55, 0, PORT },
	{ "out %al, $0x80", { 0xe6, PORT }, 2, IS_OUT, 0x55 },
	{ "out %eax, $0x80", { 0xe7, PORT }, 2, IS_OUT | SIZED, 0x55 },
	{ "invd", { 0x0f, 0x08 }, 2, NO_REP },
	{ "wbinvd", { 0x0f, 0x09 }, 2, NO_REP | NATIVE },
	{ "xsetbv", { 0x0f, 0x01, 0xd1 }, 3, ONLY_BARE | XSAVE, 3 },
	{ "clts", { 0x0f, 0x06 }, 2, NATIVE },
	{ "mov %cr0, %rcx", { 0x0f, 0x20, 0xc1 }, 3, HAS_REG | NATIVE },
	{ "mov %cr4, %rcx", { 0x0f, 0x20, 0xe1 }, 3, HAS_REG | NATIVE },
	{ "mov %rax, %cr2", { 0x0f, 0x22, 0xd0 }, 3, HAS_REG | NATIVE,
	  0x777 },
	{ "mov %dr7, %rcx", { 0x0f, 0x21, 0xf9 }, 3, HAS_REG | NATIVE },
	{ "mov %rax, %dr0", { 0x0f, 0x23, 0xc0 }, 3, HAS_REG | NATIVE,
	  0x778 },
	{ "smsw %ecx", { 0x0f, 0x01, 0xe1 }, 3, HAS_REG | SIZED | NATIVE },
	{ "lmsw %ax", { 0x0f, 0x01, 0xf0 }, 3, HAS_REG | NATIVE, 2 },
};

static const uint8_t legacy_prefixes[] = {
	0x66, 0x67, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf2, 0xf3,
};

/* A machine, the mode that it is in, and whether there is XSAVE. */
struct skipper {
	struct test_vcpu *vcpu;
	enum test_mode mode;
	bool long_code;			/* 64-bit */
	bool xsave;
	uint64_t page_2;		/* where PAGE_2 is */
};

static void set_mode(struct skipper *s, enum test_mode mode)
{
	struct kvm_sregs sregs;

	vcpu_set_mode(s->vcpu, mode);
	s->mode = mode;
	s->long_code = mode == MODE_LONG || mode == MODE_LONG_R3;
	s->page_2 = PAGE_2;
	if (s->xsave) {
		vcpu_get_sregs(s->vcpu, &sregs);
		sregs.cr4 |= CR4_OSXSAVE;
		vcpu_set_sregs(s->vcpu, &sregs);
	}
}

static struct skipper new_skipper(enum test_mode mode)
{
	struct skipper s = { .vcpu = vm_add_vcpu(vm_create(), 0) };
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(s.vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 1, 0);

	s.xsave = e && e->ecx & 1 << 26;
	free(cpuid);
	vcpu_set_supported_cpuid(s.vcpu);
	memcpy(insns[0].code, test_vendor()->hypercall, 3);
	insns[0].flags = test_vendor()->amd ? 0 : ONLY_BARE;
	set_mode(&s, mode);
	return s;
}

static bool can_run(const struct skipper *s, const struct insn *in)
{
	return s->xsave || !(in->flags & XSAVE);
}

static bool may_have(const struct insn *in, uint8_t prefix)
{
	switch (prefix) {
	case 0x66:
		return !(in->flags & ONLY_BARE);
	case 0xf2:
	case 0xf3:
		return !(in->flags & (ONLY_BARE | NO_REP));
	case 0x40 ... 0x4f:
		return !(in->flags & HAS_REG) || !(prefix & 5);
	}
	return true;
}

/* Guest memory byte by byte: PAGE_2 may be anywhere. */
static void put_byte(struct skipper *s, uint64_t gva, uint8_t byte)
{
	if (gva >= PAGE_2 && gva < PAGE_2 + 0x1000)
		gva += s->page_2 - PAGE_2;
	*(uint8_t *)vm_hva(s->vcpu->vm, gva, 1) = byte;
}

/* What a case is, for messages. */
static const char *case_name(const struct skipper *s, const struct insn *in,
			     const uint8_t *code, int len, uint64_t rip)
{
	static char text[160];
	int i, n;

	n = snprintf(text, sizeof(text), "%s, %s at %#lx:", in->name,
		     test_mode_name(s->mode), rip);
	for (i = 0; i < len; i++)
		n += snprintf(text + n, sizeof(text) - n, " %02x", code[i]);
	return text;
}

/* Registers before: no two alike, and none that matters but those of @in. */
static void set_regs(struct skipper *s, const struct insn *in, uint64_t rip)
{
	uint64_t mask = s->long_code ? ~0ull : 0xffff;
	struct kvm_regs regs = {
		.rax = in->rax, .rcx = in->rcx, .rdx = in->rdx,
		.rip = rip, .rsp = GUEST_STACK_TOP, .rflags = 2,
	};
	int i;

	for (i = RBX; i <= R15; i++)
		if (i != RSP)
			*regs_gpr(&regs, i) = 0x1111111111111111ull * i & mask;
	vcpu_set_regs(s->vcpu, &regs);
}

/* Run up to a HLT, with the port access that belongs to @in. */
static void run_insn(struct skipper *s, const struct insn *in, const char *name,
		     struct kvm_regs *after)
{
	struct kvm_run *run = s->vcpu->run;
	int ios = in->flags & (IS_IN | IS_OUT) ? 1 : 0;

	for (;;) {
		vcpu_run(s->vcpu);
		if (run->exit_reason != KVM_EXIT_IO || !ios--)
			break;
		TEST_EQ(PORT, run->io.port, "%s", name);
		TEST_EQ(in->flags & IS_IN ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT,
			run->io.direction, "%s", name);
		if (in->flags & IS_IN)
			memset((uint8_t *)run + run->io.data_offset, 0x5a,
			       run->io.size);
	}
	if (run->exit_reason != KVM_EXIT_HLT)
		fprintf(stderr, "# %s\n", name);
	vcpu_expect(s->vcpu, KVM_EXIT_HLT);
	TEST_CHECK(ios <= 0, "%s: no port access", name);
	vcpu_get_regs(s->vcpu, after);
}

/* Put the instruction there, a HLT behind it, and what is no HLT behind that. */
static void put_code(struct skipper *s, const uint8_t *code, int len,
		     uint64_t rip)
{
	int i;

	for (i = 0; i < len; i++)
		put_byte(s, rip + i, code[i]);
	put_byte(s, rip + len, 0xf4);
	for (i = 1; i < MAX_LENGTH; i++)
		put_byte(s, rip + len + i, i & 1 ? 0x0f : 0x0b);
}

/*
 * Run @in, which is the @len bytes of @code, at @rip. Registers are compared
 * with @want unless that is NULL; RIP is what this test is about.
 */
static void check_at(struct skipper *s, const struct insn *in,
		     const uint8_t *code, int len, uint64_t rip,
		     const struct kvm_regs *want, struct kvm_regs *after)
{
	const char *name = case_name(s, in, code, len, rip);
	struct kvm_regs regs;

	put_code(s, code, len, rip);
	set_regs(s, in, rip);
	run_insn(s, in, name, &regs);
	TEST_EQ(0, vm_exception(s->vcpu->vm)->count, "exceptions: %s", name);
	TEST_EQ(rip + len + (in->flags & HALTS ? 0 : 1), regs.rip, "RIP: %s",
		name);
	if (want) {
		TEST_EQ(0, memcmp(want, &regs, offsetof(struct kvm_regs, rip)),
			"registers: %s", name);
		TEST_EQ(want->rflags, regs.rflags, "RFLAGS: %s", name);
	}
	if (after)
		*after = regs;
}

/* An instruction with its prefixes in front. */
static int with_prefixes(const struct insn *in, const uint8_t *prefixes, int n,
			 uint8_t *code)
{
	memcpy(code, prefixes, n);
	memcpy(code + n, in->code, in->size);
	return n + in->size;
}

/*
 * @n random prefixes that leave the instruction what it is; a REX is the last,
 * or has no meaning.
 */
static void random_prefixes(const struct skipper *s, const struct insn *in,
			    uint8_t *prefixes, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		bool rex = s->long_code &&
			   (i == n - 1 ? rand_between(0, 1) :
					 !(in->flags & (HAS_REG | SIZED)) &&
					 rand_between(0, 7) == 0);

		do {
			prefixes[i] = rex ? 0x40 + rand_between(0, 15) :
				legacy_prefixes[rand_between(0,
					sizeof(legacy_prefixes) - 1)];
		} while (!may_have(in, prefixes[i]));
	}
}

/* Is the result of @in, sized, another with these prefixes? */
static bool other_size(const struct insn *in, const uint8_t *prefixes, int n)
{
	int i;

	if (!(in->flags & SIZED))
		return false;
	for (i = 0; i < n; i++)
		if (prefixes[i] == 0x66 || (prefixes[i] & 0xf8) == 0x48)
			return true;
	return false;
}

static void check_prefixes(struct skipper *s, const struct insn *in,
			   const uint8_t *prefixes, int n,
			   const struct kvm_regs *want)
{
	uint8_t code[MAX_LENGTH];
	int len = with_prefixes(in, prefixes, n, code);

	check_at(s, in, code, len, PAGE_1,
		 other_size(in, prefixes, n) ? NULL : want, NULL);
}

/* Every prefix, then many together. */
static void check_mode(enum test_mode mode)
{
	struct skipper s = new_skipper(mode);
	uint8_t prefixes[MAX_LENGTH];
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		const struct insn *in = &insns[i];
		struct kvm_regs want;

		if (!can_run(&s, in))
			continue;
		check_at(&s, in, in->code, in->size, PAGE_1, NULL, &want);
		for (k = 0; k < sizeof(legacy_prefixes); k++)
			if (may_have(in, legacy_prefixes[k]))
				check_prefixes(&s, in, &legacy_prefixes[k], 1,
					       &want);
		for (k = 0; s.long_code && k < 16; k++) {
			prefixes[0] = 0x40 + k;
			if (may_have(in, prefixes[0]))
				check_prefixes(&s, in, prefixes, 1, &want);
		}
		for (k = 0; k < 5; k++) {
			int n = rand_between(2, MAX_LENGTH - in->size);

			random_prefixes(&s, in, prefixes, n);
			check_prefixes(&s, in, prefixes, n, &want);
		}
	}
	vm_destroy(s.vcpu->vm);
}

TEST(prefixes_16bit)
{
	check_mode(MODE_REAL);
	check_mode(MODE_PROT16);
}

TEST(prefixes_32bit)
{
	check_mode(MODE_PROT32);
	check_mode(MODE_PAGING32);
	check_mode(MODE_PAE);
}

TEST(prefixes_compat)
{
	check_mode(MODE_COMPAT);
}

TEST(prefixes_64bit)
{
	check_mode(MODE_LONG);
}

/* Fifteen bytes are an instruction; sixteen are not, whatever they say. */
TEST(longest)
{
	static const enum test_mode modes[] = { MODE_PROT32, MODE_LONG };
	unsigned int m, i;

	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		struct skipper s = new_skipper(modes[m]);

		for (i = 0; i < ARRAY_SIZE(insns); i++) {
			const struct insn *in = &insns[i];
			uint8_t code[MAX_LENGTH + 1];
			struct guest_exception exc;
			int n = MAX_LENGTH - in->size;

			if (!can_run(&s, in))
				continue;
			memset(code, 0x3e, sizeof(code));
			memcpy(code + n, in->code, in->size);
			check_at(&s, in, code, MAX_LENGTH, PAGE_1, NULL, NULL);

			memmove(code + 1, code, MAX_LENGTH);
			put_code(&s, code, MAX_LENGTH + 1, PAGE_1);
			set_regs(&s, in, PAGE_1);
			exc = vcpu_run_to_exception(s.vcpu, VECTOR_GP, 0);
			TEST_EQ(PAGE_1, exc.rip, "RIP: 16 bytes of %s", in->name);
		}
		vm_destroy(s.vcpu->vm);
	}
}

/* LOCK is for none of these: #UD, alone or with others, before any exit. */
TEST(lock_prefix)
{
	static const enum test_mode modes[] = { MODE_REAL, MODE_PROT32, MODE_LONG };
	static const uint8_t locks[][2] = { { 0xf0 }, { 0xf0, 0x66 }, { 0x2e, 0xf0 } };
	static const uint8_t sizes[] = { 1, 2, 2 };
	const struct insn foreign = {
		"foreign hypercall",
		{ 0x0f, 0x01, test_vendor()->foreign_hypercall[2] }, 3,
	};
	unsigned int m, i, k;

	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		struct skipper s = new_skipper(modes[m]);

		for (i = 0; i <= ARRAY_SIZE(insns); i++) {
			const struct insn *in = i < ARRAY_SIZE(insns) ?
						&insns[i] : &foreign;

			/* AMD has another name for CR8: cr_test. */
			if (!can_run(&s, in) || strstr(in->name, "%cr0"))
				continue;
			for (k = 0; k < ARRAY_SIZE(locks); k++) {
				uint8_t code[MAX_LENGTH];
				struct guest_exception exc;
				int len;

				len = with_prefixes(in, locks[k], sizes[k], code);
				put_code(&s, code, len, PAGE_1);
				set_regs(&s, in, PAGE_1);
				exc = vcpu_run_to_exception(s.vcpu, VECTOR_UD,
							    EXC_NO_ERROR);
				TEST_EQ(PAGE_1, exc.rip, "RIP: %s",
					case_name(&s, in, code, len, PAGE_1));
			}
		}
		vm_destroy(s.vcpu->vm);
	}
}

/* --- Where the instruction is ------------------------------------------------ */

static const enum test_mode paged[] = {
	MODE_PAGING32, MODE_PAE, MODE_COMPAT, MODE_LONG,
};

/* Let PAGE_2 be @gpa, or not present (0), in the tables of the mode. */
static void map_page_2(struct skipper *s, uint64_t gpa)
{
	uint64_t entry = gpa ? gpa | 7 : 0;

	if (s->mode == MODE_PAGING32)
		*vm_pte32(s->vcpu->vm, PAGE_2) = entry;
	else
		*vm_pte(s->vcpu->vm, PAGE_2) = entry;
	s->page_2 = gpa;
}

/*
 * The instruction ends with the page, and there is no next page: reading all
 * of fifteen bytes is asking for too much. The guest has its #PF afterwards.
 */
TEST(page_end)
{
	unsigned int m, i, k;

	for (m = 0; m < ARRAY_SIZE(paged); m++) {
		struct skipper s = new_skipper(paged[m]);

		map_page_2(&s, 0);
		for (i = 0; i < ARRAY_SIZE(insns); i++) {
			const struct insn *in = &insns[i];

			for (k = 0; k < 3; k++) {
				uint8_t code[MAX_LENGTH], prefixes[MAX_LENGTH];
				struct guest_exception *exc;
				struct kvm_regs regs;
				const char *name;
				uint64_t rip;
				int len, n, j;

				if (!can_run(&s, in))
					continue;
				n = k ? rand_between(1, MAX_LENGTH - in->size) : 0;
				random_prefixes(&s, in, prefixes, n);
				len = with_prefixes(in, prefixes, n, code);
				rip = PAGE_2 - len;
				name = case_name(&s, in, code, len, rip);
				for (j = 0; j < len; j++)
					put_byte(&s, rip + j, code[j]);
				set_regs(&s, in, rip);
				run_insn(&s, in, name, &regs);
				exc = vm_exception(s.vcpu->vm);
				if (in->flags & HALTS) {
					TEST_EQ(0, exc->count, "%s", name);
					TEST_EQ(PAGE_2, regs.rip, "RIP: %s", name);
					continue;
				}
				TEST_EQ(1, exc->count, "%s", name);
				TEST_EQ(VECTOR_PF, exc->vector, "%s", name);
				TEST_EQ(PAGE_2, exc->rip, "RIP: %s", name);
				TEST_EQ(PAGE_2, exc->cr2, "CR2: %s", name);
				memset(exc, 0, sizeof(*exc));
			}
		}
		vm_destroy(s.vcpu->vm);
	}
}

/* Splits of each instruction, into two pages that are not neighbours. */
static void check_crossing(struct skipper *s, uint64_t page_2)
{
	unsigned int i, k;
	int before;

	/* What is in the page that is not mapped must not matter. */
	memset(vm_hva(s->vcpu->vm, PAGE_2, 0x1000), 0x66, 0x1000);
	map_page_2(s, page_2);
	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		const struct insn *in = &insns[i];

		if (!can_run(s, in))
			continue;
		for (before = 1; before < in->size; before++)
			check_at(s, in, in->code, in->size, PAGE_2 - before,
				 NULL, NULL);
		for (k = 0; k < 3; k++) {
			uint8_t code[MAX_LENGTH], prefixes[MAX_LENGTH];
			int len, n;

			n = rand_between(1, MAX_LENGTH - in->size);
			random_prefixes(s, in, prefixes, n);
			len = with_prefixes(in, prefixes, n, code);
			before = rand_between(1, len - 1);
			check_at(s, in, code, len, PAGE_2 - before, NULL, NULL);
		}
	}
}

TEST(page_crossing)
{
	unsigned int m;

	for (m = 0; m < ARRAY_SIZE(paged); m++) {
		struct skipper s = new_skipper(paged[m]);

		check_crossing(&s, ELSEWHERE);
		vm_destroy(s.vcpu->vm);
	}
}

/* The second page is in another slot, in other memory of the process. */
TEST(page_crossing_slots)
{
	unsigned int m;

	for (m = 0; m < ARRAY_SIZE(paged); m++) {
		struct skipper s = new_skipper(paged[m]);

		vm_add_memory(s.vcpu->vm, 1, OTHER_SLOT, 0x1000);
		check_crossing(&s, OTHER_SLOT);
		vm_destroy(s.vcpu->vm);
	}
}

/* Five levels of page tables, where the guest can have them. */
TEST(page_crossing_five_levels)
{
	const uint64_t pml5 = 0x90000;
	struct skipper s = new_skipper(MODE_LONG);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(s.vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 7, 0);
	struct kvm_sregs sregs;

	if (!e || !(e->ecx & 1 << 16))
		SKIP(return, "no LA57");
	*(uint64_t *)vm_hva(s.vcpu->vm, pml5, 8) = GUEST_PML4 | 7;
	vcpu_get_sregs(s.vcpu, &sregs);
	sregs.cr3 = pml5;
	sregs.cr4 |= CR4_LA57;
	vcpu_set_sregs(s.vcpu, &sregs);
	check_crossing(&s, ELSEWHERE);
	free(cpuid);
	vm_destroy(s.vcpu->vm);
}

/* A code segment with a base; in 64-bit mode the base means nothing. */
TEST(code_segment_base)
{
	static const enum test_mode modes[] = {
		MODE_REAL, MODE_PROT16, MODE_PROT32, MODE_PAE, MODE_COMPAT,
		MODE_LONG,
	};
	const uint64_t base = 0x40000;
	unsigned int m, i;

	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		struct skipper s = new_skipper(modes[m]);
		uint64_t linear = s.long_code ? 0 : base;
		struct kvm_sregs sregs;

		vcpu_get_sregs(s.vcpu, &sregs);
		sregs.cs.base = base;
		if (modes[m] == MODE_REAL)
			sregs.cs.selector = base >> 4;
		vcpu_set_sregs(s.vcpu, &sregs);
		/* Where it would be without, or with, the base. */
		memset(vm_hva(s.vcpu->vm, base - linear + PAGE_1, 64), 0x66, 64);
		for (i = 0; i < ARRAY_SIZE(insns); i++) {
			const struct insn *in = &insns[i];
			uint8_t code[MAX_LENGTH], prefixes[3];
			struct kvm_regs regs;
			const char *name;
			int len;

			if (!can_run(&s, in))
				continue;
			random_prefixes(&s, in, prefixes, 3);
			len = with_prefixes(in, prefixes, 3, code);
			put_code(&s, code, len, linear + PAGE_1);
			set_regs(&s, in, PAGE_1);
			name = case_name(&s, in, code, len, PAGE_1);
			run_insn(&s, in, name, &regs);
			TEST_EQ(0, vm_exception(s.vcpu->vm)->count, "%s", name);
			TEST_EQ(PAGE_1 + len + !(in->flags & HALTS), regs.rip,
				"RIP: %s", name);
		}
		vm_destroy(s.vcpu->vm);
	}
}

/*
 * The instruction's last byte is the last below 4 GiB: EIP is 0 then, and RIP
 * of 64-bit code is not. (Bochs lets EIP grow to 33 bits in what makes no exit,
 * as some of these on Intel.)
 */
TEST(four_gib)
{
	static const enum test_mode modes[] = {
		MODE_PROT32, MODE_PAGING32, MODE_PAE, MODE_COMPAT, MODE_LONG,
	};
	const uint64_t top = 1ull << 32;
	unsigned int m, i, k;

	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		struct skipper s = new_skipper(modes[m]);
		struct test_vm *vm = s.vcpu->vm;

		vm_add_memory(vm, 1, top - 0x1000, 0x1000);
		*(uint8_t *)vm_hva(vm, 0, 1) = 0xf4;
		for (i = 0; i < ARRAY_SIZE(insns); i++) {
			const struct insn *in = &insns[i];

			for (k = 0; k < 4; k++) {
				uint8_t code[MAX_LENGTH], prefixes[3];
				struct guest_exception *exc = vm_exception(vm);
				struct kvm_regs regs;
				const char *name;
				uint64_t rip;
				int len;

				if (!can_run(&s, in))
					continue;
				random_prefixes(&s, in, prefixes, k);
				len = with_prefixes(in, prefixes, k, code);
				rip = top - len;
				vm_write(vm, rip, code, len);
				set_regs(&s, in, rip);
				name = case_name(&s, in, code, len, rip);
				run_insn(&s, in, name, &regs);
				if (!s.long_code) {
					TEST_EQ(0, exc->count, "%s", name);
					if (!test_vendor()->amd && in->flags & NATIVE)
						regs.rip = (uint32_t)regs.rip;
					TEST_EQ(!(in->flags & HALTS), regs.rip,
						"RIP: %s", name);
				} else if (in->flags & HALTS) {
					TEST_EQ(top, regs.rip, "RIP: %s", name);
				} else {
					TEST_EQ(VECTOR_PF, exc->vector, "%s", name);
					TEST_EQ(top, exc->rip, "RIP: %s", name);
					TEST_EQ(top, exc->cr2, "CR2: %s", name);
				}
				memset(exc, 0, sizeof(*exc));
			}
		}
		vm_destroy(vm);
	}
}

/* The instruction's last byte is the last of the guest's memory. */
TEST(memory_end)
{
	struct skipper s = new_skipper(MODE_PROT32);
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		const struct insn *in = &insns[i];

		/* These can be looked at without another fetch. */
		if (!(in->flags & (HALTS | IS_IN | IS_OUT)))
			continue;
		for (k = 0; k < 4; k++) {
			uint8_t code[MAX_LENGTH], prefixes[3];
			struct kvm_regs regs;
			const char *name;
			int len;

			random_prefixes(&s, in, prefixes, k);
			len = with_prefixes(in, prefixes, k, code);
			vm_write(s.vcpu->vm, GUEST_MEM_SIZE - len, code, len);
			set_regs(&s, in, GUEST_MEM_SIZE - len);
			name = case_name(&s, in, code, len, GUEST_MEM_SIZE - len);
			vcpu_run(s.vcpu);
			if (!(in->flags & HALTS)) {
				vcpu_expect(s.vcpu, KVM_EXIT_IO);
				/* Only to have the instruction finished. */
				s.vcpu->run->immediate_exit = 1;
				TEST_EQ(-1ull, __vcpu_run(s.vcpu), "%s", name);
				TEST_EQ(EINTR, errno, "%s", name);
				errno = 0;
				s.vcpu->run->immediate_exit = 0;
			}
			vcpu_get_regs(s.vcpu, &regs);
			TEST_EQ(GUEST_MEM_SIZE, regs.rip, "RIP: %s", name);
		}
	}
	vm_destroy(s.vcpu->vm);
}

/* --- The same place, another instruction ------------------------------------- */

/* The process writes other bytes, of another length, in between. */
TEST(rewritten_by_process)
{
	struct skipper s = new_skipper(MODE_LONG);
	int i;

	for (i = 0; i < 300; i++) {
		const struct insn *in =
			&insns[rand_between(0, ARRAY_SIZE(insns) - 1)];
		uint8_t code[MAX_LENGTH], prefixes[MAX_LENGTH];
		int n = rand_between(0, 4);

		if (!can_run(&s, in))
			continue;
		random_prefixes(&s, in, prefixes, n);
		check_at(&s, in, code, with_prefixes(in, prefixes, n, code),
			 PAGE_1, NULL, NULL);
	}
	vm_destroy(s.vcpu->vm);
}

/*
 * The guest writes them: RDI is where, and CPUID with a prefix more each time
 * is what. It has to come back with as many turns as it was told (R9).
 */
TEST(rewritten_by_guest)
{
	static const uint8_t code[] = {
		/* 0 */ 0x31, 0xc0,			/* xor %eax, %eax */
		/* 2 */ 0xff, 0xe7,			/* jmp *%rdi */
	};
	/* At PAGE_1: eight prefixes become CPUID, from the back. */
	static const uint8_t page[] = {
		0x0f, 0xa2,				/* cpuid */
		0x41, 0xff, 0xc0,			/* inc %r8d */
		0x48, 0xff, 0xcf,			/* dec %rdi */
		0xc6, 0x07, 0x66,			/* movb $0x66, (%rdi) */
		0x45, 0x39, 0xc8,			/* cmp %r9d, %r8d */
		0x75, 0x01,				/* jne 1f */
		0xf4,					/* hlt */
		0x31, 0xc0,				/* 1: xor %eax, %eax */
		0xff, 0xe7,				/* jmp *%rdi */
	};
	struct skipper s = new_skipper(MODE_LONG);
	struct kvm_regs regs;
	int round;

	vm_load_bytes(s.vcpu->vm, code, sizeof(code));
	for (round = 0; round < 4; round++) {
		const int turns = 13;

		vm_write(s.vcpu->vm, PAGE_1, page, sizeof(page));
		vcpu_get_regs(s.vcpu, &regs);
		regs.rip = GUEST_CODE;
		regs.rdi = PAGE_1;
		regs.r8 = 0;
		regs.r9 = turns;
		vcpu_set_regs(s.vcpu, &regs);
		vcpu_run_to_hlt(s.vcpu);
		vcpu_get_regs(s.vcpu, &regs);
		EXPECT_EQ(0, vm_exception(s.vcpu->vm)->count);
		EXPECT_EQ(turns, regs.r8);
		EXPECT_EQ(PAGE_1 - turns, regs.rdi);
		EXPECT_EQ(PAGE_1 + 17, regs.rip);
	}
	vm_destroy(s.vcpu->vm);
}

/*
 * One instruction that is overwritten without moving: CPUID at PAGE_1 with
 * none, one or two prefixes, in turn.
 */
TEST(rewritten_in_place)
{
	static const uint8_t page[] = {
		0x0f, 0xa2, 0x90, 0x90,			/* cpuid; nop; nop */
		0x41, 0xff, 0xc0,			/* inc %r8d */
		0x8b, 0x06,				/* mov (%rsi), %eax */
		0x48, 0x83, 0xc6, 0x04,			/* add $4, %rsi */
		0x85, 0xc0,				/* test %eax, %eax */
		0x74, 0x06,				/* jz 1f */
		0x89, 0x07,				/* mov %eax, (%rdi) */
		0x31, 0xc0,				/* xor %eax, %eax */
		0xff, 0xe7,				/* jmp *%rdi */
		0xf4,					/* 1: hlt */
	};
	static const uint32_t next[] = {
		0x90a20f66, 0xa20f6666, 0x9090a20f, 0xa20f6667, 0x90a20f2e,
		0x9090a20f, 0x90a20f40, 0xa20f4840, 0x9090a20f, 0,
	};
	struct skipper s = new_skipper(MODE_LONG);
	struct kvm_regs regs = {};

	vm_write(s.vcpu->vm, PAGE_1, page, sizeof(page));
	vm_write(s.vcpu->vm, GUEST_DATA, next, sizeof(next));
	vcpu_get_regs(s.vcpu, &regs);
	regs.rip = regs.rdi = PAGE_1;
	regs.rsi = GUEST_DATA;
	vcpu_set_regs(s.vcpu, &regs);
	vcpu_run_to_hlt(s.vcpu);
	vcpu_get_regs(s.vcpu, &regs);
	EXPECT_EQ(0, vm_exception(s.vcpu->vm)->count);
	EXPECT_EQ(ARRAY_SIZE(next), regs.r8);
	EXPECT_EQ(PAGE_1 + sizeof(page), regs.rip);
	vm_destroy(s.vcpu->vm);
}

/* CPUID behind @n prefixes, one added to R8, back to the caller. */
static void put_called(struct test_vm *vm, uint64_t gpa, int n)
{
	static const uint8_t code[] = { 0x0f, 0xa2, 0x49, 0xff, 0xc0, 0xc3 };

	memset(vm_hva(vm, gpa, n), 0x66, n);
	vm_write(vm, gpa + n, code, sizeof(code));
}

/* The guest loads other page tables: PAGE_2 is another page, under two CR3. */
TEST(other_page_tables)
{
	static const uint8_t code[] = {
		0x0f, 0x22, 0xde,			/* 1: mov %rsi, %cr3 */
		0x31, 0xc0,				/* xor %eax, %eax */
		0xff, 0xd7,				/* call *%rdi */
		0x48, 0x87, 0xf5,			/* xchg %rsi, %rbp */
		0x41, 0xff, 0xc9,			/* dec %r9d */
		0x75, 0xf1,				/* jnz 1b */
		0xf4,
	};
	struct skipper s = new_skipper(MODE_LONG);
	struct test_vm *vm = s.vcpu->vm;
	struct kvm_regs regs;
	int i;

	/* A second set of tables, alike but for PAGE_2. */
	for (i = 0; i < 3; i++)
		memcpy(vm_hva(vm, 0x90000 + i * 0x1000, 0x1000),
		       vm_hva(vm, GUEST_PML4 + i * 0x1000, 0x1000), 0x1000);
	memcpy(vm_hva(vm, 0x93000, 0x1000), vm_hva(vm, GUEST_PT, 0x1000), 0x1000);
	for (i = 0; i < 3; i++)
		*(uint64_t *)vm_hva(vm, 0x90000 + i * 0x1000, 8) =
			(0x91000 + i * 0x1000) | 7;
	*(uint64_t *)vm_hva(vm, 0x93000 + (PAGE_2 >> 12) * 8, 8) = ELSEWHERE | 7;
	put_called(vm, PAGE_2, 0);
	put_called(vm, ELSEWHERE, 3);

	vm_load_bytes(vm, code, sizeof(code));
	vcpu_get_regs(s.vcpu, &regs);
	regs.rsi = GUEST_PML4;
	regs.rbp = 0x90000;
	regs.rdi = PAGE_2;
	regs.r9 = 20;
	vcpu_set_regs(s.vcpu, &regs);
	vcpu_run_to_hlt(s.vcpu);
	vcpu_get_regs(s.vcpu, &regs);
	EXPECT_EQ(0, vm_exception(vm)->count);
	EXPECT_EQ(20, regs.r8);
	EXPECT_EQ(GUEST_STACK_TOP, regs.rsp);
	EXPECT_EQ(GUEST_CODE + sizeof(code), regs.rip);
	vm_destroy(vm);
}

/* The guest writes a page-table entry, and invalidates the page. */
TEST(other_entry)
{
	static const uint8_t code[] = {
		0x31, 0xc0,				/* 1: xor %eax, %eax */
		0xff, 0xd7,				/* call *%rdi */
		0x48, 0x87, 0x2e,			/* xchg %rbp, (%rsi) */
		0x0f, 0x01, 0x3f,			/* invlpg (%rdi) */
		0x41, 0xff, 0xc9,			/* dec %r9d */
		0x75, 0xf1,				/* jnz 1b */
		0xf4,
	};
	struct skipper s = new_skipper(MODE_LONG);
	struct test_vm *vm = s.vcpu->vm;
	struct kvm_regs regs;

	put_called(vm, PAGE_2, 4);
	put_called(vm, ELSEWHERE, 1);
	vm_load_bytes(vm, code, sizeof(code));
	vcpu_get_regs(s.vcpu, &regs);
	regs.rsi = GUEST_PT + (PAGE_2 >> 12) * 8;
	regs.rbp = ELSEWHERE | 7;
	regs.rdi = PAGE_2;
	regs.r9 = 20;
	vcpu_set_regs(s.vcpu, &regs);
	vcpu_run_to_hlt(s.vcpu);
	vcpu_get_regs(s.vcpu, &regs);
	EXPECT_EQ(0, vm_exception(vm)->count);
	EXPECT_EQ(20, regs.r8);
	EXPECT_EQ(GUEST_CODE + sizeof(code), regs.rip);
	vm_destroy(vm);
}

/* The process puts other memory there: another slot, another mapping. */
TEST(other_memory)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct skipper s = new_skipper(MODE_LONG);
	const struct insn *cpuid = &insns[1];
	struct test_vm *vm = s.vcpu->vm;
	uint8_t code[MAX_LENGTH], prefixes[MAX_LENGTH];
	int i;

	memset(prefixes, 0x2e, sizeof(prefixes));
	vm_add_memory(vm, 1, OTHER_SLOT, 0x1000);
	for (i = 0; i < 12; i++) {
		int n = i * 5 % 7;
		uint8_t *p;

		switch (i % 3) {
		case 1:
			p = mmap(vm_hva(vm, OTHER_SLOT, 0x1000), 0x1000,
				 PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0);
			ASSERT_NE(MAP_FAILED, (void *)p);
			break;
		case 2:
			vm_delete_slot(vm, 1);
			vm_add_memory(vm, 1, OTHER_SLOT, 0x1000);
			break;
		}
		check_at(&s, cpuid, code,
			 with_prefixes(cpuid, prefixes, n, code), OTHER_SLOT,
			 NULL, NULL);
	}
	vm_destroy(vm);
}

/*
 * LMSW with an operand in memory, whose length is the mode's: 5 bytes and two
 * INC in 16-bit code, 7 bytes in 32-bit and 64-bit code.
 */
TEST(other_mode)
{
	static const uint8_t code[] = { 0x0f, 0x01, 0xb0, 0x00, 0x00, 0x40, 0x40,
					0xf4 };
	static const enum test_mode modes[] = {
		MODE_PROT16, MODE_PROT32, MODE_PAE, MODE_LONG, MODE_COMPAT,
		MODE_REAL, MODE_LONG, MODE_PROT16, MODE_PAGING32,
	};
	struct skipper s = new_skipper(MODE_REAL);
	const uint64_t operand = 0x9000;
	uint16_t msw = 2;
	unsigned int m;

	vm_load_bytes(s.vcpu->vm, code, sizeof(code));
	vm_write(s.vcpu->vm, operand, &msw, 2);
	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		bool code16 = modes[m] == MODE_PROT16 || modes[m] == MODE_REAL;
		struct kvm_regs regs;

		set_mode(&s, modes[m]);
		vcpu_get_regs(s.vcpu, &regs);
		/* DS:[BX + SI], or DS:[EAX + 0x40400000] */
		regs.rbx = operand - 1;
		regs.rsi = 1;
		regs.rax = code16 ? 7 : operand - 0x40400000ull;
		if (!s.long_code)
			regs.rax &= 0xffffffff;
		vcpu_set_regs(s.vcpu, &regs);
		vcpu_run_to_hlt(s.vcpu);
		vcpu_get_regs(s.vcpu, &regs);
		TEST_EQ(0, vm_exception(s.vcpu->vm)->count, "%s",
			test_mode_name(modes[m]));
		TEST_EQ(GUEST_CODE + sizeof(code), regs.rip, "RIP, %s",
			test_mode_name(modes[m]));
		if (code16)
			TEST_EQ(9, regs.rax, "INC, %s", test_mode_name(modes[m]));
	}
	vm_destroy(s.vcpu->vm);
}

TEST_HARNESS_MAIN
