/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* readahead.h - works ahead of a file that is read sequentially.
 *
 * The thread that has replied to a read goes on, if that read continued the one before, while the
 * caller works with its data, and while the next read is handled by another thread that does the
 * same.  It fetches first: the host is told to read the next ranges of its files, in the order of
 * the map, so that a disk that is slow to answer is never idle.  Then it decodes the next units
 * into the cache, so that they are decoded on all processors.
 */
#ifndef VDISKFS_OPS_READAHEAD_H
#define VDISKFS_OPS_READAHEAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct view;

/* The bytes of all windows of a mount; limited, since more would evict each other from the cache.
 */
struct readahead_budget {
	atomic_size_t left;
};

/* The readahead of an open file. */
struct readahead {
	pthread_mutex_t lock;
	uint64_t run;     /* bytes of the reads that continue each other */
	uint64_t next;    /* end of the last of them */
	uint64_t decoded; /* up to here units are decoded, or are being decoded by a thread */
	uint64_t fetched; /* up to here the host has been told to read */
	struct readahead_budget *budget; /* from which the window was taken */
	size_t window;                   /* bytes; 0: none was needed yet, or the budget is spent */
};

/* cache: bytes of the cache of the mount. */
void readahead_budget_init(struct readahead_budget *budget, size_t cache);

void readahead_init(struct readahead *a);
void readahead_end(struct readahead *a);

/* [off, off+len) of the view was read and replied to.  Any number of threads. */
void readahead_continue(struct readahead *a, struct readahead_budget *budget, const struct view *v,
	uint64_t off, size_t len);

#endif
