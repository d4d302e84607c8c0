/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.h - copies a disk to a writable view, leaving out everything that the output need not store:
 * zeroes in a new image, and data that its backing file has already. */
#ifndef VDISK_TOOLS_LIB_COPY_H
#define VDISK_TOOLS_LIB_COPY_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct progress;
struct rate;
struct view;

struct copy {
	const struct view *disk;
	struct view *out;
	uint64_t base;            /* offset in out of the start of disk */
	const struct view *below; /* backing file to compare with; NULL: none */
	bool is_new;              /* nothing was written to out before */
	uint64_t sparse;          /* size of a run of zeroes that becomes a hole; 0: never */
	bool compressed;          /* write compressed clusters */
	bool in_order;            /* allocate clusters in the order of the disk */
	unsigned threads;
	struct progress *progress; /* or NULL */
	struct rate *rate;         /* or NULL; needs in_order or compressed */
	bool salvage;              /* sectors that cannot be read become zeroes */
	void (*salvaged)(uint64_t off, const struct err *e); /* one could not be read; or NULL */
};

/* Copies the whole disk; it must fit.  Does not flush. */
int copy_run(const struct copy *c, struct err *e);

#endif
