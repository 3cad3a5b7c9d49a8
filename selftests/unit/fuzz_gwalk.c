// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for the guest page walk. Input: control bits, then the
 * entries in the order in which they are read.
 */
#include <asm/processor-flags.h>
#include <stdint.h>

#include "../../arch/x86/mmu/gwalk.h"

#define CHECK(cond)	do { if (!(cond)) __builtin_trap(); } while (0)

struct input {
	const uint8_t *data;
	size_t size;
	unsigned int reads, writes;
	u8 maxphyaddr;
};

static u64 take(struct input *in, unsigned int bytes)
{
	u64 val = 0;

	while (bytes-- && in->size) {
		val = val << 8 | *in->data++;
		in->size--;
	}
	return val;
}

static void check_gpa(const struct input *in, u64 gpa, unsigned int size)
{
	CHECK(size == 4 || size == 8);
	CHECK(gpa % size == 0);
	CHECK(gpa >> in->maxphyaddr == 0);
}

static int read_entry(void *priv, u64 gpa, unsigned int size, u64 *val)
{
	struct input *in = priv;

	check_gpa(in, gpa, size);
	CHECK(++in->reads <= 10);
	if (!in->size)
		return -EFAULT;
	*val = take(in, size);
	return 0;
}

static int cmpxchg_entry(void *priv, u64 gpa, unsigned int size, u64 old,
			 u64 new)
{
	struct input *in = priv;

	check_gpa(in, gpa, size);
	/* Accessed and dirty are all that a walk may set. */
	CHECK((new & ~0x60ull) == (old & ~0x60ull) && (new & old) == old);
	CHECK(++in->writes <= 10);
	switch (take(in, 1) & 0x1f) {
	case 0:
		return -EAGAIN;
	case 1:
		return -EROFS;
	case 2:
		return -EFAULT;
	}
	return 0;
}

static const struct gwalk_ops ops = {
	.read = read_entry,
	.replace = cmpxchg_entry,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .size = size };
	struct gwalk_ctx ctx = { .ops = &ops, .priv = &in };
	struct gwalk_result res;
	u64 pdptrs[4];
	u64 gva;
	u32 how, access;
	int ret;

	how = take(&in, 4);
	ctx.cr0 = (how & 1 ? 0 : X86_CR0_PG) | (how & 2 ? X86_CR0_WP : 0);
	ctx.cr4 = (how & 4 ? X86_CR4_PSE : 0) | (how & 8 ? X86_CR4_LA57 : 0) |
		  (how & 16 ? X86_CR4_SMEP : 0) |
		  (how & 32 ? X86_CR4_SMAP : 0) | (how & 64 ? X86_CR4_PKE : 0) |
		  (how & 128 ? X86_CR4_PAE : 0);
	ctx.efer = how & 256 ? 1 << 11 : 0;
	if (ctx.cr4 & X86_CR4_PAE && how & 512)
		ctx.efer |= 1 << 10;
	ctx.ac = how & 1024;
	ctx.pse36 = how & 2048;
	ctx.gbpages = how & 4096;
	ctx.amd = how & 8192;
	ctx.cpl = how >> 14 & 3;
	ctx.maxphyaddr = 32 + (how >> 16 & 31) % 21;
	in.maxphyaddr = ctx.maxphyaddr;
	access = how >> 21 & 7;
	ctx.pkru = take(&in, 2) << (how >> 24 & 16);
	if (how & 1u << 29) {
		ctx.pdptrs = pdptrs;
		for (int i = 0; i < 4; i++)
			pdptrs[i] = take(&in, 3) & ((1ull << ctx.maxphyaddr) - 1);
	}
	ctx.cr3 = take(&in, 8) & ((1ull << ctx.maxphyaddr) - 1);
	gva = take(&in, 8);

	ret = gwalk(&ctx, gva, access, &res);
	switch (ret) {
	case 0:
		CHECK(res.gpa >> (ctx.cr0 & X86_CR0_PG && ctx.maxphyaddr > 32 ?
				  ctx.maxphyaddr : 32) == 0);
		CHECK(res.page_size >= 4096);
		CHECK(((res.gpa ^ gva) & 4095) == 0);
		break;
	case -EINVAL:
		CHECK(res.fault.vector == X86_VEC_PF ||
		      res.fault.vector == X86_VEC_GP);
		CHECK(res.fault.error_code < 64);
		break;
	default:
		CHECK(ret == -EFAULT || ret == -EROFS || ret == -EAGAIN);
	}
	return 0;
}
