// SPDX-License-Identifier: GPL-2.0
/*
 * A debugger outside the guest: KVM_SET_GUEST_DEBUG and KVM_EXIT_DEBUG.
 *
 * Linux, "The Definitive KVM API Documentation": KVM_SET_GUEST_DEBUG; Intel's manual volume 3,
 * "Debug Registers" and "Debug Exceptions".
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/log.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define RFLAGS_TF	(1ull << 8)
#define RFLAGS_IF	(1ull << 9)
#define DR6_BD		(1ull << 13)
#define DR6_BS		(1ull << 14)
#define DR6_CAUSE	(DR6_BD | DR6_BS | 0xf)
#define DR7_FIXED	0x400ull
#define DR7_GD		(1ull << 13)

#define ENABLE		KVM_GUESTDBG_ENABLE
#define STEP		(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)

#define BYTES(...) ((struct guest_code){ (const uint8_t[]){ __VA_ARGS__ },		\
					 sizeof((const uint8_t[]){ __VA_ARGS__ }) })
#define NOPS	BYTES(0x90, 0x90, 0x90, 0xf4)

static int __set_debug(struct test_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, dbg) ? -errno : 0;
}

static void set_debug(struct test_vcpu *vcpu, uint32_t control)
{
	struct kvm_guest_debug dbg = { .control = control };

	TEST_EQ(0, __set_debug(vcpu, &dbg), "KVM_SET_GUEST_DEBUG of %#x", control);
}

/* Debugger's breakpoint @nr; @bits: type and length, as in DR7 from bit 16 on. */
static void set_breakpoint(struct test_vcpu *vcpu, int nr, uint64_t addr, uint64_t bits)
{
	struct kvm_guest_debug dbg = { .control = ENABLE | KVM_GUESTDBG_USE_HW_BP };

	dbg.arch.debugreg[nr] = addr;
	dbg.arch.debugreg[7] = DR7_FIXED | 2ull << nr * 2 | bits << (16 + nr * 4);
	TEST_EQ(0, __set_debug(vcpu, &dbg), "breakpoint %d", nr);
}

/* The last run ended with KVM_EXIT_DEBUG: @vector at @pc, because of @dr6. */
static void expect_debug(struct test_vcpu *vcpu, int vector, uint64_t pc, uint64_t dr6, int line)
{
	const struct kvm_debug_exit_arch *debug = &vcpu->run->debug.arch;
	uint64_t cause = DR6_CAUSE;
	struct kvm_regs regs;
	int i;

	vcpu_expect_at(vcpu, KVM_EXIT_DEBUG, __FILE__, line);
	/* A CPU may tell of breakpoints that are not enabled, and stock KVM passes it on. */
	for (i = 0; i < 4 && !test_device_is_minikvm(); i++)
		if (!(debug->dr7 >> 2 * i & 3))
			cause &= ~(1ull << i);
	vcpu_get_regs(vcpu, &regs);
	if (debug->exception != (uint32_t)vector || debug->pc != pc || regs.rip != pc ||
	    (vector == VECTOR_DB && (debug->dr6 & cause) != dr6)) {
		vcpu_dump(vcpu);
		test_die(__FILE__, line, "want %d at %#lx DR6 %#lx, got %u at %#llx DR6 %#llx",
			 vector, (long)pc, (long)dr6, debug->exception, debug->pc, debug->dr6);
	}
	if (regs.rflags & RFLAGS_TF)
		test_die(__FILE__, line, "RFLAGS.TF at %#lx", (long)pc);
}

#define EXPECT_DEBUG(vcpu, vector, pc, dr6)	expect_debug(vcpu, vector, pc, dr6, __LINE__)
#define RUN_TO_DEBUG(vcpu, vector, pc, dr6) do {		\
	vcpu_run(vcpu);						\
	EXPECT_DEBUG(vcpu, vector, pc, dr6);			\
} while (0)

static void expect_event(struct test_vcpu *vcpu, int want, uint64_t at, int line)
{
	struct test_event event;
	int got = vcpu_run_to_event(vcpu, &event);

	if (got != want || event.rip != at) {
		vcpu_dump(vcpu);
		test_die(__FILE__, line, "want event %d at %#lx, got %d at %#lx", want,
			 (long)at, got, (long)event.rip);
	}
}

#define EXPECT_EVENT(vcpu, want, at) expect_event(vcpu, want, at, __LINE__)

#define EXPECT_NO_EVENT(vcpu) do {						\
	struct test_event __event;						\
										\
	TEST_EQ(NO_EVENT, vcpu_run_to_event(vcpu, &__event), "an event too many");	\
} while (0)

TEST(capabilities)
{
	const int all = ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
			KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |
			KVM_GUESTDBG_BLOCKIRQ;
	int fd = test_open_device();

	EXPECT_EQ(1, test_has_cap(fd, KVM_CAP_SET_GUEST_DEBUG));
	EXPECT_EQ(all, test_has_cap(fd, KVM_CAP_SET_GUEST_DEBUG2));
	EXPECT_EQ(1, test_has_cap(fd, KVM_CAP_X86_ROBUST_SINGLESTEP));
}

TEST(bad_address)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);

	EXPECT_EQ(-EFAULT, __set_debug(vcpu, (void *)16));
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* --- Software breakpoints ------------------------------------------------------------------- */

TEST(software_breakpoint)
{
	int mode;

	for (mode = 0; mode < MODE_NUM; mode++) {
		struct test_vcpu *vcpu = vm_with_log(mode, BYTES(0x90, 0xcc, 0x90, 0xf4));
		uint64_t int3 = GUEST_CODE + 1;

		set_debug(vcpu, ENABLE | KVM_GUESTDBG_USE_SW_BP);
		vcpu_run(vcpu);
		SKIP_IF_TCG(vcpu->run->exit_reason == KVM_EXIT_HLT, "INT3 makes no exit");
		EXPECT_DEBUG(vcpu, VECTOR_BP, int3, 0);
		/* Again, as long as it is there. */
		RUN_TO_DEBUG(vcpu, VECTOR_BP, int3, 0);
		/* It is the guest's own. */
		set_debug(vcpu, ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP);
		EXPECT_EVENT(vcpu, VECTOR_BP, int3 + 1);
		if (mode != MODE_LONG_R3)
			EXPECT_NO_EVENT(vcpu);
		vm_destroy(vcpu->vm);
	}
}

/* CS.base is part of the address that is reported. */
TEST(software_breakpoint_real_mode_base)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_REAL, BYTES(0xcc, 0xf4));
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cs.base = 0x800;
	sregs.cs.selector = 0x80;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_get_regs(vcpu, &regs);
	regs.rip = GUEST_CODE - 0x800;
	vcpu_set_regs(vcpu, &regs);
	set_debug(vcpu, ENABLE | KVM_GUESTDBG_USE_SW_BP);
	vcpu_run(vcpu);
	SKIP_IF_TCG(vcpu->run->exit_reason == KVM_EXIT_HLT, "INT3 makes no exit");
	vcpu_expect(vcpu, KVM_EXIT_DEBUG);
	EXPECT_EQ(GUEST_CODE, vcpu->run->debug.arch.pc);
	EXPECT_EQ(GUEST_CODE - 0x800, vcpu_rip(vcpu));
	vm_destroy(vcpu->vm);
}

/* Without the flag, and without the enabling one, it is the guest's. */
TEST(software_breakpoint_not_wanted)
{
	static const uint32_t controls[] = {
		0, ENABLE, KVM_GUESTDBG_USE_SW_BP, ENABLE | KVM_GUESTDBG_USE_HW_BP,
	};
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0xcc, 0xf4));
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(controls); i++) {
		vcpu_set_log_mode(vcpu, MODE_LONG);
		set_debug(vcpu, controls[i]);
		EXPECT_EVENT(vcpu, VECTOR_BP, GUEST_CODE + 1);
		EXPECT_NO_EVENT(vcpu);
	}
	vm_destroy(vcpu->vm);
}

/* INT 3 in two bytes is an interrupt like any other. */
TEST(int_3_in_two_bytes)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0xcd, 0x03, 0xf4));

	set_debug(vcpu, ENABLE | KVM_GUESTDBG_USE_SW_BP);
	EXPECT_EVENT(vcpu, VECTOR_BP, GUEST_CODE + 2);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

TEST(inject_db)
{
	struct kvm_guest_debug dbg = { .control = ENABLE | KVM_GUESTDBG_INJECT_DB };
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);

	EXPECT_EQ(0, __set_debug(vcpu, &dbg));
	/* One waits already. */
	EXPECT_EQ(-EBUSY, __set_debug(vcpu, &dbg));
	dbg.control = ENABLE | KVM_GUESTDBG_INJECT_BP;
	EXPECT_EQ(-EBUSY, __set_debug(vcpu, &dbg));
	EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE);
	EXPECT_NO_EVENT(vcpu);
	/* And without a debugger. */
	vcpu_set_log_mode(vcpu, MODE_LONG);
	dbg.control = KVM_GUESTDBG_INJECT_DB;
	EXPECT_EQ(0, __set_debug(vcpu, &dbg));
	EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* EBUSY has changed nothing. */
TEST(inject_busy_changes_nothing)
{
	struct kvm_guest_debug dbg = { .control = ENABLE | KVM_GUESTDBG_INJECT_DB };
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);

	EXPECT_EQ(0, __set_debug(vcpu, &dbg));
	dbg.control = STEP | KVM_GUESTDBG_INJECT_DB;
	EXPECT_EQ(-EBUSY, __set_debug(vcpu, &dbg));
	EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* --- Hardware breakpoints --------------------------------------------------------------------- */

TEST(execution_breakpoints)
{
	static const int modes[] = { MODE_REAL, MODE_PROT32, MODE_PAE, MODE_LONG, MODE_LONG_R3 };
	unsigned int m;
	int nr;

	for (m = 0; m < ARRAY_LEN(modes); m++) {
		struct test_vcpu *vcpu = vm_with_log(modes[m], BYTES(0x90, 0x90, 0x90, 0x90, 0xf4));

		for (nr = 0; nr < 4; nr++) {
			vcpu_set_log_mode(vcpu, modes[m]);
			set_breakpoint(vcpu, nr, GUEST_CODE + nr, 0);
			RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + nr, 1ull << nr);
			EXPECT_EQ(DR7_FIXED | 2ull << nr * 2, vcpu->run->debug.arch.dr7);
		}
		set_debug(vcpu, 0);
		if (modes[m] != MODE_LONG_R3)
			EXPECT_NO_EVENT(vcpu);
		vm_destroy(vcpu->vm);
	}
}

/* All four at once, one after the other. */
TEST(four_breakpoints)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x90, 0x90, 0x90, 0x90, 0xf4));
	struct kvm_guest_debug dbg = { .control = ENABLE | KVM_GUESTDBG_USE_HW_BP };
	int nr;

	for (nr = 0; nr < 4; nr++)
		dbg.arch.debugreg[nr] = GUEST_CODE + 3 - nr;
	dbg.arch.debugreg[7] = DR7_FIXED | 0xaa;
	for (nr = 3; nr >= 0; nr--) {
		EXPECT_EQ(0, __set_debug(vcpu, &dbg));
		RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 3 - nr, 1ull << nr);
		EXPECT_EQ(dbg.arch.debugreg[7], vcpu->run->debug.arch.dr7);
		dbg.arch.debugreg[7] &= ~(3ull << nr * 2);
	}
	EXPECT_EQ(0, __set_debug(vcpu, &dbg));
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* Data: type 1 is writes, 3 is reads and writes; lengths 1, 2, 8, 4 bytes. */
TEST(data_breakpoints)
{
	static const uint8_t code[] = {
		0x8a, 0x04, 0x25, 0x13, 0x00, 0x04, 0x00,	/* mov 0x40013, %al */
		0x88, 0x04, 0x25, 0x13, 0x00, 0x04, 0x00,	/* mov %al, 0x40013 */
		0x90, 0xf4,
	};
	static const struct {
		uint64_t addr;
		unsigned int bits;
		bool read, write;
	} rows[] = {
		{ 0x40013, 0x1, false, true },
		{ 0x40013, 0x3, true, true },
		{ 0x40012, 0x1 },		/* one byte before */
		{ 0x40012, 0x5, false, true },
		{ 0x40012, 0x7, true, true },
		{ 0x40010, 0x5 },
		{ 0x40010, 0xd, false, true },
		{ 0x40010, 0xf, true, true },
		{ 0x40014, 0xf },
		{ 0x40010, 0x9, false, true },
		{ 0x40010, 0xb, true, true },
		{ 0x40018, 0xb },
	};
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, (struct guest_code){ code, sizeof(code) });
	unsigned int i;
	int nr;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		for (nr = 0; nr < 4; nr++) {
			vcpu_set_log_mode(vcpu, MODE_LONG);
			set_breakpoint(vcpu, nr, rows[i].addr, rows[i].bits);
			if (rows[i].read)
				RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 7, 1ull << nr);
			if (rows[i].write)
				RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 14, 1ull << nr);
			EXPECT_NO_EVENT(vcpu);
		}
	}
	vm_destroy(vcpu->vm);
}

/* mov %rax, %dr0; mov %rbx, %dr7; mov %dr0, %rcx; mov %dr7, %rdx; mov %dr6, %rsi */
#define MOV_DRS								\
	0x0f, 0x23, 0xc0, 0x0f, 0x23, 0xfb, 0x0f, 0x21, 0xc1,		\
	0x0f, 0x21, 0xfa, 0x0f, 0x21, 0xf6

/* The guest's own registers are what it has written, and do nothing meanwhile. */
TEST(guest_registers)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(MOV_DRS, 0x90, 0x90, 0x90, 0xf4));
	uint64_t nop = GUEST_CODE + 15;
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rax = nop;
	regs.rbx = DR7_FIXED | 2;
	vcpu_set_regs(vcpu, &regs);
	set_breakpoint(vcpu, 2, nop + 1, 0);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, nop + 1, 4);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(nop, regs.rcx);
	EXPECT_EQ(DR7_FIXED | 2, regs.rdx);
	EXPECT_EQ(0, regs.rsi & DR6_CAUSE);
	/* Off: the guest's breakpoint is there, and tells the guest. */
	set_debug(vcpu, 0);
	regs.rip = nop;
	vcpu_set_regs(vcpu, &regs);
	EXPECT_EVENT(vcpu, VECTOR_DB, nop);
	vm_destroy(vcpu->vm);
}

/* What the guest had before, and has again. */
TEST(guest_registers_before)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(MOV_DRS, 0xf4, 0x0f, 0x21, 0xc1,
							      0x0f, 0x21, 0xfa, 0xf4, 0x90, 0xf4));
	uint64_t nop = GUEST_CODE + 23;
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rax = nop;
	regs.rbx = DR7_FIXED | 2;
	vcpu_set_regs(vcpu, &regs);
	EXPECT_NO_EVENT(vcpu);
	set_breakpoint(vcpu, 0, GUEST_CODE + 19, 0);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 19, 1);
	set_breakpoint(vcpu, 1, 0, 0);
	EXPECT_NO_EVENT(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(nop, regs.rcx);
	EXPECT_EQ(DR7_FIXED | 2, regs.rdx);
	set_debug(vcpu, ENABLE);
	EXPECT_EVENT(vcpu, VECTOR_DB, nop);
	vm_destroy(vcpu->vm);
}

/* GD in the debugger's DR7: the guest's MOV DR is told, before it happens. */
TEST(general_detect)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x90, 0x0f, 0x21, 0xc1, 0xf4));
	struct kvm_guest_debug dbg = { .control = ENABLE | KVM_GUESTDBG_USE_HW_BP };
	struct kvm_regs regs;

	dbg.arch.debugreg[7] = DR7_FIXED | DR7_GD;
	EXPECT_EQ(0, __set_debug(vcpu, &dbg));
	vcpu_run(vcpu);
	SKIP_IF_STOCK(vcpu->run->exit_reason == KVM_EXIT_HLT && test_vendor()->amd,
		      "GD is not looked at");
	EXPECT_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 1, DR6_BD);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0, regs.rcx);
	vm_destroy(vcpu->vm);
}

/*
 * Bochs: RFLAGS.TF of a VM entry traps before the guest's first instruction, and
 * a debugger's step gets nowhere.
 */
static bool steps_go_nowhere(void)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	bool nowhere;

	set_debug(vcpu, STEP);
	vcpu_run_expect(vcpu, KVM_EXIT_DEBUG);
	nowhere = vcpu_rip(vcpu) == GUEST_CODE;
	vm_destroy(vcpu->vm);
	return nowhere && !test_vendor()->amd;
}

#define NEEDS_STEPS() do {							\
	if (steps_go_nowhere())							\
		SKIP(_exit(255), "Bochs: RFLAGS.TF of a VM entry traps too early");	\
} while (0)

/* --- Single step ----------------------------------------------------------------------------- */

TEST(step_in_every_mode)
{
	int mode, i;

	NEEDS_STEPS();
	for (mode = 0; mode < MODE_NUM; mode++) {
		struct test_vcpu *vcpu = vm_with_log(mode, BYTES(0x90, 0x90, 0x90, 0x90, 0xf4));

		set_debug(vcpu, STEP);
		for (i = 1; i <= 4; i++) {
			RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + i, DR6_BS);
			EXPECT_EQ(DR7_FIXED, vcpu->run->debug.arch.dr7);
		}
		/* Off: nothing of it is left. */
		set_debug(vcpu, 0);
		if (mode != MODE_LONG_R3)
			EXPECT_NO_EVENT(vcpu);
		vm_destroy(vcpu->vm);
	}
}

/* One instruction, one step, whether it exits or not. */
TEST(step_over_instructions)
{
	static const struct {
		const char *name;
		uint8_t code[8];
		int size;
		uint32_t exit;		/* for a reason of its own, first */
	} rows[] = {
		{ "nop", { 0x90 }, 1 },
		{ "cli", { 0xfa }, 1 },
		{ "sti", { 0xfb }, 1 },
		{ "pushf", { 0x9c }, 1 },
		{ "popf", { 0x9d }, 1 },
		{ "cpuid", { 0x0f, 0xa2 }, 2 },
		{ "rdmsr", { 0x0f, 0x32 }, 2 },
		{ "wbinvd", { 0x0f, 0x09 }, 2 },
		{ "mov %cr0, %rax", { 0x0f, 0x20, 0xc0 }, 3 },
		{ "mov %cr4, %rax", { 0x0f, 0x20, 0xe0 }, 3 },
		{ "mov %dr0, %rax", { 0x0f, 0x21, 0xc0 }, 3 },
		{ "out %al, $0x80", { 0xe6, 0x80 }, 2, KVM_EXIT_IO },
		{ "in $0x80, %al", { 0xe4, 0x80 }, 2, KVM_EXIT_IO },
		{ "outsb", { 0x6e }, 1, KVM_EXIT_IO },
		{ "mov %al, (%rbx)", { 0x88, 0x03 }, 2, KVM_EXIT_MMIO },
		{ "mov (%rbx), %al", { 0x8a, 0x03 }, 2, KVM_EXIT_MMIO },
	};
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	static const uint8_t tail[] = { 0x90, 0x90, 0xf4 };
	unsigned int i;

	NEEDS_STEPS();
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t next = GUEST_CODE + rows[i].size, value = 2;
		struct kvm_regs regs;

		/* Stock KVM forgets the step of an OUTS that userspace completes. */
		if (!test_device_is_minikvm() && !strcmp(rows[i].name, "outsb"))
			continue;

		vcpu_set_log_mode(vcpu, MODE_LONG);
		vm_load_bytes(vcpu->vm, rows[i].code, rows[i].size);
		vm_write(vcpu->vm, GUEST_CODE + rows[i].size, tail, sizeof(tail));
		vm_write(vcpu->vm, GUEST_STACK_TOP - 16, &value, 8);
		vcpu_get_regs(vcpu, &regs);
		regs.rsp = GUEST_STACK_TOP - 16;
		regs.rbx = GUEST_MEM_SIZE + 0x1000;
		regs.rsi = GUEST_DATA;
		regs.rcx = 0x10;		/* IA32_TIME_STAMP_COUNTER */
		regs.rdx = 0x80;
		vcpu_set_regs(vcpu, &regs);
		set_debug(vcpu, STEP);
		vcpu_run(vcpu);
		if (rows[i].exit) {
			vcpu_expect(vcpu, rows[i].exit);
			vcpu_get_regs(vcpu, &regs);
			TEST_EQ(0, regs.rflags & RFLAGS_TF, "%s", rows[i].name);
			vcpu_run(vcpu);
		}
		if (vcpu->run->exit_reason != KVM_EXIT_DEBUG)
			TH_LOG("%s", rows[i].name);
		EXPECT_DEBUG(vcpu, VECTOR_DB, next, DR6_BS);
		/* Stock KVM forgets it where the guest loads its flags. */
		set_debug(vcpu, STEP);
		RUN_TO_DEBUG(vcpu, VECTOR_DB, next + 1, DR6_BS);
		set_debug(vcpu, 0);
		EXPECT_NO_EVENT(vcpu);
		TEST_EQ(next + 3, vcpu_rip(vcpu), "%s", rows[i].name);
	}
	vm_destroy(vcpu->vm);
}

/* The trap after MOV SS comes an instruction later, or not: never two steps without one. */
TEST(step_over_mov_ss)
{
	/* mov %ss, %eax; mov %eax, %ss; nop; nop; nop; hlt */
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x8c, 0xd0, 0x8e, 0xd0, 0x90, 0x90,
							      0x90, 0xf4));

	NEEDS_STEPS();
	set_debug(vcpu, STEP);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 2, DR6_BS);
	vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_DEBUG);
	if (vcpu_rip(vcpu) == GUEST_CODE + 4)
		vcpu_run(vcpu);
	EXPECT_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 5, DR6_BS);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 6, DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* STI while IF was clear: a step behind it, though the shadow lasts. */
TEST(step_over_sti_shadow)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0xfb, 0x90, 0x90, 0xf4));
	int i;

	NEEDS_STEPS();
	set_debug(vcpu, STEP);
	for (i = 1; i <= 3; i++)
		RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + i, DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

TEST(step_over_iret)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x48, 0xcf, 0x90, 0x90, 0xf4));
	uint64_t frame[] = { GUEST_CODE + 2, SEL_CODE64, 2, GUEST_STACK_TOP, SEL_DATA };
	struct kvm_regs regs;

	NEEDS_STEPS();
	vcpu_get_regs(vcpu, &regs);
	regs.rsp -= sizeof(frame);
	vcpu_set_regs(vcpu, &regs);
	vm_write(vcpu->vm, regs.rsp, frame, sizeof(frame));
	set_debug(vcpu, STEP);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 2, DR6_BS);
	set_debug(vcpu, STEP);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 3, DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* minikvm does not forget: what the guest pops from its stack does not last beyond the step. */
TEST(step_after_popf)
{
	struct test_vcpu *vcpu;
	uint64_t flags = 2;
	struct kvm_regs regs;

	NEEDS_STEPS();
	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	vcpu = vm_with_log(MODE_LONG, BYTES(0x9d, 0x90, 0x90, 0xf4));
	vcpu_get_regs(vcpu, &regs);
	regs.rsp -= 8;
	vcpu_set_regs(vcpu, &regs);
	vm_write(vcpu->vm, regs.rsp, &flags, sizeof(flags));
	set_debug(vcpu, STEP);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 1, DR6_BS);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 2, DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* Each iteration is a step. */
TEST(step_over_rep)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0xf3, 0xaa, 0x90, 0xf4));
	struct kvm_regs regs;
	int i;

	NEEDS_STEPS();
	vcpu_get_regs(vcpu, &regs);
	regs.rcx = 4;
	regs.rdi = GUEST_DATA;
	vcpu_set_regs(vcpu, &regs);
	set_debug(vcpu, STEP);
	for (i = 3; i >= 0; i--) {
		vcpu_run(vcpu);
		vcpu_expect(vcpu, KVM_EXIT_DEBUG);
		vcpu_get_regs(vcpu, &regs);
		EXPECT_EQ(i, regs.rcx);
		EXPECT_EQ(DR6_BS, vcpu->run->debug.arch.dr6 & (DR6_BS | DR6_BD));
		if (i)
			EXPECT_EQ(GUEST_CODE, regs.rip);
	}
	if (regs.rip == GUEST_CODE)	/* a last one that finds RCX 0 */
		vcpu_run(vcpu);
	EXPECT_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 2, DR6_BS);
	vm_destroy(vcpu->vm);
}

/* HLT leaves KVM_RUN for a reason of its own; stepping goes on behind it. */
TEST(step_over_hlt)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0xf4, 0x90, 0x90, 0xf4));

	NEEDS_STEPS();
	set_debug(vcpu, STEP);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(GUEST_CODE + 1, vcpu_rip(vcpu));
	vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_DEBUG);
	if (vcpu_rip(vcpu) == GUEST_CODE + 1)
		vcpu_run(vcpu);
	EXPECT_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 2, DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* A fault in the guest is the guest's; its handler does not step. */
TEST(step_into_exception)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x0f, 0x0b, 0xf4));
	struct test_event event;

	NEEDS_STEPS();
	set_debug(vcpu, STEP);
	vcpu_run(vcpu);
	/* KVM may tell the step into the handler. */
	while (vcpu->run->exit_reason == KVM_EXIT_DEBUG)
		vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(VECTOR_UD, vcpu_event(vcpu, 0, &event));
	EXPECT_EQ(GUEST_CODE, event.rip);
	EXPECT_EQ(1, log_count(vcpu->vm));
	vm_destroy(vcpu->vm);
}

/* An NMI is held back for as long as the debugger wishes. */
TEST(step_blockirq_nmi)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);

	NEEDS_STEPS();
	EXPECT_EQ(0, ioctl(vcpu->fd, KVM_NMI, 0));
	set_debug(vcpu, STEP | KVM_GUESTDBG_BLOCKIRQ);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 1, DR6_BS);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 2, DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE + 2);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* An interrupt; stock KVM gives the hardware what it was given. */
TEST(step_blockirq_interrupt)
{
	struct kvm_interrupt irq = { 0x50 };
	struct test_vcpu *vcpu;

	NEEDS_STEPS();
	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	vcpu = vm_with_log(MODE_LONG, NOPS);
	vcpu_set_rflags(vcpu, RFLAGS_IF);
	EXPECT_EQ(0, ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	set_debug(vcpu, STEP | KVM_GUESTDBG_BLOCKIRQ);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 1, DR6_BS);
	set_debug(vcpu, ENABLE);
	EXPECT_EVENT(vcpu, 0x50, GUEST_CODE + 1);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* Without it the handler runs, and stepping goes on later or never; nothing is lost. */
TEST(step_with_interrupt)
{
	struct kvm_interrupt irq = { 0x50 };
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct test_event event;

	NEEDS_STEPS();
	vcpu_set_rflags(vcpu, RFLAGS_IF);
	EXPECT_EQ(0, ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	set_debug(vcpu, STEP);
	vcpu_run(vcpu);
	while (vcpu->run->exit_reason == KVM_EXIT_DEBUG)
		vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(0x50, vcpu_event(vcpu, 0, &event));
	EXPECT_EQ(GUEST_CODE, event.rip);
	vm_destroy(vcpu->vm);
}

/* KVM_SET_REGS while stepping: with the same RIP it goes on; elsewhere after it is asked for again. */
TEST(step_set_regs)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x90, 0x90, 0x90, 0x90, 0x90, 0xf4));
	struct kvm_regs regs;

	NEEDS_STEPS();
	set_debug(vcpu, STEP);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 1, DR6_BS);
	vcpu_get_regs(vcpu, &regs);
	regs.rax = 5;
	vcpu_set_regs(vcpu, &regs);
	set_debug(vcpu, STEP);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 2, DR6_BS);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(5, regs.rax);
	regs.rip = GUEST_CODE + 4;
	vcpu_set_regs(vcpu, &regs);
	set_debug(vcpu, STEP);
	RUN_TO_DEBUG(vcpu, VECTOR_DB, GUEST_CODE + 5, DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* Steps and breakpoints together: both are in DR6. */
TEST(step_and_breakpoint)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_guest_debug dbg = { .control = STEP | KVM_GUESTDBG_USE_HW_BP };

	NEEDS_STEPS();
	dbg.arch.debugreg[1] = GUEST_CODE + 1;
	dbg.arch.debugreg[7] = DR7_FIXED | 2 << 2;
	EXPECT_EQ(0, __set_debug(vcpu, &dbg));
	vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_DEBUG);
	EXPECT_EQ(GUEST_CODE + 1, vcpu_rip(vcpu));
	EXPECT_EQ(DR6_BS, vcpu->run->debug.arch.dr6 & DR6_BS);
	set_debug(vcpu, 0);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* The guest's own #DB without a debugger for it. */
TEST(guest_steps_itself)
{
	/* pushf; orl $0x100, (%rsp); popf; nop; nop; hlt */
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(
		0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x90, 0x90, 0xf4));

	set_debug(vcpu, ENABLE | KVM_GUESTDBG_USE_SW_BP);
	EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE + 10);
	EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE + 11);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
