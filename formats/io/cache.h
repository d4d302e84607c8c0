/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache.h - the one bounded cache of a process: pages of metadata and decoded clusters.
 *
 * A block is a run of bytes named by (source, id) and made by a load function.  It is loaded once,
 * however many threads want it at the same time (single flight), outside any lock; it does not
 * change and stays where it is as long as somebody has it pinned: a change makes another block of
 * the name, for those who pin it later.  What nobody has pinned is thrown away, least recently used
 * first, when the sum passes the budget.  A failed load is told to whoever asked and not kept.
 *
 * Locks: one mutex a shard, last in the order of locks; never held while loading.
 */
#ifndef VDISK_IO_CACHE_H
#define VDISK_IO_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct err;
struct io;

/* A pinned block. */
struct block {
	const unsigned char *data;
	size_t len;
};

/* Fills buf with len bytes; 0 or -errno. */
typedef int cache_load(void *arg, void *buf, size_t len, struct err *e);

/* budget in bytes, for data and bookkeeping together; pinned blocks may exceed it for a while. */
struct cache *cache_new(size_t budget, struct err *e);
void cache_free(struct cache *c); /* NULL is fine; nothing may be pinned */

/* Pins the block (source, id) of len bytes, loading it if need be.  source is the address of what
 * the block is made from; len is a function of (source, id). */
int cache_pin(struct cache *c, const void *source, uint64_t id, size_t len, cache_load *load,
	void *arg, const struct block **block, struct err *e);
void cache_unpin(struct cache *c, const struct block *block);

/* Changes the bytes of a block; runs under the lock of its shard. */
typedef void cache_change(void *arg, unsigned char *data, void **note);

/* Lets change loose on the block (source, id), loading it if need be.  *note belongs to the caller,
 * NULL at first; as long as it is not NULL the block is not thrown away.  One change at a time to a
 * block. */
int cache_modify(struct cache *c, const void *source, uint64_t id, size_t len, cache_load *load,
	void *arg, cache_change *change, void *change_arg, struct err *e);

/* Has the block (source, id) a note?  Changes of it come one at a time, and this is between two. */
bool cache_has_note(struct cache *c, const void *source, uint64_t id);

/* Takes the note off the block (source, id), which has one. */
void cache_release(struct cache *c, const void *source, uint64_t id);

/* Forgets the block (source, id), which has no note and is not being loaded: its name stands for
 * other bytes from now on. */
void cache_drop(struct cache *c, const void *source, uint64_t id);

/* Bytes held now: for tests and for the curious. */
size_t cache_used(const struct cache *c);

/* Metadata is read through pages of the host file, zeroes past its end.  Tables are walked page by
 * page: an aligned entry of 8 bytes or less never straddles two. */
#define META_PAGE 4096u

struct meta {
	const unsigned char *p;    /* the byte at the position asked for */
	size_t n;                  /* bytes from p to the end of its page, >= 1 */
	const struct block *block; /* private */
};

int meta_pin(struct cache *c, struct io *io, uint64_t pos, struct meta *m, struct err *e);
void meta_unpin(struct cache *c, struct meta *m);

/* Copies len bytes at pos, across pages: for headers and single entries. */
int meta_read(struct cache *c, struct io *io, void *buf, size_t len, uint64_t pos, struct err *e);

/* As cache_modify, of the page of the file that pos lies in. */
int meta_modify(struct cache *c, struct io *io, uint64_t pos, cache_change *change, void *arg,
	struct err *e);

/* As cache_has_note. */
bool meta_has_note(struct cache *c, struct io *io, uint64_t pos);

/* As cache_release. */
void meta_release(struct cache *c, struct io *io, uint64_t pos);

/* Drops the blocks of a source, and the pages of an io, of which none may be pinned or have a note:
 * the next one may have the same address.  io_unref does it for an io that names its cache. */
void cache_forget(struct cache *c, const void *source);

#endif
