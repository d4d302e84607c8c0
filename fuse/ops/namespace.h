/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* namespace.h - directories that users create, rename and remove: snapshots and images. */
#ifndef VDISKFS_OPS_NAMESPACE_H
#define VDISKFS_OPS_NAMESPACE_H

#include <fuse_lowlevel.h>

/* Adds mkdir, rmdir, rename and setxattr. */
void namespace_add_ops(struct fuse_lowlevel_ops *ops);

#endif
