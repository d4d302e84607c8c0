/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* creation.c - the options and files of a new image. */
#include "creation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "format.h"
#include "io/host.h"
#include "io/identity.h"
#include "io/in-use.h"
#include "io/io.h"
#include "io/lock.h"
#include "util/flag.h"
#include "util/size.h"
#include "util/text.h"
#include "fingerprint.h"
#include "image.h"

const struct create_option creation_host_options[] = {
	{"nocow", CREATE_FLAG, "no copy-on-write on btrfs", "off", NULL, NULL},
	{"extent_size_hint", CREATE_SIZE, "bytes that the file system allocates at a time", "0",
		NULL, NULL},
	{0},
};

const struct create_option *creation_find_option(
	const struct format *f, const char *name, size_t len)
{
	const struct create_option *tables[] = {f->create_options, creation_host_options};

	for (size_t i = 0; i < 2; i++)
		for (const struct create_option *o = tables[i]; o && o->name; o++)
			if (o->kind != CREATE_MEMBER && strlen(o->name) == len &&
				strncmp(o->name, name, len) == 0)
				return o;
	return NULL;
}

/* The last of several values of an option counts. */
const char *creation_text(const struct creation *c, const char *name)
{
	size_t len = strlen(name);
	const char *value = creation_find_option(c->format, name, len)->standard;

	for (const char *const *word = c->request->options; word && *word; word++)
		if (strncmp(*word, name, len) == 0 && ((*word)[len] == '=' || !(*word)[len]))
			value = (*word)[len] ? *word + len + 1 : "on";
	return value;
}

uint64_t creation_number(const struct creation *c, const char *name)
{
	uint64_t number = 0;

	size_parse(creation_text(c, name), &number);
	return number;
}

bool creation_flag(const struct creation *c, const char *name)
{
	bool on = false;

	flag_parse(creation_text(c, name), &on);
	return on;
}

bool creation_is(const struct creation *c, const char *name, const char *word)
{
	const char *value = creation_text(c, name);

	return value && strcasecmp(value, word) == 0;
}

/* Files. */

#define OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

void creation_apply_host_options(const struct creation *c, struct io *io)
{
	uint64_t hint = creation_number(c, "extent_size_hint");
	struct fsxattr x;
	int flags;

	if (io->fd < 0 || io->is_block || io->size > 0)
		return;
	/* Hints: most file systems have neither. */
	if (creation_flag(c, "nocow") && ioctl(io->fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		ioctl(io->fd, FS_IOC_SETFLAGS, &flags);
	}
	if (hint > 0 && hint <= UINT32_MAX && ioctl(io->fd, FS_IOC_FSGETXATTR, &x) == 0) {
		x.fsx_xflags |= FS_XFLAG_EXTSIZE;
		x.fsx_extsize = (uint32_t)hint;
		ioctl(io->fd, FS_IOC_FSSETXATTR, &x);
	}
}

/* The old bytes are durably removed before new ones are written: no power cut mixes the two. */
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

/* A file that is replaced may be a disk in use. */
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
	if (r == 0 && (*io)->size > 0)
		r = in_use_check(*io, e);
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

int creation_make_file(const struct create_request *req, const char *path, bool replace,
	const struct identity *wanted, struct created *f, struct err *e)
{
	int fd, r = wanted ? -EEXIST : make_new(req, path, f, e);

	if (r != -EEXIST || !replace)
		return r;
	*e = (struct err)ERR_INIT;
	*f = (struct created){0};
	/* A file that is wanted is no symbolic link. */
	fd = host_open(path, OPEN_FLAGS | (wanted ? O_NOFOLLOW : O_CREAT), 0666);
	if (fd >= 0)
		return take_file(fd, path, wanted, &f->io, e);
	return err_set(e, wanted && (errno == ENOENT || errno == ELOOP) ? ESTALE : errno, "%s: %s",
		path, strerror(errno));
}

void creation_end_file(const struct creation *c, const struct created *f, bool keep)
{
	struct fingerprint *stamp = c->request->made;
	struct err ignored = ERR_INIT;
	struct identity id;

	if (!f->io)
		return;
	if (!keep && f->is_new && identity_of_fd(f->io->fd, &id) == 0)
		remove_file(f->io->name, &id);
	else if (!keep && f->emptied && !f->io->is_block)
		io_resize(f->io, 0, &ignored);
	if (stamp && (keep || f->emptied))
		fingerprint_add(stamp, f->io, &ignored);
	io_unref(f->io);
}

bool creation_is_own(const struct creation *c, const struct stat *st)
{
	for (const struct image *img = c->parent; img; img = img->parent) {
		if (img->io->dev == st->st_dev && img->io->ino == st->st_ino)
			return true;
		for (size_t i = 0; i < img->nfiles; i++)
			if (img->files[i]->dev == st->st_dev && img->files[i]->ino == st->st_ino)
				return true;
	}
	return false;
}

const char *creation_target(const struct creation *c)
{
	return c->request->stands_for ? c->request->stands_for : c->path;
}

const char *creation_name(const struct creation *c)
{
	const char *path = creation_target(c);

	return path ? text_basename(path) : "";
}

/* The path of name, as the image records it; malloc'ed. */
static char *path_beside(const struct creation *c, const char *name)
{
	const char *slash = name[0] == '/' ? NULL : strrchr(c->path, '/');
	char *path;

	return asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - c->path) : 0, c->path, name) < 0
		       ? NULL
		       : path;
}

int creation_stat(const struct creation *c, const char *name, struct stat *st)
{
	char *path = path_beside(c, name);
	int r = path ? stat(path, st) : -1;

	free(path);
	return r;
}

/* A second file must be no other file that the image needs. */
static int check_part(const struct creation *c, const char *path, struct err *e)
{
	struct stat st, first;

	if (stat(path, &st) < 0)
		return 0;
	if (stat(creation_target(c), &first) == 0 && st.st_dev == first.st_dev &&
		st.st_ino == first.st_ino)
		return err_set(e, EINVAL, "%s: it is the file of the image itself", path);
	if (creation_is_own(c, &st))
		return err_set(e, EBUSY, "%s: the backing file of the image needs it", path);
	return 0;
}

/* An image that is replaced as a whole at the end must not show parts of the new one before. */
static int empty_replaced(const struct creation *c, struct created *part, struct err *e)
{
	const char *old = c->request->stands_for;

	if (old && truncate(old, 0) < 0 && errno != ENOENT)
		return err_set(e, errno, "%s: %s", old, strerror(errno));
	part->emptied = true;
	return empty_file(part->io, e);
}

int creation_part(struct creation *c, const char *name, struct io **io, struct err *e)
{
	struct created *parts, *part;
	char *path;
	int r;

	if (!c->path)
		return err_set(e, ENOTSUP, "%s: the image can have no second file here", name);
	parts = reallocarray(c->parts, c->nparts + 1, sizeof parts[0]);
	if (!parts)
		return err_nomem(e);
	c->parts = parts;
	part = &parts[c->nparts];
	path = path_beside(c, name);
	if (!path)
		return err_nomem(e);
	r = check_part(c, path, e);
	if (r == 0)
		r = creation_make_file(c->request, path,
			c->request->replace && !c->request->new_parts, NULL, part, e);
	if (r == 0) {
		c->nparts++;
		*io = part->io;
		r = part->is_new ? 0 : empty_replaced(c, part, e);
		creation_apply_host_options(c, part->io);
	}
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
