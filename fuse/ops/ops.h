/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops.h - the operations of each mount; those that change it are added by write.h and namespace.h.
 */
#ifndef VDISKFS_OPS_OPS_H
#define VDISKFS_OPS_OPS_H

#include <fuse_lowlevel.h>

extern const struct fuse_lowlevel_ops ops_table;

#endif
