/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pooled-image-impl.h - the pool and its images, for image-pool.c, pooled-image.c and
 * pooled-image-open.c.
 *
 * An image that is open is either pinned or in the list of idle ones, unless it is busy; and in the
 * list of writable ones if it is writable.
 */
#ifndef VDISKFS_TREE_POOLED_IMAGE_IMPL_H
#define VDISKFS_TREE_POOLED_IMAGE_IMPL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "image/fingerprint.h"
#include "image/image.h"
#include "pooled-image.h"

struct image_pool {
	const struct image_options *how;
	struct image_options to_write;
	const char *snapshot;
	time_t idle_max;
	pthread_mutex_t lock;
	pthread_cond_t done; /* an image is no longer busy, or no longer pinned */
	TAILQ_HEAD(idle_images, pooled_image) idle; /* the longest first */
	size_t nidle;
	LIST_HEAD(writable_images, pooled_image) writable;
	unsigned round; /* of visits to the writable ones */

	/* The thread that flushes: */
	pthread_t flusher;
	bool flushes; /* it was started */
	sem_t flush_wanted;
	atomic_bool ending;
};

struct pooled_image {
	atomic_uint refs;
	struct image_pool *pool;
	struct image_origin from;
	struct image *img; /* NULL: closed */
	unsigned state;
	unsigned generation;
	struct fingerprint fingerprint; /* of the generation */
	bool has_fingerprint;
	unsigned pins;
	unsigned holds; /* pins by open files */
	bool busy;
	TAILQ_ENTRY(pooled_image) idle;
	time_t since; /* when it became idle */
	LIST_ENTRY(pooled_image) writable;
	unsigned round;
	bool failed;                         /* a flush failed, and this was reported */
	bool refused;                        /* see refuse_once */
	struct new_image *_Atomic new_image; /* owned; NULL: not created in this mount */
	struct image_options how, to_write;  /* of a new image: its format is known */
	pthread_mutex_t deriving;
	LIST_HEAD(derived_views, derived_view) derived;
};

/* With the pool's lock held: */

/* Takes an image out of the list of idle ones. */
void pooled_image_leave_idle(struct pooled_image *s);

/* Drops a pin; an image without pins has been idle since then, or 0: from now on. */
void pooled_image_unpin_since(struct pooled_image *s, time_t since);

/* Closes an idle image.  The lock is released meanwhile. */
void pooled_image_close_idle(struct pooled_image *s);

/* The next time that the image is opened, another generation begins.  A new image keeps its
 * fingerprint, to recognise its files. */
void pooled_image_end_generation(struct pooled_image *s);

/* The same after the files turned out to be others: then it is no new image any more. */
void pooled_image_end(struct pooled_image *s);

/* Without the lock: */

/* The state of img that is shown as the live one. */
int pooled_image_choose_state(
	const struct pooled_image *s, const struct image *img, unsigned *state, struct err *e);

/* Makes durable all that was written, and removes the mark of being written. */
int pooled_image_finish(struct pooled_image *s);

void pooled_image_warn(const struct pooled_image *s, const struct err *e);

#endif
