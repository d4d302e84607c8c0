/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "streams.h"

#include <stdbool.h>

#include "ahead.h"
#include "util/bytes.h"

/* From here on reads are taken for a sequence.  Two pages of a table are one: each page waits for
 * the server otherwise, and two reads of a guest seldom happen to follow each other. */
#define ENOUGH_READS 2

/* Fetched ahead at most: a server that takes 20 ms for a request is read by 400 MB a second. */
#define WINDOW (8u << 20)

void streams_init(struct streams *s)
{
	*s = (struct streams){.now = 0};
	pthread_mutex_init(&s->lock, NULL);
	for (unsigned i = 0; i < STREAMS; i++)
		s->list[i].next = UINT64_MAX;
}

void streams_end(struct streams *s)
{
	pthread_mutex_destroy(&s->lock);
}

/* The stream that a read at pos continues, or else the one that was used least recently. */
static struct stream *choose(struct streams *s, uint64_t pos)
{
	struct stream *oldest = &s->list[0];

	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream *x = &s->list[i];

		if (x->next == pos)
			return x;
		/* The difference is right also after an overflow. */
		if (s->now - x->when > s->now - oldest->when)
			oldest = x;
	}
	*oldest = (struct stream){.next = pos, .fetched = pos};
	return oldest;
}

/* What is to be fetched is as much as was read, and asked for when half of it is left. */
static uint64_t look_ahead(struct stream *x, uint64_t *from)
{
	uint64_t window = MIN(MAX(x->bytes, AHEAD_BLOCK), WINDOW), end;

	if (x->reads < ENOUGH_READS)
		return 0;
	*from = MAX(x->fetched, x->next);
	end = x->next + window;
	if (*from + window / 2 > end)
		return 0;
	x->fetched = end;
	return end - *from;
}

uint64_t streams_note(struct streams *s, uint64_t pos, uint64_t len, uint64_t *from)
{
	struct stream *x;
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	s->now++;
	x = choose(s, pos);
	x->when = s->now;
	x->next = pos + len;
	x->bytes += len;
	x->reads++;
	n = look_ahead(x, from);
	pthread_mutex_unlock(&s->lock);
	return n;
}
