/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's fault injection: a thread that writes N to its file fail-nth has the N-th of its calls
 * that can fail do so (Documentation/fault-injection of the kernel).
 */
#ifndef SELFTESTS_LIB_FAULT_H
#define SELFTESTS_LIB_FAULT_H

#include <stdbool.h>

/* Has this kernel got it? Then allocations that may sleep and single pages fail, too. */
bool faults_init(void);

/* A file for the calling thread, whose faults the next three are about. */
int faults_open(void);
void faults_begin(int fail_nth, unsigned int n);

/* How many calls that can fail are between now and the fault; 0: there was one. */
unsigned int faults_left(int fail_nth);

/*
 * No fault after this. The calls of this function can fail, too: then the step made fewer.
 * Return: whether there was a fault since faults_begin().
 */
bool faults_end(int fail_nth);

/*
 * KVM_RUN, in which the @n-th call that can fail does. The signal @signum may end it, and is delivered
 * when faults are off again: what else could fail is the delivery. The vCPU @fd gets a mask for that
 * (KVM_SET_SIGNAL_MASK), which it keeps.
 * @fired: whether there was a fault. Return: 0, or -errno (that of KVM_SET_SIGNAL_MASK, too).
 */
int faults_run(int fail_nth, unsigned int n, int fd, int signum, bool *fired);

#endif
