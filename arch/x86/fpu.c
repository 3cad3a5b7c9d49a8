// SPDX-License-Identifier: GPL-2.0
/*
 * x87, SSE and AVX state. The guest's is in the registers from the start of KVM_RUN to its
 * end; when the scheduler takes the thread away in between, the kernel saves and
 * loads it like a task's own.
 */
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>

#include "host.h"
#include "x86.h"

/** mkvm_host_xcr0() - XCR0 of the host, the same on all CPUs; 0 without XSAVE */
u64 mkvm_host_xcr0(void)
{
	return boot_cpu_has(X86_FEATURE_XSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
}

/** mkvm_fpu_create() - allocate the guest's state, in its initial configuration
 * @vcpu: the vCPU
 * Return: 0 or ENOMEM. */
int mkvm_fpu_create(struct mkvm_vcpu *vcpu)
{
	return fpu_alloc_guest_fpstate(&vcpu->arch.fpu) ? 0 : -ENOMEM;
}

/** mkvm_fpu_destroy() - free it
 * @vcpu: the vCPU */
void mkvm_fpu_destroy(struct mkvm_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->arch.fpu);
}

static struct fxregs_state *mkvm_fxsave(struct mkvm_vcpu *vcpu)
{
	return &vcpu->arch.fpu.fpstate->regs.fxsave;
}

/*
 * XSAVE images say which components they hold; one that does not is in its initial state
 * and its bytes mean nothing (SDM, "Processor Tracking of XSAVE-Managed State").
 */
static bool mkvm_fpu_has(struct mkvm_vcpu *vcpu, u64 component)
{
	return !boot_cpu_has(X86_FEATURE_XSAVE) ||
	       vcpu->arch.fpu.fpstate->regs.xsave.header.xfeatures & component;
}

/**
 * mkvm_get_fpu() - KVM_GET_FPU: the FXSAVE image in other words
 * @vcpu: the vCPU, not in KVM_RUN
 * @fpu: result
 * Return: 0.
 */
int mkvm_get_fpu(struct mkvm_vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct fxregs_state *fx = mkvm_fxsave(vcpu);

	memset(fpu, 0, sizeof(*fpu));
	fpu->fcw = 0x37f;
	if (mkvm_fpu_has(vcpu, XFEATURE_MASK_SSE))
		memcpy(fpu->xmm, fx->xmm_space, sizeof(fx->xmm_space));
	if (!mkvm_fpu_has(vcpu, XFEATURE_MASK_FP))
		return 0;
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	return 0;
}

/**
 * mkvm_set_fpu() - KVM_SET_FPU
 * @vcpu: the vCPU, not in KVM_RUN
 * @fpu: new values; MXCSR is not among them, as in KVM
 * Return: 0.
 */
int mkvm_set_fpu(struct mkvm_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct fxregs_state *fx = mkvm_fxsave(vcpu);

	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fx->xmm_space));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->arch.fpu.fpstate->regs.xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
	return 0;
}
