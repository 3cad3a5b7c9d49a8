// SPDX-License-Identifier: GPL-2.0
/*
 * Modes and exceptions: a guest that goes through every mode by itself, what a
 * new vCPU looks like, what handlers in the guest see, and the two ways in
 * which a vCPU cannot go on: triple fault and refused entry.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define MARK	0x80

GUEST_DECLARE(guest_all_modes);
GUEST_DECLARE(guest_own_handlers);
extern const uint8_t own_de[], own_ud[], own_pf[];

static uint32_t next_mark(struct test_vcpu *vcpu, int size)
{
	uint32_t value = 0;

	memcpy(&value, vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, MARK, size, 1),
	       size);
	return value;
}

TEST(all_modes_in_one_guest)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_REAL,
					       GUEST_OF(guest_all_modes));
	struct kvm_sregs s;

	EXPECT_EQ(1, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0x1234, s.es.selector);
	EXPECT_EQ(0x12340, s.es.base);
	EXPECT_EQ(0, s.cr0 & 1);

	EXPECT_EQ(0x77, next_mark(vcpu, 1));
	EXPECT_EQ(2, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(1, s.cr0 & 1);
	EXPECT_EQ(8, s.cs.selector);
	EXPECT_EQ(1, s.cs.db);
	EXPECT_EQ(0xffffffff, s.cs.limit);
	EXPECT_EQ(0x10, s.ss.selector);
	EXPECT_EQ(1, s.gdt.base != 0);
	EXPECT_EQ(0x2f, s.gdt.limit);

	EXPECT_EQ(0xcafe, next_mark(vcpu, 4));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0x100000, s.fs.base);
	EXPECT_EQ(3, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0, s.cs.db);
	EXPECT_EQ(0x20, s.cs.selector);

	EXPECT_EQ(4, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0, s.cr0 & 1);
	EXPECT_EQ(0x43210, s.ds.base);

	EXPECT_EQ(5, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0x80000001, s.cr0 & 0x80000001);
	EXPECT_EQ(0x53000, s.cr3);
	EXPECT_EQ(0x10, s.cr4 & 0x30);

	EXPECT_EQ(0xbeef, next_mark(vcpu, 4));
	EXPECT_EQ(6, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0x54000, s.cr3);
	EXPECT_EQ(0x30, s.cr4 & 0x30);

	/* EFER as the guest reads it: LME and LMA. */
	EXPECT_EQ(0x500, next_mark(vcpu, 4));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0x500, s.efer);
	EXPECT_EQ(0, s.cs.l);
	EXPECT_EQ(0x12345678, next_mark(vcpu, 4));
	EXPECT_EQ(7, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(1, s.cs.l);
	EXPECT_EQ(0, s.cs.db);
	EXPECT_EQ(0x50000, s.cr3);

	EXPECT_EQ(8, next_mark(vcpu, 1));
	vcpu_get_sregs(vcpu, &s);
	EXPECT_EQ(0, s.cs.l);
	EXPECT_EQ(0x100, next_mark(vcpu, 4));
	EXPECT_EQ(9, next_mark(vcpu, 1));
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

static void check_segment(const char *name, const struct kvm_segment *seg,
			  uint16_t selector, uint64_t base, int type, int s)
{
	TEST_EQ(selector, seg->selector, "%s selector", name);
	TEST_EQ(base, seg->base, "%s base", name);
	TEST_EQ(0xffff, seg->limit, "%s limit", name);
	TEST_CHECK(test_reset_type_ok(seg, type), "%s type %u, want %d", name,
		   seg->type, type);
	TEST_EQ(s, seg->s, "%s S", name);
	TEST_EQ(1, seg->present, "%s P", name);
	TEST_EQ(0, seg->dpl, "%s DPL", name);
	TEST_EQ(0, seg->db, "%s D/B", name);
	TEST_EQ(0, seg->l, "%s L", name);
	TEST_EQ(0, seg->g, "%s G", name);
	TEST_EQ(0, seg->unusable, "%s unusable", name);
}

/* The manuals' tables of the state after reset; see also lib/vendor.c. */
TEST(reset_state)
{
	const struct vendor *vendor = test_vendor();
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create_bare(), 0);
	struct kvm_regs regs, want = {
		.rip = 0xfff0,
		.rflags = 2,
		.rdx = 0x600,		/* family 6, as KVM has it */
	};
	struct kvm_sregs s;

	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0, memcmp(&want, &regs, sizeof(regs)));
	EXPECT_EQ(want.rip, regs.rip);
	EXPECT_EQ(want.rdx, regs.rdx);
	EXPECT_EQ(want.rflags, regs.rflags);

	vcpu_get_sregs(vcpu, &s);
	check_segment("CS", &s.cs, 0xf000, 0xffff0000, vendor->reset_code, 1);
	check_segment("DS", &s.ds, 0, 0, vendor->reset_data, 1);
	check_segment("ES", &s.es, 0, 0, vendor->reset_data, 1);
	check_segment("FS", &s.fs, 0, 0, vendor->reset_data, 1);
	check_segment("GS", &s.gs, 0, 0, vendor->reset_data, 1);
	check_segment("SS", &s.ss, 0, 0, vendor->reset_data, 1);
	check_segment("TR", &s.tr, 0, 0, vendor->reset_tr, 0);
	check_segment("LDTR", &s.ldt, 0, 0, 2, 0);
	EXPECT_EQ(0, s.gdt.base);
	EXPECT_EQ(0xffff, s.gdt.limit);
	EXPECT_EQ(0, s.idt.base);
	EXPECT_EQ(0xffff, s.idt.limit);
	EXPECT_EQ(0x60000010, s.cr0);
	EXPECT_EQ(0, s.cr2);
	EXPECT_EQ(0, s.cr3);
	EXPECT_EQ(0, s.cr4);
	EXPECT_EQ(0, s.cr8);
	EXPECT_EQ(0, s.efer);
	/* Bootstrap processor, enabled, at its usual address. */
	EXPECT_EQ(0xfee00900, s.apic_base);
	vm_destroy(vcpu->vm);
}

/* The first instruction after reset is fetched 16 bytes below 4 GiB. */
TEST(reset_vector)
{
	struct test_vm *vm = vm_create_bare();
	static const uint8_t code[] = { 0xb0, 0x42, 0xe6, MARK, 0xf4 };
	struct test_vcpu *vcpu;

	memcpy((uint8_t *)vm_add_memory(vm, 0, 0xfffff000, 0x1000) + 0xff0,
	       code, sizeof(code));
	vcpu = vm_add_vcpu(vm, 0);
	EXPECT_EQ(0x42, next_mark(vcpu, 1));
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vm);
}

/* One instruction and the exception it raises. */
struct fault {
	const char *name;
	uint8_t code[16];
	uint8_t size;
	int vector;
	int64_t error;
	bool after;		/* RIP is behind the instruction */
	uint64_t cr2;
	int skip;		/* bytes before the instruction that faults */
	/* Known to be wrong: by whom and why, and the vector that comes instead. */
	const char *tcg, *stock;
	int wrong_vector;
};

#define NO_FAULT	(-1)

#define INSN(...) { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })
#define NONE	EXC_NO_ERROR
#define FETCH	(-2)		/* error code 0, and RIP is CR2 */

/* RBX is 0x8000000000000000 (not canonical), RDI 0x7f123 (no page). */
static const struct fault faults64[] = {
	{ "div %cl", INSN(0xf6, 0xf1), VECTOR_DE, NONE },
	{ "int3", INSN(0xcc), VECTOR_BP, NONE, true },
	{ "ud2", INSN(0x0f, 0x0b), VECTOR_UD, NONE },
	{ "push %es", INSN(0x06), VECTOR_UD, NONE },
	{ "lock nop", INSN(0xf0, 0x90), VECTOR_UD, NONE },
	{ "mov (%rbx), %eax", INSN(0x8b, 0x03), VECTOR_GP, 0 },
	{ "int $33", INSN(0xcd, 33), VECTOR_GP, 33 * 8 + 2 },
	{ "mov %ax, %ds (past the GDT)", INSN(0x66, 0xb8, 0x00, 0x08, 0x8e,
					       0xd8), VECTOR_GP, 0x800,
	  .skip = 4 },
	{ "mov %ax, %ss (code)", INSN(0x66, 0xb8, SEL_CODE64, 0x00, 0x8e,
				       0xd0), VECTOR_GP, SEL_CODE64, .skip = 4 },
	{ "mov (%rdi), %eax", INSN(0x8b, 0x07), VECTOR_PF, 0, .cr2 = 0x7f123 },
	{ "mov %eax, (%rdi)", INSN(0x89, 0x07), VECTOR_PF, 2, .cr2 = 0x7f123 },
	{ "jmp *%rdi", INSN(0xff, 0xe7), VECTOR_PF, FETCH, .cr2 = 0x7f123 },
	{ "mov %eax, 0x7e000 (read-only)", INSN(0x89, 0x04, 0x25, 0x00, 0xe0,
						 0x07, 0x00), VECTOR_PF, 3,
	  .cr2 = 0x7e000 },
};

/*
 * Run each of @faults as the whole of the guest; see what the handler found.
 * Returns the reason when something is to be skipped, the rest being right.
 */
static const char *check_faults(enum test_mode mode, const struct fault *faults,
				size_t count)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint32_t bounds[2] = { 1, 2 };
	static const uint8_t hlt = 0xf4;
	const char *skip = NULL;
	size_t i;

	vcpu_set_supported_cpuid(vcpu);
	vm_write(vcpu->vm, GUEST_DATA, bounds, sizeof(bounds));
	for (i = 0; i < count; i++) {
		const struct fault *f = &faults[i];
		uint64_t rip = GUEST_CODE, rflags;
		struct guest_exception *rec;
		struct kvm_regs regs;

		vcpu_set_mode(vcpu, mode);
		*vm_pte(vcpu->vm, 0x7f000) &= ~1ull;
		*vm_pte(vcpu->vm, 0x7e000) &= ~2ull;
		vm_load_bytes(vcpu->vm, f->code, f->size);
		vm_write(vcpu->vm, GUEST_CODE + f->size, &hlt, 1);
		vcpu_get_regs(vcpu, &regs);
		regs.rbx = 0x8000000000000000;
		regs.rdi = 0x7f123;
		regs.rflags = rflags = 0x8d7;	/* all the status flags */
		vcpu_set_regs(vcpu, &regs);

		vcpu_run(vcpu);
		vcpu_expect(vcpu, KVM_EXIT_HLT);
		rec = vm_exception(vcpu->vm);
		if (((f->tcg && test_cpu_is_tcg()) ||
		     (f->stock && !test_device_is_minikvm())) &&
		    f->wrong_vector == (rec->count ? (int)rec->vector : NO_FAULT)) {
			skip = f->tcg ?: f->stock;
			memset(rec, 0, sizeof(*rec));
			continue;
		}
		TEST_EQ(1, rec->count, "%s", f->name);
		TEST_EQ(f->vector, rec->vector, "%s, vector", f->name);
		/* A fetch says so where NX is on; it is not. */
		TEST_EQ(f->error == FETCH ? 0 : f->error,
			(int64_t)(int32_t)rec->error, "%s, error code",
			f->name);
		if (f->vector == VECTOR_PF)
			TEST_EQ(f->cr2, rec->cr2, "%s, CR2", f->name);
		rip += f->after ? f->size : f->skip;
		if (f->error == FETCH)
			rip = f->cr2;
		TEST_EQ(rip, rec->rip, "%s, RIP", f->name);
		/* RF may be set in what a fault pushes. */
		if (!strncmp(f->name, "div", 3))
			rflags = rec->rflags & ~0x10000ull;	/* undefined */
		TEST_EQ(rflags, rec->rflags & ~0x10000ull, "%s, RFLAGS",
			f->name);
		memset(rec, 0, sizeof(*rec));
	}
	vm_destroy(vcpu->vm);
	return skip;
}

/* The same for what TCG or stock KVM get wrong, in a test of its own. */
#define CHECK_FAULTS(mode, faults) do {					\
	const char *__skip = check_faults(mode, faults,			\
					  ARRAY_SIZE(faults));		\
									\
	if (__skip)							\
		SKIP(_exit(255), "%s", __skip);			\
} while (0)

TEST(exceptions_long_mode)
{
	check_faults(MODE_LONG, faults64, ARRAY_SIZE(faults64));
}

TEST(into_long_mode)
{
	static const struct fault faults[] = {
		{ "into", INSN(0xce), VECTOR_UD, NONE,
		  .tcg = "TCG: 64-bit mode has INTO", .wrong_vector = VECTOR_OF },
	};

	CHECK_FAULTS(MODE_LONG, faults);
}

TEST(stack_not_canonical)
{
	static const struct fault faults[] = {
		{ "mov (%rbp), %eax", INSN(0x48, 0x89, 0xdd, 0x8b, 0x45, 0x00),
		  VECTOR_SS, 0, .skip = 3,
		  .tcg = "TCG: a stack address that is not canonical gives #GP",
		  .wrong_vector = VECTOR_GP },
	};

	CHECK_FAULTS(MODE_LONG, faults);
}

static const struct fault faults32[] = {
	{ "div %cl", INSN(0xf6, 0xf1), VECTOR_DE, NONE },
	{ "int3", INSN(0xcc), VECTOR_BP, NONE, true },
	{ "into", INSN(0xce), VECTOR_OF, NONE, true },
	{ "bound %eax, 0x40000", INSN(0x62, 0x05, 0x00, 0x00, 0x04, 0x00),
	  VECTOR_BR, NONE },
	{ "ud2", INSN(0x0f, 0x0b), VECTOR_UD, NONE },
	{ "int $40", INSN(0xcd, 40), VECTOR_GP, 40 * 8 + 2 },
	{ "mov %ax, %ds (past the GDT)", INSN(0x66, 0xb8, 0x00, 0x08, 0x8e,
					       0xd8), VECTOR_GP, 0x800,
	  .skip = 4 },
};

TEST(exceptions_protected_mode)
{
	check_faults(MODE_PROT32, faults32, ARRAY_SIZE(faults32));
}

static const struct fault faults32_paged[] = {
	{ "mov (%edi), %eax", INSN(0x8b, 0x07), VECTOR_PF, 0, .cr2 = 0x7f123 },
	{ "mov %eax, (%edi)", INSN(0x89, 0x07), VECTOR_PF, 2, .cr2 = 0x7f123 },
	{ "mov %eax, 0x7e000 (read-only)", INSN(0xa3, 0x00, 0xe0, 0x07, 0x00),
	  VECTOR_PF, 3, .cr2 = 0x7e000 },
};

TEST(exceptions_pae)
{
	check_faults(MODE_PAE, faults32_paged, ARRAY_SIZE(faults32_paged));
}

static const struct fault faults16[] = {
	{ "div %cl", INSN(0xf6, 0xf1), VECTOR_DE, NONE },
	{ "int3", INSN(0xcc), VECTOR_BP, NONE, true },
	{ "into", INSN(0xce), VECTOR_OF, NONE, true },
	{ "ud2", INSN(0x0f, 0x0b), VECTOR_UD, NONE },
	{ "int $6", INSN(0xcd, 6), VECTOR_UD, NONE, true },
};

TEST(exceptions_real_mode)
{
	check_faults(MODE_REAL, faults16, ARRAY_SIZE(faults16));
}

TEST(segment_limit_real_mode)
{
	static const struct fault faults[] = {
		{ "mov 0xffff, %ax", INSN(0xa1, 0xff, 0xff), VECTOR_GP, NONE,
		  .tcg = "TCG: no segment limits", .wrong_vector = NO_FAULT },
	};

	CHECK_FAULTS(MODE_REAL, faults);
}

/* From ring 3: #PF with the user bit, #GP for what only ring 0 may do. */
static const struct fault faults_ring3[] = {
	{ "hlt", INSN(0xf4), VECTOR_GP, 0 },
	{ "cli", INSN(0xfa), VECTOR_GP, 0 },
	{ "mov %cr0, %rax", INSN(0x0f, 0x20, 0xc0), VECTOR_GP, 0 },
	{ "rdmsr", INSN(0x0f, 0x32), VECTOR_GP, 0 },
	{ "lgdt (%rsp)", INSN(0x0f, 0x01, 0x14, 0x24), VECTOR_GP, 0 },
	{ "invlpg (%rsp)", INSN(0x0f, 0x01, 0x3c, 0x24), VECTOR_GP, 0 },
	{ "mov (%rdi), %eax", INSN(0x8b, 0x07), VECTOR_PF, 4, .cr2 = 0x7f123 },
	{ "mov %eax, (%rdi)", INSN(0x89, 0x07), VECTOR_PF, 6, .cr2 = 0x7f123 },
	{ "mov %eax, 0x7e000 (read-only)", INSN(0x89, 0x04, 0x25, 0x00, 0xe0,
						 0x07, 0x00), VECTOR_PF, 7,
	  .cr2 = 0x7e000 },
};

TEST(exceptions_ring3)
{
	check_faults(MODE_LONG_R3, faults_ring3, ARRAY_SIZE(faults_ring3));
}

/* A segment that is not present, in a descriptor of its own. */
TEST(not_present_segment)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){});
	static const uint8_t code[] = { 0x66, 0xb8, 0x58, 0x00, 0x8e, 0xc0 };
	uint64_t descriptor = 0x00cf13000000ffff;	/* data, P clear */

	vm_load_bytes(vcpu->vm, code, sizeof(code));
	vm_write(vcpu->vm, GUEST_GDT + 0x58, &descriptor, 8);
	vcpu_run_to_exception(vcpu, VECTOR_NP, 0x58);
	vm_destroy(vcpu->vm);
}

/* #DF and not a triple fault, when only the first handler is missing. */
TEST(double_fault)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){});
	static const uint8_t code[] = { 0x8b, 0x03 };	/* mov (%rbx), %eax */
	struct kvm_regs regs;

	vm_load_bytes(vcpu->vm, code, sizeof(code));
	/* The gate of #GP is not present: #NP while #GP is delivered. */
	memset(vm_hva(vcpu->vm, GUEST_IDT + 16 * VECTOR_GP, 16), 0, 16);
	vcpu_get_regs(vcpu, &regs);
	regs.rbx = 0x8000000000000000;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_exception(vcpu, VECTOR_DF, 0);
	vm_destroy(vcpu->vm);
}

/*
 * Single steps that the guest asks for itself: the trap comes behind the
 * instruction that follows POPF. (Bochs traps before the first instruction
 * when TF is set by the VM entry, so that is not asked for here.)
 */
TEST(trap_flag)
{
	static const uint8_t code[] = {
		0x9c,						/* pushfq */
		0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00,	/* orl */
		0x9d,						/* popfq */
		0x90, 0x90, 0xf4,
	};
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	struct guest_exception exc;

	exc = vcpu_run_to_exception(vcpu, VECTOR_DB, EXC_NO_ERROR);
	EXPECT_EQ(GUEST_CODE + 10, exc.rip);
	EXPECT_EQ(0x100, exc.rflags & 0x100);
	vm_destroy(vcpu->vm);
}

/* A step over STI: the trap comes while the shadow of STI lasts. */
TEST(trap_flag_over_sti)
{
	static const uint8_t code[] = {
		0xfa,						/* cli */
		0x9c,						/* pushfq */
		0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00,	/* orl */
		0x9d,						/* popfq */
		0xfb,						/* sti */
		0x90, 0xf4,
	};
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	struct guest_exception exc;

	exc = vcpu_run_to_exception(vcpu, VECTOR_DB, EXC_NO_ERROR);
	EXPECT_EQ(GUEST_CODE + 11, exc.rip);
	EXPECT_EQ(0x300, exc.rflags & 0x300);
	vm_destroy(vcpu->vm);
}

/* INT1 is a trap: its handler returns behind it. */
TEST(int1)
{
	static const uint8_t code[] = { 0x90, 0xf1, 0x90, 0xf4 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	struct guest_exception exc;

	exc = vcpu_run_to_exception(vcpu, VECTOR_DB, EXC_NO_ERROR);
	EXPECT_EQ(GUEST_CODE + 2, exc.rip);
	vm_destroy(vcpu->vm);
}

/*
 * #AC in ring 3 with CR0.AM and RFLAGS.AC. A module that does not hand it on
 * hangs the CPU, or the guest.
 */
TEST(alignment_check)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG_R3,
					       (struct guest_code){});
	static const uint8_t code[] = { 0x8b, 0x44, 0x24, 0x01, 0x0f, 0x0b };
	struct guest_exception exc;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vm_load_bytes(vcpu->vm, code, sizeof(code));	/* mov 1(%rsp), %eax */
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr0 |= 1 << 18;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_get_regs(vcpu, &regs);
	regs.rsp -= 16;
	regs.rflags |= 1 << 18;
	vcpu_set_regs(vcpu, &regs);
	/* UD2 behind it: the way out when nothing was noticed. */
	vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	exc = *vm_exception(vcpu->vm);
	SKIP_IF_TCG(exc.vector == VECTOR_UD, "no alignment checks");
	EXPECT_EQ(1, exc.count);
	EXPECT_EQ(VECTOR_AC, exc.vector);
	EXPECT_EQ(0, exc.error);
	EXPECT_EQ(GUEST_CODE, exc.rip);
	vm_destroy(vcpu->vm);
}

/* Put a gate of 64-bit mode for @vector to @handler. */
static void set_gate(struct test_vm *vm, int vector, uint64_t handler)
{
	uint64_t gate = (handler & 0xffff) | (uint64_t)SEL_CODE64 << 16 |
		0x8eull << 40 | (handler >> 16 & 0xffff) << 48;

	vm_write(vm, GUEST_IDT + vector * 16, &gate, 8);
}

/* Handlers that mend the cause and go back. */
TEST(own_handlers)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_own_handlers));
	struct kvm_regs regs;

	set_gate(vcpu->vm, VECTOR_DE, GUEST_CODE + (own_de - guest_own_handlers));
	set_gate(vcpu->vm, VECTOR_UD, GUEST_CODE + (own_ud - guest_own_handlers));
	set_gate(vcpu->vm, VECTOR_PF, GUEST_CODE + (own_pf - guest_own_handlers));
	*vm_pte(vcpu->vm, 0x7f000) &= ~1ull;
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(3, regs.rbx);
	EXPECT_EQ(14, regs.r8);
	EXPECT_EQ(0, regs.r9);
	EXPECT_EQ(0x600d, regs.r10);
	EXPECT_EQ(0x7f000, regs.r11);
	EXPECT_EQ(2, regs.r12);
	vm_destroy(vcpu->vm);
}

/* Instructions of the host's virtualization are not there for the guest. */
static const struct fault virt_insns[] = {
	{ "vmread %rax, %rcx", INSN(0x0f, 0x78, 0xc1), VECTOR_UD, NONE },
	{ "vmwrite %rax, %rcx", INSN(0x0f, 0x79, 0xc1), VECTOR_UD, NONE },
	{ "vmlaunch", INSN(0x0f, 0x01, 0xc2), VECTOR_UD, NONE },
	{ "vmresume", INSN(0x0f, 0x01, 0xc3), VECTOR_UD, NONE },
	{ "vmxoff", INSN(0x0f, 0x01, 0xc4), VECTOR_UD, NONE },
	{ "vmfunc", INSN(0x0f, 0x01, 0xd4), VECTOR_UD, NONE },
	{ "invept (%rsp), %rax", INSN(0x66, 0x0f, 0x38, 0x80, 0x04, 0x24),
	  VECTOR_UD, NONE },
	{ "invvpid (%rsp), %rax", INSN(0x66, 0x0f, 0x38, 0x81, 0x04, 0x24),
	  VECTOR_UD, NONE },
	{ "vmrun", INSN(0x0f, 0x01, 0xd8), VECTOR_UD, NONE },
	{ "vmload", INSN(0x0f, 0x01, 0xda), VECTOR_UD, NONE },
	{ "vmsave", INSN(0x0f, 0x01, 0xdb), VECTOR_UD, NONE },
	{ "skinit", INSN(0x0f, 0x01, 0xde), VECTOR_UD, NONE },
	{ "invlpga", INSN(0x0f, 0x01, 0xdf), VECTOR_UD, NONE },
	{ "getsec", INSN(0x0f, 0x37), VECTOR_UD, NONE },
	{ "rsm", INSN(0x0f, 0xaa), VECTOR_UD, NONE },
};

TEST(virtualization_instructions)
{
	check_faults(MODE_LONG, virt_insns, ARRAY_SIZE(virt_insns));
}

TEST(virtualization_instructions_0fc7)
{
#define TCG_0FC7 .tcg = "TCG: 0F C7 with a memory operand does nothing", \
		 .wrong_vector = NO_FAULT
	static const struct fault faults[] = {
		{ "vmxon (%rdi)", INSN(0xf3, 0x0f, 0xc7, 0x37), VECTOR_UD, NONE,
		  TCG_0FC7 },
		{ "vmclear (%rdi)", INSN(0x66, 0x0f, 0xc7, 0x37), VECTOR_UD,
		  NONE, TCG_0FC7 },
		{ "vmptrld (%rdi)", INSN(0x0f, 0xc7, 0x37), VECTOR_UD, NONE,
		  TCG_0FC7 },
		{ "vmptrst (%rdi)", INSN(0x0f, 0xc7, 0x3f), VECTOR_UD, NONE,
		  TCG_0FC7 },
	};

	CHECK_FAULTS(MODE_LONG, faults);
}

/* The two of SVM that a guest may be given without leaving it (virtual GIF). */
TEST(virtualization_instructions_gif)
{
#define STOCK_GIF .stock = "stock KVM: with virtual GIF the guest has STGI and CLGI", \
		  .wrong_vector = NO_FAULT
	static const struct fault faults[] = {
		{ "stgi", INSN(0x0f, 0x01, 0xdc), VECTOR_UD, NONE, STOCK_GIF },
		{ "clgi", INSN(0x0f, 0x01, 0xdd), VECTOR_UD, NONE, STOCK_GIF },
	};

	CHECK_FAULTS(MODE_LONG, faults);
}

/* With no IDT at all the first exception is the third fault. */
static void shut_down(struct test_vcpu *vcpu, enum test_mode mode)
{
	static const uint8_t code[] = { 0x0f, 0x0b };
	struct kvm_sregs sregs;

	vcpu_set_mode(vcpu, mode);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	vcpu_get_sregs(vcpu, &sregs);
	sregs.idt.limit = 0;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_run_expect(vcpu, KVM_EXIT_SHUTDOWN);
}

TEST(triple_fault)
{
	int mode;

	for (mode = 0; mode < MODE_NUM; mode++) {
		struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

		vcpu_set_supported_cpuid(vcpu);
		shut_down(vcpu, mode);
		vm_destroy(vcpu->vm);
	}
}

static void no_action(int sig)
{
}

/*
 * What a vCPU looks like after a shutdown is unspecified (APM volume 2,
 * "Shutdown Intercept": the VMCB's state is undefined), but a VMM that sets all
 * of it has a vCPU again.
 */
TEST(run_after_shutdown)
{
	struct sigaction action = { .sa_handler = no_action };
	struct itimerval timer = { .it_value.tv_sec = 2 }, off = {};
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint8_t hlt[] = { 0xf4 };
	int mode, next;

	vcpu_set_supported_cpuid(vcpu);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	for (mode = 0; mode < MODE_NUM; mode++) {
		/* HLT is not for ring 3. */
		for (next = 0; next < MODE_LONG_R3; next++) {
			struct kvm_regs regs;
			int ret;

			shut_down(vcpu, mode);
			vcpu_set_mode(vcpu, next);
			vm_load_bytes(vcpu->vm, hlt, sizeof(hlt));
			setitimer(ITIMER_REAL, &timer, NULL);
			ret = __vcpu_run(vcpu) ? -errno : 0;
			SKIP_IF_STOCK(ret == -EINTR && test_vendor()->amd,
				      "a shutdown loses the root of the nested page tables");
			setitimer(ITIMER_REAL, &off, NULL);
			TEST_EQ(0, ret, "KVM_RUN in %s after %s",
				test_mode_name(next), test_mode_name(mode));
			vcpu_expect(vcpu, KVM_EXIT_HLT);
			vcpu_get_regs(vcpu, &regs);
			TEST_EQ(GUEST_CODE + 1, regs.rip, "RIP in %s after %s",
				test_mode_name(next), test_mode_name(mode));
		}
	}
	vm_destroy(vcpu->vm);
}

/* The ways there in 64-bit mode; another vCPU does not mind. */
TEST(triple_fault_causes)
{
	static const uint8_t ud2[] = { 0x0f, 0x0b };
	static const uint8_t push[] = { 0x50, 0xf4 };
	static const uint8_t load[] = { 0x8b, 0x07, 0xf4 };	/* mov (%rdi), %eax */
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){});
	struct test_vcpu *other = vm_add_vcpu(vcpu->vm, 1);
	struct test_vm *vm = vcpu->vm;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int cause;

	vcpu_set_supported_cpuid(other);
	for (cause = 0; cause < 5; cause++) {
		vcpu_set_mode(vcpu, MODE_LONG);
		vcpu_get_sregs(vcpu, &sregs);
		vcpu_get_regs(vcpu, &regs);
		switch (cause) {
		case 0:		/* gates that are not present, for #UD, #NP and #DF */
			memset(vm_hva(vm, GUEST_IDT, 32 * 16), 0, 32 * 16);
			vm_load_bytes(vm, ud2, sizeof(ud2));
			break;
		case 1:		/* no stack for #SS or #PF, and none for #DF */
			vm_load_bytes(vm, push, sizeof(push));
			regs.rsp = 0x7000000000;
			break;
		case 2:		/* no page tables */
			memset(vm_hva(vm, 0x90000, 0x1000), 0, 0x1000);
			sregs.cr3 = 0x90000;
			break;
		case 3:		/* the IDT is not mapped */
			vm_load_bytes(vm, ud2, sizeof(ud2));
			sregs.idt.base = 0x7000000000;
			break;
		case 4:		/* #PF, and the GDT is not mapped */
			vm_load_bytes(vm, load, sizeof(load));
			regs.rdi = 0x7000000000;
			sregs.gdt.base = 0x7000000000;
			break;
		}
		vcpu_set_sregs(vcpu, &sregs);
		vcpu_set_regs(vcpu, &regs);
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_SHUTDOWN)
			TH_LOG("cause %d", cause);
		vcpu_expect(vcpu, KVM_EXIT_SHUTDOWN);

		/* The other one is as it was. */
		vcpu_set_mode(other, MODE_LONG);
		*(uint8_t *)vm_hva(vm, GUEST_CODE, 1) = 0xf4;
		vcpu_run_to_hlt(other);
	}
	vm_destroy(vm);
}

/*
 * A code segment with L and D both set: KVM_SET_SREGS takes it, no CPU enters
 * with it.
 */
static struct test_vcpu *refused_vcpu(void)
{
	static const uint8_t code[] = { 0xf4 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
		(struct guest_code){ code, sizeof(code) });
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cs.db = 1;
	vcpu_set_sregs(vcpu, &sregs);
	return vcpu;
}

/* The vCPU is usable again after it was mended. */
TEST(refused_entry)
{
	struct test_vcpu *vcpu = refused_vcpu();
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int i;

	vcpu_get_sregs(vcpu, &sregs);
	vcpu_get_regs(vcpu, &regs);
	for (i = 0; i < 2; i++) {
		vcpu_run_expect(vcpu, KVM_EXIT_FAIL_ENTRY);
		EXPECT_NE(0, vcpu->run->fail_entry.hardware_entry_failure_reason);
		/* RIP is the next test's. */
		vcpu_set_regs(vcpu, &regs);
	}
	sregs.cs.db = 0;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/* And it goes on where it was. */
TEST(refused_entry_keeps_registers)
{
	struct test_vcpu *vcpu = refused_vcpu();
	struct kvm_regs before, after;
	int i;

	vcpu_get_regs(vcpu, &before);
	for (i = 0; i < 2; i++) {
		vcpu_run_expect(vcpu, KVM_EXIT_FAIL_ENTRY);
		vcpu_get_regs(vcpu, &after);
		SKIP_IF_TCG(after.rip != GUEST_CODE,
			    "VMEXIT_INVALID stores the host's RIP");
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	}
	vm_destroy(vcpu->vm);
}

/* Every mode runs and says so; exceptions work in each. */
TEST(every_mode)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	static const uint8_t code[] = { 0xb0, 0x11, 0xe6, MARK, 0x0f, 0x0b };
	struct guest_exception exc;
	int mode;

	vcpu_set_supported_cpuid(vcpu);
	vm_load_bytes(vcpu->vm, code, sizeof(code));
	for (mode = 0; mode < MODE_NUM; mode++) {
		struct kvm_regs regs;

		vcpu_set_mode(vcpu, mode);
		vcpu_get_regs(vcpu, &regs);
		regs.rflags |= 0x3000;		/* ring 3 may use ports */
		vcpu_set_regs(vcpu, &regs);
		TEST_EQ(0x11, next_mark(vcpu, 1), "%s", test_mode_name(mode));
		exc = vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
		TEST_EQ(GUEST_CODE + 4, exc.rip, "%s", test_mode_name(mode));
	}
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
