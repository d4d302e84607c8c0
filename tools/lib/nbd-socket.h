/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbd-socket.h - the socket on which a server listens, and the URIs of its exports.
 *
 * Failures are reported here.
 */
#ifndef VDISK_TOOLS_LIB_NBD_SOCKET_H
#define VDISK_TOOLS_LIB_NBD_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

struct nbd_socket {
	int fd;          /* listening, close-on-exec */
	char *path;      /* of a Unix socket; NULL: it is of TCP */
	char *dir;       /* created for path; NULL: none was */
	dev_t dev;       /* of path */
	ino_t ino;       /* likewise */
	char *authority; /* of TCP: "127.0.0.1:10809" */
};

/* Listens at path, to which only this user can connect; NULL: in a new private directory.  A socket
 * there on which nobody listens is replaced.  False after an error. */
bool nbd_socket_listen_unix(struct nbd_socket *s, const char *path);

/* Listens at a TCP port; "0": at a free one.  address NULL: of this host alone.  False after an
 * error. */
bool nbd_socket_listen_tcp(struct nbd_socket *s, const char *address, const char *port);

/* The URI of an export, malloc'ed, or NULL without memory. */
char *nbd_socket_uri(const struct nbd_socket *s, const char *export);

/* Closes and removes the socket and its directory. */
void nbd_socket_end(struct nbd_socket *s);

#endif
