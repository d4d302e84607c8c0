/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops.h - what the kernel asks of a mount, answered from the tree. */
#ifndef VDISKFS_OPS_OPS_H
#define VDISKFS_OPS_OPS_H

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/access.h"
#include "readahead.h"
#include "holder.h"
#include "read.h"
#include "coherence.h"

struct err;
struct file;
struct flusher;
struct node;
struct tree;

/* The user data of the session. */
struct server {
	struct tree *tree;
	struct read_workers readers;
	struct access access;
	bool writable; /* the image at the root is written */
	struct coherence coherence;
	struct flusher *flusher; /* NULL: nothing can change */
	struct readahead_budget readahead;
	struct holder holder; /* what the mount ends with */
	unsigned max_read;    /* as the mount was told */
};

extern const struct fuse_lowlevel_ops ops_table;

/* For handlers. */
struct server *request_server(fuse_req_t req);
struct node *request_node(fuse_req_t req, fuse_ino_t ino);
struct file *file_of(const struct fuse_file_info *fi);

/* The errno for a caller whose request failed: what callers expect is passed on, anything else is
 * logged with what was asked for, and EIO or ENOMEM. */
int request_errno(const struct server *server, const struct node *node, const char *what,
	const struct err *e);

/* The errno alone. */
int request_errno_of_code(int code);

/* Answers with a node, which is held for the kernel. */
void request_reply_node(fuse_req_t req, struct node *node);

/* What stat(2) says of a node, and for how many seconds the kernel may believe it. */
int request_stat(fuse_req_t req, struct node *node, struct stat *st);
double request_attr_timeout(const struct node *node);

#endif
