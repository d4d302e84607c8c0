/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identity.c - see identity.h.
 *
 * There is no unlink of a descriptor, so the file gets a name that nobody else uses first: what has
 * that name can be compared, and then be removed or given its name back, with nobody in between.
 */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "util/err.h"
#include "host.h"

#define TICKS_MAX 50 /* ms; a file system whose clock is coarser is not waited for */

struct identity identity_of(const struct stat *st)
{
	return (struct identity){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
}

int identity_of_fd(int fd, struct identity *id)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*id = identity_of(&st);
	return 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* But for the ctime, which a rename changes. */
static bool same_content(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(a->mtime, b->mtime);
}

bool identity_is_same(const struct identity *a, const struct identity *b)
{
	return same_content(a, b) && same_time(a->ctime, b->ctime);
}

void identity_settle(const struct identity *id)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	struct timespec now;

	for (int i = 0; i < TICKS_MAX; i++) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if (!same_time(now, id->ctime))
			return;
		nanosleep(&ms, NULL);
	}
}

/* A directory, and names in it. */
struct removal {
	int dir;
	const char *path, *name;
	char aside[32];
};

static bool leads_to(const struct removal *r, const char *name, const struct identity *id,
	bool (*is_same)(const struct identity *a, const struct identity *b))
{
	struct identity now;
	struct stat st;

	if (fstatat(r->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	now = identity_of(&st);
	return is_same(id, &now);
}

static int failed(const struct removal *r, int code, struct err *e)
{
	return err_set(e, code, "%s: removing it: %s", r->path, strerror(code));
}

static int replaced(const struct removal *r, struct err *e)
{
	return err_set(e, ESTALE,
		"%s: another program has changed or replaced this file; it is not removed",
		r->path);
}

/* Another file had the name after all. */
static int put_back(const struct removal *r, struct err *e)
{
	if (renameat2(r->dir, r->aside, r->dir, r->name, RENAME_NOREPLACE) == 0)
		return replaced(r, e);
	return err_set(e, ESTALE,
		"%s: other programs have replaced this file twice; %s is the first", r->path,
		r->aside);
}

static int unlink_name(const struct removal *r, const char *name, struct err *e)
{
	return unlinkat(r->dir, name, 0) < 0 ? failed(r, errno, e) : 0;
}

static int remove_aside(struct removal *r, const struct identity *id, struct err *e)
{
	uint64_t number;

	if (!leads_to(r, r->name, id, identity_is_same))
		return replaced(r, e);
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return failed(r, errno, e);
	snprintf(r->aside, sizeof r->aside, ".vdiskfs-%016" PRIx64, number);
	if (renameat2(r->dir, r->name, r->dir, r->aside, RENAME_NOREPLACE) == 0)
		return leads_to(r, r->aside, id, same_content) ? unlink_name(r, r->aside, e)
							       : put_back(r, e);
	/* A file system that cannot: a moment between the comparison and the removal is left. */
	if (errno == EINVAL || errno == ENOSYS)
		return unlink_name(r, r->name, e);
	return failed(r, errno, e);
}

int identity_unlink(const struct identity *id, const char *path, struct err *e)
{
	struct removal r = {.path = path};
	int ret;

	r.dir = host_open_above(path, &r.name);
	if (r.dir < 0)
		return failed(&r, errno, e);
	ret = remove_aside(&r, id, e);
	close(r.dir);
	return ret;
}
