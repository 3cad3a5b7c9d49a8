// SPDX-License-Identifier: GPL-2.0
/* The module's debugfs statistics and trace events; see stats.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/stats.h"
#include "lib/vendor.h"

#define DEBUGFS	"/sys/kernel/debug"
#define TRACEFS	"/sys/kernel/tracing"

bool stats_available(void)
{
	return test_device_is_minikvm();
}

int vms_now(void)
{
	return dir_count(test_device_is_minikvm() ? DEBUGFS "/minikvm" : DEBUGFS "/kvm", DT_DIR);
}

/* The vCPU's exits file, one line "NAME COUNT" for each reason. */
static FILE *open_exits(struct test_vcpu *vcpu)
{
	char path[128];
	FILE *f;

	if (access(DEBUGFS "/minikvm", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	snprintf(path, sizeof(path), DEBUGFS "/minikvm/%d-%d/vcpu%d/exits",
		 getpid(), vcpu->vm->fd, vcpu->id);
	f = fopen(path, "r");
	TEST_CHECK(f, "cannot open %s", path);
	return f;
}

/*
 * The names of the exits, by vendor: those of the manual on Intel, on AMD those
 * of <asm/svm.h>. The trace event has them in other letters, and its own name
 * for IOIO. "*" stands for the rest.
 */
static const char *const rows_intel[STATS_NUM][3] = {
	[STATS_IO] = { "IO_INSTRUCTION" },
	[STATS_HLT] = { "HLT" },
	[STATS_CPUID] = { "CPUID" },
	[STATS_HYPERCALL] = { "VMCALL" },
	[STATS_RDMSR] = { "MSR_READ" },
	[STATS_WRMSR] = { "MSR_WRITE" },
	[STATS_MSR] = { "MSR_READ", "MSR_WRITE" },
	[STATS_CR] = { "CR_ACCESS" },
	[STATS_PAGE_FAULT] = { "EPT_VIOLATION" },
};

static const char *const rows_amd[STATS_NUM][3] = {
	[STATS_IO] = { "IOIO", "IO" },
	[STATS_HLT] = { "HLT" },
	[STATS_CPUID] = { "CPUID" },
	[STATS_HYPERCALL] = { "VMMCALL" },
	[STATS_RDMSR] = { },		/* one code for both */
	[STATS_WRMSR] = { },
	[STATS_MSR] = { "MSR" },
	[STATS_CR] = { "READ_CR*", "WRITE_CR*", "CR0_SEL_WRITE" },
	[STATS_PAGE_FAULT] = { "NPF" },
};

/* Is @row one of the rows of @what? */
static bool row_is(const char *row, enum stats_exit what)
{
	const char *const *name = test_vendor()->amd ? rows_amd[what] :
						       rows_intel[what];
	int i;

	TEST_CHECK(name[0], "exits of kind %d are not told apart here", what);
	for (i = 0; i < 3 && name[i]; i++) {
		size_t len = strcspn(name[i], "*");

		if (strncasecmp(row, name[i], len) == 0 &&
		    (name[i][len] || !row[len]))
			return true;
	}
	return false;
}

uint64_t stats_exit_count(struct test_vcpu *vcpu, enum stats_exit what)
{
	FILE *f = open_exits(vcpu);
	unsigned long long count;
	uint64_t total = 0;
	bool found = false;
	char row[64];

	while (fscanf(f, "%63s %llu", row, &count) == 2) {
		if (row_is(row, what)) {
			total += count;
			found = true;
		}
	}
	fclose(f);
	TEST_CHECK(found, "the exits file has no row for kind %d", what);
	return total;
}

uint64_t stats_exit_total(struct test_vcpu *vcpu)
{
	FILE *f = open_exits(vcpu);
	unsigned long long count;
	uint64_t total = 0;
	char row[64];

	while (fscanf(f, "%63s %llu", row, &count) == 2)
		total += count;
	fclose(f);
	return total;
}

struct test_trace {
	char dir[96];
	FILE *pipe;
};

struct test_trace *trace_open(void)
{
	struct test_trace *t = calloc(1, sizeof(*t));
	char path[128];
	int fd;

	TEST_CHECK(t, "out of memory");
	if (access(TRACEFS "/instances", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	snprintf(t->dir, sizeof(t->dir), TRACEFS "/instances/minikvm-test-%d",
		 getpid());
	if (mkdir(t->dir, 0700) && errno != EEXIST)
		TEST_SKIP("no trace instance (%s): run as root, CONFIG_TRACING",
			  strerror(errno));
	snprintf(path, sizeof(path), "%s/trace_pipe", t->dir);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	TEST_CHECK(fd >= 0, "cannot open %s", path);
	t->pipe = fdopen(fd, "r");
	TEST_CHECK(t->pipe, "fdopen of %s", path);
	return t;
}

const char *trace_event(const char *name)
{
	static char full[64];

	if (test_device_is_minikvm())
		snprintf(full, sizeof(full), "minikvm/mkvm_%s", name);
	else
		snprintf(full, sizeof(full), "kvm/kvm_%s", name);
	return full;
}

void trace_enable(struct test_trace *t, const char *event, bool on)
{
	char file[128];

	snprintf(file, sizeof(file), "events/%s/enable", event);
	TEST_CHECK(dir_put(t->dir, file, on ? "1" : "0"),
		   "cannot switch %s in %s", file, t->dir);
}

bool trace_next(struct test_trace *t, char *line, int size)
{
	char buf[512];

	clearerr(t->pipe);
	while (fgets(buf, sizeof(buf), t->pipe)) {
		/* "comm-PID [CPU] flags time: event: text" */
		char *p = strstr(buf, ": ");

		if (!p)
			continue;
		snprintf(line, size, "%s", p + 2);
		line[strcspn(line, "\n")] = 0;
		return true;
	}
	return false;
}

void trace_close(struct test_trace *t)
{
	fclose(t->pipe);
	rmdir(t->dir);
	free(t);
}

bool trace_value(const char *line, const char *key, uint64_t *value)
{
	size_t len = strlen(key);
	const char *p = line;

	while ((p = strstr(p, key))) {
		bool starts = p == line || !isalnum((unsigned char)p[-1]);

		p += len;
		if (!starts || isalnum((unsigned char)*p))
			continue;
		p += strspn(p, " =:");
		if (isxdigit((unsigned char)*p)) {
			*value = strtoull(p, NULL, 16);
			return true;
		}
	}
	return false;
}

bool trace_is_exit(const char *line, enum stats_exit what)
{
	char word[64];
	const char *p = strstr(line, " reason ");

	return p && sscanf(p, " reason %63s", word) == 1 && row_is(word, what);
}
