// SPDX-License-Identifier: GPL-2.0
/* Messages and numbers. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "minikvm.h"

/* fail - end the program before a guest has run, with the reason */
void fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "minikvm: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(STATUS_SETUP);
}

/* fail_errno - the same, with what errno says */
void fail_errno(const char *fmt, ...)
{
	int saved_errno = errno;
	va_list ap;

	fprintf(stderr, "minikvm: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(saved_errno));
	exit(STATUS_SETUP);
}

/* parse_number - read a decimal, 0x or octal number that is the whole text */
bool parse_number(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno == 0 && *end == 0;
}

/* parse_size - read a number of bytes; K, M and G are understood */
bool parse_size(const char *text, uint64_t *value)
{
	unsigned int shift = 0;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno)
		return false;
	switch (*end) {
	case 'G': case 'g':
		shift = 30;
		end++;
		break;
	case 'M': case 'm':
		shift = 20;
		end++;
		break;
	case 'K': case 'k':
		shift = 10;
		end++;
		break;
	}
	if (*end || *value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}
