/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "format.h"
#include "image.h"
#include "io/io.h"
#include "view/view.h"
#include "view/writer.h"

int image_set_backing(struct image *img, const char *name, const char *format, struct err *e)
{
	int r;

	if (!img->format->set_backing)
		return err_set(e, EOPNOTSUPP,
			"images of the format %s keep the backing file that they were made with",
			img->format->name);
	r = writer_begin_exclusive(img->writer, e);
	if (r < 0)
		return r;
	r = img->format->set_backing(img, name, format, e);
	return writer_end_exclusive(img->writer, r, e);
}

int image_empty(struct image *img, struct err *e)
{
	int r;

	if (!img->format->empty)
		return err_set(e, EOPNOTSUPP, "images of the format %s cannot be emptied",
			img->format->name);
	r = writer_begin_exclusive(img->writer, e);
	return r < 0 ? r : writer_end_exclusive(img->writer, img->format->empty(img, e), e);
}

struct image *image_swap_parent(struct image *img, struct image *parent)
{
	struct image *had = img->parent;

	img->parent = parent;
	image_lay_on(img, parent ? parent->states[0]->view : NULL);
	return had;
}
