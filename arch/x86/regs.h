/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_REGS_H
#define MKVM_X86_REGS_H

/*
 * The guest's registers.
 *
 * RSP, RIP, RFLAGS and CR3 live in the control block while the guest runs. They are
 * read from there when somebody asks, once per exit (on Intel, where a read is an instruction of
 * its own; on AMD they are copied at each exit), and written back before the next entry if
 * somebody changed them.
 */

#include <asm/processor.h>
#include <asm/processor-flags.h>
#include <asm/debugreg.h>

#include "ops.h"

/* What guest execution changes behind our back. */
#define MKVM_CACHED_REGS	(BIT(MKVM_REG_RSP) | BIT(MKVM_REG_RIP) |	\
				 BIT(MKVM_REG_RFLAGS) | BIT(MKVM_REG_CR3) |	\
				 BIT(MKVM_REG_CS_AR) | BIT(MKVM_REG_SS_AR) |	\
				 BIT(MKVM_REG_BLOCKED) | BIT(MKVM_STATE_PDPTRS))

/* SDM, "Guest Register State": the format of access rights. */
#define MKVM_AR_DPL(ar)		(((ar) >> 5) & 3)
#define MKVM_AR_L		BIT(13)
#define MKVM_AR_DB		BIT(14)
#define MKVM_AR_UNUSABLE	BIT(16)

/*
 * What holds events back, in the format of SDM, "Format of Interruptibility State". AMD does not
 * tell the two shadows apart: either is shown as STI's.
 */
#define MKVM_BLOCKED_STI	BIT(0)		/* the instruction after STI */
#define MKVM_BLOCKED_MOV_SS	BIT(1)		/* the instruction after MOV SS, POP SS */
#define MKVM_BLOCKED_SHADOW	(MKVM_BLOCKED_STI | MKVM_BLOCKED_MOV_SS)
#define MKVM_BLOCKED_NMI	BIT(3)		/* an NMI is being handled, up to its IRET */

/* What the hardware is asked to exit for, as soon as the guest could take it. */
#define MKVM_WINDOW_IRQ		BIT(0)
#define MKVM_WINDOW_NMI		BIT(1)

/* SDM, "Debug Registers": what <asm/debugreg.h> does not name. */
#define MKVM_DR6_BD		BIT(13)		/* next instruction accesses a debug register */
#define MKVM_DR6_BT		BIT(15)		/* task switch */
#define MKVM_DR7_GD		BIT(13)		/* general detect enable */
#define MKVM_DR7_FIXED_1	BIT(10)
#define MKVM_DR7_WRITABLE	0xffff2bffull

/**
 * mkvm_reg_read() - value of a guest register
 * @vcpu: the vCPU, loaded, or with the register cached
 * @reg: the register
 */
static inline unsigned long mkvm_reg_read(struct mkvm_vcpu *vcpu, enum mkvm_reg reg)
{
	if (!(vcpu->arch.regs_avail & BIT(reg)))
		mkvm_direct(cache_reg)(vcpu, reg);
	return vcpu->arch.regs[reg];
}

/**
 * mkvm_reg_write() - change a guest register
 * @vcpu: the vCPU
 * @reg: the register
 * @val: new value
 */
static inline void mkvm_reg_write(struct mkvm_vcpu *vcpu, enum mkvm_reg reg,
				  unsigned long val)
{
	vcpu->arch.regs[reg] = val;
	vcpu->arch.regs_avail |= BIT(reg);
	if (!mkvm_omit(reg_dirty))
		vcpu->arch.regs_dirty |= BIT(reg);
}

/**
 * mkvm_mark_dirty() - common code has changed state that is not in regs[]
 * @vcpu: the vCPU
 * @state: which; the backend writes it before the next entry
 */
static inline void mkvm_mark_dirty(struct mkvm_vcpu *vcpu, enum mkvm_state state)
{
	vcpu->arch.regs_avail |= BIT(state);
	if (!mkvm_omit(state_dirty))
		vcpu->arch.regs_dirty |= BIT(state);
}

/** mkvm_set_cr8() - change the task priority
 * @vcpu: the vCPU
 * @cr8: 0 to 15 */
static inline void mkvm_set_cr8(struct mkvm_vcpu *vcpu, u64 cr8)
{
	if (vcpu->arch.cr8 == cr8)
		return;
	vcpu->arch.cr8 = cr8;
	mkvm_mark_dirty(vcpu, MKVM_STATE_CR8);
}

/** mkvm_pdptrs() - PAE paging: the entries in use
 * @vcpu: the vCPU, loaded; the backend has such registers (mkvm_caps.pdptrs) */
static inline const u64 *mkvm_pdptrs(struct mkvm_vcpu *vcpu)
{
	if (!(vcpu->arch.regs_avail & BIT(MKVM_STATE_PDPTRS)))
		mkvm_direct(cache_reg)(vcpu, MKVM_STATE_PDPTRS);
	return vcpu->arch.pdptrs;
}

static inline unsigned long mkvm_rip(struct mkvm_vcpu *vcpu)
{
	return mkvm_reg_read(vcpu, MKVM_REG_RIP);
}

static inline unsigned long mkvm_rflags(struct mkvm_vcpu *vcpu)
{
	return mkvm_reg_read(vcpu, MKVM_REG_RFLAGS);
}

static inline bool mkvm_is_protmode(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.cr0 & X86_CR0_PE;
}

static inline bool mkvm_is_paging(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.cr0 & X86_CR0_PG;
}

static inline bool mkvm_is_long_mode(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.efer & EFER_LMA;
}

static inline bool mkvm_is_pae_paging(struct mkvm_vcpu *vcpu)
{
	return mkvm_is_paging(vcpu) && (vcpu->arch.cr4 & X86_CR4_PAE) &&
	       !mkvm_is_long_mode(vcpu);
}

/** mkvm_is_64bit() - is the vCPU in 64-bit mode (not compatibility mode)?
 * @vcpu: the vCPU, loaded */
static inline bool mkvm_is_64bit(struct mkvm_vcpu *vcpu)
{
	return mkvm_is_long_mode(vcpu) && mkvm_reg_read(vcpu, MKVM_REG_CS_AR) & MKVM_AR_L;
}

/**
 * mkvm_cpl() - current privilege level
 * @vcpu: the vCPU, loaded
 *
 * SS.DPL, the one place that is right in every mode (SDM, "Guest Register State"); AMD keeps
 * it beside, and the backend puts it there. Real mode is 0 by definition.
 */
static inline unsigned int mkvm_cpl(struct mkvm_vcpu *vcpu)
{
	return mkvm_is_protmode(vcpu) ? MKVM_AR_DPL(mkvm_reg_read(vcpu, MKVM_REG_SS_AR)) : 0;
}

/** mkvm_blocked() - what holds events back
 * @vcpu: the vCPU, loaded, or with the state cached
 * Return: MKVM_BLOCKED_* bits. */
static inline unsigned long mkvm_blocked(struct mkvm_vcpu *vcpu)
{
	return mkvm_reg_read(vcpu, MKVM_REG_BLOCKED);
}

/** mkvm_end_shadow() - an instruction was completed: STI and MOV SS block nothing any more
 * @vcpu: the vCPU, loaded */
static inline void mkvm_end_shadow(struct mkvm_vcpu *vcpu)
{
	unsigned long blocked = mkvm_blocked(vcpu);

	if (unlikely(blocked & MKVM_BLOCKED_SHADOW))
		mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, blocked & ~MKVM_BLOCKED_SHADOW);
}

void mkvm_advance_rip(struct mkvm_vcpu *vcpu, unsigned long next_rip);
/**
 * mkvm_next_rip() - RIP after an instruction
 * @vcpu: the vCPU, loaded
 * @rip: RIP of it
 * @len: its length
 */
static inline unsigned long mkvm_next_rip(struct mkvm_vcpu *vcpu, unsigned long rip,
					  unsigned int len)
{
	unsigned long next = rip + len;

	/* Outside 64-bit mode the instruction pointer wraps at 4 GiB. */
	if (unlikely((rip ^ next) >> 32) && !mkvm_is_64bit(vcpu))
		next = (u32)next;
	return next;
}

void mkvm_step_trap(struct mkvm_vcpu *vcpu);

/** mkvm_skip_instruction() - the instruction that exited is complete
 * @vcpu: the vCPU, loaded */
static inline void mkvm_skip_instruction(struct mkvm_vcpu *vcpu)
{
	mkvm_direct(skip_insn)(vcpu);
}

bool mkvm_apic_base_valid(struct mkvm_vcpu *vcpu, u64 base);
void mkvm_vcpu_reset(struct mkvm_vcpu *vcpu);

int mkvm_get_regs(struct mkvm_vcpu *vcpu, struct kvm_regs *regs);
int mkvm_set_regs(struct mkvm_vcpu *vcpu, const struct kvm_regs *regs);
int mkvm_get_sregs(struct mkvm_vcpu *vcpu, struct kvm_sregs *sregs);
int mkvm_set_sregs(struct mkvm_vcpu *vcpu, const struct kvm_sregs *sregs);
int mkvm_get_sregs2(struct mkvm_vcpu *vcpu, struct kvm_sregs2 *sregs);
int mkvm_set_sregs2(struct mkvm_vcpu *vcpu, const struct kvm_sregs2 *sregs);

#endif
