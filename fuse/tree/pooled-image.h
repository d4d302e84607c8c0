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

struct err;
struct fingerprint;
struct image;
struct image_pool;
struct new_image;
struct pooled_image;
struct view;

/* A view made from the views of an image, such as a partition.  It is freed when the image is
 * closed, or by pooled_image_drop_view.  {0}: not made yet. */
struct derived_view {
	struct view *view;
	LIST_ENTRY(derived_view) entry; /* private */
};

/* How an image is opened. */
struct image_origin {
	const char *root; /* directory that the image must lie below */
	const char *path;
	bool in_package; /* path is a package, and the image is disk number disk of it */
	size_t disk;
	bool chosen; /* the snapshot of image_pool_new is shown as its live state */
};

/* An image that is opened when it is pinned; the strings of from are copied. */
struct pooled_image *pooled_image_new(
	struct image_pool *pool, const struct image_origin *from, struct err *e);

/* An image that is open and stays so until the last reference is dropped.  Takes img, also on
 * failure. */
struct pooled_image *pooled_image_of(struct image_pool *pool, struct image *img, struct err *e);

struct pooled_image *pooled_image_ref(struct pooled_image *s);
void pooled_image_unref(struct pooled_image *s); /* NULL is fine */

#define ANY_GENERATION 0

/* Opens the image if need be; it stays open until pooled_image_unpin.  -ESTALE: this is another
 * generation. */
int pooled_image_pin(
	struct pooled_image *s, unsigned generation, const struct image **img, struct err *e);
void pooled_image_unpin(struct pooled_image *s);

/* The same for as long as a file is open, writable if writes.  -EBUSY: a file is open for reading,
 * so that the image cannot be opened again for writing; or another program has replaced an empty
 * image that was created in this mount, and this is the first attempt to write to it. */
int pooled_image_hold(struct pooled_image *s, unsigned generation, bool writes,
	const struct image **img, struct err *e);
void pooled_image_unhold(struct pooled_image *s);

/* Calls change while the image is closed and not pinned.  change may alter the files without
 * beginning another generation, if it updates the fingerprint.  -EBUSY: a file is open.  -ESTALE:
 * the fingerprint does not match the files, which are no longer those of the new image; this was
 * logged. */
typedef int pooled_image_change_fn(void *arg, struct fingerprint *fingerprint, struct err *e);
int pooled_image_change(
	struct pooled_image *s, pooled_image_change_fn *change, void *arg, struct err *e);

/* The new image, if it was created in this mount, and no other program has changed or replaced it
 * since; or NULL.  It is set once, is freed with s, and takes the fingerprint of the files. */
struct new_image *pooled_image_get_new(const struct pooled_image *s);
void pooled_image_set_new(
	struct pooled_image *s, struct new_image *new_image, struct fingerprint *fingerprint);

/* Of a pinned image: its generation, never ANY_GENERATION; and the number of the state that is
 * shown as the live one. */
unsigned pooled_image_generation(const struct pooled_image *s);
unsigned pooled_image_state(const struct pooled_image *s);

/* Have the files of an image changed since it was opened?  Then its generation ends.  False for an
 * image that is pinned: its users keep what they have. */
bool pooled_image_has_changed(struct pooled_image *s);

/* Calls make unless v is made already; one thread at a time an image, which is pinned. */
typedef int derive_fn(void *arg, struct view **view, struct err *e);
int pooled_image_derive(
	struct pooled_image *s, struct derived_view *v, derive_fn *make, void *arg, struct err *e);
void pooled_image_drop_view(struct pooled_image *s, struct derived_view *v);

#endif
