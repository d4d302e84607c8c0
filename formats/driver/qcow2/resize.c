/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - the size of the live disk changed.
 *
 * Bytes beyond the end of a disk never appear again: not when it becomes shorter and then longer,
 * not from a longer backing file, not from a VM state that was saved there.
 */
#include "resize.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "alloc.h"
#include "l1.h"
#include "l2.h"
#include "write.h"

/* Drops all clusters from off, the start of one, to the end of the L1 table.  A whole L2 table is
 * unlinked, since a snapshot may go on using it. */
static int drop_from(struct qcow2_view *v, uint64_t off, struct err *e)
{
	struct qcow2 *q = v->q;
	unsigned bits = qcow2_l1_bits(q);
	uint64_t entry, table, len;
	int r = 0;

	for (; r == 0 && off >> bits < v->l1_size; off += len) {
		r = qcow2_l1_lookup(v, off, &entry, &table, &len, e);
		if (r < 0 || table == 0)
			continue;
		if (len >> bits == 1) {
			r = meta_zero(q->io, QCOW2_ENTRY_SIZE,
				v->l1_pos + (off >> bits) * QCOW2_ENTRY_SIZE, ORDER_TABLES_ROOT, e);
			if (r == 0)
				r = qcow2_l2_drop_table(q, table, e);
		} else {
			r = qcow2_l2_own(v, off, &table, e);
			if (r == 0)
				r = qcow2_l2_drop_entries(q, table, off, true, e);
		}
		if (r == 0)
			r = qcow2_alloc_flush_if_full(q->alloc, e);
	}
	return r;
}

/* Moves the cluster at off to a new position, with zeroes after the end of the disk. */
static int move_last(struct qcow2_view *v, uint64_t off, uint64_t new_size, struct err *e)
{
	const struct qcow2 *q = v->q;
	struct reservation res = {.off = off, .len = q->cluster_size, .io = q->data};
	uint64_t len = q->external ? MIN(q->cluster_size, new_size - off) : q->cluster_size;
	unsigned char *buf = calloc(1, q->cluster_size);
	size_t n = 1;
	int r;

	if (!buf)
		return err_nomem(e);
	r = view_read_inside(&v->view, buf, v->view.size - off, off, e);
	if (r == 0)
		r = qcow2_write_allocate(q, off, &n, &res.pos, NULL, e);
	if (r == 0)
		r = io_write(res.io, buf, len, res.pos, e);
	if (r == 0)
		r = qcow2_write_commit(&v->view, &res, e);
	free(buf);
	return r;
}

/* Zeroes the rest of the last cluster, beyond the end of the disk. */
static int zero_last(struct qcow2_view *v, uint64_t new_size, struct err *e)
{
	const struct qcow2 *q = v->q;
	uint64_t end = v->view.size, off = end - qcow2_in_cluster(q, end), entry, table, len, pos;
	struct qcow2_l2_entries t = {.raw = {0}};
	enum qcow2_l2_kind kind;
	bool owned;
	int r;

	if (off == end)
		return 0;
	r = qcow2_l1_lookup(v, off, &entry, &table, &len, e);
	if (r == 0 && table != 0)
		r = qcow2_l2_read(q, table, off, 1, &t, e);
	if (r == 0)
		r = qcow2_l2_is_owned(q, t.raw, &owned, e);
	if (r < 0)
		return r;
	kind = qcow2_l2_kind(q, load_be64(t.raw));
	if (kind == QCOW2_L2_ZERO || kind == QCOW2_L2_ZERO_ALLOCATED ||
		(load_be64(t.raw) == 0 && qcow2_zero_below(v, end)))
		return 0;
	if (!owned || q->extended)
		return move_last(v, off, new_size, e);
	pos = (load_be64(t.raw) & QCOW2_OFFSET) + (end - off);
	len = MIN(q->cluster_size - (end - off), q->data->size - MIN(pos, q->data->size));
	return len > 0 ? io_zero(q->data, pos, len, e) : 0;
}

/* Clears the range that a backing file longer than the old disk would show. */
static int hide_below(struct qcow2_view *v, uint64_t size, struct err *e)
{
	uint64_t off = round_up(v->view.size, v->q->cluster_size), len;
	int r = 0;

	if (qcow2_zero_below(v, off) || off >= size)
		return 0;
	size = MIN(size, v->view.below->size);
	for (; r == 0 && off < size; off += len) {
		len = MIN(size - off, UINT64_C(1) << qcow2_l1_bits(v->q));
		r = qcow2_write_clear(&v->view, off, len, e);
		if (r == 0)
			r = qcow2_alloc_flush_if_full(v->q->alloc, e);
	}
	return r;
}

/* Allocates clusters for the entries in one page of an L2 table. */
static int preallocate_some(struct qcow2_view *v, uint64_t off, uint64_t end,
	struct qcow2_l2_entries *t, uint64_t *pos, struct err *e)
{
	struct qcow2 *q = v->q;
	uint64_t table;
	int r = qcow2_l2_own(v, off, &table, e);

	if (r == 0)
		r = qcow2_l2_read(q, table, off, qcow2_clusters_of(q, off, end - off), t, e);
	if (r == 0)
		r = qcow2_write_allocate(q, off, &t->n, pos, NULL, e);
	for (size_t i = 0; r == 0 && i < t->n; i++) {
		uint64_t host = *pos + ((uint64_t)i << q->header.cluster_bits);

		store_be64(t->raw + i * q->entry_size, host | QCOW2_COPIED);
		if (q->extended)
			store_be64(t->raw + i * q->entry_size + 8, q->external ? UINT32_MAX : 0);
	}
	return r < 0 ? r : meta_write(q->io, t->raw, t->n * q->entry_size, t->pos, ORDER_TABLES, e);
}

int qcow2_resize_preallocate(struct qcow2_view *v, uint64_t off, uint64_t end,
	qcow2_resize_allocated *allocated, void *arg, struct err *e)
{
	const struct qcow2 *q = v->q;
	struct qcow2_l2_entries t;
	uint64_t pos = 0;
	int r = 0;

	for (; r == 0 && off < end; off += (uint64_t)t.n << q->header.cluster_bits) {
		r = preallocate_some(v, off, end, &t, &pos, e);
		if (r == 0 && allocated)
			r = allocated(
				arg, q->data, pos, (uint64_t)t.n << q->header.cluster_bits, e);
		if (r == 0)
			r = qcow2_alloc_flush_if_full(q->alloc, e);
	}
	return r;
}

int qcow2_resize_put_size(struct qcow2_view *v, uint64_t size, struct err *e)
{
	struct qcow2 *q = v->q;
	unsigned char raw[8];
	int r = size == q->header.size ? 0 : qcow2_dirty_begin_resize(q, e);

	store_be64(raw, size);
	if (r == 0)
		r = meta_write(q->io, raw, sizeof raw, QCOW2_AT_SIZE, ORDER_HEADER, e);
	if (r < 0)
		return r;
	q->header.size = q->size = size;
	v->view.size = size;
	return 0;
}

static int grow(struct qcow2_view *v, uint64_t size, struct err *e)
{
	struct qcow2 *q = v->q;
	uint64_t old = v->view.size, entries = qcow2_l1_needed(q, size);
	struct qcow2_l1 l1;
	int r = 0;

	if (q->header.version < 3 && !qcow2_zero_below(v, old))
		return err_set(e, ENOTSUP,
			"version 2 cannot hide the backing file beyond the end of the disk");
	if (q->external && q->data->size < size)
		r = io_resize(q->data, size, e);
	if (r == 0)
		r = zero_last(v, size, e);
	if (r == 0)
		r = drop_from(v, round_up(old, q->cluster_size), e);
	if (r == 0 && entries > v->l1_size) {
		r = qcow2_l1_make(q, qcow2_l1_of(v), UINT64_MAX, entries, &l1, e);
		if (r == 0)
			r = qcow2_l1_switch(v, l1, e);
	}
	if (r == 0)
		r = hide_below(v, size, e);
	/* Bytes that others write to a raw data file are part of the disk. */
	if (r == 0 && q->external && q->header.autoclear & QCOW2_DATA_FILE_RAW)
		r = qcow2_resize_preallocate(
			v, round_up(old, q->cluster_size), size, NULL, NULL, e);
	if (r == 0)
		r = qcow2_resize_put_size(v, size, e);
	if (r == 0)
		qcow2_dirty_resize(q, old);
	return r;
}

int qcow2_resize_check(const struct qcow2 *q, uint64_t size, struct err *e)
{
	uint64_t max = (uint64_t)QCOW2_MAX_L1_BYTES / QCOW2_ENTRY_SIZE;

	if (size % 512 != 0)
		return err_set(e, EINVAL, "%" PRIu64 " bytes are not whole sectors", size);
	if (size > LIMIT_DISK_SIZE || qcow2_l1_needed(q, size) > max)
		return err_set(e, EFBIG,
			"a disk of %" PRIu64 " bytes needs an L1 table of more than %u bytes", size,
			QCOW2_MAX_L1_BYTES);
	return 0;
}

int qcow2_resize(struct view *view, uint64_t size, struct err *e)
{
	struct qcow2_view *v = (struct qcow2_view *)view;
	struct qcow2 *q = v->q;
	uint64_t old = view->size;
	int r = qcow2_resize_check(q, size, e);

	if (r == 0 && q->header.version < 3 && q->header.nsnapshots > 0)
		r = err_set(e, ENOTSUP, "version 2 cannot resize a disk with snapshots");
	if (r < 0)
		return r;
	if (size > view->size)
		return grow(v, size, e);
	/* The new end is durable before anything beyond it is dropped. */
	r = qcow2_resize_put_size(v, size, e);
	if (r == 0)
		r = writer_write_back(q->alloc->writer, e);
	if (r < 0)
		return r;
	qcow2_dirty_resize(q, old);
	r = drop_from(v, round_up(size, q->cluster_size), e);
	if (r == 0 && q->external)
		r = io_resize(q->data, size, e);
	return r;
}
