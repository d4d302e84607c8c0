/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* launch.h - the launcher: the process that the user started, which exits once the mount answers.
 *
 * It forks the daemon before anything is read, so that it never has passphrases or data in memory.
 */
#ifndef VDISKFS_DAEMON_LAUNCH_H
#define VDISKFS_DAEMON_LAUNCH_H

struct err;

struct launch {
	int ready; /* pipe to the launcher; -1: none */
};

/* Forks, and returns in the daemon only.  The launcher waits, and exits with status 0 or
 * failed.  If a signal ends the launcher before, it ends the daemon, too. */
int launch_daemon(struct launch *l, int failed, struct err *e);

/* Reports the mount, which has to answer within a time limit. */
void launch_mounted(const struct launch *l);

/* Starts a session of its own; signals to the launcher no longer end the daemon. */
void launch_detach(const struct launch *l);

/* Reports that the mount answers: the launcher exits with success. */
void launch_ready(struct launch *l);

#endif
