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

static bool is_any(unsigned int id, const unsigned int *ids)
{
	while (*ids && *ids != id)
		ids++;
	return *ids;
}

/* ES:rDI is their only memory operand. */
static bool is_ins(unsigned int id)
{
	static const unsigned int ids[] = {
		X86_INS_INSB, X86_INS_INSW, X86_INS_INSD, X86_INS_STOSB, X86_INS_STOSW,
		X86_INS_STOSD, X86_INS_STOSQ, X86_INS_SCASB, X86_INS_SCASW, X86_INS_SCASD,
		X86_INS_SCASQ, 0
	};

	return is_any(id, ids);
}

/* And their first or second. */
static bool is_movs(const cs_insn *c)
{
	return (c->detail->x86.opcode[0] & 0xfc) == 0xa4 && c->detail->x86.op_count == 2 &&
	       c->detail->x86.operands[0].type == X86_OP_MEM &&
	       c->detail->x86.operands[1].type == X86_OP_MEM;
}

static bool is_string(const cs_insn *c)
{
	unsigned char opcode = c->detail->x86.opcode[0];

	return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
	       (opcode >= 0xaa && opcode <= 0xaf);
}

static unsigned int segment(const cs_x86_op *op, const cs_insn *c)
{
	unsigned int base = op->mem.base;

	if (is_ins(c->id) || (is_movs(c) && (base == X86_REG_DI || base == X86_REG_EDI ||
					     base == X86_REG_RDI)))
		return X86_REG_ES;
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
	switch (base) {
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

static const struct {
	unsigned int id;
	const char *name;
} names[] = {
	{ X86_INS_INT, "INT n" }, { X86_INS_IN, "IN" }, { X86_INS_OUT, "OUT" },
	{ X86_INS_INT3, "INT3" }, { X86_INS_INT1, "INT1" }, { X86_INS_INTO, "INTO" },
	{ X86_INS_HLT, "HLT" }, { X86_INS_PAUSE, "PAUSE" }, { X86_INS_CLTS, "CLTS" },
	{ X86_INS_INVD, "INVD" }, { X86_INS_WBINVD, "WBINVD" }, { X86_INS_RDMSR, "RDMSR" },
	{ X86_INS_WRMSR, "WRMSR" }, { X86_INS_RDTSC, "RDTSC" }, { X86_INS_RDTSCP, "RDTSCP" },
	{ X86_INS_RDPMC, "RDPMC" }, { X86_INS_CPUID, "CPUID" }, { X86_INS_MONITOR, "MONITOR" },
	{ X86_INS_MWAIT, "MWAIT" }, { X86_INS_XSETBV, "XSETBV" }, { X86_INS_VMCALL, "VMCALL" },
	{ X86_INS_VMMCALL, "VMMCALL" }, { X86_INS_INVLPG, "INVLPG" }, { X86_INS_CLFLUSH, "CLFLUSH" },
	{ X86_INS_CLFLUSHOPT, "CLFLUSHOPT" }, { X86_INS_CLWB, "CLWB" },
	{ X86_INS_LMSW, "LMSW" },
	{ X86_INS_SMSW, "SMSW" }, { X86_INS_MOVZX, "MOVZX" }, { X86_INS_MOVSX, "MOVSX" },
	{ X86_INS_MOVSXD, "MOVSXD" }, { X86_INS_INSB, "INS" }, { X86_INS_INSW, "INS" },
	{ X86_INS_INSD, "INS" }, { X86_INS_OUTSB, "OUTS" }, { X86_INS_OUTSW, "OUTS" },
	{ X86_INS_OUTSD, "OUTS" }, { X86_INS_MOVSB, "MOVS" }, { X86_INS_MOVSW, "MOVS" },
	{ X86_INS_MOVSQ, "MOVS" }, { X86_INS_CMPSB, "CMPS" }, { X86_INS_CMPSW, "CMPS" },
	{ X86_INS_CMPSQ, "CMPS" }, { X86_INS_STOSB, "STOS" }, { X86_INS_STOSW, "STOS" },
	{ X86_INS_STOSD, "STOS" }, { X86_INS_STOSQ, "STOS" }, { X86_INS_LODSB, "LODS" },
	{ X86_INS_LODSW, "LODS" }, { X86_INS_LODSD, "LODS" }, { X86_INS_LODSQ, "LODS" },
	{ X86_INS_SCASB, "SCAS" }, { X86_INS_SCASW, "SCAS" }, { X86_INS_SCASD, "SCAS" },
	{ X86_INS_SCASQ, "SCAS" }, { X86_INS_ADD, "ADD" }, { X86_INS_OR, "OR" },
	{ X86_INS_ADC, "ADC" }, { X86_INS_SBB, "SBB" }, { X86_INS_AND, "AND" },
	{ X86_INS_SUB, "SUB" }, { X86_INS_XOR, "XOR" }, { X86_INS_CMP, "CMP" },
	{ X86_INS_ROL, "ROL" }, { X86_INS_ROR, "ROR" }, { X86_INS_RCL, "RCL" },
	{ X86_INS_RCR, "RCR" }, { X86_INS_SHL, "SHL" }, { X86_INS_SHR, "SHR" },
	{ X86_INS_SAL, "SAL" }, { X86_INS_SAR, "SAR" }, { X86_INS_BT, "BT" },
	{ X86_INS_BTS, "BTS" }, { X86_INS_BTR, "BTR" }, { X86_INS_BTC, "BTC" },
	{ X86_INS_TEST, "TEST" }, { X86_INS_NOT, "NOT" }, { X86_INS_NEG, "NEG" },
	{ X86_INS_MUL, "MUL" }, { X86_INS_IMUL, "IMUL" }, { X86_INS_DIV, "DIV" },
	{ X86_INS_IDIV, "IDIV" }, { X86_INS_INC, "INC" }, { X86_INS_DEC, "DEC" },
	{ X86_INS_BSF, "BSF" }, { X86_INS_BSR, "BSR" }, { X86_INS_TZCNT, "TZCNT" },
	{ X86_INS_LZCNT, "LZCNT" }, { X86_INS_POPCNT, "POPCNT" }, { X86_INS_LEA, "LEA" },
	{ X86_INS_MOVBE, "MOVBE" }, { X86_INS_SHLD, "SHLD" }, { X86_INS_SHRD, "SHRD" },
	{ X86_INS_XADD, "XADD" }, { X86_INS_XCHG, "XCHG" }, { X86_INS_CMPXCHG, "CMPXCHG" },
	{ X86_INS_CMPXCHG8B, "CMPXCHG8B" }, { X86_INS_CMPXCHG16B, "CMPXCHG8B" },
	{ X86_INS_PUSH, "PUSH" }, { X86_INS_POP, "POP" }, { X86_INS_MOVNTI, "MOVNTI" },
	{ X86_INS_CMOVA, "CMOVcc" }, { X86_INS_SETA, "SETcc" },
	{ X86_INS_CMOVAE, "CMOVcc" }, { X86_INS_SETAE, "SETcc" },
	{ X86_INS_CMOVB, "CMOVcc" }, { X86_INS_SETB, "SETcc" },
	{ X86_INS_CMOVBE, "CMOVcc" }, { X86_INS_SETBE, "SETcc" },
	{ X86_INS_CMOVE, "CMOVcc" }, { X86_INS_SETE, "SETcc" },
	{ X86_INS_CMOVG, "CMOVcc" }, { X86_INS_SETG, "SETcc" },
	{ X86_INS_CMOVGE, "CMOVcc" }, { X86_INS_SETGE, "SETcc" },
	{ X86_INS_CMOVL, "CMOVcc" }, { X86_INS_SETL, "SETcc" },
	{ X86_INS_CMOVLE, "CMOVcc" }, { X86_INS_SETLE, "SETcc" },
	{ X86_INS_CMOVNE, "CMOVcc" }, { X86_INS_SETNE, "SETcc" },
	{ X86_INS_CMOVNO, "CMOVcc" }, { X86_INS_SETNO, "SETcc" },
	{ X86_INS_CMOVNP, "CMOVcc" }, { X86_INS_SETNP, "SETcc" },
	{ X86_INS_CMOVNS, "CMOVcc" }, { X86_INS_SETNS, "SETcc" },
	{ X86_INS_CMOVO, "CMOVcc" }, { X86_INS_SETO, "SETcc" },
	{ X86_INS_CMOVP, "CMOVcc" }, { X86_INS_SETP, "SETcc" },
	{ X86_INS_CMOVS, "CMOVcc" }, { X86_INS_SETS, "SETcc" },
	{ X86_INS_MOVUPS, "MOVUPS" }, { X86_INS_VMOVUPS, "VMOVUPS" },
	{ X86_INS_MOVUPD, "MOVUPD" }, { X86_INS_VMOVUPD, "VMOVUPD" },
	{ X86_INS_MOVSS, "MOVSS" }, { X86_INS_VMOVSS, "VMOVSS" },
	{ X86_INS_MOVLPS, "MOVLPS" }, { X86_INS_VMOVLPS, "VMOVLPS" },
	{ X86_INS_MOVLPD, "MOVLPD" }, { X86_INS_VMOVLPD, "VMOVLPD" },
	{ X86_INS_MOVHPS, "MOVHPS" }, { X86_INS_VMOVHPS, "VMOVHPS" },
	{ X86_INS_MOVHPD, "MOVHPD" }, { X86_INS_VMOVHPD, "VMOVHPD" },
	{ X86_INS_MOVAPS, "MOVAPS" }, { X86_INS_VMOVAPS, "VMOVAPS" },
	{ X86_INS_MOVAPD, "MOVAPD" }, { X86_INS_VMOVAPD, "VMOVAPD" },
	{ X86_INS_MOVNTPS, "MOVNTPS" }, { X86_INS_VMOVNTPS, "VMOVNTPS" },
	{ X86_INS_MOVNTPD, "MOVNTPD" }, { X86_INS_VMOVNTPD, "VMOVNTPD" },
	{ X86_INS_MOVD, "MOVD" }, { X86_INS_VMOVD, "VMOVD" },
	{ X86_INS_MOVQ, "MOVQ" }, { X86_INS_VMOVQ, "VMOVQ" },
	{ X86_INS_MOVDQA, "MOVDQA" }, { X86_INS_VMOVDQA, "VMOVDQA" },
	{ X86_INS_MOVDQU, "MOVDQU" }, { X86_INS_VMOVDQU, "VMOVDQU" },
	{ X86_INS_MOVNTDQ, "MOVNTDQ" }, { X86_INS_VMOVNTDQ, "VMOVNTDQ" },
	{ X86_INS_MOVNTDQA, "MOVNTDQA" }, { X86_INS_VMOVNTDQA, "VMOVNTDQA" },
	{ X86_INS_LDDQU, "LDDQU" }, { X86_INS_VLDDQU, "VLDDQU" },
	{ X86_INS_MOVNTQ, "MOVNTQ" }, { X86_INS_VMOVSD, "VMOVSD" },
};

/* Mnemonic as the decoder names it; NULL when it has no rows for it. */
static const char *covered_name(const cs_insn *c)
{
	const cs_x86 *x = &c->detail->x86;
	unsigned int i;

	switch (c->id) {
	case X86_INS_MOV:
	case X86_INS_MOVABS:
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
	case X86_INS_CALL:
		/* FF /3 is not there. */
		return x->opcode[0] == 0xff && (x->modrm & 0x38) == 0x18 ? NULL : "CALL";
	case X86_INS_JMP:
		return x->opcode[0] == 0xff && (x->modrm & 0x38) == 0x20 ? "JMP" : NULL;
	case X86_INS_RET:
		return "RET";
	case X86_INS_MOVSD:
		return x->opcode[0] == 0xa5 ? "MOVS" : "MOVSD";
	case X86_INS_CMPSD:
		return x->opcode[0] == 0xa7 ? "CMPS" : NULL;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].id == c->id)
			return names[i].name;
	return NULL;
}

static u64 sign_extend(u64 val, unsigned int size)
{
	return size && size < 8 ? (long long)(val << (64 - 8 * size)) >> (64 - 8 * size) : val;
}

/*
 * Written in the operand's size; the decoder extends all but ports, vectors and what RET
 * releases.
 */
static u64 immediate(const cs_x86_op *op, const cs_insn *c)
{
	const cs_x86 *x = &c->detail->x86;

	switch (c->id) {
	case X86_INS_IN:
	case X86_INS_OUT:
	case X86_INS_INT:
		return op->imm & 0xff;
	case X86_INS_RET:
		return op->imm & 0xffff;
	case X86_INS_CALL:
		/* An address. */
		return sign_extend(op->imm - c->address - c->size, op->size);
	case X86_INS_PUSH:
		return sign_extend(op->imm, x->encoding.imm_size);
	}
	return sign_extend(op->imm, op->size);
}

/* The same text as insn_text(). */
static void add_insn(struct text *t, const cs_insn *c)
{
	const cs_x86 *x = &c->detail->x86;
	const char *name = covered_name(c);
	unsigned int i;

	if (x->prefix[0] == 0xf0)
		text_add(t, "LOCK ");
	if (is_string(c) && x->prefix[0] == 0xf3)
		text_add(t, "REP ");
	if (is_string(c) && x->prefix[0] == 0xf2)
		text_add(t, "REPNE ");
	text_add(t, "%s", name ? name : c->mnemonic);

	for (i = 0; i < x->op_count; i++) {
		const cs_x86_op *op = &x->operands[i];
		u64 mask = x->addr_size == 8 ? ~0ull :
					       (1ull << 8 * x->addr_size) - 1;
		u64 imm;

		text_add(t, i ? ", " : " ");
		switch (op->type) {
		case X86_OP_REG:
			add_reg(t, op->reg);
			break;
		case X86_OP_IMM:
			imm = immediate(op, c);
			text_add(t, "0x%llx", imm);
			break;
		case X86_OP_MEM:
			text_add(t, "%s[", c->id == X86_INS_INVLPG || c->id == X86_INS_LEA ? "" :
				 text_size(op->size));
			add_reg(t, segment(op, c));
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
