/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* No system call unlinks a descriptor, so identity_unlink first renames the file to a random name:
 * under that name it can be compared, and removed or renamed back, while no other program changes
 * the name.
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

/* Ignores the ctime, which a rename changes. */
static bool same_content(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(a->mtime, b->mtime);
}

bool identity_is_same(const struct identity *a, const struct identity *b)
{
	return same_content(a, b) && same_time(a->ctime, b->ctime);
}

void identity_await_tick(const struct identity *id)
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

static bool is_name_of(const struct identity *id, int dir, const char *name,
	bool (*is_same)(const struct identity *a, const struct identity *b))
{
	struct identity now;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	now = identity_of(&st);
	return is_same(id, &now);
}

#define REPLACED (-1)

/* 0, an errno, or REPLACED: aside is then the name of another file if it is not empty. */
static int unlink_same(
	const struct identity *id, int dir, const char *name, char *aside, size_t size)
{
	uint64_t number;

	if (!is_name_of(id, dir, name, identity_is_same))
		return REPLACED;
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return errno;
	snprintf(aside, size, ".vdiskfs-%016" PRIx64, number);
	if (renameat2(dir, name, dir, aside, RENAME_NOREPLACE) < 0) {
		/* Without renameat2 the file may be replaced between comparison and removal. */
		if (errno != EINVAL && errno != ENOSYS)
			return errno;
		return unlinkat(dir, name, 0) < 0 ? errno : 0;
	}
	if (is_name_of(id, dir, aside, same_content))
		return unlinkat(dir, aside, 0) < 0 ? errno : 0;
	if (renameat2(dir, aside, dir, name, RENAME_NOREPLACE) == 0)
		aside[0] = '\0';
	return REPLACED;
}

int identity_unlink(const struct identity *id, const char *path, struct err *e)
{
	char aside[32] = "";
	const char *name;
	int dir = host_open_above(path, &name);
	int code = dir < 0 ? errno : unlink_same(id, dir, name, aside, sizeof aside);

	if (dir >= 0)
		close(dir);
	if (code == 0)
		return 0;
	if (code != REPLACED)
		return err_set(e, code, "%s: removing it: %s", path, strerror(code));
	if (aside[0])
		return err_set(e, ESTALE,
			"%s: other programs have replaced this file twice; %s is the first", path,
			aside);
	return err_set(e, ESTALE,
		"%s: another program has changed or replaced this file; it is not removed", path);
}
