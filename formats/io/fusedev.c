/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusedev.c - see fusedev.h. */
#include "fusedev.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mountinfo.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int mountinfo = -1;
static bool is_read; /* the list is as of when the mounts had last changed */
static dev_t *list;
static size_t n;

static void note(void *arg, const struct mount_line *line)
{
	dev_t *more;

	(void)arg;
	if (!mountinfo_is_fuse(line->type))
		return;
	more = reallocarray(list, n + 1, sizeof more[0]);
	if (!more) {
		is_read = false;
		return;
	}
	list = more;
	list[n++] = line->dev;
}

static void read_mounts(void)
{
	struct pollfd p = {.fd = mountinfo, .events = POLLPRI};

	/* Asked before reading: what changes meanwhile shows the next time. */
	if (poll(&p, 1, 0) == 0 && is_read)
		return;
	n = 0;
	is_read = true;
	if (mountinfo_each(mountinfo, note, NULL) < 0)
		is_read = false;
}

int fusedev_start(void)
{
	mountinfo = mountinfo_open();
	return mountinfo < 0 && errno != ENOENT ? -1 : 0;
}

void fusedev_end(void)
{
	if (mountinfo >= 0)
		close(mountinfo);
	mountinfo = -1;
	is_read = false;
	free(list);
	list = NULL;
	n = 0;
}

bool fusedev_is(dev_t dev)
{
	bool found;

	pthread_mutex_lock(&lock);
	read_mounts();
	found = !is_read && major(dev) == 0;
	for (size_t i = 0; i < n && !found; i++)
		found = list[i] == dev;
	pthread_mutex_unlock(&lock);
	return found;
}
