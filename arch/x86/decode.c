// SPDX-License-Identifier: GPL-2.0
/*
 * x86 instruction decoder. Interface and rules: decode.h, pure.h.
 *
 * The tables below have one row for each form of an instruction and name it as
 * the manual does. Operands are written in the letters of the manual's
 * appendix "Opcode Map", sections "Codes for Addressing Method" and "Codes for
 * Operand Type"; a reader can hold the page beside the table. To add an
 * instruction, add its row; to add a kind of operand, add a letter.
 */
#include "decode.h"

/* Codes for addressing method. */
enum {
	METH_NONE,
	METH_E,		/* ModRM.rm: register or memory */
	METH_M,		/* ModRM.rm: memory only, mod = 3 is another row */
	METH_R,		/* ModRM.rm: register whatever mod is */
	METH_G,		/* ModRM.reg: general register */
	METH_C,		/* ModRM.reg: control register */
	METH_D,		/* ModRM.reg: debug register */
	METH_I,		/* immediate, sign-extended */
	METH_U,		/* immediate, zero-extended: a port or a vector */
	METH_O,		/* moffs: the address follows the opcode */
	METH_X,		/* DS:rSI, the segment can be overridden */
	METH_Y,		/* ES:rDI, it cannot */
	METH_RAX,	/* AL, AX, EAX, RAX */
	METH_RDX,
};

/* Codes for operand type. */
enum {
	WID_NONE,	/* the operand is an address only */
	WID_B,		/* byte */
	WID_W,		/* word */
	WID_D,		/* doubleword */
	WID_V,		/* operand size */
	WID_Z,		/* operand size, but doubleword for 64 bits */
	WID_Y,		/* quadword in 64-bit mode, else doubleword */
};

#define OPND(meth, wid)	((meth) << 4 | (wid))
#define OPND_METH(o)	((o) >> 4)
#define OPND_WID(o)	((o) & 0xf)

#define Eb	OPND(METH_E, WID_B)
#define Ew	OPND(METH_E, WID_W)
#define Ed	OPND(METH_E, WID_D)
#define Ev	OPND(METH_E, WID_V)
#define M	OPND(METH_M, WID_NONE)
#define Mw	OPND(METH_M, WID_W)
#define Ry	OPND(METH_R, WID_Y)
#define Rv	OPND(METH_R, WID_V)
#define Gb	OPND(METH_G, WID_B)
#define Gv	OPND(METH_G, WID_V)
#define Cy	OPND(METH_C, WID_Y)
#define Dy	OPND(METH_D, WID_Y)
#define Ib	OPND(METH_I, WID_B)
#define Iz	OPND(METH_I, WID_Z)
#define Ub	OPND(METH_U, WID_B)
#define Ob	OPND(METH_O, WID_B)
#define Ov	OPND(METH_O, WID_V)
#define Xb	OPND(METH_X, WID_B)
#define Xz	OPND(METH_X, WID_Z)
#define Yb	OPND(METH_Y, WID_B)
#define Yz	OPND(METH_Y, WID_Z)
#define AL	OPND(METH_RAX, WID_B)
#define eAX	OPND(METH_RAX, WID_Z)
#define rAX	OPND(METH_RAX, WID_V)
#define DX	OPND(METH_RDX, WID_W)

/* Row flags beyond the public X86_INSN_*, in the upper byte. */
#define ROW_PUBLIC	0xff
#define ROW_LOCK	(1 << 8)	/* LOCK is legal with a memory destination */
#define ROW_NO64	(1 << 9)	/* #UD in 64-bit mode */
#define ROW_ONLY64	(1 << 10)	/* another instruction elsewhere */
#define ROW_F3		(1 << 11)	/* F3 is part of the opcode */
#define ROW_BYTE	(1 << 12)	/* operand size is one byte */
#define ROW_NO_OP16	(1 << 13)	/* not with 16-bit operand size */
#define ROW_NO_REXB	(1 << 14)	/* with REX.B another instruction */

#define MODRM		X86_INSN_MODRM
#define CPL0		X86_INSN_CPL0
#define STRING		X86_INSN_STRING
#define NO64		ROW_NO64
#define ONLY64		ROW_ONLY64
#define F3		ROW_F3
#define BYTE		ROW_BYTE
#define NO_OP16		ROW_NO_OP16
#define NO_REXB		ROW_NO_REXB

/**
 * struct x86_row - one form of an instruction
 * @name: its name in the manual; NULL ends a group
 * @group: rows among which the ModRM byte or a prefix chooses, first match;
 *	of the row itself only MODRM in @flags counts
 * @op: enum x86_op
 * @opnd: operands, destination first
 * @modrm_mask: bits of ModRM that must be as in @modrm
 * @modrm: the digit of the manual's "/digit", or a whole byte
 * @flags: X86_INSN_* and ROW_*
 */
struct x86_row {
	const char *name;
	const struct x86_row *group;
	u8 op;
	u8 opnd[2];
	u8 modrm_mask;
	u8 modrm;
	u16 flags;
};

#define ROW3(_name, _op, _flags, _dst, _src, ...)			\
	{ .name = _name, .op = X86_OP_##_op, .opnd = { _dst, _src },	\
	  .flags = (_flags) }
/* ROW(name, op, flags, destination, source): operands that lack are 0. */
#define ROW(...)	ROW3(__VA_ARGS__, 0, 0, 0)

#define DIGIT_ROW3(_digit, _name, _op, _flags, _dst, _src, ...)		\
	{ .name = _name, .op = X86_OP_##_op, .opnd = { _dst, _src },	\
	  .modrm_mask = 0x38, .modrm = (_digit) << 3, .flags = (_flags) }
#define DIGIT(...)	DIGIT_ROW3(__VA_ARGS__, 0, 0, 0)

#define BYTE_ROW(_modrm, _name, _op, _flags)				\
	{ .name = _name, .op = X86_OP_##_op, .modrm_mask = 0xff,	\
	  .modrm = (_modrm), .flags = (_flags) }

#define GROUP(_rows, _flags)	{ .group = (_rows), .flags = (_flags) }
#define END_OF_GROUP		{ .name = NULL }

static const struct x86_row group_90[] = {
	/* F3 with REX.B exchanges rAX and R8 like 90 without F3. */
	ROW("PAUSE", PAUSE, F3 | NO_REXB),
	END_OF_GROUP
};

static const struct x86_row group_c6[] = {
	DIGIT(0, "MOV", MOV, BYTE, Eb, Ib),
	END_OF_GROUP
};

static const struct x86_row group_c7[] = {
	DIGIT(0, "MOV", MOV, 0, Ev, Iz),
	END_OF_GROUP
};

/* Whole bytes stand before the digits that contain them. */
static const struct x86_row group_0f01[] = {
	BYTE_ROW(0xc1, "VMCALL", VMCALL, 0),
	BYTE_ROW(0xc8, "MONITOR", MONITOR, 0),
	BYTE_ROW(0xc9, "MWAIT", MWAIT, 0),
	BYTE_ROW(0xd1, "XSETBV", XSETBV, CPL0),
	BYTE_ROW(0xd9, "VMMCALL", VMMCALL, 0),
	BYTE_ROW(0xf9, "RDTSCP", RDTSCP, 0),
	BYTE_ROW(0xfa, "MONITORX", MONITOR, 0),
	BYTE_ROW(0xfb, "MWAITX", MWAIT, 0),
	DIGIT(4, "SMSW", SMSW, 0, Mw),
	DIGIT(4, "SMSW", SMSW, 0, Rv),
	DIGIT(6, "LMSW", LMSW, CPL0, Ew),
	DIGIT(7, "INVLPG", INVLPG, CPL0, M),
	END_OF_GROUP
};

static const struct x86_row group_0f09[] = {
	ROW("WBNOINVD", WBINVD, CPL0 | F3),
	ROW("WBINVD", WBINVD, CPL0),
	END_OF_GROUP
};

static const struct x86_row one_byte[256] = {
	/*
	 * With 16-bit operand size Intel reads two bytes and AMD four: left
	 * out, both manuals discourage it.
	 */
	[0x63] = ROW("MOVSXD", MOVSX, MODRM | ONLY64 | NO_OP16, Gv, Ed),
	[0x6c] = ROW("INS", INS, BYTE | STRING, Yb, DX),
	[0x6d] = ROW("INS", INS, STRING, Yz, DX),
	[0x6e] = ROW("OUTS", OUTS, BYTE | STRING, DX, Xb),
	[0x6f] = ROW("OUTS", OUTS, STRING, DX, Xz),
	[0x88] = ROW("MOV", MOV, MODRM | BYTE, Eb, Gb),
	[0x89] = ROW("MOV", MOV, MODRM, Ev, Gv),
	[0x8a] = ROW("MOV", MOV, MODRM | BYTE, Gb, Eb),
	[0x8b] = ROW("MOV", MOV, MODRM, Gv, Ev),
	[0x90] = GROUP(group_90, 0),
	[0xa0] = ROW("MOV", MOV, BYTE, AL, Ob),
	[0xa1] = ROW("MOV", MOV, 0, rAX, Ov),
	[0xa2] = ROW("MOV", MOV, BYTE, Ob, AL),
	[0xa3] = ROW("MOV", MOV, 0, Ov, rAX),
	[0xc6] = GROUP(group_c6, MODRM),
	[0xc7] = GROUP(group_c7, MODRM),
	[0xcc] = ROW("INT3", INT, 0),
	[0xcd] = ROW("INT n", INT, 0, Ub),
	[0xce] = ROW("INTO", INT, NO64),
	[0xe4] = ROW("IN", IN, BYTE, AL, Ub),
	[0xe5] = ROW("IN", IN, 0, eAX, Ub),
	[0xe6] = ROW("OUT", OUT, BYTE, Ub, AL),
	[0xe7] = ROW("OUT", OUT, 0, Ub, eAX),
	[0xec] = ROW("IN", IN, BYTE, AL, DX),
	[0xed] = ROW("IN", IN, 0, eAX, DX),
	[0xee] = ROW("OUT", OUT, BYTE, DX, AL),
	[0xef] = ROW("OUT", OUT, 0, DX, eAX),
	[0xf1] = ROW("INT1", INT, 0),
	[0xf4] = ROW("HLT", HLT, CPL0),
};

/* 0F xx */
static const struct x86_row two_byte[256] = {
	[0x01] = GROUP(group_0f01, MODRM),
	[0x06] = ROW("CLTS", CLTS, CPL0),
	[0x08] = ROW("INVD", INVD, CPL0),
	[0x09] = GROUP(group_0f09, 0),
	[0x20] = ROW("MOV to/from control registers", MOV_CR,
		     MODRM | CPL0, Ry, Cy),
	[0x21] = ROW("MOV to/from debug registers", MOV_DR,
		     MODRM | CPL0, Ry, Dy),
	[0x22] = ROW("MOV to/from control registers", MOV_CR,
		     MODRM | CPL0, Cy, Ry),
	[0x23] = ROW("MOV to/from debug registers", MOV_DR,
		     MODRM | CPL0, Dy, Ry),
	[0x30] = ROW("WRMSR", WRMSR, CPL0),
	[0x31] = ROW("RDTSC", RDTSC, 0),
	[0x32] = ROW("RDMSR", RDMSR, CPL0),
	[0x33] = ROW("RDPMC", RDPMC, 0),
	[0xa2] = ROW("CPUID", CPUID, 0),
	[0xb6] = ROW("MOVZX", MOVZX, MODRM, Gv, Eb),
	[0xb7] = ROW("MOVZX", MOVZX, MODRM, Gv, Ew),
	[0xbe] = ROW("MOVSX", MOVSX, MODRM, Gv, Eb),
	[0xbf] = ROW("MOVSX", MOVSX, MODRM, Gv, Ew),
};

/* REX bits ("REX Prefixes"). */
#define REX_B	(1 << 0)
#define REX_X	(1 << 1)
#define REX_R	(1 << 2)
#define REX_W	(1 << 3)

/* What one call carries from byte to byte; the result is in @insn. */
struct decoder {
	const u8 *bytes;
	unsigned int avail;
	struct x86_insn *insn;
	u8 seg;			/* override, SEG_DEFAULT when none */
	u8 rex;
	bool lock;
	bool opsize;		/* 66 */
	bool addrsize;		/* 67 */
	bool mod3;
};

#define SEG_DEFAULT	0xff

static int raise(struct x86_fault *fault, u8 vector, bool has_error_code)
{
	*fault = (struct x86_fault) {
		.vector = vector,
		.has_error_code = has_error_code,
	};
	return -EINVAL;
}

static int raise_ud(struct decoder *d)
{
	return raise(&d->insn->fault, X86_VEC_UD, false);
}

/* The next @n bytes, little-endian, sign-extended to 64 bits. */
static int fetch(struct decoder *d, unsigned int n, u64 *val)
{
	unsigned int pos = d->insn->len;
	unsigned int i;

	/*
	 * A short buffer comes first: a fault on fetching a byte within the
	 * limit precedes the complaint about a byte beyond it.
	 */
	if (d->avail < X86_INSN_MAX && pos + n > d->avail)
		return -EAGAIN;
	if (pos + n > X86_INSN_MAX)
		return raise(&d->insn->fault, X86_VEC_GP, true);

	*val = d->bytes[pos + n - 1] & 0x80 ? ~0ULL : 0;
	for (i = n; i-- > 0; )
		*val = *val << 8 | d->bytes[pos + i];
	d->insn->len += n;
	return 0;
}

static int fetch_u8(struct decoder *d, u8 *val)
{
	u64 wide;
	int ret = fetch(d, 1, &wide);

	if (!ret)
		*val = wide;
	return ret;
}

/*
 * "Instruction Prefixes" and "REX Prefixes". Leaves the first opcode byte in
 * @opcode.
 */
static int decode_prefixes(struct decoder *d, u8 *opcode)
{
	struct x86_insn *insn = d->insn;
	bool long_mode = insn->mode == X86_MODE_64;
	int ret;

	for (;;) {
		u8 b;

		ret = fetch_u8(d, &b);
		if (ret)
			return ret;

		switch (b) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/*
			 * In 64-bit mode these are null prefixes: they do not
			 * even cancel an FS or GS override before them.
			 */
			if (!long_mode)
				d->seg = (b >> 3) & 3;
			break;
		case 0x64:
		case 0x65:
			d->seg = b - 0x64 + X86_SEG_FS;
			break;
		case 0x66:
			d->opsize = true;
			break;
		case 0x67:
			d->addrsize = true;
			break;
		case 0xf0:
			d->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			insn->flags &= ~(X86_INSN_REP | X86_INSN_REPNE);
			insn->flags |= b == 0xf3 ? X86_INSN_REP :
						   X86_INSN_REPNE;
			break;
		default:
			if (long_mode && (b & 0xf0) == 0x40) {
				d->rex = b;
				continue;
			}
			*opcode = b;
			return 0;
		}
		/* REX counts only directly before the opcode. */
		d->rex = 0;
	}
}

static void set_sizes(struct decoder *d)
{
	struct x86_insn *insn = d->insn;

	switch (insn->mode) {
	case X86_MODE_64:
		insn->op_size = d->opsize ? 2 : 4;
		if (d->rex & REX_W)
			insn->op_size = 8;
		insn->addr_size = d->addrsize ? 4 : 8;
		break;
	case X86_MODE_32:
		insn->op_size = d->opsize ? 2 : 4;
		insn->addr_size = d->addrsize ? 2 : 4;
		break;
	case X86_MODE_16:
		insn->op_size = d->opsize ? 4 : 2;
		insn->addr_size = d->addrsize ? 4 : 2;
		break;
	}
	if (d->rex)
		insn->flags |= X86_INSN_REX;
}

static bool row_matches(const struct decoder *d, const struct x86_row *row)
{
	const struct x86_insn *insn = d->insn;

	if ((insn->modrm & row->modrm_mask) != row->modrm)
		return false;
	if (row->flags & ROW_F3 && !(insn->flags & X86_INSN_REP))
		return false;
	if (row->flags & ROW_ONLY64 && insn->mode != X86_MODE_64)
		return false;
	if (row->flags & ROW_NO_OP16 && insn->op_size == 2)
		return false;
	if (row->flags & ROW_NO_REXB && d->rex & REX_B)
		return false;
	if (d->mod3 && (OPND_METH(row->opnd[0]) == METH_M ||
			OPND_METH(row->opnd[1]) == METH_M))
		return false;
	return true;
}

/* Opcode and ModRM byte to table row. */
static int find_row(struct decoder *d, u8 opcode, const struct x86_row **res)
{
	struct x86_insn *insn = d->insn;
	const struct x86_row *row = &one_byte[opcode];
	int ret;

	if (opcode == 0x0f) {
		ret = fetch_u8(d, &opcode);
		if (ret)
			return ret;
		row = &two_byte[opcode];
	}
	insn->opcode = opcode;

	if (row->flags & MODRM) {
		ret = fetch_u8(d, &insn->modrm);
		if (ret)
			return ret;
		insn->flags |= X86_INSN_MODRM;
		d->mod3 = insn->modrm >> 6 == 3;
	}

	if (row->group) {
		row = row->group;
		while (row->name && !row_matches(d, row))
			row++;
	}
	if (!row->name || !row_matches(d, row))
		return -EOPNOTSUPP;
	*res = row;
	return 0;
}

/* "16-Bit Addressing Forms with the ModR/M Byte". */
static int decode_mem16(struct decoder *d)
{
	static const u8 base[8] = {
		X86_GPR_RBX, X86_GPR_RBX, X86_GPR_RBP, X86_GPR_RBP,
		X86_GPR_RSI, X86_GPR_RDI, X86_GPR_RBP, X86_GPR_RBX,
	};
	static const u8 index[8] = {
		X86_GPR_RSI, X86_GPR_RDI, X86_GPR_RSI, X86_GPR_RDI,
		X86_GPR_NONE, X86_GPR_NONE, X86_GPR_NONE, X86_GPR_NONE,
	};
	struct x86_mem *mem = &d->insn->mem;
	u8 mod = d->insn->modrm >> 6;
	u8 rm = d->insn->modrm & 7;

	if (mod == 0 && rm == 6)
		return fetch(d, 2, &mem->disp);

	mem->base = base[rm];
	mem->index = index[rm];
	if (mem->base == X86_GPR_RBP)
		mem->seg = X86_SEG_SS;
	return mod ? fetch(d, mod, &mem->disp) : 0;
}

/*
 * "32-Bit Addressing Forms with the ModR/M Byte" and "... with the SIB Byte";
 * 64-bit addresses have the same forms ("RIP-Relative Addressing" apart).
 */
static int decode_mem32(struct decoder *d)
{
	struct x86_mem *mem = &d->insn->mem;
	u8 mod = d->insn->modrm >> 6;
	u8 base = d->insn->modrm & 7;
	bool has_sib = base == 4;

	if (has_sib) {
		u8 sib, index;
		int ret = fetch_u8(d, &sib);

		if (ret)
			return ret;
		base = sib & 7;
		mem->scale = sib >> 6;
		/* 4 means no index; 12 is R12: REX.X is part of the number. */
		index = ((sib >> 3) & 7) | (d->rex & REX_X ? 8 : 0);
		if (index != 4)
			mem->index = index;
	}

	/* Base 5 without displacement: none. REX.B does not count here. */
	if (mod == 0 && base == 5) {
		mem->rip_rel = !has_sib && d->insn->mode == X86_MODE_64;
		return fetch(d, 4, &mem->disp);
	}

	mem->base = base | (d->rex & REX_B ? 8 : 0);
	if (mem->base == X86_GPR_RSP || mem->base == X86_GPR_RBP)
		mem->seg = X86_SEG_SS;
	if (mod == 0)
		return 0;
	return fetch(d, mod == 1 ? 1 : 4, &mem->disp);
}

static int decode_mem(struct decoder *d)
{
	return d->insn->addr_size == 2 ? decode_mem16(d) : decode_mem32(d);
}

static u8 operand_size(const struct decoder *d, unsigned int width)
{
	const struct x86_insn *insn = d->insn;

	switch (width) {
	case WID_B:
		return 1;
	case WID_W:
		return 2;
	case WID_D:
		return 4;
	case WID_V:
		return insn->op_size;
	case WID_Z:
		return insn->op_size == 8 ? 4 : insn->op_size;
	case WID_Y:
		return insn->mode == X86_MODE_64 ? 8 : 4;
	}
	return 0;
}

static void set_reg(struct decoder *d, struct x86_opnd *opnd, u8 reg)
{
	opnd->kind = X86_OPND_REG;
	opnd->reg = reg;
	/* Any REX prefix turns AH, CH, DH, BH into SPL, BPL, SIL, DIL. */
	if (opnd->size == 1 && !d->rex && reg >= 4) {
		opnd->reg = reg - 4;
		opnd->high = true;
	}
}

static int decode_operand(struct decoder *d, u8 spec, struct x86_opnd *opnd)
{
	struct x86_insn *insn = d->insn;
	u8 reg = ((insn->modrm >> 3) & 7) | (d->rex & REX_R ? 8 : 0);
	u8 rm = (insn->modrm & 7) | (d->rex & REX_B ? 8 : 0);

	opnd->size = operand_size(d, OPND_WID(spec));

	switch (OPND_METH(spec)) {
	case METH_E:
	case METH_M:
		if (d->mod3) {
			set_reg(d, opnd, rm);
			return 0;
		}
		opnd->kind = X86_OPND_MEM;
		return decode_mem(d);
	case METH_R:
		set_reg(d, opnd, rm);
		return 0;
	case METH_G:
		set_reg(d, opnd, reg);
		return 0;
	case METH_C:
		opnd->kind = X86_OPND_CR;
		opnd->reg = reg;
		/*
		 * AMD: LOCK MOV CR0 is MOV CR8 (AltMovCr8), to reach CR8
		 * without REX. Intel raises #UD, so nobody asks there.
		 */
		if (d->lock)
			opnd->reg |= 8;
		return 0;
	case METH_D:
		opnd->kind = X86_OPND_DR;
		opnd->reg = reg;
		return 0;
	case METH_O:
		opnd->kind = X86_OPND_MEM;
		return fetch(d, insn->addr_size, &insn->mem.disp);
	case METH_X:
		opnd->kind = X86_OPND_MEM;
		insn->mem.base = X86_GPR_RSI;
		return 0;
	case METH_Y:
		opnd->kind = X86_OPND_MEM;
		insn->mem.base = X86_GPR_RDI;
		return 0;
	case METH_RAX:
		set_reg(d, opnd, X86_GPR_RAX);
		return 0;
	case METH_RDX:
		set_reg(d, opnd, X86_GPR_RDX);
		return 0;
	case METH_I:
	case METH_U:
		/* After all other operands: see decode_immediate(). */
		opnd->kind = X86_OPND_IMM;
		return 0;
	}
	return 0;
}

static int decode_immediate(struct decoder *d, u8 spec,
			    const struct x86_opnd *opnd)
{
	int ret;

	if (opnd->kind != X86_OPND_IMM)
		return 0;
	ret = fetch(d, opnd->size, &d->insn->imm);
	if (!ret && OPND_METH(spec) == METH_U)
		d->insn->imm &= 0xff;
	return ret;
}

/* What makes a complete instruction invalid. */
static bool is_undefined(const struct decoder *d, const struct x86_row *row)
{
	const struct x86_insn *insn = d->insn;
	unsigned int i;

	if (row->flags & ROW_NO64 && insn->mode == X86_MODE_64)
		return true;
	if (d->lock && insn->op != X86_OP_MOV_CR &&
	    !(row->flags & ROW_LOCK && insn->opnd[0].kind == X86_OPND_MEM))
		return true;

	for (i = 0; i < 2; i++) {
		u8 reg = insn->opnd[i].reg;

		/* CR0, CR2, CR3, CR4 and CR8 exist. */
		if (insn->opnd[i].kind == X86_OPND_CR &&
		    reg != 0 && reg != 2 && reg != 3 && reg != 4 && reg != 8)
			return true;
		/* DR4 and DR5 depend on CR4.DE, which is not known here. */
		if (insn->opnd[i].kind == X86_OPND_DR && reg > 7)
			return true;
	}
	return false;
}

int x86_decode(const u8 *bytes, unsigned int avail, enum x86_mode mode,
	       struct x86_insn *insn)
{
	struct decoder d = {
		.bytes = bytes,
		.avail = avail,
		.insn = insn,
		.seg = SEG_DEFAULT,
	};
	const struct x86_row *row;
	unsigned int i;
	u8 opcode;
	int ret;

	memset(insn, 0, sizeof(*insn));
	insn->mode = mode;
	insn->mem.base = X86_GPR_NONE;
	insn->mem.index = X86_GPR_NONE;
	insn->mem.seg = X86_SEG_DS;

	ret = decode_prefixes(&d, &opcode);
	if (ret)
		return ret;
	set_sizes(&d);
	ret = find_row(&d, opcode, &row);
	if (ret)
		return ret;

	insn->row = row;
	insn->name = row->name;
	insn->op = row->op;
	insn->flags |= row->flags & ROW_PUBLIC;
	if (row->flags & ROW_BYTE)
		insn->op_size = 1;

	for (i = 0; i < 2; i++) {
		ret = decode_operand(&d, row->opnd[i], &insn->opnd[i]);
		if (ret)
			return ret;
	}
	for (i = 0; i < 2; i++) {
		ret = decode_immediate(&d, row->opnd[i], &insn->opnd[i]);
		if (ret)
			return ret;
	}

	if (OPND_METH(row->opnd[0]) == METH_Y)
		insn->mem.seg = X86_SEG_ES;
	else if (d.seg != SEG_DEFAULT)
		insn->mem.seg = d.seg;

	if (is_undefined(&d, row))
		return raise_ud(&d);
	if (d.lock)
		insn->flags |= X86_INSN_LOCK;
	return 0;
}

static u64 cut(u64 val, unsigned int bytes)
{
	return bytes == 8 ? val : val & ((1ULL << 8 * bytes) - 1);
}

u64 x86_insn_ea(const struct x86_insn *insn, const struct x86_cpu *cpu)
{
	const struct x86_mem *mem = &insn->mem;
	u64 ea = mem->disp;

	if (mem->base != X86_GPR_NONE)
		ea += cpu->ops->get_gpr(cpu->priv, mem->base);
	if (mem->index != X86_GPR_NONE)
		ea += cpu->ops->get_gpr(cpu->priv, mem->index) << mem->scale;
	if (mem->rip_rel)
		ea += cpu->rip + insn->len;
	return cut(ea, insn->addr_size);
}

/* "Canonical Addressing": bit 47 (56) and all above it are equal. */
static bool is_canonical(const struct x86_cpu *cpu, u64 la)
{
	unsigned int shift = cpu->la57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(la << shift) >> shift) == la;
}

/* "Limit Checking" and "Type Checking". */
static bool segment_permits(const struct x86_cpu *cpu,
			    const struct x86_segment *s, u64 ea,
			    unsigned int size, bool write, bool *wrong_type)
{
	u64 last = ea + size - 1;
	bool is_data = !(s->ar & X86_AR_CODE);

	*wrong_type = false;
	if (s->ar & X86_AR_UNUSABLE)
		return false;

	if (cpu->prot) {
		/* Code segments are never writable, data always readable. */
		if (write ? !is_data || !(s->ar & X86_AR_WR) :
			    !is_data && !(s->ar & X86_AR_WR)) {
			*wrong_type = true;
			return false;
		}
		if (is_data && s->ar & X86_AR_DOWN) {
			u32 top = s->ar & X86_AR_DB ? 0xffffffff : 0xffff;

			return ea > s->limit && last <= top;
		}
	}
	return last <= s->limit;
}

int x86_seg_linear(const struct x86_cpu *cpu, unsigned int seg, u64 ea,
		   unsigned int size, bool write, u64 *la,
		   struct x86_fault *fault)
{
	u8 vector = seg == X86_SEG_SS ? X86_VEC_SS : X86_VEC_GP;
	struct x86_segment s;
	bool wrong_type;

	if (cpu->mode == X86_MODE_64) {
		/* ES, CS, SS and DS have base 0, no limit and no type. */
		if (seg >= X86_SEG_FS) {
			cpu->ops->get_segment(cpu->priv, seg, &s);
			ea += s.base;
		}
		if (!is_canonical(cpu, ea) || !is_canonical(cpu, ea + size - 1))
			return raise(fault, vector, true);
		*la = ea;
		return 0;
	}

	cpu->ops->get_segment(cpu->priv, seg, &s);
	if (!segment_permits(cpu, &s, ea, size, write, &wrong_type))
		return raise(fault, wrong_type ? X86_VEC_GP : vector,
			     cpu->prot);
	*la = (u32)(s.base + ea);
	return 0;
}

int x86_insn_linear(const struct x86_insn *insn, const struct x86_cpu *cpu,
		    unsigned int size, bool write, u64 *la,
		    struct x86_fault *fault)
{
	return x86_seg_linear(cpu, insn->mem.seg, x86_insn_ea(insn, cpu), size,
			      write, la, fault);
}

int x86_fetch_linear(const struct x86_cpu *cpu, u64 *la,
		     struct x86_fault *fault)
{
	struct x86_segment cs;
	u64 left;	/* bytes that can be fetched, less one */
	u32 ip;

	if (cpu->mode == X86_MODE_64) {
		u64 half = 1ULL << (cpu->la57 ? 56 : 47);

		if (!is_canonical(cpu, cpu->rip))
			return raise(fault, X86_VEC_GP, true);
		*la = cpu->rip;
		left = half - 1 - (cpu->rip & (half - 1));
	} else {
		ip = cpu->rip;
		cpu->ops->get_segment(cpu->priv, X86_SEG_CS, &cs);
		if (ip > cs.limit)
			return raise(fault, X86_VEC_GP, cpu->prot);
		*la = (u32)(cs.base + ip);
		left = cs.limit - ip;
	}
	return left < X86_INSN_MAX ? left + 1 : X86_INSN_MAX;
}
