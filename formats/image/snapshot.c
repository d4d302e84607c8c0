/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "format.h"
#include "image.h"
#include "io/io.h"
#include "view/view.h"
#include "view/writer.h"

static int check_possible(const struct image *img, struct err *e)
{
	if (!img->format->snapshots)
		return err_set(e, ENOTSUP,
			"%s: images of the format %s have no snapshots that can be changed",
			img->io->name, img->format->name);
	/* A new one would get the id of one that is there. */
	if (img->opts->nosnapshots)
		return err_set(e, ENOTSUP,
			"%s: it was opened without its snapshots, which cannot be changed then",
			img->io->name);
	return 0;
}

static int check_name(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (n > SNAPSHOT_NAME_MAX)
		return err_set(e, ENAMETOOLONG,
			"the name of a snapshot has at most %d bytes, not %zu", SNAPSHOT_NAME_MAX,
			n);
	return 0;
}

int snapshot_create(struct image *img, const char *name, unsigned *no, struct err *e)
{
	int r = check_possible(img, e);

	if (r == 0)
		r = check_name(name, e);
	if (r == 0)
		r = writer_begin_exclusive(img->writer, e);
	if (r < 0)
		return r;
	r = img->format->snapshots->create(img, name, e);
	if (r == 0)
		*no = img->states[img->nstates - 1]->no;
	return writer_end_exclusive(img->writer, r, e);
}

/* Begins a change of the snapshot with this number; *i is its index in img->states.  The list does
 * not change until writer_end_exclusive. */
static int begin_change(struct image *img, unsigned no, size_t *i, struct err *e)
{
	int r = check_possible(img, e);

	if (r == 0)
		r = writer_begin_exclusive(img->writer, e);
	if (r < 0)
		return r;
	for (*i = 1; *i < img->nstates; ++*i)
		if (img->states[*i]->no == no)
			return 0;
	return writer_end_exclusive(img->writer, err_set(e, ENOENT, "the snapshot is no more"), e);
}

static void forbid(struct view *v)
{
	if (v)
		v->deleted = true;
}

int snapshot_delete(struct image *img, unsigned no, struct err *e)
{
	size_t i;
	int r = begin_change(img, no, &i, e);

	if (r < 0)
		return r;
	r = img->format->snapshots->delete (img, i, e);
	if (r == 0) {
		forbid(img->states[i]->view);
		forbid(img->states[i]->vmstate);
		state_remove(img, i);
	}
	return writer_end_exclusive(img->writer, r, e);
}

static int rename_state(struct image *img, size_t i, const char *name, struct err *e)
{
	char *copy = strdup(name), *old;
	int r;

	if (!copy)
		return err_nomem(e);
	r = img->format->snapshots->rename(img, i, name, e);
	if (r < 0) {
		free(copy);
		return r;
	}
	states_lock(img);
	old = img->states[i]->name;
	img->states[i]->name = copy;
	states_unlock(img);
	free(old);
	return 0;
}

int snapshot_rename(struct image *img, unsigned no, const char *name, struct err *e)
{
	size_t i;
	int r = check_name(name, e);

	if (r == 0)
		r = begin_change(img, no, &i, e);
	if (r < 0)
		return r;
	return writer_end_exclusive(img->writer, rename_state(img, i, name, e), e);
}

int snapshot_apply(struct image *img, unsigned no, struct err *e)
{
	size_t i;
	int r = begin_change(img, no, &i, e);

	if (r < 0)
		return r;
	return writer_end_exclusive(img->writer, img->format->snapshots->apply(img, i, e), e);
}
