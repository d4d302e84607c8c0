/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h - internal snapshots as a table. */
#ifndef VDISK_TOOLS_VERB_SNAPSHOT_H
#define VDISK_TOOLS_VERB_SNAPSHOT_H

struct image;

/* "Snapshot list:", a head and a line each, as qemu-img has them. */
void snapshot_print_table(const struct image *img);

#endif
