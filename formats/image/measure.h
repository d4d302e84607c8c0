/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure.h - how large a file an image would become. */
#ifndef VDISK_IMAGE_MEASURE_H
#define VDISK_IMAGE_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

struct view;

struct measured {
	uint64_t required; /* bytes of the file with the data that there is */
	uint64_t full;     /* and if all of the disk is written to */
	bool has_bitmaps;  /* the disk can have bitmaps, which the image could have, too */
	uint64_t bitmaps;  /* bytes that these would take besides */
};

/* For drivers: how many bytes the units (a power of 2) have together that hold data of disk. */
uint64_t measure_units(const struct view *disk, uint64_t unit);

#endif
