// SPDX-License-Identifier: GPL-2.0
/* Facts about the CPU that the test runs on; see vendor.h. */
#include <cpuid.h>
#include <string.h>

#include "lib/vendor.h"

/*
 * Reset: SDM volume 3, "Processor State After Reset"; APM volume 2, "Processor
 * Initialization State", table "Initial State of Segment-Register Attributes":
 * code and data without the accessed bit, a busy 16-bit TSS. In the VMCB the
 * accessed bit can be anything, and KVM shows it set in DS, ES, FS and GS only.
 *
 * VMXE: APM volume 2, "CR4 Register": bit 13 is reserved.
 *
 * SYSENTER: APM volume 2, "SYSENTER and SYSEXIT (Legacy Mode Only)": the MSRs
 * hold 32 bits, and in long mode the instructions give #UD.
 *
 * Hypercalls: SDM volume 3, "VMCALL"; APM volume 2, "VMMCALL Instruction".
 */
static const struct vendor intel = {
	.name = "Intel",
	.reset_code = 11,
	.reset_data = 3,
	.reset_tr = 11,
	.has_vmxe = true,
	.sysenter_mask = ~0ull,
	.sysenter_in_long_mode = true,
	.hypercall = { 0x0f, 0x01, 0xc1 },
	.foreign_hypercall = { 0x0f, 0x01, 0xd9 },
};

static const struct vendor amd = {
	.name = "AMD",
	.amd = true,
	.reset_code = 10,
	.reset_data = 2,
	.reset_tr = 3,
	.reset_ignore = 1,
	.sysenter_mask = 0xffffffff,
	.hypercall = { 0x0f, 0x01, 0xd9 },
	.foreign_hypercall = { 0x0f, 0x01, 0xc1 },
};

/* CPUID's words of a name are those of @name. */
static bool is_name(const char *name, unsigned int a, unsigned int b,
		    unsigned int c)
{
	unsigned int words[3] = { a, b, c };

	return memcmp(words, name, sizeof(words)) == 0;
}

const struct vendor *test_vendor(void)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	if (is_name("AuthenticAMD", ebx, edx, ecx) ||
	    is_name("HygonGenuine", ebx, edx, ecx))
		return &amd;
	return &intel;
}

bool test_reset_type_ok(const struct kvm_segment *seg, uint8_t type)
{
	uint8_t ignore = seg->s ? test_vendor()->reset_ignore : 0;

	return (seg->type | ignore) == (type | ignore);
}

bool test_cpu_is_tcg(void)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & 1u << 31))
		return false;
	__cpuid(0x40000000, eax, ebx, ecx, edx);
	return is_name("TCGTCGTCGTCG", ebx, ecx, edx);
}
