// SPDX-License-Identifier: GPL-2.0
/*
 * Memory-mapped I/O: the MOV forms at addresses that no slot has, in sizes 1,
 * 2, 4 and 8, the edge between memory and nothing, and what cannot be executed. All
 * instructions: mmio_oracle_test.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/vm.h"

#define HOLE	0xd0000000ull	/* mapped by the guest's tables, no slot */
#define HOLE16	0x200000ull	/* first byte behind the memory of slot 0 */

/* How a read value ends up in RAX. */
enum result { NONE, AL, AH, AX, EAX, RAX64, MOVZX, MOVSX16, MOVSX32, MOVSX64 };

struct form {
	const char *name;
	uint8_t code[15];
	uint8_t size;		/* of the instruction */
	bool write;
	uint8_t len;
	uint64_t data;		/* of a write; 0: the register's */
	enum result result;
};

#define INSN(...) { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })

/* 64-bit mode; RBX holds the address, RAX the value that is written. */
static const struct form forms64[] = {
	{ "mov %al, (%rbx)", INSN(0x88, 0x03), true, 1 },
	{ "mov %ah, (%rbx)", INSN(0x88, 0x23), true, 1, .result = AH },
	{ "mov %ax, (%rbx)", INSN(0x66, 0x89, 0x03), true, 2 },
	{ "mov %eax, (%rbx)", INSN(0x89, 0x03), true, 4 },
	{ "mov %rax, (%rbx)", INSN(0x48, 0x89, 0x03), true, 8 },
	{ "movb $0x5a, (%rbx)", INSN(0xc6, 0x03, 0x5a), true, 1, 0x5a },
	{ "movw $0x1234, (%rbx)", INSN(0x66, 0xc7, 0x03, 0x34, 0x12), true, 2,
	  0x1234 },
	{ "movl $0x12345678, (%rbx)", INSN(0xc7, 0x03, 0x78, 0x56, 0x34, 0x12),
	  true, 4, 0x12345678 },
	{ "movq $-2, (%rbx)", INSN(0x48, 0xc7, 0x03, 0xfe, 0xff, 0xff, 0xff),
	  true, 8, -2ull },
	{ "mov %eax, 0x10(%rbx,%rcx,4)", INSN(0x89, 0x44, 0x8b, 0x10), true, 4 },
	{ "mov %r9d, (%rbx)", INSN(0x44, 0x89, 0x0b), true, 4 },
	{ "mov %rax, (%r8)", INSN(0x49, 0x89, 0x00), true, 8 },
	{ "movabs %al, HOLE", INSN(0xa2, 0x00, 0x00, 0x00, 0xd0, 0, 0, 0, 0),
	  true, 1 },
	{ "movabs %rax, HOLE", INSN(0x48, 0xa3, 0x00, 0x00, 0x00, 0xd0, 0, 0,
				    0, 0), true, 8 },
	{ "mov %al, (%ebx)", INSN(0x67, 0x88, 0x03), true, 1 },
	{ "mov (%rbx), %al", INSN(0x8a, 0x03), false, 1, 0, AL },
	{ "mov (%rbx), %ah", INSN(0x8a, 0x23), false, 1, 0, AH },
	{ "mov (%rbx), %ax", INSN(0x66, 0x8b, 0x03), false, 2, 0, AX },
	{ "mov (%rbx), %eax", INSN(0x8b, 0x03), false, 4, 0, EAX },
	{ "mov (%rbx), %rax", INSN(0x48, 0x8b, 0x03), false, 8, 0, RAX64 },
	{ "movabs HOLE, %al", INSN(0xa0, 0x00, 0x00, 0x00, 0xd0, 0, 0, 0, 0),
	  false, 1, 0, AL },
	{ "movabs HOLE, %eax", INSN(0xa1, 0x00, 0x00, 0x00, 0xd0, 0, 0, 0, 0),
	  false, 4, 0, EAX },
	{ "movzbw (%rbx), %ax", INSN(0x66, 0x0f, 0xb6, 0x03), false, 1, 0, AX },
	{ "movzbl (%rbx), %eax", INSN(0x0f, 0xb6, 0x03), false, 1, 0, MOVZX },
	{ "movzbq (%rbx), %rax", INSN(0x48, 0x0f, 0xb6, 0x03), false, 1, 0,
	  MOVZX },
	{ "movzwl (%rbx), %eax", INSN(0x0f, 0xb7, 0x03), false, 2, 0, MOVZX },
	{ "movzwq (%rbx), %rax", INSN(0x48, 0x0f, 0xb7, 0x03), false, 2, 0,
	  MOVZX },
	{ "movsbw (%rbx), %ax", INSN(0x66, 0x0f, 0xbe, 0x03), false, 1, 0,
	  MOVSX16 },
	{ "movsbl (%rbx), %eax", INSN(0x0f, 0xbe, 0x03), false, 1, 0, MOVSX32 },
	{ "movsbq (%rbx), %rax", INSN(0x48, 0x0f, 0xbe, 0x03), false, 1, 0,
	  MOVSX64 },
	{ "movswl (%rbx), %eax", INSN(0x0f, 0xbf, 0x03), false, 2, 0, MOVSX32 },
	{ "movswq (%rbx), %rax", INSN(0x48, 0x0f, 0xbf, 0x03), false, 2, 0,
	  MOVSX64 },
	{ "movslq (%rbx), %rax", INSN(0x48, 0x63, 0x03), false, 4, 0, MOVSX64 },
};

/* 16-bit code; DS has the hole, BX the offset in it. */
static const struct form forms16[] = {
	{ "mov %al, (%bx)", INSN(0x88, 0x07), true, 1 },
	{ "mov %ax, (%bx)", INSN(0x89, 0x07), true, 2 },
	{ "mov %eax, (%bx)", INSN(0x66, 0x89, 0x07), true, 4 },
	{ "movb $0x7f, (%bx)", INSN(0xc6, 0x07, 0x7f), true, 1, 0x7f },
	{ "movw $0x4321, (%bx)", INSN(0xc7, 0x07, 0x21, 0x43), true, 2, 0x4321 },
	{ "mov %al, 0x20", INSN(0xa2, 0x20, 0x00), true, 1 },
	{ "mov %ax, 0x20", INSN(0xa3, 0x20, 0x00), true, 2 },
	{ "mov (%bx), %al", INSN(0x8a, 0x07), false, 1, 0, AL },
	{ "mov (%bx), %ax", INSN(0x8b, 0x07), false, 2, 0, AX },
	{ "mov (%bx), %eax", INSN(0x66, 0x8b, 0x07), false, 4, 0, EAX },
	{ "mov 0x20, %ax", INSN(0xa1, 0x20, 0x00), false, 2, 0, AX },
	{ "movzbw (%bx), %ax", INSN(0x0f, 0xb6, 0x07), false, 1, 0, AX },
	{ "movsbw (%bx), %ax", INSN(0x0f, 0xbe, 0x07), false, 1, 0, MOVSX16 },
	{ "mov %al, (%ebx)", INSN(0x67, 0x88, 0x03), true, 1 },
};

static uint64_t mask(int len)
{
	return len == 8 ? ~0ull : (1ull << len * 8) - 1;
}

static uint64_t sign_extend(uint64_t value, int len)
{
	return (int64_t)(value << (64 - len * 8)) >> (64 - len * 8);
}

/* RAX after a read of @data (already cut to its length). */
static uint64_t rax_after(const struct form *f, uint64_t rax, uint64_t data)
{
	switch (f->result) {
	case AL:
		return (rax & ~0xffull) | data;
	case AH:
		return (rax & ~0xff00ull) | data << 8;
	case AX:
		return (rax & ~0xffffull) | data;
	case MOVSX16:
		return (rax & ~0xffffull) |
			(sign_extend(data, f->len) & 0xffff);
	case MOVSX32:
		return (uint32_t)sign_extend(data, f->len);
	case MOVSX64:
		return sign_extend(data, f->len);
	default:
		return data;
	}
}

/* Run one form at @gpa and compare what it does with what it says. */
static void check_form(struct test_vcpu *vcpu, const struct form *f,
		       enum test_mode mode, uint64_t gpa)
{
	uint64_t data = rand_u64() & mask(f->len), want, got = 0;
	struct kvm_regs regs, after;
	struct code_buf code = {};
	void *bytes;
	int i;

	code_bytes(&code, f->code, f->size);
	code_hlt(&code);
	code_load(&code, vcpu->vm);
	vcpu_get_regs(vcpu, &regs);
	rand_fill(&regs, offsetof(struct kvm_regs, rip));
	regs.rip = GUEST_CODE;
	regs.rsp = GUEST_STACK_TOP;
	regs.rflags = 2;
	regs.rbx = mode == MODE_REAL ? 0x20 : gpa;
	regs.r8 = gpa;
	if (strstr(f->name, "%rcx")) {
		regs.rcx = 5;
		regs.rbx = gpa - 0x10 - 4 * 5;
	}
	vcpu_set_regs(vcpu, &regs);

	bytes = vcpu_run_to_mmio(vcpu, f->write, gpa, f->len);
	if (f->write) {
		want = f->data;
		if (!want && strstr(f->name, "r9d"))
			want = regs.r9;
		else if (!want && f->result == AH)
			want = regs.rax >> 8;
		else if (!want)
			want = regs.rax;
		memcpy(&got, bytes, f->len);
		TEST_EQ(want & mask(f->len), got, "%s", f->name);
		want = regs.rax;
	} else {
		memcpy(bytes, &data, f->len);
		want = rax_after(f, regs.rax, data);
	}
	vcpu_run_to_hlt(vcpu);

	vcpu_get_regs(vcpu, &after);
	if (mode == MODE_REAL) {
		want = (uint32_t)want;
		after.rax = (uint32_t)after.rax;
	}
	TEST_EQ(want, after.rax, "%s, RAX", f->name);
	TEST_EQ(GUEST_CODE + code.size, after.rip, "%s, RIP", f->name);
	TEST_EQ(2, after.rflags, "%s, RFLAGS", f->name);
	for (i = RCX; i <= R15; i++)
		TEST_EQ(*regs_gpr(&regs, i), *regs_gpr(&after, i),
			"%s, register %d", f->name, i);
}

TEST(long_mode)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	size_t i;

	vcpu_set_mode(vcpu, MODE_LONG);
	for (i = 0; i < ARRAY_SIZE(forms64); i++)
		check_form(vcpu, &forms64[i], MODE_LONG, HOLE);
}

TEST(real_mode)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	struct kvm_sregs sregs;
	size_t i;

	vcpu_set_mode(vcpu, MODE_REAL);
	vcpu_get_sregs(vcpu, &sregs);
	sregs.ds.base = HOLE16;		/* further than a selector reaches */
	vcpu_set_sregs(vcpu, &sregs);
	for (i = 0; i < ARRAY_SIZE(forms16); i++)
		check_form(vcpu, &forms16[i], MODE_REAL, HOLE16 + 0x20);
}

/* Any address in the hole, page offsets included; every size. */
TEST(random_addresses)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	int i;

	vcpu_set_mode(vcpu, MODE_LONG);
	for (i = 0; i < 40; i++) {
		/* Four forms with (%rbx): index 0 to 4 write, 15 to 19 read. */
		const struct form *f = &forms64[(i & 1 ? 15 : 0) +
						rand_below(5)];
		uint64_t gpa = HOLE16 + rand_below(0xfee00000 - HOLE16 - 8);

		if ((gpa & 0xfff) > 0xff8)
			continue;
		check_form(vcpu, f, MODE_LONG, gpa);
	}
}

/*
 * An access across a page's end comes in two pieces, or in bytes: how it is
 * cut is free, that every byte comes once and in its place is not.
 */
static void check_crossing(struct test_vcpu *vcpu, bool write, uint64_t gpa,
			   uint64_t mmio_from)
{
	static const uint8_t store[] = { 0x48, 0x89, 0x03, 0xf4 };
	static const uint8_t fetch[] = { 0x48, 0x8b, 0x03, 0xf4 };
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2, .rbx = gpa };
	uint64_t data = rand_u64(), seen = 0, memory = rand_u64();
	unsigned int first = mmio_from - gpa, done = first;

	vm_load_bytes(vcpu->vm, write ? store : fetch, 4);
	regs.rax = write ? data : 0;
	if (first) {
		/* The first bytes are memory's. */
		vm_write(vcpu->vm, gpa, &memory, first);
		if (!write)
			memcpy(&data, &memory, first);
	}
	vcpu_set_regs(vcpu, &regs);
	while (done < 8) {
		struct kvm_run *run = vcpu->run;

		vcpu_run_expect(vcpu, KVM_EXIT_MMIO);
		TEST_EQ(write, run->mmio.is_write, "direction");
		TEST_EQ(gpa + done, run->mmio.phys_addr, "address");
		TEST_CHECK(run->mmio.len >= 1 && run->mmio.len <= 8 - done,
			   "length %u at %u", run->mmio.len, done);
		if (write)
			memcpy((uint8_t *)&seen + done, run->mmio.data,
			       run->mmio.len);
		else
			memcpy(run->mmio.data, (uint8_t *)&data + done,
			       run->mmio.len);
		done += run->mmio.len;
	}
	vcpu_run_to_hlt(vcpu);
	if (write) {
		if (first)
			vm_read(vcpu->vm, gpa, &seen, first);
		TEST_EQ(data, seen, "written at %#lx", gpa);
	} else {
		vcpu_get_regs(vcpu, &regs);
		TEST_EQ(data, regs.rax, "read at %#lx", gpa);
	}
}

TEST(page_crossing)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	unsigned int off;

	vcpu_set_mode(vcpu, MODE_LONG);
	for (off = 1; off < 8; off++) {
		check_crossing(vcpu, true, HOLE + 0x1000 - off,
			       HOLE + 0x1000 - off);
		check_crossing(vcpu, false, HOLE + 0x1000 - off,
			       HOLE + 0x1000 - off);
	}
}

/* Half in memory, half in the hole behind it. */
TEST(memory_and_hole)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

	vcpu_set_mode(vcpu, MODE_LONG);
	check_crossing(vcpu, true, HOLE16 - 4, HOLE16);
	check_crossing(vcpu, false, HOLE16 - 4, HOLE16);
	check_crossing(vcpu, true, HOLE16 - 1, HOLE16);
	check_crossing(vcpu, false, HOLE16 - 7, HOLE16);
}

/* Guest-virtual and guest-physical addresses that are not the same. */
TEST(paged_address)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint8_t code[] = { 0x8b, 0x03, 0x89, 0x43, 0x04, 0xf4 };
	struct kvm_regs regs;
	uint32_t value = rand_u64();

	vcpu_set_mode(vcpu, MODE_LONG);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	*vm_pte(vcpu->vm, 0x7f000) = 0xe1234000 | 7;
	vcpu_get_regs(vcpu, &regs);
	regs.rbx = 0x7f128;
	vcpu_set_regs(vcpu, &regs);
	memcpy(vcpu_run_to_mmio(vcpu, false, 0xe1234128, 4), &value, 4);
	EXPECT_EQ(0, memcmp(vcpu_run_to_mmio(vcpu, true, 0xe123412c, 4),
			    &value, 4));
	vcpu_run_to_hlt(vcpu);
	/* The walk that found the operand set the accessed bit. */
	EXPECT_EQ(0x20, *vm_pte(vcpu->vm, 0x7f000) & 0x20);
}

/*
 * The page of the operand goes while userspace is asked for data: the read has been done, and the
 * instruction does not fault any more.
 */
TEST(read_completes_as_begun)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint8_t code[] = { 0x03, 0x03, 0xf4 };	/* add (%rbx), %eax; hlt */
	struct kvm_regs regs;
	uint32_t value = 0x1234;
	void *data;

	vcpu_set_mode(vcpu, MODE_LONG);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	*vm_pte(vcpu->vm, 0x7f000) = 0xe1234000 | 7;
	vcpu_get_regs(vcpu, &regs);
	regs.rax = 0x5000;
	regs.rbx = 0x7f128;
	vcpu_set_regs(vcpu, &regs);
	data = vcpu_run_to_mmio(vcpu, false, 0xe1234128, 4);

	memcpy(data, &value, 4);
	*vm_pte(vcpu->vm, 0x7f000) = 0;
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0x6234, regs.rax);
	EXPECT_EQ(0x7f128, regs.rbx);
}

/* A page that the guest's tables do not give: a #PF and no MMIO. */
TEST(page_fault_first)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint8_t code[] = { 0x89, 0x03, 0xf4 };
	struct guest_exception exc;
	struct kvm_regs regs;

	vcpu_set_mode(vcpu, MODE_LONG);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	*vm_pte(vcpu->vm, 0x7f000) = 0xe1234000 | 5;	/* read-only */
	vcpu_get_regs(vcpu, &regs);
	regs.rbx = 0x7f128;
	vcpu_set_regs(vcpu, &regs);
	exc = vcpu_run_to_exception(vcpu, VECTOR_PF, 3);
	EXPECT_EQ(0x7f128, exc.cr2);
}

/* A slot that appears where MMIO was, and goes again. */
TEST(hole_becomes_memory)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint8_t code[] = { 0x8b, 0x03, 0xf4 };
	struct kvm_regs regs;
	uint32_t *memory;
	int i;

	vcpu_set_mode(vcpu, MODE_LONG);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	for (i = 0; i < 3; i++) {
		uint32_t value = rand_u64(), other = rand_u64();

		vcpu_get_regs(vcpu, &regs);
		regs.rip = GUEST_CODE;
		regs.rbx = HOLE;
		vcpu_set_regs(vcpu, &regs);
		memcpy(vcpu_run_to_mmio(vcpu, false, HOLE, 4), &value, 4);
		vcpu_run_to_hlt(vcpu);
		vcpu_get_regs(vcpu, &regs);
		TEST_EQ(value, regs.rax, "from the hole");

		memory = vm_add_memory(vcpu->vm, 1, HOLE, 0x1000);
		*memory = other;
		regs.rip = GUEST_CODE;
		vcpu_set_regs(vcpu, &regs);
		vcpu_run_to_hlt(vcpu);
		vcpu_get_regs(vcpu, &regs);
		TEST_EQ(other, regs.rax, "from memory");
		vm_delete_slot(vcpu->vm, 1);
	}
}

/*
 * A jump into the hole: there is nothing to execute. What userspace sees is
 * KVM's internal error; no data access is reported.
 */
TEST(execute_hole)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint8_t code[] = { 0xff, 0xe3 };	/* jmp *%rbx */
	struct kvm_regs regs;

	vcpu_set_mode(vcpu, MODE_LONG);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	vcpu_get_regs(vcpu, &regs);
	regs.rbx = HOLE;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_expect(vcpu, KVM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, vcpu->run->internal.suberror);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(HOLE, regs.rip);
}

/* fldt (%rbx); hlt: no emulator knows x87 instructions. */
static const uint8_t fldt[] = { 0xdb, 0x2b, 0xf4 };

static struct test_vcpu *fldt_guest(enum test_mode mode)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	struct kvm_regs regs;

	vcpu_set_mode(vcpu, mode);
	vm_load_bytes(vcpu->vm, fldt, sizeof(fldt));
	vcpu_get_regs(vcpu, &regs);
	regs.rbx = HOLE;
	vcpu_set_regs(vcpu, &regs);
	return vcpu;
}

static void expect_failure(struct test_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;

	vcpu_run_expect(vcpu, KVM_EXIT_INTERNAL_ERROR);
	TEST_EQ(KVM_INTERNAL_ERROR_EMULATION, run->emulation_failure.suberror, "suberror");
	TEST_CHECK(run->emulation_failure.flags &
		   KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES, "no bytes");
	TEST_CHECK(run->emulation_failure.insn_size >= 2, "size");
	TEST_CHECK(!memcmp(run->emulation_failure.insn_bytes, fldt, 2), "bytes");
	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(GUEST_CODE, regs.rip, "RIP");
}

/*
 * An instruction that cannot be executed: the VMM hears of the kernel's, a process gets
 * #UD, unless KVM_CAP_EXIT_ON_EMULATION_FAILURE is on.
 */
TEST(emulation_failure)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 1 } };
	struct test_vcpu *vcpu = fldt_guest(MODE_LONG);

	expect_failure(vcpu);
	vm_destroy(vcpu->vm);

	vcpu = fldt_guest(MODE_LONG_R3);
	vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
	vm_destroy(vcpu->vm);

	vcpu = fldt_guest(MODE_LONG_R3);
	ASSERT_EQ(0, ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &cap));
	expect_failure(vcpu);
	cap.args[0] = 2;
	EXPECT_EQ(-1, ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EINVAL, errno);
	vm_destroy(vcpu->vm);
}

/* What has an operand of 32 bytes, or of 8 across two pages, comes in pieces. */
TEST(pieces)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	/* movups (%rbx),%xmm0; movups %xmm0,(%rcx); hlt */
	static const uint8_t code[] = { 0x0f, 0x10, 0x03, 0x0f, 0x11, 0x01, 0xf4 };
	uint64_t value[2] = { rand_u64(), rand_u64() };
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_set_mode(vcpu, MODE_LONG);
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr4 |= 1 << 9;	/* OSFXSR */
	vcpu_set_sregs(vcpu, &sregs);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	vcpu_get_regs(vcpu, &regs);
	regs.rbx = HOLE + 3;
	regs.rcx = HOLE + 0xffc;
	vcpu_set_regs(vcpu, &regs);
	memcpy(vcpu_run_to_mmio(vcpu, false, HOLE + 3, 8), &value[0], 8);
	memcpy(vcpu_run_to_mmio(vcpu, false, HOLE + 11, 8), &value[1], 8);
	EXPECT_EQ(0, memcmp(vcpu_run_to_mmio(vcpu, true, HOLE + 0xffc, 4), value, 4));
	EXPECT_EQ(0, memcmp(vcpu_run_to_mmio(vcpu, true, HOLE + 0x1000, 8),
			    (char *)value + 4, 8));
	EXPECT_EQ(0, memcmp(vcpu_run_to_mmio(vcpu, true, HOLE + 0x1008, 4),
			    (char *)value + 12, 4));
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
