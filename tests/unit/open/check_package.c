/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packages in the directory of the test: x.ova, or x.ovf and its files.  Disks are raw, or VMDK
 * descriptors that name further files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "build/tar.h"
#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "open/package-disk.h"
#include "open/package.h"
#include "open/probe.h"
#include "common/unit.h"
#include "view/view.h"

#define RAW  "http://en.wikipedia.org/wiki/Byte"
#define VMDK "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

struct package_test {
	struct tar_build tar;
	struct image_options o;
	struct package *p;
	struct image *img;
	struct err e;
	unsigned char disk[8192];
};

static char warning[256];

static void note_warning(const char *text)
{
	strncpy(warning, text, sizeof warning - 1);
}

static void begin(struct package_test *w)
{
	memset(w, 0, sizeof *w);
	w->o = options_new();
	w->o.warn = note_warning;
	warning[0] = '\0';
	fill_pattern(w->disk, sizeof w->disk, 1);
}

static int open_package(struct package_test *w, const char *path)
{
	struct io *io = io_open(path, &w->e);

	return io ? package_open_io(io, &w->o, &w->p, &w->e) : -w->e.code;
}

static void end(struct package_test *w)
{
	image_close(w->img);
	package_close(w->p);
	tar_build_free(&w->tar);
	options_free(&w->o);
}

/* Returns a descriptor of disks with these files in this format. */
static char *descriptor(const char *format, const char *more, const char *const *files)
{
	char *text = malloc(4096), *p = text;

	p += sprintf(p, "<Envelope><References>");
	for (size_t i = 0; files[i]; i++)
		p += sprintf(p, "<File id='f%zu' href='%s' %s/>", i, files[i], more);
	p += sprintf(p, "</References><DiskSection>");
	for (size_t i = 0; files[i]; i++)
		p += sprintf(p, "<Disk diskId='%zu' fileRef='f%zu' format='%s'/>", i, i, format);
	sprintf(p, "</DiskSection></Envelope>");
	return text;
}

static void add_descriptor(
	struct package_test *w, const char *format, const char *more, const char *const *files)
{
	char *text = descriptor(format, more, files);

	tar_build_file(&w->tar, "x.ovf", text);
	free(text);
}

static void add_disk(struct package_test *w, const char *name)
{
	tar_build_add(&w->tar, '0', name, w->disk, sizeof w->disk);
}

static void add_vmdk(struct package_test *w, const char *name, const char *extent)
{
	char text[512];

	snprintf(text, sizeof text,
		"# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
		"createType=\"monolithicFlat\"\nRW 16 FLAT \"%s\" 0\n",
		extent);
	tar_build_file(&w->tar, name, text);
}

static void opens(struct package_test *w)
{
	if (w->tar.len > 0)
		tar_build_write(&w->tar, "x.ova");
	ck_assert_ok(open_package(w, w->tar.len > 0 ? "x.ova" : "x.ovf"), &w->e);
}

static void shows_disk(struct package_test *w, size_t disk)
{
	unsigned char buf[8192];

	ck_assert_ok(package_disk_open(w->p, disk, &w->img, &w->e), &w->e);
	ck_assert_uint_eq(w->img->states[0]->view->size, sizeof buf);
	ck_assert_ok(view_read(w->img->states[0]->view, buf, sizeof buf, 0, &w->e), &w->e);
	ck_assert_mem_eq(buf, w->disk, sizeof buf);
}

static void refuses_disk(struct package_test *w, size_t disk, int code, const char *part)
{
	w->img = NULL;
	ck_assert_fails(package_disk_open(w->p, disk, &w->img, &w->e), code, &w->e, part);
	ck_assert_ptr_null(w->img);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(disks_of_an_archive)
{
	struct package_test w;

	begin(&w);
	add_disk(&w, "b c.raw");
	add_descriptor(&w, RAW, "", LIST("a.raw", "b%20c.raw", "none.raw", "http://h/d.raw"));
	add_disk(&w, "./a.raw");
	tar_build_end(&w.tar);
	opens(&w);
	ck_assert_uint_eq(package_count(w.p), 4);
	ck_assert_str_eq(package_disk_name(w.p, 0), "a.raw");
	ck_assert_str_eq(package_disk_name(w.p, 1), "b c.raw");
	ck_assert_str_eq(package_disk_name(w.p, 3), "http://h/d.raw");
	shows_disk(&w, 0);
	ck_assert_str_eq(image_basename(w.img), "a.raw");
	ck_assert_str_eq(strrchr(w.img->path, '/'), "/x.ova:a.raw");
	image_close(w.img);
	refuses_disk(&w, 2, ENOENT, "x.ova: disk \"none.raw\" is not in the archive");
	refuses_disk(&w, 3, EACCES, "\"http://h/d.raw\" is not in the package");
	shows_disk(&w, 1);
	package_close(w.p); /* the image has a reference to it */
	w.p = NULL;
	ck_assert_str_eq(strrchr(w.img->gate.package_path, '/'), "/x.ova");
	end(&w);
}
END_TEST

START_TEST(files_beside_a_descriptor)
{
	struct package_test w;
	char *text = descriptor(RAW, "", LIST("a.raw", "../secret", "/etc/passwd", "sub/b.raw"));

	begin(&w);
	write_text("vm/x.ovf", text);
	free(text);
	write_file("vm/a.raw", w.disk, sizeof w.disk);
	write_file("vm/sub/b.raw", w.disk, sizeof w.disk);
	write_file("secret", w.disk, sizeof w.disk);
	ck_assert_int_eq(chdir("vm"), 0);
	opens(&w);
	shows_disk(&w, 0);
	ck_assert_str_eq(strrchr(w.img->path, '/'), "/a.raw");
	image_close(w.img);
	refuses_disk(&w, 1, EACCES, "outside");
	refuses_disk(&w, 2, EACCES, "outside");
	shows_disk(&w, 3);
	end(&w);
}
END_TEST

/* A name in a disk of an archive is that of a member, relative to the disk's own; nothing else is
 * opened. */
START_TEST(names_in_disks)
{
	static const struct {
		const char *name, *extent;
		int code;
	} cases[] = {
		{"d.vmdk", "flat.raw", 0},
		{"d.vmdk", "./sub/../flat.raw", EACCES},
		{"d.vmdk", "sub/flat.raw", 0},
		{"sub/d.vmdk", "flat.raw", 0},
		{"sub/d.vmdk", "../flat.raw", EACCES},
		{"sub/d.vmdk", "d.vmdk", ELOOP},
		{"d.vmdk", "/etc/passwd", EACCES},
		{"d.vmdk", "../beside.raw", EACCES},
		{"d.vmdk", "beside.raw", ENOENT},
		{"d.vmdk", "x.ova", ENOENT},
		{"d.vmdk", "", EINVAL},
	};
	struct package_test w;

	begin(&w);
	write_file("beside.raw", w.disk, sizeof w.disk);
	add_descriptor(&w, VMDK, "", LIST(cases[_i].name));
	add_vmdk(&w, cases[_i].name, cases[_i].extent);
	add_disk(&w, "flat.raw");
	add_disk(&w, "sub/flat.raw");
	opens(&w);
	if (cases[_i].code)
		refuses_disk(&w, 0, cases[_i].code, "x.ova:");
	else
		shows_disk(&w, 0);
	end(&w);
}
END_TEST

/* A file of unknown contents is opened as raw only if the descriptor or the user asks for it. */
START_TEST(unknown_contents)
{
	struct package_test w;

	begin(&w);
	add_descriptor(&w, VMDK, "", LIST("a.disk1"));
	add_disk(&w, "a.disk1");
	opens(&w);
	refuses_disk(&w, 0, EINVAL, "not a disk image");
	w.o.format = "raw";
	shows_disk(&w, 0);
	end(&w);
}
END_TEST

/* A guest can write an image header to a raw disk, which must not name files. */
START_TEST(raw_disk_with_an_image_header)
{
	struct package_test w;

	begin(&w);
	add_descriptor(&w, RAW, "", LIST("a.raw"));
	add_vmdk(&w, "a.raw", "flat.raw");
	add_disk(&w, "flat.raw");
	opens(&w);
	refuses_disk(&w, 0, EACCES, "whose format nobody recorded");
	end(&w);
}
END_TEST

START_TEST(duplicate_names)
{
	struct package_test w;

	begin(&w);
	add_descriptor(&w, RAW, "", LIST("a.raw"));
	add_disk(&w, "a.raw");
	tar_build_file(&w.tar, "a.raw", "another");
	add_descriptor(&w, RAW, "", LIST("b.raw"));
	opens(&w);
	shows_disk(&w, 0);
	ck_assert_ptr_nonnull(strstr(warning, "several members are called \"a.raw\""));
	end(&w);
}
END_TEST

START_TEST(archives_without_one_descriptor)
{
	struct package_test w;

	begin(&w);
	add_disk(&w, "a.raw");
	tar_build_write(&w.tar, "x.ova");
	ck_assert_fails(open_package(&w, "x.ova"), EINVAL, &w.e, "no descriptor");
	add_descriptor(&w, RAW, "", LIST("a.raw"));
	tar_build_file(&w.tar, "y.ovf", "<Envelope/>");
	tar_build_write(&w.tar, "x.ova");
	ck_assert_fails(open_package(&w, "x.ova"), ENOTSUP, &w.e, "\"x.ovf\" and \"y.ovf\"");
	tar_build_free(&w.tar);
	tar_build_file(&w.tar, "x.ovf", "<Envelope>");
	tar_build_write(&w.tar, "x.ova");
	ck_assert_fails(open_package(&w, "x.ova"), EINVAL, &w.e, "x.ova:x.ovf: line");
	write_text("x.ovf", "<!DOCTYPE a><Envelope/>");
	ck_assert_fails(open_package(&w, "x.ovf"), ENOTSUP, &w.e, "document type");
	ck_assert_fails(open_package(&w, "y.ovf"), ENOENT, &w.e, "y.ovf");
	end(&w);
}
END_TEST

/* image_open opens a package with a single disk as that disk. */
START_TEST(packages_opened_as_images)
{
	struct package_test w;

	begin(&w);
	add_descriptor(&w, RAW, "", LIST("a.raw"));
	add_disk(&w, "a.raw");
	tar_build_write(&w.tar, "x.ova");
	ck_assert_ok(image_open("x.ova", &w.o, &w.img, &w.e), &w.e);
	ck_assert_uint_eq(w.img->states[0]->view->size, sizeof w.disk);
	image_close(w.img);
	w.o.format = "raw";
	ck_assert_ok(image_open("x.ova", &w.o, &w.img, &w.e), &w.e);
	ck_assert_uint_eq(w.img->states[0]->view->size, w.tar.len);
	image_close(w.img);
	w.o.format = "vmdk";
	ck_assert_fails(image_open("x.ova", &w.o, &w.img, &w.e), EINVAL, &w.e, "x.ova:a.raw: ");
	w.o.format = NULL;
	tar_build_free(&w.tar);
	add_descriptor(&w, RAW, "", LIST("a.raw", "b.raw"));
	tar_build_write(&w.tar, "y"); /* recognised by its first member */
	ck_assert_fails(image_open("y", &w.o, &w.img, &w.e), ENOTSUP, &w.e, "a.raw, b.raw");
	write_text("z.ovf", "<Envelope/>");
	ck_assert_fails(image_open("z.ovf", &w.o, &w.img, &w.e), EINVAL, &w.e, "it has no disk");
	w.img = NULL;
	end(&w);
}
END_TEST

static bool is_package(struct io *io)
{
	struct err e = ERR_INIT;
	struct peek *peek = probe_read(io, io->name, PACKAGE_PEEK, &e);
	bool found;

	ck_assert_ptr_nonnull(peek);
	found = package_probe(io, peek);
	free(peek);
	return found;
}

START_TEST(recognition)
{
	static const struct {
		const char *name, *head;
		size_t nhead;
		bool found;
	} cases[] = {
		{"x.ovf", "<?xml", 5, true},
		{"x.OVF", "\xef\xbb\xbf \n<x", 8, true},
		{"x.ovf", "\xff\xfe<\0", 4, true},
		{"x.ovf", "hello", 5, false},
		{"x.ovf", "", 0, false},
		{"x", "<?xml version='1.0'?><Envelope", 30, true},
		{"x", "<a:Envelope", 11, true},
		{"x", "<domain", 7, false},
		{"x", " Envelope", 9, false},
		{"x", "\xff\xfe<\0", 4, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e = ERR_INIT;
		struct io *io = io_from_memory(cases[i].head, cases[i].nhead, cases[i].name, &e);

		ck_assert_msg(is_package(io) == cases[i].found, "case %zu", i);
		io->is_block = true;
		ck_assert(!is_package(io));
		io_unref(io);
	}
	ck_assert(package_is_named("a.ova") && package_is_named("a.OVF") &&
		  package_is_named("a.ova.gz"));
	ck_assert(!package_is_named(".ova") && !package_is_named("a.ovab"));
}
END_TEST

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

	begin(&w);
	add_descriptor(&w, RAW, chunks[_i].more, LIST("a.raw"));
	for (int i = 0; chunks[_i].sizes[i]; i++) {
		char name[32];

		snprintf(name, sizeof name, "a.raw.%09d", i);
		if (chunks[_i].sizes[i] < 0)
			continue;
		tar_build_add(&w.tar, '0', name, w.disk + at, chunks[_i].sizes[i]);
		at += chunks[_i].sizes[i];
	}
	opens(&w);
	if (chunks[_i].code) {
		refuses_disk(&w, 0, chunks[_i].code, chunks[_i].part);
	} else {
		shows_disk(&w, 0);
		ck_assert(!chunks[_i].sizes[1] || !strcmp(image_basename(w.img), "a.raw"));
	}
	end(&w);
}
END_TEST

/* The target of a link need not have the name of a chunk. */
START_TEST(chunks_that_are_links)
{
	char *text = descriptor(RAW, "chunkSize='4096'", LIST("a.raw"));
	struct package_test w;

	begin(&w);
	write_text("x.ovf", text);
	free(text);
	write_file("first", w.disk, 4096);
	write_file("second", w.disk + 4096, 4096);
	ck_assert_int_eq(symlink("first", "a.raw.000000000"), 0);
	ck_assert_int_eq(symlink("second", "a.raw.000000001"), 0);
	opens(&w);
	shows_disk(&w, 0);
	ck_assert_str_eq(image_basename(w.img), "first");
	end(&w);
}
END_TEST

/* If numbered files are images each, the last one is the disk. */
START_TEST(images_of_snapshots)
{
	struct package_test w;

	begin(&w);
	add_descriptor(&w, VMDK, "", LIST("a.vmdk"));
	add_vmdk(&w, "a.vmdk.000000000", "gone.raw");
	add_vmdk(&w, "a.vmdk.000000001", "a.raw");
	add_disk(&w, "a.raw");
	opens(&w);
	shows_disk(&w, 0);
	ck_assert_ptr_nonnull(strstr(warning, "the last one is taken"));
	ck_assert_str_eq(image_basename(w.img), "a.vmdk.000000001");
	end(&w);
}
END_TEST

START_TEST(chunk_size_without_chunks)
{
	struct package_test w;

	begin(&w);
	add_descriptor(&w, RAW, "chunkSize='7516192768'", LIST("a.raw"));
	add_disk(&w, "a.raw");
	opens(&w);
	shows_disk(&w, 0);
	end(&w);
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

	begin(&w);
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
	opens(&w);
	if (packings[_i].code) {
		refuses_disk(&w, 0, packings[_i].code, packings[_i].part);
	} else {
		shows_disk(&w, 0);
	}
	end(&w);
}
END_TEST

/* The manifest. */

#define SHA1_OF_EMPTY "da39a3ee5e6b4b0d3255bfef95601890afd80709"

static void verification_is(struct package_test *w, const char *part)
{
	char *verdict;

	ck_assert_ok(package_verify(w->img, &verdict, &w->e), &w->e);
	if (!part)
		ck_assert_ptr_null(verdict);
	else
		ck_assert_msg(strstr(verdict, part) != NULL, "\"%s\"", verdict);
	free(verdict);
}

START_TEST(results_of_verification)
{
	static const struct {
		const char *manifest, *verdict;
	} cases[] = {
		{NULL, NULL},
		{"", "wrong: d.vmdk: the manifest does not list it"},
		{"SHA1(d.vmdk)= " SHA1_OF_EMPTY, "wrong: d.vmdk: its SHA1 is "},
		{"hello", NULL},
	};
	struct package_test w;

	begin(&w);
	add_descriptor(&w, VMDK, "", LIST("d.vmdk"));
	if (cases[_i].manifest)
		tar_build_file(&w.tar, "x.mf", cases[_i].manifest);
	add_vmdk(&w, "d.vmdk", "flat.raw");
	add_disk(&w, "flat.raw");
	opens(&w);
	ck_assert_int_eq(strstr(warning, "x.mf: line 1") != NULL, _i == 3);
	shows_disk(&w, 0);
	verification_is(&w, cases[_i].verdict);
	end(&w);
}
END_TEST

START_TEST(other_images_are_not_verified)
{
	struct package_test w;

	begin(&w);
	write_file("a.raw", w.disk, sizeof w.disk);
	ck_assert_ok(image_open("a.raw", &w.o, &w.img, &w.e), &w.e);
	verification_is(&w, NULL);
	end(&w);
}
END_TEST

/* Only the descriptor records that the file is a delta. */
START_TEST(delta_by_descriptor_only)
{
	struct package_test w;

	begin(&w);
	tar_build_file(&w.tar, "x.ovf",
		"<Envelope><References><File id='a' href='a.raw'/></References><DiskSection>"
		"<Disk diskId='1' fileRef='a' parentRef='2' format='" RAW
		"'/></DiskSection></Envelope>");
	add_disk(&w, "a.raw");
	opens(&w);
	refuses_disk(&w, 0, ENOTSUP, "based on another disk, \"2\"");
	end(&w);
}
END_TEST

START_TEST(wrong_capacity)
{
	struct package_test w;

	begin(&w);
	tar_build_file(&w.tar, "x.ovf",
		"<Envelope><References><File id='a' href='a.raw'/></References><DiskSection>"
		"<Disk diskId='1' fileRef='a' capacity='4' capacityAllocationUnits='KB' "
		"format='" RAW "'/></DiskSection></Envelope>");
	add_disk(&w, "a.raw");
	opens(&w);
	shows_disk(&w, 0);
	ck_assert_ptr_nonnull(strstr(warning, "the disk has 4096 bytes; it has 8192"));
	end(&w);
}
END_TEST

Suite *package_suite(void)
{
	TCase *tc = tcase_create("package");

	use_temp_dir(tc);
	tcase_add_test(tc, disks_of_an_archive);
	tcase_add_test(tc, files_beside_a_descriptor);
	tcase_add_loop_test(tc, names_in_disks, 0, 11);
	tcase_add_test(tc, unknown_contents);
	tcase_add_test(tc, raw_disk_with_an_image_header);
	tcase_add_test(tc, duplicate_names);
	tcase_add_test(tc, archives_without_one_descriptor);
	tcase_add_test(tc, packages_opened_as_images);
	tcase_add_test(tc, recognition);
	tcase_add_loop_test(tc, chunked, 0, COUNT(chunks));
	tcase_add_test(tc, chunks_that_are_links);
	tcase_add_test(tc, images_of_snapshots);
	tcase_add_test(tc, chunk_size_without_chunks);
	tcase_add_loop_test(tc, compressed, 0, COUNT(packings));
	tcase_add_loop_test(tc, results_of_verification, 0, 4);
	tcase_add_test(tc, other_images_are_not_verified);
	tcase_add_test(tc, delta_by_descriptor_only);
	tcase_add_test(tc, wrong_capacity);
	return suite_of("package", tc);
}
