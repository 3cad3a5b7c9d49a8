/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Execution of decoded instructions whose memory operand is, or may be, a device.
 *
 * x86_emulate() executes one instruction, or one iteration of a string instruction, with
 * everything that it needs taken through struct x86_emul_ops. The order is always the same: all
 * reads and checks, then the one write to memory or to a port (no instruction of the table
 * has two in an iteration), then registers, flags and the instruction pointer. So whatever a
 * callback returns, nothing has changed before; and the caller can break off at a read whose
 * data has to come from userspace, and execute the whole instruction again when the data
 * is there (or the part of it behind the read: struct x86_emul, @value).
 *
 * A repeated string instruction returns after each iteration, with RFLAGS.RF set and the
 * registers advanced, as a CPU does that is interrupted there; before the first when the count
 * is 0.
 *
 * Pure C, see pure.h.
 */
#ifndef MINIKVM_X86_EMULATE_H
#define MINIKVM_X86_EMULATE_H

#include "decode.h"

/* The widest memory operand: 256 bits. */
#define X86_MEM_MAX	32

/**
 * struct x86_vec - a vector register, YMM; the lower half is XMM
 * @b: bytes, the lowest first
 */
struct x86_vec {
	u8 b[X86_MEM_MAX];
};

/**
 * struct x86_emul_ops - what the emulator needs of the world
 * @read: @len bytes (1 to %X86_MEM_MAX) from linear address @la; may cross a page. @write:
 *	the operand will be written, too: a fault must be that of a write, for all of it.
 *	@data NULL: only look whether it would fault (INS, before the port; CLFLUSH)
 * @write: the opposite; the last thing that can fail. All of it or nothing
 * @cmpxchg_mem: write @new if memory holds @old, in one step for other CPUs too where it is
 *	memory; for LOCK and XCHG. -EAGAIN when it holds something else: again from the start
 * @in: read a port: @size 1, 2 or 4. That the guest may use it has been checked before, by
 *	the CPU or by the caller
 * @out: write a port, likewise
 * @get_cpl: current privilege level
 * @set_rflags: write all of RFLAGS
 * @set_rip: the instruction, or the iteration, is complete; called last. @done: RIP after the
 *	instruction; else it is called again for the next iteration
 * @get_vec: vector register @reg (0 to 15)
 * @set_vec: write @size bytes (16 or 32) of it; with @zero the bytes above are cleared
 * @get_mmx: MMX register @reg (0 to 7)
 * @set_mmx: write it; the x87 tags are set as the CPU does
 * @get_selector: selector of segment register @seg (enum x86_seg)
 * @load_segment: load segment register @seg (not CS) with @selector, with all checks and the
 *	descriptor's "accessed" bit. For the shadow of MOV SS see x86_insn_loads_ss()
 *
 * Those that return int: 0; -EINVAL with the exception that the guest must receive in @fault;
 * any other error, which x86_emulate() hands on. First argument of all: x86_cpu.priv.
 */
struct x86_emul_ops {
	int (*read)(void *priv, u64 la, void *data, unsigned int len, bool write,
		    struct x86_fault *fault);
	int (*write)(void *priv, u64 la, const void *data, unsigned int len,
		     struct x86_fault *fault);
	int (*cmpxchg_mem)(void *priv, u64 la, const void *old, const void *new, unsigned int len,
			   struct x86_fault *fault);
	int (*in)(void *priv, u16 port, unsigned int size, u32 *data);
	int (*out)(void *priv, u16 port, unsigned int size, u32 data);
	unsigned int (*get_cpl)(void *priv);
	void (*set_rflags)(void *priv, u64 rflags);
	void (*set_rip)(void *priv, u64 rip, bool done);
	void (*get_vec)(void *priv, unsigned int reg, struct x86_vec *val);
	void (*set_vec)(void *priv, unsigned int reg, const struct x86_vec *val,
			unsigned int size, bool zero);
	u64 (*get_mmx)(void *priv, unsigned int reg);
	void (*set_mmx)(void *priv, unsigned int reg, u64 val);
	u16 (*get_selector)(void *priv, unsigned int seg);
	int (*load_segment)(void *priv, unsigned int seg, u16 selector, struct x86_fault *fault);
};

/**
 * struct x86_emul - the state around an instruction that decides what it may do
 * @ops: callbacks
 * @cpu: general registers and segments
 * @rflags: RFLAGS
 * @cr0: CR0
 * @cr4: CR4
 * @xcr0: XCR0, 0 while CR4.OSXSAVE is clear
 * @value: the memory operand, as far as it is known: see @value_size
 * @value_size: bytes of @value; 0: nothing is known. An operand of this size that is only read is
 *	not read again, nor is its address checked: for an instruction that was broken off at
 *	this read, and is executed again
 *
 * LOCK and CPUID are the CPU's own affair: an instruction gets here because the CPU began to
 * execute it.
 */
struct x86_emul {
	const struct x86_emul_ops *ops;
	const struct x86_cpu *cpu;
	u64 rflags;
	u64 cr0;
	u64 cr4;
	u64 xcr0;
	u64 value;
	u8 value_size;
};

/**
 * x86_insn_loads_ss() - does it block interrupts for one instruction?
 * @insn: from x86_decode(), executed without a fault
 *
 * Return: whether it is MOV to SS or POP SS: the caller sets the interrupt shadow after it.
 */
static inline bool x86_insn_loads_ss(const struct x86_insn *insn)
{
	return insn->opnd[0].kind == X86_OPND_SEG && insn->opnd[0].reg == X86_SEG_SS &&
	       (insn->op == X86_OP_MOV || insn->op == X86_OP_POP);
}

/**
 * x86_emulate() - execute an instruction, or one iteration of a string instruction
 * @e: the vCPU
 * @insn: from x86_decode()
 * @fault: filled for -EINVAL
 *
 * Exceptions and their order are the manual's: #UD and #NM, segment checks, #AC, page faults
 * (by the callbacks), #DE. RFLAGS.RF is cleared when it is complete; the caller handles TF and
 * interrupt shadows.
 *
 * Return: 0; -EINVAL; -EOPNOTSUPP for an instruction that is not executed here; what a callback
 * returned.
 */
int x86_emulate(const struct x86_emul *e, const struct x86_insn *insn, struct x86_fault *fault);

#endif /* MINIKVM_X86_EMULATE_H */
