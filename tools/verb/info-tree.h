/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info-tree.h - draws an image as a tree with its partitions, snapshots and parents. */
#ifndef VDISK_TOOLS_VERB_INFO_TREE_H
#define VDISK_TOOLS_VERB_INFO_TREE_H

struct input;

void info_tree_print(const struct input *input);

#endif
