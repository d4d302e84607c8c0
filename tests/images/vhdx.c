/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx.c - VHDX images: block states and logs that no available tool creates, and damaged ones. */
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"

#define PAGE      4096u
#define HEADER    (64 * KIB) /* the first of two */
#define TABLE     (192 * KIB)
#define TABLE_LEN (64 * KIB)
#define LOG       MIB
#define BAT       (2 * MIB)
#define META      (3 * MIB)
#define VALUES    (META + 64 * KIB)
#define DATA                                                                                       \
	(4 * MIB) /* block k in the file is at DATA + k * MIB, with the data stream from k * MIB   \
		     on */
#define LOCATOR (128 * KIB)

#define GUID(name_, ...) static const unsigned char name_[16] = {__VA_ARGS__}
GUID(bat_guid, 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd,
	0x4a, 0x08);
GUID(metadata_guid, 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05,
	0x0f, 0x88, 0x6e);
GUID(parameters_guid, 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa,
	0x44, 0xe7, 0x6b);
GUID(size_guid, 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b,
	0xf4, 0xb8);
GUID(sector_guid, 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8,
	0xfa, 0xab, 0x5f);
GUID(locator_guid, 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48,
	0x34, 0xab, 0x0c);
GUID(locator_type, 0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a, 0xb7, 0x89, 0x25, 0xb8, 0xe9,
	0x44, 0x59, 0x13);

enum { NOT = 0, UNDEFINED = 1, ZERO = 2, UNMAPPED = 3, FULL = 6, PARTIAL = 7 };

struct entry {
	unsigned state, number;
};

/* An image with blocks of 1 MiB. */
struct vhdx {
	uint64_t size;
	const struct entry *map;
	uint32_t n;
	uint32_t sector;
	uint64_t sectors; /* bit s % 64: sector s of a partial block is set in the bitmap */
	const char *parent;
};

static uint32_t crc32c_of(uint32_t crc, const unsigned char *p, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* Sets the checksum, the second field, of the len bytes at pos. */
static void put_checksum(int fd, uint64_t pos, size_t len)
{
	unsigned char buf[PAGE];
	uint32_t crc = 0;

	put_le32(fd, pos + 4, 0);
	for (size_t done = 0; done < len; done += PAGE) {
		get(fd, pos + done, buf, PAGE);
		crc = crc32c_of(crc, buf, PAGE);
	}
	put_le32(fd, pos + 4, crc);
}

static void put_checksums(int fd)
{
	for (int i = 0; i < 2; i++) {
		put_checksum(fd, HEADER + i * HEADER, PAGE);
		put_checksum(fd, TABLE + i * TABLE_LEN, TABLE_LEN);
	}
}

static void put_filled(int fd, uint64_t pos, char byte)
{
	char guid[16];

	memset(guid, byte, sizeof guid);
	put(fd, pos, guid, sizeof guid);
}

/* id: the byte that fills the DataWriteGuid. */
static void put_headers(int fd, char id)
{
	put_text(fd, 0, "vhdxfile");
	for (int i = 0; i < 2; i++) {
		uint64_t h = HEADER + i * HEADER, t = TABLE + i * TABLE_LEN;

		put_text(fd, h, "head");
		put_le64(fd, h + 8, 10 + i);
		put_filled(fd, h + 16, 'F' + i);
		put_filled(fd, h + 32, id);
		put_le16(fd, h + 66, 1);
		put_le32(fd, h + 68, MIB);
		put_le64(fd, h + 72, LOG);
		put_text(fd, t, "regi");
		put_le32(fd, t + 8, 2);
		put(fd, t + 16, bat_guid, 16);
		put_le64(fd, t + 32, BAT);
		put_le32(fd, t + 40, MIB);
		put_le32(fd, t + 44, 1);
		put(fd, t + 48, metadata_guid, 16);
		put_le64(fd, t + 64, META);
		put_le32(fd, t + 72, MIB);
		put_le32(fd, t + 76, 1);
	}
}

static void put_item(int fd, unsigned i, const unsigned char *guid, uint32_t offset, uint32_t len)
{
	uint64_t at = META + 32 + 32 * i;

	put(fd, at, guid, 16);
	put_le32(fd, at + 16, offset);
	put_le32(fd, at + 20, len);
	put_le32(fd, at + 24, 4);
}

static uint32_t put_utf16(int fd, uint64_t pos, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		put_le16(fd, pos + 2 * i, text[i]);
	return 2 * n;
}

static void put_locator(int fd, const char *path)
{
	const char *const texts[] = {
		"parent_linkage", "{50505050-5050-5050-5050-505050505050}", "relative_path", path};
	uint32_t offset = 100;

	put(fd, META + LOCATOR, locator_type, 16);
	put_le16(fd, META + LOCATOR + 18, 2);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = META + LOCATOR + 20 + 12 * (i / 2);
		uint32_t len = put_utf16(fd, META + LOCATOR + offset, texts[i]);

		put_le32(fd, at + i % 2 * 4, offset);
		put_le16(fd, at + 8 + i % 2 * 2, len);
		offset += len;
	}
}

static void put_metadata(int fd, const struct vhdx *v)
{
	put_text(fd, META, "metadata");
	put_le16(fd, META + 10, v->parent ? 4 : 3);
	put_item(fd, 0, parameters_guid, 64 * KIB, 8);
	put_le32(fd, VALUES, MIB);
	put_le32(fd, VALUES + 4, v->parent ? 2 : 0);
	put_item(fd, 1, size_guid, 64 * KIB + 8, 8);
	put_le64(fd, VALUES + 8, v->size);
	put_item(fd, 2, sector_guid, 64 * KIB + 16, 4);
	put_le32(fd, VALUES + 16, v->sector);
	if (!v->parent)
		return;
	put_item(fd, 3, locator_guid, LOCATOR, 1000);
	put_locator(fd, v->parent);
}

static uint64_t bitmaps_at(const struct vhdx *v)
{
	uint32_t stored = 0;

	for (uint32_t i = 0; i < v->n; i++)
		if (v->map[i].state >= FULL)
			stored = MAX(stored, v->map[i].number + 1);
	return DATA + stored * MIB;
}

static void put_block(const struct job *j, int fd, const struct vhdx *v, uint32_t i)
{
	uint64_t from = v->map[i].number * MIB, off = i * MIB, per_block = MIB / v->sector;

	put_data(fd, DATA + from, from, MIB);
	if (v->map[i].state == FULL) {
		expect(j, off, from, MIN(MIB, v->size - off));
		return;
	}
	for (uint64_t s = 0; s < per_block; s++)
		if (v->sectors >> s % 64 & 1)
			expect(j, off + s * v->sector, from + s * v->sector, v->sector);
	for (uint64_t byte = 0; byte < per_block / 8; byte++)
		put_byte(fd, bitmaps_at(v) + (i * per_block) / 8 + byte,
			v->sectors >> byte * 8 % 64 & 0xff);
}

static void put_blocks(const struct job *j, int fd, const struct vhdx *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		const struct entry *en = &v->map[i];

		put_le64(fd, BAT + 8 * i, (DATA + en->number * MIB) | en->state);
		if (en->state >= FULL)
			put_block(j, fd, v, i);
		else if (en->state != NOT)
			expect_zero(j, i * MIB, MIB);
	}
	/* All blocks are in the first chunk, so there is one sector bitmap block. */
	if (v->parent)
		put_le64(fd, BAT + 8 * (8 * MIB * v->sector / MIB), bitmaps_at(v) | 6);
}

static int make_file(const struct job *j, const char *suffix, const struct vhdx *v, char id)
{
	int fd = file_new(j, suffix);

	file_resize(fd, bitmaps_at(v) + (v->parent ? MIB : 0));
	put_headers(fd, id);
	put_metadata(fd, v);
	put_blocks(j, fd, v);
	return fd;
}

static int make(const struct job *j, const struct vhdx *v)
{
	int fd;

	expect_size(j, v->size);
	fd = make_file(j, ".vhdx", v, 'D');
	patch_le(j, fd);
	/* The patched header must be the current one, so it gets the higher sequence number. */
	if (j->c->patch.width && j->c->patch.pos < HEADER + PAGE)
		put_le64(fd, HEADER + 8, j->c->patch.pos == HEADER + 8 ? 11 : 12);
	put_checksums(fd);
	return fd;
}

static void make_vhdx(const struct job *j)
{
	make(j, j->c->arg);
}

static const struct entry states_map[] = {{FULL, 2}, {NOT, 2}, {ZERO, 1}, {FULL, 0}, {FULL, 1},
	{UNMAPPED, 4000000}, {UNDEFINED, 0}, {5, 0}};
static const struct vhdx states = {8 * MIB, states_map, 8, 512, 0, NULL};
static const struct vhdx sectors_4k = {8 * MIB, states_map, 8, 4096, 0, NULL};
static const struct vhdx inside_block = {4 * MIB + 512, states_map, 5, 512, 0, NULL};
static const struct vhdx empty = {0, NULL, 0, 512, 0, NULL};

/* Four blocks, one of them allocated. */
static const struct entry plain_map[] = {{NOT, 0}, {FULL, 0}, {NOT, 0}, {ZERO, 0}};
static const struct vhdx plain = {4 * MIB, plain_map, 4, 512, 0, NULL};

static const struct entry base_map[] = {{FULL, 1}, {FULL, 0}, {FULL, 2}, {NOT, 0}, {FULL, 3}};
static const struct vhdx base = {5 * MIB, base_map, 5, 512, 0, NULL};
static const struct vhdx base_4k = {5 * MIB, base_map, 5, 4096, 0, NULL};
static const struct entry child_map[] = {
	{PARTIAL, 2}, {NOT, 0}, {ZERO, 1}, {PARTIAL, 1}, {FULL, 0}};

/* n: the parent's DataWriteGuid, if it is not the one that the child records. */
static void make_child_of(const struct job *j, const struct vhdx *below, uint32_t sector)
{
	struct vhdx child = {5 * MIB, child_map, 5, sector, 0x0ff0000180ff00c1, j->c->arg};
	int fd;

	expect_size(j, 5 * MIB);
	fd = make_file(j, "-base.vhdx", below, j->c->n ? j->c->n : 'P');
	put_checksums(fd);
	make(j, &child);
}

static void make_child(const struct job *j)
{
	make_child_of(j, &base, 512);
}

static void make_child_4k(const struct job *j)
{
	make_child_of(j, &base_4k, 4096);
}

static void make_child_sectors(const struct job *j)
{
	make_child_of(j, &base_4k, 512);
}

/* n: which of the headers and region tables, 0 to 3, has a wrong byte. */
static void make_torn(const struct job *j)
{
	static const uint64_t at[] = {HEADER, 2 * HEADER, TABLE, TABLE + TABLE_LEN};
	int fd = make(j, &states);

	put_byte(fd, at[j->c->n] + 3000, 0x55);
}

static void make_torn_both(const struct job *j)
{
	int fd = make(j, &plain);

	put_byte(fd, (j->c->n ? TABLE : HEADER) + 3000, 0x55);
	put_byte(fd, (j->c->n ? TABLE + TABLE_LEN : 2 * HEADER) + 3000, 0x55);
}

static void make_same_headers(const struct job *j)
{
	int fd = make(j, &states);

	put_le64(fd, HEADER + 8, 11);
	put_filled(fd, HEADER + 16, 'G');
	put_checksums(fd);
}

static void make_item_twice(const struct job *j)
{
	put_item(make(j, &plain), 1, parameters_guid, 64 * KIB, 8);
}

/* The log. */

/* Writes an entry at offset at of the log: it puts a page of the data stream from from on to pos.
 */
static void put_log(
	int fd, uint32_t at, uint32_t tail, uint64_t sequence, uint64_t pos, uint64_t from)
{
	unsigned char page[PAGE], e[2 * PAGE] = "loge";
	uint32_t len = htole32(sizeof e), t = htole32(tail), one = htole32(1), crc;
	uint64_t s = htole64(sequence), to = htole64(pos), size = htole64(DATA);

	data_make(page, from, sizeof page);
	memcpy(e + 8, &len, 4);
	memcpy(e + 12, &t, 4);
	memcpy(e + 16, &s, 8);
	memcpy(e + 24, &one, 4);
	memset(e + 32, 'L', 16);
	memcpy(e + 48, &size, 8);
	memcpy(e + 56, &size, 8);
	memcpy(e + 64, "desc", 4);
	memcpy(e + 68, page + PAGE - 4, 4);
	memcpy(e + 72, page, 8);
	memcpy(e + 80, &to, 8);
	memcpy(e + 88, &s, 8);
	memcpy(e + PAGE, "data", 4);
	memcpy(e + PAGE + 4, (char *)&s + 4, 4);
	memcpy(e + PAGE + 8, page + 8, PAGE - 12);
	memcpy(e + 2 * PAGE - 4, &s, 4);
	crc = htole32(crc32c_of(0, e, sizeof e));
	memcpy(e + 4, &crc, 4);
	for (size_t i = 0; i < sizeof e; i += PAGE)
		put(fd, LOG + (at + i) % MIB, e + i, PAGE);
}

static void use_log(int fd)
{
	put_filled(fd, HEADER + 48, 'L');
	put_filled(fd, 2 * HEADER + 48, 'L');
	put_checksums(fd);
}

/* Two entries across the end of the ring, and an older one that is not part of the active sequence.
 */
static void make_log(const struct job *j)
{
	int fd = make(j, &states);

	put_log(fd, 100 * PAGE, 100 * PAGE, 3, DATA, NOISE);
	put_log(fd, MIB - 3 * PAGE, MIB - 3 * PAGE, 7, DATA + 2 * MIB + 8192, 100 * MIB);
	put_log(fd, MIB - PAGE, MIB - 3 * PAGE, 8, DATA + 2 * MIB + 12288, 200 * MIB);
	expect(j, 8192, 100 * MIB, PAGE);
	expect(j, 12288, 200 * MIB, PAGE);
	use_log(fd);
}

/* The log GUID is zero, so the entries are not replayed. */
static void make_old_log(const struct job *j)
{
	put_log(make(j, &states), 0, 0, 3, DATA, NOISE);
}

static void make_bad_log(const struct job *j)
{
	int fd = make(j, &states);

	if (j->c->n) {
		put_log(fd, 0, 0, 3, DATA, NOISE);
		put_byte(fd, LOG + j->c->n, 0x55);
	}
	use_log(fd);
}

/* The patch sets a log field of the header to an invalid value. */
static void make_bad_log_field(const struct job *j)
{
	int fd = make(j, &plain);

	put_log(fd, 0, 0, 3, DATA, 0);
	use_log(fd);
}

static void make_short_file(const struct job *j)
{
	int fd = make(j, &plain);

	file_resize(fd, j->c->n);
	if (j->raw >= 0)
		expect_zero(j, MIB + (j->c->n - DATA), MIB - (j->c->n - DATA));
}

#define CASE(name_, make_, arg_, n_)                                                               \
	{                                                                                          \
		.name = "vhdx-" name_, .make = make_, .arg = arg_, .n = n_                         \
	}
#define REFUSE_CASE(name_, make_, arg_, n_)                                                        \
	{                                                                                          \
		.name = "vhdx-" name_, .verdict = REFUSED, .make = make_, .arg = arg_, .n = n_     \
	}
#define PATCHED(name_, verdict_, make_, pos_, width_, value_)                                      \
	{                                                                                          \
		.name = "vhdx-" name_, .verdict = verdict_, .bad = {MIB, MIB}, .make = make_,      \
		.arg = &plain, PATCH(pos_, width_, value_)                                         \
	}
#define HARMLESS(name_, pos_, width_, value_) PATCHED(name_, READS, make_vhdx, pos_, width_, value_)
#define REFUSE(name_, pos_, width_, value_)   PATCHED(name_, REFUSED, make_vhdx, pos_, width_, value_)
#define REFUSE_LOG(name_, pos_, width_, value_)                                                    \
	PATCHED(name_, REFUSED, make_bad_log_field, pos_, width_, value_)
/* Reads of block 1 fail. */
#define BAD_BLOCK(name_, value_) PATCHED(name_, READERROR, make_vhdx, BAT + 8, 8, value_)

static const struct image_case cases[] = {
	CASE("states", make_vhdx, &states, 0),
	CASE("sectors-4k", make_vhdx, &sectors_4k, 0),
	CASE("inside-block", make_vhdx, &inside_block, 0),
	CASE("empty", make_vhdx, &empty, 0),
	CASE("same-headers", make_same_headers, NULL, 0),
	CASE("torn-header-1", make_torn, NULL, 0),
	CASE("torn-header-2", make_torn, NULL, 1),
	CASE("torn-table-1", make_torn, NULL, 2),
	CASE("torn-table-2", make_torn, NULL, 3),
	CASE("log", make_log, NULL, 0),
	CASE("old-log", make_old_log, NULL, 0),
	CASE("child", make_child, ".\\vhdx-child-base.vhdx", 0),
	CASE("child-4k", make_child_4k, "vhdx-child-4k-base.vhdx", 0),
	CASE("child-moved", make_child, "C:\\disks\\vhdx-child-moved-base.vhdx", 0),
	CASE("child-of-renamed", make_child, "nowhere.vhdx", 0),
	CASE("cut", make_short_file, NULL, DATA + MIB / 2),
	HARMLESS("fixed", VALUES + 4, 4, 1),
	HARMLESS("not-required", TABLE + 44, 4, 0),

	BAD_BLOCK("state-4", DATA | 4),
	BAD_BLOCK("partial-alone", DATA | PARTIAL),
	BAD_BLOCK("in-header", FULL),
	BAD_BLOCK("in-log", LOG | FULL),
	BAD_BLOCK("in-bat", BAT | FULL),
	BAD_BLOCK("in-metadata", META | FULL),
	BAD_BLOCK("past-end", (5 * MIB) | FULL),
	BAD_BLOCK("far", 0xfffffffffff00000 | FULL),

	REFUSE_CASE("child-stranger", make_child, "vhdx-child-stranger-base.vhdx", 'S'),
	REFUSE_CASE("child-missing", make_child, "nowhere.vhdx", 'S'),
	REFUSE_CASE("child-outside", make_child, "..\\..\\..\\..\\..\\etc\\passwd", 'S'),
	REFUSE_CASE("child-self", make_child, "vhdx-child-self.vhdx", 'S'),
	REFUSE_CASE("child-sectors", make_child_sectors, "vhdx-child-sectors-base.vhdx", 0),
	REFUSE_CASE("torn-headers", make_torn_both, NULL, 0),
	REFUSE_CASE("torn-tables", make_torn_both, NULL, 1),
	REFUSE_CASE("log-empty", make_bad_log, NULL, 0),
	REFUSE_CASE("log-descriptor", make_bad_log, NULL, 64 + 16),
	REFUSE_CASE("log-data", make_bad_log, NULL, PAGE + 2000),
	REFUSE_CASE("log-sequence", make_bad_log, NULL, 16),
	REFUSE_CASE("header-cut", make_short_file, NULL, 100 * KIB),
	REFUSE_CASE("bat-cut", make_short_file, NULL, BAT + PAGE),
	REFUSE_CASE("metadata-cut", make_short_file, NULL, META + MIB - 1),
	REFUSE_LOG("log-version", HEADER + 64, 2, 1),
	REFUSE_LOG("log-length-0", HEADER + 68, 4, 0),
	REFUSE_LOG("log-length-4g", HEADER + 68, 4, 0xfff00000),
	REFUSE_LOG("log-in-header", HEADER + 72, 8, 0),
	REFUSE_LOG("log-far", HEADER + 72, 8, 0xfffffffffff00000),
	REFUSE("version-2", HEADER + 66, 2, 2),
	REFUSE("headers-differ", HEADER + 8, 8, 11),
	REFUSE("regions-many", TABLE + 8, 4, 0xffffffff),
	REFUSE("regions-none", TABLE + 8, 4, 0),
	REFUSE("region-unknown", TABLE + 16, 1, 0x55),
	REFUSE("bat-in-metadata", TABLE + 32, 8, META),
	REFUSE("bat-far", TABLE + 32, 8, 0xfffffffffff00000),
	REFUSE("bat-odd", TABLE + 32, 8, BAT + 512),
	REFUSE("bat-4g", TABLE + 40, 4, 0xfff00000),
	REFUSE("items-many", META + 10, 2, 2048),
	REFUSE("items-few", META + 10, 2, 2),
	REFUSE("item-unknown", META + 32, 1, 0x55),
	REFUSE_CASE("item-twice", make_item_twice, NULL, 0),
	REFUSE("item-in-table", META + 32 + 16, 4, 32),
	REFUSE("item-far", META + 32 + 16, 4, 0xffffffff),
	REFUSE("block-0", VALUES, 4, 0),
	REFUSE("block-3m", VALUES, 4, 3 << 20),
	REFUSE("block-512m", VALUES, 4, 512 << 20),
	REFUSE("parameters", VALUES + 4, 4, 4),
	REFUSE("parent-unnamed", VALUES + 4, 4, 2),
	REFUSE("size-odd", VALUES + 8, 8, 4 * MIB + 1),
	REFUSE("size-past-bat", VALUES + 8, 8, (uint64_t)1 << 40),
	REFUSE("size-all-ones", VALUES + 8, 8, UINT64_MAX),
	REFUSE("sector-1", VALUES + 16, 4, 1),
	REFUSE("sector-1024", VALUES + 16, 4, 1024),
};

const struct image_set vhdx_images = {"vhdx", cases, N_ELEMENTS(cases)};
