/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* random_model.h - random operations on a writable image beside a plain array that says what must
 * come.
 *
 * For drivers: make an image, "struct model m = {...}; model_run(&m)".  Several threads write and
 * clear in stripes of their own, which share units of the image, while others read and flush; then
 * one thread does what reaches further.  All of it is compared, now and then after closing and
 * opening the image again.  Snapshots are taken, dropped and gone back to meanwhile, and keep what
 * they have.  QEMU has the last word.
 */
#ifndef UNIT_COMMON_RANDOM_MODEL_H
#define UNIT_COMMON_RANDOM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model {
	const char *path;   /* of the image, in the current directory */
	const char *format; /* NULL: probe */
	const void *before; /* what the disk holds, NULL: zeroes */
	uint64_t seed;
	unsigned rounds;   /* 0: 6; each is some hundred operations */
	uint64_t size_max; /* the disk is resized up to here; 0: never */
	bool shrinks;      /* ... and down */
	bool snapshots;    /* the image can have them */
	bool counts_fill;  /* ... but not many */
	const char
		*referee; /* the format for qemu-img, which checks and compares; NULL: it cannot */
};

void model_run(struct model *m);

#endif
