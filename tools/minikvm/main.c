// SPDX-License-Identifier: GPL-2.0
/* The command line of minikvm. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "minikvm.h"

#define DEFAULT_MEM	(2ull << 20)
#define MAX_MEM		(3ull << 30)
#define PAGE_MASK	4095ull

static const char usage_text[] =
"usage: minikvm COMMAND [OPTIONS]\n"
"\n"
"  run FILE   run a flat binary as a guest\n"
"  hello      run the built-in guest that prints Hello, world!\n"
"  info       show what the module can do\n"
"\n"
"minikvm COMMAND --help tells more.\n";

static const char run_text[] =
"usage: minikvm run [OPTIONS] FILE\n"
"\n"
"Load FILE, a flat binary, at address 0x1000 and run it in real mode from there\n"
"(CS base 0, RIP and RSP 0x1000, RFLAGS 2, other registers 0) until it executes\n"
"HLT. What it writes to port 0x3f8 goes to standard output.\n"
"\n"
"  --long            start in 64-bit mode; the low 4 GiB are mapped to themselves\n"
"  --regs NAME=N,... first values of registers (rax to r15, rip, rflags)\n"
"  --mem SIZE        memory from address 0 on (default 2M; K, M and G are known)\n"
"  --trace-exits     name every exit on standard error\n"
"  --device PATH     device node (default $MINIKVM_DEVICE, or /dev/minikvm)\n"
"\n"
"Exit status: 0 the guest halted; 1 it ended in another way, which is explained;\n"
"2 it could not be started; 130 it was stopped by a signal.\n";

static const char hello_text[] =
"usage: minikvm hello [--trace-exits] [--device PATH]\n"
"\n"
"Run the guest of samples/hello.S, which is built into this program.\n";

static const char info_text[] =
"usage: minikvm info [--device PATH]\n"
"\n"
"Show API version, capabilities that are not zero, CPUID leaves and MSRs.\n";

/* default_device - the node when --device is not given */
static const char *default_device(void)
{
	const char *path = getenv("MINIKVM_DEVICE");

	return path && *path ? path : "/dev/minikvm";
}

/* wrong_usage - complain and point to the help */
static void wrong_usage(const char *command)
{
	fprintf(stderr, "minikvm: see minikvm %s --help\n", command);
	exit(STATUS_SETUP);
}

/*
 * parse_options - read what stands behind the command
 *
 * @allowed holds the short forms of the options the command has; help is
 * printed and the program ended when --help is among them.
 */
static void parse_options(struct options *opt, int argc, char **argv,
			  const char *allowed, const char *help)
{
	static const struct option longopts[] = {
		{ "long", no_argument, NULL, 'l' },
		{ "regs", required_argument, NULL, 'r' },
		{ "mem", required_argument, NULL, 'm' },
		{ "trace-exits", no_argument, NULL, 't' },
		{ "device", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *command = argv[0];
	int c;

	*opt = (struct options){
		.device = default_device(),
		.mem_size = DEFAULT_MEM,
	};
	while ((c = getopt_long(argc, argv, "+h", longopts, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			exit(STATUS_OK);
		}
		if (c == '?')
			wrong_usage(command);
		if (!strchr(allowed, c)) {
			fprintf(stderr, "minikvm: %s has no such option\n",
				command);
			wrong_usage(command);
		}
		switch (c) {
		case 'l':
			opt->long_mode = true;
			break;
		case 'r':
			opt->regs = optarg;
			break;
		case 'm':
			if (!parse_size(optarg, &opt->mem_size))
				fail("--mem wants a size like 64K or 2M, got \"%s\"",
				     optarg);
			break;
		case 't':
			opt->trace_exits = true;
			break;
		case 'd':
			opt->device = optarg;
			break;
		}
	}
	if (opt->mem_size & PAGE_MASK || opt->mem_size > MAX_MEM)
		fail("--mem has to be a multiple of 4K, and 3G at most");
	argc -= optind;
	argv += optind;
	if (strchr(allowed, 'F')) {
		if (argc != 1) {
			fprintf(stderr, "minikvm: %s wants one FILE\n", command);
			wrong_usage(command);
		}
		opt->file = argv[0];
	} else if (argc) {
		fprintf(stderr, "minikvm: %s takes no \"%s\"\n", command,
			argv[0]);
		wrong_usage(command);
	}
}

/* file_size - the size of the guest's file, or the reason why not */
static uint64_t file_size(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		fail_errno("cannot find the guest %s", path);
	if (!S_ISREG(st.st_mode))
		fail("the guest %s is not a regular file", path);
	return st.st_size;
}

/* start - make the VM, put the guest in, run it */
static enum status start(const struct options *opt)
{
	size_t size = opt->file ? file_size(opt->file) :
		(size_t)(hello_guest_end - hello_guest);
	enum status status;
	struct vm vm = { .mem_size = opt->mem_size };

	if (usable_memory(&vm, opt->long_mode) < size || size == 0)
		fail("the guest has %zu bytes, and %#llx bytes of memory have room for %#llx at address %#x: choose --mem",
		     size, (unsigned long long)opt->mem_size,
		     (unsigned long long)usable_memory(&vm, opt->long_mode),
		     LOAD_ADDR);
	vm_create(&vm, opt->device, opt->mem_size);
	if (opt->file)
		vm_load_file(&vm, opt->file);
	else
		vm_load(&vm, hello_guest, size);
	if (opt->long_mode)
		set_long_mode(&vm);
	else
		set_real_mode(&vm);
	set_registers(&vm, opt->regs);
	status = run_guest(&vm, opt);
	vm_destroy(&vm);
	return status;
}

/* main - find the command */
int main(int argc, char **argv)
{
	struct options opt;

	if (argc < 2) {
		fputs(usage_text, stderr);
		return STATUS_SETUP;
	}
	if (strcmp(argv[1], "run") == 0) {
		parse_options(&opt, argc - 1, argv + 1, "lrmtdF", run_text);
		return start(&opt);
	}
	if (strcmp(argv[1], "hello") == 0) {
		parse_options(&opt, argc - 1, argv + 1, "td", hello_text);
		return start(&opt);
	}
	if (strcmp(argv[1], "info") == 0) {
		parse_options(&opt, argc - 1, argv + 1, "d", info_text);
		return print_info(opt.device);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		fputs(usage_text, stdout);
		return STATUS_OK;
	}
	fprintf(stderr, "minikvm: there is no command \"%s\"\n%s", argv[1],
		usage_text);
	return STATUS_SETUP;
}
