/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* node-stat.h - stat(2) of a node. */
#ifndef VDISKFS_TREE_NODE_STAT_H
#define VDISKFS_TREE_NODE_STAT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "types.h"

struct access;

/* Fills in st.  Counts the bytes stored if they are not known, which may walk all tables of the
 * image.  0 or -errno. */
int node_stat(struct node *node, const struct access *access, struct stat *st);

/* The same; if the bytes stored are not known, as if all were, and a text has none. */
int node_stat_uncounted(struct node *node, const struct access *access, struct stat *st);

/* Are the bytes stored known, so that node_stat is quick? */
bool node_stat_is_quick(const struct node *node);

/* st_mtim alone: the time of the file in the host, where the node stands for one. */
struct timespec node_stat_mtime(const struct node *node);

#endif
