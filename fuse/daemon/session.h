/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session.h - the session with the kernel: from mount point to the loop that serves. */
#ifndef VDISKFS_DAEMON_SESSION_H
#define VDISKFS_DAEMON_SESSION_H

#include <stdbool.h>

struct err;
struct fuse_session;
struct options;
struct server;

/* Can the image be mounted there?  *path: the absolute path of the mount point, malloc'ed. */
int session_check(const struct options *o, char **path, struct err *e);

/* Mounts; server becomes the user data of all requests.  NULL: libfuse or fusermount3 has said why
 * (e->code 0), or e says it. */
struct fuse_session *session_open(
	const struct options *o, const char *mountpoint, struct server *server, struct err *e);

/* Answers the kernel's first request: from then on the mount can be used.  Says so in an error
 * when there is none for long. */
int session_answer(struct fuse_session *se, struct err *e);

/* Answers requests until the mount is gone or a signal asks for the end.  0, a signal or -errno. */
int session_serve(struct fuse_session *se, unsigned threads);

/* Ends the session.  can_unmount: the mount is gone, or this process is free to remove it; else it
 * is left to the attendant, dead. */
void session_close(struct fuse_session *se, bool can_unmount);

#endif
