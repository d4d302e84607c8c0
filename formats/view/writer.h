/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* writer.h - the part of an image that makes it writable: its locks, the order of its writes, and
 * the operations of its driver.
 *
 * Bytes that are in place are overwritten (write.c).  For others the driver reserves space, write.c
 * fills it, with the old bytes of the view around the new ones, and the driver commits it: only
 * then the map refers to it.  Drivers never move data.
 *
 * Locks, in this order:
 *   early         writes that are answered before they are done, one after the other.  The next one
 *                 waits here, since it would come before all others at request_lock.
 *   request_lock  shared by every request, once, from its first look at a map to its answer.
 *                 Exclusive for changes that move space under readers (release_freed, resize,
 *                 snapshots), and for a write that is answered early, so that no other request can
 *                 observe that it is not done.
 *   range         writers that allocate or clear, by unit
 *   meta          around reserve, commit, cancel, clear and flush, so that a driver does one of
 *                 them at a time; never held while data is read or written
 * The locks of the cache's shards come last.  A map may run beside a commit: it sees a page of a
 * table as it was before or after, never in between.  Images that cannot change have no writer and
 * take none of these.
 *
 * Space that a change has freed stays in use until the change is durable (durable is called) and
 * no request that saw the old map is left (release_freed is called); only then it may be allocated.
 *
 * After a failed flush nothing is written any more: the file holds a part of the changes, in their
 * order, and a later write could break that order.  The same holds when another program has changed
 * the length of a file of the image (io/io.h).
 */
#ifndef VDISK_VIEW_WRITER_H
#define VDISK_VIEW_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

struct io;
struct view;
struct writeback;

/* Space in a file for new bytes of a view. */
struct reservation {
	uint64_t off, len; /* of the view: whole granules, or up to its end */
	struct io *io;
	uint64_t pos;
	bool reads_zero;     /* without being written to */
	uint32_t compressed; /* length of the unit at off, compressed; 0: it is stored as it is */
	uint64_t token;      /* private to the driver */
};

/* The operations of a driver for a view that can be written.  meta is held, except in check, in
 * changing and in compress; a failed one has changed nothing. */
struct write_ops {
	/* For a view that stands on others, and whose bytes are all in place: can all of
	 * [off, off+len) be written there?  It has none of the other operations. */
	int (*check)(const struct view *v, uint64_t off, uint64_t len, struct err *e);
	/* The bytes of [off, off+len) are about to change; any thread, without meta.  NULL: nobody
	 * has to know. */
	int (*changing)(struct view *v, uint64_t off, uint64_t len, struct err *e);
	/* Marks the image as being written, before the first change; the marks are durable before
	 * anything else changes. */
	int (*begin)(struct view *v, struct err *e);
	/* Reserves space for some of [off, off+len), which lies inside the view and begins with a
	 * byte that is not in place: at least for the granule of that byte, at most for len bytes,
	 * in one piece of a file.  The range of its units is held. */
	int (*reserve)(
		struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e);
	/* Makes the map refer to the reserved space, which is filled; frees the space that it
	 * referred to before. */
	int (*commit)(struct view *v, const struct reservation *res, struct err *e);
	/* Frees the reserved space, which could not be filled or committed. */
	void (*cancel)(struct view *v, const struct reservation *res);
	/* Compresses the unit at off, as view_compress: any thread, no lock.  NULL if
	 * view->compressed_max is 0. */
	ssize_t (*compress)(const struct view *v, const void *unit, uint64_t off, void *compressed,
		struct err *e);
	/* Reserves len bytes for the compressed unit at off, whose range is held. */
	int (*reserve_compressed)(
		struct view *v, uint64_t off, uint32_t len, struct reservation *res, struct err *e);
	/* Makes whole units (the last may end with the view) read as zeroes without being stored.
	 * If it is NULL or returns -EOPNOTSUPP, they are overwritten with zeroes. */
	int (*clear)(struct view *v, uint64_t off, uint64_t len, struct err *e);
	/* Writes state that the driver keeps elsewhere into pages of metadata, before they are
	 * written back. */
	int (*prepare)(struct view *v, struct err *e);
	/* All changes up to now are durable.  True: there is freed space to release. */
	bool (*durable)(struct view *v);
	/* Makes durably freed space available; request_lock is held exclusively. */
	int (*release_freed)(struct view *v, struct err *e);
	/* Changes the size of the disk, and v->size; request_lock is held exclusively.  NULL: the
	 * format cannot. */
	int (*resize)(struct view *v, uint64_t size, struct err *e);
	/* Takes the marks of begin off again, after the last flush. */
	int (*finish)(struct view *v, struct err *e);
};

struct range;

struct writer {
	struct view *view; /* the live state */
	struct writeback *writeback;
	pthread_mutex_t early;
	pthread_rwlock_t request_lock;
	pthread_mutex_t meta;
	pthread_mutex_t range_lock;
	pthread_cond_t range_free;
	struct range *ranges;
	atomic_uint ranges_released; /* how many were, modulo 2^32 */
	bool detect_zeroes;          /* zeroes written over zeroes are not stored */
	atomic_bool copy_on_read;    /* see copy-on-read.h; false after a failure to store */
	atomic_bool begun;
	atomic_int failed;  /* errno of the failure that ended writing; 0: none */
	struct err failure; /* the same with its message, for later requests; meta */
	atomic_bool logged; /* see err_is_first */
	/* Writes that failed after an early reply: how many, how many of them were reported, and
	 * the errno of the last. */
	atomic_uint late, late_reported;
	atomic_int late_code;
	size_t pending_max; /* pages of metadata that may wait for a flush; a driver may set it */
};

/* A writer for the live state v of an image; the driver adds its files to writeback. */
struct writer *writer_new(struct view *v, struct err *e);

/* Changes that were not flushed are lost; NULL is fine. */
void writer_free(struct writer *w);

/* Marks the image as being written, if it is not yet; refuses after a failed flush. */
int writer_begin(struct writer *w, struct err *e);

/* Around a write that is answered early: waits until no request is inside, and lets none in before
 * writer_end_early. */
void writer_begin_early(struct writer *w);
void writer_end_early(struct writer *w);

/* Makes everything durable that was written before, and releases freed space. */
int writer_flush(struct writer *w, struct err *e);

/* Flushes and marks the image as closed properly. */
int writer_finish(struct writer *w, struct err *e);

/* For a driver, inside of one of its operations: makes all changes so far durable, in order,
 * without releasing freed space. */
int writer_write_back(struct writer *w, struct err *e);

/* For a driver that made a change in part: nothing is written any more, as after a flush that
 * failed with e, whose code it returns. */
int writer_fail(struct writer *w, struct err *e);

/* Do so many changed pages wait that it is time to flush?  They cannot be evicted from the cache.
 */
bool writer_is_full(const struct writer *w);

/* Begins a change of more than a map: waits until no request is inside.  On success all that was
 * done before is durable, and request_lock is held exclusively, meta with it, until
 * writer_end_exclusive; on failure nothing is held.  w NULL: EROFS. */
int writer_begin_exclusive(struct writer *w, struct err *e);

/* Ends the change; r is its result.  After a success it is durable on return, otherwise r is
 * returned, with the error as it is. */
int writer_end_exclusive(struct writer *w, int r, struct err *e);

/* Commits a reservation that was filled with result r, or cancels it.  The data is written before
 * the map that reveals it. */
int reservation_end(struct view *v, const struct reservation *res, int r, struct err *e);

/* A range of the view, in whole units, that one writer allocates or clears at a time. */
struct range {
	uint64_t start, end;
	struct range *next; /* private */
};

/* The units that [off, off+len) touches. */
struct range range_of_units(const struct view *v, uint64_t off, uint64_t len);

/* Waits until no other range overlaps.  True: no range was released since ranges_released had the
 * value released, so a map of the range that was read after that is still valid. */
bool range_take(struct writer *w, struct range *r, unsigned released);
void range_drop(struct writer *w, struct range *r);

#endif
