/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vbox-registry.c - see vbox-registry.h.  What cannot be read is passed over: surroundings are no
 * part of an image.
 */
#include "vbox-registry.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/err.h"
#include "io/host.h"
#include "image/image.h"
#include "io/io.h"
#include "machine/machine.h"
#include "io/gate.h"
#include "machine/vbox.h"

#define SUFFIX ".vbox"
#define PREV   "-prev"

/* One directory. */
struct home {
	struct home *next;
	char *dir;
	size_t n;
	struct machine *machines[HOME_MAX_MACHINES];
	char *unreadable; /* what is to be told of the first that is; NULL: nothing, or it was */
};

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
	const struct gate gate = gate_on(dir, NULL, NULL);
	struct io *io;
	int r = gate_open(&gate, name, "description", &io, e);

	if (r < 0)
		return r;
	r = vbox_read(io, m, e);
	io_unref(io);
	return r;
}

/* Is b the older version of the description a, if there was one? */
static bool is_older_version(const char *a, const char *b)
{
	size_t n = a ? strlen(a) : 0;

	return n > 0 && strncmp(a, b, n) == 0 && strcmp(b + n, PREV) == 0;
}

static void read_home(struct home *home)
{
	const char *last = NULL; /* read with success */
	struct dirent **list;
	int n = host_scandir(home->dir, &list, is_description, by_name);

	for (int i = 0; i < n && home->n < HOME_MAX_MACHINES; i++) {
		const char *name = list[i]->d_name;
		struct err e = ERR_INIT;

		if (is_older_version(last, name))
			continue;
		if (read_machine(home->dir, name, &home->machines[home->n], &e) == 0) {
			home->n++;
			last = name;
		} else if (!home->unreadable) {
			err_in(&e, "what %s says of it is not known", name);
			home->unreadable = strdup(e.text);
		}
	}
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
}

static void home_free(struct home *home)
{
	for (size_t i = 0; i < home->n; i++)
		machine_free(home->machines[i]);
	free(home->unreadable);
	free(home->dir);
	free(home);
}

/* NULL without memory. */
static struct home *find_home(struct vbox_registry *h, const char *dir)
{
	struct home *home = h->first;

	while (home && strcmp(home->dir, dir) != 0)
		home = home->next;
	if (home)
		return home;
	home = calloc(1, sizeof *home);
	if (!home)
		return NULL;
	home->dir = strdup(dir);
	if (!home->dir) {
		free(home);
		return NULL;
	}
	read_home(home);
	home->next = h->first;
	h->first = home;
	return home;
}

void vbox_registry_free(struct vbox_registry *h)
{
	while (h->first) {
		struct home *home = h->first;

		h->first = home->next;
		home_free(home);
	}
}

int vbox_registry_visit(struct vbox_registry *h, const char *dir, const struct image *tell,
	vbox_registry_visit_fn *visit, void *arg)
{
	struct home *home = find_home(h, dir);
	int r = 0;

	if (home && home->unreadable && tell) {
		image_warn(tell, "%s", home->unreadable);
		free(home->unreadable);
		home->unreadable = NULL;
	}
	for (size_t i = 0; home && i < home->n && r == 0; i++)
		r = visit(arg, dir, home->machines[i]);
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

char *vbox_registry_above(struct vbox_registry *h, const char *dir)
{
	const char *slash = strrchr(dir, '/');
	char *above;

	if (!slash || slash[1] == '\0')
		return NULL;
	above = strndup(dir, slash > dir ? slash - dir : 1);
	if (!above || strcmp(slash, "/Snapshots") == 0 ||
		vbox_registry_visit(h, above, NULL, keeps_snapshots_in, (void *)dir))
		return above;
	free(above);
	return NULL;
}
