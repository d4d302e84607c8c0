/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow.c - version 1 of QEMU's copy-on-write format, for reading.
 *
 * All integers are big-endian.  The magic is that of qcow2, with which it shares little else.  The
 * format of a backing file is never recorded, and neither is the length of the L1 table: it has as
 * many entries as the disk needs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/cache.h"
#include "io/codec.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view/view.h"
#include "image/check.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "driver/common/l2map.h"
#include "driver/common/qcow-aes.h"

#define MAGIC       0x514649fbu
#define HEADER_SIZE 48u
#define COMPRESSED  (UINT64_C(1) << 63)

enum crypt_method { CRYPT_NONE, CRYPT_AES };

struct qcow {
	struct view view;
	struct l2map tables;
	struct codec *codec;
	struct crypt *crypt; /* of clusters that are not compressed, or NULL */
};

/* Position and length of the compressed data of a cluster. */
static uint64_t compressed_range(const struct l2map *t, uint64_t entry, uint64_t *len)
{
	unsigned bits = 63 - t->cluster_bits;

	*len = (entry & ~COMPRESSED) >> bits;
	return entry & ((UINT64_C(1) << bits) - 1);
}

static int qcow_decode(const struct l2map *t, uint64_t entry, struct cluster *c, struct err *e)
{
	uint64_t len, pos;

	c->kind = entry ? EXTENT_FILE : EXTENT_BELOW;
	c->host = entry;
	if (!(entry & COMPRESSED))
		return 0;
	c->kind = EXTENT_GENERATED;
	pos = compressed_range(t, entry, &len);
	if (len == 0)
		return err_set(e, EUCLEAN, "a compressed cluster of no bytes at 0x%" PRIx64, pos);
	return l2map_check_place(t, "compressed data", pos, len, e);
}

static const struct l2map_ops qcow_tables = {.load = load_be64, .decode = qcow_decode};

static int qcow_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct qcow *q = (const struct qcow *)v;
	int r = l2map_map(&q->tables, off, len, x, e);

	/* A ZERO extent is the part of a cluster after the end of the file: it is decrypted, too.
	 */
	if (r < 0 || !q->crypt || (x->kind != EXTENT_FILE && x->kind != EXTENT_ZERO))
		return r;
	return extent_encrypted(x, q->crypt, off / CRYPT_SECTOR, e);
}

static int qcow_fill(const struct view *v, const struct extent *x, void *buf, struct err *e)
{
	const struct qcow *q = (const struct qcow *)v;
	uint64_t len, pos = compressed_range(&q->tables, x->unit_id, &len);
	void *in = malloc(len);
	ssize_t n;

	if (!in)
		return err_nomem(e);
	n = io_read(q->tables.io, in, len, pos, e);
	if (n == 0)
		n = codec_inflate(q->codec, in, len, buf, x->unit_len, e);
	free(in);
	if (n >= 0 && (size_t)n != x->unit_len)
		n = err_set(e, EUCLEAN, "it holds %zd bytes, not %" PRIu32, n, x->unit_len);
	return n < 0 ? err_in(e, "compressed cluster at 0x%" PRIx64, pos) : 0;
}

static uint64_t qcow_locate(const struct view *v, const struct extent *x, uint64_t *pos)
{
	uint64_t len;

	*pos = compressed_range(&((const struct qcow *)v)->tables, x->unit_id, &len);
	return len;
}

static void qcow_free(struct view *v)
{
	crypt_free(((struct qcow *)v)->crypt);
	free(v);
}

static const struct view_ops qcow_ops = {
	.map = qcow_map, .fill = qcow_fill, .locate = qcow_locate, .free = qcow_free};

/* The header: every value is checked before it is used. */

static int check_geometry(struct qcow *q, const unsigned char *h, struct err *e)
{
	unsigned cluster_bits = h[32], table_bits = h[33];
	uint64_t size = load_be64(h + 24);

	if (cluster_bits < QCOW_MIN_CLUSTER_BITS || cluster_bits > QCOW_MAX_CLUSTER_BITS)
		return err_set(e, EINVAL, "cluster_bits: %u is outside %d..%d", cluster_bits,
			QCOW_MIN_CLUSTER_BITS, QCOW_MAX_CLUSTER_BITS);
	if (table_bits < QCOW_MIN_TABLE_BITS || table_bits > QCOW_MAX_TABLE_BITS)
		return err_set(e, EINVAL, "l2_bits: %u is outside %d..%d", table_bits,
			QCOW_MIN_TABLE_BITS, QCOW_MAX_TABLE_BITS);
	if (size < 2 || size > LIMIT_DISK_SIZE)
		return err_set(e, EINVAL, "disk size: %" PRIu64 " is outside 2..%" PRIu64, size,
			LIMIT_DISK_SIZE);
	q->tables.cluster_bits = cluster_bits;
	q->tables.table_bits = table_bits;
	q->tables.l1_size = l2map_l1_needed(&q->tables, size);
	q->view.size = size & ~(uint64_t)511; /* the guest sees whole sectors */
	return 0;
}

static int check_l1(struct qcow *q, const unsigned char *h, struct err *e)
{
	struct l2map *t = &q->tables;
	uint64_t len = t->l1_size * L2MAP_ENTRY;

	t->l1_pos = load_be64(h + 40);
	if (t->l1_pos < HEADER_SIZE)
		return err_set(
			e, EINVAL, "L1 table: offset %" PRIu64 " is in the header", t->l1_pos);
	if (!range_fits(t->l1_pos, len, t->io->size))
		return err_set(e, EINVAL,
			"L1 table: %" PRIu64 " entries at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			t->l1_size, t->l1_pos, t->io->size);
	metadata_regions_add(&t->metadata, "header", 0, HEADER_SIZE);
	metadata_regions_add(&t->metadata, "L1 table", t->l1_pos, len);
	return 0;
}

static int read_backing(struct image *img, struct qcow *q, const unsigned char *h, struct err *e)
{
	uint64_t pos = load_be64(h + 8);
	uint32_t len = load_be32(h + 16);
	int r;

	if (pos == 0)
		return 0;
	r = image_read_parent_name(img, pos, len, e);
	if (r == 0)
		metadata_regions_add(&q->tables.metadata, "backing file name", pos, len);
	return r;
}

static int read_header(struct image *img, struct qcow *q, struct err *e)
{
	unsigned char h[HEADER_SIZE];
	uint32_t method;
	int r = io_read_header(img->io, h, sizeof h, e);

	if (r < 0)
		return r;
	method = load_be32(h + 36);
	if (load_be32(h) != MAGIC || load_be32(h + 4) != 1)
		return err_set(e, EINVAL, "not a qcow image of version 1");
	r = check_geometry(q, h, e);
	if (r == 0)
		r = check_l1(q, h, e);
	if (r == 0)
		r = read_backing(img, q, h, e);
	if (r < 0 || method == CRYPT_NONE)
		return r;
	if (method == CRYPT_AES)
		return qcow_aes_unlock(img, &q->crypt, e);
	return err_set(e, ENOTSUP, "unsupported encryption method %" PRIu32, method);
}

static int qcow_open(struct image *img, struct err *e)
{
	struct qcow *q = calloc(1, sizeof *q);
	int r;

	if (!q)
		return err_nomem(e);
	q->view = (struct view){.ops = &qcow_ops, .cache = img->opts->cache};
	q->codec = img->opts->codec;
	q->tables = (struct l2map){
		.ops = &qcow_tables,
		.cache = img->opts->cache,
		.io = img->io,
		.end = img->io->size,
		.table_align = 1,
		.cluster_align = 512,
	};
	r = read_header(img, q, e);
	if (r == 0 && !image_add_state(img, NULL, NULL, &q->view, e))
		r = -e->code;
	if (r < 0)
		qcow_free(&q->view);
	return r;
}

static void qcow_facts(const struct image *img, struct facts *f)
{
	const struct qcow *q = (const struct qcow *)img->states[0]->view;

	facts_cluster_size(f, UINT64_C(1) << q->tables.cluster_bits);
	if (q->crypt)
		facts_encrypted(f);
}

static int qcow_probe(const struct peek *p)
{
	return p->nhead >= 8 && load_be32(p->head) == MAGIC && load_be32(p->head + 4) == 1 ? 100
											   : 0;
}

static const char *const suffixes[] = {"qcow", NULL};

const struct format qcow_format = {
	.name = "qcow",
	.title = "QEMU copy-on-write image, version 1",
	.suffixes = suffixes,
	.has_parents = true,
	.probe = qcow_probe,
	.open = qcow_open,
	.facts = qcow_facts,
	.check = check_map,
};
