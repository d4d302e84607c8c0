/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crash_storage.h - a file of memory that remembers what no sync has made durable, and whose calls
 * fail.
 */
#ifndef UNIT_COMMON_CRASH_STORAGE_H
#define UNIT_COMMON_CRASH_STORAGE_H

#include <pthread.h>
#include <stdint.h>

#include "io/io.h"

#define MEDIUM_ROOM (64u << 20) /* of address space for a file; pages come as they are touched */

#define MEDIUM_SECTOR 512u /* is written as a whole or not at all */

/* A write, or a change of size, that no sync has made durable yet. */
struct pending {
	uint64_t pos, len;
	unsigned char *data; /* NULL: the file ends at pos from now on */
	struct pending *next;
};

/* The file of memory: as the program sees it, and as it was at the last sync. */
struct medium {
	struct io io;
	unsigned char *now, *durable;
	uint64_t durable_size;
	struct pending *first, **last;
	unsigned calls, fails_at; /* host calls that change; the one to fail; 0: none */
	int failure;
	void (*before_sync)(void *arg);  /* when something is pending; NULL: nobody looks */
	void (*after_change)(void *arg); /* likewise, after each call that changes; locked */
	void *arg;
	pthread_mutex_t lock; /* of all of the above */
};

/* As the file at path is, which is durable. */
void medium_load(struct medium *m, const char *path);
void medium_free(struct medium *m);

/* What a program writes to; it may be closed and asked for again. */
struct io *medium_io(struct medium *m);

/* What is pending is lost. */
void medium_forget(struct medium *m);

/* Memory for a file that is put together time and again: new pages would cost more than all that is
 * done with them. */
struct scratch {
	unsigned char *bytes; /* zeroes from used on */
	uint64_t used;
};

/* Puts size bytes into it; returns its memory, of MEDIUM_ROOM bytes. */
unsigned char *scratch_fill(struct scratch *s, const void *bytes, uint64_t size);

/* The file as a power cut leaves it: of the first most calls that are pending, each sector of a
 * write and each change of size is there with a chance of percent. */
void medium_cut(const struct medium *m, struct scratch *file, unsigned percent, uint64_t most,
	uint64_t *random);

uint64_t medium_pending(const struct medium *m);

/* Does len bytes of a write, from from on, or a change of size, to a file that is being put
 * together. */
void medium_replay(
	unsigned char *bytes, uint64_t *size, const struct pending *p, uint64_t from, uint64_t len);

#endif
