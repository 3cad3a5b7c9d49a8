/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#include "offsets.h"

/*
 * One VM entry and the VM exit that ends it.
 *
 *   bool vmx_enter_asm(struct vmx_vcpu *vmx, unsigned long *regs, bool launched)
 *		        RDI                   RSI                  DL
 *
 * Loads the guest's general registers from @regs (all but RSP, which the VMCS holds), enters
 * the guest, and stores them there after the exit. Returns true when the entry
 * failed before it began (VMfail): then the guest did not run and @regs is unchanged.
 *
 * What the CPU does at the exit (SDM, "Loading Host State"): it loads RSP and RIP from the
 * VMCS, so execution goes on at vmx_exit_point with the stack as it was at the entry. No
 * other general register changes: they still hold the guest's values.
 *
 * Not to be traced or probed: RCU and context tracking believe that the guest runs.
 */
.section .noinstr.text, "ax"

SYM_FUNC_START(vmx_enter_asm)
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi				/* regs: top of the stack at the exit */

	/* The stack rarely moves between two entries: skip the VMWRITE when it did not. */
	cmp	%rsp, VMX_HOST_RSP(%rdi)
	je	.Lhost_rsp_is_set
	mov	%rsp, VMX_HOST_RSP(%rdi)
	mov	$FIELD_HOST_RSP, %eax
	vmwrite	%rsp, %rax
.Lhost_rsp_is_set:

	/* CF = launched; neither MOV nor CLEAR_CPU_BUFFERS touches it. */
	bt	$0, %edx

	mov	REG_RAX(%rsi), %rax
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

	CLEAR_CPU_BUFFERS

	jnc	.Llaunch

	/* Control does not fall through a successful entry: tell objtool. */
	UNWIND_HINT_SAVE
.Lresume:
	vmresume
	jmp	.Lfailed
.Llaunch:
	vmlaunch
	jmp	.Lfailed

	/* A fault here: the machine is going down and left VMX operation under us. */
	_ASM_EXTABLE(.Lresume, .Lfailed)
	_ASM_EXTABLE(.Llaunch, .Lfailed)

SYM_INNER_LABEL(vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR

	push	%rsi
	mov	8(%rsp), %rsi			/* regs */
	mov	%rax, REG_RAX(%rsi)
	mov	%rcx, REG_RCX(%rsi)
	mov	%rdx, REG_RDX(%rsi)
	mov	%rbx, REG_RBX(%rsi)
	mov	%rbp, REG_RBP(%rsi)
	mov	%rdi, REG_RDI(%rsi)
	mov	%r8,  REG_R8(%rsi)
	mov	%r9,  REG_R9(%rsi)
	mov	%r10, REG_R10(%rsi)
	mov	%r11, REG_R11(%rsi)
	mov	%r12, REG_R12(%rsi)
	mov	%r13, REG_R13(%rsi)
	mov	%r14, REG_R14(%rsi)
	mov	%r15, REG_R15(%rsi)
	pop	REG_RSI(%rsi)

	xor	%ebx, %ebx			/* the result: entered */

.Lleave:
	/* The guest chose these values: do not let the host speculate with them. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	/* Before the first RET: it would be predicted from what the guest left behind. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%ebx, %eax
	pop	%rcx				/* regs: done with */
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lfailed:
	mov	$1, %ebx
	jmp	.Lleave
SYM_FUNC_END(vmx_enter_asm)
