/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state.h - the states of an image: the live state of its disk, and its internal snapshots.
 *
 * While one thread alone uses an image, it reads img->states directly.  When snapshots are created
 * and deleted meanwhile (snapshot.h), other threads read the list between states_lock and
 * states_unlock, and use a state for longer only while they hold it.  The live state always exists.
 *
 * Locks: states_lock is taken after all others, and held for moments.
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
	struct timespec when; /* it was created; of live: the file's mtime */
	uint64_t vm_clock;    /* nanoseconds of the guest until then */
	int64_t icount;       /* instructions of the guest until then; -1: not counted */
	struct view *view;    /* the disk */
	struct view *vmstate; /* the saved machine state, or NULL */
};

/* For drivers: adds a state; takes view, copies id and name.  -ENOMEM leaves view to the caller. */
struct state *image_add_state(
	struct image *img, const char *id, const char *name, struct view *view, struct err *e);

/* The same in two steps, for a state that other threads see at once.  A new state is held. */
struct state *state_new(const char *id, const char *name, struct err *e);
int state_add(struct image *img, struct state *s, struct err *e);

/* The state called by name or by id (names win), or NULL; never the live one. */
struct state *image_find_state(const struct image *img, const char *name);

/* The name of a snapshot, or its id if it has no name; perhaps "". */
const char *state_title(const struct state *s);

/* The failure to find it, with a hint at a name that is near.  Returns -ENOENT. */
int state_missing(const struct image *img, const char *name, struct err *e);

void states_lock(const struct image *img);
void states_unlock(const struct image *img);

/* The state of this number, held; NULL: it was deleted. */
struct state *state_get(const struct image *img, unsigned no);
void state_put(struct state *s); /* NULL is fine */

/* Removes the i-th state from the image; its views are freed with its last holder. */
void state_remove(struct image *img, size_t i);

#endif
