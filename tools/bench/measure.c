// SPDX-License-Identifier: GPL-2.0
/*
 * How an operation is measured.
 *
 * A batch is some operations in a row; the time stamp counter is read before
 * and after it. The best of many batches counts, since all that can happen
 * beside the operations (a timer tick, above all) makes a batch longer. What
 * the loop around the operations costs is measured in the same way, without
 * the operations, and taken off.
 *
 * After each batch the answers are checked, and that the module counted as
 * many exits as there were operations.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "bench.h"

#define RFLAGS_ALWAYS	2ul
#define NS_PER_S	1000000000ull

/* Instructions in a loop of known length, and how often it is tried. */
#define KNOWN		20000ul
#define TRIES		20

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a" (low), "=d" (high) : : "memory");
	return low | (uint64_t)high << 32;
}

/*
 * mark - an instruction without effect that an emulator can be told to look for
 *
 * Bochs calls it a magic breakpoint.
 */
static __always_inline void mark(const struct bench *b)
{
	if (b->mark)
		asm volatile("xchg %%bx, %%bx" : : : "memory");
}

/* measure_tsc - cycles of the time stamp counter in an instruction */
double measure_tsc(void)
{
	uint64_t best = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		uint64_t count = KNOWN / 2, cycles = rdtsc();

		asm volatile("1: dec %0\n\tjnz 1b" : "+r" (count) : : "cc");
		cycles = rdtsc() - cycles;
		if (cycles < best)
			best = cycles;
	}
	return (double)best / KNOWN;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		fail_errno("clock_gettime");
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* tsc_per_ns - cycles of the time stamp counter in a nanosecond of the clock */
double tsc_per_ns(void)
{
	uint64_t ns = clock_ns(CLOCK_MONOTONIC_RAW), tsc = rdtsc(), now;

	do
		now = clock_ns(CLOCK_MONOTONIC_RAW);
	while (now - ns < NS_PER_S / 100);
	return (double)(rdtsc() - tsc) / (now - ns);
}

/* --- Guest rows ---------------------------------------------------------- */

/*
 * run_program - let the guest do b->ops operations and halt
 *
 * Return: the cycles that KVM_RUN took.
 */
static uint64_t run_program(struct bench *b, const struct program *program)
{
	struct vm *vm = &b->vm;
	uint64_t cycles;
	int r;

	b->regs.rip = program_address(program->start);
	b->regs.rsp = GUEST_STACK;
	b->regs.rflags = RFLAGS_ALWAYS;
	b->regs.r12 = 0;
	b->regs.r15 = b->ops;
	vm_set_regs(vm, &b->regs);

	mark(b);
	cycles = rdtsc();
	r = ioctl(vm->vcpu_fd, KVM_RUN, 0);
	cycles = rdtsc() - cycles;
	mark(b);

	if (r)
		fail_errno("%s: KVM_RUN", b->row->name);
	if (vm->run->exit_reason != KVM_EXIT_HLT)
		fail("%s: the guest did not end with HLT, but with exit %u",
		     b->row->name, vm->run->exit_reason);
	vm_get_regs(vm, &b->regs);
	if (b->regs.rip != program_address(program->end) || b->regs.r15)
		fail("%s: the guest stopped at %#llx instead of %#lx, %llu operations left",
		     b->row->name, b->regs.rip, program_address(program->end),
		     b->regs.r15);
	return cycles;
}

/* guest_batch - a batch of the guest's operations, with the answers checked */
static uint64_t guest_batch(struct bench *b)
{
	uint64_t cycles;

	memset(&b->regs, 0, sizeof(b->regs));
	b->row->begin(b);
	cycles = run_program(b, &b->row->program);
	if (b->regs.r12)
		fail("%s: the guest got wrong answers (bits %#llx)",
		     b->row->name, b->regs.r12);
	if (b->row->end)
		b->row->end(b);
	return cycles;
}

/* guest_base - the same loop without the operation */
static uint64_t guest_base(struct bench *b)
{
	uint64_t cycles;

	memset(&b->regs, 0, sizeof(b->regs));
	b->base = true;
	b->row->begin(b);
	cycles = run_program(b, &b->row->base);
	b->base = false;
	return cycles;
}

/* --- Host rows ----------------------------------------------------------- */

static __always_inline uint64_t now(const struct bench *b)
{
	return b->row->cpu_time ? clock_ns(CLOCK_THREAD_CPUTIME_ID) : rdtsc();
}

/* time_op - call @op for each operation of a batch; @wrong collects what is */
static uint64_t time_op(struct bench *b, uint64_t (*op)(struct bench *b, uint64_t n),
			uint64_t *wrong)
{
	uint64_t n = b->done, end = n + b->ops, bits = 0, start;

	mark(b);
	start = now(b);
	for (; n < end; n++)
		bits |= op(b, n);
	start = now(b) - start;
	mark(b);
	*wrong = bits;
	return start;
}

static uint64_t host_batch(struct bench *b)
{
	uint64_t wrong, cycles;

	if (b->row->begin)
		b->row->begin(b);
	cycles = time_op(b, b->row->op, &wrong);
	if (wrong)
		fail_errno("%s: wrong answer (bits %#lx; errno may say more)",
			   b->row->name, wrong);
	if (b->row->end)
		b->row->end(b);
	return cycles;
}

static uint64_t host_base(struct bench *b)
{
	uint64_t wrong;

	if (b->row->base_op)
		return time_op(b, b->row->base_op, &wrong);
	/* A pair of marks for each batch and each loop. */
	mark(b);
	mark(b);
	return 0;
}

/* --- Both ---------------------------------------------------------------- */

/* What a counter has gained; NOT_COUNTED when the module does not have it. */
static uint64_t gained(const struct counts *before, const struct counts *after,
		       enum counter what)
{
	if (after->value[what] == NOT_COUNTED)
		return NOT_COUNTED;
	return after->value[what] - before->value[what];
}

/*
 * check_counters - were there as many exits as operations?
 *
 * A guest's batch ends with one more, its HLT. The host's interrupts may come
 * on top, and are reported.
 */
static void check_counters(struct bench *b, const struct counts *before,
			   const struct counts *after, struct result *result)
{
	bool guest = b->row->program.start;
	uint64_t want = b->row->what == COUNT_NONE ? 0 : b->ops;
	uint64_t total = gained(before, after, COUNT_TOTAL);
	uint64_t irqs = gained(before, after, COUNT_IRQ);
	uint64_t named = gained(before, after, b->row->what);

	if (total == NOT_COUNTED || irqs == NOT_COUNTED) {
		result->exits = -1;
		return;
	}
	if (total - irqs != want + guest)
		fail("%s: %lu operations, but the module counted %lu exits, %lu of them interrupts",
		     b->row->name, want, total, irqs);
	if (named != NOT_COUNTED && named != want)
		fail("%s: %lu operations, but the module counted %lu exits of the kind \"%s\"",
		     b->row->name, want, named, counter_name(b->row->what));
	result->exits += (double)(total - irqs - guest) / b->ops / b->batches;
	result->irqs += irqs;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t run_batch(struct bench *b)
{
	uint64_t cycles = b->row->program.start ? guest_batch(b) : host_batch(b);

	b->done += b->ops;
	return cycles;
}

static uint64_t run_base(struct bench *b)
{
	return b->row->program.start ? guest_base(b) : host_base(b);
}

/* count_batch - one batch, its exits counted */
static uint64_t count_batch(struct bench *b, struct result *result)
{
	struct counts before, after;
	uint64_t cycles;

	if (b->row->no_vm)
		return run_batch(b);
	counters_read(&b->vm.counters, &before);
	cycles = run_batch(b);
	counters_read(&b->vm.counters, &after);
	check_counters(b, &before, &after, result);
	return cycles;
}

/* measure_row - measure b->row, whose VM is ready */
void measure_row(struct bench *b, struct result *result)
{
	uint64_t *cycles = calloc(b->batches, sizeof(*cycles));
	double unit = b->row->cpu_time ? tsc_per_ns() : 1;
	uint64_t base = UINT64_MAX;
	unsigned int i;

	if (!cycles)
		fail("out of memory");
	/* To warm up: what is made at the first use is there afterwards. */
	run_batch(b);
	run_base(b);

	memset(result, 0, sizeof(*result));
	for (i = 0; i < b->batches; i++) {
		uint64_t loop;

		b->mark = b->profile && i == b->batches - 1;
		cycles[i] = count_batch(b, result);
		loop = run_base(b);
		b->mark = false;
		if (loop < base)
			base = loop;
	}
	qsort(cycles, b->batches, sizeof(*cycles), compare);
	unit /= b->ops;
	result->best = unit * (cycles[0] - base);
	result->median = unit * (cycles[b->batches / 2] - base);
	result->worst = unit * (cycles[b->batches - 1] - base);
	result->loop = unit * base;
	result->ops = b->ops;
	result->batches = b->batches;
	free(cycles);
}
