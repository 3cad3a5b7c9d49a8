// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linked into the kernel's KVM selftests in place of ioctl() (-Wl,--wrap=ioctl).
 *
 * The usual set-up of those tests calls KVM_CREATE_IRQCHIP, also for guests that never see an
 * interrupt. minikvm has no interrupt controllers yet, and must not claim to. So for the tests that
 * need no more of them than this call ("irqchip" in the table) the answer is given here, in the
 * test's own process: 0 where the device knows no such ioctl. It says so each time.
 *
 * To be deleted when minikvm has KVM_CREATE_IRQCHIP: the tests say that by themselves, because
 * the line is not printed any more.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int ret;

	/* As in the C library: whatever the third argument is, or if there is none. */
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	ret = __real_ioctl(fd, request, arg);
	/* The number of the ioctl in all its 32 bits: callers differ in how they extend it. */
	if (ret < 0 && (unsigned int)request == KVM_CREATE_IRQCHIP &&
	    errno == ENOTTY && getenv("IRQCHIP_SHIM")) {
		static int said;

		if (!said++)
			fputs("shim: KVM_CREATE_IRQCHIP answered in the test's process\n", stderr);
		return 0;
	}
	return ret;
}
