/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.c - VMware's virtual disks, versions 1 to 3, for reading.
 *
 * The extents lie end to end: extent i begins where extent i-1 ends, the first at 0, and together
 * they are the disk.  Their lengths are those of the extent lines, not what an extent's own header
 * says: some writers round that up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bytes.h"
#include "err.h"
#include "facts.h"
#include "format.h"
#include "image.h"
#include "io.h"
#include "view.h"
#include "vmdk.h"

struct vmdk {
	struct view view;
	char *text; /* of the descriptor; desc points into it */
	struct vmdk_desc desc;
	struct vmdk_extent *extents; /* as many as lines */
};

extern const struct format vmdk_format;

/* Magics of what else may be behind the name ".vmdk". */
static const struct {
	const char *magic;
	size_t len;
	const char *type;
} unsupported[] = {
	{"COWD", 4, "VMFSSPARSE"},
	{"\xbe\xba\xfe\xca\0\0\0", 8, "SESPARSE"},
};

static const char *unsupported_type(const unsigned char *head, size_t len)
{
	for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++)
		if (len >= unsupported[i].len &&
			memcmp(head, unsupported[i].magic, unsupported[i].len) == 0)
			return unsupported[i].type;
	return NULL;
}

/* The disk. */

/* The last extent that begins at or before off. */
static const struct vmdk_extent *find_extent(const struct vmdk *v, uint64_t off)
{
	size_t low = 0, high = v->desc.nlines;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (v->extents[middle].start <= off)
			low = middle;
		else
			high = middle;
	}
	return &v->extents[low];
}

static int vmdk_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	const struct vmdk_extent *x = find_extent((const struct vmdk *)view, off);
	uint64_t inside = off - x->start;
	int r = x->kind->map(x, inside, MIN(len, x->len - inside), out, e);

	if (r == 0 && out->kind == EXTENT_BELOW)
		out->pos = off;
	return r;
}

static int vmdk_fill(const struct view *view, const struct extent *unit, void *buf, struct err *e)
{
	const struct vmdk *v = (const struct vmdk *)view;
	const struct vmdk_extent *x = v->extents;

	/* Extents on one file share its tables too: any of them will do. */
	while (x->io != unit->io || !x->kind->fill)
		x++;
	return x->kind->fill(x, unit, buf, e);
}

static void vmdk_free(struct view *view)
{
	struct vmdk *v = (struct vmdk *)view;

	for (size_t i = 0; v->extents && i < v->desc.nlines; i++) {
		struct vmdk_extent *x = &v->extents[i];

		if (x->priv)
			x->kind->close(x);
		io_unref(x->io);
	}
	free(v->extents);
	vmdk_desc_free(&v->desc);
	free(v->text);
	free(v);
}

static const struct view_ops vmdk_ops = {.map = vmdk_map, .fill = vmdk_fill, .free = vmdk_free};

/* The simple kinds of extent. */

static int flat_open(struct vmdk_extent *x, const struct image *img, struct err *e)
{
	uint64_t pos;

	(void)img;
	if (__builtin_mul_overflow(x->line->start, VMDK_SECTOR, &pos) ||
		!range_fits(pos, x->len, x->io->size))
		return err_set(e, EUCLEAN,
			"%s: %" PRIu64 " sectors from sector %" PRIu64
			" on were expected, the file has %" PRIu64 " bytes",
			x->io->name, x->line->sectors, x->line->start, x->io->size);
	return 0;
}

static int flat_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	(void)e;
	out->kind = EXTENT_FILE;
	out->io = x->io;
	out->pos = x->line->start * VMDK_SECTOR + off;
	out->len = len;
	return 0;
}

static int zero_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	(void)x, (void)off, (void)e;
	out->kind = EXTENT_ZERO;
	out->len = len;
	return 0;
}

static const struct vmdk_kind vmdk_flat = {
	.type = "FLAT",
	.has_file = true,
	.open = flat_open,
	.map = flat_map,
};

/* On an ESX file system, where it may be thin: to us the same. */
static const struct vmdk_kind vmdk_vmfs = {
	.type = "VMFS",
	.has_file = true,
	.open = flat_open,
	.map = flat_map,
};

static const struct vmdk_kind vmdk_zero = {.type = "ZERO", .map = zero_map};

static const struct vmdk_kind *const kinds[] = {&vmdk_flat, &vmdk_vmfs, &vmdk_sparse, &vmdk_zero};

static const struct vmdk_kind *find_kind(const struct vmdk_line *line)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcasecmp(line->type, kinds[i]->type) == 0)
			return line->hidden ? &vmdk_zero : kinds[i];
	return NULL;
}

/* Opening. */

static bool is_device(const char *file)
{
	return strncmp(file, "/dev/", 5) == 0 || strncmp(file, "\\\\.\\", 4) == 0;
}

/* Opens the file of extent x, or shares it with an extent before that has the same. */
static int open_extent_file(struct image *img, struct vmdk *v, struct vmdk_extent *x, struct err *e)
{
	const char *file = x->line->file;
	struct io *io;
	int r;

	if (!file)
		return err_set(e, EINVAL, "extent: no file name");
	if (is_device(file))
		return err_set(
			e, ENOTSUP, "extent \"%s\" is a device, which is not supported", file);
	for (struct vmdk_extent *other = v->extents; other < x; other++)
		if (other->io && strcmp(other->line->file, file) == 0) {
			x->io = io_ref(other->io);
			return 0;
		}
	r = image_open_part(img, file, "extent", &io, e);
	if (r < 0)
		return r;
	x->io = io;
	if (io_is_same(x->io, img->io))
		return err_set(e, ELOOP, "extent \"%s\" is the descriptor itself", file);
	return 0;
}

/* own: the extent lies in the file that also holds the descriptor, whatever the line calls it. */
static int open_extent(
	struct image *img, struct vmdk *v, struct vmdk_extent *x, bool own, struct err *e)
{
	const struct vmdk_kind *kind = find_kind(x->line);
	int r = 0;

	if (!kind)
		return err_set(e, ENOTSUP, "extent type %s is not supported", x->line->type);
	x->kind = kind;
	if (own)
		x->io = io_ref(img->io);
	else if (kind->has_file)
		r = open_extent_file(img, v, x, e);
	if (r == 0 && kind->open)
		r = kind->open(x, img, e);
	return r;
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

/* Reads the text of len bytes at pos, or as much of it as a descriptor may have. */
static int read_text(struct image *img, struct vmdk *v, uint64_t pos, uint64_t len, struct err *e)
{
	size_t n = MIN(len, VMDK_MAX_DESCRIPTOR + 1);

	v->text = malloc(n + 1);
	if (!v->text)
		return err_nomem(e);
	v->text[n] = '\0';
	return io_read(img->io, v->text, n, pos, e);
}

/* Reads the descriptor out of a sparse extent. */
static int read_embedded(
	struct image *img, struct vmdk *v, const struct vmdk_header *h, struct err *e)
{
	uint64_t sectors = img->io->size / VMDK_SECTOR;

	if (!range_fits(h->desc_start, h->desc_len, sectors))
		return err_set(e, EINVAL,
			"descriptor of %" PRIu64 " sectors in sector %" PRIu64
			" passes the end of the file, %" PRIu64 " sectors",
			h->desc_len, h->desc_start, sectors);
	if (h->desc_start > 0 && h->desc_len > 0) {
		int r = read_text(
			img, v, h->desc_start * VMDK_SECTOR, h->desc_len * VMDK_SECTOR, e);

		if (r < 0)
			return r;
	}
	/* QEMU leaves room for one in each extent of a split disk. */
	if (!v->text || v->text[0] == '\0')
		return err_set(e, ENOTSUP,
			"it has no descriptor: it is one extent of a disk, whose descriptor is in "
			"another file");
	return vmdk_desc_parse(&v->desc, v->text, e);
}

/* A sparse extent with a descriptor in it.  The descriptor's name for that extent means nothing:
 * files are renamed, and some writers make one up. */
static int open_monolithic(struct image *img, struct vmdk *v, struct err *e)
{
	struct vmdk_header h;
	int r = vmdk_header_read(img->io, &h, e);

	if (r == 0)
		r = read_embedded(img, v, &h, e);
	if (r < 0)
		return r;
	/* An extent of no size only carries the descriptor of others. */
	if (h.capacity == 0)
		return open_extents(img, v, false, e);
	if (v->desc.nlines != 1 || strcasecmp(v->desc.lines[0].type, vmdk_sparse.type) != 0)
		return err_set(e, ENOTSUP,
			"descriptor: %zu extents, the first of type %s; one of type %s is "
			"supported "
			"in a sparse extent",
			v->desc.nlines, v->desc.lines[0].type, vmdk_sparse.type);
	return open_extents(img, v, true, e);
}

static int open_disk(struct image *img, struct vmdk *v, struct err *e)
{
	unsigned char head[8];
	const char *type;
	int r = io_read_padded(img->io, head, sizeof head, 0, e);

	if (r < 0)
		return r;
	type = unsupported_type(head, sizeof head);
	if (type)
		return err_set(
			e, ENOTSUP, "a bare extent of type %s, which is not supported", type);
	if (memcmp(head, VMDK_MAGIC, 4) == 0)
		return open_monolithic(img, v, e);
	r = read_text(img, v, 0, img->io->size, e);
	if (r == 0)
		r = vmdk_desc_parse(&v->desc, v->text, e);
	return r < 0 ? r : open_extents(img, v, false, e);
}

/* VMware names the parent by its file and its content ID, VirtualBox by its UUID alone. */
static int set_parent(struct image *img, const struct vmdk_desc *d, struct err *e)
{
	const char *name = d->parent_hint;

	if (!name && !d->parent_uuid && d->parent_cid == VMDK_NO_CID)
		return 0;
	/* Left closed it may be called what it likes. */
	if (!name && img->opts->nobacking)
		name = d->parent_uuid ? d->parent_uuid : "?";
	if (!name && d->parent_uuid) {
		err_set(e, ENOTSUP, "it names its parent only by UUID, %s, which is not supported",
			d->parent_uuid);
		return err_hint(e, "-o nobacking opens it without");
	}
	if (!name)
		return err_set(e, EINVAL,
			"it has a parent, parentCID=%08" PRIx32 ", but does not name it",
			d->parent_cid);
	img->parent_name = strdup(name);
	img->parent_format = strdup(vmdk_format.name);
	return img->parent_name && img->parent_format ? 0 : err_nomem(e);
}

static int vmdk_open(struct image *img, struct err *e)
{
	struct vmdk *v = calloc(1, sizeof *v);
	int r;

	if (!v)
		return err_nomem(e);
	v->view = (struct view){.ops = &vmdk_ops, .cache = img->opts->cache};
	r = open_disk(img, v, e);
	if (r == 0)
		r = set_parent(img, &v->desc, e);
	if (r == 0 && !image_add_state(img, NULL, NULL, &v->view, e))
		r = -e->code;
	if (r < 0) {
		vmdk_free(&v->view);
		return r;
	}
	img->sector_size = v->desc.sector_size;
	return 0;
}

static const struct vmdk_desc *descriptor_of(const struct image *img)
{
	return &((const struct vmdk *)img->states[0].view)->desc;
}

/* The parent gets another content ID with the first write after it was opened: a child that has
 * noted the old one has lost what it was made on. */
static int vmdk_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	uint32_t wanted = descriptor_of(img)->parent_cid, found;

	if (parent->format != &vmdk_format)
		return err_set(e, EINVAL, "%s: the parent is %s, vmdk was expected", img->io->name,
			parent->format->name);
	found = descriptor_of(parent)->cid;
	if (found == wanted)
		return 0;
	err_set(e, EINVAL,
		"%s: the parent %s was changed after the image was made: CID %08" PRIx32
		", %08" PRIx32 " expected",
		img->io->name, parent->io->name, found, wanted);
	return err_hint(e, "-o ignore_parent_id takes it all the same");
}

static void vmdk_facts(const struct image *img, struct facts *f)
{
	const struct vmdk *v = (const struct vmdk *)img->states[0].view;
	const struct vmdk_desc *d = &v->desc;

	fact_number(f, "cid", d->cid);
	fact_number(f, "parent-cid", d->parent_cid);
	fact_text(f, "create-type", d->create_type ? d->create_type : "");
	for (size_t i = 0; i < d->nlines; i++) {
		const struct vmdk_extent *x = &v->extents[i];
		struct facts *entry = fact_list(f, "extents");

		fact_number(entry, "virtual-size", x->len);
		fact_text(entry, "filename", x->io ? x->io->name : "");
		fact_text(entry, "format", x->line->type);
		if (x->kind->facts)
			x->kind->facts(x, entry);
	}
}

static int vmdk_probe(const struct peek *p)
{
	if (p->nhead >= 4 && memcmp(p->head, VMDK_MAGIC, 4) == 0)
		return 100;
	if (unsupported_type(p->head, p->nhead))
		return 90;
	return vmdk_desc_probe(p->head, p->nhead);
}

static const char *const suffixes[] = {"vmdk", NULL};

const struct format vmdk_format = {
	.name = "vmdk",
	.title = "VMware virtual disk",
	.suffixes = suffixes,
	.probe = vmdk_probe,
	.open = vmdk_open,
	.check_parent = vmdk_check_parent,
	.facts = vmdk_facts,
};
