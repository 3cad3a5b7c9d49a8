// SPDX-License-Identifier: GPL-2.0
/*
 * What this process takes part in: exits to userspace and back, and ioctls that
 * do not run the guest. An operation is one call of the row's op().
 *
 * The guests of the first kind never end. Each KVM_RUN answers their last
 * access and stops at the next one, so a batch begins and ends at such a stop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define RFLAGS_ALWAYS	2ul
#define RESET_RIP	0xfff0

/* What the first operation transfers. */
#define FIRST		0x1234567u

/* --- Nothing of a VM ----------------------------------------------------- */

static void getppid_setup(struct bench *b)
{
	b->value[0] = getppid();
}

static uint64_t getppid_op(struct bench *b, uint64_t n)
{
	(void)n;
	return syscall(SYS_getppid) ^ b->value[0];
}

static uint64_t ioctl_op(struct bench *b, uint64_t n)
{
	(void)n;
	return ioctl(b->dev_fd, KVM_GET_API_VERSION, 0) ^ KVM_API_VERSION;
}

/* --- Exits to userspace -------------------------------------------------- */

/* start - begin @program and run it to its first exit */
static void start(struct bench *b, const uint8_t *program, uint32_t reason)
{
	struct kvm_regs regs = {
		.rip = program_address(program),
		.rsp = GUEST_STACK,
		.rflags = RFLAGS_ALWAYS,
		.rax = FIRST,
		.rdx = GUEST_PORT,
		.rdi = GUEST_MMIO,
		.r8 = FIRST,
	};

	vm_set_regs(&b->vm, &regs);
	if (ioctl(b->vm.vcpu_fd, KVM_RUN, 0))
		fail_errno("%s: the first KVM_RUN", b->row->name);
	if (b->vm.run->exit_reason != reason)
		fail("%s: the guest's first exit is %u instead of %u",
		     b->row->name, b->vm.run->exit_reason, reason);
}

static __always_inline uint64_t run(struct bench *b)
{
	return ioctl(b->vm.vcpu_fd, KVM_RUN, 0);
}

/* check_rax - the guest counts what it does in RAX */
static void check_rax(struct bench *b)
{
	struct kvm_regs regs;
	uint32_t want = FIRST + b->done + b->ops;

	vm_get_regs(&b->vm, &regs);
	if (regs.rax != want)
		fail("%s: RAX is %#llx instead of %#x", b->row->name, regs.rax, want);
}

/* check_r8 - in R8 what it reads; R12 has bits of what it read wrong */
static void check_r8(struct bench *b)
{
	struct kvm_regs regs;
	uint32_t want = FIRST + b->done + b->ops;

	vm_get_regs(&b->vm, &regs);
	if (regs.r8 != want || regs.r12)
		fail("%s: R8 is %#llx instead of %#x, wrong bits %#llx",
		     b->row->name, regs.r8, want, regs.r12);
}

/* The four fields of run->io before the offset, as one number. */
static uint64_t io_head(const struct kvm_run *run)
{
	uint64_t head;

	memcpy(&head, &run->io, sizeof(head));
	return head;
}

static uint32_t *io_data(struct kvm_run *run)
{
	return (uint32_t *)((uint8_t *)run + run->io.data_offset);
}

/* io_expect - what io_head() is to be: one access of four bytes */
static void io_expect(struct bench *b, uint8_t direction)
{
	struct kvm_run want = {
		.io = {
			.direction = direction,
			.size = sizeof(uint32_t),
			.port = GUEST_PORT,
			.count = 1,
		},
	};

	b->value[0] = io_head(&want);
}

static void out_setup(struct bench *b)
{
	io_expect(b, KVM_EXIT_IO_OUT);
	start(b, guest_out, KVM_EXIT_IO);
}

static uint64_t out_check(struct bench *b, uint64_t n)
{
	struct kvm_run *run = b->vm.run;

	return (run->exit_reason ^ KVM_EXIT_IO) | (io_head(run) ^ b->value[0]) |
	       (*io_data(run) ^ (uint32_t)(FIRST + n + 1));
}

static uint64_t out_op(struct bench *b, uint64_t n)
{
	return run(b) | out_check(b, n);
}

static void in_setup(struct bench *b)
{
	io_expect(b, KVM_EXIT_IO_IN);
	start(b, guest_in, KVM_EXIT_IO);
}

static uint64_t in_check(struct bench *b, uint64_t n)
{
	struct kvm_run *run = b->vm.run;

	(void)n;
	return (run->exit_reason ^ KVM_EXIT_IO) | (io_head(run) ^ b->value[0]);
}

static uint64_t in_base(struct bench *b, uint64_t n)
{
	*io_data(b->vm.run) = FIRST + n;
	return in_check(b, n);
}

static uint64_t in_op(struct bench *b, uint64_t n)
{
	*io_data(b->vm.run) = FIRST + n;
	return run(b) | in_check(b, n);
}

/* mmio_wrong - is the access in the run structure another one? */
static __always_inline uint64_t mmio_wrong(const struct kvm_run *run, bool write)
{
	return (run->exit_reason ^ KVM_EXIT_MMIO) | (run->mmio.phys_addr ^ GUEST_MMIO) |
	       (run->mmio.len ^ sizeof(uint32_t)) | (run->mmio.is_write ^ write);
}

static void mmio_write_setup(struct bench *b)
{
	start(b, guest_mmio_write, KVM_EXIT_MMIO);
}

static uint64_t mmio_write_check(struct bench *b, uint64_t n)
{
	struct kvm_run *run = b->vm.run;
	uint32_t data;

	memcpy(&data, run->mmio.data, sizeof(data));
	return mmio_wrong(run, true) | (data ^ (uint32_t)(FIRST + n + 1));
}

static uint64_t mmio_write_op(struct bench *b, uint64_t n)
{
	return run(b) | mmio_write_check(b, n);
}

static void mmio_read_setup(struct bench *b)
{
	start(b, guest_mmio_read, KVM_EXIT_MMIO);
}

static __always_inline void mmio_answer(struct bench *b, uint32_t data)
{
	memcpy(b->vm.run->mmio.data, &data, sizeof(data));
}

static uint64_t mmio_read_base(struct bench *b, uint64_t n)
{
	mmio_answer(b, FIRST + n);
	return mmio_wrong(b->vm.run, false);
}

static uint64_t mmio_read_op(struct bench *b, uint64_t n)
{
	mmio_answer(b, FIRST + n);
	return run(b) | mmio_wrong(b->vm.run, false);
}

static void hlt_setup(struct bench *b)
{
	start(b, guest_hlt, KVM_EXIT_HLT);
}

static uint64_t hlt_check(struct bench *b, uint64_t n)
{
	(void)n;
	return b->vm.run->exit_reason ^ KVM_EXIT_HLT;
}

static uint64_t hlt_op(struct bench *b, uint64_t n)
{
	return run(b) | hlt_check(b, n);
}

/* The guest counts after each HLT, and stops behind the last one. */
static void hlt_end(struct bench *b)
{
	struct kvm_regs regs;

	check_rax(b);
	vm_get_regs(&b->vm, &regs);
	if (regs.rip != program_address(guest_hlt) + 1)
		fail("%s: RIP is %#llx, not behind the HLT at %#lx",
		     b->row->name, regs.rip, program_address(guest_hlt));
}

/* --- Registers ----------------------------------------------------------- */

/* A register file like no other: @seed says which. */
static struct kvm_regs some_regs(uint64_t seed)
{
	struct kvm_regs regs;
	__u64 *reg = &regs.rax;
	unsigned int i;

	for (i = 0; i < 16; i++)
		reg[i] = (seed * 16 + i + 1) * 0x9e3779b97f4a7c15ul;
	regs.rip = 0x1000 + seed;
	regs.rflags = RFLAGS_ALWAYS | (seed & 1);
	return regs;
}

/* new_array - room for an item for each operation of a batch */
static void new_array(struct bench *b, size_t size)
{
	b->array = calloc(b->ops, size);
	if (!b->array)
		fail("out of memory");
}

static void get_regs_setup(struct bench *b)
{
	new_array(b, sizeof(struct kvm_regs));
}

/* Other registers for each batch; what was read before is made unreadable. */
static void get_regs_begin(struct bench *b)
{
	struct kvm_regs regs = some_regs(b->done);

	vm_set_regs(&b->vm, &regs);
	memset(b->array, 0xff, b->ops * sizeof(regs));
}

static uint64_t get_regs_op(struct bench *b, uint64_t n)
{
	struct kvm_regs *regs = b->array;

	return ioctl(b->vm.vcpu_fd, KVM_GET_REGS, &regs[n - b->done]);
}

static void get_regs_end(struct bench *b)
{
	struct kvm_regs want = some_regs(b->done), *regs = b->array;
	unsigned int i;

	for (i = 0; i < b->ops; i++)
		if (memcmp(&regs[i], &want, sizeof(want)))
			fail("%s: the registers are not those that were set", b->row->name);
}

static void set_regs_begin(struct bench *b)
{
	struct kvm_regs *regs = b->array;
	unsigned int i;

	for (i = 0; i < b->ops; i++)
		regs[i] = some_regs(b->done + i);
}

static uint64_t set_regs_op(struct bench *b, uint64_t n)
{
	struct kvm_regs *regs = b->array;

	return ioctl(b->vm.vcpu_fd, KVM_SET_REGS, &regs[n - b->done]);
}

static void set_regs_end(struct bench *b)
{
	struct kvm_regs *regs = b->array, got;

	memset(&got, 0xff, sizeof(got));
	vm_get_regs(&b->vm, &got);
	if (memcmp(&got, &regs[b->ops - 1], sizeof(got)))
		fail("%s: the registers are not those that were set last", b->row->name);
}

static void get_sregs_setup(struct bench *b)
{
	new_array(b, sizeof(struct kvm_sregs));
}

/* Something new for each batch: CR2 and the base of GS. */
static void get_sregs_begin(struct bench *b)
{
	struct kvm_sregs sregs;

	vm_get_sregs(&b->vm, &sregs);
	sregs.cr2 = 0x1000 + b->done;
	sregs.gs.base = 0x2000 + b->done;
	vm_set_sregs(&b->vm, &sregs);
	memset(b->array, 0xff, b->ops * sizeof(sregs));
}

static uint64_t get_sregs_op(struct bench *b, uint64_t n)
{
	struct kvm_sregs *sregs = b->array;

	return ioctl(b->vm.vcpu_fd, KVM_GET_SREGS, &sregs[n - b->done]);
}

static void get_sregs_end(struct bench *b)
{
	struct kvm_sregs *sregs = b->array;
	unsigned int i;

	for (i = 0; i < b->ops; i++) {
		const struct kvm_sregs *s = &sregs[i];

		if (s->cr2 != 0x1000 + b->done || s->gs.base != 0x2000 + b->done ||
		    s->cr3 != GUEST_TABLES || !s->cs.l || s->ss.limit != 0xffffffff ||
		    memcmp(s, &sregs[0], sizeof(*s)))
			fail("%s: the registers are not those that were set",
			     b->row->name);
	}
}

/* --- Others -------------------------------------------------------------- */

static void immediate_exit_setup(struct bench *b)
{
	struct kvm_regs regs = some_regs(0);

	vm_set_regs(&b->vm, &regs);
	b->vm.run->immediate_exit = 1;
}

static uint64_t immediate_exit_op(struct bench *b, uint64_t n)
{
	(void)n;
	return (ioctl(b->vm.vcpu_fd, KVM_RUN, 0) + 1) | (errno ^ EINTR);
}

static void immediate_exit_end(struct bench *b)
{
	struct kvm_regs regs, want = some_regs(0);

	vm_get_regs(&b->vm, &regs);
	if (memcmp(&regs, &want, sizeof(regs)))
		fail("%s: the guest ran", b->row->name);
}

/* A VM, its vCPU, and proof of life: a CPU after reset begins at 0xfff0. */
static uint64_t create_op(struct bench *b, uint64_t n)
{
	struct kvm_regs regs;
	int vm, vcpu;
	uint64_t wrong;

	(void)n;
	vm = ioctl(b->dev_fd, KVM_CREATE_VM, 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	wrong = ioctl(vcpu, KVM_GET_REGS, &regs);
	wrong |= close(vcpu);
	wrong |= close(vm);
	return wrong | (regs.rip ^ RESET_RIP);
}

const struct row host_rows[] = {
	{
		.name = "syscall", .title = "a system call (getppid)",
		.no_vm = true,
		.setup = getppid_setup, .op = getppid_op,
	},
	{
		.name = "ioctl", .title = "an ioctl (KVM_GET_API_VERSION)",
		.no_vm = true,
		.op = ioctl_op,
	},
	{
		.name = "out", .title = "OUT to userspace and back",
		.what = COUNT_IO,
		.setup = out_setup, .end = check_rax,
		.op = out_op, .base_op = out_check,
	},
	{
		.name = "in", .title = "IN from userspace",
		.what = COUNT_IO,
		.setup = in_setup, .end = check_r8,
		.op = in_op, .base_op = in_base,
	},
	{
		.name = "mmio-write", .title = "MMIO write to userspace and back",
		.what = COUNT_MMIO,
		.setup = mmio_write_setup, .end = check_rax,
		.op = mmio_write_op, .base_op = mmio_write_check,
	},
	{
		.name = "mmio-read", .title = "MMIO read from userspace",
		.what = COUNT_MMIO,
		.setup = mmio_read_setup, .end = check_r8,
		.op = mmio_read_op, .base_op = mmio_read_base,
	},
	{
		.name = "hlt", .title = "HLT to userspace and back",
		.what = COUNT_HLT,
		.setup = hlt_setup, .end = hlt_end,
		.op = hlt_op, .base_op = hlt_check,
	},
	{
		.name = "get-regs", .title = "KVM_GET_REGS",
		.setup = get_regs_setup, .begin = get_regs_begin, .end = get_regs_end,
		.op = get_regs_op,
	},
	{
		.name = "set-regs", .title = "KVM_SET_REGS",
		.setup = get_regs_setup, .begin = set_regs_begin, .end = set_regs_end,
		.op = set_regs_op,
	},
	{
		.name = "get-sregs", .title = "KVM_GET_SREGS",
		.setup = get_sregs_setup, .begin = get_sregs_begin, .end = get_sregs_end,
		.op = get_sregs_op,
	},
	{
		.name = "immediate-exit", .title = "KVM_RUN with immediate_exit",
		.setup = immediate_exit_setup, .end = immediate_exit_end,
		.op = immediate_exit_op,
	},
	{
		.name = "create", .title = "create and destroy a VM with a vCPU, CPU time",
		.no_vm = true, .cpu_time = true, .max_ops = 10, .max_batches = 5,
		.op = create_op,
	},
	{
		.name = "create-wait", .title = "the same, until it is over",
		.no_vm = true, .max_ops = 10, .max_batches = 5,
		.op = create_op,
	},
};

const unsigned int nr_host_rows = sizeof(host_rows) / sizeof(host_rows[0]);
