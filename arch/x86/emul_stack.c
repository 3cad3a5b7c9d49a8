// SPDX-License-Identifier: GPL-2.0
/*
 * PUSH and POP, and near JMP, CALL and RET: instructions whose stack, or where they find the
 * target, can be in a device. Interface: emulate.h.
 */
#include "emul.h"

/* "Stack Alignment", "Address-Size Attributes for Stack Accesses": bytes of RSP that count. */
static unsigned int stack_size(const struct emul_ctx *c)
{
	const struct x86_cpu *cpu = c->e->cpu;
	struct x86_segment ss;

	if (cpu->mode == X86_MODE_64)
		return 8;
	cpu->ops->get_segment(cpu->priv, X86_SEG_SS, &ss);
	return ss.ar & X86_AR_DB ? 4 : 2;
}

/* Write @val below the stack pointer, then move it by @step. */
static int push(struct emul_ctx *c, u64 val, unsigned int step, unsigned int size)
{
	unsigned int width = stack_size(c);
	u64 rsp = (emul_gpr(c, X86_GPR_RSP, width) - step) & emul_mask(width);
	u64 la;
	int ret;

	ret = emul_linear(c, X86_SEG_SS, rsp, size, true, &la);
	if (!ret)
		ret = emul_write(c, la, &val, size);
	if (!ret)
		emul_set_gpr(c, X86_GPR_RSP, width, rsp);
	return ret;
}

/* Read what is at the stack pointer, without moving it. */
static int read_stack(struct emul_ctx *c, u64 *val, unsigned int size, unsigned int width)
{
	u64 la;
	int ret;

	*val = 0;
	ret = emul_linear(c, X86_SEG_SS, emul_gpr(c, X86_GPR_RSP, width), size, false, &la);
	return ret ?: emul_read(c, la, val, size, false);
}

/**
 * emul_push() - PUSH
 * @c: the instruction
 *
 * Of a segment register with a 32-bit operand only 16 bits are written, as many CPUs do
 * ("PUSH").
 *
 * Return: 0 or an error.
 */
int emul_push(struct emul_ctx *c)
{
	unsigned int step = c->insn->op_size, size = step;
	u64 val;
	int ret;

	if (c->insn->opnd[0].kind == X86_OPND_SEG && size == 4)
		size = 2;
	ret = emul_get(c, 0, false, &val);
	return ret ?: push(c, val, step, size);
}

/**
 * emul_pop() - POP
 * @c: the instruction
 *
 * The stack pointer is moved before the destination is written: POP RSP loads what was read, and
 * an address with RSP is that of the moved one ("POP").
 *
 * Return: 0 or an error.
 */
int emul_pop(struct emul_ctx *c)
{
	const struct x86_opnd *dst = &c->insn->opnd[0];
	unsigned int step = c->insn->op_size, width = stack_size(c);
	u64 old = emul_gpr(c, X86_GPR_RSP, 8);
	u64 moved = old + step, val;
	int ret;

	ret = read_stack(c, &val, step, width);
	if (ret)
		return ret;
	if (width < 8)
		moved = (moved & emul_mask(width)) | (old & ~emul_mask(width));
	c->rsp_moved = moved - old;

	if (dst->kind == X86_OPND_REG) {
		emul_set_gpr(c, X86_GPR_RSP, width, moved);
		return emul_put(c, 0, val);
	}
	ret = emul_put(c, 0, val);
	if (!ret)
		emul_set_gpr(c, X86_GPR_RSP, width, moved);
	return ret;
}

/* Check the target of a near branch and go there when the instruction is complete. */
static int branch(struct emul_ctx *c, u64 target)
{
	struct x86_cpu there = *c->e->cpu;
	u64 la;
	int ret;

	there.rip = target & emul_mask(c->insn->op_size);
	ret = x86_fetch_linear(&there, &la, c->fault);
	if (ret < 0)
		return ret;
	c->rip = there.rip;
	return 0;
}

/* Where JMP and CALL go: what the operand holds, or an offset from the next instruction. */
static int branch_target(struct emul_ctx *c, u64 *target)
{
	int ret = emul_get(c, 0, false, target);

	if (c->insn->opnd[0].kind == X86_OPND_IMM)
		*target += c->rip;
	return ret;
}

/**
 * emul_jmp() - near JMP
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_jmp(struct emul_ctx *c)
{
	u64 target;

	return branch_target(c, &target) ?: branch(c, target);
}

/**
 * emul_call() - near CALL
 * @c: the instruction
 *
 * The target is checked before the stack ("CALL").
 *
 * Return: 0 or an error.
 */
int emul_call(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size;
	u64 next = c->rip, target;
	int ret;

	ret = branch_target(c, &target);
	if (!ret)
		ret = branch(c, target);
	return ret ?: push(c, next, size, size);
}

/**
 * emul_ret() - near RET, which can release some bytes of the stack
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_ret(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size, width = stack_size(c);
	u64 target;
	int ret;

	ret = read_stack(c, &target, size, width);
	if (!ret)
		ret = branch(c, target);
	if (!ret)
		emul_set_gpr(c, X86_GPR_RSP, width,
			     emul_gpr(c, X86_GPR_RSP, width) + size + c->insn->imm);
	return ret;
}
