/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For vmx/enter.S and svm/enter.S: the general registers between host and guest, and what has
 * to happen to the CPU's predictors and buffers on the way (Documentation/security.rst).
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>

#include "offsets.h"

/* What the C calling convention wants back. */
.macro PUSH_CALLEE_SAVED
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
.endm

.macro POP_CALLEE_SAVED
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
.endm

/* From the array at RSI: all but RAX, which a vendor may need last, and RSP. */
.macro LOAD_GUEST_GPRS
	mov	REG_RCX(%rsi), %rcx
	mov	REG_RDX(%rsi), %rdx
	mov	REG_RBX(%rsi), %rbx
	mov	REG_RBP(%rsi), %rbp
	mov	REG_RDI(%rsi), %rdi
	mov	REG_R8(%rsi),  %r8
	mov	REG_R9(%rsi),  %r9
	mov	REG_R10(%rsi), %r10
	mov	REG_R11(%rsi), %r11
	mov	REG_R12(%rsi), %r12
	mov	REG_R13(%rsi), %r13
	mov	REG_R14(%rsi), %r14
	mov	REG_R15(%rsi), %r15
	mov	REG_RSI(%rsi), %rsi
.endm

/* Into the array at RAX: all but RAX and RSP. */
.macro SAVE_GUEST_GPRS
	mov	%rcx, REG_RCX(%rax)
	mov	%rdx, REG_RDX(%rax)
	mov	%rbx, REG_RBX(%rax)
	mov	%rbp, REG_RBP(%rax)
	mov	%rsi, REG_RSI(%rax)
	mov	%rdi, REG_RDI(%rax)
	mov	%r8,  REG_R8(%rax)
	mov	%r9,  REG_R9(%rax)
	mov	%r10, REG_R10(%rax)
	mov	%r11, REG_R11(%rax)
	mov	%r12, REG_R12(%rax)
	mov	%r13, REG_R13(%rax)
	mov	%r14, REG_R14(%rax)
	mov	%r15, REG_R15(%rax)
.endm

/* The guest chose these values: do not let the host speculate with them. */
.macro CLEAR_GUEST_GPRS
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
.endm

/*
 * Kernels that set SPEC_CTRL.IBRS at each entry (retbleed=ibrs): it counts from the write on, so it
 * is written again after the guest has trained the predictors, even if its value is the same.
 * Clobbers RAX, RCX, RDX.
 */
.macro RESTORE_KERNEL_IBRS
	ALTERNATIVE "jmp .Librs_done_\@", "", X86_FEATURE_KERNEL_IBRS
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
	lfence
.Librs_done_\@:
.endm

/* Kernels before 6.9 say this in two steps. */
#ifndef UNTRAIN_RET_VM
.macro UNTRAIN_RET_VM
	UNTRAIN_RET
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
.endm
#endif
