/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor.h - the attendant: a small process beside the daemon that does what the daemon may
 * not.
 *
 * The daemon locks itself in and cannot unmount.  The attendant waits for its end - by a signal, a
 * crash or kill -9 - and removes the mount, which would be dead otherwise.  It is started before
 * anything is read, so that neither a passphrase nor a key nor a byte of an image is in its memory.
 */
#ifndef VDISKFS_DAEMON_SUPERVISOR_H
#define VDISKFS_DAEMON_SUPERVISOR_H

#include <pthread.h>
#include <stdbool.h>

struct err;
struct mount_id;

struct supervisor {
	int alive;                /* the daemon's: closed by its end, however it comes */
	int told;                 /* from the attendant: its end */
	pthread_mutex_t *serving; /* shared: held by the thread that the mount lives by */
	bool serves;              /* this thread is it */
};

/* Starts the attendant of what is going to be mounted on mountpoint, an absolute path.  Before the
 * mount, so that there is no moment in which it could be left behind.  remove_dir: the directory
 * is removed after the mount. */
int supervisor_start(struct supervisor *a, const char *mountpoint, bool remove_dir, struct err *e);

/* The mount is made. */
void supervisor_mounted(const struct supervisor *a, const struct mount_id *id);

/* The calling thread is what the mount lives by from now on. */
void supervisor_serving(struct supervisor *a);

/* The daemon has ended its session, because somebody unmounted or for another reason: waits until
 * the mount is gone.  Fine too when none was started. */
void supervisor_finish(struct supervisor *a, bool unmounted);

#endif
