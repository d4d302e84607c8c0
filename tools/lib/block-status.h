/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* block-status.h - divides a disk into ranges of one status, as "map" prints them: which image of
 * the chain they come from, and if they are data, zeroes or unallocated. */
#ifndef VDISK_TOOLS_LIB_BLOCK_STATUS_H
#define VDISK_TOOLS_LIB_BLOCK_STATUS_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct image;
struct io;
struct input;

struct block_status {
	uint64_t start, len;
	unsigned depth; /* of the image in the chain; 0: the top */
	bool present;   /* allocated in that image; false: in none of the chain */
	bool zero, data, compressed;
	struct io *io; /* the file with the plain data, at pos; NULL: compressed, encrypted or no
			  data */
	uint64_t pos;
};

/* Called for each range in order; adjacent ranges differ.  0 to go on. */
typedef int block_status_fn(void *arg, const struct block_status *p);

/* Visits the ranges of [start, end) of the chosen state.  Stops at the first result of visit that
 * is not 0, and returns it; also returns errors. */
int block_status_visit(const struct input *input, uint64_t start, uint64_t end,
	block_status_fn *visit, void *arg, struct err *e);

#endif
