/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write-ops.c - the start of writing, and the write operations of the live disk.
 *
 * An image is checked before it is opened for writing: one marked dirty is repaired, one that is
 * damaged is refused.  The header changes only when the first write comes (begin).
 */
#include "write-ops.h"

#include <errno.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "image/check.h"
#include "image/image.h"
#include "alloc.h"
#include "bitmaps.h"
#include "check.h"
#include "compress.h"
#include "resize.h"
#include "verify.h"
#include "write.h"

/* The last cluster of a file may be cut off where only zeroes follow. */
static int complete_file(struct io *io, uint64_t end, struct err *e)
{
	return end > io->size && !io->is_block ? io_resize(io, end, e) : 0;
}

/* Clears autoclear bits, whose extensions will not match the disk any more.  Bitmaps are kept and
 * marked as in use: without their bit, nobody would know which clusters are theirs. */
static int clear_autoclear(struct qcow2 *q, struct err *e)
{
	struct qcow2_header *h = &q->header;
	uint64_t keep = h->autoclear & QCOW2_DATA_FILE_RAW;
	struct err ignored = ERR_INIT;
	unsigned char raw[8];
	int r;

	if (h->autoclear & QCOW2_BITMAPS && qcow2_bitmaps_mark(q, &ignored) == 0)
		keep |= QCOW2_BITMAPS;
	if (h->autoclear == keep)
		return 0;
	store_be64(raw, keep);
	r = meta_write(q->io, raw, sizeof raw, QCOW2_AT_AUTOCLEAR, ORDER_HEADER, e);
	if (r == 0)
		h->autoclear = keep;
	return r;
}

static int begin(struct view *view, struct err *e)
{
	struct qcow2 *q = ((struct qcow2_view *)view)->q;
	int r = complete_file(q->io, round_up(q->io->size, q->cluster_size), e);

	if (r == 0 && q->external)
		r = complete_file(
			q->data, MIN(round_up(q->data->size, q->cluster_size), view->size), e);
	return r < 0 || q->header.version < 3 ? r : clear_autoclear(q, e);
}

static const struct write_ops qcow2_write_ops = {
	.begin = begin,
	.reserve = qcow2_write_reserve,
	.commit = qcow2_write_commit,
	.cancel = qcow2_write_cancel,
	.compress = qcow2_compress,
	.reserve_compressed = qcow2_compress_reserve,
	.clear = qcow2_write_clear,
	.durable = qcow2_alloc_durable,
	.release_freed = qcow2_alloc_release_freed,
	.resize = qcow2_resize,
};

void qcow2_write_ops_set(struct view *v)
{
	const struct qcow2 *q = ((struct qcow2_view *)v)->q;

	v->write = &qcow2_write_ops;
	v->unit = q->cluster_size;
	v->granule = q->cluster_size / (q->extended ? QCOW2_SUBCLUSTERS : 1);
	v->compressed_max = q->external ? 0 : q->cluster_size - 1;
}

/* Repairs the refcounts of an image marked dirty, which were written late, as QEMU does. */
static int repair_dirty(struct image *img, struct qcow2 *q, struct err *e)
{
	struct check_report report = {.found = NULL};
	int r = qcow2_check_run(q, CHECK_ALL, &report, e);

	if (r == 0 && q->header.incompatible & QCOW2_DIRTY)
		r = err_set(e, EUCLEAN, "more than refcounts is damaged");
	if (r < 0) {
		err_in(e, "it is marked dirty");
		return err_hint_code(e, HINT_REPAIR, NULL);
	}
	image_warn(img, "%s was marked dirty: its refcounts were repaired", img->io->name);
	return 0;
}

/* Opening the image has set a range for the refcount table if that is valid. */
static bool has_reftable(const struct qcow2 *q)
{
	for (unsigned i = 0; i < q->nranges; i++)
		if (q->ranges[i].pos == q->header.reftable_pos)
			return true;
	return false;
}

int qcow2_write_ops_start(struct image *img, struct err *e)
{
	struct qcow2 *q = img->priv;
	int r = 0;

	if (q->header.incompatible & QCOW2_CORRUPT) {
		err_set(e, EUCLEAN, "it is marked corrupt");
		return err_hint_code(e, HINT_REPAIR, NULL);
	}
	if (q->header.incompatible & QCOW2_DIRTY)
		r = repair_dirty(img, q, e);
	if (r == 0 && !has_reftable(q)) {
		err_set(e, EUCLEAN, "the refcount table is invalid");
		return err_hint_code(e, HINT_REPAIR, NULL);
	}
	if (r == 0)
		r = qcow2_verify(img, q, e);
	if (r == 0 && q->external)
		r = writeback_add(img->writer->writeback, q->data, e);
	if (r < 0)
		return r;
	q->alloc = qcow2_alloc_new(q, img->writer, e);
	return q->alloc ? 0 : -e->code;
}
