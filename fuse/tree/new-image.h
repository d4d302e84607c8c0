/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* new-image.h - an image that was made in this mount.
 *
 * At first it is empty: its file is there, and is a valid image of the format, but its disk has no
 * bytes and nobody opens it.  Then it can be made anew with other options.  What is written first,
 * or the size that is given first, makes it anew for the last time, as long as that.
 *
 * From then on it is an image like any other, but that its disk grows by being written past its
 * end, as a file does.  It grows by more than is written, lest each write costs a change of size;
 * until it is settled its disk is said to end where the last write did.
 *
 * Locks: one mutex each, held while the image is made or changes its size.
 */
#ifndef VDISKFS_TREE_NEW_IMAGE_H
#define VDISKFS_TREE_NEW_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct format;
struct pooled_image;
struct fingerprint;
struct view;

struct new_image {
	pthread_mutex_t lock;
	const struct format *format;
	char *path;
	char **options; /* "name=value", NULL-terminated once there is one */
	size_t noptions;
	atomic_bool empty;
	/* Another program has changed or replaced a file of it: the image is any image now. */
	atomic_bool replaced;
	atomic_bool growing; /* the disk ends at end, before the end of the view */
	_Atomic uint64_t end;
	bool listed_empty; /* what is in its directory was found out before it was written */
};

/* Makes the empty image; nothing may be there under that path.  *stamp, {0} at first, is for
 * pooled_image_set_new: nothing is made anew or removed but the files that were made here. */
int new_image_create(const struct format *format, const char *path, struct new_image **f,
	struct fingerprint *stamp, struct err *e);
void new_image_free(struct new_image *f); /* NULL is fine */

/* With the lock, of one that is empty and belongs to the source.  -ESTALE: another program has
 * changed or replaced it; nothing was done, and that is logged: */

/* Another option; a name that has a value gets another.  EINVAL: there is none such. */
int new_image_set_option(
	struct new_image *f, struct pooled_image *s, const char *word, struct err *e);

/* It gets a disk of this size, which it keeps unless it can be resized. */
int new_image_begin(struct new_image *f, struct pooled_image *s, uint64_t size, struct err *e);

/* Takes its files away. */
int new_image_remove(struct new_image *f, struct pooled_image *s, struct err *e);

/* The value that was given to an option, or NULL; with the lock. */
const char *new_image_option(const struct new_image *f, const char *name);

/* How long its disk is said to be; view is that of the disk. */
uint64_t new_image_size(const struct new_image *f, const struct view *view);

#endif
