// SPDX-License-Identifier: GPL-2.0
/*
 * From the device node to a vCPU that could run. Three files come out of it,
 * each made by an ioctl on the one before: device, VM, vCPU.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "minikvm.h"

/*
 * open_device - open the device node and check that it speaks this ABI
 *
 * The version has been 12 for ever; whatever else says so is not KVM's ABI.
 */
int open_device(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0 && errno == ENOENT)
		fail("%s does not exist: the module is not loaded. As root: insmod minikvm.ko (what stands in its way is said in dmesg)",
		     path);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		fail("no permission to open %s: run as root, or give your group access by the udev rule in the README",
		     path);
	if (fd < 0 && (errno == ENODEV || errno == ENXIO))
		fail("%s is a node without a driver: the module was unloaded. As root: insmod minikvm.ko",
		     path);
	if (fd < 0)
		fail_errno("cannot open %s", path);

	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		fail("%s does not answer KVM_GET_API_VERSION (%s): is it the right node?",
		     path, strerror(errno));
	if (version != KVM_API_VERSION)
		fail("%s speaks version %d of the ABI, this program %d",
		     path, version, KVM_API_VERSION);
	return fd;
}

/*
 * add_memory - give the VM memory: pages of this process, from GPA 0 on
 *
 * The guest's memory stays ordinary memory of this process. The kernel is told
 * once which addresses belong to which guest-physical ones; it looks up a page
 * when the guest first touches it.
 */
static void add_memory(struct vm *vm)
{
	struct kvm_userspace_memory_region region = {
		.slot = 0,
		.guest_phys_addr = 0,
		.memory_size = vm->mem_size,
	};

	vm->mem = mmap(NULL, vm->mem_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vm->mem == MAP_FAILED)
		fail_errno("no %#llx bytes of memory for the guest (choose less with --mem)",
			   (unsigned long long)vm->mem_size);
	region.userspace_addr = (uintptr_t)vm->mem;
	if (ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		fail_errno("KVM_SET_USER_MEMORY_REGION of %#llx bytes",
			   (unsigned long long)vm->mem_size);
}

/*
 * add_vcpu - create vCPU 0 and map the page it shares with the kernel
 *
 * The mapping is longer than struct kvm_run: the bytes of port accesses lie
 * behind it, at run->io.data_offset.
 */
static void add_vcpu(struct vm *vm)
{
	int size;

	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0)
		fail_errno("KVM_CREATE_VCPU");
	size = ioctl(vm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		fail_errno("KVM_GET_VCPU_MMAP_SIZE");
	if ((size_t)size < sizeof(struct kvm_run))
		fail("KVM_GET_VCPU_MMAP_SIZE says %d, a struct kvm_run has %zu bytes",
		     size, sizeof(struct kvm_run));
	vm->run_size = size;
	vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->vcpu_fd, 0);
	if (vm->run == MAP_FAILED)
		fail_errno("mmap of the vCPU's run structure");
}

/* set_cpuid - show the guest every CPU feature that the module supports */
static void set_cpuid(struct vm *vm)
{
	const unsigned int max = 256;
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	if (!cpuid)
		fail("out of memory");
	cpuid->nent = max;
	if (ioctl(vm->dev_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		fail_errno("KVM_GET_SUPPORTED_CPUID");
	if (ioctl(vm->vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		fail_errno("KVM_SET_CPUID2 with %u entries", cpuid->nent);
	free(cpuid);
}

/* vm_create - open the device and make a VM with memory and one vCPU */
void vm_create(struct vm *vm, const char *device, uint64_t mem_size)
{
	memset(vm, 0, sizeof(*vm));
	vm->mem_size = mem_size;
	vm->dev_fd = open_device(device);
	vm->vm_fd = ioctl(vm->dev_fd, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0)
		fail_errno("KVM_CREATE_VM on %s (dmesg may say why)", device);
	add_memory(vm);
	add_vcpu(vm);
	set_cpuid(vm);
}

/* vm_load - copy the guest to LOAD_ADDR; the caller knows that it fits */
void vm_load(struct vm *vm, const void *code, size_t size)
{
	memcpy(vm->mem + LOAD_ADDR, code, size);
}

/* vm_load_file - read a flat binary to LOAD_ADDR; the caller checked its size */
void vm_load_file(struct vm *vm, const char *path)
{
	size_t room = vm->mem_size - LOAD_ADDR, done = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail_errno("cannot open the guest %s", path);
	while (done < room) {
		ssize_t n = read(fd, vm->mem + LOAD_ADDR + done, room - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail_errno("cannot read the guest %s", path);
		if (n == 0)
			break;
		done += n;
	}
	close(fd);
	if (done == 0)
		fail("the guest %s is empty", path);
}

/* vm_destroy - give everything back; the VM is gone with its last file */
void vm_destroy(struct vm *vm)
{
	munmap(vm->run, vm->run_size);
	close(vm->vcpu_fd);
	close(vm->vm_fd);
	close(vm->dev_fd);
	munmap(vm->mem, vm->mem_size);
}
