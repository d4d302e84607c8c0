/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decryption of data that luks-make.c encrypts sector by sector, and reads through struct crypt. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "io/crypt.h"
#include "util/err.h"
#include "io/io.h"
#include "luks-make.h"
#include "common/unit.h"
#include "view/view.h"

#define SECTORS 8
#define LEN     (SECTORS * CRYPT_SECTOR)

static const struct {
	const char *cipher, *mode;
	size_t key_len;
} known[] = {
	{"aes", "xts-plain64", 32},
	{"aes", "xts-plain64", 48},
	{"aes", "xts-plain64", 64},
	{"aes", "xts-plain", 64},
	{"aes", "xts-essiv:sha256", 48},
	{"aes", "xts-essiv:sha256", 64},
	{"aes", "cbc-plain", 16},
	{"aes", "cbc-plain64", 24},
	{"aes", "cbc-plain64", 32},
	{"aes", "cbc-plain64:sha1", 32},
	{"aes", "cbc-essiv:sha256", 16},
	{"aes", "cbc-essiv:sha256", 24},
	{"aes", "cbc-essiv:md5", 32},
	{"aes", "ecb", 16},
	{"aes", "ecb-plain64", 32},
	{"aes", "ctr-plain64", 16},
	{"aes", "ctr-essiv:sha256", 32},
	{"camellia", "xts-plain64", 64},
	{"camellia", "cbc-essiv:sha256", 16},
	{"aria", "xts-plain64", 32},
	{"aria", "ctr-plain64", 24},
	{"sm4", "cbc-plain64", 16},
	{"sm4", "xts-plain64", 32},
	{"aes", "cbc-plain64be", 32},
	{"aes", "xts-plain64be", 64},
	{"aes", "cbc-eboiv", 16},
	{"aes", "cbc-eboiv", 32},
	{"aes", "cbc-elephant", 32},
	{"aes", "cbc-elephant", 64},
};

static void make(size_t i, struct crypt **c)
{
	struct err e = ERR_INIT;

	ck_assert_ok(
		crypt_new(known[i].cipher, known[i].mode, luks_master, known[i].key_len, c, &e),
		&e);
}

static void encrypt(size_t i, void *buf, size_t len, uint64_t sector)
{
	ck_assert_int_eq(luks_encrypt_with(known[i].cipher, known[i].mode, luks_master,
				 known[i].key_len, buf, len, sector),
		0);
}

/* Sector numbers at which a digit carries, in 32 and in 64 bits. */
START_TEST(decrypts)
{
	static const uint64_t starts[] = {0, 1, 255, 65534, UINT32_MAX - 1, (uint64_t)1 << 40,
		UINT64_MAX / CRYPT_SECTOR - SECTORS};
	unsigned char plain[LEN], buf[LEN];
	struct err e = ERR_INIT;
	struct crypt *c;

	make(_i, &c);
	fill_pattern(plain, LEN, _i);
	for (size_t k = 0; k < COUNT(starts); k++) {
		memcpy(buf, plain, LEN);
		encrypt(_i, buf, LEN, starts[k]);
		ck_assert_mem_ne(buf, plain, LEN);
		ck_assert_ok(crypt_convert(c, CRYPT_DECRYPT, buf, LEN, starts[k], &e), &e);
		ck_assert_mem_eq(buf, plain, LEN);
		ck_assert_ok(crypt_convert(c, CRYPT_ENCRYPT, buf, LEN, starts[k], &e), &e);
		encrypt(_i, plain, LEN, starts[k]);
		ck_assert_mem_eq(buf, plain, LEN);
		ck_assert_ok(crypt_convert(c, CRYPT_DECRYPT, plain, LEN, starts[k], &e), &e);
	}
	crypt_free(c);
}
END_TEST

/* Sectors of other sizes, in all ciphers and modes. */
START_TEST(large_sectors)
{
	unsigned char plain[LEN], buf[LEN];
	struct err e = ERR_INIT;

	fill_pattern(plain, LEN, _i);
	for (unsigned k = 0; k < 8; k++) {
		struct luks_sectors s = {.size = 512u << k % 4, .first = 77};
		struct crypt *c;

		s.step = k < 4 ? s.size / 512 : 1;
		make(_i, &c);
		crypt_set_sectors(c, s.size, 0, k >= 4);
		ck_assert_uint_eq(crypt_sector_number(c, 9 * s.size - 1), 8 * s.step);
		memcpy(buf, plain, LEN);
		luks_encrypt_sectors(known[_i].cipher, known[_i].mode, luks_master,
			known[_i].key_len, buf, LEN, &s);
		ck_assert_ok(crypt_convert(c, CRYPT_DECRYPT, buf, LEN, 77, &e), &e);
		ck_assert_mem_eq(buf, plain, LEN);
		crypt_free(c);
	}
}
END_TEST

/* Every start and end, aligned to a sector or not. */
START_TEST(reads_any_range)
{
	unsigned char plain[LEN], file[LEN + CRYPT_SECTOR], buf[LEN];
	uint64_t seed = _i;
	struct err e = ERR_INIT;
	struct crypt *c;
	struct io *io;

	make(2, &c);
	fill_pattern(plain, LEN, 5);
	memcpy(file + CRYPT_SECTOR, plain, LEN);
	encrypt(2, file + CRYPT_SECTOR, LEN, 1000);
	io = io_from_memory(file, sizeof file, "file", &e);
	for (int i = 0; i < 2000; i++) {
		size_t off = next_random(&seed) % LEN;
		size_t len = 1 + next_random(&seed) % (LEN - off);

		memset(buf, 0, sizeof buf);
		ck_assert_ok(crypt_read(c, io, buf, len, CRYPT_SECTOR + off,
				     1000 + off / CRYPT_SECTOR, &e),
			&e);
		ck_assert_mem_eq(buf, plain + off, len);
		ck_assert(len == LEN || buf[len] == 0);
	}
	ck_assert_fails(crypt_read(c, io, buf, 10, LEN + CRYPT_SECTOR - 5, 1007, &e), EIO, &e, "");
	io_unref(io);
	crypt_free(c);
}
END_TEST

/* A file in memory that can be written. */

struct file {
	struct io io;
	unsigned char bytes[64 * CRYPT_SECTOR];
};

static ssize_t file_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	memcpy(buf, ((struct file *)io)->bytes + pos, len);
	return (ssize_t)len;
}

static int file_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	memcpy(((struct file *)io)->bytes + pos, buf, len);
	return 0;
}

static void file_close(struct io *io)
{
	free(io);
}

static struct file *file_new(void)
{
	static const struct io_ops ops = {
		.read = file_read, .write = file_write, .close = file_close};
	struct err e = ERR_INIT;
	struct file *f = io_new(sizeof *f, &ops, "file", &e);

	f->io.size = sizeof f->bytes;
	f->io.writable = true;
	return f;
}

#define DISK (sizeof(((struct file *)0)->bytes) - CRYPT_SECTOR)

/* The bytes of the file are those of the model, encrypted; its first sector is none of them. */
static void file_has(const struct file *f, const unsigned char *model, struct luks_sectors s)
{
	size_t len = DISK - DISK % s.size;
	unsigned char *encrypted = malloc(len);

	memcpy(encrypted, model, len);
	luks_encrypt_sectors(
		known[2].cipher, known[2].mode, luks_master, known[2].key_len, encrypted, len, &s);
	ck_assert_mem_eq(f->bytes + CRYPT_SECTOR, encrypted, len);
	free(encrypted);
}

START_TEST(writes_any_range)
{
	struct luks_sectors s = {.size = 512u << _i, .first = 5, .step = 1u << _i};
	static unsigned char model[DISK], buf[DISK];
	size_t all = DISK - DISK % s.size;
	struct file *f = file_new();
	uint64_t seed = _i;
	struct err e = ERR_INIT;
	struct crypt *c;

	make(2, &c);
	crypt_set_sectors(c, s.size, CRYPT_SECTOR, false);
	ck_assert_uint_eq(crypt_whole_end(c, f->io.size), CRYPT_SECTOR + all);
	fill_pattern(model, DISK, 9);
	ck_assert_ok(crypt_write(c, &f->io, model, all, CRYPT_SECTOR, 5, &e), &e);
	file_has(f, model, s);
	for (int i = 0; i < 1000; i++) {
		size_t off = next_random(&seed) % all;
		size_t len = 1 + next_random(&seed) % MIN(all - off, i % 2 ? 700 : all);
		uint64_t sector = 5 + crypt_sector_number(c, off);

		fill_pattern(model + off, len, i);
		ck_assert_ok(
			crypt_write(c, &f->io, model + off, len, CRYPT_SECTOR + off, sector, &e),
			&e);
		ck_assert_ok(crypt_read(c, &f->io, buf, len, CRYPT_SECTOR + off, sector, &e), &e);
		ck_assert_mem_eq(buf, model + off, len);
		if (i % 100 == 0)
			file_has(f, model, s);
	}
	file_has(f, model, s);
	crypt_free(c);
	io_unref(&f->io);
}
END_TEST

/* Each thread writes its own bytes of all sectors, and must read back what it wrote, while the
 * others change the rest of the sectors. */

#define WRITERS 4

struct shared_file {
	struct crypt *c;
	struct file *f;
	atomic_uint number;
};

static void *write_own_bytes(void *arg)
{
	struct shared_file *s = arg;
	unsigned number = s->number++;
	unsigned char piece[4096 / WRITERS], buf[4096 / WRITERS];
	struct err e = ERR_INIT;
	intptr_t wrong = 0;

	for (unsigned i = 0; i < 400; i++) {
		uint64_t off = i % 4 * 4096 + number * sizeof piece;
		uint64_t sector = crypt_sector_number(s->c, off);

		fill_pattern(piece, sizeof piece, i * WRITERS + number);
		wrong += crypt_write(s->c, &s->f->io, piece, sizeof piece, off, sector, &e) < 0;
		wrong += crypt_read(s->c, &s->f->io, buf, sizeof buf, off, sector, &e) < 0;
		wrong += memcmp(piece, buf, sizeof buf) != 0;
	}
	return (void *)wrong;
}

START_TEST(threads_share_sectors)
{
	struct shared_file s = {.f = file_new()};
	pthread_t threads[WRITERS];

	make(10, &s.c);
	crypt_set_sectors(s.c, 4096, 0, false);
	for (size_t i = 0; i < WRITERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_own_bytes, &s), 0);
	for (size_t i = 0; i < WRITERS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
	crypt_free(s.c);
	io_unref(&s.f->io);
}
END_TEST

/* dm-crypt has no objection to two equal keys. */
START_TEST(equal_keys_of_xts)
{
	unsigned char key[64] = {0}, plain[LEN], buf[LEN];
	struct err e = ERR_INIT;
	struct crypt *c;

	fill_pattern(plain, LEN, 3);
	memcpy(buf, plain, LEN);
	ck_assert_ok(crypt_new("aes", "xts-plain64", key, sizeof key, &c, &e), &e);
	ck_assert_ok(crypt_convert(c, CRYPT_ENCRYPT, buf, LEN, 1, &e), &e);
	luks_encrypt_with("aes", "xts-plain64", key, sizeof key, plain, LEN, 1);
	ck_assert_mem_eq(buf, plain, LEN);
	crypt_free(c);
}
END_TEST

/* More threads than the number of cached contexts. */

struct shared {
	struct crypt *c;
	unsigned char encrypted[LEN], plain[LEN];
};

static void *decrypt_often(void *arg)
{
	struct shared *s = arg;
	unsigned char buf[LEN];
	struct err e = ERR_INIT;
	intptr_t wrong = 0;

	for (int i = 0; i < 200; i++) {
		memcpy(buf, s->encrypted, LEN);
		wrong += crypt_convert(s->c, CRYPT_DECRYPT, buf, LEN, 7, &e) < 0 ||
			 memcmp(buf, s->plain, LEN) != 0;
	}
	return (void *)wrong;
}

START_TEST(many_threads)
{
	static struct shared s;
	pthread_t threads[24];

	make(_i, &s.c);
	fill_pattern(s.plain, LEN, 1);
	memcpy(s.encrypted, s.plain, LEN);
	encrypt(_i, s.encrypted, LEN, 7);
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, decrypt_often, &s), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
	crypt_free(s.c);
}
END_TEST

static const struct {
	const char *cipher, *mode;
	size_t key_len;
	int code;
	const char *text;
} unknown[] = {
	{"serpent", "xts-plain64", 64, ENOTSUP, "cipher \"serpent\""},
	{"twofish", "cbc-plain64", 32, ENOTSUP, "cipher \"twofish\""},
	{"cast5", "cbc-plain64", 16, ENOTSUP, "cipher \"cast5\""},
	{"", "cbc-plain64", 16, ENOTSUP, "cipher \"\""},
	{"AES", "cbc-plain64", 16, ENOTSUP, "cipher \"AES\""},
	{"aes", "", 32, ENOTSUP, "mode \"\""},
	{"aes", "gcm-random", 32, ENOTSUP, "mode \"gcm\""},
	{"aes", "lrw-benbi", 32, ENOTSUP, "mode \"lrw\""},
	{"aes", "cbc", 32, ENOTSUP, "IV generator \"\""},
	{"aes", "cbc-lmk", 32, ENOTSUP, "IV generator \"lmk\""},
	{"aes", "cbc-essiv", 32, ENOTSUP, "hash \"\""},
	{"aes", "cbc-essiv:tiger", 32, ENOTSUP, "hash \"tiger\""},
	{"aes", "cbc-essiv:sha1", 32, ENOTSUP, "essiv:sha1"},
	{"aes", "cbc-essiv:sha512", 32, ENOTSUP, "essiv:sha512"},
	{"aes", "xts-elephant", 64, ENOTSUP, "IV generator \"elephant\""},
	{"aes", "cbc-elephant", 16, EINVAL, "16 bytes"},
	{"aes", "cbc-plain64", 0, EINVAL, "0 bytes"},
	{"aes", "cbc-plain64", 15, EINVAL, "15 bytes"},
	{"aes", "cbc-plain64", 64, EINVAL, "64 bytes"},
	{"aes", "xts-plain64", 16, EINVAL, "16 bytes"},
	{"aes", "xts-plain64", 33, EINVAL, "33 bytes"},
	{"aes", "xts-plain64", 65, EINVAL, "65 bytes"},
	{"aes", "xts-plain64", SIZE_MAX / 8, EINVAL, "bytes"},
};

START_TEST(refuses)
{
	struct err e = ERR_INIT;
	struct crypt *c = NULL;

	ck_assert_fails(crypt_new(unknown[_i].cipher, unknown[_i].mode, luks_master,
				unknown[_i].key_len, &c, &e),
		unknown[_i].code, &e, unknown[_i].text);
	ck_assert_ptr_null(c);
}
END_TEST

START_TEST(modes)
{
	struct crypt_mode m = crypt_mode_parse("cbc-essiv:sha256");

	ck_assert_str_eq(m.chaining, "cbc");
	ck_assert_str_eq(m.ivgen, "essiv");
	ck_assert_str_eq(m.ivgen_hash, "sha256");
	ck_assert_uint_eq(crypt_key_bits(&m, 32), 256);
	m = crypt_mode_parse("xts-plain64");
	ck_assert_str_eq(m.ivgen_hash, "");
	ck_assert_uint_eq(crypt_key_bits(&m, 64), 256);
	m = crypt_mode_parse("ecb");
	ck_assert_str_eq(m.chaining, "ecb");
	ck_assert_str_eq(m.ivgen, "");
}
END_TEST

/* Encrypted data ends with the last whole sector of the file; the bytes after it are not read. */
START_TEST(extents)
{
	static unsigned char file[4 * CRYPT_SECTOR + 100];
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(file, sizeof file, "file", &e);
	struct extent x = {.kind = EXTENT_ZERO};
	struct crypt *c;

	make(0, &c);
	ck_assert_ok(extent_in_file(&x, io, 512, 700, 5000, 0, &e), &e);
	ck_assert_ok(extent_encrypted(&x, c, 17, &e), &e);
	ck_assert_int_eq(x.kind, EXTENT_CRYPT);
	ck_assert(x.pos == 1212 && x.len == 2048 - 1212 && x.sector == 17 && x.crypt == c);
	ck_assert_ok(extent_in_file(&x, io, 512, 1536, 10, 4096, &e), &e);
	ck_assert_fails(extent_encrypted(&x, c, 18, &e), EIO, &e, "past the end");
	ck_assert_ok(extent_in_file(&x, io, 512, 3000, 10, 4096, &e), &e);
	ck_assert_fails(extent_encrypted(&x, c, 18, &e), EIO, &e, "past the end");
	crypt_free(c);
	io_unref(io);
}
END_TEST

Suite *crypt_suite(void)
{
	TCase *tc = tcase_create("crypt");

	tcase_add_loop_test(tc, decrypts, 0, COUNT(known));
	tcase_add_loop_test(tc, large_sectors, 0, COUNT(known));
	tcase_add_loop_test(tc, reads_any_range, 0, 4);
	tcase_add_loop_test(tc, writes_any_range, 0, 4);
	tcase_add_test(tc, threads_share_sectors);
	tcase_add_test(tc, equal_keys_of_xts);
	tcase_add_loop_test(tc, many_threads, 0, 3);
	tcase_add_loop_test(tc, refuses, 0, COUNT(unknown));
	tcase_add_test(tc, modes);
	tcase_add_test(tc, extents);
	return suite_of("crypt", tc);
}
