// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's vector and MMX registers, for the emulator. Inside KVM_RUN they are in the CPU, or where
 * the kernel has put them when it used the registers itself, from where they come back first.
 */
#include <asm/fpu/api.h>

#include "x86.h"

static void mkvm_vec_begin(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

static void mkvm_vec_end(void)
{
	fpregs_unlock();
}

/* One instruction for each register, whose number is part of it. */
#define OF_REG(n, insn, ...)	do { if (reg == (n)) asm volatile(insn(n) __VA_ARGS__); } while (0)

#define OF_8_REGS(insn, ...)						\
do {									\
	OF_REG(0, insn, __VA_ARGS__);					\
	OF_REG(1, insn, __VA_ARGS__);					\
	OF_REG(2, insn, __VA_ARGS__);					\
	OF_REG(3, insn, __VA_ARGS__);					\
	OF_REG(4, insn, __VA_ARGS__);					\
	OF_REG(5, insn, __VA_ARGS__);					\
	OF_REG(6, insn, __VA_ARGS__);					\
	OF_REG(7, insn, __VA_ARGS__);					\
} while (0)

#define OF_16_REGS(insn, ...)						\
do {									\
	OF_8_REGS(insn, __VA_ARGS__);					\
	OF_REG(8, insn, __VA_ARGS__);					\
	OF_REG(9, insn, __VA_ARGS__);					\
	OF_REG(10, insn, __VA_ARGS__);					\
	OF_REG(11, insn, __VA_ARGS__);					\
	OF_REG(12, insn, __VA_ARGS__);					\
	OF_REG(13, insn, __VA_ARGS__);					\
	OF_REG(14, insn, __VA_ARGS__);					\
	OF_REG(15, insn, __VA_ARGS__);					\
} while (0)

#define STORE_XMM(n)		"movdqu %%xmm" #n ", %0"
#define LOAD_XMM(n)		"movdqu %0, %%xmm" #n
#define STORE_YMM(n)		"vmovdqu %%ymm" #n ", %0"
#define LOAD_YMM(n)		"vmovdqu %0, %%ymm" #n
/* Clears all above. */
#define LOAD_XMM_ONLY(n)	"vmovdqu %0, %%xmm" #n
#define STORE_MMX(n)		"movq %%mm" #n ", %0"
#define LOAD_MMX(n)		"movq %0, %%mm" #n

/** mkvm_emul_get_vec() - see struct x86_emul_ops
 * @priv: the vCPU
 * @reg: 0 to 15
 * @val: result */
void mkvm_emul_get_vec(void *priv, unsigned int reg, struct x86_vec *val)
{
	memset(val, 0, sizeof(*val));
	mkvm_vec_begin();
	if (boot_cpu_has(X86_FEATURE_AVX))
		OF_16_REGS(STORE_YMM, : "=m" (*val));
	else
		OF_16_REGS(STORE_XMM, : "=m" (*val));
	mkvm_vec_end();
}

/** mkvm_emul_set_vec() - see struct x86_emul_ops
 * @priv: the vCPU
 * @reg: 0 to 15
 * @val: new value
 * @size: bytes of it: 16 or 32
 * @zero: clear what is above; only with AVX */
void mkvm_emul_set_vec(void *priv, unsigned int reg, const struct x86_vec *val, unsigned int size,
		       bool zero)
{
	mkvm_vec_begin();
	if (size == 32)
		OF_16_REGS(LOAD_YMM, : : "m" (*val));
	else if (zero)
		OF_16_REGS(LOAD_XMM_ONLY, : : "m" (*val));
	else
		OF_16_REGS(LOAD_XMM, : : "m" (*val));
	mkvm_vec_end();
}

/** mkvm_emul_get_mmx() - see struct x86_emul_ops
 * @priv: the vCPU
 * @reg: 0 to 7 */
u64 mkvm_emul_get_mmx(void *priv, unsigned int reg)
{
	u64 val = 0;

	mkvm_vec_begin();
	OF_8_REGS(STORE_MMX, : "=m" (val));
	mkvm_vec_end();
	return val;
}

/** mkvm_emul_set_mmx() - see struct x86_emul_ops
 * @priv: the vCPU
 * @reg: 0 to 7
 * @val: new value */
void mkvm_emul_set_mmx(void *priv, unsigned int reg, u64 val)
{
	mkvm_vec_begin();
	OF_8_REGS(LOAD_MMX, : : "m" (val));
	mkvm_vec_end();
}
