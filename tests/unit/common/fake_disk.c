/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "fake_disk.h"
#include "unit.h"
#include "view/view.h"

struct fake_disk {
	struct view view;
	uint32_t unit;
	fake_next *next;
	uint64_t broken; /* number of the unit that fails */
};

static int fake_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct fake_disk *d = (const struct fake_disk *)v;
	uint64_t i = off / d->unit, end = (off + len - 1) / d->unit + 1;
	uint64_t next = MIN(d->next(i), end);

	if (next == i && i == d->broken)
		return err_set(e, EIO, "a broken unit");
	if (next == i) {
		x->kind = EXTENT_GENERATED;
		x->unit_id = i;
		x->unit_len = d->unit;
		x->pos = off % d->unit;
		next++;
	} else {
		x->kind = EXTENT_ZERO;
	}
	x->len = (next - i) * d->unit - off % d->unit;
	return 0;
}

static int fake_fill(const struct view *v, const struct extent *x, void *buf, struct err *e)
{
	uint64_t off = x->unit_id * x->unit_len;

	(void)v, (void)e;
	for (uint32_t i = 0; i < x->unit_len; i += 8)
		store_le64((char *)buf + i, UINT64_C(0x0101010101010101) | (off + i) << 8);
	return 0;
}

static void fake_free(struct view *v)
{
	cache_forget(v->cache, v);
	free(v);
}

struct view *fake_disk_new(struct cache *cache, uint64_t size, uint32_t unit, fake_next *next)
{
	static const struct view_ops ops = {.map = fake_map, .fill = fake_fill, .free = fake_free};
	struct fake_disk *d = calloc(1, sizeof *d);

	ck_assert_ptr_nonnull(d);
	d->view = (struct view){.ops = &ops, .size = size, .cache = cache};
	d->unit = unit;
	d->next = next;
	d->broken = UINT64_MAX;
	return &d->view;
}

void fake_disk_break(struct view *v, uint64_t off)
{
	struct fake_disk *d = (struct fake_disk *)v;

	d->broken = off / d->unit;
}
