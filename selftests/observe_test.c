// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that never leaves by itself is a thread like any other: it can be
 * stopped, frozen, traced, measured, and takes no more than its share.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/file.h"
#include "lib/thread.h"
#include "lib/vendor.h"
#include "lib/vm.h"

/* Bochs lets no interrupt end a guest that has IF clear. */
#define RFLAGS		0x202

/* Generous: an emulator may be busy with something else. */
#define LIMIT_S		20

/* Of the slot that spinner and test share. */
#define SHARED_GPA	0x10000000ull

#define MAX_SPINNERS	2
#define ROUNDS		3

struct shared {
	volatile uint64_t counter;	/* the guest counts */
	volatile uint64_t stop;		/* and leaves when this is not 0 */
	volatile uint64_t interrupted;	/* KVM_RUNs that ended with EINTR */
};

/* A process whose only thread runs a guest without exits. */
struct spinner {
	pid_t pid;
	struct shared *shared;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000l };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
	errno = 0;
}

/* Wait for @cond to hold. */
#define WAIT_UNTIL(cond, fmt, ...)					\
do {									\
	double __end = now() + LIMIT_S;					\
									\
	while (!(cond)) {						\
		TEST_CHECK(now() < __end, "after %d s: " fmt, LIMIT_S,	\
			   ##__VA_ARGS__);				\
		sleep_ms(1);						\
	}								\
} while (0)

static int last_cpu(void)
{
	return test_cpus() - 1;
}

/* --- Spinners ---------------------------------------------------------------------- */

static void spin(struct shared *shared)
{
	static const uint8_t code[] = {
		/* incq counter; cmpq $0, stop; je back; hlt */
		0x48, 0xff, 0x04, 0x25, 0x00, 0x00, 0x00, 0x10,
		0x48, 0x83, 0x3c, 0x25, 0x08, 0x00, 0x00, 0x10, 0x00,
		0x74, 0xed,
		0xf4,
	};
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	struct kvm_regs regs;

	vm_set_slot(vcpu->vm, 1, 0, SHARED_GPA, TEST_PAGE, shared);
	vcpu_get_regs(vcpu, &regs);
	regs.rflags = RFLAGS;
	vcpu_set_regs(vcpu, &regs);
	while (__vcpu_run(vcpu) != 0) {
		TEST_CHECK(errno == EINTR, "KVM_RUN");
		shared->interrupted++;
	}
	vcpu_expect(vcpu, KVM_EXIT_HLT);
}

static bool has_moved(const struct spinner *s, uint64_t *from)
{
	uint64_t counter = s->shared->counter;

	if (counter == *from)
		return false;
	*from = counter;
	return true;
}

/* The guest runs: it counts on. */
static void expect_running(const struct spinner *s)
{
	uint64_t counter = s->shared->counter;

	WAIT_UNTIL(has_moved(s, &counter), "the guest does not run");
}

/* It does not, for as long as many ticks. */
static void expect_still(const struct spinner *s)
{
	uint64_t counter = s->shared->counter;

	sleep_ms(20);
	TEST_CHECK(!has_moved(s, &counter), "the guest runs");
}

static struct spinner start_spinner(int cpu)
{
	struct spinner s = {};

	s.shared = mmap(NULL, TEST_PAGE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_CHECK(s.shared != MAP_FAILED, "mmap");
	s.pid = fork();
	TEST_CHECK(s.pid >= 0, "fork");
	if (!s.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		thread_move(pthread_self(), cpu);
		spin(s.shared);
		_exit(0);
	}
	expect_running(&s);
	return s;
}

/* The guest is told to leave, and does. */
static void end_spinner(struct spinner *s)
{
	int status;
	pid_t pid;

	s->shared->stop = 1;
	WAIT_UNTIL((pid = waitpid(s->pid, &status, WNOHANG)) != 0,
		   "the spinner does not end");
	TEST_EQ(s->pid, pid, "waitpid");
	TEST_EQ(0, status, "status of the spinner");
	munmap(s->shared, TEST_PAGE);
}

/* Wait for a change of state of the spinner that waitpid() tells of. */
static int wait_status(const struct spinner *s, int options)
{
	int status;

	WAIT_UNTIL(waitpid(s->pid, &status, options | WNOHANG | __WALL) == s->pid,
		   "waitpid() has nothing to tell");
	return status;
}

/* --- Stopped ----------------------------------------------------------------------- */

TEST(stop_and_continue)
{
	struct spinner s = start_spinner(last_cpu());
	int i, status;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, kill(s.pid, SIGSTOP));
		status = wait_status(&s, WUNTRACED);
		EXPECT_TRUE(WIFSTOPPED(status));
		EXPECT_EQ(SIGSTOP, WSTOPSIG(status));
		expect_still(&s);
		ASSERT_EQ(0, kill(s.pid, SIGCONT));
		status = wait_status(&s, WCONTINUED);
		EXPECT_TRUE(WIFCONTINUED(status));
		expect_running(&s);
	}
	EXPECT_LE(ROUNDS, s.shared->interrupted);
	end_spinner(&s);
}

#define CGROUP_ROOT	"/tmp/observe_test.cgroup"

/* "frozen N" in cgroup.events */
static int cgroup_frozen(const char *dir)
{
	char path[128], line[64];
	int frozen = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	f = fopen(path, "r");
	TEST_CHECK(f, "cannot read %s", path);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "frozen %d", &frozen);
	fclose(f);
	return frozen;
}

TEST(cgroup_freezer)
{
	char dir[64], freeze[96], procs[96], pid[16];
	struct spinner s;
	int i;

	mkdir(CGROUP_ROOT, 0700);
	if (mount("cgroup2", CGROUP_ROOT, "cgroup2", 0, NULL) && errno != EBUSY)
		SKIP(return, "no cgroup2: %s", strerror(errno));
	snprintf(dir, sizeof(dir), CGROUP_ROOT "/observe.%d", getpid());
	ASSERT_EQ(0, mkdir(dir, 0700));
	snprintf(freeze, sizeof(freeze), "%s/cgroup.freeze", dir);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);

	s = start_spinner(last_cpu());
	snprintf(pid, sizeof(pid), "%d", s.pid);
	ASSERT_TRUE(file_put(procs, pid));
	expect_running(&s);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_TRUE(file_put(freeze, "1"));
		WAIT_UNTIL(cgroup_frozen(dir) == 1, "the cgroup is not frozen");
		expect_still(&s);
		ASSERT_TRUE(file_put(freeze, "0"));
		WAIT_UNTIL(cgroup_frozen(dir) == 0, "the cgroup is frozen");
		expect_running(&s);
	}
	end_spinner(&s);
	WAIT_UNTIL(rmdir(dir) == 0, "the cgroup cannot be removed");
	umount(CGROUP_ROOT);
	rmdir(CGROUP_ROOT);
}

TEST(ptrace_interrupt)
{
	struct spinner s = start_spinner(last_cpu());
	struct user_regs_struct regs;
	int i, status;

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s.pid, 0, 0));
	expect_running(&s);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, s.pid, 0, 0));
		status = wait_status(&s, 0);
		ASSERT_TRUE(WIFSTOPPED(status));
		EXPECT_EQ(PTRACE_EVENT_STOP, status >> 16);
		expect_still(&s);
		/* It is in KVM_RUN, or has just come from it. */
		ASSERT_EQ(0, ptrace(PTRACE_GETREGS, s.pid, 0, &regs));
		EXPECT_EQ(0x33, regs.cs);
		EXPECT_EQ(0x2b, regs.ss);
		ASSERT_EQ(0, ptrace(PTRACE_CONT, s.pid, 0, 0));
		expect_running(&s);
	}
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, s.pid, 0, 0));
	wait_status(&s, 0);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, s.pid, 0, 0));
	expect_running(&s);
	end_spinner(&s);
}

TEST(ptrace_attach)
{
	struct spinner s = start_spinner(last_cpu());
	int i, status;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, ptrace(PTRACE_ATTACH, s.pid, 0, 0));
		status = wait_status(&s, 0);
		ASSERT_TRUE(WIFSTOPPED(status));
		EXPECT_EQ(SIGSTOP, WSTOPSIG(status));
		expect_still(&s);
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, s.pid, 0, 0));
		expect_running(&s);
	}
	end_spinner(&s);
}

/* --- Measured ---------------------------------------------------------------------- */

/* CPU time of another process, in seconds. */
static double cpu_time(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	TEST_CHECK(clock_getcpuclockid(pid, &clock) == 0, "clock of %d", pid);
	TEST_CHECK(clock_gettime(clock, &ts) == 0, "CPU time of %d", pid);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int open_clock(pid_t pid, struct perf_event_attr attr)
{
	attr.type = PERF_TYPE_SOFTWARE;
	attr.size = sizeof(attr);
	return syscall(SYS_perf_event_open, &attr, pid, -1, -1, 0);
}

/* Counts nanoseconds of CPU time, in and out of the guest. */
TEST(perf_counts_time)
{
	static const struct perf_event_attr attrs[] = {
		{ .config = PERF_COUNT_SW_TASK_CLOCK },
		{ .config = PERF_COUNT_SW_CPU_CLOCK },
		{ .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_guest = 1 },
		{ .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_host = 1 },
	};
	struct spinner s = start_spinner(last_cpu());
	uint64_t before, after;
	double used, begin;
	size_t i;
	int fd;

	fd = open_clock(s.pid, attrs[0]);
	if (fd < 0)
		SKIP(end_spinner(&s); return, "no perf events: %s", strerror(errno));
	close(fd);
	for (i = 0; i < 4; i++) {
		fd = open_clock(s.pid, attrs[i]);
		ASSERT_LE(0, fd);
		/* Read inside what the clock measures, and around it. */
		begin = cpu_time(s.pid);
		ASSERT_EQ(8, read(fd, &before, 8));
		used = cpu_time(s.pid);
		WAIT_UNTIL(cpu_time(s.pid) > used + 0.05, "no CPU time");
		used = cpu_time(s.pid) - used;
		ASSERT_EQ(8, read(fd, &after, 8));
		begin = cpu_time(s.pid) - begin;
		EXPECT_LE(used * 0.9e9, after - before);
		EXPECT_GE(begin * 1.1e9 + 1e6, after - before);
		expect_running(&s);
		close(fd);
	}
	end_spinner(&s);
}

#define PERF_PAGES	8

/* Samples, of this process, in the guest or where the host entered it. */
TEST(perf_samples)
{
	struct perf_event_attr attr = {
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 5000000,	/* ns */
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID,
	};
	struct perf_event_mmap_page *page;
	struct spinner s = start_spinner(last_cpu());
	uint64_t at = 0;
	int fd, samples = 0, inside = 0;
	struct {
		struct perf_event_header header;
		uint64_t ip;
		uint32_t pid, tid;
	} *sample;

	fd = open_clock(s.pid, attr);
	if (fd < 0)
		SKIP(end_spinner(&s); return, "no perf events: %s", strerror(errno));
	page = mmap(NULL, (1 + PERF_PAGES) * TEST_PAGE, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, page);
	WAIT_UNTIL(page->data_head >= 20 * sizeof(*sample), "no samples");
	__sync_synchronize();
	while (at < page->data_head &&
	       at + sizeof(*sample) <= PERF_PAGES * TEST_PAGE) {
		sample = (void *)((char *)page + TEST_PAGE + at);
		at += sample->header.size;
		if (sample->header.type != PERF_RECORD_SAMPLE)
			continue;
		samples++;
		EXPECT_EQ(s.pid, sample->pid);
		/* Stock KVM tells perf where the guest is. */
		inside += sample->ip >> 63 ||
			  (sample->ip >= GUEST_CODE &&
			   sample->ip < GUEST_CODE + 20);
	}
	EXPECT_LE(10, samples);
	EXPECT_LE(samples * 3 / 4, inside);
	expect_running(&s);
	munmap(page, (1 + PERF_PAGES) * TEST_PAGE);
	close(fd);
	end_spinner(&s);
}

/* Ticks in /proc/PID/stat. */
struct times {
	unsigned long user, system, guest;
};

static struct times read_times(pid_t pid)
{
	struct times t = {};
	char path[64], text[1024], *p;
	int field;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	TEST_CHECK(f && fgets(text, sizeof(text), f), "cannot read %s", path);
	fclose(f);
	/* Behind the name in brackets comes field 3. */
	p = strrchr(text, ')') + 2;
	for (field = 3; p; field++) {
		unsigned long value = strtoul(p, NULL, 10);

		if (field == 14)
			t.user = value;
		else if (field == 15)
			t.system = value;
		else if (field == 43)
			t.guest = value;
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return t;
}

/* The same for a whole CPU: user (guests in it), system, guest. */
static struct times read_cpu_times(int cpu)
{
	FILE *f = fopen("/proc/stat", "r");
	struct times t = {};
	char line[256], name[16];

	TEST_CHECK(f, "cannot read /proc/stat");
	snprintf(name, sizeof(name), "cpu%d ", test_cpu(cpu));
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line, "%*s %lu %*u %lu %*u %*u %*u %*u %*u %lu",
			       &t.user, &t.system, &t.guest);
	fclose(f);
	return t;
}

/*
 * A guest's time is its own kind, and a part of the user's. Ticks are compared with
 * ticks: those that a busy computer lets the machine miss are nobody's.
 */
TEST(guest_time)
{
	int cpu = last_cpu();
	struct spinner s = start_spinner(cpu);
	struct times from, to, cpu_from, cpu_to;
	unsigned long guest, user, system, ticks;
	double used = cpu_time(s.pid);

	cpu_from = read_cpu_times(cpu);
	from = read_times(s.pid);
	WAIT_UNTIL(cpu_time(s.pid) > used + 0.6 &&
		   read_times(s.pid).guest >= from.guest + 20,
		   "the guest has no time");
	to = read_times(s.pid);
	cpu_to = read_cpu_times(cpu);
	guest = to.guest - from.guest;
	user = to.user - from.user;
	system = to.system - from.system;
	ticks = cpu_to.user - cpu_from.user + cpu_to.system - cpu_from.system;
	TH_LOG("process: user %lu, system %lu, guest %lu; CPU: user %lu, system %lu, guest %lu",
	       user, system, guest, cpu_to.user - cpu_from.user,
	       cpu_to.system - cpu_from.system, cpu_to.guest - cpu_from.guest);
	EXPECT_LE(ticks * 8 / 10, guest);
	EXPECT_GE(ticks + 2, guest);
	EXPECT_LE(guest, cpu_to.guest - cpu_from.guest + 2);
	/* These are scaled to what the scheduler has measured. */
	EXPECT_LE(guest, user + user / 4 + 2);
	EXPECT_GE(user / 4 + 2, system);
	end_spinner(&s);
}

/* A process beside it, on the same CPU, gets its half. */
TEST(fair_share)
{
	int cpu = last_cpu(), status;
	struct spinner s = start_spinner(cpu);
	double begin, wall, used, other;
	pid_t pid;

	used = cpu_time(s.pid);
	begin = now();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		volatile unsigned int i;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		thread_move(pthread_self(), cpu);
		while (clock() < CLOCKS_PER_SEC / 3)
			for (i = 0; i < 1000; i++)
				;
		_exit(0);
	}
	WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid, "starved");
	wall = now() - begin;
	other = cpu_time(s.pid) - used;
	TH_LOG("0.33 s of CPU time in %.2f s; the guest had %.2f s", wall, other);
	EXPECT_EQ(0, status);
	/* Half is what both should have; the rest is for a busy computer. */
	EXPECT_GT(1.5, other);
	EXPECT_LT(0.1, other);
	expect_running(&s);
	end_spinner(&s);
}

/* --- Traced ------------------------------------------------------------------------ */

#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCE	TRACEFS "/instances/minikvm-observe"
#define GROUP		"minikvm_observe"

/* What an earlier test has left behind when it failed, too. */
static void reset_tracing(void)
{
	file_put(TRACEFS "/current_tracer", "nop");
	truncate(TRACEFS "/set_ftrace_filter", 0);
	file_put(INSTANCE "/current_tracer", "nop");
	file_put(TRACEFS "/events/" GROUP "/enable", "0");
	file_put(TRACEFS "/kprobe_events", "-:" GROUP "/exits");
	file_put(TRACEFS "/kprobe_events", "-:" GROUP "/cpuids");
	file_put(TRACEFS "/kprobe_events", "-:" GROUP "/returns");
	rmdir(INSTANCE);
	errno = 0;
}

/* RCX times CPUID, and now and then an OUT. */
static struct test_vcpu *busy_guest(void)
{
	static const uint8_t code[] = {
		0x49, 0x89, 0xc8,		/* mov %rcx, %r8 */
		0x31, 0xc0,			/* 1: xor %eax, %eax */
		0x31, 0xc9,			/* xor %ecx, %ecx */
		0x0f, 0xa2,			/* cpuid */
		0x49, 0xff, 0xc8,		/* dec %r8 */
		0x49, 0xf7, 0xc0, 0x1f, 0, 0, 0,	/* test $31, %r8 */
		0x75, 0x02,			/* jnz 2f */
		0xe6, 0x80,			/* out %al, $0x80 */
		0x4d, 0x85, 0xc0,		/* 2: test %r8, %r8 */
		0x75, 0xe7,			/* jnz 1b */
		0xf4,
	};

	return vm_with_guest(MODE_LONG, (struct guest_code){ code, sizeof(code) });
}

static void run_busy_guest(struct test_vcpu *vcpu, unsigned int count)
{
	struct kvm_regs regs;
	unsigned int outs = 0;

	vcpu_get_regs(vcpu, &regs);
	regs.rcx = count;
	regs.rip = GUEST_CODE;
	regs.rflags = RFLAGS;
	vcpu_set_regs(vcpu, &regs);
	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_IO)
			break;
		outs++;
	}
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	TEST_EQ(count / 32, outs, "OUTs");
	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(GUEST_CODE + 29, regs.rip, "RIP at the end");
}

/* How often a probe was hit, by kprobe_profile: event, hits, misses. */
static uint64_t probe_hits(const char *event)
{
	char line[256], name[128];
	unsigned long long hits, found = 0;
	FILE *f = fopen(TRACEFS "/kprobe_profile", "r");

	TEST_CHECK(f, "cannot read kprobe_profile");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%127s %llu", name, &hits) == 2 &&
		    !strcmp(name, event))
			found = hits;
	fclose(f);
	return found;
}

/* Needs the file to be opened for appending. */
static bool add_probe(const char *text)
{
	int fd = open(TRACEFS "/kprobe_events", O_WRONLY | O_APPEND | O_CLOEXEC);
	bool ok;

	TEST_CHECK(fd >= 0, "cannot open kprobe_events");
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

TEST(kprobes)
{
	const char *exits = test_vendor()->amd ? "svm_handle_exit" :
			    "vmx_handle_exit";
	struct test_vcpu *vcpu;
	struct spinner s;
	char text[128];

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm's functions");
	if (access(TRACEFS "/kprobe_events", W_OK))
		SKIP(return, "no kprobe events");
	reset_tracing();
	vcpu = busy_guest();
	s = start_spinner(last_cpu());

	ASSERT_TRUE(add_probe("p:" GROUP "/cpuids mkvm_handle_cpuid"));
	ASSERT_TRUE(add_probe("r:" GROUP "/returns mkvm_handle_cpuid"));
	snprintf(text, sizeof(text), "p:" GROUP "/exits %s", exits);
	ASSERT_TRUE(add_probe(text));
	ASSERT_TRUE(file_put(TRACEFS "/events/" GROUP "/enable", "1"));
	run_busy_guest(vcpu, 320);
	expect_running(&s);
	ASSERT_TRUE(file_put(TRACEFS "/events/" GROUP "/enable", "0"));
	EXPECT_EQ(320, probe_hits("cpuids"));
	EXPECT_EQ(320, probe_hits("returns"));
	/* CPUID, OUT, HLT; the spinner leaves for interrupts. */
	EXPECT_LE(320 + 10 + 1, probe_hits("exits"));
	/* And without them. */
	run_busy_guest(vcpu, 320);
	EXPECT_EQ(320, probe_hits("cpuids"));
	end_spinner(&s);
	reset_tracing();
	vm_destroy(vcpu->vm);
}

/* Between host and guest nothing may be probed: the kernel has to know. */
TEST(no_kprobes_around_entry)
{
	static const char *const names[2][2] = {
		{ "vmx_enter_asm", "vmx_enter_exit" },
		{ "svm_enter_asm", "svm_enter_exit" },
	};
	bool amd = test_vendor()->amd;
	char text[128];
	int i;

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm's functions");
	if (access(TRACEFS "/kprobe_events", W_OK))
		SKIP(return, "no kprobe events");
	reset_tracing();
	for (i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "p:" GROUP "/exits %s",
			 names[amd][i]);
		errno = 0;
		EXPECT_FALSE(add_probe(text))
			TH_LOG("%s can be probed", names[amd][i]);
		/* The function in C may have been inlined: no such symbol. */
		if (i == 0 || errno != ENOENT)
			EXPECT_EQ(EINVAL, errno);
	}
	reset_tracing();
}

/* Does the trace buffer of @dir hold @word? */
static bool trace_holds(const char *dir, const char *word)
{
	char path[128], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", dir);
	f = fopen(path, "r");
	TEST_CHECK(f, "cannot read %s", path);
	while (!found && fgets(line, sizeof(line), f))
		found = line[0] != '#' && strstr(line, word);
	fclose(f);
	return found;
}

static const char *run_function(void)
{
	return test_device_is_minikvm() ? "mkvm_arch_vcpu_run" :
	       "kvm_arch_vcpu_ioctl_run";
}

static const char *module_filter(void)
{
	return test_device_is_minikvm() ? "*:mod:minikvm" : "*:mod:kvm";
}

TEST(function_tracer)
{
	struct test_vcpu *vcpu;
	struct spinner s;
	int i;

	if (access(TRACEFS "/set_ftrace_filter", W_OK))
		SKIP(return, "no function tracer");
	reset_tracing();
	vcpu = busy_guest();
	s = start_spinner(last_cpu());
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	ASSERT_TRUE(file_put(INSTANCE "/set_ftrace_filter", module_filter()));
	for (i = 0; i < 2; i++) {
		/* Switched on and off while guests are in it. */
		ASSERT_TRUE(file_put(INSTANCE "/trace", "\n"));
		ASSERT_TRUE(file_put(INSTANCE "/current_tracer", "function"));
		run_busy_guest(vcpu, 640);
		expect_running(&s);
		ASSERT_TRUE(file_put(INSTANCE "/tracing_on", "0"));
		EXPECT_TRUE(trace_holds(INSTANCE, run_function()));
		ASSERT_TRUE(file_put(INSTANCE "/tracing_on", "1"));
		ASSERT_TRUE(file_put(INSTANCE "/current_tracer", "nop"));
		run_busy_guest(vcpu, 320);
	}
	end_spinner(&s);
	reset_tracing();
	EXPECT_NE(0, access(INSTANCE, F_OK));
	vm_destroy(vcpu->vm);
}

/* With the graph tracer each function's return is caught, too. */
TEST(function_graph_tracer)
{
	struct test_vcpu *vcpu;
	struct spinner s;

	if (access(TRACEFS "/set_ftrace_filter", W_OK))
		SKIP(return, "no function tracer");
	reset_tracing();
	vcpu = busy_guest();
	ASSERT_TRUE(file_put(TRACEFS "/set_ftrace_filter", module_filter()));
	s = start_spinner(last_cpu());
	if (!file_put(TRACEFS "/current_tracer", "function_graph")) {
		end_spinner(&s);
		reset_tracing();
		SKIP(return, "no graph tracer");
	}
	run_busy_guest(vcpu, 320);
	expect_running(&s);
	ASSERT_TRUE(file_put(TRACEFS "/tracing_on", "0"));
	EXPECT_TRUE(trace_holds(TRACEFS, run_function()));
	ASSERT_TRUE(file_put(TRACEFS "/trace", "\n"));
	ASSERT_TRUE(file_put(TRACEFS "/tracing_on", "1"));
	end_spinner(&s);
	reset_tracing();
	run_busy_guest(vcpu, 320);
	vm_destroy(vcpu->vm);
}

/* What the kernel does around a guest, and what an interrupt does that ends one. */
TEST(function_tracer_of_kernel)
{
	static const char *const filters[] = {
		"*irq*\n", "*rcu*\n", "*sched*\n", "*context_track*\n",
		"*vtime*\n", "*fpu*\n", "*preempt*\n", "*account*\n",
		"*guest*\n",
	};
	int fd = open(TRACEFS "/set_ftrace_filter", O_WRONLY | O_CLOEXEC);
	struct test_vcpu *vcpu;
	struct spinner s;
	size_t i;

	if (fd < 0)
		SKIP(return, "no function tracer");
	close(fd);
	if (!test_cpu_is_tcg())
		SKIP(return, "takes long on an emulator that interprets");
	reset_tracing();
	vcpu = busy_guest();
	s = start_spinner(last_cpu());
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	fd = open(INSTANCE "/set_ftrace_filter", O_WRONLY | O_APPEND | O_CLOEXEC);
	ASSERT_LE(0, fd);
	/* Not each has functions in every kernel; these have. */
	for (i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (write(fd, filters[i], strlen(filters[i])) < 0)
			ASSERT_LT(2, i);
	close(fd);
	ASSERT_TRUE(file_put(INSTANCE "/current_tracer", "function"));
	run_busy_guest(vcpu, 640);
	expect_running(&s);
	ASSERT_TRUE(file_put(INSTANCE "/tracing_on", "0"));
	EXPECT_TRUE(trace_holds(INSTANCE, "irq"));
	ASSERT_TRUE(file_put(INSTANCE "/current_tracer", "nop"));
	end_spinner(&s);
	reset_tracing();
	vm_destroy(vcpu->vm);
}

/* --- RCU --------------------------------------------------------------------------- */

/* A grace period ends although every CPU is in a guest. */
TEST(grace_periods)
{
	int cpus = last_cpu() + 1, i;
	struct spinner s[MAX_SPINNERS];
	double begin, longest = 0;

	if (cpus > MAX_SPINNERS)
		cpus = MAX_SPINNERS;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		SKIP(return, "no membarrier(): %s", strerror(errno));
	for (i = 0; i < cpus; i++)
		s[i] = start_spinner(i);
	for (i = 0; i < 10; i++) {
		begin = now();
		ASSERT_EQ(0, syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
		if (now() - begin > longest)
			longest = now() - begin;
	}
	TH_LOG("the longest of 10 grace periods took %.3f s", longest);
	EXPECT_GT(5, longest);
	for (i = 0; i < cpus; i++)
		expect_running(&s[i]);
	for (i = 0; i < cpus; i++)
		end_spinner(&s[i]);
}

TEST_HARNESS_MAIN
