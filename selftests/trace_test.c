// SPDX-License-Identifier: GPL-2.0
/*
 * The module's tracepoints: each event once where it belongs, with what the
 * guest did in it. Other modules' events have other fields: only minikvm's
 * are looked at.
 */
#include <string.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/stats.h"
#include "lib/vm.h"

#define HOLE	0xd0000000ull
#define EXTRA	0x10000000ull

/* The next line, which has to be one of @event; others are an error. */
static void next_event(struct test_trace *trace, const char *event, char *line,
		       int size)
{
	char want[64];

	snprintf(want, sizeof(want), "mkvm_%s: ", event);
	TEST_CHECK(trace_next(trace, line, size), "no %s event", event);
	TEST_CHECK(strncmp(line, want, strlen(want)) == 0, "want %s, got: %s",
		   event, line);
}

static void expect_value(const char *line, const char *key, uint64_t want)
{
	uint64_t value;

	TEST_CHECK(trace_value(line, key, &value), "no %s in: %s", key, line);
	TEST_EQ(want, value, "%s of: %s", key, line);
}

static void expect_word(const char *line, const char *word)
{
	TEST_CHECK(strstr(line, word), "no \"%s\" in: %s", word, line);
}

/* Port access, MMIO and page fault, in the order in which they happen. */
TEST(what_the_guest_did)
{
	static const uint8_t code[] = {
		0xe6, 0x80,		/* out %al, $0x80 */
		0xe5, 0x81,		/* in $0x81, %eax */
		0x89, 0x03,		/* mov %eax, (%rbx) */
		0x66, 0x8b, 0x03,	/* mov (%rbx), %ax */
		0x88, 0x07,		/* mov %al, (%rdi) */
		0xf4,
	};
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       code, sizeof(code) });
	uint32_t in = rand_u64(), read = rand_u64() & 0xffff;
	struct test_trace *trace;
	struct kvm_regs regs;
	char line[512];

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm's events");
	trace = trace_open();
	vm_add_memory(vcpu->vm, 1, EXTRA, 0x10000);
	vcpu_get_regs(vcpu, &regs);
	regs.rax = 0xa5;
	regs.rbx = HOLE + 0x10;
	regs.rdi = EXTRA + 0x3008;
	vcpu_set_regs(vcpu, &regs);

	trace_enable(trace, trace_event("pio"), true);
	trace_enable(trace, trace_event("mmio"), true);
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, 0x80, 1, 1);
	memcpy(vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, 0x81, 4, 1), &in, 4);
	vcpu_run_to_mmio(vcpu, true, HOLE + 0x10, 4);
	memcpy(vcpu_run_to_mmio(vcpu, false, HOLE + 0x10, 2), &read, 2);
	trace_enable(trace, trace_event("page_fault"), true);
	vcpu_run_to_hlt(vcpu);
	trace_enable(trace, trace_event("pio"), false);
	trace_enable(trace, trace_event("mmio"), false);
	trace_enable(trace, trace_event("page_fault"), false);

	next_event(trace, "pio", line, sizeof(line));
	expect_word(line, " out ");
	expect_value(line, "port", 0x80);
	expect_value(line, "size", 1);
	expect_value(line, "count", 1);
	expect_value(line, "value", 0xa5);
	next_event(trace, "pio", line, sizeof(line));
	expect_word(line, " in ");
	expect_value(line, "port", 0x81);
	expect_value(line, "size", 4);
	expect_value(line, "value", in);
	next_event(trace, "mmio", line, sizeof(line));
	expect_word(line, " write ");
	expect_value(line, "gpa", HOLE + 0x10);
	expect_value(line, "len", 4);
	expect_value(line, "value", in);
	next_event(trace, "mmio", line, sizeof(line));
	expect_word(line, " read ");
	expect_value(line, "gpa", HOLE + 0x10);
	expect_value(line, "len", 2);
	expect_value(line, "value", read);
	next_event(trace, "page_fault", line, sizeof(line));
	expect_value(line, "gpa", EXTRA + 0x3008);
	expect_word(line, "w");
	EXPECT_FALSE(trace_next(trace, line, sizeof(line)));
	trace_close(trace);
	vm_destroy(vcpu->vm);
}

/* Entries and exits in pairs; the exits by name, with RIP, as many as counted. */
TEST(entries_and_exits)
{
	int outs = rand_between(3, 20), cpuids = rand_between(3, 20), i;
	uint64_t rip, counts[STATS_NUM] = {}, total = 0, before, after;
	struct code_buf code = {};
	struct test_trace *trace;
	struct test_vcpu *vcpu;
	char line[512];
	bool inside = false;

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm's events");
	trace = trace_open();
	for (i = 0; i < outs; i++)
		CODE(&code, 0xe6, 0x80);
	for (i = 0; i < cpuids; i++)
		CODE(&code, 0x0f, 0xa2);
	code_hlt(&code);
	vcpu = vm_with_guest(MODE_LONG, (struct guest_code){ code.bytes,
							     code.size });
	before = stats_exit_total(vcpu);
	trace_enable(trace, trace_event("entry"), true);
	trace_enable(trace, trace_event("exit"), true);
	for (i = 0; i < outs; i++)
		vcpu_run_to_io(vcpu, KVM_EXIT_IO_OUT, 0x80, 1, 1);
	vcpu_run_to_hlt(vcpu);
	trace_enable(trace, trace_event("entry"), false);
	trace_enable(trace, trace_event("exit"), false);
	after = stats_exit_total(vcpu);

	while (trace_next(trace, line, sizeof(line))) {
		if (strncmp(line, "mkvm_entry: ", 12) == 0) {
			TEST_CHECK(!inside, "two entries, no exit: %s", line);
			TEST_CHECK(trace_value(line, "rip", &rip), "no rip: %s",
				   line);
			inside = true;
			continue;
		}
		TEST_CHECK(strncmp(line, "mkvm_exit: ", 11) == 0, "odd: %s",
			   line);
		TEST_CHECK(inside, "an exit without entry: %s", line);
		TEST_CHECK(trace_value(line, "rip", &rip), "no rip: %s", line);
		inside = false;
		total++;
		if (trace_is_exit(line, STATS_IO))
			TEST_EQ(GUEST_CODE + 2 * counts[STATS_IO]++, rip, "%s",
				line);
		else if (trace_is_exit(line, STATS_CPUID))
			TEST_EQ(GUEST_CODE + 2 * (outs + counts[STATS_CPUID]++),
				rip, "%s", line);
		else if (trace_is_exit(line, STATS_HLT))
			counts[STATS_HLT]++;
	}
	EXPECT_FALSE(inside);
	EXPECT_EQ(outs, counts[STATS_IO]);
	EXPECT_EQ(cpuids, counts[STATS_CPUID]);
	EXPECT_EQ(1, counts[STATS_HLT]);
	EXPECT_EQ(after - before, total);
	trace_close(trace);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
