// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions whose operand is a device: the CPU has found no memory at a guest-physical address, or
 * none that may be written. The instruction is read, decoded and executed here (emulate.c); what
 * reaches a device is userspace's.
 *
 * A read that needs data from userspace breaks the instruction off. When userspace is back the
 * data is kept, and the instruction is executed again from its start, which finds the data (and
 * those of earlier reads); so nothing has to be remembered about where it was. Where the only read is
 * that of an operand, the emulator is told the operand instead. Writes are collected while it is
 * executed, and are userspace's when the registers have changed already.
 */
#include "emulate.h"
#include "mmu/gwalk.h"
#include "trace.h"
#include "x86.h"

/* --- Failures -------------------------------------------------------------------------------- */

/* KVM_INTERNAL_ERROR_EMULATION with the instruction's bytes: 3 words of data. */
static mkvm_run_t mkvm_emulation_failed(struct mkvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 bytes[X86_INSN_MAX];
	struct x86_insn insn;
	struct x86_cpu cpu;
	unsigned int nr;

	/* It is the guest's kernel that has a right to fail; as in KVM. */
	if (!READ_ONCE(vcpu->vm->arch.exit_on_emulation_error) && mkvm_cpl(vcpu))
		return mkvm_inject_ud(vcpu);

	mkvm_x86_cpu(vcpu, &cpu);
	mkvm_fetch_insn(vcpu, &cpu, &insn, bytes, &nr);
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 0;
	run->emulation_failure.flags = 0;
	if (nr) {
		run->emulation_failure.ndata = 3;
		run->emulation_failure.flags =
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = nr;
		memset(run->emulation_failure.insn_bytes, 0x90,
		       sizeof(run->emulation_failure.insn_bytes));
		memcpy(run->emulation_failure.insn_bytes, bytes, nr);
	}
	return MKVM_RUN_USER;
}

/* --- Memory, and what is not memory ------------------------------------------------------------ */

/* What the emulator's callbacks return when userspace has to be asked. */
#define MKVM_NEED_USER	(-EINPROGRESS)

/* Is this what the CPU has translated, and found no memory for? */
static bool mkvm_is_exit_access(const struct mkvm_mmio *mmio, u64 la, unsigned int len)
{
	return mmio->one_access && offset_in_page(la) == offset_in_page(mmio->gpa) &&
	       offset_in_page(la) + len <= PAGE_SIZE;
}

/* A piece of an access within a page: where it is, and whether a device is there. */
static int mkvm_mmio_locate(struct mkvm_vcpu *vcpu, u64 la, unsigned int len, u32 access,
			    gpa_t *gpa, bool *device, struct x86_fault *fault)
{
	const struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	const struct mkvm_memslot *slot;
	struct gwalk_result res;
	int r;

	if (mkvm_is_exit_access(mmio, la, len)) {
		*gpa = mmio->gpa;
		*device = true;
		return 0;
	}
	r = mkvm_translate(vcpu, la, access, &res);
	if (r == -EINVAL)
		*fault = res.fault;
	if (r)
		return r;
	*gpa = res.gpa;
	slot = mkvm_gfn_to_slot(vcpu->vm, *gpa >> PAGE_SHIFT);
	if (slot && slot->flags & MKVM_SLOT_INVALID)
		return -EAGAIN;
	*device = !slot || (access & GWALK_WRITE && slot->flags & KVM_MEM_READONLY);
	return 0;
}

/* Bytes from here to the end of the page, or of the access. */
static unsigned int mkvm_piece(u64 la, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(la));
}

static noinline u64 mkvm_value_of_any_size(const void *data, unsigned int len)
{
	u64 value = 0;

	memcpy(&value, data, len);
	return value;
}

/* What @len bytes, 1 to 8, hold. Most registers have four: a load, not a copy of unknown length. */
static __always_inline u64 mkvm_value(const void *data, unsigned int len)
{
	u32 value;

	if (unlikely(len != sizeof(value)))
		return mkvm_value_of_any_size(data, len);
	memcpy(&value, data, sizeof(value));
	return value;
}

/* The data of a device's register: known from before, or to be asked for. */
static int mkvm_device_read(struct mkvm_vcpu *vcpu, bool pio, u64 addr, void *data, unsigned int len)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	struct mkvm_access *a;

	if (mmio->pos == MKVM_MMIO_ACCESSES)
		return -EOPNOTSUPP;
	a = &mmio->reads[mmio->pos];
	if (mmio->pos < mmio->nr_reads) {
		/* Another one than before: somebody has changed the guest meanwhile. */
		if (a->pio != pio || a->addr != addr || a->len != len)
			return -EAGAIN;
		memcpy(data, &a->value, len);
		mmio->pos++;
		return 0;
	}
	*a = (struct mkvm_access){ .addr = addr, .len = len, .pio = pio };
	return MKVM_NEED_USER;
}

/* Userspace gets 8 bytes at most. */
static int mkvm_device_read_piece(struct mkvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	int r = 0;

	while (len && !r) {
		unsigned int n = min(len, 8u);

		r = mkvm_device_read(vcpu, false, gpa, data, n);
		gpa += n;
		data += n;
		len -= n;
	}
	return r;
}

static int mkvm_device_write(struct mkvm_vcpu *vcpu, bool pio, u64 addr, u64 value,
			     unsigned int len)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;

	if (mmio->nr_writes == MKVM_MMIO_ACCESSES)
		return -EOPNOTSUPP;
	mmio->writes[mmio->nr_writes++] = (struct mkvm_access){
		.addr = addr, .value = value, .len = len, .pio = pio,
	};
	return 0;
}

/* The opposite of mkvm_device_read_piece(). */
static int mkvm_device_write_piece(struct mkvm_vcpu *vcpu, gpa_t gpa, const void *data,
				   unsigned int len)
{
	int r = 0;

	while (len && !r) {
		unsigned int n = min(len, 8u);

		r = mkvm_device_write(vcpu, false, gpa, mkvm_value(data, n), n);
		gpa += n;
		data += n;
		len -= n;
	}
	return r;
}

/* --- What the emulator needs (emulate.h) -------------------------------------------------------- */

/* A read of which a part at least may be memory, or that is wide or none. */
static noinline int mkvm_emul_read_any(struct mkvm_vcpu *vcpu, u64 la, void *data,
				       unsigned int len, bool write, struct x86_fault *fault)
{
	u32 access = write ? GWALK_WRITE : 0;
	bool device;
	gpa_t gpa;
	int r;

	while (len) {
		unsigned int n = mkvm_piece(la, len);

		r = mkvm_mmio_locate(vcpu, la, n, access, &gpa, &device, fault);
		if (r)
			return r;
		if (data) {
			r = device ? mkvm_device_read_piece(vcpu, gpa, data, n) :
				     mkvm_read_guest(vcpu->vm, gpa, data, n);
			if (r)
				return r;
			data += n;
		}
		la += n;
		len -= n;
	}
	return 0;
}

static int mkvm_emul_read(void *priv, u64 la, void *data, unsigned int len, bool write,
			  struct x86_fault *fault)
{
	struct mkvm_vcpu *vcpu = priv;

	if (likely(data && len <= 8 && mkvm_is_exit_access(&vcpu->arch.mmio, la, len)))
		return mkvm_device_read(vcpu, false, vcpu->arch.mmio.gpa, data, len);
	return mkvm_emul_read_any(vcpu, la, data, len, write, fault);
}

/* A write of which a part at least may be to memory, or that is wide. */
static noinline int mkvm_emul_write_any(struct mkvm_vcpu *vcpu, u64 la, const void *data,
					unsigned int len, struct x86_fault *fault)
{
	unsigned int first = mkvm_piece(la, len), i;
	unsigned int size[2] = { first, len - first };
	bool device[2];
	gpa_t gpa[2];
	int r = 0;

	/* Both pages, before anything is written. */
	for (i = 0; i < 2 && size[i] && !r; i++)
		r = mkvm_mmio_locate(vcpu, la + (i ? first : 0), size[i], GWALK_WRITE, &gpa[i],
				     &device[i], fault);
	for (i = 0; i < 2 && size[i] && !r; i++) {
		const void *piece = data + (i ? first : 0);

		r = device[i] ? mkvm_device_write_piece(vcpu, gpa[i], piece, size[i]) :
				mkvm_write_guest(vcpu->vm, gpa[i], piece, size[i]);
	}
	return r;
}

static int mkvm_emul_write(void *priv, u64 la, const void *data, unsigned int len,
			   struct x86_fault *fault)
{
	struct mkvm_vcpu *vcpu = priv;

	if (likely(len <= 8 && mkvm_is_exit_access(&vcpu->arch.mmio, la, len)))
		return mkvm_device_write(vcpu, false, vcpu->arch.mmio.gpa, mkvm_value(data, len),
					 len);
	return mkvm_emul_write_any(vcpu, la, data, len, fault);
}

/* In memory as one step for other vCPUs, where the kernel can; a device sees a write. */
static int mkvm_emul_cmpxchg(void *priv, u64 la, const void *old, const void *new,
			     unsigned int len, struct x86_fault *fault)
{
	struct mkvm_vcpu *vcpu = priv;
	u64 old64 = 0, new64 = 0;
	bool device;
	gpa_t gpa;
	int r;

	if ((len != 4 && len != 8) || la & (len - 1))
		return mkvm_emul_write(priv, la, new, len, fault);
	r = mkvm_mmio_locate(vcpu, la, len, GWALK_WRITE, &gpa, &device, fault);
	if (r)
		return r;
	if (device)
		return mkvm_device_write(vcpu, false, gpa, mkvm_value(new, len), len);
	memcpy(&old64, old, len);
	memcpy(&new64, new, len);
	return mkvm_cmpxchg_guest(vcpu->vm, gpa, old64, new64, len);
}

static int mkvm_emul_in(void *priv, u16 port, unsigned int size, u32 *data)
{
	*data = 0;
	return mkvm_device_read(priv, true, port, data, size);
}

static int mkvm_emul_out(void *priv, u16 port, unsigned int size, u32 data)
{
	return mkvm_device_write(priv, true, port, mkvm_value(&data, size), size);
}

static unsigned int mkvm_emul_get_cpl(void *priv)
{
	return mkvm_cpl(priv);
}

static void mkvm_emul_set_rflags(void *priv, u64 rflags)
{
	mkvm_reg_write(priv, MKVM_REG_RFLAGS, rflags);
}

/* Iterations of a string instruction are traps of their own, too. */
static void mkvm_emul_set_rip(void *priv, u64 rip, bool done)
{
	mkvm_advance_rip(priv, rip);
}

static u16 mkvm_emul_get_selector(void *priv, unsigned int seg)
{
	struct kvm_segment s;

	mkvm_ops->get_segment(priv, seg, &s);
	return s.selector;
}

static int mkvm_emul_load_segment(void *priv, unsigned int seg, u16 selector,
				  struct x86_fault *fault)
{
	return mkvm_load_segment(priv, seg, selector, fault);
}

static const struct x86_emul_ops mkvm_emul_ops = {
	.read		= mkvm_emul_read,
	.write		= mkvm_emul_write,
	.cmpxchg_mem	= mkvm_emul_cmpxchg,
	.in		= mkvm_emul_in,
	.out		= mkvm_emul_out,
	.get_cpl	= mkvm_emul_get_cpl,
	.set_rflags	= mkvm_emul_set_rflags,
	.set_rip	= mkvm_emul_set_rip,
	.get_vec	= mkvm_emul_get_vec,
	.set_vec	= mkvm_emul_set_vec,
	.get_mmx	= mkvm_emul_get_mmx,
	.set_mmx	= mkvm_emul_set_mmx,
	.get_selector	= mkvm_emul_get_selector,
	.load_segment	= mkvm_emul_load_segment,
};

/* --- To userspace and back ----------------------------------------------------------------------- */

static void mkvm_trace_access(struct mkvm_vcpu *vcpu, bool write, const struct mkvm_access *a)
{
	if (a->pio)
		trace_mkvm_pio(vcpu, !write, a->addr, a->len, 1);
	else
		trace_mkvm_mmio(vcpu, write, a->addr, a->len, a->value);
}

/*
 * Ask userspace for an access; RIP is cached, since there is an instruction. What is in the run struct is not
 * looked at again, but for the data.
 */
static mkvm_run_t mkvm_access_to_user(struct mkvm_vcpu *vcpu, const struct mkvm_access *a,
				      bool write, mkvm_run_t (*complete)(struct mkvm_vcpu *vcpu))
{
	struct kvm_run *run = vcpu->run;

	vcpu->arch.mmio.rip = vcpu->arch.regs[MKVM_REG_RIP];
	vcpu->arch.complete = complete;
	if (a->pio) {
		memcpy(vcpu->arch.pio_data, &a->value, sizeof(a->value));
		run->exit_reason = KVM_EXIT_IO;
		run->io.direction = write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
		run->io.port = a->addr;
		run->io.size = a->len;
		run->io.count = 1;
		run->io.data_offset = MKVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	} else {
		run->exit_reason = KVM_EXIT_MMIO;
		run->mmio.phys_addr = a->addr;
		run->mmio.len = a->len;
		run->mmio.is_write = write;
		/* Zero above its length, and all of it for a read. */
		memcpy(run->mmio.data, &a->value, sizeof(a->value));
	}
	return MKVM_RUN_USER;
}

static mkvm_run_t mkvm_next_write(struct mkvm_vcpu *vcpu);

static bool mkvm_moved(struct mkvm_vcpu *vcpu)
{
	return mkvm_rip(vcpu) != vcpu->arch.mmio.rip;
}

static mkvm_run_t mkvm_complete_write(struct mkvm_vcpu *vcpu)
{
	vcpu->arch.mmio.cur_write++;
	return mkvm_moved(vcpu) ? MKVM_RUN_GUEST : mkvm_next_write(vcpu);
}

/* There is a tracer, or somebody on the bus, that may want to see a write before userspace. */
static noinline mkvm_run_t mkvm_next_write_seen(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;

	for (; mmio->cur_write < mmio->nr_writes; mmio->cur_write++) {
		const struct mkvm_access *a = &mmio->writes[mmio->cur_write];

		mkvm_trace_access(vcpu, true, a);
		if (!mkvm_bus_write(vcpu->vm, a->pio, a->addr, &a->value, a->len))
			return mkvm_access_to_user(vcpu, a, true, mkvm_complete_write);
	}
	return MKVM_RUN_GUEST;
}

/* Hand the next collected write to userspace, or to who takes it before. */
static mkvm_run_t mkvm_next_write(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;

	if (mmio->cur_write == mmio->nr_writes)
		return MKVM_RUN_GUEST;
	if (trace_mkvm_mmio_enabled() || trace_mkvm_pio_enabled() ||
	    unlikely(mkvm_bus_in_use(vcpu->vm)))
		return mkvm_next_write_seen(vcpu);
	return mkvm_access_to_user(vcpu, &mmio->writes[mmio->cur_write], true,
				   mkvm_complete_write);
}

/* --- The instruction ------------------------------------------------------------------------------ */

static mkvm_run_t mkvm_complete_read(struct mkvm_vcpu *vcpu);

/* Is the operand that the CPU found no memory for the only one? */
static bool mkvm_one_access(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_CALL:
	case X86_OP_CMPS:
	case X86_OP_INS:
	case X86_OP_MOVS:
	case X86_OP_OUTS:
	case X86_OP_POP:
	case X86_OP_PUSH:
	case X86_OP_RET:
		return false;
	default:
		return true;
	}
}

/* Which instruction it is. Return: as mkvm_fetch_insn(). */
static noinline int mkvm_mmio_fetch(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	u8 bytes[X86_INSN_MAX];
	unsigned int nr;
	int r;

	mkvm_x86_cpu(vcpu, &mmio->cpu);
	r = mkvm_fetch_insn(vcpu, &mmio->cpu, &mmio->fetched, bytes, &nr);
	if (r == -EINVAL)
		mmio->fault = mmio->fetched.fault;
	mmio->insn = &mmio->fetched;
	return r;
}

/*
 * What is needed to execute the instruction at RIP, however often: it is completed as it has begun,
 * whatever userspace does to the vCPU meanwhile. Return: as mkvm_fetch_insn().
 */
static int mkvm_begin(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	struct x86_emul *e = &mmio->emul;
	int r = 0;

	mmio->nr_reads = 0;
	e->rflags = mkvm_rflags(vcpu);
	e->cr0 = vcpu->arch.cr0;
	e->cr4 = vcpu->arch.cr4;
	e->xcr0 = vcpu->arch.cr4 & X86_CR4_OSXSAVE ? vcpu->arch.xcr0 : 0;
	e->value_size = 0;

	/* It stays where it is: nothing else of this vCPU is read before it is complete. */
	mmio->insn = mkvm_fetch_kept(vcpu);
	if (likely(mmio->insn))
		mkvm_x86_cpu_in_mode(vcpu, &mmio->cpu, mmio->insn->mode);
	else
		r = mkvm_mmio_fetch(vcpu);
	if (!r && !mkvm_one_access(mmio->insn))
		mmio->one_access = false;
	return r;
}

static noinline void mkvm_block_by_mov_ss(struct mkvm_vcpu *vcpu)
{
	mkvm_reg_write(vcpu, MKVM_REG_BLOCKED, mkvm_blocked(vcpu) | MKVM_BLOCKED_MOV_SS);
}

/* With what is known of its reads. vm->srcu is held. Return: as x86_emulate(). */
static int mkvm_execute(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	int r;

	mmio->pos = 0;
	mmio->nr_writes = 0;
	mmio->cur_write = 0;
	r = x86_emulate(&mmio->emul, mmio->insn, &mmio->fault);
	if (!r && unlikely(x86_insn_loads_ss(mmio->insn)))
		mkvm_block_by_mov_ss(vcpu);
	return r;
}

/* What follows from executing the instruction, or the attempt: @r as x86_emulate(). */
static mkvm_run_t mkvm_executed(struct mkvm_vcpu *vcpu, int r)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;

	if (likely(!r))
		return mkvm_next_write(vcpu);
	switch (r) {
	case MKVM_NEED_USER:
		return mkvm_access_to_user(vcpu, &mmio->reads[mmio->nr_reads], false,
					   mkvm_complete_read);
	case -EINVAL:
		mkvm_queue_fault(vcpu, &mmio->fault);
		return MKVM_RUN_GUEST;
	case -EAGAIN:
		return MKVM_RUN_GUEST;
	default:
		return mkvm_emulation_failed(vcpu);
	}
}

/* The data of a read is there: once more from the start, or from this read if it is the operand's. */
static mkvm_run_t mkvm_complete_read(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	struct mkvm_access *a = &mmio->reads[mmio->nr_reads];
	mkvm_run_t ret;
	int idx;

	/* One address, instead of an index that is multiplied again for each member. */
	OPTIMIZER_HIDE_VAR(a);
	/* Userspace has moved the vCPU away from the instruction. */
	if (mkvm_moved(vcpu))
		return MKVM_RUN_GUEST;
	a->value = mkvm_value(a->pio ? vcpu->arch.pio_data : vcpu->run->mmio.data, a->len);
	mkvm_trace_access(vcpu, false, a);
	mmio->nr_reads++;
	/* Otherwise it is a part only, or there are several. */
	mmio->emul.value = a->value;
	mmio->emul.value_size = mmio->nr_reads == 1 && !a->pio ? a->len : 0;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = mkvm_executed(vcpu, mkvm_execute(vcpu));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* Execute the instruction at RIP. vm->srcu is held, and the guest's FPU state in the registers. */
static mkvm_run_t mkvm_emulate(struct mkvm_vcpu *vcpu)
{
	int r = mkvm_begin(vcpu);

	return mkvm_executed(vcpu, r ?: mkvm_execute(vcpu));
}

/** mkvm_mmio_init() - what the emulator is told about the vCPU and never changes
 * @vcpu: the vCPU, being created */
void mkvm_mmio_init(struct mkvm_vcpu *vcpu)
{
	vcpu->arch.mmio.emul.ops = &mkvm_emul_ops;
	vcpu->arch.mmio.emul.cpu = &vcpu->arch.mmio.cpu;
	/* No guest can address that one. */
	vcpu->arch.mmio.hole = ~0ull;
	mkvm_x86_cpu_init(vcpu, &vcpu->arch.mmio.cpu);
}

/**
 * mkvm_emulate_insn() - execute the instruction at RIP here
 * @vcpu: the vCPU; vm->srcu held
 *
 * Context: inside KVM_RUN, interrupts on.
 * Return: %MKVM_RUN_USER with KVM_EXIT_MMIO or KVM_EXIT_IO, or with KVM_EXIT_INTERNAL_ERROR when the
 * instruction cannot be executed here; %MKVM_RUN_GUEST when it is complete, the guest has a fault
 * to take or must try again.
 */
mkvm_run_t mkvm_emulate_insn(struct mkvm_vcpu *vcpu)
{
	vcpu->arch.mmio.one_access = false;
	return mkvm_emulate(vcpu);
}

/* No instruction did this: a descriptor table or stack is in a hole. */
static noinline mkvm_run_t mkvm_delivery_failed(struct mkvm_vcpu *vcpu, gpa_t gpa)
{
	const u64 data[] = { vcpu->arch.event.vector, vcpu->arch.event.type, gpa };

	return mkvm_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, ARRAY_SIZE(data), data);
}

/**
 * mkvm_handle_mmio() - the guest touched an address that is not memory, or wrote to one that is read-only
 * @vcpu: the vCPU; vm->srcu held
 * @gpa: the address that faulted
 * @fault: MKVM_FAULT_* bits
 *
 * Return: as mkvm_emulate_insn().
 */
mkvm_run_t mkvm_handle_mmio(struct mkvm_vcpu *vcpu, gpa_t gpa, u32 fault)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;

	if (unlikely(vcpu->arch.event.type != MKVM_EVENT_NONE))
		return mkvm_delivery_failed(vcpu, gpa);
	mmio->gpa = gpa;
	/* Not when it is one of the guest's page tables that is not in memory. */
	mmio->one_access = fault & MKVM_FAULT_FINAL;
	return mkvm_emulate(vcpu);
}
