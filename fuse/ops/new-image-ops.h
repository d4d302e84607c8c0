/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* new-image-ops.h - images that are created by mkdir in a directory of the host. */
#ifndef VDISKFS_OPS_NEW_IMAGE_OPS_H
#define VDISKFS_OPS_NEW_IMAGE_OPS_H

#include <fuse_lowlevel.h>

struct node;

/* Creates an image of the format that the suffix of its name names; *node is its directory, held.
 */
int new_image_ops_create(fuse_req_t req, struct node *dir, const char *name, struct node **node);

/* Removes an image that was created in this mount and is still empty; -ENOTEMPTY: any other. */
int new_image_ops_remove(fuse_req_t req, struct node *dir, const char *name);

/* Adds setxattr, which sets the options of such images. */
void new_image_ops_add(struct fuse_lowlevel_ops *ops);

#endif
