/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk_write.c - writing VMDKs of other programs and new ones. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build/vmdk.h"
#include "util/bytes.h"
#include "image/check.h"
#include "image/creation.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "common/random_model.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "view/view.h"

#define MB (UINT64_C(1) << 20)

static void make(const char *path, const char *options, uint64_t size)
{
	char command[256];

	snprintf(command, sizeof command, "qemu-img create -q -f vmdk %s %s %llu", options, path,
		(unsigned long long)size);
	ck_assert_msg(system(command) == 0, "%s", command);
}

static int try_create(
	const char *path, const char *options, const char *backing, uint64_t size, struct err *e)
{
	char words[200], *word, *rest = words;
	const char *list[8] = {NULL};

	snprintf(words, sizeof words, "%s", options);
	for (size_t i = 0; (word = strsep(&rest, ",")); i++)
		list[i] = *word ? word : NULL;
	return try_make_image("vmdk", path, size, backing, list, e);
}

static void create(const char *path, const char *options, const char *backing, uint64_t size)
{
	struct err e = ERR_INIT;

	ck_assert_ok(try_create(path, options, backing, size, &e), &e);
}

static char *read_text(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *f = fopen(path, "r");

	ck_assert(text && f);
	ck_assert(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static const char *const kinds[] = {
	"-o subformat=monolithicSparse",
	"-o subformat=monolithicFlat",
	"-o subformat=twoGbMaxExtentSparse",
	"-o subformat=twoGbMaxExtentFlat",
	"-o zeroed_grain=on",
};

static unsigned char *read_bytes(const char *path, size_t *len)
{
	unsigned char *bytes = malloc(16 * MB);
	FILE *f = fopen(path, "r");

	ck_assert(bytes && f);
	*len = fread(bytes, 1, 16 * MB, f);
	fclose(f);
	return bytes;
}

/* Asserts that both grain directories have equal entries, and that the unclean flag is clear. */
static void redundant_tables_are_equal(const char *path)
{
	size_t len;
	unsigned char *p = read_bytes(path, &len), zeroes[2048] = {0};
	uint64_t rgd = load_le64(p + AT_RGD) * SECTOR, gd = load_le64(p + AT_GD) * SECTOR;
	uint32_t rgt = load_le32(p + rgd) * SECTOR, gt = load_le32(p + gd) * SECTOR;

	ck_assert_uint_ne(rgt, gt);
	ck_assert_mem_eq(p + rgt, p + gt, 2048);
	ck_assert_mem_ne(p + gt, zeroes, 2048);
	ck_assert_uint_eq(p[AT_UNCLEAN], 0);
	free(p);
}

START_TEST(random_operations)
{
	struct model m = {.path = "a.vmdk", .seed = 1 + _i, .qemu_format = "vmdk", .rounds = 4};

	make(m.path, kinds[_i], 5 * MB + 1536);
	if (_i == 0 || _i == 4)
		m.size_max = 70 * MB;
	model_run(&m);
	if (_i == 0 || _i == 4)
		redundant_tables_are_equal(m.path);
}
END_TEST

static const char *const subformats[] = {
	"subformat=monolithicSparse",
	"subformat=monolithicFlat",
	"subformat=twoGbMaxExtentSparse",
	"subformat=twoGbMaxExtentFlat,adapter_type=lsilogic",
	"zeroed_grain=on,compat6",
};

START_TEST(random_operations_on_new_images)
{
	struct model m = {.path = "a.vmdk", .seed = 11 + _i, .qemu_format = "vmdk", .rounds = 4};

	create(m.path, subformats[_i], NULL, 5 * MB + 1536);
	if (_i == 0 || _i == 4)
		m.size_max = 70 * MB;
	model_run(&m);
	if (_i == 0 || _i == 4)
		redundant_tables_are_equal(m.path);
}
END_TEST

/* Writes across the border of two extents. */
START_TEST(split)
{
	const uint64_t seam = UINT64_C(4192256) * 512;
	unsigned char buf[8192], back[8192];
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	create("a.vmdk", subformats[2 + _i], NULL, 2 * seam + MB);
	img = open_image_file("a.vmdk", true, &o);
	v = img->states[0]->view;
	ck_assert_uint_eq(v->size, 2 * seam + MB);
	fill_pattern(buf, sizeof buf, 5);
	for (unsigned i = 1; i <= 2; i++) {
		ck_assert_ok(view_write(v, buf, sizeof buf, i * seam - 4096 - 512 * i, &e), &e);
		ck_assert_ok(image_finish(img, &e), &e);
		ck_assert_ok(view_read(v, back, sizeof back, i * seam - 4096 - 512 * i, &e), &e);
		ck_assert_mem_eq(buf, back, sizeof buf);
	}
	ck_assert_ok(view_clear(v, seam - 4608, sizeof buf, &e), &e);
	image_close(img);
	ck_assert_ok(image_open("a.vmdk", &o, &img, &e), &e);
	v = img->states[0]->view;
	ck_assert_ok(view_read(v, back, sizeof back, 2 * seam - 5120, &e), &e);
	ck_assert_mem_eq(buf, back, sizeof buf);
	ck_assert_ok(view_read(v, back, sizeof back, seam - 4608, &e), &e);
	memset(buf, 0, sizeof buf);
	ck_assert_mem_eq(buf, back, sizeof buf);
	image_close(img);
	options_free(&o);
	ck_assert_int_eq(system("qemu-img check -q a.vmdk"), 0);
}
END_TEST

START_TEST(impossible_sizes)
{
	create("a.vmdk", "", NULL, MB);
	create("flat.vmdk", "subformat=monolithicFlat", NULL, MB);
	create("split.vmdk", "subformat=twoGbMaxExtentSparse", NULL, MB);
	create("base.vmdk", "", NULL, MB);
	create("child.vmdk", "", "base.vmdk", CREATE_NO_SIZE);
	refuses_size("a.vmdk", MB + 1, EINVAL, "whole sectors");
	refuses_size("a.vmdk", UINT64_C(1) << 50, EFBIG, "too many grain tables");
	refuses_size("flat.vmdk", 2 * MB, EOPNOTSUPP, "only a disk in one sparse file");
	refuses_size("split.vmdk", 2 * MB, EOPNOTSUPP, "only a disk in one sparse file");
	refuses_size("child.vmdk", 2 * MB, EOPNOTSUPP, "would expose data of its parent");
}
END_TEST

/* Grows until the grain directories move, and shrinks to the last allocated grain. */
START_TEST(directories_move)
{
	const uint64_t size = UINT64_C(5) << 30;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;
	char back[4];

	create("a.vmdk", "", NULL, 3 * MB + 512);
	img = open_image_file("a.vmdk", true, &o);
	v = img->states[0]->view;
	ck_assert_ok(view_write(v, "abcd", 4, 3 * MB, &e), &e);
	ck_assert_ok(view_resize(v, 2 * size, &e), &e);
	ck_assert_ok(view_write(v, "efgh", 4, size - 512, &e), &e);
	ck_assert_ok(view_resize(v, size, &e), &e);
	ck_assert_fails(
		view_resize(v, size - 512 * 1024, &e), EOPNOTSUPP, &e, "beyond the new end");
	ck_assert_ok(view_resize(v, 3 * size, &e), &e);
	ck_assert_ok(view_write(v, "ijkl", 4, 3 * size - 512, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	ck_assert_int_eq(system("qemu-img check -q a.vmdk && qemu-img info a.vmdk | "
				"grep -q '(16106127360 bytes)'"),
		0);
	img = open_image_file("a.vmdk", false, &o);
	v = img->states[0]->view;
	ck_assert_ok(view_read(v, back, 4, 3 * MB, &e), &e);
	ck_assert_mem_eq(back, "abcd", 4);
	ck_assert_ok(view_read(v, back, 4, size - 512, &e), &e);
	ck_assert_mem_eq(back, "efgh", 4);
	ck_assert_ok(view_read(v, back, 4, 3 * size - 512, &e), &e);
	ck_assert_mem_eq(back, "ijkl", 4);
	image_close(img);
	options_free(&o);
}
END_TEST

static const struct {
	const char *path, *options, *backing;
	int code;
	const char *part;
} refused_creations[] = {
	{"b.vmdk", "subformat=streamOptimized", "a.vmdk", EINVAL, "has no backing file"},
	{"b.vmdk", "subformat=streamOptimized,zeroed_grain=on", NULL, EINVAL, "zeroed_grain"},
	{"b.vmdk", "subformat=monolithicFlat", "a.vmdk", EINVAL, "has no backing file"},
	{"b.vmdk", "subformat=monolithicFlat,zeroed_grain=on", NULL, EINVAL, "has no grains"},
	{"b.vmdk", "preallocation=full", NULL, EINVAL, "only for flat disks"},
	{"b.vmdk", "compat6=on,hwversion=7", NULL, EINVAL, "compat6 sets hwversion"},
	{"b.vmdk", "hwversion=7\"", NULL, EINVAL, "cannot be in a descriptor"},
	{"b.vmdk", "", "base.img", EINVAL, "only vmdk is possible"},
	{"a\"b.vmdk", "subformat=monolithicFlat", NULL, EINVAL, "cannot be in a descriptor"},
	{"b.vmdk", "adapter_type=scsi", NULL, EINVAL, "no such adapter_type"},
};

/* A creation that fails leaves no file. */
START_TEST(failed_creations)
{
	struct err e = ERR_INIT;
	unsigned char *disk = calloc(1, MB);

	create("a.vmdk", "", NULL, MB);
	write_file("base.img", disk, MB);
	ck_assert_fails(try_create(refused_creations[_i].path, refused_creations[_i].options,
				refused_creations[_i].backing, MB, &e),
		refused_creations[_i].code, &e, refused_creations[_i].part);
	ck_assert_int_eq(access(refused_creations[_i].path, F_OK), -1);
	ck_assert_int_eq(access("b-flat.vmdk", F_OK), -1);
	free(disk);
}
END_TEST

START_TEST(deltas)
{
	static const char *const none[] = {NULL};
	unsigned char *before = make_full_image("vmdk", "base.vmdk", 4 * MB + 1024, none);
	struct model m = {
		.path = "delta.vmdk",
		.seed = 20 + _i,
		.before = before,
		.qemu_format = "vmdk",
	};

	if (_i < 2)
		create(m.path, _i ? "zeroed_grain=on" : "", "base.vmdk", CREATE_NO_SIZE);
	else
		make(m.path, "-b base.vmdk -F vmdk", 4 * MB + 1024);
	model_run(&m);
	free(before);
}
END_TEST

/* Extents of other programs: small grains, small tables, absent tables. */
START_TEST(extents_of_other_programs)
{
	static const struct {
		uint64_t grain;
		uint32_t per_table;
		bool no_tables, no_redundant;
	} cases[] = {{8, 512, false, false}, {1, 512, true, false}, {16, 128, true, false},
		{128, 4, true, true}, {128, 512, false, true}};
	struct build_vmdk b;
	struct model m = {.path = "a.vmdk", .seed = 30 + _i};
	char text[200];

	build_vmdk_new(&b, 4099, cases[_i].grain, cases[_i].per_table);
	snprintf(text, sizeof text,
		"version=1\nCID=1234567\nparentCID=ffffffff\n"
		"createType=\"monolithicSparse\"\nRW 4099 SPARSE \"x\"\n");
	build_vmdk_text(&b, text);
	for (uint32_t i = 0; i < b.ntables && cases[_i].no_tables; i++) {
		build_vmdk_put(&b, b.rgd * SECTOR + 4 * i, 4, 0);
		build_vmdk_put(&b, b.gd * SECTOR + 4 * i, 4, 0);
	}
	if (cases[_i].no_redundant)
		build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES);
	write_file(m.path, b.bytes, b.len);
	model_run(&m);
	build_vmdk_free(&b);
}
END_TEST

static const char described[] =
	"# Disk DescriptorFile\nversion=3\nCID=12c4567\nparentCID=ffffffff\n"
	"createType=\"vmfs\"\nchangeTrackPath=\"a-ctk.vmdk\"\n"
	"RW 8 VMFS \"a-flat.vmdk\"\n"
	"ddb.longContentID = \"%s\"\n"
	"ddb.uuid.modification = \"11111111-2222-3333-4444-555555555555\"\n";

static const unsigned char nothing[65536];

/* The first write, and nothing before it, changes the content IDs. */
START_TEST(first_write)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	char text[600], *now, *line;

	snprintf(text, sizeof text, described, "0123456789abcdef0123456789abcdef");
	write_text("a.vmdk", text);
	write_file("a-flat.vmdk", nothing, 4096);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	now = read_text("a.vmdk");
	ck_assert_str_eq(now, text);
	free(now);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 4093, &e), &e);
	image_close(img);
	now = read_text("a.vmdk");
	ck_assert_uint_eq(strlen(now), strlen(text));
	ck_assert_ptr_null(strstr(now, "CID=12c4567"));
	line = strstr(now, "\nCID=");
	ck_assert_ptr_nonnull(line);
	ck_assert_uint_eq(strspn(line + 5, "0123456789abcdef"), 7);
	ck_assert_ptr_nonnull(strstr(now, "\n#hangeTrackPath="));
	ck_assert_ptr_null(strstr(now, "11111111-2222"));
	ck_assert_ptr_nonnull(strstr(now, "RW 8 VMFS \"a-flat.vmdk\"\n"));
	free(now);
	ck_assert_ok(image_open("a.vmdk", &o, &img, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, text, 3, 4093, &e), &e);
	ck_assert_mem_eq(text, "abc", 3);
	image_close(img);
	options_free(&o);
}
END_TEST

/* The long content ID always ends with the short one. */
START_TEST(long_content_id)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	char *now, *cid, *id;

	write_text("a.vmdk", "version=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"
			     "RW 8 VMFS \"a-flat.vmdk\"\n"
			     "ddb.longContentID = \"0123456789abcdef01234567fffffffe\"\n");
	write_file("a-flat.vmdk", nothing, 4096);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 1, &e), &e);
	image_close(img);
	options_free(&o);
	now = read_text("a.vmdk");
	cid = strstr(now, "CID=");
	id = strstr(now, "ID = \"");
	ck_assert(cid && id);
	ck_assert_mem_ne(cid + 4, "fffffffe", 8);
	ck_assert_mem_ne(id + 6, "0123456789abcdef01234567", 24);
	ck_assert_mem_eq(id + 6 + 24, cid + 4, 8);
	ck_assert_int_eq(id[6 + 32], '"');
	free(now);
}
END_TEST

/* A child is refused after its parent was written. */
START_TEST(changed_parent)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	make("base.vmdk", "", MB);
	make("delta.vmdk", "-b base.vmdk -F vmdk", MB);
	img = open_image_file("delta.vmdk", true, &o);
	image_close(img);
	options_free(&o);
	img = open_image_file("base.vmdk", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 1, &e), &e);
	image_close(img);
	ck_assert_fails(image_open("delta.vmdk", &o, &img, &e), EINVAL, &e, "was changed after");
	options_free(&o);
}
END_TEST

static const struct {
	const char *lines, *part;
} refusals[] = {
	{"RDONLY 8 FLAT \"f\" 0\n", "is RDONLY"},
	{"RW 8 FLAT \"f\" 0\nRW 8 ZERO\n", "ZERO extent"},
	{"RW 8 FLAT \"f\" 0\nNOACCESS 8 FLAT \"f\" 8\n", "ZERO extent"},
	{"RW 8 FLAT \"f\" 0\nRW 8 FLAT \"f\" 7\n", "share the bytes"},
	{"RW 8 FLAT \"f\" 0\nRW 128 SPARSE \"s\"\n", "in the middle of a grain"},
	{"RW 128 SPARSE \"s\"\nRW 128 SPARSE \"s\"\n", "share the bytes"},
	{"RW 129 SPARSE \"s\"\n", "shorter than its extent line"},
	{"RW 8 FLAT \"f\" 0\nRW 8 FLAT \"f\" 8\n", NULL},
	{"RW 128 FLAT \"f\" 0\nRW 128 SPARSE \"s\"\n", NULL},
};

START_TEST(choice_of_extents)
{
	char text[300];
	struct build_vmdk b;
	struct image_options o;

	build_vmdk_new(&b, 128, 128, 512);
	write_file("s", b.bytes, b.len);
	write_file("f", nothing, 65536);
	snprintf(text, sizeof text,
		"version=1\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\n%s",
		refusals[_i].lines);
	write_text("a.vmdk", text);
	if (refusals[_i].part) {
		refuses_writing("a.vmdk", ENOTSUP, refusals[_i].part);
	} else {
		image_close(open_image_file("a.vmdk", true, &o));
		options_free(&o);
	}
	build_vmdk_free(&b);
}
END_TEST

START_TEST(streams)
{
	make("a.vmdk", "-o subformat=streamOptimized", MB);
	refuses_writing("a.vmdk", ENOTSUP, "streamOptimized");
}
END_TEST

#define GRAIN 65536

/* Opens a new stream for writing. */
static struct image *open_stream(const char *path, struct image_options *o)
{
	struct err e = ERR_INIT;
	struct image *img;

	*o = options_new();
	o->write = true;
	o->fill = true;
	ck_assert_ok(image_open(path, o, &img, &e), &e);
	return img;
}

static int write_compressed_grain(struct view *v, uint64_t off, unsigned seed, struct err *e)
{
	unsigned char unit[GRAIN], *compressed = malloc(v->compressed_max);
	ssize_t n;
	int r;

	ck_assert_ptr_nonnull(compressed);
	fill_pattern(unit, sizeof unit, seed);
	n = view_compress(v, unit, off, compressed, e);
	ck_assert_int_gt(n, 0);
	ck_assert_int_le(n, v->compressed_max);
	r = view_write_compressed(v, compressed, n, off, e);
	free(compressed);
	return r;
}

static const unsigned filled[] = {0, 1, 5, 511, 512, 1300, 1599};

static void fill_stream(void)
{
	struct image_options o;
	struct image *img;
	struct err e = ERR_INIT;

	ck_assert_ok(try_create("a.vmdk", "subformat=streamOptimized", NULL, 100 * MB, &e), &e);
	img = open_stream("a.vmdk", &o);
	for (size_t i = 0; i < COUNT(filled); i++)
		ck_assert_ok(write_compressed_grain(
				     img->states[0]->view, (uint64_t)filled[i] * GRAIN, i, &e),
			&e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
}

START_TEST(streams_are_filled)
{
	unsigned char want[GRAIN], got[GRAIN];
	struct image_options o;
	struct image *img;
	struct err e = ERR_INIT;
	size_t next = 0;

	fill_stream();
	img = open_image_file("a.vmdk", false, &o);
	for (unsigned i = 0; i < 1600; i++) {
		memset(want, 0, sizeof want);
		if (i == filled[next])
			fill_pattern(want, sizeof want, next++);
		ck_assert_ok(
			view_read(img->states[0]->view, got, GRAIN, (uint64_t)i * GRAIN, &e), &e);
		ck_assert_mem_eq(want, got, GRAIN);
	}
	image_close(img);
	options_free(&o);
	ck_assert_int_eq(system("qemu-img convert -f vmdk -O raw a.vmdk a.raw && "
				"qemu-img compare -q -f vmdk -F raw a.vmdk a.raw"),
		0);
}
END_TEST

/* A stream is written in order, whole grains, each once, and cannot be read meanwhile. */
START_TEST(streams_are_written_in_order)
{
	struct image_options o;
	struct image *img;
	struct view *v;
	struct err e = ERR_INIT;
	char byte = 1;

	fill_stream();
	refuses_writing("a.vmdk", ENOTSUP, "streamOptimized");
	ck_assert_ok(try_create("b.vmdk", "subformat=streamOptimized", NULL, MB, &e), &e);
	img = open_stream("b.vmdk", &o);
	v = img->states[0]->view;
	ck_assert(v->compressed_only);
	ck_assert_ok(write_compressed_grain(v, 3 * GRAIN, 1, &e), &e);
	ck_assert_fails(write_compressed_grain(v, 3 * GRAIN, 1, &e), EINVAL, &e, "too late");
	ck_assert_fails(write_compressed_grain(v, 0, 1, &e), EINVAL, &e, "too late");
	ck_assert_fails(write_compressed_grain(v, MB, 1, &e), ENOSPC, &e, "pass the end");
	ck_assert_fails(
		view_write(v, &byte, 1, 5 * GRAIN, &e), EROFS, &e, "only written compressed");
	ck_assert_fails(view_clear(v, 5 * GRAIN, GRAIN, &e), EROFS, &e, "only written compressed");
	ck_assert_fails(view_read(v, &byte, 1, 3 * GRAIN, &e), EIO, &e, "being written");
	ck_assert_fails(view_resize(v, 2 * MB, &e), EOPNOTSUPP, &e, "cannot be changed");
	image_close(img);
	options_free(&o);
}
END_TEST

/* A stream that was not finished is not an image. */
START_TEST(unfinished_streams)
{
	struct image_options o;
	struct image *img, *again;
	struct err e = ERR_INIT;

	ck_assert_ok(try_create("b.vmdk", "subformat=streamOptimized", NULL, MB, &e), &e);
	img = open_stream("b.vmdk", &o);
	ck_assert_ok(write_compressed_grain(img->states[0]->view, 3 * GRAIN, 1, &e), &e);
	ck_assert_int_eq(system("cp b.vmdk c.vmdk"), 0);
	o.write = false;
	ck_assert_fails(image_open("c.vmdk", &o, &again, &e), EUCLEAN, &e, "footer");
	image_close(img);
	options_free(&o);
}
END_TEST

static const char own[] = "version=1\nCID=1234567\nparentCID=ffffffff\n"
			  "createType=\"monolithicSparse\"\nRW 1024 SPARSE \"x\"\n";

/* Impossible entries of grain tables. */
START_TEST(bad_tables)
{
	struct build_vmdk b;

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	switch (_i) {
	case 0:
		build_vmdk_both(&b, 0, build_vmdk_data(&b, 3));
		build_vmdk_both(&b, 9, build_vmdk_data(&b, 3));
		break;
	case 1:
		build_vmdk_first(&b, 9, b.data - 1);
		break;
	case 2:
		build_vmdk_first(&b, 9, 1 << 20);
		break;
	case 3:
		build_vmdk_put(&b, b.gd * SECTOR, 4, 1 << 20);
		break;
	case 4:
		build_vmdk_put(&b, b.rgd * SECTOR, 4, b.gt);
		break;
	case 5:
		build_vmdk_put(&b, AT_VERSION, 4, 3);
		break;
	case 6:
		build_vmdk_both(&b, 9, 1);
		build_vmdk_first(&b, 70, 1);
		build_vmdk_redundant(&b, 70, build_vmdk_data(&b, 3));
		break;
	}
	write_file("a.vmdk", b.bytes, b.len);
	refuses_writing("a.vmdk", _i == 3 || _i == 5 ? ENOTSUP : EUCLEAN,
		(const char *[]){"and so is another", "cannot be in sector", "cannot be in sector",
			"is damaged", "overlap", "version 3", "the entry of grain 70 is 1"}[_i]);
	build_vmdk_free(&b);
}
END_TEST

/* A write to one of two overlapping structures would destroy the other.  The image, in sectors: 1
 * descriptor, 5 redundant directory, 6 redundant tables, 10 directory, 11 tables, 16 grains. */
static const struct {
	size_t field; /* position in the header or the grain directory; 0: none */
	unsigned width;
	uint32_t value;
	uint32_t grains[2]; /* sectors of the first two grains; 0: unchanged */
	const char *text;
} overlaps[] = {
	{AT_DESC_LEN, 8, 64, {0}, "the descriptor, 32768 bytes at 512, and the grain directory"},
	{AT_DESC_LEN, 8, 5, {0}, "the descriptor, 2560 bytes at 512, and the redundant grain"},
	{AT_RGD, 8, 10, {0}, "the grain directory, 16 bytes at 5120, and the redundant grain"},
	{AT_RGD, 8, 3, {0}, "and the redundant grain directory, 16 bytes at 1536, overlap"},
	{10 * SECTOR, 4, 4, {0}, "the grain table in sector 4 and the descriptor overlap"},
	{10 * SECTOR, 4, 12, {0}, "the grain table in sector 12 and another one overlap"},
	{AT_OVERHEAD, 8, 1, {2}, "grain 0 in sector 2 and the descriptor overlap"},
	{AT_OVERHEAD, 8, 1, {5}, "grain 0 in sector 5 and the grain directory overlap"},
	{AT_OVERHEAD, 8, 1, {12}, "grain 0 in sector 12 and a grain table overlap"},
	{0, 0, 0, {24, 28}, "a grain is in sector 28, and so is another one"},
	{0, 0, 0, {28, 24}, "a grain is in sector 24, and so is another one"},
	{0, 0, 0, {17, 23}, "a grain is in sector 23, and so is another one"},
};

START_TEST(structures_that_overlap)
{
	struct check_report report = {0};
	struct image_options o;
	struct build_vmdk b;
	struct err e = ERR_INIT;
	struct image *img;

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	build_vmdk_both(&b, 40, build_vmdk_data(&b, 4));
	for (unsigned i = 0; i < 2; i++)
		build_vmdk_both(&b, i, overlaps[_i].grains[i]);
	if (overlaps[_i].width)
		build_vmdk_put(&b, overlaps[_i].field, overlaps[_i].width, overlaps[_i].value);
	write_file("a.vmdk", b.bytes, b.len);
	img = open_image_file("a.vmdk", false, &o);
	ck_assert_ok(image_check(img, 0, &report, &e), &e);
	ck_assert_uint_gt(report.corruptions, 0);
	image_close(img);
	options_free(&o);
	refuses_writing("a.vmdk", EUCLEAN, overlaps[_i].text);
	build_vmdk_free(&b);
}
END_TEST

/* Grains that are not aligned, but do not overlap. */
START_TEST(unaligned_grains)
{
	struct build_vmdk b;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	static const uint32_t sectors[] = {16, 25, 33, 41, 56, 70};
	unsigned char buf[8 * SECTOR];

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	for (unsigned i = 0; i < COUNT(sectors); i++)
		build_vmdk_both(&b, i, sectors[i]);
	write_file("a.vmdk", b.bytes, b.len);
	img = open_image_file("a.vmdk", true, &o);
	for (unsigned i = 0; i < COUNT(sectors) + 2; i++) {
		memset(buf, 'a' + (int)i, sizeof buf);
		ck_assert_ok(
			view_write(img->states[0]->view, buf, sizeof buf, i * sizeof buf, &e), &e);
	}
	for (unsigned i = 0; i < COUNT(sectors) + 2; i++) {
		ck_assert_ok(
			view_read(img->states[0]->view, buf, sizeof buf, i * sizeof buf, &e), &e);
		ck_assert(buf[0] == 'a' + i && memcmp(buf, buf + 1, sizeof buf - 1) == 0);
	}
	image_close(img);
	options_free(&o);
	build_vmdk_free(&b);
}
END_TEST

/* Bytes behind the last table become entries when the disk grows, so garbage there is cleared. */
START_TEST(tail_of_the_last_table)
{
	struct build_vmdk b;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char byte;

	build_vmdk_new(&b, 104 * 8, 8, 32);
	build_vmdk_text(&b, "version=1\nCID=1234567\nparentCID=ffffffff\n"
			    "createType=\"monolithicSparse\"\nRW 832 SPARSE \"x\"\n");
	build_vmdk_both(&b, 0, build_vmdk_data(&b, 3));
	for (unsigned i = 104; i < 128; i++)
		build_vmdk_both(&b, i, build_vmdk_data(&b, 3));
	write_file("a.vmdk", b.bytes, b.len);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_resize(img->states[0]->view, 130 * 8 * SECTOR, &e), &e);
	for (unsigned i = 104; i < 130; i++) {
		ck_assert_ok(view_read(img->states[0]->view, &byte, 1, i * 8 * SECTOR, &e), &e);
		ck_assert_uint_eq(byte, 0);
	}
	image_close(img);
	options_free(&o);
	build_vmdk_free(&b);
}
END_TEST

/* The two tables differ after a crash, or after a program that ignores the redundant one. */
START_TEST(redundant_tables_are_made_equal)
{
	struct image_options o;
	struct build_vmdk b;
	unsigned char *now;
	FILE *f;

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	build_vmdk_both(&b, 3, build_vmdk_data(&b, 0));
	build_vmdk_first(&b, 70, build_vmdk_data(&b, 1));
	build_vmdk_redundant(&b, 100, build_vmdk_data(&b, 2));
	write_file("a.vmdk", b.bytes, b.len);
	image_close(open_image_file("a.vmdk", true, &o));
	options_free(&o);
	now = malloc(b.len);
	f = fopen("a.vmdk", "r");
	ck_assert(now && f && fread(now, 1, b.len, f) == b.len);
	fclose(f);
	ck_assert_mem_eq(
		now + b.gt * SECTOR, b.bytes + b.gt * SECTOR, b.ntables * b.table_sectors * SECTOR);
	ck_assert_mem_eq(
		now + b.gt * SECTOR, now + b.rgt * SECTOR, b.ntables * b.table_sectors * SECTOR);
	free(now);
	build_vmdk_free(&b);
}
END_TEST

/* The unclean flag is set while the image is written, and after a crash. */
START_TEST(unclean)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char *p;
	size_t len;

	make("a.vmdk", "", MB);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 1, &e), &e);
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	p = read_bytes("a.vmdk", &len);
	ck_assert_uint_eq(p[AT_UNCLEAN], 1);
	free(p);
	ck_assert_ok(image_finish(img, &e), &e);
	redundant_tables_are_equal("a.vmdk");
	image_close(img);
	options_free(&o);
}
END_TEST

/* A resize changes only one sector of the descriptor, so a power cut cannot tear it. */
START_TEST(descriptors_keep_their_length)
{
	static const uint64_t sizes[] = {2048 * MB, 10 * MB, 900 * MB};
	unsigned char *before, *after;
	struct err e = ERR_INIT;
	struct image_options o;
	struct image *img;
	size_t len;

	make("a.vmdk", "", 100 * MB);
	/* the first change changes the content ID */
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_resize(img->states[0]->view, 101 * MB, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		before = read_bytes("a.vmdk", &len);
		ck_assert_ok(view_resize(img->states[0]->view, sizes[i], &e), &e);
		ck_assert_ok(image_finish(img, &e), &e);
		after = read_bytes("a.vmdk", &len);
		ck_assert_mem_ne(before + 512, after + 512, 512);
		ck_assert_mem_eq(before + 1024, after + 1024, 19 * 512);
		ck_assert_ptr_nonnull(strstr((char *)after + 512, "\n# Ext"));
		free(before);
		free(after);
	}
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(power_cuts)
{
	struct power p = {.path = "a.vmdk", .seed = 2 + _i, .ops = 150};

	make(p.path, _i ? "-o zeroed_grain=on" : "", 2 * MB);
	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = {.path = "a.vmdk", .seed = 4};

	make(p.path, "", 1 * MB);
	power_faults(&p);
}
END_TEST

Suite *vmdk_write_suite(void)
{
	TCase *tc = tcase_create("vmdk_write");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(kinds));
	tcase_add_loop_test(tc, random_operations_on_new_images, 0, COUNT(subformats));
	tcase_add_loop_test(tc, split, 0, 2);
	tcase_add_test(tc, impossible_sizes);
	tcase_add_test(tc, directories_move);
	tcase_add_loop_test(tc, failed_creations, 0, COUNT(refused_creations));
	tcase_add_loop_test(tc, deltas, 0, 3);
	tcase_add_loop_test(tc, extents_of_other_programs, 0, 5);
	tcase_add_test(tc, first_write);
	tcase_add_test(tc, long_content_id);
	tcase_add_test(tc, changed_parent);
	tcase_add_loop_test(tc, choice_of_extents, 0, COUNT(refusals));
	tcase_add_test(tc, streams);
	tcase_add_test(tc, streams_are_filled);
	tcase_add_test(tc, streams_are_written_in_order);
	tcase_add_test(tc, unfinished_streams);
	tcase_add_loop_test(tc, bad_tables, 0, 7);
	tcase_add_loop_test(tc, structures_that_overlap, 0, COUNT(overlaps));
	tcase_add_test(tc, unaligned_grains);
	tcase_add_test(tc, tail_of_the_last_table);
	tcase_add_test(tc, redundant_tables_are_made_equal);
	tcase_add_test(tc, unclean);
	tcase_add_test(tc, descriptors_keep_their_length);
	tcase_add_loop_test(tc, power_cuts, 0, 2);
	tcase_add_test(tc, faults);
	return suite_of("vmdk_write", tc);
}
