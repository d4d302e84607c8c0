/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - write, truncate, fallocate, fsync: each is one call to the view of an open file. */
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "util/bytes.h"
#include "util/err.h"
#include "file.h"
#include "auto-grow.h"
#include "ops.h"
#include "coherence.h"
#include "tree/tree.h"
#include "view/view.h"

/* The errno for the caller. */
static int told(fuse_req_t req, const struct file *file, const char *what, const struct err *e)
{
	return request_errno(request_server(req), file->node, what, e);
}

static void changed(fuse_req_t req, struct file *file, uint64_t off, uint64_t len)
{
	tree_changed(request_server(req)->tree);
	coherence_changed(&request_server(req)->coherence, file, off, len);
}

int write_empty(fuse_req_t req, struct file *file)
{
	struct err e = ERR_INIT;
	uint64_t size = file->view ? file->view->size : 0;
	int ret = auto_grow_can(file) ? auto_grow_set(file, 0, &e)
				      : view_clear(file->view, 0, size, &e);

	if (ret < 0)
		return -told(req, file, "cannot clear", &e);
	changed(req, file, 0, size);
	return 0;
}

/* Of what was answered before it was done. */
static int take_late_error(struct file *file)
{
	int code = atomic_exchange(&file->late_error, 0);

	if (code)
		view_late_heard(file->view);
	return code;
}

int write_finish(fuse_req_t req, struct file *file)
{
	struct err e = ERR_INIT;
	int late;

	if (file->view)
		view_await(file->view);
	late = take_late_error(file);
	if (auto_grow_finish(req, file, &e) < 0)
		late = told(req, file, "cannot end the disk", &e);
	return -late;
}

/* Less is done sooner than the answer arrives. */
#define BEHIND_MIN (64u << 10)

/* One write; it lives on the stack of whoever does it. */
struct write {
	struct server *server;
	fuse_req_t req; /* until it is answered */
	struct file *file;
	const char *buf;
	size_t size;
	uint64_t off;
};

static void answer(void *arg)
{
	struct write *w = arg;

	changed(w->req, w->file, w->off, w->size);
	fuse_reply_write(w->req, w->size);
}

static void note_late_error(void *arg, const struct err *e)
{
	struct write *w = arg;

	atomic_store(
		&w->file->late_error, request_errno(w->server, w->file->node, "cannot write", e));
}

/* The bytes are this thread's until it returns.  Past the pages the kernel has nothing to write
 * until it has the answer, and the caller nothing to do.  Whoever copies a disk, large step by
 * large step, need not wait for each. */
static bool can_be_behind(const struct write *w, const struct fuse_file_info *fi)
{
	return w->size >= BEHIND_MIN && (fi->flags & O_ACCMODE) == O_WRONLY &&
	       !(fi->flags & O_DSYNC) && w->file->direct && w->off >= w->file->wrote_to &&
	       coherence_is_alone(&w->server->coherence, w->file);
}

static int write_now(struct write *w, const struct fuse_file_info *fi, struct err *e)
{
	int ret = view_write(w->file->view, w->buf, w->size, w->off, e);

	/* For files that have pages the kernel asks for it, but not for others. */
	if (ret == 0 && w->file->direct && fi->flags & O_DSYNC)
		ret = view_flush(w->file->view, e);
	if (ret == 0)
		answer(w);
	return ret;
}

static int write_behind(struct write *w, struct err *e)
{
	struct early_reply early = {.answered = answer, .failed = note_late_error, .arg = w};

	return view_write_early(w->file->view, w->buf, w->size, w->off, &early, e);
}

static void do_write(struct write *w, const struct fuse_file_info *fi)
{
	struct err e = ERR_INIT;
	bool behind = can_be_behind(w, fi);
	int ret = auto_grow_to(w->file, w->off + w->size, 0, &e);

	w->file->wrote_to = w->off + w->size;
	if (ret == 0)
		ret = behind ? write_behind(w, &e) : write_now(w, fi, &e);
	if (ret < 0)
		fuse_reply_err(w->req, told(w->req, w->file, "cannot write", &e));
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct write w = {
		.server = request_server(req),
		.req = req,
		.file = file_ref(file_of(fi)),
		.buf = buf,
		.size = size,
		.off = (uint64_t)off,
	};
	int code = w.file->writes ? take_late_error(w.file) : EBADF;

	(void)ino;
	if (code)
		fuse_reply_err(req, code);
	else
		do_write(&w, fi);
	file_unref(w.server->tree, w.file);
}

/* What was lost of the image concerns each of its files, whichever wrote it. */
static int take_late_errors(struct file *file)
{
	int own = take_late_error(file);
	int others = file->view ? -view_late_error(file->view, &file->late_seen) : 0;

	return own || !others ? own : request_errno_of_code(others);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	struct err e = ERR_INIT;
	int ret = file->view ? view_flush(file->view, &e) : 0;
	int late = take_late_errors(file);

	(void)ino;
	(void)datasync;
	if (ret < 0)
		late = told(req, file, "cannot flush", &e);
	fuse_reply_err(req, late);
}

/* Room behind the end of a disk nobody can have. */
static int allocate(struct file *file, int mode, uint64_t off, uint64_t len, struct err *e)
{
	bool keeps_size = mode & FALLOC_FL_KEEP_SIZE;
	uint64_t size;

	if (!keeps_size && auto_grow_to(file, off + len, 0, e) < 0)
		return -e->code;
	size = file->view ? file->view->size : 0;
	if (!keeps_size && !range_fits(off, len, size))
		return err_set(e, ENOSPC, "a disk does not grow by being written to");
	if ((mode & ~FALLOC_FL_KEEP_SIZE) == 0 && range_fits(off, len, size))
		return view_allocate(file->view, off, len, e);
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return err_set(e, EOPNOTSUPP, "no such way to allocate");
	if (off >= size)
		return 0;
	return view_clear(file->view, off, MIN(len, size - off), e);
}

static void op_fallocate(
	fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	struct err e = ERR_INIT;

	(void)ino;
	if (!file->writes) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if (allocate(file, mode, (uint64_t)off, (uint64_t)len, &e) < 0) {
		fuse_reply_err(req, told(req, file, "cannot allocate", &e));
		return;
	}
	changed(req, file, (uint64_t)off, (uint64_t)len);
	fuse_reply_err(req, 0);
}

/* The most of one request, lest it cannot be interrupted for long: the caller asks for the rest. */
#define COPY_MAX (UINT64_C(256) << 20)

/* Whoever copies the beginning of a file is expected to copy all of it. */
static int64_t copy(struct file *from, uint64_t off, struct file *to, uint64_t to_off, uint64_t len,
	struct err *e)
{
	uint64_t size = from->view->size;

	if (off >= size)
		return 0;
	len = MIN(len, size - off);
	if (auto_grow_to(to, to_off + len, off == to_off ? size : 0, e) < 0)
		return -e->code;
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
	auto_grow_look(from);
	if (!from->view || !to->writes) {
		fuse_reply_err(req, from->view ? EBADF : EOPNOTSUPP);
		return;
	}
	n = copy(from, (uint64_t)off, to, (uint64_t)to_off, MIN(len, COPY_MAX), &e);
	if (n < 0) {
		fuse_reply_err(req, told(req, to, "cannot copy", &e));
		return;
	}
	changed(req, to, (uint64_t)to_off, (uint64_t)n);
	fuse_reply_write(req, (size_t)n);
}

/* Truncating a disk is making it another size; what a file of plain size would do on the way, to
 * become empty first, is done by clearing it when it is opened. */
static int resize(fuse_req_t req, struct file *file, uint64_t size)
{
	struct err e = ERR_INIT;
	uint64_t before = file->view ? file->view->size : 0;
	int ret = auto_grow_can(file) ? auto_grow_set(file, size, &e)
				      : view_resize(file->view, size, &e);

	if (ret < 0)
		return -told(req, file, "cannot change the size", &e);
	changed(req, file, MIN(before, size), MAX(before, size) - MIN(before, size));
	return 0;
}

/* Without a file that is open for it one is opened for the moment. */
static int resize_node(fuse_req_t req, struct node *node, uint64_t size)
{
	struct server *server = request_server(req);
	struct file *file;
	int ret = file_open(node, true, &file);

	if (ret < 0)
		return ret;
	ret = resize(req, file, size);
	if (ret == 0)
		ret = write_finish(req, file);
	file_unref(server->tree, file);
	return ret;
}

/* Whose a file is and who may use it is said by the mount; times are those of the image.  Programs
 * that copy files set all of these: that passes where it changes nothing, and where the permissions
 * that are wanted let nobody out who is let in. */
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
	struct stat st;
	int ret = 0;

	if (changes_access(req, node, to, which))
		ret = -EPERM;
	else if (!S_ISREG(node_type(node)) && which & FUSE_SET_ATTR_SIZE)
		ret = -EINVAL;
	else if (which & FUSE_SET_ATTR_SIZE)
		ret = fi && file_of(fi)->writes ? resize(req, file_of(fi), (uint64_t)to->st_size)
						: resize_node(req, node, (uint64_t)to->st_size);
	if (ret == 0)
		ret = request_stat(req, node, &st);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		fuse_reply_attr(req, &st, request_attr_timeout(node));
}

void write_add_ops(struct fuse_lowlevel_ops *ops)
{
	ops->write = op_write;
	ops->fsync = op_fsync;
	ops->fallocate = op_fallocate;
	ops->copy_file_range = op_copy_file_range;
	ops->setattr = op_setattr;
}
