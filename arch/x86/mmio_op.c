// SPDX-License-Identifier: GPL-2.0
/*
 * Plain MOV to and from a device. Interface: mmio_op.h.
 */
#include "mmio_op.h"

static u64 low_bytes(u64 val, unsigned int bytes)
{
	return bytes == 8 ? val : val & ((1ULL << 8 * bytes) - 1);
}

static bool is_plain_move(const struct x86_insn *insn)
{
	return insn->op == X86_OP_MOV || insn->op == X86_OP_MOVZX ||
	       insn->op == X86_OP_MOVSX;
}

int x86_emulate_mmio(const struct x86_insn *insn, const struct x86_cpu *cpu,
		     struct x86_mmio_op *op, struct x86_fault *fault)
{
	const struct x86_opnd *dst = &insn->opnd[0];
	const struct x86_opnd *src = &insn->opnd[1];
	u64 value;
	int ret;

	if (!is_plain_move(insn))
		return -EOPNOTSUPP;

	memset(op, 0, sizeof(*op));
	op->next_rip = x86_next_rip(insn->mode, cpu->rip, insn->len);

	if (dst->kind == X86_OPND_REG && src->kind == X86_OPND_MEM) {
		op->size = src->size;
		op->reg = dst->reg;
		op->reg_size = dst->size;
		op->high = dst->high;
		op->sign_extend = insn->op == X86_OP_MOVSX;
		return x86_insn_linear(insn, cpu, op->size, false, &op->gla,
				       fault);
	}

	if (dst->kind != X86_OPND_MEM)
		return -EOPNOTSUPP;
	op->is_write = true;
	op->size = dst->size;
	ret = x86_insn_linear(insn, cpu, op->size, true, &op->gla, fault);
	if (ret)
		return ret;

	switch (src->kind) {
	case X86_OPND_REG:
		value = cpu->ops->get_gpr(cpu->priv, src->reg);
		if (src->high)
			value >>= 8;
		break;
	case X86_OPND_IMM:
		value = insn->imm;
		break;
	default:
		return -EOPNOTSUPP;
	}
	op->value = low_bytes(value, op->size);
	return 0;
}

u64 x86_mmio_merge(const struct x86_mmio_op *op, u64 old, u64 data)
{
	unsigned int shift = 64 - 8 * op->size;

	/* The shift up drops what is above the size, the one down extends. */
	data <<= shift;
	data = op->sign_extend ? (u64)((s64)data >> shift) : data >> shift;

	switch (op->reg_size) {
	case 1:
		if (op->high)
			return (old & ~0xff00ULL) | (data & 0xff) << 8;
		return (old & ~0xffULL) | (data & 0xff);
	case 2:
		return (old & ~0xffffULL) | (data & 0xffff);
	case 4:
		return (u32)data;
	}
	return data;
}

void x86_mmio_complete(const struct x86_mmio_op *op, const struct x86_cpu *cpu,
		       u64 data)
{
	u64 old;

	if (op->is_write)
		return;
	old = cpu->ops->get_gpr(cpu->priv, op->reg);
	cpu->ops->set_gpr(cpu->priv, op->reg, x86_mmio_merge(op, old, data));
}
