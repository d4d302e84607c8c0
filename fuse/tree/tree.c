/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree.c - how nodes come, are found, and go.
 *
 * A list is made aside, with the lock released, and put in place in one step.  What leaves a list
 * is detached with all that is below it, so that no circle of holds (parent, list, child) keeps it.
 */
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/access.h"
#include "util/err.h"
#include "image/image.h"
#include "base/log.h"
#include "tree-impl.h"
#include "view/view.h"

/* A name that the kernel shall forget. */
struct change {
	struct change *next;
	struct node *dir; /* held */
	char name[];
};

/* What was taken out with the lock held, to be given up without. */
struct garbage {
	struct dir *dirs;
};

/* Holds. */

static void gone_link(struct tree *tree, struct node *node)
{
	node->next_gone = tree->gone;
	if (node->next_gone)
		node->next_gone->link_gone = &node->next_gone;
	node->link_gone = &tree->gone;
	tree->gone = node;
}

static void gone_unlink(struct tree *tree, struct node *node)
{
	pthread_mutex_lock(&tree->lock);
	*node->link_gone = node->next_gone;
	if (node->next_gone)
		node->next_gone->link_gone = node->link_gone;
	pthread_mutex_unlock(&tree->lock);
}

struct node *node_get(struct node *node)
{
	atomic_fetch_add(&node->refs, 1);
	return node;
}

void node_put(struct tree *tree, struct node *node, uint64_t n)
{
	while (atomic_fetch_sub(&node->refs, (unsigned)n) == n) {
		struct node *parent = node->parent;

		if (atomic_load(&node->gone))
			gone_unlink(tree, node);
		node_free(node);
		if (parent == node)
			return;
		node = parent;
		n = 1;
	}
}

struct dir *dir_new(size_t n)
{
	struct dir *dir = malloc(sizeof *dir + n * sizeof dir->nodes[0]);

	if (!dir)
		return NULL;
	atomic_init(&dir->refs, 1);
	dir->next = NULL;
	dir->n = 0;
	return dir;
}

void tree_unlist(struct tree *tree, struct dir *dir)
{
	if (atomic_fetch_sub(&dir->refs, 1) > 1)
		return;
	for (size_t i = 0; i < dir->n; i++)
		node_put(tree, dir->nodes[i], 1);
	free(dir);
}

static void throw_away(struct tree *tree, struct garbage *garbage)
{
	struct dir *dir;

	while ((dir = garbage->dirs) != NULL) {
		garbage->dirs = dir->next;
		tree_unlist(tree, dir);
	}
}

/* Detaching; the lock is held. */

static void detach(struct tree *tree, struct node *node, struct garbage *garbage);

static void detach_list(struct tree *tree, struct node *node, struct garbage *garbage)
{
	struct dir *dir = node->dir;

	if (!dir)
		return;
	node->dir = NULL;
	for (size_t i = 0; i < dir->n; i++)
		detach(tree, dir->nodes[i], garbage);
	dir->next = garbage->dirs;
	garbage->dirs = dir;
}

static void detach(struct tree *tree, struct node *node, struct garbage *garbage)
{
	atomic_store(&node->gone, true);
	gone_link(tree, node);
	detach_list(tree, node, garbage);
}

void tree_drop(struct tree *tree, struct node *node)
{
	struct garbage garbage = {0};

	pthread_mutex_lock(&tree->lock);
	detach(tree, node, &garbage);
	pthread_mutex_unlock(&tree->lock);
	throw_away(tree, &garbage);
	node_put(tree, node, 1);
}

/* Changes. */

static void note(struct tree *tree, struct node *dir, const char *name)
{
	struct change *change = malloc(sizeof *change + strlen(name) + 1);

	if (!change) {
		log_error(
			tree->log, "out of memory: what was called \"%s\" may stay in sight", name);
		return;
	}
	change->next = NULL;
	change->dir = node_get(dir);
	strcpy(change->name, name);
	*tree->end = change;
	tree->end = &change->next;
}

static void note_all(struct tree *tree, struct node *node)
{
	for (size_t i = 0; node->dir && i < node->dir->n; i++)
		note(tree, node, node->dir->nodes[i]->name);
}

/* Without the lock. */
static void wake(const struct tree *tree)
{
	if (tree->wake)
		tree->wake(tree->wake_arg);
}

static struct change *next_change(struct tree *tree)
{
	struct change *change;

	pthread_mutex_lock(&tree->lock);
	change = tree->first;
	if (change)
		tree->first = change->next;
	if (!tree->first)
		tree->end = &tree->first;
	pthread_mutex_unlock(&tree->lock);
	return change;
}

void tree_tell(struct tree *tree, tree_tell_fn *tell, void *arg)
{
	struct change *change;

	while ((change = next_change(tree)) != NULL) {
		tell(arg, change->dir, change->name);
		node_put(tree, change->dir, 1);
		free(change);
	}
}

void tree_on_change(struct tree *tree, void (*wake_fn)(void *arg), void *arg)
{
	tree->wake = wake_fn;
	tree->wake_arg = arg;
}

/* Lists. */

/* Of one name, the old node stays or goes; the other of the two becomes spare. */
static void settle_name(struct tree *tree, struct node *old, struct node **place, struct dir *spare,
	struct garbage *garbage)
{
	if (node_is_same(old, *place)) {
		spare->nodes[spare->n++] = *place;
		detach(tree, *place, garbage);
		*place = node_get(old);
		return;
	}
	note(tree, old->parent, old->name);
	detach(tree, old, garbage);
}

/* From the old list of a directory to a new one; spare has room for all of that. */
static void merge(struct tree *tree, struct node *node, struct dir *new, struct dir *spare,
	struct garbage *garbage)
{
	struct dir *old = node->dir;
	size_t i = 0, j = 0;

	while (i < old->n || j < new->n) {
		int order = i == old->n   ? 1
			    : j == new->n ? -1
					  : strcmp(old->nodes[i]->name, new->nodes[j]->name);

		if (order == 0) {
			settle_name(tree, old->nodes[i++], &new->nodes[j++], spare, garbage);
		} else if (order > 0) {
			note(tree, node, new->nodes[j++]->name);
		} else {
			note(tree, node, old->nodes[i]->name);
			detach(tree, old->nodes[i++], garbage);
		}
	}
	spare->next = old;
	old->next = garbage->dirs;
	garbage->dirs = spare;
}

/* The list is the node's now, unless that is gone. */
static int publish(struct tree *tree, struct node *node, struct dir *dir, struct garbage *garbage)
{
	struct dir *spare = NULL;

	if (node->dir && !(spare = dir_new(dir->n)))
		return -ENOMEM;
	if (atomic_load(&node->gone))
		return -ESTALE;
	if (spare)
		merge(tree, node, dir, spare, garbage);
	node->dir = dir;
	return 0;
}

/* A list that nobody has seen. */
static void drop_list(struct tree *tree, struct dir *dir)
{
	struct garbage garbage = {0};

	pthread_mutex_lock(&tree->lock);
	for (size_t i = 0; i < dir->n; i++)
		detach(tree, dir->nodes[i], &garbage);
	pthread_mutex_unlock(&tree->lock);
	throw_away(tree, &garbage);
	tree_unlist(tree, dir);
}

/* Makes the list of a directory.  The lock is held, but not all the time. */
static int make_list(struct tree *tree, struct node *node)
{
	struct garbage garbage = {0};
	struct dir *dir = NULL;
	unsigned resets;
	int ret;

	node->listing = true;
	do {
		resets = node->resets;
		pthread_mutex_unlock(&tree->lock);
		if (dir)
			drop_list(tree, dir);
		dir = NULL;
		ret = tree_fill(tree, node, &dir);
		pthread_mutex_lock(&tree->lock);
	} while (ret == 0 && resets != node->resets);
	if (ret == 0)
		ret = publish(tree, node, dir, &garbage);
	node->listing = false;
	pthread_cond_broadcast(&tree->listed);
	pthread_mutex_unlock(&tree->lock);
	if (ret < 0 && dir)
		drop_list(tree, dir);
	throw_away(tree, &garbage);
	pthread_mutex_lock(&tree->lock);
	return ret;
}

static int list_locked(struct tree *tree, struct node *node, struct dir **dir)
{
	int ret = 0;

	while (node->listing && (!node->dir || node->retry))
		pthread_cond_wait(&tree->listed, &tree->lock);
	while (ret == 0 && (!node->dir || node->retry) && !atomic_load(&node->gone)) {
		node->retry = false;
		ret = make_list(tree, node);
	}
	if (ret == 0 && !node->dir)
		ret = -ESTALE;
	*dir = node->dir;
	return ret;
}

int tree_list(struct tree *tree, struct node *node, struct dir **dir)
{
	int ret;

	if (!S_ISDIR(node_type(node)))
		return -ENOTDIR;
	pthread_mutex_lock(&tree->lock);
	ret = list_locked(tree, node, dir);
	if (ret == 0)
		atomic_fetch_add(&(*dir)->refs, 1);
	pthread_mutex_unlock(&tree->lock);
	return ret;
}

/* The entry that is what arg says, held, or NULL. */
static struct node *find_in(const struct dir *dir, tree_is_fn *is, const void *arg)
{
	for (size_t i = 0; i < dir->n; i++)
		if (is(dir->nodes[i], arg))
			return node_get(dir->nodes[i]);
	return NULL;
}

int tree_find(
	struct tree *tree, struct node *node, tree_is_fn *is, const void *arg, struct node **found)
{
	struct dir *dir;
	int ret;

	pthread_mutex_lock(&tree->lock);
	ret = list_locked(tree, node, &dir);
	*found = ret == 0 ? find_in(dir, is, arg) : NULL;
	pthread_mutex_unlock(&tree->lock);
	return ret;
}

/* Firmware and Windows write UUIDs in capitals, udev names partitions by small letters. */
static struct node *find_any_case(const struct dir *dir, const char *name)
{
	for (size_t i = 0; i < dir->n; i++)
		if (strcasecmp(dir->nodes[i]->name, name) == 0)
			return dir->nodes[i];
	return NULL;
}

int tree_lookup(struct tree *tree, struct node *node, const char *name, struct node **found)
{
	struct dir *dir;
	int ret;

	*found = NULL;
	if (!S_ISDIR(node_type(node)))
		return -ENOTDIR;
	pthread_mutex_lock(&tree->lock);
	ret = list_locked(tree, node, &dir);
	if (ret == 0)
		*found = dir_find(dir, name);
	if (ret == 0 && !*found && node->any_case)
		*found = find_any_case(dir, name);
	if (*found)
		node_get(*found);
	pthread_mutex_unlock(&tree->lock);
	return ret;
}

int tree_refresh(struct tree *tree, struct node *node)
{
	int ret = 0;

	pthread_mutex_lock(&tree->lock);
	while (node->listing)
		pthread_cond_wait(&tree->listed, &tree->lock);
	if (node->dir)
		ret = make_list(tree, node);
	pthread_mutex_unlock(&tree->lock);
	wake(tree);
	return ret;
}

/* Likewise of a list that somebody has seen; NULL: nobody has. */
static struct node *seen(struct tree *tree, struct node *node, tree_is_fn *is, const void *arg)
{
	struct node *found;

	pthread_mutex_lock(&tree->lock);
	found = node->dir ? find_in(node->dir, is, arg) : NULL;
	pthread_mutex_unlock(&tree->lock);
	return found;
}

static bool is_of_kind(const struct node *node, const void *kind)
{
	return node->kind == *(const enum node_kind *)kind;
}

static bool is_top_layer(const struct node *node, const void *arg)
{
	(void)arg;
	return node->layer == 0;
}

static int refresh_snapshots(struct tree *tree, struct node *image)
{
	static const enum node_kind kind = NODE_SNAPSHOTS;
	struct node *node = seen(tree, image, is_of_kind, &kind);
	int ret = node ? tree_refresh(tree, node) : 0;

	if (node)
		node_put(tree, node, 1);
	return ret;
}

/* They are listed where the image is, and once more in its chain. */
int tree_snapshots_changed(struct tree *tree, const struct node *node)
{
	static const enum node_kind kind = NODE_CHAIN;
	struct node *chain = seen(tree, node->home, is_of_kind, &kind);
	struct node *top = chain ? seen(tree, chain, is_top_layer, NULL) : NULL;
	int ret = refresh_snapshots(tree, node->home);

	tree_changed(tree);
	if (ret == 0 && top)
		ret = refresh_snapshots(tree, top);
	if (top)
		node_put(tree, top, 1);
	if (chain)
		node_put(tree, chain, 1);
	return ret;
}

void tree_reset(struct tree *tree, struct node *node)
{
	struct garbage garbage = {0};

	pthread_mutex_lock(&tree->lock);
	node->resets++;
	note_all(tree, node);
	detach_list(tree, node, &garbage);
	pthread_mutex_unlock(&tree->lock);
	throw_away(tree, &garbage);
	wake(tree);
}

/* What else is in the directory may be in use, and stays. */
void tree_retry(struct tree *tree, struct node *top)
{
	pthread_mutex_lock(&tree->lock);
	for (size_t i = 0; top->dir && i < top->dir->n; i++)
		if (top->dir->nodes[i]->kind == NODE_ERROR) {
			top->retry = true;
			note(tree, top, top->dir->nodes[i]->name);
		}
	pthread_mutex_unlock(&tree->lock);
	wake(tree);
}

unsigned tree_errors(struct tree *tree)
{
	return atomic_exchange(&tree->errors, 0);
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

/* The tree. */

static struct tree *tree_make(enum node_kind kind, struct log *log)
{
	struct tree *tree = calloc(1, sizeof *tree);

	if (!tree)
		return NULL;
	tree->log = log;
	tree->end = &tree->first;
	tree->group = getgid();
	pthread_mutex_init(&tree->lock, NULL);
	pthread_cond_init(&tree->listed, NULL);
	tree->root = node_new(tree, NULL, kind, "");
	if (tree->root)
		return tree;
	tree_free(tree);
	return NULL;
}

struct tree *tree_new(struct pooled_image *source, struct log *log, struct err *e)
{
	struct tree *tree = tree_make(NODE_IMAGE, log);
	const struct image *img;
	const struct state *shown;

	if (!tree) {
		pooled_image_unref(source);
		err_nomem(e);
		return NULL;
	}
	tree->root->image = source;
	if (pooled_image_pin(source, ANY_GENERATION, &img, e) < 0) {
		tree_free(tree);
		return NULL;
	}
	shown = img->states[pooled_image_state(source)];
	tree->root->state = shown->no;
	tree->root->when = shown->when;
	tree->size = shown->view->size;
	atomic_store(&tree->root->readers, access_image_readers(img, tree->group));
	pooled_image_unpin(source);
	return tree;
}

struct tree *tree_new_dir(const struct shown_dir *dir, struct log *log, struct err *e)
{
	struct tree *tree = tree_make(NODE_FOLDER, log);

	if (!tree) {
		err_nomem(e);
		return NULL;
	}
	tree->dir = *dir;
	tree->size = dir->size;
	return tree;
}

/* Nobody looks any more. */
static void free_all_nodes(struct tree *tree)
{
	struct garbage garbage = {0};

	detach(tree, tree->root, &garbage);
	for (struct dir *dir; (dir = garbage.dirs) != NULL;) {
		garbage.dirs = dir->next;
		free(dir);
	}
	for (struct node *node; (node = tree->gone) != NULL;) {
		tree->gone = node->next_gone;
		node_free(node);
	}
}

void tree_free(struct tree *tree)
{
	if (!tree)
		return;
	if (tree->root)
		free_all_nodes(tree);
	for (struct change *change; (change = tree->first) != NULL;) {
		tree->first = change->next;
		free(change);
	}
	pthread_mutex_destroy(&tree->lock);
	pthread_cond_destroy(&tree->listed);
	free(tree);
}

struct node *tree_root(struct tree *tree)
{
	return tree->root;
}
