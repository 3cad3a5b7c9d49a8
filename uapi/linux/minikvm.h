/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_MINIKVM_H
#define _UAPI_LINUX_MINIKVM_H

/*
 * The ABI of /dev/minikvm is KVM's: the ioctl numbers, structures and errno of
 * <linux/kvm.h>, API version 12. A program written for KVM needs nothing from
 * this file; it opens another path.
 *
 * The subset that exists (Documentation/api.rst has a record for each):
 *
 *   /dev/minikvm  KVM_GET_API_VERSION KVM_CREATE_VM KVM_CHECK_EXTENSION
 *                 KVM_GET_VCPU_MMAP_SIZE KVM_GET_SUPPORTED_CPUID
 *                 KVM_GET_EMULATED_CPUID KVM_GET_MSR_INDEX_LIST
 *                 KVM_GET_MSR_FEATURE_INDEX_LIST KVM_GET_MSRS
 *   VM            KVM_CREATE_VCPU KVM_CHECK_EXTENSION
 *                 KVM_SET_USER_MEMORY_REGION KVM_SET_TSS_ADDR
 *                 KVM_SET_IDENTITY_MAP_ADDR KVM_SET_BOOT_CPU_ID KVM_ENABLE_CAP
 *                 KVM_REGISTER_COALESCED_MMIO KVM_UNREGISTER_COALESCED_MMIO
 *                 KVM_IOEVENTFD
 *                 KVM_X86_SET_MSR_FILTER KVM_GET_TSC_KHZ KVM_SET_TSC_KHZ
 *                 KVM_SET_GSI_ROUTING (which never succeeds)
 *   vCPU          KVM_RUN KVM_GET_REGS KVM_SET_REGS KVM_GET_SREGS KVM_SET_SREGS
 *                 KVM_GET_SREGS2 KVM_SET_SREGS2 KVM_GET_FPU KVM_SET_FPU
 *                 KVM_GET_XSAVE KVM_GET_XSAVE2 KVM_SET_XSAVE KVM_GET_XCRS
 *                 KVM_SET_XCRS KVM_GET_DEBUGREGS KVM_SET_DEBUGREGS KVM_GET_MSRS
 *                 KVM_SET_MSRS KVM_SET_CPUID KVM_SET_CPUID2 KVM_GET_CPUID2
 *                 KVM_TRANSLATE KVM_SET_SIGNAL_MASK KVM_ENABLE_CAP
 *                 KVM_GET_MP_STATE KVM_SET_MP_STATE
 *                 KVM_INTERRUPT KVM_NMI KVM_GET_VCPU_EVENTS
 *                 KVM_SET_VCPU_EVENTS KVM_SET_GUEST_DEBUG
 *                 KVM_GET_TSC_KHZ KVM_SET_TSC_KHZ KVM_HAS_DEVICE_ATTR
 *                 KVM_GET_DEVICE_ATTR KVM_SET_DEVICE_ATTR
 *
 * minikvm adds no ioctl and no capability of its own so far. When it does, they
 * are declared below with a documented number that KVM does not use.
 */

#include <linux/kvm.h>

#define MINIKVM_DEVICE_NAME	"minikvm"

/* Layouts that programs compiled against other headers rely on. */
#ifdef __KERNEL__
static_assert(KVM_API_VERSION == 12);
static_assert(sizeof(struct kvm_userspace_memory_region) == 32);
static_assert(offsetof(struct kvm_run, exit_reason) == 8);
static_assert(offsetof(struct kvm_run, io) == 32);
#endif

#endif
