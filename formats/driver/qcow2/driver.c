/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* driver.c - the qcow2 driver: QEMU's copy-on-write format, versions 2 and 3.
 *
 * Refcounts are only needed to allocate: an image that a crash left dirty is read like any other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view/view.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "driver/common/qcow-aes.h"
#include "alloc.h"
#include "bitmaps.h"
#include "l1.h"
#include "map.h"
#include "snapshot.h"

/* With the option lenient, a failure that does not concern facts of the image is a warning. */
static int tolerate(const struct image *img, int r, struct err *e)
{
	if (r == 0 || !img->opts->lenient)
		return r;
	image_warn(img, "%s", e->text);
	*e = (struct err)ERR_INIT;
	return 0;
}

static int add_luks(struct qcow2 *q, struct err *e)
{
	uint64_t pos = q->header.luks_pos, len = q->header.luks_len;

	if (q->header.encryption != QCOW2_LUKS)
		return 0;
	if (len == 0)
		return err_set(e, EINVAL, "encrypted with LUKS, but the LUKS header is missing");
	if (pos == 0 || qcow2_in_cluster(q, pos))
		return err_set(e, EINVAL,
			"LUKS header: offset 0x%" PRIx64 " is not a multiple of %" PRIu32, pos,
			q->cluster_size);
	if (!range_fits(pos, len, q->io->size))
		return err_set(e, EINVAL,
			"LUKS header: %" PRIu64 " bytes at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			len, pos, q->io->size);
	qcow2_range_set(q, "LUKS header", pos, len);
	return 0;
}

static int add_l1(struct image *img, struct qcow2 *q, struct err *e)
{
	const struct qcow2_header *h = &q->header;
	uint64_t needed = qcow2_l1_needed(q, h->size);
	int r = qcow2_l1_check_shape(q, h->l1_pos, h->l1_size, e);

	if (r < 0)
		return r;
	if (h->l1_size < needed)
		return err_set(e, EINVAL,
			"L1 table: %" PRIu32 " entries, %" PRIu64 " needed for a disk of %" PRIu64
			" bytes",
			h->l1_size, needed, h->size);
	r = qcow2_l1_check_place(q, h->l1_pos, h->l1_size, e);
	if (r < 0) {
		q->l1_misplaced = true;
		q->broken = "the position of the L1 table is invalid";
		return tolerate(img, r, e);
	}
	qcow2_range_set(q, "L1 table", h->l1_pos, (uint64_t)h->l1_size * QCOW2_ENTRY_SIZE);
	return 0;
}

/* Sets the ranges of the refcount table and of the first refcount block: small images have no
 * other, and reading the whole table of a large one takes too long.  Invalid refcounts do not
 * affect reading, except that data may overlap them unnoticed. */
static void add_refcounts(struct image *img, struct qcow2 *q)
{
	const struct qcow2_header *h = &q->header;
	uint64_t len = (uint64_t)h->reftable_clusters << h->cluster_bits, pos;
	unsigned char raw[QCOW2_ENTRY_SIZE];
	struct err ignored = ERR_INIT;

	if (len == 0 || len > QCOW2_MAX_REFTABLE_BYTES || h->reftable_pos == 0 ||
		qcow2_in_cluster(q, h->reftable_pos) || h->reftable_pos >= q->io->size) {
		image_warn(img, "the refcount table is invalid: %" PRIu32 " clusters at 0x%" PRIx64,
			h->reftable_clusters, h->reftable_pos);
		return;
	}
	qcow2_range_set(q, "refcount table", h->reftable_pos, len);
	if (meta_read(q->cache, q->io, raw, sizeof raw, h->reftable_pos, &ignored) < 0)
		return;
	pos = load_be64(raw);
	if (pos != 0 && pos < q->io->size && qcow2_in_cluster(q, pos) == 0)
		qcow2_range_set(q, "refcount block", pos, q->cluster_size);
}

static int open_data_file(struct image *img, struct qcow2 *q, struct err *e)
{
	struct io *data;
	int r;

	q->data = q->io;
	if (!q->external)
		return 0;
	if (q->header.data_file[0] == '\0')
		return err_set(e, EINVAL, "the name of the external data file is missing");
	r = image_open_part(img, q->header.data_file, "data file", &data, e);
	if (r < 0) {
		q->data_missing = true;
		q->broken = "the data file is missing";
		return tolerate(img, r, e);
	}
	if (io_is_same(data, q->io)) {
		io_unref(data);
		return err_set(e, ELOOP, "the data file is the image itself");
	}
	q->data = data;
	return 0;
}

/* Sets the key of the standard clusters of disks and VM states.  Tables and compressed clusters are
 * never encrypted. */
static int unlock(const struct image *img, struct qcow2 *q, struct err *e)
{
	int r;

	if (q->header.encryption == QCOW2_AES)
		return qcow_aes_unlock(img, &q->crypt, e);
	if (q->header.encryption != QCOW2_LUKS)
		return 0;
	r = luks1_read(&q->luks, q->io, q->header.luks_pos, q->header.luks_len, e);
	return r < 0 ? r : luks_unlock(&q->luks, img->opts, &q->crypt, e);
}

static int add_live_state(struct image *img, struct qcow2 *q, struct err *e)
{
	const struct qcow2_header *h = &q->header;
	struct view *v = q->broken ? view_broken(q->size, q->broken, e)
				   : qcow2_map_view(q, q->size, 0, h->l1_pos, h->l1_size, e);

	if (!v)
		return -e->code;
	if (img->writable && !q->broken && h->encryption == QCOW2_PLAIN)
		qcow2_write_ops_set(v);
	else if (h->encryption != QCOW2_PLAIN)
		img->no_writing = "it is encrypted";
	if (!image_add_state(img, NULL, NULL, v, e)) {
		view_free(v);
		return -e->code;
	}
	return 0;
}

static int name_parent(struct image *img, const struct qcow2_header *h, struct err *e)
{
	if (h->backing[0] == '\0')
		return 0;
	img->parent_name = strdup(h->backing);
	if (!img->parent_name)
		return err_nomem(e);
	if (h->backing_format[0] == '\0')
		return 0;
	img->parent_format = strdup(h->backing_format);
	return img->parent_format ? 0 : err_nomem(e);
}

/* Opens the image; when it fails, the caller frees q. */
static int qcow2_setup(struct image *img, struct qcow2 *q, struct err *e)
{
	const struct qcow2_header *h = &q->header;
	int r = qcow2_header_read(img, &q->header, e);

	if (r < 0)
		return r;
	qcow2_init(q, img->io, img->opts->cache, img->opts->codec);
	r = add_luks(q, e);
	if (r == 0)
		r = add_l1(img, q, e);
	if (r < 0)
		return r;
	add_refcounts(img, q);
	if (h->incompatible & QCOW2_CORRUPT)
		image_warn(img, "marked corrupt: QEMU met a damaged table in it");
	r = open_data_file(img, q, e);
	if (r == 0)
		r = unlock(img, q, e);
	if (r == 0)
		r = add_live_state(img, q, e);
	if (r == 0 && !img->opts->nosnapshots)
		r = tolerate(img, qcow2_snapshot_add_all(img, q, e), e);
	if (r == 0)
		r = name_parent(img, h, e);
	return r;
}

static void qcow2_free(struct qcow2 *q)
{
	if (q->data != q->io)
		io_unref(q->data);
	crypt_free(q->crypt);
	qcow2_dirty_free(q);
	qcow2_alloc_free(q->alloc);
	free(q);
}

static int qcow2_open(struct image *img, struct err *e)
{
	struct qcow2 *q = calloc(1, sizeof *q);
	int r;

	if (!q)
		return err_nomem(e);
	r = qcow2_setup(img, q, e);
	if (r < 0)
		qcow2_free(q);
	else
		img->priv = q;
	return r;
}

static void qcow2_close(struct image *img)
{
	qcow2_free(img->priv);
}

static void qcow2_facts(const struct image *img, struct facts *f)
{
	const struct qcow2 *q = img->priv;
	const struct qcow2_header *h = &q->header;
	struct facts *inner;

	facts_cluster_size(f, q->cluster_size);
	facts_dirty(f, h->incompatible & QCOW2_DIRTY);
	facts_text(f, "compat", h->version >= 3 ? "1.1" : "0.10");
	facts_text(f, "compression-type", h->compression == QCOW2_ZSTD ? "zstd" : "zlib");
	if (h->version >= 3)
		facts_flag(f, "lazy-refcounts", h->compatible & QCOW2_LAZY_REFCOUNTS);
	if (q->external) {
		facts_text(f, "data-file", h->data_file);
		facts_flag(f, "data-file-raw", h->autoclear & QCOW2_DATA_FILE_RAW);
	}
	qcow2_bitmaps_facts(q, f);
	facts_number(f, "refcount-bits", 1u << h->refcount_order);
	if (h->encryption != QCOW2_PLAIN) {
		facts_encrypted(f);
		inner = facts_object(f, "encrypt");
		facts_text(inner, "format", h->encryption == QCOW2_AES ? "aes" : "luks");
		if (h->encryption == QCOW2_LUKS)
			luks_facts(&q->luks, inner);
	}
	if (h->version >= 3) {
		facts_flag(f, "corrupt", h->incompatible & QCOW2_CORRUPT);
		facts_flag(f, "extended-l2", q->extended);
	}
}

/* Version 1 is another format with the same magic.  It and unknown versions are claimed with a
 * lower score, so that they are not opened as raw, but their own driver wins. */
static int qcow2_probe(const struct peek *p)
{
	uint32_t version = p->nhead < 8 ? 0 : load_be32(p->head + 4);

	if (p->nhead < 4 || load_be32(p->head) != QCOW2_MAGIC)
		return 0;
	return version == 2 || version == 3 ? 100 : 50;
}

static const char *const suffixes[] = {"qcow2", NULL};

static const struct export_format *const layouts[] = {&qcow2_export, NULL};

const struct format qcow2_format = {
	.name = "qcow2",
	.title = "QEMU copy-on-write image",
	.suffixes = suffixes,
	.has_parents = true,
	.has_snapshots = true,
	.records_parent_format = true,
	.probe = qcow2_probe,
	.names = qcow2_header_names,
	.names_raw = true,
	.open = qcow2_open,
	.close = qcow2_close,
	.preallocates = true,
	.can_write = true,
	.start_writing = qcow2_write_ops_start,
	.facts = qcow2_facts,
	.create = qcow2_create,
	.create_options = qcow2_create_options,
	.can_back = true,
	.can_compress = true,
	.check = qcow2_check,
	.snapshots = &qcow2_snapshot_ops,
	.bitmaps = &qcow2_bitmap_ops,
	.set_backing = qcow2_backing_set,
	.empty = qcow2_backing_empty,
	.amend = qcow2_amend,
	.measure = qcow2_measure,
	.layouts = layouts,
};
