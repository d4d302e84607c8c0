/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* new-image.h - an image that was created in this mount.
 *
 * At first it is empty: its file is a valid image of the format, but its disk has no bytes and is
 * not opened.  It can be created again with other options.  The first write, or the first size that
 * is set, creates it for the last time, as long as that.
 *
 * From then on it is an image like any other, except that its disk grows when it is written past
 * its end, as a file does.  It grows by more than is written, since a change of size is slow; until
 * the file is closed its disk is reported to end at the last byte written.
 *
 * Locks: one mutex an image, held while it is created again or changes its size.
 */
#ifndef VDISKFS_TREE_NEW_IMAGE_H
#define VDISKFS_TREE_NEW_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/string-list.h"

struct err;
struct fingerprint;
struct format;
struct pooled_image;
struct shown;
struct view;

struct new_image {
	pthread_mutex_t lock;
	const struct format *format;
	char *path;
	struct string_list options; /* "name=value" */
	atomic_bool empty;
	/* Another program has changed or replaced one of its files: it is no new image any more. */
	atomic_bool replaced;
	atomic_bool growing; /* the disk is reported to end at end, before the end of the view */
	_Atomic uint64_t end;
	bool listed_empty; /* its directory was listed before it was written */
	void (*free)(struct new_image *f);
};

/* Creates an empty image in a file that must not exist.  *fingerprint, {0} at first, is for
 * pooled_image_set_new: only files that match it are created again or removed. */
int new_image_create(const struct format *format, const char *path, struct new_image **f,
	struct fingerprint *fingerprint, struct err *e);
void new_image_free(struct new_image *f);

/* The image belongs to s.  -ESTALE, which is logged: another program has changed or replaced it,
 * and nothing was done. */

/* Creates it again with one more option "name=value", or another value of an option.  EINVAL: the
 * format has no such option; EBUSY: the image is no longer empty. */
int new_image_set_option(
	struct new_image *f, struct pooled_image *s, const char *option, struct err *e);

/* The value of an option that was set, malloc'ed.  -ENODATA: it was not. */
int new_image_get_option(struct new_image *f, const char *name, char **value);

/* Removes its files.  -ENOTEMPTY, without a message: it is no longer empty. */
int new_image_remove(struct new_image *f, struct pooled_image *s, struct err *e);

/* The size that is reported of its disk, which has this view. */
uint64_t new_image_size(const struct new_image *f, const struct view *view);

/* With the lock held: */

/* Creates it again with a disk of this size. */
int new_image_begin(struct new_image *f, struct pooled_image *s, uint64_t size, struct err *e);

/* Makes the disk end at end or later, before a write that ends there. */
int new_image_extend(struct new_image *f, const struct shown *shown, uint64_t end, struct err *e);

/* Sets the size of the disk, as truncate(2) does. */
int new_image_truncate(
	struct new_image *f, const struct shown *shown, uint64_t size, struct err *e);

/* Makes the disk end where it is reported to end. */
int new_image_end_growth(struct new_image *f, const struct shown *shown, struct err *e);

#endif
