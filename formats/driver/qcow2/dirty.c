/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dirty.c - persistent bitmaps kept up to date while the disk is written to. */
#include "dirty.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "bitmap-bits.h"
#include "bitmap-directory.h"
#include "qcow2.h"

struct qcow2_dirty_bitmap {
	struct qcow2_bitmap entry; /* without a name */
	atomic_uchar *added;       /* the bits that were set; NULL: it is disabled */
	uint64_t bytes;
};

/* Beginning. */

static uint64_t bytes_of(const struct qcow2 *q, const struct qcow2_bitmap *b)
{
	return div_round_up(qcow2_bitmap_bits(b->granularity, q->header.size), 8);
}

static int make_room(struct qcow2 *q, struct qcow2_dirty_bitmap *b, struct err *e)
{
	struct qcow2_dirty *d = &q->dirty;

	b->bytes = bytes_of(q, &b->entry);
	if (b->bytes > QCOW2_MAX_BITMAP_MEMORY - d->memory)
		return err_set(e, EFBIG,
			"its %" PRIu64 " bytes, and %" PRIu64
			" of others, are more than %u, the most that are kept in memory",
			b->bytes, d->memory, QCOW2_MAX_BITMAP_MEMORY);
	b->added = calloc(1, b->bytes + 1);
	if (!b->added)
		return err_nomem(e);
	d->memory += b->bytes;
	return 0;
}

static void free_room(struct qcow2_dirty *d, struct qcow2_dirty_bitmap *b)
{
	if (b->added)
		d->memory -= b->bytes;
	free(b->added);
	b->added = NULL;
}

static void warn(const struct qcow2 *q, const struct qcow2_bitmap *b, const struct err *why)
{
	if (q->dirty.img)
		image_warn(q->dirty.img,
			"bitmap '%.*s' cannot be kept up to date and stays marked as in use: %s",
			(int)b->name_len, b->name, why->text);
}

/* Marks a bitmap, and lists it unless it cannot be kept up to date. */
static int begin_one(struct qcow2 *q, struct qcow2_bitmap b, struct err *e)
{
	struct qcow2_dirty *d = &q->dirty;
	struct qcow2_dirty_bitmap *new = &d->list[d->n];
	struct err why = ERR_INIT;
	bool usable = qcow2_bitmap_is_usable(q, &b, &why);

	*new = (struct qcow2_dirty_bitmap){.entry = b};
	new->entry.name = NULL;
	if (usable && b.flags & QCOW2_BITMAP_AUTO)
		usable = make_room(q, new, &why) == 0;
	if (!usable)
		warn(q, &b, &why);
	b.flags |= QCOW2_BITMAP_IN_USE;
	new->entry.flags = b.flags;
	d->n += usable;
	return qcow2_bitmap_put_entry(q, &b, e);
}

/* A disabled bitmap changes only with the size of the disk. */
static bool concerns(const struct qcow2_dirty *d, const struct qcow2_bitmap *b)
{
	bool known = b->type == QCOW2_BITMAP_DIRTY && !(b->flags & ~QCOW2_BITMAP_FLAGS);

	if (b->flags & QCOW2_BITMAP_IN_USE)
		return false;
	return d->resizing || !known || b->flags & QCOW2_BITMAP_AUTO;
}

static int begin_all(struct qcow2 *q, const struct qcow2_bitmap_directory *dir, struct err *e)
{
	struct qcow2_dirty *d = &q->dirty;
	struct qcow2_bitmap b = {.len = 0};
	struct qcow2_dirty_bitmap *list = realloc(d->list, (dir->n + 1) * sizeof *list);
	int r = 0;

	if (!list)
		return err_nomem(e);
	d->list = list;
	while (r == 0 && qcow2_bitmap_next(dir, &b))
		if (concerns(d, &b))
			r = begin_one(q, b, e);
	return r == 0 ? writer_write_back(q->alloc->writer, e) : r;
}

static int begin(struct qcow2 *q, struct err *e)
{
	struct qcow2_bitmap_directory dir;
	int r = 0;

	if (q->header.autoclear & QCOW2_BITMAPS && q->header.nbitmaps > 0) {
		r = qcow2_bitmap_directory_load(q, 0, &dir, e);
		if (r == 0)
			r = begin_all(q, &dir, e);
		free(dir.p);
	}
	if (r == 0)
		q->dirty.begun = true;
	return r;
}

int qcow2_dirty_begin(struct qcow2 *q, struct err *e)
{
	return q->dirty.begun ? 0 : begin(q, e);
}

int qcow2_dirty_begin_resize(struct qcow2 *q, struct err *e)
{
	if (q->dirty.resizing)
		return 0;
	q->dirty.resizing = true;
	return begin(q, e);
}

/* Setting bits. */

static void set_bits(struct qcow2_dirty_bitmap *b, uint64_t first, uint64_t end)
{
	for (uint64_t i = first / 8, last = (end - 1) / 8; i <= last; i++) {
		unsigned mask = 0xff;

		if (i == first / 8)
			mask &= 0xffu << first % 8;
		if (i == last)
			mask &= 0xffu >> (7 - (end - 1) % 8);
		if ((atomic_load_explicit(&b->added[i], memory_order_relaxed) & mask) != mask)
			atomic_fetch_or(&b->added[i], (unsigned char)mask);
	}
}

void qcow2_dirty_set(struct qcow2 *q, uint64_t off, uint64_t len)
{
	struct qcow2_dirty *d = &q->dirty;

	if (len == 0 || off >= q->header.size)
		return;
	len = MIN(len, q->header.size - off);
	for (size_t i = 0; i < d->n; i++) {
		unsigned granularity = d->list[i].entry.granularity;

		if (d->list[i].added)
			set_bits(&d->list[i], off >> granularity,
				((off + len - 1) >> granularity) + 1);
	}
}

int qcow2_dirty_changing(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct qcow2 *q = ((struct qcow2_view *)v)->q;
	int r = 0;

	if (!q->dirty.begun) {
		pthread_mutex_lock(&v->writer->meta);
		r = qcow2_dirty_begin(q, e);
		pthread_mutex_unlock(&v->writer->meta);
	}
	if (r == 0 && q->dirty.n > 0)
		qcow2_dirty_set(q, off, len);
	return r;
}

/* Resizing. */

/* Changes the size of the bits in memory. */
static int resize_added(struct qcow2 *q, struct qcow2_dirty_bitmap *b, struct err *e)
{
	struct qcow2_dirty_bitmap new = {.entry = b->entry};
	uint64_t bits = qcow2_bitmap_bits(b->entry.granularity, q->header.size), n;
	int r = make_room(q, &new, e);

	if (r < 0)
		return r;
	n = MIN(b->bytes, new.bytes);
	for (uint64_t i = 0; i < n; i++)
		if (b->added[i])
			new.added[i] = b->added[i];
	if (bits % 8 && n == new.bytes)
		new.added[n - 1] &= 0xffu >> (8 - bits % 8);
	free_room(&q->dirty, b);
	*b = new;
	return 0;
}

/* Takes a bitmap that could not be changed from the list: it stays marked. */
static void give_up(struct qcow2 *q, size_t i, const struct err *why)
{
	struct qcow2_dirty *d = &q->dirty;
	struct qcow2_bitmap_directory dir;
	struct qcow2_bitmap b = {.len = 0};
	struct err ignored = ERR_INIT;

	if (qcow2_bitmap_directory_load(q, 0, &dir, &ignored) == 0)
		while (qcow2_bitmap_next(&dir, &b))
			if (b.at == d->list[i].entry.at)
				warn(q, &b, why);
	free(dir.p);
	free_room(d, &d->list[i]);
	d->list[i] = d->list[--d->n];
}

void qcow2_dirty_resize(struct qcow2 *q, uint64_t old)
{
	struct qcow2_dirty *d = &q->dirty;

	for (size_t i = 0; i < d->n;) {
		struct qcow2_dirty_bitmap *b = &d->list[i];
		struct err why = ERR_INIT;
		int r = qcow2_bits_resize(q, &b->entry, old, &why);

		if (r == 0)
			r = qcow2_bitmap_put_entry(q, &b->entry, &why);
		if (r == 0 && b->added)
			r = resize_added(q, b, &why);
		if (r < 0)
			give_up(q, i, &why);
		else
			i++;
	}
}

/* The end. */

int qcow2_dirty_finish(struct qcow2 *q, struct err *e)
{
	struct qcow2_dirty *d = &q->dirty;
	int r;

	for (size_t i = 0; i < d->n;) {
		struct qcow2_dirty_bitmap *b = &d->list[i];
		struct err why = ERR_INIT;

		if (b->added && qcow2_bits_add(q, &b->entry, b->added, b->bytes, &why) < 0)
			give_up(q, i, &why);
		else
			i++;
	}
	r = writer_write_back(q->alloc->writer, e);
	for (size_t i = 0; r == 0 && i < d->n; i++) {
		d->list[i].entry.flags &= ~QCOW2_BITMAP_IN_USE;
		r = qcow2_bitmap_put_entry(q, &d->list[i].entry, e);
	}
	if (r == 0)
		qcow2_dirty_free(q);
	return r;
}

void qcow2_dirty_free(struct qcow2 *q)
{
	struct qcow2_dirty *d = &q->dirty;

	for (size_t i = 0; i < d->n; i++)
		free_room(d, &d->list[i]);
	free(d->list);
	d->list = NULL;
	d->n = 0;
	d->begun = d->resizing = false;
}
