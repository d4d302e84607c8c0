/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor.h - a small process beside the daemon that unmounts when the daemon ends.
 *
 * The daemon enters a sandbox in which it cannot unmount.  The supervisor waits for its end - by a
 * signal, a crash or SIGKILL - and removes the mount, which would fail every access with ENOTCONN
 * otherwise.  It is forked before anything is read, so its memory has no passphrase, key or data.
 */
#ifndef VDISKFS_DAEMON_SUPERVISOR_H
#define VDISKFS_DAEMON_SUPERVISOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child_server;
struct err;

/* Identifies the mount that a path leads to.  The kernel may give the device number to another
 * mount once this one is gone, perhaps on the same directory: the supervisor removes a mount only
 * if its unique id is that of ours, or, without one, if it is dead. */
struct mount_id {
	dev_t dev;
	uint64_t id; /* never given to another mount; 0 before Linux 6.8 */
};

/* Sends no request to the file system at path.  False: path does not exist. */
bool mount_id_get(const char *path, struct mount_id *id);

struct supervisor {
	int alive;                /* pipe from the daemon, closed when it ends for any reason */
	int done;                 /* pipe from the supervisor, closed when it ends */
	pthread_mutex_t *serving; /* shared; held by the daemon's main thread */
	bool serves;              /* it is held */
};

/* Starts the supervisor for mountpoint, an absolute path.  To be called before the mount, so that
 * no crash can leave one behind.  remove_dir: also removes the directory in the end.  The server
 * child, if it has a command, is started by the supervisor, and ended in the end. */
int supervisor_start(struct supervisor *s, const char *mountpoint, bool remove_dir,
	struct child_server *child, struct err *e);

/* Sends the id of the mount to the supervisor; {0}: it is unknown. */
void supervisor_mounted(const struct supervisor *s, const struct mount_id *id);

/* The calling thread serves the mount from now on: if it dies, the mount is removed. */
void supervisor_serving(struct supervisor *s);

/* Waits until the mount is gone.  unmounted: it already is.  {-1, -1} (none was started) is fine.
 */
void supervisor_finish(struct supervisor *s, bool unmounted);

#endif
