/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.c - guest offsets mapped to positions in a file: L1 and L2 tables, subclusters, compressed
 * clusters.
 *
 * Tables stay in the file and are read through the cache, one page of each in a lookup.  All of an
 * entry is checked before it is used; a damaged one fails reads of the clusters it maps, and no
 * others.
 */
#include "map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view/view.h"
#include "compress.h"
#include "l1.h"
#include "l2.h"

#define SUBCLUSTERS_BITS 5

/* How an L2 entry maps the bytes from a guest offset on. */
struct l2_run {
	enum extent_kind kind;
	uint64_t len;  /* bytes that are mapped alike */
	uint64_t host; /* FILE: position of the cluster; GENERATED: the entry */
	bool copied;   /* FILE: the entry has COPIED */
};

static int decode_compressed(
	const struct qcow2 *q, const unsigned char *p, struct l2_run *run, struct err *e)
{
	uint64_t entry = load_be64(p), len;
	uint64_t pos = qcow2_l2_compressed_range(q, entry, &len);
	const struct qcow2_range *hit = qcow2_range_hit(q, pos, 1);

	if (q->external)
		return err_set(e, EUCLEAN, "a compressed cluster in an external data file");
	if (q->extended && load_be64(p + 8) != 0)
		return err_set(e, EUCLEAN, "a compressed cluster with subclusters");
	if (hit)
		return err_set(e, EUCLEAN, "compressed data at 0x%" PRIx64 ", where the %s is", pos,
			hit->what);
	if (pos >= q->io->size)
		return err_set(e, EIO,
			"compressed data at 0x%" PRIx64 ", past the end of the file, 0x%" PRIx64,
			pos, q->io->size);
	run->kind = EXTENT_GENERATED;
	run->host = entry & ~QCOW2_COPIED;
	return 0;
}

/* The bitmap after an extended entry: bit i of the low half is set when subcluster i is allocated,
 * bit i of the high half when it reads as zeroes; neither, when it is the backing file's. */
static int decode_subclusters(const struct qcow2 *q, uint64_t bitmap, bool has_host, uint64_t skip,
	struct l2_run *run, struct err *e)
{
	uint64_t stored = bitmap & UINT32_MAX, zero = bitmap >> 32, like;
	unsigned bits = q->header.cluster_bits - SUBCLUSTERS_BITS;
	unsigned i = skip >> bits;

	if (stored & zero)
		return err_set(e, EUCLEAN,
			"subclusters both allocated and zero: bitmap 0x%016" PRIx64, bitmap);
	if (stored && !has_host)
		return err_set(e, EUCLEAN,
			"subclusters allocated in no cluster: bitmap 0x%016" PRIx64, bitmap);
	if (stored >> i & 1) {
		run->kind = EXTENT_FILE;
		like = stored;
	} else if (zero >> i & 1) {
		run->kind = EXTENT_ZERO;
		like = zero;
	} else {
		run->kind = EXTENT_BELOW;
		like = ~(stored | zero) & UINT32_MAX;
	}
	run->len = ((uint64_t)(i + __builtin_ctzll(~(like >> i))) << bits) - skip;
	return 0;
}

/* Decodes the entry at p for guest offset off.  Flags are tested in the order of the format. */
static int l2_decode(const struct qcow2 *q, const unsigned char *p, uint64_t off,
	struct l2_run *run, struct err *e)
{
	uint64_t entry = load_be64(p), skip = qcow2_in_cluster(q, off);
	bool zero = entry & QCOW2_ZERO, has_host;

	run->len = q->cluster_size - skip;
	run->host = entry & QCOW2_OFFSET;
	if (entry & QCOW2_COMPRESSED)
		return decode_compressed(q, p, run, e);
	if (entry & (QCOW2_L2_RESERVED | (q->zero_flag ? 0 : QCOW2_ZERO)))
		return err_set(e, EUCLEAN, "reserved bits are set in 0x%016" PRIx64, entry);
	/* In a data file, position 0 is valid: COPIED tells it from an unallocated cluster. */
	has_host = run->host != 0 || (entry & QCOW2_COPIED && !zero);
	if (has_host && qcow2_in_cluster(q, run->host))
		return err_set(e, EUCLEAN,
			"data cluster at 0x%" PRIx64 ", not at a multiple of %" PRIu32, run->host,
			q->cluster_size);
	if (has_host && q->external && run->host != off - skip)
		return err_set(
			e, EUCLEAN, "data cluster at 0x%" PRIx64 " of the data file", run->host);
	run->copied = q->alloc && entry & QCOW2_COPIED;
	if (q->extended)
		return decode_subclusters(q, load_be64(p + 8), has_host, skip, run, e);
	run->kind = zero ? EXTENT_ZERO : has_host ? EXTENT_FILE : EXTENT_BELOW;
	return 0;
}

/* Counts the entries at p, n at most, that continue the one before them: with the same flags and,
 * if placed, the next position.  They need no checks, as that one passed them. */
static size_t count_like(const struct qcow2 *q, const unsigned char *p, size_t n, bool placed)
{
	uint64_t entry = load_be64(p - QCOW2_ENTRY_SIZE), step = placed ? q->cluster_size : 0;
	size_t i = 0;

	while (i < n && load_be64(p + i * QCOW2_ENTRY_SIZE) == (entry += step))
		i++;
	return i;
}

/* Extends the run of guest offset off by the cluster of the entry at p, if that continues it. */
static bool run_extend_by_one(
	const struct qcow2 *q, const unsigned char *p, uint64_t off, struct l2_run *run)
{
	struct l2_run next;
	struct err ignored; /* a bad entry starts a run of its own */

	if (l2_decode(q, p, off + run->len, &next, &ignored) < 0 || next.kind != run->kind)
		return false;
	if (next.kind == EXTENT_FILE &&
		(next.host != run->host + qcow2_in_cluster(q, off) + run->len ||
			next.copied != run->copied))
		return false;
	run->len += next.len;
	return true;
}

/* Extends the run of guest offset off by the n entries after it, at p. */
static void run_extend(const struct qcow2 *q, const unsigned char *p, size_t n, uint64_t off,
	uint64_t wanted, struct l2_run *run)
{
	size_t like;

	if (run->kind == EXTENT_GENERATED)
		return;
	n = MIN(n, div_round_up(qcow2_in_cluster(q, off) + wanted, q->cluster_size) - 1);
	for (; n > 0 && qcow2_in_cluster(q, off + run->len) == 0;
		p += like * q->entry_size, n -= like) {
		like = q->extended ? 0 : count_like(q, p, n, run->kind == EXTENT_FILE);
		run->len += (uint64_t)like << q->header.cluster_bits;
		if (like == 0 && !run_extend_by_one(q, p, off, run))
			return;
		like = MAX(like, 1u);
	}
}

static int l2_lookup(const struct qcow2_view *v, uint64_t table, uint64_t off, uint64_t wanted,
	struct l2_run *run, struct err *e)
{
	const struct qcow2 *q = v->q;
	size_t entries = (size_t)1 << q->entries_bits;
	size_t i = off >> q->header.cluster_bits & (entries - 1);
	struct meta m;
	int r = meta_pin(q->cache, q->io, table + i * q->entry_size, &m, e);

	if (r < 0)
		return r;
	r = l2_decode(q, m.p, off, run, e);
	if (r == 0)
		run_extend(q, m.p + q->entry_size, MIN(m.n / q->entry_size, entries - i) - 1, off,
			wanted, run);
	meta_unpin(q->cache, &m);
	return r < 0 ? err_in(e, "L2 table at 0x%" PRIx64 ", entry %zu", table, i) : 0;
}

/* Metadata is never read as data: the run ends before it, or fails. */
static int extent_of_data(const struct qcow2_view *v, const struct l2_run *run, uint64_t off,
	struct extent *x, struct err *e)
{
	const struct qcow2 *q = v->q;
	uint64_t len = run->len, skip = qcow2_in_cluster(q, off);
	const struct qcow2_range *hit =
		q->external ? NULL : qcow2_range_hit(q, run->host, skip + len);
	int r;

	if (hit && hit->pos <= run->host + skip)
		return err_set(e, EUCLEAN, "data cluster at 0x%" PRIx64 ", where the %s is",
			run->host, hit->what);
	if (hit)
		len = hit->pos - run->host - skip;
	r = extent_in_file(x, q->data, run->host, skip, len, q->cluster_size, e);
	if (r < 0)
		return r;
	/* COPIED alone is not enough: if it is wrong, a snapshot would lose its data. */
	x->inplace =
		x->kind == EXTENT_FILE && run->copied && v->view.write &&
		(q->external || qcow2_refcount_is_one(q->alloc, x->pos >> q->header.cluster_bits,
					qcow2_clusters_of(q, x->pos, x->len)));
	if (!q->crypt)
		return 0;
	/* The AES method numbers sectors from the start of the disk, LUKS from that of the file. */
	if (q->header.encryption == QCOW2_LUKS)
		off = x->pos;
	return extent_encrypted(x, q->crypt, off / CRYPT_SECTOR, e);
}

static int qcow2_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct qcow2_view *v = (const struct qcow2_view *)view;
	const struct qcow2 *q = v->q;
	uint64_t entry, table, guest = v->start + off;
	struct l2_run run = {.kind = EXTENT_BELOW};
	int r = qcow2_l1_lookup(v, guest, &entry, &table, &run.len, e);

	if (r == 0 && table != 0)
		r = l2_lookup(v, table, guest, len, &run, e);
	x->kind = run.kind;
	x->len = run.len;
	x->pos = guest;
	if (r == 0 && run.kind == EXTENT_FILE) {
		r = extent_of_data(v, &run, guest, x, e);
	} else if (r == 0 && run.kind == EXTENT_GENERATED) {
		x->pos = qcow2_in_cluster(q, guest);
		x->io = q->io;
		x->unit_id = run.host;
		x->unit_len = q->cluster_size;
	}
	return r < 0 ? err_in(e, "guest offset 0x%" PRIx64, guest) : 0;
}

static int qcow2_fill(const struct view *view, const struct extent *x, void *buf, struct err *e)
{
	return qcow2_compress_decode(((const struct qcow2_view *)view)->q, x->unit_id, buf, e);
}

static uint64_t qcow2_locate(const struct view *view, const struct extent *x, uint64_t *pos)
{
	uint64_t len;

	*pos = qcow2_l2_compressed_range(((const struct qcow2_view *)view)->q, x->unit_id, &len);
	return len;
}

static const struct view_ops qcow2_view_ops = {
	.map = qcow2_map, .fill = qcow2_fill, .locate = qcow2_locate};

struct view *qcow2_map_view(struct qcow2 *q, uint64_t size, uint64_t start, uint64_t l1_pos,
	uint32_t l1_size, struct err *e)
{
	struct qcow2_view *v = calloc(1, sizeof *v);

	if (!v) {
		err_nomem(e);
		return NULL;
	}
	v->view = (struct view){.ops = &qcow2_view_ops, .size = size, .cache = q->cache};
	v->q = q;
	v->start = start;
	v->l1_pos = l1_pos;
	v->l1_size = l1_size;
	return &v->view;
}

const struct qcow2 *qcow2_map_image(const struct view *v)
{
	return v->ops == &qcow2_view_ops ? ((const struct qcow2_view *)v)->q : NULL;
}
