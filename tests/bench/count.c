/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* count read IMAGE FORMAT N   reads N pages of 4 KiB, each from another place
 * count map IMAGE FORMAT N    maps N pieces of 128 KiB in order, as the daemon does before it
 * splices count write IMAGE FORMAT N  writes N pages of 4 KiB, each into a unit of its own, and
 * flushes
 *
 * The requests are made by measured(), for "valgrind --toggle-collect=measured": opening the image
 * and loading its tables are not counted.  One thread makes them, so the count is the same in each
 * run. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "io/cache.h"
#include "io/codec.h"
#include "open/open.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"

#define PAGE        4096u
#define PIECE       (128u << 10)
#define UNIT        (1u << 20) /* of the largest units that are measured, those of VDI */
#define CACHE_BYTES (32u << 20)

struct work {
	int (*request)(struct view *v, uint64_t i, struct err *e);
	bool writes;
	struct view *view;
	uint64_t n;
};

/* Steps of a multiple of the golden ratio visit each of count places once, far apart in time, if
 * count is a power of two. */
static uint64_t place(uint64_t i, uint64_t count)
{
	return i * 0x9e3779b97f4a7c15u % count;
}

static int read_page(struct view *v, uint64_t i, struct err *e)
{
	unsigned char buf[PAGE];

	return view_read(v, buf, PAGE, place(i, v->size / PAGE) * PAGE, e);
}

static int map_range(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct extent x;
	int r = 0;

	view_enter(v);
	for (; r == 0 && len > 0; off += x.len, len -= x.len)
		r = view_resolve(v, off, len, &x, e);
	view_leave(v);
	return r;
}

static int map_piece(struct view *v, uint64_t i, struct err *e)
{
	return map_range(v, i % (v->size / PIECE) * PIECE, PIECE, e);
}

static int write_page(struct view *v, uint64_t i, struct err *e)
{
	static const unsigned char page[PAGE] = {1};

	return view_write(v, page, PAGE, place(i, v->size / UNIT) * UNIT, e);
}

static __attribute__((noinline)) int measured(const struct work *w, struct err *e)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < w->n; i++)
		r = w->request(w->view, i, e);
	return r == 0 && w->writes ? view_flush(w->view, e) : r;
}

static int run(struct work *w, const char *path, const char *format, struct err *e)
{
	struct image_options options = {.format = format, .write = w->writes};
	struct image *img;
	int r;

	options.cache = cache_new(CACHE_BYTES, e);
	options.codec = options.cache ? codec_new(e) : NULL;
	if (!options.codec)
		return -e->code;
	r = image_open(path, &options, &img, e);
	if (r < 0)
		return r;
	w->view = img->states[0]->view;
	r = map_range(w->view, 0, w->view->size, e);
	/* The first write marks the image as in use. */
	if (r == 0 && w->writes)
		r = write_page(w->view, w->n, e);
	if (r == 0)
		r = measured(w, e);
	image_close(img);
	codec_free(options.codec);
	cache_free(options.cache);
	return r;
}

int main(int argc, char **argv)
{
	struct work work = {.n = argc == 5 ? strtoull(argv[4], NULL, 10) : 0};
	struct err e = ERR_INIT;

	if (argc == 5 && strcmp(argv[1], "read") == 0)
		work.request = read_page;
	if (argc == 5 && strcmp(argv[1], "map") == 0)
		work.request = map_piece;
	if (argc == 5 && strcmp(argv[1], "write") == 0)
		work = (struct work){.request = write_page, .writes = true, .n = work.n};
	if (!work.request || work.n == 0) {
		fprintf(stderr, "usage: count read|map|write IMAGE FORMAT N\n");
		return 2;
	}
	if (run(&work, argv[2], argv[3], &e) < 0) {
		fprintf(stderr, "count: %s: %s\n", argv[2], e.text);
		return 1;
	}
	return 0;
}
