/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VHDX.  A file has megabytes of unused space between its structures, and checksums on most of
 * them.  So the input is a list of changes to a valid file.  Its first byte selects whether the
 * log is active and whether there is a parent; the records follow: the structure (1 byte), the
 * offset in it (1), the length (1) and the bytes to write.  The checksums are made valid
 * afterwards. */
#include <string.h>

#include "util/crc32c.h"
#include "fuzz.h"
#include "util/guid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MIB       ((size_t)1 << 20)
#define PAGE      4096u
#define HEADER    (64u << 10)
#define TABLE     (192u << 10)
#define TABLE_LEN (64u << 10)
#define META      (3 * MIB)
#define VALUES    (META + TABLE_LEN)
#define FILE_LEN  (6 * MIB)

static void put(uint8_t *p, uint64_t v, size_t width)
{
	v = htole64(v);
	memcpy(p, &v, width);
}

static void seal(uint8_t *p, size_t len)
{
	put(p + 4, 0, 4);
	put(p + 4, crc32c(0, p, len), 4);
}

static void put_region(uint8_t *p, const unsigned char *guid, uint64_t pos)
{
	memcpy(p, guid, GUID_LEN);
	put(p + 16, pos, 8);
	put(p + 24, MIB, 4);
}

static void put_heads(uint8_t *file)
{
	static const unsigned char bat[] = GUID_BYTES(
		0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
	static const unsigned char metadata[] = GUID_BYTES(
		0x8b7ca206, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e);

	memcpy(file, "vhdxfile", 8);
	memcpy(file + HEADER, "head", 4);
	put(file + HEADER + 66, 1, 2);
	put(file + HEADER + 68, MIB, 4);
	put(file + HEADER + 72, MIB, 8);
	memcpy(file + TABLE, "regi", 4);
	put(file + TABLE + 8, 2, 4);
	put_region(file + TABLE + 16, bat, 2 * MIB);
	put_region(file + TABLE + 48, metadata, META);
}

static void put_item(
	uint8_t *file, unsigned i, const unsigned char *guid, uint32_t at, uint32_t len)
{
	uint8_t *p = file + META + 32 + 32 * i;

	memcpy(p, guid, GUID_LEN);
	put(p + 16, TABLE_LEN + at, 4);
	put(p + 20, len, 4);
}

static void put_metadata(uint8_t *file)
{
	static const unsigned char guids[4][GUID_LEN] = {
		GUID_BYTES(
			0xcaa16737, 0xfa36, 0x4d43, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b),
		GUID_BYTES(
			0x2fa54224, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8),
		GUID_BYTES(
			0x8141bf1d, 0xa96f, 0x4709, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f),
		GUID_BYTES(
			0xa8d35f2d, 0xb30b, 0x454d, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c),
	};
	static const uint32_t places[4][2] = {{0, 8}, {8, 8}, {16, 4}, {256, 1024}};

	memcpy(file + META, "metadata", 8);
	put(file + META + 10, 4, 2);
	for (unsigned i = 0; i < 4; i++)
		put_item(file, i, guids[i], places[i][0], places[i][1]);
	put(file + VALUES, MIB, 4);
	put(file + VALUES + 8, 8 * MIB, 8);
	put(file + VALUES + 16, 512, 4);
	for (unsigned i = 0; i < 8; i += 3)
		put(file + 2 * MIB + 8 * i, (4 + i / 3 % 2) * MIB | 6, 8);
}

static void put_utf16(uint8_t *p, const char *text)
{
	for (; *text; text++, p += 2)
		*p = *text;
}

static void put_parent(uint8_t *file)
{
	static const unsigned char type[] = GUID_BYTES(
		0xb04aefb7, 0xd19e, 0x4a81, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);
	static const char *const texts[] = {"parent_linkage",
		"{11111111-1111-1111-1111-111111111111}", "relative_path", "parent"};
	uint8_t *p = file + VALUES + 256;

	file[VALUES + 4] = 2;
	memcpy(p, type, GUID_LEN);
	put(p + 18, 2, 2);
	for (unsigned i = 0; i < 4; i++) {
		put(p + 20 + i / 2 * 12 + i % 2 * 4, 64 + 80 * i, 4);
		put(p + 28 + i / 2 * 12 + i % 2 * 2, 2 * strlen(texts[i]), 2);
		put_utf16(p + 64 + 80 * i, texts[i]);
	}
	/* Block 3 is partially present; its sector bitmap overlaps block 0. */
	file[2 * MIB + 8 * 3] |= 7;
	put(file + 2 * MIB + 8 * 4096, 4 * MIB | 6, 8);
	memset(file + 4 * MIB + 3 * 256, 0xc1, 100);
}

static void change(uint8_t *file, const uint8_t *data, size_t size)
{
	static const size_t parts[] = {HEADER, HEADER + 4096 - 256, TABLE, META, VALUES,
		VALUES + 256, MIB, MIB + PAGE, MIB + 2 * PAGE, 2 * MIB, 2 * MIB + 8 * 4096,
		4 * MIB + 3 * 256};

	while (size >= 3) {
		size_t pos = parts[data[0] % (sizeof parts / sizeof parts[0])] + data[1];
		size_t len = MIN(data[2], size - 3);

		memcpy(file + pos, data + 3, len);
		data += 3 + len;
		size -= 3 + len;
	}
}

/* A log entry that changes one page and clears another; it is replayed if active. */
static void put_log(uint8_t *file, bool active)
{
	uint8_t *p = file + MIB;

	memcpy(p, "loge", 4);
	put(p + 8, 2 * PAGE, 4);
	put(p + 16, 1, 8);
	put(p + 24, 2, 4);
	memset(p + 32, 'L', GUID_LEN);
	memcpy(p + 64, "desc", 4);
	put(p + 64 + 16, 4 * MIB, 8);
	put(p + 64 + 24, 1, 8);
	memcpy(p + 96, "zero", 4);
	put(p + 96 + 8, PAGE, 8);
	put(p + 96 + 16, 5 * MIB, 8);
	put(p + 96 + 24, 1, 8);
	memcpy(p + PAGE, "data", 4);
	put(p + 2 * PAGE - 4, 1, 4);
	memset(file + HEADER + 48, active ? 'L' : 0, GUID_LEN);
}

/* Seals the entries in the first pages of the log. */
static void seal_log(uint8_t *file)
{
	for (size_t at = MIB; at < MIB + 16 * PAGE; at += PAGE) {
		uint32_t len = load_le32(file + at + 8);

		if (memcmp(file + at, "loge", 4) == 0 && range_fits(at, len, 2 * MIB) && len >= 64)
			seal(file + at, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file = calloc(1, FILE_LEN);

	fuzz_require(file != NULL);
	put_heads(file);
	put_metadata(file);
	put_log(file, size > 0 && data[0] & 1);
	if (size > 0 && data[0] & 2)
		put_parent(file);
	if (size > 0)
		change(file, data + 1, size - 1);
	seal(file + HEADER, PAGE);
	seal(file + TABLE, TABLE_LEN);
	seal_log(file);
	fuzz_one("vhdx", file, FILE_LEN);
	free(file);
	return 0;
}
