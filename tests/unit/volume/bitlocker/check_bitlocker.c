/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes of BitLocker that are built in memory: all methods, keys and states, and their bytes. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitlocker_test.h"
#include "common/memory_disk.h"
#include "common/unit.h"
#include "io/passphrase.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "view/view.h"
#include "volume/volume.h"

/* Bytes. */

START_TEST(methods)
{
	struct bl_spec s = bt_ordinary;
	static const char *const layouts[] = {
		"aes-cbc-elephant", "aes-cbc-eboiv", "aes-xts-plain64"};
	const struct volume *v;

	s.method = 0x8000 + _i % 6;
	s.sector = _i / 6 % 2 ? 4096 : 512;
	s.to_go = _i >= 12;
	bt_make(&s);
	v = bt_open();
	bt_reads(v);
	ck_assert_str_eq(v->name, "bitlocker-" BL_GUID);
	ck_assert_str_eq(v->uuid, BL_GUID);
	ck_assert_str_eq(v->layout, layouts[_i % 6 / 2]);
	ck_assert(v->changes_bytes && v->no_writing);
	ck_assert_str_eq(v->members[0]->label, "PC C:");
	ck_assert_str_eq(v->members[0]->type, "BitLocker");
	ck_assert_str_eq(v->members[0]->id, BL_GUID);
	bt_close();
}
END_TEST

/* The boot sector of exFAT has no sector size. */
START_TEST(sector_size_is_found)
{
	struct bl_spec s = bt_ordinary;

	s.sector = 4096;
	bt_make(&s);
	store_le16(bt.volume + 11, 0);
	bt_reads(bt_open());
	s.sector = 0;
	bt_make(&s);
	bt_reads(bt_open());
	s.protectors = BL_CLEAR; /* and no entry for the place of the header */
	bt_make(&s);
	bt_reads(bt_open());
	bt_close();
}
END_TEST

/* Bytes of the disk after the last whole sector are none of the volume's. */
START_TEST(odd_end)
{
	struct bl_spec s = bt_ordinary;
	const struct volume *v;

	s.sector = 4096;
	bt_make(&s);
	v = bt_open_part(BL_SIZE - 512, NULL);
	ck_assert_ok(v->error.code, &v->error);
	ck_assert_uint_eq(v->size, BL_SIZE - 4096);
	bt_close();
}
END_TEST

struct readers {
	struct view *view;
	atomic_uint seed;
};

static void *read_pieces(void *arg)
{
	struct readers *r = arg;
	uint64_t seed = r->seed++;
	unsigned char buf[20000];
	struct err e = ERR_INIT;
	intptr_t wrong = 0;

	for (int i = 0; i < 300; i++) {
		size_t off = next_random(&seed) % (BL_SIZE - sizeof buf);
		size_t len = 1 + next_random(&seed) % sizeof buf;

		wrong += view_read(r->view, buf, len, off, &e) < 0 ||
			 memcmp(buf, bt.plain + off, len) != 0;
	}
	return (void *)wrong;
}

START_TEST(many_threads)
{
	struct bl_spec s = bt_ordinary;
	struct readers r = {.seed = 1};
	pthread_t threads[8];

	s.method = _i ? 0x8000 : 0x8005;
	bt_make(&s);
	bt_open();
	r.view = bt_view();
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_pieces, &r), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
	view_free(r.view);
	bt_close();
}
END_TEST

/* The hidden parts are holes, and all else is data of one extent. */
START_TEST(extents)
{
	struct err e = ERR_INIT;
	struct view *view;
	struct extent x;
	uint64_t found;

	bt_make(&bt_ordinary);
	bt_open();
	view = bt_view();
	ck_assert_ok(view_map(view, 0, BL_SIZE, &x, &e), &e);
	ck_assert(x.kind == EXTENT_CRYPT && x.pos == BL_HEADER_AT && x.len == BL_HEADER);
	ck_assert_ok(view_map(view, BL_HEADER, BL_SIZE - BL_HEADER, &x, &e), &e);
	ck_assert(
		x.kind == EXTENT_CRYPT && x.pos == BL_HEADER && x.len == BL_HEADER_AT - BL_HEADER);
	ck_assert_int_eq(view_seek(view, 0, SEEK_HOLE, &found), 0);
	ck_assert_uint_eq(found, BL_HEADER_AT);
	ck_assert_int_eq(view_seek(view, bl_copies[1], SEEK_DATA, &found), 0);
	ck_assert_uint_eq(found, bl_copies[1] + BL_AREA);
	view_free(view);
	bt_close();
}
END_TEST

/* A sector that cannot be read is an error there alone. */
START_TEST(read_errors)
{
	unsigned char buf[512];
	struct err e = ERR_INIT;
	struct view *view;

	bt_make(&bt_ordinary);
	bt_open();
	view = bt_view();
	memdisk_break(bt.disk, 40000 / 512 * 512);
	ck_assert_int_eq(view_read(view, buf, 1, 40000, &e), -EIO);
	ck_assert_ok(view_read(view, buf, 512, 40000 / 512 * 512 + 512, &e), &e);
	view_free(view);
	bt_close();
}
END_TEST

/* Keys. */

START_TEST(password)
{
	static const char *const ends[] = {"", "\n", "\r\n"};
	struct bl_spec s = bt_ordinary;
	char text[64];

	s.protectors = BL_TPM | BL_PASSWORD | BL_RECOVERY_PASSWORD;
	bt_make(&s);
	snprintf(text, sizeof text, "%s%s", bl_password, ends[_i]);
	bt_reads(bt_open_with(text, strlen(text)));
	bt_close();
}
END_TEST

START_TEST(recovery_password)
{
	struct bl_spec s = bt_ordinary;
	char text[sizeof BL_RECOVERY + 1] = BL_RECOVERY "\n", *to = text;

	s.protectors = BL_TPM | BL_RECOVERY_PASSWORD;
	bt_make(&s);
	if (_i == 1)
		for (char *p = text; *p; p++)
			*p = *p == '-' ? ' ' : *p;
	if (_i == 2) {
		for (const char *p = text; *p; p++)
			if (*p != '-')
				*to++ = *p;
		*to = '\0';
	}
	bt_reads(bt_open_with(text, strlen(text)));
	bt_close();
}
END_TEST

START_TEST(no_recovery_password)
{
	static const char *const texts[] = {
		"000000-000011-720885-123453-654313-111111-222222-333332", /* not a multiple */
		"000000-000011-720896-123453-654313-111111-222222-333333", /* too large */
		"000000-000011-720885-123453-654313-111111-222222-33333x",
		"000000-000011-720885-123453-654313-111111-222222+333333",
		"000000-000011-720885-123453-654313-111111-222222",
		"000000-000011-720885-123453-654313-111111-222222-333333-",
		"00000000001172088512345365431311111122222233333",
		"+00000-000011-720885-123453-654313-111111-222222-333333",
	};
	struct bl_spec s = bt_ordinary;

	s.protectors = BL_RECOVERY_PASSWORD;
	bt_make(&s);
	bt_fails(bt_open_with(texts[_i], strlen(texts[_i])), EKEYREJECTED,
		"recovery password 746f7270");
	bt_close();
}
END_TEST

START_TEST(startup_key_file)
{
	struct bl_spec s = bt_ordinary;
	unsigned char file[BL_FILE_MAX + 1];
	size_t len = bl_startup_key(file);

	s.protectors = BL_TPM | BL_STARTUP_KEY;
	bt_make(&s);
	bt_reads(bt_open_with(file, len));
	file[len] = '\n'; /* as "cat" of a file and a line end */
	bt_reads(bt_open_with(file, len + 1));
	for (size_t cut = 0; cut < len; cut++)
		bt_fails(bt_open_with(file, cut), EKEYREJECTED, "");
	file[16] ^= 1; /* the header's id does not matter, the entry's does */
	bt_reads(bt_open_with(file, len));
	file[56] ^= 1;
	bt_fails(bt_open_with(file, len), EKEYREJECTED, "startup key");
	bt_close();
}
END_TEST

/* Each byte of the file that is changed makes another key, or none; never a crash. */
START_TEST(damaged_startup_key)
{
	struct bl_spec s = bt_ordinary;
	unsigned char file[BL_FILE_MAX];
	size_t len = bl_startup_key(file);

	s.protectors = BL_STARTUP_KEY;
	bt_make(&s);
	for (size_t i = 0; i < len; i++) {
		const struct volume *v;

		file[i] ^= 0xff;
		v = bt_open_with(file, len);
		if (v->error.code)
			bt_fails(v, EKEYREJECTED, "BitLocker, locked");
		file[i] ^= 0xff;
	}
	bt_close();
}
END_TEST

START_TEST(one_of_several)
{
	struct bl_spec s = bt_ordinary;
	unsigned char file[BL_FILE_MAX], utf8[] = "\xff\xfe", nul[] = "a\0b";
	struct passphrase last = {.bytes = file, .len = bl_startup_key(file)};
	struct passphrase second = {.next = &last, .bytes = utf8, .len = 2};
	struct passphrase first = {.next = &second, .bytes = nul, .len = 3};

	s.protectors = BL_PASSWORD | BL_STARTUP_KEY;
	bt_make(&s);
	bt_reads(bt_open_part(BL_SIZE, &first));
	bt_close();
}
END_TEST

/* A passphrase that is for another volume is not tried. */
START_TEST(one_for_another)
{
	struct bl_spec s = bt_ordinary;
	unsigned char file[BL_FILE_MAX];
	struct passphrase p = {.bytes = file, .len = bl_startup_key(file), .uuid = BL_GUID};

	s.protectors = BL_STARTUP_KEY;
	bt_make(&s);
	bt_reads(bt_open_part(BL_SIZE, &p));
	p.uuid[0] = 'f';
	bt_fails(bt_open_part(BL_SIZE, &p), ENOKEY, "BitLocker, locked (startup key ");
	bt_close();
}
END_TEST

START_TEST(locked)
{
	struct bl_spec s = bt_ordinary;

	s.protectors = BL_TPM | BL_RECOVERY_PASSWORD;
	bt_make(&s);
	bt_fails(bt_open(), ENOKEY, "BitLocker, locked (TPM and PIN, recovery password ");
	ck_assert_str_ne(hint_of(&bt.set->volumes[0]->error), "");
	ck_assert_str_eq(bt.set->volumes[0]->name, "bitlocker-" BL_GUID);
	bt_fails(bt_open_with("wrong\n", 6), EKEYREJECTED, "no passphrase opens it (TPM and PIN, ");
	s.protectors = BL_TPM;
	bt_make(&s);
	bt_fails(bt_open(), ENOKEY, "no passphrase can open it (TPM and PIN)");
	ck_assert_str_eq(hint_of(&bt.set->volumes[0]->error), "");
	bt_fails(bt_open_with("x", 1), ENOKEY, "no passphrase can open it");
	s.protectors = 0;
	bt_make(&s);
	bt_fails(bt_open(), ENOKEY, "it has no protectors");
	bt_close();
}
END_TEST

/* A million digests for each protector are a limit to the number of tries. */
START_TEST(too_many_protectors)
{
	struct bl_spec s = bt_ordinary;
	unsigned char protector[28 + 28] = {0};

	s.protectors = 0;
	bt_make(&s);
	store_le16(protector + 26, 0x2000);
	store_le16(protector + 28, 28);
	store_le16(protector + 32, 3);
	for (unsigned i = 0; i <= BITLOCKER_MAX_STRETCHES; i++)
		bl_append(bt.volume, 2, 8, protector, sizeof protector);
	bt_fails(bt_open_with("wrong", 5), EFBIG, "too long");
	bt_close();
}
END_TEST

/* States. */

START_TEST(states)
{
	static const struct {
		unsigned state;
		uint64_t encrypted;
		int code;
		const char *text;
	} cases[] = {
		{5, 300 << 10, 0, NULL},
		{5, BL_HEADER_AT + 4096, 0, NULL}, /* the header is encrypted in part */
		{5, BL_HEADER, 0, NULL},
		{5, BL_SIZE, 0, NULL},
		{4, 600 << 10, 0, NULL},
		{1, 0, 0, NULL},
		{4, 0, EUCLEAN, "only its first 0 bytes"},
		{5, 0, EUCLEAN, "only its first 0 bytes"},
		{1, 4096, EUCLEAN, "decrypted, but its first 4096 bytes"},
		{2, 300 << 10, ENOTSUP, "just encrypting or decrypting"},
		{3, BL_SIZE, ENOTSUP, "as it is written to"},
		{6, BL_SIZE, ENOTSUP, "state 6"},
		{0xffff, BL_SIZE, ENOTSUP, "state 65535"},
	};
	struct bl_spec s = bt_ordinary;

	s.state = cases[_i].state;
	s.encrypted = cases[_i].encrypted;
	bt_make(&s);
	if (cases[_i].code)
		bt_fails(bt_open(), cases[_i].code, cases[_i].text);
	else
		bt_reads(bt_open());
	bt_close();
}
END_TEST

/* The state of a decrypted volume is believed only if its boot sector is there. */
START_TEST(not_decrypted)
{
	struct bl_spec s = bt_ordinary;

	s.state = 1;
	bt_make(&s);
	bt.volume[BL_HEADER_AT + 510] ^= 1;
	bt_fails(bt_open(), EUCLEAN, "without a boot sector in plain");
	bt_close();
}
END_TEST

/* Bytes that are said to be encrypted past the end of a volume are not there; a disk may have
 * shrunk. */
START_TEST(encrypted_past_the_end)
{
	bt_make(&bt_ordinary);
	for (unsigned i = 0; i < 3; i++)
		store_le64(bt.volume + bl_copies[i] + BL_AT_ENCRYPTED, UINT64_MAX - 511);
	bl_seal(bt.volume);
	bt_reads(bt_open());
	bt_close();
}
END_TEST

Suite *bitlocker_suite(void)
{
	TCase *tc = tcase_create("bitlocker");

	tcase_add_loop_test(tc, methods, 0, 24);
	tcase_add_test(tc, sector_size_is_found);
	tcase_add_test(tc, odd_end);
	tcase_add_loop_test(tc, many_threads, 0, 2);
	tcase_add_test(tc, extents);
	tcase_add_test(tc, read_errors);
	tcase_add_loop_test(tc, password, 0, 3);
	tcase_add_loop_test(tc, recovery_password, 0, 3);
	tcase_add_loop_test(tc, no_recovery_password, 0, 8);
	tcase_add_test(tc, startup_key_file);
	tcase_add_test(tc, damaged_startup_key);
	tcase_add_test(tc, one_of_several);
	tcase_add_test(tc, one_for_another);
	tcase_add_test(tc, locked);
	tcase_add_test(tc, too_many_protectors);
	tcase_add_loop_test(tc, states, 0, 13);
	tcase_add_test(tc, not_decrypted);
	tcase_add_test(tc, encrypted_past_the_end);
	return suite_of("bitlocker", tc);
}
