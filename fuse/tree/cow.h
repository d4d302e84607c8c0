/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cow.h - a qcow2 overlay that takes all writes, so that the image is not changed. */
#ifndef VDISKFS_TREE_COW_H
#define VDISKFS_TREE_COW_H

struct err;
struct image;
struct image_options;
struct string_list;

/* Opens the overlay file, which is created unless it exists, and must be an overlay of image; NULL:
 * a temporary one without a name.  how are the options to open the image with; they are changed to
 * those that the overlay is opened with, which refer to allow, empty at first: how->allow and the
 * directory of the image. */
int cow_open(const char *image, const char *file, struct image_options *how,
	struct string_list *allow, struct image **img, struct err *e);

#endif
