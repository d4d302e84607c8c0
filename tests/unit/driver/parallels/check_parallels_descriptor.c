/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_parallels_descriptor.c - bundles: storages, snapshots, names, and damage to each.
 *
 * Each test runs in an empty directory, where the bundle is vm.pvm/disk.hdd. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "common/unit.h"
#include "view/view.h"

#define BUNDLE   "vm.pvm/disk.hdd"
#define CLUSTER  4096u
#define CLUSTERS 4u
#define LEN      (CLUSTERS * CLUSTER) /* of a storage */

#define TOP  "{5fbaabe3-6958-40ff-92a7-860e329aab41}"
#define MID  "{11111111-2222-3333-4444-555555555555}"
#define ROOT "{AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee}"
#define NONE "{00000000-0000-0000-0000-000000000000}"

/* An expanding image that has the clusters whose bits are set, filled with the byte fill. */
static void put_image(const char *name, unsigned bits, unsigned char fill, unsigned clusters)
{
	unsigned char file[CLUSTER * (1 + CLUSTERS)] = "WithouFreSpacExt";
	char path[256];
	unsigned n = 0;

	put_le(file + 16, 4, 2);
	put_le(file + 28, 4, CLUSTER / 512);
	put_le(file + 32, 4, clusters);
	put_le(file + 36, 8, clusters * CLUSTER / 512);
	put_le(file + 48, 4, CLUSTER / 512);
	for (unsigned i = 0; i < clusters; i++)
		if (bits >> i & 1) {
			put_le(file + 64 + 4 * i, 4, ++n);
			memset(file + n * CLUSTER, fill, CLUSTER);
		}
	snprintf(path, sizeof path, BUNDLE "/%s", name);
	write_file(path, file, (1 + n) * CLUSTER);
}

static void put_plain(const char *name, unsigned char fill, size_t len)
{
	unsigned char *data = malloc(len + 1);
	char path[256];

	memset(data, fill, len);
	snprintf(path, sizeof path, BUNDLE "/%s", name);
	write_file(path, data, len);
	free(data);
}

/* The parts of a descriptor. */
#define HEAD(sectors)                                                                              \
	"<?xml version='1.0'?>\n<Parallels_disk_image "                                            \
	"Version='1.0'><Disk_Parameters><Disk_size>" sectors                                       \
	"</Disk_size><Padding>0</Padding><Encryption><Engine>" NONE                                \
	"</Engine></Encryption><LogicSectorSize>512</LogicSectorSize></Disk_Parameters>"           \
	"<StorageData>"
#define STORAGE(start, end) "<Storage><Start>" start "</Start><End>" end "</End>"
#define IMAGE(guid, type, file)                                                                    \
	"<Image><GUID>" guid "</GUID><Type>" type "</Type><File>" file "</File></Image>"
#define MIDDLE "</Storage></StorageData><Snapshots>"
#define SNAPSHOT(guid, parent)                                                                     \
	"<Shot><GUID>" guid "</GUID><ParentGUID>" parent "</ParentGUID></Shot>"
#define TAIL "</Snapshots></Parallels_disk_image>"

#define SNAPSHOTS SNAPSHOT(TOP, MID) SNAPSHOT(ROOT, NONE) SNAPSHOT(MID, ROOT)

static void put_descriptor(const char *text)
{
	write_text(BUNDLE "/DiskDescriptor.xml", text);
}

/* Three images: root, plain, filled with r; m in cluster 1; t in clusters 0 and 3. */
static void put_chain_of_three(void)
{
	put_plain("r", 'r', LEN);
	put_image("m", 2, 'm', CLUSTERS);
	put_image("t", 9, 't', CLUSTERS);
	put_descriptor(HEAD("32") STORAGE("0", "32") IMAGE(ROOT, "Plain", "r") IMAGE(
		MID, "Compressed", "m") IMAGE(TOP, "Compressed", "t") MIDDLE SNAPSHOTS TAIL);
}

static char warning[1024];

static void warn(void *arg, const char *text)
{
	(void)arg;
	snprintf(warning, sizeof warning, "%s", text);
}

static struct image_options warned_options(void)
{
	struct image_options o = options_new();

	warning[0] = '\0';
	o.warn = warn;
	return o;
}

/* Each cluster of the view is filled with the letter of its position. */
static void shows(const struct view *v, const char *letters)
{
	unsigned char buf[CLUSTER], expected[CLUSTER];
	struct err e = ERR_INIT;

	ck_assert_uint_eq(v->size, strlen(letters) * CLUSTER);
	for (size_t i = 0; letters[i]; i++) {
		ck_assert_ok(view_read(v, buf, sizeof buf, i * CLUSTER, &e), &e);
		memset(expected, letters[i] == '-' ? 0 : letters[i], sizeof expected);
		ck_assert_mem_eq(buf, expected, sizeof buf);
	}
}

static void opens_as(const char *letters)
{
	struct image_options o = warned_options();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_ok(image_open(BUNDLE, &o, &img, &e), &e);
	ck_assert_str_eq(img->format->name, "parallels");
	shows(img->states[0]->view, letters);
	image_close(img);
	options_free(&o);
}

static void is_refused(int code, const char *part)
{
	struct image_options o = warned_options();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_fails(image_open(BUNDLE, &o, &img, &e), code, &e, part);
	options_free(&o);
}

START_TEST(snapshots_are_states)
{
	struct image_options o = warned_options();
	struct err e = ERR_INIT;
	struct image *img;

	put_chain_of_three();
	ck_assert(image_is_bundle(BUNDLE));
	ck_assert(!image_is_bundle("vm.pvm"));
	ck_assert_ok(image_open(BUNDLE, &o, &img, &e), &e);
	ck_assert_uint_eq(img->nstates, 3);
	shows(img->states[0]->view, "tmrt");
	shows(image_find_state(img, ROOT)->view, "rrrr");
	shows(image_find_state(img, MID)->view, "rmrr");
	ck_assert_ptr_eq(image_find_state(img, "11111111-2222-3333-4444-555555555555"),
		image_find_state(img, MID));
	ck_assert_str_eq(warning, "");
	image_close(img);
	o.nosnapshots = true;
	ck_assert_ok(image_open(BUNDLE "/DiskDescriptor.xml", &o, &img, &e), &e);
	ck_assert_uint_eq(img->nstates, 1);
	shows(img->states[0]->view, "tmrt");
	image_close(img);
	o.format = "parallels";
	ck_assert_ok(image_open(BUNDLE, &o, &img, &e), &e);
	image_close(img);
	o.format = "raw";
	ck_assert_fails(image_open(BUNDLE, &o, &img, &e), EINVAL, &e, "a directory");
	options_free(&o);
}
END_TEST

START_TEST(names_of_snapshots)
{
	struct image_options o = warned_options();
	struct err e = ERR_INIT;
	struct image *img;
	const struct state *s;

	put_chain_of_three();
	write_text("vm.pvm/Snapshots.xml",
		"<ParallelsSavedStates><SavedStateItem guid=''><SavedStateItem "
		"guid='{aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee}'><Name>before</Name>"
		"<DateTime>2021-03-04 05:06:07</DateTime><SavedStateItem guid='" MID
		"'><Name></Name></SavedStateItem></SavedStateItem></SavedStateItem>"
		"</ParallelsSavedStates>");
	ck_assert_ok(image_open(BUNDLE, &o, &img, &e), &e);
	s = image_find_state(img, "before");
	ck_assert_ptr_nonnull(s);
	ck_assert_str_eq(s->id, ROOT);
	ck_assert_int_eq(s->when.tv_sec, 1614834367);
	ck_assert_str_eq(image_find_state(img, MID)->name, "11111111-2222-3333-4444-555555555555");
	image_close(img);
	ck_assert_str_eq(warning, "");
	/* A damaged or foreign file is ignored. */
	write_text("vm.pvm/Snapshots.xml", "<ParallelsSavedStates>");
	ck_assert_ok(image_open(BUNDLE, &o, &img, &e), &e);
	ck_assert_ptr_null(image_find_state(img, "before"));
	ck_assert_ptr_nonnull(strstr(warning, "the names of snapshots cannot be read"));
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(disks_with_several_storages)
{
	put_image("a", 5, 'a', CLUSTERS);
	put_plain("b", 'b', LEN);
	put_image("c", 2, 'c', CLUSTERS);
	put_descriptor(
		HEAD("96") STORAGE("0", "32") IMAGE(TOP, "Compressed", "a") "</Storage>" STORAGE(
			"32", "64") IMAGE(TOP, "Plain", "b") "</Storage>" STORAGE("64", "96")
			IMAGE(TOP, "Compressed", "c") MIDDLE SNAPSHOT(TOP, NONE) TAIL);
	opens_as("a-a-bbbb-c--");
}
END_TEST

/* The disk has grown after a snapshot. */
START_TEST(smaller_parents)
{
	put_image("r", 3, 'r', 2);
	put_image("t", 9, 't', CLUSTERS);
	put_descriptor(HEAD("32") STORAGE("0", "32") IMAGE(ROOT, "Compressed", "r") IMAGE(
		TOP, "Compressed", "t") MIDDLE SNAPSHOT(ROOT, NONE) SNAPSHOT(TOP, ROOT) TAIL);
	opens_as("tr-t");
}
END_TEST

/* A descriptor without snapshots has a single state. */
START_TEST(without_snapshots)
{
	put_image("x", 6, 'x', CLUSTERS);
	put_descriptor(HEAD("32") STORAGE("0", "32") IMAGE(
		MID, "Compressed", "x") "</Storage></StorageData></Parallels_disk_image>");
	opens_as("-xx-");
	put_image("y", 1, 'y', CLUSTERS);
	put_descriptor(HEAD("32") STORAGE("0", "32") IMAGE(MID, "Compressed", "x") IMAGE(
		TOP, "Compressed", "y") "</Storage></StorageData></Parallels_disk_image>");
	opens_as("y---");
}
END_TEST

/* A bundle that was moved: only the last part of a name is used. */
START_TEST(foreign_names)
{
	static const char *const names[] = {"/Users/me/vm.pvm/disk.hdd/x", "C:\\VMs\\disk.hdd\\x",
		"..\\disk.hdd\\x", "/nowhere/x", "./x", "sub/../x"};
	char text[2048];

	put_image("x", 6, 'x', CLUSTERS);
	put_plain("sub/dummy", 0, 1);
	snprintf(text, sizeof text,
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Compressed", "%s")
			MIDDLE SNAPSHOT(TOP, NONE) TAIL,
		names[_i]);
	put_descriptor(text);
	opens_as("-xx-");
}
END_TEST

/* A relative name must not leave the bundle. */
START_TEST(names_outside)
{
	write_file("secret", "secret", 6);
	put_descriptor(HEAD("0") STORAGE("0", "1") IMAGE(TOP, "Plain", "../../secret")
			MIDDLE SNAPSHOT(TOP, NONE) TAIL);
	is_refused(EACCES, "outside the image's directory");
}
END_TEST

static const struct {
	int code;
	const char *part, *text;
} wrong[] = {
	{EINVAL, "Disk_size: \"\" is not a number", HEAD("") STORAGE("0", "32") MIDDLE TAIL},
	{EINVAL, "Disk_size: \"-1\" is not", HEAD("-1") STORAGE("0", "32") MIDDLE TAIL},
	{EINVAL, "Disk_size: \"9x\" is not", HEAD("9x") STORAGE("0", "32") MIDDLE TAIL},
	{EINVAL, "Disk_size: \"99999999999999999999\"",
		HEAD("99999999999999999999") STORAGE("0", "32") MIDDLE TAIL},
	{EFBIG, "Disk_size: 9999999999999999999 sectors",
		HEAD("9999999999999999999") STORAGE("0", "32") MIDDLE TAIL},
	{EINVAL, "the storages end at sector 32, the disk at 33",
		HEAD("33") STORAGE("0", "32") MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "storage 0: sectors 1 to 32, they should begin at 0",
		HEAD("32") STORAGE("1", "32") MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "sectors 0 to 0", HEAD("32") STORAGE("0", "0") MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "sectors 0 to 18446744073709551615",
		HEAD("32") STORAGE("0", "18446744073709551615") MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "storage 1: sectors 16 to 48",
		HEAD("32") STORAGE("0", "32") "</Storage>" STORAGE("16", "48")
			MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "storage 0 has no image for snapshot " TOP,
		HEAD("32") STORAGE("0", "32") IMAGE(MID, "Compressed", "x")
			MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "no snapshot " TOP,
		HEAD("32") STORAGE("0", "32") IMAGE(MID, "Compressed", "x")
			MIDDLE SNAPSHOT(MID, NONE) TAIL},
	{ENOTSUP, "images of type \"Ploop\"",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Ploop", "x") MIDDLE SNAPSHOT(TOP, NONE)
			TAIL},
	{ENOENT, "image \"gone\"",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Plain", "gone") MIDDLE SNAPSHOT(TOP, NONE)
			TAIL},
	{EINVAL, "image has an empty name",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Plain", "") MIDDLE SNAPSHOT(TOP, NONE)
			TAIL},
	{EINVAL, "it has 16384 bytes, 16896 were expected",
		HEAD("32") STORAGE("0", "33") IMAGE(TOP, "Compressed", "x")
			MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "it has 3 bytes, 16384 were expected",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Plain", "short")
			MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "not a Parallels image",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Compressed", "plain")
			MIDDLE SNAPSHOT(TOP, NONE) TAIL},
	{EINVAL, "a plain image on a parent",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Plain", "plain") IMAGE(
			MID, "Compressed", "x") MIDDLE SNAPSHOT(TOP, MID) SNAPSHOT(MID, NONE) TAIL},
	{ELOOP, "the image of more than one snapshot",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Compressed", "x") IMAGE(
			MID, "Compressed", "x") MIDDLE SNAPSHOT(TOP, MID) SNAPSHOT(MID, NONE) TAIL},
	{EINVAL, "its parents loop",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Compressed", "x")
			MIDDLE SNAPSHOT(TOP, MID) SNAPSHOT(MID, TOP) TAIL},
	{EINVAL, "its parent " ROOT " is not listed",
		HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Compressed", "x")
			MIDDLE SNAPSHOT(TOP, ROOT) TAIL},
	{EINVAL, "0 storages",
		"<Parallels_disk_image><Disk_Parameters><Disk_size>0</Disk_size>"
		"</Disk_Parameters></Parallels_disk_image>"},
	{ENOTSUP, "version 2.0", "<Parallels_disk_image Version='2.0'/>"},
	{ENOTSUP, "padded",
		"<Parallels_disk_image><Disk_Parameters><Padding>1</Padding></Disk_Parameters>"
		"</Parallels_disk_image>"},
	{ENOTSUP, "encrypted",
		"<Parallels_disk_image><Disk_Parameters><Encryption><Engine>" MID
		"</Engine></Encryption></Disk_Parameters></Parallels_disk_image>"},
	{ENOTSUP, "encrypted",
		"<Parallels_disk_image><Disk_Parameters><Encryption><KeyId>k</KeyId></Encryption>"
		"</Disk_Parameters></Parallels_disk_image>"},
	{ENOTSUP, "LogicSectorSize: 1024",
		"<Parallels_disk_image><Disk_Parameters><Disk_size>1</Disk_size><LogicSectorSize>"
		"1024</LogicSectorSize></Disk_Parameters></Parallels_disk_image>"},
	{EINVAL, "line 1", "<Parallels_disk_image>"},
	{EINVAL, "not a disk image", "<Parallels_disk>"},
};

START_TEST(wrong_descriptors)
{
	put_image("x", 6, 'x', CLUSTERS);
	put_plain("plain", 'p', LEN);
	put_plain("short", 'p', 3);
	put_descriptor(wrong[_i].text);
	is_refused(wrong[_i].code, wrong[_i].part);
}
END_TEST

/* Damage to other snapshots does not make the current state unreadable. */
START_TEST(broken_snapshots)
{
	struct image_options o = warned_options();
	struct err e = ERR_INIT;
	struct image *img;
	char c;

	put_image("x", 6, 'x', CLUSTERS);
	put_descriptor(HEAD("32") STORAGE("0", "32") IMAGE(TOP, "Compressed", "x")
			IMAGE(MID, "Compressed", "gone") MIDDLE SNAPSHOT(TOP, NONE)
				SNAPSHOT(MID, NONE) SNAPSHOT(ROOT, MID) TAIL);
	ck_assert_ok(image_open(BUNDLE, &o, &img, &e), &e);
	ck_assert_uint_eq(img->nstates, 3);
	shows(img->states[0]->view, "-xx-");
	ck_assert_fails(view_read(image_find_state(img, MID)->view, &c, 1, 0, &e), EIO, &e,
		"image \"gone\"");
	ck_assert_fails(view_read(image_find_state(img, ROOT)->view, &c, 1, 0, &e), EIO, &e,
		"has no image for snapshot");
	image_close(img);
	options_free(&o);
}
END_TEST

/* Warnings for images that were not closed, and for a single image of a bundle. */
START_TEST(warnings)
{
	struct image_options o = warned_options();
	struct err e = ERR_INIT;
	struct image *img;
	FILE *file;

	put_chain_of_three();
	file = fopen(BUNDLE "/m", "r+");
	ck_assert(file && fseek(file, 44, SEEK_SET) == 0 && fputs("Ynot", file) >= 0);
	fclose(file);
	ck_assert_ok(image_open(BUNDLE, &o, &img, &e), &e);
	ck_assert_ptr_nonnull(strstr(warning, "not closed"));
	image_close(img);
	ck_assert_ok(image_open(BUNDLE "/t", &o, &img, &e), &e);
	ck_assert_ptr_nonnull(strstr(warning, "one file of the disk that DiskDescriptor.xml"));
	shows(img->states[0]->view, "t--t");
	image_close(img);
	options_free(&o);
}
END_TEST

Suite *parallels_descriptor_suite(void)
{
	TCase *tc = tcase_create("parallels_descriptor");

	use_temp_dir(tc);
	tcase_add_test(tc, snapshots_are_states);
	tcase_add_test(tc, names_of_snapshots);
	tcase_add_test(tc, disks_with_several_storages);
	tcase_add_test(tc, smaller_parents);
	tcase_add_test(tc, without_snapshots);
	tcase_add_loop_test(tc, foreign_names, 0, 6);
	tcase_add_test(tc, names_outside);
	tcase_add_loop_test(tc, wrong_descriptors, 0, COUNT(wrong));
	tcase_add_test(tc, broken_snapshots);
	tcase_add_test(tc, warnings);
	return suite_of("parallels_descriptor", tc);
}
