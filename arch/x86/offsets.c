// SPDX-License-Identifier: GPL-2.0
/* Offsets for the entry code of both vendors, turned into offsets.h at build time. */
#define COMPILE_OFFSETS

#include <linux/kbuild.h>

#include <asm/vmx.h>

#include "arch_types.h"

static void __used common(void)
{
	DEFINE(REG_RAX, MKVM_REG_RAX * sizeof(unsigned long));
	DEFINE(REG_RCX, MKVM_REG_RCX * sizeof(unsigned long));
	DEFINE(REG_RDX, MKVM_REG_RDX * sizeof(unsigned long));
	DEFINE(REG_RBX, MKVM_REG_RBX * sizeof(unsigned long));
	DEFINE(REG_RBP, MKVM_REG_RBP * sizeof(unsigned long));
	DEFINE(REG_RSI, MKVM_REG_RSI * sizeof(unsigned long));
	DEFINE(REG_RDI, MKVM_REG_RDI * sizeof(unsigned long));
	DEFINE(REG_R8, MKVM_REG_R8 * sizeof(unsigned long));
	DEFINE(REG_R9, MKVM_REG_R9 * sizeof(unsigned long));
	DEFINE(REG_R10, MKVM_REG_R10 * sizeof(unsigned long));
	DEFINE(REG_R11, MKVM_REG_R11 * sizeof(unsigned long));
	DEFINE(REG_R12, MKVM_REG_R12 * sizeof(unsigned long));
	DEFINE(REG_R13, MKVM_REG_R13 * sizeof(unsigned long));
	DEFINE(REG_R14, MKVM_REG_R14 * sizeof(unsigned long));
	DEFINE(REG_R15, MKVM_REG_R15 * sizeof(unsigned long));

	BLANK();
	DEFINE(FIELD_HOST_RSP, HOST_RSP);
}
