// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's debug registers and #DB; and KVM_SET_GUEST_DEBUG, by which a debugger outside the guest
 * takes their place: its breakpoints are in the debug registers, its steps in RFLAGS.TF, and the
 * exceptions that they cause leave KVM_RUN with KVM_EXIT_DEBUG.
 *
 * (SDM, "Debug Registers"; "Debug Exceptions".)
 */
#include <linux/nospec.h>
#include <asm/trapnr.h>

#include "x86.h"

/* Is it the debugger that #DB belongs to? */
static bool mkvm_debugger_owns_db(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.debug.control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP);
}

/* Which breakpoints the CPU has while the guest runs. */
static void mkvm_update_breakpoints(struct mkvm_vcpu *vcpu)
{
	struct mkvm_vcpu_arch *arch = &vcpu->arch;
	bool debugger = arch->debug.control & KVM_GUESTDBG_USE_HW_BP;

	memcpy(arch->eff_db, debugger ? arch->debug.db : arch->db, sizeof(arch->eff_db));
	/* As the CPU keeps it: userspace may have set bits that are fixed. */
	arch->eff_dr7 = ((debugger ? arch->debug.dr7 : arch->dr7) & MKVM_DR7_WRITABLE) |
			MKVM_DR7_FIXED_1;
	mkvm_mark_dirty(vcpu, MKVM_STATE_DR7);
}

/** mkvm_reset_debug() - the debug registers after power-up; no debugger
 * @vcpu: the vCPU */
void mkvm_reset_debug(struct mkvm_vcpu *vcpu)
{
	memset(vcpu->arch.db, 0, sizeof(vcpu->arch.db));
	vcpu->arch.dr6 = DR6_RESERVED;
	vcpu->arch.dr7 = MKVM_DR7_FIXED_1;
	vcpu->arch.debug.bp_len = 1;
	mkvm_update_breakpoints(vcpu);
	mkvm_mark_dirty(vcpu, MKVM_STATE_EXCEPTIONS);
}

/* --- #DB and #BP ------------------------------------------------------------------------------ */

/* KVM_EXIT_DEBUG. @dr6: what happened */
static mkvm_run_t mkvm_exit_debug(struct mkvm_vcpu *vcpu, u8 vector, u64 dr6)
{
	struct kvm_segment cs = {};
	struct kvm_run *run = vcpu->run;

	/* In 64-bit mode the segment's base counts as 0. */
	if (!mkvm_is_64bit(vcpu))
		mkvm_ops->get_segment(vcpu, MKVM_SEG_CS, &cs);
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = vector;
	run->debug.arch.pad = 0;
	run->debug.arch.pc = mkvm_rip(vcpu) + cs.base;
	run->debug.arch.dr6 = dr6 | DR6_RESERVED;
	run->debug.arch.dr7 = vcpu->arch.eff_dr7;
	return MKVM_RUN_USER;
}

/*
 * The breakpoint bits describe the last #DB alone; the others pile up until software clears them
 * (SDM, "Debug Status Register (DR6)"). GD is cleared, so that the handler can use the debug
 * registers.
 */
static void mkvm_raise_db(struct mkvm_vcpu *vcpu, u64 dr6_bits)
{
	vcpu->arch.dr6 = (vcpu->arch.dr6 & ~(u64)DR_TRAP_BITS) | dr6_bits;
	if (vcpu->arch.dr7 & MKVM_DR7_GD) {
		vcpu->arch.dr7 &= ~(u64)MKVM_DR7_GD;
		mkvm_update_breakpoints(vcpu);
	}
	mkvm_queue_exception(vcpu, X86_TRAP_DB);
}

/**
 * mkvm_db_causes() - what is true of what the CPU says about a #DB
 * @vcpu: the vCPU
 * @dr6: bits as in DR6
 *
 * Breakpoints that match are told even if they are not enabled (SDM, "Debug Status Register (DR6)"),
 * and as long as none is, DR0 to DR3 in the CPU are somebody else's.
 *
 * Return: breakpoints that are enabled, BD, BS, BT.
 */
u64 mkvm_db_causes(struct mkvm_vcpu *vcpu, u64 dr6)
{
	int i;

	for (i = 0; i < 4; i++)
		if (!(vcpu->arch.eff_dr7 >> (DR_ENABLE_SIZE * i) & 3))
			dr6 &= ~(u64)BIT(i);
	return dr6 & (DR_TRAP_BITS | MKVM_DR6_BD | DR_STEP | MKVM_DR6_BT);
}

/**
 * mkvm_handle_db() - #DB in the guest
 * @vcpu: the vCPU
 * @dr6_bits: what happened: breakpoints 0 to 3, BD, BS, BT
 */
mkvm_run_t mkvm_handle_db(struct mkvm_vcpu *vcpu, u64 dr6_bits)
{
	if (unlikely(mkvm_debugger_owns_db(vcpu)))
		return mkvm_exit_debug(vcpu, X86_TRAP_DB, dr6_bits);
	mkvm_raise_db(vcpu, dr6_bits);
	return MKVM_RUN_GUEST;
}

/**
 * mkvm_handle_bp() - #BP, which exits for a debugger only
 * @vcpu: the vCPU, at the INT3
 * @insn_len: length of the instruction
 */
mkvm_run_t mkvm_handle_bp(struct mkvm_vcpu *vcpu, unsigned int insn_len)
{
	vcpu->arch.debug.bp_len = insn_len;
	return mkvm_exit_debug(vcpu, X86_TRAP_BP, 0);
}

/**
 * mkvm_step_trap() - the trap that the CPU would have raised after an instruction
 * @vcpu: the vCPU; RFLAGS.TF is set and an instruction was completed for the guest
 *
 * A debugger hears of it before the next entry: the instruction may leave KVM_RUN for a
 * reason of its own.
 */
void mkvm_step_trap(struct mkvm_vcpu *vcpu)
{
	if (vcpu->arch.debug.control & KVM_GUESTDBG_SINGLESTEP)
		mkvm_make_request(vcpu, MKVM_REQ_DEBUG_STEP);
	else
		mkvm_raise_db(vcpu, DR_STEP);
}

/** mkvm_report_step() - carry out MKVM_REQ_DEBUG_STEP
 * @vcpu: the vCPU */
mkvm_run_t mkvm_report_step(struct mkvm_vcpu *vcpu)
{
	return mkvm_exit_debug(vcpu, X86_TRAP_DB, DR_STEP);
}

/* --- MOV DR ------------------------------------------------------------------------------------ */

/* 4 and 5 are other names of 6 and 7. */
static u64 mkvm_read_dr(struct mkvm_vcpu *vcpu, unsigned int dr)
{
	switch (dr) {
	case 0 ... 3:
		return vcpu->arch.db[array_index_nospec(dr, 4)];
	case 4:
	case 6:
		return vcpu->arch.dr6;
	default:
		return vcpu->arch.dr7;
	}
}

/**
 * mkvm_set_dr6() - what software writes into DR6
 * @vcpu: the vCPU
 * @val: the value
 * Return: 0, or EINVAL: a bit above 31.
 */
int mkvm_set_dr6(struct mkvm_vcpu *vcpu, u64 val)
{
	if (val >> 32)
		return -EINVAL;
	vcpu->arch.dr6 = (val & (DR_TRAP_BITS | MKVM_DR6_BD | DR_STEP | MKVM_DR6_BT)) |
			 DR6_RESERVED;
	return 0;
}

/**
 * mkvm_set_dr7() - what software writes into DR7
 * @vcpu: the vCPU
 * @val: the value
 * Return: 0, or EINVAL: a bit above 31.
 */
int mkvm_set_dr7(struct mkvm_vcpu *vcpu, u64 val)
{
	if (val >> 32)
		return -EINVAL;
	vcpu->arch.dr7 = (val & MKVM_DR7_WRITABLE) | MKVM_DR7_FIXED_1;
	mkvm_update_breakpoints(vcpu);
	return 0;
}

/** mkvm_set_db() - set DR0 to DR3
 * @vcpu: the vCPU
 * @dr: 0 to 3
 * @val: linear address */
void mkvm_set_db(struct mkvm_vcpu *vcpu, unsigned int dr, u64 val)
{
	vcpu->arch.db[array_index_nospec(dr, 4)] = val;
	mkvm_update_breakpoints(vcpu);
}

static int mkvm_write_dr(struct mkvm_vcpu *vcpu, unsigned int dr, u64 val)
{
	switch (dr) {
	case 0 ... 3:
		mkvm_set_db(vcpu, dr, val);
		return 0;
	case 4:
	case 6:
		return mkvm_set_dr6(vcpu, val);
	default:
		return mkvm_set_dr7(vcpu, val);
	}
}

/**
 * mkvm_handle_mov_dr() - MOV to or from a debug register
 * @vcpu: the vCPU
 * @dr: 0 to 7
 * @reg: the general register
 * @to_dr: direction
 *
 * The intercept comes before the instruction's own checks; they are made here in the
 * manual's order (SDM, "MOV - Move to/from Debug Registers").
 */
mkvm_run_t mkvm_handle_mov_dr(struct mkvm_vcpu *vcpu, unsigned int dr, enum mkvm_reg reg,
			      bool to_dr)
{
	u64 val;

	if ((dr == 4 || dr == 5) && (vcpu->arch.cr4 & X86_CR4_DE))
		return mkvm_inject_ud(vcpu);
	if (mkvm_cpl(vcpu))
		return mkvm_inject_gp(vcpu);
	if (vcpu->arch.eff_dr7 & MKVM_DR7_GD) {
		if (vcpu->arch.debug.control & KVM_GUESTDBG_USE_HW_BP)
			return mkvm_exit_debug(vcpu, X86_TRAP_DB, MKVM_DR6_BD);
		return mkvm_handle_db(vcpu, MKVM_DR6_BD);
	}

	if (!to_dr) {
		mkvm_reg_write(vcpu, reg, mkvm_read_dr(vcpu, dr));
		mkvm_skip_instruction(vcpu);
		return MKVM_RUN_GUEST;
	}
	val = mkvm_reg_read(vcpu, reg);
	if (!mkvm_is_64bit(vcpu))
		val = (u32)val;
	return mkvm_complete_insn(vcpu, mkvm_write_dr(vcpu, dr, val));
}

/**
 * mkvm_get_debugregs() - KVM_GET_DEBUGREGS
 * @vcpu: the vCPU
 * @regs: result
 * Return: 0.
 */
int mkvm_get_debugregs(struct mkvm_vcpu *vcpu, struct kvm_debugregs *regs)
{
	memset(regs, 0, sizeof(*regs));
	memcpy(regs->db, vcpu->arch.db, sizeof(regs->db));
	regs->dr6 = vcpu->arch.dr6;
	regs->dr7 = vcpu->arch.dr7;
	return 0;
}

/**
 * mkvm_set_debugregs() - KVM_SET_DEBUGREGS
 * @vcpu: the vCPU
 * @regs: new values; fixed bits are taken as they come, as in KVM
 * Return: 0, or EINVAL: flags, or DR6 or DR7 with a bit above 31; nothing has changed.
 */
int mkvm_set_debugregs(struct mkvm_vcpu *vcpu, const struct kvm_debugregs *regs)
{
	if (regs->flags || regs->dr6 >> 32 || regs->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->arch.db, regs->db, sizeof(regs->db));
	vcpu->arch.dr6 = regs->dr6;
	vcpu->arch.dr7 = regs->dr7;
	mkvm_update_breakpoints(vcpu);
	return 0;
}

/* --- KVM_SET_GUEST_DEBUG ------------------------------------------------------------------------- */

/**
 * mkvm_prepare_step() - before the guest runs: should it stop after an instruction?
 * @vcpu: the vCPU, loaded
 *
 * The trap flag is the debugger's as long as it steps: KVM_GET_REGS does not show it, and what the
 * guest pops from its stack does not last beyond the step. The guest itself can see it in what
 * PUSHF, INT n and interrupts push.
 */
void mkvm_prepare_step(struct mkvm_vcpu *vcpu)
{
	if (!(vcpu->arch.debug.control & KVM_GUESTDBG_SINGLESTEP))
		return;
	mkvm_reg_write(vcpu, MKVM_REG_RFLAGS, mkvm_rflags(vcpu) | X86_EFLAGS_TF);
	/* Reported already; hardware would want it to be pending (Intel). */
	mkvm_end_shadow(vcpu);
}

/**
 * mkvm_set_guest_debug() - KVM_SET_GUEST_DEBUG
 * @vcpu: the vCPU, loaded
 * @dbg: what is wanted
 *
 * Return: 0, or EBUSY: an exception was to be raised while another one waits.
 */
int mkvm_set_guest_debug(struct mkvm_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	struct mkvm_debug *debug = &vcpu->arch.debug;
	u32 inject = dbg->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP);
	unsigned long rflags = mkvm_rflags(vcpu);

	if (inject && vcpu->arch.event.type != MKVM_EVENT_NONE)
		return -EBUSY;
	if (inject & KVM_GUESTDBG_INJECT_DB)
		mkvm_raise_db(vcpu, 0);
	else if (inject)
		mkvm_queue_soft_exception(vcpu, X86_TRAP_BP);

	if (debug->control & KVM_GUESTDBG_SINGLESTEP)
		mkvm_reg_write(vcpu, MKVM_REG_RFLAGS, rflags & ~(u64)X86_EFLAGS_TF);
	debug->control = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control : 0;
	memcpy(debug->db, dbg->arch.debugreg, sizeof(debug->db));
	debug->dr7 = dbg->arch.debugreg[7];

	mkvm_update_breakpoints(vcpu);
	mkvm_mark_dirty(vcpu, MKVM_STATE_EXCEPTIONS);
	clear_bit(MKVM_REQ_DEBUG_STEP, &vcpu->requests);
	/* Interrupts may be held back now, or no longer. */
	mkvm_make_request(vcpu, MKVM_REQ_EVENT);
	return 0;
}
