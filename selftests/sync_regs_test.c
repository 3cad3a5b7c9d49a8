// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CAP_SYNC_REGS: registers that travel in the run struct.
 */
#include "abi.h"

#define SYNC_BOTH	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS)

/* Stops at once, and then again with RBX one more. */
GUEST(guest_count, "1: hlt; inc %bx; jmp 1b");

FIXTURE(sync)
{
	struct machine m;
	struct kvm_sync_regs *regs;
};

FIXTURE_SETUP(sync)
{
	MACHINE_INIT(&self->m);
	GUEST_LOAD(&self->m, guest_count);
	self->regs = &self->m.run->s.regs;
	ASSERT_EQ(SYNC_BOTH, cap_of(self->m.vm, KVM_CAP_SYNC_REGS) & SYNC_BOTH);
}

FIXTURE_TEARDOWN(sync)
{
	machine_destroy(&self->m);
}

#define RUN_TO_HLT(m) do {						\
	ASSERT_EQ(0, machine_run(m));					\
	ASSERT_EQ(KVM_EXIT_HLT, (m)->run->exit_reason);			\
} while (0)

/* A set that does not exist: nothing of it happens. */
TEST_F(sync, unknown_sets)
{
	struct machine *m = &self->m;
	uint64_t known = cap_of(m->vm, KVM_CAP_SYNC_REGS);
	struct kvm_regs before, after;
	int bit;

	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &before));
	self->regs->regs = before;
	self->regs->regs.rbx = 0x77;
	for (bit = 0; bit < 64; bit++) {
		if (known & 1ull << bit)
			continue;
		m->run->kvm_valid_regs = 1ull << bit;
		EXPECT_EQ(-EINVAL, machine_run(m))
			TH_LOG("bit %d", bit);
		m->run->kvm_valid_regs = 0;
		m->run->kvm_dirty_regs = 1ull << bit | KVM_SYNC_X86_REGS;
		EXPECT_EQ(-EINVAL, machine_run(m))
			TH_LOG("bit %d", bit);
		EXPECT_EQ(1ull << bit | KVM_SYNC_X86_REGS, m->run->kvm_dirty_regs);
		m->run->kvm_dirty_regs = 0;
	}
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
}

/* What is asked for is as the ioctls say; what is not asked for is not touched. */
TEST_F(sync, valid)
{
	struct machine *m = &self->m;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	memset(self->regs, 0xa5, sizeof(*self->regs));
	RUN_TO_HLT(m);
	EXPECT_EQ(0xa5a5a5a5a5a5a5a5, self->regs->regs.rbx);

	m->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	RUN_TO_HLT(m);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &regs));
	EXPECT_EQ(0, memcmp(&regs, &self->regs->regs, sizeof(regs)));
	EXPECT_EQ(1, regs.rbx);
	EXPECT_EQ(0xa5a5a5a5a5a5a5a5, self->regs->sregs.cr0);

	/* KVM leaves padding alone, and the bitmap of interrupts, of which there is none. */
	memset(&self->regs->sregs, 0, sizeof(self->regs->sregs));
	m->run->kvm_valid_regs = SYNC_BOTH;
	RUN_TO_HLT(m);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &regs));
	EXPECT_EQ(0, memcmp(&regs, &self->regs->regs, sizeof(regs)));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &sregs));
	EXPECT_EQ(0, memcmp(&sregs, &self->regs->sregs, sizeof(sregs)));

	/* Also when nothing runs. */
	memset(self->regs, 0xa5, sizeof(*self->regs));
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	EXPECT_EQ(0, memcmp(&regs, &self->regs->regs, sizeof(regs)));
	EXPECT_EQ(sregs.cr0, self->regs->sregs.cr0);
}

TEST_F(sync, dirty)
{
	struct machine *m = &self->m;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	m->run->kvm_valid_regs = SYNC_BOTH;
	RUN_TO_HLT(m);
	/* Not said to be dirty: not taken. */
	self->regs->regs.rbx = 0x1000;
	RUN_TO_HLT(m);
	EXPECT_EQ(1, self->regs->regs.rbx);

	self->regs->regs.rbx = 0x1000;
	m->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	RUN_TO_HLT(m);
	EXPECT_EQ(0x1001, self->regs->regs.rbx);
	EXPECT_EQ(0, m->run->kvm_dirty_regs);

	self->regs->sregs.ds.base = 0x3000;
	self->regs->sregs.cr2 = 0x4000;
	self->regs->regs.rbx = 0x2000;
	m->run->kvm_dirty_regs = SYNC_BOTH;
	m->run->kvm_valid_regs = 0;
	RUN_TO_HLT(m);
	EXPECT_EQ(0, m->run->kvm_dirty_regs);
	EXPECT_EQ(0x2000, self->regs->regs.rbx);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &regs));
	EXPECT_EQ(0x2001, regs.rbx);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &sregs));
	EXPECT_EQ(0x3000, sregs.ds.base);
	EXPECT_EQ(0x4000, sregs.cr2);

	/* Taken although nothing runs. */
	self->regs->regs.rbx = 0x3000;
	m->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	EXPECT_EQ(0, m->run->kvm_dirty_regs);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &regs));
	EXPECT_EQ(0x3000, regs.rbx);
}

/* A set that its ioctl refuses stays dirty, and what comes before it is in force. */
TEST_F(sync, refused)
{
	struct machine *m = &self->m;
	struct kvm_sregs sregs, after;
	struct kvm_regs regs;

	m->run->kvm_valid_regs = SYNC_BOTH;
	RUN_TO_HLT(m);
	m->run->kvm_valid_regs = 0;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &sregs));
	self->regs->regs.rbx = 0x55;
	self->regs->sregs.cr2 = 0x66;
	self->regs->sregs.cr4 = 1ull << 63;
	m->run->kvm_dirty_regs = SYNC_BOTH;
	EXPECT_EQ(-EINVAL, machine_run(m));
	EXPECT_EQ(KVM_SYNC_X86_SREGS, m->run->kvm_dirty_regs);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &regs));
	EXPECT_EQ(0x55, regs.rbx);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &after));
	EXPECT_EQ(0, memcmp(&sregs, &after, sizeof(sregs)));

	/* Repaired, it goes on. */
	self->regs->sregs.cr4 = sregs.cr4;
	RUN_TO_HLT(m);
	EXPECT_EQ(0, m->run->kvm_dirty_regs);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &after));
	EXPECT_EQ(0x66, after.cr2);
}

static volatile bool flipping;

static void *flip_cr4(void *arg)
{
	struct kvm_sync_regs *regs = arg;

	while (flipping)
		*(volatile __u64 *)&regs->sregs.cr4 ^= 1ull << 31;
	return NULL;
}

/* Another thread changes the set while it is taken: what was checked is what is used. */
TEST_F(sync, changed_meanwhile)
{
	struct machine *m = &self->m;
	struct kvm_sregs sregs;
	pthread_t thread;
	int i, refused = 0;
	long ret;

	if (!test_device_is_minikvm())
		SKIP(return, "KVM of Linux 6.1 reads it twice");
	m->run->kvm_valid_regs = SYNC_BOTH;
	RUN_TO_HLT(m);
	m->run->kvm_valid_regs = 0;
	flipping = true;
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip_cr4, self->regs));
	for (i = 0; i < 300; i++) {
		m->run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
		ret = machine_run(m);
		EXPECT_TRUE(ret == 0 || ret == -EINVAL);
		refused += ret == -EINVAL;
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &sregs));
		ASSERT_EQ(0, sregs.cr4 >> 31);
	}
	flipping = false;
	pthread_join(thread, NULL);
	TH_LOG("%d of %d refused", refused, i);
}

TEST_HARNESS_MAIN
