// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction emulator: operands, moves, and the table of all that it executes. Interface and
 * rules: emulate.h, pure.h.
 */
#include "emul.h"

/* --- Faults ---------------------------------------------------------------------------------- */

/**
 * emul_raise() - an exception without error code
 * @c: the instruction
 * @vector: X86_VEC_*
 *
 * Return: -EINVAL.
 */
int emul_raise(struct emul_ctx *c, u8 vector)
{
	*c->fault = (struct x86_fault) { .vector = vector };
	return -EINVAL;
}

/**
 * emul_raise_code() - an exception with error code 0, which real mode leaves out
 * @c: the instruction
 * @vector: X86_VEC_*
 *
 * Return: -EINVAL.
 */
int emul_raise_code(struct emul_ctx *c, u8 vector)
{
	*c->fault = (struct x86_fault) {
		.vector = vector,
		.has_error_code = c->e->cpu->prot,
	};
	return -EINVAL;
}

/* --- Registers ------------------------------------------------------------------------------- */

/**
 * emul_set_gpr() - write a general register
 * @c: the instruction
 * @reg: 0 to 15
 * @size: how many bytes; with 1 and 2 the others stay, with 4 they are cleared
 *	("General-Purpose Registers in 64-Bit Mode")
 * @val: what is above @size does not count
 */
void emul_set_gpr(const struct emul_ctx *c, unsigned int reg, unsigned int size, u64 val)
{
	const struct x86_cpu *cpu = c->e->cpu;

	val &= emul_mask(size);
	if (size < 4)
		val |= x86_gpr(cpu, reg) & ~emul_mask(size);
	x86_set_gpr(cpu, reg, val);
}

static u64 emul_get_reg(const struct emul_ctx *c, const struct x86_opnd *opnd)
{
	return opnd->high ? emul_gpr(c, opnd->reg, 2) >> 8 : emul_gpr(c, opnd->reg, opnd->size);
}

static void emul_set_reg(const struct emul_ctx *c, const struct x86_opnd *opnd, u64 val)
{
	if (opnd->high)
		emul_set_gpr(c, opnd->reg, 2, (val & 0xff) << 8 | emul_gpr(c, opnd->reg, 1));
	else
		emul_set_gpr(c, opnd->reg, opnd->size, val);
}

/* --- Memory ---------------------------------------------------------------------------------- */

/* Instructions whose operand must be aligned in any case. */
static bool must_be_aligned(const struct x86_insn *insn, unsigned int size)
{
	return insn->flags & X86_INSN_ALIGN || (insn->op == X86_OP_CMPXCHG8B && size == 16);
}

/* "Alignment Checking", "Alignment Requirements by Data Type": no more than 16 bytes. */
static bool is_misaligned(const struct emul_ctx *c, u64 la, unsigned int size)
{
	return c->e->cr0 & X86_CR0_AM && c->flags & X86_EFLAGS_AC &&
	       la & ((size < 16 ? size : 16) - 1) && c->e->ops->get_cpl(c->e->cpu->priv) == 3;
}

/**
 * emul_linear() - segment:offset to linear address, with all checks
 * @c: the instruction
 * @seg: enum x86_seg
 * @ea: cut to the address size
 * @size: bytes accessed
 * @write: the access writes
 * @la: result
 *
 * Return: 0 or -EINVAL.
 */
int emul_linear(struct emul_ctx *c, unsigned int seg, u64 ea, unsigned int size, bool write,
		u64 *la)
{
	const struct x86_cpu *cpu = c->e->cpu;
	int ret = 0;

	if (x86_flat_linear(cpu, seg, ea, size))
		*la = ea;
	else
		ret = x86_seg_linear(cpu, seg, ea, size, write, la, c->fault);

	if (ret || !(*la & (size - 1)))
		return ret;
	if (must_be_aligned(c->insn, size))
		return emul_raise_code(c, X86_VEC_GP);
	return is_misaligned(c, *la, size) ? emul_raise_code(c, X86_VEC_AC) : 0;
}

/**
 * emul_read() - read memory
 * @c: the instruction
 * @la: from emul_linear()
 * @data: result; NULL: only look whether it would fault
 * @size: bytes
 * @write: it will be written, too
 *
 * Return: 0 or what the callback returned.
 */
int emul_read(struct emul_ctx *c, u64 la, void *data, unsigned int size, bool write)
{
	return c->e->ops->read(c->e->cpu->priv, la, data, size, write, c->fault);
}

/**
 * emul_write() - write memory
 * @c: the instruction
 * @la: from emul_linear()
 * @data: what
 * @size: bytes
 *
 * Return: 0 or what the callback returned.
 */
int emul_write(struct emul_ctx *c, u64 la, const void *data, unsigned int size)
{
	return c->e->ops->write(c->e->cpu->priv, la, data, size, c->fault);
}

/**
 * emul_ea() - effective address of the memory operand
 * @c: the instruction
 *
 * Return: cut to the address size. With POP the stack pointer has moved before ("POP").
 */
u64 emul_ea(const struct emul_ctx *c)
{
	if (c->rsp_moved && c->insn->mem.base == X86_GPR_RSP)
		return (x86_insn_ea(c->insn, c->e->cpu) + c->rsp_moved) &
		       emul_mask(c->insn->addr_size);
	return x86_insn_ea(c->insn, c->e->cpu);
}

/**
 * emul_mem() - find the memory operand, result in @c->la
 * @c: the instruction
 * @ea: in the operand's segment
 * @size: bytes accessed
 * @write: the access writes
 *
 * Return: 0 or -EINVAL.
 */
int emul_mem(struct emul_ctx *c, u64 ea, unsigned int size, bool write)
{
	c->has_la = true;
	return emul_linear(c, c->insn->mem.seg, ea, size, write, &c->la);
}

/* --- Operands -------------------------------------------------------------------------------- */

/* Read the memory operand. */
static noinline int emul_get_mem(struct emul_ctx *c, unsigned int size, bool write, u64 *val)
{
	int ret = 0;

	if (!c->has_la)
		ret = emul_mem(c, emul_ea(c), size, write);
	c->old = 0;
	if (!ret)
		ret = emul_read(c, c->la, &c->old, size, write);
	*val = c->old;
	return ret;
}

/**
 * emul_get() - value of an operand
 * @c: the instruction
 * @nr: its number
 * @write: it will be written, too
 * @val: result, zero-extended; an immediate is sign-extended
 *
 * Return: 0 or an error.
 */
int emul_get(struct emul_ctx *c, unsigned int nr, bool write, u64 *val)
{
	const struct x86_opnd *opnd = &c->insn->opnd[nr];

	switch (opnd->kind) {
	case X86_OPND_REG:
		*val = emul_get_reg(c, opnd);
		return 0;
	case X86_OPND_IMM:
		*val = c->insn->imm;
		return 0;
	case X86_OPND_SEG:
		*val = c->e->ops->get_selector(c->e->cpu->priv, opnd->reg);
		return 0;
	case X86_OPND_MEM:
		if (write || c->e->value_size != opnd->size)
			return emul_get_mem(c, opnd->size, write, val);
		*val = c->e->value;
		return 0;
	}
	return -EOPNOTSUPP;
}

static noinline int emul_put_mem(struct emul_ctx *c, unsigned int size, u64 val)
{
	int ret = 0;

	val &= emul_mask(size);
	if (c->atomic)
		return c->e->ops->cmpxchg_mem(c->e->cpu->priv, c->la, &c->old, &val, size,
					      c->fault);
	if (!c->has_la)
		ret = emul_mem(c, emul_ea(c), size, true);
	return ret ?: emul_write(c, c->la, &val, size);
}

/**
 * emul_put() - write an operand
 * @c: the instruction
 * @nr: its number
 * @val: what is above its size does not count
 *
 * The last thing that can fail.
 *
 * Return: 0 or an error.
 */
int emul_put(struct emul_ctx *c, unsigned int nr, u64 val)
{
	const struct x86_opnd *opnd = &c->insn->opnd[nr];

	switch (opnd->kind) {
	case X86_OPND_REG:
		emul_set_reg(c, opnd, val);
		return 0;
	case X86_OPND_SEG:
		return c->e->ops->load_segment(c->e->cpu->priv, opnd->reg, val, c->fault);
	case X86_OPND_MEM:
		return emul_put_mem(c, opnd->size, val);
	}
	return -EOPNOTSUPP;
}

/**
 * emul_condition() - is the condition true that the opcode names?
 * @c: the instruction: SETcc or CMOVcc
 *
 * "EFLAGS Condition Codes".
 *
 * Return: yes or no.
 */
bool emul_condition(const struct emul_ctx *c)
{
	static const u32 any[8] = {
		X86_EFLAGS_OF, X86_EFLAGS_CF, X86_EFLAGS_ZF, X86_EFLAGS_CF | X86_EFLAGS_ZF,
		X86_EFLAGS_SF, X86_EFLAGS_PF, 0, X86_EFLAGS_ZF,
	};
	unsigned int nr = c->insn->opcode >> 1 & 7;
	bool less = !(c->flags & X86_EFLAGS_SF) != !(c->flags & X86_EFLAGS_OF);
	bool is = c->flags & any[nr] || (nr >= 6 && less);

	return is != (c->insn->opcode & 1);
}

/* --- Moves ----------------------------------------------------------------------------------- */

/* MOV, MOVZX, MOVNTI: from any operand to any. */
static int emul_mov(struct emul_ctx *c)
{
	u64 val;

	return emul_get(c, 1, false, &val) ?: emul_put(c, 0, val);
}

static int emul_movsx(struct emul_ctx *c)
{
	u64 val;

	return emul_get(c, 1, false, &val) ?:
	       emul_put(c, 0, emul_sign_extend(val, c->insn->opnd[1].size));
}

static int emul_movbe(struct emul_ctx *c)
{
	u64 val, swapped = 0;
	unsigned int i;
	int ret;

	ret = emul_get(c, 1, false, &val);
	if (ret)
		return ret;
	for (i = 0; i < c->insn->op_size; i++)
		swapped = swapped << 8 | (val >> 8 * i & 0xff);
	return emul_put(c, 0, swapped);
}

static int emul_lea(struct emul_ctx *c)
{
	/* In the size of the instruction; the memory operand has none. */
	return emul_put(c, 0, emul_ea(c));
}

static int emul_setcc(struct emul_ctx *c)
{
	return emul_put(c, 0, emul_condition(c));
}

/* The source is read in any case, and a 32-bit destination extended. */
static int emul_cmovcc(struct emul_ctx *c)
{
	u64 old, val;
	int ret;

	ret = emul_get(c, 0, false, &old);
	if (!ret)
		ret = emul_get(c, 1, false, &val);
	return ret ?: emul_put(c, 0, emul_condition(c) ? val : old);
}

/* Operand 1 is a register. With memory it is atomic, LOCK or not ("XCHG"). */
static int emul_xchg(struct emul_ctx *c)
{
	u64 first, second;
	int ret;

	ret = emul_get(c, 0, true, &first);
	if (!ret)
		ret = emul_get(c, 1, false, &second);
	c->atomic = true;
	if (!ret)
		ret = emul_put(c, 0, second);
	return ret ?: emul_put(c, 1, first);
}

/*
 * There is nothing to flush of a device, but faults are those of a read. Segments that can only be
 * executed are an exception ("CLFLUSH"), which is left out.
 */
static int emul_clflush(struct emul_ctx *c)
{
	if (c->insn->mode != X86_MODE_64 && c->insn->mem.seg == X86_SEG_CS)
		return -EOPNOTSUPP;
	return emul_mem(c, emul_ea(c), 1, false) ?: emul_read(c, c->la, NULL, 1, false);
}

/* --- All of them ----------------------------------------------------------------------------- */

static int (*const emul_handlers[X86_NR_OPS])(struct emul_ctx *c) = {
	[X86_OP_ADC] = emul_binary,
	[X86_OP_ADD] = emul_binary,
	[X86_OP_AND] = emul_binary,
	[X86_OP_BSF] = emul_bit_scan,
	[X86_OP_BSR] = emul_bit_scan,
	[X86_OP_BT] = emul_bit_test,
	[X86_OP_BTC] = emul_bit_test,
	[X86_OP_BTR] = emul_bit_test,
	[X86_OP_BTS] = emul_bit_test,
	[X86_OP_CALL] = emul_call,
	[X86_OP_CLFLUSH] = emul_clflush,
	[X86_OP_CMOV] = emul_cmovcc,
	[X86_OP_CMP] = emul_compare,
	[X86_OP_CMPS] = emul_cmps,
	[X86_OP_CMPXCHG] = emul_cmpxchg,
	[X86_OP_CMPXCHG8B] = emul_cmpxchg8b,
	[X86_OP_DEC] = emul_unary,
	[X86_OP_DIV] = emul_div,
	[X86_OP_IDIV] = emul_div,
	[X86_OP_IMUL] = emul_imul,
	[X86_OP_IMUL1] = emul_mul,
	[X86_OP_INC] = emul_unary,
	[X86_OP_INS] = emul_ins,
	[X86_OP_JMP] = emul_jmp,
	[X86_OP_LEA] = emul_lea,
	[X86_OP_LODS] = emul_lods,
	[X86_OP_LZCNT] = emul_bit_scan,
	[X86_OP_MOV] = emul_mov,
	[X86_OP_MOVBE] = emul_movbe,
	[X86_OP_MOVHPS] = emul_movhps,
	[X86_OP_MOVLPS] = emul_movlps,
	[X86_OP_MOVS] = emul_movs,
	[X86_OP_MOVSX] = emul_movsx,
	[X86_OP_MOVV] = emul_movv,
	[X86_OP_MOVZX] = emul_mov,
	[X86_OP_MUL] = emul_mul,
	[X86_OP_NEG] = emul_unary,
	[X86_OP_NOT] = emul_unary,
	[X86_OP_OR] = emul_binary,
	[X86_OP_OUTS] = emul_outs,
	[X86_OP_POP] = emul_pop,
	[X86_OP_POPCNT] = emul_popcnt,
	[X86_OP_PUSH] = emul_push,
	[X86_OP_RCL] = emul_binary,
	[X86_OP_RCR] = emul_binary,
	[X86_OP_RET] = emul_ret,
	[X86_OP_ROL] = emul_binary,
	[X86_OP_ROR] = emul_binary,
	[X86_OP_SAR] = emul_binary,
	[X86_OP_SBB] = emul_binary,
	[X86_OP_SCAS] = emul_scas,
	[X86_OP_SET] = emul_setcc,
	[X86_OP_SHL] = emul_binary,
	[X86_OP_SHLD] = emul_double_shift,
	[X86_OP_SHR] = emul_binary,
	[X86_OP_SHRD] = emul_double_shift,
	[X86_OP_STOS] = emul_stos,
	[X86_OP_SUB] = emul_binary,
	[X86_OP_TEST] = emul_compare,
	[X86_OP_TZCNT] = emul_bit_scan,
	[X86_OP_XADD] = emul_xadd,
	[X86_OP_XCHG] = emul_xchg,
	[X86_OP_XOR] = emul_binary,
};

/* Its kernel-doc is in emulate.h. */
int x86_emulate(const struct x86_emul *e, const struct x86_insn *insn, struct x86_fault *fault)
{
	void *priv = e->cpu->priv;
	struct emul_ctx c = {
		.e = e,
		.insn = insn,
		.fault = fault,
		.flags = e->rflags,
		.rip = x86_next_rip(insn->mode, e->cpu->rip, insn->len),
		.done = true,
		.atomic = insn->flags & X86_INSN_LOCK,
	};
	int ret;

	if (insn->op >= X86_NR_OPS || !emul_handlers[insn->op])
		return -EOPNOTSUPP;
	ret = emul_handlers[insn->op](&c);
	if (ret)
		return ret;

	/* "Instruction-Breakpoint Exception Condition": RF is set between iterations. */
	c.flags &= ~X86_EFLAGS_RF;
	if (!c.done)
		c.flags |= X86_EFLAGS_RF;
	if (c.flags != e->rflags)
		e->ops->set_rflags(priv, c.flags);
	e->ops->set_rip(priv, c.done ? c.rip : e->cpu->rip, c.done);
	return 0;
}
