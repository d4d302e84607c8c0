/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pooled-image.h - an image that parts of the tree are shown from.
 *
 * Names belong to the tree, bytes to images.  States and views of an image may be used only while
 * it is pinned: for the time of a request, or from open to release of a file.  So reading an open
 * file takes no lock of the pool.
 *
 * The nodes outlive the open image: it is opened again when they are used.  If its files have
 * changed meanwhile, another generation of the image begins, and nodes of the one before get
 * -ESTALE.
 *
 * An image that may be written is opened for reading until a file is opened for writing: then it is
 * closed and opened again, and stays writable until it is closed.
 *
 * Locks: one mutex for the pool, held for moments only.  The thread that opens or closes an image
 * releases it and marks the image busy, which makes others wait.  One more mutex an image for the
 * views that are derived from it.
 */
#ifndef VDISKFS_TREE_POOLED_IMAGE_H
#define VDISKFS_TREE_POOLED_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "open/disks.h"

struct err;
struct fingerprint;
struct image;
struct image_pool;
struct new_image;
struct pooled_image;
struct view;

/* A view derived from those of an image, such as a partition.  It is freed when the image is
 * closed, or by pooled_image_drop_view.  {0}: not created yet. */
struct derived_view {
	struct view *view;
	LIST_ENTRY(derived_view) entry; /* private */
};

/* How an image is opened. */
struct image_origin {
	struct disk_place place;
	bool chosen; /* the snapshot of image_pool_new is shown as its live state */
	/* The places of several disks together (open/disks.h), owned; NULL: it is one. */
	struct disk_place *disks;
	size_t ndisks;
};

/* An image that is opened when it is pinned; the strings of the place are copied. */
struct pooled_image *pooled_image_new(
	struct image_pool *pool, const struct image_origin *from, struct err *e);

/* Several disks as one image, by the places of images that are opened alone. */
struct pooled_image *pooled_image_of_disks(
	struct image_pool *pool, struct pooled_image *const *disks, size_t n, struct err *e);

/* Are both of the same disks?  False for any other image. */
bool pooled_image_has_same_disks(const struct pooled_image *a, const struct pooled_image *b);

/* An image that is open and stays so until the last reference is dropped.  Takes img, also on
 * failure. */
struct pooled_image *pooled_image_of(struct image_pool *pool, struct image *img, struct err *e);

struct pooled_image *pooled_image_ref(struct pooled_image *s);
void pooled_image_unref(struct pooled_image *s); /* NULL is fine */

#define ANY_GENERATION 0

enum image_use {
	USE_BRIEFLY,  /* for the time of a request */
	USE_TO_READ,  /* by an open file */
	USE_TO_WRITE, /* likewise; the image is writable then */
};

/* Opens the image if need be; it stays open until pooled_image_unpin for the same use.  -ESTALE:
 * this is another generation.  -EBUSY, to write: a file is open for reading, so that the image
 * cannot be opened again; or another program has replaced an empty image that was created in this
 * mount, and this is the first attempt to write to it. */
int pooled_image_pin(struct pooled_image *s, unsigned generation, enum image_use use,
	const struct image **img, struct err *e);
void pooled_image_unpin(struct pooled_image *s, enum image_use use);

/* Between these two the image is closed and not pinned.  Its files may be altered without beginning
 * another generation, if the fingerprint is updated.  -EBUSY: a file is open.  -ESTALE: it is no
 * new image any more.  end returns ret; if that is -ESTALE, since the fingerprint does not match
 * the files, it is logged, and the image is no new image any more. */
int pooled_image_begin_change(
	struct pooled_image *s, struct fingerprint **fingerprint, struct err *e);
int pooled_image_end_change(struct pooled_image *s, int ret, const struct err *e);

/* The new image, if it was created in this mount, and no other program has changed or replaced it
 * since; or NULL.  It is set once, is freed with s, and takes the fingerprint of the files. */
struct new_image *pooled_image_get_new(const struct pooled_image *s);
void pooled_image_set_new(
	struct pooled_image *s, struct new_image *new_image, struct fingerprint *fingerprint);

/* The generation of a pinned image, never ANY_GENERATION; and the number of the state that is shown
 * as the live one. */
unsigned pooled_image_generation(const struct pooled_image *s);
unsigned pooled_image_state(const struct pooled_image *s);

/* Have the files of an image changed since it was opened?  Then its generation ends.  False for an
 * image that is pinned: its users keep what they have. */
bool pooled_image_has_changed(struct pooled_image *s);

/* One thread at a time creates a derived view: between begin and end v->view is NULL, or was
 * created before.  end sets v->view to view, unless that is NULL.  The image is pinned. */
void pooled_image_begin_view(struct pooled_image *s);
void pooled_image_end_view(struct pooled_image *s, struct derived_view *v, struct view *view);
void pooled_image_drop_view(struct pooled_image *s, struct derived_view *v);

#endif
