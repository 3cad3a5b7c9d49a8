// SPDX-License-Identifier: GPL-2.0
/*
 * virt/arch.h for x86: picks the backend at load; VMs and vCPUs come, go, and move between CPUs.
 * The ioctls are in ioctl.c.
 */
#include <linux/mm.h>
#include <linux/slab.h>
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

/* --- A VM ------------------------------------------------------------------------------- */

/* See virt/arch.h. */
int mkvm_arch_vm_init(struct mkvm *vm, unsigned long type)
{
	if (type)
		return -EINVAL;
	mkvm_tsc_vm_init(vm);
	return mkvm_tdp_init(vm);
}

/* See virt/arch.h. */
void mkvm_arch_vm_destroy(struct mkvm *vm)
{
	mkvm_msr_filter_destroy(vm);
	mkvm_tdp_destroy(vm);
}

/* --- A vCPU ------------------------------------------------------------------------------ */

static atomic64_t mkvm_vcpu_serial = ATOMIC64_INIT(0);
/* Which vCPU trained the branch predictors of this CPU last. */
static DEFINE_PER_CPU(u64, mkvm_last_serial);

/* See virt/arch.h. */
int mkvm_arch_vcpu_precreate(struct mkvm *vm, u32 id)
{
	/* From now on the limit is what it is. */
	if (!vm->arch.max_vcpu_ids)
		vm->arch.max_vcpu_ids = MKVM_MAX_VCPUS;
	return id < vm->arch.max_vcpu_ids ? 0 : -EINVAL;
}

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
	mkvm_mmio_init(vcpu);
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
