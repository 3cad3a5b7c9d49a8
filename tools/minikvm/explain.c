// SPDX-License-Identifier: GPL-2.0
/* Words for what a vCPU did: every exit by name, every bad end with a reason. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "minikvm.h"

/* exit_name - KVM_EXIT_* without its prefix */
static const char *exit_name(uint32_t reason)
{
#define NAME(name) case KVM_EXIT_##name: return #name
	switch (reason) {
	NAME(UNKNOWN);
	NAME(EXCEPTION);
	NAME(IO);
	NAME(HYPERCALL);
	NAME(DEBUG);
	NAME(HLT);
	NAME(MMIO);
	NAME(IRQ_WINDOW_OPEN);
	NAME(SHUTDOWN);
	NAME(FAIL_ENTRY);
	NAME(INTR);
	NAME(SET_TPR);
	NAME(TPR_ACCESS);
	NAME(NMI);
	NAME(INTERNAL_ERROR);
	NAME(SYSTEM_EVENT);
	NAME(X86_RDMSR);
	NAME(X86_WRMSR);
	}
	return "a reason that this program does not know";
#undef NAME
}

/* print_bytes - up to eight bytes in hex, and as text when they are text */
static void print_bytes(const uint8_t *data, size_t size)
{
	size_t i, shown = size < 8 ? size : 8;

	for (i = 0; i < shown; i++)
		fprintf(stderr, " %02x", data[i]);
	if (shown < size)
		fprintf(stderr, " ...");
	if (size == 1 && isprint(data[0]))
		fprintf(stderr, " '%c'", data[0]);
}

/* print_io - direction, port, size, count and, for OUT, the bytes */
static void print_io(const struct kvm_run *run)
{
	const uint8_t *data = (const uint8_t *)run + run->io.data_offset;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;

	fprintf(stderr, " %s port 0x%x size %u count %u", out ? "OUT" : "IN",
		run->io.port, run->io.size, run->io.count);
	if (out)
		print_bytes(data, (size_t)run->io.size * run->io.count);
}

/* print_mmio - direction, address, length and, for a write, the bytes */
static void print_mmio(const struct kvm_run *run)
{
	fprintf(stderr, " %s address 0x%llx length %u",
		run->mmio.is_write ? "write" : "read",
		(unsigned long long)run->mmio.phys_addr, run->mmio.len);
	if (run->mmio.is_write && run->mmio.len <= sizeof(run->mmio.data))
		print_bytes(run->mmio.data, run->mmio.len);
}

/* print_exit - the line of --trace-exits */
void print_exit(const struct vm *vm, unsigned long number)
{
	const struct kvm_run *run = vm->run;
	struct kvm_regs regs;

	fprintf(stderr, "exit %lu: %s", number, exit_name(run->exit_reason));
	if (run->exit_reason == KVM_EXIT_IO)
		print_io(run);
	else if (run->exit_reason == KVM_EXIT_MMIO)
		print_mmio(run);
	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, &regs) == 0)
		fprintf(stderr, " rip 0x%llx", (unsigned long long)regs.rip);
	fprintf(stderr, "\n");
}

/* print_words - the values that an internal error carries */
static void print_words(const struct kvm_run *run)
{
	uint32_t i;

	for (i = 0; i < run->internal.ndata && i < 16; i++)
		fprintf(stderr, "%s0x%llx", i ? " " : "minikvm: data: ",
			(unsigned long long)run->internal.data[i]);
	if (i)
		fprintf(stderr, "\n");
}

/* explain_end - say why the guest cannot go on, and what to look at next */
void explain_end(const struct vm *vm)
{
	const struct kvm_run *run = vm->run;

	fprintf(stderr, "minikvm: the guest ended with exit %u, %s\n",
		run->exit_reason, exit_name(run->exit_reason));
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		fprintf(stderr, "minikvm: a triple fault: an exception came, and its handler and the double fault's could not be called.\n"
			"minikvm: next: look at the instruction at RIP and at the guest's IDT; a guest without IDT ends so with its first exception.\n");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(stderr, "minikvm: the CPU refused to enter the guest, hardware reason 0x%llx on CPU %u.\n"
			"minikvm: next: the registers below contradict each other; dmesg has the module's print of the whole state.\n",
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason,
			run->fail_entry.cpu);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(stderr, "minikvm: the module cannot do what the guest wants, suberror %u%s.\n"
			"minikvm: next: look at the instruction at RIP; Documentation/limits.rst says what is not emulated, dmesg may say more.\n",
			run->internal.suberror,
			run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ?
			" (an instruction that is not emulated)" : "");
		print_words(run);
		break;
	case KVM_EXIT_MMIO:
		fprintf(stderr, "minikvm: the guest accessed memory where there is none:");
		print_mmio(run);
		fprintf(stderr, "\nminikvm: next: give the guest more memory with --mem (it has 0x%" PRIx64 " bytes from 0 on), or mend the address.\n",
			vm->mem_size);
		break;
	case KVM_EXIT_UNKNOWN:
		fprintf(stderr, "minikvm: hardware exit reason 0x%llx has no meaning to the module.\n"
			"minikvm: next: the CPU's manual names it; dmesg may say more.\n",
			(unsigned long long)run->hw.hardware_exit_reason);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		fprintf(stderr, "minikvm: the guest asked for shutdown or reset, type %u.\n",
			run->system_event.type);
		break;
	default:
		fprintf(stderr, "minikvm: this program does not handle it.\n");
	}
}

/* print_segment - one line for a segment register */
static void print_segment(const char *name, const struct kvm_segment *s)
{
	fprintf(stderr, "  %s   %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u db %u g %u\n",
		name, s->selector, (unsigned long long)s->base, s->limit,
		s->type, s->s, s->dpl, s->present, s->l, s->db, s->g);
}

/* print_registers - the whole vCPU as far as one looks at it first */
void print_registers(const struct vm *vm)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, &r) < 0 ||
	    ioctl(vm->vcpu_fd, KVM_GET_SREGS, &s) < 0) {
		fprintf(stderr, "minikvm: the registers cannot be read: %s\n",
			strerror(errno));
		return;
	}
	fprintf(stderr,
		"  rip  %016llx  rflags %016llx\n"
		"  rax  %016llx  rbx  %016llx  rcx  %016llx  rdx  %016llx\n"
		"  rsi  %016llx  rdi  %016llx  rsp  %016llx  rbp  %016llx\n"
		"  r8   %016llx  r9   %016llx  r10  %016llx  r11  %016llx\n"
		"  r12  %016llx  r13  %016llx  r14  %016llx  r15  %016llx\n"
		"  cr0  %016llx  cr2  %016llx  cr3  %016llx  cr4  %016llx\n"
		"  efer %016llx\n",
		r.rip, r.rflags, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi,
		r.rsp, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14,
		r.r15, s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
	print_segment("cs", &s.cs);
	print_segment("ss", &s.ss);
	print_segment("ds", &s.ds);
	print_segment("es", &s.es);
}
