// SPDX-License-Identifier: GPL-2.0
/*
 * Guests of random bytes, with random registers and events: whatever they do,
 * the vCPU can be had back in bounded time, no entry is refused, no exit is unexpected, and the
 * kernel's log does not fill.
 *
 * CHAOS_SECONDS is how long; without it nothing is done, because some such guests end QEMU (TCG), and
 * one that clears IF and makes no exits takes Bochs for ever. The seed is always the same unless SEED
 * is set.
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
#include "lib/log.h"
#include "lib/rand.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define RFLAGS_IF	(1ull << 9)
#define RUNS		40		/* of one guest at most */
#define SLICE_USEC	5000		/* of one run */
#define LATE_MSEC	2000		/* from the signal to the end of the run */
#define LOG_BYTES	16384		/* that all of this may add to the log */
#define SYSLOG_ACTION_READ_ALL	3

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

static uint64_t now_msec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
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

static void run_guest(struct test_vcpu *vcpu)
{
	struct itimerval slice = { .it_value.tv_usec = SLICE_USEC }, off = {};
	uint64_t start, took;
	int i, ret;

	for (i = 0; i < RUNS; i++) {
		random_ioctl(vcpu);
		setitimer(ITIMER_REAL, &slice, NULL);
		start = now_msec();
		vcpu->run->exit_reason = ~0u;
		ret = __vcpu_run(vcpu) ? -errno : 0;
		took = now_msec() - start;
		setitimer(ITIMER_REAL, &off, NULL);
		errno = 0;
		TEST_CHECK(took < LATE_MSEC, "KVM_RUN took %lu ms", (unsigned long)took);
		if (ret == -EINTR) {
			if (i > 3)	/* endless */
				return;
			continue;
		}
		TEST_EQ(0, ret, "KVM_RUN");
		check_exit(vcpu);
		if (!goes_on(vcpu->run))
			return;
	}
}

static void chaos(enum test_mode mode)
{
	uint64_t end = now_msec() + atoi(getenv("CHAOS_SECONDS")) * 1000 / MODE_NUM;
	struct sigaction action = { .sa_handler = on_alarm };
	int log_before = log_bytes();
	int guests = 0;

	setenv("SEED", "0x600df00d", 0);
	sigaction(SIGALRM, &action, NULL);
	do {
		struct test_vcpu *vcpu = random_guest(mode);

		run_guest(vcpu);
		vm_destroy(vcpu->vm);
		guests++;
	} while (now_msec() < end);
	TEST_CHECK(log_bytes() - log_before < LOG_BYTES, "%d bytes more in the kernel's log",
		   log_bytes() - log_before);
	fprintf(stderr, "# %d guests in %s\n", guests, test_mode_name(mode));
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

TEST_HARNESS_MAIN
