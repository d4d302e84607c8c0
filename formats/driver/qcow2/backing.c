/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.c - another backing file, and a disk that shows nothing but that.
 *
 * The header with its extensions should lie in one sector, so that a power cut leaves the old one
 * or the new one: for that the feature name table may be dropped, which only serves readers that do
 * not know a feature.  The name of the backing file is written before the header, to sectors that
 * hold neither the old name nor any other part of the old header.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "l1.h"
#include "walk.h"

/* The old and the new first cluster. */
struct head {
	const struct qcow2 *q;
	unsigned char *old, *new;
	uint64_t old_len, len; /* without the name */
	uint64_t name_pos;
	const char *name, *format; /* NULL: none */
	uint64_t name_len;
};

/* Copies the other extensions, which were checked when the image was opened. */
static void add_others(struct head *h, bool features)
{
	const struct qcow2_header *header = &h->q->header;
	uint64_t end = header->backing_pos ? header->backing_pos : h->q->cluster_size;
	uint64_t at, len;

	for (at = header->length; at + QCOW2_EXTENSION_HEAD <= end;
		at += QCOW2_EXTENSION_HEAD + round_up(len, 8)) {
		const unsigned char *p = h->old + at;
		uint32_t type = load_be32(p);

		len = load_be32(p + 4);
		if (type == QCOW2_EXTENSION_END || len > end - at - QCOW2_EXTENSION_HEAD)
			break;
		if (type != QCOW2_EXTENSION_BACKING_FORMAT &&
			(features || type != QCOW2_EXTENSION_FEATURES))
			qcow2_header_add_extension(h->new, h->q->cluster_size, &h->len, type,
				p + QCOW2_EXTENSION_HEAD, len);
	}
	h->old_len = at + QCOW2_EXTENSION_HEAD;
}

static void compose(struct head *h, bool features)
{
	memset(h->new, 0, h->q->cluster_size);
	memcpy(h->new, h->old, h->q->header.length);
	h->len = h->q->header.length;
	if (h->name && h->format)
		qcow2_header_add_extension(h->new, h->q->cluster_size, &h->len,
			QCOW2_EXTENSION_BACKING_FORMAT, h->format, strlen(h->format));
	add_others(h, features);
	qcow2_header_add_extension(
		h->new, h->q->cluster_size, &h->len, QCOW2_EXTENSION_END, NULL, 0);
}

/* The name lies in the sector of the header, or in sectors without any part of the old header. */
static int place_name(struct head *h, struct err *e)
{
	const struct qcow2_header *header = &h->q->header;
	uint64_t len = h->name_len, old_end = header->backing_pos + header->backing_len;

	h->name_pos = h->len;
	if (h->len > WRITE_SECTOR || h->len + len > WRITE_SECTOR) {
		h->name_pos = round_up(MAX(h->len, h->old_len), WRITE_SECTOR);
		if (header->backing_pos < h->name_pos + len && h->name_pos < old_end)
			h->name_pos = round_up(old_end, WRITE_SECTOR);
	}
	if (range_fits(h->name_pos, len, h->q->cluster_size))
		return 0;
	return err_set(
		e, ENOSPC, "the first cluster has no space for a name of %" PRIu64 " bytes", len);
}

/* Drops the feature name table only if the rest fits into a sector without it. */
static int encode(struct head *h, struct err *e)
{
	int r;

	compose(h, true);
	if (h->len > WRITE_SECTOR)
		compose(h, false);
	if (h->len > WRITE_SECTOR)
		compose(h, true);
	r = place_name(h, e);
	store_be64(h->new + QCOW2_AT_BACKING, h->name ? h->name_pos : 0);
	store_be32(h->new + QCOW2_AT_BACKING + 8, h->name_len);
	return r;
}

static int write_head(const struct head *h, struct err *e)
{
	struct io *io = h->q->io;
	uint64_t len = round_up(h->len, WRITE_SECTOR);
	int r = 0;

	if (h->name && h->name_pos < len)
		memcpy(h->new + h->name_pos, h->name, h->name_len);
	else if (h->name)
		r = meta_write(io, h->name, h->name_len, h->name_pos, ORDER_TABLES, e);
	if (r == 0)
		r = meta_write(io, h->new, len, 0, ORDER_HEADER, e);
	return r;
}

static int check(const struct qcow2 *q, const char *name, const char *format, struct err *e)
{
	if (!name)
		return 0;
	if (q->header.autoclear & QCOW2_DATA_FILE_RAW)
		return err_set(e, EINVAL, "data_file_raw leaves no place for a backing file");
	if (strlen(name) == 0 || strlen(name) > LIMIT_NAME)
		return err_set(e, EINVAL, "backing file name: %zu bytes are not 1..%d",
			strlen(name), LIMIT_NAME);
	if (format && strlen(format) > QCOW2_FORMAT_NAME)
		return err_set(e, EINVAL, "backing format: at most %d bytes", QCOW2_FORMAT_NAME);
	return 0;
}

int qcow2_backing_set(struct image *img, const char *name, const char *format, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct head h = {
		.q = q,
		.old = calloc(1, q->cluster_size),
		.new = calloc(1, q->cluster_size),
		.name = name,
		.format = format,
		.name_len = name ? strlen(name) : 0,
	};
	int r = h.old && h.new ? check(q, name, format, e) : err_nomem(e);

	if (r == 0)
		r = meta_read(q->cache, q->io, h.old, q->cluster_size, 0, e);
	if (r == 0)
		r = encode(&h, e);
	if (r == 0)
		r = write_head(&h, e);
	if (r == 0)
		r = writer_write_back(img->writer, e);
	if (r == 0) {
		q->header.backing_pos = name ? h.name_pos : 0;
		q->header.backing_len = h.name_len;
		snprintf(q->header.backing, sizeof q->header.backing, "%s", name ? name : "");
		snprintf(q->header.backing_format, sizeof q->header.backing_format, "%s",
			name && format ? format : "");
	}
	free(h.old);
	free(h.new);
	return r;
}

/* The disk is empty once the new L1 table is durable; a failure after that only leaks clusters. */
int qcow2_backing_empty(struct image *img, struct err *e)
{
	struct qcow2_view *live = (struct qcow2_view *)img->states[0]->view;
	struct qcow2 *q = live->q;
	uint64_t entries = qcow2_l1_needed(q, live->view.size);
	struct qcow2_l1 none = {.entries = 0}, old = qcow2_l1_of(live), l1;
	struct err why = ERR_INIT;
	int r = qcow2_l1_make(q, none, 0, MAX(1, entries), &l1, e);

	if (r == 0)
		r = qcow2_l1_switch(live, l1, e);
	if (r < 0)
		return r;
	r = qcow2_walk_drop(q, old, &why);
	if (r == 0)
		r = qcow2_alloc_flush(q->alloc, &why);
	return qcow2_walk_warn_leak(img, r, &why);
}
