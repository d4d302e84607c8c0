/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* output.c - see output.h. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "image/creation.h"
#include "util/err.h"
#include "io/in-use.h"
#include "io/io.h"
#include "leftover.h"
#include "io/lock.h"
#include "util/protocol.h"
#include "util/text.h"

#define SUFFIX_LEN 15 /* the "." in front, and ".12345678.part" */
#define XATTR_MAX  (64u << 10)

/* The temporary file. */

/* ".NAME.DIGITS.part" beside target, which vdiskfs does not show in a directory; malloc'ed, or
 * NULL. */
static char *temporary_name(const char *target)
{
	const char *base = text_basename(target);
	size_t len = strnlen(base, NAME_MAX - SUFFIX_LEN);
	uint32_t number;
	char *path;

	/* Cuts at the start of a UTF-8 character. */
	while (len > 0 && base[len] && ((unsigned char)base[len] & 0xc0) == 0x80)
		len--;
	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number ||
		asprintf(&path, "%.*s.%.*s.%08" PRIx32 ".part", (int)(base - target), target,
			(int)len, base, number) < 0)
		return NULL;
	return path;
}

/* Returns a descriptor, or -1 with errno.  A file that replaces another one is private until it has
 * the mode of the old one. */
static int make_temporary(struct output *o)
{
	int fd;

	o->path = temporary_name(o->target);
	if (!o->path || !leftover_add(o->path, LEFTOVER_FILE)) {
		errno = ENOMEM;
		return -1;
	}
	fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, o->is_new ? 0666 : 0600);
	if (fd < 0)
		leftover_forget();
	return fd;
}

/* The replaced file. */

/* Copying labels of security modules may be forbidden, which is no failure. */
static bool copy_attribute(int from, int to, const char *name)
{
	char value[XATTR_MAX];
	ssize_t n = fgetxattr(from, name, value, sizeof value);

	if (n >= 0 && fsetxattr(to, name, value, (size_t)n, 0) == 0)
		return true;
	return strncmp(name, "security.", 9) == 0 || strncmp(name, "trusted.", 8) == 0;
}

static bool copy_attributes(int from, int to)
{
	char names[XATTR_MAX];
	ssize_t n = flistxattr(from, names, sizeof names);
	bool good = n >= 0 || errno == ENOTSUP;

	/* Inherited from the default ACL of the directory. */
	fremovexattr(to, "system.posix_acl_access");
	for (const char *name = names; good && n > 0 && name < names + n; name += strlen(name) + 1)
		good = copy_attribute(from, to, name);
	return good;
}

static bool make_like(int fd, const struct output *o)
{
	struct stat st, old;

	return fstat(fd, &st) == 0 && fstat(o->old->fd, &old) == 0 &&
	       ((st.st_uid == old.st_uid && st.st_gid == old.st_gid) ||
		       fchown(fd, old.st_uid, old.st_gid) == 0) &&
	       copy_attributes(o->old->fd, fd) && fchmod(fd, old.st_mode & 07777) == 0;
}

/* Is target the only name of the file?  rename(2) cannot replace a mount point. */
static bool can_be_renamed_over(const char *target, const struct stat *st)
{
	struct stat found;
	struct statx sx;

	return S_ISREG(st->st_mode) && st->st_nlink == 1 && lstat(target, &found) == 0 &&
	       found.st_dev == st->st_dev && found.st_ino == st->st_ino &&
	       !(statx(AT_FDCWD, target, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx) == 0 &&
		       (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT));
}

static void choose_in_place(struct output *o)
{
	/* image_create locks the file itself. */
	io_unref(o->old);
	free(o->target);
	free(o->path);
	o->old = NULL;
	o->target = NULL;
	o->path = strdup(o->name);
}

static int begin_replacing(struct output *o, const struct stat *st, struct err *e)
{
	int fd = -1, r;
	bool good;

	o->target = realpath(o->name, NULL);
	if (!o->target || !can_be_renamed_over(o->target, st)) {
		choose_in_place(o);
		return 0;
	}
	/* Locks the old file, so that no other program uses it until it is replaced. */
	o->old = io_open(o->target, e);
	r = o->old ? io_make_writable(o->old, e) : -e->code;
	if (r == 0)
		r = lock_for_writing(o->old, e);
	if (r == 0)
		r = in_use_check(o->old, e);
	if (r < 0)
		return r;
	fd = make_temporary(o);
	good = fd >= 0 && make_like(fd, o);
	if (fd >= 0)
		close(fd);
	if (!good) {
		leftover_remove();
		choose_in_place(o);
	}
	return 0;
}

static int begin_new(struct output *o, struct err *e)
{
	struct stat st;
	int fd;

	/* A dangling link: its target is created. */
	if (lstat(o->name, &st) == 0) {
		choose_in_place(o);
		return 0;
	}
	o->is_new = true;
	o->target = strdup(o->name);
	fd = o->target ? make_temporary(o) : -1;
	if (fd < 0)
		return err_set(e, errno, "%s: %s", o->name, strerror(errno));
	close(fd);
	return 0;
}

static int refuse_protocol(const char *name, struct err *e)
{
	if (!protocol_is_nbd(name))
		return protocol_refuse(name, e);
	err_set(e, ENOTSUP, "%s: a server makes no new exports for its clients", name);
	return err_hint(e, "convert -n writes to an export that is there");
}

int output_begin(struct output *o, const char *name, struct err *e)
{
	struct stat st;
	int r;

	*o = (struct output){.name = name};
	r = refuse_protocol(name, e);
	if (r < 0)
		return r;
	r = stat(name, &st) < 0 ? begin_new(o, e) : begin_replacing(o, &st, e);
	return r == 0 && !o->path ? err_nomem(e) : r;
}

int output_use(struct output *o, const char *name, struct err *e)
{
	*o = (struct output){.name = name};
	if (!protocol_is_nbd(name) && protocol_refuse(name, e) < 0)
		return -e->code;
	choose_in_place(o);
	return o->path ? 0 : err_nomem(e);
}

bool output_is_device(const struct output *o)
{
	struct stat st;

	return !o->target && stat(o->path, &st) == 0 && S_ISBLK(st.st_mode);
}

uint64_t output_space(const struct output *o)
{
	struct err ignored = ERR_INIT;
	struct statvfs fs;
	struct stat st;
	struct io *io;
	uint64_t size;

	if (o->target || stat(o->path, &st) < 0)
		return UINT64_MAX;
	if (S_ISBLK(st.st_mode)) {
		io = io_open(o->path, &ignored);
		size = io ? (uint64_t)io->size : UINT64_MAX;
		io_unref(io);
		return size;
	}
	/* Zero blocks: the file system has no notion of space. */
	if (!S_ISREG(st.st_mode) || statvfs(o->path, &fs) < 0 || fs.f_blocks == 0)
		return UINT64_MAX;
	return (uint64_t)st.st_blocks * 512 + (uint64_t)fs.f_bavail * fs.f_frsize;
}

static void note_created(void *arg, const char *path)
{
	(void)arg;
	leftover_add(path, LEFTOVER_FILE);
}

void output_request(struct output *o, struct create_request *r)
{
	r->stands_for = o->target;
	r->replace = true;
	r->created = note_created;
}

void output_created(const struct output *o, bool is_raw)
{
	struct stat st;

	if (o->target || stat(o->path, &st) < 0)
		return;
	if (S_ISREG(st.st_mode))
		leftover_add(o->path, LEFTOVER_REGULAR);
	else if (S_ISBLK(st.st_mode) && !is_raw)
		leftover_add(o->path, LEFTOVER_DEVICE);
}

/* Makes the name durable. */
static int sync_directory(const char *path)
{
	char *dir = strndup(path, (size_t)(text_basename(path) - path));
	int fd = dir ? open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = fd < 0 ? -1 : fsync(fd);

	/* Some file systems cannot sync directories. */
	if (r < 0 && errno == EINVAL)
		r = 0;
	if (fd >= 0)
		close(fd);
	free(dir);
	return r;
}

/* For a new file, refuses to replace a file that another program created since output_begin. */
static int rename_to_target(const struct output *o)
{
	if (!o->target)
		return 0;
	if (o->is_new) {
		if (renameat2(AT_FDCWD, o->path, AT_FDCWD, o->target, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EINVAL && errno != ENOSYS)
			return -1;
	}
	return rename(o->path, o->target);
}

int output_commit(struct output *o, bool durable, struct err *e)
{
	if (rename_to_target(o) < 0)
		return err_set(e, errno, "%s: %s", o->name, strerror(errno));
	leftover_forget();
	if (o->target && durable && sync_directory(o->target) < 0)
		return err_set(e, errno, "%s: sync: %s", o->name, strerror(errno));
	return 0;
}

void output_end(struct output *o)
{
	leftover_remove();
	io_unref(o->old);
	free(o->target);
	free(o->path);
	*o = (struct output){.name = o->name};
}

void output_reword(const struct output *o, struct err *e)
{
	char text[ERR_TEXT];
	char *at = o->target && o->path ? strstr(e->text, o->path) : NULL;

	if (!at)
		return;
	snprintf(text, sizeof text, "%.*s%s%s", (int)(at - e->text), e->text, o->name,
		at + strlen(o->path));
	memcpy(e->text, text, sizeof text);
}
