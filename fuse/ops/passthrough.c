/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/io.h"
#include "tree/node.h"
#include "view/view.h"
#include "request.h"

/* The kernel refuses backing files on stacked file systems, such as overlayfs. */
#define STACK_DEPTH 1

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

/* Negotiation. */

#ifdef FUSE_CAP_PASSTHROUGH

void passthrough_offer(
	struct passthrough *p, struct fuse_session *se, const struct fuse_buf *request)
{
	(void)request;
	p->device = fuse_session_fd(se);
}

void passthrough_want(struct passthrough *p, struct fuse_conn_info *conn)
{
	p->on = p->wanted && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
	if (p->on)
		conn->max_backing_stack_depth = STACK_DEPTH;
}

#else

/* Libraries before 3.17 know neither the flag nor the field behind it: they are inserted when the
 * reply to the first request is written. */
#define FLAGS2_PASSTHROUGH (1u << 5) /* bit 37 of both halves */

struct init_in {
	struct fuse_in_header header;
	uint32_t major, minor, max_readahead, flags, flags2;
};

struct init_out {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth;
};

static ssize_t session_read(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

static ssize_t session_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct passthrough *p = &((struct server *)userdata)->passthrough;
	struct init_out *out;

	/* The first reply, and no other, before there are other threads. */
	if (p->wanted && count == 2 && iov[1].iov_len >= sizeof *out) {
		out = iov[1].iov_base;
		out->flags |= FUSE_INIT_EXT;
		out->flags2 |= FLAGS2_PASSTHROUGH;
		out->max_stack_depth = STACK_DEPTH;
		p->on = true;
	}
	if (p->wanted)
		p->wanted = false;
	return writev(fd, iov, count);
}

static ssize_t session_splice(
	int in, off_t *in_pos, int out, off_t *out_pos, size_t len, unsigned flags, void *userdata)
{
	(void)userdata;
	return splice(in, in_pos, out, out_pos, len, flags);
}

void passthrough_offer(
	struct passthrough *p, struct fuse_session *se, const struct fuse_buf *request)
{
	static const struct fuse_custom_io calls = {
		.read = session_read,
		.writev = session_writev,
		.splice_send = session_splice,
	};
	const struct init_in *in = request->mem;

	p->device = fuse_session_fd(se);
	p->wanted = p->wanted && request->size >= sizeof *in && in->header.opcode == FUSE_INIT &&
		    in->flags & FUSE_INIT_EXT && in->flags2 & FLAGS2_PASSTHROUGH &&
		    fuse_session_custom_io(se, &calls, p->device) == 0;
}

void passthrough_want(struct passthrough *p, struct fuse_conn_info *conn)
{
	(void)p;
	(void)conn;
}

#endif

/* Open files. */

/* Opens a backing file in the kernel: the host file that has exactly the bytes of the view. */
static int open_backing(struct passthrough *p, const struct view *view)
{
	struct fuse_backing_map map = {.fd = -1};
	const struct io *io = view_host_file(view);
	struct stat st;
	int id;

	if (!io || io->fd < 0 || io->start != 0 || fstat(io->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		(uint64_t)st.st_size != view->size)
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
