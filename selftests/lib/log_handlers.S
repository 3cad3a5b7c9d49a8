/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Handlers of lib/log.h: each notes what the CPU pushed in the next record of
 * log.h, halts, and returns from the event when the vCPU runs on.
 */
#include "lib/guest.h"
#include "lib/log.h"

/* Vectors where the CPU pushes an error code: 8, 10-14, 17. */
#define HAS_ERROR(v)	((0x27d00 >> (v)) & 1)

	.section .rodata.handlers, "a"

	.globl log64, log64_end
	.code64
	.balign 16
log64:
	.set vec, 0
	.rept 256
	.balign LOG_STRIDE
	.if (vec >= 32) || !HAS_ERROR(vec)
	pushq	$EXC_NO_ERROR
	.endif
	pushq	$vec
	jmp	log_common64
	.set vec, vec + 1
	.endr
log_common64:
	pushq	%rax
	pushq	%rbx
	movl	LOG_COUNT, %ebx
	incl	LOG_COUNT
	andl	$(LOG_RECORDS - 1), %ebx
	shll	$6, %ebx
	.irp	field, 0, 1, 2, 3, 4, 5, 6
	movq	(16 + 8 * \field)(%rsp), %rax
	movq	%rax, (LOG_FIRST + 8 * \field)(%rbx)
	.endr
	movq	%cr2, %rax
	movq	%rax, (LOG_FIRST + 56)(%rbx)
	hlt
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	.globl log_iret64
log_iret64:
	iretq
log64_end:

	.globl log32, log32_end
	.code32
	.balign 16
log32:
	.set vec, 0
	.rept 256
	.balign LOG_STRIDE
	.if (vec >= 32) || !HAS_ERROR(vec)
	pushl	$EXC_NO_ERROR
	.endif
	pushl	$vec
	jmp	log_common32
	.set vec, vec + 1
	.endr
log_common32:
	pushl	%eax
	pushl	%ebx
	movl	%ss:LOG_COUNT, %ebx
	incl	%ss:LOG_COUNT
	andl	$(LOG_RECORDS - 1), %ebx
	shll	$6, %ebx
	.irp	field, 0, 1, 2, 3, 4
	movl	%ss:(8 + 4 * \field)(%esp), %eax
	movl	%eax, %ss:(LOG_FIRST + 8 * \field)(%ebx)
	.endr
	hlt
	popl	%ebx
	popl	%eax
	addl	$8, %esp
	iretl
log32_end:

/* Real mode, CS 0. */
	.globl log16, log16_end
	.code16
	.balign 16
log16:
	.set vec, 0
	.rept 256
	.balign LOG_STRIDE16
	pushw	$vec
	jmp	log_common16
	.set vec, vec + 1
	.endr
log_common16:
	pushw	%ax
	pushw	%bx
	movw	%cs:LOG_COUNT, %bx
	incw	%cs:LOG_COUNT
	andw	$(LOG_RECORDS - 1), %bx
	shlw	$6, %bx
	.irp	field, 0, 1, 2, 3
	movw	(4 + 2 * \field)(%esp), %ax
	.if \field == 0
	movw	%ax, %cs:LOG_FIRST(%bx)
	.else
	movw	%ax, %cs:(LOG_FIRST + 8 + 8 * \field)(%bx)
	.endif
	.endr
	movl	$EXC_NO_ERROR, %cs:(LOG_FIRST + 8)(%bx)
	hlt
	popw	%bx
	popw	%ax
	addw	$2, %sp
	iretw
log16_end:

	.section .note.GNU-stack, "", @progbits
