/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bitmap-copy.h"

#include <errno.h>

#include "image/bitmaps.h"
#include "image/format.h"
#include "image/image.h"
#include "util/err.h"
#include "report.h"

static int refuse_in_use(void *arg, const struct bitmap_info *info, struct err *e)
{
	(void)arg;
	if (!info->in_use)
		return 0;
	err_set(e, EINVAL, "Cannot copy inconsistent bitmap '%s'", info->name);
	return err_hint(e, "--skip-broken-bitmaps leaves it out, vdisk bitmap --remove removes it");
}

bool bitmap_copy_check(const struct image *from, bool skip)
{
	struct err e = ERR_INIT;

	if (!from->format->bitmaps)
		return !report("Source lacks bitmap support");
	return skip || bitmaps_visit_all(from, refuse_in_use, NULL, &e) == 0 || !report_failure(&e);
}

struct copying {
	const struct image *from;
	struct image *to;
};

/* The new bitmap is disabled until it has the bits of the old one. */
static int copy_one(void *arg, const struct bitmap_info *info, struct err *e)
{
	struct copying *c = arg;
	struct bitmap_info new = {.name = info->name, .granularity = info->granularity};
	int r;

	if (info->in_use) {
		report("warning: Skipping inconsistent bitmap '%s'", info->name);
		return 0;
	}
	r = bitmaps_add(c->to, &new, e);
	if (r < 0)
		return err_in(e, "Failed to create bitmap %s", info->name);
	r = bitmaps_merge(c->to, info->name, c->from, info->name, e);
	if (r == 0 && info->enabled)
		r = bitmaps_enable(c->to, info->name, true, e);
	return r < 0 ? err_in(e, "Failed to populate bitmap %s", info->name) : 0;
}

bool bitmap_copy_all(const struct image *from, struct image *to)
{
	struct copying c = {.from = from, .to = to};
	struct err e = ERR_INIT;

	return bitmaps_visit_all(from, copy_one, &c, &e) == 0 || !report_failure(&e);
}
