/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the emulator share. Its interface: emulate.h.
 *
 * Pure C, see pure.h.
 */
#ifndef MINIKVM_X86_EMUL_H
#define MINIKVM_X86_EMUL_H

#include "emulate.h"

/* The arithmetic flags: what most instructions read and write. */
#define EMUL_ARITH	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |	\
			 X86_EFLAGS_SF | X86_EFLAGS_OF)

/**
 * struct emul_ctx - an instruction on its way
 * @e: the vCPU
 * @insn: the instruction
 * @fault: the caller's
 * @flags: RFLAGS as they will be after it
 * @rip: RIP as it will be after it
 * @done: it is complete: not one more iteration
 * @atomic: the destination in memory is written by cmpxchg
 * @la: where the memory operand is, when @has_la
 * @old: what was read there
 * @has_la: see @la
 * @rsp_moved: POP: by how much the stack pointer moves before it is part of an address
 */
struct emul_ctx {
	const struct x86_emul *e;
	const struct x86_insn *insn;
	struct x86_fault *fault;
	u64 flags;
	u64 rip;
	u64 la;
	u64 old;
	u64 rsp_moved;
	bool done;
	bool atomic;
	bool has_la;
};

/* emulate.c: faults */
int emul_raise(struct emul_ctx *c, u8 vector);
int emul_raise_code(struct emul_ctx *c, u8 vector);

/* emulate.c: registers */
void emul_set_gpr(const struct emul_ctx *c, unsigned int reg, unsigned int size, u64 val);

/* emulate.c: memory */
int emul_linear(struct emul_ctx *c, unsigned int seg, u64 ea, unsigned int size, bool write,
		u64 *la);
int emul_read(struct emul_ctx *c, u64 la, void *data, unsigned int size, bool write);
int emul_write(struct emul_ctx *c, u64 la, const void *data, unsigned int size);
int emul_mem(struct emul_ctx *c, u64 ea, unsigned int size, bool write);
u64 emul_ea(const struct emul_ctx *c);

/* emulate.c: operands */
int emul_get(struct emul_ctx *c, unsigned int nr, bool write, u64 *val);
int emul_put(struct emul_ctx *c, unsigned int nr, u64 val);
bool emul_condition(const struct emul_ctx *c);

/* emul_alu.c */
int emul_binary(struct emul_ctx *c);
int emul_compare(struct emul_ctx *c);
int emul_unary(struct emul_ctx *c);
int emul_double_shift(struct emul_ctx *c);
int emul_bit_test(struct emul_ctx *c);
int emul_bit_scan(struct emul_ctx *c);
int emul_popcnt(struct emul_ctx *c);
int emul_imul(struct emul_ctx *c);
int emul_mul(struct emul_ctx *c);
int emul_div(struct emul_ctx *c);
int emul_xadd(struct emul_ctx *c);
int emul_cmpxchg(struct emul_ctx *c);
int emul_cmpxchg8b(struct emul_ctx *c);
void emul_compare_values(struct emul_ctx *c, u64 first, u64 second, unsigned int size);

/* emul_stack.c */
int emul_push(struct emul_ctx *c);
int emul_pop(struct emul_ctx *c);
int emul_jmp(struct emul_ctx *c);
int emul_call(struct emul_ctx *c);
int emul_ret(struct emul_ctx *c);

/* emul_string.c */
int emul_movs(struct emul_ctx *c);
int emul_cmps(struct emul_ctx *c);
int emul_stos(struct emul_ctx *c);
int emul_lods(struct emul_ctx *c);
int emul_scas(struct emul_ctx *c);
int emul_ins(struct emul_ctx *c);
int emul_outs(struct emul_ctx *c);

/* emul_vec.c */
int emul_movv(struct emul_ctx *c);
int emul_movlps(struct emul_ctx *c);
int emul_movhps(struct emul_ctx *c);

/* Bits of a value of @size bytes. */
static inline u64 emul_mask(unsigned int size)
{
	return size >= 8 ? ~0ULL : (1ULL << 8 * size) - 1;
}

/**
 * emul_gpr() - read a general register
 * @c: the instruction
 * @reg: 0 to 15
 * @size: how many bytes
 *
 * Return: zero-extended.
 */
static inline u64 emul_gpr(const struct emul_ctx *c, unsigned int reg, unsigned int size)
{
	return x86_gpr(c->e->cpu, reg) & emul_mask(size);
}

static inline u64 emul_sign_extend(u64 val, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (u64)((s64)(val << shift) >> shift);
}

#endif /* MINIKVM_X86_EMUL_H */
