/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xattr.h - extended attributes: properties of a file, for programs that look at one file only. */
#ifndef VDISKFS_OPS_XATTR_H
#define VDISKFS_OPS_XATTR_H

#include <sys/types.h>

struct node;

#define XATTR_PREFIX "user.vdisk."

/* getxattr(2) and listxattr(2): the length, also if size is 0; -ENODATA, -ERANGE, -ENOMEM, or the
 * error that opening the image failed with. */
ssize_t xattr_get(struct node *node, const char *name, char *buf, size_t size);
ssize_t xattr_list(struct node *node, char *buf, size_t size);

#endif
