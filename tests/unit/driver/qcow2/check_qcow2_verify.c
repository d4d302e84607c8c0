/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verification of a qcow2 image before the first write: damage that is refused, and harmless
 * damage.  check_qcow2_corrupted.c tries random corruptions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/qcow2.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "image/snapshot.h"
#include "common/unit.h"
#include "view/view.h"

#define PATH "image.qcow2"

static struct build_qcow2 b;

static void setup(void)
{
	build_qcow2_new(&b, 3, 12, 0);
	build_qcow2_complete(&b);
}

static void teardown(void)
{
	build_qcow2_free(&b);
}

static void is_refused(int code, const char *part)
{
	struct stat before, after;

	write_file(PATH, b.bytes, b.len);
	ck_assert_int_eq(stat(PATH, &before), 0);
	refuses_writing(PATH, code, part);
	ck_assert_int_eq(stat(PATH, &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
}

static uint64_t read_file_be64(const char *path, uint64_t pos)
{
	unsigned char raw[8];
	FILE *f = fopen(path, "rb");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, (long)pos, SEEK_SET), 0);
	ck_assert_uint_eq(fread(raw, 1, sizeof raw, f), sizeof raw);
	fclose(f);
	return load_be64(raw);
}

static unsigned warnings;

static void count_warning(void *arg, const char *text)
{
	(void)arg;
	(void)text;
	warnings++;
}

/* Asserts that a write and a flush succeed, after this number of warnings. */
static void writing_succeeds(unsigned warned)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	warnings = 0;
	o.write = true;
	o.warn = count_warning;
	write_file(PATH, b.bytes, b.len);
	ck_assert_ok(image_open(PATH, &o, &img, &e), &e);
	ck_assert_uint_eq(warnings, warned);
	ck_assert_ok(view_write(img->states[0]->view, "x", 1, 100000, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
}

static uint64_t at(unsigned cluster)
{
	return build_qcow2_at(&b, cluster);
}

START_TEST(valid)
{
	writing_succeeds(0);
}
END_TEST

START_TEST(leaks)
{
	build_qcow2_refcount(&b, AT_L1_COPY, 3);
	build_qcow2_refcount(&b, AT_DATA + 5, 1);
	writing_succeeds(0);
}
END_TEST

START_TEST(missing_flags)
{
	build_qcow2_l1(&b, 0, at(AT_L2));
	build_qcow2_l2(&b, 0, at(AT_DATA));
	writing_succeeds(1);
}
END_TEST

/* Each case gives the data cluster of guest cluster 0, or a table, a second owner. */
static const struct {
	unsigned entry; /* index of the L2 entry that is set */
	unsigned cluster;
	unsigned count; /* refcount of that cluster; 9: unchanged */
	bool copied;
	const char *text;
} second_owners[] = {
	{0, AT_DATA, 0, true, "cluster 7 refcount=0 reference=1"},
	{1, AT_DATA, 9, true, "cluster 7 refcount=1 reference=2"},
	{1, AT_DATA, 2, true, "OFLAG_COPIED"},
	{0, AT_DATA, 2, true, "OFLAG_COPIED"},
	{5, AT_HEADER, 9, false, ""},
	{5, AT_REFTABLE, 9, true, "cluster 1 refcount=1 reference=2"},
	{5, AT_REFBLOCK, 9, true, "refcount block 0"},
	{5, AT_REFBLOCK, 2, false, "refcount block 0"},
	{5, AT_L1, 9, true, "cluster 3 refcount=1 reference=2"},
	{5, AT_L2, 9, true, "cluster 4 refcount=1 reference=2"},
	{5, AT_L2, 2, false, "OFLAG_COPIED L2"},
	{5, AT_DATA + 5, 0, false, "cluster 12 refcount=0 reference=1"},
};

START_TEST(two_owners)
{
	uint64_t entry =
		at(second_owners[_i].cluster) | (second_owners[_i].copied ? ENTRY_COPIED : 0);

	build_qcow2_l2(&b, second_owners[_i].entry, entry);
	if (second_owners[_i].count != 9)
		build_qcow2_refcount(&b, second_owners[_i].cluster, second_owners[_i].count);
	if (second_owners[_i].text[0])
		is_refused(EUCLEAN, second_owners[_i].text);
	else
		writing_succeeds(0); /* an entry of 0 has no reference */
}
END_TEST

/* A second L1 entry refers to the same L2 table, or to a data cluster. */
START_TEST(two_tables)
{
	build_qcow2_put32(&b, AT_L1_SIZE, 2);
	build_qcow2_l1(&b, 1, at(AT_L2) | ENTRY_COPIED);
	is_refused(EUCLEAN, "cluster 4 refcount=1 reference=2");
	build_qcow2_l1(&b, 1, at(AT_DATA) | ENTRY_COPIED);
	memset(b.bytes + at(AT_DATA), 0, at(1));
	is_refused(EUCLEAN, "cluster 7 refcount=1 reference=2");
}
END_TEST

static void put_snapshot(uint64_t l1_pos, uint32_t l1_size)
{
	struct build_snapshot s = {
		.id = "1",
		.name = "one",
		.l1_pos = l1_pos,
		.l1_size = l1_size,
		.extra_len = 16,
		.disk_size = build_qcow2_span(&b),
	};

	build_qcow2_snapshot(&b, &s);
	build_qcow2_refcount(&b, AT_SNAPSHOTS, 1);
	build_qcow2_refcount(&b, AT_L1_COPY, 1);
}

/* References of snapshots count. */
START_TEST(snapshots_count)
{
	put_snapshot(at(AT_L1_COPY), 1);
	writing_succeeds(0);
	build_qcow2_put64(&b, at(AT_L1_COPY), at(AT_L2));
	is_refused(EUCLEAN, "cluster 4 refcount=1 reference=2");
}
END_TEST

START_TEST(snapshot_shares_the_l1_table)
{
	put_snapshot(at(AT_L1), 1);
	is_refused(EUCLEAN, "reference=2");
}
END_TEST

/* Truncates the file to len bytes; asserts that it is refused. */
static void truncated_is_refused(size_t len, const char *text)
{
	b.len = len;
	is_refused(EIO, "the file is shorter");
	is_refused(EIO, text);
}

START_TEST(truncated_data)
{
	truncated_is_refused(at(AT_DATA + 1), "end of the file");
}
END_TEST

/* The last cluster may be partial: its end reads as zeroes. */
START_TEST(truncated_zeroes)
{
	b.len = at(AT_DATA + 1) + 512;
	writing_succeeds(0);
}
END_TEST

/* Moves the L2 table to the end of the file. */
START_TEST(truncated_table)
{
	memcpy(b.bytes + at(AT_DATA + 3), b.bytes + at(AT_L2), at(1));
	build_qcow2_l1(&b, 0, at(AT_DATA + 3) | ENTRY_COPIED);
	build_qcow2_refcount(&b, AT_DATA + 3, 1);
	truncated_is_refused(at(AT_DATA + 3) + 2048, "L2 table at 0xa000 is cut off");
}
END_TEST

START_TEST(truncated_snapshot)
{
	memcpy(b.bytes + at(AT_DATA + 3), b.bytes + at(AT_L1), at(1));
	build_qcow2_put64(&b, at(AT_DATA + 3), at(AT_L1_COPY));
	put_snapshot(at(AT_DATA + 3), 512);
	build_qcow2_refcount(&b, AT_DATA + 3, 1);
	writing_succeeds(0);
	b.len = at(AT_DATA + 3) + 2048;
	is_refused(EIO, "L1 table at 0xa000 is cut off");
}
END_TEST

/* Puts a compressed cluster at the end of the file. */
static void put_compressed(size_t *end)
{
	/* a stored block of a whole cluster */
	static const unsigned char stored[] = {1, 0x00, 0x10, 0xff, 0xef};
	uint64_t pos = at(AT_DATA + 3);

	build_qcow2_put(&b, pos, stored, sizeof stored);
	build_qcow2_l2(&b, 3, build_qcow2_compressed(&b, pos, sizeof stored + at(1)));
	build_qcow2_refcount(&b, AT_DATA + 3, 1);
	build_qcow2_refcount(&b, AT_DATA + 4, 1);
	*end = pos + sizeof stored + at(1);
}

START_TEST(compressed_at_the_end)
{
	put_compressed(&b.len);
	writing_succeeds(0);
}
END_TEST

START_TEST(truncated_compressed_cluster)
{
	size_t end;

	put_compressed(&end);
	truncated_is_refused(end - 1, "compressed cluster at 0xa000 is cut off");
	truncated_is_refused(end - 600, "compressed cluster at 0xa000 is cut off");
}
END_TEST

START_TEST(truncated_data_file)
{
	static const char *const options[] = {"data_file=data.raw", NULL};
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	make_image("qcow2", PATH, 1 << 20, NULL, options);
	img = open_image_file(PATH, true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "x", 1, 999999, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	ck_assert_int_eq(truncate("data.raw", 65536), 0);
	refuses_writing(PATH, EIO, "data file");
}
END_TEST

/* qemu-img amend can leave COPIED flags in the L2 table of a snapshot; after snapshot_apply, a
 * write to the live disk must not overwrite shared clusters. */
START_TEST(apply_clears_copied_flags)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char byte;

	put_snapshot(at(AT_L1_COPY), 1);
	build_qcow2_put64(&b, at(AT_L1_COPY), at(AT_DATA + 2) | ENTRY_COPIED);
	memset(b.bytes + at(AT_DATA + 2), 0, at(1));
	build_qcow2_put64(&b, at(AT_DATA + 2), at(AT_DATA + 3) | ENTRY_COPIED);
	build_qcow2_refcount(&b, AT_DATA + 2, 1);
	build_qcow2_refcount(&b, AT_DATA + 3, 1);
	write_file(PATH, b.bytes, b.len);
	img = open_image_file(PATH, true, &o);
	ck_assert_ok(snapshot_apply(img, 1, &e), &e);
	image_close(img);
	o.write = false;
	ck_assert_ok(image_open(PATH, &o, &img, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, &byte, 1, 0, &e), &e);
	ck_assert_uint_eq(byte, 0x13);
	image_close(img);
	options_free(&o);
	/* the table, which the disk and the snapshot share, is at its old position */
	ck_assert_uint_eq(read_file_be64(PATH, at(AT_DATA + 2)), at(AT_DATA + 3));
}
END_TEST

/* A missing COPIED flag in the L1 entry does not hide the flags in its L2 table. */
START_TEST(snapshot_clears_copied_flags)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned no;

	build_qcow2_l1(&b, 0, at(AT_L2));
	write_file(PATH, b.bytes, b.len);
	img = open_image_file(PATH, true, &o);
	ck_assert_ok(snapshot_create(img, "one", &no, &e), &e);
	image_close(img);
	options_free(&o);
	ck_assert_uint_eq(read_file_be64(PATH, at(AT_L2)), at(AT_DATA));
}
END_TEST

Suite *qcow2_verify_suite(void)
{
	TCase *tc = tcase_create("qcow2_verify");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, valid);
	tcase_add_test(tc, leaks);
	tcase_add_test(tc, missing_flags);
	tcase_add_loop_test(tc, two_owners, 0, COUNT(second_owners));
	tcase_add_test(tc, two_tables);
	tcase_add_test(tc, snapshots_count);
	tcase_add_test(tc, snapshot_shares_the_l1_table);
	tcase_add_test(tc, truncated_data);
	tcase_add_test(tc, truncated_zeroes);
	tcase_add_test(tc, truncated_table);
	tcase_add_test(tc, truncated_snapshot);
	tcase_add_test(tc, compressed_at_the_end);
	tcase_add_test(tc, truncated_compressed_cluster);
	tcase_add_test(tc, truncated_data_file);
	tcase_add_test(tc, apply_clears_copied_flags);
	tcase_add_test(tc, snapshot_clears_copied_flags);
	return suite_of("qcow2_verify", tc);
}
