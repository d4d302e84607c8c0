/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk_esx.c - the sparse extents of ESX: COWD, alone and with a descriptor, and seSparse. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/esx.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/info.h"
#include "io/io.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "open/open.h"

#define SECTOR ESX_SECTOR
#define HEAD   "version=1\nCID=5\nparentCID=ffffffff\n"

/* One grain table, and a part of the next. */
#define COWD_SECTORS 5000u
#define SE_SECTORS   (8u * ESX_TABLE + 100)
#define SE_GRAIN_LEN 4096u

static struct subject s;
static struct build_esx b;

static void setup(void)
{
	subject_new(&s, NULL);
	build_cowd_new(&b, COWD_SECTORS, 1);
}

static void teardown(void)
{
	subject_free(&s);
	build_esx_free(&b);
}

static void setup_sesparse(void)
{
	subject_new(&s, NULL);
	build_sesparse_new(&b, SE_SECTORS);
}

static void rebuild_cowd(uint32_t capacity, uint32_t grain)
{
	build_esx_free(&b);
	build_cowd_new(&b, capacity, grain);
}

static const struct view *alone(void)
{
	return subject_opens(&s, b.bytes, b.len);
}

static void refuses_alone(int code, const char *text)
{
	subject_refuses(&s, b.bytes, b.len, code, text);
}

static int try_open(const char *name)
{
	image_close(s.img);
	s.img = NULL;
	return image_open(name, &s.o, &s.img, &s.e);
}

static const struct view *opened(const char *name)
{
	ck_assert_ok(try_open(name), &s.e);
	return s.img->states[0]->view;
}

/* Writes the extent to x.vmdk, and a descriptor with these lines to d.vmdk; opens d.vmdk. */
static int try_described(const char *lines)
{
	char text[512];

	snprintf(text, sizeof text, HEAD "%s", lines);
	write_file("x.vmdk", b.bytes, b.len);
	write_text("d.vmdk", text);
	return try_open("d.vmdk");
}

static const struct view *described(const char *lines)
{
	ck_assert_ok(try_described(lines), &s.e);
	return s.img->states[0]->view;
}

/* Asserts the map of the driver, without the parent. */
static void maps(const struct view *v, uint64_t off, enum extent_kind kind, uint64_t len)
{
	struct extent x;

	ck_assert_ok(v->ops->map(v, off, v->size - off, &x, &s.e), &s.e);
	ck_assert_int_eq(x.kind, kind);
	ck_assert_uint_eq(x.len, len);
}

/* COWD. */

START_TEST(runs_of_one_sector_grains)
{
	const struct view *v;

	for (unsigned i = 0; i < ESX_GRAINS; i++)
		build_esx_store(&b, ESX_TABLE - 3 + i, i);
	v = alone();
	ck_assert_uint_eq(v->size, COWD_SECTORS * SECTOR);
	subject_maps(v, 0, EXTENT_ZERO, (ESX_TABLE - 3) * SECTOR);
	subject_maps(v, (ESX_TABLE - 3) * SECTOR, EXTENT_FILE, ESX_GRAINS * SECTOR);
	for (unsigned i = 0; i < ESX_GRAINS; i++)
		subject_reads(v, (ESX_TABLE - 3 + i) * SECTOR, SECTOR, 0x10 + i);
	subject_maps(
		v, (ESX_TABLE + 5) * SECTOR, EXTENT_ZERO, (COWD_SECTORS - ESX_TABLE - 5) * SECTOR);
}
END_TEST

START_TEST(larger_grains_are_read)
{
	static const uint32_t sizes[] = {1, 3, 8, 128};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		uint32_t grain = sizes[i] * SECTOR;
		const struct view *v;

		rebuild_cowd(10 * sizes[i], sizes[i]);
		build_esx_store(&b, 9, 3);
		build_esx_store(&b, 2, 7);
		v = alone();
		subject_maps(v, 0, EXTENT_ZERO, 2 * grain);
		subject_reads(v, 2 * grain, grain, 0x17);
		subject_maps(v, 9 * grain + 1, EXTENT_FILE, grain - 1);
		subject_reads(v, 9 * grain, grain, 0x13);
	}
}
END_TEST

START_TEST(missing_table_is_unallocated_grains)
{
	build_esx_store(&b, 7, 1);
	build_esx_put(&b, b.gd * SECTOR + 4, 4, 0);
	subject_maps(alone(), 8 * SECTOR, EXTENT_ZERO, (COWD_SECTORS - 8) * SECTOR);
}
END_TEST

/* COWD has no entry for zero grains, and the header is not a grain. */
START_TEST(impossible_entries_affect_only_their_range)
{
	const uint32_t bad[] = {1, 4, b.data - 1 - (b.data - b.tables), b.len / SECTOR, UINT32_MAX};
	const struct view *v;

	for (size_t i = 0; i < COUNT(bad); i++) {
		build_esx_entry(&b, 3, bad[i]);
		build_esx_store(&b, 4, 2);
		v = alone();
		subject_fails(v, 3 * SECTOR, i < 3 ? EUCLEAN : EIO, "grain 3 in sector");
		subject_reads(v, 4 * SECTOR, SECTOR, 0x12);
		subject_reads(v, 0, 3 * SECTOR, 0);
	}
	build_esx_put(&b, b.gd * SECTOR, 4, b.gd);
	v = alone();
	subject_fails(v, 0, EUCLEAN, "grain directory: entry 0, sector 4,");
	subject_reads(v, ESX_TABLE * SECTOR, SECTOR, 0);
}
END_TEST

static const struct field_case cowd_field_cases[] = {
	{COWD_VERSION, 4, 0, ENOTSUP, "version 0"},
	{COWD_VERSION, 4, 2, ENOTSUP, "version 2"},
	{COWD_FLAGS, 4, 7, ENOTSUP, "flags 0x4"},
	{COWD_GRAIN, 4, 0, EINVAL, "grain of 0 sectors"},
	{COWD_GRAIN, 4, 0x200001, EINVAL, "grain of 2097153 sectors"},
	{COWD_GRAIN, 4, UINT32_MAX, EINVAL, "grain of 4294967295 sectors"},
	{COWD_CAPACITY, 4, UINT32_MAX, EINVAL, "directory of 2 entries, 1048576 expected"},
	{COWD_GD_LEN, 4, 1, EINVAL, "directory of 1 entries, 2 expected"},
	{COWD_GD, 4, 0, EUCLEAN, "in sector 0 is not inside"},
	{COWD_GD, 4, UINT32_MAX, EUCLEAN, "in sector 4294967295 is not inside"},
};

START_TEST(impossible_headers_are_refused)
{
	const struct field_case *c = &cowd_field_cases[_i];

	build_esx_put(&b, c->pos, c->width, c->value);
	refuses_alone(c->code, c->text);
}
END_TEST

START_TEST(truncated_metadata_is_refused)
{
	size_t whole = b.len;

	for (b.len = 8; b.len < b.tables * (size_t)SECTOR; b.len += SECTOR / 4)
		if (range_fits(b.gd * SECTOR, 8, b.len))
			ck_assert_uint_eq(alone()->size, COWD_SECTORS * SECTOR);
		else
			ck_assert_int_lt(image_open_io(io_from_memory(b.bytes, b.len, "cut", &s.e),
						 &s.o, &s.img, &s.e),
				0);
	b.len = whole;
}
END_TEST

/* The fields of a parent's name are in the place of the geometry of a root disk. */

static void name_parent(const char *name)
{
	memset(b.bytes + COWD_PARENT, 0, 1024);
	memcpy(b.bytes + COWD_PARENT, name, MIN(strlen(name), 1024));
}

static void write_base(const char *name, unsigned char byte)
{
	unsigned char data[8 * SECTOR];

	memset(data, byte, sizeof data);
	write_file(name, data, sizeof data);
}

START_TEST(extent_names_its_parent)
{
	static const char *const names[] = {"base-flat.vmdk", "base.vmdk",
		"/vmfs/volumes/4a5b/vm/base.vmdk", "C:\\vm\\base.vmdk", "x.v"};
	const struct view *v;

	write_base("base-flat.vmdk", 'b');
	write_text("base.vmdk", "version=1\nCID=9\nRW 8 VMFS \"base-flat.vmdk\"\n");
	write_text("x.v", "version=1\nCID=9\nRW 8 VMFS \"base-flat.vmdk\"\n");
	build_esx_store(&b, 1, 0);
	for (size_t i = 0; i < COUNT(names); i++) {
		name_parent(names[i]);
		write_file("d.vmdk", b.bytes, b.len);
		v = opened("d.vmdk");
		subject_reads(v, 0, SECTOR, 'b');
		subject_reads(v, SECTOR, SECTOR, 0x10);
		subject_reads(v, 2 * SECTOR, 6 * SECTOR, 'b');
		subject_reads(v, 8 * SECTOR, 8 * SECTOR, 0);
	}
}
END_TEST

START_TEST(chains_without_descriptors)
{
	const struct view *v;

	build_esx_store(&b, 0, 0);
	write_file("a.vmdk", b.bytes, b.len);
	build_esx_store(&b, 1, 1);
	build_esx_entry(&b, 0, 0);
	name_parent("a.vmdk");
	write_file("a.vmdk.REDO", b.bytes, b.len);
	build_esx_store(&b, 2, 2);
	build_esx_entry(&b, 1, 0);
	name_parent("a.vmdk.REDO");
	write_file("a.vmdk.REDO.REDO", b.bytes, b.len);
	v = opened("a.vmdk.REDO.REDO");
	ck_assert_uint_eq(image_depth(s.img), 3);
	for (unsigned i = 0; i < 3; i++)
		subject_reads(v, i * SECTOR, SECTOR, 0x10 + i);
}
END_TEST

START_TEST(unterminated_parent_names)
{
	char name[1025];

	memset(name, 'n', sizeof name);
	name[1024] = '\0';
	name_parent(name);
	write_file("d.vmdk", b.bytes, b.len);
	ck_assert_fails(try_open("d.vmdk"), ENAMETOOLONG, &s.e, "more than 1023 bytes");
	name_parent("d.vmdk");
	write_file("d.vmdk", b.bytes, b.len);
	ck_assert_fails(try_open("d.vmdk"), ELOOP, &s.e, "loops");
	name_parent("../../../../../etc/passwd");
	write_file("d.vmdk", b.bytes, b.len);
	ck_assert_fails(try_open("d.vmdk"), EACCES, &s.e, "outside");
}
END_TEST

/* Later versions of ESX do not record the parent in the extent, so a file with the name of a delta
 * needs its descriptor. */
static unsigned warnings;

static void count_warning(void *arg, const char *text)
{
	(void)arg;
	warnings += strstr(text, "names no parent") != NULL;
}

START_TEST(an_extent_without_parent_name)
{
	warnings = 0;
	s.o.warn = count_warning;
	name_parent("");
	build_esx_store(&b, 1, 0);
	write_file("vm-000001-delta.vmdk", b.bytes, b.len);
	ck_assert_fails(
		try_open("vm-000001-delta.vmdk"), ENOTSUP, &s.e, "descriptor is in another file");
	write_file("alone.vmdk", b.bytes, b.len);
	subject_reads(opened("alone.vmdk"), SECTOR, SECTOR, 0x10);
	ck_assert_uint_eq(warnings, 1);
}
END_TEST

START_TEST(geometry_is_not_a_name)
{
	static const uint32_t cylinders[] = {1, 'a', 'a' | 'b' << 8, 0x20202020 & 0xffffff, 0x100};

	for (size_t i = 0; i < COUNT(cylinders); i++) {
		build_esx_put(&b, COWD_GEOMETRY, 4, cylinders[i]);
		alone();
		ck_assert_ptr_null(s.img->parent_name);
	}
}
END_TEST

/* With a descriptor. */

START_TEST(magic_decides_the_type)
{
	static const char *const words[] = {"SPARSE", "VMFSSPARSE", "SESPARSE", "vmfsSparse"};
	char line[64];

	build_esx_store(&b, 1, 0);
	for (size_t i = 0; i < COUNT(words); i++) {
		snprintf(line, sizeof line, "RW 5000 %s \"x.vmdk\"\n", words[i]);
		subject_reads(described(line), SECTOR, SECTOR, 0x10);
	}
	/* but in a flat extent the magic is data of the guest */
	subject_reads(described("RW 4 FLAT \"x.vmdk\" 0\n"), 0, 1, 'C');
}
END_TEST

START_TEST(extent_line_longer_than_header)
{
	const struct view *v;

	build_esx_store(&b, COWD_SECTORS - 1, 0);
	v = described("RW 3 ZERO\nRW 6000 VMFSSPARSE \"x.vmdk\"\nRW 5 ZERO\n");
	ck_assert_uint_eq(v->size, 6008 * SECTOR);
	maps(v, 0, EXTENT_ZERO, 3 * SECTOR);
	maps(v, 3 * SECTOR, EXTENT_BELOW, (COWD_SECTORS - 1) * SECTOR);
	maps(v, (COWD_SECTORS + 2) * SECTOR, EXTENT_FILE, SECTOR);
	maps(v, (COWD_SECTORS + 3) * SECTOR, EXTENT_BELOW, 1000 * SECTOR);
	maps(v, 6003 * SECTOR, EXTENT_ZERO, 5 * SECTOR);
}
END_TEST

START_TEST(descriptor_must_name_the_parent)
{
	name_parent("base.vmdk");
	ck_assert_fails(try_described("RW 5000 VMFSSPARSE \"x.vmdk\"\n"), EINVAL, &s.e,
		"names a parent, \"base.vmdk\", and the descriptor none");
	s.o.nobacking = true;
	described("RW 5000 VMFSSPARSE \"x.vmdk\"\nparentFileNameHint=\"other.vmdk\"\n");
}
END_TEST

START_TEST(failing_reads_are_reported)
{
	subject_faults(&s, b.bytes, b.len, 3);
}
END_TEST

/* seSparse. */

#define SE_LINE "RW 32868 SESPARSE \"x.vmdk\"\n"

START_TEST(sesparse_needs_its_descriptor)
{
	refuses_alone(ENOTSUP, "descriptor is in another file");
}
END_TEST

START_TEST(all_types_of_entries)
{
	const uint64_t big = 5000; /* needs more than 12 bits */
	const struct view *v;

	b.bytes = realloc(b.bytes, (b.data + (big + 1) * 8) * SECTOR);
	ck_assert_ptr_nonnull(b.bytes);
	memset(b.bytes + b.len, 0, (b.data + (big + 1) * 8) * SECTOR - b.len);
	b.len = (b.data + (big + 1) * 8) * SECTOR;
	memset(b.bytes + b.len - SE_GRAIN_LEN, 0x77, SE_GRAIN_LEN);
	build_esx_store(&b, ESX_TABLE - 1, 0);
	build_esx_store(&b, ESX_TABLE, 1);
	build_esx_entry(&b, 1, UINT64_C(1) << 60);
	build_esx_entry(&b, 2, UINT64_C(2) << 60);
	build_esx_entry(&b, 3, UINT64_C(2) << 60 | 12345);
	build_esx_store(&b, 4, big);
	v = described(SE_LINE);
	ck_assert_uint_eq(v->size, SE_SECTORS * SECTOR);
	maps(v, 0, EXTENT_BELOW, SE_GRAIN_LEN);
	maps(v, SE_GRAIN_LEN, EXTENT_ZERO, 3 * SE_GRAIN_LEN);
	subject_reads(v, 4 * SE_GRAIN_LEN, SE_GRAIN_LEN, 0x77);
	maps(v, 5 * SE_GRAIN_LEN, EXTENT_BELOW, (ESX_TABLE - 6) * SE_GRAIN_LEN);
	maps(v, (ESX_TABLE - 1) * SE_GRAIN_LEN, EXTENT_FILE, 2 * SE_GRAIN_LEN);
	subject_reads(v, ESX_TABLE * SE_GRAIN_LEN, SE_GRAIN_LEN, 0x11);
}
END_TEST

START_TEST(undefined_entries_affect_only_their_range)
{
	static const struct {
		uint64_t entry;
		int code;
		const char *part;
	} bad[] = {
		{1, EUCLEAN, "0x0000000000000001, which has no meaning"},
		{UINT64_C(4) << 60, EUCLEAN, "which has no meaning"},
		{UINT64_C(15) << 60, EUCLEAN, "which has no meaning"},
		{UINT64_C(3) << 60 | 1, EIO, "lies past the end"},
		{UINT64_C(0x3fffffffffffffff), EIO, "lies past the end"},
	};
	const struct view *v;

	for (size_t i = 0; i < COUNT(bad); i++) {
		build_esx_entry(&b, 3, bad[i].entry);
		build_esx_store(&b, 4, 2);
		v = described(SE_LINE);
		subject_fails(v, 3 * SE_GRAIN_LEN, bad[i].code, bad[i].part);
		subject_reads(v, 4 * SE_GRAIN_LEN, SE_GRAIN_LEN, 0x12);
	}
}
END_TEST

START_TEST(directory_entries_are_checked)
{
	static const uint64_t bad[] = {1, UINT64_C(0x20000000) << 32,
		UINT64_C(0x10000000) << 32 | 2, UINT64_C(0x1000000000000000) | UINT32_MAX,
		UINT64_MAX};
	const struct view *v;

	for (size_t i = 0; i < COUNT(bad); i++) {
		build_esx_put(&b, b.gd * SECTOR, 8, bad[i]);
		build_esx_store(&b, ESX_TABLE, 2);
		v = described(SE_LINE);
		subject_fails(v, 0, EUCLEAN, "grain directory: entry 0, 0x");
		subject_reads(v, ESX_TABLE * SE_GRAIN_LEN, SE_GRAIN_LEN, 0x12);
	}
	build_esx_put(&b, b.gd * SECTOR, 8, 0);
	maps(described(SE_LINE), 0, EXTENT_BELOW, ESX_TABLE * SE_GRAIN_LEN);
}
END_TEST

static const struct field_case se_field_cases[] = {
	{SE_VERSION, 8, 0x200000002, ENOTSUP, "version 0x200000002 is not supported"},
	{SE_GRAIN, 8, 16, ENOTSUP, "grain size 0x10"},
	{SE_TABLE, 8, 128, ENOTSUP, "grain table size 0x80"},
	{SE_FLAGS, 8, 1, ENOTSUP, "flags 0x1"},
	{48, 8, 1, ENOTSUP, "reserved field 0x1"},
	{72, 8, 1, ENOTSUP, "reserved field 0x1"},
	{SE_CAPACITY, 8, UINT64_MAX, EFBIG, "capacity"},
	{SE_CAPACITY, 8, UINT64_C(1) << 50, EFBIG, "grain directory of"},
	{SE_CAPACITY, 8, UINT64_C(1) << 30, EUCLEAN, "grain directory: 1 sectors"},
	{SE_STATE, 8, UINT64_MAX, EUCLEAN, "volatile header, in sector 18446744073709551615"},
	{SE_STATE, 8, 2, EUCLEAN, "no volatile header in sector 2"},
	{SECTOR + 24, 8, 1, ENOTSUP, "journal would have to be replayed"},
	{SE_GD, 8, 0, EUCLEAN, "grain directory: 1 sectors from sector 0"},
	{SE_GD, 8, UINT64_MAX, EUCLEAN, "grain directory: 1 sectors from"},
	{SE_GD + 8, 8, 0, EUCLEAN, "grain directory: 0 sectors"},
	{SE_TABLES, 8, 0, EUCLEAN, "grain tables:"},
	{SE_TABLES, 8, UINT64_MAX, EUCLEAN, "grain tables:"},
	{SE_GRAINS, 8, 0, EUCLEAN, "grains:"},
	{SE_GRAINS, 8, UINT64_MAX, EUCLEAN, "grains:"},
};

START_TEST(unknown_headers_are_refused)
{
	const struct field_case *c = &se_field_cases[_i];

	build_esx_put(&b, c->pos, c->width, c->value);
	ck_assert_fails(try_described(SE_LINE), c->code, &s.e, c->text);
}
END_TEST

START_TEST(truncated_directories_are_refused)
{
	b.len = b.gd * SECTOR + 8;
	ck_assert_fails(try_described(SE_LINE), EUCLEAN, &s.e,
		"grain directory of 16 bytes in sector 8 is not inside");
}
END_TEST

static void info_has(const char *part)
{
	char *json = info_json(s.img, s.img->states[0], &s.e);

	ck_assert_ptr_nonnull(json);
	ck_assert_msg(strstr(json, part), "no %s in %s", part, json);
	free(json);
}

START_TEST(facts_are_reported)
{
	described(SE_LINE);
	info_has("\"cluster-size\": 4096");
	info_has("\"format\": \"SESPARSE\"");
	build_esx_free(&b);
	build_cowd_new(&b, COWD_SECTORS, 1);
	alone();
	info_has("\"cluster-size\": 512");
	info_has("\"create-type\": \"vmfsSparse\"");
	info_has("\"format\": \"VMFSSPARSE\"");
}
END_TEST

/* Deltas of both kinds, on parents of any kind. */
START_TEST(deltas_read_their_parents)
{
	static const char child[] =
		"version=1\nCID=6\nparentCID=00000009\n"
		"parentFileNameHint=\"base.vmdk\"\nRW 32868 VMFSSPARSE \"d-1.vmdk\"\n";
	const struct view *v;

	write_base("base-flat.vmdk", 'b');
	write_text("base.vmdk", "version=1\nCID=9\nRW 8 VMFS \"base-flat.vmdk\"\n");
	build_esx_entry(&b, 0, UINT64_C(2) << 60);
	write_file("d-1.vmdk", b.bytes, b.len);
	write_text("d.vmdk", child);
	subject_reads(opened("d.vmdk"), 0, 8 * SECTOR, 0);
	build_esx_entry(&b, 0, 0);
	write_file("d-1.vmdk", b.bytes, b.len);
	subject_reads(opened("d.vmdk"), 0, 8 * SECTOR, 'b');
	build_esx_free(&b);
	build_cowd_new(&b, SE_SECTORS, 1);
	build_esx_store(&b, 3, 3);
	write_file("d-1.vmdk", b.bytes, b.len);
	v = opened("d.vmdk");
	subject_reads(v, 0, 3 * SECTOR, 'b');
	subject_reads(v, 3 * SECTOR, SECTOR, 0x13);
	subject_reads(v, 4 * SECTOR, 4 * SECTOR, 'b');
	subject_reads(v, 8 * SECTOR, SECTOR, 0);
}
END_TEST

static TCase *cowd_tests(void)
{
	TCase *tc = tcase_create("cowd");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, runs_of_one_sector_grains);
	tcase_add_test(tc, larger_grains_are_read);
	tcase_add_test(tc, missing_table_is_unallocated_grains);
	tcase_add_test(tc, impossible_entries_affect_only_their_range);
	tcase_add_loop_test(tc, impossible_headers_are_refused, 0, COUNT(cowd_field_cases));
	tcase_add_test(tc, truncated_metadata_is_refused);
	tcase_add_test(tc, extent_names_its_parent);
	tcase_add_test(tc, chains_without_descriptors);
	tcase_add_test(tc, unterminated_parent_names);
	tcase_add_test(tc, an_extent_without_parent_name);
	tcase_add_test(tc, geometry_is_not_a_name);
	tcase_add_test(tc, magic_decides_the_type);
	tcase_add_test(tc, extent_line_longer_than_header);
	tcase_add_test(tc, descriptor_must_name_the_parent);
	tcase_add_test(tc, failing_reads_are_reported);
	return tc;
}

static TCase *sesparse_tests(void)
{
	TCase *tc = tcase_create("sesparse");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup_sesparse, teardown);
	tcase_add_test(tc, sesparse_needs_its_descriptor);
	tcase_add_test(tc, all_types_of_entries);
	tcase_add_test(tc, undefined_entries_affect_only_their_range);
	tcase_add_test(tc, directory_entries_are_checked);
	tcase_add_loop_test(tc, unknown_headers_are_refused, 0, COUNT(se_field_cases));
	tcase_add_test(tc, truncated_directories_are_refused);
	tcase_add_test(tc, facts_are_reported);
	tcase_add_test(tc, deltas_read_their_parents);
	return tc;
}

Suite *vmdk_esx_suite(void)
{
	Suite *suite = suite_of("vmdk_esx", cowd_tests());

	suite_add_tcase(suite, sesparse_tests());
	return suite;
}
