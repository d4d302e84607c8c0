/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repairs images of all formats: what could be read reads the same afterwards, and what was mended
 * does not come back. */
#include <errno.h>
#include <string.h>

#include "format.h"
#include "fuzz.h"

#define ROOM    (8u << 20) /* that a file may grow to */
#define SAMPLES 64
#define SAMPLE  4096u

/* A file of memory that can be written to. */
struct file {
	struct io io;
	unsigned char *bytes;
};

static ssize_t file_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	memcpy(buf, ((struct file *)io)->bytes + pos, len);
	return (ssize_t)len;
}

static int file_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	if (!range_fits(pos, len, ROOM))
		return -ENOSPC;
	memcpy(((struct file *)io)->bytes + pos, buf, len);
	return 0;
}

static int file_resize(struct io *io, uint64_t size)
{
	if (size > ROOM)
		return -ENOSPC;
	if (size < io->size)
		memset(((struct file *)io)->bytes + size, 0, io->size - size);
	return 0;
}

static int file_sync(struct io *io)
{
	(void)io;
	return 0;
}

static void file_close(struct io *io)
{
	free(io);
}

static const struct io_ops ops = {
	.read = file_read,
	.write = file_write,
	.resize = file_resize,
	.sync = file_sync,
	.close = file_close,
};

static struct image *open_bytes(unsigned char *bytes, uint64_t size, struct image_options *o)
{
	struct err e = ERR_INIT;
	struct file *f = io_new(sizeof *f, &ops, "fuzz", &e);
	struct image *img;

	fuzz_require(f);
	f->bytes = bytes;
	f->io.size = f->io.stored = size;
	f->io.writable = o->repair;
	return image_open_io(&f->io, o, &img, &e) == 0 ? img : NULL;
}

/* Of the disk, all along it. */
struct sample {
	bool good;
	unsigned char bytes[SAMPLE];
};

static void take_samples(const struct image *img, struct sample *s)
{
	const struct view *v = img->states[0]->view;
	uint64_t step = MAX(SAMPLE, v->size / SAMPLES / SAMPLE * SAMPLE);

	for (int i = 0; i < SAMPLES; i++) {
		struct err e = ERR_INIT;
		uint64_t off = (uint64_t)i * step;

		s[i].good = off < v->size && v->size - off >= SAMPLE &&
			    view_read(v, s[i].bytes, SAMPLE, off, &e) == 0;
	}
}

static void compare_samples(const struct sample *before, const struct sample *after)
{
	for (int i = 0; i < SAMPLES; i++)
		if (before[i].good)
			fuzz_require(after[i].good &&
				     memcmp(before[i].bytes, after[i].bytes, SAMPLE) == 0);
}

static bool look(unsigned char *bytes, uint64_t size, struct image_options *o, struct sample *s,
	struct check_report *r)
{
	struct err e = ERR_INIT;
	struct image *img;

	o->repair = false;
	img = open_bytes(bytes, size, o);
	if (!img)
		return false;
	take_samples(img, s);
	*r = (struct check_report){.found = NULL};
	if (image_check(img, 0, r, &e) < 0)
		r->check_errors++;
	image_close(img);
	return true;
}

/* Where the file ends then. */
static uint64_t repair(
	unsigned char *bytes, uint64_t size, struct image_options *o, struct check_report *r)
{
	struct err e = ERR_INIT;
	struct image *img;

	o->repair = true;
	img = open_bytes(bytes, size, o);
	fuzz_require(img);
	*r = (struct check_report){.found = NULL};
	if (image_check(img, CHECK_ALL, r, &e) < 0)
		r->check_errors++;
	size = img->io->size;
	image_close(img);
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char bytes[ROOM];
	static struct sample before[SAMPLES], after[SAMPLES];
	struct check_report was, mended, is;
	struct err e = ERR_INIT;
	struct image_options o = {
		.nobacking = true,
		.cache = cache_new(FUZZ_CACHE, &e),
		.codec = codec_new(&e),
	};

	fuzz_require(o.cache && o.codec);
	if (size <= ROOM / 4) {
		memcpy(bytes, data, size);
		if (look(bytes, size, &o, before, &was)) {
			uint64_t end = repair(bytes, size, &o, &mended);

			fuzz_require(look(bytes, end, &o, after, &is));
			compare_samples(before, after);
			if (was.check_errors == 0 && mended.check_errors == 0)
				fuzz_require(is.check_errors == 0 &&
					     is.corruptions <= mended.corruptions);
			memset(bytes, 0, end);
		}
		memset(bytes, 0, size);
	}
	codec_free(o.codec);
	cache_free(o.cache);
	return 0;
}
