// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction emulator: the CPU of this machine executes the same instruction on the same
 * registers and memory, and everything that can be seen must be equal: general, vector and MMX
 * registers, flags, selectors, memory, the instruction pointer, and an exception with its error
 * code and address.
 *
 * 64-bit mode, and 16- and 32-bit protected mode by segments in the LDT. Every row of the
 * decoder that is executed must have cases in which it completes. What user mode does not have
 * is tested by rows in emulate_rows_test.c.
 *
 * SEED=n takes other cases, CASES=n so many in each mode, SECONDS=n as many as there is time
 * for.
 */
#include "kselftest_harness.h"

#include <cpuid.h>
#include <errno.h>
#include <sched.h>

#include "insn_rows.h"
#include "insn_text.h"
#include "native.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define FL_STATUS	0x8d5ull
#define FL_DF		(1ull << 10)
#define FL_RF		(1ull << 16)
#define FL_AC		(1ull << 18)
#define FL_NATIVE	(FL_STATUS | FL_DF | FL_AC)

#define BAD_MAX		20	/* reports of one test */

static bool is_amd(void)
{
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	return b == signature_AMD_ebx;
}

/* --- Memory ------------------------------------------------------------------ */

/*
 * Memory for operands: pages that can be written, that can be read and holes.
 * The first page is the first byte of many segments.
 */
#define DATA		0x30000000ul
#define DATA_PAGES	32
#define DATA_SIZE	(DATA_PAGES * 4096ul)

static u8 shadow[DATA_SIZE];	/* what DATA must look like: the emulator's memory */

/* Linear addresses of this process, where nothing may be tried. */
static struct {
	u64 lo, hi;
} taken[512];

static unsigned int taken_nr;

static bool is_hole(unsigned int page)
{
	return page % 5 == 4;
}

static bool is_readonly(unsigned int page)
{
	return page % 7 == 6;
}

static bool in_data(u64 la)
{
	return la - DATA < DATA_SIZE;
}

static bool is_writable(u64 la)
{
	unsigned int page = (la - DATA) / 4096;

	return in_data(la) && !is_hole(page) && !is_readonly(page);
}

static bool is_taken(u64 la)
{
	unsigned int i;

	for (i = 0; i < taken_nr; i++)
		if (la >= taken[i].lo && la < taken[i].hi)
			return true;
	return false;
}

/* More is mapped later, by the C library: keep away from what there is in the upper part. */
static int find_taken(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long lo, hi;
	char line[512];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f) && taken_nr < ARRAY_LEN(taken)) {
		u64 margin;

		if (sscanf(line, "%lx-%lx", &lo, &hi) != 2)
			continue;
		margin = lo >> 32 && !(lo >> 63) ? 1ull << 32 : 0;
		taken[taken_nr].lo = lo - margin;
		taken[taken_nr++].hi = hi + margin;
	}
	fclose(f);
	return taken_nr < ARRAY_LEN(taken) ? 0 : -1;
}

static int data_init(void)
{
	unsigned int i;

	if (find_taken() || !native_map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE))
		return -1;
	for (i = 0; i < DATA_SIZE; i++)
		shadow[i] = rnd();
	memcpy((void *)DATA, shadow, DATA_SIZE);
	for (i = 0; i < DATA_PAGES; i++) {
		void *page = (void *)(DATA + i * 4096);

		if (is_hole(i) && munmap(page, 4096))
			return -1;
		if (!is_hole(i) && is_readonly(i) && mprotect(page, 4096, PROT_READ))
			return -1;
	}
	return 0;
}

/* Are memory and shadow equal from @lo to @hi? If not they are made equal. */
static bool memory_equal(u64 lo, u64 hi)
{
	bool same = true;
	u64 end;

	lo = lo < DATA ? DATA : lo;
	hi = hi > DATA + DATA_SIZE ? DATA + DATA_SIZE : hi;
	for (; lo < hi; lo = end) {
		u8 *copy = shadow + (lo - DATA);

		end = (lo | 4095) + 1;
		end = end < hi ? end : hi;
		if (is_hole((lo - DATA) / 4096) || !memcmp((void *)lo, copy, end - lo))
			continue;
		same = false;
		memcpy(copy, (void *)lo, end - lo);
	}
	return same;
}

/* Put @n bytes into memory and shadow, as far as they can be written. */
static void poke(u64 la, const void *bytes, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (is_writable(la + i))
			shadow[la + i - DATA] = *(u8 *)(la + i) = ((const u8 *)bytes)[i];
}

/* --- The vCPU as the emulator sees it ---------------------------------------- */

/* What an instruction can change. */
struct regs {
	u64 gpr[16];
	u64 rflags;
	u64 rip;
	u64 mmx[8];
	struct x86_vec vec[16];
	u16 sel[6];
};

struct vcpu {
	struct regs r;
	struct x86_segment seg[6];
	enum x86_mode mode;
	bool ldt_usable[6];
	bool done;
	bool foreign;		/* would touch memory that is not the test's */
	bool late;		/* a callback that can fail came after the write */
	unsigned int fail_in;	/* the callback that fails without a reason, counted down */
	u64 value;		/* what a read would have given that failed like that */
	u8 value_size;
	bool wrote;
	u64 at;			/* last access */
	u64 lo, hi;		/* what was written */
};

static u64 get_rsp(void *priv)
{
	return ((struct vcpu *)priv)->r.gpr[X86_GPR_RSP];
}

static void set_rsp(void *priv, u64 val)
{
	((struct vcpu *)priv)->r.gpr[X86_GPR_RSP] = val;
}

static void get_segment(void *priv, unsigned int seg, struct x86_segment *out)
{
	*out = ((struct vcpu *)priv)->seg[seg];
}

static const struct x86_cpu_ops cpu_ops = {
	.get_rsp = get_rsp,
	.set_rsp = set_rsp,
	.get_segment = get_segment,
};

static int raise_fault(struct x86_fault *fault, u8 vector, u32 error_code, u64 address)
{
	*fault = (struct x86_fault) {
		.vector = vector, .has_error_code = true,
		.error_code = error_code, .address = address,
	};
	return -EINVAL;
}

/* What the memory of this process does to an access. */
static int check_access(struct vcpu *v, u64 la, unsigned int len, bool write,
			struct x86_fault *fault)
{
	u32 error_code = write ? 6 : 4;
	unsigned int i;

	v->at = la;
	if (v->wrote)
		v->late = true;
	if (v->fail_in && !--v->fail_in)
		return -EIO;
	for (i = 0; i < len; i++) {
		u64 at = v->mode == X86_MODE_64 ? la + i : (u32)(la + i);
		unsigned int page = (at - DATA) / 4096;

		if (in_data(at)) {
			if (is_hole(page))
				return raise_fault(fault, X86_VEC_PF, error_code, at);
			if (write && is_readonly(page))
				return raise_fault(fault, X86_VEC_PF, error_code | 1, at);
		} else if (at >= 0x7ffffffff000) {
			/* The kernel tells nothing about its own pages. */
			return raise_fault(fault, X86_VEC_PF, error_code | 1, at);
		} else if (is_taken(at)) {
			v->foreign = true;
			return -EIO;
		} else {
			return raise_fault(fault, X86_VEC_PF, error_code, at);
		}
	}
	return 0;
}

static int mem_read(void *priv, u64 la, void *data, unsigned int len, bool write,
		    struct x86_fault *fault)
{
	struct vcpu *v = priv;
	int ret = check_access(v, la, len, write, fault);

	if (!ret && data)
		memcpy(data, shadow + (la - DATA), len);
	/* Broken off, as a read of a device is, whose data come later. */
	if (ret == -EIO && !v->foreign && data && len <= sizeof(v->value) &&
	    !check_access(v, la, len, write, fault)) {
		v->value = 0;
		memcpy(&v->value, shadow + (la - DATA), len);
		v->value_size = len;
	}
	return ret;
}

static int mem_write(void *priv, u64 la, const void *data, unsigned int len,
		     struct x86_fault *fault)
{
	struct vcpu *v = priv;
	int ret = check_access(v, la, len, true, fault);

	if (ret)
		return ret;
	memcpy(shadow + (la - DATA), data, len);
	v->wrote = true;
	if (la < v->lo)
		v->lo = la;
	if (la + len > v->hi)
		v->hi = la + len;
	return 0;
}

static int mem_cmpxchg(void *priv, u64 la, const void *old, const void *new, unsigned int len,
		       struct x86_fault *fault)
{
	int ret = check_access(priv, la, len, true, fault);

	if (ret)
		return ret == -EIO ? -EAGAIN : ret;
	if (memcmp(shadow + (la - DATA), old, len))
		return -EAGAIN;
	return mem_write(priv, la, new, len, fault);
}

/* INS and OUTS are compared with STOS and LODS, and RAX takes the part of the port. */
static int port_in(void *priv, u16 port, unsigned int size, u32 *data)
{
	*data = ((struct vcpu *)priv)->r.gpr[X86_GPR_RAX];
	return 0;
}

static int port_out(void *priv, u16 port, unsigned int size, u32 data)
{
	u64 *rax = &((struct vcpu *)priv)->r.gpr[X86_GPR_RAX];

	if (size == 4)
		*rax = data;
	else
		memcpy(rax, &data, size);
	return 0;
}

static unsigned int get_cpl(void *priv)
{
	return 3;
}

static void set_rflags(void *priv, u64 rflags)
{
	((struct vcpu *)priv)->r.rflags = rflags;
}

static void set_rip(void *priv, u64 rip, bool done)
{
	struct vcpu *v = priv;

	v->r.rip = rip;
	v->done = done;
}

static void get_vec(void *priv, unsigned int reg, struct x86_vec *val)
{
	*val = ((struct vcpu *)priv)->r.vec[reg];
}

static void set_vec(void *priv, unsigned int reg, const struct x86_vec *val,
		    unsigned int size, bool zero)
{
	struct x86_vec *vec = &((struct vcpu *)priv)->r.vec[reg];

	memcpy(vec->b, val->b, size);
	if (zero)
		memset(vec->b + size, 0, sizeof(vec->b) - size);
}

static u64 get_mmx(void *priv, unsigned int reg)
{
	return ((struct vcpu *)priv)->r.mmx[reg];
}

static void set_mmx(void *priv, unsigned int reg, u64 val)
{
	((struct vcpu *)priv)->r.mmx[reg] = val;
}

static u16 get_selector(void *priv, unsigned int seg)
{
	return ((struct vcpu *)priv)->r.sel[seg];
}

/* "Loading Segment Registers", for CPL 3 and what is in this LDT. */
static int load_segment(void *priv, unsigned int seg, u16 selector, struct x86_fault *fault)
{
	struct vcpu *v = priv;
	unsigned int index = selector >> 3;
	bool ok;

	if (selector < 4 && seg != X86_SEG_SS) {
		ok = true;
	} else if (selector < 4) {
		return raise_fault(fault, X86_VEC_GP, 0, 0);
	} else if (!(selector & 4)) {
		/* The kernel's GDT. */
		v->foreign = true;
		return -EIO;
	} else if (index >= 6 || !v->ldt_usable[index]) {
		ok = false;
	} else {
		u32 ar = v->seg[index].ar;

		ok = seg == X86_SEG_SS ? (selector & 3) == 3 && !(ar & X86_AR_CODE) &&
					 ar & X86_AR_WR :
					 !(ar & X86_AR_CODE) || ar & X86_AR_WR;
	}
	if (!ok)
		return raise_fault(fault, X86_VEC_GP, selector & ~3, 0);
	v->r.sel[seg] = selector;
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

/* --- Counts ------------------------------------------------------------------ */

/* By row, in memory that the tests, which are processes, share. */
static struct count {
	unsigned long done;	/* completed, and compared with the CPU */
	unsigned long faults;	/* ended in an exception, likewise */
	unsigned long refused;	/* -EOPNOTSUPP */
	unsigned long skipped;	/* memory that is not the test's */
	unsigned long open;	/* the CPU did something else, and may */
} *counts;

static unsigned long undefined, unknown;

static bool has_avx;

/* Rows are found once, by the parent of all tests. */
__attribute__((constructor))
static void rows_init(void)
{
	counts = mmap(NULL, ROWS_MAX * sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	has_avx = __builtin_cpu_supports("avx");
	rnd_seed(0);
	find_rows();
}

static struct count *count_of(const struct x86_insn *insn)
{
	return &counts[insn_row_of(insn) - insn_rows];
}

/* --- Making a case ----------------------------------------------------------- */

static u64 size_mask(unsigned int bytes)
{
	return bytes >= 8 ? ~0ull : (1ull << 8 * bytes) - 1;
}

/* Zeroes, ones, the ends of the ranges and anything. */
static u64 random_value(void)
{
	static const u64 ends[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, -1ull, -2ull,
	};
	u64 val = rnd();

	switch (val & 7) {
	case 0:
	case 1:
		return ends[(val >> 8) % ARRAY_LEN(ends)];
	case 2:
		return (val >> 32) & 0x3f;
	case 3:
		return val >> (val >> 8 & 0x3f);
	default:
		return val;
	}
}

static u64 random_la(unsigned int size)
{
	u64 la = DATA + rnd() % DATA_SIZE;
	unsigned int what = rnd_below(100);

	if (!is_writable(la) && what >= 15)
		la = DATA + rnd() % DATA_SIZE;
	if (!is_writable(la) && what >= 15)
		la = DATA + rnd() % DATA_SIZE;

	/* Page boundaries are where the interesting things are. */
	if (what < 15)
		return (la & ~4095ull) - rnd_below(size + 2);
	if (what < 70)
		return la & -(u64)(size ? size : 1);
	return la;
}

static u64 seg_base(const struct vcpu *v, unsigned int seg)
{
	return v->mode != X86_MODE_64 || seg >= X86_SEG_FS ? v->seg[seg].base : 0;
}

/* An offset in @seg for an operand of @size bytes. */
static u64 random_ea(const struct vcpu *v, unsigned int seg, unsigned int size)
{
	const struct x86_segment *s = &v->seg[seg];
	unsigned int what = rnd_below(100);
	u64 base = seg_base(v, seg);

	if (v->mode == X86_MODE_64) {
		if (what >= 96)
			return (rnd_percent(50) ? 0x800000000000 : 0xffff800000000000) -
			       base - size + rnd_below(2 * size + 1);
	} else if (what >= 93) {
		return s->limit - size + rnd_below(2 * size + 1);
	} else if (what >= 91) {
		return rnd_percent(50) ? rnd_below(9) : 0xffff - rnd_below(size + 1);
	} else if (what >= 90) {
		return 0xffffffff - rnd_below(size + 1);
	}
	return random_la(size) - base;
}

/*
 * Point the operand to @ea: by the base register, else by writing the displacement into the
 * bytes. It cannot always be done.
 */
static void aim(struct vcpu *v, u8 *bytes, struct x86_insn *insn, const struct x86_cpu *cpu,
		u64 ea)
{
	const struct x86_mem *mem = &insn->mem;
	u64 now = x86_insn_ea(insn, cpu);
	unsigned int pos, size;
	struct x86_insn again;

	if (mem->base != X86_GPR_NONE && mem->base != mem->index) {
		v->r.gpr[mem->base] += ea - now;
		return;
	}
	ea = mem->disp + ea - now;
	size = insn->flags & X86_INSN_MODRM && insn->addr_size == 8 ? 4 : insn->addr_size;
	for (pos = 1; pos + size <= insn->len; pos++) {
		u8 copy[16];

		memcpy(copy, bytes, 15);
		memcpy(copy + pos, &ea, size);
		if (!x86_decode(copy, 15, insn->mode, &again) &&
		    again.row == insn->row && again.len == insn->len &&
		    !((again.mem.disp ^ ea) & size_mask(insn->addr_size))) {
			memcpy(bytes, copy, 15);
			*insn = again;
			return;
		}
	}
}

static unsigned int mem_size(const struct x86_insn *insn)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(insn->opnd); i++)
		if (insn->opnd[i].kind == X86_OPND_MEM)
			return insn->opnd[i].size;
	return 0;
}

static bool has_kind(const struct x86_insn *insn, unsigned int kind)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(insn->opnd); i++)
		if (insn->opnd[i].kind == kind)
			return true;
	return false;
}

static void random_counter(struct vcpu *v, const struct x86_insn *insn)
{
	u64 mask = size_mask(insn->addr_size);
	u64 *rcx = &v->r.gpr[X86_GPR_RCX];
	unsigned int what = rnd_below(100);
	u64 count = what < 10 ? 0 : what < 98 ? rnd_below(12) : rnd_below(100000);

	*rcx = (*rcx & ~mask) | (count & mask);
}

static void prepare_string(struct vcpu *v, const struct x86_insn *insn)
{
	u8 same[64];

	v->r.gpr[X86_GPR_RSI] = random_ea(v, insn->mem.seg, insn->op_size);
	v->r.gpr[X86_GPR_RDI] = random_ea(v, X86_SEG_ES, insn->op_size);
	if (insn->flags & (X86_INSN_REP | X86_INSN_REPNE))
		random_counter(v, insn);
	/* CMPS and SCAS that find equal ones. */
	if (rnd_percent(40)) {
		memset(same, rnd(), sizeof(same));
		if (insn->op == X86_OP_SCAS && rnd_percent(60))
			memset(&v->r.gpr[X86_GPR_RAX], same[0], 8);
		poke(seg_base(v, insn->mem.seg) + v->r.gpr[X86_GPR_RSI] - 32, same, 64);
		poke(seg_base(v, X86_SEG_ES) + v->r.gpr[X86_GPR_RDI] - 32, same, 64);
	}
}

/* An offset in CS to jump to: a pad, or something that cannot be. */
static u64 random_target(const struct vcpu *v)
{
	u64 base = seg_base(v, X86_SEG_CS);

	if (rnd_percent(75))
		return NATIVE_CODE + rnd_below(NATIVE_PADS) * NATIVE_PAD_SIZE - base;
	if (rnd_percent(30))
		return 0x800000000000 - rnd_below(2);
	return random_value();
}

static u16 random_selector(void)
{
	return rnd_percent(10) ? rnd_below(4) :
	       rnd_below(rnd_percent(80) ? 6 : 20) << 3 | 4 | (rnd_percent(85) ? 3 : rnd_below(4));
}

/* Give the operand that @insn takes (register, memory or top of stack) this value. */
static void set_source(struct vcpu *v, const struct x86_insn *insn, u64 la, u64 val)
{
	unsigned int i;

	if (insn->op == X86_OP_POP || insn->op == X86_OP_RET) {
		la = seg_base(v, X86_SEG_SS) + v->r.gpr[X86_GPR_RSP];
		poke(v->mode == X86_MODE_64 ? la : (u32)la, &val, 8);
		return;
	}
	poke(la, &val, 8);
	for (i = 0; i < ARRAY_LEN(insn->opnd); i++)
		if (insn->opnd[i].kind == X86_OPND_REG)
			v->r.gpr[insn->opnd[i].reg] = val;
}

/* A dividend of which the quotient just fits, or just does not. */
static void prepare_quotient(struct vcpu *v, const struct x86_insn *insn, u64 la)
{
	unsigned int size = insn->op_size, bits = 8 * size;
	u64 mask = size_mask(size), divisor = random_value() & mask;
	u64 *rax = &v->r.gpr[X86_GPR_RAX], *rdx = &v->r.gpr[X86_GPR_RDX];
	__uint128_t dividend = divisor;

	set_source(v, insn, la, divisor);
	if (insn->op == X86_OP_IDIV)
		dividend = (__int128_t)((s64)(divisor << (64 - bits)) >> (64 - bits));
	dividend <<= insn->op == X86_OP_IDIV ? bits - 1 : bits;
	if (rnd_percent(50))
		dividend = -dividend;
	if (rnd_percent(30))
		dividend += rnd_percent(50) ? divisor : -divisor;
	dividend += rnd_below(5) - 2ll;
	if (size == 1) {
		*rax = (*rax & ~0xffffull) | (u16)dividend;
		return;
	}
	*rax = (*rax & ~mask) | ((u64)dividend & mask);
	*rdx = (*rdx & ~mask) | ((u64)(dividend >> bits) & mask);
}

static void prepare_division(struct vcpu *v, const struct x86_insn *insn, u64 la)
{
	unsigned int what = rnd_below(7);

	if (what < 2)
		v->r.gpr[X86_GPR_RDX] = what ? 0 : (u64)((s64)v->r.gpr[X86_GPR_RAX] >> 63);
	else if (what < 3)
		v->r.gpr[X86_GPR_RDX] >>= 40 + rnd_below(24);
	else if (what < 5)
		prepare_quotient(v, insn, la);
	/* AX for byte operands */
	else if (what < 6)
		v->r.gpr[X86_GPR_RAX] = (s64)(s8)v->r.gpr[X86_GPR_RAX];
}

/* What random registers alone would not do often enough. */
static void prepare_by_op(struct vcpu *v, const struct x86_insn *insn, u64 la)
{
	u64 val[2];

	switch (insn->op) {
	case X86_OP_CALL:
	case X86_OP_JMP:
	case X86_OP_RET:
		set_source(v, insn, la, random_target(v));
		return;
	case X86_OP_DIV:
	case X86_OP_IDIV:
		prepare_division(v, insn, la);
		return;
	case X86_OP_CMPXCHG:
	case X86_OP_CMPXCHG8B:
		if (!in_data(la) || !in_data(la + 15) || rnd_percent(50))
			break;
		memcpy(val, shadow + (la - DATA), 16);
		v->r.gpr[X86_GPR_RAX] = val[0];
		v->r.gpr[X86_GPR_RDX] = insn->op_size == 8 ? val[1] : val[0] >> 32;
		return;
	default:
		break;
	}
	if (insn->opnd[0].kind == X86_OPND_SEG) {
		set_source(v, insn, la, (rnd() & ~0xffffull) | random_selector());
	} else if (rnd_percent(60)) {
		val[0] = random_value();
		val[1] = random_value();
		poke(la, val, mem_size(insn) < 16 ? mem_size(insn) : 16);
	}
}

static bool uses_stack(const struct x86_insn *insn)
{
	return insn->op == X86_OP_PUSH || insn->op == X86_OP_POP ||
	       insn->op == X86_OP_CALL || insn->op == X86_OP_RET;
}

/* Registers and memory for @insn; the linear address of its operand, if it has one. */
static u64 prepare(struct vcpu *v, u8 *bytes, struct x86_insn *insn, const struct x86_cpu *cpu)
{
	unsigned int size = mem_size(insn);
	u64 la = 0, *bit;

	if (uses_stack(insn))
		v->r.gpr[X86_GPR_RSP] = random_ea(v, X86_SEG_SS, insn->op_size);
	if (insn->flags & X86_INSN_STRING) {
		prepare_string(v, insn);
		la = seg_base(v, insn->mem.seg) + x86_insn_ea(insn, cpu);
		return v->mode == X86_MODE_64 ? la : (u32)la;
	}
	if (size) {
		/* A bit offset can lead anywhere: seldom far away. */
		if (insn->op >= X86_OP_BT && insn->op <= X86_OP_BTC &&
		    insn->opnd[1].kind == X86_OPND_REG && rnd_percent(90)) {
			bit = &v->r.gpr[insn->opnd[1].reg];
			*bit = (u64)((s64)rnd_below(80000) - 40000) |
			       (rnd_percent(20) ? *bit << 32 : 0);
		}
		aim(v, bytes, insn, cpu, random_ea(v, insn->mem.seg, size));
		la = seg_base(v, insn->mem.seg) + x86_insn_ea(insn, cpu);
		if (v->mode != X86_MODE_64)
			la = (u32)la;
	}
	prepare_by_op(v, insn, la);
	return la;
}

static void random_regs(struct vcpu *v)
{
	unsigned int i;
	u64 flags = rnd();

	for (i = 0; i < 16; i++) {
		v->r.gpr[i] = rnd_percent(60) ? random_value() : rnd();
		if (v->mode != X86_MODE_64)
			v->r.gpr[i] = i < 8 ? (u32)v->r.gpr[i] : 0;
	}
	/* One is enough: they keep what they had. */
	for (i = 0; i < sizeof(struct x86_vec); i += 8) {
		u64 val = rnd();

		memcpy(v->r.vec[flags >> 60].b + i, &val, 8);
	}
	if (v->mode != X86_MODE_64)
		memset(&v->r.vec[8], 0, 8 * sizeof(v->r.vec[8]));
	v->r.mmx[flags >> 57 & 7] = rnd();
	v->r.rflags = (flags & FL_STATUS) | 2;
	if (flags >> 20 & 1)
		v->r.rflags |= FL_DF;
	if (!(flags >> 21 & 15))
		v->r.rflags |= FL_AC;
}

/* --- One case ---------------------------------------------------------------- */

/* What must come out beside registers and memory. */
struct expect {
	u32 landed;
	u32 trap;
	u32 error_code;
	u64 cr2;
};

enum verdict { COMPARE, SKIP, WRONG };

static enum verdict expect_fault(const struct x86_fault *fault, struct expect *e)
{
	e->landed = NATIVE_FAULT;
	e->trap = fault->vector;
	e->error_code = fault->has_error_code ? fault->error_code : 0;
	e->cr2 = fault->vector == X86_VEC_PF ? fault->address : 0;
	return COMPARE;
}

/* Where the CPU is caught after it has completed the instruction. */
static enum verdict expect_rip(const struct vcpu *v, u64 la, unsigned int len,
			       struct expect *e)
{
	u64 at = v->r.rip + seg_base(v, X86_SEG_CS);
	u64 pad = (at - NATIVE_CODE) / NATIVE_PAD_SIZE;

	if (v->mode != X86_MODE_64)
		at = (u32)at;
	e->trap = TRAP_NONE;
	if (at == la + len && at < NATIVE_CODE_END) {
		e->landed = NATIVE_NEXT;
		return COMPARE;
	}
	if (pad < NATIVE_PADS && at % NATIVE_PAD_SIZE == 0) {
		e->landed = pad;
		return COMPARE;
	}
	e->landed = NATIVE_FAULT;
	e->trap = X86_VEC_PF;
	e->cr2 = at;
	e->error_code = 0x14;
	if (in_data(at))
		e->error_code |= !is_hole((at - DATA) / 4096);
	else if (at >= 0x7ffffffff000)
		e->error_code |= 1;
	else if (is_taken(at))
		return SKIP;
	return COMPARE;
}

/*
 * One call; now and then one that a callback breaks off, which must change nothing, and after which
 * the data of a read are known.
 */
static int emulate(struct vcpu *v, const struct x86_emul *emul, const struct x86_insn *insn,
		   struct x86_fault *fault, bool *wrong)
{
	struct x86_emul e = *emul;
	struct regs before;
	int ret;

	v->wrote = false;
	v->late = false;
	v->done = false;
	v->value_size = 0;
	e.rflags = v->r.rflags;
	if (rnd_percent(3)) {
		before = v->r;
		v->fail_in = 1 + rnd_below(3);
		ret = x86_emulate(&e, insn, fault);
		v->fail_in = 0;
		if (ret != -EIO && ret != -EAGAIN)
			return ret;
		*wrong |= v->wrote || memcmp(&before, &v->r, sizeof(before));
		if (v->foreign)
			return ret;
		v->late = false;
		e.value = v->value;
		e.value_size = v->value_size;
	}
	return x86_emulate(&e, insn, fault);
}

/* Execute it here: registers and shadow change. */
static enum verdict predict(struct vcpu *v, const struct x86_emul *emul,
			    const struct x86_insn *insn, u64 la, struct expect *e)
{
	struct x86_fault fault = { .vector = 0xee };
	bool wrong = false;
	unsigned int i;
	u64 rip = v->r.rip;
	int ret;

	v->foreign = false;
	v->at = 0;
	v->lo = ~0ull;
	v->hi = 0;
	for (i = 0; i < DATA_SIZE; i++) {
		ret = emulate(v, emul, insn, &fault, &wrong);
		if (wrong || v->late)
			return WRONG;
		if (v->foreign)
			return SKIP;
		if (ret == -EINVAL) {
			if (v->r.rip != rip)
				return WRONG;
			return expect_fault(&fault, e);
		}
		if (ret == -EOPNOTSUPP) {
			count_of(insn)->refused++;
			return SKIP;
		}
		if (ret)
			return WRONG;
		if (v->done)
			return expect_rip(v, la, insn->len, e);
		if (v->r.rip != rip || !(v->r.rflags & FL_RF))
			return WRONG;
	}
	return SKIP;
}

/*
 * An operand that wraps round the end of a 4 GByte segment: the manual leaves open whether it
 * faults ("Limit Checking"). AMD processors do fault, and so does the emulator.
 */
static bool is_wrap(const struct vcpu *v, const struct expect *e)
{
	unsigned int i;

	if (is_amd() || v->mode == X86_MODE_64 ||
	    (e->trap != X86_VEC_GP && e->trap != X86_VEC_SS))
		return false;
	for (i = 0; i < 6; i++)
		if (v->seg[i].limit == 0xffffffff)
			return true;
	return false;
}

static bool is_canonical(u64 ea)
{
	return (u64)((s64)(ea << 16) >> 16) == ea;
}

/*
 * Differences that the manuals leave to the processor, mostly where an exception is raised for
 * more than one reason.
 */
static bool is_open(const struct vcpu *v, const struct x86_insn *insn, const struct expect *e,
		    const struct regs *before, u64 ea)
{
	bool both = e->landed == NATIVE_FAULT && native->landed == NATIVE_FAULT &&
		    v->r.rip == before->rip && native->rip == before->rip;
	bool one = e->landed == NATIVE_FAULT || native->landed == NATIVE_FAULT;
	bool seg = insn->opnd[0].kind == X86_OPND_SEG;

	/* Which of two operands, or of operand, stack and target of a jump, is looked at first. */
	if (both && (insn->op == X86_OP_CMPS || insn->op == X86_OP_CALL))
		return true;
	/* The same of the alignment and the limit of one operand. */
	if (both && (insn->flags & X86_INSN_ALIGN || insn->op == X86_OP_CMPXCHG8B))
		return true;
	/* How many bytes of the stack a selector takes: those of the operand, or two ("PUSH"). */
	if (seg && (insn->op == X86_OP_PUSH || insn->op == X86_OP_POP) && insn->op_size > 2)
		return insn->op == X86_OP_PUSH ? insn->op_size == 4 : one;
	/* AMD: #AC for operands of any size; Intel: of eight bytes and less. */
	if (mem_size(insn) > 8 && (native->trap == X86_VEC_AC || e->trap == X86_VEC_AC))
		return true;
	/* AMD: the offset, too, must be canonical when the segment has a base. */
	if (v->mode == X86_MODE_64 && insn->mem.seg >= X86_SEG_FS &&
	    native->landed == NATIVE_FAULT && native->trap == X86_VEC_GP)
		return !is_canonical(ea) || !is_canonical(v->at - v->seg[insn->mem.seg].base);
	return false;
}

/* Intel's processors may take a LOCK across cache lines ill ("split lock"). */
static bool is_split_lock(const struct x86_insn *insn, u64 la)
{
	return (insn->flags & X86_INSN_LOCK || insn->op == X86_OP_XCHG) &&
	       la % 64 + mem_size(insn) > 64 && !is_amd();
}

static bool same_selector(u16 a, u16 b)
{
	/* An interrupt may turn one null selector into another. */
	return a == b || (a < 4 && b < 4);
}

static const char *difference(const struct vcpu *v, const struct expect *e, u64 rip)
{
	u64 mask = v->mode == X86_MODE_64 ? ~0ull : 0xffffffff;
	unsigned int nr = v->mode == X86_MODE_64 ? 16 : 8;
	unsigned int i;

	if (e->landed != native->landed || e->trap != native->trap)
		return "exception or way out";
	if (e->trap != TRAP_NONE) {
		if (e->error_code != native->error_code)
			return "error code";
		if (e->trap == X86_VEC_PF && e->cr2 != native->cr2)
			return "CR2";
		if (v->r.rip != native->rip)
			return "RIP";
	}
	for (i = 0; i < nr; i++)
		if ((v->r.gpr[i] ^ native->gpr[i]) & mask)
			return "general register";
	if ((v->r.rflags ^ native->rflags) & FL_NATIVE)
		return "flags";
	if (e->landed != NATIVE_FAULT && v->r.rflags & FL_RF)
		return "RF is not cleared";
	if (memcmp(v->r.vec, native->vec, sizeof(v->r.vec)))
		return "vector register";
	if (native->flags & NATIVE_MMX && memcmp(v->r.mmx, native->mmx, sizeof(v->r.mmx)))
		return "MMX register";
	for (i = 0; i < 6; i++)
		if (i != X86_SEG_CS && !same_selector(v->r.sel[i], native->sel[i]))
			return "selector";
	return NULL;
}

static void complain(const char *what, const u8 *bytes, const struct x86_insn *insn, int ret,
		     const struct expect *e, const struct vcpu *v, const struct regs *before)
{
	struct text text = { .len = 0 };
	unsigned int i;

	for (i = 0; i < insn->len; i++)
		text_add(&text, "%02x ", bytes[i]);
	diag("%s: %u: %s: decode %d", what, v->mode, text.buf, ret);
	if (!ret) {
		insn_text(insn, &text);
		diag("  %s", text.buf);
	}
	diag("  emulator: exit %u, #%u error %x cr2 %llx rip %llx flags %llx", e->landed,
	     e->trap, e->error_code, e->cr2, v->r.rip, v->r.rflags);
	diag("  CPU:      exit %u, #%u error %x cr2 %llx rip %llx flags %llx", native->landed,
	     native->trap, native->error_code, native->cr2, native->rip, native->rflags);
	diag("  before: rip %llx flags %llx", before->rip, before->rflags);
	for (i = 0; i < 16; i++)
		diag("  register %2u: before %16llx, emulator %16llx, CPU %16llx%s", i,
		     before->gpr[i], v->r.gpr[i], native->gpr[i],
		     v->r.gpr[i] != native->gpr[i] ? " <--" : "");
	for (i = 0; i < 32; i++) {
		const u64 *a = (u64 *)v->r.vec + 2 * i, *b = (u64 *)native->vec + 2 * i;

		if (a[0] != b[0] || a[1] != b[1])
			diag("  vector %u, half %u: emulator %016llx%016llx, CPU %016llx%016llx",
			     i / 2, i % 2, a[1], a[0], b[1], b[0]);
	}
	for (i = 0; i < 6; i++)
		diag("  segment %u: selector %x, CPU %x, base %llx limit %x ar %x", i,
		     v->r.sel[i], native->sel[i], v->seg[i].base, v->seg[i].limit,
		     v->seg[i].ar);
}

/* INS and OUTS need I/O privilege: STOS and LODS do the same but for the port. */
static void replace_port_io(u8 *bytes, const struct x86_insn *insn)
{
	u8 *opcode = &bytes[insn->len - 1];
	unsigned int i;

	/* No quadwords there. */
	for (i = 0; i + 1 < insn->len && insn->mode == X86_MODE_64; i++) {
		if (insn->op_size == 8 && bytes[i] == 0x66)
			bytes[i] = 0x3e;
		else if ((bytes[i] & 0xf8) == 0x48)
			bytes[i] &= 0xf7;
	}
	*opcode += *opcode < 0x6e ? 0xaa - 0x6c : 0xac - 0x6e;
}

static void to_native(const struct vcpu *v, const struct x86_insn *insn)
{
	memcpy(native->gpr, v->r.gpr, sizeof(v->r.gpr));
	memcpy(native->vec, v->r.vec, sizeof(v->r.vec));
	memcpy(native->mmx, v->r.mmx, sizeof(v->r.mmx));
	memcpy(native->sel, v->r.sel, sizeof(v->r.sel));
	native->rflags = (v->r.rflags & FL_NATIVE) | 0x202;
	native->flags &= ~NATIVE_MMX;
	if (has_kind(insn, X86_OPND_MMX))
		native->flags |= NATIVE_MMX;
}

/* One case; false when the CPU disagrees. */
static bool one_case(struct vcpu *v, const struct x86_emul *emul, struct x86_cpu *cpu,
		     const struct insn_row *row)
{
	struct x86_insn insn;
	struct expect e = { 0 };
	enum verdict verdict = COMPARE;
	const char *what = NULL;
	struct regs before;
	struct count *count;
	u64 la, operand = 0;
	u8 bytes[24];
	u16 cs = v->r.sel[X86_SEG_CS];
	int ret;

	random_insn_of(bytes, row, v->mode);
	random_regs(v);
	ret = x86_decode(bytes, 15, v->mode, &insn);
	if (ret == -EOPNOTSUPP || ret == -EAGAIN) {
		unknown++;
		return true;
	}
	if (ret)
		insn.len = 15;
	la = native_place(insn.len, rnd_percent(4), rnd());
	v->r.rip = la - seg_base(v, X86_SEG_CS);
	cpu->rip = v->r.rip;
	if (!ret && ((insn.mem.seg >= X86_SEG_FS && !native_has_fsgsbase) ||
		     (insn.flags & X86_INSN_VEX && !has_avx)))
		return true;
	if (!ret)
		operand = prepare(v, bytes, &insn, cpu);
	if (!ret && is_split_lock(&insn, operand))
		return true;

	before = v->r;
	to_native(v, &insn);
	v->r.rflags |= rnd() & FL_RF;
	if (ret) {
		undefined++;
		expect_fault(&insn.fault, &e);
	} else {
		verdict = predict(v, emul, &insn, la, &e);
	}
	count = ret ? NULL : count_of(&insn);
	if (verdict == SKIP || is_wrap(v, &e)) {
		memory_equal(v->lo, v->hi);
		count->skipped++;
		goto out;
	}
	if (verdict == WRONG) {
		what = "changed something and then failed, or returned nonsense";
		memory_equal(v->lo, v->hi);
	} else {
		if (insn.op == X86_OP_INS || insn.op == X86_OP_OUTS)
			replace_port_io(bytes, &insn);
		native_run(bytes, insn.len, v->mode, la, before.rip, cs);
		what = difference(v, &e, before.rip);
		if ((!ret && !memory_equal(v->lo - 64, v->hi + 64)) ||
		    !memory_equal(operand - 64, operand + 96))
			what = what ? what : "memory";
		/* Too long and undefined at the same time. */
		if (ret && native->trap == X86_VEC_UD && e.trap == X86_VEC_GP)
			what = NULL;
		if (what && !ret && is_open(v, &insn, &e, &before,
					    operand - seg_base(v, insn.mem.seg))) {
			what = NULL;
			count->open++;
			goto out;
		}
	}
	if (what)
		complain(what, bytes, &insn, ret, &e, v, &before);
	else if (count && e.landed == NATIVE_FAULT && v->r.rip == before.rip)
		count->faults++;
	else if (count)
		count->done++;
out:
	memcpy(v->r.sel, before.sel, sizeof(before.sel));
	return !what;
}

/* --- Segments ---------------------------------------------------------------- */

static const u32 limits[] = {
	0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xfffff, 0xfffff, 0xffff, 0x1fff, 0x1234,
	0xfff, 7, 0,
};

static const u64 bases[] = {
	0, DATA, DATA, DATA + 0x1234, DATA + 0x10000, DATA - 0x7fff0000,
};

static int set_ldt(struct vcpu *v, unsigned int entry, struct user_desc *d)
{
	struct x86_segment *s = &v->seg[entry];

	s->base = d->base_addr;
	s->limit = d->limit_in_pages ? d->limit << 12 | 0xfff : d->limit;
	s->ar = X86_AR_P | X86_AR_S | 3 << 5 | 1;
	if (d->contents == 2)
		s->ar |= X86_AR_CODE;
	if (d->contents == 1)
		s->ar |= X86_AR_DOWN;
	if (!d->read_exec_only)
		s->ar |= X86_AR_WR;
	if (d->seg_32bit)
		s->ar |= X86_AR_DB;
	v->r.sel[entry] = entry << 3 | 7;
	v->ldt_usable[entry] = true;
	return syscall(SYS_modify_ldt, 0x11, d, sizeof(*d));
}

/* A random segment in LDT entry @entry, and the same for the emulator. */
static int random_segment(struct vcpu *v, unsigned int entry)
{
	bool stack = entry == X86_SEG_SS;
	u32 limit = RND_PICK(limits);
	struct user_desc d = {
		.entry_number = entry,
		.base_addr = RND_PICK(bases),
		.seg_32bit = rnd_percent(50),
		.useable = 1,
	};

	/* Data, data expand-down, code; readable or writable, or not. */
	d.contents = stack ? rnd_percent(15) : rnd_percent(60) ? 0 : rnd_below(3);
	d.read_exec_only = !stack && rnd_percent(20) && d.contents != 2;
	d.limit_in_pages = limit > 0xfffff;
	d.limit = d.limit_in_pages ? limit >> 12 : limit;
	if (set_ldt(v, entry, &d))
		return -1;
	if (!stack && rnd_percent(10)) {
		/* Null, with any RPL. The entry stays what it is, for MOV. */
		v->r.sel[entry] = rnd_below(4);
		v->ldt_usable[entry] = false;
		v->seg[entry] = (struct x86_segment) { .ar = X86_AR_UNUSABLE };
		d = (struct user_desc) { .entry_number = entry, .read_exec_only = 1,
					 .seg_not_present = 1 };
		return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
	}
	return 0;
}

static int random_code_segment(struct vcpu *v)
{
	struct user_desc d = {
		.entry_number = X86_SEG_CS,
		.base_addr = NATIVE_CODE,
		.limit = 0x1fff,
		.contents = 2,
		.seg_32bit = v->mode == X86_MODE_32,
		.read_exec_only = rnd_percent(25),
		.useable = 1,
	};

	/* Data can be read through CS when it is flat. */
	if (v->mode == X86_MODE_32 && rnd_percent(50)) {
		d.base_addr = 0;
		d.limit = 0xfffff;
		d.limit_in_pages = 1;
	}
	return set_ldt(v, X86_SEG_CS, &d);
}

/* For 64-bit mode they are there to be loaded only. */
static int random_segments(struct vcpu *v)
{
	static const u64 far_bases[] = {
		0, DATA, DATA - 0x1234567, 0x7fffffff0000, 0xfffff00000001000ull,
	};
	unsigned int i;

	memset(v->r.sel, 0, sizeof(v->r.sel));
	for (i = 0; i < 6; i++)
		if (i == X86_SEG_CS ? random_code_segment(v) : random_segment(v, i))
			return -1;
	if (!native_has_fsgsbase) {
		v->r.sel[X86_SEG_FS] = 0;
		v->seg[X86_SEG_FS].ar |= X86_AR_UNUSABLE;
	}
	if (v->mode != X86_MODE_64)
		return 0;
	memset(v->r.sel, 0, sizeof(v->r.sel));
	v->r.sel[X86_SEG_CS] = native_cs64();
	v->r.sel[X86_SEG_SS] = native_ss64();
	native->fs_base = v->seg[X86_SEG_FS].base = RND_PICK(far_bases);
	native->gs_base = v->seg[X86_SEG_GS].base = RND_PICK(far_bases);
	return 0;
}

/*
 * What x86_emulate() is not for: what makes a guest exit by itself. IN and OUT are, but a
 * program of user mode must not; INS and OUTS see replace_port_io().
 */
static bool is_executed(enum x86_op op)
{
	switch (op) {
	case X86_OP_MOV:
	case X86_OP_MOVSX:
	case X86_OP_MOVZX:
	case X86_OP_INS:
	case X86_OP_OUTS:
		return true;
	default:
		return op >= X86_OP_ADD;
	}
}

/* A row that has forms in this mode and is for the emulator. */
static const struct insn_row *random_row(unsigned int mode)
{
	const struct insn_row *row;

	do
		row = &insn_rows[rnd_below(insn_rows_nr)];
	while (!row_has_forms(row, mode) || !is_executed(row->op));
	return row;
}

/* --- The tests --------------------------------------------------------------- */

FIXTURE(cpu) {
};

FIXTURE_VARIANT(cpu) {
	enum x86_mode mode;
	unsigned long cases;
};

FIXTURE_VARIANT_ADD(cpu, mode64) {
	.mode = X86_MODE_64, .cases = 600000,
};

FIXTURE_VARIANT_ADD(cpu, mode32) {
	.mode = X86_MODE_32, .cases = 330000,
};

FIXTURE_VARIANT_ADD(cpu, mode16) {
	.mode = X86_MODE_16, .cases = 270000,
};

FIXTURE_SETUP(cpu)
{
	ASSERT_EQ(0, native_init());
	ASSERT_EQ(0, data_init());
}

FIXTURE_TEARDOWN(cpu)
{
}

static u64 get_xcr0(void)
{
	u32 a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		return 0;
	asm("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a | (u64)d << 32;
}

/* Too slow a machine gets fewer cases. */
static bool more(unsigned long i, unsigned long cases)
{
	const char *seconds = getenv("SECONDS");

	if (seconds)
		return rnd_more_in(i, ~0ul, strtoul(seconds, NULL, 0));
	return rnd_more_in(i, cases, 90);
}

TEST_F_TIMEOUT(cpu, executes_the_same, 3600 * 24)
{
	unsigned long i, cases = rnd_cases(variant->cases);
	struct vcpu v = { .mode = variant->mode };
	struct x86_cpu cpu = {
		.ops = &cpu_ops, .priv = &v, .gpr = v.r.gpr, .mode = variant->mode, .prot = true,
	};
	struct x86_emul emul = {
		.ops = &emul_ops, .cpu = &cpu, .cr0 = 0x80050033, .cr4 = 0x40620,
		.xcr0 = get_xcr0(),
	};
	unsigned int bad = 0, m = mode_index(variant->mode);

	rnd_seed(variant->mode);
	diag("SEED=%s", getenv("SEED") ? getenv("SEED") : "1");
	if (random_segments(&v))
		SKIP(return, "modify_ldt: %s", strerror(errno));
	native_set_mode(variant->mode);
	for (i = 0; more(i, cases) && bad < BAD_MAX; i++) {
		if (i % 256 == 0)
			ASSERT_EQ(0, random_segments(&v));
		if (i % 1024 == 0)
			ASSERT_TRUE(memory_equal(DATA, DATA + DATA_SIZE));
		bad += !one_case(&v, &emul, &cpu, random_row(m));
	}
	EXPECT_TRUE(memory_equal(DATA, DATA + DATA_SIZE));
	EXPECT_EQ(0, bad);
	diag("%u bits: %lu cases, of which %lu undefined and %lu of no row", variant->mode, i,
	     undefined, unknown);
}

/* --- Length of all rows -------------------------------------------------------- */

static bool stops_in_fetch(u64 rip)
{
	return native->trap == TRAP_PF && native->rip == rip && native->cr2 == NATIVE_CODE_END;
}

/* Harmless in user mode, whatever the registers are. */
static bool may_execute(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL:
	case X86_OP_MONITOR:
	case X86_OP_MWAIT:
		return false;
	case X86_OP_INT:
		return insn->opcode != 0xcd || insn->imm != 0x80;
	default:
		/* What x86_emulate() executes: see above. */
		return !is_executed(insn->op) && !has_kind(insn, X86_OPND_MEM);
	}
}

/*
 * With its last byte missing, the CPU must ask for more; with all bytes it must not, whether it
 * executes the instruction or forbids it.
 */
TEST_F_TIMEOUT(cpu, has_the_length, 3600 * 24)
{
	unsigned long i, cases = rnd_cases(30000);
	struct vcpu v = { .mode = variant->mode };
	unsigned int bad = 0, m = mode_index(variant->mode);
	struct x86_insn insn;
	u8 bytes[24];
	u64 la, rip;
	u16 cs;
	int ret;

	rnd_seed(variant->mode + 1);
	if (random_segments(&v))
		SKIP(return, "modify_ldt: %s", strerror(errno));
	native_set_mode(variant->mode);
	cs = v.r.sel[X86_SEG_CS];
	for (i = 0; rnd_more(i, cases) && bad < BAD_MAX; i++) {
		const struct insn_row *row = &insn_rows[rnd_below(insn_rows_nr)];

		if (!row_has_forms(row, m))
			continue;
		random_insn_of(bytes, row, v.mode);
		ret = x86_decode(bytes, 15, v.mode, &insn);
		if (ret || (insn.flags & X86_INSN_VEX && !has_avx))
			continue;
		random_regs(&v);
		v.r.rflags &= ~FL_AC;
		if (insn.len > 1) {
			to_native(&v, &insn);
			la = native_place(insn.len - 1, true, 0);
			rip = la - seg_base(&v, X86_SEG_CS);
			native_run(bytes, insn.len - 1, v.mode, la, rip, cs);
			if (!stops_in_fetch(rip)) {
				bad++;
				diag("%u: %02x %02x %02x %02x...: %s is shorter than %u",
				     v.mode, bytes[0], bytes[1], bytes[2], bytes[3],
				     insn.name, insn.len);
			}
		}
		if (!may_execute(&insn))
			continue;
		to_native(&v, &insn);
		la = native_place(insn.len, true, 0);
		rip = la - seg_base(&v, X86_SEG_CS);
		native_run(bytes, insn.len, v.mode, la, rip, cs);
		if (stops_in_fetch(rip)) {
			bad++;
			diag("%u: %02x %02x %02x %02x...: %s is longer than %u", v.mode,
			     bytes[0], bytes[1], bytes[2], bytes[3], insn.name, insn.len);
		}
	}
	EXPECT_EQ(0, bad);
}

/* --- Coverage ---------------------------------------------------------------- */

FIXTURE(coverage) {
};

FIXTURE_SETUP(coverage)
{
}

FIXTURE_TEARDOWN(coverage)
{
}

/* After the others: fixtures run in their order, and before them plain tests. */
TEST_F(coverage, every_row_completes)
{
	static const char *const map[] = { "", "0f ", "0f 38 ", "0f 3a " };
	unsigned long cases = 0, done = 0, skipped = 0;
	unsigned int i, missing = 0, rows = 0;

	for (i = 0; i < insn_rows_nr; i++)
		cases += counts[i].done + counts[i].faults;
	if (!cases)
		SKIP(return, "no test has run before");
	for (i = 0; i < insn_rows_nr; i++) {
		const struct insn_row *r = &insn_rows[i];
		const struct count *c = &counts[i];

		if (!is_executed(r->op))
			continue;
		rows++;
		done += c->done;
		skipped += c->skipped;
		diag("  %s%s%02x %s: %lu completed, %lu exceptions, %lu left out, %lu open",
		     r->key & 1 ? "VEX " : "", map[r->map], r->opcode, r->name, c->done,
		     c->faults, c->skipped, c->open);
		if (!c->done && (has_avx || !(r->key & 1))) {
			missing++;
			diag("no case of %s %02x has completed (%lu times not supported)",
			     r->name, r->opcode, c->refused);
		}
	}
	diag("%u rows, %lu cases compared, %lu completed, %lu left out", rows, cases, done,
	     skipped);
	EXPECT_EQ(0, missing);
	/* Left out is what would be a mistake of the test in large numbers. */
	EXPECT_GT(cases / 3, skipped);
}

TEST_HARNESS_MAIN
