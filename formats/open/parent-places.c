/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parent-places.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "util/limits.h"
#include "image/format.h"
#include "registry.h"
#include "vbox-registry.h"
#include "io/host.h"
#include "image/image.h"
#include "machine/machine.h"
#include "machine/tar.h"

#define SNAPSHOTS "Snapshots" /* VirtualBox's default name of the folder */

/* Directories. */

static int add_dir(struct parent_places *p, const char *dir)
{
	for (size_t i = 0; i < p->dirs.n; i++)
		if (strcmp(p->dirs.v[i], dir) == 0)
			return 0;
	return string_list_add(&p->dirs, dir) ? 0 : -ENOMEM;
}

/* Adds the directory that a description in dir names, if it is below dir and no link leads there:
 * other directories are not even listed. */
static int add_dir_below(struct parent_places *p, const char *dir, const char *recorded)
{
	char path[PATH_MAX], name[PATH_MAX];
	int fd;

	if (snprintf(name, sizeof name, "%s", recorded) >= (int)sizeof name || tar_tidy(name) < 0 ||
		name[0] == '\0')
		return 0;
	fd = host_open_below(dir, name);
	if (fd < 0)
		return 0;
	close(fd);
	if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		return 0;
	return add_dir(p, path);
}

static int add_snapshots(void *arg, const char *dir, const struct machine *m)
{
	return add_dir_below(arg, dir, m->snapshot_dir);
}

static int add_list(struct parent_places *p, const char *const *dirs)
{
	char real[PATH_MAX];
	int r = 0;

	for (; dirs && *dirs && r == 0; dirs++)
		if (host_realpath(*dirs, real))
			r = add_dir(p, real);
	return r;
}

int parent_places_find(struct parent_places *p, const char *dir, bool above,
	struct vbox_registry *machines, const struct image_options *o)
{
	int r;

	*p = (struct parent_places){.opts = o};
	r = add_dir(p, dir);
	if (r == 0)
		r = add_dir_below(p, dir, SNAPSHOTS);
	if (r == 0)
		r = vbox_registry_visit(machines, dir, NULL, add_snapshots, p);
	if (above)
		p->above = vbox_registry_above(machines, dir);
	if (r == 0 && p->above)
		r = add_dir(p, p->above);
	if (r == 0)
		r = add_list(p, o->search);
	return r == 0 ? add_list(p, o->allow) : r;
}

void parent_places_free(struct parent_places *p)
{
	string_list_free(&p->dirs);
	free(p->above);
	*p = (struct parent_places){0};
}

/* Files. */

const char *parent_places_format(const char *name)
{
	const struct format *f = registry_find_by_filename(name);

	return f && f->knows_parent ? f->name : NULL;
}

static int is_candidate(const struct dirent *d)
{
	return parent_places_format(d->d_name) != NULL;
}

static bool visit_in(const char *dir, parent_places_try *try, void *arg)
{
	struct dirent **list;
	int n = host_scandir(dir, &list, is_candidate);
	char path[PATH_MAX];
	bool over = false;

	for (int i = 0; i < n; i++) {
		if (!over && snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name) <
				     (int)sizeof path)
			over = try(arg, path);
		free(list[i]);
	}
	free(list);
	return over;
}

/* The tree below a directory of the user. */
struct below {
	dev_t dev;
	unsigned left; /* entries that may still be read */
	parent_places_try *try;
	void *arg;
};

static bool visit_below(struct below *b, const char *dir, unsigned depth);

/* The files of the directory itself, at depth 0, were visited before. */
static bool visit_entry(struct below *b, const char *dir, const struct dirent *d, unsigned depth)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", dir, d->d_name) >= (int)sizeof path)
		return false;
	switch (host_entry_type(path, d)) {
	case DT_DIR:
		return d->d_name[0] != '.' && depth < PARENT_SEARCH_MAX_DEPTH &&
		       visit_below(b, path, depth + 1);
	case DT_REG:
		return depth > 0 && parent_places_format(d->d_name) && b->try(b->arg, path);
	default:
		return false;
	}
}

static bool visit_below(struct below *b, const char *dir, unsigned depth)
{
	struct dirent **list;
	bool over = false;
	struct stat st;
	int n;

	if (host_lstat(dir, &st) < 0)
		return false;
	if (depth == 0)
		b->dev = st.st_dev;
	/* Mounts are not entered: they may wait for a network. */
	if (st.st_dev != b->dev)
		return false;
	n = host_scandir(dir, &list, NULL);
	for (int i = 0; i < n; i++) {
		if (!over && b->left > 0) {
			b->left--;
			over = visit_entry(b, dir, list[i], depth);
		}
		free(list[i]);
	}
	free(list);
	return over;
}

/* A machine that was moved may be below a directory of the user. */
static bool visit_below_each(struct below *b, const char *const *dirs)
{
	char real[PATH_MAX];

	for (; dirs && *dirs; dirs++)
		if (host_realpath(*dirs, real) && visit_below(b, real, 0))
			return true;
	return false;
}

bool parent_places_visit(const struct parent_places *p, parent_places_try *try, void *arg)
{
	struct below b = {.left = PARENT_SEARCH_MAX_ENTRIES, .try = try, .arg = arg};

	for (size_t i = 0; i < p->dirs.n; i++)
		if (visit_in(p->dirs.v[i], try, arg))
			return true;
	return visit_below_each(&b, p->opts->search) || visit_below_each(&b, p->opts->allow);
}
