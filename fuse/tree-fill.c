/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree-fill.c - which entries a directory has.
 *
 * A fill gathers nodes that nobody else sees and publishes them in one store, or frees them all.
 */
#include "tree-fill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "image.h"
#include "log.h"
#include "names.h"
#include "view.h"

struct fill {
	struct tree *tree;
	struct node *dir;
	struct node **nodes;
	size_t n, room;
};

/* One more entry, NULL without memory. */
static struct node *fill_add(struct fill *fill, enum node_kind kind, const char *name)
{
	struct node *node;

	if (fill->n == fill->room) {
		size_t room = fill->room ? 2 * fill->room : 16;
		struct node **nodes = realloc(fill->nodes, room * sizeof nodes[0]);

		if (!nodes)
			return NULL;
		fill->nodes = nodes;
		fill->room = room;
	}
	node = node_new(fill->dir, kind, name);
	if (node)
		fill->nodes[fill->n++] = node;
	return node;
}

static void fill_drop(struct fill *fill)
{
	for (size_t i = 0; i < fill->n; i++)
		node_free(fill->nodes[i]);
	free(fill->nodes);
}

static int node_compare(const void *a, const void *b)
{
	return strcmp((*(struct node *const *)a)->name, (*(struct node *const *)b)->name);
}

static int fill_publish(struct fill *fill)
{
	struct dir *dir = malloc(sizeof *dir + fill->n * sizeof dir->nodes[0]);

	if (!dir)
		return -ENOMEM;
	dir->n = fill->n;
	if (fill->n) {
		memcpy(dir->nodes, fill->nodes, fill->n * sizeof dir->nodes[0]);
		qsort(dir->nodes, dir->n, sizeof dir->nodes[0], node_compare);
	}
	free(fill->nodes);
	atomic_store_explicit(&fill->dir->dir, dir, memory_order_release);
	return 0;
}

/* Publishes what was gathered, or drops it after an error. */
static int fill_end(struct fill *fill, int ret)
{
	if (ret == 0)
		ret = fill_publish(fill);
	if (ret < 0)
		fill_drop(fill);
	return ret;
}

static int fill_file(
	struct fill *fill, enum node_kind kind, const char *name, const struct view *view)
{
	struct node *node = fill_add(fill, kind, name);

	if (!node)
		return -ENOMEM;
	node->view = view;
	return 0;
}

static int read_table(const struct fill *fill, const struct view *disk, struct ptable *table)
{
	struct err e = ERR_INIT;
	int ret = ptable_read(disk, fill->dir->img->sector_size, table, &e);
	const char *trouble = ret < 0 ? e.text : table->damage;
	char path[512];

	if (trouble) {
		node_path(fill->nodes[0], path, sizeof path);
		log_error(fill->tree->log, "%s: partition table: %s", path, trouble);
	}
	return ret;
}

/* The table is read here, since a disk without partitions has no such directory; nor has one whose
 * table cannot be read. */
static int fill_partitions_dir(struct fill *fill, const struct view *disk)
{
	struct ptable *table = calloc(1, sizeof *table);
	struct node *node;
	int ret;

	if (!table)
		return -ENOMEM;
	ret = read_table(fill, disk, table);
	if (ret == 0 && table->n > 0) {
		node = fill_add(fill, NODE_PARTITIONS, "partitions");
		if (node) {
			node->table = table;
			return 0;
		}
		ret = -ENOMEM;
	}
	ptable_free(table);
	free(table);
	return ret == -ENOMEM ? ret : 0;
}

/* A directory with a disk.raw. */
static int fill_state(struct fill *fill)
{
	const struct node *dir = fill->dir;
	const struct state *state = &dir->img->states[dir->state];
	bool is_root = dir->parent == dir;
	int ret;

	ret = fill_file(fill, NODE_DISK, "disk.raw", state->view);
	if (ret == 0 && !fill_add(fill, NODE_INFO, "info.json"))
		ret = -ENOMEM;
	if (ret == 0 && state->vmstate)
		ret = fill_file(fill, NODE_VMSTATE, "vmstate", state->vmstate);
	if (ret == 0)
		ret = fill_partitions_dir(fill, state->view);
	if (ret == 0 && dir->kind == NODE_IMAGE && dir->img->nstates > 1 &&
		!fill_add(fill, NODE_SNAPSHOTS, "snapshots"))
		ret = -ENOMEM;
	if (ret == 0 && is_root && dir->img->parent && !fill_add(fill, NODE_CHAIN, "chain"))
		ret = -ENOMEM;
	return ret;
}

/* What a snapshot wants to be called: its name, else its id. */
static char *snapshot_name(const struct state *state)
{
	if (state->name && *state->name)
		return name_escape(state->name);
	return name_escape(state->id && *state->id ? state->id : "unnamed");
}

static int fill_snapshot(struct fill *fill, struct names *names, size_t state)
{
	char *wanted = snapshot_name(&fill->dir->img->states[state]);
	char *name = wanted ? names_add(names, wanted) : NULL;
	struct node *node = name ? fill_add(fill, NODE_SNAPSHOT, name) : NULL;

	free(wanted);
	free(name);
	if (!node)
		return -ENOMEM;
	node->state = state;
	return 0;
}

static int fill_snapshots(struct fill *fill)
{
	struct names names = {0};
	int ret = 0;

	for (size_t i = 1; ret == 0 && i < fill->dir->img->nstates; i++)
		ret = fill_snapshot(fill, &names, i);
	names_clear(&names);
	return ret;
}

static int fill_chain(struct fill *fill)
{
	unsigned layer = 0;

	for (const struct image *img = fill->dir->img; img; img = img->parent, layer++) {
		char *name = layer_name(img, layer);
		struct node *node = name ? fill_add(fill, NODE_IMAGE, name) : NULL;

		free(name);
		if (!node)
			return -ENOMEM;
		node->img = img;
		node->layer = layer;
		node->state = 0;
	}
	return 0;
}

/* The file N.raw.  A partition whose file system cannot be told is shown without labels. */
static int fill_partition(struct fill *fill, struct view *disk, const struct partition *entry)
{
	struct err e = ERR_INIT;
	char name[32], path[512];
	struct node *node;
	struct part *part;

	snprintf(name, sizeof name, "%u.raw", entry->number);
	node = fill_add(fill, NODE_PARTITION, name);
	part = node ? calloc(1, sizeof *part) : NULL;
	if (!part)
		return -ENOMEM;
	node->part = part;
	part->entry = entry;
	part->view = view_slice(disk, entry->start, entry->len, &e);
	if (!part->view)
		return -e.code;
	if (fsid_read(part->view, &part->id, &e) < 0) {
		part->id = (struct fsid){0};
		node_path(node, path, sizeof path);
		log_error(fill->tree->log, "%s: %s", path, e.text);
	}
	return 0;
}

static const char *by_label(const struct part *part)
{
	return part->id.label;
}

static const char *by_uuid(const struct part *part)
{
	return part->id.uuid;
}

static const char *by_partlabel(const struct part *part)
{
	return part->entry->partlabel ? part->entry->partlabel : "";
}

static const char *by_partuuid(const struct part *part)
{
	return part->entry->partuuid;
}

static const struct {
	const char *dir;
	const char *(*value)(const struct part *part);
} ways[] = {
	{"by-label", by_label},
	{"by-uuid", by_uuid},
	{"by-partlabel", by_partlabel},
	{"by-partuuid", by_partuuid},
};

static int fill_link(
	struct fill *fill, struct names *names, const struct node *target, const char *value)
{
	char *encoded = fsid_encode(value);
	/* "." and ".." are labels too, and a long label is longer when encoded. */
	char *name = encoded ? name_escape(encoded) : NULL;
	struct node *node;
	int ret = 0;

	if (!name)
		ret = -ENOMEM;
	else if (*name && names_claim(names, name)) {
		node = fill_add(fill, NODE_LINK, name);
		if (node)
			node->target = target;
		else
			ret = -ENOMEM;
	}
	free(encoded);
	free(name);
	return ret;
}

/* One directory by-something, over the first n entries of all, which are the partitions; an empty
 * one is not shown. */
static int fill_way(struct fill *all, size_t n, size_t way)
{
	struct fill links = {.tree = all->tree};
	struct names names = {0};
	int ret = 0;

	links.dir = fill_add(all, NODE_LINKS, ways[way].dir);
	if (!links.dir)
		return -ENOMEM;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		const char *value = ways[way].value(all->nodes[i]->part);

		if (*value)
			ret = fill_link(&links, &names, all->nodes[i], value);
	}
	names_clear(&names);
	if (ret == 0 && links.n == 0)
		node_free(all->nodes[--all->n]);
	else
		ret = fill_end(&links, ret);
	return ret;
}

static int fill_partitions(struct fill *fill)
{
	const struct ptable *table = fill->dir->table;
	struct view *disk = fill->dir->img->states[fill->dir->state].view;
	size_t n;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < table->n; i++)
		ret = fill_partition(fill, disk, &table->parts[i]);
	n = fill->n;
	for (size_t i = 0; ret == 0 && i < sizeof ways / sizeof ways[0]; i++)
		ret = fill_way(fill, n, i);
	return ret;
}

static int fill_gather(struct fill *fill)
{
	switch (fill->dir->kind) {
	case NODE_IMAGE:
	case NODE_SNAPSHOT:
		return fill_state(fill);
	case NODE_SNAPSHOTS:
		return fill_snapshots(fill);
	case NODE_CHAIN:
		return fill_chain(fill);
	case NODE_PARTITIONS:
		return fill_partitions(fill);
	default:
		return 0; /* NODE_LINKS are filled with the directory that they are in */
	}
}

int tree_fill(struct tree *tree, struct node *node)
{
	struct fill fill = {.tree = tree, .dir = node};

	return fill_end(&fill, fill_gather(&fill));
}
