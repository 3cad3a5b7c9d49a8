/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A decoded instruction as text, with everything in it that the decoder found:
 *
 *	MOV dword [ds:rbx+rsi*4+0x10], eax
 *
 * Segments, sizes and zero displacements are always written, so that two
 * texts are equal when the operands are.
 */
#ifndef MINIKVM_UNIT_INSN_TEXT_H
#define MINIKVM_UNIT_INSN_TEXT_H

#include "../../arch/x86/decode.h"
#include "text.h"

static const char *const text_seg[] = { "es", "cs", "ss", "ds", "fs", "gs" };

static inline void text_gpr(struct text *t, unsigned int reg, unsigned int size,
			    bool high)
{
	static const char *const name[] = { "ax", "cx", "dx", "bx",
					    "sp", "bp", "si", "di" };

	if (high)
		text_add(t, "%ch", name[reg][0]);
	else if (reg >= 8)
		text_add(t, "r%u%s", reg,
			 size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "");
	else if (size == 1 && reg < 4)
		text_add(t, "%cl", name[reg][0]);
	else
		text_add(t, "%s%s%s", size == 8 ? "r" : size == 4 ? "e" : "",
			 name[reg], size == 1 ? "l" : "");
}

static inline void text_mem(struct text *t, const struct x86_insn *insn,
			    unsigned int size)
{
	const struct x86_mem *m = &insn->mem;

	text_add(t, "%s[%s:", text_size(size), text_seg[m->seg]);
	if (m->rip_rel)
		text_add(t, "%s+", insn->addr_size == 8 ? "rip" : "eip");
	if (m->base != X86_GPR_NONE) {
		text_gpr(t, m->base, insn->addr_size, false);
		text_add(t, "+");
	}
	if (m->index != X86_GPR_NONE) {
		text_gpr(t, m->index, insn->addr_size, false);
		text_add(t, "*%u+", 1 << m->scale);
	}
	/* Cut to the address size: what is above never counts. */
	text_add(t, "0x%llx]", insn->addr_size == 8 ? m->disp :
		 m->disp & ((1ULL << 8 * insn->addr_size) - 1));
}

static inline void insn_text(const struct x86_insn *insn, struct text *t)
{
	unsigned int i;

	memset(t, 0, sizeof(*t));
	if (insn->flags & X86_INSN_LOCK)
		text_add(t, "LOCK ");
	if (insn->flags & X86_INSN_STRING && insn->flags & X86_INSN_REP)
		text_add(t, "REP ");
	if (insn->flags & X86_INSN_STRING && insn->flags & X86_INSN_REPNE)
		text_add(t, "REPNE ");
	text_add(t, "%s%s", insn->flags & X86_INSN_VEX ? "V" : "", insn->name);

	for (i = 0; i < X86_NR_OPNDS; i++) {
		const struct x86_opnd *o = &insn->opnd[i];

		if (o->kind == X86_OPND_NONE)
			break;
		text_add(t, i ? ", " : " ");
		switch (o->kind) {
		case X86_OPND_REG:
			text_gpr(t, o->reg, o->size, o->high);
			break;
		case X86_OPND_MEM:
			text_mem(t, insn, o->size);
			break;
		case X86_OPND_IMM:
			text_add(t, "0x%llx", insn->imm);
			break;
		case X86_OPND_CR:
			text_add(t, "cr%u", o->reg);
			break;
		case X86_OPND_DR:
			text_add(t, "dr%u", o->reg);
			break;
		case X86_OPND_SEG:
			text_add(t, "%s", text_seg[o->reg]);
			break;
		case X86_OPND_VEC:
			text_add(t, "%cmm%u", o->size == 32 ? 'y' : 'x', o->reg);
			break;
		case X86_OPND_MMX:
			text_add(t, "mm%u", o->reg);
			break;
		case X86_OPND_ES_DI:
			text_add(t, "%s[es:", text_size(o->size));
			text_gpr(t, X86_GPR_RDI, insn->addr_size, false);
			text_add(t, "+0x0]");
			break;
		}
	}
}

#endif /* MINIKVM_UNIT_INSN_TEXT_H */
