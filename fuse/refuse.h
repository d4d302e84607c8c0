/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refuse.h - operations that would change something. */
#ifndef VDISK_REFUSE_H
#define VDISK_REFUSE_H

#include <fuse_lowlevel.h>

/* Lets all of them answer EROFS. */
void refuse_changes(struct fuse_lowlevel_ops *ops);

#endif
