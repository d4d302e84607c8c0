/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "allocmap.h"
#include "io/digest.h"
#include "regions.h"

#define SECTOR 512u

/* Bytes of a table that are generated at a time; one entry, if that is more. */
#define UNIT (64u << 10)

/* The least hole that map reports in a table: there are too many entries to report each. */
#define PAGE 4096u

/* The last piece that begins at or before pos, or NULL. */
static const struct region *find_piece(const struct regions *m, uint64_t pos)
{
	unsigned n = m->npieces;

	while (n > 0 && m->pieces[n - 1].pos > pos)
		n--;
	return n > 0 ? &m->pieces[n - 1] : NULL;
}

/* The first position from skip on where an entry begins that is not zero. */
static uint64_t next_entry(const struct region *p, uint64_t skip)
{
	uint64_t entry = skip / p->width, next = allocmap_all(p->set);

	if (entry < next)
		next = allocmap_next(p->set, entry);
	if (next >= allocmap_all(p->set))
		return p->len;
	return next == entry ? skip : next * p->width;
}

/* The end of the page of the file that skip is in, or of the table. */
static uint64_t page_end(const struct region *p, uint64_t skip)
{
	return MIN(p->len, round_up(p->pos + skip + 1, PAGE) - p->pos);
}

static void map_table(const struct region *p, uint64_t skip, struct extent *x)
{
	uint64_t unit = MAX(UNIT / p->width, 1) * (uint64_t)p->width, start = skip - skip % unit;
	uint64_t end, next;

	x->kind = EXTENT_GENERATED;
	x->unit_id = p->pos + start;
	x->unit_len = MIN(unit, p->len - start);
	x->pos = skip - start;
	x->len = x->unit_len - x->pos;
	if (!p->set)
		return;
	next = next_entry(p, skip);
	end = page_end(p, skip);
	if (next >= end) {
		x->kind = EXTENT_ZERO;
		x->len = (next == p->len ? next : next - (p->pos + next) % PAGE) - skip;
		return;
	}
	/* Pages that follow and have an entry that is not zero. */
	while (end < skip + x->len && next_entry(p, end) < page_end(p, end))
		end = page_end(p, end);
	x->len = MIN(x->len, end - skip);
}

static void map_data(const struct region *p, uint64_t skip, uint64_t len, struct extent *x)
{
	uint64_t k = skip / p->width, i = allocmap_select(p->set, k), run = 1;
	unsigned bits = allocmap_bits(p->set);

	skip %= p->width;
	if (skip < p->head) {
		x->kind = EXTENT_GENERATED;
		x->unit_id = p->pos;
		x->unit_len = p->head;
		x->pos = skip;
		x->len = p->head - skip;
		return;
	}
	if (p->head == 0)
		run = allocmap_run(p->set, i, div_round_up(skip + len, p->width));
	x->kind = EXTENT_BELOW;
	x->pos = (i << bits) + skip - p->head;
	x->len = (run - 1) * p->width + p->width - skip;
}

static int regions_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct regions *m = (const struct regions *)v;
	const struct region *p = find_piece(m, off);

	(void)e;
	if (!p || off - p->pos >= p->len) {
		const struct region *next = p ? p + 1 : m->pieces;

		x->kind = EXTENT_ZERO;
		x->len = (next < m->pieces + m->npieces ? next->pos : m->view.size) - off;
	} else if (p->data) {
		map_data(p, off - p->pos, len, x);
	} else {
		map_table(p, off - p->pos, x);
	}
	return 0;
}

static int regions_fill(const struct view *v, const struct extent *x, void *buf, struct err *e)
{
	const struct regions *m = (const struct regions *)v;
	const struct region *p = find_piece(m, x->unit_id);

	memset(buf, 0, x->unit_len);
	if (p->data)
		return p->fill(m, 0, 1, buf, e);
	return p->fill(m, (x->unit_id - p->pos) / p->width, x->unit_len / p->width, buf, e);
}

static uint64_t table_stored(const struct region *p)
{
	uint64_t sum = 0;
	struct extent x;

	if (!p->set)
		return p->len;
	for (uint64_t skip = 0; skip < p->len; skip += x.len) {
		map_table(p, skip, &x);
		if (x.kind == EXTENT_GENERATED)
			sum += x.len;
	}
	return sum;
}

/* The bytes that the disk stores lie in stored granules, all of which the file has.  (For a disk
 * with very many extents the result may be too high.) */
uint64_t regions_stored(const struct view *file, uint64_t disk_stored)
{
	const struct regions *m = (const struct regions *)file;
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->npieces; i++) {
		const struct region *p = &m->pieces[i];
		uint64_t heads = p->len / p->width * p->head;

		if (p->data)
			sum += heads + MIN(disk_stored, p->len - heads);
		else
			sum += table_stored(p);
	}
	return sum;
}

static void regions_free(struct view *v)
{
	struct regions *m = (struct regions *)v;

	cache_forget(v->cache, v);
	allocmap_free(m->coarse);
	free(m);
}

static const struct view_ops regions_ops = {
	.map = regions_map, .fill = regions_fill, .free = regions_free};

void *regions_new(size_t bytes, const struct export_source *s, unsigned bits, struct err *e)
{
	struct regions *m = calloc(1, bytes);

	if (!m) {
		err_nomem(e);
		return NULL;
	}
	m->view = (struct view){.ops = &regions_ops,
		.below = s->disk,
		.cache = s->cache,
		.writer = s->disk->writer};
	m->source = *s;
	m->stored = s->stored;
	if (bits == 0)
		return m;
	m->coarse = allocmap_coarsen(s->stored, bits, e);
	if (m->coarse)
		return m;
	view_free(&m->view);
	return NULL;
}

static uint64_t add_piece(struct regions *m, struct region p)
{
	assert(m->npieces < EXPORT_REGIONS_MAX);
	if (p.len > 0)
		m->pieces[m->npieces++] = p;
	return p.pos + p.len;
}

uint64_t regions_add_sparse_table(struct regions *m, uint64_t pos, uint64_t entries, uint32_t width,
	region_fill *fill, const struct allocmap *set)
{
	return add_piece(m, (struct region){.pos = pos,
				    .len = entries * width,
				    .width = width,
				    .fill = fill,
				    .set = set});
}

uint64_t regions_add_table(
	struct regions *m, uint64_t pos, uint64_t entries, uint32_t width, region_fill *fill)
{
	return regions_add_sparse_table(m, pos, entries, width, fill, NULL);
}

uint64_t regions_add_data(struct regions *m, uint64_t pos, const struct allocmap *set,
	uint32_t head, region_fill *fill)
{
	uint32_t width = head + (1u << allocmap_bits(set));

	return add_piece(m, (struct region){.pos = pos,
				    .len = allocmap_stored(set) * width,
				    .width = width,
				    .head = head,
				    .fill = fill,
				    .set = set,
				    .data = true});
}

int regions_end(struct regions *m, uint64_t size, const struct export_format *l, struct view **file,
	struct err *e)
{
	if (size > l->max_file) {
		view_free(&m->view);
		return err_set(e, EFBIG,
			"the file would have %" PRIu64 " bytes, at most %" PRIu64 " are possible",
			size, l->max_file);
	}
	m->view.size = size;
	*file = &m->view;
	return 0;
}

uint64_t regions_disk_size(const struct regions *m)
{
	return round_up(m->source.disk->size, SECTOR);
}

void regions_id(const struct regions *m, const char *use, unsigned char id[GUID_LEN])
{
	unsigned char text[EXPORT_ID + 64], digest[HASH_MAX];
	size_t len = strlen(use);

	assert(len <= sizeof text - EXPORT_ID);
	memcpy(text, m->source.id, EXPORT_ID);
	memcpy(text + EXPORT_ID, use, len);
	digest_compute(digest_find("sha256"), text, EXPORT_ID + len, digest);
	memcpy(id, digest, GUID_LEN);
	id[6] = (id[6] & 0x0f) | 0x80;
	id[7] = (id[7] & 0x0f) | 0x80;
	id[8] = (id[8] & 0x3f) | 0x80;
}
