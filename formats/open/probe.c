/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "foreign.h"
#include "image/format.h"
#include "registry.h"
#include "io/io.h"
#include "util/shell.h"

static void hint_at_foreign(const struct foreign *f, const char *name, struct err *e)
{
	const char *at = f->advice ? strstr(f->advice, "%s") : NULL;

	if (at)
		err_hint(e, "%.*s%s%s", (int)(at - f->advice), f->advice, shell_word(name).text,
			at + 2);
	else if (f->advice)
		err_hint(e, "%s", f->advice);
}

struct peek *probe_read(struct io *io, const char *name, size_t max, struct err *e)
{
	size_t nhead = MIN(max, io->size), ntail = MIN(PEEK_TAIL, io->size);
	struct peek *p = malloc(sizeof *p + nhead + ntail);
	unsigned char *head, *tail;

	if (!p) {
		err_nomem(e);
		return NULL;
	}
	head = (unsigned char *)(p + 1);
	tail = head + nhead;
	*p = (struct peek){
		.head = head,
		.tail = tail,
		.nhead = nhead,
		.ntail = ntail,
		.size = io->size,
		.name = name,
		.is_block = io->is_block,
	};
	if (io_read(io, head, nhead, 0, e) == 0 &&
		io_read(io, tail, ntail, io->size - ntail, e) == 0)
		return p;
	free(p);
	return NULL;
}

const struct format *probe_choose(const struct peek *p, bool is_disk, struct err *e)
{
	const struct format *f = registry_probe(p);
	const struct foreign *foreign = f ? NULL : foreign_find(p);

	if (f)
		return f;
	if (foreign) {
		err_set(e, ENOTSUP, "%s: %s, which is not supported", p->name, foreign->what);
		hint_at_foreign(foreign, p->name, e);
	} else if (is_disk) {
		return registry_find("raw");
	} else if (p->size == 0) {
		err_set(e, EINVAL, "%s: the file is empty", p->name);
	} else {
		err_set(e, EINVAL, "%s: not a disk image of a known format", p->name);
		err_hint_code(e, HINT_RAW, NULL);
	}
	return NULL;
}

bool probe_is_image(struct io *io, const char *name, size_t max)
{
	struct err ignored = ERR_INIT;
	struct peek *p = probe_read(io, name, max, &ignored);
	const struct format *f = p ? registry_probe(p) : NULL;

	free(p);
	return f && f != registry_find("raw");
}

const char *probe_path(const char *path)
{
	struct err ignored = ERR_INIT;
	struct io *io = io_open(path, &ignored);
	struct peek *p = io ? probe_read(io, io->name, LIMIT_PEEK, &ignored) : NULL;
	const struct format *f = p ? registry_probe(p) : NULL;

	free(p);
	io_unref(io);
	return f ? f->name : NULL;
}

const struct format *probe_named(const char *name, const struct io *io, struct err *e)
{
	const struct format *f = registry_find(name);
	const char *nearest = f ? NULL : registry_nearest(name);

	if (f)
		return f;
	err_set(e, ENOTSUP, "%s: format \"%s\" is not known%s%s%s", io->name, name,
		nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
	err_hint_code(e, HINT_LIST_FORMATS, NULL);
	return NULL;
}

const char *probe_other(struct io *io, const struct format *format, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct peek *p = probe_read(io, io->name, LIMIT_PEEK, &ignored);
	const struct format *f = p ? registry_probe(p) : NULL;
	const struct foreign *foreign = p && !f ? foreign_find(p) : NULL;

	free(p);
	if (foreign)
		hint_at_foreign(foreign, io->name, e);
	return f && f != format ? f->name : NULL;
}
