/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* padded.h - disks of different sizes: beyond its end a disk reads as zeroes.  NULL is an empty
 * one.
 */
#ifndef VDISK_TOOLS_LIB_PADDED_H
#define VDISK_TOOLS_LIB_PADDED_H

#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "view/view.h"

static inline int padded_read(
	const struct view *v, void *buf, size_t len, uint64_t off, struct err *e)
{
	size_t inside = v && off < v->size ? MIN(len, v->size - off) : 0;

	memset((char *)buf + inside, 0, len - inside);
	return inside > 0 ? view_read(v, buf, inside, off, e) : 0;
}

/* The offset of the first data from off on, or end. */
static inline uint64_t padded_next_data(const struct view *v, uint64_t off, uint64_t end)
{
	uint64_t found;

	if (!v || off >= v->size || view_seek(v, off, SEEK_DATA, &found) < 0)
		return end;
	return MIN(found, end);
}

#endif
