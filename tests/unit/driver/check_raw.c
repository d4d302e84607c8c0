/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_raw.c - raw images, and files that are probed as raw. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "common/unit.h"
#include "view/view.h"

START_TEST(disk_has_the_size_of_the_file)
{
	static const size_t sizes[] = {1, 511, 512, 513, 65535, 100001};
	struct image_options o = options_new();
	unsigned char *data = malloc(sizes[_i]), *buf = malloc(sizes[_i]);
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	o.format = "raw";
	fill_pattern(data, sizes[_i], 1);
	ck_assert_ok(image_open_io(io_from_memory(data, sizes[_i], "x", &e), &o, &img, &e), &e);
	v = img->states[0]->view;
	ck_assert_str_eq(img->format->name, "raw");
	ck_assert_uint_eq(img->nstates, 1);
	ck_assert_uint_eq(v->size, sizes[_i]);
	ck_assert_ok(view_read(v, buf, sizes[_i], 0, &e), &e);
	ck_assert_mem_eq(buf, data, sizes[_i]);
	ck_assert_uint_eq(view_stored(v), sizes[_i]);
	image_close(img);
	options_free(&o);
	free(data);
	free(buf);
}
END_TEST

START_TEST(empty_file_named_raw)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	o.format = "raw";
	ck_assert_ok(image_open_io(io_from_memory("", 0, "x", &e), &o, &img, &e), &e);
	ck_assert_uint_eq(img->states[0]->view->size, 0);
	image_close(img);
	options_free(&o);
}
END_TEST

/* Bytes at a position of a 64 KiB file of zeroes. */
static const struct {
	const char *name;
	size_t pos;
	const char *bytes;
	size_t len;
	const char *refusal; /* NULL: opened as raw */
} probes[] = {
	{"disk.img", 0, "", 0, NULL},
	{"disk.RAW", 0, "", 0, NULL},
	{"a.b.iso", 0, "", 0, NULL},
	{"disk-flat.vmdk", 0, "", 0, NULL},
	{"disk", 0, "", 0, "not a disk image of a known format"},
	{"img", 0, "", 0, "not a disk image"},
	{".img", 0, "", 0, NULL},
	{"diskimg", 0, "", 0, "not a disk image"},
	{"/dir.img/disk", 0, "", 0, "not a disk image"},
	{"disk", 510, "\x55\xaa", 2, NULL},
	{"disk", 512, "EFI PART", 8, NULL},
	{"disk", 4096, "EFI PART", 8, NULL},
	{"disk", 1080, "\x53\xef", 2, NULL},
	{"disk", 32769, "CD001", 5, NULL},
	{"disk", 4086, "SWAPSPACE2", 10, NULL},
	{"disk", 0, "XFSB\0", 5, NULL},
	{"disk", 511, "\x55\xaa", 2, "not a disk image"},
	{"disk.img", 65536 - 512, "koly", 4, "an Apple disk image"},
	{"disk.001", 0, "EVF\t\r\n\xff\0", 8, "an EnCase image"},
	{"disk.E01", 0, "EVF2\r\n\x81\0", 8, "an EnCase image"},
	{"disk.dmg", 0, "encrcdsa", 8, "an encrypted Apple disk image"},
	{"disk.dmg", 0, "sprs", 4, "an Apple sparse disk image"},
	{"disk.aff", 0, "AFF10\r\n\0", 8, "an AFF image"},
	{"disk.iso", 0, "#!/bin/sh\n#V2.0 Format\n", 23, "a cloop image"},
	{"disk.img", 0, "MSWIM\0\0\0", 8, "a Windows image (WIM)"},
	{"disk.img", 0, "\x3a\xff\x26\xed", 4, "an Android sparse image"},
	{"disk.img", 0, "VMA\0", 4, "a Proxmox backup"},
	{"disk.img", 0, "OOOM", 4, "a User-mode Linux COW file"},
	{"disk.img", 257, "ustar", 5, "a tar archive"},
	{"disk.img", 0, "\x1f\x8b\x08", 3, "a gzip file"},
	{"disk.img", 0,
		"\xfd"
		"7zXZ",
		5, "an xz file"},
	{"disk.img", 0, "PK\3\4", 4, "a zip file"},
	{"disk.img", 0, "\x28\xb5\x2f\xfd", 4, "a zstd file"},
};

START_TEST(probing)
{
	struct image_options o = options_new();
	unsigned char *data = calloc(1, 65536);
	struct err e = ERR_INIT;
	struct image *img = NULL;
	int r;

	memcpy(data + probes[_i].pos, probes[_i].bytes, probes[_i].len);
	r = image_open_io(io_from_memory(data, 65536, probes[_i].name, &e), &o, &img, &e);
	if (probes[_i].refusal) {
		ck_assert_fails(r, e.code, &e, probes[_i].refusal);
		ck_assert(e.code == EINVAL || e.code == ENOTSUP);
		/* An archive is not a disk, so raw is not suggested. */
		ck_assert_int_eq(strstr(hint_of(&e), "-o format=raw") != NULL,
			strstr(probes[_i].refusal, "not a disk image") != NULL);
	} else {
		ck_assert_ok(r, &e);
		ck_assert_str_eq(img->format->name, "raw");
	}
	image_close(img);
	options_free(&o);
	free(data);
}
END_TEST

static void refused(const char *text, size_t len, const char *name, const char *part)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_fails(
		image_open_io(io_from_memory(text, len, name, &e), &o, &img, &e), EINVAL, &e, part);
	options_free(&o);
}

START_TEST(text_is_refused)
{
	refused("", 0, "disk.img", "the file is empty");
	refused("Dear grandma,\n\thow are you?\r\n", 29, "disk.img", "not a disk image");
	refused("x", 1, "disk.raw", "not a disk image");
}
END_TEST

START_TEST(unknown_format_names)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	o.format = "floppy";
	ck_assert_fails(image_open_io(io_from_memory("x", 1, "x", &e), &o, &img, &e), ENOTSUP, &e,
		"\"floppy\" is not known");
	ck_assert_ptr_eq(registry_find("img"), registry_find("raw"));
	ck_assert_ptr_eq(registry_find("host_device"), registry_find("raw"));
	ck_assert_ptr_null(registry_find(""));
	ck_assert_ptr_null(registry_find("RAW"));
	options_free(&o);
}
END_TEST

Suite *raw_suite(void)
{
	TCase *tc = tcase_create("raw");

	tcase_add_loop_test(tc, disk_has_the_size_of_the_file, 0, 6);
	tcase_add_test(tc, empty_file_named_raw);
	tcase_add_loop_test(tc, probing, 0, COUNT(probes));
	tcase_add_test(tc, text_is_refused);
	tcase_add_test(tc, unknown_format_names);
	return suite_of("raw", tc);
}
