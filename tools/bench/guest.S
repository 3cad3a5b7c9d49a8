/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guests, in 64-bit mode. Nothing here has an address of its own, so that
 * they run where they are loaded; there is no stack and no IDT.
 *
 * Programs that end do something R15 times and halt. What they get wrong
 * leaves bits in R12.
 */
	.section .rodata
	.global guest_start, guest_stop
guest_start:

.macro begin name
	.global guest_\name, guest_\name\()_end
	.balign 16
guest_\name:
.endm

.macro end name
guest_\name\()_end:
.endm

/* The operation: left out in the program that shows what all the rest costs. */
.macro OP insn:vararg
.if with_op
	\insn
.endif
.endm

.macro counted name, body
	begin \name
1:	\body
	dec	%r15
	jnz	1b
	hlt
	end	\name
.endm

/* A program NAME and its NAME_base. */
.macro program name, body
	.set	with_op, 1
	counted	\name, \body
	.set	with_op, 0
	counted	\name\()_base, \body
.endm

/* Leaf 0; expected: R8D to R11D. */
.macro body_cpuid
	xor	%eax, %eax
	xor	%ecx, %ecx
	OP	cpuid
	xor	%r8d, %eax
	xor	%r9d, %ebx
	xor	%r10d, %ecx
	xor	%r11d, %edx
	or	%eax, %r12d
	or	%ebx, %r12d
	or	%ecx, %r12d
	or	%edx, %r12d
.endm
	program	cpuid, body_cpuid

/* Number: RBX; expected result: R8. */
.macro body_vmcall
	mov	%rbx, %rax
	OP	vmcall
	xor	%r8, %rax
	or	%rax, %r12
.endm
	program	vmcall, body_vmcall

.macro body_vmmcall
	mov	%rbx, %rax
	OP	vmmcall
	xor	%r8, %rax
	or	%rax, %r12
.endm
	program	vmmcall, body_vmmcall

/* MSR: ECX; expected: R8. */
.macro body_rdmsr
	xor	%eax, %eax
	xor	%edx, %edx
	OP	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	xor	%r8, %rax
	or	%rax, %r12
.endm
	program	rdmsr, body_rdmsr

/* MSR: ECX; values: EDX:EAX, EAX changed each time, by R9D (add) and R10D (exclusive or). */
.macro body_wrmsr
	add	%r9d, %eax
	xor	%r10d, %eax
	OP	wrmsr
.endm
	program	wrmsr, body_wrmsr

/* The first word of each page from RSI on, to RDI. */
.macro body_page_read
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$4096, %rsi
	add	$8, %rdi
.endm
	counted	page_read, body_page_read

/* RAX, RAX + 1 ... to the first word of each page from RSI on. */
.macro body_page_write
	mov	%rax, (%rsi)
	inc	%rax
	add	$4096, %rsi
.endm
	counted	page_write, body_page_write

/*
 * Programs without an end: the process that runs them takes part in each
 * operation. RAX (R8 for what is read) counts the operations.
 */
	begin	out
1:	out	%eax, %dx
	inc	%eax
	jmp	1b
	end	out

	begin	in
1:	in	%dx, %eax
	xor	%r8d, %eax
	or	%eax, %r12d
	inc	%r8d
	jmp	1b
	end	in

	begin	mmio_write
1:	mov	%eax, (%rdi)
	inc	%eax
	jmp	1b
	end	mmio_write

	begin	mmio_read
1:	mov	(%rdi), %eax
	xor	%r8d, %eax
	or	%eax, %r12d
	inc	%r8d
	jmp	1b
	end	mmio_read

	begin	hlt
1:	hlt
	inc	%eax
	jmp	1b
	end	hlt

guest_stop:
