/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* random_model.h - random operations on a writable image, compared with an array in memory.
 *
 * For drivers: make an image, "struct model m = {...}; model_run(&m)".  Several threads write and
 * clear in their own stripes, which share units of the image, while others read and flush.  Then
 * one thread runs operations that affect more than one stripe.  All of the disk is compared,
 * sometimes after closing and opening the image.  Snapshots are created, deleted and applied, and
 * must keep their contents.  Finally qemu-img checks the image and compares it.
 */
#ifndef UNIT_COMMON_RANDOM_MODEL_H
#define UNIT_COMMON_RANDOM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model {
	const char *path;   /* the image file, in the current directory */
	const char *format; /* NULL: probed */
	const void *before; /* initial contents of the disk; NULL: zeroes */
	uint64_t seed;
	unsigned rounds;         /* 0: 6; a round has some hundred operations */
	uint64_t size_max;       /* largest size of the disk; 0: no resizing */
	bool shrinks;            /* also makes it smaller */
	bool snapshots;          /* the format has snapshots */
	bool narrow_refcounts;   /* refcounts are too narrow for many snapshots */
	const char *qemu_format; /* format for qemu-img, which checks and compares; NULL: none */
};

void model_run(struct model *m);

#endif
