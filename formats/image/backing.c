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

struct change {
	struct image *img;
	const char *name, *format;
};

static int set_backing(void *arg, struct err *e)
{
	const struct change *c = arg;

	return c->img->format->set_backing(c->img, c->name, c->format, e);
}

int image_set_backing(struct image *img, const char *name, const char *format, struct err *e)
{
	struct change c = {.img = img, .name = name, .format = format};

	if (!img->format->set_backing)
		return err_set(e, EOPNOTSUPP,
			"images of the format %s keep the backing file that they were made with",
			img->format->name);
	return writer_alone(img->writer, set_backing, &c, e);
}

static int empty(void *arg, struct err *e)
{
	const struct change *c = arg;

	return c->img->format->empty(c->img, e);
}

int image_empty(struct image *img, struct err *e)
{
	struct change c = {.img = img};

	if (!img->format->empty)
		return err_set(e, EOPNOTSUPP, "images of the format %s cannot be emptied",
			img->format->name);
	return writer_alone(img->writer, empty, &c, e);
}

struct image *image_swap_parent(struct image *img, struct image *parent)
{
	struct image *had = img->parent;

	img->parent = parent;
	image_lay_on(img, parent ? parent->states[0]->view : NULL);
	return had;
}
