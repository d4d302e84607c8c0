/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_api_write.c - vdisk.h: writes, zeroes, extents, and what close reports. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "api_test.h"
#include "common/unit.h"
#include "view/writer.h"

static struct api_images images;

static void setup(void)
{
	api_images_make(&images);
}

static void teardown(void)
{
	api_images_free(&images);
}

static void writes(struct vdisk_disk *disk, const void *buf, size_t len, uint64_t off)
{
	struct vdisk_error e;

	ck_assert_msg(vdisk_write(disk, buf, len, off, &e) == 0, "%s", e.text);
}

START_TEST(writes_that_stay)
{
	struct vdisk_image *image = api_open("top.qcow2", "rw", NULL);
	struct vdisk_disk *part = api_disk(image, "partitions/1"), *live = api_disk(image, "");
	struct vdisk_disk *snapshot = api_disk(image, "snapshots/two/partitions/1");
	unsigned char *bytes = images.live;
	struct vdisk_error e;

	ck_assert(vdisk_disk_is_writable(part) && vdisk_disk_is_writable(live));
	ck_assert(!vdisk_disk_is_writable(snapshot));
	ck_assert_int_eq(vdisk_write(snapshot, "x", 1, 0, NULL), -EROFS);
	fill_pattern(bytes + PART1 + 5000, 100000, 9);
	writes(part, bytes + PART1 + 5000, 100000, 5000);
	fill_pattern(bytes + 7 * MIB, MIB, 10);
	writes(live, bytes + 7 * MIB, MIB, 7 * MIB);
	ck_assert_int_eq(vdisk_zero(part, 70000, 30000, 0, &e), 0);
	memset(bytes + PART1 + 30000, 0, 70000);
	ck_assert_int_eq(vdisk_zero(live, 1000, PART2, VDISK_NO_HOLE, &e), 0);
	memset(bytes + PART2, 0, 1000);
	ck_assert_fails(vdisk_write(part, bytes, 2, PART1_LEN - 1, &e), ENOSPC, &e, "pass the end");
	ck_assert_fails(vdisk_zero(part, 1, 0, 2, &e), EINVAL, &e, "flags 0x2 are not known");
	ck_assert_int_eq(vdisk_flush(part, &e), 0);
	vdisk_disk_close(part);
	vdisk_disk_close(live);
	vdisk_disk_close(snapshot);
	api_reads(image, "", bytes, DISK_LEN);
	api_close(image);
	image = api_open("top.qcow2", NULL);
	api_reads(image, "", bytes, DISK_LEN);
	api_reads(image, "snapshots/two", images.two, DISK_LEN);
	api_reads(image, "chain/1", images.base, DISK_LEN);
	api_close(image);
}
END_TEST

static void has_extent(
	struct vdisk_disk *disk, uint64_t off, enum vdisk_extent_kind kind, uint64_t len)
{
	enum vdisk_extent_kind found;
	struct vdisk_error e;
	uint64_t n, rest = vdisk_disk_size(disk) - off;

	ck_assert_msg(vdisk_extent(disk, rest, off, &found, &n, &e) == 0, "%s", e.text);
	ck_assert_int_eq(found, kind);
	ck_assert_uint_eq(n, len);
	ck_assert_int_eq(vdisk_extent(disk, 1, off, &found, &n, &e), 0);
	ck_assert_int_eq(found, kind);
	ck_assert_uint_eq(n, 1);
}

#define CLUSTER ((size_t)65536)

/* A discard clears whole clusters alone; zeroes that are kept allocated are no hole. */
START_TEST(extents)
{
	struct vdisk_image *image;
	struct vdisk_disk *disk;
	struct vdisk_error e;

	free(make_full_image("qcow2", "a.qcow2", 48 * CLUSTER, NULL));
	image = api_open("a.qcow2", "rw", NULL);
	disk = api_disk(image, "");
	has_extent(disk, 0, VDISK_DATA, 16 * CLUSTER);
	has_extent(disk, 16 * CLUSTER, VDISK_HOLE, 16 * CLUSTER);
	has_extent(disk, 32 * CLUSTER + 5, VDISK_DATA, 16 * CLUSTER - 5);
	ck_assert_int_eq(vdisk_discard(disk, 3 * CLUSTER, CLUSTER / 2, &e), 0);
	has_extent(disk, 0, VDISK_DATA, CLUSTER);
	has_extent(disk, CLUSTER, VDISK_HOLE, 2 * CLUSTER);
	has_extent(disk, 3 * CLUSTER, VDISK_DATA, 13 * CLUSTER);
	ck_assert_int_eq(vdisk_zero(disk, 4 * CLUSTER, 20 * CLUSTER, VDISK_NO_HOLE, &e), 0);
	has_extent(disk, 16 * CLUSTER, VDISK_HOLE, 4 * CLUSTER);
	has_extent(disk, 20 * CLUSTER, VDISK_ZERO, 4 * CLUSTER);
	has_extent(disk, 24 * CLUSTER, VDISK_HOLE, 8 * CLUSTER);
	vdisk_disk_close(disk);
	api_close(image);
}
END_TEST

/* A raw file has holes of the host. */
START_TEST(extents_of_a_file)
{
	static unsigned char data[CLUSTER];
	struct vdisk_image *image;
	struct vdisk_disk *disk;
	struct vdisk_error e;

	make_image("raw", "a.raw", 4 * CLUSTER, NULL, NULL);
	fill_pattern(data, sizeof data, 1);
	image = api_open("a.raw", "format=raw", "rw", NULL);
	disk = api_disk(image, "");
	writes(disk, data, sizeof data, CLUSTER);
	ck_assert_int_eq(vdisk_flush(disk, &e), 0);
	has_extent(disk, 0, VDISK_HOLE, CLUSTER);
	has_extent(disk, CLUSTER, VDISK_DATA, CLUSTER);
	ck_assert_int_eq(vdisk_discard(disk, CLUSTER, CLUSTER, &e), 0);
	has_extent(disk, 0, VDISK_HOLE, 4 * CLUSTER);
	vdisk_disk_close(disk);
	api_close(image);
}
END_TEST

/* Another table that was written through the live disk is that of the next partition opened. */
START_TEST(a_table_written)
{
	struct vdisk_image *image = api_open("top.qcow2", "rw", NULL);
	struct vdisk_disk *live = api_disk(image, ""), *part = api_disk(image, "partitions/2");
	unsigned char entry[4];

	put_le(entry, 4, 2 * PART2_LEN / 512);
	writes(live, entry, sizeof entry, 446 + 16 + 12);
	ck_assert_uint_eq(vdisk_disk_size(part), PART2_LEN);
	vdisk_disk_close(part);
	part = api_disk(image, "partitions/2");
	ck_assert_uint_eq(vdisk_disk_size(part), 2 * PART2_LEN);
	vdisk_disk_close(part);
	vdisk_disk_close(live);
	api_close(image);
}
END_TEST

/* After metadata could not be written, all reports are errors; the image is closed all the same. */
START_TEST(lost_writes_reported)
{
	struct vdisk_image *image = api_open("top.qcow2", "rw", NULL);
	struct vdisk_disk *live = api_disk(image, "");
	struct err failure = ERR_INIT;
	struct vdisk_error e;

	writes(live, "x", 1, 0);
	err_set(&failure, EIO, "top.qcow2: the disk is gone");
	pthread_mutex_lock(&image->img->writer->meta);
	writer_fail(image->img->writer, &failure);
	pthread_mutex_unlock(&image->img->writer->meta);
	ck_assert_fails(vdisk_flush(live, &e), EIO, &e, "the disk is gone");
	ck_assert_fails(vdisk_write(live, "x", 1, 0, &e), EIO, &e, "the disk is gone");
	vdisk_disk_close(live);
	ck_assert_fails(vdisk_close(image, &e), EIO, &e, "the disk is gone");
	api_close(api_open("base.qcow2", "rw", NULL));
}
END_TEST

#define PIECE ((size_t)4096)

struct client {
	pthread_t thread;
	struct vdisk_disk *disk;
	unsigned number;
	unsigned bad;
};

/* Writes its own pieces, every eighth of the disk, and reads each again. */
static void *write_pieces(void *arg)
{
	struct client *c = arg;
	unsigned char out[PIECE], in[PIECE];

	for (size_t off = c->number * PIECE; off < PART1_LEN; off += 8 * PIECE) {
		fill_pattern(out, PIECE, (unsigned)(off / PIECE));
		c->bad += vdisk_write(c->disk, out, PIECE, off, NULL) != 0 ||
			  vdisk_read(c->disk, in, PIECE, off, NULL) != 0 ||
			  memcmp(in, out, PIECE) != 0;
		if (off % (64 * PIECE) == 0)
			c->bad += vdisk_flush(c->disk, NULL) != 0;
	}
	return NULL;
}

START_TEST(threads_that_write)
{
	struct vdisk_image *image = api_open("top.qcow2", "rw", NULL);
	struct client clients[8];

	for (unsigned i = 0; i < COUNT(clients); i++) {
		clients[i] = (struct client){
			.number = i,
			.disk = api_disk(image, "partitions/1"),
		};
		ck_assert_int_eq(
			pthread_create(&clients[i].thread, NULL, write_pieces, &clients[i]), 0);
	}
	for (unsigned i = 0; i < COUNT(clients); i++) {
		pthread_join(clients[i].thread, NULL);
		ck_assert_uint_eq(clients[i].bad, 0);
		vdisk_disk_close(clients[i].disk);
	}
	api_close(image);
	for (size_t off = 0; off < PART1_LEN; off += PIECE)
		fill_pattern(images.live + PART1 + off, PIECE, (unsigned)(off / PIECE));
	image = api_open("top.qcow2", NULL);
	api_reads(image, "", images.live, DISK_LEN);
	api_close(image);
}
END_TEST

Suite *api_write_suite(void)
{
	TCase *tc = tcase_create("api_write");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, writes_that_stay);
	tcase_add_test(tc, extents);
	tcase_add_test(tc, extents_of_a_file);
	tcase_add_test(tc, a_table_written);
	tcase_add_test(tc, lost_writes_reported);
	tcase_add_test(tc, threads_that_write);
	return suite_of("api_write", tc);
}
