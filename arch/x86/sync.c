// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CAP_SYNC_REGS: sets of registers in the run struct, so that a KVM_RUN brings what would be
 * ioctls of their own before and after it.
 */
#include "x86.h"

/**
 * struct sync_set - a set of registers
 * @bit: KVM_SYNC_X86_*
 * @load: userspace has changed the set; @regs is a copy that it cannot reach. 0 or EINVAL
 * @store: userspace wants to see it
 *
 * Both with the vCPU not loaded.
 */
struct sync_set {
	u32 bit;
	int (*load)(struct mkvm_vcpu *vcpu, const struct kvm_sync_regs *regs);
	void (*store)(struct mkvm_vcpu *vcpu, struct kvm_sync_regs *regs);
};

static int sync_load_regs(struct mkvm_vcpu *vcpu, const struct kvm_sync_regs *regs)
{
	return mkvm_set_regs(vcpu, &regs->regs);
}

static void sync_store_regs(struct mkvm_vcpu *vcpu, struct kvm_sync_regs *regs)
{
	mkvm_get_regs(vcpu, &regs->regs);
}

static int sync_load_sregs(struct mkvm_vcpu *vcpu, const struct kvm_sync_regs *regs)
{
	int r;

	mkvm_vcpu_load(vcpu);
	r = mkvm_set_sregs(vcpu, &regs->sregs);
	mkvm_vcpu_put(vcpu);
	return r;
}

static void sync_store_sregs(struct mkvm_vcpu *vcpu, struct kvm_sync_regs *regs)
{
	mkvm_vcpu_load(vcpu);
	mkvm_get_sregs(vcpu, &regs->sregs);
	mkvm_vcpu_put(vcpu);
}

static int sync_load_events(struct mkvm_vcpu *vcpu, const struct kvm_sync_regs *regs)
{
	int r;

	mkvm_vcpu_load(vcpu);
	r = mkvm_set_vcpu_events(vcpu, &regs->events);
	mkvm_vcpu_put(vcpu);
	return r;
}

static void sync_store_events(struct mkvm_vcpu *vcpu, struct kvm_sync_regs *regs)
{
	mkvm_vcpu_load(vcpu);
	mkvm_get_vcpu_events(vcpu, &regs->events);
	mkvm_vcpu_put(vcpu);
}

/* In the order in which they are loaded. */
static const struct sync_set sync_sets[] = {
	{ KVM_SYNC_X86_REGS, sync_load_regs, sync_store_regs },
	{ KVM_SYNC_X86_SREGS, sync_load_sregs, sync_store_sregs },
	{ KVM_SYNC_X86_EVENTS, sync_load_events, sync_store_events },
};

/** mkvm_sync_fields() - the sets that exist, KVM_SYNC_X86_* bits */
u32 mkvm_sync_fields(void)
{
	u32 fields = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sync_sets); i++)
		fields |= sync_sets[i].bit;
	return fields;
}

/**
 * mkvm_sync_load() - take over what userspace has changed
 * @vcpu: the vCPU, not loaded
 * @dirty: KVM_SYNC_X86_* bits
 *
 * The run struct's kvm_dirty_regs loses the bits of what was taken.
 * Return: 0, or EINVAL: a set that its ioctl refuses; those before it are in force, as in KVM.
 */
int mkvm_sync_load(struct mkvm_vcpu *vcpu, u32 dirty)
{
	struct kvm_sync_regs regs;
	unsigned int i;
	int r;

	/* Once: what is checked must be what is used. */
	memcpy(&regs, &vcpu->run->s.regs, sizeof(regs));
	barrier();
	for (i = 0; i < ARRAY_SIZE(sync_sets); i++) {
		if (!(dirty & sync_sets[i].bit))
			continue;
		r = sync_sets[i].load(vcpu, &regs);
		if (r)
			return r;
		dirty &= ~sync_sets[i].bit;
		WRITE_ONCE(vcpu->run->kvm_dirty_regs, dirty);
	}
	return 0;
}

/**
 * mkvm_sync_store() - show userspace what it wants to see
 * @vcpu: the vCPU, not loaded
 * @valid: KVM_SYNC_X86_* bits
 */
void mkvm_sync_store(struct mkvm_vcpu *vcpu, u32 valid)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sync_sets); i++)
		if (valid & sync_sets[i].bit)
			sync_sets[i].store(vcpu, &vcpu->run->s.regs);
}
