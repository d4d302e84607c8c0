/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-pool.c - images that are shown: opened, pinned, closed.
 *
 * The thread that opens or closes an image does it without the lock, while "busy" keeps the others
 * waiting.
 */
#include "image-pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/err.h"
#include "image/format.h"
#include "new-image.h"
#include "image/image.h"
#include "open/open.h"
#include "open/package.h"
#include "image/fingerprint.h"
#include "view/view.h"

/* Images that are open though nobody uses them.  Each holds some files and a little memory. */
#define IDLE_MAX 64

struct image_pool {
	const struct image_options *how;
	struct image_options to_write;
	const char *snapshot;
	time_t idle;
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct pooled_image *first, *last; /* open and not pinned, the longest first */
	size_t nidle;
	struct pooled_image *writable; /* open ones that can be written */
};

struct pooled_image {
	atomic_uint refs;
	struct image_pool *all; /* NULL: img stays open */
	struct image_origin from;
	struct image *img;
	unsigned state;
	unsigned generation;
	struct fingerprint stamp; /* of the generation, once it is known */
	bool known;
	unsigned pins;
	unsigned holds; /* of the pins, those of files */
	bool busy;
	struct pooled_image *prev, *next; /* in the list of those that are idle */
	time_t since;
	struct pooled_image *next_writable, **link_writable; /* NULL: not in that list */
	bool renumbered; /* the states of the image that was closed last are others now */
	bool failed;     /* a flush did, and it was told */
	bool refused;    /* see refuse_once */
	struct new_image *_Atomic new_image; /* owned; NULL: not made in this mount */
	struct image_options how, to_write;  /* then: its format is known */
	pthread_mutex_t making;
	struct derived_view *derived;
};

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Sources. */

struct image_pool *image_pool_new(
	const struct image_options *how, const char *snapshot, unsigned idle, struct err *e)
{
	struct image_pool *all = calloc(1, sizeof *all);

	if (!all) {
		err_nomem(e);
		return NULL;
	}
	all->how = how;
	all->to_write = *how;
	all->to_write.write = true;
	all->snapshot = snapshot;
	all->idle = (time_t)idle;
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->done, NULL);
	return all;
}

void image_pool_free(struct image_pool *all)
{
	if (!all)
		return;
	pthread_mutex_destroy(&all->lock);
	pthread_cond_destroy(&all->done);
	free(all);
}

static struct pooled_image *pooled_image_alloc(struct err *e)
{
	struct pooled_image *s = calloc(1, sizeof *s);

	if (!s) {
		err_nomem(e);
		return NULL;
	}
	atomic_init(&s->refs, 1);
	s->generation = ANY_GENERATION + 1;
	pthread_mutex_init(&s->making, NULL);
	return s;
}

struct pooled_image *pooled_image_new(
	struct image_pool *all, const struct image_origin *from, struct err *e)
{
	struct pooled_image *s = pooled_image_alloc(e);

	if (!s)
		return NULL;
	s->all = all;
	s->from = *from;
	s->from.fence = strdup(from->fence);
	s->from.path = strdup(from->path);
	if (s->from.fence && s->from.path)
		return s;
	pooled_image_unref(s);
	err_nomem(e);
	return NULL;
}

struct pooled_image *pooled_image_of(const struct image *img, unsigned state, struct err *e)
{
	struct pooled_image *s = pooled_image_alloc(e);

	if (!s)
		return NULL;
	s->img = (struct image *)img; /* which is not ours to close */
	s->state = state;
	return s;
}

struct pooled_image *pooled_image_ref(struct pooled_image *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

/* What is made from an image. */

static void derived_link(struct pooled_image *s, struct derived_view *m)
{
	m->next = s->derived;
	if (m->next)
		m->next->link = &m->next;
	m->link = &s->derived;
	s->derived = m;
}

static void derived_free(struct derived_view *m)
{
	if (!m->link)
		return;
	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	view_free(m->view);
	*m = (struct derived_view){0};
}

/* What is made stays where it is while the source is pinned: *m is read without the lock then. */
int pooled_image_derive(
	struct pooled_image *s, struct derived_view *m, derive_fn *make, void *arg, struct err *e)
{
	int ret = 0;

	pthread_mutex_lock(&s->making);
	if (!m->view)
		ret = make(arg, &m->view, e);
	if (m->view && !m->link)
		derived_link(s, m);
	pthread_mutex_unlock(&s->making);
	return ret;
}

void pooled_image_drop_view(struct pooled_image *s, struct derived_view *m)
{
	pthread_mutex_lock(&s->making);
	derived_free(m);
	pthread_mutex_unlock(&s->making);
}

/* Those that are idle; the lock is held. */

static void idle_add(struct pooled_image *s, time_t since)
{
	struct image_pool *all = s->all;

	s->since = since;
	s->prev = all->last;
	s->next = NULL;
	*(all->last ? &all->last->next : &all->first) = s;
	all->last = s;
	all->nidle++;
}

static void idle_remove(struct pooled_image *s)
{
	struct image_pool *all = s->all;

	*(s->prev ? &s->prev->next : &all->first) = s->next;
	*(s->next ? &s->next->prev : &all->last) = s->prev;
	s->prev = s->next = NULL;
	all->nidle--;
}

/* Those that can be written; the lock is held. */

static void writable_add(struct pooled_image *s)
{
	struct image_pool *all = s->all;

	s->failed = false;
	s->next_writable = all->writable;
	if (s->next_writable)
		s->next_writable->link_writable = &s->next_writable;
	s->link_writable = &all->writable;
	all->writable = s;
}

static void writable_remove(struct pooled_image *s)
{
	if (!s->link_writable)
		return;
	*s->link_writable = s->next_writable;
	if (s->next_writable)
		s->next_writable->link_writable = s->link_writable;
	s->link_writable = NULL;
}

struct new_image *pooled_image_get_new(const struct pooled_image *s)
{
	struct new_image *new_image = s->new_image;

	return new_image && !atomic_load(&new_image->replaced) ? new_image : NULL;
}

/* Closing. */

static void warn(const struct pooled_image *s, const struct err *e)
{
	if (s->all->how->warn && err_is_first(e))
		s->all->how->warn(e->text);
}

/* Nobody waits for the answer. */
static int finish_image(struct pooled_image *s)
{
	struct err e = ERR_INIT;
	int ret = image_finish(s->img, &e);

	if (ret < 0 && !s->failed)
		warn(s, &e);
	return ret;
}

static void close_image(struct pooled_image *s)
{
	bool writable = s->img->writable;

	s->renumbered = s->img->renumbered;
	pthread_mutex_lock(&s->making);
	while (s->derived)
		derived_free(s->derived);
	pthread_mutex_unlock(&s->making);
	if (writable) {
		finish_image(s);
		fingerprint_renew(&s->stamp, s->img);
	}
	image_close(s->img);
}

/* Another generation begins with the next image that is opened.  The stamp of an image that was
 * made in this mount is kept: it tells which files are its own. */
static void end_generation(struct pooled_image *s)
{
	if (s->known)
		s->generation++;
	if (pooled_image_get_new(s))
		return;
	s->known = false;
	fingerprint_free(&s->stamp);
}

/* The stamp does not hold: what the path leads to now is not what was made in this mount. */
static void end_image(struct pooled_image *s)
{
	if (s->new_image)
		atomic_store(&s->new_image->replaced, true);
	end_generation(s);
}

/* An idle one.  The lock is released meanwhile. */
static void close_idle(struct pooled_image *s)
{
	struct image_pool *all = s->all;

	idle_remove(s);
	writable_remove(s);
	s->busy = true;
	pooled_image_ref(s);
	pthread_mutex_unlock(&all->lock);
	close_image(s);
	pthread_mutex_lock(&all->lock);
	s->img = NULL;
	if (s->renumbered)
		end_generation(s);
	s->busy = false;
	pthread_cond_broadcast(&all->done);
	pthread_mutex_unlock(&all->lock);
	pooled_image_unref(s);
	pthread_mutex_lock(&all->lock);
}

int image_pool_close_idle(struct image_pool *all)
{
	int left = -1;

	pthread_mutex_lock(&all->lock);
	while (all->first && all->first->since + all->idle <= now())
		close_idle(all->first);
	if (all->first)
		left = (int)(all->first->since + all->idle - now());
	pthread_mutex_unlock(&all->lock);
	return left;
}

bool image_pool_close_one(struct image_pool *all)
{
	bool any;

	pthread_mutex_lock(&all->lock);
	any = all->first != NULL;
	if (any)
		close_idle(all->first);
	pthread_mutex_unlock(&all->lock);
	return any;
}

/* Nobody can find it any more but through the list, which is by the lock. */
static bool last_unref(struct pooled_image *s)
{
	bool last;

	if (!s->all)
		return atomic_fetch_sub(&s->refs, 1) == 1;
	pthread_mutex_lock(&s->all->lock);
	last = atomic_fetch_sub(&s->refs, 1) == 1;
	if (last && s->img) {
		idle_remove(s);
		writable_remove(s);
	}
	pthread_mutex_unlock(&s->all->lock);
	return last;
}

void pooled_image_unref(struct pooled_image *s)
{
	if (!s || !last_unref(s))
		return;
	if (s->all && s->img)
		close_image(s);
	fingerprint_free(&s->stamp);
	new_image_free(s->new_image);
	free((char *)s->from.fence);
	free((char *)s->from.path);
	pthread_mutex_destroy(&s->making);
	free(s);
}

/* Opening. */

/* Which state of an image the user wants to see as the live one. */
static int choose_state(
	const struct pooled_image *s, const struct image *img, unsigned *state, struct err *e)
{
	const char *name = s->from.chosen ? s->all->snapshot : NULL;
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

static const struct image_options *how_to(const struct pooled_image *s, bool write)
{
	if (pooled_image_get_new(s))
		return write ? &s->to_write : &s->how;
	return write ? &s->all->to_write : s->all->how;
}

static int open_image(
	const struct pooled_image *s, bool to_write, struct image **img, struct err *e)
{
	const struct image_origin *from = &s->from;
	struct package *package;
	int ret;

	if (!from->in_package)
		return image_open_in(from->fence, from->path, how_to(s, to_write), img, e);
	ret = package_open_in(from->fence, from->path, s->all->how, &package, e);
	if (ret < 0)
		return ret;
	if (from->disk < package_count(package))
		ret = package_open_disk(package, from->disk, img, e);
	else
		ret = err_set(e, ENOENT, "%s: it has no such disk", from->path);
	package_close(package);
	return ret;
}

/* What came of opening an image. */
struct opened {
	struct image *img;
	unsigned state;
	struct fingerprint stamp;
};

static int open_all(const struct pooled_image *s, bool to_write, struct opened *o, struct err *e)
{
	int ret = open_image(s, to_write, &o->img, e);

	if (ret < 0)
		return ret;
	ret = choose_state(s, o->img, &o->state, e);
	if (ret == 0)
		ret = fingerprint_take(&o->stamp, o->img, e);
	if (ret < 0)
		image_close(o->img);
	return ret;
}

static void take_opened(struct pooled_image *s, const struct opened *o)
{
	if (s->known && !fingerprint_is_same(&s->stamp, &o->stamp))
		end_image(s);
	fingerprint_free(&s->stamp);
	s->stamp = o->stamp;
	s->known = true;
	s->img = o->img;
	s->state = o->state;
	if (s->img->writable)
		writable_add(s);
}

/* Some image that nobody uses may have the lock that another one wants: of a file that both are
 * based on, or that one writes and the other reads.  The lock is held, but not all the time. */
static int open_now(struct pooled_image *s, bool to_write, struct opened *o, struct err *e)
{
	struct image_pool *all = s->all;
	bool again = false;
	int ret;

	do {
		*e = (struct err)ERR_INIT;
		pthread_mutex_unlock(&all->lock);
		ret = open_all(s, to_write, o, e);
		pthread_mutex_lock(&all->lock);
		again = ret == -EBUSY && all->first && !again;
		while (again && all->first)
			close_idle(all->first);
	} while (again);
	return ret;
}

/* Does the stamp hold?  The lock is held, but not all the time. */
static bool holds_busy(struct pooled_image *s)
{
	bool holds;

	pthread_mutex_unlock(&s->all->lock);
	holds = fingerprint_holds(&s->stamp);
	pthread_mutex_lock(&s->all->lock);
	return holds;
}

/* The lock is held, but not all the time.  An image that cannot be opened again is none that was
 * known: somebody shall look anew, and be told why; but many cannot be written. */
static int open_busy(struct pooled_image *s, bool to_write, struct err *e)
{
	struct image_pool *all = s->all;
	struct opened o = {.img = NULL};
	int ret;

	s->busy = true;
	if (all->nidle >= IDLE_MAX)
		close_idle(all->first);
	if (pooled_image_get_new(s) && !holds_busy(s))
		end_image(s);
	ret = open_now(s, to_write, &o, e);
	if (ret == 0)
		take_opened(s, &o);
	else if (!to_write)
		end_generation(s);
	s->busy = false;
	pthread_cond_broadcast(&all->done);
	return ret;
}

/* Waits until nobody looks at the image, which those do but for a moment who do not hold it.  The
 * lock is held, but not all the time. */
static int await_alone(struct pooled_image *s, struct err *e)
{
	while (s->busy || (s->pins > 0 && s->holds == 0))
		pthread_cond_wait(&s->all->done, &s->all->lock);
	return s->holds == 0 ? 0
			     : err_set(e, EBUSY,
				       "%s: it is open for reading, and cannot be opened for "
				       "writing meanwhile",
				       s->from.path);
}

/* An image that is open is writable on return. */
static int close_unwritable(struct pooled_image *s, struct err *e)
{
	int ret = 0;

	while (ret == 0 && s->img && !s->img->writable) {
		ret = await_alone(s, e);
		if (ret == 0 && s->img && !s->img->writable)
			close_idle(s);
	}
	return ret;
}

static int pin_locked(struct pooled_image *s, unsigned generation, bool to_write, struct err *e)
{
	int ret = 0;

	do {
		while (s->busy)
			pthread_cond_wait(&s->all->done, &s->all->lock);
		if (to_write)
			ret = close_unwritable(s, e);
	} while (ret == 0 && s->busy);
	if (ret == 0 && !s->img)
		ret = open_busy(s, to_write, e);
	else if (ret == 0 && s->pins == 0)
		idle_remove(s);
	if (ret == 0)
		s->pins++;
	if (generation != ANY_GENERATION && generation != s->generation)
		return ret == 0 ? 1 : -ESTALE;
	return ret;
}

static void unpin_locked(struct pooled_image *s, time_t since)
{
	if (--s->pins > 0)
		return;
	idle_add(s, since);
	pthread_cond_broadcast(&s->all->done);
}

static int pin(struct pooled_image *s, unsigned generation, bool to_write, const struct image **img,
	struct err *e)
{
	int ret = pin_locked(s, generation, to_write, e);

	if (ret > 0) {
		unpin_locked(s, now());
		ret = -ESTALE;
	}
	*img = s->img;
	return ret;
}

int pooled_image_pin(
	struct pooled_image *s, unsigned generation, const struct image **img, struct err *e)
{
	int ret;

	if (!s->all) {
		*img = s->img;
		return 0;
	}
	pthread_mutex_lock(&s->all->lock);
	ret = pin(s, generation, false, img, e);
	pthread_mutex_unlock(&s->all->lock);
	return ret;
}

void pooled_image_unpin(struct pooled_image *s)
{
	if (!s->all)
		return;
	pthread_mutex_lock(&s->all->lock);
	unpin_locked(s, now());
	pthread_mutex_unlock(&s->all->lock);
}

/* Who fills an image that was made here does not mean the one that another program has put in its
 * place.  Who tries again does. */
static int refuse_once(struct pooled_image *s, struct err *e)
{
	struct new_image *new_image = s->new_image;

	if (!new_image || !new_image->replaced || !new_image->empty || s->refused)
		return 0;
	s->refused = true;
	return err_set(e, EBUSY,
		"%s: another program has changed or replaced this image since it was made here; it "
		"is not written to unless you try again",
		s->from.path);
}

int pooled_image_hold(struct pooled_image *s, unsigned generation, bool writes,
	const struct image **img, struct err *e)
{
	int ret;

	if (!s->all) {
		*img = s->img;
		return 0;
	}
	pthread_mutex_lock(&s->all->lock);
	ret = writes ? refuse_once(s, e) : 0;
	if (ret == 0)
		ret = pin(s, generation, writes, img, e);
	if (ret == 0)
		s->holds++;
	pthread_mutex_unlock(&s->all->lock);
	return ret;
}

void pooled_image_unhold(struct pooled_image *s)
{
	if (!s->all)
		return;
	pthread_mutex_lock(&s->all->lock);
	s->holds--;
	unpin_locked(s, now());
	pthread_mutex_unlock(&s->all->lock);
}

/* All that can be written. */

/* Pinned, without the lock. */
static int flush_image(struct pooled_image *s)
{
	struct err e = ERR_INIT;
	int ret = s->failed ? 0 : image_flush(s->img, &e);

	s->failed = s->failed || ret < 0;
	if (ret < 0) {
		err_in(&e, "flush");
		warn(s, &e);
	}
	return ret;
}

/* One of them, pinned and referenced: so it stays open, and in the list. */
struct visited {
	struct pooled_image *s; /* NULL: the last was before */
	bool idle;              /* it was not pinned otherwise */
	time_t since;
};

static struct visited visit_begin(struct pooled_image *s)
{
	struct visited v = {.s = s};

	if (!s)
		return v;
	pooled_image_ref(s);
	v.idle = s->pins == 0;
	v.since = s->since;
	if (v.idle)
		idle_remove(s);
	s->pins++;
	return v;
}

/* The lock is released meanwhile. */
static void visit_end(const struct visited *v)
{
	struct image_pool *all = v->s->all;

	unpin_locked(v->s, v->idle ? v->since : now());
	pthread_mutex_unlock(&all->lock);
	pooled_image_unref(v->s);
	pthread_mutex_lock(&all->lock);
}

/* The next one is pinned before the lock is released: another thread could close it. */
static int each_writable(struct image_pool *all, int (*visit)(struct pooled_image *s))
{
	struct visited v, next;
	int ret = 0;

	pthread_mutex_lock(&all->lock);
	for (v = visit_begin(all->writable); v.s; v = next) {
		pthread_mutex_unlock(&all->lock);
		if (visit(v.s) < 0)
			ret = -EIO;
		pthread_mutex_lock(&all->lock);
		next = visit_begin(v.s->next_writable);
		visit_end(&v);
	}
	pthread_mutex_unlock(&all->lock);
	return ret;
}

void image_pool_flush(struct image_pool *all)
{
	each_writable(all, flush_image);
}

int image_pool_finish(struct image_pool *all)
{
	return each_writable(all, finish_image);
}

void pooled_image_set_new(
	struct pooled_image *s, struct new_image *new_image, struct fingerprint *stamp)
{
	pthread_mutex_lock(&s->all->lock);
	fingerprint_free(&s->stamp);
	s->stamp = *stamp;
	s->known = true;
	s->how = *s->all->how;
	s->how.format = new_image->format->name;
	s->to_write = s->how;
	s->to_write.write = true;
	s->new_image = new_image;
	pthread_mutex_unlock(&s->all->lock);
}

/* The lock is held, but not all the time. */
static int close_alone(struct pooled_image *s, struct err *e)
{
	int ret;

	do {
		ret = await_alone(s, e);
		if (ret == 0 && s->img)
			close_idle(s);
	} while (ret == 0 && (s->busy || s->img));
	return ret;
}

/* The lock is held, but not all the time. */
static int change_busy(
	struct pooled_image *s, pooled_image_change_fn *change, void *arg, struct err *e)
{
	int ret;

	s->busy = true;
	pthread_mutex_unlock(&s->all->lock);
	ret = change(arg, &s->stamp, e);
	if (ret == -ESTALE)
		warn(s, e);
	pthread_mutex_lock(&s->all->lock);
	if (ret == -ESTALE)
		end_image(s);
	s->busy = false;
	pthread_cond_broadcast(&s->all->done);
	return ret;
}

int pooled_image_change(
	struct pooled_image *s, pooled_image_change_fn *change, void *arg, struct err *e)
{
	int ret;

	pthread_mutex_lock(&s->all->lock);
	ret = close_alone(s, e);
	if (ret == 0 && !pooled_image_get_new(s))
		ret = err_set(e, ESTALE, "%s: another program has changed or replaced this image",
			s->from.path);
	if (ret == 0)
		ret = change_busy(s, change, arg, e);
	pthread_mutex_unlock(&s->all->lock);
	return ret;
}

unsigned pooled_image_generation(const struct pooled_image *s)
{
	return s->generation;
}

unsigned pooled_image_state(const struct pooled_image *s)
{
	return s->state;
}

/* The lock is held, but not all the time. */
static bool check_busy(struct pooled_image *s)
{
	bool changed;

	if (s->img)
		idle_remove(s);
	s->busy = true;
	changed = !holds_busy(s);
	if (s->img)
		idle_add(s, s->since);
	s->busy = false;
	pthread_cond_broadcast(&s->all->done);
	return changed;
}

bool pooled_image_has_changed(struct pooled_image *s)
{
	bool changed = false;

	if (!s->all)
		return false;
	pthread_mutex_lock(&s->all->lock);
	while (s->busy)
		pthread_cond_wait(&s->all->done, &s->all->lock);
	/* To what we may write nobody else does. */
	if (s->known && s->pins == 0 && !(s->img && s->img->writable))
		changed = check_busy(s);
	if (changed && s->pins == 0) {
		end_image(s);
		if (s->img)
			close_idle(s);
	}
	pthread_mutex_unlock(&s->all->lock);
	return changed;
}
