/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2 images that are too damaged to open as disks: info prints their facts, and the repair
 * restores as much of the snapshot table as possible. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build/qcow2.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "common/repair_image.h"
#include "common/unit.h"
#include "view/view.h"

#define PATH "image.qcow2"

static struct build_qcow2 b;
static struct repair_image m;
static size_t entries[2]; /* positions of the entries of the snapshot table */

static uint64_t at(unsigned cluster)
{
	return build_qcow2_at(&b, cluster);
}

static void put_snapshot(unsigned i, const char *id, const char *name)
{
	struct build_snapshot s = {
		.id = id,
		.name = name,
		.l1_pos = at(AT_DATA + 3 + i),
		.l1_size = 1,
		.extra_len = 16,
		.disk_size = build_qcow2_span(&b),
	};

	entries[i] = b.snapshots_end;
	build_qcow2_put64(&b, s.l1_pos, at(AT_L2));
	build_qcow2_refcount(&b, AT_DATA + 3 + i, 1);
	build_qcow2_snapshot(&b, &s);
}

/* Two snapshots; the disk has not changed since. */
static void setup(void)
{
	build_qcow2_new(&b, 3, 12, 0);
	build_qcow2_complete(&b);
	memset(b.bytes + at(AT_DATA + 3), 0, 2 * at(1));
	put_snapshot(0, "1", "one");
	put_snapshot(1, "2", "a second one");
	build_qcow2_refcount(&b, AT_SNAPSHOTS, 1);
	build_qcow2_refcount(&b, AT_L2, 3);
	build_qcow2_refcount(&b, AT_DATA, 3);
	build_qcow2_refcount(&b, AT_DATA + 1, 3);
	build_qcow2_l1(&b, 0, at(AT_L2));
	build_qcow2_l2(&b, 0, at(AT_DATA));
	build_qcow2_l2(&b, 1, at(AT_DATA + 1));
	repair_image_new(&m, "qcow2", PATH);
	m.o.lenient = true;
}

static void teardown(void)
{
	repair_image_free(&m);
	build_qcow2_free(&b);
}

static struct image *opens(bool lenient, struct err *e)
{
	struct image *img = NULL;

	m.o.lenient = lenient;
	m.o.repair = false;
	if (image_open(PATH, &m.o, &img, e) < 0)
		img = NULL;
	m.o.lenient = true;
	return img;
}

/* Asserts that the image opens for info only, and that reads fail with the reason. */
static void opens_for_info(const char *reason)
{
	struct err e = ERR_INIT;
	struct image *img;
	char byte;

	write_file(PATH, b.bytes, b.len);
	ck_assert_ptr_null(opens(false, &e));
	img = opens(true, &e);
	ck_assert_msg(img != NULL, "%s", e.text);
	ck_assert_uint_eq(img->states[0]->view->size, build_qcow2_span(&b));
	if (reason)
		ck_assert_fails(view_read(img->states[0]->view, &byte, 1, 0, &e), EIO, &e, reason);
	image_close(img);
}

START_TEST(l1_beyond_the_end_of_file)
{
	build_qcow2_put64(&b, AT_L1_POS, at(ALL_CLUSTERS + 7));
	opens_for_info("L1 table");
}
END_TEST

START_TEST(l1_in_the_header)
{
	build_qcow2_put64(&b, AT_L1_POS, 0);
	opens_for_info("L1 table");
}
END_TEST

START_TEST(l1_too_large)
{
	struct err e = ERR_INIT;

	build_qcow2_put32(&b, AT_L1_SIZE, 1u << 23);
	write_file(PATH, b.bytes, b.len);
	ck_assert_ptr_null(opens(true, &e));
}
END_TEST

START_TEST(data_file_missing)
{
	build_qcow2_put64(&b, AT_INCOMPATIBLE, 4);
	build_qcow2_put32(&b, AT_NSNAPSHOTS, 0);
	build_qcow2_extension(&b, 0x44415441, "gone.raw", 8);
	opens_for_info("data file");
}
END_TEST

/* Changed fields of the snapshot table, and the snapshots after the repair. */
static const struct {
	unsigned entry, at, width;
	uint64_t value;
	const char *names[3];
} table[] = {
	{0, 36, 4, 2000, {"one", "a second one"}},
	{0, 36, 4, 1u << 31, {"one", "a second one"}},
	{0, 36, 4, 8, {"one", "a second one"}},
	{1, 36, 4, 0, {"one", "a second one"}},
	{0, 14, 2, 65535, {"one", "a second one"}},
	{1, 14, 2, 65535, {"one", "a second one"}},
	{0, 12, 2, 65535, {"one", "a second one"}},
	{1, 40 + 16, 1, 0, {"one", "recovered-1"}},
};

static void has_names(const char *const *names)
{
	struct err e = ERR_INIT;
	struct image *img = opens(false, &e);
	size_t n = 0;

	ck_assert_msg(img != NULL, "%s", e.text);
	while (names[n])
		n++;
	ck_assert_uint_eq(img->nstates, 1 + n);
	for (size_t i = 0; i < n; i++) {
		const struct state *s = img->states[1 + i];
		unsigned char byte;

		ck_assert_str_eq(s->name, names[i]);
		ck_assert_uint_eq(s->view->size, build_qcow2_span(&b));
		ck_assert_ok(view_read(s->view, &byte, 1, at(1), &e), &e);
		ck_assert_uint_eq(byte, 0x11);
	}
	image_close(img);
}

static void repairs(void)
{
	struct check_report r = {.found = NULL};
	struct err e = ERR_INIT;
	struct image *img;

	write_file(PATH, b.bytes, b.len);
	img = repair_image_open(&m, false);
	ck_assert_ok(image_check(img, 0, &r, &e), &e);
	ck_assert_uint_gt(r.corruptions, 0);
	image_close(img);
	img = repair_image_open(&m, true);
	ck_assert_ok(image_check(img, CHECK_ALL, &r, &e), &e);
	image_close(img);
}

START_TEST(snapshot_table)
{
	/* in the last case the lengths are plausible, but the ID is not text */
	if (_i == (int)COUNT(table) - 1)
		build_qcow2_put16(&b, entries[1] + 14, 65535);
	build_qcow2_field(
		&b, entries[table[_i].entry] + table[_i].at, table[_i].width, table[_i].value);
	repairs();
	has_names(table[_i].names);
	repair_image_check(&m, "");
}
END_TEST

START_TEST(snapshot_table_beyond_the_end_of_file)
{
	static const char *const none[] = {NULL};

	build_qcow2_put64(&b, AT_SNAPSHOTS_POS, at(ALL_CLUSTERS + 2));
	opens_for_info(NULL);
	repairs();
	has_names(none);
	repair_image_check(&m, "");
}
END_TEST

START_TEST(too_large_number_of_snapshots)
{
	static const char *const both[] = {"one", "a second one", NULL};

	build_qcow2_put32(&b, AT_NSNAPSHOTS, 5);
	repairs();
	has_names(both);
	repair_image_check(&m, "");
}
END_TEST

/* A snapshot table that cannot be parsed is not changed, nor are clusters to which it may refer. */
START_TEST(unparsable_snapshot_table)
{
	struct err e = ERR_INIT;
	struct image *img;

	memset(b.bytes + entries[1], 0xa5, 128);
	repairs();
	img = repair_image_open(&m, false);
	findings_equal(&m.f, img,
		"ERROR snapshot table entry 1: 2779096485 bytes of extra data are more than 1024\n"
		"Leaked cluster 4 refcount=3 reference=2\n"
		"Leaked cluster 7 refcount=3 reference=2\n"
		"Leaked cluster 8 refcount=3 reference=2\n"
		"Leaked cluster 11 refcount=1 reference=0\n");
	image_close(img);
	ck_assert_ptr_null(opens(false, &e));
}
END_TEST

/* Nothing is allocated where a truncated file lacks clusters: references to them would read the
 * new data. */
START_TEST(no_allocation_in_missing_clusters)
{
	struct err e = ERR_INIT;
	struct check_report r = {.found = NULL};
	struct image *img;

	build_qcow2_put32(&b, entries[0] + 36, 2000);
	build_qcow2_put64(&b, at(AT_REFTABLE), 0);
	write_file(PATH, b.bytes, at(AT_DATA + 1));
	img = repair_image_open(&m, true);
	ck_assert_ok(image_check(img, CHECK_ALL, &r, &e), &e);
	ck_assert_uint_gt(r.corruptions, 0);
	ck_assert_uint_eq(img->io->size, at(AT_DATA + 1));
	image_close(img);
}
END_TEST

/* The repair counts the header's cluster, although the refcount table was set to position 0. */
START_TEST(refcount_table_at_0)
{
	build_qcow2_put64(&b, AT_REFTABLE_POS, 0);
	build_qcow2_put32(&b, AT_REFTABLE_CLUSTERS, 0);
	repairs();
	repair_image_check(&m, "");
}
END_TEST

Suite *qcow2_damaged_suite(void)
{
	TCase *tc = tcase_create("qcow2_damaged");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, l1_beyond_the_end_of_file);
	tcase_add_test(tc, l1_in_the_header);
	tcase_add_test(tc, l1_too_large);
	tcase_add_test(tc, data_file_missing);
	tcase_add_loop_test(tc, snapshot_table, 0, COUNT(table));
	tcase_add_test(tc, snapshot_table_beyond_the_end_of_file);
	tcase_add_test(tc, too_large_number_of_snapshots);
	tcase_add_test(tc, unparsable_snapshot_table);
	tcase_add_test(tc, no_allocation_in_missing_clusters);
	tcase_add_test(tc, refcount_table_at_0);
	return suite_of("qcow2_damaged", tc);
}
