/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection.h - a connection to an NBD server: a handle of libnbd, and the thread that receives
 * the answers.
 *
 * A request is given by any thread and answered once: by the thread of the connection, or at once
 * when the connection has failed.  A connection that fails, or that has given no answer in time,
 * closes its handle first and then fails its requests, so that libnbd has no buffer of theirs any
 * more.  It is not connected again.
 *
 * Locks: use, then those of libnbd, then lock.  No answer is given under one of them.
 */
#ifndef VDISK_NBD_CONNECTION_H
#define VDISK_NBD_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;
struct err;
struct nbd_handle;

enum nbd_command {
	NBD_READ,
	NBD_WRITE,
	NBD_FLUSH, /* without a range */
	NBD_TRIM,
	NBD_ZERO,
	NBD_STATUS, /* base:allocation */
};

/* A request, in memory of the caller that stays until it is answered. */
struct nbd_request {
	enum nbd_command command;
	uint64_t pos, len; /* as the limits of the server require it */
	void *buf;         /* len bytes, which NBD_WRITE only reads; NULL for other commands */
	/* The answer: error is 0, or a positive errno. */
	void (*done)(struct nbd_request *r, int error);
	/* For NBD_STATUS, before the answer and perhaps more than once: n numbers at entries, in
	 * turn the length of an extent, from pos on, and its flags.  Under the locks of libnbd. */
	void (*extents)(struct nbd_request *r, const uint32_t *entries, size_t n);

	/* Of the connection. */
	struct connection *connection;
	struct nbd_request *next, *previous;
	uint64_t sent;  /* when, ms */
	uint64_t bytes; /* that were received */
	int error;
};

/* Takes a handle that is ready, also on failure.  timeout in seconds; failed is called once, from
 * the thread, with the reason, when the connection fails; late: as there was no answer in time. */
int connection_begin(struct nbd_handle *h, unsigned timeout,
	void (*failed)(void *arg, const char *reason, bool late), void *arg, struct connection **c,
	struct err *e);

/* Ends the thread without waiting for the server; requests that are under way fail.  NULL is fine.
 */
void connection_end(struct connection *c);

/* Ends the thread alone, and starts it again.  Requests that are sent meanwhile are answered after
 * that. */
void connection_pause(struct connection *c);
int connection_resume(struct connection *c, struct err *e);

/* Fails all requests, from any thread; connection_end is still to be called. */
void connection_abort(struct connection *c);

/* The descriptor of its socket. */
int connection_socket(const struct connection *c);

bool connection_is_alive(const struct connection *c);

/* Requests that are under way, to choose the connection with the fewest. */
unsigned connection_load(const struct connection *c);

/* Sends a request; it is answered with ENOTCONN when the connection has failed. */
void connection_submit(struct connection *c, struct nbd_request *r);

/* Connects h by the URI within timeout seconds.  The error does not have the name. */
int connection_handshake(struct nbd_handle *h, const char *uri, unsigned timeout, struct err *e);

#endif
