/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* creation.c - words to a new file. */
#include "creation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "backing.h"
#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "format.h"
#include "io/header-last.h"
#include "io/host.h"
#include "io/identity.h"
#include "image.h"
#include "io/io.h"
#include "io/lock.h"
#include "util/nearest.h"
#include "util/size.h"
#include "fingerprint.h"
#include "view/view.h"

/* Words. */

static const struct create_option *find_option(const struct format *f, const char *name, size_t len)
{
	for (const struct create_option *o = f->create_options; o && o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static bool is_flag(const char *value)
{
	return strcmp(value, "on") == 0 || strcmp(value, "off") == 0;
}

static bool is_number(const char *value)
{
	return *value && value[strspn(value, "0123456789")] == '\0';
}

static bool is_one_of(const char *value, const char *const *words)
{
	for (; *words; words++)
		if (strcasecmp(value, *words) == 0)
			return true;
	return false;
}

static int refuse_value(const struct create_option *o, const char *value, struct err *e)
{
	char list[ERR_TEXT / 2] = "";
	size_t n = 0;

	for (const char *const *word = o->words; *word && n < sizeof list; word++)
		n += snprintf(list + n, sizeof list - n, "%s%s", n > 0 ? ", " : "", *word);
	return err_set(e, EINVAL, "%s=%s: there is no such %s; there are %s", o->name, value,
		o->name, list);
}

static int check_value(const struct create_option *o, const char *value, struct err *e)
{
	uint64_t bytes;

	switch (o->kind) {
	case CREATE_SIZE:
		if (size_parse(value, &bytes) < 0)
			return err_set(
				e, EINVAL, "%s=%s: expected a size such as 64k", o->name, value);
		return 0;
	case CREATE_NUMBER:
		if (!is_number(value))
			return err_set(e, EINVAL, "%s=%s: expected a number", o->name, value);
		return 0;
	case CREATE_FLAG:
		if (!is_flag(value))
			return err_set(e, EINVAL, "%s=%s: expected on or off", o->name, value);
		return 0;
	case CREATE_WORD:
		if (!is_one_of(value, o->words))
			return refuse_value(o, value, e);
		return 0;
	case CREATE_TEXT:
		break;
	}
	return 0;
}

static int refuse_word(const struct format *f, const char *word, struct err *e)
{
	struct nearest near = nearest_to(word);
	int n = (int)strcspn(word, "=");

	for (const struct create_option *o = f->create_options; o && o->name; o++)
		nearest_offer(&near, o->name);
	if (near.best)
		return err_set(e, EINVAL,
			"the format %s has no option \"%.*s\"; did you mean \"%s\"?", f->name, n,
			word, near.best);
	return err_set(e, EINVAL, "the format %s has no option \"%.*s\"", f->name, n, word);
}

static int check_words(const struct format *f, const struct create_request *r, struct err *e)
{
	for (const char *const *word = r->options; word && *word; word++) {
		size_t len = strcspn(*word, "=");
		const struct create_option *o = find_option(f, *word, len);
		int ret;

		if (!o)
			return refuse_word(f, *word, e);
		ret = check_value(o, (*word)[len] ? *word + len + 1 : "on", e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The last word counts. */
const char *creation_text(const struct creation *c, const char *name)
{
	size_t len = strlen(name);
	const char *value = find_option(c->format, name, len)->standard;

	for (const char *const *word = c->request->options; word && *word; word++)
		if (strncmp(*word, name, len) == 0 && ((*word)[len] == '=' || !(*word)[len]))
			value = (*word)[len] ? *word + len + 1 : "on";
	return value;
}

uint64_t creation_number(const struct creation *c, const char *name, uint64_t otherwise)
{
	const char *value = creation_text(c, name);

	if (value)
		size_parse(value, &otherwise);
	return otherwise;
}

bool creation_flag(const struct creation *c, const char *name)
{
	return creation_is(c, name, "on");
}

bool creation_is(const struct creation *c, const char *name, const char *word)
{
	const char *value = creation_text(c, name);

	return value && strcasecmp(value, word) == 0;
}

/* Files. */

#define OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* The old bytes are durably gone before any new ones are written: no power cut mixes the two. */
static int empty_file(struct io *io, struct err *e)
{
	int r;

	if (io->is_block || io->size == 0)
		return 0;
	r = io_resize(io, 0, e);
	return r == 0 ? io_sync(io, e) : r;
}

static int check_identity(const struct io *io, const struct identity *wanted, struct err *e)
{
	struct identity is;
	int r = identity_of_fd(io->fd, &is);

	if (r < 0)
		return err_set(e, -r, "%s: %s", io->name, strerror(-r));
	if (!identity_is_same(&is, wanted))
		return err_set(e, ESTALE,
			"%s: another program has changed or replaced this file; it is not written "
			"to",
			io->name);
	return 0;
}

/* Unless another program has put a file of its own there. */
static void remove_file(const char *path, const struct identity *id)
{
	struct err ignored = ERR_INIT;

	identity_unlink(id, path, &ignored);
}

/* Locked before it is emptied: it may be somebody's disk. */
static int take_file(
	int fd, const char *path, const struct identity *wanted, struct io **io, struct err *e)
{
	int r;

	*io = io_from_fd(fd, path, e);
	if (!*io)
		return -e->code;
	r = io_make_writable(*io, e);
	if (r == 0)
		r = lock_for_writing(*io, e);
	if (r == 0 && wanted)
		r = check_identity(*io, wanted, e);
	if (r == 0)
		r = empty_file(*io, e);
	if (r < 0) {
		io_unref(*io);
		*io = NULL;
	}
	return r;
}

/* errno is that of opening it. */
static int refuse_path(const char *path, struct err *e)
{
	int code = errno;
	struct stat st;

	if (code == EEXIST && host_stat(path, &st) == 0 && !S_ISREG(st.st_mode) &&
		!S_ISBLK(st.st_mode))
		return err_set(e, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s: %s", path,
			S_ISDIR(st.st_mode) ? "it is a directory" : "it is not a file or a disk");
	return err_set(e, code, "%s: %s", path, strerror(code));
}

static int make_new(
	const struct create_request *req, const char *path, struct created *f, struct err *e)
{
	int fd = host_open(path, OPEN_FLAGS | O_CREAT | O_EXCL, 0666), r;
	struct identity id;

	*f = (struct created){.is_new = fd >= 0};
	if (fd < 0)
		return refuse_path(path, e);
	if (req->created)
		req->created(req->arg, path);
	identity_of_fd(fd, &id);
	r = take_file(fd, path, NULL, &f->io, e);
	if (r < 0)
		remove_file(path, &id);
	return r;
}

/* wanted: see create_request.replaces. */
static int replace_file(
	const char *path, const struct identity *wanted, struct created *f, struct err *e)
{
	/* A symbolic link is not what was made here. */
	int fd = host_open(path, OPEN_FLAGS | (wanted ? O_NOFOLLOW : O_CREAT), 0666);

	*f = (struct created){0};
	if (fd >= 0)
		return take_file(fd, path, wanted, &f->io, e);
	return err_set(e, wanted && (errno == ENOENT || errno == ELOOP) ? ESTALE : errno, "%s: %s",
		path, strerror(errno));
}

static int make_file(const struct create_request *req, const char *path, bool replace,
	const struct identity *wanted, struct created *f, struct err *e)
{
	int r = wanted ? -EEXIST : make_new(req, path, f, e);

	if (r != -EEXIST || !replace)
		return r;
	*e = (struct err)ERR_INIT;
	return replace_file(path, wanted, f, e);
}

/* Nothing of a file that did not come to be is left.  The stamp of what is left is taken while the
 * file is open and locked; without memory it lacks a file, and holds for no image. */
static void end_file(const struct creation *c, const struct created *f, bool made)
{
	struct fingerprint *stamp = c->request->made;
	struct err ignored = ERR_INIT;
	struct identity id;

	if (!f->io)
		return;
	if (!made && f->is_new && identity_of_fd(f->io->fd, &id) == 0)
		remove_file(f->io->name, &id);
	else if (!made && !f->is_new && !f->io->is_block)
		io_resize(f->io, 0, &ignored);
	if (stamp && (made || !f->is_new))
		fingerprint_add(stamp, f->io, &ignored);
	io_unref(f->io);
}

static const char *name_in(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *creation_name(const struct creation *c)
{
	const char *path = c->request->stands_for ? c->request->stands_for : c->path;

	return path ? name_in(path) : "";
}

/* An image that is replaced as a whole at the end must not show parts of the new one before. */
static int empty_replaced(const struct creation *c, const char *part, struct err *e)
{
	const char *old = c->request->stands_for;

	if (!old || access(part, F_OK) < 0 || truncate(old, 0) == 0 || errno == ENOENT)
		return 0;
	return err_set(e, errno, "%s: %s", old, strerror(errno));
}

int creation_part(struct creation *c, const char *name, struct io **io, struct err *e)
{
	const char *slash = strrchr(c->path, '/');
	struct created *parts;
	char *path;
	int r;

	if (!c->path)
		return err_set(e, ENOTSUP, "%s: the image can have no second file here", name);
	parts = reallocarray(c->parts, c->nparts + 1, sizeof parts[0]);
	if (!parts)
		return err_nomem(e);
	c->parts = parts;
	if (name[0] == '/')
		slash = NULL;
	if (asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - c->path) : 0, c->path, name) < 0)
		return err_nomem(e);
	r = empty_replaced(c, path, e);
	if (r == 0)
		r = make_file(c->request, path, c->request->replace && !c->request->new_parts, NULL,
			&parts[c->nparts], e);
	if (r == 0)
		*io = parts[c->nparts++].io;
	free(path);
	return r;
}

int creation_extend(struct io *io, uint64_t from, uint64_t end, struct err *e)
{
	if (!io->is_block)
		return io_resize(io, end, e);
	if (end > io->size)
		return err_set(e, ENOSPC,
			"the device has only %" PRIu64 " bytes, %" PRIu64 " are needed",
			(uint64_t)io->size, end);
	return from < end ? io_zero(io, from, end - from, e) : 0;
}

int creation_preallocate(struct io *io, uint64_t pos, uint64_t len, bool full, struct err *e)
{
	static const unsigned char zeroes[64u << 10];
	int r = 0;

	if (!full && io->fd >= 0) {
		r = posix_fallocate(io->fd, pos, len);
		if (r != 0)
			return err_set(e, r, "%s: preallocation: %s", io->name, strerror(r));
		io->size = MAX(io->size, pos + len);
		return 0;
	}
	for (uint64_t n; r == 0 && len > 0; pos += n, len -= n) {
		n = MIN(len, sizeof zeroes);
		r = io_write(io, zeroes, n, pos, e);
	}
	return r;
}

/* The backing file. */

char *creation_windows_name(const struct creation *c)
{
	const char *name = c->request->backing;
	char *windows;

	if (asprintf(&windows, "%s%s", name[0] == '/' ? "" : "./", name) < 0)
		return NULL;
	for (char *p = strchr(windows, '/'); p; p = strchr(p, '/'))
		*p = '\\';
	return windows;
}

static int open_backing(struct creation *c, struct image **parent, struct err *e)
{
	struct image_options how = *c->request->how;
	int r;

	how.format = c->request->backing_format;
	how.write = false;
	r = backing_open(c->path, c->request->backing, &how, parent, e);
	c->parent = r == 0 ? *parent : NULL;
	return r < 0 ? err_in(e, "backing file") : 0;
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

static int sync_parts(struct creation *c, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->nparts; i++)
		r = io_sync(c->parts[i].io, e);
	return r;
}

/* In a file that is empty, or a device. */
static int create_in(struct creation *c, struct io *io, struct err *e)
{
	int r;

	c->io = header_last_new(io, e);
	if (!c->io)
		return -e->code;
	r = c->format->create(c, e);
	if (r == 0)
		r = sync_parts(c, e);
	if (r == 0)
		r = header_last_finish(c->io, e);
	io_unref(c->io);
	return r;
}

static int create(struct creation *c, struct err *e)
{
	struct created first = {0};
	int r = make_file(
		c->request, c->path, c->request->replace, c->request->replaces, &first, e);

	if (r == 0) {
		r = create_in(c, first.io, e);
		if (r < 0)
			err_in(e, "%s", c->path);
	}
	end_file(c, &first, r == 0);
	for (size_t i = 0; i < c->nparts; i++)
		end_file(c, &c->parts[i], r == 0);
	free(c->parts);
	return r;
}

static int check_request(const struct format *format, const struct create_request *r, struct err *e)
{
	int ret;

	if (!format->create)
		return err_set(
			e, ENOTSUP, "images of the format %s cannot be created", format->name);
	ret = check_words(format, r, e);
	if (ret == 0 && r->backing && !format->can_back)
		ret = err_set(e, ENOTSUP,
			"images of the format %s are created without a backing file", format->name);
	if (ret == 0 && r->compressed && !format->can_compress)
		ret = err_set(e, ENOTSUP, "Compression not supported for this file format");
	return ret;
}

int image_create(const struct format *format, const char *path, const struct create_request *r,
	struct err *e)
{
	struct creation c = {.format = format, .request = r, .path = path};
	struct image *parent = NULL;
	int ret = check_request(format, r, e);

	if (ret == 0 && r->backing && !r->unchecked)
		ret = open_backing(&c, &parent, e);
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
	int ret = check_request(format, r, e);

	if (ret == 0)
		ret = choose_size(&c, e);
	if (ret == 0)
		ret = empty_file(io, e);
	return ret == 0 ? create_in(&c, io, e) : ret;
}
