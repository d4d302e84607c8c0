/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain.c - the parents of an image: found, checked, opened and laid below it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "err.h"
#include "format.h"
#include "image.h"
#include "io.h"
#include "bounds.h"
#include "lock.h"
#include "policy.h"
#include "view.h"

#define WHAT "backing file"

/* The last part of a name as some system or other wrote it. */
static const char *last_part(const char *name, bool backslash_too)
{
	const char *last = name;

	for (const char *p = name; *p; p++)
		if ((*p == '/' || (backslash_too && *p == '\\')) && p[1])
			last = p + 1;
	return last;
}

/* top: the image that the user named. */
static int refuse_loop(const struct image *top, const struct io *io, struct err *e)
{
	for (const struct image *i = top; i; i = i->parent)
		if (i->io->dev == io->dev && i->io->ino == io->ino)
			return err_set(e, ELOOP, "%s: the backing chain loops at %s", top->io->name,
				io->name);
	return 0;
}

static int hint_at_record(const struct image *child, const struct image *parent, struct err *e)
{
	if (child->format->records_parent_format)
		return err_hint(e, "if it is, record it: qemu-img rebase -u -b %s -F %s %s",
			child->parent_name, parent->format->name, child->io->name);
	return err_hint(e,
		"%s images cannot record it; as another format they can: qemu-img convert -O qcow2 "
		"%s NEW",
		child->format->name, child->io->name);
}

/* What we only guessed to be an image may hold what a guest wrote: it must not lead anywhere. */
static int check_guess(const struct image *child, const struct image *parent, struct err *e)
{
	if (!parent->guessed)
		return 0;
	if (parent->parent_name) {
		err_set(e, EACCES,
			"%s: it names a backing file itself, but %s does not record that it is %s",
			parent->io->name, image_basename(child), parent->format->name);
		return hint_at_record(child, parent, e);
	}
	image_warn(child, "the format of the backing file is not recorded; it looks like %s",
		parent->format->name);
	return 0;
}

/* Makes the image in io, which it takes, the parent of img, if it is that. */
static int take_parent(const struct image *top, struct image *img, struct io *io, struct err *e)
{
	int r = lock_for_reading(io, img->opts->share, e);

	if (r == 0)
		r = refuse_loop(top, io, e);
	if (r < 0) {
		io_unref(io);
		return r;
	}
	r = image_from_io(io, img->opts, img->parent_format, img, &img->parent, e);
	if (r == 0)
		r = check_guess(img, img->parent, e);
	if (r == 0 && img->format->check_parent && !img->opts->ignore_parent_id)
		r = img->format->check_parent(img, img->parent, e);
	if (r < 0) {
		image_close(img->parent);
		img->parent = NULL;
	}
	return r;
}

/* A search for the parent by its names.  What is told when it fails is the first failure that is
 * more than a missing file, or else the first. */
struct search {
	const struct image *top; /* the image that the user named */
	struct image *img;
	bool found; /* something other than a missing file was met */
	struct err e;
};

static int try_name(struct search *s, const char *name)
{
	struct err e = ERR_INIT;
	struct io *io;
	int r = policy_open(s->img, name, WHAT, &io, &e);
	/* What lies outside was not even looked at: it may as well be missing. */
	bool missing = r == -ENOENT || r == -ENOTDIR || r == -EACCES;

	if (r == 0)
		r = take_parent(s->top, s->img, io, &e);
	else
		err_in(&e, "%s", s->img->io->name);
	if (r < 0 && (s->e.code == 0 || (!missing && !s->found)))
		s->e = e;
	s->found |= !missing;
	return r;
}

/* A parent that is not where its child says: beside the child, when a wrong one would be noticed,
 * and in the directories that the user gave. */
static int try_moved(struct search *s, const char *name)
{
	bool verifiable = s->img->format->check_parent != NULL;
	const char *base = last_part(name, verifiable);
	char real[PATH_MAX], path[PATH_MAX];

	if (verifiable && try_name(s, base) == 0)
		return 0;
	for (const char *const *dir = s->img->opts->search; dir && *dir; dir++) {
		if (!realpath(*dir, real) ||
			snprintf(path, sizeof path, "%s/%s", real, base) >= (int)sizeof path)
			continue;
		if (try_name(s, path) == 0)
			return 0;
	}
	return -s->e.code;
}

static int try_names(struct search *s, int (*try)(struct search *, const char *))
{
	const struct image *img = s->img;

	if (try(s, img->parent_name) == 0)
		return 0;
	for (size_t i = 0; i < IMAGE_OTHER_NAMES && img->parent_others[i]; i++)
		if (try(s, img->parent_others[i]) == 0)
			return 0;
	return -s->e.code;
}

static void hint_at_search(struct err *e)
{
	char hint[ERR_HINT];

	memcpy(hint, e->hint, sizeof hint);
	err_hint(e, "%s%s-o search=DIR looks for it in DIR, -o nobacking does without", hint,
		hint[0] ? "; " : "");
}

static int open_parent(const struct image *top, struct image *img, struct err *e)
{
	struct search s = {.top = top, .img = img};
	int r = try_names(&s, try_name);

	if (r < 0 && !s.found) {
		r = try_names(&s, try_moved);
		if (r < 0 && !s.found)
			hint_at_search(&s.e);
	}
	if (r < 0)
		*e = s.e;
	return r;
}

static void lay_on(struct image *img, struct view *below)
{
	for (size_t i = 0; i < img->nstates; i++)
		img->states[i].view->below = below;
}

static int leave_closed(struct image *img, struct err *e)
{
	img->missing = view_broken(LIMIT_DISK_SIZE,
		"the data is in the backing file, which -o nobacking leaves closed", e);
	if (!img->missing)
		return -e->code;
	lay_on(img, img->missing);
	return 0;
}

int chain_open(struct image *top, struct err *e)
{
	size_t depth = 1;

	for (struct image *img = top; img->parent_name; img = img->parent) {
		int r;

		if (img->opts->nobacking)
			return leave_closed(img, e);
		if (++depth > LIMIT_CHAIN_DEPTH)
			return err_set(e, ELOOP, "%s: the backing chain is longer than %d images",
				top->io->name, LIMIT_CHAIN_DEPTH);
		r = open_parent(top, img, e);
		if (r < 0)
			return r;
		lay_on(img, img->parent->states[0].view);
	}
	return 0;
}
