/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* set.c - a set of volumes and the views of its devices. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/limits.h"
#include "io/io.h"
#include "view/io-view.h"
#include "view/view.h"
#include "view/writer.h"
#include "reader.h"
#include "set.h"

/* Adding. */

static bool name_is_used(const struct volume_set *set, const char *name)
{
	for (size_t i = 0; i < set->nvolumes; i++)
		if (strcmp(set->volumes[i]->name, name) == 0)
			return true;
	return false;
}

/* The volumes that have this name, or one that begins with it and a "~". */
static unsigned count_named(const struct volume_set *set, const char *wanted)
{
	size_t len = strlen(wanted);
	unsigned n = 0;

	for (size_t i = 0; i < set->nvolumes; i++)
		n += strncmp(set->volumes[i]->name, wanted, len) == 0 &&
		     strchr("~", set->volumes[i]->name[len]) != NULL;
	return n;
}

/* As util/filename.h numbers names; to try all numbers of thousands of volumes with one name
 * would take minutes. */
static char *unique_name(const struct volume_set *set, const char *wanted)
{
	char *name = strdup(wanted);

	if (!name || !name_is_used(set, name))
		return name;
	for (unsigned i = count_named(set, wanted) + 1; name && name_is_used(set, name); i++) {
		free(name);
		if (asprintf(&name, "%s~%u", wanted, i) < 0)
			name = NULL;
	}
	return name;
}

static void volume_free(struct volume *v)
{
	if (!v)
		return;
	if (v->mapping)
		(v->reader->free_mapping ? v->reader->free_mapping : free)(v->mapping);
	free(v->members);
	free(v->name);
	free(v->path);
	free(v);
}

struct volume *volume_add(const struct volume_group *g, const char *name, const char *path,
	struct volume_member *const *members, size_t n, struct err *e)
{
	struct volume_set *set = g->set;
	struct volume **volumes;
	struct volume *v;

	if (set->nvolumes == VOLUME_MAX) {
		err_set(e, E2BIG, "more than %u volumes", VOLUME_MAX);
		return NULL;
	}
	volumes = array_grow(set->volumes, set->nvolumes, sizeof volumes[0]);
	v = calloc(1, sizeof *v);
	if (volumes)
		set->volumes = volumes;
	if (v) {
		v->reader = g->reader;
		v->kind = g->reader->kind;
		v->name = unique_name(set, name);
		v->path = path ? strdup(path) : NULL;
		v->members = calloc(n, sizeof v->members[0]);
		v->nmembers = n;
	}
	if (!volumes || !v || !v->name || (path && !v->path) || !v->members) {
		volume_free(v);
		err_nomem(e);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		v->members[i] = members[i]->device;
	set->volumes[set->nvolumes++] = v;
	return v;
}

int volume_add_failed(const struct volume_group *g, const char *name, const char *path,
	const struct err *why, struct err *e)
{
	struct volume *v = volume_add(g, name, path, g->members, g->n, e);

	if (!v)
		return -e->code;
	v->error = *why;
	return 0;
}

struct view *volume_member_view(const struct volume_member *m, struct err *e)
{
	return view_slice(m->device->view, 0, m->device->len, e);
}

struct volume_device *volume_add_device(
	struct volume_set *set, const struct volume_device *from, struct err *e)
{
	struct volume_device **devices = array_grow(set->devices, set->ndevices, sizeof devices[0]);
	struct volume_device *d = malloc(sizeof *d);

	if (devices)
		set->devices = devices;
	if (!devices || !d) {
		free(d);
		err_nomem(e);
		return NULL;
	}
	*d = *from;
	set->devices[set->ndevices++] = d;
	return d;
}

void volume_set_drop_views(struct volume_set *set)
{
	for (size_t i = 0; i < set->ndevices; i++) {
		view_free(set->devices[i]->view);
		set->devices[i]->view = NULL;
	}
}

struct volume_set *volume_set_ref(struct volume_set *set)
{
	atomic_fetch_add(&set->refs, 1);
	return set;
}

void volume_set_free(struct volume_set *set)
{
	if (!set || atomic_fetch_sub(&set->refs, 1) > 1)
		return;
	volume_set_drop_views(set);
	for (size_t i = 0; i < set->nvolumes; i++)
		volume_free(set->volumes[i]);
	for (size_t i = 0; i < set->ndevices; i++) {
		free(set->devices[i]->name);
		free(set->devices[i]->label);
		free(set->devices[i]);
	}
	free(set->volumes);
	free(set->devices);
	free(set);
}

/* Finding. */

const struct volume *volume_find(const struct volume_set *set, const char *name)
{
	for (size_t i = 0; i < set->nvolumes; i++) {
		const struct volume *v = set->volumes[i];

		if (strcmp(v->name, name) == 0 || (v->path && strcmp(v->path, name) == 0))
			return v;
	}
	return NULL;
}

const struct volume_device *volume_set_device(
	const struct volume_set *set, size_t disk, unsigned number)
{
	for (size_t i = 0; i < set->ndevices; i++) {
		const struct volume_device *d = set->devices[i];

		if (!d->volume && d->disk == disk && d->partition == number)
			return d;
	}
	return NULL;
}

bool volume_set_has_members(const struct volume_set *set)
{
	for (size_t i = 0; i < set->ndevices; i++)
		if (set->devices[i]->type)
			return true;
	return false;
}

const struct volume_device *volume_set_find_device(
	const struct volume_set *set, const struct volume *volume)
{
	for (size_t i = 0; i < set->ndevices; i++)
		if (set->devices[i]->volume == volume)
			return set->devices[i];
	return NULL;
}

bool volume_lies_on(const struct volume *v, const struct volume_device *d)
{
	for (size_t i = 0; i < v->nmembers; i++)
		if (v->members[i] == d ||
			(v->members[i]->volume && volume_lies_on(v->members[i]->volume, d)))
			return true;
	return false;
}

/* Does a device, also by volumes, lie on no other disk than *disk?  SIZE_MAX: on any one, which
 * *disk becomes. */
static bool lies_on_one_disk(const struct volume_device *d, size_t *disk)
{
	if (!d->volume) {
		if (*disk == SIZE_MAX)
			*disk = d->disk;
		return *disk == d->disk;
	}
	for (size_t i = 0; i < d->volume->nmembers; i++)
		if (!lies_on_one_disk(d->volume->members[i], disk))
			return false;
	return true;
}

/* One that is nothing but zeroes lies on no device. */
bool volume_spans_disks(const struct volume *volume)
{
	const struct volume_device device = {.volume = volume};
	size_t disk = SIZE_MAX;

	return !lies_on_one_disk(&device, &disk);
}

char *volume_partitions(const struct volume_set *set, const struct volume *volume)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < set->ndevices; i++)
		if (set->devices[i]->partition && volume_lies_on(volume, set->devices[i]))
			fprintf(f, "%s%u", ftell(f) > 0 ? " " : "", set->devices[i]->partition);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* Views. */

/* A part of a disk that can change, among others of a set: a stack has one writer, so what stands
 * on several disks only reads them, by the locks of each. */
struct other_disk {
	struct view view;
	struct io *io; /* the disk */
	uint64_t start;
};

static int other_disk_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct other_disk *o = (const struct other_disk *)v;

	(void)e;
	x->kind = EXTENT_FILE;
	x->io = o->io;
	x->pos = o->start + off;
	x->len = len;
	return 0;
}

static void other_disk_free(struct view *v)
{
	io_unref(((struct other_disk *)v)->io);
	free(v);
}

static struct view *other_disk_new(const struct volume_device *d, struct view *disk, struct err *e)
{
	static const struct view_ops ops = {.map = other_disk_map, .free = other_disk_free};
	struct other_disk *o = calloc(1, sizeof *o);

	if (o)
		o->io = io_from_view(disk, d->name, e);
	if (!o || !o->io) {
		free(o);
		err_nomem(e);
		return NULL;
	}
	o->view.ops = &ops;
	o->view.size = d->len;
	o->start = d->start;
	return &o->view;
}

struct view *volume_device_view(const struct volume_set *set, const struct volume_device *d,
	struct view *const *disks, struct err *e)
{
	if (d->volume)
		return volume_view(set, d->volume, disks, e);
	if (set->ndisks > 1 && disks[d->disk]->writer)
		return other_disk_new(d, disks[d->disk], e);
	return view_slice(disks[d->disk], d->start, d->len, e);
}

struct view *volume_view(const struct volume_set *set, const struct volume *volume,
	struct view *const *disks, struct err *e)
{
	struct view **members, *view = NULL;
	size_t n = 0;

	if (volume->error.code) {
		*e = volume->error;
		return NULL;
	}
	members = calloc(volume->nmembers, sizeof members[0]);
	if (!members) {
		err_nomem(e);
		return NULL;
	}
	while (n < volume->nmembers &&
		(members[n] = volume_device_view(set, volume->members[n], disks, e)))
		n++;
	if (n == volume->nmembers)
		view = volume->reader->view(volume, members, e);
	for (size_t i = 0; !view && i < n; i++)
		view_free(members[i]);
	free(members);
	return view;
}
