/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_SVM_INSN_H
#define MKVM_SVM_INSN_H

/*
 * The SVM instructions, but VMRUN, which is in enter.S. They fault when EFER.SVME is clear.
 */

#include <linux/types.h>
#include <asm/asm.h>

/**
 * svm_clgi() - clear the global interrupt flag: not even an NMI comes through
 *
 * Return: false when SVM is off, as it is when the machine goes down under a running VM. While
 * the flag is clear that cannot happen any more: the order to go down is an NMI or an IPI.
 */
static __always_inline bool svm_clgi(void)
{
	asm goto("1: clgi\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : : "memory" : fail);
	return true;
fail:
	return false;
}

/** svm_stgi() - set it: what was held back comes now */
static __always_inline void svm_stgi(void)
{
	asm volatile("stgi" : : : "memory");
}

/** svm_vmsave() - store FS, GS, TR, LDTR and the MSRs of system calls
 * @pa: physical address of a page in the format of a VMCB */
static __always_inline void svm_vmsave(u64 pa)
{
	asm volatile("vmsave %%rax" : : "a" (pa) : "memory");
}

#endif
