// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory is the process's memory: whatever the process does to its
 * mapping, the guest has to see, and nothing that is gone may be seen again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vm.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define EXTRA		0x10000000ul	/* GPA of slot 1 */
#define EXTRA_PAGES	64ul
#define EXTRA_SIZE	(EXTRA_PAGES * TEST_PAGE)

GUEST_DECLARE(guest_reader);
GUEST_DECLARE(guest_writer);
GUEST_DECLARE(guest_scan);
GUEST_DECLARE(guest_echo);
GUEST_DECLARE(guest_fill);

/* A guest with slot 1 at EXTRA; @mem is where the process has it. */
static struct test_vcpu *guest(struct guest_code code, uint8_t **mem)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, code);

	*mem = vm_add_memory(vcpu->vm, 1, EXTRA, EXTRA_SIZE);
	return vcpu;
}

static void start(struct test_vcpu *vcpu, struct guest_code code, uint64_t rdi,
		  uint64_t rax, uint64_t rcx)
{
	struct kvm_regs regs = {
		/* IF, because Bochs lets no interrupt end a guest without. */
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 0x202,
		.rdi = rdi, .rax = rax, .rcx = rcx,
	};

	vm_load(vcpu->vm, code);
	vcpu_set_regs(vcpu, &regs);
}

/* What the guest reads at @gpa. */
static uint64_t guest_read(struct test_vcpu *vcpu, uint64_t gpa)
{
	struct kvm_regs regs;

	start(vcpu, GUEST_OF(guest_reader), gpa, 0x5555, 0);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	return regs.rax;
}

static void guest_write(struct test_vcpu *vcpu, uint64_t gpa, uint64_t value)
{
	start(vcpu, GUEST_OF(guest_writer), gpa, value, 0);
	vcpu_run_to_hlt(vcpu);
}

static uint64_t *word(uint8_t *mem, uint64_t page)
{
	return (uint64_t *)(mem + page * TEST_PAGE + 8 * (page & 7));
}

static uint64_t word_gpa(uint64_t page)
{
	return EXTRA + page * TEST_PAGE + 8 * (page & 7);
}

TEST(untouched_reads_zero)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_scan), &mem);
	struct kvm_regs regs;

	start(vcpu, GUEST_OF(guest_scan), EXTRA, 0, EXTRA_PAGES);
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0, regs.rax);
	EXPECT_EQ(EXTRA + EXTRA_SIZE, regs.rdi);
	vm_destroy(vcpu->vm);
}

/* Both sides see each other's writes, at once and everywhere. */
TEST(shared_both_ways)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);
	int i;

	for (i = 0; i < 100; i++) {
		uint64_t off = rand_below(EXTRA_SIZE / 8) * 8;
		uint64_t a = rand_u64(), b = rand_u64();

		*(uint64_t *)(mem + off) = a;
		TEST_EQ(a, guest_read(vcpu, EXTRA + off), "offset %#lx", off);
		guest_write(vcpu, EXTRA + off, b);
		TEST_EQ(b, *(uint64_t *)(mem + off), "offset %#lx", off);
	}
	vm_destroy(vcpu->vm);
}

/* Pages that the process gives away come back as zeros. */
TEST(madvise_dontneed)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_fill), &mem);
	uint64_t page;

	start(vcpu, GUEST_OF(guest_fill), EXTRA, 0x1111, EXTRA_PAGES);
	vcpu_run_to_hlt(vcpu);
	ASSERT_EQ(0x1111, *(uint64_t *)(mem + 5 * TEST_PAGE));
	ASSERT_EQ(0, madvise(mem + 4 * TEST_PAGE, 8 * TEST_PAGE,
			     MADV_DONTNEED));
	for (page = 2; page < 14; page++)
		TEST_EQ(page >= 4 && page < 12 ? 0 : 0x1111,
			guest_read(vcpu, EXTRA + page * TEST_PAGE),
			"page %lu", page);
	/* And the new page is one for both. */
	guest_write(vcpu, word_gpa(5), 77);
	EXPECT_EQ(77, *word(mem, 5));
	vm_destroy(vcpu->vm);
}

/* The same addresses, other memory behind them. */
TEST(mapping_replaced)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);
	int i;

	for (i = 0; i < 8; i++) {
		uint64_t value = rand_u64();

		guest_write(vcpu, word_gpa(i), value);
		ASSERT_EQ(mem, mmap(mem, EXTRA_SIZE, PROT_READ | PROT_WRITE,
				    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0));
		EXPECT_EQ(0, guest_read(vcpu, word_gpa(i)));
		*word(mem, i) = value + 1;
		EXPECT_EQ(value + 1, guest_read(vcpu, word_gpa(i)));
	}
	vm_destroy(vcpu->vm);
}

/* No mapping, no memory: KVM_RUN says EFAULT, and goes on when it is back. */
TEST(mapping_gone)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);
	struct kvm_regs regs;

	guest_write(vcpu, word_gpa(1), 5);
	ASSERT_EQ(0, munmap(mem, EXTRA_SIZE));
	start(vcpu, GUEST_OF(guest_reader), word_gpa(1), 0x5555, 0);
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EFAULT, errno);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(GUEST_CODE, regs.rip);
	EXPECT_EQ(0x5555, regs.rax);
	ASSERT_EQ(mem, mmap(mem, EXTRA_SIZE, PROT_READ | PROT_WRITE,
			    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	*word(mem, 1) = 6;
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(6, regs.rax);
	vm_destroy(vcpu->vm);
}

/* Read-only for the process is read-only for the guest. */
TEST(mprotect_read_only)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);

	guest_write(vcpu, word_gpa(1), 5);
	ASSERT_EQ(0, mprotect(mem, EXTRA_SIZE, PROT_READ));
	EXPECT_EQ(5, guest_read(vcpu, word_gpa(1)));
	start(vcpu, GUEST_OF(guest_writer), word_gpa(1), 6, 0);
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(5, *word(mem, 1));
	ASSERT_EQ(0, mprotect(mem, EXTRA_SIZE, PROT_READ | PROT_WRITE));
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(6, *word(mem, 1));

	ASSERT_EQ(0, mprotect(mem, EXTRA_SIZE, PROT_NONE));
	start(vcpu, GUEST_OF(guest_reader), word_gpa(1), 0, 0);
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EFAULT, errno);
	vm_destroy(vcpu->vm);
}

/*
 * After fork() pages are shared until somebody writes. A write of the guest
 * is the parent's: the child must not see it, and the other way round.
 */
TEST(fork_copies)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);
	int to_child[2], to_parent[2], status;
	char byte = 0;
	pid_t child;

	guest_write(vcpu, word_gpa(1), 10);
	guest_write(vcpu, word_gpa(2), 20);
	guest_write(vcpu, word_gpa(3), 30);
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		*word(mem, 2) = 21;
		if (write(to_parent[1], &byte, 1) != 1 ||
		    read(to_child[0], &byte, 1) != 1)
			_exit(9);
		_exit(*word(mem, 1) != 10 ? 1 : *word(mem, 2) != 21 ? 2 :
		      *word(mem, 3) != 30 ? 3 : 0);
	}
	ASSERT_EQ(1, read(to_parent[0], &byte, 1));
	guest_write(vcpu, word_gpa(1), 11);
	EXPECT_EQ(11, *word(mem, 1));
	EXPECT_EQ(20, guest_read(vcpu, word_gpa(2)));
	*word(mem, 3) = 31;
	EXPECT_EQ(31, guest_read(vcpu, word_gpa(3)));
	ASSERT_EQ(1, write(to_child[1], &byte, 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(11, guest_read(vcpu, word_gpa(1)));
	vm_destroy(vcpu->vm);
}

/* Memory of a file: holes punched into it, and pages pushed out. */
TEST(file_backed)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_reader));
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint64_t value = rand_u64();
	uint8_t *mem;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, EXTRA_SIZE));
	mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	vm_set_slot(vcpu->vm, 1, 0, EXTRA, EXTRA_SIZE, mem);
	guest_write(vcpu, word_gpa(3), value);
	EXPECT_EQ(8, pread(fd, &value, 8, 3 * TEST_PAGE + 24));
	EXPECT_EQ(*word(mem, 3), value);
	value = rand_u64();
	ASSERT_EQ(8, pwrite(fd, &value, 8, 4 * TEST_PAGE + 32));
	EXPECT_EQ(value, guest_read(vcpu, word_gpa(4)));

	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, 8 * TEST_PAGE));
	EXPECT_EQ(0, guest_read(vcpu, word_gpa(3)));
	EXPECT_EQ(0, guest_read(vcpu, word_gpa(4)));

	guest_write(vcpu, word_gpa(9), value);
	/* Without swap there may be nowhere to put them: no error counts. */
	madvise(mem, EXTRA_SIZE, MADV_PAGEOUT);
	EXPECT_EQ(value, guest_read(vcpu, word_gpa(9)));

	/* Beyond the end of the file is SIGBUS for us, EFAULT for KVM_RUN. */
	ASSERT_EQ(0, ftruncate(fd, 4 * TEST_PAGE));
	start(vcpu, GUEST_OF(guest_reader), word_gpa(9), 0, 0);
	EXPECT_EQ(-1, __vcpu_run(vcpu));
	EXPECT_EQ(EFAULT, errno);
	vm_destroy(vcpu->vm);
}

/* A private mapping of a file is copied when the guest writes. */
TEST(file_private)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_reader));
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint64_t value = rand_u64(), seen;
	uint8_t *mem;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, EXTRA_SIZE));
	ASSERT_EQ(8, pwrite(fd, &value, 8, TEST_PAGE + 8));
	mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
		   0);
	ASSERT_NE(MAP_FAILED, mem);
	vm_set_slot(vcpu->vm, 1, 0, EXTRA, EXTRA_SIZE, mem);
	EXPECT_EQ(value, guest_read(vcpu, word_gpa(1)));
	guest_write(vcpu, word_gpa(1), ~value);
	EXPECT_EQ(~value, *word(mem, 1));
	EXPECT_EQ(~value, guest_read(vcpu, word_gpa(1)));
	ASSERT_EQ(8, pread(fd, &seen, 8, TEST_PAGE + 8));
	EXPECT_EQ(value, seen);
	/* And when the process writes after the guest has read. */
	value = guest_read(vcpu, word_gpa(2));
	EXPECT_EQ(0, value);
	*word(mem, 2) = 99;
	EXPECT_EQ(99, guest_read(vcpu, word_gpa(2)));
	vm_destroy(vcpu->vm);
}

/* A slot moves: nothing is left where it was. */
TEST(slot_moves)
{
	uint64_t value = rand_u64(), gpa = EXTRA;
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);
	int i;

	for (i = 0; i < 4; i++) {
		uint64_t to = EXTRA + (i + 1) * 0x1000000;

		guest_write(vcpu, gpa + 0x18, value + i);
		vm_set_slot(vcpu->vm, 1, 0, to, EXTRA_SIZE, mem);
		EXPECT_EQ(value + i, guest_read(vcpu, to + 0x18));
		start(vcpu, GUEST_OF(guest_reader), gpa + 0x18, 0, 0);
		vcpu_run_to_mmio(vcpu, false, gpa + 0x18, 8);
		vcpu_run_to_hlt(vcpu);
		gpa = to;
	}
	vm_destroy(vcpu->vm);
}

/* A slot is deleted and made again over other memory. */
TEST(slot_deleted)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);
	int i;

	for (i = 0; i < 6; i++) {
		guest_write(vcpu, word_gpa(i), 1000 + i);
		vm_delete_slot(vcpu->vm, 1);
		start(vcpu, GUEST_OF(guest_reader), word_gpa(i), 0, 0);
		vcpu_run_to_mmio(vcpu, false, word_gpa(i), 8);
		vcpu_run_to_hlt(vcpu);
		mem = vm_add_memory(vcpu->vm, 1, EXTRA, EXTRA_SIZE);
		EXPECT_EQ(0, guest_read(vcpu, word_gpa(i)));
	}
	vm_destroy(vcpu->vm);
}

/* The same memory at two guest-physical addresses. */
TEST(slot_alias)
{
	uint64_t value = rand_u64();
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_reader), &mem);

	vm_set_slot(vcpu->vm, 2, 0, 2 * EXTRA, EXTRA_SIZE, mem);
	guest_write(vcpu, EXTRA + 0x4008, value);
	EXPECT_EQ(value, guest_read(vcpu, 2 * EXTRA + 0x4008));
	guest_write(vcpu, 2 * EXTRA + 0x4008, ~value);
	EXPECT_EQ(~value, guest_read(vcpu, EXTRA + 0x4008));
	/* What is unmapped is unmapped at both. */
	ASSERT_EQ(0, madvise(mem, EXTRA_SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_read(vcpu, EXTRA + 0x4008));
	EXPECT_EQ(0, guest_read(vcpu, 2 * EXTRA + 0x4008));
	vm_destroy(vcpu->vm);
}

/* Two VMs, the same guest-physical addresses, two memories. */
TEST(two_vms)
{
	struct test_vcpu *vcpu[2];
	uint64_t value[2];
	uint8_t *mem[2];
	int i, v;

	for (v = 0; v < 2; v++)
		vcpu[v] = guest(GUEST_OF(guest_reader), &mem[v]);
	for (i = 0; i < 20; i++) {
		for (v = 0; v < 2; v++) {
			value[v] = rand_u64();
			guest_write(vcpu[v], word_gpa(i), value[v]);
		}
		for (v = 0; v < 2; v++) {
			TEST_EQ(value[v], guest_read(vcpu[v], word_gpa(i)),
				"VM %d, page %d", v, i);
			TEST_EQ(value[v], *word(mem[v], i), "VM %d, page %d",
				v, i);
		}
	}
	/* One of them goes; the other keeps what it has. */
	vm_destroy(vcpu[0]->vm);
	for (i = 10; i < 20; i++)
		TEST_EQ(*word(mem[1], i), guest_read(vcpu[1], word_gpa(i)),
			"page %d", i);
	vm_destroy(vcpu[1]->vm);
}

/* KVM_RUN in a thread of its own, until HLT. */
static void *run_thread(void *arg)
{
	struct test_vcpu *vcpu = arg;

	vcpu_run_to_hlt(vcpu);
	return NULL;
}

/* Wait until the guest wrote @want to @p, for ten seconds at most. */
static void wait_for(volatile uint64_t *p, uint64_t want, const char *what)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (*p != want) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		TEST_CHECK(now.tv_sec - start.tv_sec < 10,
			   "the guest does not see %s", what);
		sched_yield();
	}
}

/*
 * While the guest copies one word to another as fast as it can, the page it
 * reads from is taken away and comes back with a new value.
 */
TEST(unmap_while_running)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_echo), &mem);
	volatile uint64_t *in = (uint64_t *)mem;
	volatile uint64_t *out = (uint64_t *)(mem + 32 * TEST_PAGE);
	struct kvm_regs regs;
	pthread_t thread;
	int i;

	start(vcpu, GUEST_OF(guest_echo), EXTRA, 0, 0);
	vcpu_get_regs(vcpu, &regs);
	regs.rsi = EXTRA + 32 * TEST_PAGE;
	vcpu_set_regs(vcpu, &regs);
	*out = 1;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, vcpu));
	for (i = 0; i < 30; i++) {
		switch (i % 3) {
		case 0:
			ASSERT_EQ(0, madvise(mem, TEST_PAGE, MADV_DONTNEED));
			break;
		case 1:
			ASSERT_EQ(mem, mmap(mem, TEST_PAGE,
					    PROT_READ | PROT_WRITE,
					    MAP_FIXED | MAP_PRIVATE |
					    MAP_ANONYMOUS, -1, 0));
			break;
		default:
			ASSERT_EQ(0, mprotect(mem, TEST_PAGE, PROT_READ));
			ASSERT_EQ(0, mprotect(mem, TEST_PAGE,
					      PROT_READ | PROT_WRITE));
			*in = 0;
		}
		wait_for(out, 0, "the empty page");
		*in = i + 1;
		wait_for(out, i + 1, "the new value");
	}
	*in = ~0ull;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vm_destroy(vcpu->vm);
}

/*
 * A slot is deleted under a running guest: what it reads and writes then is
 * MMIO. It may be at either when it happens; all ones end its loop.
 */
static void *run_to_mmio_thread(void *arg)
{
	struct test_vcpu *vcpu = arg;
	struct kvm_run *run = vcpu->run;
	int reads = 0, i;

	for (i = 0; i < 4; i++) {
		vcpu_run(vcpu);
		if (run->exit_reason == KVM_EXIT_HLT)
			break;
		vcpu_expect(vcpu, KVM_EXIT_MMIO);
		TEST_EQ(8, run->mmio.len, "length");
		TEST_EQ(run->mmio.is_write ? EXTRA + 32 * TEST_PAGE : EXTRA,
			run->mmio.phys_addr, "address");
		if (run->mmio.is_write)
			continue;
		memset(run->mmio.data, 0xff, 8);
		reads++;
	}
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	TEST_EQ(1, reads, "reads");
	return NULL;
}

TEST(slot_deleted_while_running)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_echo), &mem);
	volatile uint64_t *out = (uint64_t *)(mem + 32 * TEST_PAGE);
	struct kvm_regs regs;
	pthread_t thread;

	start(vcpu, GUEST_OF(guest_echo), EXTRA, 0, 0);
	vcpu_get_regs(vcpu, &regs);
	regs.rsi = EXTRA + 32 * TEST_PAGE;
	vcpu_set_regs(vcpu, &regs);
	*(uint64_t *)mem = 7;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_to_mmio_thread, vcpu));
	wait_for(out, 7, "its memory");
	/* The mapping stays: what is gone is the slot. */
	vcpu->vm->slots[1].own = false;
	vm_delete_slot(vcpu->vm, 1);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(7, *(uint64_t *)mem);
	vm_destroy(vcpu->vm);
}

/* Memory is taken by the page when it is touched, and not before. */
TEST(faults_are_counted)
{
	uint8_t *mem;
	struct test_vcpu *vcpu = guest(GUEST_OF(guest_fill), &mem);
	uint64_t before, first, second;

	if (!stats_available())
		SKIP(return, "only minikvm has these counters");
	start(vcpu, GUEST_OF(guest_fill), EXTRA, 1, 1);
	vcpu_run_to_hlt(vcpu);
	before = stats_exit_count(vcpu, STATS_PAGE_FAULT);
	start(vcpu, GUEST_OF(guest_fill), EXTRA + TEST_PAGE, 1,
	      EXTRA_PAGES - 1);
	vcpu_run_to_hlt(vcpu);
	first = stats_exit_count(vcpu, STATS_PAGE_FAULT) - before;
	start(vcpu, GUEST_OF(guest_fill), EXTRA, 2, EXTRA_PAGES);
	vcpu_run_to_hlt(vcpu);
	second = stats_exit_count(vcpu, STATS_PAGE_FAULT) - before - first;
	/* One for each page at most; large pages may make it less. */
	EXPECT_LE(first, EXTRA_PAGES + 2);
	EXPECT_LE(1, first);
	EXPECT_EQ(0, second);
	vm_destroy(vcpu->vm);
}

/* What is found out about an address holds until the slots change, and no longer. */
TEST(hole_becomes_memory)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_reader));
	uint64_t *mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_regs regs;
	int i;

	ASSERT_NE(MAP_FAILED, mem);
	mem[2] = 0x1122334455667788;
	for (i = 0; i < 3; i++) {
		start(vcpu, GUEST_OF(guest_reader), EXTRA + 8, 0, 0);
		vcpu_run_to_mmio(vcpu, false, EXTRA + 8, 8);
		vcpu_run_to_hlt(vcpu);
		/* In the same page. */
		start(vcpu, GUEST_OF(guest_reader), EXTRA + 16, 0, 0);
		vcpu_run_to_mmio(vcpu, false, EXTRA + 16, 8);
		vcpu_run_to_hlt(vcpu);
		vm_set_slot(vcpu->vm, 1, 0, EXTRA, EXTRA_SIZE, mem);
		start(vcpu, GUEST_OF(guest_reader), EXTRA + 16, 0, 0);
		vcpu_run_to_hlt(vcpu);
		vcpu_get_regs(vcpu, &regs);
		EXPECT_EQ(mem[2], regs.rax);
		vm_delete_slot(vcpu->vm, 1);
	}
	munmap(mem, EXTRA_SIZE);
	vm_destroy(vcpu->vm);
}

/* A read-only slot: reads are direct, writes are MMIO and change nothing. */
TEST(read_only_slot)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_reader));
	uint8_t *mem = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t value;

	ASSERT_NE(MAP_FAILED, mem);
	if (test_has_cap(vcpu->vm->dev, KVM_CAP_READONLY_MEM) <= 0)
		SKIP(return, "no KVM_CAP_READONLY_MEM");
	*(uint64_t *)mem = 0x1122334455667788;
	vm_set_slot(vcpu->vm, 1, KVM_MEM_READONLY, EXTRA, EXTRA_SIZE, mem);
	EXPECT_EQ(0x1122334455667788, guest_read(vcpu, EXTRA));

	/* Mapped or not. */
	for (value = 0; value < 2; value++) {
		start(vcpu, GUEST_OF(guest_writer), EXTRA + value * TEST_PAGE, value, 0);
		EXPECT_EQ(value, *(uint64_t *)vcpu_run_to_mmio(vcpu, true,
							       EXTRA + value * TEST_PAGE, 8));
		vcpu_run_to_hlt(vcpu);
	}
	EXPECT_EQ(0x1122334455667788, *(uint64_t *)mem);
	EXPECT_EQ(0, *(uint64_t *)(mem + TEST_PAGE));

	/* The process may write all the same, and the guest sees it. */
	*(uint64_t *)mem = 42;
	EXPECT_EQ(42, guest_read(vcpu, EXTRA));
	vm_destroy(vcpu->vm);
	munmap(mem, EXTRA_SIZE);
}

/* The process itself may only read what is behind the slot. */
TEST(read_only_slot_of_read_only_memory)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_reader));
	uint8_t *mem = mmap(NULL, EXTRA_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, mem);
	if (test_has_cap(vcpu->vm->dev, KVM_CAP_READONLY_MEM) <= 0)
		SKIP(return, "no KVM_CAP_READONLY_MEM");
	vm_set_slot(vcpu->vm, 1, KVM_MEM_READONLY, EXTRA, EXTRA_SIZE, mem);
	EXPECT_EQ(0, guest_read(vcpu, EXTRA));
	start(vcpu, GUEST_OF(guest_writer), EXTRA, 7, 0);
	vcpu_run_to_mmio(vcpu, true, EXTRA, 8);
	vm_destroy(vcpu->vm);
	munmap(mem, EXTRA_SIZE);
}

TEST_HARNESS_MAIN
