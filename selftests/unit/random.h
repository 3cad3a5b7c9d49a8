/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random numbers for tests: the same ones in every run, so that a failure
 * comes back. SEED=n gives others, CASES=n another number of cases. The harness
 * kills a test after 30 seconds; on a busy machine it gets fewer cases instead.
 */
#ifndef MINIKVM_UNIT_RANDOM_H
#define MINIKVM_UNIT_RANDOM_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned long long random_state = 0x9e3779b97f4a7c15ull;

static inline unsigned long long rnd(void)
{
	/* splitmix64 */
	unsigned long long z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 to @n - 1 */
static inline unsigned int rnd_below(unsigned int n)
{
	return (rnd() >> 32) % n;
}

/* True in @percent of all calls. */
static inline int rnd_percent(unsigned int percent)
{
	return rnd_below(100) < percent;
}

#define RND_PICK(array) \
	((array)[rnd_below(sizeof(array) / sizeof((array)[0]))])

/* Call first in each test; @stream keeps tests apart. */
static inline void rnd_seed(unsigned int stream)
{
	const char *seed = getenv("SEED");

	random_state = (seed ? strtoull(seed, NULL, 0) : 1) << 8 | stream;
}

static inline unsigned long rnd_cases(unsigned long by_default)
{
	const char *cases = getenv("CASES");

	if (!cases)
		return by_default;
	return strtoul(cases, NULL, 0);
}

#define RND_SECONDS	20

static time_t random_start;

static inline time_t rnd_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Is there a case @i, of @cases and in @seconds? */
static inline bool rnd_more_in(unsigned long i, unsigned long cases, unsigned long seconds)
{
	if (i >= cases)
		return false;
	if (i % 1024)
		return true;
	if (!i)
		random_start = rnd_now();
	if ((unsigned long)(rnd_now() - random_start) < seconds)
		return true;
	printf("# stopped after %lu seconds and %lu cases\n", seconds, i);
	fflush(stdout);
	return false;
}

/* Is there a case @i, of @cases? */
static inline bool rnd_more(unsigned long i, unsigned long cases)
{
	return rnd_more_in(i, cases, RND_SECONDS);
}

#endif /* MINIKVM_UNIT_RANDOM_H */
