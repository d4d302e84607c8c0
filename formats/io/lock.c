/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock.c - QEMU's byte locks.
 *
 * A use of an image is a shared lock on a byte from 100 on, a use that it excludes one on a byte
 * from 200 on.  All locks are taken before they are tested, so that of two programs that start at
 * the same time at least one is refused.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/err.h"
#include "io.h"
#include "lock.h"

enum permission { CONSISTENT_READ = 0, WRITE = 1, RESIZE = 3 };

#define USES(p)    (100 + (p))
#define FORBIDS(p) (200 + (p))

static struct flock one_byte(short type, int byte)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

/* A line of fdinfo: "lock: 1: OFDLCK ADVISORY READ -1 MAJ:MIN:INODE START END". */
static bool line_locks(const char *line, const struct io *io, int byte)
{
	unsigned major_, minor_;
	uint64_t inode, start, end;
	char last[24];
	const char *p = strstr(line, "LCK ");

	if (!p || sscanf(p, "LCK %*s %*s %*s %x:%x:%" SCNu64 " %" SCNu64 " %23s", &major_, &minor_,
			  &inode, &start, last) != 5)
		return false;
	end = strcmp(last, "EOF") == 0 ? UINT64_MAX : strtoull(last, NULL, 10);
	return inode == io->ino && major_ == major(io->dev) && minor_ == minor(io->dev) &&
	       start <= (uint64_t)byte && (uint64_t)byte <= end;
}

static bool fdinfo_locks(const char *path, const struct io *io, int byte)
{
	char line[256];
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (!found && fgets(line, sizeof line, f))
		found = strncmp(line, "lock:", 5) == 0 && line_locks(line, io, byte);
	fclose(f);
	return found;
}

static bool process_locks(const char *pid, const struct io *io, int byte)
{
	char dir[64], path[128];
	struct dirent *d;
	bool found = false;
	DIR *fds;

	snprintf(dir, sizeof dir, "/proc/%.20s/fdinfo", pid);
	fds = opendir(dir);
	if (!fds)
		return false;
	while (!found && (d = readdir(fds))) {
		snprintf(path, sizeof path, "%s/%.20s", dir, d->d_name);
		found = fdinfo_locks(path, io, byte);
	}
	closedir(fds);
	return found;
}

/* Writes " by NAME (pid N)" for a process that holds the byte, "" when none can be seen.  Returns
 * whether it is a vdiskfs, whose lock ends with its mount. */
static bool find_holder(const struct io *io, int byte, char *text, size_t len)
{
	char path[64], name[32] = "?";
	struct dirent *d;
	DIR *proc = opendir("/proc");

	text[0] = '\0';
	if (!proc)
		return false;
	while ((d = readdir(proc))) {
		FILE *f;

		if (d->d_name[0] < '1' || d->d_name[0] > '9' || atoi(d->d_name) == getpid() ||
			!process_locks(d->d_name, io, byte))
			continue;
		snprintf(path, sizeof path, "/proc/%.20s/comm", d->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof name, f))
			name[strcspn(name, "\n")] = '\0';
		if (f)
			fclose(f);
		snprintf(text, len, " by %s (pid %.20s)", name, d->d_name);
		break;
	}
	closedir(proc);
	return strcmp(name, "vdiskfs") == 0;
}

static int refuse(const struct io *io, int byte, bool share, struct err *e)
{
	char holder[96];
	bool mounted = find_holder(io, byte, holder, sizeof holder);

	if (byte == FORBIDS(CONSISTENT_READ)) {
		err_set(e, EBUSY, "%s: in use%s, which forbids reading", io->name, holder);
		err_hint_code(e, HINT_LOCK_READ, io->name);
	} else if (byte == FORBIDS(WRITE) || byte == FORBIDS(RESIZE)) {
		err_set(e, EBUSY, "%s: in use%s, which forbids writing", io->name, holder);
		err_hint_code(e, HINT_LOCK_WRITE, io->name);
	} else {
		err_set(e, EBUSY, "%s: in use for writing%s", io->name, holder);
		err_hint_code(e, HINT_LOCK_SHARE, io->name);
		if (!share)
			err_hint_code(e, HINT_SHARE, NULL);
	}
	if (mounted)
		err_hint_code(e, HINT_MOUNTED, io->name);
	return -EBUSY;
}

/* Locks the bytes of take, then tests those of test; both end with 0. */
static int lock(struct io *io, const int *take, const int *test, bool share, struct err *e)
{
	struct flock l;

	if (io->fd < 0)
		return 0;
	for (; *take; take++) {
		l = one_byte(F_RDLCK, *take);
		if (fcntl(io->fd, F_OFD_SETLK, &l) == 0)
			continue;
		/* QEMU takes no write locks; a program that does excludes all others. */
		if (errno == EAGAIN || errno == EACCES)
			return refuse(io, *take, share, e);
		return 0; /* a file system without such locks */
	}
	for (; *test; test++) {
		/* Shared locks conflict only with a write lock. */
		l = one_byte(F_WRLCK, *test);
		if (fcntl(io->fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK)
			return refuse(io, *test, share, e);
	}
	return 0;
}

int lock_for_reading(struct io *io, bool share, struct err *e)
{
	static const int take[] = {USES(CONSISTENT_READ), FORBIDS(WRITE), FORBIDS(RESIZE), 0};
	static const int test[] = {FORBIDS(CONSISTENT_READ), USES(WRITE), USES(RESIZE), 0};
	static const int take_shared[] = {USES(CONSISTENT_READ), 0};
	static const int test_shared[] = {FORBIDS(CONSISTENT_READ), 0};

	return share ? lock(io, take_shared, test_shared, share, e)
		     : lock(io, take, test, share, e);
}

int lock_for_writing(struct io *io, struct err *e)
{
	static const int take[] = {USES(CONSISTENT_READ), USES(WRITE), USES(RESIZE), FORBIDS(WRITE),
		FORBIDS(RESIZE), 0};
	static const int test[] = {FORBIDS(CONSISTENT_READ), FORBIDS(WRITE), FORBIDS(RESIZE),
		USES(WRITE), USES(RESIZE), 0};

	return lock(io, take, test, true, e);
}
