/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gzip files: what is read at any place is what is read from the beginning on.  The input is
 * deflate streams, which get headers and checksums here, or hardly any would be right. */
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

/* From the end to the beginning, where no reader has left a decoder behind. */
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

/* The deflate stream at data: how long it is, and the trailer that it must have.  0: it is none. */
static size_t measure(const uint8_t *data, size_t size, uint8_t *trailer)
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

/* Makes members of the streams in data; what is left is put behind them as it is. */
static size_t dress(const uint8_t *data, size_t size, uint8_t *out)
{
	uint8_t trailer[8], *p = out;
	size_t n;

	while (size > 0 && (n = measure(data, size, trailer)) > 0) {
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
	/* A stream takes two bytes at least. */
	uint8_t *file = malloc(10 * (size_t)INPUT_MAX);

	fuzz_require(cache && file);
	if (size <= INPUT_MAX)
		compare(file, dress(data, size, file), cache);
	free(file);
	cache_free(cache);
	return 0;
}
