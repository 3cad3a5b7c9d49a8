/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VIRT_ARCH_H
#define MKVM_VIRT_ARCH_H

/*
 * THE architecture interface. virt/ calls an architecture through the functions
 * declared here and through nothing else; they are resolved at link time.
 *
 * arch_types.h of the architecture defines struct mkvm_arch (in every VM),
 * struct mkvm_vcpu_arch (in every vCPU) and MKVM_ARCH_NR_EXITS.
 */

#include <linux/types.h>
#include <linux/kvm_types.h>
#include <arch_types.h>

#include "run.h"

struct file;
struct mkvm;
struct mkvm_vcpu;
struct mkvm_memslot;
struct page;

/* --- The module ----------------------------------------------------------- */

/**
 * mkvm_arch_init() - look at the machine and choose a backend
 *
 * Runs once, at load, before any CPU is enabled. Refusals print one line that
 * names the cause and the remedy.
 *
 * Return: 0, or ENODEV (no such hardware), EACCES (locked by firmware),
 * EBUSY (somebody else owns the hardware), EOPNOTSUPP (a feature is missing).
 */
int mkvm_arch_init(void);

/** mkvm_arch_exit() - undo mkvm_arch_init(); no CPU is enabled any more */
void mkvm_arch_exit(void);

/**
 * mkvm_arch_cpu_enable() - switch virtualization on, on this CPU
 *
 * Context: the CPU itself, not migrating; interrupts may be on or off.
 * Return: 0, or EBUSY when the CPU is already taken, EIO when it refuses.
 */
int mkvm_arch_cpu_enable(void);

/**
 * mkvm_arch_cpu_disable() - switch virtualization off, on this CPU
 *
 * Context: as mkvm_arch_cpu_enable(). No vCPU is loaded here. Does nothing on
 * a CPU where virtualization is not on.
 */
void mkvm_arch_cpu_disable(void);

/* --- The device ----------------------------------------------------------- */

/**
 * mkvm_arch_check_extension() - the answer of KVM_CHECK_EXTENSION
 * @vm: NULL when asked on the device
 * @cap: a KVM_CAP number, any value
 *
 * Return: what the capability's row says; 0 for what does not exist.
 */
int mkvm_arch_check_extension(struct mkvm *vm, unsigned long cap);

/**
 * mkvm_arch_dev_ioctl() - an ioctl of the device that virt/ does not know
 * @ioctl: number
 * @arg: its argument, untrusted
 *
 * Return: result of the ioctl, EINVAL when it does not exist.
 */
long mkvm_arch_dev_ioctl(unsigned int ioctl, unsigned long arg);

/* --- A VM ----------------------------------------------------------------- */

/**
 * mkvm_arch_vm_init() - initialise vm->arch
 * @vm: all of virt's members are valid; no notifier yet
 * @type: machine type given to KVM_CREATE_VM
 *
 * Return: 0, EINVAL for an unknown type, ENOMEM.
 */
int mkvm_arch_vm_init(struct mkvm *vm, unsigned long type);

/** mkvm_arch_vm_destroy() - free vm->arch; no vCPU and no mapping user is left
 * @vm: the VM */
void mkvm_arch_vm_destroy(struct mkvm *vm);

/**
 * mkvm_arch_vm_ioctl() - a VM ioctl that virt/ does not know
 * @vm: the VM, in its own mm
 * @ioctl: number
 * @arg: its argument, untrusted
 *
 * Return: result of the ioctl, ENOTTY when it does not exist.
 */
long mkvm_arch_vm_ioctl(struct mkvm *vm, unsigned int ioctl, unsigned long arg);

/**
 * mkvm_arch_max_gfn() - first guest frame number that cannot be mapped
 */
gfn_t mkvm_arch_max_gfn(void);

/**
 * mkvm_arch_unmap() - remove guest frames from the second-level tables
 * @vm: the VM
 * @start: first frame
 * @end: first frame after the range
 *
 * Removes the entries, flushes the TLBs of all vCPUs, then frees tables that are no longer
 * needed: when it returns, no vCPU reaches the range's old pages.
 *
 * Context: vm->mmu_lock held for writing; does not sleep.
 * Return: true when something was mapped.
 */
bool mkvm_arch_unmap(struct mkvm *vm, gfn_t start, gfn_t end);

/**
 * mkvm_arch_is_mapped() - is any frame of a range mapped?
 * @vm: the VM
 * @start: first frame
 * @end: first frame after the range
 *
 * Context: vm->mmu_lock held for reading or writing.
 */
bool mkvm_arch_is_mapped(struct mkvm *vm, gfn_t start, gfn_t end);

/* --- A vCPU --------------------------------------------------------------- */

/**
 * mkvm_arch_vcpu_precreate() - may a vCPU have this number?
 * @vm: the VM, its lock held
 * @id: below %MKVM_MAX_VCPUS
 *
 * Called before anything else is looked at or allocated.
 * Return: 0 or EINVAL.
 */
int mkvm_arch_vcpu_precreate(struct mkvm *vm, u32 id);

/**
 * mkvm_arch_vcpu_create() - initialise vcpu->arch and reset the vCPU
 * @vcpu: virt's members are valid; not yet visible to anybody
 *
 * Context: vm->lock held.
 * Return: 0 or ENOMEM.
 */
int mkvm_arch_vcpu_create(struct mkvm_vcpu *vcpu);

/** mkvm_arch_vcpu_destroy() - free vcpu->arch; may sleep, not loaded anywhere
 * @vcpu: the vCPU */
void mkvm_arch_vcpu_destroy(struct mkvm_vcpu *vcpu);

/**
 * mkvm_arch_vcpu_load() - put the vCPU on this CPU
 * @vcpu: the vCPU; vcpu->cpu is still the CPU of the last time
 * @cpu: this CPU
 *
 * Context: preemption off. Called again when the thread is scheduled in.
 */
void mkvm_arch_vcpu_load(struct mkvm_vcpu *vcpu, int cpu);

/**
 * mkvm_arch_vcpu_put() - take the vCPU off this CPU, make the CPU the host's
 * @vcpu: the vCPU
 *
 * Context: preemption off, on the CPU that loaded it.
 */
void mkvm_arch_vcpu_put(struct mkvm_vcpu *vcpu);

/**
 * mkvm_arch_vcpu_run() - KVM_RUN
 * @vcpu: the vCPU, mutex held, in its VM's mm
 *
 * Return: 0 with the run struct filled in, or a negative errno.
 */
int mkvm_arch_vcpu_run(struct mkvm_vcpu *vcpu);

/**
 * mkvm_arch_vcpu_ioctl() - any vCPU ioctl but KVM_RUN
 * @vcpu: the vCPU, mutex held, in its VM's mm
 * @ioctl: number
 * @arg: its argument, untrusted
 *
 * Return: result of the ioctl, ENOTTY-like EINVAL when it does not exist.
 */
long mkvm_arch_vcpu_ioctl(struct mkvm_vcpu *vcpu, unsigned int ioctl,
			  unsigned long arg);

/**
 * mkvm_arch_vcpu_mmap_page() - pages of the vCPU's mapping after the run struct
 * @vcpu: the vCPU
 * @pgoff: page offset, 1 or more
 *
 * Return: the page (no reference taken; it lives as long as the vCPU), or NULL.
 */
struct page *mkvm_arch_vcpu_mmap_page(struct mkvm_vcpu *vcpu, unsigned long pgoff);

/**
 * mkvm_arch_exit_name() - name of an exit number, as in the manual
 * @nr: below %MKVM_ARCH_NR_EXITS
 *
 * Return: the name without prefix, or NULL for a number that is not in use.
 */
const char *mkvm_arch_exit_name(unsigned int nr);

#endif
