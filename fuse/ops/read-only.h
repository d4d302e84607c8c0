/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read-only.h - operations that would change something. */
#ifndef VDISKFS_OPS_READ_ONLY_H
#define VDISKFS_OPS_READ_ONLY_H

#include <fuse_lowlevel.h>

/* Lets all of them answer EROFS. */
void read_only_add_ops(struct fuse_lowlevel_ops *ops);

#endif
