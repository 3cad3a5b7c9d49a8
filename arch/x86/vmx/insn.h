/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VMX_INSN_H
#define MKVM_VMX_INSN_H

/*
 * The VMX instructions.
 *
 * Each reports failure in RFLAGS (CF: VMfailInvalid, ZF: VMfailValid), and faults when the
 * CPU is not in VMX operation, as it happens when the machine goes down under a running
 * VM; both look the same to the caller.
 */

#include <linux/types.h>
#include <asm/asm.h>
#include <asm/vmx.h>

void vmread_error(unsigned long field);
void vmwrite_error(unsigned long field, unsigned long value);

/* The instructions that take a physical address in memory: VMXON, VMCLEAR, VMPTRLD. */
#define VMX_INSN_PA(insn)							\
static __always_inline int vmx_##insn(u64 pa)					\
{										\
	asm goto("1: " #insn " %0\n\t"						\
		 "jbe %l[fail]\n\t"						\
		 _ASM_EXTABLE(1b, %l[fail])					\
		 : : "m" (pa) : "cc", "memory" : fail);				\
	return 0;								\
fail:										\
	return -EIO;								\
}

VMX_INSN_PA(vmxon)
VMX_INSN_PA(vmclear)
VMX_INSN_PA(vmptrld)

/* @ept_pointer counts if @type is single-context. */
static __always_inline int vmx_invept(unsigned long type, u64 ept_pointer)
{
	struct {
		u64 ept_pointer;
		u64 reserved;
	} desc = { .ept_pointer = ept_pointer };

	asm goto("1: invept %0, %1\n\t"
		 "jbe %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : "m" (desc), "r" (type) : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

static __always_inline int vmx_vmxoff(void)
{
	asm goto("1: vmxoff\n\t"
		 "jbe %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : : "cc", "memory" : fail);
	return 0;
fail:
	return -EIO;
}

/* --- Fields of the current VMCS ------------------------------------------------------- */

/*
 * The width is part of a field's encoding (SDM, "Field Encoding in VMCS"). An access of the
 * wrong width does not compile.
 */
enum { VMCS_16 = 0, VMCS_64 = 1, VMCS_32 = 2, VMCS_NATURAL = 3 };

#define vmcs_check_width(field, width)							\
	BUILD_BUG_ON_MSG(__builtin_constant_p(field) &&					\
			 (((field) >> 13) & 3) != (width),				\
			 "VMCS field accessed with the wrong width")

static __always_inline unsigned long __vmread(unsigned long field)
{
	unsigned long value;

	asm goto("1: vmread %[field], %[value]\n\t"
		 "jbe %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : [value] "=r" (value) : [field] "r" (field) : "cc" : fail);
	/* Some compilers take the output for one of the failing branch without this. */
	asm volatile("");
	return value;
fail:
	vmread_error(field);
	return 0;
}

static __always_inline void __vmwrite(unsigned long field, unsigned long value)
{
	asm goto("1: vmwrite %[value], %[field]\n\t"
		 "jbe %l[fail]\n\t"
		 _ASM_EXTABLE(1b, %l[fail])
		 : : [field] "r" (field), [value] "rm" (value) : "cc" : fail);
	return;
fail:
	vmwrite_error(field, value);
}

static __always_inline u16 vmcs_read16(unsigned long field)
{
	vmcs_check_width(field, VMCS_16);
	return __vmread(field);
}

static __always_inline u32 vmcs_read32(unsigned long field)
{
	vmcs_check_width(field, VMCS_32);
	return __vmread(field);
}

static __always_inline u64 vmcs_read64(unsigned long field)
{
	vmcs_check_width(field, VMCS_64);
	return __vmread(field);
}

static __always_inline unsigned long vmcs_readl(unsigned long field)
{
	vmcs_check_width(field, VMCS_NATURAL);
	return __vmread(field);
}

static __always_inline void vmcs_write16(unsigned long field, u16 value)
{
	vmcs_check_width(field, VMCS_16);
	__vmwrite(field, value);
}

static __always_inline void vmcs_write32(unsigned long field, u32 value)
{
	vmcs_check_width(field, VMCS_32);
	__vmwrite(field, value);
}

static __always_inline void vmcs_write64(unsigned long field, u64 value)
{
	vmcs_check_width(field, VMCS_64);
	__vmwrite(field, value);
}

static __always_inline void vmcs_writel(unsigned long field, unsigned long value)
{
	vmcs_check_width(field, VMCS_NATURAL);
	__vmwrite(field, value);
}

#endif
