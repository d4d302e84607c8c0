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

/* A parent that is not where its child says: beside the child, when a wrong one would be noticed,
 * and in the directories that the user gave. */
static int find_moved_parent(const struct image *img, struct io **io, struct err *e)
{
	bool verifiable = img->format->check_parent != NULL;
	const char *base = last_part(img->parent_name, verifiable);
	struct err ignored = ERR_INIT;
	char path[PATH_MAX];

	if (verifiable && policy_open(img, base, WHAT, io, &ignored) == 0)
		return 0;
	for (const char *const *dir = img->opts->search; dir && *dir; dir++) {
		char real[PATH_MAX];

		if (!realpath(*dir, real) ||
			snprintf(path, sizeof path, "%s/%s", real, base) >= (int)sizeof path)
			continue;
		if (policy_open(img, path, WHAT, io, &ignored) == 0)
			return 0;
	}
	if (!e->hint[0])
		err_hint(e, "-o search=DIR looks for it in DIR, -o nobacking does without");
	return -e->code;
}

static int open_parent_file(const struct image *img, struct io **io, struct err *e)
{
	int r = policy_open(img, img->parent_name, WHAT, io, e);

	if (r == -ENOENT || r == -ENOTDIR)
		r = find_moved_parent(img, io, e);
	if (r < 0)
		return err_in(e, "%s", img->io->name);
	r = lock_for_reading(*io, img->opts->share, e);
	if (r < 0)
		io_unref(*io);
	return r;
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

/* What we only guessed to be an image may hold what a guest wrote: it must not lead anywhere. */
static int check_guess(const struct image *child, const struct image *parent, struct err *e)
{
	if (!parent->guessed)
		return 0;
	if (parent->parent_name) {
		err_set(e, EACCES,
			"%s: it names a backing file itself, but %s does not record that it is %s",
			parent->io->name, image_basename(child), parent->format->name);
		return err_hint(e, "if it is, record it: qemu-img rebase -u -b %s -F %s %s",
			child->parent_name, parent->format->name, child->io->name);
	}
	image_warn(child, "the format of the backing file is not recorded; it looks like %s",
		parent->format->name);
	return 0;
}

static int open_parent(const struct image *top, struct image *img, struct err *e)
{
	struct io *io;
	int r = open_parent_file(img, &io, e);

	if (r < 0)
		return r;
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
