/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.h - changing what an image is based on, and what it has beyond that.  One thread.
 */
#ifndef VDISK_IMAGE_BACKING_H
#define VDISK_IMAGE_BACKING_H

struct err;
struct image;

/* The image, which is open for writing, names another backing file, or none: NULL.  format: as it
 * is recorded; NULL: it is not. What is open stays as it is: the new one counts when the image is
 * opened again.  Durable on return.  EOPNOTSUPP: the format cannot; ENOSPC: there is no room for
 * the name. */
int image_set_backing(struct image *img, const char *name, const char *format, struct err *e);

/* Lets go of all that the disk of an image that is open for writing stores, so that what it is
 * based on shows.  Durable on return.  EOPNOTSUPP: the format cannot. */
int image_empty(struct image *img, struct err *e);

/* From now on what img does not store is read from parent - NULL: is zeroes -, which becomes its
 * own.  Gives back the parent that it had, for the caller to close. */
struct image *image_swap_parent(struct image *img, struct image *parent);

#endif
