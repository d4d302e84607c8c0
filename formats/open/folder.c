/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder.c - the list of a directory: its entries and the files that are claimed. */
#include "folder-impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/array.h"
#include "util/err.h"
#include "io/host.h"

char *folder_join(const char *dir, const char *name)
{
	const char *slash = strcmp(dir, "/") == 0 ? "" : "/";
	char *path;

	if (strlen(dir) + strlen(name) + 2 > PATH_MAX ||
		asprintf(&path, "%s%s%s", dir, slash, name) < 0)
		return NULL;
	return path;
}

bool folder_is_there(const struct folder *f, const char *path)
{
	struct stat st;

	return gate_may_look(&f->gate, path) && host_stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *folder_find(const struct folder *f, const char *dir, const char *name)
{
	char *path = name[0] == '/' ? strdup(name) : folder_join(dir, name);
	char real[PATH_MAX], *slash, *found = NULL;

	if (path && folder_is_there(f, path) && (slash = strrchr(path, '/'))) {
		*slash = '\0';
		if (host_realpath(slash == path ? "/" : path, real))
			found = folder_join(real, slash + 1);
	}
	free(path);
	return found;
}

struct folder_entry *folder_add(
	struct folder *f, enum folder_kind kind, const char *name, const char *path, struct err *e)
{
	struct folder_entry *entries = array_grow(f->entries, f->n, sizeof *entries);
	struct folder_entry entry = {.kind = kind, .name = strdup(name), .path = strdup(path)};

	if (entries)
		f->entries = entries;
	if (!entries || !entry.name || !entry.path) {
		free(entry.name);
		free(entry.path);
		err_nomem(e);
		return NULL;
	}
	entries[f->n] = entry;
	return &entries[f->n++];
}

/* Claims. */

int folder_claim(struct folder *f, const char *path, struct err *e)
{
	return string_list_add(&f->claims, path) ? 0 : err_nomem(e);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void folder_sort_claims(struct folder *f)
{
	if (f->claims.n)
		qsort(f->claims.v, f->claims.n, sizeof f->claims.v[0], compare_paths);
	f->nsorted = f->claims.n;
}

bool folder_has_claim(const struct folder *f, const char *path)
{
	return f->nsorted &&
	       bsearch(&path, f->claims.v, f->nsorted, sizeof f->claims.v[0], compare_paths);
}

void folder_free_entry(struct folder_entry *entry)
{
	for (size_t i = 0; i < entry->nsnapshots; i++) {
		free(entry->snapshots[i].name);
		free(entry->snapshots[i].path);
		free(entry->snapshots[i].refusal);
	}
	free(entry->snapshots);
	free(entry->name);
	free(entry->path);
	free(entry->refusal);
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
		folder_free_entry(&f->entries[i]);
	free(f->entries);
	string_list_free(&f->empty);
	string_list_free(&f->claims);
	free(f->path);
	free(f);
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_snapshot(const struct folder_snapshot *a, const struct folder_snapshot *b)
{
	return same_text(a->refusal, b->refusal) && a->parent == b->parent &&
	       a->when.tv_sec == b->when.tv_sec && a->when.tv_nsec == b->when.tv_nsec &&
	       strcmp(a->name, b->name) == 0 && strcmp(a->path, b->path) == 0;
}

bool folder_entry_is_same(const struct folder_entry *a, const struct folder_entry *b)
{
	bool same = a->kind == b->kind && strcmp(a->path, b->path) == 0 &&
		    same_text(a->refusal, b->refusal) && a->nsnapshots == b->nsnapshots;

	for (size_t i = 0; same && i < a->nsnapshots; i++)
		same = same_snapshot(&a->snapshots[i], &b->snapshots[i]);
	return same;
}
