/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-read.c - a directory is read in two passes: descriptions of machines claim their files,
 * then all other files are looked at. */
#include "folder-read.h"

#include <stdlib.h>
#include <string.h>

#include "folder-described.h"
#include "folder-impl.h"
#include "folder-scan.h"
#include "image/image.h"
#include "util/err.h"

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Takes over the claims that a description in the directory above has on files of this one. */
static int inherit_claims(struct folder *f, const struct folder *above, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < above->nclaims && r == 0; i++)
		if (is_below(above->claims[i], f->path))
			r = folder_claim(f, above->claims[i], e);
	return r;
}

/* Machines come first: a file that they claim is no entry of its own. */
static void drop_claimed(struct folder *f, size_t from)
{
	size_t n = from;

	for (size_t i = from; i < f->n; i++)
		if (folder_has_claim(f, f->entries[i].path))
			folder_free_entry(&f->entries[i]);
		else
			f->entries[n++] = f->entries[i];
	f->n = n;
}

static int compare_entries(const void *a, const void *b)
{
	const struct folder_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->path, y->path);
}

static int read_folder(struct folder *f, const struct folder *above, struct err *e)
{
	size_t of_machines;
	int r = above ? inherit_claims(f, above, e) : 0;

	if (r == 0)
		r = folder_described_add(f, e);
	folder_sort_claims(f);
	of_machines = f->n;
	if (r == 0)
		r = folder_scan(f, e);
	folder_sort_claims(f);
	drop_claimed(f, of_machines);
	if (f->n)
		qsort(f->entries, f->n, sizeof f->entries[0], compare_entries);
	return r;
}

int folder_read(const char *path, const struct image_options *o, const struct folder *above,
	struct folder **out, struct err *e)
{
	struct folder *f = calloc(1, sizeof *f);
	int r;

	if (f) {
		atomic_init(&f->refs, 1);
		f->path = strdup(path);
	}
	if (!f || !f->path) {
		free(f);
		return err_nomem(e);
	}
	f->opts = o;
	f->gate = gate_on(f->path, o->allow, o->search);
	r = read_folder(f, above, e);
	if (r < 0)
		folder_unref(f);
	else
		*out = f;
	return r;
}
