/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill-host.c - each image that is opened by itself is a top with a pooled image of its own. */
#include "fill-host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "open/folder.h"
#include "open/folder-read.h"
#include "open/package.h"
#include "util/filename.h"
#include "node.h"
#include "pooled-image.h"

/* A file that a description names must lie below the directory of the description; a file that was
 * found by its name, below the directory that is mounted. */
static const char *root_of(const struct tree *tree, const struct host_place *place)
{
	return place->entry->described ? place->folder->path : tree->dir.path;
}

const char *fill_host_path(const struct host_place *place)
{
	return place->snapshot ? place->entry->snapshots[place->snapshot - 1].path
			       : place->entry->path;
}

const char *fill_host_refusal(const struct host_place *place)
{
	return place->snapshot ? place->entry->snapshots[place->snapshot - 1].refusal
			       : place->entry->refusal;
}

/* Adds a top; disk is its number if place is a package. */
static struct node *add_top(struct fill_list *list, struct filename_set *names, const char *name,
	enum node_kind kind, const struct host_place *place, size_t disk)
{
	struct node *node = fill_list_add_named(list, kind, names, name);
	const struct shown_dir *dir = &list->dir->tree->dir;
	struct err e = ERR_INIT;
	struct image_origin from = {
		.place = {.root = root_of(list->dir->tree, place),
			.path = fill_host_path(place),
			.in_package = place->entry->kind == FOLDER_PACKAGE,
			.disk = disk},
		.chosen = !place->snapshot,
	};

	if (!node)
		return NULL;
	node->place = *place;
	folder_ref(place->folder);
	if (kind != NODE_FOLDER)
		node->image = pooled_image_new(dir->pool, &from, &e);
	return kind == NODE_FOLDER || node->image ? node : NULL;
}

/* Adds the directory of volumes that lie on several of the disks in the list, if there are several:
 * to find out whether there is such a volume, all of them would have to be opened. */
static int add_volumes(struct fill_list *list, struct filename_set *names)
{
	const struct shown_dir *dir = &list->dir->tree->dir;
	struct pooled_image **disks = calloc(list->n + 1, sizeof disks[0]);
	struct err e = ERR_INIT;
	struct node *node = NULL;
	size_t n = 0;

	for (size_t i = 0; disks && i < list->n; i++)
		if (list->nodes[i]->kind == NODE_IMAGE && !list->nodes[i]->place.entry->refusal)
			disks[n++] = list->nodes[i]->image;
	if (n > 1)
		node = fill_list_add_named(list, NODE_SPANNING, names, "volumes");
	if (node)
		node->image = pooled_image_of_disks(dir->pool, disks, n, &e);
	free(disks);
	return !disks || (n > 1 && (!node || !node->image)) ? -ENOMEM : 0;
}

/* Directories of the host. */

static bool watch(const struct tree *tree, const char *path)
{
	return tree->dir.watch && tree->dir.watch(tree->dir.watch_arg, path);
}

/* A file that came into an empty directory before the watch was set would go unnoticed: then the
 * folder is read again. */
static int read_watched(
	const struct node *node, const struct folder *above, struct folder **folder, struct err *e)
{
	const struct tree *tree = node->tree;
	const char *path = node_host_dir(node);
	bool new = false;
	int ret;

	watch(tree, path);
	ret = folder_read(path, tree->dir.how, above, folder, e);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < (*folder)->empty.n; i++)
		new = watch(tree, (*folder)->empty.v[i]) || new;
	if (!new)
		return 0;
	folder_unref(*folder);
	return folder_read(path, tree->dir.how, above, folder, e);
}

/* The directory above is read first: its descriptions may claim files of this one. */
static int read_folder(struct node *node, struct folder **folder, struct err *e)
{
	pthread_mutex_t *lock = &node->tree->lock;
	const struct node *parent = node->parent;
	struct folder *above = NULL, *old;
	int ret;

	pthread_mutex_lock(lock);
	if (parent != node && parent->folder)
		above = folder_ref(parent->folder);
	pthread_mutex_unlock(lock);
	ret = read_watched(node, above, folder, e);
	folder_unref(above);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(lock);
	old = node->folder;
	node->folder = folder_ref(*folder);
	pthread_mutex_unlock(lock);
	folder_unref(old);
	return 0;
}

int fill_host_folder(struct fill_list *list, struct err *e)
{
	struct filename_set names = {0};
	struct folder *folder;
	int ret = read_folder(list->dir, &folder, e);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < folder->n && ret == 0; i++) {
		const struct folder_entry *entry = &folder->entries[i];
		const struct host_place place = {.folder = folder, .entry = entry};
		enum node_kind kind = entry->kind == FOLDER_SUB       ? NODE_FOLDER
				      : entry->kind == FOLDER_PACKAGE ? NODE_PACKAGE
								      : NODE_IMAGE;

		ret = add_top(list, &names, entry->name, kind, &place, 0) ? 0 : -ENOMEM;
	}
	if (ret == 0)
		ret = add_volumes(list, &names);
	filename_set_clear(&names);
	folder_unref(folder);
	return ret;
}

/* Packages. */

int fill_host_package(struct fill_list *list, bool *many, struct err *e)
{
	const struct host_place *place = &list->dir->place;
	const struct tree *tree = list->dir->tree;
	struct filename_set names = {0};
	struct package *package;
	size_t n;
	int ret = package_open_in(
		root_of(tree, place), place->entry->path, tree->dir.how, &package, e);

	if (ret < 0)
		return ret;
	n = package_count(package);
	*many = n > 1;
	if (n == 0)
		ret = err_set(e, ENOENT, "%s: it has no disk", place->entry->path);
	for (size_t i = 0; *many && i < n && ret == 0; i++) {
		const char *name = package_disk_name(package, i), *slash = strrchr(name, '/');

		if (!add_top(list, &names, slash && slash[1] ? slash + 1 : name, NODE_IMAGE, place,
			    i))
			ret = -ENOMEM;
	}
	if (*many && ret == 0)
		ret = add_volumes(list, &names);
	filename_set_clear(&names);
	package_close(package);
	return ret;
}

/* Snapshots of machines. */

static bool is_child(const struct host_place *place, size_t i)
{
	return place->folder && place->entry->snapshots[i].parent == place->snapshot;
}

bool fill_host_has_snapshots(const struct node *top)
{
	const struct host_place *place = &top->place;

	for (size_t i = 0; place->folder && i < place->entry->nsnapshots; i++)
		if (is_child(place, i))
			return true;
	return false;
}

int fill_host_snapshots(struct fill_list *list, struct filename_set *names)
{
	const struct host_place *above = &list->dir->state_dir->place;
	struct host_place place = *above;
	struct node *node;

	for (size_t i = 0; above->folder && i < above->entry->nsnapshots; i++) {
		if (!is_child(above, i))
			continue;
		place.snapshot = i + 1;
		node = add_top(list, names, above->entry->snapshots[i].name, NODE_IMAGE, &place, 0);
		if (!node)
			return -ENOMEM;
		node->mtime = above->entry->snapshots[i].when;
		/* The permissions of its files are unknown before it is opened. */
		atomic_store(&node->readers, 0);
	}
	return 0;
}
