/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exports.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/text.h"
#include "image/format.h"
#include "open/registry.h"
#include "export/allocmap.h"
#include "image/image.h"
#include "io/io.h"
#include "export/export.h"
#include "util/filename.h"
#include "view/view.h"

/* "-export~", a number of six digits or less, "-stream.vmdk" */
#define TAIL_MAX 26

#define NOT_KNOWN UINT64_MAX

/* Holes of less than this part of a file are not reported. */
#define FEW 64

struct exports {
	struct allocmap *stored;      /* NULL: not known */
	_Atomic uint64_t disk_stored; /* bytes, or NOT_KNOWN */
};

struct exports *exports_new(void)
{
	struct exports *x = calloc(1, sizeof *x);

	if (x)
		atomic_init(&x->disk_stored, NOT_KNOWN);
	return x;
}

void exports_free(struct exports *x)
{
	if (!x)
		return;
	allocmap_free(x->stored);
	free(x);
}

bool exports_any(const struct image *img, const struct state *state)
{
	if (state->view->write || img->opts->share)
		return false;
	for (const struct format *const *f = registry; *f; f++)
		for (const struct export_format *const *l = (*f)->layouts; l && *l; l++)
			if (export_fit(*l, state->view->size) != EXPORT_NEVER)
				return true;
	return false;
}

/* PACKAGE-IMAGE-SNAPSHOT, escaped and short enough for a tail. */
static char *stem(const struct image *img, const struct state *s)
{
	const char *package = img->gate.package_path ? img->gate.package_path : "";
	char *raw, *name;
	int n;

	states_lock(img);
	n = asprintf(&raw, "%s%s%s%s%s", text_basename(package), *package ? "-" : "",
		image_basename(img), s->no > 0 ? "-" : "",
		s->no == 0            ? ""
		: s->name && *s->name ? s->name
				      : s->id);
	states_unlock(img);
	if (n < 0)
		return NULL;
	name = filename_escape(raw);
	free(raw);
	if (name)
		name[filename_stem_len(name, TAIL_MAX)] = '\0';
	return name;
}

/* Is a file of the chain called like this, in any letter case? */
static bool is_in_chain(const struct image *top, const char *name)
{
	for (const struct image *img = top; img; img = img->parent)
		for (size_t i = 0; i < img->nfiles; i++)
			if (strcasecmp(text_basename(img->files[i]->name), name) == 0)
				return true;
	return false;
}

char *exports_name(const struct image *top, const struct image *img, const struct state *state,
	const struct export_format *l)
{
	char *base = stem(img, state), *name = NULL;
	int n = base ? asprintf(&name, "%s-export%s", base, l->suffix) : -1;

	for (unsigned i = 2; n >= 0 && is_in_chain(top, name); i++) {
		free(name);
		n = asprintf(&name, "%s-export~%u%s", base, i, l->suffix);
	}
	free(base);
	return n < 0 ? NULL : name;
}

/* The allocation map is read once: it is the same after the image was closed and opened again. */
struct view *exports_make(struct exports *x, const struct image *img, const struct state *state,
	const struct export_format *l, const char *name, struct err *e)
{
	struct export_source source = {
		.disk = state->view,
		.cache = img->opts->cache,
	};
	struct view *file = NULL;

	if (!x->stored)
		x->stored = allocmap_of(source.disk, EXPORT_BITS, e);
	source.stored = x->stored;
	if (x->stored && export_identify(&source, img, state, e) == 0)
		export_make(l, &source, name, &file, e);
	return file;
}

uint64_t exports_stored(struct exports *x, const struct state *state, const struct view *file)
{
	uint64_t disk = atomic_load_explicit(&x->disk_stored, memory_order_relaxed), stored;

	if (disk == NOT_KNOWN) {
		disk = view_stored(state->view);
		atomic_store_explicit(&x->disk_stored, disk, memory_order_relaxed);
	}
	stored = export_stored(file, disk);
	return file->size - MIN(stored, file->size) < file->size / FEW ? file->size : stored;
}
