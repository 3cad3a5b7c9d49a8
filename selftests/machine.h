/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The smallest machine that can run a real-mode guest, for programs that want
 * to see every result themselves: nothing in here ends the program.
 */
#ifndef SELFTESTS_MACHINE_H
#define SELFTESTS_MACHINE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "lib/vm.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/* The ioctl's result, or minus errno. */
static inline long xioctl_long(int fd, unsigned long request, unsigned long arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

#define xioctl(fd, request, arg) \
	xioctl_long(fd, request, (unsigned long)(arg))

static inline void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/*
 * The smallest machine: MACHINE_MEM bytes at GPA 0, one vCPU in real mode with
 * flat 64 KiB segments, code at MACHINE_CODE.
 */
#define MACHINE_MEM	0x10000UL
#define MACHINE_CODE	0x1000
#define MACHINE_HOLE	0x20000	/* no memory from here on */
/*
 * With IF set: Bochs 2.7 enters a guest with IF clear with the host's
 * interrupts masked, and one that spins without exits is never left again.
 */
#define MACHINE_RFLAGS	0x202

struct machine {
	int dev;
	int vm;
	int vcpu;
	size_t run_size;
	struct kvm_run *run;
	uint8_t *mem;
};

static inline long machine_slot(const struct machine *m, uint32_t slot, uint32_t flags,
				uint64_t gpa, uint64_t size, const void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return xioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Put the vCPU at @rip, in real mode with zero segment bases. */
static inline long machine_enter_at(const struct machine *m, uint64_t rip)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = rip, .rflags = MACHINE_RFLAGS, .rsp = 0x8000 };
	struct kvm_segment *seg[] = {
		&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss,
	};
	unsigned int i;
	long ret;

	ret = xioctl(m->vcpu, KVM_GET_SREGS, &sregs);
	if (ret)
		return ret;
	for (i = 0; i < ARRAY_LEN(seg); i++) {
		seg[i]->base = 0;
		seg[i]->selector = 0;
	}
	ret = xioctl(m->vcpu, KVM_SET_SREGS, &sregs);
	if (ret)
		return ret;
	return xioctl(m->vcpu, KVM_SET_REGS, &regs);
}

/* Give back what machine_init() made, as far as it is still there. */
static inline void machine_destroy(struct machine *m)
{
	if (m->run)
		munmap(m->run, m->run_size);
	if (m->vcpu >= 0)
		close(m->vcpu);
	if (m->vm >= 0)
		close(m->vm);
	if (m->dev >= 0)
		close(m->dev);
	if (m->mem)
		munmap(m->mem, MACHINE_MEM);
	*m = (struct machine){ .dev = -1, .vm = -1, .vcpu = -1 };
}

/* Return: NULL, or the step that failed; errno says how. */
static inline const char *machine_init(struct machine *m)
{
	long ret;

	*m = (struct machine){ .dev = -1, .vm = -1, .vcpu = -1 };
	m->dev = open(test_device(), O_RDWR | O_CLOEXEC);
	if (m->dev < 0)
		return "open";
	m->vm = ioctl(m->dev, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		return "KVM_CREATE_VM";
	/* Stock KVM wants it where the CPU has no unrestricted guest. */
	if (ioctl(m->vm, KVM_SET_TSS_ADDR, 0xfffbd000))
		return "KVM_SET_TSS_ADDR";
	m->mem = mmap(NULL, MACHINE_MEM, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->mem == MAP_FAILED) {
		m->mem = NULL;
		return "mmap of guest memory";
	}
	ret = machine_slot(m, 0, 0, 0, MACHINE_MEM, m->mem);
	if (ret)
		return "KVM_SET_USER_MEMORY_REGION";
	m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
	if (m->vcpu < 0)
		return "KVM_CREATE_VCPU";
	m->run_size = ioctl(m->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	m->run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED) {
		m->run = NULL;
		return "mmap of the run struct";
	}
	if (machine_enter_at(m, MACHINE_CODE))
		return "initial registers";
	return NULL;
}

/*
 * Guest code. GUEST(name, "instructions") defines the array name[] and its
 * end; GUEST_LOAD(m, name) copies it to MACHINE_CODE.
 */
#ifdef __x86_64__
#define GUEST_OWN_CODE	".code64\n"
#else
#define GUEST_OWN_CODE	".code32\n"
#endif

#define GUEST(name, code)						\
	asm(".pushsection .rodata, \"a\"\n"				\
	    ".code16\n"							\
	    #name ": " code "\n"					\
	    #name "_end:\n"						\
	    GUEST_OWN_CODE						\
	    ".popsection\n");						\
	extern const uint8_t name[], name##_end[]

#define GUEST_LOAD(m, name)						\
	memcpy((m)->mem + MACHINE_CODE, name, name##_end - name)

static inline long machine_run(const struct machine *m)
{
	return xioctl(m->vcpu, KVM_RUN, 0);
}

static inline uint8_t *machine_io_data(const struct machine *m)
{
	return (uint8_t *)m->run + m->run->io.data_offset;
}

#endif
