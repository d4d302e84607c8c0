/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mountinfo.h - the kernel's list of mounts: /proc/self/mountinfo, see proc(5).
 *
 * Reading it sends no request to a file system, so it cannot wait for a mount of this process.
 */
#ifndef VDISK_IO_MOUNTINFO_H
#define VDISK_IO_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

struct mount_line {
	dev_t dev;
	const char *dir; /* where it is mounted */
	const char *type;
	const char *source;
};

/* Opens the list for mountinfo_each, also for a process that may open nothing later; poll(2)
 * returns POLLPRI once the list has changed.  -1 with errno. */
int mountinfo_open(void);

/* Visits all mounts; of those on one directory the topmost comes last.  The texts are visit's until
 * it returns.  0 or -errno. */
typedef void mountinfo_visit_fn(void *arg, const struct mount_line *line);
int mountinfo_each(int fd, mountinfo_visit_fn *visit, void *arg);

/* The same, for a process that may open the list now. */
int mountinfo_read(mountinfo_visit_fn *visit, void *arg);

/* The name of the process that ends with a mount of vdiskfs, for programs that wait for the end:
 * the daemon may have been started with a relative path as its mount point.  It has the number of
 * the device, "vdiskfs:61", and fits into /proc/PID/comm. */
#define MOUNTINFO_NAME 16
void mountinfo_process_name(char name[MOUNTINFO_NAME], dev_t dev);

/* Is it a type of file system that a process serves through /dev/fuse? */
bool mountinfo_is_fuse(const char *type);

#endif
