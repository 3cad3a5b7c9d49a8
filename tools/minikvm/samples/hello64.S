/* SPDX-License-Identifier: GPL-2.0 */
/*
 * 64-bit mode: print a string with one REP OUTSB, then the CPU's vendor as
 * CPUID tells it.
 *
 *	minikvm run --long samples/hello64.bin
 */
	.code64
	.globl	_start
_start:
	lea	text(%rip), %rsi
	mov	$text_end - text, %ecx
	mov	$0x3f8, %edx
	rep outsb

	xor	%eax, %eax
	cpuid
	sub	$16, %rsp
	mov	%ebx, (%rsp)
	mov	%edx, 4(%rsp)
	mov	%ecx, 8(%rsp)
	movb	$'\n', 12(%rsp)
	mov	%rsp, %rsi
	mov	$13, %ecx
	mov	$0x3f8, %edx
	rep outsb
	hlt

text:
	.ascii	"Hello from 64-bit mode on "
text_end:
