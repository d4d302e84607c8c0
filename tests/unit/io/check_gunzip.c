/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_gunzip.c - reads at any position of gzip files; and concatenated files. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "io/cache.h"
#include "io/concat.h"
#include "util/err.h"
#include "common/fault_io.h"
#include "io/gunzip.h"
#include "io/io.h"
#include "common/unit.h"

#define PLAIN ((size_t)8 << 20) /* large enough for several access points */

struct gzip_test {
	unsigned char *plain, *compressed;
	size_t nplain, ncompressed;
	struct image_options o;
	struct err e;
};

/* Text, noise and zeroes alternate every 300000 bytes. */
static void fill_plain(unsigned char *p, size_t len)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < len; i++) {
		unsigned kind = i / 300000 % 3;

		p[i] = kind == 0   ? "some text, and more"[i % 19] + i / 5000 % 7
		       : kind == 1 ? next_random(&seed)
				   : 0;
	}
}

/* Appends a gzip member to the file. */
static void add_member(
	struct gzip_test *w, const unsigned char *p, size_t len, int level, int strategy)
{
	z_stream z = {.next_in = (void *)p, .avail_in = len};
	size_t bound;

	ck_assert_int_eq(deflateInit2(&z, level, Z_DEFLATED, 31, 8, strategy), Z_OK);
	bound = deflateBound(&z, len);
	w->compressed = realloc(w->compressed, w->ncompressed + bound);
	z.next_out = w->compressed + w->ncompressed;
	z.avail_out = bound;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	w->ncompressed += bound - z.avail_out;
	deflateEnd(&z);
}

static void make(struct gzip_test *w, size_t len)
{
	*w = (struct gzip_test){.nplain = len, .o = options_new()};
	w->plain = malloc(len + 1);
	fill_plain(w->plain, len);
}

static void end(struct gzip_test *w)
{
	free(w->plain);
	free(w->compressed);
	options_free(&w->o);
}

static struct io *opened(struct gzip_test *w)
{
	struct io *compressed = io_from_memory(w->compressed, w->ncompressed, "x.gz", &w->e);
	struct io *io;

	ck_assert(gunzip_probe(compressed));
	io = gunzip_open(compressed, w->o.cache, &w->e);
	ck_assert_msg(io != NULL, "%s", w->e.text);
	ck_assert_uint_eq(io->size, w->nplain);
	ck_assert_str_eq(io->name, "x.gz");
	ck_assert_int_eq(io->fd, -1);
	return io;
}

static void reads(struct gzip_test *w, struct io *io, uint64_t pos, size_t len)
{
	unsigned char *buf = malloc(len);
	struct err e = ERR_INIT;

	ck_assert_ok(io_read(io, buf, len, pos, &e), &e);
	ck_assert_mem_eq(buf, w->plain + pos, len);
	free(buf);
}

static void read_everywhere(struct gzip_test *w, struct io *io)
{
	uint64_t seed = 3;

	for (uint64_t pos = 0; pos < w->nplain; pos += 1000000)
		reads(w, io, pos, w->nplain - pos < 1000000 ? w->nplain - pos : 1000000);
	for (int i = 0; i < 50; i++) {
		uint64_t pos = next_random(&seed) % w->nplain;
		size_t len = 1 + next_random(&seed) % 300000;

		reads(w, io, pos, len < w->nplain - pos ? len : w->nplain - pos);
	}
	reads(w, io, w->nplain - 1, 1);
	ck_assert_fails(io_read(io, w->compressed, 2, w->nplain - 1, &w->e), EIO, &w->e, "x.gz");
}

static const struct {
	int level, strategy;
} ways[] = {
	{6, Z_DEFAULT_STRATEGY},
	{1, Z_FIXED},
	{0, Z_DEFAULT_STRATEGY}, /* stored blocks */
	{9, Z_HUFFMAN_ONLY},
};

START_TEST(one_member)
{
	struct gzip_test w;
	struct io *io;

	make(&w, PLAIN);
	add_member(&w, w.plain, w.nplain, ways[_i].level, ways[_i].strategy);
	io = opened(&w);
	read_everywhere(&w, io);
	io_unref(io);
	ck_assert_uint_eq(cache_used(w.o.cache), 0);
	end(&w);
}
END_TEST

/* Members of different sizes, empty ones between them, and zeroes after the last. */
START_TEST(many_members)
{
	struct gzip_test w;
	struct io *io;
	size_t at = 0, len = 1;

	make(&w, PLAIN / 2);
	for (; at < w.nplain; at += len, len = len * 3 + 1) {
		len = len < w.nplain - at ? len : w.nplain - at;
		add_member(&w, w.plain + at, len, 6, Z_DEFAULT_STRATEGY);
		add_member(&w, w.plain, 0, 6, Z_DEFAULT_STRATEGY);
	}
	w.compressed = realloc(w.compressed, w.ncompressed + 1000);
	memset(w.compressed + w.ncompressed, 0, 1000);
	w.ncompressed += 1000;
	io = opened(&w);
	read_everywhere(&w, io);
	io_unref(io);
	end(&w);
}
END_TEST

START_TEST(empty_member)
{
	struct gzip_test w;
	struct io *io;

	make(&w, 0);
	add_member(&w, w.plain, 0, 6, Z_DEFAULT_STRATEGY);
	io = opened(&w);
	ck_assert_fails(io_read(io, w.compressed, 1, 0, &w.e), EIO, &w.e, "ends at 0");
	io_unref(io);
	end(&w);
}
END_TEST

/* A GiB needs more access points than the index has; zeroes make it quick. */
START_TEST(more_than_a_gibibyte)
{
	struct gzip_test w;
	struct io *io;
	unsigned char buf[4096], zeroes[4096] = {0};

	make(&w, 16 << 20);
	memset(w.plain, 0, w.nplain);
	add_member(&w, w.plain, w.nplain, 9, Z_DEFAULT_STRATEGY);
	w.compressed = realloc(w.compressed, w.ncompressed * 70);
	for (size_t i = 1; i < 70; i++)
		memcpy(w.compressed + i * w.ncompressed, w.compressed, w.ncompressed);
	memset(w.plain, 'x', 4096);
	w.ncompressed *= 70;
	add_member(&w, w.plain, 4096, 9, Z_DEFAULT_STRATEGY);
	w.nplain = w.nplain * 70 + 4096;
	io = opened(&w);
	ck_assert_ok(io_read(io, buf, 4096, w.nplain - 4096, &w.e), &w.e);
	ck_assert_mem_eq(buf, w.plain, 4096);
	ck_assert_ok(io_read(io, buf, 4096, w.nplain / 2, &w.e), &w.e);
	ck_assert_mem_eq(buf, zeroes, 4096);
	io_unref(io);
	end(&w);
}
END_TEST

static void refuses(struct gzip_test *w, const char *part)
{
	struct io *compressed = io_from_memory(w->compressed, w->ncompressed, "x.gz", &w->e);

	ck_assert_null_fails(gunzip_open(compressed, w->o.cache, &w->e), EUCLEAN, &w->e, part);
}

START_TEST(damage_is_found_on_open)
{
	struct gzip_test w;
	size_t whole;

	make(&w, 3 << 20);
	add_member(&w, w.plain, w.nplain, 6, Z_DEFAULT_STRATEGY);
	whole = w.ncompressed;
	w.compressed[whole / 2] ^= 0x10;
	refuses(&w, "x.gz: gzip data: ");
	w.compressed[whole / 2] ^= 0x10;
	w.compressed[whole - 8] ^= 1; /* of the checksum */
	refuses(&w, "incorrect data check");
	w.compressed[whole - 8] ^= 1;
	w.compressed[whole - 1] ^= 1; /* of the length */
	refuses(&w, "incorrect length check");
	w.compressed[whole - 1] ^= 1;
	w.ncompressed = whole - 1;
	refuses(&w, "it ends too early");
	w.ncompressed = whole / 2;
	refuses(&w, "it ends too early");
	w.ncompressed = whole;
	w.compressed = realloc(w.compressed, whole + 10);
	memset(w.compressed + whole, 0, 10);
	w.ncompressed = whole + 10;
	w.compressed[whole + 9] = 1;
	refuses(&w, "garbage after it");
	w.compressed[whole] = 1;
	refuses(&w, "incorrect header check");
	end(&w);
}
END_TEST

START_TEST(not_gzip)
{
	struct err e = ERR_INIT;
	struct io *io = io_from_memory("\x1f\x8b\x08", 3, "x", &e);

	ck_assert(!gunzip_probe(io));
	io_unref(io);
	io = io_from_memory("\x1f\x8b\x07 and something else", 22, "x", &e);
	ck_assert(!gunzip_probe(io));
	io_unref(io);
}
END_TEST

/* An error of the host is returned once; the next read succeeds. */
START_TEST(faults)
{
	struct gzip_test w;
	struct io *fault, *io;
	unsigned char buf[16];

	make(&w, PLAIN);
	add_member(&w, w.plain, w.nplain, 6, Z_DEFAULT_STRATEGY);
	for (unsigned nth = 1; nth < 80; nth += 20) {
		fault = fault_io_new(w.compressed, w.ncompressed);
		fault_io_arm(fault, nth, nth % 40 == 1 ? FAULT_EIO : FAULT_SHORT);
		ck_assert_null_fails(gunzip_open(fault, w.o.cache, &w.e), EIO, &w.e, "faulty");
	}
	fault = fault_io_new(w.compressed, w.ncompressed);
	io = gunzip_open(fault, w.o.cache, &w.e);
	fault_io_arm(fault, 3, FAULT_EIO);
	ck_assert_fails(io_read(io, buf, 16, w.nplain - 3000000, &w.e), EIO, &w.e, "faulty");
	reads(&w, io, w.nplain - 3000000, 16);
	io_unref(io);
	end(&w);
}
END_TEST

/* Several threads read the same file. */

struct reader {
	struct gzip_test *w;
	struct io *io;
	unsigned number;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	uint64_t seed = r->number;
	unsigned char buf[5000];
	struct err e = ERR_INIT;
	bool good = true;

	for (int i = 0; i < 40; i++) {
		uint64_t pos = r->number % 2 ? next_random(&seed) % (r->w->nplain - sizeof buf)
					     : (uint64_t)i * 40000;

		good &= io_read(r->io, buf, sizeof buf, pos, &e) == 0 &&
			memcmp(buf, r->w->plain + pos, sizeof buf) == 0;
	}
	return good ? r : NULL;
}

START_TEST(many_readers)
{
	struct gzip_test w;
	struct reader readers[12];
	pthread_t threads[12];
	struct io *io;

	make(&w, PLAIN / 4);
	add_member(&w, w.plain, w.nplain, 6, Z_DEFAULT_STRATEGY);
	io = opened(&w);
	for (unsigned i = 0; i < 12; i++) {
		readers[i] = (struct reader){&w, io, i};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, reader_main, &readers[i]), 0);
	}
	for (unsigned i = 0; i < 12; i++) {
		void *result;

		pthread_join(threads[i], &result);
		ck_assert_ptr_nonnull(result);
	}
	io_unref(io);
	end(&w);
}
END_TEST

START_TEST(concatenation)
{
	static const size_t lens[] = {100, 0, 1, 5000, 0};
	unsigned char data[5101], buf[5101];
	struct io *parts[COUNT(lens)], *io;
	struct err e = ERR_INIT;
	size_t at = 0;

	fill_pattern(data, sizeof data, 1);
	for (size_t i = 0; i < COUNT(lens); at += lens[i++])
		parts[i] = io_from_memory(data + at, lens[i], "part", &e);
	io = concat_new(parts, COUNT(lens), "whole", &e);
	ck_assert_str_eq(io->name, "whole");
	ck_assert_uint_eq(io->size, sizeof data);
	ck_assert_uint_eq(io->stored, sizeof data);
	for (size_t i = 0; i < COUNT(lens); i++)
		io_unref(parts[i]);
	for (size_t pos = 0; pos < sizeof data; pos += 50) {
		ck_assert_ok(io_read(io, buf, sizeof data - pos, pos, &e), &e);
		ck_assert_mem_eq(buf, data + pos, sizeof data - pos);
		ck_assert_ok(io_read(io, buf, 1, pos, &e), &e);
		ck_assert_uint_eq(buf[0], data[pos]);
	}
	ck_assert_fails(io_read(io, buf, 2, sizeof data - 1, &e), EIO, &e, "whole: the file ends");
	io_unref(io);
}
END_TEST

START_TEST(failing_part_of_concatenation)
{
	unsigned char data[100] = {1}, buf[200];
	struct err e = ERR_INIT;
	struct io *parts[] = {fault_io_new(data, 100), fault_io_new(data, 100)}, *io;

	io = concat_new(parts, 2, "whole", &e);
	fault_io_arm(parts[1], 1, FAULT_EIO);
	ck_assert_fails(io_read(io, buf, 200, 0, &e), EIO, &e, "whole: reading 200 bytes at 0");
	fault_io_arm(parts[0], 1, FAULT_SHORT);
	ck_assert_fails(io_read(io, buf, 200, 0, &e), EIO, &e, "whole: reading");
	ck_assert_ok(io_read(io, buf, 200, 0, &e), &e);
	io_unref(io);
	io_unref(parts[0]);
	io_unref(parts[1]);
}
END_TEST

Suite *gunzip_suite(void)
{
	TCase *tc = tcase_create("gunzip");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, one_member, 0, COUNT(ways));
	tcase_add_test(tc, many_members);
	tcase_add_test(tc, empty_member);
	tcase_add_test(tc, more_than_a_gibibyte);
	tcase_add_test(tc, damage_is_found_on_open);
	tcase_add_test(tc, not_gzip);
	tcase_add_test(tc, faults);
	tcase_add_test(tc, many_readers);
	tcase_add_test(tc, concatenation);
	tcase_add_test(tc, failing_part_of_concatenation);
	return suite_of("gunzip", tc);
}
