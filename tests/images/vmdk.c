/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.c - writes sparse extents and descriptors. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "vmdk.h"

void sparse_header(int fd, uint64_t pos, const struct sparse *s, uint64_t gd)
{
	put_text(fd, pos, "KDMV");
	put_le32(fd, pos + 4, s->version);
	put_le32(fd, pos + 8, s->flags);
	put_le64(fd, pos + 12, s->capacity);
	put_le64(fd, pos + 20, s->grain);
	put_le64(fd, pos + 28, TEXT_AT);
	put_le64(fd, pos + 36, RGD_AT - TEXT_AT);
	put_le32(fd, pos + 44, GTES);
	put_le64(fd, pos + 48, s->flags & FLAG_RGD ? RGD_AT : 0);
	put_le64(fd, pos + 56, gd);
	put_le64(fd, pos + 64, DATA_AT);
	put(fd, pos + 73, "\n \r\n", 4);
	put_le16(fd, pos + 77, s->flags & FLAG_COMPRESSED ? 1 : 0);
}

static uint64_t count_tables(const struct sparse *s)
{
	return div_round_up(div_round_up(s->capacity, s->grain), GTES);
}

static uint64_t directory_sectors(const struct sparse *s)
{
	return div_round_up(4 * count_tables(s), SECTOR);
}

/* Sectors of a grain directory and its tables. */
static uint64_t tables_sectors(const struct sparse *s)
{
	return directory_sectors(s) + count_tables(s) * (GTES * 4 / SECTOR);
}

static uint64_t data_sector(const struct sparse *s)
{
	return round_up(RGD_AT + 2 * tables_sectors(s), MAX(s->grain, DATA_AT));
}

static bool table_is_empty(const struct sparse *s, uint64_t table)
{
	for (uint64_t i = table * GTES; i < MIN((table + 1) * GTES, s->n); i++)
		if (s->map[i] != GRAIN_ABSENT)
			return false;
	return true;
}

static uint32_t table_entry(const struct sparse *s, uint64_t i)
{
	if (s->map[i] == GRAIN_ABSENT)
		return 0;
	return s->map[i] == GRAIN_ZERO ? 1 : data_sector(s) + s->map[i] * s->grain;
}

static void put_tables(int fd, const struct sparse *s, uint64_t directory)
{
	uint64_t tables = directory + directory_sectors(s);

	for (uint64_t t = 0; t < count_tables(s); t++)
		if (!table_is_empty(s, t))
			put_le32(fd, directory * SECTOR + 4 * t, tables + t * GTES * 4 / SECTOR);
	for (uint64_t i = 0; i < s->n; i++)
		put_le32(fd, tables * SECTOR + 4 * i, table_entry(s, i));
}

void sparse_put(int fd, const struct sparse *s, uint64_t from)
{
	uint64_t gd = RGD_AT + tables_sectors(s), grain = s->grain * SECTOR;

	sparse_header(fd, 0, s, gd);
	put_le64(fd, 64, data_sector(s));
	if (s->flags & FLAG_RGD)
		put_tables(fd, s, RGD_AT);
	put_tables(fd, s, gd);
	file_resize(fd, data_sector(s) * SECTOR);
	for (size_t i = 0; i < s->n; i++)
		if (s->map[i] < GRAIN_ZERO)
			put_data(fd, table_entry(s, i) * SECTOR, from + s->map[i] * grain, grain);
}

void sparse_expect(
	const struct job *j, const struct sparse *s, uint64_t off, uint64_t sectors, uint64_t from)
{
	uint64_t grain = s->grain * SECTOR, size = sectors * SECTOR;

	for (size_t i = 0; i < s->n && i * grain < size; i++) {
		uint64_t len = MIN(grain, size - i * grain);

		if (s->map[i] == GRAIN_ZERO)
			expect_zero(j, off + i * grain, len);
		else if (s->map[i] != GRAIN_ABSENT)
			expect(j, off + i * grain, from + s->map[i] * grain, len);
	}
}

/* Writes text, with name in place of each %s, and advances *pos. */
static void put_named(int fd, uint64_t *pos, const char *text, const char *name)
{
	const char *p;

	while ((p = strstr(text, "%s"))) {
		put(fd, *pos, text, p - text);
		put_text(fd, *pos + (p - text), name);
		*pos += p - text + strlen(name);
		text = p + 2;
	}
	put_text(fd, *pos, text);
	*pos += strlen(text);
}

void descriptor_put(const struct job *j, int fd, uint64_t pos, const struct descriptor *d)
{
	char head[256];

	snprintf(head, sizeof head,
		"# Disk DescriptorFile\nversion=1\nCID=%08" PRIx32 "\nparentCID=%08" PRIx32
		"\ncreateType=\"%s\"\n",
		d->cid, d->parent_cid, d->type);
	put_named(fd, &pos, head, "");
	if (d->parent) {
		put_named(fd, &pos, "parentFileNameHint=\"", "");
		put_named(fd, &pos, d->parent, j->c->name);
		put_named(fd, &pos, "\"\n", "");
	}
	put_named(fd, &pos, "\n# Extent description\n", "");
	put_named(fd, &pos, d->extents, j->c->name);
	put_named(fd, &pos,
		"\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"ide\"\n"
		"ddb.virtualHWVersion = \"4\"\nddb.geometry.sectors = \"63\"\n",
		"");
}
