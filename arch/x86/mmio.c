// SPDX-License-Identifier: GPL-2.0
/*
 * Accesses to guest-physical addresses where no memory is: the instruction is read,
 * decoded and executed here, the device access itself is userspace's.
 *
 * A write is complete, as far as the registers go, when userspace hears of it; a read when
 * userspace comes back with the data.
 */
#include "mmio_op.h"
#include "mmu/gwalk.h"
#include "trace.h"
#include "x86.h"

/* KVM_INTERNAL_ERROR_EMULATION with the instruction's bytes: 3 words of data. */
static mkvm_run_t mkvm_emulation_failed(struct mkvm_vcpu *vcpu, const u8 *bytes,
					unsigned int nr)
{
	struct kvm_run *run = vcpu->run;

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

/* Offset of a fragment's bytes in the access. */
static unsigned int mkvm_mmio_offset(const struct mkvm_mmio *mmio, unsigned int nr)
{
	return nr ? mmio->frag[0].len : 0;
}

/* When the data is known: a write at the exit, a read when userspace is back. */
static void mkvm_trace_fragment(struct mkvm_vcpu *vcpu, const struct mkvm_mmio_fragment *frag,
				const void *data)
{
	u64 value = 0;

	memcpy(&value, data, frag->len);
	trace_mkvm_mmio(vcpu, vcpu->arch.mmio.op.is_write, frag->gpa, frag->len, value);
}

static mkvm_run_t mkvm_mmio_next(struct mkvm_vcpu *vcpu);

/* Of an MMIO access nothing but the registers is left to do: no memory slots. */
static mkvm_run_t mkvm_complete_mmio(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	const struct mkvm_mmio_fragment *frag = &mmio->frag[mmio->cur];

	/* Userspace has moved the vCPU away from the instruction. */
	if (mkvm_rip(vcpu) != mmio->rip)
		return MKVM_RUN_GUEST;
	if (!mmio->op.is_write) {
		void *data = mmio->data + mkvm_mmio_offset(mmio, mmio->cur);

		memcpy(data, vcpu->run->mmio.data, frag->len);
		mkvm_trace_fragment(vcpu, frag, data);
	}
	mmio->cur++;
	return mkvm_mmio_next(vcpu);
}

static void mkvm_mmio_finish_read(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	struct x86_cpu cpu;
	u64 data;

	memcpy(&data, mmio->data, sizeof(data));
	mkvm_x86_cpu(vcpu, &cpu);
	x86_mmio_complete(&mmio->op, &cpu, data);
	mkvm_advance_rip(vcpu, mmio->op.next_rip);
}

/* Hand the next piece that is a device's to userspace; at the end, finish a read. */
static mkvm_run_t mkvm_mmio_next(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	struct kvm_run *run = vcpu->run;

	for (; mmio->cur < mmio->nr; mmio->cur++) {
		const struct mkvm_mmio_fragment *frag = &mmio->frag[mmio->cur];
		const void *data = mmio->data + mkvm_mmio_offset(mmio, mmio->cur);

		if (!frag->device)
			continue;
		if (mmio->op.is_write &&
		    mkvm_coalesce(vcpu->vm, false, frag->gpa, data, frag->len))
			continue;

		run->exit_reason = KVM_EXIT_MMIO;
		run->mmio.phys_addr = frag->gpa;
		run->mmio.len = frag->len;
		run->mmio.is_write = mmio->op.is_write;
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
		if (mmio->op.is_write) {
			memcpy(run->mmio.data, data, frag->len);
			mkvm_trace_fragment(vcpu, frag, data);
		}
		mmio->rip = mkvm_rip(vcpu);
		vcpu->arch.complete = mkvm_complete_mmio;
		return MKVM_RUN_USER;
	}

	if (!mmio->op.is_write)
		mkvm_mmio_finish_read(vcpu);
	return MKVM_RUN_GUEST;
}

/* Cut the access at the page boundary and find out what is there. */
static int mkvm_mmio_split(struct mkvm_vcpu *vcpu, struct x86_fault *fault)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	u32 access = mmio->op.is_write ? GWALK_WRITE : 0;
	unsigned int left = mmio->op.size;
	u64 gla = mmio->op.gla;
	const struct mkvm_memslot *slot;
	struct gwalk_result res;
	int r;

	mmio->nr = 0;
	mmio->cur = 0;
	while (left) {
		struct mkvm_mmio_fragment *frag = &mmio->frag[mmio->nr++];

		r = mkvm_translate(vcpu, gla, access, &res);
		if (r) {
			*fault = res.fault;
			return r;
		}
		frag->gpa = res.gpa;
		frag->len = min_t(unsigned int, left, PAGE_SIZE - offset_in_page(gla));
		slot = mkvm_gfn_to_slot(vcpu->vm, res.gpa >> PAGE_SHIFT);
		frag->device = !slot ||
			       (mmio->op.is_write && slot->flags & KVM_MEM_READONLY);
		gla += frag->len;
		left -= frag->len;
	}
	return 0;
}

/* The pieces that are memory after all. */
static int mkvm_mmio_do_memory(struct mkvm_vcpu *vcpu)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	unsigned int i;
	int r = 0;

	for (i = 0; i < mmio->nr && !r; i++) {
		void *data = mmio->data + mkvm_mmio_offset(mmio, i);
		const struct mkvm_mmio_fragment *frag = &mmio->frag[i];

		if (frag->device)
			continue;
		if (mmio->op.is_write)
			r = mkvm_write_guest(vcpu->vm, frag->gpa, data, frag->len);
		else
			r = mkvm_read_guest(vcpu->vm, frag->gpa, data, frag->len);
	}
	return r;
}

/**
 * mkvm_handle_mmio() - the guest touched an address that is not memory
 * @vcpu: the vCPU; vm->srcu held
 * @gpa: the address that faulted
 *
 * Return: %MKVM_RUN_USER with KVM_EXIT_MMIO, or with KVM_EXIT_INTERNAL_ERROR when the
 * instruction cannot be executed here; %MKVM_RUN_GUEST when the guest has a fault to take or
 * must try again.
 */
mkvm_run_t mkvm_handle_mmio(struct mkvm_vcpu *vcpu, gpa_t gpa)
{
	struct mkvm_mmio *mmio = &vcpu->arch.mmio;
	u8 bytes[X86_INSN_MAX];
	struct x86_insn insn;
	struct x86_fault fault;
	struct x86_cpu cpu;
	unsigned int nr;
	int r;

	if (vcpu->arch.event.type != MKVM_EVENT_NONE) {
		/* No instruction did this: a descriptor table or stack is in a hole. */
		const u64 data[] = { vcpu->arch.event.vector, vcpu->arch.event.type, gpa };

		return mkvm_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV,
					   ARRAY_SIZE(data), data);
	}

	mkvm_x86_cpu(vcpu, &cpu);
	r = mkvm_fetch_insn(vcpu, &cpu, &insn, bytes, &nr);
	if (r == -EINVAL)
		fault = insn.fault;
	if (!r)
		r = x86_emulate_mmio(&insn, &cpu, &mmio->op, &fault);
	if (!r)
		r = mkvm_mmio_split(vcpu, &fault);
	if (!r) {
		memcpy(mmio->data, &mmio->op.value, sizeof(mmio->data));
		r = mkvm_mmio_do_memory(vcpu);
	}

	switch (r) {
	case 0:
		break;
	case -EINVAL:
		mkvm_queue_fault(vcpu, &fault);
		return MKVM_RUN_GUEST;
	case -EAGAIN:
		return MKVM_RUN_GUEST;
	default:
		return mkvm_emulation_failed(vcpu, bytes, nr);
	}

	if (mmio->op.is_write)
		mkvm_advance_rip(vcpu, mmio->op.next_rip);
	return mkvm_mmio_next(vcpu);
}
