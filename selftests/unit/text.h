/* SPDX-License-Identifier: GPL-2.0 */
/* Text for test output: a string that grows by printf(), and TAP comments. */
#ifndef MINIKVM_UNIT_TEXT_H
#define MINIKVM_UNIT_TEXT_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
	char buf[160];
	unsigned int len;
};

static inline void __attribute__((format(printf, 2, 3)))
text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += vsnprintf(t->buf + t->len, sizeof(t->buf) - t->len, fmt, ap);
	va_end(ap);
	if (t->len >= sizeof(t->buf))
		t->len = sizeof(t->buf) - 1;
}

/* A line of diagnosis; flushed because the harness leaves by _exit(). */
static inline void __attribute__((format(printf, 1, 2)))
diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static inline const char *text_size(unsigned int size)
{
	switch (size) {
	case 1:
		return "byte ";
	case 2:
		return "word ";
	case 4:
		return "dword ";
	case 8:
		return "qword ";
	case 16:
		return "oword ";
	case 32:
		return "yword ";
	}
	return "";
}

#endif /* MINIKVM_UNIT_TEXT_H */
