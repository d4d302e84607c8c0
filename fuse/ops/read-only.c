/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read-only.c - each operation that changes something fails with EROFS.
 *
 * The kernel sends none of them to a mount that is read-only, unless it is remounted.
 */
#include "read-only.h"

#include <errno.h>

#define UNUSED __attribute__((unused))

static void refuse_setattr(fuse_req_t req, fuse_ino_t ino UNUSED, struct stat *st UNUSED,
	int which UNUSED, struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_mknod(fuse_req_t req, fuse_ino_t dir UNUSED, const char *name UNUSED,
	mode_t mode UNUSED, dev_t dev UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_mkdir(
	fuse_req_t req, fuse_ino_t dir UNUSED, const char *name UNUSED, mode_t mode UNUSED)
{
	fuse_reply_err(req, EROFS);
}

/* unlink and rmdir */
static void refuse_remove(fuse_req_t req, fuse_ino_t dir UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_symlink(
	fuse_req_t req, const char *target UNUSED, fuse_ino_t dir UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t from UNUSED, const char *name UNUSED,
	fuse_ino_t to UNUSED, const char *new_name UNUSED, unsigned flags UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_link(
	fuse_req_t req, fuse_ino_t ino UNUSED, fuse_ino_t dir UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_create(fuse_req_t req, fuse_ino_t dir UNUSED, const char *name UNUSED,
	mode_t mode UNUSED, struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_setxattr(fuse_req_t req, fuse_ino_t ino UNUSED, const char *name UNUSED,
	const char *value UNUSED, size_t size UNUSED, int flags UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_removexattr(fuse_req_t req, fuse_ino_t ino UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void read_only_add_ops(struct fuse_lowlevel_ops *ops)
{
	ops->setattr = refuse_setattr;
	ops->mknod = refuse_mknod;
	ops->mkdir = refuse_mkdir;
	ops->unlink = refuse_remove;
	ops->rmdir = refuse_remove;
	ops->symlink = refuse_symlink;
	ops->rename = refuse_rename;
	ops->link = refuse_link;
	ops->create = refuse_create;
	ops->setxattr = refuse_setxattr;
	ops->removexattr = refuse_removexattr;
}
