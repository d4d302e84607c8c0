/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.c - a VMDK: a descriptor, of its own or inside its only extent, and extents in a row.
 *
 * The descriptor decides: the sectors of its extent lines are the disk, whatever an extent's own
 * header says of its capacity, and the name in an embedded descriptor means nothing at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "facts.h"
#include "format.h"
#include "image.h"
#include "io.h"
#include "view.h"
#include "vmdk.h"

struct extent_of_disk {
	enum vmdk_type type;
	uint64_t start, len;       /* bytes, in the disk */
	uint64_t pos;              /* FLAT: in io */
	struct io *io;             /* NULL: ZERO */
	struct vmdk_sparse sparse; /* SPARSE */
};

struct vmdk {
	struct vmdk_desc desc;
	struct extent_of_disk *extents;
	size_t n;
};

struct vmdk_view {
	struct view view;
	const struct vmdk *disk;
};

/* Mapping. */

/* The extent that holds off, which is inside the disk. */
static const struct extent_of_disk *extent_at(const struct vmdk *d, uint64_t off)
{
	size_t low = 0, high = d->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (d->extents[middle].start <= off)
			low = middle;
		else
			high = middle;
	}
	return &d->extents[low];
}

static int map_sparse(const struct extent_of_disk *part, uint64_t skip, uint64_t len,
	struct extent *x, struct err *e)
{
	uint64_t capacity = part->sparse.capacity * VMDK_SECTOR;

	if (skip < capacity)
		return vmdk_sparse_map(&part->sparse, skip, MIN(len, capacity - skip), x, e);
	/* The line is longer than the extent: the rest was never stored. */
	x->kind = EXTENT_BELOW;
	x->len = len;
	return 0;
}

static int map_extent(const struct extent_of_disk *part, uint64_t skip, uint64_t len,
	struct extent *x, struct err *e)
{
	switch (part->type) {
	case VMDK_FLAT:
		return extent_in_file(x, part->io, part->pos, skip, len, 0, e);
	case VMDK_SPARSE:
		return map_sparse(part, skip, len, x, e);
	case VMDK_ZERO:
		break;
	}
	x->kind = EXTENT_ZERO;
	x->len = len;
	return 0;
}

static int vmdk_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct extent_of_disk *part = extent_at(((const struct vmdk_view *)v)->disk, off);
	uint64_t skip = off - part->start, left = part->len - skip;
	int r = map_extent(part, skip, MIN(len, left), x, e);

	/* A grain can reach beyond the sectors that the line gives to the extent. */
	x->len = MIN(x->len, left);
	if (r == 0 && x->kind == EXTENT_BELOW)
		x->pos = off;
	return r < 0 ? err_in(e, "offset %" PRIu64, off) : 0;
}

static int vmdk_fill(const struct view *v, const struct extent *x, void *buf, struct err *e)
{
	const struct vmdk *d = ((const struct vmdk_view *)v)->disk;
	size_t i = 0;

	while (d->extents[i].type != VMDK_SPARSE || d->extents[i].io != x->io)
		i++;
	return vmdk_sparse_fill(&d->extents[i].sparse, x, buf, e);
}

static const struct view_ops vmdk_ops = {.map = vmdk_map, .fill = vmdk_fill};

/* Opening. */

static int open_sparse(const struct image *img, struct extent_of_disk *part, struct err *e)
{
	part->sparse = (struct vmdk_sparse){
		.cache = img->opts->cache, .codec = img->opts->codec, .io = part->io};
	return vmdk_sparse_open(&part->sparse, e);
}

static int check_flat(const struct extent_of_disk *part, struct err *e)
{
	if (range_fits(part->pos, part->len, part->io->size))
		return 0;
	return err_set(e, EUCLEAN,
		"it has %" PRIu64 " bytes, the descriptor wants %" PRIu64 " from %" PRIu64 " on",
		part->io->size, part->len, part->pos);
}

/* The file of an extent; several extents may lie in one. */
static int open_file(
	struct image *img, struct vmdk *d, const char *name, struct io **io, struct err *e)
{
	int r;

	for (size_t i = 0; i < d->n; i++)
		if (d->extents[i].io && strcmp(d->desc.lines[i].file, name) == 0) {
			*io = io_ref(d->extents[i].io);
			return 0;
		}
	r = image_open_part(img, name, "extent", io, e);
	if (r == 0 && (*io)->dev == img->io->dev && (*io)->ino == img->io->ino) {
		io_unref(*io);
		*io = NULL;
		r = err_set(e, ELOOP, "extent \"%s\" is the descriptor itself", name);
	}
	return r;
}

/* Extent number d->n, from its line; io is that of its file or NULL. */
static int add_part(struct image *img, struct vmdk *d, struct io *io, struct err *e)
{
	const struct vmdk_line *line = &d->desc.lines[d->n];
	struct extent_of_disk *part = &d->extents[d->n];

	part->type = io ? line->type : VMDK_ZERO;
	part->io = io;
	part->pos = line->offset * VMDK_SECTOR;
	part->len = line->sectors * VMDK_SECTOR;
	if (d->n > 0)
		part->start = part[-1].start + part[-1].len;
	d->n++; /* the io is d's from here on */
	if (part->start + part->len > LIMIT_DISK_SIZE)
		return err_set(e, EFBIG, "the extents together are more than 2^63 bytes");
	if (part->type == VMDK_SPARSE)
		return open_sparse(img, part, e);
	return part->type == VMDK_FLAT ? check_flat(part, e) : 0;
}

static int add_line(struct image *img, struct vmdk *d, struct err *e)
{
	const struct vmdk_line *line = &d->desc.lines[d->n];
	struct io *io = NULL;
	int r = 0;

	if (line->type != VMDK_ZERO && !line->no_access)
		r = open_file(img, d, line->file, &io, e);
	if (r < 0)
		return r;
	r = add_part(img, d, io, e);
	return r < 0 && io ? err_in(e, "extent \"%s\"", line->file) : r;
}

static int parse(struct vmdk *d, struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	char *text = malloc(len + 1);
	int r;

	if (!text)
		return err_nomem(e);
	r = io_read(io, text, len, pos, e);
	if (r == 0)
		r = vmdk_desc_parse(&d->desc, text, len, e);
	free(text);
	if (r < 0)
		return r;
	d->extents = calloc(d->desc.nlines, sizeof *d->extents);
	return d->extents ? 0 : err_nomem(e);
}

static int open_descriptor(struct image *img, struct vmdk *d, struct err *e)
{
	int r;

	if (img->io->size > VMDK_MAX_DESCRIPTOR)
		return err_set(e, EFBIG, "a descriptor of %" PRIu64 " bytes, %u at most",
			img->io->size, VMDK_MAX_DESCRIPTOR);
	r = parse(d, img->io, 0, img->io->size, e);
	while (r == 0 && d->n < d->desc.nlines)
		r = add_line(img, d, e);
	return r;
}

/* Does the place that a header gives to a descriptor hold text? */
static int has_text(const struct vmdk_sparse *s, bool *there, struct err *e)
{
	char first = '\0';
	int r = s->desc_len > 0 ? io_read(s->io, &first, 1, s->desc_pos, e) : 0;

	*there = first != '\0';
	return r;
}

static int open_single(struct image *img, struct vmdk *d, struct err *e)
{
	struct extent_of_disk whole = {.io = img->io};
	bool there = false;
	int r = open_sparse(img, &whole, e);

	if (r == 0)
		r = has_text(&whole.sparse, &there, e);
	if (r == 0 && !there)
		r = err_set(e, EINVAL,
			"it has no descriptor: a piece of a split disk, whose descriptor is "
			"another file");
	if (r == 0)
		r = parse(d, img->io, whole.sparse.desc_pos, whole.sparse.desc_len, e);
	if (r < 0)
		return r;
	if (d->desc.nlines != 1 || d->desc.lines[0].type != VMDK_SPARSE)
		return err_set(
			e, EUCLEAN, "the embedded descriptor names other extents than this file");
	return add_part(img, d, io_ref(img->io), e);
}

static int set_parent(struct image *img, const struct vmdk_desc *desc, struct err *e)
{
	if (desc->parent_hint) {
		img->parent_name = strdup(desc->parent_hint);
		img->parent_format = strdup("vmdk");
		return img->parent_name && img->parent_format ? 0 : err_nomem(e);
	}
	if (desc->parent_uuid)
		return err_set(e, ENOTSUP,
			"its parent is named only by the UUID %s, which is not supported",
			desc->parent_uuid);
	if (desc->parent_cid != VMDK_NO_PARENT)
		return err_set(e, EUCLEAN, "it has a parent, CID %08x, but does not name it",
			desc->parent_cid);
	return 0;
}

static int add_view(struct image *img, const struct vmdk *d, struct err *e)
{
	const struct extent_of_disk *last = &d->extents[d->n - 1];
	struct vmdk_view *v = calloc(1, sizeof *v);

	if (!v)
		return err_nomem(e);
	v->view = (struct view){
		.ops = &vmdk_ops, .size = last->start + last->len, .cache = img->opts->cache};
	v->disk = d;
	if (image_add_state(img, NULL, NULL, &v->view, e))
		return 0;
	free(v);
	return -e->code;
}

static void vmdk_free(struct vmdk *d)
{
	for (size_t i = 0; i < d->n; i++)
		io_unref(d->extents[i].io);
	free(d->extents);
	vmdk_desc_free(&d->desc);
	free(d);
}

static int refuse_esx(uint32_t magic, struct err *e)
{
	return err_set(e, ENOTSUP, "the subformat %s is not supported",
		magic == VMDK_COWD_MAGIC ? "COWD (vmfsSparse)" : "seSparse");
}

static int vmdk_open(struct image *img, struct err *e)
{
	unsigned char magic[4];
	struct vmdk *d;
	int r = io_read_padded(img->io, magic, sizeof magic, 0, e);

	if (r < 0)
		return r;
	if (load_le32(magic) == VMDK_COWD_MAGIC || load_le32(magic) == VMDK_SESPARSE_MAGIC)
		return refuse_esx(load_le32(magic), e);
	d = calloc(1, sizeof *d);
	if (!d)
		return err_nomem(e);
	r = load_le32(magic) == VMDK_MAGIC ? open_single(img, d, e) : open_descriptor(img, d, e);
	if (r == 0)
		r = set_parent(img, &d->desc, e);
	if (r == 0)
		r = add_view(img, d, e);
	if (r < 0) {
		vmdk_free(d);
		return r;
	}
	img->priv = d;
	img->sector_size = d->desc.sector_size;
	return 0;
}

static void vmdk_close(struct image *img)
{
	vmdk_free(img->priv);
}

static int vmdk_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	const struct vmdk *child = img->priv, *base = parent->priv;

	if (parent->format != img->format || child->desc.parent_cid == base->desc.cid)
		return 0;
	err_set(e, EUCLEAN, "%s: it was made on a parent with CID %08x, but %s has %08x",
		img->io->name, child->desc.parent_cid, parent->io->name, base->desc.cid);
	return err_hint(
		e, "the parent was changed since; -o ignore_parent_id takes it all the same");
}

/* What is told. */

static void tell_extents(const struct vmdk *d, const struct image *img, struct facts *f)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct extent_of_disk *part = &d->extents[i];
		struct facts *entry = fact_list(f, "extents");

		fact_number(entry, "virtual-size", part->len);
		fact_text(entry, "filename", part->io ? part->io->name : "");
		fact_text(entry, "format",
			part->type == VMDK_FLAT   ? "FLAT"
			: part->type == VMDK_ZERO ? "ZERO"
			: part->io == img->io     ? ""
						  : "SPARSE");
		if (part->type != VMDK_SPARSE)
			continue;
		fact_number(entry, "cluster-size", part->sparse.grain_size);
		if (part->sparse.compressed)
			fact_flag(entry, "compressed", true);
	}
}

static void vmdk_facts(const struct image *img, struct facts *f)
{
	const struct vmdk *d = img->priv;

	fact_number(f, "cid", d->desc.cid);
	fact_number(f, "parent-cid", d->desc.parent_cid);
	fact_text(f, "create-type", d->desc.create_type);
	if (d->desc.uuid)
		fact_text(f, "uuid", d->desc.uuid);
	tell_extents(d, img, f);
	if (d->extents[0].type == VMDK_SPARSE)
		fact_cluster_size(f, d->extents[0].sparse.grain_size);
}

static int vmdk_probe(const struct peek *p)
{
	uint32_t magic = p->nhead >= 4 ? load_le32(p->head) : 0;

	if (magic == VMDK_MAGIC)
		return 100;
	if (magic == VMDK_COWD_MAGIC || magic == VMDK_SESPARSE_MAGIC)
		return 90;
	return vmdk_desc_recognise((const char *)p->head, p->nhead) ? 90 : 0;
}

static const char *const suffixes[] = {"vmdk", NULL};

const struct format vmdk_format = {
	.name = "vmdk",
	.title = "VMware disk",
	.suffixes = suffixes,
	.probe = vmdk_probe,
	.open = vmdk_open,
	.close = vmdk_close,
	.check_parent = vmdk_check_parent,
	.facts = vmdk_facts,
};
