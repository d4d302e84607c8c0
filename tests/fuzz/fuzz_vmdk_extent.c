/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_vmdk_extent.c - sparse extents, seSparse above all, without the descriptor: an image in
 * memory is a single file. */
#include <string.h>

#include "fuzz.h"
#include "driver/vmdk/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXTENT_LEN (UINT64_C(1) << 40)

static const struct vmdk_kind *kind_of(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] == 'K')
		return &vmdk_sparse;
	return size > 0 && data[0] == 'C' ? &vmdk_cowd : &vmdk_sesparse;
}

static void fill(const struct vmdk_extent *x, const struct extent *unit)
{
	struct err e = ERR_INIT;
	void *buf = malloc(unit->unit_len);
	int r;

	fuzz_require(buf && range_fits(unit->pos, unit->len, unit->unit_len));
	r = x->kind->fill(x, unit, buf, &e);
	fuzz_require(r == 0 || (r == -e.code && e.text[0] != '\0'));
	free(buf);
}

static void walk(const struct vmdk_extent *x)
{
	uint64_t off = 0;

	for (int i = 0; i < FUZZ_EXTENTS && off < EXTENT_LEN; i++) {
		struct extent out = {.len = 0};
		struct err e = ERR_INIT;
		int r = x->kind->map(x, off, EXTENT_LEN - off, &out, &e);

		fuzz_require(r == 0 || (r == -e.code && e.text[0] != '\0'));
		fuzz_require(out.len <= EXTENT_LEN - off && (r < 0 || out.len > 0));
		if (r == 0 && out.kind == EXTENT_FILE)
			fuzz_require(range_fits(out.pos, out.len, out.io->size));
		if (r == 0 && out.kind == EXTENT_GENERATED)
			fill(x, &out);
		off += out.len ? out.len : MIN(FUZZ_STRIDE, EXTENT_LEN - off);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	/* An explicit format also opens truncated streams. */
	struct image_options o = {
		.format = "vmdk", .cache = cache_new(FUZZ_CACHE, &e), .codec = codec_new(&e)};
	struct io *io = io_from_memory(data, size, "fuzz", &e);
	struct image img = {.opts = &o, .io = io, .format_given = true};
	struct vmdk_extent_line line = {.type = "SPARSE", .sectors = EXTENT_LEN / VMDK_SECTOR};
	struct vmdk_extent x = {
		.kind = kind_of(data, size), .line = &line, .len = EXTENT_LEN, .io = io};

	fuzz_require(o.cache && o.codec && io);
	io->cache = o.cache;
	if (x.kind->open(&x, &img, &e) == 0)
		walk(&x);
	else
		fuzz_require(e.code > 0 && e.text[0] != '\0');
	if (x.tables && x.kind->close)
		x.kind->close(&x);
	free(x.tables);
	io_unref(io);
	codec_free(o.codec);
	cache_free(o.cache);
	return 0;
}
