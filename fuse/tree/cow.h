/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cow.h - an overlay that takes what is written, so that the image stays as it is. */
#ifndef VDISKFS_TREE_COW_H
#define VDISKFS_TREE_COW_H

struct err;
struct image;
struct image_options;

/* What is opened in the place of an image; {0} at first. */
struct cow {
	const char **allow; /* for how->allow: the directory of the image, too */
	char *dir;
};

/* Opens the overlay file, which is made if it is not there and must be one of image if it is; NULL:
 * one that nobody else sees and that is gone with its last descriptor.  how says how image is to be
 * opened; it is changed to what the overlay is opened with. */
int cow_open(struct cow *c, const char *image, const char *file, struct image_options *how,
	struct image **img, struct err *e);

/* Once the image is closed. */
void cow_free(struct cow *c);

#endif
