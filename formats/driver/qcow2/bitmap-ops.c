/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap-ops.c - persistent bitmaps added, removed, cleared, enabled and merged.
 *
 * Bits never change in place: a bitmap that is cleared or merged gets a new table, and all of the
 * change shows with the new directory.  So a crash leaves the old bitmap or the new one, and none
 * is marked as in use.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view/writer.h"
#include "image/bitmaps.h"
#include "image/image.h"
#include "alloc.h"
#include "bitmap-bits.h"
#include "bitmap-directory.h"
#include "qcow2.h"

#define MIN_DEFAULT_GRANULARITY (4u << 10)
#define MAX_DEFAULT_GRANULARITY (64u << 10)

/* A change of the directory. */
struct change {
	struct qcow2 *q;
	struct qcow2_bitmap_directory dir;
	struct qcow2_bitmap b; /* the bitmap that changes */
};

/* Stores what writes to the disk have recorded, and loads the directory. */
static int begin(struct change *c, struct image *img, uint64_t more, struct err *e)
{
	struct qcow2 *q = img->priv;
	int r = 0;

	*c = (struct change){.q = q};
	if (q->dirty.begun) {
		r = qcow2_dirty_finish(q, e);
		if (r == 0)
			r = writer_write_back(q->alloc->writer, e);
	}
	return r == 0 ? qcow2_bitmap_directory_load(q, more, &c->dir, e) : r;
}

/* Frees the directory, and makes what was dropped free. */
static int end(struct change *c, int r, struct err *e)
{
	free(c->dir.p);
	return r == 0 ? qcow2_alloc_flush(c->q->alloc, e) : r;
}

static int find(const struct qcow2_bitmap_directory *d, const char *name, struct qcow2_bitmap *b,
	struct err *e)
{
	if (qcow2_bitmap_find(d, name, b))
		return 0;
	return err_set(e, ENOENT, "Dirty bitmap '%s' not found", name);
}

/* The same of a bitmap whose bits are known. */
static int find_usable(const struct qcow2 *q, const struct qcow2_bitmap_directory *d,
	const char *name, struct qcow2_bitmap *b, struct err *e)
{
	struct err why = ERR_INIT;
	int r = find(d, name, b, e);

	if (r < 0)
		return r;
	if (b->flags & QCOW2_BITMAP_IN_USE) {
		err_set(e, EINVAL, "Bitmap '%s' is inconsistent and cannot be used", name);
		return err_hint_code(e, HINT_REMOVE_BITMAP, NULL);
	}
	if (!qcow2_bitmap_is_usable(q, b, &why))
		return err_set(e, why.code, "Bitmap '%s' cannot be used: %s", name, why.text);
	return 0;
}

/* Drops the clusters of a bitmap that nothing refers to any more; those of a damaged one leak. */
static void drop(struct qcow2 *q, const struct qcow2_bitmap *b, struct image *img)
{
	struct err why = ERR_INIT;

	if (b->type != QCOW2_BITMAP_DIRTY || b->table_pos == 0 ||
		qcow2_in_cluster(q, b->table_pos) ||
		!range_fits(
			b->table_pos, (uint64_t)b->table_entries * QCOW2_ENTRY_SIZE, q->io->size))
		return;
	if (qcow2_bits_drop(q, b, &why) < 0)
		image_warn(
			img, "clusters are leaked, vdisk check -r leaks frees them: %s", why.text);
}

/* Adding. */

static int check_new(const struct qcow2 *q, const char *name, uint64_t granularity, struct err *e)
{
	if (name[0] == '\0')
		return err_set(e, EINVAL, "Bitmap name cannot be empty");
	if (!is_power_of_2(granularity) || granularity < 1u << QCOW2_BITMAP_MIN_GRANULARITY ||
		granularity > UINT64_C(1) << QCOW2_BITMAP_MAX_GRANULARITY)
		return err_set(e, EINVAL, "Granularity must be power of 2 and at least 512");
	if (q->header.version < 3)
		return err_set(e, ENOTSUP, "Cannot store dirty bitmaps in qcow2 v2 files");
	if (strlen(name) > QCOW2_BITMAP_NAME_MAX)
		return err_set(e, ENAMETOOLONG, "Name length exceeds maximum (%d characters)",
			QCOW2_BITMAP_NAME_MAX);
	if (q->header.size == 0)
		return err_set(e, EINVAL, "a disk without bytes has no bitmaps");
	return 0;
}

static int append(
	struct change *c, const struct bitmap_info *info, uint64_t granularity, struct err *e)
{
	struct qcow2 *q = c->q;
	unsigned bits = __builtin_ctzll(granularity);
	uint64_t entries = qcow2_bitmap_table_entries(q, bits, q->header.size);
	int r;

	if (c->dir.n >= QCOW2_MAX_BITMAPS)
		return err_set(e, EFBIG, "Maximum number of persistent bitmaps is already reached");
	if (entries > QCOW2_MAX_BITMAP_CLUSTERS ||
		entries * q->cluster_size > QCOW2_MAX_BITMAP_BYTES)
		return err_set(e, EFBIG,
			"Too much space will be occupied by the bitmap. Use "
			"larger granularity");
	c->b = (struct qcow2_bitmap){
		.table_entries = entries,
		.flags = info->enabled ? QCOW2_BITMAP_AUTO : 0,
		.granularity = bits,
		.type = QCOW2_BITMAP_DIRTY,
		.name = info->name,
		.name_len = strlen(info->name),
	};
	r = qcow2_bits_make_table(q, entries, &c->b.table_pos, e);
	if (r < 0)
		return r;
	qcow2_bitmap_directory_append(&c->dir, &c->b);
	return qcow2_bitmap_directory_store(q, &c->dir, e);
}

static int add(struct image *img, const struct bitmap_info *info, struct err *e)
{
	struct qcow2 *q = img->priv;
	uint64_t granularity = info->granularity, usual = q->cluster_size;
	struct change c;
	struct qcow2_bitmap same;
	int r;

	usual = MIN(MAX(usual, MIN_DEFAULT_GRANULARITY), MAX_DEFAULT_GRANULARITY);
	if (granularity == 0)
		granularity = usual;
	r = check_new(q, info->name, granularity, e);
	if (r < 0)
		return r;
	r = begin(&c, img, QCOW2_BITMAP_FIXED + strlen(info->name) + 8, e);
	if (r == 0 && qcow2_bitmap_find(&c.dir, info->name, &same))
		r = err_set(e, EEXIST, "Bitmap already exists: %s", info->name);
	if (r == 0)
		r = append(&c, info, granularity, e);
	return end(&c, r, e);
}

/* Removing. */

static int remove_one(struct image *img, const char *name, struct err *e)
{
	struct change c;
	int r = begin(&c, img, 0, e);

	if (r == 0)
		r = find(&c.dir, name, &c.b, e);
	if (r == 0) {
		qcow2_bitmap_directory_remove(&c.dir, &c.b);
		r = qcow2_bitmap_directory_store(c.q, &c.dir, e);
	}
	if (r == 0)
		drop(c.q, &c.b, img);
	return end(&c, r, e);
}

static int remove_all(struct image *img, struct err *e)
{
	struct qcow2_bitmap_directory none = {.n = 0};
	struct change c;
	int r = begin(&c, img, 0, e);

	if (r == 0)
		r = qcow2_bitmap_directory_store(c.q, &none, e);
	while (r == 0 && qcow2_bitmap_next(&c.dir, &c.b)) {
		drop(c.q, &c.b, img);
		r = qcow2_alloc_flush_if_full(c.q->alloc, e);
	}
	return end(&c, r, e);
}

static int remove_bitmap(struct image *img, const char *name, struct err *e)
{
	return name ? remove_one(img, name, e) : remove_all(img, e);
}

/* Changing. */

/* Gives the bitmap another table, and drops the old one. */
static int replace(
	struct change *c, struct image *img, const struct qcow2_bitmap *new, struct err *e)
{
	int r;

	qcow2_bitmap_directory_set(&c->dir, new);
	r = qcow2_bitmap_directory_store(c->q, &c->dir, e);
	if (r == 0)
		drop(c->q, &c->b, img);
	return r;
}

static int clear(struct image *img, const char *name, struct err *e)
{
	struct change c;
	struct qcow2_bitmap new;
	int r = begin(&c, img, 0, e);

	if (r == 0)
		r = find_usable(c.q, &c.dir, name, &c.b, e);
	new = c.b;
	if (r == 0)
		r = qcow2_bits_make_table(c.q, new.table_entries, &new.table_pos, e);
	if (r == 0)
		r = replace(&c, img, &new, e);
	return end(&c, r, e);
}

static int enable(struct image *img, const char *name, bool on, struct err *e)
{
	struct change c;
	int r = begin(&c, img, 0, e);

	if (r == 0)
		r = find_usable(c.q, &c.dir, name, &c.b, e);
	if (r == 0) {
		c.b.flags &= ~QCOW2_BITMAP_AUTO;
		c.b.flags |= on ? QCOW2_BITMAP_AUTO : 0;
		r = qcow2_bitmap_put_entry(c.q, &c.b, e);
	}
	return end(&c, r, e);
}

/* Merging. */

/* The bits of a bitmap, a cluster of them at a time. */
struct source {
	const struct qcow2 *q;
	const struct qcow2_bitmap *b;
	uint64_t bits;
	unsigned char *buf;
	uint64_t loaded; /* the cluster of bits in buf; UINT64_MAX: none */
};

static int source_bit(struct source *s, uint64_t i, uint64_t *run, bool *set, struct err *e)
{
	uint64_t per = (uint64_t)s->q->cluster_size * 8, n = MIN(per, s->bits - i / per * per);
	int r = 0;

	if (s->loaded != i / per) {
		s->loaded = UINT64_MAX;
		r = qcow2_bits_read(
			s->q, s->b, i / per * s->q->cluster_size, s->buf, s->q->cluster_size, e);
	}
	if (r < 0)
		return r;
	s->loaded = i / per;
	*set = bitmap_get(s->buf, i % per, LSB_FIRST);
	*run = bitmap_run(s->buf, i % per, n, LSB_FIRST);
	return 0;
}

/* Sets in out, the bits first to end of a bitmap, those whose range of the disk s has bits for. */
static int merge_part(struct source *s, unsigned granularity, uint64_t first, uint64_t end,
	unsigned char *out, struct err *e)
{
	unsigned from = s->b->granularity;
	uint64_t i = (first << granularity) >> from, last = ((end << granularity) - 1) >> from, run;
	bool set;
	int r = 0;

	last = MIN(last, s->bits - 1);
	for (; r == 0 && i <= last; i += run) {
		uint64_t a, b;

		r = source_bit(s, i, &run, &set, e);
		run = r == 0 ? MIN(run, last - i + 1) : 1;
		if (r < 0 || !set)
			continue;
		a = MAX((i << from) >> granularity, first);
		b = MIN((((i + run) << from) - 1) >> granularity, end - 1);
		bitmap_put(out, a - first, b - a + 1, true, LSB_FIRST);
	}
	return r;
}

/* Fills the table of new with the bits of c->b and of s. */
static int merge_all(
	const struct change *c, const struct qcow2_bitmap *new, struct source *s, struct err *e)
{
	const struct qcow2 *q = c->q;
	uint64_t per = (uint64_t)q->cluster_size * 8;
	uint64_t bits = qcow2_bitmap_bits(new->granularity, q->header.size);
	unsigned char *out = malloc(q->cluster_size);
	int r = out ? 0 : err_nomem(e);

	for (uint64_t i = 0; r == 0 && i < new->table_entries; i++) {
		r = qcow2_bits_read(q, &c->b, i * q->cluster_size, out, q->cluster_size, e);
		if (r == 0)
			r = merge_part(
				s, new->granularity, i * per, MIN(bits, (i + 1) * per), out, e);
		if (r == 0 && !is_zero(out, q->cluster_size))
			r = qcow2_bits_put(q, new, i, out, e);
	}
	free(out);
	return r;
}

static int merge_from(struct change *c, struct image *img, struct source *s, struct err *e)
{
	struct qcow2_bitmap new = c->b;
	uint64_t size = c->q->header.size, from = s->q->header.size;
	int r;

	if (size != from)
		return err_set(e, EINVAL,
			"Bitmaps are of different sizes (destination size is %" PRIu64
			", source size is %" PRIu64 ") and can't be merged",
			size, from);
	s->bits = qcow2_bitmap_bits(s->b->granularity, from);
	s->loaded = UINT64_MAX;
	s->buf = malloc(s->q->cluster_size);
	r = s->buf ? qcow2_bits_make_table(c->q, new.table_entries, &new.table_pos, e)
		   : err_nomem(e);
	if (r == 0) {
		r = merge_all(c, &new, s, e);
		if (r == 0)
			r = replace(c, img, &new, e);
		else
			drop(c->q, &new, img);
	}
	free(s->buf);
	return r;
}

static int merge(struct image *img, const char *name, const struct image *from,
	const char *from_name, struct err *e)
{
	struct qcow2_bitmap_directory other = {.p = NULL};
	struct qcow2_bitmap b;
	struct source s = {.q = from->priv, .b = &b};
	struct change c;
	int r = begin(&c, img, 0, e);

	if (r == 0)
		r = find_usable(c.q, &c.dir, name, &c.b, e);
	if (r == 0)
		r = qcow2_bitmap_directory_load(s.q, 0, &other, e);
	if (r == 0)
		r = find_usable(s.q, &other, from_name, &b, e);
	if (r == 0)
		r = merge_from(&c, img, &s, e);
	free(other.p);
	return end(&c, r, e);
}

static int visit(const struct image *img, bitmaps_visit *each, void *arg, struct err *e)
{
	const struct qcow2 *q = img->priv;
	struct qcow2_bitmap_directory d;
	struct qcow2_bitmap b = {.len = 0};
	char name[QCOW2_BITMAP_NAME_MAX + 1];
	int r = qcow2_bitmap_directory_load(q, 0, &d, e);

	while (r == 0 && qcow2_bitmap_next(&d, &b)) {
		struct bitmap_info info = {
			.name = name,
			.granularity = UINT64_C(1) << b.granularity % 64,
			.enabled = b.flags & QCOW2_BITMAP_AUTO,
			.in_use = b.flags & QCOW2_BITMAP_IN_USE,
		};

		memcpy(name, b.name, b.name_len);
		name[b.name_len] = '\0';
		r = each(arg, &info, e);
	}
	free(d.p);
	return r;
}

const struct bitmap_ops qcow2_bitmap_ops = {
	.add = add,
	.remove = remove_bitmap,
	.clear = clear,
	.enable = enable,
	.merge = merge,
	.visit = visit,
};
