/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_md.c - arrays of md.  The input is a superblock for each disk, 288 bytes from its start on,
 * and a last byte: the version, the number of disks, and whether to make the superblocks valid,
 * without which few inputs would pass. */
#include <string.h>

#include "fuzz.h"
#include "partition/partition.h"
#include "volume/volume.h"

#define DISKS 4
#define SIZE  (2u << 20)
#define LEN   4096u
#define GIVEN 288u

/* A disk of zeroes, but for the superblock. */
struct disk {
	struct view view;
	struct io *io;
	uint64_t pos;
	unsigned char super[LEN];
};

static int disk_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct disk *d = (const struct disk *)v;

	(void)e;
	x->kind = off >= d->pos && off < d->pos + LEN ? EXTENT_FILE : EXTENT_ZERO;
	x->io = d->io;
	x->pos = off - d->pos;
	x->len = off < d->pos         ? MIN(len, d->pos - off)
		 : off < d->pos + LEN ? d->pos + LEN - off
				      : len;
	return 0;
}

static uint64_t place(unsigned version)
{
	static const uint64_t places[] = {SIZE - (64 << 10), SIZE - 8192, 0, 4096};

	return places[version];
}

/* The disks of a superblock 0.90, all active and in sync, and which one it is. */
static void put_disks(unsigned char *p, unsigned number)
{
	for (unsigned i = 0; i < DISKS; i++) {
		unsigned char *disk = p + (128 + 32 * i) * 4;

		store_le32(disk, i);
		store_le32(disk + 12, i);
		store_le32(disk + 16, 6);
	}
	store_le32(p + 992 * 4, number);
}

/* The identity, and the checksum. */
static void seal(struct disk *d, unsigned version)
{
	unsigned char *p = d->super;
	size_t at = version ? 216 : 38 * 4, len = version ? 256 + 2 * load_le32(p + 220) : LEN;
	uint64_t sum = 0;

	store_le32(p, 0xa92b4efc);
	store_le32(p + 4, version ? 1 : 0);
	if (version)
		store_le64(p + 144, d->pos / 512);
	store_le32(p + at, 0);
	for (size_t i = 0; i < len && len <= LEN; i += 4)
		sum += len - i == 2 ? load_le16(p + i) : load_le32(p + i);
	store_le32(p + at, (uint32_t)(sum + (sum >> 32)));
}

static void read_set(const struct volume_disk *disks, size_t n, struct view **views)
{
	struct volume_set *set;
	struct err e = ERR_INIT;

	if (volume_set_read(disks, n, NULL, &set, &e) < 0) {
		fuzz_require(e.code > 0 && e.text[0]);
		return;
	}
	for (size_t i = 0; i < set->nvolumes; i++) {
		struct view *v = volume_view(set, set->volumes[i], views, &e);

		fuzz_require(v || (e.code > 0 && e.text[0]));
		fuzz_view(v);
		view_free(v);
	}
	volume_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct view_ops ops = {.map = disk_map};
	static const struct partition_table none;
	struct disk *disks = calloc(DISKS, sizeof disks[0]);
	uint8_t knobs = size ? data[--size] : 0;
	unsigned version = knobs & 3, n = 1 + (knobs >> 2 & 3);
	struct volume_disk set[DISKS];
	struct view *views[DISKS];
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < n; i++) {
		struct disk *d = &disks[i];
		size_t given = MIN(GIVEN, size);

		d->pos = place(version);
		memcpy(d->super, data, given);
		data += given;
		size -= given;
		if (version == 0)
			put_disks(d->super, i);
		if (knobs & 16)
			seal(d, version);
		d->io = io_from_memory(d->super, LEN, "super", &e);
		d->view = (struct view){.ops = &ops, .size = SIZE};
		set[i] = (struct volume_disk){.view = &d->view, .table = &none, .name = "a disk"};
		views[i] = &d->view;
	}
	read_set(set, n, views);
	for (unsigned i = 0; i < n; i++)
		io_unref(disks[i].io);
	free(disks);
	return 0;
}
