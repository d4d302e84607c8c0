/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* negotiate.h - features that the kernel offers in the first request of a mount, and that older
 * libraries do not know: passthrough (libfuse 3.17) and HANDLE_KILLPRIV_V2.
 *
 * Without the latter, the kernel asks before each write, other than those past the page cache, for
 * the extended attribute security.capability, which it would have to remove: a second request for
 * each write.  No file of a mount has that attribute, or the bits of setuid and setgid, so none of
 * them is ever to be removed.
 */
#ifndef VDISKFS_OPS_NEGOTIATE_H
#define VDISKFS_OPS_NEGOTIATE_H

#include <fuse_lowlevel.h>
#include <stdint.h>

struct server;

/* The flags that are inserted into the reply to the first request, by libraries that do not do so.
 */
struct negotiation {
	uint32_t flags, flags2;
};

/* Sets up the session before the first request of the kernel is processed; request is that one. */
void negotiate_offer(
	struct server *server, struct fuse_session *se, const struct fuse_buf *request);

/* In the init operation. */
void negotiate_want(struct server *server, struct fuse_conn_info *conn);

#endif
