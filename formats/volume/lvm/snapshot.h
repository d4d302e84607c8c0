/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h - a snapshot of a logical volume by dm-snapshot, over the origin and the exception
 * store (COW), where the chunks are that are no longer those of the origin.
 */
#ifndef VDISK_VOLUME_LVM_SNAPSHOT_H
#define VDISK_VOLUME_LVM_SNAPSHOT_H

#include <stdint.h>

struct err;
struct view;

#define SNAPSHOT_NO_WRITING "a write to a snapshot is an exception in its store"

/* The snapshot; size in bytes, at most that of the origin.  The view owns the others on success. It
 * looks for new exceptions at each map, so that it goes on with the same bytes when the origin
 * changes.
 *
 * ENOTSUP: the snapshot is invalid since its store was full, or is of an unknown version; EUCLEAN:
 * the store is damaged, or the origin shorter; E2BIG: it has too many exceptions. */
struct view *snapshot_view(uint64_t size, struct view *origin, struct view *cow, struct err *e);

#endif
