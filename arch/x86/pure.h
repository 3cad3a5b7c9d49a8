/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Types for the files that build both in the module and, unchanged, in
 * userspace tests: decode.c, the emulator (emulate.c, emul_*.c) and mmu/gwalk.c.
 *
 * These files take everything they need from their arguments and callbacks.
 * They call no kernel function, allocate nothing and keep no state.
 *
 * One rule for their return values:
 *	0		done
 *	-EINVAL		the guest made a mistake; the exception it must receive is
 *			in a struct x86_fault
 *	anything else	the caller's or this code's own limits; each function lists
 *			them
 */
#ifndef MINIKVM_X86_PURE_H
#define MINIKVM_X86_PURE_H

#include <asm/processor-flags.h>

#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef unsigned char		u8;
typedef unsigned short		u16;
typedef unsigned int		u32;
typedef unsigned long long	u64;
typedef signed char		s8;
typedef short			s16;
typedef int			s32;
typedef long long		s64;

#define noinline	__attribute__((noinline))
#endif

/* Vectors of the exceptions that these files raise. */
#define X86_VEC_DE	0
#define X86_VEC_UD	6
#define X86_VEC_NM	7
#define X86_VEC_SS	12
#define X86_VEC_GP	13
#define X86_VEC_PF	14
#define X86_VEC_AC	17

/**
 * struct x86_fault - an exception that the guest must receive
 * @address: #PF only: the linear address, for CR2
 * @error_code: valid when @has_error_code
 * @vector: X86_VEC_*
 * @has_error_code: push @error_code; false in real mode, where no exception
 *	has one
 */
struct x86_fault {
	u64 address;
	u32 error_code;
	u8 vector;
	bool has_error_code;
};

#endif /* MINIKVM_X86_PURE_H */
