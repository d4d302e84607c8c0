/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pool.h - idle contexts of a library.
 *
 * A context costs more to create than to use, and two threads must not share one: a caller takes
 * one from the pool, or creates one if it is empty, and gives it back.  The lock is not held while
 * a context is in use.
 */
#ifndef VDISK_UTIL_POOL_H
#define VDISK_UTIL_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define POOL_SIZE 16

struct pool {
	pthread_mutex_t lock;
	void *items[POOL_SIZE];
	size_t n;
};

void pool_init(struct pool *p);
/* Frees what is in it. */
void pool_end(struct pool *p, void (*item_free)(void *item));

/* NULL: the pool is empty. */
void *pool_take(struct pool *p);
/* False: the pool is full and the item is still the caller's. */
bool pool_give(struct pool *p, void *item);

#endif
