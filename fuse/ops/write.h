/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - requests that change what is in a disk. */
#ifndef VDISKFS_OPS_WRITE_H
#define VDISKFS_OPS_WRITE_H

#include <fuse_lowlevel.h>

struct file;

/* The most that the kernel sends in one write. */
#define WRITE_MAX (1u << 20)

/* Clears a disk that is opened to be filled anew; it does not become shorter, unless it was made in
 * this mount.  0 or -errno. */
int write_empty(fuse_req_t req, struct file *file);

/* Somebody closes a file that was written.  0 or -errno. */
int write_finish(fuse_req_t req, struct file *file);

/* Adds them to the operations of a mount that can be written. */
void write_add_ops(struct fuse_lowlevel_ops *ops);

#endif
