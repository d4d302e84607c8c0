/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree-impl.h - between tree.c, which keeps nodes, node.c, which says what they are, and those that
 * make them: fill.c, fill-host.c. */
#ifndef VDISKFS_TREE_TREE_IMPL_H
#define VDISKFS_TREE_TREE_IMPL_H

#include <pthread.h>

#include "tree.h"

struct change;

struct tree {
	struct node *root;
	struct shown_dir dir; /* of NODE_FOLDERs */
	uint64_t size;
	struct log *log;
	pthread_mutex_t lock;
	pthread_cond_t listed;       /* a list was made */
	atomic_uint errors;          /* see tree_errors */
	struct node *gone;           /* that somebody holds */
	struct file *files;          /* that are open */
	struct change *first, **end; /* for the kernel */
	void (*wake)(void *arg);
	void *wake_arg;
	bool writable;
	gid_t group;              /* of the mount */
	atomic_uint changes;      /* of what is shown live */
	_Atomic int64_t wrote_at; /* the last of them, in ns since 1970 */
};

/* A node in the place of its parent (NULL: the root), held once; NULL without memory. */
struct node *node_new(
	struct tree *tree, struct node *parent, enum node_kind kind, const char *name);

/* Frees what it is, not what it is in. */
void node_free(struct node *node);

/* What st_mtim says: where a file of the host is shown, that of the file. */
struct timespec node_time(const struct node *node);

/* Can the old node stay in the place of the new one, which a list made anew has? */
bool node_is_same(const struct node *old, const struct node *new);

/* An empty list with room for n nodes, held once; NULL without memory. */
struct dir *dir_new(size_t n);

/* Takes a node out of the tree that nobody else has seen. */
void tree_drop(struct tree *tree, struct node *node);

/* Makes a new list of what is in a directory. */
int tree_fill(struct tree *tree, struct node *node, struct dir **dir);

/* A list in the making: nodes that nobody else sees, which are given away as one list or dropped.
 */
struct filename_set;
struct fill {
	struct tree *tree;
	struct node *dir;
	struct shown shown; /* what dir shows something of, pinned */
	struct node **nodes;
	size_t n, room;
};

/* One more entry, NULL without memory. */
struct node *fill_add(struct fill *fill, enum node_kind kind, const char *name);

/* Likewise, called as wanted, made fit to be a name and unlike others of names. */
struct node *fill_add_named(
	struct fill *fill, enum node_kind kind, struct filename_set *names, const char *wanted);

/* Drops what was gathered. */
void fill_clear(struct fill *fill);

/* fill-host.c: */

/* The image in a place that is somewhere, and why its description says that it cannot be shown, or
 * NULL. */
const char *place_path(const struct place *place);
const char *place_refusal(const struct place *place);

/* Of a NODE_FOLDER; watched by whoever watches. */
int fill_folder(struct fill *fill, struct err *e);

/* Of a NODE_PACKAGE that has other than one disk; *many false: it has one, nothing was gathered. */
int fill_package(struct fill *fill, bool *many, struct err *e);

/* The snapshots that a machine has of the disk, among those of the image. */
bool has_shots(const struct node *top);
int fill_shots(struct fill *fill, struct filename_set *names);

/* The text of an error as the only file.  The snapshots that a machine has of the disk are images
 * of their own: they are there as well. */
int fill_error(struct fill *fill, const struct err *e);

#endif
