/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-table.c - the snapshot table loaded, changed in memory and stored again. */
#include "snapshot-table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "alloc.h"
#include "qcow2.h"

static uint64_t entry_len(const unsigned char *p)
{
	return round_up(
		QCOW2_SNAPSHOT_FIXED + load_be32(p + 36) + load_be16(p + 12) + load_be16(p + 14),
		QCOW2_SNAPSHOT_ALIGN);
}

void qcow2_snapshot_table_free(struct qcow2_snapshot_table *t)
{
	free(t->p);
}

int qcow2_snapshot_table_load(
	const struct qcow2 *q, uint64_t more, struct qcow2_snapshot_table *t, struct err *e)
{
	uint64_t start = q->header.snapshots_pos;
	struct qcow2_snapshot s;
	int r = 0;

	*t = (struct qcow2_snapshot_table){.n = q->header.nsnapshots};
	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		r = qcow2_snapshot_read(q, start + t->len, &s, e);
		t->len += r < 0 ? 0 : round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
	}
	t->stored = t->len;
	if (r == 0 && t->len + more > QCOW2_MAX_SNAPSHOT_BYTES)
		r = err_set(e, EFBIG, "the table of snapshots cannot be larger than %u bytes",
			QCOW2_MAX_SNAPSHOT_BYTES);
	if (r < 0)
		return r;
	t->p = calloc(1, t->len + more + 1);
	if (!t->p)
		return err_nomem(e);
	r = meta_read(q->cache, q->io, t->p, t->len, start, e);
	if (r < 0)
		qcow2_snapshot_table_free(t);
	return r;
}

/* Entry number i; the n-th is the end. */
static unsigned char *table_at(const struct qcow2_snapshot_table *t, size_t i)
{
	unsigned char *p = t->p;

	while (i-- > 0)
		p += entry_len(p);
	return p;
}

void qcow2_snapshot_table_remove(struct qcow2_snapshot_table *t, size_t i)
{
	unsigned char *p = table_at(t, i), *next = p + entry_len(p);

	memmove(p, next, t->p + t->len - next);
	t->len -= next - p;
	t->n--;
}

void qcow2_snapshot_table_append(struct qcow2_snapshot_table *t, const struct qcow2_snapshot *s,
	const char *id, const char *name)
{
	unsigned char *p = t->p + t->len, *q = p + QCOW2_SNAPSHOT_FIXED;

	store_be64(p, s->l1_pos);
	store_be32(p + 8, s->l1_size);
	store_be16(p + 12, s->id_len);
	store_be16(p + 14, s->name_len);
	store_be32(p + 16, s->when.tv_sec);
	store_be32(p + 20, s->when.tv_nsec);
	store_be64(p + 24, s->vm_clock);
	store_be32(p + 32, 0); /* VM state size: in the extra data */
	store_be32(p + 36, QCOW2_SNAPSHOT_EXTRA);
	store_be64(q, s->vmstate_size);
	store_be64(q + 8, s->disk_size);
	store_be64(q + 16, s->icount);
	memcpy(q + QCOW2_SNAPSHOT_EXTRA, id, s->id_len);
	memcpy(q + QCOW2_SNAPSHOT_EXTRA + s->id_len, name, s->name_len);
	t->len += entry_len(p);
	t->n++;
}

/* The name is the last part of an entry. */
void qcow2_snapshot_table_rename(struct qcow2_snapshot_table *t, size_t i, const char *name)
{
	unsigned char *p = table_at(t, i), *next = p + entry_len(p), *at;
	size_t rest = t->p + t->len - next, n = strlen(name);

	at = p + QCOW2_SNAPSHOT_FIXED + load_be32(p + 36) + load_be16(p + 12);
	store_be16(p + 14, n);
	memmove(p + entry_len(p), next, rest);
	memset(at, 0, p + entry_len(p) - at);
	memcpy(at, name, n);
	t->len = p + entry_len(p) + rest - t->p;
}

static void drop(struct qcow2 *q, uint64_t pos, uint64_t len)
{
	if (len > 0)
		qcow2_alloc_drop(q->alloc, pos >> q->header.cluster_bits,
			div_round_up(len, q->cluster_size));
}

int qcow2_snapshot_table_store(struct qcow2 *q, const struct qcow2_snapshot_table *t, struct err *e)
{
	struct qcow2_header *h = &q->header;
	struct qcow2_clusters c = {0};
	unsigned char raw[12];
	uint64_t pos;
	bool reads_zero;
	int r = qcow2_alloc_prepare(q->alloc, 2, e);

	if (r == 0 && t->len > 0)
		r = qcow2_alloc_take(
			q->alloc, div_round_up(t->len, q->cluster_size), true, &c, &reads_zero, e);
	if (r < 0)
		return r;
	pos = c.first << h->cluster_bits;
	store_be32(raw, t->n);
	store_be64(raw + 4, pos);
	r = meta_write(q->io, t->p, t->len, pos, ORDER_TABLES_ROOT, e);
	if (r == 0)
		r = meta_write(q->io, raw, sizeof raw, QCOW2_AT_SNAPSHOTS, ORDER_HEADER, e);
	if (r < 0) {
		drop(q, pos, t->len);
		return r;
	}
	drop(q, h->snapshots_pos, t->stored);
	qcow2_range_set(q, "snapshot table", pos, t->len);
	h->snapshots_pos = pos;
	h->nsnapshots = t->n;
	return writer_write_back(q->alloc->writer, e);
}
