/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stamp.c - see stamp.h. */
#include "host.h"
#include "stamp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "err.h"
#include "image.h"
#include "io.h"

#define ANY_SIZE -1 /* of a file of which a part counts */

struct stamped {
	char *path; /* of the host's file */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

/* A member of an archive is as old as the archive. */
static char *path_of(const struct io *io)
{
	return io->member ? strndup(io->name, (size_t)(io->member - io->name) - 1)
			  : strdup(io->name);
}

static int take_file(struct stamped *f, const struct io *io, struct err *e)
{
	*f = (struct stamped){
		.path = path_of(io),
		.dev = io->dev,
		.ino = io->ino,
		.size = io->member ? ANY_SIZE : (off_t)io->size,
		.mtime = io->mtime,
	};
	return f->path ? 0 : err_nomem(e);
}

int stamp_take(struct stamp *s, const struct image *img, struct err *e)
{
	size_t n = 0;
	int r = 0;

	for (const struct image *i = img; i; i = i->parent)
		n += i->nfiles;
	*s = (struct stamp){.files = calloc(n + 1, sizeof s->files[0])};
	if (!s->files)
		return err_nomem(e);
	for (const struct image *i = img; i && r == 0; i = i->parent)
		for (size_t k = 0; k < i->nfiles && r == 0; k++)
			r = take_file(&s->files[s->n++], i->files[k], e);
	if (r < 0)
		stamp_free(s);
	return r;
}

void stamp_free(struct stamp *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->files[i].path);
	free(s->files);
	*s = (struct stamp){0};
}

void stamp_renew(struct stamp *s)
{
	struct stat st;

	for (size_t i = 0; i < s->n; i++) {
		struct stamped *f = &s->files[i];

		if (host_stat(f->path, &st) < 0)
			continue;
		f->mtime = st.st_mtim;
		f->size = f->size == ANY_SIZE ? ANY_SIZE : st.st_size;
	}
}

static bool same(const struct stamped *a, const struct stamped *b)
{
	return a->dev == b->dev && a->ino == b->ino &&
	       (a->size == b->size || a->size == ANY_SIZE) && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

bool stamp_is_same(const struct stamp *a, const struct stamp *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same(&a->files[i], &b->files[i]))
			return false;
	return true;
}

static bool looks_the_same(const struct stamped *f)
{
	struct stat st;
	struct stamped now;

	if (host_stat(f->path, &st) < 0)
		return false;
	now = (struct stamped){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.size = st.st_size,
		.mtime = st.st_mtim,
	};
	return same(f, &now);
}

bool stamp_holds(const struct stamp *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!looks_the_same(&s->files[i]))
			return false;
	return true;
}
