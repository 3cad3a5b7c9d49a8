// SPDX-License-Identifier: GPL-2.0
/*
 * Machine check: banks that userspace configures (KVM_X86_SETUP_MCE) and puts errors into
 * (KVM_X86_SET_MCE), and what the guest gets to see. SDM, "Machine-Check Architecture".
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define MCG_CAP		0x179
#define MCG_STATUS	0x17a
#define MCG_CTL		0x17b
#define MC0_CTL2	0x280
#define MC_CTL(n)	(0x400 + 4 * (n))
#define MC_STATUS(n)	(0x401 + 4 * (n))
#define MC_ADDR(n)	(0x402 + 4 * (n))
#define MC_MISC(n)	(0x403 + 4 * (n))

#define CAP_CTL_P	(1ull << 8)
#define CAP_CMCI_P	(1ull << 10)
#define CAP_SER_P	(1ull << 24)
#define STATUS_VAL	(1ull << 63)
#define STATUS_OVER	(1ull << 62)
#define STATUS_UC	(1ull << 61)
#define STATUS_EN	(1ull << 60)
#define STATUS_S	(1ull << 56)
#define STATUS_AR	(1ull << 55)
#define MCG_RIPV	1ull
#define MCG_MCIP	4ull
#define CR4_MCE		(1ull << 6)
#define VECTOR_MC	18
#define ALL		(~0ull)

/* An error that raises #MC. */
#define FATAL		(STATUS_VAL | STATUS_UC | STATUS_EN | STATUS_S | STATUS_AR)
#define CORRECTED	(STATUS_VAL | STATUS_EN)

#define BANKS		10

/* IA32_MCG_CAP as it reads after @cap was given: AMD has fewer bits. */
static uint64_t cap_seen(uint64_t cap)
{
	return test_vendor()->amd ? cap & 0x1ff : cap;
}

static int setup(struct test_vcpu *vcpu, uint64_t cap)
{
	return ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &cap) ? -errno : 0;
}

static int set_mce(struct test_vcpu *vcpu, int bank, uint64_t status, uint64_t addr,
		   uint64_t mcg_status)
{
	struct kvm_x86_mce mce = {
		.status = status, .addr = addr, .misc = addr + 1,
		.mcg_status = mcg_status, .bank = bank,
	};

	return ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce) ? -errno : 0;
}

/* A guest of NOPs and a HLT, which takes machine checks if @mce. */
static struct test_vcpu *guest(bool mce)
{
	static const uint8_t nops[] = { 0x90, 0x90, 0xf4 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){ nops, sizeof(nops) });
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr4 = mce ? sregs.cr4 | CR4_MCE : sregs.cr4 & ~CR4_MCE;
	vcpu_set_sregs(vcpu, &sregs);
	TEST_EQ(0, setup(vcpu, BANKS | CAP_CTL_P | CAP_SER_P), "KVM_X86_SETUP_MCE");
	return vcpu;
}

static void expect_bank(struct test_vcpu *vcpu, int bank, uint64_t status, uint64_t addr)
{
	TEST_EQ(status, vcpu_get_msr(vcpu, MC_STATUS(bank)), "status of bank %d", bank);
	TEST_EQ(addr, vcpu_get_msr(vcpu, MC_ADDR(bank)), "address of bank %d", bank);
	TEST_EQ(addr ? addr + 1 : 0, vcpu_get_msr(vcpu, MC_MISC(bank)), "bank %d", bank);
}

TEST(capability)
{
	struct test_vcpu *vcpu = guest(true);
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 1, 0);
	uint64_t cap = 0;

	EXPECT_EQ(32, test_has_cap(vcpu->vm->dev, KVM_CAP_MCE));
	ASSERT_EQ(0, ioctl(vcpu->vm->dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	EXPECT_EQ(CAP_CTL_P | CAP_SER_P, cap & (CAP_CTL_P | CAP_SER_P));
	/* Numbers are not among the bits. */
	EXPECT_EQ(0, cap & 0xff00ff);
	EXPECT_EQ(1 << 7 | 1 << 14, e->edx & (1 << 7 | 1 << 14));
	vm_destroy(vcpu->vm);
}

TEST(setup_refused)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){});
	uint64_t cap = 0;

	ASSERT_EQ(0, ioctl(vcpu->vm->dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	EXPECT_EQ(32, vcpu_get_msr(vcpu, MCG_CAP));
	EXPECT_EQ(-EINVAL, setup(vcpu, 0));
	EXPECT_EQ(-EINVAL, setup(vcpu, CAP_CTL_P));
	EXPECT_EQ(-EINVAL, setup(vcpu, 33));
	EXPECT_EQ(-EINVAL, setup(vcpu, 255));
	EXPECT_EQ(-EINVAL, setup(vcpu, 1 | 1ull << 9));
	EXPECT_EQ(-EINVAL, setup(vcpu, 1 | 1ull << 63));
	EXPECT_EQ(cap & CAP_CMCI_P ? 0 : -EINVAL, setup(vcpu, 32 | CAP_CMCI_P));
	EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_X86_SETUP_MCE, NULL));
	EXPECT_EQ(EFAULT, errno);
	if (!(cap & CAP_CMCI_P))
		EXPECT_EQ(32, vcpu_get_msr(vcpu, MCG_CAP));
	/* All of a number's bits, also those of extended registers. */
	EXPECT_EQ(0, setup(vcpu, 32 | 0xff0000));
	EXPECT_EQ(cap_seen(32 | 0xff0000), vcpu_get_msr(vcpu, MCG_CAP));
	vm_destroy(vcpu->vm);
}

TEST(registers)
{
	struct test_vcpu *vcpu = guest(true);
	uint64_t value;

	EXPECT_EQ(cap_seen(BANKS | CAP_CTL_P | CAP_SER_P), vcpu_get_msr(vcpu, MCG_CAP));
	EXPECT_EQ(ALL, vcpu_get_msr(vcpu, MCG_CTL));
	EXPECT_EQ(ALL, vcpu_get_msr(vcpu, MC_CTL(0)));
	EXPECT_EQ(ALL, vcpu_get_msr(vcpu, MC_CTL(BANKS - 1)));
	EXPECT_EQ(0, __vcpu_get_msr(vcpu, MC_CTL(BANKS), &value));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MC_CTL(BANKS), 0));
	EXPECT_EQ(0, __vcpu_get_msr(vcpu, MC_MISC(31), &value));
	EXPECT_EQ(1, __vcpu_get_msr(vcpu, MC0_CTL2 + BANKS - 1, &value));
	/* All errors or none. */
	EXPECT_EQ(1, __vcpu_set_msr(vcpu, MCG_CTL, 0));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MCG_CTL, 5));
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MCG_CTL));
	EXPECT_EQ(1, __vcpu_set_msr(vcpu, MCG_CTL, ALL));
	EXPECT_EQ(ALL, vcpu_get_msr(vcpu, MCG_CTL));
	/* Without the bit it is userspace's only, and 0. */
	EXPECT_EQ(0, setup(vcpu, BANKS));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MCG_CTL, ALL));
	EXPECT_EQ(1, __vcpu_set_msr(vcpu, MCG_CTL, 0));
	vm_destroy(vcpu->vm);
}

/* What RDMSR in the guest ends with: a vector, or -1. */
static int guest_rdmsr(struct test_vcpu *vcpu, uint32_t msr)
{
	static const uint8_t rdmsr[] = { 0x0f, 0x32 };
	struct kvm_regs regs = { .rcx = msr };

	return vcpu_try(vcpu, rdmsr, sizeof(rdmsr), &regs, NULL);
}

TEST(registers_of_the_guest)
{
	struct test_vcpu *vcpu = guest(true);

	EXPECT_EQ(-1, guest_rdmsr(vcpu, MCG_CAP));
	EXPECT_EQ(-1, guest_rdmsr(vcpu, MCG_CTL));
	EXPECT_EQ(-1, guest_rdmsr(vcpu, MC_MISC(BANKS - 1)));
	EXPECT_EQ(VECTOR_GP, guest_rdmsr(vcpu, MC_CTL(BANKS)));
	EXPECT_EQ(VECTOR_GP, guest_rdmsr(vcpu, MC0_CTL2));
	EXPECT_EQ(0, setup(vcpu, BANKS));
	EXPECT_EQ(VECTOR_GP, guest_rdmsr(vcpu, MCG_CTL));
	vm_destroy(vcpu->vm);
}

TEST(error_refused)
{
	struct test_vcpu *vcpu = guest(true);

	EXPECT_EQ(-EINVAL, set_mce(vcpu, BANKS, FATAL, 0x1000, 0));
	EXPECT_EQ(-EINVAL, set_mce(vcpu, 255, FATAL, 0x1000, 0));
	EXPECT_EQ(-EINVAL, set_mce(vcpu, 0, FATAL & ~STATUS_VAL, 0x1000, 0));
	EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_X86_SET_MCE, NULL));
	EXPECT_EQ(EFAULT, errno);
	expect_bank(vcpu, 0, 0, 0);
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/* Corrected: recorded, nothing is raised; the second one overflows and is the one that stays. */
TEST(corrected)
{
	struct test_vcpu *vcpu = guest(true);

	EXPECT_EQ(0, set_mce(vcpu, 2, CORRECTED, 0x1000, MCG_RIPV));
	expect_bank(vcpu, 2, CORRECTED, 0x1000);
	EXPECT_EQ(0, set_mce(vcpu, 2, CORRECTED | 5, 0x2000, MCG_RIPV));
	expect_bank(vcpu, 2, CORRECTED | STATUS_OVER | 5, 0x2000);
	expect_bank(vcpu, 1, 0, 0);
	expect_bank(vcpu, 3, 0, 0);
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MCG_STATUS));
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

TEST(uncorrected)
{
	struct test_vcpu *vcpu = guest(true);
	struct guest_exception exc;

	EXPECT_EQ(0, set_mce(vcpu, BANKS - 1, FATAL, 0x3000, MCG_RIPV | MCG_MCIP));
	expect_bank(vcpu, BANKS - 1, FATAL, 0x3000);
	EXPECT_EQ(MCG_RIPV | MCG_MCIP, vcpu_get_msr(vcpu, MCG_STATUS));
	exc = vcpu_run_to_exception(vcpu, VECTOR_MC, EXC_NO_ERROR);
	EXPECT_EQ(GUEST_CODE, exc.rip);
	/* An abort: no instruction to be taken up again without its breakpoint. */
	EXPECT_EQ(0, exc.rflags & 1 << 16);
	/* A corrected error does not take its place. */
	EXPECT_EQ(0, set_mce(vcpu, BANKS - 1, CORRECTED, 0x4000, 0));
	expect_bank(vcpu, BANKS - 1, FATAL | STATUS_OVER, 0x3000);
	vm_destroy(vcpu->vm);
}

/* A second one while the first is handled, or one that the guest cannot take: the end. */
TEST(uncorrected_shutdown)
{
	struct test_vcpu *vcpu = guest(true);

	EXPECT_EQ(0, set_mce(vcpu, 0, FATAL, 0x3000, MCG_RIPV | MCG_MCIP));
	vcpu_run_to_exception(vcpu, VECTOR_MC, EXC_NO_ERROR);
	EXPECT_EQ(0, set_mce(vcpu, 1, FATAL, 0x4000, MCG_RIPV | MCG_MCIP));
	expect_bank(vcpu, 1, 0, 0);
	vcpu_run_expect(vcpu, KVM_EXIT_SHUTDOWN);
	vm_destroy(vcpu->vm);

	vcpu = guest(false);
	EXPECT_EQ(0, set_mce(vcpu, 0, FATAL, 0x3000, MCG_RIPV | MCG_MCIP));
	expect_bank(vcpu, 0, 0, 0);
	vcpu_run_expect(vcpu, KVM_EXIT_SHUTDOWN);
	vm_destroy(vcpu->vm);
}

/* The guest has turned them off. */
TEST(uncorrected_disabled)
{
	struct test_vcpu *vcpu = guest(true);

	vcpu_set_msr(vcpu, MC_CTL(3), 0);
	EXPECT_EQ(0, set_mce(vcpu, 3, FATAL, 0x3000, MCG_RIPV | MCG_MCIP));
	expect_bank(vcpu, 3, 0, 0);
	vcpu_set_msr(vcpu, MC_CTL(3), ALL);
	vcpu_set_msr(vcpu, MCG_CTL, 0);
	EXPECT_EQ(0, set_mce(vcpu, 3, FATAL, 0x3000, MCG_RIPV | MCG_MCIP));
	expect_bank(vcpu, 3, 0, 0);
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MCG_STATUS));
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/* Uncorrected, and nobody has to do anything: recorded only. */
TEST(no_action)
{
	struct test_vcpu *vcpu = guest(true);

	EXPECT_EQ(0, set_mce(vcpu, 4, STATUS_VAL | STATUS_UC | STATUS_EN, 0x3000, 0));
	expect_bank(vcpu, 4, STATUS_VAL | STATUS_UC | STATUS_EN, 0x3000);
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/*
 * An NMI that waits is not lost: it comes right behind, before the handler's first instruction. In Bochs
 * it may be late (event_test: nmi_in_shadow).
 */
TEST(with_nmi)
{
	struct test_vcpu *vcpu = guest(true);
	struct kvm_vcpu_events events;

	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_NMI, 0));
	EXPECT_EQ(0, set_mce(vcpu, 0, FATAL, 0x3000, MCG_RIPV | MCG_MCIP));
	vcpu_run_to_hlt(vcpu);
	if (!test_vendor()->amd && vm_exception(vcpu->vm)->vector == VECTOR_MC) {
		ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
		EXPECT_EQ(1, events.nmi.pending);
		SKIP(return, "Bochs: the NMI comes late");
	}
	EXPECT_EQ(VECTOR_NMI, vm_exception(vcpu->vm)->vector);
	EXPECT_LE(GUEST_HANDLERS64, vm_exception(vcpu->vm)->rip);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
