// SPDX-License-Identifier: GPL-2.0
/*
 * Guest registers as userspace sees them: KVM_{GET,SET}_{REGS,SREGS,SREGS2}, and the state
 * after reset.
 */
#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "x86.h"

/* Bring what KVM_GET_REGS reports up to date in memory. */
static void mkvm_cache_regs(struct mkvm_vcpu *vcpu)
{
	const u32 want = BIT(MKVM_REG_RSP) | BIT(MKVM_REG_RIP) | BIT(MKVM_REG_RFLAGS);

	if (!(~vcpu->arch.regs_avail & want))
		return;
	mkvm_vcpu_load(vcpu);
	mkvm_reg_read(vcpu, MKVM_REG_RSP);
	mkvm_reg_read(vcpu, MKVM_REG_RIP);
	mkvm_reg_read(vcpu, MKVM_REG_RFLAGS);
	mkvm_vcpu_put(vcpu);
}

/**
 * mkvm_advance_rip() - an instruction that was executed here is complete
 * @vcpu: the vCPU, loaded
 * @next_rip: where the guest goes on
 */
void mkvm_advance_rip(struct mkvm_vcpu *vcpu, unsigned long next_rip)
{
	mkvm_reg_write(vcpu, MKVM_REG_RIP, next_rip);
	mkvm_end_shadow(vcpu);
	if (mkvm_rflags(vcpu) & X86_EFLAGS_TF)
		mkvm_step_trap(vcpu);
}

/* --- General registers -------------------------------------------------------- */

/**
 * mkvm_get_regs() - KVM_GET_REGS
 * @vcpu: the vCPU, not loaded
 * @regs: result
 * Return: 0.
 */
int mkvm_get_regs(struct mkvm_vcpu *vcpu, struct kvm_regs *regs)
{
	const unsigned long *r = vcpu->arch.regs;

	mkvm_cache_regs(vcpu);
	*regs = (struct kvm_regs){
		.rax = r[MKVM_REG_RAX], .rbx = r[MKVM_REG_RBX],
		.rcx = r[MKVM_REG_RCX], .rdx = r[MKVM_REG_RDX],
		.rsi = r[MKVM_REG_RSI], .rdi = r[MKVM_REG_RDI],
		.rsp = r[MKVM_REG_RSP], .rbp = r[MKVM_REG_RBP],
		.r8 = r[MKVM_REG_R8], .r9 = r[MKVM_REG_R9],
		.r10 = r[MKVM_REG_R10], .r11 = r[MKVM_REG_R11],
		.r12 = r[MKVM_REG_R12], .r13 = r[MKVM_REG_R13],
		.r14 = r[MKVM_REG_R14], .r15 = r[MKVM_REG_R15],
		.rip = r[MKVM_REG_RIP], .rflags = r[MKVM_REG_RFLAGS],
	};
	/* It is the debugger's. */
	if (vcpu->arch.debug.control & KVM_GUESTDBG_SINGLESTEP)
		regs->rflags &= ~(u64)X86_EFLAGS_TF;
	return 0;
}

/**
 * mkvm_set_regs() - KVM_SET_REGS
 * @vcpu: the vCPU; needs not be loaded
 * @regs: new values; bit 1 of RFLAGS is set whatever is asked
 *
 * Discards an exception that the guest has not received yet: the new state is not the one
 * in which it was raised.
 * Return: 0.
 */
int mkvm_set_regs(struct mkvm_vcpu *vcpu, const struct kvm_regs *regs)
{
	unsigned long *r = vcpu->arch.regs;

	r[MKVM_REG_RAX] = regs->rax;
	r[MKVM_REG_RBX] = regs->rbx;
	r[MKVM_REG_RCX] = regs->rcx;
	r[MKVM_REG_RDX] = regs->rdx;
	r[MKVM_REG_RSI] = regs->rsi;
	r[MKVM_REG_RDI] = regs->rdi;
	r[MKVM_REG_RBP] = regs->rbp;
	r[MKVM_REG_R8] = regs->r8;
	r[MKVM_REG_R9] = regs->r9;
	r[MKVM_REG_R10] = regs->r10;
	r[MKVM_REG_R11] = regs->r11;
	r[MKVM_REG_R12] = regs->r12;
	r[MKVM_REG_R13] = regs->r13;
	r[MKVM_REG_R14] = regs->r14;
	r[MKVM_REG_R15] = regs->r15;
	mkvm_reg_write(vcpu, MKVM_REG_RSP, regs->rsp);
	mkvm_reg_write(vcpu, MKVM_REG_RIP, regs->rip);
	mkvm_reg_write(vcpu, MKVM_REG_RFLAGS, regs->rflags | X86_EFLAGS_FIXED);
	if (vcpu->arch.event.type == MKVM_EVENT_EXCEPTION)
		vcpu->arch.event.type = MKVM_EVENT_NONE;
	/* Nor is a step to be reported from there. */
	clear_bit(MKVM_REQ_DEBUG_STEP, &vcpu->requests);
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
	return 0;
}

/* --- Special registers ---------------------------------------------------------- */

static void mkvm_get_table(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, struct kvm_dtable *out)
{
	struct kvm_segment s;

	mkvm_ops->get_segment(vcpu, seg, &s);
	out->base = s.base;
	out->limit = s.limit;
}

static void mkvm_set_table(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, const struct kvm_dtable *in)
{
	const struct kvm_segment s = { .base = in->base, .limit = in->limit };

	mkvm_ops->set_segment(vcpu, seg, &s);
}

/* All but the interrupt, of which struct kvm_sregs2 knows nothing. */
static void mkvm_get_sregs_common(struct mkvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	mkvm_ops->get_segment(vcpu, MKVM_SEG_CS, &sregs->cs);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_DS, &sregs->ds);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_ES, &sregs->es);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_FS, &sregs->fs);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_GS, &sregs->gs);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_SS, &sregs->ss);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_TR, &sregs->tr);
	mkvm_ops->get_segment(vcpu, MKVM_SEG_LDTR, &sregs->ldt);
	mkvm_get_table(vcpu, MKVM_SEG_IDTR, &sregs->idt);
	mkvm_get_table(vcpu, MKVM_SEG_GDTR, &sregs->gdt);
	sregs->cr0 = vcpu->arch.cr0;
	sregs->cr2 = vcpu->arch.cr2;
	sregs->cr3 = mkvm_reg_read(vcpu, MKVM_REG_CR3);
	sregs->cr4 = vcpu->arch.cr4;
	sregs->cr8 = vcpu->arch.cr8;
	sregs->efer = vcpu->arch.efer;
	sregs->apic_base = vcpu->arch.apic_base;
}

/**
 * mkvm_get_sregs() - KVM_GET_SREGS
 * @vcpu: the vCPU, loaded
 * @sregs: result
 * Return: 0.
 */
int mkvm_get_sregs(struct mkvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	int irq;

	memset(sregs, 0, sizeof(*sregs));
	mkvm_get_sregs_common(vcpu, sregs);

	irq = mkvm_pending_irq(vcpu);
	if (irq >= 0)
		set_bit(irq, (unsigned long *)sregs->interrupt_bitmap);
	return 0;
}

/* SDM, "Control Registers": what must hold between them whoever writes them. */
static bool mkvm_sregs_valid(struct mkvm_vcpu *vcpu, const struct kvm_sregs *s)
{
	if ((s->efer & EFER_LME) && (s->cr0 & X86_CR0_PG)) {
		/* IA-32e paging: needs PAE, and shows as EFER.LMA. */
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & EFER_LMA))
			return false;
		if (s->cr3 >> vcpu->arch.maxphyaddr)
			return false;
	} else {
		/* Not in long mode: neither LMA nor a 64-bit code segment. */
		if ((s->efer & EFER_LMA) || s->cs.l)
			return false;
	}
	return mkvm_cr4_valid(vcpu, s->cr4) && mkvm_cr0_valid(s->cr0);
}

/** mkvm_apic_base_valid() - may IA32_APIC_BASE have this value?
 * @vcpu: the vCPU
 * @base: the value */
bool mkvm_apic_base_valid(struct mkvm_vcpu *vcpu, u64 base)
{
	/* x2APIC mode needs an APIC in the kernel: bit 10 is reserved like the rest. */
	u64 reserved = GENMASK_ULL(63, vcpu->arch.maxphyaddr) | X2APIC_ENABLE | 0x2ff;

	return !(base & reserved);
}

/* What mkvm_set_sregs() and mkvm_set_sregs2() do alike. */
static int mkvm_set_sregs_common(struct mkvm_vcpu *vcpu, const struct kvm_sregs *sregs,
				 bool load_pdptrs)
{
	struct kvm_segment cs;

	if (!mkvm_sregs_valid(vcpu, sregs) ||
	    !mkvm_apic_base_valid(vcpu, sregs->apic_base))
		return -EINVAL;

	/* A vCPU that is put elsewhere does not finish the instruction it was at. */
	mkvm_ops->get_segment(vcpu, MKVM_SEG_CS, &cs);
	if (cs.base != sregs->cs.base)
		vcpu->arch.complete = NULL;

	vcpu->arch.apic_base = sregs->apic_base;
	vcpu->arch.cr0 = sregs->cr0 | X86_CR0_ET;
	vcpu->arch.cr2 = sregs->cr2;
	vcpu->arch.cr4 = sregs->cr4;
	mkvm_set_cr8(vcpu, sregs->cr8 & 0xf);
	vcpu->arch.efer = sregs->efer;
	mkvm_reg_write(vcpu, MKVM_REG_CR3, sregs->cr3);
	mkvm_mark_dirty(vcpu, MKVM_STATE_CRS);
	mkvm_cpuid_update(vcpu);

	mkvm_set_table(vcpu, MKVM_SEG_IDTR, &sregs->idt);
	mkvm_set_table(vcpu, MKVM_SEG_GDTR, &sregs->gdt);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_CS, &sregs->cs);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_DS, &sregs->ds);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_ES, &sregs->es);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_FS, &sregs->fs);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_GS, &sregs->gs);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_SS, &sregs->ss);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_TR, &sregs->tr);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_LDTR, &sregs->ldt);

	/* Where they are not in memory the old ones stay, as in KVM. */
	if (load_pdptrs && mkvm_is_pae_paging(vcpu))
		mkvm_load_pdptrs(vcpu, sregs->cr3);
	mkvm_make_request(vcpu, MKVM_REQ_TLB_FLUSH);
	return 0;
}

/**
 * mkvm_set_sregs() - KVM_SET_SREGS
 * @vcpu: the vCPU, loaded
 * @sregs: new values
 *
 * Return: 0, or EINVAL when control registers contradict each other or use a bit that the
 * vCPU's CPUID does not have; then nothing has changed.
 */
int mkvm_set_sregs(struct mkvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	int irq, r;

	r = mkvm_set_sregs_common(vcpu, sregs, true);
	if (r)
		return r;

	irq = find_first_bit((const unsigned long *)sregs->interrupt_bitmap, 256);
	if (irq < 256)
		mkvm_set_irq(vcpu, irq);
	return 0;
}

/* Up to its flags, which take the place of the interrupt, struct kvm_sregs2 is struct kvm_sregs. */
static_assert(offsetof(struct kvm_sregs2, flags) == offsetof(struct kvm_sregs, interrupt_bitmap));
static_assert(offsetof(struct kvm_sregs2, apic_base) == offsetof(struct kvm_sregs, apic_base));
static_assert(sizeof(struct kvm_sregs2) >= sizeof(struct kvm_sregs));

/**
 * mkvm_get_sregs2() - KVM_GET_SREGS2
 * @vcpu: the vCPU, loaded, in its VM's mm
 * @sregs: result; with the page-directory pointers when the vCPU uses PAE paging
 * Return: 0.
 */
int mkvm_get_sregs2(struct mkvm_vcpu *vcpu, struct kvm_sregs2 *sregs)
{
	memset(sregs, 0, sizeof(*sregs));
	mkvm_get_sregs_common(vcpu, (struct kvm_sregs *)sregs);
	if (!mkvm_is_pae_paging(vcpu))
		return 0;

	/* AMD has no registers for them: after an entry they are what is in memory. */
	if (mkvm_caps.pdptrs)
		mkvm_pdptrs(vcpu);
	else if (!(vcpu->arch.regs_dirty & BIT(MKVM_STATE_PDPTRS)))
		mkvm_load_pdptrs(vcpu, sregs->cr3);
	memcpy(sregs->pdptrs, vcpu->arch.pdptrs, sizeof(sregs->pdptrs));
	sregs->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	return 0;
}

/**
 * mkvm_set_sregs2() - KVM_SET_SREGS2
 * @vcpu: the vCPU, loaded, in its VM's mm
 * @sregs: new values; the page-directory pointers come with it when its flags say so, and else
 *	from memory
 *
 * Return: 0, or EINVAL: an unknown flag, pointers without PAE paging, or as mkvm_set_sregs();
 * nothing has changed.
 */
int mkvm_set_sregs2(struct mkvm_vcpu *vcpu, const struct kvm_sregs2 *sregs)
{
	bool pae = sregs->cr0 & X86_CR0_PG && sregs->cr4 & X86_CR4_PAE &&
		   !(sregs->efer & EFER_LMA);
	bool given = sregs->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	int r;

	if (sregs->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID || (given && !pae))
		return -EINVAL;
	r = mkvm_set_sregs_common(vcpu, (const struct kvm_sregs *)sregs, !given);
	if (r)
		return r;
	if (given) {
		memcpy(vcpu->arch.pdptrs, sregs->pdptrs, sizeof(vcpu->arch.pdptrs));
		mkvm_mark_dirty(vcpu, MKVM_STATE_PDPTRS);
	}
	return 0;
}

/* --- Reset ------------------------------------------------------------------------ */

static void mkvm_reset_segments(struct mkvm_vcpu *vcpu)
{
	const struct kvm_segment data = {
		.limit = 0xffff, .type = 3, .present = 1, .s = 1,
	};
	const struct kvm_segment cs = {
		.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000,
		.type = 11, .present = 1, .s = 1,
	};
	const struct kvm_segment ldt = { .limit = 0xffff, .type = 2, .present = 1 };
	/* A busy TSS; AMD says of 16 bits. */
	const struct kvm_segment tr = {
		.limit = 0xffff, .type = mkvm_caps.amd ? 3 : 11, .present = 1,
	};
	const struct kvm_dtable table = { .limit = 0xffff };

	mkvm_ops->set_segment(vcpu, MKVM_SEG_CS, &cs);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_DS, &data);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_ES, &data);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_FS, &data);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_GS, &data);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_SS, &data);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_LDTR, &ldt);
	mkvm_ops->set_segment(vcpu, MKVM_SEG_TR, &tr);
	mkvm_set_table(vcpu, MKVM_SEG_IDTR, &table);
	mkvm_set_table(vcpu, MKVM_SEG_GDTR, &table);
}

/**
 * mkvm_vcpu_reset() - the state of a CPU after power-up
 * @vcpu: the vCPU, loaded
 *
 * SDM, "Processor State After Reset". RDX holds the processor signature; no CPUID has
 * been set yet, so it is that of a generic family 6 CPU, as in KVM.
 */
void mkvm_vcpu_reset(struct mkvm_vcpu *vcpu)
{
	struct mkvm_vcpu_arch *arch = &vcpu->arch;

	memset(arch->regs, 0, sizeof(arch->regs));
	/* The general registers are always up to date in memory. */
	arch->regs_avail = GENMASK(MKVM_NR_GPRS - 1, 0);
	arch->regs[MKVM_REG_RDX] = 0x600;
	mkvm_reg_write(vcpu, MKVM_REG_RSP, 0);
	mkvm_reg_write(vcpu, MKVM_REG_RIP, 0xfff0);
	mkvm_reg_write(vcpu, MKVM_REG_RFLAGS, X86_EFLAGS_FIXED);
	mkvm_reg_write(vcpu, MKVM_REG_CR3, 0);

	arch->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	arch->cr2 = 0;
	arch->cr4 = 0;
	arch->cr8 = 0;
	arch->efer = 0;
	arch->xcr0 = XFEATURE_MASK_FP;
	mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, 0);
	arch->event.type = MKVM_EVENT_NONE;
	arch->nmi_pending = 0;
	arch->irq_pending = false;
	arch->windows = 0;
	mkvm_mark_dirty(vcpu, MKVM_STATE_WINDOWS);
	clear_bit(MKVM_REQ_SHUTDOWN, &vcpu->requests);
	mkvm_reset_debug(vcpu);
	arch->pkru = 0;
	arch->apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
			  (vcpu->id == vcpu->vm->arch.boot_cpu_id ? MSR_IA32_APICBASE_BSP : 0);
	mkvm_msr_reset(vcpu);

	mkvm_ops->vcpu_reset(vcpu);
	mkvm_mark_dirty(vcpu, MKVM_STATE_CRS);
	mkvm_mark_dirty(vcpu, MKVM_STATE_CR8);
	mkvm_mark_dirty(vcpu, MKVM_STATE_TSC_OFFSET);
	mkvm_reset_segments(vcpu);
}
