/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real mode: add two digits that the VMM put into AL and BL and print the sum.
 *
 *	minikvm run --regs rax=2,rbx=2 samples/adder.bin
 */
	.code16
	.globl	_start
_start:
	mov	$0x3f8, %dx
	add	%bl, %al
	add	$'0', %al
	out	%al, (%dx)
	mov	$'\n', %al
	out	%al, (%dx)
	hlt
