/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* auto-grow.h - disks of images that were made in this mount: they become as long as what is put
 * in.
 *
 * All of these do nothing to other files.  On failure the reason is logged.
 */
#ifndef VDISKFS_OPS_AUTO_GROW_H
#define VDISKFS_OPS_AUTO_GROW_H

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct file;

/* Is it such a disk? */
bool auto_grow_can(const struct file *file);

/* Before a request looks at a disk that had no bytes when the file was opened. */
void auto_grow_look(struct file *file);

/* Before a write that ends at end.  whole: how long the disk may be expected to become, 0: nobody
 * knows. */
int auto_grow_to(struct file *file, uint64_t end, uint64_t whole, struct err *e);

/* Gives it a size, as truncate(2) does. */
int auto_grow_set(struct file *file, uint64_t size, struct err *e);

/* Lets it end where it is said to end. */
int auto_grow_finish(fuse_req_t req, struct file *file, struct err *e);

#endif
