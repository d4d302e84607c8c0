/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-bitmaps.c - the directory of the persistent bitmaps: notes that others keep of what
 * changed.
 */
#include <errno.h>
#include <inttypes.h>

#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "io.h"
#include "qcow2-write.h"
#include "qcow2.h"
#include "writeback.h"

#define AT_FLAGS     12
#define DIRTY_BITMAP 1 /* the only type */
#define NAME_MAX_LEN 1023
#define KNOWN_FLAGS  7u
#define IN_USE       1u /* somebody writes to the disk, or did, and the bitmap may lack it */

int qcow2_bitmap_read(const struct qcow2 *q, uint32_t i, uint64_t *at,
	unsigned char raw[QCOW2_BITMAP_FIXED], struct err *e)
{
	const struct qcow2_header *h = &q->header;
	int r;

	if (!range_fits(*at, QCOW2_BITMAP_FIXED, h->bitmaps_len))
		return err_set(
			e, EUCLEAN, "bitmap %" PRIu32 ": passes the end of the directory", i);
	r = meta_read(q->cache, q->io, raw, QCOW2_BITMAP_FIXED, h->bitmaps_pos + *at, e);
	if (r == 0)
		*at += round_up(
			QCOW2_BITMAP_FIXED + load_be16(raw + 18) + (uint64_t)load_be32(raw + 20),
			8);
	return r;
}

/* Nothing but a directory of bitmaps looks like this. */
static bool is_entry(const struct qcow2 *q, const unsigned char *raw)
{
	uint64_t table = load_be64(raw);
	unsigned granularity = raw[17], name = load_be16(raw + 18);

	return table != 0 && table % q->cluster_size == 0 && table < q->io->size &&
	       !(load_be32(raw + AT_FLAGS) & ~KNOWN_FLAGS) && raw[16] == DIRTY_BITMAP &&
	       granularity >= 9 && granularity <= 31 && name > 0 && name <= NAME_MAX_LEN &&
	       load_be32(raw + 20) == 0;
}

/* May the directory be changed: does nobody else have its clusters, and is it one? */
static int check(const struct qcow2 *q, struct err *e)
{
	const struct qcow2_header *h = &q->header;
	uint64_t at = 0, pos = h->bitmaps_pos, len = h->bitmaps_len;
	unsigned char raw[QCOW2_BITMAP_FIXED];
	int r = 0;

	if (pos == 0 || pos % q->cluster_size || len == 0 || !range_fits(pos, len, q->io->size) ||
		!qcow2_counted_once(
			q->alloc, pos >> h->cluster_bits, qcow2_clusters_of(q, pos, len)))
		return err_set(e, EUCLEAN, "the directory of bitmaps cannot be there");
	for (uint32_t i = 0; r == 0 && i < h->nbitmaps; i++) {
		r = qcow2_bitmap_read(q, i, &at, raw, e);
		if (r == 0 && !is_entry(q, raw))
			r = err_set(e, EUCLEAN, "bitmap %" PRIu32 ": it makes no sense", i);
	}
	if (r == 0 && at != len)
		r = err_set(e, EUCLEAN, "the directory of bitmaps has another length");
	return r;
}

int qcow2_bitmaps_mark(const struct qcow2 *q, struct err *e)
{
	const struct qcow2_header *h = &q->header;
	unsigned char raw[QCOW2_BITMAP_FIXED];
	uint64_t at = 0;
	int r = check(q, e);

	for (uint32_t i = 0; r == 0 && i < h->nbitmaps; i++) {
		uint64_t pos = h->bitmaps_pos + at + AT_FLAGS;

		r = qcow2_bitmap_read(q, i, &at, raw, e);
		if (r < 0 || load_be32(raw + AT_FLAGS) & IN_USE)
			continue;
		store_be32(raw, load_be32(raw + AT_FLAGS) | IN_USE);
		r = meta_write(q->io, raw, 4, pos, ORDER_TABLES, e);
	}
	return r;
}
