/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_qcow2_snapshots.c - the snapshot table, and the states of an image. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "build/qcow2.h"
#include "common/test_image.h"
#include "common/unit.h"

static struct subject s;
static struct build_qcow2 b;

static void setup(void)
{
	subject_new(&s, "qcow2");
	build_qcow2_new(&b, 3, 9, 0);
}

static void teardown(void)
{
	subject_free(&s);
	build_qcow2_free(&b);
}

static void opens(void)
{
	subject_opens(&s, b.bytes, b.len);
}

static void refuses(int code, const char *text)
{
	subject_refuses(&s, b.bytes, b.len, code, text);
}

static const struct view *disk(size_t state)
{
	return s.img->states[state]->view;
}

static struct build_snapshot plain_snapshot(void)
{
	return (struct build_snapshot){.id = "1",
		.name = "first",
		.l1_pos = build_qcow2_at(&b, AT_L1_COPY),
		.l1_size = 1,
		.extra_len = 16,
		.disk_size = 1024};
}

/* Gives the snapshot an L2 table in a data cluster, which maps guest cluster 0 to another one. */
static void map_snapshot(void)
{
	uint64_t table = build_qcow2_at(&b, AT_DATA + 6);

	memset(b.bytes + table, 0, 512);
	build_qcow2_put64(&b, build_qcow2_at(&b, AT_L1_COPY), table);
	build_qcow2_put64(&b, table, build_qcow2_at(&b, AT_DATA + 3));
}

START_TEST(snapshots_are_states)
{
	struct build_snapshot snap = plain_snapshot();

	map_snapshot();
	build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_DATA) | ENTRY_COPIED);
	build_qcow2_snapshot(&b, &snap);
	opens();
	ck_assert_uint_eq(s.img->nstates, 2);
	ck_assert_str_eq(s.img->states[1]->id, "1");
	ck_assert_str_eq(s.img->states[1]->name, "first");
	ck_assert_int_eq(s.img->states[1]->when.tv_sec, 1000000000);
	ck_assert_int_eq(s.img->states[1]->when.tv_nsec, 5);
	ck_assert_uint_eq(s.img->states[1]->vm_clock, 7);
	ck_assert_ptr_null(s.img->states[1]->vmstate);
	ck_assert_uint_eq(disk(1)->size, 1024);
	subject_reads(disk(0), 0, 512, 0x10);
	subject_reads(disk(1), 0, 512, 0x13);
	subject_reads(disk(1), 512, 512, 0);
}
END_TEST

/* In version 2 an entry has no extra data. */
START_TEST(snapshot_without_size)
{
	struct build_snapshot snap = plain_snapshot();

	build_qcow2_free(&b);
	build_qcow2_new(&b, 2, 9, 0);
	build_qcow2_put64(&b, build_qcow2_at(&b, AT_L1_COPY), UINT64_MAX);
	snap.extra_len = 8;
	build_qcow2_snapshot(&b, &snap);
	snap.extra_len = 0;
	snap.name = "";
	snap.l1_size = 0;
	build_qcow2_snapshot(&b, &snap);
	opens();
	ck_assert_uint_eq(s.img->nstates, 3);
	ck_assert_uint_eq(disk(1)->size, build_qcow2_span(&b));
	ck_assert_str_eq(s.img->states[2]->name, "");
	subject_reads(disk(2), 0, disk(2)->size, 0);
}
END_TEST

/* The VM state is after the disk, from the first L1 entry that the disk does not need. */
START_TEST(view_of_the_vm_state)
{
	struct build_snapshot snap = plain_snapshot();
	uint64_t table = build_qcow2_at(&b, AT_DATA + 7);

	map_snapshot();
	snap.l1_size = 2;
	snap.vmstate_size = 700;
	memset(b.bytes + table, 0, 512);
	build_qcow2_put64(&b, build_qcow2_at(&b, AT_L1_COPY) + 8, table);
	build_qcow2_put64(&b, table, build_qcow2_at(&b, AT_DATA + 1));
	build_qcow2_snapshot(&b, &snap);
	opens();
	ck_assert_uint_eq(disk(1)->size, 1024);
	ck_assert_uint_eq(s.img->states[1]->vmstate->size, 700);
	subject_reads(s.img->states[1]->vmstate, 0, 512, 0x11);
	subject_reads(s.img->states[1]->vmstate, 512, 188, 0);
}
END_TEST

START_TEST(broken_snapshot_affects_no_other)
{
	struct build_snapshot bad[4];

	for (int i = 0; i < 4; i++)
		bad[i] = plain_snapshot();
	bad[0].l1_pos += 8;
	bad[1].l1_size = 0x10000000;
	bad[2].disk_size = UINT64_MAX;
	bad[3].vmstate_size = UINT64_MAX;
	map_snapshot();
	build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_DATA));
	for (int i = 0; i < 4; i++)
		build_qcow2_snapshot(&b, &bad[i]);
	opens();
	ck_assert_uint_eq(s.img->nstates, 5);
	subject_reads(disk(0), 0, 512, 0x10);
	subject_fails(disk(1), 0, EIO, "L1 table: offset 0xc08 is not a multiple of 512");
	subject_fails(disk(2), 0, EIO, "L1 table: 268435456 entries");
	subject_fails(disk(3), 0, EIO, "disk size");
	subject_reads(disk(4), 0, 512, 0x13);
	subject_fails(s.img->states[4]->vmstate, 0, EIO, "VM state");
}
END_TEST

START_TEST(broken_table_can_be_ignored)
{
	struct build_snapshot snap = plain_snapshot();

	snap.extra_len = UINT32_MAX;
	build_qcow2_snapshot(&b, &snap);
	refuses(EINVAL, "snapshot table invalid: entry 0: 4294967295 bytes of extra data");
	ck_assert_ptr_nonnull(strstr(hint_of(&s.e), "-o nosnapshots"));
	s.o.nosnapshots = true;
	opens();
	ck_assert_uint_eq(s.img->nstates, 1);
}
END_TEST

START_TEST(table_beyond_the_end_of_file_is_refused)
{
	struct build_snapshot snap = plain_snapshot();

	build_qcow2_snapshot(&b, &snap);
	build_qcow2_put64(&b, AT_SNAPSHOTS_POS, b.len);
	refuses(EINVAL, "snapshot table invalid: entry 0: passes the end");
	build_qcow2_put64(&b, AT_SNAPSHOTS_POS, 0xfffffffffffffe00);
	refuses(EINVAL, "snapshot table invalid: entry 0: passes the end");
	build_qcow2_put64(&b, AT_SNAPSHOTS_POS, build_qcow2_at(&b, AT_SNAPSHOTS));
	build_qcow2_put32(&b, AT_NSNAPSHOTS, 65536);
	refuses(EINVAL, "snapshot table invalid");
}
END_TEST

/* With entries of the maximum size, the limit of the table's size is reached before that of their
 * number. */
START_TEST(size_of_table_is_limited)
{
	const size_t entry = 40 + QCOW2_MAX_SNAPSHOT_EXTRA + 2 * 65535 + 2; /* with padding */
	const unsigned fit = QCOW2_MAX_SNAPSHOT_BYTES / entry;
	const size_t start = b.len;

	b.len += (fit + 1) * entry;
	b.bytes = realloc(b.bytes, b.len);
	ck_assert_ptr_nonnull(b.bytes);
	memset(b.bytes + start, 0, b.len - start);
	for (unsigned i = 0; i <= fit; i++) {
		build_qcow2_put32(&b, start + i * entry + 12, UINT32_MAX);
		build_qcow2_put32(&b, start + i * entry + 36, QCOW2_MAX_SNAPSHOT_EXTRA);
	}
	build_qcow2_put64(&b, AT_SNAPSHOTS_POS, start);
	build_qcow2_put32(&b, AT_NSNAPSHOTS, fit);
	opens();
	ck_assert_uint_eq(s.img->nstates, 1 + fit);
	build_qcow2_put32(&b, AT_NSNAPSHOTS, fit + 1);
	refuses(EFBIG, "snapshot table invalid: more than 67108864 bytes");
}
END_TEST

Suite *qcow2_snapshots_suite(void)
{
	TCase *tc = tcase_create("snapshots");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, snapshots_are_states);
	tcase_add_test(tc, snapshot_without_size);
	tcase_add_test(tc, view_of_the_vm_state);
	tcase_add_test(tc, broken_snapshot_affects_no_other);
	tcase_add_test(tc, broken_table_can_be_ignored);
	tcase_add_test(tc, table_beyond_the_end_of_file_is_refused);
	tcase_add_test(tc, size_of_table_is_limited);
	return suite_of("qcow2_snap", tc);
}
