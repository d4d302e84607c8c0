/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* output.h - a raw file or a block device that a disk is written to. */
#ifndef VDISK_OUTPUT_H
#define VDISK_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct image;

struct output {
	const char *name;
	int fd;
	uint64_t size;
	bool is_made;    /* by us, just now: it goes when we fail */
	bool reads_zero; /* what is never written reads as zeroes */
};

/* Opens name for a disk of size bytes; nothing is changed yet. */
int output_open(struct output *o, const char *name, uint64_t size, struct err *e);

/* Is it a file that img, or what img is based on, is read from? */
bool output_is_of(const struct output *o, const struct image *img);

/* Makes it ready to be written: empty, and as large as the disk; or left as it is if keep, which it
 * must be large enough for. */
int output_begin(struct output *o, bool keep, struct err *e);

/* Both from many threads, at places that no other has. */
int output_write(const struct output *o, const void *buf, size_t len, uint64_t pos, struct err *e);
int output_zero(const struct output *o, uint64_t pos, uint64_t len, struct err *e);

/* Ends it; complete: all is written, else what we made goes. */
int output_end(struct output *o, bool complete, struct err *e);

#endif
