/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbd.h - exports of NBD servers as host files, by libnbd.
 *
 * A server is connected once, before the program locks itself in; images are opened on it as often
 * as needed, since an io of it is only a stand-in.  Only the command line names servers: an image
 * is opened from a URI only if the server is in the options (image_options.nbd).
 *
 * Each connection has a thread that receives the answers; any number of threads send requests, and
 * many requests are under way at once.  A server that gives no answer in time, breaks the protocol
 * or ends loses its connections, and nothing is connected again: later requests are EIO at once.
 *
 * libnbd and what it needs are loaded when the first server is connected, so that nothing else is
 * slower for it.
 */
#ifndef VDISK_NBD_NBD_H
#define VDISK_NBD_NBD_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct io;
struct nbd_server;

/* Seconds without an answer, if the options do not say. */
#define NBD_TIMEOUT     60
#define NBD_TIMEOUT_MAX 86400 /* that a user can give */

struct nbd_options {
	const char *tls_certs; /* directory with ca-cert.pem, client-cert.pem, client-key.pem; or
				  NULL */
	const char *tls_psk;   /* file of pre-shared keys; or NULL */
	const char *name;      /* of the image, for messages and image_open; NULL: the URI */
	bool write;            /* the export will be written: EROFS unless the server can flush */
	unsigned
		timeout; /* seconds without an answer after which a request is EIO; 0: 60.  Four
			  * times as many for a flush, trim or zero, which may take a server long */
};

/* Connects, several times if the server allows it (multi-conn), and starts a thread for each
 * connection: after a fork, and before the program locks itself in.  The strings of o are not
 * needed afterwards.  Takes no longer than the timeout.  EPROTO: it is no NBD server; EROFS,
 * ETIMEDOUT, ENOTSUP: this program was built without libnbd; or an errno of the host. */
int nbd_server_connect(
	const char *uri, const struct nbd_options *o, struct nbd_server **s, struct err *e);

/* Ends the connections, without waiting for the server.  No io of it may be left; NULL is fine. */
void nbd_server_disconnect(struct nbd_server *s);

/* The name, which is the URI unless the options have another one. */
const char *nbd_server_uri(const struct nbd_server *s);

/* Ends the threads without disconnecting, and starts them again: a sandbox confines only threads
 * that are started in it.  No read or write may be under way. */
void nbd_server_pause(struct nbd_server *s);
int nbd_server_resume(struct nbd_server *s, struct err *e);

/* Lets all requests fail, those under way and later ones, without a wait: nobody needs the answers
 * any more.  Any thread. */
void nbd_server_abort(struct nbd_server *s);

/* The sockets of its connections, at most max; returns their number. */
unsigned nbd_server_sockets(const struct nbd_server *s, uint32_t *sockets, unsigned max);

/* A stand-in for the export, of which any number may be open; the server must stay.  All share what
 * was read ahead, at most 64 MiB of memory.  It is written after io_make_writable, which is EROFS
 * for a server that is read-only or cannot flush.  There are no locks: that no other client writes
 * is up to the user. */
struct io *nbd_server_io(struct nbd_server *s, struct err *e);

#endif
