/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fingerprint.c - see fingerprint.h. */
#include "fingerprint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/err.h"
#include "io/host.h"
#include "io/identity.h"
#include "image.h"
#include "io/io.h"

struct fingerprint_file {
	char *path;  /* of the host's file */
	bool part;   /* the image is a part of the file: its size is another one */
	bool remote; /* a server has it, which has no other export as long as it is connected */
	struct identity id;
};

/* Adds a copy of f with the first len bytes of its path. */
static int add(struct fingerprint *s, const struct fingerprint_file *f, size_t len, struct err *e)
{
	struct fingerprint_file *more = reallocarray(s->files, s->n + 1, sizeof more[0]);
	char *path = strndup(f->path, len);

	if (more)
		s->files = more;
	if (!more || !path) {
		free(path);
		return err_nomem(e);
	}
	more[s->n] = *f;
	more[s->n++].path = path;
	return 0;
}

static int add_file(struct fingerprint *s, const struct io *io, struct err *e)
{
	const struct fingerprint_file f = {
		.path = (char *)io->name,
		.part = io->member,
		.remote = io->server,
		.id = {io->dev, io->ino, (off_t)io->size, io->mtime, io->ctime},
	};

	/* A member of an archive is as old as the archive. */
	return add(s, &f, io->member ? (size_t)(io->member - io->name) - 1 : strlen(io->name), e);
}

int fingerprint_add_image(struct fingerprint *s, const struct image *img, struct err *e)
{
	int r = 0;

	for (const struct image *i = img; i && r == 0; i = i->parent)
		for (size_t k = 0; k < i->nfiles && r == 0; k++)
			r = add_file(s, i->files[k], e);
	return r;
}

int fingerprint_take(struct fingerprint *s, const struct image *img, struct err *e)
{
	int r;

	*s = (struct fingerprint){0};
	r = fingerprint_add_image(s, img, e);
	if (r < 0)
		fingerprint_free(s);
	return r;
}

int fingerprint_add_path(struct fingerprint *s, const char *path, struct err *e)
{
	struct fingerprint_file f = {.path = (char *)path};
	struct stat st;

	if (host_stat(path, &st) < 0)
		return 0;
	f.id = identity_of(&st);
	return add(s, &f, strlen(path), e);
}

int fingerprint_add_all(struct fingerprint *s, const struct fingerprint *from, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < from->n && r == 0; i++)
		r = add(s, &from->files[i], strlen(from->files[i].path), e);
	return r;
}

int fingerprint_add(struct fingerprint *s, const struct io *io, struct err *e)
{
	int r = add_file(s, io, e);

	if (r < 0)
		return r;
	r = identity_of_fd(io->fd, &s->files[s->n - 1].id);
	return r < 0 ? err_set(e, -r, "%s: %s", io->name, strerror(-r)) : 0;
}

void fingerprint_free(struct fingerprint *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->files[i].path);
	free(s->files);
	*s = (struct fingerprint){0};
}

/* The files of the image come first; those of its parents are never written. */
void fingerprint_renew(struct fingerprint *s, const struct image *img)
{
	for (size_t i = 0; i < img->nfiles && i < s->n; i++)
		if (img->files[i]->fd >= 0)
			identity_of_fd(img->files[i]->fd, &s->files[i].id);
}

static bool same(const struct fingerprint_file *f, struct identity id)
{
	if (f->part)
		id.size = f->id.size;
	return identity_is_same(&f->id, &id);
}

bool fingerprint_is_same(const struct fingerprint *a, const struct fingerprint *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same(&a->files[i], b->files[i].id))
			return false;
	return true;
}

bool fingerprint_holds(const struct fingerprint *s)
{
	struct stat st;

	for (size_t i = 0; i < s->n; i++)
		if (!s->files[i].remote && (host_stat(s->files[i].path, &st) < 0 ||
						   !same(&s->files[i], identity_of(&st))))
			return false;
	return true;
}

const struct identity *fingerprint_first(const struct fingerprint *s)
{
	return &s->files[0].id;
}

int fingerprint_unlink_after(const struct fingerprint *s, size_t n, struct err *e)
{
	int r = 0;

	if (!fingerprint_holds(s))
		return err_set(e, ESTALE,
			"%s: another program has changed or replaced a file of this image",
			s->files[0].path);
	for (size_t i = n; i < s->n && r == 0; i++)
		r = identity_unlink(&s->files[i].id, s->files[i].path, e);
	return r;
}
