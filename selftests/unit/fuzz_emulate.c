// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for the instruction emulator. Input: a header (code size, privileges,
 * segment attributes, which callback fails), the bytes of registers, then instruction bytes.
 *
 * Whatever comes: no undefined behaviour, only register numbers that exist, at most one write,
 * and nothing changed when a callback fails or an exception is returned.
 */
#include <stdint.h>

#include "../../arch/x86/emulate.h"

#define CHECK(cond)	do { if (!(cond)) __builtin_trap(); } while (0)

struct header {
	u8 mode;		/* and protected mode, LA57, CPL, kind of segment */
	u8 ar;
	u8 base, base_shift;
	u8 limit, limit_shift;
	u8 gpr, gpr_shift;
	u8 cr0, cr4, xcr0;
	u8 fail_at;
	u8 fill;
	u8 cpl;
};

struct vcpu {
	struct {
		u64 gpr[16];
		u64 rflags;
		u64 rip;
		u64 mmx[8];
		struct x86_vec vec[16];
		u16 sel[6];
	} r;
	u64 before[16];		/* general registers */
	struct x86_segment seg;
	unsigned int fail_in;
	unsigned int writes;	/* memory, ports, segment registers */
	unsigned int sets;	/* calls of set_rip */
	bool changed;
	u8 fill;
	u8 cpl;
};

static u64 get_rsp(void *priv)
{
	return ((struct vcpu *)priv)->r.gpr[X86_GPR_RSP];
}

static void set_rsp(void *priv, u64 val)
{
	((struct vcpu *)priv)->r.gpr[X86_GPR_RSP] = val;
	((struct vcpu *)priv)->changed = true;
}

static void get_segment(void *priv, unsigned int seg, struct x86_segment *out)
{
	CHECK(seg <= X86_SEG_GS);
	*out = ((struct vcpu *)priv)->seg;
}

static const struct x86_cpu_ops cpu_ops = {
	.get_rsp = get_rsp,
	.set_rsp = set_rsp,
	.get_segment = get_segment,
};

static bool is_unchanged(const struct vcpu *v)
{
	return !v->changed && !v->writes && !v->sets &&
	       !memcmp(v->r.gpr, v->before, sizeof(v->before));
}

/* The callbacks that can fail: nothing may have been changed before. */
static int callback(struct vcpu *v, struct x86_fault *fault)
{
	CHECK(is_unchanged(v));
	if (!v->fail_in || --v->fail_in)
		return 0;
	if (!fault)
		return -EIO;
	*fault = (struct x86_fault) { .vector = X86_VEC_PF, .has_error_code = true };
	return v->fill & 1 ? -EINVAL : -EIO;
}

static int mem_read(void *priv, u64 la, void *data, unsigned int len, bool write,
		    struct x86_fault *fault)
{
	struct vcpu *v = priv;
	int ret = callback(v, fault);

	CHECK(len >= 1 && len <= X86_MEM_MAX);
	if (!ret && data)
		memset(data, v->fill, len);
	return ret;
}

static int mem_write(void *priv, u64 la, const void *data, unsigned int len,
		     struct x86_fault *fault)
{
	struct vcpu *v = priv;
	u8 copy[X86_MEM_MAX];
	int ret = callback(v, fault);

	CHECK(len >= 1 && len <= X86_MEM_MAX);
	memcpy(copy, data, len);
	v->writes += !ret;
	return ret;
}

static int mem_cmpxchg(void *priv, u64 la, const void *old, const void *new, unsigned int len,
		       struct x86_fault *fault)
{
	u8 copy[X86_MEM_MAX];

	CHECK(len <= 16);
	memcpy(copy, old, len);
	return mem_write(priv, la, new, len, fault);
}

static int port_in(void *priv, u16 port, unsigned int size, u32 *data)
{
	struct vcpu *v = priv;

	CHECK(size == 1 || size == 2 || size == 4);
	*data = v->fill;
	return callback(v, NULL);
}

static int port_out(void *priv, u16 port, unsigned int size, u32 data)
{
	struct vcpu *v = priv;
	int ret = callback(v, NULL);

	CHECK(size == 1 || size == 2 || size == 4);
	v->writes += !ret;
	return ret;
}

static unsigned int get_cpl(void *priv)
{
	return ((struct vcpu *)priv)->cpl;
}

static void set_rflags(void *priv, u64 rflags)
{
	((struct vcpu *)priv)->r.rflags = rflags;
	((struct vcpu *)priv)->changed = true;
}

static void set_rip(void *priv, u64 rip, bool done)
{
	struct vcpu *v = priv;

	v->r.rip = rip;
	v->sets++;
}

static void get_vec(void *priv, unsigned int reg, struct x86_vec *val)
{
	CHECK(reg < 16);
	*val = ((struct vcpu *)priv)->r.vec[reg];
}

static void set_vec(void *priv, unsigned int reg, const struct x86_vec *val, unsigned int size,
		    bool zero)
{
	struct vcpu *v = priv;

	CHECK(reg < 16 && (size == 16 || size == 32));
	memcpy(v->r.vec[reg].b, val->b, size);
	v->changed = true;
}

static u64 get_mmx(void *priv, unsigned int reg)
{
	CHECK(reg < 8);
	return ((struct vcpu *)priv)->r.mmx[reg];
}

static void set_mmx(void *priv, unsigned int reg, u64 val)
{
	CHECK(reg < 8);
	((struct vcpu *)priv)->r.mmx[reg] = val;
	((struct vcpu *)priv)->changed = true;
}

static u16 get_selector(void *priv, unsigned int seg)
{
	CHECK(seg <= X86_SEG_GS);
	return ((struct vcpu *)priv)->r.sel[seg];
}

static int load_segment(void *priv, unsigned int seg, u16 selector, struct x86_fault *fault)
{
	struct vcpu *v = priv;
	int ret = callback(v, fault);

	CHECK(seg <= X86_SEG_GS && seg != X86_SEG_CS);
	v->changed |= !ret;
	return ret;
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

static u64 spread(u8 byte, unsigned int shift)
{
	return (u64)(s64)(s8)byte << (shift & 63);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum x86_mode modes[] = {
		X86_MODE_16, X86_MODE_32, X86_MODE_64, X86_MODE_16,
	};
	struct header h;
	struct vcpu v = { .fill = 0 };
	struct x86_cpu cpu = { .ops = &cpu_ops, .priv = &v, .gpr = v.r.gpr };
	struct x86_emul e = { .ops = &emul_ops, .cpu = &cpu };
	struct x86_fault fault = { .vector = 0xee };
	u8 bytes[X86_INSN_MAX] = { 0 };
	struct x86_insn insn;
	unsigned int i;
	int ret;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	data += sizeof(h);
	size -= sizeof(h);
	memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));

	cpu.mode = modes[h.mode & 3];
	cpu.prot = cpu.mode != X86_MODE_16 || h.mode & 4;
	cpu.la57 = h.mode & 8;
	v.cpl = h.mode >> 4 & 3;
	e.cr0 = (cpu.prot ? 1 : 0) | (h.cr0 & 0x3e) | (h.cr0 & 0x40 ? 1 << 18 : 0);
	e.cr4 = (u64)h.cr4 << 6 | (h.cr4 & 1) << 18;
	e.xcr0 = h.xcr0;
	v.seg.ar = h.ar | (h.mode & 0x40 ? X86_AR_DB : 0) | (h.mode & 0x80 ? X86_AR_UNUSABLE : 0);
	v.seg.base = spread(h.base, h.base_shift);
	v.seg.limit = (u32)h.limit << (h.limit_shift & 31) | (h.limit_shift & 0x80 ? 0xfff : 0);
	v.fill = h.fill;
	v.fail_in = h.fail_at & 7;
	for (i = 0; i < 16; i++)
		v.r.gpr[i] = spread(h.gpr, h.gpr_shift + i);
	v.r.rflags = 2 | (spread(h.gpr, 3) & 0x70dd5) | (h.fail_at & 0x80 ? 1 << 18 : 0);
	v.r.rip = cpu.rip = 0x1000;
	e.rflags = v.r.rflags;
	memcpy(v.before, v.r.gpr, sizeof(v.before));

	if (x86_decode(bytes, sizeof(bytes), cpu.mode, &insn))
		return 0;
	ret = x86_emulate(&e, &insn, &fault);
	if (ret) {
		CHECK(is_unchanged(&v));
		CHECK(ret == -EINVAL || ret == -EIO || ret == -EOPNOTSUPP);
		CHECK(ret != -EINVAL || fault.vector <= 19);
		CHECK(ret != -EINVAL || cpu.prot || !fault.has_error_code ||
		      fault.vector == X86_VEC_PF);
		return 0;
	}
	CHECK(v.sets == 1);
	CHECK(cpu.mode == X86_MODE_64 || v.r.rip >> 32 == 0);
	return 0;
}
