/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From reset state to 64-bit mode in one guest, by the tables of its own that
 * stand at its end. After each step it says so on port MARK with the step's
 * number in AL, and other values where the C side asks for them.
 */
#include "lib/guest.h"

#define MARK		0x80
#define CR0_PE		0x00000001
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define MSR_EFER	0xc0000080
#define EFER_LME	0x100

/* Selectors in the guest's own GDT. */
#define OWN_CODE32	0x08
#define OWN_DATA	0x10
#define OWN_CODE64	0x18
#define OWN_CODE16	0x20
#define OWN_DATA_HIGH	0x28

/* Page tables the guest builds: free memory behind GUEST_DATA. */
#define OWN_PML4	0x50000
#define OWN_PDPT	0x51000
#define OWN_PD		0x52000
#define OWN_PD32	0x53000
#define OWN_PDPT_PAE	0x54000

#define AT(label)	ABS(guest_all_modes, label)

	.code16
GUEST guest_all_modes
	/* 1: real mode, with a segment other than 0. */
	mov	$0x1234, %ax
	mov	%ax, %es
	movb	$0x77, %es:0x10
	mov	$1, %al
	out	%al, $MARK

	/* 2: protected mode; the far jump loads CS. */
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	AT(own_gdtr)
	mov	%cr0, %eax
	or	$CR0_PE, %eax
	mov	%eax, %cr0
	ljmpl	$OWN_CODE32, $AT(prot32)

	.code32
prot32:
	mov	$OWN_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$GUEST_STACK_TOP, %esp
	movzbl	0x12350, %eax		/* what real mode wrote */
	out	%al, $MARK
	mov	$2, %al
	out	%al, $MARK

	/* A data segment with a base: 0x100000 + 0x30 is 0x100030. */
	mov	$OWN_DATA_HIGH, %eax
	mov	%eax, %fs
	movl	$0xcafe, %fs:0x30
	mov	0x100030, %eax
	out	%eax, $MARK

	/* 3: 16-bit protected mode and back. */
	ljmpl	$OWN_CODE16, $AT(prot16)
	.code16
prot16:
	mov	$3, %al
	out	%al, $MARK
	ljmpl	$OWN_CODE32, $AT(prot32_again)
	.code32
prot32_again:

	/* 4: back to real mode, and a second time to protected mode. */
	ljmpl	$OWN_CODE16, $AT(leave_prot)
	.code16
leave_prot:
	mov	%cr0, %eax
	and	$~CR0_PE, %eax
	mov	%eax, %cr0
	ljmpl	$0, $AT(real_again)
real_again:
	mov	$0x4321, %ax
	mov	%ax, %ds
	mov	$4, %al
	out	%al, $MARK
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%cr0, %eax
	or	$CR0_PE, %eax
	mov	%eax, %cr0
	ljmpl	$OWN_CODE32, $AT(prot32_third)
	.code32
prot32_third:
	mov	$OWN_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss

	/* 5: two-level paging; one 4 MiB page for all the guest has. */
	movl	$0x83, OWN_PD32
	mov	%cr4, %eax
	or	$0x10, %eax
	mov	%eax, %cr4
	mov	$OWN_PD32, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	mov	$5, %al
	out	%al, $MARK
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0

	/* 6: PAE paging; the second 2 MiB are the first again. */
	movl	$OWN_PD + 1, OWN_PDPT_PAE
	movl	$0x83, OWN_PD
	movl	$0x83, OWN_PD + 8
	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$OWN_PDPT_PAE, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	movl	$0xbeef, GUEST_DATA + 0x200000
	mov	GUEST_DATA, %eax
	out	%eax, $MARK
	mov	$6, %al
	out	%al, $MARK

	/* 7: long mode. Paging off, EFER.LME, four levels, paging on. */
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0
	movl	$OWN_PDPT + 3, OWN_PML4
	movl	$OWN_PD + 3, OWN_PDPT
	mov	$OWN_PML4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	/* Compatibility mode now: LMA is set, the code segment is the old. */
	mov	$MSR_EFER, %ecx
	rdmsr
	out	%eax, $MARK
	ljmpl	$OWN_CODE64, $AT(long64)

	.code64
long64:
	mov	$0x123456789abcdef0, %rax
	mov	%rax, GUEST_DATA + 8
	mov	GUEST_DATA + 0xc, %eax
	out	%eax, $MARK
	mov	$7, %al
	out	%al, $MARK

	/* 8: to compatibility mode and back, by far return. */
	pushq	$OWN_CODE32
	pushq	$AT(compat)
	lretq
	.code32
compat:
	mov	$8, %al
	out	%al, $MARK
	ljmpl	$OWN_CODE64, $AT(long64_again)
	.code64
long64_again:

	/* 9: the way back, to 32-bit protected mode without paging. */
	pushq	$OWN_CODE32
	pushq	$AT(leave_long)
	lretq
	.code32
leave_long:
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0
	mov	$MSR_EFER, %ecx
	rdmsr
	out	%eax, $MARK
	mov	$9, %al
	out	%al, $MARK
	hlt

	.balign 8
own_gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 32-bit code */
	.quad	0x00cf93000000ffff	/* data */
	.quad	0x00af9b000000ffff	/* 64-bit code */
	.quad	0x000f9b000000ffff	/* 16-bit code */
	.quad	0x00cf93100000ffff	/* data, base 0x100000 */
own_gdtr:
	.word	own_gdtr - own_gdt - 1
	.long	AT(own_gdt)
GUEST_END guest_all_modes

/*
 * The guest's own handlers: #DE, #UD and #PF are mended and gone on after, by
 * IRETQ. RBX counts them.
 */
#define HANDLE(label)	ABS(guest_own_handlers, label)
	.code64
GUEST guest_own_handlers
	/* #DE: divide 100 by 0; the handler makes it 7. */
	mov	$100, %eax
	xor	%edx, %edx
	xor	%ecx, %ecx
	div	%ecx
	mov	%eax, %r8d		/* 14 */

	/* #UD: the handler goes to R15. */
	lea	1f(%rip), %r15
	ud2
	mov	$0xbad, %r9d
1:
	/* #PF: the handler sets the present bit, the access is made again. */
	mov	$0x7f000, %edi
	movl	$0x600d, (%rdi)
	mov	(%rdi), %r10d
	hlt

	.balign 16
	.globl	own_de, own_ud, own_pf
own_de:
	mov	$7, %ecx
	inc	%ebx
	iretq
own_ud:
	mov	%r15, (%rsp)
	inc	%ebx
	iretq
own_pf:
	mov	%cr2, %r11
	mov	(%rsp), %r12		/* error code */
	add	$8, %rsp
	orl	$1, GUEST_PT + 0x7f * 8
	inc	%ebx
	iretq
GUEST_END guest_own_handlers
