/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hidden-view.c - see hidden-view.h. */
#include "hidden-view.h"

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

char *hidden_view_parent(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *path, *real;
	int n;

	if (getuid() == 0)
		n = asprintf(&path, "/run/vdisk");
	else if (runtime && runtime[0] == '/' && !strpbrk(runtime, NOT_IN_OPTIONS))
		n = asprintf(&path, "%s/vdisk", runtime);
	else
		n = asprintf(&path, "/tmp/vdisk-%u", (unsigned)getuid());
	if (n < 0)
		return NULL;
	/* The list of mounts has paths without links. */
	real = realpath(path, NULL);
	if (!real)
		return path;
	free(path);
	return real;
}

int hidden_view_lock(const char *parent, struct err *e)
{
	struct stat st;
	int fd;

	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "%s: %s", parent, strerror(errno));
	if (lstat(parent, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() ||
		(st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(e, EPERM, "%s: must be a directory that only this user can write to",
			parent);
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_SH) == 0)
		return fd;
	err_set(e, errno, "%s: %s", parent, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -e->code;
}

bool hidden_view_admits_root(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256], word[sizeof line], rest;
	bool allows = false;

	/* fusermount3 accepts the word only if it stands alone on its line. */
	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "#")] = '\0';
		if (sscanf(line, "%255s %c", word, &rest) == 1 &&
			strcmp(word, "user_allow_other") == 0)
			allows = true;
	}
	if (f)
		fclose(f);
	return allows;
}
