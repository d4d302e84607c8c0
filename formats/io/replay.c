/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The changes are kept in order of position and never overlap.  One thread adds them, before any
 * byte is read; afterwards they are only read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io.h"
#include "replay.h"

struct change {
	uint64_t pos, len;
	uint64_t from; /* where the page is in base; 0: zeroes */
	unsigned char head[OVERLAY_PAGE_HEAD], tail[OVERLAY_PAGE_TAIL];
};

struct overlay {
	struct io io;
	struct io *base;
	struct change *changes;
	size_t n, capacity, max;
};

static int compare_to_change(const void *pos, const void *change)
{
	const struct change *c = change;

	return *(const uint64_t *)pos < c->pos + c->len ? -1 : 1;
}

/* The first change that ends after pos. */
static size_t find_change(const struct overlay *o, uint64_t pos)
{
	return array_lower_bound(&pos, o->changes, o->n, sizeof o->changes[0], compare_to_change);
}

/* Reading. */

static int read_page(const struct overlay *o, const struct change *c, unsigned char *page)
{
	ssize_t n = io_read_some(o->base, page, OVERLAY_PAGE, c->from);

	if (n < 0)
		return n;
	if (n != OVERLAY_PAGE)
		return -EIO;
	memcpy(page, c->head, OVERLAY_PAGE_HEAD);
	memcpy(page + OVERLAY_PAGE - OVERLAY_PAGE_TAIL, c->tail, OVERLAY_PAGE_TAIL);
	return 0;
}

/* Reads bytes of the change c, which begins at or before pos. */
static ssize_t read_changed(
	const struct overlay *o, const struct change *c, void *buf, size_t len, uint64_t pos)
{
	unsigned char page[OVERLAY_PAGE];
	int r;

	len = MIN(len, c->pos + c->len - pos);
	if (c->from == 0) {
		memset(buf, 0, len);
		return len;
	}
	r = read_page(o, c, page);
	if (r < 0)
		return r;
	memcpy(buf, page + (pos - c->pos), len);
	return len;
}

/* Reads bytes of the base; zeroes after its end. */
static ssize_t read_base(const struct overlay *o, void *buf, size_t len, uint64_t pos)
{
	ssize_t n;

	if (pos >= o->base->size) {
		memset(buf, 0, len);
		return len;
	}
	len = MIN(len, o->base->size - pos);
	n = io_read_some(o->base, buf, len, pos);
	return n >= 0 && (size_t)n < len ? -EIO : n; /* it was cut */
}

static ssize_t overlay_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	const struct overlay *o = (const struct overlay *)io;
	size_t done = 0, i;
	ssize_t n;

	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	for (i = find_change(o, pos); done < len; done += n) {
		const struct change *c = &o->changes[i];
		char *to = (char *)buf + done;
		uint64_t at = pos + done;

		if (i == o->n)
			n = read_base(o, to, len - done, at);
		else if (at < c->pos)
			n = read_base(o, to, MIN(len - done, c->pos - at), at);
		else
			n = read_changed(o, c, to, len - done, at);
		if (n < 0)
			return n;
		if (i < o->n && at + n == c->pos + c->len)
			i++;
	}
	return done;
}

/* The pages of the changes are somewhere else; they are few. */
static void overlay_fetch(struct io *io, uint64_t pos, uint64_t len)
{
	io_fetch(((struct overlay *)io)->base, pos, len);
}

static struct io *overlay_find_altered(struct io *io)
{
	return io_find_altered(((struct overlay *)io)->base);
}

static void overlay_close(struct io *io)
{
	struct overlay *o = (struct overlay *)io;

	io_unref(o->base);
	free(o->changes);
	free(o);
}

static const struct io_ops overlay_ops = {
	.read = overlay_read,
	.fetch = overlay_fetch,
	.find_altered = overlay_find_altered,
	.close = overlay_close,
};

/* Changes. */

struct io *replay_new(struct io *base, uint32_t max, struct err *e)
{
	struct overlay *o = io_new(sizeof *o, &overlay_ops, base->name, e);

	if (!o)
		return NULL;
	io_stand_for(&o->io, base);
	o->base = io_ref(base);
	o->max = max;
	return &o->io;
}

int replay_grow(struct io *io, uint64_t size, struct err *e)
{
	if (size > LIMIT_DISK_SIZE)
		return err_set(e, EFBIG, "the file would grow to %" PRIu64 " bytes", size);
	io->size = MAX(io->size, size);
	return 0;
}

/* Replaces the changes in the range of c, or the parts of them that lie in it, by c. */
static int add_change(struct io *io, const struct change *c, struct err *e)
{
	struct overlay *o = (struct overlay *)io;
	size_t first = find_change(o, c->pos), last = first, n = 0;
	struct change put[3];
	uint64_t end;
	int r;

	if (c->pos % OVERLAY_PAGE != 0 || c->len % OVERLAY_PAGE != 0 || c->len == 0 ||
		__builtin_add_overflow(c->pos, c->len, &end))
		return err_set(e, EUCLEAN, "%" PRIu64 " bytes at 0x%" PRIx64 " are no whole pages",
			c->len, c->pos);
	r = replay_grow(io, end, e);
	if (r < 0)
		return r;
	if (o->n >= o->max)
		return err_set(e, EFBIG, "more than %zu changes", o->max);
	/* A change that is split becomes two. */
	if (o->n + 2 > o->capacity) {
		size_t capacity = MAX(64, 2 * o->capacity);
		struct change *more = reallocarray(o->changes, capacity, sizeof *more);

		if (!more)
			return err_nomem(e);
		o->changes = more;
		o->capacity = capacity;
	}
	while (last < o->n && o->changes[last].pos < end)
		last++;
	/* Only zeroes can be cut: pages are replaced as a whole. */
	if (last > first && o->changes[first].pos < c->pos) {
		put[n] = o->changes[first];
		put[n++].len = c->pos - o->changes[first].pos;
	}
	put[n++] = *c;
	if (last > first && o->changes[last - 1].pos + o->changes[last - 1].len > end) {
		put[n] = o->changes[last - 1];
		put[n].len = put[n].pos + put[n].len - end;
		put[n++].pos = end;
	}
	memmove(o->changes + first + n, o->changes + last, (o->n - last) * sizeof *c);
	memcpy(o->changes + first, put, n * sizeof *c);
	o->n += n - (last - first);
	return 0;
}

int replay_page(struct io *io, uint64_t pos, uint64_t from, const unsigned char *head,
	const unsigned char *tail, struct err *e)
{
	struct change c = {.pos = pos, .len = OVERLAY_PAGE, .from = from};

	memcpy(c.head, head, sizeof c.head);
	memcpy(c.tail, tail, sizeof c.tail);
	return add_change(io, &c, e);
}

int replay_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	struct change c = {.pos = pos, .len = len};

	return add_change(io, &c, e);
}

bool replay_touches(const struct io *io, uint64_t pos, uint64_t len)
{
	const struct overlay *o = (const struct overlay *)io;
	size_t i = find_change(o, pos);

	return i < o->n && o->changes[i].pos < pos + len;
}

static int apply_change(const struct overlay *o, const struct change *c, struct err *e)
{
	unsigned char page[OVERLAY_PAGE];
	int r;

	if (c->from == 0)
		return io_zero(o->base, c->pos, c->len, e);
	r = read_page(o, c, page);
	if (r < 0)
		return err_set(e, EIO, "%s: reading %u bytes at %" PRIu64 ": %s", o->base->name,
			OVERLAY_PAGE, c->from, strerror(-r));
	return io_write(o->base, page, sizeof page, c->pos, e);
}

int replay_apply(struct io *io, struct err *e)
{
	const struct overlay *o = (const struct overlay *)io;
	int r = io->size > o->base->size ? io_resize(o->base, io->size, e) : 0;

	for (size_t i = 0; r == 0 && i < o->n; i++)
		r = apply_change(o, &o->changes[i], e);
	return r;
}
