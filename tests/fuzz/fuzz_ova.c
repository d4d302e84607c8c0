/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OVA archives: the tar headers, the descriptor, the manifest, and disks that are compressed or
 * split into chunks.  The checksums of the headers are made valid first. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "open/package-disk.h"
#include "open/package.h"

#define DISKS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
}

/* A sector with the magic of ustar is taken for a header. */
static void seal_all(uint8_t *p, size_t size)
{
	for (size_t at = 0; at + 512 <= size; at += 512)
		if (memcmp(p + at + 257, "ustar", 5) == 0)
			seal(p + at);
}

static void use_disk(struct package *p, size_t disk)
{
	struct err e = ERR_INIT;
	struct image *img;
	char *verdict;

	if (package_disk_open(p, disk, &img, &e) < 0) {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
		return;
	}
	fuzz_view(img->states[0]->view);
	if (package_verify(img, &verdict, &e) == 0)
		free(verdict);
	image_close(img);
}

static void use_package(struct io *io)
{
	struct err e = ERR_INIT;
	struct image_options o = {
		.nobacking = true,
		.cache = cache_new(FUZZ_CACHE, &e),
		.codec = codec_new(&e),
	};
	struct package *p;

	fuzz_require(o.cache && o.codec);
	if (package_open_io(io, &o, &p, &e) == 0) {
		for (size_t i = 0; i < package_count(p) && i < DISKS; i++) {
			fuzz_require(package_disk_name(p, i) != NULL);
			use_disk(p, i);
		}
		package_close(p);
	} else {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
	}
	codec_free(o.codec);
	cache_free(o.cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	struct err e = ERR_INIT;

	fuzz_require(copy != NULL);
	memcpy(copy, data, size);
	seal_all(copy, size);
	/* Any other input would be opened as a descriptor, whose files are read from the host. */
	if (size >= 512 && memcmp(copy + 257, "ustar", 5) == 0)
		use_package(io_from_memory(copy, size, "fuzz.ova", &e));
	free(copy);
	return 0;
}
