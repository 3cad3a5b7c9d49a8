// SPDX-License-Identifier: GPL-2.0
/*
 * What a CPU may still hold of a moment ago: translations of memory that is gone, parts of a control
 * block that has changed, the state of a host thread that is another now.
 *
 * In most emulators nothing of it shows, as their CPUs keep none of these. So these tests are also
 * the load for the module's audit build, which keeps the records that a real CPU would
 * (boots/audit.sh).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/thread.h"
#include "lib/vm.h"

/* IF, because Bochs lets no interrupt end a guest without. */
#define RFLAGS		0x202
#define EXTRA		0x10000000ul	/* slot 1 */
#define EXTRA_SIZE	(4 * TEST_PAGE)
#define ECHO		(GUEST_DATA + 0x800)
#define NO_MEMORY	0x7777ull	/* read where no slot is */
#define LATE_MS		5000

#define ROUNDS		20
/* TCG's CPUs have 16 ASIDs, with the host's. */
#define MORE_THAN_ASIDS	20

GUEST_DECLARE(guest_echo);
GUEST_DECLARE(guest_reader);

static void start(struct test_vcpu *vcpu, uint64_t rdi)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = RFLAGS,
		.rdi = rdi, .rsi = ECHO,
	};

	vcpu_set_regs(vcpu, &regs);
}

/* What the guest guest_reader sees. */
static uint64_t look(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	return regs.rax;
}

static struct test_vcpu *look_at(uint64_t value)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_reader));

	*(uint64_t *)vm_hva(vcpu->vm, GUEST_DATA, 8) = value;
	start(vcpu, GUEST_DATA);
	return vcpu;
}

/*
 * Between CPUs, there and back. The first test, because right after the module was loaded both CPUs
 * begin with the same tags.
 */
TEST(moved)
{
	struct test_vcpu *vcpu = look_at(0x1234);
	int i;

	if (test_cpus() < 2)
		SKIP(return, "one CPU only");
	for (i = 0; i < ROUNDS; i++) {
		thread_move(pthread_self(), i % 2);
		EXPECT_EQ(0x1234, look(vcpu));
	}
	vm_destroy(vcpu->vm);
}

/* --- A guest that runs while its memory changes ----------------------------------------------- */

/* Run guest_echo to its end. Where there is no memory it reads NO_MEMORY. */
static void *echo_thread(void *arg)
{
	struct test_vcpu *vcpu = arg;
	const uint64_t no_memory = NO_MEMORY;

	if (test_cpus() > 1)
		thread_move(pthread_self(), 1);
	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_HLT)
			return NULL;
		vcpu_expect(vcpu, KVM_EXIT_MMIO);
		memcpy(vcpu->run->mmio.data, &no_memory, sizeof(no_memory));
	}
}

/* The guest has to see @value, sooner or later. */
static void expect_echo(struct test_vm *vm, uint64_t value)
{
	volatile uint64_t *echo = vm_hva(vm, ECHO, 8);
	uint64_t end = now_ms() + LATE_MS;

	while (*echo != value)
		TEST_CHECK(now_ms() < end, "the guest sees %#lx, and not %#lx", *echo, value);
}

/* Memory is taken away, and another page is there before the guest's fault on it is handled. */
TEST(memory_replaced)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_echo));
	uint64_t *mem = vm_add_memory(vcpu->vm, 1, EXTRA, EXTRA_SIZE);
	pthread_t thread;
	uint64_t n;

	thread_move(pthread_self(), 0);
	start(vcpu, EXTRA);
	ASSERT_EQ(0, pthread_create(&thread, NULL, echo_thread, vcpu));
	for (n = 1; n <= ROUNDS; n++) {
		ASSERT_EQ(0, madvise(mem, EXTRA_SIZE, MADV_DONTNEED));
		/* Long enough for a fault. */
		sleep_us(50);
		ASSERT_EQ(mem, mmap(mem, EXTRA_SIZE, PROT_READ | PROT_WRITE,
				    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		*mem = n;
		expect_echo(vcpu->vm, n);
	}
	*mem = ~0ull;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vm_destroy(vcpu->vm);
}

/* A slot goes, and comes back with other memory. */
TEST(slot_replaced)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_echo));
	uint64_t *mem;
	pthread_t thread;
	uint64_t n;

	mem = mmap(NULL, 2 * EXTRA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	thread_move(pthread_self(), 0);
	start(vcpu, EXTRA);
	ASSERT_EQ(0, pthread_create(&thread, NULL, echo_thread, vcpu));
	for (n = 1; n <= ROUNDS; n++) {
		uint64_t *half = mem + n % 2 * EXTRA_SIZE / sizeof(*mem);

		*half = n;
		vm_set_slot(vcpu->vm, 1, 0, EXTRA, EXTRA_SIZE, half);
		expect_echo(vcpu->vm, n);
		vm_delete_slot(vcpu->vm, 1);
		expect_echo(vcpu->vm, NO_MEMORY);
	}
	*mem = ~0ull;
	vm_set_slot(vcpu->vm, 1, 0, EXTRA, EXTRA_SIZE, mem);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vm_destroy(vcpu->vm);
	munmap(mem, 2 * EXTRA_SIZE);
}

/* The host changes its page tables, and the guest is about to enter. */
TEST(memory_replaced_between_entries)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_reader));
	uint64_t *mem = vm_add_memory(vcpu->vm, 1, EXTRA, EXTRA_SIZE);
	uint64_t n;

	start(vcpu, EXTRA);
	for (n = 1; n <= ROUNDS; n++) {
		ASSERT_EQ(mem, mmap(mem, EXTRA_SIZE, PROT_READ | PROT_WRITE,
				    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		*mem = n;
		EXPECT_EQ(n, look(vcpu));
	}
	vm_destroy(vcpu->vm);
}

/* --- vCPUs and CPUs ------------------------------------------------------------------------------ */

/* While the guest runs, without exits. */
TEST(moved_while_running)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_echo));
	uint64_t *mem = vm_add_memory(vcpu->vm, 1, EXTRA, EXTRA_SIZE);
	pthread_t thread;
	uint64_t n;

	if (test_cpus() < 2)
		SKIP(return, "one CPU only");
	start(vcpu, EXTRA);
	ASSERT_EQ(0, pthread_create(&thread, NULL, echo_thread, vcpu));
	for (n = 1; n <= ROUNDS; n++) {
		thread_move(thread, n % 2);
		*mem = n;
		expect_echo(vcpu->vm, n);
	}
	*mem = ~0ull;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vm_destroy(vcpu->vm);
}

/* More vCPUs on one CPU than it has tags. */
TEST(many_vcpus)
{
	struct test_vcpu *vcpu[MORE_THAN_ASIDS];
	int i, round;

	thread_move(pthread_self(), 0);
	for (i = 0; i < MORE_THAN_ASIDS; i++)
		vcpu[i] = look_at(100 + i);
	for (round = 0; round < 2; round++)
		for (i = 0; i < MORE_THAN_ASIDS; i++)
			EXPECT_EQ(100 + i, look(vcpu[i]));
	for (i = 0; i < MORE_THAN_ASIDS; i++)
		vm_destroy(vcpu[i]->vm);
}

static void no_action(int sig)
{
}

/* A KVM_RUN that a pending signal ends before the guest is entered. */
static void run_not(struct test_vcpu *vcpu)
{
	raise(SIGUSR1);
	TEST_CHECK(__vcpu_run(vcpu) == -1 && errno == EINTR, "KVM_RUN with a pending signal");
}

/*
 * All tags of a CPU are used up by a vCPU that never gets as far as the guest: that flushes nothing, so
 * those who come later must not believe that it did.
 */
TEST(tags_used_up_without_entry)
{
	struct sigaction action = { .sa_handler = no_action };
	struct {
		struct kvm_signal_mask mask;
		uint8_t signals[8];
	} none = { .mask.len = sizeof(none.signals) };
	struct test_vcpu *first[MORE_THAN_ASIDS], *mover, *last;
	sigset_t usr1, before;
	int i;

	if (test_cpus() < 2)
		SKIP(return, "one CPU only");
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &usr1, &before));
	thread_move(pthread_self(), 0);
	for (i = 0; i < MORE_THAN_ASIDS; i++) {
		first[i] = look_at(i);
		EXPECT_EQ(i, look(first[i]));
	}
	mover = look_at(50);
	ASSERT_EQ(0, ioctl(mover->fd, KVM_SET_SIGNAL_MASK, &none));
	for (i = 0; i < 2 * MORE_THAN_ASIDS; i++) {
		thread_move(pthread_self(), i % 2);
		run_not(mover);
	}
	thread_move(pthread_self(), 0);
	for (i = 0; i < 3; i++) {
		last = look_at(60 + i);
		EXPECT_EQ(60 + i, look(last));
		vm_destroy(last->vm);
	}
	/* The signal is still pending. */
	ASSERT_EQ(0, pthread_sigmask(SIG_SETMASK, &before, NULL));
	EXPECT_EQ(50, look(mover));
	vm_destroy(mover->vm);
	for (i = 0; i < MORE_THAN_ASIDS; i++)
		vm_destroy(first[i]->vm);
}

/* --- State that changes between two entries -------------------------------------------------------- */

/* Give the vCPU other special registers, which have to be there after an entry. */
static void try_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	struct kvm_sregs got;

	vcpu_set_sregs(vcpu, sregs);
	look(vcpu);
	vcpu_get_sregs(vcpu, &got);
	TEST_EQ(sregs->cr0, got.cr0, "CR0");
	TEST_EQ(sregs->cr2, got.cr2, "CR2");
	TEST_EQ(sregs->cr3, got.cr3, "CR3");
	TEST_EQ(sregs->cr4, got.cr4, "CR4");
	TEST_EQ(sregs->efer, got.efer, "EFER");
	TEST_EQ(sregs->ds.base, got.ds.base, "DS.base");
	TEST_EQ(sregs->fs.base, got.fs.base, "FS.base");
	TEST_EQ(sregs->gdt.limit, got.gdt.limit, "GDTR.limit");
	TEST_EQ(sregs->idt.base, got.idt.base, "IDTR.base");
}

TEST(special_registers)
{
	struct test_vcpu *vcpu = look_at(1);
	struct kvm_sregs sregs;

	look(vcpu);
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr0 ^= 1 << 16;		/* WP */
	try_sregs(vcpu, &sregs);
	sregs.cr2 = 0x123456;
	try_sregs(vcpu, &sregs);
	sregs.cr3 ^= 1 << 3;		/* PWT */
	try_sregs(vcpu, &sregs);
	sregs.cr4 ^= 1 << 7;		/* PGE */
	try_sregs(vcpu, &sregs);
	sregs.efer ^= 1 << 0;		/* SCE */
	try_sregs(vcpu, &sregs);
	sregs.ds.base = 0x1000;
	try_sregs(vcpu, &sregs);
	sregs.fs.base = 0x2000;
	try_sregs(vcpu, &sregs);
	sregs.gdt.limit -= 8;
	try_sregs(vcpu, &sregs);
	sregs.idt.base += 16;
	try_sregs(vcpu, &sregs);
	vm_destroy(vcpu->vm);
}

TEST(other_state)
{
	struct test_vcpu *vcpu = look_at(1);
	struct kvm_debugregs debug;
	struct kvm_guest_debug control = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP,
	};

	look(vcpu);
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug));
	debug.db[0] = EXTRA;
	debug.dr7 = 0xd402;		/* code that is not executed; bits that are fixed 0 */
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug));
	EXPECT_EQ(1, look(vcpu));
	vcpu_set_msr(vcpu, 0x10, 1ull << 40);		/* the TSC */
	EXPECT_EQ(1, look(vcpu));
	EXPECT_LE(1ull << 40, vcpu_get_msr(vcpu, 0x10));
	vcpu_set_msr(vcpu, 0x277, 0x0007040600070400ull);	/* PAT */
	EXPECT_EQ(1, look(vcpu));
	vcpu->run->cr8 = 5;
	EXPECT_EQ(1, look(vcpu));
	EXPECT_EQ(5, vcpu->run->cr8);
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &control));
	EXPECT_EQ(1, look(vcpu));
	control.control = 0;
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &control));
	EXPECT_EQ(1, look(vcpu));
	vm_destroy(vcpu->vm);
}

/* --- The host's side ------------------------------------------------------------------------------- */

static void *look_thread(void *arg)
{
	thread_move(pthread_self(), 0);
	TEST_EQ(0x99, look(arg), "in another thread");
	return NULL;
}

/* Other threads have other thread-local storage: another FS.base. */
TEST(other_threads)
{
	struct test_vcpu *vcpu = look_at(0x99);
	pthread_t thread;
	int i;

	thread_move(pthread_self(), 0);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0x99, look(vcpu));
		ASSERT_EQ(0, pthread_create(&thread, NULL, look_thread, vcpu));
		ASSERT_EQ(0, pthread_join(thread, NULL));
	}
	vm_destroy(vcpu->vm);
}

/* CR4 is the thread's as well: here TSD. */
TEST(host_cr4)
{
	struct test_vcpu *vcpu = look_at(0x55);

	EXPECT_EQ(0x55, look(vcpu));
	ASSERT_EQ(0, prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	EXPECT_EQ(0x55, look(vcpu));
	ASSERT_EQ(0, prctl(PR_SET_TSC, PR_TSC_ENABLE));
	EXPECT_EQ(0x55, look(vcpu));
	vm_destroy(vcpu->vm);
}

/*
 * So is CR3, also that of one process: the kernel has numbers (PCIDs) for a few processes on each
 * CPU, and gives another one when a process comes back after many others.
 */
TEST(host_cr3)
{
	struct test_vcpu *vcpu = look_at(0x44);
	pid_t children[10];
	int i, round;

	thread_move(pthread_self(), 0);
	EXPECT_EQ(0x44, look(vcpu));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 10; i++) {
			children[i] = fork();
			ASSERT_LE(0, children[i]);
			if (!children[i])
				_exit(0);
		}
		for (i = 0; i < 10; i++)
			ASSERT_EQ(children[i], waitpid(children[i], NULL, 0));
		EXPECT_EQ(0x44, look(vcpu));
	}
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
