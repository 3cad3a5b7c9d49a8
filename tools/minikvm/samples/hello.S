/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real mode: say hello on the serial port, one character by one OUT, and stop.
 *
 *	minikvm run samples/hello.bin
 */
	.code16
	.globl	_start
_start:
	mov	$0x3f8, %dx
	/* 0x2c is the comma, 0x20 the space, 0x0a the end of the line. */
	.irp	char, 'H', 'e', 'l', 'l', 'o', 0x2c, 0x20, 'w', 'o', 'r', 'l', 'd', '!', 0x0a
	mov	$\char, %al
	out	%al, (%dx)
	.endr
	hlt
