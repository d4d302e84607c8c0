/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/access.h"
#include "image/image.h"
#include "open/folder.h"
#include "volume/volume.h"
#include "exports.h"
#include "pooled-image.h"

#define ROOT_INO 1

/* FNV-1a of the path: an image has the same inode numbers in each mount. */
static uint64_t path_hash(uint64_t parent, const char *name)
{
	uint64_t hash = (parent ^ '/') * 0x100000001b3;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
	return hash > ROOT_INO ? hash : ROOT_INO + 1;
}

struct node *node_new(struct tree *tree, struct node *parent, enum node_kind kind, const char *name)
{
	struct node *node = calloc(1, sizeof *node);

	if (!node || !(node->name = strdup(name))) {
		free(node);
		return NULL;
	}
	atomic_init(&node->refs, 1);
	atomic_init(&node->stored, NOT_COUNTED);
	atomic_init(&node->readers, ACCESS_ALL);
	node->kind = kind;
	node->tree = tree;
	node->parent = parent ? node_get(parent) : node;
	node->ino = parent ? path_hash(parent->ino, name) : ROOT_INO;
	if (kind == NODE_IMAGE || kind == NODE_SNAPSHOT || kind == NODE_PACKAGE ||
		kind == NODE_SPANNING)
		node->state_dir = node;
	else if (parent)
		node->state_dir = parent->state_dir;
	if (!parent)
		return node;
	node->mtime = parent->mtime;
	if (node_is_top(node))
		return node;
	atomic_store(&node->readers, atomic_load(&parent->readers));
	if (parent->image && kind != NODE_ERROR) {
		node->image = pooled_image_ref(parent->image);
		node->generation = pooled_image_generation(parent->image);
	}
	return node;
}

struct node *node_get(struct node *node)
{
	atomic_fetch_add(&node->refs, 1);
	return node;
}

void node_put(struct node *node, uint64_t n)
{
	while (atomic_fetch_sub(&node->refs, (unsigned)n) == n) {
		struct node *parent = node->parent;
		struct tree *tree = node->tree;

		if (atomic_load(&node->gone)) {
			pthread_mutex_lock(&tree->lock);
			LIST_REMOVE(node, gone_entry);
			pthread_mutex_unlock(&tree->lock);
		}
		node_free(node);
		if (parent == node)
			return;
		node = parent;
		n = 1;
	}
}

void node_set_gone(struct node *node)
{
	atomic_store(&node->gone, true);
	LIST_INSERT_HEAD(&node->tree->gone, node, gone_entry);
}

void node_free(struct node *node)
{
	if (node->kind == NODE_PARTITION)
		free(node->part);
	if (node->kind == NODE_VOLUME && node->volume) {
		volume_set_free(node->volume->set);
		free(node->volume);
	}
	if (node->kind == NODE_PARTITIONS && node->table) {
		partition_table_free(node->table);
		free(node->table);
	}
	if (node->kind == NODE_LINK || node->kind == NODE_ERROR)
		free(node->text);
	if (node->kind == NODE_FOLDER)
		folder_unref(node->folder);
	if (node->kind == NODE_EXPORTS)
		exports_free(node->exports);
	folder_unref(node->place.folder);
	if (node->image)
		pooled_image_drop_view(node->image, &node->derived);
	pooled_image_unref(node->image);
	free(node->name);
	free(node);
}

static bool is_same_place(const struct host_place *a, const struct host_place *b)
{
	if (!a->folder || !b->folder)
		return a->folder == b->folder;
	return a->snapshot == b->snapshot && folder_entry_is_same(a->entry, b->entry);
}

bool node_is_same(const struct node *old, const struct node *new)
{
	if (old->kind != new->kind || !is_same_place(&old->place, &new->place))
		return false;
	if (old->kind == NODE_ERROR)
		return strcmp(old->text, new->text) == 0;
	if (old->kind == NODE_SPANNING)
		return pooled_image_has_same_disks(old->image, new->image);
	return node_is_top(old) || (old->image == new->image && old->generation == new->generation);
}

mode_t node_type(const struct node *node)
{
	switch (node->kind) {
	case NODE_DISK:
	case NODE_PARTITION:
	case NODE_VOLUME:
	case NODE_VMSTATE:
	case NODE_INFO:
	case NODE_ERROR:
	case NODE_EXPORT:
		return S_IFREG;
	case NODE_LINK:
		return S_IFLNK;
	default:
		return S_IFDIR;
	}
}

void node_path(const struct node *node, char *buf, size_t size)
{
	size_t used;

	if (node->parent == node) {
		buf[0] = '\0';
		return;
	}
	node_path(node->parent, buf, size);
	used = strlen(buf);
	snprintf(buf + used, size - used, "%s%s", used ? "/" : "", node->name);
}

bool node_is_top(const struct node *node)
{
	return node->kind == NODE_PACKAGE || node->kind == NODE_FOLDER ||
	       node->kind == NODE_SPANNING ||
	       (node->kind == NODE_IMAGE && node->parent->kind != NODE_CHAIN);
}

struct node *node_top(const struct node *node)
{
	while (!node_is_top(node))
		node = node->parent;
	return (struct node *)node;
}

/* Snapshots of machines and disks in packages are never written. */
bool node_is_live(const struct node *node)
{
	const struct node *dir = node->state_dir;

	if (!node->tree->writable || !dir)
		return false;
	return dir == node->tree->root ||
	       (dir->kind == NODE_IMAGE && dir->place.folder && !dir->place.snapshot &&
		       dir->place.entry->kind == FOLDER_IMAGE);
}

bool node_can_change(const struct node *node)
{
	const struct node *dir = node->state_dir;

	if (dir && dir->layer == 0 && dir->parent->kind == NODE_CHAIN)
		dir = dir->parent->state_dir;
	return dir && node_is_live(dir);
}

bool node_list_stays(const struct node *node)
{
	return !node_is_top(node) && node->kind != NODE_SNAPSHOTS;
}

struct new_image *node_get_new_image(const struct node *node)
{
	return node->image && node_is_top(node) ? pooled_image_get_new(node->image) : NULL;
}

struct new_image *node_get_new_disk(const struct node *node)
{
	return node->kind == NODE_DISK && node_is_live(node) ? node_get_new_image(node->state_dir)
							     : NULL;
}

const char *node_host_dir(const struct node *dir)
{
	return dir->place.folder ? dir->place.entry->path : dir->tree->dir.path;
}

char *node_host_path(const struct node *dir, const char *name)
{
	const char *above = node_host_dir(dir), *slash = strcmp(above, "/") == 0 ? "" : "/";
	char *path;

	return asprintf(&path, "%s%s%s", above, slash, name) < 0 ? NULL : path;
}

bool node_is_image_of(const struct node *node, const void *path)
{
	const struct host_place *place = &node->place;

	return node->kind == NODE_IMAGE && place->folder && !place->snapshot &&
	       strcmp(place->entry->path, path) == 0;
}

bool node_shows_dir(const struct node *node, const char *path)
{
	struct folder *folder = NULL;
	bool shows;

	if (node->kind != NODE_FOLDER)
		return false;
	pthread_mutex_lock(&node->tree->lock);
	if (node->folder)
		folder = folder_ref(node->folder);
	pthread_mutex_unlock(&node->tree->lock);
	if (!folder)
		return false;
	shows = strcmp(folder->path, path) == 0;
	for (size_t i = 0; i < folder->empty.n && !shows; i++)
		shows = strcmp(folder->empty.v[i], path) == 0;
	folder_unref(folder);
	return shows;
}
