/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opening.h - opening one image, without its parents. */
#ifndef VDISK_OPEN_OPENING_H
#define VDISK_OPEN_OPENING_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct gate;
struct image;
struct image_options;
struct io;
struct peek;

/* How an image is opened, by the way in which it was found. */
struct opening {
	const char *format;        /* NULL: probe */
	const struct image *child; /* the image is to be the parent of this one; or NULL */
	const struct gate *gate;   /* its file was opened through it; NULL: named by the user */
	const struct peek *peek;   /* of the file, as far as LIMIT_PEEK; NULL: not read yet */
	bool is_disk;              /* a file that no format claims is raw */
	bool guessed;              /* it may name no file */
	struct io *const *files;   /* that are joined to its file, of a package; NULL: none */
	size_t nfiles;
};

/* The opening of a parent.  format: as child records it, or NULL. */
struct opening opening_of_parent(const struct image *child, const char *format);

/* Opens the image in io, which it takes, also on failure. */
int opening_run(const struct opening *how, struct io *io, const struct image_options *o,
	struct image **out, struct err *e);

#endif
