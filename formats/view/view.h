/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view.h - a view is a run of bytes that can be read: the live state of an image, one of its
 * snapshots, a partition of either, or a file made up from them.
 *
 * Views stack.  A view does no data I/O of its own: it maps a range of its bytes to an extent, and
 * one walk (here, in view.c) reads.  Everything above - reading, splicing, SEEK_HOLE, block counts,
 * copying - is written once over view_resolve, for all formats.
 *
 * Names: off is an offset in a view (what the guest sees), pos a position in a host file.
 *
 * Threads: all of this may be called from many threads at once.  A stack of views that cannot
 * change takes no lock at all; only the cache behind it does.  One that can has a writer, whose
 * gate whoever keeps an extent is inside of (view_enter); the functions that keep none enter
 * themselves.
 */
#ifndef VDISK_VIEW_VIEW_H
#define VDISK_VIEW_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct block;
struct cache;
struct crypt;
struct err;
struct io;
struct view;
struct write_ops;
struct writer;

enum extent_kind {
	EXTENT_ZERO,      /* reads as zeroes, whatever lies below */
	EXTENT_FILE,      /* bytes of a host file, as they are */
	EXTENT_BELOW,     /* whatever the view below says; zeroes past its end or without one */
	EXTENT_GENERATED, /* part of a unit that the owner must decode (fill) */
	EXTENT_CRYPT,     /* bytes of a host file, encrypted */
};

/* What the bytes from off on are.  Captures all that reading them needs: no table is looked at
 * again.  io is borrowed from the image. */
struct extent {
	enum extent_kind kind;
	uint64_t len;  /* > 0; never more than asked for once view_resolve returns it */
	uint64_t pos;  /* FILE, CRYPT: position in io; BELOW: offset in the view below; MADE: bytes
			* to skip in the unit */
	struct io *io; /* FILE, CRYPT and MADE, but for units that owner makes of nothing: NULL */
	uint64_t unit_id;    /* MADE: names the unit among all units of io, else of owner */
	uint32_t unit_len;   /* MADE: bytes of the whole unit when decoded */
	uint64_t sector;     /* CRYPT: number, for its cipher, of the sector that pos is in */
	struct crypt *crypt; /* CRYPT */
	bool inplace; /* the bytes may be overwritten at pos of io, also where ZERO is said */
	const struct view *owner; /* set by the walk: the view whose map gave this */
	bool absent; /* set by the walk: zeroes since no view of the stack says what is there */
};

struct view_ops {
	/* Says what [off, off+len) is, or its beginning.  off and len lie inside the view, len > 0.
	 * Tells as much as one look at the tables gives: long runs make everything faster.  On
	 * failure x->len may say how far the damage reaches. */
	int (*map)(
		const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);
	/* Decodes the unit of an EXTENT_GENERATED into buf, unit_len bytes; the cache calls it once
	 * a unit.  NULL when map never says EXTENT_GENERATED. */
	int (*fill)(const struct view *v, const struct extent *x, void *buf, struct err *e);
	/* Frees what the view owns besides itself and the view itself. */
	void (*free)(struct view *v);
};

struct view {
	const struct view_ops *ops;
	_Atomic uint64_t size; /* bytes; changes only by view_resize */
	struct view *below;    /* borrowed: whoever built the stack takes it down from the top */
	struct cache *cache;   /* for EXTENT_GENERATED and for tables */

	/* Of a stack that can change: */
	struct writer *writer;         /* of the image below; borrowed; NULL: nothing can change */
	const struct write_ops *write; /* of the live state; NULL: this view can only be read */
	bool deleted;                  /* by the gate: what it showed is no more */
	bool through;                  /* a part of the view below: what is written goes there */
	uint32_t granule;              /* the least that is put on the map at a time, bytes */
	uint64_t unit;                 /* the least that room is made for; a multiple of granule */
	uint32_t compressed_max; /* bytes, at most, of a unit that is packed; 0: none can be */
	bool compressed_only;    /* units are written packed, each once, in their order */
};

/* Exactly [off, off+len), which must lie inside the view. */
int view_read(const struct view *v, void *buf, size_t len, uint64_t off, struct err *e);

/* Between these two extents of the view are good.  Not to be nested. */
void view_enter(const struct view *v);
void view_leave(const struct view *v);

/* As view_read; entered. */
int view_read_inside(const struct view *v, void *buf, size_t len, uint64_t off, struct err *e);

/* What the view itself says of a range, clipped to it; entered. */
int view_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* Follows EXTENT_BELOW down to one of the others.  [off, off+len) must lie inside the view;
 * entered.
 */
int view_resolve(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* The second half of view_resolve: x is an extent that view_map gave; entered. */
int view_follow(struct extent *x, struct err *e);

/* All len bytes of a resolved extent; entered. */
int view_read_extent(const struct extent *x, void *buf, struct err *e);

/* Pins the decoded unit of an EXTENT_GENERATED; the extent's bytes are block->data + x->pos.  Give
 * it back with cache_unpin(x->owner->cache, block). */
int view_pin(const struct extent *x, const struct block **block, struct err *e);

/* The next offset >= off that holds data (SEEK_DATA) or that is a hole (SEEK_HOLE); the end of the
 * view counts as a hole.  -ENXIO, without a message, when off is at or past the end or no data
 * follows.  A hole is what reads as zeroes without being stored; what cannot be read counts as
 * data, so that a copy meets the error, and so does what lies behind millions of pieces. */
int view_seek(const struct view *v, uint64_t off, int whence, uint64_t *found);

/* Is off, inside the view, data in the sense of view_seek?  The same is true of len bytes, at least
 * one; entered. */
bool view_look(const struct view *v, uint64_t off, uint64_t *len);

/* A table of a few bytes a cluster, a sparse one at that, can name more pieces than anybody has the
 * time to count.  What one walk does not come to in this many looks counts as data: that costs
 * whoever copies some time, but never a byte. */
#define VIEW_LOOKS_MAX (1u << 22)

/* Bytes of the view that are data in the sense of view_seek. */
uint64_t view_stored(const struct view *v);

/* The view that v is a part of, or v itself; *start is where it begins there. */
struct view *view_base(struct view *v, uint64_t *start);

/* Writes, write.c.  A view without a writer is EROFS, a range that passes its end ENOSPC. What
 * was written is seen by all who read later, in all views of the image; it is durable after
 * view_flush.  Of a write that fails a part may have been done. */
int view_write(struct view *v, const void *buf, size_t len, uint64_t off, struct err *e);

/* As view_write, but calls answered before it writes, so that its caller can go on; nobody is let
 * near the image until it is done, so nobody can tell.  What fails before that is returned, what
 * fails later is told by failed.  For one who writes alone: others would wait for each other. */
struct early_reply {
	void (*answered)(void *arg);
	void (*failed)(void *arg, const struct err *e);
	void *arg;
};
int view_write_early(struct view *v, const void *buf, size_t len, uint64_t off,
	const struct early_reply *early, struct err *e);

/* Returns once all that was answered before is done. */
void view_await(const struct view *v);

/* Has a write of the image, through any of its views, failed after it was answered, since *seen was
 * set by this or by view_late_seen?  0, or -errno of the last. */
int view_late_error(const struct view *v, atomic_uint *seen);

/* For one who begins to write: failures of which nobody has heard yet are news. */
unsigned view_late_seen(const struct view *v);

/* Somebody has heard of all failures up to now in another way. */
void view_late_heard(const struct view *v);

/* As view_write, of bytes of a file. */
int view_write_from(
	struct view *v, struct io *io, uint64_t pos, uint64_t len, uint64_t off, struct err *e);

/* The range reads as zeroes then; room that only it used is given back as far as the format can. */
int view_clear(struct view *v, uint64_t off, uint64_t len, struct err *e);

/* Allocates the range with the bytes that it has, on the host too: what is written there later
 * finds room.  EOPNOTSUPP: the host cannot promise it. */
int view_allocate(struct view *v, uint64_t off, uint64_t len, struct err *e);

/* Packs a unit of the live state of an image whose compressed_max is not 0: view->unit bytes,
 * zeroes behind the end of the disk.  How many bytes it takes packed, 0: too many, it is written as
 * it is; -errno.  For any number of threads at once: it is what takes the time. */
ssize_t view_compress(
	const struct view *v, const void *unit, uint64_t off, void *packed, struct err *e);

/* As view_write, of the unit at off, from what view_compress made of it. */
int view_write_compressed(
	struct view *v, const void *packed, uint32_t len, uint64_t off, struct err *e);

/* Copies bytes of one view into another, holes as holes; the ranges do not overlap when both show
 * the same bytes.  How many were copied: fewer than len at the end of from, or when an error came
 * later; -errno when it came first. */
int64_t view_copy(const struct view *from, uint64_t off, struct view *to, uint64_t to_off,
	uint64_t len, struct err *e);

/* Returns once all that was written to the image before is durable; 0 for what cannot change. */
int view_flush(struct view *v, struct err *e);

/* Changes the size of a disk; durable on return.  EOPNOTSUPP: the format cannot. */
int view_resize(struct view *v, uint64_t size, struct err *e);

/* NULL is fine. */
void view_free(struct view *v);

/* [start, start+len) of below, which must lie inside it and outlive the slice. */
struct view *view_slice(struct view *below, uint64_t start, uint64_t len, struct err *e);

/* A view in the place of one that cannot be had: each read fails with EIO and the reason. */
struct view *view_broken(uint64_t size, const char *reason, struct err *e);

/* For drivers: makes x the extent of len bytes that start skip bytes into a run of units (clusters,
 * grains, blocks) of unit bytes each, stored in io from position start on.  A unit that begins
 * inside the file and runs over its end reads as zeroes there; one that begins at or past the end
 * is EIO: it was allocated and is gone.  unit 0: the whole run is one unit. */
int extent_in_file(struct extent *x, struct io *io, uint64_t start, uint64_t skip, uint64_t len,
	uint64_t unit, struct err *e);

/* For drivers: does the view itself store anything from off on?  Entered. */
bool view_stores_beyond(const struct view *v, uint64_t off);

/* For drivers: x, as extent_in_file made it, is encrypted.  sector is the number, for the cipher,
 * of the one that x->pos is in; sectors begin at multiples of CRYPT_SECTOR in the file.  One that
 * the file does not hold whole is EIO. */
int extent_encrypted(struct extent *x, struct crypt *crypt, uint64_t sector, struct err *e);

#endif
