/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identity.h - identifies a file and its last change: does a name still lead to it?
 *
 * Between two uses of a name another program may replace or change the file.  So code that changes
 * or removes a file by name first compares its identity with the expected one.
 */
#ifndef VDISK_IO_IDENTITY_H
#define VDISK_IO_IDENTITY_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

struct err;

struct identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	struct timespec ctime; /* set by any change, also by one that sets mtime back */
};

struct identity identity_of(const struct stat *st);

/* Sets *id to the identity of the file that is open as fd; -errno. */
int identity_of_fd(int fd, struct identity *id);

/* The same file, unchanged? */
bool identity_is_same(const struct identity *a, const struct identity *b);

/* Waits until a change of the file gets another time: clocks of file systems tick in milliseconds,
 * and two changes within one tick look the same. */
void identity_await_tick(const struct identity *id);

/* Removes the name if it is that of the file, unchanged.  -ESTALE: it is that of another file,
 * which keeps it, also if it is renamed there meanwhile. */
int identity_unlink(const struct identity *id, const char *path, struct err *e);

#endif
