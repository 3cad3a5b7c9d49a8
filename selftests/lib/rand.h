/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random numbers that can be had again: the seed comes from $SEED or from the
 * clock and is printed with the first use.
 */
#ifndef SELFTESTS_LIB_RAND_H
#define SELFTESTS_LIB_RAND_H

#include <stddef.h>
#include <stdint.h>

uint64_t rand_next(uint64_t *s);
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t limit);
uint64_t rand_between(uint64_t low, uint64_t high);
void rand_fill(void *buf, size_t size);

#endif
