/* SPDX-License-Identifier: GPL-2.0 */
/* Files of the kernel's that take a word, and directories to be counted. */
#ifndef SELFTESTS_LIB_FILE_H
#define SELFTESTS_LIB_FILE_H

#include <stdbool.h>

/* Write @text in one go; return: whether the file took all of it. */
bool file_put(const char *path, const char *text);
bool dir_put(const char *dir, const char *file, const char *text);

/* Entries of type @type (DT_DIR, DT_LNK...) but for hidden ones; -1: there is no such directory. */
int dir_count(const char *path, unsigned char type);

#endif
