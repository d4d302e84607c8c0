/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill.c - the entries of each kind of directory; of directories of the host, see fill-host.c. */
#include "fill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/err.h"
#include "view/view.h"
#include "image/format.h"
#include "open/registry.h"
#include "image/image.h"
#include "export/export.h"
#include "base/access.h"
#include "util/filename.h"
#include "base/log.h"
#include "exports.h"
#include "fill-host.h"
#include "fill-list.h"
#include "fill-volumes.h"
#include "node-stat.h"
#include "node.h"

static int add(struct fill_list *list, enum node_kind kind, const char *name)
{
	return fill_list_add(list, kind, name) ? 0 : -ENOMEM;
}

/* The directory of a state. */

/* A writable image whose format has snapshots has the directory before the first snapshot, so that
 * one can be created by mkdir. */
static bool has_snapshots(const struct node *dir, const struct image *img)
{
	bool some;

	states_lock(img);
	some = img->nstates > 1;
	states_unlock(img);
	return some || fill_host_has_snapshots(dir) ||
	       (node_can_change(dir) && img->format->snapshots);
}

static int fill_state(struct fill_list *list)
{
	const struct node *dir = list->dir;
	const struct image *img = list->shown.img;
	const struct state *state = list->shown.state;
	struct node *node;
	int ret = add(list, NODE_DISK, "disk.raw");

	if (ret == 0)
		ret = add(list, NODE_INFO, "info.json");
	if (ret == 0 && state->vmstate)
		ret = add(list, NODE_VMSTATE, "vmstate");
	if (ret == 0)
		ret = fill_add_volume_dirs(list);
	if (ret == 0 && !node_is_live(dir) && exports_any(img, state)) {
		node = fill_list_add(list, NODE_EXPORTS, "export");
		ret = node && (node->exports = exports_new()) ? 0 : -ENOMEM;
	}
	if (ret == 0 && dir->kind != NODE_SNAPSHOT && has_snapshots(dir, img))
		ret = add(list, NODE_SNAPSHOTS, "snapshots");
	if (ret == 0 && node_is_top(dir) && img->parent)
		ret = add(list, NODE_CHAIN, "chain");
	return ret;
}

/* Snapshots and layers. */

static int add_snapshot(
	struct fill_list *list, struct filename_set *names, const struct state *state)
{
	struct node *node = fill_list_add_named(list, NODE_SNAPSHOT, names, state_title(state));

	if (!node)
		return -ENOMEM;
	node->layer = list->dir->state_dir->layer;
	node->state = state->no;
	node->mtime = state->when;
	return 0;
}

/* Snapshots of the image, if that is pinned, and of the machine. */
static int fill_snapshots(struct fill_list *list)
{
	struct filename_set names = {0};
	const struct image *img = list->shown.img;
	int ret = 0;

	if (img) {
		states_lock(img);
		for (size_t i = 1; ret == 0 && i < img->nstates; i++)
			ret = add_snapshot(list, &names, img->states[i]);
		states_unlock(img);
	}
	if (ret == 0)
		ret = fill_host_snapshots(list, &names);
	filename_set_clear(&names);
	return ret;
}

static int fill_chain(struct fill_list *list)
{
	unsigned layer = 0;

	for (const struct image *img = list->shown.img; img; img = img->parent, layer++) {
		char *name = image_layer_name(img, layer);
		struct node *node = name ? fill_list_add(list, NODE_IMAGE, name) : NULL;

		free(name);
		if (!node)
			return -ENOMEM;
		node->layer = layer;
		states_lock(img);
		node->mtime = img->states[0]->when;
		states_unlock(img);
	}
	return 0;
}

/* Exports. */

/* A disk that may be too large for the format has the export generated at once, to find out. */
static int add_export(struct fill_list *list, const struct export_format *export)
{
	const struct shown *shown = &list->shown;
	struct view *view = shown->state->view;
	enum export_fit fit = export_fit(export, view->size);
	struct err e = ERR_INIT;
	struct node *node;
	char *name;
	int ret = 0;

	if (fit == EXPORT_NEVER)
		return 0;
	name = exports_name(shown->top, shown->img, shown->state, export);
	node = name ? fill_list_add(list, NODE_EXPORT, name) : NULL;
	free(name);
	if (!node)
		return -ENOMEM;
	node->export = export;
	if (fit == EXPORT_MAYBE)
		ret = shown_view(node, shown, &view, &e);
	if (ret != -EFBIG)
		return ret;
	fill_list_pop(list);
	return 0;
}

static int fill_exports(struct fill_list *list)
{
	int ret = 0;

	for (const struct format *const *f = registry; ret == 0 && *f; f++)
		for (const struct export_format *const *l = (*f)->layouts; ret == 0 && l && *l; l++)
			ret = add_export(list, *l);
	return ret;
}

/* Any directory. */

static int fill_any(struct fill_list *list, struct err *e)
{
	struct node *dir = list->dir;
	const struct shown *shown = &list->shown;
	const char *refusal = dir->place.folder ? fill_host_refusal(&dir->place) : NULL;
	bool many = false;
	int ret = 0;

	if (refusal)
		return err_set(e, ENOTSUP, "%s: %s", fill_host_path(&dir->place), refusal);
	if (dir->kind == NODE_FOLDER)
		return fill_host_folder(list, e);
	if (dir->kind == NODE_PACKAGE)
		ret = fill_host_package(list, &many, e);
	if (ret < 0 || many)
		return ret;
	ret = shown_pin(dir, USE_BRIEFLY, &list->shown, e);
	if (ret < 0)
		return ret;
	if (node_is_top(dir)) {
		/* Its content is of one generation of the image, which may be another one than when
		 * the top was listed last. */
		atomic_store(&dir->readers, access_image_readers(shown->top, dir->tree->group));
		dir->state = shown->state->no;
		if (!dir->place.snapshot)
			dir->mtime = shown->state->when;
	}
	if (dir->kind == NODE_SNAPSHOTS)
		ret = fill_snapshots(list);
	else if (dir->kind == NODE_CHAIN)
		ret = fill_chain(list);
	else if (dir->kind == NODE_PARTITIONS)
		ret = fill_partitions(list);
	else if (dir->kind == NODE_EXPORTS)
		ret = fill_exports(list);
	else if (dir->kind == NODE_VOLUMES || dir->kind == NODE_SPANNING)
		ret = fill_volumes(list);
	else if (dir->kind == NODE_LINKS)
		ret = fill_links(list);
	else
		ret = fill_state(list);
	shown_unpin(dir, &list->shown);
	return ret;
}

/* A directory whose image cannot be opened has the reason in it, and the snapshots of the machine,
 * which are images of their own. */
static int fill_error(struct fill_list *list, const struct err *e)
{
	struct node *dir = list->dir, *node;

	dir->mtime = node_stat_mtime(dir);
	node = fill_list_add(list, NODE_ERROR, "error.txt");
	if (!node)
		return -ENOMEM;
	if (fill_host_has_snapshots(dir) && !fill_list_add(list, NODE_SNAPSHOTS, "snapshots"))
		return -ENOMEM;
	if (fill_list_error(node, e) < 0)
		return -ENOMEM;
	atomic_fetch_add(&dir->tree->errors, 1);
	return 0;
}

/* Does an error come from the image?  A shortage of the process may be over at the next lookup. */
static bool is_of_image(const struct err *e)
{
	return e->code && e->code != ENOMEM && e->code != EMFILE && e->code != ENFILE;
}

int fill(struct node *node, struct dir **dir)
{
	struct fill_list list = {.dir = node};
	struct err e = ERR_INIT;
	int ret = fill_any(&list, &e);

	if (ret < 0 && is_of_image(&e)) {
		fill_list_clear(&list);
		list.shown = (struct shown){0};
		if (node->place.folder && node_is_top(node))
			ret = fill_error(&list, &e);
		else if (node->kind == NODE_SNAPSHOTS && fill_host_has_snapshots(node->state_dir))
			ret = fill_snapshots(&list);
	}
	return fill_list_end(&list, ret, dir);
}
