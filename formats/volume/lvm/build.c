/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/limits.h"
#include "view/view.h"
#include "volume/reader.h"
#include "volume/table.h"

#define SECTOR 512

/* A segment while its volume is mapped. */
struct piece {
	struct lvm_area *areas; /* NULL: it has none */
	size_t n;
	uint64_t chunk; /* bytes; 0: one stripe */
	size_t child;   /* without areas: it is one of the children as a whole */
};

struct work {
	struct lvm_builder *b;
	struct lvm_lv *lv;
	unsigned depth;
	struct lvm_map *map;
	struct piece *pieces; /* one for each segment */
};

static bool is_type(const struct lvm_segment *s, const char *type)
{
	return strcmp(s->type, type) == 0;
}

/* Physical volumes. */

static const char *device_name(const struct lvm_builder *b, size_t number)
{
	return b->devices[number]->device->name;
}

static int missing(const struct lvm_pv *pv, const char *how, struct err *e)
{
	return err_set(e, EIO, "its physical volume %s%s%s%s %s", pv->id, pv->hint ? " (" : "",
		pv->hint ? pv->hint : "", pv->hint ? ")" : "", how);
}

/* Can these extents be read? */
static int check_pv(const struct lvm_builder *b, const struct lvm_pv *pv, uint64_t extent,
	uint64_t n, struct err *e)
{
	uint64_t end;

	if (pv->number == LVM_NO_PV)
		return missing(pv, "is missing", e);
	if (pv->other != LVM_NO_PV)
		return err_set(e, EUCLEAN, "its physical volume %s is there twice, on %s and on %s",
			pv->id, device_name(b, pv->number), device_name(b, pv->other));
	if (pv->flags & LVM_MISSING)
		return missing(pv, "was missing once, and can be out of date", e);
	if (extent > pv->extents || n > pv->extents - extent)
		return err_set(e, EUCLEAN,
			"%" PRIu64 " extents at %" PRIu64 " pass the end of physical volume %s", n,
			extent, pv->id);
	end = pv->start + (extent + n) * b->g->extent;
	if (end > b->devices[pv->number]->device->len)
		return err_set(e, EUCLEAN,
			"its physical volume %s, %s, ends at %" PRIu64 ", before %" PRIu64, pv->id,
			device_name(b, pv->number), b->devices[pv->number]->device->len, end);
	return 0;
}

/* Linear and striped segments. */

/* Several segments can have areas of one volume. */
static bool is_child(const struct lvm_map *m, const struct lvm_map *part, size_t *number)
{
	for (size_t i = 0; part && i < m->nchildren; i++) {
		if (m->children[i] == part) {
			*number = i;
			return true;
		}
	}
	return false;
}

static int add_area(struct work *w, struct lvm_area *area, uint64_t extents, struct err *e)
{
	struct lvm_map *child;
	int r;

	if (area->pv) {
		r = check_pv(w->b, area->pv, area->extent, extents, e);
		return r < 0 ? r : lvm_map_add_pv(w->map, area->pv->number, &area->part, e);
	}
	if (area->extent > area->lv->extents || extents > area->lv->extents - area->extent)
		return err_set(e, EUCLEAN,
			"%" PRIu64 " extents at %" PRIu64 " pass the end of volume %s", extents,
			area->extent, area->lv->name);
	if (is_child(w->map, area->lv->map, &area->part))
		return 0;
	area->part = w->map->nchildren;
	r = lvm_build_part(w->b, area->lv, w->depth + 1, &child, e);
	return r < 0 ? r : lvm_map_add_child(w->map, child, e);
}

static int add_areas(struct work *w, const struct lvm_segment *s, struct piece *p, uint64_t extents,
	struct err *e)
{
	int r = 0;

	p->areas = lvm_areas(w->b->g, s, "stripes", p->n, e);
	if (!p->areas)
		return -e->code;
	for (size_t i = 0; r == 0 && i < p->n; i++)
		r = add_area(w, &p->areas[i], extents, e);
	return r;
}

static int add_striped(struct work *w, const struct lvm_segment *s, struct piece *p, struct err *e)
{
	const struct lvm_group *g = w->b->g;
	uint64_t n, sectors = 0;
	int r = lvm_segment_number(g, s, "stripe_count", 1, s->extents, &n, e);

	if (r == 0 && n > 1)
		r = lvm_segment_number(g, s, "stripe_size", 1, UINT32_MAX, &sectors, e);
	if (r < 0)
		return r;
	p->n = n;
	w->lv->is_striped |= n > 1;
	p->chunk = sectors * SECTOR;
	if (s->extents % n || (p->chunk && s->extents / n * g->extent % p->chunk))
		return err_set(e, EUCLEAN,
			"%s: %" PRIu64 " extents are not a multiple of %zu stripes of %" PRIu64
			" bytes",
			s->node->key, s->extents, p->n, p->chunk);
	return add_areas(w, s, p, s->extents / n, e);
}

/* Other segments. */

static int refuse(const struct lvm_segment *s, struct err *e)
{
	static const struct {
		const char *type, *reason;
	} known[] = {
		{"cache", "the newest data can be in the cache"},
		{"writecache", "the newest data can be in the cache"},
		{"integrity", "the newest data can be in the journal"},
		{"vdo", "it is deduplicated and compressed"},
		{"cache-pool", "it is a pool"},
		{"vdo-pool", "it is a pool"},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (is_type(s, known[i].type))
			return err_set(e, ENOTSUP, "segments of the type %s cannot be read: %s",
				s->type, known[i].reason);
	return err_set(e, ENOTSUP, "segments of the type %s are not known", s->type);
}

static int build_special(
	struct work *w, const struct lvm_segment *s, struct lvm_map **child, struct err *e)
{
	for (const struct lvm_segment_kind *k = w->b->kinds; k->type; k++)
		if (strncmp(s->type, k->type, strlen(k->type)) == 0)
			return k->build(w->b, s, w->depth, child, e);
	return refuse(s, e);
}

/* Collects what a segment stands on. */
static int add_segment(struct work *w, const struct lvm_segment *s, struct piece *p, struct err *e)
{
	struct lvm_map *child;
	int r;

	if (is_type(s, "striped") || is_type(s, "linear"))
		return add_striped(w, s, p, e);
	if (is_type(s, "zero") || is_type(s, "error"))
		return 0;
	r = build_special(w, s, &child, e);
	p->n = 1;
	p->child = w->map->nchildren;
	return r < 0 ? r : lvm_map_add_child(w->map, child, e);
}

/* The table: once it is known how many children there are. */

static struct table_stripe stripe_of(
	const struct work *w, const struct piece *p, const struct lvm_area *a)
{
	uint64_t extent = w->b->g->extent;

	if (!a)
		return (struct table_stripe){.member = p->child};
	if (!a->pv)
		return (struct table_stripe){.member = a->part, .pos = a->extent * extent};
	return (struct table_stripe){
		.member = w->map->nchildren + a->part,
		.pos = a->pv->start + a->extent * extent,
	};
}

static int tabulate(
	struct work *w, const struct lvm_segment *s, const struct piece *p, struct err *e)
{
	struct table_segment t = {
		.kind = p->n                 ? TABLE_STRIPED
			: is_type(s, "zero") ? TABLE_ZERO
					     : TABLE_ERROR,
		.len = s->extents * w->b->g->extent,
		.chunk = p->chunk,
		.nstripes = p->n,
		.error = "the volume has an error segment here",
	};
	struct table_stripe *stripes = calloc(p->n + 1, sizeof stripes[0]);
	int r;

	if (!stripes)
		return err_nomem(e);
	for (size_t i = 0; i < p->n; i++)
		stripes[i] = stripe_of(w, p, p->areas ? &p->areas[i] : NULL);
	t.stripes = stripes;
	r = table_add(w->map->table, &t, e);
	free(stripes);
	return r;
}

static int build_pieces(struct work *w, struct err *e)
{
	const struct lvm_lv *lv = w->lv;
	int r = 0;

	for (size_t i = 0; r == 0 && i < lv->nsegments; i++)
		r = add_segment(w, &lv->segments[i], &w->pieces[i], e);
	w->map->table = table_new();
	if (r == 0 && !w->map->table)
		r = err_nomem(e);
	for (size_t i = 0; r == 0 && i < lv->nsegments; i++)
		r = tabulate(w, &lv->segments[i], &w->pieces[i], e);
	if (r == 0)
		w->map->size = table_size(w->map->table);
	return r;
}

/* Volumes. */

static int check_lv(const struct lvm_lv *lv, unsigned depth, struct err *e)
{
	if (depth > LVM_MAX_DEPTH)
		return err_set(
			e, EUCLEAN, "volumes stand on each other more than %u deep", LVM_MAX_DEPTH);
	if (lv->unknown_flag)
		return err_set(e, ENOTSUP, "its status has an unknown flag, %s", lv->unknown_flag);
	if (lv->flags & LVM_PVMOVE)
		return err_set(e, ENOTSUP, "its extents are being moved (PVMOVE)");
	return 0;
}

static const char *reason_not_to_write(const struct lvm_builder *b, const struct lvm_lv *lv)
{
	if (lv->is_origin)
		return "it has snapshots, which need the old bytes";
	if (!(b->g->flags & lv->flags & LVM_WRITE))
		return "it is read-only in its volume group";
	return NULL;
}

/* A table of a child as a whole; takes the reference. */
static int wrap(struct lvm_map *m, struct lvm_map *child, struct err *e)
{
	const struct table_stripe stripe = {.member = 0};
	const struct table_segment t = {.len = child->size, .stripes = &stripe, .nstripes = 1};
	int r = lvm_map_add_child(m, child, e);

	if (r < 0)
		return r;
	m->size = t.len;
	m->table = table_new();
	return m->table ? table_add(m->table, &t, e) : err_nomem(e);
}

/* Puts the snapshot in the place of its store. */
static int build_snapshot(struct work *w, struct err *e)
{
	struct lvm_map *child;
	int r;

	lvm_map_unref(w->lv->store); /* when it is a part of itself */
	w->lv->store = w->map;
	w->map = NULL;
	r = build_special(w, w->lv->snapshot->segments, &child, e);
	if (r < 0)
		return r;
	w->map = lvm_map_new(e);
	if (w->map)
		return wrap(w->map, child, e);
	lvm_map_unref(child);
	return -e->code;
}

static int build_lv(struct lvm_builder *b, struct lvm_lv *lv, unsigned depth, struct err *e)
{
	struct work w = {.b = b, .lv = lv, .depth = depth};
	int r = check_lv(lv, depth, e);

	if (r < 0)
		return r;
	w.map = lvm_map_new(e);
	w.pieces = calloc(lv->nsegments, sizeof w.pieces[0]);
	if (!w.map || !w.pieces)
		r = err_nomem(e);
	else
		r = build_pieces(&w, e);
	for (size_t i = 0; w.pieces && i < lv->nsegments; i++)
		free(w.pieces[i].areas);
	free(w.pieces);
	if (r == 0 && lv->snapshot)
		r = build_snapshot(&w, e);
	if (r < 0) {
		lvm_map_unref(w.map);
		return r;
	}
	if (!w.map->no_writing)
		w.map->no_writing = reason_not_to_write(b, lv);
	lv->map = w.map;
	return 0;
}

int lvm_build(struct lvm_builder *b, struct lvm_lv *lv, unsigned depth, struct lvm_map **map,
	struct err *e)
{
	if (!lv->map && !lv->failed && build_lv(b, lv, depth, e) < 0) {
		if (e->code == ENOMEM)
			return -ENOMEM;
		if (!lv->failed) /* it is a part of itself */
			lv->failed = malloc(sizeof *lv->failed);
		if (!lv->failed)
			return err_nomem(e);
		*lv->failed = *e;
	}
	if (lv->failed) {
		*e = *lv->failed;
		return -e->code;
	}
	lv->map->refs++;
	*map = lv->map;
	return 0;
}

int lvm_build_part(struct lvm_builder *b, struct lvm_lv *lv, unsigned depth, struct lvm_map **map,
	struct err *e)
{
	int r;

	if (lv->is_used)
		return err_set(
			e, EUCLEAN, "volume %s is a part of two volumes, or of itself", lv->name);
	lv->is_used = true;
	r = lvm_build(b, lv, depth, map, e);
	return r < 0 ? err_in(e, "volume %s", lv->name) : r;
}

static int build_area(struct work *w, struct lvm_area *area, uint64_t extents, struct err *e)
{
	struct table_stripe stripe = {.pos = area->extent * w->b->g->extent};
	const struct table_segment t = {
		.len = extents * w->b->g->extent, .stripes = &stripe, .nstripes = 1};
	int r = add_area(w, area, extents, e);

	if (r < 0)
		return r;
	if (area->pv)
		stripe.pos += area->pv->start;
	w->map->size = t.len;
	w->map->table = table_new();
	return w->map->table ? table_add(w->map->table, &t, e) : err_nomem(e);
}

int lvm_build_area(struct lvm_builder *b, struct lvm_area *area, uint64_t extents, unsigned depth,
	struct lvm_map **map, struct err *e)
{
	struct work w = {.b = b, .depth = depth, .map = lvm_map_new(e)};
	int r = w.map ? build_area(&w, area, extents, e) : -ENOMEM;

	if (r < 0)
		lvm_map_unref(w.map);
	else
		*map = w.map;
	return r;
}

int lvm_build_read(struct lvm_builder *b, const struct lvm_map *map, void *buf, size_t len,
	uint64_t off, struct err *e)
{
	struct view *v;
	int r = 0;

	if (!b->views)
		b->views = calloc(b->ndevices + 1, sizeof b->views[0]);
	if (!b->views)
		return err_nomem(e);
	for (size_t i = 0; r == 0 && i < b->ndevices; i++)
		if (!b->views[i] && !(b->views[i] = volume_member_view(b->devices[i], e)))
			r = -e->code;
	v = r == 0 ? lvm_map_view(map, b->views, e) : NULL;
	if (!v)
		return -e->code;
	if (!range_fits(off, len, v->size))
		r = err_set(e, EUCLEAN, "%zu bytes at %" PRIu64 " pass its end", len, off);
	else
		r = view_read(v, buf, len, off, e);
	view_free(v);
	return r;
}
