/* SPDX-License-Identifier: GPL-2.0 */
#include "../enter_macros.S"

/*
 * One VMRUN and the #VMEXIT that ends it.
 *
 *   void svm_enter_asm(u64 vmcb_pa, unsigned long *regs, u64 host_area_pa)
 *			RDI          RSI                  RDX
 *
 * Loads the guest's general registers from @regs (all but RAX and RSP, which the VMCB holds),
 * runs the guest, and stores them there after the exit.
 *
 * What the CPU does (APM, "VMRUN Instruction", "#VMEXIT"): it saves and loads RIP, RSP, RAX,
 * RFLAGS, the control registers, GDTR, IDTR, CS, DS, ES, SS. VMLOAD and VMSAVE do the rest: FS,
 * GS, LDTR, TR and the MSRs of system calls. #VMEXIT continues after VMRUN; all general
 * registers but RAX and RSP still hold the guest's values.
 *
 * Called with the global interrupt flag clear, and leaves so. RFLAGS.IF as it is at VMRUN
 * decides whether the host's interrupts end guest execution: hence the STI, which lets nothing
 * through before.
 *
 * Not to be traced or probed: RCU and context tracking believe that the guest runs, and GS is
 * the guest's for some instructions.
 */
.section .noinstr.text, "ax"

SYM_FUNC_START(svm_enter_asm)
	PUSH_CALLEE_SAVED
	push	%rdx				/* host_area_pa */
	push	%rsi				/* regs: top of the stack at the exit */

	mov	%rdi, %rax			/* vmcb_pa */
	LOAD_GUEST_GPRS

	sti
	vmload	%rax
	VM_CLEAR_CPU_BUFFERS
	vmrun	%rax
	vmsave	%rax
	mov	8(%rsp), %rax			/* host_area_pa */
	vmload	%rax
	cli

	mov	(%rsp), %rax			/* regs */
	SAVE_GUEST_GPRS
	CLEAR_GUEST_GPRS

	/* Before the first RET: it would be predicted from what the guest left behind. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RETPOLINE
	UNTRAIN_RET_VM

	add	$16, %rsp			/* regs, host_area_pa: done with */
	POP_CALLEE_SAVED
	RET
SYM_FUNC_END(svm_enter_asm)
