/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "open/open.h"
#include "io/io.h"
#include "open/package.h"
#include "open/probe.h"
#include "common/unit.h"
#include "view/view.h"
#include "package_test.h"

START_TEST(disks_of_an_archive)
{
	struct package_test w;

	package_test_begin(&w);
	add_disk(&w, "b c.raw");
	add_descriptor(&w, RAW, "", LIST("a.raw", "b%20c.raw", "none.raw", "http://h/d.raw"));
	add_disk(&w, "./a.raw");
	tar_build_end(&w.tar);
	package_test_opens(&w);
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
	package_test_end(&w);
}
END_TEST

START_TEST(files_beside_a_descriptor)
{
	struct package_test w;
	char *text = package_test_descriptor(
		RAW, "", LIST("a.raw", "../secret", "/etc/passwd", "sub/b.raw"));

	package_test_begin(&w);
	write_text("vm/x.ovf", text);
	free(text);
	write_file("vm/a.raw", w.disk, sizeof w.disk);
	write_file("vm/sub/b.raw", w.disk, sizeof w.disk);
	write_file("secret", w.disk, sizeof w.disk);
	ck_assert_int_eq(chdir("vm"), 0);
	package_test_opens(&w);
	shows_disk(&w, 0);
	ck_assert_str_eq(strrchr(w.img->path, '/'), "/a.raw");
	image_close(w.img);
	refuses_disk(&w, 1, EACCES, "outside");
	refuses_disk(&w, 2, EACCES, "outside");
	shows_disk(&w, 3);
	package_test_end(&w);
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

	package_test_begin(&w);
	write_file("beside.raw", w.disk, sizeof w.disk);
	add_descriptor(&w, VMDK, "", LIST(cases[_i].name));
	add_vmdk(&w, cases[_i].name, cases[_i].extent);
	add_disk(&w, "flat.raw");
	add_disk(&w, "sub/flat.raw");
	package_test_opens(&w);
	if (cases[_i].code)
		refuses_disk(&w, 0, cases[_i].code, "x.ova:");
	else
		shows_disk(&w, 0);
	package_test_end(&w);
}
END_TEST

/* A file of unknown contents is opened as raw only if the descriptor or the user asks for it. */
START_TEST(unknown_contents)
{
	struct package_test w;

	package_test_begin(&w);
	add_descriptor(&w, VMDK, "", LIST("a.disk1"));
	add_disk(&w, "a.disk1");
	package_test_opens(&w);
	refuses_disk(&w, 0, EINVAL, "not a disk image");
	w.o.format = "raw";
	shows_disk(&w, 0);
	package_test_end(&w);
}
END_TEST

/* A guest can write an image header to a raw disk, which must not name files. */
START_TEST(raw_disk_with_an_image_header)
{
	struct package_test w;

	package_test_begin(&w);
	add_descriptor(&w, RAW, "", LIST("a.raw"));
	add_vmdk(&w, "a.raw", "flat.raw");
	add_disk(&w, "flat.raw");
	package_test_opens(&w);
	refuses_disk(&w, 0, EACCES, "whose format nobody recorded");
	package_test_end(&w);
}
END_TEST

START_TEST(duplicate_names)
{
	struct package_test w;

	package_test_begin(&w);
	add_descriptor(&w, RAW, "", LIST("a.raw"));
	add_disk(&w, "a.raw");
	tar_build_file(&w.tar, "a.raw", "another");
	add_descriptor(&w, RAW, "", LIST("b.raw"));
	package_test_opens(&w);
	shows_disk(&w, 0);
	ck_assert_ptr_nonnull(strstr(warning, "several members are called \"a.raw\""));
	package_test_end(&w);
}
END_TEST

START_TEST(archives_without_one_descriptor)
{
	struct package_test w;

	package_test_begin(&w);
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
	package_test_end(&w);
}
END_TEST

/* image_open opens a package with a single disk as that disk. */
START_TEST(packages_opened_as_images)
{
	struct package_test w;

	package_test_begin(&w);
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
	add_disk(&w, "b.raw");
	tar_build_write(&w.tar, "y");
	w.o.disk = "b.raw";
	ck_assert_ok(image_open("y", &w.o, &w.img, &w.e), &w.e);
	ck_assert_str_eq(image_basename(w.img), "b.raw");
	image_close(w.img);
	w.o.disk = "c.raw";
	ck_assert_fails(image_open("y", &w.o, &w.img, &w.e), ENOENT, &w.e,
		"y: it has no disk \"c.raw\"; there are a.raw, b.raw");
	write_text("r.raw", "0123456789abcdef");
	ck_assert_fails(image_open("r.raw", &w.o, &w.img, &w.e), EINVAL, &w.e, "it is one disk");
	w.o.disk = NULL;
	write_text("z.ovf", "<Envelope/>");
	ck_assert_fails(image_open("z.ovf", &w.o, &w.img, &w.e), EINVAL, &w.e, "it has no disk");
	w.img = NULL;
	package_test_end(&w);
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

	package_test_begin(&w);
	add_descriptor(&w, VMDK, "", LIST("d.vmdk"));
	if (cases[_i].manifest)
		tar_build_file(&w.tar, "x.mf", cases[_i].manifest);
	add_vmdk(&w, "d.vmdk", "flat.raw");
	add_disk(&w, "flat.raw");
	package_test_opens(&w);
	ck_assert_int_eq(strstr(warning, "x.mf: line 1") != NULL, _i == 3);
	shows_disk(&w, 0);
	verification_is(&w, cases[_i].verdict);
	package_test_end(&w);
}
END_TEST

START_TEST(other_images_are_not_verified)
{
	struct package_test w;

	package_test_begin(&w);
	write_file("a.raw", w.disk, sizeof w.disk);
	ck_assert_ok(image_open("a.raw", &w.o, &w.img, &w.e), &w.e);
	verification_is(&w, NULL);
	package_test_end(&w);
}
END_TEST

/* Only the descriptor records that the file is a delta. */
START_TEST(delta_by_descriptor_only)
{
	struct package_test w;

	package_test_begin(&w);
	tar_build_file(&w.tar, "x.ovf",
		"<Envelope><References><File id='a' href='a.raw'/></References><DiskSection>"
		"<Disk diskId='1' fileRef='a' parentRef='2' format='" RAW
		"'/></DiskSection></Envelope>");
	add_disk(&w, "a.raw");
	package_test_opens(&w);
	refuses_disk(&w, 0, ENOTSUP, "based on another disk, \"2\"");
	package_test_end(&w);
}
END_TEST

START_TEST(wrong_capacity)
{
	struct package_test w;

	package_test_begin(&w);
	tar_build_file(&w.tar, "x.ovf",
		"<Envelope><References><File id='a' href='a.raw'/></References><DiskSection>"
		"<Disk diskId='1' fileRef='a' capacity='4' capacityAllocationUnits='KB' "
		"format='" RAW "'/></DiskSection></Envelope>");
	add_disk(&w, "a.raw");
	package_test_opens(&w);
	shows_disk(&w, 0);
	ck_assert_ptr_nonnull(strstr(warning, "the disk has 4096 bytes; it has 8192"));
	package_test_end(&w);
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
	tcase_add_loop_test(tc, results_of_verification, 0, 4);
	tcase_add_test(tc, other_images_are_not_verified);
	tcase_add_test(tc, delta_by_descriptor_only);
	tcase_add_test(tc, wrong_capacity);
	return suite_of("package", tc);
}
