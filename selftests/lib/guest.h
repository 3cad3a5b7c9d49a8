/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where things lie in a test guest's memory. Included by C and by assembly.
 *
 * All of it is inside slot 0 (GPA 0 to GUEST_MEM_SIZE), identity mapped by
 * the page tables that vcpu_set_mode() builds.
 */
#ifndef SELFTESTS_LIB_GUEST_H
#define SELFTESTS_LIB_GUEST_H

#define GUEST_CODE		0x01000	/* guest code, up to the stack's end */
#define GUEST_CODE_MAX		0x08000
#define GUEST_STACK_TOP		0x0e000	/* of the code that runs first */
#define GUEST_HANDLERS16	0x0e000	/* real-mode exception handlers */
#define GUEST_EXCEPTION		0x0f000	/* struct guest_exception */
#define GUEST_GDT		0x10000
#define GUEST_IDT		0x11000
#define GUEST_TSS		0x12000
#define GUEST_HANDLERS64	0x13000
#define GUEST_HANDLERS32	0x14000
#define GUEST_STACK0_TOP	0x1f000	/* on a change to ring 0 */
#define GUEST_PML4		0x20000
#define GUEST_PDPT		0x21000	/* four entries in use, 1 GiB each */
#define GUEST_PD		0x22000	/* four pages: 4 GiB by 2 MiB pages */
#define GUEST_PT		0x26000	/* the first 2 MiB by 4 KiB pages */
#define GUEST_PD32		0x30000	/* without PAE: 4 GiB by 4 MiB pages */
#define GUEST_PT32		0x31000	/* and the first 4 MiB by 4 KiB pages */
#define GUEST_PDPT_PAE		0x32000	/* 32-byte table, entries to GUEST_PD */
#define GUEST_DATA		0x40000	/* free for the test from here on */
#define GUEST_MEM_SIZE		0x200000

/* Selectors in the GDT that vcpu_set_mode() builds. */
#define SEL_CODE32		0x08
#define SEL_DATA		0x10
#define SEL_CODE64		0x18
#define SEL_DATA_R3		0x23
#define SEL_CODE64_R3		0x2b
#define SEL_CODE32_R3		0x33
#define SEL_TSS			0x38	/* 16 bytes in long mode */
#define SEL_CODE16		0x48
#define SEL_DATA16		0x50
#define GDT_ENTRIES		12

/* Offsets in struct guest_exception, for the handlers. */
#define EXC_VECTOR		0x00
#define EXC_ERROR		0x08
#define EXC_RIP			0x10
#define EXC_CS			0x18
#define EXC_RFLAGS		0x20
#define EXC_RSP			0x28
#define EXC_SS			0x30
#define EXC_CR2			0x38
#define EXC_COUNT		0x40

/* A handler that reports no error code stores this. */
#define EXC_NO_ERROR		(-1)

#define VECTOR_DE		0
#define VECTOR_DB		1
#define VECTOR_NMI		2
#define VECTOR_BP		3
#define VECTOR_OF		4
#define VECTOR_BR		5
#define VECTOR_UD		6
#define VECTOR_NM		7
#define VECTOR_DF		8
#define VECTOR_TS		10
#define VECTOR_NP		11
#define VECTOR_SS		12
#define VECTOR_GP		13
#define VECTOR_PF		14
#define VECTOR_MF		16
#define VECTOR_AC		17
#define VECTOR_XM		19

#ifdef __ASSEMBLER__

/*
 * A guest between GUEST and GUEST_END: the C side names it with
 * GUEST_DECLARE(name). Labels in it are reached by relative jumps; ABS(guest, label)
 * gives the address after it was loaded at GUEST_CODE.
 */
.macro GUEST name
	.pushsection .rodata.guests, "a"
	.balign 16
	.globl \name
\name:
.endm

.macro GUEST_END name
	.globl \name\()_end
\name\()_end:
	.popsection
.endm

#define ABS(guest, label)	(GUEST_CODE + (label) - (guest))

#endif /* __ASSEMBLER__ */
#endif
