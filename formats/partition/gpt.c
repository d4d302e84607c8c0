/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gpt.c - a GUID partition table (UEFI specification, section 5.3).
 *
 * Nothing of a table is used before both its checksums are right.  The end of the disk is the only
 * other test: a disk that was cut or extended keeps the table for another size.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "gpt.h"
#include "sectors.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/guid.h"
#include "util/utf16.h"

#define HEADER_MIN 92u
#define ENTRY_MIN  128u
#define NAME_POS   56u
#define NAME_UNITS 36u

struct gpt_header {
	uint64_t entries; /* LBA */
	uint32_t n, entry_size, crc;
	char id[PARTUUID_LEN];
};

static bool has_signature(const unsigned char *p)
{
	return memcmp(p, "EFI PART", 8) == 0;
}

/* p is a whole sector, read from lba. */
static bool header_parse(
	const unsigned char *p, const struct sectors *d, uint64_t lba, struct gpt_header *h)
{
	static const unsigned char zero[4];
	uint32_t size = load_le32(p + 12);
	uLong crc;

	if (!has_signature(p) || size < HEADER_MIN || size > d->sector)
		return false;
	/* The field of the checksum itself counts as zero. */
	crc = crc32(crc32(0, p, 16), zero, sizeof zero);
	crc = crc32(crc, p + 20, size - 20);
	if (crc != load_le32(p + 16) || load_le64(p + 24) != lba)
		return false;
	guid_text(h->id, p + 56);
	h->entries = load_le64(p + 72);
	h->n = load_le32(p + 80);
	h->entry_size = load_le32(p + 84);
	h->crc = load_le32(p + 88);
	/* 128 * 2^n; before revision 2.3.1 of the specification any multiple of 8. */
	return h->entry_size >= ENTRY_MIN && h->entry_size % 8 == 0;
}

static int entry_add(const unsigned char *p, unsigned number, const struct sectors *d,
	struct partition_table *t, struct err *e)
{
	uint64_t first = load_le64(p + 32), last = load_le64(p + 40);
	char name[UTF16_AS_UTF8(NAME_UNITS)];
	struct partition *part;
	int r;

	if (guid_is_zero(p) || last < first || first >= d->nsectors)
		return 0;
	/* Cut first: last may be all ones, and last + 1 then 0. */
	last = MIN(last, d->nsectors - 1);
	r = sectors_add_partition(d, t, number, first, last - first + 1, &part, e);
	if (r < 0 || !part)
		return r;
	guid_text(part->type, p);
	guid_text(part->partuuid, p + GUID_LEN);
	utf16_to_utf8(name, p + NAME_POS, NAME_UNITS, UTF16_LE);
	if (name[0] == '\0')
		return 0;
	part->partlabel = strdup(name);
	return part->partlabel ? 0 : err_nomem(e);
}

int gpt_read(const struct sectors *d, uint64_t lba, struct partition_table *t, struct err *e)
{
	unsigned char sector[SECTOR_MAX], *array;
	struct gpt_header h;
	uint64_t len;
	bool sound;
	int r = sectors_read(d, sector, d->sector, lba, e);

	if (r < 0)
		return r;
	if (!header_parse(sector, d, lba, &h))
		return 0;
	len = (uint64_t)h.n * h.entry_size;
	if (len > LIMIT_GPT_ARRAY)
		return 0;
	array = malloc(len + 1); /* a table may have no entry */
	if (!array)
		return err_nomem(e);
	r = sectors_read(d, array, len, h.entries, e);
	sound = r == 0 && crc32(0, array, len) == h.crc;
	if (r == -EINVAL)
		r = 0;
	for (uint32_t i = 0; sound && r == 0 && i < h.n; i++)
		r = entry_add(array + (size_t)i * h.entry_size, i + 1, d, t, e);
	free(array);
	if (r < 0 || !sound)
		return r;
	t->scheme = "gpt";
	t->sector = d->sector;
	memcpy(t->id, h.id, sizeof t->id);
	return 1;
}

int gpt_alternate(const struct sectors *d, uint64_t *lba, struct err *e)
{
	unsigned char sector[SECTOR_MAX];
	int r;

	*lba = 0;
	r = sectors_read(d, sector, d->sector, GPT_PRIMARY_LBA, e);
	if (r < 0 || !has_signature(sector))
		return r;
	*lba = load_le64(sector + 32);
	if (*lba <= GPT_PRIMARY_LBA || *lba >= d->nsectors)
		*lba = 0;
	return 0;
}
