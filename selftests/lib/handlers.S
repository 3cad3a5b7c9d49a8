/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exception handlers that a test guest is given: each stores what the CPU
 * pushed, and CR2, at GUEST_EXCEPTION and halts. General registers keep the
 * values they had when the exception came.
 */
#include "lib/guest.h"

#define EXC(field)	(GUEST_EXCEPTION + (field))

/* Vectors where the CPU pushes an error code: 8, 10-14, 17. */
#define HAS_ERROR(v)	((0x27d00 >> (v)) & 1)

	.section .rodata.handlers, "a"

/* Every entry has HANDLER_STRIDE bytes; C computes its address. */
	.globl handlers64, handlers64_end
	.code64
	.balign 16
handlers64:
	.set vec, 0
	.rept 32
	.balign 16
	.if !HAS_ERROR(vec)
	pushq	$EXC_NO_ERROR
	.endif
	pushq	$vec
	jmp	common64
	.set vec, vec + 1
	.endr
	.balign 16
common64:
	popq	EXC(EXC_VECTOR)
	popq	EXC(EXC_ERROR)
	popq	EXC(EXC_RIP)
	popq	EXC(EXC_CS)
	popq	EXC(EXC_RFLAGS)
	popq	EXC(EXC_RSP)
	popq	EXC(EXC_SS)
	pushq	%rax
	movq	%cr2, %rax
	movq	%rax, EXC(EXC_CR2)
	popq	%rax
	incl	EXC(EXC_COUNT)
1:	hlt
	jmp	1b
handlers64_end:

	.globl handlers32, handlers32_end
	.code32
	.balign 16
handlers32:
	.set vec, 0
	.rept 32
	.balign 16
	.if !HAS_ERROR(vec)
	pushl	$EXC_NO_ERROR
	.endif
	pushl	$vec
	jmp	common32
	.set vec, vec + 1
	.endr
	.balign 16
common32:
	popl	%ss:EXC(EXC_VECTOR)
	popl	%ss:EXC(EXC_ERROR)
	popl	%ss:EXC(EXC_RIP)
	popl	%ss:EXC(EXC_CS)
	popl	%ss:EXC(EXC_RFLAGS)
	testl	$3, %ss:EXC(EXC_CS)
	jz	1f
	popl	%ss:EXC(EXC_RSP)
	popl	%ss:EXC(EXC_SS)
1:	pushl	%eax
	movl	%cr2, %eax
	movl	%eax, %ss:EXC(EXC_CR2)
	popl	%eax
	incl	%ss:EXC(EXC_COUNT)
1:	hlt
	jmp	1b
handlers32_end:

/* In real mode there are no error codes; run with CS 0. */
	.globl handlers16, handlers16_end
	.code16
	.balign 16
handlers16:
	.set vec, 0
	.rept 32
	.balign 16
	pushw	$vec
	jmp	common16
	.set vec, vec + 1
	.endr
	.balign 16
common16:
	popw	%cs:EXC(EXC_VECTOR)
	popw	%cs:EXC(EXC_RIP)
	popw	%cs:EXC(EXC_CS)
	popw	%cs:EXC(EXC_RFLAGS)
	movl	$EXC_NO_ERROR, %cs:EXC(EXC_ERROR)
	incl	%cs:EXC(EXC_COUNT)
1:	hlt
	jmp	1b
handlers16_end:

	.section .note.GNU-stack, "", @progbits
