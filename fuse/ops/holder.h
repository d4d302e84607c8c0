/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder.h - a mount that ends with its users.
 *
 * A program that mounts an image only to hand one of its files on (vdisk mount: to a loop device)
 * cannot stay to unmount it, and may be killed before the file is handed on.  It passes the read
 * end of a pipe: the mount lasts as long as the write end is open, or a file of the mount is.
 */
#ifndef VDISKFS_OPS_HOLDER_H
#define VDISKFS_OPS_HOLDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct err;

struct holder {
	int fd;            /* read end of the pipe; -1: the mount lasts until it is unmounted */
	int wake;          /* an eventfd that the thread looks at; -1: likewise */
	atomic_uint users; /* open files, and the holder of the write end */
	atomic_bool ending;
	pthread_t server; /* gets SIGTERM when there are no users */
	pthread_t thread;
};

/* Before the first file is opened. */
int holder_init(struct holder *h, int fd, struct err *e);

/* Waits for the holder from now on; the calling thread is the one to be ended. */
int holder_start(struct holder *h, struct err *e);
void holder_end(struct holder *h);

/* A file was opened; the last descriptor of it was closed. */
void holder_get(struct holder *h);
void holder_put(struct holder *h);

#endif
