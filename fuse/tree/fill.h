/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill.h - generates the lists of directories. */
#ifndef VDISKFS_TREE_FILL_H
#define VDISKFS_TREE_FILL_H

#include "types.h"

/* A tree_fill_fn, for tree_new. */
int fill(struct node *node, struct dir **dir);

#endif
