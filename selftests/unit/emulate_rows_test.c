// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction emulator where user mode is no help: control register bits, privilege, real
 * mode, ports. By rows; emulate_test.c compares all else with the CPU.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <stdarg.h>

#include "../../arch/x86/emulate.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define CR0_PE	(1u << 0)
#define CR0_EM	(1u << 2)
#define CR0_TS	(1u << 3)
#define CR0_AM	(1u << 18)
#define OSFXSR	(1u << 9)
#define FL_RF	(1u << 16)
#define FL_AC	(1u << 18)

struct vcpu {
	u64 gpr[16];		/* not that of RSP */
	u64 rsp, rflags, rip;
	bool done;
	u8 memory[64];		/* at any address, cut to six bits */
	char log[256];		/* callbacks, in order */
	int in_ret;
	u8 cpl;
};

static void note(struct vcpu *v, const char *fmt, ...)
{
	size_t n = strlen(v->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->log + n, sizeof(v->log) - n, fmt, ap);
	va_end(ap);
}

static u64 get_rsp(void *priv)
{
	return ((struct vcpu *)priv)->rsp;
}

static void set_rsp(void *priv, u64 val)
{
	((struct vcpu *)priv)->rsp = val;
}

static void get_segment(void *priv, unsigned int seg, struct x86_segment *out)
{
	*out = (struct x86_segment) { .limit = 0xffff, .ar = X86_AR_P | X86_AR_S | X86_AR_WR };
}

static const struct x86_cpu_ops cpu_ops = {
	.get_rsp = get_rsp,
	.set_rsp = set_rsp,
	.get_segment = get_segment,
};

static int mem_read(void *priv, u64 la, void *data, unsigned int len, bool write,
		    struct x86_fault *fault)
{
	struct vcpu *v = priv;
	unsigned int i;

	note(v, "%s%s%u ", data ? "read" : "look", write ? "+" : "", len);
	for (i = 0; data && i < len; i++)
		((u8 *)data)[i] = v->memory[(la + i) & 63];
	return 0;
}

static int mem_write(void *priv, u64 la, const void *data, unsigned int len,
		     struct x86_fault *fault)
{
	struct vcpu *v = priv;
	unsigned int i;

	note(v, "write%u ", len);
	for (i = 0; i < len; i++)
		v->memory[(la + i) & 63] = ((u8 *)data)[i];
	return 0;
}

static int mem_cmpxchg(void *priv, u64 la, const void *old, const void *new, unsigned int len,
		       struct x86_fault *fault)
{
	note(priv, "cmpxchg%u ", len);
	return 0;
}

static int port_in(void *priv, u16 port, unsigned int size, u32 *data)
{
	struct vcpu *v = priv;

	note(v, "in%u(%x) ", size, port);
	*data = 0x87654321;
	return v->in_ret;
}

static int port_out(void *priv, u16 port, unsigned int size, u32 data)
{
	note(priv, "out%u(%x, %x) ", size, port, data);
	return 0;
}

static unsigned int get_cpl(void *priv)
{
	return ((struct vcpu *)priv)->cpl;
}

static void set_rflags(void *priv, u64 rflags)
{
	((struct vcpu *)priv)->rflags = rflags;
}

static void set_rip(void *priv, u64 rip, bool done)
{
	((struct vcpu *)priv)->rip = rip;
	((struct vcpu *)priv)->done = done;
}

static void get_vec(void *priv, unsigned int reg, struct x86_vec *val)
{
	memset(val, reg, sizeof(*val));
}

static void set_vec(void *priv, unsigned int reg, const struct x86_vec *val, unsigned int size,
		    bool zero)
{
	note(priv, "xmm%u ", reg);
}

static u64 get_mmx(void *priv, unsigned int reg)
{
	return reg;
}

static void set_mmx(void *priv, unsigned int reg, u64 val)
{
	note(priv, "mmx%u ", reg);
}

static u16 get_selector(void *priv, unsigned int seg)
{
	return 8 * seg;
}

static int load_segment(void *priv, unsigned int seg, u16 selector, struct x86_fault *fault)
{
	note(priv, "segment%u ", seg);
	return 0;
}

static const struct x86_emul_ops emul_ops = {
	.read = mem_read,
	.write = mem_write,
	.cmpxchg_mem = mem_cmpxchg,
	.in = port_in,
	.out = port_out,
	.get_cpl = get_cpl,
	.set_rflags = set_rflags,
	.set_rip = set_rip,
	.get_vec = get_vec,
	.set_vec = set_vec,
	.get_mmx = get_mmx,
	.set_mmx = set_mmx,
	.get_selector = get_selector,
	.load_segment = load_segment,
};

#define NONE	0xff
#define NM	X86_VEC_NM
#define UD	X86_VEC_UD
#define AC	X86_VEC_AC
#define GP	X86_VEC_GP
#define SS	X86_VEC_SS

/* Defaults that let everything pass are in run(): these are the bits that differ from it. */
static const struct row {
	const char *name;
	enum x86_mode mode;
	const char *bytes;
	unsigned int len;
	u64 cr0, cr4, xcr0;
	bool real;
	u8 cpl;
	u64 flags;
	u64 rbx;
	u8 vector;
	const char *log;
	u64 value;
	u8 value_size;
} rows[] = {
#define B(s) s, sizeof(s) - 1
	{ "MOVUPS", 64, B("\x0f\x10\x0b"), .vector = NONE, .log = "read16 xmm1 " },
	{ "MOVUPS, TS", 64, B("\x0f\x10\x0b"), .cr0 = CR0_TS, .vector = NM },
	{ "MOVUPS, EM", 64, B("\x0f\x10\x0b"), .cr0 = CR0_EM, .vector = UD },
	{ "MOVUPS, EM and TS", 64, B("\x0f\x10\x0b"), .cr0 = CR0_EM | CR0_TS, .vector = UD },
	{ "MOVUPS, no OSFXSR", 64, B("\x0f\x10\x0b"), .cr4 = OSFXSR, .vector = UD },
	{ "MOVUPS, XCR0 does not count", 64, B("\x0f\x10\x0b"), .xcr0 = 6, .vector = NONE,
	  .log = "read16 xmm1 " },
	{ "MOVLPS", 64, B("\x0f\x12\x0b"), .vector = NONE, .log = "read8 xmm1 " },
	{ "MOVLPS, TS", 64, B("\x0f\x12\x0b"), .cr0 = CR0_TS, .vector = NM },
	{ "MOVHPS, TS", 64, B("\x0f\x16\x0b"), .cr0 = CR0_TS, .vector = NM },
	{ "MOVHPS to memory", 64, B("\x0f\x17\x0b"), .vector = NONE, .log = "write8 " },
	{ "MOVHPS to memory, EM", 64, B("\x0f\x17\x0b"), .cr0 = CR0_EM, .vector = UD },
	{ "MOVQ mm", 64, B("\x0f\x6f\x0b"), .vector = NONE, .log = "read8 mmx1 " },
	{ "MOVQ mm, TS", 64, B("\x0f\x6f\x0b"), .cr0 = CR0_TS, .vector = NM },
	{ "MOVQ mm, EM", 64, B("\x0f\x6f\x0b"), .cr0 = CR0_EM, .vector = UD },
	{ "MOVQ mm, no OSFXSR", 64, B("\x0f\x6f\x0b"), .cr4 = OSFXSR, .vector = NONE,
	  .log = "read8 mmx1 " },
	{ "VMOVUPS", 64, B("\xc5\xf8\x10\x0b"), .vector = NONE, .log = "read16 xmm1 " },
	{ "VMOVUPS, TS", 64, B("\xc5\xf8\x10\x0b"), .cr0 = CR0_TS, .vector = NM },
	{ "VMOVUPS, EM does not count", 64, B("\xc5\xf8\x10\x0b"), .cr0 = CR0_EM,
	  .vector = NONE, .log = "read16 xmm1 " },
	{ "VMOVUPS, no AVX in XCR0", 64, B("\xc5\xf8\x10\x0b"), .xcr0 = 4, .vector = UD },
	{ "VMOVUPS, no SSE in XCR0", 64, B("\xc5\xf8\x10\x0b"), .xcr0 = 2, .vector = UD },
	{ "VMOVUPS in real mode", 16, B("\xc5\xf8\x10\x0f"), .real = true, .vector = UD },
	{ "MOV to TS", 64, B("\x89\x03"), .cr0 = CR0_TS | CR0_EM, .vector = NONE,
	  .log = "write4 " },

	{ "AC, ring 3", 64, B("\x8b\x03"), .cr0 = CR0_AM, .cpl = 3, .flags = FL_AC, .rbx = 2,
	  .vector = AC },
	{ "AC, aligned", 64, B("\x8b\x03"), .cr0 = CR0_AM, .cpl = 3, .flags = FL_AC, .rbx = 4,
	  .vector = NONE, .log = "read4 " },
	{ "AC, ring 2", 64, B("\x8b\x03"), .cr0 = CR0_AM, .cpl = 2, .flags = FL_AC, .rbx = 2,
	  .vector = NONE, .log = "read4 " },
	{ "AC, no CR0.AM", 64, B("\x8b\x03"), .cpl = 3, .flags = FL_AC, .rbx = 2,
	  .vector = NONE, .log = "read4 " },
	{ "AC, no RFLAGS.AC", 64, B("\x8b\x03"), .cr0 = CR0_AM, .cpl = 3, .rbx = 2,
	  .vector = NONE, .log = "read4 " },

	{ "over the limit in real mode", 16, B("\x8b\x07"), .real = true, .rbx = 0xffff,
	  .vector = GP },
	{ "over the stack's limit in real mode", 16, B("\x36\x8b\x07"), .real = true,
	  .rbx = 0xffff, .vector = SS },
	{ "misaligned MOVAPS in real mode", 16, B("\x0f\x28\x07"), .real = true, .rbx = 8,
	  .vector = GP },

	{ "ADD", 64, B("\x01\x03"), .vector = NONE, .log = "read+4 write4 " },
	{ "LOCK ADD", 64, B("\xf0\x01\x03"), .vector = NONE, .log = "read+4 cmpxchg4 " },
	{ "XCHG", 64, B("\x87\x03"), .vector = NONE, .log = "read+4 cmpxchg4 " },
	{ "CMPXCHG8B", 64, B("\x0f\xc7\x0b"), .vector = NONE, .log = "read+8 write8 " },
	{ "LOCK CMPXCHG8B", 64, B("\xf0\x0f\xc7\x0b"), .vector = NONE,
	  .log = "read+8 cmpxchg8 " },
	{ "CMP", 64, B("\x39\x03"), .vector = NONE, .log = "read4 " },
	{ "BT", 64, B("\x0f\xa3\x03"), .vector = NONE, .log = "read4 " },
	{ "BTS", 64, B("\x0f\xab\x03"), .vector = NONE, .log = "read+4 write4 " },
	{ "POP", 64, B("\x8f\x03"), .vector = NONE, .log = "read8 write8 " },
	{ "PUSH", 64, B("\xff\x33"), .vector = NONE, .log = "read8 write8 " },
	{ "MOV ss", 64, B("\x8e\x13"), .vector = NONE, .log = "read2 segment2 " },
	{ "MOVS", 64, B("\xa5"), .vector = NONE, .log = "read4 write4 " },

	{ "INSB", 64, B("\x6c"), .vector = NONE, .log = "look+1 in1(5678) write1 " },
	{ "INSW", 64, B("\x66\x6d"), .vector = NONE, .log = "look+2 in2(5678) write2 " },
	{ "INSD with REX.W", 64, B("\x48\x6d"), .vector = NONE,
	  .log = "look+4 in4(5678) write4 " },
	{ "OUTSB", 64, B("\x6e"), .vector = NONE, .log = "read1 out1(5678, 0) " },
	{ "OUTSD", 64, B("\x6f"), .vector = NONE, .log = "read4 out4(5678, 3020100) " },
};

static void init(struct vcpu *v, const struct row *row)
{
	unsigned int i;

	memset(v, 0, sizeof(*v));
	for (i = 0; i < sizeof(v->memory); i++)
		v->memory[i] = i;
	v->gpr[X86_GPR_RBX] = row->rbx;
	v->gpr[X86_GPR_RDX] = 0x12345678;
	v->gpr[X86_GPR_RCX] = 2;
	v->cpl = row->cpl;
	v->rflags = 2 | FL_RF | row->flags;
}

static int run(struct vcpu *v, const struct row *row, struct x86_fault *fault)
{
	struct x86_cpu cpu = {
		.ops = &cpu_ops, .priv = v, .gpr = v->gpr, .rip = 0x400, .mode = row->mode, .prot = !row->real,
	};
	struct x86_emul e = {
		.ops = &emul_ops, .cpu = &cpu, .cr0 = CR0_PE ^ row->cr0, .cr4 = OSFXSR ^ row->cr4,
		.xcr0 = 7 ^ row->xcr0,
		.rflags = v->rflags, .value = row->value, .value_size = row->value_size,
	};
	struct x86_insn insn;
	int ret = x86_decode((const u8 *)row->bytes, row->len, row->mode, &insn);

	if (ret) {
		*fault = insn.fault;
		return ret;
	}
	return x86_emulate(&e, &insn, fault);
}

TEST(by_rows)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		struct x86_fault fault = { .vector = NONE };
		struct vcpu v;

		init(&v, row);
		if (row->vector == NONE) {
			EXPECT_EQ(0, run(&v, row, &fault)) TH_LOG("%s", row->name);
			EXPECT_STREQ(row->log, v.log) TH_LOG("%s", row->name);
			EXPECT_EQ(0x400 + row->len, v.rip) TH_LOG("%s", row->name);
			EXPECT_TRUE(v.done);
			EXPECT_EQ(0, v.rflags & FL_RF) TH_LOG("%s", row->name);
			continue;
		}
		EXPECT_EQ(-EINVAL, run(&v, row, &fault)) TH_LOG("%s", row->name);
		EXPECT_EQ(row->vector, fault.vector) TH_LOG("%s", row->name);
		EXPECT_EQ(!row->real && row->vector != UD && row->vector != NM,
			  fault.has_error_code) TH_LOG("%s", row->name);
		EXPECT_EQ(0, fault.error_code);
		EXPECT_STREQ("", v.log) TH_LOG("%s", row->name);
		EXPECT_EQ(0, v.rip) TH_LOG("%s", row->name);
		EXPECT_EQ(FL_RF, v.rflags & FL_RF) TH_LOG("%s", row->name);
	}
}

/* The data of a port may come later, from userspace: nothing may have moved until then. */
TEST(port_is_not_there_yet)
{
	static const struct row ins = { .mode = X86_MODE_64, .bytes = "\xf3\x6d", .len = 2 };
	struct x86_fault fault;
	struct vcpu v;

	init(&v, &ins);
	v.in_ret = -EBUSY;
	EXPECT_EQ(-EBUSY, run(&v, &ins, &fault));
	EXPECT_STREQ("look+4 in4(5678) ", v.log);
	EXPECT_EQ(2, v.gpr[X86_GPR_RCX]);
	EXPECT_EQ(0, v.gpr[X86_GPR_RDI]);

	v.in_ret = 0;
	EXPECT_EQ(0, run(&v, &ins, &fault));
	EXPECT_FALSE(v.done);
	EXPECT_EQ(0x400, v.rip);
	EXPECT_EQ(1, v.gpr[X86_GPR_RCX]);
	EXPECT_EQ(4, v.gpr[X86_GPR_RDI]);
	EXPECT_EQ(FL_RF, v.rflags & FL_RF);
	EXPECT_EQ(0, run(&v, &ins, &fault));
	EXPECT_TRUE(v.done);
	EXPECT_EQ(0x402, v.rip);
	EXPECT_EQ(0, v.rflags & FL_RF);
}

/* The operand is known: it is not read again, unless it is written or of another size. */
TEST(operand_is_known)
{
	static const struct {
		const char *bytes;
		u64 rax;
		u8 len, size;
		const char *log;
	} known[] = {
		{ "\x8b\x03", 0x11223344, 2, 4, "" },			/* MOV EAX, [RBX] */
		{ "\x48\x0f\xbe\x03", -2ull, 4, 1, "" },		/* MOVSX RAX, byte [RBX] */
		{ "\x03\x03", 0x11223349, 2, 4, "" },			/* ADD EAX, [RBX] */
		{ "\x39\x03", 5, 2, 4, "" },				/* CMP [RBX], EAX */
		{ "\x8b\x03", 0x03020100, 2, 8, "read4 " },
		{ "\x01\x03", 5, 2, 4, "read+4 write4 " },		/* ADD [RBX], EAX */
		{ "\xad", 0x03020100, 1, 4, "read4 " },			/* LODSD */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(known); i++) {
		struct row row = { .mode = X86_MODE_64, .bytes = known[i].bytes,
				   .len = known[i].len, .value_size = known[i].size,
				   .value = known[i].size == 1 ? 0xfe : 0x11223344 };
		struct x86_fault fault;
		struct vcpu v;

		init(&v, &row);
		v.gpr[X86_GPR_RAX] = 5;
		EXPECT_EQ(0, run(&v, &row, &fault)) TH_LOG("row %u", i);
		EXPECT_STREQ(known[i].log, v.log) TH_LOG("row %u", i);
		EXPECT_EQ(known[i].rax, v.gpr[X86_GPR_RAX]) TH_LOG("row %u", i);
		EXPECT_EQ(0x400 + row.len, v.rip) TH_LOG("row %u", i);
	}
}

/*
 * POP to an address with ESP, on a stack of 16 bits: SP has wrapped before the address is made, and
 * the upper half of ESP is not touched.
 */
TEST(pop_wraps)
{
	static const struct row pop = { .mode = X86_MODE_32, .bytes = "\x8f\x04\x24", .len = 3 };
	struct x86_fault fault;
	struct vcpu v;

	init(&v, &pop);
	v.rsp = 0xfffc;
	EXPECT_EQ(0, run(&v, &pop, &fault));
	EXPECT_STREQ("read4 write4 ", v.log);
	EXPECT_EQ(0, v.rsp);
	EXPECT_EQ(60, v.memory[0]);
}

/* The stack pointer is not among the other registers: as base, source and destination. */
TEST(rsp_is_elsewhere)
{
	static const struct row rows[] = {
		{ .mode = X86_MODE_64, .bytes = "\x48\x8b\x24\x24", .len = 4 },	/* MOV RSP, [RSP] */
		{ .mode = X86_MODE_64, .bytes = "\x48\x89\x24\x24", .len = 4 },	/* MOV [RSP], RSP */
	};
	struct x86_fault fault;
	struct vcpu v;

	init(&v, &rows[0]);
	v.rsp = 8;
	v.gpr[X86_GPR_RSP] = 32;
	EXPECT_EQ(0, run(&v, &rows[0], &fault));
	EXPECT_EQ(0x0f0e0d0c0b0a0908, v.rsp);
	v.rsp = 16;
	EXPECT_EQ(0, run(&v, &rows[1], &fault));
	EXPECT_EQ(16, v.memory[16]);
	EXPECT_EQ(0, v.memory[17]);
	EXPECT_EQ(32, v.gpr[X86_GPR_RSP]);
}

/* What exits by itself is not executed here, and does not look at the vCPU. */
TEST(not_executed)
{
	static const char *const insns[] = {
		"\x0f\xa2", "\xf4", "\x0f\x30", "\x0f\x32", "\x0f\x06", "\x0f\x20\xc0",
		"\x0f\x22\xc0", "\x0f\x01\x38", "\xcc", "\x0f\x01\xd9",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(insns); i++) {
		struct row row = { .mode = X86_MODE_64, .bytes = insns[i], .len = 3 };
		struct x86_fault fault;
		struct vcpu v;

		init(&v, &row);
		EXPECT_EQ(-EOPNOTSUPP, run(&v, &row, &fault)) TH_LOG("row %u", i);
	}
}

TEST_HARNESS_MAIN
