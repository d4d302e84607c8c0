/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill-host.h - lists of directories of the host, of packages, and of the snapshots that a virtual
 * machine has of its disks.
 */
#ifndef VDISKFS_TREE_FILL_HOST_H
#define VDISKFS_TREE_FILL_HOST_H

#include "fill-list.h"

struct filename_set;

/* The image in a place, and the reason that a machine's description gives why it cannot be shown,
 * or NULL. */
const char *fill_host_path(const struct host_place *place);
const char *fill_host_refusal(const struct host_place *place);

/* Adds the entries of a NODE_FOLDER, after it was passed to the tree's watch function. */
int fill_host_folder(struct fill_list *list, struct err *e);

/* Adds the disks of a NODE_PACKAGE; *many false: it has one disk, and nothing was added. */
int fill_host_package(struct fill_list *list, bool *many, struct err *e);

/* The snapshots that a machine has of the disk of a top: has it any?  Adds them. */
bool fill_host_has_snapshots(const struct node *top);
int fill_host_snapshots(struct fill_list *list, struct filename_set *names);

#endif
