/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-pool.h - the images of a mount.
 *
 * A mount of a single image has one, which stays open.  In a mount of a directory an image is
 * opened when it is first pinned, and closed when it was not pinned for a while or when too many
 * are open. See pooled-image.h.
 */
#ifndef VDISKFS_TREE_IMAGE_POOL_H
#define VDISKFS_TREE_IMAGE_POOL_H

#include <stdbool.h>

struct err;
struct image_options;
struct image_pool;

/* how and snapshot (the one that is shown as the live state; NULL: none) must outlive the pool.
 * Errors that no request can be answered with go to how->warn.  idle: seconds for which an image
 * stays open that is not pinned. */
struct image_pool *image_pool_new(
	const struct image_options *how, const char *snapshot, unsigned idle, struct err *e);

/* Once all its images were unreferenced; NULL is fine. */
void image_pool_free(struct image_pool *pool);

/* Makes durable all that was written to any image.  One thread at a time. */
void image_pool_flush(struct image_pool *pool);

/* Starts a thread that does so every 5 seconds, so that a crash loses no more than that even if no
 * program calls fsync(2).  To be called after the last fork. */
int image_pool_start_flushing(struct image_pool *pool, struct err *e);

/* Makes the thread flush now, and does not wait for that. */
void image_pool_flush_soon(struct image_pool *pool);

/* Flushes a last time and ends the thread, if it was started. */
void image_pool_end_flushing(struct image_pool *pool);

/* The same, and removes the marks of being written from the images; -EIO: one of them failed. */
int image_pool_finish(struct image_pool *pool);

/* Closes the images that have been idle for long enough.  Returns the seconds until the next one
 * will have been; -1: none is idle. */
int image_pool_close_idle(struct image_pool *pool);

/* For host_on_shortage: closes the image that has been idle for longest; false: all are in use. Not
 * for a thread that opens or closes an image. */
bool image_pool_close_one(void *pool);

#endif
