/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock-holder.c - see lock-holder.h. */
#include "lock-holder.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mount-table.h"
#include "util/err.h"

/* Is path, which has no links, image itself or below it? */
static bool covers(const char *image, const char *path)
{
	char real[PATH_MAX];
	size_t n;

	if (!realpath(image, real))
		return false;
	n = strlen(real);
	return strncmp(real, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

char *lock_holder_mount(const char *file)
{
	const char *dir = NULL;
	struct err ignored = ERR_INIT;
	char path[PATH_MAX];
	struct mount_table m;
	char *copy;

	if (!realpath(file, path))
		return NULL;
	mount_table_read(&m, &ignored);
	/* A file system that is mounted from the view comes later: it has to be unmounted first. */
	for (size_t i = 0; i < m.n; i++)
		if (covers(m.list[i].image, path))
			dir = m.list[i].dir;
	copy = dir ? strdup(dir) : NULL;
	mount_table_free(&m);
	return copy;
}
