/* SPDX-License-Identifier: GPL-2.0 */
/* Guests that more than one test runs; those of a single test are in ../guests/. */
#include "lib/guest.h"

	.code64
/* RDI: address. A read to RAX, then HLT; and so on. */
GUEST guest_reader
1:	mov	(%rdi), %rax
	hlt
	jmp	1b
GUEST_END guest_reader

/* RDI: address. Copies (RDI) to (RSI) until it is all ones, then halts. */
GUEST guest_echo
1:	mov	(%rdi), %rax
	mov	%rax, (%rsi)
	inc	%rax
	jnz	1b
	hlt
GUEST_END guest_echo
