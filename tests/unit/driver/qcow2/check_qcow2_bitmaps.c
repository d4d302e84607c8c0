/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_qcow2_bitmaps.c - persistent bitmaps are kept up to date: compared with a model of bits
 * after random operations, and after power cuts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/bitmaps.h"
#include "image/check.h"
#include "image/format.h"
#include "image/snapshot.h"
#include "io/io.h"
#include "open/open.h"
#include "common/crash_storage.h"
#include "common/unit.h"
#include "view/view.h"
#include "bitmap_reader.h"

#define PATH     "a.qcow2"
#define SIZE     (UINT64_C(3) << 20)
#define MAX_SIZE (UINT64_C(8) << 20)

static const char *const variants[] = {
	"compat=1.1",
	"cluster_size=512",
	"cluster_size=16k,extended_l2=on",
	"data_file=data.raw",
};

/* The bitmaps: off is disabled. */
static const struct {
	const char *name;
	uint64_t granularity;
	bool enabled;
} bitmaps[] = {
	{"fine", 512, true},
	{"some name", 64 << 10, true},
	{"coarse", 1 << 20, true},
	{"off", 64 << 10, false},
};

enum { BITMAPS = COUNT(bitmaps) };

static uint64_t state;
static struct image_options o;
static struct image *img;
static unsigned char *want[BITMAPS]; /* one byte a bit, of a disk of MAX_SIZE */

static unsigned char *load(size_t *len)
{
	FILE *f = fopen(PATH, "rb");
	unsigned char *p;

	ck_assert_ptr_nonnull(f);
	fseek(f, 0, SEEK_END);
	*len = ftell(f);
	rewind(f);
	p = malloc(*len + 1);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(fread(p, 1, *len, f), *len);
	fclose(f);
	return p;
}

static void make(const char *options)
{
	const char *list[3] = {options};
	char words[128], command[256], *comma;

	snprintf(words, sizeof words, "%s", options);
	comma = strchr(words, ',');
	if (comma) {
		*comma = '\0';
		list[0] = words;
		list[1] = comma + 1;
	}
	make_image("qcow2", PATH, SIZE, NULL, list);
	for (size_t i = 0; i < BITMAPS; i++) {
		snprintf(command, sizeof command, "qemu-img bitmap --add -g %llu %s " PATH " '%s'",
			(unsigned long long)bitmaps[i].granularity,
			bitmaps[i].enabled ? "" : "--disable", bitmaps[i].name);
		ck_assert_int_eq(system(command), 0);
		free(want[i]);
		want[i] = calloc(1, MAX_SIZE / 512);
	}
}

static void mark(uint64_t off, uint64_t len)
{
	for (size_t i = 0; i < BITMAPS; i++)
		for (uint64_t k = off / bitmaps[i].granularity;
			bitmaps[i].enabled && k <= (off + len - 1) / bitmaps[i].granularity; k++)
			want[i][k] = 1;
}

static struct view *disk(void)
{
	return img->states[0]->view;
}

/* The bits of a shorter disk are gone. */
static void resize(uint64_t size)
{
	struct err e = ERR_INIT;

	ck_assert_ok(view_resize(disk(), size, &e), &e);
	for (size_t i = 0; i < BITMAPS; i++) {
		uint64_t bits = div_round_up(size, bitmaps[i].granularity);

		memset(want[i] + bits, 0, MAX_SIZE / 512 - bits);
	}
}

static int write_or_clear(unsigned what, uint64_t off, uint64_t len, struct err *e)
{
	struct view *v = disk();
	unsigned char *buf, packed[64 << 10];
	ssize_t n;
	int r;

	if (what == 0)
		return view_clear(v, off, len, e);
	buf = calloc(1, MAX(len, v->unit));
	ck_assert_ptr_nonnull(buf);
	if (what == 1 && v->compressed_max > 0 && off % v->unit == 0 && len == v->unit) {
		n = view_compress(v, buf, off, packed, e);
		r = n > 0 ? view_write_compressed(v, packed, n, off, e) : 0;
	} else {
		fill_pattern(buf, len, (unsigned)off);
		r = view_write(v, buf, len, off, e);
	}
	free(buf);
	return r;
}

static void operate(void)
{
	uint64_t size = disk()->size, off, len;
	unsigned what = next_random(&state) % 16;
	struct err e = ERR_INIT;
	unsigned no;

	if (what == 15) {
		resize((1 + next_random(&state) % (MAX_SIZE / 512 - 1)) * 512);
		return;
	}
	if (what == 14 && snapshot_create(img, "s", &no, &e) == 0) {
		ck_assert_ok(snapshot_delete(img, no, &e), &e);
		return;
	}
	if (what == 13) { /* changes no byte */
		ck_assert_ok(view_allocate(disk(), 0, MIN(size, 128 << 10), &e), &e);
		return;
	}
	off = next_random(&state) % (size / 512) * 512;
	len = MIN(size - off, (1 + next_random(&state) % 40) * 512);
	if (what == 1) {
		off -= off % disk()->unit;
		len = disk()->unit;
	}
	if (off + len > size)
		return;
	ck_assert_ok(write_or_clear(what, off, len, &e), &e);
	mark(off, len);
}

/* The bitmaps in the file are those of the model. */
static void compare(void)
{
	size_t len;
	unsigned char *file = load(&len);

	for (size_t i = 0; i < BITMAPS; i++) {
		struct read_bitmap b;

		ck_assert(bitmap_reader_find(file, len, bitmaps[i].name, &b));
		ck_assert_uint_eq(b.flags, bitmaps[i].enabled ? READ_AUTO : 0);
		ck_assert_uint_eq(b.granularity, bitmaps[i].granularity);
		for (uint64_t k = 0; k < b.bits; k++)
			ck_assert_msg(b.bit[k] == want[i][k], "%s: bit %llu is %d", bitmaps[i].name,
				(unsigned long long)k, b.bit[k]);
		free(b.bit);
	}
	free(file);
}

static void reopen(void)
{
	struct err e = ERR_INIT;

	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	compare();
	img = open_image_file(PATH, true, &o);
}

static void close_image(void)
{
	image_close(img);
	options_free(&o);
	img = NULL;
	ck_assert_int_eq(system("qemu-img check -q " PATH), 0);
}

START_TEST(random_operations)
{
	state = 700 + _i;
	make(variants[_i]);
	img = open_image_file(PATH, true, &o);
	for (unsigned i = 0; i < 300; i++) {
		operate();
		if (i % 12 == 11)
			reopen();
	}
	reopen();
	close_image();
}
END_TEST

/* Bits are set for what differs between the disk and the snapshot that it becomes. */
START_TEST(applied_snapshot)
{
	unsigned char buf[1024];
	struct err e = ERR_INIT;
	unsigned no;

	make(variants[_i]);
	img = open_image_file(PATH, true, &o);
	fill_pattern(buf, sizeof buf, 1);
	ck_assert_ok(view_write(disk(), buf, sizeof buf, 128 << 10, &e), &e);
	mark(128 << 10, sizeof buf);
	ck_assert_ok(snapshot_create(img, "s", &no, &e), &e);
	ck_assert_ok(view_write(disk(), buf, sizeof buf, 1 << 20, &e), &e);
	resize(2 << 20);
	ck_assert_ok(snapshot_apply(img, no, &e), &e);
	mark(1 << 20, MAX(sizeof buf, disk()->granule));
	mark(2 << 20, 1 << 20);
	reopen();
	close_image();
}
END_TEST

/* The mark is there from before the first change until the bits are stored. */
START_TEST(in_use_while_written)
{
	struct read_bitmap b;
	struct err e = ERR_INIT;
	unsigned char *file;
	size_t len;

	make("compat=1.1");
	img = open_image_file(PATH, true, &o);
	ck_assert_ok(image_set_backing(img, "x", "raw", &e), &e);
	for (size_t i = 0; i < 2 * BITMAPS; i++) {
		bool begun = i >= BITMAPS;

		if (i == BITMAPS)
			ck_assert_ok(view_write(disk(), "x", 1, 0, &e), &e);
		file = load(&len);
		ck_assert(bitmap_reader_find(file, len, bitmaps[i % BITMAPS].name, &b));
		ck_assert_int_eq(
			b.flags & READ_IN_USE, begun && bitmaps[i % BITMAPS].enabled ? 1 : 0);
		free(file);
		free(b.bit);
		b.bit = NULL;
	}
	mark(0, 1);
	ck_assert_ok(image_set_backing(img, NULL, NULL, &e), &e);
	reopen();
	close_image();
}
END_TEST

/* Power cuts. */

static struct medium medium;
static struct scratch after;

/* Each sector that is not zero any more has its bit in each bitmap that is not in use. */
static void check_bits(const unsigned char *bytes, uint64_t size, const struct view *v)
{
	unsigned char *content = malloc(SIZE);
	struct read_bitmap b;
	struct err e = ERR_INIT;

	ck_assert_ok(view_read(v, content, SIZE, 0, &e), &e);
	for (size_t i = 0; i < BITMAPS; i++) {
		ck_assert(bitmap_reader_find(bytes, size, bitmaps[i].name, &b));
		if (!bitmaps[i].enabled)
			ck_assert_uint_eq(b.flags, 0);
		for (uint64_t k = 0; bitmaps[i].enabled && b.bit && k < SIZE / 512; k++)
			ck_assert(
				b.bit[k * 512 / b.granularity] || is_zero(content + k * 512, 512));
		free(b.bit);
	}
	free(content);
}

static void check_cut(unsigned percent, uint64_t most)
{
	struct image_options options = options_new();
	struct check_report report = {.found = NULL};
	struct err e = ERR_INIT;
	struct image *cut;
	struct io *io;

	medium_cut(&medium, &after, percent, most, &state);
	io = io_from_memory(after.bytes, after.used, "after the cut", &e);
	ck_assert_ptr_nonnull(io);
	ck_assert_ok(image_open_io(io, &options, &cut, &e), &e);
	ck_assert_ok(image_check(cut, 0, &report, &e), &e);
	ck_assert_uint_eq(report.corruptions + report.check_errors, 0);
	check_bits(after.bytes, after.used, cut->states[0]->view);
	image_close(cut);
	options_free(&options);
}

static void cut_at_sync(void *arg)
{
	uint64_t n = medium_pending(&medium);

	(void)arg;
	check_cut(50, UINT64_MAX);
	check_cut(90, UINT64_MAX);
	check_cut(100, next_random(&state) % n);
	check_cut(100, n);
}

static void open_medium(void)
{
	struct err e = ERR_INIT;

	o = options_new();
	o.write = true;
	ck_assert_ok(image_open_io(medium_io(&medium), &o, &img, &e), &e);
}

START_TEST(power_cuts)
{
	struct err e = ERR_INIT;

	state = 800 + _i;
	make(variants[_i]);
	medium_load(&medium, PATH);
	open_medium();
	medium.before_sync = cut_at_sync;
	for (unsigned i = 0; i < 60; i++) {
		uint64_t off = next_random(&state) % (SIZE / 512 - 40) * 512;
		uint64_t len = (1 + next_random(&state) % 40) * 512;

		ck_assert_ok(write_or_clear(next_random(&state) % 4, off, len, &e), &e);
		check_cut(50, UINT64_MAX);
		if (i % 10 == 9)
			ck_assert_ok(view_flush(disk(), &e), &e);
		if (i % 20 != 19)
			continue;
		ck_assert_ok(image_finish(img, &e), &e);
		image_close(img);
		options_free(&o);
		open_medium();
	}
	image_close(img);
	options_free(&o);
	medium_free(&medium);
}
END_TEST

/* Operations on bitmaps: after a power cut one has the state before, or the state after. */

enum { ALL_BITS = SIZE / 512 };

/* The states of the bitmap "b" that a file may have. */
struct bits {
	bool exists, enabled;
	unsigned char bit[ALL_BITS];
};

static struct bits before, now;

static bool is_state(const struct bits *s, bool exists, const struct read_bitmap *b)
{
	if (!exists || !s->exists)
		return exists == s->exists;
	return b->flags == (s->enabled ? READ_AUTO : 0) && memcmp(b->bit, s->bit, b->bits) == 0;
}

static void check_state(void)
{
	struct image_options options = options_new();
	struct check_report report = {.found = NULL};
	struct err e = ERR_INIT;
	struct read_bitmap b = {.bit = NULL};
	struct image *cut;
	struct io *io = io_from_memory(after.bytes, after.used, "after the cut", &e);
	bool exists;

	ck_assert_ptr_nonnull(io);
	ck_assert_ok(image_open_io(io, &options, &cut, &e), &e);
	ck_assert_ok(image_check(cut, 0, &report, &e), &e);
	ck_assert_uint_eq(report.corruptions + report.check_errors, 0);
	image_close(cut);
	options_free(&options);
	exists = bitmap_reader_find(after.bytes, after.used, "b", &b);
	ck_assert(is_state(&before, exists, &b) || is_state(&now, exists, &b));
	free(b.bit);
}

static void cut_states(void *arg)
{
	static const unsigned percents[] = {50, 90, 10, 100};

	(void)arg;
	for (size_t i = 0; i < 2 * COUNT(percents); i++) {
		medium_cut(&medium, &after, percents[i / 2],
			i % 2 ? next_random(&state) % (medium_pending(&medium) + 1) : UINT64_MAX,
			&state);
		check_state();
	}
}

static int operate_on_bitmap(unsigned what, struct err *e)
{
	struct bitmap_info info = {.name = "b", .granularity = 512, .enabled = true};

	before = now;
	switch (what) {
	case 0:
		now.exists = now.enabled = true;
		memset(now.bit, 0, sizeof now.bit);
		return bitmaps_add(img, &info, e);
	case 1:
		now.exists = false;
		return bitmaps_remove(img, "b", e);
	case 2:
		memset(now.bit, 0, sizeof now.bit);
		return bitmaps_clear(img, "b", e);
	case 3:
		now.enabled = !now.enabled;
		return bitmaps_enable(img, "b", now.enabled, e);
	default:
		for (size_t i = 0; i < ALL_BITS; i++)
			now.bit[i] |= want[0][i];
		return bitmaps_merge(img, "b", img, "fine", e);
	}
}

START_TEST(operations)
{
	struct err e = ERR_INIT;
	unsigned char buf[8192];

	state = 900 + _i;
	make(variants[_i]);
	medium_load(&medium, PATH);
	open_medium();
	fill_pattern(buf, sizeof buf, 1);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t off = next_random(&state) % (SIZE / 512 - 16) * 512;

		ck_assert_ok(view_write(disk(), buf, sizeof buf, off, &e), &e);
		mark(off, sizeof buf);
	}
	before = now = (struct bits){.exists = false};
	medium.before_sync = cut_states;
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_ok(
			operate_on_bitmap(now.exists ? 1 + (next_random(&state) % 8) % 5 : 0, &e),
			&e);
		before = now;
		medium_cut(&medium, &after, 0, 0, &state);
		check_state();
	}
	ck_assert_ok(image_finish(img, &e), &e);
	before = now;
	now.exists = false;
	ck_assert_ok(bitmaps_remove_all(img, &e), &e);
	ck_assert_int_eq(bitmaps_clear(img, "fine", &e), -ENOENT);
	image_close(img);
	options_free(&o);
	medium_free(&medium);
}
END_TEST

Suite *qcow2_bitmaps_suite(void)
{
	TCase *tc = tcase_create("bitmaps");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	if (system("qemu-img --version >/dev/null 2>&1") != 0) {
		report_skipped("qcow2_bitmaps: qemu-img is missing");
		return suite_of("qcow2_bitmaps", tc);
	}
	tcase_add_loop_test(tc, random_operations, 0, COUNT(variants));
	tcase_add_loop_test(tc, applied_snapshot, 0, COUNT(variants) - 1);
	tcase_add_test(tc, in_use_while_written);
	tcase_add_loop_test(tc, power_cuts, 0, COUNT(variants) - 1);
	tcase_add_loop_test(tc, operations, 0, COUNT(variants) - 1);
	return suite_of("qcow2_bitmaps", tc);
}
