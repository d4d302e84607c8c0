/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot-segment.h"

#include <errno.h>

#include "snapshot.h"

/* The parts of a snapshot, as children of its map. */
enum { ORIGIN, STORE };

static struct view *snapshot_map_view(
	const struct lvm_map *m, struct view **children, struct err *e)
{
	return snapshot_view(m->size, children[ORIGIN], children[STORE], e);
}

static void free_nothing(void *description)
{
	(void)description;
}

static const struct lvm_map_ops snapshot_map_ops = {
	.view = snapshot_map_view, .free = free_nothing};

static int add_parts(struct lvm_builder *b, struct lvm_lv *origin, struct lvm_lv *store,
	unsigned depth, struct lvm_map *m, struct err *e)
{
	struct lvm_map *below;
	int r = lvm_build(b, origin, depth + 1, &below, e);

	if (r < 0)
		return err_in(e, "origin %s", origin->name);
	r = lvm_map_add_child(m, below, e);
	if (r < 0)
		return r;
	store->store->refs++;
	return lvm_map_add_child(m, store->store, e);
}

int lvm_snapshot_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e)
{
	struct lvm_lv *origin = lvm_segment_lv(b->g, s, "origin", e), *store;
	struct lvm_map *m;
	int r;

	if (!origin)
		return -e->code;
	if (lvm_config_text(b->g->config, s->node, "merging_store"))
		return err_set(e, ENOTSUP, "snapshot %s is being merged into %s (MERGING)",
			lvm_config_text(b->g->config, s->node, "merging_store"), origin->name);
	store = lvm_segment_lv(b->g, s, "cow_store", e);
	if (!store)
		return -e->code;
	if (!store->store) /* it is not built because of the store */
		return lvm_build(b, store, depth + 1, map, e);
	m = lvm_map_new(e);
	if (!m)
		return -e->code;
	m->ops = &snapshot_map_ops;
	m->size = s->extents * b->g->extent;
	r = add_parts(b, origin, store, depth, m, e);
	m->no_writing = SNAPSHOT_NO_WRITING;
	if (r == 0)
		r = lvm_build_read(b, m, NULL, 0, 0, e); /* checks the store */
	if (r < 0)
		lvm_map_unref(m);
	else
		*map = m;
	return r;
}
