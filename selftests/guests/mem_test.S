/* SPDX-License-Identifier: GPL-2.0 */
#include "lib/guest.h"

	.code64
GUEST guest_writer
1:	mov	%rax, (%rdi)
	hlt
	jmp	1b
GUEST_END guest_writer

/* RDI: first page, RCX: pages. RAX becomes the sum of all bytes read. */
GUEST guest_scan
	xor	%eax, %eax
	shl	$9, %rcx
1:	add	(%rdi), %rax
	add	$8, %rdi
	loop	1b
	hlt
GUEST_END guest_scan

/* Writes RAX into RCX pages from RDI on, 8 bytes in each. */
GUEST guest_fill
1:	mov	%rax, (%rdi)
	add	$0x1000, %rdi
	loop	1b
	hlt
GUEST_END guest_fill
