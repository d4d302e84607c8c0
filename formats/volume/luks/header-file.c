/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "header-file.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "util/err.h"
#include "io/io.h"
#include "luks.h"

static struct luks_header_file *open_file(const char *name, struct err *e)
{
	struct luks_header_file *f = calloc(1, sizeof *f);

	if (!f) {
		err_nomem(e);
		return NULL;
	}
	f->io = io_open(guid_cut(name, f->uuid), e);
	if (f->io)
		return f;
	err_in(e, "LUKS header");
	free(f);
	return NULL;
}

int luks_headers_open(const char *const *names, struct luks_header_file **all, struct err *e)
{
	for (; names && *names; names++) {
		*all = open_file(*names, e);
		if (!*all)
			return -e->code;
		all = &(*all)->next;
	}
	return 0;
}

void luks_headers_free(struct luks_header_file *all)
{
	while (all) {
		struct luks_header_file *next = all->next;

		io_unref(all->io);
		free(all);
		all = next;
	}
}

static bool is_same(const char *uuid, const char *other)
{
	return *uuid && strcasecmp(uuid, other) == 0;
}

/* own: of the header on the device; in_file: of that in the file. */
static bool is_for(const struct luks_header_file *f, const struct luks_device *d, const char *own,
	const char *in_file)
{
	if (f->uuid[0])
		return is_same(f->uuid, own) || is_same(f->uuid, d->partuuid);
	return is_same(own, in_file) || (d->is_bare && !*own);
}

int luks_read_device(struct luks *l, const struct luks_device *d,
	const struct luks_header_file *files, struct err *e)
{
	int r = luks_read(l, d->io, 0, d->len, e);

	for (const struct luks_header_file *f = files; f; f = f->next) {
		struct err in_file = ERR_INIT;
		struct luks other;
		int r2 = luks_read(&other, f->io, 0, f->io->size, &in_file);

		if (!is_for(f, d, l->uuid, other.uuid))
			continue;
		*l = other;
		l->detached = true;
		*e = in_file;
		return r2 < 0 ? err_in(e, "%s", f->io->name) : 0;
	}
	return r;
}
