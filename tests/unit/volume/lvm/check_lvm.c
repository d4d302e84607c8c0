/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_lvm.c - labels, metadata areas and groups of LVM2, valid and hostile; check_lvm_segments.c
 * tests the layouts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "common/unit.h"
#include "lvm_disk.h"

#define ROOT LVM_LV("root", "R", "2", "striped", LVM_LINEAR("pv0", "3"))
#define SWAP LVM_LV("swap", "S", "1", "striped", LVM_LINEAR("pv1", "0"))

static void check_bytes(const char *name, size_t ndisks, size_t i, uint64_t off, size_t len)
{
	struct view *v = lvm_view(name, ndisks);
	unsigned char *buf = malloc(len);

	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(v->size, len);
	ck_assert_ok(view_read(v, buf, len, 0, &lvm.error), &lvm.error);
	for (size_t k = 0; k < len; k++)
		ck_assert_uint_eq(buf[k], lvm_byte(i, off + k));
	free(buf);
	view_free(v);
}

static void check_root(size_t ndisks)
{
	check_bytes("vg/root", ndisks, 0, 3 * LVM_EXTENT, 2 * LVM_EXTENT);
}

START_TEST(group)
{
	const struct volume *v;

	lvm_read_text(2, lvm_text(1, 2, ROOT SWAP));
	ck_assert_uint_eq(lvm.set->nvolumes, 2);
	v = lvm_volume("vg-root");
	ck_assert_str_eq(v->path, "vg/root");
	ck_assert_str_eq(v->kind, "lvm");
	ck_assert_str_eq(v->layout, "linear");
	ck_assert_str_eq(v->uuid, "R00000-0000-0000-0000-0000-0000-000000");
	ck_assert_uint_eq(v->size, 2 * LVM_EXTENT);
	ck_assert_ptr_null(v->no_writing);
	ck_assert_uint_eq(v->nmembers, 1);
	ck_assert_str_eq(v->members[0]->id, "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa");
	ck_assert_str_eq(v->members[0]->group, "vvvvvv-vvvv-vvvv-vvvv-vvvv-vvvv-vvvvvv");
	ck_assert_str_eq(v->members[0]->label, "vg");
	ck_assert_str_eq(v->members[0]->type, "LVM2_member");
	check_root(2);
	check_bytes("vg/swap", 2, 1, 0, LVM_EXTENT);
}
END_TEST

START_TEST(no_group)
{
	lvm_read(1);
	ck_assert_uint_eq(lvm.set->nvolumes, 0);
	ck_assert_str_eq(lvm.set->devices[0]->type, "LVM2_member");
	lvm_read_text(1, lvm_text(1, 1, ""));
	ck_assert_uint_eq(lvm.set->nvolumes, 0);
}
END_TEST

/* Labels. */

START_TEST(label_in_each_sector)
{
	unsigned char *p = lvm.disks[0]->bytes;

	for (size_t i = 0; i < 4; i++) {
		memmove(p + i * 512, p + (i ? i - 1 : 1) * 512, 512);
		memset(p + (i ? i - 1 : 1) * 512, 0, 512);
		put_le(p + i * 512 + 8, 8, i);
		put_le(p + i * 512 + 16, 4, lvm_disk_crc(p + i * 512 + 20, 492));
		lvm_read_text(1, lvm_text(1, 1, ROOT));
		check_root(1);
	}
	memmove(p + 4 * 512, p + 3 * 512, 512);
	memset(p + 3 * 512, 0, 512);
	lvm_read(1);
	ck_assert_uint_eq(lvm.set->nvolumes, 0);
	ck_assert_ptr_null(lvm.set->devices[0]->type);
}
END_TEST

START_TEST(label_of_other_kind)
{
	memcpy(lvm.disks[0]->bytes + 512 + 24, "LVM1 001", 8);
	lvm_disk_seal_label(lvm.disks[0]);
	lvm_read_text(1, lvm_text(1, 1, ROOT));
	ck_assert_ptr_null(lvm.set->devices[0]->type);
}
END_TEST

static const struct field_case label_fields[] = {
	{8, 8, 2, 0, "a wrong checksum or number"},
	{20, 4, 31, 0, "no valid physical volume"},
	{20, 4, 480, 0, "no valid physical volume"},
	{20, 4, UINT32_MAX, 0, "no valid physical volume"},
	{32, 1, '-', 0, "no valid physical volume"},
	{33, 1, '\n', 0, "no valid physical volume"},
	{63, 1, 0, 0, "no valid physical volume"},
};

START_TEST(label_field)
{
	const struct field_case *c = &label_fields[_i];

	put_le(lvm.disks[0]->bytes + 512 + c->pos, c->width, c->value);
	lvm_disk_seal_label(lvm.disks[0]);
	lvm_read_text(1, lvm_text(1, 1, ROOT));
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	lvm_refused("lvm-the-disk", c->text);
}
END_TEST

START_TEST(label_checksum)
{
	lvm.disks[0]->bytes[512 + 500] ^= 1;
	lvm_read_text(1, lvm_text(1, 1, ROOT));
	lvm_refused("lvm-the-disk", "a wrong checksum or number");
}
END_TEST

START_TEST(label_without_end)
{
	unsigned char *p = lvm.disks[0]->bytes + 512;

	for (size_t i = 72; i + 16 <= 512; i += 16)
		put_le(p + i, 8, LVM_START);
	lvm_disk_seal_label(lvm.disks[0]);
	lvm_read(1);
	lvm_refused("lvm-the-disk", "without an end");
	memset(p + 488 - 16, 0, 16); /* of the list of data areas alone */
	lvm_disk_seal_label(lvm.disks[0]);
	lvm_read(1);
	lvm_refused("lvm-the-disk", "without an end");
}
END_TEST

START_TEST(tiny_devices)
{
	lvm_read_text(1, lvm_text(1, 1, ROOT));
	for (uint64_t size = 0; size < LVM_AREA + 2048; size += 255) {
		lvm.disks[0]->view.size = size;
		lvm_read(1);
		ck_assert_uint_eq(lvm.set->nvolumes, size >= 1024);
	}
}
END_TEST

/* Metadata areas. */

static const struct field_case area_fields[] = {
	{4, 1, 'x', 0, "wrong magic"},
	{20, 4, 2, 0, "version"},
	{24, 8, 8192, 0, "its header is that of"},
	{32, 8, 512, 0, "its header is that of"},
	{32, 8, UINT64_MAX, 0, "passes the end"},
	{32, 8, LVM_DISK - LVM_AREA + 1, 0, "passes the end"},
	{40, 8, 511, 0, "is not in"},
	{40, 8, LVM_AREA_LEN, 0, "is not in"},
	{40, 8, UINT64_MAX, 0, "is not in"},
	{48, 8, 0, 0, "is not in"},
	{48, 8, LVM_AREA_LEN - 511, 0, "is not in"},
	{48, 8, UINT64_MAX, 0, "is not in"},
	{48, 8, 100, 0, "wrong checksum"},
	{56, 4, 0, 0, "wrong checksum"},
};

START_TEST(area_field)
{
	const struct field_case *c = &area_fields[_i];

	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(1, 1, ROOT));
	put_le(lvm.disks[0]->bytes + LVM_AREA + c->pos, c->width, c->value);
	lvm_disk_seal_area(lvm.disks[0]);
	lvm_read(1);
	lvm_refused("lvm-aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa", c->text);
}
END_TEST

START_TEST(area_checksum)
{
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(1, 1, ROOT));
	lvm.disks[0]->bytes[LVM_AREA + 511] ^= 1;
	lvm_read(1);
	lvm_refused(
		"lvm-aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa", "wrong magic, version or checksum");
}
END_TEST

START_TEST(area_elsewhere)
{
	put_le(lvm.disks[0]->bytes + 512 + 104, 8, UINT64_MAX);
	lvm_disk_seal_label(lvm.disks[0]);
	lvm_read(1);
	lvm_refused("lvm-aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa", "it passes the end");
}
END_TEST

START_TEST(text_too_long)
{
	lvm.disks[0]->view.size = (uint64_t)1 << 40;
	put_le(lvm.disks[0]->bytes + LVM_AREA + 32, 8, (uint64_t)1 << 32);
	put_le(lvm.disks[0]->bytes + LVM_AREA + 40, 8, 512);
	put_le(lvm.disks[0]->bytes + LVM_AREA + 48, 8, LVM_MAX_TEXT + 1);
	lvm_disk_seal_area(lvm.disks[0]);
	lvm_read(1);
	lvm_refused("lvm-aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa", "more than 8388608");
}
END_TEST

START_TEST(ring)
{
	const char *text = lvm_text(7, 1, ROOT);

	for (size_t pos = LVM_AREA_LEN - 1; pos > LVM_AREA_LEN - 40; pos--) {
		lvm_disk_put_text(lvm.disks[0], pos, text);
		lvm_read(1);
		check_root(1);
	}
}
END_TEST

START_TEST(area_ignored)
{
	/* An area that is set aside has no say, even with a newer text. */
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(2, 2, SWAP));
	put_le(lvm.disks[0]->bytes + LVM_AREA + 60, 4, 1);
	lvm_disk_seal_area(lvm.disks[0]);
	lvm_disk_put_text(lvm.disks[1], 512, lvm_text(1, 2, ROOT));
	lvm_read(2);
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	check_root(2);
	ck_assert_str_eq(lvm.set->devices[0]->label, "vg");
	ck_assert_str_eq(lvm.set->devices[0]->group, lvm.set->devices[1]->group);
}
END_TEST

START_TEST(second_area)
{
	unsigned char *p = lvm.disks[0]->bytes;
	uint64_t second = LVM_DISK - LVM_AREA_LEN;

	/* The second area has the newer text; the first one is damaged then. */
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(2, 1, ROOT));
	memcpy(p + second, p + LVM_AREA, LVM_AREA_LEN);
	put_le(p + second + 24, 8, second);
	put_le(p + second, 4, lvm_disk_crc(p + second + 4, 508));
	put_le(p + 512 + 120, 8, second);
	put_le(p + 512 + 128, 8, LVM_AREA_LEN);
	put_le(p + 512 + 152, 4, 2); /* the extension is after the list */
	lvm_disk_seal_label(lvm.disks[0]);
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(1, 1, ""));
	lvm_read(1);
	check_root(1);
	p[LVM_AREA + 600] ^= 1;
	lvm_read(1);
	check_root(1);
	/* The first one is newer. */
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(3, 2, SWAP));
	lvm_read(1);
	lvm_refused("vg-swap", "is missing");
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	/* The same seqno with another text */
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(2, 1, ""));
	lvm_read(1);
	lvm_refused("vg", "the metadata areas of the disk disagree");
}
END_TEST

/* Groups. */

START_TEST(older_metadata)
{
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(4, 2, SWAP));
	lvm_disk_put_text(lvm.disks[1], 512, lvm_text(5, 2, ROOT));
	lvm_read(2);
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	check_root(2);
}
END_TEST

START_TEST(disagreement)
{
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(5, 2, SWAP));
	lvm_disk_put_text(lvm.disks[1], 512, lvm_text(5, 2, ROOT));
	lvm_read(2);
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	lvm_refused("vg", "disk 1 and on disk 2 disagree, with the same seqno 5");
}
END_TEST

START_TEST(unknown_member)
{
	/* The newest metadata does not have the second one any more. */
	lvm_disk_put_text(lvm.disks[1], 512, lvm_text(4, 2, SWAP));
	lvm_disk_put_text(lvm.disks[0], 512, lvm_text(5, 1, ROOT));
	lvm_read(2);
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	check_root(2);
}
END_TEST

START_TEST(missing_device)
{
	lvm_read_text(1, lvm_text(1, 2, ROOT SWAP));
	ck_assert_uint_eq(lvm.set->nvolumes, 2);
	check_root(1);
	lvm_refused("vg-swap",
		"physical volume bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb (/dev/sdb) is missing");
}
END_TEST

/* Puts a group on each disk that misses all others. */
static void put_incomplete_groups(void)
{
	char text[LVM_AREA_LEN], *id;

	for (size_t i = 0; i < LVM_DISKS; i++) {
		snprintf(text, sizeof text, "%s",
			lvm_text(1, LVM_DISKS,
				LVM_LV("lv", "L", "1", "striped", LVM_LINEAR("pv0", "0"))));
		id = strstr(text, "vvvvvv");
		ck_assert_ptr_nonnull(id);
		for (size_t k = 0; k < 38; k++)
			if (id[k] == 'v')
				id[k] = (char)('A' + i);
		lvm_disk_put_text(lvm.disks[i], 512, text);
	}
}

/* A group is read again when a member is found, not when another group has to do without. */
START_TEST(many_incomplete_groups)
{
	put_incomplete_groups();
	lvm_read(LVM_DISKS);
	ck_assert_uint_eq(lvm.set->nvolumes, LVM_DISKS);
	ck_assert_uint_gt(lvm.disks[1]->looks, 0);
	ck_assert_uint_eq(lvm.disks[LVM_DISKS - 1]->looks, lvm.disks[1]->looks);
}
END_TEST

START_TEST(missing_once)
{
	char *text = strdup(lvm_text(1, 2, ROOT SWAP)), *flag;

	flag = strstr(strstr(text, "pv1 {"), "[\"ALLOCATABLE\"]");
	memcpy(flag, "[\"MISSING\"    ]", 15);
	lvm_read_text(2, text);
	free(text);
	check_root(2);
	lvm_refused("vg-swap", "was missing once");
}
END_TEST

START_TEST(twice)
{
	memset(lvm.disks[2]->bytes + 544, 'b', 32);
	lvm_disk_seal_label(lvm.disks[2]);
	lvm_read_text(3, lvm_text(1, 2, ROOT SWAP));
	check_root(3);
	lvm_refused("vg-swap", "is there twice, on disk 2 and on disk 3");
}
END_TEST

START_TEST(short_device)
{
	lvm_read_text(1, lvm_text(1, 1, ROOT));
	lvm.disks[0]->view.size = LVM_START + 5 * LVM_EXTENT - 1;
	lvm_read(1);
	lvm_refused("vg-root", "the disk, ends at 106495, before 106496");
}
END_TEST

/* Texts. */

struct text_case {
	const char *from, *to, *name, *error;
};

#define DAMAGED "lvm-aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"

static const struct text_case text_cases[] = {
	{"Text Format", "text format", DAMAGED, "not a volume group of version 1"},
	{"version = 1", "version = 2", DAMAGED, "not a volume group of version 1"},
	{"vg {", "v/g {", DAMAGED, "no valid name of a volume group"},
	{"vg {", "-vg {", DAMAGED, "no valid name"},
	{"vg {", "\".\" {", DAMAGED, "no valid name"},
	{"vg {", "\"..\" {", DAMAGED, "no valid name"},
	{"vg {", "\"\" {", DAMAGED, "no valid name"},
	{"vg {", "\"v\x01g\" {", DAMAGED, "no valid name"},
	{"vg {", "\"v\xc3\xa4\" {", DAMAGED, "no valid name"},
	{"vg {", "vg }", DAMAGED, "line 1"},
	{"\"vvvvvv", "\"vvvvv", DAMAGED, "no group with an id"},
	{"\"vvvvvv", "\"vvvvvvv", DAMAGED, "no group with an id"},
	{"\"vvvvvv", "\"vvvvv/", DAMAGED, "no group with an id"},
	{"seqno = 1", "seqno = -1", DAMAGED, "a seqno"},
	{"\"lvm2\"", "\"lvm1\"", "vg", "format lvm1"},
	{"\"RESIZEABLE\"", "\"SPARSE\"", "vg", "unknown flag, SPARSE"},
	{"extent_size = 16", "extent_size = 0", "vg", "no extent size"},
	{"extent_size = 16", "extent_size = 4294967296", "vg", "no extent size"},
	{"physical_volumes", "physical", "vg", "no physical volumes"},
	{"\"ALLOCATABLE\"", "\"WEIRD\"", "vg", "unknown flag, WEIRD"},
	{"pe_start = 128", "pe_start = -128", "vg", "no start"},
	{"pe_start = 128", "pe_start = 18014398509481984", "vg", "no start"},
	{"pe_count = 24", "pe_count = 4294967296", "vg", "no valid number"},
	{"id = \"aaaaaa", "id = \"aaaaa", "vg", "physical volume pv0: it has no id"},
	{"pv1 {", "pv0 {", "vg", "two physical volumes are called pv0"},
	{"swap {", "root {", "vg", "two logical volumes are called root"},
	{"root {", "r/oot {", "vg", "no valid name of a logical volume"},
	{"root {", "-root {", "vg", "no valid name of a logical volume"},
	{"id = \"R00000", "id = \"R0000", "vg", "volume root: it has no id"},
	{"start_extent = 0", "start_extent = 1", "vg", "begins at 1 instead of 0"},
	{"extent_count = 2", "extent_count = 0", "vg", "a segment of 0 extents"},
	{"extent_count = 2", "extent_count = 4294967296", "vg", "out of range"},
	{"extent_count = 2", "extent_count = \"2\"", "vg", "out of range"},
	{"type = \"striped\"", "type = 5", "vg", "its type is not given"},
	{"segment1 {", "segment1 = [1] x {", "vg-root", NULL},
	{"extent_count = 2", "extent_count = 22", "vg-root", "22 extents at 3 pass the end"},
	{"\"pv0\", 3", "\"pv0\", 23", "vg-root", "2 extents at 23 pass the end"},
	{"\"pv0\", 3", "\"pv0\", 4294967295", "vg-root", "pass the end"},
	{"\"pv0\", 3", "\"pv0\", -1", "vg-root", "no name with an extent"},
	{"\"pv0\", 3", "3, \"pv0\"", "vg-root", "no name with an extent"},
	{"\"pv0\", 3", "\"pv0\"", "vg-root", "1 values in stripes for 1 areas"},
	{"\"pv0\", 3", "\"pv9\", 3", "vg-root", "the group has no volume pv9"},
	{"\"pv0\", 3", "\"root\", 0", "vg-root", "of itself"},
	{"stripes =", "strides =", "vg-root", "0 values in stripes for 1 areas"},
	{"stripe_count = 1", "stripe_count = 0", "vg-root", "not from 1 to 2"},
	{"stripe_count = 1", "stripe_count = 4294967295", "vg-root", "not from 1 to 2"},
	{"stripe_count = 1", "stripe_count = 2\nstripe_size = 3", "vg-root", "not a multiple"},
	{"stripe_count = 1", "stripe_count = 2\nstripe_size = 0", "vg-root", "not from 1"},
	{"\"VISIBLE\"", "\"VISIBLE\", \"NEW\"", "vg-root", "unknown flag, NEW"},
	{"\"VISIBLE\"", "\"VISIBLE\", \"PVMOVE\"", "vg-root", "being moved (PVMOVE)"},
	{"type = \"striped\"", "type = \"magic\"", "vg-root", "type magic are not known"},
	{"type = \"striped\"", "type = \"cache\"", "vg-root", "in the cache"},
	{"type = \"striped\"", "type = \"vdo\"", "vg-root", "compressed"},
	{"type = \"striped\"", "type = \"raid5+RESHAPE\"", "vg-root", "being reshaped"},
	{"type = \"striped\"", "type = \"raid7\"", "vg-root", "type raid7 are not known"},
};

static char *replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out;

	ck_assert_ptr_nonnull(at);
	ck_assert_int_ge(
		asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)), 0);
	return out;
}

START_TEST(text_case)
{
	const struct text_case *c = &text_cases[_i];
	char *text = replaced(lvm_text(1, 2, ROOT SWAP), c->from, c->to);

	lvm_disk_put_text(lvm.disks[0], 512, text);
	lvm_read(1);
	free(text);
	if (c->error)
		lvm_refused(c->name, c->error);
	else
		check_root(1);
}
END_TEST

START_TEST(long_names)
{
	char name[65536 + 8], *text;

	memset(name, 'n', sizeof name);
	memcpy(name + sizeof name - 3, " {", 3);
	name[20000 - 3] = '\0'; /* what the area has space for */
	strcat(name, " {");
	text = replaced(lvm_text(1, 1, ROOT), "root {", name);
	lvm_read_text(1, text);
	free(text);
	lvm_refused("vg", "no valid name of a logical volume");
	memcpy(name + 127, " {", 3);
	text = replaced(lvm_text(1, 1, ROOT), "root {", name);
	lvm_read_text(1, text);
	free(text);
	lvm_refused("lvm-R00000-0000-0000-0000-0000-0000-000000", "longer than 127 bytes");
	memcpy(name + 124, " {", 3);
	text = replaced(lvm_text(1, 1, ROOT), "root {", name);
	lvm_read_text(1, text);
	free(text);
	ck_assert_uint_eq(strlen(lvm.set->volumes[0]->name), 127);
	ck_assert_int_eq(lvm.set->volumes[0]->error.code, 0);
}
END_TEST

START_TEST(hyphens)
{
	char *text = replaced(lvm_text(1, 1, ROOT), "root {", "r-o--t- {");

	lvm_read_text(1, text);
	free(text);
	ck_assert_str_eq(lvm_volume("vg/r-o--t-")->name, "vg-r--o----t--");
}
END_TEST

START_TEST(read_only)
{
	char *text = replaced(
		lvm_text(1, 1, ROOT), "\"READ\", \"WRITE\", \"VISIBLE\"", "\"READ\", \"VISIBLE\"");
	struct view *v;

	lvm_read_text(1, text);
	ck_assert_str_eq(lvm_volume("vg/root")->no_writing, "it is read-only in its volume group");
	free(text);
	text = replaced(lvm_text(1, 1, ROOT), "\"READ\", \"WRITE\"]", "\"READ\"]");
	lvm_read_text(1, text);
	free(text);
	ck_assert_ptr_nonnull(lvm_volume("vg/root")->no_writing);
	v = lvm_view("vg/root", 1);
	ck_assert(!v->through);
	view_free(v);
	check_root(1);
}
END_TEST

START_TEST(group_on_its_volume)
{
	/* A device in a volume that is a physical volume of the same group: it comes too late. */
	const char *text = lvm_text(1, 2,
		LVM_LV("root", "R", "24", "striped", LVM_LINEAR("pv0", "0"))
			LVM_LV("on", "O", "1", "striped", LVM_LINEAR("pv1", "0")));

	lvm_disk_put_text(lvm.disks[0], 512, text);
	lvm_disk_put_text(lvm.disks[1], 512, text);
	memcpy(lvm.disks[0]->bytes + LVM_START, lvm.disks[1]->bytes, LVM_EXTENTS * LVM_EXTENT);
	lvm_read(1);
	lvm_refused("vg-on", "is missing");
	lvm_volume("vg-root");
}
END_TEST

Suite *lvm_suite(void)
{
	TCase *tc = tcase_create("lvm");

	tcase_add_checked_fixture(tc, lvm_setup, lvm_teardown);
	tcase_add_test(tc, group);
	tcase_add_test(tc, no_group);
	tcase_add_test(tc, label_in_each_sector);
	tcase_add_test(tc, label_of_other_kind);
	tcase_add_loop_test(tc, label_field, 0, COUNT(label_fields));
	tcase_add_test(tc, label_checksum);
	tcase_add_test(tc, label_without_end);
	tcase_add_test(tc, tiny_devices);
	tcase_add_loop_test(tc, area_field, 0, COUNT(area_fields));
	tcase_add_test(tc, area_checksum);
	tcase_add_test(tc, area_elsewhere);
	tcase_add_test(tc, text_too_long);
	tcase_add_test(tc, ring);
	tcase_add_test(tc, area_ignored);
	tcase_add_test(tc, second_area);
	tcase_add_test(tc, older_metadata);
	tcase_add_test(tc, disagreement);
	tcase_add_test(tc, unknown_member);
	tcase_add_test(tc, missing_device);
	tcase_add_test(tc, many_incomplete_groups);
	tcase_add_test(tc, missing_once);
	tcase_add_test(tc, twice);
	tcase_add_test(tc, short_device);
	tcase_add_loop_test(tc, text_case, 0, COUNT(text_cases));
	tcase_add_test(tc, long_names);
	tcase_add_test(tc, hyphens);
	tcase_add_test(tc, read_only);
	tcase_add_test(tc, group_on_its_volume);
	return suite_of("lvm", tc);
}
