/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* streams.h - finds reads that continue each other, and how far to read ahead of them.
 *
 * The reader of a large file is known to those who call io_fetch; this is for all others: tables
 * that are read page by page, archives that are unpacked, digests.
 *
 * Any thread.  Lock: one mutex, the last in the order.
 */
#ifndef VDISK_NBD_STREAMS_H
#define VDISK_NBD_STREAMS_H

#include <pthread.h>
#include <stdint.h>

/* Readers that are told apart. */
#define STREAMS 8

struct stream {
	uint64_t next;    /* the end of the last read */
	uint64_t fetched; /* the end of what is to be fetched */
	uint64_t bytes;   /* of all its reads */
	unsigned reads;
	unsigned when; /* it was used */
};

struct streams {
	pthread_mutex_t lock;
	unsigned now;
	struct stream list[STREAMS];
};

void streams_init(struct streams *s);
void streams_end(struct streams *s);

/* A read of [pos, pos+len): returns the number of bytes to fetch from *from on, 0: none. */
uint64_t streams_note(struct streams *s, uint64_t pos, uint64_t len, uint64_t *from);

#endif
