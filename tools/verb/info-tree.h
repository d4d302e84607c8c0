/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info-tree.h - an image drawn as a tree: its partitions, its snapshots, what it is based on. */
#ifndef VDISK_TOOLS_VERB_INFO_TREE_H
#define VDISK_TOOLS_VERB_INFO_TREE_H

struct input;

/* The exit status. */
int info_tree_print(const struct input *input);

#endif
