/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk_files.c - disks of several files, deltas, and their info.json. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build/vmdk.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "io/meta.h"
#include "util/err.h"
#include "image/info.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "open/open.h"

#define HEAD "# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\n"

static struct subject s;

static void setup(void)
{
	subject_new(&s, NULL);
}

static void teardown(void)
{
	subject_free(&s);
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

static void refuses(const char *text, int code, const char *part)
{
	write_text("d.vmdk", text);
	ck_assert_fails(try_open("d.vmdk"), code, &s.e, part);
}

static const struct view *described(const char *text)
{
	write_text("d.vmdk", text);
	return opened("d.vmdk");
}

/* Writes n sectors, each filled with its number plus base. */
static void write_numbered(const char *name, unsigned n, unsigned base)
{
	unsigned char *p = malloc(n * SECTOR);

	ck_assert_ptr_nonnull(p);
	for (unsigned i = 0; i < n; i++)
		memset(p + i * SECTOR, base + i, SECTOR);
	write_file(name, p, n * SECTOR);
	free(p);
}

/* Writes a sparse extent of 16 grains of 8 sectors; the grains i in stored are filled with 0x10. */
static void write_sparse(const char *name, const char *text, unsigned stored)
{
	struct build_vmdk b;

	build_vmdk_new(&b, 16 * 8, 8, 4);
	for (unsigned i = 0; i < 16; i++)
		if (stored >> i & 1)
			build_vmdk_both(&b, i, build_vmdk_data(&b, 0));
	build_vmdk_text(&b, text);
	write_file(name, b.bytes, b.len);
	build_vmdk_free(&b);
}

START_TEST(several_extents)
{
	const struct view *v;

	write_numbered("a b.img", 8, 1);
	write_numbered("sub/c.img", 4, 101);
	write_sparse("s.vmdk", "", 1);
	v = described(HEAD "RW 2 FLAT \"a b.img\" 3\nRW 3 ZERO\nRDONLY 2 VMFS \"sub/c.img\"\n"
			   "RW 9 SPARSE \"s.vmdk\"\nNOACCESS 1 FLAT \"nowhere.img\" 0\n"
			   "RW 0 ZERO\nRW 1 FLAT \"a b.img\" 0\n");
	ck_assert_uint_eq(v->size, 18 * SECTOR);
	subject_reads(v, 0, SECTOR, 4);
	subject_reads(v, SECTOR, SECTOR, 5);
	subject_reads(v, 2 * SECTOR, 3 * SECTOR, 0);
	subject_reads(v, 5 * SECTOR, SECTOR, 101);
	subject_reads(v, 6 * SECTOR, SECTOR, 102);
	subject_reads(v, 7 * SECTOR, 8 * SECTOR, 0x10);
	subject_reads(v, 15 * SECTOR, 2 * SECTOR, 0);
	subject_reads(v, 17 * SECTOR, SECTOR, 1);
	subject_maps(v, 0, EXTENT_FILE, 2 * SECTOR);
	subject_maps(v, 7 * SECTOR, EXTENT_FILE, 8 * SECTOR);
	/* one file with one descriptor */
	ck_assert_ptr_eq(subject_extent(v, 0).io, subject_extent(v, 17 * SECTOR).io);
}
END_TEST

START_TEST(many_extents)
{
	char text[64 * 40] = HEAD;
	const struct view *v;

	write_numbered("a.img", 64, 1);
	for (unsigned i = 0; i < 64; i++)
		sprintf(text + strlen(text), "RW 1 FLAT \"a.img\" %u\n", 63 - i);
	v = described(text);
	for (unsigned i = 0; i < 64; i++)
		subject_reads(v, i * SECTOR, SECTOR, 64 - i);
}
END_TEST

static const struct {
	const char *lines;
	int code;
	const char *part;
} refusals[] = {
	{"RW 1 VMFSSPARSE \"a.img\"\n", EINVAL, "a.img: not a sparse extent"},
	{"RW 1 SESPARSE \"a.img\"\n", EINVAL, "a.img: not a sparse extent"},
	{"RW 1 VMFSRDM \"a.img\"\n", EACCES, "\"a.img\" of type VMFSRDM is a device"},
	{"RW 1 VMFSRAW \"a.img\"\n", EACCES, "of type VMFSRAW is a device"},
	{"RW 1 FOO \"a.img\"\n", ENOTSUP, "line 5: extent type FOO is not supported"},
	{"RW 1 VSANSPARSE \"a.img\"\n", ENOTSUP, "extent type VSANSPARSE is not supported"},
	{"NOACCESS 1 FOO\n", ENOTSUP, "extent type FOO is not supported"},
	{"RW 1 FLAT \"/dev/sda\" 0\n", EACCES, "is a device"},
	{"RW 1 FLAT \"\\\\.\\PhysicalDrive0\" 0\n", EACCES, "is a device"},
	{"RW 1 VMFS \"/vmfs/devices/disks/vml.02\"\n", EACCES, "is a device"},
	{"RW 1 FLAT\n", EINVAL, "no file name"},
	{"RW 1 FLAT \"\" 0\n", EINVAL, "empty name"},
	{"RW 1 FLAT \"d.vmdk\" 0\n", ELOOP, "the descriptor itself"},
	{"RW 1 FLAT \"./d.vmdk\" 0\n", ELOOP, "the descriptor itself"},
	{"RW 1 FLAT \"none.img\" 0\n", ENOENT, "none.img"},
	{"RW 1 FLAT \"/etc/hostname\" 0\n", EACCES, "outside"},
	{"RW 1 FLAT \"../../../../../etc/hostname\" 0\n", EACCES, "outside"},
	{"RW 1 FLAT \"sub\" 0\n", EINVAL, "directory"},
	{"RW 9 FLAT \"a.img\" 0\n", EUCLEAN, "the file has 4096 bytes"},
	{"RW 1 FLAT \"a.img\" 8\n", EUCLEAN, "the file has 4096 bytes"},
	{"RW 1 FLAT \"a.img\" 36028797018963967\n", EUCLEAN, "the file has 4096 bytes"},
	{"RW 1 FLAT \"a.img\" 18446744073709551000\n", EUCLEAN, "the file has 4096 bytes"},
	{"RW 18014398509481983 ZERO\nRW 1 ZERO\n", EFBIG, "line 6: the disk passes 2^63 bytes"},
	{"RW 1 SPARSE \"a.img\"\n", EINVAL, "a.img: not a sparse extent"},
	{"RW 1 SPARSE \"empty.img\"\n", EIO, "empty.img"},
};

START_TEST(impossible_extents_are_refused)
{
	char text[256] = HEAD;

	write_numbered("a.img", 8, 1);
	write_text("sub/x", "");
	write_text("empty.img", "");
	refuses(strcat(text, refusals[_i].lines), refusals[_i].code, refusals[_i].part);
}
END_TEST

START_TEST(renamed_image)
{
	write_sparse("new.vmdk", HEAD "RW 128 SPARSE \"old.vmdk\"\n", 1);
	write_sparse("old.vmdk", HEAD "RW 128 SPARSE \"old.vmdk\"\n", 2);
	subject_maps(opened("new.vmdk"), 0, EXTENT_FILE, 8 * SECTOR);
	subject_maps(opened("old.vmdk"), 0, EXTENT_ZERO, 8 * SECTOR);
}
END_TEST

START_TEST(empty_extent_with_descriptor)
{
	struct build_vmdk b;

	write_numbered("a.img", 8, 1);
	build_vmdk_new(&b, 0, 8, 4);
	build_vmdk_text(&b, HEAD "RW 8 FLAT \"a.img\" 0\n");
	write_file("d.vmdk", b.bytes, b.len);
	build_vmdk_free(&b);
	subject_reads(opened("d.vmdk"), 7 * SECTOR, SECTOR, 8);
}
END_TEST

static void write_stream(const char *name, unsigned grain, unsigned char byte)
{
	struct build_vmdk b;

	build_stream_new(&b, 64, 8, WITH_NEWLINES | WITH_COMPRESSION | WITH_LBA);
	build_stream_grain(&b, grain, 4096, byte);
	build_stream_finish(&b);
	write_file(name, b.bytes, b.len);
	build_vmdk_free(&b);
}

START_TEST(streams_as_extents)
{
	const struct view *v;

	write_numbered("a.img", 8, 1);
	write_stream("b.vmdk", 2, 'b');
	write_stream("c.vmdk", 2, 'c');
	v = described(HEAD "RW 8 FLAT \"a.img\" 0\nRW 64 SPARSE \"b.vmdk\"\n"
			   "RW 64 SPARSE \"c.vmdk\"\nRW 64 SPARSE \"b.vmdk\"\n");
	subject_reads(v, (8 + 16) * SECTOR, 8 * SECTOR, 'b');
	subject_reads(v, (72 + 16) * SECTOR, 8 * SECTOR, 'c');
	subject_reads(v, (136 + 16) * SECTOR, 8 * SECTOR, 'b');
}
END_TEST

START_TEST(the_sector_size_is_reported)
{
	described(HEAD "RW 8 ZERO\nddb.logicalSectorSize = \"4096\"\n");
	ck_assert_uint_eq(s.img->sector_size, 4096);
}
END_TEST

enum { HUGE_TABLES = 65536, HUGE_GD = 16, HUGE_GT = 1024 }; /* in sectors, except for the first */
#define HUGE_TABLE_LEN 2048u
#define HUGE_SPAN      (UINT64_C(32) << 20) /* bytes of the disk per grain table */

/* A disk of 2 TiB whose grain tables are a hole in the file, except for the first page, which is
 * filled with entry. */
static const struct view *huge(uint32_t entry)
{
	unsigned char *file = calloc(1, HUGE_GT * SECTOR + META_PAGE);
	struct build_vmdk b;

	ck_assert_ptr_nonnull(file);
	build_vmdk_new(&b, 128, 128, 512);
	build_vmdk_put(&b, AT_CAPACITY, 8, HUGE_TABLES * HUGE_SPAN / SECTOR);
	build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES);
	build_vmdk_put(&b, AT_GD, 8, HUGE_GD);
	build_vmdk_text(&b, HEAD "RW 4294967296 SPARSE \"x\"\n");
	memcpy(file, b.bytes, (1 + TEXT_SECTORS) * SECTOR);
	build_vmdk_free(&b);
	for (uint32_t i = 0; i < HUGE_TABLES; i++)
		store_le32(file + HUGE_GD * SECTOR + 4 * i, HUGE_GT + i * HUGE_TABLE_LEN / SECTOR);
	for (uint32_t i = 0; i < META_PAGE; i += 4)
		store_le32(file + HUGE_GT * SECTOR + i, entry);
	write_file("d.vmdk", file, HUGE_GT * SECTOR + (entry ? META_PAGE : 0));
	free(file);
	ck_assert_int_eq(
		truncate("d.vmdk", HUGE_GT * SECTOR + HUGE_TABLES * (off_t)HUGE_TABLE_LEN), 0);
	return opened("d.vmdk");
}

START_TEST(tables_in_holes_are_not_read)
{
	subject_maps(huge(0), 0, EXTENT_ZERO, HUGE_TABLES * HUGE_SPAN);
	ck_assert_uint_lt(cache_used(s.o.cache), 1 << 20); /* little more than the directory */
}
END_TEST

START_TEST(zero_extent_ends_before_tables_in_holes)
{
	const uint64_t full = META_PAGE / HUGE_TABLE_LEN * HUGE_SPAN;
	const struct view *v = huge(1);
	struct extent x;

	ck_assert_ok(v->ops->map(v, 0, v->size, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_ZERO && x.len == full);
	ck_assert_ok(v->ops->map(v, full, v->size - full, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_BELOW && x.len == v->size - full);
}
END_TEST

START_TEST(stream_of_a_header_only_is_refused)
{
	struct build_vmdk b;

	build_stream_new(&b, 128, 8, WITH_NEWLINES | WITH_COMPRESSION | WITH_LBA);
	write_file("s.vmdk", b.bytes, SECTOR);
	build_vmdk_free(&b);
	refuses(HEAD "RW 128 SPARSE \"s.vmdk\"\n", EUCLEAN, "nothing follows the header");
}
END_TEST

/* Deltas. */

#define CHILD "version=1\nCID=2\nparentCID=00000001\nRW 128 SPARSE \"x\"\n"

START_TEST(delta_reads_its_parent)
{
	const struct view *v;

	write_numbered("flat.img", 64, 1);
	write_text("base.vmdk", "version=1\nCID=1\nRW 64 FLAT \"flat.img\" 0\n");
	write_sparse("d.vmdk", CHILD "parentFileNameHint=\"C:\\VMs\\base.vmdk\"\n", 2);
	v = opened("d.vmdk");
	ck_assert_uint_eq(v->size, 128 * SECTOR);
	ck_assert_str_eq(s.img->parent_format, "vmdk");
	subject_reads(v, 7 * SECTOR, SECTOR, 8);
	subject_reads(v, 8 * SECTOR, 8 * SECTOR, 0x10);
	subject_reads(v, 16 * SECTOR, SECTOR, 17);
	subject_reads(v, 63 * SECTOR, SECTOR, 64);
	subject_reads(v, 64 * SECTOR, 64 * SECTOR, 0);
}
END_TEST

START_TEST(content_ids_must_match)
{
	write_text("base.vmdk", "version=1\nCID=0000000a\nRW 64 ZERO\n");
	write_sparse("d.vmdk", CHILD "parentFileNameHint=\"base.vmdk\"\n", 2);
	ck_assert_fails(try_open("d.vmdk"), EINVAL, &s.e, "CID 0000000a, 00000001 expected");
	s.o.ignore_parent_id = true;
	opened("d.vmdk");
}
END_TEST

/* A parent with another name is found by its content ID, if only one image has that ID. */
START_TEST(renamed_parent_is_found)
{
	write_numbered("flat.img", 64, 1);
	write_sparse("d.vmdk", CHILD "parentFileNameHint=\"old.vmdk\"\n", 2);
	write_sparse(
		"stranger.vmdk", "version=1\nCID=3\nparentCID=ffffffff\nRW 128 SPARSE \"x\"\n", 2);
	ck_assert_fails(try_open("d.vmdk"), ENOENT, &s.e, "\"old.vmdk\"");
	ck_assert_ptr_nonnull(strstr(hint_of(&s.e), "-o search=DIR"));
	write_text("base.vmdk", "version=1\nCID=1\nRW 64 FLAT \"flat.img\" 0\n");
	subject_reads(opened("d.vmdk"), 7 * SECTOR, SECTOR, 8);
	/* a delta that was never written has the content ID of its parent */
	write_sparse("e.vmdk",
		"version=1\nCID=1\nparentCID=1\nparentFileNameHint=\"old.vmdk\"\n"
		"RW 128 SPARSE \"x\"\n",
		0);
	subject_reads(opened("d.vmdk"), 7 * SECTOR, SECTOR, 8);
	ck_assert_int_eq(link("base.vmdk", "again.vmdk"), 0);
	subject_reads(opened("d.vmdk"), 7 * SECTOR, SECTOR, 8);
	write_text("copy.vmdk", "version=1\nCID=1\nRW 64 FLAT \"flat.img\" 0\n");
	ck_assert_fails(try_open("d.vmdk"), EINVAL, &s.e, "could be its parent");
	ck_assert_ptr_nonnull(strstr(hint_of(&s.e), "\"old.vmdk\""));
}
END_TEST

/* Names from Windows, which ignores case: of parents, among two copies, and of extents. */
START_TEST(names_in_another_case)
{
	write_numbered("flat.img", 64, 1);
	write_sparse("d.vmdk", CHILD "parentFileNameHint=\"C:\\VMs\\Base.VMDK\"\n", 2);
	write_text("base.vmdk", "version=1\nCID=1\nRW 64 FLAT \"Flat.IMG\" 0\n");
	write_text("copy.vmdk", "version=1\nCID=1\nRW 64 FLAT \"flat.img\" 0\n");
	subject_reads(opened("d.vmdk"), 7 * SECTOR, SECTOR, 8);
	ck_assert_str_eq(image_basename(s.img->parent), "base.vmdk");
	write_text("FLAT.img", "x");
	ck_assert_fails(try_open("base.vmdk"), ENOENT, &s.e, "\"Flat.IMG\"");
}
END_TEST

/* Disks that were never written share a content ID, so it finds none. */
START_TEST(initial_content_id_is_not_searched)
{
	write_text("other.vmdk", "version=1\nCID=fffffffe\nRW 64 ZERO\n");
	write_sparse("d.vmdk",
		"version=1\nCID=2\nparentCID=fffffffe\nparentFileNameHint=\"base.vmdk\"\n"
		"RW 128 SPARSE \"x\"\n",
		2);
	ck_assert_fails(try_open("d.vmdk"), ENOENT, &s.e, "\"base.vmdk\"");
	ck_assert_int_eq(rename("other.vmdk", "base.vmdk"), 0);
	opened("d.vmdk");
}
END_TEST

START_TEST(a_parent_without_a_name_is_refused)
{
	write_sparse("d.vmdk", CHILD, 2);
	ck_assert_fails(try_open("d.vmdk"), EINVAL, &s.e, "does not name it");
	s.o.nobacking = true;
	subject_fails(opened("d.vmdk"), 0, EIO, "left closed");
}
END_TEST

#define UUID "871a6044-c8ca-48ed-b7aa-e6fc49da3db4"

/* A child of VirtualBox: the parent is identified by its UUID only. */
START_TEST(parent_known_by_uuid_only)
{
	static const unsigned char id[GUID_LEN] = GUID_BYTES(
		0x871a6044, 0xc8ca, 0x48ed, 0xb7, 0xaa, 0xe6, 0xfc, 0x49, 0xda, 0x3d, 0xb4);
	const struct view *v;

	write_sparse("d.vmdk", HEAD "RW 128 SPARSE \"x\"\nddb.uuid.parent=\"" UUID "\"\n", 2);
	ck_assert_fails(try_open("d.vmdk"), ENOENT, &s.e, UUID);
	s.o.nobacking = true;
	v = opened("d.vmdk");
	subject_reads(v, 8 * SECTOR, 8 * SECTOR, 0x10);
	subject_fails(v, 0, EIO, "left closed");
	ck_assert_mem_eq(s.img->parent_id, id, GUID_LEN);
	ck_assert_ptr_null(s.img->parent_name);

	s.o.nobacking = false;
	write_numbered("flat.img", 64, 1);
	write_text("p.vmdk",
		"version=1\nCID=77\nRW 64 FLAT \"flat.img\" 0\nddb.uuid.image=\"" UUID "\"\n");
	v = opened("d.vmdk");
	subject_reads(v, 7 * SECTOR, SECTOR, 8);
	subject_reads(v, 8 * SECTOR, 8 * SECTOR, 0x10);
	subject_reads(v, 16 * SECTOR, SECTOR, 17);
}
END_TEST

/* With a name and UUIDs, all of them must match. */
static const struct {
	const char *child, *parent, *part;
} identities[] = {
	{"parent=\"" UUID "\"", "image=\"" UUID "\"", NULL},
	{"parent=\"" UUID "\"", "", "is 00000000-0000-"},
	{"parent=\"" UUID "\"", "image=\"00000001-c8ca-48ed-b7aa-e6fc49da3db4\"",
		"is 00000001-c8ca-48ed-b7aa-e6fc49da3db4"},
	{"parent=\"" UUID "\"\nddb.uuid.parentmodification=\"" UUID "\"",
		"image=\"" UUID "\"\nddb.uuid.modification=\"" UUID "\"", NULL},
	{"parent=\"" UUID "\"\nddb.uuid.parentmodification=\"" UUID "\"",
		"image=\"" UUID
		"\"\nddb.uuid.modification=\"00000001-c8ca-48ed-b7aa-e6fc49da3db4\"",
		"was changed after the image was made"},
	{"parent=\"" UUID "\"\nddb.uuid.parentmodification=\"" UUID "\"",
		"image=\"" UUID
		"\"\nddb.uuid.modification=\"00000000-0000-0000-0000-000000000000\"",
		NULL},
};

START_TEST(uuids_must_match)
{
	char text[512];

	snprintf(text, sizeof text, "version=1\nCID=5\nRW 64 ZERO\nddb.uuid.%s\n",
		identities[_i].parent[0] ? identities[_i].parent : "image=");
	write_text("base.vmdk", text);
	snprintf(text, sizeof text,
		HEAD "RW 128 SPARSE \"x\"\nparentFileNameHint=\"base.vmdk\"\n"
		     "ddb.uuid.%s\n",
		identities[_i].child);
	write_sparse("d.vmdk", text, 2);
	if (!identities[_i].part) {
		opened("d.vmdk");
		return;
	}
	ck_assert_fails(try_open("d.vmdk"), EUCLEAN, &s.e, identities[_i].part);
	s.o.ignore_parent_id = true;
	opened("d.vmdk");
}
END_TEST

START_TEST(names_are_in_the_encoding_of_the_descriptor)
{
	const struct view *v;

	write_numbered("d\xc3\xbc.img", 8, 1);
	v = described(HEAD "encoding=\"windows-1252\"\nRW 8 FLAT \"d\xfc.img\" 0\n");
	subject_reads(v, 0, SECTOR, 1);
	refuses(HEAD "encoding=\"klingon\"\nRW 8 FLAT \"d\xfc.img\" 0\n", ENOTSUP,
		"in the encoding \"klingon\"");
	described(HEAD "encoding=\"klingon\"\nRW 8 ZERO\n");
	write_text("base\xc3\xbc.vmdk", "version=1\nCID=1\nRW 64 ZERO\n");
	write_sparse("d.vmdk",
		CHILD "ddb.encoding=\"windows-1252\"\nparentFileNameHint=\"base\xfc.vmdk\"\n", 2);
	opened("d.vmdk");
}
END_TEST

START_TEST(info_has_the_keys_of_qemu_img)
{
	static const char *const parts[] = {"\"cid\": 305441741", "\"parent-cid\": 4294967295",
		"\"create-type\": \"custom\"", "\"filename\": \"", "\"format\": \"SPARSE\"",
		"\"format\": \"ZERO\"", "\"cluster-size\": 4096", "\"virtual-size\": 65536"};
	char *json;

	write_sparse("s.vmdk", "", 1);
	described(HEAD "createType=\"custom\"\nRW 128 SPARSE \"s.vmdk\"\nRW 8 ZERO\n");
	json = info_json(s.img, s.img->states[0], &s.e);
	ck_assert_ptr_nonnull(json);
	for (size_t i = 0; i < COUNT(parts); i++)
		ck_assert_msg(strstr(json, parts[i]), "no %s in %s", parts[i], json);
	free(json);
}
END_TEST

Suite *vmdk_files_suite(void)
{
	TCase *tc = tcase_create("files");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, several_extents);
	tcase_add_test(tc, many_extents);
	tcase_add_loop_test(tc, impossible_extents_are_refused, 0, COUNT(refusals));
	tcase_add_test(tc, renamed_image);
	tcase_add_test(tc, empty_extent_with_descriptor);
	tcase_add_test(tc, streams_as_extents);
	tcase_add_test(tc, the_sector_size_is_reported);
	tcase_add_test(tc, tables_in_holes_are_not_read);
	tcase_add_test(tc, zero_extent_ends_before_tables_in_holes);
	tcase_add_test(tc, stream_of_a_header_only_is_refused);
	tcase_add_test(tc, delta_reads_its_parent);
	tcase_add_test(tc, content_ids_must_match);
	tcase_add_test(tc, renamed_parent_is_found);
	tcase_add_test(tc, names_in_another_case);
	tcase_add_test(tc, initial_content_id_is_not_searched);
	tcase_add_test(tc, a_parent_without_a_name_is_refused);
	tcase_add_test(tc, parent_known_by_uuid_only);
	tcase_add_loop_test(tc, uuids_must_match, 0, COUNT(identities));
	tcase_add_test(tc, names_are_in_the_encoding_of_the_descriptor);
	tcase_add_test(tc, info_has_the_keys_of_qemu_img);
	return suite_of("vmdk_files", tc);
}
