/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* block-status.h - a disk as a run of pieces, each with the image of the chain that has the say
 * there. */
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
	unsigned depth; /* of the image, 0 the top */
	bool present;   /* that image, and not only the end of the chain, says what is here */
	bool zero, data, compressed;
	struct io *io; /* where data lies as it is, at pos; NULL: compressed, encrypted or none */
	uint64_t pos;
};

/* Passed pieces in their order, such that no two neighbours could be one; 0 to go on. */
typedef int block_status_fn(void *arg, const struct block_status *p);

/* Visits [start, end) of the chosen state.  What a visit returns that is not 0 ends it and is
 * returned; so is an error. */
int block_status_visit(const struct input *input, uint64_t start, uint64_t end,
	block_status_fn *visit, void *arg, struct err *e);

#endif
