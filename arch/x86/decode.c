// SPDX-License-Identifier: GPL-2.0
/*
 * x86 instruction decoder. Interface and rules: decode.h, pure.h.
 *
 * The instructions are in the tables of opcode.c.
 */
#include "opcode.h"

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
	bool vex;
	bool vex_l;
	bool vex_undefined;	/* a prefix before VEX that must not be there */
	u8 vex_v;		/* VEX.vvvv, not inverted */
	u32 prefix;		/* ROW_PREFIX: the one that is part of the opcode */
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
}

static u32 opcode_prefix(const struct decoder *d)
{
	if (d->insn->flags & X86_INSN_REP)
		return ROW_F3;
	if (d->insn->flags & X86_INSN_REPNE)
		return ROW_F2;
	return d->opsize ? ROW_66 : ROW_NP;
}

/*
 * "The VEX Prefix": of two bytes after C5, of three after C4. Its fields become what the prefixes
 * would be that it replaces.
 */
static int decode_vex(struct decoder *d, u8 opcode, const struct x86_row **table)
{
	static const u32 prefix[4] = { ROW_NP, ROW_66, ROW_F3, ROW_F2 };
	struct x86_insn *insn = d->insn;
	bool long_mode = insn->mode == X86_MODE_64;
	u8 map = 1, rex, b;
	int ret;

	ret = fetch_u8(d, &b);
	if (ret)
		return ret;
	/* With a memory operand it is LES or LDS, in modes that have these. */
	if (!long_mode && b < 0xc0)
		return -EOPNOTSUPP;

	d->vex = true;
	d->vex_undefined = d->rex || d->prefix != ROW_NP || d->lock;
	rex = b & 0x80 ? 0 : REX_R;
	if (opcode == 0xc4) {
		map = b & 0x1f;
		rex = ~b >> 5 & (REX_R | REX_X | REX_B);
		ret = fetch_u8(d, &b);
		if (ret)
			return ret;
		rex |= b & 0x80 ? REX_W : 0;
	}
	/* Outside 64-bit mode only the lower half of the registers is there. */
	d->rex = long_mode ? rex : 0;
	d->vex_v = ~b >> 3 & 0xf;
	d->vex_l = b & 4;
	d->prefix = prefix[b & 3];
	insn->flags |= X86_INSN_VEX;

	switch (map) {
	case 1:
		*table = x86_two_byte;
		return 0;
	case 2:
		*table = x86_three_byte_38;
		return 0;
	}
	return -EOPNOTSUPP;
}

static bool row_matches(const struct decoder *d, const struct x86_row *row)
{
	const struct x86_insn *insn = d->insn;
	unsigned int i;

	if ((insn->modrm & row->modrm_mask) != row->modrm)
		return false;
	if (row->flags & ROW_PREFIX && !(row->flags & d->prefix))
		return false;
	if (d->vex && !(row->flags & ROW_VEX))
		return false;
	if (row->flags & ROW_ONLY64 && insn->mode != X86_MODE_64)
		return false;
	if (row->flags & ROW_NO_OP16 && insn->op_size == 2)
		return false;
	if (row->flags & ROW_F64 && insn->mode == X86_MODE_64 && insn->op_size == 2)
		return false;
	if (row->flags & ROW_NO_REXB && d->rex & REX_B)
		return false;
	for (i = 0; d->mod3 && !(row->flags & ROW_MEM) && i < X86_NR_OPNDS; i++)
		if (OPND_METH(row->opnd[i]) == METH_M)
			return false;
	return true;
}

/* Opcode, with its escape bytes, and ModRM byte to table row. */
static int find_row(struct decoder *d, u8 opcode, const struct x86_row **res)
{
	const struct x86_row *table = x86_one_byte;
	struct x86_insn *insn = d->insn;
	const struct x86_row *row;
	int ret = 0;

	if (d->rex)
		insn->flags |= X86_INSN_REX;
	d->prefix = opcode_prefix(d);

	if (opcode == 0xc4 || opcode == 0xc5) {
		ret = decode_vex(d, opcode, &table);
		if (!ret)
			ret = fetch_u8(d, &opcode);
	} else if (opcode == 0x0f) {
		table = x86_two_byte;
		ret = fetch_u8(d, &opcode);
		if (!ret && opcode == 0x38) {
			table = x86_three_byte_38;
			ret = fetch_u8(d, &opcode);
		}
	}
	if (ret)
		return ret;
	row = &table[opcode];
	insn->opcode = opcode;
	set_sizes(d);

	if (row->flags & X86_INSN_MODRM) {
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
	case WID_Q:
		return 8;
	case WID_DQ:
		return 16;
	case WID_V:
		return insn->op_size;
	case WID_Z:
		return insn->op_size == 8 ? 4 : insn->op_size;
	case WID_Y:
		return d->rex & REX_W ? 8 : 4;
	case WID_2Y:
		return d->rex & REX_W ? 16 : 8;
	case WID_X:
		return d->vex_l ? 32 : 16;
	case WID_MODE:
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

/* What ModRM.rm says: memory, or register @reg of @kind. */
static int decode_rm(struct decoder *d, struct x86_opnd *opnd, u8 kind, u8 reg)
{
	if (!d->mod3) {
		opnd->kind = X86_OPND_MEM;
		return decode_mem(d);
	}
	if (kind == X86_OPND_REG) {
		set_reg(d, opnd, reg);
		return 0;
	}
	opnd->kind = kind;
	opnd->reg = reg;
	return 0;
}

static int decode_operand(struct decoder *d, u16 spec, struct x86_opnd *opnd)
{
	struct x86_insn *insn = d->insn;
	u8 reg = ((insn->modrm >> 3) & 7) | (d->rex & REX_R ? 8 : 0);
	u8 rm = (insn->modrm & 7) | (d->rex & REX_B ? 8 : 0);

	opnd->size = operand_size(d, OPND_WID(spec));

	switch (OPND_METH(spec)) {
	case METH_E:
	case METH_M:
		return decode_rm(d, opnd, X86_OPND_REG, rm);
	case METH_W:
		return decode_rm(d, opnd, X86_OPND_VEC, rm);
	case METH_Q:
		return decode_rm(d, opnd, X86_OPND_MMX, rm & 7);
	case METH_R:
		set_reg(d, opnd, rm);
		return 0;
	case METH_G:
		set_reg(d, opnd, reg);
		return 0;
	case METH_Z:
		set_reg(d, opnd, (insn->opcode & 7) | (d->rex & REX_B ? 8 : 0));
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
	case METH_S:
		opnd->kind = X86_OPND_SEG;
		opnd->reg = reg & 7;
		return 0;
	case METH_SREG:
		opnd->kind = X86_OPND_SEG;
		opnd->reg = insn->opcode >> 3 & 7;
		return 0;
	case METH_V:
		opnd->kind = X86_OPND_VEC;
		opnd->reg = reg;
		return 0;
	case METH_H:
		opnd->kind = X86_OPND_VEC;
		opnd->reg = insn->mode == X86_MODE_64 ? d->vex_v : d->vex_v & 7;
		return 0;
	case METH_P:
		opnd->kind = X86_OPND_MMX;
		opnd->reg = reg & 7;
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
	case METH_XY:
		opnd->kind = X86_OPND_ES_DI;
		return 0;
	case METH_RAX:
		set_reg(d, opnd, X86_GPR_RAX);
		return 0;
	case METH_RCX:
		set_reg(d, opnd, X86_GPR_RCX);
		return 0;
	case METH_RDX:
		set_reg(d, opnd, X86_GPR_RDX);
		return 0;
	case METH_ONE:
		opnd->kind = X86_OPND_IMM;
		insn->imm = 1;
		return 0;
	case METH_I:
	case METH_U:
		/* After all other operands: see decode_immediate(). */
		opnd->kind = X86_OPND_IMM;
		return 0;
	}
	return 0;
}

static int decode_immediate(struct decoder *d, u16 spec)
{
	struct x86_insn *insn = d->insn;
	unsigned int size = operand_size(d, OPND_WID(spec));
	int ret;

	switch (OPND_METH(spec)) {
	case METH_I:
		return fetch(d, size, &insn->imm);
	case METH_U:
		ret = fetch(d, size, &insn->imm);
		if (!ret)
			insn->imm &= size == 1 ? 0xff : 0xffff;
		return ret;
	}
	return 0;
}

static int decode_operands(struct decoder *d, const struct x86_row *row)
{
	unsigned int i, nr = 0;
	int ret = 0;

	for (i = 0; i < X86_NR_OPNDS && row->opnd[i] && !ret; i++)
		if (OPND_METH(row->opnd[i]) != METH_H || d->vex)
			ret = decode_operand(d, row->opnd[i], &d->insn->opnd[nr++]);
	for (i = 0; i < X86_NR_OPNDS && row->opnd[i] && !ret; i++)
		ret = decode_immediate(d, row->opnd[i]);
	return ret;
}

static bool has_operand(const struct x86_row *row, unsigned int meth)
{
	unsigned int i;

	for (i = 0; i < X86_NR_OPNDS; i++)
		if (OPND_METH(row->opnd[i]) == meth)
			return true;
	return false;
}

/* Registers that do not exist, or not for this. */
static bool is_undefined_reg(const struct x86_opnd *opnd, bool is_dest)
{
	u8 reg = opnd->reg;

	switch (opnd->kind) {
	case X86_OPND_CR:
		return reg != 0 && reg != 2 && reg != 3 && reg != 4 && reg != 8;
	case X86_OPND_DR:
		/* DR4 and DR5 depend on CR4.DE, which is not known here. */
		return reg > 7;
	case X86_OPND_SEG:
		return reg > X86_SEG_GS || (is_dest && reg == X86_SEG_CS);
	}
	return false;
}

/* What makes a complete instruction invalid. */
static bool is_undefined(const struct decoder *d, const struct x86_row *row)
{
	const struct x86_insn *insn = d->insn;
	unsigned int i;

	if (row->flags & ROW_NO64 && insn->mode == X86_MODE_64)
		return true;
	if (row->flags & ROW_MEM && d->mod3)
		return true;
	if (d->lock && insn->op != X86_OP_MOV_CR &&
	    !(row->flags & ROW_LOCK && insn->opnd[0].kind == X86_OPND_MEM))
		return true;
	if (d->vex && (d->vex_undefined || (row->flags & ROW_L0 && d->vex_l) ||
		       (d->vex_v && !has_operand(row, METH_H))))
		return true;
	for (i = 0; i < X86_NR_OPNDS; i++)
		if (is_undefined_reg(&insn->opnd[i], !i && insn->op != X86_OP_PUSH))
			return true;
	return false;
}

/* "Default 64-Bit Operand Size", and rows whose operands are bytes. */
static void set_row_size(struct x86_insn *insn, u32 flags)
{
	if (flags & ROW_BYTE)
		insn->op_size = 1;
	else if (flags & (ROW_D64 | ROW_F64) && insn->mode == X86_MODE_64 && insn->op_size == 4)
		insn->op_size = 8;
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
	u8 opcode;
	int ret;

	memset(insn, 0, sizeof(*insn));
	insn->mode = mode;
	insn->mem.base = X86_GPR_NONE;
	insn->mem.index = X86_GPR_NONE;
	insn->mem.seg = X86_SEG_DS;

	ret = decode_prefixes(&d, &opcode);
	if (!ret)
		ret = find_row(&d, opcode, &row);
	if (ret)
		return ret;

	insn->row = row;
	insn->name = row->name;
	insn->op = row->op;
	insn->flags |= row->flags & ROW_PUBLIC;
	set_row_size(insn, row->flags);

	ret = decode_operands(&d, row);
	if (ret)
		return ret;

	if (has_operand(row, METH_Y))
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
		ea += x86_gpr(cpu, mem->base);
	if (mem->index != X86_GPR_NONE)
		ea += x86_gpr(cpu, mem->index) << mem->scale;
	if (mem->rip_rel)
		ea += cpu->rip + insn->len;
	return cut(ea, insn->addr_size);
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
		if (!x86_is_canonical(cpu, ea) || !x86_is_canonical(cpu, ea + size - 1))
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

		if (!x86_is_canonical(cpu, cpu->rip))
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
