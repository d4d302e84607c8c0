/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* family.c - the search for a parent by its id.
 *
 * Names prove nothing here: a file is the parent when its own id says so, and then only if whoever
 * asked takes it.  Each file is opened by the policy, looked at without a lock, and counted.
 */
#include "family.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "chain.h"
#include "err.h"
#include "format.h"
#include "guid.h"
#include "home.h"
#include "image.h"
#include "io.h"
#include "machine.h"
#include "policy.h"

#define WHAT "backing file"
#define SNAPSHOTS                                                                                  \
	"Snapshots"    /* what VirtualBox calls the folder unless it is told another name          \
			*/
#define PLACES_MAX 400 /* bytes of a message */

struct search {
	struct image *img;
	struct homes *homes;
	family_take *take;
	void *arg;
	char **dirs; /* to be looked through, in this order */
	size_t ndirs;
	char *above; /* the machine's folder when the image is in that of its snapshots; or NULL */
	unsigned left; /* files that may still be opened */
	struct err e;  /* the first failure worth telling */
};

/* One file. */

/* Of formats that do not know their parent's id none is looked for. */
static const struct format *format_with_id(const char *name)
{
	const struct format *f = format_of_name(name);

	return f && f->check_parent ? f : NULL;
}

static bool has_the_id(const struct search *s, struct io *io, const char *format)
{
	struct opening how = opening_of_parent(s->img, format);
	struct image_options look = *s->img->opts;
	struct err e = ERR_INIT;
	struct image *img;
	bool same;

	look.nolock = true;
	look.warn = NULL;
	look.secrets = NULL; /* what is encrypted has no id */
	if (image_from_io(io_ref(io), &look, &how, &img, &e) < 0)
		return false;
	same = memcmp(img->id, s->img->parent_id, GUID_LEN) == 0;
	image_close(img);
	return same;
}

static void keep_error(struct search *s, const struct err *e)
{
	if (s->e.code == 0)
		s->e = *e;
}

/* 0: it is the parent and was taken. */
static int try_file(struct search *s, const char *path, struct err *e)
{
	const struct format *f = format_with_id(path);
	struct io *io;
	int r;

	if (s->left == 0)
		return -ENFILE;
	r = policy_open_kin(s->img, path, WHAT, &io, e);
	if (r < 0)
		return r;
	s->left--;
	/* Without a suffix that tells its format it is guessed at, and may lead no further. */
	if (!has_the_id(s, io, f ? f->name : NULL)) {
		io_unref(io);
		return -ENOENT;
	}
	r = s->take(s->arg, io, f ? f->name : NULL, e);
	if (r < 0)
		keep_error(s, e);
	return r;
}

static int try_in(struct search *s, const char *dir, const char *name)
{
	struct err e = ERR_INIT;
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		return -ENAMETOOLONG;
	return try_file(s, path, &e);
}

/* The ways to find it; each returns whether it did. */

/* That what the description names lies outside is worth telling: the user can let it in. */
static int try_registered(void *arg, const char *dir, const struct machine *m)
{
	struct search *s = arg;
	const struct machine_medium *medium = machine_find_medium(m, s->img->parent_id);
	struct err e = ERR_INIT;
	char path[PATH_MAX];
	bool absolute;
	int r;

	if (!medium)
		return false;
	absolute = medium->file[0] == '/';
	if (snprintf(path, sizeof path, "%s%s%s", absolute ? "" : dir, absolute ? "" : "/",
		    medium->file) >= (int)sizeof path)
		return false;
	r = try_file(s, path, &e);
	if (r == -EACCES) {
		err_in(&e, "%s", s->img->io->name);
		keep_error(s, &e);
	}
	return r == 0;
}

static bool find_registered(struct search *s)
{
	return homes_visit(s->homes, s->img->dir, NULL, try_registered, s) ||
	       (s->above && homes_visit(s->homes, s->above, NULL, try_registered, s));
}

/* "{UUID}.vdi", as VirtualBox calls the files of differences. */
static bool find_in_by_name(struct search *s, const char *dir)
{
	char uuid[GUID_TEXT], name[GUID_TEXT + 32];

	guid_text(uuid, s->img->parent_id);
	for (const struct format *const *f = formats; *f; f++)
		for (const char *const *suffix = (*f)->suffixes; (*f)->check_parent && *suffix;
			suffix++) {
			snprintf(name, sizeof name, "{%s}.%s", uuid, *suffix);
			if (try_in(s, dir, name) == 0)
				return true;
		}
	return false;
}

static int is_candidate(const struct dirent *d)
{
	return format_with_id(d->d_name) != NULL;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool find_in(struct search *s, const char *dir)
{
	struct dirent **list;
	int n = scandir(dir, &list, is_candidate, by_name);
	bool found = false;

	for (int i = 0; i < n; i++) {
		found = found || (s->left > 0 && try_in(s, dir, list[i]->d_name) == 0);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return found;
}

static bool find_in_each(struct search *s, bool (*find)(struct search *, const char *))
{
	for (size_t i = 0; i < s->ndirs; i++)
		if (find(s, s->dirs[i]))
			return true;
	return false;
}

/* Where to look. */

static int add_dir(struct search *s, const char *dir)
{
	char **dirs;

	for (size_t i = 0; i < s->ndirs; i++)
		if (strcmp(s->dirs[i], dir) == 0)
			return 0;
	dirs = reallocarray(s->dirs, s->ndirs + 1, sizeof *dirs);
	if (!dirs)
		return -ENOMEM;
	s->dirs = dirs;
	dirs[s->ndirs] = strdup(dir);
	return dirs[s->ndirs] ? (s->ndirs++, 0) : -ENOMEM;
}

static int add_dir_below(struct search *s, const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		return 0;
	return add_dir(s, path);
}

static int add_snapshots(void *arg, const char *dir, const struct machine *m)
{
	if (m->snapshot_dir[0] == '/')
		return 0;
	return add_dir_below(arg, dir, m->snapshot_dir);
}

static int add_list(struct search *s, const char *const *dirs)
{
	char real[PATH_MAX];
	int r = 0;

	for (; dirs && *dirs && r == 0; dirs++)
		if (realpath(*dirs, real))
			r = add_dir(s, real);
	return r;
}

static int find_places(struct search *s, struct err *e)
{
	struct image *img = s->img;
	int r = add_dir(s, img->dir);

	if (r == 0)
		r = add_dir_below(s, img->dir, SNAPSHOTS);
	if (r == 0)
		r = homes_visit(s->homes, img->dir, NULL, add_snapshots, s);
	s->above = homes_above(s->homes, img->dir);
	if (r == 0 && s->above)
		r = add_dir(s, s->above);
	if (r == 0)
		r = add_list(s, img->opts->search);
	if (r == 0)
		r = add_list(s, img->opts->allow);
	return r < 0 ? err_nomem(e) : 0;
}

/* The fence opens where it runs round a folder of snapshots: see policy.h. */
static int widen_fence(struct search *s, struct err *e)
{
	struct image *img = s->img;

	if (img->machine_dir || !s->above || strcmp(img->dir, img->root) != 0)
		return 0;
	img->machine_dir = strdup(s->above);
	return img->machine_dir ? 0 : err_nomem(e);
}

static int refuse_missing(const struct search *s, struct err *e)
{
	char places[PLACES_MAX] = "", uuid[GUID_TEXT];
	size_t n = 0;

	for (size_t i = 0; i < s->ndirs && n < sizeof places; i++)
		n += snprintf(places + n, sizeof places - n, "%s%s", i > 0 ? ", " : "", s->dirs[i]);
	guid_text(uuid, s->img->parent_id);
	return err_set(e, ENOENT, "%s: its parent {%s} was not found%s in %s%s", s->img->io->name,
		uuid, s->left == 0 ? " among the first images" : "", places,
		n >= sizeof places ? "..." : "");
}

static bool found(struct search *s)
{
	return find_registered(s) || find_in_each(s, find_in_by_name) || find_in_each(s, find_in);
}

int family_find(struct image *img, struct homes *homes, family_take *take, void *arg, struct err *e)
{
	struct search s = {
		.img = img,
		.homes = homes,
		.take = take,
		.arg = arg,
		.left = FAMILY_MAX_FILES,
	};
	int r;

	if (!img->dir)
		return err_set(e, ENOENT, "%s: it has a parent, but is not a file with neighbours",
			img->io->name);
	r = find_places(&s, e);
	if (r == 0)
		r = widen_fence(&s, e);
	if (r == 0 && !found(&s)) {
		*e = s.e;
		r = s.e.code ? -s.e.code : refuse_missing(&s, e);
	}
	for (size_t i = 0; i < s.ndirs; i++)
		free(s.dirs[i]);
	free(s.dirs);
	free(s.above);
	return r;
}

/* Is it the one? */

int family_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	char wanted[GUID_TEXT], other[GUID_TEXT];
	const unsigned char *change = img->parent_change_id;

	if (memcmp(img->parent_id, parent->id, GUID_LEN) != 0) {
		guid_text(wanted, img->parent_id);
		guid_text(other, parent->id);
		err_set(e, EUCLEAN, "%s: it was made on the disk %s, but %s is %s", img->io->name,
			wanted, parent->io->name, other);
		return err_hint(e, "-o ignore_parent_id takes it all the same");
	}
	if (guid_is_zero(change) || guid_is_zero(parent->change_id) ||
		memcmp(change, parent->change_id, GUID_LEN) == 0)
		return 0;
	err_set(e, EUCLEAN, "%s: its parent %s was changed after the image was made", img->io->name,
		parent->io->name);
	return err_hint(e, "-o ignore_parent_id takes it all the same");
}

struct check {
	const struct image *img;
	struct err *e;
};

static int check_medium(void *arg, const char *dir, const struct machine *m)
{
	const struct check *c = arg;
	const struct machine_medium *medium = machine_find_medium(m, c->img->id);

	if (!medium || !medium->refusal)
		return 0;
	return err_set(c->e, ENOTSUP, "%s: %s, says the machine \"%s\" in %s", c->img->io->name,
		medium->refusal, m->name, dir);
}

int family_check_image(const struct image *img, struct homes *homes, struct err *e)
{
	struct check c = {.img = img, .e = e};
	char *above;
	int r;

	if (!img->dir || guid_is_zero(img->id))
		return 0;
	r = homes_visit(homes, img->dir, img, check_medium, &c);
	above = homes_above(homes, img->dir);
	if (r == 0 && above)
		r = homes_visit(homes, above, img, check_medium, &c);
	free(above);
	return r;
}
