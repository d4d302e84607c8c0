/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read-only.c - each operation that changes something fails with EROFS.
 *
 * The kernel sends none of them to a mount that is read-only, unless it is remounted.
 */
#include "read-only.h"

#include <errno.h>

#define UNUSED __attribute__((unused))

/* Defines an operation with these parameters after the request. */
#define REFUSE(op, ...)                                                                            \
	static void op(fuse_req_t req, __VA_ARGS__)                                                \
	{                                                                                          \
		fuse_reply_err(req, EROFS);                                                        \
	}

REFUSE(op_setattr, fuse_ino_t ino UNUSED, struct stat *st UNUSED, int which UNUSED,
	struct fuse_file_info *fi UNUSED)
REFUSE(op_mknod, fuse_ino_t dir UNUSED, const char *name UNUSED, mode_t mode UNUSED,
	dev_t dev UNUSED)
REFUSE(op_mkdir, fuse_ino_t dir UNUSED, const char *name UNUSED, mode_t mode UNUSED)
REFUSE(op_remove, fuse_ino_t dir UNUSED, const char *name UNUSED) /* unlink and rmdir */
REFUSE(op_symlink, const char *target UNUSED, fuse_ino_t dir UNUSED, const char *name UNUSED)
REFUSE(op_rename, fuse_ino_t from UNUSED, const char *name UNUSED, fuse_ino_t to UNUSED,
	const char *new_name UNUSED, unsigned flags UNUSED)
REFUSE(op_link, fuse_ino_t ino UNUSED, fuse_ino_t dir UNUSED, const char *name UNUSED)
REFUSE(op_create, fuse_ino_t dir UNUSED, const char *name UNUSED, mode_t mode UNUSED,
	struct fuse_file_info *fi UNUSED)
REFUSE(op_setxattr, fuse_ino_t ino UNUSED, const char *name UNUSED, const char *value UNUSED,
	size_t size UNUSED, int flags UNUSED)
REFUSE(op_removexattr, fuse_ino_t ino UNUSED, const char *name UNUSED)

void read_only_add_ops(struct fuse_lowlevel_ops *ops)
{
	ops->setattr = op_setattr;
	ops->mknod = op_mknod;
	ops->mkdir = op_mkdir;
	ops->unlink = op_remove;
	ops->rmdir = op_remove;
	ops->symlink = op_symlink;
	ops->rename = op_rename;
	ops->link = op_link;
	ops->create = op_create;
	ops->setxattr = op_setxattr;
	ops->removexattr = op_removexattr;
}
