/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seccomp.h - a filter for the system calls of the daemon. */
#ifndef VDISKFS_DAEMON_SECCOMP_H
#define VDISKFS_DAEMON_SECCOMP_H

#include <stdbool.h>

/* Additional calls, besides those for serving open files. */
enum seccomp_files {
	SECCOMP_NO_FILES,
	SECCOMP_OPENS,  /* open files for reading */
	SECCOMP_WRITES, /* also open for writing, create, rename and remove files */
};

/* Is there a filter for this architecture? */
bool seccomp_is_supported(void);

/* Does the kernel support filters? */
bool seccomp_is_there(void);

/* Makes all other calls fail with EPERM in this thread and in threads that it starts.  0 or -errno.
 */
int seccomp_enter(enum seccomp_files files);

#endif
