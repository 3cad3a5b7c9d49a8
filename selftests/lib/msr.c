// SPDX-License-Identifier: GPL-2.0
/* RDMSR and WRMSR in a guest in long mode; see msr.h. */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "lib/msr.h"

static const uint8_t rdmsr_insn[] = { 0x0f, 0x32 };
static const uint8_t wrmsr_insn[] = { 0x0f, 0x30 };

int guest_read_rcx(struct test_vcpu *vcpu, uint64_t rcx, uint64_t *value)
{
	struct kvm_regs regs = { .rcx = rcx, .rax = ~0ull, .rdx = ~0ull };
	int64_t error;
	int vector = vcpu_try(vcpu, rdmsr_insn, 2, &regs, &error);

	if (vector < 0) {
		TEST_EQ(0, regs.rax >> 32, "upper half of RAX");
		TEST_EQ(0, regs.rdx >> 32, "upper half of RDX");
		*value = regs.rdx << 32 | regs.rax;
	} else {
		TEST_EQ(0, error, "error code of RDMSR %#lx", rcx);
		TEST_EQ(~0ull, regs.rax, "RAX after a fault");
	}
	return vector;
}

int guest_read(struct test_vcpu *vcpu, uint32_t index, uint64_t *value)
{
	return guest_read_rcx(vcpu, index, value);
}

int guest_write_rcx(struct test_vcpu *vcpu, uint64_t rcx, uint64_t value)
{
	struct kvm_regs regs = {
		.rcx = rcx,
		.rax = (uint32_t)value | 0x1234500000000,
		.rdx = value >> 32 | 0x5432100000000,
	};
	int64_t error;
	int vector = vcpu_try(vcpu, wrmsr_insn, 2, &regs, &error);

	if (vector >= 0)
		TEST_EQ(0, error, "error code of WRMSR %#lx", rcx);
	return vector;
}

int guest_write(struct test_vcpu *vcpu, uint32_t index, uint64_t value)
{
	return guest_write_rcx(vcpu, index, value);
}

uint64_t guest_value(struct test_vcpu *vcpu, uint32_t index)
{
	uint64_t value = 0;

	TEST_EQ(-1, guest_read(vcpu, index, &value), "vector of RDMSR %#x",
		index);
	return value;
}

struct test_vcpu *vcpu_with_cpuid_bit(struct cpuid_bit bit, bool on)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create(), 0);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e;
	uint32_t *reg;

	e = test_cpuid_entry(cpuid, bit.function, bit.index);
	TEST_CHECK(e, "leaf %#x.%u", bit.function, bit.index);
	reg = (uint32_t *)((char *)e + bit.reg);
	*reg &= ~(1u << bit.bit);
	*reg |= (uint32_t)on << bit.bit;
	TEST_EQ(0, ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
	vcpu_set_mode(vcpu, MODE_LONG);
	return vcpu;
}
