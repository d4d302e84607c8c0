/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "fault_io.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "memory_image.h"
#include "unit.h"
#include "view/view.h"

struct memory_image memory_image_new(const char *format, size_t file_len, size_t disk_len)
{
	struct memory_image m = {.format = format, .file_len = file_len, .disk_len = disk_len};

	m.file = calloc(1, file_len);
	m.disk = calloc(1, disk_len + 1);
	ck_assert(m.file && m.disk);
	return m;
}

void memory_image_free(struct memory_image *m)
{
	free(m->file);
	free(m->disk);
}

void memory_image_data(struct memory_image *m, size_t pos, size_t off, size_t len)
{
	ck_assert(range_fits(pos, len, m->file_len) && range_fits(off, len, m->disk_len));
	fill_pattern(m->file + pos, len, off / 512 + 1);
	memcpy(m->disk + off, m->file + pos, len);
}

int memory_image_open(const struct memory_image *m, const struct image_options *o,
	struct image **img, struct err *e)
{
	return image_open_io(io_from_memory(m->file, m->file_len, "memory", e), o, img, e);
}

static void random_reads(const struct memory_image *m, const struct view *v)
{
	const size_t longest = MIN(m->disk_len, 100000);
	unsigned char *buf = malloc(longest);
	uint64_t seed = m->disk_len;
	struct err e = ERR_INIT;

	for (int i = 0; i < 500 && longest > 0; i++) {
		uint64_t off = next_random(&seed) % m->disk_len;
		size_t len = next_random(&seed) % longest;

		len = MIN(len, m->disk_len - off);
		ck_assert_ok(view_read(v, buf, len, off, &e), &e);
		ck_assert_int_eq(memcmp(buf, m->disk + off, len), 0);
	}
	free(buf);
}

/* view_seek finds exactly the data of the disk: data in these images has no zero bytes. */
static void compare_seeks(const struct memory_image *m, const struct view *v)
{
	uint64_t off = 0, found, wrong = 0;

	for (bool data = true; off < v->size; data = !data, off = found) {
		int r = view_seek(v, off, data ? SEEK_DATA : SEEK_HOLE, &found);

		if (data && r == -ENXIO)
			found = v->size;
		else
			ck_assert_int_eq(r, 0);
		for (; off < found; off++)
			wrong += (m->disk[off] != 0) != !data;
	}
	ck_assert_uint_eq(wrong, 0);
}

void memory_image_compare(const struct memory_image *m, const struct view *v)
{
	unsigned char *buf = malloc(m->disk_len);
	struct err e = ERR_INIT;

	ck_assert_uint_eq(v->size, m->disk_len);
	ck_assert_ok(view_read(v, buf, m->disk_len, 0, &e), &e);
	ck_assert_int_eq(memcmp(buf, m->disk, m->disk_len), 0);
	random_reads(m, v);
	free(buf);
}

void memory_image_reads(const struct memory_image *m)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_ok(memory_image_open(m, &o, &img, &e), &e);
	ck_assert_str_eq(img->format->name, m->format);
	memory_image_compare(m, img->states[0]->view);
	compare_seeks(m, img->states[0]->view);
	image_close(img);
	options_free(&o);
}

void memory_image_refused(const struct memory_image *m, int code, const char *part)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_fails(memory_image_open(m, &o, &img, &e), code, &e, part);
	options_free(&o);
}

void memory_image_damaged(
	const struct memory_image *m, uint64_t off, uint64_t len, int code, const char *part)
{
	struct image_options o = options_new();
	unsigned char *buf = malloc(m->disk_len);
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	ck_assert_ok(memory_image_open(m, &o, &img, &e), &e);
	v = img->states[0]->view;
	ck_assert_fails(view_read(v, buf, m->disk_len, 0, &e), code, &e, part);
	ck_assert_fails(view_read(v, buf, 1, off, &e), code, &e, part);
	ck_assert_fails(view_read(v, buf, 1, off + len - 1, &e), code, &e, part);
	ck_assert_ok(view_read(v, buf, off, 0, &e), &e);
	ck_assert_ok(view_read(v, buf + off + len, m->disk_len - off - len, off + len, &e), &e);
	ck_assert_int_eq(memcmp(buf, m->disk, off), 0);
	ck_assert_int_eq(memcmp(buf + off + len, m->disk + off + len, m->disk_len - off - len), 0);
	image_close(img);
	options_free(&o);
	free(buf);
}

void memory_image_extent(const struct memory_image *m, uint64_t off, int kind, uint64_t len)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;
	struct extent x;

	ck_assert_ok(memory_image_open(m, &o, &img, &e), &e);
	ck_assert_ok(view_resolve(img->states[0]->view, off, m->disk_len - off, &x, &e), &e);
	ck_assert_int_eq(x.kind, kind);
	ck_assert_uint_eq(x.len, len);
	image_close(img);
	options_free(&o);
}

static bool read_with_fault(const struct memory_image *m, unsigned nth, enum fault fault)
{
	struct image_options o = options_new();
	unsigned char *buf = malloc(m->disk_len);
	struct io *io = fault_io_new(m->file, m->file_len);
	struct err e = ERR_INIT;
	struct image *img = NULL;
	bool failed = true;
	int r;

	io_ref(io);
	fault_io_arm(io, nth, fault);
	r = image_open_io(io, &o, &img, &e);
	if (r == 0) {
		r = view_read(img->states[0]->view, buf, m->disk_len, 0, &e);
		failed = fault_io_failed(io);
		ck_assert_int_eq(r, failed ? -EIO : 0);
		fault_io_arm(io, 0, fault);
		ck_assert_ok(view_read(img->states[0]->view, buf, m->disk_len, 0, &e), &e);
		ck_assert_int_eq(memcmp(buf, m->disk, m->disk_len), 0);
	} else {
		ck_assert_int_eq(r, -EIO);
		ck_assert(fault_io_failed(io));
	}
	image_close(img);
	io_unref(io);
	options_free(&o);
	free(buf);
	return failed;
}

void memory_image_faults(const struct memory_image *m, unsigned least)
{
	for (int fault = FAULT_EIO; fault <= FAULT_SHORT; fault++) {
		unsigned n = 1;

		while (read_with_fault(m, n, fault))
			n++;
		ck_assert_uint_gt(n, least);
	}
}
