/* SPDX-License-Identifier: GPL-2.0 */
#include "../enter_macros.S"

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
	PUSH_CALLEE_SAVED
	push	%rsi				/* regs: top of the stack at the exit */

	/* The stack rarely moves between two entries: skip the VMWRITE when it did not. */
	cmp	%rsp, (%rdi)			/* host_rsp */
	je	.Lhost_rsp_is_set
	mov	%rsp, (%rdi)
	mov	$FIELD_HOST_RSP, %eax
	vmwrite	%rsp, %rax
.Lhost_rsp_is_set:

	/* CF = launched; neither MOV nor CLEAR_CPU_BUFFERS touches it. */
	bt	$0, %edx

	mov	REG_RAX(%rsi), %rax
	LOAD_GUEST_GPRS

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

	push	%rax
	mov	8(%rsp), %rax			/* regs */
	SAVE_GUEST_GPRS
	pop	REG_RAX(%rax)

	CLEAR_GUEST_GPRS
	/* EBX stays 0: the result is "entered". */

.Lleave:
	/* Before the first RET: it would be predicted from what the guest left behind. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
	RESTORE_KERNEL_IBRS
	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%ebx, %eax
	pop	%rcx				/* regs: done with */
	POP_CALLEE_SAVED
	RET

.Lfailed:
	CLEAR_GUEST_GPRS
	mov	$1, %ebx
	jmp	.Lleave
SYM_FUNC_END(vmx_enter_asm)
