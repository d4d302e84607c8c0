/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_luks2.c - LUKS2 disks of luks2-make.c, valid and damaged. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "io/passphrase.h"
#include "luks2-make.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "view/view.h"
#include "volume/luks/header-file.h"
#include "volume/luks/luks.h"

#define DISK_LEN (48u << 10)
#define FILE_LEN (LUKS2_MAKE_DATA + DISK_LEN)

static const struct luks2_spec plain_spec = {.encryption = "aes-xts-plain64",
	.key_len = 64,
	.sector_size = 4096,
	.hash = "sha256",
	.kdf = "pbkdf2",
	.passphrase = "pass",
	.label = "a label"};

static unsigned char *file, disk[DISK_LEN];
static struct passphrase secret = {.bytes = (unsigned char *)"pass", .len = 4};
static struct subject s;

static void make(const struct luks2_spec *spec)
{
	free(file);
	file = luks2_make(spec);
	ck_assert_ptr_nonnull(file);
	file = realloc(file, FILE_LEN);
	fill_pattern(disk, DISK_LEN, 3);
	memcpy(file + LUKS2_MAKE_DATA, disk, DISK_LEN);
	ck_assert_int_eq(luks2_encrypt(spec, file + LUKS2_MAKE_DATA, DISK_LEN, 0), 0);
}

static void set_up(void)
{
	subject_new(&s, "luks");
	s.o.secrets = &secret;
	make(&plain_spec);
}

static void tear_down(void)
{
	subject_free(&s);
	free(file);
}

static void opens(void)
{
	const struct view *v = subject_opens(&s, file, FILE_LEN);
	unsigned char buf[DISK_LEN];
	struct err e = ERR_INIT;

	ck_assert_uint_eq(v->size, DISK_LEN);
	ck_assert_ok(view_read(v, buf, DISK_LEN, 0, &e), &e);
	ck_assert_mem_eq(buf, disk, DISK_LEN);
}

static void refuses(int code, const char *text)
{
	subject_refuses(&s, file, FILE_LEN, code, text);
}

static void edit(const char *from, const char *to)
{
	ck_assert(luks2_edit(file, 0, from, to));
	ck_assert(luks2_edit(file, 1, from, to));
}

static const struct luks2_spec good[] = {
	{"aes-xts-plain64", 64, 512, 0, "sha256", "pbkdf2", "pass", NULL},
	{"aes-xts-plain64", 64, 1024, 0, "sha512", "argon2id", "pass", NULL},
	{"aes-xts-plain64", 32, 2048, 8, "sha1", "argon2i", "pass", NULL},
	{"aes-xts-plain64", 64, 4096, 3, "sha256", "argon2id", "pass", NULL},
	{"aes-xts-plain", 48, 4096, UINT32_MAX - 3, "sha384", "pbkdf2", "pass", NULL},
	{"aes-xts-plain64be", 64, 4096, UINT64_C(1) << 40, "sha256", "pbkdf2", "pass", NULL},
	{"aes-cbc-essiv:sha256", 32, 4096, 0, "sha256", "pbkdf2", "pass", NULL},
	{"aes-cbc-plain64", 16, 512, 0, "ripemd160", "pbkdf2", "pass", NULL},
	{"camellia-xts-plain64", 64, 4096, 0, "sha224", "pbkdf2", "pass", NULL},
	{"aria-cbc-plain64", 24, 4096, 0, "sha256", "pbkdf2", "pass", NULL},
	{"sm4-xts-plain64", 32, 4096, 0, "sha256", "pbkdf2", "pass", NULL},
};

START_TEST(reads_expected_data)
{
	struct passphrase wrong = {.bytes = (unsigned char *)"Pass", .len = 4};

	make(&good[_i]);
	opens();
	s.o.secrets = &wrong;
	refuses(EKEYREJECTED, "no key slot opens with this passphrase");
	s.o.secrets = NULL;
	refuses(ENOKEY, "encrypted (LUKS), and no passphrase");
}
END_TEST

/* Reads at odd offsets, by several threads. */
static void *read_at_odd_offsets(void *arg)
{
	const struct view *v = arg;
	unsigned char buf[DISK_LEN];
	uint64_t seed = (uintptr_t)&seed;
	struct err e = ERR_INIT;
	intptr_t wrong = 0;

	for (int i = 0; i < 300; i++) {
		size_t off = next_random(&seed) % DISK_LEN;
		size_t len = 1 + next_random(&seed) % (DISK_LEN - off);

		wrong += view_read(v, buf, len, off, &e) < 0 || memcmp(buf, disk + off, len) != 0;
	}
	return (void *)wrong;
}

START_TEST(threads_read_at_odd_offsets)
{
	pthread_t threads[4];
	void *wrong;

	make(&good[_i]);
	subject_opens(&s, file, FILE_LEN);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_create(&threads[i], NULL, read_at_odd_offsets, s.img->states[0]->view);
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
}
END_TEST

/* A segment may end before the device, and the device inside of a sector. */
START_TEST(sizes_of_data)
{
	const struct view *v;

	edit("\"dynamic\"", "\"8192\"");
	v = subject_opens(&s, file, FILE_LEN);
	ck_assert_uint_eq(v->size, 8192);
	subject_refuses(&s, file, LUKS2_MAKE_DATA + 8191, EINVAL, "ends at");
	edit("\"8192\"", "\"dynamic\"");
	v = subject_opens(&s, file, LUKS2_MAKE_DATA + 8191);
	ck_assert_uint_eq(v->size, 4096);
	subject_refuses(&s, file, LUKS2_MAKE_DATA - 1, EINVAL, "");
}
END_TEST

/* The data may begin at a place that is no multiple of its sectors. */
START_TEST(data_at_an_odd_sector)
{
	unsigned char buf[4096];
	const struct view *v;
	struct err e = ERR_INIT;

	edit("\"offset\":\"327680\"", "\"offset\":\"328192\"");
	memcpy(file + LUKS2_MAKE_DATA + 512, disk, 8192);
	luks2_encrypt(&plain_spec, file + LUKS2_MAKE_DATA + 512, 8192, 0);
	v = subject_opens(&s, file, FILE_LEN);
	ck_assert_uint_eq(v->size, DISK_LEN - 4096);
	ck_assert_ok(view_read(v, buf, 3000, 2000, &e), &e);
	ck_assert_mem_eq(buf, disk + 2000, 3000);
}
END_TEST

/* Copies of the header. */

static void put_sequence(unsigned copy, unsigned sequence)
{
	put_be(file + copy * LUKS2_MAKE_COPY + 16, 8, sequence);
	luks2_seal(file, copy);
}

START_TEST(newest_whole_copy_is_read)
{
	put_sequence(_i, 6);
	ck_assert(luks2_edit(file, !_i, "aes-xts-plain64", "old-xts-plain64"));
	opens();
	put_sequence(!_i, 7);
	refuses(EKEYREJECTED, "key slot 0: the cipher \"old\" is not supported");
}
END_TEST

START_TEST(one_copy_is_enough)
{
	unsigned char *p = file + _i * LUKS2_MAKE_COPY;

	p[5000] ^= 1;
	opens();
	memset(p, 0, LUKS2_MAKE_COPY);
	opens();
	file[!_i * LUKS2_MAKE_COPY + 8000] ^= 1;
	refuses(EINVAL, _i ? "checksum does not match" : "not a LUKS header");
}
END_TEST

/* The checksum is right, but the text is not. */
START_TEST(text_of_the_other_copy)
{
	ck_assert(luks2_edit(file, 0, "\"keyslots\"", "\"keyslot_\""));
	opens();
	put_sequence(0, 9);
	opens();
	ck_assert(luks2_edit(file, 1, "{", "["));
	refuses(EINVAL, "\"keyslots\" is missing");
}
END_TEST

START_TEST(sizes_of_copies)
{
	static const uint64_t sizes[] = {0, 4096, 16383, 24 << 10, 8 << 20, UINT64_MAX, 32 << 10};

	memset(file + LUKS2_MAKE_COPY, 0, LUKS2_MAKE_COPY);
	put_be(file + 8, 8, sizes[_i]);
	luks2_seal(file, 0);
	refuses(EINVAL, sizes[_i] == 32 << 10 ? "checksum" : "a header of");
}
END_TEST

/* Texts that are wrong or not supported; in both copies. */
static const struct {
	const char *from, *to;
	int code;
	const char *text;
} hostile[] = {
	{"{", "", EINVAL, "JSON text"},
	{"}}", "}", EINVAL, "JSON text"},
	{"{\"keyslots\"", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", EINVAL, "JSON text"},
	{"\"segments\":{\"0\"", "\"segments\":{\"1\"", EINVAL, "\"digests\""},
	{"\"segments\":{\"0\"", "\"segments\":{\"x\"", EINVAL, "\"segments\""},
	{"\"segments\":{", "\"segments\":{\"7\":{\"type\":\"crypt\"},", ENOTSUP, "2 segments"},
	{"\"crypt\"", "\"linear\"", ENOTSUP, "type \"linear\""},
	{"\"crypt\"", "\"hw-opal\"", ENOTSUP, "OPAL"},
	{"\"crypt\"", "\"hw-opal-crypt\"", ENOTSUP, "OPAL"},
	{"\"crypt\"", "7", EINVAL, "\"type\""},
	{"\"sector_size\"", "\"integrity\":{\"type\":\"hmac(sha256)\"},\"sector_size\"", ENOTSUP,
		"integrity"},
	{"\"sector_size\":4096", "\"sector_size\":0", EINVAL, "sectors of 0 bytes"},
	{"\"sector_size\":4096", "\"sector_size\":256", EINVAL, "sectors of 256 bytes"},
	{"\"sector_size\":4096", "\"sector_size\":8192", EINVAL, "sectors of 8192 bytes"},
	{"\"sector_size\":4096", "\"sector_size\":1536", EINVAL, "sectors of 1536 bytes"},
	{"\"sector_size\":4096", "\"sector_size\":-512", EINVAL, "\"sector_size\""},
	{"\"sector_size\":4096", "\"sector_size\":\"512\"", EINVAL, "\"sector_size\""},
	{"\"327680\"", "\"327681\"", EINVAL, "\"offset\""},
	{"\"327680\"", "\"18446744073709551104\"", EINVAL, "ends at"},
	{"\"327680\"", "\"18446744073709551616\"", EINVAL, "\"offset\""},
	{"\"327680\"", "\"-512\"", EINVAL, "\"offset\""},
	{"\"327680\"", "\"0\"", ENOTSUP, "detached"},
	{"\"327680\"", "327680", EINVAL, "\"offset\""},
	{"\"327680\"", "\"4096\"", EINVAL, "is in the header"},
	{"\"327680\"", "\"65536\"", EINVAL, "key material of slot 0"},
	{"\"327680\"", "\"327168\"", EINVAL, "key material of slot 0"},
	{"\"dynamic\"", "\"0\"", EINVAL, "\"size\""},
	{"\"dynamic\"", "\"100\"", EINVAL, "\"size\""},
	{"\"dynamic\"", "\"18446744073709547520\"", EINVAL, "ends at"},
	{"\"iv_tweak\":\"0\"", "\"iv_tweak\":\"x\"", EINVAL, "\"iv_tweak\""},
	{"plain64\",\"sector_size\"", "random\",\"sector_size\"", ENOTSUP, "IV generator"},
	{"\"encryption\":\"aes-xts-plain64\",\"sector_size\"",
		"\"encryption\":\"cipher_null-ecb\",\"sector_size\"", ENOTSUP, "cipher_null"},
	{"\"encryption\":\"aes-xts-plain64\",\"sector_size\"",
		"\"encryption\":\"capi:xts(aes)-plain64\",\"sector_size\"", ENOTSUP, "capi"},
	{"\"encryption\":\"aes-xts-plain64\",\"sector_size\"",
		"\"encryption\":\"\",\"sector_size\"", ENOTSUP, "cipher \"\""},
	{"\"encryption\":\"aes-xts-plain64\",\"sector_size\"",
		"\"encryption\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-x\",\"sector_size\"",
		EINVAL, "\"encryption\""},
	{"\"json_size\"",
		"\"requirements\":{\"mandatory\":[\"online-reencrypt-v2\"]},\"json_size\"", ENOTSUP,
		"being changed (\"online-reencrypt-v2\")"},
	{"\"json_size\"", "\"requirements\":{\"mandatory\":[\"opal\"]},\"json_size\"", ENOTSUP,
		"requirement \"opal\""},
	{"\"json_size\"", "\"requirements\":{\"mandatory\":[{}]},\"json_size\"", EINVAL,
		"\"mandatory\""},
	{"\"json_size\"", "\"requirements\":{\"mandatory\":\"x\"},\"json_size\"", EINVAL,
		"\"mandatory\""},
	{"\"digests\":{\"0\":{\"type\":\"pbkdf2\"", "\"digests\":{\"0\":{\"type\":\"other\"",
		ENOTSUP, "digest: the type \"other\""},
	{"\"segments\":[\"0\"]", "\"segments\":[0]", EINVAL, "\"digests\""},
	{"\"segments\":[\"0\"]", "\"segments\":{}", EINVAL, "\"digests\""},
	{"\"digest\":\"", "\"digest\":\"AAA", EINVAL, "\"digest\""},
	{"\"digest\":\"", "\"digest\":\"====", EINVAL, "\"digest\""},
	{"\"digest\":\"", "\"digest\":\"\",\"x\":\"", EINVAL, "\"digest\""},
	{"\"digest\":\"", "\"digest\":\"AAAA\",\"x\":\"", EINVAL, "\"digest\""},
	{"\"keyslots\":[\"0\"]", "\"keyslots\":[\"1\"]", EKEYREJECTED, "no key slot opens"},
	{"\"keyslots\":[\"0\"]", "\"keyslots\":7", EKEYREJECTED, "no key slot opens"},
	{"\"type\":\"luks2\"", "\"type\":\"reencrypt\"", EKEYREJECTED,
		"key slot 0: the type \"reencrypt\" is not supported"},
	{"\"key_size\":64", "\"key_size\":0", EINVAL, "key slot 0: a key of 0 bytes"},
	{"\"key_size\":64", "\"key_size\":65", EINVAL, "key slot 0: a key of 65 bytes"},
	{"\"key_size\":64", "\"key_size\":4294967296", EINVAL, "\"key_size\""},
	{"\"key_size\":64", "\"key_size\":17", EINVAL, "key of 17 bytes does not fit"},
	{"\"stripes\":4000", "\"stripes\":1", EINVAL, "1 stripes"},
	{"\"offset\":\"65536\"", "\"offset\":\"0\"", EINVAL, "key slot 0: its key material"},
	{"\"offset\":\"65536\"", "\"offset\":\"18446744073709551615\"", EINVAL, "its key material"},
	{"\"size\":\"262144\"", "\"size\":\"255999\"", EINVAL, "an area of 255999 bytes"},
	{"\"size\":\"262144\"", "\"size\":\"18446744073709551615\"", EINVAL, "its key material"},
	{"\"raw\"", "\"journal\"", EKEYREJECTED, "the area \"journal\""},
	{"\"luks1\"", "\"other\"", EKEYREJECTED, "the splitter \"other\""},
	{"\"kdf\":{\"type\":\"pbkdf2\"", "\"kdf\":{\"type\":\"scrypt\"", EKEYREJECTED,
		"the key derivation \"scrypt\""},
	{"\"iterations\":7", "\"iterations\":0", EINVAL, "key slot 0: no iterations"},
	{"\"iterations\":7", "\"iterations\":4294967295", EFBIG, "would take too long"},
	{"\"iterations\":7", "\"iterations\":7.5", EINVAL, "\"iterations\""},
	{"\"salt\":\"YSB", "\"salt\":\"YSBYSB", EINVAL, "\"salt\""},
	{"\"kdf\":{", "\"kdf\":{\"type\":\"argon2id\",\"x\":{", EINVAL, "JSON"},
	{"\"hash\":\"sha256\"}", "\"hash\":\"tiger\"}", EKEYREJECTED, "the hash \"tiger\""},
	{"\"type\":\"luks2\"", "\"type\":\"luks2\",\"priority\":\"x\"", EINVAL, "\"priority\""},
};

START_TEST(hostile_texts)
{
	edit(hostile[_i].from, hostile[_i].to);
	refuses(hostile[_i].code, hostile[_i].text);
}
END_TEST

/* Additions of other programs. */
static const char *const harmless[][2] = {
	{"\"tokens\":{}", "\"tokens\":{\"0\":{\"type\":\"systemd-tpm2\",\"keyslots\":[\"0\"]}}"},
	{"\"type\":\"luks2\"", "\"type\":\"luks2\",\"priority\":2"},
	{"\"type\":\"luks2\"", "\"type\":\"luks2\",\"priority\":0"},
	{"\"json_size\"", "\"requirements\":{},\"flags\":[\"allow-discards\"],\"json_size\""},
	{"\"json_size\"", "\"requirements\":{\"mandatory\":[]},\"json_size\""},
	{"\"segments\":{",
		"\"segments\":{\"9\":{\"type\":\"linear\",\"flags\":[\"backup-final\"]},"},
	{"\"keyslots\":{", "\"keyslots\":{\"5\":{\"type\":\"luks2\"},"},
};

START_TEST(harmless_texts)
{
	edit(harmless[_i][0], harmless[_i][1]);
	opens();
}
END_TEST

/* Memory and time of Argon2. */
static const struct {
	const char *from, *to;
	int code;
	const char *text;
} costly[] = {
	{"\"memory\":64", "\"memory\":1310721", EKEYREJECTED, "key slot 0: it needs 1280 MiB"},
	{"\"memory\":64", "\"memory\":9000000", EKEYREJECTED, "it needs 8789 MiB of memory"},
	{"\"memory\":64", "\"memory\":4294967295", EFBIG, "would take too long"},
	{"\"memory\":64", "\"memory\":8", EKEYREJECTED, "Argon2"},
	{"\"time\":7", "\"time\":4294967295", EFBIG, "would take too long"},
	{"\"time\":7", "\"time\":0", EINVAL, "no iterations"},
	{"\"cpus\":2", "\"cpus\":0", EINVAL, "\"cpus\""},
	{"\"cpus\":2", "\"cpus\":65", EINVAL, "\"cpus\""},
};

START_TEST(cost_is_limited)
{
	struct luks2_spec spec = plain_spec;

	spec.kdf = "argon2id";
	make(&spec);
	edit(costly[_i].from, costly[_i].to);
	refuses(costly[_i].code, costly[_i].text);
}
END_TEST

START_TEST(memory_that_is_allowed)
{
	struct luks2_spec spec = plain_spec;

	spec.kdf = "argon2i";
	make(&spec);
	s.o.luks_memory = 63 << 10;
	refuses(EKEYREJECTED, "it needs 0 MiB of memory");
	s.o.luks_memory = 64 << 10;
	opens();
}
END_TEST

/* A text of too many values is not given to the parser. */
START_TEST(texts_of_many_values)
{
	char *many = malloc(LUKS2_MAX_OBJECTS + 200);

	strcpy(many, "\"tokens\":{\"0\":\"");
	memset(many + strlen(many), '[', LUKS2_MAX_OBJECTS);
	strcpy(many + 15 + LUKS2_MAX_OBJECTS, "\"}");
	edit("\"tokens\":{}", many);
	refuses(EFBIG, "JSON text has");
	free(many);
}
END_TEST

/* Headers in files. */

START_TEST(header_in_a_file)
{
	struct luks_header_file header = {.uuid = ""};
	struct err e = ERR_INIT;
	unsigned char *copy = malloc(LUKS2_MAKE_DATA);

	memcpy(copy, file, LUKS2_MAKE_DATA);
	header.io = io_from_memory(copy, LUKS2_MAKE_DATA, "header", &e);
	s.o.luks_headers = &header;
	memset(file, 0, LUKS2_MAKE_DATA);
	opens();
	/* A header of another UUID stays in use, unless the file names it. */
	make(&plain_spec);
	memcpy(file + 168, "99", 2);
	memcpy(file + LUKS2_MAKE_COPY + 168, "99", 2);
	luks2_seal(file, 0);
	luks2_seal(file, 1);
	memset(file + (64 << 10), 0, 4096);
	refuses(EKEYREJECTED, "no key slot");
	strcpy(header.uuid, "99234567-89ab-cdef-0123-456789abcdef");
	opens();
	strcpy(header.uuid, LUKS2_MAKE_UUID);
	refuses(EKEYREJECTED, "no key slot");
	s.o.luks_headers = NULL;
	io_unref(header.io);
	free(copy);
}
END_TEST

START_TEST(passphrases_of_one_uuid)
{
	struct passphrase other = {.bytes = (unsigned char *)"pass", .len = 4};

	strcpy(other.uuid, "99234567-89ab-cdef-0123-456789abcdef");
	s.o.secrets = &other;
	refuses(ENOKEY, "no passphrase was given");
	strcpy(other.uuid, LUKS2_MAKE_UUID);
	opens();
}
END_TEST

START_TEST(every_read_fails_once)
{
	subject_faults(&s, file, FILE_LEN, 5);
}
END_TEST

START_TEST(short_files)
{
	for (size_t len = 0; len < LUKS2_MAKE_DATA; len += len < 8192 ? 257 : 4099)
		subject_refuses(&s, file, len, EINVAL, "");
}
END_TEST

Suite *luks2_suite(void)
{
	TCase *tc = tcase_create("luks2");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, reads_expected_data, 0, COUNT(good));
	tcase_add_loop_test(tc, threads_read_at_odd_offsets, 0, 4);
	tcase_add_test(tc, sizes_of_data);
	tcase_add_test(tc, data_at_an_odd_sector);
	tcase_add_loop_test(tc, newest_whole_copy_is_read, 0, 2);
	tcase_add_loop_test(tc, one_copy_is_enough, 0, 2);
	tcase_add_test(tc, text_of_the_other_copy);
	tcase_add_loop_test(tc, sizes_of_copies, 0, 7);
	tcase_add_loop_test(tc, hostile_texts, 0, COUNT(hostile));
	tcase_add_loop_test(tc, harmless_texts, 0, COUNT(harmless));
	tcase_add_loop_test(tc, cost_is_limited, 0, COUNT(costly));
	tcase_add_test(tc, memory_that_is_allowed);
	tcase_add_test(tc, texts_of_many_values);
	tcase_add_test(tc, header_in_a_file);
	tcase_add_test(tc, passphrases_of_one_uuid);
	tcase_add_test(tc, every_read_fails_once);
	tcase_add_test(tc, short_files);
	return suite_of("luks2", tc);
}
