/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-known.h - the images of a directory by id. */
#ifndef VDISK_OPEN_FOLDER_KNOWN_H
#define VDISK_OPEN_FOLDER_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

struct folder;
struct known_image;
struct vbox_registry;

/* Filled by the first search. */
struct folder_known {
	const struct folder *f;
	struct vbox_registry *machines;
	bool read;
	unsigned left; /* files that may still be opened */
	size_t n;
	struct known_image *images;
};

void folder_known_free(struct folder_known *known);

/* The path of the one image that has the id, or NULL: none has, or several have. */
const char *folder_known_find(struct folder_known *known, const unsigned char *id);

/* Does the image in a file have an id, and another one? */
bool folder_known_is_other(const struct folder *f, const char *path, const unsigned char *id);

#endif
