/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write-ops.c - the start of writing, and the write operations of the live disk.
 *
 * An image is checked before it is opened for writing: one marked dirty is repaired, one that is
 * damaged is refused.  The header changes only when the first write comes (begin).
 *
 * A writer trusts refcounts and COPIED: it allocates clusters with a refcount of 0, and overwrites
 * clusters whose entry has COPIED.  If these are wrong, or clusters in use lie beyond the end of
 * the file, a write that succeeds destroys something else.  So writing begins only when
 *
 *   each refcount is at least the number of references, from all states,
 *   each cluster whose entry in the live disk has COPIED has a refcount of 1, and
 *   nothing that is referred to lies beyond the end of its file.
 *
 * Then no cluster in use is allocated, and each one overwritten in place has one owner.  Leaks and
 * missing flags are harmless: they cost space or a copy.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "bitmap-directory.h"
#include "check.h"
#include "compress.h"
#include "resize.h"
#include "write.h"

/* The last cluster of a file may be cut off where only zeroes follow. */
static int complete_file(struct io *io, uint64_t end, struct err *e)
{
	return end > io->size && !io->is_block ? io_resize(io, end, e) : 0;
}

/* Is the directory of bitmaps valid?  Writing keeps those up to date that can be. */
static bool has_bitmaps(const struct qcow2 *q)
{
	struct qcow2_bitmap_directory d;
	struct err why = ERR_INIT;
	int r;

	if (!(q->header.autoclear & QCOW2_BITMAPS))
		return false;
	r = qcow2_bitmap_directory_load(q, 0, &d, &why);
	free(d.p);
	if (r < 0 && q->dirty.img)
		image_warn(q->dirty.img, "its bitmaps are lost: %s", why.text);
	return r == 0;
}

/* Clears autoclear bits, whose extensions will not match the disk any more. */
static int clear_autoclear(struct qcow2 *q, struct err *e)
{
	struct qcow2_header *h = &q->header;
	uint64_t keep = h->autoclear & QCOW2_DATA_FILE_RAW;
	unsigned char raw[8];
	int r;

	if (has_bitmaps(q))
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

static int finish(struct view *view, struct err *e)
{
	return qcow2_dirty_finish(((struct qcow2_view *)view)->q, e);
}

static const struct write_ops qcow2_write_ops = {
	.begin = begin,
	.changing = qcow2_dirty_changing,
	.reserve = qcow2_write_reserve,
	.commit = qcow2_write_commit,
	.cancel = qcow2_write_cancel,
	.compress = qcow2_compress,
	.reserve_compressed = qcow2_compress_reserve,
	.clear = qcow2_write_clear,
	.durable = qcow2_alloc_durable,
	.release_freed = qcow2_alloc_release_freed,
	.resize = qcow2_resize,
	.finish = finish,
};

void qcow2_write_ops_set(struct view *v)
{
	const struct qcow2 *q = ((struct qcow2_view *)v)->q;

	v->write = &qcow2_write_ops;
	v->unit = q->cluster_size;
	v->granule = q->cluster_size / (q->extended ? QCOW2_SUBCLUSTERS : 1);
	v->compressed_max = q->external ? 0 : q->cluster_size - 1;
}

static void keep_first(void *arg, const char *sentence)
{
	static const char prefix[] = "ERROR";
	char *first = arg;

	if (first[0])
		return;
	if (strncmp(sentence, prefix, sizeof prefix - 1) == 0)
		sentence += sizeof prefix - 1;
	snprintf(first, ERR_TEXT, "%s", sentence + strspn(sentence, ": "));
}

static int verify(const struct image *img, struct qcow2 *q, struct err *e)
{
	char first[ERR_TEXT] = "";
	struct check_report report = {.found = keep_first, .arg = first};
	struct qcow2_check c = {.q = q, .r = &report, .for_writing = true};
	int r = qcow2_check_look(&c, e);

	if (r == 0)
		r = qcow2_check_copied(&c, 0, e);
	if (r == 0 && report.corruptions + report.check_errors > 0) {
		if (c.beyond_end) {
			err_set(e, EIO,
				"the file is shorter than its tables require (truncated?), and is "
				"not "
				"written to: %s",
				first);
		} else {
			err_set(e, EUCLEAN, "its metadata is damaged, and it is not written to: %s",
				first);
			err_hint_code(e, HINT_REPAIR, NULL);
		}
		r = err_hint_code(e, HINT_COW, NULL);
	} else if (r == 0 && c.harmless > 0) {
		image_warn(img,
			"%" PRIu64 " flags or snapshot entries are not up to date: harmless, vdisk "
			"check -r all repairs them",
			c.harmless);
	}
	qcow2_check_end(&c);
	return r;
}

/* Repairs the refcounts of an image marked dirty, which were written late, as QEMU does. */
static int repair_dirty(struct image *img, struct qcow2 *q, struct err *e)
{
	struct check_report report = {.found = NULL};
	int r = qcow2_check(img, CHECK_ALL, &report, e);

	if (r == 0 && q->header.incompatible & QCOW2_DIRTY)
		r = err_set(e, EUCLEAN, "more than refcounts is damaged");
	if (r < 0)
		return err_in(e, "it is marked dirty");
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

	if (q->header.incompatible & QCOW2_CORRUPT)
		r = err_set(e, EUCLEAN, "it is marked corrupt");
	else if (q->header.incompatible & QCOW2_DIRTY)
		r = repair_dirty(img, q, e);
	if (r == 0 && !has_reftable(q))
		r = err_set(e, EUCLEAN, "the refcount table is invalid");
	if (r < 0)
		return err_hint_code(e, HINT_REPAIR, NULL);
	r = verify(img, q, e);
	if (r == 0 && q->external)
		r = writeback_add(img->writer->writeback, q->data, e);
	if (r < 0)
		return r;
	q->dirty.img = img;
	q->alloc = qcow2_alloc_new(q, img->writer, e);
	return q->alloc ? 0 : -e->code;
}
