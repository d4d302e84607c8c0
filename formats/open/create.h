/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.h - making new, empty images. */
#ifndef VDISK_OPEN_CREATE_H
#define VDISK_OPEN_CREATE_H

#include "image/creation.h"

/* Checks the options as image_create does, without those that exclude each other. */
int image_create_check(const struct format *format, const struct create_request *r, struct err *e);

/* The size that a new image of r->size bytes would have with the data of disk; NULL: none.
 * ENOTSUP. */
struct measured;
struct view;
int image_measure(const struct format *format, const struct create_request *r,
	const struct view *disk, struct measured *m, struct err *e);

/* Creates the image path.  On failure no new file is left behind; one that was replaced is empty.
 * EEXIST: there is a file that must not be replaced.
 *
 * The first sector is written last: after a power cut or a kill, the file is the old one, is
 * empty or no image, or is the new one as a whole. */
int image_create(const struct format *format, const char *path, const struct create_request *r,
	struct err *e);

/* The same in io, writable, of an image that needs no other file: for tests. */
int image_create_io(
	const struct format *format, struct io *io, const struct create_request *r, struct err *e);

#endif
