/* SPDX-License-Identifier: GPL-2.0 */
#include "lib/guest.h"

	.code64
GUEST guest_endless
1:	vmcall
	add	$1, %rax
	jmp	1b
GUEST_END guest_endless

GUEST guest_one_call
	vmcall
	hlt
GUEST_END guest_one_call

GUEST guest_call_ring3
	vmcall
	ud2
GUEST_END guest_call_ring3

/* Behind four bytes that the test puts there: registers to GUEST_DATA. */
GUEST guest_store_regs
	nop
	nop
	nop
	nop
	mov	%rax, GUEST_DATA + 0x00
	mov	%rcx, GUEST_DATA + 0x08
	mov	%rdx, GUEST_DATA + 0x10
	mov	%rbx, GUEST_DATA + 0x18
	mov	%rsp, GUEST_DATA + 0x20
	mov	%rbp, GUEST_DATA + 0x28
	mov	%rsi, GUEST_DATA + 0x30
	mov	%rdi, GUEST_DATA + 0x38
	mov	%r8, GUEST_DATA + 0x40
	mov	%r9, GUEST_DATA + 0x48
	mov	%r10, GUEST_DATA + 0x50
	mov	%r11, GUEST_DATA + 0x58
	mov	%r12, GUEST_DATA + 0x60
	mov	%r13, GUEST_DATA + 0x68
	mov	%r14, GUEST_DATA + 0x70
	mov	%r15, GUEST_DATA + 0x78
	hlt
GUEST_END guest_store_regs

	.code32
GUEST guest_calls32
	mov	$0x12345, %eax
	mov	$0x80000001, %ebx
	mov	$2, %ecx
	mov	$3, %edx
	mov	$0xffffffff, %esi
	vmcall
	hlt
GUEST_END guest_calls32
