/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/err.h"
#include "io/io.h"
#include "image/format.h"
#include "image/image.h"
#include "open/create.h"
#include "open/named.h"
#include "open/open.h"
#include "open/registry.h"

#define FORMAT "qcow2"

/* The image below the overlay. */
struct base {
	char *path; /* or the name of its server */
	bool is_server;
	const char *format;
	dev_t dev;
	ino_t ino;
};

/* Opens the image by itself and records what the overlay needs.  The overlay may lie in any
 * directory, since the user has named both files: that of the image is allowed. */
static int read_base(const char *image, const struct image_options *how, struct base *base,
	struct string_list *allow, struct err *e)
{
	struct image *img;
	bool allowed;
	int ret = image_open(image, how, &img, e);

	if (ret < 0)
		return ret;
	base->is_server = named_is_server(image, how);
	if (img->gate.package || (!base->is_server && !image_dir(img))) {
		image_close(img);
		return err_set(e, ENOTSUP,
			"%s: a qcow2 overlay cannot be based on a disk in a package; copy the disk "
			"out of its export/ and mount the copy",
			image);
	}
	base->path = strdup(base->is_server ? image : img->path);
	base->format = img->format->name;
	base->dev = img->io->dev;
	base->ino = img->io->ino;
	allowed = base->is_server || string_list_add(allow, image_dir(img));
	image_close(img);
	return base->path && allowed ? 0 : err_nomem(e);
}

/* Does the image record base as its backing file?  A server has no other identity than its name. */
static bool is_overlay_of(const struct image *img, const struct base *base)
{
	const struct image *parent = img->parent;

	if (base->is_server)
		return img->parent_name && strcmp(img->parent_name, base->path) == 0;
	return parent && parent->io->dev == base->dev && parent->io->ino == base->ino;
}

/* Opens the overlay, created if need be. */
static int open_overlay(const char *file, const struct base *base, const struct image_options *how,
	struct image **img, struct err *e)
{
	const struct create_request request = {
		.size = CREATE_NO_SIZE,
		.backing = base->path,
		.backing_format = base->format,
		.how = how,
	};
	int ret = 0;

	if (access(file, F_OK) < 0)
		ret = image_create(registry_find(FORMAT), file, &request, e);
	if (ret == 0)
		ret = image_open(file, how, img, e);
	if (ret < 0)
		return ret;
	if (is_overlay_of(*img, base))
		return 0;
	image_close(*img);
	*img = NULL;
	return err_set(e, EINVAL, "%s: it is no overlay of %s", file, base->path);
}

/* Opens an overlay in a directory that no other user may enter, and removes its name. */
static int open_nameless(
	const struct base *base, const struct image_options *how, struct image **img, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = NULL, *path = NULL;
	int ret;

	if (asprintf(&dir, "%s/vdiskfs-XXXXXX", tmp && *tmp ? tmp : "/var/tmp") < 0)
		return err_nomem(e);
	if (!mkdtemp(dir)) {
		ret = err_set(e, errno, "%s: %s", dir, strerror(errno));
	} else if (asprintf(&path, "%s/overlay." FORMAT, dir) < 0) {
		path = NULL;
		ret = err_nomem(e);
		rmdir(dir);
	} else {
		ret = open_overlay(path, base, how, img, e);
		unlink(path);
		rmdir(dir);
	}
	free(path);
	free(dir);
	return ret;
}

/* The options to open the overlay with. */
static void set_options(
	struct image_options *how, const char *image, const struct base *base, struct cow *c)
{
	c->backing[0] = base->is_server ? image : "";
	c->backing[1] = how->backing ? how->backing[0] : NULL;
	how->backing = c->backing;
	how->allow = (const char *const *)c->allow.v;
	how->format = FORMAT;
	how->write = true;
}

int cow_open(const char *image, const char *file, struct image_options *how, struct cow *c,
	struct image **img, struct err *e)
{
	struct base base = {0};
	int ret = 0;

	for (size_t i = 0; ret == 0 && how->allow && how->allow[i]; i++)
		ret = string_list_add(&c->allow, how->allow[i]) ? 0 : err_nomem(e);
	if (ret == 0)
		ret = read_base(image, how, &base, &c->allow, e);
	if (ret == 0) {
		set_options(how, image, &base, c);
		ret = file ? open_overlay(file, &base, how, img, e)
			   : open_nameless(&base, how, img, e);
	}
	free(base.path);
	return ret;
}

void cow_free(struct cow *c)
{
	string_list_free(&c->allow);
}
