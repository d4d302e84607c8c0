/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crash_storage.h - a file in memory that records the writes since the last sync, and whose calls
 * can be made to fail. */
#ifndef UNIT_COMMON_CRASH_STORAGE_H
#define UNIT_COMMON_CRASH_STORAGE_H

#include <pthread.h>
#include <stdint.h>

#include "io/io.h"

#define MEDIUM_SIZE_MAX (64u << 20) /* of a file; pages are allocated on first use */

#define MEDIUM_SECTOR 512u /* written completely or not at all */

/* A write or a truncation that no sync has made durable yet. */
struct pending {
	uint64_t pos, len;
	unsigned char *data; /* NULL: a change of the file size to pos */
	struct pending *next;
};

/* The file in memory: its contents as seen by the program, and those at the last sync. */
struct medium {
	struct io io;
	unsigned char *now, *durable;
	uint64_t durable_size;
	struct pending *first, **last;
	unsigned calls, fails_at; /* number of host calls that changed the file; the number of the
				   * one that fails; 0: none */
	int failure;
	void (*before_sync)(void *arg);  /* called if writes are pending; may be NULL */
	void (*after_change)(void *arg); /* called after each call that changed the file, with the
					  * lock held; may be NULL */
	void *arg;
	pthread_mutex_t lock; /* protects all of the above */
};

/* Loads the file at path; its contents count as durable. */
void medium_load(struct medium *m, const char *path);
void medium_free(struct medium *m);

/* Returns an io for the medium; there may be a new one after it was closed. */
struct io *medium_io(struct medium *m);

/* Drops all pending writes. */
void medium_drop_pending(struct medium *m);

/* Memory that is reused for each state of the file: the page faults of new memory would dominate
 * the run time. */
struct scratch {
	unsigned char *bytes; /* zeroes beyond used */
	uint64_t used;
};

/* Copies size bytes into it; returns its memory, of MEDIUM_SIZE_MAX bytes. */
unsigned char *scratch_fill(struct scratch *s, const void *bytes, uint64_t size);

/* Makes the file that a power cut leaves from the first most pending calls: each sector of a write
 * and each change of size is applied with a probability of percent. */
void medium_cut(const struct medium *m, struct scratch *file, unsigned percent, uint64_t most,
	uint64_t *random);

uint64_t medium_pending(const struct medium *m);

/* Applies len bytes of a pending write, beginning at from, or a change of size. */
void medium_replay(
	unsigned char *bytes, uint64_t *size, const struct pending *p, uint64_t from, uint64_t len);

#endif
