/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seccomp.h - a filter for the system calls of the daemon. */
#ifndef VDISKFS_DAEMON_SECCOMP_H
#define VDISKFS_DAEMON_SECCOMP_H

#include <stdbool.h>
#include <stdint.h>

/* Files besides those that are open. */
enum seccomp_files {
	SECCOMP_NO_FILES,
	SECCOMP_OPENS,  /* may be opened for reading */
	SECCOMP_WRITES, /* may also be opened for writing, created, renamed and removed */
};

/* Calls besides those that a mount of a local image needs. */
struct seccomp_rights {
	enum seccomp_files files;
	/* Connected sockets that may be read and written. */
	const uint32_t *sockets;
	unsigned nsockets;
};

/* Is there a filter for this architecture? */
bool seccomp_is_supported(void);

/* Does the kernel support filters? */
bool seccomp_is_there(void);

/* Makes all other calls fail with EPERM in this thread and in threads that it starts.  0 or -errno.
 */
int seccomp_enter(const struct seccomp_rights *rights);

#endif
