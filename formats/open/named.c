/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "named.h"

#include <errno.h>
#include <string.h>

#include "image/image.h"
#include "io/io.h"
#include "nbd/nbd.h"
#include "util/err.h"
#include "util/protocol.h"

static struct io *open_export(const char *uri, const struct image_options *o, struct err *e)
{
	for (struct nbd_server *const *s = o->nbd; s && *s; s++)
		if (strcmp(nbd_server_uri(*s), uri) == 0)
			return nbd_server_io(*s, e);
	err_set(e, ENOTSUP, "%s: only files are opened here, no NBD servers", uri);
	return NULL;
}

struct io *named_open(const char *name, const struct image_options *o, struct err *e)
{
	if (protocol_is_nbd(name))
		return open_export(name, o, e);
	return protocol_refuse(name, e) < 0 ? NULL : io_open(name, e);
}
