/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap-copy.h - persistent bitmaps copied from one image to another, for convert --bitmaps. */
#ifndef VDISK_TOOLS_LIB_BITMAP_COPY_H
#define VDISK_TOOLS_LIB_BITMAP_COPY_H

#include <stdbool.h>

struct image;

/* Can all bitmaps be copied, unless skip, those that are in use, too?  If not, it is reported. */
bool bitmap_copy_check(const struct image *from, bool skip);

/* Copies the bitmaps to an image that is open for writing, and into which the disk was copied;
 * those that are in use are left out, with a warning.  False after an error, which is reported. */
bool bitmap_copy_all(const struct image *from, struct image *to);

#endif
