/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* writer.h - what makes an image writable: its locks, the order of its writes, and what a driver
 * has to do for it.
 *
 * The walk (write.c) finds the place of a write.  Where a view may be overwritten it writes
 * there; elsewhere it asks the driver for room, fills it - copying what the write leaves of the old
 * bytes - and only then lets the driver put it on the map.  Drivers never move data.
 *
 * Locks, in this order:
 *   behind writes that are answered before they are done, one after the other: the next waits here
 *          and not at the gate, where it would come before all others
 *   gate   every request shared, from its first look at a map to its answer, once; exclusive for
 *          what moves room under readers: settle, resize, snapshots; and for a write that is
 *          answered before it is done, so that nobody can tell
 *   range  writers of new units, by unit
 *   meta   round reserve, commit, cancel, clear and flush, so that a driver does one of them at a
 *          time; never round data
 * Behind them only the shards of the cache.  A map may run beside a commit: it sees a page of a
 * table as it was before or after, never between.  Images that cannot change have no writer and
 * take none of these.
 *
 * Room that was taken off the map is in use until the change is durable (durable is called) and
 * nobody who saw the old map is inside (settle is called); only then it may be given out again.
 *
 * After a failed flush nothing is written any more: the file holds a part of the changes, in their
 * order, and would hold them in disorder then.  The same when another program has changed the
 * length of a file of the image (io/io.h).
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

/* Room for new bytes of a view; lives on the stack of whoever writes. */
struct reservation {
	uint64_t off, len; /* of the view: whole granules, or up to its end */
	struct io *io;
	uint64_t pos;
	bool reads_zero;     /* it reads as zeroes already */
	uint32_t compressed; /* bytes that the unit at off takes there, packed; 0: it is as it is */
	uint64_t token;      /* the driver's */
};

/* Of a view that can be written.  meta is held; on failure nothing has changed. */
struct write_ops {
	/* Before the first change: marks in the header.  They are durable when it goes on. */
	int (*begin)(struct view *v, struct err *e);
	/* Room for some of [off, off+len), which lies inside the view and begins with a byte that
	 * is not in place.  At least the granule of that byte, at most len; in one piece of a file.
	 * Nobody else reserves in the units of [off, off+len) meanwhile. */
	int (*reserve)(
		struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e);
	/* The room holds what it shall: puts it on the map; what was there before is freed. */
	int (*commit)(struct view *v, const struct reservation *res, struct err *e);
	/* It does not: takes it back. */
	void (*cancel)(struct view *v, const struct reservation *res);
	/* Packs the unit at off, as view_compress: any thread, without a lock.  NULL:
	 * view->compressed_max is 0. */
	ssize_t (*compress)(
		const struct view *v, const void *unit, uint64_t off, void *packed, struct err *e);
	/* Room for the unit at off, which takes so many bytes packed.  Nobody else reserves in it
	 * meanwhile; then commit or cancel. */
	int (*reserve_compressed)(
		struct view *v, uint64_t off, uint32_t len, struct reservation *res, struct err *e);
	/* Lets whole units (the last may end with the view) read as zeroes without being stored.
	 * -EOPNOTSUPP: cannot; NULL: never can.  They are overwritten then. */
	int (*clear)(struct view *v, uint64_t off, uint64_t len, struct err *e);
	/* Puts what is not in pages of metadata into them, before they are written back. */
	int (*prepare)(struct view *v, struct err *e);
	/* All that was done is durable.  True: there is room to settle. */
	bool (*durable)(struct view *v);
	/* The gate is held exclusively: what was durably freed may be given out again. */
	int (*release_freed)(struct view *v, struct err *e);
	/* Makes the disk this long; the gate is held exclusively.  Sets v->size.  NULL: cannot. */
	int (*resize)(struct view *v, uint64_t size, struct err *e);
	/* After the last flush: takes the marks off again. */
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
	bool detect_zeroes; /* zeroes that are written where nothing else is read are not stored */
	atomic_bool begun;
	atomic_int failed;  /* errno of what ended writing; 0: nothing did */
	struct err failure; /* what is said of it from then on; meta */
	atomic_bool told;   /* see err_is_first */
	/* Writes that failed after they were answered: how many, of how many somebody has heard,
	 * and the errno of the last. */
	atomic_uint late, late_reported;
	atomic_int late_code;
	size_t pending_max; /* pages of metadata that may wait for a flush; a driver may set it */
};

/* For the live state v of an image.  The driver's files are added to writeback. */
struct writer *writer_new(struct view *v, struct err *e);

/* What was not flushed is lost; NULL is fine. */
void writer_free(struct writer *w);

/* Marks the image as being written, if it is not yet; refuses after a failed flush. */
int writer_begin(struct writer *w, struct err *e);

/* Round a write that is answered before it is done: waits until nobody is inside, and lets nobody
 * in until it has ended. */
void writer_begin_early(struct writer *w);
void writer_end_early(struct writer *w);

/* Makes everything durable that was written before; then gives freed room back. */
int writer_flush(struct writer *w, struct err *e);

/* Flushes, and leaves the image as if nobody was writing to it. */
int writer_finish(struct writer *w, struct err *e);

/* For a driver, inside of one of its operations: all that was done so far is durable on return, in
 * order.  Frees nothing. */
int writer_write_back(struct writer *w, struct err *e);

/* The same, when a change was made in part: nothing is written any more, as after a flush that
 * failed with e, whose code it returns. */
int writer_fail(struct writer *w, struct err *e);

/* Is it time to flush, lest too much of the cache is taken by changes? */
bool writer_is_full(const struct writer *w);

/* Begins a change of more than a map: waits until no request is inside.  On success all that was
 * done before is durable, and request_lock is held exclusively, meta with it, until
 * writer_end_exclusive; on failure nothing is held.  w NULL: EROFS. */
int writer_begin_exclusive(struct writer *w, struct err *e);

/* Ends the change; r is its result.  After a success it is durable on return, otherwise r is
 * returned, with the error as it is. */
int writer_end_exclusive(struct writer *w, int r, struct err *e);

/* A range of the view, in whole units, that one writer allocates or clears at a time. */
struct range {
	uint64_t start, end;
	struct range *next; /* private */
};

/* Waits until no other range overlaps.  True: no range was released since ranges_released had the
 * value released, so a map of the range that was read after that is still valid. */
bool range_take(struct writer *w, struct range *r, unsigned released);
void range_drop(struct writer *w, struct range *r);

#endif
