/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-map.c - from guest offsets to host positions: L1, L2, subclusters, compressed clusters.
 *
 * Tables stay in the file and are looked at through the cache, one page of each in a look.  An
 * entry is believed only when all of it makes sense; one that could not have been written by a sane
 * program fails the read of what it maps, and of nothing else.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "bytes.h"
#include "cache.h"
#include "codec.h"
#include "err.h"
#include "io.h"
#include "qcow2.h"
#include "view.h"

#define COPIED	     (UINT64_C(1) << 63) /* for writers only; stale in the tables of snapshots */
#define L1_RESERVED  UINT64_C(0x7f000000000001ff)
#define L2_RESERVED  UINT64_C(0x3f000000000001fe) /* of a standard cluster */
#define L2_COMPRESSED (UINT64_C(1) << 62)
#define L2_ZERO	     UINT64_C(1) /* reserved where subclusters say it better */

#define SECTOR_BITS	 9
#define SUBCLUSTERS_BITS 5 /* 32 in a cluster */

struct qcow2_view {
	struct view view;
	const struct qcow2 *q;
	uint64_t start; /* guest offset of the view's first byte */
	uint64_t l1_pos;
	uint32_t l1_size;
};

/* What an L2 entry says of the bytes from some place in its cluster on. */
struct run {
	enum extent_kind kind;
	uint64_t len;  /* as far as the cluster goes on like this */
	uint64_t host; /* FILE: position of the cluster; MADE: the descriptor */
};

static uint64_t in_cluster(const struct qcow2 *q, uint64_t off)
{
	return off & (q->cluster_size - 1);
}

/* The first of the ranges that no data may lie in and that [pos, pos+len) meets, or NULL. */
static const struct qcow2_range *range_hit(const struct qcow2 *q, uint64_t pos, uint64_t len)
{
	const struct qcow2_range *hit = NULL;

	for (unsigned i = 0; i < q->nranges; i++) {
		const struct qcow2_range *r = &q->ranges[i];

		if (r->pos < pos + len && pos < r->pos + r->len && (!hit || r->pos < hit->pos))
			hit = r;
	}
	return hit;
}

int qcow2_l1_check(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE;

	if (len > QCOW2_MAX_L1_BYTES)
		return err_set(e, EINVAL,
			"L1 table: %" PRIu32 " entries are more than %u", entries,
			QCOW2_MAX_L1_BYTES / QCOW2_ENTRY_SIZE);
	if (in_cluster(q, pos))
		return err_set(e, EINVAL,
			"L1 table: offset 0x%" PRIx64 " is not a multiple of %" PRIu32, pos,
			q->cluster_size);
	if (len && pos == 0)
		return err_set(e, EINVAL, "L1 table: offset 0 is that of the header");
	if (!range_fits(pos, len, q->io->size))
		return err_set(e, EINVAL,
			"L1 table: %" PRIu32 " entries at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			entries, pos, q->io->size);
	return 0;
}

static int l1_entry_check(const struct qcow2 *q, uint64_t entry, struct err *e)
{
	uint64_t pos = entry & QCOW2_OFFSET;
	const struct qcow2_range *hit;

	if (entry & L1_RESERVED)
		return err_set(e, EUCLEAN, "reserved bits are set in 0x%016" PRIx64, entry);
	if (in_cluster(q, pos))
		return err_set(e, EUCLEAN,
			"offset 0x%" PRIx64 " of the L2 table is not a multiple of %" PRIu32, pos,
			q->cluster_size);
	hit = range_hit(q, pos, q->cluster_size);
	if (hit)
		return err_set(e, EUCLEAN, "offset 0x%" PRIx64 " of the L2 table is in the %s",
			pos, hit->what);
	if (pos >= q->io->size)
		return err_set(e, EIO,
			"offset 0x%" PRIx64 " of the L2 table is past the end of the file, 0x%" PRIx64,
			pos, q->io->size);
	return 0;
}

/* Looks up the L2 table of guest offset off.  *table is 0 when there is none, and then *len is how
 * far that goes on from off: to the next table, as far as one page of the L1 table shows. */
static int l1_look(const struct qcow2_view *v, uint64_t off, uint64_t *table, uint64_t *len,
	struct err *e)
{
	const struct qcow2 *q = v->q;
	unsigned bits = qcow2_l1_bits(q);
	uint64_t i = off >> bits, n = 0;
	struct meta m;
	int rc;

	*table = 0;
	*len = UINT64_MAX - off;
	if (i >= v->l1_size)
		return 0;
	rc = meta_pin(q->io_cache, q->io, v->l1_pos + i * QCOW2_ENTRY_SIZE, &m, e);
	return rc;
}
