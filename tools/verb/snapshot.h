/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h - the table of internal snapshots. */
#ifndef VDISK_TOOLS_VERB_SNAPSHOT_H
#define VDISK_TOOLS_VERB_SNAPSHOT_H

struct image;

/* Prints "Snapshot list:", a header and a line for each snapshot, as qemu-img does. */
void snapshot_print_table(const struct image *img);

#endif
