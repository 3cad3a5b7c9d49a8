// SPDX-License-Identifier: GPL-2.0
/* The command line and the tables. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>

#include "bench.h"

#define OPS		100
#define BATCHES		20

/* Between these, a cycle of the time stamp counter is one instruction. */
#define TSC_LOW		0.99
#define TSC_HIGH	1.01

static const char usage[] =
"usage: minikvm-bench [OPTIONS] DEVICE\n"
"\n"
"Measure what operations of a virtual machine cost, in cycles of the time stamp\n"
"counter: in an emulated machine that counts one cycle an instruction these are\n"
"instructions of guest, kernel and this program together. DEVICE is /dev/kvm or\n"
"/dev/minikvm. Every answer is checked, and that the module counted one exit for\n"
"each operation that is one.\n"
"\n"
"  --rows NAME,...  only these rows\n"
"  --ops N          operations in a batch (default 100)\n"
"  --batches N      batches, of which the best counts (default 20)\n"
"  --json           print JSON instead of a table\n"
"  --profile        mark the last batch of each row for the emulator\n"
"  --list           print the names of all rows\n"
"\n"
"Exit status: 0, or 1 when an answer or a count is wrong.\n";

struct options {
	const char *device;
	const char *rows;
	unsigned int ops;
	unsigned int batches;
	bool json;
	bool profile;
};

/* fail - end the program with the reason */
void fail(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "minikvm-bench: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

/* fail_errno - the same, with what errno says */
void fail_errno(const char *fmt, ...)
{
	int saved_errno = errno;
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "minikvm-bench: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(saved_errno));
	exit(1);
}

static unsigned int parse_count(const char *text, unsigned int max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value < 1 || value > max)
		fail("want a number from 1 to %u, got \"%s\"", max, text);
	return value;
}

/* row_nr - a row by number, orientation first; NULL behind the last */
static const struct row *row_nr(unsigned int i)
{
	/* The two rows that have nothing to do with a VM come first. */
	const unsigned int first = 2;

	if (i < first)
		return &host_rows[i];
	if (i < first + nr_guest_rows)
		return &guest_rows[i - first];
	if (i < nr_host_rows + nr_guest_rows)
		return &host_rows[i - nr_guest_rows];
	return NULL;
}

static bool usable(const struct row *row)
{
	return !row->usable || row->usable();
}

/* wanted - is a name in a list with commas? */
static bool wanted(const char *list, const char *name)
{
	size_t len = strlen(name);

	if (!list)
		return true;
	for (; *list; list += *list == ',') {
		size_t word = strcspn(list, ",");

		if (word == len && strncmp(list, name, len) == 0)
			return true;
		list += word;
	}
	return false;
}

static void list_rows(void)
{
	const struct row *row;
	unsigned int i;

	for (i = 0; (row = row_nr(i)); i++)
		if (usable(row))
			printf("%-16s %s\n", row->name, row->title);
}

/* check_names - each name in --rows is one of a row */
static void check_names(const char *list)
{
	char *copy = strdup(list), *name, *state;
	const struct row *row;
	unsigned int i;

	for (name = strtok_r(copy, ",", &state); name; name = strtok_r(NULL, ",", &state)) {
		for (i = 0; (row = row_nr(i)); i++)
			if (strcmp(row->name, name) == 0)
				break;
		if (!row)
			fail("there is no row \"%s\"; see --list", name);
	}
	free(copy);
}

static unsigned int at_most(unsigned int value, unsigned int max)
{
	return max && value > max ? max : value;
}

static void bench_row(const struct options *opt, const struct row *row, int dev_fd,
		      struct result *result)
{
	struct bench b = {
		.device = opt->device,
		.dev_fd = dev_fd,
		.row = row,
		.profile = opt->profile,
		.ops = at_most(opt->ops, row->max_ops),
		.batches = at_most(opt->batches, row->max_batches),
	};

	if (!row->no_vm)
		vm_create(&b.vm, dev_fd);
	if (row->setup)
		row->setup(&b);
	measure_row(&b, result);
	if (!row->no_vm)
		vm_destroy(&b.vm);
	free(b.array);
}

static void print_row(const struct row *row, const struct result *r)
{
	char exits[16] = "not counted";

	if (r->exits >= 0)
		snprintf(exits, sizeof(exits), "%.2f", r->exits);
	printf("%-48s %11.1f %11.1f %7.1f %11s\n", row->title, r->best, r->median, r->loop,
	       row->no_vm ? "" : exits);
	fflush(stdout);
}

static void print_json(const struct row *row, const struct result *r, bool first)
{
	printf("%s\n  {\"name\": \"%s\", \"title\": \"%s\", \"best\": %.2f, \"median\": %.2f, \"worst\": %.2f, \"loop\": %.2f, ",
	       first ? "" : ",", row->name, row->title, r->best, r->median, r->worst, r->loop);
	if (row->no_vm || r->exits < 0)
		printf("\"exits\": null, ");
	else
		printf("\"exits\": %.4f, ", r->exits);
	printf("\"irqs\": %lu, \"no_vm\": %s, \"ops\": %u, \"batches\": %u}", r->irqs,
	       row->no_vm ? "true" : "false", r->ops, r->batches);
	fflush(stdout);
}

/* bench_all - measure and print the rows that are wanted */
static void bench_all(const struct options *opt)
{
	int dev_fd = open_device(opt->device);
	double tsc = measure_tsc();
	bool exact = tsc > TSC_LOW && tsc < TSC_HIGH, first = true;
	const struct row *row;
	struct result result;
	unsigned int i;

	if (opt->json)
		printf("{\"device\": \"%s\", \"tsc_per_instruction\": %.4f, \"tsc_per_ns\": %.4f, \"rows\": [",
		       opt->device, tsc, tsc_per_ns());
	else
		printf("%s: %.3f cycles of the time stamp counter in an instruction%s\n\n%-48s %11s %11s %7s %11s\n",
		       opt->device, tsc,
		       exact ? "" : ", so the figures are not instructions",
		       "operation", exact ? "instructions" : "cycles", "median", "loop", "exits");
	for (i = 0; (row = row_nr(i)); i++) {
		if (!usable(row) || !wanted(opt->rows, row->name))
			continue;
		bench_row(opt, row, dev_fd, &result);
		if (opt->json)
			print_json(row, &result, first);
		else
			print_row(row, &result);
		first = false;
	}
	if (opt->json)
		printf("\n]}\n");
}

int main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "rows", required_argument, NULL, 'r' },
		{ "ops", required_argument, NULL, 'o' },
		{ "batches", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "profile", no_argument, NULL, 'p' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct options opt = { .ops = OPS, .batches = BATCHES };
	int c;

	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		switch (c) {
		case 'r':
			opt.rows = optarg;
			check_names(optarg);
			break;
		case 'o':
			opt.ops = parse_count(optarg, MAX_OPS);
			break;
		case 'b':
			opt.batches = parse_count(optarg, 1000);
			break;
		case 'j':
			opt.json = true;
			break;
		case 'p':
			opt.profile = true;
			break;
		case 'l':
			list_rows();
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("minikvm-bench: see minikvm-bench --help\n", stderr);
			return 1;
		}
	}
	if (argc - optind != 1)
		fail("want one DEVICE; see minikvm-bench --help");
	opt.device = argv[optind];
	/*
	 * The right to use ports, which the program that started this one may
	 * have handed down, makes each system call and each exit dearer.
	 */
	ioperm(0, 65536, 0);
	/* No page of this program is missing when it is measured. */
	if (mlockall(MCL_CURRENT))
		fail_errno("mlockall");
	bench_all(&opt);
	return 0;
}
