// SPDX-License-Identifier: GPL-2.0
/*
 * Control registers, EFER and XCR0: which values are valid, and what the instructions that
 * access them do. (SDM, "Control Registers".)
 */
#include <linux/types.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "mmu/gwalk.h"
#include "x86.h"

#define MKVM_CR0_BITS	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS |	\
			 X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM |	\
			 X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* All that a guest can have. */
#define MKVM_EFER_BITS	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

/* --- What is valid ------------------------------------------------------------- */

/** mkvm_cr0_valid() - can CR0 hold a value at all?
 * @cr0: the value */
bool mkvm_cr0_valid(u64 cr0)
{
	/* The upper half is reserved; undefined bits of the lower one read as zero. */
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/** mkvm_cr4_valid() - does the vCPU's CPUID have all the bits?
 * @vcpu: the vCPU
 * @cr4: the value */
bool mkvm_cr4_valid(struct mkvm_vcpu *vcpu, u64 cr4)
{
	return !(cr4 & ~vcpu->arch.cr4_allowed);
}

/** mkvm_efer_valid() - does the vCPU's CPUID have all the bits?
 * @vcpu: the vCPU
 * @efer: the value */
bool mkvm_efer_valid(struct mkvm_vcpu *vcpu, u64 efer)
{
	return !(efer & ~(vcpu->arch.efer_allowed | EFER_LMA));
}

/**
 * mkvm_xcr0_valid() - may XCR0 have this value?
 * @vcpu: the vCPU
 * @xcr0: the value
 *
 * SDM, "XSAVE-Supported Features and State-Component Bitmaps": x87 always, AVX needs
 * SSE, the parts of AVX-512 come together and need AVX.
 */
bool mkvm_xcr0_valid(struct mkvm_vcpu *vcpu, u64 xcr0)
{
	u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;

	if (!(xcr0 & XFEATURE_MASK_FP) || xcr0 & ~(vcpu->arch.xcr0_allowed | XFEATURE_MASK_FP))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	return !avx512 || (avx512 == XFEATURE_MASK_AVX512 && (xcr0 & XFEATURE_MASK_YMM));
}

/* --- Setting them, on behalf of the guest ---------------------------------------- */

/* PDPTE: bits 1 to 2, 5 to 8 and those above the address are reserved; see gwalk.c for AMD. */
static bool mkvm_pdptr_valid(struct mkvm_vcpu *vcpu, u64 pdptr)
{
	u64 reserved = GENMASK_ULL(63, vcpu->arch.maxphyaddr) | GENMASK_ULL(8, mkvm_caps.amd ? 7 : 5) |
		       GENMASK_ULL(2, 1);

	return !(pdptr & 1) || !(pdptr & reserved);
}

/**
 * mkvm_load_pdptrs() - PAE paging: load the four top entries, as MOV to CR3 does
 * @vcpu: the vCPU, loaded, in its VM's mm
 * @cr3: where they are
 *
 * Return: 0, or EINVAL (they are reserved values, or not in memory): #GP(0).
 */
int mkvm_load_pdptrs(struct mkvm_vcpu *vcpu, u64 cr3)
{
	u64 pdptrs[4];
	int i, idx, r;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	r = mkvm_read_guest(vcpu->vm, cr3 & GENMASK_ULL(31, 5), pdptrs, sizeof(pdptrs));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	if (r)
		return -EINVAL;

	for (i = 0; i < 4; i++)
		if (!mkvm_pdptr_valid(vcpu, pdptrs[i]))
			return -EINVAL;
	memcpy(vcpu->arch.pdptrs, pdptrs, sizeof(pdptrs));
	mkvm_mark_dirty(vcpu, MKVM_STATE_PDPTRS);
	return 0;
}

/* CR0.PG turns EFER.LME into EFER.LMA. */
static void mkvm_update_lma(struct mkvm_vcpu *vcpu)
{
	if ((vcpu->arch.efer & EFER_LME) && mkvm_is_paging(vcpu))
		vcpu->arch.efer |= EFER_LMA;
	else
		vcpu->arch.efer &= ~EFER_LMA;
}

static bool mkvm_can_enable_paging(struct mkvm_vcpu *vcpu)
{
	struct kvm_segment cs, tr;

	if (!(vcpu->arch.efer & EFER_LME))
		return true;
	/* IA-32e mode starts in compatibility mode, with PAE. */
	if (!(vcpu->arch.cr4 & X86_CR4_PAE))
		return false;
	mkvm_ops->get_segment(vcpu, MKVM_SEG_CS, &cs);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_TR, &tr);
	/* A busy 16-bit TSS has no meaning there. */
	return !cs.l && tr.type != 3;
}

/**
 * mkvm_set_cr0() - MOV to CR0
 * @vcpu: the vCPU, loaded
 * @cr0: the value
 * Return: 0, or EINVAL: #GP(0), nothing changed.
 */
int mkvm_set_cr0(struct mkvm_vcpu *vcpu, u64 cr0)
{
	u64 old = vcpu->arch.cr0;
	u64 changed;

	if (!mkvm_cr0_valid(cr0))
		return -EINVAL;
	cr0 = (cr0 & MKVM_CR0_BITS) | X86_CR0_ET;
	changed = old ^ cr0;

	if ((changed & cr0 & X86_CR0_PG) && !mkvm_can_enable_paging(vcpu))
		return -EINVAL;
	/* Paging cannot be left in 64-bit mode, nor while PCIDs are in use. */
	if ((changed & old & X86_CR0_PG) &&
	    (mkvm_is_64bit(vcpu) || (vcpu->arch.cr4 & X86_CR4_PCIDE)))
		return -EINVAL;

	vcpu->arch.cr0 = cr0;
	if (mkvm_is_paging(vcpu) && (vcpu->arch.cr4 & X86_CR4_PAE) &&
	    !(vcpu->arch.efer & EFER_LME) &&
	    (changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)) &&
	    mkvm_load_pdptrs(vcpu, mkvm_reg_read(vcpu, MKVM_REG_CR3))) {
		vcpu->arch.cr0 = old;
		return -EINVAL;
	}

	mkvm_update_lma(vcpu);
	mkvm_mark_dirty(vcpu, MKVM_STATE_CRS);
	if (changed & (X86_CR0_PG | X86_CR0_WP))
		mkvm_make_request(vcpu, MKVM_REQ_TLB_FLUSH);
	return 0;
}

/**
 * mkvm_set_cr3() - MOV to CR3, when it exits
 * @vcpu: the vCPU, loaded
 * @cr3: the value; bit 63 (keep the TLB) is honoured by flushing all the same
 * Return: 0, or EINVAL: #GP(0), nothing changed.
 */
int mkvm_set_cr3(struct mkvm_vcpu *vcpu, u64 cr3)
{
	if (vcpu->arch.cr4 & X86_CR4_PCIDE)
		cr3 &= ~BIT_ULL(63);
	if (mkvm_is_long_mode(vcpu) && cr3 >> vcpu->arch.maxphyaddr)
		return -EINVAL;
	if (mkvm_is_pae_paging(vcpu) && mkvm_load_pdptrs(vcpu, cr3))
		return -EINVAL;
	mkvm_reg_write(vcpu, MKVM_REG_CR3, cr3);
	mkvm_make_request(vcpu, MKVM_REQ_TLB_FLUSH);
	return 0;
}

/**
 * mkvm_set_cr4() - MOV to CR4
 * @vcpu: the vCPU, loaded
 * @cr4: the value
 * Return: 0, or EINVAL: #GP(0), nothing changed.
 */
int mkvm_set_cr4(struct mkvm_vcpu *vcpu, u64 cr4)
{
	const u64 pdptr_bits = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;
	u64 old = vcpu->arch.cr4;
	u64 changed = old ^ cr4;

	if (!mkvm_cr4_valid(vcpu, cr4))
		return -EINVAL;
	if (mkvm_is_long_mode(vcpu)) {
		/* IA-32e mode cannot lose PAE, nor change the number of levels. */
		if (!(cr4 & X86_CR4_PAE) || (changed & X86_CR4_LA57))
			return -EINVAL;
	}
	if (changed & cr4 & X86_CR4_PCIDE) {
		/* PCIDs start in IA-32e mode with PCID 0. */
		if (!mkvm_is_long_mode(vcpu) || (mkvm_reg_read(vcpu, MKVM_REG_CR3) & 0xfff))
			return -EINVAL;
	}

	vcpu->arch.cr4 = cr4;
	if (mkvm_is_pae_paging(vcpu) && (changed & pdptr_bits) &&
	    mkvm_load_pdptrs(vcpu, mkvm_reg_read(vcpu, MKVM_REG_CR3))) {
		vcpu->arch.cr4 = old;
		return -EINVAL;
	}

	mkvm_mark_dirty(vcpu, MKVM_STATE_CRS);
	if (changed & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		mkvm_cpuid_update(vcpu);
	if (changed & (pdptr_bits | X86_CR4_SMAP | X86_CR4_PCIDE | X86_CR4_LA57 | X86_CR4_PKE))
		mkvm_make_request(vcpu, MKVM_REQ_TLB_FLUSH);
	return 0;
}

/**
 * mkvm_set_efer() - WRMSR to EFER
 * @vcpu: the vCPU, loaded
 * @efer: the value; LMA keeps what it is
 * @host: userspace asks: it may restore in any order, CPUID and CR0.PG do not bind it
 * Return: 0, or EINVAL: #GP(0), nothing changed.
 */
int mkvm_set_efer(struct mkvm_vcpu *vcpu, u64 efer, bool host)
{
	u64 old = vcpu->arch.efer;

	if (efer & ~(u64)MKVM_EFER_BITS)
		return -EINVAL;
	if (!host && !mkvm_efer_valid(vcpu, efer))
		return -EINVAL;
	if (!host && mkvm_is_paging(vcpu) && ((old ^ efer) & EFER_LME))
		return -EINVAL;
	vcpu->arch.efer = (efer & ~EFER_LMA) | (old & EFER_LMA);
	mkvm_mark_dirty(vcpu, MKVM_STATE_CRS);
	if ((old ^ efer) & EFER_NX)
		mkvm_make_request(vcpu, MKVM_REQ_TLB_FLUSH);
	return 0;
}

/* --- Exits ---------------------------------------------------------------------- */

/**
 * mkvm_complete_insn() - end of an instruction that may be refused
 * @vcpu: the vCPU
 * @err: 0: it is complete; else it raises #GP(0)
 */
mkvm_run_t mkvm_complete_insn(struct mkvm_vcpu *vcpu, int err)
{
	if (err)
		return mkvm_inject_gp(vcpu);
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/*
 * Without an APIC in the kernel the task priority is userspace's business: it must know
 * when the guest lowers it, since an interrupt may become deliverable.
 */
static mkvm_run_t mkvm_mov_to_cr8(struct mkvm_vcpu *vcpu, u64 cr8)
{
	u64 old = vcpu->arch.cr8;

	if (cr8 & ~0xfull)
		return mkvm_inject_gp(vcpu);
	mkvm_set_cr8(vcpu, cr8);
	mkvm_skip_instruction(vcpu);
	if (old <= cr8)
		return MKVM_RUN_GUEST;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return MKVM_RUN_USER;
}

/**
 * mkvm_handle_mov_to_cr() - MOV to a control register
 * @vcpu: the vCPU
 * @cr: 0, 3, 4 or 8
 * @reg: source register
 */
mkvm_run_t mkvm_handle_mov_to_cr(struct mkvm_vcpu *vcpu, unsigned int cr, enum mkvm_reg reg)
{
	u64 val = mkvm_reg_read(vcpu, reg);

	if (!mkvm_is_64bit(vcpu))
		val = (u32)val;

	switch (cr) {
	case 0:
		return mkvm_complete_insn(vcpu, mkvm_set_cr0(vcpu, val));
	case 3:
		return mkvm_complete_insn(vcpu, mkvm_set_cr3(vcpu, val));
	case 4:
		return mkvm_complete_insn(vcpu, mkvm_set_cr4(vcpu, val));
	case 8:
		return mkvm_mov_to_cr8(vcpu, val);
	default:
		return mkvm_inject_ud(vcpu);
	}
}

/**
 * mkvm_handle_mov_from_cr() - MOV from a control register
 * @vcpu: the vCPU
 * @cr: 3, 4, 8 or 0: which of them exit depends on the vendor
 * @reg: destination register
 */
mkvm_run_t mkvm_handle_mov_from_cr(struct mkvm_vcpu *vcpu, unsigned int cr,
				   enum mkvm_reg reg)
{
	switch (cr) {
	case 0:
		mkvm_reg_write(vcpu, reg, vcpu->arch.cr0);
		break;
	case 4:
		mkvm_reg_write(vcpu, reg, vcpu->arch.cr4);
		break;
	case 3:
		mkvm_reg_write(vcpu, reg, mkvm_reg_read(vcpu, MKVM_REG_CR3));
		break;
	case 8:
		mkvm_reg_write(vcpu, reg, vcpu->arch.cr8);
		break;
	default:
		return mkvm_inject_ud(vcpu);
	}
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/** mkvm_handle_clts() - CLTS
 * @vcpu: the vCPU */
mkvm_run_t mkvm_handle_clts(struct mkvm_vcpu *vcpu)
{
	return mkvm_complete_insn(vcpu, mkvm_set_cr0(vcpu, vcpu->arch.cr0 & ~X86_CR0_TS));
}

/**
 * mkvm_handle_lmsw() - LMSW: the low four bits of CR0, of which PE can only be set
 * @vcpu: the vCPU
 * @source: the operand
 */
mkvm_run_t mkvm_handle_lmsw(struct mkvm_vcpu *vcpu, u16 source)
{
	u64 cr0 = vcpu->arch.cr0;

	cr0 = (cr0 & ~0xeull) | (source & 0xf);
	return mkvm_complete_insn(vcpu, mkvm_set_cr0(vcpu, cr0));
}

/*
 * LMSW and SMSW for a vendor that does not report their operands.
 * Return: 0, EINVAL with the fault, or another error of the access.
 */
static int mkvm_msw_operand(struct mkvm_vcpu *vcpu, const struct x86_insn *insn, bool write,
			    u16 *msw, struct x86_fault *fault)
{
	struct x86_cpu cpu;
	u64 linear;
	int r;

	mkvm_x86_cpu(vcpu, &cpu);
	r = x86_insn_linear(insn, &cpu, sizeof(*msw), write, &linear, fault);
	if (r)
		return r;
	if (write)
		return mkvm_write_gva(vcpu, linear, msw, sizeof(*msw), fault);
	return mkvm_read_gva(vcpu, linear, MKVM_GVA_READ, msw, sizeof(*msw), fault);
}

static mkvm_run_t mkvm_msw_failed(struct mkvm_vcpu *vcpu, int err, const struct x86_fault *fault)
{
	switch (err) {
	case -EINVAL:
		mkvm_queue_fault(vcpu, fault);
		return MKVM_RUN_GUEST;
	case -EAGAIN:
		return MKVM_RUN_GUEST;
	default:
		/* The operand is not in memory. */
		return mkvm_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	}
}

/**
 * mkvm_handle_lmsw_insn() - LMSW, decoded from the instruction
 * @vcpu: the vCPU; vm->srcu held
 * @insn: the instruction
 */
mkvm_run_t mkvm_handle_lmsw_insn(struct mkvm_vcpu *vcpu, const struct x86_insn *insn)
{
	struct x86_fault fault;
	u16 msw;
	int r;

	if (insn->opnd[0].kind == X86_OPND_REG)
		return mkvm_handle_lmsw(vcpu, mkvm_reg_read(vcpu, insn->opnd[0].reg));
	r = mkvm_msw_operand(vcpu, insn, false, &msw, &fault);
	return r ? mkvm_msw_failed(vcpu, r, &fault) : mkvm_handle_lmsw(vcpu, msw);
}

/**
 * mkvm_handle_smsw_insn() - SMSW: a register gets as much of CR0 as it holds, memory 16 bits
 * @vcpu: the vCPU; vm->srcu held
 * @insn: the instruction
 */
mkvm_run_t mkvm_handle_smsw_insn(struct mkvm_vcpu *vcpu, const struct x86_insn *insn)
{
	const struct x86_opnd *dst = &insn->opnd[0];
	u64 cr0 = vcpu->arch.cr0;
	struct x86_fault fault;
	u16 msw = cr0;
	int r;

	if (dst->kind == X86_OPND_REG) {
		if (dst->size == 2)
			cr0 = (mkvm_reg_read(vcpu, dst->reg) & ~0xffffull) | msw;
		mkvm_reg_write(vcpu, dst->reg, cr0);
	} else {
		r = mkvm_msw_operand(vcpu, insn, true, &msw, &fault);
		if (r)
			return mkvm_msw_failed(vcpu, r, &fault);
	}
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/**
 * mkvm_handle_xsetbv() - XSETBV
 * @vcpu: the vCPU
 */
mkvm_run_t mkvm_handle_xsetbv(struct mkvm_vcpu *vcpu)
{
	const unsigned long *regs = vcpu->arch.regs;
	u64 val = (u32)regs[MKVM_REG_RAX] | ((u64)(u32)regs[MKVM_REG_RDX] << 32);

	/* On Intel the CPU has made this check. */
	if (!(vcpu->arch.cr4 & X86_CR4_OSXSAVE))
		return mkvm_inject_ud(vcpu);
	if (mkvm_cpl(vcpu) || (u32)regs[MKVM_REG_RCX] != XCR_XFEATURE_ENABLED_MASK ||
	    !mkvm_xcr0_valid(vcpu, val))
		return mkvm_inject_gp(vcpu);
	vcpu->arch.xcr0 = val;
	mkvm_cpuid_update(vcpu);
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/* --- The ioctls ------------------------------------------------------------------- */

/**
 * mkvm_get_xcrs() - KVM_GET_XCRS
 * @vcpu: the vCPU
 * @xcrs: result: XCR0, or nothing on a host without XSAVE
 * Return: 0.
 */
int mkvm_get_xcrs(struct mkvm_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->arch.xcr0;
	return 0;
}

/**
 * mkvm_set_xcrs() - KVM_SET_XCRS
 * @vcpu: the vCPU
 * @xcrs: registers; the first XCR0 counts, others are not looked at
 * Return: 0, or EINVAL: no XSAVE, more than 16 registers, flags, or a value that XSETBV refuses.
 */
int mkvm_set_xcrs(struct mkvm_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	unsigned int i;

	if (!boot_cpu_has(X86_FEATURE_XSAVE) || xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK)
			continue;
		if (!mkvm_xcr0_valid(vcpu, xcrs->xcrs[i].value))
			return -EINVAL;
		vcpu->arch.xcr0 = xcrs->xcrs[i].value;
		mkvm_cpuid_update(vcpu);
		break;
	}
	return 0;
}
