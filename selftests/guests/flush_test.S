/* SPDX-License-Identifier: GPL-2.0 */
#include "lib/guest.h"

	.code64
/* Copies (RDI) to (RSI) until it is all ones, then halts. */
GUEST guest_echo
1:	mov	(%rdi), %rax
	mov	%rax, (%rsi)
	inc	%rax
	jnz	1b
	hlt
GUEST_END guest_echo

/* A read of (RDI) to RAX, then HLT; and so on. */
GUEST guest_look
1:	mov	(%rdi), %rax
	hlt
	jmp	1b
GUEST_END guest_look
