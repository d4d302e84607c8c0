/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vbox-registry.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "io/host.h"
#include "io/io.h"
#include "machine/machine.h"
#include "machine/vbox.h"
#include "util/err.h"
#include "util/limits.h"

#define SUFFIX ".vbox"
#define PREV   "-prev"

/* The machines that one directory describes. */
struct machine_dir {
	struct machine_dir *next;
	char *dir;
	size_t n;
	struct machine *machines[VBOX_DIR_MAX_MACHINES];
	char *unreadable; /* the warning of the first description that cannot be read, until given
			   */
};

static int is_description(const struct dirent *d)
{
	const char *suffix = strrchr(d->d_name, '.');

	return suffix && suffix > d->d_name &&
	       (strcmp(suffix, SUFFIX) == 0 || strcmp(suffix, SUFFIX PREV) == 0);
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

static void read_dir(struct machine_dir *d)
{
	const char *last = NULL; /* read with success */
	struct dirent **list;
	int n = host_scandir(d->dir, &list, is_description);

	for (int i = 0; i < n && d->n < VBOX_DIR_MAX_MACHINES; i++) {
		const char *name = list[i]->d_name;
		struct err e = ERR_INIT;

		if (is_older_version(last, name))
			continue;
		if (read_machine(d->dir, name, &d->machines[d->n], &e) == 0) {
			d->n++;
			last = name;
		} else if (!d->unreadable) {
			err_in(&e, "the description %s cannot be read", name);
			d->unreadable = strdup(e.text);
		}
	}
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

/* NULL without memory. */
static struct machine_dir *find_dir(struct vbox_registry *h, const char *dir)
{
	struct machine_dir *d = h->first;

	while (d && strcmp(d->dir, dir) != 0)
		d = d->next;
	if (d)
		return d;
	d = calloc(1, sizeof *d);
	if (d)
		d->dir = strdup(dir);
	if (!d || !d->dir) {
		free(d);
		return NULL;
	}
	read_dir(d);
	d->next = h->first;
	h->first = d;
	return d;
}

void vbox_registry_free(struct vbox_registry *h)
{
	for (struct machine_dir *d; (d = h->first) != NULL;) {
		h->first = d->next;
		for (size_t i = 0; i < d->n; i++)
			machine_free(d->machines[i]);
		free(d->unreadable);
		free(d->dir);
		free(d);
	}
}

int vbox_registry_visit(struct vbox_registry *h, const char *dir, const struct image *warn,
	vbox_registry_visit_fn *visit, void *arg)
{
	struct machine_dir *d = find_dir(h, dir);
	int r = 0;

	if (d && d->unreadable && warn) {
		image_warn(warn, "%s", d->unreadable);
		free(d->unreadable);
		d->unreadable = NULL;
	}
	for (size_t i = 0; d && i < d->n && r == 0; i++)
		r = visit(arg, dir, d->machines[i]);
	return r;
}

/* Compares only the texts: a folder that a description names is not opened. */
static int keeps_snapshots_in(void *arg, const char *dir, const struct machine *m)
{
	const char *folder = arg, *recorded = m->snapshot_dir;

	(void)dir;
	if (strncmp(recorded, "./", 2) == 0)
		recorded += 2;
	return strcmp(recorded, recorded[0] == '/' ? folder : strrchr(folder, '/') + 1) == 0;
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
