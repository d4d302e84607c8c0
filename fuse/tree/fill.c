/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill.c - which entries a directory has.
 *
 * Directories of the host are fill-host.c's.
 */
#include "tree-impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/access.h"
#include "util/err.h"
#include "exports.h"
#include "open/folder.h"
#include "image/format.h"
#include "open/registry.h"
#include "image/image.h"
#include "export/export.h"
#include "base/log.h"
#include "base/filename.h"
#include "view/view.h"

struct node *fill_add(struct fill *fill, enum node_kind kind, const char *name)
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
	node = node_new(fill->tree, fill->dir, kind, name);
	if (node)
		fill->nodes[fill->n++] = node;
	return node;
}

struct node *fill_add_named(
	struct fill *fill, enum node_kind kind, struct filename_set *names, const char *wanted)
{
	char *escaped = filename_escape(*wanted ? wanted : "unnamed");
	char *name = escaped ? filename_set_add(names, escaped) : NULL;
	struct node *node = name ? fill_add(fill, kind, name) : NULL;

	free(escaped);
	free(name);
	return node;
}

void fill_clear(struct fill *fill)
{
	for (size_t i = 0; i < fill->n; i++)
		tree_drop(fill->tree, fill->nodes[i]);
	free(fill->nodes);
	fill->nodes = NULL;
	fill->n = fill->room = 0;
}

static int node_compare(const void *a, const void *b)
{
	return strcmp((*(struct node *const *)a)->name, (*(struct node *const *)b)->name);
}

/* What was gathered, as a list; drops it after an error. */
static int fill_end(struct fill *fill, int ret, struct dir **dir)
{
	*dir = ret == 0 ? dir_new(fill->n) : NULL;
	if (!*dir) {
		fill_clear(fill);
		return ret < 0 ? ret : -ENOMEM;
	}
	(*dir)->n = fill->n;
	if (fill->n) {
		memcpy((*dir)->nodes, fill->nodes, fill->n * sizeof fill->nodes[0]);
		qsort((*dir)->nodes, fill->n, sizeof fill->nodes[0], node_compare);
	}
	free(fill->nodes);
	return 0;
}

static int fill_one(struct fill *fill, enum node_kind kind, const char *name)
{
	return fill_add(fill, kind, name) ? 0 : -ENOMEM;
}

static int read_table(
	const struct fill *fill, const struct view *disk, struct partition_table *table)
{
	struct err e = ERR_INIT;
	int ret = partition_table_read(disk, fill->shown.img->sector_size, table, &e);
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
	struct partition_table *table = calloc(1, sizeof *table);
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
	partition_table_free(table);
	free(table);
	return ret == -ENOMEM ? ret : 0;
}

static int fill_exports_dir(struct fill *fill)
{
	struct node *node = fill_add(fill, NODE_EXPORTS, "export");

	if (node)
		node->exports = exports_new();
	return node && node->exports ? 0 : -ENOMEM;
}

/* Where some can be made the directory is there before. */
static bool has_snapshots(const struct node *dir, const struct image *img)
{
	bool some;

	states_lock(img);
	some = img->nstates > 1;
	states_unlock(img);
	return some || has_shots(dir) || (node_can_change(dir) && img->format->snapshots);
}

/* A directory with a disk.raw. */
static int fill_state(struct fill *fill)
{
	const struct node *dir = fill->dir;
	const struct image *img = fill->shown.img;
	const struct state *state = fill->shown.state;
	int ret = fill_one(fill, NODE_DISK, "disk.raw");

	if (ret == 0)
		ret = fill_one(fill, NODE_INFO, "info.json");
	if (ret == 0 && state->vmstate)
		ret = fill_one(fill, NODE_VMSTATE, "vmstate");
	if (ret == 0)
		ret = fill_partitions_dir(fill, state->view);
	if (ret == 0 && !node_is_live(dir) && exports_any(img, state))
		ret = fill_exports_dir(fill);
	if (ret == 0 && dir->kind != NODE_SNAPSHOT && has_snapshots(dir, img))
		ret = fill_one(fill, NODE_SNAPSHOTS, "snapshots");
	if (ret == 0 && node_is_top(dir) && img->parent)
		ret = fill_one(fill, NODE_CHAIN, "chain");
	return ret;
}

/* A snapshot is called by its name, else by its id. */
static int fill_snapshot(struct fill *fill, struct filename_set *names, const struct state *shown)
{
	bool named = shown->name && *shown->name;
	struct node *node = fill_add_named(fill, NODE_SNAPSHOT, names,
		named       ? shown->name
		: shown->id ? shown->id
			    : "");

	if (!node)
		return -ENOMEM;
	node->layer = fill->dir->home->layer;
	node->state = shown->no;
	node->when = shown->when;
	return 0;
}

static int fill_snapshots(struct fill *fill)
{
	struct filename_set names = {0};
	const struct image *img = fill->shown.img;
	int ret = 0;

	states_lock(img);
	for (size_t i = 1; ret == 0 && i < img->nstates; i++)
		ret = fill_snapshot(fill, &names, img->states[i]);
	states_unlock(img);
	if (ret == 0)
		ret = fill_shots(fill, &names);
	filename_set_clear(&names);
	return ret;
}

static int fill_chain(struct fill *fill)
{
	unsigned layer = 0;

	for (const struct image *img = fill->shown.img; img; img = img->parent, layer++) {
		char *name = layer_name(img, layer);
		struct node *node = name ? fill_add(fill, NODE_IMAGE, name) : NULL;

		free(name);
		if (!node)
			return -ENOMEM;
		node->layer = layer;
		states_lock(img);
		node->when = img->states[0]->when;
		states_unlock(img);
	}
	return 0;
}

/* Which file system is in it; what cannot be told is shown without labels. */
static int read_fsid(const struct fill *fill, struct node *node)
{
	struct err e = ERR_INIT;
	struct view *view;
	char path[512];
	int ret = node_view(node, &fill->shown, &view, &e);

	if (ret < 0)
		return ret;
	if (filesystem_read(view, &node->part->id, &e) < 0) {
		node->part->id = (struct filesystem){0};
		node_path(node, path, sizeof path);
		log_error(fill->tree->log, "%s: %s", path, e.text);
	}
	return 0;
}

/* The file N.raw. */
static int fill_partition(struct fill *fill, const struct partition *entry)
{
	struct node *node;
	char name[32];

	snprintf(name, sizeof name, "%u.raw", entry->number);
	node = fill_add(fill, NODE_PARTITION, name);
	if (!node)
		return -ENOMEM;
	node->part = calloc(1, sizeof *node->part);
	if (!node->part)
		return -ENOMEM;
	node->part->entry = entry;
	return read_fsid(fill, node);
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
	bool any_case;
} ways[] = {
	{"by-label", by_label, false},
	{"by-uuid", by_uuid, true},
	{"by-partlabel", by_partlabel, false},
	{"by-partuuid", by_partuuid, true},
};

static int set_target(struct node *link, const struct node *target)
{
	if (asprintf(&link->text, "../%s", target->name) >= 0)
		return 0;
	link->text = NULL;
	return -ENOMEM;
}

static int fill_link(
	struct fill *fill, struct filename_set *names, const struct node *target, const char *value)
{
	char *encoded = filesystem_encode(value);
	/* "." and ".." are labels too, and a long label is longer when encoded. */
	char *name = encoded ? filename_escape(encoded) : NULL;
	struct node *node;
	int ret = 0;

	if (!name)
		ret = -ENOMEM;
	else if (*name && filename_set_claim(names, name)) {
		node = fill_add(fill, NODE_LINK, name);
		ret = node ? set_target(node, target) : -ENOMEM;
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
	struct filename_set names = {0};
	int ret = 0;

	links.dir = fill_add(all, NODE_LINKS, ways[way].dir);
	if (!links.dir)
		return -ENOMEM;
	links.dir->any_case = ways[way].any_case;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		const char *value = ways[way].value(all->nodes[i]->part);

		if (*value)
			ret = fill_link(&links, &names, all->nodes[i], value);
	}
	filename_set_clear(&names);
	if (ret == 0 && links.n == 0)
		tree_drop(all->tree, all->nodes[--all->n]);
	else
		ret = fill_end(&links, ret, &links.dir->dir);
	return ret;
}

static int fill_partitions(struct fill *fill)
{
	const struct partition_table *table = fill->dir->table;
	size_t n;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < table->n; i++)
		ret = fill_partition(fill, &table->parts[i]);
	n = fill->n;
	for (size_t i = 0; ret == 0 && i < sizeof ways / sizeof ways[0]; i++)
		ret = fill_way(fill, n, i);
	return ret;
}

/* Of a disk that may be too much for the format, it is found out here. */
static int fill_export(struct fill *fill, const struct export_format *l)
{
	const struct shown *shown = &fill->shown;
	struct view *view = shown->state->view;
	enum export_fit fit = export_fit(l, view->size);
	struct err e = ERR_INIT;
	struct node *node;
	char *name;
	int ret = 0;

	if (fit == EXPORT_NEVER)
		return 0;
	name = exports_name(shown->top, shown->img, shown->state, l);
	node = name ? fill_add(fill, NODE_EXPORT, name) : NULL;
	free(name);
	if (!node)
		return -ENOMEM;
	node->layout = l;
	if (fit == EXPORT_MAYBE)
		ret = node_view(node, shown, &view, &e);
	if (ret != -EFBIG)
		return ret;
	tree_drop(fill->tree, fill->nodes[--fill->n]);
	return 0;
}

static int fill_exports(struct fill *fill)
{
	int ret = 0;

	for (const struct format *const *f = registry; ret == 0 && *f; f++)
		for (const struct export_format *const *l = (*f)->layouts; ret == 0 && l && *l; l++)
			ret = fill_export(fill, *l);
	return ret;
}

static int fill_gather(struct fill *fill)
{
	switch (fill->dir->kind) {
	case NODE_PACKAGE:
	case NODE_IMAGE:
	case NODE_SNAPSHOT:
		return fill_state(fill);
	case NODE_SNAPSHOTS:
		return fill_snapshots(fill);
	case NODE_CHAIN:
		return fill_chain(fill);
	case NODE_PARTITIONS:
		return fill_partitions(fill);
	case NODE_EXPORTS:
		return fill_exports(fill);
	default:
		return 0; /* NODE_LINKS are filled with the directory that they are in */
	}
}

/* What is in a top is of one generation, which may be another than when it was looked into last. */
static void take_generation(struct node *top, const struct shown *shown)
{
	const struct state *state = shown->state;

	atomic_store(&top->readers, access_image_readers(shown->top, top->tree->group));
	top->state = state->no;
	if (!top->place.shot)
		top->when = state->when;
}

static int fill_pinned(struct fill *fill, struct err *e)
{
	struct node *node = fill->dir;
	int ret = node_pin(node, &fill->shown, e);

	if (ret < 0)
		return ret;
	if (node_is_top(node))
		take_generation(node, &fill->shown);
	ret = fill_gather(fill);
	node_unpin(node, &fill->shown);
	return ret;
}

static int fill_any(struct fill *fill, struct err *e)
{
	const struct place *place = &fill->dir->place;
	const char *refusal = place->of ? place_refusal(place) : NULL;
	bool many = false;
	int ret = 0;

	if (refusal)
		return err_set(e, ENOTSUP, "%s: %s", place_path(place), refusal);
	if (fill->dir->kind == NODE_FOLDER)
		return fill_folder(fill, e);
	if (fill->dir->kind == NODE_PACKAGE)
		ret = fill_package(fill, &many, e);
	return ret < 0 || many ? ret : fill_pinned(fill, e);
}

/* What the process is short of says nothing of the image: the next who looks may have it. */
static bool is_of_image(const struct err *e)
{
	return e->code && e->code != ENOMEM && e->code != EMFILE && e->code != ENFILE;
}

/* An image that cannot be opened is a directory that says why, and harms no other. */
static bool can_tell(const struct node *node, const struct err *e)
{
	return node->place.of && node_is_top(node) && is_of_image(e);
}

/* The snapshots of a machine are there without the image that they are snapshots of. */
static bool has_only_shots(const struct node *node, const struct err *e)
{
	return node->kind == NODE_SNAPSHOTS && has_shots(node->home) && is_of_image(e);
}

static int fill_only_shots(struct fill *fill)
{
	struct filename_set names = {0};
	int ret = fill_shots(fill, &names);

	filename_set_clear(&names);
	return ret;
}

int tree_fill(struct tree *tree, struct node *node, struct dir **dir)
{
	struct fill fill = {.tree = tree, .dir = node};
	struct err e = ERR_INIT;
	int ret = fill_any(&fill, &e);

	if (ret < 0 && can_tell(node, &e)) {
		fill_clear(&fill);
		ret = fill_error(&fill, &e);
	} else if (ret < 0 && has_only_shots(node, &e)) {
		fill_clear(&fill);
		ret = fill_only_shots(&fill);
	}
	return fill_end(&fill, ret, dir);
}
