/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api_test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/unit.h"
#include "util/err.h"
#include "image/snapshot.h"
#include "view/view.h"

static void put_partition(unsigned char *disk, unsigned i, size_t start, size_t len)
{
	unsigned char *entry = disk + 446 + 16 * i;

	memset(entry, 0, 16);
	entry[4] = 0x83;
	put_le(entry + 8, 4, start / 512);
	put_le(entry + 12, 4, len / 512);
}

static void put_table(unsigned char *disk)
{
	memset(disk, 0, 512);
	put_partition(disk, 0, PART1, PART1_LEN);
	put_partition(disk, 1, PART2, PART2_LEN);
	put_le(disk + 510, 2, 0xaa55);
}

/* A copy of bytes with other ones at off. */
static unsigned char *changed(const unsigned char *bytes, size_t off, size_t len, unsigned seed)
{
	unsigned char *copy = malloc(DISK_LEN);

	memcpy(copy, bytes, DISK_LEN);
	fill_pattern(copy + off, len, seed);
	return copy;
}

static void put(struct image *img, const unsigned char *bytes, size_t off, size_t len)
{
	struct err e = ERR_INIT;

	ck_assert_ok(view_write(img->states[0]->view, bytes + off, len, off, &e), &e);
}

static void make_base(struct api_images *i)
{
	static const unsigned char zeroes[DISK_LEN];
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	make_image("qcow2", "base.qcow2", DISK_LEN, NULL, NULL);
	i->base = changed(zeroes, 0, 3 * MIB, 1);
	put_table(i->base);
	img = open_image_file("base.qcow2", true, &o);
	put(img, i->base, 0, 3 * MIB);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
}

void api_images_make(struct api_images *i)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned no;

	make_base(i);
	make_image("qcow2", "top.qcow2", DISK_LEN, "base.qcow2", NULL);
	img = open_image_file("top.qcow2", true, &o);
	i->one = changed(i->base, PART1 + 1000, 200000, 2);
	put(img, i->one, PART1 + 1000, 200000);
	ck_assert_ok(snapshot_create(img, "one/a", &no, &e), &e);
	i->two = changed(i->one, PART2, 100000, 3);
	put(img, i->two, PART2, 100000);
	ck_assert_ok(snapshot_create(img, "two", &no, &e), &e);
	i->live = changed(i->two, PART1 + 70000, 70000, 4);
	put(img, i->live, PART1 + 70000, 70000);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
}

void api_images_free(struct api_images *i)
{
	free(i->base);
	free(i->one);
	free(i->two);
	free(i->live);
}

struct vdisk_image *api_open(const char *path, ...)
{
	const char *options[16];
	struct vdisk_error e;
	struct vdisk_image *image;
	size_t n = 0;
	va_list ap;

	va_start(ap, path);
	do {
		options[n] = va_arg(ap, const char *);
	} while (options[n++]);
	va_end(ap);
	ck_assert_msg(vdisk_open(path, options, NULL, NULL, &image, &e) == 0, "%s", e.text);
	return image;
}

struct vdisk_disk *api_disk(struct vdisk_image *image, const char *path)
{
	struct vdisk_disk *disk;
	struct vdisk_error e;

	ck_assert_msg(vdisk_disk_open(image, path, &disk, &e) == 0, "%s", e.text);
	return disk;
}

void api_close(struct vdisk_image *image)
{
	struct vdisk_error e;

	ck_assert_msg(vdisk_close(image, &e) == 0, "%s", e.text);
}

void api_reads(struct vdisk_image *image, const char *path, const unsigned char *bytes, size_t len)
{
	struct vdisk_disk *disk = api_disk(image, path);
	unsigned char *read = malloc(len);
	struct vdisk_error e;

	ck_assert_uint_eq(vdisk_disk_size(disk), len);
	ck_assert_msg(vdisk_read(disk, read, len, 0, &e) == 0, "%s", e.text);
	ck_assert_msg(memcmp(read, bytes, len) == 0, "\"%s\" has other bytes", path);
	vdisk_disk_close(disk);
	free(read);
}

void api_has_no(struct vdisk_image *image, const char *path, int code, const char *part)
{
	struct vdisk_disk *disk;
	struct vdisk_error e;

	ck_assert_fails(vdisk_disk_open(image, path, &disk, &e), code, &e, part);
	ck_assert_int_eq(vdisk_disk_open(image, path, &disk, NULL), -code);
}

static int note(void *arg, const struct vdisk_entry *entry)
{
	strcat(arg, *entry->path ? entry->path : "\"\"");
	strcat(arg, " ");
	return 0;
}

const char *api_paths(struct vdisk_image *image, const char *path)
{
	static char paths[1000];
	struct vdisk_error e;

	paths[0] = '\0';
	ck_assert_msg(vdisk_list(image, path, note, paths, &e) == 0, "%s", e.text);
	return paths;
}
