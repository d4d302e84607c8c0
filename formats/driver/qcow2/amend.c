/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* amend.c - the version of an image, the width of its refcounts, and flags in its header, changed.
 *
 * All that a new version or width needs is durable before the header says so, in one sector.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view/writer.h"
#include "image/amend.h"
#include "image/image.h"
#include "alloc.h"
#include "head.h"
#include "refcount-width.h"
#include "snapshot.h"
#include "walk.h"

/* Snapshots. */

/* Appends an entry of the table in the file with all extra data of version 3, which QEMU requires
 * there. */
static int append_whole(struct qcow2 *q, struct qcow2_snapshot_table *t,
	const struct qcow2_snapshot *s, struct err *e)
{
	struct qcow2_snapshot copy = *s;
	char *id, *name;
	int r = qcow2_snapshot_read_names(q, s, &id, &name, e);

	copy.id_len = r == 0 ? strlen(id) : 0;
	copy.name_len = r == 0 ? strlen(name) : 0;
	if (r == 0)
		qcow2_snapshot_table_append(t, &copy, id, name);
	free(id);
	free(name);
	return r;
}

/* Gives all entries of the snapshot table the extra data of version 3, if one lacks it. */
static int complete_snapshots(struct qcow2 *q, struct err *e)
{
	uint64_t pos = q->header.snapshots_pos, more = 0;
	struct qcow2_snapshot_table t;
	struct qcow2_snapshot s;
	bool whole = true;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < q->header.nsnapshots; i++) {
		r = qcow2_snapshot_read(q, pos, &s, e);
		whole &= s.extra_len >= 16;
		more += qcow2_snapshot_table_entry_max(&s);
		pos += r < 0 ? 0 : round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
	}
	if (r < 0 || whole)
		return r;
	r = qcow2_snapshot_table_load(q, more, &t, e);
	if (r < 0)
		return r;
	t.len = t.n = 0;
	pos = q->header.snapshots_pos;
	for (uint32_t i = 0; r == 0 && i < q->header.nsnapshots; i++) {
		r = qcow2_snapshot_read(q, pos, &s, e);
		if (r == 0)
			r = append_whole(q, &t, &s, e);
		pos += r < 0 ? 0 : round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
	}
	if (r < 0) {
		free(t.p);
		return r;
	}
	return qcow2_snapshot_table_store(q, &t, e);
}

/* Version 2 does not record the size of a snapshot's disk. */
static int check_snapshots(const struct qcow2 *q, struct err *e)
{
	uint64_t pos = q->header.snapshots_pos;
	struct qcow2_snapshot s;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < q->header.nsnapshots; i++) {
		r = qcow2_snapshot_read(q, pos, &s, e);
		if (r == 0 && s.disk_size != q->header.size)
			r = err_set(e, ENOTSUP, "Internal snapshots prevent downgrade of image");
		pos += r < 0 ? 0 : round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
	}
	return r;
}

/* The version. */

static int put_header(struct qcow2 *q, const struct qcow2_header *h, struct err *e)
{
	int r = qcow2_head_write(q, h, e);

	q->zero_flag = q->header.version >= 3 && !q->extended;
	return r;
}

static int upgrade(struct qcow2 *q, struct err *e)
{
	struct qcow2_header h;
	int r = complete_snapshots(q, e);

	h = q->header;
	h.version = 3;
	h.length = QCOW2_HEADER_LENGTH;
	return r == 0 ? put_header(q, &h, e) : r;
}

static int check_downgrade(const struct qcow2 *q, struct err *e)
{
	const struct qcow2_header *h = &q->header;

	if (h->incompatible & QCOW2_DATA_FILE)
		return err_set(e, ENOTSUP, "Cannot downgrade an image with a data file");
	if (h->incompatible)
		return err_set(e, ENOTSUP,
			"Cannot downgrade an image with incompatible features 0x%" PRIx64 " set",
			h->incompatible);
	if (h->refcount_order != 4)
		return err_set(e, ENOTSUP, "compat=0.10 requires refcount_bits=16");
	if (h->autoclear & QCOW2_BITMAPS && h->nbitmaps > 0) {
		err_set(e, ENOTSUP, "Cannot downgrade an image with bitmaps");
		return err_hint_code(e, HINT_REMOVE_BITMAP, NULL);
	}
	return check_snapshots(q, e);
}

/* Replaces the zero clusters of all states, which version 2 does not know. */
static int expand_all(struct image *img, struct err *e)
{
	struct qcow2 *q = img->priv;
	const struct qcow2_view *live = (const struct qcow2_view *)img->states[0]->view;
	uint64_t pos = q->header.snapshots_pos;
	struct qcow2_snapshot s;
	int r = qcow2_walk_expand_zeroes(q, qcow2_l1_of(live), true, e);

	for (uint32_t i = 0; r == 0 && i < q->header.nsnapshots; i++) {
		r = qcow2_snapshot_read(q, pos, &s, e);
		if (r == 0)
			r = qcow2_walk_expand_zeroes(q,
				(struct qcow2_l1){.pos = s.l1_pos, .entries = s.l1_size}, false, e);
		pos += r < 0 ? 0 : round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
	}
	return r == 0 ? writer_write_back(q->alloc->writer, e) : r;
}

static int downgrade(struct image *img, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct qcow2_header h;
	int r = check_downgrade(q, e);

	if (r == 0)
		r = expand_all(img, e);
	if (r < 0)
		return r;
	h = q->header;
	h.version = 2;
	h.length = 72;
	h.compatible = h.autoclear = 0;
	h.nbitmaps = 0;
	r = put_header(q, &h, e);
	return r == 0 ? qcow2_alloc_flush(q->alloc, e) : r;
}

/* The flags. */

static int check_flags(const struct qcow2 *q, const struct amendment *a, struct err *e)
{
	bool raw = q->header.autoclear & QCOW2_DATA_FILE_RAW;
	unsigned version = a->version ? a->version : q->header.version;

	if (a->lazy_refcounts == AMEND_ON && version < 3)
		return err_set(e, EINVAL,
			"Lazy refcounts only supported with compatibility level 1.1 and above (use "
			"compat=1.1 or greater)");
	if (a->data_file_raw == AMEND_ON && !raw)
		return err_set(e, EINVAL, "data-file-raw cannot be set on existing images");
	if (a->data_file && !q->external)
		return err_set(e, EINVAL,
			"data-file can only be set for images that use an external data file");
	if (a->data_file)
		return err_set(e, ENOTSUP, "another data file cannot be set");
	if (a->refcount_bits && a->refcount_bits != 16 && version < 3)
		return err_set(e, EINVAL,
			"Refcount widths other than 16 bits require compatibility level 1.1 or "
			"above (use compat=1.1 or greater)");
	if (!is_power_of_2(a->refcount_bits ? a->refcount_bits : 1) || a->refcount_bits > 64)
		return err_set(e, EINVAL,
			"Refcount width must be a power of two and may not exceed 64 bits");
	return 0;
}

static int put_flags(struct qcow2 *q, const struct amendment *a, struct err *e)
{
	struct qcow2_header h = q->header;

	if (a->lazy_refcounts == AMEND_ON)
		h.compatible |= QCOW2_LAZY_REFCOUNTS;
	if (a->lazy_refcounts == AMEND_OFF)
		h.compatible &= ~(uint64_t)QCOW2_LAZY_REFCOUNTS;
	if (a->data_file_raw == AMEND_OFF)
		h.autoclear &= ~(uint64_t)QCOW2_DATA_FILE_RAW;
	if (h.compatible == q->header.compatible && h.autoclear == q->header.autoclear)
		return 0;
	return put_header(q, &h, e);
}

int qcow2_amend(struct image *img, const struct amendment *a, struct err *e)
{
	struct qcow2 *q = img->priv;
	unsigned bits = a->refcount_bits;
	int r = check_flags(q, a, e);

	if (r == 0 && a->version == 3 && q->header.version < 3)
		r = upgrade(q, e);
	if (r == 0 && bits && bits != 1u << q->header.refcount_order)
		r = qcow2_refcount_set_width(q, __builtin_ctz(bits), e);
	if (r == 0)
		r = put_flags(q, a, e);
	if (r == 0 && a->version == 2 && !a->not_version && q->header.version > 2)
		r = downgrade(img, e);
	return r;
}
