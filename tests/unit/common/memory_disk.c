/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "memory_disk.h"
#include "unit.h"
#include "view/view.h"

#define SECTOR   512u
#define NSECTORS 8192u

struct memdisk {
	struct view view;
	struct io *io; /* reads data */
	size_t n;
	_Atomic size_t next;    /* after the place that was found last */
	uint64_t lba[NSECTORS]; /* of the n sectors in data, unsorted */
	bool broken[NSECTORS];
	unsigned char data[NSECTORS][SECTOR];
};

/* Returns the place of a sector in data, n if it was not written.  Sectors are mostly asked for in
 * their order. */
static size_t find(struct memdisk *d, uint64_t lba)
{
	size_t i = atomic_load_explicit(&d->next, memory_order_relaxed);

	if (i >= d->n || d->lba[i] != lba)
		for (i = 0; i < d->n && d->lba[i] != lba; i++)
			;
	atomic_store_explicit(&d->next, i + 1, memory_order_relaxed);
	return i;
}

/* Returns the distance from off to the next sector that was written, at most len. */
static uint64_t gap(const struct memdisk *d, uint64_t off, uint64_t len)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->lba[i] * SECTOR > off)
			len = MIN(len, d->lba[i] * SECTOR - off);
	return len;
}

static int memdisk_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	struct memdisk *d = (struct memdisk *)v;
	size_t i = find(d, off / SECTOR);

	if (i == d->n) {
		x->kind = EXTENT_ZERO;
		x->len = gap(d, off, len);
		return 0;
	}
	if (d->broken[i])
		return err_set(e, EIO, "a broken sector");
	x->kind = EXTENT_FILE;
	x->io = d->io;
	x->pos = i * SECTOR + off % SECTOR;
	x->len = SECTOR - off % SECTOR;
	return 0;
}

static void memdisk_free(struct view *v)
{
	io_unref(((struct memdisk *)v)->io);
	free(v);
}

struct view *memdisk_new(uint64_t size)
{
	static const struct view_ops ops = {.map = memdisk_map, .free = memdisk_free};
	struct memdisk *d = calloc(1, sizeof *d);
	struct err e;

	ck_assert_ptr_nonnull(d);
	d->view = (struct view){.ops = &ops, .size = size};
	d->io = io_from_memory(d->data, sizeof d->data, "memdisk", &e);
	ck_assert_ptr_nonnull(d->io);
	return &d->view;
}

static size_t make(struct memdisk *d, uint64_t lba)
{
	size_t i = find(d, lba);

	if (i == d->n) {
		ck_assert_uint_lt(d->n, NSECTORS);
		d->lba[d->n++] = lba;
	}
	return i;
}

void memdisk_put(struct view *v, uint64_t off, const void *data, size_t len)
{
	struct memdisk *d = (struct memdisk *)v;
	const char *p = data;

	while (len > 0) {
		size_t skip = off % SECTOR, n = MIN(len, SECTOR - skip);

		memcpy(d->data[make(d, off / SECTOR)] + skip, p, n);
		p += n;
		off += n;
		len -= n;
	}
}

void memdisk_get(const struct view *v, uint64_t off, void *data, size_t len)
{
	struct err e;

	ck_assert_int_eq(view_read(v, data, len, off, &e), 0);
}

void memdisk_break(struct view *v, uint64_t off)
{
	struct memdisk *d = (struct memdisk *)v;

	d->broken[make(d, off / SECTOR)] = true;
}

void memdisk_resize(struct view *v, uint64_t size)
{
	v->size = size;
}
