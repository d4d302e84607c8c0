/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metadata of BitLocker that are damaged, or that somebody made to do harm: their checksum and
 * digest are valid. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bitlocker_test.h"
#include "common/memory_disk.h"
#include "common/unit.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "volume/volume.h"

static const struct field_case fields[] = {
	{0, 8, 0, EUCLEAN, "no signature"},
	{BL_AT_LEN, 2, 0, EUCLEAN, "0 bytes"},
	{BL_AT_LEN, 2, 6, EUCLEAN, "96 bytes"},
	{BL_AT_LEN, 2, 4096, EUCLEAN, "65536 bytes"},
	{BL_AT_LEN, 2, 0xffff, EUCLEAN, "1048560 bytes"},
	{BL_AT_LEN, 2, 8, EUCLEAN, "a data set of "},
	{BL_AT_VERSION, 2, 0, ENOTSUP, "version 0"},
	{BL_AT_VERSION, 2, 1, ENOTSUP, "version 1"},
	{BL_AT_VERSION, 2, 3, ENOTSUP, "version 3"},
	{BL_AT_ENCRYPTED, 8, 1, EUCLEAN, "1 bytes are encrypted"},
	{BL_AT_ENCRYPTED, 8, UINT64_MAX, EUCLEAN, "no whole sectors"},
	{BL_AT_COPIES, 8, 1 << 20, EUCLEAN, "at 1048576 of a volume"},
	{BL_AT_COPIES, 8, (1 << 20) - 4096, EUCLEAN, "of a volume"},
	{BL_AT_COPIES, 8, UINT64_MAX - 511, EUCLEAN, "of a volume"},
	{BL_AT_COPIES, 8, 300001, EUCLEAN, "at 300001 of a volume"},
	{BL_AT_COPIES, 8, 0, EUCLEAN, "overlap"},
	{BL_AT_COPIES, 8, 512 << 10, EUCLEAN, "overlap"},
	{BL_AT_COPIES, 8, BL_HEADER_AT - BL_AREA + 512, EUCLEAN, "overlap"},
	{BL_AT_HEADER, 8, 0, EUCLEAN, "two places"},
	{BL_AT_HEADER_SECTORS, 4, 0, 0, ""}, /* the entry counts */
	{BL_AT_METHOD, 2, 0, ENOTSUP, "method 0x0000"},
	{BL_AT_METHOD, 2, 0x7fff, ENOTSUP, "method 0x7fff"},
	{BL_AT_METHOD, 2, 0x8006, ENOTSUP, "method 0x8006"},
	{BL_AT_METHOD, 2, 0x8005, EUCLEAN, "a key of 32 bytes"},
	{BL_AT_METHOD, 2, 0x8002, EUCLEAN, "a key of 32 bytes"},
	{BL_AT_METHOD, 2, 0x8000, EUCLEAN, "a key of 32 bytes"},
	{BL_AT_METHOD, 4, 0x8004, 0, ""}, /* Windows leaves the upper half out at times */
	{BL_AT_SET, 4, 0, EUCLEAN, "a data set of 0 bytes"},
	{BL_AT_SET, 4, 47, EUCLEAN, "a data set of 47 bytes"},
	{BL_AT_SET, 4, 48, ENOKEY, "it has no protectors"},
	{BL_AT_SET, 4, UINT32_MAX, EUCLEAN, "a data set of 4294967295 bytes"},
	{BL_AT_SET + 8, 4, 0, EUCLEAN, "a header of 0"},
	{BL_AT_SET + 8, 4, 47, EUCLEAN, "a header of 47"},
	{BL_AT_SET + 8, 4, UINT32_MAX, EUCLEAN, "a header of 4294967295"},
	{BL_AT_ENTRIES, 2, 1, EUCLEAN, "an entry of 1 bytes"},
	{BL_AT_ENTRIES, 2, 7, EUCLEAN, "an entry of 7 bytes"},
	{BL_AT_ENTRIES, 2, 0xffff, EUCLEAN, "an entry of 65535 bytes"},
	{BL_AT_ENTRIES, 2, 0, ENOKEY, "it has no protectors"},
	{BL_AT_ENTRIES, 2, 8, EUCLEAN, "an entry of "},
};

static void set_fields(size_t pos, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < 3; i++)
		put_le(bt.volume + bl_copies[i] + pos, width, value);
	bl_seal(bt.volume);
}

START_TEST(hostile_fields)
{
	const struct field_case *c = &fields[_i];

	bt_make(&bt_ordinary);
	set_fields(c->pos, c->width, c->value);
	if (c->code)
		bt_fails(bt_open(), c->code, c->text);
	else
		bt_reads(bt_open());
	bt_close();
}
END_TEST

/* Without the entry of the place, which would contradict. */
static const struct field_case places[] = {
	{BL_AT_HEADER, 8, 0, EUCLEAN, "overlap"},
	{BL_AT_HEADER, 8, 4096, EUCLEAN, "overlap"},
	{BL_AT_HEADER, 8, 100000, EUCLEAN, "8192 bytes of BitLocker at 100000"},
	{BL_AT_HEADER, 8, (1 << 20) - 4096, EUCLEAN, "of a volume"},
	{BL_AT_HEADER, 8, UINT64_MAX - 511, EUCLEAN, "of a volume"},
	{BL_AT_HEADER, 8, (256 << 10) + 512, EUCLEAN, "overlap"},
	{BL_AT_HEADER_SECTORS, 4, 0, EUCLEAN, "the first sectors are nowhere"},
	{BL_AT_HEADER_SECTORS, 4, 257, EUCLEAN, "overlap"},
	{BL_AT_HEADER_SECTORS, 4, 1024, EUCLEAN, "overlap"},
	{BL_AT_HEADER_SECTORS, 4, UINT32_MAX, EUCLEAN, "of a volume"},
};

START_TEST(hostile_places)
{
	struct bl_spec s = bt_ordinary;

	s.protectors = BL_CLEAR;
	bt_make(&s);
	set_fields(places[_i].pos, places[_i].width, places[_i].value);
	bt_fails(bt_open(), places[_i].code, places[_i].text);
	bt_close();
}
END_TEST

/* The boot sector. */

static const struct field_case boot[] = {
	{11, 2, 1024, ENOTSUP, "sectors of 1024 bytes"},
	{11, 2, 0xffff, ENOTSUP, "sectors of 65535 bytes"},
	{11, 2, 1, ENOTSUP, "sectors of 1 bytes"},
	{0, 3, 0x9052eb, ENOTSUP, "Windows Vista"},
	{160, 8, 0, ENOTSUP, "not known (00000000-"},
	{176, 8, UINT64_MAX, 0, ""}, /* there are two other copies */
	{176, 8, 300 << 10, 0, ""},
};

START_TEST(hostile_boot_sector)
{
	bt_make(&bt_ordinary);
	put_le(bt.volume + boot[_i].pos, boot[_i].width, boot[_i].value);
	if (boot[_i].code)
		bt_fails(bt_open(), boot[_i].code, boot[_i].text);
	else
		bt_reads(bt_open());
	bt_close();
}
END_TEST

START_TEST(other_boot_sectors)
{
	struct bl_spec s = bt_ordinary;

	bt_make(&s);
	bt.volume[3] = 'X';
	ck_assert_ptr_null(bt_open());
	s.to_go = true;
	bt_make(&s);
	bt.volume[424]++; /* as a file system of FAT that Windows 98 made */
	ck_assert_ptr_null(bt_open());
	bt_close();
}
END_TEST

START_TEST(encrypted_on_write)
{
	static const unsigned char guid[16] = {0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e,
		0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8};

	bt_make(&bt_ordinary);
	memcpy(bt.volume + 160, guid, sizeof guid);
	bt_fails(bt_open(), ENOTSUP, "EOW");
	ck_assert_str_eq(bt.set->volumes[0]->name, "bitlocker-" BL_GUID);
	bt_close();
}
END_TEST

START_TEST(cut_disk)
{
	static const uint64_t sizes[] = {0, 1, 511, 512, 513, 4096, BL_HEADER, 256 << 10,
		(256 << 10) + BL_AREA - 1, (256 << 10) + BL_AREA, (832 << 10) + BL_AREA - 512};

	bt_make(&bt_ordinary);
	if (sizes[_i] < 512)
		ck_assert_ptr_null(bt_open_part(sizes[_i], NULL));
	else
		bt_fails(bt_open_part(sizes[_i], NULL), EUCLEAN, "");
	bt_close();
}
END_TEST

/* Copies. */

START_TEST(damaged_copies)
{
	const struct volume *v;

	bt_make(&bt_ordinary);
	for (unsigned i = 0; i < 3; i++)
		if (_i & 1 << i)
			bt.volume[bl_copies[i] + BL_AT_ENTRIES + 20 * i] ^= 4;
	v = bt_open();
	if (_i < 7) {
		bt_reads(v);
	} else {
		bt_fails(v, EUCLEAN,
			"none of the 3 copies of the metadata is intact: the metadata "
			"at 262144: the checksum");
		ck_assert_str_eq(v->name, "bitlocker-the-disk");
	}
	bt_close();
}
END_TEST

/* The digest in the seal is what tells a change with a valid checksum. */
START_TEST(changed_metadata)
{
	unsigned char seal[100];
	size_t at;

	bt_make(&bt_ordinary);
	at = 16u * load_le16(bt.volume + bl_copies[0] + BL_AT_LEN) + 8;
	memcpy(seal, bt.volume + bl_copies[0] + at, sizeof seal);
	set_fields(BL_AT_ENTRIES + 8, 1, 'p');
	memcpy(bt.volume + bl_copies[0] + at, seal, sizeof seal);
	bt_fails(bt_open(), EUCLEAN, "not those that the master key seals");
	/* Without a seal, all must rely on the checksum. */
	store_le16(bt.volume + bl_copies[0] + at - 8, 8);
	bt_reads(bt_open());
	bt_close();
}
END_TEST

/* Text. */

START_TEST(hostile_labels)
{
	struct bl_spec s = bt_ordinary;
	unsigned char text[60000];
	const struct volume *v;

	bt_make(&s);
	for (unsigned i = 0; i < 3; i++)
		store_le16(bt.volume + bl_copies[i] + BL_AT_ENTRIES + 2, 99); /* no label */
	for (size_t i = 0; i < sizeof text; i += 2)
		put_le(text + i, 2, _i == 0 ? 1 + i % 31 : _i == 1 ? '/' : 0xd800);
	bl_append(bt.volume, 7, 2, text, _i == 2 ? sizeof text - 1 : sizeof text);
	v = bt_open();
	bt_reads(v);
	ck_assert_uint_ge(strlen(v->members[0]->label), 29999);
	ck_assert_str_eq(v->name, "bitlocker-" BL_GUID);
	bt_close();
}
END_TEST

/* Entries of all kinds and lengths. */
START_TEST(short_entries)
{
	static const struct {
		unsigned role, kind;
	} entries[] = {{2, 8}, {3, 5}, {6, 9}, {7, 2}, {15, 15}, {0, 0}};
	static const unsigned char zeroes[64];

	for (size_t k = 0; k < COUNT(entries); k++)
		for (size_t len = 0; len < sizeof zeroes; len += 5) {
			bt_make(&bt_ordinary);
			bl_append(bt.volume, entries[k].role, entries[k].kind, zeroes, len);
			bt_reads(bt_open());
		}
	bt_close();
}
END_TEST

/* Bytes of the metadata at random: an error, or a volume whose bytes can be read. */
START_TEST(random_bytes)
{
	struct bl_spec s = bt_ordinary;
	uint64_t seed = _i;
	static unsigned char whole[BL_SIZE], buf[BL_SIZE];
	struct err e = ERR_INIT;

	s.protectors |= BL_STARTUP_KEY | BL_TPM;
	s.method = 0x8000 + _i % 6;
	bt_make(&s);
	memcpy(whole, bt.volume, BL_SIZE);
	for (int i = 0; i < 300; i++) {
		size_t pos = next_random(&seed) % 800;
		const struct volume *v;

		memcpy(bt.volume, whole, BL_SIZE);
		set_fields(pos, 1 + next_random(&seed) % 4, next_random(&seed));
		v = bt_open();
		ck_assert_ptr_nonnull(v);
		if (v->error.code == 0) {
			struct view *view = bt_view();

			ck_assert_ok(view_read(view, buf, view->size, 0, &e), &e);
			view_free(view);
		}
	}
	bt_close();
}
END_TEST

Suite *bitlocker_hostile_suite(void)
{
	TCase *tc = tcase_create("bitlocker_hostile");

	tcase_add_loop_test(tc, hostile_fields, 0, COUNT(fields));
	tcase_add_loop_test(tc, hostile_places, 0, COUNT(places));
	tcase_add_loop_test(tc, hostile_boot_sector, 0, COUNT(boot));
	tcase_add_test(tc, other_boot_sectors);
	tcase_add_test(tc, encrypted_on_write);
	tcase_add_loop_test(tc, cut_disk, 0, 11);
	tcase_add_loop_test(tc, damaged_copies, 0, 8);
	tcase_add_test(tc, changed_metadata);
	tcase_add_loop_test(tc, hostile_labels, 0, 3);
	tcase_add_test(tc, short_entries);
	tcase_add_loop_test(tc, random_bytes, 0, 6);
	return suite_of("bitlocker_hostile", tc);
}
