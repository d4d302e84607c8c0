/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy-on-read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io-view.h"
#include "view.h"
#include "writer.h"

/* Read of the parent at a time, in one buffer: one request, if the parent is far away. */
#define CHUNK (1u << 20)

/* The live state of the image, which can be written. */
static struct view *live_of(const struct view *v)
{
	return v->writer->view;
}

/* Failed to store: e. */
static int give_up(struct view *v, struct err *e)
{
	atomic_store(&v->writer->copy_on_read, false);
	return err_in(e, "copy_on_read ends");
}

/* Stores the beginning of len bytes in buf, whole granules, in new space; *stored becomes its
 * length. */
static int store_data(struct view *v, const char *buf, uint64_t off, uint64_t len, uint64_t *stored,
	struct err *e)
{
	struct reservation res;
	int r;

	pthread_mutex_lock(&v->writer->meta);
	r = v->write->reserve(v, off, len, &res, e);
	pthread_mutex_unlock(&v->writer->meta);
	if (r < 0)
		return r;
	*stored = res.len;
	if (res.off != off || res.len == 0 || res.len > len)
		r = err_set(e, EUCLEAN, "no space was found for %" PRIu64, off);
	if (r == 0)
		r = io_write(res.io, buf, res.len, res.pos, e);
	return reservation_end(v, &res, r, e);
}

/* -EOPNOTSUPP: the format stores zeroes as data. */
static int store_zeroes(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	int r = -EOPNOTSUPP;

	pthread_mutex_lock(&v->writer->meta);
	if (v->write->clear)
		r = v->write->clear(v, off, len, e);
	pthread_mutex_unlock(&v->writer->meta);
	return r;
}

/* The length of the beginning of a range that is whole units of zeroes, or, *zero false, that is to
 * be stored as data. */
static uint64_t run_of(
	const struct view *v, const char *buf, uint64_t off, uint64_t len, bool *zero)
{
	uint64_t n = 0;

	while (n < len) {
		uint64_t piece = MIN(len - n, v->unit - (off + n) % v->unit);
		bool whole = (off + n) % v->unit == 0 &&
			     (piece == v->unit || off + n + piece == v->size);
		bool is = whole && is_zero(buf + n, piece);

		if (n > 0 && is != *zero)
			break;
		*zero = is;
		n += piece;
	}
	return n;
}

/* Stores len bytes in buf, which the view shows at off, and stores nowhere. */
static int store(struct view *v, const char *buf, uint64_t off, uint64_t len, struct err *e)
{
	int r = 0;

	for (uint64_t n; r == 0 && len > 0; buf += n, off += n, len -= n) {
		bool zero = false;

		n = run_of(v, buf, off, len, &zero);
		r = zero ? store_zeroes(v, off, n, e) : -EOPNOTSUPP;
		if (r == -EOPNOTSUPP)
			r = store_data(v, buf, off, n, &n, e);
	}
	return r;
}

/* Reads len bytes that the extent x of v takes from below; zeroes past its end. */
static int read_below(const struct extent *x, char *buf, uint64_t len, struct err *e)
{
	uint64_t size = x->below->size;
	uint64_t inside = x->pos < size ? MIN(len, size - x->pos) : 0;

	memset(buf + inside, 0, len - inside);
	return inside > 0 ? view_read_inside(x->below, buf, inside, x->pos, e) : 0;
}

static bool is_from_below(const struct extent *x)
{
	return x->kind == EXTENT_BELOW && !x->inplace && x->below && x->pos < x->below->size;
}

/* Copies what is still missing of [off, end), whole granules, whose units are held: another thread
 * may have stored some of it before. */
static int copy_missing(struct view *v, uint64_t off, uint64_t end, struct err *e)
{
	char *buf = NULL;
	struct extent x;
	int r = 0;

	for (; r == 0 && off < end; off += x.len) {
		r = view_map(v, off, end - off, &x, e);
		if (r < 0 || !is_from_below(&x))
			continue;
		if (!buf)
			buf = malloc(end - off);
		r = buf ? read_below(&x, buf, x.len, e) : err_nomem(e);
		if (r == 0 && store(v, buf, off, x.len, e) < 0)
			r = give_up(v, e);
	}
	free(buf);
	return r;
}

/* Copies the granules that a range of the live state touches. */
static int copy_granules(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t start = off - off % v->granule;
	uint64_t end = MIN(div_round_up(off + len, v->granule) * v->granule, v->size);
	struct range range = range_of_units(v, start, end - start);
	int r = writer_begin(v->writer, e);

	if (r < 0)
		return give_up(v, e);
	range_take(v->writer, &range, 0);
	r = copy_missing(v, start, end, e);
	range_drop(v->writer, &range);
	return r;
}

static int copy_live(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct extent x;
	int r = 0;

	for (; r == 0 && len > 0; off += x.len, len -= x.len) {
		r = view_map(v, off, MIN(len, CHUNK), &x, e);
		if (r == 0 && is_from_below(&x))
			r = copy_granules(v, off, x.len, e);
	}
	return r;
}

/* Follows a range down to the live state, also through encryption. */
static int descend(const struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	const struct view *below;
	struct extent x;
	int r = 0;

	if (v == live_of(v))
		return copy_live(live_of(v), off, len, e);
	for (; r == 0 && len > 0; off += x.len, len -= x.len) {
		r = view_map(v, off, len, &x, e);
		if (r < 0)
			break;
		below = x.kind == EXTENT_BELOW ? x.below : x.io ? io_view_of(x.io) : NULL;
		if (below && below->writer && x.pos < below->size)
			r = descend(below, x.pos, MIN(x.len, below->size - x.pos), e);
	}
	return r;
}

int copy_on_read(const struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct err ignored = ERR_INIT;
	int r = 0;

	if (!v->writer || !atomic_load(&v->writer->copy_on_read))
		return 0;
	view_enter(v);
	if (off < v->size)
		r = descend(v, off, MIN(len, v->size - off), e);
	view_leave(v);
	if (writer_is_full(v->writer))
		writer_flush(v->writer, &ignored); /* the next write or flush reports a failure */
	return atomic_load(&v->writer->copy_on_read) ? 0 : r;
}
