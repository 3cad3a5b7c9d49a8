// SPDX-License-Identifier: GPL-2.0
/*
 * The MMIO emulator: the CPU of this machine executes the same instruction on
 * the same registers and memory, and everything that can be seen must be equal:
 * registers, memory, length, the exception and its address.
 *
 * 64-bit mode, and 16- and 32-bit protected mode by segments in the LDT. Real
 * mode, which user mode does not have, is tested by rows.
 */
#include "kselftest_harness.h"

#include <cpuid.h>
#include <errno.h>

#include "../../arch/x86/mmio_op.h"
#include "insn_random.h"
#include "insn_text.h"
#include "native.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * Memory for operands: pages that can be written, that can be read and holes.
 * The first page is the first byte of many segments.
 */
#define DATA		0x30000000ul
#define DATA_PAGES	32
#define DATA_SIZE	(DATA_PAGES * 4096ul)

static u8 shadow[DATA_SIZE];	/* what DATA must look like */

static bool is_hole(unsigned int page)
{
	return page % 5 == 4;
}

static bool is_readonly(unsigned int page)
{
	return page % 7 == 6;
}

static int data_init(void)
{
	unsigned int i;

	if (mmap((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    (void *)DATA)
		return -1;
	for (i = 0; i < DATA_SIZE; i++)
		shadow[i] = rnd();
	memcpy((void *)DATA, shadow, DATA_SIZE);
	for (i = 0; i < DATA_PAGES; i++) {
		void *page = (void *)(DATA + i * 4096);

		if (is_hole(i) && munmap(page, 4096))
			return -1;
		if (!is_hole(i) && is_readonly(i) &&
		    mprotect(page, 4096, PROT_READ))
			return -1;
	}
	return 0;
}

/* --- The vCPU as the emulator sees it ---------------------------------------- */

struct vcpu {
	u64 gpr[16];
	struct x86_segment seg[6];
};

static u64 get_gpr(void *priv, unsigned int reg)
{
	return ((struct vcpu *)priv)->gpr[reg];
}

static void set_gpr(void *priv, unsigned int reg, u64 val)
{
	((struct vcpu *)priv)->gpr[reg] = val;
}

static void get_segment(void *priv, unsigned int seg, struct x86_segment *out)
{
	*out = ((struct vcpu *)priv)->seg[seg];
}

static const struct x86_cpu_ops cpu_ops = {
	.get_gpr = get_gpr,
	.set_gpr = set_gpr,
	.get_segment = get_segment,
};

/* --- One case ---------------------------------------------------------------- */

struct expect {
	u32 trap;
	u64 rip;
	u64 cr2;
	bool compare_regs;
};

static u64 size_mask(unsigned int bytes)
{
	return bytes == 8 ? ~0ull : (1ull << 8 * bytes) - 1;
}

/* The register that can move the operand anywhere, if there is one. */
static int steering_reg(const struct x86_mem *mem)
{
	if (mem->base != X86_GPR_NONE && mem->base != mem->index)
		return mem->base;
	return -1;
}

static bool all_in_data(u64 la, unsigned int size)
{
	return la >= DATA && la + size <= DATA + DATA_SIZE;
}

/*
 * Point the operand to @ea: by the base register, else by writing the
 * displacement into the bytes.
 */
static bool aim(u8 *bytes, struct x86_insn *insn, const struct x86_cpu *cpu,
		u64 ea)
{
	struct vcpu *vcpu = cpu->priv;
	u64 now = x86_insn_ea(insn, cpu);
	int reg = steering_reg(&insn->mem);
	unsigned int pos, i, size;
	struct x86_insn again;

	if (reg >= 0) {
		vcpu->gpr[reg] += ea - now;
		return true;
	}
	ea = insn->mem.disp + ea - now;
	size = insn->mem.rip_rel || insn->opnd[0].kind == X86_OPND_NONE ? 4 :
	       insn->flags & X86_INSN_MODRM && insn->addr_size == 8 ? 4 :
	       insn->addr_size;
	for (pos = 1; pos + size <= insn->len; pos++) {
		u8 copy[16];

		memcpy(copy, bytes, 15);
		for (i = 0; i < size; i++)
			copy[pos + i] = ea >> 8 * i;
		if (!x86_decode(copy, 15, insn->mode, &again) &&
		    again.row == insn->row && again.len == insn->len &&
		    !((again.mem.disp ^ ea) & size_mask(insn->addr_size))) {
			memcpy(bytes, copy, 15);
			*insn = again;
			return true;
		}
	}
	return false;
}

static void predict_fault(const struct x86_fault *fault, struct expect *e)
{
	e->trap = fault->vector;
	e->compare_regs = true;
}

/* What the memory of this process does to the access. */
static bool predict_page_fault(const struct x86_mmio_op *op, struct expect *e)
{
	unsigned int i;

	for (i = 0; i < op->size; i++) {
		unsigned int page = (op->gla + i - DATA) / 4096;

		if (is_hole(page) || (op->is_write && is_readonly(page))) {
			e->trap = TRAP_PF;
			e->cr2 = op->gla + i;
			e->compare_regs = true;
			return true;
		}
	}
	return false;
}

static void execute(const struct x86_mmio_op *op, const struct x86_cpu *cpu)
{
	u64 data = 0;
	unsigned int i;

	for (i = 0; i < op->size; i++) {
		u8 *p = &shadow[op->gla + i - DATA];

		if (op->is_write)
			*p = op->value >> 8 * i;
		else
			data |= (u64)*p << 8 * i;
	}
	/* Above the size, anything may be in the caller's buffer. */
	data |= rnd() & ~size_mask(op->size);
	x86_mmio_complete(op, cpu, data);
}

/* Counted for the report; a test that skips all of one kind is no test. */
static struct {
	unsigned long done, faults, page_faults, undefined, skipped;
} count;

struct row_count {
	const void *row;
	const char *name;
	u8 opcode;
	unsigned long cases;
};

static struct row_count row_counts[64];

static void count_row(const struct x86_insn *insn)
{
	struct row_count *r = row_counts;

	while (r->row && r->row != insn->row)
		r++;
	r->row = insn->row;
	r->name = insn->name;
	r->opcode = insn->opcode;
	r->cases++;
}

/*
 * Predict: 1 when the CPU may be asked, 0 when the case would touch memory
 * that is not the test's. That it would must not be the emulator's mistake:
 * -1 when the operand, at @la, is where the test wanted it.
 */
static int predict(int ret, const struct x86_insn *insn,
		   const struct x86_cpu *cpu, u64 la, struct expect *e)
{
	struct x86_mmio_op op;
	struct x86_fault fault;

	memset(e, 0, sizeof(*e));
	e->rip = cpu->rip;
	if (ret == -EINVAL) {
		count.undefined++;
		predict_fault(&insn->fault, e);
		return 1;
	}

	ret = x86_emulate_mmio(insn, cpu, &op, &fault);
	if (ret == -EINVAL) {
		count.faults++;
		predict_fault(&fault, e);
		return 1;
	}
	if (ret == -EOPNOTSUPP) {
		/* Register to register: only the length can be compared. */
		if (insn->op != X86_OP_MOV && insn->op != X86_OP_MOVZX &&
		    insn->op != X86_OP_MOVSX)
			return 0;
		e->trap = TRAP_PF;
		e->rip = x86_next_rip(insn->mode, cpu->rip, insn->len);
		e->cr2 = NATIVE_CODE_END;
		return 1;
	}
	if (!all_in_data(op.gla, op.size)) {
		e->trap = TRAP_PF;
		e->cr2 = op.gla;
		return all_in_data(la, op.size) ||
		       (cpu->mode == X86_MODE_64 && la >> 47 && ~la >> 47) ?
		       -1 : 0;
	}
	e->compare_regs = true;
	if (predict_page_fault(&op, e)) {
		count.page_faults++;
		return 1;
	}
	execute(&op, cpu);
	count.done++;
	e->trap = TRAP_PF;
	e->rip = op.next_rip;
	e->cr2 = NATIVE_CODE_END;
	return 1;
}

static bool equal(const struct expect *e, const struct x86_cpu *cpu,
		  const struct native_state *native)
{
	const struct vcpu *vcpu = cpu->priv;
	u64 mask = cpu->mode == X86_MODE_64 ? ~0ull : 0xffffffff;
	unsigned int nr = cpu->mode == X86_MODE_64 ? 16 : 8;
	unsigned int i;

	if (e->trap != native->trap || e->rip != native->rip ||
	    (e->trap == TRAP_PF && e->cr2 != native->cr2))
		return false;
	for (i = 0; e->compare_regs && i < nr; i++)
		if ((vcpu->gpr[i] ^ native->gpr[i]) & mask)
			return false;
	return true;
}

static void complain(const u8 *bytes, const struct x86_insn *insn, int ret,
		     const struct expect *e, const struct x86_cpu *cpu,
		     const struct native_state *before,
		     const struct native_state *native)
{
	const struct vcpu *vcpu = cpu->priv;
	struct text text = { .len = 0 };
	unsigned int i;

	for (i = 0; i < 15; i++)
		text_add(&text, "%02x ", bytes[i]);
	diag("%u: %s: decode %d, length %u", cpu->mode, text.buf, ret,
	     insn->len);
	if (!ret) {
		insn_text(insn, &text);
		diag("  %s", text.buf);
	}
	diag("  expected trap %u rip+%lld cr2 %llx; CPU: trap %u rip+%lld error %x cr2 %llx",
	     e->trap, e->rip - cpu->rip, e->cr2, native->trap,
	     native->rip - cpu->rip, native->error_code, native->cr2);
	for (i = 0; i < 16; i++)
		if (vcpu->gpr[i] != native->gpr[i])
			diag("  register %u: before %llx, expected %llx, CPU %llx",
			     i, before->gpr[i], vcpu->gpr[i], native->gpr[i]);
	for (i = 0; i < 6; i++)
		diag("  segment %u: base %llx limit %x ar %x", i,
		     vcpu->seg[i].base, vcpu->seg[i].limit, vcpu->seg[i].ar);
}

/* Data pages that differ from the shadow; then they are made equal. */
static bool data_equal(void)
{
	unsigned int i;
	bool same = true;

	for (i = 0; i < DATA_PAGES; i++) {
		void *page = (void *)(DATA + i * 4096);

		if (is_hole(i) || !memcmp(page, shadow + i * 4096, 4096))
			continue;
		same = false;
		if (!is_readonly(i))
			memcpy(page, shadow + i * 4096, 4096);
	}
	return same;
}

/* The bytes around an operand: cheaper than all of them for each case. */
static bool near_equal(const struct x86_insn *insn, u64 la)
{
	u64 lo = la - DATA < DATA_SIZE ? (la & ~63ull) : DATA;
	unsigned int i;

	for (i = 0; i < 128; i++) {
		u64 off = lo - DATA + i;

		if (off >= DATA_SIZE || is_hole(off / 4096))
			continue;
		if (*(u8 *)(DATA + off) != shadow[off])
			return false;
	}
	return true;
}

static void random_target(const struct x86_cpu *cpu, struct x86_insn *insn,
			  u8 *bytes)
{
	struct vcpu *vcpu = cpu->priv;
	struct x86_segment *s = &vcpu->seg[insn->mem.seg];
	unsigned int what = rnd_below(100);
	u64 la = DATA + rnd() % DATA_SIZE;
	u64 base = cpu->mode != X86_MODE_64 || insn->mem.seg >= X86_SEG_FS ?
		   s->base : 0;
	u64 ea;

	/* Page boundaries are where the interesting things are. */
	if (what < 40)
		la = (la & ~4095ull) - rnd_below(9);
	ea = la - base;

	if (cpu->mode == X86_MODE_64) {
		if (what >= 90)
			ea = (rnd_percent(50) ? 0x800000000000 :
						0xffff800000000000) -
			     base - 8 + rnd_below(16);
	} else if (what >= 70) {
		/* Segment limits. */
		ea = s->limit - 8 + rnd_below(17);
	} else if (what >= 65) {
		ea = rnd_percent(50) ? rnd_below(9) : 0xffff - rnd_below(9);
	} else if (what >= 60) {
		ea = 0xffffffff - rnd_below(9);
	}
	aim(bytes, insn, cpu, ea);
}

static bool is_amd(void)
{
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	return b == signature_AMD_ebx;
}

/*
 * An operand that wraps round the end of a 4 GByte segment: the manual leaves
 * open whether it faults ("Limit Checking"). AMD processors do fault, and so
 * does the emulator.
 */
static bool is_open(const struct x86_insn *insn, const struct x86_cpu *cpu)
{
	const struct vcpu *vcpu = cpu->priv;
	unsigned int size = insn->opnd[0].kind == X86_OPND_MEM ?
			    insn->opnd[0].size : insn->opnd[1].size;

	return cpu->mode != X86_MODE_64 &&
	       vcpu->seg[insn->mem.seg].limit == 0xffffffff &&
	       x86_insn_ea(insn, cpu) + size > 0x100000000 && !is_amd();
}

/* One case; false when the CPU disagrees. */
static bool one_case(struct x86_cpu *cpu, const u16 *sel, bool mov_only)
{
	struct vcpu *vcpu = cpu->priv;
	bool long_mode = cpu->mode == X86_MODE_64;
	u32 cs_base = long_mode ? 0 : vcpu->seg[X86_SEG_CS].base;
	struct native_state native, before;
	struct x86_insn insn;
	struct expect e;
	u64 la = 0;
	unsigned int i;
	u8 bytes[16];
	int ret;

	random_insn(bytes, long_mode, mov_only);
	for (i = 0; i < 16; i++) {
		vcpu->gpr[i] = rnd();
		if (!long_mode)
			vcpu->gpr[i] = i < 8 ? (u32)vcpu->gpr[i] : 0;
	}
	ret = x86_decode(bytes, 15, cpu->mode, &insn);
	if (ret == -EOPNOTSUPP) {
		count.skipped++;
		return true;
	}
	if (ret == -EINVAL)
		insn.len = 15;
	cpu->rip = NATIVE_CODE_END - insn.len - cs_base;

	if (!ret && (insn.opnd[0].kind == X86_OPND_MEM ||
		     insn.opnd[1].kind == X86_OPND_MEM)) {
		if (insn.mem.seg == X86_SEG_FS) {
			count.skipped++;
			return true;
		}
		random_target(cpu, &insn, bytes);
		la = x86_insn_ea(&insn, cpu) +
		     (long_mode && insn.mem.seg < X86_SEG_FS ? 0 :
		      vcpu->seg[insn.mem.seg].base);
		if (!long_mode)
			la = (u32)la;
		if (is_open(&insn, cpu)) {
			count.skipped++;
			return true;
		}
	}

	memset(&before, 0, sizeof(before));
	memcpy(before.gpr, vcpu->gpr, sizeof(before.gpr));
	memcpy(before.sel, sel, sizeof(before.sel));
	native = before;

	switch (predict(ret, &insn, cpu, la, &e)) {
	case 0:
		count.skipped++;
		return true;
	case -1:
		complain(bytes, &insn, ret, &e, cpu, &before, &native);
		return false;
	}
	if (!ret)
		count_row(&insn);
	if (long_mode)
		native_run(bytes, insn.len, cs_base, &native);
	else
		native_run_segments(bytes, insn.len, cs_base, &native);
	if (!equal(&e, cpu, &native) || !near_equal(&insn, la)) {
		complain(bytes, &insn, ret, &e, cpu, &before, &native);
		data_equal();
		return false;
	}
	return true;
}

static void report(bool counts)
{
	struct row_count *r;

	if (counts)
		diag("%lu executed, %lu #GP or #SS, %lu #PF, %lu undefined or too long, %lu left out",
		     count.done, count.faults, count.page_faults,
		     count.undefined, count.skipped);
	for (r = row_counts; r->row; r++)
		diag("  %02x %s: %lu", r->opcode, r->name, r->cases);
	memset(&count, 0, sizeof(count));
	memset(row_counts, 0, sizeof(row_counts));
}

/* --- 64-bit mode ------------------------------------------------------------- */

TEST(cpu_64bit)
{
	static const u64 gs_bases[] = {
		0, DATA, DATA - 0x1234567, 0x7fffffff0000, 0xffff800000001000ull,
	};
	unsigned long i, cases = rnd_cases(200000);
	u16 sel[6] = {
		[X86_SEG_CS] = native_cs64(),
		[X86_SEG_SS] = native_ss64(),
	};
	struct vcpu vcpu = { .gpr = { 0 } };
	struct x86_cpu cpu = {
		.ops = &cpu_ops,
		.priv = &vcpu,
		.mode = X86_MODE_64,
		.prot = true,
	};
	unsigned int bad = 0;

	rnd_seed(1);
	ASSERT_EQ(0, native_init());
	ASSERT_EQ(0, data_init());
	for (i = 0; rnd_more(i, cases) && bad < 20; i++) {
		if (i % 1000 == 0) {
			u64 base = RND_PICK(gs_bases);

			/* The kernel takes no base that is its own. */
			if (syscall(SYS_arch_prctl, ARCH_SET_GS, base)) {
				base = 0;
				syscall(SYS_arch_prctl, ARCH_SET_GS, base);
			}
			vcpu.seg[X86_SEG_GS].base = base;
			ASSERT_TRUE(data_equal());
		}
		bad += !one_case(&cpu, sel, true);
	}
	EXPECT_TRUE(data_equal());
	report(true);
	EXPECT_EQ(0, bad);
}

/* --- 16- and 32-bit protected mode --------------------------------------------- */

static const u32 limits[] = {
	0xffffffff, 0xfffff, 0xffff, 0x1fff, 0x1234, 0xfff, 7, 0,
};

static const u64 bases[] = {
	0, DATA, DATA, DATA + 0x1234, DATA + 0x10000, DATA - 0x7fff0000,
};

/* A random segment in LDT entry @entry, and the same for the emulator. */
static int random_segment(unsigned int entry, bool stack,
			  struct x86_segment *s, u16 *sel)
{
	struct user_desc d = {
		.entry_number = entry,
		.base_addr = RND_PICK(bases),
		.seg_32bit = rnd_percent(50),
		.useable = 1,
	};
	u32 limit = RND_PICK(limits);

	if (!stack && rnd_percent(10)) {
		*sel = rnd_below(4);	/* null, with any RPL */
		*s = (struct x86_segment) { .ar = X86_AR_UNUSABLE };
		return 0;
	}
	/* Data, data expand-down, code; readable or writable, or not. */
	d.contents = stack ? rnd_below(2) : rnd_below(3);
	d.read_exec_only = stack ? 0 : rnd_percent(25) && d.contents != 2;
	d.limit_in_pages = limit > 0xfffff;
	d.limit = d.limit_in_pages ? limit >> 12 : limit;

	s->base = d.base_addr;
	s->limit = limit;
	s->ar = X86_AR_P | X86_AR_S | 3 << 5 | 1;
	if (d.contents == 2)
		s->ar |= X86_AR_CODE;
	if (d.contents == 1)
		s->ar |= X86_AR_DOWN;
	if (!d.read_exec_only)
		s->ar |= X86_AR_WR;
	if (d.seg_32bit)
		s->ar |= X86_AR_DB;
	*sel = entry << 3 | 7;
	return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

static int random_code_segment(unsigned int entry, enum x86_mode mode,
			       struct x86_segment *s, u16 *sel)
{
	struct user_desc d = {
		.entry_number = entry,
		.base_addr = NATIVE_CODE,
		.limit = 0x1fff,
		.contents = 2,
		.seg_32bit = mode == X86_MODE_32,
		.read_exec_only = rnd_percent(25),
		.useable = 1,
	};

	/* Data can be read through CS when it is flat. */
	if (mode == X86_MODE_32 && rnd_percent(50)) {
		d.base_addr = 0;
		d.limit = 0xfffff;
		d.limit_in_pages = 1;
	}
	s->base = d.base_addr;
	s->limit = d.limit_in_pages ? 0xffffffff : d.limit;
	s->ar = X86_AR_P | X86_AR_S | 3 << 5 | 1 | X86_AR_CODE;
	if (!d.read_exec_only)
		s->ar |= X86_AR_WR;
	if (d.seg_32bit)
		s->ar |= X86_AR_DB;
	*sel = entry << 3 | 7;
	return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

static int random_segments(struct vcpu *vcpu, enum x86_mode mode, u16 *sel)
{
	unsigned int i;

	for (i = 0; i < 6; i++) {
		if (i == X86_SEG_FS)
			continue;
		if (i == X86_SEG_CS ?
		    random_code_segment(i, mode, &vcpu->seg[i], &sel[i]) :
		    random_segment(i, i == X86_SEG_SS, &vcpu->seg[i], &sel[i]))
			return -1;
	}
	return 0;
}

static void run_protected(struct __test_metadata *_metadata,
			  enum x86_mode mode)
{
	unsigned long i, cases = rnd_cases(100000);
	struct vcpu vcpu = { .gpr = { 0 } };
	struct x86_cpu cpu = {
		.ops = &cpu_ops,
		.priv = &vcpu,
		.mode = mode,
		.prot = true,
	};
	u16 sel[6] = { 0 };
	unsigned int bad = 0;

	rnd_seed(mode);
	if (random_segments(&vcpu, mode, sel))
		SKIP(return, "modify_ldt: %s", strerror(errno));
	ASSERT_EQ(0, native_init());
	ASSERT_EQ(0, data_init());
	for (i = 0; rnd_more(i, cases) && bad < 20; i++) {
		if (i % 200 == 0)
			ASSERT_EQ(0, random_segments(&vcpu, mode, sel));
		if (i % 1000 == 0)
			ASSERT_TRUE(data_equal());
		bad += !one_case(&cpu, sel, true);
	}
	EXPECT_TRUE(data_equal());
	report(true);
	EXPECT_EQ(0, bad);
}

TEST(cpu_16bit)
{
	run_protected(_metadata, X86_MODE_16);
}

TEST(cpu_32bit)
{
	run_protected(_metadata, X86_MODE_32);
}

/* --- Length of all rows -------------------------------------------------------- */

static bool stops_in_fetch(const struct native_state *s, u64 rip)
{
	return s->trap == TRAP_PF && s->rip == rip &&
	       s->cr2 == NATIVE_CODE_END;
}

/* Harmless in user mode, whatever the registers are. */
static bool may_execute(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
		/* Memory: see above. */
		return insn->opnd[0].kind != X86_OPND_MEM &&
		       insn->opnd[1].kind != X86_OPND_MEM;
	case X86_OP_SMSW:
		return insn->opnd[0].kind != X86_OPND_MEM;
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL:
	case X86_OP_MONITOR:
	case X86_OP_MWAIT:
		return false;
	case X86_OP_INT:
		return insn->opcode != 0xcd || insn->imm != 0x80;
	default:
		return true;
	}
}

/*
 * With its last byte missing, the CPU must ask for more; with all bytes it
 * must not, whether it executes the instruction or forbids it.
 */
static void run_length(struct __test_metadata *_metadata, enum x86_mode mode)
{
	unsigned long i, cases = rnd_cases(50000);
	struct vcpu vcpu = { .gpr = { 0 } };
	struct native_state native;
	struct x86_insn insn;
	u16 sel[6] = { 0 };
	unsigned int bad = 0;
	u8 bytes[16];
	u32 cs_base;

	rnd_seed(mode + 1);
	if (mode == X86_MODE_64) {
		sel[X86_SEG_CS] = native_cs64();
		sel[X86_SEG_SS] = native_ss64();
	} else if (random_segments(&vcpu, mode, sel)) {
		SKIP(return, "modify_ldt: %s", strerror(errno));
	}
	cs_base = vcpu.seg[X86_SEG_CS].base;
	ASSERT_EQ(0, native_init());

	for (i = 0; rnd_more(i, cases) && bad < 20; i++) {
		u64 rip;
		int ret;

		random_insn(bytes, mode == X86_MODE_64, false);
		ret = x86_decode(bytes, 15, mode, &insn);
		if (ret == -EOPNOTSUPP)
			continue;
		memset(&native, 0, sizeof(native));
		memcpy(native.sel, sel, sizeof(sel));
		if (ret == -EINVAL) {
			native_run(bytes, 15, cs_base, &native);
			if (native.trap == insn.fault.vector)
				continue;
			bad++;
			diag("%u: %02x %02x %02x %02x...: #%u, CPU #%u", mode,
			     bytes[0], bytes[1], bytes[2], bytes[3],
			     insn.fault.vector, native.trap);
			continue;
		}
		count_row(&insn);

		rip = NATIVE_CODE_END - insn.len - cs_base;
		if (insn.len > 1) {
			native_run(bytes, insn.len - 1, cs_base, &native);
			if (!stops_in_fetch(&native, rip + 1)) {
				bad++;
				diag("%u: %02x %02x %02x %02x...: %s is shorter than %u",
				     mode, bytes[0], bytes[1], bytes[2],
				     bytes[3], insn.name, insn.len);
			}
		}
		if (!may_execute(&insn))
			continue;
		memset(&native, 0, sizeof(native));
		memcpy(native.sel, sel, sizeof(sel));
		native_run(bytes, insn.len, cs_base, &native);
		if (stops_in_fetch(&native, rip)) {
			bad++;
			diag("%u: %02x %02x %02x %02x...: %s is longer than %u",
			     mode, bytes[0], bytes[1], bytes[2], bytes[3],
			     insn.name, insn.len);
		}
	}
	report(false);
	EXPECT_EQ(0, bad);
}

TEST(length_64bit)
{
	run_length(_metadata, X86_MODE_64);
}

TEST(length_32bit)
{
	run_length(_metadata, X86_MODE_32);
}

TEST(length_16bit)
{
	run_length(_metadata, X86_MODE_16);
}

/* --- What user mode cannot show ------------------------------------------------- */

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
		struct vcpu vcpu = { .gpr = { 0 } };
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
		struct vcpu vcpu = { .gpr = { 0 } };
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

TEST(next_rip)
{
	EXPECT_EQ(0x100000001, x86_next_rip(X86_MODE_64, 0xffffffff, 2));
	EXPECT_EQ(1, x86_next_rip(X86_MODE_32, 0xffffffff, 2));
	EXPECT_EQ(0x10001, x86_next_rip(X86_MODE_16, 0xffff, 2));
}

/* An unsupported instruction must not look at the vCPU, far less change it. */
TEST(not_supported)
{
	static const char *const rows[] = {
		"\x89\xc8", "\x8b\xc8", "\xc6\xc0\x01", "\x0f\xb6\xc8",
		"\x63\xc8", "\x0f\xa2", "\x6c", "\x6e", "\xec",
		"\x0f\x01\x38", "\x0f\x01\x30", "\x0f\x01\x20",
		"\x0f\x20\xc0", "\xf4",
	};
	static const struct x86_cpu_ops no_ops;
	struct x86_cpu cpu = {
		.ops = &no_ops,
		.mode = X86_MODE_64,
		.prot = true,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct x86_mmio_op op;
		struct x86_insn insn;
		struct x86_fault fault;

		ASSERT_EQ(0, x86_decode((const u8 *)rows[i], 3, cpu.mode, &insn));
		EXPECT_EQ(-EOPNOTSUPP,
			  x86_emulate_mmio(&insn, &cpu, &op, &fault))
			TH_LOG("row %u", i);
	}
}

/* All that the caller sees of an access, with nothing above its size. */
TEST(op)
{
	static const struct {
		const char *bytes;
		struct x86_mmio_op op;
	} rows[] = {
		{ "\x88\x23", { .value = 0x88, .size = 1, .is_write = true } },
		{ "\x66\x89\x03", { .value = 0x8899, .size = 2, .is_write = true } },
		{ "\x89\x03", { .value = 0xaabb8899, .size = 4, .is_write = true } },
		{ "\x48\x89\x03", { .value = 0x11223344aabb8899, .size = 8, .is_write = true } },
		{ "\xc6\x03\xff", { .value = 0xff, .size = 1, .is_write = true } },
		{ "\xc7\x03\xff\xff\xff\xff", { .value = 0xffffffff, .size = 4, .is_write = true } },
		{ "\x48\xc7\x03\xfe\xff\xff\xff", { .value = -2ull, .size = 8, .is_write = true } },
		{ "\x8a\x33", { .size = 1, .reg = 2, .reg_size = 1, .high = true } },
		{ "\x44\x8b\x33", { .size = 4, .reg = 14, .reg_size = 4 } },
		{ "\x48\x0f\xbe\x33", { .size = 1, .reg = 6, .reg_size = 8, .sign_extend = true } },
		{ "\x66\x0f\xb6\x33", { .size = 1, .reg = 6, .reg_size = 2 } },
		{ "\x48\x63\x33", { .size = 4, .reg = 6, .reg_size = 8, .sign_extend = true } },
	};
	struct vcpu vcpu = {
		.gpr = {
			[X86_GPR_RAX] = 0x11223344aabb8899,
			[X86_GPR_RBX] = 0xfee00000,
		},
	};
	struct x86_cpu cpu = {
		.ops = &cpu_ops,
		.priv = &vcpu,
		.rip = 0x400000,
		.mode = X86_MODE_64,
		.prot = true,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct x86_fault fault;
		struct x86_mmio_op op;
		struct x86_insn insn;

		ASSERT_EQ(0, x86_decode((const u8 *)rows[i].bytes, 7, cpu.mode,
					&insn));
		ASSERT_EQ(0, x86_emulate_mmio(&insn, &cpu, &op, &fault));
		EXPECT_EQ(0xfee00000, op.gla);
		EXPECT_EQ(0x400000 + insn.len, op.next_rip);
		EXPECT_EQ(rows[i].op.value, op.value) TH_LOG("row %u", i);
		EXPECT_EQ(rows[i].op.size, op.size) TH_LOG("row %u", i);
		EXPECT_EQ(rows[i].op.is_write, op.is_write) TH_LOG("row %u", i);
		EXPECT_EQ(rows[i].op.reg, op.reg) TH_LOG("row %u", i);
		EXPECT_EQ(rows[i].op.reg_size, op.reg_size) TH_LOG("row %u", i);
		EXPECT_EQ(rows[i].op.high, op.high) TH_LOG("row %u", i);
		EXPECT_EQ(rows[i].op.sign_extend, op.sign_extend)
			TH_LOG("row %u", i);
	}
}

/* A completed write leaves the registers alone. */
TEST(write_completes)
{
	struct x86_mmio_op op = { .is_write = true, .size = 4, .reg_size = 4 };
	static const struct x86_cpu_ops no_ops;
	struct x86_cpu cpu = { .ops = &no_ops };

	x86_mmio_complete(&op, &cpu, 0x12345678);
}

TEST_HARNESS_MAIN
