/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gzip files: a read at any offset returns the same bytes as a sequential read.  The input is
 * deflate streams; the target adds headers and checksums, since few mutated inputs would have
 * valid ones. */
#include <string.h>

#include <zlib.h>

#include "fuzz.h"
#include "io/gunzip.h"

#define INPUT_MAX  (16u << 10)
#define OUTPUT_MAX (4u << 20)
#define READS      16
#define LEN        5000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct io *io, unsigned char *out)
{
	struct err e = ERR_INIT;

	fuzz_require(io_read(io, out, io->size, 0, &e) == 0);
}

/* Backwards: no position has a decoder that an earlier read left just before it. */
static void read_backwards(struct io *io, const unsigned char *expected)
{
	unsigned char buf[LEN];

	for (unsigned i = READS; i-- > 0;) {
		uint64_t pos = io->size / READS * i;
		size_t n = MIN(LEN, io->size - pos);
		struct err e = ERR_INIT;

		fuzz_require(io_read(io, buf, n, pos, &e) == 0);
		fuzz_require(memcmp(buf, expected + pos, n) == 0);
	}
}

static void compare(const uint8_t *data, size_t size, struct cache *cache)
{
	struct err e = ERR_INIT;
	struct io *one = gunzip_open(io_from_memory(data, size, "fuzz", &e), cache, &e), *two;
	unsigned char *out;

	if (!one) {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
		return;
	}
	if (one->size <= OUTPUT_MAX) {
		two = gunzip_open(io_from_memory(data, size, "fuzz", &e), cache, &e);
		out = malloc(one->size + 1);
		fuzz_require(two && out && two->size == one->size);
		read_all(one, out);
		read_backwards(two, out);
		free(out);
		io_unref(two);
	}
	io_unref(one);
}

/* Returns the length of the deflate stream at data and sets the gzip trailer for it; 0 if there is
 * no valid stream. */
static size_t deflate_length(const uint8_t *data, size_t size, uint8_t *trailer)
{
	z_stream z = {.next_in = (void *)data, .avail_in = size};
	uint32_t sum = crc32(0, NULL, 0), words[2];
	unsigned char out[4096];
	int r = inflateInit2(&z, -15);

	fuzz_require(r == Z_OK);
	while (r == Z_OK && z.total_out <= OUTPUT_MAX) {
		z.next_out = out;
		z.avail_out = sizeof out;
		r = inflate(&z, Z_NO_FLUSH);
		sum = crc32(sum, out, sizeof out - z.avail_out);
	}
	inflateEnd(&z);
	words[0] = htole32(sum);
	words[1] = htole32(z.total_out);
	memcpy(trailer, words, 8);
	return r == Z_STREAM_END ? z.total_in : 0;
}

/* Makes a gzip member of each stream in data; copies the rest behind the last member unchanged. */
static size_t make_gzip(const uint8_t *data, size_t size, uint8_t *out)
{
	uint8_t trailer[8], *p = out;
	size_t n;

	while (size > 0 && (n = deflate_length(data, size, trailer)) > 0) {
		p = mempcpy(p, "\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
		p = mempcpy(p, data, n);
		p = mempcpy(p, trailer, 8);
		data += n;
		size -= n;
	}
	p = mempcpy(p, data, size);
	return p - out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct cache *cache = cache_new(FUZZ_CACHE, &e);
	/* A stream has at least two bytes, and its header and trailer add 18. */
	uint8_t *file = malloc(10 * (size_t)INPUT_MAX);

	fuzz_require(cache && file);
	if (size <= INPUT_MAX)
		compare(file, make_gzip(data, size, file), cache);
	free(file);
	cache_free(cache);
	return 0;
}
