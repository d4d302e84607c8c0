/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "view/view.h"
#include "tree/image-pool.h"
#include "tree/node-stat.h"
#include "tree/node.h"
#include "tree/tree.h"
#include "file.h"
#include "negotiate.h"
#include "read.h"
#include "request.h"
#include "write.h"
#include "xattr.h"

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1u << 6) /* of Linux 6.0 */
#endif

/* The kernel sends 12 requests of readahead at once by default; more, so that many readers do not
 * wait for each other. */
#define MAX_BACKGROUND       64
#define CONGESTION_THRESHOLD 48

/* Requests a capability if the kernel has it. */
static void want(struct fuse_conn_info *conn, unsigned cap)
{
	conn->want |= conn->capable & cap;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct server *server = userdata;

	conn->max_read = server->max_read;
	if (server->writable)
		conn->max_write = WRITE_MAX;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	/* The kernel drops pages when it is notified, and not when st_mtime changes. */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA);
	want(conn, FUSE_CAP_CACHE_SYMLINKS);
	/* The size of one file may have to be counted; other names of its directory do not wait. */
	want(conn, FUSE_CAP_PARALLEL_DIROPS);
	/* Moving pages out of the pipe is slower than copying them, measured. */
	conn->want &= ~(unsigned)FUSE_CAP_SPLICE_MOVE;
	want(conn, FUSE_CAP_SPLICE_WRITE);
	negotiate_want(server, conn);
}

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	if (ino != FUSE_ROOT_ID)
		node_put(request_node(req, ino), n);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *node;
	int ret = tree_lookup(request_node(req, parent), name, &node);

	if (ret == 0 && node)
		request_reply_node(req, node);
	else
		fuse_reply_err(req, ret < 0 ? -ret : ENOENT);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	forget(req, ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(req, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	request_reply_attr(req, request_node(req, ino));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	fuse_reply_readlink(req, request_node(req, ino)->text);
}

static void close_file(struct server *server, struct file *file)
{
	coherence_remove(&server->coherence, file);
	passthrough_close(&server->passthrough, file->backing);
	file_unref(file);
	holder_put(&server->holder);
}

/* As fuse_reply_open.  Direct writes are sent several at once; older libraries have no field for
 * that flag. */
static int reply_open(fuse_req_t req, struct fuse_file_info *fi, const struct file *file)
{
	bool parallel = file->direct && file->writes;

	if (passthrough_id(file->backing) > 0)
		return passthrough_reply(req, fi, passthrough_id(file->backing));
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 15)
	fi->parallel_direct_writes = parallel;
	return fuse_reply_open(req, fi);
#else
	struct fuse_open_out out = {
		.fh = fi->fh, .open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};

	return parallel ? fuse_reply_buf(req, (const char *)&out, sizeof out)
			: fuse_reply_open(req, fi);
#endif
}

/* Can the content of the file change?  A disk without a view will get its first bytes. */
static bool can_change(const struct file *file)
{
	const struct view *base = file->base;

	return base ? base->writer != NULL : file->new_image != NULL;
}

/* A file of a disk that can change bypasses the page cache if it is only written or opened with
 * O_DIRECT, and no other file that is open needs the pages: then the kernel sends several writes at
 * once.  All other files are read through the page cache: small reads cost no request, and the
 * readahead of the kernel fetches the next data while the program works.  A text that changes has
 * the length that it has at opening, which the kernel does not know. */
static void set_caching(struct server *server, struct file *file, struct fuse_file_info *fi)
{
	bool needs_none = (fi->flags & O_ACCMODE) == O_WRONLY || fi->flags & O_DIRECT;

	if (can_change(file))
		coherence_add(&server->coherence, file, needs_none);
	else if (file->text)
		file->direct = node_can_change(file->node);
	fi->direct_io = file->direct;
	fi->keep_cache = !node_can_change(file->node) && !can_change(file);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct server *server = request_server(req);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
	struct file *file = NULL;
	int ret = writes && !server->writable ? -EROFS
					      : file_open(request_node(req, ino), writes, &file);

	if (ret == 0 && fi->flags & O_TRUNC)
		ret = write_clear(req, file);
	if (ret < 0) {
		if (file)
			file_unref(file);
		fuse_reply_err(req, -ret);
		return;
	}
	fi->fh = (uintptr_t)file;
	set_caching(server, file, fi);
	holder_get(&server->holder);
	file->backing = passthrough_open(&server->passthrough, file->node, file->view);
	fi->noflush = !writes && passthrough_id(file->backing) == 0;
	/* A caller that was interrupted sends no release. */
	if (reply_open(req, fi, file) != 0)
		close_file(server, file);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	close_file(request_server(req), file_of(fi));
	fuse_reply_err(req, 0);
}

/* A descriptor is closed: a file that was written becomes durable soon.  Passthrough reads of a
 * backing file that was cut short end early, without an error until here. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct server *server = request_server(req);
	struct file *file = file_of(fi);
	struct err e = ERR_INIT;
	int ret = 0;

	(void)ino;
	if (file->writes) {
		image_pool_flush_soon(server->pool);
		ret = -write_finish(file);
	} else if (passthrough_id(file->backing) > 0 &&
		   image_check_files(file->shown.img, &e) < 0) {
		ret = request_errno(file->node, "cannot read it to its end", &e);
	}
	fuse_reply_err(req, ret);
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct server *server = request_server(req);
	struct file *file = file_ref(file_of(fi));
	size_t skip;

	(void)ino;
	file_look(file);
	if (file->view) {
		read_reply(server->read_worker, req, file->node, file->view, size, (uint64_t)off);
		readahead_continue(
			&file->readahead, &server->readahead, file->view, (uint64_t)off, size);
	} else {
		skip = MIN((uint64_t)off, file->len);
		fuse_reply_buf(req, file->text + skip, MIN(size, file->len - skip));
	}
	file_unref(file);
}

static void op_lseek(
	fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	uint64_t found = 0;
	int ret = -EINVAL;

	(void)ino;
	file_look(file);
	if ((whence == SEEK_DATA || whence == SEEK_HOLE) && off >= 0)
		ret = file_seek(file, (uint64_t)off, whence, &found);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		fuse_reply_lseek(req, (off_t)found);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *node = request_node(req, ino);
	struct dir *dir;
	int ret = tree_list(node, &dir);

	if (ret < 0) {
		fuse_reply_err(req, -ret);
		return;
	}
	fi->fh = (uintptr_t)dir;
	/* In a list that can change, the kernel would mix entries of the old and of the new one. */
	fi->cache_readdir = fi->keep_cache = node_list_stays(node);
	if (fuse_reply_open(req, fi) != 0)
		tree_unlist(dir);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	tree_unlist((struct dir *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* The entry at a position, after "." and ".."; NULL: past the last. */
static struct node *entry_at(struct node *node, const struct dir *dir, size_t at, const char **name)
{
	*name = at == 0 ? "." : "..";
	if (at == 0)
		return node;
	if (at == 1)
		return node->parent;
	if (at - 2 >= dir->n)
		return NULL;
	*name = dir->nodes[at - 2]->name;
	return dir->nodes[at - 2];
}

/* Adds an entry to a listing.  Returns the bytes that it takes, which may be more than size.
 *
 * plus: with attributes, if they are known.  An entry whose stored bytes must be counted first has
 * no inode number, so that "ls" is quick and the kernel looks it up for "ls -l"; neither has an
 * entry that is gone.  An entry with a number is held for the kernel. */
static size_t add_entry(fuse_req_t req, char *buf, size_t size, const char *name, struct node *node,
	size_t at, bool plus)
{
	struct fuse_entry_param entry = {.attr.st_ino = node->ino, .attr.st_mode = node_type(node)};
	off_t next = (off_t)at + 1;
	size_t len;

	if (!plus)
		return fuse_add_direntry(req, buf, size, name, &entry.attr, next);
	if (at >= 2 && node_stat_is_quick(node) && !atomic_load(&node->gone) &&
		request_entry(req, node, &entry) < 0)
		entry.ino = 0;
	len = fuse_add_direntry_plus(req, buf, size, name, &entry, next);
	if (entry.ino && len <= size)
		node_get(node);
	return len;
}

static void reply_listing(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi, bool plus)
{
	const struct dir *dir = (const struct dir *)(uintptr_t)fi->fh;
	struct node *parent = request_node(req, ino), *node;
	char *buf = malloc(size);
	const char *name;
	size_t used = 0, len;

	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (size_t at = (size_t)off; (node = entry_at(parent, dir, at, &name)) != NULL; at++) {
		len = add_entry(req, buf + used, size - used, name, node, at, plus);
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, buf, used);
	free(buf);
}

static void op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_listing(req, ino, size, off, fi, false);
}

static void op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_listing(req, ino, size, off, fi, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	tree_statvfs(request_server(req)->tree, &st);
	fuse_reply_statfs(req, &st);
}

/* name NULL: the list of names. */
static void reply_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct node *node = request_node(req, ino);
	char *buf = malloc(size + 1);
	ssize_t ret = -ENOMEM;

	if (buf)
		ret = name ? xattr_get(node, name, buf, size) : xattr_list(node, buf, size);
	if (ret < 0)
		fuse_reply_err(req, (int)-ret);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)ret);
	else
		fuse_reply_buf(req, buf, (size_t)ret);
	free(buf);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	reply_xattr(req, ino, name, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	reply_xattr(req, ino, NULL, size);
}

/* Each operation that changes something fails with EROFS.  The kernel sends none of them to a mount
 * that is read-only, unless it is remounted. */

#define UNUSED __attribute__((unused))

/* Defines an operation with these parameters after the request. */
#define REFUSE(op, ...)                                                                            \
	static void op(fuse_req_t req, __VA_ARGS__)                                                \
	{                                                                                          \
		fuse_reply_err(req, EROFS);                                                        \
	}

REFUSE(refuse_setattr, fuse_ino_t ino UNUSED, struct stat *st UNUSED, int which UNUSED,
	struct fuse_file_info *fi UNUSED)
REFUSE(refuse_mknod, fuse_ino_t dir UNUSED, const char *name UNUSED, mode_t mode UNUSED,
	dev_t dev UNUSED)
REFUSE(refuse_mkdir, fuse_ino_t dir UNUSED, const char *name UNUSED, mode_t mode UNUSED)
REFUSE(refuse_remove, fuse_ino_t dir UNUSED, const char *name UNUSED) /* unlink and rmdir */
REFUSE(refuse_symlink, const char *target UNUSED, fuse_ino_t dir UNUSED, const char *name UNUSED)
REFUSE(refuse_rename, fuse_ino_t from UNUSED, const char *name UNUSED, fuse_ino_t to UNUSED,
	const char *new_name UNUSED, unsigned flags UNUSED)
REFUSE(refuse_link, fuse_ino_t ino UNUSED, fuse_ino_t dir UNUSED, const char *name UNUSED)
REFUSE(refuse_create, fuse_ino_t dir UNUSED, const char *name UNUSED, mode_t mode UNUSED,
	struct fuse_file_info *fi UNUSED)
REFUSE(refuse_setxattr, fuse_ino_t ino UNUSED, const char *name UNUSED, const char *value UNUSED,
	size_t size UNUSED, int flags UNUSED)
REFUSE(refuse_removexattr, fuse_ino_t ino UNUSED, const char *name UNUSED)

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.flush = op_flush,
	.lseek = op_lseek,
	.opendir = op_opendir,
	.releasedir = op_releasedir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setattr = refuse_setattr,
	.mknod = refuse_mknod,
	.mkdir = refuse_mkdir,
	.unlink = refuse_remove,
	.rmdir = refuse_remove,
	.symlink = refuse_symlink,
	.rename = refuse_rename,
	.link = refuse_link,
	.create = refuse_create,
	.setxattr = refuse_setxattr,
	.removexattr = refuse_removexattr,
};
