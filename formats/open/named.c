/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "named.h"

#include <errno.h>
#include <string.h>

#include "image/image.h"
#include "io/io.h"
#include "nbd/nbd.h"
#include "util/err.h"
#include "util/protocol.h"

static struct nbd_server *find_server(const char *name, const struct image_options *o)
{
	for (struct nbd_server *const *s = o->nbd; s && *s; s++)
		if (strcmp(nbd_server_uri(*s), name) == 0)
			return *s;
	return NULL;
}

bool named_is_server(const char *name, const struct image_options *o)
{
	return find_server(name, o) != NULL;
}

struct io *named_open(const char *name, const struct image_options *o, struct err *e)
{
	struct nbd_server *s = find_server(name, o);

	if (s)
		return nbd_server_io(s, e);
	if (protocol_is_nbd(name)) {
		err_set(e, ENOTSUP, "%s: only files are opened here, no NBD servers", name);
		return NULL;
	}
	return protocol_refuse(name, e) < 0 ? NULL : io_open(name, e);
}
