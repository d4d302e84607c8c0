/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "readahead.h"

#include <stdbool.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "view/view.h"

/* The window of a file at most.  A smaller one leaves processors idle, measured. */
#define WINDOW (8u << 20)

/* Decoded by a thread before it looks again how far the reads have come. */
#define STEP (512u << 10)

/* Past the end of any file, so that the first read continues none. */
#define NOWHERE (UINT64_MAX / 2)

void readahead_budget_init(struct readahead_budget *budget, size_t cache)
{
	atomic_init(&budget->left, cache / 2);
}

void readahead_init(struct readahead *a)
{
	*a = (struct readahead){.next = NOWHERE};
	pthread_mutex_init(&a->lock, NULL);
}

void readahead_end(struct readahead *a)
{
	if (a->window > 0)
		atomic_fetch_add(&a->budget->left, a->window);
	pthread_mutex_destroy(&a->lock);
}

/* Records a read; true: it continues the run.  The kernel sends the two halves of its own readahead
 * at once, and either may come first. */
static bool record_read(struct readahead *a, uint64_t off, size_t len)
{
	bool continues = off <= a->next + len && a->next <= off + 2 * len;

	if (!continues)
		a->start = a->decoded = off;
	a->next = MAX(off + len, a->start);
	a->decoded = MAX(a->decoded, a->next);
	return continues;
}

/* The window, taken from the budget once it is needed and if enough is left. */
static size_t window_of(struct readahead *a, struct readahead_budget *budget)
{
	size_t left = atomic_load(&budget->left), take;

	while (a->window == 0 && left >= 2 * STEP) {
		take = MIN(left, WINDOW);
		if (atomic_compare_exchange_weak(&budget->left, &left, left - take)) {
			a->budget = budget;
			a->window = take;
		}
	}
	return a->window;
}

/* The length of the next step within the window, 0: none.  The window is not longer than the run,
 * so that a few reads that happen to follow each other cost little.  The lock is held. */
static uint64_t next_step(
	struct readahead *a, struct readahead_budget *budget, const struct view *v, uint64_t *off)
{
	uint64_t run = a->next - a->start, end;

	if (run < STEP)
		return 0;
	end = MIN(a->next + MIN(run, window_of(a, budget)), v->size);
	if (a->decoded >= end)
		return 0;
	*off = a->decoded;
	a->decoded += MIN(STEP, end - a->decoded);
	return a->decoded - *off;
}

/* An error is ignored: the read that comes to the same unit gets it. */
static void decode(const struct view *v, uint64_t off, uint64_t len)
{
	struct err ignored = ERR_INIT;
	const struct block *block;
	struct extent x;

	view_enter(v);
	for (; len > 0 && off < v->size; off += x.len, len -= x.len) {
		if (view_resolve(v, off, MIN(len, v->size - off), &x, &ignored) < 0)
			break;
		if (x.kind != EXTENT_GENERATED)
			continue;
		if (view_pin(&x, &block, &ignored) < 0)
			break;
		cache_unpin(x.owner->cache, block);
	}
	view_leave(v);
}

void readahead_continue(struct readahead *a, struct readahead_budget *budget, const struct view *v,
	uint64_t off, size_t len)
{
	uint64_t at, n;
	bool continues;

	pthread_mutex_lock(&a->lock);
	continues = record_read(a, off, len);
	while (continues && (n = next_step(a, budget, v, &at)) > 0) {
		pthread_mutex_unlock(&a->lock);
		decode(v, at, n);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
}
