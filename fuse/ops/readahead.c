/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "readahead.h"

#include <stdbool.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "view/view.h"

/* The window of a file at most.  A smaller one leaves processors idle, measured. */
#define WINDOW (8u << 20)

/* Fetched at most after what is decoded: a disk that takes 10 ms for a request, but many at once,
 * is read by 800 MiB a second. */
#define FETCH_WINDOW (8u << 20)

/* Fetched or decoded by a thread before it looks again how far the reads have come. */
#define STEP (512u << 10)

/* How far a read may be from its place in the sequence, in bytes: two windows of the kernel's own
 * readahead may be under way, and their requests come in any order. */
#define REORDERED (3u << 19)

/* Looks at the map, for the hole before a read. */
#define HOLES 16

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

/* Is [off, end) nothing but holes?  A copy does not read them.  Reports few holes at most. */
static bool is_hole(const struct view *v, uint64_t off, uint64_t end)
{
	uint64_t len = 0;
	unsigned n = 0;

	view_enter(v);
	for (; off < end && n < HOLES && !view_look(v, off, &len); off += len)
		n++;
	view_leave(v);
	return off >= end;
}

/* Does a read continue the run, as the next one, as one that was overtaken, or after a hole? */
static bool continues_run(const struct readahead *a, const struct view *v, uint64_t off, size_t len)
{
	if (off <= a->next + REORDERED)
		return a->next <= off + len + REORDERED;
	return a->run >= STEP && is_hole(v, a->next, off - len);
}

/* Records a read; true: it continues the run. */
static bool record_read(struct readahead *a, const struct view *v, uint64_t off, size_t len)
{
	bool continues = continues_run(a, v, off, len);

	if (!continues) {
		a->run = 0;
		a->next = a->decoded = a->fetched = off;
	}
	a->run += len;
	a->next = MAX(a->next, off + len);
	a->decoded = MAX(a->decoded, a->next);
	a->fetched = MAX(a->fetched, a->next);
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

/* Takes the next step of up to STEP bytes before end from *done on: its length, 0: none. */
static uint64_t take_step(uint64_t *done, uint64_t end, uint64_t *off)
{
	if (*done >= end)
		return 0;
	*off = *done;
	*done += MIN(STEP, end - *done);
	return *done - *off;
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

/* Makes one step within the windows; false: there is none.  Data that is decoded soon has been
 * fetched long before: its window ends where that of fetching begins.  The lock is held, but not
 * during the step. */
static bool next_step(struct readahead *a, struct readahead_budget *budget, const struct view *v)
{
	uint64_t window, end, off, n;
	void (*step)(const struct view *v, uint64_t off, uint64_t len) = view_fetch;

	/* A window is not longer than the run, so that a few reads that happen to follow each other
	 * cost little. */
	if (a->run < STEP)
		return false;
	window = MIN(a->run, window_of(a, budget));
	end = a->next + window;
	n = take_step(&a->fetched, MIN(end + MIN(a->run, FETCH_WINDOW), v->size), &off);
	if (n == 0) {
		n = take_step(&a->decoded, MIN(end, v->size), &off);
		step = decode;
	}
	if (n == 0)
		return false;
	pthread_mutex_unlock(&a->lock);
	step(v, off, n);
	pthread_mutex_lock(&a->lock);
	return true;
}

void readahead_continue(struct readahead *a, struct readahead_budget *budget, const struct view *v,
	uint64_t off, size_t len)
{
	bool continues;

	pthread_mutex_lock(&a->lock);
	continues = record_read(a, v, off, len);
	while (continues && next_step(a, budget, v))
		;
	pthread_mutex_unlock(&a->lock);
}
