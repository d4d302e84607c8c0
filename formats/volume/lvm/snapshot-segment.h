/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-segment.h - segments of dm-snapshot, "snapshot", each of a hidden volume that makes a
 * snapshot of the volume that stores the exceptions. */
#ifndef VDISK_VOLUME_LVM_SNAPSHOT_SEGMENT_H
#define VDISK_VOLUME_LVM_SNAPSHOT_SEGMENT_H

#include "build.h"

int lvm_snapshot_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e);

#endif
