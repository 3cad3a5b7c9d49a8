/* SPDX-License-Identifier: GPL-2.0 */
/*
 * minikvm-bench: what an operation of a virtual machine costs.
 *
 * Read measure.c first: how an operation is measured. guest_rows.c has the
 * operations that a guest does and the kernel answers, host_rows.c those that
 * this process takes part in. guest.S is the guests' code, vm.c makes a VM,
 * counters.c reads how often the module says that the guest was left.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

#define PAGE_SIZE	4096ul

/* Guest-physical addresses; see vm.c. */
#define GUEST_TABLES	0x1000ul	/* page tables, 6 pages */
#define GUEST_CODE	0x8000ul	/* all of guest.S */
#define GUEST_STACK	0x10000ul	/* grows down; nothing uses it */
#define GUEST_WORDS	0x10000ul	/* one word an operation */
#define GUEST_MEM	0x20000ul
#define GUEST_PAGES	0x10000000ul	/* a slot of its own, when asked for */
#define GUEST_MMIO	0xd0000000ul	/* no memory there */

#define GUEST_PORT	0x4d4

/* So that GUEST_WORDS is large enough. */
#define MAX_OPS		((GUEST_MEM - GUEST_WORDS) / sizeof(uint64_t))

/* What the modules count; a row names the one that its operation is. */
enum counter {
	COUNT_NONE,		/* the operation does not leave a guest */
	COUNT_TOTAL,		/* exits of all kinds */
	COUNT_IRQ,		/* because of an interrupt of the host */
	COUNT_CPUID,
	COUNT_HYPERCALL,
	COUNT_RDMSR,
	COUNT_WRMSR,
	COUNT_IO,
	COUNT_MMIO,
	COUNT_HLT,
	COUNT_FAULT,		/* second-level page faults */
	COUNT_NUM
};

/* What a module does not count. */
#define NOT_COUNTED	UINT64_MAX

struct counts {
	uint64_t value[COUNT_NUM];
};

struct counters {
	int exits_fd;		/* minikvm's file in debugfs, or -1 */
	int stats_fd;		/* KVM's file of statistics, or -1 */
	uint64_t offset[COUNT_NUM];	/* in that file; 0: not there */
};

/* A virtual machine with one vCPU in 64-bit mode. */
struct vm {
	int dev_fd;
	int vm_fd;
	int vcpu_fd;
	uint8_t *mem;		/* GPA 0 to GUEST_MEM */
	uint8_t *pages;		/* GPA GUEST_PAGES, or NULL */
	size_t nr_pages;
	struct kvm_run *run;
	size_t run_size;
	struct kvm_cpuid2 *cpuid;	/* what the guest was given */
	struct counters counters;
};

struct row;

/* One row while it is measured. */
struct bench {
	const char *device;
	int dev_fd;
	const struct row *row;
	unsigned int ops;	/* operations in a batch */
	unsigned int batches;
	uint64_t done;		/* operations before this batch */
	bool base;		/* this batch is the loop without the operation */
	bool profile;		/* mark the last batch for the emulator */
	bool mark;		/* this is that batch */
	struct vm vm;
	struct kvm_regs regs;	/* guest rows: before and after a batch */
	uint64_t value[4];	/* the row's own */
	void *array;		/* the row's own; freed with the VM */
};

/* A piece of guest.S. */
struct program {
	const uint8_t *start;
	const uint8_t *end;	/* behind the HLT */
};

/*
 * An operation. Either the guest does it b->ops times in a row (@program), or
 * this process does it once with each call of @op.
 */
struct row {
	const char *name;
	const char *title;
	enum counter what;
	bool cpu_time;		/* the time that this thread runs, not all time */
	bool no_vm;		/* it needs none */
	unsigned int max_ops;	/* 0: as many as asked for */
	unsigned int max_batches;
	bool (*usable)(void);	/* NULL: everywhere */
	void (*setup)(struct bench *b);	/* once, with the VM */
	void (*begin)(struct bench *b);	/* before each batch */
	void (*end)(struct bench *b);	/* after it: fails when an answer is wrong */
	/* Guest rows. The same without the operation is taken off. */
	struct program program;
	struct program base;
	/* Host rows; not 0 is a wrong answer. */
	uint64_t (*op)(struct bench *b, uint64_t n);
	uint64_t (*base_op)(struct bench *b, uint64_t n);
};

/* Instructions per operation. */
struct result {
	double best;
	double median;
	double worst;
	double loop;		/* taken off: what the loop around the operation costs */
	double exits;		/* per operation; negative: not counted */
	uint64_t irqs;		/* exits because of interrupts, in all batches */
	unsigned int ops;
	unsigned int batches;
};

/* main.c */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void fail_errno(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/* measure.c */
void measure_row(struct bench *b, struct result *result);
double measure_tsc(void);
double tsc_per_ns(void);

/* vm.c */
int open_device(const char *path);
void vm_create(struct vm *vm, int dev_fd);
void vm_add_pages(struct vm *vm, size_t nr);
void vm_destroy(struct vm *vm);
void vm_get_regs(struct vm *vm, struct kvm_regs *regs);
void vm_set_regs(struct vm *vm, const struct kvm_regs *regs);
void vm_get_sregs(struct vm *vm, struct kvm_sregs *sregs);
void vm_set_sregs(struct vm *vm, const struct kvm_sregs *sregs);
uint64_t vm_get_msr(struct vm *vm, uint32_t index);
uint64_t program_address(const uint8_t *code);

/* counters.c */
void counters_open(struct counters *c, const struct vm *vm);
void counters_read(const struct counters *c, struct counts *counts);
void counters_close(struct counters *c);
const char *counter_name(enum counter what);

/* guest_rows.c, host_rows.c */
extern const struct row guest_rows[], host_rows[];
extern const unsigned int nr_guest_rows, nr_host_rows;
bool cpu_is_amd(void);

/* guest.S: each program, and the same without its operation where there is one */
extern const uint8_t guest_start[], guest_stop[];

#define PROGRAM(name)							\
extern const uint8_t guest_##name[], guest_##name##_end[]

PROGRAM(cpuid);
PROGRAM(cpuid_base);
PROGRAM(vmcall);
PROGRAM(vmcall_base);
PROGRAM(vmmcall);
PROGRAM(rdmsr);
PROGRAM(rdmsr_base);
PROGRAM(wrmsr);
PROGRAM(wrmsr_base);
PROGRAM(page_read);
PROGRAM(page_write);
PROGRAM(out);
PROGRAM(in);
PROGRAM(mmio_write);
PROGRAM(mmio_read);
PROGRAM(hlt);

#define PROGRAM_OF(name)	{ guest_##name, guest_##name##_end }

#endif
