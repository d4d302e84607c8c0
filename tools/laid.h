/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* laid.h - a disk laid out as a file of another format, to be copied out. */
#ifndef VDISK_LAID_H
#define VDISK_LAID_H

#include <stdbool.h>

#include "layout.h"

struct err;
struct format;
struct source;
struct words;

struct laid {
	struct layout_source source;
	struct granules *stored;
	struct view *file;
};

/* The layout of the format that is asked for by "subformat=" in words, or its first one; NULL:
 * there is none, or another word is asked for. */
const struct layout *laid_choose(const struct format *f, const struct words *words);

/* Lays the chosen state out as a file called name; -errno.  End it in either case. */
int laid_begin(struct laid *l, const struct layout *layout, const struct source *source,
	const char *name, struct err *e);
void laid_end(struct laid *l);

#endif
