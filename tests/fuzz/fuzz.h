/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz.h - the body of the fuzz targets of all drivers.  The input is opened as an image in
 * memory; every state is mapped, read and seeked in as a mount does, the info is printed, and the
 * image is checked.
 *
 * The work per input is bounded, so that an image with a disk of exabytes takes no longer than a
 * small one.
 */
#ifndef VDISK_FUZZ_H
#define VDISK_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "image/check.h"
#include "io/codec.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "image/info.h"
#include "io/io.h"
#include "view/view.h"

#define FUZZ_STATES  8
#define FUZZ_EXTENTS 512
#define FUZZ_SEEKS   8
#define FUZZ_STRIDE  (64u << 10) /* step over a range that cannot be read */
#define FUZZ_CACHE   (256u << 10)

/* abort() makes libFuzzer store the input. */
#define fuzz_require(holds)                                                                        \
	do {                                                                                       \
		if (!(holds)) {                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds);                \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The postconditions of view_resolve, which hold for any image. */
static inline void fuzz_check_extent(const struct extent *x, uint64_t asked)
{
	fuzz_require(x->len > 0 && x->len <= asked);
	fuzz_require(x->kind != EXTENT_BELOW);
	if (x->kind == EXTENT_FILE || x->kind == EXTENT_CRYPT)
		fuzz_require(range_fits(x->pos, x->len, x->io->size));
	if (x->kind == EXTENT_GENERATED)
		fuzz_require(range_fits(x->pos, x->len, x->unit_len));
}

static inline void fuzz_read(const struct view *v, uint64_t off)
{
	unsigned char buf[4096];
	struct err e = ERR_INIT;
	size_t len = MIN(sizeof buf, v->size - off);
	int rc = view_read(v, buf, len, off, &e);

	fuzz_require(rc == 0 || rc == -e.code);
}

static inline void fuzz_extents(const struct view *v)
{
	uint64_t off = 0;

	for (int i = 0; i < FUZZ_EXTENTS && off < v->size; i++) {
		struct err e = ERR_INIT;
		struct extent x;

		if (view_resolve(v, off, v->size - off, &x, &e) == 0) {
			fuzz_check_extent(&x, v->size - off);
			fuzz_read(v, off);
			off += x.len;
		} else {
			fuzz_require(e.code > 0 && e.text[0] != '\0');
			off += MIN(FUZZ_STRIDE, v->size - off);
		}
	}
	if (v->size)
		fuzz_read(v, v->size - 1);
}

static inline void fuzz_seek(const struct view *v)
{
	uint64_t off = 0;

	for (int i = 0; i < FUZZ_SEEKS; i++) {
		uint64_t found;

		if (view_seek(v, off, i % 2 ? SEEK_HOLE : SEEK_DATA, &found))
			break;
		fuzz_require(found >= off && found <= v->size);
		off = found;
	}
}

static inline void fuzz_view(const struct view *v)
{
	if (v) {
		fuzz_extents(v);
		fuzz_seek(v);
	}
}

static inline void fuzz_info(const struct image *img, const struct state *state)
{
	struct err e = ERR_INIT;
	char *text = info_json(img, state, &e);

	fuzz_require(text && text[0] == '{');
	free(text);
}

static inline void fuzz_check(struct image *img)
{
	struct check_report report = {.found = NULL};
	struct err e = ERR_INIT;
	int rc = image_check(img, 0, &report, &e);

	fuzz_require(rc == 0 || (rc == -e.code && e.text[0] != '\0'));
}

static inline int fuzz_one_with(
	const char *format, const struct passphrase *secrets, const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct image_options o = {
		.format = format,
		.nobacking = true, /* opens images that have a parent, too */
		.secrets = secrets,
		.cache = cache_new(FUZZ_CACHE, &e),
		.codec = codec_new(&e),
	};
	struct image *img;

	fuzz_require(o.cache && o.codec);
	if (image_open_io(io_from_memory(data, size, "fuzz", &e), &o, &img, &e) == 0) {
		for (size_t i = 0; i < img->nstates && i < FUZZ_STATES; i++) {
			fuzz_view(img->states[i]->view);
			fuzz_view(img->states[i]->vmstate);
			fuzz_info(img, img->states[i]);
		}
		fuzz_check(img);
		image_close(img);
	} else {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
	}
	codec_free(o.codec);
	cache_free(o.cache);
	return 0;
}

static inline int fuzz_one(const char *format, const uint8_t *data, size_t size)
{
	return fuzz_one_with(format, NULL, data, size);
}

#endif
