/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain.h - between image/image.c, chain.c, image/backing.c and package.c only. */
#ifndef VDISK_OPEN_CHAIN_H
#define VDISK_OPEN_CHAIN_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct image;
struct image_options;
struct io;
struct view;

/* Opens the parents of img, down to the last, and puts the views on top of each other. */
int chain_open(struct image *img, struct err *e);

/* What the states of img do not store is read from below; NULL: it is zeroes. */
void chain_lay_on(struct image *img, struct view *below);

/* How an image is to be opened. */
struct opening {
	const char *format;        /* NULL: probe */
	const struct image *child; /* whose name for it led here; NULL: the user's did */
	bool is_disk;              /* what no format knows is raw then */
	bool guessed;              /* it may name no file */
	struct io *const *files;   /* of a package, that make up its file; NULL: that is it */
	size_t nfiles;
};

/* The way of a parent.  format: that child records, or NULL. */
struct opening opening_of_parent(const struct image *child, const char *format);

/* One image on io, which it takes, also on failure; without its parents. */
int image_from_io(struct io *io, const struct image_options *o, const struct opening *how,
	struct image **out, struct err *e);

/* The same with its parents. */
int image_open_as(struct io *io, const struct image_options *o, const struct opening *how,
	struct image **out, struct err *e);

#endif
