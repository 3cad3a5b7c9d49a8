// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation and every copy to or from userspace fails once.
 *
 * The kernel's fault injection does that: of a step's calls that can fail the N-th does (lib/fault.h).
 * Each step here is repeated with N = 1, 2 ... until it has fewer such calls. A step that failed must
 * say ENOMEM or EFAULT, must leave no file and no directory in debugfs behind, and must work when done
 * again.
 * That no memory is left behind is what kmemleak says afterwards (tools/testvm/guest/run-list).
 */
#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "abi.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/stats.h"

#define DEBUGFS		"/sys/kernel/debug/"
#define MODULE_FILE	"/minikvm.ko"

/* More calls that can fail than any step makes. */
#define MOST_FAULTS	5000

static int fail_nth = -1;
/* What KVM_IOEVENTFD is given. */
static int bell;

static void need_faults(void)
{
	if (!faults_init())
		TEST_SKIP("this kernel has no fault injection");
	fail_nth = faults_open();
	bell = eventfd(0, EFD_CLOEXEC);
}

/* What a step that failed may not leave behind. */
struct inventory {
	int files;
	int vms;	/* directories in debugfs */
};

static struct inventory inventory_now(void)
{
	return (struct inventory){
		.files = dir_count("/proc/self/fd", DT_LNK),
		.vms = vms_now(),
	};
}

/* --- The steps ----------------------------------------------------------------------------- */

/* Writes to memory, reads it back, and tells. */
GUEST(guest_touch, "mov $0x3000, %bx\n movb $0x5a, (%bx)\n mov (%bx), %al\n"
		   "out %al, $0x10\n hlt\n");
/* Adds 1 to a byte of each of eight pages, tells their sum, and again. */
GUEST(guest_sum, "1: mov $0x4000, %bx\n xor %al, %al\n"
		 "2: incb (%bx)\n add (%bx), %al\n"
		 "add $0x1000, %bx\n cmp $0xc000, %bx\n jne 2b\n"
		 "out %al, $0x10\n jmp 1b\n");
/* FS is where no memory is. */
GUEST(guest_device, "1: mov %fs:(0x10), %eax\n jmp 1b\n");
GUEST(guest_strings, "1: mov $0x4ffc, %si\n mov $8, %cx\n cld\n rep outsb\n jmp 1b\n");

union any_arg {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_vcpu_events events;
	struct kvm_guest_debug debug;
	struct kvm_mp_state mp_state;
	struct kvm_enable_cap cap;
	struct kvm_interrupt irq;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs;
	struct {
		struct kvm_msr_list head;
		uint32_t index[1024];
	} msr_list;
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid;
	struct kvm_sregs2 sregs2;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	struct kvm_translation translation;
	struct kvm_coalesced_mmio_zone zone;
	struct kvm_ioeventfd bell;
	struct kvm_msr_filter filter;
	struct {
		struct kvm_signal_mask head;
		uint8_t mask[8];
	} sigmask;
	uint8_t xsave[8192];
};

static union any_arg any;

/* A step changes a machine; what it is to be called with is in @any. */
struct step {
	const char *name;
	long (*call)(struct machine *m);
	void (*prepare)(struct machine *m);	/* before each call, without faults */
	void (*undo)(struct machine *m);	/* after each call that succeeded */
};

static long call_open(struct machine *m)
{
	m->dev = open(test_device(), O_RDWR | O_CLOEXEC);
	return m->dev < 0 ? -errno : 0;
}

static void undo_open(struct machine *m)
{
	close(m->dev);
	m->dev = -1;
}

static void prepare_dev(struct machine *m)
{
	if (m->dev < 0)
		m->dev = open(test_device(), O_RDWR | O_CLOEXEC);
}

static long call_create_vm(struct machine *m)
{
	m->vm = xioctl(m->dev, KVM_CREATE_VM, 0);
	return m->vm < 0 ? m->vm : 0;
}

static void undo_create_vm(struct machine *m)
{
	close(m->vm);
	m->vm = -1;
}

static void prepare_vm(struct machine *m)
{
	prepare_dev(m);
	if (m->vm < 0)
		m->vm = ioctl(m->dev, KVM_CREATE_VM, 0);
	if (!m->mem) {
		m->mem = mmap(NULL, MACHINE_MEM, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_CHECK(m->mem != MAP_FAILED, "no memory");
	}
}

static long call_add_slot(struct machine *m)
{
	return machine_slot(m, 0, 0, 0, MACHINE_MEM, m->mem);
}

static void undo_add_slot(struct machine *m)
{
	TEST_EQ(0, machine_slot(m, 0, 0, 0, 0, m->mem), "slot is not deleted");
}

static void prepare_slot(struct machine *m)
{
	prepare_vm(m);
	TEST_EQ(0, machine_slot(m, 0, 0, 0, MACHINE_MEM, m->mem), "no slot");
}

static long call_move_slot(struct machine *m)
{
	return machine_slot(m, 0, 0, MACHINE_MEM, MACHINE_MEM, m->mem);
}

static long call_delete_slot(struct machine *m)
{
	return machine_slot(m, 0, 0, 0, 0, m->mem);
}

static long call_create_vcpu(struct machine *m)
{
	m->vcpu = xioctl(m->vm, KVM_CREATE_VCPU, 0);
	return m->vcpu < 0 ? m->vcpu : 0;
}

/* The vCPU lives as long as the VM. */
static void undo_create_vcpu(struct machine *m)
{
	close(m->vcpu);
	close(m->vm);
	m->vcpu = -1;
	m->vm = -1;
}

static void prepare_vcpu(struct machine *m)
{
	const char *step;

	if (m->vcpu >= 0)
		return;
	step = machine_init(m);
	TEST_CHECK(!step, "%s", step);
	GUEST_LOAD(m, guest_touch);
}

static void *mapped;

static long call_mmap(struct machine *m)
{
	mapped = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		      m->vcpu, 0);
	return mapped == MAP_FAILED ? -errno : 0;
}

/* Not while faults are on: munmap() can fail, too. */
static void undo_mmap(struct machine *m)
{
	munmap(mapped, m->run_size);
}

/* The first KVM_RUN makes the page tables and faults the memory in. */
static long call_run(struct machine *m)
{
	long ret = machine_run(m);

	if (ret)
		return ret;
	TEST_EQ(KVM_EXIT_IO, m->run->exit_reason, "first exit");
	TEST_EQ(0x5a, *machine_io_data(m), "what the guest has written");
	return 0;
}

/* Memory that is gone from the process, and from the guest's tables: faulted in again. */
static void prepare_gone(struct machine *m)
{
	prepare_vcpu(m);
	GUEST_LOAD(m, guest_sum);
	TEST_EQ(0, machine_enter_at(m, MACHINE_CODE), "registers");
	TEST_EQ(0, machine_run(m), "the first run");
	TEST_EQ(0, madvise(m->mem + 0x4000, 0x8000, MADV_DONTNEED), "madvise");
	m->mem[0x4000] = 1;
	m->mem[0xb000] = 2;
}

static long call_run_sum(struct machine *m)
{
	long ret = machine_run(m);

	if (ret)
		return ret;
	TEST_EQ(KVM_EXIT_IO, m->run->exit_reason, "exit");
	TEST_EQ(8 + 1 + 2, *machine_io_data(m), "what the guest has read");
	return 0;
}

/* An instruction that cannot be read is not executed, and userspace hears of it. */
static long run_and_read(struct machine *m, uint32_t reason)
{
	long ret = machine_run(m);

	if (!ret && m->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		return -EFAULT;
	if (!ret)
		TEST_EQ(reason, m->run->exit_reason, "exit");
	return ret;
}

static void prepare_device(struct machine *m)
{
	struct kvm_sregs sregs;

	prepare_vcpu(m);
	GUEST_LOAD(m, guest_device);
	TEST_EQ(0, machine_enter_at(m, MACHINE_CODE), "registers");
	TEST_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &sregs), "segments");
	sregs.fs.base = MACHINE_HOLE;
	TEST_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &sregs), "segments");
}

static long call_run_device(struct machine *m)
{
	return run_and_read(m, KVM_EXIT_MMIO);
}

/* From one page to the next. */
static void prepare_strings(struct machine *m)
{
	prepare_vcpu(m);
	GUEST_LOAD(m, guest_strings);
	TEST_EQ(0, machine_enter_at(m, MACHINE_CODE), "registers");
	TEST_EQ(0, madvise(m->mem + 0x4000, 0x2000, MADV_DONTNEED), "madvise");
}

static long call_run_strings(struct machine *m)
{
	return run_and_read(m, KVM_EXIT_IO);
}

/* Register sets in the run structure, both ways. */
static void prepare_sync(struct machine *m)
{
	prepare_vcpu(m);
	GUEST_LOAD(m, guest_touch);
	m->run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	m->run->immediate_exit = 1;
	TEST_EQ(-EINTR, machine_run(m), "registers to the run structure");
	m->run->immediate_exit = 0;
}

static long call_run_sync(struct machine *m)
{
	m->run->s.regs.regs.rip = MACHINE_CODE;
	m->run->kvm_dirty_regs = KVM_SYNC_X86_VALID_FIELDS;
	return call_run(m);
}

static const struct step steps[] = {
	{ "open", call_open, NULL, undo_open },
	{ "KVM_CREATE_VM", call_create_vm, prepare_dev, undo_create_vm },
	{ "KVM_SET_USER_MEMORY_REGION, new", call_add_slot, prepare_vm, undo_add_slot },
	{ "KVM_SET_USER_MEMORY_REGION, moved", call_move_slot, prepare_slot, undo_add_slot },
	{ "KVM_SET_USER_MEMORY_REGION, deleted", call_delete_slot, prepare_slot },
	{ "KVM_CREATE_VCPU", call_create_vcpu, prepare_slot, undo_create_vcpu },
	{ "mmap of the vCPU", call_mmap, prepare_vcpu, undo_mmap },
	{ "KVM_RUN", call_run, prepare_vcpu, machine_destroy },
	{ "KVM_RUN, memory gone", call_run_sum, prepare_gone, machine_destroy },
	{ "KVM_RUN, device", call_run_device, prepare_device, machine_destroy },
	{ "KVM_RUN, strings", call_run_strings, prepare_strings, machine_destroy },
	{ "KVM_RUN, sync regs", call_run_sync, prepare_sync, machine_destroy },
};

/* --- The ioctls that only move structures --------------------------------------------------- */

enum whose { DEV, VM, VCPU };

static const struct simple {
	const char *name;
	enum whose file;
	unsigned long request;
	long also;	/* what it says, too, when it fails */
} simple[] = {
#define SIMPLE(file, name, ...) { #name, file, name, ##__VA_ARGS__ }
	SIMPLE(DEV, KVM_GET_SUPPORTED_CPUID),
	/* Padding that cannot be read is padding that is not 0. */
	SIMPLE(DEV, KVM_GET_EMULATED_CPUID, -EINVAL),
	SIMPLE(DEV, KVM_GET_MSR_INDEX_LIST),
	SIMPLE(DEV, KVM_GET_MSR_FEATURE_INDEX_LIST),
	SIMPLE(DEV, KVM_GET_MSRS),
	SIMPLE(VM, KVM_REGISTER_COALESCED_MMIO),
	SIMPLE(VM, KVM_UNREGISTER_COALESCED_MMIO),
	SIMPLE(VM, KVM_IOEVENTFD),
	SIMPLE(VM, KVM_X86_SET_MSR_FILTER),
	SIMPLE(VM, KVM_ENABLE_CAP),
	/* Each SET takes what the GET before it gave. */
	SIMPLE(VCPU, KVM_GET_REGS), SIMPLE(VCPU, KVM_SET_REGS),
	SIMPLE(VCPU, KVM_GET_SREGS), SIMPLE(VCPU, KVM_SET_SREGS),
	SIMPLE(VCPU, KVM_GET_FPU), SIMPLE(VCPU, KVM_SET_FPU),
	SIMPLE(VCPU, KVM_GET_VCPU_EVENTS), SIMPLE(VCPU, KVM_SET_VCPU_EVENTS),
	SIMPLE(VCPU, KVM_GET_MP_STATE), SIMPLE(VCPU, KVM_SET_MP_STATE),
	SIMPLE(VCPU, KVM_GET_MSRS), SIMPLE(VCPU, KVM_SET_MSRS),
	SIMPLE(VCPU, KVM_SET_GUEST_DEBUG),
	SIMPLE(VCPU, KVM_INTERRUPT),
	SIMPLE(VCPU, KVM_NMI),
	SIMPLE(VCPU, KVM_SET_CPUID2), SIMPLE(VCPU, KVM_GET_CPUID2),
	SIMPLE(VCPU, KVM_SET_CPUID),
	SIMPLE(VCPU, KVM_GET_SREGS2), SIMPLE(VCPU, KVM_SET_SREGS2),
	SIMPLE(VCPU, KVM_GET_XSAVE), SIMPLE(VCPU, KVM_SET_XSAVE),
	SIMPLE(VCPU, KVM_GET_XSAVE2),
	SIMPLE(VCPU, KVM_GET_XCRS), SIMPLE(VCPU, KVM_SET_XCRS),
	SIMPLE(VCPU, KVM_GET_DEBUGREGS), SIMPLE(VCPU, KVM_SET_DEBUGREGS),
	SIMPLE(VCPU, KVM_TRANSLATE),
	SIMPLE(VCPU, KVM_SET_SIGNAL_MASK),
#undef SIMPLE
};

static uint8_t filter_bits[KVM_MSR_FILTER_MAX_BITMAP_SIZE];

/* The argument of a row that does not take what the row before it gave. */
static void set_argument(const struct machine *m, unsigned long request)
{
	static unsigned int bells;

	switch (request) {
	case KVM_GET_EMULATED_CPUID:
		memset(&any, 0, sizeof(any));
		any.cpuid.head.nent = ARRAY_LEN(any.cpuid.entry);
		break;
	case KVM_GET_SUPPORTED_CPUID:
	case KVM_SET_CPUID2:
	case KVM_GET_CPUID2:
		any.cpuid.head.nent = ARRAY_LEN(any.cpuid.entry);
		TEST_EQ(0, xioctl(m->dev, KVM_GET_SUPPORTED_CPUID, &any), "CPUID");
		break;
	case KVM_SET_CPUID:
		/* Entries without a meaning. */
		memset(&any, 0, sizeof(any));
		any.cpuid.head.nent = 100;
		break;
	case KVM_REGISTER_COALESCED_MMIO:
		any.zone = (struct kvm_coalesced_mmio_zone){ .addr = MACHINE_HOLE, .size = 8 };
		break;
	case KVM_IOEVENTFD:
		/* Another address each time: one that a fault did not stop is there. */
		any.bell = (struct kvm_ioeventfd){ .addr = MACHINE_HOLE + 4 * bells++, .len = 4,
						   .fd = bell };
		break;
	case KVM_X86_SET_MSR_FILTER:
		any.filter = (struct kvm_msr_filter){
			.ranges = {
				{ KVM_MSR_FILTER_READ, sizeof(filter_bits) * 8, 0x10000, filter_bits },
				{ KVM_MSR_FILTER_WRITE, 64, 0x20000, filter_bits },
			},
		};
		break;
	case KVM_ENABLE_CAP:
		any.cap = (struct kvm_enable_cap){ .cap = KVM_CAP_X86_USER_SPACE_MSR };
		break;
	case KVM_TRANSLATE:
		any.translation = (struct kvm_translation){ .linear_address = 0x1000 };
		break;
	case KVM_SET_SIGNAL_MASK:
		any.sigmask.head.len = sizeof(any.sigmask.mask);
		memset(any.sigmask.mask, 0, sizeof(any.sigmask.mask));
		break;
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
	case KVM_GET_MSR_INDEX_LIST:
		any.msr_list.head.nmsrs = ARRAY_LEN(any.msr_list.index);
		break;
	case KVM_GET_MSRS:
		memset(&any, 0, sizeof(any));
		any.msrs.head.nmsrs = 2;
		any.msrs.entry[0].index = 0x174;	/* IA32_SYSENTER_CS */
		any.msrs.entry[1].index = 0xc0000081;	/* STAR */
		break;
	case KVM_SET_GUEST_DEBUG:
		any.debug = (struct kvm_guest_debug){ .control = KVM_GUESTDBG_ENABLE };
		break;
	case KVM_INTERRUPT:
		any.irq.irq = 0x20;
		break;
	}
}

/* --- Running them ---------------------------------------------------------------------------- */

static bool errno_allowed(long ret)
{
	return ret >= 0 || ret == -ENOMEM || ret == -EFAULT;
}

/* Once with the n-th fault, and once more if that made it fail. Return: whether there was one. */
static bool step_once(const struct step *step, struct machine *m, unsigned int n)
{
	struct inventory before, after;
	bool fired;
	long ret;

	if (step->prepare)
		step->prepare(m);
	before = inventory_now();
	faults_begin(fail_nth, n);
	ret = step->call(m);
	fired = faults_end(fail_nth);
	TEST_CHECK(fired ? errno_allowed(ret) : !ret, "%s, fault %u: %ld", step->name, n, ret);
	if (ret) {
		after = inventory_now();
		TEST_EQ(before.files, after.files, "%s, fault %u: files", step->name, n);
		TEST_EQ(before.vms, after.vms, "%s, fault %u: debugfs", step->name, n);
		ret = step->call(m);
		TEST_EQ(0, ret, "%s again, after fault %u", step->name, n);
	}
	if (step->undo)
		step->undo(m);
	return fired;
}

static void no_machine(struct machine *m)
{
	*m = (struct machine){ .dev = -1, .vm = -1, .vcpu = -1 };
}

TEST(life_of_a_vm)
{
	struct inventory before, after;
	unsigned int i, n, total = 0;
	struct machine m;

	need_faults();
	no_machine(&m);
	before = inventory_now();
	for (i = 0; i < ARRAY_LEN(steps); i++) {
		for (n = 1; step_once(&steps[i], &m, n); n++)
			ASSERT_GT(MOST_FAULTS, n);
		machine_destroy(&m);
		TH_LOG("%s: %u faults", steps[i].name, n - 1);
		/* Each makes a call that can fail. */
		EXPECT_LT(1, n);
		total += n - 1;
		after = inventory_now();
		EXPECT_EQ(before.files, after.files);
		EXPECT_EQ(before.vms, after.vms);
	}
	TH_LOG("%u faults in all", total);
}

TEST(structures)
{
	unsigned int i, n, total = 0;
	struct inventory before, after;
	struct machine m;
	bool fired;
	long ret;
	int fd;

	need_faults();
	MACHINE_INIT(&m);
	before = inventory_now();
	for (i = 0; i < ARRAY_LEN(simple); i++) {
		const struct simple *s = &simple[i];

		fd = s->file == DEV ? m.dev : s->file == VM ? m.vm : m.vcpu;
		for (n = 1, fired = true; fired; n++) {
			ASSERT_GT(MOST_FAULTS, n);
			set_argument(&m, s->request);
			faults_begin(fail_nth, n);
			ret = xioctl(fd, s->request, &any);
			fired = faults_end(fail_nth);
			EXPECT_TRUE(fired ? errno_allowed(ret) || ret == s->also : ret >= 0)
				TH_LOG("%s, fault %u: %ld", s->name, n, ret);
		}
		TH_LOG("%s: %u faults", s->name, n - 2);
		total += n - 2;
		after = inventory_now();
		EXPECT_EQ(before.files, after.files);
		EXPECT_EQ(before.vms, after.vms);
	}
	machine_destroy(&m);
	TH_LOG("%u faults in all", total);
}

/* --- Loading the module ---------------------------------------------------------------------- */

/* The kernel reads, links and announces a module before the module itself does anything. */
#define LAST_FAULTS	120

FIXTURE(module) {
	int fd;
};

FIXTURE_SETUP(module)
{
	need_faults();
	self->fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC);
	if (self->fd < 0 || !test_device_is_minikvm())
		TEST_SKIP("there is no " MODULE_FILE);
}

FIXTURE_TEARDOWN(module)
{
	close(self->fd);
}

static long load_module(int fd)
{
	return syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
}

static long unload_module(void)
{
	return syscall(SYS_delete_module, "minikvm", O_NONBLOCK) ? -errno : 0;
}

/* A fault undoes what was done before it: the module can be loaded again. */
TEST_F_TIMEOUT(module, load, 600)
{
	unsigned int n, failed = 0, all;
	bool fired;
	long ret;

	ASSERT_EQ(0, unload_module());
	faults_begin(fail_nth, MOST_FAULTS);
	ret = load_module(self->fd);
	all = MOST_FAULTS - faults_left(fail_nth);
	ASSERT_FALSE(faults_end(fail_nth));
	ASSERT_EQ(0, ret);
	for (n = all > LAST_FAULTS ? all - LAST_FAULTS : 1; n <= all; n++) {
		ASSERT_EQ(0, unload_module());
		faults_begin(fail_nth, n);
		ret = load_module(self->fd);
		fired = faults_end(fail_nth);
		EXPECT_TRUE(fired ? errno_allowed(ret) : !ret)
			TH_LOG("fault %u: %ld", n, ret);
		if (ret) {
			failed++;
			EXPECT_NE(0, access(DEBUGFS "minikvm", F_OK));
			EXPECT_NE(0, access("/sys/class/misc/minikvm", F_OK));
			ASSERT_EQ(0, load_module(self->fd))
				TH_LOG("after fault %u", n);
		}
	}
	TH_LOG("the last %u of %u faults; %u made it fail", LAST_FAULTS, all, failed);
	EXPECT_LT(0, failed);
}

TEST_HARNESS_MAIN
