/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* umount.h - taking down what vdisk mount has put up. */
#ifndef VDISK_UMOUNT_H
#define VDISK_UMOUNT_H

#include <stdbool.h>

/* Unmounts the view and returns once its daemon is gone, which has released the image then; removes
 * the directory if hidden.  False: it has been told why not. */
bool umount_view(const char *view, bool hidden);

#endif
