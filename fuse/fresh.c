/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fresh.c - making images, and making them anew. */
#include "fresh.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "create.h"
#include "err.h"
#include "format.h"
#include "host.h"
#include "image.h"
#include "io.h"
#include "source.h"
#include "view.h"

/* Words. */

static size_t name_len(const char *word)
{
	return strcspn(word, "=");
}

static bool same_name(const char *a, const char *b)
{
	return name_len(a) == name_len(b) && strncmp(a, b, name_len(a)) == 0;
}

const char *fresh_option(const struct fresh *f, const char *name)
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

static int create(const struct fresh *f, uint64_t size, bool replace, struct err *e)
{
	struct create_request request = {
		.size = size == 0 && f->format == format_find("raw") ? LEAST : size,
		.options = (const char *const *)f->options,
		.replace = replace,
		.new_parts = true,
	};

	return image_create(f->format, f->path, &request, e);
}

static void remove_parts(struct fresh *f)
{
	for (size_t i = 0; i < f->nparts; i++)
		host_unlink(f->parts[i]);
	free_texts(f->parts, f->nparts);
	f->parts = NULL;
	f->nparts = 0;
}

/* Nothing but the image itself is there under these names: it has no parent, and each was made with
 * it. */
static int note_parts(struct fresh *f, struct source *s, struct err *e)
{
	const struct image *img;
	int ret = f->knows_parts ? 1 : source_pin(s, ANY_GENERATION, &img, e);

	if (ret != 0)
		return MIN(ret, 0);
	for (size_t i = 0; i < img->nfiles && ret == 0; i++)
		if (img->files[i] != img->io)
			ret = add_text(&f->parts, &f->nparts, img->files[i]->name, e);
	source_unpin(s);
	f->knows_parts = ret == 0;
	return ret;
}

struct remaking {
	struct fresh *f;
	uint64_t size;
};

/* In the same file, so that its name means it at any time. */
static int remake(void *arg, struct err *e)
{
	const struct remaking *r = arg;
	int ret;

	remove_parts(r->f);
	ret = create(r->f, r->size, true, e);
	/* Of one that did not come to be no parts are left. */
	r->f->knows_parts = ret < 0;
	return ret;
}

static int make_anew(struct fresh *f, struct source *s, uint64_t size, struct err *e)
{
	struct remaking r = {.f = f, .size = size};
	int ret = note_parts(f, s, e);

	return ret < 0 ? ret : source_change(s, remake, &r, e);
}

int fresh_make(const struct format *format, const char *path, struct fresh **out, struct err *e)
{
	struct fresh *f = calloc(1, sizeof *f);
	int ret;

	if (!f || !(f->path = strdup(path))) {
		free(f);
		return err_nomem(e);
	}
	pthread_mutex_init(&f->lock, NULL);
	f->format = format;
	f->empty = true;
	ret = create(f, 0, false, e);
	if (ret < 0)
		fresh_free(f);
	else
		*out = f;
	return ret;
}

void fresh_free(struct fresh *f)
{
	if (!f)
		return;
	free_texts(f->options, f->noptions);
	free_texts(f->parts, f->nparts);
	free(f->path);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Puts a word in the place of the one with its name, or behind all. */
static int put_word(struct fresh *f, const char *word, char **old, struct err *e)
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

static void take_back(struct fresh *f, const char *word, char *old)
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

int fresh_set_option(struct fresh *f, struct source *s, const char *word, struct err *e)
{
	struct err ignored = ERR_INIT;
	char *old;
	int ret = put_word(f, word, &old, e);

	if (ret < 0)
		return ret;
	ret = make_anew(f, s, 0, e);
	if (ret < 0) {
		take_back(f, word, old);
		make_anew(f, s, 0, &ignored);
		return ret;
	}
	free(old);
	return 0;
}

int fresh_begin(struct fresh *f, struct source *s, uint64_t size, struct err *e)
{
	struct err ignored = ERR_INIT;
	int ret = make_anew(f, s, size, e);

	if (ret < 0)
		make_anew(f, s, 0, &ignored);
	else
		f->empty = false;
	return ret;
}

static int take_away(void *arg, struct err *e)
{
	struct fresh *f = arg;

	remove_parts(f);
	return host_unlink(f->path) < 0 ? err_set(e, errno, "%s: %s", f->path, strerror(errno)) : 0;
}

int fresh_remove(struct fresh *f, struct source *s, struct err *e)
{
	int ret = note_parts(f, s, e);

	return ret < 0 ? ret : source_change(s, take_away, f, e);
}

uint64_t fresh_size(const struct fresh *f, const struct view *view)
{
	if (f->empty)
		return 0;
	return f->growing ? f->end : view->size;
}
