/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VIRT_COMPAT_H
#define MKVM_VIRT_COMPAT_H

/*
 * Differences between kernel versions that virt/ and the run loop see. With
 * arch/x86/host.[ch] the only place that looks at the kernel's version.
 */

#include <linux/compiler.h>
#include <linux/kvm.h>

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
