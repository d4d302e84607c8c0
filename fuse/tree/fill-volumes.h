/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill-volumes.h - the directories of partitions, of volumes, and of links to both. */
#ifndef VDISKFS_TREE_FILL_VOLUMES_H
#define VDISKFS_TREE_FILL_VOLUMES_H

struct fill_list;

/* Adds those of these directories that a state's directory has. */
int fill_add_volume_dirs(struct fill_list *list);

/* The lists of a NODE_PARTITIONS, of a NODE_VOLUMES, and of a NODE_LINKS. */
int fill_partitions(struct fill_list *list);
int fill_volumes(struct fill_list *list);
int fill_links(struct fill_list *list);

#endif
