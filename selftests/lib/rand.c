// SPDX-License-Identifier: GPL-2.0
/* Seeded random numbers (splitmix64); see rand.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/rand.h"

static uint64_t state;
static int seeded;

/* Take the seed and say it, once in each process that asks. */
static void seed(void)
{
	const char *env = getenv("SEED");
	struct timespec ts;

	if (env && *env) {
		state = strtoull(env, NULL, 0);
	} else {
		clock_gettime(CLOCK_REALTIME, &ts);
		state = (uint64_t)ts.tv_sec << 30 ^ ts.tv_nsec;
	}
	fprintf(stderr, "# SEED=%#llx\n", (unsigned long long)state);
	seeded = 1;
}

/* The next number of a sequence of its own, such as a thread's; @s is where it is. */
uint64_t rand_next(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t rand_u64(void)
{
	if (!seeded)
		seed();
	return rand_next(&state);
}

/* 0 to @limit - 1. */
uint64_t rand_below(uint64_t limit)
{
	return rand_u64() % limit;
}

/* @low to @high, both included. */
uint64_t rand_between(uint64_t low, uint64_t high)
{
	return low + rand_below(high - low + 1);
}

void rand_fill(void *buf, size_t size)
{
	uint8_t *p = buf;

	while (size) {
		uint64_t value = rand_u64();
		size_t n = size < sizeof(value) ? size : sizeof(value);

		memcpy(p, &value, n);
		p += n;
		size -= n;
	}
}
