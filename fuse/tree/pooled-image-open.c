/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pooled-image-open.c - pins: an image is opened for the first, and opened again to be written.
 *
 * Static functions are called with the pool's lock held; those that open, close or look at files
 * release it meanwhile, as their comments state.
 */
#include <errno.h>

#include "util/err.h"
#include "new-image.h"
#include "pooled-image-impl.h"

/* Images that are open though not pinned.  Each takes some descriptors and a little memory. */
#define IDLE_MAX 64

/* An image that was opened. */
struct opened {
	struct image *img;
	unsigned state;
	struct fingerprint fingerprint;
	bool misses_locked; /* disks of several, see disks_left_out */
};

static void opened_close(struct opened *o)
{
	fingerprint_free(&o->fingerprint);
	image_close(o->img);
	*o = (struct opened){.img = NULL};
}

static int take_fingerprint(const struct pooled_image *s, struct opened *o, struct err *e)
{
	int ret = fingerprint_take(&o->fingerprint, o->img, e);

	if (ret < 0 || s->from.ndisks == 0)
		return ret;
	ret = fingerprint_add_all(&o->fingerprint, disks_left_out(o->img, &o->misses_locked), e);
	if (ret < 0)
		fingerprint_free(&o->fingerprint);
	return ret;
}

/* Without the lock. */
static int open_state(const struct pooled_image *s, bool to_write, struct opened *o, struct err *e)
{
	bool is_new = pooled_image_get_new(s) != NULL;
	const struct image_options *how = is_new ? &s->how : s->pool->how;
	int ret;

	if (to_write)
		how = is_new ? &s->to_write : &s->pool->to_write;
	ret = s->from.ndisks > 0
		      ? disks_open(s->from.disks, s->from.ndisks, how, &o->img, e)
		      : disk_open(&s->from.place, s->from.place.in_package ? s->pool->how : how,
				&o->img, e);
	if (ret < 0)
		return ret;
	ret = pooled_image_choose_state(s, o->img, &o->state, e);
	if (ret == 0)
		ret = take_fingerprint(s, o, e);
	if (ret < 0)
		image_close(o->img);
	return ret;
}

/* Opens the image, after -EBUSY once more without the idle images: one of them may have locked a
 * file that this image needs, such as a common parent.  Releases the lock of the pool. */
static int open_after_idle(struct pooled_image *s, bool to_write, struct opened *o, struct err *e)
{
	struct image_pool *pool = s->pool;
	bool again = false;
	int ret;

	do {
		*e = (struct err)ERR_INIT;
		pthread_mutex_unlock(&pool->lock);
		ret = open_state(s, to_write, o, e);
		pthread_mutex_lock(&pool->lock);
		again = (ret == -EBUSY || (ret == 0 && o->misses_locked)) &&
			!TAILQ_EMPTY(&pool->idle) && !again;
		if (again && ret == 0)
			opened_close(o);
		while (again && !TAILQ_EMPTY(&pool->idle))
			pooled_image_close_idle(TAILQ_FIRST(&pool->idle));
	} while (again);
	return ret;
}

/* Do the files of a busy image still match its fingerprint?  Releases the lock. */
static bool fingerprint_matches(struct pooled_image *s)
{
	bool matches;

	pthread_mutex_unlock(&s->pool->lock);
	matches = fingerprint_holds(&s->fingerprint);
	pthread_mutex_lock(&s->pool->lock);
	return matches;
}

static void set_not_busy(struct pooled_image *s)
{
	s->busy = false;
	pthread_cond_broadcast(&s->pool->done);
}

/* Opens an image that is closed.  Releases the lock.  An image that cannot be opened for reading
 * any more ends its generation, so that its directory is listed again and shows the reason; an
 * image that cannot be written is normal. */
static int open_busy(struct pooled_image *s, bool to_write, struct err *e)
{
	struct image_pool *pool = s->pool;
	struct opened o = {.img = NULL};
	int ret;

	s->busy = true;
	if (pool->nidle >= IDLE_MAX)
		pooled_image_close_idle(TAILQ_FIRST(&pool->idle));
	if (pooled_image_get_new(s) && !fingerprint_matches(s))
		pooled_image_end(s);
	ret = open_after_idle(s, to_write, &o, e);
	if (ret == 0) {
		if (s->has_fingerprint && !fingerprint_is_same(&s->fingerprint, &o.fingerprint))
			pooled_image_end(s);
		fingerprint_free(&s->fingerprint);
		s->fingerprint = o.fingerprint;
		s->has_fingerprint = true;
		s->img = o.img;
		s->state = o.state;
		s->failed = false;
		if (s->img->writable)
			LIST_INSERT_HEAD(&pool->writable, s, writable);
	} else if (!to_write) {
		pooled_image_end_generation(s);
	}
	set_not_busy(s);
	return ret;
}

/* Waits until the image is not pinned but by open files, and closes it; -EBUSY: files are open.
 * Releases the lock. */
static int close_unused(struct pooled_image *s, bool only_unwritable, struct err *e)
{
	for (;;) {
		while (s->busy || (s->pins > 0 && s->holds == 0))
			pthread_cond_wait(&s->pool->done, &s->pool->lock);
		if (only_unwritable && s->img && s->img->writable)
			return 0;
		if (s->holds > 0)
			return err_set(e, EBUSY,
				"%s: it is open for reading, and cannot be opened for writing "
				"meanwhile",
				s->from.place.path);
		if (!s->img)
			return 0;
		pooled_image_close_idle(s);
	}
}

/* A program that fills an image which was created here does not mean the image that another program
 * has put in its place: the first attempt fails, and the next one is intended. */
static int refuse_once(struct pooled_image *s, struct err *e)
{
	const struct new_image *new_image = s->new_image;

	if (!new_image || !new_image->replaced || !new_image->empty || s->refused)
		return 0;
	s->refused = true;
	return err_set(e, EBUSY,
		"%s: another program has changed or replaced this image since it was created here; "
		"it "
		"is not written to unless you try again",
		s->from.place.path);
}

/* Releases the lock. */
static int pin(struct pooled_image *s, unsigned generation, bool to_write, struct err *e)
{
	int ret = to_write ? refuse_once(s, e) : 0;

	if (ret < 0)
		return ret;
	while (s->busy)
		pthread_cond_wait(&s->pool->done, &s->pool->lock);
	if (to_write && s->img && !s->img->writable)
		ret = close_unused(s, true, e);
	if (ret == 0 && !s->img)
		ret = open_busy(s, to_write, e);
	else if (ret == 0 && s->pins == 0)
		pooled_image_leave_idle(s);
	if (ret == 0)
		s->pins++;
	if (generation == ANY_GENERATION || generation == s->generation)
		return ret;
	if (ret == 0)
		pooled_image_unpin_since(s, 0);
	return -ESTALE;
}

int pooled_image_pin(struct pooled_image *s, unsigned generation, enum image_use use,
	const struct image **img, struct err *e)
{
	int ret;

	pthread_mutex_lock(&s->pool->lock);
	ret = pin(s, generation, use == USE_TO_WRITE, e);
	if (ret == 0 && use != USE_BRIEFLY)
		s->holds++;
	*img = s->img;
	pthread_mutex_unlock(&s->pool->lock);
	return ret;
}

void pooled_image_unpin(struct pooled_image *s, enum image_use use)
{
	pthread_mutex_lock(&s->pool->lock);
	if (use != USE_BRIEFLY)
		s->holds--;
	pooled_image_unpin_since(s, 0);
	pthread_mutex_unlock(&s->pool->lock);
}

int pooled_image_begin_change(
	struct pooled_image *s, struct fingerprint **fingerprint, struct err *e)
{
	int ret;

	pthread_mutex_lock(&s->pool->lock);
	ret = close_unused(s, false, e);
	if (ret == 0 && !pooled_image_get_new(s))
		ret = err_set(e, ESTALE, "%s: another program has changed or replaced this image",
			s->from.place.path);
	if (ret == 0)
		s->busy = true;
	*fingerprint = &s->fingerprint;
	pthread_mutex_unlock(&s->pool->lock);
	return ret;
}

int pooled_image_end_change(struct pooled_image *s, int ret, const struct err *e)
{
	if (ret == -ESTALE)
		pooled_image_warn(s, e);
	pthread_mutex_lock(&s->pool->lock);
	if (ret == -ESTALE)
		pooled_image_end(s);
	set_not_busy(s);
	pthread_mutex_unlock(&s->pool->lock);
	return ret;
}

bool pooled_image_has_changed(struct pooled_image *s)
{
	struct image_pool *pool = s->pool;
	bool changed = false;

	pthread_mutex_lock(&pool->lock);
	while (s->busy)
		pthread_cond_wait(&pool->done, &pool->lock);
	/* No other program writes to an image that this one has opened for writing. */
	if (s->has_fingerprint && s->pins == 0 && !(s->img && s->img->writable)) {
		if (s->img)
			pooled_image_leave_idle(s);
		s->busy = true;
		changed = !fingerprint_matches(s);
		if (s->img) {
			s->pins++;
			pooled_image_unpin_since(s, s->since);
		}
		set_not_busy(s);
	}
	if (changed && s->pins == 0) {
		pooled_image_end(s);
		if (s->img)
			pooled_image_close_idle(s);
	}
	pthread_mutex_unlock(&pool->lock);
	return changed;
}
