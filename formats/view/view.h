/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view.h - a view is a range of bytes that can be read: the live state of an image, one of its
 * snapshots, a partition of either, or an export, a file generated from them.
 *
 * Views stack.  A view does no data I/O of its own: it maps a range of its bytes to an extent, and
 * view.c reads.  Reading, splicing, SEEK_HOLE, block counts and copying are written once over
 * view_resolve, for all formats.  write.c writes through a view, copy.c copies between two.
 *
 * Names: off is an offset in a view (in the guest's disk), pos a position in a host file.
 *
 * Threads: every function may be called from many threads at once.  A stack of views that cannot
 * change takes no lock; only the cache does.  One that can change has a writer.  Its request_lock
 * must be held (view_enter) as long as an extent is in use; functions marked "entered" require
 * that, the others take it themselves.
 */
#ifndef VDISK_VIEW_VIEW_H
#define VDISK_VIEW_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "extent.h"

struct block;
struct cache;
struct err;
struct io;
struct view;
struct write_ops;
struct writer;

struct view_ops {
	/* Maps [off, off+len), or its beginning, to x.  The range lies inside the view, len > 0.
	 * x is as long as one look at the tables allows: long extents make everything faster.  On
	 * failure x->len may be the length of the damage. */
	int (*map)(
		const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);
	/* Decodes the unit of an EXTENT_GENERATED into buf, unit_len bytes; called when the cache
	 * does not have it.  NULL if map never gives EXTENT_GENERATED. */
	int (*fill)(const struct view *v, const struct extent *x, void *buf, struct err *e);
	/* The range of x->io, not NULL, that fill reads, or one that contains it: sets *pos and
	 * returns the length.  NULL if map gives no such extent. */
	uint64_t (*locate)(const struct view *v, const struct extent *x, uint64_t *pos);
	/* Frees the view and the objects that it owns. */
	void (*free)(struct view *v);
};

struct view {
	const struct view_ops *ops;
	_Atomic uint64_t size; /* bytes; changes only by view_resize */
	struct view *below;    /* borrowed: a stack is freed from the top */
	struct cache *cache;   /* for EXTENT_GENERATED and for tables */

	/* For a stack that can change: */
	struct writer *writer;         /* of the image below; borrowed; NULL: nothing can change */
	const struct write_ops *write; /* of the live state; NULL: this view can only be read */
	bool deleted;                  /* a snapshot that is no more; request_lock */
	bool through; /* arranges bytes of others (its map gives EXTENT_BELOW): writes go to them */
	uint32_t granule;        /* bytes; the least that a commit maps */
	uint64_t unit;           /* bytes; the least that is allocated; a multiple of granule */
	uint32_t compressed_max; /* bytes; longest compressed unit; 0: none can be */
	bool compressed_only;    /* units are written compressed, each once, in order */
};

/* Reads exactly [off, off+len), which must lie inside the view. */
int view_read(const struct view *v, void *buf, size_t len, uint64_t off, struct err *e);

/* Take and release request_lock, shared; extents of the view are valid in between.  Not to be
 * nested. */
void view_enter(const struct view *v);
void view_leave(const struct view *v);

/* As view_read; entered. */
int view_read_inside(const struct view *v, void *buf, size_t len, uint64_t off, struct err *e);

/* Maps a range by the map of the view itself, clipped to it; entered. */
int view_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* Follows EXTENT_BELOW down to one of the others.  [off, off+len) must lie inside the view;
 * entered.
 */
int view_resolve(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* The second half of view_resolve: x is an extent that view_map gave; entered. */
int view_follow(struct extent *x, struct err *e);

/* Reads all len bytes of a resolved extent; entered. */
int view_read_extent(const struct extent *x, void *buf, struct err *e);

/* Pins the decoded unit of an EXTENT_GENERATED; the extent's bytes are block->data + x->pos.  Give
 * it back with cache_unpin(x->owner->cache, block). */
int view_pin(const struct extent *x, const struct block **block, struct err *e);

/* Lets the host read what is stored of the range into its page cache, in the order of the view and
 * without waiting for it; waits only for the tables that map the range.  The part of the range past
 * the end is ignored, and so are errors: the read that comes to them returns them. */
void view_fetch(const struct view *v, uint64_t off, uint64_t len);

/* The next offset >= off that holds data (SEEK_DATA) or that is a hole (SEEK_HOLE); the end of the
 * view counts as a hole.  -ENXIO, without a message, when off is at or beyond the end or no data
 * follows.  A hole reads as zeroes and is not stored.  A range that cannot be read counts as data,
 * so that a copy meets the error, and so does all that follows VIEW_LOOKS_MAX extents. */
int view_seek(const struct view *v, uint64_t off, int whence, uint64_t *found);

/* Is off, inside the view, data in the sense of view_seek?  The answer holds for *len bytes, at
 * least one; entered. */
bool view_look(const struct view *v, uint64_t off, uint64_t *len);

/* Looks at the map in one walk.  A hostile image can have more extents than there is time for; the
 * rest counts as data, which costs a copy time but never a byte. */
#define VIEW_LOOKS_MAX (1u << 22)

/* The host file whose bytes are those of the view, from the first to the last and in place,
 * borrowed from the image; NULL: there is none, or the map has too many extents to find out. */
const struct io *view_host_file(const struct view *v);

/* The number of bytes that are data in the sense of view_seek. */
uint64_t view_stored(const struct view *v);

/* The view whose bytes at *off, once this returns, are those of v at the old *off, for the *len
 * bytes of the range or its beginning: the first one below that does more than to arrange bytes of
 * others; v itself if it does. */
struct view *view_through(struct view *v, uint64_t *off, uint64_t *len);

/* Writes.  A view without a writer is EROFS, a range that passes its end ENOSPC.  All later reads,
 * in all views of the image, return the new bytes; they are durable after view_flush.  A failed
 * write may have been done in part. */
int view_write(struct view *v, const void *buf, size_t len, uint64_t off, struct err *e);

/* As view_write, but calls answered before it writes, so that the requester goes on early.  No
 * other request enters the image until it is done, so none can observe the difference.  A failure
 * before answered is returned, a later one is passed to failed.  Meant for a single writer: several
 * would wait for each other. */
struct early_reply {
	void (*answered)(void *arg);
	void (*failed)(void *arg, const struct err *e);
	void *arg;
};
int view_write_early(struct view *v, const void *buf, size_t len, uint64_t off,
	const struct early_reply *early, struct err *e);

/* Returns once all writes that were answered before are done. */
void view_await(const struct view *v);

/* 0, or -errno of the last write of the image, through any of its views, that failed after its
 * early reply since *seen was set by this function or by view_late_seen. */
int view_late_error(const struct view *v, atomic_uint *seen);

/* The first value of *seen for a new user of the image: failures not reported yet are news to it.
 */
unsigned view_late_seen(const struct view *v);

/* All failures up to now have been reported in another way. */
void view_late_reported(const struct view *v);

/* As view_write, with bytes of a file. */
int view_write_from(
	struct view *v, struct io *io, uint64_t pos, uint64_t len, uint64_t off, struct err *e);

/* Makes the range read as zeroes; frees the space of whole units if the format can. */
int view_clear(struct view *v, uint64_t off, uint64_t len, struct err *e);

/* Allocates the range with the bytes that it has, on the host too, so that later writes to it do
 * not fail for lack of space.  EOPNOTSUPP: the host cannot guarantee that. */
int view_allocate(struct view *v, uint64_t off, uint64_t len, struct err *e);

/* Compresses a unit of the live state of an image whose compressed_max is not 0: view->unit bytes,
 * zeroes after the end of the disk.  Returns the compressed length; 0: more than compressed_max, so
 * the unit is to be written as it is; -errno.  Takes no lock. */
ssize_t view_compress(
	const struct view *v, const void *unit, uint64_t off, void *compressed, struct err *e);

/* As view_write, of the unit at off, with the result of view_compress. */
int view_write_compressed(
	struct view *v, const void *compressed, uint32_t len, uint64_t off, struct err *e);

/* Copies bytes of one view into another, holes as holes; ranges of the same view do not overlap.
 * Returns how many were copied: fewer than len at the end of from or before an error; -errno if
 * none were. */
int64_t view_copy(const struct view *from, uint64_t off, struct view *to, uint64_t to_off,
	uint64_t len, struct err *e);

/* Returns once all earlier writes to the image are durable; 0 for a view that cannot change. */
int view_flush(struct view *v, struct err *e);

/* Changes the size of a disk; durable on return.  EOPNOTSUPP: the format cannot. */
int view_resize(struct view *v, uint64_t size, struct err *e);

/* NULL is fine. */
void view_free(struct view *v);

/* [start, start+len) of below, which must lie inside it and outlive the slice. */
struct view *view_slice(struct view *below, uint64_t start, uint64_t len, struct err *e);

/* A view in the place of one that cannot be opened: each read fails with EIO and the reason. */
struct view *view_broken(uint64_t size, const char *reason, struct err *e);

/* For drivers: does the view itself store any unit from off on?  Entered. */
bool view_stores_beyond(const struct view *v, uint64_t off);

#endif
