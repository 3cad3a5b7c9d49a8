/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The decoder's tables, and the letters that they are written in: those of the manual's appendix
 * "Opcode Map", sections "Codes for Addressing Method" and "Codes for Operand Type". A reader can
 * hold the page beside the table. To add an instruction, add its row; to add a kind of operand,
 * add a letter.
 *
 * Pure C, see pure.h.
 */
#ifndef MINIKVM_X86_OPCODE_H
#define MINIKVM_X86_OPCODE_H

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
	METH_S,		/* ModRM.reg: segment register */
	METH_I,		/* immediate, sign-extended; J, a relative offset, is the same here */
	METH_U,		/* immediate, zero-extended: a port, a vector, a number of bytes */
	METH_O,		/* moffs: the address follows the opcode */
	METH_X,		/* DS:rSI, the segment can be overridden */
	METH_Y,		/* ES:rDI, it cannot */
	METH_XY,	/* ES:rDI beside DS:rSI */
	METH_RAX,	/* AL, AX, EAX, RAX */
	METH_RCX,
	METH_RDX,
	METH_ONE,	/* the number 1 */
	METH_Z,		/* bits 2:0 of the opcode: general register */
	METH_SREG,	/* bits 5:3 of the opcode: segment register */
	METH_V,		/* ModRM.reg: vector register */
	METH_W,		/* ModRM.rm: vector register or memory */
	METH_H,		/* VEX.vvvv: vector register; no operand without VEX */
	METH_P,		/* ModRM.reg: MMX register */
	METH_Q,		/* ModRM.rm: MMX register or memory */
};

/* Codes for operand type. */
enum {
	WID_NONE,	/* the operand is an address only */
	WID_B,		/* byte */
	WID_W,		/* word */
	WID_D,		/* doubleword */
	WID_Q,		/* quadword */
	WID_DQ,		/* double quadword */
	WID_V,		/* operand size */
	WID_Z,		/* operand size, but doubleword for 64 bits */
	WID_Y,		/* quadword with REX.W, else doubleword */
	WID_2Y,		/* twice that: CMPXCHG8B, CMPXCHG16B */
	WID_X,		/* double quadword, or two with VEX.L */
	WID_MODE,	/* quadword in 64-bit mode, else doubleword: control registers */
};

#define OPND(meth, wid)	((meth) << 8 | (wid))
#define OPND_METH(o)	((o) >> 8)
#define OPND_WID(o)	((o) & 0xff)

#define Eb	OPND(METH_E, WID_B)
#define Ew	OPND(METH_E, WID_W)
#define Ed	OPND(METH_E, WID_D)
#define Ev	OPND(METH_E, WID_V)
#define Ey	OPND(METH_E, WID_Y)
#define M	OPND(METH_M, WID_NONE)
#define Mb	OPND(METH_M, WID_B)
#define Mw	OPND(METH_M, WID_W)
#define Md	OPND(METH_M, WID_D)
#define Mq	OPND(METH_M, WID_Q)
#define Mv	OPND(METH_M, WID_V)
#define My	OPND(METH_M, WID_Y)
#define M2y	OPND(METH_M, WID_2Y)
#define Mx	OPND(METH_M, WID_X)
#define Rd	OPND(METH_R, WID_MODE)
#define Rv	OPND(METH_R, WID_V)
#define Gb	OPND(METH_G, WID_B)
#define Gv	OPND(METH_G, WID_V)
#define Gy	OPND(METH_G, WID_Y)
#define Cd	OPND(METH_C, WID_MODE)
#define Dd	OPND(METH_D, WID_MODE)
#define Sw	OPND(METH_S, WID_W)
#define Ib	OPND(METH_I, WID_B)
#define Iz	OPND(METH_I, WID_Z)
#define Iv	OPND(METH_I, WID_V)
#define Jz	OPND(METH_I, WID_Z)
#define Ub	OPND(METH_U, WID_B)
#define Uw	OPND(METH_U, WID_W)
#define Ob	OPND(METH_O, WID_B)
#define Ov	OPND(METH_O, WID_V)
#define Xb	OPND(METH_X, WID_B)
#define Xz	OPND(METH_X, WID_Z)
#define Xv	OPND(METH_X, WID_V)
#define Yb	OPND(METH_Y, WID_B)
#define Yz	OPND(METH_Y, WID_Z)
#define Yv	OPND(METH_Y, WID_V)
#define XYb	OPND(METH_XY, WID_B)
#define XYv	OPND(METH_XY, WID_V)
#define AL	OPND(METH_RAX, WID_B)
#define eAX	OPND(METH_RAX, WID_Z)
#define rAX	OPND(METH_RAX, WID_V)
#define CL	OPND(METH_RCX, WID_B)
#define DX	OPND(METH_RDX, WID_W)
#define ONE	OPND(METH_ONE, WID_B)
#define Zb	OPND(METH_Z, WID_B)
#define Zv	OPND(METH_Z, WID_V)
#define SREGv	OPND(METH_SREG, WID_V)
#define Vd	OPND(METH_V, WID_D)
#define Vq	OPND(METH_V, WID_Q)
#define Vdq	OPND(METH_V, WID_DQ)
#define Vx	OPND(METH_V, WID_X)
#define Vy	OPND(METH_V, WID_Y)
#define Wq	OPND(METH_W, WID_Q)
#define Wx	OPND(METH_W, WID_X)
#define Hdq	OPND(METH_H, WID_DQ)
#define Pq	OPND(METH_P, WID_Q)
#define Py	OPND(METH_P, WID_Y)
#define Qq	OPND(METH_Q, WID_Q)

/* Row flags beyond the public X86_INSN_*, in the upper half. */
#define ROW_PUBLIC	0xffff
#define ROW_LOCK	(1 << 16)	/* LOCK is legal with a memory destination */
#define ROW_NO64	(1 << 17)	/* #UD in 64-bit mode */
#define ROW_ONLY64	(1 << 18)	/* another instruction elsewhere */
#define ROW_BYTE	(1 << 19)	/* operand size is one byte */
#define ROW_NO_OP16	(1 << 20)	/* not with 16-bit operand size */
#define ROW_NO_REXB	(1 << 21)	/* with REX.B another instruction */
#define ROW_D64		(1 << 22)	/* operand size is 64 bits in 64-bit mode, or 16 */
#define ROW_F64		(1 << 23)	/* it is 64 bits; with 66 CPUs differ, so no row */
#define ROW_MEM		(1 << 24)	/* #UD with a register in ModRM.rm */
#define ROW_VEX		(1 << 25)	/* with and without VEX prefix */
#define ROW_L0		(1 << 26)	/* #UD with VEX.L */
/* Prefixes that are part of the opcode; of these only the last one of F2, F3, then 66 counts. */
#define ROW_NP		(1 << 28)	/* none of them */
#define ROW_66		(1 << 29)
#define ROW_F3		(1 << 30)
#define ROW_F2		(1u << 31)
#define ROW_PREFIX	(ROW_NP | ROW_66 | ROW_F3 | ROW_F2)

/**
 * struct x86_row - one form of an instruction
 * @name: its name in the manual, without the V of the VEX forms; NULL ends a group
 * @group: rows among which the ModRM byte or a prefix chooses, first match;
 *	of the row itself only MODRM in @flags counts
 * @flags: X86_INSN_* and ROW_*
 * @opnd: operands, destination first
 * @op: enum x86_op
 * @modrm_mask: bits of ModRM that must be as in @modrm
 * @modrm: the digit of the manual's "/digit", or a whole byte
 */
struct x86_row {
	const char *name;
	const struct x86_row *group;
	u32 flags;
	u16 opnd[X86_NR_OPNDS];
	u8 op;
	u8 modrm_mask;
	u8 modrm;
};

/* By opcode byte: xx, 0F xx, 0F 38 xx. */
extern const struct x86_row x86_one_byte[256];
extern const struct x86_row x86_two_byte[256];
extern const struct x86_row x86_three_byte_38[256];

#endif /* MINIKVM_X86_OPCODE_H */
