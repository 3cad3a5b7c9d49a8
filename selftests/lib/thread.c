// SPDX-License-Identifier: GPL-2.0
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "lib/thread.h"
#include "lib/vm.h"

int test_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

void thread_move(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_CHECK(pthread_setaffinity_np(thread, sizeof(set), &set) == 0,
		   "cannot move a thread to CPU %d", cpu);
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
