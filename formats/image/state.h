/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state.h - the states of an image: what its disk is now, and what its internal snapshots keep.
 *
 * Whoever has opened an image alone goes through img->states.  In one whose snapshots come and go
 * meanwhile (snapshot.h) other threads do so between states_lock and states_unlock, and use a state
 * for longer only while they hold it.  The live state is always there.
 *
 * Locks: that of the states comes after all others, and is held for moments.
 */
#ifndef VDISK_IMAGE_STATE_H
#define VDISK_IMAGE_STATE_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

struct err;
struct image;
struct view;

struct state {
	atomic_uint refs;     /* private */
	unsigned no;          /* 0 the live state; no two of an opened image have the same, ever */
	char *id;             /* NULL for the live state */
	char *name;           /* bytes as the image has them, NUL-terminated; NULL for live */
	struct timespec when; /* taken at; of live: the file's mtime */
	uint64_t vm_clock;    /* nanoseconds that the guest had run */
	int64_t icount;       /* instructions that it had run; -1: not counted */
	struct view *view;    /* the disk */
	struct view *vmstate; /* the saved machine state, or NULL */
};

/* For drivers: adds a state; takes view, copies id and name.  -ENOMEM leaves view to the caller. */
struct state *image_add_state(
	struct image *img, const char *id, const char *name, struct view *view, struct err *e);

/* The same in two steps, for what others may see at once.  A new state is held. */
struct state *state_new(const char *id, const char *name, struct err *e);
int state_add(struct image *img, struct state *s, struct err *e);

/* The state called by name or by id (names win), or NULL; never the live one. */
struct state *image_find_state(const struct image *img, const char *name);

/* The failure to find it, with a hint at a name that is near.  Returns -ENOENT. */
int state_missing(const struct image *img, const char *name, struct err *e);

void states_lock(const struct image *img);
void states_unlock(const struct image *img);

/* The state of this number, held; NULL: it is no more. */
struct state *state_get(const struct image *img, unsigned no);
void state_put(struct state *s); /* NULL is fine */

/* Takes the i-th out of the image, with its views when nobody holds it any more. */
void state_remove(struct image *img, size_t i);

#endif
