/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "util/limits.h"
#include "util/blockdev.h"
#include "util/err.h"
#include "parent-search.h"
#include "image/format.h"
#include "util/guid.h"
#include "vbox-registry.h"
#include "io/host.h"
#include "image/image.h"
#include "named.h"
#include "io/io.h"
#include "opening.h"
#include "util/protocol.h"
#include "util/shell.h"
#include "util/text.h"
#include "view/view.h"

#define WHAT "backing file"

static bool has_parent(const struct image *img)
{
	return img->parent_name || !guid_is_zero(img->parent_id);
}

/* A raw file may hold bytes of a guest that make it look like an image: a parent whose format was
 * probed must not name other files. */
static int check_guess(const struct image *child, const struct image *parent, struct err *e)
{
	if (!parent->guessed)
		return 0;
	if (!has_parent(parent)) {
		image_warn(child,
			"the format of the backing file is not recorded; it looks like %s",
			parent->format->name);
		return 0;
	}
	err_set(e, EACCES,
		"%s: it names a backing file itself, but %s does not record that it is %s",
		parent->io->name, image_basename(child), parent->format->name);
	if (child->parent_name && child->format->records_parent_format)
		err_hint(e, "if it is, record it: vdisk rebase -u -b %s -F %s %s",
			shell_word(child->parent_name).text, parent->format->name,
			shell_word(child->io->name).text);
	else if (child->parent_name)
		err_hint_code(e, HINT_PARENT_FORMAT, parent->format->name);
	return -EACCES;
}

static bool leaves_format_open(const struct image *img)
{
	return !img->parent_format && !img->format->records_raw_parent;
}

/* The format of the parent of img, the last image of the chain of top, as img records it, or as the
 * user gives it: once for each image that does not record it, so that the last one, to which a
 * guest may have written as raw, is not probed along with the others. */
static const char *format_of_parent(const struct image *top, const struct image *img)
{
	const char *const *given = img->opts->parent_formats;

	if (!leaves_format_open(img))
		return img->parent_format;
	for (; given && *given && top != img; top = top->parent)
		given += leaves_format_open(top);
	return given ? *given : NULL;
}

/* The name that the user gives for the parent of img, an image of the chain of top; NULL: none. */
static const char *named_parent(const struct image *top, const struct image *img)
{
	const char *const *name = top->opts->backing;

	for (; name && *name && top != img; top = top->parent)
		name++;
	return name && *name && **name ? *name : NULL;
}

/* A search for the parent.  The error is the first one other than a missing file, or else the
 * first.
 */
struct parent_lookup {
	const struct image *top; /* the image that the user named */
	struct image *img;
	struct vbox_registry *machines;
	bool ignore_id;
	bool is_named; /* by the user */
	bool found;    /* something other than a missing file was met */
	struct err e;
};

static int check_parent(const struct parent_lookup *s, struct err *e)
{
	const struct image *img = s->img;
	int r = check_guess(img, img->parent, e);

	if (r == 0)
		r = parent_search_check_image(img->parent, s->machines, e);
	if (r == 0 && img->format->check_parent && !s->ignore_id)
		r = img->format->check_parent(img, img->parent, e);
	return r;
}

/* Makes the image in io, which it takes, the parent, if it is.  registered: as in parent-search.h.
 */
static int take_parent(void *arg, struct io *io, const char *format, bool registered, struct err *e)
{
	const struct parent_lookup *s = arg;
	struct image *img = s->img;
	const struct gate user = gate_on(NULL, img->opts->allow, img->opts->search);
	struct opening how = opening_of_parent(img, format);
	int r = image_lock_file(io, img->opts, false, e);

	/* Names in it lead to its own neighbours. */
	if (s->is_named)
		how.gate = &user;
	if (r == 0 && image_chain_has(s->top, io))
		r = err_set(
			e, ELOOP, "%s: the backing chain loops at %s", s->top->io->name, io->name);
	if (r < 0) {
		io_unref(io);
		return r;
	}
	r = opening_run(&how, io, img->opts, &img->parent, e);
	if (r == 0 && registered)
		memcpy(img->parent->id, img->parent_id, GUID_LEN);
	if (r == 0)
		r = check_parent(s, e);
	if (r < 0) {
		image_close(img->parent);
		img->parent = NULL;
	}
	return r;
}

/* A description by QEMU (util/blockdev.h) that says a file is followed as the name of the file. */
static int open_plain(
	const struct gate *g, const char *name, struct blockdev *b, struct io **io, struct err *e)
{
	int r = blockdev_is(name) ? blockdev_parse(b, name, e) : 0;

	if (r == 0 && b->file && !blockdev_is_plain(b))
		r = err_set(e, ENOTSUP, "it describes more than a file");
	if (r < 0)
		return err_in(e, "%s \"%s\"", WHAT, name);
	r = gate_open(g, b->file ? b->file : name, WHAT, io, e);
	if (r < 0 && protocol_is_nbd(name))
		err_hint_code(e, HINT_BACKING, shell_word(name).text);
	return r;
}

static int try_name(struct parent_lookup *s, const char *name)
{
	struct err e = ERR_INIT;
	struct blockdev b = {.file = NULL};
	struct io *io;
	int r = open_plain(&s->img->gate, name, &b, &io, &e);
	/* A file outside the allowed directories is not opened, so it may be missing, too. */
	bool missing = r == -ENOENT || r == -ENOTDIR || r == -EACCES;

	if (r == 0)
		r = take_parent(
			s, io, b.format ? b.format : format_of_parent(s->top, s->img), false, &e);
	else
		err_in(&e, "%s", s->img->io->name);
	if (r < 0 && (s->e.code == 0 || (!missing && !s->found)))
		s->e = e;
	s->found |= !missing;
	blockdev_free(&b);
	return r;
}

/* Beside the child under this name, in any case: the writers of such images ignore case. */
static int try_beside(struct parent_lookup *s, const char *base)
{
	int r = try_name(s, base);
	char *other =
		r < 0 && image_dir(s->img) ? host_find_any_case(image_dir(s->img), base) : NULL;

	if (other && strcmp(other, base) != 0)
		r = try_name(s, other);
	free(other);
	return r;
}

/* Searches for a parent that is not where its child names it: beside the child, when a wrong one
 * would be noticed, and in the directories that the user gave. */
static int try_moved(struct parent_lookup *s, const char *name)
{
	bool verifiable = s->img->format->check_parent && !s->img->parent_unproved;
	const char *base = text_last_part(name, verifiable ? "/\\" : "/");
	char real[PATH_MAX], path[PATH_MAX];

	if (verifiable && try_beside(s, base) == 0)
		return 0;
	for (const char *const *dir = s->img->opts->search; dir && *dir; dir++) {
		if (!host_realpath(*dir, real) ||
			snprintf(path, sizeof path, "%s/%s", real, base) >= (int)sizeof path)
			continue;
		if (try_name(s, path) == 0)
			return 0;
	}
	return -s->e.code;
}

static int try_names(struct parent_lookup *s, int (*try)(struct parent_lookup *, const char *))
{
	const struct image *img = s->img;

	if (try(s, img->parent_name) == 0)
		return 0;
	for (size_t i = 0; i < IMAGE_OTHER_NAMES && img->parent_others[i]; i++)
		if (try(s, img->parent_others[i]) == 0)
			return 0;
	return -s->e.code;
}

/* Searches by the recorded id.  A parent that has changed is taken when there is no other. */
static int open_by_id(struct parent_lookup *s)
{
	bool ignore = s->ignore_id;
	struct err e = ERR_INIT;
	int r;

	s->ignore_id = false;
	r = parent_search_find(s->top, s->img, s->machines, take_parent, s, &e);
	s->ignore_id = ignore;
	if (r < 0 && r != -ENOENT && ignore)
		r = parent_search_find(s->top, s->img, s->machines, take_parent, s, &e);
	if (r < 0 && (s->e.code == 0 || (r != -ENOENT && !s->found)))
		s->e = e;
	s->found |= r != -ENOENT && r != -EACCES;
	return r;
}

/* Opens the parent that the user names. */
static int open_named(struct parent_lookup *s, const char *name, struct err *e)
{
	struct io *io = named_open(name, s->img->opts, e);

	s->is_named = true;
	return io ? take_parent(s, io, format_of_parent(s->top, s->img), false, e) : -e->code;
}

static int open_parent(
	const struct image *top, struct image *img, struct vbox_registry *machines, struct err *e)
{
	struct parent_lookup s = {
		.top = top,
		.img = img,
		.machines = machines,
		.ignore_id = img->opts->ignore_parent_id,
	};
	const char *named = named_parent(top, img);
	int r = -ENOENT;

	if (named)
		return open_named(&s, named, e);
	if (img->parent_name)
		r = try_names(&s, try_name);
	if (r < 0 && img->parent_name && !s.found)
		r = try_names(&s, try_moved);
	if (r < 0 && img->format->knows_parent)
		r = open_by_id(&s);
	if (r == 0)
		return 0;
	if (!s.found && !(s.e.hints & 1u << HINT_BACKING)) {
		err_hint_code(&s.e, HINT_SEARCH, NULL);
		err_hint_code(&s.e, HINT_NOBACKING, NULL);
	}
	*e = s.e;
	return -e->code;
}

static int open_parents(struct image *top, struct err *e)
{
	struct vbox_registry machines = {0};
	struct image *img = top;
	int r = parent_search_check_image(top, &machines, e);

	for (size_t n = 1; r == 0 && has_parent(img) && !img->opts->nobacking; n++) {
		if (n == LIMIT_CHAIN_DEPTH)
			r = err_set(e, ELOOP, "%s: the backing chain is longer than %d images",
				top->io->name, LIMIT_CHAIN_DEPTH);
		else
			r = open_parent(top, img, &machines, e);
		if (r == 0) {
			image_lay_on(img, img->parent->states[0]->view);
			img = img->parent;
		}
	}
	vbox_registry_free(&machines);
	if (r == 0 && !has_parent(img) && named_parent(top, img))
		r = err_set(e, EINVAL, "%s: it has no backing file that %s could replace",
			img->io->name, named_parent(top, img));
	if (r < 0 || !has_parent(img))
		return r;
	img->missing = view_broken(
		LIMIT_DISK_SIZE, "the data is in the backing file, which was left closed", e);
	if (!img->missing)
		return -e->code;
	image_lay_on(img, img->missing);
	return 0;
}

int chain_open(const struct opening *how, struct io *io, const struct image_options *o,
	struct image **out, struct err *e)
{
	struct image *img;
	int r = opening_run(how, io, o, &img, e);

	if (r < 0)
		return r;
	r = open_parents(img, e);
	if (r == 0 && img->writable && o->write)
		r = image_start_writing(img, e);
	if (r < 0) {
		image_close(img);
		return r;
	}
	*out = img;
	return 0;
}
