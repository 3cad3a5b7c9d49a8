// SPDX-License-Identifier: GPL-2.0
/* Coverage of the module; see kcov.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kcov.h>

#include "lib/kcov.h"
#include "lib/vm.h"

#define BUFFER_WORDS	(1u << 16)

struct kcov {
	int fd;
	uint64_t *buffer;	/* the number of places, then the places in the order of time */
};

struct kcov *kcov_open(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	struct kcov *k;

	if (fd < 0)
		return NULL;
	k = malloc(sizeof(*k));
	TEST_CHECK(k, "no memory");
	k->fd = fd;
	TEST_CHECK(!ioctl(fd, KCOV_INIT_TRACE, BUFFER_WORDS), "KCOV_INIT_TRACE");
	k->buffer = mmap(NULL, BUFFER_WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TEST_CHECK(k->buffer != MAP_FAILED, "mmap of KCOV");
	TEST_CHECK(!ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC), "KCOV_ENABLE");
	return k;
}

void kcov_close(struct kcov *k)
{
	if (!k)
		return;
	ioctl(k->fd, KCOV_DISABLE, 0);
	munmap(k->buffer, BUFFER_WORDS * 8);
	close(k->fd);
	free(k);
}

void kcov_begin(struct kcov *k)
{
	__atomic_store_n(&k->buffer[0], 0, __ATOMIC_RELAXED);
}

/* Open addressing. */
static void set_add(struct kcov_set *set, uint64_t place)
{
	uint32_t i = place * 0x9e3779b97f4a7c15ull >> 48;
	uint64_t old;

	for (;; i = (i + 1) % KCOV_SET_SIZE) {
		old = 0;
		if (__atomic_compare_exchange_n(&set->place[i], &old, place, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
		if (old == place)
			return;
	}
	TEST_CHECK(__atomic_add_fetch(&set->count, 1, __ATOMIC_RELAXED) < KCOV_SET_SIZE,
		   "more places than there is room for");
}

void kcov_collect(struct kcov *k, struct kcov_set *set)
{
	uint64_t i, count = __atomic_load_n(&k->buffer[0], __ATOMIC_RELAXED);

	for (i = 1; i <= count; i++)
		set_add(set, k->buffer[i]);
}
