/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* writeback.c - a list of changed pages; each is kept in the cache by its note until written. */
#include "writeback.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/bytes.h"
#include "meta.h"
#include "util/err.h"
#include "io.h"

#define SECTORS (META_PAGE / WRITE_SECTOR)

/* The note on a page. */
struct dirty {
	struct io *io;
	uint64_t pos;
	unsigned char order[SECTORS]; /* 0: nothing to write */
};

struct writeback {
	struct cache *cache;
	struct io **files;
	size_t nfiles;
	atomic_bool stopped;      /* one of the files is altered, or: */
	const struct io *overlap; /* where a sector waits for two orders; NULL: nowhere */
	uint64_t overlap_pos;
	struct dirty **pages;
	_Atomic size_t npages; /* read without the meta lock, too */
};

struct writeback *writeback_new(struct cache *c, struct err *e)
{
	struct writeback *w = calloc(1, sizeof *w);

	if (!w) {
		err_nomem(e);
		return NULL;
	}
	w->cache = c;
	return w;
}

int writeback_add(struct writeback *w, struct io *io, struct err *e)
{
	struct io **files = reallocarray(w->files, w->nfiles + 1, sizeof files[0]);

	if (!files)
		return err_nomem(e);
	w->files = files;
	w->files[w->nfiles++] = io;
	io->writeback = w;
	io->any_altered = &w->stopped;
	return 0;
}

size_t writeback_pending(const struct writeback *w)
{
	return w->npages;
}

bool writeback_is_stopped(const struct writeback *w)
{
	return w->stopped;
}

static int overlap_error(const struct writeback *w, struct err *e)
{
	return err_set(e, EUCLEAN, "%s: two structures of its metadata overlap at %" PRIu64,
		w->overlap->name, w->overlap_pos);
}

int writeback_check(struct writeback *w, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < w->nfiles && r == 0; i++)
		r = io_check(w->files[i], e);
	return r == 0 && w->overlap ? overlap_error(w, e) : r;
}

static void drop_pages(struct writeback *w)
{
	for (size_t i = 0; i < w->npages; i++) {
		meta_release(w->cache, w->pages[i]->io, w->pages[i]->pos);
		free(w->pages[i]);
	}
	free(w->pages);
	w->pages = NULL;
	w->npages = 0;
}

void writeback_free(struct writeback *w)
{
	if (!w)
		return;
	drop_pages(w);
	for (size_t i = 0; i < w->nfiles; i++) {
		w->files[i]->writeback = NULL;
		w->files[i]->any_altered = NULL;
	}
	free(w->files);
	free(w);
}

/* Changing. */

/* A change inside one page. */
struct change {
	struct writeback *w;
	const char *buf; /* NULL: zeroes */
	size_t len;
	uint64_t pos;
	enum write_order order;
	struct dirty *note; /* for a page without one; NULL once it is used */
	bool overlaps;
};

static void apply(void *arg, unsigned char *data, void **note)
{
	struct change *c = arg;
	size_t skip = c->pos % META_PAGE;
	size_t first = skip / WRITE_SECTOR, end = div_round_up(skip + c->len, WRITE_SECTOR);
	struct dirty *d = *note;

	for (size_t i = first; d && i < end; i++)
		c->overlaps |= d->order[i] != 0 && d->order[i] != c->order;
	if (c->overlaps)
		return;
	if (c->buf)
		memcpy(data + skip, c->buf, c->len);
	else
		memset(data + skip, 0, c->len);
	if (!d) {
		*note = d = c->note;
		c->w->pages[c->w->npages++] = d;
		c->note = NULL;
	}
	memset(d->order + first, (int)c->order, end - first);
}

static int change_page(struct io *io, struct change *c, struct err *e)
{
	struct writeback *w = c->w;
	struct dirty **pages = array_grow(w->pages, w->npages, sizeof pages[0]);
	uint64_t page = c->pos - c->pos % META_PAGE;
	int r;

	if (!pages)
		return err_nomem(e);
	w->pages = pages;
	/* A page has space in its file before it waits: a full host must not prevent a flush. */
	r = meta_has_note(w->cache, io, page) ? 0 : io_reserve(io, page, META_PAGE, e);
	if (r < 0)
		return r;
	c->note = calloc(1, sizeof *c->note);
	if (!c->note)
		return err_nomem(e);
	c->note->io = io;
	c->note->pos = page;
	r = meta_modify(w->cache, io, page, apply, c, e);
	free(c->note);
	if (r < 0 || !c->overlaps)
		return r;
	w->overlap = io;
	w->overlap_pos = c->pos;
	w->stopped = true;
	return overlap_error(w, e);
}

int meta_write(struct io *io, const void *buf, size_t len, uint64_t pos, enum write_order order,
	struct err *e)
{
	struct change c = {.w = io->writeback, .buf = buf, .pos = pos, .order = order};
	int r = 0;

	assert(io->writeback);
	for (; r == 0 && len > 0; len -= c.len) {
		c.len = MIN(len, META_PAGE - c.pos % META_PAGE);
		r = change_page(io, &c, e);
		c.pos += c.len;
		c.buf = c.buf ? c.buf + c.len : NULL;
	}
	return r;
}

int meta_copy(struct cache *c, struct io *io, uint64_t from, size_t len, uint64_t pos,
	enum write_order order, struct err *e)
{
	unsigned char buf[META_PAGE];
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		n = MIN(sizeof buf, len - at);
		r = meta_read(c, io, buf, n, from + at, e);
		if (r == 0)
			r = meta_write(io, buf, n, pos + at, order, e);
	}
	return r;
}

int meta_zero(struct io *io, size_t len, uint64_t pos, enum write_order order, struct err *e)
{
	return meta_write(io, NULL, len, pos, order, e);
}

int meta_put_bits(struct io *io, uint64_t pos, uint64_t first, uint64_t n, bool value,
	enum bit_order bits, enum write_order order, struct err *e)
{
	unsigned char map[WRITE_SECTOR];
	int r = 0;

	for (uint64_t done; r == 0 && n > 0; first += done, n -= done) {
		size_t bit = first % (sizeof map * 8);
		uint64_t at = pos + first / (sizeof map * 8) * sizeof map;

		done = MIN(n, sizeof map * 8 - bit);
		r = meta_read(io->writeback->cache, io, map, sizeof map, at, e);
		if (r < 0)
			break;
		bitmap_put(map, bit, done, value, bits);
		r = meta_write(io, map, sizeof map, at, order, e);
	}
	return r;
}

/* Writing. */

static int sync_files(struct writeback *w, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->nfiles; i++)
		r = io_sync(w->files[i], e);
	return r;
}

static int page_compare(const void *a, const void *b)
{
	const struct dirty *x = *(struct dirty *const *)a, *y = *(struct dirty *const *)b;

	if (x->io != y->io)
		return (uintptr_t)x->io < (uintptr_t)y->io ? -1 : 1;
	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

/* Runs of sectors of one order. */
static int write_page(
	const struct writeback *w, const struct dirty *d, unsigned order, struct err *e)
{
	struct meta m;
	int r = meta_pin(w->cache, d->io, d->pos, &m, e);

	if (r < 0)
		return r;
	for (unsigned i = 0, n; r == 0 && i < SECTORS; i += n) {
		for (n = 0; i + n < SECTORS && d->order[i + n] == order; n++)
			;
		if (n > 0)
			r = io_write(d->io, m.p + i * WRITE_SECTOR, n * WRITE_SECTOR,
				d->pos + i * WRITE_SECTOR, e);
		else
			n = 1;
	}
	meta_unpin(w->cache, &m);
	return r;
}

static int write_order(struct writeback *w, unsigned order, struct err *e)
{
	bool begun = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->npages; i++) {
		if (!memchr(w->pages[i]->order, (int)order, SECTORS))
			continue;
		/* Earlier orders and data are durable first; counts wait for nothing. */
		if (!begun && order > ORDER_COUNTS)
			r = sync_files(w, e);
		begun = true;
		if (r == 0)
			r = write_page(w, w->pages[i], order, e);
	}
	return r;
}

int writeback_each(struct writeback *w, writeback_each_fn *each, void *arg, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->npages; i++) {
		const struct dirty *d = w->pages[i];
		struct meta m;

		r = meta_pin(w->cache, d->io, d->pos, &m, e);
		if (r < 0)
			break;
		r = each(arg, d->io, d->pos, m.p, e);
		meta_unpin(w->cache, &m);
	}
	return r;
}

int writeback_flush(struct writeback *w, struct err *e)
{
	int r = 0;

	if (w->npages > 0)
		qsort(w->pages, w->npages, sizeof w->pages[0], page_compare);
	for (unsigned order = ORDER_COUNTS; r == 0 && order < ORDERS; order++)
		r = write_order(w, order, e);
	if (r == 0)
		r = sync_files(w, e);
	if (r == 0)
		drop_pages(w);
	return r;
}
