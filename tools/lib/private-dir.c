/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* private-dir.c - see private-dir.h. */
#include "private-dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/err.h"

int private_dir_lock(const char *path, int operation, struct err *e)
{
	struct stat st;
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() ||
		(st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(
			e, EPERM, "%s: must be a directory that only this user can write to", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, operation) == 0)
		return fd;
	err_set(e, errno, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -e->code;
}
