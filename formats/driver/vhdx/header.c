/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.c - the first MiB: two headers, of which one is current, and two equal region tables.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/err.h"
#include "io/io.h"
#include "encode.h"
#include "write.h"
#include "vhdx.h"
#include "io/writeback.h"

#define HEADER_LEN  VHDX_HEADER_LEN
#define TABLE_LEN   VHDX_TABLE_LEN
#define TABLE_HEAD  16u
#define TABLE_ENTRY 32u
#define REQUIRED    1u /* flag of a region: who does not know it cannot read the file */

const uint64_t vhdx_header_pos[] = {64 << 10, 128 << 10};
const uint64_t vhdx_regions_pos[] = {192 << 10, 256 << 10};

const unsigned char vhdx_bat_guid[] =
	GUID_BYTES(0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
const unsigned char vhdx_metadata_guid[] =
	GUID_BYTES(0x8b7ca206, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e);

uint32_t vhdx_checksum(const unsigned char *p, size_t len)
{
	static const unsigned char zero[4];
	uint32_t crc;

	crc = crc32c(0, p, 4);
	crc = crc32c(crc, zero, sizeof zero);
	return crc32c(crc, p + 8, len - 8);
}

bool vhdx_is_valid(const unsigned char *p, size_t len, const char *signature)
{
	return memcmp(p, signature, 4) == 0 && vhdx_checksum(p, len) == load_le32(p + 4);
}

/* Which of the two is current (section 2.2.2)?  Disk2vhd writes two that are the same. */
static int choose_header(unsigned char h[2][HEADER_LEN], unsigned *current, struct err *e)
{
	bool valid[2];
	uint64_t sequence[2];

	for (int i = 0; i < 2; i++) {
		valid[i] = vhdx_is_valid(h[i], HEADER_LEN, "head");
		sequence[i] = load_le64(h[i] + 8);
	}
	if (!valid[0] && !valid[1])
		return err_set(e, EUCLEAN, "header: both copies are damaged");
	if (valid[0] && valid[1] && sequence[0] == sequence[1] &&
		memcmp(h[0], h[1], HEADER_LEN) != 0)
		return err_set(e, EUCLEAN,
			"header: two different ones have the sequence number %" PRIu64,
			sequence[0]);
	*current = valid[1] && (!valid[0] || sequence[1] > sequence[0]);
	return 0;
}

/* Without a GUID the log is empty, whatever is in it and wherever it is said to be. */
static int check_log(struct vhdx *d, const unsigned char *h, struct err *e)
{
	struct vhdx_header *header = &d->header;

	header->log_len = load_le32(h + 68);
	header->log_pos = load_le64(h + 72);
	d->parts[VHDX_LOG] = (struct vhdx_range){"log", header->log_pos, header->log_len};
	if (guid_is_zero(header->log_guid)) {
		if (header->log_pos < VHDX_MIB ||
			!range_fits(header->log_pos, header->log_len, d->io->size))
			d->parts[VHDX_LOG] = (struct vhdx_range){.what = "log"};
		return 0;
	}
	if (load_le16(h + 64) != 0)
		return err_set(e, ENOTSUP, "log: version %u is not supported", load_le16(h + 64));
	if (header->log_len == 0 || header->log_len % VHDX_MIB != 0 || header->log_pos < VHDX_MIB ||
		header->log_pos % VHDX_MIB != 0)
		return err_set(e, EUCLEAN,
			"log: %" PRIu32 " bytes at 0x%" PRIx64 ", whole MiB expected",
			header->log_len, header->log_pos);
	if (header->log_len > VHDX_MAX_LOG)
		return err_set(e, EFBIG, "log: %" PRIu32 " bytes, at most %u are replayed",
			header->log_len, VHDX_MAX_LOG);
	if (!range_fits(header->log_pos, header->log_len, d->io->size))
		return err_set(e, EUCLEAN,
			"log: %" PRIu32 " bytes at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			header->log_len, header->log_pos, d->io->size);
	return 0;
}

int vhdx_header_read(struct vhdx *d, struct err *e)
{
	unsigned char h[2][HEADER_LEN], magic[8];
	unsigned current = 0;
	int r = io_read_padded(d->io, magic, sizeof magic, 0, e);

	if (r == 0 && memcmp(magic, "vhdxfile", sizeof magic) != 0)
		r = err_set(e, EINVAL, "not a VHDX image: no vhdxfile at its beginning");
	for (int i = 0; r == 0 && i < 2; i++)
		r = io_read_padded(d->io, h[i], HEADER_LEN, vhdx_header_pos[i], e);
	if (r == 0)
		r = choose_header(h, &current, e);
	if (r < 0)
		return r;
	if (load_le16(h[current] + 66) != 1)
		return err_set(
			e, ENOTSUP, "version %u is not supported", load_le16(h[current] + 66));
	d->parts[VHDX_HEADERS] = (struct vhdx_range){"header", 0, VHDX_MIB};
	d->header.slot = current;
	d->header.sequence = load_le64(h[current] + 8);
	memcpy(d->header.file_guid, h[current] + 16, GUID_LEN);
	memcpy(d->header.data_guid, h[current] + 32, GUID_LEN);
	memcpy(d->header.log_guid, h[current] + 48, GUID_LEN);
	return check_log(d, h[current], e);
}

int vhdx_header_write(struct vhdx *d, struct err *e)
{
	unsigned char h[HEADER_LEN] = {0};
	struct vhdx_header next = d->header;
	int r;

	next.slot = !next.slot;
	next.sequence++;
	vhdx_put_header(h, &next);
	r = io_write(d->io, h, sizeof h, vhdx_header_pos[next.slot], e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		d->header = next;
	return r;
}

int vhdx_headers_write(struct vhdx *d, struct err *e)
{
	int r = vhdx_header_write(d, e);

	return r < 0 ? r : vhdx_header_write(d, e);
}

/* Regions. */

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

static int take_region(struct vhdx *d, const unsigned char *p, struct err *e)
{
	char guid[GUID_TEXT];

	if (memcmp(p, vhdx_bat_guid, GUID_LEN) == 0)
		return add_region(d, VHDX_BAT, "BAT", p, e);
	if (memcmp(p, vhdx_metadata_guid, GUID_LEN) == 0)
		return add_region(d, VHDX_METADATA, "metadata", p, e);
	if (!(load_le32(p + 28) & REQUIRED))
		return 0;
	guid_text(guid, p);
	return err_set(e, ENOTSUP, "the required region %s is not supported", guid);
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

static int parse_regions(struct vhdx *d, const unsigned char *table, struct err *e)
{
	uint32_t n = load_le32(table + 8);
	int r = 0;

	if (n > VHDX_MAX_ENTRIES)
		return err_set(e, EUCLEAN, "region table: %" PRIu32 " entries, %d at most", n,
			VHDX_MAX_ENTRIES);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = take_region(d, table + TABLE_HEAD + (size_t)i * TABLE_ENTRY, e);
	if (r < 0)
		return r;
	if (!d->parts[VHDX_BAT].what || !d->parts[VHDX_METADATA].what)
		return err_set(e, EUCLEAN, "region table: no %s",
			d->parts[VHDX_BAT].what ? "metadata" : "BAT");
	return check_overlap(d, e);
}

/* The first of the two tables that is whole; to be freed. */
static int load_regions(const struct vhdx *d, unsigned char **loaded, struct err *e)
{
	unsigned char *table = malloc(TABLE_LEN);
	bool valid = false;
	int r = 0;

	if (!table)
		return err_nomem(e);
	for (int i = 0; r == 0 && !valid && i < 2; i++) {
		r = io_read_padded(d->io, table, TABLE_LEN, vhdx_regions_pos[i], e);
		valid = r == 0 && vhdx_is_valid(table, TABLE_LEN, "regi");
	}
	if (r == 0 && !valid)
		r = err_set(e, EUCLEAN, "region table: both copies are damaged");
	if (r < 0)
		free(table);
	else
		*loaded = table;
	return r;
}

int vhdx_regions_read(struct vhdx *d, struct err *e)
{
	unsigned char *table;
	int r = load_regions(d, &table, e);

	if (r < 0)
		return r;
	r = parse_regions(d, table, e);
	free(table);
	return r;
}

int vhdx_regions_each(struct vhdx *d, vhdx_region_fn *each, void *arg, struct err *e)
{
	unsigned char *table;
	int r = load_regions(d, &table, e);
	uint32_t n;

	if (r < 0)
		return r;
	n = load_le32(table + 8); /* was looked at before */
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const unsigned char *p = table + TABLE_HEAD + (size_t)i * TABLE_ENTRY;

		r = each(arg, load_le64(p + 16), load_le32(p + 24), e);
	}
	free(table);
	return r;
}

static unsigned char *find_region(unsigned char *table, const unsigned char *guid)
{
	unsigned char *p = table + TABLE_HEAD;

	while (memcmp(p, guid, GUID_LEN) != 0)
		p += TABLE_ENTRY;
	return p;
}

int vhdx_regions_move_bat(struct vhdx *d, uint64_t pos, uint32_t len, struct err *e)
{
	unsigned char *table, *p;
	int r = load_regions(d, &table, e);

	if (r < 0)
		return r;
	p = find_region(table, vhdx_bat_guid); /* it was there when it was opened */
	store_le64(p + 16, pos);
	store_le32(p + 24, len);
	store_le32(table + 4, vhdx_checksum(table, TABLE_LEN));
	for (int i = 0; r == 0 && i < 2; i++)
		r = meta_write(d->io, table, TABLE_LEN, vhdx_regions_pos[i], ORDER_TABLES, e);
	free(table);
	return r;
}
