/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* namespace.c - mkdir, rmdir and rename in snapshots/ create, delete and rename a snapshot; mkdir
 * and rmdir in a directory of the host create and remove an image.
 *
 * The kernel sends one of these requests at a time for a directory, and none for a name that is
 * being looked up.
 */
#include "namespace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/snapshot.h"
#include "base/filename.h"
#include "tree/node.h"
#include "tree/shown.h"
#include "tree/tree.h"
#include "new-image-ops.h"
#include "request.h"

/* Snapshots can be changed of the live image only. */
static int check_dir(const struct node *dir)
{
	if (dir->kind != NODE_SNAPSHOTS)
		return -EPERM;
	return node_is_live(dir) ? 0 : -EROFS;
}

/* Would a snapshot of this name be shown by this name? */
static bool is_plain(const char *name)
{
	char *shown = filename_escape(name);
	bool plain = shown && strcmp(shown, name) == 0;

	free(shown);
	return plain;
}

/* A change of the snapshots that dir lists: begin pins the image, opened for writing, and end,
 * with the result of the change, shows the directory anew. */
struct snapshot_change {
	fuse_req_t req;
	struct node *dir;
	const char *what; /* for the log */
	struct shown shown;
	struct err e;
};

static int begin(struct snapshot_change *c)
{
	int ret = shown_pin(c->dir, USE_TO_WRITE, &c->shown, &c->e);

	if (ret < 0 && c->e.code)
		ret = -request_errno(request_server(c->req), c->dir, c->what, &c->e);
	return ret;
}

static int end(struct snapshot_change *c, int ret)
{
	shown_unpin(c->dir, &c->shown);
	if (ret < 0)
		return -request_errno(request_server(c->req), c->dir, c->what, &c->e);
	return tree_snapshots_changed(c->dir);
}

/* This mount has opened the image for writing. */
static struct image *image_of(const struct snapshot_change *c)
{
	return (struct image *)c->shown.img;
}

static bool is_snapshot(const struct node *node, const void *no)
{
	return node->kind == NODE_SNAPSHOT && node->state == *(const unsigned *)no;
}

static int create_snapshot(fuse_req_t req, struct node *dir, const char *name, struct node **node)
{
	struct snapshot_change c = {req, dir, "cannot create a snapshot", .e = ERR_INIT};
	unsigned no = 0;
	int ret = check_dir(dir);

	if (ret == 0)
		ret = begin(&c);
	if (ret < 0)
		return ret;
	ret = end(&c, snapshot_create(image_of(&c), name, &no, &c.e));
	if (ret == 0)
		ret = tree_find(dir, is_snapshot, &no, node);
	return ret == 0 && !*node ? -ENOENT : ret; /* it was deleted meanwhile */
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *dir = request_node(req, parent), *node = NULL;
	int ret = -EINVAL;

	(void)mode;
	if (is_plain(name))
		ret = dir->kind == NODE_FOLDER ? new_image_ops_create(req, dir, name, &node)
					       : create_snapshot(req, dir, name, &node);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		request_reply_node(req, node);
}

/* The number of the snapshot called name in a directory; -EBUSY: a file of it is open, and must not
 * be. */
static int find_snapshot(struct node *dir, const char *name, bool must_be_closed, unsigned *no)
{
	struct node *node;
	int ret = tree_lookup(dir, name, &node);

	if (ret < 0 || !node)
		return ret < 0 ? ret : -ENOENT;
	*no = node->state;
	if (node->kind != NODE_SNAPSHOT) /* but one of the machine */
		ret = -EPERM;
	else if (must_be_closed && atomic_load(&node->open_files) > 0)
		ret = -EBUSY;
	node_put(node, 1);
	return ret;
}

static int delete_snapshot(fuse_req_t req, struct node *dir, const char *name)
{
	struct snapshot_change c = {req, dir, "cannot delete a snapshot", .e = ERR_INIT};
	unsigned no = 0;
	int ret = check_dir(dir);

	if (ret == 0)
		ret = find_snapshot(dir, name, true, &no);
	if (ret == 0)
		ret = begin(&c);
	return ret < 0 ? ret : end(&c, snapshot_delete(image_of(&c), no, &c.e));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *dir = request_node(req, parent);
	int ret = dir->kind == NODE_FOLDER ? new_image_ops_remove(req, dir, name)
					   : delete_snapshot(req, dir, name);

	fuse_reply_err(req, -ret);
}

/* A snapshot never replaces another one, which would be lost. */
static int check_target(struct node *dir, const char *name)
{
	struct node *node;
	int ret = is_plain(name) ? tree_lookup(dir, name, &node) : -EINVAL;

	if (ret < 0 || !node)
		return ret;
	node_put(node, 1);
	return -EEXIST;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	const char *new_name, unsigned flags)
{
	struct node *dir = request_node(req, parent);
	struct snapshot_change c = {req, dir, "cannot rename a snapshot", .e = ERR_INIT};
	unsigned no = 0;
	int ret = check_dir(dir);

	if (ret == 0 && to != parent)
		ret = -EPERM;
	if (ret == 0 && flags & ~RENAME_NOREPLACE)
		ret = -EINVAL;
	if (ret == 0)
		ret = find_snapshot(dir, name, false, &no);
	if (ret == 0)
		ret = check_target(dir, new_name);
	if (ret == 0)
		ret = begin(&c);
	if (ret == 0)
		ret = end(&c, snapshot_rename(image_of(&c), no, new_name, &c.e));
	fuse_reply_err(req, -ret);
}

void namespace_add_ops(struct fuse_lowlevel_ops *ops)
{
	ops->mkdir = op_mkdir;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	new_image_ops_add(ops);
}
