/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* readahead.c - a window that moves along in front of the reads. */
#include "readahead.h"

#include <stdbool.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "view/view.h"

/* How far a file is decoded ahead, at most.  Less leaves processors idle, measured. */
#define WINDOW (8u << 20)

/* What a thread does between two looks at how far the reads have come. */
#define PIECE (512u << 10)

/* Far behind any file: what was not read yet goes on nowhere. */
#define NOWHERE (UINT64_MAX / 2)

void readahead_budget_init(struct readahead_budget *room, size_t cache)
{
	atomic_init(&room->left, cache / 2);
}

void readahead_init(struct readahead *a)
{
	*a = (struct readahead){.next = NOWHERE};
	pthread_mutex_init(&a->lock, NULL);
}

void readahead_end(struct readahead *a)
{
	if (a->window > 0)
		atomic_fetch_add(&a->room->left, a->window);
	pthread_mutex_destroy(&a->lock);
}

/* The kernel sends the two halves of its readahead at once: either may come first. */
static bool continues(const struct readahead *a, uint64_t off, size_t len)
{
	return off <= a->next + len && a->next <= off + 2 * len;
}

/* Did it go on where another one had ended? */
static bool note_read(struct readahead *a, uint64_t off, size_t len)
{
	bool goes_on = continues(a, off, len);

	if (!goes_on)
		a->start = a->made = off;
	a->next = MAX(off + len, a->start);
	a->made = MAX(a->made, a->next);
	return goes_on;
}

/* What others have left of the room, if that is worth it. */
static size_t window_of(struct readahead *a, struct readahead_budget *room)
{
	size_t left = atomic_load(&room->left), take;

	while (a->window == 0 && left >= 2 * PIECE) {
		take = MIN(left, WINDOW);
		if (atomic_compare_exchange_weak(&room->left, &left, left - take)) {
			a->room = room;
			a->window = take;
		}
	}
	return a->window;
}

/* The next piece of the window, which is no longer than the run that promises it: a few reads that
 * happen to follow each other cost no more than they did.  The lock is held. */
static uint64_t claim(
	struct readahead *a, struct readahead_budget *room, const struct view *v, uint64_t *off)
{
	uint64_t run = a->next - a->start, end;

	if (run < PIECE)
		return 0;
	end = MIN(a->next + MIN(run, window_of(a, room)), v->size);
	if (a->made >= end)
		return 0;
	*off = a->made;
	a->made += MIN(PIECE, end - a->made);
	return a->made - *off;
}

/* What cannot be read is met again by whoever asks for it, who gets the error. */
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

void readahead_continue(struct readahead *a, struct readahead_budget *room, const struct view *v,
	uint64_t off, size_t len)
{
	uint64_t at, n;
	bool goes_on;

	pthread_mutex_lock(&a->lock);
	goes_on = note_read(a, off, len);
	while (goes_on && (n = claim(a, room, v, &at)) > 0) {
		pthread_mutex_unlock(&a->lock);
		decode(v, at, n);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
}
