/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filenames.c - see filenames.h. */
#include "filenames.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "report.h"
#include "open/probe.h"
#include "util/protocol.h"

char *filenames_beside(const char *base, const char *name)
{
	const char *slash = name[0] == '/' ? NULL : strrchr(base, '/');
	char *path;

	return asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - base) : 0, base, name) < 0
		       ? NULL
		       : path;
}

void filenames_hint_backing_format(const char *base, const char *backing)
{
	char *path = filenames_beside(base, backing);
	const char *looks = path ? probe_path(path) : NULL;

	if (looks && report_is_qemu_img())
		fprintf(stderr, "Detected format of %s.", looks);
	else if (looks)
		report_advice("it looks like %s: use -F %s if it is", looks, looks);
	else
		report_advice("-F FMT gives its format; -F raw for a plain disk");
	free(path);
}

char *filenames_resolve(const char *name)
{
	return protocol_is_nbd(name) ? strdup(name) : realpath(name, NULL);
}

static bool leads_to(const char *path, const char *real)
{
	char *resolved = realpath(path, NULL);
	bool same = resolved && strcmp(resolved, real) == 0;

	free(resolved);
	return same;
}

char *filenames_parent(const struct image *img, const char *name)
{
	const struct image *parent = img->parent;
	char *path = img->parent_name ? filenames_beside(name, img->parent_name) : NULL;

	if (!parent || !parent->path || (path && leads_to(path, parent->path)))
		return path;
	free(path);
	return strdup(parent->path);
}

bool filenames_records(const struct image *img, const char *name, const char *parent)
{
	char *beside = filenames_beside(name, parent);
	bool is = img->parent_name && strcmp(img->parent_name, parent) == 0;

	is = is ||
	     (beside && img->parent && img->parent->path && leads_to(beside, img->parent->path));
	free(beside);
	return is;
}

bool filenames_is_parent(const struct image *img, const char *name, const char *parent)
{
	return filenames_records(img, name, parent) ||
	       (img->parent && img->parent->path && leads_to(parent, img->parent->path));
}

char *filenames_of_io(const struct image *img, const char *name, const struct io *io)
{
	const struct image *owner = img;
	char *found = strdup(name);

	while (owner && found && owner->io != io) {
		char *parent = filenames_parent(owner, found);

		free(found);
		found = parent;
		owner = owner->parent;
	}
	if (owner && found)
		return found;
	free(found);
	return image_file_name(img, name, io); /* an extent or data file of an image */
}
