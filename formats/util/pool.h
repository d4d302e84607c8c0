/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pool.h - contexts of a library that nobody uses right now.
 *
 * Making one costs more than using it, and no two threads may share one: who needs a context takes
 * one from here, or makes one when none is left, and gives it back.  The lock is never held while
 * a context works.
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
