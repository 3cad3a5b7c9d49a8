// SPDX-License-Identifier: GPL-2.0
/* `minikvm info`: what the module says about itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "minikvm.h"

/* Every capability that <linux/kvm.h> has a name for. */
static const struct {
	const char *name;
	int number;
} capabilities[] = {
#define CAP(name) { #name, name },
#include "capabilities.inc"
#undef CAP
};

/* print_capabilities - those that are not zero */
static void print_capabilities(int fd)
{
	size_t i;

	printf("capabilities:\n");
	for (i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		int value = ioctl(fd, KVM_CHECK_EXTENSION,
				  capabilities[i].number);

		if (value < 0)
			fail_errno("KVM_CHECK_EXTENSION of %s",
				   capabilities[i].name);
		if (value > 0)
			printf("  %-36s %d\n", capabilities[i].name, value);
	}
}

/*
 * print_cpuid - how many CPUID leaves a guest can be shown
 *
 * The caller offers room; E2BIG asks for more.
 */
static void print_cpuid(int fd)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int room;

	for (room = 64; room <= 1024; room *= 2) {
		cpuid = calloc(1, sizeof(*cpuid) +
				  room * sizeof(cpuid->entries[0]));
		if (!cpuid)
			fail("out of memory");
		cpuid->nent = room;
		if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0) {
			printf("CPUID: %u leaves\n", cpuid->nent);
			free(cpuid);
			return;
		}
		if (errno != E2BIG)
			fail_errno("KVM_GET_SUPPORTED_CPUID");
		free(cpuid);
	}
	fail("KVM_GET_SUPPORTED_CPUID wants more than 1024 entries");
}

/* print_msrs - the MSRs that belong to a vCPU's state */
static void print_msrs(int fd)
{
	struct kvm_msr_list probe = { .nmsrs = 0 }, *list;
	unsigned int i;

	/* With no room the answer is E2BIG and the number that is needed. */
	if (ioctl(fd, KVM_GET_MSR_INDEX_LIST, &probe) < 0 && errno != E2BIG)
		fail_errno("KVM_GET_MSR_INDEX_LIST");
	list = calloc(1, sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
	if (!list)
		fail("out of memory");
	list->nmsrs = probe.nmsrs;
	if (ioctl(fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
		fail_errno("KVM_GET_MSR_INDEX_LIST");
	printf("MSRs: %u", list->nmsrs);
	for (i = 0; i < list->nmsrs; i++)
		printf("%s0x%08x", i % 6 ? " " : "\n  ", list->indices[i]);
	printf("\n");
	free(list);
}

/* print_info - everything there is to ask without a VM */
enum status print_info(const char *device)
{
	int fd = open_device(device);

	printf("device: %s\n", device);
	printf("API version: %d\n", ioctl(fd, KVM_GET_API_VERSION, 0));
	printf("vCPU mapping: %d bytes\n", ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0));
	print_capabilities(fd);
	print_cpuid(fd);
	print_msrs(fd);
	close(fd);
	return STATUS_OK;
}
