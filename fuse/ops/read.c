/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read.c - replies to reads.
 *
 * A small read is copied.  A large one is resolved to pieces first.  If all of them lie in host
 * files, their pages are spliced through a pipe without a copy; otherwise host files are read (and
 * decrypted) into the buffer of the thread, and zeroes and decoded units are sent from where they
 * lie.
 *
 * A read is replied to in full or with an error, since the kernel fills the rest of a short reply
 * with zeroes.  So a splice goes through a pipe of the thread: there a host file that has become
 * shorter is noticed before the reply has begun.
 */
#include "read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "io/io.h"
#include "base/log.h"
#include "tree/node.h"
#include "view/copy-on-read.h"
#include "view/view.h"

/* Below this, resolving and splicing cost more than a copy. */
#define COPY_MAX (32u << 10)

/* A read of more pieces is copied.  A piece can take one more page of the pipe at either end. */
#define PIECES_MAX 48

#define ZEROES     (64u << 10)
#define IOVECS_MAX (PIECES_MAX + READ_MAX / ZEROES)

/* READ_MAX and the partial pages of PIECES_MAX pieces; the kernel rounds it up. */
#define PIPE_SIZE (2 * READ_MAX)

static const unsigned char zeroes[ZEROES];

struct worker {
	void *buf; /* READ_MAX bytes */
	int pipe[2];
};

struct read_piece {
	struct extent x;
	const struct block *block; /* pinned, of EXTENT_GENERATED */
};

struct read_plan {
	size_t n;
	bool all_files;
	struct read_piece pieces[PIECES_MAX];
};

static void worker_close_pipe(struct worker *w)
{
	if (w->pipe[0] < 0)
		return;
	close(w->pipe[0]);
	close(w->pipe[1]);
	w->pipe[0] = w->pipe[1] = -1;
}

static void worker_free(void *arg)
{
	struct worker *w = arg;

	worker_close_pipe(w);
	free(w->buf);
	free(w);
}

/* The worker of this thread, allocated by its first read. */
static struct worker *worker_get(pthread_key_t worker)
{
	struct worker *w = pthread_getspecific(worker);

	if (w)
		return w;
	w = malloc(sizeof *w);
	if (!w)
		return NULL;
	*w = (struct worker){.pipe = {-1, -1}};
	if (posix_memalign(&w->buf, 4096, READ_MAX) == 0 && pthread_setspecific(worker, w) == 0)
		return w;
	worker_free(w);
	return NULL;
}

/* Opens a pipe of PIPE_SIZE; false: the host refuses one. */
static bool worker_open_pipe(struct worker *w)
{
	if (w->pipe[0] >= 0)
		return true;
	if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	if (fcntl(w->pipe[1], F_SETPIPE_SZ, PIPE_SIZE) >= 0)
		return true;
	worker_close_pipe(w);
	return false;
}

int read_init(pthread_key_t *worker, struct err *e)
{
	int code = pthread_key_create(worker, worker_free);

	return code == 0 ? 0 : err_set(e, code, "no thread key is left");
}

void read_end(pthread_key_t worker)
{
	pthread_key_delete(worker);
}

/* Resolves a range.  -E2BIG: too many pieces. */
static int plan_make(
	struct read_plan *plan, const struct view *view, size_t len, uint64_t off, struct err *e)
{
	plan->n = 0;
	plan->all_files = true;
	while (len > 0) {
		struct read_piece *piece = &plan->pieces[plan->n];
		int ret;

		if (plan->n == PIECES_MAX)
			return -E2BIG;
		ret = view_resolve(view, off, len, &piece->x, e);
		if (ret < 0)
			return ret;
		piece->block = NULL;
		if (piece->x.kind != EXTENT_FILE || piece->x.io->fd < 0 || piece->x.io->altered)
			plan->all_files = false;
		off += piece->x.len;
		len -= piece->x.len;
		plan->n++;
	}
	return 0;
}

/* Splices a piece of a host file into the pipe.  -EAGAIN: the file cannot be spliced, or is shorter
 * now: then reading it gives the error. */
static int pipe_fill(struct worker *w, const struct extent *x)
{
	off64_t pos = (off64_t)(x->io->start + x->pos);
	size_t left = x->len;

	while (left > 0) {
		ssize_t n = splice(x->io->fd, &pos, w->pipe[1], NULL, left, SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EAGAIN;
		left -= (size_t)n;
	}
	return 0;
}

/* -EAGAIN: no reply was sent. */
static int reply_splice(struct worker *w, fuse_req_t req, const struct read_plan *plan, size_t len)
{
	struct fuse_bufvec bufs = FUSE_BUFVEC_INIT(len);
	int ret = 0;

	if (!worker_open_pipe(w))
		return -EAGAIN;
	for (size_t i = 0; ret == 0 && i < plan->n; i++)
		ret = pipe_fill(w, &plan->pieces[i].x);
	if (ret < 0) {
		worker_close_pipe(w); /* and drops its content */
		return ret;
	}
	bufs.buf[0].flags = FUSE_BUF_IS_FD;
	bufs.buf[0].fd = w->pipe[0];
	/* Pages are left in the pipe if the caller was interrupted. */
	if (fuse_reply_data(req, &bufs, 0) != 0)
		worker_close_pipe(w);
	return 0;
}

/* Fills in a vector of the pieces; those of host files are read into buf.  Returns its length. */
static ssize_t plan_gather(
	struct read_plan *plan, unsigned char *buf, struct iovec *iov, struct err *e)
{
	size_t n = 0;
	int ret;

	for (size_t i = 0; i < plan->n; i++) {
		struct read_piece *piece = &plan->pieces[i];
		const struct extent *x = &piece->x;

		if (x->kind == EXTENT_ZERO) {
			for (size_t left = x->len; left > 0; n++) {
				iov[n].iov_base = (void *)zeroes;
				iov[n].iov_len = MIN(left, sizeof zeroes);
				left -= iov[n].iov_len;
			}
			continue;
		}
		iov[n].iov_len = x->len;
		if (x->kind == EXTENT_GENERATED) {
			ret = view_pin(x, &piece->block, e);
			if (ret < 0)
				return ret;
			iov[n++].iov_base = (void *)(piece->block->data + x->pos);
			continue;
		}
		ret = view_read_extent(x, buf, e);
		if (ret < 0)
			return ret;
		iov[n++].iov_base = buf;
		buf += x->len;
	}
	return (ssize_t)n;
}

/* -E2BIG: too many pieces, and no reply was sent.  The view is entered: extents stay valid. */
static int reply_pieces(struct worker *w, fuse_req_t req, const struct view *view, size_t len,
	uint64_t off, struct err *e)
{
	struct iovec iov[IOVECS_MAX];
	struct read_plan plan;
	ssize_t n = plan_make(&plan, view, len, off, e);

	if (n == 0 && plan.all_files && reply_splice(w, req, &plan, len) == 0)
		return 0;
	if (n == 0)
		n = plan_gather(&plan, w->buf, iov, e);
	if (n > 0)
		fuse_reply_iov(req, iov, (int)n);
	for (size_t i = 0; i < plan.n; i++)
		if (plan.pieces[i].block)
			cache_unpin(plan.pieces[i].x.owner->cache, plan.pieces[i].block);
	return (int)MIN(n, 0);
}

void read_keep(const struct node *node, const struct view *view, uint64_t len, uint64_t off)
{
	struct err e = ERR_INIT;

	if (copy_on_read(view, off, len, &e) < 0)
		log_error(node->tree->log, "%s", e.text);
}

void read_reply(pthread_key_t worker, fuse_req_t req, const struct node *node,
	const struct view *view, size_t len, uint64_t off)
{
	struct worker *w = worker_get(worker);
	struct err e = ERR_INIT;
	char path[512];
	int ret = -E2BIG;

	/* max_read of the mount is at most READ_MAX. */
	if (!w || len > READ_MAX) {
		fuse_reply_err(req, w ? EINVAL : ENOMEM);
		return;
	}
	len = off < view->size ? MIN(len, view->size - off) : 0;
	read_keep(node, view, len, off);
	if (len > COPY_MAX) {
		view_enter(view);
		ret = reply_pieces(w, req, view, len, off, &e);
		view_leave(view);
	}
	if (ret == -E2BIG) {
		ret = len > 0 ? view_read(view, w->buf, len, off, &e) : 0;
		if (ret == 0)
			fuse_reply_buf(req, w->buf, len);
	}
	if (ret < 0) {
		node_path(node, path, sizeof path);
		if (err_is_first(&e))
			log_error(node->tree->log, "%s: cannot read at %llu: %s", path,
				(unsigned long long)off, e.text);
		fuse_reply_err(req, e.code == ENOMEM ? ENOMEM : EIO);
	}
}
