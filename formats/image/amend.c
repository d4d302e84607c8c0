/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "amend.h"

#include <errno.h>
#include <stddef.h>

#include "util/err.h"
#include "view/view.h"
#include "view/writer.h"
#include "format.h"
#include "image.h"

/* The format of version 2 cannot do all that version 3 can, so one that becomes version 2 does that
 * last. */
static int amend(struct image *img, const struct amendment *a, struct err *e)
{
	int r = writer_begin_exclusive(img->writer, e);

	if (r < 0)
		return r;
	return writer_end_exclusive(img->writer, img->format->amend(img, a, e), e);
}

int image_amend(struct image *img, const struct amendment *a, struct err *e)
{
	struct amendment first = *a, last = {.version = 2};
	int r;

	if (!img->format->amend)
		return err_set(e, ENOTSUP, "Format driver '%s' does not support option amendment",
			img->format->name);
	first.not_version = a->version == 2;
	r = amend(img, &first, e);
	if (r == 0 && a->size > 0)
		r = view_resize(img->states[0]->view, a->size, e);
	return r == 0 && a->version == 2 ? amend(img, &last, e) : r;
}
