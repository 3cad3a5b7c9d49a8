/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RDMSR and WRMSR in a guest, and CPUID bits that MSRs depend on. The vCPU is
 * in long mode, in ring 0.
 */
#ifndef SELFTESTS_LIB_MSR_H
#define SELFTESTS_LIB_MSR_H

#include "lib/vm.h"

/* RDMSR; return the vector, or -1 when there was no exception. */
int guest_read(struct test_vcpu *vcpu, uint32_t index, uint64_t *value);
int guest_read_rcx(struct test_vcpu *vcpu, uint64_t rcx, uint64_t *value);
/* RDMSR that has to work. */
uint64_t guest_value(struct test_vcpu *vcpu, uint32_t index);

/* WRMSR; likewise. */
int guest_write(struct test_vcpu *vcpu, uint32_t index, uint64_t value);
int guest_write_rcx(struct test_vcpu *vcpu, uint64_t rcx, uint64_t value);

/* A bit of a register that CPUID returns. */
struct cpuid_bit {
	uint32_t function;
	uint32_t index;
	size_t reg;		/* offset in struct kvm_cpuid_entry2 */
	unsigned int bit;
};

#define CPUID_BIT(function, index, reg, bit)				\
	((struct cpuid_bit){ function, index,				\
			     offsetof(struct kvm_cpuid_entry2, reg), bit })

/* A vCPU in long mode with the supported CPUID, and this bit @on or off. */
struct test_vcpu *vcpu_with_cpuid_bit(struct cpuid_bit bit, bool on);

#endif
