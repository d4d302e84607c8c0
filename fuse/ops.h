/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops.h - what the kernel asks of a mount, answered from the tree. */
#ifndef VDISK_OPS_H
#define VDISK_OPS_H

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <sys/types.h>

#include "reply.h"

struct tree;

/* The user data of the session. */
struct server {
	struct tree *tree;
	struct reply reply;
	uid_t uid; /* whom all files belong to */
	gid_t gid;
	bool for_all;      /* other users may read too */
	unsigned max_read; /* as the mount was told */
};

extern const struct fuse_lowlevel_ops server_ops;

#endif
