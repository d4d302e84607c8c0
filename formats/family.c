/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* family.c - the search for a parent by its id.
 *
 * Names prove nothing here: a file is the parent when its own id says so, and then only if whoever
 * asked takes it.  Each file is opened by the policy, looked at without a lock, and counted.
 */
#include "family.h"

#include <dirent.h>
#include <errno.h>
#include <fts.h>
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
	const struct image *top; /* of the chain that ends with img */
	struct image *img;
	struct homes *homes;
	family_take *take;
	void *arg;
	char **dirs; /* to be looked through, in this order */
	size_t ndirs;
	char *above; /* the machine's folder when the image is in that of its snapshots; or NULL */
	unsigned left;    /* files that may still be opened */
	unsigned entries; /* of directories below those of the user, that may still be read */
	struct io *only;  /* the one candidate so far where several would be too many, held */
	struct err e;     /* the first failure worth telling */
};

/* One file. */

/* Of formats that do not know their parent's id none is looked for. */
static const struct format *format_with_id(const char *name)
{
	const struct format *f = format_of_name(name);

	return f && f->knows_parent ? f : NULL;
}

enum kinship {
	NO_KIN,
	KIN,       /* what the child records of its parent fits it */
	ANONYMOUS, /* it has no id that anything could fit */
};

static enum kinship look_at(const struct search *s, struct io *io, const char *format)
{
	struct opening how = opening_of_parent(s->img, format);
	struct image_options look = *s->img->opts;
	struct err e = ERR_INIT;
	enum kinship kinship;
	struct image *img;

	look.nolock = true;
	look.warn = NULL;
	look.secrets = NULL; /* what is encrypted has no id */
	if (image_from_io(io_ref(io), &look, &how, &img, &e) < 0)
		return NO_KIN;
	kinship = s->img->format->knows_parent(s->img, img) ? KIN
		  : guid_is_zero(img->id)                   ? ANONYMOUS
							    : NO_KIN;
	image_close(img);
	return kinship;
}

static bool is_in_chain(const struct search *s, const struct io *io)
{
	for (const struct image *i = s->top; i; i = i->parent)
		if (io_is_same(i->io, io))
			return true;
	return false;
}

/* Without a UUID the parent is known by 32 bits, VMware's content ID, which copies of it share
 * until one is written to: a second file that fits makes the first one doubtful. */
static int keep_only(struct search *s, struct io *io, struct err *e)
{
	if (!s->only && !is_in_chain(s, io)) {
		s->only = io;
		return -ENOENT;
	}
	if (!is_in_chain(s, io) && !io_is_same(s->only, io) && s->e.code == 0) {
		err_set(&s->e, EINVAL, "%s: both %s and %s could be its parent", s->img->io->name,
			s->only->name, io->name);
		err_hint(&s->e, "give the right one the name that the image has for it, \"%s\"",
			s->img->parent_name);
	}
	io_unref(io);
	return err_set(e, ENOENT, "one of several");
}

static void keep_error(struct search *s, const struct err *e)
{
	if (s->e.code == 0)
		s->e = *e;
}

/* Takes io, also on failure.  vouched: a description says that this is the parent.  0: it is, and
 * was taken. */
static int try_io(struct search *s, struct io *io, const char *format, bool vouched, struct err *e)
{
	enum kinship kinship = look_at(s, io, format);
	int r;

	if (kinship != KIN && !(kinship == ANONYMOUS && vouched)) {
		io_unref(io);
		return -ENOENT;
	}
	if (guid_is_zero(s->img->parent_id))
		return keep_only(s, io, e);
	r = s->take(s->arg, io, format, kinship == ANONYMOUS, e);
	if (r < 0)
		keep_error(s, e);
	return r;
}

/* Without a suffix that tells its format a file is guessed at, and may lead no further. */
static const char *format_for(const char *path)
{
	const struct format *f = format_with_id(path);

	return f ? f->name : NULL;
}

static int try_file(struct search *s, const char *path, struct err *e)
{
	struct io *io;
	int r;

	if (s->left == 0)
		return -ENFILE;
	r = policy_open_kin(s->img, path, WHAT, &io, e);
	if (r < 0)
		return r;
	s->left--;
	return try_io(s, io, format_for(path), false, e);
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

/* Formats without ids, raw above all, cannot say which disk they are: there the description counts
 * alone, as it does for VirtualBox.  One in the directory of the image may vouch for a file that
 * the image could name itself and no other, since both may be of one maker. */
static int try_medium(struct search *s, const char *path, const struct machine_medium *medium,
	bool is_above, struct err *e)
{
	const char *format = medium->is_raw ? "raw" : format_for(path);
	bool vouched = true;
	struct io *io;
	int r;

	if (s->left == 0)
		return -ENFILE;
	r = policy_open(s->img, path, WHAT, &io, e);
	if (r == -EACCES) {
		vouched = is_above;
		r = policy_open_kin(s->img, path, WHAT, &io, e);
	}
	if (r < 0)
		return r;
	s->left--;
	return try_io(s, io, format, vouched, e);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What has no id is found by no search for it: its name must do, in the directories of the user. */
static bool find_moved(struct search *s, const struct machine_medium *medium, bool is_above)
{
	char path[PATH_MAX];

	for (const char *const *dir = s->img->opts->search; dir && *dir; dir++) {
		struct err e = ERR_INIT;
		char real[PATH_MAX];

		if (realpath(*dir, real) &&
			snprintf(path, sizeof path, "%s/%s", real, last_part(medium->file)) <
				(int)sizeof path &&
			try_medium(s, path, medium, is_above, &e) == 0)
			return true;
	}
	return false;
}

/* That what the description names lies outside is worth telling: the user can let it in. */
static int try_registered(void *arg, const char *dir, const struct machine *m)
{
	struct search *s = arg;
	const struct machine_medium *medium = machine_find_medium(m, s->img->parent_id);
	bool is_above = s->above && strcmp(dir, s->above) == 0, absolute;
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
		for (const char *const *suffix = (*f)->suffixes; (*f)->knows_parent && *suffix;
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

/* One entry of the tree below a directory of the user; its own files were looked at before. */
static bool try_entry(struct search *s, FTS *tree, FTSENT *entry)
{
	struct err e = ERR_INIT;

	if (entry->fts_info == FTS_D && entry->fts_level > 0 &&
		(entry->fts_name[0] == '.' || entry->fts_level > FAMILY_MAX_DEPTH))
		fts_set(tree, entry, FTS_SKIP);
	return entry->fts_info == FTS_F && entry->fts_level > 1 &&
	       format_with_id(entry->fts_name) && try_file(s, entry->fts_path, &e) == 0;
}

static int by_entry_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Links are not followed, and what is mounted there is left alone. */
static bool find_below(struct search *s, const char *dir)
{
	char *roots[] = {(char *)dir, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_entry_name);
	bool found = false;
	FTSENT *entry;

	while (tree && !found && s->left > 0 && s->entries > 0 && (entry = fts_read(tree))) {
		s->entries--;
		found = try_entry(s, tree, entry);
	}
	if (tree)
		fts_close(tree);
	return found;
}

/* A machine that moved lies below what the user names as often as in it. */
static bool find_below_each(struct search *s, const char *const *dirs)
{
	char real[PATH_MAX];

	for (; dirs && *dirs; dirs++)
		if (realpath(*dirs, real) && find_below(s, real))
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
	if (!guid_is_zero(img->parent_id))
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
	const struct image_options *o = s->img->opts;

	if (!guid_is_zero(s->img->parent_id) &&
		(find_registered(s) || find_in_each(s, find_in_by_name)))
		return true;
	return find_in_each(s, find_in) || find_below_each(s, o->search) ||
	       find_below_each(s, o->allow);
}

/* The search is over, and so it is known that there is one. */
static bool take_only(struct search *s)
{
	struct err e = ERR_INIT;
	struct io *io = s->only;

	if (!io || s->e.code)
		return false;
	s->only = NULL;
	if (s->take(s->arg, io, format_for(io->name), false, &e) == 0)
		return true;
	keep_error(s, &e);
	return false;
}

static void search_free(struct search *s)
{
	for (size_t i = 0; i < s->ndirs; i++)
		free(s->dirs[i]);
	free(s->dirs);
	free(s->above);
	io_unref(s->only);
}

int family_find(const struct image *top, struct image *img, struct homes *homes, family_take *take,
	void *arg, struct err *e)
{
	struct search s = {
		.top = top,
		.img = img,
		.homes = homes,
		.take = take,
		.arg = arg,
		.left = FAMILY_MAX_FILES,
		.entries = FAMILY_MAX_ENTRIES,
	};
	int r;

	if (!img->dir)
		return err_set(e, ENOENT, "%s: it has a parent, but is not a file with neighbours",
			img->io->name);
	r = find_places(&s, e);
	if (r == 0)
		r = widen_fence(&s, e);
	if (r == 0 && !found(&s) && !take_only(&s)) {
		*e = s.e;
		r = s.e.code ? -s.e.code : refuse_missing(&s, e);
	}
	search_free(&s);
	return r;
}

/* Is it the one? */

bool family_knows_parent(const struct image *img, const struct image *other)
{
	return memcmp(img->parent_id, other->id, GUID_LEN) == 0;
}

int family_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	char wanted[GUID_TEXT], other[GUID_TEXT];
	const unsigned char *change = img->parent_change_id;

	if (!family_knows_parent(img, parent)) {
		guid_text(wanted, img->parent_id);
		guid_text(other, parent->id);
		err_set(e, EUCLEAN, "%s: it was made on the disk %s, but %s is %s", img->io->name,
			wanted, parent->io->name, other);
		return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
	}
	if (guid_is_zero(change) || guid_is_zero(parent->change_id) ||
		memcmp(change, parent->change_id, GUID_LEN) == 0)
		return 0;
	err_set(e, EUCLEAN, "%s: its parent %s was changed after the image was made", img->io->name,
		parent->io->name);
	return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
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
