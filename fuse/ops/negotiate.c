/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "negotiate.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include "request.h"

/* The kernel refuses backing files on stacked file systems, such as overlayfs. */
#define STACK_DEPTH 1

#ifdef FUSE_CAP_PASSTHROUGH

void negotiate_offer(struct server *server, struct fuse_session *se, const struct fuse_buf *request)
{
	(void)request;
	server->passthrough.device = fuse_session_fd(se);
}

void negotiate_want(struct server *server, struct fuse_conn_info *conn)
{
	struct passthrough *p = &server->passthrough;

	p->on = p->wanted && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
	if (p->on)
		conn->max_backing_stack_depth = STACK_DEPTH;
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	if (server->writable)
		fuse_set_feature_flag(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
#endif
}

#else

#ifndef FUSE_HANDLE_KILLPRIV_V2
#define FUSE_HANDLE_KILLPRIV_V2 (1u << 28) /* of Linux 5.12 */
#endif

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
	struct server *server = userdata;
	struct negotiation *n = &server->negotiation;
	struct init_out *out;

	/* The first reply, and no other, before there are other threads. */
	if (n->flags && count == 2 && iov[1].iov_len >= sizeof *out) {
		out = iov[1].iov_base;
		out->flags |= n->flags;
		out->flags2 |= n->flags2;
		if (n->flags2 & FLAGS2_PASSTHROUGH) {
			out->max_stack_depth = STACK_DEPTH;
			server->passthrough.on = true;
		}
	}
	if (n->flags)
		*n = (struct negotiation){0};
	return writev(fd, iov, count);
}

static ssize_t session_splice(
	int in, off_t *in_pos, int out, off_t *out_pos, size_t len, unsigned flags, void *userdata)
{
	(void)userdata;
	return splice(in, in_pos, out, out_pos, len, flags);
}

/* The features that the mount uses, and that the kernel has. */
static struct negotiation choose(const struct server *server, const struct init_in *in)
{
	struct negotiation n = {0};

	if (server->writable)
		n.flags |= in->flags & FUSE_HANDLE_KILLPRIV_V2;
	if (server->passthrough.wanted && in->flags & FUSE_INIT_EXT)
		n.flags2 |= in->flags2 & FLAGS2_PASSTHROUGH;
	if (n.flags2)
		n.flags |= FUSE_INIT_EXT;
	return n;
}

void negotiate_offer(struct server *server, struct fuse_session *se, const struct fuse_buf *request)
{
	static const struct fuse_custom_io calls = {
		.read = session_read,
		.writev = session_writev,
		.splice_send = session_splice,
	};
	const struct init_in *in = request->mem;
	struct negotiation n = {0};

	server->passthrough.device = fuse_session_fd(se);
	if (request->size >= sizeof *in && in->header.opcode == FUSE_INIT)
		n = choose(server, in);
	if (n.flags && fuse_session_custom_io(se, &calls, fuse_session_fd(se)) == 0)
		server->negotiation = n;
}

void negotiate_want(struct server *server, struct fuse_conn_info *conn)
{
	(void)server;
	(void)conn;
}

#endif
