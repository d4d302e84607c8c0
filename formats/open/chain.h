/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain.h - opening an image with its parents, down to the last. */
#ifndef VDISK_OPEN_CHAIN_H
#define VDISK_OPEN_CHAIN_H

struct err;
struct image;
struct image_options;
struct io;
struct opening;

/* Opens the image in io, which it takes, also on failure, and its parents, and lays each view on
 * that of the parent. */
int chain_open(const struct opening *how, struct io *io, const struct image_options *o,
	struct image **out, struct err *e);

#endif
