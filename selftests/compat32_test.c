// SPDX-License-Identifier: GPL-2.0
/*
 * A caller of 32 bits: compiled with -m32, it makes the ioctls that every VMM makes, and those
 * whose argument is of another form for it.
 */
#include "abi.h"

/* The library is of 64 bits; of it no more is needed than this. */
const char *test_device(void)
{
	const char *path = getenv("MINIKVM_DEVICE");

	return path && *path ? path : "/dev/minikvm";
}

GUEST(guest_out, "mov $0x5a, %al; out %al, $0x10; 1: hlt; jmp 1b");

FIXTURE(compat)
{
	struct machine m;
};

FIXTURE_SETUP(compat)
{
	MACHINE_INIT(&self->m);
	GUEST_LOAD(&self->m, guest_out);
}

FIXTURE_TEARDOWN(compat)
{
	machine_destroy(&self->m);
}

TEST_F(compat, device)
{
	ASSERT_EQ(4, sizeof(void *));
	EXPECT_EQ(KVM_API_VERSION, xioctl(self->m.dev, KVM_GET_API_VERSION, 0));
	EXPECT_EQ(1, cap_of(self->m.dev, KVM_CAP_USER_MEMORY));
	EXPECT_LE(2 * TEST_PAGE, self->m.run_size);
	EXPECT_EQ(-EINVAL, xioctl(self->m.dev, _IO(KVMIO, 0xff), 0));
	EXPECT_EQ(-ENOTTY, xioctl(self->m.vm, _IO(KVMIO, 0xff), 0));
	EXPECT_EQ(-EINVAL, xioctl(self->m.vcpu, _IO(KVMIO, 0xff), 0));
}

TEST_F(compat, run)
{
	struct machine *m = &self->m;
	struct kvm_regs r;

	ASSERT_EQ(0, machine_run(m));
	ASSERT_EQ(KVM_EXIT_IO, m->run->exit_reason);
	EXPECT_EQ(0x10, m->run->io.port);
	EXPECT_EQ(0x5a, *machine_io_data(m));
	ASSERT_EQ(0, machine_run(m));
	EXPECT_EQ(KVM_EXIT_HLT, m->run->exit_reason);

	/* Registers have 64 bits whoever asks. */
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	r.r15 = 0x123456789abcdef0;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &r));
	memset(&r, 0, sizeof(r));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0x123456789abcdef0, r.r15);
}

/* Structures that end in an array, and one of a page. */
TEST_F(compat, structures)
{
	struct machine *m = &self->m;
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid = { .head.nent = 256 };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1, .entry = { .index = 0xc0000102, .data = 0x7fff12345678 } };
	struct kvm_xsave x;
	struct kvm_sregs2 s;

	ASSERT_EQ(0, xioctl(m->dev, KVM_GET_SUPPORTED_CPUID, &cpuid));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &cpuid));
	EXPECT_EQ(1, xioctl(m->vcpu, KVM_SET_MSRS, &msr));
	msr.entry.data = 0;
	EXPECT_EQ(1, xioctl(m->vcpu, KVM_GET_MSRS, &msr));
	EXPECT_EQ(0x7fff12345678, msr.entry.data);
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XSAVE, &x));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS2, &s));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS2, &s));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_XSAVE, 0));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_XSAVE, -TEST_PAGE));
}

/* A set of signals is two words of 32 bits. */
TEST_F(compat, signal_mask)
{
	struct machine *m = &self->m;
	struct {
		struct kvm_signal_mask head;
		uint32_t set[2];
	} mask = { .head.len = 8, .set = { 0xffffffff, 0xffffffff } };
	int high = SIGRTMAX, i;
	sigset_t set;

	ASSERT_LT(32, high);
	mask.set[1] &= ~(1u << (high - 33));
	for (i = 0; i < 16; i++) {
		mask.head.len = i;
		EXPECT_EQ(i == 8 ? 0 : -EINVAL, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, &mask))
			TH_LOG("length %d", i);
	}
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, -TEST_PAGE));

	sigemptyset(&set);
	sigaddset(&set, high);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(high);
	EXPECT_EQ(-EINTR, machine_run(m));
	EXPECT_EQ(KVM_EXIT_INTR, m->run->exit_reason);
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_SIGNAL_MASK, 0));
	EXPECT_EQ(0, machine_run(m));
	EXPECT_EQ(KVM_EXIT_IO, m->run->exit_reason);
}

TEST_HARNESS_MAIN
