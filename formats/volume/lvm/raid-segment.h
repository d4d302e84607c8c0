/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raid-segment.h - segments of dm-raid, "raid1", "raid5_ls" and others, over their legs. */
#ifndef VDISK_VOLUME_LVM_RAID_SEGMENT_H
#define VDISK_VOLUME_LVM_RAID_SEGMENT_H

#include "build.h"

int lvm_raid_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e);

#endif
