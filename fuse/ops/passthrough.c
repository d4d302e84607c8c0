/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"
#include "tree/node.h"
#include "view/view.h"

#ifndef FOPEN_PASSTHROUGH
#define FOPEN_PASSTHROUGH (1u << 7)
#endif

struct backing {
	struct node *node; /* borrowed from the files that are open */
	int id;            /* 0: none */
	unsigned files;
	LIST_ENTRY(backing) entry;
};

void passthrough_init(struct passthrough *p, bool wanted)
{
	p->wanted = wanted;
	pthread_mutex_init(&p->lock, NULL);
	LIST_INIT(&p->backings);
}

void passthrough_end(struct passthrough *p)
{
	struct backing *b;

	while ((b = LIST_FIRST(&p->backings)) != NULL) {
		LIST_REMOVE(b, entry);
		free(b);
	}
}

/* Opens a backing file in the kernel: the host file that has exactly the bytes of the view.  The
 * kernel opens it with the flags of each open, so O_DIRECT must be possible: the open would fail
 * with EIO. */
static int open_backing(struct passthrough *p, const struct view *view)
{
	struct fuse_backing_map map = {.fd = -1};
	const struct io *io = view_host_file(view);
	struct stat st;
	int id;

	if (!io || io->fd < 0 || io->start != 0 || !io->direct || fstat(io->fd, &st) < 0 ||
		!S_ISREG(st.st_mode) || (uint64_t)st.st_size != view->size)
		return 0;
	map.fd = io->fd;
	id = ioctl(p->device, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if (id < 0 && errno == EPERM)
		p->on = false; /* the daemon is not privileged */
	return id < 0 ? 0 : id;
}

static struct backing *find_backing(const struct passthrough *p, const struct node *node)
{
	struct backing *b = LIST_FIRST(&p->backings);

	while (b && b->node != node)
		b = LIST_NEXT(b, entry);
	return b;
}

struct backing *passthrough_open(struct passthrough *p, struct node *node, const struct view *view)
{
	struct backing *b;

	if (!p->on || !view)
		return NULL;
	pthread_mutex_lock(&p->lock);
	b = find_backing(p, node);
	if (!b) {
		b = calloc(1, sizeof *b);
		if (b) {
			b->node = node;
			b->id = open_backing(p, view);
			LIST_INSERT_HEAD(&p->backings, b, entry);
		}
	}
	if (b)
		b->files++;
	pthread_mutex_unlock(&p->lock);
	return b;
}

void passthrough_close(struct passthrough *p, struct backing *b)
{
	uint32_t id;

	if (!b)
		return;
	pthread_mutex_lock(&p->lock);
	if (--b->files == 0) {
		LIST_REMOVE(b, entry);
		id = (uint32_t)b->id;
		if (id > 0)
			ioctl(p->device, FUSE_DEV_IOC_BACKING_CLOSE, &id);
		free(b);
	}
	pthread_mutex_unlock(&p->lock);
}

int passthrough_id(const struct backing *b)
{
	return b ? b->id : 0;
}

int passthrough_reply(fuse_req_t req, struct fuse_file_info *fi, int id)
{
#ifdef FUSE_CAP_PASSTHROUGH
	fi->direct_io = fi->keep_cache = 0; /* the kernel refuses them together */
	fi->backing_id = id;
	return fuse_reply_open(req, fi);
#else
	struct fuse_open_out out = {
		.fh = fi->fh, .open_flags = FOPEN_PASSTHROUGH, .padding = (uint32_t)id};

	return fuse_reply_buf(req, (const char *)&out, sizeof out);
#endif
}
