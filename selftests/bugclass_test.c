// SPDX-License-Identifier: GPL-2.0
/*
 * Classes of bugs that hypervisors have had, each as a test: what a guest or its VMM did to get hold
 * of the host. Documentation/security.rst, "Bug classes", says which test stands for which class; many
 * are in other programs. A test here passes when the calls end as they should and the kernel is well
 * afterwards; the debug kernel (boot svm/debug) sees more of what goes wrong.
 */
#include <sys/time.h>

#include "abi.h"
#include "lib/code.h"
#include "lib/msr.h"
#include "lib/stats.h"
#include "lib/vendor.h"

/* Guest-physical addresses without memory; a zone of coalesced MMIO is put there too. */
#define HOLE		0xd0000000ul
#define RFLAGS		0x202	/* IF: Bochs lets no interrupt end a guest without */

/* --- Help ----------------------------------------------------------------------------------- */

/* As much as can be done in the time: Bochs takes many times longer. */
static unsigned int rounds(unsigned int number)
{
	return test_vendor()->amd ? number : (number + 4) / 5;
}

static struct test_vcpu *vcpu_in(enum test_mode mode)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);

	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, mode);
	return vcpu;
}

/* The code, and a HLT behind it, is what runs next. */
static void start(struct test_vcpu *vcpu, const void *code, size_t size, struct kvm_regs regs)
{
	struct code_buf c = {};

	code_bytes(&c, code, size);
	code_hlt(&c);
	code_load(&c, vcpu->vm);
	regs.rip = GUEST_CODE;
	regs.rsp = regs.rsp ?: GUEST_STACK_TOP;
	regs.rflags = RFLAGS;
	vcpu_set_regs(vcpu, &regs);
}

/* --- Numbers from the guest, and from userspace ----------------------------------------------- */

/* Registers that are arrays in the host: each element is its own, and there is none behind the last. */
TEST(guest_index_into_host_array)
{
	static const struct {
		uint32_t first, last, step;
		uint64_t value;
	} arrays[] = {
		{ 0x402, 0x47e, 4, 0x100 },		/* MCi_ADDR */
		{ 0x403, 0x47f, 4, 0x100 },		/* MCi_MISC */
		{ 0x200, 0x20e, 2, 0x100000 },		/* PHYSBASEn */
		{ 0x201, 0x20f, 2, 0x100000 },		/* PHYSMASKn */
	};
	static const struct { uint32_t first, last; } none[] = {
		{ 0x210, 0x24f }, { 0x251, 0x257 }, { 0x25a, 0x267 }, { 0x270, 0x276 },
		{ 0x2a0, 0x2fe }, { 0x4a0, 0x4bf },
	};
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	unsigned int i, k;
	uint64_t value;
	uint32_t msr;

	for (i = 0; i < ARRAY_LEN(arrays); i++)
		for (msr = arrays[i].first, k = 1; msr <= arrays[i].last; msr += arrays[i].step, k++)
			TEST_EQ(-1, guest_write(vcpu, msr, k * arrays[i].value), "WRMSR %#x", msr);
	for (i = 0; i < ARRAY_LEN(arrays); i++)
		for (msr = arrays[i].first, k = 1; msr <= arrays[i].last; msr += arrays[i].step, k++)
			TEST_EQ(k * arrays[i].value, guest_value(vcpu, msr), "RDMSR %#x", msr);
	for (i = 0; i < ARRAY_LEN(none); i++)
		for (msr = none[i].first; msr <= none[i].last; msr++) {
			TEST_EQ(VECTOR_GP, guest_read(vcpu, msr, &value), "RDMSR %#x", msr);
			TEST_EQ(VECTOR_GP, guest_write(vcpu, msr, 0), "WRMSR %#x", msr);
		}
	vm_destroy(vcpu->vm);
}

/* The guest's MSR numbers and the ranges of a filter: one bit, and one that would wrap around. */
TEST(guest_index_into_filter)
{
	static uint8_t none[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	struct kvm_msr_filter filter = {
		.ranges = {
			{ KVM_MSR_FILTER_READ, 1, 0x175, none },
			{ KVM_MSR_FILTER_READ, sizeof(none) * 8, 0xffffff00, none },
		},
	};
	uint64_t value;

	if (test_has_cap(vcpu->vm->dev, KVM_CAP_X86_MSR_FILTER) <= 0)
		SKIP(return, "no KVM_CAP_X86_MSR_FILTER");
	ASSERT_EQ(0, xioctl(vcpu->vm->fd, KVM_X86_SET_MSR_FILTER, &filter));
	EXPECT_EQ(-1, guest_read(vcpu, 0x174, &value));
	EXPECT_EQ(VECTOR_GP, guest_read(vcpu, 0x175, &value));
	EXPECT_EQ(-1, guest_read(vcpu, 0x176, &value));
	vm_destroy(vcpu->vm);
}

/*
 * Ioctls with a number of elements: numbers whose product with the element's size does not fit, and
 * room for just as many as there are. One byte more would be EFAULT.
 */
static const uint32_t too_many[] = {
	257, 0x06666667, 0x0aaaaaab, 0x10000000, 0x10000001, 0x40000000, 0x7fffffff, 0x80000000, ~0u,
};

struct list {
	const char *name;
	int fd;
	unsigned long request;
	size_t head, element;
	uint32_t max;		/* of elements, in any case */
	bool silent;		/* stock KVM does not say how many there are: as many as before */
};

/* An ioctl that returns a list into a buffer of @room elements, of which it is told @number. */
static long get_list(const struct list *l, uint32_t room, uint32_t number, uint32_t *got)
{
	size_t size = l->head + room * l->element;
	void *arg = guarded_alloc(size);
	long ret;

	TEST_CHECK(arg, "no memory");
	memset(arg, 0, size);
	memcpy(arg, &number, sizeof(number));
	ret = xioctl(l->fd, l->request, arg);
	memcpy(got, arg, sizeof(*got));
	guarded_free(arg, size);
	return ret;
}

TEST(ioctl_size_overflow_get)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	const struct list lists[] = {
#define CPUID_LIST(fd, name, ...) { #name, fd, name, sizeof(struct kvm_cpuid2), \
				    sizeof(struct kvm_cpuid_entry2), 256, ##__VA_ARGS__ }
#define MSR_LIST(fd, name) { #name, fd, name, sizeof(struct kvm_msr_list), sizeof(uint32_t), 1024 }
		CPUID_LIST(vcpu->vm->dev, KVM_GET_SUPPORTED_CPUID),
		CPUID_LIST(vcpu->fd, KVM_GET_CPUID2, true),
		MSR_LIST(vcpu->vm->dev, KVM_GET_MSR_INDEX_LIST),
		MSR_LIST(vcpu->vm->dev, KVM_GET_MSR_FEATURE_INDEX_LIST),
	};
	uint32_t there = 0, got;
	unsigned int i, k;

	for (i = 0; i < ARRAY_LEN(lists); i++) {
		const struct list *l = &lists[i];

		TEST_EQ(0, get_list(l, l->max, l->max, &got), "%s", l->name);
		there = l->silent ? there : got;
		ASSERT_LT(1, there);
		ASSERT_GT(l->max, there);
		TEST_EQ(0, get_list(l, there, there, &got), "%s, room for all", l->name);
		TEST_EQ(-E2BIG, get_list(l, there - 1, there - 1, &got), "%s", l->name);
		TEST_EQ(-E2BIG, get_list(l, 0, 0, &got), "%s", l->name);
		for (k = 0; k < ARRAY_LEN(too_many); k++) {
			TEST_EQ(0, get_list(l, there, too_many[k], &got), "%s", l->name);
			if (!l->silent)
				TEST_EQ(there, got, "%s of %#x", l->name, too_many[k]);
		}
		/* A list that does not end in the buffer is an error, and not a write behind it. */
		TEST_EQ(-EFAULT, get_list(l, there - 1, ~0u, &got), "%s", l->name);
	}
	vm_destroy(vcpu->vm);
}

TEST(ioctl_size_overflow_set)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	struct test_vm *vm = vcpu->vm;
	struct kvm_msr_filter filter = { .ranges = { { KVM_MSR_FILTER_READ } } };
	const struct {
		const char *name;
		int fd;
		unsigned long request;
		long want;
	} rows[] = {
		{ "KVM_SET_CPUID", vcpu->fd, KVM_SET_CPUID, -E2BIG },
		{ "KVM_SET_CPUID2", vcpu->fd, KVM_SET_CPUID2, -E2BIG },
		{ "KVM_GET_MSRS", vcpu->fd, KVM_GET_MSRS, -E2BIG },
		{ "KVM_SET_MSRS", vcpu->fd, KVM_SET_MSRS, -E2BIG },
		{ "KVM_GET_MSRS of the device", vm->dev, KVM_GET_MSRS, -E2BIG },
		/* The padding of entries that are not there cannot be read. */
		{ "KVM_GET_EMULATED_CPUID", vm->dev, KVM_GET_EMULATED_CPUID, -EINVAL },
	};
	uint32_t *arg = guarded_alloc(64), got;
	unsigned int i, k;
	long ret;

	ASSERT_NE(NULL, arg);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		for (k = 0; k < ARRAY_LEN(too_many); k++) {
			memset(arg, 0, 64);
			*arg = too_many[k];
			ret = xioctl(rows[i].fd, rows[i].request, arg);
			got = *arg;
			TEST_EQ(rows[i].want, ret, "%s of %#x", rows[i].name, too_many[k]);
			TEST_EQ(too_many[k], got, "%s", rows[i].name);
		}
	guarded_free(arg, 64);

	if (test_has_cap(vm->dev, KVM_CAP_X86_MSR_FILTER) <= 0)
		return;
	for (k = 0; k < ARRAY_LEN(too_many); k++) {
		if (too_many[k] <= KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8)
			continue;
		filter.ranges[0].nmsrs = too_many[k];
		TEST_EQ(-EINVAL, xioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter), "filter of %#x",
			too_many[k]);
	}
	vm_destroy(vm);
}

/* --- Arguments that change while the kernel reads them ------------------------------------------ */

struct flipper {
	volatile uint32_t *word;
	uint32_t one, other;
	volatile bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!f->stop) {
		*f->word = f->one;
		*f->word = f->other;
	}
	return NULL;
}

/* The number of elements is read once: what is allocated is what is filled. */
TEST(ioctl_argument_changes)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	const struct {
		const char *name;
		unsigned long request;
	} rows[] = {
		{ "KVM_GET_MSRS", KVM_GET_MSRS },
		{ "KVM_SET_MSRS", KVM_SET_MSRS },
		{ "KVM_SET_CPUID2", KVM_SET_CPUID2 },
		{ "KVM_GET_CPUID2", KVM_GET_CPUID2 },
	};
	static uint64_t arg[(8 + 256 * sizeof(struct kvm_cpuid_entry2)) / 8];
	struct flipper f = { .word = (uint32_t *)arg };
	unsigned int i, k;
	pthread_t thread;
	long ret;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		memset(arg, 0, sizeof(arg));
		f.one = 1;
		f.other = 255;
		f.stop = false;
		ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &f));
		for (k = 0; k < rounds(4000); k++) {
			ret = xioctl(vcpu->fd, rows[i].request, arg);
			/* The MSR with number 0 exists, so all are done. */
			TEST_CHECK(ret == 0 || ret == -E2BIG || ret == 1 || ret == 255,
				   "%s: %ld", rows[i].name, ret);
		}
		f.stop = true;
		pthread_join(thread, NULL);
	}
	vm_destroy(vcpu->vm);
}

/* --- Files that are closed by somebody else -------------------------------------------------------- */

struct closer {
	int first, count;
	volatile bool stop;
};

static void *close_fds(void *arg)
{
	struct closer *c = arg;
	int i;

	while (!c->stop)
		for (i = 0; i < c->count; i++)
			close(c->first + i);
	return NULL;
}

/* A thread guesses the descriptors of new files, and closes them as soon as they can be closed. */
TEST(object_lifetime_fd_race)
{
	struct kvm_userspace_memory_region region = { .slot = 0, .memory_size = 16 * TEST_PAGE };
	int dev = test_open_device(), before = vms_now(), vm, vcpu, fd, i, made = 0, lost = 0;
	struct closer c = { .first = dup(dev), .count = 3 };
	struct kvm_regs regs;
	pthread_t thread;

	ASSERT_LE(0, c.first);
	close(c.first);
	region.userspace_addr = (uintptr_t)mmap(NULL, region.memory_size, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, close_fds, &c));
	for (i = 0; i < (int)rounds(100); i++) {
		vm = xioctl(dev, KVM_CREATE_VM, 0);
		ASSERT_LE(0, vm);
		vcpu = xioctl(vm, KVM_CREATE_VCPU, 0);
		if (vcpu >= 0)
			made++;
		else
			EXPECT_EQ(-EBADF, vcpu);
		xioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
		xioctl(vm, KVM_CREATE_VCPU, 1);
		/* The file may be gone, another, or there; its VM is there as long as it is. */
		if (xioctl(vcpu, KVM_GET_REGS, &regs))
			lost++;
		for (fd = c.first; fd < c.first + c.count; fd++)
			close(fd);
	}
	c.stop = true;
	pthread_join(thread, NULL);
	TH_LOG("%d vCPUs in %u rounds, %d calls too late", made, rounds(100), lost);
	munmap((void *)(uintptr_t)region.userspace_addr, region.memory_size);
	close(dev);
	EXPECT_EQ(before, vms_now());
}

/* --- What userspace gets to see --------------------------------------------------------------------- */

/* Bytes of a structure that mean nothing. */
struct pad {
	size_t offset, size;
};

#define PAD(type, field) { offsetof(type, field), sizeof(((type *)0)->field) }
#define MAX_PADS	24

struct getter {
	const char *name;
	unsigned long request;
	size_t size;
	int cap;		/* 0: always there */
	struct pad pads[MAX_PADS];
};

#define SREGS_PADS(type)							\
	PAD(type, cs.padding), PAD(type, ds.padding), PAD(type, es.padding),	\
	PAD(type, fs.padding), PAD(type, gs.padding), PAD(type, ss.padding),	\
	PAD(type, tr.padding), PAD(type, ldt.padding),				\
	PAD(type, gdt.padding), PAD(type, idt.padding)

static const struct getter getters[] = {
	{ "KVM_GET_REGS", KVM_GET_REGS, sizeof(struct kvm_regs) },
	{ "KVM_GET_SREGS", KVM_GET_SREGS, sizeof(struct kvm_sregs), 0,
	  { SREGS_PADS(struct kvm_sregs) } },
	{ "KVM_GET_SREGS2", KVM_GET_SREGS2, sizeof(struct kvm_sregs2), KVM_CAP_SREGS2,
	  { SREGS_PADS(struct kvm_sregs2) } },
	{ "KVM_GET_FPU", KVM_GET_FPU, sizeof(struct kvm_fpu), 0,
	  { PAD(struct kvm_fpu, pad1), PAD(struct kvm_fpu, pad2) } },
	{ "KVM_GET_DEBUGREGS", KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs), KVM_CAP_DEBUGREGS,
	  { PAD(struct kvm_debugregs, flags), PAD(struct kvm_debugregs, reserved) } },
	{ "KVM_GET_XCRS", KVM_GET_XCRS, sizeof(struct kvm_xcrs), KVM_CAP_XCRS,
	  { PAD(struct kvm_xcrs, flags), PAD(struct kvm_xcrs, xcrs[0].reserved),
	    PAD(struct kvm_xcrs, xcrs[1]), PAD(struct kvm_xcrs, xcrs[15]),
	    PAD(struct kvm_xcrs, padding) } },
	{ "KVM_GET_VCPU_EVENTS", KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events),
	  KVM_CAP_VCPU_EVENTS,
	  { PAD(struct kvm_vcpu_events, nmi.pad), PAD(struct kvm_vcpu_events, reserved) } },
	{ "KVM_GET_MP_STATE", KVM_GET_MP_STATE, sizeof(struct kvm_mp_state), KVM_CAP_MP_STATE },
	{ "KVM_GET_XSAVE", KVM_GET_XSAVE, 4096, KVM_CAP_XSAVE,
	  /* Of the header: all but the two bitmaps. */
	  { { 512 + 16, 48 } } },
};

/* All of it comes from the kernel, and what means nothing is 0. */
static void check_getter(struct test_vcpu *vcpu, const struct getter *g)
{
	static uint8_t a[8192], b[8192];
	const struct pad *p;
	size_t i;

	memset(a, 0, sizeof(a));
	memset(b, 0xff, sizeof(b));
	TEST_EQ(0, xioctl(vcpu->fd, g->request, a), "%s", g->name);
	TEST_EQ(0, xioctl(vcpu->fd, g->request, b), "%s", g->name);
	for (i = 0; i < g->size; i++)
		TEST_EQ(a[i], b[i], "%s: byte %zu", g->name, i);
	for (; i < sizeof(a); i++)
		TEST_EQ(0xff00, b[i] << 8 | a[i], "%s: byte %zu behind the end", g->name, i);
	for (p = g->pads; p < g->pads + MAX_PADS; p++)
		for (i = p->offset; i < p->offset + p->size; i++)
			TEST_EQ(0, a[i], "%s: padding at %zu", g->name, i);
}

TEST(info_leak_padding)
{
	/* fld1; pcmpeqd %xmm0, %xmm0; not %rax: something in the registers */
	static const uint8_t code[] = { 0xd9, 0xe8, 0x66, 0x0f, 0x76, 0xc0, 0x48, 0xf7, 0xd0 };
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	unsigned int i;

	start(vcpu, code, sizeof(code), (struct kvm_regs){ .rbx = ~0ul });
	vcpu_run_to_hlt(vcpu);
	for (i = 0; i < ARRAY_LEN(getters); i++)
		if (!getters[i].cap || test_has_cap(vcpu->vm->dev, getters[i].cap) > 0)
			check_getter(vcpu, &getters[i]);
	vm_destroy(vcpu->vm);
}

/* The lists: entries whose padding is 0, and nothing behind the last. */
TEST(info_leak_lists)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	const struct { int fd; unsigned long request; } rows[] = {
		{ vcpu->vm->dev, KVM_GET_EMULATED_CPUID },
		{ vcpu->vm->dev, KVM_GET_SUPPORTED_CPUID },
		{ vcpu->fd, KVM_GET_CPUID2 },
	};
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid;
	static const struct kvm_cpuid_entry2 zero;
	unsigned int i, k, nent = 0;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		memset(&cpuid, 0, sizeof(cpuid));
		cpuid.head.nent = ARRAY_LEN(cpuid.entry);
		ASSERT_EQ(0, xioctl(rows[i].fd, rows[i].request, &cpuid));
		/* Stock KVM leaves the number alone in the last: those before were set. */
		if (rows[i].request != KVM_GET_CPUID2)
			nent = cpuid.head.nent;
		ASSERT_GT(ARRAY_LEN(cpuid.entry), nent);
		for (k = 0; k < nent; k++)
			TEST_CHECK(!memcmp(cpuid.entry[k].padding, zero.padding,
					   sizeof(zero.padding)), "row %u, entry %u", i, k);
		for (; k < ARRAY_LEN(cpuid.entry); k++)
			TEST_CHECK(!memcmp(&cpuid.entry[k], &zero, sizeof(zero)),
				   "row %u, entry %u behind the last", i, k);
	}
	vm_destroy(vcpu->vm);
}

/* The pages that userspace maps hold nothing of whoever had them before. */
TEST(info_leak_pages)
{
	struct test_vcpu *vcpu;
	const uint8_t *page;
	unsigned int round;
	size_t i;

	for (round = 0; round < rounds(60); round++) {
		vcpu = vm_add_vcpu(vm_create_bare(), 0);
		page = (const uint8_t *)vcpu->run;
		for (i = sizeof(struct kvm_run); i < vcpu->run_size; i++)
			TEST_EQ(0, page[i], "byte %#zx of the vCPU's pages", i);
		vm_destroy(vcpu->vm);
	}
}

/* --- MMIO ----------------------------------------------------------------------------------------------- */

static void *run_once(void *vcpu)
{
	return (void *)(long)__vcpu_run(vcpu);
}

/* movups %xmm0, (%rdi); mov %rax, (%rdi) */
static const uint8_t store_16[] = { 0x0f, 0x11, 0x07 };
static const uint8_t store_8[] = { 0x48, 0x89, 0x07 };

static struct test_vcpu *first_part(const uint8_t *code, size_t size, unsigned int before)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);

	start(vcpu, code, size, (struct kvm_regs){
		.rdi = HOLE + TEST_PAGE - before, .rax = 0x1122334455667788,
	});
	vcpu_run_to_mmio(vcpu, true, HOLE + TEST_PAGE - before, before);
	return vcpu;
}

/*
 * The second half of a write across two pages is nowhere but in the kernel while userspace has the
 * first: not in the run structure, nor on the stack of a thread that may be gone.
 */
TEST(page_cross_mmio_write)
{
	struct test_vcpu *vcpu;
	pthread_t thread;
	void *ret;

	vcpu = first_part(store_8, sizeof(store_8), 4);
	EXPECT_EQ(0, memcmp(vcpu->run->mmio.data, "\x88\x77\x66\x55", 4));
	memset(&vcpu->run->mmio, 0xff, sizeof(vcpu->run->mmio));
	vcpu->run->exit_reason = ~0u;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_once, vcpu));
	pthread_join(thread, &ret);
	ASSERT_EQ(NULL, ret);
	vcpu_expect(vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(HOLE + TEST_PAGE, vcpu->run->mmio.phys_addr);
	EXPECT_EQ(4, vcpu->run->mmio.len);
	EXPECT_EQ(1, vcpu->run->mmio.is_write);
	EXPECT_EQ(0, memcmp(vcpu->run->mmio.data, "\x44\x33\x22\x11", 4));
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);

	/* The VM ends in between. */
	vcpu = first_part(store_8, sizeof(store_8), 3);
	vm_destroy(vcpu->vm);
	vcpu = first_part(store_16, sizeof(store_16), 8);
	memset(&vcpu->run->mmio, 0xff, sizeof(vcpu->run->mmio));
	vcpu_run_to_mmio(vcpu, true, HOLE + TEST_PAGE, 8);
	vm_destroy(vcpu->vm);
}

/* --- Memory that is not quite memory -------------------------------------------------------------------- */

/* The slot that the tests below put where they want. */
#define SLOT_GPA	0x10000000ul

/* mov (%rdi), %eax */
static const uint8_t load_4[] = { 0x8b, 0x07 };

static unsigned long address_of_mapping(const char *name)
{
	unsigned long start = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name))
			sscanf(line, "%lx-", &start);
	if (f)
		fclose(f);
	return start;
}

/* Memory without a struct page of its own: KVM maps it, minikvm refuses; nobody keeps it. */
static void try_pfnmap(void *hva, const char *what)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	int ret;

	vm_set_slot(vcpu->vm, 1, KVM_MEM_READONLY, SLOT_GPA, TEST_PAGE, hva);
	start(vcpu, load_4, sizeof(load_4), (struct kvm_regs){ .rdi = SLOT_GPA });
	ret = __vcpu_run(vcpu);
	if (test_device_is_minikvm())
		TEST_CHECK(ret < 0 && errno == EFAULT, "%s: KVM_RUN %d", what, ret);
	else if (!ret)
		vcpu_expect(vcpu, KVM_EXIT_HLT);
	/* The VM has not suffered. */
	vm_delete_slot(vcpu->vm, 1);
	start(vcpu, load_4, sizeof(load_4), (struct kvm_regs){ .rdi = GUEST_DATA });
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

TEST(pfnmap_memory)
{
	void *vvar = (void *)address_of_mapping("[vvar]"), *rom;
	int fd;

	if (vvar)
		try_pfnmap(vvar, "the kernel's clock page");
	/* The firmware, which is no RAM. */
	fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	rom = fd < 0 ? MAP_FAILED : mmap(NULL, TEST_PAGE, PROT_READ, MAP_SHARED, fd, 0xff000);
	if (rom != MAP_FAILED) {
		try_pfnmap(rom, "/dev/mem");
		munmap(rom, TEST_PAGE);
	}
	close(fd);
	if (!vvar && rom == MAP_FAILED)
		SKIP(return, "no such memory here");
}

/*
 * The vCPU's own pages behind a slot: the guest writes to the structures that the kernel fills, and
 * the mappings go in another order than the guest's.
 */
TEST(own_pages_as_memory)
{
	/* mov %eax, (%rdi); out %al, $0x80; mov %ebx, (%rsi); mov %eax, (%rcx): ring, port, zone */
	static const uint8_t code[] = { 0x89, 0x07, 0xe6, 0x80, 0x89, 0x1e, 0x89, 0x01 };
	struct kvm_coalesced_mmio_zone zone = { .addr = HOLE, .size = TEST_PAGE };
	struct kvm_coalesced_mmio_ring *ring;
	struct test_vcpu *vcpu;
	unsigned int round;
	uint64_t ring_gpa;
	int page;

	for (round = 0; round < 4; round++) {
		vcpu = vcpu_in(MODE_LONG);
		page = test_has_cap(vcpu->vm->dev, KVM_CAP_COALESCED_MMIO);
		ring = (void *)((char *)vcpu->run + page * TEST_PAGE);
		ring_gpa = SLOT_GPA + page * TEST_PAGE;
		vm_set_slot(vcpu->vm, 1, 0, SLOT_GPA, vcpu->run_size, vcpu->run);
		ASSERT_EQ(0, xioctl(vcpu->vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
		start(vcpu, code, sizeof(code), (struct kvm_regs){
			.rax = ~0u, .rbx = ~0u - round, .rcx = HOLE,
			.rdi = SLOT_GPA + offsetof(struct kvm_run, io) + 2 * round,
			.rsi = ring_gpa + offsetof(struct kvm_coalesced_mmio_ring, last),
		});
		vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, 0x80, 1, 1);
		/* A ring whose index makes no sense is full. */
		vcpu_run_to_mmio(vcpu, true, HOLE, 4);
		EXPECT_EQ(~0u - round, ring->last);
		vcpu_run_to_hlt(vcpu);
		if (round & 1)
			vm_delete_slot(vcpu->vm, 1);
		vm_destroy(vcpu->vm);
	}
}

/* --- What a guest must not reach past the hypervisor ------------------------------------------------------ */

/* Each port is userspace's, in both directions: those of the host's diagnostics, PCI, speaker. */
TEST(port_passed_through)
{
	/* 1: out %al, %dx; in %dx, %al; add %cx, %dx; jmp 1b */
	static const uint8_t code[] = { 0xee, 0xec, 0x66, 0x01, 0xca, 0xeb, 0xf9 };
	static const uint16_t known[] = { 0x80, 0x20, 0x40, 0x60, 0x61, 0x70, 0xed, 0x402, 0xcf8 };
	uint16_t step = test_vendor()->amd ? 5 : 251, port;
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(known); i++) {
		start(vcpu, code, sizeof(code), (struct kvm_regs){ .rdx = known[i] });
		vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, known[i], 1, 1);
		vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, known[i], 1, 1);
	}
	start(vcpu, code, sizeof(code), (struct kvm_regs){ .rcx = step });
	for (i = 0, port = 0; i < 0x10000u / step; i++, port += step) {
		vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, port, 1, 1);
		vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, port, 1, 1);
	}
	vm_destroy(vcpu->vm);
}

/* Each access to an MSR makes an exit; a guest without an interrupt controller has no x2APIC. */
TEST(msr_passed_through)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	static const uint32_t bases[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int step = test_vendor()->amd ? 7 : 61, i;
	uint64_t value, before, tried = 0;
	uint32_t msr;

	for (msr = 0x800; msr < 0x840; msr++) {
		EXPECT_EQ(VECTOR_GP, guest_read(vcpu, msr, &value));
		EXPECT_EQ(VECTOR_GP, guest_write(vcpu, msr, 0));
	}
	if (!stats_available())
		SKIP(return, "stock KVM lets guests read some MSRs");
	before = stats_exit_count(vcpu, STATS_MSR);
	for (i = 0; i < ARRAY_LEN(bases); i++)
		for (msr = bases[i]; msr < bases[i] + 0x2000; msr += step, tried++)
			guest_read(vcpu, msr, &value);
	/* Speculation, microcode, performance, x2APIC, EFER, segment bases, VM_CR, HSAVE_PA. */
	for (msr = 0x48; msr <= 0x49; msr++, tried++)
		guest_write(vcpu, msr, 0);
	for (msr = 0x800; msr < 0x900; msr++, tried++)
		guest_write(vcpu, msr, 0);
	for (msr = 0xc0000080; msr <= 0xc0000084; msr++, tried++)
		guest_read(vcpu, msr, &value);
	for (msr = 0xc0000100; msr <= 0xc0000103; msr++, tried++)
		guest_read(vcpu, msr, &value);
	for (msr = 0xc0010114; msr <= 0xc0010118; msr++, tried++)
		guest_write(vcpu, msr, 0);
	EXPECT_EQ(tried, stats_exit_count(vcpu, STATS_MSR) - before);
	vm_destroy(vcpu->vm);
}

/* Whatever userspace puts into an MSR is refused, or the guest can run with it. */
TEST(msr_extreme_values)
{
	static const uint64_t values[] = {
		~0ull, 1ull << 63, 1ull << 47, 1ull << 56, 0x00ff800000000000, 0xffff7fffffffffff,
	};
	static const uint8_t nop[] = { 0x90 };
	int dev = test_open_device();
	static struct {
		struct kvm_msr_list head;
		uint32_t index[1024];
	} list;
	struct test_vcpu *vcpu;
	unsigned int i, k, taken = 0;

	list.head.nmsrs = ARRAY_LEN(list.index);
	ASSERT_EQ(0, xioctl(dev, KVM_GET_MSR_INDEX_LIST, &list));
	for (k = 0; k < ARRAY_LEN(values); k++) {
		vcpu = vcpu_in(MODE_LONG);
		for (i = 0; i < list.head.nmsrs; i++) {
			struct kvm_regs regs = {};

			taken += __vcpu_set_msr(vcpu, list.index[i], values[k]);
			guest_write(vcpu, list.index[i], values[k]);
			TEST_EQ(-1, vcpu_try(vcpu, nop, sizeof(nop), &regs, NULL),
				"MSR %#x, %#lx", list.index[i], values[k]);
		}
		vm_destroy(vcpu->vm);
	}
	EXPECT_LT(0, taken);
	close(dev);
}

/* --- The emulator and the guest's exceptions ----------------------------------------------------------------- */

static volatile sig_atomic_t alarms;

static void count_alarm(int sig)
{
	alarms++;
}

static void alarm_every(unsigned int ms)
{
	const struct itimerval every = {
		.it_interval.tv_usec = ms * 1000, .it_value.tv_usec = ms * 1000,
	};
	struct sigaction sa = { .sa_handler = count_alarm };

	TEST_CHECK(!sigaction(SIGALRM, &sa, NULL) && !setitimer(ITIMER_REAL, &every, NULL),
		   "no timer");
}

/* Let it run until a HLT, of its own or of a handler, and answer what it asks. Return: the last exit. */
static uint32_t run_on(struct test_vcpu *vcpu, unsigned int exits)
{
	uint32_t reason = ~0u;

	while (exits--) {
		if (__vcpu_run(vcpu)) {
			TEST_CHECK(errno == EINTR, "KVM_RUN");
			return KVM_EXIT_INTR;
		}
		reason = vcpu->run->exit_reason;
		if (reason != KVM_EXIT_MMIO && reason != KVM_EXIT_IO)
			break;
	}
	return reason;
}

/* A program in ring 3 that finds a device in its address space cannot stop the VM with it. */
TEST(ring3_stops_vm)
{
	static const struct {
		const char *name;
		uint8_t bytes[16];
	} insns[] = {
		{ "sgdt", { 0x0f, 0x01, 0x07 } },
		{ "sidt", { 0x0f, 0x01, 0x0f } },
		{ "lgdt", { 0x0f, 0x01, 0x17 } },
		{ "smsw", { 0x0f, 0x01, 0x27 } },
		{ "lmsw", { 0x0f, 0x01, 0x37 } },
		{ "invlpg", { 0x0f, 0x01, 0x3f } },
		{ "sldt", { 0x0f, 0x00, 0x07 } },
		{ "lldt", { 0x0f, 0x00, 0x17 } },
		{ "ltr", { 0x0f, 0x00, 0x1f } },
		{ "verr", { 0x0f, 0x00, 0x27 } },
		{ "fxsave", { 0x0f, 0xae, 0x07 } },
		{ "fxrstor", { 0x0f, 0xae, 0x0f } },
		{ "ldmxcsr", { 0x0f, 0xae, 0x17 } },
		{ "stmxcsr", { 0x0f, 0xae, 0x1f } },
		{ "clflush", { 0x0f, 0xae, 0x3f } },
		{ "fnsave", { 0xdd, 0x37 } },
		{ "frstor", { 0xdd, 0x27 } },
		{ "fldenv", { 0xd9, 0x27 } },
		{ "fldt", { 0xdb, 0x2f } },
		{ "fstpl", { 0xdd, 0x1f } },
		{ "cmpxchg16b", { 0x48, 0x0f, 0xc7, 0x0f } },
		{ "lock cmpxchg8b", { 0xf0, 0x0f, 0xc7, 0x0f } },
		{ "lock xadd", { 0xf0, 0x0f, 0xc1, 0x07 } },
		{ "lfs", { 0x0f, 0xb4, 0x07 } },
		{ "ljmp", { 0xff, 0x2f } },
		{ "lcall", { 0xff, 0x1f } },
		{ "jmp *", { 0xff, 0x27 } },
		{ "jmp there", { 0xff, 0xe7 } },
		{ "push there", { 0x48, 0x89, 0xfc, 0x50 } },
		{ "iret there", { 0x48, 0x89, 0xfc, 0x48, 0xcf } },
		{ "mov to ss", { 0x8e, 0x17 } },
		{ "pshufb", { 0x66, 0x0f, 0x38, 0x00, 0x07 } },
		{ "maskmovdqu", { 0x66, 0x0f, 0xf7, 0xc1 } },
		{ "movntdqa", { 0x66, 0x0f, 0x38, 0x2a, 0x07 } },
		{ "crc32", { 0xf2, 0x0f, 0x38, 0xf1, 0x07 } },
		{ "div", { 0x48, 0xf7, 0x37 } },
		{ "bts", { 0x48, 0x0f, 0xab, 0x07 } },
		{ "rep movsb", { 0xf3, 0xa4 } },
		{ "insb", { 0x6c } },
		{ "outsb", { 0x6e } },
		{ "in", { 0xec } },
		{ "enter", { 0x48, 0x89, 0xfc, 0xc8, 0x08, 0x00, 0x03 } },
		{ "ud1", { 0x0f, 0xb9, 0x07 } },
		{ "15 bytes", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
				0x66, 0x8b, 0x07 } },
		{ "16 bytes", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
				0x66, 0x66, 0x8b, 0x07 } },
	};
	const char *endless = NULL;
	struct test_vcpu *vcpu;
	unsigned int i;
	uint32_t last;

	for (i = 0; i < ARRAY_LEN(insns); i++) {
		vcpu = vcpu_in(MODE_LONG_R3);
		start(vcpu, insns[i].bytes, sizeof(insns[i].bytes), (struct kvm_regs){
			.rdi = HOLE, .rsi = HOLE + 0x100, .rcx = 3, .rdx = 0x80, .rbp = GUEST_DATA,
		});
		/* Not before, so that what a VM takes to be made does not count. */
		alarm_every(900);
		last = run_on(vcpu, 400);
		setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
		if (last == KVM_EXIT_INTR && !test_device_is_minikvm())
			endless = insns[i].name;
		else
			TEST_EQ(KVM_EXIT_HLT, last, "%s", insns[i].name);
		vm_destroy(vcpu->vm);
	}
	SKIP_IF_STOCK(endless, "executes %s for ever", endless);
}

/*
 * A breakpoint on the operand of MOV to SS, and the trap of a step over it, are put off by an
 * instruction, whatever that is. A hypervisor that emulates, skips or delivers something then must not
 * make a state of it that the CPU refuses, or take the exception itself.
 */
TEST(mov_ss_and_breakpoint)
{
	static const struct {
		const char *name;
		uint8_t bytes[4];
	} next[] = {
		{ "nop", { 0x90, 0x90 } },
		{ "int3", { 0xcc } },
		{ "int1", { 0xf1 } },
		{ "int 0x20", { 0xcd, 0x20 } },
		{ "cpuid", { 0x0f, 0xa2 } },
		{ "rdmsr", { 0x0f, 0x32 } },
		{ "out", { 0xe6, 0x80 } },
		{ "device", { 0x8b, 0x07 } },
		{ "ud2", { 0x0f, 0x0b } },
		{ "mov to cr0", { 0x0f, 0x22, 0xc0 } },
		{ "hlt", { 0xf4 } },
	};
	static const uint16_t selector = SEL_DATA;
	struct kvm_debugregs dr = {
		/* Reads and writes of two bytes. */
		.db = { GUEST_DATA }, .dr6 = 0xffff0ff0, .dr7 = 0x700 | 1 << 0 | 7 << 16,
	};
	struct test_vcpu *vcpu;
	struct code_buf c;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_LEN(next); i++) {
		const uint8_t *bytes = next[i / 2].bytes;

		vcpu = vcpu_in(MODE_LONG);
		if (test_has_cap(vcpu->vm->dev, KVM_CAP_DEBUGREGS) <= 0)
			SKIP(return, "no KVM_CAP_DEBUGREGS");
		vm_write(vcpu->vm, GUEST_DATA, &selector, sizeof(selector));
		ASSERT_EQ(0, xioctl(vcpu->fd, KVM_SET_DEBUGREGS, &dr));
		c = (struct code_buf){};
		if (i & 1)			/* pushf; orl $TF, (%rsp); popf */
			CODE(&c, 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d);
		CODE(&c, 0x8e, 0x16);		/* mov (%rsi), %ss */
		code_bytes(&c, bytes, sizeof(next[0].bytes));
		start(vcpu, c.bytes, c.size, (struct kvm_regs){
			.rsi = GUEST_DATA, .rdi = HOLE, .rcx = 0x174, .rax = 0x80000031,
		});
		TEST_EQ(KVM_EXIT_HLT, run_on(vcpu, 10), "MOV SS, %s%s", next[i / 2].name,
			i & 1 ? ", stepped" : "");
		/* The host's own debug registers are not in the way of the next. */
		vm_destroy(vcpu->vm);
	}
}

struct rewriter {
	volatile uint64_t *code;
	volatile bool stop;
};

/* Instructions of up to 8 bytes: some are none, some have no device, some are too long. */
static void *rewrite(void *arg)
{
	static const uint64_t others[] = {
		0x909090909090078b,		/* mov (%rdi), %eax */
		0x9090909090078bf0,		/* lock mov: #UD */
		0x909090909090ff0f,		/* ud0 */
		0x9090909090900b0f,		/* ud2 */
		0x6666666666666666,		/* prefixes */
		0x90909090909007c4,		/* VEX, or LES */
		0x90909090907f100f,		/* movups */
		0x0000000000000000,
		0x9090909090905f0f,
		0x90909007c70ff048,		/* cmpxchg16b that is none */
	};
	struct rewriter *r = arg;
	unsigned int i = 0;

	while (!r->stop) {
		*r->code = others[i++ % ARRAY_LEN(others)];
		*r->code = others[0];
	}
	return NULL;
}

/* The instruction that the CPU found a device for is another when the emulator reads it. */
TEST(instruction_changes)
{
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	struct rewriter r = { .code = vm_hva(vcpu->vm, GUEST_CODE, 8) };
	const struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = RFLAGS, .rdi = HOLE,
	};
	unsigned int i, mmio = 0, exceptions = 0, failed = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, rewrite, &r));
	for (i = 0; i < rounds(2000); i++) {
		memset((void *)(r.code + 1), 0xf4, 24);
		vcpu_set_regs(vcpu, &regs);
		TEST_CHECK(__vcpu_run(vcpu) == 0, "KVM_RUN");
		switch (vcpu->run->exit_reason) {
		case KVM_EXIT_MMIO:
			mmio++;
			break;
		case KVM_EXIT_HLT:
			exceptions++;
			break;
		case KVM_EXIT_INTERNAL_ERROR:
			failed++;
			break;
		default:
			vcpu_expect(vcpu, KVM_EXIT_MMIO);
		}
		/* What is outstanding is finished first. */
		vcpu->run->immediate_exit = 1;
		while (!__vcpu_run(vcpu))
			;
		vcpu->run->immediate_exit = 0;
	}
	r.stop = true;
	pthread_join(thread, NULL);
	TH_LOG("%u accesses, %u exceptions or ends, %u not executed", mmio, exceptions, failed);
	EXPECT_LT(0, mmio);
	vm_destroy(vcpu->vm);
}

static void *drain(void *arg)
{
	struct flipper *f = arg;
	struct kvm_coalesced_mmio_ring *ring = (void *)f->word;

	while (!f->stop)
		ring->first = ring->last;
	return NULL;
}

/* An instruction that is executed in the kernel, for as long as the guest wants, can be interrupted. */
TEST(emulated_without_end)
{
	/* 1: mov %rdx, %rdi; mov %rbx, %rcx; rep stosb; jmp 1b */
	static const uint8_t code[] = {
		0x48, 0x89, 0xd7, 0x48, 0x89, 0xd9, 0xf3, 0xaa, 0xeb, 0xf6,
	};
	struct kvm_coalesced_mmio_zone zone = { .addr = HOLE, .size = 0x8000000 };
	struct test_vcpu *vcpu = vcpu_in(MODE_LONG);
	struct flipper f = {};
	unsigned int interrupted = 0;
	pthread_t thread;
	sigset_t set;

	f.word = (uint32_t *)((char *)vcpu->run +
			      test_has_cap(vcpu->vm->dev, KVM_CAP_COALESCED_MMIO) * TEST_PAGE);
	ASSERT_EQ(0, xioctl(vcpu->vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
	/* For this thread only. */
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, drain, &f));
	ASSERT_EQ(0, pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	start(vcpu, code, sizeof(code), (struct kvm_regs){ .rdx = HOLE, .rbx = 0x7ffffff });
	alarm_every(30);
	while (interrupted < 3) {
		if (__vcpu_run(vcpu)) {
			ASSERT_EQ(EINTR, errno);
			interrupted++;
		} else {
			vcpu_expect(vcpu, KVM_EXIT_MMIO);
		}
	}
	setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
	EXPECT_LE(3, alarms);
	f.stop = true;
	pthread_join(thread, NULL);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
