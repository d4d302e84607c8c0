/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* none.c - in the place of the other files, when the program is built without libnbd. */
#ifndef HAVE_LIBNBD

#include <errno.h>
#include <stddef.h>

#include "nbd.h"
#include "util/err.h"

int nbd_server_connect(
	const char *uri, const struct nbd_options *o, struct nbd_server **s, struct err *e)
{
	(void)o, (void)s;
	return err_set(e, ENOTSUP,
		"%s: this program was built without libnbd, and connects to no "
		"server",
		uri);
}

void nbd_server_disconnect(struct nbd_server *s)
{
	(void)s;
}

const char *nbd_server_uri(const struct nbd_server *s)
{
	(void)s;
	return "";
}

void nbd_server_pause(struct nbd_server *s)
{
	(void)s;
}

int nbd_server_resume(struct nbd_server *s, struct err *e)
{
	(void)s, (void)e;
	return 0;
}

void nbd_server_abort(struct nbd_server *s)
{
	(void)s;
}

unsigned nbd_server_sockets(const struct nbd_server *s, uint32_t *sockets, unsigned max)
{
	(void)s, (void)sockets, (void)max;
	return 0;
}

struct io *nbd_server_io(struct nbd_server *s, struct err *e)
{
	(void)s;
	err_set(e, ENOTSUP, "this program was built without libnbd");
	return NULL;
}

#endif
