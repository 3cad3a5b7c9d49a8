// SPDX-License-Identifier: GPL-2.0
/* Files and directories of the kernel's; see file.h. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/file.h"

bool file_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

bool dir_put(const char *dir, const char *file, const char *text)
{
	char path[256];
	int len = snprintf(path, sizeof(path), "%s/%s", dir, file);

	return len < (int)sizeof(path) && file_put(path, text);
}

int dir_count(const char *path, unsigned char type)
{
	const struct dirent *entry;
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		count += entry->d_type == type && entry->d_name[0] != '.';
	closedir(dir);
	return count;
}
