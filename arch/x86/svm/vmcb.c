// SPDX-License-Identifier: GPL-2.0
/*
 * VMCBs: one page for each vCPU, and the permission maps that all share.
 */
#include <linux/slab.h>
#include <asm/trapnr.h>

#include "../mmu/tdp.h"
#include "svm.h"

/* APM, "IOIO Intercepts", "MSR Intercepts": sizes of the maps; all ones, everything exits. */
#define SVM_IOPM_ORDER	2	/* 12 KiB are used */
#define SVM_MSRPM_ORDER	1

static void *svm_iopm;
static void *svm_msrpm;

/** svm_vmcb_setup() - what all VMCBs share
 * Return: 0 or ENOMEM. */
int __init svm_vmcb_setup(void)
{
	svm_iopm = (void *)__get_free_pages(GFP_KERNEL, SVM_IOPM_ORDER);
	svm_msrpm = (void *)__get_free_pages(GFP_KERNEL, SVM_MSRPM_ORDER);
	if (!svm_iopm || !svm_msrpm) {
		svm_vmcb_teardown();
		return -ENOMEM;
	}
	memset(svm_iopm, 0xff, PAGE_SIZE << SVM_IOPM_ORDER);
	memset(svm_msrpm, 0xff, PAGE_SIZE << SVM_MSRPM_ORDER);
	return 0;
}

/** svm_vmcb_teardown() - undo svm_vmcb_setup() */
void svm_vmcb_teardown(void)
{
	free_pages((unsigned long)svm_msrpm, SVM_MSRPM_ORDER);
	free_pages((unsigned long)svm_iopm, SVM_IOPM_ORDER);
}

/** svm_vcpu_create() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
int svm_vcpu_create(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm;

	svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);
	if (!svm)
		return -ENOMEM;
	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb) {
		kfree(svm);
		return -ENOMEM;
	}
	svm->vmcb_pa = __pa(svm->vmcb);
	svm->cpu = -1;
	vcpu->arch.svm = svm;
	return 0;
}

/** svm_vcpu_destroy() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void svm_vcpu_destroy(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	free_page((unsigned long)svm->vmcb);
	kfree(svm);
}

/*
 * APM, "Instruction Intercepts" and the sections that follow it. What is missing here either does
 * not concern the host, or does not exist for a guest without its enabling bit.
 */
static const u16 svm_intercepts[] = {
	/* CR3 is the guest's own; CR0_READ: see svm_write_crs(). */
	INTERCEPT_CR0_WRITE, INTERCEPT_CR4_READ, INTERCEPT_CR4_WRITE,
	INTERCEPT_CR8_WRITE,
	INTERCEPT_DR0_READ, INTERCEPT_DR1_READ, INTERCEPT_DR2_READ, INTERCEPT_DR3_READ,
	INTERCEPT_DR4_READ, INTERCEPT_DR5_READ, INTERCEPT_DR6_READ, INTERCEPT_DR7_READ,
	INTERCEPT_DR0_WRITE, INTERCEPT_DR1_WRITE, INTERCEPT_DR2_WRITE, INTERCEPT_DR3_WRITE,
	INTERCEPT_DR4_WRITE, INTERCEPT_DR5_WRITE, INTERCEPT_DR6_WRITE, INTERCEPT_DR7_WRITE,
	/*
	 * #MC belongs to the host. #DB and #AC can be raised again by their own delivery, without
	 * end and with interrupts blocked, so they must exit. #UD: the hypercall of the other
	 * vendor.
	 */
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_UD,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD, INTERCEPT_HLT,
	INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT, INTERCEPT_TASK_SWITCH,
	INTERCEPT_SHUTDOWN, INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD,
	INTERCEPT_VMSAVE, INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_ICEBP,
	INTERCEPT_WBINVD, INTERCEPT_MONITOR, INTERCEPT_MWAIT, INTERCEPT_XSETBV,
	INTERCEPT_RDPRU,
};

/** svm_vcpu_reset() - see struct mkvm_x86_ops
 * @vcpu: the vCPU */
void svm_vcpu_reset(struct mkvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmcb_save_area *save = &svm->vmcb->save;
	unsigned int i;

	memset(svm->vmcb, 0, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(svm_intercepts); i++)
		svm_intercept(svm, svm_intercepts[i]);
	control->iopm_base_pa = __pa(svm_iopm);
	control->msrpm_base_pa = __pa(svm_msrpm);
	/* RFLAGS.IF of the guest does not mask the host's interrupts. */
	control->int_ctl = V_INTR_MASKING_MASK;
	control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	control->nested_cr3 = __pa(vcpu->vm->arch.tdp_root);
	svm->asid_generation = 0;

	/* Power-on value: WB, WT, UC-, UC, twice. */
	save->g_pat = 0x0007040600070406ull;
	save->dr6 = DR6_RESERVED;

	preempt_disable();
	svm->tsc_aux = 0;
	if (svm->host_loaded && mkvm_caps.rdtscp)
		wrmsrl(MSR_TSC_AUX, 0);
	preempt_enable();
}
