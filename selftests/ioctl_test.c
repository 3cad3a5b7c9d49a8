// SPDX-License-Identifier: GPL-2.0
/*
 * Every ioctl number of <linux/kvm.h>, on every type of file, with arguments that are missing, cut
 * off, misaligned, or full of zeroes or ones: what each call answers, one line a case.
 *
 *   ioctl_test			TAP: the answers do not depend on what came before, and numbers that
 *				nobody knows get the errno that their file has for it
 *   ioctl_test --write FILE	the answers of the device
 *   ioctl_test --compare FILE	whether the device answers as in FILE, but for the differences that
 *				this file explains; boots/ioctl_diff.sh does it with stock KVM's
 *   ioctl_test --differences	these, as a table for Documentation/api.rst
 */
#include "ioctls.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* --- The answers ------------------------------------------------------------------------- */

static const char * const where_names[] = { "device", "empty-vm", "vm", "vcpu", "vcpu-run" };
static const char * const unknown_errno[] = { "EINVAL", "ENOTTY", "ENOTTY", "EINVAL", "EINVAL" };

/* Answers that differ although both know the ioctl. */
static const struct difference {
	const char *name;
	const char *argument;
	const char *kvm;
	const char *minikvm;
	const char *reason;
} differences[] = {
	{ "KVM_CHECK_EXTENSION", "null", "positive", "0", "number 0 is ``KVM_CAP_IRQCHIP``" },
	{ "KVM_CREATE_VCPU", "kernel-half", "EEXIST", "EINVAL",
	  "all 64 bits of a number count; in KVM since Linux 6.11" },
	{ "KVM_SET_BOOT_CPU_ID", NULL, "0", "EINVAL",
	  "a number that no vCPU can have; KVM refuses it since Linux 6.11" },
	{ "KVM_SET_TSC_KHZ", NULL, "0", "EINVAL",
	  "a rate that is not the host's, where the CPU could scale its TSC" },
};

/* --- The arguments ------------------------------------------------------------------------ */

/* At fixed addresses: some ioctls take the argument as a number. */
#define BUFFER		0x10000000ul
#define BUFFER_SIZE	0x10000ul
#define CLEARED		0x5000ul
#define BUFFER_END	(BUFFER + BUFFER_SIZE)	/* nothing can be read from here on */

enum argument { NONE, UNMAPPED, KERNEL, LAST_BYTES, SHORT, ENDING, ZEROES, MISALIGNED, ONES, NR_ARGS };

static const char * const argument_names[] = {
	"null", "unmapped", "kernel-half", "last-bytes", "cut-off", "count-1-ending", "zeroes",
	"misaligned", "ones",
};

/* Prepare an argument. */
static unsigned long argument(unsigned long request, enum argument kind)
{
	size_t size = _IOC_SIZE(request);

	memset((void *)BUFFER, kind == ONES ? 0xff : 0, CLEARED);
	memset((void *)(BUFFER_END - CLEARED), 0, CLEARED);
	switch (kind) {
	case UNMAPPED:
		return BUFFER_END;
	case KERNEL:
		return 0xffff888000000000;
	case LAST_BYTES:
		return -3ul;
	case SHORT:
		return BUFFER_END - size / 2;
	case ENDING:
		/* What has a variable number of elements has one, which is not there. */
		if (size >= 4 && size <= CLEARED)
			memset((void *)(BUFFER_END - size), 1, 1);
		return BUFFER_END - size;
	case ZEROES:
	case ONES:
		return BUFFER;
	case MISALIGNED:
		return BUFFER + 1;
	default:
		return 0;
	}
}

/* --- Running them ---------------------------------------------------------------------------- */

GUEST(guest_hlt, "1: hlt; jmp 1b");

/* Make a file on which nothing was done yet. */
static int open_at(struct machine *m, enum where where)
{
	const char *step;

	*m = (struct machine){ .dev = -1, .vm = -1, .vcpu = -1 };
	if (where == DEV || where == VM_EMPTY) {
		m->dev = open(test_device(), O_RDWR | O_CLOEXEC);
		TEST_CHECK(m->dev >= 0, "%s", test_device());
		if (where == DEV)
			return m->dev;
		m->vm = ioctl(m->dev, KVM_CREATE_VM, 0);
		TEST_CHECK(m->vm >= 0, "KVM_CREATE_VM");
		return m->vm;
	}
	step = machine_init(m);
	TEST_CHECK(!step, "%s", step);
	GUEST_LOAD(m, guest_hlt);
	if (where == VCPU_RUN)
		TEST_CHECK(!machine_run(m), "the first run");
	return where == VM_USED ? m->vm : m->vcpu;
}

static bool makes_fd(unsigned long request)
{
	return request == KVM_CREATE_VM || request == KVM_CREATE_VCPU ||
	       request == KVM_GET_STATS_FD;
}

/* One call; the answer in a word. */
static const char *answer(int fd, unsigned long request, enum argument kind)
{
	long ret = xioctl(fd, request, argument(request, kind));

	if (ret < 0)
		return strerrorname_np(-ret);
	if (!makes_fd(request))
		return ret ? "positive" : "0";
	close(ret);
	return "fd";
}

/* The files that know a number, by all its rows. */
static unsigned int known_to(unsigned long request)
{
	unsigned int known = 0, i;

	for (i = 0; i < ARRAY_LEN(ioctl_rows); i++)
		if (ioctl_rows[i].request == request)
			known |= ioctl_rows[i].known;
	return known;
}

typedef void (*take_fn)(const struct ioctl_row *row, enum where where, enum argument kind,
			const char *answer, void *arg);

/* All cases. A file that knows the ioctl is fresh for it, the others are @other's. */
static void run_row(const struct ioctl_row *row, enum where where, int other, take_fn take,
		    void *arg)
{
	bool known = row->known & 1 << where;
	struct machine m;
	int kind, fd;

	/* Another row's. */
	if (!known && known_to(row->request) & 1 << where)
		return;
	fd = known ? open_at(&m, where) : other;
	for (kind = NONE; kind < NR_ARGS; kind++) {
		/* Where nobody looks at the argument two will do. */
		if (!known && kind != NONE && kind != ZEROES)
			continue;
		take(row, where, kind, answer(fd, row->request, kind), arg);
	}
	if (known)
		machine_destroy(&m);
}

static void run_all(take_fn take, void *arg)
{
	struct machine other;
	unsigned int i;
	int where, fd;

	for (where = 0; where < NR_WHERE; where++) {
		fd = open_at(&other, where);
		for (i = 0; i < ARRAY_LEN(ioctl_rows); i++)
			run_row(&ioctl_rows[i], where, fd, take, arg);
		machine_destroy(&other);
	}
}

#define LINE_MAX_SIZE	120

static void case_line(char line[LINE_MAX_SIZE], const struct ioctl_row *row, enum where where,
		      enum argument kind)
{
	snprintf(line, LINE_MAX_SIZE, "%s %s %s", where_names[where], row->name,
		 argument_names[kind]);
}

/* --- What is done with the answers -------------------------------------------------------------- */

static void write_answer(const struct ioctl_row *row, enum where where, enum argument kind,
			 const char *answer, void *arg)
{
	char line[LINE_MAX_SIZE];

	case_line(line, row, where, kind);
	fprintf(arg, "%s: %s\n", line, answer);
}

struct comparison {
	FILE *file;
	bool exact;
	unsigned int cases, allowed, wrong;
};

static bool is_allowed(const struct ioctl_row *row, enum where where, enum argument kind,
		       const char *want, const char *got)
{
	unsigned int i;

	if (row->lacks && !strcmp(got, unknown_errno[where]))
		return true;
	for (i = 0; i < ARRAY_LEN(differences); i++) {
		const struct difference *d = &differences[i];

		if (!strcmp(d->name, row->name) && !strcmp(d->kvm, want) &&
		    !strcmp(d->minikvm, got) &&
		    (!d->argument || !strcmp(d->argument, argument_names[kind])))
			return true;
	}
	return false;
}

static void compare_answer(const struct ioctl_row *row, enum where where, enum argument kind,
			   const char *answer, void *arg)
{
	char line[LINE_MAX_SIZE], want[LINE_MAX_SIZE + 40] = "", *value;
	struct comparison *c = arg;

	c->cases++;
	case_line(line, row, where, kind);
	if (fgets(want, sizeof(want), c->file))
		want[strcspn(want, "\n")] = 0;
	value = strstr(want, ": ");
	if (!value || strncmp(want, line, value - want) || line[value - want]) {
		printf("# %s: there is another line: \"%s\"\n", line, want);
		c->wrong++;
		return;
	}
	value += 2;
	if (!strcmp(value, answer))
		return;
	if (!c->exact && is_allowed(row, where, kind, value, answer)) {
		c->allowed++;
		return;
	}
	printf("# %s: %s, not %s\n", line, answer, value);
	c->wrong++;
}

static bool compare(FILE *file, bool exact)
{
	struct comparison c = { .file = file, .exact = exact };

	run_all(compare_answer, &c);
	printf("# %u cases, %u as expected, %u other than KVM's for a reason, %u wrong\n", c.cases,
	       c.cases - c.allowed - c.wrong, c.allowed, c.wrong);
	return !c.wrong;
}

struct unknown {
	unsigned int cases, wrong;
};

static void check_unknown(const struct ioctl_row *row, enum where where, enum argument kind,
			  const char *answer, void *arg)
{
	struct unknown *u = arg;

	if (row->known & 1 << where)
		return;
	u->cases++;
	if (!strcmp(answer, unknown_errno[where]))
		return;
	printf("# %s on %s: %s, not %s\n", row->name, where_names[where], answer,
	       unknown_errno[where]);
	u->wrong++;
}

/* The table of Documentation/api.rst. */
static void print_differences(void)
{
	unsigned int i;

	printf(".. list-table::\n   :header-rows: 1\n   :widths: 40 60\n\n");
	printf("   * - ioctl\n     - difference\n");
	for (i = 0; i < ARRAY_LEN(ioctl_rows); i++) {
		if (!ioctl_rows[i].lacks)
			continue;
		printf("   * - ``%s``%s\n     - %s\n", ioctl_rows[i].name,
		       known_to(ioctl_rows[i].request) == ioctl_rows[i].known ? "" : " of the device",
		       ioctl_rows[i].lacks);
	}
	for (i = 0; i < ARRAY_LEN(differences); i++)
		printf("   * - ``%s``\n     - ``%s`` where KVM says %s: %s\n",
		       differences[i].name, differences[i].minikvm, differences[i].kvm,
		       differences[i].reason);
}

static int failures, number;

static void result(bool ok, const char *name)
{
	printf("%sok %d %s\n", ok ? "" : "not ", ++number, name);
	failures += !ok;
}

static int run_tests(void)
{
	struct unknown u = { 0 };
	FILE *file = tmpfile();

	TEST_CHECK(file, "tmpfile");
	printf("TAP version 13\n1..2\n");
	run_all(check_unknown, &u);
	printf("# %u cases\n", u.cases);
	result(!u.wrong, "unknown numbers");
	run_all(write_answer, file);
	rewind(file);
	result(compare(file, true), "the same answers twice");
	fclose(file);
	return failures ? 1 : 0;
}

static void usage(void)
{
	fprintf(stderr, "usage: ioctl_test [--write FILE | --compare FILE | --differences]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	FILE *file;
	int ret = 0;

	if (!strcmp(mode, "--differences") && argc == 2) {
		print_differences();
		return 0;
	}
	if (mmap((void *)BUFFER, BUFFER_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BUFFER ||
	    mmap((void *)BUFFER_END, TEST_PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BUFFER_END)
		TEST_FAIL("no memory at the fixed addresses");
	if (argc == 1)
		return run_tests();
	if (argc != 3 || (strcmp(mode, "--write") && strcmp(mode, "--compare")))
		usage();
	file = fopen(argv[2], strcmp(mode, "--write") ? "r" : "w");
	TEST_CHECK(file, "%s", argv[2]);
	if (!strcmp(mode, "--write"))
		run_all(write_answer, file);
	else
		ret = !compare(file, false);
	fclose(file);
	return ret;
}
