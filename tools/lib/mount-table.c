/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-table.c - reads the kernel's list of mounts twice: first the views, then the file systems
 * whose source is a file of a view, which may stand before their view in the list. */
#include "mount-table.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/mountinfo.h"
#include "hidden-view.h"
#include "util/err.h"

#define VIEW_TYPE "fuse.vdiskfs"

struct reading {
	struct mount_table *table;
	char *hidden; /* the parent directory of hidden views; NULL: unknown */
	bool failed;
};

/* The part of path below dir, or NULL. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return n > 0 && strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* Takes copies of the texts. */
static void add(struct reading *r, const struct mounted *x)
{
	struct mount_table *m = r->table;
	struct mounted *list = reallocarray(m->list, m->n + 1, sizeof list[0]), *copy;

	if (!list) {
		r->failed = true;
		return;
	}
	m->list = list;
	copy = &list[m->n++];
	*copy = *x;
	copy->image = strdup(x->image);
	copy->view = strdup(x->view);
	copy->file = x->file ? strdup(x->file) : NULL;
	copy->dir = strdup(x->dir);
	if (!copy->image || !copy->view || !copy->dir || (x->file && !copy->file))
		r->failed = true;
}

static void add_view(void *arg, const struct mount_line *line)
{
	struct reading *r = arg;
	const char *name = r->hidden ? below(line->dir, r->hidden) : NULL;
	struct mounted x = {
		.image = (char *)line->source,
		.view = (char *)line->dir,
		.dir = (char *)line->dir,
		.dev = line->dev,
		.hidden = name && !strchr(name, '/'),
	};

	if (strcmp(line->type, VIEW_TYPE) == 0)
		add(r, &x);
}

/* The file behind a loop device; FUSE programs name the file itself as their source. */
static bool file_of(const char *source, char *file, size_t size, bool *loop)
{
	char path[128];
	size_t n;
	FILE *f;

	*loop = strncmp(source, "/dev/loop", 9) == 0;
	if (!*loop)
		return snprintf(file, size, "%s", source) < (int)size;
	snprintf(path, sizeof path, "/sys/block/%.32s/loop/backing_file", source + 5);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(file, 1, size - 1, f);
	fclose(f);
	file[n] = '\0';
	file[strcspn(file, "\n")] = '\0';
	return n > 0;
}

static const struct mounted *view_of(const struct mount_table *m, const char *file)
{
	for (size_t i = m->n; i-- > 0;)
		if (!m->list[i].file && below(file, m->list[i].view))
			return &m->list[i];
	return NULL;
}

/* Returns the file below the view that a file system was mounted from, if that view is no longer
 * mounted because its daemon was killed; else NULL.  The kernel then gives the path from the root
 * of the view; a FUSE program goes on to give the path that it was started with. */
static const char *file_of_lost_view(const char *file, const char *hidden)
{
	const char *name = hidden ? below(file, hidden) : NULL;

	if (name)
		file = strchr(name, '/');
	if (!file || access(file, F_OK) == 0)
		return NULL;
	return strcmp(file, "/disk.raw") == 0 || strncmp(file, "/partitions/", 12) == 0 ? file + 1
											: NULL;
}

static void add_file_system(void *arg, const struct mount_line *line)
{
	struct reading *r = arg;
	struct mounted x = {.dir = (char *)line->dir, .dev = line->dev};
	const struct mounted *view;
	char file[PATH_MAX];

	if (strcmp(line->type, VIEW_TYPE) == 0 ||
		!file_of(line->source, file, sizeof file, &x.by_kernel))
		return;
	view = view_of(r->table, file);
	x.image = view ? view->image : (char *)"an image no longer served";
	x.view = view ? view->view : (char *)"";
	x.hidden = view && view->hidden;
	x.file = (char *)(view ? below(file, view->view) : file_of_lost_view(file, r->hidden));
	if (x.file)
		add(r, &x);
}

int mount_table_read(struct mount_table *m, struct err *e)
{
	struct reading r = {.table = m, .hidden = hidden_view_parent()};
	int ret;

	*m = (struct mount_table){0};
	ret = mountinfo_read(add_view, &r);
	if (ret == 0)
		ret = mountinfo_read(add_file_system, &r);
	free(r.hidden);
	if (r.failed)
		return err_nomem(e);
	return ret < 0 ? err_set(e, -ret, "the list of mounts: %s", strerror(-ret)) : 0;
}

void mount_table_free(struct mount_table *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->list[i].image);
		free(m->list[i].view);
		free(m->list[i].file);
		free(m->list[i].dir);
	}
	free(m->list);
	*m = (struct mount_table){0};
}

const struct mounted *mount_table_find(const struct mount_table *m, const char *dir)
{
	for (size_t i = m->n; i-- > 0;)
		if (strcmp(m->list[i].dir, dir) == 0)
			return &m->list[i];
	return NULL;
}

bool mount_table_is_used(const struct mount_table *m, const char *view)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->list[i].file && strcmp(m->list[i].view, view) == 0)
			return true;
	return false;
}

bool mount_table_is_shown(const struct mount_table *m, const struct mounted *x)
{
	return x->file || !x->hidden || !mount_table_is_used(m, x->view);
}

char *mount_table_holder(const char *file)
{
	char path[PATH_MAX], image[PATH_MAX], *dir = NULL;
	struct err ignored = ERR_INIT;
	struct mount_table m;

	if (!realpath(file, path))
		return NULL;
	mount_table_read(&m, &ignored);
	/* A file system that is mounted from the view comes later: it has to be unmounted first. */
	for (size_t i = m.n; i-- > 0 && !dir;)
		if (realpath(m.list[i].image, image) &&
			(strcmp(image, path) == 0 || below(path, image)))
			dir = strdup(m.list[i].dir);
	mount_table_free(&m);
	return dir;
}
