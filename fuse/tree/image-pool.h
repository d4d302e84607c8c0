/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-pool.h - an image that parts of the tree are shown from.
 *
 * The tree knows names; bytes come from images, and only while an image is pinned may its states
 * and views be looked at.  Whoever answers a request pins for that long, an open file from open to
 * release: so reading takes no lock of ours.
 *
 * In a mount of a directory an image is opened when it is first pinned.  Once nobody has had it
 * pinned for a while, or when too many are open, it is closed; the nodes stay, and it is opened
 * again when they are used.  Should its files have changed meanwhile, it is another generation of
 * the image: what was shown of the one before is -ESTALE.
 *
 * Where it may be written, it is opened for reading all the same, until somebody holds it to write:
 * then it is opened anew, and stays writable until it is closed.
 *
 * Locks: one mutex for all pool, held for moments, and one a source while a view is made.
 */
#ifndef VDISKFS_TREE_IMAGE_POOL_H
#define VDISKFS_TREE_IMAGE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct new_image;
struct image;
struct image_options;
struct pooled_image;
struct image_pool;
struct fingerprint;
struct view;

/* A view made from the views of an image, such as a partition.  It lives until the image is closed
 * or pooled_image_drop_view, whatever comes first.  {0} is one not made yet. */
struct derived_view {
	struct view *view;
	struct derived_view *next, **link;
};

typedef int derive_fn(void *arg, struct view **view, struct err *e);

/* How an image is opened. */
struct image_origin {
	const char *fence; /* directory that it must lie below */
	const char *path;
	bool in_package; /* path is a package: */
	size_t disk;     /* this one of it */
	bool chosen;     /* shows the snapshot that the user asked for as its live state */
};

/* The images of a mount.  how and snapshot (NULL: the live state) must outlive them; what cannot be
 * told to anybody goes to how->warn.  idle: how many seconds an image stays open that nobody uses.
 */
struct image_pool *image_pool_new(
	const struct image_options *how, const char *snapshot, unsigned idle, struct err *e);
void image_pool_free(struct image_pool *all); /* all of them are gone; NULL is fine */

/* Makes durable what was written to any of them.  One thread at a time. */
void image_pool_flush(struct image_pool *all);

/* The same, and takes off the marks of being written; -EIO when one of them has failed. */
int image_pool_finish(struct image_pool *all);

/* Closes what has been idle for long enough.  Seconds until the next one has; -1: none is. */
int image_pool_close_idle(struct image_pool *all);

/* Closes the one that has been idle for longest: false when all are in use.  Not for who opens or
 * closes one under a lock of these. */
bool image_pool_close_one(struct image_pool *all);

/* An image that is opened when need be; the texts of from are copied. */
struct pooled_image *pooled_image_new(
	struct image_pool *all, const struct image_origin *from, struct err *e);

/* An image that is open and stays so; it must outlive the source.  state is the number
 * of the one that is shown as live. */
struct pooled_image *pooled_image_of(const struct image *img, unsigned state, struct err *e);

struct pooled_image *pooled_image_ref(struct pooled_image *s);
void pooled_image_unref(struct pooled_image *s); /* NULL is fine */

#define ANY_GENERATION 0

/* The image, which stays open until pooled_image_unpin.  -ESTALE: it is not of this generation. */
int pooled_image_pin(
	struct pooled_image *s, unsigned generation, const struct image **img, struct err *e);
void pooled_image_unpin(struct pooled_image *s);

/* The same for as long as a file is open, perhaps to write: of image_pool_new images.  -EBUSY: it
 * is held by who only reads, and cannot be opened anew; or it took the place of an empty image that
 * was made in this mount, and this is the first attempt to write to it. */
int pooled_image_hold(struct pooled_image *s, unsigned generation, bool writes,
	const struct image **img, struct err *e);
void pooled_image_unhold(struct pooled_image *s);

/* Calls change while the image is closed and nobody has it pinned: what that does to its files
 * makes no other generation, if it leaves their stamp.  -EBUSY: somebody holds it.  After -ESTALE,
 * for the stamp did not hold, the image is no longer that of pooled_image_get_new; it is logged
 * here. */
typedef int pooled_image_change_fn(void *arg, struct fingerprint *stamp, struct err *e);
int pooled_image_change(
	struct pooled_image *s, pooled_image_change_fn *change, void *arg, struct err *e);

/* What there is to know of one that was made in this mount, or NULL, also when another program has
 * changed or replaced it since; it is given once, with what was made, and goes with the source. */
struct new_image *pooled_image_get_new(const struct pooled_image *s);
void pooled_image_set_new(
	struct pooled_image *s, struct new_image *new_image, struct fingerprint *stamp);

/* Pinned: which generation this is, never ANY_GENERATION. */
unsigned pooled_image_generation(const struct pooled_image *s);

/* Pinned: the number of the state that is shown as the live one. */
unsigned pooled_image_state(const struct pooled_image *s);

/* Has an image that was open once changed since?  Then its generation ends here; but one that is
 * pinned has not changed for those who use it. */
bool pooled_image_has_changed(struct pooled_image *s);

/* Pinned.  Calls make unless m is made already; one thread at a time. */
int pooled_image_derive(
	struct pooled_image *s, struct derived_view *m, derive_fn *make, void *arg, struct err *e);
void pooled_image_drop_view(struct pooled_image *s, struct derived_view *m);

#endif
