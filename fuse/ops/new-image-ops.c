/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* new-image-ops.c - see new-image-ops.h. */
#include "new-image-ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "tree/new-image.h"
#include "base/log.h"
#include "ops.h"
#include "tree/image-pool.h"
#include "image/fingerprint.h"
#include "tree/tree.h"
#include "xattr.h"

/* What the user has asked for and cannot have: the reason is in the log. */
static int refused(fuse_req_t req, const char *name, const struct err *e)
{
	if (e->code != ESTALE) /* see pooled_image_change */
		log_error(request_server(req)->readers.log, "%s: %s", name, e->text);
	return -e->code;
}

static int choose_format(const char *name, const struct format **format, struct err *e)
{
	*format = name[0] == '.' ? NULL : registry_find_by_filename(name);
	if (name[0] == '.')
		return err_set(e, EINVAL, "a name that begins with a dot would not be shown");
	if (!*format)
		return err_set(e, EINVAL, "its suffix is not that of a format of images");
	if (!(*format)->create)
		return err_set(e, EOPNOTSUPP, "images of the format %s cannot be created",
			(*format)->name);
	return 0;
}

/* The new image is shown like any file that comes by itself; it is not when a machine's description
 * says that the file is a part of something else. */
static int show(fuse_req_t req, struct node *dir, struct new_image *f, struct fingerprint *stamp,
	struct node **node)
{
	int ret = tree_refresh(dir->tree, dir);

	if (ret == 0)
		ret = tree_find(dir->tree, dir, node_is_image_of, f->path, node);
	if (ret < 0 || !*node) {
		log_error(request_server(req)->readers.log, "%s: it was made, but is not shown",
			f->path);
		new_image_free(f);
		fingerprint_free(stamp);
		return ret < 0 ? ret : -EINVAL;
	}
	f->listed_empty = true;
	pooled_image_set_new((*node)->image, f, stamp);
	return 0;
}

int new_image_ops_create(fuse_req_t req, struct node *dir, const char *name, struct node **node)
{
	struct err e = ERR_INIT;
	const struct format *format = NULL;
	struct new_image *f = NULL;
	struct fingerprint stamp = {0};
	char *path = node_host_path(dir, name);
	int ret = path ? choose_format(name, &format, &e) : err_nomem(&e);

	if (ret == 0)
		ret = new_image_create(format, path, &f, &stamp, &e);
	free(path);
	if (ret == -EEXIST)
		return ret;
	return ret < 0 ? refused(req, name, &e) : show(req, dir, f, &stamp, node);
}

int new_image_ops_remove(fuse_req_t req, struct node *dir, const char *name)
{
	struct err e = ERR_INIT;
	struct node *node;
	struct new_image *f;
	int ret = tree_lookup(dir->tree, dir, name, &node), refreshed = 0;

	if (ret < 0 || !node)
		return ret < 0 ? ret : -ENOENT;
	f = node_get_new_image(node);
	ret = -ENOTEMPTY;
	if (f) {
		pthread_mutex_lock(&f->lock);
		ret = f->empty ? new_image_remove(f, node->image, &e) : -ENOTEMPTY;
		pthread_mutex_unlock(&f->lock);
	}
	if (e.code)
		ret = refused(req, name, &e);
	node_put(dir->tree, node, 1);
	/* What took the place of the image is shown. */
	if (ret == 0 || ret == -ESTALE)
		refreshed = tree_refresh(dir->tree, dir);
	return ret < 0 ? ret : refreshed;
}

/* Options. */

static int set_option(fuse_req_t req, const struct node *node, const char *word)
{
	struct new_image *f = node_get_new_image(node);
	struct err e = ERR_INIT;
	int ret;

	if (!f)
		return -EPERM;
	pthread_mutex_lock(&f->lock);
	ret = f->empty ? new_image_set_option(f, node->image, word, &e)
		       : err_set(&e, EBUSY, "%s: it is no longer empty", word);
	pthread_mutex_unlock(&f->lock);
	return ret < 0 ? refused(req, node->name, &e) : 0;
}

static void op_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	char *word;
	int ret = -EOPNOTSUPP;

	(void)flags;
	if (strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX)) == 0) {
		if (asprintf(&word, "%s=%.*s", name + strlen(XATTR_PREFIX), (int)size, value) < 0)
			word = NULL;
		ret = word ? set_option(req, request_node(req, ino), word) : -ENOMEM;
		free(word);
	}
	fuse_reply_err(req, -ret);
}

void new_image_ops_add(struct fuse_lowlevel_ops *ops)
{
	ops->setxattr = op_setxattr;
}
