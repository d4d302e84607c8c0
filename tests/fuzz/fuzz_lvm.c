/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_lvm.c - physical volumes of LVM2.  The input is the text of a group, a zero byte, and the
 * bytes of two physical volumes from their labels on; its last byte says which checksums to make
 * valid, without which few inputs would pass. */
#include <string.h>

#include "flat_view.h"
#include "fuzz.h"
#include "partition/partition.h"
#include "volume/volume.h"
#include "volume/lvm/label.h"

#define DISKS 2
#define LEN   (256u << 10)
#define AREA  4096u
#define RING  (96u << 10)

/* A label and an area with the text, as LVM writes them, for a physical volume of 32 letters. */
static void make(unsigned char *disk, char id, const uint8_t *text, size_t len, uint8_t knobs)
{
	unsigned char *label = disk + 512, *area = disk + AREA;
	size_t pos = knobs & 1 ? RING - 700 : 512; /* round the end of the ring */

	memcpy(label, "LABELONE", 8);
	store_le64(label + 8, 1);
	store_le32(label + 20, 32);
	memcpy(label + 24, "LVM2 001", 8);
	memset(label + 32, id, 32);
	store_le64(label + 72, AREA + RING);
	store_le64(label + 104, AREA);
	store_le64(label + 112, RING);
	memcpy(area + 4, " LVM2 x[5A%r0N*>", 16);
	store_le32(area + 20, 1);
	store_le64(area + 24, AREA);
	store_le64(area + 32, RING);
	store_le64(area + 40, pos);
	store_le64(area + 48, len);
	store_le32(area + 56, lvm_crc(text, len));
	for (size_t i = 0; i < len; i++)
		area[pos + i < RING ? pos + i : pos + i - RING + 512] = text[i];
}

static void seal(unsigned char *disk)
{
	store_le32(disk + 512 + 16, lvm_crc(disk + 512 + 20, 492));
	store_le32(disk + AREA, lvm_crc(disk + AREA + 4, 508));
}

/* XORs what is left of the input into the label, the header of the area and the extents. */
static void disturb(unsigned char *disk, const uint8_t *data, size_t size)
{
	static const size_t places[] = {512, AREA, AREA + RING};

	for (size_t i = 0; i < size; i++)
		disk[places[i / 64 % 3] + i / 192 * 64 + i % 64] ^= data[i];
}

static void read_volumes(struct view *const *disks, const struct volume_set *set)
{
	for (size_t i = 0; i < set->nvolumes; i++) {
		const struct volume *volume = set->volumes[i];
		struct err e = ERR_INIT;
		struct view *v = volume_view(set, volume, disks, &e);

		fuzz_require(v || e.code > 0);
		fuzz_require(!v || v->size == volume->size);
		fuzz_require(!strchr(volume->name, '/') && strlen(volume->name) < 240);
		if (i < FUZZ_STATES)
			fuzz_view(v);
		view_free(v);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct partition_table no_table;
	uint8_t knobs = size ? data[size - 1] : 0;
	size_t len = MIN(strnlen((const char *)data, size), RING / 2);
	const uint8_t *rest = data + MIN(size, len + 1);
	size_t nrest = (size_t)(data + size - rest) / DISKS;
	struct volume_disk disks[DISKS];
	unsigned char *bytes[DISKS];
	struct view *views[DISKS];
	struct volume_set *set;
	struct err e = ERR_INIT;
	struct image_options how = {.cache = cache_new(FUZZ_CACHE, &e)};

	fuzz_require(how.cache);
	for (size_t i = 0; i < DISKS; i++) {
		bytes[i] = calloc(1, LEN);
		fuzz_require(bytes[i]);
		make(bytes[i], (char)('a' + i), data, len, knobs);
		disturb(bytes[i], rest + i * nrest, MIN(nrest, 4096));
		if (!(knobs & 2))
			seal(bytes[i]);
		views[i] = flat_new(bytes[i], LEN);
		disks[i] = (struct volume_disk){.view = views[i], .table = &no_table};
	}
	if (volume_set_read(disks, DISKS, &how, &set, &e) == 0) {
		read_volumes(views, set);
		volume_set_free(set);
	}
	for (size_t i = 0; i < DISKS; i++) {
		view_free(views[i]);
		free(bytes[i]);
	}
	cache_free(how.cache);
	return 0;
}
