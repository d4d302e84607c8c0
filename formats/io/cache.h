/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache.h - the one bounded cache of a process: pages of metadata and decoded clusters.
 *
 * A block is a run of bytes that a load function makes for a key.  It is loaded once, however many
 * threads ask for it at the same time (single flight), outside any lock.  A pinned block does not
 * change and stays where it is: a change makes another block for the key, which later pins find.
 * Blocks without a pin are evicted, least recently used first, when the sum passes the budget.  A
 * failed load is reported to all callers that wait for it, and not kept.
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

/* A pinned block. */
struct block {
	const unsigned char *data;
	size_t len;
};

/* A source has units, with ids that its driver chooses, and pages, whose ids are positions: the
 * same number may name one of each. */
enum cache_space { CACHE_UNITS, CACHE_PAGES };

struct cache_key {
	const void *source; /* address of the object that the block is loaded from */
	uint64_t id;
	enum cache_space space;
};

/* Fills buf with len bytes; 0 or -errno. */
typedef int cache_load(void *arg, void *buf, size_t len, struct err *e);

/* A block and the function that loads it. */
struct cache_request {
	struct cache_key key;
	size_t len; /* the same in all requests with this key */
	cache_load *load;
	void *arg; /* of load */
};

/* budget in bytes, for data and bookkeeping together; pinned blocks may exceed it for a while. */
struct cache *cache_new(size_t budget, struct err *e);
void cache_free(struct cache *c); /* NULL is fine; nothing may be pinned */

/* Pins a block, loading it if need be. */
int cache_pin(struct cache *c, const struct cache_request *request, const struct block **block,
	struct err *e);
void cache_unpin(struct cache *c, const struct block *block);

/* Changes the bytes of a block; runs under the lock of its shard.  *note is the caller's, NULL at
 * first; a block with a note is not evicted. */
typedef void cache_change(void *arg, unsigned char *data, void **note);

/* Runs change on a block, loading it if need be.  One change at a time to a block. */
int cache_modify(struct cache *c, const struct cache_request *request, cache_change *change,
	void *arg, struct err *e);

/* Has the block a note?  Not to be called while another thread changes the block. */
bool cache_has_note(struct cache *c, const struct cache_key *key);

/* Takes the note off a block that has one. */
void cache_release(struct cache *c, const struct cache_key *key);

/* Drops a block that has no note and is not being loaded: its key names other bytes from now on. */
void cache_drop(struct cache *c, const struct cache_key *key);

/* Bytes held now; for tests. */
size_t cache_used(const struct cache *c);

/* Drops all blocks of a source, of which none may be pinned or have a note: the next one may have
 * the same address.  io_unref does it for an io that names its cache. */
void cache_forget(struct cache *c, const void *source);

#endif
