/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "view/view.h"

struct segment {
	struct table_segment s;
	uint64_t start;
	struct table_stripe *stripes; /* owned */
	char *error;                  /* owned */
};

struct table {
	struct segment *segments;
	size_t n;
	uint64_t size;
};

struct table *table_new(void)
{
	return calloc(1, sizeof(struct table));
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->segments[i].stripes);
		free(t->segments[i].error);
	}
	free(t->segments);
	free(t);
}

static int check(const struct table *t, const struct table_segment *s, struct err *e)
{
	if (s->len == 0 || s->len > LIMIT_DISK_SIZE - t->size)
		return err_set(
			e, EINVAL, "a segment of %" PRIu64 " bytes at %" PRIu64, s->len, t->size);
	if (s->kind == TABLE_STRIPED && s->nstripes == 0)
		return err_set(e, EINVAL, "a segment without stripes at %" PRIu64, t->size);
	if (s->kind == TABLE_STRIPED && s->nstripes > 1 &&
		(s->chunk == 0 || s->chunk > LIMIT_DISK_SIZE / s->nstripes))
		return err_set(
			e, EINVAL, "stripes of %" PRIu64 " bytes at %" PRIu64, s->chunk, t->size);
	return 0;
}

int table_add(struct table *t, const struct table_segment *from, struct err *e)
{
	struct segment *segments, new = {.s = *from, .start = t->size};
	int r = check(t, from, e);

	if (r < 0)
		return r;
	if (from->kind == TABLE_STRIPED) {
		new.stripes = calloc(from->nstripes, sizeof new.stripes[0]);
		if (new.stripes)
			memcpy(new.stripes, from->stripes, from->nstripes * sizeof new.stripes[0]);
	}
	if (from->kind == TABLE_ERROR)
		new.error = strdup(from->error);
	segments = array_grow(t->segments, t->n, sizeof segments[0]);
	if (segments)
		t->segments = segments;
	if (!segments || (from->kind == TABLE_STRIPED && !new.stripes) ||
		(from->kind == TABLE_ERROR && !new.error)) {
		free(new.stripes);
		free(new.error);
		return err_nomem(e);
	}
	t->segments[t->n++] = new;
	t->size += from->len;
	return 0;
}

uint64_t table_size(const struct table *t)
{
	return t->size;
}

/* The view. */

struct table_view {
	struct view view;
	const struct table *table;
	size_t n;
	struct view *members[];
};

static int start_compare(const void *key, const void *element)
{
	uint64_t off = *(const uint64_t *)key;
	const struct segment *s = element;

	return off < s->start ? -1 : off >= s->start + s->s.len;
}

/* off is in the segment. */
static void map_striped(
	const struct table_view *v, const struct segment *s, uint64_t off, struct extent *x)
{
	const struct table_stripe *stripe = s->stripes;
	uint64_t skip = off;

	if (s->s.nstripes > 1) {
		uint64_t chunk = off / s->s.chunk;

		stripe = &s->stripes[chunk % s->s.nstripes];
		skip = chunk / s->s.nstripes * s->s.chunk + off % s->s.chunk;
		x->len = MIN(x->len, s->s.chunk - off % s->s.chunk);
	}
	x->kind = EXTENT_BELOW;
	x->below = v->members[stripe->member];
	x->pos = stripe->pos + skip;
}

static int table_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct table_view *v = (const struct table_view *)view;
	const struct table *t = v->table;
	const struct segment *s =
		bsearch(&off, t->segments, t->n, sizeof t->segments[0], start_compare);

	if (!s)
		return err_set(e, EUCLEAN, "no segment has the bytes at %" PRIu64, off);
	x->len = MIN(len, s->start + s->s.len - off);
	switch (s->s.kind) {
	case TABLE_STRIPED:
		map_striped(v, s, off - s->start, x);
		return 0;
	case TABLE_ZERO:
		x->kind = EXTENT_ZERO;
		return 0;
	case TABLE_ERROR:
		break;
	}
	return err_set(e, EIO, "%s", s->error);
}

static void table_view_free(struct view *view)
{
	struct table_view *v = (struct table_view *)view;

	for (size_t i = 0; i < v->n; i++)
		view_free(v->members[i]);
	free(v);
}

/* The bytes of a stripe: the first stripes have the chunks that remain. */
static uint64_t stripe_len(const struct segment *s, size_t i)
{
	uint64_t row, rest;

	if (s->s.nstripes == 1)
		return s->s.len;
	row = s->s.chunk * s->s.nstripes;
	rest = s->s.len % row;
	rest = rest > i * s->s.chunk ? MIN(rest - i * s->s.chunk, s->s.chunk) : 0;
	return s->s.len / row * s->s.chunk + rest;
}

static int check_segment(
	const struct segment *s, struct view *const *members, size_t n, struct err *e)
{
	for (size_t i = 0; i < s->s.nstripes && s->stripes; i++) {
		const struct table_stripe *stripe = &s->stripes[i];

		if (stripe->member >= n ||
			!range_fits(stripe->pos, stripe_len(s, i), members[stripe->member]->size))
			return err_set(e, EUCLEAN,
				"%" PRIu64 " bytes at %" PRIu64 " of member %zu pass its end",
				stripe_len(s, i), stripe->pos, stripe->member);
	}
	return 0;
}

/* The writer that all members have, or NULL. */
static struct writer *common_writer(struct view *const *members, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (members[i]->writer != members[0]->writer)
			return NULL;
	return n > 0 ? members[0]->writer : NULL;
}

struct view *table_view(const struct table *t, struct view *const *members, size_t n, struct err *e)
{
	static const struct view_ops ops = {.map = table_map, .free = table_view_free};
	struct table_view *v;

	for (size_t i = 0; i < t->n; i++)
		if (check_segment(&t->segments[i], members, n, e) < 0)
			return NULL;
	v = calloc(1, sizeof *v + n * sizeof v->members[0]);
	if (!v) {
		err_nomem(e);
		return NULL;
	}
	v->view.ops = &ops;
	v->view.size = t->size;
	v->view.writer = common_writer(members, n);
	v->view.through = true;
	v->table = t;
	v->n = n;
	memcpy(v->members, members, n * sizeof members[0]);
	return &v->view;
}
