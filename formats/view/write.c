/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - writes through a view: in place where the map allows it, into reserved space elsewhere.
 *
 * Each extent of a write is looked up once.  An allocating write holds its units (writer.h, range)
 * from the reservation to the commit; the extent found before that is still valid unless another
 * writer has allocated since, which the count of released ranges shows.  Only then it is looked up
 * again.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view.h"
#include "write-inside.h"
#include "writer.h"

#define COPY_MAX (1u << 20) /* bytes copied from below at a time */

/* Units cleared before the next check whether a flush is due: their entries are some MiB of
 * changed metadata, and the locks are held meanwhile. */
#define CLEAR_UNITS (UINT64_C(256) << 10)

/* Bytes allocated before the next such check. */
#define ALLOCATE_MAX (UINT64_C(64) << 20)

static const unsigned char zeroes[64u << 10];

/* The bytes to write: in memory, in a file, or, with neither, those that the view shows in that
 * range already, which gives the range space on the host and changes no byte. */
struct source {
	const char *buf;
	struct io *io;
	uint64_t pos;
};

static int put(const struct source *from, uint64_t len, struct io *io, uint64_t pos, struct err *e)
{
	if (from->buf)
		return io_write(io, from->buf, len, pos, e);
	if (from->io)
		return io_copy(io, pos, from->io, from->pos, len, e);
	return io_allocate(io, pos, len, e);
}

/* Reads some bytes of a file and encrypts them in place; x->len becomes their number. */
static int put_copy_encrypted(const struct source *from, struct extent *x, struct err *e)
{
	void *buf;
	int r;

	x->len = MIN(x->len, COPY_MAX);
	buf = malloc(x->len);
	r = buf ? io_read(from->io, buf, x->len, from->pos, e) : err_nomem(e);
	if (r == 0)
		r = crypt_write(x->crypt, x->io, buf, x->len, x->pos, x->sector, e);
	free(buf);
	return r;
}

/* Writes some of the x->len bytes that are in place, and sets x->len to how many. */
static int put_inplace(const struct source *from, struct extent *x, struct err *e)
{
	if (x->kind != EXTENT_CRYPT || (!from->buf && !from->io))
		return put(from, x->len, x->io, x->pos, e);
	if (from->io)
		return put_copy_encrypted(from, x, e);
	return crypt_write(x->crypt, x->io, from->buf, x->len, x->pos, x->sector, e);
}

/* Copies [start, end) of what the view shows into the reserved space. */
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

/* Fills reserved space: len bytes of the source, around them what the view shows. */
static int fill(const struct view *v, const struct reservation *res, const struct source *from,
	uint64_t off, uint64_t len, struct err *e)
{
	uint64_t end = res->off + res->len;
	int r;

	if (!from->buf && !from->io) {
		r = io_allocate(res->io, res->pos, res->len, e);
		return r == 0 ? copy_up(v, res, res->off, end, e) : r;
	}
	r = copy_up(v, res, res->off, off, e);
	if (r == 0)
		r = put(from, len, res->io, res->pos + (off - res->off), e);
	return r == 0 ? copy_up(v, res, off + len, end, e) : r;
}

/* Writes into new space: some of the x->len bytes at off, which are not in place.  x was mapped
 * after released was read from the writer.  Sets x->len to what was written; 0: the range is in
 * place by now. */
static int write_allocate(struct view *v, const struct source *from, uint64_t off, struct extent *x,
	unsigned released, struct err *e)
{
	struct range range = range_of_units(v, off, x->len);
	struct reservation res;
	int r = 0;

	if (!range_take(v->writer, &range, released))
		r = view_map(v, off, x->len, x, e);
	if (r == 0 && x->inplace) {
		x->len = 0;
	} else if (r == 0) {
		pthread_mutex_lock(&v->writer->meta);
		r = v->write->reserve(v, off, x->len, &res, e);
		pthread_mutex_unlock(&v->writer->meta);
		if (r == 0) {
			/* Drivers compute a reservation from numbers in the image. */
			if (off < res.off || off - res.off >= res.len ||
				!range_fits(res.off, res.len, v->size))
				r = err_set(e, EUCLEAN, "no space was found for %" PRIu64, off);
			x->len = MIN(x->len, res.off + res.len - off);
			if (r == 0)
				r = fill(v, &res, from, off, x->len, e);
			r = reservation_end(v, &res, r, e);
		}
	}
	range_drop(v->writer, &range);
	return r;
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

/* Announces a change of bytes to the driver of a view, which may keep a record of changes. */
static int announce(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	return v->write->changing ? v->write->changing(v, off, len, e) : 0;
}

/* Writes some of the x->len bytes at off, which x maps, and sets x->len to how many; 0: look
 * again. */
static int write_extent(struct view *v, const struct source *from, uint64_t off, struct extent *x,
	unsigned released, struct err *e)
{
	bool zero = false;
	int r;

	if (x->inplace)
		return put_inplace(from, x, e);
	if (v->writer->detect_zeroes && from->buf) {
		x->len = run_of(v, from->buf, x->len, off, &zero);
		if (zero) {
			struct extent shown = *x;

			r = view_follow(&shown, e);
			if (r < 0)
				return r;
			x->len = shown.len;
			if (shown.kind == EXTENT_ZERO)
				return 0;
		}
	}
	return write_allocate(v, from, off, x, released, e);
}

/* request_lock is held, and check_target has passed. */
static int write_range(
	struct view *v, struct source from, uint64_t len, uint64_t off, struct err *e)
{
	bool changes = from.buf || from.io;
	struct extent x;
	int r = v->through || !changes ? 0 : announce(v, off, len, e);

	for (; r == 0 && len > 0; off += x.len, len -= x.len) {
		unsigned released = v->writer->ranges_released;

		r = view_map(v, off, len, &x, e);

		if (r == 0 && v->through)
			r = write_range(x.below, from, x.len, x.pos, e);
		else if (r == 0)
			r = write_extent(v, &from, off, &x, released, e);
		from.buf = r == 0 && from.buf ? from.buf + x.len : NULL;
		from.pos += x.len;
	}
	return r;
}

/* Makes the beginning of a range read as zeroes by writing them; *len becomes its length.  Holes
 * are left as they are. */
static int overwrite(struct view *v, uint64_t off, uint64_t *len, struct err *e)
{
	unsigned released = v->writer->ranges_released;
	struct extent x, shown;
	int r = view_map(v, off, *len, &x, e);

	if (r == 0 && x.inplace && x.kind == EXTENT_FILE) {
		*len = x.len;
		return io_zero(x.io, x.pos, x.len, e);
	}
	if (r == 0 && x.inplace && x.kind == EXTENT_CRYPT) {
		*len = MIN(x.len, sizeof zeroes);
		return crypt_write(x.crypt, x.io, zeroes, *len, x.pos, x.sector, e);
	}
	shown = x;
	if (r == 0)
		r = view_follow(&shown, e);
	if (r < 0)
		return r;
	*len = shown.len;
	if (shown.kind == EXTENT_ZERO)
		return 0;
	x.len = MIN(shown.len, sizeof zeroes);
	r = write_allocate(v, &(struct source){.buf = (const char *)zeroes}, off, &x, released, e);
	*len = x.len;
	return r;
}

/* Clears at most *len bytes at off; *len becomes their number. */
static int clear(struct view *v, uint64_t off, uint64_t *len, struct err *e)
{
	uint64_t skip = off % v->unit;
	bool is_whole = skip == 0 && (*len >= v->unit || off + *len == v->size);
	struct range range;
	int r = -EOPNOTSUPP;

	if (!v->write->clear)
		return overwrite(v, off, len, e);
	if (!is_whole)
		*len = MIN(*len, v->unit - skip);
	else if (off + *len != v->size)
		*len -= *len % v->unit;
	if (is_whole) {
		range = range_of_units(v, off, *len);
		range_take(v->writer, &range, 0);
		pthread_mutex_lock(&v->writer->meta);
		r = v->write->clear(v, off, *len, e);
		pthread_mutex_unlock(&v->writer->meta);
		range_drop(v->writer, &range);
	}
	return r == -EOPNOTSUPP ? overwrite(v, off, len, e) : r;
}

/* As write_range. */
static int write_zeroes(struct view *v, uint64_t len, uint64_t off, struct err *e)
{
	struct extent x;
	int r = v->through ? 0 : announce(v, off, len, e);

	for (uint64_t n; r == 0 && len > 0; off += n, len -= n) {
		n = len;
		if (!v->through) {
			r = clear(v, off, &n, e);
			continue;
		}
		r = view_map(v, off, len, &x, e);
		n = x.len;
		if (r == 0)
			r = write_zeroes(x.below, n, x.pos, e);
	}
	return r;
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

/* Can all of the range be written, in the views below, too?  request_lock is held. */
static int check_target(const struct view *v, uint64_t len, uint64_t off, struct err *e)
{
	struct extent x;
	/* A partition stays as long as it was when its disk became shorter. */
	int r = check_range(v, off, len, e);

	for (; r == 0 && v->through && len > 0; off += x.len, len -= x.len) {
		r = view_map(v, off, len, &x, e);
		if (r == 0)
			r = x.kind == EXTENT_BELOW
				    ? check_target(x.below, x.len, x.pos, e)
				    : err_set(e, EROFS, "this part can only be read");
	}
	if (r < 0 || v->through)
		return r;
	if (!v->write)
		return err_set(e, EROFS, "this state can only be read");
	if (v->write->check)
		return v->write->check(v, off, len, e);
	return v->compressed_only
		       ? err_set(e, EROFS, "it is only written compressed, by whole units")
		       : 0;
}

static int begin_writing(const struct view *v, struct err *e)
{
	int r = check_writable(v, e);

	return r == 0 ? writer_begin(v->writer, e) : r;
}

static int flush_if_full(struct writer *w, struct err *e)
{
	return writer_is_full(w) ? writer_flush(w, e) : 0;
}

/* Begins a write: after success request_lock is held until end_write. */
static int begin_write(const struct view *v, uint64_t len, uint64_t off, struct err *e)
{
	int r = begin_writing(v, e);

	if (r < 0)
		return r;
	view_enter(v);
	r = check_target(v, len, off, e);
	if (r < 0)
		view_leave(v);
	return r;
}

static int end_write(struct view *v, int r, struct err *e)
{
	view_leave(v);
	return r == 0 ? flush_if_full(v->writer, e) : r;
}

int view_check_inside(const struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	return check_target(v, len, off, e);
}

int view_write_inside(struct view *v, const void *buf, size_t len, uint64_t off, struct err *e)
{
	int r = check_target(v, len, off, e);

	return r < 0 ? r : write_range(v, (struct source){.buf = buf}, len, off, e);
}

int view_allocate_inside(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	int r = check_target(v, len, off, e);

	return r < 0 ? r : write_range(v, (struct source){0}, len, off, e);
}

int view_write(struct view *v, const void *buf, size_t len, uint64_t off, struct err *e)
{
	int r = begin_write(v, len, off, e);

	if (r < 0)
		return r;
	return end_write(v, write_range(v, (struct source){.buf = buf}, len, off, e), e);
}

int view_write_from(
	struct view *v, struct io *io, uint64_t pos, uint64_t len, uint64_t off, struct err *e)
{
	int r = begin_write(v, len, off, e);

	if (r < 0)
		return r;
	return end_write(v, write_range(v, (struct source){.io = io, .pos = pos}, len, off, e), e);
}

/* How much of a range to clear at a time: up to the end of a unit, which the format may clear in
 * its own way; what is overwritten with zeroes may be allocated. */
static uint64_t clear_step(struct view *v, uint64_t off, uint64_t len)
{
	const struct view *base = view_through(v, &off, &len);

	if (!base->write || !base->write->clear)
		return MIN(len, ALLOCATE_MAX);
	return MIN(len, CLEAR_UNITS * base->unit - off % base->unit);
}

int view_clear(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	int r = 0;

	do {
		uint64_t n = clear_step(v, off, len);

		r = begin_write(v, n, off, e);
		if (r == 0)
			r = end_write(v, write_zeroes(v, n, off, e), e);
		off += n;
		len -= n;
	} while (r == 0 && len > 0);
	return r;
}

int view_allocate(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	int r = 0;

	for (uint64_t n; r == 0 && len > 0; off += n, len -= n) {
		n = MIN(len, ALLOCATE_MAX);
		r = begin_write(v, n, off, e);
		if (r == 0)
			r = end_write(v, write_range(v, (struct source){0}, n, off, e), e);
	}
	return r;
}

/* Early replies. */

int view_write_early(struct view *v, const void *buf, size_t len, uint64_t off,
	const struct early_reply *early, struct err *e)
{
	struct writer *w = v->writer;
	struct err late;
	int r = begin_writing(v, e);

	if (r < 0)
		return r;
	writer_begin_early(w);
	r = check_target(v, len, off, e);
	if (r == 0) {
		early->answered(early->arg);
		if (write_range(v, (struct source){.buf = buf}, len, off, &late) < 0) {
			w->late_code = late.code;
			w->late++;
			early->failed(early->arg, &late);
		}
	}
	writer_end_early(w);
	if (r == 0)
		flush_if_full(w, &late); /* the next write or flush reports that it failed */
	return r;
}

void view_await(const struct view *v)
{
	view_enter(v);
	view_leave(v);
}

int view_late_error(const struct view *v, atomic_uint *seen)
{
	struct writer *w = v->writer;
	unsigned n = w ? (unsigned)w->late : 0;

	if (n == 0 || atomic_exchange(seen, n) == n)
		return 0;
	w->late_reported = n;
	return -w->late_code;
}

unsigned view_late_seen(const struct view *v)
{
	return v->writer ? (unsigned)v->writer->late_reported : 0;
}

void view_late_reported(const struct view *v)
{
	v->writer->late_reported = (unsigned)v->writer->late;
}

/* Compressed units. */

ssize_t view_compress(
	const struct view *v, const void *unit, uint64_t off, void *compressed, struct err *e)
{
	return v->write->compress(v, unit, off, compressed, e);
}

int view_write_compressed(
	struct view *v, const void *compressed, uint32_t len, uint64_t off, struct err *e)
{
	struct range range;
	struct reservation res;
	int r = begin_writing(v, e);

	if (r < 0)
		return r;
	assert(v->compressed_max > 0 && off % v->unit == 0);
	view_enter(v);
	r = check_range(v, off, 1, e);
	if (r == 0)
		r = announce(v, off, MIN(v->unit, v->size - off), e);
	if (r < 0)
		return end_write(v, r, e);
	range = range_of_units(v, off, 1);
	range_take(v->writer, &range, 0);
	pthread_mutex_lock(&v->writer->meta);
	r = v->write->reserve_compressed(v, off, len, &res, e);
	pthread_mutex_unlock(&v->writer->meta);
	if (r == 0)
		r = reservation_end(v, &res, io_write(res.io, compressed, len, res.pos, e), e);
	range_drop(v->writer, &range);
	return end_write(v, r, e);
}

int view_flush(struct view *v, struct err *e)
{
	return v->writer ? writer_flush(v->writer, e) : 0;
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
