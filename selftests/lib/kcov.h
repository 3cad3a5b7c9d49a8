/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which places of the module a thread has reached, on a kernel with KCOV (6.1-debug). There the module
 * alone is compiled for it (KCOV_INSTRUMENT in Kbuild): every place is the module's.
 */
#ifndef SELFTESTS_LIB_KCOV_H
#define SELFTESTS_LIB_KCOV_H

#include <stdint.h>

struct kcov;

/* For the calling thread; NULL: this kernel has no KCOV. */
struct kcov *kcov_open(void);
void kcov_close(struct kcov *k);

/* Forget what was reached. */
void kcov_begin(struct kcov *k);

/* Places that were reached, each once. */
#define KCOV_SET_SIZE	(1u << 16)
struct kcov_set {
	uint64_t place[KCOV_SET_SIZE];
	unsigned int count;
};

/* Add what the thread has reached since; several threads may add to one set. */
void kcov_collect(struct kcov *k, struct kcov_set *set);

#endif
