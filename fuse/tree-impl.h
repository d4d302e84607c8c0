/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree-impl.h - between tree.c, which keeps nodes, node.c, which says what they are, and
 * tree-fill.c, which makes them. */
#ifndef VDISK_TREE_IMPL_H
#define VDISK_TREE_IMPL_H

#include <pthread.h>

#include "tree.h"

struct change;

struct tree {
	struct node *root;
	uint64_t size;
	struct log *log;
	pthread_mutex_t lock;
	pthread_cond_t listed;       /* a list was made */
	struct node *gone;           /* that somebody holds */
	struct change *first, **end; /* for the kernel */
	void (*wake)(void *arg);
	void *wake_arg;
};

/* A node in the place of its parent (NULL: the root), held once; NULL without memory. */
struct node *node_new(struct node *parent, enum node_kind kind, const char *name);

/* Frees what it is, not what it is in. */
void node_free(struct node *node);

/* Can the old node stay in the place of the new one, which a list made anew has? */
bool node_is_same(const struct node *old, const struct node *new);

/* An empty list with room for n nodes, held once; NULL without memory. */
struct dir *dir_new(size_t n);

/* Takes a node out of the tree that nobody else has seen. */
void tree_drop(struct tree *tree, struct node *node);

/* Makes a new list of what is in a directory. */
int tree_fill(struct tree *tree, struct node *node, struct dir **dir);

#endif
