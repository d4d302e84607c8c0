/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree-fill.h - between tree.c, which keeps nodes, and tree-fill.c, which makes them. */
#ifndef VDISK_TREE_FILL_H
#define VDISK_TREE_FILL_H

#include <pthread.h>

#include "tree.h"

struct tree {
	struct node *root;
	struct log *log;
	pthread_mutex_t lock; /* held by whoever fills a directory */
};

/* A node in the place of its parent (NULL: the root); NULL without memory. */
struct node *node_new(struct node *parent, enum node_kind kind, const char *name);

/* With all that is below it. */
void node_free(struct node *node);

/* Makes what is in a directory and publishes it.  The tree is locked. */
int tree_fill(struct tree *tree, struct node *node);

#endif
