// SPDX-License-Identifier: GPL-2.0
/*
 * The audit build: tags of translations; see audit.h.
 */
#include <linux/percpu.h>
#include <linux/vmalloc.h>

#include "x86.h"

/**
 * struct mkvm_tag - what a CPU may have cached under a tag
 * @owner:	serial number of the vCPU; %MKVM_TAG_UNKNOWN or %MKVM_TAG_FREE
 * @moves:	mkvm_audit_vcpu.moves when it was flushed
 * @flushed:	mkvm_audit_vm.removed when it was flushed
 */
struct mkvm_tag {
	u64 owner;
	u64 moves;
	u64 flushed;
};

/* Never flushed since the module was loaded: anything may be cached. */
#define MKVM_TAG_UNKNOWN	0ull
/* Nothing is cached. */
#define MKVM_TAG_FREE		(~0ull)

static DEFINE_PER_CPU(struct mkvm_tag *, mkvm_tags);
static unsigned int mkvm_nr_tags;

/** mkvm_audit_teardown() - undo mkvm_audit_setup() */
void mkvm_audit_teardown(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		vfree(per_cpu(mkvm_tags, cpu));
		per_cpu(mkvm_tags, cpu) = NULL;
	}
}

/** mkvm_audit_setup() - a record for each tag of each CPU
 * @nr_tags: tags are below it
 * Return: 0 or ENOMEM. */
int mkvm_audit_setup(unsigned int nr_tags)
{
	int cpu;

	mkvm_nr_tags = nr_tags;
	for_each_possible_cpu(cpu) {
		per_cpu(mkvm_tags, cpu) = vcalloc(nr_tags, sizeof(struct mkvm_tag));
		if (!per_cpu(mkvm_tags, cpu)) {
			mkvm_audit_teardown();
			return -ENOMEM;
		}
	}
	return 0;
}

/* --- Mappings that go -------------------------------------------------------------------- */

/** mkvm_audit_removed() - entries of the second-level tables were cleared
 * @vm: the VM, its mmu_lock held for writing. After the stores, before requests */
void mkvm_audit_removed(struct mkvm *vm)
{
	WRITE_ONCE(vm->arch.audit.removed, vm->arch.audit.removed + 1);
}

/**
 * mkvm_audit_released() - what the entries pointed to may be used for something else
 * @vm: the VM, its mmu_lock held for writing
 *
 * A vCPU that is in the guest with a tag that was flushed before can still reach it. One that is not has
 * a request, and mkvm_audit_entry() sees whether it follows it.
 */
void mkvm_audit_released(struct mkvm *vm)
{
	u64 removed = vm->arch.audit.removed;
	struct mkvm_vcpu *vcpu;
	unsigned int i;

	mkvm_for_each_vcpu(i, vcpu, vm) {
		struct mkvm_audit_vcpu *audit = &vcpu->arch.audit;
		/* Pairs with the release in mkvm_audit_entry(). */
		bool running = smp_load_acquire(&audit->running);

		mkvm_audit(release, !running || READ_ONCE(audit->flushed) >= removed,
			   "vCPU %d is in the guest on CPU %d and was not flushed\n",
			   vcpu->id, READ_ONCE(vcpu->cpu));
	}
	WRITE_ONCE(vm->arch.audit.released, removed);
}

/** mkvm_audit_removals() - how many times the VM has lost mappings, for mkvm_audit_flushed()
 * @vm: the VM */
u64 mkvm_audit_removals(const struct mkvm *vm)
{
	return READ_ONCE(vm->arch.audit.removed);
}

/* --- Flushes ------------------------------------------------------------------------------ */

/**
 * mkvm_audit_flushed() - nothing is cached under a tag on this CPU
 * @vcpu: the vCPU whose tag it is
 * @tag: the tag
 * @removed: mkvm_audit_removals() before the flush began
 * Context: preemption off.
 */
void mkvm_audit_flushed(struct mkvm_vcpu *vcpu, unsigned int tag, u64 removed)
{
	this_cpu_read(mkvm_tags)[tag] = (struct mkvm_tag){
		.owner = vcpu->arch.serial,
		.moves = vcpu->arch.audit.moves + (vcpu->arch.audit.cpu != smp_processor_id()),
		.flushed = removed,
	};
}

/** mkvm_audit_all_flushed() - nothing is cached under any tag on this CPU
 * Context: preemption off. */
void mkvm_audit_all_flushed(void)
{
	struct mkvm_tag *tags = this_cpu_read(mkvm_tags);
	unsigned int i;

	for (i = 0; i < mkvm_nr_tags; i++)
		tags[i].owner = MKVM_TAG_FREE;
}

/* --- VM entry ------------------------------------------------------------------------------- */

static bool mkvm_audit_tag(const struct mkvm_vcpu *vcpu, unsigned int tag,
			   const struct mkvm_tag *record)
{
	const struct mkvm_audit_vcpu *audit = &vcpu->arch.audit;
	u64 released = READ_ONCE(vcpu->vm->arch.audit.released);

	return mkvm_audit(tag, record->owner == vcpu->arch.serial,
			  "vCPU %d enters with tag %u, which was not flushed after vCPU #%lld\n",
			  vcpu->id, tag, record->owner) &&
	       mkvm_audit(tag, record->moves == audit->moves,
			  "vCPU %d enters with tag %u, not flushed since it was on another CPU\n",
			  vcpu->id, tag) &&
	       mkvm_audit(tag, record->flushed >= released,
			  "vCPU %d enters with tag %u, not flushed since memory was taken away\n",
			  vcpu->id, tag);
}

/**
 * mkvm_audit_entry() - the next instruction enters the guest
 * @vcpu: the vCPU
 * @tag: what it enters with
 *
 * Context: interrupts off, and nothing but the entry follows.
 * Return: false: the caller has to flush everything, as far as a CPU can.
 */
bool mkvm_audit_entry(struct mkvm_vcpu *vcpu, unsigned int tag)
{
	struct mkvm_audit_vcpu *audit = &vcpu->arch.audit;
	struct mkvm_tag *record = &this_cpu_read(mkvm_tags)[tag];
	u64 removed = mkvm_audit_removals(vcpu->vm);
	bool good;

	if (audit->cpu != smp_processor_id()) {
		audit->cpu = smp_processor_id();
		audit->moves++;
	}
	if (record->owner == MKVM_TAG_FREE)
		mkvm_audit_flushed(vcpu, tag, removed);
	good = mkvm_audit_tag(vcpu, tag, record);
	/* The caller does now what was forgotten. */
	if (!good)
		mkvm_audit_flushed(vcpu, tag, removed);
	WRITE_ONCE(audit->flushed, record->flushed);
	/* Pairs with the acquire in mkvm_audit_released(). */
	smp_store_release(&audit->running, true);
	return good;
}

/** mkvm_audit_exit() - the guest has been left
 * @vcpu: the vCPU */
void mkvm_audit_exit(struct mkvm_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->arch.audit.running, false);
}
