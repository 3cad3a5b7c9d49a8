// SPDX-License-Identifier: GPL-2.0
/* A VM with one vCPU in 64-bit mode, its low 4 GiB mapped to themselves. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define PAGE_2M		(2ul << 20)
#define MAX_CPUID	256

#define CR0_PE		(1ul << 0)
#define CR0_PG		(1ul << 31)
#define CR4_PAE		(1ul << 5)
#define EFER_LME	(1ul << 8)
#define EFER_LMA	(1ul << 10)

/* Accessed and dirty already, so that the CPU has nothing to write there. */
#define ENTRY_TABLE	0x23ul		/* present, writable, accessed */
#define ENTRY_PAGE	0xe3ul		/* that, dirty, 2 MiB */

/* open_device - open the device node and check that it speaks this ABI */
int open_device(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail_errno("cannot open %s", path);
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		fail("%s does not speak version %d of KVM's ABI", path,
		     KVM_API_VERSION);
	return fd;
}

/*
 * map_slot - give the VM memory that is there already: 4 KiB pages, all of them
 * written, so that a fault of the guest never waits for one to be made
 */
static uint8_t *map_slot(struct vm *vm, unsigned int slot, uint64_t gpa,
			 size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
	};
	uint8_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		fail_errno("no %zu bytes of memory for the guest", size);
	if (madvise(mem, size, MADV_NOHUGEPAGE) && errno != EINVAL)
		fail_errno("MADV_NOHUGEPAGE");
	memset(mem, 0, size);
	region.userspace_addr = (uintptr_t)mem;
	if (ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
		fail_errno("KVM_SET_USER_MEMORY_REGION of %zu bytes", size);
	return mem;
}

/* build_tables - page tables: the low 4 GiB, mapped to themselves */
static void build_tables(struct vm *vm)
{
	uint64_t *pml4 = (uint64_t *)(vm->mem + GUEST_TABLES);
	uint64_t *pdpt = pml4 + 512;
	uint64_t *pd = pdpt + 512;
	unsigned int i;

	pml4[0] = (GUEST_TABLES + PAGE_SIZE) | ENTRY_TABLE;
	for (i = 0; i < 4; i++)
		pdpt[i] = (GUEST_TABLES + (2 + i) * PAGE_SIZE) | ENTRY_TABLE;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i * PAGE_2M | ENTRY_PAGE;
}

/* set_long_mode - 64-bit mode, ring 0, flat segments */
static void set_long_mode(struct vm *vm)
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

	vm_get_sregs(vm, &sregs);
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.cr3 = GUEST_TABLES;
	sregs.cr4 |= CR4_PAE;
	sregs.efer |= EFER_LME | EFER_LMA;
	sregs.cr0 |= CR0_PE | CR0_PG;
	vm_set_sregs(vm, &sregs);
}

/* set_cpuid - show the guest every CPU feature that the module supports */
static void set_cpuid(struct vm *vm)
{
	vm->cpuid = calloc(1, sizeof(*vm->cpuid) +
			   MAX_CPUID * sizeof(vm->cpuid->entries[0]));
	if (!vm->cpuid)
		fail("out of memory");
	vm->cpuid->nent = MAX_CPUID;
	if (ioctl(vm->dev_fd, KVM_GET_SUPPORTED_CPUID, vm->cpuid))
		fail_errno("KVM_GET_SUPPORTED_CPUID");
	if (ioctl(vm->vcpu_fd, KVM_SET_CPUID2, vm->cpuid))
		fail_errno("KVM_SET_CPUID2");
}

/* vm_create - a VM that could run */
void vm_create(struct vm *vm, int dev_fd)
{
	int size;

	memset(vm, 0, sizeof(*vm));
	vm->dev_fd = dev_fd;
	vm->vm_fd = ioctl(dev_fd, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0)
		fail_errno("KVM_CREATE_VM");
	vm->mem = map_slot(vm, 0, 0, GUEST_MEM);
	memcpy(vm->mem + GUEST_CODE, guest_start, guest_stop - guest_start);
	build_tables(vm);

	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0)
		fail_errno("KVM_CREATE_VCPU");
	size = ioctl(dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		fail_errno("KVM_GET_VCPU_MMAP_SIZE");
	vm->run_size = size;
	vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->vcpu_fd, 0);
	if (vm->run == MAP_FAILED)
		fail_errno("mmap of the run structure");
	set_cpuid(vm);
	set_long_mode(vm);
	counters_open(&vm->counters, vm);
}

/* vm_add_pages - @nr pages at GUEST_PAGES */
void vm_add_pages(struct vm *vm, size_t nr)
{
	vm->nr_pages = nr;
	vm->pages = map_slot(vm, 1, GUEST_PAGES, nr * PAGE_SIZE);
}

/* vm_destroy - give everything back */
void vm_destroy(struct vm *vm)
{
	counters_close(&vm->counters);
	munmap(vm->run, vm->run_size);
	close(vm->vcpu_fd);
	close(vm->vm_fd);
	munmap(vm->mem, GUEST_MEM);
	if (vm->pages)
		munmap(vm->pages, vm->nr_pages * PAGE_SIZE);
	free(vm->cpuid);
}

void vm_get_regs(struct vm *vm, struct kvm_regs *regs)
{
	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, regs))
		fail_errno("KVM_GET_REGS");
}

void vm_set_regs(struct vm *vm, const struct kvm_regs *regs)
{
	if (ioctl(vm->vcpu_fd, KVM_SET_REGS, regs))
		fail_errno("KVM_SET_REGS");
}

void vm_get_sregs(struct vm *vm, struct kvm_sregs *sregs)
{
	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, sregs))
		fail_errno("KVM_GET_SREGS");
}

void vm_set_sregs(struct vm *vm, const struct kvm_sregs *sregs)
{
	if (ioctl(vm->vcpu_fd, KVM_SET_SREGS, sregs))
		fail_errno("KVM_SET_SREGS");
}

/* vm_get_msr - the value of an MSR that has to exist */
uint64_t vm_get_msr(struct vm *vm, uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1, .entry.index = index };

	if (ioctl(vm->vcpu_fd, KVM_GET_MSRS, &msr) != 1)
		fail("KVM_GET_MSRS: no MSR %#x", index);
	return msr.entry.data;
}

/* program_address - where the guest has a piece of guest.S */
uint64_t program_address(const uint8_t *code)
{
	return GUEST_CODE + (code - guest_start);
}
