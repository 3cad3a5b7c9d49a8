// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for the decoder. Input: code size, segment
 * attributes, a few register bits, then instruction bytes.
 */
#include <stdint.h>

#include "../../arch/x86/decode.h"

#define CHECK(cond)	do { if (!(cond)) __builtin_trap(); } while (0)

struct vcpu {
	u64 gpr[16];
	struct x86_segment seg;
};

static u64 get_rsp(void *priv)
{
	return ((struct vcpu *)priv)->gpr[X86_GPR_RSP];
}

static void get_segment(void *priv, unsigned int seg, struct x86_segment *out)
{
	CHECK(seg <= X86_SEG_GS);
	*out = ((struct vcpu *)priv)->seg;
}

static const struct x86_cpu_ops ops = {
	.get_rsp = get_rsp,
	.get_segment = get_segment,
};

static void check_insn(const struct x86_insn *insn, unsigned int avail)
{
	unsigned int i;

	CHECK(insn->len && insn->len <= X86_INSN_MAX && insn->len <= avail);
	CHECK(insn->name && insn->row && insn->op);
	CHECK(insn->addr_size == 2 || insn->addr_size == 4 ||
	      insn->addr_size == 8);
	for (i = 0; i < X86_NR_OPNDS; i++) {
		const struct x86_opnd *o = &insn->opnd[i];

		CHECK(o->kind == X86_OPND_NONE || o->reg < 16);
		CHECK(!o->high || (o->reg < 4 && o->size == 1));
	}
	CHECK(insn->mem.seg <= X86_SEG_GS && insn->mem.scale <= 3);
	CHECK(insn->mem.base < 16 || insn->mem.base == X86_GPR_NONE);
	CHECK(insn->mem.index < 16 || insn->mem.index == X86_GPR_NONE);
	CHECK(insn->mem.index != X86_GPR_RSP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum x86_mode modes[] = {
		X86_MODE_16, X86_MODE_32, X86_MODE_64, X86_MODE_16,
	};
	struct vcpu vcpu = { .gpr = { 0 } };
	struct x86_cpu cpu = { .ops = &ops, .priv = &vcpu, .gpr = vcpu.gpr };
	struct x86_fault fault;
	struct x86_insn insn, again;
	u8 bytes[16];
	unsigned int i;
	u64 la;
	int ret;

	if (size < 8)
		return 0;
	cpu.mode = modes[data[0] & 3];
	cpu.prot = cpu.mode != X86_MODE_16 || data[0] & 4;
	cpu.la57 = data[0] & 8;
	vcpu.seg.ar = data[1] | (data[0] & 16 ? X86_AR_DB : 0) |
		      (data[0] & 32 ? X86_AR_UNUSABLE : 0);
	vcpu.seg.base = (u64)(s64)(s8)data[2] << (data[3] & 63);
	vcpu.seg.limit = (u32)data[4] << (data[5] & 31);
	for (i = 0; i < 16; i++)
		vcpu.gpr[i] = (u64)(s64)(s8)data[6] << ((data[7] + i) & 63);
	data += 8;
	size -= 8;

	/* A copy of exactly this size, for AddressSanitizer to watch. */
	if (size > X86_INSN_MAX)
		size = X86_INSN_MAX;
	{
		u8 exact[size ? size : 1];

		memcpy(exact, data, size);
		ret = x86_decode(exact, size, cpu.mode, &insn);
	}
	CHECK(ret == 0 || ret == -EAGAIN || ret == -EINVAL ||
	      ret == -EOPNOTSUPP);
	CHECK(ret != -EAGAIN || size < X86_INSN_MAX);
	CHECK(ret != -EINVAL || insn.fault.vector == X86_VEC_UD ||
	      insn.fault.vector == X86_VEC_GP);

	x86_fetch_linear(&cpu, &la, &fault);
	if (ret)
		return 0;
	check_insn(&insn, size);

	/* What follows the instruction does not count. */
	memset(bytes, 0x5a, sizeof(bytes));
	memcpy(bytes, data, insn.len);
	CHECK(x86_decode(bytes, X86_INSN_MAX, cpu.mode, &again) == 0);
	CHECK(!memcmp(&insn, &again, sizeof(insn)));
	return 0;
}
