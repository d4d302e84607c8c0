/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* namespace.c - mkdir, rmdir and rename in snapshots/ create, delete and rename a snapshot; mkdir
 * and rmdir in a directory of the host create and remove an image, and setxattr sets its options.
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
#include "image/fingerprint.h"
#include "image/format.h"
#include "image/snapshot.h"
#include "open/registry.h"
#include "util/filename.h"
#include "base/log.h"
#include "tree/new-image.h"
#include "tree/node.h"
#include "tree/pooled-image.h"
#include "tree/shown.h"
#include "tree/tree.h"
#include "request.h"
#include "xattr.h"

/* Images. */

/* Logs the reason of a failure; pooled_image_end_change logs ESTALE. */
static int log_failure(const struct node *node, const char *name, const struct err *e)
{
	if (e->code != ESTALE)
		log_error(node->tree->log, "%s: %s", name, e->text);
	return -e->code;
}

static int choose_format(const char *name, const struct format **format, struct err *e)
{
	*format = registry_find_by_filename(name);
	if (name[0] == '.')
		return err_set(e, EINVAL, "an image whose name begins with a dot is not shown");
	if (!*format)
		return err_set(e, EINVAL, "its suffix is not that of a format of images");
	if (!(*format)->create)
		return err_set(e, EOPNOTSUPP, "images of the format %s cannot be created",
			(*format)->name);
	return 0;
}

/* The directory lists the new image like any other file.  It does not if the description of a
 * machine claims the file as a part of another image. */
static int show_image(
	struct node *dir, struct new_image *f, struct fingerprint *fingerprint, struct node **node)
{
	int ret = tree_refresh(dir);

	if (ret == 0)
		ret = tree_find(dir, node_is_image_of, f->path, node);
	if (ret < 0 || !*node) {
		log_error(dir->tree->log, "%s: it was created, but is not shown", f->path);
		new_image_free(f);
		fingerprint_free(fingerprint);
		return ret < 0 ? ret : -EINVAL;
	}
	f->listed_empty = true;
	pooled_image_set_new((*node)->image, f, fingerprint);
	return 0;
}

/* Creates an image of the format that the suffix of its name names; *node is its directory, held.
 */
static int create_image(struct node *dir, const char *name, struct node **node)
{
	struct err e = ERR_INIT;
	const struct format *format = NULL;
	struct new_image *f = NULL;
	struct fingerprint fingerprint = {0};
	char *path = node_host_path(dir, name);
	int ret = path ? choose_format(name, &format, &e) : err_nomem(&e);

	if (ret == 0)
		ret = new_image_create(format, path, &f, &fingerprint, &e);
	free(path);
	if (ret == -EEXIST)
		return ret;
	return ret < 0 ? log_failure(dir, name, &e) : show_image(dir, f, &fingerprint, node);
}

/* Removes an image that was created in this mount and is still empty; -ENOTEMPTY: any other. */
static int remove_image(struct node *dir, const char *name)
{
	struct err e = ERR_INIT;
	struct new_image *f;
	struct node *node;
	int ret = tree_lookup(dir, name, &node), refreshed = 0;

	if (ret < 0 || !node)
		return ret < 0 ? ret : -ENOENT;
	f = node_get_new_image(node);
	ret = f ? new_image_remove(f, node->image, &e) : -ENOTEMPTY;
	if (e.code)
		ret = log_failure(dir, name, &e);
	node_put(node, 1);
	/* After -ESTALE the list shows the file that has replaced the image. */
	if (ret == 0 || ret == -ESTALE)
		refreshed = tree_refresh(dir);
	return ret < 0 ? ret : refreshed;
}

static int set_option(const struct node *node, const char *option)
{
	struct new_image *f = node_get_new_image(node);
	struct err e = ERR_INIT;

	if (!f)
		return -EPERM;
	return new_image_set_option(f, node->image, option, &e) < 0
		       ? log_failure(node, node->name, &e)
		       : 0;
}

/* Snapshots. */

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
	struct node *dir;
	const char *what; /* for the log */
	struct shown shown;
	struct err e;
};

static int begin(struct snapshot_change *c)
{
	int ret = shown_pin(c->dir, USE_TO_WRITE, &c->shown, &c->e);

	if (ret < 0 && c->e.code)
		ret = -request_errno(c->dir, c->what, &c->e);
	return ret;
}

static int end(struct snapshot_change *c, int ret)
{
	shown_unpin(c->dir, &c->shown);
	if (ret < 0)
		return -request_errno(c->dir, c->what, &c->e);
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

static int create_snapshot(struct node *dir, const char *name, struct node **node)
{
	struct snapshot_change c = {dir, "cannot create a snapshot", .e = ERR_INIT};
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

static int delete_snapshot(struct node *dir, const char *name)
{
	struct snapshot_change c = {dir, "cannot delete a snapshot", .e = ERR_INIT};
	unsigned no = 0;
	int ret = check_dir(dir);

	if (ret == 0)
		ret = find_snapshot(dir, name, true, &no);
	if (ret == 0)
		ret = begin(&c);
	return ret < 0 ? ret : end(&c, snapshot_delete(image_of(&c), no, &c.e));
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
	struct snapshot_change c = {dir, "cannot rename a snapshot", .e = ERR_INIT};
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

/* Operations. */

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *dir = request_node(req, parent), *node = NULL;
	int ret = -EINVAL;

	(void)mode;
	if (is_plain(name))
		ret = dir->kind == NODE_FOLDER ? create_image(dir, name, &node)
					       : create_snapshot(dir, name, &node);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		request_reply_node(req, node);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *dir = request_node(req, parent);
	int ret = dir->kind == NODE_FOLDER ? remove_image(dir, name) : delete_snapshot(dir, name);

	fuse_reply_err(req, -ret);
}

static void op_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	size_t prefix = strlen(XATTR_PREFIX);
	char *option;
	int ret = -EOPNOTSUPP;

	(void)flags;
	if (strncmp(name, XATTR_PREFIX, prefix) == 0) {
		if (asprintf(&option, "%s=%.*s", name + prefix, (int)size, value) < 0)
			option = NULL;
		ret = option ? set_option(request_node(req, ino), option) : -ENOMEM;
		free(option);
	}
	fuse_reply_err(req, -ret);
}

void namespace_add_ops(struct fuse_lowlevel_ops *ops)
{
	ops->mkdir = op_mkdir;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	ops->setxattr = op_setxattr;
}
