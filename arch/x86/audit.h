/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_AUDIT_H
#define MKVM_X86_AUDIT_H

/*
 * The audit build's records of what CPUs may have cached; ../../virt/audit.h says what it is for.
 *
 * Translations are cached under a tag (VPID, ASID), by each CPU for itself. A CPU may keep one until
 * the tag is flushed there. So there is a record for each CPU and tag: whose it is, and how many times the
 * VM had lost mappings, and the vCPU its CPU, when the tag was flushed last.
 *
 *   vCPU's thread                            who unmaps (mmu_lock held)
 *   -------------                            --------------------------
 *   mkvm_audit_flushed()  at each flush      mkvm_audit_removed()   entries are gone
 *   mkvm_audit_entry()    before VM entry    ... requests, kicks ...
 *   mkvm_audit_exit()     after VM exit      mkvm_audit_released()  the host may have the pages
 */

#include <linux/types.h>

struct mkvm;
struct mkvm_vcpu;

#ifdef MKVM_AUDIT

/**
 * struct mkvm_audit_vm - what a VM has lost
 * @removed:	how many times mappings were removed. Written under mmu_lock
 * @released:	of these, how many were followed by the end of the flush. Likewise
 */
struct mkvm_audit_vm {
	u64 removed;
	u64 released;
};

/**
 * struct mkvm_audit_vcpu - where a vCPU is, and with what
 * @cpu:	on which it entered the guest last
 * @moves:	how many times that was another than the time before
 * @flushed:	mkvm_audit_vm.removed when its tag was flushed
 * @running:	it is in the guest
 *
 * Written by the vCPU's thread; the last two are read by others.
 */
struct mkvm_audit_vcpu {
	int cpu;
	u64 moves;
	u64 flushed;
	bool running;
};

int mkvm_audit_setup(unsigned int nr_tags);
void mkvm_audit_teardown(void);
void mkvm_audit_removed(struct mkvm *vm);
void mkvm_audit_released(struct mkvm *vm);
u64 mkvm_audit_removals(const struct mkvm *vm);
void mkvm_audit_flushed(struct mkvm_vcpu *vcpu, unsigned int tag, u64 removed);
void mkvm_audit_all_flushed(void);
bool mkvm_audit_entry(struct mkvm_vcpu *vcpu, unsigned int tag);
void mkvm_audit_exit(struct mkvm_vcpu *vcpu);

#else

struct mkvm_audit_vm { };
struct mkvm_audit_vcpu { };

static inline int mkvm_audit_setup(unsigned int nr_tags) { return 0; }
static inline void mkvm_audit_teardown(void) { }
static inline void mkvm_audit_removed(struct mkvm *vm) { }
static inline void mkvm_audit_released(struct mkvm *vm) { }
static inline u64 mkvm_audit_removals(const struct mkvm *vm) { return 0; }
static inline void mkvm_audit_flushed(struct mkvm_vcpu *vcpu, unsigned int tag, u64 removed) { }
static inline void mkvm_audit_exit(struct mkvm_vcpu *vcpu) { }

#endif
#endif
