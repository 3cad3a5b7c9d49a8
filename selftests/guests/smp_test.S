/* SPDX-License-Identifier: GPL-2.0 */
#include "lib/guest.h"

#define PORT		0x80
#define ROUNDS		2000
#define COUNTER		(GUEST_DATA + 0x000)
#define STOP		(GUEST_DATA + 0x040)

	.code64
/*
 * Checks itself: registers against the pattern at RSI, a counter in memory
 * that only this vCPU has (RDI), and that the TSC does not go back. An exit
 * after every ROUNDS. UD2 is "something is wrong"; R9 says what.
 */
GUEST guest_self_check
	xor	%ebp, %ebp		/* rounds */
	xor	%r8d, %r8d		/* last TSC */
	mov	0x00(%rsi), %r10
	mov	0x08(%rsi), %r11
	mov	0x10(%rsi), %r12
	mov	0x18(%rsi), %r13
	mov	0x20(%rsi), %r14
	mov	0x28(%rsi), %r15
	movq	0x30(%rsi), %xmm5
1:	mov	$ROUNDS, %ecx
2:	mov	$1, %r9d
	cmp	0x00(%rsi), %r10
	jne	9f
	cmp	0x08(%rsi), %r11
	jne	9f
	cmp	0x10(%rsi), %r12
	jne	9f
	cmp	0x18(%rsi), %r13
	jne	9f
	cmp	0x20(%rsi), %r14
	jne	9f
	cmp	0x28(%rsi), %r15
	jne	9f
	mov	$2, %r9d
	movq	%xmm5, %rax
	cmp	0x30(%rsi), %rax
	jne	9f
	mov	$3, %r9d
	inc	%rbp
	incq	(%rdi)
	cmp	(%rdi), %rbp
	jne	9f
	mov	$4, %r9d
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	cmp	%r8, %rax
	jb	9f
	mov	%rax, %r8
	dec	%ecx
	jnz	2b
	out	%al, $PORT
	jmp	1b
9:	ud2
GUEST_END guest_self_check

/* RCX times: add one to a counter that all vCPUs share. */
GUEST guest_shared_count
1:	lock incq COUNTER
	loop	1b
	hlt
GUEST_END guest_shared_count

/* Runs until STOP is not zero. */
GUEST guest_spin
1:	incq	COUNTER
	cmpq	$0, STOP
	je	1b
	hlt
GUEST_END guest_spin

/* Two vCPUs hand a number to and fro: RDI own word, RSI the other's. */
GUEST guest_ping_pong
1:	mov	(%rdi), %rax
	cmp	%rbx, %rax		/* is it my turn? */
	jne	1b
	add	$1, %rax
	mov	%rax, (%rsi)
	add	$2, %rbx
	dec	%rcx
	jnz	1b
	hlt
GUEST_END guest_ping_pong
