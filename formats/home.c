/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* home.c - see home.h.  What cannot be read is passed over: surroundings are no part of an image.
 */
#include "home.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "err.h"
#include "image.h"
#include "io.h"
#include "machine.h"
#include "policy.h"
#include "vbox.h"

#define SUFFIX ".vbox"
#define PREV   "-prev"

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), len = strlen(end);

	return n > len && strcmp(name + n - len, end) == 0;
}

static int is_description(const struct dirent *d)
{
	return ends_with(d->d_name, SUFFIX) || ends_with(d->d_name, SUFFIX PREV);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_machine(const char *dir, const char *name, struct machine **m, struct err *e)
{
	struct io *io;
	int r = policy_open_in(dir, name, "description", &io, e);

	if (r < 0)
		return r;
	r = vbox_read(io, m, e);
	io_unref(io);
	return r;
}

static int visit_file(const char *dir, const char *name, const struct image *tell,
	home_visit *visit, void *arg, bool *readable)
{
	struct err e = ERR_INIT;
	struct machine *m;
	int r;

	*readable = read_machine(dir, name, &m, &e) == 0;
	if (!*readable) {
		if (tell)
			image_warn(tell, "what %s says of it is not known: %s", name, e.text);
		return 0;
	}
	r = visit(arg, dir, m);
	machine_free(m);
	return r;
}

/* Is b the older version of the description a, if there was one? */
static bool is_older_version(const char *a, const char *b)
{
	size_t n = a ? strlen(a) : 0;

	return n > 0 && strncmp(a, b, n) == 0 && strcmp(b + n, PREV) == 0;
}

int home_visit_machines(const char *dir, const struct image *tell, home_visit *visit, void *arg)
{
	const char *last = NULL; /* read with success */
	struct dirent **list;
	int n = scandir(dir, &list, is_description, by_name), r = 0;

	for (int i = 0; i < n && i < HOME_MAX_MACHINES && r == 0; i++) {
		const char *name = list[i]->d_name;
		bool readable;

		if (is_older_version(last, name))
			continue;
		r = visit_file(dir, name, tell, visit, arg, &readable);
		if (readable)
			last = name;
	}
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return r;
}

/* By its text alone: what a description says is not looked at on the disk. */
static int keeps_snapshots_in(void *arg, const char *dir, const struct machine *m)
{
	const char *folder = arg, *said = m->snapshot_dir;

	(void)dir;
	if (strncmp(said, "./", 2) == 0)
		said += 2;
	return strcmp(said, said[0] == '/' ? folder : strrchr(folder, '/') + 1) == 0;
}

char *home_above(const char *dir)
{
	const char *slash = strrchr(dir, '/');
	char *above;

	if (!slash || slash[1] == '\0')
		return NULL;
	above = strndup(dir, slash > dir ? slash - dir : 1);
	if (!above || strcmp(slash, "/Snapshots") == 0 ||
		home_visit_machines(above, NULL, keeps_snapshots_in, (void *)dir))
		return above;
	free(above);
	return NULL;
}
