// SPDX-License-Identifier: GPL-2.0
/*
 * Hypercalls: the number is in RAX, arguments in RBX, RCX, RDX and RSI, the
 * answer in RAX. And what every exit owes the guest: its other registers.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <linux/kvm_para.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vendor.h"
#include "lib/vm.h"

GUEST_DECLARE(guest_endless);
GUEST_DECLARE(guest_one_call);
GUEST_DECLARE(guest_call_ring3);
GUEST_DECLARE(guest_calls32);
GUEST_DECLARE(guest_store_regs);

/* Numbers that nobody has taken. */
static uint64_t some_number(void)
{
	return rand_between(1000, 0x7fffffff);
}

/* A guest in which every VMCALL is the instruction that this CPU has for it. */
static struct test_vcpu *vm_with_caller(enum test_mode mode,
					struct guest_code code)
{
	struct test_vcpu *vcpu = vm_with_guest(mode, code);
	static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };
	uint8_t *p = vm_hva(vcpu->vm, GUEST_CODE, code.size), *end = p + code.size;

	for (; (p = memmem(p, end - p, vmcall, sizeof(vmcall))); p += 3)
		memcpy(p, test_vendor()->hypercall, sizeof(vmcall));
	return vcpu;
}

TEST(unknown_number)
{
	struct test_vcpu *vcpu = vm_with_caller(MODE_LONG,
						GUEST_OF(guest_one_call));
	struct kvm_regs regs, after;
	int i;

	for (i = 0; i < 16; i++) {
		vcpu_get_regs(vcpu, &regs);
		rand_fill(&regs, offsetof(struct kvm_regs, rip));
		regs.rax = some_number();
		regs.rip = GUEST_CODE;
		vcpu_set_regs(vcpu, &regs);
		vcpu_run_to_hlt(vcpu);
		vcpu_get_regs(vcpu, &after);
		TEST_EQ(-KVM_ENOSYS, after.rax, "answer");
		/* A call has three bytes, HLT one. */
		TEST_EQ(GUEST_CODE + 4, after.rip, "RIP");
		regs.rax = after.rax;
		regs.rip = after.rip;
		EXPECT_EQ(0, memcmp(&regs, &after, sizeof(regs)));
	}
	if (stats_available())
		EXPECT_EQ(16, stats_exit_count(vcpu, STATS_HYPERCALL));
	vm_destroy(vcpu->vm);
}

/* Ring 3 may not ask, whatever the number. */
TEST(ring3)
{
	struct test_vcpu *vcpu = vm_with_caller(MODE_LONG_R3,
						GUEST_OF(guest_call_ring3));
	struct guest_exception exc;
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rax = some_number();
	regs.rbx = regs.rcx = regs.rdx = regs.rsi = 0x55;
	vcpu_set_regs(vcpu, &regs);
	exc = vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
	EXPECT_EQ(GUEST_CODE + 3, exc.rip);
	EXPECT_EQ(SEL_CODE64_R3, exc.cs);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(-(uint64_t)EPERM, regs.rax);
	EXPECT_EQ(0x55, regs.rbx);
	EXPECT_EQ(0x55, regs.rsi);
	vm_destroy(vcpu->vm);
}

static void no_action(int sig)
{
}

/*
 * An endless guest ends by a signal, between two instructions of it. With IF
 * clear as well: Bochs lets no interrupt end such a guest by itself, so that
 * the module has to look for them between its exits.
 */
static void run_until_signal(struct __test_metadata *_metadata, uint64_t rflags)
{
	struct sigaction action = { .sa_handler = no_action };
	/* More than once: the first may come before the guest has begun. */
	struct itimerval timer = { { .tv_usec = 30000 }, { .tv_usec = 30000 } };
	struct itimerval off = {};
	struct test_vcpu *vcpu = vm_with_caller(MODE_LONG,
						GUEST_OF(guest_endless));
	const uint64_t number = some_number();
	struct kvm_regs regs;
	int ret, i;

	vcpu_get_regs(vcpu, &regs);
	regs.rax = number;
	regs.rdi = 2;
	regs.rsi = 3;
	regs.rdx = 3;
	regs.rcx = 3;
	regs.rflags = rflags;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(0, sigaction(SIGVTALRM, &action, NULL));
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	for (i = 0; i < 3; i++) {
		ret = __vcpu_run(vcpu);
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EINTR, errno);
		EXPECT_EQ(KVM_EXIT_INTR, vcpu->run->exit_reason);
	}
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &off, NULL));

	vcpu_get_regs(vcpu, &regs);
	switch (regs.rip - GUEST_CODE) {
	case 0:		/* the call is next (or nothing has happened yet), */
	case 7:		/* or JMP, */
		EXPECT_TRUE(regs.rax == -KVM_ENOSYS + 1 || regs.rax == number);
		break;
	case 3:		/* or ADD */
		EXPECT_EQ(-KVM_ENOSYS, regs.rax);
		break;
	default:
		EXPECT_EQ(GUEST_CODE, regs.rip);
	}
	EXPECT_EQ(2, regs.rdi);
	EXPECT_EQ(3, regs.rsi);
	EXPECT_EQ(3, regs.rdx);
	EXPECT_EQ(3, regs.rcx);
	if (stats_available())
		EXPECT_LT(10, stats_exit_count(vcpu, STATS_HYPERCALL));
	vm_destroy(vcpu->vm);
}

TEST(endless_until_signal)
{
	run_until_signal(_metadata, 0x202);
}

TEST(endless_until_signal_no_if)
{
	run_until_signal(_metadata, 2);
}

/* The tracepoint has the next call: these numbers, these arguments. */
static void expect_traced(struct test_trace *trace, uint64_t nr,
			  const uint64_t args[4])
{
	static const char *const keys[4] = { "a0", "a1", "a2", "a3" };
	char line[512];
	uint64_t value;
	int i;

	TEST_CHECK(trace_next(trace, line, sizeof(line)),
		   "no event for call %#lx", nr);
	TEST_CHECK(trace_value(line, "nr", &value), "no nr in: %s", line);
	TEST_EQ(nr, value, "%s", line);
	for (i = 0; i < 4; i++) {
		TEST_CHECK(trace_value(line, keys[i], &value), "no %s in: %s",
			   keys[i], line);
		TEST_EQ(args[i], value, "%s of: %s", keys[i], line);
	}
}

TEST(traced)
{
	struct test_vcpu *vcpu = vm_with_caller(MODE_LONG,
						GUEST_OF(guest_one_call));
	struct test_trace *trace = trace_open();
	uint64_t nr[20], args[20][4];
	struct kvm_regs regs;
	char line[512];
	int i;

	trace_enable(trace, trace_event("hypercall"), true);
	vcpu_get_regs(vcpu, &regs);
	for (i = 0; i < 20; i++) {
		rand_fill(args[i], sizeof(args[i]));
		regs.rax = nr[i] = some_number();
		regs.rbx = args[i][0];
		regs.rcx = args[i][1];
		regs.rdx = args[i][2];
		regs.rsi = args[i][3];
		regs.rip = GUEST_CODE;
		vcpu_set_regs(vcpu, &regs);
		vcpu_run_to_hlt(vcpu);
	}
	trace_enable(trace, trace_event("hypercall"), false);
	for (i = 0; i < 20; i++)
		expect_traced(trace, nr[i], args[i]);
	EXPECT_FALSE(trace_next(trace, line, sizeof(line)));
	trace_close(trace);
	vm_destroy(vcpu->vm);
}

/* Outside 64-bit mode only the low halves of the registers count. */
TEST(traced_32bit)
{
	struct test_vcpu *vcpu = vm_with_caller(MODE_PROT32,
						GUEST_OF(guest_calls32));
	static const uint64_t args[4] = { 0x80000001, 2, 3, 0xffffffff };
	struct test_trace *trace = trace_open();
	struct kvm_regs regs;

	trace_enable(trace, trace_event("hypercall"), true);
	vcpu_run_to_hlt(vcpu);
	trace_enable(trace, trace_event("hypercall"), false);
	expect_traced(trace, 0x12345, args);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ((uint32_t)-KVM_ENOSYS, (uint32_t)regs.rax);
	trace_close(trace);
	vm_destroy(vcpu->vm);
}

/*
 * Fifteen general registers and RSP with random patterns across exits of
 * several kinds, as the guest sees them and as KVM_GET_REGS does.
 */
static void check_pattern(int kind)
{
	const uint8_t call = test_vendor()->hypercall[2];
	const uint8_t insns[][4] = {
		{ 0xe6, 0x80, 0x90, 0x90 },	/* out %al, $0x80 */
		{ 0xe7, 0x80, 0x90, 0x90 },	/* out %eax, $0x80 */
		{ 0x0f, 0x01, call, 0x90 },
		{ 0xf4, 0x90, 0x90, 0x90 },	/* hlt */
	};
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_store_regs));
	uint64_t stored[16];
	struct kvm_regs want, regs;
	int round, i;

	vm_write(vcpu->vm, GUEST_CODE, insns[kind], 4);
	for (round = 0; round < 12; round++) {
		rand_fill(&want, sizeof(want));
		want.rip = GUEST_CODE;
		want.rflags = 2;
		if (kind == 2)
			want.rax = some_number();
		vcpu_set_regs(vcpu, &want);
		vcpu_run(vcpu);
		if (kind < 2)
			vcpu_expect(vcpu, KVM_EXIT_IO);
		if (kind != 2) {
			/* The exit itself changed nothing. */
			vcpu_get_regs(vcpu, &regs);
			for (i = RAX; i <= R15; i++)
				TEST_EQ(*regs_gpr(&want, i),
					*regs_gpr(&regs, i),
					"kind %d, register %d at the exit",
					kind, i);
			vcpu_run(vcpu);
		} else {
			want.rax = -KVM_ENOSYS;
		}
		vcpu_expect(vcpu, KVM_EXIT_HLT);
		vm_read(vcpu->vm, GUEST_DATA, stored, sizeof(stored));
		for (i = RAX; i <= R15; i++)
			TEST_EQ(*regs_gpr(&want, i), stored[i],
				"kind %d, register %d in the guest", kind, i);
	}
	vm_destroy(vcpu->vm);
}

TEST(registers_survive_out)
{
	check_pattern(0);
	check_pattern(1);
}

TEST(registers_survive_hypercall)
{
	check_pattern(2);
}

TEST(registers_survive_hlt)
{
	check_pattern(3);
}

/* --- The two vendors' instructions ------------------------------------------- */

#define CALL_SIZE	3

/* One of the two, at GUEST_CODE and with HLT behind it; RAX has the number. */
static struct test_vcpu *start_call(enum test_mode mode, const uint8_t *call)
{
	struct test_vcpu *vcpu = vm_with_guest(mode, (struct guest_code){
					       call, CALL_SIZE });
	static const uint8_t hlt = 0xf4;
	struct kvm_regs regs;

	vm_write(vcpu->vm, GUEST_CODE + CALL_SIZE, &hlt, 1);
	vcpu_get_regs(vcpu, &regs);
	regs.rax = some_number();
	vcpu_set_regs(vcpu, &regs);
	return vcpu;
}

/* The call was made, and what is in memory now is @call. */
static void expect_called(struct test_vcpu *vcpu, const uint8_t *call)
{
	struct kvm_regs regs;

	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(0, vm_exception(vcpu->vm)->count, "exceptions");
	TEST_EQ((uint32_t)-KVM_ENOSYS, (uint32_t)regs.rax, "answer");
	TEST_EQ(GUEST_CODE + CALL_SIZE + 1, regs.rip, "RIP");
	TEST_CHECK(!memcmp(vm_hva(vcpu->vm, GUEST_CODE, CALL_SIZE), call,
			   CALL_SIZE), "the instruction in memory");
}

/* #UD, and nothing was written over the instruction. */
static void expect_not_called(struct test_vcpu *vcpu, const uint8_t *call)
{
	struct guest_exception exc;

	exc = vcpu_run_to_exception(vcpu, VECTOR_UD, EXC_NO_ERROR);
	TEST_EQ(GUEST_CODE, exc.rip, "RIP");
	TEST_CHECK(!memcmp(vm_hva(vcpu->vm, GUEST_CODE, CALL_SIZE), call,
			   CALL_SIZE), "the instruction in memory");
}

TEST(own_instruction)
{
	const struct vendor *v = test_vendor();
	int mode;

	for (mode = 0; mode < MODE_NUM; mode++) {
		struct test_vcpu *vcpu;

		if (mode == MODE_LONG_R3)
			continue;
		vcpu = start_call(mode, v->hypercall);
		expect_called(vcpu, v->hypercall);
		vm_destroy(vcpu->vm);
	}
}

/* The other vendor's is replaced, the first time that it is executed. */
TEST(foreign_instruction)
{
	const struct vendor *v = test_vendor();
	int mode, i;

	for (mode = MODE_PROT16; mode < MODE_NUM; mode++) {
		struct test_vcpu *vcpu;

		if (mode == MODE_LONG_R3)
			continue;
		vcpu = start_call(mode, v->foreign_hypercall);
		for (i = 0; i < 3; i++) {
			struct kvm_regs regs;

			expect_called(vcpu, v->hypercall);
			vcpu_get_regs(vcpu, &regs);
			regs.rax = some_number();
			regs.rip = GUEST_CODE;
			vcpu_set_regs(vcpu, &regs);
		}
		vm_destroy(vcpu->vm);
	}
}

TEST(foreign_instruction_real_mode)
{
	const struct vendor *v = test_vendor();
	struct test_vcpu *vcpu = start_call(MODE_REAL, v->foreign_hypercall);

	vcpu_run_to_hlt(vcpu);
	SKIP_IF_STOCK(vm_exception(vcpu->vm)->vector == VECTOR_UD,
		      "VMMCALL in real mode is #UD");
	vm_destroy(vcpu->vm);
	vcpu = start_call(MODE_REAL, v->foreign_hypercall);
	expect_called(vcpu, v->hypercall);
	vm_destroy(vcpu->vm);
}

/* Half of it on another page, which is somewhere else in the guest's memory. */
TEST(foreign_instruction_two_pages)
{
	const struct vendor *v = test_vendor();
	const uint64_t page = 0x51000, elsewhere = 0x7a000;
	unsigned int k;

	for (k = 1; k < CALL_SIZE; k++) {
		struct test_vcpu *vcpu = start_call(MODE_LONG,
						    v->foreign_hypercall);
		uint8_t bytes[CALL_SIZE + 1];
		struct kvm_regs regs;

		*vm_pte(vcpu->vm, page) = elsewhere | 7;
		memcpy(bytes, v->foreign_hypercall, CALL_SIZE);
		bytes[CALL_SIZE] = 0xf4;
		vm_write(vcpu->vm, page - k, bytes, k);
		vm_write(vcpu->vm, elsewhere, bytes + k, CALL_SIZE + 1 - k);
		vcpu_get_regs(vcpu, &regs);
		regs.rip = page - k;
		vcpu_set_regs(vcpu, &regs);
		vcpu_run_to_hlt(vcpu);
		vcpu_get_regs(vcpu, &regs);
		TEST_EQ(-KVM_ENOSYS, regs.rax, "answer");
		TEST_EQ(page - k + CALL_SIZE + 1, regs.rip, "RIP");
		TEST_CHECK(!memcmp(vm_hva(vcpu->vm, page - k, k), v->hypercall,
				   k), "first %u bytes", k);
		TEST_CHECK(!memcmp(vm_hva(vcpu->vm, elsewhere, CALL_SIZE - k),
				   v->hypercall + k, CALL_SIZE - k),
			   "the rest of %u bytes", k);
		TEST_EQ(0, *(uint8_t *)vm_hva(vcpu->vm, page, 1),
			"the page that is not mapped");
		vm_destroy(vcpu->vm);
	}
}

/* Where the guest may not write its code it is called all the same. */
TEST(foreign_instruction_read_only)
{
	const struct vendor *v = test_vendor();
	struct test_vcpu *vcpu = start_call(MODE_LONG, v->foreign_hypercall);

	*vm_pte(vcpu->vm, GUEST_CODE) &= ~2ull;
	vcpu_run_to_hlt(vcpu);
	SKIP_IF_STOCK(vm_exception(vcpu->vm)->vector == VECTOR_PF,
		      "#PF where the code is read-only");
	vm_destroy(vcpu->vm);

	vcpu = start_call(MODE_LONG, v->foreign_hypercall);
	*vm_pte(vcpu->vm, GUEST_CODE) &= ~2ull;
	expect_called(vcpu, v->foreign_hypercall);
	vm_destroy(vcpu->vm);
}

/* Prefixes before it: the instruction's last three bytes are the opcode. */
TEST(foreign_instruction_prefixes)
{
	const struct vendor *v = test_vendor();
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){});
	static const uint8_t prefixes[] = { 0x2e, 0x64, 0x48 };
	struct kvm_regs regs = {};
	struct code_buf code = {};
	uint8_t *p;

	code_bytes(&code, prefixes, sizeof(prefixes));
	code_bytes(&code, v->foreign_hypercall, CALL_SIZE);
	code_hlt(&code);
	code_load(&code, vcpu->vm);
	vcpu_get_regs(vcpu, &regs);
	regs.rax = some_number();
	vcpu_set_regs(vcpu, &regs);
	vcpu_run(vcpu);
	p = vm_hva(vcpu->vm, GUEST_CODE, code.size);
	SKIP_IF_STOCK(!memcmp(p, v->hypercall, CALL_SIZE),
		      "writes over the first three bytes, prefix or not");
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(0, vm_exception(vcpu->vm)->count);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(-KVM_ENOSYS, regs.rax);
	EXPECT_EQ(GUEST_CODE + code.size, regs.rip);
	EXPECT_EQ(0, memcmp(p, prefixes, sizeof(prefixes)));
	EXPECT_EQ(0, memcmp(p + 3, v->hypercall, CALL_SIZE));
	vm_destroy(vcpu->vm);
}

/* Ring 3 gets nothing from it: an exception, or the refusal of its own. */
TEST(foreign_instruction_ring3)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG_R3,
					       GUEST_OF(guest_call_ring3));
	struct guest_exception *exc = vm_exception(vcpu->vm);
	struct kvm_regs regs;

	vm_write(vcpu->vm, GUEST_CODE, test_vendor()->foreign_hypercall,
		 CALL_SIZE);
	vcpu_get_regs(vcpu, &regs);
	regs.rax = some_number();
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(1, exc->count);
	EXPECT_EQ(SEL_CODE64_R3, exc->cs);
	if (exc->rip == GUEST_CODE + CALL_SIZE) {
		EXPECT_EQ(VECTOR_UD, exc->vector);
		EXPECT_EQ(-(uint64_t)EPERM, regs.rax);
	} else {
		EXPECT_EQ(GUEST_CODE, exc->rip);
		EXPECT_TRUE(exc->vector == VECTOR_UD ||
			    (exc->vector == VECTOR_GP && !exc->error));
		EXPECT_EQ(0, memcmp(vm_hva(vcpu->vm, GUEST_CODE, CALL_SIZE),
				    test_vendor()->foreign_hypercall,
				    CALL_SIZE));
	}
	vm_destroy(vcpu->vm);
}

/* KVM_ENABLE_CAP on the VM; returns 0, or minus errno. */
static int enable_cap(struct test_vm *vm, uint32_t cap, uint32_t flags,
		      uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .flags = flags, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &c) ? -errno : 0;
}

#define QUIRK	KVM_X86_QUIRK_FIX_HYPERCALL_INSN

TEST(disable_quirks)
{
	const struct vendor *v = test_vendor();
	struct test_vcpu *vcpu;
	struct test_vm *vm;
	int cap;

	vcpu = start_call(MODE_LONG, v->foreign_hypercall);
	vm = vcpu->vm;
	cap = test_has_cap(vm->dev, KVM_CAP_DISABLE_QUIRKS2);
	if (!cap)
		SKIP(return, "no KVM_CAP_DISABLE_QUIRKS2");
	EXPECT_EQ(QUIRK, cap & QUIRK);
	EXPECT_EQ(cap, test_has_cap(vm->fd, KVM_CAP_DISABLE_QUIRKS2));
	EXPECT_EQ(0, enable_cap(vm, KVM_CAP_DISABLE_QUIRKS2, 0, QUIRK));
	expect_not_called(vcpu, v->foreign_hypercall);

	/* Its own instruction is none of the quirk's business. */
	vm_write(vm, GUEST_CODE, v->hypercall, CALL_SIZE);
	vcpu_set_mode(vcpu, MODE_LONG);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, vm_exception(vm)->count);

	/* On again, for the same VM. */
	EXPECT_EQ(0, enable_cap(vm, KVM_CAP_DISABLE_QUIRKS2, 0, 0));
	vm_write(vm, GUEST_CODE, v->foreign_hypercall, CALL_SIZE);
	vcpu_set_mode(vcpu, MODE_LONG);
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, vm_exception(vm)->count);
	EXPECT_EQ(0, memcmp(vm_hva(vm, GUEST_CODE, CALL_SIZE), v->hypercall,
			    CALL_SIZE));
	vm_destroy(vm);

	/* Other VMs have theirs. */
	vcpu = start_call(MODE_LONG, v->foreign_hypercall);
	expect_called(vcpu, v->hypercall);
	vm_destroy(vcpu->vm);
}

/* What KVM_ENABLE_CAP refuses changes nothing. */
TEST(disable_quirks_refused)
{
	const struct vendor *v = test_vendor();
	struct test_vcpu *vcpu = start_call(MODE_LONG, v->foreign_hypercall);
	struct test_vm *vm = vcpu->vm;
	int cap = test_has_cap(vm->dev, KVM_CAP_DISABLE_QUIRKS2), bit;

	if (!cap)
		SKIP(return, "no KVM_CAP_DISABLE_QUIRKS2");
	for (bit = 0; bit < 64; bit++)
		if (!((uint64_t)cap >> bit & 1))
			EXPECT_EQ(-EINVAL, enable_cap(vm, KVM_CAP_DISABLE_QUIRKS2,
						      0, QUIRK | 1ull << bit));
	EXPECT_EQ(-EINVAL, enable_cap(vm, KVM_CAP_DISABLE_QUIRKS2, 1, QUIRK));
	EXPECT_EQ(-EINVAL, enable_cap(vm, KVM_CAP_DISABLE_QUIRKS2, 1u << 31,
				      QUIRK));
	/* Capabilities that cannot be enabled, or do not exist. */
	EXPECT_EQ(-EINVAL, enable_cap(vm, KVM_CAP_USER_MEMORY, 0, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm, 0x7fffffff, 0, 0));
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_ENABLE_CAP, NULL));
	EXPECT_EQ(EFAULT, errno);
	expect_called(vcpu, v->hypercall);
	vm_destroy(vm);
}

TEST_HARNESS_MAIN
