/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* source.h - an image that parts of the tree are shown from.
 *
 * The tree knows names; bytes come from images, and only while an image is pinned may its states
 * and views be looked at.  Whoever answers a request pins for that long, an open file from open to
 * release: so reading takes no lock of ours.
 *
 * Locks: one mutex for all sources, and one a source while a view is made.  Neither is held while
 * bytes are read.
 */
#ifndef VDISK_SOURCE_H
#define VDISK_SOURCE_H

#include <stddef.h>

struct err;
struct image;
struct source;
struct view;

/* A view made from the views of an image, such as a partition.  It lives until the image is closed
 * or source_unmake, whatever comes first.  {0} is one not made yet. */
struct made {
	struct view *view;
	struct made *next, **link;
};

typedef int made_fn(void *arg, struct view **view, struct err *e);

/* An image that is open and stays so; it must outlive the source.  state is its live state. */
struct source *source_of(const struct image *img, size_t state, struct err *e);

struct source *source_ref(struct source *s);
void source_unref(struct source *s); /* NULL is fine */

/* The image, which stays open until source_unpin. */
int source_pin(struct source *s, const struct image **img, struct err *e);
void source_unpin(struct source *s);

/* Which state of the image is shown as the live one.  Pinned. */
size_t source_state(const struct source *s);

/* Pinned.  Calls make unless m is made already; one thread at a time. */
int source_make(struct source *s, struct made *m, made_fn *make, void *arg, struct err *e);
void source_unmake(struct source *s, struct made *m);

#endif
