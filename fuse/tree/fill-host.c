/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill-host.c - directories of the host, packages and the snapshots of machines in the tree.
 *
 * Everything that is opened on its own is a top with a source of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "open/folder.h"
#include "base/log.h"
#include "base/filename.h"
#include "open/package.h"
#include "tree-impl.h"

/* Tops. */

/* What a description names lies below its own directory, what we found ourselves below the one that
 * is shown; both may lie where the user allows it. */
static const char *fence_of(const struct tree *tree, const struct place *place)
{
	return place->entry->described ? place->of->path : tree->dir.path;
}

const char *place_path(const struct place *place)
{
	return place->shot ? place->entry->shots[place->shot - 1].path : place->entry->path;
}

const char *place_refusal(const struct place *place)
{
	return place->shot ? place->entry->shots[place->shot - 1].refusal : place->entry->refusal;
}

/* Puts a node in its place and gives it a source, of the disk number disk if it is a package. */
static int settle(struct fill *fill, struct node *node, const struct place *place, size_t disk)
{
	struct err e = ERR_INIT;
	struct image_origin from = {
		.fence = fence_of(fill->tree, place),
		.path = place_path(place),
		.in_package = place->entry->kind == FOLDER_PACKAGE,
		.disk = disk,
		.chosen = !place->shot,
	};

	node->place = *place;
	folder_ref(place->of);
	if (place->entry->kind == FOLDER_SUB)
		return 0;
	node->image = pooled_image_new(fill->tree->dir.pool, &from, &e);
	return node->image ? 0 : -ENOMEM;
}

/* Tops that are in a list, of which each holds the next by next_found. */
static void find_tops(struct node *node, struct node ***end)
{
	if (!node_is_top(node) && node->kind != NODE_SNAPSHOTS)
		return;
	if (node_is_top(node)) {
		**end = node_get(node);
		node->next_found = NULL;
		*end = &node->next_found;
	}
	for (size_t i = 0; node->dir && i < node->dir->n; i++)
		find_tops(node->dir->nodes[i], end);
}

void tree_each_top(struct tree *tree, tree_visit_fn *visit, void *arg)
{
	struct node *first = NULL, **end = &first, *node;

	pthread_mutex_lock(&tree->lock);
	find_tops(tree->root, &end);
	pthread_mutex_unlock(&tree->lock);
	while ((node = first) != NULL) {
		first = node->next_found;
		visit(arg, node);
		node_put(tree, node, 1);
	}
}

/* Folders. */

static enum node_kind kind_of(const struct folder_entry *entry)
{
	switch (entry->kind) {
	case FOLDER_SUB:
		return NODE_FOLDER;
	case FOLDER_PACKAGE:
		return NODE_PACKAGE;
	default:
		return NODE_IMAGE;
	}
}

static int fill_entry(
	struct fill *fill, struct filename_set *names, struct folder *folder, size_t i)
{
	const struct folder_entry *entry = &folder->entries[i];
	const struct place place = {.of = folder, .entry = entry};
	struct node *node = fill_add_named(fill, kind_of(entry), names, entry->name);

	return node ? settle(fill, node, &place, 0) : -ENOMEM;
}

static int fill_entries(struct fill *fill, struct folder *folder)
{
	struct filename_set names = {0};
	int ret = 0;

	for (size_t i = 0; i < folder->n && ret == 0; i++)
		ret = fill_entry(fill, &names, folder, i);
	filename_set_clear(&names);
	return ret;
}

/* What the directory above was read as; held, or NULL. */
static struct folder *folder_above(struct tree *tree, const struct node *node)
{
	const struct node *above = node->parent;
	struct folder *folder = NULL;

	pthread_mutex_lock(&tree->lock);
	if (above != node && above->folder)
		folder = folder_ref(above->folder);
	pthread_mutex_unlock(&tree->lock);
	return folder;
}

static void keep_folder(struct tree *tree, struct node *node, struct folder *folder)
{
	struct folder *old;

	pthread_mutex_lock(&tree->lock);
	old = node->folder;
	node->folder = folder_ref(folder);
	pthread_mutex_unlock(&tree->lock);
	folder_unref(old);
}

static const char *host_path(const struct node *node)
{
	return node->place.of ? node->place.entry->path : node->tree->dir.path;
}

char *node_host_path(const struct node *dir, const char *name)
{
	const char *above = host_path(dir), *slash = strcmp(above, "/") == 0 ? "" : "/";
	char *path;

	return asprintf(&path, "%s%s%s", above, slash, name) < 0 ? NULL : path;
}

bool node_is_image_of(const struct node *node, const void *path)
{
	const struct place *place = &node->place;

	return node->kind == NODE_IMAGE && place->of && !place->shot &&
	       strcmp(place->entry->path, path) == 0;
}

static bool watch(const struct tree *tree, const char *path)
{
	return tree->dir.watch && tree->dir.watch(tree->dir.watch_arg, path);
}

/* Where nothing was found something may have come before it was watched. */
static bool watch_empty(const struct tree *tree, const struct folder *folder)
{
	bool new = false;

	for (size_t i = 0; i < folder->nempty; i++)
		new = watch(tree, folder->empty[i]) || new;
	return new;
}

static int read_watched(const struct tree *tree, const struct node *node,
	const struct folder *above, struct folder **folder, struct err *e)
{
	const struct shown_dir *dir = &tree->dir;
	const char *path = host_path(node);
	int ret;

	watch(tree, path);
	ret = folder_read(path, dir->how, above, folder, e);
	if (ret < 0 || !watch_empty(tree, *folder))
		return ret;
	folder_unref(*folder);
	return folder_read(path, dir->how, above, folder, e);
}

int fill_folder(struct fill *fill, struct err *e)
{
	struct folder *above = folder_above(fill->tree, fill->dir), *folder;
	int ret = read_watched(fill->tree, fill->dir, above, &folder, e);

	folder_unref(above);
	if (ret < 0)
		return ret;
	keep_folder(fill->tree, fill->dir, folder);
	ret = fill_entries(fill, folder);
	folder_unref(folder);
	return ret;
}

bool node_shows_dir(const struct node *node, const char *path)
{
	struct folder *folder;
	bool shows = false;

	if (node->kind != NODE_FOLDER)
		return false;
	pthread_mutex_lock(&node->tree->lock);
	folder = node->folder ? folder_ref(node->folder) : NULL;
	pthread_mutex_unlock(&node->tree->lock);
	if (!folder)
		return false;
	shows = strcmp(folder->path, path) == 0;
	for (size_t i = 0; i < folder->nempty && !shows; i++)
		shows = strcmp(folder->empty[i], path) == 0;
	folder_unref(folder);
	return shows;
}

/* Packages. */

static const char *base_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash && slash[1] ? slash + 1 : name;
}

static int fill_disks(struct fill *fill, const struct package *package)
{
	struct filename_set names = {0};
	int ret = 0;

	for (size_t i = 0; i < package_count(package) && ret == 0; i++) {
		struct node *node = fill_add_named(
			fill, NODE_IMAGE, &names, base_of(package_disk_name(package, i)));

		ret = node ? settle(fill, node, &fill->dir->place, i) : -ENOMEM;
	}
	filename_set_clear(&names);
	return ret;
}

int fill_package(struct fill *fill, bool *many, struct err *e)
{
	const struct place *place = &fill->dir->place;
	struct package *package;
	int ret = package_open_in(
		fence_of(fill->tree, place), place->entry->path, fill->tree->dir.how, &package, e);

	if (ret < 0)
		return ret;
	*many = package_count(package) > 1;
	if (package_count(package) == 0)
		ret = err_set(e, ENOENT, "%s: it has no disk", place->entry->path);
	else if (*many)
		ret = fill_disks(fill, package);
	package_close(package);
	return ret;
}

/* Machines. */

static bool is_next(const struct place *place, size_t shot)
{
	return place->entry->shots[shot].parent == place->shot;
}

bool has_shots(const struct node *top)
{
	const struct place *place = &top->place;

	for (size_t i = 0; place->of && i < place->entry->nshots; i++)
		if (is_next(place, i))
			return true;
	return false;
}

static int fill_shot(struct fill *fill, struct filename_set *names, const struct place *place)
{
	const struct folder_shot *shot = &place->entry->shots[place->shot - 1];
	struct node *node = fill_add_named(fill, NODE_IMAGE, names, shot->name);

	if (!node)
		return -ENOMEM;
	node->when = shot->when;
	atomic_store(&node->readers, 0); /* it is not known before it is opened */
	return settle(fill, node, place, 0);
}

int fill_shots(struct fill *fill, struct filename_set *names)
{
	const struct place *above = &fill->dir->home->place;
	struct place place = *above;
	int ret = 0;

	for (size_t i = 0; above->of && i < above->entry->nshots && ret == 0; i++) {
		place.shot = i + 1;
		if (is_next(above, i))
			ret = fill_shot(fill, names, &place);
	}
	return ret;
}

/* Errors. */

int fill_error(struct fill *fill, const struct err *e)
{
	char line[HINT_LINE];
	const char *hint = hint_line(e, &hint_words_vdiskfs, line);
	struct node *node;
	int n;

	fill->dir->when = node_time(fill->dir);
	node = fill_add(fill, NODE_ERROR, "error.txt");
	if (!node || (has_shots(fill->dir) && !fill_add(fill, NODE_SNAPSHOTS, "snapshots")))
		return -ENOMEM;
	n = asprintf(&node->text, "%s\n%s%s%s", e->text, hint ? "hint: " : "", hint ? hint : "",
		hint ? "\n" : "");
	if (n < 0)
		node->text = NULL;
	atomic_fetch_add(&fill->tree->errors, 1);
	return n < 0 ? -ENOMEM : 0;
}
