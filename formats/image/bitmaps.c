/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bitmaps.h"

#include <errno.h>
#include <stddef.h>

#include "util/err.h"
#include "view/writer.h"
#include "format.h"
#include "image.h"

static int begin(struct image *img, struct err *e)
{
	if (!img->format->bitmaps)
		return err_set(
			e, ENOTSUP, "images of the format %s have no bitmaps", img->format->name);
	return writer_begin_exclusive(img->writer, e);
}

int bitmaps_add(struct image *img, const struct bitmap_info *info, struct err *e)
{
	int r = begin(img, e);

	if (r < 0)
		return r;
	return writer_end_exclusive(img->writer, img->format->bitmaps->add(img, info, e), e);
}

int bitmaps_remove(struct image *img, const char *name, struct err *e)
{
	int r = begin(img, e);

	if (r < 0)
		return r;
	return writer_end_exclusive(img->writer, img->format->bitmaps->remove(img, name, e), e);
}

int bitmaps_remove_all(struct image *img, struct err *e)
{
	return bitmaps_remove(img, NULL, e);
}

int bitmaps_clear(struct image *img, const char *name, struct err *e)
{
	int r = begin(img, e);

	if (r < 0)
		return r;
	return writer_end_exclusive(img->writer, img->format->bitmaps->clear(img, name, e), e);
}

int bitmaps_enable(struct image *img, const char *name, bool on, struct err *e)
{
	int r = begin(img, e);

	if (r < 0)
		return r;
	return writer_end_exclusive(img->writer, img->format->bitmaps->enable(img, name, on, e), e);
}

int bitmaps_merge(struct image *img, const char *name, const struct image *from,
	const char *from_name, struct err *e)
{
	int r;

	if (!from->format->bitmaps)
		return err_set(e, ENOENT, "Dirty bitmap '%s' not found", from_name);
	r = begin(img, e);
	if (r < 0)
		return r;
	r = img->format->bitmaps->merge(img, name, from, from_name, e);
	return writer_end_exclusive(img->writer, r, e);
}

int bitmaps_visit_all(const struct image *img, bitmaps_visit *each, void *arg, struct err *e)
{
	return img->format->bitmaps ? img->format->bitmaps->visit(img, each, arg, e) : 0;
}
