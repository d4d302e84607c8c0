/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* source.c - images that are shown, and what is made from them. */
#include "source.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "err.h"
#include "view.h"

struct source {
	atomic_uint refs;
	const struct image *img;
	size_t state;
	pthread_mutex_t making;
	struct made *made;
};

struct source *source_of(const struct image *img, size_t state, struct err *e)
{
	struct source *s = calloc(1, sizeof *s);

	if (!s) {
		err_nomem(e);
		return NULL;
	}
	atomic_init(&s->refs, 1);
	s->img = img;
	s->state = state;
	pthread_mutex_init(&s->making, NULL);
	return s;
}

struct source *source_ref(struct source *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void source_unref(struct source *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	pthread_mutex_destroy(&s->making);
	free(s);
}

int source_pin(struct source *s, const struct image **img, struct err *e)
{
	(void)e;
	*img = s->img;
	return 0;
}

void source_unpin(struct source *s)
{
	(void)s;
}

size_t source_state(const struct source *s)
{
	return s->state;
}

static void made_link(struct source *s, struct made *m)
{
	m->next = s->made;
	if (m->next)
		m->next->link = &m->next;
	m->link = &s->made;
	s->made = m;
}

/* What is made stays where it is while the source is pinned: *m is read without the lock then. */
int source_make(struct source *s, struct made *m, made_fn *make, void *arg, struct err *e)
{
	int ret = 0;

	pthread_mutex_lock(&s->making);
	if (!m->view)
		ret = make(arg, &m->view, e);
	if (m->view && !m->link)
		made_link(s, m);
	pthread_mutex_unlock(&s->making);
	return ret;
}

/* The lock is held. */
static void made_free(struct made *m)
{
	if (!m->link)
		return;
	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	view_free(m->view);
	*m = (struct made){0};
}

void source_unmake(struct source *s, struct made *m)
{
	pthread_mutex_lock(&s->making);
	made_free(m);
	pthread_mutex_unlock(&s->making);
}
