/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contents-tree.h - the partitions and volumes of a disk, drawn as a tree on standard output.
 *
 * depth: levels of the tree above the entry; more: another entry of the same level follows.
 */
#ifndef VDISK_TOOLS_LIB_CONTENTS_TREE_H
#define VDISK_TOOLS_LIB_CONTENTS_TREE_H

#include <stdbool.h>

struct image;

/* Begins a line for an entry. */
void tree_lead(unsigned depth, bool more);

/* The same, for an entry of an entry; outer_more: another entry follows that one. */
void tree_inner_lead(unsigned depth, bool outer_more, bool more);

/* Prints the partition table and the volumes of the live disk, each with its contents. */
void tree_contents(unsigned depth, bool more, const struct image *img);

#endif
