/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* request.h - the server of a mount, and the answers that all requests have in common.
 *
 * The kernel gets the address of a node for its inode number, and FUSE_ROOT_ID for the root.  It
 * counts the replies that have the number, each of which holds the node, and drops them by
 * "forget".
 */
#ifndef VDISKFS_OPS_REQUEST_H
#define VDISKFS_OPS_REQUEST_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/access.h"
#include "coherence.h"
#include "holder.h"
#include "negotiate.h"
#include "passthrough.h"
#include "readahead.h"

struct err;
struct image_pool;
struct node;
struct tree;

/* The user data of the session. */
struct server {
	struct image_pool *pool;
	struct tree *tree;
	pthread_key_t read_worker; /* of read.c */
	struct access access;
	bool writable;  /* live states can be written */
	bool is_remote; /* the image, or a parent, is on a server */
	struct coherence coherence;
	struct readahead_budget readahead;
	struct passthrough passthrough;
	struct negotiation negotiation;
	struct holder holder; /* the mount ends with it */
	unsigned max_read;    /* bytes; the kernel asks for no more at a time */
};

struct server *request_server(fuse_req_t req);
struct node *request_node(fuse_req_t req, fuse_ino_t ino);
fuse_ino_t request_ino(const struct node *node);

/* The errno for the caller of a request that failed.  An error that the caller can act on is passed
 * on; any other one is logged with the node and what was attempted, and becomes EIO or ENOMEM. */
int request_errno(const struct node *node, const char *what, const struct err *e);

/* The errno for the caller alone. */
int request_errno_of_code(int code);

/* stat(2) of a node; and a reply with it. */
int request_stat(fuse_req_t req, struct node *node, struct stat *st);
void request_reply_attr(fuse_req_t req, struct node *node);

/* Fills in the entry of a node in a directory; 0 or -errno. */
int request_entry(fuse_req_t req, struct node *node, struct fuse_entry_param *entry);

/* Replies with a node; the reference becomes the kernel's. */
void request_reply_node(fuse_req_t req, struct node *node);

#endif
