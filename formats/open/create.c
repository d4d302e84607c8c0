/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - from a request to a new image. */
#include "create.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "image/format.h"
#include "image/image.h"
#include "io/header-last.h"
#include "io/io.h"
#include "open.h"
#include "util/err.h"
#include "util/flag.h"
#include "util/limits.h"
#include "util/nearest.h"
#include "util/size.h"
#include "view/view.h"

/* Options. */

static int check_value(const struct create_option *o, const char *value, struct err *e)
{
	char list[ERR_TEXT / 2] = "";
	size_t n = 0;
	uint64_t bytes;
	bool on;

	switch (o->kind) {
	case CREATE_SIZE:
		if (size_parse(value, &bytes) < 0)
			return err_set(e, EINVAL,
				"Parameter '%s' expects a size such as 64k, not '%s'", o->name,
				value);
		return 0;
	case CREATE_NUMBER:
		if (!*value || value[strspn(value, "0123456789")])
			return err_set(e, EINVAL, "Parameter '%s' expects a number, not '%s'",
				o->name, value);
		return 0;
	case CREATE_FLAG:
		if (!flag_parse(value, &on))
			return err_set(e, EINVAL, "Parameter '%s' expects 'on' or 'off'", o->name);
		return 0;
	case CREATE_WORD:
		for (const char *const *word = o->words; *word; word++)
			if (strcasecmp(value, *word) == 0)
				return 0;
		for (const char *const *word = o->words; *word && n < sizeof list; word++)
			n += snprintf(list + n, sizeof list - n, "%s%s", n > 0 ? ", " : "", *word);
		return err_set(e, EINVAL, "Parameter '%s' does not accept value '%s'; there are %s",
			o->name, value, list);
	case CREATE_TEXT:
	case CREATE_MEMBER:
		break;
	}
	return 0;
}

static int refuse_option(const struct format *f, const char *option, struct err *e)
{
	struct nearest near = nearest_to(option);
	int n = (int)strcspn(option, "=");

	for (const struct create_option *o = f->create_options; o && o->name; o++)
		nearest_offer(&near, o->name);
	if (near.best)
		return err_set(e, EINVAL, "Invalid parameter '%.*s': did you mean \"%s\"?", n,
			option, near.best);
	return err_set(e, EINVAL, "Invalid parameter '%.*s': the format %s has no such option", n,
		option, f->name);
}

static int check_options(const struct format *f, const struct create_request *r, struct err *e)
{
	for (const char *const *word = r->options; word && *word; word++) {
		size_t len = strcspn(*word, "=");
		const struct create_option *o = creation_find_option(f, *word, len);
		int ret;

		if (!o)
			return refuse_option(f, *word, e);
		ret = check_value(o, (*word)[len] ? *word + len + 1 : "on", e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The image. */

static int open_backing(struct creation *c, struct image **parent, struct err *e)
{
	struct image_options how = *c->request->how;
	int r;

	how.format = c->request->backing_format;
	how.write = false;
	how.share = true; /* of a running machine: its next overlay */
	/* The first is the image that is opened here. */
	if (how.backing && *how.backing)
		how.backing++;
	r = image_open_backing(c->path, c->request->backing, &how, parent, e);
	c->parent = r == 0 ? *parent : NULL;
	return r < 0 ? err_in(e, "backing file") : 0;
}

/* The locks of a file that is replaced do not exclude its use as a backing file, which is opened
 * even if another program writes to it. */
static int check_target(const struct creation *c, struct err *e)
{
	const char *path = creation_target(c), *backing = c->request->backing;
	struct stat st, named;

	if (!backing || stat(path, &st) < 0)
		return 0;
	if (!creation_is_own(c, &st) &&
		!(creation_stat(c, backing, &named) == 0 && named.st_dev == st.st_dev &&
			named.st_ino == st.st_ino))
		return 0;
	return err_set(e, EBUSY, "%s: the new image needs it as a backing file", path);
}

static int choose_size(struct creation *c, struct err *e)
{
	c->size = c->request->size;
	if (c->size == CREATE_NO_SIZE && !c->parent)
		return err_set(e, EINVAL, "an image needs a size");
	if (c->size == CREATE_NO_SIZE)
		c->size = c->parent->states[0]->view->size;
	if (c->size > LIMIT_DISK_SIZE)
		return err_set(e, EFBIG, "a disk of %" PRIu64 " bytes is too large", c->size);
	return 0;
}

/* Sets emptied once the old contents are gone. */
static int create_in(struct creation *c, struct io *io, bool *emptied, struct err *e)
{
	int r;

	c->io = header_last_new(io, e);
	if (!c->io)
		return -e->code;
	r = c->format->create(c, e);
	for (size_t i = 0; r == 0 && i < c->nparts; i++)
		r = io_sync(c->parts[i].io, e);
	if (r == 0)
		r = header_last_finish(c->io, e);
	*emptied = header_last_begun(c->io);
	io_unref(c->io);
	return r;
}

static int create(struct creation *c, struct err *e)
{
	struct created first = {0};
	int r = creation_make_file(
		c->request, c->path, c->request->replace, c->request->replaces, &first, e);

	if (r == 0) {
		creation_apply_host_options(c, first.io);
		r = create_in(c, first.io, &first.emptied, e);
		if (r < 0)
			err_in(e, "%s", c->path);
	}
	creation_end_file(c, &first, r == 0);
	for (size_t i = 0; i < c->nparts; i++)
		creation_end_file(c, &c->parts[i], r == 0);
	free(c->parts);
	return r;
}

int image_create_check(const struct format *format, const struct create_request *r, struct err *e)
{
	int ret;

	if (!format->create)
		return err_set(
			e, ENOTSUP, "images of the format %s cannot be created", format->name);
	ret = check_options(format, r, e);
	if (ret == 0 && r->backing && !format->can_back)
		ret = err_set(e, ENOTSUP, "Backing file not supported for file format '%s'",
			format->name);
	if (ret == 0 && r->compressed && !format->can_compress)
		ret = err_set(e, ENOTSUP, "Compression not supported for this file format");
	return ret;
}

int image_create(const struct format *format, const char *path, const struct create_request *r,
	struct err *e)
{
	struct creation c = {.format = format, .request = r, .path = path};
	struct image *parent = NULL;
	int ret = image_create_check(format, r, e);

	if (ret == 0 && r->backing && !r->unchecked)
		ret = open_backing(&c, &parent, e);
	if (ret == 0)
		ret = check_target(&c, e);
	if (ret == 0)
		ret = choose_size(&c, e);
	if (ret == 0)
		ret = create(&c, e);
	image_close(parent);
	return ret;
}

int image_create_io(
	const struct format *format, struct io *io, const struct create_request *r, struct err *e)
{
	struct creation c = {.format = format, .request = r};
	int ret = image_create_check(format, r, e);
	bool ignored;

	if (ret == 0)
		ret = choose_size(&c, e);
	return ret == 0 ? create_in(&c, io, &ignored, e) : ret;
}

int image_measure(const struct format *format, const struct create_request *r,
	const struct view *disk, struct measured *m, struct err *e)
{
	struct creation c = {.format = format, .request = r, .size = r->size};
	int ret;

	if (!format->measure)
		return err_set(e, ENOTSUP, "Block driver '%s' does not support size measurement",
			format->name);
	ret = image_create_check(format, r, e);
	return ret == 0 ? format->measure(disk, &c, m, e) : ret;
}
