/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read-only.h - the operations of a mount that cannot be written. */
#ifndef VDISKFS_OPS_READ_ONLY_H
#define VDISKFS_OPS_READ_ONLY_H

#include <fuse_lowlevel.h>

/* Sets all operations that change something: they fail with EROFS. */
void read_only_add_ops(struct fuse_lowlevel_ops *ops);

#endif
