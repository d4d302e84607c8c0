/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.h - opening images. */
#ifndef VDISK_OPEN_OPEN_H
#define VDISK_OPEN_OPEN_H

#include <stdbool.h>

struct err;
struct image;
struct image_options;
struct io;

/* Is dir a directory that is one image as a whole?  image_open takes it by its name. */
bool image_is_bundle(const char *dir);

/* Opens path, or the export of a server in o, and everything it refers to.  The error names the
 * file at fault. */
int image_open(const char *path, const struct image_options *o, struct image **img, struct err *e);

/* The same for a path that the user has not named, but that was found in a directory: it must lead
 * below the directory root, or below those that o allows. */
int image_open_in(const char *root, const char *path, const struct image_options *o,
	struct image **img, struct err *e);

/* Opens an image on io, which it takes, also on failure.  Names in it lead nowhere: for tests. */
int image_open_io(struct io *io, const struct image_options *o, struct image **img, struct err *e);

/* Opens, to be read, the file, or the export of a server in o, that a user wants to be the backing
 * file of an image at path. */
int image_open_backing(const char *path, const char *name, const struct image_options *o,
	struct image **img, struct err *e);

#endif
