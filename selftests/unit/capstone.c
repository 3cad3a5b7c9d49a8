// SPDX-License-Identifier: GPL-2.0
/*
 * Capstone as a second opinion on instructions, see capstone.h. It is alone
 * in this file because its header has names that decode.h has too.
 */
#ifdef HAVE_CAPSTONE

#include <capstone/capstone.h>

#include "capstone.h"

typedef unsigned long long u64;

static csh cs;
static cs_insn *insn;
static unsigned int code_size;

static void add_reg(struct text *t, unsigned int reg)
{
	const char *name = cs_reg_name(cs, reg);

	text_add(t, "%s", name ? name : "?");
}

static bool is_ins(unsigned int id)
{
	return id == X86_INS_INSB || id == X86_INS_INSW || id == X86_INS_INSD;
}

static bool is_string(unsigned int id)
{
	return is_ins(id) || id == X86_INS_OUTSB || id == X86_INS_OUTSW ||
	       id == X86_INS_OUTSD;
}

static unsigned int segment(const cs_x86_op *op, unsigned int id)
{
	switch ((int)op->mem.segment) {
	case X86_REG_INVALID:
		break;
	case X86_REG_FS:
	case X86_REG_GS:
		return op->mem.segment;
	default:
		/* Capstone reports them in 64-bit mode too. */
		if (code_size != 64)
			return op->mem.segment;
	}
	if (is_ins(id))
		return X86_REG_ES;
	switch ((int)op->mem.base) {
	case X86_REG_BP:
	case X86_REG_EBP:
	case X86_REG_RBP:
	case X86_REG_SP:
	case X86_REG_ESP:
	case X86_REG_RSP:
		return X86_REG_SS;
	}
	return X86_REG_DS;
}

/* Mnemonic as the decoder names it; NULL when it has no rows for it. */
static const char *covered_name(const cs_insn *c)
{
	const cs_x86 *x = &c->detail->x86;
	unsigned int i;

	switch (c->id) {
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		/* No memory operand, no row: B0 to BF. */
		if ((x->opcode[0] & 0xf0) == 0xb0)
			return NULL;
		/* Segment registers. */
		if (x->opcode[0] == 0x8c || x->opcode[0] == 0x8e)
			return NULL;
		for (i = 0; i < x->op_count; i++) {
			unsigned int reg = x->operands[i].reg;

			if (x->operands[i].type != X86_OP_REG)
				continue;
			if (reg >= X86_REG_CR0 && reg <= X86_REG_CR15)
				return "MOV to/from control registers";
			if (reg >= X86_REG_DR0 && reg <= X86_REG_DR15)
				return "MOV to/from debug registers";
		}
		return "MOV";
	case X86_INS_MOVZX:
		return "MOVZX";
	case X86_INS_MOVSX:
		return "MOVSX";
	case X86_INS_MOVSXD:
		return "MOVSXD";
	case X86_INS_INSB:
	case X86_INS_INSW:
	case X86_INS_INSD:
		return "INS";
	case X86_INS_OUTSB:
	case X86_INS_OUTSW:
	case X86_INS_OUTSD:
		return "OUTS";
	case X86_INS_INT:
		return "INT n";
	case X86_INS_IN:
		return "IN";
	case X86_INS_OUT:
		return "OUT";
	case X86_INS_INT3:
		return "INT3";
	case X86_INS_INT1:
		return "INT1";
	case X86_INS_INTO:
		return "INTO";
	case X86_INS_HLT:
		return "HLT";
	case X86_INS_PAUSE:
		return "PAUSE";
	case X86_INS_CLTS:
		return "CLTS";
	case X86_INS_INVD:
		return "INVD";
	case X86_INS_WBINVD:
		return "WBINVD";
	case X86_INS_RDMSR:
		return "RDMSR";
	case X86_INS_WRMSR:
		return "WRMSR";
	case X86_INS_RDTSC:
		return "RDTSC";
	case X86_INS_RDTSCP:
		return "RDTSCP";
	case X86_INS_RDPMC:
		return "RDPMC";
	case X86_INS_CPUID:
		return "CPUID";
	case X86_INS_MONITOR:
		return "MONITOR";
	case X86_INS_MWAIT:
		return "MWAIT";
	case X86_INS_XSETBV:
		return "XSETBV";
	case X86_INS_VMCALL:
		return "VMCALL";
	case X86_INS_VMMCALL:
		return "VMMCALL";
	case X86_INS_INVLPG:
		return "INVLPG";
	case X86_INS_LMSW:
		return "LMSW";
	case X86_INS_SMSW:
		return "SMSW";
	}
	return NULL;
}

/* The same text as insn_text(). */
static void add_insn(struct text *t, const cs_insn *c)
{
	const cs_x86 *x = &c->detail->x86;
	const char *name = covered_name(c);
	unsigned int i;

	if (is_string(c->id) && x->prefix[0] == 0xf3)
		text_add(t, "REP ");
	if (is_string(c->id) && x->prefix[0] == 0xf2)
		text_add(t, "REPNE ");
	text_add(t, "%s", name ? name : c->mnemonic);

	for (i = 0; i < x->op_count; i++) {
		const cs_x86_op *op = &x->operands[i];
		u64 mask = x->addr_size == 8 ? ~0ull :
					       (1ull << 8 * x->addr_size) - 1;
		u64 imm = op->imm;

		text_add(t, i ? ", " : " ");
		switch (op->type) {
		case X86_OP_REG:
			add_reg(t, op->reg);
			break;
		case X86_OP_IMM:
			/*
			 * Written in the operand's size; the decoder extends
			 * all but ports and vectors.
			 */
			if (c->id != X86_INS_MOV)
				imm &= 0xff;
			else if (op->size < 8)
				imm = (long long)(imm << (64 - 8 * op->size)) >>
				      (64 - 8 * op->size);
			text_add(t, "0x%llx", imm);
			break;
		case X86_OP_MEM:
			text_add(t, "%s[", c->id == X86_INS_INVLPG ? "" :
				 text_size(op->size));
			add_reg(t, segment(op, c->id));
			text_add(t, ":");
			if (op->mem.base) {
				add_reg(t, op->mem.base);
				text_add(t, "+");
			}
			if (op->mem.index && op->mem.index != X86_REG_EIZ &&
			    op->mem.index != X86_REG_RIZ) {
				add_reg(t, op->mem.index);
				text_add(t, "*%d+", op->mem.scale);
			}
			text_add(t, "0x%llx]", (u64)op->mem.disp & mask);
			break;
		default:
			text_add(t, "?");
		}
	}
}

int capstone_open(unsigned int mode_bits)
{
	cs_mode mode = mode_bits == 16 ? CS_MODE_16 :
		       mode_bits == 32 ? CS_MODE_32 : CS_MODE_64;

	code_size = mode_bits;
	if (cs_open(CS_ARCH_X86, mode, &cs) != CS_ERR_OK)
		return -1;
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	insn = cs_malloc(cs);
	return 0;
}

void capstone_close(void)
{
	cs_free(insn, 1);
	cs_close(&cs);
}

void capstone_decode(const unsigned char *bytes, unsigned int n,
		     struct capstone_insn *res)
{
	const uint8_t *p = bytes;
	uint64_t addr = 0x1000;
	size_t left = n;

	memset(res, 0, sizeof(*res));
	if (!cs_disasm_iter(cs, &p, &left, &addr, insn))
		return;
	res->len = insn->size;
	res->covered = covered_name(insn);
	add_insn(&res->text, insn);
}

#endif /* HAVE_CAPSTONE */
