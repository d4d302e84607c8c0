/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata.c - a table of items, each identified by a GUID.
 *
 * Items may lie anywhere in the region.  An unknown one is skipped unless its entry has the flag
 * that it is required.
 */
#include "metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/utf16.h"
#include "image/image.h"
#include "io/io.h"

#define TABLE_HEAD  32u
#define TABLE_ENTRY 32u
#define TEXT_MAX    (2u * LIMIT_NAME) /* bytes of a key or a value that is read */
#define TEXT_BYTES  UTF16_AS_UTF8(TEXT_MAX / 2)

#define PHYSICAL_SECTOR 4096u /* of new disks */

/* In the order of their entries in a new table. */
enum vhdx_item {
	VHDX_PARAMETERS,
	VHDX_SIZE,
	VHDX_DISK_ID,
	VHDX_SECTOR,
	VHDX_PHYSICAL_SECTOR,
	VHDX_LOCATOR,
	VHDX_ITEMS
};

enum vhdx_parameter { VHDX_FILE_FIXED = 1, VHDX_FILE_HAS_PARENT = 2 };

/* Section 2.6.1.2. */
enum entry_flags { ENTRY_USER = 1, ENTRY_OF_DISK = 2, ENTRY_REQUIRED = 4 };

static const struct {
	const char *what;
	unsigned char guid[GUID_LEN];
	uint32_t len; /* 0: any */
	bool optional;
	uint32_t new_offset, new_flags; /* of a new one */
} items[VHDX_ITEMS] = {
	[VHDX_PARAMETERS] = {"file parameters",
		GUID_BYTES(
			0xcaa16737, 0xfa36, 0x4d43, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b),
		8, false, VHDX_TABLE_LEN, ENTRY_REQUIRED},
	[VHDX_SIZE] = {"virtual disk size",
		GUID_BYTES(
			0x2fa54224, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8),
		8, false, VHDX_TABLE_LEN + 8, ENTRY_OF_DISK | ENTRY_REQUIRED},
	[VHDX_DISK_ID] = {"virtual disk id",
		GUID_BYTES(
			0xbeca12ab, 0xb2e6, 0x4523, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46),
		16, true, VHDX_TABLE_LEN + 16, ENTRY_OF_DISK | ENTRY_REQUIRED},
	[VHDX_SECTOR] = {"logical sector size",
		GUID_BYTES(
			0x8141bf1d, 0xa96f, 0x4709, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f),
		4, false, VHDX_TABLE_LEN + 32, ENTRY_OF_DISK | ENTRY_REQUIRED},
	[VHDX_PHYSICAL_SECTOR] = {"physical sector size",
		GUID_BYTES(
			0xcda348c7, 0x445d, 0x4471, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56),
		4, true, VHDX_TABLE_LEN + 36, ENTRY_OF_DISK | ENTRY_REQUIRED},
	[VHDX_LOCATOR] = {"parent locator",
		GUID_BYTES(
			0xa8d35f2d, 0xb30b, 0x454d, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c),
		0, true, VHDX_NEW_METADATA, ENTRY_REQUIRED},
};

const unsigned char vhdx_locator_type[] =
	GUID_BYTES(0xb04aefb7, 0xd19e, 0x4a81, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);

struct item_place {
	uint64_t pos; /* in the file; 0: the item is not there */
	uint32_t len;
};

/* The item of an entry of the table; VHDX_ITEMS: an unknown one, or one of the user's. */
static int find_item(const unsigned char *entry)
{
	bool user = load_le32(entry + 24) & ENTRY_USER;
	int i = 0;

	while (i < VHDX_ITEMS && (user || memcmp(entry, items[i].guid, GUID_LEN) != 0))
		i++;
	return i;
}

static int decode_entry(const struct vhdx_range *region, const unsigned char *p,
	struct item_place *places, struct err *e)
{
	uint32_t offset = load_le32(p + 16), len = load_le32(p + 20), flags = load_le32(p + 24);
	int i = find_item(p);
	char guid[GUID_TEXT];

	if (i == VHDX_ITEMS) {
		if (!(flags & ENTRY_REQUIRED))
			return 0;
		guid_text(guid, p);
		return err_set(e, ENOTSUP, "the required metadata item %s is not supported", guid);
	}
	if (places[i].pos != 0)
		return err_set(e, EUCLEAN, "metadata: more than one %s", items[i].what);
	if (offset < VHDX_TABLE_LEN || len > VHDX_MAX_ITEM || !range_fits(offset, len, region->len))
		return err_set(e, EUCLEAN,
			"metadata: %s of %" PRIu32 " bytes at %" PRIu32
			" is not inside the region of %" PRIu64,
			items[i].what, len, offset, region->len);
	if (items[i].len != 0 && len != items[i].len)
		return err_set(e, EUCLEAN,
			"metadata: %s of %" PRIu32 " bytes, %" PRIu32 " expected", items[i].what,
			len, items[i].len);
	places[i] = (struct item_place){region->pos + offset, len};
	return 0;
}

/* Does another item, also one of the user's, overlap the size?  That is the only item that is ever
 * written. */
static bool is_shared(const struct vhdx_range *region, const unsigned char *table, unsigned n,
	const struct item_place *size)
{
	for (unsigned i = 0; i < n; i++) {
		const unsigned char *p = table + TABLE_HEAD + i * TABLE_ENTRY;
		uint64_t pos = region->pos + load_le32(p + 16), len = load_le32(p + 20);
		bool is_size = find_item(p) == VHDX_SIZE;

		if (!is_size && pos < size->pos + size->len && size->pos < pos + len)
			return true;
	}
	return false;
}

static int find_items(struct vhdx *d, struct item_place *places, struct err *e)
{
	const struct vhdx_range *region = &d->parts[VHDX_METADATA];
	unsigned char *table;
	unsigned n;
	int r;

	if (region->len < VHDX_TABLE_LEN)
		return err_set(e, EUCLEAN, "metadata: a region of %" PRIu64 " bytes", region->len);
	table = malloc(VHDX_TABLE_LEN);
	if (!table)
		return err_nomem(e);
	r = io_read(d->io, table, VHDX_TABLE_LEN, region->pos, e);
	n = load_le16(table + 10);
	if (r == 0 && memcmp(table, "metadata", 8) != 0)
		r = err_set(e, EUCLEAN, "metadata: no table at 0x%" PRIx64, region->pos);
	if (r == 0 && n > VHDX_MAX_ENTRIES)
		r = err_set(e, EUCLEAN, "metadata: %u items, %d at most", n, VHDX_MAX_ENTRIES);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = decode_entry(region, table + TABLE_HEAD + i * TABLE_ENTRY, places, e);
	for (int i = 0; r == 0 && i < VHDX_ITEMS; i++)
		if (places[i].pos == 0 && !items[i].optional)
			r = err_set(e, EUCLEAN, "metadata: no %s", items[i].what);
	if (r == 0)
		d->size_is_shared = is_shared(region, table, n, &places[VHDX_SIZE]);
	free(table);
	return r;
}

static int read_items(struct vhdx *d, const struct item_place *places, struct err *e)
{
	unsigned char p[VHDX_LOCATOR][GUID_LEN] = {{0}};
	uint32_t flags;
	int r = 0;

	for (int i = 0; r == 0 && i < VHDX_LOCATOR; i++)
		r = io_read(d->io, p[i], places[i].len, places[i].pos, e);
	if (r < 0)
		return r;
	flags = load_le32(p[VHDX_PARAMETERS] + 4);
	d->block_size = load_le32(p[VHDX_PARAMETERS]);
	d->fixed = flags & VHDX_FILE_FIXED;
	d->differencing = flags & VHDX_FILE_HAS_PARENT;
	d->sector_size = load_le32(p[VHDX_SECTOR]);
	d->physical_sector_size = load_le32(p[VHDX_PHYSICAL_SECTOR]);
	memcpy(d->disk_id, p[VHDX_DISK_ID], GUID_LEN);
	d->size_pos = places[VHDX_SIZE].pos;
	d->view.size = load_le64(p[VHDX_SIZE]);
	if (flags & ~(uint32_t)(VHDX_FILE_FIXED | VHDX_FILE_HAS_PARENT))
		return err_set(
			e, ENOTSUP, "file parameters 0x%" PRIx32 " are not supported", flags);
	if (!is_power_of_2(d->block_size) || d->block_size < VHDX_MIN_BLOCK ||
		d->block_size > VHDX_MAX_BLOCK)
		return err_set(e, EINVAL,
			"block size %" PRIu32 " is not a power of two from %u to %u", d->block_size,
			VHDX_MIN_BLOCK, VHDX_MAX_BLOCK);
	if (d->sector_size != 512 && d->sector_size != 4096)
		return err_set(e, EINVAL, "sectors of %" PRIu32 " bytes, 512 or 4096 expected",
			d->sector_size);
	if (d->view.size > VHDX_MAX_DISK)
		return err_set(e, EFBIG, "a disk of %" PRIu64 " bytes, at most %" PRIu64,
			d->view.size, VHDX_MAX_DISK);
	if (d->view.size % d->sector_size != 0)
		return err_set(e, EINVAL,
			"a disk of %" PRIu64 " bytes, a multiple of %" PRIu32 " expected",
			d->view.size, d->sector_size);
	/* A chunk is the sectors for which one sector bitmap block of 1 MiB has bits. */
	d->ratio = (VHDX_MIB * UINT64_C(8)) * d->sector_size / d->block_size;
	d->nblocks = div_round_up(d->view.size, d->block_size);
	return 0;
}

struct parent_locator {
	unsigned char *p;
	uint32_t size;
};

/* Decodes the text of len bytes at offset; "" if it is none. */
static void get_text(
	const struct parent_locator *l, uint32_t offset, unsigned len, char text[TEXT_BYTES])
{
	if (len > TEXT_MAX || !range_fits(offset, len, l->size) ||
		!utf16_to_utf8(text, l->p + offset, len / 2, UTF16_LE))
		text[0] = '\0';
}

/* Finds the value of key; false: there is none. */
static bool get_value(const struct parent_locator *l, const char *key, char text[TEXT_BYTES])
{
	unsigned n = MIN(load_le16(l->p + 18), (l->size - VHDX_LOCATOR_HEAD) / VHDX_LOCATOR_ENTRY);

	for (unsigned i = 0; i < n; i++) {
		const unsigned char *entry = l->p + VHDX_LOCATOR_HEAD + i * VHDX_LOCATOR_ENTRY;

		get_text(l, load_le32(entry), load_le16(entry + 8), text);
		if (strcmp(text, key) != 0)
			continue;
		get_text(l, load_le32(entry + 4), load_le16(entry + 10), text);
		return text[0] != '\0';
	}
	return false;
}

/* The parent is identified by its data_guid, "{xxxxxxxx-...}", which may be one of two while images
 * are merged (section 2.6.2.6.3). */
static int decode_locator(
	struct image *img, struct vhdx *d, const struct parent_locator *l, struct err *e)
{
	static const char *const linkages[] = {"parent_linkage", "parent_linkage2"};
	static const char *const paths[] = {"relative_path", "volume_path", "absolute_win32_path"};
	char text[TEXT_BYTES], guid[GUID_TEXT];
	int r = 0;

	if (l->size < VHDX_LOCATOR_HEAD)
		return err_set(e, EUCLEAN, "parent locator: %" PRIu32 " bytes", l->size);
	if (memcmp(l->p, vhdx_locator_type, GUID_LEN) != 0) {
		guid_text(guid, l->p);
		return err_set(e, ENOTSUP, "parent locators of type %s are not supported", guid);
	}
	for (int i = 0; i < 2; i++)
		if (get_value(l, linkages[i], text) && strlen(text) == GUID_TEXT + 1 &&
			text[0] == '{' && text[GUID_TEXT] == '}')
			memcpy(d->linkage[i], text + 1, GUID_TEXT - 1);
	if (d->linkage[0][0] == '\0')
		return err_set(e, EUCLEAN, "parent locator: no GUID as parent_linkage");
	guid_parse(img->parent_id, d->linkage[0]);
	for (size_t i = 0; r == 0 && i < sizeof paths / sizeof paths[0]; i++)
		if (get_value(l, paths[i], text))
			r = image_add_parent_name(img, text, e);
	if (r == 0 && !img->parent_name && guid_is_zero(img->parent_id))
		r = err_set(e, EUCLEAN, "parent locator: no path");
	if (r < 0)
		return r;
	img->parent_format = strdup("vhdx");
	return img->parent_format ? 0 : err_nomem(e);
}

static int read_locator(
	struct image *img, struct vhdx *d, const struct item_place *place, struct err *e)
{
	struct parent_locator l = {.size = place->len};
	int r;

	if (place->pos == 0)
		return err_set(e, EUCLEAN, "metadata: a differencing disk without parent locator");
	l.p = malloc(l.size + 1);
	if (!l.p)
		return err_nomem(e);
	r = io_read(d->io, l.p, l.size, place->pos, e);
	if (r == 0)
		r = decode_locator(img, d, &l, e);
	free(l.p);
	return r;
}

int vhdx_metadata_read(struct image *img, struct vhdx *d, struct err *e)
{
	struct item_place places[VHDX_ITEMS] = {{0}};
	int r = find_items(d, places, e);

	if (r == 0)
		r = read_items(d, places, e);
	if (r == 0 && d->differencing)
		r = read_locator(img, d, &places[VHDX_LOCATOR], e);
	return r;
}

void vhdx_metadata_encode(unsigned char *t, const struct vhdx_new *n)
{
	unsigned char *values = t + VHDX_TABLE_LEN;
	int nitems = n->locator ? VHDX_ITEMS : VHDX_LOCATOR;

	memcpy(t, "metadata", 8);
	store_le16(t + 10, nitems);
	for (int i = 0; i < nitems; i++) {
		unsigned char *entry = t + TABLE_HEAD + i * TABLE_ENTRY;

		memcpy(entry, items[i].guid, GUID_LEN);
		store_le32(entry + 16, items[i].new_offset);
		store_le32(entry + 20, items[i].len ? items[i].len : n->locator_len);
		store_le32(entry + 24, items[i].new_flags);
	}
	store_le32(values, n->block_size);
	store_le32(values + 4,
		(n->fixed ? VHDX_FILE_FIXED : 0) | (n->locator ? VHDX_FILE_HAS_PARENT : 0));
	store_le64(values + 8, n->size);
	memcpy(values + 16, n->disk_id, GUID_LEN);
	store_le32(values + 32, n->sector_size);
	store_le32(values + 36, PHYSICAL_SECTOR);
	if (n->locator)
		memcpy(t + VHDX_NEW_METADATA, n->locator, n->locator_len);
}
