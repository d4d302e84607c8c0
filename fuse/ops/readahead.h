/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* readahead.h - decodes ahead of whoever reads a file from one end to the other.
 *
 * The thread that has answered a read goes on, when that read continued the one before: it decodes
 * what will be asked for next into the cache, while the caller is busy with what it got and the
 * next read is another thread's, which does the same.  So units are decoded on as many processors
 * as there are.  What lies in files as it is needs none of this.
 */
#ifndef VDISKFS_OPS_READAHEAD_H
#define VDISKFS_OPS_READAHEAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct view;

/* What may be decoded ahead in a mount, lest it drives itself out of the cache. */
struct readahead_budget {
	atomic_size_t left; /* bytes */
};

/* Of an open file. */
struct readahead {
	pthread_mutex_t lock;
	uint64_t
		start; /* of the run: where the first of the reads that continue each other began */
	uint64_t next; /* where the last read ended */
	uint64_t made; /* up to here somebody has decoded, or does now */
	struct readahead_budget *room; /* from which the window was taken */
	size_t window;                 /* bytes; 0: none was needed yet, or there is no room */
};

void readahead_budget_init(struct readahead_budget *room, size_t cache);

void readahead_init(struct readahead *a);
void readahead_end(struct readahead *a);

/* [off, off+len) of the view was read and the answer given.  Any number of threads. */
void readahead_continue(struct readahead *a, struct readahead_budget *room, const struct view *v,
	uint64_t off, size_t len);

#endif
