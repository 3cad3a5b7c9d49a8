// SPDX-License-Identifier: GPL-2.0
/*
 * Moves of vector and MMX registers to and from memory. Interface: emulate.h.
 */
#include "emul.h"

static bool has_kind(const struct x86_insn *insn, unsigned int kind)
{
	unsigned int i;

	for (i = 0; i < X86_NR_OPNDS; i++)
		if (insn->opnd[i].kind == kind)
			return true;
	return false;
}

/* XCR0: the states of SSE and AVX. */
#define XCR0_AVX	(1 << 1 | 1 << 2)

/*
 * May the vector registers be used? Asked first by all handlers here.
 *
 * "Exception Classifications of SSE, AVX Instructions", "Effect of Emulation, Task Switched...":
 * #UD comes before #NM. VEX does not depend on CR0.EM, and is not there in real and
 * virtual-8086 mode.
 */
static int check_vec(struct emul_ctx *c)
{
	const struct x86_emul *e = c->e;
	bool undefined;

	if (c->insn->flags & X86_INSN_VEX)
		undefined = !e->cpu->prot || (e->xcr0 & XCR0_AVX) != XCR0_AVX;
	else if (has_kind(c->insn, X86_OPND_VEC))
		undefined = e->cr0 & X86_CR0_EM || !(e->cr4 & X86_CR4_OSFXSR);
	else if (has_kind(c->insn, X86_OPND_MMX))
		undefined = e->cr0 & X86_CR0_EM;
	else
		return 0;

	if (undefined)
		return emul_raise(c, X86_VEC_UD);
	if (e->cr0 & X86_CR0_TS)
		return emul_raise(c, X86_VEC_NM);
	return 0;
}

/* All of a vector register, or the half that there is without AVX. */
static void set_vec(struct emul_ctx *c, const struct x86_opnd *opnd, const struct x86_vec *val)
{
	c->e->ops->set_vec(c->e->cpu->priv, opnd->reg, val, opnd->size == 32 ? 32 : 16,
			   c->insn->flags & X86_INSN_VEX);
}

/* A source, extended by zeroes. */
static int get_source(struct emul_ctx *c, const struct x86_opnd *opnd, struct x86_vec *val)
{
	void *priv = c->e->cpu->priv;
	u64 low = 0;
	int ret;

	switch (opnd->kind) {
	case X86_OPND_MEM:
		ret = emul_mem(c, emul_ea(c), opnd->size, false);
		return ret ?: emul_read(c, c->la, val->b, opnd->size, false);
	case X86_OPND_VEC:
		c->e->ops->get_vec(priv, opnd->reg, val);
		memset(val->b + opnd->size, 0, sizeof(val->b) - opnd->size);
		return 0;
	case X86_OPND_MMX:
		low = c->e->ops->get_mmx(priv, opnd->reg);
		break;
	case X86_OPND_REG:
		low = emul_gpr(c, opnd->reg, 8);
		break;
	}
	memcpy(val->b, &low, opnd->size);
	return 0;
}

static int put_destination(struct emul_ctx *c, const struct x86_opnd *opnd,
			   const struct x86_vec *val)
{
	u64 low;
	int ret;

	memcpy(&low, val->b, sizeof(low));
	switch (opnd->kind) {
	case X86_OPND_MEM:
		ret = emul_mem(c, emul_ea(c), opnd->size, true);
		return ret ?: emul_write(c, c->la, val->b, opnd->size);
	case X86_OPND_VEC:
		set_vec(c, opnd, val);
		break;
	case X86_OPND_MMX:
		c->e->ops->set_mmx(c->e->cpu->priv, opnd->reg, low);
		break;
	case X86_OPND_REG:
		emul_set_gpr(c, opnd->reg, opnd->size, low);
		break;
	}
	return 0;
}

/**
 * emul_movv() - moves that extend the source by zeroes, to the end of an XMM or YMM register
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_movv(struct emul_ctx *c)
{
	struct x86_vec val = { };
	int ret;

	ret = check_vec(c);
	if (!ret)
		ret = get_source(c, &c->insn->opnd[1], &val);
	return ret ?: put_destination(c, &c->insn->opnd[0], &val);
}

/* Load 8 bytes at @offset of the first source: with VEX a register of its own, else the result. */
static int load_half(struct emul_ctx *c, unsigned int offset)
{
	const struct x86_opnd *dst = &c->insn->opnd[0];
	const struct x86_opnd *first = c->insn->flags & X86_INSN_VEX ? &c->insn->opnd[1] : dst;
	struct x86_vec val;
	int ret;

	c->e->ops->get_vec(c->e->cpu->priv, first->reg, &val);
	ret = emul_mem(c, emul_ea(c), 8, false);
	if (!ret)
		ret = emul_read(c, c->la, val.b + offset, 8, false);
	if (!ret)
		set_vec(c, dst, &val);
	return ret;
}

/**
 * emul_movlps() - MOVLPS and MOVLPD from memory
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_movlps(struct emul_ctx *c)
{
	return check_vec(c) ?: load_half(c, 0);
}

/**
 * emul_movhps() - MOVHPS and MOVHPD from and to memory
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_movhps(struct emul_ctx *c)
{
	struct x86_vec val;
	int ret;

	ret = check_vec(c);
	if (ret)
		return ret;
	if (c->insn->opnd[0].kind == X86_OPND_VEC)
		return load_half(c, 8);
	c->e->ops->get_vec(c->e->cpu->priv, c->insn->opnd[1].reg, &val);
	ret = emul_mem(c, emul_ea(c), 8, true);
	return ret ?: emul_write(c, c->la, val.b + 8, 8);
}
