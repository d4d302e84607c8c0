/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake.h - an NBD server in threads of the test, with a disk in memory, that can lie.
 *
 * It knows the fixed newstyle handshake, structured replies and base:allocation: a granule of
 * FAKE_GRANULE bytes that has only zeroes is a hole.
 */
#ifndef UNIT_NBD_FAKE_H
#define UNIT_NBD_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_GRANULE (64u << 10)
#define FAKE_URI     "nbd+unix:///?socket=sock"

enum fake_command {
	FAKE_READ,
	FAKE_WRITE,
	FAKE_DISC,
	FAKE_FLUSH,
	FAKE_TRIM,
	FAKE_ZERO = 6,
	FAKE_STATUS
};

/* What the server does with a request. */
enum fake_fate {
	FAKE_ANSWER,
	FAKE_FAIL,   /* answers with EIO */
	FAKE_IGNORE, /* never answers */
	FAKE_HOLD,   /* does it, but answers after fake_release */
	FAKE_CLOSE,  /* closes the connection */
	FAKE_CUT,    /* closes it in the middle of the answer */
	FAKE_MAGIC,  /* answers without the magic number */
	FAKE_SHORT,  /* leaves the second half of the data out, without an error */
	FAKE_LONG,   /* says that more data follows than was asked for */
	FAKE_OTHER,  /* answers a request that nobody sent, and then this one */
	FAKE_EMPTY,  /* tells an extent of no bytes */
};

enum fake_greeting { GREETS, GREETS_WRONGLY, GREETS_NEVER, GREETS_AND_CLOSES };

struct fake_request {
	enum fake_command command;
	uint64_t pos;
	uint32_t len;
	unsigned connection; /* its number, from 0 */
};

struct fake {
	/* Set before fake_start. */
	uint64_t size;
	enum fake_greeting greeting;
	bool multi_conn, read_only, no_flush, no_zero, no_extents;
	uint32_t min, max; /* sizes of blocks; 0: not told */
	uint64_t told;     /* a size that is not true; 0: size */
	/* From the thread of a connection; NULL: FAKE_ANSWER. */
	enum fake_fate (*fate)(struct fake *f, const struct fake_request *r);
	void *arg;

	unsigned char *data; /* size bytes, of a pattern at first */
	atomic_uint connections, requests, reads, writes, flushes;
	atomic_uint held; /* answers that wait */

	/* Of the server. */
	int listener;
	pthread_t thread;
	pthread_mutex_t lock, data_lock;
	struct fake_client *clients;
	struct fake_held *waiting;
};

/* Listens at FAKE_URI, in the current directory. */
void fake_start(struct fake *f);

/* Sends the answers that wait. */
void fake_release(struct fake *f);

/* Ends it; connections are closed. */
void fake_end(struct fake *f);

#endif
