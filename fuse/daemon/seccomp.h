/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seccomp.h - the system calls that the daemon may make once it serves. */
#ifndef VDISKFS_DAEMON_SECCOMP_H
#define VDISKFS_DAEMON_SECCOMP_H

#include <stdbool.h>

/* What the daemon does besides serving what is open. */
enum seccomp_files {
	SECCOMP_NO_FILES,
	SECCOMP_OPENS,  /* it opens files for reading */
	SECCOMP_WRITES, /* and for writing, and it makes and removes some */
};

/* Was a list of calls written for this architecture? */
bool seccomp_is_supported(void);

/* Does the kernel know filters? */
bool seccomp_is_there(void);

/* From now on everything else is EPERM, in this thread and in those that it starts: 0 or -errno. */
int seccomp_enter(enum seccomp_files files);

#endif
