/* SPDX-License-Identifier: GPL-2.0 */
/* What the module counts for a vCPU, and its trace events. */
#ifndef SELFTESTS_LIB_STATS_H
#define SELFTESTS_LIB_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/vm.h"

/* Has this device the statistics (that is: is it minikvm)? */
bool stats_available(void);

/* VMs that there are, of all processes; -1: debugfs does not tell. */
int vms_now(void);

/* Exits that tests count, by what the guest did. */
enum stats_exit {
	STATS_IO,
	STATS_HLT,
	STATS_CPUID,
	STATS_HYPERCALL,
	STATS_RDMSR,		/* Intel */
	STATS_WRMSR,
	STATS_MSR,		/* both together */
	STATS_CR,
	STATS_PAGE_FAULT,	/* of the second level */
	STATS_NUM
};

/*
 * How often the vCPU left the guest for this. The module's file has a row for
 * each exit reason, by the CPU vendor's name for it; a file that has no row for
 * @what ends the test.
 */
uint64_t stats_exit_count(struct test_vcpu *vcpu, enum stats_exit what);

/* All rows added up. */
uint64_t stats_exit_total(struct test_vcpu *vcpu);

/* A trace instance of its own; ends the test as skipped without tracefs. */
struct test_trace;
struct test_trace *trace_open(void);
void trace_enable(struct test_trace *t, const char *event, bool on);

/*
 * The next line of an event of this process, without the columns before the
 * event's name; false when there are none left. Lines of other processes are
 * passed over.
 */
bool trace_next(struct test_trace *t, char *line, int size);
void trace_close(struct test_trace *t);

/* The hex number after @key in @line: "nr 0x2", "nr=0x2" and "nr: 2" alike. */
bool trace_value(const char *line, const char *key, uint64_t *value);

/* Is this line of the exit event about @what? */
bool trace_is_exit(const char *line, enum stats_exit what);

/* The name of an event with the device's prefix: mkvm_ or kvm_. */
const char *trace_event(const char *name);

#endif
