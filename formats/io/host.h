/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host.h - files of the host by their paths, in a process that serves a mount itself.
 *
 * A path into the mount of this process, or into another one that waits for it, is a deadlock:
 * uninterruptible in the kernel, so that not even SIGKILL ends it.  So a process that opens paths
 * while it serves a mount opens the directories that it needs before it mounts (host_keep), and
 * then sets a fence (host_fence).  From then on the calls below
 *
 * - start at the innermost kept directory that the path lies in, even if another file system has
 *   been mounted over it since, else at the root directory;
 * - go one component at a time and stop before the root of a FUSE mount (EXDEV), whose device
 *   number is known without a request to its server.  FUSE mounts that hold a kept directory are
 *   entered: they are older than the mount of this process, and so do not wait for it.
 *
 * Without host_fence they are the plain calls of the same names.
 *
 * Paths are absolute then, and the last component is followed by host_stat and host_realpath only.
 */
#ifndef VDISK_IO_HOST_H
#define VDISK_IO_HOST_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Before the fence, by one thread. */
int host_keep(const char *dir); /* without links; 0 or -1 with errno */

/* 0 or -1 with errno: statx(2) is required. */
int host_fence(void);

/* statx(2) of cached attributes, without a request to the server of the file system: -1 with errno
 * also where a library would emulate the call.  An empty path: the file of at. */
int host_peek(int at, const char *path, unsigned mask, struct statx *st);

/* Closes the kept directories and removes the fence. */
void host_end(void);

/* The descriptor of a kept directory, opened with O_PATH; -1: it is not kept. */
int host_kept(const char *dir);

/* Sets a function that is called when few descriptors are left: it closes some, true if it could.
 */
void host_on_shortage(bool (*close_some)(void *arg), void *arg);

int host_open(const char *path, int flags, mode_t mode);

/* Opens the file rest, without links, ".." or an empty component in it, below dir for reading.
 * Links are followed in dir alone. */
int host_open_below(const char *dir, const char *rest);

/* Opens the directory that path is in with O_PATH; *name is the rest of path. */
int host_open_above(const char *path, const char **name);

int host_stat(const char *path, struct stat *st);
int host_lstat(const char *path, struct stat *st);
char *host_realpath(const char *path, char real[PATH_MAX]);
DIR *host_opendir(const char *path);
/* As scandir(3), in the order of the bytes of the names; *list is NULL on failure. */
int host_scandir(const char *path, struct dirent ***list, int (*select)(const struct dirent *));

/* The type of an entry of a directory; path is its path. */
unsigned char host_entry_type(const char *path, const struct dirent *d);

/* The one name in the directory dir that differs from name only in the case of ASCII letters, if at
 * all: malloc'ed; NULL: there is none, there are several, or name has a directory in it. */
char *host_find_any_case(const char *dir, const char *name);

/* As inotify_add_watch(2). */
int host_watch(int inotify, const char *path, unsigned events);

#endif
