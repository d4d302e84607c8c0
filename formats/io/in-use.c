/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* in-use.c - see in-use.h.
 *
 * A file is compared by its inode with the names that the kernel shows of files in use.
 */
#include "in-use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/err.h"
#include "io.h"

static bool is_name_of(const char *path, const struct stat *st)
{
	struct stat found;

	return stat(path, &found) == 0 && found.st_dev == st->st_dev && found.st_ino == st->st_ino;
}

static bool has_loop(const char *device, const struct stat *st)
{
	char path[NAME_MAX + 64], file[PATH_MAX] = "";
	FILE *f;

	snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", device);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(file, sizeof file, f))
		file[strcspn(file, "\n")] = '\0';
	fclose(f);
	return is_name_of(file, st);
}

static int check_loops(const struct io *io, const struct stat *st, struct err *e)
{
	DIR *devices = opendir("/sys/block");
	struct dirent *d;
	int r = 0;

	while (devices && r == 0 && (d = readdir(devices)))
		if (strncmp(d->d_name, "loop", 4) == 0 && has_loop(d->d_name, st))
			r = err_set(e, EBUSY, "%s: in use by the loop device /dev/%s", io->name,
				d->d_name);
	if (devices)
		closedir(devices);
	return r;
}

/* A blank in a name is "\040" there; such a file cannot be replaced either, but is not found. */
static int check_swap(const struct io *io, const struct stat *st, struct err *e)
{
	char line[PATH_MAX + 128];
	FILE *f = fopen("/proc/swaps", "re");
	int r = 0;

	while (f && r == 0 && fgets(line, sizeof line, f)) {
		line[strcspn(line, " \t\n")] = '\0';
		if (line[0] == '/' && is_name_of(line, st))
			r = err_set(e, EBUSY, "%s: in use as swap space", io->name);
	}
	if (f)
		fclose(f);
	return r;
}

/* The kernel grants O_EXCL to one user of a device and its partitions. */
static int check_device(const struct io *io, struct err *e)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", io->fd);
	fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return err_set(e, EBUSY,
			"%s: the device is in use: mounted, swap space or part of another device",
			io->name);
	if (fd >= 0)
		close(fd);
	return 0;
}

int in_use_check(const struct io *io, struct err *e)
{
	struct stat st;
	int r;

	if (io->fd < 0 || fstat(io->fd, &st) < 0)
		return 0;
	if (S_ISBLK(st.st_mode))
		return check_device(io, e);
	r = check_loops(io, &st, e);
	return r == 0 ? check_swap(io, &st, e) : r;
}
