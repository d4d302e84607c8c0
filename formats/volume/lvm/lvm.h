/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lvm.h - LVM2: physical volumes, in whose metadata areas the volume group is described as text,
 * and the group's logical volumes.
 */
#ifndef VDISK_VOLUME_LVM_LVM_H
#define VDISK_VOLUME_LVM_LVM_H

#include "volume/reader.h"

extern const struct volume_reader lvm_reader;

#endif
