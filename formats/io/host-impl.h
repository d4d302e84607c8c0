/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host-impl.h - for host.c, which walks paths, and host-kept.c, which has the kept directories. */
#ifndef VDISK_IO_HOST_IMPL_H
#define VDISK_IO_HOST_IMPL_H

#include <stdbool.h>
#include <sys/types.h>

struct kept {
	char *path;
	int fd;
	dev_t dev;
};

struct about {
	dev_t dev;
	mode_t type;
};

bool host_is_fenced(void);

/* openat(2) that keeps some descriptors free for code that does not open files here. */
int host_open_at(int at, const char *name, int flags, mode_t mode);

/* Is errno lack of descriptors?  Were some closed? */
bool host_is_shortage(void);
bool host_can_close_some(void);

/* Leaves errno alone. */
void host_close(int fd);

/* Sends no request to a server of a file system, once there is a fence. */
int host_look_at(int fd, struct about *a);

/* May a walk go on to a file system? */
bool host_may_enter(dev_t dev);

const struct kept *host_find_kept(const char *dir);

/* The innermost kept directory that path lies in, or NULL; *rest: the path below it. */
const struct kept *host_kept_above(const char *path, const char **rest);

#endif
