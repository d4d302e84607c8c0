/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* md.c - arrays of Linux md: which members make an array.
 *
 * Superblocks count the changes of the array (events).  A member that was left out of it stays
 * behind, and the newest superblock has it as faulty.  As the kernel does, one that is a single
 * change behind is taken, since all superblocks are never written at once.
 */
#include "md.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "volume/reader.h"
#include "array.h"
#include "super.h"

static int md_probe(struct volume_member *m, struct err *e)
{
	struct volume_device *device = m->device;
	struct md_super *s;
	int r = md_super_read(device->view, &s, e);

	if (r != 1)
		return r;
	m->priv = s;
	snprintf(device->group, sizeof device->group, "%s", s->uuid);
	snprintf(device->id, sizeof device->id, "%s", s->id);
	if (s->name[0] == '\0')
		return 1;
	device->label = strdup(s->name);
	return device->label ? 1 : err_nomem(e);
}

/* Names. */

/* The part of a name after the host, or the UUID. */
static char *array_name(const struct md_super *s)
{
	const char *colon = strchr(s->name, ':'), *name = colon ? colon + 1 : s->name;
	char *text;
	int n;

	if (strcmp(s->version, "0.90") == 0)
		n = asprintf(&text, "md-%" PRIu32, s->minor);
	else
		n = asprintf(&text, "md-%s", *name ? name : s->uuid);
	return n < 0 ? NULL : text;
}

/* As below /dev. */
static char *array_path(const char *name)
{
	char *path = strdup(name);

	if (path)
		path[2] = '/';
	return path;
}

/* Members. */

/* A group while it is assembled. */
struct assembly {
	const struct volume_group *g;
	const struct md_super *newest;
	size_t n;                       /* places */
	struct volume_member **members; /* by their place; NULL: missing */
	const struct md_super **supers; /* of these */
	const char **why;               /* for each member of the group: why it is left out */
};

static const struct md_super *super_of(const struct volume_member *m)
{
	return m->priv;
}

static bool has_place(const struct md_super *s)
{
	return s->role < MD_ROLE_MAX;
}

/* The superblock of a member with a place; of another one if there is none. */
static const struct md_super *find_newest(const struct volume_group *g)
{
	const struct md_super *newest = super_of(g->members[0]);

	for (size_t i = 1; i < g->n; i++) {
		const struct md_super *s = super_of(g->members[i]);

		if (has_place(s) != has_place(newest) ? has_place(s) : s->events > newest->events)
			newest = s;
	}
	return newest;
}

static bool agree(const struct md_super *a, const struct md_super *b)
{
	return a->level == b->level && a->layout == b->layout && a->chunk == b->chunk &&
	       a->n == b->n && a->used == b->used && strcmp(a->version, b->version) == 0;
}

/* Has a the role of b as b has it? */
static bool knows(const struct md_super *a, const struct md_super *b)
{
	return b->number < a->nroles && a->roles[b->number] == b->role;
}

/* NULL: it can be read. */
static const char *why_not(const struct assembly *a, const struct md_super *s)
{
	const struct md_super *newest = a->newest;

	if (s->role == MD_ROLE_JOURNAL)
		return "it is a journal";
	if (s->role == MD_ROLE_FAULTY)
		return "it is faulty";
	if (!has_place(s))
		return "it is a spare";
	if (s->events + 1 < newest->events)
		return "it is older than the array";
	if (!agree(newest, s))
		return "its superblock disagrees with the newest one";
	if (!knows(newest, s))
		return "the newest superblock has another role for it";
	if (!knows(s, newest))
		return "it takes the newest member for faulty";
	if (s->role >= a->n)
		return "it has no place in the array";
	if (s->refused[0])
		return s->refused;
	return s->fault[0] ? s->fault : NULL;
}

/* One of two members with the same place can be the replacement of the other. */
static int take_place(struct assembly *a, size_t i, struct err *e)
{
	struct volume_member *m = a->g->members[i];
	const struct md_super *s = super_of(m), *other = a->supers[s->role];

	if (other && other->replacement == s->replacement)
		return err_set(e, EUCLEAN, "%s and %s have the same place, %u",
			a->members[s->role]->device->name, m->device->name, s->role);
	if (other && s->replacement)
		return 0;
	a->members[s->role] = m;
	a->supers[s->role] = s;
	return 0;
}

static int take_places(struct assembly *a, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->g->n; i++) {
		a->why[i] = why_not(a, super_of(a->g->members[i]));
		if (!a->why[i])
			r = take_place(a, i, e);
	}
	return r;
}

static bool is_full(const struct assembly *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->supers[i])
			return false;
	return true;
}

/* Adds the members that are left out to an error. */
static void explain(const struct assembly *a, struct err *e)
{
	char text[ERR_TEXT];

	for (size_t i = 0; i < a->g->n; i++) {
		if (!a->why[i])
			continue;
		snprintf(text, sizeof text, "%s", e->text);
		err_set(e, e->code, "%s; %s: %s", text, a->g->members[i]->device->name, a->why[i]);
	}
}

/* Volumes. */

/* Adds the volume; array becomes its own. */
static int add_volume(const struct assembly *a, const char *name, const char *path,
	struct md_array *array, struct err *e)
{
	struct volume_member **present = calloc(a->n, sizeof present[0]);
	struct volume *v;
	size_t n = 0;

	if (!present)
		return err_nomem(e);
	for (size_t i = 0; i < a->n; i++)
		if (a->members[i])
			present[n++] = a->members[i];
	v = volume_add(a->g, name, path, present, n, e);
	free(present);
	if (!v)
		return -e->code;
	v->mapping = array;
	v->size = md_array_size(array);
	v->no_writing = "arrays of md can only be read";
	snprintf(v->uuid, sizeof v->uuid, "%s", a->newest->uuid);
	md_array_name(a->newest, array, v->layout, sizeof v->layout);
	return 0;
}

static int add_array(struct assembly *a, const char *name, const char *path, struct err *e)
{
	struct md_array *array;
	struct err why = ERR_INIT;
	int r = md_array_new(a->newest, a->supers, &array, &why);

	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0) {
		explain(a, &why);
		return volume_add_failed(a->g, name, path, &why, e);
	}
	r = add_volume(a, name, path, array, e);
	if (r < 0)
		md_array_free(array);
	return r;
}

static int check_array(const struct md_super *newest, struct err *e)
{
	static const int known[] = {MD_LINEAR, 0, 1, 4, 5, 6, 10};
	bool is_known = false;

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		is_known |= newest->level == known[i];
	if (newest->refused[0])
		return err_set(e, ENOTSUP, "%s", newest->refused);
	if (!is_known)
		return err_set(e, ENOTSUP, "level %" PRId32 " is not supported", newest->level);
	if (newest->n == 0 || newest->n > RAID_MAX_MEMBERS)
		return err_set(e, EUCLEAN, "an array of %" PRIu32 " members", newest->n);
	return 0;
}

static int try_assembly(
	struct assembly *a, bool last, const char *name, const char *path, struct err *e)
{
	struct err why = ERR_INIT;
	int r = check_array(a->newest, &why);

	if (r == 0) {
		a->n = a->newest->n;
		r = take_places(a, &why);
	}
	if (!last && (r < 0 || !is_full(a)))
		return -EAGAIN;
	return r < 0 ? volume_add_failed(a->g, name, path, &why, e) : add_array(a, name, path, e);
}

static int md_assemble(const struct volume_group *g, bool last, struct err *e)
{
	struct assembly a = {.g = g, .newest = find_newest(g)};
	char *name = array_name(a.newest), *path = name ? array_path(name) : NULL;
	int r = -ENOMEM;

	a.members = calloc(RAID_MAX_MEMBERS, sizeof a.members[0]);
	a.supers = calloc(RAID_MAX_MEMBERS, sizeof a.supers[0]);
	a.why = calloc(g->n, sizeof a.why[0]);
	if (path && a.members && a.supers && a.why)
		r = try_assembly(&a, last, name, path, e);
	else
		err_nomem(e);
	free(a.members);
	free(a.supers);
	free(a.why);
	free(name);
	free(path);
	return r;
}

static struct view *md_view(const struct volume *v, struct view **members, struct err *e)
{
	return md_array_view(v->mapping, members, v->nmembers, e);
}

static void md_free_mapping(void *mapping)
{
	md_array_free(mapping);
}

const struct volume_reader md_reader = {
	.kind = "md",
	.type = "linux_raid_member",
	.probe = md_probe,
	.assemble = md_assemble,
	.view = md_view,
	.free_mapping = md_free_mapping,
};
