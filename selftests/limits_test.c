// SPDX-License-Identifier: GPL-2.0
/*
 * What a process can take from the host through the device: everything it makes grow is charged to its
 * memory control group, numbers have ends, and whatever happens to the process, all of it comes back.
 * Documentation/security.rst, "What a process can do to the host", says the same in words.
 */
#include <sys/mount.h>
#include <sys/resource.h>

#include "abi.h"
#include "lib/code.h"
#include "lib/file.h"
#include "lib/stats.h"
#include "lib/vendor.h"

/* --- Memory control groups ---------------------------------------------------------------------- */

#define CGROUP_ROOT	"/tmp/limits_test.cgroup"

struct group {
	char dir[64];
};

/* A number of the group's: the whole of @file, or what follows @key there. */
static long group_number(const struct group *g, const char *file, const char *key)
{
	size_t len = key ? strlen(key) : 0;
	char path[128], line[128];
	long number = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", g->dir, file);
	f = fopen(path, "r");
	TEST_CHECK(f, "cannot read %s", path);
	while (fgets(line, sizeof(line), f))
		if (!key || (!strncmp(line, key, len) && line[len] == ' '))
			number = atol(line + len);
	fclose(f);
	return number;
}

/*
 * Bytes that the kernel has allocated for the group, without the pages of processes. CPUs count for
 * themselves; for cpu.stat, and not always for memory.stat, the kernel adds all of it up.
 */
static long group_kernel_bytes(const struct group *g)
{
	long kernel;

	group_number(g, "cpu.stat", NULL);
	kernel = group_number(g, "memory.stat", "kernel");

	TEST_CHECK(kernel >= 0, "memory.stat does not tell");
	return kernel;
}

/* A new group with a limit in bytes, or "max". Ends the test as skipped without such groups. */
static struct group group_create(const char *name, const char *limit)
{
	const struct group root = { CGROUP_ROOT };
	struct group g;

	mkdir(CGROUP_ROOT, 0700);
	if (mount("cgroup2", CGROUP_ROOT, "cgroup2", 0, NULL) && errno != EBUSY)
		TEST_SKIP("no cgroup2");
	if (!dir_put(root.dir, "cgroup.subtree_control", "+memory"))
		TEST_SKIP("no memory control groups");
	snprintf(g.dir, sizeof(g.dir), CGROUP_ROOT "/%s.%d", name, getpid());
	TEST_CHECK(!mkdir(g.dir, 0700), "cannot make %s", g.dir);
	TEST_CHECK(dir_put(g.dir, "memory.max", limit), "no memory.max");
	/* The machine has no swap, but then it need not be asked. */
	dir_put(g.dir, "memory.swap.max", "0");
	return g;
}

static void group_enter(const struct group *g)
{
	TEST_CHECK(dir_put(g->dir, "cgroup.procs", "0"), "cannot enter %s", g->dir);
}

static void group_remove(const struct group *g)
{
	const struct group root = { CGROUP_ROOT };
	int i;

	dir_put(root.dir, "cgroup.procs", "0");
	for (i = 0; rmdir(g->dir); i++) {
		TEST_CHECK(i < 1000, "cannot remove %s", g->dir);
		sleep_ms(10);
	}
	umount(CGROUP_ROOT);
}

/* What RCU frees comes late. */
#define WAIT_MS		6000

/* Wait for a group to be charged at most @limit bytes. */
static long group_falls_to(const struct group *g, long limit)
{
	long bytes = group_kernel_bytes(g);
	int i;

	for (i = 0; i < WAIT_MS / 10 && bytes > limit; i++) {
		sleep_ms(10);
		bytes = group_kernel_bytes(g);
	}
	return bytes;
}

/* --- What there is of the module ------------------------------------------------------------------- */

/* A process's files are closed when nobody can wait for it any more, or a little later. */
static int vms_fall_to(int want)
{
	int count, i;

	for (i = 0; i < 500; i++) {
		count = vms_now();
		if (count <= want)
			break;
		sleep_ms(10);
	}
	return count;
}

static void allow_files(rlim_t files)
{
	struct rlimit limit = { files, files };

	TEST_CHECK(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static int wait_for(pid_t pid)
{
	int status;

	TEST_CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	return status;
}

/* --- Charges --------------------------------------------------------------------------------------------- */

#define SPARSE_STEP	0x200000ul	/* what a page table covers */
#define SPARSE_SLOTS	500

/* 1: movb (%rdi), %al; add %rsi, %rdi; dec %rcx; jnz 1b; hlt */
static const uint8_t touch_code[] = {
	0x8a, 0x07, 0x48, 0x01, 0xf7, 0x48, 0xff, 0xc9, 0x75, 0xf6, 0xf4,
};

/* One page of memory at as many addresses as there are slots, each in a page table of its own. */
static struct test_vcpu *sparse_guest(void)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       touch_code, sizeof(touch_code) });
	struct kvm_regs regs;
	void *page = mmap(NULL, TEST_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	unsigned int i;

	TEST_CHECK(page != MAP_FAILED, "no memory");
	for (i = 1; i <= SPARSE_SLOTS; i++)
		vm_set_slot(vcpu->vm, i, 0, i * SPARSE_STEP, TEST_PAGE, page);
	vcpu_get_regs(vcpu, &regs);
	regs.rdi = regs.rsi = SPARSE_STEP;
	regs.rcx = SPARSE_SLOTS;
	vcpu_set_regs(vcpu, &regs);
	return vcpu;
}

/* A guest that uses little memory in many places has page tables, and its group pays for them. */
TEST(page_tables_are_charged)
{
	const long tables = SPARSE_SLOTS * TEST_PAGE;
	struct group g = group_create("tables", "max");
	struct test_vcpu *vcpu;
	long before, after, gone;

	group_enter(&g);
	vcpu = sparse_guest();
	/* Each slot came with a new array of slots; those before it go. */
	before = group_falls_to(&g, tables / 8);
	vcpu_run_to_hlt(vcpu);
	after = group_kernel_bytes(&g);
	TH_LOG("%ld KiB before the guest ran, %ld KiB after", before / 1024, after / 1024);
	/* Arrays may have gone meanwhile. */
	EXPECT_LE(tables - tables / 8, after - before);
	vm_destroy(vcpu->vm);
	gone = group_falls_to(&g, after - tables);
	EXPECT_GE(after - tables, gone)
		TH_LOG("%ld KiB when the VM is gone", gone / 1024);
	group_remove(&g);
}

static long fill_cpuid(int dev, int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid;

	cpuid.head.nent = ARRAY_LEN(cpuid.entry);
	return xioctl(dev, KVM_GET_SUPPORTED_CPUID, &cpuid) ?:
	       (cpuid.head.nent = ARRAY_LEN(cpuid.entry), xioctl(vcpu, KVM_SET_CPUID2, &cpuid));
}

static long fill_filter(int vm)
{
	static uint8_t bits[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	struct kvm_msr_filter filter = {};
	unsigned int i;

	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++)
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ, .nmsrs = sizeof(bits) * 8,
			.base = 0x10000 * i, .bitmap = bits,
		};
	return xioctl(vm, KVM_X86_SET_MSR_FILTER, &filter);
}

/* A group's figures are a few pages late: the kernel charges in batches, and frees later. */
#define INEXACT		(2 * (long)TEST_PAGE)

/* What ioctls allocate for as long as the VM lives is charged: at least @bytes of it. */
static void expect_charged(const struct group *g, long before, long bytes, const char *what)
{
	long charged = group_kernel_bytes(g) - before;

	printf("# %s: %ld bytes charged, at least %ld wanted\n", what, charged, bytes);
	TEST_CHECK(charged >= bytes - INEXACT, "%s: %ld bytes charged, of %ld", what, charged, bytes);
}

TEST(requests_are_charged)
{
	enum { VMS = 4, ZONES = 900, VCPUS = 8 };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xd0000000, .size = 16 };
	struct group g = group_create("requests", "max");
	int dev = test_open_device(), vm[VMS], vcpu[VCPUS], i;
	long before;

	group_enter(&g);
	for (i = 0; i < VMS; i++) {
		vm[i] = xioctl(dev, KVM_CREATE_VM, 0);
		ASSERT_LE(0, vm[i]);
	}

	before = group_kernel_bytes(&g);
	for (i = 0; i < VCPUS; i++) {
		vcpu[i] = xioctl(vm[0], KVM_CREATE_VCPU, i);
		ASSERT_LE(0, vcpu[i]);
	}
	/* The run structure, the I/O page, the control block. */
	expect_charged(&g, before, VCPUS * 3 * TEST_PAGE, "vCPUs");

	/* Stock KVM charges neither of these. */
	if (test_device_is_minikvm()) {
		before = group_kernel_bytes(&g);
		for (i = 0; i < VCPUS; i++)
			ASSERT_EQ(0, fill_cpuid(dev, vcpu[i]));
		expect_charged(&g, before, VCPUS * 256 * sizeof(struct kvm_cpuid_entry2), "CPUID");

		before = group_kernel_bytes(&g);
		for (i = 0; i < VMS; i++)
			ASSERT_EQ(0, fill_filter(vm[i]));
		expect_charged(&g, before, VMS * KVM_MSR_FILTER_MAX_RANGES *
			       KVM_MSR_FILTER_MAX_BITMAP_SIZE, "MSR filters");
	}

	before = group_kernel_bytes(&g);
	for (i = 0; i < ZONES; i++, zone.addr += zone.size)
		ASSERT_EQ(0, xioctl(vm[0], KVM_REGISTER_COALESCED_MMIO, &zone));
	expect_charged(&g, before, ZONES * sizeof(zone), "zones");

	for (i = 0; i < VCPUS; i++)
		close(vcpu[i]);
	for (i = 0; i < VMS; i++)
		close(vm[i]);
	close(dev);
	group_remove(&g);
}

/* --- The end of a limit ------------------------------------------------------------------------------------- */

#define SMALL_LIMIT	"12582912"

/* Make VMs with vCPUs and tables until something says no. Return: minus errno. */
static long make_vms(int dev)
{
	void *page = mmap(NULL, TEST_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct kvm_userspace_memory_region region = {
		.memory_size = TEST_PAGE, .userspace_addr = (uintptr_t)page,
	};
	int vm, vcpu, i;

	for (;;) {
		vm = xioctl(dev, KVM_CREATE_VM, 0);
		if (vm < 0)
			return vm;
		for (i = 0; i < 4; i++) {
			region.slot = i;
			region.guest_phys_addr = i * SPARSE_STEP;
			vcpu = xioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
			if (vcpu < 0)
				return vcpu;
			vcpu = xioctl(vm, KVM_CREATE_VCPU, i);
			if (vcpu < 0)
				return vcpu;
		}
	}
}

/* The device works for somebody else. */
static void machine_works(void)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       (const uint8_t[]){ 0xf4 }, 1 });

	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/* How a process may end at its limit: ENOMEM, or the OOM killer. */
static bool ended_at_limit(int status)
{
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
	       (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What a group may be charged when its processes are dead: pages of counters and stocks. */
#define REST		(1024 * 1024)

static void expect_all_back(const struct group *g, int vms)
{
	long rest;

	TEST_EQ(vms, vms_fall_to(vms), "VMs that are left");
	rest = group_falls_to(g, REST);
	TEST_CHECK(rest <= REST, "%ld KiB of kernel memory are left", rest / 1024);
	machine_works();
}

TEST(vms_at_the_limit)
{
	struct group g = group_create("vms", SMALL_LIMIT);
	int status, vms = vms_now();
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		allow_files(100000);
		group_enter(&g);
		_exit(make_vms(test_open_device()) == -ENOMEM ? 0 : 1);
	}
	status = wait_for(pid);
	EXPECT_TRUE(ended_at_limit(status))
		TH_LOG("status %#x", status);
	TH_LOG("ended by %s, at most %ld KiB",
	       WIFSIGNALED(status) ? "the OOM killer" : "ENOMEM",
	       group_number(&g, "memory.peak", NULL) / 1024);
	expect_all_back(&g, vms);
	group_remove(&g);
}

/* Page tables alone: one page of memory, and slots at ever more places. */
TEST(page_tables_at_the_limit)
{
	struct group g = group_create("tables", "6291456");
	int status, vms = vms_now(), i;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		group_enter(&g);
		/* 2 MB of tables each. */
		for (i = 0; i < 20; i++)
			if (__vcpu_run(sparse_guest()))
				_exit(errno == ENOMEM || errno == EFAULT ? 0 : 2);
		_exit(1);
	}
	status = wait_for(pid);
	EXPECT_TRUE(ended_at_limit(status))
		TH_LOG("status %#x", status);
	expect_all_back(&g, vms);
	group_remove(&g);
}

/* 1: movb %al, (%rdi); add %rsi, %rdi; and %rcx, %rdi; or %rbx, %rdi; jmp 1b: over all memory, for ever */
static const uint8_t fill_code[] = {
	0x88, 0x07, 0x48, 0x01, 0xf7, 0x48, 0x21, 0xcf, 0x48, 0x09, 0xdf, 0xeb, 0xf3,
};

#define FILL_GPA	0x10000000ul
#define FILL_SIZE	0x4000000ul

static void *fill(void *vcpu)
{
	for (;;)
		if (__vcpu_run(vcpu) && errno != EINTR)
			return (void *)(long)errno;
}

/* Two vCPUs are in the guest, filling memory, when the OOM killer takes their process. */
TEST(killed_in_the_guest)
{
	struct group g = group_create("guest", SMALL_LIMIT);
	int status, vms = vms_now(), i;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct test_vm *vm = vm_create();
		struct test_vcpu *vcpu[2];
		pthread_t thread;

		group_enter(&g);
		vm_add_memory(vm, 1, FILL_GPA, FILL_SIZE);
		vm_load_bytes(vm, fill_code, sizeof(fill_code));
		for (i = 0; i < 2; i++) {
			struct kvm_regs regs = {
				.rip = GUEST_CODE, .rflags = 0x202, .rsi = TEST_PAGE, .rbx = FILL_GPA,
				.rcx = FILL_SIZE - 1, .rdi = FILL_GPA + i * FILL_SIZE / 2,
			};

			vcpu[i] = vm_add_vcpu(vm, i);
			vcpu_set_mode(vcpu[i], MODE_LONG);
			vcpu_set_regs(vcpu[i], &regs);
		}
		if (pthread_create(&thread, NULL, fill, vcpu[1]))
			_exit(2);
		fill(vcpu[0]);
		_exit(3);
	}
	status = wait_for(pid);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		TH_LOG("status %#x", status);
	EXPECT_EQ(1, group_number(&g, "memory.events", "oom_kill"));
	expect_all_back(&g, vms);
	group_remove(&g);
}

/* --- Numbers ---------------------------------------------------------------------------------------------------- */

/* VMs end with the process's files, and begin again when one is closed. */
TEST(vms_and_files)
{
	enum { FILES = 40 };
	int fd[FILES + 1], vms = vms_now(), dev, n, i;

	allow_files(FILES);
	dev = test_open_device();
	for (n = 0; n <= FILES; n++) {
		fd[n] = xioctl(dev, KVM_CREATE_VM, 0);
		if (fd[n] < 0)
			break;
	}
	ASSERT_GE(FILES, n);
	ASSERT_LT(FILES / 2, n);
	EXPECT_EQ(-EMFILE, fd[n]);
	/* No vCPU either, and the VM is as it was. */
	EXPECT_EQ(-EMFILE, xioctl(fd[0], KVM_CREATE_VCPU, 0));
	close(fd[n - 1]);
	fd[n - 1] = xioctl(fd[0], KVM_CREATE_VCPU, 0);
	EXPECT_LE(0, fd[n - 1]);
	EXPECT_EQ(-EMFILE, xioctl(fd[0], KVM_CREATE_VCPU, 1));
	for (i = 0; i < n; i++)
		close(fd[i]);
	close(dev);
	EXPECT_EQ(vms, vms_now());
}

/* A VM with as much as possible of everything, and one more of each. */
TEST(largest_vm)
{
	enum { VCPUS = 256, SLOTS = 512, ZONES = 1000 };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xd0000000, .size = 16 };
	struct kvm_userspace_memory_region region = { .memory_size = TEST_PAGE };
	int dev, vm, fd[VCPUS], i, vms = vms_now();
	long before, all;
	struct group g;

	if (!test_device_is_minikvm())
		SKIP(return, "stock KVM has other limits");
	g = group_create("largest", "max");
	allow_files(VCPUS + 100);
	group_enter(&g);
	dev = test_open_device();
	region.userspace_addr = (uintptr_t)mmap(NULL, TEST_PAGE, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	before = group_kernel_bytes(&g);
	vm = xioctl(dev, KVM_CREATE_VM, 0);
	ASSERT_LE(0, vm);
	for (i = 0; i < SLOTS; i++) {
		region.slot = i;
		region.guest_phys_addr = i * SPARSE_STEP;
		ASSERT_EQ(0, xioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	}
	region.slot = SLOTS;
	region.guest_phys_addr = i * SPARSE_STEP;
	EXPECT_EQ(-EINVAL, xioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	for (i = 0; i < ZONES; i++, zone.addr += zone.size)
		ASSERT_EQ(0, xioctl(vm, KVM_REGISTER_COALESCED_MMIO, &zone));
	EXPECT_EQ(-ENOSPC, xioctl(vm, KVM_REGISTER_COALESCED_MMIO, &zone));
	EXPECT_EQ(0, fill_filter(vm));
	for (i = 0; i < VCPUS; i++) {
		fd[i] = xioctl(vm, KVM_CREATE_VCPU, i);
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(0, fill_cpuid(dev, fd[i]));
	}
	EXPECT_EQ(-EINVAL, xioctl(vm, KVM_CREATE_VCPU, VCPUS));
	all = group_kernel_bytes(&g) - before;
	TH_LOG("%ld KiB, of which the vCPUs have %ld each", all / 1024, all / 1024 / VCPUS);
	/* 64 KiB for a vCPU, and a megabyte for the rest, without page tables. */
	EXPECT_GT(VCPUS * 64 * 1024 + 1024 * 1024, all);
	for (i = 0; i < VCPUS; i++)
		close(fd[i]);
	close(vm);
	close(dev);
	EXPECT_EQ(vms, vms_now());
	EXPECT_GE(before + REST, group_falls_to(&g, before + REST));
	group_remove(&g);
}

TEST_HARNESS_MAIN
