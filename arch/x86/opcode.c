// SPDX-License-Identifier: GPL-2.0
/*
 * The instructions that the decoder knows: one row for each form, named as in the manual. How to
 * read them: opcode.h.
 */
#include "opcode.h"

#define MODRM		X86_INSN_MODRM
#define CPL0		X86_INSN_CPL0
#define STRING		X86_INSN_STRING
#define ALIGN		X86_INSN_ALIGN
#define LOCK		ROW_LOCK
#define NO64		ROW_NO64
#define ONLY64		ROW_ONLY64
#define BYTE		ROW_BYTE
#define NO_OP16		ROW_NO_OP16
#define NO_REXB		ROW_NO_REXB
#define D64		ROW_D64
#define F64		ROW_F64
#define MEM		ROW_MEM
#define VEX		ROW_VEX
#define VEX128		(ROW_VEX | ROW_L0)
#define NP		ROW_NP
#define P66		ROW_66
#define F3		ROW_F3
#define F2		ROW_F2

#define ROW4(_name, _op, _flags, _1, _2, _3, ...)			\
	{ .name = _name, .op = X86_OP_##_op, .opnd = { _1, _2, _3 },	\
	  .flags = (_flags) }
/* ROW(name, op, flags, destination, sources): operands that lack are 0. */
#define ROW(...)	ROW4(__VA_ARGS__, 0, 0, 0, 0)

#define DIGIT_ROW4(_digit, _name, _op, _flags, _1, _2, _3, ...)		\
	{ .name = _name, .op = X86_OP_##_op, .opnd = { _1, _2, _3 },	\
	  .modrm_mask = 0x38, .modrm = (_digit) << 3, .flags = (_flags) }
#define DIGIT(...)	DIGIT_ROW4(__VA_ARGS__, 0, 0, 0, 0)

#define BYTE_ROW(_modrm, _name, _op, _flags)				\
	{ .name = _name, .op = X86_OP_##_op, .modrm_mask = 0xff,	\
	  .modrm = (_modrm), .flags = (_flags) }

#define GROUP(_rows, _flags)	{ .group = (_rows), .flags = (_flags) }
#define END_OF_GROUP		{ .name = NULL }

/* --- One byte -------------------------------------------------------------------------------- */

/* Group 1: the digit is the operation. */
#define GROUP1(_flags, _dst, _src) {					\
	DIGIT(0, "ADD", ADD, LOCK | (_flags), _dst, _src),		\
	DIGIT(1, "OR", OR, LOCK | (_flags), _dst, _src),		\
	DIGIT(2, "ADC", ADC, LOCK | (_flags), _dst, _src),		\
	DIGIT(3, "SBB", SBB, LOCK | (_flags), _dst, _src),		\
	DIGIT(4, "AND", AND, LOCK | (_flags), _dst, _src),		\
	DIGIT(5, "SUB", SUB, LOCK | (_flags), _dst, _src),		\
	DIGIT(6, "XOR", XOR, LOCK | (_flags), _dst, _src),		\
	DIGIT(7, "CMP", CMP, _flags, _dst, _src),			\
	END_OF_GROUP }

static const struct x86_row group_80[] = GROUP1(BYTE, Eb, Ib);
static const struct x86_row group_81[] = GROUP1(0, Ev, Iz);
static const struct x86_row group_82[] = GROUP1(BYTE | NO64, Eb, Ib);
static const struct x86_row group_83[] = GROUP1(0, Ev, Ib);

/* Group 2. Digit 6 is left out in the manual; CPUs take it for SHL. */
#define GROUP2(_flags, _dst, _count) {					\
	DIGIT(0, "ROL", ROL, _flags, _dst, _count),			\
	DIGIT(1, "ROR", ROR, _flags, _dst, _count),			\
	DIGIT(2, "RCL", RCL, _flags, _dst, _count),			\
	DIGIT(3, "RCR", RCR, _flags, _dst, _count),			\
	DIGIT(4, "SHL", SHL, _flags, _dst, _count),			\
	DIGIT(5, "SHR", SHR, _flags, _dst, _count),			\
	DIGIT(6, "SAL", SHL, _flags, _dst, _count),			\
	DIGIT(7, "SAR", SAR, _flags, _dst, _count),			\
	END_OF_GROUP }

static const struct x86_row group_c0[] = GROUP2(BYTE, Eb, Ib);
static const struct x86_row group_c1[] = GROUP2(0, Ev, Ib);
static const struct x86_row group_d0[] = GROUP2(BYTE, Eb, ONE);
static const struct x86_row group_d1[] = GROUP2(0, Ev, ONE);
static const struct x86_row group_d2[] = GROUP2(BYTE, Eb, CL);
static const struct x86_row group_d3[] = GROUP2(0, Ev, CL);

/* Group 3. Digit 1 is left out in the manual; CPUs take it for TEST. */
#define GROUP3(_flags, _dst, _imm) {					\
	DIGIT(0, "TEST", TEST, _flags, _dst, _imm),			\
	DIGIT(1, "TEST", TEST, _flags, _dst, _imm),			\
	DIGIT(2, "NOT", NOT, LOCK | (_flags), _dst),			\
	DIGIT(3, "NEG", NEG, LOCK | (_flags), _dst),			\
	DIGIT(4, "MUL", MUL, _flags, _dst),				\
	DIGIT(5, "IMUL", IMUL1, _flags, _dst),				\
	DIGIT(6, "DIV", DIV, _flags, _dst),				\
	DIGIT(7, "IDIV", IDIV, _flags, _dst),				\
	END_OF_GROUP }

static const struct x86_row group_f6[] = GROUP3(BYTE, Eb, Ib);
static const struct x86_row group_f7[] = GROUP3(0, Ev, Iz);

static const struct x86_row group_8c[] = {
	ROW("MOV", MOV, 0, Mw, Sw),
	ROW("MOV", MOV, 0, Rv, Sw),
	END_OF_GROUP
};

static const struct x86_row group_8f[] = {
	DIGIT(0, "POP", POP, D64, Ev),
	END_OF_GROUP
};

static const struct x86_row group_90[] = {
	/* F3 with REX.B exchanges rAX and R8 like 90 without F3. */
	ROW("PAUSE", PAUSE, F3 | NO_REXB),
	END_OF_GROUP
};

static const struct x86_row group_c6[] = {
	DIGIT(0, "MOV", MOV, BYTE, Eb, Ib),
	END_OF_GROUP
};

static const struct x86_row group_c7[] = {
	DIGIT(0, "MOV", MOV, 0, Ev, Iz),
	END_OF_GROUP
};

static const struct x86_row group_fe[] = {
	DIGIT(0, "INC", INC, LOCK | BYTE, Eb),
	DIGIT(1, "DEC", DEC, LOCK | BYTE, Eb),
	END_OF_GROUP
};

static const struct x86_row group_ff[] = {
	DIGIT(0, "INC", INC, LOCK, Ev),
	DIGIT(1, "DEC", DEC, LOCK, Ev),
	DIGIT(2, "CALL", CALL, F64, Ev),
	DIGIT(4, "JMP", JMP, F64, Ev),
	DIGIT(6, "PUSH", PUSH, D64, Ev),
	END_OF_GROUP
};

/* The six forms of ADD, OR, ADC, SBB, AND, SUB, XOR and CMP. */
#define ALU(_first, _op, _lock)						\
	[(_first) + 0] = ROW(#_op, _op, MODRM | BYTE | (_lock), Eb, Gb),	\
	[(_first) + 1] = ROW(#_op, _op, MODRM | (_lock), Ev, Gv),	\
	[(_first) + 2] = ROW(#_op, _op, MODRM | BYTE, Gb, Eb),		\
	[(_first) + 3] = ROW(#_op, _op, MODRM, Gv, Ev),			\
	[(_first) + 4] = ROW(#_op, _op, BYTE, AL, Ib),			\
	[(_first) + 5] = ROW(#_op, _op, 0, rAX, Iz)

/* Eight opcodes, one for each register. */
#define REGS(_first, ...)						\
	[(_first) + 0] = ROW(__VA_ARGS__), [(_first) + 1] = ROW(__VA_ARGS__),	\
	[(_first) + 2] = ROW(__VA_ARGS__), [(_first) + 3] = ROW(__VA_ARGS__),	\
	[(_first) + 4] = ROW(__VA_ARGS__), [(_first) + 5] = ROW(__VA_ARGS__),	\
	[(_first) + 6] = ROW(__VA_ARGS__), [(_first) + 7] = ROW(__VA_ARGS__)

const struct x86_row x86_one_byte[256] = {
	ALU(0x00, ADD, LOCK),
	[0x06] = ROW("PUSH", PUSH, NO64, SREGv),
	[0x07] = ROW("POP", POP, NO64, SREGv),
	ALU(0x08, OR, LOCK),
	[0x0e] = ROW("PUSH", PUSH, NO64, SREGv),
	ALU(0x10, ADC, LOCK),
	[0x16] = ROW("PUSH", PUSH, NO64, SREGv),
	[0x17] = ROW("POP", POP, NO64, SREGv),
	ALU(0x18, SBB, LOCK),
	[0x1e] = ROW("PUSH", PUSH, NO64, SREGv),
	[0x1f] = ROW("POP", POP, NO64, SREGv),
	ALU(0x20, AND, LOCK),
	ALU(0x28, SUB, LOCK),
	ALU(0x30, XOR, LOCK),
	ALU(0x38, CMP, 0),
	/* In 64-bit mode these are REX prefixes. */
	REGS(0x40, "INC", INC, 0, Zv),
	REGS(0x48, "DEC", DEC, 0, Zv),
	REGS(0x50, "PUSH", PUSH, D64, Zv),
	REGS(0x58, "POP", POP, D64, Zv),
	/*
	 * With 16-bit operand size Intel reads two bytes and AMD four: left
	 * out, both manuals discourage it.
	 */
	[0x63] = ROW("MOVSXD", MOVSX, MODRM | ONLY64 | NO_OP16, Gv, Ed),
	[0x68] = ROW("PUSH", PUSH, D64, Iz),
	[0x69] = ROW("IMUL", IMUL, MODRM, Gv, Ev, Iz),
	[0x6a] = ROW("PUSH", PUSH, D64, Ib),
	[0x6b] = ROW("IMUL", IMUL, MODRM, Gv, Ev, Ib),
	[0x6c] = ROW("INS", INS, BYTE | STRING, Yb, DX),
	[0x6d] = ROW("INS", INS, STRING, Yz, DX),
	[0x6e] = ROW("OUTS", OUTS, BYTE | STRING, DX, Xb),
	[0x6f] = ROW("OUTS", OUTS, STRING, DX, Xz),
	[0x80] = GROUP(group_80, MODRM),
	[0x81] = GROUP(group_81, MODRM),
	[0x82] = GROUP(group_82, MODRM),
	[0x83] = GROUP(group_83, MODRM),
	[0x84] = ROW("TEST", TEST, MODRM | BYTE, Eb, Gb),
	[0x85] = ROW("TEST", TEST, MODRM, Ev, Gv),
	[0x86] = ROW("XCHG", XCHG, MODRM | LOCK | BYTE, Eb, Gb),
	[0x87] = ROW("XCHG", XCHG, MODRM | LOCK, Ev, Gv),
	[0x88] = ROW("MOV", MOV, MODRM | BYTE, Eb, Gb),
	[0x89] = ROW("MOV", MOV, MODRM, Ev, Gv),
	[0x8a] = ROW("MOV", MOV, MODRM | BYTE, Gb, Eb),
	[0x8b] = ROW("MOV", MOV, MODRM, Gv, Ev),
	[0x8c] = GROUP(group_8c, MODRM),
	[0x8d] = ROW("LEA", LEA, MODRM | MEM, Gv, M),
	[0x8e] = ROW("MOV", MOV, MODRM, Sw, Ew),
	[0x8f] = GROUP(group_8f, MODRM),
	/* Without F3, 90 with and without REX.B: not here. */
	[0x90] = GROUP(group_90, 0),
	[0x91] = ROW("XCHG", XCHG, 0, rAX, Zv),
	[0x92] = ROW("XCHG", XCHG, 0, rAX, Zv),
	[0x93] = ROW("XCHG", XCHG, 0, rAX, Zv),
	[0x94] = ROW("XCHG", XCHG, 0, rAX, Zv),
	[0x95] = ROW("XCHG", XCHG, 0, rAX, Zv),
	[0x96] = ROW("XCHG", XCHG, 0, rAX, Zv),
	[0x97] = ROW("XCHG", XCHG, 0, rAX, Zv),
	[0xa0] = ROW("MOV", MOV, BYTE, AL, Ob),
	[0xa1] = ROW("MOV", MOV, 0, rAX, Ov),
	[0xa2] = ROW("MOV", MOV, BYTE, Ob, AL),
	[0xa3] = ROW("MOV", MOV, 0, Ov, rAX),
	[0xa4] = ROW("MOVS", MOVS, BYTE | STRING, XYb, Xb),
	[0xa5] = ROW("MOVS", MOVS, STRING, XYv, Xv),
	[0xa6] = ROW("CMPS", CMPS, BYTE | STRING, Xb, XYb),
	[0xa7] = ROW("CMPS", CMPS, STRING, Xv, XYv),
	[0xa8] = ROW("TEST", TEST, BYTE, AL, Ib),
	[0xa9] = ROW("TEST", TEST, 0, rAX, Iz),
	[0xaa] = ROW("STOS", STOS, BYTE | STRING, Yb, AL),
	[0xab] = ROW("STOS", STOS, STRING, Yv, rAX),
	[0xac] = ROW("LODS", LODS, BYTE | STRING, AL, Xb),
	[0xad] = ROW("LODS", LODS, STRING, rAX, Xv),
	[0xae] = ROW("SCAS", SCAS, BYTE | STRING, AL, Yb),
	[0xaf] = ROW("SCAS", SCAS, STRING, rAX, Yv),
	REGS(0xb0, "MOV", MOV, BYTE, Zb, Ib),
	REGS(0xb8, "MOV", MOV, 0, Zv, Iv),
	[0xc0] = GROUP(group_c0, MODRM),
	[0xc1] = GROUP(group_c1, MODRM),
	[0xc2] = ROW("RET", RET, F64, Uw),
	[0xc3] = ROW("RET", RET, F64),
	[0xc6] = GROUP(group_c6, MODRM),
	[0xc7] = GROUP(group_c7, MODRM),
	[0xcc] = ROW("INT3", INT, 0),
	[0xcd] = ROW("INT n", INT, 0, Ub),
	[0xce] = ROW("INTO", INT, NO64),
	[0xd0] = GROUP(group_d0, MODRM),
	[0xd1] = GROUP(group_d1, MODRM),
	[0xd2] = GROUP(group_d2, MODRM),
	[0xd3] = GROUP(group_d3, MODRM),
	[0xe4] = ROW("IN", IN, BYTE, AL, Ub),
	[0xe5] = ROW("IN", IN, 0, eAX, Ub),
	[0xe6] = ROW("OUT", OUT, BYTE, Ub, AL),
	[0xe7] = ROW("OUT", OUT, 0, Ub, eAX),
	[0xe8] = ROW("CALL", CALL, F64, Jz),
	[0xec] = ROW("IN", IN, BYTE, AL, DX),
	[0xed] = ROW("IN", IN, 0, eAX, DX),
	[0xee] = ROW("OUT", OUT, BYTE, DX, AL),
	[0xef] = ROW("OUT", OUT, 0, DX, eAX),
	[0xf1] = ROW("INT1", INT, 0),
	[0xf4] = ROW("HLT", HLT, CPL0),
	[0xf6] = GROUP(group_f6, MODRM),
	[0xf7] = GROUP(group_f7, MODRM),
	[0xfe] = GROUP(group_fe, MODRM),
	[0xff] = GROUP(group_ff, MODRM),
};

/* --- Two bytes ------------------------------------------------------------------------------- */

/* Whole bytes stand before the digits that contain them. */
static const struct x86_row group_0f01[] = {
	BYTE_ROW(0xc1, "VMCALL", VMCALL, 0),
	BYTE_ROW(0xc8, "MONITOR", MONITOR, 0),
	BYTE_ROW(0xc9, "MWAIT", MWAIT, 0),
	BYTE_ROW(0xd1, "XSETBV", XSETBV, CPL0),
	BYTE_ROW(0xd9, "VMMCALL", VMMCALL, 0),
	BYTE_ROW(0xf9, "RDTSCP", RDTSCP, 0),
	BYTE_ROW(0xfa, "MONITORX", MONITOR, 0),
	BYTE_ROW(0xfb, "MWAITX", MWAIT, 0),
	DIGIT(4, "SMSW", SMSW, 0, Mw),
	DIGIT(4, "SMSW", SMSW, 0, Rv),
	DIGIT(6, "LMSW", LMSW, CPL0, Ew),
	DIGIT(7, "INVLPG", INVLPG, CPL0, M),
	END_OF_GROUP
};

static const struct x86_row group_0f09[] = {
	ROW("WBNOINVD", WBINVD, CPL0 | F3),
	ROW("WBINVD", WBINVD, CPL0),
	END_OF_GROUP
};

/* Moves of whole registers, of a scalar from and to memory, of a half from and to memory. */
static const struct x86_row group_0f10[] = {
	ROW("MOVUPS", MOVV, VEX | NP, Vx, Wx),
	ROW("MOVUPD", MOVV, VEX | P66, Vx, Wx),
	ROW("MOVSS", MOVV, VEX | F3, Vd, Md),
	ROW("MOVSD", MOVV, VEX | F2, Vq, Mq),
	END_OF_GROUP
};

static const struct x86_row group_0f11[] = {
	ROW("MOVUPS", MOVV, VEX | NP, Wx, Vx),
	ROW("MOVUPD", MOVV, VEX | P66, Wx, Vx),
	ROW("MOVSS", MOVV, VEX | F3, Md, Vd),
	ROW("MOVSD", MOVV, VEX | F2, Mq, Vq),
	END_OF_GROUP
};

/* With a register, 12 and 16 without prefix are MOVHLPS and MOVLHPS. */
static const struct x86_row group_0f12[] = {
	ROW("MOVLPS", MOVLPS, VEX128 | NP, Vdq, Hdq, Mq),
	ROW("MOVLPD", MOVLPS, VEX128 | P66 | MEM, Vdq, Hdq, Mq),
	END_OF_GROUP
};

static const struct x86_row group_0f13[] = {
	ROW("MOVLPS", MOVV, VEX128 | NP | MEM, Mq, Vq),
	ROW("MOVLPD", MOVV, VEX128 | P66 | MEM, Mq, Vq),
	END_OF_GROUP
};

static const struct x86_row group_0f16[] = {
	ROW("MOVHPS", MOVHPS, VEX128 | NP, Vdq, Hdq, Mq),
	ROW("MOVHPD", MOVHPS, VEX128 | P66 | MEM, Vdq, Hdq, Mq),
	END_OF_GROUP
};

static const struct x86_row group_0f17[] = {
	ROW("MOVHPS", MOVHPS, VEX128 | NP | MEM, Mq, Vdq),
	ROW("MOVHPD", MOVHPS, VEX128 | P66 | MEM, Mq, Vdq),
	END_OF_GROUP
};

static const struct x86_row group_0f28[] = {
	ROW("MOVAPS", MOVV, VEX | ALIGN | NP, Vx, Wx),
	ROW("MOVAPD", MOVV, VEX | ALIGN | P66, Vx, Wx),
	END_OF_GROUP
};

static const struct x86_row group_0f29[] = {
	ROW("MOVAPS", MOVV, VEX | ALIGN | NP, Wx, Vx),
	ROW("MOVAPD", MOVV, VEX | ALIGN | P66, Wx, Vx),
	END_OF_GROUP
};

static const struct x86_row group_0f2b[] = {
	ROW("MOVNTPS", MOVV, VEX | ALIGN | NP | MEM, Mx, Vx),
	ROW("MOVNTPD", MOVV, VEX | ALIGN | P66 | MEM, Mx, Vx),
	END_OF_GROUP
};

static const struct x86_row group_0f6e[] = {
	ROW("MOVD", MOVV, NP, Py, Ey),
	ROW("MOVD", MOVV, VEX128 | P66, Vy, Ey),
	END_OF_GROUP
};

static const struct x86_row group_0f6f[] = {
	ROW("MOVQ", MOVV, NP, Pq, Qq),
	ROW("MOVDQA", MOVV, VEX | ALIGN | P66, Vx, Wx),
	ROW("MOVDQU", MOVV, VEX | F3, Vx, Wx),
	END_OF_GROUP
};

static const struct x86_row group_0f7e[] = {
	ROW("MOVD", MOVV, NP, Ey, Py),
	ROW("MOVD", MOVV, VEX128 | P66, Ey, Vy),
	ROW("MOVQ", MOVV, VEX128 | F3, Vq, Wq),
	END_OF_GROUP
};

static const struct x86_row group_0f7f[] = {
	ROW("MOVQ", MOVV, NP, Qq, Pq),
	ROW("MOVDQA", MOVV, VEX | ALIGN | P66, Wx, Vx),
	ROW("MOVDQU", MOVV, VEX | F3, Wx, Vx),
	END_OF_GROUP
};

static const struct x86_row group_0fd6[] = {
	ROW("MOVQ", MOVV, VEX128 | P66, Wq, Vq),
	END_OF_GROUP
};

static const struct x86_row group_0fe7[] = {
	ROW("MOVNTQ", MOVV, NP | MEM, Mq, Pq),
	ROW("MOVNTDQ", MOVV, VEX | ALIGN | P66 | MEM, Mx, Vx),
	END_OF_GROUP
};

static const struct x86_row group_0ff0[] = {
	ROW("LDDQU", MOVV, VEX | F2 | MEM, Vx, Mx),
	END_OF_GROUP
};

/* Group 15. */
static const struct x86_row group_0fae[] = {
	DIGIT(6, "CLWB", CLFLUSH, BYTE | P66, Mb),
	DIGIT(7, "CLFLUSH", CLFLUSH, BYTE | NP, Mb),
	DIGIT(7, "CLFLUSHOPT", CLFLUSH, BYTE | P66, Mb),
	END_OF_GROUP
};

static const struct x86_row group_0fb8[] = {
	ROW("POPCNT", POPCNT, F3, Gv, Ev),
	END_OF_GROUP
};

/* Group 8: a bit offset that cannot leave the operand. */
static const struct x86_row group_0fba[] = {
	DIGIT(4, "BT", BT, 0, Ev, Ib),
	DIGIT(5, "BTS", BTS, LOCK, Ev, Ib),
	DIGIT(6, "BTR", BTR, LOCK, Ev, Ib),
	DIGIT(7, "BTC", BTC, LOCK, Ev, Ib),
	END_OF_GROUP
};

/* CPUs without TZCNT and LZCNT execute BSF and BSR. */
static const struct x86_row group_0fbc[] = {
	ROW("TZCNT", TZCNT, F3, Gv, Ev),
	ROW("BSF", BSF, 0, Gv, Ev),
	END_OF_GROUP
};

static const struct x86_row group_0fbd[] = {
	ROW("LZCNT", LZCNT, F3, Gv, Ev),
	ROW("BSR", BSR, 0, Gv, Ev),
	END_OF_GROUP
};

static const struct x86_row group_0fc3[] = {
	ROW("MOVNTI", MOV, NP | MEM, My, Gy),
	END_OF_GROUP
};

/* Group 9. */
static const struct x86_row group_0fc7[] = {
	DIGIT(1, "CMPXCHG8B", CMPXCHG8B, LOCK | MEM, M2y),
	END_OF_GROUP
};

const struct x86_row x86_two_byte[256] = {
	[0x01] = GROUP(group_0f01, MODRM),
	[0x06] = ROW("CLTS", CLTS, CPL0),
	[0x08] = ROW("INVD", INVD, CPL0),
	[0x09] = GROUP(group_0f09, 0),
	[0x10] = GROUP(group_0f10, MODRM),
	[0x11] = GROUP(group_0f11, MODRM),
	[0x12] = GROUP(group_0f12, MODRM),
	[0x13] = GROUP(group_0f13, MODRM),
	[0x16] = GROUP(group_0f16, MODRM),
	[0x17] = GROUP(group_0f17, MODRM),
	[0x20] = ROW("MOV to/from control registers", MOV_CR,
		     MODRM | CPL0, Rd, Cd),
	[0x21] = ROW("MOV to/from debug registers", MOV_DR,
		     MODRM | CPL0, Rd, Dd),
	[0x22] = ROW("MOV to/from control registers", MOV_CR,
		     MODRM | CPL0, Cd, Rd),
	[0x23] = ROW("MOV to/from debug registers", MOV_DR,
		     MODRM | CPL0, Dd, Rd),
	[0x28] = GROUP(group_0f28, MODRM),
	[0x29] = GROUP(group_0f29, MODRM),
	[0x2b] = GROUP(group_0f2b, MODRM),
	[0x30] = ROW("WRMSR", WRMSR, CPL0),
	[0x31] = ROW("RDTSC", RDTSC, 0),
	[0x32] = ROW("RDMSR", RDMSR, CPL0),
	[0x33] = ROW("RDPMC", RDPMC, 0),
	REGS(0x40, "CMOVcc", CMOV, MODRM, Gv, Ev),
	REGS(0x48, "CMOVcc", CMOV, MODRM, Gv, Ev),
	[0x6e] = GROUP(group_0f6e, MODRM),
	[0x6f] = GROUP(group_0f6f, MODRM),
	[0x7e] = GROUP(group_0f7e, MODRM),
	[0x7f] = GROUP(group_0f7f, MODRM),
	REGS(0x90, "SETcc", SET, MODRM | BYTE, Eb),
	REGS(0x98, "SETcc", SET, MODRM | BYTE, Eb),
	[0xa0] = ROW("PUSH", PUSH, D64, SREGv),
	[0xa1] = ROW("POP", POP, D64, SREGv),
	[0xa2] = ROW("CPUID", CPUID, 0),
	[0xa3] = ROW("BT", BT, MODRM, Ev, Gv),
	[0xa4] = ROW("SHLD", SHLD, MODRM, Ev, Gv, Ib),
	[0xa5] = ROW("SHLD", SHLD, MODRM, Ev, Gv, CL),
	[0xa8] = ROW("PUSH", PUSH, D64, SREGv),
	[0xa9] = ROW("POP", POP, D64, SREGv),
	[0xab] = ROW("BTS", BTS, MODRM | LOCK, Ev, Gv),
	[0xac] = ROW("SHRD", SHRD, MODRM, Ev, Gv, Ib),
	[0xad] = ROW("SHRD", SHRD, MODRM, Ev, Gv, CL),
	[0xae] = GROUP(group_0fae, MODRM),
	[0xaf] = ROW("IMUL", IMUL, MODRM, Gv, Ev),
	[0xb0] = ROW("CMPXCHG", CMPXCHG, MODRM | LOCK | BYTE, Eb, Gb),
	[0xb1] = ROW("CMPXCHG", CMPXCHG, MODRM | LOCK, Ev, Gv),
	[0xb3] = ROW("BTR", BTR, MODRM | LOCK, Ev, Gv),
	[0xb6] = ROW("MOVZX", MOVZX, MODRM, Gv, Eb),
	[0xb7] = ROW("MOVZX", MOVZX, MODRM, Gv, Ew),
	[0xb8] = GROUP(group_0fb8, MODRM),
	[0xba] = GROUP(group_0fba, MODRM),
	[0xbb] = ROW("BTC", BTC, MODRM | LOCK, Ev, Gv),
	[0xbc] = GROUP(group_0fbc, MODRM),
	[0xbd] = GROUP(group_0fbd, MODRM),
	[0xbe] = ROW("MOVSX", MOVSX, MODRM, Gv, Eb),
	[0xbf] = ROW("MOVSX", MOVSX, MODRM, Gv, Ew),
	[0xc0] = ROW("XADD", XADD, MODRM | LOCK | BYTE, Eb, Gb),
	[0xc1] = ROW("XADD", XADD, MODRM | LOCK, Ev, Gv),
	[0xc3] = GROUP(group_0fc3, MODRM),
	[0xc7] = GROUP(group_0fc7, MODRM),
	[0xd6] = GROUP(group_0fd6, MODRM),
	[0xe7] = GROUP(group_0fe7, MODRM),
	[0xf0] = GROUP(group_0ff0, MODRM),
};

/* --- Three bytes ----------------------------------------------------------------------------- */

static const struct x86_row group_0f382a[] = {
	ROW("MOVNTDQA", MOVV, VEX | ALIGN | P66 | MEM, Vx, Mx),
	END_OF_GROUP
};

/* With F2, F0 and F1 are CRC32. */
static const struct x86_row group_0f38f0[] = {
	ROW("MOVBE", MOVBE, NP | P66 | MEM, Gv, Mv),
	END_OF_GROUP
};

static const struct x86_row group_0f38f1[] = {
	ROW("MOVBE", MOVBE, NP | P66 | MEM, Mv, Gv),
	END_OF_GROUP
};

const struct x86_row x86_three_byte_38[256] = {
	[0x2a] = GROUP(group_0f382a, MODRM),
	[0xf0] = GROUP(group_0f38f0, MODRM),
	[0xf1] = GROUP(group_0f38f1, MODRM),
};
