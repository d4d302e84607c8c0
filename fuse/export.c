/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "export.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "format.h"
#include "granules.h"
#include "image.h"
#include "layout.h"
#include "names.h"
#include "view.h"

#define NAME_MAX_BYTES 255
#define SUFFIX_MAX     12 /* "-stream.vmdk" */
#define UNKNOWN        UINT64_MAX

#define FEW 64 /* holes are few when they make up less than this part of a file */

struct exports {
	struct granules *stored;      /* NULL: not known yet */
	_Atomic uint64_t disk_stored; /* bytes; UNKNOWN */
};

struct exports *exports_new(void)
{
	struct exports *x = calloc(1, sizeof *x);

	if (x)
		atomic_init(&x->disk_stored, UNKNOWN);
	return x;
}

void exports_free(struct exports *x)
{
	if (!x)
		return;
	granules_free(x->stored);
	free(x);
}

bool exports_any(const struct image *img, const struct state *state)
{
	if (state->view->write || img->opts->share)
		return false;
	for (const struct format *const *f = formats; *f; f++)
		for (const struct layout *const *l = (*f)->layouts; l && *l; l++)
			if (layout_fit(*l, state->view->size) != LAYOUT_NEVER)
				return true;
	return false;
}

/* The name of the image without its suffix. */
static char *base_name(const struct image *img)
{
	const char *name = image_basename(img), *dot = strrchr(name, '.');

	if (dot && dot > name && format_of_name(name))
		return strndup(name, (size_t)(dot - name));
	return strdup(name);
}

static char *raw_name(const struct image *img, const struct state *s)
{
	char *base = base_name(img), *name = NULL;

	if (!base || s->no == 0)
		return base;
	states_lock(img);
	if (asprintf(&name, "%s-%s", base, s->name && *s->name ? s->name : s->id) < 0)
		name = NULL;
	states_unlock(img);
	free(base);
	return name;
}

/* Leaves room for a suffix; no character is cut in two. */
static void cut(char *name)
{
	size_t n = NAME_MAX_BYTES - SUFFIX_MAX;

	if (strlen(name) <= n)
		return;
	while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
		n--;
	name[n] = '\0';
}

char *exports_name(const struct image *img, const struct state *state)
{
	char *raw = raw_name(img, state);
	char *name = raw ? name_escape(raw) : NULL;

	free(raw);
	if (name)
		cut(name);
	return name;
}

/* The walk is done once, also when the image is closed and opened again: it is the same then. */
int export_make(struct exports *x, const struct image *img, const struct state *state,
	const struct layout *l, const char *name, struct view **file, struct err *e)
{
	struct layout_source source = {
		.disk = state->view,
		.cache = img->opts->cache,
	};
	int ret;

	if (!x->stored)
		x->stored = granules_of(source.disk, LAYOUT_BITS, e);
	if (!x->stored)
		return -e->code;
	source.stored = x->stored;
	ret = layout_identify(&source, img, state, e);
	return ret < 0 ? ret : layout_make(l, &source, name, file, e);
}

uint64_t export_stored(struct exports *x, const struct state *state, const struct view *file)
{
	uint64_t disk = atomic_load_explicit(&x->disk_stored, memory_order_relaxed), stored;

	if (disk == UNKNOWN) {
		disk = view_stored(state->view);
		atomic_store_explicit(&x->disk_stored, disk, memory_order_relaxed);
	}
	stored = layout_stored(file, disk);
	return file->size - MIN(stored, file->size) < file->size / FEW ? file->size : stored;
}
