// SPDX-License-Identifier: GPL-2.0
/*
 * Guests of random bytes, with random registers and events: whatever they do,
 * the vCPU can be had back in bounded time, no entry is refused, no exit is unexpected, and the
 * kernel's log does not fill.
 *
 * CHAOS_SECONDS is how long; without it nothing is done, because some such guests end QEMU (TCG), and
 * one that clears IF and makes no exits takes Bochs for ever. The seed is always the same unless SEED
 * is set.
 *
 * random.states does as much as emulators survive, always, and with FUZZ_SECONDS as long as that:
 * guests of HLT alone, with random registers, segments, control registers and page tables. Entries may
 * be refused; in the end the vCPU is as good as new. random.states_faults does it while allocations
 * and copies fail, where the kernel can do that, and so does CHAOS_SECONDS with CHAOS_FAULTS=1. Left
 * out of the states there, because TCG does not survive them:
 *
 *   - EFER.LME without CR4.PAE: the host's CPU hangs after #VMEXIT (abi_vcpu_test, sregs_garbage);
 *   - a task register that holds no TSS, and rings 1 to 3 outside of long mode, virtual-8086 mode
 *     included: an exception there looks for the stack of ring 0, and QEMU ends ("invalid tss");
 *   - breakpoints on data.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/time.h>
#include <time.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/log.h"
#include "lib/rand.h"
#include "lib/thread.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define RFLAGS_IF	(1ull << 9)
#define RUNS		40		/* of one guest at most */
#define SLICE_USEC	5000		/* of one run */
#define LATE_MSEC	2000		/* from the signal to the end of the run */
#define LOG_BYTES	16384		/* that all of this may add to the log */
#define SYSLOG_ACTION_READ_ALL	3

/* This thread's file for faults, where there are to be some; how many there were. */
static int fail_nth = -1;
static unsigned int faults;

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

static int log_bytes(void)
{
	static char buf[1 << 18];

	return klogctl(SYSLOG_ACTION_READ_ALL, buf, sizeof(buf));
}

/* Small numbers, addresses of memory, of none, and anything. */
static uint64_t odd_value(void)
{
	switch (rand_below(4)) {
	case 0:
		return rand_below(256);
	case 1:
		return rand_below(GUEST_MEM_SIZE);
	case 2:
		return GUEST_MEM_SIZE + rand_below(1 << 20);
	default:
		return rand_u64();
	}
}

static struct test_vcpu *random_guest(enum test_mode mode)
{
	struct test_vcpu *vcpu = vm_with_log(mode, (struct guest_code){});
	struct kvm_regs regs;
	int i;

	rand_fill(vm_hva(vcpu->vm, GUEST_CODE, 0x2000), 0x2000);
	rand_fill(vm_hva(vcpu->vm, GUEST_DATA, 0x1000), 0x1000);
	rand_fill(vm_hva(vcpu->vm, GUEST_STACK_TOP - 0x800, 0x800), 0x800);
	vcpu_get_regs(vcpu, &regs);
	for (i = 0; i < 16; i++)
		if (i != 4)
			*regs_gpr(&regs, i) = odd_value();
	regs.rsp = rand_below(8) ? GUEST_STACK_TOP - 0x400 : odd_value();
	regs.rip = GUEST_CODE + rand_below(0x1000);
	/* IF, because Bochs never leaves a guest without it that makes no exits. */
	regs.rflags = 2 | RFLAGS_IF | (rand_u64() & 0xcd5);
	vcpu_set_regs(vcpu, &regs);
	return vcpu;
}

/* What a VMM may do between two runs. */
static void random_ioctl(struct test_vcpu *vcpu)
{
	static const uint8_t exceptions[] = { 0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17 };
	struct kvm_guest_debug dbg = {};
	struct kvm_interrupt irq;
	struct kvm_vcpu_events events;

	switch (rand_below(8)) {
	case 0:
		ioctl(vcpu->fd, KVM_NMI, 0);
		break;
	case 1:
		irq.irq = rand_below(256);
		ioctl(vcpu->fd, KVM_INTERRUPT, &irq);
		break;
	case 2:
		vcpu->run->request_interrupt_window = rand_below(2);
		break;
	case 3:
		dbg.control = rand_u64() & 0x1f0003;
		dbg.arch.debugreg[rand_below(4)] = GUEST_CODE + rand_below(0x1000);
		/* Breakpoints on data can end QEMU: event_test, db_loop. */
		dbg.arch.debugreg[7] = rand_u64() & (test_cpu_is_tcg() ? 0x27ff : 0xffff27ff);
		ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &dbg);
		break;
	case 4:
		if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events))
			break;
		/* CPUs refuse exceptions that do not exist, and wrong error codes. */
		events.exception.injected = rand_below(2);
		events.exception.nr = exceptions[rand_below(sizeof(exceptions))];
		events.exception.has_error_code = 0x27d00 >> events.exception.nr & 1;
		events.exception.error_code = rand_u64();
		events.interrupt.shadow = rand_below(2) * KVM_X86_SHADOW_INT_MOV_SS;
		events.nmi.injected = rand_below(2);
		events.nmi.pending = rand_below(2);
		events.nmi.masked = rand_below(2);
		ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
		break;
	default:
		break;
	}
	errno = 0;
}

/* Did the exit say something that only a fault of the module explains? */
static void check_exit(struct test_vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_FAIL_ENTRY:
		/* TCG refuses what a guest has done to its CR3: cr_test, cr3_refused. */
		if (test_cpu_is_tcg())
			return;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ||
		    run->internal.suberror == KVM_INTERNAL_ERROR_DELIVERY_EV)
			return;
		break;
	case KVM_EXIT_UNKNOWN:
	case KVM_EXIT_EXCEPTION:
		break;
	default:
		return;
	}
	vcpu_dump(vcpu);
	TEST_FAIL("exit %s", test_exit_name(run->exit_reason));
}

/* Is there anything to come after this exit? */
static bool goes_on(const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_FAIL_ENTRY:
	case KVM_EXIT_INTERNAL_ERROR:
		return false;
	default:
		return true;
	}
}

/*
 * KVM_RUN for a slice of time, with a fault in every other one if there are to be some.
 * Return: whether there was an exit; if not, there was a signal, or a fault.
 */
static bool run_slice(struct test_vcpu *vcpu)
{
	struct itimerval slice = { .it_value.tv_usec = SLICE_USEC,
				   .it_interval.tv_usec = SLICE_USEC }, off = {};
	uint64_t start, took;
	bool fired = false;
	int ret;

	vcpu->run->exit_reason = ~0u;
	setitimer(ITIMER_REAL, &slice, NULL);
	start = now_ms();
	if (fail_nth >= 0 && rand_below(2))
		ret = faults_run(fail_nth, 1 + rand_below(4), vcpu->fd, SIGALRM, &fired);
	else
		ret = __vcpu_run(vcpu) ? -errno : 0;
	took = now_ms() - start;
	setitimer(ITIMER_REAL, &off, NULL);
	errno = 0;
	faults += fired;
	TEST_CHECK(took < LATE_MSEC, "KVM_RUN took %lu ms", (unsigned long)took);
	TEST_CHECK(!ret || ret == -EINTR || (fired && (ret == -ENOMEM || ret == -EFAULT)),
		   "KVM_RUN: %d", ret);
	return !ret;
}

static void run_guest(struct test_vcpu *vcpu)
{
	int i;

	for (i = 0; i < RUNS; i++) {
		random_ioctl(vcpu);
		if (!run_slice(vcpu)) {
			if (i > 3)	/* endless */
				return;
			continue;
		}
		check_exit(vcpu);
		if (!goes_on(vcpu->run))
			return;
	}
}

static void chaos(enum test_mode mode)
{
	uint64_t end = now_ms() + atoi(getenv("CHAOS_SECONDS")) * 1000 / MODE_NUM;
	struct sigaction action = { .sa_handler = on_alarm };
	int log_before = log_bytes();
	int guests = 0;

	setenv("SEED", "0x600df00d", 0);
	sigaction(SIGALRM, &action, NULL);
	if (getenv("CHAOS_FAULTS")) {
		TEST_CHECK(faults_init(), "this kernel has no fault injection");
		fail_nth = faults_open();
	}
	do {
		struct test_vcpu *vcpu = random_guest(mode);

		run_guest(vcpu);
		vm_destroy(vcpu->vm);
		guests++;
	} while (now_ms() < end);
	TEST_CHECK(log_bytes() - log_before < LOG_BYTES, "%d bytes more in the kernel's log",
		   log_bytes() - log_before);
	fprintf(stderr, "# %d guests in %s, %u faults\n", guests, test_mode_name(mode), faults);
}

#define CHAOS(name, mode)							\
TEST(name)									\
{										\
	if (!test_device_is_minikvm())						\
		SKIP(return, "minikvm only");					\
	if (!getenv("CHAOS_SECONDS"))						\
		SKIP(return, "CHAOS_SECONDS is not set");			\
	chaos(mode);								\
}

CHAOS(real_mode, MODE_REAL)
CHAOS(protected_mode_16, MODE_PROT16)
CHAOS(protected_mode, MODE_PROT32)
CHAOS(paging_32, MODE_PAGING32)
CHAOS(pae, MODE_PAE)
CHAOS(long_mode, MODE_LONG)
CHAOS(compatibility_mode, MODE_COMPAT)
CHAOS(ring3, MODE_LONG_R3)

/* --- Random states ----------------------------------------------------------------------------- */

#define EFER_LME	(1ull << 8)
#define CR4_PAE		(1ull << 5)
#define CR0_PG		(1ull << 31)
#define RFLAGS_VM	(1ull << 17)

static void flip(uint64_t *value, unsigned int bits)
{
	*value ^= 1ull << rand_below(bits);
}

static void random_segment(struct kvm_segment *seg)
{
	switch (rand_below(4)) {
	case 0:
		seg->type = rand_below(16);
		seg->dpl = rand_below(4);
		break;
	case 1:
		seg->base = rand_below(2) ? rand_u64() : rand_below(GUEST_MEM_SIZE);
		break;
	case 2:
		seg->limit = rand_u64();
		seg->g = rand_below(2);
		break;
	default:
		seg->db = rand_below(2);
		seg->l = rand_below(2);
		seg->s = rand_below(8) != 0;
		seg->present = rand_below(8) != 0;
		seg->selector = rand_u64();
	}
}

/* A few changes to what the mode has set up. */
static void random_sregs(struct kvm_sregs *s)
{
	struct kvm_segment *segs[] = { &s->cs, &s->ds, &s->es, &s->fs, &s->gs, &s->ss, &s->tr, &s->ldt };
	/* What has a meaning; other bits are refused, mostly. */
	static const uint8_t cr0_bits[] = { 0, 1, 2, 3, 5, 16, 18, 29, 30, 31, 31 };
	static const uint8_t efer_bits[] = { 0, 8, 10, 11, 12 };
	int n;

	for (n = 1 + rand_below(5); n; n--) {
		switch (rand_below(9)) {
		case 0:
			s->cr0 ^= 1ull << cr0_bits[rand_below(sizeof(cr0_bits))];
			break;
		case 1:
			s->cr4 ^= 1ull << rand_below(23);
			break;
		case 2:
			s->efer ^= 1ull << efer_bits[rand_below(sizeof(efer_bits))];
			break;
		case 3:
			s->cr3 = rand_below(4) ? rand_below(GUEST_MEM_SIZE) & -8ull : rand_u64();
			break;
		case 4:
			s->gdt.base = odd_value();
			s->gdt.limit = rand_u64();
			break;
		case 5:
			s->idt.base = rand_below(2) ? GUEST_IDT : odd_value();
			s->idt.limit = rand_u64();
			break;
		default:
			random_segment(segs[rand_below(sizeof(segs) / sizeof(segs[0]))]);
		}
	}
}

/* Bits of entries that translate the guest's code and stack, and of others. */
static void random_tables(struct test_vm *vm)
{
	uint64_t *tables = vm_hva(vm, GUEST_PML4, GUEST_DATA - GUEST_PML4);
	unsigned int words = (GUEST_DATA - GUEST_PML4) / 8;
	int n;

	for (n = rand_below(12); n; n--)
		/* The first entries of a page are those in use. */
		flip(&tables[rand_below(2) ? rand_below(words) : rand_below(words / 512) * 512 +
			     rand_below(32)], rand_below(4) ? 13 : 64);
}

/* Everything but tables and handlers halts. */
static void fill_with_hlt(struct test_vm *vm)
{
	memset(vm_hva(vm, GUEST_CODE, GUEST_STACK_TOP - GUEST_CODE), 0xf4, GUEST_STACK_TOP - GUEST_CODE);
	memset(vm_hva(vm, GUEST_DATA, 0x20000), 0xf4, 0x20000);
}

/* See the comment at the top. */
static bool tcg_survives(const struct kvm_sregs *s)
{
	bool long_mode = s->efer & EFER_LME && s->cr0 & CR0_PG;

	if (s->efer & EFER_LME && !(s->cr4 & CR4_PAE))
		return false;
	return s->tr.present && !s->tr.s && s->tr.type == 11 && (long_mode || !s->ss.dpl);
}

/* Return: whether KVM_SET_SREGS takes the state, so that there is something to run. */
static bool random_state(struct test_vcpu *vcpu, enum test_mode mode)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {};
	int i;

	vcpu_set_log_mode(vcpu, mode);
	fill_with_hlt(vcpu->vm);
	random_tables(vcpu->vm);
	vcpu_get_sregs(vcpu, &sregs);
	random_sregs(&sregs);
	if (test_cpu_is_tcg() && !tcg_survives(&sregs))
		return false;
	if (__vcpu_set_sregs(vcpu, &sregs)) {
		errno = 0;
		return false;
	}
	for (i = 0; i < 16; i++)
		*regs_gpr(&regs, i) = odd_value();
	regs.rip = rand_below(8) ? GUEST_CODE + rand_below(0x1000) : odd_value();
	/* IF: see random_guest(). */
	regs.rflags = 2 | RFLAGS_IF | (rand_u64() & (rand_below(4) ? 0xcd5 : 0x3f7cd5));
	if (test_cpu_is_tcg())
		regs.rflags &= ~RFLAGS_VM;
	vcpu_set_regs(vcpu, &regs);
	return true;
}

/* A run that may not enter the guest at all. */
static void run_state(struct test_vcpu *vcpu)
{
	if (run_slice(vcpu) && vcpu->run->exit_reason != KVM_EXIT_FAIL_ENTRY)
		check_exit(vcpu);
}

/* The vCPU can be had back: it runs a guest that is in order. */
static void check_usable(struct test_vcpu *vcpu, enum test_mode mode)
{
	static const struct kvm_vcpu_events nothing;
	struct kvm_regs regs;

	TEST_CHECK(!ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &nothing), "KVM_SET_VCPU_EVENTS");
	vcpu_set_log_mode(vcpu, mode);
	fill_with_hlt(vcpu->vm);
	vcpu_run_to_hlt(vcpu);
	/* HLT is not allowed in ring 3: it was a handler's. */
	if (mode == MODE_LONG_R3)
		return;
	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(GUEST_CODE + 1, regs.rip, "RIP of the first HLT");
}

/* Return: whether to go on. */
static bool more_states(int done, int enough, uint64_t started)
{
	const char *seconds = getenv("FUZZ_SECONDS");

	if (seconds && *seconds)
		return now_ms() - started < strtoul(seconds, NULL, 10) * 1000;
	return done < enough;
}

/* Return: how many. */
static int run_states(struct __test_metadata *_metadata, int enough, int states_per_vm)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int log_before = log_bytes(), entered = 0, left_out = 0, i, k;
	uint64_t started = now_ms();

	setenv("SEED", "0x600df00d", 0);
	sigaction(SIGALRM, &action, NULL);
	for (i = 0; more_states(i, enough, started); i += states_per_vm) {
		enum test_mode mode = rand_below(MODE_NUM);
		struct test_vcpu *vcpu = vm_with_log(mode, (struct guest_code){});

		for (k = 0; k < states_per_vm; k++) {
			mode = rand_below(MODE_NUM);
			if (!random_state(vcpu, mode)) {
				left_out++;
				continue;
			}
			run_state(vcpu);
			run_state(vcpu);
			/* Not what run_slice() has put there: a fault may have come before the entry. */
			if (vcpu->run->exit_reason != KVM_EXIT_FAIL_ENTRY && vcpu->run->exit_reason != ~0u)
				entered++;
			check_usable(vcpu, mode);
		}
		vm_destroy(vcpu->vm);
	}
	/* The kernel lets through so much in a time, and this one may be slow. */
	TEST_CHECK(log_bytes() - log_before < LOG_BYTES * (1 + (now_ms() - started) / 10000),
		   "%d bytes more in the kernel's log",
		   log_bytes() - log_before);
	TH_LOG("%d states, %d left out or refused, %d entered, %u faults", i, left_out, entered, faults);
	EXPECT_LT(i / 8, entered);
	return i;
}

/* Of nothing: only tests with one can take longer than half a minute. */
FIXTURE(random) {};

FIXTURE_SETUP(random)
{
}

FIXTURE_TEARDOWN(random)
{
}

#define AS_LONG_AS_FUZZ_SECONDS	(24 * 3600)

TEST_F_TIMEOUT(random, states, AS_LONG_AS_FUZZ_SECONDS)
{
	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	/* Bochs is slow. */
	run_states(_metadata, test_cpu_is_tcg() ? 1600 : 80, 40);
}

TEST_F_TIMEOUT(random, states_faults, AS_LONG_AS_FUZZ_SECONDS)
{
	bool tcg = test_cpu_is_tcg();
	int n;

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	if (!faults_init())
		SKIP(return, "this kernel has no fault injection");
	fail_nth = faults_open();
	/* Few to a VM, as page tables are allocated at the first run; and VMs take time on such a kernel. */
	n = run_states(_metadata, tcg ? 400 : 80, 4);
	EXPECT_LE(n / (tcg ? 10 : 40), faults);
}

TEST_HARNESS_MAIN
