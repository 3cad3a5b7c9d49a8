// SPDX-License-Identifier: GPL-2.0
/*
 * Arithmetic. Interface: emulate.h.
 *
 * The CPU itself computes: the guest's arithmetic flags are loaded, the same operation is executed
 * in the same size on registers, and the flags are read back. So the flags are right also
 * where the manual leaves them undefined.
 */
#include "emul.h"

/**
 * struct alu - registers for an operation
 * @dst: destination, and result; MUL and DIV: RAX
 * @src: source, in RCX: a shift count for those that want it in CL
 * @src2: SHLD: the second source; MUL and DIV: RDX
 * @flags: AH and AL as LAHF and SETO leave them
 * @size: bytes
 */
struct alu {
	u64 dst;
	u64 src;
	u64 src2;
	u32 flags;
	u8 size;
};

/*
 * OF by an addition that overflows or not, the others by SAHF, which does not touch it. Unlike
 * POPF these use no stack and touch no other flag. CPUs that can run this module have LAHF and
 * SAHF in 64-bit mode.
 */
#define LOAD_FLAGS	"addb $0x7f, %%al\n\tsahf\n\t"
#define SAVE_FLAGS	"\n\tlahf\n\tseto %%al"

/* The flags that LAHF reads. */
#define LAHF_FLAGS	(EMUL_ARITH & ~X86_EFLAGS_OF)

static u32 flags_to_ax(u64 flags)
{
	return (flags & LAHF_FLAGS) << 8 | (flags & X86_EFLAGS_OF ? 1 : 0);
}

static u64 flags_from_ax(u64 flags, u32 ax)
{
	flags &= ~EMUL_ARITH;
	return flags | (ax >> 8 & LAHF_FLAGS) | (ax & 1 ? X86_EFLAGS_OF : 0);
}

#define RUN(_a, _insn)								\
	asm(LOAD_FLAGS _insn SAVE_FLAGS						\
	    : "+&a"((_a)->flags), [dst] "+&r"((_a)->dst)			\
	    : [src] "c"((_a)->src), [src2] "r"((_a)->src2)			\
	    : "cc")

/* Operands by the letter of their size. */
#define DST(_l)			"%" #_l "[dst]"
#define SRC_DST(_l)		"%" #_l "[src], %" #_l "[dst]"
#define CL_DST(_l)		"%%cl, %" #_l "[dst]"
#define CL_SRC2_DST(_l)		"%%cl, %" #_l "[src2], %" #_l "[dst]"

#define RUN_WIDE(_a, _insn, _opnds)						\
	do {									\
		if ((_a)->size == 2)						\
			RUN(_a, _insn "w " _opnds(w));				\
		else if ((_a)->size == 4)					\
			RUN(_a, _insn "l " _opnds(k));				\
		else								\
			RUN(_a, _insn "q " _opnds(q));				\
	} while (0)

/* An instruction that has no form for bytes, and one that has. */
#define DEFINE_WIDE(_insn, _opnds)						\
static void alu_##_insn(struct alu *a)						\
{										\
	RUN_WIDE(a, #_insn, _opnds);						\
}

#define DEFINE_ALU(_insn, _opnds)						\
static void alu_##_insn(struct alu *a)						\
{										\
	if (a->size == 1)							\
		RUN(a, #_insn "b " _opnds(b));					\
	else									\
		RUN_WIDE(a, #_insn, _opnds);					\
}

DEFINE_ALU(add, SRC_DST)
DEFINE_ALU(or, SRC_DST)
DEFINE_ALU(adc, SRC_DST)
DEFINE_ALU(sbb, SRC_DST)
DEFINE_ALU(and, SRC_DST)
DEFINE_ALU(sub, SRC_DST)
DEFINE_ALU(xor, SRC_DST)
DEFINE_ALU(cmp, SRC_DST)
DEFINE_ALU(test, SRC_DST)
DEFINE_ALU(not, DST)
DEFINE_ALU(neg, DST)
DEFINE_ALU(inc, DST)
DEFINE_ALU(dec, DST)
DEFINE_ALU(rol, CL_DST)
DEFINE_ALU(ror, CL_DST)
DEFINE_ALU(rcl, CL_DST)
DEFINE_ALU(rcr, CL_DST)
DEFINE_ALU(shl, CL_DST)
DEFINE_ALU(shr, CL_DST)
DEFINE_ALU(sar, CL_DST)
DEFINE_WIDE(shld, CL_SRC2_DST)
DEFINE_WIDE(shrd, CL_SRC2_DST)
DEFINE_WIDE(bt, SRC_DST)
DEFINE_WIDE(bts, SRC_DST)
DEFINE_WIDE(btr, SRC_DST)
DEFINE_WIDE(btc, SRC_DST)
DEFINE_WIDE(bsf, SRC_DST)
DEFINE_WIDE(bsr, SRC_DST)
DEFINE_WIDE(tzcnt, SRC_DST)
DEFINE_WIDE(lzcnt, SRC_DST)
DEFINE_WIDE(imul, SRC_DST)

/* Those with RAX and RDX. The flags take RAX before and after. */
#define RUN_RAX(_a, _insn)							\
	asm(LOAD_FLAGS "mov %[rax], %%rax\n\t" _insn "\n\tmov %%rax, %[rax]" SAVE_FLAGS	\
	    : "+&a"((_a)->flags), [rax] "+&r"((_a)->dst), "+&d"((_a)->src2)	\
	    : [src] "r"((_a)->src)						\
	    : "cc")

#define DEFINE_RAX(_name, _insn)						\
static void alu_##_name(struct alu *a)						\
{										\
	switch (a->size) {							\
	case 1:									\
		RUN_RAX(a, _insn "b %b[src]");					\
		break;								\
	case 2:									\
		RUN_RAX(a, _insn "w %w[src]");					\
		break;								\
	case 4:									\
		RUN_RAX(a, _insn "l %k[src]");					\
		break;								\
	default:								\
		RUN_RAX(a, _insn "q %q[src]");					\
		break;								\
	}									\
}

DEFINE_RAX(mul, "mul")
DEFINE_RAX(imul1, "imul")
DEFINE_RAX(div, "div")
DEFINE_RAX(idiv, "idiv")

static void (*const alu_ops[X86_NR_OPS])(struct alu *a) = {
	[X86_OP_ADC] = alu_adc,
	[X86_OP_ADD] = alu_add,
	[X86_OP_AND] = alu_and,
	[X86_OP_BSF] = alu_bsf,
	[X86_OP_BSR] = alu_bsr,
	[X86_OP_BT] = alu_bt,
	[X86_OP_BTC] = alu_btc,
	[X86_OP_BTR] = alu_btr,
	[X86_OP_BTS] = alu_bts,
	[X86_OP_CMP] = alu_cmp,
	[X86_OP_DEC] = alu_dec,
	[X86_OP_DIV] = alu_div,
	[X86_OP_IDIV] = alu_idiv,
	[X86_OP_IMUL] = alu_imul,
	[X86_OP_IMUL1] = alu_imul1,
	[X86_OP_INC] = alu_inc,
	[X86_OP_LZCNT] = alu_lzcnt,
	[X86_OP_MUL] = alu_mul,
	[X86_OP_NEG] = alu_neg,
	[X86_OP_NOT] = alu_not,
	[X86_OP_OR] = alu_or,
	[X86_OP_RCL] = alu_rcl,
	[X86_OP_RCR] = alu_rcr,
	[X86_OP_ROL] = alu_rol,
	[X86_OP_ROR] = alu_ror,
	[X86_OP_SAR] = alu_sar,
	[X86_OP_SBB] = alu_sbb,
	[X86_OP_SHL] = alu_shl,
	[X86_OP_SHLD] = alu_shld,
	[X86_OP_SHR] = alu_shr,
	[X86_OP_SHRD] = alu_shrd,
	[X86_OP_SUB] = alu_sub,
	[X86_OP_TEST] = alu_test,
	[X86_OP_TZCNT] = alu_tzcnt,
	[X86_OP_XADD] = alu_add,
	[X86_OP_XOR] = alu_xor,
};

/* Compute; the flags go to @c. */
static void run(struct emul_ctx *c, struct alu *a)
{
	a->size = c->insn->op_size;
	a->flags = flags_to_ax(c->flags);
	alu_ops[c->insn->op](a);
	c->flags = flags_from_ax(c->flags, a->flags);
}

/**
 * emul_compare_values() - the flags of CMP
 * @c: the instruction
 * @first: from this
 * @second: this is subtracted
 * @size: bytes
 */
void emul_compare_values(struct emul_ctx *c, u64 first, u64 second, unsigned int size)
{
	struct alu a = {
		.dst = first,
		.src = second,
		.flags = flags_to_ax(c->flags),
		.size = size,
	};

	alu_cmp(&a);
	c->flags = flags_from_ax(c->flags, a.flags);
}

/**
 * emul_binary() - two operands, result in the first: ADD to XOR, shifts and rotates
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_binary(struct emul_ctx *c)
{
	struct alu a = { };
	int ret;

	ret = emul_get(c, 0, true, &a.dst);
	if (!ret)
		ret = emul_get(c, 1, false, &a.src);
	if (ret)
		return ret;
	run(c, &a);
	return emul_put(c, 0, a.dst);
}

/**
 * emul_compare() - CMP and TEST: flags only
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_compare(struct emul_ctx *c)
{
	struct alu a = { };
	int ret;

	ret = emul_get(c, 0, false, &a.dst);
	if (!ret)
		ret = emul_get(c, 1, false, &a.src);
	if (!ret)
		run(c, &a);
	return ret;
}

/**
 * emul_unary() - NOT, NEG, INC, DEC
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_unary(struct emul_ctx *c)
{
	struct alu a = { };
	int ret;

	ret = emul_get(c, 0, true, &a.dst);
	if (ret)
		return ret;
	run(c, &a);
	return emul_put(c, 0, a.dst);
}

/**
 * emul_double_shift() - SHLD and SHRD
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_double_shift(struct emul_ctx *c)
{
	struct alu a = { };
	int ret;

	ret = emul_get(c, 0, true, &a.dst);
	if (!ret)
		ret = emul_get(c, 1, false, &a.src2);
	if (!ret)
		ret = emul_get(c, 2, false, &a.src);
	if (ret)
		return ret;
	run(c, &a);
	return emul_put(c, 0, a.dst);
}

/**
 * emul_bit_test() - BT, BTS, BTR, BTC
 * @c: the instruction
 *
 * With memory and a register the offset is signed and chooses any word, doubleword or quadword
 * around the address ("Bit(BitBase, BitOffset)"). An immediate stays in the operand.
 *
 * Return: 0 or an error.
 */
int emul_bit_test(struct emul_ctx *c)
{
	const struct x86_insn *insn = c->insn;
	unsigned int size = insn->op_size;
	bool write = insn->op != X86_OP_BT;
	struct alu a = { };
	int ret;

	ret = emul_get(c, 1, false, &a.src);
	if (ret)
		return ret;
	if (insn->opnd[0].kind == X86_OPND_MEM && insn->opnd[1].kind == X86_OPND_REG) {
		u64 offset = (u64)((s64)emul_sign_extend(a.src, size) >> 3) & ~(u64)(size - 1);

		ret = emul_mem(c, (emul_ea(c) + offset) & emul_mask(insn->addr_size), size, write);
		if (ret)
			return ret;
	}
	ret = emul_get(c, 0, write, &a.dst);
	if (ret)
		return ret;
	run(c, &a);
	return write ? emul_put(c, 0, a.dst) : 0;
}

/**
 * emul_bit_scan() - BSF, BSR, TZCNT, LZCNT
 * @c: the instruction
 *
 * The CPU decides whether F3 makes BSF TZCNT, and BSR LZCNT, whatever the guest's CPUID says, and
 * what becomes of the destination when the source is 0. So it gets all 64 bits of it.
 *
 * Return: 0 or an error.
 */
int emul_bit_scan(struct emul_ctx *c)
{
	unsigned int reg = c->insn->opnd[0].reg;
	struct alu a = { .dst = emul_gpr(c, reg, 8) };
	int ret;

	ret = emul_get(c, 1, false, &a.src);
	if (ret)
		return ret;
	run(c, &a);
	emul_set_gpr(c, reg, 8, a.dst);
	return 0;
}

/**
 * emul_popcnt() - POPCNT
 * @c: the instruction
 *
 * In C: that the bytes say POPCNT now does not mean that this CPU has executed it. All
 * flags are defined.
 *
 * Return: 0 or an error.
 */
int emul_popcnt(struct emul_ctx *c)
{
	u64 val, count = 0;
	int ret;

	ret = emul_get(c, 1, false, &val);
	if (ret)
		return ret;
	c->flags &= ~EMUL_ARITH;
	if (!val)
		c->flags |= X86_EFLAGS_ZF;
	for (; val; val &= val - 1)
		count++;
	return emul_put(c, 0, count);
}

/**
 * emul_imul() - IMUL with two and three operands
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_imul(struct emul_ctx *c)
{
	unsigned int first = c->insn->opnd[2].kind == X86_OPND_NONE ? 0 : 1;
	struct alu a = { };
	int ret;

	ret = emul_get(c, first, false, &a.dst);
	if (!ret)
		ret = emul_get(c, first + 1, false, &a.src);
	if (ret)
		return ret;
	run(c, &a);
	return emul_put(c, 0, a.dst);
}

/* RAX and RDX for MUL and DIV, and where they go: all 64 bits, as the CPU has merged them. */
static void run_rax(struct emul_ctx *c, struct alu *a)
{
	run(c, a);
	emul_set_gpr(c, X86_GPR_RAX, 8, a->dst);
	if (a->size > 1)
		emul_set_gpr(c, X86_GPR_RDX, 8, a->src2);
}

/**
 * emul_mul() - MUL, and IMUL with one operand
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_mul(struct emul_ctx *c)
{
	struct alu a = {
		.dst = emul_gpr(c, X86_GPR_RAX, 8),
		.src2 = emul_gpr(c, X86_GPR_RDX, 8),
	};
	int ret;

	ret = emul_get(c, 0, false, &a.src);
	if (!ret)
		run_rax(c, &a);
	return ret;
}

/* A number below 0, whose two halves are @size bytes each. */
static void negate(u64 *high, u64 *low, unsigned int size)
{
	*low = -*low & emul_mask(size);
	*high = (*low ? ~*high : -*high) & emul_mask(size);
}

/*
 * Does the quotient not fit? The dividend is compared with the smallest for which it does not.
 * Here is the divisor times 2^n as two halves, n the number of bits of the quotient. With
 * 0 as divisor none fits.
 */
static bool quotient_overflows(struct emul_ctx *c, const struct alu *a)
{
	unsigned int size = c->insn->op_size;
	unsigned int top = 8 * size - 1;
	u64 mask = emul_mask(size);
	u64 low = a->dst & mask, high = a->src2 & mask, divisor = a->src & mask;
	u64 limit_low = 0, limit_high = divisor;

	/* Bytes: all of the dividend is in AX. */
	if (size == 1)
		high = a->dst >> 8 & 0xff;

	if (c->insn->op == X86_OP_IDIV) {
		bool negative = high >> top, different = negative != divisor >> top;

		if (negative)
			negate(&high, &low, size);
		if (divisor >> top)
			divisor = -divisor & mask;
		limit_high = divisor >> 1;
		limit_low = (divisor & 1) << top;
		/* Below 0 there is one number more. No carry: the top divisor is even. */
		if (different)
			limit_low += divisor;
	}
	return high != limit_high ? high > limit_high : low >= limit_low;
}

/**
 * emul_div() - DIV and IDIV
 * @c: the instruction
 *
 * Return: 0 or an error.
 */
int emul_div(struct emul_ctx *c)
{
	struct alu a = {
		.dst = emul_gpr(c, X86_GPR_RAX, 8),
		.src2 = emul_gpr(c, X86_GPR_RDX, 8),
	};
	int ret;

	ret = emul_get(c, 0, false, &a.src);
	if (ret)
		return ret;
	if (quotient_overflows(c, &a))
		return emul_raise(c, X86_VEC_DE);
	run_rax(c, &a);
	return 0;
}

/**
 * emul_xadd() - XADD
 * @c: the instruction
 *
 * The sum is written last, should both be the same register.
 *
 * Return: 0 or an error.
 */
int emul_xadd(struct emul_ctx *c)
{
	struct alu a = { };
	u64 old;
	int ret;

	ret = emul_get(c, 0, true, &a.dst);
	if (!ret)
		ret = emul_get(c, 1, false, &a.src);
	if (ret)
		return ret;
	old = a.dst;
	run(c, &a);
	if (c->insn->opnd[0].kind == X86_OPND_MEM)
		return emul_put(c, 0, a.dst) ?: emul_put(c, 1, old);
	return emul_put(c, 1, old) ?: emul_put(c, 0, a.dst);
}

/**
 * emul_cmpxchg() - CMPXCHG
 * @c: the instruction
 *
 * Memory is written in any case ("CMPXCHG"); a register only when it was equal: else not even
 * its upper half is cleared.
 *
 * Return: 0 or an error.
 */
int emul_cmpxchg(struct emul_ctx *c)
{
	unsigned int size = c->insn->op_size;
	u64 old, new;
	bool equal;
	int ret;

	ret = emul_get(c, 0, true, &old);
	if (!ret)
		ret = emul_get(c, 1, false, &new);
	if (ret)
		return ret;
	emul_compare_values(c, emul_gpr(c, X86_GPR_RAX, size), old, size);
	equal = c->flags & X86_EFLAGS_ZF;
	if (equal || c->insn->opnd[0].kind == X86_OPND_MEM)
		ret = emul_put(c, 0, equal ? new : old);
	if (!ret && !equal)
		emul_set_gpr(c, X86_GPR_RAX, size, old);
	return ret;
}

/**
 * emul_cmpxchg8b() - CMPXCHG8B and CMPXCHG16B
 * @c: the instruction
 *
 * Memory is written in any case; 16 bytes must be aligned ("CMPXCHG8B/CMPXCHG16B").
 *
 * Return: 0 or an error.
 */
int emul_cmpxchg8b(struct emul_ctx *c)
{
	unsigned int size = c->insn->opnd[0].size, half = size / 2;
	u8 old[16] = { }, expected[16], new[16];
	void *priv = c->e->cpu->priv;
	u64 reg;
	bool equal;
	int ret;

	ret = emul_mem(c, emul_ea(c), size, true);
	if (!ret)
		ret = emul_read(c, c->la, old, size, true);
	if (ret)
		return ret;

	reg = emul_gpr(c, X86_GPR_RAX, half);
	memcpy(expected, &reg, half);
	reg = emul_gpr(c, X86_GPR_RDX, half);
	memcpy(expected + half, &reg, half);
	reg = emul_gpr(c, X86_GPR_RBX, half);
	memcpy(new, &reg, half);
	reg = emul_gpr(c, X86_GPR_RCX, half);
	memcpy(new + half, &reg, half);

	equal = !memcmp(old, expected, size);
	if (c->atomic)
		ret = c->e->ops->cmpxchg_mem(priv, c->la, old, equal ? new : old, size, c->fault);
	else
		ret = emul_write(c, c->la, equal ? new : old, size);
	if (ret)
		return ret;

	c->flags &= ~X86_EFLAGS_ZF;
	if (equal) {
		c->flags |= X86_EFLAGS_ZF;
		return 0;
	}
	reg = 0;
	memcpy(&reg, old, half);
	emul_set_gpr(c, X86_GPR_RAX, half, reg);
	memcpy(&reg, old + half, half);
	emul_set_gpr(c, X86_GPR_RDX, half, reg);
	return 0;
}
