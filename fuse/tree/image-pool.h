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
 * Locks: one mutex for all sources, held for moments, and one a source while a view is made.
 */
#ifndef VDISKFS_TREE_IMAGE_POOL_H
#define VDISKFS_TREE_IMAGE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct fresh;
struct image;
struct image_options;
struct source;
struct sources;
struct fingerprint;
struct view;

/* A view made from the views of an image, such as a partition.  It lives until the image is closed
 * or source_unmake, whatever comes first.  {0} is one not made yet. */
struct regions {
	struct view *view;
	struct regions *next, **link;
};

typedef int made_fn(void *arg, struct view **view, struct err *e);

/* How an image is opened. */
struct origin {
	const char *fence; /* directory that it must lie below */
	const char *path;
	bool in_package; /* path is a package: */
	size_t disk;     /* this one of it */
	bool chosen;     /* shows the snapshot that the user asked for as its live state */
};

/* The images of a mount.  how and snapshot (NULL: the live state) must outlive them; what cannot be
 * told to anybody goes to how->warn.  idle: how many seconds an image stays open that nobody uses.
 */
struct sources *sources_new(
	const struct image_options *how, const char *snapshot, unsigned idle, struct err *e);
void sources_free(struct sources *all); /* all of them are gone; NULL is fine */

/* Makes durable what was written to any of them.  One thread at a time. */
void sources_flush(struct sources *all);

/* The same, and takes off the marks of being written; -EIO when one of them has failed. */
int sources_finish(struct sources *all);

/* Closes what has been idle for long enough.  Seconds until the next one has; -1: none is. */
int sources_close_idle(struct sources *all);

/* Closes the one that has been idle for longest: false when all are in use.  Not for who opens or
 * closes one under a lock of these. */
bool sources_close_one(struct sources *all);

/* An image that is opened when need be; the texts of from are copied. */
struct source *source_new(struct sources *all, const struct origin *from, struct err *e);

/* An image that is open and stays so; it must outlive the source.  state is the number
 * of the one that is shown as live. */
struct source *source_of(const struct image *img, unsigned state, struct err *e);

struct source *source_ref(struct source *s);
void source_unref(struct source *s); /* NULL is fine */

#define ANY_GENERATION 0

/* The image, which stays open until source_unpin.  -ESTALE: it is not of this generation. */
int source_pin(struct source *s, unsigned generation, const struct image **img, struct err *e);
void source_unpin(struct source *s);

/* The same for as long as a file is open, perhaps to write: of sources_new images.  -EBUSY: it is
 * held by who only reads, and cannot be opened anew; or it took the place of an empty image that
 * was made in this mount, and this is the first attempt to write to it. */
int source_hold(struct source *s, unsigned generation, bool writes, const struct image **img,
	struct err *e);
void source_unhold(struct source *s);

/* Calls change while the image is closed and nobody has it pinned: what that does to its files
 * makes no other generation, if it leaves their stamp.  -EBUSY: somebody holds it.  After -ESTALE,
 * for the stamp did not hold, the image is no longer that of source_fresh; it is logged here. */
typedef int source_change_fn(void *arg, struct fingerprint *stamp, struct err *e);
int source_change(struct source *s, source_change_fn *change, void *arg, struct err *e);

/* What there is to know of one that was made in this mount, or NULL, also when another program has
 * changed or replaced it since; it is given once, with what was made, and goes with the source. */
struct fresh *source_fresh(const struct source *s);
void source_set_fresh(struct source *s, struct fresh *fresh, struct fingerprint *stamp);

/* Pinned: which generation this is, never ANY_GENERATION. */
unsigned source_generation(const struct source *s);

/* Pinned: the number of the state that is shown as the live one. */
unsigned source_state(const struct source *s);

/* Has an image that was open once changed since?  Then its generation ends here; but one that is
 * pinned has not changed for those who use it. */
bool source_has_changed(struct source *s);

/* Pinned.  Calls make unless m is made already; one thread at a time. */
int source_make(struct source *s, struct regions *m, made_fn *make, void *arg, struct err *e);
void source_unmake(struct source *s, struct regions *m);

#endif
