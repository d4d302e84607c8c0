/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* super.c - finds the superblock of a member. */
#include "super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"

/* In the order of the versions. */
enum place { AT_64K_BEFORE_END, AT_8K_BEFORE_END, AT_START, AT_4K, PLACES };

/* UINT64_MAX: the device is too short. */
static uint64_t place_pos(enum place place, uint64_t size)
{
	uint64_t pos = 0;

	if (place == AT_64K_BEFORE_END)
		pos = size < 128 << 10 ? UINT64_MAX : size / (64 << 10) * (64 << 10) - (64 << 10);
	else if (place == AT_8K_BEFORE_END)
		pos = size < 16 << 10 ? UINT64_MAX : (size / 512 - 16) / 8 * 4096;
	else if (place == AT_4K)
		pos = 4096;
	return pos == UINT64_MAX || !range_fits(pos, MD_SUPER_LEN, size) ? UINT64_MAX : pos;
}

static int read_place(
	const struct view *device, enum place place, struct md_super *s, struct err *e)
{
	uint64_t pos = place_pos(place, device->size);
	unsigned char p[MD_SUPER_LEN];
	struct err ignored = ERR_INIT;

	memset(s, 0, sizeof *s);
	if (pos == UINT64_MAX || view_read(device, p, sizeof p, pos, &ignored) < 0)
		return 0;
	if (place == AT_64K_BEFORE_END) {
		if (load_le32(p) != MD_MAGIC && load_be32(p) != MD_MAGIC)
			return 0;
		return md_super0_parse(p, pos, s, e);
	}
	if (load_le32(p) != MD_MAGIC)
		return 0;
	return md_super1_parse(p, device, pos, place - AT_8K_BEFORE_END, s, e);
}

int md_super_read(const struct view *device, struct md_super **super, struct err *e)
{
	struct md_super *best = calloc(1, sizeof *best), *s = calloc(1, sizeof *s), *other;
	bool found = false;
	int r = best && s ? 0 : err_nomem(e), damage = 0;

	for (enum place place = 0; r != -ENOMEM && place < PLACES; place++) {
		struct err why = ERR_INIT;

		r = read_place(device, place, s, &why);
		if (r == 1 && (!found || s->created > best->created)) {
			other = best;
			best = s;
			s = other;
			found = true;
		}
		/* The end of a device has leftovers more often than damage. */
		if ((r == -ENOTSUP || (r < 0 && place >= AT_START)) && damage == 0) {
			damage = r;
			*e = why;
		}
	}
	free(s);
	if (found)
		*super = best;
	else
		free(best);
	return r == -ENOMEM ? r : found ? 1 : damage;
}
