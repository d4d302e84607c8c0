/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "measure.h"

#include <unistd.h>

#include "util/bytes.h"
#include "view/view.h"

uint64_t measure_units(const struct view *disk, uint64_t unit)
{
	uint64_t sum = 0, off = 0, start, end;

	/* A disk is shorter than 2^63 bytes: rounded up it still fits. */
	while (off < disk->size && view_seek(disk, off, SEEK_DATA, &start) == 0 &&
		view_seek(disk, start, SEEK_HOLE, &end) == 0) {
		start -= start % unit;
		sum += round_up(end, unit) - MAX(start, off);
		off = round_up(end, unit);
	}
	return sum;
}
