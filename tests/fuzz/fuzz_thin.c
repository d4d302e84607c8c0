/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_thin.c - the metadata of a thin pool.  The input is the metadata and a last byte of options:
 * whether to make the checksums of all blocks valid, without which few inputs would pass, and
 * whether there is an external origin. */
#include "flat_view.h"
#include "util/crc32c.h"
#include "volume/lvm/thin.h"

#define NODE  4096u
#define CHUNK 65536u

#define BLOCKS 700u
#define PLACES 64

/* Block 0 is the superblock; every other one may be a node. */
static void seal(uint8_t *p, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++, p += NODE) {
		store_le64(p + 8, i);
		if (i == 0)
			store_le64(p + 32, 27022010);
		store_le32(p, ~crc32c(0, p + 4, NODE - 4) ^ (i ? 121107u : 160774u));
	}
}

/* Some places of the volume: all that fuzz_view looks at would take too long, with several nodes
 * for each. */
static void check(const struct view *v)
{
	uint64_t found;

	for (uint64_t i = 0; i < PLACES; i++) {
		uint64_t off = i * 37 % BLOCKS * CHUNK + i;
		struct err e = ERR_INIT;
		struct extent x;

		if (view_resolve(v, off, v->size - off, &x, &e) == 0) {
			fuzz_check_extent(&x, v->size - off);
			fuzz_read(v, off);
		} else {
			fuzz_require(e.code > 0 && e.text[0] != '\0');
		}
	}
	if (view_seek(v, 0, SEEK_DATA, &found) == 0)
		fuzz_require(found < v->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t knobs = size ? data[size - 1] : 0, *copy = malloc(size + 1);
	const struct thin_volume volume = {
		.device = knobs >> 4, .size = BLOCKS * CHUNK + 5, .chunk = CHUNK};
	struct err e = ERR_INIT;
	struct cache *cache = cache_new(FUZZ_CACHE, &e);
	struct view *metadata, *pool, *origin = NULL, *v;

	fuzz_require(copy && cache);
	memcpy(copy, data, size);
	if (knobs & 1)
		seal(copy, size / NODE);
	metadata = flat_new(copy, size);
	pool = flat_new(NULL, 512 * CHUNK);
	if (knobs & 2)
		origin = flat_new(NULL, 20 * CHUNK + 7);
	v = thin_view(&volume, cache, metadata, pool, origin, &e);
	if (v) {
		check(v);
		view_free(v);
	} else {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
		view_free(metadata);
		view_free(pool);
		view_free(origin);
	}
	cache_free(cache);
	free(copy);
	return 0;
}
