/* SPDX-License-Identifier: GPL-2.0 */
/*
 * x86 instruction decoder: bytes in, struct x86_insn out.
 *
 * Pure C, see pure.h. The decoder looks at nothing but the bytes and the code
 * size; what needs registers or segments is in x86_insn_linear().
 */
#ifndef MINIKVM_X86_DECODE_H
#define MINIKVM_X86_DECODE_H

#include "pure.h"

/* No instruction is longer; the processor raises #GP(0) at the 16th byte. */
#define X86_INSN_MAX	15

/**
 * enum x86_mode - code size, which decides how bytes are decoded
 * @X86_MODE_16: real mode, virtual-8086 mode, or CS.D = 0
 * @X86_MODE_32: CS.D = 1, protected or compatibility mode
 * @X86_MODE_64: 64-bit mode (EFER.LMA = 1 and CS.L = 1)
 */
enum x86_mode {
	X86_MODE_16 = 16,
	X86_MODE_32 = 32,
	X86_MODE_64 = 64,
};

/* Segment registers in the order of their encoding (and of the VMCS fields). */
enum x86_seg {
	X86_SEG_ES,
	X86_SEG_CS,
	X86_SEG_SS,
	X86_SEG_DS,
	X86_SEG_FS,
	X86_SEG_GS,
};

/* General registers in the order of their encoding; R8 to R15 are 8 to 15. */
enum x86_gpr {
	X86_GPR_RAX,
	X86_GPR_RCX,
	X86_GPR_RDX,
	X86_GPR_RBX,
	X86_GPR_RSP,
	X86_GPR_RBP,
	X86_GPR_RSI,
	X86_GPR_RDI,
	X86_GPR_NONE = 0xff,	/* no base, no index */
};

/*
 * What the instruction does. One value can have many forms (table rows). Those that a guest
 * exits with by themselves come first, below 32: sets of them are masks.
 */
enum x86_op {
	X86_OP_NONE,
	X86_OP_CLTS,
	X86_OP_CPUID,
	X86_OP_HLT,
	X86_OP_IN,
	X86_OP_INS,
	X86_OP_INT,		/* INT n, INT3, INTO, INT1: see opcode */
	X86_OP_INVD,
	X86_OP_INVLPG,
	X86_OP_LMSW,
	X86_OP_MONITOR,
	X86_OP_MOV,
	X86_OP_MOV_CR,
	X86_OP_MOV_DR,
	X86_OP_MOVSX,		/* MOVSX and MOVSXD */
	X86_OP_MOVZX,
	X86_OP_MWAIT,
	X86_OP_OUT,
	X86_OP_OUTS,
	X86_OP_PAUSE,
	X86_OP_RDMSR,
	X86_OP_RDPMC,
	X86_OP_RDTSC,
	X86_OP_RDTSCP,
	X86_OP_SMSW,
	X86_OP_VMCALL,
	X86_OP_VMMCALL,
	X86_OP_WBINVD,		/* WBINVD and WBNOINVD */
	X86_OP_WRMSR,
	X86_OP_XSETBV,

	/*
	 * What does not exit by itself but can have an operand in a device. Those that the
	 * opcode or a digit in ModRM numbers are in that order.
	 */
	X86_OP_ADD,
	X86_OP_OR,
	X86_OP_ADC,
	X86_OP_SBB,
	X86_OP_AND,
	X86_OP_SUB,
	X86_OP_XOR,
	X86_OP_CMP,
	X86_OP_ROL,
	X86_OP_ROR,
	X86_OP_RCL,
	X86_OP_RCR,
	X86_OP_SHL,		/* SHL and SAL */
	X86_OP_SHR,
	X86_OP_SAR,
	X86_OP_BT,
	X86_OP_BTS,
	X86_OP_BTR,
	X86_OP_BTC,
	X86_OP_TEST,
	X86_OP_NOT,
	X86_OP_NEG,
	X86_OP_MUL,
	X86_OP_IMUL1,		/* IMUL with one operand */
	X86_OP_DIV,
	X86_OP_IDIV,
	X86_OP_INC,
	X86_OP_DEC,
	X86_OP_BSF,
	X86_OP_BSR,
	X86_OP_CALL,
	X86_OP_CLFLUSH,		/* and CLFLUSHOPT, CLWB */
	X86_OP_CMOV,		/* condition: low four bits of opcode */
	X86_OP_CMPS,
	X86_OP_CMPXCHG,
	X86_OP_CMPXCHG8B,	/* and CMPXCHG16B: see op_size */
	X86_OP_IMUL,		/* IMUL with two or three operands */
	X86_OP_JMP,
	X86_OP_LEA,
	X86_OP_LODS,
	X86_OP_LZCNT,
	X86_OP_MOVBE,
	X86_OP_MOVHPS,		/* and MOVHPD: bits 127:64 of a vector register */
	X86_OP_MOVLPS,		/* and MOVLPD: load bits 63:0, the others stay */
	X86_OP_MOVS,
	X86_OP_MOVV,		/* all other moves of vector and MMX registers */
	X86_OP_POP,
	X86_OP_POPCNT,
	X86_OP_PUSH,
	X86_OP_RET,
	X86_OP_SCAS,
	X86_OP_SET,		/* condition: low four bits of opcode */
	X86_OP_SHLD,
	X86_OP_SHRD,
	X86_OP_STOS,
	X86_OP_TZCNT,
	X86_OP_XADD,
	X86_OP_XCHG,
	X86_NR_OPS
};

enum x86_opnd_kind {
	X86_OPND_NONE,
	X86_OPND_REG,		/* general register @reg, @high for AH to BH */
	X86_OPND_MEM,		/* the memory operand, insn->mem */
	X86_OPND_IMM,		/* insn->imm */
	X86_OPND_CR,		/* control register @reg */
	X86_OPND_DR,		/* debug register @reg */
	X86_OPND_SEG,		/* segment register @reg, enum x86_seg */
	X86_OPND_VEC,		/* vector register @reg: YMM if @size is 32, else XMM */
	X86_OPND_MMX,		/* MMX register @reg, 0 to 7 */
	X86_OPND_ES_DI,		/* ES:rDI where insn->mem is DS:rSI: MOVS, CMPS */
};

#define X86_NR_OPNDS	3

/**
 * struct x86_opnd - one operand
 * @kind: enum x86_opnd_kind
 * @reg: register number 0 to 15; with @high still 0 to 3, the register whose
 *	bits 15:8 are meant
 * @size: bytes that are accessed, 0 for none (INVLPG, LEA)
 * @high: AH, CH, DH or BH
 */
struct x86_opnd {
	u8 kind;
	u8 reg;
	u8 size;
	bool high;
};

/**
 * struct x86_mem - parts of the memory operand
 * @disp: displacement or moffs, sign-extended; full 64 bits for moffs64
 * @base: enum x86_gpr, X86_GPR_NONE when absent
 * @index: enum x86_gpr, X86_GPR_NONE when absent
 * @scale: 0 to 3, a shift count
 * @seg: enum x86_seg: the override that counts, else the default segment
 * @rip_rel: the address of the next instruction is the base
 */
struct x86_mem {
	u64 disp;
	u8 base;
	u8 index;
	u8 scale;
	u8 seg;
	bool rip_rel;
};

/* struct x86_insn, @flags */
#define X86_INSN_LOCK	(1 << 0)	/* LOCK prefix, allowed here */
#define X86_INSN_REP	(1 << 1)	/* F3 is the last of F2 and F3 */
#define X86_INSN_REPNE	(1 << 2)	/* F2 is the last of F2 and F3 */
#define X86_INSN_MODRM	(1 << 3)	/* @modrm is valid */
#define X86_INSN_REX	(1 << 4)	/* a REX prefix counts */
#define X86_INSN_CPL0	(1 << 5)	/* #GP(0) when CPL is not 0 */
#define X86_INSN_STRING	(1 << 6)	/* REP repeats it, RSI/RDI advance */
#define X86_INSN_VEX	(1 << 7)	/* VEX prefix: the name begins with V */
#define X86_INSN_ALIGN	(1 << 8)	/* #GP(0) when the operand is not aligned to its size */

/**
 * struct x86_insn - a decoded instruction
 * @name: the manual's name of the instruction, for traces
 * @row: the table row, for coverage: equal rows are equal pointers
 * @imm: immediate, sign-extended to 64 bits (INT n, IN, OUT, RET: zero-extended)
 * @mem: valid when an operand is X86_OPND_MEM
 * @opnd: destination first, as in the manual's Intel syntax
 * @fault: after -EINVAL: what the guest must receive
 * @op: what it does
 * @mode: code size it was decoded for
 * @len: bytes
 * @flags: X86_INSN_*
 * @opcode: last opcode byte
 * @modrm: valid with X86_INSN_MODRM
 * @op_size: operand size in bytes (2, 4, 8), 1 for the byte forms; the stack's default size
 *	counts
 * @addr_size: address size in bytes (2, 4, 8)
 */
struct x86_insn {
	const char *name;
	const void *row;
	u64 imm;
	struct x86_mem mem;
	struct x86_opnd opnd[X86_NR_OPNDS];
	struct x86_fault fault;
	enum x86_op op;
	enum x86_mode mode;
	u16 flags;
	u8 len;
	u8 opcode;
	u8 modrm;
	u8 op_size;
	u8 addr_size;
};

/**
 * x86_decode() - decode one instruction
 * @bytes: at CS:RIP
 * @avail: how many bytes; those beyond X86_INSN_MAX are not looked at
 * @mode: code size
 * @insn: result; filled completely only when 0 is returned
 *
 * Return: 0, or
 * -EAGAIN when the instruction is longer than @avail (fetch more bytes),
 * -EINVAL when the processor raises an exception instead, in insn->fault: #UD
 * for an invalid encoding, #GP(0) for more than 15 bytes (has_error_code is
 * set: clear it in real mode),
 * -EOPNOTSUPP when the table has no row for it. This is not #UD: the processor
 * may well know the instruction.
 */
int x86_decode(const u8 *bytes, unsigned int avail, enum x86_mode mode,
	       struct x86_insn *insn);

/* Access rights, in the format of the VMCS ("Segment Registers"). */
#define X86_AR_WR	(1u << 1)	/* data: writable; code: readable */
#define X86_AR_DOWN	(1u << 2)	/* data: expand-down */
#define X86_AR_CODE	(1u << 3)
#define X86_AR_S	(1u << 4)	/* code or data, not system */
#define X86_AR_P	(1u << 7)
#define X86_AR_L	(1u << 13)
#define X86_AR_DB	(1u << 14)
#define X86_AR_UNUSABLE	(1u << 16)	/* null selector */

/**
 * struct x86_segment - a segment register with its hidden part
 * @base: base; the upper 32 bits only matter in 64-bit mode
 * @limit: last byte, in bytes whatever the granularity bit says
 * @ar: X86_AR_*
 */
struct x86_segment {
	u64 base;
	u32 limit;
	u32 ar;
};

/**
 * struct x86_cpu_ops - access to the vCPU, called only for what is needed
 * @get_rsp: the stack pointer, which need not be where the other general registers are
 * @set_rsp: write it
 * @get_segment: read segment register @seg (enum x86_seg)
 */
struct x86_cpu_ops {
	u64 (*get_rsp)(void *priv);
	void (*set_rsp)(void *priv, u64 val);
	void (*get_segment)(void *priv, unsigned int seg,
			    struct x86_segment *out);
};

/**
 * struct x86_cpu - the vCPU as decoder and emulator see it
 * @ops: accessors
 * @priv: their first argument
 * @gpr: general registers in the order of their encoding; that of RSP is not used
 * @rip: address of the instruction (offset in CS)
 * @mode: code size
 * @prot: CR0.PE = 1 and RFLAGS.VM = 0: segments are checked by type, and
 *	exceptions have error codes
 * @la57: CR4.LA57 = 1 in 64-bit mode: 57-bit linear addresses
 */
struct x86_cpu {
	const struct x86_cpu_ops *ops;
	void *priv;
	u64 *gpr;
	u64 rip;
	enum x86_mode mode;
	bool prot;
	bool la57;
};

/**
 * x86_gpr() - read a general register
 * @cpu: the vCPU
 * @reg: 0 to 15
 *
 * Return: all 64 bits.
 */
static inline u64 x86_gpr(const struct x86_cpu *cpu, unsigned int reg)
{
	return reg == X86_GPR_RSP ? cpu->ops->get_rsp(cpu->priv) : cpu->gpr[reg];
}

/**
 * x86_set_gpr() - write a general register
 * @cpu: the vCPU
 * @reg: 0 to 15
 * @val: all 64 bits
 */
static inline void x86_set_gpr(const struct x86_cpu *cpu, unsigned int reg, u64 val)
{
	if (reg == X86_GPR_RSP)
		cpu->ops->set_rsp(cpu->priv, val);
	else
		cpu->gpr[reg] = val;
}

/**
 * x86_is_canonical() - are bit 47 (56) and all above it equal?
 * @cpu: the vCPU: paging with four or five levels
 * @la: linear address in 64-bit mode
 *
 * "Canonical Addressing".
 *
 * Return: yes or no.
 */
static inline bool x86_is_canonical(const struct x86_cpu *cpu, u64 la)
{
	unsigned int shift = cpu->la57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(la << shift) >> shift) == la;
}

/**
 * x86_flat_linear() - is the effective address the linear one, without a fault?
 * @cpu: the vCPU
 * @seg: enum x86_seg
 * @ea: effective address
 * @size: bytes accessed, at least 1
 *
 * What x86_seg_linear() is mostly asked: ES, CS, SS and DS in 64-bit mode.
 *
 * Return: yes, or x86_seg_linear() has to be asked.
 */
static inline bool x86_flat_linear(const struct x86_cpu *cpu, unsigned int seg, u64 ea,
				   unsigned int size)
{
	return cpu->mode == X86_MODE_64 && seg < X86_SEG_FS && x86_is_canonical(cpu, ea) &&
	       x86_is_canonical(cpu, ea + size - 1);
}

/**
 * x86_seg_linear() - segment:offset to linear address, with all checks
 * @cpu: the vCPU
 * @seg: enum x86_seg
 * @ea: effective address, already cut to the address size
 * @size: bytes accessed, at least 1
 * @write: the access writes
 * @la: result
 * @fault: filled for -EINVAL
 *
 * 64-bit mode: first and last byte must be canonical. Otherwise: the segment
 * must be usable, its type must permit the access, and all bytes must be
 * within its limit. #SS for the stack segment's limit, null and canonical
 * violations, #GP for all else. Alignment (#AC) is not checked.
 *
 * Return: 0 or -EINVAL.
 */
int x86_seg_linear(const struct x86_cpu *cpu, unsigned int seg, u64 ea,
		   unsigned int size, bool write, u64 *la,
		   struct x86_fault *fault);

/**
 * x86_insn_ea() - effective address of the memory operand
 * @insn: decoded instruction with an X86_OPND_MEM operand
 * @cpu: the vCPU
 *
 * Return: the offset in segment insn->mem.seg, cut to the address size.
 */
u64 x86_insn_ea(const struct x86_insn *insn, const struct x86_cpu *cpu);

/**
 * x86_insn_linear() - linear address of the memory operand
 * @insn: decoded instruction with an X86_OPND_MEM operand
 * @cpu: the vCPU
 * @size: bytes accessed, at least 1
 * @write: the access writes
 * @la: result
 * @fault: filled for -EINVAL
 *
 * x86_insn_ea() and x86_seg_linear() in one.
 *
 * Return: 0 or -EINVAL.
 */
int x86_insn_linear(const struct x86_insn *insn, const struct x86_cpu *cpu,
		    unsigned int size, bool write, u64 *la,
		    struct x86_fault *fault);

/**
 * x86_fetch_linear() - where to read instruction bytes
 * @cpu: the vCPU
 * @la: result: linear address of cpu->rip
 * @fault: filled for -EINVAL: not even one byte can be fetched
 *
 * Return: how many bytes, 1 to X86_INSN_MAX, may be fetched before the limit
 * of CS or the canonical range ends (when x86_decode() wants more than these:
 * #GP(0)), or -EINVAL.
 */
int x86_fetch_linear(const struct x86_cpu *cpu, u64 *la,
		     struct x86_fault *fault);

/**
 * x86_next_rip() - instruction pointer after an instruction
 * @mode: code size
 * @rip: instruction pointer before it
 * @len: its length
 *
 * Return: the sum, cut to 32 bits outside 64-bit mode.
 */
static inline u64 x86_next_rip(enum x86_mode mode, u64 rip, unsigned int len)
{
	rip += len;
	return mode == X86_MODE_64 ? rip : (u32)rip;
}

#endif /* MINIKVM_X86_DECODE_H */
