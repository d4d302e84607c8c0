/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair-snapshots.c - a snapshot table without damaged entries.
 *
 * The lengths in an entry give the position of the next one.  When they are damaged, the lengths of
 * extra data that programs write are tried: id and name have to be plausible then.  If none fits,
 * the L1 table of the entry is kept under another name, unless that is invalid, too: then the table
 * is left as it is.  Entries of zeroes, and those beyond the end of the file, are dropped.  The new
 * table lies beyond the end of the file, and the header changes to it in one write.
 */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "l1.h"
#include "refcount.h"
#include "snapshot.h"

#define TEXT_MAX 1100u /* bytes of an id and a name */
#define DIGITS   "0123456789"
#define CONTROLS                                                                                   \
	"\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37"

struct snapshot_entry {
	struct qcow2_snapshot s;
	unsigned char raw[QCOW2_SNAPSHOT_HEAD];
	char *id, *name;
	bool last; /* the entry after it cannot be found */
};

static void free_names(struct snapshot_entry *x)
{
	free(x->id);
	free(x->name);
	x->id = x->name = NULL;
}

static int read_names(const struct qcow2 *q, struct snapshot_entry *x, struct err *e)
{
	free_names(x);
	return qcow2_snapshot_read_names(q, &x->s, &x->id, &x->name, e);
}

static void set_extra(const struct qcow2 *q, struct snapshot_entry *x, uint32_t extra)
{
	store_be32(x->raw + 36, extra);
	qcow2_snapshot_decode(q, x->s.pos, x->raw, &x->s);
}

/* All programs use numbers as ids. */
static bool is_plausible(const struct snapshot_entry *x)
{
	return x->s.id_len > 0 && x->s.name_len > 0 && strspn(x->id, DIGITS) == x->s.id_len &&
	       strcspn(x->name, CONTROLS) == x->s.name_len;
}

/* 1: with so many bytes of extra data the entry is plausible.  Its id and name have the lengths in
 * the entry, or end before a character that they cannot have: the padding is zero. */
static int try_extra(const struct qcow2 *q, struct snapshot_entry *x, uint32_t extra, struct err *e)
{
	uint64_t pos = x->s.pos + QCOW2_SNAPSHOT_FIXED + extra;
	char text[TEXT_MAX + 1] = "";
	size_t id_len, name_len;
	int r;

	set_extra(q, x, extra);
	r = meta_read(q->cache, q->io, text, TEXT_MAX, pos, e);
	if (r < 0)
		return r;
	id_len = strspn(text, DIGITS);
	if (x->s.id_len == 0 || x->s.id_len > id_len)
		x->s.id_len = id_len;
	name_len = strcspn(text + x->s.id_len, CONTROLS);
	x->s.name_len = MIN(x->s.name_len, name_len);
	x->s.len = QCOW2_SNAPSHOT_FIXED + extra + x->s.id_len + x->s.name_len;
	if (id_len == 0 || x->s.name_len == 0 || !range_fits(x->s.pos, x->s.len, q->io->size))
		return 0;
	r = read_names(q, x, e);
	return r < 0 ? r : 1;
}

/* 1: the L1 table is valid, and the entry gets a new id and name. */
static int name_recovered(
	const struct qcow2 *q, struct snapshot_entry *x, uint32_t i, struct err *e)
{
	set_extra(q, x, 0);
	if (x->s.l1_size == 0 || qcow2_l1_check(q, x->s.l1_pos, x->s.l1_size, e) < 0)
		return err_set(e, EUCLEAN, "no part of it is valid");
	free_names(x);
	x->last = true;
	if (asprintf(&x->id, "%" PRIu32, QCOW2_MAX_SNAPSHOTS + i) < 0 ||
		asprintf(&x->name, "recovered-%" PRIu32, i) < 0)
		return err_nomem(e);
	x->s.id_len = strlen(x->id);
	x->s.name_len = strlen(x->name);
	return 1;
}

/* 1: with one of these lengths of extra data the entry is plausible. */
static int try_sizes(const struct qcow2 *q, struct snapshot_entry *x, struct err *e)
{
	static const uint32_t sizes[] = {24, 16, 8, 0};
	int r = 0;

	for (size_t k = 0; r == 0 && k < sizeof sizes / sizeof sizes[0]; k++)
		r = try_extra(q, x, sizes[k], e);
	return r;
}

/* Ids need not be numbers: the entry stays as it is, unless another length is plausible. */
static int read_entry(const struct qcow2 *q, struct snapshot_entry *x, struct err *e)
{
	uint32_t extra = x->s.extra_len;
	int r = read_names(q, x, e);

	if (r < 0 || is_plausible(x))
		return r < 0 ? r : 1;
	r = try_sizes(q, x, e);
	if (r != 0)
		return r;
	set_extra(q, x, extra);
	r = read_names(q, x, e);
	return r < 0 ? r : 1;
}

/* 1: there is an entry at x->s.pos, 0: there is none, nor after it.  EUCLEAN: there is one, no part
 * of which is valid. */
static int find_entry(struct qcow2_check *c, struct snapshot_entry *x, uint32_t i, struct err *e)
{
	const struct qcow2 *q = c->q;
	struct err ignored = ERR_INIT;
	uint64_t pos = x->s.pos;
	int r = meta_read(q->cache, q->io, x->raw, sizeof x->raw, pos, e);

	if (r < 0)
		return r;
	if (!range_fits(pos, QCOW2_SNAPSHOT_FIXED, q->io->size) ||
		is_zero(x->raw, QCOW2_SNAPSHOT_FIXED))
		return 0;
	if (qcow2_snapshot_read(q, pos, &x->s, &ignored) == 0)
		return read_entry(q, x, e);
	r = try_sizes(q, x, e);
	if (r == 0)
		r = name_recovered(q, x, i, e);
	if (r > 0)
		check_tell(c->r, "Repairing snapshot table entry %" PRIu32 "%s", i,
			x->last ? ": its name is lost, and the entries after it are removed" : "");
	return r < 0 ? err_in(e, "entry %" PRIu32, i) : r;
}

static int append(struct qcow2_snapshot_table *t, const struct snapshot_entry *x, struct err *e)
{
	uint64_t len = t->len + qcow2_snapshot_table_entry_max(&x->s);
	unsigned char *p;

	if (len > QCOW2_MAX_SNAPSHOT_BYTES)
		return err_set(e, EFBIG, "the snapshot table would be larger than %u bytes",
			QCOW2_MAX_SNAPSHOT_BYTES);
	p = realloc(t->p, len);
	if (!p)
		return err_nomem(e);
	memset(p + t->len, 0, len - t->len);
	t->p = p;
	qcow2_snapshot_table_append(t, &x->s, x->id, x->name);
	return 0;
}

/* Unknown extra data is not kept. */
static int compose(struct qcow2_check *c, struct qcow2_snapshot_table *t, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	uint64_t pos = h->snapshots_pos;
	bool last = false;
	int r = 1;

	for (uint32_t i = 0; r > 0 && !last && i < h->nsnapshots; i++) {
		struct snapshot_entry x = {.s.pos = pos};

		r = find_entry(c, &x, i, e);
		pos += round_up(x.s.len, QCOW2_SNAPSHOT_ALIGN);
		last = x.last;
		if (r > 0 && append(t, &x, e) < 0)
			r = -e->code;
		free_names(&x);
	}
	return MIN(r, 0);
}

/* Sets the refcount of a cluster to 1.  Without a refcount block for it, all refcounts are rebuilt
 * later. */
static int count_cluster(struct qcow2_check *c, uint64_t cluster, struct err *e)
{
	const struct qcow2 *q = c->q;
	unsigned bits = qcow2_block_bits(q);
	uint64_t pos = qcow2_check_block(c, cluster >> bits);
	int r;

	if (pos == 0 || !qcow2_check_block_readable(c, pos) || !range_fits(pos, 1, q->io->size))
		return 0;
	r = io_read_padded(q->io, c->buf, q->cluster_size, pos, e);
	if (r < 0)
		return r;
	qcow2_refcount_store(q, c->buf, cluster & ((UINT64_C(1) << bits) - 1), 1);
	return io_write(q->io, c->buf, q->cluster_size, pos, e);
}

static int put_table(
	struct qcow2_check *c, const struct qcow2_snapshot_table *t, uint64_t pos, struct err *e)
{
	const struct qcow2 *q = c->q;
	unsigned bits = q->header.cluster_bits;
	uint64_t end = round_up(pos + t->len, q->cluster_size);
	int r = 0;

	for (uint64_t i = pos >> bits; r == 0 && i < end >> bits; i++)
		r = count_cluster(c, i, e);
	if (r == 0)
		r = io_resize(q->io, end, e);
	if (r == 0)
		r = io_write(q->io, t->p, t->len, pos, e);
	return r == 0 ? io_sync(q->io, e) : r;
}

static int switch_over(
	struct qcow2 *q, const struct qcow2_snapshot_table *t, uint64_t pos, struct err *e)
{
	unsigned char raw[12];
	int r;

	store_be32(raw, t->n);
	store_be64(raw + 4, pos);
	r = io_write(q->io, raw, sizeof raw, QCOW2_AT_SNAPSHOTS, e);
	if (r == 0)
		r = io_sync(q->io, e);
	if (r < 0)
		return r;
	q->header.nsnapshots = t->n;
	q->header.snapshots_pos = pos;
	qcow2_range_set(q, "snapshot table", pos, t->len);
	return 0;
}

int qcow2_repair_snapshots(struct qcow2_check *c, struct err *e)
{
	struct qcow2 *q = c->q;
	struct qcow2_snapshot_table t = {.n = 0};
	uint64_t pos = MAX(c->nclusters << q->header.cluster_bits, q->io->size);
	int r = compose(c, &t, e);

	pos = t.len > 0 ? round_up(pos, q->cluster_size) : 0;
	if (r == 0 && t.len > 0)
		r = put_table(c, &t, pos, e);
	if (r == 0)
		r = switch_over(q, &t, pos, e);
	free(t.p);
	if (r == -EUCLEAN) {
		check_tell(c->r, "The snapshot table is not repaired: %s", e->text);
		return 0;
	}
	return r < 0 ? err_in(e, "snapshot table") : 0;
}
