/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallel.h - processes one or two disks in pieces with several threads, skipping holes.
 *
 * Pieces are handed out in order of their offset, each to the next free thread.  A piece has up to
 * two steps: the first runs in any order, the second in order of the offset and in one thread at a
 * time. If a step ends the work early, the result is that of the lowest piece that had one, so it
 * does not depend on timing.
 */
#ifndef VDISK_TOOLS_LIB_PARALLEL_H
#define VDISK_TOOLS_LIB_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARALLEL_THREADS 64 /* maximum */

struct args;
struct err;
struct progress;
struct view;

#define PARALLEL_PIECE (256u << 10) /* bytes; one unit if that is larger */

/* One step of a piece.  Any result but 0 ends the work. */
typedef int parallel_fn(void *arg, uint64_t off, size_t len, void *buf, struct err *e);

struct parallel {
	/* Ranges that are holes in both are skipped; [1] may be NULL. */
	const struct view *views[2];
	uint64_t start, end; /* a view may be shorter */
	bool holes_too;      /* skip nothing */
	uint32_t unit;       /* pieces start at a multiple of it from start; 0: anywhere */
	size_t buffer;       /* bytes of each thread's buffer, which is passed to both steps */
	unsigned threads;
	struct progress *progress; /* or NULL */
	parallel_fn *piece;
	parallel_fn *then; /* the second step, or NULL */
	void *arg;
};

int parallel_run(const struct parallel *w, struct err *e);

/* The number of threads of -m, or one per processor; 0 after an error. */
unsigned parallel_threads(const struct args *a);

#endif
