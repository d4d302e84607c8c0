/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* driver.c - VMware's virtual disks, versions 1 to 3: probing, opening, parents. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/text.h"
#include "io/host.h"
#include "io/io.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "descriptor.h"
#include "disk.h"
#include "header.h"
#include "tables.h"
#include "vmdk.h"

extern const struct format vmdk_format;

/* The magics of sparse extents. */
static const struct {
	const char *magic;
	size_t len;
	const struct vmdk_kind *kind;
} magics[] = {
	{"KDMV", 4, &vmdk_sparse},
	{"COWD", 4, &vmdk_cowd},
	{"\xbe\xba\xfe\xca\0\0\0", 8, &vmdk_sesparse},
};
#define MAGIC_LEN 8

static const struct vmdk_kind *kind_by_magic(const unsigned char *head, size_t len)
{
	for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
		if (len >= magics[i].len && memcmp(head, magics[i].magic, magics[i].len) == 0)
			return magics[i].kind;
	return NULL;
}

/* The types of extent lines.  The magic of its file determines the kind of a sparse extent: some
 * descriptors have another type. */
static const struct {
	const char *name;
	const struct vmdk_kind *kind; /* NULL: sparse */
	bool is_device;
} types[] = {
	{.name = "FLAT", .kind = &vmdk_flat},
	{.name = "VMFS", .kind = &vmdk_flat},
	{.name = "ZERO", .kind = &vmdk_zero},
	{.name = "SPARSE"},
	{.name = "VMFSSPARSE"},
	{.name = "SESPARSE"},
	{.name = "VMFSRAW", .is_device = true},
	{.name = "VMFSRDM", .is_device = true},
};

static bool is_device(const char *file)
{
	static const char *const prefixes[] = {"/dev/", "/vmfs/devices/", "\\\\.\\", "//./"};

	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		if (strncmp(file, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static int refuse_device(const struct vmdk_extent_line *line, struct err *e)
{
	return err_set(e, EACCES,
		"extent \"%s\" of type %s is a device: no name in an image ever opens one",
		line->file ? line->file : "", line->type);
}

/* Windows ignores case in file names: it would open a file whose name differs only in that. */
static int open_named(struct image *img, const char *name, struct io **io, struct err *e)
{
	int r = image_open_part(img, name, "extent", io, e);
	char *other =
		r == -ENOENT && image_dir(img) ? host_find_any_case(image_dir(img), name) : NULL;
	struct err again = ERR_INIT;

	if (other && image_open_part(img, other, "extent", io, &again) == 0) {
		image_warn(img, "extent \"%s\" is called \"%s\" here", name, other);
		r = 0;
	}
	free(other);
	return r;
}

/* Opens the file of extent x, or shares that of a previous extent in the same file. */
static int open_extent_file(struct image *img, struct vmdk *v, struct vmdk_extent *x, struct err *e)
{
	const char *file = x->line->file;
	char name[VMDK_NAME_MAX];
	struct io *io;
	int r;

	if (!file)
		return err_set(e, EINVAL, "extent: no file name");
	if (is_device(file))
		return refuse_device(x->line, e);
	for (struct vmdk_extent *other = v->extents; other < x; other++)
		if (other->io && strcmp(other->line->file, file) == 0) {
			x->io = io_ref(other->io);
			return 0;
		}
	r = vmdk_descriptor_decode_name(&v->desc, file, name, e);
	if (r == 0)
		r = open_named(img, name, &io, e);
	if (r < 0)
		return r;
	x->io = io;
	if (io_is_same(x->io, img->io))
		return err_set(e, ELOOP, "extent \"%s\" is the descriptor itself", file);
	return 0;
}

/* own: the extent lies in the file of the descriptor; the name in its line is ignored. */
static int open_extent(
	struct image *img, struct vmdk *v, struct vmdk_extent *x, bool own, struct err *e)
{
	const size_t ntypes = sizeof types / sizeof types[0];
	unsigned char head[MAGIC_LEN];
	size_t type = 0;
	int r = 0;

	while (type < ntypes && strcasecmp(x->line->type, types[type].name) != 0)
		type++;
	if (type == ntypes)
		return err_set(e, ENOTSUP, "extent type %s is not supported", x->line->type);
	if (x->line->hidden || types[type].kind == &vmdk_zero) {
		x->kind = &vmdk_zero;
		return 0;
	}
	if (types[type].is_device)
		return refuse_device(x->line, e);
	if (own)
		x->io = io_ref(img->io);
	else
		r = open_extent_file(img, v, x, e);
	if (r < 0)
		return r;
	x->kind = types[type].kind;
	if (!x->kind) {
		r = io_read(x->io, head, sizeof head, 0, e);
		x->kind = r == 0 ? kind_by_magic(head, sizeof head) : NULL;
	}
	if (x->kind)
		r = x->kind->open(x, img, e);
	else if (r == 0)
		r = err_set(e, EINVAL, "not a sparse extent: it begins with none of their magics");
	return r < 0 && x->io != img->io ? err_in(e, "%s", x->io->name) : r;
}

static int open_extents(struct image *img, struct vmdk *v, bool own, struct err *e)
{
	size_t n = v->desc.nlines;
	int r;

	v->extents = calloc(n, sizeof *v->extents);
	if (!v->extents)
		return err_nomem(e);
	for (size_t i = 0; i < n; i++) {
		struct vmdk_extent *x = &v->extents[i];

		x->line = &v->desc.lines[i];
		x->start = v->view.size;
		x->len = x->line->sectors * VMDK_SECTOR;
		if (x->len > LIMIT_DISK_SIZE - x->start)
			return err_set(e, EFBIG, "descriptor, line %u: the disk passes 2^63 bytes",
				x->line->number);
		v->view.size += x->len;
		r = open_extent(img, v, x, own, e);
		if (r < 0)
			return own ? r : err_in(e, "descriptor, line %u", x->line->number);
	}
	return 0;
}

/* Reads the text of len bytes at pos; of a longer one so much that the parser refuses it. */
static int read_text(struct image *img, struct vmdk *v, uint64_t pos, uint64_t len, struct err *e)
{
	size_t n = MIN(len, VMDK_MAX_DESCRIPTOR + 1);

	v->text_pos = pos;
	v->text = malloc(n + 1);
	if (!v->text)
		return err_nomem(e);
	v->text[n] = '\0';
	return io_read(img->io, v->text, n, pos, e);
}

static int refuse_part(struct err *e)
{
	return err_set(e, ENOTSUP,
		"it has no descriptor: it is one extent of a disk, whose descriptor is in another "
		"file");
}

/* A sparse extent with an embedded descriptor.  The extent line's file name is ignored: files are
 * renamed, and some writers put in any name. */
static int open_monolithic(struct image *img, struct vmdk *v, struct err *e)
{
	uint64_t sectors = img->io->size / VMDK_SECTOR;
	struct vmdk_header h;
	int r = vmdk_header_read(img->io, 0, &h, e);

	if (r < 0)
		return r;
	if (!range_fits(h.desc_start, h.desc_len, sectors))
		return err_set(e, EINVAL,
			"descriptor of %" PRIu64 " sectors in sector %" PRIu64
			" passes the end of the file, %" PRIu64 " sectors",
			h.desc_len, h.desc_start, sectors);
	v->embedded = true;
	if (h.desc_start > 0 && h.desc_len > 0)
		r = read_text(img, v, h.desc_start * VMDK_SECTOR, h.desc_len * VMDK_SECTOR, e);
	/* QEMU leaves an empty descriptor in each extent of a split disk. */
	if (r == 0 && (!v->text || v->text[0] == '\0'))
		r = refuse_part(e);
	if (r == 0)
		r = vmdk_descriptor_parse(&v->desc, v->text, e);
	if (r < 0)
		return r;
	/* An extent of size 0 only carries the descriptor of the extents that it lists. */
	if (h.capacity == 0 && (v->desc.nlines != 1 || v->desc.lines[0].sectors > 0))
		return open_extents(img, v, false, e);
	if (v->desc.nlines != 1 || strcasecmp(v->desc.lines[0].type, "SPARSE") != 0)
		return err_set(e, ENOTSUP,
			"descriptor: %zu extents, the first of type %s; one of type SPARSE is "
			"supported in a sparse extent",
			v->desc.nlines, v->desc.lines[0].type);
	return open_extents(img, v, true, e);
}

/* A COWD extent without descriptor is complete when it is a root disk or names its parent.  Later
 * ESX leaves the parent to the descriptor: such an extent is known by its file name. */
static int open_bare(struct image *img, struct vmdk *v, struct err *e)
{
	struct vmdk_cowd_header h;
	int r = vmdk_cowd_read(img->io, &h, e);

	if (r < 0)
		return r;
	if (!h.is_root && h.parent[0] == '\0') {
		if (text_ends_with(img->io->name, "-delta.vmdk"))
			return refuse_part(e);
		image_warn(img, "it names no parent: grains that it does not hold read as zeroes");
	}
	v->text = strdup(h.parent);
	v->desc = (struct vmdk_descriptor){
		.bare = true,
		.cid = VMDK_NO_CID,
		.parent_cid = VMDK_NO_CID,
		.create_type = "vmfsSparse",
		.parent_hint = h.parent[0] ? v->text : NULL,
		.lines = calloc(1, sizeof *v->desc.lines),
	};
	if (!v->text || !v->desc.lines)
		return err_nomem(e);
	v->desc.nlines = 1;
	v->desc.lines[0] = (struct vmdk_extent_line){.type = "VMFSSPARSE", .sectors = h.capacity};
	return open_extents(img, v, true, e);
}

/* A COWD extent with a parent under a descriptor without one: the disk would lack its data. */
static int check_parents(const struct vmdk *v, struct err *e)
{
	const struct vmdk_descriptor *d = &v->desc;

	if (d->parent_hint || d->parent_cid != VMDK_NO_CID || !guid_is_zero(d->parent_id))
		return 0;
	for (size_t i = 0; i < d->nlines; i++) {
		struct vmdk_cowd_header h;
		int r;

		if (v->extents[i].kind != &vmdk_cowd)
			continue;
		r = vmdk_cowd_read(v->extents[i].io, &h, e);
		if (r < 0)
			return r;
		if (h.parent[0] != '\0')
			return err_set(e, EINVAL,
				"%s: it names a parent, \"%.200s\", and the descriptor none",
				v->extents[i].io->name, h.parent);
	}
	return 0;
}

static int open_disk(struct image *img, struct vmdk *v, struct err *e)
{
	unsigned char head[MAGIC_LEN];
	const struct vmdk_kind *kind;
	int r = io_read_padded(img->io, head, sizeof head, 0, e);

	if (r < 0)
		return r;
	kind = kind_by_magic(head, sizeof head);
	if (kind == &vmdk_sparse)
		return open_monolithic(img, v, e);
	if (kind == &vmdk_cowd)
		return open_bare(img, v, e);
	if (kind)
		return refuse_part(e);
	r = read_text(img, v, 0, img->io->size, e);
	if (r == 0)
		r = vmdk_descriptor_parse(&v->desc, v->text, e);
	if (r == 0)
		r = open_extents(img, v, false, e);
	return r < 0 ? r : check_parents(v, e);
}

/* Parents.
 *
 * VMware names the file of the parent's descriptor and the parent's content ID, which changes with
 * the first write after each opening.  VirtualBox names the parent's UUID alone, so that it may be
 * of another format; a second UUID changes with the parent's content.
 */

/* Sets the UUIDs of the image and the name of its parent. */
static int set_parent(struct image *img, const struct vmdk_descriptor *d, struct err *e)
{
	char name[VMDK_NAME_MAX];
	bool is_flat;

	memcpy(img->id, d->id, GUID_LEN);
	memcpy(img->change_id, d->change_id, GUID_LEN);
	memcpy(img->parent_id, d->parent_id, GUID_LEN);
	memcpy(img->parent_change_id, d->parent_change_id, GUID_LEN);
	if (!d->parent_hint) {
		if (d->parent_cid == VMDK_NO_CID || !guid_is_zero(d->parent_id))
			return 0;
		/* A parent that is not opened needs no name. */
		if (!img->opts->nobacking)
			return err_set(e, EINVAL,
				"it has a parent, parentCID=%08" PRIx32 ", but does not name it",
				d->parent_cid);
		img->parent_name = strdup("?");
		return img->parent_name ? 0 : err_nomem(e);
	}
	if (vmdk_descriptor_decode_name(d, d->parent_hint, name, e) < 0)
		return err_in(e, "parentFileNameHint");
	/* An extent without descriptor names the file of the parent's data. */
	is_flat = d->bare && text_ends_with(name, "-flat.vmdk");
	img->parent_name = strdup(name);
	img->parent_format = strdup(is_flat ? "raw" : img->format->name);
	return img->parent_name && img->parent_format ? 0 : err_nomem(e);
}

/* The descriptor of a parent; NULL: it is of another format. */
static const struct vmdk_descriptor *descriptor_of(const struct image *parent)
{
	return parent->format == &vmdk_format ? &vmdk_disk_of(parent)->desc : NULL;
}

/* Without UUIDs the content ID identifies the parent, except VMDK_FIRST_CID, which all disks have
 * that were never written.  A base whose content ID is that of its own parent is still empty: the
 * parent that is searched for is that one, or has the same content. */
static bool vmdk_knows_parent(const struct image *img, const struct image *other)
{
	const struct vmdk_descriptor *child = &vmdk_disk_of(img)->desc;
	const struct vmdk_descriptor *base = descriptor_of(other);

	if (!guid_is_zero(child->parent_id))
		return image_knows_parent(img, other);
	return base && !child->bare && !base->bare && child->parent_cid != VMDK_NO_CID &&
	       child->parent_cid != VMDK_FIRST_CID && base->cid == child->parent_cid &&
	       base->parent_cid != base->cid;
}

static int vmdk_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	const struct vmdk_descriptor *child = &vmdk_disk_of(img)->desc;
	const struct vmdk_descriptor *base = descriptor_of(parent);

	/* An ESX delta without descriptor has a name and nothing else. */
	if (child->bare)
		return 0;
	if (!guid_is_zero(child->parent_id)) {
		int r = image_check_parent(img, parent, e);

		/* VirtualBox does not set the parent's content ID. */
		if (r < 0 || !base || child->parent_cid == VMDK_NO_CID)
			return r;
	}
	if (!base)
		return err_set(e, EINVAL, "%s: its parent %s is no VMDK, but has to be",
			img->io->name, parent->io->name);
	if (base->cid == child->parent_cid)
		return 0;
	err_set(e, EINVAL,
		"%s: the parent %s was changed after the image was made: CID %08" PRIx32
		", %08" PRIx32 " expected",
		img->io->name, parent->io->name, base->cid, child->parent_cid);
	return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
}

static int vmdk_open(struct image *img, struct err *e)
{
	struct vmdk *v = vmdk_disk_new(img, e);
	int r;

	if (!v)
		return -e->code;
	r = open_disk(img, v, e);
	if (r == 0)
		r = set_parent(img, &v->desc, e);
	if (r == 0)
		r = vmdk_write_enable(img, v, e);
	if (r == 0 && !image_add_state(img, NULL, NULL, &v->view, e))
		r = -e->code;
	if (r < 0) {
		view_free(&v->view);
		return r;
	}
	img->sector_size = v->desc.sector_size;
	return 0;
}

static void vmdk_facts(const struct image *img, struct facts *f)
{
	const struct vmdk *v = vmdk_disk_of(img);
	const struct vmdk_descriptor *d = &v->desc;

	facts_number(f, "cid", d->cid);
	facts_number(f, "parent-cid", d->parent_cid);
	facts_text(f, "create-type", d->create_type ? d->create_type : "");
	for (size_t i = 0; i < d->nlines; i++) {
		const struct vmdk_extent *x = &v->extents[i];
		struct facts *entry = facts_list(f, "extents");

		facts_number(entry, "virtual-size", x->len);
		if (x->io)
			facts_file(entry, "filename", x->io);
		else
			facts_text(entry, "filename", "");
		if (x->tables) {
			facts_number(entry, "cluster-size", x->tables->grain);
			facts_cluster_size(entry, x->tables->grain);
		}
		if (x->tables && x->tables->compressed)
			facts_flag(entry, "compressed", true);
		facts_text(entry, "format", x->line->type);
	}
}

static int vmdk_probe(const struct peek *p)
{
	const struct vmdk_kind *kind = kind_by_magic(p->head, p->nhead);

	if (kind)
		return kind == &vmdk_sparse ? 100 : 90;
	return vmdk_descriptor_probe(p->head, p->nhead);
}

static const char *const suffixes[] = {"vmdk", NULL};

static const struct export_format *const layouts[] = {
	&vmdk_export_sparse, &vmdk_export_stream, NULL};

const struct format vmdk_format = {
	.name = "vmdk",
	.title = "VMware virtual disk",
	.suffixes = suffixes,
	.has_parents = true,
	.probe = vmdk_probe,
	.names = vmdk_descriptor_visit_names,
	.open = vmdk_open,
	.can_write = true,
	.start_writing = vmdk_write_start,
	.create = vmdk_create,
	.create_options = vmdk_create_options,
	.can_back = true,
	.can_compress = true,
	.check_parent = vmdk_check_parent,
	.knows_parent = vmdk_knows_parent,
	.facts = vmdk_facts,
	.check = vmdk_check,
	.layouts = layouts,
};
