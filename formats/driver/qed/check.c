/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - checks all tables of a QED image, and clears entries that point outside of the file.
 *
 * Damage and its counts are as in QEMU 7.2, which prints no messages for it.  A leaked cluster is
 * only reported: QEMU never frees one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "io/io.h"
#include "image/check.h"
#include "image/image.h"
#include "qed.h"

#define CLUSTERS_LEAST (UINT64_C(8) * (64u << 20)) /* clusters that any file may have */

#define PIECE (16u << 10) /* bytes of a table that are read at once */

struct qed_check {
	struct image *img;
	struct qed *q;
	struct check_report *r;
	bool repair;
	uint64_t cluster, table_len, nclusters;
	unsigned char *used; /* a bit a cluster */
};

static bool is_possible(const struct qed_check *c, uint64_t pos, uint64_t len)
{
	return !(pos & (c->cluster - 1)) && pos >= c->q->header_len &&
	       range_fits(pos, len, c->q->tables.end);
}

static bool is_used(const struct qed_check *c, uint64_t cluster)
{
	return c->used[cluster / 8] >> cluster % 8 & 1;
}

/* Marks clusters as used; false: one of them is in use already. */
static bool use(struct qed_check *c, const char *what, uint64_t pos, uint64_t len)
{
	uint64_t before = c->r->corruptions;

	for (uint64_t i = pos / c->cluster; i < (pos + len) / c->cluster; i++) {
		if (is_used(c, i))
			check_corruption(
				c->r, "ERROR %s: cluster %" PRIu64 " is in use twice", what, i);
		c->used[i / 8] |= 1u << i % 8;
	}
	return c->r->corruptions == before;
}

/* Reports entry i of the table at pos, or clears it. */
static int clear_entry(struct qed_check *c, const char *what, uint64_t pos, uint64_t i,
	uint64_t entry, struct err *e)
{
	static const unsigned char zero[L2MAP_ENTRY];
	int r;

	if (!c->repair) {
		check_corruption(c->r,
			"ERROR %s entry %" PRIu64 ", 0x%" PRIx64 ", points outside of the file",
			what, i, entry);
		return 0;
	}
	check_tell(c->r, "Repairing %s entry %" PRIu64 ", 0x%" PRIx64, what, i, entry);
	r = io_write(c->img->io, zero, sizeof zero, pos + i * L2MAP_ENTRY, e);
	c->r->corruptions_fixed += r == 0;
	return r;
}

/* Reads a table piece by piece: it may be a large hole. */
struct table_scan {
	uint64_t pos, next; /* of the table; bytes of it that were read */
	size_t at, len;     /* in buf */
	unsigned char buf[PIECE];
};

/* Finds the next entry that is not 0, and its number.  1: found, 0: there is none, or -errno. */
static int scan_next(
	struct qed_check *c, struct table_scan *s, uint64_t *i, uint64_t *entry, struct err *e)
{
	struct io *io = c->img->io;

	for (;;) {
		for (; s->at < s->len; s->at += L2MAP_ENTRY) {
			*entry = load_le64(s->buf + s->at);
			if (*entry == 0)
				continue;
			*i = (s->next - s->len + s->at) / L2MAP_ENTRY;
			s->at += L2MAP_ENTRY;
			return 1;
		}
		if (s->next == c->table_len)
			return 0;
		s->at = 0;
		s->len = MIN(PIECE, c->table_len - s->next);
		if (io_seek(io, s->pos + s->next, SEEK_DATA) - (s->pos + s->next) >= s->len)
			memset(s->buf, 0, s->len);
		else if (io_read(io, s->buf, s->len, s->pos + s->next, e) < 0)
			return -e->code;
		s->next += s->len;
	}
}

static int check_l2(struct qed_check *c, uint64_t pos, struct err *e)
{
	struct table_scan s = {.pos = pos};
	uint64_t last = 0, i, at;
	int r;

	while ((r = scan_next(c, &s, &i, &at, e)) == 1) {
		if (at == QED_ENTRY_ZERO)
			continue;
		c->r->allocated_clusters++;
		c->r->fragmented_clusters += last && last + c->cluster != at;
		last = at;
		if (is_possible(c, at, c->cluster))
			use(c, "L2 table", at, c->cluster);
		else if (clear_entry(c, "L2 table", pos, i, at, e) < 0)
			return -e->code;
	}
	return r < 0 ? err_in(e, "L2 table at 0x%" PRIx64, pos) : 0;
}

static int check_l1(struct qed_check *c, struct err *e)
{
	struct table_scan s = {.pos = c->q->tables.l1_pos};
	uint64_t i, at;
	int r;

	use(c, "L1 table", s.pos, c->table_len);
	while ((r = scan_next(c, &s, &i, &at, e)) == 1) {
		if (!is_possible(c, at, c->table_len))
			r = clear_entry(c, "L1 table", s.pos, i, at, e);
		else if (use(c, "L1 table", at, c->table_len))
			r = check_l2(c, at, e);
		if (r < 0)
			break;
	}
	return r;
}

/* Clears "need check", unless damage is left. */
static int mark_clean(struct qed_check *c, struct err *e)
{
	uint64_t features = c->q->features & ~(uint64_t)QED_NEED_CHECK, le = htole64(features);
	int r = io_sync(c->img->io, e);

	if (r < 0 || c->r->corruptions > 0 || features == c->q->features)
		return r;
	r = io_write(c->img->io, &le, sizeof le, QED_AT_FEATURES, e);
	if (r == 0)
		r = io_sync(c->img->io, e);
	if (r == 0)
		c->q->features = features;
	return r;
}

int qed_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct qed *q = (struct qed *)img->states[0]->view;
	const struct l2map *t = &q->tables;
	uint64_t real = img->io->is_block ? img->io->size : img->stored;
	struct qed_check c = {
		.img = img,
		.q = q,
		.r = r,
		.repair = repair & CHECK_ERRORS,
		.cluster = UINT64_C(1) << t->cluster_bits,
		.table_len = (uint64_t)L2MAP_ENTRY << t->table_bits,
		.nclusters = t->end >> t->cluster_bits,
	};
	int rc;

	r->total_clusters = div_round_up(q->view.size, c.cluster);
	if (c.nclusters > MAX(CLUSTERS_LEAST, 8 * (real / c.cluster)))
		return err_set(e, EFBIG, "the file has %" PRIu64 " clusters, most of them holes",
			c.nclusters);
	if (c.nclusters / 8 >= SIZE_MAX)
		return err_nomem(e);
	c.used = calloc(1, c.nclusters / 8 + 1);
	if (!c.used)
		return err_nomem(e);
	rc = check_l1(&c, e);
	for (uint64_t i = q->header_len / c.cluster; rc == 0 && i < c.nclusters; i++)
		if (!is_used(&c, i))
			check_leak(r, "Leaked cluster %" PRIu64, i);
	if (rc == 0 && repair) {
		rc = mark_clean(&c, e);
		cache_forget(img->opts->cache, img->io);
	}
	free(c.used);
	return rc;
}
