/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* new-image.c - making images, and making them anew. */
#include "new-image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "open/create.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "io/identity.h"
#include "io/io.h"
#include "io/lock.h"
#include "image-pool.h"
#include "image/fingerprint.h"
#include "view/view.h"

/* Words. */

static size_t name_len(const char *word)
{
	return strcspn(word, "=");
}

static bool same_name(const char *a, const char *b)
{
	return name_len(a) == name_len(b) && strncmp(a, b, name_len(a)) == 0;
}

const char *new_image_option(const struct new_image *f, const char *name)
{
	for (size_t i = 0; i < f->noptions; i++)
		if (same_name(f->options[i], name))
			return f->options[i] + name_len(name) + 1;
	return NULL;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

/* A list with one more text, a copy; NULL-terminated. */
static int add_text(char ***texts, size_t *n, const char *text, struct err *e)
{
	char **more = reallocarray(*texts, *n + 2, sizeof *more);

	if (!more)
		return err_nomem(e);
	*texts = more;
	more[*n] = strdup(text);
	if (!more[*n])
		return err_nomem(e);
	more[++*n] = NULL;
	return 0;
}

/* The image. */

/* A file of no bytes is an image of no format. */
#define LEAST 512

/* old: the file that is replaced; NULL: there is none. */
static int create(const struct new_image *f, uint64_t size, const struct identity *old,
	struct fingerprint *made, struct err *e)
{
	struct create_request request = {
		.size = size == 0 && f->format == registry_find("raw") ? LEAST : size,
		.options = (const char *const *)f->options,
		.replace = old,
		.replaces = old,
		.new_parts = true,
		.made = made,
	};

	return image_create(f->format, f->path, &request, e);
}

struct remaking {
	struct new_image *f;
	uint64_t size;
};

/* In the same file, so that its name means it at any time; other files are other ones then. */
static int remake(void *arg, struct fingerprint *stamp, struct err *e)
{
	const struct remaking *r = arg;
	struct fingerprint made = {0};
	int ret = fingerprint_unlink_after(stamp, 1, e);

	if (ret == 0)
		ret = create(r->f, r->size, fingerprint_first(stamp), &made, e);
	if (made.n > 0) {
		fingerprint_free(stamp);
		*stamp = made;
	}
	return ret;
}

static int make_anew(struct new_image *f, struct pooled_image *s, uint64_t size, struct err *e)
{
	struct remaking r = {.f = f, .size = size};

	return pooled_image_change(s, remake, &r, e);
}

int new_image_create(const struct format *format, const char *path, struct new_image **out,
	struct fingerprint *stamp, struct err *e)
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
	ret = create(f, 0, NULL, stamp, e);
	if (ret < 0) {
		new_image_free(f);
		return ret;
	}
	identity_settle(fingerprint_first(stamp));
	*out = f;
	return 0;
}

void new_image_free(struct new_image *f)
{
	if (!f)
		return;
	free_texts(f->options, f->noptions);
	free(f->path);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Puts a word in the place of the one with its name, or behind all. */
static int put_word(struct new_image *f, const char *word, char **old, struct err *e)
{
	char *copy;

	*old = NULL;
	for (size_t i = 0; i < f->noptions; i++) {
		if (!same_name(f->options[i], word))
			continue;
		copy = strdup(word);
		if (!copy)
			return err_nomem(e);
		*old = f->options[i];
		f->options[i] = copy;
		return 0;
	}
	return add_text(&f->options, &f->noptions, word, e);
}

static void take_back(struct new_image *f, const char *word, char *old)
{
	for (size_t i = 0; i < f->noptions; i++) {
		if (!same_name(f->options[i], word))
			continue;
		free(f->options[i]);
		f->options[i] = old ? old : f->options[--f->noptions];
		f->options[f->noptions] = NULL;
		return;
	}
}

int new_image_set_option(
	struct new_image *f, struct pooled_image *s, const char *word, struct err *e)
{
	struct err ignored = ERR_INIT;
	char *old;
	int ret = put_word(f, word, &old, e);

	if (ret < 0)
		return ret;
	ret = make_anew(f, s, 0, e);
	if (ret == 0) {
		free(old);
		return 0;
	}
	take_back(f, word, old);
	if (ret != -ESTALE)
		make_anew(f, s, 0, &ignored);
	return ret;
}

int new_image_begin(struct new_image *f, struct pooled_image *s, uint64_t size, struct err *e)
{
	struct err ignored = ERR_INIT;
	int ret = make_anew(f, s, size, e);

	if (ret < 0 && ret != -ESTALE)
		make_anew(f, s, 0, &ignored);
	if (ret == 0)
		f->empty = false;
	return ret;
}

/* What another program reads or writes stays. */
static int lock_file(const char *path, struct io **io, struct err *e)
{
	int ret;

	*io = io_open(path, e);
	if (!*io)
		return -e->code;
	ret = io_make_writable(*io, e);
	return ret == 0 ? lock_for_writing(*io, e) : ret;
}

static int take_away(void *arg, struct fingerprint *stamp, struct err *e)
{
	const struct new_image *f = arg;
	struct io *io;
	int ret = lock_file(f->path, &io, e);

	if (ret == 0)
		ret = fingerprint_unlink_after(stamp, 0, e);
	io_unref(io);
	return ret;
}

int new_image_remove(struct new_image *f, struct pooled_image *s, struct err *e)
{
	return pooled_image_change(s, take_away, f, e);
}

uint64_t new_image_size(const struct new_image *f, const struct view *view)
{
	if (f->empty)
		return 0;
	return f->growing ? f->end : view->size;
}
