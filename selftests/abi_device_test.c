// SPDX-License-Identifier: GPL-2.0
/*
 * The device: version, VM creation, capabilities, the CPUID and MSR lists, and
 * what every kind of fd answers to ioctls that are not its own.
 */
#include "abi.h"

#include <sys/resource.h>
#include <sys/sysmacros.h>

/* Can be read as an empty list, cannot be written. */
static const unsigned long readonly_zero;

FIXTURE(fds)
{
	struct machine m;
};

FIXTURE_SETUP(fds)
{
	MACHINE_INIT(&self->m);
}

FIXTURE_TEARDOWN(fds)
{
	machine_destroy(&self->m);
}

/* --- Version, mmap size, VM types ------------------------------------------ */

TEST_F(fds, version_and_mmap_size)
{
	static const struct {
		const char *name;
		unsigned long request;
		unsigned long arg;
		long want;
	} rows[] = {
		{ "version", KVM_GET_API_VERSION, 0, 12 },
		{ "version, argument 1", KVM_GET_API_VERSION, 1, -EINVAL },
		{ "version, argument -1", KVM_GET_API_VERSION, -1UL, -EINVAL },
		{ "version, argument 1 << 32", KVM_GET_API_VERSION, 1UL << 32, -EINVAL },
		{ "mmap size", KVM_GET_VCPU_MMAP_SIZE, 0, OK_ANY },
		{ "mmap size, argument 1", KVM_GET_VCPU_MMAP_SIZE, 1, -EINVAL },
		{ "mmap size, argument 1 << 32", KVM_GET_VCPU_MMAP_SIZE, 1UL << 32, -EINVAL },
	};
	unsigned int i;
	long size;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		EXPECT_ROW(rows[i].want,
			   xioctl(self->m.dev, rows[i].request, rows[i].arg),
			   rows[i].name);

	/* At least the run struct and the PIO data page. */
	size = xioctl(self->m.dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	EXPECT_LE((long)(2 * TEST_PAGE), size);
	EXPECT_EQ(0, size % TEST_PAGE);
}

TEST_F(fds, create_vm_types)
{
	static const unsigned long types[] = {
		0, 1, 2, 3, 5, 31, 32, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff,
		1UL << 32, 1UL << 63, -1UL,
	};
	/* A bit for each type, where the capability exists; else type 0 alone. */
	unsigned long known = cap_of(self->m.dev, 235 /* KVM_CAP_VM_TYPES */);
	unsigned int i;
	char name[40];

	known |= 1;
	for (i = 0; i < ARRAY_LEN(types); i++) {
		bool valid = types[i] < 32 && (known & (1UL << types[i]));
		long fd = xioctl(self->m.dev, KVM_CREATE_VM, types[i]);

		snprintf(name, sizeof(name), "type %#lx", types[i]);
		/* Types other than 0 may need more than a CPU feature. */
		if (!valid || !types[i])
			EXPECT_ROW(valid ? OK_ANY : -EINVAL, fd, name);
		if (fd >= 0) {
			EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
			EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
			close(fd);
		}
	}
}

TEST_F(fds, fd_flags)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->m.vm, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->m.vcpu, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(self->m.vcpu, F_GETFL) & O_ACCMODE);
}

/* A device opened for reading only answers as well: KVM looks at the node's mode. */
TEST(open_modes)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_NONBLOCK };
	unsigned int i;
	int fd, vm;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		fd = open(test_device(), modes[i]);
		ASSERT_LE(0, fd);
		EXPECT_EQ(12, xioctl(fd, KVM_GET_API_VERSION, 0));
		vm = xioctl(fd, KVM_CREATE_VM, 0);
		EXPECT_LE(0, vm);
		close(vm);
		close(fd);
	}
}

TEST(node)
{
	struct stat st;

	ASSERT_EQ(0, stat(test_device(), &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(10, major(st.st_rdev));
	if (test_device_is_minikvm()) {
		EXPECT_EQ(0600, st.st_mode & 07777);
		EXPECT_EQ(0, st.st_uid);
		EXPECT_EQ(0, st.st_gid);
	}
}

/* No fd left: creation fails, and fails without leaving anything behind. */
TEST_F(fds, no_fd_left)
{
	struct rlimit old, low;
	unsigned int i;
	int fd;

	fd = dup(self->m.dev);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	/* fd is the lowest number that was free: none is below the limit now. */
	low = old;
	low.rlim_cur = fd + 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(-EMFILE, xioctl(self->m.dev, KVM_CREATE_VM, 0));
		EXPECT_EQ(-EMFILE, xioctl(self->m.vm, KVM_CREATE_VCPU, 1));
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	close(fd);

	/* The id that could not get an fd is still free. */
	fd = xioctl(self->m.vm, KVM_CREATE_VCPU, 1);
	EXPECT_LE(0, fd);
	close(fd);
}

/* --- Capabilities ------------------------------------------------------------ */

/*
 * All that minikvm says it has. A number that is not here must be answered by
 * zero, so a new capability fails this test until it has its row, and the row
 * names the test that shows it working.
 */
struct cap_row {
	unsigned int cap;
	const char *name;
	int min;
	int max;
	const char *test;
};

#define CAP(c, min, max, test)	{ KVM_CAP_##c, #c, min, max, test }

static const struct cap_row caps[] = {
	CAP(HLT, 1, 1, "abi_vcpu_test: mp_state"),
	CAP(USER_MEMORY, 1, 1, "abi_vm_test: memory_region_rows"),
	CAP(SET_TSS_ADDR, 1, 1, "abi_vm_test: tss_addr"),
	CAP(EXT_CPUID, 1, 1, "abi_device_test: supported_cpuid"),
	CAP(NR_VCPUS, 1, 1024, "abi_vm_test: create_vcpu_max"),
	CAP(NR_MEMSLOTS, 32, 32767, "abi_vm_test: memory_region_slot_numbers"),
	CAP(MP_STATE, 1, 1, "abi_vcpu_test: mp_state"),
	CAP(USER_NMI, 1, 1, "event_test: nmi_in_every_mode"),
	CAP(SET_GUEST_DEBUG, 1, 1, "debug_test: step_in_every_mode"),
	CAP(VCPU_EVENTS, 1, 1, "event_test: events_fields"),
	CAP(X86_ROBUST_SINGLESTEP, 1, 1, "debug_test: step_set_regs"),
	CAP(SET_GUEST_DEBUG2, 0x1f0003, 0x1f0003, "debug_test: capabilities"),
	CAP(X86_TRIPLE_FAULT_EVENT, 1, 1, "event_test: triple_fault_event"),
	CAP(SYNC_MMU, 1, 1, "abi_vm_test: guest_memory_is_process_memory"),
	CAP(DESTROY_MEMORY_REGION_WORKS, 1, 1, "abi_vm_test: guest_sees_slot_changes"),
	CAP(JOIN_MEMORY_REGIONS_WORKS, 1, 1, "abi_vm_test: guest_sees_slot_changes"),
	CAP(IRQ_ROUTING, 4096, 4096, "abi_vm_test: gsi_routing_without_irqchip"),
	CAP(SET_IDENTITY_MAP_ADDR, 1, 1, "abi_vm_test: identity_map_addr"),
	CAP(INTERNAL_ERROR_DATA, 1, 1, "mmio_test"),
	CAP(GET_TSC_KHZ, 1, 1, "tsc_test: rate"),
	CAP(MAX_VCPUS, 1, 4096, "abi_vm_test: create_vcpu_max"),
	CAP(ENABLE_CAP_VM, 1, 1, "hypercall_test: disable_quirks"),
	CAP(CHECK_EXTENSION_VM, 1, 1, "abi_device_test: capabilities"),
	CAP(MAX_VCPU_ID, 1, 4096, "state_test: max_vcpu_id"),
	CAP(IMMEDIATE_EXIT, 1, 1, "abi_vcpu_test: immediate_exit_completes"),
	CAP(DISABLE_QUIRKS2, 0x78, 0x78, "quirk_test; hypercall_test: disable_quirks"),
	CAP(EXIT_ON_EMULATION_FAILURE, 1, 1, "mmio_test: emulation_failure"),
	CAP(READONLY_MEM, 1, 1, "mem_test: read_only_slot"),
	CAP(COALESCED_MMIO, 2, 2, "coalesced_test"),
	CAP(COALESCED_PIO, 1, 1, "coalesced_test: ports"),
	CAP(IOEVENTFD, 1, 1, "ioeventfd_test"),
	CAP(IOEVENTFD_NO_LENGTH, 1, 1, "ioeventfd_test: any_length"),
	CAP(IOEVENTFD_ANY_LENGTH, 1, 1, "ioeventfd_test: any_length"),
	CAP(DEBUGREGS, 1, 1, "state_test: debugregs"),
	CAP(MCE, 32, 32, "mce_test: capability"),
	CAP(ENABLE_CAP, 1, 1, "state_test: enable_cap_on_a_vcpu"),
	CAP(XSAVE, 1, 1, "state_test: xsave"),
	CAP(XCRS, 0, 1, "state_test: xcrs"),
	CAP(SYNC_REGS, 3, 7, "sync_regs_test"),
	CAP(SET_BOOT_CPU_ID, 1, 1, "state_test: boot_cpu_id"),
	CAP(EXT_EMUL_CPUID, 1, 1, "state_test: emulated_cpuid"),
	CAP(SREGS2, 1, 1, "state_test: sregs2"),
	CAP(XSAVE2, 4096, 16384, "state_test: xsave2"),
	CAP(VCPU_ATTRIBUTES, 1, 1, "tsc_test: offset_is_seen"),
	CAP(GET_MSR_FEATURES, 1, 1, "msr_policy_test: feature_list"),
	CAP(MSR_PLATFORM_INFO, 1, 1, "msr_policy_test: platform_info"),
	CAP(X86_USER_SPACE_MSR, 1, 1, "msr_filter_test: unknown_msr"),
	CAP(X86_MSR_FILTER, 1, 1, "msr_filter_test: deny_one"),
};

/* Numbers below this one; Linux 6.12 has got to 240. */
#define CAP_WALK 401

static const struct cap_row *cap_find(unsigned int cap)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(caps); i++)
		if (caps[i].cap == cap)
			return &caps[i];
	return NULL;
}

TEST_F(fds, capabilities)
{
	static const unsigned long absurd[] = {
		CAP_WALK, 0x7fffffff, 0x80000000, 0xffffffff,
		(1UL << 32) + KVM_CAP_USER_MEMORY, (1UL << 63) + KVM_CAP_USER_MEMORY,
		-1UL,
	};
	unsigned int i;

	for (i = 0; i < CAP_WALK; i++) {
		const struct cap_row *row = cap_find(i);
		int dev = cap_of(self->m.dev, i);
		int vm = cap_of(self->m.vm, i);

		EXPECT_LE(0, dev)
			TH_LOG("capability %u", i);
		if (row) {
			EXPECT_TRUE(dev >= row->min && (dev <= row->max || !test_device_is_minikvm()))
				TH_LOG("capability %u (%s) is %d on the device, not %d..%d; shown by %s",
				       i, row->name, dev, row->min, row->max, row->test);
		}
		if (!test_device_is_minikvm())
			continue;
		if (!row) {
			EXPECT_EQ(0, dev)
				TH_LOG("capability %u has no row in this test", i);
		}
		EXPECT_EQ(dev, vm)
			TH_LOG("capability %u: device %d, VM %d", i, dev, vm);
	}

	/* The argument is looked at as a whole. */
	for (i = 0; i < ARRAY_LEN(absurd); i++) {
		EXPECT_EQ(0, cap_of(self->m.dev, absurd[i]))
			TH_LOG("capability %#lx on the device", absurd[i]);
		EXPECT_EQ(0, cap_of(self->m.vm, absurd[i]))
			TH_LOG("capability %#lx on the VM", absurd[i]);
	}

	EXPECT_LE(cap_of(self->m.dev, KVM_CAP_NR_VCPUS),
		  cap_of(self->m.dev, KVM_CAP_MAX_VCPUS));
	EXPECT_LE(cap_of(self->m.dev, KVM_CAP_MAX_VCPUS),
		  cap_of(self->m.dev, KVM_CAP_MAX_VCPU_ID));
}

/* --- KVM_GET_SUPPORTED_CPUID ------------------------------------------------- */

#define CPUID_SIZE(n)	(sizeof(struct kvm_cpuid2) + (n) * sizeof(struct kvm_cpuid_entry2))

/* How many entries there are; found as a VMM finds it, by asking again. */
static long cpuid_count(int dev)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} all;
	long ret;

	all.head.nent = 256;
	ret = xioctl(dev, KVM_GET_SUPPORTED_CPUID, &all);
	return ret ? ret : all.head.nent;
}

TEST_F(fds, supported_cpuid)
{
	long n = cpuid_count(self->m.dev);
	struct {
		const char *name;
		uint32_t nent;		/* given */
		uint32_t room;		/* entries of memory */
		long want;
		uint32_t after;		/* nent afterwards */
	} rows[] = {
		/* Too small: E2BIG, and nent stays what it was. */
		{ "nent 0", 0, n, -E2BIG, 0 },
		{ "nent 1", 1, n, -E2BIG, 1 },
		{ "nent one short", n - 1, n, -E2BIG, n - 1 },
		{ "nent 0, no memory for entries", 0, 0, -E2BIG, 0 },
		/* Enough: the exact number comes back. */
		{ "nent exact", n, n, 0, n },
		{ "nent one more", n + 1, n, 0, n },
		{ "nent 256", 256, n, 0, n },
		/* Absurd: cut to 256, not refused. */
		{ "nent 257", 257, n, 0, n },
		{ "nent 0x7fffffff", 0x7fffffff, n, 0, n },
		{ "nent 0xffffffff", 0xffffffff, n, 0, n },
		/* Size in bytes a multiple of 2^32. */
		{ "nent 0x6666667", 0x6666667, n, 0, n },
		{ "entries do not fit in memory", n, n - 1, -EFAULT, n },
		{ "no memory for entries", n, 0, -EFAULT, n },
	};
	unsigned int i;

	ASSERT_LT(2, n);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct kvm_cpuid2 *c = guarded_alloc(CPUID_SIZE(rows[i].room));

		ASSERT_NE(NULL, c);
		memset(c, 0xa5, CPUID_SIZE(rows[i].room));
		c->nent = rows[i].nent;
		EXPECT_ROW(rows[i].want, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, c),
			   rows[i].name);
		EXPECT_EQ(rows[i].after, c->nent)
			TH_LOG("row: %s: nent afterwards", rows[i].name);
		guarded_free(c, CPUID_SIZE(rows[i].room));
	}

	EXPECT_EQ(-EFAULT, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, 0));
	EXPECT_EQ(-EFAULT, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, -TEST_PAGE));
}

TEST_F(fds, supported_cpuid_contents)
{
	long n = cpuid_count(self->m.dev);
	struct kvm_cpuid2 *a, *b;
	struct kvm_cpuid_entry2 *e;
	bool leaf0 = false, ext = false;
	int i, j, k;

	ASSERT_LT(2, n);
	a = guarded_alloc(CPUID_SIZE(n + 4));
	b = guarded_alloc(CPUID_SIZE(n + 4));
	ASSERT_TRUE(a && b);

	/* Twice the same whatever the buffer held, and nothing behind the end. */
	memset(a, 0xa5, CPUID_SIZE(n + 4));
	memset(b, 0x5a, CPUID_SIZE(n + 4));
	a->nent = n + 4;
	b->nent = n + 4;
	ASSERT_EQ(0, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, a));
	ASSERT_EQ(0, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, b));
	ASSERT_EQ(n, a->nent);
	for (i = 0; i < n; i++) {
		/* EBX of 1 and EDX of 0xb and 0x1f hold the CPU's own APIC ID. */
		a->entries[i].ebx &= a->entries[i].function == 1 ? 0xffffff : ~0U;
		b->entries[i].ebx &= b->entries[i].function == 1 ? 0xffffff : ~0U;
		if (a->entries[i].function == 0xb || a->entries[i].function == 0x1f)
			a->entries[i].edx = b->entries[i].edx;
		EXPECT_EQ(0, memcmp(&a->entries[i], &b->entries[i], sizeof(*e)))
			TH_LOG("entry %d differs between two calls", i);
	}
	for (i = n * sizeof(*e); i < (n + 4) * (int)sizeof(*e); i++) {
		ASSERT_EQ(0xa5, ((uint8_t *)a->entries)[i])
			TH_LOG("byte %d behind the last entry was written", i);
	}

	for (i = 0; i < n; i++) {
		e = &a->entries[i];
		for (k = 0; k < 3; k++) {
			EXPECT_EQ(0, e->padding[k])
				TH_LOG("padding of leaf %#x", e->function);
		}
		EXPECT_EQ(0, e->flags & ~7U);
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)) {
			EXPECT_EQ(0, e->index)
				TH_LOG("index of leaf %#x", e->function);
		}
		for (j = 0; j < i; j++) {
			EXPECT_FALSE(a->entries[j].function == e->function &&
				     a->entries[j].index == e->index)
				TH_LOG("leaf %#x index %u twice", e->function, e->index);
		}

		if (e->function == 0) {
			leaf0 = true;
			EXPECT_LE(1, e->eax);
		}
		if (e->function == 0x80000000) {
			ext = true;
			EXPECT_LE(0x80000008, e->eax);
		}
		/* A guest gets no VMX and no SVM: they are not virtualised. */
		if (test_device_is_minikvm() && e->function == 1) {
			EXPECT_EQ(0, e->ecx & (1 << 5));
		}
		if (test_device_is_minikvm() && e->function == 0x80000001) {
			EXPECT_EQ(0, e->ecx & (1 << 2));
		}
		if (e->function == 0x80000008) {
			EXPECT_LE(32, e->eax & 0xff);
			EXPECT_GE(52, e->eax & 0xff);
		}
	}
	EXPECT_TRUE(leaf0);
	EXPECT_TRUE(ext);

	/* What is supported can be set. */
	EXPECT_EQ(0, xioctl(self->m.vcpu, KVM_SET_CPUID2, b));
	guarded_free(a, CPUID_SIZE(n + 4));
	guarded_free(b, CPUID_SIZE(n + 4));
}

/* --- KVM_GET_MSR_INDEX_LIST -------------------------------------------------- */

#define MSR_LIST_SIZE(n)	(sizeof(struct kvm_msr_list) + (n) * sizeof(uint32_t))

TEST_F(fds, msr_index_list)
{
	struct kvm_msr_list probe = { .nmsrs = 0 };
	uint32_t n;
	unsigned int i;

	ASSERT_EQ(-E2BIG, xioctl(self->m.dev, KVM_GET_MSR_INDEX_LIST, &probe));
	n = probe.nmsrs;
	ASSERT_LT(2, n);

	struct {
		const char *name;
		uint32_t nmsrs;		/* given */
		uint32_t room;
		long want;
	} rows[] = {
		{ "one short", n - 1, n, -E2BIG },
		{ "1", 1, n, -E2BIG },
		{ "exact", n, n, 0 },
		{ "five more", n + 5, n, 0 },
		{ "0xffffffff", 0xffffffff, n, 0 },
		{ "0x40000001", 0x40000001, n, 0 },
		{ "no memory for indices", n, 0, -EFAULT },
		{ "memory one index short", n, n - 1, -EFAULT },
	};

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct kvm_msr_list *l = guarded_alloc(MSR_LIST_SIZE(rows[i].room));

		ASSERT_NE(NULL, l);
		l->nmsrs = rows[i].nmsrs;
		EXPECT_ROW(rows[i].want, xioctl(self->m.dev, KVM_GET_MSR_INDEX_LIST, l),
			   rows[i].name);
		/* The number is told in every case. */
		EXPECT_EQ(n, l->nmsrs)
			TH_LOG("row: %s: nmsrs afterwards", rows[i].name);
		guarded_free(l, MSR_LIST_SIZE(rows[i].room));
	}

	EXPECT_EQ(-EFAULT, xioctl(self->m.dev, KVM_GET_MSR_INDEX_LIST, 0));
	EXPECT_EQ(-EFAULT, xioctl(self->m.dev, KVM_GET_MSR_INDEX_LIST, &readonly_zero));
}

/* Every MSR of the list, and none twice, can be read on a vCPU. */
TEST_F(fds, msr_index_list_readable)
{
	struct kvm_msr_list *l;
	struct kvm_cpuid2 *c;
	uint32_t n, i, j;
	long cpuids;

	l = guarded_alloc(MSR_LIST_SIZE(1024));
	ASSERT_NE(NULL, l);
	l->nmsrs = 1024;
	ASSERT_EQ(0, xioctl(self->m.dev, KVM_GET_MSR_INDEX_LIST, l));
	n = l->nmsrs;

	cpuids = cpuid_count(self->m.dev);
	ASSERT_LT(0, cpuids);
	c = guarded_alloc(CPUID_SIZE(cpuids));
	c->nent = cpuids;
	ASSERT_EQ(0, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, c));
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_CPUID2, c));

	for (i = 0; i < n; i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entry;
		} one = {
			.head.nmsrs = 1,
			.entry.index = l->indices[i],
			.entry.data = 0xa5a5a5a5a5a5a5a5,
		};

		for (j = 0; j < i; j++) {
			EXPECT_NE(l->indices[j], l->indices[i]);
		}
		EXPECT_EQ(1, xioctl(self->m.vcpu, KVM_GET_MSRS, &one))
			TH_LOG("MSR %#x is in the list but cannot be read", l->indices[i]);
		EXPECT_NE(0xa5a5a5a5a5a5a5a5, one.entry.data)
			TH_LOG("MSR %#x: nothing was stored", l->indices[i]);
	}
	guarded_free(l, MSR_LIST_SIZE(1024));
	guarded_free(c, CPUID_SIZE(cpuids));
}

/* --- What is not there ------------------------------------------------------- */

enum fd_kind { DEV, VM, VCPU, FD_KINDS };

static const char * const fd_names[] = { "device", "VM", "vCPU" };
static const long unknown_errno[] = { -EINVAL, -ENOTTY, -EINVAL };

static int fd_of(const struct machine *m, enum fd_kind kind)
{
	return kind == DEV ? m->dev : kind == VM ? m->vm : m->vcpu;
}

TEST_F(fds, unknown_ioctls)
{
	static const struct {
		const char *name;
		unsigned long request;
		bool own[FD_KINDS];	/* the fds that do know it */
	} rows[] = {
		{ "number 0xff", _IO(KVMIO, 0xff), { false } },
		{ "number 0xff, huge", _IOWR(KVMIO, 0xff, char[0x3fff]), { false } },
		{ "terminal's TCGETS", 0x5401, { false } },
		{ "other type", _IO(0xaf, 0x80), { false } },
		{ "type 0", 0x80, { false } },
		{ "version with a size", _IOR(KVMIO, 0x00, int), { false } },
		{ "regs of another size", _IOR(KVMIO, 0x81, char[8]), { false } },
		{ "sregs of another size", _IOW(KVMIO, 0x84, char[8]), { false } },
		{ "memory region of another size", _IOW(KVMIO, 0x46, char[24]), { false } },
		{ "run with a size", _IOW(KVMIO, 0x80, int), { false } },
		{ "regs in the other direction", _IOW(KVMIO, 0x81, struct kvm_regs), { false } },
		{ "KVM_GET_API_VERSION", KVM_GET_API_VERSION, { [DEV] = true } },
		{ "KVM_CREATE_VM", KVM_CREATE_VM, { [DEV] = true } },
		{ "KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE, { [DEV] = true } },
		{ "KVM_GET_SUPPORTED_CPUID", KVM_GET_SUPPORTED_CPUID, { [DEV] = true } },
		{ "KVM_GET_MSR_INDEX_LIST", KVM_GET_MSR_INDEX_LIST, { [DEV] = true } },
		{ "KVM_GET_MSR_FEATURE_INDEX_LIST", KVM_GET_MSR_FEATURE_INDEX_LIST,
		  { [DEV] = true } },
		{ "KVM_X86_SET_MSR_FILTER", KVM_X86_SET_MSR_FILTER, { [VM] = true } },
		{ "KVM_GET_TSC_KHZ", KVM_GET_TSC_KHZ, { [VM] = true, [VCPU] = true } },
		{ "KVM_SET_TSC_KHZ", KVM_SET_TSC_KHZ, { [VM] = true, [VCPU] = true } },
		{ "KVM_CHECK_EXTENSION", KVM_CHECK_EXTENSION, { [DEV] = true, [VM] = true } },
		{ "KVM_CREATE_VCPU", KVM_CREATE_VCPU, { [VM] = true } },
		{ "KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, { [VM] = true } },
		{ "KVM_SET_TSS_ADDR", KVM_SET_TSS_ADDR, { [VM] = true } },
		{ "KVM_SET_IDENTITY_MAP_ADDR", KVM_SET_IDENTITY_MAP_ADDR, { [VM] = true } },
		{ "KVM_RUN", KVM_RUN, { [VCPU] = true } },
		{ "KVM_GET_REGS", KVM_GET_REGS, { [VCPU] = true } },
		{ "KVM_SET_REGS", KVM_SET_REGS, { [VCPU] = true } },
		{ "KVM_GET_SREGS", KVM_GET_SREGS, { [VCPU] = true } },
		{ "KVM_SET_SREGS", KVM_SET_SREGS, { [VCPU] = true } },
		{ "KVM_GET_FPU", KVM_GET_FPU, { [VCPU] = true } },
		{ "KVM_SET_FPU", KVM_SET_FPU, { [VCPU] = true } },
		{ "KVM_SET_MSRS", KVM_SET_MSRS, { [VCPU] = true } },
		{ "KVM_SET_CPUID2", KVM_SET_CPUID2, { [VCPU] = true } },
		{ "KVM_GET_MP_STATE", KVM_GET_MP_STATE, { [VCPU] = true } },
		{ "KVM_SET_MP_STATE", KVM_SET_MP_STATE, { [VCPU] = true } },
	};
	static const unsigned int trace[] = { KVM_TRACE_ENABLE, KVM_TRACE_PAUSE, KVM_TRACE_DISABLE };
	char name[80], buf[0x4000] = { 0 };
	unsigned int i, k;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		for (k = 0; k < FD_KINDS; k++) {
			if (rows[i].own[k])
				continue;
			snprintf(name, sizeof(name), "%s on the %s", rows[i].name, fd_names[k]);
			EXPECT_ROW(unknown_errno[k],
				   xioctl(fd_of(&self->m, k), rows[i].request, buf), name);
			/* The argument is not looked at. */
			EXPECT_ROW(unknown_errno[k],
				   xioctl(fd_of(&self->m, k), rows[i].request, 0), name);
		}
	}

	/* Once KVM's own tracing; KVM has known the numbers until Linux 6.1, at least. */
	for (i = 0; i < ARRAY_LEN(trace); i++) {
		snprintf(name, sizeof(name), "trace ioctl %u", i);
		EXPECT_ROW2(-EOPNOTSUPP, -EINVAL, xioctl(self->m.dev, trace[i], buf), name);
	}
}

/*
 * An ioctl that comes with a capability is unknown as long as the capability
 * is not there.
 */
TEST_F(fds, ioctls_without_capability)
{
	static const struct {
		const char *name;
		unsigned long request;
		unsigned int cap;
		enum fd_kind kind;
	} rows[] = {
#define ROW(request, cap, kind)	{ #request, request, KVM_CAP_##cap, kind }
		ROW(KVM_CREATE_IRQCHIP, IRQCHIP, VM),
		ROW(KVM_IRQ_LINE, IRQCHIP, VM),
		ROW(KVM_GET_IRQCHIP, IRQCHIP, VM),
		ROW(KVM_SET_IRQCHIP, IRQCHIP, VM),
		ROW(KVM_CREATE_PIT2, PIT2, VM),
		ROW(KVM_SET_GSI_ROUTING, IRQ_ROUTING, VM),
		ROW(KVM_IRQFD, IRQFD, VM),
		ROW(KVM_IOEVENTFD, IOEVENTFD, VM),
		ROW(KVM_SIGNAL_MSI, SIGNAL_MSI, VM),
		ROW(KVM_CREATE_DEVICE, DEVICE_CTRL, VM),
		ROW(KVM_REGISTER_COALESCED_MMIO, COALESCED_MMIO, VM),
		ROW(KVM_SET_BOOT_CPU_ID, SET_BOOT_CPU_ID, VM),
		ROW(KVM_SET_CLOCK, ADJUST_CLOCK, VM),
		ROW(KVM_GET_CLOCK, ADJUST_CLOCK, VM),
		ROW(KVM_ENABLE_CAP, ENABLE_CAP_VM, VM),
		ROW(KVM_RESET_DIRTY_RINGS, DIRTY_LOG_RING, VM),
		ROW(KVM_X86_SET_MSR_FILTER, X86_MSR_FILTER, VM),
		ROW(KVM_GET_LAPIC, IRQCHIP, VCPU),
		ROW(KVM_SET_LAPIC, IRQCHIP, VCPU),
		ROW(KVM_NMI, USER_NMI, VCPU),
		ROW(KVM_SET_GUEST_DEBUG, SET_GUEST_DEBUG, VCPU),
		ROW(KVM_TPR_ACCESS_REPORTING, VAPIC, VCPU),
		ROW(KVM_X86_SETUP_MCE, MCE, VCPU),
		ROW(KVM_GET_VCPU_EVENTS, VCPU_EVENTS, VCPU),
		ROW(KVM_SET_VCPU_EVENTS, VCPU_EVENTS, VCPU),
		ROW(KVM_GET_DEBUGREGS, DEBUGREGS, VCPU),
		ROW(KVM_SET_DEBUGREGS, DEBUGREGS, VCPU),
		ROW(KVM_GET_XSAVE, XSAVE, VCPU),
		ROW(KVM_SET_XSAVE, XSAVE, VCPU),
		ROW(KVM_GET_XCRS, XCRS, VCPU),
		ROW(KVM_SET_XCRS, XCRS, VCPU),
		/* As in KVM it does not need TSC_CONTROL, which is about other rates. */
		ROW(KVM_SET_TSC_KHZ, GET_TSC_KHZ, VCPU),
		ROW(KVM_GET_TSC_KHZ, GET_TSC_KHZ, VCPU),
		ROW(KVM_KVMCLOCK_CTRL, KVMCLOCK_CTRL, VCPU),
		ROW(KVM_SMI, X86_SMM, VCPU),
		ROW(KVM_GET_SREGS2, SREGS2, VCPU),
		ROW(KVM_SET_SREGS2, SREGS2, VCPU),
		ROW(KVM_GET_NESTED_STATE, NESTED_STATE, VCPU),
		ROW(KVM_GET_STATS_FD, BINARY_STATS_FD, VCPU),
		ROW(KVM_GET_MSR_FEATURE_INDEX_LIST, GET_MSR_FEATURES, DEV),
		ROW(KVM_GET_MSRS, GET_MSR_FEATURES, DEV),
		ROW(KVM_X86_GET_MCE_CAP_SUPPORTED, MCE, DEV),
		ROW(KVM_GET_EMULATED_CPUID, EXT_EMUL_CPUID, DEV),
		ROW(KVM_GET_SUPPORTED_HV_CPUID, SYS_HYPERV_CPUID, DEV),
#undef ROW
	};
	static char buf[0x4000];
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = fd_of(&self->m, rows[i].kind);

		if (!test_device_is_minikvm() || cap_of(self->m.vm, rows[i].cap))
			continue;
		EXPECT_ROW(unknown_errno[rows[i].kind], xioctl(fd, rows[i].request, buf),
			   rows[i].name);
		EXPECT_ROW(unknown_errno[rows[i].kind], xioctl(fd, rows[i].request, 0),
			   rows[i].name);
	}
}

/* A pointer that cannot be read or written is EFAULT, on every ioctl with one. */
TEST_F(fds, bad_pointers)
{
	static const struct {
		const char *name;
		unsigned long request;
		enum fd_kind kind;
		bool reads;		/* the kernel reads the struct first */
	} rows[] = {
#define ROW(request, kind, reads)	{ #request, request, kind, reads }
		ROW(KVM_GET_SUPPORTED_CPUID, DEV, true),
		ROW(KVM_GET_MSR_INDEX_LIST, DEV, true),
		ROW(KVM_GET_MSR_FEATURE_INDEX_LIST, DEV, true),
		ROW(KVM_GET_MSRS, DEV, true),
		ROW(KVM_X86_SET_MSR_FILTER, VM, true),
		ROW(KVM_HAS_DEVICE_ATTR, VCPU, true),
		ROW(KVM_GET_DEVICE_ATTR, VCPU, true),
		ROW(KVM_SET_DEVICE_ATTR, VCPU, true),
		ROW(KVM_SET_USER_MEMORY_REGION, VM, true),
		ROW(KVM_GET_REGS, VCPU, false),
		ROW(KVM_SET_REGS, VCPU, true),
		ROW(KVM_GET_SREGS, VCPU, false),
		ROW(KVM_SET_SREGS, VCPU, true),
		ROW(KVM_GET_FPU, VCPU, false),
		ROW(KVM_SET_FPU, VCPU, true),
		ROW(KVM_GET_MSRS, VCPU, true),
		ROW(KVM_SET_MSRS, VCPU, true),
		ROW(KVM_SET_CPUID2, VCPU, true),
		ROW(KVM_GET_MP_STATE, VCPU, false),
		ROW(KVM_SET_MP_STATE, VCPU, true),
#undef ROW
	};
	char *none, *readonly, name[80];
	unsigned int i;

	none = mmap(NULL, TEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	readonly = mmap(NULL, TEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(none != MAP_FAILED && readonly != MAP_FAILED);

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		size_t size = _IOC_SIZE(rows[i].request);
		int fd = fd_of(&self->m, rows[i].kind);
		const struct {
			const char *name;
			unsigned long ptr;
		} ptrs[] = {
			{ "NULL", 0 },
			{ "no access", (unsigned long)none },
			{ "end of the address space", -1UL - size / 2 },
			{ "kernel half", 0xffff888000000000 },
			{ "not canonical", 0x8000000000000000 },
		};
		unsigned int k;
		void *p;

		for (k = 0; k < ARRAY_LEN(ptrs); k++) {
			snprintf(name, sizeof(name), "%s, %s", rows[i].name, ptrs[k].name);
			EXPECT_ROW(-EFAULT, xioctl(fd, rows[i].request, ptrs[k].ptr), name);
		}

		/* The last byte of the struct is missing. */
		p = guarded_alloc(size);
		ASSERT_NE(NULL, p);
		memset(p, 0, size);
		snprintf(name, sizeof(name), "%s, one byte short", rows[i].name);
		EXPECT_ROW(-EFAULT, xioctl(fd, rows[i].request, (char *)p + 1), name);
		guarded_free(p, size);

		if (!rows[i].reads) {
			snprintf(name, sizeof(name), "%s, read-only", rows[i].name);
			EXPECT_ROW(-EFAULT, xioctl(fd, rows[i].request, readonly), name);
		}
	}
	munmap(none, TEST_PAGE);
	munmap(readonly, TEST_PAGE);
}

/* Files that can do nothing but ioctl, and mmap on a vCPU. */
TEST_F(fds, file_operations)
{
	unsigned int k;
	char c = 0;

	for (k = 0; k < FD_KINDS; k++) {
		int fd = fd_of(&self->m, k);

		EXPECT_EQ(-1, read(fd, &c, 1));
		EXPECT_EQ(EINVAL, errno)
			TH_LOG("read from the %s", fd_names[k]);
		EXPECT_EQ(-1, write(fd, &c, 1));
		EXPECT_EQ(EINVAL, errno)
			TH_LOG("write to the %s", fd_names[k]);
		if (k == VCPU)
			continue;
		EXPECT_EQ(MAP_FAILED, mmap(NULL, TEST_PAGE, PROT_READ, MAP_SHARED, fd, 0));
		EXPECT_EQ(ENODEV, errno)
			TH_LOG("mmap of the %s", fd_names[k]);
	}
}

/* --- 32-bit callers ---------------------------------------------------------- */

#ifdef __x86_64__
static long ioctl32(int fd, unsigned int request, unsigned int arg)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "a" (54), "b" (fd), "c" (request), "d" (arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

static void no_ia32(int sig)
{
	_exit(99);
}

/* int $0x80 reaches the compat entry points from a 64-bit program. */
TEST_F(fds, compat)
{
	struct kvm_userspace_memory_region *region;
	struct kvm_regs *regs;
	int status;
	pid_t pid;
	int vm, vcpu;

	/* Kernels without IA32 emulation answer by a signal. */
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, no_ia32);
		_exit(ioctl32(-1, 0, 0) == -EBADF ? 0 : 99);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		SKIP(return, "no IA32 emulation");

	region = mmap(NULL, 2 * TEST_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)region);
	regs = (void *)(region + 1);

	EXPECT_EQ(12, ioctl32(self->m.dev, KVM_GET_API_VERSION, 0));
	EXPECT_EQ(1, ioctl32(self->m.dev, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY));
	vm = ioctl32(self->m.dev, KVM_CREATE_VM, 0);
	ASSERT_LE(0, vm);
	vcpu = ioctl32(vm, KVM_CREATE_VCPU, 0);
	ASSERT_LE(0, vcpu);
	*region = (struct kvm_userspace_memory_region) {
		.memory_size = TEST_PAGE,
		.userspace_addr = (uintptr_t)region,
	};
	EXPECT_EQ(0, ioctl32(vm, KVM_SET_USER_MEMORY_REGION, (uintptr_t)region));
	EXPECT_EQ(-ENOTTY, ioctl32(vm, _IO(KVMIO, 0xff), 0));
	EXPECT_EQ(0, ioctl32(vcpu, KVM_GET_REGS, (uintptr_t)regs));
	EXPECT_EQ(0xfff0, regs->rip);
	EXPECT_EQ(-EFAULT, ioctl32(vcpu, KVM_GET_REGS, 0));
	EXPECT_EQ(-EINVAL, ioctl32(vcpu, KVM_RUN, 1));
	close(vcpu);
	close(vm);
}
#endif

TEST_HARNESS_MAIN
