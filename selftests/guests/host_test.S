/* SPDX-License-Identifier: GPL-2.0 */
#include "lib/guest.h"

#define PORT		0x80
#define PORT_STRING	0x84
#define HOLE		0xd0000000

/* What the C side tells the first guest. */
#define MIX_AVX		(GUEST_DATA + 0x00)	/* XCR0, or 0: no XSAVE */
#define MIX_TSC_AUX	(GUEST_DATA + 0x08)	/* the MSR exists */
#define MIX_PKU		(GUEST_DATA + 0x10)
#define MIX_DR0		(GUEST_DATA + 0x18)	/* an address of the process */
#define MIX_STAY	(GUEST_DATA + 0x20)	/* turns of a loop without exits */
#define MIX_COUNTER	(GUEST_DATA + 0x28)
#define MIX_FCW		(GUEST_DATA + 0x30)
#define MIX_MXCSR	(GUEST_DATA + 0x38)
#define MIX_YMM		(GUEST_DATA + 0x40)

#define SPIN_COUNTER	(GUEST_DATA + 0x00)
#define SPIN_STOP	(GUEST_DATA + 0x40)

#define PKU_XCR0	(GUEST_DATA + 0x00)
#define PKU_VALUE	(GUEST_DATA + 0x08)
#define PKU_OUT		(GUEST_DATA + 0x100)
#define PKU_IN		(GUEST_DATA + 0x200)

#define CR4_OSXSAVE	(1 << 18)
#define CR4_PKE		(1 << 22)

/* A value that differs from turn to turn, with this high half. */
.macro WRITE_MSR index, high
	mov	$\index, %ecx
	imul	$0x01010101, %ebx, %eax
	xor	$\index, %eax
	mov	$\high, %edx
	wrmsr
.endm

	.code64
/*
 * Everything of the CPU that a guest may have for itself, set to something that
 * no host has; quick exits, one to userspace, and a stay without any.
 */
GUEST guest_mix
	mov	$0xc0000080, %ecx	/* EFER.SCE */
	rdmsr
	or	$1, %eax
	wrmsr
	mov	MIX_AVX, %rax
	test	%rax, %rax
	jz	1f
	mov	%cr4, %rdx
	or	$CR4_OSXSAVE, %rdx
	mov	%rdx, %cr4
	xor	%ecx, %ecx
	xor	%edx, %edx
	xsetbv
1:	cmpq	$0, MIX_PKU
	je	2f
	mov	%cr4, %rdx
	or	$CR4_PKE, %rdx
	mov	%rdx, %cr4
2:
.Lmix_turn:
	incq	MIX_COUNTER
	mov	MIX_COUNTER, %rbx

	WRITE_MSR 0xc0000081, 0xdead5aa5	/* STAR */
	WRITE_MSR 0xc0000082, 0x00001234	/* LSTAR */
	WRITE_MSR 0xc0000083, 0xffff8000	/* CSTAR */
	WRITE_MSR 0xc0000084, 0			/* SFMASK */
	WRITE_MSR 0xc0000100, 0x00002345	/* FS_BASE */
	WRITE_MSR 0xc0000101, 0xffff9000	/* GS_BASE */
	WRITE_MSR 0xc0000102, 0x00003456	/* KERNEL_GS_BASE */
	WRITE_MSR 0x174, 0			/* SYSENTER */
	WRITE_MSR 0x175, 0
	WRITE_MSR 0x176, 0
	cmpq	$0, MIX_TSC_AUX
	je	1f
	WRITE_MSR 0xc0000103, 0
1:	swapgs
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs

	/* Breakpoints in every second turn, on what this guest never touches. */
	mov	MIX_DR0, %rax
	mov	%rax, %dr0
	mov	%rax, %dr1
	add	$8, %rax
	mov	%rax, %dr2
	mov	%rax, %dr3
	mov	$0x400, %eax
	test	$1, %bl
	jz	1f
	mov	$0xbbbb04ff, %eax		/* 8 bytes, read or write */
1:	mov	%rax, %dr7

	fninit
	fldcw	MIX_FCW
	ldmxcsr	MIX_MXCSR
	.rept	8
	fldpi
	.endr
	cmpq	$0, MIX_AVX
	je	1f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	MIX_YMM, %ymm\n
	.endr
	jmp	2f
1:	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	MIX_YMM, %xmm\n
	.endr
2:	cmpq	$0, MIX_PKU
	je	1f
	mov	$~0, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
1:
	push	%rbx
	xor	%eax, %eax
	xor	%ecx, %ecx
	cpuid
	mov	$0x1000, %eax
	vmcall					/* made the CPU's own by the C side */
	pop	%rbx

	mov	MIX_STAY, %rcx
	test	%rcx, %rcx
	jz	2f
1:	dec	%rcx
	jnz	1b
2:	out	%al, $PORT
	jmp	.Lmix_turn
GUEST_END guest_mix

/* Stays until it is told to leave. */
GUEST guest_stay
1:	incq	SPIN_COUNTER
	cmpq	$0, SPIN_STOP
	je	1b
	movq	$0, SPIN_STOP
	out	%al, $PORT
	jmp	1b
GUEST_END guest_stay

/*
 * Denies itself all of the memory that has a key and leaves in every way in which
 * the host has to work for it. R8 counts turns; UD2 is "my PKRU is another".
 */
.macro CHECK_PKRU
	xor	%ecx, %ecx
	rdpkru
	cmp	%eax, %r9d
	jne	.Lpku_wrong
.endm

GUEST guest_pku
	mov	PKU_VALUE, %r9
	mov	%cr4, %rdx
	or	$CR4_PKE | CR4_OSXSAVE, %rdx
	mov	%rdx, %cr4
	/* With PKRU's bit, if the host has it so, and then without. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	PKU_XCR0, %rax
	xsetbv
	mov	%r9, %rax
	wrpkru
	CHECK_PKRU
	out	%al, $PORT
	CHECK_PKRU
	xor	%edx, %edx
	mov	$1, %eax
	xsetbv
	xor	%r8d, %r8d
.Lpku_turn:
	CHECK_PKRU
	inc	%r8
	out	%al, $PORT
	CHECK_PKRU
	in	$PORT, %al
	CHECK_PKRU
	mov	$HOLE, %ebx
	mov	%r8, (%rbx)
	CHECK_PKRU
	mov	(%rbx), %rax
	cmp	%r8, %rax
	jne	.Lpku_wrong
	CHECK_PKRU
	mov	$PORT_STRING, %edx
	mov	$PKU_OUT, %esi
	mov	$32, %ecx
	rep outsb
	CHECK_PKRU
	mov	$PORT_STRING, %edx
	mov	$PKU_IN, %edi
	mov	$32, %ecx
	rep insb
	CHECK_PKRU
	/* From memory that nobody has touched yet. */
	mov	%r8, %rax
	shl	$12, %rax
	add	$GUEST_DATA + 0x1000, %rax
	and	$0x1ff000, %eax
	cmpb	$0, (%rax)
	CHECK_PKRU
	xor	%eax, %eax
	cpuid
	CHECK_PKRU
	cmp	$8, %r8
	jb	.Lpku_turn
	hlt
.Lpku_wrong:
	ud2
GUEST_END guest_pku

/* --- Not guests: parts of the test that C cannot say ------------------------------- */

	.text
/* struct call */
#define CALL_NR		0x00
#define CALL_A		0x08
#define CALL_B		0x10
#define CALL_C		0x18

/* The system call at @reg; the result is in RAX, RCX and R11 are gone. */
.macro MAKE_CALL reg
	mov	CALL_NR(\reg), %rax
	mov	CALL_A(\reg), %rdi
	mov	CALL_B(\reg), %rsi
	mov	CALL_C(\reg), %rdx
	syscall
.endm

/* struct vectors */
#define VEC_FX		0x000
#define VEC_YMM		0x200

/*
 * long call_with_vectors(const struct call *, struct vectors *, bool avx):
 * a system call with these in the registers, which are stored back after it.
 */
	.globl	call_with_vectors
	.type	call_with_vectors, @function
call_with_vectors:
	push	%rbx
	push	%rbp
	push	%r12
	mov	%rdi, %rbp
	mov	%rsi, %rbx
	mov	%edx, %r12d
	fxrstor64 VEC_FX(%rbx)
	test	%r12d, %r12d
	jz	1f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	VEC_YMM + 32 * \n(%rbx), %ymm\n
	.endr
1:	MAKE_CALL %rbp
	fxsave64 VEC_FX(%rbx)
	test	%r12d, %r12d
	jz	1f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	%ymm\n, VEC_YMM + 32 * \n(%rbx)
	.endr
	vzeroupper
1:	fninit
	push	$0x1f80
	ldmxcsr	(%rsp)
	pop	%rcx
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* struct segments */
#define SEG_DS		0x00
#define SEG_ES		0x02
#define SEG_FS		0x04
#define SEG_GS		0x06
#define SEG_CS		0x08
#define SEG_SS		0x0a
#define SEG_FS_BASE	0x10
#define SEG_GS_BASE	0x18
#define SEG_FS_WORD	0x20
#define SEG_GS_WORD	0x28
#define SEG_SET_FS	0x30	/* FS_BASE is written, not the selector's */
#define SEG_SET_GS	0x31
#define SEG_READ_FS	0x32	/* what is at offset 0 is read */
#define SEG_READ_GS	0x33

/*
 * long call_with_segments(const struct call *, struct segments *): likewise for
 * the segment registers. Needs FSGSBASE.
 */
	.globl	call_with_segments
	.type	call_with_segments, @function
call_with_segments:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	mov	%rdi, %rbp
	mov	%rsi, %rbx
	rdfsbase %r12
	rdgsbase %r13
	mov	SEG_DS(%rbx), %ds
	mov	SEG_ES(%rbx), %es
	mov	SEG_FS(%rbx), %fs
	mov	SEG_GS(%rbx), %gs
	mov	SEG_FS_BASE(%rbx), %rax
	cmpb	$0, SEG_SET_FS(%rbx)
	je	1f
	wrfsbase %rax
1:	mov	SEG_GS_BASE(%rbx), %rax
	cmpb	$0, SEG_SET_GS(%rbx)
	je	1f
	wrgsbase %rax
1:	MAKE_CALL %rbp
	mov	%ds, SEG_DS(%rbx)
	mov	%es, SEG_ES(%rbx)
	mov	%fs, SEG_FS(%rbx)
	mov	%gs, SEG_GS(%rbx)
	mov	%cs, SEG_CS(%rbx)
	mov	%ss, SEG_SS(%rbx)
	rdfsbase %rcx
	mov	%rcx, SEG_FS_BASE(%rbx)
	rdgsbase %rcx
	mov	%rcx, SEG_GS_BASE(%rbx)
	cmpb	$0, SEG_READ_FS(%rbx)
	je	1f
	mov	%fs:0, %rcx
	mov	%rcx, SEG_FS_WORD(%rbx)
1:	cmpb	$0, SEG_READ_GS(%rbx)
	je	1f
	mov	%gs:0, %rcx
	mov	%rcx, SEG_GS_WORD(%rbx)
1:	xor	%ecx, %ecx
	mov	%ecx, %ds
	mov	%ecx, %es
	mov	%ecx, %fs
	mov	%ecx, %gs
	wrfsbase %r12
	wrgsbase %r13
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/*
 * long call32(const uint32_t args[4], void *stack, int how): a system call of a
 * 32-bit program, number and three arguments, on a stack below 4 GiB. How: INT 0x80
 * (0), SYSCALL (1), SYSENTER (2). The latter two do not come back here: the kernel
 * returns to where the 32-bit vDSO would be.
 */
#define USER32_CS	0x23
#define USER_CS		0x33
	.globl	call32
	.type	call32, @function
call32:
	push	%rbx
	push	%rbp
	push	%r12
	mov	%rsp, %r12
	mov	%rsi, %rsp
	mov	%edx, %ebp
	mov	0(%rdi), %eax
	mov	4(%rdi), %ebx
	mov	8(%rdi), %ecx
	mov	12(%rdi), %edx
	push	$USER32_CS
	push	$1f
	lretq
	.code32
1:	cmp	$1, %ebp
	je	2f
	ja	3f
	int	$0x80
	ljmp	$USER_CS, $4f
	/* The second argument in EBP, the sixth and EBP on the stack. */
2:	push	%ebp
	mov	%ecx, %ebp
	syscall
	ud2
3:	push	%ecx
	push	%edx
	push	%ebp
	mov	%esp, %ebp
	sysenter
	ud2
	.code64
4:	mov	%r12, %rsp
	cltq
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
