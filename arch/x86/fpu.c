// SPDX-License-Identifier: GPL-2.0
/*
 * x87, SSE and AVX state. The guest's is in the registers from the start of KVM_RUN to its
 * end; when the scheduler takes the thread away in between, the kernel saves and
 * loads it like a task's own.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
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

	/* It comes with the XMM registers, and what the image holds is no value so far. */
	if (!mkvm_fpu_has(vcpu, XFEATURE_MASK_SSE))
		fx->mxcsr = MXCSR_DEFAULT;
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

/*
 * The image that userspace gets, in the standard format. It says what it holds: no component
 * that the vCPU's CPUID lacks, since another host may refuse it. x87 and SSE state are always
 * there, as in KVM.
 */
static void mkvm_copy_xsave(struct mkvm_vcpu *vcpu, void *image, unsigned int size)
{
	fpu_copy_guest_fpstate_to_uabi(&vcpu->arch.fpu, image, size,
				       vcpu->arch.xcr0_allowed | XFEATURE_MASK_FPSSE,
				       vcpu->arch.pkru);
}

static long mkvm_get_xsave_image(struct mkvm_vcpu *vcpu, void __user *arg, unsigned int size)
{
	void *image = kzalloc(size, GFP_KERNEL_ACCOUNT);
	long r = 0;

	if (!image)
		return -ENOMEM;
	mkvm_copy_xsave(vcpu, image, size);
	if (copy_to_user(arg, image, size))
		r = -EFAULT;
	kfree(image);
	return r;
}

/**
 * mkvm_get_xsave() - KVM_GET_XSAVE
 * @vcpu: the vCPU, not in KVM_RUN
 * @arg: struct kvm_xsave, 4096 bytes
 * Return: 0; EINVAL: the state needs more; EFAULT; ENOMEM.
 */
long mkvm_get_xsave(struct mkvm_vcpu *vcpu, void __user *arg)
{
	if (vcpu->arch.fpu.uabi_size > sizeof(struct kvm_xsave))
		return -EINVAL;
	return mkvm_get_xsave_image(vcpu, arg, sizeof(struct kvm_xsave));
}

/**
 * mkvm_get_xsave2() - KVM_GET_XSAVE2
 * @vcpu: the vCPU, not in KVM_RUN
 * @arg: as many bytes as KVM_CAP_XSAVE2 says
 * Return: 0, EFAULT or ENOMEM.
 */
long mkvm_get_xsave2(struct mkvm_vcpu *vcpu, void __user *arg)
{
	return mkvm_get_xsave_image(vcpu, arg, vcpu->arch.fpu.uabi_size);
}

/**
 * mkvm_set_xsave() - KVM_SET_XSAVE
 * @vcpu: the vCPU, not in KVM_RUN
 * @arg: an image of the size that KVM_CAP_XSAVE2 says
 *
 * A component that the image does not have gets its initial state; PKRU keeps its value, as in
 * KVM.
 *
 * Return: 0; EINVAL, nothing changed: a component that guests cannot have, the compacted format,
 * reserved bits in the header or in MXCSR; EFAULT; ENOMEM.
 */
long mkvm_set_xsave(struct mkvm_vcpu *vcpu, const void __user *arg)
{
	struct xregs_state *image = mkvm_memdup_user(arg, vcpu->arch.fpu.uabi_size);
	long r;

	if (IS_ERR(image))
		return PTR_ERR(image);
	/* Loading a component that is switched off would be #NM. */
	image->header.xfeatures &= ~vcpu->arch.fpu.fpstate->xfd;
	r = fpu_copy_uabi_to_guest_fpstate(&vcpu->arch.fpu, image, mkvm_supported_xcr0,
					   &vcpu->arch.pkru);
	kvfree(image);
	return r;
}
