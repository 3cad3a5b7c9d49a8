// SPDX-License-Identifier: GPL-2.0
/* Failures on demand; see fault.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/vm.h"

#define DEBUGFS		"/sys/kernel/debug/"

int faults_open(void)
{
	return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

/* Without a trace in the log. */
bool faults_init(void)
{
	static const struct {
		const char *path;
		const char *text;
	} settings[] = {
		{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
		{ DEBUGFS "failslab/verbose", "0" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUGFS "fail_page_alloc/min-order", "0" },
		{ DEBUGFS "fail_page_alloc/verbose", "0" },
		{ DEBUGFS "fail_usercopy/verbose", "0" },
	};
	int fd = faults_open();
	unsigned int i;

	if (fd < 0)
		return false;
	close(fd);
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		TEST_CHECK(file_put(settings[i].path, settings[i].text), "cannot write %s",
			   settings[i].path);
	return true;
}

void faults_begin(int fail_nth, unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	TEST_CHECK(pwrite(fail_nth, text, strlen(text), 0) == (ssize_t)strlen(text),
		   "cannot ask for fault %u", n);
}

unsigned int faults_left(int fail_nth)
{
	char text[16] = "";

	TEST_CHECK(pread(fail_nth, text, sizeof(text) - 1, 0) > 0, "cannot read fail-nth");
	return atoi(text);
}

bool faults_end(int fail_nth)
{
	char text[16] = "";
	bool fired;

	fired = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;
	if (!fired && pwrite(fail_nth, "0", 1, 0) != 1)
		TEST_CHECK(pwrite(fail_nth, "0", 1, 0) == 1, "cannot turn faults off");
	return fired;
}

int faults_run(int fail_nth, unsigned int n, int fd, int signum, bool *fired)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t none[8];
	} mask = { .head.len = sizeof(mask.none) };
	sigset_t blocked, before;
	int ret;

	*fired = false;
	sigemptyset(&blocked);
	sigaddset(&blocked, signum);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	ret = ioctl(fd, KVM_SET_SIGNAL_MASK, &mask) ? -errno : 0;
	if (!ret) {
		faults_begin(fail_nth, n);
		ret = ioctl(fd, KVM_RUN, 0) ? -errno : 0;
		*fired = faults_end(fail_nth);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}
