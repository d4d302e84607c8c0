/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair-snapshots.c - a snapshot table without damaged entries.
 *
 * An entry says how long it is, and so where the next one begins.  Where that cannot be, the
 * lengths of extra data that programs write are tried: id and name have to make sense then.  If
 * none fits, the L1 table of the entry is kept under another name, unless that makes no sense
 * either: then the table is left as it is.  Entries of zeroes, and what lies past the end of the
 * file, are no entries.  The new table lies behind the end of the file, and the header changes to
 * it in one write.
 */
#include "repair-snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "check-refcount.h"
#include "check.h"
#include "header.h"
#include "l1.h"
#include "qcow2.h"
#include "refcount.h"
#include "snapshot-table.h"
#include "snapshot.h"

#define TEXT_MAX 1100u /* bytes of an id and a name */

struct entry {
	struct qcow2_snapshot s;
	unsigned char raw[QCOW2_SNAPSHOT_HEAD];
	char *id, *name;
	bool last; /* what follows cannot be found */
};

static void forget(struct entry *x)
{
	free(x->id);
	free(x->name);
	x->id = x->name = NULL;
}

static int read_texts(const struct qcow2 *q, struct entry *x, struct err *e)
{
	uint64_t pos = x->s.pos + QCOW2_SNAPSHOT_FIXED + x->s.extra_len;
	int r;

	x->id = calloc(1, x->s.id_len + 1u);
	x->name = calloc(1, x->s.name_len + 1u);
	if (!x->id || !x->name)
		return err_nomem(e);
	r = meta_read(q->cache, q->io, x->id, x->s.id_len, pos, e);
	return r < 0 ? r : meta_read(q->cache, q->io, x->name, x->s.name_len, pos + x->s.id_len, e);
}

static size_t run(const char *text, const char *end, bool (*goes_on)(char))
{
	const char *p = text;

	while (p < end && goes_on(*p))
		p++;
	return p - text;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_text(char c)
{
	return (unsigned char)c >= ' ';
}

/* Ids are numbers, as all programs give them. */
static bool makes_sense(const struct entry *x)
{
	const char *id = x->id, *name = x->name;

	return x->s.id_len > 0 && x->s.name_len > 0 &&
	       run(id, id + x->s.id_len, is_digit) == x->s.id_len &&
	       run(name, name + x->s.name_len, is_text) == x->s.name_len;
}

/* 1: with so many bytes of extra data the entry makes sense, with an id and a name of the lengths
 * that it says, or as long as they look: what follows begins with a zero. */
static int try_extra(const struct qcow2 *q, struct entry *x, uint32_t extra, struct err *e)
{
	uint64_t pos = x->s.pos + QCOW2_SNAPSHOT_FIXED + extra;
	char text[TEXT_MAX];
	const char *name = text, *end = text + sizeof text;
	size_t id_len, name_len;
	int r;

	store_be32(x->raw + 36, extra);
	qcow2_snapshot_decode(q, x->s.pos, x->raw, &x->s);
	r = meta_read(q->cache, q->io, text, sizeof text, pos, e);
	if (r < 0)
		return r;
	id_len = run(text, end, is_digit);
	name += x->s.id_len > 0 && x->s.id_len <= id_len ? x->s.id_len : id_len;
	name_len = run(name, end, is_text);
	x->s.id_len = name - text;
	x->s.name_len = MIN(x->s.name_len, name_len);
	x->s.len = QCOW2_SNAPSHOT_FIXED + extra + x->s.id_len + x->s.name_len;
	if (id_len == 0 || x->s.name_len == 0 || !range_fits(x->s.pos, x->s.len, q->io->size))
		return 0;
	forget(x);
	r = read_texts(q, x, e);
	return r < 0 ? r : 1;
}

static int call_recovered(const struct qcow2 *q, struct entry *x, uint32_t i, struct err *e)
{
	store_be32(x->raw + 36, 0);
	qcow2_snapshot_decode(q, x->s.pos, x->raw, &x->s);
	if (x->s.l1_size == 0 || qcow2_l1_check(q, x->s.l1_pos, x->s.l1_size, e) < 0)
		return err_set(e, EUCLEAN, "nothing in it makes sense");
	forget(x);
	x->last = true;
	if (asprintf(&x->id, "%" PRIu32, QCOW2_MAX_SNAPSHOTS + i) < 0 ||
		asprintf(&x->name, "recovered-%" PRIu32, i) < 0)
		return err_nomem(e);
	x->s.id_len = strlen(x->id);
	x->s.name_len = strlen(x->name);
	return 1;
}

/* 1: with one of these lengths it makes sense. */
static int try_sizes(const struct qcow2 *q, struct entry *x, struct err *e)
{
	static const uint32_t sizes[] = {24, 16, 8, 0};
	int r = 0;

	for (size_t k = 0; r == 0 && k < sizeof sizes / sizeof sizes[0]; k++)
		r = try_extra(q, x, sizes[k], e);
	return r;
}

static bool is_none(const struct qcow2 *q, const struct entry *x)
{
	static const unsigned char zeroes[QCOW2_SNAPSHOT_FIXED];

	return !range_fits(x->s.pos, QCOW2_SNAPSHOT_FIXED, q->io->size) ||
	       memcmp(x->raw, zeroes, sizeof zeroes) == 0;
}

/* 1: something of the entry can be kept.  EUCLEAN: what it is can only be guessed. */
static int salvage(const struct qcow2 *q, struct entry *x, uint32_t i, struct err *e)
{
	int r = try_sizes(q, x, e);

	return r == 0 ? call_recovered(q, x, i, e) : r;
}

/* Ids need not be numbers: the entry stays as it says, unless another length makes sense of it. */
static int read_entry(const struct qcow2 *q, struct entry *x, struct err *e)
{
	uint32_t extra = x->s.extra_len;
	int r = read_texts(q, x, e);

	if (r < 0 || makes_sense(x))
		return r < 0 ? r : 1;
	r = try_sizes(q, x, e);
	if (r != 0)
		return r;
	store_be32(x->raw + 36, extra);
	qcow2_snapshot_decode(q, x->s.pos, x->raw, &x->s);
	forget(x);
	r = read_texts(q, x, e);
	return r < 0 ? r : 1;
}

/* 1: there is one at x->s.pos, 0: there is none, nor behind it. */
static int find_entry(struct qcow2_check *c, struct entry *x, uint32_t i, struct err *e)
{
	const struct qcow2 *q = c->q;
	struct err ignored = ERR_INIT;
	uint64_t pos = x->s.pos;
	int r = meta_read(q->cache, q->io, x->raw, sizeof x->raw, pos, e);

	if (r < 0 || is_none(q, x))
		return r;
	if (qcow2_snapshot_read(q, pos, &x->s, &ignored) == 0)
		return read_entry(q, x, e);
	r = salvage(q, x, i, e);
	if (r > 0)
		check_tell(c->r, "Repairing snapshot table entry %" PRIu32 "%s", i,
			x->last ? ": its name is lost, and what follows is removed" : "");
	return r < 0 ? err_in(e, "entry %" PRIu32, i) : r;
}

static int append(struct qcow2_snapshot_table *t, const struct entry *x, struct err *e)
{
	uint64_t room = t->len + qcow2_snapshot_table_entry_max(&x->s);
	unsigned char *p;

	if (room > QCOW2_MAX_SNAPSHOT_BYTES)
		return err_set(e, EFBIG, "the snapshot table would be larger than %u bytes",
			QCOW2_MAX_SNAPSHOT_BYTES);
	p = realloc(t->p, room);
	if (!p)
		return err_nomem(e);
	memset(p + t->len, 0, room - t->len);
	t->p = p;
	qcow2_snapshot_table_append(t, &x->s, x->id, x->name);
	return 0;
}

/* Extra data that we do not know are not kept. */
static int compose(struct qcow2_check *c, struct qcow2_snapshot_table *t, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	uint64_t pos = h->snapshots_pos;
	bool last = false;
	int r = 1;

	for (uint32_t i = 0; r > 0 && !last && i < h->nsnapshots; i++) {
		struct entry x = {.s.pos = pos};

		r = find_entry(c, &x, i, e);
		pos += round_up(x.s.len, QCOW2_SNAPSHOT_ALIGN);
		last = x.last;
		if (r > 0 && append(t, &x, e) < 0)
			r = -e->code;
		forget(&x);
	}
	return MIN(r, 0);
}

/* Where there is no block for it, all refcounts are built anew after this. */
static int count_cluster(struct qcow2_check *c, uint64_t cluster, struct err *e)
{
	const struct qcow2 *q = c->q;
	unsigned bits = qcow2_block_bits(q);
	uint64_t pos = qcow2_check_refcount_block(c, cluster >> bits);
	int r;

	if (pos == 0 || !qcow2_check_refcount_readable(c, pos) || !range_fits(pos, 1, q->io->size))
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
		check_tell(c->r, "The snapshot table is left as it is: %s", e->text);
		return 0;
	}
	return r < 0 ? err_in(e, "snapshot table") : 0;
}
