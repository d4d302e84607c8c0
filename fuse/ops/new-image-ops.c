/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "new-image-ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/fingerprint.h"
#include "image/format.h"
#include "open/registry.h"
#include "base/log.h"
#include "tree/new-image.h"
#include "tree/node.h"
#include "tree/pooled-image.h"
#include "tree/tree.h"
#include "request.h"
#include "xattr.h"

/* Logs the reason of a failure; pooled_image_end_change logs ESTALE. */
static int failed(fuse_req_t req, const char *name, const struct err *e)
{
	if (e->code != ESTALE)
		log_error(request_server(req)->readers.log, "%s: %s", name, e->text);
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
static int show(fuse_req_t req, struct node *dir, struct new_image *f,
	struct fingerprint *fingerprint, struct node **node)
{
	int ret = tree_refresh(dir);

	if (ret == 0)
		ret = tree_find(dir, node_is_image_of, f->path, node);
	if (ret < 0 || !*node) {
		log_error(request_server(req)->readers.log, "%s: it was created, but is not shown",
			f->path);
		new_image_free(f);
		fingerprint_free(fingerprint);
		return ret < 0 ? ret : -EINVAL;
	}
	f->listed_empty = true;
	pooled_image_set_new((*node)->image, f, fingerprint);
	return 0;
}

int new_image_ops_create(fuse_req_t req, struct node *dir, const char *name, struct node **node)
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
	return ret < 0 ? failed(req, name, &e) : show(req, dir, f, &fingerprint, node);
}

int new_image_ops_remove(fuse_req_t req, struct node *dir, const char *name)
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
		ret = failed(req, name, &e);
	node_put(node, 1);
	/* After -ESTALE the list shows the file that has replaced the image. */
	if (ret == 0 || ret == -ESTALE)
		refreshed = tree_refresh(dir);
	return ret < 0 ? ret : refreshed;
}

static int set_option(fuse_req_t req, const struct node *node, const char *option)
{
	struct new_image *f = node_get_new_image(node);
	struct err e = ERR_INIT;

	if (!f)
		return -EPERM;
	return new_image_set_option(f, node->image, option, &e) < 0 ? failed(req, node->name, &e)
								    : 0;
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
		ret = option ? set_option(req, request_node(req, ino), option) : -ENOMEM;
		free(option);
	}
	fuse_reply_err(req, -ret);
}

void new_image_ops_add(struct fuse_lowlevel_ops *ops)
{
	ops->setxattr = op_setxattr;
}
