/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opening.c - one image: its place, its format, its driver. */
#include "opening.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "image/format.h"
#include "image/image.h"
#include "io/host.h"
#include "io/io.h"
#include "probe.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/shell.h"
#include "view/view.h"

struct opening opening_of_parent(const struct image *child, const char *format)
{
	return (struct opening){
		.format = format,
		.child = child,
		.gate = &child->gate,
		.is_disk = true,
		.guessed = !format && !child->format->records_raw_parent,
	};
}

/* Names in an image lead to its neighbours, also when the image was reached through a link. */
static int find_place(struct image *img, const struct gate *from, struct err *e)
{
	const char *member = img->io->member;
	char real[PATH_MAX];
	int r;

	if (member)
		r = asprintf(&img->path, "%s:%s", from->package_path, member);
	else if (img->io->ino && host_realpath(img->io->name, real))
		r = asprintf(&img->path, "%s", real);
	else
		return gate_init(&img->gate, from, NULL, e);
	if (r < 0) {
		img->path = NULL;
		return err_nomem(e);
	}
	return gate_init(&img->gate, from, member ? member : img->path, e);
}

/* Calls the driver.  If it fails image_close frees the parts that it has set. */
static int open_format(struct image *img, struct err *e)
{
	int r = img->format->open(img, e);

	if (r < 0) {
		img->priv = NULL;
		return err_in(e, "%s", img->io->name);
	}
	if (img->states[0]->view->size > LIMIT_DISK_SIZE)
		return err_set(e, EFBIG, "%s: a disk of more than 2^63 bytes", img->io->name);
	img->states[0]->when = img->io->mtime;
	return 0;
}

/* The given format may be the wrong one: that of the top image was given by the user, that of a
 * backing file was recorded in its child. */
static void hint_at_format(const struct image *img, const struct opening *how, struct err *e)
{
	const char *looks = probe_other(img->io, img->format, e);
	const struct image *child = how->child;

	if (looks && !how->gate)
		err_hint_code(e, HINT_FORMAT, looks);
	else if (looks && child && child->parent_name && child->format->set_backing)
		err_hint(e, "it looks like %s; if it is, record it: vdisk rebase -u -b %s -F %s %s",
			looks, shell_word(child->parent_name).text, looks,
			shell_word(child->io->name).text);
}

static const struct format *choose_format(
	const struct image *img, const struct opening *how, struct err *e)
{
	struct peek *p = NULL;
	const struct format *f;

	if (how->format)
		return probe_named(how->format, img->io, e);
	if (!how->peek && !(p = probe_read(img->io, img->io->name, LIMIT_PEEK, e)))
		return NULL;
	f = probe_choose(how->peek ? how->peek : p, how->is_disk || img->opts->any_is_raw, e);
	free(p);
	return f;
}

int opening_run(const struct opening *how, struct io *io, const struct image_options *o,
	struct image **out, struct err *e)
{
	const struct gate user = gate_on(NULL, o->allow, o->search);
	struct image *img = calloc(1, sizeof *img);
	int r;

	if (!img) {
		io_unref(io);
		return err_nomem(e);
	}
	pthread_mutex_init(&img->states_lock, NULL);
	img->opts = o;
	img->io = io;
	img->stored = io->stored;
	img->writable = (o->write || o->repair) && !how->gate;
	img->guessed = how->guessed;
	img->format_given = how->format && !how->child;
	io->cache = o->cache;
	r = how->files ? 0 : image_add_file(img, io, e);
	for (size_t i = 0; i < how->nfiles && r == 0; i++)
		r = image_add_file(img, how->files[i], e);
	if (r == 0)
		r = find_place(img, how->gate ? how->gate : &user, e);
	if (r == 0)
		img->format = choose_format(img, how, e);
	r = img->format ? open_format(img, e) : -e->code;
	if (r < 0 && how->format && img->format)
		hint_at_format(img, how, e);
	if (r < 0) {
		image_close(img);
		return r;
	}
	*out = img;
	return 0;
}
