/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree.c - lists are generated with the lock released, and put in place in one step.
 *
 * A node that leaves its list is detached with all that is below it, since otherwise the circle of
 * references (parent, list, child) would keep it.  Lists that were replaced are collected as
 * garbage while the lock is held and freed without it: to free a node may close an image.
 */
#include "tree.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/host.h"
#include "image/image.h"
#include "view/view.h"
#include "base/access.h"
#include "base/log.h"
#include "node.h"
#include "pooled-image.h"

/* A name in a directory that the kernel must forget. */
struct stale_name {
	STAILQ_ENTRY(stale_name) entry;
	struct node *dir; /* held */
	char name[];
};

SLIST_HEAD(garbage, dir);

/* Lists. */

struct dir *tree_dir_new(size_t n)
{
	struct dir *dir = calloc(1, sizeof *dir + n * sizeof dir->nodes[0]);

	if (!dir)
		return NULL;
	atomic_init(&dir->refs, 1);
	dir->n = n;
	return dir;
}

void tree_unlist(struct dir *dir)
{
	if (atomic_fetch_sub(&dir->refs, 1) > 1)
		return;
	for (size_t i = 0; i < dir->n; i++)
		node_put(dir->nodes[i], 1);
	free(dir);
}

static void free_garbage(struct garbage *garbage)
{
	struct dir *dir;

	while ((dir = SLIST_FIRST(garbage)) != NULL) {
		SLIST_REMOVE_HEAD(garbage, garbage);
		tree_unlist(dir);
	}
}

/* Empties a directory; all nodes below are gone.  The lock is held. */
static void detach_list(struct node *node, struct garbage *garbage)
{
	struct dir *dir = node->dir;

	if (!dir)
		return;
	node->dir = NULL;
	for (size_t i = 0; i < dir->n; i++) {
		node_set_gone(dir->nodes[i]);
		detach_list(dir->nodes[i], garbage);
	}
	SLIST_INSERT_HEAD(garbage, dir, garbage);
}

/* The same with the node itself. */
static void detach(struct node *node, struct garbage *garbage)
{
	node_set_gone(node);
	detach_list(node, garbage);
}

void tree_drop(struct node *node)
{
	struct garbage garbage = SLIST_HEAD_INITIALIZER(garbage);

	pthread_mutex_lock(&node->tree->lock);
	detach(node, &garbage);
	pthread_mutex_unlock(&node->tree->lock);
	free_garbage(&garbage);
	node_put(node, 1);
}

/* Drops a list that no other thread has seen. */
static void drop_list(struct dir *dir)
{
	for (size_t i = 0; i < dir->n; i++)
		tree_drop(dir->nodes[i]);
	free(dir);
}

/* Names for the kernel. */

/* Records a name.  The lock is held. */
static void record(struct node *dir, const char *name)
{
	struct tree *tree = dir->tree;
	struct stale_name *stale = malloc(sizeof *stale + strlen(name) + 1);

	if (!stale) {
		log_error(tree->log, "out of memory: the old entry \"%s\" may stay visible", name);
		return;
	}
	stale->dir = node_get(dir);
	strcpy(stale->name, name);
	STAILQ_INSERT_TAIL(&tree->names, stale, entry);
}

static void wake(const struct tree *tree)
{
	if (tree->wake)
		tree->wake(tree->wake_arg);
}

void tree_notify(struct tree *tree, tree_notify_fn *notify, void *arg)
{
	struct stale_name *stale;

	for (;;) {
		pthread_mutex_lock(&tree->lock);
		stale = STAILQ_FIRST(&tree->names);
		if (stale)
			STAILQ_REMOVE_HEAD(&tree->names, entry);
		pthread_mutex_unlock(&tree->lock);
		if (!stale)
			return;
		notify(arg, stale->dir, stale->name);
		node_put(stale->dir, 1);
		free(stale);
	}
}

void tree_on_change(struct tree *tree, void (*wake_fn)(void *arg), void *arg)
{
	tree->wake = wake_fn;
	tree->wake_arg = arg;
}

/* Generating lists. */

/* Takes nodes of the old list of a directory that are still there into the new list, in place of
 * the nodes that were generated for them.  These go to spare.  The lock is held. */
static void merge(struct node *node, struct dir *new, struct dir *spare, struct garbage *garbage)
{
	struct dir *old = node->dir;
	size_t i = 0, j = 0;

	spare->n = 0;
	while (i < old->n || j < new->n) {
		struct node *was = i < old->n ? old->nodes[i] : NULL;
		struct node *is = j < new->n ? new->nodes[j] : NULL;
		int order = !was ? 1 : !is ? -1 : strcmp(was->name, is->name);

		if (order == 0 && node_is_same(was, is)) {
			detach(is, garbage);
			spare->nodes[spare->n++] = is;
			new->nodes[j] = node_get(was);
		} else {
			record(node, order > 0 ? is->name : was->name);
			if (order <= 0)
				detach(was, garbage);
		}
		i += order <= 0;
		j += order >= 0;
	}
	SLIST_INSERT_HEAD(garbage, old, garbage);
	SLIST_INSERT_HEAD(garbage, spare, garbage);
}

/* Gives a directory its list.  The lock is held. */
static int publish(struct node *node, struct dir *dir, struct garbage *garbage)
{
	struct dir *spare = NULL;

	if (atomic_load(&node->gone))
		return -ESTALE;
	if (node->dir) {
		spare = tree_dir_new(dir->n);
		if (!spare)
			return -ENOMEM;
		merge(node, dir, spare, garbage);
	}
	node->dir = dir;
	return 0;
}

/* Generates the list of a directory.  The lock is held, and released meanwhile. */
static int generate(struct node *node)
{
	struct garbage garbage = SLIST_HEAD_INITIALIZER(garbage);
	struct tree *tree = node->tree;
	struct dir *dir = NULL;
	unsigned resets;
	int ret;

	node->listing = true;
	do {
		resets = node->resets;
		pthread_mutex_unlock(&tree->lock);
		if (dir)
			drop_list(dir);
		dir = NULL;
		ret = tree->fill(node, &dir);
		pthread_mutex_lock(&tree->lock);
	} while (ret == 0 && resets != node->resets);
	if (ret == 0)
		ret = publish(node, dir, &garbage);
	node->listing = false;
	pthread_cond_broadcast(&tree->listed);
	pthread_mutex_unlock(&tree->lock);
	if (ret < 0 && dir)
		drop_list(dir);
	free_garbage(&garbage);
	pthread_mutex_lock(&tree->lock);
	return ret;
}

/* The lock is held, and released meanwhile. */
static int list(struct node *node, struct dir **dir)
{
	struct tree *tree = node->tree;
	int ret = 0;

	while (node->listing && (!node->dir || node->retry))
		pthread_cond_wait(&tree->listed, &tree->lock);
	while (ret == 0 && (!node->dir || node->retry) && !atomic_load(&node->gone)) {
		node->retry = false;
		ret = generate(node);
	}
	if (ret == 0 && !node->dir)
		ret = -ESTALE;
	*dir = node->dir;
	return ret;
}

int tree_list(struct node *node, struct dir **dir)
{
	int ret;

	if (!S_ISDIR(node_type(node)))
		return -ENOTDIR;
	pthread_mutex_lock(&node->tree->lock);
	ret = list(node, dir);
	if (ret == 0)
		atomic_fetch_add(&(*dir)->refs, 1);
	pthread_mutex_unlock(&node->tree->lock);
	return ret;
}

int tree_find(struct node *node, tree_is_fn *is, const void *arg, struct node **found)
{
	struct dir *dir;
	int ret = tree_list(node, &dir);

	*found = NULL;
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < dir->n && !*found; i++)
		if (is(dir->nodes[i], arg))
			*found = node_get(dir->nodes[i]);
	tree_unlist(dir);
	return 0;
}

static int name_compare(const void *name, const void *node)
{
	return strcmp(name, (*(struct node *const *)node)->name);
}

static struct node *find_name(const struct dir *dir, const char *name)
{
	struct node *const *found =
		bsearch(name, dir->nodes, dir->n, sizeof dir->nodes[0], name_compare);

	return found ? *found : NULL;
}

int tree_lookup(struct node *node, const char *name, struct node **found)
{
	struct dir *dir;
	int ret;

	*found = NULL;
	if (!S_ISDIR(node_type(node)))
		return -ENOTDIR;
	pthread_mutex_lock(&node->tree->lock);
	ret = list(node, &dir);
	if (ret == 0)
		*found = find_name(dir, name);
	/* Firmware and Windows write UUIDs in capitals, udev names partitions by small letters. */
	if (ret == 0 && node->ignores_case)
		for (size_t i = 0; i < dir->n && !*found; i++)
			if (strcasecmp(dir->nodes[i]->name, name) == 0)
				*found = dir->nodes[i];
	if (*found)
		node_get(*found);
	pthread_mutex_unlock(&node->tree->lock);
	return ret;
}

/* Changes. */

void tree_changed(struct tree *tree)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	atomic_fetch_add(&tree->changes, 1);
	atomic_store(&tree->wrote_at, now.tv_sec * NSEC + now.tv_nsec);
}

int tree_refresh(struct node *node)
{
	struct tree *tree = node->tree;
	int ret = 0;

	pthread_mutex_lock(&tree->lock);
	while (node->listing)
		pthread_cond_wait(&tree->listed, &tree->lock);
	if (node->dir)
		ret = generate(node);
	pthread_mutex_unlock(&tree->lock);
	wake(tree);
	return ret;
}

/* An entry of a directory, if that is listed, or NULL.  The lock is held. */
static struct node *listed(const struct node *node, const char *name)
{
	return node && node->dir ? find_name(node->dir, name) : NULL;
}

/* The image lists its snapshots, and so does layer 0 of its chain, the first there by name. */
int tree_snapshots_changed(const struct node *node)
{
	const struct node *image = node->state_dir, *chain;
	struct tree *tree = node->tree;
	struct node *lists[2];
	int ret = 0;

	pthread_mutex_lock(&tree->lock);
	chain = listed(image, "chain");
	lists[0] = listed(image, "snapshots");
	lists[1] = chain && chain->dir ? listed(chain->dir->nodes[0], "snapshots") : NULL;
	for (int i = 0; i < 2; i++)
		if (lists[i])
			node_get(lists[i]);
	pthread_mutex_unlock(&tree->lock);
	tree_changed(tree);
	for (int i = 0; i < 2; i++) {
		if (lists[i] && ret == 0)
			ret = tree_refresh(lists[i]);
		if (lists[i])
			node_put(lists[i], 1);
	}
	return ret;
}

void tree_reset(struct node *node)
{
	struct garbage garbage = SLIST_HEAD_INITIALIZER(garbage);
	struct tree *tree = node->tree;

	pthread_mutex_lock(&tree->lock);
	node->resets++;
	for (size_t i = 0; node->dir && i < node->dir->n; i++)
		record(node, node->dir->nodes[i]->name);
	detach_list(node, &garbage);
	pthread_mutex_unlock(&tree->lock);
	free_garbage(&garbage);
	wake(tree);
}

/* Snapshots of a machine, listed beside the error, may be in use and stay. */
void tree_retry(struct node *top)
{
	struct tree *tree = top->tree;

	/* Its errors are those of volumes: they stay as long as its disks do. */
	if (top->kind == NODE_SPANNING)
		return;
	pthread_mutex_lock(&tree->lock);
	for (size_t i = 0; top->dir && i < top->dir->n; i++)
		if (top->dir->nodes[i]->kind == NODE_ERROR) {
			top->retry = true;
			record(top, top->dir->nodes[i]->name);
		}
	pthread_mutex_unlock(&tree->lock);
	wake(tree);
}

unsigned tree_errors(struct tree *tree)
{
	return atomic_exchange(&tree->errors, 0);
}

STAILQ_HEAD(tops, node);

/* Gathers the tops in a list and below, held.  The lock is held. */
static void find_tops(struct node *node, struct tops *tops)
{
	if (node_is_top(node))
		STAILQ_INSERT_TAIL(tops, node_get(node), top_entry);
	else if (node->kind != NODE_SNAPSHOTS)
		return;
	for (size_t i = 0; node->dir && i < node->dir->n; i++)
		find_tops(node->dir->nodes[i], tops);
}

void tree_each_top(struct tree *tree, tree_visit_fn *visit, void *arg)
{
	struct tops tops = STAILQ_HEAD_INITIALIZER(tops);
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	find_tops(tree->root, &tops);
	pthread_mutex_unlock(&tree->lock);
	while ((node = STAILQ_FIRST(&tops)) != NULL) {
		STAILQ_REMOVE_HEAD(&tops, top_entry);
		visit(arg, node);
		node_put(node, 1);
	}
}

/* The tree. */

static struct tree *new_tree(
	enum node_kind kind, tree_fill_fn *fill, struct log *log, struct err *e)
{
	struct tree *tree = calloc(1, sizeof *tree);

	if (!tree) {
		err_nomem(e);
		return NULL;
	}
	tree->fill = fill;
	tree->log = log;
	LIST_INIT(&tree->gone);
	LIST_INIT(&tree->files);
	STAILQ_INIT(&tree->names);
	pthread_mutex_init(&tree->lock, NULL);
	pthread_cond_init(&tree->listed, NULL);
	tree->root = node_new(tree, NULL, kind, "");
	if (tree->root)
		return tree;
	err_nomem(e);
	tree_free(tree);
	return NULL;
}

struct tree *tree_new(
	struct pooled_image *image, tree_fill_fn *fill, struct log *log, struct err *e)
{
	struct tree *tree = new_tree(NODE_IMAGE, fill, log, e);
	const struct image *img;
	const struct state *live;

	if (!tree) {
		pooled_image_unref(image);
		return NULL;
	}
	tree->root->image = image;
	if (pooled_image_pin(image, ANY_GENERATION, USE_BRIEFLY, &img, e) < 0) {
		tree_free(tree);
		return NULL;
	}
	live = img->states[pooled_image_state(image)];
	tree->root->state = live->no;
	tree->root->mtime = live->when;
	tree->size = live->view->size;
	pooled_image_unpin(image, USE_BRIEFLY);
	return tree;
}

struct tree *tree_new_dir(
	const struct shown_dir *dir, tree_fill_fn *fill, struct log *log, struct err *e)
{
	struct tree *tree = new_tree(NODE_FOLDER, fill, log, e);

	if (tree) {
		tree->dir = *dir;
		tree->size = dir->size;
	}
	return tree;
}

void tree_free(struct tree *tree)
{
	struct garbage garbage = SLIST_HEAD_INITIALIZER(garbage);
	struct stale_name *stale;
	struct node *node;
	struct dir *dir;

	if (!tree)
		return;
	if (tree->root)
		detach(tree->root, &garbage);
	while ((dir = SLIST_FIRST(&garbage)) != NULL) {
		SLIST_REMOVE_HEAD(&garbage, garbage);
		free(dir);
	}
	while ((node = LIST_FIRST(&tree->gone)) != NULL) {
		LIST_REMOVE(node, gone_entry);
		node_free(node);
	}
	while ((stale = STAILQ_FIRST(&tree->names)) != NULL) {
		STAILQ_REMOVE_HEAD(&tree->names, entry);
		free(stale);
	}
	pthread_mutex_destroy(&tree->lock);
	pthread_cond_destroy(&tree->listed);
	free(tree);
}

void tree_set_access(struct tree *tree, gid_t group, bool writable)
{
	struct err ignored = ERR_INIT;
	struct node *root = tree->root;
	const struct image *img;

	tree->group = group;
	tree->writable = writable;
	if (!root->image ||
		pooled_image_pin(root->image, ANY_GENERATION, USE_BRIEFLY, &img, &ignored) < 0)
		return;
	atomic_store(&root->readers, access_image_readers(img, group));
	pooled_image_unpin(root->image, USE_BRIEFLY);
}

/* A directory that can be written has the free space of its file system; any other mount is full,
 * and as large as the disks in it. */
void tree_statvfs(const struct tree *tree, struct statvfs *st)
{
	int fd = tree->writable && tree->dir.path ? host_kept(tree->dir.path) : -1;

	if (fd >= 0 && fstatvfs(fd, st) == 0)
		return;
	*st = (struct statvfs){.f_bsize = 4096, .f_frsize = 512, .f_namemax = NAME_MAX};
	st->f_blocks = div_round_up(tree->size, st->f_frsize);
}
