/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Option ROM of the Bochs machine: starts an uncompressed kernel directly.
 *
 * GRUB and the kernel's own decompressor take half of the time of a boot in an
 * emulator, for work whose result is always the same. So the computer outside
 * unpacks the kernel (vmlib/direct.py writes this ROM and a disk), and the ROM
 *
 *   1. copies boot_params ("zero page") and the list of what to read to memory,
 *   2. asks the BIOS for the memory map, straight into boot_params,
 *   3. in protected mode reads all pieces to their places (ATA PIO: Bochs
 *      moves a whole sector for one REP INSW),
 *   4. enters long mode with the page tables that were one of the pieces, and
 *      jumps to the 64-bit entry of the kernel as Documentation/x86/boot.rst says.
 *
 * The BIOS calls option ROMs before it waits 3 seconds for a key, which with
 * several emulated CPUs is 6 seconds of ours. It gets control back never.
 */

/* Shared with vmlib/direct.py. */
#define ROM_SEGMENT	0xd000
#define CODE_SIZE	512
#define BOOT_PARAMS	0x10000		/* follows the code in the ROM, 8 sectors */
#define PIECES		0x11000		/* the next sector: { address, first sector, sectors }, ends with 0 sectors */
#define ENTRY		0x111f8		/* the last 8 bytes of that sector: entry point of the kernel */
#define PAGE_TABLES	0x12000		/* one of the pieces */
#define ROM_SECTORS	10

/* Offsets in struct boot_params. */
#define E820_ENTRIES	0x1e8
#define E820_TABLE	0x2d0
#define E820_MAX	32

#define ATA_DATA	0x1f0
#define ATA_COUNT	0x1f2
#define ATA_LBA0	0x1f3
#define ATA_LBA1	0x1f4
#define ATA_LBA2	0x1f5
#define ATA_DEVICE	0x1f6
#define ATA_COMMAND	0x1f7
#define ATA_READ	0x20

	.code16
	.globl	_start
_start:
	.word	0xaa55
	.byte	ROM_SECTORS
	cli
	cld
	movw	$ROM_SEGMENT, %ax
	movw	%ax, %ds
	movw	$(BOOT_PARAMS >> 4), %ax
	movw	%ax, %es
	xorl	%esi, %esi
	xorw	%di, %di
	movw	$CODE_SIZE, %si
	movw	$(4096 + 512) / 2, %cx
	rep movsw

	/* The memory map. */
	movw	$E820_TABLE, %di
	xorl	%ebx, %ebx
2:	movl	$0xe820, %eax
	movl	$0x534d4150, %edx
	movl	$20, %ecx
	int	$0x15
	jc	3f
	addw	$20, %di
	incb	%es:E820_ENTRIES
	cmpb	$E820_MAX, %es:E820_ENTRIES
	je	3f
	testl	%ebx, %ebx
	jnz	2b
3:
	/* No BIOS from here on. */
	cli
	inb	$0x92, %al
	orb	$2, %al
	outb	%al, $0x92		/* address line 20 */
	lgdtl	gdt_pointer - _start
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x20, $protected

	.code32
protected:
	movw	$0x18, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x7c00, %esp
	movl	$PIECES, %esi
next_piece:
	movl	(%esi), %edi
	movl	4(%esi), %ebx		/* first sector */
	movl	8(%esi), %ebp		/* sectors left */
	addl	$12, %esi
	testl	%ebp, %ebp
	jz	long_mode
next_command:
	movl	%ebp, %ecx
	cmpl	$255, %ecx
	jbe	1f
	movl	$255, %ecx
1:	movw	$ATA_COUNT, %dx
	movb	%cl, %al
	outb	%al, %dx
	movl	%ebx, %eax
	incl	%edx
	outb	%al, %dx
	shrl	$8, %eax
	incl	%edx
	outb	%al, %dx
	shrl	$8, %eax
	incl	%edx
	outb	%al, %dx
	movb	%ah, %al
	orb	$0xe0, %al		/* master, LBA */
	incl	%edx
	outb	%al, %dx
	movb	$ATA_READ, %al
	incl	%edx
	outb	%al, %dx
	addl	%ecx, %ebx
	subl	%ecx, %ebp
next_sector:
	movw	$ATA_COMMAND, %dx
2:	inb	%dx, %al
	testb	$0x80, %al		/* busy */
	jnz	2b
	testb	$0x01, %al		/* error */
	jnz	stop
	testb	$0x08, %al		/* data */
	jz	2b
	pushl	%ecx
	movl	$128, %ecx
	movw	$ATA_DATA, %dx
	rep insl
	popl	%ecx
	loop	next_sector
	testl	%ebp, %ebp
	jnz	next_command
	jmp	next_piece

stop:	hlt
	jmp	stop

long_mode:
	movl	$PAGE_TABLES, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orb	$0x20, %al		/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orw	$0x100, %ax		/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmp	$0x10, $1f

	.code64
1:	movl	$BOOT_PARAMS, %esi
	jmp	*ENTRY

	.balign	8
gdt:	.quad	0
	.quad	0
	.quad	0x00af9b000000ffff	/* 0x10: the kernel's boot code segment, 64 bits */
	.quad	0x00cf93000000ffff	/* 0x18: the kernel's boot data segment */
	.quad	0x00cf9b000000ffff	/* 0x20: code, 32 bits */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt

	.org	CODE_SIZE - 1		/* direct.py makes the sum of the ROM zero here */
	.byte	0
