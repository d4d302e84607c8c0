/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "tree/node.h"
#include "tree/tree.h"
#include "coherence.h"
#include "file.h"
#include "read.h"
#include "request.h"

static void changed(fuse_req_t req, struct file *file, uint64_t off, uint64_t len)
{
	tree_changed(request_server(req)->tree);
	coherence_changed(&request_server(req)->coherence, file, off, len);
}

int write_clear(fuse_req_t req, struct file *file)
{
	struct err e = ERR_INIT;
	uint64_t size = file->view ? file->view->size : 0;
	int ret = file->new_image ? file_resize(file, 0, &e) : view_clear(file->view, 0, size, &e);

	if (ret < 0)
		return -request_errno(file->node, "cannot clear", &e);
	changed(req, file, 0, size);
	return 0;
}

/* The errno of a write through this file that failed after its reply. */
static int take_late_error(struct file *file)
{
	int code = atomic_exchange(&file->late_error, 0);

	if (code)
		view_late_reported(file->view);
	return code;
}

int write_finish(struct file *file)
{
	struct err e = ERR_INIT;
	int late;

	if (file->view)
		view_await(file->view);
	late = take_late_error(file);
	if (file_end_growth(file, &e) < 0)
		late = request_errno(file->node, "cannot end the disk", &e);
	return -late;
}

/* A smaller write is done before its reply would arrive. */
#define EARLY_MIN (64u << 10)

/* A write request; it lies on the stack of the thread that handles it. */
struct write {
	fuse_req_t req; /* until it is replied to */
	struct file *file;
	const char *buf;
	size_t size;
	uint64_t off;
};

static void reply(void *arg)
{
	struct write *w = arg;

	changed(w->req, w->file, w->off, w->size);
	fuse_reply_write(w->req, w->size);
}

static void set_late_error(void *arg, const struct err *e)
{
	struct write *w = arg;

	atomic_store(&w->file->late_error, request_errno(w->file->node, "cannot write", e));
}

/* May a write be replied to before the data is written?  It saves time for a program that copies a
 * disk in large steps: past the page cache, the kernel sends its next write after the reply.  buf
 * stays valid until the handler returns. */
static bool can_reply_early(const struct write *w, const struct fuse_file_info *fi)
{
	return w->size >= EARLY_MIN && (fi->flags & O_ACCMODE) == O_WRONLY &&
	       !(fi->flags & O_DSYNC) && w->file->direct && w->off >= w->file->wrote_to &&
	       coherence_is_alone(&request_server(w->req)->coherence, w->file);
}

static int write_range(struct write *w, const struct fuse_file_info *fi, struct err *e)
{
	struct early_reply early = {.answered = reply, .failed = set_late_error, .arg = w};
	bool is_early = can_reply_early(w, fi);
	int ret = file_extend(w->file, w->off + w->size, 0, e);

	w->file->wrote_to = w->off + w->size;
	if (ret < 0)
		return ret;
	if (is_early)
		return view_write_early(w->file->view, w->buf, w->size, w->off, &early, e);
	ret = view_write(w->file->view, w->buf, w->size, w->off, e);
	/* The kernel sends fsync by itself for files in the page cache, but not for others. */
	if (ret == 0 && w->file->direct && fi->flags & O_DSYNC)
		ret = view_flush(w->file->view, e);
	if (ret == 0)
		reply(w);
	return ret;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct write w = {
		.req = req,
		.file = file_ref(file_of(fi)),
		.buf = buf,
		.size = size,
		.off = (uint64_t)off,
	};
	struct err e = ERR_INIT;
	int code = w.file->writes ? take_late_error(w.file) : EBADF;

	(void)ino;
	if (!code && write_range(&w, fi, &e) < 0)
		code = request_errno(w.file->node, "cannot write", &e);
	if (code)
		fuse_reply_err(req, code);
	file_unref(w.file);
}

/* Reports failures after early replies: of writes through this file, or through another file of the
 * image, since the loss concerns all of them. */
static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	struct err e = ERR_INIT;
	int ret = file->view ? view_flush(file->view, &e) : 0;
	int code = take_late_error(file);
	int others = file->view ? -view_late_error(file->view, &file->late_seen) : 0;

	(void)ino;
	(void)datasync;
	if (!code && others)
		code = request_errno_of_code(others);
	if (ret < 0)
		code = request_errno(file->node, "cannot flush", &e);
	fuse_reply_err(req, code);
}

static int allocate(struct file *file, int mode, uint64_t off, uint64_t len, struct err *e)
{
	bool keeps_size = mode & FALLOC_FL_KEEP_SIZE;
	uint64_t size;

	if (!keeps_size && file_extend(file, off + len, 0, e) < 0)
		return -e->code;
	size = file->view ? file->view->size : 0;
	if (!keeps_size && !range_fits(off, len, size))
		return err_set(e, ENOSPC, "a disk does not grow by being written to");
	if ((mode & ~FALLOC_FL_KEEP_SIZE) == 0 && range_fits(off, len, size))
		return view_allocate(file->view, off, len, e);
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return err_set(e, EOPNOTSUPP, "fallocate mode %#x is not supported", mode);
	if (off >= size)
		return 0;
	return view_clear(file->view, off, MIN(len, size - off), e);
}

static void op_fallocate(
	fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	struct err e = ERR_INIT;
	int code = 0;

	(void)ino;
	if (!file->writes)
		code = EBADF;
	else if (allocate(file, mode, (uint64_t)off, (uint64_t)len, &e) < 0)
		code = request_errno(file->node, "cannot allocate", &e);
	else
		changed(req, file, (uint64_t)off, (uint64_t)len);
	fuse_reply_err(req, code);
}

/* A request copies no more, so that it can be interrupted; the caller asks for the rest. */
#define COPY_MAX (UINT64_C(256) << 20)

/* A program that copies the beginning of a file is expected to copy all of it. */
static int64_t copy(struct file *from, uint64_t off, struct file *to, uint64_t to_off, uint64_t len,
	struct err *e)
{
	uint64_t size = from->view->size;

	if (off >= size)
		return 0;
	len = MIN(len, size - off);
	if (file_extend(to, to_off + len, off == to_off ? size : 0, e) < 0)
		return -e->code;
	read_keep(from->node, from->view, len, off);
	return view_copy(from->view, off, to->view, to_off, len, e);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi,
	fuse_ino_t to_ino, off_t to_off, struct fuse_file_info *to_fi, size_t len, int flags)
{
	struct file *from = file_of(fi), *to = file_of(to_fi);
	struct err e = ERR_INIT;
	int64_t n;

	(void)ino;
	(void)to_ino;
	(void)flags;
	file_look(from);
	if (!from->view || !to->writes) {
		fuse_reply_err(req, from->view ? EBADF : EOPNOTSUPP);
		return;
	}
	n = copy(from, (uint64_t)off, to, (uint64_t)to_off, MIN(len, COPY_MAX), &e);
	if (n < 0) {
		fuse_reply_err(req, request_errno(to->node, "cannot copy", &e));
		return;
	}
	changed(req, to, (uint64_t)to_off, (uint64_t)n);
	fuse_reply_write(req, (size_t)n);
}

static int resize(fuse_req_t req, struct file *file, uint64_t size)
{
	struct err e = ERR_INIT;
	uint64_t before = file->view ? file->view->size : 0;

	if (file_resize(file, size, &e) < 0)
		return -request_errno(file->node, "cannot change the size", &e);
	changed(req, file, MIN(before, size), MAX(before, size) - MIN(before, size));
	return 0;
}

/* truncate(2) opens the file for the moment. */
static int resize_node(fuse_req_t req, struct node *node, uint64_t size)
{
	struct file *file;
	int ret = file_open(node, true, &file);

	if (ret < 0)
		return ret;
	ret = resize(req, file, size);
	if (ret == 0)
		ret = write_finish(file);
	file_unref(file);
	return ret;
}

/* The mount decides on owner and permissions, the image on times.  Programs that copy files set all
 * of these: this passes where it changes nothing, and where the permissions asked for exclude no
 * user who has access. */
static bool changes_access(fuse_req_t req, struct node *node, const struct stat *to, int which)
{
	const struct access *access = &request_server(req)->access;
	struct stat st;

	if (which & FUSE_SET_ATTR_MODE &&
		(request_stat(req, node, &st) < 0 || !S_ISREG(st.st_mode) || !node_is_live(node) ||
			access_is_narrower(access, st.st_mode, to->st_mode)))
		return true;
	return (which & FUSE_SET_ATTR_UID && to->st_uid != access->uid) ||
	       (which & FUSE_SET_ATTR_GID && to->st_gid != access->gid);
}

static void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *to, int which, struct fuse_file_info *fi)
{
	struct node *node = request_node(req, ino);
	uint64_t size = (uint64_t)to->st_size;
	int ret = 0;

	if (changes_access(req, node, to, which))
		ret = -EPERM;
	else if (!S_ISREG(node_type(node)) && which & FUSE_SET_ATTR_SIZE)
		ret = -EINVAL;
	else if (which & FUSE_SET_ATTR_SIZE)
		ret = fi && file_of(fi)->writes ? resize(req, file_of(fi), size)
						: resize_node(req, node, size);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		request_reply_attr(req, node);
}

void write_add_ops(struct fuse_lowlevel_ops *ops)
{
	ops->write = op_write;
	ops->fsync = op_fsync;
	ops->fallocate = op_fallocate;
	ops->copy_file_range = op_copy_file_range;
	ops->setattr = op_setattr;
}
