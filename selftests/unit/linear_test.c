// SPDX-License-Identifier: GPL-2.0
/*
 * Segment and canonical checks of operands and of instruction fetch, by rows: also what user
 * mode does not have (real mode, 57-bit addresses). emulate_test.c compares the rest with the
 * CPU.
 */
#include "kselftest_harness.h"

#include <errno.h>

#include "../../arch/x86/decode.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

struct vcpu {
	u64 gpr[16];
	struct x86_segment seg[6];
};

static void get_segment(void *priv, unsigned int seg, struct x86_segment *out)
{
	*out = ((struct vcpu *)priv)->seg[seg];
}

static const struct x86_cpu_ops cpu_ops = {
	.get_segment = get_segment,
};

#define OK		0
#define UD		X86_VEC_UD
#define SS		X86_VEC_SS
#define GP		X86_VEC_GP

#define RW		(X86_AR_P | X86_AR_S | X86_AR_WR)

static const struct {
	const char *name;
	enum x86_mode mode;
	bool prot, la57;
	unsigned int seg;
	struct x86_segment s;
	u64 ea;
	unsigned int size;
	bool write;
	u8 vector;
	u64 la;
} linear_rows[] = {
	{ "real mode", 16, 0, 0, X86_SEG_DS, { 0x12340, 0xffff, RW },
	  0x5678, 2, 0, OK, 0x179b8 },
	{ "real mode above 1 MByte", 16, 0, 0, X86_SEG_DS, { 0xffff0, 0xffff, RW },
	  0xffff, 1, 0, OK, 0x10ffef },
	{ "real mode, last byte", 16, 0, 0, X86_SEG_DS, { 0, 0xffff, RW },
	  0xfffe, 2, 1, OK, 0xfffe },
	{ "real mode, over the limit", 16, 0, 0, X86_SEG_DS, { 0, 0xffff, RW },
	  0xffff, 2, 1, GP },
	{ "real mode, over the stack's limit", 16, 0, 0, X86_SEG_SS, { 0, 0xffff, RW },
	  0xffff, 2, 1, SS },
	{ "real mode, 4 GByte limit", 16, 0, 0, X86_SEG_DS, { 0, 0xffffffff, RW },
	  0xfee00000, 4, 1, OK, 0xfee00000 },
	{ "real mode has no types: write to code", 16, 0, 0, X86_SEG_CS,
	  { 0x10000, 0xffff, RW | X86_AR_CODE }, 0x10, 1, 1, OK, 0x10010 },
	{ "real mode has no types: read-only data", 16, 0, 0, X86_SEG_ES,
	  { 0x10000, 0xffff, X86_AR_P | X86_AR_S }, 0x10, 1, 1, OK, 0x10010 },
	{ "real mode, unusable", 16, 0, 0, X86_SEG_ES,
	  { 0, 0, X86_AR_UNUSABLE }, 0, 1, 0, GP },
	{ "32 bits, base and offset wrap", 32, 1, 0, X86_SEG_FS,
	  { 0xfffff000, 0xffffffff, RW }, 0x2000, 4, 0, OK, 0x1000 },
	{ "32 bits, upper half of base is not used", 32, 1, 0, X86_SEG_FS,
	  { 0xffffffff00001000, 0xffffffff, RW }, 0x2000, 4, 0, OK, 0x3000 },
	{ "32 bits, offset wraps", 32, 1, 0, X86_SEG_DS,
	  { 0, 0xffffffff, RW }, 0xfffffffd, 4, 0, GP },
	{ "32 bits, null stack", 32, 1, 0, X86_SEG_SS,
	  { 0, 0xffffffff, RW | X86_AR_UNUSABLE }, 0, 4, 0, SS },
	{ "32 bits, null", 32, 1, 0, X86_SEG_FS,
	  { 0, 0xffffffff, RW | X86_AR_UNUSABLE }, 0, 4, 0, GP },
	{ "32 bits, read-only stack", 32, 1, 0, X86_SEG_SS,
	  { 0, 0xffffffff, X86_AR_P | X86_AR_S }, 0, 4, 1, GP },
	{ "conforming code is not expand-down", 32, 1, 0, X86_SEG_CS,
	  { 0x1000, 0xfff, RW | X86_AR_CODE | X86_AR_DOWN }, 0x10, 1, 0, OK, 0x1010 },
	{ "conforming code has a limit", 32, 1, 0, X86_SEG_CS,
	  { 0x1000, 0xfff, RW | X86_AR_CODE | X86_AR_DOWN }, 0x1000, 1, 0, GP },
	{ "expand-down, lowest byte", 32, 1, 0, X86_SEG_DS,
	  { 0x1000, 0xfff, RW | X86_AR_DOWN }, 0x1000, 1, 1, OK, 0x2000 },
	{ "expand-down, the limit itself", 32, 1, 0, X86_SEG_DS,
	  { 0x1000, 0xfff, RW | X86_AR_DOWN }, 0xfff, 1, 1, GP },
	{ "expand-down, 16 bits, end", 32, 1, 0, X86_SEG_DS,
	  { 0x1000, 0xfff, RW | X86_AR_DOWN }, 0xffff, 2, 1, GP },
	{ "expand-down, 32 bits, no end there", 32, 1, 0, X86_SEG_DS,
	  { 0x1000, 0xfff, RW | X86_AR_DOWN | X86_AR_DB }, 0xffff, 2, 1, OK, 0x10fff },
	{ "64 bits, FS base", 64, 1, 0, X86_SEG_FS,
	  { 0xffff800000000000, 0, X86_AR_UNUSABLE }, 0x10, 8, 1, OK,
	  0xffff800000000010 },
	{ "64 bits, DS has no base and no limit", 64, 1, 0, X86_SEG_DS,
	  { 0x1000, 0, X86_AR_UNUSABLE }, 0x10, 8, 1, OK, 0x10 },
	{ "64 bits, FS base makes it non-canonical", 64, 1, 0, X86_SEG_FS,
	  { 0x7fffffffffff, 0, RW }, 1, 1, 0, GP },
	{ "48 bits, last byte", 64, 1, 0, X86_SEG_DS, { 0 },
	  0x7ffffffffff8, 8, 0, OK, 0x7ffffffffff8 },
	{ "48 bits, one too far", 64, 1, 0, X86_SEG_DS, { 0 },
	  0x7ffffffffff9, 8, 0, GP },
	{ "48 bits, one too far on the stack", 64, 1, 0, X86_SEG_SS, { 0 },
	  0x7ffffffffff9, 8, 0, SS },
	{ "48 bits, upper half", 64, 1, 0, X86_SEG_DS, { 0 },
	  0xffff800000000000, 8, 0, OK, 0xffff800000000000 },
	{ "48 bits, just below the upper half", 64, 1, 0, X86_SEG_DS, { 0 },
	  0xffff7fffffffffff, 8, 0, GP },
	{ "57 bits", 64, 1, 1, X86_SEG_DS, { 0 },
	  0xfffffffffffff8, 8, 0, OK, 0xfffffffffffff8 },
	{ "57 bits, one too far", 64, 1, 1, X86_SEG_DS, { 0 },
	  0xfffffffffffff9, 8, 0, GP },
	{ "57 bits, upper half", 64, 1, 1, X86_SEG_DS, { 0 },
	  0xff00000000000000, 8, 0, OK, 0xff00000000000000 },
	{ "64 bits, round the top", 64, 1, 0, X86_SEG_DS, { 0 },
	  0xfffffffffffffffe, 4, 0, OK, 0xfffffffffffffffe },
};

TEST(linear)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(linear_rows); i++) {
		struct vcpu vcpu = { .seg = { { 0 } } };
		struct x86_cpu cpu = {
			.ops = &cpu_ops,
			.priv = &vcpu,
			.mode = linear_rows[i].mode,
			.prot = linear_rows[i].prot,
			.la57 = linear_rows[i].la57,
		};
		struct x86_fault fault;
		u64 la;
		int ret;

		vcpu.seg[linear_rows[i].seg] = linear_rows[i].s;
		ret = x86_seg_linear(&cpu, linear_rows[i].seg,
				     linear_rows[i].ea, linear_rows[i].size,
				     linear_rows[i].write, &la, &fault);
		if (!linear_rows[i].vector) {
			EXPECT_EQ(0, ret)
				TH_LOG("%s", linear_rows[i].name);
			if (!ret)
				EXPECT_EQ(linear_rows[i].la, la)
					TH_LOG("%s", linear_rows[i].name);
			continue;
		}
		EXPECT_EQ(-EINVAL, ret)
			TH_LOG("%s", linear_rows[i].name);
		if (ret != -EINVAL)
			continue;
		EXPECT_EQ(linear_rows[i].vector, fault.vector)
			TH_LOG("%s", linear_rows[i].name);
		EXPECT_EQ(linear_rows[i].prot, fault.has_error_code)
			TH_LOG("%s", linear_rows[i].name);
		EXPECT_EQ(0, fault.error_code);
	}
}

static const struct {
	const char *name;
	enum x86_mode mode;
	bool prot, la57;
	u64 base;
	u32 limit;
	u64 rip;
	int ret;
	u64 la;
} fetch_rows[] = {
	{ "real mode", 16, 0, 0, 0xf0000, 0xffff, 0x100, 15, 0xf0100 },
	{ "real mode, reset", 16, 0, 0, 0xffff0000, 0xffff, 0xfff0, 15, 0xfffffff0 },
	{ "real mode, end", 16, 0, 0, 0xf0000, 0xffff, 0xfff1, 15, 0xffff1 },
	{ "real mode, 14 left", 16, 0, 0, 0xf0000, 0xffff, 0xfff2, 14, 0xffff2 },
	{ "real mode, over", 16, 0, 0, 0xf0000, 0xffff, 0x10000, -EINVAL },
	{ "32 bits, 1 left", 32, 1, 0, 0x1000, 0x1ff, 0x1ff, 1, 0x11ff },
	{ "32 bits, over", 32, 1, 0, 0x1000, 0x1ff, 0x200, -EINVAL },
	{ "32 bits, flat", 32, 1, 0, 0, 0xffffffff, 0xfffffff8, 8, 0xfffffff8 },
	{ "64 bits, no base", 64, 1, 0, 0x1000, 0, 0x400000, 15, 0x400000 },
	{ "64 bits, upper half", 64, 1, 0, 0, 0, 0xffffffff81000000, 15,
	  0xffffffff81000000 },
	{ "64 bits, end of the lower half", 64, 1, 0, 0, 0, 0x7fffffffffff, 1,
	  0x7fffffffffff },
	{ "64 bits, end of the upper half", 64, 1, 0, 0, 0, 0xfffffffffffffffe, 2,
	  0xfffffffffffffffe },
	{ "64 bits, non-canonical", 64, 1, 0, 0, 0, 0x800000000000, -EINVAL },
	{ "57 bits", 64, 1, 1, 0, 0, 0x800000000000, 15, 0x800000000000 },
	{ "57 bits, end", 64, 1, 1, 0, 0, 0xfffffffffffffe, 2, 0xfffffffffffffe },
	{ "57 bits, non-canonical", 64, 1, 1, 0, 0, 0x100000000000000, -EINVAL },
};

TEST(fetch)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(fetch_rows); i++) {
		struct vcpu vcpu = { .seg = { { 0 } } };
		struct x86_cpu cpu = {
			.ops = &cpu_ops,
			.priv = &vcpu,
			.rip = fetch_rows[i].rip,
			.mode = fetch_rows[i].mode,
			.prot = fetch_rows[i].prot,
			.la57 = fetch_rows[i].la57,
		};
		struct x86_fault fault = { .vector = 0 };
		u64 la = 0;

		vcpu.seg[X86_SEG_CS].base = fetch_rows[i].base;
		vcpu.seg[X86_SEG_CS].limit = fetch_rows[i].limit;
		EXPECT_EQ(fetch_rows[i].ret, x86_fetch_linear(&cpu, &la, &fault))
			TH_LOG("%s", fetch_rows[i].name);
		if (fetch_rows[i].ret > 0) {
			EXPECT_EQ(fetch_rows[i].la, la)
				TH_LOG("%s", fetch_rows[i].name);
			continue;
		}
		EXPECT_EQ(GP, fault.vector);
		EXPECT_EQ(fetch_rows[i].prot, fault.has_error_code);
	}
}

/* Every sum is cut to the address size. */
TEST(effective_address)
{
	static const struct {
		enum x86_mode mode;
		const char *bytes;
		u64 ea;
	} rows[] = {
		{ 16, "\x8b\x00", 0x0001 },				/* [bx+si] */
		{ 16, "\x8b\x47\xff", 0xfffe },				/* [bx-1] */
		{ 32, "\x8b\x04\x73", 0x3 },				/* [ebx+esi*2] */
		{ 32, "\x8b\x43\x02", 0x1 },				/* [ebx+2] */
		{ 64, "\x67\x8b\x43\x02", 0x1 },			/* [ebx+2] */
		{ 64, "\x8b\x43\x02", 0x100000001 },			/* [rbx+2] */
		{ 64, "\x67\x8b\x05\x00\x00\x00\x80", 0x7ffffff7 },	/* [eip-2G] */
		{ 64, "\x8b\x05\x10\x00\x00\x00", 0x100000006 },		/* [rip+16] */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct vcpu vcpu = {
			.gpr = { [X86_GPR_RBX] = 0xffffffff, [X86_GPR_RSI] = 0x80000002 },
		};
		struct x86_cpu cpu = {
			.ops = &cpu_ops, .priv = &vcpu, .gpr = vcpu.gpr, .rip = 0xfffffff0,
			.mode = rows[i].mode,
		};
		struct x86_insn insn;

		ASSERT_EQ(0, x86_decode((const u8 *)rows[i].bytes, 15, rows[i].mode, &insn));
		EXPECT_EQ(rows[i].ea, x86_insn_ea(&insn, &cpu)) TH_LOG("row %u", i);
	}
}

TEST(next_rip)
{
	EXPECT_EQ(0x100000001, x86_next_rip(X86_MODE_64, 0xffffffff, 2));
	EXPECT_EQ(1, x86_next_rip(X86_MODE_32, 0xffffffff, 2));
	EXPECT_EQ(0x10001, x86_next_rip(X86_MODE_16, 0xffff, 2));
}

TEST_HARNESS_MAIN
