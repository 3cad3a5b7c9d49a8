// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest does and the kernel answers, without this process: a batch is
 * one KVM_RUN. Each guest checks what it gets.
 */
#include <string.h>
#include <cpuid.h>
#include <linux/kvm_para.h>

#include "bench.h"

#define MSR_APICBASE	0x1b
#define MSR_TSC_ADJUST	0x3b

/* Places for the APIC: the one after reset and two others. */
#define APIC_BASE_0	0xfee00900u
#define APIC_BASE_1	0xfec00900u
#define APIC_BASE_2	0xfed00900u

/* A hypercall that nobody has. */
#define HYPERCALL	0x4d4b564du

bool cpu_is_amd(void)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx))
		return false;
	return ebx == signature_AMD_ebx;
}

static bool cpu_is_not_amd(void)
{
	return !cpu_is_amd();
}

/* --- CPUID --------------------------------------------------------------- */

static void cpuid_begin(struct bench *b)
{
	const struct kvm_cpuid2 *cpuid = b->vm.cpuid;
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0) {
			b->regs.r8 = e->eax;
			b->regs.r9 = e->ebx;
			b->regs.r10 = e->ecx;
			b->regs.r11 = e->edx;
			return;
		}
	}
	fail("KVM_GET_SUPPORTED_CPUID has no leaf 0");
}

/* --- Hypercalls ---------------------------------------------------------- */

static void hypercall_begin(struct bench *b)
{
	b->regs.rbx = HYPERCALL;
	b->regs.r8 = -KVM_ENOSYS;
}

/* --- MSRs ---------------------------------------------------------------- */

static void rdmsr_begin(struct bench *b)
{
	struct kvm_sregs sregs;

	vm_get_sregs(&b->vm, &sregs);
	b->regs.rcx = MSR_APICBASE;
	b->regs.r8 = sregs.apic_base;
}

/* From one place to the other and back: each write changes something. */
static void wrmsr_apicbase_begin(struct bench *b)
{
	struct kvm_sregs sregs;

	/* So that the batch before cannot pass for this one. */
	vm_get_sregs(&b->vm, &sregs);
	sregs.apic_base = APIC_BASE_0;
	vm_set_sregs(&b->vm, &sregs);
	b->regs.rcx = MSR_APICBASE;
	b->regs.rax = APIC_BASE_1;
	b->regs.r10 = APIC_BASE_1 ^ APIC_BASE_2;
}

/* What is written last is in EAX. */
static void wrmsr_apicbase_end(struct bench *b)
{
	struct kvm_sregs sregs;
	uint64_t want = b->ops % 2 ? APIC_BASE_2 : APIC_BASE_1;

	vm_get_sregs(&b->vm, &sregs);
	if (sregs.apic_base != b->regs.rax || b->regs.rax != want)
		fail("%s: the guest wrote %#llx, apic_base is %#llx",
		     b->row->name, b->regs.rax, sregs.apic_base);
}

#define TSC_STEP	0x1000u

static void tsc_adjust_setup(struct bench *b)
{
	b->value[0] = vm_get_msr(&b->vm, MSR_TSC_ADJUST);
}

static void tsc_adjust_begin(struct bench *b)
{
	b->regs.rcx = MSR_TSC_ADJUST;
	b->regs.rax = b->value[0];
	b->regs.r9 = TSC_STEP;
}

static void tsc_adjust_end(struct bench *b)
{
	uint64_t got = vm_get_msr(&b->vm, MSR_TSC_ADJUST);

	b->value[0] += b->ops * TSC_STEP;
	if (got != b->value[0] || b->regs.rax != got)
		fail("%s: the guest wrote %#llx, the MSR is %#lx, it should be %#lx",
		     b->row->name, b->regs.rax, got, b->value[0]);
}

/* --- Memory -------------------------------------------------------------- */

/* What the first word of page @i is. */
static uint64_t page_word(uint64_t i)
{
	return 0x6d696e696b766d00ul + i * 0x10001;
}

static uint64_t *page(struct bench *b, uint64_t i)
{
	return (uint64_t *)(b->vm.pages + i * PAGE_SIZE);
}

/* A page for each operation, the first batch (to warm up) included. */
static void pages_setup(struct bench *b)
{
	uint64_t i, nr = (uint64_t)b->ops * (b->batches + 1);

	vm_add_pages(&b->vm, nr);
	for (i = 0; i < nr; i++)
		*page(b, i) = page_word(i);
}

/*
 * pages_begin - the pages of this batch, or of the last one
 *
 * The loop that is taken off is the same one over the same pages, when they
 * are mapped.
 */
static void pages_begin(struct bench *b)
{
	uint64_t first = b->base ? b->done - b->ops : b->done;

	b->regs.rsi = GUEST_PAGES + first * PAGE_SIZE;
	b->regs.rdi = GUEST_WORDS;
	b->regs.rax = ~page_word(first);
}

static void page_read_end(struct bench *b)
{
	uint64_t *words = (uint64_t *)(b->vm.mem + GUEST_WORDS);
	unsigned int i;

	for (i = 0; i < b->ops; i++)
		if (words[i] != page_word(b->done + i))
			fail("%s: the guest read %#lx from page %lu instead of %#lx",
			     b->row->name, words[i], b->done + i,
			     page_word(b->done + i));
	memset(words, 0, b->ops * sizeof(*words));
}

static void page_write_end(struct bench *b)
{
	uint64_t want = ~page_word(b->done);
	unsigned int i;

	for (i = 0; i < b->ops; i++)
		if (*page(b, b->done + i) != want + i)
			fail("%s: the guest wrote %#lx to page %lu instead of %#lx",
			     b->row->name, *page(b, b->done + i), b->done + i,
			     want + i);
}

const struct row guest_rows[] = {
	{
		.name = "cpuid", .title = "CPUID, leaf 0",
		.what = COUNT_CPUID,
		.program = PROGRAM_OF(cpuid), .base = PROGRAM_OF(cpuid_base),
		.begin = cpuid_begin,
	},
	{
		.name = "hypercall", .title = "VMCALL, unknown number",
		.what = COUNT_HYPERCALL, .usable = cpu_is_not_amd,
		.program = PROGRAM_OF(vmcall), .base = PROGRAM_OF(vmcall_base),
		.begin = hypercall_begin,
	},
	{
		.name = "hypercall", .title = "VMMCALL, unknown number",
		.what = COUNT_HYPERCALL, .usable = cpu_is_amd,
		.program = PROGRAM_OF(vmmcall), .base = PROGRAM_OF(vmcall_base),
		.begin = hypercall_begin,
	},
	{
		.name = "rdmsr", .title = "RDMSR of APIC_BASE",
		.what = COUNT_RDMSR,
		.program = PROGRAM_OF(rdmsr), .base = PROGRAM_OF(rdmsr_base),
		.begin = rdmsr_begin,
	},
	{
		.name = "wrmsr", .title = "WRMSR of APIC_BASE",
		.what = COUNT_WRMSR,
		.program = PROGRAM_OF(wrmsr), .base = PROGRAM_OF(wrmsr_base),
		.begin = wrmsr_apicbase_begin, .end = wrmsr_apicbase_end,
	},
	{
		.name = "wrmsr-tsc", .title = "WRMSR of TSC_ADJUST",
		.what = COUNT_WRMSR,
		.program = PROGRAM_OF(wrmsr), .base = PROGRAM_OF(wrmsr_base),
		.setup = tsc_adjust_setup,
		.begin = tsc_adjust_begin, .end = tsc_adjust_end,
	},
	{
		.name = "page-read", .title = "first touch of a 4 KiB page, read",
		.what = COUNT_FAULT,
		.program = PROGRAM_OF(page_read), .base = PROGRAM_OF(page_read),
		.setup = pages_setup,
		.begin = pages_begin, .end = page_read_end,
	},
	{
		.name = "page-write", .title = "first touch of a 4 KiB page, write",
		.what = COUNT_FAULT,
		.program = PROGRAM_OF(page_write), .base = PROGRAM_OF(page_write),
		.setup = pages_setup,
		.begin = pages_begin, .end = page_write_end,
	},
};

const unsigned int nr_guest_rows = sizeof(guest_rows) / sizeof(guest_rows[0]);
