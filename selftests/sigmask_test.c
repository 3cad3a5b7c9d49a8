// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_SET_SIGNAL_MASK: which signals end KVM_RUN, whatever the thread blocks otherwise.
 */
#include "abi.h"

#include <sys/time.h>

struct mask {
	struct kvm_signal_mask head;
	uint8_t set[8];
};

GUEST(guest_hlt, "1: hlt; jmp 1b");
GUEST(guest_spin, "1: jmp 1b");

static volatile int caught;

static void catch(int sig)
{
	caught++;
}

FIXTURE(mask)
{
	struct machine m;
};

FIXTURE_SETUP(mask)
{
	struct sigaction sa = { .sa_handler = catch };

	MACHINE_INIT(&self->m);
	GUEST_LOAD(&self->m, guest_hlt);
	caught = 0;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
}

FIXTURE_TEARDOWN(mask)
{
	machine_destroy(&self->m);
}

static void block(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(how, &set, NULL);
}

static bool is_blocked(int sig)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, sig);
}

/* All signals of the kernel's 64 but @free are blocked in KVM_RUN. */
static long set_mask(int vcpu, int free)
{
	struct mask mask = { .head.len = sizeof(mask.set) };

	memset(mask.set, 0xff, sizeof(mask.set));
	if (free)
		mask.set[(free - 1) / 8] &= ~(1 << (free - 1) % 8);
	return xioctl(vcpu, KVM_SET_SIGNAL_MASK, &mask);
}

TEST_F(mask, arguments)
{
	static const uint32_t wrong[] = { 0, 1, 4, 7, 9, 16, 128, 0xffffffff };
	struct mask mask = { .head.len = sizeof(mask.set) };
	struct machine *m = &self->m;
	unsigned int i;
	uint8_t *p;

	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, &mask));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, 0));
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		mask.head.len = wrong[i];
		EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, &mask))
			TH_LOG("length %u", wrong[i]);
	}
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, -TEST_PAGE));
	/* The set, then the length, is not there. */
	p = guarded_alloc(12);
	ASSERT_NE(NULL, p);
	((uint32_t *)(p + 4))[0] = 8;
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, p + 4));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, p + 10));
	guarded_free(p, 12);
	EXPECT_EQ(-EINVAL, xioctl(m->dev, KVM_SET_SIGNAL_MASK, &mask));
	EXPECT_EQ(-ENOTTY, xioctl(m->vm, KVM_SET_SIGNAL_MASK, &mask));
}

/* Blocked by the thread, but not in KVM_RUN: it ends the call, and waits. */
TEST_F(mask, ends_the_run)
{
	struct machine *m = &self->m;
	int i;

	block(SIG_BLOCK, SIGUSR1);
	ASSERT_EQ(0, set_mask(m->vcpu, SIGUSR1));
	EXPECT_EQ(0, machine_run(m));
	raise(SIGUSR1);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EINTR, machine_run(m));
		EXPECT_EQ(KVM_EXIT_INTR, m->run->exit_reason);
		EXPECT_EQ(0, caught);
		EXPECT_TRUE(is_blocked(SIGUSR1));
	}
	/* Without a mask the thread's own counts. */
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, 0));
	EXPECT_EQ(0, machine_run(m));
	EXPECT_EQ(KVM_EXIT_HLT, m->run->exit_reason);
	EXPECT_EQ(0, caught);
	block(SIG_UNBLOCK, SIGUSR1);
	EXPECT_EQ(1, caught);
}

/* It comes while the guest runs. */
TEST_F(mask, ends_a_spinning_guest)
{
	struct itimerval timer = { .it_value.tv_usec = 30000 };
	struct machine *m = &self->m;

	GUEST_LOAD(m, guest_spin);
	block(SIG_BLOCK, SIGALRM);
	ASSERT_EQ(0, set_mask(m->vcpu, SIGALRM));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	EXPECT_EQ(-EINTR, machine_run(m));
	EXPECT_EQ(KVM_EXIT_INTR, m->run->exit_reason);
	EXPECT_EQ(0, caught);
	EXPECT_TRUE(is_blocked(SIGALRM));
	block(SIG_UNBLOCK, SIGALRM);
	EXPECT_EQ(1, caught);
}

/* The mask blocks what the thread does not: the signal is taken after the call. */
TEST_F(mask, keeps_a_signal_out)
{
	struct itimerval timer = { .it_value.tv_usec = 30000, .it_interval.tv_usec = 30000 };
	struct itimerval off = { 0 };
	struct machine *m = &self->m;
	int i;

	ASSERT_EQ(0, set_mask(m->vcpu, 0));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	for (i = 0; i < 100000 && !caught; i++)
		ASSERT_EQ(0, machine_run(m));
	EXPECT_FALSE(is_blocked(SIGALRM));
	EXPECT_LT(0, caught);
	setitimer(ITIMER_REAL, &off, NULL);

	/* Errors give the thread its mask back, too. */
	m->run->kvm_valid_regs = 1ull << 63;
	EXPECT_EQ(-EINVAL, machine_run(m));
	EXPECT_FALSE(is_blocked(SIGALRM));
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_RUN, 1));
	EXPECT_FALSE(is_blocked(SIGALRM));
}

/* SIGKILL cannot be blocked: a child that spins with all signals blocked can be killed. */
TEST_F(mask, does_not_block_sigkill)
{
	struct machine m;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (machine_init(&m))
			_exit(1);
		GUEST_LOAD(&m, guest_spin);
		set_mask(m.vcpu, 0);
		machine_run(&m);
		_exit(2);
	}
	sleep_ms(100);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_HARNESS_MAIN
