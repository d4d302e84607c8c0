/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_parent_search.c - parents that are known by their ID only. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/limits.h"
#include "util/err.h"
#include "open/open.h"
#include "common/unit.h"
#include "build/vdi.h"
#include "view/view.h"

#define BLOCK 4096u

/* Block 0 is allocated in the child, block 1 is zero, blocks 2 and 3 are read from the parent. */
static const uint32_t child_map[] = {0, VDI_ZERO, VDI_FREE, VDI_FREE};
static const uint32_t base_map[] = {3, 2, 1};

static const struct vdi_spec base = {
	.block_size = BLOCK, .map = base_map, .nblocks = 3, .id = 0x10, .change = 0x20};
static const struct vdi_spec child = {.block_size = BLOCK,
	.map = child_map,
	.nblocks = 4,
	.type = 4,
	.id = 0x11,
	.change = 0x21,
	.parent = 0x10,
	.parent_change = 0x20};

/* The UUID of the base, as text. */
#define BASE_ID "10101010-1010-1010-1010-101010101010"

static void put_vdi(const char *name, const struct vdi_spec *spec)
{
	struct memory_image v = vdi_image_make(spec);

	write_file(name, v.file, v.file_len);
	memory_image_free(&v);
}

static void put_base(const char *name)
{
	put_vdi(name, &base);
}

/* A copy of the base with other contents and another modification UUID. */
static void put_stale(const char *name)
{
	static const uint32_t empty[] = {VDI_FREE, VDI_FREE, VDI_FREE};
	struct vdi_spec s = base;

	s.map = empty;
	s.change = 0x2f;
	put_vdi(name, &s);
}

static void put_other_id(const char *name)
{
	struct vdi_spec s = base;

	s.id = 0x66;
	put_vdi(name, &s);
}

static void put_vbox(const char *name, const char *attrs, const char *location)
{
	char text[PATH_MAX + 1024];

	snprintf(text, sizeof text,
		"<VirtualBox xmlns='http://www.virtualbox.org/'><Machine name='m' %s>"
		"<MediaRegistry><HardDisks><HardDisk uuid='{" BASE_ID
		"}' location='%s' format='VDI'/>"
		"</HardDisks></MediaRegistry></Machine></VirtualBox>",
		attrs, location);
	write_text(name, text);
}

static int open_with(const char *name, struct image_options *o, struct image **img, struct err *e)
{
	*img = NULL;
	return image_open(name, o, img, e);
}

/* Asserts that the image shows the child with the base as its parent, and that parent is the file
 * that was opened. */
static void shows_both(const char *name, const char *parent, struct image_options *o)
{
	struct memory_image b = vdi_image_make(&base), c = vdi_image_make(&child);
	unsigned char disk[4 * BLOCK], zeroes[BLOCK] = {0};
	char real[PATH_MAX];
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_ok(open_with(name, o, &img, &e), &e);
	ck_assert_ptr_nonnull(img->parent);
	ck_assert_ptr_nonnull(realpath(parent, real));
	ck_assert_str_eq(img->parent->path, real);
	ck_assert_ok(view_read(img->states[0]->view, disk, sizeof disk, 0, &e), &e);
	ck_assert_mem_eq(disk, c.disk, BLOCK);
	ck_assert_mem_eq(disk + BLOCK, zeroes, BLOCK);
	ck_assert_mem_eq(disk + 2 * BLOCK, b.disk + 2 * BLOCK, BLOCK);
	ck_assert_mem_eq(disk + 3 * BLOCK, zeroes, BLOCK); /* beyond the end of the base */
	image_close(img);
	memory_image_free(&b);
	memory_image_free(&c);
}

static void finds(const char *name, const char *parent)
{
	struct image_options o = options_new();

	shows_both(name, parent, &o);
	options_free(&o);
}

static void fails(const char *name, int code, const char *text, const char *hint)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_fails(open_with(name, &o, &img, &e), code, &e, text);
	ck_assert_msg(
		strstr(hint_of(&e), hint), "\"%s\" does not hint at \"%s\"", hint_of(&e), hint);
	options_free(&o);
}

START_TEST(in_the_same_directory)
{
	put_vdi("child.vdi", &child);
	put_other_id("aa.vdi");
	put_other_id("{" BASE_ID "}.vdi");
	put_base("zz.vdi");
	write_text("broken.vdi", "no image at all");
	write_text("child.vmdk", "# Disk DescriptorFile\n");
	ck_assert_int_eq(mkdir("dir.vdi", 0700), 0);
	finds("child.vdi", "zz.vdi");
	put_base("{" BASE_ID "}.vdi");
	finds("child.vdi", "{" BASE_ID "}.vdi");
}
END_TEST

START_TEST(in_snapshot_folders)
{
	put_vdi("m/Snapshots/child.vdi", &child);
	put_base("m/base.vdi");
	finds("m/Snapshots/child.vdi", "m/base.vdi");
	put_base("m/Snapshots/base.vdi");
	finds("m/Snapshots/child.vdi", "m/Snapshots/base.vdi");
	put_vdi("n/child.vdi", &child);
	put_base("n/Snapshots/x.vdi");
	finds("n/child.vdi", "n/Snapshots/x.vdi");
}
END_TEST

/* The .vbox file in the directory above can give the snapshot folder another name. */
START_TEST(in_a_named_snapshot_folder)
{
	static const char *const good[] = {"Frozen", "./Frozen"};
	static const char *const bad[] = {"Froze", "../Frozen", "/Frozen", "m/Frozen", "x/Frozen"};
	char attrs[64], cwd[PATH_MAX - 64], absolute[PATH_MAX];

	put_vdi("m/Frozen/child.vdi", &child);
	put_base("m/base.vdi");
	fails("m/Frozen/child.vdi", ENOENT, BASE_ID, "-o search=DIR");
	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(attrs, sizeof attrs, "snapshotFolder='%s'", bad[i]);
		put_vbox("m/m.vbox", attrs, "base.vdi");
		fails("m/Frozen/child.vdi", ENOENT, BASE_ID, "-o search=DIR");
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(attrs, sizeof attrs, "snapshotFolder='%s'", good[i]);
		put_vbox("m/m.vbox", attrs, "base.vdi");
		finds("m/Frozen/child.vdi", "m/base.vdi");
	}
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd));
	snprintf(absolute, sizeof absolute, "snapshotFolder='%s/m/Frozen'", cwd);
	put_vbox("m/m.vbox", absolute, "nowhere.vdi");
	finds("m/Frozen/child.vdi", "m/base.vdi");
	/* also from the machine's directory to its snapshot folder */
	put_vdi("m/child.vdi", &child);
	ck_assert_int_eq(rename("m/base.vdi", "m/Frozen/base.vdi"), 0);
	put_vbox("m/m.vbox", "snapshotFolder='Frozen'", "nowhere.vdi");
	finds("m/child.vdi", "m/Frozen/base.vdi");
}
END_TEST

START_TEST(registered)
{
	static const char *const locations[] = {"deep/er/disk.bin", "./deep/er/disk.bin",
		"deep/./er/../er/disk.bin", "C:\\VMs\\m\\disk.bin"};

	put_vdi("m/child.vdi", &child);
	put_stale("m/{" BASE_ID "}.vdi");
	put_base(_i < 3 ? "m/deep/er/disk.bin" : "m/disk.bin");
	write_text("m/a.vbox", "<VirtualBox>");
	put_vbox("m/b.vbox", "", "missing.vdi");
	put_vbox("m/m.vbox", "", locations[_i]);
	finds("m/child.vdi", _i < 3 ? "m/deep/er/disk.bin" : "m/disk.bin");
}
END_TEST

/* The .vbox-prev file is used if the .vbox file is missing or damaged. */
START_TEST(previous_vbox_file)
{
	put_vdi("child.vdi", &child);
	put_base("old/x.bin");
	put_base("new/x.bin");
	put_vbox("m.vbox-prev", "", "old/x.bin");
	finds("child.vdi", "old/x.bin");
	write_text("m.vbox", "<VirtualBox><Machine");
	finds("child.vdi", "old/x.bin");
	put_vbox("m.vbox", "", "new/x.bin");
	finds("child.vdi", "new/x.bin");
	put_vbox("m.vbox", "", "gone.bin");
	fails("child.vdi", ENOENT, BASE_ID, "-o search");
}
END_TEST

START_TEST(stale_copies)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_vdi("child.vdi", &child);
	put_stale("aa.vdi");
	fails("child.vdi", EUCLEAN, "aa.vdi was changed after", "-o ignore_parent_id");
	o.ignore_parent_id = true;
	ck_assert_ok(open_with("child.vdi", &o, &img, &e), &e);
	image_close(img);
	/* a parent that matches is still preferred */
	put_base("zz.vdi");
	shows_both("child.vdi", "zz.vdi", &o);
	finds("child.vdi", "zz.vdi");
	options_free(&o);
}
END_TEST

/* The parent's ID must match even with ignore_parent_id: nothing else identifies it. */
START_TEST(other_ids_are_never_used)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_vdi("child.vdi", &child);
	put_other_id("base.vdi");
	o.ignore_parent_id = true;
	ck_assert_fails(open_with("child.vdi", &o, &img, &e), ENOENT, &e, BASE_ID);
	options_free(&o);
}
END_TEST

START_TEST(in_directories_of_the_user)
{
	const char *dirs[] = {"away", NULL};
	struct image_options o = options_new();

	put_vdi("m/child.vdi", &child);
	put_base("away/x.vdi");
	fails("m/child.vdi", ENOENT, "was not found in", "-o search=DIR");
	o.search = dirs;
	shows_both("m/child.vdi", "away/x.vdi", &o);
	o.search = NULL;
	o.allow = dirs;
	shows_both("m/child.vdi", "away/x.vdi", &o);
	options_free(&o);
}
END_TEST

/* The directory above is searched only from its snapshot folder, and no other directory is. */
START_TEST(outside_of_the_allowed_directories)
{
	put_vdi("m/sub/child.vdi", &child);
	put_base("m/base.vdi");
	fails("m/sub/child.vdi", ENOENT, BASE_ID, "-o search=DIR");
	put_vdi("top/m/Snapshots/child.vdi", &child);
	put_base("top/base.vdi");
	put_base("top/n/base.vdi");
	put_vbox("top/m/m.vbox", "", "../base.vdi");
	fails("top/m/Snapshots/child.vdi", EACCES, "outside the image's directory", "-o allow=/");
	ck_assert_int_eq(symlink("../base.vdi", "top/m/link.vdi"), 0);
	ck_assert_int_eq(symlink("../../n", "top/m/Snapshots/Snapshots"), 0);
	put_vbox("top/m/m.vbox", "", "link.vdi");
	fails("top/m/Snapshots/child.vdi", EACCES, "outside the image's directory", "-o allow=/");
	put_vbox("top/m/m.vbox", "", "missing.vdi");
	fails("top/m/Snapshots/child.vdi", ENOENT, BASE_ID, "-o search=DIR");
	ck_assert_int_eq(symlink("../../top/base.vdi", "top/m/inner.vdi"), 0);
	fails("top/m/Snapshots/child.vdi", ENOENT, BASE_ID, "-o search=DIR");
}
END_TEST

START_TEST(absolute_locations)
{
	char cwd[PATH_MAX - 64], path[PATH_MAX];
	const char *dirs[] = {"away", NULL};
	struct image_options o = options_new();

	ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd));
	put_vdi("m/child.vdi", &child);
	put_base("away/base.bin");
	snprintf(path, sizeof path, "%s/away/base.bin", cwd);
	put_vbox("m/m.vbox", "", path);
	fails("m/child.vdi", EACCES, "away/base.bin\" lies outside", "/away permits it");
	o.allow = dirs;
	shows_both("m/child.vdi", "away/base.bin", &o);
	put_base("m/in.bin");
	snprintf(path, sizeof path, "%s/m/in.bin", cwd);
	put_vbox("m/m.vbox", "", path);
	finds("m/child.vdi", "m/in.bin");
	options_free(&o);
}
END_TEST

/* The directories of the user are searched recursively, but symbolic links are not followed. */
START_TEST(below_directories_of_the_user)
{
	const char *dirs[] = {"away", NULL};
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_vdi("m/child.vdi", &child);
	put_vbox("m/m.vbox", "", "/home/nobody/VMs/base/base.vdi");
	put_other_id("away/x/base.vdi");
	put_base("elsewhere/base.vdi");
	ck_assert_int_eq(symlink("../elsewhere", "away/link"), 0);
	put_base("away/.hidden/base.vdi");
	o.allow = dirs;
	ck_assert_fails(open_with("m/child.vdi", &o, &img, &e), EACCES, &e, "lies outside");
	put_base("away/VMs/base/new name.vdi");
	shows_both("m/child.vdi", "away/VMs/base/new name.vdi", &o);
	o.allow = NULL;
	o.search = dirs;
	shows_both("m/child.vdi", "away/VMs/base/new name.vdi", &o);
	options_free(&o);
}
END_TEST

static void put_raw_base(const char *name)
{
	struct memory_image b = vdi_image_make(&base);

	write_file(name, b.disk, b.disk_len);
	memory_image_free(&b);
}

static void put_raw_vbox(const char *name, const char *location)
{
	char text[PATH_MAX + 1024];

	snprintf(text, sizeof text,
		"<VirtualBox><Machine name='m'><MediaRegistry><HardDisks><HardDisk uuid='{" BASE_ID
		"}' location='%s' "
		"format='RAW'/></HardDisks></MediaRegistry></Machine></VirtualBox>",
		location);
	write_text(name, text);
}

/* A raw disk has no ID, so the registry's entry is sufficient, if the gate allows its name. */
START_TEST(raw_parents)
{
	const char *dirs[] = {"away", NULL};
	struct image_options o = options_new();

	put_vdi("m/child.vdi", &child);
	put_raw_base("m/disk.img");
	fails("m/child.vdi", ENOENT, BASE_ID, "-o search=DIR");
	put_raw_vbox("m/m.vbox", "disk.img");
	finds("m/child.vdi", "m/disk.img");
	put_vdi("m/Snapshots/child.vdi", &child);
	finds("m/Snapshots/child.vdi", "m/disk.img");
	put_raw_vbox("m/m.vbox", "/home/nobody/disk.img");
	fails("m/child.vdi", EACCES, "outside", "-o allow=");
	put_raw_base("away/disk.img");
	o.search = dirs;
	shows_both("m/child.vdi", "away/disk.img", &o);
	options_free(&o);
	/* the .vbox file in the snapshot folder is not used for a child there */
	put_raw_vbox("m/m.vbox", "gone.img");
	put_raw_vbox("m/Snapshots/m.vbox", "../disk.img");
	fails("m/Snapshots/child.vdi", ENOENT, BASE_ID, "-o search=DIR");
}
END_TEST

/* A parent that was found in the machine's directory: its parent is searched there, not above. */
START_TEST(grandparents)
{
	struct vdi_spec middle = child, top = child;
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	middle.id = 0x33;
	middle.change = 0x34;
	top.parent = middle.id;
	top.parent_change = middle.change;
	put_vdi("a/m/Snapshots/top.vdi", &top);
	put_vdi("a/m/middle.vdi", &middle);
	put_base("a/base.vdi");
	fails("a/m/Snapshots/top.vdi", ENOENT, "m/middle.vdi: its parent {" BASE_ID "}",
		"-o search");
	put_base("a/m/Snapshots/base.vdi");
	ck_assert_ok(open_with("a/m/Snapshots/top.vdi", &o, &img, &e), &e);
	ck_assert_uint_eq(image_depth(img), 3);
	image_close(img);
	/* a parent in the snapshot folder: its own parent is searched in the machine's directory */
	ck_assert_int_eq(rename("a/m/middle.vdi", "a/m/Snapshots/middle.vdi"), 0);
	ck_assert_int_eq(rename("a/m/Snapshots/base.vdi", "a/m/base.vdi"), 0);
	ck_assert_ok(open_with("a/m/Snapshots/top.vdi", &o, &img, &e), &e);
	ck_assert_uint_eq(image_depth(img), 3);
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(loops)
{
	struct vdi_spec other = child;

	other.id = child.parent;
	other.parent = child.id;
	other.change = child.parent_change;
	other.parent_change = 0;
	put_vdi("child.vdi", &child);
	put_vdi("other.vdi", &other);
	fails("child.vdi", ELOOP, "loops", "");
	other.parent = other.id;
	put_vdi("other.vdi", &other);
	fails("other.vdi", ELOOP, "loops", "");
}
END_TEST

START_TEST(with_nobacking)
{
	struct image_options o = options_new();
	unsigned char c[BLOCK];
	struct err e = ERR_INIT;
	struct image *img;

	put_vdi("child.vdi", &child);
	o.nobacking = true;
	ck_assert_ok(open_with("child.vdi", &o, &img, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, c, BLOCK, BLOCK, &e), &e);
	ck_assert_fails(
		view_read(img->states[0]->view, c, 1, 2 * BLOCK, &e), EIO, &e, "left closed");
	image_close(img);
	options_free(&o);
}
END_TEST

/* FIFOs are not opened, and a file that is in use is skipped if another one matches. */
START_TEST(fifos_and_images_in_use)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
	int fd;

	put_vdi("child.vdi", &child);
	put_base("aa.vdi");
	put_base("zz.vdi");
	ck_assert_int_eq(mkfifo("fifo.vdi", 0600), 0);
	ck_assert_int_eq(mkfifo("fifo.vbox", 0600), 0);
	ck_assert_int_eq(mkfifo("{" BASE_ID "}.vdi", 0600), 0);
	fd = open("aa.vdi", O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	finds("child.vdi", "zz.vdi");
	ck_assert_int_eq(unlink("zz.vdi"), 0);
	fails("child.vdi", EBUSY, "aa.vdi: in use for writing", "-o share");
	close(fd);
}
END_TEST

/* The largest number of files that are searched, and one more. */
START_TEST(many_files)
{
	struct vdi_spec s = base;
	struct memory_image v;
	char name[32];

	s.id = 0x66;
	v = vdi_image_make(&s);
	put_vdi("m/child.vdi", &child);
	for (int i = 0; i < PARENT_SEARCH_MAX_FILES - 2; i++) {
		snprintf(name, sizeof name, "m/d%05d.vdi", i);
		write_file(name, v.file, 460);
	}
	put_base("m/z.vdi");
	finds("m/child.vdi", "m/z.vdi");
	write_file("m/one-more.vdi", v.file, 460);
	fails("m/child.vdi", ENOENT, "was not found among the first images", "-o search");
	memory_image_free(&v);
}
END_TEST

START_TEST(encrypted)
{
	static const char text[] =
		"<VirtualBox><Machine name='m'><MediaRegistry><HardDisks>"
		"<HardDisk uuid='{" BASE_ID "}' location='base.vdi'>"
		"<HardDisk uuid='{11111111-1111-1111-1111-111111111111}' location='child.vdi'/>"
		"<Property name='CRYPT/KeyId' value='k'/></HardDisk>"
		"</HardDisks></MediaRegistry></Machine></VirtualBox>";

	put_base("m/base.vdi");
	put_vdi("m/child.vdi", &child);
	put_vdi("m/Snapshots/child.vdi", &child);
	put_other_id("m/other.vdi");
	write_text("m/m.vbox", text);
	fails("m/base.vdi", ENOTSUP, "base.vdi: its data is encrypted by VirtualBox", "");
	fails("m/child.vdi", ENOTSUP, "child.vdi: its data is encrypted by VirtualBox", "");
	fails("m/Snapshots/child.vdi", ENOTSUP, "encrypted by VirtualBox", "");
	/* the parent is encrypted, and its child is not registered */
	put_vdi("n/child.vdi", &child);
	put_base("n/Snapshots/base.vdi");
	write_text("n/Snapshots/m.vbox", text);
	fails("n/child.vdi", ENOTSUP, "base.vdi: its data is encrypted by VirtualBox", "");
	put_other_id("n/other.vdi");
	{
		struct image_options o = options_new();
		struct err e = ERR_INIT;
		struct image *img;

		ck_assert_ok(open_with("m/other.vdi", &o, &img, &e), &e);
		image_close(img);
		options_free(&o);
	}
}
END_TEST

static void write_warning(void *arg, const char *text)
{
	(void)arg;
	write_text("told", text);
}

START_TEST(unreadable_descriptions_are_reported)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_base("base.vdi");
	write_text("m.vbox", "<VirtualBox><MachineEncrypted/></VirtualBox>");
	o.warn = write_warning;
	ck_assert_ok(open_with("base.vdi", &o, &img, &e), &e);
	ck_assert_int_eq(access("told", F_OK), 0);
	image_close(img);
	options_free(&o);
}
END_TEST

Suite *parent_search_suite(void)
{
	TCase *tc = tcase_create("parent_search");

	use_temp_dir(tc);
	tcase_add_test(tc, in_the_same_directory);
	tcase_add_test(tc, in_snapshot_folders);
	tcase_add_test(tc, in_a_named_snapshot_folder);
	tcase_add_loop_test(tc, registered, 0, 4);
	tcase_add_test(tc, previous_vbox_file);
	tcase_add_test(tc, stale_copies);
	tcase_add_test(tc, other_ids_are_never_used);
	tcase_add_test(tc, in_directories_of_the_user);
	tcase_add_test(tc, outside_of_the_allowed_directories);
	tcase_add_test(tc, absolute_locations);
	tcase_add_test(tc, below_directories_of_the_user);
	tcase_add_test(tc, raw_parents);
	tcase_add_test(tc, grandparents);
	tcase_add_test(tc, loops);
	tcase_add_test(tc, with_nobacking);
	tcase_add_test(tc, fifos_and_images_in_use);
	tcase_add_test(tc, many_files);
	tcase_add_test(tc, encrypted);
	tcase_add_test(tc, unreadable_descriptions_are_reported);
	return suite_of("parent_search", tc);
}
