// SPDX-License-Identifier: GPL-2.0
/*
 * AMD SVM: may it be used, on and off on a CPU, the tags of its TLB, and the table of the backend.
 */
#include <linux/gfp.h>
#include <linux/percpu.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/perf_event.h>

#include "svm.h"

/**
 * struct svm_cpu - SVM's state of a CPU
 * @on:		EFER.SVME is set because of us
 * @hsave:	where VMRUN keeps the host's state; format and content are the CPU's own
 * @host_area:	where VMSAVE puts what VMRUN leaves alone
 * @host_area_pa: physical address of it
 * @asid_generation: counts how often the ASIDs were used up
 * @next_asid:	first that was not given to a vCPU in this generation
 * @flush:	the generation begins with the next VMRUN, which has to flush everything
 */
struct svm_cpu {
	bool on;
	struct page *hsave;
	struct page *host_area;
	u64 host_area_pa;
	u64 asid_generation;
	u32 next_asid;
	bool flush;
};

static DEFINE_PER_CPU(struct svm_cpu, svm_cpu);

/* --- Load and unload ---------------------------------------------------------------------- */

static void svm_free_areas(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *c = &per_cpu(svm_cpu, cpu);

		if (c->hsave)
			__free_page(c->hsave);
		if (c->host_area)
			__free_page(c->host_area);
		c->hsave = NULL;
		c->host_area = NULL;
	}
}

static int __init svm_alloc_areas(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *c = &per_cpu(svm_cpu, cpu);
		int node = cpu_to_node(cpu);

		c->hsave = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		c->host_area = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		if (!c->hsave || !c->host_area) {
			svm_free_areas();
			return -ENOMEM;
		}
		c->host_area_pa = page_to_phys(c->host_area);
	}
	return 0;
}

/* APM, "Enabling SVM": firmware may have disabled it, and thrown away the key. */
static bool __init svm_locked_out(void)
{
	u64 vm_cr;

	return !rdmsrl_safe(MSR_VM_CR, &vm_cr) && vm_cr & SVM_VM_CR_SVM_DIS_MASK;
}

static int __init svm_setup(void)
{
	int r;

	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("this CPU has SVM, but the kernel was told not to use it (clearcpuid=?): change its command line\n");
		return -ENODEV;
	}
	if (svm_locked_out()) {
		pr_err("the firmware has disabled SVM (VM_CR.SVMDIS): enable virtualization in the firmware's setup and switch the machine off and on\n");
		return -EACCES;
	}
	if (mkvm_host_svme_anywhere()) {
		pr_err("another hypervisor is using SVM (EFER.SVME is set): unload it and load minikvm again\n");
		return -EBUSY;
	}
	r = svm_check_caps();
	if (r)
		return r;
	r = svm_alloc_areas();
	if (r)
		return r;
	r = svm_vmcb_setup();
	if (r)
		goto out_areas;
	r = mkvm_audit_setup(svm_config.nr_asids);
	if (r)
		goto out_vmcb;
	return 0;

out_vmcb:
	svm_vmcb_teardown();
out_areas:
	svm_free_areas();
	return r;
}

static void svm_teardown(void)
{
	mkvm_audit_teardown();
	svm_vmcb_teardown();
	svm_free_areas();
}

/* --- On and off --------------------------------------------------------------------------- */

/* Newer CPUs with the SRSO weakness have a bit that helps where guests run. */
static void svm_reduce_speculation(bool on)
{
#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
	if (!cpu_feature_enabled(X86_FEATURE_SRSO_BP_SPEC_REDUCE))
		return;
	if (on)
		msr_set_bit(MSR_ZEN4_BP_CFG, MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
	else
		msr_clear_bit(MSR_ZEN4_BP_CFG, MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
#endif
}

static int svm_cpu_enable(void)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);
	u64 efer;

	if (c->on)
		return 0;
	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;

	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, page_to_phys(c->hsave));
	svm_save_host_msrs();
	/* Counters that leave guests out can do so from now on. */
	amd_pmu_enable_virt();
	svm_reduce_speculation(true);
	/* No ASID is free: the first vCPU starts a generation, with a flush of all. */
	c->asid_generation++;
	c->next_asid = svm_config.nr_asids;
	c->on = true;
	return 0;
}

/* Also called from the NMI that stops the CPUs of a crashing machine: no locks. */
static void svm_cpu_disable(void)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);
	u64 efer;

	if (!c->on)
		return;
	svm_reduce_speculation(false);
	amd_pmu_disable_virt();
	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME) {
		/* INIT is held back while the flag is clear, and cannot be set without SVM. */
		svm_stgi();
		wrmsrl(MSR_EFER, efer & ~EFER_SVME);
	}
	/* Last: an NMI that comes in between does the rest again, harmlessly. */
	c->on = false;
}

/* --- TLB tags ------------------------------------------------------------------------------ */

/*
 * An ASID is given once in a generation, so nothing is cached under a new one: that is how
 * translations are flushed (svm_flush_tlb()). When all are used up, everything is flushed, and the
 * next generation begins. The flush is the CPU's and not the vCPU's, which may go elsewhere before
 * it gets into the guest.
 */
static void svm_assign_asid(struct svm_cpu *c, struct svm_vcpu *svm)
{
	if (c->next_asid >= svm_config.nr_asids) {
		c->asid_generation++;
		c->next_asid = 1;
		c->flush = !mkvm_omit(asid_wrap);
	}
	svm->asid_generation = c->asid_generation;
	svm->vmcb->control.asid = c->next_asid++;
	svm_mark_dirty(svm, SVM_CLEAN_ASID);
}

/**
 * svm_cpu_prepare() - give the vCPU what it needs of this CPU: a save area and an ASID
 * @svm: the vCPU
 *
 * Context: interrupts off. Return: false when SVM is not on.
 */
bool svm_cpu_prepare(struct svm_vcpu *svm)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);

	if (unlikely(!c->on))
		return false;
	svm->host_area_pa = c->host_area_pa;
	if (unlikely(svm->asid_generation != c->asid_generation))
		svm_assign_asid(c, svm);
	svm->vmcb->control.tlb_ctl = c->flush ? TLB_CONTROL_FLUSH_ALL_ASID :
						TLB_CONTROL_DO_NOTHING;
	return true;
}

/** svm_cpu_flushed() - VMRUN has done what VMCB.TLB_CONTROL said
 * @svm: the vCPU
 *
 * Context: interrupts off since svm_cpu_prepare(). */
void svm_cpu_flushed(struct svm_vcpu *svm)
{
	this_cpu_write(svm_cpu.flush, false);
	svm->vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
}

/* The backend; contracts in ops.h. */
const struct mkvm_x86_ops svm_ops = {
	.name		= "svm",
	.setup		= svm_setup,
	.teardown	= svm_teardown,
	.cpu_enable	= svm_cpu_enable,
	.cpu_disable	= svm_cpu_disable,

	.vcpu_create	= svm_vcpu_create,
	.vcpu_destroy	= svm_vcpu_destroy,
	.vcpu_reset	= svm_vcpu_reset,
	.vcpu_load	= svm_vcpu_load,
	.vcpu_put	= svm_vcpu_put,

	.prepare	= svm_prepare,
	.inject		= svm_inject,
	.enter		= svm_enter,
	.handle_exit	= svm_handle_exit,
	.exit_name	= svm_exit_name,
	.flush_tlb	= svm_flush_tlb,

	.cache_reg	= svm_cache_reg,
	.get_segment	= svm_get_segment,
	.set_segment	= svm_set_segment,
	.get_msr	= svm_get_msr,
	.set_msr	= svm_set_msr,
	.skip_insn	= svm_skip_insn,
	.dump		= svm_dump,
};
