/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "region-table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "header.h"
#include "io/io.h"
#include "io/writeback.h"

#define TABLE_HEAD  16u
#define TABLE_ENTRY 32u

#define REGION_REQUIRED 1u /* flag: readers that do not support the region must refuse */

const uint64_t vhdx_region_table_pos[] = {192 << 10, 256 << 10};

static const unsigned char bat_guid[] =
	GUID_BYTES(0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
static const unsigned char metadata_guid[] =
	GUID_BYTES(0x8b7ca206, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e);

static const unsigned char *entry_at(const unsigned char *table, size_t i)
{
	return table + TABLE_HEAD + i * TABLE_ENTRY;
}

static int add_region(struct vhdx *d, enum vhdx_part part, const char *what, const unsigned char *p,
	struct err *e)
{
	struct vhdx_range *range = &d->parts[part];

	if (range->what)
		return err_set(e, EUCLEAN, "region table: more than one %s", what);
	*range = (struct vhdx_range){what, load_le64(p + 16), load_le32(p + 24)};
	if (range->pos < VHDX_MIB || range->pos % VHDX_MIB != 0 || range->len % VHDX_MIB != 0)
		return err_set(e, EUCLEAN,
			"region table: %s of %" PRIu64 " bytes at 0x%" PRIx64
			", whole MiB expected",
			what, range->len, range->pos);
	if (!range_fits(range->pos, range->len, d->io->size))
		return err_set(e, EUCLEAN,
			"region table: %s of %" PRIu64 " bytes at 0x%" PRIx64
			" passes the end of the file, 0x%" PRIx64,
			what, range->len, range->pos, d->io->size);
	return 0;
}

static int check_overlap(const struct vhdx *d, struct err *e)
{
	for (int i = 0; i < VHDX_PARTS; i++)
		for (int k = i + 1; k < VHDX_PARTS; k++) {
			const struct vhdx_range *a = &d->parts[i], *b = &d->parts[k];

			if (a->pos < b->pos + b->len && b->pos < a->pos + a->len)
				return err_set(e, EUCLEAN,
					"%s at 0x%" PRIx64 " and %s at 0x%" PRIx64 " overlap",
					a->what, a->pos, b->what, b->pos);
		}
	return 0;
}

static int decode_table(struct vhdx *d, const unsigned char *table, struct err *e)
{
	uint32_t n = load_le32(table + 8);
	char guid[GUID_TEXT];
	int r = 0;

	if (n > VHDX_MAX_ENTRIES)
		return err_set(e, EUCLEAN, "region table: %" PRIu32 " entries, %d at most", n,
			VHDX_MAX_ENTRIES);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const unsigned char *p = entry_at(table, i);

		if (memcmp(p, bat_guid, GUID_LEN) == 0) {
			r = add_region(d, VHDX_BAT, "BAT", p, e);
		} else if (memcmp(p, metadata_guid, GUID_LEN) == 0) {
			r = add_region(d, VHDX_METADATA, "metadata", p, e);
		} else if (load_le32(p + 28) & REGION_REQUIRED) {
			guid_text(guid, p);
			r = err_set(e, ENOTSUP, "the required region %s is not supported", guid);
		}
	}
	if (r < 0)
		return r;
	if (!d->parts[VHDX_BAT].what || !d->parts[VHDX_METADATA].what)
		return err_set(e, EUCLEAN, "region table: no %s",
			d->parts[VHDX_BAT].what ? "metadata" : "BAT");
	return check_overlap(d, e);
}

/* Loads the first of the two tables that is good; to be freed. */
static unsigned char *load_table(const struct vhdx *d, struct err *e)
{
	unsigned char *table = malloc(VHDX_TABLE_LEN);
	int r = 0;

	if (!table) {
		err_nomem(e);
		return NULL;
	}
	for (int i = 0; r == 0 && i < 2; i++) {
		r = io_read_padded(d->io, table, VHDX_TABLE_LEN, vhdx_region_table_pos[i], e);
		if (r == 0 && vhdx_header_is_valid(table, VHDX_TABLE_LEN, "regi"))
			return table;
	}
	if (r == 0)
		err_set(e, EUCLEAN, "region table: both copies are damaged");
	free(table);
	return NULL;
}

int vhdx_region_table_read(struct vhdx *d, struct err *e)
{
	unsigned char *table = load_table(d, e);
	int r = table ? decode_table(d, table, e) : -e->code;

	free(table);
	return r;
}

int vhdx_region_table_each(struct vhdx *d, vhdx_region_fn *each, void *arg, struct err *e)
{
	unsigned char *table = load_table(d, e);
	uint32_t n = table ? load_le32(table + 8) : 0; /* checked when the image was opened */
	int r = table ? 0 : -e->code;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const unsigned char *p = entry_at(table, i);

		r = each(arg, load_le64(p + 16), load_le32(p + 24), e);
	}
	free(table);
	return r;
}

int vhdx_region_table_move_bat(struct vhdx *d, uint64_t pos, uint32_t len, struct err *e)
{
	unsigned char *table = load_table(d, e), *p;
	int r = 0;

	if (!table)
		return -e->code;
	/* Opening has found the region. */
	for (p = table + TABLE_HEAD; memcmp(p, bat_guid, GUID_LEN) != 0;)
		p += TABLE_ENTRY;
	store_le64(p + 16, pos);
	store_le32(p + 24, len);
	store_le32(table + 4, vhdx_header_checksum(table, VHDX_TABLE_LEN));
	for (int i = 0; r == 0 && i < 2; i++)
		r = meta_write(
			d->io, table, VHDX_TABLE_LEN, vhdx_region_table_pos[i], ORDER_TABLES, e);
	free(table);
	return r;
}

static void put_region(unsigned char *p, const unsigned char *guid, uint64_t pos, uint32_t len)
{
	memcpy(p, guid, GUID_LEN);
	store_le64(p + 16, pos);
	store_le32(p + 24, len);
	store_le32(p + 28, REGION_REQUIRED);
}

/* Section 2.2.3. */
void vhdx_region_table_encode(unsigned char *t, const struct vhdx_new *n)
{
	memcpy(t, "regi", 4);
	store_le32(t + 8, 2);
	put_region(t + TABLE_HEAD, bat_guid, n->bat_pos, n->bat_len);
	put_region(t + TABLE_HEAD + TABLE_ENTRY, metadata_guid, n->metadata_pos, VHDX_MIB);
	store_le32(t + 4, vhdx_header_checksum(t, VHDX_TABLE_LEN));
}
