/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file.c - writes files of images and their data. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "util/bytes.h"
#include "mkimage.h"

#define SECTOR 512u
#define CHUNK  (64 * KIB)

void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "mkimage: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

int file_new(const struct job *j, const char *suffix)
{
	char path[4096];
	int fd;

	if (snprintf(path, sizeof path, "%s/%s%s", j->dir, j->c->name, suffix) >= (int)sizeof path)
		die("%s: the name is too long", j->dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		die("%s: %m", path);
	return fd;
}

void file_resize(int fd, uint64_t size)
{
	if (ftruncate(fd, size) < 0)
		die("cannot set the size of a file: %m");
}

void put(int fd, uint64_t pos, const void *data, size_t len)
{
	if (pwrite(fd, data, len, pos) != (ssize_t)len)
		die("cannot write: %m");
}

void put_text(int fd, uint64_t pos, const char *text)
{
	put(fd, pos, text, strlen(text));
}

void put_byte(int fd, uint64_t pos, uint8_t v)
{
	put(fd, pos, &v, sizeof v);
}

void put_le(int fd, uint64_t pos, unsigned width, uint64_t v)
{
	v = htole64(v);
	put(fd, pos, &v, width);
}

void put_be(int fd, uint64_t pos, unsigned width, uint64_t v)
{
	v = htobe64(v);
	put(fd, pos, (const char *)&v + sizeof v - width, width);
}

void put_le16(int fd, uint64_t pos, uint16_t v)
{
	put_le(fd, pos, sizeof v, v);
}

void put_le32(int fd, uint64_t pos, uint32_t v)
{
	put_le(fd, pos, sizeof v, v);
}

void put_le64(int fd, uint64_t pos, uint64_t v)
{
	put_le(fd, pos, sizeof v, v);
}

void put_be32(int fd, uint64_t pos, uint32_t v)
{
	put_be(fd, pos, sizeof v, v);
}

void put_be64(int fd, uint64_t pos, uint64_t v)
{
	put_be(fd, pos, sizeof v, v);
}

void get(int fd, uint64_t pos, void *data, size_t len)
{
	if (pread(fd, data, len, pos) != (ssize_t)len)
		die("cannot read %zu bytes at %llu", len, (unsigned long long)pos);
}

uint64_t get_le(int fd, uint64_t pos, unsigned width)
{
	uint64_t v = 0;

	get(fd, pos, &v, width);
	return le64toh(v);
}

uint64_t get_be(int fd, uint64_t pos, unsigned width)
{
	uint64_t v = 0;

	get(fd, pos, (char *)&v + sizeof v - width, width);
	return be64toh(v);
}

void patch_le(const struct job *j, int fd)
{
	put_le(fd, j->c->patch.pos, j->c->patch.width, j->c->patch.value);
}

void patch_be(const struct job *j, int fd)
{
	put_be(fd, j->c->patch.pos, j->c->patch.width, j->c->patch.value);
}

/* A pseudorandom number, derived from another number. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint8_t data_byte(uint64_t at)
{
	uint64_t sector = at / SECTOR, word = at % SECTOR / 8;

	/* Two words alternate, or all words are different. */
	word = mix(2 * sector * SECTOR + (at < NOISE ? word % 2 : word));
	return (word >> at % 8 * 8 & 0xff) | 1;
}

void data_make(void *buf, uint64_t from, size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = data_byte(from + i);
}

void put_data(int fd, uint64_t pos, uint64_t from, uint64_t len)
{
	char buf[CHUNK];

	while (len > 0) {
		size_t n = MIN(len, sizeof buf);

		data_make(buf, from, n);
		put(fd, pos, buf, n);
		pos += n;
		from += n;
		len -= n;
	}
}

size_t deflated(void *out, size_t room, const void *data, size_t len, int window)
{
	z_stream z = {.next_in = (void *)data, .avail_in = len, .next_out = out, .avail_out = room};

	if (deflateInit2(&z, 9, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
		deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("cannot compress");
	deflateEnd(&z);
	return room - z.avail_out;
}

size_t zstd_compressed(void *out, size_t room, const void *data, size_t len)
{
	size_t n = ZSTD_compress(out, room, data, len, 3);

	if (ZSTD_isError(n))
		die("cannot compress");
	return n;
}

void expect(const struct job *j, uint64_t off, uint64_t from, uint64_t len)
{
	if (j->raw >= 0)
		put_data(j->raw, off, from, len);
}

void expect_zero(const struct job *j, uint64_t off, uint64_t len)
{
	static const char zeroes[4096];

	for (uint64_t done = 0; j->raw >= 0 && done < len; done += sizeof zeroes)
		put(j->raw, off + done, zeroes, MIN(len - done, sizeof zeroes));
}

void expect_size(const struct job *j, uint64_t size)
{
	if (j->raw >= 0)
		file_resize(j->raw, size);
}
