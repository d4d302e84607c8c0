/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opened.c - see opened.h. */
#include "opened.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filenames.h"
#include "mount-table.h"
#include "util/err.h"

/* Images of one name that can be open at a time. */
#define SAME_NAME_MAX 100

char *opened_parent(struct err *e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *real, *path = NULL;
	struct stat st;

	if (!runtime || !runtime[0]) {
		err_set(e, ENOENT, "XDG_RUNTIME_DIR: not set; images are opened in that directory");
		return NULL;
	}
	real = realpath(runtime, NULL);
	if (!real || stat(real, &st) < 0)
		err_set(e, errno, "XDG_RUNTIME_DIR: %s: %s", runtime, strerror(errno));
	else if (!S_ISDIR(st.st_mode) || st.st_uid != getuid() ||
		 (st.st_mode & (S_IWGRP | S_IWOTH)))
		err_set(e, EPERM,
			"XDG_RUNTIME_DIR: %s: must be a directory that only this user can write to",
			runtime);
	else if (asprintf(&path, "%s/vdiskfs", real) < 0) {
		path = NULL;
		err_nomem(e);
	}
	free(real);
	return path;
}

bool opened_has(const char *parent, const struct mounted *x)
{
	size_t n = strlen(parent);

	return !x->file && strncmp(x->dir, parent, n) == 0 && x->dir[n] == '/' &&
	       !strchr(x->dir + n + 1, '/');
}

const struct mounted *opened_find(
	const struct mount_table *m, const char *parent, const char *image)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct mounted *x = &m->list[i];
		char *path = opened_has(parent, x) ? filenames_resolve(x->image) : NULL;
		bool same = path && strcmp(path, image) == 0;

		free(path);
		if (same)
			return x;
	}
	return NULL;
}

/* Creates dir; replaces an empty one that was left over.  False: the name is in use. */
static bool create(const struct mount_table *m, const char *dir)
{
	if (mount_table_find(m, dir)) {
		errno = EEXIST;
		return false;
	}
	rmdir(dir);
	return mkdir(dir, 0700) == 0;
}

char *opened_new_dir(
	const struct mount_table *m, const char *parent, const char *image, struct err *e)
{
	const char *slash = strrchr(image, '/'), *name = slash ? slash + 1 : image;
	char suffix[16] = "", *dir;

	for (int i = 1; i <= SAME_NAME_MAX; i++) {
		if (i > 1)
			snprintf(suffix, sizeof suffix, "~%d", i);
		if (asprintf(&dir, "%s/%s%s", parent, name[0] ? name : "root", suffix) < 0) {
			err_nomem(e);
			return NULL;
		}
		if (create(m, dir))
			return dir;
		if (errno != EEXIST) {
			err_set(e, errno, "%s: %s", dir, strerror(errno));
			free(dir);
			return NULL;
		}
		free(dir);
	}
	err_set(e, EEXIST, "%s: %d images of this name are open", image, SAME_NAME_MAX);
	return NULL;
}
