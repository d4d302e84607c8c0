/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.h - a disk copied into a view that is written to; what need not be stored is not. */
#ifndef VDISK_TOOLS_LIB_COPY_H
#define VDISK_TOOLS_LIB_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct progress;
struct view;

struct copy {
	const struct view *disk;
	struct view *out;
	uint64_t base;            /* where in out the disk begins; it fits */
	const struct view *below; /* what out shows where it stores nothing; NULL: zeroes, or
				   * nobody asks */
	bool fresh;               /* nothing was written to out before */
	uint64_t sparse;          /* how many zeroes become a hole, at most 16 MiB; 0: none do */
	bool packed;              /* by units that are packed */
	unsigned threads;
	struct progress *progress; /* or NULL */
};

int copy_run(const struct copy *c, struct err *e);

#endif
