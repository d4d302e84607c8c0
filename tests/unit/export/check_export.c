/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "common/fake_disk.h"
#include "image/format.h"
#include "open/registry.h"
#include "export/allocmap.h"
#include "io/io.h"
#include "export/export.h"
#include "common/unit.h"
#include "view/io-view.h"
#include "view/view.h"
#include "open/open.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define TIB (KIB * GIB)

#define MANY 16 /* more than there are export formats */

/* All export formats of all drivers. */
static struct kind {
	const struct format *format;
	const struct export_format *layout;
} kinds[MANY];

static int count_kinds(void)
{
	int n = 0;

	for (const struct format *const *f = registry; *f; f++)
		for (const struct export_format *const *l = (*f)->layouts; l && *l; l++)
			kinds[n++] = (struct kind){*f, *l};
	return n;
}

static struct image_options o;
static struct export_source source;
static struct allocmap *stored;
static struct view *file;
static struct image *img;

static void setup(void)
{
	o = options_new();
	count_kinds();
}

static void teardown(void)
{
	image_close(img);
	view_free(file);
	allocmap_free(stored);
	view_free(source.disk);
	options_free(&o);
}

/* Allocation patterns of disks. */

static uint64_t none(uint64_t i)
{
	(void)i;
	return UINT64_MAX;
}

static uint64_t all(uint64_t i)
{
	return i;
}

static uint64_t odd(uint64_t i)
{
	return i | 1;
}

static uint64_t scattered(uint64_t i)
{
	while ((i * 0x9e3779b97f4a7c15u >> 40) % 100 >= 7)
		i++;
	return i;
}

/* Units of 64 KiB: the first, the last, and those beside the borders between two tables. */
static uint64_t at_table_borders(uint64_t i)
{
	static const uint64_t places[] = {0, 511, 512, 8191, 8192, 32767, 32768, 500 << 14,
		(512 << 14) - 1, 512 << 14, (1536 << 14) - 1, 1536 << 14, (5120 << 14) - 1,
		UINT64_MAX};
	size_t n = 0;

	while (places[n] < i)
		n++;
	return places[n];
}

static const struct {
	uint64_t size;
	uint32_t unit;
	fake_next *next;
} disks[] = {
	{512, 512, all},
	{1, 512, all},
	{1000003, 512, all},
	{MIB, 65536, none},
	{9 * MIB + 512, 65536, all},
	{64 * MIB, 65536, odd},
	{300 * MIB + 4096, 4096, scattered},
	{33 * MIB - 1, 512, scattered},
	{5 * TIB, 65536, at_table_borders},
	{5 * TIB - 700, 65536, at_table_borders},
};

static void use_disk(uint64_t size, uint32_t unit, fake_next *next)
{
	struct err e = ERR_INIT;

	source = (struct export_source){.cache = o.cache, .when = 1600000000};
	source.disk = fake_disk_new(o.cache, size, unit, next);
	memset(source.id, 7, sizeof source.id);
	stored = allocmap_of(source.disk, EXPORT_BITS, &e);
	ck_assert(stored);
	source.stored = stored;
}

static struct view *make_export(const struct export_format *l)
{
	struct err e = ERR_INIT;
	struct view *v = NULL;

	ck_assert_ok(export_make(l, &source, "a disk", &v, &e), &e);
	return v;
}

/* Opens the export as an image; probing must find its format. */
static const struct view *open_file(const struct kind *k)
{
	struct err e = ERR_INIT;

	file = make_export(k->layout);
	ck_assert_ok(image_open_io(io_from_view(file, "view", &e), &o, &img, &e), &e);
	ck_assert_ptr_eq(img->format, k->format);
	return img->states[0]->view;
}

static void check_read(const struct view *v, uint64_t off, size_t len)
{
	unsigned char got[8192], want[8192] = {0};
	struct err e = ERR_INIT;

	len = MIN(len, v->size - off);
	ck_assert_ok(view_read(v, got, len, off, &e), &e);
	if (off < source.disk->size)
		ck_assert_ok(
			view_read(source.disk, want, MIN(len, source.disk->size - off), off, &e),
			&e);
	ck_assert_msg(memcmp(got, want, len) == 0, "%zu bytes at %#jx differ", len, (uintmax_t)off);
}

/* Compares up to 3000 ranges of data: the beginning of each, and its end. */
static void check_data(const struct view *v)
{
	uint64_t off = 0, end;

	for (int n = 0; n < 3000 && view_seek(source.disk, off, SEEK_DATA, &off) == 0; n++) {
		ck_assert_int_eq(view_seek(source.disk, off, SEEK_HOLE, &end), 0);
		for (uint64_t at = off; at < end && at < off + 256 * KIB; at += 8192)
			check_read(v, at, 8192);
		check_read(v, end - MIN(end, 512), 1024);
		off = end;
		if (off >= v->size)
			break;
	}
}

START_TEST(export_reads_as_the_disk)
{
	const struct kind *k = &kinds[_i / (int)COUNT(disks)];
	size_t d = _i % COUNT(disks);
	uint64_t seed = _i;
	const struct view *v;

	use_disk(disks[d].size, disks[d].unit, disks[d].next);
	if (source.disk->size > k->layout->max_disk)
		return;
	v = open_file(k);
	ck_assert_uint_eq(v->size, round_up(source.disk->size, 512));
	check_data(v);
	for (int n = 0; n < 300; n++)
		check_read(v, next_random(&seed) % v->size, 1 + next_random(&seed) % 8192);
	check_read(v, v->size - MIN(v->size, 8192), 8192);
	ck_assert_uint_eq(view_stored(file), export_stored(file, view_stored(source.disk)));
}
END_TEST

/* The export has no more data than the disk, apart from rounding to granules. */
START_TEST(holes_are_kept)
{
	const struct kind *k = &kinds[_i];

	use_disk(64 * MIB, 65536, odd);
	open_file(k);
	ck_assert_uint_ge(view_stored(file), 32 * MIB);
	if (!k->layout->variant || strcmp(k->layout->variant, "streamOptimized") != 0)
		ck_assert_uint_lt(view_stored(file), 33 * MIB);
	ck_assert_uint_lt(file->size, 72 * MIB);
}
END_TEST

static unsigned char *read_all(const struct view *v)
{
	unsigned char *p = malloc(v->size);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(p);
	for (uint64_t off = 0; off < v->size; off += MIN(v->size - off, MIB))
		ck_assert_ok(view_read(v, p + off, MIN(v->size - off, MIB), off, &e), &e);
	return p;
}

/* Reads return the same bytes in any order, with an empty cache, too. */
START_TEST(random_reads_match_sequential_read)
{
	struct err e = ERR_INIT;
	unsigned char *want, *got = malloc(200000);
	struct view *again;
	uint64_t seed = 3;

	use_disk(20 * MIB + 1, 512, scattered);
	file = make_export(kinds[_i].layout);
	want = read_all(file);
	again = make_export(kinds[_i].layout);
	ck_assert_uint_eq(again->size, file->size);
	ck_assert_ptr_nonnull(got);
	for (int n = 0; n < 2000; n++) {
		uint64_t off = next_random(&seed) % file->size;
		size_t len = next_random(&seed) % (n % 10 ? 3000 : 200000);

		len = MIN(len, file->size - off);
		ck_assert_ok(view_read(again, got, len, off, &e), &e);
		ck_assert_msg(memcmp(got, want + off, len) == 0, "%zu bytes at %#jx differ", len,
			(uintmax_t)off);
		cache_forget(o.cache, n % 100 ? &seed : (void *)again);
	}
	view_free(again);
	free(got);
	free(want);
}
END_TEST

START_TEST(holes_are_zeroes)
{
	unsigned char *bytes;
	uint64_t data = 0, hole;

	use_disk(20 * MIB + 1, 512, scattered);
	file = make_export(kinds[_i].layout);
	bytes = read_all(file);
	for (uint64_t off = 0; off < file->size; off = hole) {
		if (view_seek(file, off, SEEK_DATA, &data) < 0)
			data = file->size;
		while (off < data && bytes[off] == 0)
			off++;
		ck_assert_msg(off == data, "%#jx is in a hole", (uintmax_t)off);
		if (data == file->size)
			break;
		ck_assert_int_eq(view_seek(file, data, SEEK_HOLE, &hole), 0);
	}
	free(bytes);
}
END_TEST

START_TEST(ids_derive_from_the_source)
{
	unsigned char *first, *second;
	struct view *other;

	use_disk(MIB, 65536, odd);
	file = make_export(kinds[_i].layout);
	first = read_all(file);
	source.id[3] ^= 1;
	other = make_export(kinds[_i].layout);
	second = read_all(other);
	ck_assert_uint_eq(file->size, other->size);
	/* qcow2 stores no ID. */
	ck_assert_int_eq(memcmp(first, second, file->size) == 0,
		strcmp(kinds[_i].format->name, "qcow2") == 0);
	view_free(other);
	free(first);
	free(second);
}
END_TEST

START_TEST(errors_of_the_disk_are_returned)
{
	struct err e = ERR_INIT;
	const struct view *v;
	char byte;

	use_disk(MIB, 65536, odd);
	fake_disk_break(source.disk, 3 * 65536);
	v = open_file(&kinds[_i]);
	ck_assert_fails(view_read(v, &byte, 1, 3 * 65536 + 7, &e), EIO, &e, "");
	check_read(v, 3 * 65536 - 8192, 8192);
	check_read(v, 4 * 65536, 8192);
	check_read(v, 5 * 65536, 8192);
}
END_TEST

START_TEST(too_large_disks_are_refused)
{
	const struct export_format *l = kinds[_i].layout;
	struct err e = ERR_INIT;

	use_disk(l->max_disk / 65536 * 65536, 65536, none);
	ck_assert(export_make(l, &source, "x", &file, &e) == 0);
	ck_assert_int_ne(export_fit(l, l->max_disk), EXPORT_NEVER);
	ck_assert_int_eq(export_fit(l, l->max_disk + 1), EXPORT_NEVER);
	ck_assert_int_eq(export_fit(l, 0), EXPORT_NEVER);
	source.disk->size = 0;
	ck_assert_fails(export_make(l, &source, "x", &file, &e), EINVAL, &e, "no bytes");
	source.disk->size = l->max_disk + 1;
	ck_assert_fails(export_make(l, &source, "x", &file, &e), EFBIG, &e, "at most");
}
END_TEST

/* Formats with 32-bit sector numbers limit the size of the file, which depends on the allocated
 * data. */
START_TEST(too_large_files_are_refused)
{
	const struct export_format *l = kinds[_i].layout;
	struct err e = ERR_INIT;
	struct view *exported = NULL;

	if (l->max_file > 4 * TIB || l->max_disk < 2 * TIB)
		return;
	use_disk(2 * TIB, 1u << 30, all);
	ck_assert_int_eq(export_fit(l, source.disk->size), EXPORT_MAYBE);
	ck_assert_fails(export_make(l, &source, "x", &exported, &e), EFBIG, &e, "the file would");
	ck_assert_int_eq(export_fit(l, TIB), EXPORT_ALWAYS);
}
END_TEST

/* The position of a refcount follows from the number of the cluster.  qemu-img checks this for
 * small files (tests/mount), not for files of tebibytes. */
START_TEST(refcounts_of_a_large_qcow2)
{
	unsigned char h[112], count[4], entry[8];
	struct err e = ERR_INIT;
	uint64_t table, block, clusters;

	use_disk(40 * TIB, 1u << 30, all);
	while (strcmp(kinds[_i].format->name, "qcow2") != 0)
		_i++;
	file = make_export(kinds[_i].layout);
	ck_assert_ok(view_read(file, h, sizeof h, 0, &e), &e);
	table = load_be64(h + 48);
	clusters = file->size / 65536;
	ck_assert_uint_ge(load_be32(h + 56) * UINT64_C(8192) * 32768, clusters);
	ck_assert_ok(view_read(file, entry, 8, table + (clusters - 1) / 32768 * 8, &e), &e);
	block = load_be64(entry);
	ck_assert_ok(view_read(file, count, 4, block + (clusters - 1) % 32768 * 2, &e), &e);
	ck_assert_uint_eq(load_be16(count), 1);
	ck_assert_uint_eq(load_be16(count + 2), 0);
	ck_assert_ok(view_read(file, entry, 8, table + 8 + (clusters - 1) / 32768 * 8, &e), &e);
	ck_assert_uint_eq(load_be64(entry), 0);
}
END_TEST

Suite *export_suite(void)
{
	TCase *tc = tcase_create("export");
	int n = count_kinds();

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, export_reads_as_the_disk, 0, n * (int)COUNT(disks));
	tcase_add_loop_test(tc, holes_are_kept, 0, n);
	tcase_add_loop_test(tc, random_reads_match_sequential_read, 0, n);
	tcase_add_loop_test(tc, holes_are_zeroes, 0, n);
	tcase_add_loop_test(tc, ids_derive_from_the_source, 0, n);
	tcase_add_loop_test(tc, errors_of_the_disk_are_returned, 0, n);
	tcase_add_loop_test(tc, too_large_disks_are_refused, 0, n);
	tcase_add_loop_test(tc, too_large_files_are_refused, 0, n);
	tcase_add_test(tc, refcounts_of_a_large_qcow2);
	return suite_of("export", tc);
}
