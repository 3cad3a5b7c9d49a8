// SPDX-License-Identifier: GPL-2.0
/* VMs, memory and vCPUs of tests; see vm.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/vm.h"

/* Print where and why, and end this test; the harness counts it as failed. */
void test_die(const char *file, int line, const char *fmt, ...)
{
	int saved_errno = errno;
	va_list ap;

	fprintf(stderr, "# %s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (saved_errno)
		fprintf(stderr, " (errno %d, %s)", saved_errno,
			strerror(saved_errno));
	fprintf(stderr, "\n");
	abort();
}

/* The harness reads status 255 of a test's process as a skip. */
void test_skip(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "#      SKIP      ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	_exit(255);
}

/* The device node under test. */
const char *test_device(void)
{
	const char *path = getenv("MINIKVM_DEVICE");

	return path && *path ? path : "/dev/minikvm";
}

/* Is that node minikvm's, by number and not by name? */
bool test_device_is_minikvm(void)
{
	unsigned int major, minor;
	struct stat st;
	bool same = false;
	FILE *f;

	f = fopen("/sys/class/misc/minikvm/dev", "r");
	if (!f)
		return false;
	if (fscanf(f, "%u:%u", &major, &minor) == 2 &&
	    stat(test_device(), &st) == 0)
		same = st.st_rdev == makedev(major, minor);
	fclose(f);
	return same;
}

/* Open the device, or end the test. */
int test_open_device(void)
{
	int fd = open(test_device(), O_RDWR | O_CLOEXEC);

	TEST_CHECK(fd >= 0, "cannot open %s: is the module loaded?",
		   test_device());
	return fd;
}

/* KVM_CHECK_EXTENSION on a device or VM file. */
int test_has_cap(int fd, int cap)
{
	int ret = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	TEST_CHECK(ret >= 0, "KVM_CHECK_EXTENSION(%d)", cap);
	return ret;
}

/* A VM without memory. */
struct test_vm *vm_create_bare(void)
{
	struct test_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	TEST_CHECK(vm, "out of memory");
	vm->dev = test_open_device();
	ret = ioctl(vm->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	TEST_CHECK(ret >= (int)sizeof(struct kvm_run),
		   "KVM_GET_VCPU_MMAP_SIZE says %d", ret);
	vm->run_size = ret;
	vm->fd = ioctl(vm->dev, KVM_CREATE_VM, 0);
	TEST_CHECK(vm->fd >= 0, "KVM_CREATE_VM on %s", test_device());
	return vm;
}

/*
 * A VM with GUEST_MEM_SIZE at 0. The three pages that KVM on Intel may want
 * for itself are put out of the way where the device has them.
 */
struct test_vm *vm_create(void)
{
	struct test_vm *vm = vm_create_bare();

	if (test_has_cap(vm->dev, KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0) {
		__u64 addr = 0xfffbc000;

		TEST_CHECK(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr) == 0,
			   "KVM_SET_IDENTITY_MAP_ADDR");
	}
	if (test_has_cap(vm->dev, KVM_CAP_SET_TSS_ADDR) > 0)
		TEST_CHECK(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul) == 0,
			   "KVM_SET_TSS_ADDR");
	vm_add_memory(vm, 0, 0, GUEST_MEM_SIZE);
	return vm;
}

/* Give back everything that the VM holds. */
void vm_destroy(struct test_vm *vm)
{
	int i;

	for (i = 0; i < TEST_MAX_VCPUS; i++)
		if (vm->vcpus[i])
			vcpu_destroy(vm->vcpus[i]);
	close(vm->fd);
	close(vm->dev);
	for (i = 0; i < TEST_MAX_SLOTS; i++)
		if (vm->slots[i].used && vm->slots[i].own)
			munmap(vm->slots[i].hva, vm->slots[i].size);
	free(vm);
}

/* KVM_SET_USER_MEMORY_REGION; a success is noted for vm_hva(). */
int __vm_set_slot(struct test_vm *vm, uint32_t slot, uint32_t flags,
		  uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};
	int ret = ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);

	if (ret == 0 && slot < TEST_MAX_SLOTS) {
		struct test_slot *s = &vm->slots[slot];

		if (s->used && s->own && s->hva != hva)
			munmap(s->hva, s->size);
		if (!s->used || s->hva != hva)
			s->own = false;
		s->used = size != 0;
		s->gpa = gpa;
		s->size = size;
		s->hva = hva;
	}
	return ret;
}

void vm_set_slot(struct test_vm *vm, uint32_t slot, uint32_t flags,
		 uint64_t gpa, uint64_t size, void *hva)
{
	TEST_CHECK(__vm_set_slot(vm, slot, flags, gpa, size, hva) == 0,
		   "slot %u flags %#x gpa %#lx size %#lx", slot, flags, gpa,
		   size);
}

/* A slot with fresh anonymous memory behind it. */
void *vm_add_memory(struct test_vm *vm, uint32_t slot, uint64_t gpa,
		    uint64_t size)
{
	void *hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_CHECK(hva != MAP_FAILED, "mmap of %#lx bytes", size);
	TEST_CHECK(slot < TEST_MAX_SLOTS, "slot %u", slot);
	vm_set_slot(vm, slot, 0, gpa, size, hva);
	vm->slots[slot].own = true;
	return hva;
}

void vm_delete_slot(struct test_vm *vm, uint32_t slot)
{
	vm_set_slot(vm, slot, 0, vm->slots[slot].gpa, 0, NULL);
}

/* Where this process sees guest memory. */
void *vm_hva(struct test_vm *vm, uint64_t gpa, uint64_t size)
{
	int i;

	for (i = 0; i < TEST_MAX_SLOTS; i++) {
		struct test_slot *s = &vm->slots[i];

		if (s->used && gpa >= s->gpa && gpa - s->gpa < s->size &&
		    size <= s->size - (gpa - s->gpa))
			return s->hva + (gpa - s->gpa);
	}
	TEST_FAIL("no slot holds %#lx bytes at GPA %#lx", size, gpa);
}

void vm_write(struct test_vm *vm, uint64_t gpa, const void *buf, size_t size)
{
	memcpy(vm_hva(vm, gpa, size), buf, size);
}

void vm_read(struct test_vm *vm, uint64_t gpa, void *buf, size_t size)
{
	memcpy(buf, vm_hva(vm, gpa, size), size);
}

/* Put guest code where every mode starts. */
void vm_load(struct test_vm *vm, struct guest_code code)
{
	vm_load_bytes(vm, code.start, code.size);
}

void vm_load_bytes(struct test_vm *vm, const void *code, size_t size)
{
	TEST_CHECK(size <= GUEST_CODE_MAX - GUEST_CODE,
		   "guest of %zu bytes is too long", size);
	vm_write(vm, GUEST_CODE, code, size);
}

/* KVM_CREATE_VCPU, and the run page mapped. */
struct test_vcpu *vm_add_vcpu(struct test_vm *vm, int id)
{
	struct test_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int i;

	TEST_CHECK(vcpu, "out of memory");
	for (i = 0; i < TEST_MAX_VCPUS && vm->vcpus[i]; i++)
		;
	TEST_CHECK(i < TEST_MAX_VCPUS, "more than %d vCPUs", TEST_MAX_VCPUS);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	TEST_CHECK(vcpu->fd >= 0, "KVM_CREATE_VCPU(%d)", id);
	vcpu->run_size = vm->run_size;
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, vcpu->fd, 0);
	TEST_CHECK(vcpu->run != MAP_FAILED, "mmap of the run page, vCPU %d",
		   id);
	vm->vcpus[i] = vcpu;
	return vcpu;
}

void vcpu_destroy(struct test_vcpu *vcpu)
{
	int i;

	for (i = 0; i < TEST_MAX_VCPUS; i++)
		if (vcpu->vm->vcpus[i] == vcpu)
			vcpu->vm->vcpus[i] = NULL;
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
	free(vcpu);
}

/* An ioctl on the vCPU that has to succeed. */
static void vcpu_ioctl(struct test_vcpu *vcpu, unsigned long cmd,
		       const char *name, const void *arg)
{
	TEST_CHECK(ioctl(vcpu->fd, cmd, arg) == 0, "%s on vCPU %d", name,
		   vcpu->id);
}

void vcpu_get_regs(struct test_vcpu *vcpu, struct kvm_regs *regs)
{
	vcpu_ioctl(vcpu, KVM_GET_REGS, "KVM_GET_REGS", regs);
}

void vcpu_set_regs(struct test_vcpu *vcpu, const struct kvm_regs *regs)
{
	vcpu_ioctl(vcpu, KVM_SET_REGS, "KVM_SET_REGS", regs);
}

uint64_t vcpu_rip(struct test_vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	return regs.rip;
}

void vcpu_set_rflags(struct test_vcpu *vcpu, uint64_t rflags)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rflags = 2 | rflags;
	vcpu_set_regs(vcpu, &regs);
}

void vcpu_get_sregs(struct test_vcpu *vcpu, struct kvm_sregs *sregs)
{
	vcpu_ioctl(vcpu, KVM_GET_SREGS, "KVM_GET_SREGS", sregs);
}

void vcpu_set_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	vcpu_ioctl(vcpu, KVM_SET_SREGS, "KVM_SET_SREGS", sregs);
}

int __vcpu_set_sregs(struct test_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	return ioctl(vcpu->fd, KVM_SET_SREGS, sregs);
}

/* A struct kvm_msrs with room for one. */
struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

/* Returns 1 when the MSR was read, 0 when there is no such MSR. */
int __vcpu_get_msr(struct test_vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry.index = index };
	int ret = ioctl(vcpu->fd, KVM_GET_MSRS, &m);

	*value = m.entry.data;
	return ret;
}

/* Returns 1 when the MSR was written, 0 when it was refused. */
int __vcpu_set_msr(struct test_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr m = {
		.head.nmsrs = 1,
		.entry = { .index = index, .data = value },
	};

	return ioctl(vcpu->fd, KVM_SET_MSRS, &m);
}

uint64_t vcpu_get_msr(struct test_vcpu *vcpu, uint32_t index)
{
	uint64_t value;
	int ret = __vcpu_get_msr(vcpu, index, &value);

	TEST_CHECK(ret == 1, "KVM_GET_MSRS of %#x gave %d", index, ret);
	return value;
}

void vcpu_set_msr(struct test_vcpu *vcpu, uint32_t index, uint64_t value)
{
	int ret = __vcpu_set_msr(vcpu, index, value);

	TEST_CHECK(ret == 1, "KVM_SET_MSRS of %#x to %#lx gave %d", index,
		   value, ret);
}

/* What the device can show a guest; to be given to free(). */
struct kvm_cpuid2 *test_supported_cpuid(int dev)
{
	const int max = 256;
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	TEST_CHECK(cpuid, "out of memory");
	cpuid->nent = max;
	TEST_CHECK(ioctl(dev, KVM_GET_SUPPORTED_CPUID, cpuid) == 0,
		   "KVM_GET_SUPPORTED_CPUID");
	return cpuid;
}

/* One leaf, or NULL. */
struct kvm_cpuid_entry2 *test_cpuid_entry(struct kvm_cpuid2 *cpuid,
					  uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		     e->index == index))
			return e;
	}
	return NULL;
}

/* Show the guest all that the device can. */
void vcpu_set_supported_cpuid(struct test_vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);

	vcpu_ioctl(vcpu, KVM_SET_CPUID2, "KVM_SET_CPUID2", cpuid);
	free(cpuid);
}

/* A VM with one vCPU in @mode and @code loaded. */
struct test_vcpu *vm_with_guest(enum test_mode mode, struct guest_code code)
{
	struct test_vm *vm = vm_create();
	struct test_vcpu *vcpu = vm_add_vcpu(vm, 0);

	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, mode);
	vm_load(vm, code);
	return vcpu;
}

/* The GPR with number @nr in instruction encodings. */
uint64_t *regs_gpr(struct kvm_regs *regs, int nr)
{
	static const size_t offset[16] = {
		offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx),
		offsetof(struct kvm_regs, rdx), offsetof(struct kvm_regs, rbx),
		offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
		offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi),
		offsetof(struct kvm_regs, r8), offsetof(struct kvm_regs, r9),
		offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
		offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13),
		offsetof(struct kvm_regs, r14), offsetof(struct kvm_regs, r15),
	};

	TEST_CHECK(nr >= 0 && nr < 16, "no GPR %d", nr);
	return (uint64_t *)((char *)regs + offset[nr]);
}
