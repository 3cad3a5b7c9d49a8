/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtual machine for tests, by the KVM ABI: what a VMM does, with every
 * unexpected answer turned into a message and the end of the test.
 *
 * The device is $MINIKVM_DEVICE, or /dev/minikvm: the same test program runs
 * against stock KVM with MINIKVM_DEVICE=/dev/kvm. There is nothing here that
 * knows the CPU's vendor.
 *
 * Functions that begin with __ hand back the result of the system call, -1
 * and errno included; the others end the test when the call fails.
 */
#ifndef SELFTESTS_LIB_VM_H
#define SELFTESTS_LIB_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

#include "lib/guest.h"

#define TEST_MAX_SLOTS	32
#define TEST_MAX_VCPUS	8
#define TEST_PAGE	4096ul

/* End the test with a message when @cond does not hold. */
#define TEST_CHECK(cond, fmt, ...)					\
do {									\
	if (!(cond))							\
		test_die(__FILE__, __LINE__, "not so: %s: " fmt,	\
			 #cond, ##__VA_ARGS__);				\
} while (0)

/* End the test unless both are equal; values are printed in hex. */
#define TEST_EQ(want, got, fmt, ...)					\
do {									\
	unsigned long long __want = (want), __got = (got);		\
									\
	if (__want != __got)						\
		test_die(__FILE__, __LINE__,				\
			 "%s: want %#llx, got %#llx: " fmt,		\
			 #got, __want, __got, ##__VA_ARGS__);		\
} while (0)

#define TEST_FAIL(fmt, ...) test_die(__FILE__, __LINE__, fmt, ##__VA_ARGS__)

void test_die(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

/* End the test as skipped; only for what the machine cannot have. */
#define TEST_SKIP(fmt, ...) test_skip(fmt, ##__VA_ARGS__)
void test_skip(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

struct test_vm;

/* A vCPU: its file and what is mapped from it. */
struct test_vcpu {
	struct test_vm *vm;
	int id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
};

/* A slot: guest memory backed by a mapping of this process. */
struct test_slot {
	bool used;
	uint64_t gpa;
	uint64_t size;
	uint8_t *hva;
	bool own;		/* mapped by vm_add_memory(), unmapped with the VM */
};

struct test_vm {
	int dev;
	int fd;
	size_t run_size;
	struct test_slot slots[TEST_MAX_SLOTS];
	struct test_vcpu *vcpus[TEST_MAX_VCPUS];
};

/* Execution modes that vcpu_set_mode() sets up. */
enum test_mode {
	MODE_REAL,		/* CS base 0 */
	MODE_PROT16,		/* protected, 16-bit code segment, no paging */
	MODE_PROT32,		/* protected, flat, no paging */
	MODE_PAGING32,		/* protected, flat, two-level paging with PSE */
	MODE_PAE,		/* protected, flat, PAE paging */
	MODE_LONG,		/* 64-bit code */
	MODE_COMPAT,		/* long mode, 32-bit code segment */
	MODE_LONG_R3,		/* 64-bit code in ring 3 */
	MODE_NUM
};

/* A piece of guest code in this program's memory. */
struct guest_code {
	const uint8_t *start;
	size_t size;
};

/* Make the guest @name, of guests/X_test.S, known: see GUEST there. */
#define GUEST_DECLARE(name)						\
	extern const uint8_t name[], name##_end[]

#define GUEST_OF(name) ((struct guest_code){ name, name##_end - name })

/* What the handlers in lib/handlers.S store. */
struct guest_exception {
	uint64_t vector;
	uint64_t error;
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
	uint64_t cr2;
	uint64_t count;
};

/* The device. */
const char *test_device(void);
bool test_device_is_minikvm(void);
int test_open_device(void);
int test_has_cap(int fd, int cap);

/* VMs and memory. */
struct test_vm *vm_create_bare(void);
struct test_vm *vm_create(void);
void vm_destroy(struct test_vm *vm);
int __vm_set_slot(struct test_vm *vm, uint32_t slot, uint32_t flags,
		  uint64_t gpa, uint64_t size, void *hva);
void vm_set_slot(struct test_vm *vm, uint32_t slot, uint32_t flags,
		 uint64_t gpa, uint64_t size, void *hva);
void *vm_add_memory(struct test_vm *vm, uint32_t slot, uint64_t gpa,
		    uint64_t size);
void vm_delete_slot(struct test_vm *vm, uint32_t slot);
void *vm_hva(struct test_vm *vm, uint64_t gpa, uint64_t size);
void vm_write(struct test_vm *vm, uint64_t gpa, const void *buf, size_t size);
void vm_read(struct test_vm *vm, uint64_t gpa, void *buf, size_t size);
void vm_load(struct test_vm *vm, struct guest_code code);
void vm_load_bytes(struct test_vm *vm, const void *code, size_t size);

/* vCPUs. */
struct test_vcpu *vm_add_vcpu(struct test_vm *vm, int id);
void vcpu_destroy(struct test_vcpu *vcpu);
void vcpu_get_regs(struct test_vcpu *vcpu, struct kvm_regs *regs);
void vcpu_set_regs(struct test_vcpu *vcpu, const struct kvm_regs *regs);
uint64_t vcpu_rip(struct test_vcpu *vcpu);
void vcpu_set_rflags(struct test_vcpu *vcpu, uint64_t rflags);	/* and the bit that is always 1 */
void vcpu_get_sregs(struct test_vcpu *vcpu, struct kvm_sregs *sregs);
void vcpu_set_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs);
int __vcpu_set_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs);
int __vcpu_get_msr(struct test_vcpu *vcpu, uint32_t index, uint64_t *value);
int __vcpu_set_msr(struct test_vcpu *vcpu, uint32_t index, uint64_t value);
uint64_t vcpu_get_msr(struct test_vcpu *vcpu, uint32_t index);
void vcpu_set_msr(struct test_vcpu *vcpu, uint32_t index, uint64_t value);
struct kvm_cpuid2 *test_supported_cpuid(int dev);
struct kvm_cpuid_entry2 *test_cpuid_entry(struct kvm_cpuid2 *cpuid,
					  uint32_t function, uint32_t index);
void vcpu_set_supported_cpuid(struct test_vcpu *vcpu);

/* A mode and its tables; RIP is GUEST_CODE, RSP GUEST_STACK_TOP. */
void vcpu_set_mode(struct test_vcpu *vcpu, enum test_mode mode);
const char *test_mode_name(enum test_mode mode);
void vm_build_tables(struct test_vm *vm);
void vm_build_idt(struct test_vm *vm, bool long_mode);
uint64_t *vm_pte(struct test_vm *vm, uint64_t gva);
uint32_t *vm_pte32(struct test_vm *vm, uint32_t gva);

/* A VM with one vCPU in @mode and @code loaded: what most tests want. */
struct test_vcpu *vm_with_guest(enum test_mode mode, struct guest_code code);

/* Running. */
int __vcpu_run(struct test_vcpu *vcpu);
void vcpu_run(struct test_vcpu *vcpu);
const char *test_exit_name(uint32_t reason);
void vcpu_dump(struct test_vcpu *vcpu);
#define vcpu_expect(vcpu, reason)					\
	vcpu_expect_at(vcpu, reason, __FILE__, __LINE__)
void vcpu_expect_at(struct test_vcpu *vcpu, uint32_t reason, const char *file,
		    int line);

/* Run until the next exit to userspace, which has to be @reason. */
#define vcpu_run_expect(vcpu, reason)					\
do {									\
	vcpu_run(vcpu);							\
	vcpu_expect(vcpu, reason);					\
} while (0)

#define vcpu_run_to_hlt(vcpu)	vcpu_run_expect(vcpu, KVM_EXIT_HLT)

/* Run up to a port access, which has to look like this. */
#define vcpu_run_to_io(vcpu, dir, port, size, count)			\
	vcpu_run_to_io_at(vcpu, dir, port, size, count, __FILE__, __LINE__)
void *vcpu_run_to_io_at(struct test_vcpu *vcpu, int dir, uint16_t port,
			int size, uint32_t count, const char *file, int line);

/* Run up to an MMIO access, which has to look like this. */
#define vcpu_run_to_mmio(vcpu, write, gpa, len)				\
	vcpu_run_to_mmio_at(vcpu, write, gpa, len, __FILE__, __LINE__)
void *vcpu_run_to_mmio_at(struct test_vcpu *vcpu, bool write, uint64_t gpa,
			  uint32_t len, const char *file, int line);

/* Run until a handler of the guest has reported an exception. */
#define vcpu_run_to_exception(vcpu, vector, error)			\
	vcpu_run_to_exception_at(vcpu, vector, error, __FILE__, __LINE__)
struct guest_exception vcpu_run_to_exception_at(struct test_vcpu *vcpu,
						int vector, int64_t error,
						const char *file, int line);
struct guest_exception *vm_exception(struct test_vm *vm);

/*
 * Start @code (behind which a HLT is put) at GUEST_CODE with the registers in
 * @regs, run it to its HLT or to a handler's; @regs has the registers then.
 * Returns the vector of the exception, or -1, with its error code in @error
 * unless that is NULL.
 */
int vcpu_try(struct test_vcpu *vcpu, const void *code, size_t size,
	     struct kvm_regs *regs, int64_t *error);

/* The sixteen GPRs of a kvm_regs as an array, in the CPU's numbering. */
uint64_t *regs_gpr(struct kvm_regs *regs, int nr);

#endif
