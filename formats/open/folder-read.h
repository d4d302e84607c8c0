/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-read.h - reading a directory. */
#ifndef VDISK_OPEN_FOLDER_READ_H
#define VDISK_OPEN_FOLDER_READ_H

struct err;
struct folder;
struct image_options;

/* Reads a directory, given by a path without links.  o: how its images will be opened.  above: the
 * directory above, when that is shown, too; or NULL. */
int folder_read(const char *path, const struct image_options *o, const struct folder *above,
	struct folder **f, struct err *e);

#endif
