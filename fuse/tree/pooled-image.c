/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pooled-image.c - references, derived views, and closing. */
#include "pooled-image.h"

#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "view/view.h"
#include "image/format.h"
#include "base/process.h"
#include "new-image.h"
#include "pooled-image-impl.h"

static struct pooled_image *alloc(struct image_pool *pool)
{
	struct pooled_image *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->pool = pool;
	s->generation = ANY_GENERATION + 1;
	pthread_mutex_init(&s->deriving, NULL);
	LIST_INIT(&s->derived);
	return s;
}

static bool copy_place(struct disk_place *to, const struct disk_place *from)
{
	*to = *from;
	to->root = strdup(from->root);
	to->path = strdup(from->path);
	return to->root && to->path;
}

static void free_place(struct disk_place *place)
{
	free((char *)place->root);
	free((char *)place->path);
}

struct pooled_image *pooled_image_new(
	struct image_pool *pool, const struct image_origin *from, struct err *e)
{
	struct pooled_image *s = alloc(pool);

	if (s) {
		s->from = *from;
		if (copy_place(&s->from.place, &from->place))
			return s;
	}
	pooled_image_unref(s);
	err_nomem(e);
	return NULL;
}

struct pooled_image *pooled_image_of_disks(
	struct image_pool *pool, struct pooled_image *const *disks, size_t n, struct err *e)
{
	struct pooled_image *s = alloc(pool);
	bool good = s && (s->from.disks = calloc(n, sizeof s->from.disks[0]));

	for (size_t i = 0; good && i < n; i++) {
		good = copy_place(&s->from.disks[i], &disks[i]->from.place);
		s->from.ndisks++;
	}
	if (good)
		return s;
	pooled_image_unref(s);
	err_nomem(e);
	return NULL;
}

bool pooled_image_has_same_disks(const struct pooled_image *a, const struct pooled_image *b)
{
	if (a->from.ndisks == 0 || a->from.ndisks != b->from.ndisks)
		return false;
	for (size_t i = 0; i < a->from.ndisks; i++)
		if (strcmp(a->from.disks[i].path, b->from.disks[i].path) != 0 ||
			a->from.disks[i].disk != b->from.disks[i].disk)
			return false;
	return true;
}

/* The first pin is never dropped. */
struct pooled_image *pooled_image_of(struct image_pool *pool, struct image *img, struct err *e)
{
	struct pooled_image *s = alloc(pool);

	if (!s) {
		image_close(img);
		err_nomem(e);
		return NULL;
	}
	s->img = img;
	s->pins = 1;
	s->from.chosen = true;
	if (img->writable)
		LIST_INSERT_HEAD(&pool->writable, s, writable);
	if (pooled_image_choose_state(s, img, &s->state, e) == 0)
		return s;
	pooled_image_unref(s);
	return NULL;
}

int pooled_image_choose_state(
	const struct pooled_image *s, const struct image *img, unsigned *state, struct err *e)
{
	const char *name = s->from.chosen ? s->pool->snapshot : NULL;
	const struct state *found;

	*state = 0;
	if (!name)
		return 0;
	found = image_find_state(img, name);
	if (!found)
		return state_missing(img, name, e);
	*state = found->no;
	return 0;
}

struct pooled_image *pooled_image_ref(struct pooled_image *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

/* Lists. */

void pooled_image_leave_idle(struct pooled_image *s)
{
	TAILQ_REMOVE(&s->pool->idle, s, idle);
	s->pool->nidle--;
}

void pooled_image_unpin_since(struct pooled_image *s, time_t since)
{
	if (--s->pins > 0)
		return;
	s->since = since ? since : process_now();
	TAILQ_INSERT_TAIL(&s->pool->idle, s, idle);
	s->pool->nidle++;
	pthread_cond_broadcast(&s->pool->done);
}

/* Takes an image that is to be closed out of all lists. */
static void unlist(struct pooled_image *s)
{
	if (s->pins == 0)
		pooled_image_leave_idle(s);
	if (s->img->writable)
		LIST_REMOVE(s, writable);
}

/* Derived views. */

static void free_view(struct derived_view *v)
{
	if (!v->view)
		return;
	LIST_REMOVE(v, entry);
	view_free(v->view);
	*v = (struct derived_view){0};
}

void pooled_image_begin_view(struct pooled_image *s)
{
	pthread_mutex_lock(&s->deriving);
}

/* A derived view stays while the image is pinned: v->view is read without the lock then. */
void pooled_image_end_view(struct pooled_image *s, struct derived_view *v, struct view *view)
{
	if (view) {
		v->view = view;
		LIST_INSERT_HEAD(&s->derived, v, entry);
	}
	pthread_mutex_unlock(&s->deriving);
}

void pooled_image_drop_view(struct pooled_image *s, struct derived_view *v)
{
	pthread_mutex_lock(&s->deriving);
	free_view(v);
	pthread_mutex_unlock(&s->deriving);
}

/* Closing. */

void pooled_image_warn(const struct pooled_image *s, const struct err *e)
{
	if (s->pool->how->warn && err_is_first(e))
		s->pool->how->warn(s->pool->how->warn_arg, e->text);
}

int pooled_image_finish(struct pooled_image *s)
{
	struct err e = ERR_INIT;
	int ret = image_finish(s->img, &e);

	if (ret < 0 && !s->failed)
		pooled_image_warn(s, &e);
	return ret;
}

static void close_image(struct pooled_image *s)
{
	struct derived_view *v;

	pthread_mutex_lock(&s->deriving);
	while ((v = LIST_FIRST(&s->derived)) != NULL)
		free_view(v);
	pthread_mutex_unlock(&s->deriving);
	if (s->img->writable) {
		pooled_image_finish(s);
		fingerprint_renew(&s->fingerprint, s->img);
	}
	image_close(s->img);
}

void pooled_image_end_generation(struct pooled_image *s)
{
	if (s->has_fingerprint)
		s->generation++;
	if (pooled_image_get_new(s))
		return;
	s->has_fingerprint = false;
	fingerprint_free(&s->fingerprint);
}

void pooled_image_end(struct pooled_image *s)
{
	if (s->new_image)
		atomic_store(&s->new_image->replaced, true);
	pooled_image_end_generation(s);
}

void pooled_image_close_idle(struct pooled_image *s)
{
	struct image_pool *pool = s->pool;
	bool renumbered = s->img->renumbered;

	unlist(s);
	s->busy = true;
	pooled_image_ref(s);
	pthread_mutex_unlock(&pool->lock);
	close_image(s);
	pthread_mutex_lock(&pool->lock);
	s->img = NULL;
	if (renumbered)
		pooled_image_end_generation(s);
	s->busy = false;
	pthread_cond_broadcast(&pool->done);
	pthread_mutex_unlock(&pool->lock);
	pooled_image_unref(s);
	pthread_mutex_lock(&pool->lock);
}

/* Without references an image is found only by the lists, with the lock. */
void pooled_image_unref(struct pooled_image *s)
{
	bool last;

	if (!s)
		return;
	pthread_mutex_lock(&s->pool->lock);
	last = atomic_fetch_sub(&s->refs, 1) == 1;
	if (last && s->img)
		unlist(s);
	pthread_mutex_unlock(&s->pool->lock);
	if (!last)
		return;
	if (s->img)
		close_image(s);
	fingerprint_free(&s->fingerprint);
	if (s->new_image)
		s->new_image->free(s->new_image);
	free_place(&s->from.place);
	for (size_t i = 0; i < s->from.ndisks; i++)
		free_place(&s->from.disks[i]);
	free(s->from.disks);
	pthread_mutex_destroy(&s->deriving);
	free(s);
}

/* Properties. */

struct new_image *pooled_image_get_new(const struct pooled_image *s)
{
	struct new_image *new_image = s->new_image;

	return new_image && !atomic_load(&new_image->replaced) ? new_image : NULL;
}

void pooled_image_set_new(
	struct pooled_image *s, struct new_image *new_image, struct fingerprint *fingerprint)
{
	pthread_mutex_lock(&s->pool->lock);
	fingerprint_free(&s->fingerprint);
	s->fingerprint = *fingerprint;
	s->has_fingerprint = true;
	s->how = *s->pool->how;
	s->how.format = new_image->format->name;
	s->to_write = s->how;
	s->to_write.write = true;
	s->new_image = new_image;
	pthread_mutex_unlock(&s->pool->lock);
}

unsigned pooled_image_generation(const struct pooled_image *s)
{
	return s->generation;
}

unsigned pooled_image_state(const struct pooled_image *s)
{
	return s->state;
}
