// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of virt/arch.h for x86: one switch for each type of file, and what is too small for
 * a file of its own.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "x86.h"

/**
 * mkvm_memdup_user() - copy from userspace into memory that its memory control group pays for
 * @arg: first byte
 * @size: bytes, which the caller has bounded
 *
 * The kernel's memdup_user() charges nobody, however long the copy is kept.
 * Return: the copy, for kvfree(); or ENOMEM or EFAULT as an error pointer.
 */
void *mkvm_memdup_user(const void __user *arg, size_t size)
{
	void *copy = kvmalloc(size, GFP_KERNEL_ACCOUNT);

	if (!copy)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(copy, arg, size)) {
		kvfree(copy);
		return ERR_PTR(-EFAULT);
	}
	return copy;
}

/* --- The device ------------------------------------------------------------------------ */

/* See virt/arch.h. */
long mkvm_arch_dev_ioctl(unsigned int ioctl, unsigned long arg)
{
	switch (ioctl) {
	case KVM_GET_SUPPORTED_CPUID:
		return mkvm_get_supported_cpuid((void __user *)arg);
	case KVM_GET_EMULATED_CPUID:
		return mkvm_get_emulated_cpuid((void __user *)arg);
	case KVM_GET_MSR_INDEX_LIST:
		return mkvm_get_msr_index_list((void __user *)arg);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return mkvm_get_msr_feature_index_list((void __user *)arg);
	case KVM_GET_MSRS:
		return mkvm_get_msr_features((void __user *)arg);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return mkvm_get_mce_cap_supported((void __user *)arg);
	default:
		return -EINVAL;
	}
}

/* --- A VM ------------------------------------------------------------------------------- */

/*
 * Both addresses are for CPUs that cannot run real mode natively. Unrestricted guests
 * (required here) do not need the pages; the rules for the ioctls stay KVM's.
 */
static long mkvm_set_tss_addr(unsigned long addr)
{
	return addr > (unsigned int)(-3 * PAGE_SIZE) ? -EINVAL : 0;
}

static long mkvm_set_identity_map_addr(struct mkvm *vm, u64 __user *arg)
{
	u64 addr;
	long r = 0;

	mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		r = -EINVAL;
	else if (copy_from_user(&addr, arg, sizeof(addr)))
		r = -EFAULT;
	mutex_unlock(&vm->lock);
	return r;
}

/* As in Linux 6.11; earlier ones take any number, and the VM has no bootstrap processor then. */
static long mkvm_set_boot_cpu_id(struct mkvm *vm, unsigned long id)
{
	long r = 0;

	mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		r = -EBUSY;
	else if (id > (vm->arch.max_vcpu_ids ?: MKVM_MAX_VCPUS))
		r = -EINVAL;
	else
		vm->arch.boot_cpu_id = id;
	mutex_unlock(&vm->lock);
	return r;
}

/* Can be chosen once; to say the same again is no error. */
static long mkvm_set_max_vcpu_id(struct mkvm *vm, u64 max)
{
	long r = 0;

	if (max > MKVM_MAX_VCPUS)
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (!vm->arch.max_vcpu_ids)
		vm->arch.max_vcpu_ids = max;
	else if (vm->arch.max_vcpu_ids != max)
		r = -EINVAL;
	mutex_unlock(&vm->lock);
	return r;
}

/* Routes lead to the pins of interrupt controllers in the kernel, and no VM has one. */
static long mkvm_set_gsi_routing(const struct kvm_irq_routing __user *arg)
{
	struct kvm_irq_routing routing;

	return copy_from_user(&routing, arg, sizeof(routing)) ? -EFAULT : -EINVAL;
}

static long mkvm_vm_enable_cap(struct mkvm *vm, const struct kvm_enable_cap __user *arg)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, arg, sizeof(cap)))
		return -EFAULT;
	if (cap.flags)
		return -EINVAL;

	switch (cap.cap) {
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap.args[0] & ~(u64)MKVM_QUIRKS)
			return -EINVAL;
		WRITE_ONCE(vm->arch.disabled_quirks, cap.args[0]);
		return 0;
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (cap.args[0] > 1)
			return -EINVAL;
		WRITE_ONCE(vm->arch.exit_on_emulation_error, cap.args[0]);
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		WRITE_ONCE(vm->arch.triple_fault_event, cap.args[0]);
		return 0;
	case KVM_CAP_X86_USER_SPACE_MSR:
	case KVM_CAP_MSR_PLATFORM_INFO:
		return mkvm_msr_enable_cap(vm, &cap);
	case KVM_CAP_MAX_VCPU_ID:
		return mkvm_set_max_vcpu_id(vm, cap.args[0]);
	default:
		return -EINVAL;
	}
}

/* See virt/arch.h. */
long mkvm_arch_vm_ioctl(struct mkvm *vm, unsigned int ioctl, unsigned long arg)
{
	switch (ioctl) {
	case KVM_SET_TSS_ADDR:
		return mkvm_set_tss_addr(arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return mkvm_set_identity_map_addr(vm, (u64 __user *)arg);
	case KVM_SET_BOOT_CPU_ID:
		return mkvm_set_boot_cpu_id(vm, arg);
	case KVM_ENABLE_CAP:
		return mkvm_vm_enable_cap(vm, (struct kvm_enable_cap __user *)arg);
	case KVM_SET_GSI_ROUTING:
		return mkvm_set_gsi_routing((void __user *)arg);
	case KVM_X86_SET_MSR_FILTER:
		return mkvm_set_msr_filter(vm, (void __user *)arg);
	case KVM_X86_SET_MSR_FILTER_COMPAT:
		return mkvm_set_msr_filter_compat(vm, (void __user *)arg);
	case KVM_GET_TSC_KHZ:
		return mkvm_vm_get_tsc_khz(vm);
	case KVM_SET_TSC_KHZ:
		return mkvm_vm_set_tsc_khz(vm, arg);
	default:
		return -ENOTTY;
	}
}

/* --- A vCPU ------------------------------------------------------------------------------ */

static long mkvm_get_mp_state(struct kvm_mp_state __user *arg)
{
	/* Without an APIC in the kernel a vCPU is what userspace makes of it: it runs. */
	const struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	return copy_to_user(arg, &state, sizeof(state)) ? -EFAULT : 0;
}

static long mkvm_set_mp_state(const struct kvm_mp_state __user *arg)
{
	struct kvm_mp_state state;

	if (copy_from_user(&state, arg, sizeof(state)))
		return -EFAULT;
	return state.mp_state == KVM_MP_STATE_RUNNABLE ? 0 : -EINVAL;
}

/* There is no capability to enable on a vCPU. */
static long mkvm_vcpu_enable_cap(const struct kvm_enable_cap __user *arg)
{
	struct kvm_enable_cap cap;

	return copy_from_user(&cap, arg, sizeof(cap)) ? -EFAULT : -EINVAL;
}

static long mkvm_vcpu_translate(struct mkvm_vcpu *vcpu, struct kvm_translation __user *arg)
{
	struct kvm_translation tr;
	long r;

	if (copy_from_user(&tr, arg, sizeof(tr)))
		return -EFAULT;
	r = mkvm_ioctl_translate(vcpu, &tr);
	if (!r && copy_to_user(arg, &tr, sizeof(tr)))
		r = -EFAULT;
	return r;
}

/* Copy a structure to or from userspace around a function of the vCPU. */
#define MKVM_GET(vcpu, arg, type, fn)						\
({										\
	type val__;								\
	long r__ = fn(vcpu, &val__);						\
										\
	if (!r__ && copy_to_user((void __user *)(arg), &val__, sizeof(val__)))	\
		r__ = -EFAULT;							\
	r__;									\
})

#define MKVM_SET(vcpu, arg, type, fn)						\
({										\
	type val__;								\
										\
	copy_from_user(&val__, (void __user *)(arg), sizeof(val__)) ?		\
		-EFAULT : fn(vcpu, &val__);					\
})

/* The ioctls that reach state in the control block, or that may fault guest memory in. */
static long mkvm_loaded_vcpu_ioctl(struct mkvm_vcpu *vcpu, unsigned int ioctl,
				   unsigned long arg)
{
	switch (ioctl) {
	case KVM_GET_SREGS:
		return MKVM_GET(vcpu, arg, struct kvm_sregs, mkvm_get_sregs);
	case KVM_SET_SREGS:
		return MKVM_SET(vcpu, arg, struct kvm_sregs, mkvm_set_sregs);
	case KVM_GET_SREGS2:
		return MKVM_GET(vcpu, arg, struct kvm_sregs2, mkvm_get_sregs2);
	case KVM_SET_SREGS2:
		return MKVM_SET(vcpu, arg, struct kvm_sregs2, mkvm_set_sregs2);
	case KVM_TRANSLATE:
		return mkvm_vcpu_translate(vcpu, (void __user *)arg);
	case KVM_GET_MSRS:
		return mkvm_ioctl_msrs(vcpu, (void __user *)arg, false);
	case KVM_SET_MSRS:
		return mkvm_ioctl_msrs(vcpu, (void __user *)arg, true);
	case KVM_NMI:
		return mkvm_ioctl_nmi(vcpu);
	case KVM_GET_VCPU_EVENTS:
		return MKVM_GET(vcpu, arg, struct kvm_vcpu_events, mkvm_get_vcpu_events);
	case KVM_SET_VCPU_EVENTS:
		return MKVM_SET(vcpu, arg, struct kvm_vcpu_events, mkvm_set_vcpu_events);
	case KVM_SET_GUEST_DEBUG:
		return MKVM_SET(vcpu, arg, struct kvm_guest_debug, mkvm_set_guest_debug);
	case KVM_X86_SET_MCE:
		return MKVM_SET(vcpu, arg, struct kvm_x86_mce, mkvm_set_mce);
	default:
		return -EINVAL;
	}
}

/* See virt/arch.h. */
long mkvm_arch_vcpu_ioctl(struct mkvm_vcpu *vcpu, unsigned int ioctl, unsigned long arg)
{
	long r;

	switch (ioctl) {
	case KVM_GET_REGS:
		return MKVM_GET(vcpu, arg, struct kvm_regs, mkvm_get_regs);
	case KVM_SET_REGS:
		return MKVM_SET(vcpu, arg, struct kvm_regs, mkvm_set_regs);
	case KVM_GET_FPU:
		return MKVM_GET(vcpu, arg, struct kvm_fpu, mkvm_get_fpu);
	case KVM_SET_FPU:
		return MKVM_SET(vcpu, arg, struct kvm_fpu, mkvm_set_fpu);
	case KVM_GET_XSAVE:
		return mkvm_get_xsave(vcpu, (void __user *)arg);
	case KVM_GET_XSAVE2:
		return mkvm_get_xsave2(vcpu, (void __user *)arg);
	case KVM_SET_XSAVE:
		return mkvm_set_xsave(vcpu, (void __user *)arg);
	case KVM_GET_XCRS:
		return MKVM_GET(vcpu, arg, struct kvm_xcrs, mkvm_get_xcrs);
	case KVM_SET_XCRS:
		return MKVM_SET(vcpu, arg, struct kvm_xcrs, mkvm_set_xcrs);
	case KVM_GET_DEBUGREGS:
		return MKVM_GET(vcpu, arg, struct kvm_debugregs, mkvm_get_debugregs);
	case KVM_SET_DEBUGREGS:
		return MKVM_SET(vcpu, arg, struct kvm_debugregs, mkvm_set_debugregs);
	case KVM_SET_CPUID:
		return mkvm_set_cpuid(vcpu, (void __user *)arg);
	case KVM_GET_CPUID2:
		return mkvm_get_cpuid2(vcpu, (void __user *)arg);
	case KVM_SET_CPUID2:
		return mkvm_set_cpuid2(vcpu, (void __user *)arg);
	case KVM_GET_TSC_KHZ:
		return mkvm_get_tsc_khz(vcpu);
	case KVM_SET_TSC_KHZ:
		return mkvm_set_tsc_khz(vcpu, arg);
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		return mkvm_vcpu_device_attr(vcpu, ioctl, (void __user *)arg);
	case KVM_INTERRUPT:
		return MKVM_SET(vcpu, arg, struct kvm_interrupt, mkvm_ioctl_interrupt);
	case KVM_GET_MP_STATE:
		return mkvm_get_mp_state((void __user *)arg);
	case KVM_SET_MP_STATE:
		return mkvm_set_mp_state((void __user *)arg);
	case KVM_X86_SETUP_MCE:
		return MKVM_SET(vcpu, arg, u64, mkvm_setup_mce);
	case KVM_ENABLE_CAP:
		return mkvm_vcpu_enable_cap((void __user *)arg);
	default:
		mkvm_vcpu_load(vcpu);
		r = mkvm_loaded_vcpu_ioctl(vcpu, ioctl, arg);
		mkvm_vcpu_put(vcpu);
		return r;
	}
}
