/* SPDX-License-Identifier: GPL-2.0 */
#include "lib/guest.h"

#define MSR_KERNEL_GS_BASE	0xc0000102

	.code64
/* What SWAPGS exchanges: GS base before and after, by what it points to. */
GUEST guest_swapgs
	mov	%gs:0, %r8
	swapgs
	mov	%gs:0, %r9
	mov	$MSR_KERNEL_GS_BASE, %ecx
	rdmsr
	shl	$32, %rdx
	lea	(%rax,%rdx), %r10
	hlt
GUEST_END guest_swapgs

/* SYSCALL from ring 3; the entry point is where LSTAR says. */
GUEST guest_syscall
	syscall
	ud2
	.balign 16
	.globl	syscall_entry
syscall_entry:
	mov	%cs, %eax
	mov	%ss, %ebx
	pushfq
	pop	%rdx
	hlt
GUEST_END guest_syscall

GUEST guest_sysenter
	sysenter
	ud2
	.balign 16
	.globl	sysenter_entry
sysenter_entry:
	mov	%cs, %eax
	mov	%ss, %ebx
	hlt
GUEST_END guest_sysenter

	.code32
GUEST guest_sysenter32
	sysenter
	ud2
	.balign 16
	.globl	sysenter_entry32
sysenter_entry32:
	mov	%cs, %eax
	mov	%ss, %ebx
	hlt
GUEST_END guest_sysenter32
