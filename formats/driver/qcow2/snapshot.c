/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.c - the table of internal snapshots, each of which becomes a state of the image; also
 * loaded as a whole, changed in memory, and stored again.
 *
 * Entries have no fixed length: when one is damaged so that its end is unknown, those after it
 * cannot be found, and the table as a whole is invalid.  Other damage of an entry concerns that
 * snapshot alone: it is listed, and reading it fails with the reason.
 */
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "l1.h"
#include "map.h"

void qcow2_snapshot_decode(const struct qcow2 *q, uint64_t pos,
	const unsigned char raw[QCOW2_SNAPSHOT_HEAD], struct qcow2_snapshot *s)
{
	*s = (struct qcow2_snapshot){.pos = pos, .disk_size = q->size, .icount = -1};
	s->l1_pos = load_be64(raw);
	s->l1_size = load_be32(raw + 8);
	s->id_len = load_be16(raw + 12);
	s->name_len = load_be16(raw + 14);
	s->when.tv_sec = load_be32(raw + 16);
	s->when.tv_nsec = MIN(load_be32(raw + 20), 999999999);
	s->vm_clock = load_be64(raw + 24);
	s->vmstate_size = load_be32(raw + 32);
	s->extra_len = load_be32(raw + 36);
	s->len = QCOW2_SNAPSHOT_FIXED + (uint64_t)s->extra_len + s->id_len + s->name_len;
	/* The extra data of newer programs is longer. */
	if (s->extra_len >= 8)
		s->vmstate_size = load_be64(raw + QCOW2_SNAPSHOT_FIXED);
	if (s->extra_len >= 16)
		s->disk_size = load_be64(raw + QCOW2_SNAPSHOT_FIXED + 8) & ~(uint64_t)511;
	if (s->extra_len >= 24)
		s->icount = (int64_t)load_be64(raw + QCOW2_SNAPSHOT_FIXED + 16);
}

int qcow2_snapshot_read(
	const struct qcow2 *q, uint64_t pos, struct qcow2_snapshot *s, struct err *e)
{
	unsigned char raw[QCOW2_SNAPSHOT_HEAD];
	int r = meta_read(q->cache, q->io, raw, sizeof raw, pos, e);

	if (r < 0)
		return r;
	qcow2_snapshot_decode(q, pos, raw, s);
	if (s->extra_len > QCOW2_MAX_SNAPSHOT_EXTRA)
		return err_set(e, EINVAL, "%" PRIu32 " bytes of extra data are more than %d",
			s->extra_len, QCOW2_MAX_SNAPSHOT_EXTRA);
	if (!range_fits(pos, s->len, q->io->size))
		return err_set(e, EINVAL, "passes the end of the file, 0x%" PRIx64, q->io->size);
	return 0;
}

int qcow2_snapshot_read_names(const struct qcow2 *q, const struct qcow2_snapshot *s, char **id,
	char **name, struct err *e)
{
	uint64_t pos = s->pos + QCOW2_SNAPSHOT_FIXED + s->extra_len;
	int r;

	*id = calloc(1, s->id_len + 1u);
	*name = calloc(1, s->name_len + 1u);
	if (!*id || !*name)
		return err_nomem(e);
	r = meta_read(q->cache, q->io, *id, s->id_len, pos, e);
	return r < 0 ? r : meta_read(q->cache, q->io, *name, s->name_len, pos + s->id_len, e);
}

/* Checks that the disk of the snapshot can be read. */
static int check_disk(const struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	if (q->external)
		return err_set(e, ENOTSUP,
			"snapshots in an image with an external data file keep no data");
	if (s->disk_size > LIMIT_DISK_SIZE)
		return err_set(e, EINVAL, "disk size %" PRIu64 " is more than %" PRIu64,
			s->disk_size, LIMIT_DISK_SIZE);
	return qcow2_l1_check(q, s->l1_pos, s->l1_size, e);
}

/* A view of size bytes from guest offset start on; if why is set, its reads fail with it. */
static struct view *make_view(struct qcow2 *q, const struct qcow2_snapshot *s, uint64_t size,
	uint64_t start, const struct err *why, struct err *e)
{
	return why->code ? view_broken(MIN(size, LIMIT_DISK_SIZE), why->text, e)
			 : qcow2_map_view(q, size, start, s->l1_pos, s->l1_size, e);
}

int qcow2_snapshot_add(struct image *img, struct qcow2 *q, const struct qcow2_snapshot *s,
	const char *id, const char *name, struct err *e)
{
	struct state *state = state_new(id, name, e);
	/* The VM state is mapped by the first L1 entries after those of the disk. */
	uint64_t start = round_up(s->disk_size, UINT64_C(1) << qcow2_l1_bits(q));
	uint64_t end = (uint64_t)s->l1_size << qcow2_l1_bits(q);
	struct err why = ERR_INIT;
	int r;

	if (!state)
		return -e->code;
	state->when = s->when;
	state->vm_clock = s->vm_clock;
	state->icount = s->icount;
	if (check_disk(q, s, &why) < 0)
		err_in(&why, "the snapshot cannot be read");
	state->view = make_view(q, s, s->disk_size, 0, &why, e);
	r = state->view ? 0 : -e->code;
	if (r == 0 && s->vmstate_size > 0) {
		if (!why.code && !range_fits(start, s->vmstate_size, end))
			err_set(&why, EUCLEAN,
				"the snapshot cannot be read: VM state: %" PRIu64
				" bytes are more than the L1 table maps",
				s->vmstate_size);
		state->vmstate = make_view(q, s, s->vmstate_size, start, &why, e);
		r = state->vmstate ? 0 : -e->code;
	}
	if (r == 0)
		r = state_add(img, state, e);
	if (r < 0)
		state_put(state);
	return r;
}

static int add_entries(struct image *img, struct qcow2 *q, uint64_t *len, struct err *e)
{
	uint64_t start = q->header.snapshots_pos;

	*len = 0;
	if (qcow2_in_cluster(q, start))
		return err_set(e, EINVAL, "offset 0x%" PRIx64 " is not a multiple of %" PRIu32,
			start, q->cluster_size);
	if (q->header.nsnapshots > QCOW2_MAX_SNAPSHOTS)
		return err_set(e, EFBIG, "%" PRIu32 " snapshots are more than %d",
			q->header.nsnapshots, QCOW2_MAX_SNAPSHOTS);
	for (uint32_t i = 0; i < q->header.nsnapshots; i++) {
		struct qcow2_snapshot s;
		char *id, *name;
		int r = qcow2_snapshot_read(q, start + *len, &s, e);

		if (r < 0)
			return err_in(e, "entry %" PRIu32, i);
		*len += round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
		if (*len > QCOW2_MAX_SNAPSHOT_BYTES)
			return err_set(e, EFBIG, "more than %u bytes", QCOW2_MAX_SNAPSHOT_BYTES);
		r = qcow2_snapshot_read_names(q, &s, &id, &name, e);
		if (r == 0)
			r = qcow2_snapshot_add(img, q, &s, id, name, e);
		free(id);
		free(name);
		if (r < 0)
			return r;
	}
	return 0;
}

int qcow2_snapshot_add_all(struct image *img, struct qcow2 *q, struct err *e)
{
	uint64_t len;

	if (add_entries(img, q, &len, e) < 0) {
		err_in(e, "snapshot table invalid");
		return err_hint_code(e, HINT_NOSNAPSHOTS, NULL);
	}
	if (len > 0)
		qcow2_range_set(q, "snapshot table", q->header.snapshots_pos, len);
	return 0;
}

/* The table in memory. */

static uint64_t entry_len(const unsigned char *p)
{
	return round_up(
		QCOW2_SNAPSHOT_FIXED + load_be32(p + 36) + load_be16(p + 12) + load_be16(p + 14),
		QCOW2_SNAPSHOT_ALIGN);
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
		free(t->p);
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

int qcow2_snapshot_table_store(struct qcow2 *q, struct qcow2_snapshot_table *t, struct err *e)
{
	struct qcow2_header *h = &q->header;
	struct qcow2_clusters c = {0};
	unsigned char raw[12];
	uint64_t pos;
	int r = qcow2_alloc_prepare(q->alloc, 2, e);

	if (r == 0 && t->len > 0)
		r = qcow2_alloc_take(
			q->alloc, div_round_up(t->len, q->cluster_size), true, &c, NULL, e);
	pos = c.first << h->cluster_bits;
	store_be32(raw, t->n);
	store_be64(raw + 4, pos);
	if (r == 0) {
		r = meta_write(q->io, t->p, t->len, pos, ORDER_TABLES_ROOT, e);
		if (r == 0)
			r = meta_write(q->io, raw, sizeof raw, QCOW2_AT_SNAPSHOTS, ORDER_HEADER, e);
		if (r < 0)
			qcow2_alloc_drop(q->alloc, c.first, c.n);
	}
	free(t->p);
	if (r < 0)
		return r;
	qcow2_alloc_drop(q->alloc, h->snapshots_pos >> h->cluster_bits,
		div_round_up(t->stored, q->cluster_size));
	qcow2_range_set(q, "snapshot table", pos, t->len);
	h->snapshots_pos = pos;
	h->nsnapshots = t->n;
	return writer_write_back(q->alloc->writer, e);
}
