/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - looks at all tables of a QED image, and clears what leads nowhere.
 *
 * What is damage, and how it counts, is as in QEMU 7.2, which has no words for it.  A cluster that
 * nothing refers to is only told: QEMU never gives one back.
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

#define CLUSTERS_LEAST (UINT64_C(8) * (64u << 20)) /* of which a file may always have so many */

#define PIECE (16u << 10) /* bytes of a table that are read at once */

struct qed_check {
	struct image *img;
	struct qed *q;
	struct check_report *r;
	bool mend;
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

/* Each cluster is for one purpose; false: it is not. */
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

/* The entry i of the table at pos leads nowhere. */
static int drop(struct qed_check *c, const char *what, uint64_t pos, uint64_t i, uint64_t entry,
	struct err *e)
{
	static const unsigned char zero[TABLES_ENTRY];
	int r;

	if (!c->mend) {
		check_corruption(c->r,
			"ERROR %s entry %" PRIu64 ", 0x%" PRIx64 ", leads out of the file", what, i,
			entry);
		return 0;
	}
	check_tell(c->r, "Repairing %s entry %" PRIu64 ", 0x%" PRIx64, what, i, entry);
	r = io_write(c->img->io, zero, sizeof zero, pos + i * TABLES_ENTRY, e);
	c->r->corruptions_fixed += r == 0;
	return r;
}

/* A table, a piece at a time: it may be a large hole. */
struct scan {
	uint64_t pos, next; /* of the table; bytes of it that were looked at */
	size_t at, len;     /* in buf */
	unsigned char buf[PIECE];
};

/* The next entry that is not 0 and its number.  1: there is one, 0: there is none, or -errno. */
static int scan_next(
	struct qed_check *c, struct scan *s, uint64_t *i, uint64_t *entry, struct err *e)
{
	struct io *io = c->img->io;

	for (;;) {
		for (; s->at < s->len; s->at += TABLES_ENTRY) {
			*entry = load_le64(s->buf + s->at);
			if (*entry == 0)
				continue;
			*i = (s->next - s->len + s->at) / TABLES_ENTRY;
			s->at += TABLES_ENTRY;
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
	struct scan s = {.pos = pos};
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
		else if (drop(c, "L2 table", pos, i, at, e) < 0)
			return -e->code;
	}
	return r < 0 ? err_in(e, "L2 table at 0x%" PRIx64, pos) : 0;
}

static int check_l1(struct qed_check *c, struct err *e)
{
	struct scan s = {.pos = c->q->tables.l1_pos};
	uint64_t i, at;
	int r;

	use(c, "L1 table", s.pos, c->table_len);
	while ((r = scan_next(c, &s, &i, &at, e)) == 1) {
		if (!is_possible(c, at, c->table_len))
			r = drop(c, "L1 table", s.pos, i, at, e);
		else if (use(c, "L1 table", at, c->table_len))
			r = check_l2(c, at, e);
		if (r < 0)
			break;
	}
	return r;
}

static void check_leaks(struct qed_check *c)
{
	for (uint64_t i = c->q->header_len / c->cluster; i < c->nclusters; i++)
		if (!is_used(c, i))
			check_leak(c->r, "Leaked cluster %" PRIu64, i);
}

/* Nothing is left of what the mark stood for. */
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

static int check_all(struct qed_check *c, unsigned repair, struct err *e)
{
	int r = check_l1(c, e);

	if (r < 0)
		return r;
	check_leaks(c);
	if (!repair)
		return 0;
	r = mark_clean(c, e);
	cache_forget(c->img->opts->cache, c->img->io);
	return r;
}

static int start(struct qed_check *c, struct err *e)
{
	const struct l2map *t = &c->q->tables;
	uint64_t real = c->img->io->is_block ? c->img->io->size : c->img->stored;

	c->cluster = UINT64_C(1) << t->cluster_bits;
	c->table_len = (uint64_t)TABLES_ENTRY << t->table_bits;
	c->nclusters = t->end / c->cluster;
	c->r->total_clusters = div_round_up(c->q->view.size, c->cluster);
	if (c->nclusters > MAX(CLUSTERS_LEAST, 8 * (real / c->cluster)))
		return err_set(e, EFBIG, "the file has %" PRIu64 " clusters, most of them holes",
			c->nclusters);
	c->used = calloc(1, c->nclusters / 8 + 1);
	return c->used ? 0 : err_nomem(e);
}

int qed_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct qed_check c = {
		.img = img,
		.q = (struct qed *)img->states[0]->view,
		.r = r,
		.mend = repair & CHECK_ERRORS,
	};
	int rc = start(&c, e);

	if (rc == 0)
		rc = check_all(&c, repair, e);
	free(c.used);
	return rc;
}
