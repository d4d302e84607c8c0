/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock-holder.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mount-table.h"

/* Is path, which is without links, image itself or below it? */
static bool covers(const char *image, const char *path)
{
	char real[PATH_MAX];
	size_t n;

	if (!realpath(image, real))
		return false;
	n = strlen(real);
	return strncmp(real, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

char *holder_mount(const char *file)
{
	const char *dir = NULL;
	char path[PATH_MAX];
	struct mounts m;
	char *copy;
	bool known;

	if (!realpath(file, path))
		return NULL;
	known = mounts_read(&m);
	/* A file system on a view comes after it, and is what umount is to be told. */
	for (size_t i = 0; known && i < m.n; i++)
		if (covers(m.list[i].image, path))
			dir = m.list[i].dir;
	copy = dir ? strdup(dir) : NULL;
	mounts_free(&m);
	return copy;
}
