/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor.c - DiskDescriptor.xml: the storages of a disk, its snapshots, and the files of both.
 *
 * Damage in the chain of the current state fails the opening.  Damage in another snapshot is
 * recorded as its `broken` text, and reading that snapshot fails with it.
 */
#include "descriptor.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/xml.h"
#include "io/io.h"
#include "image/image.h"
#include "disk.h"
#include "file.h"

#define ROOT        "Parallels_disk_image"
#define GUID_ACTIVE "{5fbaabe3-6958-40ff-92a7-860e329aab41}" /* when there is no TopGUID */
#define GUID_NONE   "{00000000-0000-0000-0000-000000000000}"

bool parallels_descriptor_probe(const unsigned char *head, size_t len)
{
	const char *tag = "<" ROOT;

	return memmem(head, MIN(len, PARALLELS_PEEK), tag, strlen(tag)) != NULL;
}

/* The length of a GUID without its braces, to which *guid is moved. */
static size_t trim_guid(const char **guid)
{
	*guid += **guid == '{';
	return strcspn(*guid, "}");
}

bool parallels_descriptor_same_guid(const char *a, const char *b)
{
	size_t na = trim_guid(&a), nb = trim_guid(&b);

	return na == nb && na > 0 && strncasecmp(a, b, na) == 0;
}

static bool is_no_guid(const char *guid)
{
	return guid[0] == '\0' || parallels_descriptor_same_guid(guid, GUID_NONE);
}

/* The number in the child element called name. */
static int read_number(const struct xml *node, const char *name, uint64_t *value, struct err *e)
{
	const char *text = xml_text(node, name);
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno != 0)
		return err_set(e, EINVAL, "%s: \"%.40s\" is not a number", name, text);
	return 0;
}

/* 0 when the element is absent. */
static int read_option(const struct xml *node, const char *name, uint64_t *value, struct err *e)
{
	*value = 0;
	return xml_child(node, name) ? read_number(node, name, value, e) : 0;
}

static int read_parameters(struct parallels *p, const struct xml *root, struct err *e)
{
	const char *version = xml_attr(root, "Version");
	const struct xml *parameters = xml_child(root, "Disk_Parameters");
	const struct xml *encryption = xml_child(parameters, "Encryption");
	uint64_t padding, sectors, sector_size;

	if (strcmp(root->name, ROOT) != 0)
		return err_set(e, EINVAL, "<%s> where <%s> was expected", root->name, ROOT);
	if (version && strcmp(version, "1.0") != 0)
		return err_set(
			e, ENOTSUP, "a Parallels disk of version %.20s, 1.0 is supported", version);
	if (read_option(parameters, "Padding", &padding, e) < 0)
		return -e->code;
	if (padding != 0)
		return err_set(e, ENOTSUP, "padded Parallels disks are not supported");
	if (!is_no_guid(xml_text(encryption, "Engine")) || *xml_text(encryption, "KeyId"))
		return err_set(e, ENOTSUP, "encrypted Parallels disks are not supported");
	if (read_number(parameters, "Disk_size", &sectors, e) < 0 ||
		read_option(parameters, "LogicSectorSize", &sector_size, e) < 0)
		return -e->code;
	if (sectors > LIMIT_DISK_SIZE / PARALLELS_SECTOR)
		return err_set(e, EFBIG, "Disk_size: %" PRIu64 " sectors", sectors);
	if (sector_size != 0 && sector_size != 512 && sector_size != 4096)
		return err_set(e, ENOTSUP, "LogicSectorSize: %" PRIu64 ", 512 or 4096 expected",
			sector_size);
	p->size = sectors * PARALLELS_SECTOR;
	p->sector_size = sector_size;
	return 0;
}

/* Snapshots. */

static const struct xml *first_snapshot(const struct xml *root)
{
	return xml_child(xml_child(root, "Snapshots"), "Shot");
}

static const char *top_guid(const struct xml *root)
{
	const char *guid = xml_text(xml_child(root, "Snapshots"), "TopGUID");

	return guid[0] ? guid : GUID_ACTIVE;
}

static size_t count(const struct xml *node)
{
	size_t n = 0;

	for (; node; node = xml_again(node))
		n++;
	return n;
}

static size_t find_snapshot(const struct parallels *p, const char *guid)
{
	for (size_t i = 0; i < p->nsnapshots; i++)
		if (parallels_descriptor_same_guid(p->snapshots[i].guid, guid))
			return i;
	return PARALLELS_NONE;
}

static int set_broken(struct parallels *p, size_t i, const struct err *why, struct err *e)
{
	p->snapshots[i].broken = strdup(why->text);
	return p->snapshots[i].broken ? 0 : err_nomem(e);
}

/* Finds the snapshots whose parents loop.  Broken snapshots lose their parent: afterwards following
 * parents terminates. */
static int break_loops(struct parallels *p, struct err *e)
{
	for (size_t i = 0; i < p->nsnapshots; i++) {
		struct err why = ERR_INIT;
		size_t last = i;

		for (size_t n = 0; n < p->nsnapshots && last != PARALLELS_NONE; n++)
			last = p->snapshots[last].parent;
		if (p->snapshots[i].broken || last == PARALLELS_NONE)
			continue;
		err_set(&why, ELOOP, "snapshot %.40s: its parents loop", p->snapshots[i].guid);
		if (set_broken(p, i, &why, e) < 0)
			return -e->code;
	}
	for (size_t i = 0; i < p->nsnapshots; i++)
		if (p->snapshots[i].broken)
			p->snapshots[i].parent = PARALLELS_NONE;
	return 0;
}

static int read_snapshots(struct parallels *p, const struct xml *root, struct err *e)
{
	const struct xml *first = first_snapshot(root), *node, *image;
	size_t i = 0;

	/* A descriptor without snapshots has a single state: its only image, or the top. */
	if (!first) {
		image = xml_child(xml_child(xml_child(root, "StorageData"), "Storage"), "Image");
		p->snapshots[0].guid =
			image && !xml_again(image) ? xml_text(image, "GUID") : top_guid(root);
		p->snapshots[0].parent = PARALLELS_NONE;
		return 0;
	}
	for (node = first; node; node = xml_again(node))
		p->snapshots[i++].guid = xml_text(node, "GUID");
	p->top = find_snapshot(p, top_guid(root));
	if (p->top == PARALLELS_NONE)
		return err_set(
			e, EINVAL, "no snapshot %.40s, which is the current state", top_guid(root));
	i = 0;
	for (node = first; node; node = xml_again(node), i++) {
		const char *parent = xml_text(node, "ParentGUID");
		struct err why = ERR_INIT;

		p->snapshots[i].parent =
			is_no_guid(parent) ? PARALLELS_NONE : find_snapshot(p, parent);
		if (is_no_guid(parent) || p->snapshots[i].parent != PARALLELS_NONE)
			continue;
		err_set(&why, EINVAL, "snapshot %.40s: its parent %.40s is not listed",
			p->snapshots[i].guid, parent);
		if (set_broken(p, i, &why, e) < 0)
			return -e->code;
	}
	return break_loops(p, e);
}

/* Storages. */

static int read_storage(
	struct parallels *p, const struct xml *node, size_t i, uint64_t *pos, struct err *e)
{
	const struct xml *first;
	uint64_t start, end;
	int r = read_number(node, "Start", &start, e);

	if (r == 0)
		r = read_number(node, "End", &end, e);
	if (r < 0)
		return r;
	if (start != *pos || end <= start || end > LIMIT_DISK_SIZE / PARALLELS_SECTOR)
		return err_set(e, EINVAL,
			"sectors %" PRIu64 " to %" PRIu64 ", they should begin at %" PRIu64, start,
			end, *pos);
	p->storages[i].start = start * PARALLELS_SECTOR;
	p->storages[i].len = (end - start) * PARALLELS_SECTOR;
	*pos = end;
	/* Assigns the images to their snapshots. */
	first = xml_child(node, "Image");
	if (count(first) > PARALLELS_MAX_SNAPSHOTS)
		return err_set(e, EINVAL, "%zu images, at most %d expected", count(first),
			PARALLELS_MAX_SNAPSHOTS);
	for (node = first; node; node = xml_again(node)) {
		size_t k = find_snapshot(p, xml_text(node, "GUID"));

		if (k != PARALLELS_NONE && !p->storages[i].files[k].node)
			p->storages[i].files[k].node = node;
	}
	return 0;
}

static int read_storages(struct parallels *p, const struct xml *node, struct err *e)
{
	uint64_t pos = 0;

	for (size_t i = 0; node; node = xml_again(node), i++) {
		int r = read_storage(p, node, i, &pos, e);

		if (r < 0)
			return err_in(e, "storage %zu", i);
	}
	if (pos * PARALLELS_SECTOR < p->size)
		return err_set(e, EINVAL,
			"the storages end at sector %" PRIu64 ", the disk at %" PRIu64, pos,
			p->size / PARALLELS_SECTOR);
	return 0;
}

/* Files. */

/* An absolute name, or one with backslashes, is from before the bundle was moved: its last part is
 * the name in the bundle. */
static int open_named(struct image *img, const char *name, struct io **io, struct err *e)
{
	const char *base = name;
	struct err moved = ERR_INIT;
	int r;

	for (const char *c = name; *c; c++)
		if (*c == '/' || *c == '\\')
			base = c + 1;
	if (strchr(name, '\\'))
		return image_open_part(img, base, "image", io, e);
	r = image_open_part(img, name, "image", io, e);
	if (name[0] != '/' || (r != -ENOENT && r != -ENOTDIR && r != -EACCES))
		return r;
	return image_open_part(img, base, "image", io, &moved) == 0 ? 0 : r;
}

static bool is_used_twice(const struct parallels *p, const struct parallels_file *f)
{
	for (size_t i = 0; i < p->nstorages; i++)
		for (size_t k = 0; k < p->nsnapshots; k++) {
			const struct parallels_file *other = &p->storages[i].files[k];

			if (other != f && other->io && io_is_same(other->io, f->io))
				return true;
		}
	return false;
}

static int open_file(
	struct image *img, struct parallels *p, size_t storage, size_t snapshot, struct err *e)
{
	struct parallels_file *f = &p->storages[storage].files[snapshot];
	uint64_t len = p->storages[storage].len;
	const char *type = xml_text(f->node, "Type");
	bool plain = strcasecmp(type, "Plain") == 0;
	int r;

	if (!plain && strcasecmp(type, "Compressed") != 0)
		return err_set(e, ENOTSUP, "images of type \"%.40s\" are not supported", type);
	r = open_named(img, xml_text(f->node, "File"), &f->io, e);
	if (r < 0)
		return r;
	if (io_is_same(f->io, img->io))
		return err_set(e, ELOOP, "%s: the descriptor itself", f->io->name);
	if (is_used_twice(p, f))
		return err_set(e, ELOOP, "%s: the image of more than one snapshot", f->io->name);
	f->plain = plain;
	f->size = f->io->size;
	if (plain && p->snapshots[snapshot].parent != PARALLELS_NONE)
		return err_set(e, EINVAL, "%s: a plain image on a parent", f->io->name);
	if (!plain && parallels_file_read(f, e) < 0)
		return err_in(e, "%s", f->io->name);
	/* A disk can grow: in older snapshots it is shorter. */
	if ((plain || snapshot == p->top) && f->size < len)
		return err_set(e, EINVAL, "%s: it has %" PRIu64 " bytes, %" PRIu64 " were expected",
			f->io->name, f->size, len);
	return 0;
}

static int open_snapshot(struct image *img, struct parallels *p, size_t snapshot, struct err *e)
{
	for (size_t i = 0; i < p->nstorages; i++) {
		int r;

		if (!p->storages[i].files[snapshot].node)
			return err_set(e, EINVAL, "storage %zu has no image for snapshot %.40s", i,
				p->snapshots[snapshot].guid);
		r = open_file(img, p, i, snapshot, e);
		if (r < 0)
			return err_in(e, "storage %zu", i);
	}
	return 0;
}

int parallels_descriptor_read(
	struct image *img, struct parallels *p, const struct xml *root, struct err *e)
{
	const struct xml *storage = xml_child(xml_child(root, "StorageData"), "Storage");
	size_t nstorages = count(storage), nsnapshots = MAX(count(first_snapshot(root)), 1);
	bool current[PARALLELS_MAX_SNAPSHOTS] = {false};
	int r = read_parameters(p, root, e);

	if (r < 0)
		return r;
	if (nstorages == 0 || nstorages > PARALLELS_MAX_STORAGES ||
		nsnapshots > PARALLELS_MAX_SNAPSHOTS)
		return err_set(e, EINVAL,
			"%zu storages and %zu snapshots, 1..%d and up to %d expected", nstorages,
			nsnapshots, PARALLELS_MAX_STORAGES, PARALLELS_MAX_SNAPSHOTS);
	r = parallels_disk_alloc(p, nstorages, nsnapshots, e);
	if (r == 0)
		r = read_snapshots(p, root, e);
	if (r == 0)
		r = read_storages(p, storage, e);
	for (size_t i = p->top; r == 0 && i != PARALLELS_NONE; i = p->snapshots[i].parent) {
		if (p->snapshots[i].broken)
			return err_set(e, EINVAL, "%s", p->snapshots[i].broken);
		r = open_snapshot(img, p, i, e);
		current[i] = true;
	}
	for (size_t i = 0; r == 0 && !img->opts->nosnapshots && i < nsnapshots; i++) {
		struct err why = ERR_INIT;

		if (!current[i] && !p->snapshots[i].broken && open_snapshot(img, p, i, &why) < 0)
			r = set_broken(p, i, &why, e);
	}
	return r;
}

int parallels_descriptor_parse(struct io *io, struct xml **root, struct err *e)
{
	char *text;
	int r = io_read_text(io, XML_MAX_BYTES, &text, e);

	if (r < 0)
		return r;
	r = xml_parse(text, io->size, root, e);
	free(text);
	return r;
}
