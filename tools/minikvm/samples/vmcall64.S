/* SPDX-License-Identifier: GPL-2.0 */
/*
 * 64-bit mode: hypercalls without end, to be looked at through the module's
 * tracepoints. Stop it with Ctrl-C.
 *
 *	minikvm run --long --regs rdi=2,rsi=3,rdx=3,rcx=3 samples/vmcall64.bin
 */
	.code64
	.globl	_start
_start:
1:	vmcall
	add	$1, %rax
	jmp	1b
