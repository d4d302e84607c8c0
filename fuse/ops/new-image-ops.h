/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* new-image-ops.h - images that are made by mkdir in a directory of images. */
#ifndef VDISKFS_OPS_NEW_IMAGE_OPS_H
#define VDISKFS_OPS_NEW_IMAGE_OPS_H

#include <fuse_lowlevel.h>

struct node;

/* Makes an image of the format that its name says; *node is its directory, held. */
int new_image_ops_create(fuse_req_t req, struct node *dir, const char *name, struct node **node);

/* Removes one that was made in this mount and is still empty; -ENOTEMPTY: any other. */
int new_image_ops_remove(fuse_req_t req, struct node *dir, const char *name);

/* Adds setxattr: options of such images. */
void new_image_ops_add(struct fuse_lowlevel_ops *ops);

#endif
