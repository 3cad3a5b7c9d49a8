// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of all ioctls, from two threads and from a process that has inherited their files.
 * Arguments are what the ioctl wants with a few fields changed, at the end of readable memory, at no
 * memory, or what a GET has given; meanwhile memory behind the slots comes and goes, run structures
 * are written to while their vCPUs run, and files are closed and made again. Whatever is called:
 *
 *   - the call comes back in bounded time;
 *   - its errno is one that the ioctl has (EFAULT: only if a part of the argument was no memory);
 *   - it writes nowhere but to its argument, and not there if it only reads it;
 *   - what a SET refuses, it leaves as the GET shows it;
 *   - another process's VMs are EIO;
 *   - no VM is left when all files are closed.
 *
 * The second test does the same while allocations and copies fail, where the kernel can do that.
 *
 * FUZZ_SECONDS=N: as long as that. FUZZ_CALLS=N: so many calls and no more. SEED: other calls (with two
 * threads a seed gives the same calls, not the same order of them). VERBOSE=1: what each ioctl
 * answered. On a kernel with KCOV the number of places of the module that were reached is printed.
 *
 * Guests are short ones in real mode, on vCPUs whose special registers and RFLAGS.IF no call takes
 * away: TCG does not survive every state of them (chaos_test), Bochs never leaves an endless guest
 * without IF. Random special registers are for vCPUs that never run.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "ioctls.h"
#include "lib/fault.h"
#include "lib/kcov.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vendor.h"

/* --- Where things are ----------------------------------------------------------------------- */

/*
 * A group is a VM with two vCPUs, one that runs and one that does not. Two groups are everybody's, one
 * is each thread's own. Files have fixed numbers, so that one thread can put a new file into the place
 * of another thread's.
 */
#define COMMON_GROUPS	2
#define THREADS		2
#define GROUPS		(COMMON_GROUPS + THREADS + 1)	/* the last one: the other process's */
#define FD_DEV		200
#define FD_VM(g)	(201 + (g))
#define FD_VCPU(g, runs) (210 + 2 * (g) + (runs))

/* Run structures, and memory of the guests. */
#define RUN_AREA	0x20000000ul
#define RUN_STRIDE	0x4000ul
#define MEM_AREA	0x30000000ul
#define MEM_SIZE	0x40000ul			/* of a group */
#define MEM_PAGES	(MEM_SIZE / TEST_PAGE)

/* The guest's addresses. */
#define SLOT0_SIZE	0xc000			/* devices behind it */
#define GUEST_HANDLER	0x500
#define GUEST_CODE_AT(i) (0x1000 + (i) * 0x80)

/* The last bytes of an argument's memory are the last that can be accessed. */
#define ARG_SIZE	0x5000
#define CANARY		64
#define PATTERN		0xa5

struct call {
	unsigned int row;
	uint64_t seed;		/* everything else follows from it */
};

#define MAX_ROWS	96

/* What all threads and processes share. */
static struct shared {
	volatile bool stop;
	volatile unsigned int failures;
	unsigned int faults, run_faults;
	struct {
		volatile unsigned int calls, row, done;
	} progress[THREADS + 1];
	struct {
		unsigned int ok, refused;
	} rows[MAX_ROWS];
	struct kcov_set places;
} *shared;

/* A thread that makes calls. */
struct fuzzer {
	unsigned int nr;
	unsigned int group;		/* its own */
	bool stranger;			/* the other process */
	uint64_t rand;			/* of the call */
	uint64_t choice;		/* of the calls */
	uint8_t *arg;			/* ARG_SIZE bytes, behind which nothing can be accessed */
	uint8_t *read_only;
	uint8_t *nested;		/* what arguments point to */
	uint8_t *got[MAX_ROWS];		/* the last answer of each GET */
	timer_t timer;
	struct kcov *kcov;
	int fail_nth;
	bool fault_fired;		/* in the last call */
};

static __thread struct fuzzer *me;

static bool is_minikvm, is_tcg, with_faults, zeroes_end;
static int mem_fd;
static unsigned int run_size;
static struct kvm_sregs sane_sregs;
static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[256];
} supported_cpuid;
static struct {
	struct kvm_msr_list head;
	uint32_t index[400];
} msr_list;

/* --- Random numbers ------------------------------------------------------------------------- */

static uint64_t r64(void)
{
	return rand_next(&me->rand);
}

static unsigned int below(unsigned int limit)
{
	return r64() % limit;
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

/* Numbers at which something ends. */
static uint64_t odd_value(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 0xff, 0x100, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
		0x00007ffffffff000, 0x0000800000000000, 0xffff800000000000, 0x000ffffffffff000,
	};

	switch (below(6)) {
	case 0:
		return r64();
	case 1:
		return r64() & 0xffffffff;
	case 2:
		return 1ull << below(64);
	case 3:
		return below(512);
	default:
		return edges[below(ARRAY_LEN(edges))] + (one_in(3) ? below(3) - 1ull : 0);
	}
}

/* --- The guests ------------------------------------------------------------------------------ */

GUEST(guest_hlt, "hlt");
GUEST(guest_ports, "mov $0x40, %dx\n out %al, %dx\n in %dx, %ax\n outl %eax, $0x7e\n"
		   "mov $3, %cx\n rep outsb\n mov $3, %cx\n mov $0x9000, %di\n rep insw\n hlt");
GUEST(guest_device, "mov $0xd000, %bx\n mov %eax, (%bx)\n mov 2(%bx), %cx\n addl $5, 8(%bx)\n"
		    "xchg %al, 0x20(%bx)\n fninit\n fnstenv (%bx)\n hlt");
GUEST(guest_msrs, "mov $0x174, %ecx\n rdmsr\n wrmsr\n mov $0x10, %ecx\n rdmsr\n mov $0x999, %ecx\n"
		  "rdmsr\n cpuid\n rdtsc\n hlt");
GUEST(guest_pages, "xor %bx, %bx\n 1: mov $0x5000, %si\n movb $1, (%bx, %si)\n add $0x1000, %bx\n"
		   "cmp $0x6000, %bx\n jne 1b\n hlt");
GUEST(guest_events, "sti\n int $0x20\n int3\n nop\n hlt\n cli\n hlt");
GUEST(guest_cr, "mov %cr0, %eax\n mov %eax, %cr0\n mov %cr4, %ebx\n mov %ebx, %cr4\n mov %cr3, %ecx\n"
		"mov %ecx, %cr3\n mov %dr6, %eax\n mov %dr7, %ebx\n clts\n wbinvd\n hlt");
GUEST(guest_calls, ".byte 0x0f, 0x01, 0xd9\n .byte 0x0f, 0x01, 0xc1\n hlt");
GUEST(guest_endless, "1: jmp 1b");

static const struct {
	const uint8_t *start, *end;
} guests[] = {
#define GUEST_ROW(name) { name, name##_end }
	GUEST_ROW(guest_hlt), GUEST_ROW(guest_ports), GUEST_ROW(guest_device), GUEST_ROW(guest_msrs),
	GUEST_ROW(guest_pages), GUEST_ROW(guest_events), GUEST_ROW(guest_cr), GUEST_ROW(guest_calls),
	GUEST_ROW(guest_endless),
#undef GUEST_ROW
};

#define ENDLESS	(ARRAY_LEN(guests) - 1)

static void *group_mem(unsigned int group)
{
	return (void *)(MEM_AREA + group * MEM_SIZE);
}

static struct kvm_run *group_run(unsigned int group)
{
	return (void *)(RUN_AREA + group * RUN_STRIDE);
}

/* Put the guests' pages where they were. The file is written to: pages of the mapping may be gone. */
static void guests_restore(unsigned int group)
{
	uint8_t page[2 * TEST_PAGE];
	unsigned int i;

	memset(page, 0xf4, sizeof(page));	/* whatever is reached halts */
	for (i = 0; i < 256; i++)
		memcpy(page + 4 * i, (uint16_t[]){ GUEST_HANDLER, 0 }, 4);
	memcpy(page + GUEST_HANDLER, "\xf4\xcf", 2);	/* hlt; iret */
	for (i = 0; i < ARRAY_LEN(guests); i++)
		memcpy(page + GUEST_CODE_AT(i), guests[i].start, guests[i].end - guests[i].start);
	TEST_CHECK(pwrite(mem_fd, page, sizeof(page), group * MEM_SIZE) == sizeof(page), "guests");
	TEST_CHECK(mmap(group_mem(group), sizeof(page), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED, mem_fd, group * MEM_SIZE) != MAP_FAILED, "guests");
}

static struct kvm_regs sane_regs(void)
{
	bool endless = one_in(64);

	return (struct kvm_regs){
		.rip = GUEST_CODE_AT(endless ? ENDLESS : below(ENDLESS)),
		.rsp = 0x8000, .rsi = 0x3000, .rax = r64(), .rflags = MACHINE_RFLAGS,
	};
}

/* --- Files ------------------------------------------------------------------------------------ */

/* Put a file in its place; whatever was there is closed. */
static void put_fd(int fd, int place)
{
	TEST_CHECK(dup2(fd, place) == place, "dup2");
	close(fd);
}

static void adopt_vm(int fd, unsigned int group)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = SLOT0_SIZE, .userspace_addr = (uintptr_t)group_mem(group),
	};

	if (!is_minikvm)
		ioctl(fd, KVM_SET_TSS_ADDR, 0xfffbd000);
	TEST_CHECK(!ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region), "the first slot");
	put_fd(fd, FD_VM(group));
}

static void adopt_vcpu(int fd, unsigned int group, bool runs)
{
	struct kvm_regs regs = { .rip = GUEST_CODE_AT(0), .rsp = 0x8000, .rflags = MACHINE_RFLAGS };

	if (runs) {
		TEST_CHECK(!ioctl(fd, KVM_SET_SREGS, &sane_sregs), "special registers");
		TEST_CHECK(!ioctl(fd, KVM_SET_REGS, &regs), "registers");
		TEST_CHECK(mmap(group_run(group), run_size, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED, "the run structure");
	}
	put_fd(fd, FD_VCPU(group, runs));
}

static void remake_vm(unsigned int group)
{
	int fd = ioctl(FD_DEV, KVM_CREATE_VM, 0);

	TEST_CHECK(fd >= 0, "KVM_CREATE_VM");
	adopt_vm(fd, group);
}

/* Also when the VM is full, or closed by another thread again. */
static void remake_vcpu(unsigned int group, bool runs)
{
	int fd, tries;

	for (tries = 0; tries < 100; tries++) {
		fd = ioctl(FD_VM(group), KVM_CREATE_VCPU, below(32));
		if (fd >= 0) {
			adopt_vcpu(fd, group, runs);
			return;
		}
		if (errno != EEXIST || tries % 8 == 7)
			remake_vm(group);
	}
	TEST_FAIL("no vCPU");
}

/* --- Arguments -------------------------------------------------------------------------------- */

/* One argument: a number, or a structure at the start of @bytes. */
struct arg {
	uint64_t number;
	uint8_t bytes[ARG_SIZE];
	size_t size;
	bool no_memory;		/* a part of it, or of what it points to, cannot be accessed */
};

struct row {
	const char *name;
	unsigned long request;
	unsigned int known;		/* the files: D, V, C */
	void (*make)(struct arg *a);
	uint8_t errnos[6];
	unsigned int element;		/* of an array, whose length is the first word */
	unsigned long get;		/* the ioctl that shows what this one sets */
	bool slow;			/* waits for all CPUs: less often */
	bool never;			/* succeeds */
};

static const struct row rows[];
static unsigned int row_of(unsigned long request);

static void make_nothing(struct arg *a)
{
	a->number = one_in(4) ? odd_value() : 0;
}

static void make_number(struct arg *a)
{
	a->number = one_in(2) ? odd_value() : below(300);
}

static void make_small(struct arg *a)
{
	a->number = one_in(8) ? odd_value() : below(24);
}

/* Stock KVM shows rates that it has refused, also such as look like an errno. */
static void make_khz(struct arg *a)
{
	a->number = one_in(2) && is_minikvm ? odd_value() : 0;
}

/* An array of which the kernel fills as many elements as there is room for. */
static void make_room(struct arg *a)
{
	*(uint32_t *)a->bytes = one_in(3) ? below(8) : below(256);
}

static void make_zeroes(struct arg *a)
{
}

static void make_words(struct arg *a)
{
	unsigned int i;

	for (i = 0; i + 8 <= a->size; i += 8)
		if (one_in(2))
			*(uint64_t *)(a->bytes + i) = odd_value();
}

static void make_mce_cap(struct arg *a)
{
	*(uint64_t *)a->bytes = one_in(3) ? odd_value() : below(34) | below(2) << 8 | below(2) << 24;
}

static void make_mce(struct arg *a)
{
	struct kvm_x86_mce *mce = (void *)a->bytes;

	make_words(a);
	mce->bank = below(34);
	mce->status |= (uint64_t)!one_in(4) << 63;
}

static void make_region(struct arg *a)
{
	struct kvm_userspace_memory_region *r = (void *)a->bytes;
	unsigned int page = below(MEM_PAGES), group = below(GROUPS);

	r->slot = one_in(8) ? odd_value() : 1 + below(8);
	if (one_in(16))
		r->slot = 0;
	r->flags = one_in(4) ? KVM_MEM_READONLY : 0;
	r->guest_phys_addr = one_in(8) ? odd_value() & -TEST_PAGE : below(64) * TEST_PAGE;
	r->memory_size = one_in(4) ? 0 : below(MEM_PAGES - page + 1) * TEST_PAGE;
	r->userspace_addr = (uintptr_t)group_mem(group) + page * TEST_PAGE;
}

static void make_zone(struct arg *a)
{
	struct kvm_coalesced_mmio_zone *z = (void *)a->bytes;

	z->pio = one_in(3);
	z->addr = z->pio ? 0x40 : 0xd000 + below(16);
	z->size = 1 + below(16);
}

/* Opened before all threads and processes. */
static int bell = -1;

static void make_ioeventfd(struct arg *a)
{
	static const uint32_t lens[] = { 0, 1, 2, 4, 8, 3, ~0u };
	struct kvm_ioeventfd *p = (void *)a->bytes;

	p->flags = below(one_in(8) ? 32 : 8);
	p->addr = p->flags & KVM_IOEVENTFD_FLAG_PIO ? 0x40 : 0xd000 + below(16);
	p->len = lens[below(one_in(8) ? ARRAY_LEN(lens) : 5)];
	p->datamatch = below(3);
	p->fd = one_in(16) ? (int)below(100) : bell;
	memset(p->pad, 0, sizeof(p->pad));
}

/* Those of minikvm: others could give stock KVM's VMs interrupt controllers. */
static const uint32_t caps[] = {
	KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_X86_TRIPLE_FAULT_EVENT,
	KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_MSR_PLATFORM_INFO, KVM_CAP_MAX_VCPU_ID, 0, 9999,
};

static void make_cap(struct arg *a)
{
	struct kvm_enable_cap *cap = (void *)a->bytes;

	cap->cap = caps[below(ARRAY_LEN(caps))];
	cap->args[0] = one_in(3) ? odd_value() : below(64);
}

static uint32_t any_msr(void)
{
	static const uint32_t others[] = {
		0x1b, 0xfe, 0x17b, 0x1d9, 0x277, 0x280, 0x400, 0x6e0, 0x800, 0xc0000080,
		0xc0000100, 0xc0010055, 0xc0010117, 0x4b564d00, 0xffffffff,
	};

	return one_in(3) ? others[below(ARRAY_LEN(others))] : one_in(16) ? r64() :
	       msr_list.index[below(msr_list.head.nmsrs)];
}

static void make_msrs(struct arg *a)
{
	struct kvm_msrs *msrs = (void *)a->bytes;
	unsigned int i;

	msrs->nmsrs = one_in(16) ? 250 + below(8) : below(12);
	for (i = 0; i < msrs->nmsrs; i++) {
		msrs->entries[i].index = any_msr();
		msrs->entries[i].data = odd_value();
	}
}

static void make_filter(struct arg *a)
{
	struct kvm_msr_filter *f = (void *)a->bytes;
	unsigned int i;

	f->flags = one_in(3);
	for (i = 0; i < ARRAY_LEN(f->ranges); i++) {
		struct kvm_msr_filter_range *r = &f->ranges[i];

		if (one_in(2))
			continue;
		r->flags = 1 + below(3);
		r->nmsrs = one_in(8) ? 0x2ff0 + below(0x20) : 1 + below(200);
		r->base = one_in(4) ? odd_value() : any_msr() - below(20);
		r->bitmap = me->nested;
	}
}

static void make_attr(struct arg *a)
{
	struct kvm_device_attr *attr = (void *)a->bytes;

	attr->group = one_in(8) ? odd_value() : KVM_VCPU_TSC_CTRL;
	attr->attr = one_in(8) ? odd_value() : KVM_VCPU_TSC_OFFSET;
	attr->addr = (uintptr_t)me->nested;
}

static void make_cpuid(struct arg *a)
{
	struct kvm_cpuid2 *cpuid = (void *)a->bytes;
	unsigned int i;

	memcpy(a->bytes, &supported_cpuid, sizeof(supported_cpuid));
	cpuid->nent = one_in(4) ? below(supported_cpuid.head.nent + 1) : supported_cpuid.head.nent;
	for (i = below(4); i && cpuid->nent; i--)
		((uint32_t *)&cpuid->entries[below(cpuid->nent)])[below(10)] = odd_value();
}

/* The older form of the same. */
static void make_old_cpuid(struct arg *a)
{
	struct kvm_cpuid *cpuid = (void *)a->bytes;
	unsigned int i;

	cpuid->nent = below(supported_cpuid.head.nent + 1);
	for (i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &supported_cpuid.entry[i];

		cpuid->entries[i] = (struct kvm_cpuid_entry){
			.function = e->function,
			.eax = e->eax, .ebx = e->ebx, .ecx = e->ecx, .edx = e->edx,
		};
	}
}

static void make_mask(struct arg *a)
{
	struct kvm_signal_mask *mask = (void *)a->bytes;
	uint64_t set = r64();

	mask->len = 8;
	memcpy(mask->sigset, &set, 8);
	a->size = sizeof(*mask) + 8;
}

static void make_debug(struct arg *a)
{
	struct kvm_guest_debug *dbg = (void *)a->bytes;

	dbg->control = r64() & (one_in(8) ? -1u : 0x1f0003);
	dbg->arch.debugreg[below(4)] = GUEST_CODE_AT(below(8)) + below(8);
	dbg->arch.debugreg[7] = r64();
}

static void make_vector(struct arg *a)
{
	*(uint32_t *)a->bytes = one_in(8) ? odd_value() : below(256);
}

static void make_mp_state(struct arg *a)
{
	*(uint32_t *)a->bytes = one_in(2) ? KVM_MP_STATE_RUNNABLE : odd_value();
}

static void make_compat_filter(struct arg *a)
{
	memset(a->bytes, one_in(2), a->size);
}

/* What the GET has given last, to this thread. */
static void make_again(struct arg *a)
{
}

/* --- The ioctls -------------------------------------------------------------------------------- */

/* Its argument is of 32-bit programs: other ones do not have it. */
#define KVM_X86_SET_MSR_FILTER_COMPAT	_IOW(KVMIO, 0xc6, char[260])

#define CALL(name, known, make, ...)	{ #name, name, known, make, __VA_ARGS__ }
#define E(...)		.errnos = { __VA_ARGS__ }
#define CPUIDS		.element = sizeof(struct kvm_cpuid_entry2)
#define MSRS		.element = sizeof(struct kvm_msr_entry)
#define SETS(get_)	.get = get_

static const struct row rows[] = {
	CALL(KVM_GET_API_VERSION, D, make_nothing, E(EINVAL)),
	CALL(KVM_CREATE_VM, D, make_nothing, E(EINVAL, EMFILE, ENFILE, ENOMEM, EINTR), .slow = true),
	CALL(KVM_CHECK_EXTENSION, D | V, make_number),
	CALL(KVM_GET_VCPU_MMAP_SIZE, D, make_nothing, E(EINVAL)),
	CALL(KVM_GET_MSR_INDEX_LIST, D, make_room, E(E2BIG), .element = 4),
	CALL(KVM_GET_MSR_FEATURE_INDEX_LIST, D, make_room, E(E2BIG), .element = 4),
	CALL(KVM_GET_SUPPORTED_CPUID, D, make_room, E(E2BIG), CPUIDS),
	CALL(KVM_GET_EMULATED_CPUID, D, make_room, E(E2BIG, EINVAL), CPUIDS),
	CALL(KVM_TRACE_ENABLE, D, make_number, E(EOPNOTSUPP), .never = true),
	CALL(KVM_TRACE_PAUSE, D, make_number, E(EOPNOTSUPP), .never = true),
	CALL(KVM_TRACE_DISABLE, D, make_number, E(EOPNOTSUPP), .never = true),
	CALL(KVM_X86_GET_MCE_CAP_SUPPORTED, D, make_zeroes),

	CALL(KVM_CREATE_VCPU, V, make_small, E(EINVAL, EEXIST, EMFILE, ENFILE, ENOMEM)),
	CALL(KVM_SET_USER_MEMORY_REGION, V, make_region, E(EINVAL, EEXIST, ENOMEM), .slow = true),
	CALL(KVM_SET_TSS_ADDR, V, make_number, E(EINVAL)),
	CALL(KVM_SET_IDENTITY_MAP_ADDR, V, make_words, E(EINVAL)),
	CALL(KVM_SET_BOOT_CPU_ID, V, make_number, E(EINVAL, EBUSY)),
	CALL(KVM_ENABLE_CAP, V | C, make_cap, E(EINVAL)),
	CALL(KVM_SET_GSI_ROUTING, V, make_words, E(EINVAL), .never = true),
	CALL(KVM_REGISTER_COALESCED_MMIO, V, make_zone, E(EINVAL, ENOSPC, ENOMEM), .slow = true),
	CALL(KVM_UNREGISTER_COALESCED_MMIO, V, make_zone, E(EINVAL, ENOMEM), .slow = true),
	CALL(KVM_IOEVENTFD, V, make_ioeventfd, E(EINVAL, EBADF, EEXIST, ENOENT, ENOSPC, ENOMEM),
	     .slow = true),
	CALL(KVM_X86_SET_MSR_FILTER, V, make_filter, E(EINVAL, ENOMEM), .slow = true),
	CALL(KVM_X86_SET_MSR_FILTER_COMPAT, V, make_compat_filter, E(ENOTTY), .never = true),
	CALL(KVM_GET_TSC_KHZ, V | C, make_number),
	CALL(KVM_SET_TSC_KHZ, V | C, make_khz, E(EINVAL), SETS(KVM_GET_TSC_KHZ)),

	CALL(KVM_RUN, C, make_nothing, E(EINTR, EINVAL, EFAULT)),
	CALL(KVM_GET_REGS, C, make_zeroes),
	CALL(KVM_SET_REGS, C, make_again, SETS(KVM_GET_REGS)),
	CALL(KVM_GET_SREGS, C, make_zeroes),
	CALL(KVM_SET_SREGS, C, make_again, E(EINVAL), SETS(KVM_GET_SREGS)),
	CALL(KVM_GET_SREGS2, C, make_zeroes),
	CALL(KVM_SET_SREGS2, C, make_again, E(EINVAL), SETS(KVM_GET_SREGS2)),
	CALL(KVM_TRANSLATE, C, make_words),
	CALL(KVM_X86_SETUP_MCE, C, make_mce_cap, E(EINVAL)),
	CALL(KVM_X86_SET_MCE, C, make_mce, E(EINVAL)),
	CALL(KVM_GET_MSRS, D | C, make_msrs, E(E2BIG), MSRS),
	CALL(KVM_SET_MSRS, C, make_msrs, E(E2BIG), MSRS),
	CALL(KVM_SET_CPUID, C, make_old_cpuid, E(E2BIG, EINVAL),
	     .element = sizeof(struct kvm_cpuid_entry), SETS(KVM_GET_CPUID2)),
	CALL(KVM_SET_CPUID2, C, make_cpuid, E(E2BIG, EINVAL), CPUIDS, SETS(KVM_GET_CPUID2)),
	CALL(KVM_GET_CPUID2, C, make_room, E(E2BIG), CPUIDS),
	CALL(KVM_SET_SIGNAL_MASK, C, make_mask, E(EINVAL)),
	CALL(KVM_GET_FPU, C, make_zeroes),
	CALL(KVM_SET_FPU, C, make_again, SETS(KVM_GET_FPU)),
	CALL(KVM_GET_XSAVE, C, make_zeroes),
	CALL(KVM_GET_XSAVE2, C, make_zeroes),
	CALL(KVM_SET_XSAVE, C, make_again, E(EINVAL), SETS(KVM_GET_XSAVE)),
	CALL(KVM_GET_XCRS, C, make_zeroes),
	CALL(KVM_SET_XCRS, C, make_again, E(EINVAL), SETS(KVM_GET_XCRS)),
	CALL(KVM_GET_DEBUGREGS, C, make_zeroes),
	CALL(KVM_SET_DEBUGREGS, C, make_again, E(EINVAL), SETS(KVM_GET_DEBUGREGS)),
	CALL(KVM_GET_MP_STATE, C, make_zeroes),
	CALL(KVM_SET_MP_STATE, C, make_mp_state, E(EINVAL), SETS(KVM_GET_MP_STATE)),
	CALL(KVM_HAS_DEVICE_ATTR, C, make_attr, E(ENXIO)),
	CALL(KVM_GET_DEVICE_ATTR, C, make_attr, E(ENXIO)),
	CALL(KVM_SET_DEVICE_ATTR, C, make_attr, E(ENXIO)),
	CALL(KVM_INTERRUPT, C, make_vector, E(EINVAL)),
	CALL(KVM_NMI, C, make_number),
	CALL(KVM_GET_VCPU_EVENTS, C, make_zeroes),
	CALL(KVM_SET_VCPU_EVENTS, C, make_again, E(EINVAL), SETS(KVM_GET_VCPU_EVENTS)),
	CALL(KVM_SET_GUEST_DEBUG, C, make_debug, E(EINVAL, EBUSY)),
};

/* What is no ioctl of a file that is asked for it, and what happens beside. */
enum op { OP_UNKNOWN, OP_CLOSE, OP_REMAP, OP_SCRIBBLE, NR_OPS };

static const char * const op_names[] = { "unknown number", "close", "remap", "scribble" };

#define NR_ROWS	(ARRAY_LEN(rows) + NR_OPS)

static const char *row_name(unsigned int row)
{
	return row < ARRAY_LEN(rows) ? rows[row].name : op_names[row - ARRAY_LEN(rows)];
}

/* Return: ARRAY_LEN(rows) for an ioctl without a row. */
static unsigned int row_of(unsigned long request)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows) && rows[i].request != request; i++)
		;
	return i;
}

/* --- Complaints --------------------------------------------------------------------------------- */

#define FAILURES_MAX	20

#define COMPLAIN(call, fmt, ...) do {							\
	fprintf(stderr, "# thread %u: %s, seed %#llx: " fmt "\n", me->nr,		\
		row_name((call)->row), (unsigned long long)(call)->seed, ##__VA_ARGS__);\
	if (__atomic_add_fetch(&shared->failures, 1, __ATOMIC_RELAXED) >= FAILURES_MAX)	\
		shared->stop = true;							\
} while (0)

/* --- Making an argument -------------------------------------------------------------------------- */

/* Which file a call is about. */
struct target {
	int fd;
	enum { FILE_DEV, FILE_VM, FILE_VCPU } kind;
	unsigned int group;
	bool runs;
	bool foreign;		/* another process's */
	bool own;		/* no other thread uses it */
};

static struct target choose_target(unsigned int known)
{
	unsigned int kinds[3], n = 0;
	struct target t = { .group = one_in(3) ? me->group : below(COMMON_GROUPS),
			    .runs = one_in(2) };

	if (known & D)
		kinds[n++] = FILE_DEV;
	if (known & V)
		kinds[n++] = FILE_VM;
	if (known & C)
		kinds[n++] = FILE_VCPU;
	t.kind = kinds[below(n)];
	t.own = t.group == me->group;
	t.foreign = me->stranger && !t.own && t.kind != FILE_DEV;
	t.fd = t.kind == FILE_DEV ? FD_DEV : t.kind == FILE_VM ? FD_VM(t.group) :
	       FD_VCPU(t.group, t.runs);
	return t;
}

static struct target vcpu_that_runs(struct target t)
{
	t.runs = true;
	t.fd = FD_VCPU(t.group, t.runs);
	return t;
}

/* What a GET shows; @buf has ARG_SIZE bytes. */
static long get_state(int fd, unsigned long request, uint8_t *buf)
{
	memset(buf, 0, ARG_SIZE);
	if (request == KVM_GET_CPUID2)
		*(uint32_t *)buf = ARRAY_LEN(supported_cpuid.entry);
	return xioctl(fd, request, buf);
}

/* Change a few words. */
static void mutate(struct arg *a)
{
	unsigned int n = one_in(2) ? 0 : 1 + below(4);
	size_t at;

	for (; n && a->size >= 4; n--) {
		at = below(a->size / 4) * 4;
		/* Where an XSAVE image has fields that are checked. */
		if (a->size == sizeof(struct kvm_xsave) && one_in(2))
			at = one_in(4) ? 24 : 512 + below(16) * 4;
		if (at + 8 <= a->size && one_in(2))
			*(uint64_t *)(a->bytes + at) = odd_value();
		else if (one_in(2))
			*(uint32_t *)(a->bytes + at) = odd_value();
		else
			*(uint32_t *)(a->bytes + at) ^= 1u << below(32);
	}
}

static size_t head_of(const struct row *row)
{
	return row->request == KVM_GET_MSR_INDEX_LIST ||
	       row->request == KVM_GET_MSR_FEATURE_INDEX_LIST ? 4 : 8;
}

/* The argument is as long as its first word says. */
static void measure_array(const struct row *row, struct arg *a)
{
	size_t head = head_of(row), room = (ARG_SIZE - 2 * CANARY - head) / row->element;
	uint32_t count = *(uint32_t *)a->bytes;

	if (count > room) {
		a->no_memory = true;
		count = room;
	}
	a->size = head + count * row->element;
}

/* Do pointers in the argument still point to memory? */
static void check_pointers(const struct row *row, struct arg *a)
{
	struct kvm_msr_filter *f = (void *)a->bytes;
	struct kvm_device_attr *attr = (void *)a->bytes;
	unsigned int i;

	switch (row->request) {
	case KVM_X86_SET_MSR_FILTER:
		for (i = 0; i < ARRAY_LEN(f->ranges); i++)
			if (f->ranges[i].bitmap && f->ranges[i].bitmap != me->nested)
				a->no_memory = true;
			else if (f->ranges[i].nmsrs && !f->ranges[i].bitmap)
				a->no_memory = true;
		break;
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		if (attr->addr != (uintptr_t)me->nested)
			a->no_memory = true;
		break;
	}
}

/* Breakpoints on data in the delivery of an event can end QEMU: event_test, db_loop. */
static uint64_t tame_dr7(uint64_t dr7)
{
	return is_tcg ? dr7 & 0x27ff : dr7;
}

static void tame_sregs(struct kvm_sregs *s)
{
	struct kvm_sregs wild = *s;

	*s = sane_sregs;
	s->cr2 = wild.cr2;
	s->cr8 = wild.cr8;
	s->apic_base = wild.apic_base;
	s->es.base = wild.es.base & 0xffff0;
	s->fs.selector = wild.fs.selector;
	s->gs.base = wild.gs.base & 0xffff0;
	s->gdt.limit = wild.gdt.limit;
	memcpy(s->interrupt_bitmap, wild.interrupt_bitmap, sizeof(s->interrupt_bitmap));
}

/* SMM, which minikvm does not have: stock KVM's guest must not get there. */
static void tame_events(struct kvm_vcpu_events *events)
{
	if (!is_minikvm)
		events->flags &= ~KVM_VCPUEVENT_VALID_SMM;
}

/* Take away from an argument what the file comment says. */
static void tame(const struct row *row, const struct target *t, struct arg *a)
{
	struct kvm_signal_mask *mask = (void *)a->bytes;
	struct kvm_enable_cap *cap = (void *)a->bytes;
	struct kvm_guest_debug *dbg = (void *)a->bytes;
	struct kvm_debugregs *dr = (void *)a->bytes;
	struct kvm_msrs *msrs = (void *)a->bytes;
	struct kvm_regs *regs = (void *)a->bytes;
	unsigned int i;

	/* The signal that ends a run gets through. */
	if (row->request == KVM_SET_SIGNAL_MASK)
		mask->sigset[(SIGALRM - 1) / 8] &= ~(1 << (SIGALRM - 1) % 8);
	if (row->request == KVM_ENABLE_CAP) {
		for (i = 0; i < ARRAY_LEN(caps) && caps[i] != cap->cap; i++)
			;
		if (i == ARRAY_LEN(caps) && !is_minikvm)
			cap->cap = 9999;
	}
	if (t->kind != FILE_VCPU || !t->runs)
		return;

	switch (row->request) {
	case KVM_SET_REGS:
		regs->rflags = MACHINE_RFLAGS | (regs->rflags & 0xcd5);
		break;
	case KVM_SET_SREGS:
		tame_sregs((void *)a->bytes);
		break;
	case KVM_SET_SREGS2:
		/* As far as the old structure goes. */
		memcpy(a->bytes, &sane_sregs, offsetof(struct kvm_sregs, interrupt_bitmap));
		break;
	case KVM_SET_MSRS:
		for (i = 0; i < (a->size - sizeof(*msrs)) / sizeof(msrs->entries[0]); i++)
			if (msrs->entries[i].index == 0xc0000080)	/* EFER */
				msrs->entries[i].index = 0x174;
		break;
	case KVM_SET_GUEST_DEBUG:
		dbg->arch.debugreg[7] = tame_dr7(dbg->arch.debugreg[7]);
		break;
	case KVM_SET_DEBUGREGS:
		dr->dr7 = tame_dr7(dr->dr7);
		break;
	case KVM_SET_VCPU_EVENTS:
		tame_events((void *)a->bytes);
		break;
	}
}

/* Fill @a in for a call of @row. */
static void make_arg(const struct row *row, const struct target *t, struct arg *a)
{
	uint8_t *got;

	a->number = 0;
	a->no_memory = false;
	a->size = _IOC_SIZE(row->request);
	memset(a->bytes, 0, row->element ? ARG_SIZE : a->size + 64);
	row->make(a);
	if (row->make == make_again) {
		got = me->got[row_of(row->get)];
		if (one_in(2))
			get_state(t->fd, row->get, got);
		memcpy(a->bytes, got, a->size);
	}
	if (!a->size)
		return;
	if (row->element)
		measure_array(row, a);
	mutate(a);
	if (row->element)
		measure_array(row, a);
	tame(row, t, a);
	check_pointers(row, a);
}

/*
 * Put it somewhere. @start: where in the thread's memory it begins; @whole: the kernel can access all
 * of it there.
 */
static unsigned long place_arg(struct arg *a, size_t *start, bool *whole)
{
	static const uint64_t nowhere[] = { 0, 1, 0xfff, 0xffff888000000000, -3ull, 0x00007ffffffffff0 };
	size_t begin = ARG_SIZE - a->size, copied = a->size;

	*whole = true;
	switch (below(16)) {
	case 0 ... 6:		/* in the middle */
		begin -= CANARY - below(8);
		break;
	case 7 ... 13:		/* at the end of memory */
		break;
	case 14:		/* half of it behind the end */
		copied = below(a->size);
		begin = ARG_SIZE - copied;
		*whole = false;
		break;
	default:
		*whole = false;
	}
	a->no_memory |= !*whole;
	*start = begin;
	memset(me->arg + begin - CANARY, PATTERN, CANARY);
	memcpy(me->arg + begin, a->bytes, copied);
	memset(me->arg + begin + copied, PATTERN, ARG_SIZE - begin - copied);
	if (*whole || copied < a->size)
		return (uintptr_t)me->arg + begin;
	if (one_in(2))
		return (uintptr_t)me->read_only;
	return nowhere[below(ARRAY_LEN(nowhere))];
}

static bool all_pattern(const uint8_t *p, size_t size)
{
	while (size--)
		if (*p++ != PATTERN)
			return false;
	return true;
}

/* --- One call -------------------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
}

static void alarm_after(unsigned int usec)
{
	struct itimerspec when = {
		.it_value.tv_nsec = usec * 1000,
		/* Again and again: the first one may come before the call. */
		.it_interval.tv_nsec = usec ? 2000000 : 0,
	};

	timer_settime(me->timer, 0, &when, NULL);
}

/*
 * An ioctl with a fault in it. No signal is to come then, as its delivery would be what fails, but for
 * KVM_RUN, which has no argument here: see faults_run().
 */
static long ioctl_with_fault(const struct target *t, unsigned long request, unsigned long arg)
{
	unsigned int n = 1 + below(one_in(2) ? 4 : 40);
	long ret;

	if (request == KVM_RUN)
		return faults_run(me->fail_nth, n, t->fd, SIGALRM, &me->fault_fired);
	faults_begin(me->fail_nth, n);
	ret = xioctl_long(t->fd, request, arg);
	me->fault_fired = faults_end(me->fail_nth);
	return ret;
}

/*
 * One ioctl, maybe with a fault in it if they are on. KVM_RUN needs the signal, and with a fault a mask
 * that lets it through, which another thread could take away.
 */
static long do_ioctl(const struct target *t, unsigned long request, unsigned long arg)
{
	bool runs = request == KVM_RUN;
	bool fault = with_faults && one_in(2) && (!runs || (t->own && !arg));
	bool alarm = runs || (!fault && one_in(32));
	long ret;

	me->fault_fired = false;
	if (alarm)
		alarm_after(one_in(4) ? 30 : 2000);
	ret = fault ? ioctl_with_fault(t, request, arg) : xioctl_long(t->fd, request, arg);
	if (alarm)
		alarm_after(0);
	if (me->fault_fired)
		__atomic_add_fetch(runs ? &shared->run_faults : &shared->faults, 1, __ATOMIC_RELAXED);
	return ret;
}

/*
 * Stock KVM returns a pointer in struct kvm_device_attr as an errno where it looks like one
 * (kvm_get_attr_addr()), and wants a permission for what CPUID leaf 0xd may say.
 */
static bool errno_of_stock(const struct row *row, const struct arg *a, long ret)
{
	switch (row->request) {
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return a->no_memory;
	case KVM_SET_CPUID:
	case KVM_SET_CPUID2:
		return ret == -EPERM;
	default:
		return false;
	}
}

static bool errno_allowed(const struct row *row, const struct arg *a, long ret)
{
	unsigned int i;

	if (!is_minikvm && errno_of_stock(row, a, ret))
		return true;
	for (i = 0; i < ARRAY_LEN(row->errnos); i++)
		if (row->errnos[i] && row->errnos[i] == -ret)
			return true;
	if (ret == -EFAULT)
		return a->no_memory || me->fault_fired;
	return ret == -ENOMEM && me->fault_fired;
}

/* What the vCPU is to run, and where. */
static void prepare_run(const struct target *t)
{
	struct kvm_regs regs = sane_regs();

	if (one_in(2))
		guests_restore(t->group);
	if (!one_in(8))
		ioctl(t->fd, KVM_SET_REGS, &regs);
}

/* A new file: into its place, or closed again. */
static void take_fd(const struct row *row, const struct target *t, int fd)
{
	unsigned int group = me->stranger || one_in(3) ? me->group : below(COMMON_GROUPS);

	if (one_in(3))
		close(fd);
	else if (row->request == KVM_CREATE_VM)
		adopt_vm(fd, group);
	else
		adopt_vcpu(fd, t->group, t->runs);
}

static void remake(const struct target *t)
{
	if (t->kind == FILE_VM)
		remake_vm(t->group);
	else
		remake_vcpu(t->group, t->runs);
}

static void check_answer(const struct call *call, const struct target *t, const struct arg *a,
			 long ret)
{
	const struct row *row = &rows[call->row];

	if (t->foreign && ret != -EIO)
		COMPLAIN(call, "%ld, and not EIO, for another process", ret);
	else if (!t->foreign && ret < 0 && !errno_allowed(row, a, ret))
		COMPLAIN(call, "%s (%ld)%s", strerrorname_np(-ret) ?: "no errno", ret,
			 me->fault_fired ? " after a fault" : "");
}

static void check_memory(const struct call *call, const struct arg *a, size_t start, bool whole)
{
	const uint8_t *arg = me->arg + start;

	if (!all_pattern(arg - CANARY, CANARY))
		COMPLAIN(call, "writes before the argument");
	if (!whole)
		return;
	if (!all_pattern(arg + a->size, ARG_SIZE - start - a->size))
		COMPLAIN(call, "writes behind the argument of %zu bytes", a->size);
	if (!(_IOC_DIR(rows[call->row].request) & _IOC_READ) && memcmp(arg, a->bytes, a->size))
		COMPLAIN(call, "writes to an argument that it reads");
}

/*
 * Is what a SET has refused to be looked at? Stock KVM looks at the flag of the triple fault when it has
 * taken over everything else (kvm_vcpu_ioctl_x86_set_vcpu_events()).
 */
static bool keeps_state(const struct row *row, const struct target *t)
{
	if (row->request == KVM_SET_VCPU_EVENTS && !is_minikvm)
		return false;
	return row->get && t->own && t->kind == FILE_VCPU;
}

static void call_row(const struct call *call)
{
	static __thread struct arg a;
	static __thread uint8_t before[ARG_SIZE], after[ARG_SIZE];
	const struct row *row = &rows[call->row];
	struct target t = choose_target(row->known);
	unsigned long arg;
	long ret, was = 0, is;
	bool whole = true, keeps;
	size_t start = 0;

	if (row->request == KVM_RUN)
		t = vcpu_that_runs(t);
	make_arg(row, &t, &a);
	arg = a.size ? place_arg(&a, &start, &whole) : a.number;
	keeps = keeps_state(row, &t);
	if (keeps)
		was = get_state(t.fd, row->get, before);
	if (row->request == KVM_RUN && !t.foreign)
		prepare_run(&t);

	ret = do_ioctl(&t, row->request, arg);

	if (ret == -EBADF) {
		remake(&t);
		return;
	}
	check_answer(call, &t, &a, ret);
	if (a.size)
		check_memory(call, &a, start, whole);
	if (keeps && ret < 0 && was >= 0) {
		is = get_state(t.fd, row->get, after);
		if (is != was || memcmp(before, after, ARG_SIZE))
			COMPLAIN(call, "refused (%ld), but something has changed", ret);
	}
	if (ret >= 0 && whole && me->got[call->row])
		memcpy(me->got[call->row], me->arg + start, a.size);
	if (ret >= 0 && (row->request == KVM_CREATE_VM || row->request == KVM_CREATE_VCPU))
		take_fd(row, &t, ret);
	__atomic_add_fetch(ret < 0 ? &shared->rows[call->row].refused : &shared->rows[call->row].ok,
			   1, __ATOMIC_RELAXED);
}

/* --- What else happens ---------------------------------------------------------------------------- */

/* Has stock KVM an ioctl of this number? Those that minikvm has not could change its VMs for good. */
static bool number_known(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(ioctl_rows); i++)
		if (_IOC_NR(ioctl_rows[i].request) == nr && (!is_minikvm || !ioctl_rows[i].lacks))
			return true;
	return false;
}

/* A number that the file does not know, or a known one of another direction or size. */
static void op_unknown(const struct call *call)
{
	struct target t = choose_target(D | V | C);
	unsigned int request = _IOC(below(4), one_in(8) ? 0xaf : KVMIO, below(256), below(0x4000));
	long want = t.foreign ? -EIO : t.kind == FILE_VM ? -ENOTTY : -EINVAL, ret;

	if (row_of(request) < ARRAY_LEN(rows) || (!is_minikvm && number_known(_IOC_NR(request))))
		return;
	ret = do_ioctl(&t, request, one_in(2) ? odd_value() : (uintptr_t)me->arg);
	if (ret == -EBADF)
		remake(&t);
	else if (ret != want)
		COMPLAIN(call, "%#x: %ld, not %ld", request, ret, want);
}

static void op_close(void)
{
	struct target t = choose_target(V | C);

	/* What was inherited is there to be asked. */
	if (!t.foreign)
		close(t.fd);
}

/*
 * Pages behind the slots come and go. Zeroes are instructions that may go on without end: only where
 * a signal comes, and ends them.
 */
static void op_remap(void)
{
	static const int advice[] = { MADV_DONTNEED, MADV_WILLNEED, MADV_HUGEPAGE, MADV_COLD,
				      MADV_PAGEOUT, MADV_REMOVE };
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	unsigned int group = below(GROUPS), page = below(MEM_PAGES);
	size_t size = (1 + below(MEM_PAGES - page)) * TEST_PAGE;
	uint8_t *p = (uint8_t *)group_mem(group) + page * TEST_PAGE;

	switch (below(6)) {
	case 0:
		munmap(p, size);
		break;
	case 1:
		mprotect(p, size, prots[below(ARRAY_LEN(prots))]);
		break;
	case 2:
		madvise(p, size, advice[below(ARRAY_LEN(advice) - !zeroes_end)]);
		break;
	case 3:
		if (zeroes_end) {
			mmap(p, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		}
		/* fall through */
	default:
		mmap(p, size, PROT_READ | PROT_WRITE,
		     (one_in(2) ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED, mem_fd,
		     group * MEM_SIZE + page * TEST_PAGE);
	}
}

/*
 * Write to a run structure, maybe while its vCPU runs. Registers that the next KVM_RUN takes over are
 * such that the guest survives.
 */
static void op_scribble(void)
{
	volatile struct kvm_run *run = group_run(one_in(3) ? me->group : below(COMMON_GROUPS));
	volatile uint8_t *bytes = (volatile uint8_t *)run;
	struct kvm_regs regs = sane_regs();
	unsigned int i, at;

	memcpy((void *)&run->s.regs.regs, &regs, sizeof(regs));
	for (i = 0; i < 150; i++) {
		at = below(run_size);
		if (at < offsetof(struct kvm_run, kvm_valid_regs) || at >= TEST_PAGE)
			bytes[at] = one_in(3) ? 0 : r64();
		else if (at >= offsetof(struct kvm_run, s.regs.events) &&
			 at < offsetof(struct kvm_run, s.regs.events) + sizeof(run->s.regs.events))
			bytes[at] = r64();
	}
	tame_events((void *)&run->s.regs.events);
	run->kvm_valid_regs = one_in(16) ? odd_value() : below(8);
	run->kvm_dirty_regs = one_in(16) ? odd_value() & ~(uint64_t)KVM_SYNC_X86_SREGS :
					   below(8) & ~KVM_SYNC_X86_SREGS;
	run->cr8 = one_in(8) ? odd_value() : 0;
	run->immediate_exit = one_in(3);
}

static void call_op(const struct call *call)
{
	switch (call->row - ARRAY_LEN(rows)) {
	case OP_UNKNOWN:
		return op_unknown(call);
	case OP_CLOSE:
		return op_close();
	case OP_REMAP:
		return op_remap();
	case OP_SCRIBBLE:
		return op_scribble();
	}
}

static struct call new_call(void)
{
	unsigned int row;

	do {
		row = one_in(8) ? row_of(KVM_RUN) : below(NR_ROWS);
	} while (row < ARRAY_LEN(rows) && rows[row].slow && !one_in(6));
	return (struct call){ row, r64() };
}

static void make_call(const struct call *call)
{
	shared->progress[me->nr].row = call->row;
	me->rand = call->seed;
	if (call->row < ARRAY_LEN(rows))
		call_row(call);
	else
		call_op(call);
	shared->progress[me->nr].calls++;
}

/* --- Threads and processes ---------------------------------------------------------------------------- */

static unsigned int calls_max;

static void fuzzer_init(struct fuzzer *f)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	unsigned int i, get;

	me = f;
	f->arg = mmap(NULL, ARG_SIZE + TEST_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	f->read_only = mmap(NULL, ARG_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	f->nested = mmap(NULL, 2 * TEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	TEST_CHECK(f->arg != MAP_FAILED && f->read_only != MAP_FAILED && f->nested != MAP_FAILED &&
		   !mprotect(f->arg + ARG_SIZE, TEST_PAGE, PROT_NONE) &&
		   !mprotect(f->nested + TEST_PAGE, TEST_PAGE, PROT_NONE), "memory of a thread");
	/* As many bytes as the largest bitmap has, then nothing. */
	f->nested += TEST_PAGE - KVM_MSR_FILTER_MAX_BITMAP_SIZE;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		get = rows[i].get ? row_of(rows[i].get) : ARRAY_LEN(rows);
		if (get < ARRAY_LEN(rows) && !f->got[get])
			f->got[get] = calloc(1, ARG_SIZE);
	}
	event._sigev_un._tid = gettid();
	TEST_CHECK(!timer_create(CLOCK_MONOTONIC, &event, &f->timer), "timer_create");
	f->kcov = kcov_open();
	f->fail_nth = with_faults ? faults_open() : -1;
}

static void *fuzz(void *arg)
{
	struct fuzzer *f = arg;
	struct call call;

	fuzzer_init(f);
	while (!shared->stop && shared->progress[f->nr].calls < calls_max) {
		f->rand = rand_next(&f->choice);
		call = new_call();
		if (f->kcov)
			kcov_begin(f->kcov);
		make_call(&call);
		if (f->kcov)
			kcov_collect(f->kcov, &shared->places);
	}
	shared->progress[f->nr].done = 1;
	timer_delete(f->timer);
	kcov_close(f->kcov);
	if (f->fail_nth >= 0)
		close(f->fail_nth);
	return NULL;
}

/* What generators start from. */
static void learn(void)
{
	struct kvm_segment *seg[] = { &sane_sregs.cs, &sane_sregs.ds, &sane_sregs.es, &sane_sregs.fs,
				      &sane_sregs.gs, &sane_sregs.ss };
	int vm = ioctl(FD_DEV, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	unsigned int i;

	TEST_CHECK(vcpu >= 0 && !ioctl(vcpu, KVM_GET_SREGS, &sane_sregs), "a vCPU");
	for (i = 0; i < ARRAY_LEN(seg); i++) {
		seg[i]->base = 0;
		seg[i]->selector = 0;
	}
	close(vcpu);
	close(vm);
	supported_cpuid.head.nent = ARRAY_LEN(supported_cpuid.entry);
	msr_list.head.nmsrs = ARRAY_LEN(msr_list.index);
	TEST_CHECK(!ioctl(FD_DEV, KVM_GET_SUPPORTED_CPUID, &supported_cpuid), "CPUID");
	TEST_CHECK(!ioctl(FD_DEV, KVM_GET_MSR_INDEX_LIST, &msr_list), "list of MSRs");
	run_size = ioctl(FD_DEV, KVM_GET_VCPU_MMAP_SIZE, 0);
	TEST_CHECK(run_size <= RUN_STRIDE, "run structure");
}

static void map_at(unsigned long address, size_t size, int flags, int fd)
{
	TEST_CHECK(mmap((void *)address, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, fd,
			0) == (void *)address, "no memory at %#lx", address);
}

static void make_group(unsigned int group)
{
	guests_restore(group);
	remake_vm(group);
	remake_vcpu(group, false);
	remake_vcpu(group, true);
}

/* The process with the threads; a status for exit(). */
static int fuzz_process(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int before = vms_now();
	unsigned int i;
	struct fuzzer fuzzers[THREADS + 1] = { 0 };
	pthread_t threads[THREADS];
	int status;
	pid_t pid;

	sigaction(SIGALRM, &action, NULL);
	for (i = 0; i <= THREADS; i++)
		fuzzers[i] = (struct fuzzer){ .nr = i, .group = COMMON_GROUPS + i,
					      .stranger = i == THREADS, .choice = rand_u64() };
	me = &fuzzers[0];
	mem_fd = memfd_create("guests", MFD_CLOEXEC);
	TEST_CHECK(mem_fd >= 0 && !ftruncate(mem_fd, GROUPS * MEM_SIZE), "memfd");
	map_at(MEM_AREA, GROUPS * MEM_SIZE, MAP_SHARED, mem_fd);
	memset((void *)MEM_AREA, 0xf4, GROUPS * MEM_SIZE);	/* hlt */
	map_at(RUN_AREA, GROUPS * RUN_STRIDE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	put_fd(test_open_device(), FD_DEV);
	learn();
	for (i = 0; i < GROUPS - 1; i++)
		make_group(i);

	pid = fork();
	TEST_CHECK(pid >= 0, "fork");
	if (!pid) {
		me = &fuzzers[THREADS];
		make_group(me->group);
		fuzz(me);
		_exit(0);
	}
	for (i = 0; i < THREADS; i++)
		TEST_CHECK(!pthread_create(&threads[i], NULL, fuzz, &fuzzers[i]), "thread");
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	TEST_CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	TEST_CHECK(!status, "the other process: status %#x", status);

	for (i = FD_DEV; i < FD_VCPU(GROUPS, 0); i++)
		close(i);
	munmap((void *)RUN_AREA, GROUPS * RUN_STRIDE);
	errno = 0;
	TEST_EQ(before, vms_now(), "VMs are left");
	return shared->failures ? 1 : 0;
}

/* --- The tests ------------------------------------------------------------------------------------------ */

/* No call takes as long, in seconds of a slow machine. */
#define HANGS_AFTER	20

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
	ticks++;
}

/* Is there a thread that has made no call for so long? Called every second. */
static bool hangs(void)
{
	static unsigned int last[THREADS + 1], since[THREADS + 1];
	unsigned int i;

	for (i = 0; i <= THREADS; i++) {
		unsigned int calls = shared->progress[i].calls;

		since[i] = calls == last[i] && !shared->progress[i].done ? since[i] + 1 : 0;
		last[i] = calls;
		if (since[i] > HANGS_AFTER) {
			fprintf(stderr, "# thread %u does not come back: %s\n", i,
				row_name(shared->progress[i].row));
			while (i-- > 0)
				fprintf(stderr, "# thread %u is in %s\n", i,
					row_name(shared->progress[i].row));
			return true;
		}
	}
	return false;
}

/* Let it run; stop it in time. Return: whether all is well. */
static bool watch(pid_t pid, unsigned int seconds)
{
	struct sigaction action = { .sa_handler = on_tick };
	struct itimerval every = { .it_value.tv_sec = 1, .it_interval.tv_sec = 1 }, off = {};
	int status = -1;

	ticks = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	while (waitpid(pid, &status, 0) != pid) {
		if (ticks >= seconds)
			shared->stop = true;
		if (hangs()) {
			/* It may not be possible to kill it. */
			kill(-pid, SIGKILL);
			return false;
		}
	}
	setitimer(ITIMER_REAL, &off, NULL);
	if (status)
		printf("# status %#x\n", status);
	return !status;
}

/* After so many calls each ioctl has succeeded, if it can. */
#define ENOUGH_CALLS	20000

static bool report(unsigned int seconds)
{
	unsigned int i, calls = 0;
	bool silent, ok = true;

	for (i = 0; i <= THREADS; i++)
		calls += shared->progress[i].calls;
	printf("# %u calls in %u s, %u faults, and %u in KVM_RUN\n", calls, seconds, shared->faults,
	       shared->run_faults);
	if (shared->places.count)
		printf("# coverage: %u places of the module\n", shared->places.count);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		silent = !shared->rows[i].ok && !rows[i].never && calls >= ENOUGH_CALLS;
		ok &= !silent;
		if (silent || getenv("VERBOSE"))
			printf("# %s: %u done, %u refused\n", rows[i].name, shared->rows[i].ok,
			       shared->rows[i].refused);
	}
	return ok;
}

static bool run_fuzzers(unsigned int seconds)
{
	bool ok;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	pid = fork();
	TEST_CHECK(pid >= 0, "fork");
	if (!pid) {
		setpgid(0, 0);
		_exit(fuzz_process());
	}
	setpgid(pid, pid);
	ok = watch(pid, seconds);
	return report(ticks) && ok;
}

/* Every ioctl that ioctl_test knows as minikvm's has a row here, for the same files. */
static bool table_is_complete(void)
{
	unsigned int i, row, files[ARRAY_LEN(rows)] = { 0 };
	bool ok = true;

	for (i = 0; i < ARRAY_LEN(ioctl_rows); i++) {
		if (!ioctl_rows[i].known || ioctl_rows[i].lacks)
			continue;
		row = row_of(ioctl_rows[i].request);
		if (row < ARRAY_LEN(rows)) {
			files[row] |= ioctl_rows[i].known;
			continue;
		}
		printf("# no row for %s\n", ioctl_rows[i].name);
		ok = false;
	}
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].known == files[i] || rows[i].request == KVM_X86_SET_MSR_FILTER_COMPAT)
			continue;
		printf("# %s is for other files\n", rows[i].name);
		ok = false;
	}
	return ok;
}

static int failed, number;

static void result(bool ok, const char *name)
{
	printf("%sok %d %s\n", ok ? "" : "not ", ++number, name);
	failed += !ok;
}

static unsigned int env_number(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

int main(void)
{
	/* Bochs is slow, and its CPUs run in turn. */
	bool slow = !test_vendor()->amd;
	unsigned int seconds = env_number("FUZZ_SECONDS", slow ? 60 : 5);

	setenv("SEED", "0x10c71f022", 0);
	calls_max = env_number("FUZZ_CALLS", slow && !getenv("FUZZ_SECONDS") ? 500 : -1u);
	is_minikvm = test_device_is_minikvm();
	bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	is_tcg = test_cpu_is_tcg();
	/* Bochs never leaves an endless guest without IF. */
	zeroes_end = !slow;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_CHECK(shared != MAP_FAILED, "shared memory");

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..3\n");
	result(table_is_complete(), "every ioctl has a row");
	result(run_fuzzers(seconds), "random calls");
	if (!faults_init()) {
		printf("ok 3 random calls with faults # SKIP this kernel has no fault injection\n");
		return failed ? 1 : 0;
	}
	with_faults = true;
	result(run_fuzzers(seconds), "random calls with faults");
	return failed ? 1 : 0;
}
