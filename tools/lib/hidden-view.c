/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hidden-view.c - see hidden-view.h. */
#include "hidden-view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
