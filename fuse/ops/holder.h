/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder.h - a mount that ends with its users.
 *
 * A program that mounts an image only to pass one of its files on (vdisk mount: to a loop device)
 * does not stay to unmount it, and may be killed before the file is passed on.  So it gives the
 * read end of a pipe to the daemon: the mount lasts until the write end is closed and no file of
 * the mount is open.
 */
#ifndef VDISKFS_OPS_HOLDER_H
#define VDISKFS_OPS_HOLDER_H

#include <pthread.h>
#include <stdatomic.h>

struct err;

struct holder {
	int fd;            /* read end of the pipe; -1: the mount lasts until it is unmounted */
	int wake;          /* an eventfd that the thread polls; -1: likewise */
	atomic_uint users; /* open files, and the holder of the write end */
	atomic_bool ending;
	pthread_t server; /* gets SIGTERM when no user is left */
	pthread_t thread;
};

/* Before the first file is opened. */
int holder_init(struct holder *h, int fd, struct err *e);

/* Starts the thread that ends the calling one by SIGTERM. */
int holder_start(struct holder *h, struct err *e);
void holder_end(struct holder *h);

/* A file was opened; its last descriptor was closed. */
void holder_get(struct holder *h);
void holder_put(struct holder *h);

#endif
