/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* driver.c - QEMU's enhanced disk format, for reading.
 *
 * All integers are little-endian, all positions multiples of the cluster size.  An image whose
 * writer died is marked "need check": clusters may be leaked, but its entries are right, and it is
 * read like any other.
 *
 * Section names are those of the published format, QEMU's docs/interop/qed_spec.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "view/view.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "driver/common/l2map.h"
#include "qed.h"

#define MAGIC       "QED\0"
#define HEADER_SIZE 64u

static int qed_decode(const struct l2map *t, uint64_t entry, struct cluster *c, struct err *e)
{
	(void)t, (void)e;
	c->host = entry;
	c->kind = entry == 0 ? EXTENT_BELOW : entry == QED_ENTRY_ZERO ? EXTENT_ZERO : EXTENT_FILE;
	return 0;
}

static const struct l2map_ops qed_tables = {.load = load_le64, .decode = qed_decode};

static int qed_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	return l2map_map(&((const struct qed *)v)->tables, off, len, x, e);
}

static const struct view_ops qed_ops = {.map = qed_map};

/* Section "Header": every value is checked before it is used. */

static int check_clusters(struct qed *q, const unsigned char *h, struct err *e)
{
	uint32_t cluster = load_le32(h + 4), table = load_le32(h + 8), header = load_le32(h + 12);
	struct l2map *t = &q->tables;

	if (!is_power_of_2(cluster) || cluster < QED_MIN_CLUSTER || cluster > QED_MAX_CLUSTER)
		return err_set(e, EINVAL,
			"cluster size %" PRIu32 " is not a power of two from %u to %u", cluster,
			QED_MIN_CLUSTER, QED_MAX_CLUSTER);
	if (!is_power_of_2(table) || table > QED_MAX_TABLE)
		return err_set(e, EINVAL,
			"tables of %" PRIu32 " clusters, a power of two up to %u expected", table,
			QED_MAX_TABLE);
	q->header_len = (uint64_t)header * cluster;
	if (header == 0 || q->header_len > UINT32_MAX)
		return err_set(e, EINVAL, "header of %" PRIu32 " clusters of %" PRIu32 " bytes",
			header, cluster);
	t->cluster_bits = __builtin_ctz(cluster);
	t->table_bits = t->cluster_bits + __builtin_ctz(table) - 3;
	t->table_align = t->cluster_align = cluster;
	/* A part of a cluster at the end is not in use: writers append whole clusters. */
	t->end = t->io->size & ~(uint64_t)(cluster - 1);
	return 0;
}

static int check_size(struct qed *q, const unsigned char *h, struct err *e)
{
	struct l2map *t = &q->tables;
	uint64_t size = load_le64(h + 48), reach = UINT64_C(1) << t->table_bits;

	if (size % 512 != 0 || size > LIMIT_DISK_SIZE)
		return err_set(e, EINVAL,
			"disk size: %" PRIu64 " is not a multiple of 512 up to %" PRIu64, size,
			LIMIT_DISK_SIZE);
	t->l1_size = l2map_l1_needed(t, size);
	if (t->l1_size > reach)
		return err_set(e, EINVAL,
			"disk size: %" PRIu64 " needs %" PRIu64
			" entries of the L1 table, which has %" PRIu64,
			size, t->l1_size, reach);
	q->view.size = size;
	return 0;
}

static int check_l1(struct qed *q, const unsigned char *h, struct err *e)
{
	struct l2map *t = &q->tables;
	uint64_t len = (uint64_t)L2MAP_ENTRY << t->table_bits;

	t->l1_pos = load_le64(h + 40);
	if (t->l1_pos & (t->table_align - 1))
		return err_set(e, EINVAL,
			"L1 table: offset 0x%" PRIx64 " is not a multiple of %" PRIu64, t->l1_pos,
			t->table_align);
	if (t->l1_pos < q->header_len)
		return err_set(
			e, EINVAL, "L1 table: offset 0x%" PRIx64 " is in the header", t->l1_pos);
	if (!range_fits(t->l1_pos, len, t->end))
		return err_set(e, EINVAL,
			"L1 table: %" PRIu64 " bytes at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			len, t->l1_pos, t->end);
	metadata_regions_add(&t->metadata, "header", 0, q->header_len);
	metadata_regions_add(&t->metadata, "L1 table", t->l1_pos, len);
	return 0;
}

/* The format of the backing file is recorded only if it is raw. */
static int read_backing(
	struct image *img, const struct qed *q, const unsigned char *h, struct err *e)
{
	uint32_t pos = load_le32(h + 56), len = load_le32(h + 60);

	if (!(q->features & QED_BACKING_FILE))
		return 0;
	if (!range_fits(pos, len, q->header_len))
		return err_set(e, EINVAL,
			"backing file name: %" PRIu32 " bytes at 0x%" PRIx32
			" are not inside the header",
			len, pos);
	if (q->features & QED_BACKING_IS_RAW) {
		img->parent_format = strdup("raw");
		if (!img->parent_format)
			return err_nomem(e);
	}
	return image_read_parent_name(img, pos, len, e);
}

static int read_header(struct image *img, struct qed *q, struct err *e)
{
	unsigned char h[HEADER_SIZE];
	uint64_t unknown;
	int r = io_read_header(img->io, h, sizeof h, e);

	if (r < 0)
		return r;
	if (memcmp(h, MAGIC, 4) != 0)
		return err_set(e, EINVAL, "not a QED image");
	q->features = load_le64(h + 16);
	unknown = q->features & ~(uint64_t)QED_KNOWN_FEATURES;
	if (unknown)
		return err_set(e, ENOTSUP, "unsupported feature: bit %d", __builtin_ctzll(unknown));
	r = check_clusters(q, h, e);
	if (r == 0)
		r = check_size(q, h, e);
	if (r == 0)
		r = check_l1(q, h, e);
	if (r == 0)
		r = read_backing(img, q, h, e);
	return r;
}

static int qed_open(struct image *img, struct err *e)
{
	struct qed *q = calloc(1, sizeof *q);
	int r;

	if (!q)
		return err_nomem(e);
	q->view = (struct view){.ops = &qed_ops, .cache = img->opts->cache};
	q->tables = (struct l2map){.ops = &qed_tables, .cache = img->opts->cache, .io = img->io};
	r = read_header(img, q, e);
	if (r == 0 && !image_add_state(img, NULL, NULL, &q->view, e))
		r = -e->code;
	if (r < 0)
		free(q);
	return r;
}

static void qed_facts(const struct image *img, struct facts *f)
{
	const struct qed *q = (const struct qed *)img->states[0]->view;

	facts_cluster_size(f, UINT64_C(1) << q->tables.cluster_bits);
	facts_dirty(f, q->features & QED_NEED_CHECK);
}

static int qed_probe(const struct peek *p)
{
	return p->nhead >= 4 && memcmp(p->head, MAGIC, 4) == 0 ? 100 : 0;
}

static const char *const suffixes[] = {"qed", NULL};

const struct format qed_format = {
	.name = "qed",
	.title = "QEMU enhanced disk",
	.suffixes = suffixes,
	.has_parents = true,
	.records_raw_parent = true,
	.probe = qed_probe,
	.open = qed_open,
	.facts = qed_facts,
	.check = qed_check,
};
