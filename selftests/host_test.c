// SPDX-License-Identifier: GPL-2.0
/*
 * The host's state is never left wrong: what a guest has for itself does not
 * show in the thread that runs it, nor in another thread or another process on
 * the same CPU, whichever way the CPU came from the guest to them.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kselftest_harness.h"
#include "lib/rand.h"
#include "lib/thread.h"
#include "lib/vendor.h"
#include "lib/vm.h"

/* See guests/host_test.S. */
#define PORT		0x80
#define PORT_STRING	0x84
#define HOLE		0xd0000000ull
#define SPIN_COUNTER	(GUEST_DATA + 0x00)
#define SPIN_STOP	(GUEST_DATA + 0x40)

/* Bochs lets no interrupt end a guest that has IF clear. */
#define RFLAGS		0x202

#define MAX_CPUS	2
#define ROUNDS		24
/* Turns of the guest's empty loop: between exits, and where it is to be preempted. */
#define SHORT_STAY	100
#define LONG_STAY	40000

GUEST_DECLARE(guest_mix);
GUEST_DECLARE(guest_stay);
GUEST_DECLARE(guest_pku);

struct mix {
	uint64_t xcr0, tsc_aux, pku, dr0, stay, counter, fcw, mxcsr;
	uint8_t ymm[32];
};

struct pku {
	uint64_t xcr0, value;
};

/* A system call to be made with something unusual in the registers. */
struct call {
	long nr, a, b, c;
};

struct vectors {
	/* What FXSAVE64 stores. */
	uint16_t fcw, fsw, ftw, fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
	uint8_t unused[96];
	uint8_t ymm[16][32];
} __attribute__((aligned(64)));

struct segments {
	uint16_t ds, es, fs, gs, cs, ss, pad[2];
	uint64_t fs_base, gs_base, fs_word, gs_word;
	uint8_t set_fs, set_gs, read_fs, read_gs;
};

long call_with_vectors(const struct call *call, struct vectors *v, bool avx);
long call_with_segments(const struct call *call, struct segments *s);
long call32(const uint32_t args[4], void *stack, int how);

/* --- Places: who looks, and where ------------------------------------------------ */

enum where { SAME_THREAD, OTHER_THREAD, OTHER_PROCESS };

/* What VMM and observers of one test share, in memory that fork() keeps shared. */
struct shared {
	volatile int running[MAX_CPUS];	/* exits of the vCPU on this CPU */
	volatile bool stop;
};

/* One thread that looks. In its rounds it makes one system call. */
struct place {
	int id, cpu, cpus;
	struct call call;		/* KVM_RUN, or sleep */
	struct test_vcpu *vcpu;		/* NULL: an observer */
	bool forever;			/* until the observers are done */
	int round;
	long preempted;
	struct shared *shared;
	void (*look)(struct place *p);
};

static const struct timespec short_time = { .tv_nsec = 300000 };

/* What breakpoints watch: one for each place; an address of the guest's too. */
static volatile uint64_t watched[2 * MAX_CPUS] __attribute__((aligned(64)));

/* Is there another round to do? */
static bool next_round(struct place *p)
{
	if (p->forever) {
		p->round++;
		return !p->shared->stop;
	}
	/* Alone with its vCPU, the thread moves. */
	if (p->vcpu && p->cpus > 1) {
		p->cpu = (p->cpu + 1) % p->cpus;
		thread_move(pthread_self(), p->cpu);
	}
	return p->round++ < ROUNDS;
}

/* The system call of this round is made: was it good? */
static void called(struct place *p, long ret)
{
	TEST_CHECK(ret == 0, "system call %ld: %ld", p->call.nr, ret);
	if (!p->vcpu)
		return;
	vcpu_expect(p->vcpu, KVM_EXIT_IO);
	p->shared->running[p->id % MAX_CPUS]++;
}

static void call(struct place *p)
{
	called(p, syscall(p->call.nr, p->call.a, p->call.b, p->call.c));
}

/* The guest that does everything, in @p's thread. */
static void give_guest(struct place *p)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_mix));
	static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };
	struct mix *mix = vm_hva(vcpu->vm, GUEST_DATA, sizeof(*mix));
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e;
	struct kvm_regs regs;
	uint8_t *code;

	e = test_cpuid_entry(cpuid, 1, 0);
	if (e && e->ecx & 1 << 26 && e->ecx & 1 << 28)
		mix->xcr0 = 7;
	e = test_cpuid_entry(cpuid, 0x80000001, 0);
	mix->tsc_aux = e && e->edx & 1 << 27;
	e = test_cpuid_entry(cpuid, 7, 0);
	mix->pku = e && e->ecx & 1 << 3;
	free(cpuid);
	mix->dr0 = (uintptr_t)&watched[p->id];
	mix->stay = p->forever ? LONG_STAY : SHORT_STAY;
	mix->fcw = 0x0c7f;
	mix->mxcsr = 0x1f80 | 0x6000;
	rand_fill(mix->ymm, sizeof(mix->ymm));

	code = vm_hva(vcpu->vm, GUEST_CODE, GUEST_OF(guest_mix).size);
	code = memmem(code, GUEST_OF(guest_mix).size, vmcall, sizeof(vmcall));
	TEST_CHECK(code, "no VMCALL in the guest");
	memcpy(code, test_vendor()->hypercall, sizeof(vmcall));

	/* All memory the supervisor's: no protection key concerns it. */
	*(uint64_t *)vm_hva(vcpu->vm, GUEST_PML4, 8) &= ~4ull;
	vcpu_get_regs(vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(vcpu, &regs);
	p->vcpu = vcpu;
	p->call = (struct call){ SYS_ioctl, vcpu->fd, KVM_RUN, 0 };
}

static void *vmm_thread(void *arg)
{
	struct place *p = arg;
	struct rusage usage;

	thread_move(pthread_self(), p->cpu);
	p->look(p);
	TEST_CHECK(getrusage(RUSAGE_THREAD, &usage) == 0, "getrusage");
	p->preempted = usage.ru_nivcsw;
	return NULL;
}

static void *observer_thread(void *arg)
{
	struct place *p = arg;

	thread_move(pthread_self(), p->cpu);
	/* The vCPU has made all of its state its own. */
	while (p->shared->running[p->cpu] < 3)
		call(p);
	p->look(p);
	return NULL;
}

static pid_t observer_process(struct place *p)
{
	pid_t pid = fork();

	TEST_CHECK(pid >= 0, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	observer_thread(p);
	_exit(0);
}

static void wait_for(pid_t pid)
{
	int status;

	TEST_CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	TEST_CHECK(status == 0, "the other process ended with %#x", status);
}

/*
 * Let @look look on @cpus CPUs at once: in the threads that run a guest, and, unless
 * @where is SAME_THREAD, in one more thread or process on the CPU of each, whose
 * every round takes the CPU away from the guest.
 */
static void look_from(enum where where, int cpus, void (*look)(struct place *p))
{
	struct place vmm[MAX_CPUS] = {}, observer[MAX_CPUS] = {};
	pthread_t vmm_of[MAX_CPUS], thread[MAX_CPUS];
	pid_t pid[MAX_CPUS];
	struct shared *shared;
	sigset_t set;
	int i;

	/* Here, because a skip of the fixture's setup does not skip the test. */
	if (test_cpus() < cpus)
		TEST_SKIP("one CPU only");
	/*
	 * An observer may end while pthread_create() has signals blocked: SIGCHLD, which is ignored
	 * otherwise, would go to another thread and end its KVM_RUN.
	 */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	TEST_CHECK(!pthread_sigmask(SIG_BLOCK, &set, NULL), "sigmask");
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_CHECK(shared != MAP_FAILED, "mmap");
	for (i = 0; i < cpus; i++) {
		vmm[i] = (struct place){
			.id = i, .cpu = i, .cpus = cpus, .look = look,
			.forever = where != SAME_THREAD, .shared = shared,
		};
		observer[i] = (struct place){
			.id = MAX_CPUS + i, .cpu = i, .cpus = cpus,
			.call = { SYS_nanosleep, (long)&short_time, 0, 0 },
			.shared = shared, .look = look,
		};
	}
	if (where == OTHER_PROCESS)
		for (i = 0; i < cpus; i++)
			pid[i] = observer_process(&observer[i]);
	for (i = 0; i < cpus; i++) {
		give_guest(&vmm[i]);
		TEST_CHECK(!pthread_create(&vmm_of[i], NULL, vmm_thread,
					   &vmm[i]), "pthread_create");
	}
	if (where == OTHER_THREAD)
		for (i = 0; i < cpus; i++)
			TEST_CHECK(!pthread_create(&thread[i], NULL,
						   observer_thread,
						   &observer[i]),
				   "pthread_create");
	for (i = 0; i < cpus && where != SAME_THREAD; i++) {
		if (where == OTHER_PROCESS)
			wait_for(pid[i]);
		else
			TEST_CHECK(!pthread_join(thread[i], NULL), "join");
	}
	shared->stop = true;
	for (i = 0; i < cpus; i++) {
		TEST_CHECK(!pthread_join(vmm_of[i], NULL), "join");
		TEST_CHECK(shared->running[i], "the guest on CPU %d never ran", i);
		/* Otherwise nothing has been tested. */
		if (where != SAME_THREAD)
			TEST_CHECK(vmm[i].preempted >= ROUNDS / 2,
				   "the guest on CPU %d was preempted %ld times",
				   i, vmm[i].preempted);
		vm_destroy(vmm[i].vcpu->vm);
	}
	munmap(shared, 4096);
}

FIXTURE(place) {
};

FIXTURE_VARIANT(place) {
	enum where where;
	int cpus;
};

FIXTURE_VARIANT_ADD(place, same_thread) {
	SAME_THREAD, 1
};

FIXTURE_VARIANT_ADD(place, other_thread) {
	OTHER_THREAD, 1
};

FIXTURE_VARIANT_ADD(place, other_process) {
	OTHER_PROCESS, 1
};

FIXTURE_VARIANT_ADD(place, same_thread_moving) {
	SAME_THREAD, 2
};

FIXTURE_VARIANT_ADD(place, other_thread_2_cpus) {
	OTHER_THREAD, 2
};

FIXTURE_VARIANT_ADD(place, other_process_2_cpus) {
	OTHER_PROCESS, 2
};

FIXTURE_SETUP(place)
{
}

FIXTURE_TEARDOWN(place)
{
}

#define LOOK(look)	look_from(variant->where, variant->cpus, look)

/* --- Faults ----------------------------------------------------------------------- */

static __thread sigjmp_buf fault_jmp;

static void on_fault(int sig)
{
	siglongjmp(fault_jmp, sig);
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_handler = on_fault,
				    .sa_flags = SA_NODEFER };

	TEST_CHECK(sigaction(SIGSEGV, &action, NULL) == 0, "sigaction");
	TEST_CHECK(sigaction(SIGILL, &action, NULL) == 0, "sigaction");
	TEST_CHECK(sigaction(SIGBUS, &action, NULL) == 0, "sigaction");
}

static bool cpu_has_7_ecx(int bit)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
	       ecx & 1u << bit;
}

#define HWCAP2_FSGSBASE	(1 << 1)

/* --- Ports: the limit of the TSS, and whose bitmap is in it ------------------------ */

static bool may_use_port(int port)
{
	if (sigsetjmp(fault_jmp, 1))
		return false;
	inb(port);
	return true;
}

/* Every second round with a port that the others have not, every fourth with all. */
static void look_at_ports(struct place *p)
{
	int own = p->vcpu ? 0x80 : 0x84, other = p->vcpu ? 0x84 : 0x80;

	while (next_round(p)) {
		bool on = p->round & 1, all = !p->vcpu && p->round % 4 == 2;

		TEST_CHECK(ioperm(own, 1, on) == 0, "ioperm");
		TEST_CHECK(iopl(all ? 3 : 0) == 0, "iopl");
		TEST_EQ(on || all, may_use_port(own), "before, round %d",
			p->round);
		call(p);
		TEST_EQ(on || all, may_use_port(own), "own port %#x, round %d",
			own, p->round);
		TEST_EQ(all, may_use_port(other), "other port %#x, round %d",
			other, p->round);
	}
	iopl(0);
}

TEST_F(place, ports)
{
	catch_faults();
	if (ioperm(0x80, 1, 1))
		SKIP(return, "no ioperm(): %s", strerror(errno));
	ioperm(0x80, 1, 0);
	LOOK(look_at_ports);
}

/* --- Segments ---------------------------------------------------------------------- */

#define USER_CS		0x33
#define USER_DS		0x2b
#define LDT_SELECTOR(entry)	((entry) << 3 | 7)

/* Below 4 GiB, where descriptors reach. */
static uint64_t low_word[2 * MAX_CPUS];

static void set_ldt(int entry, const volatile void *base, unsigned int limit)
{
	struct user_desc desc = {
		.entry_number = entry,
		.base_addr = (uintptr_t)base,
		.limit = limit,
		.seg_32bit = 1,
		.useable = 1,
	};

	TEST_CHECK(syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc)) == 0,
		   "modify_ldt");
}

/* LSL: what is in the descriptor table that the CPU has now; -1: not valid. */
static long segment_limit(unsigned int selector)
{
	unsigned long limit;
	bool ok;

	asm volatile("lsl %[s], %[l]" : "=@ccz" (ok), [l] "=&r" (limit)
		     : [s] "r" ((unsigned long)selector));
	return ok ? (long)(uint32_t)limit : -1;
}

static void look_at_ldt(struct place *p)
{
	unsigned int selector = LDT_SELECTOR(p->id);

	low_word[p->id] = rand_u64();
	while (next_round(p)) {
		struct segments s = {
			.ds = selector, .es = selector, .fs = selector,
			.gs = selector, .read_fs = 1, .read_gs = 1,
		};

		/* A new LDT, of the whole process. */
		set_ldt(p->id, &low_word[p->id], 0x100 + p->round);
		TEST_EQ(0x100 + p->round, segment_limit(selector), "before");
		called(p, call_with_segments(&p->call, &s));
		TEST_EQ(0x100 + p->round, segment_limit(selector),
			"limit of a segment of the LDT, round %d", p->round);
		TEST_EQ(selector, s.ds, "DS");
		TEST_EQ(selector, s.es, "ES");
		TEST_EQ(selector, s.fs, "FS");
		TEST_EQ(selector, s.gs, "GS");
		TEST_EQ(low_word[p->id], s.fs_word, "at FS:0");
		TEST_EQ(low_word[p->id], s.gs_word, "at GS:0");
		TEST_EQ((uintptr_t)&low_word[p->id], s.fs_base, "FS base");
		TEST_EQ((uintptr_t)&low_word[p->id], s.gs_base, "GS base");
	}
}

TEST_F(place, ldt)
{
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
		SKIP(return, "no FSGSBASE");
	/* No hypervisor is needed for it: a process with such segments is enough. */
	SKIP_IF_TCG(test_cpus() == 1,
		    "a machine with one CPU hangs with segments of an LDT");
	set_ldt(0, low_word, 0);
	LOOK(look_at_ldt);
}

/* A segment of the GDT that is the thread's own, by the 32-bit system call. */
static unsigned int set_tls(const volatile void *base)
{
	static struct user_desc desc[2 * MAX_CPUS];
	static int next;
	struct user_desc *d = &desc[__atomic_fetch_add(&next, 1,
						       __ATOMIC_RELAXED)];
	long ret;

	*d = (struct user_desc){
		.entry_number = -1, .base_addr = (uintptr_t)base,
		.limit = 0xfffff, .limit_in_pages = 1, .seg_32bit = 1,
		.useable = 1,
	};
	asm volatile("int $0x80" : "=a" (ret)
		     : "a" (243), "b" (d) : "memory", "r8", "r9", "r10", "r11");
	TEST_CHECK(ret == 0, "set_thread_area: %ld", ret);
	return d->entry_number << 3 | 3;
}

/* FS and GS, and DS and ES with them. */
static void look_at_selectors(struct place *p, bool base_set)
{
	unsigned int tls = set_tls(&low_word[p->id]);
	const unsigned int selectors[] = { 0, USER_DS, tls };
	uint64_t other = rand_u64(), base = (uintptr_t)&other;

	low_word[p->id] = rand_u64();
	while (next_round(p)) {
		unsigned int fs = selectors[p->round % 3];
		unsigned int gs = selectors[p->round / 3 % 3];
		unsigned int ds = p->round & 1 ? USER_DS : 0;
		unsigned int es = p->round & 2 ? USER_DS : 0;
		struct segments s = {
			.ds = ds, .es = es, .fs = fs, .gs = gs,
			.fs_base = base, .gs_base = base,
			.set_fs = base_set || !fs, .set_gs = base_set || !gs,
			.read_fs = base_set || fs != USER_DS,
			.read_gs = base_set || gs != USER_DS,
		};
		struct segments want = s;

		called(p, call_with_segments(&p->call, &s));
		if (!want.set_fs)
			want.fs_base = fs == tls ? (uintptr_t)&low_word[p->id] : 0;
		if (!want.set_gs)
			want.gs_base = gs == tls ? (uintptr_t)&low_word[p->id] : 0;
		TEST_EQ(ds, s.ds, "DS");
		TEST_EQ(es, s.es, "ES");
		TEST_EQ(fs, s.fs, "FS");
		TEST_EQ(gs, s.gs, "GS");
		TEST_EQ(USER_CS, s.cs, "CS");
		TEST_EQ(USER_DS, s.ss, "SS");
		TEST_EQ(want.fs_base, s.fs_base, "FS base, selector %#x", fs);
		TEST_EQ(want.gs_base, s.gs_base, "GS base, selector %#x", gs);
		if (s.read_fs)
			TEST_EQ(*(uint64_t *)want.fs_base, s.fs_word, "FS:0");
		if (s.read_gs)
			TEST_EQ(*(uint64_t *)want.gs_base, s.gs_word, "GS:0");
	}
}

static void look_at_segments(struct place *p)
{
	look_at_selectors(p, false);
}

static void look_at_bases(struct place *p)
{
	look_at_selectors(p, true);
}

TEST_F(place, segments)
{
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
		SKIP(return, "no FSGSBASE");
	LOOK(look_at_segments);
}

/* Bases of FS and GS that are not those of their selectors, by WRFSBASE. */
TEST_F(place, segment_bases)
{
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
		SKIP(return, "no FSGSBASE");
	SKIP_IF_STOCK(!test_vendor()->amd,
		      "the base of FS becomes its selector's");
	LOOK(look_at_bases);
}

/* Without FSGSBASE's instructions: arch_prctl(), and what the kernel says. */
static void look_at_arch_prctl(struct place *p)
{
	unsigned long value, fs, seen;

	TEST_CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs) == 0, "FS");
	while (next_round(p)) {
		uint64_t word = rand_u64(), at_gs;

		value = (uintptr_t)&word;
		TEST_CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, value) == 0,
			   "ARCH_SET_GS");
		call(p);
		asm volatile("mov %%gs:0, %0" : "=r" (at_gs));
		TEST_EQ(word, at_gs, "at GS:0");
		TEST_CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &seen) == 0,
			   "ARCH_GET_GS");
		TEST_EQ(value, seen, "GS base");
		TEST_CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &seen) == 0,
			   "ARCH_GET_FS");
		TEST_EQ(fs, seen, "FS base");
	}
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
}

TEST_F(place, arch_prctl)
{
	LOOK(look_at_arch_prctl);
}

/* GS with a segment of the GDT, on every CPU. */
static void look_at_gs(struct place *p)
{
	unsigned int gs, tls = set_tls(&low_word[p->id]);
	uint64_t word;

	while (next_round(p)) {
		low_word[p->id] = rand_u64();
		asm volatile("mov %0, %%gs" : : "r" (tls));
		call(p);
		asm volatile("mov %%gs, %0" : "=r" (gs));
		TEST_EQ(tls, gs, "GS");
		asm volatile("mov %%gs:0, %0" : "=r" (word));
		TEST_EQ(low_word[p->id], word, "at GS:0");
	}
	asm volatile("mov %0, %%gs" : : "r" (0));
}

TEST_F(place, gs_of_gdt)
{
	SKIP_IF_STOCK(!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) &&
		      !test_vendor()->amd, "the base of GS becomes 0");
	LOOK(look_at_gs);
}

/* A thread that runs guest_stay, and what it says of the LDT after each stay. */
struct stayer {
	struct test_vcpu *vcpu;
	int cpu;
	volatile int exits;
	volatile bool stop;
	long limit[2];
};

static void *stay_thread(void *arg)
{
	struct stayer *s = arg;

	thread_move(pthread_self(), s->cpu);
	while (!s->stop) {
		vcpu_run_expect(s->vcpu, KVM_EXIT_IO);
		s->limit[0] = segment_limit(LDT_SELECTOR(0));
		s->limit[1] = segment_limit(LDT_SELECTOR(1));
		s->exits++;
	}
	return NULL;
}

static void sleep_a_bit(void)
{
	nanosleep(&short_time, NULL);
}

/* Wait until *@word is not @old any more; ten seconds at most. */
static void wait_for_change(const volatile void *word, unsigned int old)
{
	const volatile unsigned int *p = word;
	time_t end = time(NULL) + 10;

	while (*p == old) {
		TEST_CHECK(time(NULL) <= end, "nothing happens");
		sleep_a_bit();
	}
}

/*
 * The process has no LDT when the thread goes into KVM_RUN. Another thread makes
 * one, and then another in its place; the one that comes back has it.
 */
static void ldt_made_meanwhile(int stay_cpu, int own_cpu, bool *kept)
{
	struct stayer s = {
		.vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_stay)),
		.cpu = stay_cpu,
	};
	struct test_vm *vm = s.vcpu->vm;
	volatile uint32_t *counter = vm_hva(vm, SPIN_COUNTER, 4);
	struct kvm_regs regs;
	pthread_t thread;
	int i, exits;

	*kept = true;
	TEST_EQ(-1, segment_limit(LDT_SELECTOR(0)), "there is an LDT already");
	vcpu_get_regs(s.vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(s.vcpu, &regs);
	thread_move(pthread_self(), own_cpu);
	TEST_CHECK(!pthread_create(&thread, NULL, stay_thread, &s),
		   "pthread_create");
	for (i = 0; i < 6 && *kept; i++) {
		wait_for_change(counter, *counter);
		exits = s.exits;
		set_ldt(0, low_word, 0x200 + i);
		if (i & 1)
			set_ldt(1, low_word, 0x300 + i);
		wait_for_change(counter, *counter);
		TEST_EQ(exits, s.exits, "the guest has left");
		s.stop = i == 5;
		*(uint64_t *)vm_hva(vm, SPIN_STOP, 8) = 1;
		wait_for_change(&s.exits, exits);
		*kept = s.limit[0] == 0x200 + i;
		if (i & 1 && s.limit[1] != 0x300 + i)
			*kept = false;
		if (!*kept)
			fprintf(stderr, "# LDT %d: limits %#lx %#lx\n", i,
				s.limit[0], s.limit[1]);
	}
	if (!s.stop) {
		s.stop = true;
		*(uint64_t *)vm_hva(vm, SPIN_STOP, 8) = 1;
	}
	TEST_CHECK(!pthread_join(thread, NULL), "join");
	vm_destroy(vm);
}

TEST(ldt_made_in_kvm_run)
{
	bool kept;

	ldt_made_meanwhile(0, 0, &kept);
	EXPECT_TRUE(kept);
}

TEST(ldt_made_in_kvm_run_2_cpus)
{
	bool kept;

	if (test_cpus() < 2)
		SKIP(return, "one CPU only");
	ldt_made_meanwhile(0, 1, &kept);
	SKIP_IF_STOCK(!kept, "an LDT that is new when KVM_RUN ends is not loaded");
	EXPECT_TRUE(kept);
}

/* --- Watchpoints ------------------------------------------------------------------- */

static int watch(const volatile void *addr, int type)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = type,
		.bp_addr = (uintptr_t)addr,
		.bp_len = type == HW_BREAKPOINT_X ? sizeof(long) :
			  HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t watch_count(int fd)
{
	uint64_t count;

	TEST_CHECK(read(fd, &count, 8) == 8, "read of a perf event");
	return count;
}

static __attribute__((noinline)) void watched_function(void)
{
	asm volatile("");
}

static void look_at_watchpoints(struct place *p)
{
	int word = watch(&watched[p->id], HW_BREAKPOINT_W);
	int code = watch(watched_function, HW_BREAKPOINT_X);
	uint64_t words = 0, calls = 0;

	TEST_CHECK(word >= 0 && code >= 0, "perf_event_open");
	while (next_round(p)) {
		watched[p->id]++;
		words++;
		if (p->round & 1) {
			watched_function();
			calls++;
		}
		TEST_EQ(words, watch_count(word), "writes, before");
		call(p);
		TEST_EQ(words, watch_count(word), "writes, nothing written");
		watched[p->id]++;
		watched[p->id]++;
		words += 2;
		watched_function();
		calls++;
		TEST_EQ(words, watch_count(word), "writes, round %d", p->round);
		TEST_EQ(calls, watch_count(code), "calls, round %d", p->round);
	}
	close(word);
	close(code);
}

TEST_F(place, watchpoints)
{
	int fd = watch(&watched[0], HW_BREAKPOINT_W);

	if (fd < 0)
		SKIP(return, "no breakpoint events: %s", strerror(errno));
	close(fd);
	LOOK(look_at_watchpoints);
}

/* --- Vector registers -------------------------------------------------------------- */

static void look_at_vectors(struct place *p)
{
	bool avx = __builtin_cpu_supports("avx");
	struct vectors set = {}, seen;
	int r;

	while (next_round(p)) {
		set.fcw = p->round & 1 ? 0x027f : 0x0f7f;
		set.mxcsr = 0x1f80 | (p->round & 3) << 13;
		set.ftw = 0xff;
		rand_fill(set.st, sizeof(set.st));
		for (r = 0; r < 8; r++) {
			set.st[r][7] |= 0x80;		/* normal numbers */
			memset(set.st[r] + 10, 0, 6);
		}
		rand_fill(set.ymm, sizeof(set.ymm));
		for (r = 0; r < 16; r++)
			memcpy(set.xmm[r], set.ymm[r], 16);
		memcpy(&seen, &set, sizeof(seen));
		called(p, call_with_vectors(&p->call, &seen, avx));
		TEST_EQ(set.fcw, seen.fcw, "x87 control word");
		TEST_EQ(0xff, seen.ftw & 0xff, "x87 tags");
		TEST_EQ(set.mxcsr, seen.mxcsr, "MXCSR");
		TEST_CHECK(!memcmp(set.st, seen.st, sizeof(set.st)),
			   "x87 registers, round %d", p->round);
		TEST_CHECK(!memcmp(set.xmm, seen.xmm, sizeof(set.xmm)),
			   "XMM registers, round %d", p->round);
		TEST_CHECK(!memcmp(set.ymm, seen.ymm, sizeof(set.ymm)),
			   "YMM registers, round %d", p->round);
	}
}

TEST_F(place, vectors)
{
	LOOK(look_at_vectors);
}

/* --- System calls of every kind ---------------------------------------------------- */

enum { INT80, SYSCALL32, SYSENTER };

/* Below 4 GiB. */
static uint8_t stacks[2 * MAX_CPUS][65536] __attribute__((aligned(64)));
static uint8_t low_byte[2 * MAX_CPUS];

/* A 32-bit write(): the kernel does not come back here, but has written. */
static void write32(struct place *p, int fd, int how)
{
	uint32_t args[4] = { 4, fd, (uintptr_t)&low_byte[p->id], 1 };
	int sig;

	sig = sigsetjmp(fault_jmp, 1);
	if (!sig) {
		call32(args, stacks[p->id] + sizeof(stacks[0]) - 64, how);
		TEST_FAIL("a 32-bit system call came back");
	}
	TEST_EQ(SIGSEGV, sig, "signal after a 32-bit system call");
}

static void check_32bit(struct place *p, const int pipe_fd[2], int how)
{
	uint8_t got = 0;

	low_byte[p->id] = rand_u64() | 1;
	write32(p, pipe_fd[1], how);
	TEST_EQ(1, read(pipe_fd[0], &got, 1), "read");
	TEST_EQ(low_byte[p->id], got, "what the 32-bit write wrote");
}

/* The direction flag is clear in the kernel: SFMASK says so. */
static long syscall_with_df(long nr, void *a)
{
	long ret;

	asm volatile("std; syscall; cld" : "=a" (ret)
		     : "0" (nr), "D" (a) : "rcx", "r11", "memory");
	return ret;
}

static void look_at_syscalls(struct place *p)
{
	int fast = test_vendor()->amd ? SYSCALL32 : SYSENTER;
	uint32_t getpid32[4] = { 20 };
	struct utsname want, got;
	int pipe_fd[2];

	TEST_CHECK(pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) == 0, "pipe");
	memset(&want, 0, sizeof(want));
	TEST_CHECK(uname(&want) == 0, "uname");
	while (next_round(p)) {
		call(p);
		TEST_EQ(getpid(), syscall(SYS_getpid), "SYSCALL");
		TEST_EQ(getpid(), call32(getpid32, stacks[p->id] +
					 sizeof(stacks[0]) - 64, INT80),
			"INT 0x80");
		memset(&got, 0, sizeof(got));
		TEST_EQ(0, syscall_with_df(SYS_uname, &got), "uname");
		TEST_CHECK(!memcmp(&want, &got, sizeof(got)),
			   "uname() with the direction flag set");
		check_32bit(p, pipe_fd, fast);
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

TEST_F(place, syscalls)
{
	catch_faults();
	LOOK(look_at_syscalls);
}

/* --- The rest ---------------------------------------------------------------------- */

static void look_at_tsc_aux(struct place *p)
{
	bool has_rdpid = cpu_has_7_ecx(22);
	unsigned int aux, cpu, node;
	uint64_t pid;

	while (next_round(p)) {
		call(p);
		TEST_CHECK(syscall(SYS_getcpu, &cpu, &node, NULL) == 0, "getcpu");
		TEST_EQ(test_cpu(p->cpu), cpu, "CPU");
		__rdtscp(&aux);
		TEST_EQ(node << 12 | cpu, aux, "RDTSCP, round %d", p->round);
		if (!has_rdpid)
			continue;
		asm volatile(".byte 0xf3, 0x0f, 0xc7, 0xf8" : "=a" (pid));
		TEST_EQ(node << 12 | cpu, pid, "RDPID, round %d", p->round);
	}
}

TEST_F(place, tsc_aux)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) ||
	    !(edx & 1 << 27))
		SKIP(return, "no RDTSCP");
	LOOK(look_at_tsc_aux);
}

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* Linux: 16 descriptors, 256 gates. */
static void look_at_tables(struct place *p)
{
	struct table gdt, idt, gdt_of[MAX_CPUS] = {};
	/* Stock KVM leaves what VM exit makes of it. */
	bool skip_idt = !test_device_is_minikvm();

	while (next_round(p)) {
		if (p->round % 3)
			call(p);
		asm volatile("sgdt %0" : "=m" (gdt));
		asm volatile("sidt %0" : "=m" (idt));
		TEST_EQ(0x7f, gdt.limit, "limit of GDTR, round %d", p->round);
		TEST_EQ(0xfff, skip_idt ? 0xfff : idt.limit,
			"limit of IDTR, round %d", p->round);
		if (!gdt_of[p->cpu].base)
			gdt_of[p->cpu] = gdt;
		TEST_EQ(gdt_of[p->cpu].base, gdt.base, "base of GDTR");
	}
}

TEST_F(place, descriptor_tables)
{
	if (cpu_has_7_ecx(2))
		SKIP(return, "the CPU has UMIP: SGDT and SIDT show nothing");
	LOOK(look_at_tables);
}

static uint32_t rdpkru(void)
{
	uint32_t eax, edx;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a" (eax), "=d" (edx)
		     : "c" (0));
	return eax;
}

static void wrpkru(uint32_t value)
{
	asm volatile(".byte 0x0f, 0x01, 0xef" : : "a" (value), "c" (0), "d" (0)
		     : "memory");
}

/* OSPKE */
#define HAVE_PKRU	cpu_has_7_ecx(4)

static bool may_read(const volatile uint8_t *p)
{
	if (sigsetjmp(fault_jmp, 1))
		return false;
	*p;
	return true;
}

/* Any value that leaves the memory without a key accessible. */
static void look_at_pkru(struct place *p)
{
	int key = pkey_alloc(0, 0);
	uint8_t *page;
	uint32_t value;

	TEST_CHECK(key > 0, "pkey_alloc");
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_CHECK(page != MAP_FAILED, "mmap");
	page[0] = 1;
	TEST_CHECK(pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, key) == 0,
		   "pkey_mprotect");
	while (next_round(p)) {
		bool deny = p->round & 1;

		value = (rand_u64() & ~3u & ~(3u << 2 * key)) |
			(uint32_t)deny << 2 * key;
		wrpkru(value);
		call(p);
		TEST_EQ(value, rdpkru(), "PKRU, round %d", p->round);
		TEST_EQ(!deny, may_read(page), "a page with the key, round %d",
			p->round);
		TEST_CHECK(deny || rdpkru() == value, "PKRU");
	}
	wrpkru(0x55555554);
	pkey_free(key);
}

TEST_F(place, pkru)
{
	if (!HAVE_PKRU)
		SKIP(return, "the CPU has no protection keys");
	catch_faults();
	LOOK(look_at_pkru);
}

/* --- A guest that has denied itself everything -------------------------------------- */

/* All of the bytes of a string instruction, in as many exits as it takes. */
static void string_io(struct test_vcpu *vcpu, int dir, uint8_t *bytes, int size,
		      uint32_t own)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data;

	while (size > 0) {
		vcpu_run_expect(vcpu, KVM_EXIT_IO);
		TEST_EQ(own, rdpkru(), "PKRU after INS or OUTS");
		TEST_EQ(dir, run->io.direction, "direction");
		TEST_EQ(PORT_STRING, run->io.port, "port");
		TEST_CHECK(run->io.count <= size, "%u bytes", run->io.count);
		data = (uint8_t *)run + run->io.data_offset;
		if (dir == KVM_EXIT_IO_IN)
			memcpy(data, bytes, run->io.count);
		else
			memcpy(bytes, data, run->io.count);
		bytes += run->io.count;
		size -= run->io.count;
	}
}

static void pku_guest(uint32_t guest_pkru, bool supervisor)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_pku));
	struct pku *pku = vm_hva(vcpu->vm, GUEST_DATA, sizeof(*pku));
	uint32_t own = rdpkru();
	uint8_t out[32], in[32], got[32], *data, *seen;
	uint64_t turn, zero = 0;
	struct kvm_regs regs;

	pku->value = guest_pkru;
	pku->xcr0 = 0x203;
	if (supervisor)
		*(uint64_t *)vm_hva(vcpu->vm, GUEST_PML4, 8) &= ~4ull;
	vcpu_get_regs(vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(vcpu, &regs);

	vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, PORT, 1, 1);
	TEST_EQ(own, rdpkru(), "PKRU after the first exit");
	for (turn = 1; turn <= 8; turn++) {
		rand_fill(out, sizeof(out));
		rand_fill(in, sizeof(in));
		vm_write(vcpu->vm, GUEST_DATA + 0x100, out, sizeof(out));
		vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, PORT, 1, 1);
		TEST_EQ(own, rdpkru(), "PKRU after OUT");
		data = vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, PORT, 1, 1);
		TEST_EQ(own, rdpkru(), "PKRU after IN");
		*data = 0x5a;
		data = vcpu_run_to_mmio(vcpu, true, HOLE, 8);
		TEST_EQ(own, rdpkru(), "PKRU after a write to MMIO");
		TEST_CHECK(!memcmp(data, &turn, 8), "MMIO");
		data = vcpu_run_to_mmio(vcpu, false, HOLE, 8);
		TEST_EQ(own, rdpkru(), "PKRU after a read from MMIO");
		memcpy(data, &turn, 8);
		string_io(vcpu, KVM_EXIT_IO_OUT, got, sizeof(got), own);
		TEST_CHECK(!memcmp(got, out, sizeof(out)), "OUTS");
		string_io(vcpu, KVM_EXIT_IO_IN, in, sizeof(in), own);
		/* Finish the INS, and no more. */
		vcpu->run->immediate_exit = 1;
		TEST_EQ(-1, __vcpu_run(vcpu), "KVM_RUN");
		vcpu->run->immediate_exit = 0;
		errno = 0;
		seen = vm_hva(vcpu->vm, GUEST_DATA + 0x200, sizeof(in));
		TEST_CHECK(!memcmp(seen, in, sizeof(in)), "INS, turn %d",
			   (int)turn);
		memcpy(seen, &zero, 8);
	}
	vcpu_run_to_hlt(vcpu);
	TEST_EQ(own, rdpkru(), "PKRU after HLT");
	vcpu_get_regs(vcpu, &regs);
	if (vm_exception(vcpu->vm)->count) {
		vcpu_dump(vcpu);
		TEST_FAIL("the guest's PKRU is not %#x any more", guest_pkru);
	}
	TEST_EQ(8, regs.r8, "turns of the guest");
	vm_destroy(vcpu->vm);
}

static void skip_without_guest_pku(void)
{
	int dev = test_open_device();
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 7, 0);

	if (!e || !(e->ecx & 1 << 3))
		TEST_SKIP("the guest has no protection keys");
	free(cpuid);
	close(dev);
}

TEST(pku_guest_denies_all)
{
	skip_without_guest_pku();
	pku_guest(~0u, true);
}

TEST(pku_guest_denies_all_but_0)
{
	skip_without_guest_pku();
	pku_guest(0xfffffffc, false);
	pku_guest(0xaaaaaaa8, true);
}

/* And the process has its own. */
TEST(pku_guest_and_own)
{
	int key, i;

	skip_without_guest_pku();
	key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	ASSERT_LT(0, key);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, pkey_set(key, i));
		pku_guest(~0u, true);
		EXPECT_EQ(i, pkey_get(key));
		wrpkru(0xffffffff << 2);
		pku_guest(i & 1 ? 0 : ~0u, true);
		EXPECT_EQ(0xfffffffc, rdpkru());
		wrpkru(0x55555554);
	}
}

TEST_HARNESS_MAIN
