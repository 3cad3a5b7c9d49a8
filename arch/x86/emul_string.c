// SPDX-License-Identifier: GPL-2.0
/*
 * String instructions, one iteration at a time. Interface: emulate.h.
 */
#include "emul.h"

static bool is_repeated(const struct emul_ctx *c)
{
	return c->insn->flags & (X86_INSN_REP | X86_INSN_REPNE);
}

/* "REP/REPE/REPZ/REPNE/REPNZ": with count 0 nothing is done. */
static bool nothing_to_do(const struct emul_ctx *c)
{
	return is_repeated(c) && !emul_gpr(c, X86_GPR_RCX, c->insn->addr_size);
}

/* Where DS:rSI, or the segment of the override, points to. */
static int source(struct emul_ctx *c, unsigned int size, u64 *la)
{
	return emul_linear(c, c->insn->mem.seg, emul_gpr(c, X86_GPR_RSI, c->insn->addr_size), size,
			   false, la);
}

/* Where ES:rDI points to. */
static int destination(struct emul_ctx *c, unsigned int size, bool write, u64 *la)
{
	return emul_linear(c, X86_SEG_ES, emul_gpr(c, X86_GPR_RDI, c->insn->addr_size), size,
			   write, la);
}

static void advance(struct emul_ctx *c, unsigned int reg, unsigned int size)
{
	unsigned int width = c->insn->addr_size;
	u64 val = emul_gpr(c, reg, width);

	emul_set_gpr(c, reg, width, c->flags & X86_EFLAGS_DF ? val - size : val + size);
}

/* An iteration is complete; is it the last? */
static void count_down(struct emul_ctx *c)
{
	unsigned int width = c->insn->addr_size;
	u64 left;

	if (!is_repeated(c))
		return;
	left = emul_gpr(c, X86_GPR_RCX, width) - 1;
	emul_set_gpr(c, X86_GPR_RCX, width, left);
	c->done = !left;
}

/* CMPS and SCAS: REPE ends at a difference, REPNE at an equality. */
static void count_down_compare(struct emul_ctx *c)
{
	bool equal = c->flags & X86_EFLAGS_ZF;

	count_down(c);
	if (is_repeated(c) && equal != !!(c->insn->flags & X86_INSN_REP))
		c->done = true;
}

/**
 * emul_movs() - MOVS
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_movs(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size;
	u64 from, to, val = 0;
	int ret;

	if (nothing_to_do(c))
		return 0;
	ret = source(c, size, &from);
	if (!ret)
		ret = emul_read(c, from, &val, size, false);
	if (!ret)
		ret = destination(c, size, true, &to);
	if (!ret)
		ret = emul_write(c, to, &val, size);
	if (ret)
		return ret;
	advance(c, X86_GPR_RSI, size);
	advance(c, X86_GPR_RDI, size);
	count_down(c);
	return 0;
}

/**
 * emul_cmps() - CMPS
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_cmps(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size;
	u64 from, to, first = 0, second = 0;
	int ret;

	if (nothing_to_do(c))
		return 0;
	ret = source(c, size, &from);
	if (!ret)
		ret = destination(c, size, false, &to);
	if (!ret)
		ret = emul_read(c, from, &first, size, false);
	if (!ret)
		ret = emul_read(c, to, &second, size, false);
	if (ret)
		return ret;
	emul_compare_values(c, first, second, size);
	advance(c, X86_GPR_RSI, size);
	advance(c, X86_GPR_RDI, size);
	count_down_compare(c);
	return 0;
}

/**
 * emul_stos() - STOS
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_stos(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size;
	u64 la, val = emul_gpr(c, X86_GPR_RAX, size);
	int ret;

	if (nothing_to_do(c))
		return 0;
	ret = destination(c, size, true, &la);
	if (!ret)
		ret = emul_write(c, la, &val, size);
	if (ret)
		return ret;
	advance(c, X86_GPR_RDI, size);
	count_down(c);
	return 0;
}

/**
 * emul_lods() - LODS
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_lods(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size;
	u64 la, val = 0;
	int ret;

	if (nothing_to_do(c))
		return 0;
	ret = source(c, size, &la);
	if (!ret)
		ret = emul_read(c, la, &val, size, false);
	if (ret)
		return ret;
	emul_set_gpr(c, X86_GPR_RAX, size, val);
	advance(c, X86_GPR_RSI, size);
	count_down(c);
	return 0;
}

/**
 * emul_scas() - SCAS
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_scas(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size;
	u64 la, val = 0;
	int ret;

	if (nothing_to_do(c))
		return 0;
	ret = destination(c, size, false, &la);
	if (!ret)
		ret = emul_read(c, la, &val, size, false);
	if (ret)
		return ret;
	emul_compare_values(c, emul_gpr(c, X86_GPR_RAX, size), val, size);
	advance(c, X86_GPR_RDI, size);
	count_down_compare(c);
	return 0;
}

/**
 * emul_ins() - INS
 * @c: the instruction
 *
 * What a port gives cannot be read again: all that can fault comes before it.
 *
 * Return: 0 or an error.
 */
int emul_ins(struct emul_ctx *c)
{
	unsigned int size = c->insn->opnd[0].size;
	void *priv = c->e->cpu->priv;
	u32 val = 0;
	u64 la;
	int ret;

	if (nothing_to_do(c))
		return 0;
	ret = destination(c, size, true, &la);
	if (!ret)
		ret = emul_read(c, la, NULL, size, true);
	if (!ret)
		ret = c->e->ops->in(priv, emul_gpr(c, X86_GPR_RDX, 2), size, &val);
	if (!ret)
		ret = emul_write(c, la, &val, size);
	if (ret)
		return ret;
	advance(c, X86_GPR_RDI, size);
	count_down(c);
	return 0;
}

/**
 * emul_outs() - OUTS
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_outs(struct emul_ctx *c)
{
	unsigned int size = c->insn->opnd[1].size;
	void *priv = c->e->cpu->priv;
	u32 val = 0;
	u64 la;
	int ret;

	if (nothing_to_do(c))
		return 0;
	ret = source(c, size, &la);
	if (!ret)
		ret = emul_read(c, la, &val, size, false);
	if (!ret)
		ret = c->e->ops->out(priv, emul_gpr(c, X86_GPR_RDX, 2), size, val);
	if (ret)
		return ret;
	advance(c, X86_GPR_RSI, size);
	count_down(c);
	return 0;
}
