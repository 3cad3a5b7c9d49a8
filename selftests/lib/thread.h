/* SPDX-License-Identifier: GPL-2.0 */
/* CPUs and time, for tests whose threads have to be somewhere at some moment. */
#ifndef SELFTESTS_LIB_THREAD_H
#define SELFTESTS_LIB_THREAD_H

#include <pthread.h>
#include <stdint.h>

/* How many CPUs are online. */
int test_cpus(void);

/* Let a thread run on @cpu only; returns when it does, or will. */
void thread_move(pthread_t thread, int cpu);

/* Sleep; a signal makes it shorter. */
void sleep_us(long us);

/* A clock in milliseconds that is never set. */
uint64_t now_ms(void);

#endif
