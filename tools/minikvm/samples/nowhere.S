/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real mode: read memory that is not there, to see how minikvm ends with an
 * access that no slot backs. (With --mem 64K.)
 *
 *	minikvm run --mem 64K samples/nowhere.bin
 */
	.code16
	.globl	_start
_start:
	mov	$0xa000, %ax
	mov	%ax, %ds
	mov	0x10, %al
	hlt
