/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain.h - between image.c and chain.c only. */
#ifndef VDISK_CHAIN_H
#define VDISK_CHAIN_H

struct err;
struct image;
struct image_options;
struct io;

/* Opens the parents of img, down to the last, and puts the views on top of each other. */
int chain_open(struct image *img, struct err *e);

/* One image on io, which it takes, also on failure; without its parents.  format NULL: probe.
 * child: the image that names it, or NULL. */
int image_from_io(struct io *io, const struct image_options *o, const char *format,
	const struct image *child, struct image **out, struct err *e);

#endif
