/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "util/bytes.h"
#include "io/codec.h"
#include "util/err.h"
#include "common/unit.h"

#define CLUSTER     65536
#define BUFFER_SIZE (4 * CLUSTER)
#define GUARD       0xa5

/* Plain bytes, their compressed form, and a buffer for the decoder's output. */
struct codec_test {
	struct codec *codec;
	unsigned char plain[CLUSTER], compressed[BUFFER_SIZE], out[BUFFER_SIZE + 1];
	size_t compressed_len;
	struct err e;
};

typedef ssize_t decode_call(
	struct codec *c, const void *in, size_t nin, void *out, size_t nout, struct err *e);

/* Fills p with text-like bytes, which deflate compresses by a part only. */
static void fill_plain(unsigned char *p, size_t len, uint64_t seed)
{
	size_t i = 0;

	while (i < len) {
		size_t run = 1 + next_random(&seed) % 40;
		unsigned char c = next_random(&seed);

		for (; run > 0 && i < len; run--)
			p[i++] = c++ & 0x7f;
	}
}

static struct codec_test *codec_test_new(void)
{
	struct codec_test *b = calloc(1, sizeof *b);

	ck_assert_ptr_nonnull(b);
	b->codec = codec_new(&b->e);
	ck_assert_ptr_nonnull(b->codec);
	fill_plain(b->plain, sizeof b->plain, 1);
	return b;
}

static void codec_test_free(struct codec_test *b)
{
	codec_free(b->codec);
	free(b);
}

/* Decodes into nout bytes; asserts that no byte after them is written. */
static ssize_t run(struct codec_test *b, decode_call *decode, size_t nin, size_t nout)
{
	ssize_t n_out;

	memset(b->out, GUARD, sizeof b->out);
	n_out = decode(b->codec, b->compressed, nin, b->out, nout, &b->e);
	for (size_t i = nout; i < sizeof b->out; i++)
		if (b->out[i] != GUARD)
			ck_abort_msg("a byte was written %zu past the end", i - nout);
	ck_assert_int_le(n_out, (ssize_t)nout);
	return n_out;
}

/* Compresses with deflate; without Z_FINISH the stream has no final block. */
static void deflate_plain(struct codec_test *b, int window_bits, size_t len, int flush)
{
	z_stream z = {.next_in = b->plain,
		.avail_in = len,
		.next_out = b->compressed,
		.avail_out = sizeof b->compressed};

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_ge(deflate(&z, flush), Z_OK);
	b->compressed_len = z.total_out;
	deflateEnd(&z);
}

static const struct {
	decode_call *decode;
	int window_bits;
} deflates[] = {
	{codec_inflate, -15},
	{codec_inflate, -12},
	{codec_inflate_zlib, 15},
	{codec_inflate_zlib, 12},
};
#define BARE 2 /* the first two have no zlib header */

START_TEST(deflate_whole)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, deflates[_i].window_bits, CLUSTER, Z_FINISH);
	ck_assert_int_eq(run(b, deflates[_i].decode, b->compressed_len, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	codec_test_free(b);
}
END_TEST

/* The length of a compressed cluster is stored in sectors, so bytes of the next one may follow the
 * stream. */
START_TEST(deflate_with_trailing_bytes)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, deflates[_i].window_bits, CLUSTER, Z_FINISH);
	memset(b->compressed + b->compressed_len, 0xff, 511);
	ck_assert_int_eq(run(b, deflates[_i].decode, b->compressed_len + 511, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	codec_test_free(b);
}
END_TEST

START_TEST(deflate_shorter_than_cluster)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, deflates[_i].window_bits, 1000, Z_FINISH);
	ck_assert_int_eq(run(b, deflates[_i].decode, b->compressed_len, CLUSTER), 1000);
	ck_assert_mem_eq(b->out, b->plain, 1000);
	codec_test_free(b);
}
END_TEST

START_TEST(deflate_longer_than_buffer)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, deflates[_i].window_bits, CLUSTER, Z_FINISH);
	ck_assert_int_eq(run(b, deflates[_i].decode, b->compressed_len, 4096), 4096);
	ck_assert_mem_eq(b->out, b->plain, 4096);
	codec_test_free(b);
}
END_TEST

START_TEST(deflate_without_end_marker)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, deflates[_i].window_bits, CLUSTER, Z_SYNC_FLUSH);
	ck_assert_int_eq(run(b, deflates[_i].decode, b->compressed_len, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	codec_test_free(b);
}
END_TEST

/* A truncated stream yields a correct prefix of the cluster. */
START_TEST(deflate_truncated)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, deflates[_i].window_bits, CLUSTER, Z_FINISH);
	for (size_t n = 0; n + 600 < b->compressed_len; n += 1 + n / 3) {
		ssize_t n_out = run(b, deflates[_i].decode, n, CLUSTER);

		ck_assert_int_ge(n_out, 0);
		ck_assert_int_lt(n_out, CLUSTER);
		if (n_out > 0)
			ck_assert_mem_eq(b->out, b->plain, n_out);
	}
	codec_test_free(b);
}
END_TEST

START_TEST(deflate_damaged)
{
	static const unsigned char garbage[] = {0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3};
	struct codec_test *b = codec_test_new();

	memcpy(b->compressed, garbage, sizeof garbage);
	ck_assert_fails(run(b, deflates[_i].decode, sizeof garbage, CLUSTER), EUCLEAN, &b->e,
		"damaged deflate data");
	codec_test_free(b);
}
END_TEST

/* A damaged stream never writes beyond the buffer. */
START_TEST(deflate_with_bits_flipped)
{
	struct codec_test *b = codec_test_new();
	uint64_t seed = _i;

	for (int i = 0; i < 200; i++) {
		deflate_plain(b, deflates[_i].window_bits, 4096, Z_FINISH);
		for (int n = 0; n < 3; n++)
			b->compressed[next_random(&seed) % b->compressed_len] ^=
				1 << next_random(&seed) % 8;
		ck_assert_int_ge(run(b, deflates[_i].decode, b->compressed_len, 2048), -EUCLEAN);
	}
	codec_test_free(b);
}
END_TEST

/* The checksum of a zlib stream is at its end, so a truncated stream is an error. */
START_TEST(zlib_truncated)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, 15, CLUSTER, Z_SYNC_FLUSH);
	ck_assert_fails(run(b, codec_inflate_zlib, b->compressed_len, CLUSTER), EUCLEAN, &b->e,
		"does not end where it should");
	deflate_plain(b, 15, CLUSTER, Z_FINISH);
	ck_assert_fails(run(b, codec_inflate_zlib, b->compressed_len, 4096), EUCLEAN, &b->e,
		"does not end where it should");
	for (size_t n = 0; n < b->compressed_len; n += 1 + n / 3)
		ck_assert_fails(run(b, codec_inflate_zlib, n, CLUSTER), EUCLEAN, &b->e,
			"it ends too early");
	codec_test_free(b);
}
END_TEST

START_TEST(zlib_damage_never_changes_data)
{
	struct codec_test *b = codec_test_new();
	uint64_t seed = 7;

	for (int i = 0; i < 500; i++) {
		deflate_plain(b, 15, CLUSTER, Z_FINISH);
		b->compressed[next_random(&seed) % b->compressed_len] ^= 1
									 << next_random(&seed) % 8;
		if (run(b, codec_inflate_zlib, b->compressed_len, CLUSTER) >= 0)
			ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	}
	codec_test_free(b);
}
END_TEST

START_TEST(zlib_checksum_is_verified)
{
	struct codec_test *b = codec_test_new();

	deflate_plain(b, 15, CLUSTER, Z_FINISH);
	b->compressed[b->compressed_len - 1] ^= 1;
	ck_assert_fails(run(b, codec_inflate_zlib, b->compressed_len, CLUSTER), EUCLEAN, &b->e,
		"incorrect data check");
	codec_test_free(b);
}
END_TEST

/* A match at the largest distance, 32 KiB, which compressors rarely emit: a stored block of 32768
 * bytes (RFC 1951, 3.2.4), then a block of fixed codes with one match of 258 bytes. */
START_TEST(deflate_largest_distance)
{
	static const unsigned char stored[] = {0x00, 0x00, 0x80, 0xff, 0x7f};
	static const unsigned char match[] = {0x1b, 0xbd, 0xff, 0x1f, 0x00};
	struct codec_test *b = codec_test_new();

	memcpy(b->compressed, stored, sizeof stored);
	memcpy(b->compressed + 5, b->plain, 32768);
	memcpy(b->compressed + 5 + 32768, match, sizeof match);
	ck_assert_int_eq(run(b, codec_inflate, 5 + 32768 + 5, CLUSTER), 32768 + 258);
	ck_assert_mem_eq(b->out, b->plain, 32768);
	ck_assert_mem_eq(b->out + 32768, b->plain, 258);
	codec_test_free(b);
}
END_TEST

/* Appends a zstd frame of len plain bytes at from. */
static void zstd_frame(struct codec_test *b, size_t from, size_t len, int window_log, bool sized)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	ZSTD_inBuffer in = {.src = b->plain + from, .size = len};
	ZSTD_outBuffer out = {
		.dst = b->compressed + b->compressed_len, .size = BUFFER_SIZE - b->compressed_len};

	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, window_log);
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, sized);
	/* Two calls, so that the frame header has no content size. */
	if (!sized)
		while (ZSTD_compressStream2(z, &out, &in, ZSTD_e_flush) > 0)
			continue;
	ck_assert_uint_eq(ZSTD_compressStream2(z, &out, &in, ZSTD_e_end), 0);
	b->compressed_len += out.pos;
	ZSTD_freeCCtx(z);
}

/* A skippable frame, which a decoder ignores: magic 0x184D2A50, a length, bytes. */
static void zstd_skippable(struct codec_test *b, unsigned char len)
{
	unsigned char *p = b->compressed + b->compressed_len;

	memcpy(p, "\x50\x2a\x4d\x18", 4);
	memset(p + 4, 0, 4 + len);
	p[4] = len;
	b->compressed_len += 8 + len;
}

START_TEST(zstd_whole)
{
	struct codec_test *b = codec_test_new();

	zstd_frame(b, 0, CLUSTER, 0, _i);
	ck_assert_int_eq(run(b, codec_zstd, b->compressed_len, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	memset(b->compressed + b->compressed_len, 0xff, 500);
	ck_assert_int_eq(run(b, codec_zstd, b->compressed_len + 500, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	codec_test_free(b);
}
END_TEST

START_TEST(zstd_several_frames)
{
	struct codec_test *b = codec_test_new();

	zstd_skippable(b, 100);
	zstd_frame(b, 0, 10000, 0, _i);
	zstd_frame(b, 10000, 0, 0, _i);
	zstd_skippable(b, 0);
	zstd_frame(b, 10000, CLUSTER - 10000, 0, _i);
	zstd_frame(b, 0, 1000, 0, _i); /* of the next cluster */
	ck_assert_int_eq(run(b, codec_zstd, b->compressed_len, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	codec_test_free(b);
}
END_TEST

START_TEST(zstd_wrong_length)
{
	struct codec_test *b = codec_test_new();

	zstd_frame(b, 0, CLUSTER, 0, _i);
	ck_assert_fails(
		run(b, codec_zstd, b->compressed_len, CLUSTER - 1), EUCLEAN, &b->e, "more than");
	ck_assert_fails(
		run(b, codec_zstd, b->compressed_len, CLUSTER + 1), EUCLEAN, &b->e, "too early");
	ck_assert_fails(run(b, codec_zstd, 0, CLUSTER), EUCLEAN, &b->e, "too early");
	/* An error leaves the decoder contexts usable. */
	ck_assert_int_eq(run(b, codec_zstd, b->compressed_len, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	codec_test_free(b);
}
END_TEST

START_TEST(zstd_truncated)
{
	struct codec_test *b = codec_test_new();

	zstd_frame(b, 0, CLUSTER, 0, _i);
	for (size_t n = 0; n < b->compressed_len; n += 1 + n / 5)
		ck_assert_int_eq(run(b, codec_zstd, n, CLUSTER), -EUCLEAN);
	ck_assert_int_eq(run(b, codec_zstd, b->compressed_len - 1, CLUSTER), -EUCLEAN);
	codec_test_free(b);
}
END_TEST

START_TEST(zstd_damaged)
{
	struct codec_test *b = codec_test_new();

	zstd_frame(b, 0, CLUSTER, 0, _i);
	b->compressed[b->compressed_len - 1] ^= 1; /* of the checksum */
	ck_assert_fails(run(b, codec_zstd, b->compressed_len, CLUSTER), EUCLEAN, &b->e,
		"damaged zstd data");
	memset(b->compressed, 0xff, 16);
	ck_assert_fails(run(b, codec_zstd, 16, CLUSTER), EUCLEAN, &b->e, "damaged zstd data");
	codec_test_free(b);
}
END_TEST

START_TEST(zstd_window_is_limited)
{
	struct codec_test *b = codec_test_new();

	zstd_frame(b, 0, CLUSTER, 23, false);
	ck_assert_int_eq(run(b, codec_zstd, b->compressed_len, CLUSTER), CLUSTER);
	b->compressed_len = 0;
	zstd_frame(b, 0, CLUSTER, 24, false);
	ck_assert_fails(run(b, codec_zstd, b->compressed_len, CLUSTER), EUCLEAN, &b->e, "memory");
	codec_test_free(b);
}
END_TEST

/* More threads than the codec has contexts. */

struct shared {
	const struct codec_test *codec_test;
	size_t ndeflate; /* the deflate stream comes first, then the zstd frame */
	atomic_uint wrong;
};

static void *decode_often(void *arg)
{
	struct shared *s = arg;
	const struct codec_test *b = s->codec_test;
	unsigned char *out = malloc(CLUSTER);
	struct err e = ERR_INIT;

	for (int i = 0; i < 20; i++) {
		ssize_t a = codec_inflate(b->codec, b->compressed, s->ndeflate, out, CLUSTER, &e);

		if (a != CLUSTER || memcmp(out, b->plain, CLUSTER) != 0)
			atomic_fetch_add(&s->wrong, 1);
		a = codec_zstd(b->codec, b->compressed + s->ndeflate,
			b->compressed_len - s->ndeflate, out, CLUSTER, &e);
		if (a != CLUSTER || memcmp(out, b->plain, CLUSTER) != 0)
			atomic_fetch_add(&s->wrong, 1);
	}
	free(out);
	return NULL;
}

START_TEST(many_threads)
{
	struct codec_test *b = codec_test_new();
	struct shared s = {.codec_test = b};
	pthread_t threads[24];

	deflate_plain(b, -15, CLUSTER, Z_FINISH);
	s.ndeflate = b->compressed_len;
	zstd_frame(b, 0, CLUSTER, 0, true);
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, decode_often, &s), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(s.wrong, 0);
	codec_test_free(b);
}
END_TEST

static const struct {
	decode_call *encode, *decode;
} ways[] = {
	{codec_deflate, codec_inflate},
	{codec_deflate_zlib, codec_inflate_zlib},
	{codec_zstd_pack, codec_zstd},
};

/* Compresses into buffers of decreasing size, and decompresses; no byte beyond the buffer is
 * written. */
START_TEST(compress_and_decompress)
{
	struct codec_test *b = codec_test_new();
	size_t capacity = CLUSTER, n = 0;
	ssize_t n_out;

	for (unsigned i = 0; i < 40; i++) {
		memset(b->compressed, GUARD, sizeof b->compressed);
		n_out = ways[_i].encode(
			b->codec, b->plain, CLUSTER, b->compressed, capacity, &b->e);
		ck_assert_int_ge(n_out, 0);
		ck_assert_int_le(n_out, (ssize_t)capacity);
		for (size_t k = capacity; k < capacity + 64; k++)
			ck_assert_uint_eq(b->compressed[k], GUARD);
		if (n_out > 0) {
			n++;
			ck_assert_int_eq(run(b, ways[_i].decode, n_out, CLUSTER), CLUSTER);
			ck_assert_mem_eq(b->out, b->plain, CLUSTER);
			capacity = i % 2 ? (size_t)n_out : (size_t)n_out + 9;
		}
		capacity -= i % 3;
	}
	ck_assert_uint_ge(n, 2);
	codec_test_free(b);
}
END_TEST

/* Incompressible data fits into a buffer of codec_deflate_zlib_room bytes. */
START_TEST(incompressible_data)
{
	struct codec_test *b = codec_test_new();
	uint64_t seed = 4;
	ssize_t n_out;

	for (size_t i = 0; i < CLUSTER; i++)
		b->plain[i] = next_random(&seed) >> 32;
	ck_assert_int_eq(
		codec_deflate(b->codec, b->plain, CLUSTER, b->compressed, CLUSTER - 1, &b->e), 0);
	ck_assert_int_eq(
		codec_zstd_pack(b->codec, b->plain, CLUSTER, b->compressed, CLUSTER - 1, &b->e), 0);
	n_out = codec_deflate_zlib(b->codec, b->plain, CLUSTER, b->compressed,
		codec_deflate_zlib_room(CLUSTER), &b->e);
	ck_assert_int_gt(n_out, CLUSTER);
	ck_assert_int_eq(run(b, codec_inflate_zlib, n_out, CLUSTER), CLUSTER);
	ck_assert_mem_eq(b->out, b->plain, CLUSTER);
	codec_test_free(b);
}
END_TEST

Suite *codec_suite(void)
{
	TCase *tc = tcase_create("codec");

	tcase_add_loop_test(tc, deflate_whole, 0, COUNT(deflates));
	tcase_add_loop_test(tc, deflate_with_trailing_bytes, 0, COUNT(deflates));
	tcase_add_loop_test(tc, deflate_shorter_than_cluster, 0, COUNT(deflates));
	tcase_add_loop_test(tc, deflate_longer_than_buffer, 0, BARE);
	tcase_add_loop_test(tc, deflate_without_end_marker, 0, BARE);
	tcase_add_loop_test(tc, deflate_truncated, 0, BARE);
	tcase_add_loop_test(tc, deflate_damaged, 0, COUNT(deflates));
	tcase_add_loop_test(tc, deflate_with_bits_flipped, 0, COUNT(deflates));
	tcase_add_test(tc, zlib_truncated);
	tcase_add_test(tc, zlib_damage_never_changes_data);
	tcase_add_test(tc, zlib_checksum_is_verified);
	tcase_add_test(tc, deflate_largest_distance);
	tcase_add_loop_test(tc, zstd_whole, 0, 2);
	tcase_add_loop_test(tc, zstd_several_frames, 0, 2);
	tcase_add_loop_test(tc, zstd_wrong_length, 0, 2);
	tcase_add_loop_test(tc, zstd_truncated, 0, 2);
	tcase_add_loop_test(tc, zstd_damaged, 0, 2);
	tcase_add_test(tc, zstd_window_is_limited);
	tcase_add_loop_test(tc, compress_and_decompress, 0, COUNT(ways));
	tcase_add_test(tc, incompressible_data);
	tcase_add_test(tc, many_threads);
	return suite_of("codec", tc);
}
