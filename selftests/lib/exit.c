// SPDX-License-Identifier: GPL-2.0
/* Running a vCPU and saying what came of it; see vm.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/vm.h"

#define ROW(name) [KVM_EXIT_##name] = #name

static const char *const exit_names[] = {
	ROW(UNKNOWN), ROW(EXCEPTION), ROW(IO), ROW(HYPERCALL), ROW(DEBUG),
	ROW(HLT), ROW(MMIO), ROW(IRQ_WINDOW_OPEN), ROW(SHUTDOWN),
	ROW(FAIL_ENTRY), ROW(INTR), ROW(SET_TPR), ROW(TPR_ACCESS), ROW(NMI),
	ROW(INTERNAL_ERROR), ROW(SYSTEM_EVENT), ROW(IOAPIC_EOI),
	ROW(X86_RDMSR), ROW(X86_WRMSR), ROW(DIRTY_RING_FULL),
	ROW(X86_BUS_LOCK), ROW(NOTIFY),
};

/* KVM_EXIT_* without the prefix. */
const char *test_exit_name(uint32_t reason)
{
	if (reason < sizeof(exit_names) / sizeof(exit_names[0]) &&
	    exit_names[reason])
		return exit_names[reason];
	return "(no such reason)";
}

/* One KVM_RUN, as it comes. */
int __vcpu_run(struct test_vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_RUN, 0);
}

/* One KVM_RUN that has to end with an exit to userspace. */
void vcpu_run(struct test_vcpu *vcpu)
{
	/* A reason that nothing sets, so that a stale one is not believed. */
	vcpu->run->exit_reason = ~0u;
	if (__vcpu_run(vcpu) != 0) {
		int saved_errno = errno;

		vcpu_dump(vcpu);
		errno = saved_errno;
		TEST_FAIL("KVM_RUN of vCPU %d failed", vcpu->id);
	}
	errno = 0;
}

/* The part of kvm_run that belongs to the exit reason. */
static void dump_exit(const struct kvm_run *run)
{
	fprintf(stderr, "# exit %u %s", run->exit_reason,
		test_exit_name(run->exit_reason));
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		fprintf(stderr, ": %s port %#x size %u count %u",
			run->io.direction == KVM_EXIT_IO_OUT ? "OUT" : "IN",
			run->io.port, run->io.size, run->io.count);
		break;
	case KVM_EXIT_MMIO:
		fprintf(stderr, ": %s GPA %#llx length %u",
			run->mmio.is_write ? "write" : "read",
			run->mmio.phys_addr, run->mmio.len);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(stderr, ": hardware reason %#llx",
			run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(stderr, ": suberror %u, %u words",
			run->internal.suberror, run->internal.ndata);
		for (unsigned int i = 0; i < run->internal.ndata && i < 16; i++)
			fprintf(stderr, " %#llx", run->internal.data[i]);
		break;
	case KVM_EXIT_UNKNOWN:
		fprintf(stderr, ": hardware reason %#llx",
			run->hw.hardware_exit_reason);
		break;
	}
	fprintf(stderr, "\n");
}

/* What a reader of a failed test wants to see of the vCPU. */
void vcpu_dump(struct test_vcpu *vcpu)
{
	struct guest_exception *exc = NULL;
	struct kvm_sregs s;
	struct kvm_regs r;

	dump_exit(vcpu->run);
	if (ioctl(vcpu->fd, KVM_GET_REGS, &r) ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &s)) {
		fprintf(stderr, "# registers cannot be read: %s\n",
			strerror(errno));
		return;
	}
	fprintf(stderr, "# rip %#llx rflags %#llx rsp %#llx rbp %#llx\n",
		r.rip, r.rflags, r.rsp, r.rbp);
	fprintf(stderr, "# rax %#llx rbx %#llx rcx %#llx rdx %#llx rsi %#llx rdi %#llx\n",
		r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi);
	fprintf(stderr, "# r8 %#llx r9 %#llx r10 %#llx r11 %#llx r12 %#llx r13 %#llx r14 %#llx r15 %#llx\n",
		r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15);
	fprintf(stderr, "# cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx efer %#llx\n",
		s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
	fprintf(stderr, "# cs %#x base %#llx limit %#x type %u s %u dpl %u p %u l %u db %u\n",
		s.cs.selector, s.cs.base, s.cs.limit, s.cs.type, s.cs.s,
		s.cs.dpl, s.cs.present, s.cs.l, s.cs.db);
	if (vcpu->vm->slots[0].used && vcpu->vm->slots[0].gpa == 0 &&
	    vcpu->vm->slots[0].size >= GUEST_MEM_SIZE)
		exc = vm_exception(vcpu->vm);
	if (exc && exc->count)
		fprintf(stderr, "# guest handler: vector %llu error %#llx rip %#llx cs %#llx rflags %#llx cr2 %#llx, %llu in all\n",
			(unsigned long long)exc->vector,
			(unsigned long long)exc->error,
			(unsigned long long)exc->rip,
			(unsigned long long)exc->cs,
			(unsigned long long)exc->rflags,
			(unsigned long long)exc->cr2,
			(unsigned long long)exc->count);
}

/* End the test unless the last exit was @reason. */
void vcpu_expect_at(struct test_vcpu *vcpu, uint32_t reason, const char *file,
		    int line)
{
	if (vcpu->run->exit_reason == reason)
		return;
	vcpu_dump(vcpu);
	test_die(file, line, "want exit %s, got %s", test_exit_name(reason),
		 test_exit_name(vcpu->run->exit_reason));
}

/* Run up to a port access; returns where its data are in the run area. */
void *vcpu_run_to_io_at(struct test_vcpu *vcpu, int dir, uint16_t port,
			int size, uint32_t count, const char *file, int line)
{
	struct kvm_run *run = vcpu->run;

	vcpu_run(vcpu);
	vcpu_expect_at(vcpu, KVM_EXIT_IO, file, line);
	if (run->io.direction != dir || run->io.port != port ||
	    run->io.size != size || run->io.count != count) {
		vcpu_dump(vcpu);
		test_die(file, line, "want %s port %#x size %d count %u",
			 dir == KVM_EXIT_IO_OUT ? "OUT" : "IN", port, size,
			 count);
	}
	if (run->io.data_offset + (uint64_t)size * count > vcpu->run_size)
		test_die(file, line, "data_offset %#llx is outside the mapping",
			 run->io.data_offset);
	return (uint8_t *)run + run->io.data_offset;
}

/* Run up to an MMIO access; returns its data bytes. */
void *vcpu_run_to_mmio_at(struct test_vcpu *vcpu, bool write, uint64_t gpa,
			  uint32_t len, const char *file, int line)
{
	struct kvm_run *run = vcpu->run;

	vcpu_run(vcpu);
	vcpu_expect_at(vcpu, KVM_EXIT_MMIO, file, line);
	if (!!run->mmio.is_write != write || run->mmio.phys_addr != gpa ||
	    run->mmio.len != len) {
		vcpu_dump(vcpu);
		test_die(file, line, "want %s GPA %#lx length %u",
			 write ? "write" : "read", gpa, len);
	}
	return run->mmio.data;
}

/* The record that the handlers of lib/handlers.S write. */
struct guest_exception *vm_exception(struct test_vm *vm)
{
	return vm_hva(vm, GUEST_EXCEPTION, sizeof(struct guest_exception));
}

/*
 * Run until a handler halted; the exception has to be @vector with @error
 * (EXC_NO_ERROR where the CPU pushes none). The record is cleared after.
 */
struct guest_exception vcpu_run_to_exception_at(struct test_vcpu *vcpu,
						int vector, int64_t error,
						const char *file, int line)
{
	struct guest_exception *rec = vm_exception(vcpu->vm);
	struct guest_exception exc;

	vcpu_run(vcpu);
	vcpu_expect_at(vcpu, KVM_EXIT_HLT, file, line);
	exc = *rec;
	exc.error = (int64_t)(int32_t)exc.error;
	if (exc.count != 1 || exc.vector != (uint64_t)vector ||
	    (int64_t)exc.error != error) {
		vcpu_dump(vcpu);
		test_die(file, line, "want exception %d with error %#lx", vector,
			 (long)error);
	}
	memset(rec, 0, sizeof(*rec));
	return exc;
}

int vcpu_try(struct test_vcpu *vcpu, const void *code, size_t size,
	     struct kvm_regs *regs, int64_t *error)
{
	struct guest_exception *rec = vm_exception(vcpu->vm);
	int vector = -1;

	vm_load_bytes(vcpu->vm, code, size);
	*(uint8_t *)vm_hva(vcpu->vm, GUEST_CODE + size, 1) = 0xf4;
	regs->rip = GUEST_CODE;
	regs->rsp = GUEST_STACK_TOP;
	regs->rflags |= 2;
	vcpu_set_regs(vcpu, regs);
	vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, regs);
	if (rec->count) {
		vector = rec->vector;
		if (error)
			*error = (int32_t)rec->error;
		memset(rec, 0, sizeof(*rec));
	} else {
		TEST_EQ(GUEST_CODE + size + 1, regs->rip, "RIP at the HLT");
	}
	return vector;
}
