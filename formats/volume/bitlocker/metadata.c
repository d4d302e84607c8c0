/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/utf16.h"
#include "view/view.h"

#define BOOT   512u /* bytes of the boot sector that are read */
#define HEADER 64u  /* bytes of the block before the data set, of which */
#define SET    48u  /* bytes are before the entries */
#define SEAL   8u   /* bytes of the seal before its entry */

#define SIGNATURE       "-FVE-FS-"
#define SIGNATURE_TO_GO "MSWIN4.1" /* as many FAT file systems have it */

#define GUID_AT       160u /* in the boot sector; the places of the copies follow */
#define GUID_AT_TO_GO 424u

static const unsigned char guid_plain[GUID_LEN] =
	GUID_BYTES(0x4967d63b, 0x2e29, 0x4ad8, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01);
static const unsigned char guid_on_write[GUID_LEN] =
	GUID_BYTES(0x92a84d3b, 0xdd80, 0x4d0e, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8);

/* The boot sector. */

static bool has_signature(const unsigned char *boot, const char *signature)
{
	return memcmp(boot + 3, signature, 8) == 0;
}

static bool is_known(const unsigned char *guid)
{
	return memcmp(guid, guid_plain, GUID_LEN) == 0 ||
	       memcmp(guid, guid_on_write, GUID_LEN) == 0;
}

static int check_guid(struct bitlocker *b, const unsigned char *guid, struct err *e)
{
	char text[GUID_TEXT];

	b->on_write = memcmp(guid, guid_on_write, GUID_LEN) == 0;
	if (is_known(guid))
		return 1;
	guid_text(text, guid);
	return err_set(e, ENOTSUP, "a kind of BitLocker that is not known (%s)", text);
}

/* 1: the places of the copies are at *places in the boot sector. */
static int find_places(
	struct bitlocker *b, const unsigned char *boot, const unsigned char **places, struct err *e)
{
	const unsigned char *guid = boot + GUID_AT;

	if (has_signature(boot, SIGNATURE_TO_GO)) {
		guid = boot + GUID_AT_TO_GO;
		if (!is_known(guid))
			return 0;
	} else if (!has_signature(boot, SIGNATURE)) {
		return 0;
	}
	if (memcmp(boot, "\xeb\x52\x90", 3) == 0)
		return err_set(e, ENOTSUP, "BitLocker of Windows Vista is not supported");
	*places = guid + GUID_LEN;
	return check_guid(b, guid, e);
}

/* Copies. */

static int check_block(struct bitlocker *b, unsigned i, struct err *e)
{
	const unsigned char *p = b->block;
	unsigned version = load_le16(p + 10);
	uint64_t place = load_le64(p + 32 + 8 * i);

	if (memcmp(p, SIGNATURE, 8) != 0)
		return err_set(e, EUCLEAN, "no signature");
	if (version != 2)
		return err_set(e, ENOTSUP, "version %u, only 2 is supported", version);
	b->len = 16u * load_le16(p + 8);
	if (b->len < HEADER + SET || b->len > BITLOCKER_AREA - SEAL)
		return err_set(e, EUCLEAN, "%zu bytes, %u to %u expected", b->len, HEADER + SET,
			BITLOCKER_AREA - SEAL);
	if (crc32(0, p, (unsigned)b->len) != load_le32(p + b->len + 4))
		return err_set(e, EUCLEAN, "the checksum is wrong");
	if (place != b->copies[i])
		return err_set(e, EUCLEAN, "it is for another place, %" PRIu64, place);
	return 0;
}

static int read_copy(struct bitlocker *b, unsigned i, const struct view *device, struct err *e)
{
	int r;

	if (!range_fits(b->copies[i], BITLOCKER_AREA, device->size))
		return err_set(e, EUCLEAN, "it passes the end");
	r = view_read(device, b->block, BITLOCKER_AREA, b->copies[i], e);
	return r < 0 ? r : check_block(b, i, e);
}

/* Reads the first copy that is intact; the message is about the first one that is not. */
static int read_copies(struct bitlocker *b, const struct view *device, struct err *e)
{
	int first = 0;

	for (unsigned i = 0; i < BITLOCKER_COPIES; i++) {
		struct err why = ERR_INIT;
		int r = read_copy(b, i, device, &why);

		if (r == 0) {
			*e = (struct err)ERR_INIT;
			return 0;
		}
		if (first == 0) {
			first = r;
			*e = why;
			err_in(e, "the metadata at %" PRIu64, b->copies[i]);
		}
	}
	return err_in(e, "none of the %u copies of the metadata is intact", BITLOCKER_COPIES);
}

/* The block. */

static int read_set(struct bitlocker *b, struct err *e)
{
	const unsigned char *set = b->block + HEADER;
	uint32_t len = load_le32(set), header = load_le32(set + 8);
	struct entry_list rest;
	struct entry x;

	if (header != SET || len < SET || len > b->len - HEADER)
		return err_set(e, EUCLEAN,
			"a data set of %" PRIu32 " bytes with a header of %" PRIu32, len, header);
	b->entries = rest = (struct entry_list){.data = set + SET, .len = len - SET};
	while (entry_next(&rest, &x))
		;
	if (rest.len >= 2 && load_le16(rest.data) != 0)
		return err_set(e, EUCLEAN, "an entry of %u bytes, with %zu bytes left",
			load_le16(rest.data), rest.len);
	guid_text(b->guid, set + 16);
	b->method = load_le16(set + 36);
	return 0;
}

static int read_label(struct bitlocker *b, struct err *e)
{
	struct entry x;

	if (!entry_find(b->entries, ROLE_DESCRIPTION, KIND_TEXT, &x))
		return 0;
	b->label = malloc(UTF16_AS_UTF8(x.len / 2));
	if (!b->label)
		return err_nomem(e);
	utf16_to_utf8(b->label, x.data, x.len / 2, UTF16_LE);
	return 0;
}

/* The place of the volume's first bytes; a volume of exFAT does not record its sector size. */
static int read_header_place(struct bitlocker *b, struct err *e)
{
	uint32_t sectors = load_le32(b->block + 28);
	struct entry x;

	b->header.start = load_le64(b->block + 56);
	b->header.len = (uint64_t)sectors * MAX(b->sector, 512u);
	if (entry_find(b->entries, ROLE_HEADER, KIND_PLACE, &x) && x.len >= 16) {
		if (load_le64(x.data) != b->header.start)
			return err_set(e, EUCLEAN,
				"two places of the first sectors, %" PRIu64 " and %" PRIu64,
				b->header.start, load_le64(x.data));
		b->header.len = load_le64(x.data + 8);
	}
	if (b->sector == 0)
		b->sector = b->header.len == UINT64_C(4096) * sectors ? 4096 : 512;
	if (b->sector != 512 && b->sector != 4096)
		return err_set(e, ENOTSUP, "sectors of %" PRIu32 " bytes, 512 or 4096 expected",
			b->sector);
	if (b->header.len == 0)
		return err_set(e, EUCLEAN, "the first sectors are nowhere");
	return 0;
}

static bool overlap(const struct bitlocker_range *a, const struct bitlocker_range *b)
{
	return a->start < b->start + b->len && b->start < a->start + a->len;
}

/* The places of BitLocker's own data, and that of the sectors which it replaces, are apart. */
static int check_places(const struct bitlocker *b, struct err *e)
{
	struct bitlocker_range all[BITLOCKER_COPIES + 2] = {{.len = b->header.len}, b->header};
	size_t n = 2;

	for (unsigned i = 0; i < BITLOCKER_COPIES; i++)
		all[n++] = (struct bitlocker_range){b->copies[i], BITLOCKER_AREA};
	for (size_t i = 0; i < n; i++) {
		if (!range_fits(all[i].start, all[i].len, b->size) || all[i].start % b->sector ||
			all[i].len % b->sector)
			return err_set(e, EUCLEAN,
				"%" PRIu64 " bytes of BitLocker at %" PRIu64
				" of a volume of %" PRIu64,
				all[i].len, all[i].start, b->size);
		for (size_t k = 0; k < i; k++)
			if (overlap(&all[i], &all[k]))
				return err_set(e, EUCLEAN,
					"data of BitLocker at %" PRIu64
					" overlap those at %" PRIu64,
					all[i].start, all[k].start);
	}
	return 0;
}

static int read_block(struct bitlocker *b, const struct view *device, struct err *e)
{
	int r;

	for (unsigned i = 0; i < BITLOCKER_COPIES; i++)
		b->copies[i] = load_le64(b->block + 32 + 8 * i);
	b->state = load_le16(b->block + 12);
	b->encrypted = load_le64(b->block + 16);
	r = read_set(b, e);
	if (r == 0)
		r = read_header_place(b, e);
	if (r < 0)
		return r;
	b->size = device->size - device->size % b->sector;
	if (b->encrypted % b->sector)
		return err_set(e, EUCLEAN,
			"%" PRIu64 " bytes are encrypted, which are no whole sectors",
			b->encrypted);
	r = check_places(b, e);
	return r < 0 ? r : read_label(b, e);
}

int bitlocker_read(struct bitlocker *b, const struct view *device, struct err *e)
{
	unsigned char boot[BOOT];
	const unsigned char *places = NULL;
	struct err ignored;
	int r;

	*b = (struct bitlocker){.block = NULL};
	if (device->size < sizeof boot || view_read(device, boot, sizeof boot, 0, &ignored) < 0)
		return 0;
	r = find_places(b, boot, &places, e);
	if (r <= 0)
		return r;
	b->sector = load_le16(boot + 11);
	for (unsigned i = 0; i < BITLOCKER_COPIES; i++)
		b->copies[i] = load_le64(places + 8 * i);
	b->block = malloc(BITLOCKER_AREA);
	if (!b->block)
		return err_nomem(e);
	r = read_copies(b, device, e);
	if (r == 0)
		r = read_block(b, device, e);
	return r < 0 ? r : 1;
}

void bitlocker_clear(struct bitlocker *b)
{
	free(b->block);
	free(b->label);
}

struct entry_list bitlocker_seal(const struct bitlocker *b)
{
	size_t len = load_le16(b->block + b->len);

	len = MIN(len, BITLOCKER_AREA - b->len);
	return (struct entry_list){
		.data = b->block + b->len + SEAL,
		.len = len > SEAL ? len - SEAL : 0,
	};
}
