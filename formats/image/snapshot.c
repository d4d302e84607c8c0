/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
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

/* What is asked of an image, in words that writer_alone can pass on. */
struct change {
	struct image *img;
	unsigned no;
	const char *name;
	size_t i; /* of the state, with the gate closed */
	int (*run)(struct change *c, struct err *e);
};

/* Only one thread at a time comes here, so that nobody else changes the list. */
static int find(struct change *c, struct err *e)
{
	const struct image *img = c->img;

	for (c->i = 1; c->i < img->nstates; c->i++)
		if (img->states[c->i]->no == c->no)
			return 0;
	return err_set(e, ENOENT, "the snapshot is no more");
}

static int run_found(void *arg, struct err *e)
{
	struct change *c = arg;
	int r = find(c, e);

	return r == 0 ? c->run(c, e) : r;
}

static int change_state(struct change *c, struct err *e)
{
	int r = check_possible(c->img, e);

	if (r == 0)
		r = writer_alone(c->img->writer, run_found, c, e);
	return r;
}

/* Taking. */

static int take(void *arg, struct err *e)
{
	struct change *c = arg;
	const struct image *img = c->img;
	int r = img->format->snapshots->create(c->img, c->name, e);

	if (r == 0)
		c->no = img->states[img->nstates - 1]->no;
	return r;
}

int snapshot_create(struct image *img, const char *name, unsigned *no, struct err *e)
{
	struct change c = {.img = img, .name = name};
	int r = check_possible(img, e);

	if (r == 0)
		r = check_name(name, e);
	if (r == 0)
		r = writer_alone(img->writer, take, &c, e);
	*no = c.no;
	return r;
}

/* Dropping. */

static void forbid(struct view *v)
{
	if (v)
		v->deleted = true;
}

static int drop(struct change *c, struct err *e)
{
	struct state *s = c->img->states[c->i];
	int r = c->img->format->snapshots->delete (c->img, c->i, e);

	if (r < 0)
		return r;
	forbid(s->view);
	forbid(s->vmstate);
	state_remove(c->img, c->i);
	return 0;
}

int snapshot_delete(struct image *img, unsigned no, struct err *e)
{
	struct change c = {.img = img, .no = no, .run = drop};

	return change_state(&c, e);
}

/* Renaming. */

static int rename_state(struct change *c, struct err *e)
{
	struct state *s = c->img->states[c->i];
	char *name = strdup(c->name), *old;
	int r;

	if (!name)
		return err_nomem(e);
	r = c->img->format->snapshots->rename(c->img, c->i, c->name, e);
	if (r < 0) {
		free(name);
		return r;
	}
	states_lock(c->img);
	old = s->name;
	s->name = name;
	states_unlock(c->img);
	free(old);
	return 0;
}

int snapshot_rename(struct image *img, unsigned no, const char *name, struct err *e)
{
	struct change c = {.img = img, .no = no, .name = name, .run = rename_state};
	int r = check_name(name, e);

	return r == 0 ? change_state(&c, e) : r;
}

/* Going back. */

static int apply(struct change *c, struct err *e)
{
	return c->img->format->snapshots->apply(c->img, c->i, e);
}

int snapshot_apply(struct image *img, unsigned no, struct err *e)
{
	struct change c = {.img = img, .no = no, .run = apply};

	return change_state(&c, e);
}
