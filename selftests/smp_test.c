// SPDX-License-Identifier: GPL-2.0
/*
 * vCPUs and threads: threads that move between CPUs, several vCPUs at once,
 * and the ways to get a thread out of KVM_RUN.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/thread.h"
#include "lib/vm.h"

#define PORT	0x80
#define ROUNDS	2000
#define MOVES	40	/* from CPU to CPU, at least */
#define COUNTER	(GUEST_DATA + 0x000)
#define STOP	(GUEST_DATA + 0x040)

/* Bochs lets no interrupt end a guest that has IF clear. */
#define RFLAGS	0x202

GUEST_DECLARE(guest_self_check);
GUEST_DECLARE(guest_shared_count);
GUEST_DECLARE(guest_spin);
GUEST_DECLARE(guest_ping_pong);

static void no_action(int sig)
{
}

/* SIGUSR1 interrupts system calls and does nothing else. */
static void catch_usr1(void)
{
	struct sigaction action = { .sa_handler = no_action };

	TEST_CHECK(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
}

/* A vCPU that checks itself, and its thread: up to @exits, and until @stop. */
struct checker {
	struct test_vcpu *vcpu;
	int exits;
	volatile bool stop, done;
};

static void start_checker(struct test_vcpu *vcpu, int slot)
{
	uint64_t own = GUEST_DATA + 0x1000 + slot * 0x100;
	struct kvm_regs regs;

	vcpu_set_mode(vcpu, MODE_LONG);
	rand_fill(vm_hva(vcpu->vm, own, 0x38), 0x38);
	*(uint64_t *)vm_hva(vcpu->vm, own + 0x80, 8) = 0;
	vcpu_get_regs(vcpu, &regs);
	regs.rsi = own;
	regs.rdi = own + 0x80;
	regs.rsp = GUEST_STACK_TOP - slot * 0x400;
	regs.rflags = RFLAGS;
	vcpu_set_regs(vcpu, &regs);
}

static void *checker_thread(void *arg)
{
	struct checker *c = arg;
	struct kvm_regs regs;
	int i;

	for (i = 0; i < c->exits || !c->stop; i++) {
		vcpu_run(c->vcpu);
		if (c->vcpu->run->exit_reason == KVM_EXIT_HLT) {
			vcpu_dump(c->vcpu);
			TEST_FAIL("the guest found itself changed after %d exits",
				  i);
		}
		vcpu_expect(c->vcpu, KVM_EXIT_IO);
	}
	vcpu_get_regs(c->vcpu, &regs);
	TEST_EQ((uint64_t)i * ROUNDS, regs.rbp, "rounds");
	TEST_EQ(regs.rbp, *(uint64_t *)vm_hva(c->vcpu->vm, regs.rdi, 8),
		"the counter in memory");
	c->done = true;
	return NULL;
}

/* One thread, pushed from CPU to CPU in the middle of guest code. */
TEST(migration)
{
	struct checker c = { .exits = 150 };
	pthread_t thread;
	int moves = 0;

	if (test_cpus() < 2)
		SKIP(return, "one CPU only");
	c.vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_self_check));
	start_checker(c.vcpu, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, checker_thread, &c));
	while (!c.done) {
		thread_move(thread, moves++ % 2);
		c.stop = moves >= MOVES;
		sleep_us(1000);
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_LE(MOVES, moves);
	vm_destroy(c.vcpu->vm);
}

/* Two VMs, each with two vCPUs, all of them on the move. */
TEST(migration_of_many)
{
	struct test_vm *vm[2];
	struct checker c[4] = {};
	pthread_t thread[4];
	int i, moves = 0;

	if (test_cpus() < 2)
		SKIP(return, "one CPU only");
	for (i = 0; i < 4; i++) {
		if (i % 2 == 0) {
			vm[i / 2] = vm_create();
			vm_load(vm[i / 2], GUEST_OF(guest_self_check));
		}
		c[i].exits = 40;
		c[i].vcpu = vm_add_vcpu(vm[i / 2], i % 2);
		start_checker(c[i].vcpu, i % 2);
	}
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, checker_thread,
					    &c[i]));
	while (!c[0].done || !c[1].done || !c[2].done || !c[3].done) {
		moves++;
		for (i = 0; i < 4; i++) {
			if (!c[i].done)
				thread_move(thread[i], (moves + i) % 2);
			c[i].stop = moves >= MOVES;
		}
		sleep_us(2000);
	}
	EXPECT_LE(MOVES, moves);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	vm_destroy(vm[0]);
	vm_destroy(vm[1]);
}

static void *hlt_thread(void *arg)
{
	vcpu_run_to_hlt(arg);
	return NULL;
}

/* All vCPUs add to one counter; not one addition is lost. */
TEST(shared_memory)
{
	const int vcpus = 4, count = 20000;
	struct test_vm *vm = vm_create();
	struct test_vcpu *vcpu[4];
	struct kvm_regs regs;
	pthread_t thread[4];
	int i;

	vm_load(vm, GUEST_OF(guest_shared_count));
	for (i = 0; i < vcpus; i++) {
		vcpu[i] = vm_add_vcpu(vm, i);
		vcpu_set_mode(vcpu[i], MODE_LONG);
		vcpu_get_regs(vcpu[i], &regs);
		regs.rcx = count;
		regs.rflags = RFLAGS;
		vcpu_set_regs(vcpu[i], &regs);
	}
	for (i = 0; i < vcpus; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, hlt_thread,
					    vcpu[i]));
	for (i = 0; i < vcpus; i++)
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	EXPECT_EQ(vcpus * count, *(uint64_t *)vm_hva(vm, COUNTER, 8));
	vm_destroy(vm);
}

/* Two vCPUs that wait for each other: both have to get on. */
TEST(ping_pong)
{
	struct test_vm *vm = vm_create();
	struct test_vcpu *vcpu[2];
	struct kvm_regs regs;
	pthread_t thread[2];
	int i, count;

	/* On one CPU each turn costs a slice of the scheduler. */
	count = test_cpus() < 2 ? 10 : 200;
	vm_load(vm, GUEST_OF(guest_ping_pong));
	for (i = 0; i < 2; i++) {
		vcpu[i] = vm_add_vcpu(vm, i);
		vcpu_set_mode(vcpu[i], MODE_LONG);
		vcpu_get_regs(vcpu[i], &regs);
		regs.rdi = GUEST_DATA + i * 0x1000;
		regs.rsi = GUEST_DATA + !i * 0x1000;
		regs.rbx = i;
		regs.rcx = count;
		regs.rflags = RFLAGS;
		vcpu_set_regs(vcpu[i], &regs);
	}
	/* vCPU 1 waits for 1; vCPU 0 finds its 0. */
	for (i = 1; i >= 0; i--)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, hlt_thread,
					    vcpu[i]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	EXPECT_EQ(2 * count, *(uint64_t *)vm_hva(vm, GUEST_DATA, 8));
	vm_destroy(vm);
}

/* A thread that runs a spinning guest until it is told to stop. */
struct spinner {
	struct test_vcpu *vcpu;
	volatile int interrupted;
};

static void *spinner_thread(void *arg)
{
	struct spinner *s = arg;

	for (;;) {
		errno = 0;
		if (__vcpu_run(s->vcpu) == 0)
			break;
		TEST_CHECK(errno == EINTR, "KVM_RUN in a spinning guest");
		TEST_EQ(KVM_EXIT_INTR, s->vcpu->run->exit_reason,
			"exit reason after a signal");
		s->vcpu->run->immediate_exit = 0;
		s->interrupted++;
	}
	vcpu_expect(s->vcpu, KVM_EXIT_HLT);
	return NULL;
}

/* Wait for the guest to have counted on from @from, ten seconds at most. */
static uint64_t wait_for_progress(struct test_vm *vm, uint64_t from)
{
	volatile uint64_t *counter = vm_hva(vm, COUNTER, 8);
	int i;

	for (i = 0; i < 10000; i++) {
		if (*counter != from)
			return *counter;
		sleep_us(1000);
	}
	TEST_FAIL("the guest does not run");
}

/* Signals from another thread end KVM_RUN, each one of them. */
TEST(signals)
{
	struct spinner s = {
		.vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_spin)),
	};
	struct test_vm *vm = s.vcpu->vm;
	struct kvm_regs regs;
	uint64_t counter = 0;
	pthread_t thread;
	int i, k;

	catch_usr1();
	vcpu_get_regs(s.vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(s.vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spinner_thread, &s));
	for (i = 0; i < 15; i++) {
		counter = wait_for_progress(vm, counter);
		s.vcpu->run->immediate_exit = i & 1;
		ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
		for (k = 0; k < 10000 && s.interrupted <= i; k++)
			sleep_us(1000);
		ASSERT_EQ(i + 1, s.interrupted);
	}
	*(uint64_t *)vm_hva(vm, STOP, 8) = 1;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vm_destroy(vm);
}

/* A signal that is blocked, or ignored, does not end it. */
TEST(blocked_signal)
{
	struct spinner s = {
		.vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_spin)),
	};
	struct test_vm *vm = s.vcpu->vm;
	struct kvm_regs regs;
	uint64_t counter = 0;
	pthread_t thread;
	sigset_t set;
	int i;

	catch_usr1();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	vcpu_get_regs(s.vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(s.vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spinner_thread, &s));
	for (i = 0; i < 5; i++) {
		counter = wait_for_progress(vm, counter);
		ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
	}
	counter = wait_for_progress(vm, counter);
	*(uint64_t *)vm_hva(vm, STOP, 8) = 1;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, s.interrupted);
	vm_destroy(vm);
}

/* immediate_exit: out at once, and not one instruction executed. */
TEST(immediate_exit)
{
	static const uint8_t code[] = { 0xff, 0xc0, 0xf4 };	/* inc %eax */
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	struct kvm_regs regs;

	if (test_has_cap(vcpu->vm->dev, KVM_CAP_IMMEDIATE_EXIT) == 0)
		TEST_FAIL("KVM_CAP_IMMEDIATE_EXIT is not there");
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EINTR, errno);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(GUEST_CODE, regs.rip);
	EXPECT_EQ(0, regs.rax);
	vcpu->run->immediate_exit = 0;
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(1, regs.rax);
	vm_destroy(vcpu->vm);
}

/*
 * With an IN or an MMIO read outstanding the instruction is finished first:
 * that is how a VMM gets a state that can be saved.
 */
TEST(immediate_exit_completes_in)
{
	static const uint8_t code[] = { 0xe5, PORT, 0xff, 0xc3, 0xf4 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	uint32_t value = rand_u64();
	struct kvm_regs regs;

	memcpy(vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, PORT, 4, 1), &value, 4);
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EINTR, errno);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(value, regs.rax);
	EXPECT_EQ(GUEST_CODE + 2, regs.rip);
	EXPECT_EQ(0, regs.rbx);
	vcpu->run->immediate_exit = 0;
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(value, regs.rax);
	EXPECT_EQ(1, regs.rbx);
	vm_destroy(vcpu->vm);
}

TEST(immediate_exit_completes_mmio)
{
	static const uint8_t code[] = { 0x48, 0x8b, 0x07, 0xff, 0xc3, 0xf4 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	uint64_t value = rand_u64();
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rdi = 0xd0000000;
	vcpu_set_regs(vcpu, &regs);
	memcpy(vcpu_run_to_mmio(vcpu, false, 0xd0000000, 8), &value, 8);
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EINTR, errno);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(value, regs.rax);
	EXPECT_EQ(GUEST_CODE + 3, regs.rip);
	vcpu->run->immediate_exit = 0;
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/* A vCPU belongs to no thread: each of these runs it up to its next exit. */
static void *one_exit_thread(void *arg)
{
	vcpu_run_expect((struct test_vcpu *)arg, KVM_EXIT_IO);
	return NULL;
}

TEST(handed_from_thread_to_thread)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_self_check));
	int cpus = test_cpus(), i;
	struct kvm_regs regs;
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;

	start_checker(vcpu, 0);
	ASSERT_EQ(0, pthread_attr_init(&attr));
	for (i = 0; i < 20; i++) {
		/* From its start: it may have ended before it could be moved. */
		CPU_ZERO(&set);
		CPU_SET(test_cpu(i % cpus), &set);
		ASSERT_EQ(0, pthread_attr_setaffinity_np(&attr, sizeof(set), &set));
		ASSERT_EQ(0, pthread_create(&thread, &attr, one_exit_thread,
					    vcpu));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		vcpu_get_regs(vcpu, &regs);
		TEST_EQ((i + 1) * ROUNDS, regs.rbp, "rounds");
	}
	vm_destroy(vcpu->vm);
}

/* Kicks a thread out of KVM_RUN until it is told that this is enough. */
struct kicker {
	pthread_t target;
	volatile bool enough;
};

static void *kick_thread(void *arg)
{
	struct kicker *k = arg;

	while (!k->enough) {
		sleep_us(5000);
		pthread_kill(k->target, SIGUSR1);
	}
	return NULL;
}

/* Reading registers from another thread waits for KVM_RUN to end. */
TEST(ioctl_waits_for_run)
{
	struct spinner s = {
		.vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_spin)),
	};
	struct test_vm *vm = s.vcpu->vm;
	pthread_t thread, kicker;
	struct kicker k = {};
	struct kvm_regs regs;
	int i;

	catch_usr1();
	vcpu_get_regs(s.vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(s.vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spinner_thread, &s));
	wait_for_progress(vm, 0);
	k.target = thread;
	ASSERT_EQ(0, pthread_create(&kicker, NULL, kick_thread, &k));
	for (i = 0; i < 5; i++) {
		vcpu_get_regs(s.vcpu, &regs);
		EXPECT_LE(GUEST_CODE, regs.rip);
		EXPECT_GE(GUEST_CODE + GUEST_OF(guest_spin).size, regs.rip);
	}
	k.enough = true;
	ASSERT_EQ(0, pthread_join(kicker, NULL));
	*(uint64_t *)vm_hva(vm, STOP, 8) = 1;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vm_destroy(vm);
}

/* NMIs that one of the test's CPUs has taken. All CPUs are online: each has a column. */
static uint64_t host_nmis(int n)
{
	FILE *f = fopen("/proc/interrupts", "r");
	uint64_t count = 0;
	char line[512], *at;
	int cpu;

	TEST_CHECK(f, "cannot read /proc/interrupts");
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, "NMI:");
		if (!at)
			continue;
		at += strlen("NMI:");
		for (cpu = 0; cpu <= test_cpu(n); cpu++)
			count = strtoull(at, &at, 10);
		break;
	}
	fclose(f);
	return count;
}

/* An NMI for the host that arrives while the guest runs: the host's handler gets it. */
TEST(host_nmi)
{
	struct spinner s = {
		.vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_spin)),
	};
	struct test_vm *vm = s.vcpu->vm;
	uint64_t counter = 0, before;
	struct kvm_regs regs;
	pthread_t thread;
	FILE *sysrq;
	int i, k;

	if (test_cpus() < 2)
		TEST_SKIP("needs two CPUs");
	catch_usr1();
	vcpu_get_regs(s.vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(s.vcpu, &regs);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spinner_thread, &s));
	thread_move(thread, 1);
	thread_move(pthread_self(), 0);
	for (i = 0; i < 5; i++) {
		counter = wait_for_progress(vm, counter);
		before = host_nmis(1);
		/* Backtraces of all CPUs: an NMI to each of the others. */
		sysrq = fopen("/proc/sysrq-trigger", "w");
		ASSERT_NE(NULL, sysrq);
		fputc('l', sysrq);
		ASSERT_EQ(0, fclose(sysrq));
		for (k = 0; k < 10000 && host_nmis(1) == before; k++)
			sleep_us(1000);
		ASSERT_EQ(before + 1, host_nmis(1));
	}
	wait_for_progress(vm, counter);
	*(uint64_t *)vm_hva(vm, STOP, 8) = 1;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vm_destroy(vm);
}

TEST_HARNESS_MAIN
