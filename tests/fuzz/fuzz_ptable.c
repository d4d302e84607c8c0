/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_ptable.c - partition tables.  The input is the disk and a last byte of options: whether to
 * make the checksums of the GPT valid, without which few inputs would pass, and the sector size. */
#include <stdlib.h>
#include <zlib.h>

#include "flat_view.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "partition/partition.h"
#include "view/view.h"

/* If there is a GPT header at lba, sets its own LBA and makes its checksums valid. */
static void seal(uint8_t *disk, size_t size, uint32_t sector, uint64_t lba)
{
	uint8_t *p = disk + lba * sector;
	uint64_t pos, len;

	if (!range_fits(lba * sector, sector, size) || load_le32(p + 12) > sector)
		return;
	memcpy(p, "EFI PART", 8);
	store_le64(p + 24, lba);
	pos = load_le64(p + 72) % (size / sector + 1) * sector;
	len = (uint64_t)load_le32(p + 80) * load_le32(p + 84);
	if (range_fits(pos, len, size))
		store_le32(p + 88, crc32(0, disk + pos, len));
	store_le32(p + 16, 0);
	store_le32(p + 16, crc32(0, p, load_le32(p + 12)));
}

static void check(const struct partition_table *t, uint64_t size)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct partition *p = &t->parts[i];

		if (p->number == 0 || p->len == 0 || !range_fits(p->start, p->len, size))
			abort();
		if (i > 0 && p->number <= t->parts[i - 1].number)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t knobs = size ? data[size - 1] : 0;
	uint32_t sector = 512u << (knobs >> 4 & 3);
	uint8_t *disk = malloc(size + 1);
	struct view *view;
	struct partition_table t;
	struct err e;

	memcpy(disk, data, size);
	if (knobs & 1)
		seal(disk, size, sector, 1);
	if (knobs & 2 && size >= 3 * sector)
		seal(disk, size, sector, size / sector - 1);
	view = flat_new(disk, size);
	if (partition_table_read(view, knobs & 4 ? sector : 0, &t, &e) == 0)
		check(&t, size);
	partition_table_free(&t);
	view_free(view);
	free(disk);
	return 0;
}
