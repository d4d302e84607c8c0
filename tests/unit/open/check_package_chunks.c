/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <zlib.h>

#include "common/unit.h"
#include "package_test.h"

/* Disks in chunks. */

static const struct {
	const char *more; /* attributes of the File element */
	int sizes[5];     /* of chunks; -1: missing; 0: end of the list */
	int code;
	const char *part;
} chunks[] = {
	{"chunkSize='3000'", {3000, 3000, 2192}, 0, NULL},
	{"chunkSize='4096'", {4096, 4096}, 0, NULL},
	{"chunkSize='4096' size='8192'", {4096, 4096}, 0, NULL},
	{"chunkSize='10000'", {8192}, 0, NULL},
	{"chunkSize='3000' size='8192'", {3000, 3000}, EUCLEAN, ".000000002, is missing"},
	{"chunkSize='3000'", {3000, -1, 2192}, EUCLEAN, ".000000001, is missing"},
	{"chunkSize='3000'", {3000, 2192, 3000}, EUCLEAN, "2192 bytes, 3000 were"},
	{"chunkSize='2000'", {3000, 3000, 2192}, EUCLEAN, "3000 bytes, 2000 were"},
	{"chunkSize='3000'", {-1, 3000}, ENOENT, "\"a.raw\" is not in the archive"},
	/* not declared in the descriptor */
	{"", {3000, 3000, 2192}, 0, NULL},
	{"", {8192}, 0, NULL},
	{"size='8192'", {3000, 3000}, EUCLEAN, ".000000002, is missing"},
	{"", {3000, -1, 2192}, EUCLEAN, ".000000001, is missing"},
	{"", {3000, 2192, 3000}, EUCLEAN, "2192 bytes, 3000 were"},
	{"", {-1, 3000}, ENOENT, "\"a.raw\" is not in the archive"},
};

START_TEST(chunked)
{
	struct package_test w;
	size_t at = 0;

	package_test_begin(&w);
	add_descriptor(&w, RAW, chunks[_i].more, LIST("a.raw"));
	for (int i = 0; chunks[_i].sizes[i]; i++) {
		char name[32];

		snprintf(name, sizeof name, "a.raw.%09d", i);
		if (chunks[_i].sizes[i] < 0)
			continue;
		tar_build_add(&w.tar, '0', name, w.disk + at, chunks[_i].sizes[i]);
		at += chunks[_i].sizes[i];
	}
	package_test_opens(&w);
	if (chunks[_i].code) {
		refuses_disk(&w, 0, chunks[_i].code, chunks[_i].part);
	} else {
		shows_disk(&w, 0);
		ck_assert(!chunks[_i].sizes[1] || !strcmp(image_basename(w.img), "a.raw"));
	}
	package_test_end(&w);
}
END_TEST

/* The target of a link need not have the name of a chunk. */
START_TEST(chunks_that_are_links)
{
	char *text = package_test_descriptor(RAW, "chunkSize='4096'", LIST("a.raw"));
	struct package_test w;

	package_test_begin(&w);
	write_text("x.ovf", text);
	free(text);
	write_file("first", w.disk, 4096);
	write_file("second", w.disk + 4096, 4096);
	ck_assert_int_eq(symlink("first", "a.raw.000000000"), 0);
	ck_assert_int_eq(symlink("second", "a.raw.000000001"), 0);
	package_test_opens(&w);
	shows_disk(&w, 0);
	ck_assert_str_eq(image_basename(w.img), "first");
	package_test_end(&w);
}
END_TEST

/* If numbered files are images each, the last one is the disk. */
START_TEST(images_of_snapshots)
{
	struct package_test w;

	package_test_begin(&w);
	add_descriptor(&w, VMDK, "", LIST("a.vmdk"));
	add_vmdk(&w, "a.vmdk.000000000", "gone.raw");
	add_vmdk(&w, "a.vmdk.000000001", "a.raw");
	add_disk(&w, "a.raw");
	package_test_opens(&w);
	shows_disk(&w, 0);
	ck_assert_ptr_nonnull(strstr(warning, "the last one is taken"));
	ck_assert_str_eq(image_basename(w.img), "a.vmdk.000000001");
	package_test_end(&w);
}
END_TEST

START_TEST(chunk_size_without_chunks)
{
	struct package_test w;

	package_test_begin(&w);
	add_descriptor(&w, RAW, "chunkSize='7516192768'", LIST("a.raw"));
	add_disk(&w, "a.raw");
	package_test_opens(&w);
	shows_disk(&w, 0);
	package_test_end(&w);
}
END_TEST

/* Compression. */

static size_t compress_disk(const struct package_test *w, unsigned char *out, size_t room)
{
	z_stream z = {
		.next_in = (void *)w->disk,
		.avail_in = sizeof w->disk,
		.next_out = out,
		.avail_out = room,
	};

	ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

static const struct {
	const char *more, *format;
	bool deflated;
	int code;
	const char *part;
} packings[] = {
	{"compression='gzip'", RAW, true, 0, NULL}, {"compression='GZIP'", RAW, true, 0, NULL},
	{"compression='gzip' chunkSize='50'", RAW, true, 0, NULL},
	{"compression='identity'", RAW, false, 0, NULL}, {"compression=''", RAW, false, 0, NULL},
	{"compression='bzip2'", RAW, false, ENOTSUP, "compression \"bzip2\" is not supported"},
	{"compression='gzip'", RAW, false, EUCLEAN, "calls it compressed, but it is not"},
	{"", VMDK, true, EINVAL, "not a disk image"}, /* probed, and not a VMDK */
};

START_TEST(compressed)
{
	unsigned char deflated[16384];
	struct package_test w;
	size_t n;

	package_test_begin(&w);
	n = compress_disk(&w, deflated, sizeof deflated);
	add_descriptor(&w, packings[_i].format, packings[_i].more, LIST("a.disk1"));
	if (strstr(packings[_i].more, "chunkSize")) {
		for (size_t at = 0, i = 0; at < n; at += 50, i++) {
			char name[32];

			snprintf(name, sizeof name, "a.disk1.%09zu", i);
			tar_build_add(&w.tar, '0', name, deflated + at, n - at < 50 ? n - at : 50);
		}
	} else if (packings[_i].deflated) {
		tar_build_add(&w.tar, '0', "a.disk1", deflated, n);
	} else {
		add_disk(&w, "a.disk1");
	}
	package_test_opens(&w);
	if (packings[_i].code) {
		refuses_disk(&w, 0, packings[_i].code, packings[_i].part);
	} else {
		shows_disk(&w, 0);
	}
	package_test_end(&w);
}
END_TEST

Suite *package_chunks_suite(void)
{
	TCase *tc = tcase_create("package_chunks");

	use_temp_dir(tc);
	tcase_add_loop_test(tc, chunked, 0, COUNT(chunks));
	tcase_add_test(tc, chunks_that_are_links);
	tcase_add_test(tc, images_of_snapshots);
	tcase_add_test(tc, chunk_size_without_chunks);
	tcase_add_loop_test(tc, compressed, 0, COUNT(packings));
	return suite_of("package_chunks", tc);
}
