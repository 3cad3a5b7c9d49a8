/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is different on CPUs of Intel and of AMD, and what an emulated CPU gets
 * wrong. Both are found out at run time, from the CPUID of the CPU that the
 * test runs on; lib/vm.h knows nothing of it.
 */
#ifndef SELFTESTS_LIB_VENDOR_H
#define SELFTESTS_LIB_VENDOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/vm.h"

/* A row of facts; vendor.c names the manuals' sections. */
struct vendor {
	const char *name;		/* for messages */
	bool amd;

	/* Types of the segments after reset: CS, the data segments, TR. */
	uint8_t reset_code, reset_data, reset_tr;
	/* Of CS and the data segments not every bit is certain. */
	uint8_t reset_ignore;

	/* The VM can set CR4.VMXE, where the hypervisor allows it. */
	bool has_vmxe;

	/* Bits of SYSENTER_ESP and SYSENTER_EIP that a CPU keeps for certain. */
	uint64_t sysenter_mask;
	/* SYSENTER and SYSEXIT are there in long mode. */
	bool sysenter_in_long_mode;

	/* The instruction that calls the hypervisor, and the other vendor's. */
	uint8_t hypercall[3], foreign_hypercall[3];
};

const struct vendor *test_vendor(void);

/* May @seg have this type after reset? */
bool test_reset_type_ok(const struct kvm_segment *seg, uint8_t type);

/* Is this CPU QEMU's translator? */
bool test_cpu_is_tcg(void);

/*
 * End the test as skipped where something other than minikvm is known to
 * deviate from the manual, and @cond says that it did: nothing is skipped where
 * it does what the manual says. Documentation/testing.rst lists all of them.
 * To be used where the harness's _metadata is known.
 *
 * SKIP_IF_TCG: the emulated CPU, in what no hypervisor gets to see.
 * SKIP_IF_STOCK: stock KVM; minikvm has to do better.
 */
#define SKIP_IF_TCG(cond, fmt, ...)					\
do {									\
	if (test_cpu_is_tcg() && (cond))				\
		SKIP(_exit(255), "TCG: " fmt, ##__VA_ARGS__);		\
} while (0)

#define SKIP_IF_STOCK(cond, fmt, ...)					\
do {									\
	if (!test_device_is_minikvm() && (cond))			\
		SKIP(_exit(255), "stock KVM: " fmt, ##__VA_ARGS__);	\
} while (0)

#endif
