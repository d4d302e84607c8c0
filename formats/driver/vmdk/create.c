/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - new VMDKs: one file, or a descriptor and the files of extents beside it, whose names
 * are derived from its name. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/text.h"
#include "io/io.h"
#include "image/creation.h"
#include "image/format.h"
#include "image/image.h"
#include "descriptor.h"
#include "header.h"
#include "disk.h"
#include "vmdk.h"

#define SPLIT      4192256u /* sectors of an extent of a split disk: 2047 MiB */
#define BASE_MAX   200      /* bytes of the name that others are derived from */
#define MAX_SPARSE ((uint64_t)VMDK_MAX_GD_BYTES / 4 * VMDK_TABLE * VMDK_GRAIN) /* sectors */

static const char *const subformats[] = {"monolithicSparse", "monolithicFlat",
	"twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", NULL};

struct vmdk_creation {
	struct creation *creation;
	bool flat, split, stream; /* properties of the subformat */
	struct vmdk_descriptor_values text;
	char base[BASE_MAX + 1]; /* the file name without suffix */
};

static int check_options(const struct vmdk_creation *m, struct err *e)
{
	const struct creation *c = m->creation;

	if (c->request->compressed && !m->stream)
		return err_set(e, ENOTSUP, "only subformat=streamOptimized is compressed");
	if (m->stream && c->request->backing)
		return err_set(
			e, EINVAL, "subformat=streamOptimized: a stream has no backing file");
	if (m->stream && creation_flag(c, "zeroed_grain"))
		return err_set(e, EINVAL, "zeroed_grain: a stream does not store zeroes");
	if (m->flat && c->request->backing)
		return err_set(e, EINVAL, "subformat=%s: a flat disk has no backing file",
			m->text.create_type);
	if (m->flat && creation_flag(c, "zeroed_grain"))
		return err_set(
			e, EINVAL, "zeroed_grain: subformat=%s has no grains", m->text.create_type);
	if (!m->flat && !creation_is(c, "preallocation", "off"))
		return err_set(e, EINVAL, "preallocation: only for flat disks");
	if (creation_flag(c, "compat6") && creation_text(c, "hwversion"))
		return err_set(e, EINVAL, "compat6 sets hwversion: only one of them is possible");
	return 0;
}

/* A descriptor has no escape for quotes and control characters. */
static int check_text(const char *what, const char *text, struct err *e)
{
	for (const char *p = text; *p; p++)
		if (*p == '"' || (unsigned char)*p < ' ')
			return err_set(
				e, EINVAL, "%s: \"%s\" cannot be in a descriptor", what, text);
	return 0;
}

/* VMware identifies a parent by its content ID, VirtualBox by its UUIDs. */
static int set_parent(struct vmdk_creation *m, struct err *e)
{
	const struct creation *c = m->creation;
	const struct image *parent = c->parent;

	if (!c->request->backing)
		return 0;
	if (!parent)
		return err_set(
			e, EINVAL, "the backing file must exist: its content ID is recorded");
	if (parent->format != c->format)
		return err_set(e, EINVAL, "a backing file of the format %s: only vmdk is possible",
			parent->format->name);
	m->text.parent_hint = c->request->backing;
	m->text.parent_cid = vmdk_disk_of(parent)->desc.cid;
	memcpy(m->text.ids[2], parent->id, GUID_LEN);
	memcpy(m->text.ids[3], parent->change_id, GUID_LEN);
	return check_text("backing file", m->text.parent_hint, e);
}

static int prepare(struct vmdk_creation *m, struct err *e)
{
	const struct creation *c = m->creation;
	struct vmdk_descriptor_values *t = &m->text;
	const char *hw_version = creation_text(c, "hwversion"), *name = creation_name(c);
	size_t base_len = strlen(name) - (text_ends_with(name, ".vmdk") ? strlen(".vmdk") : 0);
	int r = check_options(m, e);

	if (r < 0)
		return r;
	t->parent_cid = VMDK_NO_CID;
	t->sectors = div_round_up(c->size, VMDK_SECTOR);
	t->adapter = creation_text(c, "adapter_type");
	t->hw_version = creation_flag(c, "compat6") ? "6" : hw_version ? hw_version : "4";
	t->tools_version = creation_text(c, "toolsversion");
	r = check_text("toolsversion", t->tools_version, e);
	if (r == 0)
		r = check_text("hwversion", t->hw_version, e);
	if (r < 0)
		return r;
	if (m->split && div_round_up(t->sectors, SPLIT) > VMDK_MAX_EXTENTS)
		return err_set(e, EFBIG, "a split disk has at most %d extents", VMDK_MAX_EXTENTS);
	if (!m->flat && !m->split && t->sectors > MAX_SPARSE)
		return err_set(
			e, EFBIG, "a sparse disk has at most %" PRIu64 " sectors", MAX_SPARSE);
	if (base_len > BASE_MAX)
		return err_set(e, ENAMETOOLONG,
			"the name is too long: names of extents are derived from it");
	memcpy(m->base, name, base_len);
	r = check_text("name", m->base, e);
	if (r == 0)
		r = guid_random(t->long_id, e);
	for (size_t i = 0; r == 0 && i < 2; i++)
		r = guid_random(t->ids[i], e);
	/* VMDK_FIRST_CID and VMDK_NO_CID are reserved. */
	t->cid = load_le32(t->ids[0]) & 0x7fffffff;
	return r == 0 ? set_parent(m, e) : r;
}

static int write_directory(
	struct io *io, const struct vmdk_plan *p, uint64_t gd, uint64_t gt, struct err *e)
{
	unsigned char entries[16u << 10];
	int r = 0;

	for (uint64_t first = 0, n; r == 0 && first < p->ntables; first += n) {
		n = MIN(p->ntables - first, sizeof entries / 4);
		vmdk_plan_directory(gt, first, n, entries);
		r = io_write(io, entries, 4 * n, gd * VMDK_SECTOR + 4 * first, e);
	}
	return r;
}

/* The grain tables have no entries: a hole. */
static int write_sparse(const struct vmdk_creation *m, struct io *io, uint64_t sectors,
	bool embedded, struct err *e)
{
	struct vmdk_plan p = vmdk_plan(sectors, embedded);
	unsigned char header[VMDK_SECTOR];
	int r = creation_extend(io, 0, p.header.overhead * VMDK_SECTOR, e);

	if (r == 0)
		r = write_directory(io, &p, p.rgd, p.rgt, e);
	if (r == 0)
		r = write_directory(io, &p, p.gd, p.gt, e);
	if (r < 0)
		return r;
	/* Some programs do not open version 2: it is used only where it must be. */
	if (creation_flag(m->creation, "zeroed_grain")) {
		p.header.version = 2;
		p.header.flags |= VMDK_ZERO_GRAINS;
	}
	if (m->stream) {
		p.header.version = 3;
		p.header.flags |= VMDK_COMPRESSED | VMDK_MARKERS;
		p.header.compression = VMDK_DEFLATE;
	}
	vmdk_header_encode(&p.header, header);
	return io_write(io, header, sizeof header, 0, e);
}

static int write_flat(const struct vmdk_creation *m, struct io *io, uint64_t len, struct err *e)
{
	int r = io_resize(io, len, e);

	if (r < 0 || creation_is(m->creation, "preallocation", "off"))
		return r;
	return creation_preallocate(
		io, 0, len, creation_is(m->creation, "preallocation", "full"), e);
}

static int create_extents(const struct vmdk_creation *m, FILE *text, struct err *e)
{
	const struct creation *c = m->creation;
	uint64_t left = m->text.sectors, sectors;
	char name[BASE_MAX + 32];
	struct io *io;
	unsigned i = 1;
	int r;

	if (!m->flat && !m->split) {
		fprintf(text, "RW %" PRIu64 " SPARSE \"%s\"\n", left, creation_name(c));
		return write_sparse(m, c->io, left, true, e);
	}
	do {
		sectors = m->split ? MIN(left, SPLIT) : left;
		left -= sectors;
		if (m->split)
			snprintf(name, sizeof name, "%s-%c%03u.vmdk", m->base, m->flat ? 'f' : 's',
				i++);
		else
			snprintf(name, sizeof name, "%s-flat.vmdk", m->base);
		fprintf(text, "RW %" PRIu64 " %s \"%s\"%s\n", sectors, m->flat ? "FLAT" : "SPARSE",
			name, m->flat ? " 0" : "");
		r = creation_part(m->creation, name, &io, e);
		if (r == 0)
			r = m->flat ? write_flat(m, io, sectors * VMDK_SECTOR, e)
				    : write_sparse(m, io, sectors, false, e);
	} while (r == 0 && left > 0);
	return r;
}

int vmdk_create(struct creation *c, struct err *e)
{
	struct vmdk_creation m = {.creation = c};
	const char *const *type = subformats;
	bool embedded;
	char *text = NULL;
	size_t len;
	FILE *f;
	int r;

	/* The case of the option may differ. */
	while (!creation_is(c, "subformat", *type))
		type++;
	m.text.create_type = *type;
	m.flat = text_ends_with(*type, "Flat");
	m.split = strncmp(*type, "twoGb", 5) == 0;
	m.stream = strcmp(*type, "streamOptimized") == 0;
	embedded = !m.flat && !m.split;
	r = prepare(&m, e);
	if (r < 0)
		return r;
	f = open_memstream(&text, &len);
	if (!f)
		return err_nomem(e);
	vmdk_descriptor_write_begin(f, &m.text);
	r = create_extents(&m, f, e);
	vmdk_descriptor_write_end(f, &m.text);
	if (fclose(f) != 0 && r == 0)
		r = err_nomem(e);
	if (r == 0 && embedded && len > VMDK_DESC_LEN * VMDK_SECTOR)
		r = err_set(e, ENAMETOOLONG, "the descriptor has no space for such long names");
	if (r == 0)
		r = io_write(c->io, text, len, embedded ? VMDK_DESC_START * VMDK_SECTOR : 0, e);
	free(text);
	return r;
}

static const char *const adapters[] = {"ide", "lsilogic", "buslogic", "legacyESX", NULL};
static const char *const preallocations[] = {"off", "falloc", "full", NULL};

const struct create_option vmdk_create_options[] = {
	CREATE_OPTION_SIZE,
	{"adapter_type", CREATE_WORD, "adapter of the disk (ide, lsilogic, buslogic, legacyESX)",
		"ide", adapters, NULL},
	CREATE_OPTION_BACKING,
	{"compat6", CREATE_FLAG, "hardware version 6", "off", NULL, "off"},
	{"hwversion", CREATE_TEXT, "version of the virtual hardware", NULL, NULL, "undefined"},
	{"toolsversion", CREATE_TEXT, "version of the guest's tools", "2147483647", NULL, NULL},
	{"subformat", CREATE_WORD,
		"in one file or split, sparse, flat or compressed (monolithicSparse, "
		"monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat, streamOptimized)",
		"monolithicSparse", subformats, NULL},
	{"zeroed_grain", CREATE_FLAG, "store zeroes as marks", "off", NULL, NULL},
	{"preallocation", CREATE_WORD, "allocation of a flat disk (off, falloc, full)", "off",
		preallocations, NULL},
	{0},
};
