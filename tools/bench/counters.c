// SPDX-License-Identifier: GPL-2.0
/*
 * How often the vCPU left its guest, by what the module counted.
 *
 * minikvm: debugfs, minikvm/PID-FD/vcpu0/exits, lines "NAME COUNT" with the
 * names of the CPU's manual. KVM: the file that KVM_GET_STATS_FD gives. KVM has
 * no counters for CPUID and MSRs; there the sum of all exits has to do.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

#define DEBUGFS		"/sys/kernel/debug/minikvm"
#define MAX_NAMES	3
#define MAX_TEXT	16384

/* The counters' names; of minikvm's, each CPU vendor has its own. */
static const struct {
	const char *name;
	const char *kvm;
	const char *minikvm[MAX_NAMES];
} names[COUNT_NUM] = {
	[COUNT_NONE] = { "none", NULL, {} },
	[COUNT_TOTAL] = { "all exits", "exits", {} },
	[COUNT_IRQ] = { "interrupts", "irq_exits",
			{ "EXTERNAL_INTERRUPT", "INTR" } },
	[COUNT_CPUID] = { "CPUID", NULL, { "CPUID" } },
	[COUNT_HYPERCALL] = { "hypercall", "hypercalls", { "VMCALL", "VMMCALL" } },
	[COUNT_RDMSR] = { "MSR read", NULL, { "MSR_READ", "MSR" } },
	[COUNT_WRMSR] = { "MSR write", NULL, { "MSR_WRITE", "MSR" } },
	[COUNT_IO] = { "port", "io_exits", { "IO_INSTRUCTION", "IOIO" } },
	[COUNT_MMIO] = { "MMIO", "mmio_exits",
			 { "EPT_VIOLATION", "EPT_MISCONFIG", "NPF" } },
	[COUNT_HLT] = { "HLT", "halt_exits", { "HLT" } },
	[COUNT_FAULT] = { "page fault", "pf_fixed", { "EPT_VIOLATION", "NPF" } },
};

const char *counter_name(enum counter what)
{
	return names[what].name;
}

/* find_stats - note where KVM's file has the counters we know */
static void find_stats(struct counters *c)
{
	struct kvm_stats_header head;
	struct kvm_stats_desc *desc;
	unsigned int i, what;
	size_t size;

	if (pread(c->stats_fd, &head, sizeof(head), 0) != sizeof(head))
		fail_errno("the header of the statistics");
	size = sizeof(*desc) + head.name_size;
	desc = malloc(size);
	if (!desc)
		fail("out of memory");
	for (i = 0; i < head.num_desc; i++) {
		off_t offset = head.desc_offset + i * size;

		if (pread(c->stats_fd, desc, size, offset) != (ssize_t)size)
			fail_errno("the descriptors of the statistics");
		for (what = 0; what < COUNT_NUM; what++)
			if (names[what].kvm && strcmp(names[what].kvm, desc->name) == 0)
				c->offset[what] = head.data_offset + desc->offset;
	}
	free(desc);
}

/* counters_open - find what there is for the vCPU of @vm */
void counters_open(struct counters *c, const struct vm *vm)
{
	char path[128];

	memset(c, 0, sizeof(*c));
	/*
	 * Opened once: what the kernel does behind an open and a close would
	 * fall into the next batch.
	 */
	snprintf(path, sizeof(path), DEBUGFS "/%d-%d/vcpu0/exits", getpid(), vm->vm_fd);
	c->exits_fd = open(path, O_RDONLY | O_CLOEXEC);
	c->stats_fd = ioctl(vm->vcpu_fd, KVM_GET_STATS_FD, 0);
	if (c->stats_fd >= 0)
		find_stats(c);
}

void counters_close(struct counters *c)
{
	if (c->exits_fd >= 0)
		close(c->exits_fd);
	if (c->stats_fd >= 0)
		close(c->stats_fd);
}

/* add - count a value; the first one makes the counter known */
static void add(uint64_t *counter, uint64_t value)
{
	*counter = *counter == NOT_COUNTED ? value : *counter + value;
}

/* read_exits - minikvm's file as text */
static void read_exits(const struct counters *c, char *text, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while ((n = pread(c->exits_fd, text + done, size - 1 - done, done)) > 0)
		done += n;
	if (n < 0 || done == size - 1)
		fail_errno("minikvm's file of exits (%zu bytes read)", done);
	text[done] = 0;
}

/* parse_exits - add the counts of minikvm's file up */
static void parse_exits(const char *text, struct counts *counts)
{
	unsigned int what, i;
	uint64_t value;
	char name[64];
	int len;

	while (sscanf(text, "%63s %lu\n%n", name, &value, &len) == 2) {
		text += len;
		add(&counts->value[COUNT_TOTAL], value);
		for (what = 0; what < COUNT_NUM; what++)
			for (i = 0; i < MAX_NAMES && names[what].minikvm[i]; i++)
				if (strcmp(names[what].minikvm[i], name) == 0)
					add(&counts->value[what], value);
	}
}

/* counters_read - all counters as they are now */
void counters_read(const struct counters *c, struct counts *counts)
{
	unsigned int what;

	for (what = 0; what < COUNT_NUM; what++)
		counts->value[what] = NOT_COUNTED;
	if (c->exits_fd >= 0) {
		char text[MAX_TEXT];

		read_exits(c, text, sizeof(text));
		parse_exits(text, counts);
		return;
	}
	for (what = 0; what < COUNT_NUM; what++) {
		uint64_t *value = &counts->value[what];

		if (c->offset[what] &&
		    pread(c->stats_fd, value, sizeof(*value), c->offset[what]) != sizeof(*value))
			fail_errno("the statistics");
	}
}
