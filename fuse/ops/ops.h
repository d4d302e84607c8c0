/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops.h - the operations of a mount.  Those that change something fail with EROFS; write.h and
 * namespace.h replace them for a mount that can be written. */
#ifndef VDISKFS_OPS_OPS_H
#define VDISKFS_OPS_OPS_H

#include <fuse_lowlevel.h>

extern const struct fuse_lowlevel_ops ops_table;

#endif
