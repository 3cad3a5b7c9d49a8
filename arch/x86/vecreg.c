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

/* One instruction for each register: their numbers are part of it. */
#define EACH_OF_8(X)	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define EACH_OF_16(X)	EACH_OF_8(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

#define GET_XMM(n)	case n: asm volatile("movdqu %%xmm" #n ", %0" : "=m" (*val)); break;
#define SET_XMM(n)	case n: asm volatile("movdqu %0, %%xmm" #n : : "m" (*val)); break;
#define GET_YMM(n)	case n: asm volatile("vmovdqu %%ymm" #n ", %0" : "=m" (*val)); break;
#define SET_YMM(n)	case n: asm volatile("vmovdqu %0, %%ymm" #n : : "m" (*val)); break;
/* Clears all above. */
#define SET_XMM_ONLY(n)	case n: asm volatile("vmovdqu %0, %%xmm" #n : : "m" (*val)); break;
#define GET_MMX(n)	case n: asm volatile("movq %%mm" #n ", %0" : "=m" (*val)); break;
#define SET_MMX(n)	case n: asm volatile("movq %0, %%mm" #n : : "m" (*val)); break;

#define ACCESSOR(name, type, table, each)					\
static void name(unsigned int reg, type *val)					\
{										\
	switch (reg) {								\
	each(table)								\
	}									\
}

ACCESSOR(get_xmm, struct x86_vec, GET_XMM, EACH_OF_16)
ACCESSOR(set_xmm, const struct x86_vec, SET_XMM, EACH_OF_16)
ACCESSOR(get_ymm, struct x86_vec, GET_YMM, EACH_OF_16)
ACCESSOR(set_ymm, const struct x86_vec, SET_YMM, EACH_OF_16)
ACCESSOR(set_xmm_only, const struct x86_vec, SET_XMM_ONLY, EACH_OF_16)
ACCESSOR(get_mm, u64, GET_MMX, EACH_OF_8)
ACCESSOR(set_mm, const u64, SET_MMX, EACH_OF_8)

/** mkvm_emul_get_vec() - see struct x86_emul_ops
 * @priv: the vCPU
 * @reg: 0 to 15
 * @val: result */
void mkvm_emul_get_vec(void *priv, unsigned int reg, struct x86_vec *val)
{
	memset(val, 0, sizeof(*val));
	mkvm_vec_begin();
	if (boot_cpu_has(X86_FEATURE_AVX))
		get_ymm(reg, val);
	else
		get_xmm(reg, val);
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
		set_ymm(reg, val);
	else if (zero)
		set_xmm_only(reg, val);
	else
		set_xmm(reg, val);
	mkvm_vec_end();
}

/** mkvm_emul_get_mmx() - see struct x86_emul_ops
 * @priv: the vCPU
 * @reg: 0 to 7 */
u64 mkvm_emul_get_mmx(void *priv, unsigned int reg)
{
	u64 val = 0;

	mkvm_vec_begin();
	get_mm(reg, &val);
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
	set_mm(reg, &val);
	mkvm_vec_end();
}
