/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain.h - the members of volumes in an open image. */
#ifndef VDISK_VOLUME_CHAIN_H
#define VDISK_VOLUME_CHAIN_H

#include <stdbool.h>

struct image;

/* Does a disk or partition, in any state of the image or of its parents, hold a member of a volume?
 * One thread; a disk that cannot be read holds none. */
bool chain_has_members(const struct image *top);

#endif
