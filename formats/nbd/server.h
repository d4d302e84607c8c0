/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* server.h - a connected server: its limits, its connections, and requests on them.
 *
 * Requests of any length and alignment are cut into those that the server takes.  As it answers
 * them in any order, all are sent before the first is waited for.
 */
#ifndef VDISK_NBD_SERVER_H
#define VDISK_NBD_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "connection.h"
#include "streams.h"

#define SERVER_CONNECTIONS 4

struct ahead;
struct err;
struct extents;

struct nbd_server {
	char *uri;
	char *title; /* the last part of the name of the export; "disk": it has none */
	uint64_t size;
	struct timespec when;             /* it was connected: its contents have no other time */
	uint32_t read_align, write_align; /* powers of two */
	uint32_t max;                     /* bytes of a read or write */
	bool read_only, can_flush, can_trim, can_zero, has_extents;
	atomic_bool writable; /* it may have been written to */

	struct connection *connections[SERVER_CONNECTIONS];
	unsigned n;
	struct ahead *ahead;
	struct streams streams;
	struct extents *extents;
	atomic_bool extents_failed; /* all is data from now on */
	/* Shared by aligned writes; exclusive while a part of a block of write_align bytes is
	 * changed by reading and writing the whole. */
	pthread_rwlock_t parts_lock;

	pthread_mutex_t lock;
	char reason[256]; /* of the first connection that failed; "": none */
	atomic_bool failed_logged;
	atomic_bool failed; /* no connection is used any more */
};

/* 0, or EROFS. */
int server_check_writable(const struct nbd_server *s, struct err *e);

/* Requests that are waited for together. */
struct batch {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	unsigned under_way;
	int error; /* of the first that failed */
};

struct batch_request {
	struct nbd_request request;
	struct batch *batch;
};

void batch_begin(struct batch *b);

/* Sends a request, of which the members of the caller are set; it must stay until batch_end. */
void batch_send(struct batch *b, struct nbd_server *s, struct batch_request *r);

/* Waits for all answers: 0 or the first error, negative. */
int batch_end(struct batch *b);

/* Sends a request on the connection that has the fewest. */
void server_send(void *server, struct nbd_request *r);

/* A range that is aligned as the server requires it; all return 0 or -errno. */
int server_read(struct nbd_server *s, void *buf, size_t len, uint64_t pos);
int server_write(struct nbd_server *s, const void *buf, size_t len, uint64_t pos);
int server_range(struct nbd_server *s, enum nbd_command command, uint64_t pos, uint64_t len);
int server_flush(struct nbd_server *s);

/* Asks for the extents from pos on, and keeps the answer in s->extents. */
int server_ask_extents(struct nbd_server *s, uint64_t pos);

#endif
