/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* discover.c - finds the volumes of disks.
 *
 * Each device is tried by the readers once.  Members are sorted into groups, and a group that is
 * complete makes its volumes, which are devices in turn.  When nothing new is found any more, a
 * group that misses a member has to do without, one after the other, since its volumes may hold
 * members of others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/limits.h"
#include "partition/partition.h"
#include "view/view.h"
#include "reader.h"
#include "set.h"

struct group {
	struct volume_group g;
	char id[VOLUME_ID]; /* "": each member is one, or they do not know theirs */
	size_t tried;       /* members that it was assembled of without success */
	bool done;
};

struct discovery {
	struct volume_set *set;
	struct view **disks;
	const struct image_options *how;
	struct group **groups;
	size_t ngroups;
	uint64_t stack; /* of all volumes together */
	size_t probed;  /* devices */
	size_t entered; /* volumes that became devices, or cannot */
};

/* Devices. */

static int add_device(struct discovery *d, const struct volume_device *from, struct err *e)
{
	struct volume_device device = *from, *new;

	if (!device.name)
		return err_nomem(e);
	device.view = volume_device_view(d->set, &device, d->disks, e);
	if (!device.view) {
		free(device.name);
		return -e->code;
	}
	new = volume_add_device(d->set, &device, e);
	if (new)
		return 0;
	view_free(device.view);
	free(device.name);
	return -e->code;
}

/* The name of a disk or, if partition is not 0, of one of its partitions. */
static char *device_name(
	const struct discovery *d, size_t i, const struct volume_disk *disk, unsigned partition)
{
	char *name, number[32];
	const char *own = disk->name;
	int n;

	snprintf(number, sizeof number, "disk %zu", i + 1);
	if (!own && d->set->ndisks > 1)
		own = number;
	if (partition)
		n = asprintf(&name, "%s%spartition %u", own ? own : "", own ? ", " : "", partition);
	else
		n = asprintf(&name, "%s", own ? own : "the disk");
	return n < 0 ? NULL : name;
}

/* The partitions of a disk, or the disk as a whole if it has none. */
static int add_disk(struct discovery *d, size_t i, const struct volume_disk *disk, struct err *e)
{
	const struct partition_table *table = disk->table;
	struct volume_device device = {.disk = i, .len = d->disks[i]->size, .stack = 1};
	int r = 0;

	device.name = device_name(d, i, disk, 0);
	if (table->n == 0)
		return add_device(d, &device, e);
	free(device.name);
	for (size_t k = 0; r == 0 && k < table->n; k++) {
		device.partition = table->parts[k].number;
		device.start = table->parts[k].start;
		device.len = table->parts[k].len;
		device.partuuid = table->parts[k].partuuid;
		device.name = device_name(d, i, disk, device.partition);
		r = add_device(d, &device, e);
	}
	return r;
}

/* A volume can be written only if all that it lies on can. */
static const char *why_no_writing(const struct volume *v)
{
	const char *why = v->no_writing;

	for (size_t i = 0; i < v->nmembers && !why; i++)
		if (v->members[i]->volume)
			why = v->members[i]->volume->no_writing;
	return !why && volume_spans_disks(v) ? "it lies on several disks" : why;
}

static int add_volume(struct discovery *d, struct volume *v, struct err *e)
{
	struct volume_device device = {.volume = v, .len = v->size, .stack = 1};
	int r;

	for (size_t i = 0; i < v->nmembers; i++) {
		device.depth = MAX(device.depth, v->members[i]->depth + 1);
		device.stack += v->members[i]->stack;
	}
	if (device.depth > VOLUME_MAX_DEPTH || device.stack > VOLUME_MAX_STACK) {
		err_set(&v->error, ENOTSUP,
			"it lies on %u devices, %u deep; at most %u and %u are supported",
			device.stack - 1, device.depth, VOLUME_MAX_STACK, VOLUME_MAX_DEPTH);
		return 0;
	}
	d->stack += device.stack;
	if (d->stack > VOLUME_MAX_ALL_STACKS) {
		err_set(&v->error, ENOTSUP, "the volumes before it lie on more than %u devices",
			VOLUME_MAX_ALL_STACKS);
		return 0;
	}
	if (asprintf(&device.name, "volume %s", v->name) < 0)
		device.name = NULL;
	v->no_writing = why_no_writing(v);
	r = add_device(d, &device, e);
	if (r == 0 || r == -ENOMEM)
		return r;
	v->error = *e;
	*e = (struct err)ERR_INIT;
	return 0;
}

/* Members. */

static void member_free(const struct volume_reader *reader, struct volume_member *m)
{
	if (m->priv)
		(reader->free_member ? reader->free_member : free)(m->priv);
	free(m);
}

static struct group *find_group(
	const struct discovery *d, const struct volume_reader *reader, const char *id)
{
	for (size_t i = 0; i < d->ngroups; i++)
		if (d->groups[i]->g.reader == reader && !reader->alone &&
			strcmp(d->groups[i]->id, id) == 0)
			return d->groups[i];
	return NULL;
}

static bool is_unassigned(const struct group *g)
{
	return !g->g.reader->alone && g->id[0] == '\0';
}

static struct group *add_group(
	struct discovery *d, const struct volume_reader *reader, const char *id)
{
	struct group **groups = array_grow(d->groups, d->ngroups, sizeof groups[0]);
	struct group *g = calloc(1, sizeof *g);

	if (groups)
		d->groups = groups;
	if (!groups || !g) {
		free(g);
		return NULL;
	}
	g->g = (struct volume_group){.reader = reader, .how = d->how, .set = d->set};
	snprintf(g->id, sizeof g->id, "%s", id);
	d->groups[d->ngroups++] = g;
	return g;
}

/* Takes m on success.  A member of a group that has made its volumes already makes no others: it
 * lies on one of them, or nothing can be done with it. */
static int add_member(struct discovery *d, const struct volume_reader *reader,
	struct volume_member *m, struct err *e)
{
	struct group *g = find_group(d, reader, m->device->group);
	struct volume_member **members;

	if (!g)
		g = add_group(d, reader, m->device->group);
	members = g ? array_grow(g->g.members, g->g.n, sizeof members[0]) : NULL;
	if (!members)
		return err_nomem(e);
	g->g.members = members;
	members[g->g.n++] = m;
	return 0;
}

/* A damaged member has a volume that says so. */
static int add_damaged(struct discovery *d, const struct volume_reader *reader,
	struct volume_member *m, const struct err *why, struct err *e)
{
	const struct volume_group g = {
		.reader = reader, .members = &m, .n = 1, .how = d->how, .set = d->set};
	char *name;
	int r;

	if (asprintf(&name, "%s-%s", reader->kind, m->device->name) < 0)
		return err_nomem(e);
	for (char *p = name; *p; p++)
		if (*p == ' ')
			*p = '-';
	r = volume_add_failed(&g, name, NULL, why, e);
	free(name);
	return r;
}

static int probe(struct discovery *d, struct volume_device *device, struct err *e)
{
	struct volume_member *m = calloc(1, sizeof *m);
	const struct volume_reader *reader = NULL;
	struct err why = ERR_INIT;
	int r = 0;

	if (!m)
		return err_nomem(e);
	m->device = device;
	m->how = d->how;
	for (size_t i = 0; r == 0 && volume_readers[i]; i++) {
		reader = volume_readers[i];
		r = reader->probe(m, &why);
	}
	if (r != 0)
		device->type = reader->type;
	if (r == 1) {
		r = add_member(d, reader, m, e);
		if (r == 0)
			return 0;
	} else if (r == -ENOMEM) {
		err_nomem(e);
	} else if (r < 0) {
		r = add_damaged(d, reader, m, &why, e);
	}
	member_free(reader, m);
	return r;
}

/* Groups. */

static int assemble(const struct discovery *d, struct group *g, bool last, struct err *e)
{
	const struct group *unassigned = find_group(d, g->g.reader, "");
	size_t n = g->g.n;
	int r;

	g->g.unassigned = unassigned && unassigned != g ? &unassigned->g : NULL;
	n += g->g.unassigned ? g->g.unassigned->n : 0;
	if (!last && n == g->tried)
		return 0; /* it would miss the same member */
	g->tried = n;
	r = g->g.reader->assemble(&g->g, last, e);
	g->done = r != -EAGAIN;
	return g->done ? r : 0;
}

/* Makes devices of the volumes that were added. */
static int enter_volumes(struct discovery *d, struct err *e)
{
	int r = 0;

	for (; r == 0 && d->entered < d->set->nvolumes; d->entered++)
		if (!d->set->volumes[d->entered]->error.code)
			r = add_volume(d, d->set->volumes[d->entered], e);
	return r;
}

static int probe_new(struct discovery *d, struct err *e)
{
	int r = 0;

	for (; r == 0 && d->probed < d->set->ndevices; d->probed++)
		r = probe(d, d->set->devices[d->probed], e);
	return r;
}

/* The first group, in the order of the readers, that waits for a member; members that do not know
 * their group come last. */
static struct group *find_waiting(const struct discovery *d)
{
	struct group *last = NULL;

	for (size_t k = 0; volume_readers[k]; k++)
		for (size_t i = 0; i < d->ngroups; i++) {
			struct group *g = d->groups[i];

			if (g->done || g->g.reader != volume_readers[k])
				continue;
			if (!is_unassigned(g))
				return g;
			last = g;
		}
	return last;
}

static int discover(struct discovery *d, struct err *e)
{
	struct group *waiting;
	int r;

	do {
		r = probe_new(d, e);
		for (size_t i = 0; r == 0 && i < d->ngroups; i++)
			if (!d->groups[i]->done && !is_unassigned(d->groups[i]))
				r = assemble(d, d->groups[i], false, e);
		if (r == 0)
			r = enter_volumes(d, e);
		if (r < 0 || d->probed < d->set->ndevices)
			continue;
		waiting = find_waiting(d);
		if (!waiting)
			break;
		r = assemble(d, waiting, true, e);
		if (r == 0)
			r = enter_volumes(d, e);
	} while (r == 0);
	return r;
}

static void end(struct discovery *d)
{
	for (size_t i = 0; i < d->ngroups; i++) {
		struct volume_group *g = &d->groups[i]->g;

		for (size_t k = 0; k < g->n; k++)
			member_free(g->reader, g->members[k]);
		free(g->members);
		free(d->groups[i]);
	}
	free(d->groups);
	free(d->disks);
	volume_set_drop_views(d->set);
}

/* Begins with the disks and their partitions. */
static int begin(struct discovery *d, const struct volume_disk *disks, size_t n, struct err *e)
{
	int r = 0;

	d->set = calloc(1, sizeof *d->set);
	d->disks = calloc(n, sizeof d->disks[0]);
	if (!d->set || !d->disks)
		return err_nomem(e);
	atomic_init(&d->set->refs, 1);
	d->set->ndisks = n;
	for (size_t i = 0; i < n; i++)
		d->disks[i] = disks[i].view;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_disk(d, i, &disks[i], e);
	return r;
}

static int read_set(struct discovery *d, const struct volume_disk *disks, size_t n,
	int (*read)(struct discovery *d, struct err *e), struct volume_set **set, struct err *e)
{
	int r = begin(d, disks, n, e);

	if (r == 0)
		r = read(d, e);
	if (d->set)
		end(d);
	if (r < 0)
		volume_set_free(d->set);
	else
		*set = d->set;
	return r;
}

int volume_set_read(const struct volume_disk *disks, size_t n, const struct image_options *how,
	struct volume_set **set, struct err *e)
{
	struct discovery d = {.how = how};

	return read_set(&d, disks, n, discover, set, e);
}

int volume_set_probe(const struct volume_disk *disks, size_t n, const struct image_options *how,
	struct volume_set **set, struct err *e)
{
	struct discovery d = {.how = how};

	return read_set(&d, disks, n, probe_new, set, e);
}
