// SPDX-License-Identifier: GPL-2.0
/*
 * The two modes that a guest can start in, and its first registers.
 *
 * A new vCPU is as a CPU after reset: real mode, at the last 16 bytes below
 * 4 GiB, where a PC has its firmware. Here is none, so the vCPU is moved.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "minikvm.h"

#define PAGE		4096ull
#define PAGE_2M		(2ull << 20)

/* PML4, page directory pointers, and four page directories: 4 GiB. */
#define TABLE_PAGES	6

#define CR0_PE		(1ull << 0)
#define CR0_PG		(1ull << 31)
#define CR4_PAE		(1ull << 5)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)

#define ENTRY_PRESENT	(1ull << 0)
#define ENTRY_WRITE	(1ull << 1)
#define ENTRY_LARGE	(1ull << 7)

/* get_sregs - read segment and control registers */
static void get_sregs(struct vm *vm, struct kvm_sregs *sregs)
{
	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, sregs) < 0)
		fail_errno("KVM_GET_SREGS");
}

/* set_sregs - write them back */
static void set_sregs(struct vm *vm, const struct kvm_sregs *sregs)
{
	if (ioctl(vm->vcpu_fd, KVM_SET_SREGS, sregs) < 0)
		fail_errno("KVM_SET_SREGS");
}

/* set_real_mode - CS base 0; all else as after reset */
void set_real_mode(struct vm *vm)
{
	struct kvm_sregs sregs;

	get_sregs(vm, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	set_sregs(vm, &sregs);
}

/* usable_memory - bytes from LOAD_ADDR on that the guest's file may have */
uint64_t usable_memory(const struct vm *vm, bool long_mode)
{
	uint64_t tables = long_mode ? TABLE_PAGES * PAGE : 0;

	if (vm->mem_size < LOAD_ADDR + PAGE + tables)
		return 0;
	return vm->mem_size - LOAD_ADDR - tables;
}

/*
 * build_page_tables - map the low 4 GiB to themselves by 2 MiB pages
 *
 * The tables take the last TABLE_PAGES pages of memory. Returns the address of
 * the first, for CR3.
 */
static uint64_t build_page_tables(struct vm *vm)
{
	uint64_t base = vm->mem_size - TABLE_PAGES * PAGE;
	uint64_t *pml4 = (uint64_t *)(vm->mem + base);
	uint64_t *pdpt = pml4 + 512;
	uint64_t *pd = pdpt + 512;
	uint64_t i;

	pml4[0] = (base + PAGE) | ENTRY_PRESENT | ENTRY_WRITE;
	for (i = 0; i < 4; i++)
		pdpt[i] = (base + (2 + i) * PAGE) | ENTRY_PRESENT | ENTRY_WRITE;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i * PAGE_2M | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE;
	return base;
}

/*
 * set_long_mode - 64-bit mode, ring 0, flat segments, paging on
 *
 * Segment registers are set as if they had been loaded from descriptors; the
 * guest has no GDT until it makes one. No IDT either: an exception is the end.
 */
void set_long_mode(struct vm *vm)
{
	struct kvm_segment code = {
		.selector = 0x08, .limit = 0xffffffff, .type = 11, .s = 1,
		.present = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.selector = 0x10, .limit = 0xffffffff, .type = 3, .s = 1,
		.present = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	get_sregs(vm, &sregs);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = build_page_tables(vm);
	sregs.cr4 |= CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs.efer |= EFER_LME | EFER_LMA;
	sregs.cr0 |= CR0_PE | CR0_PG;
	sregs.idt.limit = 0;
	set_sregs(vm, &sregs);
}

/* Names for --regs and where they are in struct kvm_regs. */
static const struct {
	const char *name;
	size_t offset;
} reg_names[] = {
#define REG(name) { #name, offsetof(struct kvm_regs, name) }
	REG(rax), REG(rbx), REG(rcx), REG(rdx), REG(rsi), REG(rdi), REG(rsp),
	REG(rbp), REG(r8), REG(r9), REG(r10), REG(r11), REG(r12), REG(r13),
	REG(r14), REG(r15), REG(rip), REG(rflags),
};

/* set_one - put "NAME=VALUE" into @regs */
static void set_one(struct kvm_regs *regs, char *text)
{
	char *equals = strchr(text, '=');
	uint64_t value;
	size_t i;

	if (!equals || !parse_number(equals + 1, &value))
		fail("--regs wants NAME=NUMBER, got \"%s\"", text);
	*equals = 0;
	for (i = 0; i < sizeof(reg_names) / sizeof(reg_names[0]); i++) {
		if (strcmp(text, reg_names[i].name) == 0) {
			memcpy((char *)regs + reg_names[i].offset, &value,
			       sizeof(value));
			return;
		}
	}
	fail("--regs: there is no register \"%s\" (rax to r15, rip, rflags)",
	     text);
}

/*
 * set_registers - the first values of the general registers
 *
 * RIP is where the guest was loaded, the stack goes down from there, and the
 * one bit of RFLAGS that is always set is set; @list may say otherwise.
 */
void set_registers(struct vm *vm, const char *list)
{
	struct kvm_regs regs = {
		.rip = LOAD_ADDR,
		.rsp = LOAD_ADDR,
		.rflags = 2,
	};
	char *copy, *word, *state;

	if (list) {
		copy = strdup(list);
		if (!copy)
			fail("out of memory");
		for (word = strtok_r(copy, ",", &state); word;
		     word = strtok_r(NULL, ",", &state))
			set_one(&regs, word);
		free(copy);
	}
	if (ioctl(vm->vcpu_fd, KVM_SET_REGS, &regs) < 0)
		fail_errno("KVM_SET_REGS");
}
