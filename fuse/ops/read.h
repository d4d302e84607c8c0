/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read.h - replies to reads, with as few copies as possible. */
#ifndef VDISKFS_OPS_READ_H
#define VDISKFS_OPS_READ_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdint.h>

struct err;
struct node;
struct view;

/* The limit of max_read, the longest read that the kernel requests.  Two of them make one
 * readahead; for more, the pipe of a splice would exceed /proc/sys/fs/pipe-max-size. */
#define READ_MAX (512u << 10)

/* Each thread that handles reads is a worker, which has a buffer and a pipe of its own. */
int read_init(pthread_key_t *worker, struct err *e);
void read_end(pthread_key_t worker); /* once the threads have ended */

/* Before a range of view is read: stores what the overlay of the mount does not have of it
 * (view/copy-on-read.h).  node is for messages. */
void read_keep(const struct node *node, const struct view *view, uint64_t len, uint64_t off);

/* Replies to a read of [off, off+len) of view, cut at its end.  node is for messages. */
void read_reply(pthread_key_t worker, fuse_req_t req, const struct node *node,
	const struct view *view, size_t len, uint64_t off);

#endif
