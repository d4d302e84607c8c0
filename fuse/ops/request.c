/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request.h"

#include <errno.h>

#include "util/err.h"
#include "base/log.h"
#include "tree/node-stat.h"
#include "tree/node.h"
#include "tree/tree.h"

/* Changes are notified (daemon/invalidate.c), so the kernel may keep names and attributes. */
#define KEEP_SECONDS 86400.0

struct server *request_server(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct node *request_node(fuse_req_t req, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? request_server(req)->tree->root
				   : (struct node *)(uintptr_t)ino;
}

fuse_ino_t request_ino(const struct node *node)
{
	return node == node->tree->root ? FUSE_ROOT_ID : (uintptr_t)node;
}

static bool is_for_caller(int code)
{
	return code == ENOSPC || code == EROFS || code == EOPNOTSUPP || code == EDQUOT ||
	       code == EFBIG || code == ENAMETOOLONG || code == ERANGE || code == EBUSY ||
	       code == ESTALE;
}

int request_errno_of_code(int code)
{
	return is_for_caller(code) || code == ENOMEM ? code : EIO;
}

int request_errno(const struct node *node, const char *what, const struct err *e)
{
	char path[512];

	/* EFBIG is logged as well, since the message has the maximum. */
	if (is_for_caller(e->code) && e->code != EFBIG)
		return e->code;
	node_path(node, path, sizeof path);
	if (err_is_first(e))
		log_error(node->tree->log, "%s: %s: %s", path, what, e->text);
	return request_errno_of_code(e->code);
}

int request_stat(fuse_req_t req, struct node *node, struct stat *st)
{
	return node_stat(node, &request_server(req)->access, st);
}

/* The size and times of a file change when it is written by another name. */
static double attr_timeout(const struct node *node)
{
	return node_can_change(node) && S_ISREG(node_type(node)) ? 0 : KEEP_SECONDS;
}

void request_reply_attr(fuse_req_t req, struct node *node)
{
	struct stat st;
	int ret = request_stat(req, node, &st);

	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		fuse_reply_attr(req, &st, attr_timeout(node));
}

/* While a name is looked up, the listing of its directory waits.  So a server, which may take long,
 * is not asked for extents then, but when a program wants to know the attributes: the kernel asks
 * for them again, also before it reads past the size. */
int request_entry(fuse_req_t req, struct node *node, struct fuse_entry_param *entry)
{
	const struct server *server = request_server(req);
	bool later = server->is_remote && !node_stat_is_quick(node);

	*entry = (struct fuse_entry_param){
		.ino = request_ino(node),
		.attr_timeout = later ? 0 : attr_timeout(node),
		.entry_timeout = KEEP_SECONDS,
	};
	return later ? node_stat_uncounted(node, &server->access, &entry->attr)
		     : request_stat(req, node, &entry->attr);
}

void request_reply_node(fuse_req_t req, struct node *node)
{
	struct fuse_entry_param entry;
	int ret = request_entry(req, node, &entry);

	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		ret = fuse_reply_entry(req, &entry);
	/* The kernel does not count a reply to a request that was interrupted. */
	if (ret < 0)
		node_put(node, 1);
}
