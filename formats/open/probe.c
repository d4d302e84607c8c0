/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
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

static const struct format *choose(const struct peek *p, bool is_disk, struct err *e)
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

/* Reads what probes look at; head has LIMIT_PEEK bytes, tail PEEK_TAIL. */
static int peek_at(
	struct io *io, unsigned char *head, unsigned char *tail, struct peek *p, struct err *e)
{
	int r;

	*p = (struct peek){
		.head = head,
		.tail = tail,
		.nhead = MIN(LIMIT_PEEK, io->size),
		.ntail = MIN(PEEK_TAIL, io->size),
		.size = io->size,
		.name = io->name,
		.is_block = io->is_block,
	};
	r = io_read(io, head, p->nhead, 0, e);
	return r < 0 ? r : io_read(io, tail, p->ntail, io->size - p->ntail, e);
}

const struct format *probe_file(struct io *io, bool is_disk, struct err *e)
{
	unsigned char tail[PEEK_TAIL], *head = malloc(LIMIT_PEEK);
	const struct format *f = NULL;
	struct peek peek;

	if (!head)
		err_nomem(e);
	else if (peek_at(io, head, tail, &peek, e) == 0)
		f = choose(&peek, is_disk, e);
	free(head);
	return f;
}

const char *probe_path(const char *path)
{
	struct err ignored = ERR_INIT;
	struct io *io = io_open(path, &ignored);
	const struct format *f = io ? probe_file(io, false, &ignored) : NULL;

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
	unsigned char tail[PEEK_TAIL], *head = malloc(LIMIT_PEEK);
	const struct foreign *foreign = NULL;
	const struct format *f = NULL;
	struct err ignored = ERR_INIT;
	struct peek peek;

	if (head && peek_at(io, head, tail, &peek, &ignored) == 0) {
		f = registry_probe(&peek);
		foreign = f ? NULL : foreign_find(&peek);
	}
	if (foreign)
		hint_at_foreign(foreign, io->name, e);
	free(head);
	return f && f != format ? f->name : NULL;
}
