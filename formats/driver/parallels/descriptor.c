/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor.c - DiskDescriptor.xml: the storages of a disk, its shots, and the files of both.
 *
 * What the current state needs must be right.  What is wrong with other shots is their trouble
 * alone: it is noted, and reading them says it.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "parallels.h"
#include "util/xml.h"

#define ROOT        "Parallels_disk_image"
#define GUID_ACTIVE "{5fbaabe3-6958-40ff-92a7-860e329aab41}" /* unless TopGUID says otherwise */
#define GUID_NONE   "{00000000-0000-0000-0000-000000000000}"

bool parallels_desc_probe(const unsigned char *head, size_t len)
{
	const char *tag = "<" ROOT;

	return memmem(head, MIN(len, PARALLELS_PEEK), tag, strlen(tag)) != NULL;
}

/* GUIDs, with braces or without. */

static size_t trim_guid(const char **guid)
{
	*guid += **guid == '{';
	return strcspn(*guid, "}");
}

bool parallels_same_guid(const char *a, const char *b)
{
	size_t na = trim_guid(&a), nb = trim_guid(&b);

	return na == nb && na > 0 && strncasecmp(a, b, na) == 0;
}

static bool is_no_guid(const char *guid)
{
	return guid[0] == '\0' || parallels_same_guid(guid, GUID_NONE);
}

/* The number that stands in the element called name. */
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

/* A number that need not be there. */
static int read_option(const struct xml *node, const char *name, uint64_t *value, struct err *e)
{
	*value = 0;
	return xml_child(node, name) ? read_number(node, name, value, e) : 0;
}

/* Disk_Parameters. */

static int check_version(const struct xml *root, struct err *e)
{
	const char *version = xml_attr(root, "Version");

	if (strcmp(root->name, ROOT) != 0)
		return err_set(e, EINVAL, "<%s> where <%s> was expected", root->name, ROOT);
	if (version && strcmp(version, "1.0") != 0)
		return err_set(
			e, ENOTSUP, "a Parallels disk of version %.20s, 1.0 is supported", version);
	return 0;
}

static int check_transformed(const struct xml *parameters, struct err *e)
{
	const struct xml *encryption = xml_child(parameters, "Encryption");
	uint64_t padding;
	int r = read_option(parameters, "Padding", &padding, e);

	if (r < 0)
		return r;
	if (padding != 0)
		return err_set(e, ENOTSUP, "padded Parallels disks are not supported");
	if (!is_no_guid(xml_text(encryption, "Engine")) || *xml_text(encryption, "KeyId"))
		return err_set(e, ENOTSUP, "encrypted Parallels disks are not supported");
	return 0;
}

static int read_parameters(struct parallels *p, const struct xml *root, struct err *e)
{
	const struct xml *parameters = xml_child(root, "Disk_Parameters");
	uint64_t sectors, sector_size;
	int r = check_version(root, e);

	if (r == 0)
		r = check_transformed(parameters, e);
	if (r == 0)
		r = read_number(parameters, "Disk_size", &sectors, e);
	if (r == 0)
		r = read_option(parameters, "LogicSectorSize", &sector_size, e);
	if (r < 0)
		return r;
	if (sectors > LIMIT_DISK_SIZE / PARALLELS_SECTOR)
		return err_set(e, EFBIG, "Disk_size: %" PRIu64 " sectors", sectors);
	if (sector_size != 0 && sector_size != 512 && sector_size != 4096)
		return err_set(e, ENOTSUP, "LogicSectorSize: %" PRIu64 ", 512 or 4096 expected",
			sector_size);
	p->size = sectors * PARALLELS_SECTOR;
	p->sector_size = sector_size;
	return 0;
}

/* Shots. */

static const struct xml *first_shot(const struct xml *root)
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

/* Its number, or PARALLELS_NONE. */
static size_t find_shot(const struct parallels *p, const char *guid)
{
	for (size_t i = 0; i < p->nshots; i++)
		if (parallels_same_guid(p->shots[i].guid, guid))
			return i;
	return PARALLELS_NONE;
}

static int set_broken(struct parallels *p, size_t shot, const struct err *why, struct err *e)
{
	p->shots[shot].broken = strdup(why->text);
	return p->shots[shot].broken ? 0 : err_nomem(e);
}

static int find_parent(struct parallels *p, const struct xml *shot, size_t i, struct err *e)
{
	const char *guid = xml_text(shot, "ParentGUID");
	struct err why = ERR_INIT;

	p->shots[i].parent = is_no_guid(guid) ? PARALLELS_NONE : find_shot(p, guid);
	if (is_no_guid(guid) || p->shots[i].parent != PARALLELS_NONE)
		return 0;
	err_set(&why, EINVAL, "shot %.40s: its parent %.40s is not there", p->shots[i].guid, guid);
	return set_broken(p, i, &why, e);
}

/* Does the way from a shot to its last parent have an end? */
static bool ends(const struct parallels *p, size_t shot)
{
	for (size_t n = 0; n < p->nshots && shot != PARALLELS_NONE; n++)
		shot = p->shots[shot].parent;
	return shot == PARALLELS_NONE;
}

/* After this all ways end. */
static int break_endless(struct parallels *p, struct err *e)
{
	for (size_t i = 0; i < p->nshots; i++) {
		struct err why = ERR_INIT;

		if (p->shots[i].broken || ends(p, i))
			continue;
		err_set(&why, ELOOP, "shot %.40s: its parents loop", p->shots[i].guid);
		if (set_broken(p, i, &why, e) < 0)
			return -e->code;
	}
	for (size_t i = 0; i < p->nshots; i++)
		if (p->shots[i].broken)
			p->shots[i].parent = PARALLELS_NONE;
	return 0;
}

/* A descriptor that lists no shots has one: the current state, or what there is an image of. */
static const char *only_guid(const struct xml *root)
{
	const struct xml *storage = xml_child(xml_child(root, "StorageData"), "Storage");
	const struct xml *image = xml_child(storage, "Image");

	return image && !xml_again(image) ? xml_text(image, "GUID") : top_guid(root);
}

static int read_shots(struct parallels *p, const struct xml *root, struct err *e)
{
	const struct xml *first = first_shot(root), *shot = first;
	int r = 0;

	if (!first) {
		p->shots[0].guid = only_guid(root);
		p->shots[0].parent = PARALLELS_NONE;
		return 0;
	}
	for (size_t i = 0; shot; shot = xml_again(shot), i++)
		p->shots[i].guid = xml_text(shot, "GUID");
	p->top = find_shot(p, top_guid(root));
	if (p->top == PARALLELS_NONE)
		return err_set(
			e, EINVAL, "no shot %.40s, which is the current state", top_guid(root));
	shot = first;
	for (size_t i = 0; shot && r == 0; shot = xml_again(shot), i++)
		r = find_parent(p, shot, i, e);
	return r < 0 ? r : break_endless(p, e);
}

/* Storages. */

/* Which image is which shot's. */
static int find_images(struct parallels *p, const struct xml *node, size_t storage, struct err *e)
{
	const struct xml *first = xml_child(node, "Image");
	struct parallels_file *files = p->storages[storage].files;
	size_t n = count(first);

	if (n > PARALLELS_MAX_SHOTS)
		return err_set(
			e, EINVAL, "%zu images, at most %d expected", n, PARALLELS_MAX_SHOTS);
	for (node = first; node; node = xml_again(node)) {
		size_t i = find_shot(p, xml_text(node, "GUID"));

		if (i != PARALLELS_NONE && !files[i].node)
			files[i].node = node;
	}
	return 0;
}

static int read_storage(
	struct parallels *p, const struct xml *node, size_t i, uint64_t *pos, struct err *e)
{
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
	return find_images(p, node, i, e);
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

/* The last part of a name as macOS, Linux or Windows wrote it. */
static const char *last_part(const char *name)
{
	const char *last = name;

	for (const char *c = name; *c; c++)
		if (*c == '/' || *c == '\\')
			last = c + 1;
	return last;
}

/* A bundle that was moved still has its files, though under names that it had elsewhere. */
static int open_named(struct image *img, const char *name, struct io **io, struct err *e)
{
	const char *base = last_part(name);
	struct err moved = ERR_INIT;
	int r;

	if (strchr(name, '\\'))
		return image_open_part(img, base, "image", io, e);
	r = image_open_part(img, name, "image", io, e);
	if (name[0] != '/' || (r != -ENOENT && r != -ENOTDIR && r != -EACCES))
		return r;
	return image_open_part(img, base, "image", io, &moved) == 0 ? 0 : r;
}

/* Is the file one of another shot, too? */
static bool is_taken(const struct parallels *p, const struct parallels_file *f)
{
	for (size_t i = 0; i < p->nstorages; i++)
		for (size_t k = 0; k < p->nshots; k++) {
			const struct parallels_file *other = &p->storages[i].files[k];

			if (other != f && other->io && io_is_same(other->io, f->io))
				return true;
		}
	return false;
}

static int check_length(const struct parallels_file *f, uint64_t len, struct err *e)
{
	if (f->size < len)
		return err_set(e, EINVAL, "%s: it has %" PRIu64 " bytes, %" PRIu64 " were expected",
			f->io->name, f->size, len);
	return 0;
}

static int read_plain(
	const struct parallels *p, struct parallels_file *f, size_t shot, struct err *e)
{
	f->plain = true;
	f->size = f->io->size;
	if (p->shots[shot].parent != PARALLELS_NONE)
		return err_set(e, EINVAL, "%s: a plain image on a parent", f->io->name);
	return 0;
}

static int open_file(
	struct image *img, struct parallels *p, size_t storage, size_t shot, struct err *e)
{
	struct parallels_file *f = &p->storages[storage].files[shot];
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
	if (is_taken(p, f))
		return err_set(e, ELOOP, "%s: the image of more than one shot", f->io->name);
	r = plain ? read_plain(p, f, shot, e) : parallels_file_read(f, e);
	if (r < 0)
		return plain ? r : err_in(e, "%s", f->io->name);
	/* A disk can grow: older states of it are shorter. */
	return plain || shot == p->top ? check_length(f, len, e) : 0;
}

static int open_shot(struct image *img, struct parallels *p, size_t shot, struct err *e)
{
	for (size_t i = 0; i < p->nstorages; i++) {
		int r;

		if (!p->storages[i].files[shot].node)
			return err_set(e, EINVAL, "storage %zu has no image for shot %.40s", i,
				p->shots[shot].guid);
		r = open_file(img, p, i, shot, e);
		if (r < 0)
			return err_in(e, "storage %zu", i);
	}
	return 0;
}

static int open_current(struct image *img, struct parallels *p, bool *seen, struct err *e)
{
	for (size_t i = p->top; i != PARALLELS_NONE; i = p->shots[i].parent) {
		int r;

		if (p->shots[i].broken)
			return err_set(e, EINVAL, "%s", p->shots[i].broken);
		r = open_shot(img, p, i, e);
		if (r < 0)
			return r;
		seen[i] = true;
	}
	return 0;
}

static int open_others(struct image *img, struct parallels *p, const bool *seen, struct err *e)
{
	for (size_t i = 0; i < p->nshots; i++) {
		struct err why = ERR_INIT;

		if (seen[i] || p->shots[i].broken)
			continue;
		if (open_shot(img, p, i, &why) < 0 && set_broken(p, i, &why, e) < 0)
			return -e->code;
	}
	return 0;
}

int parallels_desc_read(
	struct image *img, struct parallels *p, const struct xml *root, struct err *e)
{
	const struct xml *storage = xml_child(xml_child(root, "StorageData"), "Storage");
	size_t nstorages = count(storage), nshots = MAX(count(first_shot(root)), 1);
	bool seen[PARALLELS_MAX_SHOTS] = {false};
	int r = read_parameters(p, root, e);

	if (r < 0)
		return r;
	if (nstorages == 0 || nstorages > PARALLELS_MAX_STORAGES || nshots > PARALLELS_MAX_SHOTS)
		return err_set(e, EINVAL, "%zu storages and %zu shots, 1..%d and up to %d expected",
			nstorages, nshots, PARALLELS_MAX_STORAGES, PARALLELS_MAX_SHOTS);
	r = parallels_make_room(p, nstorages, nshots, e);
	if (r == 0)
		r = read_shots(p, root, e);
	if (r == 0)
		r = read_storages(p, storage, e);
	if (r == 0)
		r = open_current(img, p, seen, e);
	if (r == 0 && !img->opts->nosnapshots)
		r = open_others(img, p, seen, e);
	return r;
}
