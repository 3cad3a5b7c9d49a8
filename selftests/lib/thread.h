/* SPDX-License-Identifier: GPL-2.0 */
/* CPUs and time, for tests whose threads have to be somewhere at some moment. */
#ifndef SELFTESTS_LIB_THREAD_H
#define SELFTESTS_LIB_THREAD_H

#include <pthread.h>
#include <stdint.h>

/* How many CPUs the test may use: those that it was started on. */
int test_cpus(void);

/* The kernel's number of one of them; @n counts from 0. */
int test_cpu(int n);

/* Let a thread run on the @n-th of them only; returns when it does, or will. */
void thread_move(pthread_t thread, int n);

/* Sleep; a signal makes it shorter. */
void sleep_us(long us);

/* A clock in milliseconds that is never set. */
uint64_t now_ms(void);

#endif
