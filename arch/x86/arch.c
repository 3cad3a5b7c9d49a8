// SPDX-License-Identifier: GPL-2.0
/*
 * virt/arch.h for x86: picks the backend at load, and one ioctl switch per file type.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/nospec-branch.h>

#include "host.h"
#include "mmu/tdp.h"
#include "x86.h"

const struct mkvm_x86_ops *mkvm_ops __ro_after_init;
struct mkvm_x86_caps mkvm_caps __ro_after_init;

DEFINE_STATIC_CALL_NULL(mkvm_enter, *(((struct mkvm_x86_ops *)0)->enter));
DEFINE_STATIC_CALL_NULL(mkvm_handle_exit, *(((struct mkvm_x86_ops *)0)->handle_exit));
DEFINE_STATIC_CALL_NULL(mkvm_skip_insn, *(((struct mkvm_x86_ops *)0)->skip_insn));
DEFINE_STATIC_CALL_NULL(mkvm_cache_reg, *(((struct mkvm_x86_ops *)0)->cache_reg));

static void __init mkvm_patch_ops(void)
{
	static_call_update(mkvm_enter, mkvm_ops->enter);
	static_call_update(mkvm_handle_exit, mkvm_ops->handle_exit);
	static_call_update(mkvm_skip_insn, mkvm_ops->skip_insn);
	static_call_update(mkvm_cache_reg, mkvm_ops->cache_reg);
}

/* --- The module ------------------------------------------------------------------------ */

/* The CPU itself is asked: the kernel forgets the feature when it is locked off. */
static const struct mkvm_x86_ops * __init mkvm_choose_backend(void)
{
	if (cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31))
		return &vmx_ops;
	if (cpuid_eax(0x80000000) >= 0x80000001 &&
	    cpuid_ecx(0x80000001) & BIT(X86_FEATURE_SVM & 31))
		return &svm_ops;
	return NULL;
}

/* See virt/arch.h. */
int __init mkvm_arch_init(void)
{
	int r;

	mkvm_ops = mkvm_choose_backend();
	if (!mkvm_ops) {
		pr_err("this CPU has neither VMX nor SVM, or the firmware hides it: nothing to run guests with; look for \"vmx\" or \"svm\" in /proc/cpuinfo and in the firmware's setup\n");
		return -ENODEV;
	}
	if (mkvm_host_kvm_present()) {
		pr_err("KVM owns this machine's virtualization hardware, even when idle: run \"modprobe -r kvm_intel kvm_amd kvm\" and load minikvm again\n");
		return -EBUSY;
	}

	if (mkvm_host_fred()) {
		pr_err("this kernel uses FRED, in which minikvm cannot deliver the host's NMIs: boot with \"fred=off\"\n");
		return -EOPNOTSUPP;
	}

	r = mkvm_ops->setup();
	if (r)
		return r;
	mkvm_patch_ops();
	mkvm_cpuid_init();
	mkvm_host_register_emergency(mkvm_ops->cpu_disable);
	return 0;
}

/* See virt/arch.h. */
void mkvm_arch_exit(void)
{
	mkvm_host_unregister_emergency(mkvm_ops->cpu_disable);
	mkvm_ops->teardown();
}

/* See virt/arch.h. */
int mkvm_arch_cpu_enable(void)
{
	return mkvm_ops->cpu_enable();
}

/* See virt/arch.h. */
void mkvm_arch_cpu_disable(void)
{
	mkvm_ops->cpu_disable();
}

/* --- The device ------------------------------------------------------------------------ */

/* See virt/arch.h. */
int mkvm_arch_check_extension(struct mkvm *vm, unsigned long cap)
{
	return mkvm_extension(cap);
}

/* See virt/arch.h. */
long mkvm_arch_dev_ioctl(unsigned int ioctl, unsigned long arg)
{
	switch (ioctl) {
	case KVM_GET_SUPPORTED_CPUID:
		return mkvm_get_supported_cpuid((void __user *)arg);
	case KVM_GET_MSR_INDEX_LIST:
		return mkvm_get_msr_index_list((void __user *)arg);
	default:
		return -EINVAL;
	}
}

/* --- A VM ------------------------------------------------------------------------------- */

/* See virt/arch.h. */
int mkvm_arch_vm_init(struct mkvm *vm, unsigned long type)
{
	if (type)
		return -EINVAL;
	/* The guest's time starts with the VM, for all its vCPUs alike. */
	vm->arch.tsc_offset = -rdtsc();
	return mkvm_tdp_init(vm);
}

/* See virt/arch.h. */
void mkvm_arch_vm_destroy(struct mkvm *vm)
{
	mkvm_tdp_destroy(vm);
}

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
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		WRITE_ONCE(vm->arch.triple_fault_event, cap.args[0]);
		return 0;
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
	case KVM_ENABLE_CAP:
		return mkvm_vm_enable_cap(vm, (struct kvm_enable_cap __user *)arg);
	default:
		return -ENOTTY;
	}
}

/* --- A vCPU ------------------------------------------------------------------------------ */

static atomic64_t mkvm_vcpu_serial = ATOMIC64_INIT(0);
/* Which vCPU trained the branch predictors of this CPU last. */
static DEFINE_PER_CPU(u64, mkvm_last_serial);

/* See virt/arch.h. */
int mkvm_arch_vcpu_create(struct mkvm_vcpu *vcpu)
{
	int r;

	vcpu->arch.pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->arch.pio_data)
		return -ENOMEM;
	r = mkvm_fpu_create(vcpu);
	if (r)
		goto out_pio;
	r = mkvm_ops->vcpu_create(vcpu);
	if (r)
		goto out_fpu;

	vcpu->arch.serial = atomic64_inc_return(&mkvm_vcpu_serial);
	mkvm_cpuid_apply(vcpu);
	mkvm_vcpu_load(vcpu);
	mkvm_vcpu_reset(vcpu);
	mkvm_vcpu_put(vcpu);
	return 0;

out_fpu:
	mkvm_fpu_destroy(vcpu);
out_pio:
	free_page((unsigned long)vcpu->arch.pio_data);
	return r;
}

/* See virt/arch.h. */
void mkvm_arch_vcpu_destroy(struct mkvm_vcpu *vcpu)
{
	mkvm_ops->vcpu_destroy(vcpu);
	mkvm_tdp_release(vcpu);
	mkvm_fpu_destroy(vcpu);
	kvfree(vcpu->arch.cpuid);
	/* Not free_page(): a mapping of userspace may still hold it. */
	put_page(virt_to_page(vcpu->arch.pio_data));
}

/* See virt/arch.h. */
void mkvm_arch_vcpu_load(struct mkvm_vcpu *vcpu, int cpu)
{
	mkvm_ops->vcpu_load(vcpu, cpu);
	/* Another guest may have trained the branch predictors for this one. */
	if (this_cpu_read(mkvm_last_serial) != vcpu->arch.serial) {
		this_cpu_write(mkvm_last_serial, vcpu->arch.serial);
		indirect_branch_prediction_barrier();
	}
}

/* See virt/arch.h. */
void mkvm_arch_vcpu_put(struct mkvm_vcpu *vcpu)
{
	mkvm_ops->vcpu_put(vcpu);
}

/* See virt/arch.h. */
struct page *mkvm_arch_vcpu_mmap_page(struct mkvm_vcpu *vcpu, unsigned long pgoff)
{
	return pgoff == MKVM_PIO_PAGE_OFFSET ? virt_to_page(vcpu->arch.pio_data) : NULL;
}

/* See virt/arch.h. */
const char *mkvm_arch_exit_name(unsigned int nr)
{
	return mkvm_ops->exit_name(nr);
}

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
	case KVM_SET_CPUID2:
		return mkvm_set_cpuid2(vcpu, (void __user *)arg);
	case KVM_INTERRUPT:
		return MKVM_SET(vcpu, arg, struct kvm_interrupt, mkvm_ioctl_interrupt);
	case KVM_GET_MP_STATE:
		return mkvm_get_mp_state((void __user *)arg);
	case KVM_SET_MP_STATE:
		return mkvm_set_mp_state((void __user *)arg);
	default:
		mkvm_vcpu_load(vcpu);
		r = mkvm_loaded_vcpu_ioctl(vcpu, ioctl, arg);
		mkvm_vcpu_put(vcpu);
		return r;
	}
}
