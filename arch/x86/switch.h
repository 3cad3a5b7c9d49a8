/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_SWITCH_H
#define MKVM_X86_SWITCH_H

/*
 * State that VM entry and VM exit do not switch: extended (FPU) state once for each KVM_RUN;
 * the registers below around each entry, because they must be the host's again before
 * interrupts open or user memory is touched:
 *
 *   DR0 to DR3	breakpoints of the guest, or of who debugs it; VM entry loads DR7 only
 *   XCR0	which state the XSAVE family handles, and which instructions exist
 *   XSS	likewise for XSAVES, which AMD cannot take from a guest that has XSAVE
 *   PKRU	what the kernel may touch on behalf of the process
 *
 * Most guests need none of it: one word tells.
 */

#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/pkru.h>

#include "host.h"
#include "regs.h"

/** mkvm_fpu_load_guest() - before the first entry of a KVM_RUN: save the thread's, load the guest's
 * @vcpu: the vCPU */
static inline void mkvm_fpu_load_guest(struct mkvm_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu, true);
}

/** mkvm_fpu_load_host() - after the last exit: the opposite
 * @vcpu: the vCPU */
static inline void mkvm_fpu_load_host(struct mkvm_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu, false);
}

#define MKVM_SWITCH_DRS		BIT(0)
#define MKVM_SWITCH_XCR0	BIT(1)
#define MKVM_SWITCH_XSS		BIT(2)
#define MKVM_SWITCH_PKRU	BIT(3)

/**
 * mkvm_switched_state() - what differs between this guest and the host
 * @vcpu: the vCPU
 *
 * Depends on DR7, CR4 and XCR0, whose changes end a row of entries: once for each row.
 * Return: MKVM_SWITCH_* bits.
 */
static inline u32 mkvm_switched_state(struct mkvm_vcpu *vcpu)
{
	const struct mkvm_vcpu_arch *arch = &vcpu->arch;
	u32 what = 0;

	if (unlikely(arch->eff_dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK)))
		what |= MKVM_SWITCH_DRS;
	if (arch->cr4 & X86_CR4_OSXSAVE) {
		if (arch->xcr0 != mkvm_caps.host_xcr0)
			what |= MKVM_SWITCH_XCR0;
		if (mkvm_caps.host_xss && mkvm_caps.amd)
			what |= MKVM_SWITCH_XSS;
	}
	if (mkvm_caps.pku && (arch->cr4 & X86_CR4_PKE ||
			      (arch->cr4 & X86_CR4_OSXSAVE && arch->xcr0 & XFEATURE_MASK_PKRU)))
		what |= MKVM_SWITCH_PKRU;
	return what;
}

/** mkvm_load_guest_state() - before VM entry, interrupts off
 * @vcpu: the vCPU
 * @what: MKVM_SWITCH_* bits */
static inline void mkvm_load_guest_state(struct mkvm_vcpu *vcpu, u32 what)
{
	if (what & MKVM_SWITCH_DRS) {
		set_debugreg(0, 7);
		set_debugreg(vcpu->arch.eff_db[0], 0);
		set_debugreg(vcpu->arch.eff_db[1], 1);
		set_debugreg(vcpu->arch.eff_db[2], 2);
		set_debugreg(vcpu->arch.eff_db[3], 3);
	}
	if (what & MKVM_SWITCH_XCR0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->arch.xcr0);
	if (what & MKVM_SWITCH_XSS)
		wrmsrl(MSR_IA32_XSS, 0);
	if (what & MKVM_SWITCH_PKRU) {
		vcpu->arch.host_pkru = rdpkru();
		if (vcpu->arch.pkru != vcpu->arch.host_pkru)
			wrpkru(vcpu->arch.pkru);
	}
}

/** mkvm_load_host_state() - after VM exit, interrupts still off
 * @vcpu: the vCPU
 * @what: as at mkvm_load_guest_state() */
static inline void mkvm_load_host_state(struct mkvm_vcpu *vcpu, u32 what)
{
	if (what & MKVM_SWITCH_PKRU) {
		vcpu->arch.pkru = rdpkru();
		if (vcpu->arch.pkru != vcpu->arch.host_pkru)
			wrpkru(vcpu->arch.host_pkru);
	}
	if (what & MKVM_SWITCH_XSS)
		wrmsrl(MSR_IA32_XSS, mkvm_caps.host_xss);
	if (what & MKVM_SWITCH_XCR0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, mkvm_caps.host_xcr0);
	/* The debug registers: mkvm_host_restore_dr7(), whatever the guest had. */
}

#endif
