/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-map.c - finding damage by mapping the whole disk: ranges that cannot be mapped, and parts
 * of a file that two parts of the disk share.
 *
 * It is for formats that give each byte of the disk a place of its own.  Drivers refuse wrong
 * entries when they map them, so the check has no rules of its own for them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "check.h"
#include "util/err.h"
#include "image.h"
#include "io/io.h"
#include "view/view.h"

#define DAMAGE_STEP (64u << 10) /* for damage of unknown length */
/* Each look at the map takes another entry of some table, of four bytes at least, or a page without
 * any.  A disk that asks for more looks than its files have bytes has tables that overlap. */
#define LOOKS_LEAST (UINT64_C(1) << 22)

/* Ranges that touch are joined.  A sound image has no more of them than its
 * files have clusters. */
#define RANGES_LEAST ((size_t)(64u << 20) / sizeof(struct mapped_range))
#define RANGES_MOST  (SIZE_MAX / 2 / sizeof(struct mapped_range)) /* that memory can address */

struct mapped_range {
	const struct io *io;
	uint64_t pos, len;
};

enum { DAMAGE = 1, OVERLAPS = 2 }; /* findings to report */

struct mapping {
	struct check_report *r;
	unsigned report;
	struct mapped_range *ranges;
	size_t n, capacity, max;
	uint64_t looks; /* that remain */
};

static int compare_ranges(const void *a, const void *b)
{
	const struct mapped_range *p = a, *q = b;

	if (p->io != q->io)
		return p->io < q->io ? -1 : 1;
	return p->pos < q->pos ? -1 : p->pos > q->pos;
}

static bool is_sorted(const struct mapping *m)
{
	for (size_t i = 1; i < m->n; i++)
		if (compare_ranges(&m->ranges[i - 1], &m->ranges[i]) > 0)
			return false;
	return true;
}

/* Sorts the ranges, reports which overlap, and joins those that touch. */
static void merge(struct mapping *m)
{
	struct err enough = ERR_INIT;
	size_t n = 0;

	if (!is_sorted(m))
		qsort(m->ranges, m->n, sizeof m->ranges[0], compare_ranges);
	for (size_t i = 0; i < m->n; i++) {
		struct mapped_range *p = &m->ranges[i], *last = n > 0 ? &m->ranges[n - 1] : NULL;
		uint64_t end = last ? last->pos + last->len : 0;

		if (!last || last->io != p->io || p->pos > end) {
			m->ranges[n++] = *p;
			continue;
		}
		if (p->pos < end && check_go_on(m->r, &enough) == 0)
			check_corruption(m->r,
				"ERROR: two parts of the disk share %" PRIu64 " bytes at 0x%" PRIx64
				" of %s",
				MIN(end - p->pos, p->len), p->pos, p->io->name);
		last->len = MAX(end, p->pos + p->len) - last->pos;
	}
	m->n = n;
}

static int add_range(struct mapping *m, const struct extent *x, struct err *e)
{
	struct mapped_range *last = m->n > 0 ? &m->ranges[m->n - 1] : NULL;

	if (last && last->io == x->io && last->pos + last->len == x->pos) {
		last->len += x->len;
		return 0;
	}
	if (m->n == m->max) {
		merge(m);
		if (m->n > m->max / 2)
			return err_set(e, EUCLEAN, "the disk is in more pieces than there can be");
	}
	if (m->n == m->capacity) {
		size_t capacity = MIN(MAX(2 * m->capacity, 64), m->max);
		struct mapped_range *ranges = realloc(m->ranges, capacity * sizeof ranges[0]);

		if (!ranges)
			return err_nomem(e);
		m->ranges = ranges;
		m->capacity = capacity;
	}
	m->ranges[m->n++] = (struct mapped_range){.io = x->io, .pos = x->pos, .len = x->len};
	return 0;
}

/* A range that cannot be mapped is damage, unless memory is missing. */
static int add_damage(struct mapping *m, const struct err *why, struct err *e)
{
	if (why->code == ENOMEM)
		return err_nomem(e);
	if (!(m->report & DAMAGE))
		return 0;
	if (check_go_on(m->r, e) < 0)
		return -e->code;
	check_corruption(m->r, "ERROR: %s", why->text);
	return 0;
}

static int map_all(struct mapping *m, const struct view *v, struct err *e)
{
	uint64_t off = 0;
	int r = 0;

	while (r == 0 && off < v->size) {
		struct err why = ERR_INIT;
		struct extent x;

		if (m->looks-- == 0)
			return err_set(e, EUCLEAN,
				"its tables overlap: they have more entries than the files can "
				"hold");
		if (view_map(v, off, v->size - off, &x, &why) < 0)
			r = add_damage(m, &why, e);
		else if (m->report & OVERLAPS && (x.kind == EXTENT_FILE || x.kind == EXTENT_CRYPT))
			r = add_range(m, &x, e);
		off += MIN(x.len ? x.len : DAMAGE_STEP, v->size - off);
	}
	return r;
}

static int look(struct image *img, unsigned report, struct check_report *r, struct err *e)
{
	uint64_t real = img->io->is_block ? img->io->size : img->stored;
	struct mapping m = {
		.r = r,
		.report = report,
		.max = RANGES_LEAST + MIN(real / 4096, RANGES_MOST),
		.looks = LOOKS_LEAST + real / 4,
	};
	int rc = map_all(&m, img->states[0]->view, e);

	if (rc == 0)
		merge(&m);
	free(m.ranges);
	return rc;
}

int check_damage(struct image *img, struct check_report *r, struct err *e)
{
	return look(img, DAMAGE, r, e);
}

int check_overlaps(struct image *img, struct check_report *r, struct err *e)
{
	return look(img, OVERLAPS, r, e);
}

int check_map(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	if (repair)
		return err_set(e, ENOTSUP, "images of this format cannot be repaired");
	return look(img, DAMAGE | OVERLAPS, r, e);
}
