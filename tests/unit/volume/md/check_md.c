/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_md.c - arrays of md: which members make them, and what superblocks may say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "partition/partition.h"
#include "view/view.h"
#include "volume/volume.h"
#include "common/memory_disk.h"
#include "common/unit.h"
#include "md_machine.h"

START_TEST(levels)
{
	const struct md_shape *s = &md_shapes[_i / COUNT(md_versions)];
	const struct volume *v;
	bool old = _i % COUNT(md_versions) == 0;

	md_make(md_versions[_i % COUNT(md_versions)], s);
	md_reads(md_all());
	v = md.set->volumes[0];
	ck_assert_str_eq(v->name, old ? "md-3" : "md-data");
	ck_assert_str_eq(v->path, old ? "md/3" : "md/data");
	ck_assert_str_eq(v->kind, "md");
	ck_assert_str_eq(v->layout, s->name);
	ck_assert_ptr_nonnull(v->no_writing);
	ck_assert_str_eq(v->uuid, "70717273-7475-7677-7879-7a7b7c7d7e7f");
	ck_assert_str_eq(md.set->devices[0]->type, "linux_raid_member");
	ck_assert_str_eq(
		md.set->devices[1]->id, old ? "1" : "90919293-9495-9697-9899-9a9b9c9d9e9f");
	ck_assert_str_eq(md.set->devices[0]->group, v->uuid);
	md_end();
}
END_TEST

START_TEST(linear)
{
	static const struct md_shape s = {-1, 0, "01", "linear"};

	md_make(md_versions[_i], &s);
	for (unsigned k = 0; k < 2; k++) {
		put_le(md.supers[k] + (_i == 0 ? 65 * 4 : MD_AT_CHUNK), 4, 0);
		memdisk_put(md.disks[k], md_make_data(&md.spec), md.contents + k * md.spec.used,
			md.spec.used);
	}
	md_put_supers();
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->layout, "linear");
	md_refused(1, EIO, "1 of 2 members are missing, none can be (linear)");
	md_end();
}
END_TEST

START_TEST(degraded)
{
	const struct md_shape *s = &md_shapes[_i];
	size_t most = s->level == 6 ? 2 : s->level == 0 ? 0 : 1;

	md_make("1.2", s);
	for (unsigned present = 1; present <= md_all(); present++) {
		size_t missing = md.spec.n - (unsigned)__builtin_popcount(present);

		if (missing > 0 && missing <= most) {
			md_reads(present);
			ck_assert_ptr_nonnull(strstr(md.set->volumes[0]->layout, "missing"));
		} else if (missing > most && s->level != 10) {
			md_refused(present, EIO, "members are missing");
		}
	}
	md_end();
}
END_TEST

static const struct field_case whole[] = {
	{MD_AT_FEATURES, 4, 4, ENOTSUP, "it is being reshaped"},
	{MD_AT_FEATURES, 4, 32, ENOTSUP, "it is being reshaped"},
	{MD_AT_FEATURES, 4, 512, ENOTSUP, "write journal"},
	{MD_AT_FEATURES, 4, 0x80000000, ENOTSUP, "unknown features 0x80000000"},
	{MD_AT_FEATURES, 4, 1u << 12, ENOTSUP, "\"raid0 layout\" at another level"},
	{12, 4, 1, ENOTSUP, "unknown fields"},
	{MD_AT_UNUSED + 31, 1, 1, ENOTSUP, "unknown fields"},
	{MD_AT_LEVEL, 4, (uint32_t)-4, ENOTSUP, "level -4 is not supported"},
	{MD_AT_LEVEL, 4, (uint32_t)-5, ENOTSUP, "level -5 is not supported"},
	{MD_AT_LEVEL, 4, 2, ENOTSUP, "level 2 is not supported"},
	{MD_AT_LEVEL, 4, 0x80000000, ENOTSUP, "level -2147483648 is not supported"},
	{MD_AT_LAYOUT, 4, 99, ENOTSUP, "unknown layout, 99"},
	{MD_AT_CHUNK, 4, 0, EINVAL, "chunks of 0 bytes"},
	{MD_AT_CHUNK, 4, UINT32_MAX, EINVAL, "chunks of 2199023255040 bytes"},
	{MD_AT_RAID_DISKS, 4, 0, EUCLEAN, "an array of 0 members"},
	{MD_AT_RAID_DISKS, 4, UINT32_MAX, EUCLEAN, "an array of 4294967295 members"},
	{MD_AT_RAID_DISKS, 4, 1921, EUCLEAN, "an array of 1921 members"},
	{MD_AT_RAID_DISKS, 4, 1920, EIO, "1917 of 1920 members are missing"},
	{MD_AT_RAID_DISKS, 4, 1, EINVAL, "raid5 with 1 members"},
	{MD_AT_SIZE, 8, UINT64_MAX, EINVAL, "3 members of"},
	{MD_AT_SIZE, 8, 0, EINVAL, "in members of 0"},
	{MD_AT_DATA_SIZE, 8, UINT64_MAX, EIO, "3 of 3 members are missing"},
	{MD_AT_ROLES + 2, 2, 0, EUCLEAN, "disk 1 and disk 2 have the same place, 0"},
	{MD_AT_ROLES + 2, 2, 0xfeff, EIO, NULL},
};

START_TEST(refuses)
{
	md_make("1.2", &md_shapes[3]);
	md_set_fields(whole[_i].pos, whole[_i].width, whole[_i].value);
	if (whole[_i].text)
		md_refused(md_all(), whole[_i].code, whole[_i].text);
	else
		md_reads(md_all()); /* without that member */
	md_end();
}
END_TEST

START_TEST(damage)
{
	md_make("1.2", &md_shapes[1]);
	md.supers[1][MD_AT_LEVEL] ^= 1;
	memdisk_put(md.disks[1], 4096, md.supers[1], MD_MAKE_SUPER);
	ck_assert_uint_eq(md_read_set(md_all()), 2);
	ck_assert_str_eq(md.set->volumes[0]->name, "md-disk-2");
	ck_assert_ptr_nonnull(
		strstr(md.set->volumes[0]->error.text, "checksum of the superblock 1.2"));
	ck_assert_str_eq(md.set->volumes[1]->layout, "raid1, 1 of 2 members missing");
	md.supers[1][MD_AT_LEVEL] ^= 1;
	put_le(md.supers[1] + MD_AT_MAX_DEV, 4, UINT32_MAX);
	memdisk_put(md.disks[1], 4096, md.supers[1], MD_MAKE_SUPER);
	ck_assert_uint_eq(md_read_set(md_all()), 2);
	ck_assert_ptr_nonnull(strstr(md.set->volumes[0]->error.text, "4294967295 roles"));
	/* One that cannot be read is none. */
	memdisk_break(md.disks[1], 4096);
	md_reads(md_all());
	md_end();
	/* At the end, a damaged one counts as a leftover. */
	md_make("1.0", &md_shapes[1]);
	md.supers[1][MD_AT_LEVEL] ^= 1;
	memdisk_put(md.disks[1], md_make_place(&md.spec), md.supers[1], MD_MAKE_SUPER);
	md_reads(md_all());
	md_end();
}
END_TEST

START_TEST(other_0_90)
{
	md_make("0.90", &md_shapes[1]);
	for (unsigned i = 0; i < 2; i++)
		put_le(md.supers[i] + 8, 4, 91);
	md_put_supers();
	md_refused(md_all(), ENOTSUP, "it is being reshaped");
	for (unsigned i = 0; i < 2; i++)
		put_le(md.supers[i] + 8, 4, 92);
	md_put_supers();
	md_refused(md_all(), ENOTSUP, "superblock version 0.92");
	put_be(md.supers[0], 4, 0xa92b4efc);
	memdisk_put(md.disks[0], md_make_place(&md.spec), md.supers[0], 4096);
	md_refused(1, ENOTSUP, "big-endian");
	md_end();
}
END_TEST

/* The newest array of several superblocks counts, as for mdadm. */
START_TEST(leftover)
{
	struct md_spec old = {
		.version = "1.0", .level = 1, .n = 2, .used = 64 << 10, .name = "old"};
	unsigned char super[MD_MAKE_SUPER];
	uint64_t pos;

	md_make("1.2", &md_shapes[1]);
	pos = (md.disks[0]->size - 8192) & ~UINT64_C(4095);
	md_make_super(super, &old, 0);
	put_le(super + MD_AT_SUPER_OFFSET, 8, pos / 512);
	put_le(super + MD_AT_UUID, 4, 5);
	put_le(super + MD_AT_CREATED, 8, 1600000000 | UINT64_C(0xffffff) << 40);
	md_make_seal(super);
	memdisk_put(md.disks[0], pos, super, sizeof super);
	md_reads(md_all());
	put_le(super + MD_AT_CREATED, 8, 1700000009);
	md_make_seal(super);
	memdisk_put(md.disks[0], pos, super, sizeof super);
	ck_assert_uint_eq(md_read_set(md_all()), 2);
	/* A superblock that lies elsewhere than it says is that of another device. */
	put_le(super + MD_AT_SUPER_OFFSET, 8, pos / 512 + 8);
	md_make_seal(super);
	memdisk_put(md.disks[0], pos, super, sizeof super);
	md_reads(md_all());
	md_end();
}
END_TEST

static const struct {
	const char *name, *file;
} names[] = {
	{"host:root", "md-root"},
	{"root", "md-root"},
	{":x", "md-x"},
	{"host:", "md-70717273-7475-7677-7879-7a7b7c7d7e7f"},
	{"", "md-70717273-7475-7677-7879-7a7b7c7d7e7f"},
	{"a:b:c", "md-b:c"},
	{"h:../../x", "md-../../x"}, /* the tree escapes it */
	{"h:\x01\x7f\xff", "md-\x01\x7f\xff"},
	{"0123456789012345678901234567890x", "md-0123456789012345678901234567890x"},
};

START_TEST(naming)
{
	md_make("1.2", &md_shapes[1]);
	for (unsigned i = 0; i < 2; i++)
		strncpy((char *)md.supers[i] + MD_AT_NAME, names[_i].name, 32);
	md_put_supers();
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->name, names[_i].file);
	md_end();
}
END_TEST

/* Members of 6, 3 and 5 chunks: zones of three, two and one.  In the original layout the second
 * zone begins with its second member, since its first chunk, 9, is odd. */
START_TEST(zones)
{
	static const char *const columns[2][3] = {
		{"0369bd", "147", "258ac"}, {"036acd", "147", "2589b"}};
	static const struct md_shape s = {0, 2, "012", "raid0"};
	bool original = _i;

	md_make("1.2", &s);
	md.size = 14 * MD_CHUNK;
	free(md.contents);
	md.contents = malloc(md.size);
	fill_pattern(md.contents, md.size, 77);
	for (unsigned i = 0; i < 3; i++) {
		const char *column = columns[original][i];

		put_le(md.supers[i] + MD_AT_DATA_SIZE, 8, strlen(column) * MD_CHUNK / 512 + 3);
		put_le(md.supers[i] + MD_AT_LAYOUT, 4, original ? 1 : 2);
		for (size_t k = 0; column[k]; k++) {
			unsigned n = column[k] <= '9' ? column[k] - '0' : column[k] - 'a' + 10;

			memdisk_put(md.disks[i], md_make_data(&md.spec) + k * MD_CHUNK,
				md.contents + n * MD_CHUNK, MD_CHUNK);
		}
	}
	/* The largest member has no space for three more sectors. */
	put_le(md.supers[0] + MD_AT_DATA_SIZE, 8, 6 * MD_CHUNK / 512);
	md_put_supers();
	md_reads(md_all());
	md_set_fields(MD_AT_FEATURES, 4, 0);
	md_refused(md_all(), ENOTSUP, "in which of the two layouts of raid0");
	md_end();
}
END_TEST

/* A mirror that lies on a mirror. */
START_TEST(nested)
{
	static const struct md_shape outer = {1, 0, "0", "raid1"};
	struct md_spec inner = {
		.version = "1.1", .level = 1, .n = 1, .used = 3 * MD_CHUNK, .name = "h:inner"};
	unsigned char super[MD_MAKE_SUPER];
	struct view *v;
	char buf[5] = "";

	md_make("1.2", &outer);
	md_make_super(super, &inner, 0);
	put_le(super + MD_AT_UUID, 4, 5);
	put_le(super + MD_AT_DATA_OFFSET, 8, 8);
	md_make_seal(super);
	memdisk_put(md.disks[0], md_make_data(&md.spec), super, sizeof super);
	memdisk_put(md.disks[0], md_make_data(&md.spec) + 4096, "bytes", 5);
	ck_assert_uint_eq(md_read_set(1), 2);
	ck_assert_str_eq(md.set->volumes[1]->name, "md-inner");
	v = volume_view(md.set, md.set->volumes[1], md.disks, &md.e);
	ck_assert_msg(v, "%s", md.e.text);
	ck_assert_ok(view_read(v, buf, 5, 0, &md.e), &md.e);
	ck_assert_int_eq(memcmp(buf, "bytes", 5), 0);
	view_free(v);
	md_end();
}
END_TEST

/* Every field with many values, in one member or in all: what opens can be read to its end. */
static void poke(unsigned member, bool in_all, size_t pos, uint64_t value)
{
	unsigned char saved[MD_MOST][MD_MAKE_SUPER], buf[700];
	struct view *v;

	memcpy(saved, md.supers, sizeof saved);
	for (unsigned i = 0; i < md.spec.n; i++)
		if (in_all || i == member)
			put_le(md.supers[i] + pos, 4, value);
	md_put_supers();
	md_read_set(md_all());
	for (size_t i = 0; i < md.set->nvolumes; i++) {
		if (md.set->volumes[i]->error.code)
			continue;
		v = volume_view(md.set, md.set->volumes[i], md.disks, &md.e);
		ck_assert_msg(v, "%s", md.e.text);
		ck_assert_uint_ge(v->size, 512);
		ck_assert_ok(view_read(v, buf, 512, v->size - 512, &md.e), &md.e);
		view_free(v);
	}
	memcpy(md.supers, saved, sizeof saved);
	md_put_supers();
}

START_TEST(hostile)
{
	static const uint64_t values[] = {0, 1, 3, 8, 0x7fffffff, 0x80000000, 0xffffffff};

	md_make(md_versions[_i % 4], &md_shapes[_i / 4]);
	for (size_t pos = 4; pos < MD_AT_ROLES + 16; pos += 4)
		for (size_t k = 0; k < COUNT(values); k++) {
			poke(0, true, pos, values[k]);
			poke(1, false, pos, values[k]);
		}
	md_reads(md_all());
	md_end();
}
END_TEST

Suite *md_suite(void)
{
	TCase *tc = tcase_create("md");

	tcase_add_loop_test(tc, levels, 0, COUNT(md_shapes) * COUNT(md_versions));
	tcase_add_loop_test(tc, linear, 0, COUNT(md_versions));
	tcase_add_loop_test(tc, degraded, 0, COUNT(md_shapes));
	tcase_add_loop_test(tc, refuses, 0, COUNT(whole));
	tcase_add_test(tc, damage);
	tcase_add_test(tc, other_0_90);
	tcase_add_test(tc, leftover);
	tcase_add_loop_test(tc, naming, 0, COUNT(names));
	tcase_add_loop_test(tc, zones, 0, 2);
	tcase_add_test(tc, nested);
	tcase_add_loop_test(tc, hostile, 0, 4 * (COUNT(md_shapes) - 1));
	return suite_of("md", tc);
}
