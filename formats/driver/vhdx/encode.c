/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encode.h"

#include <string.h>

#include "util/bytes.h"
#include "header.h"
#include "metadata.h"
#include "region-table.h"

#define PHYSICAL_SECTOR 4096u

/* Section 2.2.1. */
void vhdx_encode_identifier(unsigned char *p)
{
	static const char creator[] = "vdiskfs";

	memcpy(p, "vhdxfile", 8);
	for (size_t i = 0; i < sizeof creator - 1; i++)
		p[8 + 2 * i] = creator[i];
}

static void put_region(unsigned char *p, const unsigned char *guid, uint64_t pos, uint32_t len)
{
	memcpy(p, guid, GUID_LEN);
	store_le64(p + 16, pos);
	store_le32(p + 24, len);
	store_le32(p + 28, VHDX_REGION_REQUIRED);
}

/* Section 2.2.3. */
void vhdx_encode_region_table(unsigned char *t, const struct vhdx_new *n)
{
	memcpy(t, "regi", 4);
	store_le32(t + 8, 2);
	put_region(t + 16, vhdx_bat_guid, n->bat_pos, n->bat_len);
	put_region(t + 48, vhdx_metadata_guid, n->metadata_pos, VHDX_MIB);
	store_le32(t + 4, vhdx_header_checksum(t, VHDX_TABLE_LEN));
}

/* Section 2.6.1.2. */
enum item_flags { OF_DISK = 2, NEEDED = 4 };

static const struct {
	enum vhdx_item item;
	uint32_t pos, len; /* after the table; len 0: that of the locator */
	uint32_t flags;
} items[] = {
	{VHDX_PARAMETERS, 0, 8, NEEDED},
	{VHDX_SIZE, 8, 8, OF_DISK | NEEDED},
	{VHDX_DISK_ID, 16, 16, OF_DISK | NEEDED},
	{VHDX_SECTOR, 32, 4, OF_DISK | NEEDED},
	{VHDX_PHYSICAL_SECTOR, 36, 4, OF_DISK | NEEDED},
	{VHDX_LOCATOR, VHDX_NEW_METADATA - VHDX_TABLE_LEN, 0, NEEDED},
};

#define ITEMS (sizeof items / sizeof items[0])

void vhdx_encode_metadata(unsigned char *t, const struct vhdx_new *n)
{
	unsigned char *values = t + VHDX_TABLE_LEN;
	size_t nitems = n->locator ? ITEMS : ITEMS - 1;

	memcpy(t, "metadata", 8);
	store_le16(t + 10, nitems);
	for (size_t i = 0; i < nitems; i++) {
		unsigned char *entry = t + 32 * (i + 1);

		memcpy(entry, vhdx_metadata_guid_of(items[i].item), GUID_LEN);
		store_le32(entry + 16, VHDX_TABLE_LEN + items[i].pos);
		store_le32(entry + 20, items[i].len ? items[i].len : n->locator_len);
		store_le32(entry + 24, items[i].flags);
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
