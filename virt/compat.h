/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VIRT_COMPAT_H
#define MKVM_VIRT_COMPAT_H

/*
 * Differences between kernel versions that virt/ and the run loop see. With
 * arch/x86/host.[ch] the only place that looks at the kernel's version.
 */

#include <linux/compiler.h>
#include <linux/cpuhotplug.h>
#include <linux/eventfd.h>
#include <linux/kvm.h>
#include <linux/version.h>

/*
 * KVM's place in the order of CPU hotplug, free while KVM is not loaded: after the
 * scheduler has emptied a CPU that goes, before it uses one that comes.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define MKVM_CPUHP_STATE	CPUHP_AP_KVM_ONLINE
#define MKVM_CPUHP_MAY_FAIL	1
#else
#define MKVM_CPUHP_STATE	CPUHP_AP_KVM_STARTING
#define MKVM_CPUHP_MAY_FAIL	0
#endif

/* Numbers of KVM's former tracing, which the headers have lost since. The structure had 8 bytes. */
#ifndef KVM_TRACE_ENABLE
#define KVM_TRACE_ENABLE	_IOW(KVMIO, 0x06, __u64)
#define KVM_TRACE_PAUSE		_IO(KVMIO, 0x07)
#define KVM_TRACE_DISABLE	_IO(KVMIO, 0x08)
#endif

/** mkvm_eventfd_signal() - add 1 to an eventfd's counter
 * @ctx: the eventfd
 * Context: any, also with interrupts off. */
static inline void mkvm_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/**
 * mkvm_immediate_exit() - does userspace want KVM_RUN to return at once?
 * @run: the shared run struct
 *
 * Kernels that have the macro rename the member in the kernel, as a reminder to
 * read it once only.
 */
static inline bool mkvm_immediate_exit(const struct kvm_run *run)
{
#ifdef HINT_UNSAFE_IN_KVM
	return READ_ONCE(run->HINT_UNSAFE_IN_KVM(immediate_exit));
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

#endif
