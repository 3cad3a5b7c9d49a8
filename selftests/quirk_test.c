// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM does in a way of its own unless KVM_CAP_DISABLE_QUIRKS2 tells it not to:
 * MONITOR and MWAIT without the CPUID bit, that bit and IA32_MISC_ENABLE, OUT to port
 * 0x7e. The hypercall instruction of the other vendor is in hypercall_test.c.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/vm.h"

#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_MWAIT	(1ull << 18)
#define CPUID_1_ECX_MWAIT	(1u << 3)

static void disable_quirks(struct test_vm *vm, uint64_t quirks)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DISABLE_QUIRKS2, .args = { quirks },
	};

	TEST_CHECK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap) == 0, "quirks %#llx",
		   (unsigned long long)quirks);
}

static bool have_quirks(struct test_vm *vm, uint64_t quirks)
{
	return (test_has_cap(vm->dev, KVM_CAP_DISABLE_QUIRKS2) & quirks) == quirks;
}

/* A vCPU whose CPUID has no MWAIT. */
static struct test_vcpu *vcpu_without_mwait(enum test_mode mode)
{
	struct test_vm *vm = vm_create();
	struct test_vcpu *vcpu = vm_add_vcpu(vm, 0);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vm->dev);

	test_cpuid_entry(cpuid, 1, 0)->ecx &= ~CPUID_1_ECX_MWAIT;
	TEST_CHECK(ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) == 0, "KVM_SET_CPUID2");
	free(cpuid);
	vcpu_set_mode(vcpu, mode);
	return vcpu;
}

/* The vector of the exception that MONITOR; MWAIT raise, -1 for none. */
static int try_mwait(struct test_vcpu *vcpu)
{
	static const uint8_t monitor[] = { 0x0f, 0x01, 0xc8 };
	static const uint8_t mwait[] = { 0x0f, 0x01, 0xc9 };
	struct kvm_regs regs = { .rax = GUEST_DATA, .rflags = 2 };
	int vector;

	vector = vcpu_try(vcpu, monitor, sizeof(monitor), &regs, NULL);
	regs = (struct kvm_regs){ .rflags = 2 };
	TEST_EQ(vector, vcpu_try(vcpu, mwait, sizeof(mwait), &regs, NULL),
		"MWAIT differs from MONITOR");
	return vector;
}

/* Bit 3 of CPUID(1).ECX, as the guest reads it. */
static bool guest_has_mwait(struct test_vcpu *vcpu)
{
	static const uint8_t cpuid[] = { 0x0f, 0xa2 };
	struct kvm_regs regs = { .rax = 1, .rflags = 2 };

	TEST_EQ(-1, vcpu_try(vcpu, cpuid, sizeof(cpuid), &regs, NULL), "CPUID");
	return regs.rcx & CPUID_1_ECX_MWAIT;
}

TEST(mwait_never_ud)
{
	struct test_vcpu *vcpu = vcpu_without_mwait(MODE_LONG);

	EXPECT_EQ(-1, try_mwait(vcpu));
	if (!have_quirks(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS))
		SKIP(return, "no such quirk");
	disable_quirks(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS);
	EXPECT_EQ(VECTOR_UD, try_mwait(vcpu));
	disable_quirks(vcpu->vm, 0);
	EXPECT_EQ(-1, try_mwait(vcpu));
	vm_destroy(vcpu->vm);
}

/* With both quirks off IA32_MISC_ENABLE says whether MWAIT exists. */
TEST(misc_enable_mwait)
{
	const uint64_t quirks = KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |
				KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;
	struct test_vcpu *vcpu = vcpu_without_mwait(MODE_LONG);
	uint64_t misc = vcpu_get_msr(vcpu, MSR_MISC_ENABLE);

	if (!have_quirks(vcpu->vm, quirks))
		SKIP(return, "no such quirks");
	/* The quirk: the MSR's bit has no effect. */
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc | MISC_ENABLE_MWAIT);
	EXPECT_FALSE(guest_has_mwait(vcpu));
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc & ~MISC_ENABLE_MWAIT);

	disable_quirks(vcpu->vm, quirks);
	EXPECT_FALSE(guest_has_mwait(vcpu));
	EXPECT_EQ(VECTOR_UD, try_mwait(vcpu));
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc | MISC_ENABLE_MWAIT);
	EXPECT_TRUE(guest_has_mwait(vcpu));
	EXPECT_EQ(-1, try_mwait(vcpu));
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc & ~MISC_ENABLE_MWAIT);
	EXPECT_FALSE(guest_has_mwait(vcpu));
	vm_destroy(vcpu->vm);
}

/* RIP as userspace sees it while the guest waits for OUT to @port. */
static uint64_t rip_in_out(uint16_t port, uint64_t quirks)
{
	const uint8_t code[] = {
		0xe6, port,		/* out %al, $port */
		0xf4,
	};
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
				(struct guest_code){ code, sizeof(code) });
	struct kvm_regs regs;
	uint64_t rip;

	if (quirks)
		disable_quirks(vcpu->vm, quirks);
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, port, 1, 1);
	vcpu_get_regs(vcpu, &regs);
	rip = regs.rip;
	/* Either way the instruction is executed once. */
	vcpu_run_to_hlt(vcpu);
	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(GUEST_CODE + sizeof(code), regs.rip, "after HLT");
	vm_destroy(vcpu->vm);
	return rip;
}

TEST(out_7e)
{
	EXPECT_EQ(GUEST_CODE, rip_in_out(0x7f, 0));
	EXPECT_EQ(GUEST_CODE + 2, rip_in_out(0x7e, 0));
	EXPECT_EQ(GUEST_CODE, rip_in_out(0x7e, KVM_X86_QUIRK_OUT_7E_INC_RIP));
}

TEST_HARNESS_MAIN
