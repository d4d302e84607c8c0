/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* head.c - the header with its extensions, written anew.
 *
 * A power cut leaves the old one or the new one, as long as the parts that change lie in one
 * sector.  So the feature name table, which only serves readers that do not know a feature, comes
 * last, and what passes the first sector is written before it, to sectors that the old header does
 * not use; when it does, a header without the table is written first.  The name of the backing file
 * is written before the header, to sectors that hold neither the old name nor any other part of the
 * old header.
 */
#include "head.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "alloc.h"
#include "qcow2.h"

/* The old and the new first cluster. */
struct head {
	const struct qcow2 *q;
	const struct qcow2_header *header; /* the new one */
	unsigned char *old, *new;
	uint64_t old_len, len; /* without the name */
	uint64_t full_len;     /* of the new one with the feature name table */
	uint64_t name_pos, name_len;
};

static bool is_ours(uint32_t type)
{
	return type == QCOW2_EXTENSION_BACKING_FORMAT || type == QCOW2_EXTENSION_BITMAPS ||
	       type == QCOW2_EXTENSION_FEATURES;
}

/* Copies the other extensions, which were checked when the image was opened. */
static void add_others(struct head *h)
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
		if (!is_ours(type))
			qcow2_header_add_extension(h->new, h->q->cluster_size, &h->len, type,
				p + QCOW2_EXTENSION_HEAD, len);
	}
	h->old_len = at + QCOW2_EXTENSION_HEAD;
}

static void compose(struct head *h, bool features)
{
	const struct qcow2_header *header = h->header;
	uint64_t max = h->q->cluster_size;
	unsigned char raw[QCOW2_BITMAPS_RECORD] = {0};

	memset(h->new, 0, max);
	if (header->version == h->q->header.version)
		memcpy(h->new, h->old, header->length);
	qcow2_header_encode(header, h->new);
	h->len = header->length;
	if (header->backing[0] && header->backing_format[0])
		qcow2_header_add_extension(h->new, max, &h->len, QCOW2_EXTENSION_BACKING_FORMAT,
			header->backing_format, strlen(header->backing_format));
	add_others(h);
	if (header->nbitmaps > 0) {
		store_be32(raw, header->nbitmaps);
		store_be64(raw + 8, header->bitmaps_len);
		store_be64(raw + 16, header->bitmaps_pos);
		qcow2_header_add_extension(
			h->new, max, &h->len, QCOW2_EXTENSION_BITMAPS, raw, sizeof raw);
	}
	if (features)
		qcow2_header_add_features(h->new, max, &h->len);
	qcow2_header_add_extension(h->new, max, &h->len, QCOW2_EXTENSION_END, NULL, 0);
}

/* The name lies in the sector of the header, or in sectors without any part of the old header; one
 * that does not change stays in place. */
static int place_name(struct head *h, struct err *e)
{
	const struct qcow2_header *header = &h->q->header;
	uint64_t len = h->name_len, old_end = header->backing_pos + header->backing_len;

	h->name_pos = header->backing_pos;
	if (header->backing_pos >= round_up(h->full_len, WRITE_SECTOR) &&
		strcmp(header->backing, h->header->backing) == 0)
		return 0;
	h->name_pos = h->len;
	if (h->len > WRITE_SECTOR || h->len + len > WRITE_SECTOR) {
		h->name_pos = round_up(MAX(h->full_len, h->old_len), WRITE_SECTOR);
		if (header->backing_pos < h->name_pos + len && h->name_pos < old_end)
			h->name_pos = round_up(old_end, WRITE_SECTOR);
	}
	if (range_fits(h->name_pos, len, h->q->cluster_size))
		return 0;
	return err_set(
		e, ENOSPC, "the first cluster has no space for a name of %" PRIu64 " bytes", len);
}

/* Does the old header use none of the sectors after the first one that the new one takes? */
static bool is_apart(const struct head *h)
{
	const struct qcow2_header *header = &h->q->header;
	uint64_t name_end = header->backing_pos + header->backing_len;

	return h->old_len <= WRITE_SECTOR &&
	       (name_end <= WRITE_SECTOR || header->backing_pos >= round_up(h->len, WRITE_SECTOR));
}

static int encode(struct head *h, bool has_room, bool features, struct err *e)
{
	int r;

	compose(h, has_room);
	h->full_len = h->len;
	compose(h, features);
	if (h->len > h->q->cluster_size)
		return err_set(e, ENOSPC, "the first cluster has no space for the header");
	r = place_name(h, e);
	store_be64(h->new + QCOW2_AT_BACKING, h->name_len > 0 ? h->name_pos : 0);
	store_be32(h->new + QCOW2_AT_BACKING + 8, h->name_len);
	return r;
}

/* Writes the sectors after the first before that, which refers to them, unless the old header uses
 * them as well. */
static int write_head(struct head *h, struct err *e)
{
	struct writer *w = h->q->alloc->writer;
	struct io *io = h->q->io;
	uint64_t len = round_up(h->len, WRITE_SECTOR);
	bool apart = is_apart(h);
	int r = 0;

	if (h->name_len > 0 && h->name_pos < len)
		memcpy(h->new + h->name_pos, h->header->backing, h->name_len);
	else if (h->name_len > 0)
		r = meta_write(io, h->header->backing, h->name_len, h->name_pos, ORDER_TABLES, e);
	if (r == 0 && len > WRITE_SECTOR)
		r = meta_write(io, h->new + WRITE_SECTOR, len - WRITE_SECTOR, WRITE_SECTOR,
			apart ? ORDER_TABLES : ORDER_HEADER, e);
	if (r == 0)
		r = meta_write(io, h->new, WRITE_SECTOR, 0, ORDER_HEADER, e);
	return r == 0 ? writer_write_back(w, e) : r;
}

/* Writes the header with or without the feature name table. */
static int replace(struct head *h, struct qcow2 *q, bool has_room, bool features, struct err *e)
{
	int r = meta_read(q->cache, q->io, h->old, q->cluster_size, 0, e);

	if (r == 0)
		r = encode(h, has_room, features, e);
	if (r == 0)
		r = write_head(h, e);
	if (r == 0) {
		q->header = *h->header;
		q->header.backing_pos = h->name_len > 0 ? h->name_pos : 0;
		q->header.backing_len = h->name_len;
	}
	return r;
}

/* Is there room for the feature name table, also beside names that move? */
static bool has_room(const struct qcow2 *q, const struct qcow2_header *new)
{
	return new->version >= 3 && q->cluster_size > 4096;
}

int qcow2_head_write(struct qcow2 *q, const struct qcow2_header *new, struct err *e)
{
	struct qcow2_header copy = *new;
	struct head h = {
		.q = q,
		.header = &copy,
		.old = calloc(1, q->cluster_size),
		.new = calloc(1, q->cluster_size),
		.name_len = strlen(new->backing),
	};
	bool room = has_room(q, new);
	int r = h.old && h.new ? 0 : err_nomem(e);

	if (r == 0)
		r = replace(&h, q, room, false, e);
	if (r == 0 && room)
		r = replace(&h, q, room, true, e);
	free(h.old);
	free(h.new);
	return r;
}
