/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_folder.c - which files of a directory are shown as images, by names, first bytes and
 * descriptions. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "open/folder.h"
#include "open/folder-read.h"
#include "common/unit.h"
#include "build/vdi.h"

static char top[PATH_MAX];
static const char *const *allowed;

static struct folder *read_dir(const char *name, const struct folder *above)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	char path[PATH_MAX + 300];
	struct folder *f;

	ck_assert_ptr_nonnull(realpath(".", top));
	snprintf(path, sizeof path, "%s%s%s", top, *name ? "/" : "", name);
	o.allow = allowed;
	ck_assert_ok(folder_read(path, &o, above, &f, &e), &e);
	options_free(&o);
	return f;
}

/* Asserts the entries: "name " is an image, "name/ " a folder, "name: " a package. */
static void ck_assert_shows(const char *dir, const char *expected)
{
	static const char *const marks[] = {
		[FOLDER_IMAGE] = " ", [FOLDER_PACKAGE] = ": ", [FOLDER_SUB] = "/ "};
	struct folder *f = read_dir(dir, NULL);
	char text[2000] = "";

	for (size_t i = 0; i < f->n; i++)
		sprintf(text + strlen(text), "%s%s", f->entries[i].name, marks[f->entries[i].kind]);
	ck_assert_str_eq(text, expected);
	folder_unref(f);
}

/* Asserts an entry as "PATH snapshot<parent=PATH ...", with paths relative to the directory. */
static void ck_assert_entry(const struct folder *f, size_t i, const char *expected)
{
	const struct folder_entry *entry = &f->entries[i];
	size_t skip = strlen(f->path) + 1;
	char text[2000];

	sprintf(text, "%s", entry->path + skip);
	for (size_t k = 0; k < entry->nsnapshots; k++)
		sprintf(text + strlen(text), " %s<%zu=%s", entry->snapshots[k].name,
			entry->snapshots[k].parent, entry->snapshots[k].path + skip);
	ck_assert_str_eq(text, expected);
}

START_TEST(images_are_known_by_name)
{
	write_text("a.qcow2", "");
	write_text("b.IMG", "");
	write_text("c.vhdx", "");
	write_text("d.ova", "");
	write_text("e.txt", "text");
	write_text("f", "more text");
	write_text(".hidden.qcow2", "");
	ck_assert_int_eq(mkfifo("pipe.img", 0600), 0);
	ck_assert_int_eq(symlink("a.qcow2", "link.qcow2"), 0);
	ck_assert_int_eq(symlink(".", "loop"), 0);
	ck_assert_shows("", "a.qcow2 b.IMG c.vhdx d.ova: link.qcow2 ");
}
END_TEST

START_TEST(other_files_are_probed)
{
	write_text("overlay.snap1", "QFI\xfb\0\0\0\3");
	write_file("none.snap2", "QFI\xfb\0\0\0\3", 8);
	write_file("x.snap3", "QFI\xfb\0\0\0\3", 3);
	ck_assert_shows("", "none.snap2 overlay.snap1 ");
}
END_TEST

START_TEST(folders_without_images_are_not_shown)
{
	struct folder *f;

	write_text("logs/a.log", "text");
	write_text("deep/er/still/a.raw", "");
	write_text("shallow/er/still/a.txt", "text");
	write_text("bundle.hdd/DiskDescriptor.xml", "<Parallels_disk_image/>");
	ck_assert_int_eq(mkdir("empty", 0700), 0);
	ck_assert_shows("", "bundle.hdd deep/ ");
	ck_assert_shows("deep/er", "still/ ");
	f = read_dir("", NULL);
	ck_assert_uint_eq(f->empty.n, 5);
	folder_unref(f);
}
END_TEST

#define DESCRIPTOR                                                                                 \
	"# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"                     \
	"createType=\"custom\"\n"

START_TEST(extents_are_not_shown)
{
	write_text("flat.vmdk", DESCRIPTOR "RW 8 FLAT \"flat-flat.vmdk\" 0\n");
	write_text("flat-flat.vmdk", "xx");
	write_text("split.vmdk",
		DESCRIPTOR "RW 8 SPARSE \"split-s001.vmdk\"\nRW 8 SPARSE \"odd.img\"\n");
	write_text("split-s001.vmdk", "KDMV");
	write_text("odd.img", "xx");
	write_text("lone-flat.vmdk", "xx");
	ck_assert_shows("", "flat.vmdk lone-flat.vmdk split.vmdk ");
}
END_TEST

/* Writes a qcow2 header with another extension, followed by the name of a data file. */
static void write_qcow2(const char *path, const char *data_file)
{
	unsigned char head[4096] = "QFI\xfb";

	store_be32(head + 4, 3);
	store_be32(head + 20, 16);
	store_be32(head + 76, 4);
	store_be32(head + 100, 112);
	store_be32(head + 112, 0x6803f857);
	store_be32(head + 116, 45);
	store_be32(head + 168, 0x44415441);
	store_be32(head + 172, strlen(data_file));
	memcpy(head + 176, data_file, strlen(data_file));
	write_file(path, head, sizeof head);
}

START_TEST(data_files_are_not_shown)
{
	struct folder *above, *f;

	write_qcow2("a.qcow2", "a.raw");
	write_qcow2("b.qcow2", "./sub/../b.img");
	write_qcow2("c.qcow2", "sub/c.raw");
	write_qcow2("self.qcow2", "self.qcow2");
	write_qcow2("gone.qcow2", "gone.raw");
	write_text("a.raw", "xx");
	write_text("b.img", "xx");
	write_text("sub/c.raw", "xx");
	write_text("sub/lone.raw", "xx");
	ck_assert_shows("", "a.qcow2 b.qcow2 c.qcow2 gone.qcow2 self.qcow2 sub/ ");
	above = read_dir("", NULL);
	f = read_dir("sub", above);
	ck_assert_uint_eq(f->n, 1);
	ck_assert_str_eq(f->entries[0].name, "lone.raw");
	folder_unref(f);
	folder_unref(above);
	ck_assert_int_eq(unlink("a.qcow2"), 0);
	ck_assert_shows("", "a.raw b.qcow2 c.qcow2 gone.qcow2 self.qcow2 sub/ ");
}
END_TEST

/* A header truncated at any byte. */
START_TEST(truncated_headers)
{
	unsigned char head[4096];
	FILE *file;

	write_qcow2("a.qcow2", "a.raw");
	write_text("a.raw", "xx");
	file = fopen("a.qcow2", "rb");
	ck_assert(file && fread(head, 1, sizeof head, file) == sizeof head);
	fclose(file);
	for (size_t n = 0; n <= 176 + 5; n++) {
		write_file("a.qcow2", head, n);
		ck_assert_shows("", n == 176 + 5 ? "a.qcow2 " : "a.qcow2 a.raw ");
	}
}
END_TEST

/* Its embedded descriptor has the name under which it was created. */
START_TEST(renamed_image_hides_no_other)
{
	unsigned char sparse[4096] = "KDMV\1";

	sparse[28] = 1;
	sparse[36] = 2;
	strcpy((char *)sparse + 512, DESCRIPTOR "RW 8 SPARSE \"a.vmdk\"\n");
	write_file("a.vmdk", sparse, sizeof sparse);
	write_file("b.vmdk", sparse, sizeof sparse);
	ck_assert_shows("", "a.vmdk b.vmdk ");
}
END_TEST

START_TEST(vmware_machine_shows_each_disk_once)
{
	struct folder *f;

	write_text("vm.vmx", "scsi0:0.fileName = \"d-000003.vmdk\"\n"
			     "scsi0:1.fileName = \"new.vmdk\"\n");
	write_text("vm.vmsd", "snapshot0.uid = \"1\"\nsnapshot0.displayName = \"one\"\n"
			      "snapshot0.numDisks = \"2\"\n"
			      "snapshot0.disk0.fileName = \"d.vmdk\"\n"
			      "snapshot0.disk1.fileName = \"old.vmdk\"\n"
			      "snapshot1.uid = \"2\"\nsnapshot1.displayName = \"two\"\n"
			      "snapshot1.parent = \"1\"\nsnapshot1.numDisks = \"1\"\n"
			      "snapshot1.disk0.fileName = \"d-000001.vmdk\"\n"
			      "snapshot2.uid = \"3\"\nsnapshot2.displayName = \"bare\"\n"
			      "snapshot2.parent = \"1\"\n"
			      "snapshot3.uid = \"4\"\nsnapshot3.displayName = \"on bare\"\n"
			      "snapshot3.parent = \"3\"\nsnapshot3.numDisks = \"1\"\n"
			      "snapshot3.disk0.fileName = \"/vmfs/elsewhere/d-000002.vmdk\"\n");
	write_text("d.vmdk", DESCRIPTOR "RW 8 FLAT \"d-flat.vmdk\" 0\n");
	write_text("d-flat.vmdk", "xx");
	write_text("d-000001.vmdk", DESCRIPTOR "RW 8 VMFSSPARSE \"d-000001-delta.vmdk\"\n");
	write_text("d-000001-delta.vmdk", "xx");
	write_text("d-000002.vmdk", "xx");
	write_text("d-000003.vmdk", DESCRIPTOR "parentFileNameHint=\"between.vmdk\"\n"
					       "RW 8 VMFSSPARSE \"d-000003-delta.vmdk\"\n");
	write_text("d-000003-delta.vmdk", "xx");
	write_text("between.vmdk", "xx");
	write_text("new.vmdk", "xx");
	write_text("old.vmdk", "xx");
	write_text("stray.vmdk", "xx");
	ck_assert_shows("", "d.vmdk new.vmdk old.vmdk stray.vmdk ");
	f = read_dir("", NULL);
	ck_assert_entry(
		f, 0, "d-000003.vmdk one<0=d.vmdk two<1=d-000001.vmdk on bare<1=d-000002.vmdk");
	ck_assert_entry(f, 1, "new.vmdk");
	ck_assert_entry(f, 2, "old.vmdk one<0=old.vmdk");
	folder_unref(f);
}
END_TEST

#define BASE  "{00000000-0000-0000-0000-000000000001}"
#define CHILD "{00000000-0000-0000-0000-000000000002}"
#define NOW   "{00000000-0000-0000-0000-000000000003}"

#define ATTACHED(id)                                                                               \
	"<StorageControllers><StorageController name='SATA'><AttachedDevice type='HardDisk' "      \
	"port='0'><Image uuid='" id                                                                \
	"'/></AttachedDevice></StorageController></StorageControllers>"

static const char vbox[] =
	"<VirtualBox><Machine name='vm' currentSnapshot='" CHILD "'>"
	"<MediaRegistry><HardDisks>"
	"<HardDisk uuid='" BASE "' location='disk.vdi'><HardDisk uuid='" CHILD
	"' location='Snapshots/" CHILD ".vdi'><HardDisk uuid='" NOW
	"' location='C:\\vm\\Snapshots\\" NOW ".vdi'/></HardDisk></HardDisk>"
	"</HardDisks></MediaRegistry>" ATTACHED(
		NOW) "<Snapshot uuid='" BASE
		     "' name='base' timeStamp='2024-01-02T03:04:05Z'>" ATTACHED(
			     BASE) "<Snapshots><Snapshot uuid='" CHILD
				   "' name='child'>" ATTACHED(
					   CHILD) "</Snapshot></Snapshots></Snapshot></Machine></"
						  "VirtualBox>";

START_TEST(virtualbox_machine_shows_each_disk_once)
{
	struct folder *f, *below;

	write_text("vm/vm.vbox", vbox);
	write_text("vm/disk.vdi", "x");
	write_text("vm/Snapshots/" CHILD ".vdi", "x");
	write_text("vm/Snapshots/" NOW ".vdi", "x");
	ck_assert_shows("", "vm/ ");
	ck_assert_shows("vm", "disk.vdi ");
	f = read_dir("vm", NULL);
	ck_assert_entry(
		f, 0, "Snapshots/" NOW ".vdi base<0=disk.vdi child<1=Snapshots/" CHILD ".vdi");
	ck_assert_int_eq(f->entries[0].snapshots[0].when.tv_sec, 1704164645);
	below = read_dir("vm/Snapshots", f);
	ck_assert_uint_eq(below->n, 0);
	folder_unref(below);
	write_text("vm/Snapshots/stray.vdi", "x");
	below = read_dir("vm/Snapshots", f);
	ck_assert_uint_eq(below->n, 1);
	folder_unref(below);
	folder_unref(f);
	ck_assert_shows("vm", "Snapshots/ disk.vdi ");
}
END_TEST

static void put_vdi(const char *name, unsigned char id)
{
	struct vdi_spec spec = {.id = id};
	struct memory_image v = vdi_image_make(&spec);

	write_file(name, v.file, v.file_len);
	memory_image_free(&v);
}

#define ID(n) "{" n n n n "-" n n "-" n n "-" n n "-" n n n n n n "}"

#define SNAPSHOT_OF(id, name, more)                                                                \
	"<Snapshot uuid='" id "' name='" name "'>" ATTACHED(id) more "</Snapshot>"

/* Registered media are identified by their UUIDs: a missing file is searched for, and one with
 * another UUID is not used. */
START_TEST(media_are_identified_by_uuid)
{
	static const char text[] =
		"<VirtualBox><Machine><MediaRegistry><HardDisks>"
		"<HardDisk uuid='" ID(
			"11") "' location='/home/nobody/disk.vdi'>"
			      "<HardDisk uuid='" ID(
				      "12") "' location='Snapshots/x.vdi'>"
					    "<HardDisk uuid='" ID(
						    "13") "' "
							  "location='Snapshots/y.vdi'/></"
							  "HardDisk></HardDisk>"
							  "</HardDisks></MediaRegistry>" ATTACHED(
								  ID("13")) SNAPSHOT_OF(ID("11"),
								  "one",
								  "<Snapshots>" SNAPSHOT_OF(
									  ID("12"), "two",
									  "") "</Snapshots>") "</"
											      "Mach"
											      "ine>"
											      "</"
											      "Virt"
											      "ualB"
											      "ox>";
	static const char *const away[] = {"away", NULL};
	struct folder *f;

	write_text("vm/vm.vbox", text);
	put_vdi("vm/renamed.vdi", 0x11);
	put_vdi("vm/disk.vdi", 0x99);
	put_vdi("vm/Snapshots/two.vdi", 0x12);
	put_vdi("vm/Snapshots/y.vdi", 0x13);
	ck_assert_shows("vm", "disk.vdi renamed.vdi ");
	f = read_dir("vm", NULL);
	ck_assert_entry(f, 1, "Snapshots/y.vdi one<0=renamed.vdi two<1=Snapshots/two.vdi");
	ck_assert_ptr_null(f->entries[1].snapshots[0].refusal);
	folder_unref(f);
	/* With two candidates none is used, and the file with the wrong UUID is not shown. */
	put_vdi("vm/copy.vdi", 0x11);
	f = read_dir("vm", NULL);
	ck_assert_uint_eq(f->n, 4);
	ck_assert_entry(f, 1, "Snapshots/y.vdi one<0=disk.vdi two<1=Snapshots/two.vdi");
	ck_assert_ptr_nonnull(strstr(f->entries[1].snapshots[0].refusal, "this is another one"));
	ck_assert_ptr_null(f->entries[1].refusal);
	folder_unref(f);
	/* in a directory that the user allows */
	ck_assert_int_eq(unlink("vm/copy.vdi"), 0);
	ck_assert_int_eq(mkdir("away", 0700), 0);
	ck_assert_int_eq(mkdir("away/deep", 0700), 0);
	ck_assert_int_eq(rename("vm/renamed.vdi", "away/deep/new.vdi"), 0);
	allowed = away;
	f = read_dir("vm", NULL);
	ck_assert_uint_eq(f->n, 2);
	ck_assert_ptr_nonnull(strstr(f->entries[1].snapshots[0].path, "/away/deep/new.vdi"));
	allowed = NULL;
	folder_unref(f);
}
END_TEST

/* Before VirtualBox 4, .vbox files had no media registry. */
START_TEST(unregistered_media_are_one_disk)
{
	static const char text[] =
		"<VirtualBox><Machine>" ATTACHED(ID("13")) SNAPSHOT_OF(ID("11"), "one",
			"<Snapshots>" SNAPSHOT_OF(
				ID("12"), "two", "") "</Snapshots>") "</Machine></VirtualBox>";
	struct folder *f;

	write_text("vm.vbox", text);
	put_vdi("any.vdi", 0x11);
	put_vdi("Snapshots/" ID("13") ".vdi", 0x13);
	f = read_dir("", NULL);
	ck_assert_uint_eq(f->n, 1);
	ck_assert_str_eq(f->entries[0].name, "any.vdi");
	ck_assert_entry(f, 0, "Snapshots/" ID("13") ".vdi one<0=any.vdi two<1=" ID("12") ".vdi");
	folder_unref(f);
}
END_TEST

START_TEST(package_hides_its_files)
{
	write_text("p.ovf", "<Envelope><References><File id='f' href='p-disk1.vmdk'/>"
			    "<File id='g' href='c%20d.img' chunkSize='1'/></References>"
			    "<DiskSection><Disk diskId='d' fileRef='f'/></DiskSection></Envelope>");
	write_text("p-disk1.vmdk", "x");
	write_text("c d.img.000000000", "QFI\xfb");
	write_text("c d.img", "x");
	write_text("other.vmdk", "x");
	ck_assert_shows("", "other.vmdk p.ovf: ");
}
END_TEST

START_TEST(unreadable_descriptions_hide_nothing)
{
	write_text("vm.vbox", "<VirtualBox><broken");
	write_text("vm.vmx", "");
	write_text("p.ovf", "nonsense");
	write_text("disk.vdi", "x");
	ck_assert_shows("", "disk.vdi p.ovf: ");
}
END_TEST

/* Names that lead outside of the directory are ignored, whether the file exists or not. */
START_TEST(names_outside_are_ignored)
{
	char outside[PATH_MAX + 100], vmx[PATH_MAX + 200];
	struct folder *f;

	write_text("other/disk.vmdk", "x");
	write_text("vm/disk.vmdk", "x");
	ck_assert_ptr_nonnull(realpath(".", top));
	snprintf(outside, sizeof outside, "%s/other/disk.vmdk", top);
	snprintf(vmx, sizeof vmx, "scsi0:0.fileName = \"%s\"\n", outside);
	write_text("vm/vm.vmx", vmx);
	f = read_dir("vm", NULL);
	ck_assert_uint_eq(f->n, 1);
	ck_assert_entry(f, 0, "disk.vmdk");
	ck_assert_int_eq(unlink("vm/disk.vmdk"), 0);
	folder_unref(f);
	f = read_dir("vm", NULL);
	ck_assert_str_eq(f->entries[0].path, outside);
	ck_assert(f->entries[0].described);
	folder_unref(f);
}
END_TEST

START_TEST(entries_are_compared)
{
	struct folder *a, *b;

	write_text("vm/vm.vbox", vbox);
	a = read_dir("vm", NULL);
	b = read_dir("vm", NULL);
	ck_assert(folder_entry_is_same(&a->entries[0], &b->entries[0]));
	b->entries[0].snapshots[1].parent = 0;
	ck_assert(!folder_entry_is_same(&a->entries[0], &b->entries[0]));
	folder_unref(a);
	folder_unref(b);
}
END_TEST

Suite *folder_suite(void)
{
	TCase *tc = tcase_create("folder");

	use_temp_dir(tc);
	tcase_add_test(tc, images_are_known_by_name);
	tcase_add_test(tc, other_files_are_probed);
	tcase_add_test(tc, folders_without_images_are_not_shown);
	tcase_add_test(tc, extents_are_not_shown);
	tcase_add_test(tc, data_files_are_not_shown);
	tcase_add_test(tc, truncated_headers);
	tcase_add_test(tc, renamed_image_hides_no_other);
	tcase_add_test(tc, vmware_machine_shows_each_disk_once);
	tcase_add_test(tc, virtualbox_machine_shows_each_disk_once);
	tcase_add_test(tc, media_are_identified_by_uuid);
	tcase_add_test(tc, unregistered_media_are_one_disk);
	tcase_add_test(tc, package_hides_its_files);
	tcase_add_test(tc, unreadable_descriptions_hide_nothing);
	tcase_add_test(tc, names_outside_are_ignored);
	tcase_add_test(tc, entries_are_compared);
	return suite_of("folder", tc);
}
