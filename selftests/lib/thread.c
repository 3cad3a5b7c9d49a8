// SPDX-License-Identifier: GPL-2.0
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "lib/thread.h"
#include "lib/vm.h"

static cpu_set_t cpus;

/* Before any thread has moved. */
static __attribute__((constructor)) void find_cpus(void)
{
	TEST_CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0, "more CPUs than cpu_set_t has");
}

int test_cpus(void)
{
	return CPU_COUNT(&cpus);
}

int test_cpu(int n)
{
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) && n-- == 0)
			return cpu;
	test_die(__FILE__, __LINE__, "the test has %d CPUs only", test_cpus());
}

void thread_move(pthread_t thread, int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(test_cpu(n), &set);
	TEST_CHECK(pthread_setaffinity_np(thread, sizeof(set), &set) == 0,
		   "cannot move a thread to CPU %d", test_cpu(n));
}

void sleep_us(long us)
{
	struct timespec ts = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}
