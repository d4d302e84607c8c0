/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallel.h - going through disks with several threads, leaving out what reads as zeroes anyway.
 *
 * Pieces are handed out in their order, each to whichever thread asks next.  What must be done in
 * that order, too, is done by the second step of a piece.  Whatever ends the work early, the result
 * is that of the first piece of the disk that had one: the same each time.
 */
#ifndef VDISK_TOOLS_LIB_PARALLEL_H
#define VDISK_TOOLS_LIB_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARALLEL_THREADS 64 /* at most */

struct args;
struct err;
struct progress;
struct view;

#define PARALLEL_PIECE (256u << 10) /* bytes, at most, but those of a larger unit */

/* 0 to go on; what else it returns ends the work. */
typedef int parallel_fn(void *arg, uint64_t off, size_t len, void *buf, struct err *e);

struct parallel {
	const struct view *views[2]; /* what is hole in both is left out; NULL: there is only one */
	uint64_t start, end;         /* views may end before */
	bool holes_too;              /* nothing is left out */
	uint32_t unit; /* pieces begin that many bytes from start, or a multiple of it; 0: where
			* data does */
	size_t buffer; /* bytes that each thread gets for its own use */
	unsigned threads;
	struct progress *progress; /* or NULL */
	parallel_fn *piece;
	parallel_fn
		*then; /* for each piece after that, one at a time and in their order; or NULL */
	void *arg;
};

int parallel_run(const struct parallel *w, struct err *e);

/* What -m asks for, or a thread for each processor; 0: it is no number, and that has been told. */
unsigned parallel_threads(const struct args *a);

#endif
