/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder.c - the list of a directory: built, compared, freed. */
#include "folder-impl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "image/image.h"
#include "util/err.h"

/* Room for one more: arrays double, so they are full when the count is a power of two. */
static void *grow(void *array, size_t n, size_t size)
{
	if (n == 0)
		return malloc(size);
	return is_power_of_2(n) ? reallocarray(array, n, 2 * size) : array;
}

char *folder_join(const char *dir, const char *name)
{
	const char *slash = strcmp(dir, "/") == 0 ? "" : "/";
	char *path;

	if (strlen(dir) + strlen(name) + 2 > PATH_MAX ||
		asprintf(&path, "%s%s%s", dir, slash, name) < 0)
		return NULL;
	return path;
}

struct folder_entry *folder_add(
	struct folder *f, enum folder_kind kind, const char *name, const char *path, struct err *e)
{
	struct folder_entry *entries = grow(f->entries, f->n, sizeof *entries), *entry;

	if (entries)
		f->entries = entries;
	entry = entries ? &entries[f->n] : NULL;
	if (entry)
		*entry = (struct folder_entry){
			.kind = kind, .name = strdup(name), .path = strdup(path)};
	if (!entry || !entry->name || !entry->path) {
		if (entry) {
			free(entry->name);
			free(entry->path);
		}
		err_nomem(e);
		return NULL;
	}
	f->n++;
	return entry;
}

/* Claims. */

int folder_claim(struct folder *f, const char *path, struct err *e)
{
	char **claims = grow(f->claims, f->nclaims, sizeof *claims);

	if (!claims)
		return err_nomem(e);
	f->claims = claims;
	claims[f->nclaims] = strdup(path);
	return claims[f->nclaims] ? (f->nclaims++, 0) : err_nomem(e);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void folder_sort_claims(struct folder *f)
{
	if (f->nclaims)
		qsort(f->claims, f->nclaims, sizeof f->claims[0], compare_paths);
	f->nsorted = f->nclaims;
}

bool folder_has_claim(const struct folder *f, const char *path)
{
	return f->nsorted &&
	       bsearch(&path, f->claims, f->nsorted, sizeof f->claims[0], compare_paths);
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* What a description in the directory above has to say of this one. */
static int inherit_claims(struct folder *f, const struct folder *above, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < above->nclaims && r == 0; i++)
		if (is_below(above->claims[i], f->path))
			r = folder_claim(f, above->claims[i], e);
	return r;
}

/* The whole. */

static void free_entry(struct folder_entry *entry)
{
	for (size_t i = 0; i < entry->nshots; i++) {
		free(entry->shots[i].name);
		free(entry->shots[i].path);
		free(entry->shots[i].refusal);
	}
	free(entry->shots);
	free(entry->name);
	free(entry->path);
	free(entry->refusal);
}

/* Machines come first: what they claim is no entry of its own. */
static void drop_claimed(struct folder *f, size_t from)
{
	size_t n = from;

	for (size_t i = from; i < f->n; i++)
		if (folder_has_claim(f, f->entries[i].path))
			free_entry(&f->entries[i]);
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
		r = folder_add_machines(f, e);
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

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

struct folder *folder_ref(struct folder *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void folder_unref(struct folder *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	for (size_t i = 0; i < f->n; i++)
		free_entry(&f->entries[i]);
	free(f->entries);
	free_texts(f->empty, f->nempty);
	free_texts(f->claims, f->nclaims);
	free(f->path);
	free(f);
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_shot(const struct folder_shot *a, const struct folder_shot *b)
{
	return same_text(a->refusal, b->refusal) && a->parent == b->parent &&
	       a->when.tv_sec == b->when.tv_sec && a->when.tv_nsec == b->when.tv_nsec &&
	       strcmp(a->name, b->name) == 0 && strcmp(a->path, b->path) == 0;
}

bool folder_entry_is_same(const struct folder_entry *a, const struct folder_entry *b)
{
	bool same = a->kind == b->kind && strcmp(a->path, b->path) == 0 &&
		    same_text(a->refusal, b->refusal) && a->nshots == b->nshots;

	for (size_t i = 0; same && i < a->nshots; i++)
		same = same_shot(&a->shots[i], &b->shots[i]);
	return same;
}
