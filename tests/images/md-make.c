/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "md-make.h"

#include <stdio.h>
#include <string.h>

#include "util/bytes.h"

#define SECTOR  512u
#define MIB     ((uint64_t)1 << 20)
#define WORD(i) (4 * (i))

static int is_old(const struct md_spec *s)
{
	return strcmp(s->version, "0.90") == 0;
}

static int is_at_end(const struct md_spec *s)
{
	return is_old(s) || strcmp(s->version, "1.0") == 0;
}

uint64_t md_make_data(const struct md_spec *s)
{
	return is_at_end(s) ? 0 : MIB;
}

/* Levels without a size of their own use all of a member, up to a superblock 0.90. */
uint64_t md_make_size(const struct md_spec *s)
{
	if (is_old(s))
		return round_up(s->used, 64 << 10) + (64 << 10) + (s->level > 0 ? 8192 : 0);
	return md_make_data(s) + round_up(s->used, SECTOR) + (is_at_end(s) ? 100 : 17) * 1024;
}

uint64_t md_make_place(const struct md_spec *s)
{
	uint64_t size = md_make_size(s);

	if (is_old(s))
		return size - size % (64 << 10) - (64 << 10);
	if (is_at_end(s))
		return (size - 8192) & ~UINT64_C(4095);
	return strcmp(s->version, "1.1") == 0 ? 0 : 4096;
}

void md_make_seal(unsigned char *p)
{
	int old = load_le32(p + MD_AT_MAJOR) == 0;
	size_t place = old ? WORD(38) : MD_AT_SUM;
	size_t len = old ? MD_MAKE_SUPER : MD_AT_ROLES + 2 * (size_t)load_le32(p + MD_AT_MAX_DEV);
	uint64_t sum = 0;

	if (len > MD_MAKE_SUPER)
		return;
	store_le32(p + place, 0);
	for (size_t i = 0; i < len; i += 4)
		sum += len - i == 2 ? load_le16(p + i) : load_le32(p + i);
	store_le32(p + place, (uint32_t)(sum + (sum >> 32)));
}

static void make_uuid(unsigned char *p, unsigned seed)
{
	for (unsigned i = 0; i < 16; i++)
		p[i] = (unsigned char)(seed * 16 + i);
}

static void make_super0(unsigned char *p, const struct md_spec *s, unsigned i)
{
	unsigned char uuid[16];

	make_uuid(uuid, 7);
	store_le32(p + WORD(2), 90);
	store_le32(p + WORD(4), 0); /* gvalid_words */
	memcpy(p + WORD(5), uuid, 4);
	memcpy(p + WORD(13), uuid + 4, 12);
	store_le32(p + WORD(6), 1700000000);
	store_le32(p + WORD(7), (uint32_t)s->level);
	store_le32(p + WORD(8), (uint32_t)(s->used >> 10));
	store_le32(p + WORD(9), s->n);
	store_le32(p + WORD(10), s->n);
	store_le32(p + WORD(11), 3); /* md3 */
	store_le32(p + WORD(32), 1700000001);
	store_le32(p + WORD(33), 1); /* clean */
	store_le32(p + WORD(34), s->n);
	store_le32(p + WORD(35), s->n);
	store_le64(p + WORD(39), 18);
	store_le64(p + WORD(41), 18);
	store_le32(p + WORD(64), s->layout);
	store_le32(p + WORD(65), s->chunk);
	for (unsigned k = 0; k < s->n; k++) {
		unsigned char *disk = p + WORD(128 + 32 * k);

		store_le32(disk, k);
		store_le32(disk + 4, 8);
		store_le32(disk + 8, 16 * k + 1);
		store_le32(disk + 12, k);
		store_le32(disk + 16, 6); /* active, in sync */
	}
	memcpy(p + WORD(992), p + WORD(128 + 32 * i), WORD(32));
}

static void make_super1(unsigned char *p, const struct md_spec *s, unsigned i)
{
	store_le32(p + MD_AT_MAJOR, 1);
	if (s->level == 0 && s->layout)
		store_le32(p + MD_AT_FEATURES, 1u << 12);
	make_uuid(p + MD_AT_UUID, 7);
	snprintf((char *)p + MD_AT_NAME, 32, "%s", s->name);
	store_le64(p + MD_AT_CREATED, 1700000000);
	store_le32(p + MD_AT_LEVEL, (uint32_t)s->level);
	store_le32(p + MD_AT_LAYOUT, s->layout);
	store_le64(p + MD_AT_SIZE, s->level > 0 ? s->used / SECTOR : 0);
	store_le32(p + MD_AT_CHUNK, s->chunk / SECTOR);
	store_le32(p + MD_AT_RAID_DISKS, s->n);
	store_le64(p + MD_AT_DATA_OFFSET, md_make_data(s) / SECTOR);
	store_le64(p + MD_AT_DATA_SIZE, s->used / SECTOR);
	store_le64(p + MD_AT_SUPER_OFFSET, md_make_place(s) / SECTOR);
	store_le32(p + MD_AT_NUMBER, i);
	make_uuid(p + MD_AT_DEVICE_UUID, 8 + i);
	store_le64(p + 192, 1700000001);
	store_le64(p + MD_AT_EVENTS, 18);
	store_le64(p + MD_AT_RESYNC, UINT64_MAX);
	store_le32(p + MD_AT_MAX_DEV, 128);
	for (unsigned k = 0; k < 128; k++)
		store_le16(p + MD_AT_ROLES + 2 * k, k < s->n ? k : 0xffff);
}

void md_make_super(unsigned char *p, const struct md_spec *s, unsigned i)
{
	memset(p, 0, MD_MAKE_SUPER);
	store_le32(p, 0xa92b4efc);
	if (is_old(s))
		make_super0(p, s, i);
	else
		make_super1(p, s, i);
	md_make_seal(p);
}

/* Rows. */

static unsigned char times_two(unsigned char v)
{
	return (unsigned char)(v << 1 ^ (v & 0x80 ? 0x1d : 0));
}

/* Adds 2^power times a chunk. */
static void add(unsigned char *sum, const unsigned char *from, size_t len, unsigned power)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char v = from[i];

		for (unsigned k = 0; k < power; k++)
			v = times_two(v);
		sum[i] ^= v;
	}
}

static int is_data(char c)
{
	return c >= '0' && c <= '9';
}

/* P if q is NULL. */
static void make_parity(unsigned char *sum, const char *picture, size_t n, const char *q,
	const unsigned char *data, size_t chunk, int ddf)
{
	size_t first = q && !ddf ? (size_t)(q - picture) + 1 : 0;
	unsigned power = 0;

	memset(sum, 0, chunk);
	for (size_t k = 0; k < n; k++) {
		char c = picture[(first + k) % n];

		if (is_data(c))
			add(sum, data + (size_t)(c - '0') * chunk, chunk, q ? power : 0);
		if (is_data(c) || ddf)
			power++;
	}
}

void md_make_row(unsigned char *chunks, const char *picture, size_t n, const unsigned char *data,
	size_t chunk, int ddf)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char *to = chunks + i * chunk;

		if (is_data(picture[i]))
			memcpy(to, data + (size_t)(picture[i] - '0') * chunk, chunk);
		else
			make_parity(to, picture, n, picture[i] == 'Q' ? picture + i : NULL, data,
				chunk, ddf);
	}
}
