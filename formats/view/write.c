/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - the walk of a write: in place where that can be, into new room elsewhere. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view.h"
#include "writer.h"
#include "util/zeroes.h"

#define COPY_MAX (1u << 20) /* bytes copied up at a time */

/* Units that are cleared between two looks at whether it is time to flush: their entries are some
 * MiB of changes, and the locks are held that long. */
#define CLEAR_UNITS (UINT64_C(256) << 10)

/* Bytes that are allocated between two such looks. */
#define ALLOCATE_MAX (UINT64_C(64) << 20)

static const unsigned char zeroes[64u << 10];

struct view *view_base(struct view *v, uint64_t *start)
{
	struct err ignored;
	struct extent x;

	*start = 0;
	while (v->through) {
		view_map(v, 0, 1, &x, &ignored);
		*start += x.pos;
		v = v->below;
	}
	return v;
}

/* The units that [off, off+len) touches. */
static struct range units_of(const struct view *v, uint64_t off, uint64_t len)
{
	return (struct range){
		.start = off - off % v->unit,
		.end = div_round_up(off + len, v->unit) * v->unit,
	};
}

/* Copies [start, end) of what the view shows into the room. */
static int copy_up(const struct view *v, const struct reservation *res, uint64_t start,
	uint64_t end, struct err *e)
{
	void *buf = NULL;
	int r = 0;

	for (struct extent x; r == 0 && start < end; start += x.len) {
		r = view_resolve(v, start, MIN(end - start, COPY_MAX), &x, e);
		if (r < 0 || (x.kind == EXTENT_ZERO && res->reads_zero))
			continue;
		if (!buf)
			buf = malloc(MIN(end - start, COPY_MAX));
		r = buf ? view_read_extent(&x, buf, e) : err_nomem(e);
		if (r == 0)
			r = io_write(res->io, buf, x.len, res->pos + (start - res->off), e);
	}
	free(buf);
	return r;
}

/* What is written: in memory, or in a file. */
struct bytes {
	const char *buf; /* NULL: in the file */
	struct io *io;
	uint64_t pos;
};

static int put(const struct bytes *from, size_t len, struct io *io, uint64_t pos, struct err *e)
{
	return from->buf ? io_write(io, from->buf, len, pos, e)
			 : io_copy(io, pos, from->io, from->pos, len, e);
}

static void pass(struct bytes *from, size_t len)
{
	if (from->buf)
		from->buf += len;
	from->pos += len;
}

/* Data first, then the map that reveals it; r: whether the data is there. */
static int end_reservation(struct view *v, const struct reservation *res, int r, struct err *e)
{
	pthread_mutex_lock(&v->writer->meta);
	if (r == 0)
		r = v->write->commit(v, res, e);
	if (r < 0)
		v->write->cancel(v, res);
	pthread_mutex_unlock(&v->writer->meta);
	return r;
}

static int fill_with_itself(struct view *v, const struct reservation *res, struct err *e)
{
	int r = io_allocate(res->io, res->pos, res->len, e);

	if (r == 0)
		r = copy_up(v, res, res->off, res->off + res->len, e);
	return end_reservation(v, res, r, e);
}

static int fill_reservation(struct view *v, const struct reservation *res, const struct bytes *from,
	size_t len, uint64_t off, struct err *e)
{
	int r = copy_up(v, res, res->off, off, e);

	if (r == 0)
		r = put(from, len, res->io, res->pos + (off - res->off), e);
	if (r == 0)
		r = copy_up(v, res, off + len, res->off + res->len, e);
	return end_reservation(v, res, r, e);
}

/* Drivers compute it from what the image says. */
static bool is_room_for(const struct view *v, const struct reservation *res, uint64_t off)
{
	return res->off <= off && off - res->off < res->len &&
	       range_fits(res->off, res->len, v->size);
}

/* The range is locked.  Bytes written, 0: it is in place by now.  from NULL: the bytes that are
 * there. */
static int64_t write_room(
	struct view *v, const struct bytes *from, size_t len, uint64_t off, struct err *e)
{
	struct extent x;
	struct reservation res;
	int r = view_map(v, off, len, &x, e);

	if (r < 0 || x.inplace)
		return r;
	pthread_mutex_lock(&v->writer->meta);
	r = v->write->reserve(v, off, MIN(len, x.len), &res, e);
	pthread_mutex_unlock(&v->writer->meta);
	if (r < 0)
		return r;
	if (!is_room_for(v, &res, off))
		return end_reservation(
			v, &res, err_set(e, EUCLEAN, "no room was found for %" PRIu64, off), e);
	len = MIN(len, res.off + res.len - off);
	r = from ? fill_reservation(v, &res, from, len, off, e) : fill_with_itself(v, &res, e);
	return r < 0 ? r : (int64_t)len;
}

static int64_t write_new(
	struct view *v, const struct bytes *from, size_t len, uint64_t off, struct err *e)
{
	struct range range = units_of(v, off, len);
	int64_t n;

	range_take(v->writer, &range);
	n = write_room(v, from, len, off, e);
	range_drop(v->writer, &range);
	return n;
}

/* How many bytes of a write are pieces of units that are zero, or, *zero false, that are not. */
static size_t run_of(const struct view *v, const char *buf, size_t len, uint64_t off, bool *zero)
{
	size_t n = 0;

	while (n < len) {
		size_t piece = MIN(len - n, v->unit - (off + n) % v->unit);
		bool is = is_zero(buf + n, piece);

		if (n > 0 && is != *zero)
			break;
		*zero = is;
		n += piece;
	}
	return n;
}

/* Where it is not in place, what is zero and reads as zeroes already is left out. */
static int64_t write_thin(
	struct view *v, const struct bytes *from, size_t len, uint64_t off, struct err *e)
{
	struct extent x;
	bool zero = false;
	int r = 0;

	len = run_of(v, from->buf, len, off, &zero);
	if (zero)
		r = view_resolve(v, off, len, &x, e);
	if (r < 0)
		return r;
	if (zero && x.kind == EXTENT_ZERO)
		return (int64_t)x.len;
	return write_new(v, from, len, off, e);
}

/* Bytes written, 0: look again. */
static int64_t write_step(
	struct view *v, const struct bytes *from, size_t len, uint64_t off, struct err *e)
{
	struct extent x;
	int r = view_map(v, off, len, &x, e);

	if (r < 0)
		return r;
	if (!x.inplace && v->writer->detect_zeroes && from->buf)
		return write_thin(v, from, x.len, off, e);
	if (!x.inplace)
		return write_new(v, from, x.len, off, e);
	r = put(from, x.len, x.io, x.pos, e);
	return r < 0 ? r : (int64_t)x.len;
}

/* The gate is held. */
static int write_inside(
	struct view *v, struct bytes from, uint64_t len, uint64_t off, struct err *e)
{
	while (len > 0) {
		int64_t n = write_step(v, &from, len, off, e);

		if (n < 0)
			return (int)n;
		pass(&from, n);
		off += n;
		len -= n;
	}
	return 0;
}

/* Zeroes without being stored, as far as one look goes; stored ones elsewhere. */
static int64_t overwrite(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct extent x;
	int r = view_map(v, off, len, &x, e);

	if (r == 0 && x.inplace && x.kind == EXTENT_FILE) {
		r = io_zero(x.io, x.pos, x.len, e);
		return r < 0 ? r : (int64_t)x.len;
	}
	if (r == 0)
		r = view_resolve(v, off, len, &x, e);
	if (r == 0 && x.kind != EXTENT_ZERO) {
		x.len = MIN(x.len, sizeof zeroes);
		r = write_inside(v, (struct bytes){.buf = (const char *)zeroes}, x.len, off, e);
	}
	return r < 0 ? r : (int64_t)x.len;
}

/* Whole units, in the format's own way. */
static int clear_units(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct range range = units_of(v, off, len);
	int r;

	range_take(v->writer, &range);
	pthread_mutex_lock(&v->writer->meta);
	r = v->write->clear(v, off, len, e);
	pthread_mutex_unlock(&v->writer->meta);
	range_drop(v->writer, &range);
	return r;
}

/* How much of the range, from its start on, is whole units; else *rest is what comes before one. */
static uint64_t whole_units(const struct view *v, uint64_t off, uint64_t len, uint64_t *rest)
{
	uint64_t skip = off % v->unit;

	*rest = MIN(len, v->unit - skip);
	if (skip != 0)
		return 0;
	if (off + len == v->size)
		return len;
	return len - len % v->unit;
}

static int64_t clear_step(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t rest, whole;
	int r;

	if (!v->write->clear)
		return overwrite(v, off, len, e);
	whole = whole_units(v, off, len, &rest);
	r = whole > 0 ? clear_units(v, off, whole, e) : -EOPNOTSUPP;
	if (r == -EOPNOTSUPP)
		return overwrite(v, off, whole > 0 ? whole : rest, e);
	return r < 0 ? r : (int64_t)whole;
}

static int clear_inside(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	while (len > 0) {
		int64_t n = clear_step(v, off, len, e);

		if (n < 0)
			return (int)n;
		off += n;
		len -= n;
	}
	return 0;
}

static int check_writable(const struct view *v, struct err *e)
{
	return v->writer ? 0 : err_set(e, EROFS, "it can only be read");
}

static int check_range(const struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	if (range_fits(off, len, v->size))
		return 0;
	return err_set(e, ENOSPC,
		"%" PRIu64 " bytes at %" PRIu64 " pass the end of a disk of %" PRIu64, len, off,
		(uint64_t)v->size);
}

/* The gate is held.  Finds the view that is written, and the offset in it. */
static int aim(struct view **v, uint64_t len, uint64_t *off, struct err *e)
{
	int r = check_range(*v, *off, len, e);
	uint64_t start;

	if (r < 0)
		return r;
	*v = view_base(*v, &start);
	*off += start;
	/* A partition stays as long as it was when its disk became shorter. */
	r = check_range(*v, *off, len, e);
	if (r == 0 && !(*v)->write)
		r = err_set(e, EROFS, "this state can only be read");
	if (r == 0 && (*v)->compressed_only)
		r = err_set(e, EROFS, "it is only written packed, by whole units");
	return r;
}

/* The gate is held; from NULL: zeroes. */
static int change_inside(
	struct view *v, const struct bytes *from, uint64_t len, uint64_t off, struct err *e)
{
	int r = aim(&v, len, &off, e);

	if (r < 0)
		return r;
	return from ? write_inside(v, *from, len, off, e) : clear_inside(v, off, len, e);
}

static int begin_writing(struct view *v, struct err *e)
{
	int r = check_writable(v, e);

	return r == 0 ? writer_begin(v->writer, e) : r;
}

static int flush_if_full(struct view *v, struct err *e)
{
	return writer_is_full(v->writer) ? writer_flush(v->writer, e) : 0;
}

static int begin_change(struct view *v, struct err *e)
{
	int r = begin_writing(v, e);

	if (r == 0)
		view_enter(v);
	return r;
}

static int end_change(struct view *v, int r, struct err *e)
{
	view_leave(v);
	return r == 0 ? flush_if_full(v, e) : r;
}

static int change(
	struct view *v, const struct bytes *from, uint64_t len, uint64_t off, struct err *e)
{
	int r = begin_change(v, e);

	return r < 0 ? r : end_change(v, change_inside(v, from, len, off, e), e);
}

int view_write(struct view *v, const void *buf, size_t len, uint64_t off, struct err *e)
{
	return change(v, &(struct bytes){.buf = buf}, len, off, e);
}

static void note_late(struct writer *w, int code)
{
	w->late_code = code;
	w->late++;
}

int view_late_error(const struct view *v, atomic_uint *seen)
{
	struct writer *w = v->writer;
	unsigned n = w ? (unsigned)w->late : 0;

	if (n == 0 || atomic_exchange(seen, n) == n)
		return 0;
	w->late_told = n;
	return -w->late_code;
}

unsigned view_late_seen(const struct view *v)
{
	return v->writer ? (unsigned)v->writer->late_told : 0;
}

void view_late_heard(const struct view *v)
{
	v->writer->late_told = (unsigned)v->writer->late;
}

int view_write_early(struct view *v, const void *buf, size_t len, uint64_t off,
	const struct early_reply *early, struct err *e)
{
	struct writer *w = v->writer;
	struct err late = ERR_INIT;
	int r = begin_writing(v, e);

	if (r < 0)
		return r;
	writer_begin_early(w);
	r = aim(&v, len, &off, e);
	if (r == 0) {
		early->answered(early->arg);
		if (write_inside(v, (struct bytes){.buf = buf}, len, off, &late) < 0) {
			note_late(w, late.code);
			early->failed(early->arg, &late);
		}
	}
	writer_end_early(w);
	if (r == 0)
		flush_if_full(v, &late); /* that it failed all will hear who write or flush */
	return r;
}

void view_await(const struct view *v)
{
	view_enter(v);
	view_leave(v);
}

int view_write_from(
	struct view *v, struct io *io, uint64_t pos, uint64_t len, uint64_t off, struct err *e)
{
	return change(v, &(struct bytes){.io = io, .pos = pos}, len, off, e);
}

/* Packed. */

ssize_t view_compress(
	const struct view *v, const void *unit, uint64_t off, void *packed, struct err *e)
{
	return v->write->compress(v, unit, off, packed, e);
}

static int write_packed(
	struct view *v, const void *packed, uint32_t len, uint64_t off, struct err *e)
{
	struct range range = units_of(v, off, 1);
	struct reservation res;
	int r;

	range_take(v->writer, &range);
	pthread_mutex_lock(&v->writer->meta);
	r = v->write->reserve_compressed(v, off, len, &res, e);
	pthread_mutex_unlock(&v->writer->meta);
	if (r == 0)
		r = end_reservation(v, &res, io_write(res.io, packed, len, res.pos, e), e);
	range_drop(v->writer, &range);
	return r;
}

int view_write_compressed(
	struct view *v, const void *packed, uint32_t len, uint64_t off, struct err *e)
{
	int r = begin_change(v, e);

	if (r < 0)
		return r;
	assert(v->compressed_max > 0 && off % v->unit == 0);
	r = check_range(v, off, 1, e);
	return end_change(v, r < 0 ? r : write_packed(v, packed, len, off, e), e);
}

/* How much of a range is cleared at a time: up to the end of a unit, where the format has a way of
 * its own to clear those. */
static uint64_t clear_piece(struct view *v, uint64_t off, uint64_t len)
{
	uint64_t start, most;

	v = view_base(v, &start);
	if (!v->write || !v->write->clear)
		return len;
	most = CLEAR_UNITS * v->unit;
	return MIN(len, most - (start + off) % v->unit);
}

int view_clear(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	int r = 0;

	do {
		uint64_t n = clear_piece(v, off, len);

		r = change(v, NULL, n, off, e);
		off += n;
		len -= n;
	} while (r == 0 && len > 0);
	return r;
}

/* The gate is held. */
static int allocate_inside(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	while (len > 0) {
		struct extent x;
		int64_t n = view_map(v, off, len, &x, e);

		if (n == 0 && x.inplace)
			n = io_allocate(x.io, x.pos, x.len, e);
		else if (n == 0)
			n = write_new(v, NULL, x.len, off, e);
		if (n < 0)
			return (int)n;
		/* What was in place has all of it; what was not may be by now. */
		n = x.inplace ? (int64_t)x.len : n;
		off += n;
		len -= n;
	}
	return 0;
}

static int allocate_piece(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct view *base = v;
	int r = begin_change(v, e);

	if (r < 0)
		return r;
	r = aim(&base, len, &off, e);
	return end_change(v, r < 0 ? r : allocate_inside(base, off, len, e), e);
}

int view_allocate(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	int r = 0;

	for (uint64_t n; r == 0 && len > 0; off += n, len -= n) {
		n = MIN(len, ALLOCATE_MAX);
		r = allocate_piece(v, off, n, e);
	}
	return r;
}

int view_flush(struct view *v, struct err *e)
{
	return v->writer ? writer_flush(v->writer, e) : 0;
}

/* What cannot be looked at is taken for something. */
bool view_stores_behind(const struct view *v, uint64_t off)
{
	struct err ignored = ERR_INIT;
	struct extent x;

	for (off = round_up(off, v->unit); off < v->size; off += x.len)
		if (view_map(v, off, v->size - off, &x, &ignored) < 0 || x.inplace ||
			(x.kind != EXTENT_ZERO && x.kind != EXTENT_BELOW))
			return true;
	return false;
}

int view_resize(struct view *v, uint64_t size, struct err *e)
{
	int r = check_writable(v, e);

	if (r < 0 || size == v->size)
		return r;
	if (!v->write || !v->write->resize)
		return err_set(e, EOPNOTSUPP, "its size cannot be changed");
	r = writer_begin_exclusive(v->writer, e);
	return r < 0 ? r : writer_end_exclusive(v->writer, v->write->resize(v, size, e), e);
}
