/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VIRT_MINIKVM_H
#define MKVM_VIRT_MINIKVM_H

/*
 * The architecture-neutral objects: a VM, its memory slots, its vCPUs.
 *
 * Lock order, outermost first (Documentation/locking.rst has the reasons):
 *
 *   vcpu->mutex
 *     vm->lock
 *       vm->slots_lock
 *         vm->srcu (read side)
 *           vm->coalesced.lock
 *           mmap_lock (taken by get_user_pages, and by callers of the notifier)
 *             vm->mmu_lock
 *
 * The mmu_notifier callbacks run below mmap_lock, and take srcu (read side) inside
 * mmu_lock too: a read section never waits. So synchronize_srcu() is never called with
 * mmap_lock or mmu_lock held.
 */

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/rwlock.h>
#include <linux/signal_types.h>
#include <linux/srcu.h>

#include "../uapi/linux/minikvm.h"
#include "arch.h"
#include "audit.h"
#include "run.h"

#undef pr_fmt
#define pr_fmt(fmt) "minikvm: " fmt

/* KVM_CAP_MAX_VCPUS, and (ids being a dense range) KVM_CAP_MAX_VCPU_ID. */
#define MKVM_MAX_VCPUS		256
/* KVM_CAP_NR_MEMSLOTS: slot numbers 0 to this less one. */
#define MKVM_MAX_MEMSLOTS	512
/* Slots with all their pages must fit an int of pages, as in KVM. */
#define MKVM_MAX_SLOT_PAGES	((1UL << 31) - 1)

/* Lists of ioeventfds in a VM, as a power of 2: some tens of doorbells are one or two in each. */
#define MKVM_IOEVENTFD_HASH_BITS	6

/**
 * struct mkvm_memslot - one range of guest-physical memory
 * @base_gfn:	first guest frame
 * @npages:	length in pages, never 0
 * @hva:	address in the VM's process of the first byte
 * @flags:	KVM_MEM_* flags of the ioctl, or %MKVM_SLOT_INVALID
 * @id:		slot number of the ioctl
 *
 * Immutable once published: a change publishes a new array.
 */
struct mkvm_memslot {
	gfn_t base_gfn;
	unsigned long npages;
	unsigned long hva;
	u32 flags;
	u16 id;
};

/*
 * The slot is being removed or moved. Faults on it are tried again later; the
 * notifier still finds it, because pages of it may still be mapped. Outside the
 * bits that userspace may set.
 */
#define MKVM_SLOT_INVALID	BIT(16)

/**
 * struct mkvm_memslots - all slots of a VM, sorted by @base_gfn
 * @rcu:	freed by call_srcu() after the last reader
 * @count:	number of slots
 * @slots:	not overlapping, ascending
 */
struct mkvm_memslots {
	struct rcu_head rcu;
	unsigned int count;
	struct mkvm_memslot slots[];
};

/**
 * struct mkvm - a virtual machine
 * @mm:			the creator's address space; every ioctl must come from it
 * @users:		one for the VM file, one for each vCPU file
 * @lock:		vCPU creation and VM-wide settings; guards @nr_vcpus writes
 * @nr_vcpus:		vCPUs that exist; written under @lock, published with release order
 * @vcpus:		valid below @nr_vcpus; entries never change until the VM dies
 * @slots_lock:		serialises changes of the memory slots
 * @memslots:		read under @srcu, replaced under @slots_lock
 * @slots_generation:	counts the replacements, after each
 * @coalesced:		see coalesced.c; its zones are replaced under @slots_lock and read under
 *			@srcu, its lock is for the ring
 * @ioeventfd:		see ioeventfd.c; changed under @slots_lock, read under @srcu
 * @bus_users:		zones of @coalesced and entries of @ioeventfd; written under @slots_lock
 * @srcu:		readers of @memslots may sleep (page faults)
 * @notifier:		host page-table changes reach us here
 * @mmu_lock:		second-level page tables: read to install, write to remove;
 *			also guards the three members that follow
 * @inval_seq:		counts finished invalidations
 * @inval_count:	invalidations in progress
 * @inval_start:	union of the ranges in progress, host-virtual
 * @inval_end:		its end; both meaningless while @inval_count is 0
 * @dead:		the VM hit an internal error that nobody can repair; ioctls fail with EIO
 * @debugfs:		directory of the VM, or an error pointer
 * @arch:		what the architecture adds; locks are stated there
 */
struct mkvm {
	struct mm_struct *mm;
	refcount_t users;

	struct mutex lock;
	unsigned int nr_vcpus;
	struct mkvm_vcpu *vcpus[MKVM_MAX_VCPUS];

	struct mutex slots_lock;
	struct mkvm_memslots __rcu *memslots;
	u64 slots_generation;
	struct srcu_struct srcu;
	struct {
		struct mkvm_zones __rcu *zones;
		struct kvm_coalesced_mmio_ring *ring;
		spinlock_t lock;
	} coalesced;
	struct {
		struct hlist_head hash[1 << MKVM_IOEVENTFD_HASH_BITS];
		unsigned int count;
	} ioeventfd;
	unsigned int bus_users;

	struct mmu_notifier notifier;
	rwlock_t mmu_lock;
	unsigned long inval_seq;
	unsigned int inval_count;
	unsigned long inval_start;
	unsigned long inval_end;

	bool dead;
	struct dentry *debugfs;
	struct mkvm_arch arch;
};

/**
 * enum mkvm_vcpu_mode - where the vCPU's thread is, for kicks
 * @MKVM_OUTSIDE_GUEST:	not in the entry path: it will look at requests by itself
 * @MKVM_IN_GUEST:	between the last look at the requests and the end of the
 *			exit path: needs an IPI to notice a new request
 *
 * Written by the vCPU's thread only, with interrupts off.
 */
enum mkvm_vcpu_mode {
	MKVM_OUTSIDE_GUEST,
	MKVM_IN_GUEST,
};

/* Bits of mkvm_vcpu.requests; see request.c for the protocol. */
enum mkvm_request {
	MKVM_REQ_TLB_FLUSH,	/* drop every cached translation of this vCPU */
	MKVM_REQ_VM_DEAD,	/* leave the guest for good */
	MKVM_REQ_SHUTDOWN,	/* the guest has shut itself down; by the vCPU's own thread */
	MKVM_REQ_EVENT,		/* look what to deliver next; likewise */
	MKVM_REQ_DEBUG_STEP,	/* tell the debugger that an instruction is complete; likewise */
};

/**
 * struct mkvm_vcpu_stat - counters shown in debugfs
 * @exits:		VM exits of any kind
 * @exit_reason:	by the architecture's exit number; see mkvm_arch_exit_name(). The last one,
 *			which has none, counts the others
 * @fast_reentries:	exits handled without leaving the inner loop
 * @user_exits:		returns to userspace with an exit reason
 * @signal_exits:	returns to userspace because of a signal
 * @page_faults:	second-level faults that mapped a page
 * @fault_retries:	second-level faults that met an invalidation and were tried again
 * @tlb_flushes:	flush requests carried out
 *
 * Written by the vCPU's thread only; read without a lock.
 */
struct mkvm_vcpu_stat {
	u64 exits;
	u64 exit_reason[MKVM_ARCH_NR_EXITS + 1];
	u64 fast_reentries;
	u64 user_exits;
	u64 signal_exits;
	u64 page_faults;
	u64 fault_retries;
	u64 tlb_flushes;
};

/**
 * struct mkvm_vcpu - a virtual CPU
 * @vm:		its VM; a reference is held through the vCPU's file
 * @id:		number given by userspace (the APIC ID)
 * @idx:	index in mkvm.vcpus
 * @mutex:	held by every vCPU ioctl: one thread at a time
 * @run:	page shared with userspace; never trusted for anything that was
 *		already decided
 * @sigset:	signals that are blocked in KVM_RUN, under @mutex
 * @sigset_active: @sigset counts; else the thread's own mask does
 * @requests:	bits of enum mkvm_request, set by anyone, cleared by the vCPU's thread
 * @mode:	see enum mkvm_vcpu_mode
 * @cpu:	CPU on which the vCPU is loaded, or was last; -1 at first
 * @preempt:	scheduler hooks, registered while loaded
 * @stat:	counters
 * @arch:	what the architecture adds
 */
struct mkvm_vcpu {
	struct mkvm *vm;
	int id;
	int idx;
	struct mutex mutex;
	struct kvm_run *run;
	sigset_t sigset;
	bool sigset_active;
	unsigned long requests;
	enum mkvm_vcpu_mode mode;
	int cpu;
	struct preempt_notifier preempt;
	struct mkvm_vcpu_stat stat;
	struct mkvm_vcpu_arch arch;
};

/* hardware.c */
int mkvm_hardware_init(void);
void mkvm_hardware_exit(void);

/* dev.c */
int mkvm_dev_register(void);
void mkvm_dev_unregister(void);

/* vm.c */
int mkvm_vm_create_fd(unsigned long type);
void mkvm_vm_get(struct mkvm *vm);
void mkvm_vm_put(struct mkvm *vm);
void mkvm_vm_kill(struct mkvm *vm);

/* vcpu.c */
int mkvm_vcpu_create_fd(struct mkvm *vm, unsigned long id);
void mkvm_vcpu_destroy(struct mkvm_vcpu *vcpu);
void mkvm_vcpu_load(struct mkvm_vcpu *vcpu);
void mkvm_vcpu_put(struct mkvm_vcpu *vcpu);

/**
 * mkvm_for_each_vcpu() - visit the vCPUs of a VM
 * @i: unsigned int, the index
 * @vcpu: the loop variable
 * @vm: the VM
 *
 * Needs no lock: vCPUs are only added, and die with the VM.
 */
#define mkvm_for_each_vcpu(i, vcpu, vm)					\
	for ((i) = 0;							\
	     (i) < smp_load_acquire(&(vm)->nr_vcpus) &&			\
	     ((vcpu) = (vm)->vcpus[(i)], true);				\
	     (i)++)

/* memslot.c */
int mkvm_memslots_init(struct mkvm *vm);
void mkvm_memslots_free(struct mkvm *vm);
int mkvm_set_memory_region(struct mkvm *vm,
			   const struct kvm_userspace_memory_region *region);
const struct mkvm_memslot *mkvm_gfn_to_slot(struct mkvm *vm, gfn_t gfn);
void __user *mkvm_gpa_to_user(struct mkvm *vm, gpa_t gpa, unsigned int *left);
int mkvm_read_guest(struct mkvm *vm, gpa_t gpa, void *data, unsigned int len);
int mkvm_write_guest(struct mkvm *vm, gpa_t gpa, const void *data, unsigned int len);
int mkvm_cmpxchg_guest(struct mkvm *vm, gpa_t gpa, u64 old, u64 new, unsigned int size);

static inline unsigned long mkvm_slot_hva(const struct mkvm_memslot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

/* coalesced.c */
int mkvm_coalesced_init(struct mkvm *vm);
void mkvm_coalesced_free(struct mkvm *vm);
int mkvm_ioctl_coalesced(struct mkvm *vm, const struct kvm_coalesced_mmio_zone __user *arg,
			 bool add);
unsigned int mkvm_coalesced_zones(struct mkvm *vm);
bool mkvm_coalesce(struct mkvm *vm, bool pio, u64 addr, const void *data, unsigned int len);

/* ioeventfd.c */
int mkvm_ioctl_ioeventfd(struct mkvm *vm, const struct kvm_ioeventfd __user *arg);
bool mkvm_ioeventfd_write(struct mkvm *vm, bool pio, u64 addr, const void *data, unsigned int len);
void mkvm_ioeventfd_destroy(struct mkvm *vm);

/* bus.c */
void mkvm_bus_changed(struct mkvm *vm);
bool mkvm_bus_write_slow(struct mkvm *vm, bool pio, u64 addr, const void *data, unsigned int len);

/** mkvm_bus_in_use() - is there anybody in the kernel who takes writes? Few VMs have.
 * @vm: the VM */
static inline bool mkvm_bus_in_use(const struct mkvm *vm)
{
	return READ_ONCE(vm->bus_users);
}

/**
 * mkvm_bus_write() - offer a write to those in the kernel who take writes
 * @vm: the VM
 * @pio: a port; else guest-physical memory
 * @addr: port or address
 * @data: what is written
 * @len: bytes, at most 8
 *
 * Context: any of a vCPU's thread, also with interrupts off.
 * Return: whether it is done; else userspace has to be told now.
 */
static inline bool mkvm_bus_write(struct mkvm *vm, bool pio, u64 addr, const void *data,
				  unsigned int len)
{
	return unlikely(mkvm_bus_in_use(vm)) && mkvm_bus_write_slow(vm, pio, addr, data, len);
}

/* notifier.c */
int mkvm_notifier_register(struct mkvm *vm);
void mkvm_notifier_unregister(struct mkvm *vm);
bool mkvm_inval_raced(struct mkvm *vm, unsigned long seq, unsigned long hva);

/* request.c */
void mkvm_flush_remote_tlbs(struct mkvm *vm);
void mkvm_make_all_request(struct mkvm *vm, enum mkvm_request req);

static inline void mkvm_make_request(struct mkvm_vcpu *vcpu, enum mkvm_request req)
{
	set_bit(req, &vcpu->requests);
}

/* stats.c */
void mkvm_debugfs_init(void);
void mkvm_debugfs_exit(void);
void mkvm_debugfs_add_vm(struct mkvm *vm, int fd);
void mkvm_debugfs_add_vcpu(struct mkvm_vcpu *vcpu);
void mkvm_debugfs_remove_vm(struct mkvm *vm);
void mkvm_stats_vm_gone(struct mkvm *vm);

#endif
