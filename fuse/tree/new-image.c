/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "new-image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/identity.h"
#include "io/io.h"
#include "io/lock.h"
#include "view/view.h"
#include "image/creation.h"
#include "image/fingerprint.h"
#include "image/format.h"
#include "image/image.h"
#include "open/create.h"
#include "open/registry.h"
#include "pooled-image.h"
#include "shown.h"

/* A file of no bytes is an image of no format. */
#define RAW_MIN 512

/* A disk that grows doubles its size, within these bounds. */
#define GROW_MIN (UINT64_C(16) << 20)
#define GROW_MAX (UINT64_C(64) << 30)

static bool is_raw(const struct new_image *f)
{
	return f->format == registry_find("raw");
}

/* Creating. */

/* old: the file that is replaced; NULL: there must be none. */
static int create(const struct new_image *f, uint64_t size, const struct identity *old,
	struct fingerprint *made, struct err *e)
{
	struct create_request request = {
		.size = size == 0 && is_raw(f) ? RAW_MIN : size,
		.options = (const char *const *)f->options.v,
		.replace = old,
		.replaces = old,
		.new_parts = true,
		.made = made,
	};

	return image_create(f->format, f->path, &request, e);
}

int new_image_create(const struct format *format, const char *path, struct new_image **out,
	struct fingerprint *fingerprint, struct err *e)
{
	struct new_image *f = calloc(1, sizeof *f);
	int ret;

	if (!f || !(f->path = strdup(path))) {
		free(f);
		return err_nomem(e);
	}
	pthread_mutex_init(&f->lock, NULL);
	f->format = format;
	f->empty = true;
	f->free = new_image_free;
	ret = create(f, 0, NULL, fingerprint, e);
	if (ret < 0) {
		new_image_free(f);
		return ret;
	}
	identity_await_tick(fingerprint_first(fingerprint));
	*out = f;
	return 0;
}

void new_image_free(struct new_image *f)
{
	string_list_free(&f->options);
	free(f->path);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Creates the image again in its file, so that the name leads to an image at any time; other files
 * of the image are removed, and new ones created. */
static int create_again(
	const struct new_image *f, struct pooled_image *s, uint64_t size, struct err *e)
{
	struct fingerprint made = {0}, *fingerprint;
	int ret = pooled_image_begin_change(s, &fingerprint, e);

	if (ret < 0)
		return ret;
	ret = fingerprint_unlink_after(fingerprint, 1, e);
	if (ret == 0)
		ret = create(f, size, fingerprint_first(fingerprint), &made, e);
	if (made.n > 0) {
		fingerprint_free(fingerprint);
		*fingerprint = made;
	}
	return pooled_image_end_change(s, ret, e);
}

/* Options. */

/* The index of the option with the name that precedes '=' in option; their number: none. */
static size_t find_option(const struct new_image *f, const char *option)
{
	size_t len = strcspn(option, "="), i = 0;

	while (i < f->options.n &&
		(strncmp(f->options.v[i], option, len) != 0 || f->options.v[i][len] != '='))
		i++;
	return i;
}

static int set_option(
	struct new_image *f, struct pooled_image *s, const char *option, struct err *e)
{
	struct string_list *options = &f->options;
	size_t i = find_option(f, option), n = options->n;
	struct err ignored = ERR_INIT;
	char *old = NULL;
	int ret;

	if (!string_list_add(options, option))
		return err_nomem(e);
	if (i < n) {
		old = options->v[i];
		options->v[i] = options->v[n];
		options->v[n] = NULL;
		options->n = n;
	}
	ret = create_again(f, s, 0, e);
	if (ret == 0) {
		free(old);
		return 0;
	}
	free(options->v[i]);
	options->v[i] = old;
	options->n = n;
	if (ret != -ESTALE)
		create_again(f, s, 0, &ignored);
	return ret;
}

int new_image_set_option(
	struct new_image *f, struct pooled_image *s, const char *option, struct err *e)
{
	int ret;

	pthread_mutex_lock(&f->lock);
	ret = f->empty ? set_option(f, s, option, e)
		       : err_set(e, EBUSY, "%s: the image is no longer empty", option);
	pthread_mutex_unlock(&f->lock);
	return ret;
}

int new_image_get_option(struct new_image *f, const char *name, char **value)
{
	int ret = -ENODATA;
	size_t i;

	pthread_mutex_lock(&f->lock);
	i = find_option(f, name);
	if (i < f->options.n) {
		*value = strdup(strchr(f->options.v[i], '=') + 1);
		ret = *value ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

/* Removing. */

/* An image that another program reads or writes stays. */
static int unlink_files(const struct new_image *f, struct pooled_image *s, struct err *e)
{
	struct fingerprint *fingerprint;
	struct io *io;
	int ret = pooled_image_begin_change(s, &fingerprint, e);

	if (ret < 0)
		return ret;
	io = io_open(f->path, e);
	ret = io ? io_make_writable(io, e) : -e->code;
	if (ret == 0)
		ret = lock_for_writing(io, e);
	if (ret == 0)
		ret = fingerprint_unlink_after(fingerprint, 0, e);
	io_unref(io);
	return pooled_image_end_change(s, ret, e);
}

int new_image_remove(struct new_image *f, struct pooled_image *s, struct err *e)
{
	int ret;

	pthread_mutex_lock(&f->lock);
	ret = f->empty ? unlink_files(f, s, e) : -ENOTEMPTY;
	pthread_mutex_unlock(&f->lock);
	return ret;
}

/* Growing. */

uint64_t new_image_size(const struct new_image *f, const struct view *view)
{
	if (f->empty)
		return 0;
	return f->growing ? f->end : view->size;
}

/* A disk has whole sectors, except in a plain file. */
static uint64_t round_size(const struct new_image *f, uint32_t sector, uint64_t size)
{
	return is_raw(f) ? size : round_up(size, MAX(sector, 512u));
}

static int resize(struct new_image *f, const struct shown *shown, uint64_t size, struct err *e)
{
	return view_resize(shown->state->view, round_size(f, shown->img->sector_size, size), e);
}

int new_image_begin(struct new_image *f, struct pooled_image *s, uint64_t size, struct err *e)
{
	struct err ignored = ERR_INIT;
	int ret = create_again(f, s, round_size(f, 0, size), e);

	if (ret == 0)
		f->empty = false;
	else if (ret != -ESTALE)
		create_again(f, s, 0, &ignored);
	return ret;
}

/* Twice the size may be too much for the format or the host, while the size needed is not.  EFBIG:
 * a disk of the format cannot be that large. */
int new_image_extend(struct new_image *f, const struct shown *shown, uint64_t end, struct err *e)
{
	uint64_t size = shown->state->view->size;
	uint64_t more = MIN(MAX(size, GROW_MIN), GROW_MAX);
	struct err ignored = ERR_INIT;
	int ret = 0;

	if (end > size && resize(f, shown, MAX(end, size + more), &ignored) < 0)
		ret = resize(f, shown, end, e);
	if (ret == -EOPNOTSUPP)
		e->code = EFBIG;
	if (ret < 0)
		return -e->code;
	f->end = end;
	f->growing = true;
	return 0;
}

int new_image_end_growth(struct new_image *f, const struct shown *shown, struct err *e)
{
	int ret;

	if (!f->growing || f->end == 0)
		return 0;
	ret = resize(f, shown, f->end, e);
	f->growing = false;
	return ret;
}

int new_image_truncate(struct new_image *f, const struct shown *shown, uint64_t size, struct err *e)
{
	struct view *view = shown->state->view;
	uint64_t before = new_image_size(f, view);

	if (size < before && view_clear(view, size, before - size, e) < 0)
		return -e->code;
	f->end = size;
	f->growing = true;
	return new_image_end_growth(f, shown, e);
}
