/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state.c - the list of an image's states. */
#include "state.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/err.h"
#include "image.h"
#include "io/io.h"
#include "util/nearest.h"
#include "view/view.h"

void states_lock(const struct image *img)
{
	pthread_mutex_lock(&((struct image *)img)->states_lock);
}

void states_unlock(const struct image *img)
{
	pthread_mutex_unlock(&((struct image *)img)->states_lock);
}

void state_put(struct state *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	view_free(s->view);
	view_free(s->vmstate);
	free(s->id);
	free(s->name);
	free(s);
}

struct state *state_new(const char *id, const char *name, struct err *e)
{
	struct state *s = calloc(1, sizeof *s);

	if (s) {
		atomic_init(&s->refs, 1);
		s->icount = -1;
		s->id = id ? strdup(id) : NULL;
		s->name = name ? strdup(name) : NULL;
	}
	if (s && (!id || s->id) && (!name || s->name))
		return s;
	state_put(s);
	err_nomem(e);
	return NULL;
}

/* All states of an image have the same parent and the same writer. */
static void take_after(struct view *v, const struct view *live)
{
	if (!v)
		return;
	v->below = live->below;
	v->writer = live->writer;
}

int state_add(struct image *img, struct state *s, struct err *e)
{
	struct state **states;

	if (img->nstates > 0) {
		take_after(s->view, img->states[0]->view);
		take_after(s->vmstate, img->states[0]->view);
	}
	states_lock(img);
	states = array_grow(img->states, img->nstates, sizeof states[0]);
	if (states) {
		img->states = states;
		s->no = img->next_state++;
		img->states[img->nstates++] = s;
	}
	states_unlock(img);
	return states ? 0 : err_nomem(e);
}

struct state *image_add_state(
	struct image *img, const char *id, const char *name, struct view *view, struct err *e)
{
	struct state *s = state_new(id, name, e);

	if (!s)
		return NULL;
	s->view = view;
	if (state_add(img, s, e) == 0)
		return s;
	s->view = NULL;
	state_put(s);
	return NULL;
}

static bool equal(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

struct state *image_find_state(const struct image *img, const char *name)
{
	for (size_t i = 1; i < img->nstates; i++)
		if (equal(img->states[i]->name, name))
			return img->states[i];
	for (size_t i = 1; i < img->nstates; i++)
		if (equal(img->states[i]->id, name))
			return img->states[i];
	return NULL;
}

const char *state_title(const struct state *s)
{
	const char *title = s->name && *s->name ? s->name : s->id;

	return title ? title : "";
}

int state_missing(const struct image *img, const char *name, struct err *e)
{
	struct nearest near = nearest_to(name);

	err_set(e, ENOENT, "%s: it has no snapshot called \"%s\"", img->io->name, name);
	for (size_t i = 1; i < img->nstates; i++)
		nearest_offer(&near, img->states[i]->name);
	if (near.best)
		err_hint(e, "did you mean \"%s\"?", near.best);
	return -ENOENT;
}

/* Numbers ascend along the list. */
static int by_number(const void *no, const void *state)
{
	unsigned a = *(const unsigned *)no, b = (*(struct state *const *)state)->no;

	return a < b ? -1 : a > b;
}

struct state *state_get(const struct image *img, unsigned no)
{
	struct state **found, *s;

	states_lock(img);
	found = bsearch(&no, img->states, img->nstates, sizeof found[0], by_number);
	s = found ? *found : NULL;
	if (s)
		atomic_fetch_add(&s->refs, 1);
	states_unlock(img);
	return s;
}

void state_remove(struct image *img, size_t i)
{
	struct state *s;

	states_lock(img);
	s = img->states[i];
	img->nstates--;
	img->renumbered = true;
	memmove(&img->states[i], &img->states[i + 1], (img->nstates - i) * sizeof s);
	states_unlock(img);
	state_put(s);
}
