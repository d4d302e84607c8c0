/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cow.h - a qcow2 overlay that takes all writes, so that the image is not changed. */
#ifndef VDISKFS_TREE_COW_H
#define VDISKFS_TREE_COW_H

#include "util/string-list.h"

struct err;
struct image;
struct image_options;

/* Strings that the options of an overlay refer to, as long as the overlay is open; zeroes at first.
 */
struct cow {
	struct string_list allow;
	const char *backing[3];
};

/* Opens the overlay file, which is created unless it exists, and must be an overlay of image; NULL:
 * a temporary one without a name.  image, which is to outlive the overlay, is a path, or the name
 * of a server in how: the overlay records the name.  how are the options to open the image with;
 * they are changed to those that the overlay is opened with, which refer to c: the directory of the
 * image is allowed. */
int cow_open(const char *image, const char *file, struct image_options *how, struct cow *c,
	struct image **img, struct err *e);

void cow_free(struct cow *c);

#endif
