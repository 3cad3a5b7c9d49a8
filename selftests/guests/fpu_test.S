/* SPDX-License-Identifier: GPL-2.0 */
#include "lib/guest.h"

#define IN_XMM		(GUEST_DATA + 0x000)	/* 16 x 16 bytes */
#define IN_ST		(GUEST_DATA + 0x100)	/* 8 x 10 bytes */
#define IN_MXCSR	(GUEST_DATA + 0x200)
#define IN_FCW		(GUEST_DATA + 0x208)
#define IN_YMM		(GUEST_DATA + 0x400)	/* 16 x 32 bytes */
#define OUT_FX		(GUEST_DATA + 0x1000)	/* FXSAVE area */
#define OUT_YMM		(GUEST_DATA + 0x1400)
#define PORT		0x80

	.code64
/* Store what is in the registers. */
GUEST guest_store_fpu
	fxsave64 OUT_FX
	hlt
GUEST_END guest_store_fpu

/* Load all of them once; leave the guest and store them, again and again. */
GUEST guest_keep_fpu
	fninit
	fldcw	IN_FCW
	ldmxcsr	IN_MXCSR
	.irp	n, 7, 6, 5, 4, 3, 2, 1, 0
	fldt	IN_ST + 10 * \n
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	IN_XMM + 16 * \n, %xmm\n
	.endr
1:	out	%al, $PORT
	fxsave64 OUT_FX
	jmp	1b
GUEST_END guest_keep_fpu

/* The same for the whole of the YMM registers. */
GUEST guest_keep_avx
	mov	%cr4, %rax
	or	$(1 << 18), %rax
	mov	%rax, %cr4
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$7, %eax
	xsetbv
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	IN_YMM + 32 * \n, %ymm\n
	.endr
1:	out	%al, $PORT
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	%ymm\n, OUT_YMM + 32 * \n
	.endr
	jmp	1b
GUEST_END guest_keep_avx
