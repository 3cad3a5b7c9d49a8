/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of the program lifecycle. */
#ifndef SELFTESTS_LIFECYCLE_H
#define SELFTESTS_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#ifndef ARRAY_LEN
#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#endif

/* Prints "# WHAT: ERROR"; returns the error. */
int say(const char *what, int error);

/* kexec.c */
int kexec_prepare(bool crash, const char *kernel, const char *initrd, const char *command_line);

#endif
