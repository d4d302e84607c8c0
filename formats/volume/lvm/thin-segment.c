/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thin-segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "thin.h"

#define SECTOR     512
#define MAX_DEVICE ((1u << 24) - 1)

/* The parts of a thin volume, as children of its map. */
enum { METADATA, DATA, ORIGIN, NPARTS };

struct description {
	struct thin_volume volume;
	struct cache *cache;
};

static struct view *thin_map_view(const struct lvm_map *m, struct view **children, struct err *e)
{
	const struct description *d = m->description;

	return thin_view(
		&d->volume, d->cache, children[METADATA], children[DATA], children[ORIGIN], e);
}

static const struct lvm_map_ops thin_map_ops = {.view = thin_map_view, .free = free};

/* A snapshot that is to be merged takes the place of its origin at the next activation. */
static int refuse_merge(const struct lvm_segment *s, struct err *e)
{
	if (!s->merging)
		return 0;
	return err_set(
		e, ENOTSUP, "its snapshot %s is to be merged into it (MERGING)", s->merging->name);
}

/* Messages wait in the segment of a pool in sections of their own. */
static bool has_messages(const struct lvm_group *g, const struct lvm_segment *pool)
{
	const struct lvm_node *n = lvm_config_first(g->config, pool->node);

	while (n && !n->is_section)
		n = lvm_config_next(g->config, n);
	return n != NULL;
}

static int read_pool(const struct lvm_group *g, const struct lvm_lv *pool, struct thin_volume *v,
	struct lvm_lv **parts, struct err *e)
{
	const struct lvm_segment *s = pool->segments;
	uint64_t sectors;
	int r;

	if (pool->nsegments != 1 || strcmp(s->type, "thin-pool") != 0)
		return err_set(e, EUCLEAN, "it is of the type %s", s->type);
	if (pool->unknown_flag)
		return err_set(
			e, ENOTSUP, "its status has an unknown flag, %s", pool->unknown_flag);
	r = lvm_segment_number(g, s, "chunk_size", 1, UINT32_MAX, &sectors, e);
	if (r == 0)
		r = lvm_segment_number(g, s, "transaction_id", 0, INT64_MAX, &v->transaction, e);
	if (r < 0)
		return r;
	v->chunk = sectors * SECTOR;
	v->pending = has_messages(g, s);
	parts[METADATA] = lvm_segment_lv(g, s, "metadata", e);
	parts[DATA] = parts[METADATA] ? lvm_segment_lv(g, s, "pool", e) : NULL;
	return parts[DATA] ? 0 : -e->code;
}

static int read_thin(const struct lvm_group *g, const struct lvm_segment *s, struct thin_volume *v,
	struct lvm_lv **parts, struct err *e)
{
	struct lvm_lv *pool = lvm_segment_lv(g, s, "thin_pool", e);
	uint64_t device;
	int r = pool ? read_pool(g, pool, v, parts, e) : -e->code;

	if (pool && r < 0)
		return err_in(e, "pool %s", pool->name);
	if (r == 0)
		r = lvm_segment_number(g, s, "device_id", 0, MAX_DEVICE, &device, e);
	if (r < 0)
		return r;
	v->device = device;
	v->size = s->extents * g->extent;
	if (!lvm_config_text(g->config, s->node, "external_origin"))
		return 0;
	parts[ORIGIN] = lvm_segment_lv(g, s, "external_origin", e);
	return parts[ORIGIN] ? 0 : -e->code;
}

/* The parts stay what they are for all volumes of the pool. */
static int add_parts(struct lvm_builder *b, struct lvm_lv *const *parts, unsigned depth,
	struct lvm_map *m, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < NPARTS; i++) {
		struct lvm_map *part = NULL;

		if (parts[i])
			r = lvm_build(b, parts[i], depth + 1, &part, e);
		if (r < 0)
			return err_in(e, "volume %s", parts[i]->name);
		r = lvm_map_add_child(m, part, e);
	}
	return r;
}

static int describe(
	struct lvm_map *m, const struct thin_volume *v, struct cache *cache, struct err *e)
{
	struct description *d = malloc(sizeof *d);

	if (!d)
		return err_nomem(e);
	*d = (struct description){.volume = *v, .cache = cache};
	m->ops = &thin_map_ops;
	m->description = d;
	m->size = v->size;
	m->no_writing = THIN_NO_WRITING;
	return 0;
}

int lvm_thin_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e)
{
	struct lvm_lv *parts[NPARTS] = {NULL};
	struct thin_volume v = {.size = 0};
	struct lvm_map *m;
	int r;

	if (strcmp(s->type, "thin") != 0 || !b->cache)
		return err_set(e, ENOTSUP, "segments of the type %s cannot be read", s->type);
	r = refuse_merge(s, e);
	if (r == 0)
		r = read_thin(b->g, s, &v, parts, e);
	if (r < 0)
		return r;
	m = lvm_map_new(e);
	if (!m)
		return -e->code;
	r = add_parts(b, parts, depth, m, e);
	if (r == 0)
		r = describe(m, &v, b->cache, e);
	if (r == 0)
		r = lvm_build_read(b, m, NULL, 0, 0, e); /* checks the pool */
	if (r < 0)
		lvm_map_unref(m);
	else
		*map = m;
	return r;
}
