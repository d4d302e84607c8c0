/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thin-segment.h - segments of dm-thin, "thin", over the hidden volumes of their pool. */
#ifndef VDISK_VOLUME_LVM_THIN_SEGMENT_H
#define VDISK_VOLUME_LVM_THIN_SEGMENT_H

#include "build.h"

int lvm_thin_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e);

#endif
