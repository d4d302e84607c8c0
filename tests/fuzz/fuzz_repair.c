/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repairs images of all formats.  Data that was readable before reads the same afterwards, and a
 * second check does not find the repaired errors again. */
#include "fuzz.h"
#include "memory_file.h"

#define SAMPLES 64
#define SAMPLE  4096u

/* Samples of the disk at equal distances. */
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

static bool read_and_check(unsigned char *bytes, uint64_t size, struct image_options *o,
	struct sample *s, struct check_report *r)
{
	struct err e = ERR_INIT;
	struct image *img;

	o->repair = false;
	img = memory_file_open(bytes, size, o);
	if (!img)
		return false;
	take_samples(img, s);
	*r = (struct check_report){.found = NULL};
	if (image_check(img, 0, r, &e) < 0)
		r->check_errors++;
	image_close(img);
	return true;
}

/* Returns the size of the repaired file. */
static uint64_t repair(
	unsigned char *bytes, uint64_t size, struct image_options *o, struct check_report *r)
{
	struct err e = ERR_INIT;
	struct image *img;

	o->repair = true;
	img = memory_file_open(bytes, size, o);
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
	static unsigned char bytes[FILE_SIZE_MAX];
	static struct sample before[SAMPLES], after[SAMPLES];
	struct check_report was, repaired, is;
	struct err e = ERR_INIT;
	struct image_options o = {
		.nobacking = true,
		.cache = cache_new(FUZZ_CACHE, &e),
		.codec = codec_new(&e),
	};

	fuzz_require(o.cache && o.codec);
	if (size <= FILE_SIZE_MAX / 4) {
		memcpy(bytes, data, size);
		if (read_and_check(bytes, size, &o, before, &was)) {
			uint64_t end = repair(bytes, size, &o, &repaired);

			fuzz_require(read_and_check(bytes, end, &o, after, &is));
			compare_samples(before, after);
			if (was.check_errors == 0 && repaired.check_errors == 0)
				fuzz_require(is.check_errors == 0 &&
					     is.corruptions <= repaired.corruptions);
			memset(bytes, 0, end);
		}
		memset(bytes, 0, size);
	}
	codec_free(o.codec);
	cache_free(o.cache);
	return 0;
}
