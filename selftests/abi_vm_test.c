// SPDX-License-Identifier: GPL-2.0
/*
 * The VM: vCPU creation, memory slots, the two addresses, and how long a VM
 * lives: close in any order, fork, fd passing, exec, processes that die.
 */
#include "abi.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

FIXTURE(vm)
{
	struct machine m;
};

FIXTURE_SETUP(vm)
{
	MACHINE_INIT(&self->m);
}

FIXTURE_TEARDOWN(vm)
{
	machine_destroy(&self->m);
}

/* A VM and nothing else. */
FIXTURE(bare)
{
	int dev;
	int vm;
};

FIXTURE_SETUP(bare)
{
	self->dev = open(test_device(), O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->vm = ioctl(self->dev, KVM_CREATE_VM, 0);
	ASSERT_LE(0, self->vm);
}

FIXTURE_TEARDOWN(bare)
{
	close(self->vm);
	close(self->dev);
}

/* Loads from DS:BX for ever; the byte goes to port 0x10. */
GUEST(guest_load_out,
      "1: mov (%bx), %al\n"
      "out %al, $0x10\n"
      "jmp 1b\n");
GUEST(guest_hlt, "1: hlt\n jmp 1b\n");
GUEST(guest_spin, "1: inc %ecx\n jmp 1b\n");
/* Writes one byte to every page from GPA 0x2000 up to 0xf000, then halts. */
GUEST(guest_touch,
      "mov $0x2000, %bx\n"
      "1: movb $0x55, (%bx)\n"
      "add $0x1000, %bx\n"
      "jnz 1b\n"
      "1: hlt\n"
      "jmp 1b\n");

/* A child's exit status, or minus the signal that ended it. */
static int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- KVM_CREATE_VCPU --------------------------------------------------------- */

TEST_F(bare, create_vcpu_rows)
{
	unsigned long max_id = cap_of(self->dev, KVM_CAP_MAX_VCPU_ID);
	const struct {
		const char *name;
		unsigned long id;
		long want, other;
	} rows[] = {
		{ "id 0", 0, OK_ANY },
		{ "id 0 again", 0, -EEXIST },
		{ "id 1", 1, OK_ANY },
		{ "last id", max_id - 1, OK_ANY },
		{ "last id again", max_id - 1, -EEXIST },
		{ "one id too many", max_id, -EINVAL },
		{ "id 0x7fffffff", 0x7fffffff, -EINVAL },
		{ "id 0x80000000", 0x80000000, -EINVAL },
		{ "id 0xffffffff", 0xffffffff, -EINVAL },
		{ "id -1", -1UL, -EINVAL },
		/* The upper half was cut off until 6.11; it is an error since. */
		{ "id 1 << 32", 1UL << 32, -EINVAL, -EEXIST },
		{ "id 7", 7, OK_ANY },
		{ "id 3 after id 7", 3, OK_ANY },
		{ "id 7 again", 7, -EEXIST },
	};
	int fd[ARRAY_LEN(rows)];
	unsigned int i;

	ASSERT_LT(8, max_id);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		fd[i] = xioctl(self->vm, KVM_CREATE_VCPU, rows[i].id);
		EXPECT_ROW2(rows[i].want, rows[i].other ? rows[i].other : rows[i].want,
			    (long)fd[i], rows[i].name);
	}
	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (fd[i] >= 0)
			close(fd[i]);

	/* An id stays taken as long as the VM lives. */
	EXPECT_EQ(-EEXIST, xioctl(self->vm, KVM_CREATE_VCPU, 0));
}

/* As many as the capability says, with failures in between; not one more. */
TEST_F(bare, create_vcpu_max)
{
	int max = cap_of(self->dev, KVM_CAP_MAX_VCPUS);
	struct rlimit lim;
	int i, fd;

	/* Enough to meet any limit that is lower than said. */
	ASSERT_LT(0, max);
	if (!test_device_is_minikvm() && max > 64)
		max = 64;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &lim));
	if (lim.rlim_cur < (rlim_t)max + 64) {
		lim.rlim_cur = max + 64;
		if (lim.rlim_max < lim.rlim_cur)
			lim.rlim_max = lim.rlim_cur;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	}

	for (i = 0; i < max; i++) {
		if (i) {
			EXPECT_EQ(-EEXIST, xioctl(self->vm, KVM_CREATE_VCPU, i / 2));
		}
		fd = xioctl(self->vm, KVM_CREATE_VCPU, i);
		ASSERT_LE(0, fd)
			TH_LOG("vCPU %d of %d", i, max);
		if (i % 2)
			close(fd);
	}
	if (test_device_is_minikvm()) {
		/* Full is full, whatever the id. */
		EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_CREATE_VCPU, 0));
		EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_CREATE_VCPU, max));
	}
}

struct create_race {
	pthread_barrier_t *barrier;
	int vm;
	long ret;
};

static void *create_race_thread(void *arg)
{
	struct create_race *r = arg;

	pthread_barrier_wait(r->barrier);
	r->ret = xioctl(r->vm, KVM_CREATE_VCPU, 5);
	return NULL;
}

TEST_F(bare, create_vcpu_race)
{
	struct create_race r[4];
	pthread_barrier_t barrier;
	pthread_t t[4];
	int i, round, won, vm;

	pthread_barrier_init(&barrier, NULL, 4);
	for (round = 0; round < 30; round++) {
		vm = xioctl(self->dev, KVM_CREATE_VM, 0);
		ASSERT_LE(0, vm);
		for (i = 0; i < 4; i++) {
			r[i] = (struct create_race){ &barrier, vm, 0 };
			ASSERT_EQ(0, pthread_create(&t[i], NULL, create_race_thread, &r[i]));
		}
		for (i = 0, won = 0; i < 4; i++) {
			pthread_join(t[i], NULL);
			if (r[i].ret >= 0) {
				won++;
				close(r[i].ret);
			} else {
				EXPECT_EQ(-EEXIST, r[i].ret);
			}
		}
		EXPECT_EQ(1, won);
		close(vm);
	}
}

/* --- KVM_SET_USER_MEMORY_REGION ---------------------------------------------- */

#define HVA_A		0x10000000UL	/* addresses need not be mapped */
#define HVA_B		0x20000000UL

struct region_row {
	const char *name;
	uint32_t slot, flags;
	uint64_t gpa, size, hva;
	long want, other;
};

static long set_region(int vm, const struct region_row *r)
{
	struct kvm_userspace_memory_region region = {
		.slot = r->slot,
		.flags = r->flags,
		.guest_phys_addr = r->gpa,
		.memory_size = r->size,
		.userspace_addr = r->hva,
	};

	return xioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/*
 * Each row is tried on a VM of its own that has slot 1 of 16 pages at 1 MiB
 * and slot 2 of one page at 2 MiB.
 */
static const struct region_row region_base[] = {
	{ "slot 1", 1, 0, 0x100000, 0x10000, HVA_A },
	{ "slot 2", 2, 0, 0x200000, 0x1000, HVA_B },
};

TEST_F(bare, memory_region_rows)
{
	const uint64_t huge_gpa = 1ULL << 52;
	const struct region_row rows[] = {
		/* Creation. */
		{ "one page", 3, 0, 0x300000, 0x1000, HVA_A, 0 },
		{ "at GPA 0", 3, 0, 0, 0x1000, HVA_A, 0 },
		{ "above 4 GiB", 3, 0, 1ULL << 32, 0x1000, HVA_A, 0 },
		{ "slot 0", 0, 0, 0x300000, 0x1000, HVA_A, 0 },
		{ "same HVA as slot 1", 3, 0, 0x300000, 0x10000, HVA_A, 0 },
		{ "HVA 0", 3, 0, 0x300000, 0x1000, 0, 0 },
		{ "unaligned GPA", 3, 0, 0x300800, 0x1000, HVA_A, -EINVAL },
		{ "GPA off by one", 3, 0, 0x300001, 0x1000, HVA_A, -EINVAL },
		{ "unaligned size", 3, 0, 0x300000, 0x1800, HVA_A, -EINVAL },
		{ "size 1", 3, 0, 0x300000, 1, HVA_A, -EINVAL },
		{ "size 4095", 3, 0, 0x300000, 0xfff, HVA_A, -EINVAL },
		{ "unaligned HVA", 3, 0, 0x300000, 0x1000, HVA_A + 0x800, -EINVAL },
		{ "HVA off by one", 3, 0, 0x300000, 0x1000, HVA_A + 1, -EINVAL },
		{ "HVA in the kernel", 3, 0, 0x300000, 0x1000, 0xffff888000000000, -EINVAL },
		{ "HVA not canonical", 3, 0, 0x300000, 0x1000, 0x8000000000000000, -EINVAL },
		{ "HVA at the very top", 3, 0, 0x300000, 0x1000, -0x1000UL, -EINVAL },
		{ "HVA wraps around", 3, 0, 0x300000, 0x2000, -0x1000UL, -EINVAL },
		{ "HVA runs into the kernel", 3, 0, 0x300000, 0x40000000000, 0xfffffffffffff000,
		  -EINVAL },

		/* GPA range. */
		{ "GPA wraps to 0", 3, 0, -0x1000UL, 0x1000, HVA_A, -EINVAL },
		{ "GPA wraps past 0", 3, 0, -0x1000UL, 0x2000, HVA_A, -EINVAL },
		{ "GPA near the top", 3, 0, -0x2000UL, 0x1000, HVA_A, -EINVAL },
		{ "GPA at 2^52", 3, 0, huge_gpa, 0x1000, HVA_A, -EINVAL },
		{ "GPA up to 2^52 and a page", 3, 0, huge_gpa - 0x1000, 0x2000, HVA_A, -EINVAL },
		{ "GPA at 2^63", 3, 0, 1ULL << 63, 0x1000, HVA_A, -EINVAL },

		/* Size: 2^31 pages are one too many; a wrong cast makes them few. */
		{ "2^31 pages", 3, 0, 0x300000, 1ULL << 43, HVA_A, -EINVAL },
		{ "2^32 pages and one", 3, 0, 0x300000, (1ULL << 44) + 0x1000, HVA_A, -EINVAL },
		{ "size 2^63", 3, 0, 0x300000, 1ULL << 63, HVA_A, -EINVAL },
		{ "size of all but a page", 3, 0, 0x300000, -0x1000UL, HVA_A, -EINVAL },
		{ "size of all but a page, HVA and GPA 0", 3, 0, 0, -0x1000UL, 0, -EINVAL },

		/* Flags. */
		{ "flag 1 << 2", 3, 1 << 2, 0x300000, 0x1000, HVA_A, -EINVAL },
		{ "flag 1 << 3", 3, 1 << 3, 0x300000, 0x1000, HVA_A, -EINVAL },
		{ "flag 1 << 16", 3, 1 << 16, 0x300000, 0x1000, HVA_A, -EINVAL },
		{ "flag 1 << 17", 3, 1 << 17, 0x300000, 0x1000, HVA_A, -EINVAL },
		{ "flag 1 << 31", 3, 1U << 31, 0x300000, 0x1000, HVA_A, -EINVAL },
		{ "all flags", 3, ~0U, 0x300000, 0x1000, HVA_A, -EINVAL },

		/* Overlap. */
		{ "on slot 1 exactly", 3, 0, 0x100000, 0x10000, HVA_B, -EEXIST },
		{ "first page of slot 1", 3, 0, 0x100000, 0x1000, HVA_B, -EEXIST },
		{ "last page of slot 1", 3, 0, 0x10f000, 0x1000, HVA_B, -EEXIST },
		{ "inside slot 1", 3, 0, 0x104000, 0x4000, HVA_B, -EEXIST },
		{ "around slot 1", 3, 0, 0xff000, 0x12000, HVA_B, -EEXIST },
		{ "into the start of slot 1", 3, 0, 0xff000, 0x2000, HVA_B, -EEXIST },
		{ "over the end of slot 1", 3, 0, 0x10f000, 0x2000, HVA_B, -EEXIST },
		{ "around slots 1 and 2", 3, 0, 0, 0x300000, HVA_B, -EEXIST },
		{ "from slot 1 to slot 2", 3, 0, 0x10f000, 0xf2000, HVA_B, -EEXIST },
		{ "right before slot 1", 3, 0, 0xff000, 0x1000, HVA_B, 0 },
		{ "right after slot 1", 3, 0, 0x110000, 0x1000, HVA_B, 0 },
		{ "all between slots 1 and 2", 3, 0, 0x110000, 0xf0000, HVA_B, 0 },
		{ "overlap, but unaligned", 3, 0, 0x100000, 0x1001, HVA_B, -EINVAL },
		{ "overlap, but bad flag", 3, 1 << 4, 0x100000, 0x1000, HVA_B, -EINVAL },

		/* Changes of slot 1. */
		{ "slot 1 unchanged", 1, 0, 0x100000, 0x10000, HVA_A, 0 },
		{ "slot 1 larger", 1, 0, 0x100000, 0x11000, HVA_A, -EINVAL },
		{ "slot 1 smaller", 1, 0, 0x100000, 0xf000, HVA_A, -EINVAL },
		{ "slot 1 at another HVA", 1, 0, 0x100000, 0x10000, HVA_B, -EINVAL },
		{ "slot 1 at another HVA and GPA", 1, 0, 0x300000, 0x10000, HVA_B, -EINVAL },
		{ "slot 1 larger, onto slot 2", 1, 0, 0x100000, 0x102000, HVA_A, -EINVAL },
		{ "slot 1 moves", 1, 0, 0x300000, 0x10000, HVA_A, 0 },
		{ "slot 1 moves by a page, over itself", 1, 0, 0x101000, 0x10000, HVA_A, 0 },
		{ "slot 1 moves down over itself", 1, 0, 0xff000, 0x10000, HVA_A, 0 },
		{ "slot 1 moves onto slot 2", 1, 0, 0x200000, 0x10000, HVA_A, -EEXIST },
		{ "slot 1 moves, its end on slot 2", 1, 0, 0x1f1000, 0x10000, HVA_A, -EEXIST },
		{ "slot 1 moves right before slot 2", 1, 0, 0x1f0000, 0x10000, HVA_A, 0 },
		{ "slot 1 moves to an unaligned GPA", 1, 0, 0x300800, 0x10000, HVA_A, -EINVAL },
		{ "slot 1 moves to 2^52", 1, 0, huge_gpa, 0x10000, HVA_A, -EINVAL },

		/* Deletion: only slot and flags count, the rest must still be aligned. */
		{ "delete slot 1", 1, 0, 0x100000, 0, HVA_A, 0 },
		{ "delete slot 1, all else 0", 1, 0, 0, 0, 0, 0 },
		{ "delete slot 1, GPA of slot 2", 1, 0, 0x200000, 0, HVA_B, 0 },
		{ "delete slot 1, unaligned GPA", 1, 0, 0x100001, 0, HVA_A, -EINVAL },
		{ "delete slot 1, unaligned HVA", 1, 0, 0x100000, 0, HVA_A + 1, -EINVAL },
		{ "delete slot 1, bad flag", 1, 1 << 5, 0x100000, 0, HVA_A, -EINVAL },
		{ "delete what is not there", 3, 0, 0x300000, 0, HVA_A, -EINVAL },
	};
	unsigned int i, k;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		int vm = xioctl(self->dev, KVM_CREATE_VM, 0);

		ASSERT_LE(0, vm);
		for (k = 0; k < ARRAY_LEN(region_base); k++) {
			ASSERT_EQ(0, set_region(vm, &region_base[k]));
		}
		EXPECT_ROW2(rows[i].want, rows[i].other ? rows[i].other : rows[i].want,
			    set_region(vm, &rows[i]), rows[i].name);
		/*
		 * What was refused changed nothing: slot 1 is where it was, or
		 * this would be a move onto itself that fails.
		 */
		if (rows[i].want)
			for (k = 0; k < ARRAY_LEN(region_base); k++)
				EXPECT_ROW(0, set_region(vm, &region_base[k]), rows[i].name);
		close(vm);
	}

	EXPECT_EQ(-EFAULT, xioctl(self->vm, KVM_SET_USER_MEMORY_REGION, 0));
}

TEST_F(bare, memory_region_flags)
{
	bool readonly = cap_of(self->dev, KVM_CAP_READONLY_MEM) > 0;
	/* Who does not answer KVM_GET_DIRTY_LOG does not promise to log. */
	bool logging = xioctl(self->vm, KVM_GET_DIRTY_LOG, 0) != -ENOTTY;
	const long ro = readonly ? 0 : -EINVAL, lg = logging ? 0 : -EINVAL;
	const uint32_t log = KVM_MEM_LOG_DIRTY_PAGES, rdonly = KVM_MEM_READONLY;
	struct region_row rows[] = {
		{ "create", 1, 0, 0x100000, 0x2000, HVA_A, 0 },
		{ "add dirty logging", 1, log, 0x100000, 0x2000, HVA_A, lg },
		{ "again", 1, log, 0x100000, 0x2000, HVA_A, lg },
		{ "move with dirty logging", 1, log, 0x200000, 0x2000, HVA_A, lg },
		{ "move and end dirty logging", 1, 0, 0x300000, 0x2000, HVA_A, 0 },
		{ "make read-only", 1, rdonly, 0x300000, 0x2000, HVA_A, -EINVAL },
		{ "delete", 1, 0, 0, 0, 0, 0 },
		{ "create with dirty logging", 1, log, 0x100000, 0x2000, HVA_A, lg },
		{ "delete with dirty logging", 1, log, 0, 0, 0, lg },
		{ "create read-only", 1, rdonly, 0x100000, 0x2000, HVA_A, ro },
		{ "make writable", 1, 0, 0x100000, 0x2000, HVA_A, readonly ? -EINVAL : 0 },
		{ "delete read-only", 1, readonly ? rdonly : 0, 0, 0, 0, 0 },
		{ "read-only with dirty logging", 1, log | rdonly, 0x100000, 0x2000, HVA_A, lg ?: ro },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		EXPECT_ROW(rows[i].want, set_region(self->vm, &rows[i]), rows[i].name);
}

TEST_F(bare, memory_region_slot_numbers)
{
	uint32_t n = cap_of(self->dev, KVM_CAP_NR_MEMSLOTS);
	int spaces = cap_of(self->vm, KVM_CAP_MULTI_ADDRESS_SPACE);
	const struct region_row rows[] = {
		{ "last slot", n - 1, 0, 0x100000, 0x1000, HVA_A, 0 },
		{ "one slot too many", n, 0, 0x200000, 0x1000, HVA_A, -EINVAL },
		{ "slot 0xffff", 0xffff, 0, 0x200000, 0x1000, HVA_A, -EINVAL },
		/* The upper half of the number is an address space (SMM). */
		{ "space 1", 1 << 16, 0, 0x200000, 0x1000, HVA_A, spaces > 1 ? 0 : -EINVAL },
		{ "space 2", 2 << 16, 0, 0x300000, 0x1000, HVA_A, spaces > 2 ? 0 : -EINVAL },
		{ "space 0x8000", 0x80000000, 0, 0x300000, 0x1000, HVA_A, -EINVAL },
		{ "slot -1", ~0U, 0, 0x300000, 0x1000, HVA_A, -EINVAL },
		/* Deleting with a number that does not exist. */
		{ "delete one too many", n, 0, 0, 0, 0, -EINVAL },
		{ "delete slot -1", ~0U, 0, 0, 0, 0, -EINVAL },
		{ "delete last slot", n - 1, 0, 0, 0, 0, 0 },
		{ "delete last slot again", n - 1, 0, 0, 0, 0, -EINVAL },
		/* The number is looked at before anything else but the pointer. */
		{ "bad slot and overlap", n, 0, 0x100000, 0x1000, HVA_A, -EINVAL },
	};
	unsigned int i;

	ASSERT_LE(32, n);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		EXPECT_ROW(rows[i].want, set_region(self->vm, &rows[i]), rows[i].name);
}

/*
 * Many slots, made in a random order and checked against a model: every slot
 * is one page at a multiple of 8 KiB, so each probe has one right answer.
 */
TEST_F(bare, memory_region_model)
{
	enum { SLOTS = 64, PLACES = 128, STEPS = 1500 };
	int at[SLOTS], owner[PLACES];
	unsigned int i, k;

	memset(at, -1, sizeof(at));
	memset(owner, -1, sizeof(owner));
	for (i = 0; i < STEPS; i++) {
		unsigned int slot = rand_below(SLOTS), place = rand_below(PLACES);
		bool del = rand_below(4) == 0;
		struct region_row r = {
			.slot = slot,
			.gpa = place * 0x2000UL,
			.size = del ? 0 : 0x1000,
			.hva = HVA_A + slot * 0x1000UL,
		};
		long want;

		if (del)
			want = at[slot] < 0 ? -EINVAL : 0;
		else
			want = owner[place] < 0 || owner[place] == (int)slot ? 0 : -EEXIST;
		ASSERT_EQ(want, set_region(self->vm, &r))
			TH_LOG("step %u: %s slot %u at place %u", i, del ? "delete" : "set",
			       slot, place);
		if (want)
			continue;
		if (at[slot] >= 0)
			owner[at[slot]] = -1;
		at[slot] = -1;
		if (!del) {
			at[slot] = place;
			owner[place] = slot;
		}
	}

	/* A slot over everything fails as long as one is left. */
	for (k = 0; k < SLOTS; k++) {
		struct region_row all = {
			.slot = SLOTS, .gpa = 0, .size = PLACES * 0x2000UL, .hva = HVA_B,
		};
		struct region_row del = { .slot = k };

		if (at[k] < 0)
			continue;
		ASSERT_EQ(-EEXIST, set_region(self->vm, &all));
		ASSERT_EQ(0, set_region(self->vm, &del));
	}
	EXPECT_EQ(0, set_region(self->vm, &(struct region_row){
		.slot = SLOTS, .size = PLACES * 0x2000UL, .hva = HVA_B }));
}

struct slot_race {
	pthread_barrier_t *barrier;
	int vm;
	uint32_t slot;
	unsigned int won;
};

static int slot_race_owners;

static void *slot_race_thread(void *arg)
{
	struct slot_race *r = arg;
	struct region_row set = {
		.slot = r->slot, .gpa = 0x100000, .size = 0x4000, .hva = HVA_A,
	};
	struct region_row del = { .slot = r->slot };
	int i;

	pthread_barrier_wait(r->barrier);
	for (i = 0; i < 300; i++) {
		long ret = set_region(r->vm, &set);

		if (ret == -EEXIST)
			continue;
		if (ret)
			return "creation failed";
		if (__sync_add_and_fetch(&slot_race_owners, 1) != 1)
			return "two slots in one place";
		sched_yield();
		__sync_sub_and_fetch(&slot_race_owners, 1);
		if (set_region(r->vm, &del))
			return "deletion failed";
		r->won++;
	}
	return NULL;
}

/* Two threads want the same place for different slots: one at a time has it. */
TEST_F(bare, memory_region_race)
{
	struct slot_race r[2];
	pthread_barrier_t barrier;
	pthread_t t[2];
	void *bad;
	int i;

	pthread_barrier_init(&barrier, NULL, 2);
	for (i = 0; i < 2; i++) {
		r[i] = (struct slot_race){ &barrier, self->vm, i, 0 };
		ASSERT_EQ(0, pthread_create(&t[i], NULL, slot_race_thread, &r[i]));
	}
	for (i = 0; i < 2; i++) {
		pthread_join(t[i], &bad);
		EXPECT_EQ(NULL, bad)
			TH_LOG("%s", (char *)bad);
	}
	EXPECT_NE(0, r[0].won + r[1].won);
}

/* --- What the guest sees of slots -------------------------------------------- */

/* Let the guest load from @gpa: the byte, or -1 for an MMIO exit there. */
static int guest_load(struct machine *m, uint16_t gpa)
{
	struct kvm_regs regs = { .rip = MACHINE_CODE, .rflags = MACHINE_RFLAGS, .rbx = gpa };
	int i;

	if (xioctl(m->vcpu, KVM_SET_REGS, &regs))
		return -100;
	/* The first exit may be the OUT of the time before, not completed yet. */
	for (i = 0; i < 3; i++) {
		if (machine_run(m))
			return -101;
		if (m->run->exit_reason == KVM_EXIT_MMIO) {
			int ret = m->run->mmio.phys_addr == gpa && !m->run->mmio.is_write &&
				  m->run->mmio.len == 1 ? -1 : -102;

			/* Complete it, so that the next one begins afresh. */
			memset(m->run->mmio.data, 0x77, 8);
			if (machine_run(m) || m->run->exit_reason != KVM_EXIT_IO ||
			    *machine_io_data(m) != 0x77)
				return -103;
			return ret;
		}
		if (m->run->exit_reason == KVM_EXIT_IO)
			return *machine_io_data(m);
	}
	return -104;
}

TEST_F(vm, guest_sees_slot_changes)
{
	struct machine *m = &self->m;
	uint8_t *two;

	/* Slot 0 covers the lower half only here. */
	ASSERT_EQ(0, machine_slot(m, 0, 0, 0, 0, NULL));
	ASSERT_EQ(0, machine_slot(m, 0, 0, 0, 0x8000, m->mem));
	GUEST_LOAD(m, guest_load_out);
	two = mmap(NULL, 2 * TEST_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)two);
	two[0] = 0x11;
	two[TEST_PAGE] = 0x22;

	EXPECT_EQ(-1, guest_load(m, 0x8000));
	/* Created: both pages are there at once. */
	ASSERT_EQ(0, machine_slot(m, 1, 0, 0x8000, 0x2000, two));
	EXPECT_EQ(0x11, guest_load(m, 0x8000));
	EXPECT_EQ(0x22, guest_load(m, 0x9000));
	EXPECT_EQ(-1, guest_load(m, 0xa000));
	/* Moved by a page: the old place is gone though it was mapped. */
	ASSERT_EQ(0, machine_slot(m, 1, 0, 0x9000, 0x2000, two));
	EXPECT_EQ(-1, guest_load(m, 0x8000));
	EXPECT_EQ(0x11, guest_load(m, 0x9000));
	EXPECT_EQ(0x22, guest_load(m, 0xa000));
	/* A second slot of the same memory, the pages the other way round. */
	ASSERT_EQ(0, machine_slot(m, 2, 0, 0xc000, 0x1000, two + TEST_PAGE));
	ASSERT_EQ(0, machine_slot(m, 3, 0, 0xd000, 0x1000, two));
	EXPECT_EQ(0x22, guest_load(m, 0xc000));
	EXPECT_EQ(0x11, guest_load(m, 0xd000));
	two[0] = 0x33;
	EXPECT_EQ(0x33, guest_load(m, 0xd000));
	EXPECT_EQ(0x33, guest_load(m, 0x9000));
	/* A refused change leaves the old one in force. */
	ASSERT_EQ(-EEXIST, machine_slot(m, 1, 0, 0xc000, 0x2000, two));
	EXPECT_EQ(0x33, guest_load(m, 0x9000));
	/* Deleted. */
	ASSERT_EQ(0, machine_slot(m, 1, 0, 0, 0, NULL));
	EXPECT_EQ(-1, guest_load(m, 0x9000));
	EXPECT_EQ(-1, guest_load(m, 0xa000));
	EXPECT_EQ(0x22, guest_load(m, 0xc000));
	/* Joined: one slot where there were two. */
	ASSERT_EQ(0, machine_slot(m, 2, 0, 0, 0, NULL));
	ASSERT_EQ(0, machine_slot(m, 3, 0, 0, 0, NULL));
	ASSERT_EQ(0, machine_slot(m, 2, 0, 0xc000, 0x2000, two));
	EXPECT_EQ(0x33, guest_load(m, 0xc000));
	EXPECT_EQ(0x22, guest_load(m, 0xd000));
	munmap(two, 2 * TEST_PAGE);
}

/* Guest memory is the process's: what the process does to it, the guest sees. */
TEST_F(vm, guest_memory_is_process_memory)
{
	struct machine *m = &self->m;
	uint8_t *p = m->mem + 0x8000;
	char c = 0;
	int go[2];
	pid_t pid;

	GUEST_LOAD(m, guest_load_out);
	*p = 1;
	EXPECT_EQ(1, guest_load(m, 0x8000));
	*p = 2;
	EXPECT_EQ(2, guest_load(m, 0x8000));
	ASSERT_EQ(0, madvise(p, TEST_PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_load(m, 0x8000));
	*p = 3;
	EXPECT_EQ(3, guest_load(m, 0x8000));
	/* Another page at the same address. */
	ASSERT_EQ((void *)p, mmap(p, TEST_PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, guest_load(m, 0x8000));
	*p = 4;
	EXPECT_EQ(4, guest_load(m, 0x8000));
	/* Read-only for the process: loads still work. */
	ASSERT_EQ(0, mprotect(p, TEST_PAGE, PROT_READ));
	EXPECT_EQ(4, guest_load(m, 0x8000));
	ASSERT_EQ(0, mprotect(p, TEST_PAGE, PROT_READ | PROT_WRITE));
	/* A fork makes it copy-on-write; this side keeps seeing its own writes. */
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* The child's page is its own from here on. */
		*p = 99;
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		_exit(*p == 99 ? 0 : 2);
	}
	EXPECT_EQ(4, guest_load(m, 0x8000));
	*p = 5;
	EXPECT_EQ(5, guest_load(m, 0x8000));
	ASSERT_EQ(1, write(go[1], &c, 1));
	EXPECT_EQ(0, status_of(pid));
	EXPECT_EQ(5, guest_load(m, 0x8000));
}

/* Slot memory that is not mapped: KVM_RUN fails with EFAULT, and works again. */
TEST_F(vm, guest_memory_unmapped)
{
	struct machine *m = &self->m;
	struct kvm_regs regs = { .rip = MACHINE_CODE, .rflags = MACHINE_RFLAGS, .rbx = 0x8000 };
	uint8_t *p = m->mem + 0x8000;

	GUEST_LOAD(m, guest_load_out);
	ASSERT_EQ(0, munmap(p, TEST_PAGE));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &regs));
	EXPECT_EQ(-EFAULT, machine_run(m));
	EXPECT_EQ(-EFAULT, machine_run(m));
	ASSERT_EQ((void *)p, mmap(p, TEST_PAGE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(-EFAULT, machine_run(m));
	ASSERT_EQ(0, mprotect(p, TEST_PAGE, PROT_READ | PROT_WRITE));
	*p = 0x66;
	EXPECT_EQ(0x66, guest_load(m, 0x8000));
}

static volatile bool flipping;

static void *flip_thread(void *arg)
{
	struct machine *m = arg;
	bool here = false;

	while (flipping) {
		if (here)
			machine_slot(m, 1, 0, 0, 0, NULL);
		else
			machine_slot(m, 1, 0, 0x20000, 0x1000, m->mem);
		here = !here;
		if (madvise(m->mem + 0x8000, TEST_PAGE, MADV_DONTNEED))
			return (void *)1;
	}
	return NULL;
}

/* Slots come and go and pages vanish while the guest runs. */
TEST_F(vm, slots_change_under_guest)
{
	struct machine *m = &self->m;
	struct kvm_regs regs = { .rip = MACHINE_CODE, .rflags = MACHINE_RFLAGS, .rbx = 0x8000 };
	pthread_t t;
	void *bad;
	int i;

	GUEST_LOAD(m, guest_load_out);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &regs));
	flipping = true;
	ASSERT_EQ(0, pthread_create(&t, NULL, flip_thread, m));
	for (i = 0; i < 2000; i++) {
		ASSERT_EQ(0, machine_run(m));
		ASSERT_EQ(KVM_EXIT_IO, m->run->exit_reason);
		EXPECT_EQ(0, *machine_io_data(m));
	}
	flipping = false;
	pthread_join(t, &bad);
	EXPECT_EQ(NULL, bad);
}

/* --- The two addresses ------------------------------------------------------- */

TEST_F(bare, tss_addr)
{
	static const struct {
		const char *name;
		unsigned long addr;
		long want;
	} rows[] = {
		/* Three pages below 4 GiB; the last place first refused is one byte on. */
		{ "three pages to 4 GiB, one byte on", 0xffffd001, -EINVAL },
		{ "three pages to 4 GiB, one page on", 0xffffe000, -EINVAL },
		{ "0xffffffff", 0xffffffff, -EINVAL },
		{ "1 << 32", 1UL << 32, -EINVAL },
		{ "1 << 63", 1UL << 63, -EINVAL },
		{ "-1", -1UL, -EINVAL },
		{ "QEMU's address", 0xfffbd000, 0 },
		{ "the same again", 0xfffbd000, 0 },
		{ "another one", 0xfeffd000, 0 },
		{ "last place", 0xffffd000, 0 },
	};
	unsigned int i;
	int vcpu;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		EXPECT_ROW(rows[i].want, xioctl(self->vm, KVM_SET_TSS_ADDR, rows[i].addr),
			   rows[i].name);
	/* A vCPU changes nothing. */
	vcpu = xioctl(self->vm, KVM_CREATE_VCPU, 0);
	ASSERT_LE(0, vcpu);
	EXPECT_EQ(0, xioctl(self->vm, KVM_SET_TSS_ADDR, 0xfffbd000));
	EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_SET_TSS_ADDR, 0xffffffff));
	close(vcpu);
}

TEST_F(bare, identity_map_addr)
{
	static const uint64_t values[] = { 0xfffbc000, 0xfeffc000, 0xfffbc000 };
	uint64_t addr = 0xfffbc000;
	unsigned int i;
	int vcpu;

	EXPECT_EQ(-EFAULT, xioctl(self->vm, KVM_SET_IDENTITY_MAP_ADDR, 0));
	for (i = 0; i < ARRAY_LEN(values); i++) {
		EXPECT_EQ(0, xioctl(self->vm, KVM_SET_IDENTITY_MAP_ADDR, &values[i]));
	}
	/* 0 means KVM's own choice. */
	addr = 0;
	EXPECT_EQ(0, xioctl(self->vm, KVM_SET_IDENTITY_MAP_ADDR, &addr));

	vcpu = xioctl(self->vm, KVM_CREATE_VCPU, 0);
	ASSERT_LE(0, vcpu);
	addr = 0xfffbc000;
	EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_SET_IDENTITY_MAP_ADDR, &addr));
	/* That is looked at before the pointer. */
	EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_SET_IDENTITY_MAP_ADDR, 0));
	close(vcpu);
	EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_SET_IDENTITY_MAP_ADDR, &addr));
}

/* Without an interrupt controller in the kernel no table can be set, not even an empty one. */
TEST_F(bare, gsi_routing_without_irqchip)
{
	static const struct kvm_irq_routing rows[] = {
		{ .nr = 0 }, { .nr = 1 }, { .nr = 1, .flags = 1 },
		{ .nr = 4096 }, { .nr = 4097 }, { .nr = 0xffffffff, .flags = 0xffffffff },
	};
	/* The routes behind it are not read. */
	struct kvm_irq_routing *routing = guarded_alloc(sizeof(*routing));
	unsigned int i;

	ASSERT_NE(NULL, routing);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		*routing = rows[i];
		EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_SET_GSI_ROUTING, routing))
			TH_LOG("row %u", i);
		EXPECT_EQ(-EFAULT, xioctl(self->vm, KVM_SET_GSI_ROUTING, (char *)routing + 4));
	}
	EXPECT_EQ(-EFAULT, xioctl(self->vm, KVM_SET_GSI_ROUTING, 0));
	guarded_free(routing, sizeof(*routing));
}

/* A vCPU that could not be created leaves the door open. */
TEST_F(bare, identity_map_addr_after_failure)
{
	uint64_t addr = 0xfffbc000;

	EXPECT_EQ(-EINVAL, xioctl(self->vm, KVM_CREATE_VCPU, 0x7fffffff));
	EXPECT_EQ(0, xioctl(self->vm, KVM_SET_IDENTITY_MAP_ADDR, &addr));
}

/* --- Other processes --------------------------------------------------------- */

/* What every ioctl must answer in a process that is not the creator. */
static int foreign_ioctls(const struct machine *m)
{
	static char buf[0x4000];
	const unsigned long vm[] = {
		KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_SET_TSS_ADDR,
		KVM_SET_IDENTITY_MAP_ADDR, KVM_CHECK_EXTENSION, _IO(KVMIO, 0xff), 0x5401,
	};
	const unsigned long vcpu[] = {
		KVM_RUN, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
		KVM_GET_FPU, KVM_SET_FPU, KVM_GET_MSRS, KVM_SET_MSRS, KVM_SET_CPUID2,
		KVM_GET_MP_STATE, KVM_SET_MP_STATE, _IO(KVMIO, 0xff), 0x5401,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(vm); i++) {
		if (xioctl(m->vm, vm[i], 0) != -EIO || xioctl(m->vm, vm[i], buf) != -EIO) {
			printf("# VM ioctl %#lx is not EIO here\n", vm[i]);
			return 1;
		}
	}
	for (i = 0; i < ARRAY_LEN(vcpu); i++) {
		if (xioctl(m->vcpu, vcpu[i], 0) != -EIO ||
		    (vcpu[i] != KVM_RUN && xioctl(m->vcpu, vcpu[i], buf) != -EIO)) {
			printf("# vCPU ioctl %#lx is not EIO here\n", vcpu[i]);
			return 2;
		}
	}
	return 0;
}

/* Run the machine once; it must halt. */
static bool machine_halts(struct machine *m)
{
	GUEST_LOAD(m, guest_hlt);
	return !machine_enter_at(m, MACHINE_CODE) && !machine_run(m) &&
	       m->run->exit_reason == KVM_EXIT_HLT;
}

TEST_F(vm, fork)
{
	struct machine *m = &self->m;
	pid_t pid;

	ASSERT_TRUE(machine_halts(m));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct machine own;
		void *run;
		int ret = foreign_ioctls(m);

		if (ret)
			_exit(ret);
		/* The mapping is shared and stays; a new one can be made. */
		if (m->run->exit_reason != KVM_EXIT_HLT)
			_exit(10);
		run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
		if (run == MAP_FAILED || ((struct kvm_run *)run)->exit_reason != KVM_EXIT_HLT)
			_exit(11);
		/* The device is nobody's: this process can have a VM of its own. */
		own = *m;
		own.vm = xioctl(m->dev, KVM_CREATE_VM, 0);
		if (own.vm < 0)
			_exit(12);
		if (machine_slot(&own, 0, 0, 0, MACHINE_MEM, own.mem))
			_exit(13);
		own.vcpu = xioctl(own.vm, KVM_CREATE_VCPU, 0);
		own.run = mmap(NULL, own.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, own.vcpu, 0);
		if (own.vcpu < 0 || (void *)own.run == MAP_FAILED)
			_exit(14);
		if (!machine_halts(&own))
			_exit(15);
		_exit(0);
	}
	EXPECT_EQ(0, status_of(pid));
	/* The child's end took nothing away. */
	EXPECT_TRUE(machine_halts(m));
}

/* A child that shares the memory is the same mm, though another process. */
static int clone_child(void *arg)
{
	return machine_halts(arg) ? 0 : 1;
}

TEST_F(vm, clone_vm)
{
	char *stack = mmap(NULL, 16 * TEST_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)stack);
	/* Since 6.13 KVM gives the first process that runs a vCPU a worker thread. */
	ASSERT_TRUE(machine_halts(&self->m));
	pid = clone(clone_child, stack + 16 * TEST_PAGE, CLONE_VM | SIGCHLD, &self->m);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, status_of(pid));
	EXPECT_TRUE(machine_halts(&self->m));
}

static int send_fds(int sock, const int *fds, int n)
{
	char control[CMSG_SPACE(sizeof(int) * 2)] = { 0 }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * n),
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(cm), fds, sizeof(int) * n);
	return sendmsg(sock, &msg, 0);
}

static int receive_fds(int sock, int *fds, int n)
{
	char control[CMSG_SPACE(sizeof(int) * 2)] = { 0 }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int) * n);
	return 0;
}

/*
 * A VM outlives its creator in the hands of another process, of no use to it;
 * the last close is then done in a foreign mm, when the creator's is gone.
 */
TEST(creator_dies_first)
{
	struct machine m = { .dev = -1 };
	struct kvm_run *run;
	int sock[2], fds[2], round;
	pid_t pid;

	for (round = 0; round < 4; round++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (machine_init(&m) || !machine_halts(&m))
				_exit(1);
			fds[0] = m.vm;
			fds[1] = m.vcpu;
			if (send_fds(sock[1], fds, 2) != 1)
				_exit(2);
			/* Some die in the guest, some on their own. */
			if (round & 1) {
				GUEST_LOAD(&m, guest_spin);
				machine_enter_at(&m, MACHINE_CODE);
				machine_run(&m);
			}
			_exit(0);
		}
		ASSERT_EQ(0, receive_fds(sock[0], fds, 2));
		if (round & 1) {
			sleep_ms(20);
			kill(pid, SIGKILL);
			EXPECT_EQ(-SIGKILL, status_of(pid));
		} else {
			EXPECT_EQ(0, status_of(pid));
		}
		m.vm = fds[0];
		m.vcpu = fds[1];
		EXPECT_EQ(0, foreign_ioctls(&m));
		/* Even the memory of a dead VM's vCPU can be looked at. */
		run = mmap(NULL, TEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu, 0);
		ASSERT_NE(MAP_FAILED, (void *)run);
		run->immediate_exit = 1;
		munmap(run, TEST_PAGE);
		close(fds[round / 2]);
		close(fds[!(round / 2)]);
		close(sock[0]);
		close(sock[1]);
	}
}

/* exec gives the process another mm; the fds survive when they are told to. */
static void __attribute__((constructor)) exec_child(void)
{
	const char *fds = getenv("ABI_EXEC_FDS");
	struct machine m;

	if (!fds)
		return;
	if (sscanf(fds, "%d,%d", &m.vm, &m.vcpu) != 2)
		_exit(50);
	_exit(foreign_ioctls(&m));
}

TEST_F(vm, exec)
{
	char env[64];
	char *envp[] = { env, NULL }, *argv[] = { "abi_vm_test", NULL };
	pid_t pid;

	snprintf(env, sizeof(env), "ABI_EXEC_FDS=%d,%d", self->m.vm, self->m.vcpu);
	/* The one who execs is the creator: its old mm dies with the exec. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct machine own;

		if (machine_init(&own) || !machine_halts(&own))
			_exit(51);
		snprintf(env, sizeof(env), "ABI_EXEC_FDS=%d,%d", own.vm, own.vcpu);
		fcntl(own.vm, F_SETFD, 0);
		fcntl(own.vcpu, F_SETFD, 0);
		execve("/proc/self/exe", argv, envp);
		_exit(52);
	}
	EXPECT_EQ(0, status_of(pid));

	/* And with close-on-exec, as they come, nothing survives. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		execve("/proc/self/exe", argv, envp);
		_exit(52);
	}
	EXPECT_EQ(1, status_of(pid));
}

/* --- Lifetime ---------------------------------------------------------------- */

static void close_step(struct machine *m, int step)
{
	switch (step) {
	case 0:
		close(m->dev);
		m->dev = -1;
		break;
	case 1:
		close(m->vm);
		m->vm = -1;
		break;
	case 2:
		close(m->vcpu);
		m->vcpu = -1;
		break;
	case 3:
		munmap(m->run, m->run_size);
		m->run = NULL;
		break;
	case 4:
		munmap(m->mem, MACHINE_MEM);
		m->mem = NULL;
		break;
	}
}

/* All 120 orders; what is left works as long as it is there. */
TEST(close_in_any_order)
{
	int order[120][5], n = 0, i, k, a, b, c, d;
	struct machine m;

	for (a = 0; a < 5; a++)
		for (b = 0; b < 5; b++)
			for (c = 0; c < 5; c++)
				for (d = 0; d < 5; d++)
					if (a != b && a != c && a != d && b != c && b != d &&
					    c != d)
						memcpy(order[n++], (int[]){ a, b, c, d,
						       10 - a - b - c - d }, sizeof(order[0]));
	ASSERT_EQ(120, n);

	for (i = 0; i < n; i++) {
		MACHINE_INIT(&m);
		ASSERT_TRUE(machine_halts(&m));
		for (k = 0; k < 5; k++) {
			close_step(&m, order[i][k]);
			if (m.vcpu >= 0 && m.run && m.mem) {
				EXPECT_TRUE(machine_halts(&m))
					TH_LOG("order %d, after step %d", i, k);
			}
			if (m.run) {
				/* The page is there until it is unmapped. */
				EXPECT_EQ(KVM_EXIT_HLT, m.run->exit_reason);
				m.run->immediate_exit = 1;
				m.run->immediate_exit = 0;
			}
		}
	}
}

/* The VM's fd is closed; the vCPU's is all there is, and enough. */
TEST_F(vm, vcpu_fd_keeps_vm)
{
	struct machine *m = &self->m;
	struct kvm_regs regs;
	int i;

	close_step(m, 0);
	close_step(m, 1);
	GUEST_LOAD(m, guest_touch);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
		ASSERT_EQ(0, machine_run(m));
		EXPECT_EQ(KVM_EXIT_HLT, m->run->exit_reason);
		EXPECT_EQ(0x55, m->mem[0xf000]);
		ASSERT_EQ(0, madvise(m->mem + 0x8000, 0x4000, MADV_DONTNEED));
	}
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &regs));
}

static void *run_thread(void *arg)
{
	return (void *)machine_run(arg);
}

static void no_handler(int sig)
{
}

/* Every fd is closed while the guest runs: it runs on until a signal. */
TEST_F(vm, close_while_running)
{
	struct machine *m = &self->m;
	struct sigaction sa = { .sa_handler = no_handler };
	struct machine copy = *m;
	pthread_t t;
	void *ret;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	GUEST_LOAD(m, guest_spin);
	ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
	ASSERT_EQ(0, pthread_create(&t, NULL, run_thread, &copy));
	sleep_ms(20);
	close_step(m, 0);
	close_step(m, 1);
	close_step(m, 2);
	close_step(m, 3);
	sleep_ms(20);
	pthread_kill(t, SIGUSR1);
	pthread_join(t, &ret);
	EXPECT_EQ(-EINTR, (long)ret);
}

/* The process that runs the guest is killed in all kinds of places. */
TEST(killed)
{
	struct machine m;
	int round;
	pid_t pid;

	for (round = 0; round < 20; round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (machine_init(&m))
				_exit(1);
			memcpy(m.mem + MACHINE_CODE, round & 1 ? guest_spin : guest_load_out, 32);
			if (machine_enter_at(&m, MACHINE_CODE))
				_exit(2);
			for (;;)
				machine_run(&m);
		}
		sleep_ms(round);
		kill(pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, status_of(pid));
	}
}

static long meminfo_kb(const char *key)
{
	char line[128];
	long kb = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kb = atol(line + strlen(key));
	if (f)
		fclose(f);
	return kb;
}

static long status_kb(const char *key)
{
	char line[128];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kb = atol(line + strlen(key));
	if (f)
		fclose(f);
	return kb;
}

/*
 * 200 VMs come and go, each with 14 guest pages used: 11 MiB of them, and as
 * much again in tables, would be missed if they were not given back.
 */
TEST_F_TIMEOUT(bare, two_hundred_vms, 120)
{
	long before = 0, after, pinned = status_kb("VmPin:");
	struct machine m;
	int i;

	for (i = 0; i < 220; i++) {
		/* The first 20 fill caches. */
		if (i == 20)
			before = meminfo_kb("MemFree:");
		MACHINE_INIT(&m);
		GUEST_LOAD(&m, guest_touch);
		ASSERT_EQ(0, machine_run(&m));
		ASSERT_EQ(KVM_EXIT_HLT, m.run->exit_reason);
		EXPECT_EQ(pinned, status_kb("VmPin:"));
		machine_destroy(&m);
	}
	/* Freeing may be a little late. */
	for (i = 0; i < 20; i++) {
		after = meminfo_kb("MemFree:");
		if (before - after < 6 * 1024)
			break;
		sleep_ms(100);
	}
	if (test_device_is_minikvm()) {
		EXPECT_GT(6 * 1024, before - after)
			TH_LOG("%ld kB less memory free after 200 VMs", before - after);
	}
}

/* Many at the same time. */
TEST_F_TIMEOUT(bare, many_vms_at_once, 60)
{
	enum { VMS = 48 };
	static struct machine m[VMS];
	int i;

	for (i = 0; i < VMS; i++) {
		MACHINE_INIT(&m[i]);
		GUEST_LOAD(&m[i], guest_load_out);
		m[i].mem[0x8000] = i;
	}
	for (i = 0; i < VMS; i++) {
		EXPECT_EQ(i, guest_load(&m[i], 0x8000));
	}
	for (i = VMS - 1; i >= 0; i--) {
		EXPECT_EQ(i, guest_load(&m[i], 0x8000));
	}
	for (i = 0; i < VMS; i += 2)
		machine_destroy(&m[i]);
	for (i = 1; i < VMS; i += 2) {
		EXPECT_EQ(i, guest_load(&m[i], 0x8000));
	}
	for (i = 1; i < VMS; i += 2)
		machine_destroy(&m[i]);
}

TEST_HARNESS_MAIN
