// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction decoder: rows written by hand, properties that hold for all
 * bytes, and a comparison with another disassembler (libcapstone-dev).
 * emulate_test.c compares with the CPU.
 */
#include "kselftest_harness.h"

#include <errno.h>

#include "insn_random.h"
#include "insn_text.h"

#include "capstone.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

static const char *hex(const u8 *bytes, unsigned int n)
{
	static char buf[2][3 * 16 + 1];
	static unsigned int turn;
	char *s = buf[turn++ & 1];
	unsigned int i;

	*s = 0;
	for (i = 0; i < n && i < 16; i++)
		sprintf(s + 3 * i, "%02x ", bytes[i]);
	return s;
}

static unsigned int unhex(const char *s, u8 *bytes)
{
	unsigned int n = 0, pos = 0, val;
	int used;

	while (sscanf(s + pos, "%2x%n", &val, &used) == 1) {
		bytes[n++] = val;
		pos += used;
	}
	return n;
}

/* --- Rows ------------------------------------------------------------------ */

static const struct {
	unsigned int mode;
	const char *bytes;
	const char *text;
} good_rows[] = {
	/* MOV, direction and size */
	{ 64, "88 08", "MOV byte [ds:rax+0x0], cl" },
	{ 64, "89 08", "MOV dword [ds:rax+0x0], ecx" },
	{ 64, "66 89 08", "MOV word [ds:rax+0x0], cx" },
	{ 64, "48 89 08", "MOV qword [ds:rax+0x0], rcx" },
	{ 64, "66 48 89 08", "MOV qword [ds:rax+0x0], rcx" },
	{ 64, "8a 08", "MOV cl, byte [ds:rax+0x0]" },
	{ 64, "8b 08", "MOV ecx, dword [ds:rax+0x0]" },
	{ 32, "89 08", "MOV dword [ds:eax+0x0], ecx" },
	{ 32, "66 89 08", "MOV word [ds:eax+0x0], cx" },
	{ 16, "89 08", "MOV word [ds:bx+si*1+0x0], cx" },
	{ 16, "66 89 08", "MOV dword [ds:bx+si*1+0x0], ecx" },
	{ 64, "88 c8", "MOV al, cl" },
	{ 64, "4d 89 c8", "MOV r8, r9" },

	/* Byte registers: AH to BH without REX, SPL to DIL with any */
	{ 64, "88 20", "MOV byte [ds:rax+0x0], ah" },
	{ 64, "88 38", "MOV byte [ds:rax+0x0], bh" },
	{ 64, "40 88 20", "MOV byte [ds:rax+0x0], spl" },
	{ 64, "40 88 38", "MOV byte [ds:rax+0x0], dil" },
	{ 64, "44 88 38", "MOV byte [ds:rax+0x0], r15b" },
	{ 32, "88 28", "MOV byte [ds:eax+0x0], ch" },

	/* REX counts directly before the opcode only */
	{ 64, "48 66 89 08", "MOV word [ds:rax+0x0], cx" },
	{ 64, "4c 26 88 20", "MOV byte [ds:rax+0x0], ah" },
	{ 64, "4f 40 89 08", "MOV dword [ds:rax+0x0], ecx" },
	{ 64, "41 0f b6 00", "MOVZX eax, byte [ds:r8+0x0]" },

	/* 16-bit addressing forms */
	{ 16, "8a 00", "MOV al, byte [ds:bx+si*1+0x0]" },
	{ 16, "8a 01", "MOV al, byte [ds:bx+di*1+0x0]" },
	{ 16, "8a 02", "MOV al, byte [ss:bp+si*1+0x0]" },
	{ 16, "8a 03", "MOV al, byte [ss:bp+di*1+0x0]" },
	{ 16, "8a 04", "MOV al, byte [ds:si+0x0]" },
	{ 16, "8a 05", "MOV al, byte [ds:di+0x0]" },
	{ 16, "8a 06 34 12", "MOV al, byte [ds:0x1234]" },
	{ 16, "8a 07", "MOV al, byte [ds:bx+0x0]" },
	{ 16, "8a 46 80", "MOV al, byte [ss:bp+0xff80]" },
	{ 16, "8a 86 34 12", "MOV al, byte [ss:bp+0x1234]" },
	{ 32, "67 8a 40 7f", "MOV al, byte [ds:bx+si*1+0x7f]" },

	/* 32-bit addressing forms */
	{ 32, "8a 05 78 56 34 12", "MOV al, byte [ds:0x12345678]" },
	{ 32, "8a 45 80", "MOV al, byte [ss:ebp+0xffffff80]" },
	{ 32, "8a 04 24", "MOV al, byte [ss:esp+0x0]" },
	{ 32, "8a 04 65 78 56 34 12", "MOV al, byte [ds:0x12345678]" },
	{ 32, "8a 04 8d 78 56 34 12", "MOV al, byte [ds:ecx*4+0x12345678]" },
	{ 32, "8a 44 8d 01", "MOV al, byte [ss:ebp+ecx*4+0x1]" },
	{ 32, "8a 04 e9", "MOV al, byte [ds:ecx+ebp*8+0x0]" },
	{ 16, "67 8a 84 4c 00 00 00 80", "MOV al, byte [ss:esp+ecx*2+0x80000000]" },

	/* 64-bit addressing forms */
	{ 64, "8b 05 fc ff ff ff", "MOV eax, dword [ds:rip+0xfffffffffffffffc]" },
	{ 64, "67 8b 05 fc ff ff ff", "MOV eax, dword [ds:eip+0xfffffffc]" },
	{ 64, "41 8b 05 00 00 00 00", "MOV eax, dword [ds:rip+0x0]" },
	{ 64, "8b 04 25 00 00 00 80", "MOV eax, dword [ds:0xffffffff80000000]" },
	{ 64, "67 8b 04 25 00 00 00 80", "MOV eax, dword [ds:0x80000000]" },
	{ 64, "41 8b 45 00", "MOV eax, dword [ds:r13+0x0]" },
	{ 64, "41 8b 04 24", "MOV eax, dword [ds:r12+0x0]" },
	{ 64, "42 8b 04 20", "MOV eax, dword [ds:rax+r12*1+0x0]" },
	{ 64, "43 8b 44 e5 10", "MOV eax, dword [ds:r13+r12*8+0x10]" },
	{ 64, "41 8b 04 65 00 00 00 00", "MOV eax, dword [ds:0x0]" },
	{ 64, "8b 44 25 00", "MOV eax, dword [ss:rbp+0x0]" },
	{ 64, "67 41 8b 00", "MOV eax, dword [ds:r8d+0x0]" },

	/* Segment overrides */
	{ 32, "26 8a 00", "MOV al, byte [es:eax+0x0]" },
	{ 32, "2e 8a 00", "MOV al, byte [cs:eax+0x0]" },
	{ 32, "36 8a 00", "MOV al, byte [ss:eax+0x0]" },
	{ 32, "3e 8a 45 00", "MOV al, byte [ds:ebp+0x0]" },
	{ 32, "64 8a 45 00", "MOV al, byte [fs:ebp+0x0]" },
	{ 32, "65 64 26 8a 00", "MOV al, byte [es:eax+0x0]" },
	{ 64, "36 8a 00", "MOV al, byte [ds:rax+0x0]" },
	{ 64, "3e 8a 45 00", "MOV al, byte [ss:rbp+0x0]" },
	{ 64, "64 3e 8a 00", "MOV al, byte [fs:rax+0x0]" },
	{ 64, "64 65 8a 00", "MOV al, byte [gs:rax+0x0]" },

	/* moffs: as long as an address */
	{ 64, "a0 08 07 06 05 04 03 02 81", "MOV al, byte [ds:0x8102030405060708]" },
	{ 64, "67 a0 04 03 02 81", "MOV al, byte [ds:0x81020304]" },
	{ 64, "48 a1 01 00 00 00 00 00 00 00", "MOV rax, qword [ds:0x1]" },
	{ 32, "a1 04 03 02 81", "MOV eax, dword [ds:0x81020304]" },
	{ 32, "67 a2 02 81", "MOV byte [ds:0x8102], al" },
	{ 16, "a3 02 81", "MOV word [ds:0x8102], ax" },
	{ 16, "64 66 a3 02 81", "MOV dword [fs:0x8102], eax" },

	/* Immediates: at most 32 bits, sign-extended; RIP is behind them */
	{ 64, "c6 00 80", "MOV byte [ds:rax+0x0], 0xffffffffffffff80" },
	{ 64, "c7 00 00 00 00 80", "MOV dword [ds:rax+0x0], 0xffffffff80000000" },
	{ 64, "48 c7 00 00 00 00 80", "MOV qword [ds:rax+0x0], 0xffffffff80000000" },
	{ 64, "66 c7 00 34 12", "MOV word [ds:rax+0x0], 0x1234" },
	{ 16, "c7 06 02 01 34 12", "MOV word [ds:0x102], 0x1234" },
	{ 64, "c6 05 01 00 00 00 07", "MOV byte [ds:rip+0x1], 0x7" },

	/* Extensions */
	{ 64, "0f b6 08", "MOVZX ecx, byte [ds:rax+0x0]" },
	{ 64, "66 0f b6 08", "MOVZX cx, byte [ds:rax+0x0]" },
	{ 64, "48 0f b7 08", "MOVZX rcx, word [ds:rax+0x0]" },
	{ 64, "66 0f b7 08", "MOVZX cx, word [ds:rax+0x0]" },
	{ 64, "0f be cc", "MOVSX ecx, ah" },
	{ 64, "4c 0f bf 08", "MOVSX r9, word [ds:rax+0x0]" },
	{ 64, "48 63 08", "MOVSXD rcx, dword [ds:rax+0x0]" },
	{ 64, "63 08", "MOVSXD ecx, dword [ds:rax+0x0]" },

	/* Hints that a MOV ignores */
	{ 64, "f2 88 08", "MOV byte [ds:rax+0x0], cl" },
	{ 64, "f3 c6 00 01", "MOV byte [ds:rax+0x0], 0x1" },
	{ 64, "f3 0f b6 08", "MOVZX ecx, byte [ds:rax+0x0]" },

	/* Control and debug registers: mod does not count */
	{ 64, "0f 20 c0", "MOV to/from control registers rax, cr0" },
	{ 64, "0f 20 1b", "MOV to/from control registers rbx, cr3" },
	{ 64, "0f 20 05", "MOV to/from control registers rbp, cr0" },
	{ 64, "45 0f 22 c7", "MOV to/from control registers cr8, r15" },
	{ 32, "66 0f 22 e0", "MOV to/from control registers cr4, eax" },
	{ 16, "0f 22 c0", "MOV to/from control registers cr0, eax" },
	{ 32, "f0 0f 20 c0", "LOCK MOV to/from control registers eax, cr8" },
	{ 64, "0f 21 f8", "MOV to/from debug registers rax, dr7" },
	{ 64, "0f 23 e0", "MOV to/from debug registers dr4, rax" },

	/* Port I/O: 32 bits at most */
	{ 64, "e4 f0", "IN al, 0xf0" },
	{ 64, "48 e5 f0", "IN eax, 0xf0" },
	{ 32, "66 ef", "OUT dx, ax" },
	{ 16, "ef", "OUT dx, ax" },
	{ 64, "48 ef", "OUT dx, eax" },
	{ 64, "48 e7 01", "OUT 0x1, eax" },
	{ 64, "48 ed", "IN eax, dx" },
	{ 64, "48 6f", "OUTS dx, dword [ds:rsi+0x0]" },
	{ 64, "e6 80", "OUT 0x80, al" },
	{ 64, "ec", "IN al, dx" },
	{ 64, "6c", "INS byte [es:rdi+0x0], dx" },
	{ 64, "f3 48 6d", "REP INS dword [es:rdi+0x0], dx" },
	{ 64, "64 6d", "INS dword [es:rdi+0x0], dx" },
	{ 32, "26 67 6f", "OUTS dx, dword [es:si+0x0]" },
	{ 16, "f2 f3 6e", "REP OUTS dx, byte [ds:si+0x0]" },
	{ 16, "f3 f2 6e", "REPNE OUTS dx, byte [ds:si+0x0]" },

	/* What SVM must skip */
	{ 64, "0f a2", "CPUID" },
	{ 64, "66 f3 2e 48 0f a2", "CPUID" },
	{ 64, "0f 32", "RDMSR" },
	{ 64, "0f 30", "WRMSR" },
	{ 64, "0f 31", "RDTSC" },
	{ 64, "0f 33", "RDPMC" },
	{ 64, "0f 01 f9", "RDTSCP" },
	{ 64, "f4", "HLT" },
	{ 64, "0f 01 c1", "VMCALL" },
	{ 64, "0f 01 d9", "VMMCALL" },
	{ 64, "0f 01 c8", "MONITOR" },
	{ 64, "0f 01 c9", "MWAIT" },
	{ 64, "0f 01 fa", "MONITORX" },
	{ 64, "0f 01 fb", "MWAITX" },
	{ 64, "0f 01 d1", "XSETBV" },
	{ 64, "f3 90", "PAUSE" },
	{ 64, "41 f3 90", "PAUSE" },
	{ 64, "0f 08", "INVD" },
	{ 64, "0f 09", "WBINVD" },
	{ 64, "f3 0f 09", "WBNOINVD" },
	{ 64, "0f 06", "CLTS" },
	{ 64, "0f 01 38", "INVLPG [ds:rax+0x0]" },
	{ 64, "0f 01 7c 24 08", "INVLPG [ss:rsp+0x8]" },
	{ 64, "0f 01 f0", "LMSW ax" },
	{ 32, "0f 01 30", "LMSW word [ds:eax+0x0]" },
	{ 64, "0f 01 e0", "SMSW eax" },
	{ 64, "48 0f 01 e0", "SMSW rax" },
	{ 64, "48 0f 01 20", "SMSW word [ds:rax+0x0]" },
	{ 64, "cc", "INT3" },
	{ 64, "cd 80", "INT n 0x80" },
	{ 32, "ce", "INTO" },
	{ 64, "f1", "INT1" },

	/* Arithmetic: all forms */
	{ 64, "01 08", "ADD dword [ds:rax+0x0], ecx" },
	{ 64, "f0 00 08", "LOCK ADD byte [ds:rax+0x0], cl" },
	{ 64, "48 13 08", "ADC rcx, qword [ds:rax+0x0]" },
	{ 64, "3c 80", "CMP al, 0xffffffffffffff80" },
	{ 64, "48 2d 00 00 00 80", "SUB rax, 0xffffffff80000000" },
	{ 64, "66 83 30 ff", "XOR word [ds:rax+0x0], 0xffffffffffffffff" },
	{ 32, "82 08 01", "OR byte [ds:eax+0x0], 0x1" },
	{ 64, "a9 01 00 00 00", "TEST eax, 0x1" },
	{ 64, "f6 08 01", "TEST byte [ds:rax+0x0], 0x1" },
	{ 64, "f0 f7 18", "LOCK NEG dword [ds:rax+0x0]" },
	{ 64, "f7 38", "IDIV dword [ds:rax+0x0]" },
	{ 64, "6b 00 ff", "IMUL eax, dword [ds:rax+0x0], 0xffffffffffffffff" },
	{ 32, "40", "INC eax" },
	{ 64, "f0 fe 08", "LOCK DEC byte [ds:rax+0x0]" },
	{ 64, "c0 00 07", "ROL byte [ds:rax+0x0], 0x7" },
	{ 64, "d1 38", "SAR dword [ds:rax+0x0], 0x1" },
	{ 64, "d3 30", "SAL dword [ds:rax+0x0], cl" },
	{ 64, "0f a4 08 03", "SHLD dword [ds:rax+0x0], ecx, 0x3" },
	{ 64, "0f ad 08", "SHRD dword [ds:rax+0x0], ecx, cl" },
	{ 64, "f0 0f ab 08", "LOCK BTS dword [ds:rax+0x0], ecx" },
	{ 64, "0f ba 20 1f", "BT dword [ds:rax+0x0], 0x1f" },
	{ 64, "0f bc 00", "BSF eax, dword [ds:rax+0x0]" },
	{ 64, "f3 0f bc 00", "TZCNT eax, dword [ds:rax+0x0]" },
	{ 64, "66 f3 0f b8 00", "POPCNT ax, word [ds:rax+0x0]" },
	{ 64, "f0 87 08", "LOCK XCHG dword [ds:rax+0x0], ecx" },
	{ 64, "49 91", "XCHG rax, r9" },
	{ 64, "f0 48 0f c7 08", "LOCK CMPXCHG8B oword [ds:rax+0x0]" },
	{ 64, "0f 94 00", "SETcc byte [ds:rax+0x0]" },
	{ 64, "0f 4f 00", "CMOVcc eax, dword [ds:rax+0x0]" },

	/* Moves: segment registers, MOVBE, strings, the stack */
	{ 64, "48 8c 18", "MOV word [ds:rax+0x0], ds" },
	{ 64, "48 8c d8", "MOV rax, ds" },
	{ 64, "8e 10", "MOV ss, word [ds:rax+0x0]" },
	{ 64, "48 b8 08 07 06 05 04 03 02 01", "MOV rax, 0x102030405060708" },
	{ 64, "66 0f 38 f0 08", "MOVBE cx, word [ds:rax+0x0]" },
	{ 64, "48 0f c3 08", "MOVNTI qword [ds:rax+0x0], rcx" },
	{ 64, "8d 04 48", "LEA eax, [ds:rax+rcx*2+0x0]" },
	{ 64, "f3 64 a5", "REP MOVS dword [es:rdi+0x0], dword [fs:rsi+0x0]" },
	{ 32, "67 a6", "CMPS byte [ds:si+0x0], byte [es:di+0x0]" },
	{ 64, "f2 48 ae", "REPNE SCAS al, byte [es:rdi+0x0]" },
	{ 64, "48 ab", "STOS qword [es:rdi+0x0], rax" },
	{ 64, "ac", "LODS al, byte [ds:rsi+0x0]" },
	{ 64, "ff 30", "PUSH qword [ds:rax+0x0]" },
	{ 64, "66 8f 00", "POP word [ds:rax+0x0]" },
	{ 64, "41 50", "PUSH r8" },
	{ 64, "0f a8", "PUSH gs" },
	{ 32, "1e", "PUSH ds" },
	{ 64, "ff 10", "CALL qword [ds:rax+0x0]" },
	{ 16, "ff 27", "JMP word [ds:bx+0x0]" },
	{ 64, "c2 ff ff", "RET 0xffff" },
	{ 64, "0f ae 38", "CLFLUSH byte [ds:rax+0x0]" },
	{ 64, "66 0f ae 38", "CLFLUSHOPT byte [ds:rax+0x0]" },

	/* Vectors */
	{ 64, "0f 10 08", "MOVUPS xmm1, oword [ds:rax+0x0]" },
	{ 64, "66 0f 29 08", "MOVAPD oword [ds:rax+0x0], xmm1" },
	{ 64, "f3 44 0f 10 08", "MOVSS xmm9, dword [ds:rax+0x0]" },
	{ 64, "66 48 0f 6e 08", "MOVD xmm1, qword [ds:rax+0x0]" },
	{ 64, "0f 7e 08", "MOVD dword [ds:rax+0x0], mm1" },
	{ 64, "44 0f 6f 08", "MOVQ mm1, qword [ds:rax+0x0]" },
	{ 64, "66 0f 16 08", "MOVHPD xmm1, qword [ds:rax+0x0]" },
	{ 64, "c5 fd 6f 00", "VMOVDQA ymm0, yword [ds:rax+0x0]" },
	{ 64, "c4 41 7c 10 00", "VMOVUPS ymm8, yword [ds:r8+0x0]" },
	{ 64, "c5 f0 12 10", "VMOVLPS xmm2, xmm1, qword [ds:rax+0x0]" },
	{ 32, "c5 f8 11 08", "VMOVUPS oword [ds:eax+0x0], xmm1" },
	{ 64, "c4 e2 7d 2a 00", "VMOVNTDQA ymm0, yword [ds:rax+0x0]" },

	/* 15 bytes are allowed */
	{ 64, "66 66 66 66 66 66 66 66 66 66 66 66 66 8b 08", "MOV cx, word [ds:rax+0x0]" },
	{ 32, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 f4", "HLT" },
};

TEST(rows)
{
	struct x86_insn insn;
	struct text text;
	unsigned int i, n, k;
	u8 bytes[16];

	for (i = 0; i < ARRAY_LEN(good_rows); i++) {
		int ret;

		n = unhex(good_rows[i].bytes, bytes);
		ret = x86_decode(bytes, n, good_rows[i].mode, &insn);
		ASSERT_EQ(0, ret)
			TH_LOG("%u: %s", good_rows[i].mode, good_rows[i].bytes);
		EXPECT_EQ(n, insn.len);
		insn_text(&insn, &text);
		EXPECT_STREQ(good_rows[i].text, text.buf);

		/* Each byte is needed. */
		for (k = 0; k < n; k++)
			EXPECT_EQ(-EAGAIN,
				  x86_decode(bytes, k, good_rows[i].mode, &insn));
	}
}

#define UD	X86_VEC_UD
#define GP	X86_VEC_GP

static const struct {
	unsigned int mode;
	const char *bytes;
	int ret;
	u8 vector;
} bad_rows[] = {
	/* LOCK, alone and among other prefixes; all bytes are read first */
	{ 64, "f0 88 08", -EINVAL, UD },
	{ 64, "66 f0 67 c7 00 01 02", -EINVAL, UD },
	{ 64, "f0 c7 00 01 02 03", -EAGAIN },
	{ 64, "f0 8b 08", -EINVAL, UD },
	{ 64, "f0 0f a2", -EINVAL, UD },
	{ 64, "f0 f4", -EINVAL, UD },
	{ 64, "f0 0f 21 c0", -EINVAL, UD },
	{ 32, "f0 0f 20 d8", -EINVAL, UD },
	{ 64, "f0 0f b6 08", -EINVAL, UD },

	/* 15 bytes */
	{ 64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 8b 08", -EINVAL, GP },
	{ 64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 f4", -EINVAL, GP },
	{ 64, "67 67 67 67 67 67 67 67 67 67 67 67 c7 00 01 02", -EINVAL, GP },
	{ 64, "67 67 67 67 67 67 67 67 67 67 67 67 c7 00", -EAGAIN },
	{ 64, "f0 66 66 66 66 66 66 66 66 66 66 66 66 66 8b 08", -EINVAL, GP },
	{ 64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66", -EAGAIN },

	/* Registers that do not exist */
	{ 64, "0f 20 c8", -EINVAL, UD },
	{ 64, "0f 22 e8", -EINVAL, UD },
	{ 64, "0f 22 f8", -EINVAL, UD },
	{ 64, "44 0f 20 c8", -EINVAL, UD },
	{ 64, "44 0f 23 c0", -EINVAL, UD },
	{ 32, "0f 20 f0", -EINVAL, UD },

	{ 64, "8e c8", -EINVAL, UD },
	{ 64, "8e 30", -EINVAL, UD },
	{ 64, "8c 38", -EINVAL, UD },

	/* Not in 64-bit mode */
	{ 64, "ce", -EINVAL, UD },
	{ 64, "06", -EINVAL, UD },
	{ 64, "1f", -EINVAL, UD },
	{ 64, "82 00 01", -EINVAL, UD },

	/* Memory is required, or LOCK forbidden */
	{ 64, "8d c0", -EINVAL, UD },
	{ 64, "0f c7 c8", -EINVAL, UD },
	{ 64, "0f c3 c0", -EINVAL, UD },
	{ 64, "0f 38 f0 c0", -EINVAL, UD },
	{ 64, "0f e7 c0", -EINVAL, UD },
	{ 64, "f2 0f f0 c0", -EINVAL, UD },
	{ 64, "66 0f 12 c0", -EINVAL, UD },
	{ 64, "f0 01 c0", -EINVAL, UD },
	{ 64, "f0 03 00", -EINVAL, UD },
	{ 64, "f0 39 00", -EINVAL, UD },
	{ 64, "f0 84 00", -EINVAL, UD },
	{ 64, "f0 0f ba 20 01", -EINVAL, UD },
	{ 64, "f0 d1 00", -EINVAL, UD },

	/* VEX: prefixes before it, L, vvvv */
	{ 64, "66 c5 f8 10 00", -EINVAL, UD },
	{ 64, "f3 c5 f8 10 00", -EINVAL, UD },
	{ 64, "f0 c5 f8 10 00", -EINVAL, UD },
	{ 64, "40 c5 f8 10 00", -EINVAL, UD },
	{ 64, "c5 fd 6e 00", -EINVAL, UD },
	{ 64, "c5 f4 12 00", -EINVAL, UD },
	{ 64, "c5 f0 10 00", -EINVAL, UD },

	/* No row: the processor may know them */
	{ 64, "90", -EOPNOTSUPP },
	{ 64, "f3 41 90", -EOPNOTSUPP },
	{ 64, "f2 90", -EOPNOTSUPP },
	{ 64, "f3 f2 90", -EOPNOTSUPP },
	{ 64, "66 63 08", -EOPNOTSUPP },
	{ 32, "63 08", -EOPNOTSUPP },
	{ 64, "c6 08 01", -EOPNOTSUPP },
	{ 64, "c7 f8 00 00 00 00", -EOPNOTSUPP },
	{ 64, "0f 01 d0", -EOPNOTSUPP },
	{ 64, "0f 01 f8", -EOPNOTSUPP },
	{ 64, "0f 01 18", -EOPNOTSUPP },
	{ 64, "0f 0b", -EOPNOTSUPP },
	{ 64, "62 f1 7c 48 10 00", -EOPNOTSUPP },
	{ 64, "c4 e3 79 0f 00 00", -EOPNOTSUPP },
	{ 64, "c5 f8 58 00", -EOPNOTSUPP },
	{ 32, "c5 08", -EOPNOTSUPP },
	{ 64, "f2 0f 38 f0 00", -EOPNOTSUPP },
	{ 64, "f3 0f 6e 00", -EOPNOTSUPP },
	{ 64, "f3 0f 10 c0", -EOPNOTSUPP },
	{ 64, "0f 12 c0", -EOPNOTSUPP },
	{ 64, "0f b8 00", -EOPNOTSUPP },
	{ 64, "66 ff 10", -EOPNOTSUPP },
	{ 64, "66 c3", -EOPNOTSUPP },
	{ 64, "8f 08", -EOPNOTSUPP },
	{ 64, "0f ae f8", -EOPNOTSUPP },
	{ 64, "", -EAGAIN },
	{ 64, "0f", -EAGAIN },
};

TEST(refused)
{
	struct x86_insn insn;
	unsigned int i, n;
	u8 bytes[16];

	for (i = 0; i < ARRAY_LEN(bad_rows); i++) {
		n = unhex(bad_rows[i].bytes, bytes);
		EXPECT_EQ(bad_rows[i].ret,
			  x86_decode(bytes, n, bad_rows[i].mode, &insn))
			TH_LOG("%u: %s", bad_rows[i].mode, bad_rows[i].bytes);
		if (bad_rows[i].ret != -EINVAL)
			continue;
		EXPECT_EQ(bad_rows[i].vector, insn.fault.vector)
			TH_LOG("%u: %s", bad_rows[i].mode, bad_rows[i].bytes);
		EXPECT_EQ(bad_rows[i].vector == GP, insn.fault.has_error_code);
		EXPECT_EQ(0, insn.fault.error_code);
	}
}

TEST(flags)
{
	static const struct {
		const char *bytes;
		unsigned int flags;
		unsigned int op_size;
	} rows[] = {
		{ "0f a2", 0, 4 },
		{ "f4", X86_INSN_CPL0, 4 },
		{ "0f 30", X86_INSN_CPL0, 4 },
		{ "0f 32", X86_INSN_CPL0, 4 },
		{ "0f 06", X86_INSN_CPL0, 4 },
		{ "0f 08", X86_INSN_CPL0, 4 },
		{ "0f 09", X86_INSN_CPL0, 4 },
		{ "f3 0f 09", X86_INSN_CPL0 | X86_INSN_REP, 4 },
		{ "0f 01 d1", X86_INSN_CPL0 | X86_INSN_MODRM, 4 },
		{ "0f 01 38", X86_INSN_CPL0 | X86_INSN_MODRM, 4 },
		{ "0f 01 f0", X86_INSN_CPL0 | X86_INSN_MODRM, 4 },
		{ "0f 01 e0", X86_INSN_MODRM, 4 },
		{ "0f 01 d9", X86_INSN_MODRM, 4 },
		{ "0f 20 c0", X86_INSN_CPL0 | X86_INSN_MODRM, 4 },
		{ "0f 21 c0", X86_INSN_CPL0 | X86_INSN_MODRM, 4 },
		{ "0f 22 c0", X86_INSN_CPL0 | X86_INSN_MODRM, 4 },
		{ "0f 23 c0", X86_INSN_CPL0 | X86_INSN_MODRM, 4 },
		{ "f2 48 6d", X86_INSN_STRING | X86_INSN_REPNE | X86_INSN_REX, 8 },
		{ "f3 6e", X86_INSN_STRING | X86_INSN_REP, 1 },
		{ "66 89 08", X86_INSN_MODRM, 2 },
		{ "66 88 08", X86_INSN_MODRM, 1 },
	};
	struct x86_insn insn;
	unsigned int i;
	u8 bytes[16];

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		ASSERT_EQ(0, x86_decode(bytes, unhex(rows[i].bytes, bytes),
					X86_MODE_64, &insn));
		EXPECT_EQ(rows[i].flags, insn.flags)
			TH_LOG("%s", rows[i].bytes);
		EXPECT_EQ(rows[i].op_size, insn.op_size)
			TH_LOG("%s", rows[i].bytes);
	}
}

/* --- Properties ------------------------------------------------------------ */

static const enum x86_mode modes[] = { X86_MODE_16, X86_MODE_32, X86_MODE_64 };

/*
 * However much of the bytes is there: -EAGAIN below the length, the same
 * answer from it on, whatever follows.
 */
TEST(length_is_exact)
{
	unsigned long i, cases = rnd_cases(300000);
	struct x86_insn whole, part;
	u8 bytes[16], copy[16];
	unsigned int n;

	rnd_seed(1);
	for (i = 0; rnd_more(i, cases); i++) {
		enum x86_mode mode = RND_PICK(modes);
		int ret;

		random_insn(bytes, mode == X86_MODE_64);
		ret = x86_decode(bytes, 15, mode, &whole);
		if (ret)
			continue;
		ASSERT_GE(15, whole.len);

		for (n = 0; n < 15; n++) {
			unsigned int k;

			memcpy(copy, bytes, n);
			for (k = n; k < 15; k++)
				copy[k] = ~bytes[k];
			ret = x86_decode(copy, n, mode, &part);
			ASSERT_EQ(n < whole.len ? -EAGAIN : 0, ret)
				TH_LOG("%u: %s, %u bytes", mode, hex(bytes, 15), n);
			if (!ret)
				ASSERT_EQ(0, memcmp(&whole, &part, sizeof(part)));
		}
	}
}

/* --- Another disassembler --------------------------------------------------- */

#ifdef HAVE_CAPSTONE

/* Opcodes of which a prefix is part. */
static bool prefix_selects(const u8 *b)
{
	if (b[0] != 0x0f)
		return false;
	return (b[1] & 0xf8) == 0x10 || (b[1] & 0xf8) == 0x28 || b[1] == 0x38 ||
	       (b[1] >= 0x50 && b[1] <= 0x7f) || b[1] == 0xae || b[1] == 0xb8 ||
	       (b[1] & 0xfe) == 0xbc ||
	       (b[1] >= 0xc2 && b[1] <= 0xc6) || b[1] >= 0xd0;
}

/* Where Capstone 4 is known to differ from the manuals and from the CPU. */
static bool capstone_is_wrong(enum x86_mode mode, const u8 *b, int ret,
			      const struct x86_insn *insn)
{
	bool opsize = false, addrsize = false, lock = false;
	bool fs_gs = false, null_after = false, rep = false, clean = true;
	bool stale_rex = false;
	unsigned int i;
	u8 rex = 0;

	for (i = 0; i < 15; i++) {
		if (mode == X86_MODE_64 && (b[i] & 0xf0) == 0x40) {
			stale_rex |= rex;
			rex = b[i];
			continue;
		}
		if (!memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3",
			    b[i], 11))
			break;
		stale_rex |= rex;
		rex = 0;
		/* One of 66, F2 and F3, and directly before the opcode: this it understands. */
		clean = !opsize && !rep;
		opsize |= b[i] == 0x66;
		addrsize |= b[i] == 0x67;
		lock |= b[i] == 0xf0;
		rep |= b[i] == 0xf2 || b[i] == 0xf3;
		fs_gs |= b[i] == 0x64 || b[i] == 0x65;
		null_after |= fs_gs && (b[i] & 0xe7) == 0x26;
	}
	if (i > 12 || stale_rex)
		return true;
	b += i;
	clean &= (mode != X86_MODE_16 || (!opsize && !rep)) && !addrsize;
	if (prefix_selects(b) && !clean)
		return true;

	switch (ret) {
	case -EINVAL:
		if (insn->fault.vector != X86_VEC_UD)
			return opsize && b[0] == 0xe8;
		/* LOCK; prefixes before VEX; MOV to CS; registers that do not exist. */
		if (lock || ((b[0] & 0xfe) == 0xc4 && (rep || opsize || rex)) || b[0] == 0x8e)
			return true;
		/* 66 before MOVHLPS and MOVLHPS. */
		if (b[0] == 0x0f && (b[1] & 0xfb) == 0x12)
			return opsize;
		return b[0] == 0x0f && (b[1] & 0xfc) == 0x20;
	case -EOPNOTSUPP:
		/* It ignores prefixes that select another instruction. */
		if (prefix_selects(b) && (opsize || rep))
			return true;
		/* The register forms of VMOVSS and VMOVSD. */
		if ((b[0] & 0xfe) == 0xc4)
			return (b[b[0] == 0xc5 ? 2 : 3] & 0xfe) == 0x10;
		/* Near branches whose operand size depends on the CPU. */
		if (opsize && (b[0] == 0xe8 || b[0] == 0xc2 || b[0] == 0xc3 || b[0] == 0xff))
			return mode == X86_MODE_64;
		return (b[0] == 0x63 && opsize) || b[0] == 0x90;
	case 0:
		break;
	}
	/* It takes F2 and F3 for part of the opcode and forgets 66; or LOCK. */
	if (rep && (opsize || lock))
		return true;
	if (mode == X86_MODE_64 && null_after)
		return true;

	switch (insn->op) {
	case X86_OP_PAUSE:
		return true;
	case X86_OP_WBINVD:
		return insn->flags & X86_INSN_REP;
	case X86_OP_MOVSX:
		return b[0] == 0x63 && !(rex & 8);
	case X86_OP_IN:
	case X86_OP_OUT:
	case X86_OP_INS:
	case X86_OP_OUTS:
		return addrsize || rex & 8 || insn->flags & X86_INSN_REPNE;
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_LODS:
	case X86_OP_CMPS:
	case X86_OP_SCAS:
		return addrsize || insn->flags & X86_INSN_REPNE;
	case X86_OP_MONITOR:
	case X86_OP_MWAIT:
		return b[2] >= 0xfa;
	case X86_OP_MOV_CR:
		return lock;
	case X86_OP_MOV:
		/* Segment registers: the size of the other register; REX.R. */
		return (b[0] & 0xfd) == 0x8c;
	case X86_OP_XCHG:
		/* 66 somewhere before another prefix. */
		return opsize && (b[0] & 0xf8) == 0x90;
	case X86_OP_MOVV:
		/* MOVQ with a general register is MOVD here. */
		return rex & 8 && (b[1] & 0xef) == 0x6e;
	case X86_OP_PUSH:
	case X86_OP_POP:
	case X86_OP_CALL:
	case X86_OP_RET:
	case X86_OP_JMP:
		return rex & 8;
	default:
		return false;
	}
}

TEST(against_capstone)
{
	unsigned long i, cases = rnd_cases(600000);
	unsigned long agreed = 0, refused = 0, wrong = 0, bad = 0;
	unsigned int m;

	for (m = 0; m < 3; m++) {
		enum x86_mode mode = modes[m];

		rnd_seed(2 + m);
		ASSERT_EQ(0, capstone_open(mode));

		for (i = 0; i < cases / 3; i++) {
			struct capstone_insn theirs;
			struct x86_insn insn;
			struct text ours;
			bool agree;
			u8 b[16];
			int ret;

			random_insn(b, mode == X86_MODE_64);
			capstone_decode(b, 15, &theirs);
			ret = x86_decode(b, 15, mode, &insn);
			switch (ret) {
			case 0:
				insn_text(&insn, &ours);
				agree = theirs.len == insn.len &&
					!strcasecmp(ours.buf, theirs.text.buf);
				agreed += agree;
				break;
			case -EOPNOTSUPP:
				agree = !theirs.covered;
				refused++;
				break;
			default:
				agree = !theirs.len;
				refused++;
			}
			if (agree)
				continue;
			if (capstone_is_wrong(mode, b, ret, &insn)) {
				wrong++;
				continue;
			}
			bad++;
			diag("%u: %s: %d %u %s, capstone: %u %s", mode,
			     hex(b, 15), ret, ret ? insn.fault.vector : insn.len,
			     ret ? "" : ours.buf, theirs.len, theirs.text.buf);
		}
		capstone_close();
	}
	diag("%lu agree, %lu refused, %lu where Capstone is wrong",
	     agreed, refused, wrong);
	EXPECT_EQ(0, bad);
}

#else

TEST(against_capstone)
{
	SKIP(return, "built without libcapstone-dev");
}

#endif /* HAVE_CAPSTONE */

TEST_HARNESS_MAIN
