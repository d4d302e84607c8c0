/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* launch.h - the launcher: the process that was started, which ends once the mount answers.
 *
 * It forks before anything is read, so that what the daemon keeps secret is in the daemon only.
 */
#ifndef VDISKFS_DAEMON_LAUNCH_H
#define VDISKFS_DAEMON_LAUNCH_H

struct err;

struct launch {
	int ready; /* the daemon's end of a pipe to the launcher; -1: there is none */
};

/* Forks; returns in the daemon.  The launcher waits and exits as the daemon says or ends, and is
 * never back here.  While it waits, its end by a signal is the daemon's, too. */
int launch_daemon(struct launch *l, struct err *e);

/* There is a mount: the launcher expects it to answer within a limit from now on. */
void launch_mounted(const struct launch *l);

/* The daemon is on its own. */
void launch_detach(const struct launch *l);

/* The mount answers: the launcher ends. */
void launch_ready(struct launch *l);

#endif
