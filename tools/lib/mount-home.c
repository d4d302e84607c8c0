/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-home.c - see mount-home.h. */
#include "mount-home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/err.h"

/* Programs with libfuse 2 cannot escape these in -o fsname=. */
#define NOT_IN_OPTIONS ",\\ \t\n"

char *mount_home_path(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *home, *real;
	int n;

	if (getuid() == 0)
		n = asprintf(&home, "/run/vdisk");
	else if (runtime && runtime[0] == '/' && !strpbrk(runtime, NOT_IN_OPTIONS))
		n = asprintf(&home, "%s/vdisk", runtime);
	else
		n = asprintf(&home, "/tmp/vdisk-%u", (unsigned)getuid());
	if (n < 0)
		return NULL;
	/* The list of mounts has paths without links. */
	real = realpath(home, NULL);
	if (!real)
		return home;
	free(home);
	return real;
}

int mount_home_lock(const char *home, struct err *e)
{
	struct stat st;
	int fd;

	if (mkdir(home, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s: %s", home, strerror(errno));
	if (lstat(home, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() ||
		(st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(
			e, EPERM, "%s: must be a directory that only this user can write to", home);
	fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_SH) == 0)
		return fd;
	err_set(e, errno, "%s: %s", home, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -e->code;
}
