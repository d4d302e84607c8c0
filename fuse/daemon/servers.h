/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* servers.h - the NBD servers of a mount: those of URIs on the command line, and the child server.
 *
 * They are connected before the daemon confines itself, in which it can make no connection.  The
 * threads that receive their answers are ended for that moment, since a sandbox confines only the
 * threads that are started in it.
 */
#ifndef VDISKFS_DAEMON_SERVERS_H
#define VDISKFS_DAEMON_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/relay.h"

struct child_server;
struct err;
struct log;
struct nbd_server;
struct options;

struct servers {
	struct nbd_server *list[3]; /* of the image and of its backing file; NULL-terminated */
	size_t n;
	bool writes;        /* the first one is written */
	struct relay relay; /* of the child server */
};

/* Does the command line name a server? */
bool servers_any(const struct options *o);

/* Connects.  On failure, too, servers_free is to be called. */
int servers_connect(struct servers *s, const struct options *o, struct child_server *child,
	struct log *log, struct err *e);

/* The sockets of all connections, at most max; their number. */
unsigned servers_sockets(const struct servers *s, uint32_t *sockets, unsigned max);

/* Ends the threads, while no request is under way, and starts them again. */
void servers_pause(struct servers *s);
int servers_resume(struct servers *s, struct err *e);

/* The mount is gone: nobody waits for what is read of a server that is not written.  One that is
 * written gets what was not flushed yet. */
void servers_abort(struct servers *s);

/* No image of them may be open. */
void servers_free(struct servers *s);

#endif
