/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the ABI tests share: rows of expected results, memory that faults where
 * it is told to, and the machine of machine.h in tests.
 *
 * The same programs run against minikvm and against stock KVM: its errno are
 * the reference.
 */
#ifndef SELFTESTS_ABI_H
#define SELFTESTS_ABI_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "lib/rand.h"
#include "machine.h"

/* A row's result that is no errno: any value from 0 up. */
#define OK_ANY		0x10000

static inline int cap_of(int fd, unsigned long cap)
{
	return (int)xioctl(fd, KVM_CHECK_EXTENSION, cap);
}

/* Check a row's result; the row's name is printed when it is wrong. */
#define EXPECT_ROW(want, got, name) do {				\
	long __want = (want), __got = (got);				\
	if (__want == OK_ANY) {						\
		EXPECT_LE(0, __got)					\
			TH_LOG("row: %s", (name));			\
	} else {							\
		EXPECT_EQ(__want, __got)				\
			TH_LOG("row: %s", (name));			\
	}								\
} while (0)

/* The same, but stock KVM may answer @other, too: one version of it does, or did. */
#define EXPECT_ROW2(want, other, got, name) do {			\
	long __got2 = (got), __other = (other);				\
									\
	EXPECT_ROW(!test_device_is_minikvm() && __got2 == __other ?	\
		   __other : (want), __got2, name);			\
} while (0)

/*
 * @len bytes that end where the mapping ends: one byte more faults. Aligned
 * only as far as @len is. Freed by guarded_free().
 */
static inline void *guarded_alloc(size_t len)
{
	size_t pages = (len + TEST_PAGE - 1) / TEST_PAGE * TEST_PAGE;
	char *p = mmap(NULL, pages + TEST_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + pages, TEST_PAGE, PROT_NONE))
		return NULL;
	return p + pages - len;
}

static inline void guarded_free(void *p, size_t len)
{
	size_t pages = (len + TEST_PAGE - 1) / TEST_PAGE * TEST_PAGE;

	munmap((char *)p + len - pages, pages + TEST_PAGE);
}

#define MACHINE_INIT(m) do {						\
	const char *__step = machine_init(m);				\
	ASSERT_EQ(NULL, __step)						\
		TH_LOG("%s: %s", __step, strerror(errno));		\
} while (0)

#endif
