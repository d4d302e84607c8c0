/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent-search.c - the search for a parent by its id.
 *
 * Names prove nothing here: a file is the parent when its own id is the recorded one, and then
 * only if the caller takes it.  Each file is opened through the gate of the child, without a lock,
 * and counted.
 */
#include "parent-search.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "opening.h"
#include "util/err.h"
#include "image/format.h"
#include "registry.h"
#include "util/guid.h"
#include "util/text.h"
#include "vbox-registry.h"
#include "io/host.h"
#include "image/image.h"
#include "io/io.h"
#include "machine/machine.h"
#include "parent-places.h"

#define WHAT       "backing file"
#define PLACES_MAX 400 /* bytes of a message */

struct id_search {
	const struct image *top; /* of the chain that ends with img */
	struct image *img;
	struct vbox_registry *machines;
	parent_search_take *take;
	void *arg;
	struct parent_places places;
	unsigned left;   /* files that may still be opened */
	struct io *only; /* the one candidate so far where several would be too many, held */
	struct err e;    /* the first error to report */
};

/* One file. */

enum match {
	NO_MATCH,
	MATCH, /* the recorded id of the parent is that of the image */
	NO_ID, /* the image has none that could match */
};

static enum match compare(const struct id_search *s, struct io *io, const char *format)
{
	struct opening how = opening_of_parent(s->img, format);
	struct image_options look = *s->img->opts;
	enum match match = NO_MATCH;
	struct err e = ERR_INIT;
	struct image *img;

	look.nolock = true;
	look.warn = NULL;
	look.secrets = NULL; /* an encrypted image has no id */
	if (opening_run(&how, io_ref(io), &look, &img, &e) < 0)
		return NO_MATCH;
	if (s->img->format->knows_parent(s->img, img))
		match = MATCH;
	else if (guid_is_zero(img->id))
		match = NO_ID;
	image_close(img);
	return match;
}

/* Without a UUID the parent is known by 32 bits, VMware's content ID, which copies of it share
 * until one is written to: a second file that matches makes the first one doubtful. */
static int keep_only(struct id_search *s, struct io *io, struct err *e)
{
	bool is_new = !image_chain_has(s->top, io);

	if (is_new && !s->only) {
		s->only = io;
		return -ENOENT;
	}
	if (is_new && !io_is_same(s->only, io) && s->e.code == 0) {
		err_set(&s->e, EINVAL, "%s: both %s and %s could be its parent", s->img->io->name,
			s->only->name, io->name);
		err_hint(&s->e, "call the right one \"%s\", as the image does",
			text_last_part(s->img->parent_name, "/\\"));
	}
	io_unref(io);
	return err_set(e, ENOENT, "one of several");
}

static void keep_error(struct id_search *s, const struct err *e)
{
	if (s->e.code == 0)
		s->e = *e;
}

/* Takes io, also on failure.  vouched: a description names this file as the parent.  0: it is the
 * parent, and was taken. */
static int try_io(
	struct id_search *s, struct io *io, const char *format, bool vouched, struct err *e)
{
	enum match match = compare(s, io, format);
	int r;

	if (match != MATCH && !(match == NO_ID && vouched)) {
		io_unref(io);
		return -ENOENT;
	}
	if (guid_is_zero(s->img->parent_id))
		return keep_only(s, io, e);
	r = s->take(s->arg, io, format, match == NO_ID, e);
	if (r < 0)
		keep_error(s, e);
	return r;
}

/* A file without the suffix of a format is probed, and may name no other file. */
static bool try_path(void *arg, const char *path)
{
	struct id_search *s = arg;
	struct err e = ERR_INIT;
	struct io *io;

	if (s->left == 0 || gate_open_parent(&s->img->gate, path, WHAT, &io, &e) < 0)
		return false;
	s->left--;
	return try_io(s, io, parent_places_format(path), false, &e) == 0;
}

/* The ways to find the parent; each returns whether it was found. */

/* Files of formats without ids, raw above all, are identified by the description alone, as they are
 * for VirtualBox.  A description in the directory of the image may vouch only for a file that the
 * image could name itself, since both may have the same author. */
static int try_medium(struct id_search *s, const char *path, const struct machine_medium *medium,
	bool is_above, struct err *e)
{
	const char *format = medium->is_raw ? "raw" : parent_places_format(path);
	bool vouched = true;
	struct io *io;
	int r;

	if (s->left == 0)
		return -ENFILE;
	r = gate_open(&s->img->gate, path, WHAT, &io, e);
	if (r == -EACCES) {
		vouched = is_above;
		r = gate_open_parent(&s->img->gate, path, WHAT, &io, e);
	}
	if (r < 0)
		return r;
	s->left--;
	return try_io(s, io, format, vouched, e);
}

/* A file without an id is searched for by its name, in the directories of the user. */
static bool find_moved(struct id_search *s, const struct machine_medium *medium, bool is_above)
{
	char path[PATH_MAX];

	for (const char *const *dir = s->img->opts->search; dir && *dir; dir++) {
		struct err e = ERR_INIT;
		char real[PATH_MAX];

		if (host_realpath(*dir, real) &&
			snprintf(path, sizeof path, "%s/%s", real, text_basename(medium->file)) <
				(int)sizeof path &&
			try_medium(s, path, medium, is_above, &e) == 0)
			return true;
	}
	return false;
}

/* A file that lies outside is reported: the user can allow it. */
static int try_registered(void *arg, const char *dir, const struct machine *m)
{
	struct id_search *s = arg;
	const struct machine_medium *medium = machine_find_medium(m, s->img->parent_id);
	bool is_above = s->places.above && strcmp(dir, s->places.above) == 0, absolute;
	struct err e = ERR_INIT;
	char path[PATH_MAX];
	int r;

	if (!medium)
		return false;
	absolute = medium->file[0] == '/';
	if (snprintf(path, sizeof path, "%s%s%s", absolute ? "" : dir, absolute ? "" : "/",
		    medium->file) >= (int)sizeof path)
		return false;
	r = try_medium(s, path, medium, is_above, &e);
	if (r == -EACCES) {
		err_in(&e, "%s", s->img->io->name);
		keep_error(s, &e);
	}
	return r == 0 || find_moved(s, medium, is_above);
}

static bool find_registered(struct id_search *s)
{
	return vbox_registry_visit(s->machines, image_dir(s->img), NULL, try_registered, s) ||
	       (s->places.above &&
		       vbox_registry_visit(s->machines, s->places.above, NULL, try_registered, s));
}

/* "{UUID}.vdi", as VirtualBox names differencing images. */
static bool find_named_by_id(struct id_search *s, const char *dir)
{
	char uuid[GUID_TEXT], path[PATH_MAX];

	guid_text(uuid, s->img->parent_id);
	for (const struct format *const *f = registry; *f; f++)
		for (const char *const *suffix = (*f)->suffixes; (*f)->knows_parent && *suffix;
			suffix++)
			if (snprintf(path, sizeof path, "%s/{%s}.%s", dir, uuid, *suffix) <
					(int)sizeof path &&
				try_path(s, path))
				return true;
	return false;
}

/* See io/gate.h. */
static int allow_machine_dir(struct id_search *s, struct err *e)
{
	struct gate *g = &s->img->gate;

	if (g->machine_dir || !s->places.above || strcmp(g->dir, g->root) != 0)
		return 0;
	g->machine_dir = strdup(s->places.above);
	return g->machine_dir ? 0 : err_nomem(e);
}

static int refuse_missing(const struct id_search *s, struct err *e)
{
	char places[PLACES_MAX] = "", uuid[GUID_TEXT];
	size_t n = 0;

	for (size_t i = 0; i < s->places.dirs.n && n < sizeof places; i++)
		n += snprintf(places + n, sizeof places - n, "%s%s", i > 0 ? ", " : "",
			s->places.dirs.v[i]);
	guid_text(uuid, s->img->parent_id);
	return err_set(e, ENOENT, "%s: its parent {%s} was not found%s in %s%s", s->img->io->name,
		uuid, s->left == 0 ? " among the first images" : "", places,
		n >= sizeof places ? "..." : "");
}

static bool find(struct id_search *s)
{
	if (!guid_is_zero(s->img->parent_id)) {
		if (find_registered(s))
			return true;
		for (size_t i = 0; i < s->places.dirs.n; i++)
			if (find_named_by_id(s, s->places.dirs.v[i]))
				return true;
	}
	return parent_places_visit(&s->places, try_path, s);
}

/* Takes the only candidate, after the whole search. */
static bool take_only(struct id_search *s)
{
	struct err e = ERR_INIT;
	struct io *io = s->only;

	if (!io || s->e.code)
		return false;
	s->only = NULL;
	image_warn(s->img, "its parent \"%s\" is missing; %s has the content ID of it",
		s->img->parent_name, io->name);
	if (s->take(s->arg, io, parent_places_format(io->name), false, &e) == 0)
		return true;
	keep_error(s, &e);
	return false;
}

int parent_search_find(const struct image *top, struct image *img, struct vbox_registry *machines,
	parent_search_take *take, void *arg, struct err *e)
{
	struct id_search s = {
		.top = top,
		.img = img,
		.machines = machines,
		.take = take,
		.arg = arg,
		.left = PARENT_SEARCH_MAX_FILES,
	};
	int r;

	if (!image_dir(img))
		return err_set(e, ENOENT, "%s: it has a parent, but is not a file with neighbours",
			img->io->name);
	r = parent_places_find(
		&s.places, image_dir(img), !guid_is_zero(img->parent_id), machines, img->opts);
	r = r < 0 ? err_nomem(e) : allow_machine_dir(&s, e);
	if (r == 0 && !find(&s) && !take_only(&s)) {
		*e = s.e;
		r = s.e.code ? -s.e.code : refuse_missing(&s, e);
	}
	io_unref(s.only);
	parent_places_free(&s.places);
	return r;
}

struct medium_check {
	const struct image *img;
	struct err *e;
};

static int check_medium(void *arg, const char *dir, const struct machine *m)
{
	const struct medium_check *c = arg;
	const struct machine_medium *medium = machine_find_medium(m, c->img->id);

	if (!medium || !medium->refusal)
		return 0;
	return err_set(c->e, ENOTSUP, "%s: %s, according to the machine \"%s\" in %s",
		c->img->io->name, medium->refusal, m->name, dir);
}

int parent_search_check_image(
	const struct image *img, struct vbox_registry *machines, struct err *e)
{
	struct medium_check c = {.img = img, .e = e};
	char *above;
	int r;

	if (!image_dir(img) || guid_is_zero(img->id))
		return 0;
	r = vbox_registry_visit(machines, image_dir(img), img, check_medium, &c);
	above = vbox_registry_above(machines, image_dir(img));
	if (r == 0 && above)
		r = vbox_registry_visit(machines, above, img, check_medium, &c);
	free(above);
	return r;
}
