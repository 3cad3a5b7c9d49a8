/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guests that keep a list of the events they got. Handlers for all 256 vectors
 * note what the CPU pushed, halt, and go back: the test looks, and runs the
 * vCPU on.
 */
#ifndef SELFTESTS_LIB_LOG_H
#define SELFTESTS_LIB_LOG_H

#include "lib/guest.h"

#define LOG_COUNT	0xf800		/* events so far */
#define LOG_FIRST	0xf840		/* struct test_event, again and again */
#define LOG_RECORDS	16
#define LOG_STRIDE	16		/* bytes of a handler's first part */
#define LOG_STRIDE16	8
#define LOG_HANDLERS16	0xe000
#define LOG_HANDLERS32	0x60000
#define LOG_HANDLERS64	0x64000

#ifndef __ASSEMBLER__

#include "lib/vm.h"

/* What a handler found. Without a change of privilege a 32-bit CPU pushes no RSP and SS. */
struct test_event {
	uint64_t vector;
	uint64_t error;			/* EXC_NO_ERROR: none */
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;			/* 64-bit handlers only, like what follows */
	uint64_t ss;
	uint64_t cr2;
};

/* No event: the guest itself has halted. */
#define NO_EVENT	(-1)

struct test_vcpu *vm_with_log(enum test_mode mode, struct guest_code code);
void vcpu_set_log_mode(struct test_vcpu *vcpu, enum test_mode mode);
uint64_t log_handler(enum test_mode mode, int vector);
uint32_t log_count(struct test_vm *vm);

/* Run up to the next event, or to a HLT of the guest; which vector. */
int vcpu_run_to_event(struct test_vcpu *vcpu, struct test_event *event);

/* The last HLT was a handler's: what came. */
int vcpu_event(struct test_vcpu *vcpu, uint32_t count_before, struct test_event *event);

#endif /* __ASSEMBLER__ */
#endif
