/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mirror.h - segments of dm-mirror, "mirror", which have their legs and a log of the regions in
 * which these are equal.
 */
#ifndef VDISK_VOLUME_LVM_MIRROR_H
#define VDISK_VOLUME_LVM_MIRROR_H

#include "build.h"

int lvm_mirror_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e);

#endif
