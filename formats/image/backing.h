/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.h - changing the backing file of an image, and its own data.  One thread.
 */
#ifndef VDISK_IMAGE_BACKING_H
#define VDISK_IMAGE_BACKING_H

struct err;
struct image;

/* Records another backing file in an image that is open for writing; NULL: none.  format: recorded
 * with it; NULL: not recorded.  The open chain stays as it is: the new name is used when the image
 * is opened again.  Durable on return.  EOPNOTSUPP: the format cannot; ENOSPC: the name is too
 * long. */
int image_set_backing(struct image *img, const char *name, const char *format, struct err *e);

/* Frees all data of an image that is open for writing, so that its parent shows.  Durable on
 * return. EOPNOTSUPP: the format cannot. */
int image_empty(struct image *img, struct err *e);

/* img reads unallocated ranges from parent, which it owns from now on; NULL: as zeroes.  Returns
 * the previous parent, which the caller closes. */
struct image *image_swap_parent(struct image *img, struct image *parent);

#endif
