/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format.h"

#include <stdio.h>
#include <unistd.h>

#include "util/bytes.h"
#include "view/view.h"

void format_abilities(const struct format *f, char text[FORMAT_ABILITIES])
{
	const struct {
		const char *word;
		bool can;
	} abilities[] = {
		{"parents", f->has_parents},
		{"snapshots", f->has_snapshots},
		{"check", f->check != NULL},
		{"write", f->can_write},
		{"create", f->create != NULL},
		{"export", f->layouts != NULL},
	};
	size_t n = snprintf(text, FORMAT_ABILITIES, "read");

	for (size_t i = 0; i < sizeof abilities / sizeof abilities[0]; i++)
		if (abilities[i].can)
			n += snprintf(text + n, FORMAT_ABILITIES - n, ", %s", abilities[i].word);
}

uint64_t format_measure_units(const struct view *disk, uint64_t unit)
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
