/* SPDX-License-Identifier: GPL-2.0 */
/*
 * minikvm, the command: the smallest complete VMM for /dev/minikvm.
 *
 * Read main.c, then run.c: everything a VMM does with a vCPU is in its loop.
 * vm.c has the ioctls that lead up to it, mode.c the two modes a guest can
 * start in, explain.c the words for every way a guest can end.
 */
#ifndef MINIKVM_H
#define MINIKVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

/* Where the guest's bytes are loaded and its first instruction is. */
#define LOAD_ADDR	0x1000

/* The first of the eight ports of a PC's first serial line. */
#define SERIAL_PORT	0x3f8

/* How the program ends. */
enum status {
	STATUS_OK	= 0,	/* the guest halted */
	STATUS_GUEST	= 1,	/* the guest ended in another way */
	STATUS_SETUP	= 2,	/* it could not be started; wrong arguments */
	STATUS_SIGNAL	= 130,	/* Ctrl-C */
};

/* What the command line asks for. */
struct options {
	const char *device;
	const char *file;
	uint64_t mem_size;
	bool long_mode;
	bool trace_exits;
	const char *regs;	/* "rax=1,rbx=2", or NULL */
};

/* A virtual machine with one vCPU. */
struct vm {
	int dev_fd;		/* /dev/minikvm */
	int vm_fd;		/* the VM: memory, vCPUs */
	int vcpu_fd;		/* the vCPU: registers, KVM_RUN */
	uint8_t *mem;		/* guest memory, from GPA 0 */
	uint64_t mem_size;
	struct kvm_run *run;	/* shared with the kernel: why KVM_RUN ended */
	size_t run_size;
};

/* util.c */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void fail_errno(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
bool parse_number(const char *text, uint64_t *value);
bool parse_size(const char *text, uint64_t *value);

/* vm.c */
int open_device(const char *path);
void vm_create(struct vm *vm, const char *device, uint64_t mem_size);
void vm_load(struct vm *vm, const void *code, size_t size);
void vm_load_file(struct vm *vm, const char *path);
void vm_destroy(struct vm *vm);

/* mode.c */
void set_real_mode(struct vm *vm);
void set_long_mode(struct vm *vm);
void set_registers(struct vm *vm, const char *list);
uint64_t usable_memory(const struct vm *vm, bool long_mode);

/* run.c */
enum status run_guest(struct vm *vm, const struct options *opt);

/* explain.c */
void print_exit(const struct vm *vm, unsigned long number);
void explain_end(const struct vm *vm);
void print_registers(const struct vm *vm);

/* info.c */
enum status print_info(const char *device);

/* hello.S */
extern const uint8_t hello_guest[], hello_guest_end[];

#endif
