/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* passthrough.h - reads that the kernel serves from a host file, without the daemon.
 *
 * Since Linux 6.9 an open reply may name a backing file, for a daemon with CAP_SYS_ADMIN.  It is
 * used in read-only mounts for files whose bytes are those of a regular host file from the first to
 * the last: reads end where the backing file ends, whatever size the mount reports.  Without it,
 * or if the kernel refuses, the daemon serves the reads.
 *
 * All files that are open on one node must have the same backing file, or none, else the kernel
 * fails an open with EIO.  So the decision is made by the first of them and counted.
 */
#ifndef VDISKFS_OPS_PASSTHROUGH_H
#define VDISKFS_OPS_PASSTHROUGH_H

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/queue.h>

/* Headers before Linux 6.9 lack these. */
#ifndef FUSE_DEV_IOC_BACKING_OPEN
struct fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#ifndef FUSE_DEV_IOC_MAGIC
#define FUSE_DEV_IOC_MAGIC 229
#endif
#define FUSE_DEV_IOC_BACKING_OPEN  _IOW(FUSE_DEV_IOC_MAGIC, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(FUSE_DEV_IOC_MAGIC, 2, uint32_t)
#endif

struct backing;
struct node;
struct view;

struct passthrough {
	bool wanted;    /* by the mount */
	atomic_bool on; /* the kernel has it */
	int device;     /* /dev/fuse; borrowed from the session */
	pthread_mutex_t lock;
	LIST_HEAD(backings, backing) backings; /* of the nodes that are open */
};

void passthrough_init(struct passthrough *p, bool wanted);

/* Forgets the backing files of files that were never released, as the mount has ended. */
void passthrough_end(struct passthrough *p);

/* Decides for a file that is opened on a node, with this view.  Returns NULL if there is no
 * passthrough at all; otherwise passthrough_close must be called when the file is closed. */
struct backing *passthrough_open(struct passthrough *p, struct node *node, const struct view *view);
void passthrough_close(struct passthrough *p, struct backing *backing);

/* The number of the backing file; 0: the daemon serves the reads. */
int passthrough_id(const struct backing *backing);

/* As fuse_reply_open, with a backing file. */
int passthrough_reply(fuse_req_t req, struct fuse_file_info *fi, int id);

#endif
