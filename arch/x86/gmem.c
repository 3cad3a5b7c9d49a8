// SPDX-License-Identifier: GPL-2.0
/*
 * Guest-linear memory: the vCPU's state as decoder and page walk want it, and reads
 * through the guest's own page tables.
 */
#include "mmu/gwalk.h"
#include "x86.h"

/* --- The page walk's view -------------------------------------------------------- */

static int mkvm_walk_read(void *priv, u64 gpa, unsigned int size, u64 *val)
{
	struct mkvm_vcpu *vcpu = priv;

	*val = 0;
	return mkvm_read_guest(vcpu->vm, gpa, val, size);
}

static int mkvm_walk_cmpxchg(void *priv, u64 gpa, unsigned int size, u64 old, u64 new)
{
	struct mkvm_vcpu *vcpu = priv;

	return mkvm_cmpxchg_guest(vcpu->vm, gpa, old, new, size);
}

static const struct gwalk_ops mkvm_walk_ops = {
	.read = mkvm_walk_read,
	.replace = mkvm_walk_cmpxchg,
};

/**
 * mkvm_translate() - guest linear to guest physical, with the guest's access rules
 * @vcpu: the vCPU, loaded; vm->srcu held
 * @gva: linear address
 * @access: GWALK_* flags; the privilege is the vCPU's current one
 * @res: see gwalk()
 * Return: as gwalk().
 */
int mkvm_translate(struct mkvm_vcpu *vcpu, u64 gva, u32 access, struct gwalk_result *res)
{
	return mkvm_translate_path(vcpu, gva, access, res, NULL);
}

static void mkvm_walk_ctx(struct mkvm_vcpu *vcpu, struct gwalk_ctx *ctx)
{
	*ctx = (struct gwalk_ctx){
		.ops = &mkvm_walk_ops,
		.priv = vcpu,
		.cr0 = vcpu->arch.cr0,
		.cr3 = mkvm_reg_read(vcpu, MKVM_REG_CR3),
		.cr4 = vcpu->arch.cr4,
		.efer = vcpu->arch.efer,
		.cpl = mkvm_cpl(vcpu),
		.maxphyaddr = vcpu->arch.maxphyaddr,
		.ac = mkvm_rflags(vcpu) & X86_EFLAGS_AC,
		.pse36 = true,
		.gbpages = true,
		.amd = mkvm_caps.amd,
		.pkru = vcpu->arch.pkru,
	};
	if (mkvm_caps.pdptrs && mkvm_is_pae_paging(vcpu))
		ctx->pdptrs = mkvm_pdptrs(vcpu);
}

/**
 * mkvm_translate_path() - mkvm_translate() that also says how it got there
 * @vcpu: the vCPU, loaded; vm->srcu held
 * @gva: linear address
 * @access: GWALK_* flags
 * @res: see gwalk()
 * @path: the entries that were used; NULL: not wanted
 * Return: as gwalk().
 */
int mkvm_translate_path(struct mkvm_vcpu *vcpu, u64 gva, u32 access, struct gwalk_result *res,
			struct gwalk_path *path)
{
	struct gwalk_ctx ctx;

	mkvm_walk_ctx(vcpu, &ctx);
	ctx.path = path;
	/* Linear addresses wrap at 4 GiB outside 64-bit mode. */
	if (unlikely(gva >> 32) && !mkvm_is_64bit(vcpu))
		gva = (u32)gva;
	return gwalk(&ctx, gva, access, res);
}

/* A look from outside, which leaves accessed flags alone. */
static const struct gwalk_ops mkvm_look_ops = {
	.read = mkvm_walk_read,
};

/**
 * mkvm_ioctl_translate() - KVM_TRANSLATE: a read by the guest's supervisor
 * @vcpu: the vCPU, loaded
 * @tr: linear address; result
 *
 * Return: 0, also when the guest maps nothing there: then valid is 0. The other two answers
 * are KVM's constants.
 */
int mkvm_ioctl_translate(struct mkvm_vcpu *vcpu, struct kvm_translation *tr)
{
	struct gwalk_result res = { .gpa = tr->linear_address };
	struct gwalk_ctx ctx;
	int idx, r = 0;

	mkvm_walk_ctx(vcpu, &ctx);
	ctx.ops = &mkvm_look_ops;
	ctx.cpl = 0;
	/* Without paging the address is the answer as it is. */
	if (mkvm_is_paging(vcpu)) {
		idx = srcu_read_lock(&vcpu->vm->srcu);
		r = gwalk(&ctx, tr->linear_address, 0, &res);
		srcu_read_unlock(&vcpu->vm->srcu, idx);
	}
	tr->physical_address = r ? ~0ull : res.gpa;
	tr->valid = !r;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}

/**
 * mkvm_read_gva() - copy from guest-linear memory
 * @vcpu: the vCPU, loaded; vm->srcu held
 * @gva: first byte
 * @access: GWALK_* flags
 * @data: destination
 * @len: bytes; may cross pages
 * @fault: filled for EINVAL
 * Return: 0; EINVAL (the guest gets @fault); EFAULT (not memory); others as gwalk().
 */
int mkvm_read_gva(struct mkvm_vcpu *vcpu, u64 gva, u32 access, void *data,
		  unsigned int len, struct x86_fault *fault)
{
	struct gwalk_result res;
	int r;

	while (len) {
		unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gva));

		r = mkvm_translate(vcpu, gva, access, &res);
		if (r == -EINVAL)
			*fault = res.fault;
		if (r)
			return r;
		r = mkvm_read_guest(vcpu->vm, res.gpa, data, n);
		if (r)
			return r;
		gva += n;
		data += n;
		len -= n;
	}
	return 0;
}

/**
 * mkvm_write_gva() - copy to guest-linear memory
 * @vcpu: the vCPU, loaded; vm->srcu held
 * @gva: first byte
 * @data: source
 * @len: bytes, at most a page; may cross a page boundary
 * @fault: filled for EINVAL
 *
 * Return: 0; EINVAL (the guest gets @fault, nothing is written); EFAULT (not memory); others as
 * gwalk().
 */
int mkvm_write_gva(struct mkvm_vcpu *vcpu, u64 gva, const void *data, unsigned int len,
		   struct x86_fault *fault)
{
	unsigned int first = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gva));
	struct gwalk_result low, high;
	int r;

	r = mkvm_translate(vcpu, gva, GWALK_WRITE, &low);
	if (r == -EINVAL)
		*fault = low.fault;
	if (!r && first < len) {
		r = mkvm_translate(vcpu, gva + first, GWALK_WRITE, &high);
		if (r == -EINVAL)
			*fault = high.fault;
	}
	if (!r)
		r = mkvm_write_guest(vcpu->vm, low.gpa, data, first);
	if (!r && first < len)
		r = mkvm_write_guest(vcpu->vm, high.gpa, data + first, len - first);
	return r;
}

/* --- The decoder's view ------------------------------------------------------------ */

static u64 mkvm_cpu_get_rsp(void *priv)
{
	return mkvm_reg_read(priv, MKVM_REG_RSP);
}

static void mkvm_cpu_set_rsp(void *priv, u64 val)
{
	mkvm_reg_write(priv, MKVM_REG_RSP, val);
}

static void mkvm_cpu_get_segment(void *priv, unsigned int seg, struct x86_segment *out)
{
	struct kvm_segment s;

	static_assert((int)X86_SEG_ES == MKVM_SEG_ES && (int)X86_SEG_GS == MKVM_SEG_GS);
	mkvm_ops->get_segment(priv, seg, &s);
	out->base = s.base;
	out->limit = s.limit;
	out->ar = s.type | s.s << 4 | s.dpl << 5 | s.present << 7 | s.l << 13 |
		  s.db << 14 | (s.unusable ? X86_AR_UNUSABLE : 0);
}

static const struct x86_cpu_ops mkvm_cpu_ops = {
	.get_rsp = mkvm_cpu_get_rsp,
	.set_rsp = mkvm_cpu_set_rsp,
	.get_segment = mkvm_cpu_get_segment,
};

/**
 * mkvm_x86_cpu_init() - what decoder and emulator are told about a vCPU and never changes
 * @vcpu: the vCPU
 * @cpu: result; refers to @vcpu
 */
void mkvm_x86_cpu_init(struct mkvm_vcpu *vcpu, struct x86_cpu *cpu)
{
	cpu->ops = &mkvm_cpu_ops;
	cpu->priv = vcpu;
	/* All but RSP are always up to date there. */
	cpu->gpr = (u64 *)vcpu->arch.regs;
}

/**
 * mkvm_x86_cpu() - describe the vCPU to decoder and emulator
 * @vcpu: the vCPU, loaded
 * @cpu: result; refers to @vcpu
 */
void mkvm_x86_cpu(struct mkvm_vcpu *vcpu, struct x86_cpu *cpu)
{
	mkvm_x86_cpu_init(vcpu, cpu);
	/* Read, if they are not cached yet. */
	mkvm_rip(vcpu);
	mkvm_rflags(vcpu);
	mkvm_x86_cpu_in_mode(vcpu, cpu, X86_MODE_16);
	if (mkvm_is_64bit(vcpu))
		cpu->mode = X86_MODE_64;
	else if (cpu->prot && mkvm_reg_read(vcpu, MKVM_REG_CS_AR) & MKVM_AR_DB)
		cpu->mode = X86_MODE_32;
}
