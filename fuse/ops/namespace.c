/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* namespace.c - mkdir, rmdir and mv in snapshots/: a snapshot is taken, dropped, renamed; and in a
 * directory of images, where it is an image that is made or removed.
 *
 * The kernel sends one of these at a time for a directory, and none for a name in it that is being
 * looked up.
 */
#include "namespace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/image.h"
#include "new-image-ops.h"
#include "base/filename.h"
#include "ops.h"
#include "image/snapshot.h"
#include "tree/tree.h"

/* What is done to the snapshots of an image that a directory lists. */
struct change {
	struct node *dir;
	struct image *img;
	const char *name; /* of a new one, or for an old one */
	unsigned no;      /* its number */
	int (*run)(struct change *c, struct err *e);
};

/* Those of an image as it is now, and no others. */
static int check_dir(const struct node *dir)
{
	if (dir->kind == NODE_SNAPSHOTS && node_is_live(dir))
		return 0;
	return dir->kind == NODE_SNAPSHOTS ? -EROFS : -EPERM;
}

/* A name that would be shown as another. */
static bool is_plain(const char *name)
{
	char *shown = filename_escape(name);
	bool plain = shown && strcmp(shown, name) == 0;

	free(shown);
	return plain;
}

/* Does it, and lets the tree show it. */
static int change(fuse_req_t req, const char *what, struct change *c)
{
	struct err e = ERR_INIT;
	struct shown shown;
	int ret = node_hold(c->dir, true, &shown, &e);

	if (ret < 0)
		return e.code ? -request_errno(request_server(req), c->dir, what, &e) : ret;
	c->img = (struct image *)shown.img; /* which this mount has opened to write to it */
	ret = c->run(c, &e);
	node_unhold(c->dir, &shown);
	if (ret < 0)
		return -request_errno(request_server(req), c->dir, what, &e);
	return tree_snapshots_changed(c->dir->tree, c->dir);
}

static bool is_snapshot(const struct node *node, const void *no)
{
	return node->kind == NODE_SNAPSHOT && node->state == *(const unsigned *)no;
}

static int take(struct change *c, struct err *e)
{
	return snapshot_create(c->img, c->name, &c->no, e);
}

static int take_snapshot(fuse_req_t req, struct change *c, struct node **node)
{
	int ret = check_dir(c->dir);

	if (ret == 0)
		ret = change(req, "cannot take a snapshot", c);
	if (ret == 0)
		ret = tree_find(c->dir->tree, c->dir, is_snapshot, &c->no, node);
	return ret == 0 && !*node ? -ENOENT : ret; /* somebody was quicker */
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct change c = {.dir = request_node(req, parent), .name = name, .run = take};
	struct node *node = NULL;
	int ret = is_plain(name) ? 0 : -EINVAL;

	(void)mode;
	if (ret == 0 && c.dir->kind == NODE_FOLDER)
		ret = new_image_ops_create(req, c.dir, name, &node);
	else if (ret == 0)
		ret = take_snapshot(req, &c, &node);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		request_reply_node(req, node);
}

/* A snapshot in a directory, by its number. */
static int look_up(struct node *dir, const char *name, unsigned *no, bool *busy)
{
	struct node *node;
	int ret = tree_lookup(dir->tree, dir, name, &node);

	if (ret < 0)
		return ret;
	if (!node)
		return -ENOENT;
	*no = node->state;
	*busy = atomic_load(&node->opened) > 0;
	ret = node->kind == NODE_SNAPSHOT && !node_is_top(node) ? 0 : -EPERM;
	node_put(dir->tree, node, 1);
	return ret;
}

static int drop(struct change *c, struct err *e)
{
	return snapshot_delete(c->img, c->no, e);
}

static int drop_snapshot(fuse_req_t req, struct node *dir, const char *name)
{
	struct change c = {.dir = dir, .run = drop};
	bool busy = false;
	int ret = check_dir(dir);

	if (ret == 0)
		ret = look_up(dir, name, &c.no, &busy);
	if (ret == 0 && busy)
		ret = -EBUSY;
	return ret == 0 ? change(req, "cannot delete a snapshot", &c) : ret;
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *dir = request_node(req, parent);
	int ret = dir->kind == NODE_FOLDER ? new_image_ops_remove(req, dir, name)
					   : drop_snapshot(req, dir, name);

	fuse_reply_err(req, -ret);
}

static int rename_to(struct change *c, struct err *e)
{
	return snapshot_rename(c->img, c->no, c->name, e);
}

/* A snapshot does not take the place of another: that would be lost. */
static int check_target(struct node *dir, const char *name)
{
	struct node *node;
	int ret = is_plain(name) ? tree_lookup(dir->tree, dir, name, &node) : -EINVAL;

	if (ret < 0 || !node)
		return ret;
	node_put(dir->tree, node, 1);
	return -EEXIST;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	const char *new_name, unsigned flags)
{
	struct change c = {.dir = request_node(req, parent), .name = new_name, .run = rename_to};
	bool busy;
	int ret = check_dir(c.dir);

	if (ret == 0 && to != parent)
		ret = -EPERM;
	if (ret == 0 && flags & ~RENAME_NOREPLACE)
		ret = -EINVAL;
	if (ret == 0)
		ret = look_up(c.dir, name, &c.no, &busy);
	if (ret == 0)
		ret = check_target(c.dir, new_name);
	if (ret == 0)
		ret = change(req, "cannot rename a snapshot", &c);
	fuse_reply_err(req, -ret);
}

void namespace_add_ops(struct fuse_lowlevel_ops *ops)
{
	ops->mkdir = op_mkdir;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	new_image_ops_add(ops);
}
