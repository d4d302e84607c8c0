/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cow.h - a qcow2 overlay that takes all writes, so that the image is not changed. */
#ifndef VDISKFS_TREE_COW_H
#define VDISKFS_TREE_COW_H

struct err;
struct image;
struct image_options;

/* Strings that the options of the overlay refer to; {0} at first. */
struct cow {
	const char **allow; /* how->allow and the directory of the image */
	char *dir;
};

/* Opens the overlay file, which is created unless it exists, and must be an overlay of image; NULL:
 * a temporary one without a name.  how are the options to open the image with; they are changed to
 * those that the overlay is opened with. */
int cow_open(struct cow *c, const char *image, const char *file, struct image_options *how,
	struct image **img, struct err *e);

/* After the overlay was closed. */
void cow_free(struct cow *c);

#endif
