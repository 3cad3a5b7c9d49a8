/* SPDX-License-Identifier: GPL-2.0 */
/* The two guests that every beginning has. */
#include "lib/guest.h"

	.code16
GUEST guest_hello
	mov	$0x3f8, %dx
	/* 0x2c is the comma, 0x20 the space, 0x0a the end of the line. */
	.irp	char, 'H', 'e', 'l', 'l', 'o', 0x2c, 0x20, 'w', 'o', 'r', 'l', 'd', '!', 0x0a
	mov	$\char, %al
	out	%al, (%dx)
	.endr
	hlt
GUEST_END guest_hello

GUEST guest_adder
	mov	$0x3f8, %dx
	add	%bl, %al
	add	$'0', %al
	out	%al, (%dx)
	hlt
GUEST_END guest_adder
