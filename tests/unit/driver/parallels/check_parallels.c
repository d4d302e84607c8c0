/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_parallels.c - single expanding images; for bundles see check_parallels_descriptor.c. */
#include <errno.h>
#include <string.h>

#include "common/memory_image.h"
#include "common/unit.h"
#include "view/view.h"

#define CLUSTERS 9

/* Clusters 1, 2 and 3 are contiguous in the file, then follow 8 and 0. */
static const unsigned stored[CLUSTERS] = {5, 1, 2, 3, 0, 0, 0, 0, 4};

struct kind {
	bool old;
	unsigned cluster; /* in sectors */
	unsigned data;    /* first sector of data; 0: not recorded */
	size_t cut;       /* bytes of the last cluster beyond the end of the disk */
};

static const struct kind kinds[] = {
	{false, 8, 8, 0},
	{false, 8, 16, 512},
	{false, 63, 63, 31 * 512},
	{true, 8, 0, 0},
	{true, 63, 0, 512},
	{true, 7, 9, 0},
};

static size_t data_start(const struct kind *k)
{
	return (k->data ? k->data : 1) * 512;
}

static struct memory_image build(const struct kind *k)
{
	size_t cluster = k->cluster * 512;
	struct memory_image m = memory_image_new(
		"parallels", data_start(k) + 5 * cluster, CLUSTERS * cluster - k->cut);

	memcpy(m.file, k->old ? "WithoutFreeSpace" : "WithouFreSpacExt", 16);
	put_le(m.file + 16, 4, 2);
	put_le(m.file + 28, 4, k->cluster);
	put_le(m.file + 32, 4, CLUSTERS);
	put_le(m.file + 36, 8, m.disk_len / 512 | (k->old ? UINT64_C(0xabcd) << 32 : 0));
	put_le(m.file + 48, 4, k->data);
	for (unsigned i = 0; i < CLUSTERS; i++) {
		size_t pos = data_start(k) + (stored[i] - 1) * cluster, off = i * cluster;

		if (!stored[i])
			continue;
		put_le(m.file + 64 + 4 * i, 4, pos / (k->old ? 512 : cluster));
		memory_image_data(
			&m, pos, off, m.disk_len - off < cluster ? m.disk_len - off : cluster);
	}
	return m;
}

START_TEST(reads_expected_data)
{
	const struct kind *k = &kinds[_i];
	struct memory_image m = build(k);
	size_t cluster = k->cluster * 512;

	memory_image_reads(&m);
	memory_image_extent(&m, cluster + 1, EXTENT_FILE, 3 * cluster - 1);
	memory_image_extent(&m, 4 * cluster, EXTENT_ZERO, 4 * cluster);
	memory_image_free(&m);
}
END_TEST

static const struct field_case hostile[] = {
	{16, 4, 1, ENOTSUP, "version 1"},
	{28, 4, 0, EINVAL, "clusters of 0 sectors"},
	{28, 4, 0xffffffff, EINVAL, "clusters of 4294967295 sectors"},
	{32, 4, 8, EINVAL, "in 8 clusters of 4096"},
	{32, 4, 0xffffffff, EINVAL, "BAT of 4294967295 entries"},
	{36, 8, 73, EINVAL, "disk of 37376 bytes in 9"},
	{36, 8, UINT64_MAX, EFBIG, "a disk of 18446744073709551615 sectors"},
};

START_TEST(hostile_headers)
{
	struct memory_image m = build(&kinds[0]);

	put_le(m.file + hostile[_i].pos, hostile[_i].width, hostile[_i].value);
	memory_image_refused(&m, hostile[_i].code, hostile[_i].text);
	memory_image_free(&m);
}
END_TEST

/* Invalid BAT entries of cluster 8. */
START_TEST(bad_entries)
{
	struct memory_image m = build(&kinds[1]);

	put_le(m.file + 64 + 32, 4, 1);
	memory_image_damaged(&m, 8 * 4096, 3584, EUCLEAN,
		"cluster 8 at 4096, before the data, which begins at 8192");
	put_le(m.file + 64 + 32, 4, 7);
	memory_image_damaged(&m, 8 * 4096, 3584, EIO, "past the end");
	put_le(m.file + 64 + 32, 4, 0xffffffff);
	memory_image_damaged(&m, 8 * 4096, 3584, EIO, "past the end");
	memory_image_free(&m);
}
END_TEST

START_TEST(every_read_fails_once)
{
	struct memory_image m = build(&kinds[0]);

	memory_image_faults(&m, 6);
	memory_image_free(&m);
}
END_TEST

Suite *parallels_suite(void)
{
	TCase *tc = tcase_create("parallels");

	tcase_add_loop_test(tc, reads_expected_data, 0, COUNT(kinds));
	tcase_add_loop_test(tc, hostile_headers, 0, COUNT(hostile));
	tcase_add_test(tc, bad_entries);
	tcase_add_test(tc, every_read_fails_once);
	return suite_of("parallels", tc);
}
