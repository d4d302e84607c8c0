/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reader.c - LUKS as a kind of volumes.
 *
 * The key is found once, when the set is read; all views of a volume share it, and with it the
 * locks of its sectors.
 */
#include "volume/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/guid.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view/io-view.h"
#include "view/view.h"
#include "view/write-inside.h"
#include "view/writer.h"
#include "partition/filesystem.h"
#include "image/image.h"
#include "header-file.h"
#include "luks.h"

/* The place of a volume on its member. */
struct mapping {
	struct crypt *crypt;
	uint64_t start; /* bytes of the member before it */
	uint64_t first_sector;
	uint64_t size;
};

/* The bytes. */

struct luks_view {
	struct view view;
	const struct mapping *m;
	struct view *member; /* owned */
	struct io *io;       /* the same */
};

static int map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct luks_view *l = (const struct luks_view *)v;
	int r = extent_in_file(x, l->io, l->m->start, off, len, 0, e);

	x->inplace = v->write != NULL;
	if (r < 0)
		return r;
	return extent_encrypted(
		x, l->m->crypt, l->m->first_sector + crypt_sector_number(l->m->crypt, off), e);
}

static int check(const struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	const struct luks_view *l = (const struct luks_view *)v;

	return view_check_inside(l->member, l->m->start + off, len, e);
}

static void view_end(struct view *v)
{
	struct luks_view *l = (struct luks_view *)v;

	io_unref(l->io);
	view_free(l->member);
	free(l);
}

static struct view *make_view(const struct volume *volume, struct view **members, struct err *e)
{
	static const struct view_ops ops = {.map = map, .free = view_end};
	static const struct write_ops write = {.check = check};
	struct luks_view *l = calloc(1, sizeof *l);

	if (l)
		l->io = io_from_view_inside(members[0], volume->members[0]->name, e);
	if (!l || !l->io) {
		free(l);
		err_nomem(e);
		return NULL;
	}
	l->m = volume->mapping;
	l->member = members[0];
	l->view.ops = &ops;
	l->view.size = l->m->size;
	l->view.unit = l->view.granule = CRYPT_SECTOR;
	l->view.cache = members[0]->cache;
	l->view.writer = members[0]->writer;
	if (l->view.writer)
		l->view.write = &write;
	return &l->view;
}

static void free_mapping(void *mapping)
{
	crypt_free(((struct mapping *)mapping)->crypt);
	free(mapping);
}

/* Finding. */

static struct io *io_of(const struct volume_member *m, struct err *e)
{
	return io_from_view(m->device->view, m->device->name, e);
}

/* Reads the header of the member.  A file with a header can be for a whole disk that nothing is
 * known of. */
static int read_header(const struct volume_member *m, struct io *io, struct luks *l, struct err *e)
{
	const struct volume_device *d = m->device;
	const struct luks_header_file *files = m->how ? m->how->luks_headers : NULL;
	struct luks_device device = {
		.io = io, .len = d->len, .partuuid = d->partuuid ? d->partuuid : ""};
	struct filesystem id = {.type = ""};

	if (files && !d->volume && d->partition == 0)
		device.is_bare = filesystem_read(d->view, &id, e) == 0 && !id.type[0];
	return luks_read_device(l, &device, files, e);
}

static bool has_magic(const struct volume_device *d)
{
	struct err ignored = ERR_INIT;
	char start[8];

	return d->len >= sizeof start &&
	       view_read(d->view, start, sizeof start, 0, &ignored) == 0 &&
	       luks_is_header(start, sizeof start);
}

static int probe(struct volume_member *m, struct err *e)
{
	struct volume_device *d = m->device;
	bool magic = has_magic(d), has_uuid;
	unsigned char id[GUID_LEN];
	struct luks l;
	struct io *io;
	int r;

	if (!magic && !(m->how && m->how->luks_headers))
		return 0;
	io = io_of(m, e);
	if (!io)
		return -ENOMEM;
	r = read_header(m, io, &l, e);
	io_unref(io);
	if (!magic && !l.detached && r != -ENOMEM)
		return 0;
	/* With a UUID assemble names the volume, and says what else is wrong. */
	has_uuid = guid_parse(id, l.uuid);
	if (r < 0 && (r == -ENOMEM || !has_uuid))
		return r;
	if (has_uuid)
		guid_text(d->id, id);
	memcpy(d->group, d->id, sizeof d->group);
	d->needs_key = true;
	if (l.label[0])
		d->label = strdup(l.label);
	return 1;
}

static int open_mapping(const struct volume_group *g, struct luks *l, struct io *io,
	struct mapping *m, struct err *e)
{
	uint64_t len = g->members[0]->device->len;
	int r = read_header(g->members[0], io, l, e);

	if (r == 0)
		r = luks_data_size(l, len, &m->size, e);
	if (r == 0)
		r = luks_unlock(l, g->how, &m->crypt, e);
	m->start = l->payload;
	m->first_sector = l->first_sector;
	return r;
}

/* Takes the mapping. */
static int add(const struct volume_group *g, const char *name, const struct luks *l,
	struct mapping *m, struct err *e)
{
	struct volume *v = volume_add(g, name, NULL, g->members, 1, e);

	if (!v) {
		free_mapping(m);
		return -e->code;
	}
	v->mapping = m;
	v->size = m->size;
	v->changes_bytes = true;
	memcpy(v->uuid, g->members[0]->device->id, sizeof v->uuid);
	snprintf(v->layout, sizeof v->layout, "luks%u", l->version);
	return 0;
}

/* Without a UUID the volume has the name of its device. */
static void make_name(const struct volume_device *d, char *name, size_t size)
{
	snprintf(name, size, "luks-%s", d->id[0] ? d->id : d->name);
	for (char *p = name; *p; p++)
		if (*p == ' ')
			*p = '-';
}

static int assemble(const struct volume_group *g, bool last, struct err *e)
{
	struct mapping *m = calloc(1, sizeof *m);
	struct io *io = io_of(g->members[0], e);
	struct err why = ERR_INIT;
	char name[256];
	struct luks l;
	int r;

	(void)last;
	if (!m || !io) {
		free(m);
		io_unref(io);
		return err_nomem(e);
	}
	make_name(g->members[0]->device, name, sizeof name);
	r = open_mapping(g, &l, io, m, &why);
	io_unref(io);
	if (r == 0)
		return add(g, name, &l, m, e);
	free_mapping(m);
	return volume_add_failed(g, name, NULL, &why, e);
}

const struct volume_reader luks_reader = {
	.kind = "luks",
	.type = "crypto_LUKS",
	.alone = true,
	.probe = probe,
	.assemble = assemble,
	.view = make_view,
	.free_mapping = free_mapping,
};
