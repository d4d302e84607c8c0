/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - requests that change the content or the size of a file. */
#ifndef VDISKFS_OPS_WRITE_H
#define VDISKFS_OPS_WRITE_H

#include <fuse_lowlevel.h>

struct file;

/* Clears a disk that is opened with O_TRUNC.  It does not become shorter, unless it is the disk of
 * a new image.  0 or -errno. */
int write_clear(fuse_req_t req, struct file *file);

/* A descriptor of a file that was written is closed: 0, or -errno of a write that failed after its
 * reply. */
int write_finish(struct file *file);

/* Adds write, fsync, fallocate, copy_file_range and setattr. */
void write_add_ops(struct fuse_lowlevel_ops *ops);

#endif
