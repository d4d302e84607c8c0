/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

void pool_init(struct pool *p)
{
	pthread_mutex_init(&p->lock, NULL);
	p->n = 0;
}

void pool_end(struct pool *p, void (*item_free)(void *item))
{
	while (p->n > 0)
		item_free(p->items[--p->n]);
	pthread_mutex_destroy(&p->lock);
}

void *pool_take(struct pool *p)
{
	void *item = NULL;

	pthread_mutex_lock(&p->lock);
	if (p->n > 0)
		item = p->items[--p->n];
	pthread_mutex_unlock(&p->lock);
	return item;
}

bool pool_give(struct pool *p, void *item)
{
	bool fits;

	pthread_mutex_lock(&p->lock);
	fits = p->n < POOL_SIZE;
	if (fits)
		p->items[p->n++] = item;
	pthread_mutex_unlock(&p->lock);
	return fits;
}
