/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - writes a VMDK: its extents, and the values of the descriptor that identify its content.
 *
 * These values change with the first write, so that other programs detect the change.  New values
 * are as long as the old ones: nothing moves.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "disk.h"
#include "stream.h"
#include "tables.h"
#include "vmdk.h"

/* Overwrites the text of the descriptor at this place. */
static int patch(struct view *view, const char *at, const char *text, size_t len, struct err *e)
{
	const struct vmdk *v = (const struct vmdk *)view;
	struct io *io = v->io;
	uint64_t pos = v->text_pos + (at - v->text);

	/* A descriptor in a file of its own is not written in sectors. */
	return v->embedded ? meta_write(io, text, len, pos, ORDER_HEADER, e)
			   : io_write(io, text, len, pos, e);
}

/* A random content ID with as many digits as the old one.  VMDK_FIRST_CID and VMDK_NO_CID are
 * reserved. */
static int new_cid(const struct vmdk_descriptor *d, char text[9], struct err *e)
{
	size_t digits = strlen(d->at.cid);
	uint32_t mask = digits < 8 ? (UINT32_C(1) << 4 * digits) - 1 : UINT32_MAX, cid;
	unsigned char bits[GUID_LEN] = {0};
	int r;

	do {
		r = guid_random(bits, e);
		cid = load_le32(bits) & mask;
	} while (r == 0 && (cid == d->cid || cid >= VMDK_FIRST_CID));
	snprintf(text, 9, "%0*" PRIx32, (int)MIN(digits, 8), cid);
	return r;
}

/* The long content ID ends with the short one. */
static int change_long_cid(struct view *view, const char *at, const char *cid, struct err *e)
{
	unsigned char bits[GUID_LEN];
	char text[33];
	int r = guid_random(bits, e);

	if (r < 0 || strlen(at) != 32 || strlen(cid) != 8)
		return r;
	snprintf(text, sizeof text, "%016" PRIx64 "%08" PRIx32 "%s", load_le64(bits),
		load_le32(bits + 8), cid);
	return patch(view, at, text, 32, e);
}

static int change_id(struct view *view, const char *at, struct err *e)
{
	unsigned char id[GUID_LEN];
	char text[GUID_TEXT];
	int r = guid_random(id, e);

	if (r < 0 || strlen(at) < GUID_TEXT - 1)
		return r;
	guid_text(text, id);
	return patch(view, at + (*at == '{'), text, GUID_TEXT - 1, e);
}

/* The changes are not in the list that changeTrackPath names, and a backup by that list would lack
 * them: the key becomes a comment. */
static int vmdk_begin(struct view *view, struct err *e)
{
	const struct vmdk_descriptor *d = &((const struct vmdk *)view)->desc;
	char cid[9] = "";
	int r = 0;

	if (d->at.cid)
		r = new_cid(d, cid, e);
	if (r == 0 && d->at.cid)
		r = patch(view, d->at.cid, cid, strlen(cid), e);
	if (r == 0 && d->at.cid && d->at.long_cid)
		r = change_long_cid(view, d->at.long_cid, cid, e);
	if (r == 0 && d->at.change_id)
		r = change_id(view, d->at.change_id, e);
	if (r == 0 && d->at.tracking)
		r = patch(view, d->at.tracking, "#", 1, e);
	return r;
}

static struct vmdk_extent *extent_at(struct view *view, uint64_t off)
{
	return vmdk_disk_find_extent((const struct vmdk *)view, off);
}

static int vmdk_reserve(
	struct view *view, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	const struct vmdk_extent *x = extent_at(view, off);
	uint64_t inside = off - x->start;
	int r = vmdk_alloc_reserve(x->tables, inside, MIN(len, x->len - inside), res, e);

	if (r < 0)
		return r;
	res->len = MIN(res->len, x->len - res->off);
	res->off += x->start;
	return 0;
}

static int vmdk_commit(struct view *view, const struct reservation *res, struct err *e)
{
	const struct vmdk_extent *x = extent_at(view, res->off);

	return vmdk_alloc_commit(x->tables, res->off - x->start, res, e);
}

static void vmdk_cancel(struct view *view, const struct reservation *res)
{
	vmdk_alloc_cancel(extent_at(view, res->off)->tables, res);
}

/* A grain that is allocated stays so: only the host's blocks are freed. */
static int vmdk_clear(struct view *view, uint64_t off, uint64_t len, struct err *e)
{
	struct extent m;
	int r = 0;

	for (; r == 0 && len > 0; off += m.len, len -= m.len) {
		const struct vmdk_extent *x = extent_at(view, off);

		r = view_map(view, off, len, &m, e);
		if (r == 0 && m.kind == EXTENT_FILE)
			r = io_zero(m.io, m.pos, m.len, e);
		else if (r == 0 && m.kind == EXTENT_BELOW && view->below)
			r = vmdk_alloc_zero(x->tables, off - x->start, m.len, e);
	}
	return r;
}

static int vmdk_finish(struct view *view, struct err *e)
{
	const struct vmdk *v = (const struct vmdk *)view;
	int r = 0;

	for (size_t i = 0; r == 0 && i < v->desc.nlines; i++)
		if (v->extents[i].tables)
			r = vmdk_alloc_finish(v->extents[i].tables, e);
	return r;
}

static const struct write_ops vmdk_write_ops = {
	.begin = vmdk_begin,
	.reserve = vmdk_reserve,
	.commit = vmdk_commit,
	.cancel = vmdk_cancel,
	.resize = vmdk_resize,
	.finish = vmdk_finish,
};

/* For a disk all of whose extents can mark grains as zeroes. */
static const struct write_ops vmdk_write_zero_ops = {
	.begin = vmdk_begin,
	.reserve = vmdk_reserve,
	.commit = vmdk_commit,
	.cancel = vmdk_cancel,
	.clear = vmdk_clear,
	.resize = vmdk_resize,
	.finish = vmdk_finish,
};

static bool share_bytes(const struct vmdk_extent *a, const struct vmdk_extent *b)
{
	uint64_t start = MAX(a->line->start, b->line->start);
	uint64_t end = MIN(a->line->start + a->line->sectors, b->line->start + b->line->sectors);

	return a->io == b->io && (a->tables || b->tables || start < end);
}

/* The reason why an extent makes the disk read-only, or NULL.  unit: of the whole disk. */
static const char *find_obstacle(const struct vmdk *v, const struct vmdk_extent *x, uint32_t unit)
{
	if (x->kind->no_writing)
		return x->kind->no_writing;
	if (x->no_writing)
		return x->no_writing;
	if (x->line->fixed)
		return "its descriptor has an extent that is RDONLY";
	if (x->tables && x->start % unit != 0)
		return "a sparse extent begins in the middle of a grain";
	for (const struct vmdk_extent *other = v->extents; other < x; other++)
		if (other->io && share_bytes(other, x))
			return "two of its extents share the bytes of a file";
	return NULL;
}

int vmdk_write_enable(struct image *img, struct vmdk *v, struct err *e)
{
	const struct vmdk_extent *end = v->extents + v->desc.nlines;
	bool zero_marks = true;
	uint32_t unit = 1;
	int r = img->writable && img->opts->fill ? vmdk_stream_open(img, v, e) : 0;

	if (r < 0 || !img->writable || v->stream)
		return r;
	for (const struct vmdk_extent *x = v->extents; x < end; x++)
		if (x->kind == &vmdk_sparse) {
			unit = MAX(unit, x->tables->grain);
			zero_marks &= x->tables->zero_marks;
		}
	for (const struct vmdk_extent *x = v->extents; x < end && !img->no_writing; x++)
		img->no_writing = find_obstacle(v, x, unit);
	if (img->no_writing)
		return 0;
	v->io = img->io;
	v->view.write = zero_marks ? &vmdk_write_zero_ops : &vmdk_write_ops;
	v->view.granule = 1;
	v->view.unit = unit;
	return 0;
}

int vmdk_write_start(struct image *img, struct err *e)
{
	struct vmdk *v = vmdk_disk_of(img);
	int r = 0;

	/* An extent may share its file with the descriptor, or with a previous extent. */
	for (size_t i = 0; r == 0 && i < v->desc.nlines; i++)
		if (!v->extents[i].io->writeback)
			r = writeback_add(img->writer->writeback, v->extents[i].io, e);
	for (size_t i = 0; r == 0 && i < v->desc.nlines; i++) {
		struct vmdk_extent *x = &v->extents[i];

		if (x->tables && !v->stream)
			r = vmdk_alloc_new(x->tables, img->writer, e);
		if (r < 0 && x->io != img->io)
			return err_in(e, "%s", x->io->name);
	}
	return r == 0 ? writer_write_back(img->writer, e) : r;
}
