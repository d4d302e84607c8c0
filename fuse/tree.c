/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree.c - nodes: what they are called, how large they are, where they lead.
 *
 * The directories are filled in tree-fill.c.
 */
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "image.h"
#include "info.h"
#include "names.h"
#include "tree-fill.h"
#include "view.h"

#define ROOT_INO 1

/* FNV-1a over the path: the same number at every mount of the same image. */
static uint64_t path_hash(uint64_t parent, const char *name)
{
	uint64_t hash = (parent ^ '/') * 0x100000001b3;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
	return hash > ROOT_INO ? hash : ROOT_INO + 1;
}

struct node *node_new(struct node *parent, enum node_kind kind, const char *name)
{
	struct node *node = calloc(1, sizeof *node);

	if (!node)
		return NULL;
	node->name = strdup(name);
	if (!node->name) {
		free(node);
		return NULL;
	}
	node->kind = kind;
	node->parent = parent ? parent : node;
	node->ino = parent ? path_hash(parent->ino, name) : ROOT_INO;
	if (parent) {
		node->img = parent->img;
		node->layer = parent->layer;
		node->state = parent->state;
	}
	atomic_init(&node->dir, NULL);
	atomic_init(&node->measured, UNMEASURED);
	return node;
}

static void part_free(struct part *part)
{
	if (!part)
		return;
	view_free(part->view);
	free(part);
}

void node_free(struct node *node)
{
	struct dir *dir = atomic_load(&node->dir);

	for (size_t i = 0; dir && i < dir->n; i++)
		node_free(dir->nodes[i]);
	free(dir);
	if (node->kind == NODE_PARTITION)
		part_free(node->part);
	if (node->kind == NODE_PARTITIONS && node->table) {
		ptable_free(node->table);
		free(node->table);
	}
	free(node->name);
	free(node);
}

struct tree *tree_new(const struct image *img, size_t state, struct log *log, struct err *e)
{
	struct tree *tree = calloc(1, sizeof *tree);

	if (!tree || !(tree->root = node_new(NULL, NODE_IMAGE, ""))) {
		free(tree);
		err_nomem(e);
		return NULL;
	}
	tree->root->img = img;
	tree->root->state = state;
	tree->log = log;
	pthread_mutex_init(&tree->lock, NULL);
	return tree;
}

void tree_free(struct tree *tree)
{
	if (!tree)
		return;
	node_free(tree->root);
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

struct node *tree_root(struct tree *tree)
{
	return tree->root;
}

int tree_list(struct tree *tree, struct node *node, const struct dir **dir)
{
	int ret = 0;

	if (!S_ISDIR(node_mode(node)))
		return -ENOTDIR;
	*dir = atomic_load_explicit(&node->dir, memory_order_acquire);
	if (*dir)
		return 0;
	pthread_mutex_lock(&tree->lock);
	if (!atomic_load_explicit(&node->dir, memory_order_relaxed))
		ret = tree_fill(tree, node);
	*dir = atomic_load_explicit(&node->dir, memory_order_relaxed);
	pthread_mutex_unlock(&tree->lock);
	return ret;
}

static int name_compare(const void *name, const void *node)
{
	return strcmp(name, (*(struct node *const *)node)->name);
}

struct node *dir_find(const struct dir *dir, const char *name)
{
	struct node *const *found =
		bsearch(name, dir->nodes, dir->n, sizeof dir->nodes[0], name_compare);

	return found ? *found : NULL;
}

mode_t node_mode(const struct node *node)
{
	switch (node->kind) {
	case NODE_DISK:
	case NODE_VMSTATE:
	case NODE_PARTITION:
	case NODE_INFO:
		return S_IFREG | 0400;
	case NODE_LINK:
		return S_IFLNK | 0777;
	default:
		return S_IFDIR | 0500;
	}
}

const struct view *node_view(const struct node *node)
{
	switch (node->kind) {
	case NODE_DISK:
	case NODE_VMSTATE:
		return node->view;
	case NODE_PARTITION:
		return node->part->view;
	default:
		return NULL;
	}
}

static int info_measure(const struct node *node, uint64_t *bytes)
{
	struct err e = ERR_INIT;
	char *text = info_json(node->img, node->state, &e);

	if (!text)
		return -e.code;
	*bytes = strlen(text);
	free(text);
	return 0;
}

/* Two threads that ask at the same time both count, and find the same. */
static int node_measure(struct node *node, uint64_t *measured)
{
	int ret = 0;

	*measured = atomic_load_explicit(&node->measured, memory_order_relaxed);
	if (*measured != UNMEASURED)
		return 0;
	if (node->kind == NODE_INFO)
		ret = info_measure(node, measured);
	else
		*measured = view_stored(node_view(node));
	if (ret == 0)
		atomic_store_explicit(&node->measured, *measured, memory_order_relaxed);
	return ret;
}

int node_is_measured(const struct node *node)
{
	return !S_ISREG(node_mode(node)) ||
	       atomic_load_explicit(&node->measured, memory_order_relaxed) != UNMEASURED;
}

static off_t link_len(const struct node *link)
{
	return (off_t)strlen(link->target->name) + 3;
}

int node_stat(struct node *node, struct stat *st)
{
	uint64_t measured = 0;
	int ret;

	memset(st, 0, sizeof *st);
	st->st_ino = node->ino;
	st->st_mode = node_mode(node);
	/* Also of directories: how many are in one is not known before it is filled, and 1 is what
	 * programs take for "not counted". */
	st->st_nlink = 1;
	st->st_mtim = st->st_ctim = st->st_atim = node->img->states[node->state].when;
	if (S_ISLNK(st->st_mode))
		st->st_size = link_len(node);
	if (!S_ISREG(st->st_mode))
		return 0;
	ret = node_measure(node, &measured);
	if (ret < 0)
		return ret;
	st->st_size = (off_t)(node->kind == NODE_INFO ? measured : node_view(node)->size);
	st->st_blocks = (blkcnt_t)div_round_up(measured, 512);
	return 0;
}

char *node_readlink(const struct node *node)
{
	char *path;

	return asprintf(&path, "../%s", node->target->name) < 0 ? NULL : path;
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

char *layer_name(const struct image *img, unsigned layer)
{
	char *raw, *name;

	if (asprintf(&raw, "%u-%s", layer, image_basename(img)) < 0)
		return NULL;
	name = name_escape(raw);
	free(raw);
	return name;
}
