/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session.h - the FUSE session: checks the mount point, mounts, and runs the loop of libfuse. */
#ifndef VDISKFS_DAEMON_SESSION_H
#define VDISKFS_DAEMON_SESSION_H

#include <stdbool.h>

struct err;
struct fuse_session;
struct options;
struct server;

/* Checks that the image can be mounted on o->mountpoint.  *path: its absolute path, malloc'ed. */
int session_check(const struct options *o, char **path, struct err *e);

/* Mounts.  server becomes the user data of all requests.  NULL after an error; e->code 0: libfuse
 * or fusermount3 has reported it. */
struct fuse_session *session_open(
	const struct options *o, const char *mountpoint, struct server *server, struct err *e);

/* Answers the first request of the kernel, after which the mount can be used.  ETIMEDOUT: none
 * came. */
int session_answer(struct fuse_session *se, struct server *server, struct err *e);

/* Serves requests.  Returns 0 after an unmount, else the number of a signal, or -errno. */
int session_serve(struct fuse_session *se, unsigned threads);

/* Ends the session.  can_unmount: the process is not in the sandbox, so it unmounts; else the
 * supervisor does. */
void session_close(struct fuse_session *se, bool can_unmount);

#endif
