/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap-directory.c - the directory of persistent bitmaps in memory, and its entries. */
#include "bitmap-directory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "alloc.h"
#include "head.h"
#include "qcow2.h"
#include "refcount.h"

static bool is_alone(const struct qcow2 *q, uint64_t pos, uint64_t len)
{
	return pos != 0 && !qcow2_in_cluster(q, pos) && range_fits(pos, len, q->io->size) &&
	       (!q->alloc || qcow2_refcount_is_one(q->alloc, pos >> q->header.cluster_bits,
				     qcow2_clusters_of(q, pos, len)));
}

static int check_entries(const struct qcow2_bitmap_directory *d, struct err *e)
{
	struct qcow2_bitmap b = {.len = 0};
	uint32_t n = 0;

	while (qcow2_bitmap_next(d, &b)) {
		n++;
		if (b.name_len == 0 || b.name_len > QCOW2_BITMAP_NAME_MAX)
			return err_set(e, EUCLEAN,
				"bitmap %" PRIu32 ": its name has %u bytes, not 1..%d", n - 1,
				b.name_len, QCOW2_BITMAP_NAME_MAX);
		if (b.type == QCOW2_BITMAP_DIRTY &&
			(b.granularity < QCOW2_BITMAP_MIN_GRANULARITY ||
				b.granularity > QCOW2_BITMAP_MAX_GRANULARITY))
			return err_set(e, EUCLEAN,
				"bitmap %" PRIu32 ": granularity 2^%u is outside 2^%u..2^%u", n - 1,
				b.granularity, QCOW2_BITMAP_MIN_GRANULARITY,
				QCOW2_BITMAP_MAX_GRANULARITY);
	}
	if (n != d->n || b.at + b.len != d->len)
		return err_set(e, EUCLEAN,
			"the bitmap directory has %" PRIu32 " entries in %" PRIu64
			" bytes, not %" PRIu32 " in %" PRIu64,
			n, b.at + b.len, d->n, d->len);
	return 0;
}

int qcow2_bitmap_directory_load(
	const struct qcow2 *q, uint64_t more, struct qcow2_bitmap_directory *d, struct err *e)
{
	const struct qcow2_header *h = &q->header;
	int r = 0;

	*d = (struct qcow2_bitmap_directory){.p = NULL};
	if (h->autoclear & QCOW2_BITMAPS) {
		d->n = h->nbitmaps;
		d->len = h->bitmaps_len;
	}
	if (d->n > QCOW2_MAX_BITMAPS || d->len > QCOW2_MAX_BITMAP_DIRECTORY)
		return err_set(e, EUCLEAN,
			"the bitmap directory has more than %u entries or %u bytes",
			QCOW2_MAX_BITMAPS, QCOW2_MAX_BITMAP_DIRECTORY);
	if (d->n > 0 && !is_alone(q, h->bitmaps_pos, MAX(d->len, 1)))
		return err_set(
			e, EUCLEAN, "the bitmap directory cannot be at 0x%" PRIx64, h->bitmaps_pos);
	d->p = calloc(1, d->len + more + 1);
	if (!d->p)
		return err_nomem(e);
	r = meta_read(q->cache, q->io, d->p, d->len, h->bitmaps_pos, e);
	if (r == 0)
		r = check_entries(d, e);
	if (r < 0) {
		free(d->p);
		d->p = NULL;
	}
	return r;
}

bool qcow2_bitmap_next(const struct qcow2_bitmap_directory *d, struct qcow2_bitmap *b)
{
	uint64_t at = b->at + b->len, len;
	const unsigned char *p = d->p + at;

	if (!range_fits(at, QCOW2_BITMAP_FIXED, d->len))
		return false;
	len = round_up(QCOW2_BITMAP_FIXED + load_be16(p + 18) + (uint64_t)load_be32(p + 20), 8);
	if (!range_fits(at, len, d->len))
		return false;
	*b = (struct qcow2_bitmap){
		.at = at,
		.len = len,
		.table_pos = load_be64(p),
		.table_entries = load_be32(p + 8),
		.flags = load_be32(p + 12),
		.type = p[16],
		.granularity = p[17],
		.name_len = load_be16(p + 18),
		.extra_len = load_be32(p + 20),
	};
	b->name = (const char *)p + QCOW2_BITMAP_FIXED + b->extra_len;
	return true;
}

uint64_t qcow2_bitmap_bits(unsigned granularity, uint64_t size)
{
	return div_round_up(size, UINT64_C(1) << granularity);
}

uint64_t qcow2_bitmap_table_entries(const struct qcow2 *q, unsigned granularity, uint64_t size)
{
	return div_round_up(div_round_up(qcow2_bitmap_bits(granularity, size), 8), q->cluster_size);
}

static bool is_known(const struct qcow2_bitmap *b, struct err *e)
{
	if (b->type != QCOW2_BITMAP_DIRTY)
		err_set(e, ENOTSUP, "unknown type %u", b->type);
	else if (b->flags & ~QCOW2_BITMAP_FLAGS)
		err_set(e, ENOTSUP, "unknown flags 0x%" PRIx32, b->flags & ~QCOW2_BITMAP_FLAGS);
	else if (b->extra_len > 0 && !(b->flags & QCOW2_BITMAP_EXTRA_COMPATIBLE))
		err_set(e, ENOTSUP, "%" PRIu32 " bytes of unknown extra data", b->extra_len);
	else
		return true;
	return false;
}

bool qcow2_bitmap_is_usable(const struct qcow2 *q, const struct qcow2_bitmap *b, struct err *e)
{
	uint64_t need, len;

	if (!is_known(b, e))
		return false;
	need = qcow2_bitmap_table_entries(q, b->granularity, q->header.size);
	len = (uint64_t)b->table_entries * QCOW2_ENTRY_SIZE;
	if (b->table_entries != need) {
		err_set(e, EUCLEAN, "its table has %" PRIu32 " entries, not %" PRIu64,
			b->table_entries, need);
		return false;
	}
	if (len > 0 && !is_alone(q, b->table_pos, len)) {
		err_set(e, EUCLEAN, "its table cannot be at 0x%" PRIx64, b->table_pos);
		return false;
	}
	return true;
}

bool qcow2_bitmap_find(
	const struct qcow2_bitmap_directory *d, const char *name, struct qcow2_bitmap *b)
{
	*b = (struct qcow2_bitmap){.len = 0};
	while (qcow2_bitmap_next(d, b))
		if (b->name_len == strlen(name) && memcmp(b->name, name, b->name_len) == 0)
			return true;
	return false;
}

static void encode(const struct qcow2_bitmap *b, unsigned char *p)
{
	store_be64(p, b->table_pos);
	store_be32(p + 8, b->table_entries);
	store_be32(p + 12, b->flags);
}

void qcow2_bitmap_directory_set(struct qcow2_bitmap_directory *d, const struct qcow2_bitmap *b)
{
	encode(b, d->p + b->at);
}

void qcow2_bitmap_directory_append(struct qcow2_bitmap_directory *d, const struct qcow2_bitmap *b)
{
	unsigned char *p = d->p + d->len;

	encode(b, p);
	p[16] = QCOW2_BITMAP_DIRTY;
	p[17] = b->granularity;
	store_be16(p + 18, b->name_len);
	store_be32(p + 20, 0);
	memcpy(p + QCOW2_BITMAP_FIXED, b->name, b->name_len);
	d->len += round_up(QCOW2_BITMAP_FIXED + b->name_len, 8);
	d->n++;
}

void qcow2_bitmap_directory_remove(struct qcow2_bitmap_directory *d, const struct qcow2_bitmap *b)
{
	memmove(d->p + b->at, d->p + b->at + b->len, d->len - b->at - b->len);
	d->len -= b->len;
	d->n--;
}

int qcow2_bitmap_directory_store(
	struct qcow2 *q, const struct qcow2_bitmap_directory *d, struct err *e)
{
	struct qcow2_header old = q->header, h = old;
	struct qcow2_clusters c = {0};
	int r = qcow2_alloc_prepare(q->alloc, 2, e);

	if (r == 0 && d->n > 0)
		r = qcow2_alloc_take(
			q->alloc, div_round_up(d->len, q->cluster_size), true, &c, NULL, e);
	if (r < 0)
		return r;
	h.nbitmaps = d->n;
	h.bitmaps_len = d->n > 0 ? d->len : 0;
	h.bitmaps_pos = c.first << h.cluster_bits;
	h.autoclear &= ~(uint64_t)QCOW2_BITMAPS;
	h.autoclear |= d->n > 0 ? QCOW2_BITMAPS : 0;
	if (d->n > 0)
		r = meta_write(q->io, d->p, d->len, h.bitmaps_pos, ORDER_TABLES, e);
	if (r == 0)
		r = qcow2_head_write(q, &h, e);
	if (r < 0)
		qcow2_alloc_drop(q->alloc, c.first, c.n);
	else if (old.autoclear & QCOW2_BITMAPS && old.nbitmaps > 0)
		qcow2_alloc_drop(q->alloc, old.bitmaps_pos >> h.cluster_bits,
			qcow2_clusters_of(q, old.bitmaps_pos, old.bitmaps_len));
	return r;
}

int qcow2_bitmap_put_entry(const struct qcow2 *q, const struct qcow2_bitmap *b, struct err *e)
{
	unsigned char raw[16];

	encode(b, raw);
	return meta_write(q->io, raw, sizeof raw, q->header.bitmaps_pos + b->at, ORDER_TABLES, e);
}
