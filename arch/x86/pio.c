// SPDX-License-Identifier: GPL-2.0
/*
 * Port I/O: IN, OUT and their string forms, carried out by userspace.
 *
 * The permission checks (CPL, IOPL, the TSS's bitmap) are done by the CPU before it
 * exits; the checks of a string instruction's memory operand are not (SDM, "Relative
 * Priority of Faults and VM Exits"), and are made here.
 *
 * When the registers change, as userspace can see between two KVM_RUN:
 *   OUT, IN	after userspace has done the access, with the next KVM_RUN; OUT to
 *		port 0x7e before
 *   OUTS	before: the elements in the page count as written
 *   INS	after, when the elements are stored
 */
#include "mmu/gwalk.h"
#include "trace.h"
#include "x86.h"

/* Fill in the run struct. The page already holds the data of a write. */
static mkvm_run_t mkvm_pio_to_user(struct mkvm_vcpu *vcpu, bool in, u16 port, u8 size,
				   u32 count)
{
	struct kvm_run *run = vcpu->run;

	vcpu->arch.pio.rip = mkvm_rip(vcpu);
	vcpu->arch.pio.port = port;
	vcpu->arch.pio.size = size;
	vcpu->arch.pio.count = count;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.port = port;
	run->io.size = size;
	run->io.count = count;
	run->io.data_offset = MKVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return MKVM_RUN_USER;
}

/* Has userspace moved the vCPU away from the instruction (a reset, say)? */
static bool mkvm_pio_abandoned(struct mkvm_vcpu *vcpu)
{
	return mkvm_rip(vcpu) != vcpu->arch.pio.rip;
}

/* --- IN, OUT ------------------------------------------------------------------- */

static mkvm_run_t mkvm_complete_out(struct mkvm_vcpu *vcpu)
{
	if (!mkvm_pio_abandoned(vcpu))
		mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

/*
 * Some VMMs reset the vCPU when the guest writes to port 0x7e, and count on RIP being behind the
 * instruction already.
 */
static bool mkvm_out_skips_first(struct mkvm_vcpu *vcpu, u16 port)
{
	return port == 0x7e && mkvm_has_quirk(vcpu->vm, KVM_X86_QUIRK_OUT_7E_INC_RIP);
}

static mkvm_run_t mkvm_complete_in(struct mkvm_vcpu *vcpu)
{
	u8 size = vcpu->arch.pio.size;
	unsigned long rax = vcpu->arch.regs[MKVM_REG_RAX];
	u32 value;

	if (mkvm_pio_abandoned(vcpu))
		return MKVM_RUN_GUEST;

	value = *(u32 *)vcpu->arch.pio_data;
	if (size < 4)
		value &= BIT(size * 8) - 1;
	trace_mkvm_pio(vcpu, true, vcpu->arch.pio.port, size, 1);
	/* AL and AX keep what is above them, EAX does not. */
	if (size == 4)
		rax = value;
	else
		rax = (rax & ~(BIT(size * 8) - 1)) | value;
	vcpu->arch.regs[MKVM_REG_RAX] = rax;
	mkvm_skip_instruction(vcpu);
	return MKVM_RUN_GUEST;
}

static mkvm_run_t mkvm_in(struct mkvm_vcpu *vcpu, const struct mkvm_pio_exit *pio)
{
	*(u32 *)vcpu->arch.pio_data = 0;
	vcpu->arch.complete = mkvm_complete_in;
	return mkvm_pio_to_user(vcpu, true, pio->port, pio->size, 1);
}

static mkvm_run_t mkvm_out(struct mkvm_vcpu *vcpu, const struct mkvm_pio_exit *pio)
{
	/* More than @size bytes perhaps: nobody looks at the rest. */
	*(u32 *)vcpu->arch.pio_data = vcpu->arch.regs[MKVM_REG_RAX];
	trace_mkvm_pio(vcpu, false, pio->port, pio->size, 1);
	if (unlikely(mkvm_bus_write(vcpu->vm, true, pio->port, vcpu->arch.pio_data, pio->size)))
		return mkvm_handle_skip(vcpu);
	if (unlikely(mkvm_out_skips_first(vcpu, pio->port)))
		mkvm_skip_instruction(vcpu);
	else
		vcpu->arch.complete = mkvm_complete_out;
	return mkvm_pio_to_user(vcpu, false, pio->port, pio->size, 1);
}

/* --- INS, OUTS ------------------------------------------------------------------- */

static u64 mkvm_addr_mask(u8 addr_size)
{
	return addr_size == 8 ? ~0ull : BIT_ULL(addr_size * 8) - 1;
}

/* Add to the part of a register that an address size uses; 32 bits zero the rest. */
static void mkvm_reg_add(struct mkvm_vcpu *vcpu, enum mkvm_reg reg, u8 addr_size, s64 delta)
{
	u64 mask = mkvm_addr_mask(addr_size), old = mkvm_reg_read(vcpu, reg);
	u64 new = (old + delta) & mask;

	if (addr_size == 2)
		new |= old & ~mask;
	mkvm_reg_write(vcpu, reg, new);
}

/* @count elements are done: move index and counter, leave the instruction at its end. */
static void mkvm_string_advance(struct mkvm_vcpu *vcpu, enum mkvm_reg index, u8 addr_size,
				u8 size, u32 count, bool rep)
{
	s64 bytes = (s64)count * size;

	if (mkvm_rflags(vcpu) & X86_EFLAGS_DF)
		bytes = -bytes;
	mkvm_reg_add(vcpu, index, addr_size, bytes);
	if (rep) {
		mkvm_reg_add(vcpu, MKVM_REG_RCX, addr_size, -(s64)count);
		if (vcpu->arch.regs[MKVM_REG_RCX] & mkvm_addr_mask(addr_size))
			return;
	}
	mkvm_skip_instruction(vcpu);
}

/*
 * How many elements in one go, and where: within one page, upwards only. An element that
 * crosses a page goes alone.
 * Return: 0, or EINVAL with the fault.
 */
static int mkvm_string_extent(struct mkvm_vcpu *vcpu, const struct mkvm_pio_exit *pio,
			      enum mkvm_reg index, unsigned int seg, u64 *la, u32 *count,
			      struct x86_fault *fault)
{
	u64 mask = mkvm_addr_mask(pio->addr_size);
	u64 ea = mkvm_reg_read(vcpu, index) & mask;
	u64 left = pio->rep ? vcpu->arch.regs[MKVM_REG_RCX] & mask : 1;
	struct x86_cpu cpu;
	u64 n, end;
	int r;

	mkvm_x86_cpu(vcpu, &cpu);
	r = x86_seg_linear(&cpu, seg, ea, pio->size, pio->in, la, fault);
	if (r)
		return r;

	*count = 1;
	if (mkvm_rflags(vcpu) & X86_EFLAGS_DF)
		return 0;
	n = min_t(u64, left, (PAGE_SIZE - offset_in_page(*la)) / pio->size);
	/* The index must not wrap within the batch, and the segment must hold all of it. */
	end = ea + n * pio->size - 1;
	if (n > 1 && end <= mask && end >= ea &&
	    !x86_seg_linear(&cpu, seg, ea, n * pio->size, pio->in, &end, fault))
		*count = n;
	return 0;
}

static mkvm_run_t mkvm_string_failed(struct mkvm_vcpu *vcpu, int err,
				     const struct x86_fault *fault)
{
	switch (err) {
	case -EINVAL:
		mkvm_queue_fault(vcpu, fault);
		return MKVM_RUN_GUEST;
	case -EAGAIN:
		return MKVM_RUN_GUEST;
	default:
		/* The memory operand is a device. */
		return mkvm_emulate_insn(vcpu);
	}
}

static mkvm_run_t mkvm_outs(struct mkvm_vcpu *vcpu, const struct mkvm_pio_exit *pio)
{
	struct x86_fault fault;
	mkvm_run_t ret;
	u32 count;
	u64 la;
	int r;

	r = mkvm_string_extent(vcpu, pio, MKVM_REG_RSI, pio->seg, &la, &count, &fault);
	if (!r)
		r = mkvm_read_gva(vcpu, la, MKVM_GVA_READ, vcpu->arch.pio_data,
				  count * pio->size, &fault);
	if (r)
		return mkvm_string_failed(vcpu, r, &fault);

	trace_mkvm_pio(vcpu, false, pio->port, pio->size, count);
	ret = mkvm_pio_to_user(vcpu, false, pio->port, pio->size, count);
	mkvm_string_advance(vcpu, MKVM_REG_RSI, pio->addr_size, pio->size, count, pio->rep);
	return ret;
}

/*
 * How many elements to store of those that userspace has put into the page. It may have
 * changed RCX meanwhile, and the counter must not pass 0.
 */
static u32 mkvm_ins_elements(struct mkvm_vcpu *vcpu, const struct mkvm_pio *done)
{
	u64 left = vcpu->arch.regs[MKVM_REG_RCX] & mkvm_addr_mask(done->addr_size);

	return done->rep ? min_t(u64, done->count, left) : done->count;
}

/* Store what userspace has put into the page. */
static mkvm_run_t mkvm_store_ins(struct mkvm_vcpu *vcpu)
{
	const struct mkvm_pio *done = &vcpu->arch.pio;
	const struct mkvm_pio_exit pio = {
		.size = done->size, .in = true, .string = true, .rep = done->rep,
		.addr_size = done->addr_size,
	};
	u32 elements = mkvm_ins_elements(vcpu, done), bytes = done->size * elements, count;
	const void *data = vcpu->arch.pio_data;
	struct gwalk_result res;
	struct x86_fault fault;
	u64 la;
	int r;

	if (mkvm_pio_abandoned(vcpu))
		return MKVM_RUN_GUEST;

	trace_mkvm_pio(vcpu, true, done->port, done->size, done->count);
	/* Again, because userspace may have changed registers and tables meanwhile. */
	r = mkvm_string_extent(vcpu, &pio, MKVM_REG_RDI, X86_SEG_ES, &la, &count, &fault);
	while (!r && bytes) {
		unsigned int n = min_t(unsigned int, bytes, PAGE_SIZE - offset_in_page(la));
		unsigned int tries = 8;

		/* The device has been read: the data must not be lost to a race with the guest. */
		do {
			r = mkvm_translate(vcpu, la, GWALK_WRITE, &res);
		} while (r == -EAGAIN && --tries);
		if (r == -EINVAL)
			fault = res.fault;
		if (!r)
			r = mkvm_write_guest(vcpu->vm, res.gpa, data, n);
		la += n;
		data += n;
		bytes -= n;
	}
	if (r)
		return mkvm_string_failed(vcpu, r, &fault);
	mkvm_string_advance(vcpu, MKVM_REG_RDI, done->addr_size, done->size, elements, done->rep);
	return MKVM_RUN_GUEST;
}

static mkvm_run_t mkvm_complete_ins(struct mkvm_vcpu *vcpu)
{
	mkvm_run_t ret;
	int idx;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = mkvm_store_ins(vcpu);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* Can INS store there? EFAULT: not memory, or read-only. */
static int mkvm_ins_target(struct mkvm_vcpu *vcpu, u64 la, struct x86_fault *fault)
{
	const struct mkvm_memslot *slot;
	struct gwalk_result res;
	int r;

	r = mkvm_translate(vcpu, la, GWALK_WRITE, &res);
	if (r == -EINVAL)
		*fault = res.fault;
	if (r)
		return r;
	slot = mkvm_gfn_to_slot(vcpu->vm, res.gpa >> PAGE_SHIFT);
	return !slot || slot->flags & KVM_MEM_READONLY ? -EFAULT : 0;
}

static mkvm_run_t mkvm_ins(struct mkvm_vcpu *vcpu, const struct mkvm_pio_exit *pio)
{
	struct x86_fault fault;
	u32 count;
	u64 la, last;
	int r;

	r = mkvm_string_extent(vcpu, pio, MKVM_REG_RDI, X86_SEG_ES, &la, &count, &fault);
	if (r)
		return mkvm_string_failed(vcpu, r, &fault);

	/* A device must not be read for data that cannot be stored. */
	last = la + (u64)count * pio->size - 1;
	r = mkvm_ins_target(vcpu, la, &fault);
	if (!r && (la ^ last) & PAGE_MASK)
		r = mkvm_ins_target(vcpu, last & PAGE_MASK, &fault);
	if (r)
		return mkvm_string_failed(vcpu, r, &fault);

	memset(vcpu->arch.pio_data, 0, count * pio->size);
	vcpu->arch.pio.addr_size = pio->addr_size;
	vcpu->arch.pio.rep = pio->rep;
	vcpu->arch.complete = mkvm_complete_ins;
	return mkvm_pio_to_user(vcpu, true, pio->port, pio->size, count);
}

/**
 * mkvm_handle_pio() - a port access that no device in the kernel claims
 * @vcpu: the vCPU; for INS and OUTS vm->srcu held
 * @pio: the decoded access
 *
 * Context: IN and OUT also with interrupts off.
 * Return: %MKVM_RUN_USER with KVM_EXIT_IO, or %MKVM_RUN_GUEST when there was nothing to
 * do (REP with a count of 0) or the memory operand faults.
 */
mkvm_run_t mkvm_handle_pio(struct mkvm_vcpu *vcpu, const struct mkvm_pio_exit *pio)
{
	if (!pio->string)
		return pio->in ? mkvm_in(vcpu, pio) : mkvm_out(vcpu, pio);

	if (pio->rep &&
	    !(vcpu->arch.regs[MKVM_REG_RCX] & mkvm_addr_mask(pio->addr_size))) {
		mkvm_skip_instruction(vcpu);
		return MKVM_RUN_GUEST;
	}
	return pio->in ? mkvm_ins(vcpu, pio) : mkvm_outs(vcpu, pio);
}
