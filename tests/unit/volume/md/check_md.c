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
#include "md-make.h"

#define CHUNK 4096u
#define MOST  5

static const struct shape {
	int level;
	uint32_t layout;
	const char *rows, *name;
} shapes[] = {
	{0, 2, "01", "raid0"},
	{1, 0, "00", "raid1"},
	{4, 0, "01P", "raid4"},
	{5, 2, "01P 1P0 P01", "raid5"},
	{6, 2, "Q01P 01PQ 1PQ0 PQ01", "raid6"},
	{6, 10, "01QP 1QP0 QP01 P01Q", "raid6"},
	{10, 0x102, "0011", "raid10 near=2"},
	{10, 0x102, "001 122", "raid10 near=2"},
};
static const char *const versions[] = {"0.90", "1.0", "1.1", "1.2"};

/* The disks of a machine, each a member. */
static struct machine {
	struct md_spec spec;
	struct view *disks[MOST];
	unsigned char supers[MOST][MD_MAKE_SUPER];
	unsigned char *contents;
	size_t size;
	struct volume_set *set;
	struct err e;
} m;

static void put_supers(void)
{
	for (unsigned i = 0; i < m.spec.n; i++) {
		md_make_seal(m.supers[i]);
		memdisk_put(m.disks[i], md_make_place(&m.spec), m.supers[i], MD_MAKE_SUPER);
	}
}

static void put_rows(const char *rows, size_t nrows, size_t columns)
{
	unsigned char *chunks = malloc(m.spec.n * CHUNK);
	const char *row = rows;

	for (size_t i = 0; i < nrows; i++) {
		md_make_row(chunks, row, m.spec.n, m.contents + i * columns * CHUNK, CHUNK,
			m.spec.level == 6 && m.spec.layout == 10);
		for (unsigned k = 0; k < m.spec.n; k++)
			memdisk_put(m.disks[k], md_make_data(&m.spec) + i * CHUNK,
				chunks + k * CHUNK, CHUNK);
		row += m.spec.n;
		row = *row ? row + 1 : rows;
	}
	free(chunks);
}

static size_t count_columns(const char *rows)
{
	size_t n = 0;

	for (; *rows; rows++)
		if (*rows >= '0' && *rows <= '9')
			n = MAX(n, (size_t)(*rows - '0') + 1);
	return n;
}

/* A row of "001 122" holds half a chunk more than its letters: its picture counts over two rows. */
static void make(const char *version, const struct shape *s)
{
	size_t nrows = 16, n = strcspn(s->rows, " "), columns = count_columns(s->rows);
	bool split = s->level == 10 && s->rows[n];

	m.spec = (struct md_spec){.version = version,
		.level = s->level,
		.layout = s->layout,
		.chunk = CHUNK,
		.n = (unsigned)n,
		.used = nrows * CHUNK,
		.name = "guest:data"};
	m.size = (split ? nrows * columns / 2 : nrows * columns) * CHUNK;
	m.contents = malloc(2 * m.size);
	fill_pattern(m.contents, m.size, (unsigned)s->level);
	for (unsigned i = 0; i < n; i++) {
		m.disks[i] = memdisk_new(md_make_size(&m.spec));
		md_make_super(m.supers[i], &m.spec, i);
	}
	if (split) {
		/* Each picture is of two rows that hold three chunks. */
		for (size_t i = 0; i < nrows; i++)
			for (size_t k = 0; k < n; k++) {
				size_t chunk =
					i / 2 * columns + (s->rows[i % 2 * (n + 1) + k] - '0');

				memdisk_put(m.disks[k], md_make_data(&m.spec) + i * CHUNK,
					m.contents + chunk * CHUNK, CHUNK);
			}
	} else {
		put_rows(s->rows, nrows, columns);
	}
	put_supers();
}

static void drop_set(void)
{
	volume_set_free(m.set);
	m.set = NULL;
}

static void end(void)
{
	drop_set();
	for (unsigned i = 0; i < m.spec.n; i++)
		view_free(m.disks[i]);
	free(m.contents);
}

/* Reads the volumes of those disks whose bit is set; their views are in found. */
static size_t gather(unsigned present, struct view **found)
{
	size_t n = 0;

	for (unsigned i = 0; i < m.spec.n; i++)
		if (present & 1u << i)
			found[n++] = m.disks[i];
	return n;
}

static size_t read_set(unsigned present)
{
	static const char *const disk_names[MOST] = {
		"disk 1", "disk 2", "disk 3", "disk 4", "disk 5"};
	static const struct partition_table none;
	struct volume_disk disks[MOST];
	struct view *found[MOST];
	size_t n = gather(present, found);

	drop_set();
	for (size_t i = 0; i < n; i++)
		disks[i] = (struct volume_disk){
			.view = found[i], .table = &none, .name = n > 1 ? disk_names[i] : NULL};
	ck_assert_ok(volume_set_read(disks, n, NULL, &m.set, &m.e), &m.e);
	return m.set->nvolumes;
}

/* There is one volume, and it has these bytes. */
static void reads(unsigned present)
{
	unsigned char *buf = malloc(m.size);
	struct view *found[MOST], *v;

	ck_assert_uint_eq(read_set(present), 1);
	ck_assert_msg(!m.set->volumes[0]->error.code, "%s", m.set->volumes[0]->error.text);
	gather(present, found);
	v = volume_view(m.set, m.set->volumes[0], found, &m.e);
	ck_assert_msg(v, "%s", m.e.text);
	ck_assert_uint_eq(v->size, m.size);
	ck_assert_uint_eq(m.set->volumes[0]->size, m.size);
	ck_assert_ok(view_read(v, buf, m.size, 0, &m.e), &m.e);
	ck_assert_int_eq(memcmp(buf, m.contents, m.size), 0);
	ck_assert_int_eq(view_write(v, "x", 1, 0, &m.e), -EROFS);
	view_free(v);
	free(buf);
}

static void refused(unsigned present, int code, const char *text)
{
	ck_assert_uint_eq(read_set(present), 1);
	m.e = m.set->volumes[0]->error;
	ck_assert_fails(-m.e.code, code, &m.e, text);
}

static unsigned all(void)
{
	return (1u << m.spec.n) - 1;
}

static void set_field(unsigned i, size_t pos, unsigned width, uint64_t value)
{
	put_le(m.supers[i] + pos, width, value);
	put_supers();
}

/* In all members. */
static void set_fields(size_t pos, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < m.spec.n; i++)
		set_field(i, pos, width, value);
}

START_TEST(levels)
{
	const struct shape *s = &shapes[_i / COUNT(versions)];
	const struct volume *v;
	bool old = _i % COUNT(versions) == 0;

	make(versions[_i % COUNT(versions)], s);
	reads(all());
	v = m.set->volumes[0];
	ck_assert_str_eq(v->name, old ? "md-3" : "md-data");
	ck_assert_str_eq(v->path, old ? "md/3" : "md/data");
	ck_assert_str_eq(v->kind, "md");
	ck_assert_str_eq(v->layout, s->name);
	ck_assert_ptr_nonnull(v->no_writing);
	ck_assert_str_eq(v->uuid, "70717273-7475-7677-7879-7a7b7c7d7e7f");
	ck_assert_str_eq(m.set->devices[0]->type, "linux_raid_member");
	ck_assert_str_eq(m.set->devices[1]->id, old ? "1" : "90919293-9495-9697-9899-9a9b9c9d9e9f");
	ck_assert_str_eq(m.set->devices[0]->group, v->uuid);
	end();
}
END_TEST

START_TEST(linear)
{
	static const struct shape s = {-1, 0, "01", "linear"};

	make(versions[_i], &s);
	for (unsigned k = 0; k < 2; k++) {
		put_le(m.supers[k] + (_i == 0 ? 65 * 4 : MD_AT_CHUNK), 4, 0);
		memdisk_put(m.disks[k], md_make_data(&m.spec), m.contents + k * m.spec.used,
			m.spec.used);
	}
	put_supers();
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->layout, "linear");
	refused(1, EIO, "1 of 2 members are missing, none can be (linear)");
	end();
}
END_TEST

START_TEST(degraded)
{
	const struct shape *s = &shapes[_i];
	size_t most = s->level == 6 ? 2 : s->level == 0 ? 0 : 1;

	make("1.2", s);
	for (unsigned present = 1; present <= all(); present++) {
		size_t missing = m.spec.n - (unsigned)__builtin_popcount(present);

		if (missing > 0 && missing <= most) {
			reads(present);
			ck_assert_ptr_nonnull(strstr(m.set->volumes[0]->layout, "missing"));
		} else if (missing > most && s->level != 10) {
			refused(present, EIO, "members are missing");
		}
	}
	end();
}
END_TEST

/* The second member, and what its superblock or the newest one has of it. */
static const struct {
	size_t pos;
	unsigned width;
	uint64_t value;
	bool in_all; /* superblocks */
	const char *why;
} left_out[] = {
	{MD_AT_EVENTS, 8, 16, false, "it is older than the array"},
	{MD_AT_ROLES + 2, 2, 0xfffe, true, "it is faulty"},
	{MD_AT_ROLES + 2, 2, 0xfffe, false, "it is faulty"},
	{MD_AT_ROLES + 2, 2, 0xffff, true, "it is a spare"},
	{MD_AT_ROLES + 2, 2, 0xfffd, true, "it is a journal"},
	{MD_AT_NUMBER, 4, 500, false, "it is a spare"},
	{MD_AT_FEATURES, 4, 2, false, "it is being rebuilt"},
	{MD_AT_FEATURES, 4, 2 | 128, false, "it is being rebuilt"},
	{MD_AT_FEATURES, 4, 8, false, "it has bad blocks"},
	{MD_AT_FEATURES, 4, 1u << 13, false, "unknown features 0x2000"},
	{MD_AT_LEVEL, 4, 4, false, "its superblock disagrees with the newest one"},
	{MD_AT_CHUNK, 4, 16, false, "its superblock disagrees"},
	{MD_AT_DATA_SIZE, 8, 1 << 30, false, "its data pass its end"},
	{MD_AT_DATA_SIZE, 8, UINT64_MAX, false, "its data pass its end"},
	{MD_AT_DATA_OFFSET, 8, UINT64_MAX, false, "its data pass its end"},
	{MD_AT_DATA_SIZE, 8, 1, false, "its data pass its end"},
	{MD_AT_DATA_OFFSET, 8, 8, false, "its data overlap its superblock"},
};

START_TEST(leaves_out)
{
	char text[128];

	make("1.2", &shapes[3]);
	if (left_out[_i].in_all)
		set_fields(left_out[_i].pos, left_out[_i].width, left_out[_i].value);
	else
		set_field(1, left_out[_i].pos, left_out[_i].width, left_out[_i].value);
	/* Its bytes are not used. */
	memdisk_put(m.disks[1], md_make_data(&m.spec), m.contents + 10000, CHUNK);
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	snprintf(text, sizeof text, "disk 2: %s", left_out[_i].why);
	refused(3, EIO, text);
	end();
}
END_TEST

/* As in the kernel: the superblocks of a running array are not written at the same time. */
START_TEST(one_event)
{
	make("1.2", &shapes[3]);
	set_field(1, MD_AT_EVENTS, 8, 17);
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->layout, "raid5");
	/* But not one that the newest superblock takes for faulty. */
	for (unsigned i = 0; i < 3; i += 2)
		set_field(i, MD_AT_ROLES + 2, 2, 0xfffe);
	refused(3, EIO, "disk 2: the newest superblock has another role for it");
	/* Nor one that takes the newest member for faulty. */
	set_fields(MD_AT_ROLES + 2, 2, 1);
	set_field(1, MD_AT_ROLES, 2, 0xfffe);
	refused(3, EIO, "disk 2: it takes the newest member for faulty");
	end();
}
END_TEST

/* Whatever the order of the disks, the copy is read that the array was last. */
START_TEST(stale_mirror)
{
	unsigned stale = _i, fresh = 1 - stale;

	make("1.0", &shapes[1]);
	memdisk_put(m.disks[stale], 0, m.contents + CHUNK, CHUNK);
	set_field(stale, MD_AT_EVENTS, 8, 5);
	set_field(fresh, MD_AT_ROLES + 2 * stale, 2, 0xfffe);
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->layout, "raid1, 1 of 2 members missing");
	end();
}
END_TEST

START_TEST(old_member)
{
	make("0.90", &shapes[3]);
	put_le(m.supers[1] + 39 * 4, 8, 3);
	put_supers();
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	refused(3, EIO, "disk 2: it is older than the array");
	put_le(m.supers[1] + 39 * 4, 8, 18);
	for (unsigned i = 0; i < 3; i++) /* active, but not in sync yet */
		put_le(m.supers[i] + (128 + 32 + 4) * 4, 4, 2);
	put_supers();
	refused(3, EIO, "disk 2: it is a spare");
	reads(all());
	end();
}
END_TEST

/* Parity is right only in an array that was stopped. */
START_TEST(dirty)
{
	make(_i ? "1.2" : "0.90", &shapes[3]);
	for (unsigned i = 0; i < 3; i++)
		put_le(m.supers[i] + (_i ? MD_AT_RESYNC : 33 * 4), _i ? 8 : 4, 0);
	put_supers();
	reads(all());
	refused(6, EIO, "parity may be wrong, since the array was not stopped (raid5)");
	end();
	make(_i ? "1.2" : "0.90", &shapes[1]);
	for (unsigned i = 0; i < 2; i++)
		put_le(m.supers[i] + (_i ? MD_AT_RESYNC : 33 * 4), _i ? 8 : 4, 0);
	put_supers();
	reads(2);
	end();
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
	make("1.2", &shapes[3]);
	set_fields(whole[_i].pos, whole[_i].width, whole[_i].value);
	if (whole[_i].text)
		refused(all(), whole[_i].code, whole[_i].text);
	else
		reads(all()); /* without that member */
	end();
}
END_TEST

START_TEST(damage)
{
	make("1.2", &shapes[1]);
	m.supers[1][MD_AT_LEVEL] ^= 1;
	memdisk_put(m.disks[1], 4096, m.supers[1], MD_MAKE_SUPER);
	ck_assert_uint_eq(read_set(all()), 2);
	ck_assert_str_eq(m.set->volumes[0]->name, "md-disk-2");
	ck_assert_ptr_nonnull(
		strstr(m.set->volumes[0]->error.text, "checksum of the superblock 1.2"));
	ck_assert_str_eq(m.set->volumes[1]->layout, "raid1, 1 of 2 members missing");
	m.supers[1][MD_AT_LEVEL] ^= 1;
	put_le(m.supers[1] + MD_AT_MAX_DEV, 4, UINT32_MAX);
	memdisk_put(m.disks[1], 4096, m.supers[1], MD_MAKE_SUPER);
	ck_assert_uint_eq(read_set(all()), 2);
	ck_assert_ptr_nonnull(strstr(m.set->volumes[0]->error.text, "4294967295 roles"));
	/* One that cannot be read is none. */
	memdisk_break(m.disks[1], 4096);
	reads(all());
	end();
	/* At the end, a damaged one counts as a leftover. */
	make("1.0", &shapes[1]);
	m.supers[1][MD_AT_LEVEL] ^= 1;
	memdisk_put(m.disks[1], md_make_place(&m.spec), m.supers[1], MD_MAKE_SUPER);
	reads(all());
	end();
}
END_TEST

START_TEST(other_0_90)
{
	make("0.90", &shapes[1]);
	for (unsigned i = 0; i < 2; i++)
		put_le(m.supers[i] + 8, 4, 91);
	put_supers();
	refused(all(), ENOTSUP, "it is being reshaped");
	for (unsigned i = 0; i < 2; i++)
		put_le(m.supers[i] + 8, 4, 92);
	put_supers();
	refused(all(), ENOTSUP, "superblock version 0.92");
	put_be(m.supers[0], 4, 0xa92b4efc);
	memdisk_put(m.disks[0], md_make_place(&m.spec), m.supers[0], 4096);
	refused(1, ENOTSUP, "big-endian");
	end();
}
END_TEST

/* The newest array of several superblocks counts, as for mdadm. */
START_TEST(leftover)
{
	struct md_spec old = {
		.version = "1.0", .level = 1, .n = 2, .used = 64 << 10, .name = "old"};
	unsigned char super[MD_MAKE_SUPER];
	uint64_t pos;

	make("1.2", &shapes[1]);
	pos = (m.disks[0]->size - 8192) & ~UINT64_C(4095);
	md_make_super(super, &old, 0);
	put_le(super + MD_AT_SUPER_OFFSET, 8, pos / 512);
	put_le(super + MD_AT_UUID, 4, 5);
	put_le(super + MD_AT_CREATED, 8, 1600000000 | UINT64_C(0xffffff) << 40);
	md_make_seal(super);
	memdisk_put(m.disks[0], pos, super, sizeof super);
	reads(all());
	put_le(super + MD_AT_CREATED, 8, 1700000009);
	md_make_seal(super);
	memdisk_put(m.disks[0], pos, super, sizeof super);
	ck_assert_uint_eq(read_set(all()), 2);
	/* A superblock that lies elsewhere than it says is that of another device. */
	put_le(super + MD_AT_SUPER_OFFSET, 8, pos / 512 + 8);
	md_make_seal(super);
	memdisk_put(m.disks[0], pos, super, sizeof super);
	reads(all());
	end();
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
	make("1.2", &shapes[1]);
	for (unsigned i = 0; i < 2; i++)
		strncpy((char *)m.supers[i] + MD_AT_NAME, names[_i].name, 32);
	put_supers();
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->name, names[_i].file);
	end();
}
END_TEST

/* A replacement takes the place of a member that is not there. */
START_TEST(replacement)
{
	make("1.2", &shapes[3]);
	put_le(m.supers[2] + MD_AT_FEATURES, 4, 16);
	for (unsigned i = 0; i < 3; i++)
		put_le(m.supers[i] + MD_AT_ROLES + 4, 2, 1);
	put_supers();
	memdisk_put(m.disks[2], md_make_data(&m.spec), m.contents + 10000, CHUNK);
	reads(3 | 4); /* member 1 itself, and member 2 is missing */
	ck_assert_str_eq(m.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	end();
	make("1.2", &shapes[1]);
	put_le(m.supers[1] + MD_AT_FEATURES, 4, 16);
	for (unsigned i = 0; i < 2; i++)
		put_le(m.supers[i] + MD_AT_ROLES + 2, 2, 0);
	put_supers();
	reads(2);
	end();
}
END_TEST

START_TEST(bad_blocks)
{
	unsigned char list[512];

	make("1.2", &shapes[3]);
	memset(list, 0xff, sizeof list);
	memdisk_put(m.disks[1], 4096 + 512 * 16, list, sizeof list);
	put_le(m.supers[1] + MD_AT_BAD_BLOCKS, 8, UINT64_C(16) << 32 | 1 << 16);
	set_field(1, MD_AT_FEATURES, 4, 8);
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->layout, "raid5");
	put_le(list, 8, 100 << 10 | 8);
	memdisk_put(m.disks[1], 4096 + 512 * 16, list, sizeof list);
	reads(all());
	ck_assert_str_eq(m.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	end();
}
END_TEST

/* Members of 6, 3 and 5 chunks: zones of three, two and one.  In the original layout the second
 * zone begins with its second member, since its first chunk, 9, is odd. */
START_TEST(zones)
{
	static const char *const columns[2][3] = {
		{"0369bd", "147", "258ac"}, {"036acd", "147", "2589b"}};
	static const struct shape s = {0, 2, "012", "raid0"};
	bool original = _i;

	make("1.2", &s);
	m.size = 14 * CHUNK;
	free(m.contents);
	m.contents = malloc(m.size);
	fill_pattern(m.contents, m.size, 77);
	for (unsigned i = 0; i < 3; i++) {
		const char *column = columns[original][i];

		put_le(m.supers[i] + MD_AT_DATA_SIZE, 8, strlen(column) * CHUNK / 512 + 3);
		put_le(m.supers[i] + MD_AT_LAYOUT, 4, original ? 1 : 2);
		for (size_t k = 0; column[k]; k++) {
			unsigned n = column[k] <= '9' ? column[k] - '0' : column[k] - 'a' + 10;

			memdisk_put(m.disks[i], md_make_data(&m.spec) + k * CHUNK,
				m.contents + n * CHUNK, CHUNK);
		}
	}
	/* The largest member has no space for three more sectors. */
	put_le(m.supers[0] + MD_AT_DATA_SIZE, 8, 6 * CHUNK / 512);
	put_supers();
	reads(all());
	set_fields(MD_AT_FEATURES, 4, 0);
	refused(all(), ENOTSUP, "in which of the two layouts of raid0");
	end();
}
END_TEST

/* A mirror that lies on a mirror. */
START_TEST(nested)
{
	static const struct shape outer = {1, 0, "0", "raid1"};
	struct md_spec inner = {
		.version = "1.1", .level = 1, .n = 1, .used = 3 * CHUNK, .name = "h:inner"};
	unsigned char super[MD_MAKE_SUPER];
	struct view *v;
	char buf[5] = "";

	make("1.2", &outer);
	md_make_super(super, &inner, 0);
	put_le(super + MD_AT_UUID, 4, 5);
	put_le(super + MD_AT_DATA_OFFSET, 8, 8);
	md_make_seal(super);
	memdisk_put(m.disks[0], md_make_data(&m.spec), super, sizeof super);
	memdisk_put(m.disks[0], md_make_data(&m.spec) + 4096, "bytes", 5);
	ck_assert_uint_eq(read_set(1), 2);
	ck_assert_str_eq(m.set->volumes[1]->name, "md-inner");
	v = volume_view(m.set, m.set->volumes[1], m.disks, &m.e);
	ck_assert_msg(v, "%s", m.e.text);
	ck_assert_ok(view_read(v, buf, 5, 0, &m.e), &m.e);
	ck_assert_int_eq(memcmp(buf, "bytes", 5), 0);
	view_free(v);
	end();
}
END_TEST

/* Every field with many values, in one member or in all: what opens can be read to its end. */
static void poke(unsigned member, bool in_all, size_t pos, uint64_t value)
{
	unsigned char saved[MOST][MD_MAKE_SUPER], buf[700];
	struct view *v;

	memcpy(saved, m.supers, sizeof saved);
	for (unsigned i = 0; i < m.spec.n; i++)
		if (in_all || i == member)
			put_le(m.supers[i] + pos, 4, value);
	put_supers();
	read_set(all());
	for (size_t i = 0; i < m.set->nvolumes; i++) {
		if (m.set->volumes[i]->error.code)
			continue;
		v = volume_view(m.set, m.set->volumes[i], m.disks, &m.e);
		ck_assert_msg(v, "%s", m.e.text);
		ck_assert_uint_ge(v->size, 512);
		ck_assert_ok(view_read(v, buf, 512, v->size - 512, &m.e), &m.e);
		view_free(v);
	}
	memcpy(m.supers, saved, sizeof saved);
	put_supers();
}

START_TEST(hostile)
{
	static const uint64_t values[] = {0, 1, 3, 8, 0x7fffffff, 0x80000000, 0xffffffff};

	make(versions[_i % 4], &shapes[_i / 4]);
	for (size_t pos = 4; pos < MD_AT_ROLES + 16; pos += 4)
		for (size_t k = 0; k < COUNT(values); k++) {
			poke(0, true, pos, values[k]);
			poke(1, false, pos, values[k]);
		}
	reads(all());
	end();
}
END_TEST

Suite *md_suite(void)
{
	TCase *tc = tcase_create("md");

	tcase_add_loop_test(tc, levels, 0, COUNT(shapes) * COUNT(versions));
	tcase_add_loop_test(tc, linear, 0, COUNT(versions));
	tcase_add_loop_test(tc, degraded, 0, COUNT(shapes));
	tcase_add_loop_test(tc, leaves_out, 0, COUNT(left_out));
	tcase_add_test(tc, one_event);
	tcase_add_loop_test(tc, stale_mirror, 0, 2);
	tcase_add_test(tc, old_member);
	tcase_add_loop_test(tc, dirty, 0, 2);
	tcase_add_loop_test(tc, refuses, 0, COUNT(whole));
	tcase_add_test(tc, damage);
	tcase_add_test(tc, other_0_90);
	tcase_add_test(tc, leftover);
	tcase_add_loop_test(tc, naming, 0, COUNT(names));
	tcase_add_test(tc, replacement);
	tcase_add_test(tc, bad_blocks);
	tcase_add_loop_test(tc, zones, 0, 2);
	tcase_add_test(tc, nested);
	tcase_add_loop_test(tc, hostile, 0, 4 * (COUNT(shapes) - 1));
	return suite_of("md", tc);
}
