/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read.h - answers to reads, with as few copies as the bytes allow. */
#ifndef VDISKFS_OPS_READ_H
#define VDISKFS_OPS_READ_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdint.h>

struct err;
struct log;
struct node;
struct view;

/* The longest read that the kernel is told to ask for.  Two of them make one readahead; with more,
 * the pipe that a splice needs would pass /proc/sys/fs/pipe-max-size. */
#define READ_MAX (512u << 10)

struct read_workers {
	pthread_key_t worker; /* each thread's buffer and pipe */
	struct log *log;
};

int read_init(struct read_workers *r, struct log *log, struct err *e);
void read_end(struct read_workers *r); /* the threads are gone */

/* Answers a read of [off, off+len) of view; cut at its end.  node is what messages call it. */
void read_reply(struct read_workers *r, fuse_req_t req, const struct node *node,
	const struct view *view, size_t len, uint64_t off);

#endif
