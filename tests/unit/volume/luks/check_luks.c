/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_luks.c - LUKS1 disks of luks-make.c, valid and damaged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "common/fault_io.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "luks-make.h"
#include "volume/luks/luks.h"
#include "io/passphrase.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "view/view.h"

#define SECTOR   512
#define DISK_LEN (7 * SECTOR)

#define AT_SLOT(i, field) (LUKS_AT_SLOTS + (i)*LUKS_SLOT_SIZE + (field))

static const struct luks_spec plain_spec = {.cipher = "aes",
	.mode = "cbc-plain64",
	.hash = "sha256",
	.key_len = 16,
	.passphrases = {[0] = "first", [5] = "sixth"},
	.iterations = 10};

/* The image file, and the plain disk. */
static unsigned char *file, disk[DISK_LEN];
static size_t header_len, file_len;
static struct subject s;

static void make(const struct luks_spec *spec)
{
	free(file);
	file = luks_make(spec, &header_len);
	ck_assert_ptr_nonnull(file);
	file_len = header_len + DISK_LEN;
	file = realloc(file, file_len);
	fill_pattern(disk, DISK_LEN, 3);
	memcpy(file + header_len, disk, DISK_LEN);
	ck_assert_int_eq(luks_encrypt(spec, file + header_len, DISK_LEN, 0), 0);
}

static void set_up(void)
{
	subject_new(&s, NULL);
	make(&plain_spec);
}

static void tear_down(void)
{
	subject_free(&s);
	free(file);
}

static struct passphrase secret_of(const char *text)
{
	return (struct passphrase){.bytes = (unsigned char *)text, .len = strlen(text)};
}

static void opens_with(const char *passphrase)
{
	struct passphrase secret = secret_of(passphrase);
	unsigned char buf[DISK_LEN];
	struct err e = ERR_INIT;

	s.o.secrets = &secret;
	subject_opens(&s, file, file_len);
	ck_assert_str_eq(s.img->format->name, "luks");
	ck_assert_uint_eq(s.img->states[0]->view->size, DISK_LEN);
	ck_assert_ok(view_read(s.img->states[0]->view, buf, DISK_LEN, 0, &e), &e);
	ck_assert_mem_eq(buf, disk, DISK_LEN);
}

static void refuses_with(const char *passphrase, int code, const char *text)
{
	struct passphrase secret = secret_of(passphrase);

	s.o.secrets = &secret;
	subject_refuses(&s, file, file_len, code, text);
}

static void put32(size_t pos, uint32_t v)
{
	v = htobe32(v);
	memcpy(file + pos, &v, sizeof v);
}

static const struct luks_spec good[] = {
	{"aes", "xts-plain64", "sha256", 64, {"pass"}, 0},
	{"aes", "xts-plain64", "sha512", 48, {"pass"}, 3},
	{"aes", "xts-plain", "sha1", 32, {"pass"}, 1},
	{"aes", "cbc-essiv:sha256", "sha1", 16, {"pass"}, 3},
	{"aes", "cbc-plain", "ripemd160", 32, {"pass"}, 3},
	{"aes", "cbc-plain64", "md5", 24, {"pass"}, 3}, /* the key material ends inside a sector */
	{"aes", "ecb-plain64", "sha224", 32, {"pass"}, 3},
	{"aes", "ctr-plain64", "sha384", 32, {"pass"}, 3},
	{"camellia", "xts-plain64", "sha256", 64, {"pass"}, 3},
	{"aes", "cbc-plain64", "sha256", 16, {[7] = "pass"}, 3},
	{"aes", "cbc-plain64", "sha256", 16, {"a", "b", "c", "d", "e", "f", "g", "pass"}, 3},
};

START_TEST(reads_expected_data)
{
	make(&good[_i]);
	opens_with("pass");
	refuses_with("Pass", EKEYREJECTED, "no key slot opens with this passphrase");
}
END_TEST

START_TEST(any_slot_opens)
{
	opens_with("first");
	opens_with("sixth");
}
END_TEST

START_TEST(wrong_passphrases_are_refused)
{
	static const char *const wrong[] = {
		"firs", "firstt", "First", " first", "first\n\n", "first\r", "first\r\n", "\n"};

	for (size_t i = 0; i < COUNT(wrong); i++)
		refuses_with(wrong[i], EKEYREJECTED, "no key slot opens");
}
END_TEST

START_TEST(without_a_passphrase)
{
	subject_refuses(&s, file, file_len, ENOKEY, "encrypted (LUKS), and no passphrase");
	ck_assert_ptr_nonnull(strstr(hint_of(&s.e), "-o passphrase-file="));
}
END_TEST

/* A newline at the end of a passphrase may or may not belong to it. */
START_TEST(newlines)
{
	struct luks_spec spec = plain_spec;

	opens_with("first\n");
	spec.passphrases[0] = "first\n";
	make(&spec);
	opens_with("first\n");
	opens_with("first\n\n");
	refuses_with("first", EKEYREJECTED, "no key slot");
	spec.passphrases[0] = "";
	make(&spec);
	opens_with("\n");
}
END_TEST

START_TEST(all_passphrases_are_tried)
{
	struct passphrase third = secret_of("sixth\n"), second = secret_of("other"),
			  one = secret_of("wrong");

	one.next = &second;
	s.o.secrets = &one;
	subject_refuses(&s, file, file_len, EKEYREJECTED, "no key slot");
	second.next = &third;
	subject_opens(&s, file, file_len);
}
END_TEST

START_TEST(long_passphrase)
{
	struct luks_spec spec = plain_spec;
	char *text = malloc(SECRET_MAX + 1);

	memset(text, 'x', SECRET_MAX);
	text[SECRET_MAX] = '\0';
	spec.passphrases[0] = text;
	make(&spec);
	opens_with(text);
	text[SECRET_MAX - 1] = 'y';
	refuses_with(text, EKEYREJECTED, "no key slot");
	free(text);
}
END_TEST

/* All sectors are data: ciphertext has no holes. */
START_TEST(no_holes)
{
	struct extent x;

	opens_with("first");
	x = subject_extent(s.img->states[0]->view, 700);
	ck_assert(x.kind == EXTENT_CRYPT && x.len == DISK_LEN - 700);
	ck_assert_uint_eq(view_stored(s.img->states[0]->view), DISK_LEN);
}
END_TEST

START_TEST(partial_last_sector_is_ignored)
{
	struct passphrase secret = secret_of("first");

	s.o.secrets = &secret;
	for (size_t cut = 1; cut < SECTOR; cut += 17) {
		subject_opens(&s, file, file_len - cut);
		ck_assert_uint_eq(s.img->states[0]->view->size, DISK_LEN - SECTOR);
	}
	subject_opens(&s, file, header_len);
	ck_assert_uint_eq(s.img->states[0]->view->size, 0);
}
END_TEST

START_TEST(short_files)
{
	struct passphrase secret = secret_of("first");

	s.o.secrets = &secret;
	for (size_t len = 0; len < header_len; len += len < LUKS1_HEADER ? 1 : 4099) {
		s.o.format = "luks";
		subject_refuses(&s, file, len, EINVAL, "");
	}
	s.o.secrets = NULL;
}
END_TEST

/* A field of plain_spec's image with a value that must be refused; the version has 16 bits. */
static const struct {
	size_t pos;
	uint32_t value;
	int code;
	const char *text;
} hostile[] = {
	{LUKS_AT_VERSION - 2, 0xbabe0000, ENOTSUP, "LUKS version 0"},
	{LUKS_AT_VERSION - 2, 0xbabe0002, EINVAL, "a header of"},
	{LUKS_AT_VERSION - 2, 0xbabeffff, ENOTSUP, "LUKS version 65535"},
	{LUKS_AT_CIPHER, 0x78787878, ENOTSUP, "cipher \"xxxx\""},
	{LUKS_AT_CIPHER, 0, ENOTSUP, "cipher \"\""},
	{LUKS_AT_CIPHER + 28, 0x78787878, EINVAL, "cipher's name does not end"},
	{LUKS_AT_MODE, 0x78787878, ENOTSUP, "mode \"xxxxplain64\""},
	{LUKS_AT_MODE + 28, 0x78787878, EINVAL, "cipher's mode does not end"},
	{LUKS_AT_HASH, 0x78787878, ENOTSUP, "hash \"xxxx56\""},
	{LUKS_AT_HASH + 28, 0x78787878, EINVAL, "hash's name does not end"},
	{LUKS_AT_UUID + 36, 0x78787878, EINVAL, "UUID does not end"},
	{LUKS_AT_PAYLOAD, 0, ENOTSUP, "detached"},
	{LUKS_AT_PAYLOAD, 1, EINVAL, "pass the start of the data"},
	{LUKS_AT_PAYLOAD, 1028, EINVAL, "pass the start of the data"},
	{LUKS_AT_PAYLOAD, 1040, EINVAL, "before the encrypted data"},
	{LUKS_AT_PAYLOAD, 0xffffffff, EINVAL, "before the encrypted data"},
	{LUKS_AT_KEY_LEN, 0, EINVAL, "a key of 0 bytes"},
	{LUKS_AT_KEY_LEN, 1, EINVAL, "a key of 1 bytes"},
	{LUKS_AT_KEY_LEN, 65, EINVAL, "a key of 65 bytes"},
	{LUKS_AT_KEY_LEN, 0xffffffff, EINVAL, "a key of 4294967295 bytes"},
	{LUKS_AT_KEY_LEN, 32, EINVAL, "overlaps"},
	{LUKS_AT_ITERATIONS, 0, EINVAL, "no iterations"},
	{LUKS_AT_ITERATIONS, 0xffffffff, EFBIG, "4294967295 iterations"},
	{AT_SLOT(0, 0), 0, EINVAL, "key slot 0: its state"},
	{AT_SLOT(7, 0), 0xffffffff, EINVAL, "key slot 7: its state"},
	{AT_SLOT(0, LUKS_SLOT_ITERATIONS), 0, EINVAL, "key slot 0: no iterations"},
	{AT_SLOT(5, LUKS_SLOT_ITERATIONS), 0xffffffff, EFBIG, "key slot 5: to try"},
	{AT_SLOT(0, LUKS_SLOT_SECTOR), 0, EINVAL, "key slot 0: its key material is in the header"},
	{AT_SLOT(0, LUKS_SLOT_SECTOR), 7, EINVAL, "in the header"},
	{AT_SLOT(0, LUKS_SLOT_SECTOR), 12, EINVAL, "key slot 1: its key material overlaps slot 0"},
	{AT_SLOT(2, LUKS_SLOT_SECTOR), 136, EINVAL, "key slot 2: its key material overlaps slot 1"},
	{AT_SLOT(7, LUKS_SLOT_SECTOR), 908, EINVAL, "key slot 7"},
	{AT_SLOT(7, LUKS_SLOT_SECTOR), 0xffffffff, EINVAL, "key slot 7"},
	{AT_SLOT(0, LUKS_SLOT_STRIPES), 3999, EINVAL, "key slot 0: 3999 stripes"},
	{AT_SLOT(7, LUKS_SLOT_STRIPES), 0, EINVAL, "key slot 7: 0 stripes"},
	{AT_SLOT(0, LUKS_SLOT_STRIPES), 0xffffffff, EINVAL, "4294967295 stripes"},
};

START_TEST(hostile_headers)
{
	put32(hostile[_i].pos, hostile[_i].value);
	refuses_with("first", hostile[_i].code, hostile[_i].text);
}
END_TEST

/* The salt and the iterations of a disabled key slot are ignored, as is the UUID. */
START_TEST(harmless_fields)
{
	put32(AT_SLOT(1, LUKS_SLOT_ITERATIONS), 0xffffffff);
	put32(AT_SLOT(1, 8), 0xffffffff);
	put32(LUKS_AT_UUID, 0);
	opens_with("first");
}
END_TEST

/* Damage to any part of a key slot disables this slot only. */
START_TEST(damaged_slots)
{
	static const size_t places[] = {AT_SLOT(0, 8), AT_SLOT(0, 39), 8 * SECTOR,
		8 * SECTOR + 16 * 2000, 8 * SECTOR + 16 * 4000 - 1, LUKS_AT_DIGEST};

	file[places[_i]] ^= 1;
	refuses_with("first", EKEYREJECTED, "no key slot");
	if (places[_i] != LUKS_AT_DIGEST)
		opens_with("sixth");
}
END_TEST

/* Opens the header only: trying the passphrase would take too long. */
static int read_header(struct err *e)
{
	struct io *io = io_from_memory(file, file_len, "file", e);
	struct luks l;
	int r = luks_read(&l, io, 0, file_len, e);

	io_unref(io);
	return r;
}

/* With these digests and key lengths, one iteration is one digest; the limit counts digests. */
START_TEST(iterations_are_limited)
{
	struct err e = ERR_INIT;

	put32(LUKS_AT_ITERATIONS, 5);
	put32(AT_SLOT(5, LUKS_SLOT_ITERATIONS), LUKS_MAX_WORK - 5);
	ck_assert_ok(read_header(&e), &e);
	put32(AT_SLOT(5, LUKS_SLOT_ITERATIONS), LUKS_MAX_WORK - 4);
	ck_assert_fails(read_header(&e), EFBIG, &e, "key slot 5: to try a passphrase");
}
END_TEST

/* Three slots reach the limit of iterations, a fourth exceeds it. */
START_TEST(iterations_of_all_slots_are_limited)
{
	struct luks_spec spec = plain_spec;
	struct err e = ERR_INIT;

	ck_assert_uint_eq(LUKS_MAX_ALL_WORK, 3 * LUKS_MAX_WORK);
	spec.passphrases[1] = spec.passphrases[2] = "x";
	make(&spec);
	put32(LUKS_AT_ITERATIONS, 1);
	put32(AT_SLOT(0, LUKS_SLOT_ITERATIONS), LUKS_MAX_WORK - 1);
	put32(AT_SLOT(1, LUKS_SLOT_ITERATIONS), LUKS_MAX_WORK - 1);
	put32(AT_SLOT(2, LUKS_SLOT_ITERATIONS), LUKS_MAX_WORK - 10);
	put32(AT_SLOT(5, LUKS_SLOT_ITERATIONS), 8);
	ck_assert_ok(read_header(&e), &e);
	put32(AT_SLOT(5, LUKS_SLOT_ITERATIONS), 9);
	ck_assert_fails(read_header(&e), EFBIG, &e, "key slot 5: to try a passphrase");
}
END_TEST

/* Each read fails in turn; the error must be returned, not reported as a wrong passphrase. */
static bool read_with_fault(unsigned nth, enum fault fault)
{
	struct image_options o = options_new();
	struct passphrase secret = secret_of("first");
	struct io *io = fault_io_new(file, file_len);
	unsigned char buf[DISK_LEN];
	struct err e = ERR_INIT;
	struct image *img = NULL;
	bool failed;
	int r;

	o.secrets = &secret;
	io_ref(io);
	fault_io_arm(io, nth, fault);
	r = image_open_io(io, &o, &img, &e);
	if (r == 0)
		r = view_read(img->states[0]->view, buf, DISK_LEN, 0, &e);
	failed = fault_io_failed(io);
	ck_assert_int_eq(r, failed ? -EIO : 0);
	image_close(img);
	io_unref(io);
	options_free(&o);
	return failed;
}

START_TEST(every_read_fails_once)
{
	unsigned n = 1;

	while (read_with_fault(n, _i ? FAULT_SHORT : FAULT_EIO))
		n++;
	ck_assert_uint_gt(n, 4); /* head, tail, header, key material, data */
}
END_TEST

Suite *luks_suite(void)
{
	TCase *tc = tcase_create("luks");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, reads_expected_data, 0, COUNT(good));
	tcase_add_test(tc, any_slot_opens);
	tcase_add_test(tc, wrong_passphrases_are_refused);
	tcase_add_test(tc, without_a_passphrase);
	tcase_add_test(tc, newlines);
	tcase_add_test(tc, all_passphrases_are_tried);
	tcase_add_test(tc, long_passphrase);
	tcase_add_test(tc, no_holes);
	tcase_add_test(tc, partial_last_sector_is_ignored);
	tcase_add_test(tc, short_files);
	tcase_add_loop_test(tc, hostile_headers, 0, COUNT(hostile));
	tcase_add_test(tc, harmless_fields);
	tcase_add_loop_test(tc, damaged_slots, 0, 6);
	tcase_add_test(tc, iterations_are_limited);
	tcase_add_test(tc, iterations_of_all_slots_are_limited);
	tcase_add_loop_test(tc, every_read_fails_once, 0, 2);
	return suite_of("luks", tc);
}
