/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Execution of decoded instructions that touch a device: the plain MOV forms.
 *
 * An instruction runs in two steps because the data of a read may have to come
 * from userspace: x86_emulate_mmio() turns it into one memory access, and
 * x86_mmio_complete() writes the register when the data is there. Nothing of
 * the vCPU changes before that.
 *
 * Pure C, see pure.h.
 */
#ifndef MINIKVM_X86_MMIO_OP_H
#define MINIKVM_X86_MMIO_OP_H

#include "decode.h"

/**
 * struct x86_mmio_op - one memory access of one instruction
 * @gla: guest linear address; an access can cross into the next page
 * @value: write: the bytes to store, little-endian, zero above @size
 * @next_rip: instruction pointer when the instruction is complete
 * @size: bytes accessed: 1, 2, 4 or 8
 * @is_write: memory is the destination
 * @reg: read: destination register, 0 to 15
 * @reg_size: read: bytes of the register that are written: 1, 2, 4 or 8
 * @high: read: the destination is AH, CH, DH or BH, bits 15:8 of @reg
 * @sign_extend: read: extend the value with its sign, not with zeroes, from
 *	@size to @reg_size
 */
struct x86_mmio_op {
	u64 gla;
	u64 value;
	u64 next_rip;
	u8 size;
	bool is_write;
	u8 reg;
	u8 reg_size;
	bool high;
	bool sign_extend;
};

/**
 * x86_emulate_mmio() - first step: what must be read or written
 * @insn: decoded instruction
 * @cpu: the vCPU
 * @op: result
 * @fault: filled for -EINVAL: segment or canonical violation
 *
 * Return: 0; -EINVAL; -EOPNOTSUPP when it is not one of MOV (88 to 8B, A0 to
 * A3, C6, C7), MOVZX, MOVSX and MOVSXD with a memory operand.
 */
int x86_emulate_mmio(const struct x86_insn *insn, const struct x86_cpu *cpu,
		     struct x86_mmio_op *op, struct x86_fault *fault);

/**
 * x86_mmio_merge() - new content of the destination register
 * @op: a read
 * @old: all 64 bits of the register before
 * @data: the bytes read, little-endian; what is above op->size does not count
 *
 * 8 and 16 bit destinations keep the other bits of the register, 32 bit ones
 * clear the upper half ("General-Purpose Registers in 64-Bit Mode").
 *
 * Return: all 64 bits.
 */
u64 x86_mmio_merge(const struct x86_mmio_op *op, u64 old, u64 data);

/**
 * x86_mmio_complete() - second step: write the destination register
 * @op: from x86_emulate_mmio(); nothing is done for a write
 * @cpu: the vCPU
 * @data: as for x86_mmio_merge()
 *
 * The caller advances RIP to op->next_rip, clears interrupt shadows and
 * handles a single-step trap.
 */
void x86_mmio_complete(const struct x86_mmio_op *op, const struct x86_cpu *cpu,
		       u64 data);

#endif /* MINIKVM_X86_MMIO_OP_H */
